"""The timeline: what a value and a specimen may mean."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pv_stream.domain.assessment import EpisodeFlag
from pv_stream.domain.codes import Analyte, Comparator, FindingCode, Presence
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Finding, Measurement
from pv_stream.rules import timeline
from pv_stream.rules.timeline import EosinophilCount, Reading, reading_of
from tests.builders import (
    alt,
    at,
    creatinine,
    dose,
    eosinophils,
    event,
    leukocytes,
    measured,
    only_episode,
    percent,
    present,
    timeline_of,
)


@pytest.mark.parametrize(
    ("comparator", "reading"),
    [
        (None, Reading(Decimal(5), Decimal(5))),
        (Comparator.LESS, Reading(Decimal(0), Decimal(5), high_open=True)),
        (Comparator.LESS_OR_EQUAL, Reading(Decimal(0), Decimal(5))),
        (Comparator.GREATER, Reading(Decimal(5), None, low_open=True)),
        (Comparator.GREATER_OR_EQUAL, Reading(Decimal(5), None)),
    ],
)
def test_a_value_with_a_comparator_is_a_range(comparator: Comparator | None, reading: Reading) -> None:
    assert reading_of(Measurement(Analyte.EOSINOPHILS, Decimal(5), comparator)) == reading


def test_a_time_without_an_offset_is_of_utc() -> None:
    rash = event(Finding(FindingCode.RASH, Presence.PRESENT), at(0), offset=None)
    assert timeline_of(rash).findings[0].utc_offset_minutes == 0


def _count(*events: FactArrived) -> EosinophilCount:
    (count,) = timeline_of(*events).counts
    return count


@pytest.mark.parametrize(
    ("share", "comparator", "white", "low_open"),
    [("5", Comparator.LESS, 4000, False), ("0.1", None, 500, True), ("5", None, 4000, True)],
)
def test_a_derived_count_lies_above_its_lower_bound_unless_that_is_nothing(
    share: str, comparator: Comparator | None, white: int, *, low_open: bool
) -> None:
    many = leukocytes(white, at(1), comparator=Comparator.GREATER, specimen="t")
    count = _count(percent(share, at(1), comparator=comparator, specimen="t"), many)
    assert count.differentials[0].count.low_open is low_open


@pytest.mark.parametrize(
    ("share", "white", "opens"),
    [
        (None, None, (False, False)),
        (Comparator.GREATER, None, (True, False)),
        (None, Comparator.GREATER, (True, False)),
        (Comparator.LESS, None, (False, True)),
        (None, Comparator.LESS, (False, True)),
        (Comparator.LESS_OR_EQUAL, None, (False, False)),
        (Comparator.GREATER_OR_EQUAL, None, (False, False)),
    ],
)
def test_one_open_bound_opens_that_of_the_derived_count(
    share: Comparator | None, white: Comparator | None, opens: tuple[bool, bool]
) -> None:
    specimen = (
        percent(20, at(1), comparator=share, specimen="t"),
        leukocytes(4000, at(1), comparator=white, specimen="t"),
    )
    derived = _count(*specimen).differentials[0].count
    assert (derived.low_open, derived.high_open) == opens
    assert derived.is_exact is (share is None and white is None)


def test_of_two_counts_that_agree_the_higher_stands() -> None:
    counts = [
        measured(Analyte.EOSINOPHILS, value, at(1), specimen="t", key=value) for value in ("700", "800")
    ]
    assert _count(*counts).counts == (Reading(Decimal(800), Decimal(800)),)


def test_no_leukocytes_at_all_do_not_contradict_a_percentage() -> None:
    assert not _count(percent(20, at(1), specimen="t"), leukocytes(0, at(1), specimen="t")).is_conflicting


def test_more_eosinophils_than_leukocytes_may_be_none() -> None:
    count = _count(eosinophils(3000, at(1), specimen="t"), leukocytes(1000, at(1), specimen="t"))
    assert count.counts == (Reading(Decimal(3000), Decimal(3000)), Reading(Decimal(0), Decimal(1000)))


def test_of_two_ranges_from_the_same_value_the_one_that_reaches_higher_is_the_higher() -> None:
    nothing, something = Reading(Decimal(0), Decimal(0)), Reading(Decimal(0), Decimal("0.5"))
    assert timeline._highest([something, nothing]) == something
    assert timeline._highest([nothing, something]) == something
    assert timeline._highest([something, Reading(Decimal(0), None)]) == Reading(Decimal(0), None)


@pytest.mark.parametrize(
    ("base", "value", "is_sign"),
    [("0.6", "0.899", False), ("0.6", "0.9", True), ("2.0", "2.49", False), ("2.0", "2.5", True)],
)
def test_creatinine_is_a_sign_from_half_a_milligram_or_half_as_much_more(
    base: str, value: str, *, is_sign: bool
) -> None:
    (sign,) = timeline_of(creatinine(base, at(0)), creatinine(value, at(1))).signs
    assert sign.positive is is_sign


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(alt(150, at(20)), alt(250, at(20)), id="values"),
        pytest.param(
            present(FindingCode.RASH, at(20)), present(FindingCode.RASH, at(20), surface=60), id="findings"
        ),
    ],
)
def test_two_statements_of_one_record_that_differ_are_a_conflict(
    one: FactArrived, other: FactArrived
) -> None:
    same = replace(other, version=replace(other.version, key=one.version.key))
    given = (dose("imatinib", at(0)), eosinophils(1600, at(20)))
    assert EpisodeFlag.CONFLICTING_EVIDENCE not in only_episode(*given, one).flags
    assert EpisodeFlag.CONFLICTING_EVIDENCE in only_episode(*given, one, same).flags


@pytest.mark.parametrize("specimen", ["t", "another"])
def test_a_count_that_was_derived_names_the_percentage_and_the_leukocytes(specimen: str) -> None:
    share, white = percent(15, at(20), specimen="t"), leukocytes(10000, at(20), specimen=specimen)
    assert set(_count(share, white).keys) == {share.version.key, white.version.key}
