"""Canonical events: the one shape in which everything enters `pv.clinical.events.v1`.

The pydantic models here are the contract (schemas/clinical-event.v1.json is generated from them). `decode_event`
never raises on bad bytes: it returns a `Rejection` with a code, and pydantic's own error text, which echoes input,
is never read. `encode_event` writes the canonical form of a domain event; decoding that gives the event back.
"""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pv_stream.codec.canonical import canonical_json, decimal_text
from pv_stream.domain.codes import (
    Analyte,
    Comparator,
    DeadLetterCode,
    EvidenceFlag,
    ExposureKind,
    FindingCode,
    HoldCode,
    Presence,
    Route,
    Status,
)
from pv_stream.domain.events import ClockTicked, Event, FactArrived
from pv_stream.domain.facts import (
    AsSent,
    Content,
    Exposure,
    FactVersion,
    Finding,
    Held,
    Measurement,
    Provenance,
    Retracted,
    Statement,
    VersionOrder,
)
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.times import (
    UTC_OFFSET_MINUTES_MAX,
    UTC_OFFSET_MINUTES_MIN,
    Instant,
    Interval,
    format_instant,
    parse_instant,
)

#: The largest record that the log takes, in bytes (design: record_bytes_max, 1 MiB).
RECORD_BYTES_MAX: Final = 1_048_576

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,79}$")]
Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9µμ%°/{}\[\]()*^.<>=+_:-]{1,40}$")]
InstantText = Annotated[
    str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$")
]
DecimalText = Annotated[str, Field(pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,9})?$")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
SourcePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\[\]/^-]{1,120}$")]
Ingredient = Annotated[str, Field(pattern=r"^[a-z][a-z0-9 -]{1,60}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, strict=True)


class IntervalModel(_Model):
    """The earliest and the latest instant at which something may have happened, in UTC."""

    earliest: InstantText
    latest: InstantText


class SourceModel(_Model):
    """Where the statement came from: the digest of the message and the path inside it."""

    format: Literal["hl7v2", "fhir_r4", "canonical"]
    message_digest: Digest
    path: SourcePath


class AsSentModel(_Model):
    """The code, value and unit as the sender wrote them: vetted tokens only."""

    system: Token
    code: Token
    value: Token | None = None
    unit: Token | None = None


class ObservationModel(_Model):
    """One measured value in the unit of its analyte."""

    analyte: Annotated[Analyte, Field(strict=False)]
    value: DecimalText
    comparator: Annotated[Comparator | None, Field(strict=False)] = None
    specimen: Identifier | None = None
    as_sent: AsSentModel | None = None
    flags: list[Annotated[EvidenceFlag, Field(strict=False)]] = []


class FindingModel(_Model):
    """One finding documented as present or absent."""

    code: Annotated[FindingCode, Field(strict=False)]
    presence: Annotated[Presence, Field(strict=False)]
    body_surface_percent: DecimalText | None = None
    sites: Annotated[int, Field(ge=0, le=99)] | None = None
    size_cm: DecimalText | None = None


class ExposureModel(_Model):
    """One order, dispense, statement or administration of a drug."""

    kind: Annotated[ExposureKind, Field(strict=False)]
    ingredients: list[Ingredient] = Field(max_length=8)
    route: Annotated[Route, Field(strict=False)] = Route.UNKNOWN
    end: IntervalModel | None = None
    is_stop: bool = False
    as_sent: AsSentModel | None = None
    flags: list[Annotated[EvidenceFlag, Field(strict=False)]] = []


class HeldModel(_Model):
    """Why a value is held: a code and the digest of what was sent."""

    code: Annotated[HoldCode, Field(strict=False)]
    value_digest: Digest
    analyte: Annotated[Analyte | None, Field(strict=False)] = None


class _FactEvent(_Model):
    schema_version: Literal[1]
    patient_id: Identifier
    fact_key: Identifier
    status: Literal["preliminary", "final", "corrected", "retracted", "reviewed"]
    source_version: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    issued_at: InstantText | None = None
    effective: IntervalModel
    utc_offset_minutes: Annotated[int, Field(ge=UTC_OFFSET_MINUTES_MIN, le=UTC_OFFSET_MINUTES_MAX)] | None = (
        None
    )
    received_at: InstantText
    source: SourceModel


class ObservationEvent(_FactEvent):
    """A measured value."""

    type: Literal["observation"]
    observation: ObservationModel


class FindingEvent(_FactEvent):
    """A documented clinical finding."""

    type: Literal["finding"]
    finding: FindingModel


class ExposureEvent(_FactEvent):
    """A drug ordered, dispensed, stated or administered."""

    type: Literal["exposure"]
    exposure: ExposureModel


class HeldEvent(_FactEvent):
    """An observation that was read but is not believed."""

    type: Literal["observation.held"]
    held: HeldModel


class HoldResolvedEvent(_FactEvent):
    """A person's decision on a held value: the confirmed observation, or discarded when it is null."""

    type: Literal["hold.resolved"]
    resolution: ObservationModel | None


class RetractionEvent(_FactEvent):
    """A statement taken back by its source; it may arrive before what it retracts."""

    type: Literal["retraction"]


class ClockEvent(_Model):
    """The shard's clock, written by the shard's owner."""

    schema_version: Literal[1]
    type: Literal["clock"]
    instant: InstantText


ClinicalEvent = Annotated[
    ObservationEvent
    | FindingEvent
    | ExposureEvent
    | HeldEvent
    | HoldResolvedEvent
    | RetractionEvent
    | ClockEvent,
    Field(discriminator="type"),
]
CLINICAL_EVENT: Final[TypeAdapter[Any]] = TypeAdapter(ClinicalEvent)
EVENT_TYPES: Final = (
    "observation",
    "finding",
    "exposure",
    "observation.held",
    "hold.resolved",
    "retraction",
    "clock",
)

_STATUS_NAMES: Final = {status: status.name.lower() for status in Status}
_STATUS_OF: Final = {name: status for status, name in _STATUS_NAMES.items()}


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
        return _to_domain(model)
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


def _to_domain(model: Any) -> Event:
    if isinstance(model, ClockEvent):
        return ClockTicked(parse_instant(model.instant))
    content = _content(model)
    status = Status.RETRACTED if isinstance(content, Retracted) else _STATUS_OF[model.status]
    if isinstance(model, HoldResolvedEvent):
        status = Status.REVIEWED
    return FactArrived(
        patient_id=PatientId(model.patient_id),
        version=FactVersion(
            key=FactKey(model.fact_key),
            order=VersionOrder(
                source_version=model.source_version,
                status=status,
                issued_at=0 if model.issued_at is None else parse_instant(model.issued_at),
            ),
            statement=Statement(content, _interval(model.effective), model.utc_offset_minutes),
            provenance=Provenance(
                received_at=parse_instant(model.received_at),
                message_digest=model.source.message_digest,
                path=model.source.path,
                format=model.source.format,
            ),
        ),
    )


def _content(model: Any) -> Content:
    match model:
        case RetractionEvent():
            return Retracted()
        case _ if model.status == "retracted":
            return Retracted()
        case ObservationEvent():
            return _measurement(model.observation)
        case HoldResolvedEvent():
            return Retracted() if model.resolution is None else _measurement(model.resolution)
        case FindingEvent():
            return _finding(model.finding)
        case ExposureEvent():
            return _exposure(model.exposure)
        case _:
            held: HeldModel = model.held
            return Held(held.code, held.value_digest, held.analyte)


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
        body_surface_percent=None
        if model.body_surface_percent is None
        else _decimal(model.body_surface_percent),
        sites=model.sites,
        size_cm=None if model.size_cm is None else _decimal(model.size_cm),
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
    )


def _decimal(text: str) -> Decimal:
    """Read a decimal so that 1690 and 1690.0 are the same content, to the byte."""
    return Decimal(decimal_text(Decimal(text)))


def _as_sent(model: AsSentModel | None) -> AsSent | None:
    return None if model is None else AsSent(model.system, model.code, model.value, model.unit)


def _interval(model: IntervalModel) -> Interval:
    return Interval(parse_instant(model.earliest), parse_instant(model.latest))


def encode_event(event: Event) -> bytes:
    """Write the canonical bytes of an event."""
    if isinstance(event, ClockTicked):
        return canonical_json(
            {
                "schema_version": 1,
                "type": "clock",
                "instant": format_instant(event.instant),
            }
        )
    version = event.version
    statement, provenance = version.statement, version.provenance
    kind, body = _body(statement.content, version.order.status)
    return canonical_json(
        {
            "schema_version": 1,
            "type": kind,
            "patient_id": event.patient_id,
            "fact_key": version.key,
            "status": _STATUS_NAMES[version.order.status],
            "source_version": version.order.source_version,
            "issued_at": format_instant(Instant(version.order.issued_at))
            if version.order.issued_at
            else None,
            "effective": _interval_value(statement.effective),
            "utc_offset_minutes": statement.utc_offset_minutes,
            "received_at": format_instant(provenance.received_at),
            "source": {
                "format": provenance.format,
                "message_digest": provenance.message_digest,
                "path": provenance.path,
            },
            **body,
        }
    )


def _body(content: Content, status: Status) -> tuple[str, dict[str, object]]:
    reviewed = status is Status.REVIEWED
    match content:
        case Retracted():
            return ("hold.resolved", {"resolution": None}) if reviewed else ("retraction", {})
        case Measurement():
            return (
                ("hold.resolved", {"resolution": _measurement_value(content)})
                if reviewed
                else ("observation", {"observation": _measurement_value(content)})
            )
        case Finding():
            return "finding", {
                "finding": {
                    "code": content.code,
                    "presence": content.presence,
                    "body_surface_percent": _text(content.body_surface_percent),
                    "sites": content.sites,
                    "size_cm": _text(content.size_cm),
                }
            }
        case Exposure():
            return "exposure", {
                "exposure": {
                    "kind": content.kind,
                    "ingredients": content.ingredients,
                    "route": content.route,
                    "end": None if content.end is None else _interval_value(content.end),
                    "is_stop": content.is_stop,
                    "as_sent": content.as_sent,
                    "flags": content.flags,
                }
            }
        case Held():
            return "observation.held", {"held": content}


def _measurement_value(content: Measurement) -> dict[str, object]:
    return {
        "analyte": content.analyte,
        "value": decimal_text(content.value),
        "comparator": content.comparator,
        "specimen": content.specimen,
        "as_sent": content.as_sent,
        "flags": content.flags,
    }


def _interval_value(interval: Interval) -> dict[str, str]:
    return {
        "earliest": format_instant(interval.earliest),
        "latest": format_instant(interval.latest),
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)
