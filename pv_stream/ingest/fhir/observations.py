"""FHIR Observations as results, with the DiagnosticReport that lists them as context for time and specimen."""

import re
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from pv_stream.domain.codes import Comparator, EvidenceFlag, HoldCode, Status
from pv_stream.domain.facts import Retracted
from pv_stream.domain.ids import PatientId
from pv_stream.ingest.fhir.context import (
    ResourceContext,
    tell,
    version_of,
    when,
)
from pv_stream.ingest.fhir.findings import (
    Part,
    coded,
    coded_value_of,
    name_of_part,
    take_back_findings,
    tell_coded_value,
)
from pv_stream.ingest.fhir.resources import (
    Document,
    Entry,
    NoMeasurement,
    Place,
    Resource,
    child,
    children,
    codings,
    source_version,
    text_of,
)
from pv_stream.ingest.findings import Coded, finding_table
from pv_stream.ingest.outcomes import IgnoreReason, Outcome
from pv_stream.ingest.quantities import Sent, UcumCode, parse_number
from pv_stream.ingest.results import Result, Specimen, find_code
from pv_stream.ingest.tables import AnalyteCode, blood_table, loinc_table
from pv_stream.ingest.times import Moment, fhir_moment, stamp

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
_COMPONENT: Final = "component"
_UCUM: Final = "http://unitsofmeasure.org"
_DIGIT: Final = re.compile(r"\d")
_TEXT_VALUES: Final = ("valueString", "valueCodeableConcept", "valueBoolean")
_OTHER_VALUES: Final = (
    "valueInteger", "valueRange", "valueRatio", "valueSampledData", "valueTime", "valueDateTime", "valuePeriod",
)  # fmt: skip


def reports_by_result(document: Document) -> dict[Place, Entry]:
    """Return, for each observation, the first report that lists it; a panel lends its report to its members."""
    found: dict[Place, Entry] = {}
    observations = {entry.place: entry for entry in document.entries if entry.type == "Observation"}
    for report in document.entries:
        if report.type != "DiagnosticReport":
            continue
        waiting = deque(_listed(document, report, "result"))
        while waiting:
            place = waiting.popleft()
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


def read_observation(
    entry: Entry, patient: PatientId, context: ResourceContext, outcome: Outcome
) -> Iterator[Result]:
    """Yield the result of an observation, and one for each component that rules use; count the others.

    What is coded (a serology, a finding on the skin) is told at once: no other value of the message bears on it.
    """
    if entry.resource.get("focus"):
        outcome.ignored[IgnoreReason.ABOUT_SOMEBODY_ELSE] += 1
        return
    text = text_of(entry.resource.get("status"))
    status = Status.RETRACTED if context.is_deleted else _STATUS.get(text)
    members = list(children(entry.resource, "component"))
    for part in (
        Part(entry.resource, "", entry.path),
        *(Part(member, _COMPONENT, f"{entry.path}.component[{n}]") for n, member in enumerate(members)),
    ):
        if part.kind == "" and members and not _has_value(part.resource):
            continue  # the code of a panel: its components hold the values
        if status is None and text in _NO_RESULT:
            outcome.ignored[IgnoreReason.NO_RESULT_YET] += 1
            continue
        codes = coded(part.resource.get("code"))
        answer = coded_value_of(part.resource, codes)
        if answer is not None:
            around = _moment_and_specimen(entry, patient, context)
            tell_coded_value(answer, part, status, entry, patient, around, context, outcome)
            continue
        found = _worth_reading(part.resource, codes, status)
        if isinstance(found, IgnoreReason):
            outcome.ignored[found] += 1
            if part.kind == "" and _may_take_back(part.resource, found, status, context):
                _take_back(entry, patient, context, outcome)
            continue
        yield _result(part, status, found, entry, patient, context)
    if status is Status.RETRACTED and not members and entry.place.id and _may_be_panel(entry.resource):
        # What the panel held is not said any more: whatever it was, it does not stand.
        for use in loinc_table().analytes.items():
            part = Part(entry.resource, _COMPONENT, entry.path)
            yield _result(part, status, use, entry, patient, context)
        names = [name_of_part(_COMPONENT, code) for code in _codes_of_findings(entry.resource)]
        moment, _ = _moment_and_specimen(entry, patient, context)
        take_back_findings(names, entry, patient, moment, context, outcome)


def _may_be_panel(resource: Resource) -> bool:
    """Tell whether an observation may have had components of ours: a panel, or one that says no code any more."""
    table = loinc_table()
    codes = coded(resource.get("code"))
    is_panel = any(system.casefold() in table.systems and code in table.panels for system, code in codes)
    return is_panel or not (_says_code(resource) or _has_value(resource))


def _codes_of_findings(resource: Resource) -> tuple[str, ...]:
    """Return the codes that components may have had: of tests in a panel, any where no code says what it was."""
    table = finding_table()
    return tuple(sorted(table.tests)) if _says_code(resource) else table.known_codes()


def _says_code(resource: Resource) -> bool:
    return bool(coded(resource.get("code")) or text_of(child(resource.get("code"), "text")))


def _may_take_back(
    resource: Resource, why: IgnoreReason, status: Status | None, context: ResourceContext
) -> bool:
    """Tell whether a version that gives no result may replace one that did: an error, a change, a value that is absent.

    Only versions that can be told from the earlier ones do, but for those that say that all of it was an error.
    """
    if status is Status.RETRACTED or context.is_deleted:
        return True
    version = text_of(child(resource.get("meta"), "versionId"))
    is_absent = why is IgnoreReason.NO_VALUE and resource.get("dataAbsentReason") is not None
    is_changed = is_absent or status is Status.CORRECTED or version not in {"", "1"}
    return is_changed and source_version(resource) > 0


def _take_back(entry: Entry, patient: PatientId, context: ResourceContext, outcome: Outcome) -> None:
    """Take back the value of an observation, whatever it was of; without an id nothing can be named."""
    if entry.place.id:
        version = version_of(entry, patient, context, Status.RETRACTED, weak=())
        # At the time of the result, so that what is sent twice says the same.
        moment, _ = _moment_and_specimen(entry, patient, context)
        tell(Retracted(), moment, version, entry.path, (), context, outcome)
        if not _says_code(entry.resource):
            take_back_findings([name_of_part("", "")], entry, patient, moment, context, outcome)


def _moment_and_specimen(
    entry: Entry, patient: PatientId, context: ResourceContext
) -> tuple[Moment | HoldCode, Specimen]:
    report = context.reports.get(entry.place)
    moment = when(entry.resource, "effective", context)
    if moment is HoldCode.MISSING_TIME and report is not None:
        moment = when(report.resource, "effective", context)
    return moment, _specimen(entry, report, patient, context)


def _result(  # noqa: PLR0913 - what a result is made of
    part: Part,
    status: Status | None,
    found: tuple[str, AnalyteCode],
    entry: Entry,
    patient: PatientId,
    context: ResourceContext,
) -> Result:
    loinc, code = found
    moment, specimen = _moment_and_specimen(entry, patient, context)
    time = "" if isinstance(moment, HoldCode) else f"{moment.interval.earliest}/{moment.interval.latest}"
    number, value_text, units = _quantity(part.resource)
    version = version_of(
        entry,
        patient,
        context,
        status or Status.PRELIMINARY,
        weak=(loinc, time),
        part=f"{part.kind}:{loinc}" if part.kind else "",
        issued_at=_issued_at(entry, context.reports.get(entry.place)),
    )
    return Result(
        envelope=context.envelope,
        path=part.path,
        code_as_sent=loinc,
        code=code,
        version=version,
        status=status,
        moment=moment,
        number=number,
        value_text=value_text,
        units=units,
        specimen=specimen,
        weak_key=not entry.place.id,
        doubt=HoldCode.VALUE_SAID_ABSENT if part.resource.get("dataAbsentReason") else None,
    )


def _issued_at(entry: Entry, report: Entry | None) -> int:
    for resource in (entry.resource, {} if report is None else report.resource):
        issued = stamp(fhir_moment(resource.get("issued"), None))
        if issued is not None:
            return issued
    return 0


def _worth_reading(
    part: Resource, codes: list[Coded], status: Status | None
) -> tuple[str, AnalyteCode] | IgnoreReason:
    found = find_code(codes)
    if isinstance(found, IgnoreReason) or status is Status.RETRACTED:
        return found
    if not _has_value(part):
        return IgnoreReason.NO_VALUE if status is not Status.CORRECTED else found
    is_text = any(name in part for name in _TEXT_VALUES) and not _has_number(part)
    return IgnoreReason.TEXT_VALUE if is_text else found


def _has_number(part: Resource) -> bool:
    """Tell whether a value is a number, or a text that holds one: held where it cannot be read."""
    if any(part.get(name) is not None for name in ("valueQuantity", *_OTHER_VALUES)):
        return True
    concept = part.get("valueCodeableConcept")
    texts = [text_of(part.get("valueString")), text_of(child(concept, "text"))]
    texts += [display for _, _, display in codings(concept)]
    return any(_DIGIT.search(text) for text in texts)


def _has_value(part: Resource) -> bool:
    quantity = part.get("valueQuantity")
    if isinstance(quantity, dict):
        return quantity.get("value") is not None
    return any(part.get(name) is not None for name in ("valueQuantity", *_TEXT_VALUES, *_OTHER_VALUES))


def _quantity(part: Resource) -> tuple[Sent | None, str, tuple[str, ...]]:
    """Return the number, its text for the digest, and the unit as code and as text; of several values none."""
    stated = [name for name in ("valueQuantity", *_TEXT_VALUES, *_OTHER_VALUES) if part.get(name) is not None]
    if len(stated) > 1 or any(name in _TEXT_VALUES for name in stated):
        return None, "+".join(stated), ()
    for name, read in (("valueQuantity", _of_quantity), ("valueRange", _of_range), ("valueRatio", _of_ratio)):
        if isinstance(part.get(name), dict):
            return read(part[name])
    integer = part.get("valueInteger")
    if isinstance(integer, int) and not isinstance(integer, bool):
        return parse_number(str(integer)), str(integer), ()
    return None, next((name for name in _OTHER_VALUES if part.get(name) is not None), ""), ()


def _of_quantity(quantity: Resource, bound: str = "") -> tuple[Sent | None, str, tuple[str, ...]]:
    """Read a Quantity; `bound` is the comparator that its place in a range gives it."""
    value = quantity.get("value")
    comparator = text_of(quantity.get("comparator")) or bound
    number = None
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        text = format(Decimal(value), "f")
        number = parse_number(f"{comparator}{text}") if comparator in {"", *Comparator} else None
    else:
        text = value.text if isinstance(value, NoMeasurement) else text_of(value)
    return number, f"{comparator}{text}", tuple(filter(None, _spellings(quantity)))


def _spellings(quantity: object) -> tuple[str, str]:
    system = text_of(child(quantity, "system"))
    code = text_of(child(quantity, "code")) if system in {"", _UCUM} else ""
    return UcumCode(code) if system == _UCUM else code, text_of(child(quantity, "unit"))


def _of_range(sent: Resource) -> tuple[Sent | None, str, tuple[str, ...]]:
    """Read a Range: one boundary is a bound, two that are equal are a value, and two that differ say no one value."""
    low, high = sent.get("low"), sent.get("high")
    if isinstance(low, dict) and isinstance(high, dict):
        lowest, highest = _of_quantity(low), _of_quantity(high)
        said = f"{lowest[1]}..{highest[1]}"
        return lowest if lowest == highest else (None, said, (*lowest[2], *highest[2]))
    if isinstance(low, dict):
        return _of_quantity(low, Comparator.GREATER_OR_EQUAL)
    return (
        _of_quantity(high, Comparator.LESS_OR_EQUAL) if isinstance(high, dict) else (None, "valueRange", ())
    )


def _of_ratio(sent: Resource) -> tuple[Sent | None, str, tuple[str, ...]]:
    """Read a Ratio of something to one unit (1690 to 1 uL); any other is a proportion such as a titre."""
    numerator, denominator = child(sent, "numerator"), child(sent, "denominator")
    one = child(denominator, "value")
    is_one = isinstance(one, int | Decimal) and not isinstance(one, bool) and one == 1
    if not isinstance(numerator, dict) or not is_one:
        return None, "valueRatio", ()
    number, said, _ = _of_quantity(numerator)
    pairs = zip(_spellings(numerator), _spellings(denominator), strict=True)
    return number, said, tuple(f"{above}/{below}" for above, below in pairs if below)


def _specimen(entry: Entry, report: Entry | None, patient: PatientId, context: ResourceContext) -> Specimen:
    """Return Observation.specimen, else the report's, else the report itself counts as one specimen."""
    pseudonyms = context.intake.pseudonyms
    stated = child(entry.resource, "specimen")
    if stated is not None:
        return _stated_specimen([stated], entry, patient, context)
    if report is None:
        return Specimen(None, EvidenceFlag.SPECIMEN_NOT_STATED)
    of_report = list(islice(children(report.resource, "specimen"), 2))  # two cannot say which
    if of_report:
        return _stated_specimen(of_report, report, patient, context)
    place = report.place
    token = pseudonyms.specimen(patient, "assumed", place.server, place.type, place.id)
    return Specimen(token, EvidenceFlag.SPECIMEN_ASSUMED)


def _stated_specimen(
    references: list[Any], source: Entry, patient: PatientId, context: ResourceContext
) -> Specimen:
    document = context.document
    reference = references[0]
    credible = len(references) == 1 and _is_blood(child(document.find(reference, source), "type"))
    place = document.place_of(reference, source)
    text = text_of(child(reference, "reference"))
    identifier = text_of(child(child(reference, "identifier"), "value"))
    if place is not None:
        parts = (place.server, place.type, place.id)
    elif text.startswith("#"):
        holder = source.place if source.container is None else source.container.place
        parts = (holder.server, holder.type, holder.id + text)
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
