"""fhir.resources (R4B) reads the same files: codes, values, units and times must be the same as ours."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from pv_stream.domain.codes import Analyte
from pv_stream.domain.facts import Exposure, Finding, Measurement, Report
from pv_stream.domain.times import Interval, from_datetime, parse_instant
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.fhir.resources import parse_json
from pv_stream.ingest.findings import finding_table
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Outcome
from pv_stream.ingest.quantities import find_unit
from pv_stream.ingest.tables import loinc_table
from tests.unit.ingest.messages import FIXTURES, facts

HERE = sorted((FIXTURES / "fhir_r4").iterdir())


def _resources(content: bytes) -> Iterator[tuple[str, Any]]:
    """Yield every resource as the library models it, with its path; a bundle is validated resource by resource."""
    value = parse_json(content)
    entries = [
        (f"Bundle.entry[{n}]", entry.get("resource")) for n, entry in enumerate(value.get("entry", ()))
    ]
    for path, resource in entries if value["resourceType"] == "Bundle" else [(value["resourceType"], value)]:
        if resource is not None:
            model = get_fhir_model_class(resource["resourceType"])
            yield path, model.model_validate(resource)


def _contents(outcome: Outcome) -> dict[str, list[tuple[Any, Interval]]]:
    found: dict[str, list[tuple[Any, Interval]]] = {}
    for event in facts(outcome):
        statement = event.version.statement
        found.setdefault(event.version.provenance.path, []).append((statement.content, statement.effective))
    return found


def _agrees(moment: date | datetime, effective: Interval) -> bool:
    """Tell whether an interval is the instant that the library read, or the whole day, wherever that is."""
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        return effective.earliest == effective.latest == from_datetime(moment)
    start = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    return effective.earliest <= from_datetime(start) <= effective.latest


def _results(resource: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    for part, at in (
        (resource, path),
        *((c, f"{path}.component[{n}]") for n, c in enumerate(resource.component or ())),
    ):
        for coding in part.code.coding or ():
            if (
                coding.system == "http://loinc.org"
                and coding.code in loinc_table().analytes
                and part.valueQuantity
            ):
                yield at, coding.code, part.valueQuantity


def _check_observation(resource: Any, path: str, found: dict[str, list[tuple[Any, Interval]]]) -> int:
    checked = 0
    for at, code, quantity in _results(resource, path):
        for content, effective in found.get(at, ()):
            if not isinstance(content, Measurement):
                continue
            assert content.analyte is loinc_table().analytes[code].analyte
            assert content.as_sent is not None
            assert (content.as_sent.code, content.as_sent.unit) == (code, quantity.code or quantity.unit)
            assert Decimal(content.as_sent.value or "") == Decimal(str(quantity.value))
            assert (content.comparator or None) == (quantity.comparator or None)
            unit = find_unit(quantity.code or quantity.unit)
            assert unit is not None
            if content.analyte is not Analyte.BODY_TEMPERATURE:
                assert abs(content.value - Decimal(str(quantity.value)) * unit[1].factor) < Decimal("1E-8")
            if resource.effectiveDateTime is not None:
                assert _agrees(resource.effectiveDateTime, effective)
            checked += 1
    return checked


def _check_other(resource: Any, path: str, found: dict[str, list[tuple[Any, Interval]]]) -> int:
    checked = 0
    for content, effective in found.get(path, ()):
        match content:
            case Exposure():
                named = resource.medicationCodeableConcept
                if named is not None and content.as_sent is not None and content.as_sent.system != "name":
                    assert content.as_sent.code in {coding.code for coding in named.coding}
                start = getattr(resource, "effectiveDateTime", None) or getattr(resource, "authoredOn", None)
                assert start is None or _agrees(start, effective)
                checked += 1
            case Finding():
                named = getattr(resource, "code", None) or resource.event
                codes = [(coding.system, coding.code) for coding in named.coding]
                assert finding_table().finding(codes) is content.code
                checked += 1
            case Report() if hasattr(resource, "event"):
                codes = [(coding.system, coding.code) for coding in resource.event.coding or ()]
                assert finding_table().names_dress(codes) == (content.reaction.value == "dress")
                assert _agrees(resource.date, effective)
                checked += 1
    return checked


def _check(content: bytes, intake: Intake) -> int:
    stamped = replace(intake, received_at=parse_instant("2026-01-01T00:00:00Z"))
    found = _contents(read_fhir(content, stamped))
    checked = 0
    for path, resource in _resources(content):
        check = _check_observation if resource.__class__.__name__ == "Observation" else _check_other
        checked += check(resource, path, found)
    return checked


@pytest.mark.parametrize("path", HERE, ids=lambda path: path.name)
def test_the_fixtures_are_read_as_the_library_reads_them(intake: Intake, path: Path) -> None:
    checked = _check(path.read_bytes(), intake)
    assert checked > 0 or path.stem in {"error", "adverse-event"}


def test_the_samples_are_read_as_the_library_reads_them(intake: Intake, sample_data: Path) -> None:
    paths = [*(sample_data / "fhir_r4").iterdir(), *(sample_data / "synthea_r4").iterdir()]
    assert sum(_check(path.read_bytes(), intake) for path in paths) > 30
