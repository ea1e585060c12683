"""FHIR Observations as results, with the DiagnosticReport that lists them as context for time and specimen."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pv_stream.domain.codes import Comparator, EvidenceFlag, HoldCode, Status
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import Interval
from pv_stream.ingest.fhir import (
    Document,
    Entry,
    NoMeasurement,
    Place,
    Resource,
    child,
    children,
    codings,
    text_of,
)
from pv_stream.ingest.intake import Envelope, Intake, Version
from pv_stream.ingest.outcomes import IgnoreReason, Outcome
from pv_stream.ingest.quantities import Sent, parse_number
from pv_stream.ingest.results import Result, Specimen, find_code
from pv_stream.ingest.tables import AnalyteCode, blood_table
from pv_stream.ingest.times import Moment, fhir_moment, span, stamp

#: Observation.status. `cancelled` is HL7v2's X: it takes back an earlier version, else it is no fact.
_STATUS: Final = {
    "preliminary": Status.PRELIMINARY,
    "final": Status.FINAL,
    "amended": Status.CORRECTED,
    "corrected": Status.CORRECTED,
    "cancelled": Status.RETRACTED,
    "entered-in-error": Status.RETRACTED,
}
_NO_RESULT: Final = frozenset({"registered"})
_OID: Final = "urn:oid:"
_UCUM: Final = "http://unitsofmeasure.org"
_VERSION_MAX: Final = 2**63 - 1
_TEXT_VALUES: Final = ("valueString", "valueCodeableConcept", "valueBoolean")
_OTHER_VALUES: Final = (
    "valueInteger", "valueRange", "valueRatio", "valueSampledData", "valueTime", "valueDateTime", "valuePeriod",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ResourceContext:
    """Hold what the reading of one resource needs beside it."""

    document: Document
    intake: Intake
    envelope: Envelope
    reports: dict[Place, Entry]


def reports_by_result(document: Document) -> dict[Place, Entry]:
    """Return, for each observation, the first report that lists it; a panel lends its report to its members."""
    found: dict[Place, Entry] = {}
    observations = {entry.place: entry for entry in document.entries if entry.type == "Observation"}
    for report in document.entries:
        if report.type != "DiagnosticReport":
            continue
        waiting = list(_listed(document, report, "result"))
        while waiting:
            place = waiting.pop(0)
            if place not in found:
                found[place] = report
                if place in observations:
                    waiting += _listed(document, observations[place], "hasMember")
    return found


def _listed(document: Document, entry: Entry, member: str) -> Iterator[Place]:
    for reference in children(entry.resource, member):
        text = text_of(reference.get("reference"))
        if text.startswith("#"):
            yield Place(entry.place.server, "Observation", f"{entry.place.id}{text}")
        elif place := document.place_of(reference, entry):
            yield place


def patient_of(entry: Entry, document: Document, intake: Intake) -> PatientId | None:
    """Return the pseudonym of the subject: of (server, reference), or of an identifier that stands alone.

    An identifier under an OID is the same patient as HL7v2's under that universal id (PID-3, CX-4).
    """
    subject = child(entry.resource, "subject")
    place = document.place_of(subject, entry)
    if place is not None and place.type in {"Patient", ""}:
        return intake.pseudonyms.patient(place.server, f"Patient/{place.id}")
    identifier = child(subject, "identifier")
    value = text_of(child(identifier, "value"))
    if place is None and value and not text_of(child(subject, "reference")):
        return intake.pseudonyms.patient(text_of(child(identifier, "system")).removeprefix(_OID), value)
    return None


def source_version(resource: Resource) -> int:
    """Return the version of a resource: the microseconds of meta.lastUpdated, else an integer versionId, else 0."""
    meta = child(resource, "meta")
    updated = stamp(fhir_moment(child(meta, "lastUpdated"), None))
    if updated is not None:
        return max(updated, 0)
    text = text_of(child(meta, "versionId"))
    is_number = text.isascii() and text.isdigit() and len(text) < len(str(_VERSION_MAX))
    return int(text) if is_number else 0


def effective_moment(resource: Resource, context: ResourceContext) -> Moment | HoldCode:
    """Return effective[x] as a moment; an open period ends at the latest when the message was received."""
    offset = context.intake.utc_offset_minutes
    for name in ("effectiveDateTime", "effectiveInstant"):
        if resource.get(name) is not None:
            return fhir_moment(resource[name], offset)
    if resource.get("effectiveTiming") is not None:
        return HoldCode.UNREADABLE_TIME
    period = resource.get("effectivePeriod")
    start = fhir_moment(child(period, "start"), offset)
    if isinstance(start, HoldCode):
        return start
    end = fhir_moment(child(period, "end"), offset)
    if end is HoldCode.MISSING_TIME:
        latest = max(start.interval.latest, context.envelope.received_at)
        return Moment(Interval(start.interval.earliest, latest), start.utc_offset_minutes)
    return end if isinstance(end, HoldCode) else span(start, end)


def read_observation(
    entry: Entry, patient: PatientId, context: ResourceContext, outcome: Outcome
) -> Iterator[Result]:
    """Yield the result of an observation, and one for each component that rules use; count the others."""
    parts = [(entry.resource, "", entry.path)]
    for number, component in enumerate(children(entry.resource, "component")):
        parts.append((component, "component", f"{entry.path}.component[{number}]"))
    for part, kind, path in parts:
        if kind == "" and len(parts) > 1 and not _has_value(part):
            continue  # the code of a panel: its components hold the values
        found = _worth_reading(part, text_of(entry.resource.get("status")))
        if isinstance(found, IgnoreReason):
            outcome.ignored[found] += 1
            continue
        yield _result(part, f"{kind}:{found[0]}" if kind else "", path, found, entry, patient, context)


def _result(  # noqa: PLR0913 - what a result is made of
    part: Resource,
    sub_id: str,
    path: str,
    found: tuple[str, AnalyteCode],
    entry: Entry,
    patient: PatientId,
    context: ResourceContext,
) -> Result:
    loinc, code = found
    report = context.reports.get(entry.place)
    moment = effective_moment(entry.resource, context)
    if moment is HoldCode.MISSING_TIME and report is not None:
        moment = effective_moment(report.resource, context)
    status = _STATUS.get(text_of(entry.resource.get("status")))
    specimen = _specimen(entry, report, patient, context)
    time = "" if isinstance(moment, HoldCode) else f"{moment.interval.earliest}/{moment.interval.latest}"
    place = entry.place
    identity = (place.server, place.type, place.id) if place.id else ("weak", patient, loinc, time)
    number, value_text, units = _quantity(part)
    return Result(
        envelope=context.envelope,
        path=path,
        loinc=loinc,
        code=code,
        version=Version(
            patient=patient,
            key=context.intake.pseudonyms.fact("fhir", *identity, sub_id),
            status=status or Status.PRELIMINARY,
            source_version=source_version(entry.resource),
            issued_at=_issued_at(entry, report),
        ),
        status=status,
        moment=moment,
        number=number,
        value_text=value_text,
        units=units,
        specimen=specimen,
        weak_key=not place.id,
    )


def _issued_at(entry: Entry, report: Entry | None) -> int:
    for resource in (entry.resource, {} if report is None else report.resource):
        issued = stamp(fhir_moment(resource.get("issued"), None))
        if issued is not None:
            return issued
    return 0


def _worth_reading(part: Resource, status: str) -> tuple[str, AnalyteCode] | IgnoreReason:
    found = find_code((system, code) for system, code, _ in codings(part.get("code")))
    if isinstance(found, IgnoreReason):
        return found
    if status in _NO_RESULT:
        return IgnoreReason.NO_RESULT_YET
    if _STATUS.get(status) is Status.RETRACTED:
        return found
    if not _has_value(part):
        return IgnoreReason.NO_VALUE if _STATUS.get(status) is not Status.CORRECTED else found
    return IgnoreReason.TEXT_VALUE if any(name in part for name in _TEXT_VALUES) else found


def _has_value(part: Resource) -> bool:
    quantity = part.get("valueQuantity")
    if isinstance(quantity, dict):
        return quantity.get("value") is not None
    return any(part.get(name) is not None for name in ("valueQuantity", *_TEXT_VALUES, *_OTHER_VALUES))


def _quantity(part: Resource) -> tuple[Sent | None, str, tuple[str, ...]]:
    """Return the number, its text for the digest, and the unit as code and as text."""
    quantity = part.get("valueQuantity")
    if not isinstance(quantity, dict):
        integer = part.get("valueInteger")
        is_integer = isinstance(integer, int) and not isinstance(integer, bool)
        return (
            (parse_number(str(integer)), str(integer), ()) if is_integer else (None, _other_value(part), ())
        )
    value = quantity.get("value")
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    as_written = value.text if isinstance(value, NoMeasurement) else text_of(value)
    text = format(value, "f") if is_number else as_written
    comparator = text_of(quantity.get("comparator"))
    number = parse_number(f"{comparator}{text}") if is_number and comparator in {"", *Comparator} else None
    code = text_of(quantity.get("code")) if quantity.get("system") in {None, _UCUM} else ""
    spellings = tuple(spelling for spelling in (code, text_of(quantity.get("unit"))) if spelling)
    return number, f"{comparator}{text}", spellings


def _other_value(part: Resource) -> str:
    return next((name for name in _OTHER_VALUES if part.get(name) is not None), "")


def _specimen(entry: Entry, report: Entry | None, patient: PatientId, context: ResourceContext) -> Specimen:
    """Return Observation.specimen, else the report's, else the report itself counts as one specimen."""
    pseudonyms = context.intake.pseudonyms
    stated = child(entry.resource, "specimen")
    if stated is not None:
        return _stated_specimen([stated], entry, patient, context)
    if report is None:
        return Specimen(None, EvidenceFlag.SPECIMEN_NOT_STATED)
    of_report = list(children(report.resource, "specimen"))
    if of_report:
        return _stated_specimen(of_report, report, patient, context)
    place = report.place
    token = pseudonyms.specimen(patient, "assumed", place.server, place.type, place.id)
    return Specimen(token, EvidenceFlag.SPECIMEN_ASSUMED)


def _stated_specimen(
    references: list[Any], source: Entry, patient: PatientId, context: ResourceContext
) -> Specimen:
    document = context.document
    kinds = [child(document.find(reference, source), "type") for reference in references]
    credible = len(references) == 1 and all(_is_blood(kind) for kind in kinds)
    reference = references[0]
    place = document.place_of(reference, source)
    text = text_of(child(reference, "reference"))
    identifier = text_of(child(child(reference, "identifier"), "value"))
    if place is not None:
        parts = (place.server, place.type, place.id)
    elif text.startswith("#"):
        parts = (source.place.server, source.place.type, source.place.id + text)
    elif identifier:
        parts = ("", "identifier", identifier)
    else:
        return Specimen(None, EvidenceFlag.SPECIMEN_NOT_STATED, credible)
    return Specimen(context.intake.pseudonyms.specimen(patient, *parts), None, credible)


def _is_blood(concept: object) -> bool:
    """Tell whether a specimen type may hold blood; a specimen of unknown type is what the LOINC code says."""
    table = blood_table()
    stated = [(code, display) for _, code, display in codings(concept) if code or display]
    if any(code in table.codes for code, _ in stated):
        return True
    names = [display for _, display in stated] + [text_of(child(concept, "text"))]
    if any(name.casefold() in table.names for name in names if name):
        return True
    return not stated and not text_of(child(concept, "text"))


def received_stamps(entry: Entry, document: Document, report: Entry | None) -> Iterable[object]:
    """Yield the sender's own time stamps, the first that is there counts."""
    yield document.bundle.get("timestamp")
    yield entry.resource.get("issued")
    if report is not None:
        yield report.resource.get("issued")
    yield child(entry.resource.get("meta"), "lastUpdated")
    if report is not None:
        yield child(report.resource.get("meta"), "lastUpdated")
    yield child(document.bundle.get("meta"), "lastUpdated")
