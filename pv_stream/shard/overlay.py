"""Overlay: what a run of records changed in a shard, apart from its memory until the run is written for good."""

from dataclasses import dataclass, field

from pv_stream.domain.ids import PatientId
from pv_stream.domain.published import PatientState
from pv_stream.domain.times import Instant
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.due import DueChanges
from pv_stream.shard.segments import Digests
from pv_stream.shard.slices import Slice


@dataclass(slots=True)
class Overlay:
    """Hold what a run changed, until it is committed or thrown away."""

    clock: Instant | None
    rulebook: Rulebook
    recorded: Rulebook | None
    waiting: tuple[PatientId, ...]
    passed: int
    used: tuple[Rulebook, ...]
    states: dict[PatientId, PatientState] = field(default_factory=dict)
    sizes: dict[PatientId, int] = field(default_factory=dict)
    segments: dict[PatientId, Digests] = field(default_factory=dict)
    due: DueChanges = field(default_factory=DueChanges)
    activated: bool = False
    fired: int = 0
    bytes_to_write: int = 0
    facts: int = 0
    slice: Slice | None = None
    cut: bool = False

    def told_of(self, position: int) -> int:
        """Return how many outputs of the record at a position earlier runs told."""
        return self.slice.told if self.slice is not None and self.slice.position == position else 0
