"""Canonical events: the one shape in which everything enters `pv.clinical.events.v1`.

The contract is `codec.event_models`. `decode_event` never raises on bad bytes: it returns a `Rejection` with a code,
and pydantic's own error text, which echoes input, is never read. `encode_event` writes the canonical form of a
domain event; decoding that gives the event back.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from pydantic import ValidationError

from pv_stream.codec.canonical import Shape, Written, canonical_json, decimal_text, text_json, value_json
from pv_stream.codec.event_models import (
    CLINICAL_EVENT,
    EVENT_TYPES,
    IDENTITY_EVENTS,
    ActivationEvent,
    AdverseEventReportEvent,
    AlertActionEvent,
    AsSentModel,
    ClockEvent,
    DoseModel,
    ExposureEvent,
    ExposureModel,
    FindingEvent,
    FindingModel,
    HeldEvent,
    HeldModel,
    HoldResolvedEvent,
    IntervalModel,
    ObservationEvent,
    ObservationModel,
    ReportModel,
    ResolutionModel,
    RetractionEvent,
    SaidModel,
    TransferredEvent,
)
from pv_stream.codec.identity import identity_value, read_identity
from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import DeadLetterCode, Status
from pv_stream.domain.events import (
    AlertActed,
    ClockTicked,
    Event,
    FactArrived,
    IdentityEvent,
    RulebookActivated,
    Transferred,
)
from pv_stream.domain.facts import (
    AsSent,
    Content,
    Dose,
    Exposure,
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
    in_order,
)
from pv_stream.domain.ids import ActionId, AlertId, FactKey, PatientId
from pv_stream.domain.times import Instant, Interval, format_instant, parse_instant

#: The largest record that the log takes, in bytes (design: record_bytes_max, 1 MiB).
RECORD_BYTES_MAX: Final = 1_048_576

_STATUS_NAMES: Final = {status: status.name.lower() for status in Status}
_STATUS_JSON: Final = {status: text_json(name) for status, name in _STATUS_NAMES.items()}
_STATUS_OF: Final = {name: status for status, name in _STATUS_NAMES.items()}
_TYPE_OF: Final[dict[type[Content], str]] = {
    Measurement: "observation",
    Finding: "finding",
    Exposure: "exposure",
    Report: "adverse_event_report",
    Held: "observation.held",
    Retracted: "retraction",
}
_COMMON: Final = (
    "schema_version",
    "patient_id",
    "fact_key",
    "source_version",
    "status",
    "issued_at",
    "effective",
    "utc_offset_minutes",
    "received_at",
    "source",
    "type",
)
_SENT: Final[dict[type[Content], Shape]] = {
    Measurement: Shape(*_COMMON, "observation"),
    Finding: Shape(*_COMMON, "finding"),
    Exposure: Shape(*_COMMON, "exposure"),
    Report: Shape(*_COMMON, "report"),
    Held: Shape(*_COMMON, "held"),
    Retracted: Shape(*_COMMON),
}
_RESOLVED: Final = Shape(*_COMMON, "resolution", "actor", "reason", "even_if_implausible")
_SOURCE: Final = Shape("format", "message_digest", "path")
_INTERVAL: Final = Shape("earliest", "latest")
_AS_SENT: Final = Shape("system", "code", "value", "unit")
_MEASUREMENT: Final = Shape("analyte", "value", "comparator", "specimen", "as_sent", "flags")


#: One message says a time several times, and messages of one minute say the same.
_instant: Final = lru_cache(maxsize=1024)(parse_instant)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Say why bytes are not an event."""

    code: DeadLetterCode


def decode_event(value: bytes | None, *, record_bytes_max: int = RECORD_BYTES_MAX) -> Event | Rejection:
    """Read one record of the input log, or say why it cannot be read."""
    if not value:
        return Rejection(DeadLetterCode.EMPTY)
    if len(value) > record_bytes_max:
        return Rejection(DeadLetterCode.TOO_LARGE)
    try:
        model = CLINICAL_EVENT.validate_json(value)
        return _READER_OF[type(model)](model)
    except (ValidationError, ValueError):
        return Rejection(_why(value))


def _why(value: bytes) -> DeadLetterCode:
    try:
        record = json.loads(value)
    except (ValueError, RecursionError):
        return DeadLetterCode.MALFORMED_JSON
    if not isinstance(record, dict):
        return DeadLetterCode.INVALID_EVENT
    if record.get("schema_version") != 1:
        return DeadLetterCode.UNSUPPORTED_VERSION
    if record.get("type") not in EVENT_TYPES:
        return DeadLetterCode.UNSUPPORTED_TYPE
    return DeadLetterCode.INVALID_EVENT


def _clock(model: ClockEvent) -> ClockTicked:
    return ClockTicked(_instant(model.instant))


def _activation(model: ActivationEvent) -> RulebookActivated:
    return RulebookActivated(model.engine_version, model.rulebook_digest)


def _identity(model: Any) -> IdentityEvent:
    if not isinstance(model, TransferredEvent):
        return read_identity(model, (), None)
    action = None if model.action is None else _alert_acted(model.action)
    return read_identity(model, tuple(map(_fact_arrived, model.facts)), action)


def _fact_arrived(model: Any) -> FactArrived:
    content, received_at = _content(model), _instant(model.received_at)
    review, reviewed_at, status = None, 0, _STATUS_OF[model.status]
    if type(model) is HoldResolvedEvent:
        # Of two decisions about one version the later counts.
        review, reviewed_at = Review(model.actor, model.reason, model.even_if_implausible), received_at
    elif isinstance(content, Retracted):
        status = Status.RETRACTED
    issued_at = 0 if model.issued_at is None else _instant(model.issued_at)
    order = VersionOrder(model.source_version, status, reviewed_at, issued_at)
    return FactArrived(
        patient_id=PatientId(model.patient_id),
        version=FactVersion(
            key=FactKey(model.fact_key),
            order=order,
            statement=Statement(content, _interval(model.effective), model.utc_offset_minutes),
            provenance=Provenance(
                received_at=received_at,
                message_digest=model.source.message_digest,
                path=model.source.path,
                format=model.source.format,
                review=review,
            ),
        ),
    )


def _alert_acted(model: AlertActionEvent) -> AlertActed:
    return AlertActed(
        patient_id=PatientId(model.patient_id),
        action_id=ActionId(model.action_id),
        alert_id=AlertId(model.alert_id),
        action=model.action,
        reason=model.reason,
        drugs=tuple(sorted(set(model.drugs))),
        actor=model.actor,
        seen_tier=Tier[model.seen_tier.upper()],
        seen_revision=model.seen_revision,
        received_at=_instant(model.received_at),
    )


def _content(model: Any) -> Content:
    if type(model) is HoldResolvedEvent:
        return _decided(model.resolution)
    if model.status == "retracted":
        return Retracted()
    return _CONTENT_OF[type(model)](model)


def _decided(model: ResolutionModel | None) -> Content:
    if model is None:
        return Retracted()
    return _said(model) if model.held is None else _held(model.held)


def _held(model: HeldModel) -> Held:
    said = None if model.said is None else _said(model.said)
    return Held(model.code, model.value_digest, model.analyte, model.specimen, said)


def _said(model: SaidModel) -> Measurement | Finding | Exposure | Report:
    if model.observation is not None:
        return _measurement(model.observation)
    if model.finding is not None:
        return _finding(model.finding)
    if model.exposure is not None:
        return _exposure(model.exposure)
    assert model.report is not None
    return _report(model.report)


def _measurement(model: ObservationModel) -> Measurement:
    return Measurement(
        analyte=model.analyte,
        value=_decimal(model.value),
        comparator=model.comparator,
        specimen=model.specimen,
        as_sent=_as_sent(model.as_sent),
        flags=tuple(sorted(model.flags)),
    )


def _finding(model: FindingModel) -> Finding:
    return Finding(
        code=model.code,
        presence=model.presence,
        body_surface_percent=_decimal_or_none(model.body_surface_percent),
        sites=model.sites,
        size_cm=_decimal_or_none(model.size_cm),
    )


def _exposure(model: ExposureModel) -> Exposure:
    return Exposure(
        kind=model.kind,
        ingredients=tuple(sorted(set(model.ingredients))),
        route=model.route,
        end=None if model.end is None else _interval(model.end),
        is_stop=model.is_stop,
        as_sent=_as_sent(model.as_sent),
        flags=tuple(sorted(model.flags)),
        dose=_dose(model.dose),
    )


def _dose(model: DoseModel | None) -> Dose | None:
    if model is None:
        return None
    return Dose(
        _decimal_or_none(model.amount_mg),
        _decimal_or_none(model.amount_mg_per_kg),
        _decimal_or_none(model.per_day),
    )


def _report(model: ReportModel) -> Report:
    drugs = (ReportedDrug(drug.ingredient, drug.role, drug.rechallenge) for drug in model.drugs)
    return Report(model.reaction, model.serious, model.outcome, in_order(drugs))


def _decimal_or_none(text: str | None) -> Decimal | None:
    return None if text is None else _decimal(text)


@lru_cache(maxsize=4096)
def _decimal(text: str) -> Decimal:
    """Read a decimal so that 1690 and 1690.0 are the same content, to the byte."""
    return Decimal(decimal_text(Decimal(text)))


def _as_sent(model: AsSentModel | None) -> AsSent | None:
    return None if model is None else AsSent(model.system, model.code, model.value, model.unit)


def _interval(model: IntervalModel) -> Interval:
    return Interval(_instant(model.earliest), _instant(model.latest))


#: What an event says, by its type: looked up, since asking pydantic's classes one after another takes longer than
#: all else here.
_CONTENT_OF: Final[dict[type, Callable[[Any], Content]]] = {
    ObservationEvent: lambda model: _measurement(model.observation),
    FindingEvent: lambda model: _finding(model.finding),
    ExposureEvent: lambda model: _exposure(model.exposure),
    AdverseEventReportEvent: lambda model: _report(model.report),
    HeldEvent: lambda model: _held(model.held),
    RetractionEvent: lambda _: Retracted(),
}
_READER_OF: Final[dict[type, Callable[[Any], Event]]] = {
    ClockEvent: _clock,
    ActivationEvent: _activation,
    AlertActionEvent: _alert_acted,
    HoldResolvedEvent: _fact_arrived,
    **dict.fromkeys(_CONTENT_OF, _fact_arrived),
    **dict.fromkeys(IDENTITY_EVENTS, _identity),
}


def encode_event(event: Event) -> bytes:
    """Write the canonical bytes of an event."""
    return canonical_json(_value(event))


def _value(event: Event) -> object:
    match event:
        case FactArrived():
            return _fact_value(event)
        case AlertActed():
            return _action_value(event)
        case ClockTicked():
            return {"schema_version": 1, "type": "clock", "instant": format_instant(event.instant)}
        case RulebookActivated():
            return {
                "schema_version": 1,
                "type": "control.activate",
                "engine_version": event.engine_version,
                "rulebook_digest": event.rulebook_digest,
            }
        case Transferred():
            action = None if event.action is None else _action_value(event.action)
            return identity_value(event, [_fact_value(fact) for fact in event.facts], action)
        case _:
            return identity_value(event, (), None)


def _fact_value(event: FactArrived) -> Written:
    version = event.version
    statement, provenance, order = version.statement, version.provenance, version.order
    content, review = statement.content, provenance.review
    body = {} if isinstance(content, Retracted) else _body(content)
    common = (
        "1",
        text_json(event.patient_id),
        text_json(version.key),
        value_json(order.source_version),
        _STATUS_JSON[order.status],
        _instant_json(Instant(order.issued_at)) if order.issued_at else "null",
        _interval_json(statement.effective),
        value_json(statement.utc_offset_minutes),
        _instant_json(provenance.received_at),
        _SOURCE.of(
            text_json(provenance.format), text_json(provenance.message_digest), text_json(provenance.path)
        ),
    )
    if review is None:
        kind = type(content)
        return Written(_SENT[kind].of(*common, text_json(_TYPE_OF[kind]), *map(value_json, body.values())))
    decided = (body or None, review.actor, review.reason, review.even_if_implausible)
    return Written(_RESOLVED.of(*common, '"hold.resolved"', *map(value_json, decided)))


def _action_value(event: AlertActed) -> dict[str, object]:
    return {
        "schema_version": 1,
        "type": "alert.action",
        "patient_id": event.patient_id,
        "action_id": event.action_id,
        "alert_id": event.alert_id,
        "action": event.action,
        "reason": event.reason,
        "drugs": event.drugs,
        "actor": event.actor,
        "seen_tier": event.seen_tier.name.lower(),
        "seen_revision": event.seen_revision,
        "received_at": format_instant(event.received_at),
    }


def _body(content: Measurement | Finding | Exposure | Report | Held) -> dict[str, object]:
    """Return the one field that says a content."""
    match content:
        case Measurement():
            return {"observation": _measurement_value(content)}
        case Finding():
            return {
                "finding": {
                    "code": content.code,
                    "presence": content.presence,
                    "body_surface_percent": _text(content.body_surface_percent),
                    "sites": content.sites,
                    "size_cm": _text(content.size_cm),
                }
            }
        case Exposure():
            return {
                "exposure": {
                    "kind": content.kind,
                    "ingredients": content.ingredients,
                    "route": content.route,
                    "end": None if content.end is None else _interval_value(content.end),
                    "is_stop": content.is_stop,
                    "as_sent": content.as_sent,
                    "flags": content.flags,
                    "dose": None if content.dose is None else _dose_value(content.dose),
                }
            }
        case Report():
            return {"report": content}
        case Held():
            return {"held": _held_value(content)}


def _held_value(content: Held) -> dict[str, object]:
    return {
        "code": content.code,
        "value_digest": content.value_digest,
        "analyte": content.analyte,
        "specimen": content.specimen,
        "said": None if content.said is None else _body(content.said),
    }


def _measurement_value(content: Measurement) -> Written:
    sent = content.as_sent
    return Written(
        _MEASUREMENT.of(
            text_json(content.analyte),
            text_json(decimal_text(content.value)),
            _text_json(content.comparator),
            _text_json(content.specimen),
            "null" if sent is None else _as_sent_json(sent),
            value_json(content.flags),
        )
    )


def _as_sent_json(sent: AsSent) -> str:
    return _AS_SENT.of(
        text_json(sent.system), text_json(sent.code), _text_json(sent.value), _text_json(sent.unit)
    )


def _text_json(text: str | None) -> str:
    return "null" if text is None else text_json(text)


def _dose_value(dose: Dose) -> dict[str, object]:
    return {
        "amount_mg": _text(dose.amount_mg),
        "amount_mg_per_kg": _text(dose.amount_mg_per_kg),
        "per_day": _text(dose.per_day),
    }


def _interval_value(interval: Interval) -> Written:
    return Written(_interval_json(interval))


def _interval_json(interval: Interval) -> str:
    return _INTERVAL.of(_instant_json(interval.earliest), _instant_json(interval.latest))


def _instant_json(instant: Instant) -> str:
    return f'"{format_instant(instant)}"'


def _text(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)
