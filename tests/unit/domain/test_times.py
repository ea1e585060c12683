"""Instants, intervals and calendar days."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.domain.times import (
    Instant,
    Interval,
    after_days,
    exactly,
    format_instant,
    from_datetime,
    local_day,
    parse_instant,
)
from tests.builders import at

FIRST = from_datetime(datetime.min.replace(tzinfo=UTC))
LAST = from_datetime(datetime.max.replace(tzinfo=UTC))
instants = st.integers(FIRST, LAST).map(Instant)


@given(instants)
def test_an_instant_is_read_as_it_was_written(instant: Instant) -> None:
    assert parse_instant(format_instant(instant)) == instant


@given(instants, instants)
def test_equal_texts_are_equal_instants(one: Instant, other: Instant) -> None:
    assert (format_instant(one) == format_instant(other)) is (one == other)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-03-02T08:10:00Z", "2026-03-02T08:10:00Z"),
        ("2026-03-02T08:10:00.5Z", "2026-03-02T08:10:00.5Z"),
        ("2026-03-02T08:10:00.500000Z", "2026-03-02T08:10:00.5Z"),
        ("2026-03-02T08:10:00.000001Z", "2026-03-02T08:10:00.000001Z"),
        ("2026-03-02T09:10:00+01:00", "2026-03-02T08:10:00Z"),
        ("2026-03-01T22:40:00-09:30", "2026-03-02T08:10:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_an_instant_has_one_spelling(text: str, written: str) -> None:
    assert format_instant(parse_instant(text)) == written


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02",
        "2026-03-02T08:10:00",
        "2026-03-02 08:10:00Z",
        "2026-03-02T08:10Z",
        "2026-03-02T08:10:00.1234567Z",
        "2026-13-02T08:10:00Z",
        "2026-02-29T08:10:00Z",
        "2026-03-02T24:00:00Z",
        "2026-03-02T08:10:60Z",
        "2026-03-02T08:10:00Z ",
        "٢026-03-02T08:10:00Z",
        "",
    ],
)
def test_anything_else_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_instant(text)


def test_a_datetime_in_any_zone_is_its_instant() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert from_datetime(datetime(2026, 1, 1, 9, tzinfo=tokyo)) == at(0, 0)


@pytest.mark.parametrize(
    ("instant", "offset", "day"),
    [
        (at(0, 0), 0, 0),
        (at(0, 23, 59), 0, 0),
        (at(0, 23), 60, 1),
        (at(0, 22, 59), 60, 0),
        (at(0, 7, 59), -480, -1),
        (at(0, 8), -480, 0),
    ],
)
def test_a_day_is_a_day_at_the_facility(instant: Instant, offset: int, day: int) -> None:
    assert local_day(instant, offset) - local_day(at(0, 0), 0) == day


def test_days_count_on_before_1970() -> None:
    assert [local_day(Instant(microseconds), 0) for microseconds in (-1, 0)] == [-1, 0]


def test_an_interval_holds_both_ends_and_cannot_run_backwards() -> None:
    assert exactly(at(1)).is_exact
    assert not Interval(at(1), at(2)).is_exact
    with pytest.raises(ValueError, match="cannot end before it begins"):
        Interval(at(2), at(1))


def test_after_days_counts_whole_days() -> None:
    assert after_days(at(0), 14) == at(14)
