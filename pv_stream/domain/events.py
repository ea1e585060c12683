"""Events: the records of the one input log, decoded.

Everything that influences an output is one of these (law 2). A `FactArrived` carries one fact version for one
patient, an `AlertActed` what a person did about an alert of a patient; a `ClockTicked` moves the shard's clock.
"""

from dataclasses import dataclass

from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import ActionKind
from pv_stream.domain.facts import FactVersion
from pv_stream.domain.ids import ActionId, AlertId, PatientId
from pv_stream.domain.times import Instant


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


Event = FactArrived | AlertActed | ClockTicked | RulebookActivated
