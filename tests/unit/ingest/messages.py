"""Builders of messages, and what tests ask of outcomes. Every message here is synthetic."""

import json
from pathlib import Path
from typing import Any

from pv_stream.domain.codes import HoldCode
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Exposure, Held, Measurement, Retracted
from pv_stream.ingest.outcomes import Outcome

FIXTURES = Path(__file__).parents[2] / "fixtures"

PID = "PID|1||70014^^^NORTH^MR||PLOVER^PIPER^Q||19310203|F"
OBR = "OBR|1|PL-1^WARD|FI-1^LAB|58410-2^CBC^LN|||20210412071500+0200"
SPM = "SPM|1|S-1||BLD|||||||||||||20210412071500+0200"


def msh(message_type: str = "ORU^R01", sent: str = "20210412080000+0200") -> str:
    return f"MSH|^~\\&|Lab|North|EHR|North|{sent}||{message_type}|C1|P|2.5.1"


def obx(  # the fields that matter, in the order of the segment
    value: str = "1.69",
    unit: str = "10*9/L",
    *,
    code: str = "711-2^Eosinophils^LN",
    kind: str = "NM",
    status: str = "F",
    sub_id: str = "",
) -> str:
    return f"OBX|1|{kind}|{code}|{sub_id}|{value}|{unit}|||||{status}|||20210412074000+0200"


def oru(*segments: str, sent: str = "20210412080000+0200", end: str = "\r") -> bytes:
    return (end.join((msh(sent=sent), PID, *segments)) + end).encode()


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def observation(**changes: Any) -> dict[str, Any]:
    resource = {
        "resourceType": "Observation",
        "id": "o1",
        "meta": {"lastUpdated": "2021-04-12T08:00:00.25+02:00"},
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "711-2"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2021-04-12T07:15:00+02:00",
        "valueQuantity": {
            "value": 1.69,
            "unit": "x10*9/L",
            "system": "http://unitsofmeasure.org",
            "code": "10*9/L",
        },
    }
    return {name: value for name, value in (resource | changes).items() if value is not None}


def medication(kind: str = "MedicationAdministration", **changes: Any) -> dict[str, Any]:
    resource = {
        "resourceType": kind,
        "id": "m1",
        "meta": {"lastUpdated": "2021-03-01T10:00:00Z"},
        "status": "active" if kind != "MedicationAdministration" else "in-progress",
        "subject": {"reference": "Patient/p1"},
        "medicationCodeableConcept": {
            "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "282388"}]
        },
        "effectiveDateTime": "2021-03-01T09:00:00Z",
    }
    return {name: value for name, value in (resource | changes).items() if value is not None}


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def bundle(*resources: dict[str, Any], **changes: Any) -> bytes:
    entries = [
        {
            "fullUrl": f"https://h.example.org/fhir/{resource['resourceType']}/{resource['id']}",
            "resource": resource,
        }
        for resource in resources
    ]
    return as_json({"resourceType": "Bundle", "type": "collection", "entry": entries} | changes)


def facts(outcome: Outcome) -> list[FactArrived]:
    return [event for event in outcome.events if isinstance(event, FactArrived)]


def only(outcome: Outcome) -> FactArrived:
    (event,) = facts(outcome)
    return event


def measurement(outcome: Outcome) -> Measurement:
    content = only(outcome).version.statement.content
    assert isinstance(content, Measurement), content
    return content


def exposure(outcome: Outcome) -> Exposure:
    content = only(outcome).version.statement.content
    assert isinstance(content, Exposure), content
    return content


def hold(outcome: Outcome) -> HoldCode:
    content = only(outcome).version.statement.content
    assert isinstance(content, Held), content
    assert [each.code for each in outcome.holds] == [content.code]
    return content.code


def is_retraction(event: FactArrived) -> bool:
    return isinstance(event.version.statement.content, Retracted)


def values(outcome: Outcome) -> dict[str, str]:
    """The believed values by analyte."""
    found = {}
    for event in facts(outcome):
        content = event.version.statement.content
        if isinstance(content, Measurement):
            found[content.analyte.value] = format(content.value, "f")
    return found


def specimens(outcome: Outcome) -> set[str | None]:
    contents = [event.version.statement.content for event in facts(outcome)]
    return {content.specimen for content in contents if isinstance(content, Measurement)}
