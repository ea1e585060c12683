"""Eosinophils: counts, guarded percentages, derived counts, conflicts; each at, below and above its boundary."""

from decimal import Decimal

import pytest

from pv_stream.domain.codes import Comparator, FindingCode
from pv_stream.domain.events import FactArrived
from pv_stream.rules import regiscar
from pv_stream.rules.items import is_positive
from pv_stream.rules.timeline import EosinophilCount
from tests.builders import (
    RULEBOOK,
    assessed,
    at,
    corrected,
    dose,
    eosinophils,
    leukocytes,
    levels_of,
    only_episode,
    percent,
    present,
    resent,
    statement,
    timeline_of,
)
from tests.unit.rules.scenes import PARAMETERS, document_all, levels

LOW, MIDDLE, HIGH = regiscar.EOSINOPHILS.levels
TUBE = "tube-1"


def _levels(*events: FactArrived) -> tuple[tuple[str, ...], str | None]:
    return levels(regiscar.EOSINOPHILS, *events)


def _specimen(
    *, count: str | None = None, share: str | None = None, white: str | None = None, specimen: str = TUBE
) -> list[FactArrived]:
    return [
        *([eosinophils(count, at(1), specimen=specimen)] if count is not None else []),
        *([percent(share, at(1), specimen=specimen)] if share is not None else []),
        *([leukocytes(white, at(1), specimen=specimen)] if white is not None else []),
    ]


def _count(*events: FactArrived) -> EosinophilCount:
    (count,) = timeline_of(*events).counts
    return count


# Absolute counts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("0", LOW),
        ("699", LOW),
        ("699.9", LOW),
        ("700", MIDDLE),
        ("1499", MIDDLE),
        ("1499.9", MIDDLE),
        ("1500", HIGH),
    ],
)
def test_a_count_is_on_the_level_of_the_table(value: str, level: str) -> None:
    assert _levels(eosinophils(value, at(1))) == ((level,), level)


@pytest.mark.parametrize(
    ("value", "comparator", "possible", "current"),
    [
        ("700", Comparator.LESS, (LOW,), LOW),
        ("700", Comparator.LESS_OR_EQUAL, (LOW, MIDDLE), None),
        ("1500", Comparator.LESS, (LOW, MIDDLE), None),
        ("1500", Comparator.LESS_OR_EQUAL, (LOW, MIDDLE, HIGH), None),
        ("1500", Comparator.GREATER_OR_EQUAL, (HIGH,), HIGH),
        ("1500", Comparator.GREATER, (HIGH,), HIGH),
        ("1499", Comparator.GREATER, (MIDDLE, HIGH), None),
        ("500", Comparator.GREATER, (LOW, MIDDLE, HIGH), None),
    ],
)
def test_a_bound_leaves_open_what_it_leaves_open(
    value: str, comparator: Comparator, possible: tuple[str, ...], current: str | None
) -> None:
    assert _levels(eosinophils(value, at(1), comparator=comparator)) == (possible, current)


def test_a_lower_bound_scores_at_least_what_it_proves() -> None:
    score = regiscar.score(document_all(eosinophils("1499", at(1), comparator=Comparator.GREATER)))
    (item,) = (item for item in score.items if item.item == regiscar.EOSINOPHILS.name)
    assert (item.points.worst, item.points.current, item.points.best) == (1, 1, 2)


def test_the_peak_counts_and_a_later_normal_count_does_not_lower_it() -> None:
    assert _levels(eosinophils(1600, at(1)), eosinophils(100, at(5))) == ((HIGH,), HIGH)
    assert _levels(eosinophils(100, at(1)), eosinophils(800, at(5))) == ((MIDDLE,), MIDDLE)


# Percentages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("white", "share", "level"),
    [
        ("3999", "9.9", LOW),
        ("3999", "10", MIDDLE),
        ("3999", "19.9", MIDDLE),
        ("3999", "20", HIGH),
        ("3999", "100", HIGH),
        ("4000", "17", LOW),
        ("4000", "10", LOW),
        ("4001", "17", LOW),
        ("900", "20", HIGH),
    ],
)
def test_a_percentage_counts_only_below_four_thousand_leukocytes(white: str, share: str, level: str) -> None:
    assert _levels(*_specimen(share=share, white=white)) == ((level,), level)


def test_above_the_guard_the_derived_count_decides() -> None:
    assert _levels(*_specimen(share="17.5", white="4000")) == ((MIDDLE,), MIDDLE)
    assert _levels(*_specimen(share="20", white="7500")) == ((HIGH,), HIGH)


@pytest.mark.parametrize(
    ("share", "bound", "white", "white_bound", "possible", "current"),
    [
        pytest.param("20", Comparator.LESS, "3000", None, (LOW, MIDDLE), None, id="< 20 % of 3,000"),
        pytest.param("10", Comparator.LESS, "3000", None, (LOW,), LOW, id="< 10 % of 3,000"),
        pytest.param(
            "10", Comparator.LESS_OR_EQUAL, "3000", None, (LOW, MIDDLE), None, id="<= 10 % of 3,000"
        ),
        pytest.param("12", None, "4500", Comparator.LESS, (LOW, MIDDLE), None, id="12 % of < 4,500"),
        pytest.param("12", None, "4000", Comparator.LESS, (MIDDLE,), MIDDLE, id="12 % of < 4,000"),
    ],
)
def test_a_percentage_that_is_a_bound_leaves_open_what_it_leaves_open(
    share: str,
    bound: Comparator | None,
    white: str,
    white_bound: Comparator | None,
    possible: tuple[str, ...],
    current: str | None,
) -> None:
    events = (
        percent(share, at(1), specimen=TUBE, comparator=bound),
        leukocytes(white, at(1), specimen=TUBE, comparator=white_bound),
    )
    assert _levels(*events) == (possible, current)


def test_count_and_percentage_are_alternatives_and_the_higher_level_counts() -> None:
    assert _levels(*_specimen(count="780", share="20", white="3900")) == ((HIGH,), HIGH)


def test_a_percentage_without_leukocytes_says_nothing_now_but_may_count() -> None:
    assert _levels(percent("50", at(1)))[1] is None
    assert timeline_of(percent("50", at(1))).counts[0].alert is None


def test_a_normal_count_with_a_percentage_without_leukocytes_leaves_the_percentage_open() -> None:
    assert _levels(*_specimen(count="500", share="25")) == ((LOW, MIDDLE, HIGH), LOW)


# Leukocytes of another specimen ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "borrowed"), [(23, True), (24, True), (25, False)])
def test_leukocytes_of_another_specimen_count_within_a_day_and_are_flagged(
    hours: int, *, borrowed: bool
) -> None:
    count = _count(percent("20", at(1, 0)), leukocytes(3000, at(1, hours)))
    assert count.leukocytes_from_elsewhere is borrowed
    assert (count.current is not None) is borrowed


def test_of_several_the_nearest_leukocytes_count() -> None:
    count = _count(percent("20", at(1, 12)), leukocytes(9000, at(1, 0)), leukocytes(3000, at(1, 20)))
    assert count.current is not None
    assert count.current.low == 600


def test_the_own_specimen_is_preferred_to_a_nearer_one() -> None:
    own = [percent("20", at(1), specimen=TUBE), leukocytes(3000, at(1), specimen=TUBE)]
    count = _count(*own, leukocytes(9000, at(1)))
    assert not count.leukocytes_from_elsewhere
    assert count.current is not None
    assert count.current.low == 600


def test_an_alert_from_borrowed_leukocytes_says_so() -> None:
    events = (dose("imatinib", at(0)), percent("20", at(20)), leukocytes(9000, at(20, 10)))
    assert only_episode(*events).flags == ("leukocytes_from_another_specimen",)


def test_a_count_without_a_specimen_stands_alone_even_at_the_same_time() -> None:
    together = timeline_of(eosinophils(920, at(1)), percent("20", at(1)), leukocytes(4600, at(1)))
    assert len(together.counts) == 2


def test_a_specimen_id_that_is_used_again_is_another_specimen() -> None:
    again = timeline_of(eosinophils(920, at(1), specimen=TUBE), percent("90", at(9), specimen=TUBE))
    assert len(again.counts) == 2


# Measured against derived ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "conflicting"),
    [("1600", False), ("1599", True), ("6400", False), ("6401", True), ("3200", False)],
)
def test_measured_and_derived_conflict_beyond_a_factor_of_two(count: str, *, conflicting: bool) -> None:
    assert _count(*_specimen(count=count, share="40", white="8000")).is_conflicting is conflicting


def test_below_the_table_a_disagreement_does_not_matter() -> None:
    assert not _count(*_specimen(count="100", share="5", white="8000")).is_conflicting
    assert _count(*_specimen(count="100", share="8.75", white="8000")).is_conflicting


def test_in_a_conflict_the_alert_takes_the_worse_the_score_the_measured_and_worst_the_lower() -> None:
    events = _specimen(count="500", share="20", white="8000")
    count = _count(*events)
    assert count.alert is not None
    assert count.alert.low == 1600
    assert _levels(*events) == ((LOW, MIDDLE, HIGH), LOW)


def test_the_bundle_101_of_fhir_is_one_point() -> None:
    """WBC 4.6, eosinophils 20 % and 0.92 x10*9/L: the percentage is not below the guard, the count decides."""
    events = _specimen(count="920", share="20", white="4600")
    assert _levels(*events) == ((MIDDLE,), MIDDLE)
    assert not _count(*events).is_conflicting


def test_more_eosinophils_than_leukocytes_of_one_specimen_are_conflicting() -> None:
    """Each is believable in a message of its own; together one is wrong, and any count up to all is possible."""
    events = _specimen(count="1500", white="1499")
    count = _count(*events)
    assert count.is_conflicting
    assert count.current == count.alert
    assert _levels(*events) == ((LOW, MIDDLE, HIGH), HIGH)
    assert not _count(*_specimen(count="1500", white="1500")).is_conflicting


def test_the_nist_message_is_not_conflicting_and_its_copy_with_8000_leukocytes_is() -> None:
    """2.1 10*3/uL measured; 2 % of 105,600 is 2,112, and 2 % of 8,000 is 160."""
    nist = _count(*_specimen(count="2100", share="2", white="105600"))
    assert (nist.is_conflicting, nist.current, nist.alert) == (False, nist.current, nist.current)
    assert nist.differentials[0].count.low == Decimal(2112)
    copy = _count(*_specimen(count="2100", share="2", white="8000"))
    assert copy.is_conflicting


def test_versions_that_tie_with_different_values_conflict_and_the_alert_takes_the_higher() -> None:
    one = eosinophils(600, at(20))
    other = eosinophils(1600, at(20))
    episode = only_episode(dose("imatinib", at(0)), one, other)
    assert episode.flags == ("conflicting_evidence",)
    assert episode.eosinophils_per_ul == 1600
    assert levels_of(episode)["eosinophils"] == (LOW, MIDDLE, HIGH)


def test_derived_counts_are_exact() -> None:
    count = _count(*_specimen(share="0.0000001", white="999999.999999999"))
    assert count.current is not None
    assert count.current.low == Decimal("0.000999999999999999")


# Positive evidence ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "positive"),
    [
        pytest.param(_specimen(count="699"), False, id="699"),
        pytest.param(_specimen(count="700"), True, id="700"),
        pytest.param(_specimen(share="10", white="3999"), True, id="10 % of 3,999"),
        pytest.param(_specimen(share="10", white="4000"), False, id="10 % of 4,000"),
        pytest.param(_specimen(share="9.9", white="3999"), False, id="9.9 % of 3,999"),
        pytest.param(_specimen(share="50"), False, id="50 % without leukocytes"),
    ],
)
def test_a_specimen_is_evidence_from_the_lower_bound_of_the_table(
    events: list[FactArrived],
    *,
    positive: bool,
) -> None:
    assert is_positive(_count(*events), PARAMETERS) is positive


def test_the_thresholds_are_those_of_the_rulebook() -> None:
    assert PARAMETERS is RULEBOOK.parameters


def test_a_corrected_count_replaces_the_first() -> None:
    first = eosinophils(1690, at(20))
    lowered = corrected(first, eosinophils(169, at(20)).version.statement.content)
    assert assessed(dose("imatinib", at(0)), first, lowered).episodes == ()
    assert assessed(dose("imatinib", at(0)), lowered, resent(first, received_at=at(30))).episodes == ()


@pytest.mark.parametrize(
    ("value", "comparator", "peak"),
    [
        (800, Comparator.LESS, None),
        (1, Comparator.GREATER, 1),
        (0, Comparator.GREATER, None),
        (0, None, 0),
    ],
)
def test_a_count_known_only_to_be_below_something_is_no_peak(
    value: int, comparator: Comparator | None, peak: int | None
) -> None:
    skin_and_organ = (
        statement("imatinib", at(0)),
        present(FindingCode.RASH, at(20)),
        present(FindingCode.LIVER_INVOLVEMENT, at(20)),
    )
    assert (
        only_episode(*skin_and_organ, eosinophils(value, at(20), comparator=comparator)).eosinophils_per_ul
        == peak
    )
