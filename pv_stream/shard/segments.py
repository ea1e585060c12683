"""Segments: which records of each patient stand in the state topic, so that only those that changed are written.

A patient whose state is one record is not remembered here. What comes back in a restore may come in any order and more
than once; a state is whole when its newest head and every segment that it names are there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from pv_stream.codec.segments import (
    Head,
    digest_of,
    join_records,
    read_head,
    read_key,
    segment_key,
    state_records,
)
from pv_stream.codec.state import WrittenFacts, decode_state, encode_state
from pv_stream.domain.ids import PatientId
from pv_stream.domain.published import PatientState
from pv_stream.errors import EnvironmentBroken

#: Digests by name of the segments of a patient.
Digests = Mapping[str, str]
#: Key and value of a record of the state topic; None takes a segment away that is no more.
StateRecord = tuple[bytes, bytes | None]

_NO_SEGMENTS: Final[Digests] = {}


class StateSegments:
    """Remember the segments that stand, and put together what is restored."""

    def __init__(self, bytes_max: int) -> None:
        """Begin with none; a segment has at most so many bytes, unless one fact alone is larger."""
        self._bytes_max = bytes_max
        self._standing: dict[PatientId, Digests] = {}
        self._heads: dict[PatientId, Head] = {}
        self._came: dict[PatientId, dict[str, bytes]] = {}

    # Writing ---------------------------------------------------------------------------------------------------

    def changed(
        self, patient_id: PatientId, state: PatientState, written: WrittenFacts
    ) -> tuple[list[StateRecord], Digests]:
        """Return the records by which a state differs from what stands, the head last, and the segments that it has."""
        records = state_records(state, segment_bytes_max=self._bytes_max, written=written)
        before = self._standing.get(patient_id, _NO_SEGMENTS)
        changes: list[StateRecord] = [
            (segment_key(patient_id, name), record)
            for name, record in records.segments.items()
            if before.get(name) != records.digests[name]
        ]
        gone = sorted(before.keys() - records.segments.keys())
        changes += [(segment_key(patient_id, name), None) for name in gone]
        return [*changes, (patient_id.encode(), records.head)], records.digests

    def put(self, segments: Mapping[PatientId, Digests]) -> None:
        """Take note of the segments that were written for good."""
        for patient_id, digests in segments.items():
            if digests:
                self._standing[patient_id] = digests
            else:
                self._standing.pop(patient_id, None)

    def records_of(self, patient_id: PatientId, record: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and value of each record of a state that is given as one, the head first."""
        if len(record) <= self._bytes_max:
            yield patient_id.encode(), record
            return
        records = state_records(decode_state(record), segment_bytes_max=self._bytes_max)
        yield patient_id.encode(), records.head
        for name, segment in records.segments.items():
            yield segment_key(patient_id, name), segment

    # Restoring -------------------------------------------------------------------------------------------------

    def restore(
        self, key: bytes, value: bytes, held: Callable[[PatientId], PatientState]
    ) -> tuple[PatientId, bytes] | None:
        """Take one record of a patient; return id and state, as one record, once all of it is there.

        `held` gives the state that is in memory: of what did not change nothing is read. Raises ValueError for a
        schema that is not known.
        """
        text, name = read_key(key.decode())
        patient_id = PatientId(text)
        if name:
            self._came.setdefault(patient_id, {})[name] = value
        else:
            head = read_head(value)
            if head is None:
                self._whole(patient_id, _NO_SEGMENTS)
                return patient_id, value
            self._heads[patient_id] = head
        return self._joined(patient_id, held)

    def settle(self, shard: int) -> None:
        """Let go of what is of use to no head. Raises EnvironmentBroken when a patient is there in part."""
        self._came.clear()
        if self._heads:
            message = (
                f"shard {shard}: the state topic lacks segments of {len(self._heads)} patients: stop all workers and "
                "restore the topics from one backup"
            )
            raise EnvironmentBroken(message)

    def _joined(
        self, patient_id: PatientId, held: Callable[[PatientId], PatientState]
    ) -> tuple[PatientId, bytes] | None:
        head = self._heads.get(patient_id)
        if head is None:
            return None
        came = self._came.get(patient_id, {})
        new = {name: came[name] for name in head.segments if name in came}
        new = {name: record for name, record in new.items() if digest_of(record) == head.segments[name]}
        rest = [name for name in head.segments if name not in new]
        standing = self._standing.get(patient_id, _NO_SEGMENTS)
        if any(standing.get(name) != head.segments[name] for name in rest):
            return None
        if rest:
            new |= self._held(held(patient_id), rest)
        state = join_records(head, (new[name] for name in head.segments))
        self._whole(patient_id, head.segments)
        return patient_id, encode_state(state)

    def _held(self, state: PatientState, names: Iterable[str]) -> dict[str, bytes]:
        records = state_records(state, segment_bytes_max=self._bytes_max)
        return {name: records.segments[name] for name in names}

    def _whole(self, patient_id: PatientId, digests: Digests) -> None:
        self._heads.pop(patient_id, None)
        self._came.pop(patient_id, None)
        self.put({patient_id: digests})
