"""Segments: a state that is too large for one record, as a head and records of the facts of a period each.

Which fact stands in which record follows from the state alone: facts of 1,024 days (UTC, counted from 1970) make one
segment; one that is too large is halved, down to a day, and a day by the digests of its keys. So what lies back stays
in its records as it is, and what comes today changes today's. The head says all that is not about single facts, and
names each segment with its digest: a state is read whole or not at all.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

from pv_stream.codec.state import (
    WrittenFacts,
    encode_state,
    envelope,
    json_bytes,
    part_row,
    read_record,
)
from pv_stream.domain.facts import Fact
from pv_stream.domain.ids import FactKey
from pv_stream.domain.published import PatientState
from pv_stream.domain.times import MICROSECONDS_PER_DAY

#: The schema of a head and of a segment; a state in one record has that of `codec.state`.
SEGMENTS_SCHEMA: Final = 2
#: Stands between the id of a patient and the name of a segment; no id has it.
MARK: Final = "@"

_HEAD_BEGINS: Final = b'{"schema":2,'
_SPAN_DAYS: Final = 1_024
_EPOCH: Final = date(1970, 1, 1)
#: Facts of before 1900 and of after 2155 stand with those of these days, so that there are few periods in all.
_FIRST_DAY: Final = (date(1900, 1, 1) - _EPOCH).days
_LAST_DAY: Final = (date(2155, 12, 31) - _EPOCH).days
_DIGEST_HEX_DIGITS: Final = 16
_DIGEST_BITS: Final = 256


#: A fact's key, how it is written, and who contributed to it if others did: a tuple, for there are thousands.
_Row = tuple[FactKey, bytes, bytes]


@dataclass(frozen=True, slots=True)
class StateRecords:
    """Hold the records of a state: that of the patient's own key, and its segments with their digests by name."""

    head: bytes
    segments: Mapping[str, bytes]
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Head:
    """Hold a head that was read: its fields, and the digest of each of its segments by name."""

    fields: dict[str, Any]
    segments: Mapping[str, str]


def segment_key(patient_id: str, name: str) -> bytes:
    """Return the key of a record of a patient's state."""
    return (f"{patient_id}{MARK}{name}" if name else patient_id).encode()


def read_key(key: str) -> tuple[str, str]:
    """Return patient id and name of the key of a state record; the name is empty for the head."""
    patient_id, _, name = key.partition(MARK)
    return patient_id, name


def state_records(
    state: PatientState, *, segment_bytes_max: int, written: WrittenFacts | None = None
) -> StateRecords:
    """Return the records of a state.

    A state that is no larger than a segment may be is the one record of `encode_state`. A fact that is larger alone
    has a segment of its own.
    """
    facts = WrittenFacts() if written is None else written
    whole = encode_state(state, facts)
    if len(whole) <= segment_bytes_max:
        return StateRecords(whole, {}, {})
    segments = _segments(state, segment_bytes_max, facts)
    digests = {name: digest_of(record) for name, record in segments.items()}
    head = envelope(state, SEGMENTS_SCHEMA) | {"segments": list(digests.items())}
    return StateRecords(json_bytes(head), segments, digests)


def digest_of(record: bytes) -> str:
    """Return the digest by which a head names a segment."""
    return hashlib.sha256(record).hexdigest()[:_DIGEST_HEX_DIGITS]


def read_head(record: bytes) -> Head | None:
    """Return the head of a state in segments, or None for a state in one record."""
    if not record.startswith(_HEAD_BEGINS):
        return None
    fields = json.loads(record)
    return Head(fields, dict(fields["segments"]))


def join_records(head: Head, segments: Iterable[bytes]) -> PatientState:
    """Return the state of a head and all of its segments. Raises ValueError when they cannot be read."""
    facts: list[Any] = []
    parts: list[Any] = []
    for segment in segments:
        fields = json.loads(segment)
        facts += fields["facts"]
        parts += fields["parts"]
    record = {name: value for name, value in head.fields.items() if name != "segments"}
    record["facts"] = sorted(facts, key=_key_of)
    if parts:
        record["lineage"] = record["lineage"] | {"parts": sorted(parts, key=_key_of)}
    return read_record(record)


def _key_of(row: list[Any]) -> str:
    key: str = row[0]
    return key


def _segments(state: PatientState, bytes_max: int, written: WrittenFacts) -> dict[str, bytes]:
    parts = state.lineage.parts
    days: dict[int, list[_Row]] = defaultdict(list)
    for key, fact in sorted(state.facts.items()):
        part = json_bytes(part_row(key, parts[key])) if key in parts else b""
        days[_day_of(fact)].append((key, written.row(key, fact), part))
    sizes = {day: _size(days[day]) for day in sorted(days)}
    return {
        name: b'{"schema":%d,"parts":[%b],"facts":[%b]}'
        % (
            SEGMENTS_SCHEMA,
            b",".join([part for _, _, part in segment if part]),
            b",".join([row for _, row, _ in segment]),
        )
        for name, segment in _by_days(days, sizes, _SPAN_DAYS, bytes_max)
    }


def _day_of(fact: Fact) -> int:
    """Return the UTC day of a fact: the first on which its first statement may have held."""
    day: int = fact.statements[0][0].effective.earliest // MICROSECONDS_PER_DAY
    return day if _FIRST_DAY <= day <= _LAST_DAY else min(max(day, _FIRST_DAY), _LAST_DAY)


def _by_days(
    days: Mapping[int, list[_Row]], sizes: Mapping[int, int], span: int, bytes_max: int
) -> Iterator[tuple[str, list[_Row]]]:
    """Yield name and rows of each period of so many days, of one that is too large those of its halves."""
    periods: dict[int, dict[int, int]] = {}
    for day, size in sizes.items():
        periods.setdefault(day // span, {})[day] = size
    for number, period in periods.items():
        if sum(period.values()) <= bytes_max:
            yield f"{_written_day(number * span)}+{span}", [row for day in period for row in days[day]]
        elif span > 1:
            yield from _by_days(days, period, span // 2, bytes_max)
        else:
            yield from _by_keys(days[number], "", _written_day(number), bytes_max)


def _by_keys(rows: list[_Row], bits: str, day: str, bytes_max: int) -> Iterator[tuple[str, list[_Row]]]:
    """Yield name and rows of a day, or of its halves by the next bit of the digests of its keys."""
    if len(rows) == 1 or _size(rows) <= bytes_max:
        yield f"{day}.{bits}", rows
        return
    for side in "01":
        half = [row for row in rows if _bits(row[0])[len(bits)] == side]
        if half:
            yield from _by_keys(half, bits + side, day, bytes_max)


def _size(rows: list[_Row]) -> int:
    return sum([len(row) + len(part) + 2 for _, row, part in rows])


@lru_cache(maxsize=4096)
def _bits(key: FactKey) -> str:
    return f"{int.from_bytes(hashlib.sha256(key.encode()).digest()):0{_DIGEST_BITS}b}"


@lru_cache(maxsize=4096)
def _written_day(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()
