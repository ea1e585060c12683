"""Written: how the facts of the patients of late are written, so that a run writes only what is new.

A memory for speed alone: what is in it changes no byte. It keeps to a number of patients (law 8).
"""

from typing import Final

from pv_stream.codec.state import WrittenFacts, fact_bytes, published_bytes
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.published import PatientState

#: A fact's row in a state says what its record says, in fewer words; it may add the digest of a value that is not
#: believed, which is shorter than the names of the fields that it leaves out.
_ROW_PER_RECORD_MAX: Final = 2


class WrittenPatients:
    """Remember the written facts of some patients, those asked for last."""

    def __init__(self, patients_max: int) -> None:
        """Begin with nobody."""
        self._patients_max = patients_max
        self._written: dict[PatientId, WrittenFacts] = {}

    def of(self, patient_id: PatientId) -> WrittenFacts:
        """Return what is remembered of a patient, to read and to add to."""
        written = self._written.pop(patient_id, None)
        if written is None:
            written = WrittenFacts()
            if len(self._written) >= self._patients_max:
                del self._written[next(iter(self._written))]
        self._written[patient_id] = written  # at the end: the first was not asked for the longest
        return written

    def forget(self, patient_id: PatientId) -> None:
        """Forget a patient of whom facts were asked that are not kept."""
        self._written.pop(patient_id, None)


def size_after(
    key: FactKey, before: PatientState, after: PatientState, known: int, written: WrittenFacts
) -> int:
    """Return the bytes of a state after one fact, `known` before it, counting only what changed."""
    size = known + _published_more(before, after)
    if key in before.facts:
        size -= fact_bytes(key, before.facts[key], written)
    if key in after.facts:
        size += fact_bytes(key, after.facts[key], written)
    if len(after.facts) <= len(before.facts):
        for gone in sorted(before.facts.keys() - after.facts.keys()):
            size -= fact_bytes(gone, before.facts[gone], written)
            written.forget(gone)
    return size


def size_at_most(record_bytes: int, before: PatientState, after: PatientState, known: int) -> int:
    """Return what the bytes of a state cannot exceed after one fact of a record, without writing it."""
    return known + _ROW_PER_RECORD_MAX * record_bytes + _published_more(before, after)


def _published_more(before: PatientState, after: PatientState) -> int:
    if after.published is before.published:
        return 0
    return published_bytes(after.published) - published_bytes(before.published)
