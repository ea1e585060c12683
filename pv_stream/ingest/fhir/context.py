"""What the reading of one FHIR resource needs beside it: whose it is, when it was sent, and which version it is.

Every reader of resources tells its facts through `tell`, so that what is not believed is held in one way.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from pv_stream.domain.codes import READ_HOLDS, TIME_HOLDS, HoldCode, Status
from pv_stream.domain.facts import Content, Exposure, Finding, Held, Report, Retracted
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import Instant, Interval, exactly
from pv_stream.ingest.fhir.resources import Document, Entry, Place, Resource, child, source_version, text_of
from pv_stream.ingest.intake import Envelope, Intake, Version, arrive, digest_of
from pv_stream.ingest.outcomes import Hold, Outcome, RejectCode
from pv_stream.ingest.times import Moment, fhir_moment, span, stamp
from pv_stream.rules.plausibility import why_held

FORMAT: Final = "fhir_r4"
_CONDITIONAL: Final = re.compile(r"Patient\?identifier=([^|&]{0,200})\|([^|&]{1,200})")


@dataclass(frozen=True, slots=True)
class ResourceContext:
    """Hold what the reading of one resource needs beside it.

    `deleted_at` is set when the resource is deleted, as a version that is later than all that is known of it.
    """

    document: Document
    intake: Intake
    envelope: Envelope
    reports: dict[Place, Entry]
    deleted_at: int | None = None

    @property
    def is_deleted(self) -> bool:
        """Tell whether the resource is read only to take back what it said."""
        return self.deleted_at is not None


def context_of(
    entry: Entry, document: Document, reports: dict[Place, Entry], digest: str, intake: Intake
) -> ResourceContext | RejectCode:
    """Return the context of an entry, or why it cannot be placed in time."""
    stated = _first_stamp(
        _stamps_of_deletion(entry, document) if entry.is_deletion else _stamps(entry, document, reports)
    )
    received_at = intake.received(stated)
    if isinstance(received_at, RejectCode):
        return received_at
    context = ResourceContext(document, intake, Envelope(FORMAT, digest, received_at), reports)
    if not entry.is_deletion:
        return context
    deleted = stamp(fhir_moment(child(entry.wrapper.get("response"), "lastModified"), None))
    at = received_at if deleted is None else deleted
    return replace(context, deleted_at=max(at, source_version(entry.resource)))


def patient_of(entry: Entry, document: Document, intake: Intake) -> PatientId | None:
    """Return the pseudonym of the subject: of (server, reference), or of an identifier that stands alone.

    An identifier under an OID is the same patient as HL7v2's under that universal id (PID-3, CX-4), and one under a
    system of the setting `fhir_identifier_systems` that of the authority there. A contained resource that names nobody
    is about whom its container is about.
    """
    name = "patient" if entry.type == "AllergyIntolerance" else "subject"
    subject = child(entry.resource, name)
    if subject is None and entry.container is not None:
        return patient_of(entry.container, document, intake)
    return patient_named(subject, entry, document, intake)


def patient_named(reference: object, entry: Entry, document: Document, intake: Intake) -> PatientId | None:
    """Return the pseudonym of the patient that a reference names: by place, by identifier, or by a search for one."""
    place = document.place_of(reference, entry)
    if place is not None:
        return patient_at(place, intake) if place.type in {"Patient", ""} else None
    text = text_of(child(reference, "reference"))
    if conditional := _CONDITIONAL.fullmatch(text):
        return intake.pseudonyms.patient(intake.authority_of(conditional[1]), conditional[2])
    identifier = child(reference, "identifier")
    value = text_of(child(identifier, "value"))
    if value and not text:
        return intake.pseudonyms.patient(intake.authority_of(text_of(child(identifier, "system"))), value)
    return None


def patient_at(place: Place, intake: Intake) -> PatientId:
    """Return the pseudonym of the patient that lives at a place."""
    return intake.pseudonyms.patient(place.server, f"Patient/{place.id}")


def version_of(  # noqa: PLR0913 - whose, of what, in which rank
    entry: Entry,
    patient: PatientId,
    context: ResourceContext,
    status: Status,
    *,
    weak: tuple[str, ...],
    part: str = "",
    issued_at: int = 0,
) -> Version:
    """Return the version of one fact of a resource: (server, type, id, part), or `weak` where it has no id."""
    place = entry.place
    identity = (place.server, place.type, place.id) if place.id else ("weak", patient, *weak)
    return Version(
        patient=patient,
        key=context.intake.pseudonyms.fact("fhir", *identity, part),
        status=status,
        source_version=source_version(entry.resource) if context.deleted_at is None else context.deleted_at,
        issued_at=issued_at,
    )


def tell(  # noqa: PLR0913 - what a fact is made of
    content: Content | HoldCode,
    moment: Moment | HoldCode,
    version: Version,
    path: str,
    said: Iterable[str],
    context: ResourceContext,
    outcome: Outcome,
    doubt: HoldCode | None = None,
) -> None:
    """Add the event of one fact; what is not believed is held, with the digest of what was said.

    A `doubt` holds what else would be believed.
    """
    envelope = context.envelope
    if isinstance(content, Retracted):
        when = moment if isinstance(moment, Moment) else at_arrival(envelope)
        outcome.events.append(arrive(version, content, when, envelope, path))
        return
    why = _why_held(content, moment, context)
    is_timely = why is None and isinstance(moment, Moment)
    if is_timely and doubt is None and not isinstance(content, HoldCode) and isinstance(moment, Moment):
        outcome.events.append(arrive(version, content, moment, envelope, path))
        return
    code = doubt or why or HoldCode.UNREADABLE_TIME
    digest = digest_of("\x1f".join(said).encode(errors="surrogatepass"))
    outcome.holds.append(Hold(code, path, digest))
    # Where the time or the words around a drug alone are in doubt, what was read waits for the person who settles it.
    is_read = code in TIME_HOLDS or (code in READ_HOLDS and is_timely)
    read = content if is_read and isinstance(content, Finding | Exposure | Report) else None
    stands = moment if is_timely and isinstance(moment, Moment) else at_arrival(envelope)
    outcome.events.append(arrive(version, Held(code, digest, said=read), stands, envelope, path))


def _why_held(
    content: Content | HoldCode, moment: Moment | HoldCode, context: ResourceContext
) -> HoldCode | None:
    if isinstance(content, HoldCode):
        return content
    if isinstance(moment, HoldCode):
        return moment
    return why_held(content, moment.interval, context.envelope.received_at, context.intake.rulebook)


def at_arrival(envelope: Envelope) -> Moment:
    """Return the moment at which a message counts as received."""
    return Moment(exactly(envelope.received_at), None)


def when(resource: Resource, name: str, context: ResourceContext) -> Moment | HoldCode:
    """Return a time of the type `name[x]` as a moment; an open period ends at the latest when it was received."""
    offset = context.intake.utc_offset_minutes
    for kind in ("DateTime", "Instant", "Date"):
        if resource.get(f"{name}{kind}") is not None:
            return fhir_moment(resource[f"{name}{kind}"], offset)
    if any(resource.get(f"{name}{kind}") is not None for kind in ("Timing", "Age", "Range", "String")):
        return HoldCode.UNREADABLE_TIME
    period = resource.get(f"{name}Period")
    start = fhir_moment(child(period, "start"), offset)
    if isinstance(start, HoldCode):
        return start
    end = fhir_moment(child(period, "end"), offset)
    if end is HoldCode.MISSING_TIME:
        latest = max(start.interval.latest, context.envelope.received_at)
        return Moment(Interval(start.interval.earliest, latest), start.utc_offset_minutes)
    return end if isinstance(end, HoldCode) else span(start, end)


def first_known(moments: Iterable[Moment | HoldCode]) -> Moment | HoldCode:
    """Return the first time that is stated, readable or not."""
    return next((moment for moment in moments if moment is not HoldCode.MISSING_TIME), HoldCode.MISSING_TIME)


def _first_stamp(stamps: Iterable[object]) -> Instant | None:
    instants = (stamp(fhir_moment(text, None)) for text in stamps)
    return next((instant for instant in instants if instant is not None), None)


def _stamps(entry: Entry, document: Document, reports: dict[Place, Entry]) -> Iterator[object]:
    """Yield the sender's own time stamps; the first that is there counts."""
    report, holder = reports.get(entry.place), entry if entry.container is None else entry.container
    yield document.bundle.get("timestamp")
    for each in (entry, holder) if report is None else (entry, holder, report):
        yield each.resource.get("issued")
    for each in (entry, holder) if report is None else (entry, holder, report):
        yield child(each.resource.get("meta"), "lastUpdated")
    yield child(document.bundle.get("meta"), "lastUpdated")


def _stamps_of_deletion(entry: Entry, document: Document) -> Iterator[object]:
    yield document.bundle.get("timestamp")
    yield child(entry.wrapper.get("response"), "lastModified")
    yield child(document.bundle.get("meta"), "lastUpdated")
