"""Recurrence: the classes, their precedence, and what establishes an episode."""

import pytest

from pv_stream.domain.assessment import EpisodeAssessment, EstablishedBy, RecurrenceClass, Tier
from pv_stream.domain.codes import FindingCode
from pv_stream.domain.events import FactArrived
from tests.builders import assessed, at, dose, eosinophils, present, stop, temperature

RECHALLENGE, CROSS, NEW = (
    RecurrenceClass.RECHALLENGE,
    RecurrenceClass.CROSS_REACTIVE,
    RecurrenceClass.NEW_CULPRIT,
)
RELAPSE, REPEAT = RecurrenceClass.RELAPSE_WITHOUT_DRUG, RecurrenceClass.REPEAT


def _course(drug: str, day: int) -> list[FactArrived]:
    return [dose(drug, at(day)), dose(drug, at(day + 7)), dose(drug, at(day + 14)), stop(drug, at(day + 15))]


def _severe(day: int) -> list[FactArrived]:
    """A reaction with a RegiSCAR score of 2 or more: established."""
    return [
        eosinophils(2000, at(day)),
        temperature("39", at(day)),
        present(FindingCode.RASH, at(day), surface=60),
        present(FindingCode.REACTION_RESOLVED, at(day + 5)),
    ]


def _mild(day: int) -> list[FactArrived]:
    """A reaction that alerts and scores below 2."""
    return [
        eosinophils(2100, at(day)),
        temperature("38", at(day)),
        present(FindingCode.REACTION_RESOLVED, at(day + 5)),
    ]


def _skin(day: int) -> list[FactArrived]:
    return [present(FindingCode.RASH, at(day)), present(FindingCode.REACTION_RESOLVED, at(day + 5))]


def _episodes(*parts: list[FactArrived]) -> tuple[EpisodeAssessment, ...]:
    return assessed(*(sent for part in parts for sent in part)).episodes


def _primary(*parts: list[FactArrived]) -> tuple[RecurrenceClass, tuple[RecurrenceClass, ...]]:
    finding = _episodes(*parts)[-1].recurrence
    assert finding is not None
    return finding.primary, finding.contributing


FIRST = [*_course("imatinib", 0), *_severe(15)]


def test_a_warning_with_a_score_of_two_is_established_and_one_below_is_not() -> None:
    (severe,) = _episodes(FIRST)
    assert (severe.score.total.current, severe.established_by) == (2, EstablishedBy.SCORE)
    (mild,) = _episodes(_course("imatinib", 0), _mild(15))
    assert (mild.tier, mild.established_by) == (Tier.WARNING, None)


def test_the_same_drug_again_is_a_rechallenge_of_the_earlier_episode() -> None:
    first, second = _episodes(FIRST, _course("imatinib", 100), _mild(110))
    assert first.recurrence is None
    assert second.recurrence is not None
    assert (second.recurrence.primary, second.recurrence.of_episode) == (RECHALLENGE, 0)
    assert second.recurrence.interval_days == 95
    assert (second.tier, second.established_by) == (Tier.CRITICAL, EstablishedBy.RECHALLENGE)


def test_a_cross_reactive_drug_is_the_next_class() -> None:
    primary, contributing = _primary(
        [*_course("phenytoin", 0), *_severe(15)], _course("carbamazepine", 100), _mild(110)
    )
    assert (primary, contributing) == (CROSS, ())


def test_another_drug_is_a_new_culprit() -> None:
    assert _primary(FIRST, _course("allopurinol", 100), _mild(110)) == (NEW, ())


def test_zonisamide_is_not_of_the_class() -> None:
    parts = ([*_course("phenytoin", 0), *_severe(15)], _course("zonisamide", 100), _mild(110))
    assert _primary(*parts) == (NEW, ())


def test_of_several_classes_the_first_in_precedence_is_primary_and_the_others_contribute() -> None:
    both = (_course("phenytoin", 100), _course("carbamazepine", 100), _course("allopurinol", 100))
    assert _primary([*_course("phenytoin", 0), *_severe(15)], *both, _mild(110)) == (
        RECHALLENGE,
        (CROSS, NEW),
    )
    assert _primary([*_course("phenytoin", 0), *_severe(15)], *both[1:], _mild(110)) == (CROSS, (NEW,))


def test_without_a_new_drug_it_is_a_relapse() -> None:
    events = [dose("imatinib", at(day)) for day in range(0, 60, 7)]
    assert _primary(events, _severe(15), _mild(40)) == (RELAPSE, ())


def test_a_rechallenge_of_any_earlier_episode_counts_not_just_of_the_last() -> None:
    second = [*_course("allopurinol", 100), *_severe(115)]
    episodes = _episodes(FIRST, second, _course("imatinib", 200), _mild(210))
    finding = episodes[-1].recurrence
    assert finding is not None
    assert (finding.primary, finding.of_episode) == (RECHALLENGE, 0)


@pytest.mark.parametrize(
    "earlier", [pytest.param(_mild(15), id="mild"), pytest.param(_skin(15), id="candidate")]
)
def test_what_was_not_established_is_so_once_the_drug_caused_a_published_episode_again(
    earlier: list[FactArrived],
) -> None:
    first, second = _episodes(_course("imatinib", 0), earlier, _course("imatinib", 100), _mild(110))
    assert (first.established_by, second.established_by) == (
        EstablishedBy.RECHALLENGE,
        EstablishedBy.RECHALLENGE,
    )
    assert second.tier is Tier.CRITICAL


def test_a_candidate_again_establishes_nothing() -> None:
    first, second = _episodes(_course("imatinib", 0), _mild(15), _course("imatinib", 100), _skin(110))
    assert (first.established_by, second.established_by, second.recurrence) == (None, None, None)


def test_without_an_established_predecessor_it_is_a_repeat_at_its_own_tier() -> None:
    _, second = _episodes(_course("imatinib", 0), _mild(15), _course("allopurinol", 100), _mild(110))
    assert second.recurrence is not None
    assert (second.recurrence.primary, second.recurrence.interval_days, second.tier) == (REPEAT, 95, Tier.WARNING)


def test_the_imatinib_case_is_a_rechallenge_at_1690() -> None:
    """Case Rep Oncol 2021;14:1548: a skin reaction at two weeks, restart, 1,690/uL two months after the restart."""
    before = [dose("imatinib", at(day)) for day in range(0, 14, 7)]
    reaction = [
        present(FindingCode.FACIAL_OEDEMA, at(14)),
        present(FindingCode.RASH, at(14)),
        stop("imatinib", at(14)),
        present(FindingCode.REACTION_RESOLVED, at(30)),
    ]
    again = [dose("imatinib", at(day)) for day in range(40, 100, 7)]
    _, second = _episodes(
        before, reaction, again, [eosinophils(1690, at(100)), present(FindingCode.RASH, at(100))]
    )
    assert second.recurrence is not None
    assert (second.recurrence.primary, second.tier) == (RECHALLENGE, Tier.CRITICAL)
    assert second.culprits[0].latency_days == 60
