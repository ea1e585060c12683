"""Written: how the facts of the patients of late are written, so that a run writes only what is new.

A memory for speed alone: what is in it changes no byte. It keeps to a number of patients (law 8).
"""

from pv_stream.codec.state import WrittenFacts
from pv_stream.domain.ids import PatientId


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
