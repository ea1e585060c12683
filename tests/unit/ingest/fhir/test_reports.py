"""FHIR: AdverseEvents, DRESS as a diagnosis, and allergies that remember it."""

from typing import Any

import pytest

from pv_stream.domain.codes import DrugRole, ExposureKind, HoldCode, ReportedReaction, ReportOutcome, Status
from pv_stream.domain.facts import Exposure, FactVersion, Report, ReportedDrug, Statement
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import exactly, parse_instant
from pv_stream.engine.assess import assess
from pv_stream.engine.join import join_fact
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason, RejectCode
from tests.unit.ingest.fhir.fhir_messages import (
    DRESS,
    ICD10CM,
    RASH,
    RXNORM,
    SNOMED,
    adverse_event,
    allergy,
    concept,
    condition,
    findings,
    reports,
    verified,
)
from tests.unit.ingest.messages import as_json, bundle, facts, fixture, hold, is_retraction, medication, only

IMATINIB = ReportedDrug("imatinib", DrugRole.SUSPECT)
CARBAMAZEPINE = ReportedDrug("carbamazepine", DrugRole.SUSPECT)


def test_an_adverse_event_is_a_report_with_its_drug(intake: Intake) -> None:
    outcome = read_fhir(as_json(adverse_event()), intake)
    assert reports(outcome) == [
        Report(ReportedReaction.DRESS, serious=True, outcome=ReportOutcome.NOT_RECOVERED, drugs=(IMATINIB,))
    ]
    assert only(outcome).version.statement.effective.earliest == parse_instant("2021-04-10T06:00:00Z")
    assert outcome.parts == {("AdverseEvent", Fate.FACT): 1, ("Medication", Fate.CONTEXT): 1}


@pytest.mark.parametrize(
    ("code", "serious"),
    [
        ("Serious", True),
        ("serious", True),
        ("SeriousResultsInDeath", True),
        ("Non-serious", False),
        ("non-serious", False),
        ("other", None),
        ("", None),
    ],
)
def test_seriousness_is_what_is_said(intake: Intake, code: str, serious: bool | None) -> None:  # noqa: FBT001
    (report,) = reports(read_fhir(as_json(adverse_event(seriousness=concept(code))), intake))
    assert report.serious is serious


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("resolved", ReportOutcome.RECOVERED),
        ("recovering", ReportOutcome.RECOVERING),
        ("ongoing", ReportOutcome.NOT_RECOVERED),
        ("resolvedWithSequelae", ReportOutcome.RECOVERED_WITH_SEQUELAE),
        ("fatal", ReportOutcome.FATAL),
        ("unknown", ReportOutcome.UNKNOWN),
        ("odd", ReportOutcome.UNKNOWN),
    ],
)
def test_the_outcome_of_an_adverse_event(intake: Intake, code: str, expected: ReportOutcome) -> None:
    (report,) = reports(read_fhir(as_json(adverse_event(outcome=concept(code))), intake))
    assert report.outcome is expected


def test_another_reaction_is_a_report_of_another_and_a_rash_is_a_sign_too(intake: Intake) -> None:
    outcome = read_fhir(as_json(adverse_event(RASH)), intake)
    assert [report.reaction for report in reports(outcome)] == [ReportedReaction.OTHER]
    assert findings(outcome) == {"rash": "present"}


def test_dress_may_be_named_by_the_resulting_condition(intake: Intake) -> None:
    event = adverse_event("304386008", resultingCondition=[{"reference": "Condition/c"}], date=None)
    diagnosis = condition("D72.12", ICD10CM, id="c")
    (first, *_) = reports(read_fhir(bundle(event, diagnosis), intake))
    assert first.reaction is ReportedReaction.DRESS
    doubtful = diagnosis | {"verificationStatus": verified("provisional")}
    (first, *_) = reports(read_fhir(bundle(event, doubtful), intake))
    assert first.reaction is ReportedReaction.OTHER


@pytest.mark.parametrize("actuality", ["potential", None, "odd"])
def test_what_only_might_have_happened_is_counted(intake: Intake, actuality: str | None) -> None:
    outcome = read_fhir(as_json(adverse_event(actuality=actuality)), intake)
    assert outcome.events == []
    assert outcome.ignored == {IgnoreReason.STATUS_NOT_USED: 1}


@pytest.mark.parametrize(
    ("causality", "role"),
    [
        (["Probable"], DrugRole.SUSPECT),
        (["Unlikely"], DrugRole.CONCOMITANT),
        (["unlikely", "Certain"], DrugRole.SUSPECT),
        ([], DrugRole.SUSPECT),
    ],
)
def test_a_drug_that_all_call_unlikely_is_named_but_not_blamed(
    intake: Intake, causality: list[str], role: DrugRole
) -> None:
    suspect = {
        "instance": {"reference": "#m"},
        "causality": [{"assessment": concept(each)} for each in causality],
    }
    (report,) = reports(read_fhir(as_json(adverse_event(suspectEntity=[suspect])), intake))
    assert report.drugs == (ReportedDrug("imatinib", role),)


@pytest.mark.parametrize("kind", ["MedicationAdministration", "MedicationStatement", "MedicationRequest"])
def test_a_suspect_may_be_what_was_given(intake: Intake, kind: str) -> None:
    event = adverse_event(suspectEntity=[{"instance": {"reference": f"{kind}/m1"}}])
    given = medication(kind, intent="order", authoredOn="2021-03-01")
    (report,) = reports(read_fhir(bundle(event, given), intake))
    assert report.drugs == (IMATINIB,)


def test_more_suspects_than_any_report_names_are_refused(intake: Intake) -> None:
    for count, code in ((512, None), (513, RejectCode.TOO_COMPLEX)):
        suspects = [{"instance": {"display": "Imatinib"}}] * count
        outcome = read_fhir(as_json(adverse_event(suspectEntity=suspects)), intake)
        assert [reject.code for reject in outcome.rejects] == ([] if code is None else [code])
        assert bool(outcome.events) == (code is None)


def test_a_suspect_that_is_elsewhere_or_on_no_list_is_counted_and_never_guessed(intake: Intake) -> None:
    suspects = [
        {"instance": {"reference": "Medication/in-another-file", "display": "Imatinib (somebody's note)"}},
        {"instance": {"display": "aspirin"}},
        {"instance": {"display": "Imatinib"}},
    ]
    outcome = read_fhir(as_json(adverse_event(suspectEntity=suspects)), intake)
    assert reports(outcome)[0].drugs == (IMATINIB,)
    assert outcome.ignored[IgnoreReason.DRUG_NOT_LISTED] >= 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"date": None, "detected": "2021-04-09T06:00:00Z"}, "2021-04-09T06:00:00Z"),
        ({"date": None, "recordedDate": "2021-04-08T06:00:00Z"}, "2021-04-08T06:00:00Z"),
    ],
)
def test_the_time_of_an_event_is_when_it_happened_else_was_found(
    intake: Intake, changes: dict[str, Any], expected: str
) -> None:
    event = only(read_fhir(as_json(adverse_event(**changes)), intake))
    assert event.version.statement.effective.earliest == parse_instant(expected)


def test_an_event_without_any_time_is_held(intake: Intake) -> None:
    assert hold(read_fhir(as_json(adverse_event(date=None)), intake)) is HoldCode.MISSING_TIME


def test_an_event_of_a_group_is_nobodys(intake: Intake) -> None:
    outcome = read_fhir(as_json(adverse_event(subject={"reference": "Group/g"})), intake)
    assert [each.code for each in outcome.rejects] == [RejectCode.MISSING_PATIENT]


# DRESS as a diagnosis ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "system"), [(DRESS, SNOMED), ("702810006", SNOMED), ("D72.12", ICD10CM)])
def test_a_condition_may_be_dress_itself(intake: Intake, code: str, system: str) -> None:
    outcome = read_fhir(as_json(condition(code, system)), intake)
    assert reports(outcome) == [Report(ReportedReaction.DRESS, None, ReportOutcome.NOT_RECOVERED, ())]


def test_what_a_condition_is_due_to_is_blamed(intake: Intake) -> None:
    due = {
        "url": "http://hl7.org/fhir/StructureDefinition/condition-dueTo",
        "valueCodeableConcept": concept("2002", RXNORM),
    }
    (report,) = reports(read_fhir(as_json(condition(DRESS, extension=[due])), intake))
    assert report.drugs == (CARBAMAZEPINE,)


@pytest.mark.parametrize("status", ["refuted", "entered-in-error", "provisional"])
def test_a_diagnosis_that_no_longer_holds_takes_back_the_report(intake: Intake, status: str) -> None:
    later = {"lastUpdated": "2021-04-13T08:00:00Z"}
    said = only(read_fhir(as_json(condition(DRESS)), intake)).version
    taken = only(
        read_fhir(as_json(condition(DRESS, verificationStatus=verified(status), meta=later)), intake)
    )
    assert is_retraction(taken)
    assert join_fact(join_fact(None, taken.version), said).order.status is Status.RETRACTED


# Allergies ---------------------------------------------------------------------------------------------------------


def test_an_allergy_remembers_dress_and_its_drug(intake: Intake) -> None:
    outcome = read_fhir(as_json(allergy()), intake)
    assert reports(outcome) == [Report(ReportedReaction.DRESS, None, ReportOutcome.UNKNOWN, (CARBAMAZEPINE,))]
    effective = only(outcome).version.statement.effective
    assert effective.earliest == parse_instant("2018-12-31T10:00:00Z")
    assert effective.latest == parse_instant("2020-01-01T11:59:59.999999Z")


def test_a_remembered_dress_warns_when_its_drug_is_given_again(intake: Intake) -> None:
    memory = only(read_fhir(as_json(allergy()), intake)).version
    given = FactVersion(
        FactKey("again"),
        memory.order,
        Statement(
            Exposure(ExposureKind.ADMINISTRATION, ("carbamazepine",)),
            exactly(parse_instant("2021-04-12T00:00:00Z")),
        ),
        memory.provenance,
    )
    found = {version.key: join_fact(None, version) for version in (memory, given)}
    (restart,) = assess(found, intake.rulebook).restarts
    assert restart.drug == "carbamazepine"


@pytest.mark.parametrize(
    "changes", [{"lastOccurrence": "2020-02-02T00:00:00Z"}, {"onsetDateTime": "2020-02-02T00:00:00Z"}]
)
def test_without_an_onset_of_the_reaction_the_last_occurrence_or_the_onset_of_the_allergy_counts(
    intake: Intake, changes: dict[str, Any]
) -> None:
    resource = allergy(reaction=[{"manifestation": [concept(DRESS)]}], **changes)
    effective = only(read_fhir(as_json(resource), intake)).version.statement.effective
    assert effective == exactly(parse_instant("2020-02-02T00:00:00Z"))


def test_a_reaction_of_which_only_the_recording_is_known_was_some_time_before(intake: Intake) -> None:
    """Its recording is not its onset: what follows is a reaction of its own, and the drug given since a restart."""
    resource = allergy(reaction=[{"manifestation": [concept(DRESS)]}])
    effective = only(read_fhir(as_json(resource), intake)).version.statement.effective
    assert effective.earliest < parse_instant("1920-01-01T00:00:00Z")
    assert effective.latest == parse_instant("2021-04-11T06:00:00Z")


@pytest.mark.parametrize(
    ("status", "taken"), [("refuted", True), ("entered-in-error", True), ("unconfirmed", False), ("confirmed", False)]
)  # fmt: skip
def test_an_allergy_counts_until_it_is_refuted(intake: Intake, status: str, *, taken: bool) -> None:
    event = only(read_fhir(as_json(allergy(verificationStatus=verified(status))), intake))
    assert is_retraction(event) is taken
    assert event.version.key == only(read_fhir(as_json(allergy()), intake)).version.key


def test_the_substance_of_the_reaction_counts_before_the_class(intake: Intake) -> None:
    reaction = [{"manifestation": [concept(DRESS)], "substance": concept("282388", RXNORM)}]
    (report,) = reports(read_fhir(as_json(allergy(reaction=reaction)), intake))
    assert report.drugs == (IMATINIB,)


def test_an_allergy_whose_code_is_dress_remembers_it_without_a_drug(intake: Intake) -> None:
    (report,) = reports(read_fhir(as_json(allergy(code=concept(DRESS), reaction=None)), intake))
    assert (report.reaction, report.drugs) == (ReportedReaction.DRESS, ())


def test_another_allergy_is_counted(intake: Intake) -> None:
    outcome = read_fhir(as_json(allergy("39579001")), intake)
    assert (outcome.events, outcome.ignored) == ([], {IgnoreReason.CODE_NOT_USED: 1})
    assert outcome.parts == {("AllergyIntolerance", Fate.IGNORED): 1}


def test_a_combination_is_blamed_by_each_of_its_ingredients(intake: Intake) -> None:
    code = {"text": "sulfamethoxazole/trimethoprim"}
    (report,) = reports(read_fhir(as_json(allergy(code=code)), intake))
    assert {drug.ingredient for drug in report.drugs} == {"sulfamethoxazole", "trimethoprim"}
    assert len(facts(read_fhir(as_json(allergy(code=code, id=None)), intake))) == 1


# Together ----------------------------------------------------------------------------------------------------------


def test_a_whole_story_in_fhir_is_an_episode_with_its_memory(intake: Intake) -> None:
    found = {
        event.version.key: join_fact(None, event.version)
        for event in facts(read_fhir(fixture("fhir_r4/dress.json"), intake))
    }
    first, second = assess(found, intake.rulebook).episodes
    assert [culprit.drug for culprit in first.culprits] == ["carbamazepine"]
    assert [culprit.drug for culprit in second.culprits] == ["sulfamethoxazole", "trimethoprim"]
    assert second.recurrence is not None
