"""Excerpts of a kept message: the fields that settle a value, and never who the patient is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.ingest.excerpts import excerpt
from tests.unit.ingest.icsr.safety_reports import MEDDRA, R2_DRESS, Version, r2, r3, result

CANARY = "Quixwell"
HL7 = (
    "MSH|^~\\&|LAB|H\r"
    "PID|||7||Quixwell^Ada\r"
    "OBR|1\r"
    "OBX|1|NM|711-2^Eosinophils^LN||2.1|||||Quixwell|F|||202601200800||Quixwell\r"
    "NTE|1||Quixwell\r"
    "OBR|2\r"
    "OBX|1|NM|1742-6^ALT^LN||40|U/L\r"
    "OBX|2|NM|1920-8^AST^LN||50|U/L\r"
    "PID|||8||Quixwell^Bea\r"
    "ORC|NW\r"
    "RXE|^^^20260101|282388^imatinib|400||mg\r"
)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("OBR[1]/OBX[1]", {"OBX-5 value": "2.1", "OBX-11 status": "F", "OBX-14 observed at": "202601200800"}),
        ("OBR[2]/OBX[1]", {"OBX-5 value": "40", "OBX-6 unit": "U/L"}),
        ("PID[1]/OBR[2]/OBX[2]", {"OBX-5 value": "50"}),
        ("PID[2]/ORC[1]/RXE[1]", {"RXE-1 timing": "^^^20260101", "RXE-3 amount": "400", "RXE-5 unit": "mg"}),
    ],
)
@pytest.mark.parametrize("ends", ["\r", "\n", "\r\n"])
def test_the_fields_of_the_segment_at_the_path_are_shown(path: str, shown: dict[str, str], ends: str) -> None:
    found = dict(excerpt(HL7.replace("\r", ends).encode(), path))
    assert shown.items() <= found.items()
    assert CANARY not in str(found)


@pytest.mark.parametrize(
    "path",
    ["", "OBR[3]/OBX[1]", "OBR[1]/OBX[2]", "OBR[0]", "PID[1]", "NTE[1]", "OBX", "[1]", "ORC[1]/RXD[1]"],
)
def test_what_is_not_there_or_may_not_be_shown_gives_nothing(path: str) -> None:
    assert excerpt(HL7.encode(), path) == ()


BUNDLE = {
    "resourceType": "Bundle",
    "entry": [
        {"resource": {"resourceType": "Patient", "name": [{"family": CANARY}]}},
        {
            "resource": {
                "resourceType": "Observation",
                "subject": {"display": CANARY},
                "note": [{"text": CANARY}],
                "code": {"coding": [{"code": "711-2", "display": CANARY}], "text": CANARY},
                "valueQuantity": {"value": 2.1},
                "component": [{"code": {"coding": [{"code": "26450-7"}]}, "valueQuantity": {"value": 12}}],
            }
        },
    ],
}


def test_the_elements_of_a_resource_are_shown_without_texts_and_names() -> None:
    found = dict(excerpt(json.dumps(BUNDLE).encode(), "Bundle.entry[1]"))
    assert found["valueQuantity"] == '{"value": 2.1}'
    assert found["code"] == '{"coding": [{"code": "711-2"}]}'
    assert CANARY not in str(found)
    assert dict(excerpt(json.dumps(BUNDLE).encode(), "Bundle.entry[1].component[0]"))["valueQuantity"] == (
        '{"value": 12}'
    )


def test_a_resource_alone_is_shown_at_its_own_name() -> None:
    resource = BUNDLE["entry"][1]["resource"]  # type: ignore[index]
    assert dict(excerpt(json.dumps(resource).encode(), "Observation"))["valueQuantity"] == '{"value": 2.1}'


@pytest.mark.parametrize(
    "path", ["Bundle.entry[9]", "Bundle.entry[1].none[0]", "Bundle.entry.x", "!", "Bundle.!"]
)
def test_a_path_that_leads_nowhere_gives_nothing(path: str) -> None:
    assert excerpt(json.dumps(BUNDLE).encode(), path) == ()


@given(st.binary(max_size=80), st.text(max_size=20))
def test_no_bytes_and_no_path_raise(content: bytes, path: str) -> None:
    for beginning in (b"", b"MSH|", b"MSH", b"{", b"["):
        excerpt(beginning + content, path)


def test_other_formats_are_not_looked_into() -> None:
    assert excerpt(b"<ichicsr/>", "safetyreport[1]") == ()


# Safety reports --------------------------------------------------------------------------------------------------

R2_TEST = (
    "<test><testdate>20260211</testdate><testname>Eosinophils</testname><testresult>21</testresult>"
    f"<testunit></testunit><moreinformation>{CANARY}</moreinformation></test>"
)
R3_TEST = result("99999999", '<center value="21" unit="furlong"/>', system=MEDDRA, name="Eosinophils")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_elements_of_a_test_of_a_safety_report_are_shown(encoding: str) -> None:
    versions = (Version(tests=["", R3_TEST]), Version(tests=[result(value=CANARY, kind="ED")]))
    content = r3(*versions).decode().replace("utf-8", encoding).encode(encoding)
    shown = {
        "F.r.1 date": "20260211",
        "F.r.2.1 test": "Eosinophils",
        "F.r.2.2b code": "99999999",
        "F.r.3.2 value center": "21",
        "F.r.3.3 unit center": "furlong",
    }
    assert dict(excerpt(content, "F.r[1]")) == dict(excerpt(content, "report[1]/F.r[1]")) == shown
    assert dict(excerpt(content, "report[2]/F.r[1]")) == {"F.r.1 date": "20260211", "F.r.2.2b code": "711-2"}
    for path in ("F.r[0]", "F.r[2]", "report[0]/F.r[1]", "report[3]/F.r[1]", "E.i[1]", "D.3", "F.r"):
        assert excerpt(content, path) == ()


def test_the_elements_of_a_test_of_the_older_standard_are_shown() -> None:
    content = r2(R2_DRESS + R2_TEST)
    assert dict(excerpt(content, "B.3[1]")) == {
        "testname": "Eosinophils",
        "testresult": "21",
        "testdate": "20260211",
    }
    assert excerpt(content.replace(b"<?xml", b"<!ENTITY a 'b'><?xml"), "B.3[1]") == ()
