"""Instants, intervals and calendar days. No clock: the time is in the log (law 3).

An `Instant` is a whole number of microseconds since 1970-01-01T00:00:00Z. A clinical time is an `Interval` of
possible instants, both ends included, since a sender may know only the day or the month. Calendar days are days
at the facility, so they need the UTC offset that the event carried.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NewType

from pv_stream.domain.often_built import often_built

Instant = NewType("Instant", int)

MICROSECONDS_PER_SECOND: Final = 1_000_000
MICROSECONDS_PER_MINUTE: Final = 60 * MICROSECONDS_PER_SECOND
MICROSECONDS_PER_HOUR: Final = 60 * MICROSECONDS_PER_MINUTE
MICROSECONDS_PER_DAY: Final = 24 * MICROSECONDS_PER_HOUR

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_PER_DAY: Final = 24 * 60 * 60
_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})", re.ASCII)
#: Real offsets lie between UTC-12:00 and UTC+14:00.
UTC_OFFSET_MINUTES_MIN: Final = -12 * 60
UTC_OFFSET_MINUTES_MAX: Final = 14 * 60


@often_built
@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """Hold the earliest and the latest instant at which something may have happened."""

    earliest: Instant
    latest: Instant

    def __post_init__(self) -> None:
        """Refuse an interval that ends before it begins."""
        if self.latest < self.earliest:
            msg = "an interval cannot end before it begins"
            raise ValueError(msg)

    @property
    def is_exact(self) -> bool:
        """Tell whether the instant is known."""
        return self.earliest == self.latest


def exactly(instant: Instant) -> Interval:
    """Return the interval that holds one instant."""
    return Interval(instant, instant)


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of an aware datetime."""
    since = moment - _EPOCH
    seconds = since.days * _SECONDS_PER_DAY + since.seconds
    return Instant(seconds * MICROSECONDS_PER_SECOND + since.microseconds)


def parse_instant(text: str) -> Instant:
    """Read an ISO 8601 instant with seconds and a zone, such as 2026-03-02T08:10:00Z.

    Raises ValueError for anything else: a time without a zone is not an instant.
    """
    if _ISO.fullmatch(text) is None:
        msg = "not an instant of the form 2026-03-02T08:10:00Z"
        raise ValueError(msg)
    return from_datetime(datetime.fromisoformat(text))


def format_instant(instant: Instant) -> str:
    """Write an instant the one way that topics and files use: UTC, `Z`, a fraction only when there is one."""
    return _written(instant)


#: Events of one message say the same times, and so do the outputs of one patient.
@lru_cache(maxsize=4096)
def _written(instant: int) -> str:
    moment = _EPOCH + timedelta(microseconds=instant)
    text = moment.replace(tzinfo=None).isoformat(timespec="seconds")
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{text}{fraction}Z"


def local_day(instant: Instant, utc_offset_minutes: int) -> int:
    """Return the number of the calendar day (0 is 1970-01-01) of an instant at the facility."""
    return (instant + utc_offset_minutes * MICROSECONDS_PER_MINUTE) // MICROSECONDS_PER_DAY


def local_date(day: int) -> str:
    """Return the date of a calendar day by its number, as 2026-03-02."""
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def after_days(instant: Instant, days: int) -> Instant:
    """Return the instant a whole number of 24-hour days later."""
    return Instant(instant + days * MICROSECONDS_PER_DAY)
