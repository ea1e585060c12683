"""Slices: how far a run that does much has come, so that no transaction grows without a bound (law 8).

A clock record may make thousands of patients due at once. Where a limit is set, the run ends in the middle of that
record: the patients that fired are written, the shard's clock is not, and a state record says how many outputs were
told so far. The next run begins with the same record and finds those patients no longer due, so the outputs and their
numbers are those of one run, also when another owner goes on.
"""

import json
from dataclasses import dataclass
from typing import Final

from pv_stream.domain.times import Instant

#: The key of the state record of a record that is told in part; no patient id can look like it.
SLICE_KEY: Final = b"@slice"


@dataclass(frozen=True, slots=True)
class Slice:
    """Hold the position of a clock record, its instant, and how many of its outputs are told."""

    position: int
    instant: Instant
    told: int

    def to_bytes(self) -> bytes:
        """Return the value of the state record."""
        fields = {"instant": self.instant, "position": self.position, "told": self.told}
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, value: bytes) -> "Slice":
        """Read the value of a state record."""
        fields = json.loads(value)
        return cls(int(fields["position"]), Instant(int(fields["instant"])), int(fields["told"]))
