"""Events: the records of the one input log, decoded.

Everything that influences an output is one of these (law 2). A `FactArrived` carries one fact version for one
patient; a `ClockTicked` moves the shard's clock. Later issues add alert actions, activations and identity events.
"""

from dataclasses import dataclass

from pv_stream.domain.facts import FactVersion
from pv_stream.domain.ids import PatientId
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
class ClockTicked:
    """Say that the owner of the shard saw this instant."""

    instant: Instant


Event = FactArrived | ClockTicked
