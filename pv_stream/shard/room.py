"""Room: how large a patient's state is after an event, and whether that still fits (law 8)."""

from collections.abc import Iterable

from pv_stream.codec.state import fact_bytes, head_bytes, part_bytes, state_bytes
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Fact
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.published import PatientState
from pv_stream.shard.limits import Limits
from pv_stream.shard.steps import PatientEvent
from pv_stream.shard.written import WrittenPatients, size_after, size_at_most


class Room:
    """Measure states against the limits."""

    def __init__(self, limits: Limits, written: WrittenPatients, *, encodes_states: bool) -> None:
        """Measure exactly where states are encoded; elsewhere a bound will do while it leaves no doubt."""
        self._limits, self._written, self._encodes_states = limits, written, encodes_states

    def size_after(
        self,
        event: PatientEvent,
        record_bytes: int,
        before: PatientState,
        after: PatientState,
        known: int | None,
    ) -> int:
        """Return the bytes of a state after an event, `known` before it; or a bound that decides the same."""
        patient_id = event.patient_id
        if known is None and before == PatientState():
            known = 0  # nothing is known of the patient
        if known is not None and isinstance(event, FactArrived) and after.lineage.is_empty:
            if self._encodes_states:
                return size_after(event.version.key, before, after, known, self._written.of(patient_id))
            most = size_at_most(record_bytes, before, after, known)
            if most <= self._limits.state_bytes_max - self._limits.state_bytes_reserved:
                return most
        return state_bytes(after, self._written.of(patient_id))

    def fits(  # noqa: PLR0913 - two states, and what is known of them
        self,
        patient_id: PatientId,
        before: PatientState,
        after: PatientState,
        size: int,
        *,
        reserved: int,
        event: PatientEvent | None = None,
    ) -> bool:
        """Tell whether a state of this size fits: all of it, its head, and each fact that is new in it.

        What is smaller than any one of them may be fits without a look.
        """
        limits = self._limits
        if size > limits.state_bytes_max - reserved:
            return False
        if size <= min(limits.told_bytes_max, limits.state_record_bytes_max) - reserved:
            return True
        head_changed = after.published is not before.published or after.lineage is not before.lineage
        if head_changed and head_bytes(after) > limits.told_bytes_max - reserved:
            return False
        written, parts = self._written.of(patient_id), after.lineage.parts
        return all(
            fact_bytes(key, fact, written) + part_bytes(key, parts.get(key))
            <= limits.state_record_bytes_max - reserved
            for key, fact in _new_facts(before, after, event)
        )


def _new_facts(
    before: PatientState, after: PatientState, event: PatientEvent | None
) -> Iterable[tuple[FactKey, Fact]]:
    if after.facts is before.facts:
        return ()
    if isinstance(event, FactArrived):
        key = event.version.key
        return ((key, after.facts[key]),) if key in after.facts else ()
    return ((key, fact) for key, fact in after.facts.items() if before.facts.get(key) is not fact)
