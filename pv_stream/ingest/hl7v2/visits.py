"""What every message may say beside its results and orders: observations on the patient, diagnoses, allergies.

A diagnosis (DG1) is a fact when its code is DRESS itself, as reported at its own date, or names a finding. The
reaction of an allergy (AL1, IAM) is text, so an allergy is left aside.
"""

from collections.abc import Iterator
from typing import Final

from pv_stream.domain.codes import HoldCode, Presence, ReportedReaction, ReportOutcome, Status
from pv_stream.domain.facts import Finding, Report, Retracted
from pv_stream.ingest.findings import finding_table
from pv_stream.ingest.hl7v2.people import PatientContext, order_number
from pv_stream.ingest.hl7v2.results import OrderGroup, read_group
from pv_stream.ingest.hl7v2.statements import state
from pv_stream.ingest.hl7v2.syntax import Segment, part_of
from pv_stream.ingest.hl7v2.values import code_of
from pv_stream.ingest.intake import Version
from pv_stream.ingest.outcomes import Fate, IgnoreReason, Outcome
from pv_stream.ingest.results import Result
from pv_stream.ingest.tables import AnalyteCode
from pv_stream.ingest.times import hl7_moment

_DRESS: Final = Report(ReportedReaction.DRESS, None, ReportOutcome.UNKNOWN, ())
_CODINGS: Final = ((3, 1), (6, 4))
#: DG1-6, HL7 table 0052: an admitting and a working diagnosis may still change.
_EARLY: Final = frozenset({"A", "W"})
_DELETED: Final = "D"
_LEFT_ASIDE: Final = {
    "AL1": IgnoreReason.ALLERGY_NOT_USED,
    "IAM": IgnoreReason.ALLERGY_NOT_USED,
}


def read_beside(segments: list[Segment], context: PatientContext, outcome: Outcome) -> None:
    """Add the diagnoses of one patient, and count the others and the allergies."""
    count = 0
    for segment in segments:
        if segment.name == "DG1":
            count += 1
            _read_diagnosis(segment, f"{context.path}DG1[{count}]", context, outcome)
        elif segment.name in _LEFT_ASIDE:
            outcome.ignored[_LEFT_ASIDE[segment.name]] += 1
            segment.fate = Fate.IGNORED


def read_on_patient(
    segments: list[Segment], context: PatientContext, outcome: Outcome
) -> Iterator[tuple[Segment, Result]]:
    """Yield the measurements taken on the patient outside any report: their time is OBX-14.

    Results of specimens that stand in an order are copies without the specimen's time, and are left aside.
    """
    group = OrderGroup(0)
    observations = (segment for segment in segments if segment.name == "OBX")
    for position, segment in enumerate(observations, start=1):
        found = code_of(segment)
        reason: IgnoreReason | None = None
        if isinstance(found, IgnoreReason):
            reason = found
        elif found[1].in_blood if isinstance(found[1], AnalyteCode) else found[1].of_specimen:
            reason = IgnoreReason.OBSERVATION_IN_ORDER
        elif not segment.text(14):
            reason = IgnoreReason.NO_OBSERVATION_TIME
        if reason is None:
            group.results.append((position, segment))
        else:
            outcome.ignored[reason] += 1
            segment.fate = Fate.IGNORED
    yield from read_group(group, context, outcome)


def _read_diagnosis(segment: Segment, path: str, context: PatientContext, outcome: Outcome) -> None:
    components = segment.components(3)
    systems = [part_of(components, system) for system, _ in _CODINGS]
    # Before version 2.4 the system stands in DG1-2.
    systems[0] = systems[0] or segment.text(2)
    codes = [part_of(components, code) for _, code in _CODINGS]
    coded = list(zip(systems, codes, strict=True))
    named = finding_table().finding(coded)
    diagnosis: Report | Finding
    if finding_table().names_dress(coded):
        diagnosis = _DRESS
    elif named is not None:
        diagnosis = Finding(named, Presence.PRESENT)
    else:
        outcome.ignored[IgnoreReason.DIAGNOSIS_NOT_USED] += 1
        segment.fate = Fate.IGNORED
        return
    moment = hl7_moment(segment.component(5, 1), context.default_offset)
    number = order_number((("diagnosis", segment, 20),), context.sender)
    time = "" if isinstance(moment, HoldCode) else f"{moment.interval.earliest}/{moment.interval.latest}"
    name = "dress" if diagnosis is _DRESS else str(named)
    identity = ("weak", context.patient, name, time) if number is None else number.parts
    version = Version(
        patient=context.patient,
        key=context.intake.pseudonyms.fact("diagnosis", *identity),
        status=Status.PRELIMINARY if segment.text(6) in _EARLY else Status.FINAL,
        issued_at=context.issued_at,
    )
    said = Retracted() if segment.text(21) == _DELETED else diagnosis
    state(segment, 3, path, said, moment, version, context, outcome)
