"""Due: which patient of a shard is due next, from a heap and not from a scan.

Entries are never searched for: one whose instant is not the patient's own any more falls away when it comes up.
What a run takes and adds is noted apart, so that a run that is not committed leaves no trace.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import Instant

_Entry = tuple[Instant, PatientId]


@dataclass(slots=True)
class DueChanges:
    """Hold what a run added to the heap of a shard, and what it took from it."""

    added: list[_Entry] = field(default_factory=list)
    taken: list[_Entry] = field(default_factory=list)

    def add(self, instant: Instant, patient_id: PatientId) -> None:
        """Note that a patient becomes due at an instant."""
        heapq.heappush(self.added, (instant, patient_id))


class DueHeap:
    """Hold when the patients of a shard are due."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._heap: list[_Entry] = []

    def add(self, instant: Instant, patient_id: PatientId) -> None:
        """Let a patient be due at an instant."""
        heapq.heappush(self._heap, (instant, patient_id))

    def take(
        self, now: Instant, changes: DueChanges, due_of: Callable[[PatientId], Instant | None]
    ) -> PatientId | None:
        """Take the patient whose due instant is the earliest not after `now`; outdated entries fall away."""
        while True:
            heap = min(
                (heap for heap in (self._heap, changes.added) if heap), key=lambda heap: heap[0], default=None
            )
            if heap is None or heap[0][0] > now:
                return None
            entry = heapq.heappop(heap)
            if heap is self._heap:
                changes.taken.append(entry)
            instant, patient_id = entry
            if due_of(patient_id) == instant:
                return patient_id

    def commit(self, changes: DueChanges) -> None:
        """Keep what a run added; what it took is gone."""
        for entry in changes.added:
            heapq.heappush(self._heap, entry)

    def discard(self, changes: DueChanges) -> None:
        """Take back what a run took."""
        for entry in changes.taken:
            heapq.heappush(self._heap, entry)
