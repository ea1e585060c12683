"""What stands in a shard and waits for people: open alerts by tier, and values that are held.

Kept up to date patient by patient, so that asking costs nothing. It tells counts and instants, never a patient, and
no output depends on it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pv_stream.codec.state import StateOutline, decode_state
from pv_stream.domain.assessment import Tier
from pv_stream.domain.facts import Fact, Held
from pv_stream.domain.ids import PatientId
from pv_stream.domain.published import LIVE, PatientState, Published, Relevance
from pv_stream.domain.times import Instant
from pv_stream.engine.decisions import alert_lines


@dataclass(frozen=True, slots=True)
class Standing:
    """Count the open alerts by tier and by whether somebody took note of that tier, and the held values."""

    alerts: Mapping[tuple[Tier, bool], int]
    holds: int
    oldest_hold: Instant | None


@dataclass(frozen=True, slots=True)
class _OfPatient:
    alerts: tuple[tuple[Tier, bool], ...]
    held_since: tuple[Instant, ...]


class StandingCount:
    """Count what stands, with what each patient adds."""

    def __init__(self) -> None:
        """Begin without patients."""
        self._of: dict[PatientId, _OfPatient] = {}

    def put(self, patients: Iterable[tuple[PatientId, PatientState]]) -> None:
        """Take the new states of patients."""
        for patient_id, state in patients:
            held = state.facts.values() if Relevance.HELD in state.relevance else ()
            self._put(patient_id, state.published, held)

    def put_restored(self, patient_id: PatientId, said: StateOutline, record: bytes) -> None:
        """Take a patient's record as it was restored; its facts are read only where one is held."""
        held = decode_state(record).facts.values() if Relevance.HELD in said.relevance else ()
        self._put(patient_id, said.published, held)

    def _put(self, patient_id: PatientId, published: Published, facts: Iterable[Fact]) -> None:
        alerts = tuple(_open_alerts(published))
        held_since = tuple(since for fact in facts if (since := _held_since(fact)))
        if alerts or held_since:
            self._of[patient_id] = _OfPatient(alerts, held_since)
        else:
            self._of.pop(patient_id, None)

    def now(self) -> Standing:
        """Return what stands now."""
        alerts = Counter(alert for each in self._of.values() for alert in each.alerts)
        held_since = [instant for each in self._of.values() for instant in each.held_since]
        return Standing(alerts, len(held_since), min(held_since, default=None))


def _open_alerts(told: Published) -> Iterable[tuple[Tier, bool]]:
    if told.is_empty and told.incomplete is None:
        return
    noted = {each.alert_id: each.tier for each in told.acknowledgements}
    for alert_id, (_, line) in alert_lines(told).items():
        if line.status in LIVE:
            yield line.tier, alert_id in noted and noted[alert_id] >= line.tier


def _held_since(fact: Fact) -> Instant | None:
    received = [
        provenance.received_at
        for statement, provenance in fact.statements
        if isinstance(statement.content, Held)
    ]
    return min(received, default=None)
