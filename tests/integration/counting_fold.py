"""A test double of the engine: counts records per key, and shares no code with the real one.

Each record of key K yields one alert `{"count": n, "key": K, "value": ...}` and the state of K, every tenth also a
recurrence and a case; a value that begins with b"poison" yields a dead letter and changes no state.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pv_stream.shard.fold import OutputStream, OutRecord, RawRecord

EVERY_TENTH = 10


@dataclass(frozen=True, slots=True)
class CountingRun:
    """Hold what one run of records gives, with the counts that are not yet memory."""

    outputs: tuple[OutRecord, ...]
    states: tuple[tuple[bytes, bytes], ...]
    counts: dict[bytes, int]
    left: tuple[RawRecord, ...] = ()


class CountingFold:
    """Count records per key."""

    def __init__(self, shard: int, shard_count: int) -> None:
        self.shard = shard
        self.shard_count = shard_count
        self.counts: dict[bytes, int] = {}
        self.clock: int | None = None

    @property
    def patients(self) -> int:
        return len(self.counts)

    def restore(self, key: bytes, value: bytes) -> None:
        self.counts[key] = int(value)

    def settle(self) -> None: ...

    def process(self, records: Sequence[RawRecord]) -> CountingRun:
        outputs: list[OutRecord] = []
        counts: dict[bytes, int] = {}
        for record in records:
            if record.key is None:
                continue
            value = record.value or b""
            if value.startswith(b"poison"):
                code = b'{"code":"unreadable"}'
                outputs.append(OutRecord(OutputStream.DEAD_LETTERS, record.key, code, record.position, 0))
                continue
            count = counts.get(record.key, self.counts.get(record.key, 0)) + 1
            counts[record.key] = count
            outputs += outputs_of(record.key, value, count, record.position)
        states = tuple((key, str(count).encode()) for key, count in counts.items())
        return CountingRun(tuple(outputs), states, counts)

    def commit(self, run: CountingRun) -> None:
        self.counts.update(run.counts)


def outputs_of(key: bytes, value: bytes, count: int, position: int) -> list[OutRecord]:
    """Return what one good record yields."""
    fields = {"count": count, "key": key.decode(), "value": value.decode()}
    body = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    outputs = [OutRecord(OutputStream.ALERTS, key, body, position, 0)]
    if count % EVERY_TENTH == 0:
        outputs.append(OutRecord(OutputStream.RECURRENCES, key, body, position, 1))
        outputs.append(OutRecord(OutputStream.CASES, key, body, position, 2))
    return outputs
