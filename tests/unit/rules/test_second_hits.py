"""Second hits: what counts as worse after a cross-reactive drug was begun in an open episode."""

import pytest

from pv_stream.domain.assessment import EpisodeAssessment, EpisodeFlag, NamedBy, RecurrenceClass, Tier
from pv_stream.domain.codes import FindingCode
from pv_stream.domain.events import FactArrived
from tests.builders import (
    alt,
    assessed,
    at,
    eosinophils,
    order,
    present,
    reported,
    statement,
    stop,
    temperature,
)

#: A reaction under carbamazepine, published and not established.
REACTION = (
    statement("carbamazepine", at(0)),
    present(FindingCode.RASH, at(20)),
    eosinophils(1600, at(20, 9)),
    alt(400, at(20, 10)),
    stop("carbamazepine", at(20, 11)),
)
PARTNER = order("lamotrigine", at(22))


def _first(*events: FactArrived) -> EpisodeAssessment:
    return assessed(*REACTION, *events).episodes[0]


@pytest.mark.parametrize(
    ("worse", "is_hit"),
    [
        pytest.param(temperature("38.0", at(23)), True, id="new fever"),
        pytest.param(present(FindingCode.FACIAL_OEDEMA, at(23)), True, id="new sign"),
        pytest.param(eosinophils(1601, at(23)), True, id="higher count"),
        pytest.param(eosinophils(1600, at(23)), False, id="same count"),
        pytest.param(alt(401, at(23)), True, id="higher organ value"),
        pytest.param(alt(400, at(23)), False, id="same organ value"),
        pytest.param(present(FindingCode.RASH, at(23)), False, id="same sign"),
        pytest.param(reported(at(23), "carbamazepine"), False, id="a report"),
        pytest.param(eosinophils(1601, at(22, 7)), False, id="before the drug"),
        pytest.param(eosinophils(1601, at(22, 8)), False, id="with the drug"),
        pytest.param(eosinophils(1601, at(22, 9)), True, id="an hour after the drug"),
    ],
)
def test_worse_is_a_new_sign_or_a_higher_count_or_organ_value(worse: FactArrived, *, is_hit: bool) -> None:
    flags = _first(PARTNER, worse).flags
    assert (EpisodeFlag.SECOND_HIT in flags) is is_hit


def test_the_highest_count_before_the_drug_is_what_a_later_one_must_exceed() -> None:
    falling = (eosinophils(2000, at(20, 12)), eosinophils(1600, at(21)))
    assert EpisodeFlag.SECOND_HIT not in _first(*falling, PARTNER, eosinophils(1700, at(23))).flags
    assert EpisodeFlag.SECOND_HIT in _first(*falling, PARTNER, eosinophils(2001, at(23))).flags


def test_a_higher_fever_is_no_new_sign() -> None:
    fever = temperature("38.5", at(21))
    assert EpisodeFlag.SECOND_HIT not in _first(fever, PARTNER, temperature("40", at(23))).flags


def test_it_is_critical_once_the_episode_is_established() -> None:
    worse = (PARTNER, eosinophils(1601, at(23)))
    assert _first(*worse).tier is Tier.WARNING
    established = _first(*worse, reported(at(20), "carbamazepine", serious=False))
    assert established.tier is Tier.CRITICAL


def test_a_partner_joins_the_suspects_at_once_and_ranks_last() -> None:
    culprits = _first(PARTNER).culprits
    assert [(c.drug, c.rank, c.named_by) for c in culprits] == [
        ("carbamazepine", 1, (NamedBy.FACTS,)),
        ("lamotrigine", 2, (NamedBy.FACTS,)),
    ]


def test_a_partner_of_a_drug_that_a_report_names_joins_too() -> None:
    (episode,) = assessed(reported(at(20), "carbamazepine"), PARTNER).episodes
    assert {c.drug for c in episode.culprits} == {"carbamazepine", "lamotrigine"}


@pytest.mark.parametrize("drug", ["zonisamide", "allopurinol"], ids=["associated only", "of no class"])
def test_a_drug_outside_the_class_does_not_join(drug: str) -> None:
    assert [c.drug for c in _first(order(drug, at(22))).culprits] == ["carbamazepine"]


@pytest.mark.parametrize(("day", "joins"), [(29, True), (30, False), (31, False)])
def test_a_partner_joins_only_while_the_episode_is_not_resolved(day: int, *, joins: bool) -> None:
    resolved = present(FindingCode.REACTION_RESOLVED, at(30))
    drugs = [c.drug for c in _first(resolved, order("lamotrigine", at(day))).culprits]
    assert ("lamotrigine" in drugs) is joins


def test_a_partner_of_a_candidate_does_not_join() -> None:
    (candidate,) = assessed(
        statement("carbamazepine", at(0)), present(FindingCode.RASH, at(20)), PARTNER
    ).episodes
    assert [c.drug for c in candidate.culprits] == ["carbamazepine"]


def test_a_drug_that_only_joined_explains_no_recurrence() -> None:
    """Carbamazepine is begun again after the second reaction under phenytoin: nothing was seen under it."""
    events = [
        reported(at(20), "carbamazepine"),
        present(FindingCode.REACTION_RESOLVED, at(25)),
        statement("phenytoin", at(60)),
        present(FindingCode.RASH, at(80)),
        eosinophils(1600, at(80)),
        order("carbamazepine", at(82)),
    ]
    _, second = assessed(*REACTION, *events).episodes
    assert {c.drug for c in second.culprits} == {"carbamazepine", "phenytoin"}
    assert second.recurrence is not None
    assert second.recurrence.primary is RecurrenceClass.CROSS_REACTIVE


def test_a_drug_of_another_class_or_of_the_instant_of_the_opening_is_no_second_hit() -> None:
    worse = eosinophils(2000, at(25))
    begun = {
        "lamotrigine": [at(20), at(20, 9)],
        "imatinib": [at(20), at(20, 9), at(22)],
    }
    hits = {
        (drug, when): EpisodeFlag.SECOND_HIT in _first(order(drug, when), worse).flags
        for drug, times in begun.items()
        for when in times
    }
    assert [key for key, is_hit in hits.items() if is_hit] == [("lamotrigine", at(20, 9))]
