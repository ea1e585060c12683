"""The transfers of a replay: what merged patient records hand to each other, and who writes that down.

A recorded log holds the transfers as its shards wrote them, at their own positions. They are read where they stand,
and what the replay would write is only compared. A file that came from a feed holds none: the replay makes each right
after the record that caused it. An archive is a recorded log whatever it holds; a file of events is one when any
transfer stands in it.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pv_stream.audit.log import Log, is_transfer
from pv_stream.shard.fold import OutRecord, RawRecord


@dataclass(slots=True)
class TransferCheck:
    """Compare the transfers that stand in a log with those that follow from it."""

    log: Log
    _standing: Counter[bytes] = field(default_factory=Counter)
    _following: Counter[bytes] = field(default_factory=Counter)

    def stands(self, record: RawRecord) -> None:
        """Note a record of the log."""
        if record.value is not None and is_transfer(record.value):
            self._standing[_digest(record.key, record.value)] += 1

    def follows(self, output: OutRecord) -> None:
        """Note a transfer that follows from the log."""
        self._following[_digest(output.key, output.value)] += 1

    def manifest(self) -> dict[str, Any]:
        """Return who wrote the transfers, how many there are, and how many differ where the log holds them."""
        if self.log.makes_transfers:
            return {"mode": "made", "records": self._following.total()}
        return {
            "mode": "log",
            "records": self._standing.total(),
            "not_in_log": (self._following - self._standing).total(),
            "only_in_log": (self._standing - self._following).total(),
        }


def _digest(key: bytes | None, value: bytes) -> bytes:
    return hashlib.sha256((key or b"") + b"\x1f" + value).digest()
