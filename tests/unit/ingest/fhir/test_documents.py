"""FHIR documents: what a Bundle of each kind holds, deletions, merges, long files, and the account of all resources."""

import json
from pathlib import Path
from typing import Any

import pytest

from pv_stream.domain.codes import Status
from pv_stream.domain.events import Absorbed, Absorbs
from pv_stream.domain.times import parse_instant
from pv_stream.engine.join import join_fact
from pv_stream.ingest.feed import Feed
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.icsr.openfda import read_openfda
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason, MessageOutcome, RejectCode
from pv_stream.ingest.rejects import RejectStore
from pv_stream.ingest.sources import FHIR_DOCUMENT_BYTES_MAX, Format, records
from tests.unit.ingest.fhir.fhir_messages import condition
from tests.unit.ingest.messages import (
    as_json,
    bundle,
    facts,
    is_retraction,
    medication,
    observation,
    only,
    specimens,
    values,
)

SERVER = "https://h.example.org/fhir"
PATIENT = {"resourceType": "Patient", "id": "p1", "meta": {"lastUpdated": "2021-04-12T08:00:00Z"}}


def _bundle(*entries: Any, kind: str = "transaction", **changes: Any) -> bytes:
    return as_json({"resourceType": "Bundle", "type": kind, "entry": list(entries)} | changes)


def _delete(url: str, **changes: Any) -> dict[str, Any]:
    return {"request": {"method": "DELETE", "url": url}} | changes


@pytest.mark.parametrize(
    "kind", ["collection", "message", "transaction", "batch", "searchset", "document", "history"]
)
def test_a_bundle_of_any_kind_is_read(intake: Intake, kind: str) -> None:
    header = {"resourceType": "MessageHeader", "id": "h"}
    outcome = read_fhir(bundle(header, observation(), PATIENT, type=kind), intake)
    assert values(outcome) == {"eosinophils": "1690"}
    assert outcome.parts == {
        ("Bundle", Fate.CONTEXT): 1,
        ("MessageHeader", Fate.CONTEXT): 1,
        ("Observation", Fate.FACT): 1,
        ("Patient", Fate.CONTEXT): 1,
    }


def test_a_bundle_without_entries_is_accepted(intake: Intake) -> None:
    outcome = read_fhir(_bundle(kind="searchset", total=0), intake)
    assert (outcome.message, outcome.parts) == (MessageOutcome.ACCEPTED, {("Bundle", Fate.CONTEXT): 1})


@pytest.mark.parametrize(
    "resource",
    [PATIENT, {"resourceType": "Practitioner", "id": "d"}, {"resourceType": "Medication", "id": "m"}],
)
def test_a_line_of_an_export_that_is_no_fact_is_accepted(intake: Intake, resource: dict[str, Any]) -> None:
    outcome = read_fhir(as_json(resource), intake)
    assert (outcome.events, outcome.rejects) == ([], [])
    assert outcome.parts.total() == 1


def test_entries_without_a_resource_are_counted(intake: Intake) -> None:
    outcome = read_fhir(
        _bundle({"request": {"method": "GET", "url": "Patient/1"}}, {"response": {"status": "200"}}), intake
    )
    assert outcome.parts == {("Bundle", Fate.CONTEXT): 1, ("Bundle.entry", Fate.IGNORED): 2}
    assert outcome.ignored == {IgnoreReason.RESOURCE_NOT_USED: 2}


def test_a_bundle_inside_a_bundle_is_opened(intake: Intake) -> None:
    inner = json.loads(bundle(observation(), type="searchset"))
    outcome = read_fhir(_bundle({"resource": inner}, kind="batch-response"), intake)
    assert only(outcome).version.provenance.path == "Bundle.entry[0].entry[0]"
    assert outcome.parts["Bundle", Fate.CONTEXT] == 2


def test_bundles_inside_each_other_without_end_are_refused(intake: Intake) -> None:
    whole: dict[str, Any] = json.loads(bundle(observation()))
    for _ in range(5):
        whole = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": whole}]}
    outcome = read_fhir(as_json(whole), intake)
    assert [each.code for each in outcome.rejects] == [RejectCode.INVALID_RESOURCE]


# Deletions ---------------------------------------------------------------------------------------------------------


def test_a_deletion_takes_back_what_the_document_shows_of_the_resource(intake: Intake) -> None:
    said = only(read_fhir(bundle(observation()), intake)).version
    entries = [
        {"fullUrl": f"{SERVER}/Observation/o1", "resource": observation()},
        _delete("Observation/o1", response={"lastModified": "2021-04-13T08:00:00Z"}),
    ]
    outcome = read_fhir(_bundle(*entries, kind="history", timestamp="2021-04-14T08:00:00Z"), intake)
    first, taken = facts(outcome)
    assert is_retraction(taken)
    assert taken.version.key == first.version.key == said.key
    assert taken.version.order.source_version == parse_instant("2021-04-13T08:00:00Z")
    assert join_fact(join_fact(None, taken.version), said).order.status is Status.RETRACTED
    assert outcome.parts["Observation", Fate.FACT] == 2


@pytest.mark.parametrize(
    "resource",
    [
        condition(),
        condition("702809001"),
        medication(),
        medication("MedicationRequest", intent="order", authoredOn="2021-03-01"),
        observation(
            code={"coding": [{"system": "http://loinc.org", "code": "8061-4"}]},
            valueQuantity=None,
            valueString="Positive",
        ),
    ],
)
def test_each_kind_of_fact_can_be_deleted(intake: Intake, resource: dict[str, Any]) -> None:
    url = f"{resource['resourceType']}/{resource['id']}"
    entries = [{"fullUrl": f"{SERVER}/{url}", "resource": resource}, _delete(url)]
    said, taken = facts(read_fhir(_bundle(*entries, timestamp="2021-04-14T08:00:00Z"), intake))
    assert is_retraction(taken)
    assert not is_retraction(said)
    assert taken.version.key == said.version.key
    assert taken.version.order > said.version.order


@pytest.mark.parametrize(
    "url", ["Observation/unknown", "Observation?identifier=x|7", f"{SERVER}/Condition/9"]
)
def test_a_deletion_that_does_not_show_whose_resource_it_was_is_refused(intake: Intake, url: str) -> None:
    outcome = read_fhir(_bundle(_delete(url), timestamp="2021-04-14T08:00:00Z"), intake)
    assert outcome.events == []
    assert [each.code for each in outcome.rejects] == [RejectCode.MISSING_PATIENT]


def test_the_deletion_of_a_resource_that_no_rule_uses_is_counted(intake: Intake) -> None:
    outcome = read_fhir(_bundle(_delete("Claim/1"), _delete("Jane Doe")), intake)
    assert outcome.parts["Claim", Fate.IGNORED] == 1
    assert outcome.parts["unknown resource", Fate.REJECTED] == 1


# Patients ----------------------------------------------------------------------------------------------------------


def _patient(identity: str, kind: str, other: Any) -> dict[str, Any]:
    return PATIENT | {"id": identity, "link": [{"type": kind, "other": other}]}


@pytest.mark.parametrize(
    "resource",
    [
        _patient("old", "replaced-by", {"reference": "Patient/new"}),
        _patient("new", "replaces", {"reference": "Patient/old"}),
    ],
)
def test_a_link_that_replaces_is_a_merge_told_to_both(intake: Intake, resource: dict[str, Any]) -> None:
    name = intake.pseudonyms.patient
    old, new = name(SERVER, "Patient/old"), name(SERVER, "Patient/new")
    outcome = read_fhir(bundle(resource), intake)
    absorbed, absorbs = outcome.events
    assert isinstance(absorbed, Absorbed)
    assert isinstance(absorbs, Absorbs)
    assert (absorbed.patient_id, absorbed.survivor) == (old, new)
    assert (absorbs.patient_id, absorbs.prior) == (new, old)
    assert absorbed.received_at == parse_instant("2021-04-12T08:00:00Z")
    assert outcome.parts["Patient", Fate.FACT] == 1


def test_a_merge_that_both_records_tell_is_told_once(intake: Intake) -> None:
    content = bundle(
        _patient("old", "replaced-by", {"reference": "Patient/new"}),
        _patient("new", "replaces", {"reference": f"{SERVER}/Patient/old"}),
    )
    assert len(read_fhir(content, intake).events) == 2


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("seealso", {"reference": "Patient/new"}),
        ("refer", {"reference": "Patient/new"}),
        ("replaced-by", {"reference": "RelatedPerson/r"}),
        ("replaced-by", {"reference": "Patient/old"}),
        ("replaced-by", {"display": "Jane Doe"}),
        ("replaced-by", None),
    ],
)
def test_a_link_that_is_no_merge_is_counted(intake: Intake, kind: str, other: Any) -> None:
    outcome = read_fhir(bundle(_patient("old", kind, other)), intake)
    assert (outcome.events, outcome.ignored) == ([], {IgnoreReason.LINK_NOT_USED: 1})
    assert outcome.parts["Patient", Fate.CONTEXT] == 1


def test_a_link_by_identifier_and_one_without_an_id(intake: Intake) -> None:
    other = {"identifier": {"system": "urn:oid:1.2.3", "value": "77"}}
    absorbed, _ = read_fhir(bundle(_patient("old", "replaced-by", other)), intake).events
    assert isinstance(absorbed, Absorbed)
    assert absorbed.survivor == intake.pseudonyms.patient("1.2.3", "77")
    nameless = {name: value for name, value in _patient("x", "replaces", other).items() if name != "id"}
    assert [each.code for each in read_fhir(as_json(nameless), intake).rejects] == [
        RejectCode.MISSING_PATIENT
    ]


def test_a_reference_by_a_search_for_an_identifier(intake: Intake) -> None:
    resource = observation(subject={"reference": "Patient?identifier=urn:oid:1.2.3|77"})
    assert only(read_fhir(as_json(resource), intake)).patient_id == intake.pseudonyms.patient("1.2.3", "77")


def test_a_contained_result_without_a_subject_is_of_the_patient_of_its_report(intake: Intake) -> None:
    inner = observation(id="in", subject=None, meta=None)
    panel = observation(
        code={"coding": [{"system": "http://loinc.org", "code": "58410-2"}]},
        valueQuantity=None,
        contained=[inner],
        hasMember=[{"reference": "#in"}],
    )
    outcome = read_fhir(as_json(panel), intake)
    assert only(outcome).patient_id == intake.pseudonyms.patient("", "Patient/p1")
    assert outcome.parts == {("Observation", Fate.FACT): 1, ("Observation", Fate.IGNORED): 1}


def test_results_contained_in_one_report_share_the_specimen_that_it_contains(intake: Intake) -> None:
    specimen = {"resourceType": "Specimen", "id": "s", "type": {"coding": [{"code": "BLD"}]}}
    codes = {"a": "711-2", "b": "6690-2"}
    inner = [
        observation(
            id=name,
            code={"coding": [{"system": "http://loinc.org", "code": code}]},
            specimen={"reference": "#s"},
        )
        for name, code in codes.items()
    ]
    report = {
        "resourceType": "DiagnosticReport",
        "id": "d",
        "contained": [specimen, *inner],
        "result": [{"reference": "#a"}, {"reference": "#b"}],
    }
    outcome = read_fhir(as_json(report), intake)
    assert len(specimens(outcome)) == 1
    assert len(facts(outcome)) == 2
    other = only(read_fhir(as_json(observation(specimen={"reference": "#s"}, contained=[specimen])), intake))
    assert other.version.statement.content.specimen not in specimens(outcome)  # type: ignore[union-attr]


# Files -------------------------------------------------------------------------------------------------------------


def _feed(
    intake: Intake,
    folder: Path,
    content: bytes,
    name: str = "in.json",
    *,
    document_bytes_max: int = FHIR_DOCUMENT_BYTES_MAX,
) -> tuple[list[Any], Feed]:
    (folder / name).write_bytes(content)
    store = RejectStore(folder / "rejects")
    feed = Feed(intake, store, 2_000, by_file=True, fhir_document_bytes_max=document_bytes_max)
    return list(feed.read([folder / name])), feed


def _many(count: int, **changes: Any) -> bytes:
    return bundle(
        *(observation(id=f"o{number}") for number in range(count)), observation(id="last", **changes)
    )


def test_a_bundle_longer_than_a_record_is_read_and_only_a_long_resource_in_it_is_refused(
    intake: Intake, tmp_path: Path
) -> None:
    long = {"note": [{"text": "x" * 3_000}]}
    events, feed = _feed(intake, tmp_path, _many(20, **long))
    assert len(events) == 20
    assert feed.report.entries_rejected == {"too_large": 1}
    assert feed.report.coverage() == {
        "Bundle": {"context": 1},
        "Bundle.entry": {"rejected": 1},
        "Observation": {"fact": 20},
    }


def test_one_resource_longer_than_a_record_is_too_large(intake: Intake, tmp_path: Path) -> None:
    events, feed = _feed(intake, tmp_path, as_json(observation(note=[{"text": "x" * 3_000}])))
    assert (events, feed.report.rejected) == ([], {"too_large": 1})


def test_a_document_longer_than_its_own_limit_is_too_large(intake: Intake, tmp_path: Path) -> None:
    events, feed = _feed(intake, tmp_path, _many(20), document_bytes_max=5_000)
    assert (events, feed.report.rejected) == ([], {"too_large": 1})


def test_a_bulk_export_is_read_line_by_line(intake: Intake, tmp_path: Path) -> None:
    lines = [
        as_json(each)
        for each in (PATIENT, observation(), observation(id="o2"), {"resourceType": "Organization"})
    ]
    events, feed = _feed(intake, tmp_path, b"\n".join(lines) + b"\n", "export.ndjson")
    assert len(events) == 2
    assert feed.report.messages == {"accepted": 4}


def test_an_export_of_bundles_may_begin_with_a_long_line(tmp_path: Path) -> None:
    content = _many(200) + b"\n" + _many(3) + b"\n"
    (tmp_path / "in.ndjson").write_bytes(content)
    found = [record.number for _, record in records(tmp_path / "in.ndjson", Format.AUTO, 2_000)]
    assert found == [1, 2]
    (tmp_path / "one.json").write_bytes(_many(200) + b"\n\n")
    assert len(list(records(tmp_path / "one.json", Format.FHIR, 2_000))) == 1


# Documents that mean to hurt ---------------------------------------------------------------------------------------


def test_a_chain_of_medications_and_shared_large_ones_are_read_in_bounded_time(intake: Intake) -> None:
    chain = [
        {
            "resourceType": "Medication",
            "id": f"m{n}",
            "ingredient": [{"itemReference": {"reference": f"Medication/m{n + 1}"}}],
        }
        for n in range(3_000)
    ]
    wide = {"resourceType": "Medication", "id": "wide", "ingredient": [{"isActive": False}] * 20_000}
    given = [
        medication(
            id=f"g{n}",
            medicationCodeableConcept=None,
            medicationReference={"reference": f"Medication/{target}"},
        )
        for n in range(500)
        for target in ("m0", "wide")
    ]
    assert len(read_fhir(bundle(*chain, wide, *given), intake).events) == 1_000


def test_large_lists_that_many_resources_share_are_read_in_bounded_time(intake: Intake) -> None:
    report = {
        "resourceType": "DiagnosticReport",
        "id": "d",
        "specimen": [{"reference": "Specimen/s"}] * 20_000,
        "result": [{"reference": f"Observation/o{n}"} for n in range(1_000)],
        "contained": [{"resourceType": "Specimen", "id": f"c{n}"} for n in range(5_000)],
    }
    specimen = {"resourceType": "Specimen", "id": "s", "type": {"coding": [{"code": "x"}] * 20_000}}
    results = [observation(id=f"o{n}", specimen={"reference": "Specimen/s"}) for n in range(1_000)]
    outcome = read_fhir(bundle(report, specimen, *results), intake)
    assert len(outcome.holds) == 1_000


def test_a_resource_deleted_a_thousand_times_is_deleted_once(intake: Intake) -> None:
    entries = [
        {"fullUrl": f"{SERVER}/Observation/o1", "resource": observation()},
        *[_delete("Observation/o1")] * 1_000,
    ]
    outcome = read_fhir(_bundle(*entries, timestamp="2021-04-14T08:00:00Z"), intake)
    assert len(outcome.events) == 2
    assert outcome.parts["Bundle.entry", Fate.IGNORED] == 999


@pytest.mark.parametrize("entries", [{"resource": observation()}, "x", 1, True])
def test_a_bundle_whose_entries_are_no_list_is_refused_and_not_taken_for_empty(
    intake: Intake, entries: Any
) -> None:
    outcome = read_fhir(as_json({"resourceType": "Bundle", "entry": entries}), intake)
    assert [(each.code, each.path) for each in outcome.rejects] == [
        (RejectCode.INVALID_RESOURCE, "Bundle.entry")
    ]
    assert outcome.parts["Bundle.entry", Fate.REJECTED] == 1


def test_a_member_that_is_named_twice_says_two_things_and_is_refused(intake: Intake) -> None:
    content = as_json(observation())
    for once, twice in (
        (b'"status": "final"', b'"status": "final", "status": "entered-in-error"'),
        (b'"value": 1.69', b'"value": 1.69, "value": 0.169'),
    ):
        outcome = read_fhir(content.replace(once, twice), intake)
        assert [each.code for each in outcome.rejects] == [RejectCode.MALFORMED_JSON]


def test_what_is_nested_too_deeply_is_refused_as_such(intake: Intake) -> None:
    deep = b'{"resourceType":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for read in (read_fhir, read_openfda):
        assert [each.code for each in read(deep, intake).rejects] == [RejectCode.TOO_COMPLEX]
