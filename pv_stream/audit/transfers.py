"""The transfers of a replay: what merged patient records hand to each other, and who writes that down.

A recorded log holds the transfers as its shards wrote them, at their own positions. They are read where they stand,
and what the replay would write is only compared. A file that came from a feed holds none: the replay makes each right
after the record that caused it. An archive is a recorded log whatever it holds; a file of events is one when any
transfer stands in it.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pv_stream.audit.record_kinds import is_transfer
from pv_stream.shard.fold import OutRecord, RawRecord


@dataclass(slots=True)
class TransferCheck:
    """Compare the transfers that stand in a log with those that follow from it; both are known by digest."""

    makes_transfers: bool
    standing: Counter[str] = field(default_factory=Counter)
    following: Counter[str] = field(default_factory=Counter)

    def stands(self, record: RawRecord) -> None:
        """Note a record of the log."""
        if record.value is not None and is_transfer(record.value):
            self.standing[_digest(record.key, record.value)] += 1

    def follows(self, output: OutRecord) -> None:
        """Note a transfer that follows from the log."""
        self.following[_digest(output.key, output.value)] += 1

    def add(self, standing: Mapping[str, int], following: Mapping[str, int]) -> None:
        """Add those of a shard: a transfer stands in another shard than the one that it follows from."""
        self.standing.update(standing)
        self.following.update(following)

    def manifest(self) -> dict[str, Any]:
        """Return who wrote the transfers, how many there are, and how many differ where the log holds them."""
        if self.makes_transfers:
            return {"mode": "made", "records": self.following.total()}
        return {
            "mode": "log",
            "records": self.standing.total(),
            "not_in_log": (self.following - self.standing).total(),
            "only_in_log": (self.standing - self.following).total(),
        }


def _digest(key: bytes | None, value: bytes) -> str:
    return hashlib.sha256((key or b"") + b"\x1f" + value).hexdigest()
