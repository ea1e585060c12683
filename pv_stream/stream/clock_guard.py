"""The live worker refuses a shard clock far in the future, before anything is written.

A shard's clock never goes back: one record of next year would make every event of this year retrospective, for
ever. The fold takes the log as it is, so that every log can be replayed; only here is a real clock to compare with.
"""

from collections.abc import Sequence
from typing import Final

from pv_stream.codec.events import decode_event
from pv_stream.domain.events import ClockTicked
from pv_stream.errors import EnvironmentBroken
from pv_stream.shard.fold import CLOCK_KEY, RawRecord
from pv_stream.shard.slices import SLICE_KEY, Slice

#: More than clocks of machines that work differ by, and less than what would spoil the timeliness of much.
AHEAD_US_MAX: Final = 24 * 3_600 * 1_000_000
_CLOCKS: Final = frozenset({CLOCK_KEY, SLICE_KEY})


def clock_is_ahead(clock_us: int, *, now_us: int) -> bool:
    """Tell whether a shard's clock is further ahead of this machine's than any that is right."""
    return clock_us - now_us > AHEAD_US_MAX


def refuse_clock_ahead(
    shard: int, records: Sequence[RawRecord], states: Sequence[tuple[bytes, bytes | None]], *, now_us: int
) -> None:
    """Raise EnvironmentBroken when what a run would write holds a clock that is too far ahead.

    Looks at the result, where the clock is found at once, and decodes the records only to name the one.
    """
    instants = (_instant_of(key, value) for key, value in states if key in _CLOCKS and value)
    if not any(clock_is_ahead(instant, now_us=now_us) for instant in instants):
        return
    ahead = (record.position for record in records if _is_ahead(record, now_us))
    position = next(ahead, records[-1].position)
    message = (
        f"shard {shard}: the clock record at position {position} is more than 24 h ahead of this machine's clock; "
        "nothing of it was written. Correct this machine's clock, or if that is right, begin a log without "
        "the record (docs/live.md, A clock in the future)"
    )
    raise EnvironmentBroken(message)


def _instant_of(key: bytes, value: bytes) -> int:
    """Return the clock of a state record, also of a clock record that is told in part."""
    return int(value) if key == CLOCK_KEY else Slice.from_bytes(value).instant


def _is_ahead(record: RawRecord, now_us: int) -> bool:
    event = decode_event(record.value)
    return isinstance(event, ClockTicked) and clock_is_ahead(event.instant, now_us=now_us)
