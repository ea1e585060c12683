"""Events: the records of the one input log, decoded.

Everything that influences an output is one of these (law 2). A `FactArrived` carries one fact version for one
patient, an `AlertActed` what a person did about an alert of a patient; a `ClockTicked` moves the shard's clock. The
identity events say which patient records are of one person; `Transferred` and `Received` are what shards write to
each other about it.
"""

from dataclasses import dataclass

from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import ActionKind, TransferKind
from pv_stream.domain.facts import FactVersion, Provenance
from pv_stream.domain.ids import ActionId, AlertId, PatientId
from pv_stream.domain.often_built import often_built
from pv_stream.domain.published import Published
from pv_stream.domain.times import Instant


@often_built
@dataclass(frozen=True, slots=True)
class FactArrived:
    """Say that a fact version about a patient was received at an instant stamped by ingest."""

    patient_id: PatientId
    version: FactVersion

    @property
    def received_at(self) -> Instant:
        """Return the instant that ingest stamped on the event."""
        return self.version.provenance.received_at


@dataclass(frozen=True, slots=True)
class AlertActed:
    """Say that a person acted on an alert, and which tier and revision of it that person saw.

    `actor` is a pseudonym. `reason` is a code of the pick list as sent; the engine refuses one that it does not know.
    `drugs` are the culprits that a confirmation names.
    """

    patient_id: PatientId
    action_id: ActionId
    alert_id: AlertId
    action: ActionKind
    reason: str | None
    drugs: tuple[str, ...]
    actor: str
    seen_tier: Tier
    seen_revision: int
    received_at: Instant


@dataclass(frozen=True, slots=True)
class Absorbed:
    """Say to a patient record (the prior) that it was merged into another: it becomes a stub that forwards."""

    patient_id: PatientId
    survivor: PatientId
    provenance: Provenance

    @property
    def received_at(self) -> Instant:
        """Return the instant that ingest stamped on the event."""
        return self.provenance.received_at


@dataclass(frozen=True, slots=True)
class Absorbs:
    """Say to a patient record (the survivor) that another was merged into it: a transfer will come."""

    patient_id: PatientId
    prior: PatientId
    provenance: Provenance

    @property
    def received_at(self) -> Instant:
        """Return the instant that ingest stamped on the event."""
        return self.provenance.received_at


@dataclass(frozen=True, slots=True)
class Separated:
    """Say to a survivor that a merge was a mistake: it gives back what came from the prior.

    `path` are the records that passed it on, since they had themselves been merged into another.
    """

    patient_id: PatientId
    prior: PatientId
    provenance: Provenance
    path: tuple[PatientId, ...] = ()

    @property
    def received_at(self) -> Instant:
        """Return the instant that ingest stamped on the event."""
        return self.provenance.received_at


@dataclass(frozen=True, slots=True)
class Transferred:
    """Carry what one patient record hands to another, one chunk of it, written by the shard of the giver.

    `path` names the records that it passed, the giver first. Each of `facts` stands under the patient id under which
    it first arrived, and so does `action`. `absorbed` is the tree of merges (prior, into) that comes along; `told`
    comes with the last chunk.
    """

    patient_id: PatientId
    path: tuple[PatientId, ...]
    kind: TransferKind
    received_at: Instant
    facts: tuple[FactArrived, ...] = ()
    action: AlertActed | None = None
    absorbed: tuple[tuple[PatientId, PatientId], ...] = ()
    told: Published | None = None
    chunk: int = 1
    chunks: int = 1

    @property
    def is_last(self) -> bool:
        """Tell whether nothing of this transfer is still to come."""
        return self.chunk == self.chunks


@dataclass(frozen=True, slots=True)
class Received:
    """Say to the giver that another record has taken a transfer and tells of it: only now the giver may fall silent."""

    patient_id: PatientId
    taker: PatientId
    kind: TransferKind
    received_at: Instant


@dataclass(frozen=True, slots=True)
class RulebookActivated:
    """Say that from here on the shard is read under a rulebook, by an engine of this version.

    `rulebook_digest` is SHA-256 over the bytes of the rulebook's file.
    """

    engine_version: int
    rulebook_digest: str


@dataclass(frozen=True, slots=True)
class ClockTicked:
    """Say that the owner of the shard saw this instant."""

    instant: Instant


IdentityEvent = Absorbed | Absorbs | Separated | Transferred | Received
Event = FactArrived | AlertActed | IdentityEvent | ClockTicked | RulebookActivated
