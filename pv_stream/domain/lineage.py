"""Lineage: which records of a patient were merged into which, and under whose id each fact arrived.

A patient record that was merged into another is a stub: `into` names where its later records are forwarded to. The
survivor remembers the tree of all that it absorbed and the origin of each fact, so that an unmerge can give back
exactly what came from the other record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pv_stream.domain.facts import Fact
from pv_stream.domain.ids import FactKey, PatientId

#: What stands under one key, by the patient id under which it arrived, in order of that id.
Parts = tuple[tuple[PatientId, Fact], ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Hold what merges made of a patient record.

    `absorbed` holds the pairs (prior, into) of the whole tree below this record, in order. `leaving` names the
    priors that were given back and have not confirmed it yet. `coming` names who is handing something over in chunks,
    and which chunk is next: nothing counts as handed over unless all of it came. `parts` holds the keys to which
    another record contributed; a key that is not in it is wholly this record's own.
    """

    into: PatientId | None = None
    absorbed: tuple[tuple[PatientId, PatientId], ...] = ()
    leaving: tuple[PatientId, ...] = ()
    coming: tuple[tuple[PatientId, int], ...] = ()
    parts: Mapping[FactKey, Parts] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Tell whether no merge ever touched this record, or nothing is left of it."""
        return self.into is None and not (self.absorbed or self.leaving or self.coming or self.parts)

    def family_of(self, prior: PatientId) -> frozenset[PatientId]:
        """Return a prior with all that was merged into it, at whatever distance."""
        family = {prior}
        while found := {below for below, into in self.absorbed if into in family} - family:
            family |= found
        return frozenset(family)

    def next_chunk_of(self, giver: PatientId) -> int:
        """Return the number of the chunk that follows those that a giver's transfer brought so far."""
        return dict(self.coming).get(giver, 1)

    def awaiting(self, giver: PatientId, chunk: int | None) -> "Lineage":
        """Return the lineage once a chunk of a giver came; the next has this number, None when there is none."""
        others = tuple(pair for pair in self.coming if pair[0] != giver)
        if chunk is None:
            return self if others == self.coming else replace(self, coming=others)
        return replace(self, coming=tuple(sorted((*others, (giver, chunk)))))

    @property
    def absorbed_ids(self) -> frozenset[PatientId]:
        """Return every record that was merged into this one, at whatever distance."""
        return frozenset(prior for prior, _ in self.absorbed)


#: The lineage of nearly every patient.
NEVER_MERGED: Final = Lineage()
