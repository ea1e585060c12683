"""Memory: the states of a shard's patients, those of late as they are, the others packed as their records.

A ward's patients come, are busy for some days, and are silent for years, while what was told of them must stay known. A
state as it is takes some ten times the room of its packed record. Packing changes no byte of any output: a record read
back is the state, as every restart relies on.

Of a record that is restored only what is asked of every patient is read; its facts are read when the patient is.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pv_stream.codec.state import StateOutline, decode_state, encode_state, outline_of, read_outline
from pv_stream.domain.ids import PatientId
from pv_stream.domain.published import PatientState, Relevance
from pv_stream.domain.times import Instant
from pv_stream.errors import EnvironmentBroken

#: A third of the record; level 6 saves a twentieth of that and takes longer.
_LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class Outline:
    """Hold what is asked of every patient, and is known without unpacking.

    `rulebook` is the digest under which the patient was assessed; `is_assessed` is false of one without facts and of
    one who was merged into another; `was_told` is false while nothing was ever told of the patient.
    """

    due: Instant | None
    rulebook: str | None
    is_assessed: bool
    was_told: bool
    relevance: Relevance


@dataclass(frozen=True, slots=True)
class _Packed(Outline):
    """Hold a packed record with its outline."""

    record: bytes

    def state(self) -> PatientState:
        """Unpack. Raises EnvironmentBroken for a record that was restored and cannot be read."""
        try:
            return decode_state(zlib.decompress(self.record))
        except (ValueError, TypeError, LookupError) as error:
            message = (
                "a patient's state is damaged, or has facts that this version does not know: run the version that "
                "wrote it, or restore the topics from one backup"
            )
            raise EnvironmentBroken(message) from error


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
            packed = self._packed.get(patient_id)
            if packed is None:
                return PatientState()
            # Whoever is asked for will be asked for again; `update` packs who is too many.
            state = self._unpacked[patient_id] = packed.state()
            del self._packed[patient_id]
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
            self._packed[patient_id] = _packed(outline_of(state), encode_state(state))

    def restore(self, patient_id: PatientId, record: bytes) -> StateOutline:
        """Take a patient's record, packed, and return what it says before its facts.

        Raises ValueError for an unknown schema.
        """
        said = read_outline(record)
        self._unpacked.pop(patient_id, None)
        self._packed[patient_id] = _packed(said, record)
        return said

    def outlines(self, changed: Mapping[PatientId, PatientState]) -> Iterator[tuple[PatientId, Outline]]:
        """Yield the outline of every patient as a run has changed them, and of those whom only the run knows."""
        yield from ((each, packed) for each, packed in self._packed.items() if each not in changed)
        yield from (
            (each, _outline(outline_of(state)))
            for each, state in self._unpacked.items()
            if each not in changed
        )
        yield from ((each, _outline(outline_of(state))) for each, state in changed.items())

    def records(self) -> Iterator[tuple[PatientId, bytes]]:
        """Yield the record of every patient, patients in order."""
        for each in sorted([*self._unpacked, *self._packed]):
            packed = self._packed.get(each)
            yield (
                each,
                encode_state(self._unpacked[each]) if packed is None else zlib.decompress(packed.record),
            )


def _outline(said: StateOutline) -> Outline:
    is_assessed = said.has_facts and said.into is None
    return Outline(said.due, said.rulebook, is_assessed, not said.published.is_empty, said.relevance)


def _packed(said: StateOutline, record: bytes) -> _Packed:
    outline = _outline(said)
    return _Packed(
        outline.due,
        outline.rulebook,
        outline.is_assessed,
        outline.was_told,
        outline.relevance,
        zlib.compress(record, _LEVEL),
    )
