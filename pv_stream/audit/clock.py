"""The clock of a replay: where the time comes from when a log is read back (law 3).

A live shard has clock records, written by its owner. A log made from files has none, so a replay adds one at
00:00 UTC before the first event received on or after it, and one at the end at the last `received_at`. Nothing here
reads the time of the machine.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from pv_stream.audit.log import LogRecord, Survey, is_clock
from pv_stream.codec.events import Rejection, decode_event
from pv_stream.domain.events import ClockTicked, RulebookActivated
from pv_stream.domain.times import MICROSECONDS_PER_DAY, Instant
from pv_stream.errors import UsageError
from pv_stream.shard.fold import RawRecord, clock_record


class ClockMode(StrEnum):
    """Say which clock records a replay uses."""

    AUTO = "auto"
    DAILY = "daily"
    LOG = "log"
    NONE = "none"


def settle(mode: ClockMode, found: Survey) -> ClockMode:
    """Return the mode that a replay of a surveyed log uses.

    Raises UsageError when daily records would be mixed with those of the log.
    """
    if mode is ClockMode.AUTO:
        return ClockMode.LOG if found.clock_records else ClockMode.DAILY
    if mode is ClockMode.DAILY and found.clock_records:
        msg = "--clock daily: this log has clock records of its own; use --clock log"
        raise UsageError(msg)
    return mode


@dataclass(slots=True)
class DailyClock:
    """Hold the clock of one shard of a log without clock records."""

    midnight: int | None = None
    latest: int | None = None
    last_position: int = -1

    def before(self, record: RawRecord) -> RawRecord | None:
        """Return the clock record that goes before a record, or None."""
        self.last_position = record.position
        event = decode_event(record.value)
        if isinstance(event, Rejection | ClockTicked | RulebookActivated):
            return None
        received_at = event.received_at
        self.latest = received_at if self.latest is None else max(self.latest, received_at)
        midnight = received_at - received_at % MICROSECONDS_PER_DAY
        if self.midnight is not None and midnight <= self.midnight:
            return None
        self.midnight = midnight
        return _clock(record.position, midnight)

    def at_end(self) -> RawRecord | None:
        """Return the clock record that ends the log: the last instant at which something was received."""
        return None if self.latest is None else _clock(self.last_position + 1, self.latest)


@dataclass(slots=True)
class TimedLog:
    """Yield the records of a log with those of its clock, and count the clock records that were put in."""

    records: Iterable[LogRecord]
    mode: ClockMode
    _added_to: Counter[int] = field(default_factory=Counter)
    _clocks: dict[int, DailyClock] = field(default_factory=dict)

    @property
    def added(self) -> int:
        """Return how many clock records were put in so far."""
        return self._added_to.total()

    def added_to(self, shard: int) -> int:
        """Return how many clock records were put into a shard so far."""
        return self._added_to[shard]

    def __iter__(self) -> Iterator[LogRecord]:
        """Yield the records, in the order of the log."""
        bytes_read = 0
        for line in self.records:
            bytes_read = line.bytes_read
            if self.mode is ClockMode.NONE and is_clock(line.record):
                continue
            if self.mode is ClockMode.DAILY:
                tick = self._clocks.setdefault(line.shard, DailyClock()).before(line.record)
                yield from self._added(line.shard, tick, bytes_read)
            yield line
        for shard in sorted(self._clocks):
            yield from self._added(shard, self._clocks[shard].at_end(), bytes_read)

    def _added(self, shard: int, tick: RawRecord | None, bytes_read: int) -> Iterator[LogRecord]:
        if tick is not None:
            self._added_to[shard] += 1
            yield LogRecord(shard, tick, bytes_read)


def _clock(position: int, instant: int) -> RawRecord:
    key, value = clock_record(Instant(instant))
    return RawRecord(position, key, value)
