"""Coded findings in FHIR: answers of tests, findings by code, Conditions, and the conclusions of reports.

A finding is told only where its code and its answer are both on our lists. Silence, doubt (a provisional or a
differential diagnosis) and a code that says less than a fact tell nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pv_stream.domain.codes import FindingCode, HoldCode, Presence, Status
from pv_stream.domain.facts import Finding, Retracted
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import Interval, parse_instant
from pv_stream.ingest.fhir.context import ResourceContext, first_known, tell, version_of, when
from pv_stream.ingest.fhir.resources import Entry, Resource, child, children, codings, source_version, text_of
from pv_stream.ingest.findings import Coded, Test, finding_table
from pv_stream.ingest.outcomes import IgnoreReason, Outcome
from pv_stream.ingest.results import Specimen
from pv_stream.ingest.times import Moment, fhir_moment

#: Condition.verificationStatus. One that is not stated is the statement of whoever keeps the record.
_VERIFIED: Final = {"": Status.PRELIMINARY, "confirmed": Status.FINAL}
_ENTERED_IN_ERROR: Final = "entered-in-error"
_REFUTED: Final = "refuted"
_GONE: Final = frozenset({"inactive", "resolved"})
#: DiagnosticReport.status.
_REPORT_STATUS: Final = {
    "preliminary": Status.PRELIMINARY,
    "final": Status.FINAL,
    "amended": Status.CORRECTED,
    "corrected": Status.CORRECTED,
    "appended": Status.CORRECTED,
    "cancelled": Status.RETRACTED,
    _ENTERED_IN_ERROR: Status.RETRACTED,
}
#: The diagnostic services of a pathologist: HL7 table 0074, and the LOINC part Pathology.
_PATHOLOGY: Final = frozenset({"SP", "PAT", "LP7839-6"})
#: Before this nobody now living had a reaction.
_EARLIEST: Final = parse_instant("1900-01-01T00:00:00Z")
_ANSWERS: Final = ("valueCodeableConcept", "valueString", "valueBoolean")


@dataclass(frozen=True, slots=True)
class Part:
    """Hold an observation (`kind` is empty) or one of its components, with its path."""

    resource: Resource
    kind: str
    path: str


def coded(concept: object) -> list[Coded]:
    """Return the (system, code) pairs of a CodeableConcept."""
    return [(system, code) for system, code, _ in codings(concept)]


@dataclass(frozen=True, slots=True)
class CodedValue:
    """Hold what an observation under one of our codes says, or why it says no fact; `test` is what decides it.

    `code` is the first of ours.
    """

    codes: list[Coded]
    code: str
    test: Test | None
    said: Finding | IgnoreReason


def coded_value_of(resource: Resource, codes: list[Coded]) -> CodedValue | None:
    """Return what an observation or component under some codes says, or None when none of them is ours."""
    test = finding_table().test(codes)
    said = _said(resource, codes, test)
    code = finding_table().known_code(codes)
    return None if said is None or code is None else CodedValue(codes, code, test, said)


def tell_coded_value(  # noqa: PLR0913 - what a finding is made of
    found: CodedValue,
    part: Part,
    status: Status | None,
    entry: Entry,
    patient: PatientId,
    when_and_where: tuple[Moment | HoldCode, Specimen],
    context: ResourceContext,
    outcome: Outcome,
) -> None:
    """Add the finding of an observation or component, or count why it is none.

    Only the final answer of a test is one: a culture without growth today may grow tomorrow. A correction always
    stands for what it corrects, so one that says neither yes nor no is held.
    """
    moment, specimen = when_and_where
    weak = (*(code for _, code in found.codes), _text_of_time(moment))
    name = name_of_part(part.kind, found.code)
    version = version_of(entry, patient, context, status or Status.PRELIMINARY, weak=weak, part=name)
    reason = _why_no_finding(found, status)
    content: Finding | Retracted | HoldCode
    if reason is not None:
        outcome.ignored[reason] += 1
        return
    if status is Status.RETRACTED:
        content = Retracted()
    elif status is None:
        content = HoldCode.UNKNOWN_STATUS
    elif found.test is not None and not specimen.is_credible:
        content = HoldCode.UNKNOWN_SPECIMEN
    else:
        content = HoldCode.UNREADABLE_VALUE if isinstance(found.said, IgnoreReason) else found.said
    value = (code for _, code in coded(part.resource.get("valueCodeableConcept")))
    tell(content, moment, version, part.path, (name, *value), context, outcome)


def name_of_part(kind: str, code: str) -> str:
    """Return the name of a finding among the facts of its resource; that of a component holds its code."""
    return f"{kind}:{code}:finding" if kind else "finding"


def take_back_findings(  # noqa: PLR0913 - whose, of what, when
    names: Iterable[str],
    entry: Entry,
    patient: PatientId,
    moment: Moment | HoldCode,
    context: ResourceContext,
    outcome: Outcome,
) -> None:
    """Take back the findings of an observation that may have been told under some names, whatever they said."""
    for name in names:
        version = version_of(entry, patient, context, Status.RETRACTED, weak=(), part=name)
        tell(Retracted(), moment, version, entry.path, (), context, outcome)


def _why_no_finding(found: CodedValue, status: Status | None) -> IgnoreReason | None:
    if status not in {Status.PRELIMINARY, Status.FINAL}:
        return None
    if isinstance(found.said, IgnoreReason):
        return found.said
    return IgnoreReason.NO_RESULT_YET if status is Status.PRELIMINARY and found.test is not None else None


def _said(part: Resource, codes: list[Coded], test: Test | None) -> Finding | IgnoreReason | None:
    """Return what is found, why it is no fact, or None when the code is none of ours."""
    table = finding_table()
    if table.asks_for_a_finding(codes):
        named = table.finding(coded(part.get("valueCodeableConcept")))
        return IgnoreReason.CODE_NOT_USED if named is None else Finding(named, Presence.PRESENT)
    code = table.finding(codes) if test is None else test.finding
    if code is None:
        return None
    presence = _answer(part)
    if presence is None:
        has_answer = any(part.get(name) is not None for name in _ANSWERS)
        return IgnoreReason.UNDECIDED_VALUE if has_answer else IgnoreReason.NO_VALUE
    if test is not None and test.is_part and presence is Presence.ABSENT:
        return IgnoreReason.NEGATIVE_OF_PART
    return Finding(code, presence)


def _answer(part: Resource) -> Presence | None:
    """Return what the value says; the interpretation only where there is none."""
    if isinstance(stated := part.get("valueBoolean"), bool):
        return Presence.PRESENT if stated else Presence.ABSENT
    value = coded(part.get("valueCodeableConcept"))
    texts = [text_of(part.get("valueString")), text_of(child(part.get("valueCodeableConcept"), "text"))]
    if value or any(texts):
        return finding_table().answer(value, texts)
    flags = [pair for concept in children(part, "interpretation") for pair in coded(concept)]
    return finding_table().answer(flags)


def _text_of_time(moment: Moment | HoldCode) -> str:
    return "" if isinstance(moment, HoldCode) else f"{moment.interval.earliest}/{moment.interval.latest}"


# Conditions --------------------------------------------------------------------------------------------------------


def verification_of(entry: Entry, context: ResourceContext) -> Status | Presence | IgnoreReason:
    """Return the rank of an asserted Condition, ABSENT for a refuted one, or why it asserts nothing.

    A version that doubts takes back what an earlier one asserted, but only where the source numbers its versions:
    else it could take back a later one too.
    """
    status = code_of(entry.resource.get("verificationStatus"))
    if context.is_deleted or status == _ENTERED_IN_ERROR:
        return Status.RETRACTED
    if status == _REFUTED:
        return Presence.ABSENT
    if status in _VERIFIED:
        return _VERIFIED[status]
    has_version = source_version(entry.resource) > 0
    return Status.RETRACTED if has_version else IgnoreReason.STATUS_NOT_USED


def code_of(concept: object) -> str:
    """Return the first code of a CodeableConcept of a required value set."""
    return next((code for _, code in coded(concept) if code), "")


def onset_of(resource: Resource, context: ResourceContext) -> Moment | HoldCode:
    """Return when a condition began, else when it was recorded: then it was there, unless it had abated before."""
    recorded = fhir_moment(resource.get("recordedDate"), context.intake.utc_offset_minutes)
    abated = when(resource, "abatement", context)
    if isinstance(recorded, Moment) and isinstance(abated, Moment):
        recorded = (
            some_time_before(abated) if abated.interval.latest < recorded.interval.earliest else recorded
        )
    return first_known((when(resource, "onset", context), recorded))


def some_time_before(known: Moment | HoldCode) -> Moment | HoldCode:
    """Return when something was of which only a later time is known: at any time in a life before that."""
    if isinstance(known, HoldCode):
        return known
    return Moment(Interval(_EARLIEST, known.interval.latest), known.utc_offset_minutes)


def read_condition_finding(
    finding: FindingCode, entry: Entry, patient: PatientId, context: ResourceContext, outcome: Outcome
) -> None:
    """Add the finding that a Condition is, and its absence from the day on which it had abated."""
    verification = verification_of(entry, context)
    if isinstance(verification, IgnoreReason):
        outcome.ignored[verification] += 1
        return
    moment = onset_of(entry.resource, context)
    said = (finding, *(code for _, code in coded(entry.resource.get("code"))))
    refuted = verification is Presence.ABSENT
    status = Status.FINAL if isinstance(verification, Presence) else verification
    for part, content, at in (
        ("finding", Finding(finding, Presence.ABSENT if refuted else Presence.PRESENT), moment),
        *_abated(finding, entry, status, context, is_refuted=refuted),
    ):
        version = version_of(
            entry, patient, context, status, weak=("Condition", finding, _text_of_time(moment)), part=part
        )
        what = Retracted() if status is Status.RETRACTED else content
        tell(what, at, version, entry.path, said, context, outcome)


def _abated(
    finding: FindingCode, entry: Entry, status: Status, context: ResourceContext, *, is_refuted: bool
) -> Iterator[tuple[str, Finding, Moment | HoldCode]]:
    at = when(entry.resource, "abatement", context)
    clinical = code_of(entry.resource.get("clinicalStatus"))
    is_stated = isinstance(at, Moment) and (clinical in _GONE or status is Status.RETRACTED)
    if is_stated and not is_refuted:
        yield "abated", Finding(finding, Presence.ABSENT), at


# Reports -----------------------------------------------------------------------------------------------------------


def read_report_conclusion(
    entry: Entry, patient: PatientId, context: ResourceContext, outcome: Outcome
) -> bool:
    """Add what the coded conclusion of a DiagnosticReport decides, and return True when it is one of ours.

    The report of a test concludes whether it is positive; a pathologist's report that concludes DRESS is a biopsy
    that suggests it. A conclusion in words is not read.
    """
    resource, table = entry.resource, finding_table()
    conclusions = [pair for concept in children(resource, "conclusionCode") for pair in coded(concept)]
    test = table.test(coded(resource.get("code")))
    services = {code for concept in children(resource, "category") for _, code in coded(concept)}
    presence = table.answer(conclusions)
    if test is not None and presence is not None:
        if test.is_part and presence is Presence.ABSENT:
            outcome.ignored[IgnoreReason.NEGATIVE_OF_PART] += 1
            return True
        content = Finding(test.finding, presence)
    elif services & _PATHOLOGY and table.names_dress(conclusions):
        content = Finding(FindingCode.BIOPSY_SUGGESTS_DRESS, Presence.PRESENT)
    else:
        return False
    text = text_of(resource.get("status"))
    status = Status.RETRACTED if context.is_deleted else _REPORT_STATUS.get(text)
    is_early = status is Status.PRELIMINARY and test is not None
    if is_early or (status is None and text in {"registered", "partial"}):
        outcome.ignored[IgnoreReason.NO_RESULT_YET] += 1
        return True
    moment = when(resource, "effective", context)
    weak = ("DiagnosticReport", content.code, _text_of_time(moment))
    version = version_of(entry, patient, context, status or Status.PRELIMINARY, weak=weak, part="finding")
    what = HoldCode.UNKNOWN_STATUS if status is None else content
    said = (content.code, content.presence)
    tell(
        Retracted() if status is Status.RETRACTED else what,
        moment,
        version,
        entry.path,
        said,
        context,
        outcome,
    )
    return True
