"""FHIR of any shape: nothing crashes, every event can be written, no resource is left out, and nothing leaks."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.codec.events import decode_event, encode_event
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Outcome, RejectCode
from pv_stream.ingest.report import Report
from tests.unit.ingest.fhir.fhir_messages import adverse_event, allergy, concept, condition
from tests.unit.ingest.messages import FIXTURES, as_json, bundle, medication, observation

CANARIES = ["Zyxwvut", "MRN8675309", "19420229", "13 Canary Row", "patient says it itches"]
REPORT = {
    "resourceType": "DiagnosticReport",
    "id": "d",
    "meta": {"lastUpdated": "2021-04-12T08:00:00Z"},
    "status": "final",
    "code": concept("600-7", "http://loinc.org"),
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2021-04-12T07:00:00Z",
    "conclusionCode": [concept("264868006")],
    "conclusion": "x",
}
PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "meta": {"lastUpdated": "2021-04-12T08:00:00Z"},
    "name": [{"family": "x", "given": ["x"]}],
    "birthDate": "1942-02-28",
    "address": [{"text": "x"}],
    "link": [{"type": "replaced-by", "other": {"reference": "Patient/p2"}}],
}
DISPENSE = medication(
    "MedicationDispense",
    status="completed",
    whenHandedOver="2021-03-01T09:00:00Z",
    note=[{"text": "x"}],
    dosageInstruction=[
        {
            "text": "x",
            "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}, "code": {"text": "x"}},
            "doseAndRate": [{"doseQuantity": {"value": 400, "unit": "mg"}}],
        }
    ],
)
RESOURCES = [
    condition(note=[{"text": "x"}], abatementDateTime="2021-04-11"),
    condition("702809001"),
    adverse_event(description="x"),
    allergy(note=[{"text": "x"}]),
    REPORT,
    PATIENT,
    DISPENSE,
    observation(valueQuantity={"value": 1, "comparator": "<", "system": "x", "code": "x", "unit": "x"}),
    medication(
        dosage={"rateQuantity": {"value": 1, "unit": "mg/h"}},
        effectiveDateTime=None,
        effectivePeriod={"start": "2021-04-12T07:00:00Z", "end": "2021-04-12T08:00:00Z"},
    ),
    observation(valueQuantity=None, valueRange={"low": {"value": 1, "unit": "10*9/L"}}),
    observation(
        valueQuantity=None,
        valueRatio={"numerator": {"value": 1690}, "denominator": {"value": 1, "unit": "uL"}},
    ),
    observation(code=concept("8061-4", "http://loinc.org"), valueQuantity=None, valueString="Positive"),
    observation(component=[{"code": concept("271807003"), "valueBoolean": True}]),
]
NAMES = [f"{number}-{resource['resourceType']}" for number, resource in enumerate(RESOURCES)]
DOCUMENTS = [
    *(json.loads(path.read_bytes()) for path in sorted((FIXTURES / "fhir_r4").iterdir())),
    *RESOURCES,
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["2021-04-12", "Patient/p1", "#m", "urn:uuid:1", "entered-in-error", "DELETE"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["coding", "code", "reference", "value", "start", "resource"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def _paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, member in members:
        yield (*before, name)
        yield from _paths(member, (*before, name))


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copied: Any = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = _with(value[path[0]], path[1:], new)
    return copied


def _resources(value: Any) -> int:
    """Count the resources of a document of one level, as a reader of the standard would."""
    if not isinstance(value.get("resourceType"), str):
        return 0
    entries = value.get("entry", [])
    if value["resourceType"] != "Bundle":
        contained = value.get("contained")
        return 1 + sum(isinstance(each, dict) for each in (contained if isinstance(contained, list) else ()))
    if not isinstance(entries, list):
        return 2  # whatever stands in their place is one that is refused
    count = 1
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        contained = resource.get("contained") if isinstance(resource, dict) else None
        inner = contained if isinstance(contained, list) else ()
        count += 1 + sum(isinstance(each, dict) for each in inner)
    return count


def _check(outcome: Outcome) -> None:
    for event in outcome.events:
        assert decode_event(encode_event(event)) == event


@given(st.sampled_from(DOCUMENTS), st.data())
def test_any_member_may_be_anything_and_every_resource_is_accounted_for(
    intake: Intake, document: dict[str, Any], data: st.DataObject
) -> None:
    changed: Any = document
    for _ in range(data.draw(st.integers(min_value=1, max_value=3))):
        changed = _with(changed, data.draw(st.sampled_from(list(_paths(changed)) or [()])), data.draw(VALUES))
    content = as_json(changed)
    outcome = read_fhir(content, intake)
    _check(outcome)
    assert read_fhir(content, intake) == outcome
    whole = isinstance(changed, dict) and not any(reject.path == "" for reject in outcome.rejects)
    if whole and b'"DELETE"' not in content and content.count(b'"Bundle"') < 2:
        assert outcome.parts.total() == _resources(changed)


@pytest.mark.parametrize("entries", [None, {}, "x", 0])
def test_what_stands_in_place_of_the_entries_is_one_that_is_refused(intake: Intake, entries: object) -> None:
    document = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    outcome = read_fhir(as_json(document), intake)
    assert [(reject.code, reject.path) for reject in outcome.rejects] == [
        (RejectCode.INVALID_RESOURCE, "Bundle.entry")
    ]
    assert outcome.parts.total() == _resources(document) == 2


@pytest.mark.parametrize("resource", RESOURCES, ids=NAMES)
@pytest.mark.parametrize(
    "odd", [[], {}, [[]], [{}], True, 0, -1, 1e300, "", None, ["x"], {"value": []}], ids=repr
)
def test_each_member_may_be_each_odd_thing(intake: Intake, resource: dict[str, Any], odd: Any) -> None:
    for path in _paths(resource):
        _check(read_fhir(as_json(_with(resource, path, odd)), intake))


@given(st.lists(st.sampled_from(RESOURCES), max_size=6), st.data())
def test_resources_may_refer_to_each_other_in_any_way(
    intake: Intake, resources: list[dict[str, Any]], data: st.DataObject
) -> None:
    names = [f"{each['resourceType']}/{each['id']}" for each in resources]
    targets: list[Any] = [{"reference": name} for name in names]
    targets += [[target] for target in targets]
    members = [
        "subject",
        "specimen",
        "medicationReference",
        "resultingCondition",
        "hasMember",
        "result",
        "patient",
    ]
    changed = [
        each | {data.draw(st.sampled_from(members)): data.draw(st.sampled_from(targets))}
        for each in resources
    ]
    _check(read_fhir(bundle(*changed), intake))


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("resource", RESOURCES, ids=NAMES)
def test_no_member_of_a_resource_leaks(intake: Intake, resource: dict[str, Any], canary: str) -> None:
    for path in _paths(resource):
        outcome = read_fhir(as_json(_with(resource, path, canary)), intake)
        report = Report()
        report.add("fhir", outcome)
        written = b"".join(encode_event(event) for event in outcome.events)
        shown = json.dumps(report.value()) + repr((outcome.rejects, outcome.holds)) + written.decode()
        assert canary not in shown, path


@pytest.mark.parametrize("canary", CANARIES)
def test_nothing_around_the_resources_of_a_bundle_leaks(intake: Intake, canary: str) -> None:
    document = json.loads((FIXTURES / "fhir_r4/history.json").read_bytes())
    for path in _paths(document):
        outcome = read_fhir(as_json(_with(document, path, canary)), intake)
        written = b"".join(encode_event(event) for event in outcome.events)
        assert canary not in repr((outcome.rejects, outcome.holds, outcome.parts)) + written.decode(), path
