"""Times: exact where they were exact, intervals of every possible instant where they were not."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.domain.codes import HoldCode
from pv_stream.domain.times import from_datetime, parse_instant
from pv_stream.ingest.times import Moment, fhir_moment, hl7_moment, parse_utc_offset, span, stamp


def _bounds(moment: Moment | HoldCode) -> tuple[int, int]:
    assert isinstance(moment, Moment), moment
    return moment.interval.earliest, moment.interval.latest


@pytest.mark.parametrize(
    ("text", "earliest", "latest"),
    [
        ("20210412071500+0200", "2021-04-12T05:15:00Z", "2021-04-12T05:15:00Z"),
        ("20210412071500.1234-0330", "2021-04-12T10:45:00.1234Z", "2021-04-12T10:45:00.1234Z"),
        ("202104120715+0200", "2021-04-12T05:15:00Z", "2021-04-12T05:15:59.999999Z"),
        ("2021041207+0200", "2021-04-12T05:00:00Z", "2021-04-12T05:59:59.999999Z"),
        ("20210412+0200", "2021-04-11T22:00:00Z", "2021-04-12T21:59:59.999999Z"),
        ("202402+0000", "2024-02-01T00:00:00Z", "2024-02-29T23:59:59.999999Z"),
        ("2023+0000", "2023-01-01T00:00:00Z", "2023-12-31T23:59:59.999999Z"),
        ("2024+0000", "2024-01-01T00:00:00Z", "2024-12-31T23:59:59.999999Z"),
        # No zone anywhere: every instant from UTC+14 to UTC-12.
        ("20210412071500", "2021-04-11T17:15:00Z", "2021-04-12T19:15:00Z"),
        ("20210412", "2021-04-11T10:00:00Z", "2021-04-13T11:59:59.999999Z"),
    ],
)
def test_an_hl7_time_is_every_instant_that_it_allows(text: str, earliest: str, latest: str) -> None:
    assert _bounds(hl7_moment(text, None)) == (parse_instant(earliest), parse_instant(latest))


@pytest.mark.parametrize(
    ("text", "earliest", "latest"),
    [
        ("2021-04-12T07:15:00+02:00", "2021-04-12T05:15:00Z", "2021-04-12T05:15:00Z"),
        ("2021-04-12T05:15:00.123456789Z", "2021-04-12T05:15:00.123456Z", "2021-04-12T05:15:00.123456Z"),
        ("2021-04-12", "2021-04-11T10:00:00Z", "2021-04-13T11:59:59.999999Z"),
        ("2021-04", "2021-03-31T10:00:00Z", "2021-05-01T11:59:59.999999Z"),
        ("2021", "2020-12-31T10:00:00Z", "2022-01-01T11:59:59.999999Z"),
    ],
)
def test_a_fhir_time_is_every_instant_that_it_allows(text: str, earliest: str, latest: str) -> None:
    assert _bounds(fhir_moment(text, None)) == (parse_instant(earliest), parse_instant(latest))


def test_a_known_offset_narrows_a_time_without_a_zone_and_never_replaces_a_stated_one() -> None:
    assert _bounds(hl7_moment("20210412071500", 120)) == (parse_instant("2021-04-12T05:15:00Z"),) * 2
    assert _bounds(hl7_moment("20210412071500-0500", 120)) == (parse_instant("2021-04-12T12:15:00Z"),) * 2
    day = fhir_moment("2021-04-12", 120)
    assert isinstance(day, Moment)
    assert day.utc_offset_minutes == 120
    unknown = fhir_moment("2021-04-12", None)
    assert isinstance(unknown, Moment)
    assert unknown.utc_offset_minutes is None


@pytest.mark.parametrize(
    "text",
    ["20211301", "20210400", "20210012", "202100", "2021041225", "20210412071560", "20210412071500+9900",
     "20210412071500+0260", "0001", "9999", "yesterday", "2021-04-12", "202104120", "٢٠٢١"],
)  # fmt: skip
def test_an_hl7_time_that_cannot_be_is_unreadable(text: str) -> None:
    assert hl7_moment(text, None) is HoldCode.UNREADABLE_TIME


@pytest.mark.parametrize(
    "value",
    [
        2021,
        ["2021"],
        "20210412",
        "2021-13",
        "2021-04-00",
        "2021-00",
        "2021-04-12 07:15",
        "2021-04-12T07:15:00+15:00",
    ],
)
def test_a_fhir_time_that_cannot_be_is_unreadable(value: object) -> None:
    assert fhir_moment(value, None) is HoldCode.UNREADABLE_TIME


def test_no_time_is_missing() -> None:
    assert hl7_moment("  ", None) is HoldCode.MISSING_TIME
    assert fhir_moment(None, None) is HoldCode.MISSING_TIME


def test_a_stamp_is_exact_to_the_minute_or_it_is_none() -> None:
    assert stamp(hl7_moment("202104120715+0200", None)) == parse_instant("2021-04-12T05:15:00Z")
    assert stamp(hl7_moment("2021041207+0200", None)) is None
    assert stamp(hl7_moment("20210412071500", None)) is None
    assert stamp(hl7_moment("", None)) is None


def test_a_span_reaches_from_start_to_end_and_never_backwards() -> None:
    start, end = hl7_moment("20210412071500+0000", None), hl7_moment("20210412081500+0000", None)
    assert isinstance(start, Moment)
    assert isinstance(end, Moment)
    assert _bounds(span(start, end)) == (start.interval.earliest, end.interval.latest)
    assert span(end, start) is HoldCode.UNREADABLE_TIME


@pytest.mark.parametrize(
    ("text", "minutes"), [("+01:00", 60), ("-0530", -330), ("Z", 0), ("+14:00", 840), ("-12:00", -720)]
)
def test_offsets_that_clocks_have(text: str, minutes: int) -> None:
    assert parse_utc_offset(text) == minutes


@pytest.mark.parametrize("text", ["", "1", "+14:01", "-12:01", "+01:60", "Europe/Berlin"])
def test_offsets_that_no_clock_has(text: str) -> None:
    assert parse_utc_offset(text) is None


@given(
    st.datetimes(min_value=datetime(1900, 1, 2), max_value=datetime(2199, 12, 30)),  # noqa: DTZ001 - local times
    st.integers(min_value=-720, max_value=840),
)
def test_a_time_without_its_zone_still_holds_the_true_instant(local: datetime, offset: int) -> None:
    true = from_datetime(local.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=offset))))
    earliest, latest = _bounds(hl7_moment(local.strftime("%Y%m%d%H%M%S"), None))
    assert earliest <= true <= latest
    earliest, latest = _bounds(fhir_moment(local.strftime("%Y-%m-%d"), None))
    assert earliest <= true <= latest
    assert from_datetime(datetime(1970, 1, 1, tzinfo=UTC)) == 0
