"""ORU^R01: results of one or more patients, in groups of ORC, OBR, OBX and SPM.

The time of a result is that of its specimen: SPM-17, else OBR-7, else it is held. OBX-14 and OBX-19 are never used:
they differ between the preliminary and the final result of one specimen. Versions of one result are ordered by
status, then by MSH-7: OBR-22 is often the same in a preliminary and a final message.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pv_stream.domain.codes import EvidenceFlag, HoldCode, Status
from pv_stream.domain.ids import PatientId
from pv_stream.ingest.hl7v2 import Segment, part_of
from pv_stream.ingest.hl7v2_people import OrderNumber, Sender, order_number
from pv_stream.ingest.intake import Envelope, Intake, Version
from pv_stream.ingest.outcomes import IgnoreReason, Outcome
from pv_stream.ingest.quantities import Sent, parse_number
from pv_stream.ingest.results import Result, Specimen, find_code
from pv_stream.ingest.tables import AnalyteCode, blood_table
from pv_stream.ingest.times import Moment, hl7_moment, span

#: OBX-11, HL7 table 0085. X takes back an earlier version; I, O and N say that there is no result.
_STATUS: Final = {
    "P": Status.PRELIMINARY,
    "R": Status.PRELIMINARY,
    "S": Status.PRELIMINARY,
    "F": Status.FINAL,
    "U": Status.FINAL,
    "C": Status.CORRECTED,
    "D": Status.RETRACTED,
    "W": Status.RETRACTED,
    "X": Status.RETRACTED,
}
_NO_RESULT: Final = frozenset({"I", "O", "N"})
#: Value types that hold numbers. ST is text, but laboratories send plain numbers in it, and reading one is no guess.
_NUMERIC_TYPES: Final = frozenset({"NM", "SN"})
_NULL: Final = '""'
_SN_COMPARATORS: Final = frozenset({"", "=", "<", ">", "<=", ">="})


@dataclass(slots=True)
class OrderGroup:
    """Hold the segments that belong to one OBR."""

    number: int
    order: Segment | None
    request: Segment | None
    results: list[Segment] = field(default_factory=list)
    specimens: list[Segment] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ResultContext:
    """Hold what the results of one patient in a message share."""

    patient: PatientId
    sender: Sender
    issued_at: int
    default_offset: int | None
    intake: Intake
    envelope: Envelope
    path: str


def order_groups(segments: list[Segment]) -> Iterator[OrderGroup]:
    """Yield the groups of one patient: each OBR with the ORC before it and the OBX and SPM after it."""
    group: OrderGroup | None = None
    order: Segment | None = None
    count = 0
    for segment in segments:
        if segment.name == "ORC":
            order = segment
        elif segment.name == "OBR":
            if group is not None:
                yield group
            count += 1
            group, order = OrderGroup(count, order, segment), None
        elif segment.name in {"OBX", "SPM"}:
            group = group or OrderGroup(0, order, None)
            (group.results if segment.name == "OBX" else group.specimens).append(segment)
    if group is not None:
        yield group


def read_group(group: OrderGroup, context: ResultContext, outcome: Outcome) -> Iterator[Result]:
    """Yield the results of one group that rules use; count the others."""
    number = order_number(
        (
            ("filler", group.request, 3),
            ("filler", group.order, 3),
            ("placer", group.request, 2),
            ("placer", group.order, 2),
        ),
        context.sender,
    )
    moment = _specimen_time(group, context.default_offset)
    specimen = _specimen(group, number, moment, context)
    for position, segment in enumerate(group.results, start=1):
        found = _worth_reading(segment)
        if isinstance(found, IgnoreReason):
            outcome.ignored[found] += 1
            continue
        loinc, code = found
        status = _STATUS.get(segment.text(11))
        value_text = segment.raw(5)
        yield Result(
            envelope=context.envelope,
            path=f"{context.path}OBR[{group.number}]/OBX[{position}]",
            loinc=loinc,
            code=code,
            version=Version(
                patient=context.patient,
                key=context.intake.pseudonyms.fact(
                    "lab", *_identity(segment, loinc, number, moment, specimen)
                ),
                status=status or Status.PRELIMINARY,
                issued_at=context.issued_at,
            ),
            status=status,
            moment=moment,
            number=_number(segment),
            value_text=value_text,
            units=_units(segment),
            specimen=specimen,
            weak_key=number is None,
        )


def _worth_reading(segment: Segment) -> tuple[str, AnalyteCode] | IgnoreReason:
    components = segment.components(3)
    found = find_code(
        (part_of(components, system), part_of(components, code))
        for system, code in ((3, 1), (6, 4), (12, 10))
    )
    if isinstance(found, IgnoreReason):
        return found
    status = segment.text(11)
    if status in _NO_RESULT:
        return IgnoreReason.NO_RESULT_YET
    if _STATUS.get(status) is Status.RETRACTED:
        return found
    value = segment.raw(5).strip()
    if not value and status != "C":
        return IgnoreReason.NO_VALUE
    if segment.text(2) not in _NUMERIC_TYPES and _number(segment) is None:
        return IgnoreReason.TEXT_VALUE
    return found


def _number(segment: Segment) -> Sent | None:
    """Return the number of OBX-5, or None when it is none, is several, or deletes an earlier one."""
    if len(segment.repetitions(5)) != 1:
        return None
    components = segment.components(5)
    if segment.text(2) != "SN" or len(components) == 1:
        return parse_number(components[0]) if len(components) == 1 else None
    comparator, first = part_of(components, 1), part_of(components, 2)
    if any(components[2:]) or comparator not in _SN_COMPARATORS:
        return None
    return parse_number(first if comparator == "=" else comparator + first)


def _units(segment: Segment) -> tuple[str, ...]:
    """Return what OBX-6 may say: its code, its alternate code, and the field whole.

    Senders write 10^9/L without escaping it, and then its ^ separates components.
    """
    raw = segment.raw(6).strip()
    if raw in {"", _NULL}:
        return ()
    components = segment.components(6)
    if components[0].lower().removeprefix("x") == "10" and len(components) > 1:
        return ("^".join(components[:2]),)
    stated = (components[0] or part_of(components, 2), part_of(components, 4))
    return tuple(spelling for spelling in stated if spelling)


def _specimen_time(group: OrderGroup, default_offset: int | None) -> Moment | HoldCode:
    stated = {segment.raw(17) for segment in group.specimens if segment.raw(17).strip()}
    if len(stated) > 1:
        return HoldCode.UNREADABLE_TIME
    for segment in group.specimens:
        components = segment.components(17)
        start, end = (hl7_moment(part_of(components, position), default_offset) for position in (1, 2))
        if start is HoldCode.MISSING_TIME:
            continue
        if isinstance(start, Moment) and isinstance(end, Moment):
            return span(start, end)
        return start
    if group.request is None:
        return HoldCode.MISSING_TIME
    return hl7_moment(group.request.component(7, 1), default_offset)


def _time_part(moment: Moment | HoldCode) -> str:
    return "" if isinstance(moment, HoldCode) else f"{moment.interval.earliest}/{moment.interval.latest}"


def _specimen(
    group: OrderGroup, number: OrderNumber | None, moment: Moment | HoldCode, context: ResultContext
) -> Specimen:
    """Return the specimen of a group: SPM-2, else the group of one order and time counts as one specimen.

    The time is part of its name: numbers are used again, and one specimen has one time.
    """
    pseudonyms = context.intake.pseudonyms
    time = _time_part(moment)
    ids = {_specimen_id(segment, context.sender) for segment in group.specimens}
    credible = len(ids) < 2 and _is_blood(group)  # noqa: PLR2004 - two specimens cannot be told apart by OBX
    stated = min(ids, default=("", ""))
    if stated[1]:
        return Specimen(pseudonyms.specimen(context.patient, *stated, time), None, credible)
    if number is not None and time:
        token = pseudonyms.specimen(context.patient, "assumed", *number.parts, time)
        return Specimen(token, EvidenceFlag.SPECIMEN_ASSUMED, credible)
    return Specimen(None, EvidenceFlag.SPECIMEN_NOT_STATED, credible)


def _specimen_id(segment: Segment, sender: Sender) -> tuple[str, str]:
    """Return authority and number of SPM-2: the filler's number, else the placer's."""
    raw = segment.delimiters.split(segment.repetitions(2)[0], segment.delimiters.component)
    for component in (part_of(raw, 2), part_of(raw, 1)):
        parts = segment.subcomponents_of(component)
        if part_of(parts, 1):
            return part_of(parts, 2) or part_of(parts, 3) or sender.authority, part_of(parts, 1)
    return "", ""


def _is_blood(group: OrderGroup) -> bool:
    """Tell whether every specimen that is named (SPM-4, or OBR-15 of older versions) may hold blood."""
    named = [segment.components(4) for segment in group.specimens]
    if group.request is not None:
        named.append(group.request.subcomponents(15, 1))
    table = blood_table()
    for components in named:
        codes = [part for part in (part_of(components, 1), part_of(components, 4)) if part]
        if codes:
            if not any(code in table.codes for code in codes):
                return False
        elif (name := part_of(components, 2)) and name.casefold() not in table.names:
            return False
    return True


def _identity(
    segment: Segment, loinc: str, number: OrderNumber | None, moment: Moment | HoldCode, specimen: Specimen
) -> tuple[str, ...]:
    time = _time_part(moment)
    if number is not None:
        return (*number.parts, loinc, segment.text(4), time)
    return ("weak", specimen.token or "", loinc, segment.text(4), time)
