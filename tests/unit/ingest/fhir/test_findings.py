"""FHIR: what a Condition, a coded result and a coded conclusion say, and what they do not."""

from dataclasses import replace
from typing import Any

import pytest

from pv_stream.domain.codes import FindingCode, HoldCode, Presence, Status
from pv_stream.domain.facts import Finding, Held
from pv_stream.domain.times import parse_instant
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.findings import finding_table
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason, RejectCode
from pv_stream.ingest.tables import loinc_table
from tests.unit.ingest.fhir.fhir_messages import (
    DRESS,
    ICD10CM,
    LOINC,
    NODES,
    RASH,
    SNOMED,
    concept,
    condition,
    findings,
    verified,
)
from tests.unit.ingest.messages import as_json, bundle, facts, hold, is_retraction, observation, only

ANA, BLOOD_CULTURE, HBSAG, CBC = "8061-4", "600-7", "5195-3", "58410-2"


@pytest.mark.parametrize(
    ("code", "system", "finding"),
    [
        (RASH, SNOMED, "rash"),
        ("247471006", SNOMED, "maculopapular_rash"),
        ("445088006", SNOMED, "facial_oedema"),
        (NODES, SNOMED, "enlarged_lymph_nodes"),
        ("R21", ICD10CM, "rash"),
        ("R59.1", "http://hl7.org/fhir/sid/icd-10", "enlarged_lymph_nodes"),
        ("K71.2", ICD10CM, "liver_involvement"),
        ("N17.9", ICD10CM, "kidney_involvement"),
        ("28689008", SNOMED, "interstitial_nephritis"),
        ("J70.2", ICD10CM, "interstitial_pneumonitis"),
        ("50920009", SNOMED, "carditis"),
        ("K85.30", ICD10CM, "pancreas_involvement"),
    ],
)
def test_a_confirmed_condition_is_a_finding_at_its_onset(
    intake: Intake, code: str, system: str, finding: str
) -> None:
    outcome = read_fhir(as_json(condition(code, system)), intake)
    assert findings(outcome) == {finding: "present"}
    event = only(outcome)
    assert event.version.order.status is Status.FINAL
    assert event.version.statement.effective.earliest == parse_instant("2021-04-10T06:00:00Z")


@pytest.mark.parametrize(
    ("code", "system"),
    [
        ("128613002", SNOMED),
        ("R21", SNOMED),
        (RASH, "urn:local"),
        ("386661006", SNOMED),  # fever: the engine measures it
        ("387778001", SNOMED),  # purpura, without its place
        ("N10", ICD10CM),  # may be an infection
    ],
)
def test_a_condition_that_is_no_finding_of_ours_is_counted(intake: Intake, code: str, system: str) -> None:
    outcome = read_fhir(as_json(condition(code, system)), intake)
    assert outcome.events == []
    assert outcome.ignored == {IgnoreReason.CODE_NOT_USED: 1}
    assert outcome.parts == {("Condition", Fate.IGNORED): 1}


def test_a_refuted_condition_is_the_absence_of_the_finding(intake: Intake) -> None:
    outcome = read_fhir(as_json(condition(verificationStatus=verified("refuted"))), intake)
    assert findings(outcome) == {"rash": "absent"}
    asserted = only(read_fhir(as_json(condition()), intake))
    assert only(outcome).version.key == asserted.version.key


def test_a_condition_entered_in_error_takes_back_all_it_said(intake: Intake) -> None:
    gone: dict[str, Any] = {
        "clinicalStatus": concept("resolved"),
        "abatementDateTime": "2021-04-11T06:00:00Z",
    }
    said = facts(read_fhir(as_json(condition(**gone)), intake))
    taken = facts(
        read_fhir(as_json(condition(**gone, verificationStatus=verified("entered-in-error"))), intake)
    )
    assert [event.version.key for event in taken] == [event.version.key for event in said]
    assert all(is_retraction(event) for event in taken)


@pytest.mark.parametrize("doubt", ["unconfirmed", "provisional", "differential", "made-up"])
def test_a_doubtful_condition_asserts_nothing(intake: Intake, doubt: str) -> None:
    unnumbered = replace(intake, received_at=parse_instant("2021-05-01T00:00:00Z"))
    outcome = read_fhir(as_json(condition(verificationStatus=verified(doubt), meta=None)), unnumbered)
    assert outcome.events == []
    assert outcome.ignored == {IgnoreReason.STATUS_NOT_USED: 1}


def test_a_later_doubt_takes_back_what_was_asserted_and_a_later_assertion_counts_again(
    intake: Intake,
) -> None:
    doubted = only(read_fhir(as_json(condition(verificationStatus=verified("provisional"))), intake))
    assert is_retraction(doubted)
    later = condition(meta={"lastUpdated": "2021-04-13T08:00:00Z"})
    assert only(read_fhir(as_json(later), intake)).version.order > doubted.version.order


def test_a_condition_without_a_verification_is_asserted_but_ranks_lower(intake: Intake) -> None:
    outcome = read_fhir(as_json(condition(verificationStatus=None)), intake)
    assert findings(outcome) == {"rash": "present"}
    assert only(outcome).version.order.status is Status.PRELIMINARY


@pytest.mark.parametrize(
    ("changes", "earliest", "latest"),
    [
        ({"onsetDateTime": None}, "2021-04-11T06:00:00Z", "2021-04-11T06:00:00Z"),
        ({"onsetDateTime": "2021-04"}, "2021-03-31T10:00:00Z", "2021-05-01T11:59:59.999999Z"),
        (
            {"onsetDateTime": None, "onsetPeriod": {"start": "2021-04-01T00:00:00Z", "end": "2021-04-02T00:00:00Z"}},
            "2021-04-01T00:00:00Z",
            "2021-04-02T00:00:00Z",
        ),
    ],
)  # fmt: skip
def test_the_time_of_a_condition_is_its_onset_else_when_it_was_recorded(
    intake: Intake, changes: dict[str, Any], earliest: str, latest: str
) -> None:
    effective = only(read_fhir(as_json(condition(**changes)), intake)).version.statement.effective
    assert (effective.earliest, effective.latest) == (parse_instant(earliest), parse_instant(latest))


def test_a_condition_without_any_time_is_held_with_what_it_said(intake: Intake) -> None:
    outcome = read_fhir(as_json(condition(onsetDateTime=None, recordedDate=None)), intake)
    assert hold(outcome) is HoldCode.MISSING_TIME
    held = only(outcome).version.statement.content
    assert isinstance(held, Held)
    assert held.said == Finding(FindingCode.RASH, Presence.PRESENT)
    assert outcome.parts == {("Condition", Fate.HELD): 1}


def test_a_condition_that_has_abated_is_absent_from_then_on(intake: Intake) -> None:
    gone = condition(clinicalStatus=concept("resolved"), abatementDateTime="2021-04-12T06:00:00Z")
    first, second = facts(read_fhir(as_json(gone), intake))
    assert first.version.statement.content == Finding(FindingCode.RASH, Presence.PRESENT)
    assert second.version.statement.content == Finding(FindingCode.RASH, Presence.ABSENT)
    assert second.version.statement.effective.earliest == parse_instant("2021-04-12T06:00:00Z")
    assert first.version.key != second.version.key
    lasting = condition(clinicalStatus=concept("remission"), abatementDateTime="2021-04-12T06:00:00Z")
    assert len(facts(read_fhir(as_json(lasting), intake))) == 1


def test_a_condition_that_had_abated_before_it_was_recorded_was_some_time_before_that(intake: Intake) -> None:
    past = condition(
        onsetDateTime=None,
        recordedDate="2021-04-10T06:00:00Z",
        clinicalStatus=concept("resolved"),
        abatementDateTime="2020-02-02T00:00:00Z",
    )
    first, _ = facts(read_fhir(as_json(past), intake))
    effective = first.version.statement.effective
    assert effective.earliest < parse_instant("1920-01-01T00:00:00Z")
    assert effective.latest == parse_instant("2020-02-02T00:00:00Z")


# Coded results -----------------------------------------------------------------------------------------------------


def _test(code: str, **changes: Any) -> dict[str, Any]:
    return observation(code=concept(code, LOINC), valueQuantity=None, **changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"valueCodeableConcept": concept("260385009")}, {"ana": "absent"}),
        ({"valueCodeableConcept": concept("10828004")}, {"ana": "present"}),
        ({"valueCodeableConcept": {"text": "Not  detected"}}, {"ana": "absent"}),
        ({"valueString": "NEGATIVE"}, {"ana": "absent"}),
        ({"valueBoolean": True}, {"ana": "present"}),
        (
            {
                "interpretation": [
                    concept("NEG", "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation")
                ]
            },
            {"ana": "absent"},
        ),
        ({"valueString": "negative, but see comment"}, {}),
        ({"valueString": "1:80"}, {}),
        ({"valueCodeableConcept": {"coding": [{"code": "POS"}, {"code": "NEG"}]}}, {}),
        ({"dataAbsentReason": concept("unknown")}, {}),
    ],
)
def test_a_test_is_a_finding_when_its_answer_is_on_the_list(
    intake: Intake, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    outcome = read_fhir(as_json(_test(ANA, **changes)), intake)
    assert findings(outcome) == expected
    assert len(outcome.events) + outcome.ignored.total() == 1


def test_one_hepatitis_virus_that_was_found_speaks_and_one_that_was_not_stays_silent(intake: Intake) -> None:
    found = read_fhir(as_json(_test(HBSAG, valueString="Positive")), intake)
    assert findings(found) == {"hepatitis_serology": "present"}
    silent = read_fhir(as_json(_test(HBSAG, valueString="Negative")), intake)
    assert (silent.events, silent.ignored) == ([], {IgnoreReason.NEGATIVE_OF_PART: 1})


def test_a_blood_test_of_another_specimen_is_held(intake: Intake) -> None:
    urine = {"resourceType": "Specimen", "id": "s", "type": {"text": "Urine"}}
    resource = _test(ANA, valueString="Positive", specimen={"reference": "#s"}, contained=[urine])
    outcome = read_fhir(as_json(resource), intake)
    assert hold(outcome) is HoldCode.UNKNOWN_SPECIMEN
    assert outcome.parts == {("Observation", Fate.HELD): 1, ("Specimen", Fate.CONTEXT): 1}


@pytest.mark.parametrize(
    ("status", "taken"), [("entered-in-error", True), ("cancelled", True), ("final", False)]
)
def test_a_coded_result_is_taken_back_like_any_other(intake: Intake, status: str, *, taken: bool) -> None:
    event = only(read_fhir(as_json(_test(ANA, valueString="Positive", status=status)), intake))
    assert is_retraction(event) is taken
    assert (
        event.version.key
        == only(read_fhir(as_json(_test(ANA, valueString="x", status="cancelled")), intake)).version.key
    )


def test_a_coded_result_of_an_unknown_status_is_held_and_a_registered_one_is_no_result_yet(
    intake: Intake,
) -> None:
    assert (
        hold(read_fhir(as_json(_test(ANA, valueBoolean=True, status="odd")), intake))
        is HoldCode.UNKNOWN_STATUS
    )
    outcome = read_fhir(as_json(_test(ANA, valueBoolean=True, status="registered")), intake)
    assert outcome.ignored == {IgnoreReason.NO_RESULT_YET: 1}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"code": concept(RASH), "valueBoolean": True}, {"rash": "present"}),
        ({"code": concept(RASH), "valueCodeableConcept": concept("2667000")}, {"rash": "absent"}),
        ({"code": concept(RASH)}, {}),
        ({"code": concept("404684003"), "valueCodeableConcept": concept(RASH)}, {"rash": "present"}),
        ({"code": concept("75325-1", LOINC), "valueCodeableConcept": concept("386661006")}, {}),
        ({"code": concept("8716-3", LOINC), "valueCodeableConcept": concept(RASH)}, {}),
    ],
)  # fmt: skip
def test_a_finding_of_an_examination(
    intake: Intake, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    outcome = read_fhir(as_json(observation(**{"valueQuantity": None} | changes)), intake)
    assert findings(outcome) == expected


def test_components_may_be_findings(intake: Intake) -> None:
    panel = observation(
        code=concept(CBC, LOINC),
        valueQuantity=None,
        component=[
            {"code": concept(ANA, LOINC), "valueString": "Negative"},
            {"code": concept(RASH), "valueBoolean": True},
            {"code": concept("6690-2", LOINC), "valueQuantity": {"value": 9, "unit": "10*9/L"}},
        ],
    )
    outcome = read_fhir(as_json(panel), intake)
    assert findings(outcome) == {"ana": "absent", "rash": "present"}
    assert len({event.version.key for event in facts(outcome)}) == 3


_LATER = {"status": "entered-in-error", "meta": {"lastUpdated": "2021-04-13T08:00:00Z", "versionId": "2"}}
_LOCAL_FIRST = {"coding": [{"system": "urn:local", "code": "S-ANA"}, {"system": LOINC, "code": ANA}]}
_NO_CODE = {"code": None, "component": None, "effectiveDateTime": None}


@pytest.mark.parametrize(
    ("code", "component", "left"),
    [
        (concept(CBC, LOINC), concept(ANA, LOINC), {"component": None}),
        (concept(CBC, LOINC), _LOCAL_FIRST, {"component": []}),
        (concept("24363-4", LOINC), concept("13950-1", LOINC), {"component": None}),
        (concept(CBC, LOINC), concept(ANA, LOINC), _NO_CODE),
        ({"text": "skin"}, concept(RASH), _NO_CODE),
        ({"text": "skin"}, concept("R21", "http://hl7.org/fhir/sid/icd-10"), _NO_CODE),
        ({"text": "skin"}, concept("75321-0", LOINC), _NO_CODE),
        # A component that is still listed is taken back by itself, whatever is left of it.
        ({"text": "skin"}, _LOCAL_FIRST, {"component": [{"code": concept(ANA, LOINC)}]}),
    ],
)
def test_a_finding_in_a_panel_that_was_entered_in_error_does_not_stand(
    intake: Intake, code: dict[str, Any], component: dict[str, Any], left: dict[str, Any]
) -> None:
    part = {"code": component, "valueCodeableConcept": concept("10828004")}
    if component == concept("75321-0", LOINC):
        part["valueCodeableConcept"] = concept(RASH)
    whole = observation(code=code, valueQuantity=None, component=[part])
    said = only(read_fhir(as_json(whole), intake))
    assert isinstance(said.version.statement.content, Finding)
    outcome = read_fhir(as_json(whole | _LATER | left), intake)
    taken_back = [event for event in facts(outcome) if event.version.key == said.version.key]
    (retraction,) = taken_back
    assert is_retraction(retraction)
    assert retraction.version.order > said.version.order


def test_a_finding_whose_code_is_gone_with_the_error_does_not_stand(intake: Intake) -> None:
    said = [
        only(read_fhir(as_json(observation(**changes)), intake))
        for changes in ({}, {"code": concept(ANA, LOINC), "valueQuantity": None, "valueString": "positive"})
    ]
    stripped = observation(**{"code": None, "valueQuantity": None} | _LATER)
    keys = {
        event.version.key for event in facts(read_fhir(as_json(stripped), intake)) if is_retraction(event)
    }
    assert keys >= {event.version.key for event in said}


def test_what_a_named_panel_never_held_costs_no_tombstones(intake: Intake) -> None:
    """Each stays in the patient's state for life: a panel that says what it is takes back no skin and no organ."""
    named = observation(code=concept(CBC, LOINC), valueQuantity=None, **_LATER)
    unnamed = observation(**{"code": None, "valueQuantity": None} | _LATER)
    counts = [len(read_fhir(as_json(each), intake).events) for each in (named, unnamed)]
    assert counts[0] == len(loinc_table().analytes) + len(finding_table().tests) + 1
    assert counts[1] == len(loinc_table().analytes) + len(finding_table().known_codes()) + 2


def test_only_the_final_answer_of_a_test_counts_but_an_examination_is_what_was_seen(intake: Intake) -> None:
    early = read_fhir(as_json(_test(BLOOD_CULTURE, valueString="No growth", status="preliminary")), intake)
    assert (early.events, early.ignored) == ([], {IgnoreReason.NO_RESULT_YET: 1})
    seen = observation(code=concept(RASH), valueQuantity=None, valueBoolean=True, status="preliminary")
    assert findings(read_fhir(as_json(seen), intake)) == {"rash": "present"}
    report = _report(BLOOD_CULTURE, "264868006", status="preliminary")
    assert read_fhir(as_json(report), intake).ignored == {IgnoreReason.NO_RESULT_YET: 1}


def test_a_correction_that_says_neither_yes_nor_no_is_held(intake: Intake) -> None:
    outcome = read_fhir(as_json(_test(ANA, valueString="see comment", status="corrected")), intake)
    assert hold(outcome) is HoldCode.UNREADABLE_VALUE


# Conclusions -------------------------------------------------------------------------------------------------------


def _report(code: str, *conclusions: str, **changes: Any) -> dict[str, Any]:
    base = {
        "resourceType": "DiagnosticReport",
        "id": "d1",
        "meta": {"lastUpdated": "2021-04-12T08:00:00Z"},
        "status": "final",
        "code": concept(code, LOINC),
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2021-04-10T06:00:00Z",
        "conclusionCode": [concept(each) for each in conclusions],
    } | changes
    return {name: value for name, value in base.items() if value is not None}


SKIN = {"category": [concept("SP", "http://terminology.hl7.org/CodeSystem/v2-0074")]}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (_report(BLOOD_CULTURE, "264868006"), {"blood_culture": "absent"}),
        (_report(BLOOD_CULTURE, "10828004"), {"blood_culture": "present"}),
        (_report(BLOOD_CULTURE, "3092008"), {}),
        (_report("66122-7", DRESS, **SKIN), {"biopsy_suggests_dress": "present"}),
        (_report("66122-7", DRESS), {}),
        (_report("66122-7", RASH, **SKIN), {}),
        (_report(HBSAG, "260385009"), {}),
    ],
)
def test_a_coded_conclusion_is_a_finding_only_where_it_is_certain(
    intake: Intake, resource: dict[str, Any], expected: dict[str, str]
) -> None:
    outcome = read_fhir(as_json(resource), intake)
    assert findings(outcome) == expected
    assert outcome.parts == {("DiagnosticReport", Fate.FACT if expected else Fate.CONTEXT): 1}


@pytest.mark.parametrize(
    ("status", "reason"),
    [("registered", IgnoreReason.NO_RESULT_YET), ("partial", IgnoreReason.NO_RESULT_YET)],
)
def test_a_report_in_progress_concludes_nothing(intake: Intake, status: str, reason: IgnoreReason) -> None:
    outcome = read_fhir(as_json(_report(BLOOD_CULTURE, "264868006", status=status)), intake)
    assert (outcome.events, outcome.ignored) == ([], {reason: 1})


def test_a_report_is_taken_back_held_or_refused_like_a_result(intake: Intake) -> None:
    taken = read_fhir(as_json(_report(BLOOD_CULTURE, "264868006", status="entered-in-error")), intake)
    assert is_retraction(only(taken))
    odd = read_fhir(as_json(_report(BLOOD_CULTURE, "264868006", status="odd")), intake)
    assert hold(odd) is HoldCode.UNKNOWN_STATUS
    nobody = read_fhir(as_json(_report(BLOOD_CULTURE, "264868006", subject=None)), intake)
    assert [each.code for each in nobody.rejects] == [RejectCode.MISSING_PATIENT]
    assert nobody.parts == {("DiagnosticReport", Fate.REJECTED): 1}


def test_a_resource_without_an_id_has_a_key_of_what_it_says(intake: Intake) -> None:
    keys = {
        only(read_fhir(bundle_of(each), intake)).version.key
        for each in (condition(id=None), condition("R21", ICD10CM, id=None), condition(NODES, id=None))
    }
    assert len(keys) == 2


def bundle_of(resource: dict[str, Any]) -> bytes:
    return as_json({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource}]})


def test_a_bundle_names_the_server_of_a_condition(intake: Intake) -> None:
    here = only(read_fhir(bundle(condition()), intake))
    assert here.version.key != only(read_fhir(as_json(condition()), intake)).version.key
