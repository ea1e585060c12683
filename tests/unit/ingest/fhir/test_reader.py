"""FHIR R4: Observations and medications, alone and in bundles, with what their reports say of them."""

from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.medicationadministration import MedicationAdministration
from fhir.resources.R4B.observation import Observation

from pv_stream.domain.codes import Analyte, Comparator, EvidenceFlag, HoldCode, Status
from pv_stream.domain.facts import AsSent
from pv_stream.domain.times import Interval, parse_instant
from pv_stream.engine.join import join_fact
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import IgnoreReason, MessageOutcome, RejectCode
from tests.unit.ingest.messages import (
    OBR,
    PID,
    SPM,
    as_json,
    bundle,
    exposure,
    facts,
    fixture,
    hold,
    is_retraction,
    measurement,
    medication,
    observation,
    obx,
    only,
    oru,
    specimens,
    values,
)

_LOINC = {"system": "http://loinc.org"}
WBC = {"coding": [{"system": "http://loinc.org", "code": "6690-2"}]}


def _quantity(value: Any, unit: str | None = "10*9/L", **more: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit} | more


def _report(**changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "DiagnosticReport",
        "id": "d1",
        "status": "final",
        "code": {"text": "CBC"},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2021-04-12T07:15:00+02:00",
        "issued": "2021-04-12T08:00:00+02:00",
        "result": [{"reference": "Observation/o1"}, {"reference": "Observation/o2"}],
    } | changes


def test_the_hand_written_resources_are_valid_fhir() -> None:
    for name in ("cbc", "dress", "history"):
        Bundle.model_validate_json(fixture(f"fhir_r4/{name}.json"))
    for name in ("unknown-drug", "error"):
        MedicationAdministration.model_validate_json(fixture(f"fhir_r4/{name}.json"))
    Observation.model_validate_json(as_json(observation()))


def test_an_observation_alone_becomes_one_fact(intake: Intake) -> None:
    outcome = read_fhir(as_json(observation()), intake)
    content, event = measurement(outcome), only(outcome)
    assert (content.value, content.flags) == (Decimal(1690), (EvidenceFlag.SPECIMEN_NOT_STATED,))
    assert content.as_sent == AsSent("loinc", "711-2", "1.69", "10*9/L")
    assert event.version.order.source_version == parse_instant("2021-04-12T06:00:00.25Z")
    assert event.version.statement.effective.earliest == parse_instant("2021-04-12T05:15:00Z")
    assert event.version.provenance.path == "Observation"


def test_a_report_lends_its_results_time_issue_and_one_specimen(intake: Intake) -> None:
    outcome = read_fhir(fixture("fhir_r4/cbc.json"), intake)
    assert values(outcome) == {"leukocytes": "5200", "eosinophils_percent": "25", "eosinophils": "1300"}
    assert len(specimens(outcome)) == 1
    assert outcome.ignored == {IgnoreReason.CODE_NOT_USED: 2}
    for event in facts(outcome):
        assert event.version.statement.content.flags == (EvidenceFlag.SPECIMEN_ASSUMED,)  # type: ignore[union-attr]
        assert event.version.statement.effective.earliest == parse_instant("2021-05-03T21:30:00Z")
        assert event.version.statement.utc_offset_minutes == 600
        assert event.received_at == parse_instant("2021-05-04T00:45:33Z")


def test_numbers_are_exact(intake: Intake) -> None:
    content = as_json(observation()).replace(b"1.69", b"0.7000000000000001")
    assert measurement(read_fhir(content, intake)).value == Decimal(700)
    below = as_json(observation()).replace(b"1.69", b"0.69999999999999999")
    assert measurement(read_fhir(below, intake)).value == Decimal("699.999999999")
    exponent = as_json(observation()).replace(b"1.69", b"1.5e0")
    assert measurement(read_fhir(exponent, intake)).value == Decimal(1500)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("preliminary", Status.PRELIMINARY),
        ("final", Status.FINAL),
        ("amended", Status.CORRECTED),
        ("corrected", Status.CORRECTED),
        ("cancelled", Status.RETRACTED),
        ("entered-in-error", Status.RETRACTED),
    ],
)
def test_each_status_ranks_the_version(intake: Intake, status: str, expected: Status) -> None:
    event = only(read_fhir(as_json(observation(status=status)), intake))
    assert event.version.order.status is expected
    assert is_retraction(event) == (expected is Status.RETRACTED)
    assert event.version.key == only(read_fhir(as_json(observation()), intake)).version.key


def test_a_status_that_nobody_defines_is_held_and_one_still_registered_is_no_fact(intake: Intake) -> None:
    assert hold(read_fhir(as_json(observation(status="unknown")), intake)) is HoldCode.UNKNOWN_STATUS
    assert hold(read_fhir(as_json(observation(status=7)), intake)) is HoldCode.UNKNOWN_STATUS
    registered = read_fhir(as_json(observation(status="registered")), intake)
    assert registered.ignored == {IgnoreReason.NO_RESULT_YET: 1}


@pytest.mark.parametrize(
    ("meta", "version"),
    [
        (
            {"lastUpdated": "2021-04-12T06:00:00.000001Z", "versionId": "3"},
            parse_instant("2021-04-12T06:00:00.000001Z"),
        ),
        ({"versionId": "3"}, 3),
        ({"versionId": "abc"}, 0),
        ({"versionId": "9" * 30}, 0),
        ({}, 0),
    ],
)
def test_the_source_version(intake: Intake, meta: dict[str, str], version: int) -> None:
    resource = observation(meta=meta, issued="2021-04-12T08:00:00Z")
    assert only(read_fhir(as_json(resource), intake)).version.order.source_version == version


def test_a_later_version_replaces_an_earlier_one_whatever_its_status(intake: Intake) -> None:
    older = only(read_fhir(as_json(observation(status="entered-in-error")), intake)).version
    newer = only(
        read_fhir(as_json(observation(meta={"lastUpdated": "2021-04-13T08:00:00Z"})), intake)
    ).version
    assert join_fact(join_fact(None, newer), older).order == newer.order


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"valueQuantity": {"value": 1.69}}, HoldCode.MISSING_UNIT),
        ({"valueQuantity": _quantity(1.69, "heaps")}, HoldCode.UNKNOWN_UNIT),
        ({"valueQuantity": _quantity(1.69, "%")}, HoldCode.UNIT_DOES_NOT_FIT),
        (
            {"valueQuantity": _quantity(1.69, "10*9/L", system="http://unitsofmeasure.org", code="/uL")},
            HoldCode.UNIT_DOES_NOT_FIT,
        ),
        ({"valueQuantity": _quantity(-1.69)}, HoldCode.OUT_OF_RANGE),
        ({"valueQuantity": _quantity(0.9, "/uL")}, HoldCode.FRACTION_OF_A_CELL),
        ({"valueQuantity": _quantity("1.69")}, HoldCode.UNREADABLE_VALUE),
        ({"valueQuantity": _quantity(1.69, comparator="ad")}, HoldCode.UNREADABLE_VALUE),
        ({"valueQuantity": None, "valueInteger": 900}, HoldCode.MISSING_UNIT),
        ({"valueQuantity": None, "valueRange": {"low": {"value": 1}}}, HoldCode.MISSING_UNIT),
        ({"valueQuantity": None, "valueRange": {}}, HoldCode.UNREADABLE_VALUE),
        ({"valueQuantity": None, "status": "corrected"}, HoldCode.UNREADABLE_VALUE),
        ({"effectiveDateTime": None}, HoldCode.MISSING_TIME),
        ({"effectiveDateTime": "soon"}, HoldCode.UNREADABLE_TIME),
        ({"effectiveDateTime": "2052-04-12"}, HoldCode.TIME_IN_FUTURE),
        ({"effectiveDateTime": None, "effectiveTiming": {"event": []}}, HoldCode.UNREADABLE_TIME),
        ({"effectiveDateTime": None, "effectivePeriod": {"start": "2021-04-02", "end": "2021-04-01"}}, None),
        (
            {"effectiveDateTime": None, "effectivePeriod": {"start": "2021-04-09", "end": "2021-04-01"}},
            HoldCode.UNREADABLE_TIME,
        ),
        ({"effectiveDateTime": None, "effectivePeriod": {"end": "2021-04-01"}}, HoldCode.MISSING_TIME),
    ],
)  # fmt: skip
def test_what_is_read_but_not_believed_is_held(
    intake: Intake, changes: dict[str, Any], why: HoldCode | None
) -> None:
    outcome = read_fhir(as_json(observation(**changes)), intake)
    if why is None:  # without zones, the second day may begin before the first ends
        assert outcome.holds == []
    else:
        assert hold(outcome) is why
        assert only(outcome).version.statement.effective.latest <= only(outcome).received_at


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"valueQuantity": None, "valueString": "high"}, IgnoreReason.TEXT_VALUE),
        ({"valueQuantity": None, "valueCodeableConcept": {"text": "many"}}, IgnoreReason.TEXT_VALUE),
        ({"valueQuantity": None}, IgnoreReason.NO_VALUE),
        ({"valueQuantity": {"unit": "10*9/L"}}, IgnoreReason.NO_VALUE),
        ({"code": {"text": "Eosinophils"}}, IgnoreReason.CODE_NOT_USED),
        ({"code": {"coding": [{"code": "711-2"}]}}, IgnoreReason.CODE_SYSTEM_NOT_LOINC),
        ({"code": {"coding": [{"system": "http://loinc.org", "code": "29993-3"}]}}, IgnoreReason.NOT_BLOOD),
    ],
)
def test_what_no_rule_uses_is_counted(intake: Intake, changes: dict[str, Any], reason: IgnoreReason) -> None:
    outcome = read_fhir(as_json(observation(**changes)), intake)
    assert outcome.events == []
    assert outcome.ignored == {reason: 1}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"valueString": "1690"}, HoldCode.UNREADABLE_VALUE),  # two values
        ({"valueQuantity": None, "valueString": "1690 /uL"}, HoldCode.UNREADABLE_VALUE),
        ({"valueQuantity": None, "valueCodeableConcept": {"text": "> 1500"}}, HoldCode.UNREADABLE_VALUE),
        ({"dataAbsentReason": {"coding": [{"code": "error"}]}}, HoldCode.VALUE_SAID_ABSENT),
        ({"code": {"coding": [_LOINC | {"code": "711-2"}, *WBC["coding"]]}}, HoldCode.CONFLICTING_CODES),
        ({"code": {"coding": [*WBC["coding"], _LOINC | {"code": "711-2"}]}}, HoldCode.CONFLICTING_CODES),
        ({"code": {"coding": [_LOINC | {"code": "29993-3"}, *WBC["coding"]]}}, HoldCode.CONFLICTING_CODES),
    ],
)
def test_a_value_that_is_contradicted_or_several_is_held(
    intake: Intake, changes: dict[str, Any], why: HoldCode
) -> None:
    assert hold(read_fhir(as_json(observation(**changes)), intake)) is why


def test_codes_of_one_analyte_agree(intake: Intake) -> None:
    both = {"coding": [_LOINC | {"code": "26449-9"}, _LOINC | {"code": "711-2"}]}
    assert measurement(read_fhir(as_json(observation(code=both)), intake)).analyte is Analyte.EOSINOPHILS


@pytest.mark.parametrize(
    "changes",
    [
        {"code": {"coding": {"system": "http://loinc.org", "code": "711-2"}}},
        {"code": "711-2"},
        {"valueQuantity": 1.69},
        {"component": {"code": WBC}},
        {"component": [{"code": {"coding": "6690-2"}}]},
        {"component": ["6690-2"]},
    ],
)
def test_a_shape_that_is_not_of_fhir_is_refused(intake: Intake, changes: dict[str, Any]) -> None:
    outcome = read_fhir(as_json(observation(**changes)), intake)
    assert ([reject.code for reject in outcome.rejects], outcome.events) == (
        [RejectCode.INVALID_RESOURCE],
        [],
    )


def test_a_bound_keeps_its_comparator(intake: Intake) -> None:
    outcome = read_fhir(as_json(observation(valueQuantity=_quantity(0.1, comparator="<"))), intake)
    assert measurement(outcome).comparator is Comparator.LESS


def test_components_are_facts_of_their_own(intake: Intake) -> None:
    panel = observation(
        code={"coding": [{"system": "http://loinc.org", "code": "58410-2"}]},
        valueQuantity=None,
        component=[
            {"code": WBC, "valueQuantity": _quantity(9)},
            {"code": observation()["code"], "valueQuantity": _quantity(9.5)},
            {"code": {"text": "other"}, "valueQuantity": _quantity(1)},
        ],
    )
    outcome = read_fhir(bundle(_report(), panel), intake)
    assert len({event.version.key for event in facts(outcome)}) == 2
    assert values(outcome) == {"leukocytes": "9000"}
    assert [(each.code, each.path) for each in outcome.holds] == [
        (HoldCode.EOSINOPHILS_ABOVE_LEUKOCYTES, "Bundle.entry[1].component[1]")
    ]


PANEL = {"coding": [{"system": "http://loinc.org", "code": "58410-2"}]}


@pytest.mark.parametrize(
    "left",
    [
        {"component": None},
        {"component": []},
        {"component": None, "code": None, "effectiveDateTime": None},
        {"component": [{"code": observation()["code"]}]},
    ],
)
def test_a_panel_entered_in_error_takes_back_its_components_though_it_lists_them_no_more(
    intake: Intake, left: dict[str, Any]
) -> None:
    parts = [{"code": observation()["code"], "valueQuantity": _quantity(9.5)}]
    whole = observation(code=PANEL, valueQuantity=None, component=parts)
    later = {"lastUpdated": "2021-04-13T08:00:00Z"}
    stripped = whole | {"status": "entered-in-error", "meta": later} | left
    said = only(read_fhir(as_json(whole), intake))
    taken_back = [
        event
        for event in facts(read_fhir(as_json(stripped), intake))
        if event.version.key == said.version.key and is_retraction(event)
    ]
    (retraction,) = taken_back
    assert retraction.version.order > said.version.order


def test_what_is_no_panel_takes_back_only_itself(intake: Intake) -> None:
    potassium = {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]}
    for code in (potassium, {"text": "a local name"}, {"coding": [{"system": "L", "code": "58410-2"}]}):
        stripped = observation(code=code, valueQuantity=None, status="entered-in-error")
        assert is_retraction(only(read_fhir(as_json(stripped), intake)))


def test_a_period_is_an_interval_and_an_open_one_ends_at_arrival(intake: Intake) -> None:
    period = {"start": "2021-04-12T05:00:00Z", "end": "2021-04-12T05:15:00Z"}
    closed = only(read_fhir(as_json(observation(effectiveDateTime=None, effectivePeriod=period)), intake))
    assert closed.version.statement.effective == Interval(
        parse_instant(period["start"]), parse_instant(period["end"])
    )
    del period["end"]
    event = only(read_fhir(as_json(observation(effectiveDateTime=None, effectivePeriod=period)), intake))
    assert event.version.statement.effective.latest == event.received_at


def test_a_day_without_a_zone_is_every_instant_of_it_anywhere(intake: Intake) -> None:
    statement = only(
        read_fhir(as_json(observation(effectiveDateTime="2021-04-11")), intake)
    ).version.statement
    assert statement.effective.earliest == parse_instant("2021-04-10T10:00:00Z")
    assert statement.effective.latest == parse_instant("2021-04-12T11:59:59.999999Z")
    assert statement.utc_offset_minutes is None


@pytest.mark.parametrize(
    ("resource", "changes", "received_at"),
    [
        (
            observation(issued="2021-04-12T09:00:00Z"),
            {"timestamp": "2021-04-12T10:00:00Z"},
            "2021-04-12T10:00:00Z",
        ),
        (observation(issued="2021-04-12T09:00:00Z"), {}, "2021-04-12T09:00:00Z"),
        (observation(), {}, "2021-04-12T06:00:00.25Z"),
        (observation(meta=None), {"meta": {"lastUpdated": "2021-04-12T11:00:00Z"}}, "2021-04-12T11:00:00Z"),
    ],
)
def test_received_at_is_the_senders_own_time(
    intake: Intake, resource: dict[str, Any], changes: dict[str, Any], received_at: str
) -> None:
    assert only(read_fhir(bundle(resource, **changes), intake)).received_at == parse_instant(received_at)


def test_without_a_time_of_sending_a_resource_is_rejected_until_the_operator_states_one(
    intake: Intake,
) -> None:
    content = as_json(observation(meta=None))
    outcome = read_fhir(content, intake)
    assert [each.code for each in outcome.rejects] == [RejectCode.NO_RECEIVED_AT]
    stated = Intake(
        intake.pseudonyms, intake.rulebook, intake.drugs, intake.now, parse_instant("2021-05-01T00:00:00Z")
    )
    assert only(read_fhir(content, stated)).received_at == parse_instant("2021-05-01T00:00:00Z")


def test_a_patient_is_a_reference_on_its_server(intake: Intake) -> None:
    name = intake.pseudonyms.patient
    assert only(read_fhir(bundle(observation()), intake)).patient_id == name(
        "https://h.example.org/fhir", "Patient/p1"
    )
    assert only(read_fhir(as_json(observation()), intake)).patient_id == name("", "Patient/p1")
    absolute = observation(subject={"reference": "https://h.example.org/fhir/Patient/p1/_history/4"})
    assert only(read_fhir(as_json(absolute), intake)).patient_id == name(
        "https://h.example.org/fhir", "Patient/p1"
    )
    logical = observation(subject={"identifier": {"system": "urn:oid:1.2.3", "value": "77"}})
    assert only(read_fhir(as_json(logical), intake)).patient_id == name("1.2.3", "77")
    pid = PID.replace("70014^^^NORTH", "77^^^NORTH&1.2.3&ISO")
    hl7 = oru(OBR, obx(), SPM).replace(PID.encode(), pid.encode())
    assert only(read_hl7v2(hl7, intake)).patient_id == name("1.2.3", "77")


@pytest.mark.parametrize(
    "subject",
    [None, {}, {"reference": "Group/1"}, {"reference": "#p"}, {"display": "Jane Doe"}, "Patient/p1", 5],
)
def test_without_a_patient_a_resource_is_rejected(intake: Intake, subject: Any) -> None:
    outcome = read_fhir(as_json(observation(subject=subject)), intake)
    assert [each.code for each in outcome.rejects] == [RejectCode.MISSING_PATIENT]


def test_references_inside_a_bundle_of_urns(intake: Intake) -> None:
    patient = {"resourceType": "Patient", "id": "x"}
    urn = "urn:uuid:0c5a5f2e-0000-4000-8000-000000000001"
    resource = observation(subject={"reference": urn})
    entries = [
        {"fullUrl": urn, "resource": patient},
        {"fullUrl": "urn:uuid:0c5a5f2e-0000-4000-8000-000000000002", "resource": resource},
    ]
    outcome = read_fhir(as_json({"resourceType": "Bundle", "type": "transaction", "entry": entries}), intake)
    assert only(outcome).patient_id == intake.pseudonyms.patient("urn", f"Patient/{urn}")
    group = as_json(
        {
            "resourceType": "Bundle",
            "entry": [{"fullUrl": urn, "resource": patient | {"resourceType": "Group"}}, entries[1]],
        }
    )
    assert [each.code for each in read_fhir(group, intake).rejects] == [RejectCode.MISSING_PATIENT]


def test_a_stated_specimen_counts_before_the_report(intake: Intake) -> None:
    specimen = {"resourceType": "Specimen", "id": "s1", "type": {"coding": [{"code": "119297000"}]}}
    one = observation(specimen={"reference": "Specimen/s1"})
    two = observation(id="o2", code=WBC, valueQuantity=_quantity(9))
    outcome = read_fhir(bundle(_report(specimen=[{"reference": "Specimen/s1"}]), one, two, specimen), intake)
    assert len(specimens(outcome)) == 1
    assert all(event.version.statement.content.flags == () for event in facts(outcome))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "kind", [{"coding": [{"code": "119334006", "display": "Sputum specimen"}]}, {"text": "Urine"}]
)
def test_a_specimen_that_is_not_blood_holds_a_blood_result(intake: Intake, kind: dict[str, Any]) -> None:
    contained = [{"resourceType": "Specimen", "id": "s", "type": kind}]
    resource = observation(specimen={"reference": "#s"}, contained=contained)
    assert hold(read_fhir(as_json(resource), intake)) is HoldCode.UNKNOWN_SPECIMEN
    report = _report(specimen=[{"reference": "Specimen/s"}])
    lent = read_fhir(bundle(report, observation(), contained[0]), intake)
    assert hold(lent) is HoldCode.UNKNOWN_SPECIMEN


def test_a_report_of_two_specimens_cannot_say_which(intake: Intake) -> None:
    report = _report(specimen=[{"reference": "Specimen/a"}, {"reference": "Specimen/b"}])
    assert hold(read_fhir(bundle(report, observation()), intake)) is HoldCode.UNKNOWN_SPECIMEN


def test_a_panel_lends_its_report_to_its_members(intake: Intake) -> None:
    panel = observation(
        id="o1",
        code={"coding": [{"system": "http://loinc.org", "code": "26464-8"}]},
        valueQuantity=None,
        hasMember=[{"reference": "Observation/o9"}],
    )
    member = observation(id="o9", effectiveDateTime=None)
    outcome = read_fhir(bundle(_report(), panel, member), intake)
    assert only(outcome).version.statement.effective.earliest == parse_instant("2021-04-12T05:15:00Z")
    assert outcome.ignored == {IgnoreReason.NO_VALUE: 1}


def test_results_contained_in_a_report_are_read(intake: Intake) -> None:
    inner = observation(id="in", effectiveDateTime=None)
    report = _report(contained=[inner], result=[{"reference": "#in"}])
    outcome = read_fhir(bundle(report), intake)
    assert values(outcome) == {"eosinophils": "1690"}
    assert only(outcome).version.provenance.path == "Bundle.entry[0].contained[0]"
    assert len(read_fhir(as_json(report), intake).events) == 1


def test_a_resource_without_an_id_has_a_weak_key(intake: Intake) -> None:
    assert EvidenceFlag.WEAK_KEY in measurement(read_fhir(as_json(observation(id=None)), intake)).flags
    assert EvidenceFlag.WEAK_KEY in exposure(read_fhir(as_json(medication(id=None)), intake)).flags


def test_one_bad_resource_does_not_take_the_others_with_it(intake: Intake) -> None:
    content = bundle(
        observation(),
        observation(id="o2", subject=None),
        observation(id="o3", valueQuantity=_quantity(-1)),
        {"resourceType": "Encounter", "id": "e"},
        medication(),
    )
    outcome = read_fhir(content, intake)
    assert [(each.code, each.path) for each in outcome.rejects] == [
        (RejectCode.MISSING_PATIENT, "Bundle.entry[1]")
    ]
    assert [each.code for each in outcome.holds] == [HoldCode.OUT_OF_RANGE]
    assert outcome.ignored == {IgnoreReason.RESOURCE_NOT_USED: 1}
    assert len(outcome.events) == 3
    assert outcome.message is MessageOutcome.HELD


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", RejectCode.EMPTY),
        (b"{", RejectCode.MALFORMED_JSON),
        (b'{"resourceType": "Observation", "x": NaN}', RejectCode.MALFORMED_JSON),
        (b"[" * 100_000, RejectCode.TOO_COMPLEX),
        (b"\xff\xfe", RejectCode.MALFORMED_JSON),
        (b"[]", RejectCode.INVALID_RESOURCE),
        (b"{}", RejectCode.INVALID_RESOURCE),
        (b'{"resourceType": 5}', RejectCode.INVALID_RESOURCE),
        (b'{"resourceType": "Jane Doe", "id": "1"}', RejectCode.UNSUPPORTED_TYPE),
        (bundle({"resourceType": "Observaton", "id": "1"}), RejectCode.UNSUPPORTED_TYPE),
        (b'{"resourceType": "Bundle", "entry": [7]}', RejectCode.INVALID_RESOURCE),
        (b'{"resourceType": "Bundle", "entry": [{"resource": {}}]}', RejectCode.INVALID_RESOURCE),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, bytes) else "",
)  # fmt: skip
def test_what_is_no_document_is_rejected_with_a_code(
    intake: Intake, content: bytes, code: RejectCode
) -> None:
    assert [each.code for each in read_fhir(content, intake).rejects] == [code]


@pytest.mark.parametrize(
    "number", [b"1e999999999", b"1e99999999999999999999", b"9" * 10_000, b"1." + b"3" * 99]
)
def test_a_number_that_no_measurement_has_is_held_and_takes_nothing_with_it(
    intake: Intake, number: bytes
) -> None:
    quantity = {"value": 424242, "unit": "10*3/uL"}
    content = bundle(observation(id="o1", valueQuantity=quantity), observation(id="o2"))
    outcome = read_fhir(content.replace(b"424242", number), intake)
    assert outcome.rejects == []
    assert [hold.code for hold in outcome.holds] == [HoldCode.UNREADABLE_VALUE]
    assert len(outcome.events) == 2
