"""Causality: what withdrawal, re-administration, other causes and earlier reactions show, and what silence does not."""

from dataclasses import replace

import pytest

from pv_stream.domain.actions import ClinicianVerdict
from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import (
    Comparator,
    DrugRole,
    FindingCode,
    Judgement,
    RechallengeOutcome,
    ReportedReaction,
    ReportOutcome,
)
from pv_stream.domain.criteria import Answer, WhoUmc
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Report, ReportedDrug
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import Instant, Interval
from pv_stream.engine.assess import assess
from tests.builders import (
    RULEBOOK,
    absent,
    alt,
    assessed,
    at,
    dose,
    eosinophils,
    event,
    facts_of,
    leukocytes,
    order,
    percent,
    present,
    statement,
    stop,
    temperature,
)
from tests.unit.rules.causality_cases import answer, last_causality

YES, NO, UNKNOWN = Answer
GIVEN = statement("imatinib", at(0))
STOPPED = stop("imatinib", at(22))
REACTION = (present(FindingCode.RASH, at(20)), eosinophils(1600, at(20)))
RESOLVED = FindingCode.REACTION_RESOLVED


# After the drug was given -----------------------------------------------------------------------------------------


def test_the_onset_came_after_the_first_dose() -> None:
    assert answer("after_administration", GIVEN, *REACTION) is YES


def test_orders_and_a_start_known_to_a_month_do_not_settle_it() -> None:
    assert answer("after_administration", order("imatinib", at(0)), *REACTION) is UNKNOWN
    month = dose("imatinib", Interval(at(0), at(21)))
    assert answer("after_administration", month, *REACTION) is UNKNOWN
    assert answer("after_administration", dose("imatinib", Interval(at(0), at(20))), *REACTION) is YES


def test_a_drug_begun_after_the_onset_did_not_start_it() -> None:
    later = (statement("dapsone", at(21)), eosinophils(1700, at(30)))
    assert answer("after_administration", GIVEN, *REACTION, *later, drug="dapsone") is NO
    assert last_causality(GIVEN, *REACTION, *later, drug="dapsone").who_umc is WhoUmc.UNLIKELY


# Withdrawal -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [RESOLVED, FindingCode.RASH_IMPROVED])
def test_an_improvement_documented_after_the_stop_is_a_positive_dechallenge(code: FindingCode) -> None:
    assert answer("dechallenge", GIVEN, *REACTION, STOPPED, present(code, at(25))) is YES


def test_signs_and_counts_documented_as_gone_are_one_too() -> None:
    gone = (absent(FindingCode.RASH, at(25)), eosinophils(400, at(25)))
    assert answer("dechallenge", GIVEN, *REACTION, STOPPED, *gone) is YES


def test_without_a_recorded_stop_nothing_is_known() -> None:
    assert answer("dechallenge", GIVEN, *REACTION, present(RESOLVED, at(25))) is UNKNOWN


def test_silence_after_the_stop_is_no_improvement() -> None:
    assert answer("dechallenge", GIVEN, *REACTION, STOPPED) is UNKNOWN


def test_an_improvement_before_the_stop_is_not_due_to_it() -> None:
    improved = present(FindingCode.RASH_IMPROVED, at(22, 7))
    assert answer("dechallenge", GIVEN, *REACTION, STOPPED, improved) is UNKNOWN


def test_a_stop_or_an_improvement_of_that_very_instant_counts() -> None:
    improved = present(FindingCode.RASH_IMPROVED, at(22))
    assert answer("dechallenge", GIVEN, *REACTION, stop("imatinib", at(20)), improved) is YES
    assert answer("dechallenge", GIVEN, *REACTION, STOPPED, improved) is YES
    gone = (absent(FindingCode.RASH, at(22)), eosinophils(400, at(22)))
    assert answer("dechallenge", GIVEN, *REACTION, STOPPED, *gone) is YES


def test_what_is_seen_at_the_restart_is_not_due_to_the_stop() -> None:
    again = statement("imatinib", at(36))
    rash = (present(FindingCode.RASH, at(30)), present(FindingCode.RASH, at(36)))
    assert answer("dechallenge", GIVEN, *REACTION, STOPPED, again, *rash) is UNKNOWN
    improved = present(FindingCode.RASH_IMPROVED, at(36))
    assert answer("dechallenge", GIVEN, *REACTION, STOPPED, again, rash[0], improved) is UNKNOWN
    gone = (absent(FindingCode.RASH, at(36)), eosinophils(400, at(36)))
    assert answer("dechallenge", GIVEN, *REACTION, STOPPED, again, rash[0], *gone) is UNKNOWN


def test_a_stop_before_the_onset_is_no_withdrawal() -> None:
    early = stop("imatinib", at(19))
    assert answer("dechallenge", GIVEN, *REACTION, early, present(RESOLVED, at(25))) is UNKNOWN


@pytest.mark.parametrize(("day", "expected"), [(35, UNKNOWN), (36, NO)])
def test_a_sign_14_days_after_the_stop_is_a_negative_dechallenge(day: int, expected: Answer) -> None:
    signs = (present(FindingCode.RASH, at(30)), present(FindingCode.RASH, at(day)))
    assert answer("dechallenge", GIVEN, *REACTION, STOPPED, *signs) is expected


def test_an_improvement_after_the_restart_is_not_due_to_the_stop() -> None:
    again = statement("imatinib", at(24))
    assert answer("dechallenge", GIVEN, *REACTION, STOPPED, again, present(RESOLVED, at(25))) is UNKNOWN


# Re-administration ------------------------------------------------------------------------------------------------

FIRST = (GIVEN, *REACTION, STOPPED, present(RESOLVED, at(30)))
AGAIN = statement("imatinib", at(60))


def test_a_later_episode_in_a_later_course_is_a_positive_rechallenge() -> None:
    events = (*FIRST, AGAIN, present(FindingCode.RASH, at(70)), eosinophils(1600, at(70)))
    assert answer("rechallenge", *events) is YES
    assert answer("similar_reaction", *events) is YES
    assert answer("dechallenge", *events) is YES, "that of the first episode"
    assert last_causality(*events).who_umc is WhoUmc.PROBABLE
    excluded = present(FindingCode.OTHER_CAUSES_EXCLUDED, at(71))
    assert last_causality(*events, excluded, stop("imatinib", at(72))).who_umc is WhoUmc.CERTAIN


def test_the_first_episode_is_not_judged_by_what_came_after_its_closing() -> None:
    events = (*FIRST, AGAIN, present(FindingCode.RASH, at(70)), eosinophils(1600, at(70)))
    assert answer("rechallenge", *FIRST, AGAIN) is UNKNOWN
    assert answer("rechallenge", *events[:4]) is UNKNOWN


#: A reaction to another drug between the two.
BETWEEN = (
    statement("dapsone", at(100)),
    present(FindingCode.RASH, at(120)),
    eosinophils(1600, at(120)),
    stop("dapsone", at(122)),
    present(RESOLVED, at(130)),
)


def test_a_reaction_to_another_drug_between_two_hides_neither_rechallenge_nor_dechallenge() -> None:
    again = (statement("imatinib", at(200)), present(FindingCode.RASH, at(210)), eosinophils(1600, at(210)))
    assert answer("rechallenge", *FIRST, *BETWEEN, *again) is YES
    assert answer("dechallenge", *FIRST, *BETWEEN, *again) is YES


def test_another_drug_in_the_second_episode_is_no_rechallenge() -> None:
    other = statement("dapsone", at(100))
    events = (*FIRST, other, present(FindingCode.RASH, at(120)), eosinophils(1600, at(120)))
    assert answer("rechallenge", *events, drug="dapsone") is UNKNOWN
    assert answer("similar_reaction", *events, drug="dapsone") is UNKNOWN


#: The reaction improves, the drug is given again before it is over.
IMPROVED = (
    GIVEN,
    *REACTION,
    STOPPED,
    present(FindingCode.RASH_IMPROVED, at(25)),
    statement("imatinib", at(27)),
)


def test_worse_again_within_the_episode_is_a_positive_rechallenge() -> None:
    assert answer("rechallenge", *IMPROVED, present(FindingCode.RASH, at(31))) is YES


def test_worse_again_without_an_improvement_before_is_none() -> None:
    unbroken = (GIVEN, *REACTION, STOPPED, statement("imatinib", at(27)), present(FindingCode.RASH, at(31)))
    assert answer("rechallenge", *unbroken) is UNKNOWN


def test_an_improvement_only_under_the_drug_given_again_makes_what_follows_no_rechallenge() -> None:
    again = (statement("imatinib", at(27)), present(FindingCode.RASH_IMPROVED, at(29)))
    events = (GIVEN, *REACTION, STOPPED, *again, present(FindingCode.RASH, at(31)))
    assert answer("rechallenge", *events) is UNKNOWN


@pytest.mark.parametrize("hour", [7, 8])
def test_what_is_seen_before_or_at_the_restart_is_not_due_to_it(hour: int) -> None:
    assert answer("rechallenge", *IMPROVED, present(FindingCode.RASH, at(27, hour))) is UNKNOWN


def test_a_relapse_in_the_same_course_is_no_rechallenge() -> None:
    first = (GIVEN, *REACTION, present(RESOLVED, at(30)))
    assert (
        answer("rechallenge", *first, present(FindingCode.RASH, at(50)), eosinophils(1600, at(50))) is UNKNOWN
    )


def test_a_drug_begun_after_an_improvement_was_not_given_again() -> None:
    improved = (GIVEN, *REACTION, STOPPED, present(FindingCode.RASH_IMPROVED, at(25)))
    new = (statement("dapsone", at(27)), present(FindingCode.RASH, at(31)))
    assert answer("rechallenge", *improved, *new, drug="dapsone") is UNKNOWN


def test_silence_under_the_drug_given_again_is_not_no_reaction() -> None:
    assert answer("rechallenge", *IMPROVED) is UNKNOWN
    assert answer("rechallenge", *IMPROVED, temperature("36.6", at(45))) is UNKNOWN


@pytest.mark.parametrize(("day", "expected"), [(40, UNKNOWN), (41, NO)])
def test_a_clear_skin_14_days_after_the_restart_says_no(day: int, expected: Answer) -> None:
    clear = absent(FindingCode.RASH, at(day))
    assert answer("rechallenge", *IMPROVED, clear) is expected
    if expected is NO:
        assert _evidence("rechallenge", *IMPROVED, clear) == (IMPROVED[-1].version.key, clear.version.key)


@pytest.mark.parametrize(("end", "expected"), [(at(41, 7, 59), UNKNOWN), (at(41), NO)])
def test_it_says_so_while_the_drug_lasts(end: Instant, expected: Answer) -> None:
    again = statement("imatinib", at(27), end=end)
    assert answer("rechallenge", *IMPROVED[:-1], again, absent(FindingCode.RASH, at(41))) is expected


def _evidence(item: str, *events: FactArrived) -> tuple[str, ...]:
    answered = last_causality(*events).naranjo.answered
    return next(one.evidence for one in answered if one.item == item)


def _specimen(day: int) -> tuple[FactArrived, FactArrived]:
    """Return a raised count that two facts make."""
    return percent(20, at(day), specimen="t"), leukocytes(8000, at(day), specimen="t")


def test_a_raised_count_is_proved_by_its_eosinophils_and_not_by_its_leukocytes() -> None:
    raised, white = _specimen(70)
    white = replace(white, version=replace(white.version, key=FactKey("lab:0")))
    assert white.version.key < raised.version.key
    assert _evidence("objective_evidence", *FIRST, AGAIN, raised, white) == (raised.version.key,)


def test_one_fact_of_a_specimen_is_named_as_evidence() -> None:
    again = _specimen(70)
    first = min(sent.version.key for sent in again)
    events = (*FIRST, AGAIN, *again)
    assert _evidence("rechallenge", *events) == (AGAIN.version.key, first)
    assert _evidence("objective_evidence", *events) == (first,)
    worse = _specimen(31)
    first = min(sent.version.key for sent in worse)
    assert _evidence("rechallenge", *IMPROVED, *worse) == (IMPROVED[-1].version.key, first)


def test_the_stop_and_what_followed_it_are_named() -> None:
    doses = (GIVEN, dose("imatinib", at(5)), dose("imatinib", at(10)), *REACTION, STOPPED)
    improved = present(FindingCode.RASH_IMPROVED, at(25))
    assert _evidence("dechallenge", *doses, improved) == (STOPPED.version.key, improved.version.key)
    signs = (present(FindingCode.RASH, at(30)), present(FindingCode.RASH, at(36)))
    assert _evidence("dechallenge", *doses, *signs) == (STOPPED.version.key, signs[1].version.key)


def test_one_fact_of_the_earlier_reaction_is_named() -> None:
    before = _specimen(20)
    events = (GIVEN, *before, STOPPED, present(RESOLVED, at(30)), AGAIN, *_specimen(70))
    assert _evidence("similar_reaction", *events) == (min(sent.version.key for sent in before),)


@pytest.mark.parametrize(("count", "expected"), [(699, NO), (700, UNKNOWN)])
def test_so_does_a_normal_count(count: int, expected: Answer) -> None:
    assert answer("rechallenge", *IMPROVED, eosinophils(count, at(41))) is expected


@pytest.mark.parametrize(
    ("comparator", "value", "expected"),
    [
        (Comparator.LESS, 700, NO),
        (Comparator.LESS_OR_EQUAL, 700, UNKNOWN),
        (Comparator.GREATER, 100, UNKNOWN),
    ],
)
def test_a_count_sent_as_a_bound_is_normal_only_where_it_must_be(
    comparator: Comparator, value: int, expected: Answer
) -> None:
    count = eosinophils(value, at(41), comparator=comparator)
    assert answer("rechallenge", *IMPROVED, count) is expected


def test_a_feature_that_is_absent_is_no_clear_skin() -> None:
    assert answer("rechallenge", *IMPROVED, absent(FindingCode.SCALING, at(41))) is UNKNOWN


def test_a_normal_count_under_masking_says_nothing() -> None:
    events = (*IMPROVED, dose("reslizumab", at(35)), eosinophils(300, at(41)))
    assert answer("rechallenge", *events) is UNKNOWN


def test_what_is_seen_after_the_drug_was_stopped_again_says_nothing_of_it() -> None:
    stopped = (stop("imatinib", at(30)), absent(FindingCode.RASH, at(41)))
    assert answer("rechallenge", *IMPROVED, *stopped) is UNKNOWN


def _report(
    rechallenge: RechallengeOutcome,
    role: DrugRole = DrugRole.SUSPECT,
    reaction: ReportedReaction = ReportedReaction.DRESS,
) -> FactArrived:
    drugs = (ReportedDrug("imatinib", role, rechallenge),)
    return event(Report(reaction, None, ReportOutcome.UNKNOWN, drugs), at(20), key="report")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (RechallengeOutcome.RECURRED, YES),
        (RechallengeOutcome.DID_NOT_RECUR, NO),
        (RechallengeOutcome.OUTCOME_UNKNOWN, UNKNOWN),
        (RechallengeOutcome.NOT_APPLICABLE, UNKNOWN),
    ],
)
def test_a_reported_rechallenge_counts(outcome: RechallengeOutcome, expected: Answer) -> None:
    assert answer("rechallenge", GIVEN, *REACTION, _report(outcome)) is expected


def test_a_report_speaks_for_the_drug_beside_other_reports_and_other_drugs() -> None:
    other = event(
        Report(ReportedReaction.OTHER, None, ReportOutcome.UNKNOWN, ()), at(20, 7), key="another report"
    )
    drugs = (
        ReportedDrug("dapsone", DrugRole.SUSPECT, RechallengeOutcome.OUTCOME_UNKNOWN),
        ReportedDrug("imatinib", DrugRole.SUSPECT, RechallengeOutcome.RECURRED),
    )
    content = Report(ReportedReaction.DRESS, None, ReportOutcome.UNKNOWN, drugs)
    assert answer("rechallenge", GIVEN, *REACTION, other, event(content, at(20, 9), key="report")) is YES


def test_a_report_about_a_drug_not_administered_says_nothing() -> None:
    report = _report(RechallengeOutcome.RECURRED, DrugRole.NOT_ADMINISTERED)
    assert answer("rechallenge", GIVEN, *REACTION, report) is UNKNOWN


def test_what_a_report_says_of_other_drugs_is_not_said_of_this_one() -> None:
    drugs = tuple(
        ReportedDrug(name, DrugRole.SUSPECT, RechallengeOutcome.RECURRED)
        for name in ("prednisone", "dapsone")
    )
    content = Report(ReportedReaction.DRESS, None, ReportOutcome.UNKNOWN, drugs)
    assert answer("rechallenge", GIVEN, *REACTION, event(content, at(20), key="report")) is UNKNOWN


def test_a_report_from_the_closing_on_says_nothing_of_the_closed_episode() -> None:
    drugs = (ReportedDrug("imatinib", DrugRole.SUSPECT, RechallengeOutcome.RECURRED),)
    content = Report(ReportedReaction.DRESS, None, ReportOutcome.UNKNOWN, drugs)
    first, _ = assessed(*FIRST, event(content, at(44), key="report")).episodes
    answered = {one.item for one in first.criteria.causality[0].naranjo.answered}
    assert "rechallenge" not in answered


def test_a_report_of_another_reaction_says_nothing_of_this_one() -> None:
    report = _report(RechallengeOutcome.RECURRED, reaction=ReportedReaction.OTHER)
    assert answer("rechallenge", GIVEN, *REACTION, report) is UNKNOWN


# Other causes -----------------------------------------------------------------------------------------------------


def test_other_causes_are_excluded_only_where_that_is_documented() -> None:
    excluded = present(FindingCode.OTHER_CAUSES_EXCLUDED, at(21))
    assert answer("alternative_causes", GIVEN, *REACTION) is UNKNOWN
    assert answer("alternative_causes", GIVEN, *REACTION, excluded) is NO


@pytest.mark.parametrize(
    "cause",
    [
        absent(FindingCode.OTHER_CAUSES_EXCLUDED, at(21)),
        present(FindingCode.ANA, at(21)),
        present(FindingCode.BLOOD_CULTURE, at(21)),
        present(FindingCode.HEPATITIS_SEROLOGY, at(21)),
        present(FindingCode.CHLAMYDIA_MYCOPLASMA, at(21)),
    ],
    ids=lambda cause: cause.version.key.split(":")[1],
)
def test_a_recorded_cause_is_another_explanation(cause: FactArrived) -> None:
    excluded = present(FindingCode.OTHER_CAUSES_EXCLUDED, at(22))
    assert answer("alternative_causes", GIVEN, *REACTION, excluded, cause) is YES


def test_a_drug_as_suspect_is_another_explanation_and_a_less_suspect_one_leaves_it_open() -> None:
    excluded = present(FindingCode.OTHER_CAUSES_EXCLUDED, at(22))
    equal, less = statement("dapsone", at(5)), statement("dapsone", at(17))
    assert answer("alternative_causes", GIVEN, *REACTION, excluded, equal) is YES
    assert answer("alternative_causes", GIVEN, *REACTION, excluded, less) is UNKNOWN
    assert answer("alternative_causes", GIVEN, *REACTION, excluded, less, drug="dapsone") is YES


def test_the_other_drug_of_one_product_is_no_other_explanation() -> None:
    excluded = present(FindingCode.OTHER_CAUSES_EXCLUDED, at(22))
    product = statement("empagliflozin/metformin", at(0))
    for drug in ("empagliflozin", "metformin"):
        assert answer("alternative_causes", product, *REACTION, excluded, drug=drug) is NO


# Earlier reactions and objective evidence -------------------------------------------------------------------------


def test_a_reaction_under_a_cross_reactive_drug_is_a_similar_one() -> None:
    first = (statement("phenytoin", at(0)), *REACTION, stop("phenytoin", at(22)), present(RESOLVED, at(30)))
    second = (
        statement("lamotrigine", at(100)),
        present(FindingCode.RASH, at(120)),
        eosinophils(1600, at(120)),
    )
    assert answer("similar_reaction", *first, *second, drug="lamotrigine") is YES


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (eosinophils(700, at(21)), YES),
        (eosinophils(699, at(21)), UNKNOWN),
        (temperature("38.0", at(21)), YES),
        (alt(100, at(21)), YES),
        (present(FindingCode.BIOPSY_SUGGESTS_DRESS, at(21)), YES),
        (present(FindingCode.LIVER_INVOLVEMENT, at(21)), UNKNOWN),
    ],
    ids=lambda value: str(getattr(getattr(value, "version", value), "key", value)),
)
def test_a_value_or_a_biopsy_is_objective_evidence(evidence: FactArrived, expected: Answer) -> None:
    assert answer("objective_evidence", GIVEN, present(FindingCode.RASH, at(20)), evidence) is expected


# What contradicts itself ------------------------------------------------------------------------------------------


def test_a_drug_of_unknown_latency_needs_more_data_and_one_that_contradicts_itself_cannot_be_assessed() -> (
    None
):
    ordered = order("imatinib", at(0))
    assert last_causality(ordered, *REACTION).who_umc is WhoUmc.CONDITIONAL
    other = event(
        order("imatinib", at(0), end=at(9)).version.statement.content, at(0), key=ordered.version.key
    )
    assert last_causality(ordered, other, *REACTION).who_umc is WhoUmc.UNASSESSABLE


def test_a_reaction_that_a_clinician_refuted_makes_the_next_course_no_rechallenge() -> None:
    again = (statement("imatinib", at(100)), present(FindingCode.RASH, at(120)), eosinophils(1600, at(120)))
    events = (GIVEN, *REACTION, STOPPED, present(RESOLVED, at(25)), *again)
    refuted = ClinicianVerdict(Judgement.REFUTED, tuple(sent.version.key for sent in REACTION), Tier.WARNING)
    answers = []
    for verdicts in ((), (refuted,)):
        (causality,) = assess(facts_of(events), RULEBOOK, verdicts).episodes[-1].criteria.causality
        answers.append(
            {one.item: one.answer for one in causality.naranjo.answered}.get("rechallenge", UNKNOWN)
        )
    assert answers == [YES, UNKNOWN]
