"""The HTTP listener: what it answers to what, and that it answers only what is written."""

import gzip
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pv_stream.ingest.intake import Intake
from pv_stream.ingest.listeners.http_answers import ISSUES_MAX, verdict
from pv_stream.ingest.outcomes import Outcome, Reject, RejectCode
from tests.unit.ingest.listeners.http_serving import (
    BYTES_MAX,
    HL7,
    ISSUE_TYPES,
    PATIENCE_SECONDS,
    Served,
    fresh,
    is_outcome,
    serving,
)
from tests.unit.ingest.messages import as_json, bundle, medication, obx, oru

#: A safety report as short as E2B(R2) allows.
REPORT = (
    b"<ichicsr><ichicsrmessageheader><messagedate>20210412080000</messagedate></ichicsrmessageheader>"
    b"<safetyreport><safetyreportid>XX-1</safetyreportid><receivedate>20210410</receivedate>"
    b"<receiptdate>20210410</receiptdate><patient>"
    b"<reaction><reactionmeddrapt>Drug reaction with eosinophilia and systemic symptoms</reactionmeddrapt></reaction>"
    b"<drug><medicinalproduct>imatinib</medicinalproduct></drug></patient></safetyreport></ichicsr>"
)
FINAL = oru("OBR|1|PL-1^WARD|FI-1^LAB|58410-2^CBC^LN|||20210412071500+0200", obx())


# --- what is taken in -----------------------------------------------------------------------------------------


def test_a_bundle_is_answered_after_its_events_are_written(served: Served) -> None:
    served.memory.may_write.clear()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(served.post, "/fhir", bundle(fresh(), medication()))
        assert served.memory.has_begun()
        assert not answer.done()
        served.memory.may_write.set()
        said = answer.result()
    assert said.status == 200
    assert is_outcome(said)
    assert said.codes == ["taken_in"]
    assert said.outcome["issue"][0]["diagnostics"] == "durably written: events 2, held 0, refused 0"
    assert sorted(served.memory.types) == ["exposure", "observation"]


@pytest.mark.parametrize("content_type", ["application/json", "Application/FHIR+JSON; charset=UTF-8"])
def test_one_resource_is_taken_in_at_the_address_of_its_type(served: Served, content_type: str) -> None:
    assert served.post("/fhir/Observation", as_json(fresh()), content_type).status == 200
    assert served.memory.types == ["observation"]


def test_a_resource_of_another_type_than_its_address_is_refused(served: Served) -> None:
    said = served.post("/fhir/Patient", as_json(fresh()))
    assert (said.status, said.codes) == (400, ["type_differs"])
    assert served.memory.messages == []


def test_an_hl7_message_is_acknowledged_as_hl7_does(served: Served) -> None:
    said = served.post("/hl7v2", FINAL, HL7)
    assert (said.status, said.headers["content-type"]) == (200, HL7)
    assert [line.split(b"|")[:3] for line in said.body.split(b"\r")[1:2]] == [[b"MSA", b"AA", b"C1"]]
    assert served.memory.types == ["observation"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"PID|1", 400, "malformed_hl7"), (oru().replace(b"ORU^R01", b"SIU^S12"), 422, "unsupported_type")],
    ids=["malformed", "unsupported"],
)
def test_a_refused_hl7_message_has_an_error_status_and_ar(
    served: Served, body: bytes, status: int, code: str
) -> None:
    said = served.post("/hl7v2", body, HL7)
    assert said.status == status
    assert "MSA|AR|" in said.body.decode()
    assert f"rejected {code}" in said.body.decode()
    assert served.kept()[-1]["code"] == code


def test_a_sender_that_asks_for_no_acknowledgement_is_answered_all_the_same(served: Served) -> None:
    asks_none = FINAL.replace(b"|C1|P|2.5.1", b"|C2|P|2.5.1|||NE|NE")
    said = served.post("/hl7v2", asks_none, HL7)
    assert (said.status, said.codes) == (200, ["taken_in"])


def test_of_a_batch_of_hl7_messages_each_is_read_for_itself(served: Served) -> None:
    broken = FINAL.replace(b"ORU^R01", b"SIU^S12")
    batch = b"BHS|^~\\&\r" + FINAL.replace(b"FI-1", b"FI-2") + broken + FINAL.replace(b"FI-1", b"FI-3")
    said = served.post("/hl7v2", batch + b"BTS|3\r", HL7)
    assert (said.status, said.codes) == (200, ["taken_in", "unsupported_type"])
    assert said.outcome["issue"][1]["expression"] == ["message[2]"]
    assert [len(message) for message in served.memory.messages] == [2]


@pytest.mark.parametrize("content_type", ["application/xml", "text/xml; charset=utf-8"])
def test_a_safety_report_is_acknowledged_as_e2b_does(served: Served, content_type: str) -> None:
    body = REPORT.replace(b"XX-1", content_type.encode()[:15])
    said = served.post("/e2b", body, content_type)
    assert (said.status, said.headers["content-type"]) == (200, "application/xml")
    assert b"<reportacknowledgmentcode>01<" in said.body
    assert "adverse_event_report" in served.memory.types


def test_of_a_batch_of_reports_each_is_accepted_or_refused_for_itself(served: Served) -> None:
    report = REPORT[REPORT.index(b"<safetyreport>") : REPORT.index(b"</ichicsr>")]
    incomplete = report.replace(b"XX-1", b"XX-3").replace(b"<receiptdate>20210410</receiptdate>", b"")
    batch = REPORT.replace(report, report.replace(b"XX-1", b"XX-2") + incomplete)
    said = served.post("/e2b", batch, "application/xml")
    assert said.status == 200
    assert re.findall(rb"<reportacknowledgmentcode>(..)<", said.body) == [b"01", b"02"]
    assert served.kept()[-1]["code"] == "incomplete_report"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 422, "doctype_refused"),
        (b"<a><b></a>", 400, "malformed_xml"),
    ],
    ids=["doctype", "malformed"],
)
def test_a_document_that_is_refused_whole_has_an_error_status_and_ar(
    served: Served, body: bytes, status: int, code: str
) -> None:
    said = served.post("/e2b", body, "application/xml")
    assert said.status == status
    assert b'typeCode="AR"' in said.body
    assert code.encode() in said.body
    assert served.memory.messages == []


def test_reports_of_openfda_are_taken_in(served: Served) -> None:
    reports = [
        {
            "safetyreportid": f"{number}",
            "receiptdate": "20210410",
            "patient": {
                "reaction": [{"reactionmeddrapt": "Drug reaction with eosinophilia and systemic symptoms"}],
                "drug": [{"medicinalproduct": "IMATINIB"}],
            },
        }
        for number in (1, 2)
    ]
    said = served.post("/openfda", as_json({"meta": {}, "results": reports}), "application/json")
    assert said.status == 200
    assert served.memory.types.count("adverse_event_report") == 2


def test_what_is_received_is_stamped_by_the_listeners_clock(served: Served) -> None:
    served.post("/fhir", as_json(fresh()))
    ((_, value),) = served.memory.messages[0]
    assert json.loads(value)["received_at"] == "2026-11-21T12:00:00Z"


def test_a_held_value_is_written_and_said(served: Served) -> None:
    said = served.post("/fhir", as_json(fresh(valueQuantity={"value": 3})))
    assert said.status == 200
    assert is_outcome(said)
    assert said.codes == ["taken_in", "missing_unit"]
    assert served.memory.types == ["observation.held"]
    assert [entry["code"] for entry in served.kept()][-1] == "missing_unit"


def test_of_a_bundle_that_is_refused_in_part_the_rest_is_written(served: Served) -> None:
    said = served.post("/fhir", bundle(fresh(), fresh(subject={}), fresh()))
    assert said.status == 200
    assert is_outcome(said)
    _, refused = said.outcome["issue"]
    assert refused["severity"] == "warning"
    assert (refused["code"], refused["details"]["text"]) == ("required", "missing_patient")
    assert refused["expression"] == ["Bundle.entry[1]"]
    assert len(served.memory.types) == 2
    assert [entry["path"] for entry in served.kept()][-1] == "Bundle.entry[1]"


def test_a_message_that_is_refused_whole_is_kept_before_the_answer_and_not_written(served: Served) -> None:
    body = bundle(fresh(subject={}), fresh(subject={}))
    said = served.post("/fhir", body)
    assert said.status == 422
    assert is_outcome(said)
    assert said.codes == ["missing_patient", "missing_patient"]
    assert {issue["severity"] for issue in said.outcome["issue"]} == {"error"}
    assert served.memory.messages == []
    kept = served.kept()[-1]
    name = kept["message_digest"].removeprefix("sha256:")
    assert (served.desk.store.folder / f"{name}.bin").read_bytes() == body


@pytest.mark.parametrize(
    ("path", "content_type", "body", "code"),
    [
        ("/fhir", "application/json", b"", "empty"),
        ("/fhir", "application/json", b'{"resourceType":', "malformed_json"),
        ("/fhir", "application/json", b"\xff\xfe", "malformed_json"),
    ],
)
def test_what_is_malformed_is_400(
    served: Served, path: str, content_type: str, body: bytes, code: str
) -> None:
    said = served.post(path, body, content_type)
    assert (said.status, said.codes) == (400, [code])
    assert is_outcome(said)
    assert served.kept()[-1]["code"] == code


@pytest.mark.parametrize("body", [b"[" * 30_000, b'{"a":' * 10_000])
def test_what_is_nested_too_deeply_is_422(served: Served, body: bytes) -> None:
    said = served.post("/fhir", body, "application/json")
    assert (said.status, said.codes) == (422, ["too_complex"])


def test_an_answer_lists_no_endless_number_of_issues() -> None:
    refused = [Reject(RejectCode.MISSING_PATIENT, f"Bundle.entry[{n}]") for n in range(ISSUES_MAX + 7)]
    issues = json.loads(verdict(Outcome(rejects=refused)).content)["issue"]
    assert len(issues) == ISSUES_MAX + 1
    assert issues[-1]["diagnostics"] == "7 more issues"


@pytest.mark.parametrize("code", RejectCode)
def test_every_refusal_has_a_status_and_an_issue_of_the_standard(code: RejectCode) -> None:
    answer = verdict(Outcome(rejects=[Reject(code)]))
    (issue,) = json.loads(answer.content)["issue"]
    assert answer.status in {400, 413, 422, 500}
    assert issue["code"] in ISSUE_TYPES


# --- content types and encodings ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/fhir", "text/plain"),
        ("/fhir", "application/fhir+xml"),
        ("/fhir", "application/json; charset=latin-1"),
        ("/fhir", ""),
        ("/fhir", HL7),
        ("/hl7v2", "application/json"),
        ("/hl7v2", "application/hl7-v2+xml"),
        ("/e2b", "application/json"),
        ("/openfda", "application/fhir+json"),
    ],
)
def test_another_content_type_is_415_and_says_which_is_read(
    served: Served, path: str, content_type: str
) -> None:
    said = served.post(path, as_json(fresh()), content_type)
    assert (said.status, said.codes) == (415, ["media_type"])
    assert is_outcome(said)
    assert "application/" in said.headers["accept-post"]
    assert served.memory.messages == []


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "x-gzip", "zstd"])
def test_another_content_encoding_is_415(served: Served, encoding: str) -> None:
    said = served.post("/fhir", as_json(fresh()), content_encoding=encoding)
    assert (said.status, said.codes) == (415, ["content_encoding"])
    assert said.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[:-1],
        lambda packed: packed + b"x",
        lambda packed: packed + packed,
        lambda packed: b"x" + packed,
        lambda packed: packed[:-8] + b"\0" * 8,
        lambda _: b"",
    ],
    ids=["cut", "longer", "twice", "no-gzip", "checksum", "empty"],
)
def test_a_gzip_that_is_none_is_400(served: Served, spoil: Callable[[bytes], bytes]) -> None:
    packed = gzip.compress(as_json(fresh()))
    said = served.post("/fhir", spoil(packed), content_encoding="gzip")
    assert (said.status, said.codes) == (400, ["gzip_malformed"])
    assert served.memory.messages == []


def test_one_message_of_a_body_may_be_too_large_for_itself(served: Served) -> None:
    body = FINAL + b"NTE|1||" + b"x" * (BYTES_MAX // 2)
    said = served.post("/hl7v2", body, HL7)
    assert said.status == 413
    assert b"rejected too_large" in said.body


def test_a_body_of_the_largest_size_is_read_and_one_byte_more_is_413(served: Served) -> None:
    body = bundle(fresh())
    assert served.post("/fhir", body + b" " * (BYTES_MAX - len(body))).status == 200
    said = served.post("/fhir", body + b" " * (BYTES_MAX - len(body) + 1))
    assert (said.status, said.codes) == (413, ["body_too_large"])
    assert is_outcome(said)


def test_a_packed_body_is_measured_unpacked(served: Served) -> None:
    body = bundle(fresh())
    for more, status in ((0, 200), (1, 413)):
        packed = gzip.compress(body + b" " * (BYTES_MAX - len(body) + more))
        assert served.post("/fhir", packed, content_encoding="gzip").status == status


def test_many_senders_at_once_are_all_answered(served: Served) -> None:
    bodies = [as_json(fresh()) for _ in range(40)]
    barrier = threading.Barrier(8)

    def send(share: list[bytes]) -> list[int]:
        barrier.wait(PATIENCE_SECONDS)
        return [served.post("/fhir", body).status for body in share]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, [bodies[n::8] for n in range(8)]))
    assert [status for share in answers for status in share] == [200] * 40
    assert len(served.memory.messages) == 40


def test_the_desk_counts_what_it_read(intake: Intake, tmp_path: Path) -> None:
    with serving(intake, tmp_path) as one:
        one.post("/fhir", as_json(fresh()))
        one.post("/fhir", b"{")
        messages = one.desk.report.value()["messages"]
    assert messages == {"read": 2, "accepted": 1, "held": 0, "rejected": 1}
