"""Reports: what a report of DRESS opens or joins, whom it blames, and what another reaction adds."""

import pytest

from pv_stream.domain.assessment import (
    EpisodeFlag,
    EstablishedBy,
    ExposureState,
    Latency,
    NamedBy,
    RecurrenceClass,
    Tier,
)
from pv_stream.domain.codes import DrugRole, FindingCode, RechallengeOutcome, ReportedReaction
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Report
from pv_stream.domain.times import Interval, exactly
from pv_stream.rules.reports import placed, watching
from pv_stream.rules.timeline import Dated
from tests.builders import (
    RULEBOOK,
    assessed,
    at,
    corrected,
    dose,
    eosinophils,
    only_episode,
    present,
    reported,
    retracted,
    statement,
    stop,
    timeline_of,
)

OTHER = ReportedReaction.OTHER


@pytest.mark.parametrize(
    ("serious", "tier", "rule"),
    [
        (True, Tier.CRITICAL, "reported_serious_dress"),
        (False, Tier.WARNING, "reported_dress"),
        (None, Tier.WARNING, "reported_dress"),
    ],
)
def test_a_report_of_dress_opens_an_established_episode_without_any_drug(
    serious: bool | None,  # noqa: FBT001 - a parameter of the test
    tier: Tier,
    rule: str,
) -> None:
    episode = only_episode(reported(at(20), serious=serious))
    assert (episode.tier, episode.rule, episode.established_by) == (tier, rule, EstablishedBy.REPORT)
    assert (episode.onset, episode.culprits) == (at(20), ())


def test_a_report_of_another_reaction_opens_nothing() -> None:
    assert assessed(reported(at(20), "imatinib", reaction=OTHER, serious=True)).episodes == ()


def test_a_report_of_another_reaction_names_a_listed_drug_beside_one_that_is_not() -> None:
    events = [statement("imatinib", at(0)), eosinophils(1600, at(20)), present(FindingCode.RASH, at(20))]
    named = only_episode(*events, reported(at(20), "aspirin", "imatinib", reaction=OTHER)).culprits
    assert [(culprit.drug, culprit.named_by) for culprit in named] == [
        ("imatinib", (NamedBy.FACTS, NamedBy.OTHER_REPORT))
    ]


def test_a_report_does_not_lower_what_the_facts_reach() -> None:
    events = [statement("imatinib", at(0)), present(FindingCode.RASH, at(20)), eosinophils(1600, at(20, 9))]
    assert only_episode(*events, reported(at(20))).rule == "count_at_threshold_with_sign"


@pytest.mark.parametrize(
    ("role", "is_blamed"),
    [
        (DrugRole.SUSPECT, True),
        (DrugRole.INTERACTING, True),
        (DrugRole.CONCOMITANT, False),
        (DrugRole.NOT_ADMINISTERED, False),
    ],
)
def test_only_suspect_and_interacting_drugs_are_blamed(role: DrugRole, *, is_blamed: bool) -> None:
    """E2B(R3) G.k.1."""
    episode = only_episode(reported(at(20), "imatinib", role=role))
    assert [culprit.drug for culprit in episode.culprits] == (["imatinib"] if is_blamed else [])


def test_a_drug_that_only_a_report_names_says_so() -> None:
    report = reported(at(20), "imatinib")
    (culprit,) = only_episode(report).culprits
    assert (culprit.rank, culprit.latency, culprit.latency_days) == (1, Latency.UNKNOWN, None)
    assert (culprit.exposure, culprit.latency_days) == (ExposureState.UNKNOWN, None)
    assert (culprit.evidence, culprit.named_by) == ((report.version.key,), (NamedBy.REPORTER,))


def test_reporter_and_facts_are_shown_beside_each_other_the_facts_first() -> None:
    episode = only_episode(
        statement("imatinib", at(0)),
        present(FindingCode.RASH, at(20)),
        reported(at(20, 9), "allopurinol", "imatinib"),
    )
    assert [(c.drug, c.rank, c.named_by) for c in episode.culprits] == [
        ("imatinib", 1, (NamedBy.FACTS, NamedBy.REPORTER)),
        ("allopurinol", 2, (NamedBy.REPORTER,)),
    ]


def test_a_product_is_blamed_by_its_ingredients_a_brand_by_its_drug_and_a_treatment_never() -> None:
    episode = only_episode(reported(at(20), "co-trimoxazole", "gleevec", "prednisone"))
    assert [culprit.drug for culprit in episode.culprits] == ["imatinib", "sulfamethoxazole", "trimethoprim"]


def test_an_unlisted_drug_is_blamed_by_the_name_sent_and_watched_from_then_on() -> None:
    events = [dose("strontium", at(0)), reported(at(20), "strontium")]
    assert [culprit.latency_days for culprit in only_episode(*events).culprits] == [20]
    (restart,) = assessed(*events, dose("strontium", at(400))).restarts
    assert (restart.drugs, restart.rxnorm, restart.tier) == (("strontium",), None, Tier.CRITICAL)


def test_without_an_unlisted_drug_the_rulebook_stays_as_it_is() -> None:
    assert watching(frozenset({"imatinib"}), RULEBOOK) is RULEBOOK


def test_an_onset_known_to_the_month_is_that_of_the_first_evidence_in_it() -> None:
    month = Interval(at(0, 0), at(30, 0))
    others = [exactly(at(-1)), exactly(at(12)), exactly(at(20))]
    assert placed(_dated(month), others) == exactly(at(12))
    for edge in (at(0, 0), at(30, 0)):
        assert placed(_dated(month), [exactly(edge)]) == exactly(edge)
    assert placed(_dated(month), [exactly(at(31))]) == month


def _dated(when: Interval) -> Dated[Report]:
    (dated,) = timeline_of(reported(when)).reports
    return dated


def test_a_report_known_to_the_day_joins_the_signs_of_the_day() -> None:
    day = Interval(at(20, 0), at(20, 23))
    episode = only_episode(
        statement("imatinib", at(0)), present(FindingCode.RASH, at(20, 9)), reported(day, "imatinib")
    )
    assert (episode.onset, episode.culprits[0].latency_days) == (at(20, 9), 20)


@pytest.mark.parametrize(("day", "joins"), [(33, True), (34, True), (140, True), (141, False)])
def test_signs_after_a_reported_onset_belong_to_it_unless_the_patient_was_lost(
    day: int, *, joins: bool
) -> None:
    """Silence is no resolution: lost after 60 days without data, opened again within as many."""
    rash = present(FindingCode.RASH, at(day))
    first, *_ = assessed(reported(at(20), "imatinib"), rash).episodes
    assert (rash.version.key in first.members) is joins


def test_a_reported_onset_long_after_the_last_data_is_assessed() -> None:
    events = [
        statement("imatinib", at(0)),
        eosinophils(1600, at(20)),
        present(FindingCode.RASH, at(20)),
        dose("allopurinol", at(30)),
        reported(at(50), "allopurinol"),
    ]
    assert [episode.onset for episode in assessed(*events).episodes] == [at(20)]


def test_a_report_after_a_documented_resolution_is_a_recurrence() -> None:
    events = [
        statement("imatinib", at(0)),
        stop("imatinib", at(21)),
        reported(at(20), "imatinib"),
        present(FindingCode.REACTION_RESOLVED, at(30)),
        reported(at(40), "allopurinol"),
    ]
    _, second = assessed(*events).episodes
    assert second.recurrence is not None
    assert (second.recurrence.primary, second.tier) == (RecurrenceClass.NEW_CULPRIT, Tier.CRITICAL)


def test_a_reported_rechallenge_that_recurred_is_one_without_any_drug_record() -> None:
    first, resolved = reported(at(20), "imatinib"), present(FindingCode.REACTION_RESOLVED, at(30))
    recurred = reported(at(400), "imatinib", rechallenge=RechallengeOutcome.RECURRED)
    again = reported(at(400), "imatinib", rechallenge=RechallengeOutcome.OUTCOME_UNKNOWN)
    assert _primary(first, resolved, recurred) is RecurrenceClass.RECHALLENGE
    assert _primary(first, resolved, again) is RecurrenceClass.RELAPSE_WITHOUT_DRUG


def test_a_later_report_of_a_drug_begun_again_meanwhile_is_a_rechallenge_also_outside_its_window() -> None:
    events = [
        dose("imatinib", at(0)),
        reported(at(20), "imatinib"),
        present(FindingCode.REACTION_RESOLVED, at(30)),
    ]
    again = dose("imatinib", at(100))
    assert _primary(*events, again, reported(at(300), "imatinib")) is RecurrenceClass.RECHALLENGE
    assert _primary(*events, reported(at(300), "imatinib")) is RecurrenceClass.RELAPSE_WITHOUT_DRUG


def _primary(*events: FactArrived) -> RecurrenceClass:
    finding = assessed(*events).episodes[-1].recurrence
    assert finding is not None
    return finding.primary


@pytest.mark.parametrize(("day", "joins"), [(19, False), (20, True), (22, True), (23, False)])
def test_another_reaction_reported_on_a_day_of_the_episode_adds_its_suspects(
    day: int, *, joins: bool
) -> None:
    episode = only_episode(
        statement("imatinib", at(0)),
        present(FindingCode.RASH, at(20, 9)),
        eosinophils(1600, at(22, 9)),
        reported(at(day, 20), "allopurinol", "strontium", reaction=OTHER),
    )
    named = [(c.drug, c.named_by) for c in episode.culprits[1:]]
    assert named == ([("allopurinol", (NamedBy.OTHER_REPORT,))] if joins else [])


def test_a_drug_blamed_by_both_kinds_of_report_is_named_by_the_one_of_dress() -> None:
    episode = only_episode(reported(at(20), "imatinib"), reported(at(20), "imatinib", reaction=OTHER))
    assert [c.named_by for c in episode.culprits] == [(NamedBy.REPORTER,)]


def test_a_nullified_report_says_nothing_and_an_amended_one_what_it_says_now() -> None:
    report = reported(at(20), "imatinib", serious=True)
    assert assessed(report, retracted(report)).episodes == ()
    amended = corrected(report, reported(at(20), "allopurinol").version.statement.content)
    episode = only_episode(report, amended)
    assert (episode.tier, [c.drug for c in episode.culprits]) == (Tier.WARNING, ["allopurinol"])


def test_versions_of_equal_rank_that_differ_are_both_heard_and_flagged() -> None:
    report = reported(at(20), "imatinib", serious=True)
    other = reported(at(20), "allopurinol")
    episode = only_episode(report, other)
    assert EpisodeFlag.CONFLICTING_EVIDENCE in episode.flags
    assert (episode.tier, [c.drug for c in episode.culprits]) == (Tier.CRITICAL, ["allopurinol", "imatinib"])
