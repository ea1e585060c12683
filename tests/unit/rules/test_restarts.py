"""Restarts: each row of the table for a drug that was ordered or given again, and what warns of nothing."""

import pytest

from pv_stream.domain.actions import ClinicianVerdict
from pv_stream.domain.assessment import Relation, RestartAssessment, Tier
from pv_stream.domain.codes import FindingCode, Judgement, ReportedReaction
from pv_stream.domain.events import FactArrived
from pv_stream.domain.times import Interval
from pv_stream.engine.assess import assess
from pv_stream.rules.reasons import restart_reason
from tests.builders import (
    RULEBOOK,
    assessed,
    at,
    dose,
    eosinophils,
    facts_of,
    order,
    present,
    reported,
    statement,
    stop,
    temperature,
)


def _given(drug: str, day: int = 0) -> list[FactArrived]:
    return [statement(drug, at(day)), stop(drug, at(day + 25))]


ESTABLISHED = [
    eosinophils(2000, at(20)),
    temperature("39", at(20)),
    present(FindingCode.RASH, at(20), surface=60),
    present(FindingCode.REACTION_RESOLVED, at(30)),
]
PUBLISHED = [eosinophils(1600, at(20)), present(FindingCode.REACTION_RESOLVED, at(30))]
CANDIDATE = [present(FindingCode.RASH, at(20)), present(FindingCode.REACTION_RESOLVED, at(30))]


def _restarts(*parts: list[FactArrived] | FactArrived) -> tuple[RestartAssessment, ...]:
    events = [sent for part in parts for sent in (part if isinstance(part, list) else [part])]
    return assessed(*events).restarts


def _judged(*parts: list[FactArrived] | FactArrived) -> tuple[Relation, Tier] | None:
    restarts = _restarts(*parts)
    return None if not restarts else (restarts[-1].relation, restarts[-1].tier)


SAME, UNSETTLED, CROSS = Relation.SAME, Relation.CANDIDATE, Relation.CROSS_REACTIVE


@pytest.mark.parametrize(
    ("reaction", "expected"),
    [
        pytest.param(ESTABLISHED, (SAME, Tier.CRITICAL), id="established"),
        pytest.param(PUBLISHED, (SAME, Tier.WARNING), id="published"),
        pytest.param(CANDIDATE, (UNSETTLED, Tier.WARNING), id="candidate"),
    ],
)
@pytest.mark.parametrize(
    "again", [order("phenytoin", at(60)), dose("phenytoin", at(60))], ids=["order", "dose"]
)
def test_the_culprit_again(
    reaction: list[FactArrived], again: FactArrived, expected: tuple[Relation, Tier]
) -> None:
    assert _judged(_given("phenytoin"), reaction, again) == expected


@pytest.mark.parametrize(
    ("reaction", "expected"),
    [
        pytest.param(
            ESTABLISHED,
            "a likely culprit of an earlier reaction of this patient that is established as DRESS",
        ),
        pytest.param(PUBLISHED, "a suspect drug of an earlier reaction of this patient"),
    ],
    ids=["established", "published"],
)
def test_the_sentence_tells_an_established_reaction_from_another(
    reaction: list[FactArrived], expected: str
) -> None:
    (restart,) = _restarts(_given("phenytoin"), reaction, order("phenytoin", at(60)))
    assert restart_reason(restart) == f"Phenytoin was ordered: {expected}."


@pytest.mark.parametrize(
    ("reaction", "expected"),
    [
        pytest.param(ESTABLISHED, (CROSS, Tier.WARNING), id="established"),
        pytest.param(PUBLISHED, (CROSS, Tier.INFO), id="published"),
        pytest.param(CANDIDATE, None, id="candidate"),
    ],
)
def test_a_cross_reactive_drug_started(
    reaction: list[FactArrived], expected: tuple[Relation, Tier] | None
) -> None:
    assert _judged(_given("phenytoin"), reaction, order("carbamazepine", at(60))) == expected


def test_zonisamide_and_drugs_of_no_class_warn_of_nothing() -> None:
    for drug in ("zonisamide", "allopurinol"):
        assert _restarts(_given("phenytoin"), ESTABLISHED, order(drug, at(60))) == ()


def test_a_less_likely_suspect_of_an_established_episode_warns() -> None:
    both = [*_given("phenytoin"), order("allopurinol", at(0)), stop("allopurinol", at(25))]
    assert _judged(both, ESTABLISHED, order("allopurinol", at(60))) == (SAME, Tier.WARNING)


def test_equals_of_the_first_rank_are_both_critical() -> None:
    both = [*_given("phenytoin"), *_given("allopurinol", 5)]
    assert _judged(both, ESTABLISHED, order("allopurinol", at(60))) == (SAME, Tier.CRITICAL)


def test_one_warning_for_each_course_of_the_last_of_equally_urgent_episodes() -> None:
    later = [
        *_given("phenytoin", 100),
        present(FindingCode.RASH, at(120)),
        present(FindingCode.REACTION_RESOLVED, at(130)),
    ]
    restarts = _restarts(_given("phenytoin"), ESTABLISHED, later, order("phenytoin", at(200)))
    assert [(r.started_at, r.tier, r.prior) for r in restarts] == [
        (at(100), Tier.CRITICAL, 0),
        (at(200), Tier.CRITICAL, 1),
    ]


def test_a_drug_that_merely_goes_on_is_not_restarted() -> None:
    goes_on = [dose("phenytoin", at(day)) for day in range(0, 60, 7)]
    assert _restarts(goes_on, ESTABLISHED) == ()


@pytest.mark.parametrize(("day", "restarts"), [(27, 0), (28, 1)])
def test_a_gap_longer_than_a_week_is_a_new_course(day: int, restarts: int) -> None:
    doses = [dose("phenytoin", at(6)), dose("phenytoin", at(13)), dose("phenytoin", at(20))]
    assert len(_restarts(doses, ESTABLISHED[:-1], dose("phenytoin", at(day)))) == restarts


def test_a_course_from_before_the_reaction_warns_of_nothing() -> None:
    assert _restarts(_given("phenytoin"), statement("carbamazepine", at(10)), ESTABLISHED) == ()


def test_the_warning_names_drug_code_start_and_records() -> None:
    again = order("imatinib", at(60), end=at(70))
    (restart,) = _restarts(_given("imatinib"), ESTABLISHED, again)
    assert (restart.drug, restart.rxnorm, restart.started_at) == ("imatinib", "282388", at(60))
    assert (restart.course, restart.given_until, restart.reacted) == ((again.version.key,), at(70), False)


def test_a_reaction_in_the_new_course_is_known() -> None:
    again = [statement("imatinib", at(60)), eosinophils(2500, at(80))]
    (restart,) = _restarts(_given("imatinib"), ESTABLISHED, again)
    assert restart.reacted


def test_a_cross_reactive_drug_started_during_the_episode_warns() -> None:
    assert _judged(_given("phenytoin"), ESTABLISHED[:-1], order("carbamazepine", at(22))) == (
        CROSS,
        Tier.WARNING,
    )


# Named by a person -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [order("allopurinol", at(60)), dose("allopurinol", at(60))])
def test_a_drug_that_a_report_of_dress_names_is_critical_whatever_its_rank(again: FactArrived) -> None:
    named = reported(at(20), "allopurinol")
    assert _judged(_given("phenytoin"), ESTABLISHED, named, again) == (SAME, Tier.CRITICAL)
    assert _judged(named, again) == (SAME, Tier.CRITICAL)


def test_a_drug_that_a_report_of_another_reaction_names_warns() -> None:
    named = reported(at(20), "allopurinol", reaction=ReportedReaction.OTHER)
    again = order("allopurinol", at(60))
    assert _judged(_given("phenytoin"), ESTABLISHED, named, again) == (SAME, Tier.WARNING)
    assert _judged(named, again) is None


@pytest.mark.parametrize(("day", "warns"), [(19, False), (20, False), (21, True), (4000, True)])
def test_of_a_drug_that_only_a_report_names_any_course_after_the_onset_is_a_restart(
    day: int, *, warns: bool
) -> None:
    onset = Interval(at(20, 0), at(20, 23))
    assert bool(_restarts(reported(onset, "allopurinol"), dose("allopurinol", at(day)))) is warns


def test_a_culprit_that_merely_goes_on_after_the_report_is_not_restarted() -> None:
    goes_on = [dose("allopurinol", at(day)) for day in range(0, 60, 7)]
    assert _restarts(goes_on, reported(at(20), "allopurinol")) == ()


def test_a_partner_of_a_drug_that_a_report_names_warns() -> None:
    assert _judged(reported(at(20), "phenytoin"), order("lamotrigine", at(90))) == (CROSS, Tier.WARNING)


# Products ----------------------------------------------------------------------------------------------------------

PRODUCT = [statement("empagliflozin/metformin", at(0), end=at(25))]


def test_one_start_of_a_product_is_one_warning() -> None:
    again = order("empagliflozin/metformin", at(60), end=at(70))
    (restart,) = _restarts(PRODUCT, ESTABLISHED, again)
    assert (restart.drugs, restart.drug) == (("empagliflozin", "metformin"), "empagliflozin/metformin")
    assert (restart.rxnorm, restart.relation, restart.tier) == (None, SAME, Tier.CRITICAL)
    assert (restart.course, restart.given_until) == ((again.version.key,), at(70))


def test_a_product_of_which_one_part_goes_on_has_no_known_end() -> None:
    again = order("empagliflozin/metformin", at(60), end=at(70))
    (restart,) = _restarts(PRODUCT, ESTABLISHED, again, statement("metformin", at(65)))
    assert restart.given_until is None


def test_a_product_given_again_has_the_records_of_each_of_its_drugs_and_the_reaction_under_either() -> None:
    again = order("empagliflozin/metformin", at(60), end=at(70))
    alone = [dose("metformin", at(day)) for day in range(66, 121, 6)]
    under_one = (eosinophils(2000, at(118)), temperature("39", at(118)))
    (restart,) = _restarts(PRODUCT, ESTABLISHED, again, alone, *under_one)
    assert set(restart.course) == {again.version.key, *(sent.version.key for sent in alone)}
    assert restart.reacted


def test_a_reaction_outside_the_window_of_the_restart_is_none_under_it() -> None:
    again = [dose("phenytoin", at(60)), stop("phenytoin", at(61))]
    other = [statement("allopurinol", at(180)), eosinophils(2000, at(200)), temperature("39", at(200))]
    (restart,) = _restarts(_given("phenytoin"), ESTABLISHED, again, other)
    assert not restart.reacted


def test_only_the_ingredients_that_the_reaction_is_due_to_are_named() -> None:
    (restart,) = _restarts(_given("metformin"), ESTABLISHED, order("empagliflozin/metformin", at(60)))
    assert (restart.drugs, restart.rxnorm, restart.relation) == (("metformin",), "6809", SAME)


@pytest.mark.parametrize("drug", ["empagliflozin", "metformin"])
@pytest.mark.parametrize(
    ("reaction", "tier"),
    [
        pytest.param(ESTABLISHED, Tier.CRITICAL, id="established"),
        pytest.param(PUBLISHED, Tier.WARNING, id="published"),
        pytest.param(CANDIDATE, Tier.WARNING, id="candidate"),
    ],
)
def test_one_drug_of_a_product_alone_is_ambiguous(drug: str, reaction: list[FactArrived], tier: Tier) -> None:
    assert _judged(PRODUCT, reaction, order(drug, at(60))) == (Relation.AMBIGUOUS, tier)


def test_two_drugs_that_were_given_apart_are_not_ambiguous() -> None:
    apart = [*_given("empagliflozin"), *_given("metformin", 1)]
    assert _judged(apart, ESTABLISHED, order("metformin", at(60))) == (SAME, Tier.CRITICAL)


def test_the_part_of_a_product_that_a_report_names_is_ambiguous_and_critical() -> None:
    named = reported(at(20), "metformin")
    assert _judged(PRODUCT, PUBLISHED, named, order("metformin", at(60))) == (
        Relation.AMBIGUOUS,
        Tier.CRITICAL,
    )


def test_a_refuted_reaction_does_not_hide_the_later_one() -> None:
    second = [
        *_given("phenytoin", 100),
        eosinophils(2000, at(120)),
        temperature("39", at(120)),
        present(FindingCode.RASH, at(120), surface=60),
        present(FindingCode.REACTION_RESOLVED, at(130)),
    ]
    facts = facts_of([*_given("phenytoin"), *PUBLISHED, *second, order("phenytoin", at(200))])
    refuted = ClinicianVerdict(Judgement.REFUTED, (PUBLISHED[0].version.key,), Tier.WARNING)
    last = assess(facts, RULEBOOK, [refuted]).restarts[-1]
    assert (last.started_at, last.prior, last.tier) == (at(200), 1, Tier.CRITICAL)


# Instants that coincide ---------------------------------------------------------------------------------------------


def test_a_partner_of_the_instant_of_the_opening_was_not_started_after_it() -> None:
    events = [*_given("phenytoin"), *ESTABLISHED[:3]]
    assert _judged(events, order("carbamazepine", at(20))) is None
    assert _judged(events, order("carbamazepine", at(20, 9))) == (CROSS, Tier.WARNING)


def test_a_reaction_of_the_instant_of_the_restart_is_one_under_it() -> None:
    again = (order("phenytoin", at(60)), eosinophils(2000, at(60)))
    assert [restart.reacted for restart in _restarts(_given("phenytoin"), ESTABLISHED, *again)] == [True]
    before = (order("phenytoin", at(60, 9)), eosinophils(2000, at(60)))
    assert [restart.reacted for restart in _restarts(_given("phenytoin"), ESTABLISHED, *before)] == [False]


def test_of_two_earlier_episodes_of_one_urgency_the_surer_is_named() -> None:
    candidate = [present(FindingCode.RASH, at(120)), present(FindingCode.REACTION_RESOLVED, at(130))]
    courses = [*_given("phenytoin"), *_given("phenytoin", 100), order("phenytoin", at(160))]
    last = _restarts(courses, PUBLISHED, candidate)[-1]
    assert (last.relation, last.tier, last.prior) == (SAME, Tier.WARNING, 0)
