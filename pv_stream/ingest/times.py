"""Times as senders write them: HL7 time stamps and FHIR dateTimes as intervals of possible instants.

A time may be partial (a day, a month) or say no zone. Neither is completed by a guess: the interval then holds every
instant that the text allows. A zone that is not in the text comes from MSH-7, which HL7 defines as the default of its
message (version 2.5.1, chapter 2, MSH-7), else from the operator (`--utc-offset`), else it is unknown.
"""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from pv_stream.domain.codes import HoldCode
from pv_stream.domain.often_built import often_built
from pv_stream.domain.times import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MINUTE,
    MICROSECONDS_PER_SECOND,
    UTC_OFFSET_MINUTES_MAX,
    UTC_OFFSET_MINUTES_MIN,
    Instant,
    Interval,
    from_datetime,
)

#: Years outside are typing errors, and the shifted bounds of years near 1 or 9999 are no dates at all.
YEAR_MIN: Final = 1900
YEAR_MAX: Final = 2199

_HL7: Final = re.compile(
    r"(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?",
    re.ASCII,
)
_FHIR: Final = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,12}))?)?(Z|[+-]\d{2}:\d{2})?)?)?)?",
    re.ASCII,
)
_OFFSET: Final = re.compile(r"([+-])(\d{2}):?(\d{2})", re.ASCII)
_OFFSET_LENGTH: Final = 5
_HOURS: Final = 24
_SIXTY: Final = 60
#: A time stamp has 29 characters at most; a longer text is none, and is not kept in memory.
_REMEMBERED_MAX: Final = 40
_FRACTION_DIGITS: Final = 6


@often_built
@dataclass(frozen=True, slots=True)
class Moment:
    """Hold when something may have happened, and the offset of the facility's clock where it is known."""

    interval: Interval
    utc_offset_minutes: int | None


def parse_utc_offset(text: str) -> int | None:
    """Read an offset such as +01:00, -0500 or Z in minutes; None when it is not one that clocks have."""
    read = _offset_remembered if len(text) <= _REMEMBERED_MAX else _offset
    return read(text)


def _offset(text: str) -> int | None:
    if text == "Z":
        return 0
    match = _OFFSET.fullmatch(text)
    if match is None or int(match[3]) >= _SIXTY:
        return None
    minutes = int(match[2]) * _SIXTY + int(match[3])
    minutes = -minutes if match[1] == "-" else minutes
    return minutes if UTC_OFFSET_MINUTES_MIN <= minutes <= UTC_OFFSET_MINUTES_MAX else None


_offset_remembered: Final = lru_cache(maxsize=256)(_offset)


def hl7_offset(text: str) -> int | None:
    """Return the offset that an HL7 time stamp states itself."""
    text = text.strip()
    if text[-_OFFSET_LENGTH : -_OFFSET_LENGTH + 1] not in {"+", "-"} or _HL7.fullmatch(text) is None:
        return None
    return parse_utc_offset(text[-_OFFSET_LENGTH:])


def hl7_moment(text: str, default_offset: int | None) -> Moment | HoldCode:
    """Read an HL7 time stamp (TS, DTM) or say why it cannot be used."""
    read = _hl7_moment_remembered if len(text) <= _REMEMBERED_MAX else _hl7_moment
    return read(text, default_offset)


def _hl7_moment(text: str, default_offset: int | None) -> Moment | HoldCode:
    return _moment(_HL7.fullmatch(text.strip()), text, default_offset)


#: One message says a time several times, and so do the messages of one specimen.
_hl7_moment_remembered: Final = lru_cache(maxsize=4096)(_hl7_moment)


def fhir_moment(text: object, default_offset: int | None) -> Moment | HoldCode:
    """Read a FHIR date, dateTime or instant or say why it cannot be used."""
    if text is None:
        return HoldCode.MISSING_TIME
    if not isinstance(text, str):
        return HoldCode.UNREADABLE_TIME
    read = _fhir_text_remembered if len(text) <= _REMEMBERED_MAX else _fhir_text
    return read(text, default_offset)


def _fhir_text(text: str, default_offset: int | None) -> Moment | HoldCode:
    return _moment(_FHIR.fullmatch(text.strip()), text, default_offset)


#: Many resources of one document say the same time.
_fhir_text_remembered: Final = lru_cache(maxsize=4096)(_fhir_text)


def span(start: Moment, end: Moment) -> Moment | HoldCode:
    """Return the moment that reaches from the start of one to the end of another."""
    if end.interval.latest < start.interval.earliest:
        return HoldCode.UNREADABLE_TIME
    latest = max(end.interval.latest, start.interval.latest)
    return Moment(Interval(start.interval.earliest, latest), start.utc_offset_minutes)


def stamp(moment: Moment | HoldCode) -> Instant | None:
    """Return the instant of a sender's own time stamp, or None when it is too vague to place a message.

    A stamp to the minute stands for the start of that minute. A stamp without a zone, or to the day, is none.
    """
    if isinstance(moment, HoldCode):
        return None
    interval = moment.interval
    return interval.earliest if interval.latest - interval.earliest < MICROSECONDS_PER_MINUTE else None


def _moment(match: re.Match[str] | None, text: str, default_offset: int | None) -> Moment | HoldCode:
    if not text.strip():
        return HoldCode.MISSING_TIME
    if match is None:
        return HoldCode.UNREADABLE_TIME
    local = _local_interval(match)
    if local is None:
        return HoldCode.UNREADABLE_TIME
    offset = default_offset
    if match[8]:
        offset = parse_utc_offset(match[8])
        if offset is None:
            return HoldCode.UNREADABLE_TIME
    ahead = UTC_OFFSET_MINUTES_MAX if offset is None else offset
    behind = UTC_OFFSET_MINUTES_MIN if offset is None else offset
    earliest = Instant(local[0] - ahead * MICROSECONDS_PER_MINUTE)
    latest = Instant(local[1] - behind * MICROSECONDS_PER_MINUTE)
    return Moment(Interval(earliest, latest), offset)


def _local_interval(match: re.Match[str]) -> tuple[int, int] | None:
    """Return the first and last microsecond that the text allows, on the facility's clock."""
    year, month, day, hour, minute, second, fraction, _ = match.groups()
    days = _days(year, month, day)
    if days is None:
        return None
    if hour is None:
        return days
    hours, minutes, seconds = int(hour), int(minute or 0), int(second or 0)
    if hours >= _HOURS or minutes >= _SIXTY or seconds >= _SIXTY:
        return None
    start = days[0] + hours * MICROSECONDS_PER_HOUR + minutes * MICROSECONDS_PER_MINUTE
    if second is not None:
        # A second is taken as an instant: clinical devices do not state more, and ordering needs a point.
        start += seconds * MICROSECONDS_PER_SECOND
        start += int(fraction[:_FRACTION_DIGITS].ljust(_FRACTION_DIGITS, "0")) if fraction else 0
        return start, start
    return start, start + (MICROSECONDS_PER_HOUR if minute is None else MICROSECONDS_PER_MINUTE) - 1


#: The messages of a day say the same day.
@lru_cache(maxsize=1024)
def _days(year: str, month: str | None, day: str | None) -> tuple[int, int] | None:
    """Return the first and last microsecond of a day, a month or a year, or None when there is none such."""
    if not YEAR_MIN <= int(year) <= YEAR_MAX:
        return None
    try:
        # A part that is stated as zero is not one that is left out: there is no month 00.
        first = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
    except ValueError:
        return None
    start = from_datetime(first)
    return start, start + _days_long(first, month, day) * MICROSECONDS_PER_DAY - 1


def _days_long(first: datetime, month: str | None, day: str | None) -> int:
    if day is not None:
        return 1
    if month is not None:
        return calendar.monthrange(first.year, first.month)[1]
    return 366 if calendar.isleap(first.year) else 365
