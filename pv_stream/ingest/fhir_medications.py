"""FHIR MedicationAdministration, MedicationRequest and MedicationStatement as exposures.

One resource is one fact, so its versions replace each other: one that goes on is preliminary, one that has ended is
final, one that never happened or was an error is retracted. An end that is recorded without a time is the interval
from the start to the version's own time stamp: every instant at which it may have happened.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pv_stream.domain.codes import EvidenceFlag, ExposureKind, HoldCode, Status
from pv_stream.domain.facts import Exposure, Held, Retracted
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import Instant, Interval, exactly
from pv_stream.ingest.drugs import Coding, Drug, route_of
from pv_stream.ingest.fhir import Entry, Resource, child, children, codings, text_of
from pv_stream.ingest.fhir_observations import ResourceContext, source_version
from pv_stream.ingest.intake import Envelope, Version, arrive, digest_of
from pv_stream.ingest.outcomes import Hold, IgnoreReason, Outcome
from pv_stream.ingest.times import Moment, fhir_moment, stamp
from pv_stream.rules.plausibility import why_held


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


#: FHIR R4 value sets medication-admin-status, medicationrequest-status, medication-statement-status.
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
}
_RANK: Final = {Stage.GOING_ON: Status.PRELIMINARY, Stage.ENDED: Status.FINAL, Stage.NEVER: Status.RETRACTED}


def read_medication(entry: Entry, patient: PatientId, context: ResourceContext, outcome: Outcome) -> None:
    """Add the exposure of one resource, or count why it is none."""
    resource, envelope = entry.resource, context.envelope
    kind = KINDS[entry.type]
    stage = kind.stages.get(text_of(resource.get("status")))
    if stage is Stage.NOT_USED or resource.get("doNotPerform") is True:
        outcome.ignored[IgnoreReason.STATUS_NOT_USED] += 1
        return
    if entry.type == "MedicationRequest" and text_of(resource.get("intent")) != "order":
        outcome.ignored[IgnoreReason.INTENT_NOT_ORDER] += 1
        return
    drug = context.intake.drugs.recognise(_codings(entry, context))
    moment, end = _times(resource, entry.type, context.intake.utc_offset_minutes)
    version = Version(
        patient=patient,
        key=context.intake.pseudonyms.fact("fhir", *_identity(entry, patient, drug, moment)),
        status=Status.PRELIMINARY if stage is None else _RANK[stage],
        source_version=source_version(resource),
    )
    if stage is Stage.NEVER:
        when = moment if isinstance(moment, Moment) else _at_arrival(envelope)
        outcome.events.append(arrive(version, Retracted(), when, envelope, entry.path))
        return
    exposure = _exposure(kind.exposure, drug, entry, moment, end, stage, envelope)
    why = _why_held(exposure, moment, stage, context)
    if why is None and isinstance(moment, Moment) and isinstance(exposure, Exposure):
        outcome.events.append(arrive(version, exposure, moment, envelope, entry.path))
        return
    _hold(why or HoldCode.UNREADABLE_TIME, version, entry, context, outcome)


def _why_held(
    exposure: Exposure | HoldCode, moment: Moment | HoldCode, stage: Stage | None, context: ResourceContext
) -> HoldCode | None:
    if stage is None:
        return HoldCode.UNKNOWN_STATUS
    if isinstance(moment, HoldCode):
        return moment
    if isinstance(exposure, HoldCode):
        return exposure
    return why_held(exposure, moment.interval, context.envelope.received_at, context.intake.rulebook)


def _hold(why: HoldCode, version: Version, entry: Entry, context: ResourceContext, outcome: Outcome) -> None:
    named = "\x1f".join(f"{c.system}|{c.code}|{c.name}" for c in _codings(entry, context))
    digest = digest_of(named.encode(errors="surrogatepass"))
    outcome.holds.append(Hold(why, entry.path, digest))
    at_arrival = _at_arrival(context.envelope)
    outcome.events.append(arrive(version, Held(why, digest), at_arrival, context.envelope, entry.path))


def _exposure(  # noqa: PLR0913 - what an exposure is made of
    kind: ExposureKind,
    drug: Drug,
    entry: Entry,
    moment: Moment | HoldCode,
    end: Moment | HoldCode,
    stage: Stage | None,
    envelope: Envelope,
) -> Exposure | HoldCode:
    interval: Interval | None = None
    if isinstance(moment, Moment):
        if isinstance(end, Moment):
            interval = end.interval
        elif stage is Stage.ENDED and not _is_point(entry):
            updated = stamp(fhir_moment(child(entry.resource.get("meta"), "lastUpdated"), None))
            interval = _some_time_after(moment, envelope.received_at if updated is None else updated)
        if interval is not None and interval.latest < moment.interval.earliest:
            return HoldCode.UNREADABLE_TIME
    if end is HoldCode.UNREADABLE_TIME:
        return HoldCode.UNREADABLE_TIME
    return Exposure(
        kind=kind,
        ingredients=drug.ingredients,
        route=route_of(code for _, code, _ in _routes(entry.resource)),
        end=interval,
        as_sent=drug.as_sent,
        flags=tuple(sorted(_flags(entry, drug))),
    )


def _flags(entry: Entry, drug: Drug) -> Iterator[EvidenceFlag]:
    if not drug.is_known:
        yield EvidenceFlag.UNKNOWN_INGREDIENT
    if not entry.place.id:
        yield EvidenceFlag.WEAK_KEY


def _is_point(entry: Entry) -> bool:
    """Tell whether the resource states one administration at one time, which needs no end."""
    return entry.type == "MedicationAdministration" and entry.resource.get("effectiveDateTime") is not None


def _some_time_after(moment: Moment, last: Instant) -> Interval:
    return Interval(moment.interval.earliest, max(last, moment.interval.latest))


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
    if resource.get("effectiveDateTime") is not None:
        return fhir_moment(resource["effectiveDateTime"], offset), HoldCode.MISSING_TIME
    period = resource.get("effectivePeriod")
    return fhir_moment(child(period, "start"), offset), fhir_moment(child(period, "end"), offset)


def _codings(entry: Entry, context: ResourceContext) -> Iterator[Coding]:
    """Yield how the drug is named: the concept itself, else the Medication and, where that says nothing, its parts."""
    resource = entry.resource
    concept = resource.get("medicationCodeableConcept")
    if isinstance(concept, dict):
        yield from _concept(concept)
        return
    reference = resource.get("medicationReference")
    medication = context.document.find(reference, entry)
    if medication is None:
        yield Coding("", "", text_of(child(reference, "display")))
        return
    yield from _concept(medication.get("code"))
    for ingredient in children(medication, "ingredient"):
        yield from _concept(ingredient.get("itemCodeableConcept"))


def _concept(concept: object) -> Iterator[Coding]:
    for system, code, display in codings(concept):
        yield Coding(system, code, display)
    if text := text_of(child(concept, "text")):
        yield Coding("", "", text)


def _routes(resource: Resource) -> Iterator[tuple[str, str, str]]:
    dosage = resource.get("dosage")
    if isinstance(dosage, dict):
        yield from codings(dosage.get("route"))
    for name in ("dosage", "dosageInstruction"):
        for part in children(resource, name):
            yield from codings(part.get("route"))


def _identity(entry: Entry, patient: PatientId, drug: Drug, moment: Moment | HoldCode) -> tuple[str, ...]:
    place = entry.place
    if place.id:
        return place.server, place.type, place.id, ""
    time = "" if isinstance(moment, HoldCode) else f"{moment.interval.earliest}/{moment.interval.latest}"
    return "weak", patient, place.type, drug.identity, time


def _at_arrival(envelope: Envelope) -> Moment:
    return Moment(exactly(envelope.received_at), None)
