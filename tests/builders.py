"""Builders of events, facts and timelines for tests: one line for each thing that happened to a patient.

Days count from 2026-01-01 (day 0), hours are UTC. What is not said is ordinary: final, believed, received at once.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from pv_stream.domain.assessment import Assessment, EpisodeAssessment
from pv_stream.domain.codes import (
    Analyte,
    Comparator,
    DrugRole,
    ExposureKind,
    FindingCode,
    HoldCode,
    Presence,
    RechallengeOutcome,
    ReportedReaction,
    ReportOutcome,
    ReviewReason,
    Route,
    Status,
)
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import (
    Content,
    Exposure,
    Fact,
    FactVersion,
    Finding,
    Held,
    Measurement,
    Provenance,
    Report,
    ReportedDrug,
    Retracted,
    Review,
    Statement,
    VersionOrder,
)
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.times import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MINUTE,
    Instant,
    Interval,
    exactly,
    parse_instant,
)
from pv_stream.engine.assess import assess
from pv_stream.engine.join import join
from pv_stream.rulebooks import load_default
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.timeline import Timeline, build_timeline

RULEBOOK: Final = load_default()
PATIENT: Final = PatientId("patient-1")
DAY_ZERO: Final = parse_instant("2026-01-01T00:00:00Z")


def at(day: int, hour: int = 8, minute: int = 0) -> Instant:
    """Return an instant by day, hour and minute."""
    return Instant(
        DAY_ZERO
        + day * MICROSECONDS_PER_DAY
        + hour * MICROSECONDS_PER_HOUR
        + minute * MICROSECONDS_PER_MINUTE
    )


def sha256(text: str) -> str:
    """Return a digest as events carry it."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def event(
    content: Content,
    when: Instant | Interval,
    *,
    key: str | None = None,
    status: Status = Status.FINAL,
    source_version: int = 0,
    issued_at: int = 0,
    received_at: Instant | None = None,
    offset: int | None = 0,
    patient: str = PATIENT,
    message: str | None = None,
) -> FactArrived:
    """Return an event that carries one content; the key follows from what it is and when."""
    effective = when if isinstance(when, Interval) else exactly(when)
    fact_key = _key(content, effective) if key is None else key
    return FactArrived(
        PatientId(patient),
        FactVersion(
            FactKey(fact_key),
            VersionOrder(source_version, status, issued_at=issued_at),
            Statement(content, effective, offset),
            Provenance(
                effective.latest if received_at is None else received_at,
                sha256(message or f"{fact_key}/{source_version}/{status}/{issued_at}"),
                "OBX[1]",
                "hl7v2",
            ),
        ),
    )


def _key(content: Content, effective: Interval) -> str:
    match content:
        case Measurement():
            name = f"lab:{content.analyte}"
        case Finding():
            name = f"finding:{content.code}"
        case Exposure():
            what = "stop" if content.is_stop else content.kind.value
            name = f"drug:{'.'.join(content.ingredients)}:{what}"
        case Report():
            name = f"report:{content.reaction}"
        case Held():
            name = f"held:{content.code}"
        case _:
            name = "retracted"
    return f"{name}:{effective.earliest}"


# What may happen ------------------------------------------------------------------------------------------------


def measured(
    analyte: Analyte,
    value: str | int,
    when: Instant | Interval,
    *,
    comparator: Comparator | None = None,
    specimen: str | None = None,
    key: str | None = None,
) -> FactArrived:
    """Return a measured value in the unit of its analyte."""
    content = Measurement(analyte, Decimal(value), comparator, specimen)
    return event(content, when, key=key)


def eosinophils(
    value: str | int,
    when: Instant,
    *,
    comparator: Comparator | None = None,
    specimen: str | None = None,
) -> FactArrived:
    """Return an absolute eosinophil count per microlitre."""
    return measured(Analyte.EOSINOPHILS, value, when, comparator=comparator, specimen=specimen)


def percent(
    value: str | int,
    when: Instant,
    *,
    comparator: Comparator | None = None,
    specimen: str | None = None,
) -> FactArrived:
    """Return a percentage of eosinophils."""
    return measured(
        Analyte.EOSINOPHILS_PERCENT,
        value,
        when,
        comparator=comparator,
        specimen=specimen,
    )


def leukocytes(
    value: str | int,
    when: Instant,
    *,
    comparator: Comparator | None = None,
    specimen: str | None = None,
) -> FactArrived:
    """Return a leukocyte count per microlitre."""
    return measured(Analyte.LEUKOCYTES, value, when, comparator=comparator, specimen=specimen)


def temperature(value: str, when: Instant | Interval, *, comparator: Comparator | None = None) -> FactArrived:
    """Return a body temperature in degrees Celsius."""
    return measured(Analyte.BODY_TEMPERATURE, value, when, comparator=comparator)


def alt(value: str | int, when: Instant, *, comparator: Comparator | None = None) -> FactArrived:
    """Return an ALT in U/L."""
    return measured(Analyte.ALT, value, when, comparator=comparator)


def creatinine(value: str, when: Instant, *, comparator: Comparator | None = None) -> FactArrived:
    """Return a creatinine in mg/dL."""
    return measured(Analyte.CREATININE, value, when, comparator=comparator)


def present(
    code: FindingCode,
    when: Instant | Interval,
    *,
    surface: int | str | None = None,
    sites: int | None = None,
    size_cm: str | None = None,
    key: str | None = None,
) -> FactArrived:
    """Return a finding that was documented as present."""
    finding = Finding(
        code,
        Presence.PRESENT,
        None if surface is None else Decimal(surface),
        sites,
        None if size_cm is None else Decimal(size_cm),
    )
    return event(finding, when, key=key)


def absent(code: FindingCode, when: Instant, *, key: str | None = None) -> FactArrived:
    """Return a finding that was documented as absent."""
    return event(Finding(code, Presence.ABSENT), when, key=key)


def dose(
    drug: str,
    when: Instant | Interval,
    *,
    route: Route = Route.ORAL,
    end: Instant | None = None,
) -> FactArrived:
    """Return an administration."""
    return exposed(ExposureKind.ADMINISTRATION, drug, when, route=route, end=end)


def order(drug: str, when: Instant, *, end: Instant | None = None) -> FactArrived:
    """Return an order."""
    return exposed(ExposureKind.ORDER, drug, when, end=end)


def statement(drug: str, when: Instant, *, end: Instant | None = None) -> FactArrived:
    """Return a statement that the patient takes a drug, on and on unless it has an end."""
    return exposed(ExposureKind.STATEMENT, drug, when, end=end)


def stop(drug: str, when: Instant) -> FactArrived:
    """Return the discontinuation of an order."""
    return event(Exposure(ExposureKind.ORDER, (drug,), Route.ORAL, is_stop=True), when)


def exposed(
    kind: ExposureKind,
    drug: str,
    when: Instant | Interval,
    *,
    route: Route = Route.ORAL,
    end: Instant | None = None,
) -> FactArrived:
    """Return one exposure of any kind; ingredients of a combination are joined by a slash."""
    until = None if end is None else exactly(end)
    return event(Exposure(kind, tuple(drug.split("/")), route, until), when)


def held(code: HoldCode, when: Instant, *, value: str = "held") -> FactArrived:
    """Return a value that is not believed."""
    return event(Held(code, sha256(value), Analyte.EOSINOPHILS), when)


def drug_in_doubt(
    drug: str,
    when: Instant,
    *,
    code: HoldCode = HoldCode.DRUG_NOT_READ_WHOLE,
    route: Route = Route.ORAL,
    kind: ExposureKind = ExposureKind.ORDER,
) -> FactArrived:
    """Return a record of a drug that may be this one, or another."""
    return event(Held(code, sha256(drug), said=Exposure(kind, (drug,), route)), when)


def reported(
    when: Instant | Interval,
    *suspects: str,
    reaction: ReportedReaction = ReportedReaction.DRESS,
    serious: bool | None = None,
    role: DrugRole = DrugRole.SUSPECT,
    rechallenge: RechallengeOutcome = RechallengeOutcome.OUTCOME_UNKNOWN,
) -> FactArrived:
    """Return an adverse event report whose onset was then, of DRESS unless said; `suspects` have the one role."""
    drugs = tuple(ReportedDrug(name, role, rechallenge) for name in sorted(suspects))
    return event(Report(reaction, serious, ReportOutcome.UNKNOWN, drugs), when)


# Later versions and other envelopes ---------------------------------------------------------------------------


def with_status(original: FactArrived, status: Status) -> FactArrived:
    """Return an event under another result status."""
    version = original.version
    order_of = replace(version.order, status=status)
    return replace(original, version=replace(version, order=order_of))


def corrected(original: FactArrived, content: Content, *, received_at: Instant | None = None) -> FactArrived:
    """Return the correction of an event: the same key with another content."""
    return _replaced(original, content, Status.CORRECTED, received_at)


def retracted(original: FactArrived, *, received_at: Instant | None = None) -> FactArrived:
    """Return the retraction of an event."""
    return _replaced(original, Retracted(), Status.RETRACTED, received_at)


def reviewed(
    original: FactArrived,
    content: Content,
    *,
    received_at: Instant | None = None,
    actor: str = "actor_1",
    even_if_implausible: bool = False,
) -> FactArrived:
    """Return a person's decision on a held value: a confirmed content, or `Retracted()` when it was discarded."""
    decided = _replaced(original, content, original.version.order.status, received_at).version
    is_discarded = isinstance(content, Retracted)
    reason = ReviewReason.CANNOT_BE_VERIFIED if is_discarded else ReviewReason.CHECKED_IN_SOURCE
    review = Review(actor, reason, even_if_implausible)
    order_of = replace(original.version.order, reviewed_at=decided.provenance.received_at)
    provenance = replace(decided.provenance, review=review)
    return replace(original, version=replace(decided, order=order_of, provenance=provenance))


def _replaced(
    original: FactArrived,
    content: Content,
    status: Status,
    received_at: Instant | None,
) -> FactArrived:
    old = original.version
    return event(
        content,
        old.statement.effective,
        key=old.key,
        status=status,
        source_version=old.order.source_version,
        received_at=received_at or original.received_at,
        offset=old.statement.utc_offset_minutes,
        patient=original.patient_id,
    )


def with_patient(original: FactArrived, patient: str) -> FactArrived:
    """Return an event about another patient record."""
    return replace(original, patient_id=PatientId(patient))


def resent(original: FactArrived, *, received_at: Instant) -> FactArrived:
    """Return the same content in another message."""
    version = original.version
    envelope = replace(
        version.provenance,
        received_at=received_at,
        message_digest=sha256(f"{version.key}/{received_at}"),
    )
    return replace(original, version=replace(version, provenance=envelope))


# From events to meaning -----------------------------------------------------------------------------------------


def facts_of(events: Iterable[FactArrived]) -> dict[FactKey, Fact]:
    """Join events into facts, in their order."""
    facts: dict[FactKey, Fact] = {}
    for arrived in events:
        joined = join(facts, arrived.version)
        if joined is not None:
            facts[arrived.version.key] = joined
    return facts


def timeline_of(*events: FactArrived, rulebook: Rulebook = RULEBOOK) -> Timeline:
    """Arrange events for the rules."""
    return build_timeline(facts_of(events), rulebook)


def assessed(*events: FactArrived, rulebook: Rulebook = RULEBOOK) -> Assessment:
    """Assess the facts of events."""
    return assess(facts_of(events), rulebook)


def only_episode(*events: FactArrived) -> EpisodeAssessment:
    """Assess events that make exactly one episode."""
    (episode,) = assessed(*events).episodes
    return episode


def levels_of(episode: EpisodeAssessment) -> Mapping[str, tuple[str, ...]]:
    """Return the levels still possible of each scored item."""
    return {item.item: item.levels for item in episode.score.items}
