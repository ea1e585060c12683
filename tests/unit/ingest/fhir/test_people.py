"""FHIR Patients and the records of HL7v2 that they are, by a number that both state. All are synthetic."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from pv_stream.domain.codes import DeadLetterCode
from pv_stream.domain.events import Absorbed, Absorbs
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import parse_instant
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason, MessageOutcome, Outcome, RejectCode
from tests.merging import Topic, separated
from tests.unit.ingest.messages import as_json, medication, observation, only

SERVER = "https://fhir.example.org/r4"
MRN = "https://hospital.example.org/mrn"
OID = "urn:oid:1.2.3"
TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
NUMBER = {"system": MRN, "value": "70014"}


@pytest.fixture
def joining(intake: Intake) -> Intake:
    """An intake that knows which authority of HL7v2 the numbers of a FHIR server belong to."""
    systems = {MRN: "NORTH", "https://hospital.example.org/old-url": "NORTH", OID: "1.2.3"}
    return replace(intake, fhir_server=SERVER, fhir_identifier_systems=systems)


def _patient(*identifiers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": "p1",
        "meta": {"lastUpdated": "2021-04-01T08:00:00Z"},
        "identifier": list(identifiers),
    } | changes


def _typed(*codes: str, system: str = TYPES) -> dict[str, Any]:
    return {"type": {"coding": [{"system": system, "code": code} for code in codes]}}


def _pairs(outcome: Outcome) -> list[tuple[PatientId, PatientId]]:
    return [(event.patient_id, event.survivor) for event in outcome.events if isinstance(event, Absorbed)]


def _names(intake: Intake, number: str = "70014", authority: str = "NORTH") -> tuple[PatientId, PatientId]:
    return intake.pseudonyms.patient(SERVER, "Patient/p1"), intake.pseudonyms.patient(authority, number)


def test_a_number_joins_the_fhir_record_to_the_one_of_hl7v2(joining: Intake) -> None:
    outcome = read_fhir(as_json(_patient(NUMBER)), joining)
    fhir, hl7 = _names(joining)
    absorbed, absorbs = outcome.events
    assert isinstance(absorbed, Absorbed)
    assert isinstance(absorbs, Absorbs)
    assert (absorbed.patient_id, absorbed.survivor, absorbs.patient_id, absorbs.prior) == (
        fhir, hl7, hl7, fhir,
    )  # fmt: skip
    assert outcome.parts == {("Patient", Fate.FACT): 1}


def test_without_the_setting_no_number_joins_anything(intake: Intake) -> None:
    outcome = read_fhir(as_json(_patient(NUMBER, {"system": OID, "value": "1"} | _typed("MR"))), intake)
    assert (outcome.events, outcome.ignored, outcome.message) == ([], {}, MessageOutcome.ACCEPTED)


@pytest.mark.parametrize(
    "said",
    [
        {"use": "usual"},
        {"use": "official"},
        _typed("MR"),
        _typed("PI", "XX"),
        _typed("AN", system="https://hospital.example.org/types"),
        {"period": {"start": "2019"}},
        {"assigner": {"display": "North"}},
    ],
)
def test_a_number_that_is_a_patients_and_lasts_counts(joining: Intake, said: dict[str, Any]) -> None:
    assert _pairs(read_fhir(as_json(_patient(NUMBER | said)), joining)) == [_names(joining)]


@pytest.mark.parametrize(
    "said",
    [
        {"use": "old"},
        {"use": "temp"},
        {"use": "secondary"},
        {"use": "entered-in-error"},
        {"use": 7},
        {"value": " "},
        {"value": 70014},
        _typed("AN"),
        _typed("SS", system="http://hl7.org/fhir/v2/0203"),
        {"period": {"end": "2020-01-01"}},
    ],
)
def test_a_number_that_need_not_stay_the_patients_joins_nothing(
    joining: Intake, said: dict[str, Any]
) -> None:
    outcome = read_fhir(as_json(_patient(NUMBER | said)), joining)
    assert (outcome.events, outcome.ignored) == ([], {IgnoreReason.IDENTIFIER_NOT_USED: 1})
    assert outcome.parts == {("Patient", Fate.CONTEXT): 1}


def test_an_old_number_beside_the_one_in_use_neither_joins_nor_parts(joining: Intake) -> None:
    old = {"system": MRN, "value": "1", "use": "old"}
    assert _pairs(read_fhir(as_json(_patient(old, NUMBER)), joining)) == [_names(joining)]


@pytest.mark.parametrize(
    "changes",
    [
        {"active": False},
        {"active": "no"},
        {"link": [{"type": "replaced-by", "other": {"reference": "Patient/p2"}}]},
    ],
)
def test_a_record_that_is_not_in_use_is_not_joined_by_number(
    joining: Intake, changes: dict[str, Any]
) -> None:
    outcome = read_fhir(as_json(_patient(NUMBER, **changes)), joining)
    assert _names(joining) not in _pairs(outcome)
    assert outcome.ignored == {IgnoreReason.IDENTIFIER_NOT_USED: 1}


@pytest.mark.parametrize("system", [MRN, "https://hospital.example.org/old-url"])
def test_two_numbers_under_one_authority_are_refused(joining: Intake, system: str) -> None:
    outcome = read_fhir(as_json(_patient(NUMBER, {"system": system, "value": "70015"})), joining)
    assert (outcome.events, outcome.message) == ([], MessageOutcome.REJECTED)
    assert [(each.code, each.path) for each in outcome.rejects] == [
        (RejectCode.CONFLICTING_IDENTIFIERS, "Patient")
    ]


def test_two_versions_in_one_document_that_state_two_numbers_are_refused_and_its_results_read(
    joining: Intake,
) -> None:
    versions = [_patient(NUMBER), _patient({"system": MRN, "value": "70015"}), observation()]
    document = {"resourceType": "Bundle", "type": "history", "entry": [{"resource": v} for v in versions]}
    outcome = read_fhir(as_json(document), joining)
    assert {each.code for each in outcome.rejects} == {RejectCode.CONFLICTING_IDENTIFIERS}
    assert outcome.parts["Patient", Fate.REJECTED] == 2
    assert only(outcome).patient_id == _names(joining)[0]


def test_the_same_number_twice_and_in_two_spellings_of_its_system_is_one(joining: Intake) -> None:
    again = {"system": "https://hospital.example.org/old-url", "value": "70014 "}
    document = as_json(
        {"resourceType": "Bundle", "entry": [{"resource": _patient(NUMBER, NUMBER, again)}] * 2}
    )
    assert _pairs(read_fhir(document, joining)) == [_names(joining)]


def test_of_two_authorities_the_one_that_the_setting_names_first_counts(joining: Intake) -> None:
    outcome = read_fhir(as_json(_patient({"system": OID, "value": "9"}, NUMBER)), joining)
    assert _pairs(outcome) == [_names(joining)]
    assert outcome.ignored == {IgnoreReason.IDENTIFIER_NOT_USED: 1}


def test_a_record_of_a_server_that_nobody_names_is_joined_to_none(joining: Intake) -> None:
    outcome = read_fhir(as_json(_patient(NUMBER)), replace(joining, fhir_server=""))
    assert (outcome.events, outcome.ignored) == ([], {IgnoreReason.SERVER_NOT_STATED: 1})


@pytest.mark.parametrize("extra", [{"modifierExtension": [{"url": "x"}]}, {"implicitRules": "x"}])
def test_a_number_that_may_mean_something_else_is_refused(joining: Intake, extra: dict[str, Any]) -> None:
    outcome = read_fhir(as_json(_patient(NUMBER | extra)), joining)
    assert [each.code for each in outcome.rejects] == [RejectCode.UNKNOWN_MODIFIER]


def test_a_subject_by_its_number_is_the_record_of_hl7v2_at_once(joining: Intake) -> None:
    for subject in ({"identifier": NUMBER}, {"reference": f"Patient?identifier={MRN}|70014"}):
        assert (
            only(read_fhir(as_json(observation(subject=subject)), joining)).patient_id == _names(joining)[1]
        )


# Through the engine -------------------------------------------------------------------------------------------------

ORDER = (
    b"MSH|^~\\&|Pharm|North|EHR|North|20210301100000+0100||RDE^O11^RDE_O11|C1|P|2.5.1\r"
    b"PID|1||70014^^^NORTH^MR\rORC|NW|ORD-1^EPC|||||||20210301100000+0100\r"
    b"RXE||282388^imatinib^RXNORM|400||mg\rTQ1|1||QD||||20210301120000+0100\r"
)


def _open_alerts(topic: Topic) -> list[dict[str, Any]]:
    latest: dict[str, dict[str, Any]] = {}
    for told in topic.told:
        if told.get("kind") == "suspected_dress":
            latest[told["alert_id"]] = told
    return [told for told in latest.values() if told["status"] in {"raised", "revised"}]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_drug_by_hl7v2_and_eosinophils_by_fhir_are_one_suspicion_in_any_order(
    joining: Intake, order: tuple[int, ...]
) -> None:
    feed = [
        read_hl7v2(ORDER, joining),
        read_fhir(as_json(observation()), joining),
        read_fhir(as_json(_patient(NUMBER)), joining),
    ]
    topic = Topic(4)
    for index in (*order, *order):  # everything is heard twice
        topic.send(*feed[index].events)  # type: ignore[arg-type]
        topic.settle()
    (alert,) = _open_alerts(topic)
    assert (alert["patient_id"], alert["eosinophils_per_ul"]) == (_names(joining)[1], 1690)
    assert [culprit["drug"] for culprit in alert["culprits"]] == ["imatinib"]


def test_a_later_version_with_another_number_merges_nobody_until_a_person_undoes_the_first(
    joining: Intake,
) -> None:
    fhir, hl7 = _names(joining)
    topic = Topic(4)
    newer = read_fhir(as_json(_patient(NUMBER | {"value": "70015"})), joining)
    for outcome in (
        read_hl7v2(ORDER, joining),
        read_fhir(as_json(_patient(NUMBER)), joining),
        read_fhir(as_json(observation()), joining),
        newer,
    ):
        topic.send(*outcome.events)  # type: ignore[arg-type]
        topic.settle()
    assert [told["code"] for told in topic.told if "code" in told] == [DeadLetterCode.MERGE_CONFLICT]
    assert len(_open_alerts(topic)) == 1
    topic.send(separated(fhir, hl7, parse_instant("2021-04-13T08:00:00Z")))
    topic.settle()
    assert _open_alerts(topic) == []
    topic.send(*newer.events)  # type: ignore[arg-type]
    topic.settle()
    assert topic.state_of(fhir).lineage.into == _names(joining, "70015")[1]


def test_a_drug_by_fhir_follows_the_number_too(joining: Intake) -> None:
    dose = medication(effectiveDateTime="2021-03-01T09:00:00Z", status="completed")
    document = {"resourceType": "Bundle", "entry": [{"resource": each} for each in (_patient(NUMBER), dose)]}
    topic = Topic(4)
    topic.send(*read_fhir(as_json(document), joining).events)  # type: ignore[arg-type]
    topic.settle()
    assert topic.state_of(_names(joining)[0]).lineage.into == _names(joining)[1]
    assert len(topic.state_of(_names(joining)[1]).facts) == 1
