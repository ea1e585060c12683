"""No bytes crash ingest, and whatever it writes is an event that the log takes."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pv_stream.codec.events import decode_event, encode_event
from pv_stream.ingest.canonical import read_canonical
from pv_stream.ingest.feed import Feed
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.hl7v2.syntax import Message, parse_message
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Outcome
from pv_stream.ingest.rejects import RejectStore
from pv_stream.ingest.sources import Format
from tests.unit.ingest.messages import as_json, fixture, medication, observation

FIXTURES = [
    *(
        fixture(f"hl7v2/{name}.hl7")
        for name in (
            "preliminary",
            "final",
            "leukaemia",
            "order",
            "stop",
            "dispense",
            "merge",
            "merges",
            "administration",
            "admission",
            "serology",
        )
    ),
    *(fixture(f"fhir_r4/{name}.json") for name in ("cbc", "unknown-drug", "error", "adverse-event")),
]
SLOW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

hl7_text = st.text(
    st.sampled_from([*'|^~\\&"\r\n0123456789.+-<>%*/uLNMPFCDXOBRISV ', "\ud7ff", "\x00", "é"]),
    max_size=40,
)
hl7_segment = st.builds(
    lambda name, fields: "|".join((name, *fields)),
    st.sampled_from(
        [
            "PID",
            "OBR",
            "OBX",
            "SPM",
            "ORC",
            "RXE",
            "RXD",
            "RXO",
            "RXA",
            "RXR",
            "RXC",
            "TQ1",
            "NTE",
            "MRG",
            "DG1",
            "AL1",
            "PV1",
            "BOB",
            "Z01",
            "BTS",
            "MSH",
            "",
        ]
    ),
    st.lists(hl7_text, max_size=20),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


def _check(outcome: Outcome) -> None:
    for event in outcome.events:
        assert decode_event(encode_event(event)) == event
    assert outcome.events or outcome.rejects or outcome.ignored or not outcome.holds


@given(st.binary(max_size=300))
def test_any_bytes(intake: Intake, content: bytes) -> None:
    for read in (read_hl7v2, read_fhir, read_canonical):
        _check(read(content, intake))


@given(st.sampled_from(FIXTURES), st.data())
def test_real_messages_with_any_piece_replaced(intake: Intake, content: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(min_value=0, max_value=len(content)))
    end = data.draw(st.integers(min_value=start, max_value=min(len(content), start + 40)))
    changed = content[:start] + data.draw(st.binary(max_size=20)) + content[end:]
    for read in (read_hl7v2, read_fhir):
        _check(read(changed, intake))


@given(
    st.sampled_from(["ORU^R01", "RDE^O11", "RDS^O13", "RAS^O17", "ORM^O01", "ADT^A08", "ADT^A40"]),
    st.lists(hl7_segment, max_size=12),
)
def test_any_segments(intake: Intake, kind: str, segments: list[str]) -> None:
    head = [f"MSH|^~\\&|Lab|North|||20210412080000+0200||{kind}|C1|P|2.5.1", "PID|1||7^^^N^MR"]
    content = "\r".join((*head, *segments)).encode(errors="replace")
    outcome = read_hl7v2(content, intake)
    _check(outcome)
    message = parse_message(content)
    if isinstance(message, Message):
        assert outcome.parts.total() == len(message.segments) + message.continued
    assert not any(name in {"BOB", "Z01"} for name, _ in outcome.parts)


@given(st.sampled_from([observation(), medication(), medication("MedicationRequest")]), st.data())
def test_any_member_of_a_resource(intake: Intake, resource: dict[str, Any], data: st.DataObject) -> None:
    changed = dict(resource)
    names = [
        *resource,
        "effectivePeriod",
        "component",
        "contained",
        "specimen",
        "medicationReference",
        "issued",
        "dosage",
    ]
    for name in data.draw(st.lists(st.sampled_from(names), max_size=3)):
        changed[name] = data.draw(json_values)
    _check(read_fhir(as_json(changed), intake))


@given(
    st.recursive(
        json_values, lambda inner: st.dictionaries(st.sampled_from(["resource", "entry", "fullUrl"]), inner)
    )
)
def test_any_bundle(intake: Intake, value: Any) -> None:
    _check(read_fhir(as_json({"resourceType": "Bundle", "entry": value}), intake))
    _check(
        read_fhir(as_json({"resourceType": "Bundle", "entry": [{"resource": observation()}, value]}), intake)
    )


@SLOW
@given(
    st.binary(max_size=400), st.sampled_from(list(Format)), st.sampled_from(["", ".json", ".jsonl", ".hl7"])
)
def test_any_file_ends_with_an_outcome_and_never_with_a_fault_of_ours(
    intake: Intake, tmp_path: Path, content: bytes, form: Format, suffix: str
) -> None:
    path = tmp_path / f"input{suffix}"
    path.write_bytes(content)
    feed = Feed(intake, RejectStore(tmp_path / "rejects"), 1024, form)
    for event in feed.read([path]):
        assert decode_event(encode_event(event)) == event
    assert feed.report.messages.total() >= 1
    assert "internal_error" not in feed.report.rejected


@pytest.mark.parametrize("content", FIXTURES)
def test_the_fixtures_are_read_the_same_twice(intake: Intake, content: bytes) -> None:
    for read in (read_hl7v2, read_fhir):
        assert read(content, intake) == read(content, intake)
