"""The checkpoint of a shard: the record in pv.state.v1 that says where its next transaction begins.

It is written in the transaction of the outputs and states that it stands for, so it is the truth about them; the
offsets committed to the consumer group are a copy for operators. `start_position` refuses what cannot be true.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from pv_stream.errors import EnvironmentBroken
from pv_stream.ledger.chain import Ledger

CHECKPOINT_KEY = b"checkpoint"
SCHEMA_VERSION = 2
#: Version 1 knew no ledger: the ledger of such a shard begins with its next output.
_WITHOUT_LEDGER = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Hold where a shard continues, how many shards there were, which generation wrote it, and the ledger so far."""

    next_position: int
    partition_count: int
    generation: int
    ledger: Ledger = field(default_factory=Ledger)

    def to_bytes(self) -> bytes:
        """Return the value of the checkpoint record."""
        fields = {
            "generation": self.generation,
            "ledger": self.ledger.to_fields(),
            "next_position": self.next_position,
            "partition_count": self.partition_count,
            "schema_version": SCHEMA_VERSION,
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, value: bytes, *, shard: int) -> "Checkpoint":
        """Read the value of a checkpoint record, or raise EnvironmentBroken."""
        try:
            fields: dict[str, Any] = json.loads(value)
            version = fields["schema_version"]
            checkpoint = cls(
                int(fields["next_position"]),
                int(fields["partition_count"]),
                int(fields["generation"]),
                Ledger.from_fields(fields["ledger"]) if version == SCHEMA_VERSION else Ledger(),
            )
        except (ValueError, KeyError, TypeError) as error:
            message = f"shard {shard}: its checkpoint in the state topic cannot be read: restore the topics"
            raise EnvironmentBroken(message) from error
        if version not in {SCHEMA_VERSION, _WITHOUT_LEDGER}:
            message = (
                f"shard {shard}: its checkpoint has schema version {version} and this worker reads {SCHEMA_VERSION}: "
                "run the version of pv_stream that wrote it, or a newer one"
            )
            raise EnvironmentBroken(message)
        return checkpoint


@dataclass(frozen=True, slots=True)
class InputLog:
    """Say what the broker holds of one shard's input: its first offset, and the one after its last."""

    start: int
    end: int
    partition_count: int


def start_position(*, shard: int, checkpoint: Checkpoint | None, committed: int | None, log: InputLog) -> int:
    """Return where the shard continues; raise EnvironmentBroken when checkpoint, group and log contradict.

    A committed offset that is missing or behind is harmless (the group was reset, or expired). One ahead means that
    somebody processed records whose states we do not have.
    """
    position = checkpoint.next_position if checkpoint is not None else 0
    advice = "restore the topics from one backup"
    if checkpoint is not None and checkpoint.partition_count != log.partition_count:
        message = (
            f"shard {shard}: its state was made with {checkpoint.partition_count} partitions and the input topic has "
            f"{log.partition_count}: a partition count is never changed; start a new log"
        )
        raise EnvironmentBroken(message)
    if committed is not None and committed > position:
        message = (
            f"shard {shard}: the group has committed position {committed}, ahead of the checkpoint at {position}: "
            "if only the offset is wrong, `pv-stream doctor` says how to set it back, which loses nothing; if state "
            f"was lost, {advice}"
        )
        raise EnvironmentBroken(message)
    if position < log.start:
        message = (
            f"shard {shard}: the input log begins at {log.start}, after the checkpoint at {position}: the records "
            f"between are gone; {advice}"
        )
        raise EnvironmentBroken(message)
    if position > log.end:
        message = (
            f"shard {shard}: the input log ends at {log.end}, before the checkpoint at {position}: the topic was "
            f"truncated or made anew; {advice}"
        )
        raise EnvironmentBroken(message)
    return position
