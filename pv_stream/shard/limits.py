"""Limits: how large the records of a shard, its states and its runs may become (law 8)."""

from dataclasses import dataclass
from typing import Final

from pv_stream.codec.events import RECORD_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Limits:
    """Hold the caps of law 8, sizes in bytes.

    A state of more than `segment_bytes_max` is cut into a head and segments of at most so much (`codec.segments`).
    `state_bytes_max` holds for all records of a patient together, `state_record_bytes_max` for each. Of a head, what
    was told takes at most `told_bytes_max`; the rest names the segments, some 1,900 at most. `state_bytes_reserved` is
    the part of each that facts may not fill: its envelope, and what is told without a new fact (a system alert,
    closings) must fit too. After an activation each record takes along some of the patients who wait to be assessed
    again; one without a key (the clock, the activation itself) takes more; of nobody else it decodes the state.
    `run_due`, `run_bytes` and `run_facts` end a run early: after so many patients who were due or were assessed again
    for another rulebook, once so much is to be written, and once the states that changed had so many facts, each time
    counted anew, for each is looked at again.
    None: never, as in a replay, where no transaction waits for the end. Of `patients_remembered` it is known how their
    facts are written; `patients_unpacked` states are held as they are, the others as their packed records.
    """

    record_bytes_max: int = RECORD_BYTES_MAX
    state_bytes_max: int = 4_194_304
    state_record_bytes_max: int = 262_144
    told_bytes_max: int = 163_840
    segment_bytes_max: int = 32_768
    state_bytes_reserved: int = 4_096
    reassessed_per_record: int = 8
    reassessed_per_control_record: int = 500
    patients_remembered: int = 2_048
    patients_unpacked: int = 4_096
    run_due: int | None = None
    run_bytes: int | None = None
    run_facts: int | None = None

    def are_reached(self, *, fired: int, bytes_to_write: int, facts: int) -> bool:
        """Tell whether a run does so much that the rest is left to the next."""
        done = ((fired, self.run_due), (bytes_to_write, self.run_bytes), (facts, self.run_facts))
        return any(limit is not None and count >= limit for count, limit in done)


DEFAULT_LIMITS: Final = Limits()
