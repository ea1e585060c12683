"""ORU^R01: results of one or more patients, in groups of ORC, OBR, OBX and SPM.

The time of a result is that of its specimen: SPM-17, else OBR-7, else it is held. OBX-14 and OBX-19 are never used for
a specimen: they differ between its preliminary and its final result. What is observed on the patient (a temperature, a
weight) has no specimen, and where no OBR-7 says its time, OBX-14 does. Versions of one result are ordered by status,
then by MSH-7: OBR-22 is often the same in a preliminary and a final message.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from pv_stream.domain.codes import EvidenceFlag, HoldCode, Status
from pv_stream.domain.facts import Finding, Retracted
from pv_stream.domain.ids import FactKey
from pv_stream.ingest.hl7v2.people import OrderNumber, PatientContext, order_number
from pv_stream.ingest.hl7v2.statements import state
from pv_stream.ingest.hl7v2.syntax import Segment, part_of
from pv_stream.ingest.hl7v2.values import (
    NUMERIC_TYPES,
    TEXT_TYPES,
    Asked,
    code_of,
    finding_of,
    is_empty,
    number_of,
    units_of,
)
from pv_stream.ingest.intake import Version
from pv_stream.ingest.outcomes import Fate, IgnoreReason, Outcome
from pv_stream.ingest.results import Result, Specimen
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
_DIGIT: Final = re.compile(r"\d")


@dataclass(slots=True)
class OrderGroup:
    """Hold the segments that belong to one OBR, its OBX by their place; number 0 is what stands before any."""

    number: int
    order: Segment | None = None
    request: Segment | None = None
    results: list[tuple[int, Segment]] = field(default_factory=list)
    specimens: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class GroupContext:
    """Hold what the results of one group share."""

    patient: PatientContext
    path: str
    number: OrderNumber | None
    moment: Moment | HoldCode
    time: str
    specimen: Specimen
    key: Callable[..., FactKey]


def order_groups(segments: list[Segment]) -> Iterator[OrderGroup]:
    """Yield the groups of one patient: each OBR with the ORC before it and the OBX and SPM after it."""
    group: OrderGroup | None = None
    order: Segment | None = None
    count = 0
    for segment in segments:
        if segment.name == "OBX":
            group = group or OrderGroup(0, order)
            group.results.append((len(group.results) + 1, segment))
        elif segment.name == "ORC":
            order = segment
        elif segment.name == "OBR":
            if group is not None:
                yield group
            count += 1
            group, order = OrderGroup(count, order, segment), None
        elif segment.name == "SPM":
            group = group or OrderGroup(0, order)
            group.specimens.append(segment)
    if group is not None:
        yield group


def read_group(
    group: OrderGroup, context: PatientContext, outcome: Outcome
) -> Iterator[tuple[Segment, Result]]:
    """Yield the measurements of one group that rules use; add its findings, and count the rest."""
    shared: GroupContext | None = None
    for position, segment in group.results:
        found = code_of(segment)
        if not isinstance(found, IgnoreReason):
            found = _worth_reading(segment, found)
        if isinstance(found, IgnoreReason):
            outcome.ignored[found] += 1
            segment.fate = Fate.IGNORED
            continue
        shared = shared or _shared(group, context)
        path = f"{shared.path}OBX[{position}]"
        code, use = found
        if isinstance(use, Asked):
            _read_finding(segment, code, use, path, shared, outcome)
        else:
            yield segment, _result(segment, code, use, path, shared)


def _shared(group: OrderGroup, context: PatientContext) -> GroupContext:
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
    path = f"{context.path}OBR[{group.number}]/" if group.number else context.path
    named = ("weak", specimen.token or context.patient) if number is None else number.parts
    key = context.intake.pseudonyms.facts("lab", *named)
    return GroupContext(context, path, number, moment, _time_part(moment), specimen, key)


def _result(segment: Segment, loinc: str, code: AnalyteCode, path: str, shared: GroupContext) -> Result:
    context = shared.patient
    status = _STATUS.get(segment.text(11))
    moment = _moment_of(segment, shared, is_of_specimen=code.in_blood)
    return Result(
        envelope=context.envelope,
        path=path,
        code_as_sent=loinc,
        code=code,
        version=Version(
            patient=context.patient,
            key=_key(segment, loinc, moment, shared),
            status=status or Status.PRELIMINARY,
            issued_at=context.issued_at,
        ),
        status=status,
        moment=moment,
        number=number_of(segment),
        value_text=segment.raw(5),
        units=units_of(segment),
        specimen=shared.specimen,
        weak_key=shared.number is None,
    )


def _worth_reading(
    segment: Segment, found: tuple[str, AnalyteCode | Asked]
) -> tuple[str, AnalyteCode | Asked] | IgnoreReason:
    """Return what a code was found to be, or why the segment says nothing of it."""
    status = segment.text(11)
    if status in _NO_RESULT:
        return IgnoreReason.NO_RESULT_YET
    if _STATUS.get(status) is Status.RETRACTED:
        return found
    if is_empty(segment) and status != "C":
        return IgnoreReason.NO_VALUE
    if isinstance(found[1], Asked) or segment.raw(2) in NUMERIC_TYPES or number_of(segment) is not None:
        return found
    # A text that holds a number is held: what stands around it may change what it says (1690*, >=1690 H).
    is_number = segment.raw(2) in TEXT_TYPES and _DIGIT.search(segment.raw(5)) is not None
    return found if status == "C" or is_number else IgnoreReason.TEXT_VALUE


# Observations whose answer is a finding -----------------------------------------------------------------------------


def _read_finding(  # noqa: PLR0913 - a segment and what it stands in
    segment: Segment, code: str, asked: Asked, path: str, shared: GroupContext, outcome: Outcome
) -> None:
    """Add the finding of a test or an examination.

    Only the final answer of a test is one: a culture without growth today may grow tomorrow. A correction always
    stands for what it corrects, so one that says neither yes nor no is held.
    """
    context = shared.patient
    status = _STATUS.get(segment.text(11))
    found = finding_of(segment, asked)
    reason = _why_no_finding(found, status, asked)
    if reason is not None:
        outcome.ignored[reason] += 1
        segment.fate = Fate.IGNORED
        return
    moment = _moment_of(segment, shared, is_of_specimen=asked.of_specimen)
    version = Version(
        patient=context.patient,
        key=_key(segment, code, moment, shared),
        status=status or Status.PRELIMINARY,
        issued_at=context.issued_at,
    )
    said: Finding | Retracted | HoldCode
    if status is Status.RETRACTED:
        said = Retracted()
    elif status is None:
        said = HoldCode.UNKNOWN_STATUS
    elif asked.of_specimen and not shared.specimen.is_credible:
        said = HoldCode.UNKNOWN_SPECIMEN
    else:
        said = HoldCode.UNREADABLE_VALUE if isinstance(found, IgnoreReason) else found
    state(segment, 5, path, said, moment, version, context, outcome)


def _why_no_finding(
    found: Finding | IgnoreReason, status: Status | None, asked: Asked
) -> IgnoreReason | None:
    if status not in {Status.PRELIMINARY, Status.FINAL}:
        return None
    if isinstance(found, IgnoreReason):
        return found
    return IgnoreReason.NO_RESULT_YET if status is Status.PRELIMINARY and asked.of_specimen else None


# Specimen, time and key ---------------------------------------------------------------------------------------------


def _specimen_time(group: OrderGroup, default_offset: int | None) -> Moment | HoldCode:
    stated = {segment.raw(17) for segment in group.specimens if segment.raw(17).strip()}
    if len(stated) > 1:
        return HoldCode.UNREADABLE_TIME
    for segment in group.specimens:
        components = segment.components(17)
        start = hl7_moment(components[0], default_offset)
        if start is HoldCode.MISSING_TIME:
            continue
        end = hl7_moment(components[1], default_offset) if len(components) > 1 else None
        if isinstance(start, Moment) and isinstance(end, Moment):
            return span(start, end)
        return start
    if group.request is None:
        return HoldCode.MISSING_TIME
    return hl7_moment(group.request.component(7, 1), default_offset)


def _moment_of(segment: Segment, shared: GroupContext, *, is_of_specimen: bool) -> Moment | HoldCode:
    """Return when a result holds: the time of the specimen, else of an observation on the patient its own."""
    if shared.moment is HoldCode.MISSING_TIME and not is_of_specimen:
        return hl7_moment(segment.component(14, 1), shared.patient.default_offset)
    return shared.moment


def _time_part(moment: Moment | HoldCode) -> str:
    return "" if isinstance(moment, HoldCode) else f"{moment.interval.earliest}/{moment.interval.latest}"


def _specimen(
    group: OrderGroup, number: OrderNumber | None, moment: Moment | HoldCode, context: PatientContext
) -> Specimen:
    """Return the specimen of a group: SPM-2, else the group of one order and time counts as one specimen.

    The time is part of its name: numbers are used again, and one specimen has one time.
    """
    pseudonyms = context.intake.pseudonyms
    time = _time_part(moment)
    ids = {_specimen_id(segment, context) for segment in group.specimens}
    credible = len(ids) < 2 and _is_blood(group)  # noqa: PLR2004 - two specimens cannot be told apart by OBX
    stated = min(ids, default=("", ""))
    if stated[1]:
        return Specimen(pseudonyms.specimen(context.patient, *stated, time), None, credible)
    if number is not None and time:
        token = pseudonyms.specimen(context.patient, "assumed", *number.parts, time)
        return Specimen(token, EvidenceFlag.SPECIMEN_ASSUMED, credible)
    return Specimen(None, EvidenceFlag.SPECIMEN_NOT_STATED, credible)


def _specimen_id(segment: Segment, context: PatientContext) -> tuple[str, str]:
    """Return authority and number of SPM-2: the filler's number, else the placer's."""
    if segment.raw(2):
        for position in (2, 1):
            parts = segment.subcomponents(2, position)
            if parts[0]:
                return part_of(parts, 2) or part_of(parts, 3) or context.sender.authority, parts[0]
    return "", ""


def _is_blood(group: OrderGroup) -> bool:
    """Tell whether every specimen that is named (SPM-4, or OBR-15 of older versions) may hold blood."""
    for segment in group.specimens:
        if not _names_blood(segment.components(4)):
            return False
    if group.request is None or not group.request.raw(15):
        return True
    return _names_blood(group.request.subcomponents(15, 1))


def _names_blood(components: list[str]) -> bool:
    """Tell whether a code, its name and its alternate may be of blood; older senders write the name as the code."""
    table = blood_table()
    codes = [part for part in (components[0], part_of(components, 4)) if part]
    if codes:
        return any(code in table.codes or code.casefold() in table.names for code in codes)
    name = part_of(components, 2)
    return not name or name.casefold() in table.names


def _key(segment: Segment, code: str, moment: Moment | HoldCode, shared: GroupContext) -> FactKey:
    """Return the key of a result: its order or, without a number of it, its specimen or patient; code, OBX-4, time."""
    time = shared.time if moment is shared.moment else _time_part(moment)
    return shared.key(code, segment.text(4), time)
