"""FHIR MedicationAdministration, -Request, -Statement and -Dispense as exposures.

One resource is one fact, so its versions replace each other: one that goes on is preliminary, one that has ended is
final, one that never happened or was an error is retracted. An end that is recorded without a time is the interval
from the start to the version's own time stamp: every instant at which it may have happened. A dispense that is
complete ends nothing: the drug is taken afterwards.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pv_stream.domain.codes import EvidenceFlag, ExposureKind, HoldCode, Status
from pv_stream.domain.facts import Exposure, Retracted
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import Instant, Interval
from pv_stream.ingest.drugs import Drug, route_of
from pv_stream.ingest.fhir.context import ResourceContext, first_known, tell, version_of
from pv_stream.ingest.fhir.doses import dose_of
from pv_stream.ingest.fhir.drugs import drug_names
from pv_stream.ingest.fhir.resources import Entry, Resource, child, children, codings, text_of
from pv_stream.ingest.intake import Envelope
from pv_stream.ingest.outcomes import IgnoreReason, Outcome, Reject, RejectCode
from pv_stream.ingest.times import Moment, fhir_moment, stamp


class Stage(Enum):
    """Say what a status means for exposure."""

    GOING_ON = "going_on"
    ENDED = "ended"
    NEVER = "never"
    NOT_USED = "not_used"


@dataclass(frozen=True, slots=True)
class Kind:
    """Hold how one resource type states exposure."""

    exposure: ExposureKind
    stages: dict[str, Stage]


#: FHIR R4 value sets medication-admin-status, medicationrequest-status, medication-statement-status and
#: medicationdispense-status.
KINDS: Final = {
    "MedicationAdministration": Kind(
        ExposureKind.ADMINISTRATION,
        {
            "in-progress": Stage.GOING_ON,
            "on-hold": Stage.GOING_ON,
            "completed": Stage.ENDED,
            "stopped": Stage.ENDED,
            "not-done": Stage.NEVER,
            "entered-in-error": Stage.NEVER,
        },
    ),
    "MedicationRequest": Kind(
        ExposureKind.ORDER,
        {
            "active": Stage.GOING_ON,
            "on-hold": Stage.NOT_USED,
            "completed": Stage.ENDED,
            "stopped": Stage.ENDED,
            "cancelled": Stage.NEVER,  # R4: withdrawn before any administration
            "entered-in-error": Stage.NEVER,
            "draft": Stage.NOT_USED,
        },
    ),
    "MedicationStatement": Kind(
        ExposureKind.STATEMENT,
        {
            "active": Stage.GOING_ON,
            "completed": Stage.ENDED,
            "stopped": Stage.ENDED,
            "intended": Stage.NOT_USED,
            "on-hold": Stage.NOT_USED,
            "not-taken": Stage.NEVER,
            "entered-in-error": Stage.NEVER,
        },
    ),
    "MedicationDispense": Kind(
        ExposureKind.DISPENSE,
        {
            "preparation": Stage.NOT_USED,
            "in-progress": Stage.NOT_USED,  # R4: ready for pickup
            "on-hold": Stage.NOT_USED,
            "completed": Stage.ENDED,
            "stopped": Stage.ENDED,
            "cancelled": Stage.NEVER,
            "declined": Stage.NEVER,
            "entered-in-error": Stage.NEVER,
        },
    ),
}
#: MedicationRequest.intent: R4 has several kinds of order; a proposal, a plan and an option are none.
_ORDERS: Final = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
_RANK: Final = {Stage.GOING_ON: Status.PRELIMINARY, Stage.ENDED: Status.FINAL, Stage.NEVER: Status.RETRACTED}


def read_medication(entry: Entry, patient: PatientId, context: ResourceContext, outcome: Outcome) -> None:
    """Add the exposure of one resource, or count why it is none."""
    resource = entry.resource
    kind = KINDS[entry.type]
    stage = Stage.NEVER if context.is_deleted else kind.stages.get(text_of(resource.get("status")))
    if stage is Stage.NOT_USED or (resource.get("doNotPerform") is True and stage is not Stage.NEVER):
        outcome.ignored[IgnoreReason.STATUS_NOT_USED] += 1
        return
    is_request = entry.type == "MedicationRequest" and stage is not Stage.NEVER
    if is_request and text_of(resource.get("intent")) not in _ORDERS:
        outcome.ignored[IgnoreReason.INTENT_NOT_ORDER] += 1
        return
    named = drug_names(resource, entry, context.document)
    drug = context.intake.drugs.recognise(named.codings)
    if not named.is_whole:
        outcome.rejects.append(Reject(RejectCode.TOO_COMPLEX, entry.path))
    moment, end = _times(resource, entry.type, context.intake.utc_offset_minutes)
    time = "" if isinstance(moment, HoldCode) else f"{moment.interval.earliest}/{moment.interval.latest}"
    status = Status.PRELIMINARY if stage is None else _RANK[stage]
    version = version_of(entry, patient, context, status, weak=(entry.type, drug.identity, time))
    content: Exposure | Retracted | HoldCode
    if stage is None:
        content = HoldCode.UNKNOWN_STATUS
    elif stage is Stage.NEVER:
        content = Retracted()
    else:
        outcome.ignored += Counter({IgnoreReason.MEDICATION_NOT_FOUND: named.not_found})
        content = _exposure(kind.exposure, drug, entry, moment, end, stage, context)
        if not drug.is_known and drug.doubt is None and not named.not_found:
            outcome.ignored[IgnoreReason.DRUG_NOT_RECOGNISED] += 1
    doubt = drug.doubt if isinstance(content, Exposure) else None
    said = (f"{each.system}|{each.code}|{each.name}" for each in named.codings)
    tell(content, moment, version, entry.path, said, context, outcome, doubt)


def _exposure(  # noqa: PLR0913 - what an exposure is made of
    kind: ExposureKind,
    drug: Drug,
    entry: Entry,
    moment: Moment | HoldCode,
    end: Moment | HoldCode,
    stage: Stage,
    context: ResourceContext,
) -> Exposure | HoldCode:
    if end is HoldCode.UNREADABLE_TIME:
        return HoldCode.UNREADABLE_TIME
    interval = end.interval if isinstance(end, Moment) else None
    start = moment.interval if isinstance(moment, Moment) else None
    if start is not None and interval is None and stage is Stage.ENDED and not _is_point(entry):
        interval = _some_time_after(start, entry.resource, context.envelope)
    if start is not None and interval is not None and interval.latest < start.earliest:
        return HoldCode.UNREADABLE_TIME
    return Exposure(
        kind=kind,
        ingredients=drug.ingredients or drug.may_be,
        route=route_of(_routes(entry.resource), drug.route),
        end=interval,
        as_sent=drug.as_sent,
        flags=tuple(sorted(_flags(entry, drug))),
        dose=dose_of(entry, context.document, (start, interval)),
    )


def _flags(entry: Entry, drug: Drug) -> Iterator[EvidenceFlag]:
    if not drug.is_known and drug.doubt is None:
        yield EvidenceFlag.UNKNOWN_INGREDIENT
    if not entry.place.id:
        yield EvidenceFlag.WEAK_KEY


def _is_point(entry: Entry) -> bool:
    """Tell whether the resource states one administration or hand-over at one time, which needs no end."""
    if entry.type == "MedicationDispense":
        return True
    return entry.type == "MedicationAdministration" and entry.resource.get("effectiveDateTime") is not None


def _some_time_after(start: Interval, resource: Resource, envelope: Envelope) -> Interval:
    updated: Instant | None = stamp(fhir_moment(child(resource.get("meta"), "lastUpdated"), None))
    last = envelope.received_at if updated is None else updated
    return Interval(start.earliest, max(last, start.latest))


def _times(resource: Resource, kind: str, offset: int | None) -> tuple[Moment | HoldCode, Moment | HoldCode]:
    """Return start and end as stated; an order starts with its dosage's bounds, else when it was authored."""
    if kind == "MedicationRequest":
        bounds = next(
            (
                period
                for dosage in children(resource, "dosageInstruction")
                if (period := child(child(child(dosage, "timing"), "repeat"), "boundsPeriod")) is not None
            ),
            None,
        )
        start = fhir_moment(child(bounds, "start"), offset)
        if start is HoldCode.MISSING_TIME:
            start = fhir_moment(resource.get("authoredOn"), offset)
        return start, fhir_moment(child(bounds, "end"), offset)
    if kind == "MedicationDispense":
        names = ("whenHandedOver", "whenPrepared")
        return first_known(fhir_moment(resource.get(name), offset) for name in names), HoldCode.MISSING_TIME
    if resource.get("effectiveDateTime") is not None:
        return fhir_moment(resource["effectiveDateTime"], offset), HoldCode.MISSING_TIME
    period = resource.get("effectivePeriod")
    return fhir_moment(child(period, "start"), offset), fhir_moment(child(period, "end"), offset)


def _routes(resource: Resource) -> Iterator[str]:
    """Yield the codes and then the texts of the routes that a resource states."""
    single = resource.get("dosage")
    dosages = [single] if isinstance(single, dict) else []
    dosages += [part for name in ("dosage", "dosageInstruction") for part in children(resource, name)]
    for dosage in dosages:
        yield from (code for _, code, _ in codings(dosage.get("route")) if code)
    for dosage in dosages:
        yield from (text for text in _texts(dosage.get("route")) if text)


def _texts(concept: object) -> Iterator[str]:
    yield from (display for _, _, display in codings(concept))
    yield text_of(child(concept, "text"))
