"""Memory: the states of a shard's patients, those of late as they are, the others packed as their records.

A ward's patients come, are busy for some days, and are silent for years, while what was told of them must stay known. A
state as it is takes some ten times the room of its packed record. Packing changes no byte of any output: a record read
back is the state, as every restart relies on.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pv_stream.codec.state import decode_state, encode_state
from pv_stream.domain.ids import PatientId
from pv_stream.domain.published import PatientState
from pv_stream.domain.times import Instant
from pv_stream.engine.activation import is_outdated
from pv_stream.rules.rulebook import Rulebook

#: A third of the record; level 6 saves a twentieth of that and takes longer.
_LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class _Packed:
    """Hold a packed record, and what is asked of every patient without unpacking.

    `rulebook` is the digest under which the patient was assessed; `is_assessed` is false of one without facts and of
    one who was merged into another.
    """

    record: bytes
    due: Instant | None
    rulebook: str | None
    is_assessed: bool


class PatientMemory:
    """Hold the state of each patient, `unpacked_max` of them as they are."""

    def __init__(self, unpacked_max: int) -> None:
        """Begin with nobody."""
        self._unpacked_max = unpacked_max
        #: The first was neither changed nor unpacked for the longest.
        self._unpacked: dict[PatientId, PatientState] = {}
        self._packed: dict[PatientId, _Packed] = {}

    def __len__(self) -> int:
        """Return how many patients are known."""
        return len(self._unpacked) + len(self._packed)

    def of(self, patient_id: PatientId) -> PatientState:
        """Return a patient's state, empty for one never seen."""
        state = self._unpacked.get(patient_id)
        if state is None:
            packed = self._packed.pop(patient_id, None)
            if packed is None:
                return PatientState()
            # Whoever is asked for will be asked for again; `update` packs who is too many.
            state = self._unpacked[patient_id] = decode_state(zlib.decompress(packed.record))
        return state

    def due_of(self, patient_id: PatientId) -> Instant | None:
        """Return when a patient is due."""
        packed = self._packed.get(patient_id)
        if packed is not None:
            return packed.due
        state = self._unpacked.get(patient_id)
        return None if state is None else state.due

    def update(self, states: Mapping[PatientId, PatientState]) -> None:
        """Take the new states of some patients, and pack those who were not changed for the longest."""
        for patient_id, state in states.items():
            self._packed.pop(patient_id, None)
            self._unpacked.pop(patient_id, None)
            self._unpacked[patient_id] = state  # at the end
        while len(self._unpacked) > self._unpacked_max:
            patient_id = next(iter(self._unpacked))
            state = self._unpacked.pop(patient_id)
            self._packed[patient_id] = _packed(state, encode_state(state))

    def restore(self, patient_id: PatientId, record: bytes) -> PatientState:
        """Take a patient's record, packed, and return what it says. Raises ValueError for an unknown schema."""
        state = decode_state(record)
        self._unpacked.pop(patient_id, None)
        self._packed[patient_id] = _packed(state, record)
        return state

    def outdated(self, rulebook: Rulebook) -> Iterator[tuple[PatientId, PatientState]]:
        """Yield who was last assessed under another rulebook; the others are not unpacked."""
        yield from ((each, state) for each, state in self._unpacked.items() if is_outdated(state, rulebook))
        for each, packed in self._packed.items():
            if packed.is_assessed and packed.rulebook != rulebook.digest:
                yield each, decode_state(zlib.decompress(packed.record))

    def records(self) -> Iterator[tuple[PatientId, bytes]]:
        """Yield the record of every patient, patients in order."""
        for each in sorted([*self._unpacked, *self._packed]):
            packed = self._packed.get(each)
            yield (
                each,
                encode_state(self._unpacked[each]) if packed is None else zlib.decompress(packed.record),
            )


def _packed(state: PatientState, record: bytes) -> _Packed:
    is_assessed = bool(state.facts) and state.lineage.into is None
    return _Packed(zlib.compress(record, _LEVEL), state.due, state.rulebook, is_assessed)


def merged(
    memory: Iterable[tuple[PatientId, PatientState]], changed: Mapping[PatientId, PatientState]
) -> Iterator[tuple[PatientId, PatientState]]:
    """Yield patients of a memory as a run has changed them, and those whom only the run knows."""
    yield from ((each, state) for each, state in memory if each not in changed)
    yield from changed.items()
