"""Identity events as they stand in the log: which patient records are one person's, and what they hand to each other.

The facts of a transfer are whole events of their own, each under the patient id under which it first arrived, so that
they are checked like any other. What was told travels in the form in which patient states keep it.
"""

from collections.abc import Sequence
from typing import Any, Final

from pv_stream.codec.event_models import (
    AbsorbedEvent,
    AbsorbsEvent,
    ReceivedEvent,
    SeparatedEvent,
    SourceModel,
)
from pv_stream.codec.state import published_value, read_published
from pv_stream.domain.codes import TransferKind
from pv_stream.domain.events import (
    Absorbed,
    Absorbs,
    AlertActed,
    FactArrived,
    IdentityEvent,
    Received,
    Separated,
    Transferred,
)
from pv_stream.domain.facts import Provenance
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import format_instant, parse_instant

_IDENTITY_EVENTS: Final = (Absorbed, Absorbs, Separated, Transferred, Received)


def read_identity(model: Any, facts: tuple[FactArrived, ...], action: AlertActed | None) -> IdentityEvent:
    """Return the event of a model; `facts` and `action` are those of a transfer, read before.

    Raises ValueError for a transfer that is none.
    """
    patient_id = PatientId(model.patient_id)
    match model:
        case AbsorbedEvent():
            return Absorbed(patient_id, PatientId(model.survivor), _provenance(model))
        case AbsorbsEvent():
            return Absorbs(patient_id, PatientId(model.prior), _provenance(model))
        case SeparatedEvent():
            path = tuple(map(PatientId, model.path))
            return Separated(patient_id, PatientId(model.prior), _provenance(model), path)
        case ReceivedEvent():
            return Received(patient_id, PatientId(model.taker), model.kind, parse_instant(model.received_at))
        case _:
            return _transferred(model, facts, action)


def _transferred(model: Any, facts: tuple[FactArrived, ...], action: AlertActed | None) -> Transferred:
    is_record = model.kind is TransferKind.RECORD
    if model.chunk > model.chunks or (is_record and len(facts) + (action is not None) != 1):
        msg = "not a chunk of its transfer, or not one record"
        raise ValueError(msg)
    return Transferred(
        patient_id=PatientId(model.patient_id),
        path=tuple(map(PatientId, model.path)),
        kind=model.kind,
        received_at=parse_instant(model.received_at),
        facts=facts,
        action=action,
        absorbed=tuple(sorted((PatientId(pair.prior), PatientId(pair.into)) for pair in model.absorbed)),
        told=None if model.told is None else read_published(model.told),
        chunk=model.chunk,
        chunks=model.chunks,
    )


def _provenance(model: Any) -> Provenance:
    source: SourceModel = model.source
    return Provenance(parse_instant(model.received_at), source.message_digest, source.path, source.format)


def identity_value(event: IdentityEvent, facts: Sequence[object], action: object) -> dict[str, object]:
    """Return the fields of an identity event; `facts` and `action` are the values of those of a transfer."""
    value: dict[str, object] = {
        "schema_version": 1,
        "patient_id": event.patient_id,
        "received_at": format_instant(event.received_at),
    }
    match event:
        case Absorbed():
            return (
                value | {"type": "identity.absorbed", "survivor": event.survivor} | _source(event.provenance)
            )
        case Absorbs():
            return value | {"type": "identity.absorbs", "prior": event.prior} | _source(event.provenance)
        case Separated():
            said = {"type": "identity.separated", "prior": event.prior, "path": event.path}
            return value | said | _source(event.provenance)
        case Received():
            return value | {"type": "identity.received", "taker": event.taker, "kind": event.kind}
        case Transferred():
            return value | {
                "type": "identity.transferred",
                "path": event.path,
                "kind": event.kind,
                "facts": facts,
                "action": action,
                "absorbed": [{"prior": prior, "into": into} for prior, into in event.absorbed],
                "told": None if event.told is None else published_value(event.told),
                "chunk": event.chunk,
                "chunks": event.chunks,
            }


def _source(provenance: Provenance) -> dict[str, object]:
    return {
        "source": {
            "format": provenance.format,
            "message_digest": provenance.message_digest,
            "path": provenance.path,
        }
    }
