"""FHIR medications as exposures: status, start and end, route, what is held, and what takes back."""

from typing import Any

import pytest

from pv_stream.domain.codes import EvidenceFlag, ExposureKind, HoldCode, Route, Status
from pv_stream.domain.facts import AsSent, Exposure, Held
from pv_stream.domain.times import Interval, parse_instant
from pv_stream.errors import UsageError
from pv_stream.ingest.confirming import Stated, confirm
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import IgnoreReason, RejectCode
from tests.unit.ingest.messages import (
    as_json,
    bundle,
    exposure,
    fixture,
    hold,
    is_retraction,
    medication,
    only,
)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("in-progress", Status.PRELIMINARY),
        ("completed", Status.FINAL),
        ("stopped", Status.FINAL),
        ("not-done", Status.RETRACTED),
        ("entered-in-error", Status.RETRACTED),
    ],
)
def test_each_status_of_an_administration(intake: Intake, status: str, expected: Status) -> None:
    event = only(read_fhir(as_json(medication(status=status)), intake))
    assert event.version.order.status is expected
    assert is_retraction(event) == (expected is Status.RETRACTED)


def test_an_administration_is_an_exposure_with_route_and_end(intake: Intake) -> None:
    resource = medication(
        status="completed",
        effectiveDateTime=None,
        effectivePeriod={"start": "2021-03-01T09:00:00Z", "end": "2021-03-01T09:30:00Z"},
        dosage={"route": {"coding": [{"system": "http://snomed.info/sct", "code": "47625008"}]}},
    )
    content = exposure(read_fhir(as_json(resource), intake))
    assert (content.kind, content.ingredients, content.route) == (
        ExposureKind.ADMINISTRATION,
        ("imatinib",),
        Route.INTRAVENOUS,
    )
    assert content.end is not None
    assert content.end.earliest == parse_instant("2021-03-01T09:30:00Z")
    point = exposure(read_fhir(as_json(medication(status="completed")), intake))
    assert point.end is None


def test_a_drug_is_known_by_its_name_beside_a_number_that_no_list_has(intake: Intake) -> None:
    stated = Intake(
        intake.pseudonyms, intake.rulebook, intake.drugs, intake.now, parse_instant("2021-05-01T00:00:00Z")
    )
    content = exposure(read_fhir(fixture("fhir_r4/unknown-drug.json"), stated))
    assert (content.ingredients, content.flags) == (("vancomycin",), ())
    assert content.as_sent == AsSent("name", "vancomycin_hydrochloride")
    assert is_retraction(only(read_fhir(fixture("fhir_r4/error.json"), stated)))


def _of(text: str, *codings: dict[str, str], **changes: Any) -> bytes:
    return as_json(medication(medicationCodeableConcept={"coding": list(codings), "text": text}, **changes))


def test_a_drug_among_words_that_nobody_knows_waits_with_what_was_read(intake: Intake) -> None:
    outcome = read_fhir(_of("Gleevec as in the study protocol"), intake)
    assert hold(outcome) is HoldCode.DRUG_NOT_READ_WHOLE
    held = only(outcome).version.statement
    assert isinstance(held.content, Held)
    assert isinstance(held.content.said, Exposure)
    assert held.content.said.ingredients == ("imatinib",)
    confirmed = confirm(held.content, held, Stated())
    assert confirmed.content == held.content.said
    assert confirmed.effective == only(read_fhir(_of("Gleevec"), intake)).version.statement.effective
    untimed = read_fhir(_of("Gleevec as in the study protocol", effectiveDateTime="never"), intake)
    content = only(untimed).version.statement.content
    assert isinstance(content, Held)
    assert content.said is None


def test_a_code_and_a_text_of_different_drugs_are_held(intake: Intake) -> None:
    coding = {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "282388"}
    for sent in (_of("Allopurinol 300 mg", coding), _of("", {**coding, "display": "Allopurinol"})):
        outcome = read_fhir(sent, intake)
        assert hold(outcome) is HoldCode.CONFLICTING_DRUGS
        held = only(outcome).version.statement
        assert isinstance(held.content, Held)
        assert isinstance(held.content.said, Exposure)
        assert held.content.said.ingredients == ("allopurinol", "imatinib")
        with pytest.raises(UsageError, match="discard it"):
            confirm(held.content, held, Stated())


def test_a_drug_that_was_not_recognised_is_counted(intake: Intake) -> None:
    outcome = read_fhir(_of("amlodipine 5 mg"), intake)
    assert exposure(outcome).flags == (EvidenceFlag.UNKNOWN_INGREDIENT,)
    assert outcome.ignored == {IgnoreReason.DRUG_NOT_RECOGNISED: 1}


@pytest.mark.parametrize(
    "concept", ["imatinib", [{"text": "imatinib"}], {"coding": {"code": "282388"}}, {"coding": ["282388"]}]
)
def test_a_drug_in_a_shape_that_is_not_of_fhir_is_refused(intake: Intake, concept: object) -> None:
    outcome = read_fhir(as_json(medication(medicationCodeableConcept=concept)), intake)
    assert ([reject.code for reject in outcome.rejects], outcome.events) == (
        [RejectCode.INVALID_RESOURCE],
        [],
    )


def test_a_medication_may_be_in_the_bundle_and_name_its_parts(intake: Intake) -> None:
    product = {
        "resourceType": "Medication",
        "id": "med",
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/ndc", "code": "0001-0002-03"}]},
        "ingredient": [
            {"itemCodeableConcept": {"text": name}} for name in ("Trimethoprim", "Sulfamethoxazole")
        ],
    }
    resource = medication(medicationCodeableConcept=None, medicationReference={"reference": "Medication/med"})
    assert exposure(read_fhir(bundle(resource, product), intake)).ingredients == (
        "sulfamethoxazole",
        "trimethoprim",
    )
    alone = exposure(read_fhir(bundle(resource), intake))
    assert alone.flags == (EvidenceFlag.UNKNOWN_INGREDIENT,)


def test_a_stop_without_a_time_lies_between_the_start_and_the_version(intake: Intake) -> None:
    resource = medication(
        "MedicationRequest", status="stopped", intent="order", authoredOn="2021-02-01T09:00:00Z"
    )
    content = exposure(read_fhir(as_json(resource), intake))
    assert content.kind is ExposureKind.ORDER
    assert content.end == Interval(
        parse_instant("2021-02-01T09:00:00Z"), parse_instant("2021-03-01T10:00:00Z")
    )


def test_an_order_starts_with_its_bounds_else_when_it_was_authored(intake: Intake) -> None:
    bounds = {
        "timing": {
            "repeat": {"boundsPeriod": {"start": "2021-02-10T00:00:00Z", "end": "2021-02-20T00:00:00Z"}}
        }
    }
    resource = medication(
        "MedicationRequest", intent="order", authoredOn="2021-02-01T09:00:00Z", dosageInstruction=[bounds]
    )
    event = only(read_fhir(as_json(resource), intake))
    assert event.version.statement.effective.earliest == parse_instant("2021-02-10T00:00:00Z")
    content = exposure(read_fhir(as_json(resource), intake))
    assert content.end is not None
    assert content.end.latest == parse_instant("2021-02-20T00:00:00Z")


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("MedicationRequest", {"intent": "plan", "authoredOn": "2021-02-01"}, IgnoreReason.INTENT_NOT_ORDER),
        ("MedicationRequest", {"intent": "order", "status": "draft"}, IgnoreReason.STATUS_NOT_USED),
        ("MedicationRequest", {"intent": "order", "doNotPerform": True}, IgnoreReason.STATUS_NOT_USED),
        ("MedicationStatement", {"status": "intended"}, IgnoreReason.STATUS_NOT_USED),
    ],
)
def test_what_is_no_exposure_is_counted(
    intake: Intake, kind: str, changes: dict[str, Any], reason: IgnoreReason
) -> None:
    outcome = read_fhir(as_json(medication(kind, **changes)), intake)
    assert outcome.events == []
    assert outcome.ignored == {reason: 1}


@pytest.mark.parametrize(
    ("kind", "changes", "why"),
    [
        ("MedicationAdministration", {"status": "unknown"}, HoldCode.UNKNOWN_STATUS),
        ("MedicationAdministration", {"effectiveDateTime": None}, HoldCode.MISSING_TIME),
        ("MedicationAdministration", {"effectiveDateTime": "2052-01-01"}, HoldCode.TIME_IN_FUTURE),
        ("MedicationStatement", {"effectiveDateTime": "whenever"}, HoldCode.UNREADABLE_TIME),
        (
            "MedicationStatement",
            {
                "effectiveDateTime": None,
                "effectivePeriod": {"start": "2021-02-05T00:00:00Z", "end": "2021-02-01T00:00:00Z"},
            },
            HoldCode.UNREADABLE_TIME,
        ),
        (
            "MedicationStatement",
            {"effectiveDateTime": None, "effectivePeriod": {"start": "2021-02-05T00:00:00Z", "end": "later"}},
            HoldCode.UNREADABLE_TIME,
        ),
    ],
)  # fmt: skip
def test_a_medication_without_a_usable_time_or_status_is_held(
    intake: Intake, kind: str, changes: dict[str, Any], why: HoldCode
) -> None:
    assert hold(read_fhir(as_json(medication(kind, **changes)), intake)) is why


@pytest.mark.parametrize(
    ("kind", "status"), [("MedicationRequest", "cancelled"), ("MedicationStatement", "not-taken")]
)
def test_what_never_happened_takes_back_what_was_said_before(intake: Intake, kind: str, status: str) -> None:
    resource = medication(kind, status=status, intent="order", authoredOn="2021-02-01")
    assert is_retraction(only(read_fhir(as_json(resource), intake)))


def test_a_statement_that_goes_on_has_no_end(intake: Intake) -> None:
    content = exposure(read_fhir(as_json(medication("MedicationStatement")), intake))
    assert (content.kind, content.end) == (ExposureKind.STATEMENT, None)
