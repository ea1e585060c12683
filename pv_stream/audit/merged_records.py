"""Which patient records of a log are one person's, and which may be.

One person's are those that are merged when the log ends, as the folds say. What is said of a patient may rest on more:
on every record that any record of the log merges or takes apart, also where a merge was refused or undone later.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pv_stream.audit.log import Log, read_log
from pv_stream.audit.replay import Folds
from pv_stream.codec.events import decode_event
from pv_stream.domain.events import Absorbed, Absorbs, Separated
from pv_stream.domain.ids import PatientId, shard_of


@dataclass(frozen=True, slots=True)
class Persons:
    """Say which person a patient record belongs to by some folds: the record that it was merged into, at last."""

    folds: Folds
    shard_count: int

    def __call__(self, patient: PatientId) -> PatientId:
        """Return the record that survives."""
        return survivor_of(patient, self.into)

    def into(self, patient: PatientId) -> PatientId | None:
        """Return the record that one was merged into; None also of a record in a shard of which there is no fold."""
        fold = self.folds.get(shard_of(patient, self.shard_count))
        return None if fold is None else fold.state_of(patient).lineage.into


def survivor_of(patient: PatientId, into: Callable[[PatientId], PatientId | None]) -> PatientId:
    """Return the record into which one was merged at last; merges that go in a circle end where they began."""
    seen = {patient}
    while (following := into(patient)) is not None and following not in seen:
        patient = following
        seen.add(following)
    return patient


def with_merged(log: Log, patients: Iterable[bytes]) -> set[bytes]:
    """Return the keys of some patients with those of every record that was merged with one of theirs."""
    pairs: set[frozenset[bytes]] = set()
    for line in read_log(log):
        if b"identity." not in (line.record.value or b""):
            continue
        event = decode_event(line.record.value)
        if isinstance(event, Absorbed | Absorbs | Separated):
            other = event.survivor if isinstance(event, Absorbed) else event.prior
            pairs.add(frozenset((event.patient_id.encode(), other.encode())))
    found = set(patients)
    while more := {one for pair in pairs if found & pair for one in pair} - found:
        found |= more
    return found
