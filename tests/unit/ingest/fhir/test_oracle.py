"""fhir.resources (R4B) reads the same files: the same facts and no others; the same codes, values, units and times.

What the library reads decides which facts there must be, by the lists of codes and a few rules of FHIR; what we tell
beyond is named with its reason.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from pv_stream.domain.codes import Analyte
from pv_stream.domain.events import Absorbed, Absorbs, Event, FactArrived
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
        for content, effective in found[at]:
            assert isinstance(content, Measurement)
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


def _drug_codes(resource: Any) -> list[tuple[str, str]]:
    """Return the codes of the drug: of the concept, or of what is contained, which every Medication here is."""
    products = [each for each in resource.contained or () if each.__class__.__name__ == "Medication"]
    parts = [part.itemCodeableConcept for product in products for part in product.ingredient or ()]
    concepts = [resource.medicationCodeableConcept, *(product.code for product in products), *parts]
    return [pair for concept in concepts for pair in _codes(concept)]


def _check_other(resource: Any, path: str, found: dict[str, list[tuple[Any, Interval]]]) -> int:
    checked = 0
    for content, effective in found.get(path, ()):
        match content:
            case Exposure():
                if content.as_sent is not None and content.as_sent.system != "name":
                    assert content.as_sent.code in {code for _, code in _drug_codes(resource)}
                start = getattr(resource, "effectiveDateTime", None) or getattr(resource, "authoredOn", None)
                assert start is None or _agrees(start, effective)
                checked += 1
            case Finding():
                named = getattr(resource, "code", None) or resource.event
                codes = _codes(named)
                assert finding_table().finding(codes) is content.code
                checked += 1
            case Report() if hasattr(resource, "event"):
                codes = _codes(resource.event)
                assert finding_table().names_dress(codes) == (content.reaction.value == "dress")
                assert _agrees(resource.date, effective)
                checked += 1
    return checked


#: FHIR R4: what became of a statement that never held.
_NEVER = frozenset({"entered-in-error", "not-done", "cancelled", "not-taken", "declined"})
_DRUGS = frozenset(
    {"MedicationAdministration", "MedicationRequest", "MedicationStatement", "MedicationDispense"}
)
#: What the library cannot know: file, what we tell beside what it demands, and why.
_BESIDE: dict[str, tuple[Counter[tuple[str, str]], str]] = {
    "history": (
        Counter({(f"Bundle.entry[0].component[{number}]", "retraction"): 1 for number in range(2)}),
        "entry 0 asks for the deletion of the Observation of entry 1, and holds no resource of its own",
    ),
}


def _kind_of(event: Event) -> tuple[str, str]:
    """Name one event as the demands are named."""
    if not isinstance(event, FactArrived):
        assert isinstance(event, Absorbed | Absorbs)
        return event.provenance.path, "merge"
    kind = type(event.version.statement.content).__name__.lower()
    return event.version.provenance.path, {"retracted": "retraction"}.get(kind, kind)


def _codes(concept: Any) -> list[tuple[str, str]]:
    return [(coding.system, coding.code) for coding in (concept.coding if concept else None) or ()]


def _demanded(resource: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield what must be told of a resource as the library reads it: a path and the kind of fact, for each."""
    match resource.__class__.__name__:
        case "Observation":
            yield from _demanded_of_observation(resource, path)
        case "AdverseEvent" if resource.actuality == "actual":
            yield path, "report"
            if finding_table().finding(_codes(resource.event)) is not None:
                yield path, "finding"
        case "Condition":
            yield from _demanded_of_condition(resource, path)
        case "AllergyIntolerance":
            shown = (one for each in resource.reaction or () for one in each.manifestation)
            if finding_table().names_dress(pair for one in (*shown, resource.code) for pair in _codes(one)):
                yield path, "report"
        case "Patient":
            merges = [link for link in resource.link or () if link.type in {"replaces", "replaced-by"}]
            yield from ((path, "merge") for _ in merges for _ in ("absorbed", "absorbs"))
        case kind if kind in _DRUGS:
            yield path, "retraction" if resource.status in _NEVER else "exposure"
        case _:
            pass  # of no other resource a fact is told


def _demanded_of_observation(resource: Any, path: str) -> Iterator[tuple[str, str]]:
    for at, _, quantity in _results(resource, path):
        if quantity.value is not None:
            yield at, "measurement"
    is_listed = any(code in loinc_table().analytes for _, code in _codes(resource.code))
    if is_listed and resource.valueQuantity is None and resource.dataAbsentReason is not None:
        yield path, "retraction"


def _demanded_of_condition(resource: Any, path: str) -> Iterator[tuple[str, str]]:
    status = [code for _, code in _codes(resource.verificationStatus)]
    stands = status in ([], ["confirmed"])
    if finding_table().names_dress(_codes(resource.code)):
        yield path, "report" if stands else "retraction"
    elif finding_table().finding(_codes(resource.code)) is not None:
        yield path, "finding" if stands else "retraction"


def _differences(outcome: Outcome, content: bytes, name: str) -> dict[str, list[tuple[str, str]]]:
    """Return what the library demands and we do not tell, and what we tell and nothing demands."""
    demanded = Counter(pair for path, resource in _resources(content) for pair in _demanded(resource, path))
    demanded += _BESIDE.get(name, (Counter[tuple[str, str]](), ""))[0]
    told = Counter(map(_kind_of, outcome.events))
    return {"missing": sorted(demanded - told), "unfounded": sorted(told - demanded)}


def _check(content: bytes, intake: Intake, name: str) -> int:
    stamped = replace(intake, received_at=parse_instant("2026-01-01T00:00:00Z"))
    outcome = read_fhir(content, stamped)
    assert _differences(outcome, content, name) == {"missing": [], "unfounded": []}
    found = _contents(outcome)
    checked = 0
    for path, resource in _resources(content):
        check = _check_observation if resource.__class__.__name__ == "Observation" else _check_other
        checked += check(resource, path, found)
    return checked


@pytest.mark.parametrize("path", HERE, ids=lambda path: path.name)
def test_the_fixtures_are_read_as_the_library_reads_them(intake: Intake, path: Path) -> None:
    checked = _check(path.read_bytes(), intake, path.stem)
    assert checked > 0 or path.stem == "error", "of it only a retraction is told"


def test_the_samples_are_read_as_the_library_reads_them(intake: Intake, sample_data: Path) -> None:
    paths = [*(sample_data / "fhir_r4").iterdir(), *(sample_data / "synthea_r4").iterdir()]
    assert sum(_check(path.read_bytes(), intake, path.stem) for path in paths) > 30


@pytest.mark.parametrize("path", HERE, ids=lambda path: path.name)
def test_the_oracle_notices_each_fact_that_is_dropped_or_made_up(intake: Intake, path: Path) -> None:
    content = path.read_bytes()
    outcome = read_fhir(content, replace(intake, received_at=parse_instant("2026-01-01T00:00:00Z")))
    whole = list(outcome.events)
    assert whole
    for number, event in enumerate(whole):
        outcome.events = whole[:number] + whole[number + 1 :]
        assert _differences(outcome, content, path.stem)["missing"] == [_kind_of(event)]
        outcome.events = [*whole, event]
        assert _differences(outcome, content, path.stem)["unfounded"] == [_kind_of(event)]
