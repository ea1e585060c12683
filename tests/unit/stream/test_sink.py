"""The sink's routing: outputs go to the partition of their shard, transfers to the partition of their patient."""

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pv_stream.domain.ids import shard_of
from pv_stream.errors import EnvironmentBroken
from pv_stream.ledger.chain import INDEX_HEADER, Ledger
from pv_stream.ledger.heads import TreeHead, is_signed_by
from pv_stream.settings import Settings
from pv_stream.shard.fold import OutputStream, OutRecord
from pv_stream.stream.checkpoint import Checkpoint
from pv_stream.stream.sink import TransactionalSink

PARTITIONS = 8
SHARD = 3


class _Batch:
    def __init__(self) -> None:
        self.keys: list[bytes | None] = []
        self.records: list[tuple[Any, dict[str, bytes]]] = []

    def append(
        self, *, key: bytes | None, value: Any, headers: list[tuple[str, bytes]], **_: object
    ) -> object:
        self.keys.append(key)
        self.records.append((value, dict(headers)))
        return object()

    def record_count(self) -> int:
        return len(self.keys)


class _Producer:
    """Note what is written where, between the beginning and the end of a transaction."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.written: dict[tuple[str, int], list[bytes | None]] = {}
        self.records: dict[str, list[tuple[Any, dict[str, bytes]]]] = {}
        self.offsets: dict[TopicPartition, int] = {}

    async def begin_transaction(self) -> None:
        self.steps.append("begin")

    async def commit_transaction(self) -> None:
        self.steps.append("commit")

    def create_batch(self) -> _Batch:
        return _Batch()

    async def send_batch(self, batch: _Batch, topic: str, *, partition: int) -> Any:
        self.written.setdefault((topic, partition), []).extend(batch.keys)
        self.records.setdefault(topic, []).extend(batch.records)
        return asyncio.sleep(0)

    async def send_offsets_to_transaction(self, offsets: dict[TopicPartition, int], _: str) -> None:
        self.offsets = offsets


class _Run:
    outputs = (
        OutRecord(OutputStream.ALERTS, b"al_1", b"{}", 17, 0),
        OutRecord(OutputStream.EVENTS, b"patient-b", b"{}", 17, 1),
        OutRecord(OutputStream.EVENTS, b"patient-c", b"{}", 17, 2),
    )
    states = ((b"patient-a@2026-01-01+1", None), (b"patient-a", b"{}"))


def test_a_transfer_goes_to_the_shard_of_its_patient_in_the_same_transaction() -> None:
    sink, producer = TransactionalSink(shard=SHARD, settings=Settings()), _Producer()
    sink._producer = producer
    asyncio.run(sink.commit(_Run(), Checkpoint(18, PARTITIONS, 1)))
    assert producer.steps == ["begin", "commit"]
    assert producer.written["pv.dress.alerts.v1", SHARD] == [b"al_1"]
    assert producer.written["pv.state.v1", SHARD] == [
        b"patient-a@2026-01-01+1",
        b"patient-a",
        b"checkpoint",
    ]
    taken_away, state, _ = producer.records["pv.state.v1"]
    assert (taken_away[0], state[0]) == (None, b"{}")
    for key in (b"patient-b", b"patient-c"):
        place = "pv.clinical.events.v1", shard_of(key.decode(), PARTITIONS)
        assert place[1] != SHARD
        assert key in producer.written[place]
    assert producer.offsets == {TopicPartition("pv.clinical.events.v1", SHARD): 18}


def test_the_groups_offset_goes_with_the_first_transaction_of_each_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink, producer = TransactionalSink(shard=SHARD, settings=Settings()), _Producer()
    sink._producer = producer
    place = TopicPartition("pv.clinical.events.v1", SHARD)
    told = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        for position, seconds in ((18, 0.0), (19, 0.4), (20, 0.9), (21, 1.1), (22, 1.2)):
            monkeypatch.setattr(loop, "time", lambda now=seconds: now)
            await sink.commit(_Run(), Checkpoint(position, PARTITIONS, 1))
            told.append(producer.offsets[place])
        monkeypatch.undo()
        assert told == [18, 18, 18, 21, 21]
        assert sink.group_offset == 21

        before = len(producer.steps), sum(map(len, producer.written.values()))
        for _ in range(2):
            await sink.commit_offset(22)
        assert producer.offsets == {place: 22}
        assert (len(producer.steps), sum(map(len, producer.written.values()))) == (before[0] + 2, before[1])

    asyncio.run(scenario())


class _Outputs:
    """A run of two outputs that the ledger covers, and two that it does not."""

    outputs = (
        OutRecord(OutputStream.ALERTS, b"al_1", b"{}", 17, 0),
        OutRecord(OutputStream.CASES, b"patient-a|1", b"{}", 17, 1),
        OutRecord(OutputStream.EVENTS, b"patient-b", b"{}", 17, 2),
        OutRecord(OutputStream.DEAD_LETTERS, b"d", b"{}", 18, 0),
    )
    states = ()


def heads_of(producer: _Producer) -> list[TreeHead]:
    return [TreeHead.from_bytes(value) for value, _ in producer.records.get("pv.tree-heads.v1", [])]


def test_outputs_are_numbered_across_topics_and_transactions_under_signed_heads() -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    sink, producer = TransactionalSink(shard=SHARD, settings=Settings(), ledger_key=key), _Producer()
    sink._producer = producer
    for position in (19, 20):
        asyncio.run(sink.commit(_Outputs(), Checkpoint(position, PARTITIONS, 1)))
    for topic, numbers in (("pv.dress.alerts.v1", [b"0", b"2"]), ("pv.dlq.v1", [b"1", b"3"])):
        assert [headers[INDEX_HEADER] for _, headers in producer.records[topic]] == numbers
    for topic in ("pv.dress.cases.v1", "pv.clinical.events.v1"):
        assert not any(INDEX_HEADER in headers for _, headers in producer.records[topic])
    first, second = heads_of(producer)
    assert (first.size, first.next_position) == (2, 19)
    assert (second.size, second.next_position) == (4, 20)
    assert second.origin == "pv.clinical.events.v1/3"
    assert is_signed_by(second, [key.public_key()])
    ledger = sink.ledger
    assert (ledger.size, ledger.covered, ledger.root, ledger.link) == (4, 4, second.root, second.link)
    last, _ = producer.records["pv.state.v1"][-1]
    assert Checkpoint.from_bytes(last, shard=SHARD) == Checkpoint(20, PARTITIONS, 1, ledger)


def test_a_head_waits_for_as_many_outputs_as_are_set() -> None:
    settings = Settings(ledger_head_records=3)
    sink, producer = TransactionalSink(shard=SHARD, settings=settings), _Producer()
    sink._producer = producer
    sizes = []
    for position in (19, 20, 21):
        asyncio.run(sink.commit(_Outputs(), Checkpoint(position, PARTITIONS, 1)))
        sizes.append([head.size for head in heads_of(producer)])
    assert sizes == [[], [4], [4]]
    assert (sink.ledger.size, sink.ledger.covered) == (6, 4)


def test_a_ledger_changes_only_with_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    sink, producer = TransactionalSink(shard=SHARD, settings=Settings()), _Producer()
    sink._producer = producer

    async def fail() -> None:
        raise KafkaError

    monkeypatch.setattr(producer, "commit_transaction", fail)
    with pytest.raises(EnvironmentBroken):
        asyncio.run(sink.commit(_Outputs(), Checkpoint(19, PARTITIONS, 1)))
    assert sink.ledger == Ledger()
