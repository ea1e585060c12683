"""Builders of FHIR resources beyond results and drugs, and what tests ask of their outcomes. All are synthetic."""

from typing import Any

from pv_stream.domain.facts import Finding, Report
from pv_stream.ingest.outcomes import Outcome
from tests.unit.ingest.messages import facts

SNOMED = "http://snomed.info/sct"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
LOINC = "http://loinc.org"
DRESS, RASH, NODES = "702809001", "271807003", "30746006"
UPDATED = "2021-04-12T08:00:00Z"


def concept(code: str, system: str = SNOMED) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _resource(kind: str, base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    whole = {"resourceType": kind, "id": "r1", "meta": {"lastUpdated": UPDATED}} | base | changes
    return {name: value for name, value in whole.items() if value is not None}


def condition(code: str = RASH, system: str = SNOMED, **changes: Any) -> dict[str, Any]:
    base = {
        "clinicalStatus": concept("active", "http://terminology.hl7.org/CodeSystem/condition-clinical"),
        "verificationStatus": verified("confirmed"),
        "code": concept(code, system),
        "subject": {"reference": "Patient/p1"},
        "onsetDateTime": "2021-04-10T06:00:00Z",
        "recordedDate": "2021-04-11T06:00:00Z",
    }
    return _resource("Condition", base, changes)


def verified(status: str) -> dict[str, Any]:
    return concept(status, "http://terminology.hl7.org/CodeSystem/condition-ver-status")


def adverse_event(code: str = DRESS, **changes: Any) -> dict[str, Any]:
    base = {
        "actuality": "actual",
        "event": concept(code),
        "subject": {"reference": "Patient/p1"},
        "date": "2021-04-10T06:00:00Z",
        "seriousness": concept("Serious", "http://terminology.hl7.org/CodeSystem/adverse-event-seriousness"),
        "outcome": concept("ongoing", "http://terminology.hl7.org/CodeSystem/adverse-event-outcome"),
        "suspectEntity": [{"instance": {"reference": "#m"}}],
        "contained": [{"resourceType": "Medication", "id": "m", "code": concept("282388", RXNORM)}],
    }
    return _resource("AdverseEvent", base, changes)


def allergy(manifestation: str = DRESS, **changes: Any) -> dict[str, Any]:
    base = {
        "clinicalStatus": concept(
            "active", "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
        ),
        "code": concept("2002", RXNORM),
        "patient": {"reference": "Patient/p1"},
        "recordedDate": "2021-04-11T06:00:00Z",
        "reaction": [{"manifestation": [concept(manifestation)], "onset": "2019"}],
    }
    return _resource("AllergyIntolerance", base, changes)


def reports(outcome: Outcome) -> list[Report]:
    contents = [event.version.statement.content for event in facts(outcome)]
    return [content for content in contents if isinstance(content, Report)]


def findings(outcome: Outcome) -> dict[str, str]:
    """The findings by code, present or absent."""
    contents = [event.version.statement.content for event in facts(outcome)]
    return {
        content.code.value: content.presence.value for content in contents if isinstance(content, Finding)
    }
