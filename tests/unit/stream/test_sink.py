"""The sink's routing: outputs go to the partition of their shard, transfers to the partition of their patient."""

import asyncio
from typing import Any

from aiokafka import TopicPartition

from pv_stream.domain.ids import shard_of
from pv_stream.settings import Settings
from pv_stream.shard.fold import OutputStream, OutRecord
from pv_stream.stream.checkpoint import Checkpoint
from pv_stream.stream.sink import TransactionalSink

PARTITIONS = 8
SHARD = 3


class _Batch:
    def __init__(self) -> None:
        self.keys: list[bytes | None] = []

    def append(self, *, key: bytes | None, **_: object) -> object:
        self.keys.append(key)
        return object()

    def record_count(self) -> int:
        return len(self.keys)


class _Producer:
    """Note what is written where, between the beginning and the end of a transaction."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.written: dict[tuple[str, int], list[bytes | None]] = {}
        self.offsets: dict[TopicPartition, int] = {}

    async def begin_transaction(self) -> None:
        self.steps.append("begin")

    async def commit_transaction(self) -> None:
        self.steps.append("commit")

    def create_batch(self) -> _Batch:
        return _Batch()

    async def send_batch(self, batch: _Batch, topic: str, *, partition: int) -> Any:
        self.written.setdefault((topic, partition), []).extend(batch.keys)
        return asyncio.sleep(0)

    async def send_offsets_to_transaction(self, offsets: dict[TopicPartition, int], _: str) -> None:
        self.offsets = offsets


class _Run:
    outputs = (
        OutRecord(OutputStream.ALERTS, b"al_1", b"{}", 17, 0),
        OutRecord(OutputStream.EVENTS, b"patient-b", b"{}", 17, 1),
        OutRecord(OutputStream.EVENTS, b"patient-c", b"{}", 17, 2),
    )
    states = ((b"patient-a", b"{}"),)


def test_a_transfer_goes_to_the_shard_of_its_patient_in_the_same_transaction() -> None:
    sink, producer = TransactionalSink(shard=SHARD, settings=Settings()), _Producer()
    sink._producer = producer
    asyncio.run(sink.commit(_Run(), Checkpoint(18, PARTITIONS, 1)))
    assert producer.steps == ["begin", "commit"]
    assert producer.written["pv.dress.alerts.v1", SHARD] == [b"al_1"]
    assert producer.written["pv.state.v1", SHARD] == [b"patient-a", b"checkpoint"]
    for key in (b"patient-b", b"patient-c"):
        place = "pv.clinical.events.v1", shard_of(key.decode(), PARTITIONS)
        assert place[1] != SHARD
        assert key in producer.written[place]
    assert producer.offsets == {TopicPartition("pv.clinical.events.v1", SHARD): 18}
