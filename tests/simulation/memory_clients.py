"""The producer and the consumer of aiokafka, as far as the sink and the store use them, on the broker in memory.

They keep what the runtime rests on: batches go out in the background and in their order for each partition, a
request whose answer is lost is repeated, a commit waits for every batch and hides what failed, a cancelled commit
goes on in the background, and whoever was fenced is told so by whatever request is next.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import (
    ConcurrentTransactions,
    IllegalOperation,
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    ProducerFenced,
)
from aiokafka.structs import RecordMetadata

from tests.simulation.memory_broker import OFFSETS, Entry, MemoryBroker, Record, offset_key
from tests.simulation.network import Network

T = TypeVar("T")

BACKOFF_SECONDS = 0.1


async def request(network: Network, effect: Callable[[], T]) -> T:
    """Ask the broker until it answers; what is worth repeating is repeated, as aiokafka does."""
    while True:
        try:
            return await network.request(effect)
        except (ConcurrentTransactions, KafkaConnectionError):
            await asyncio.sleep(BACKOFF_SECONDS)
        except InvalidProducerEpoch:
            raise ProducerFenced from None


class MemoryBatch:
    """Collect records up to a size; an empty batch takes any record."""

    def __init__(self, bytes_max: int) -> None:
        self.records: list[Record] = []
        self._bytes_left = bytes_max

    def append(
        self, *, timestamp: None, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> object | None:
        """Add a record and return something, or return None when it does not fit."""
        assert timestamp is None, "a timestamp of ours would be a clock in the log"
        size = len(key or b"") + len(value or b"")
        if self.records and size > self._bytes_left:
            return None
        self._bytes_left -= size
        self.records.append((key, value, tuple(headers)))
        return object()

    def record_count(self) -> int:
        """Return how many records were added."""
        return len(self.records)


class MemoryProducer:
    """Write transactions to the broker in memory."""

    def __init__(
        self,
        broker: MemoryBroker,
        network: Network,
        *,
        transactional_id: str,
        transaction_timeout_ms: int,
        acks: str,
        batch_bytes_max: int,
        refused: Callable[[TopicPartition], Exception | None] = lambda _partition: None,
        **_options: object,
    ) -> None:
        """Prepare; `refused` says with which error the broker refuses a batch to a partition, if it does."""
        assert acks == "all", "a record that not every replica has can be lost after its commit"
        self._broker, self._network = broker, network
        self._name, self._timeout_seconds = transactional_id, transaction_timeout_ms / 1_000
        self._batch_bytes_max = batch_bytes_max
        self._refused = refused
        self._producer, self._epoch = -1, -1
        self._in_transaction = False
        self._coordinator = asyncio.Lock()
        self._enlisted: set[TopicPartition] = set()
        self._sequences: dict[TopicPartition, int] = {}
        self._lanes: dict[TopicPartition, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Get producer id and epoch, which fences whoever had them."""
        self._producer, self._epoch = await request(
            self._network, lambda: self._broker.init_producer(self._name, self._timeout_seconds)
        )

    async def stop(self) -> None:
        """Wait for the batches that are on the way; end no transaction."""
        for lane in self._lanes.values():
            await asyncio.wait([lane])

    async def begin_transaction(self) -> None:
        """Begin; the broker hears of it with the first batch."""
        assert not self._in_transaction, "one transaction at a time"
        self._in_transaction = True
        self._enlisted.clear()

    def create_batch(self) -> MemoryBatch:
        """Return an empty batch."""
        return MemoryBatch(self._batch_bytes_max)

    async def send_batch(self, batch: MemoryBatch, topic: str, *, partition: int) -> "asyncio.Future[object]":
        """Hand a batch over; the future that is returned says where it was written."""
        self._must_be_open()
        to = TopicPartition(topic, partition)
        delivered = asyncio.get_running_loop().create_future()
        work = self._deliver(self._lanes.get(to), to, batch, delivered)
        self._lanes[to] = asyncio.get_running_loop().create_task(work)
        return delivered

    async def send_offsets_to_transaction(self, offsets: Mapping[TopicPartition, int], group_id: str) -> None:
        """Commit offsets of a group with the transaction."""
        self._must_be_open()
        records: list[Record] = [
            (offset_key(group_id, partition), str(position).encode(), ())
            for partition, position in offsets.items()
        ]
        await asyncio.shield(asyncio.get_running_loop().create_task(self._produce(OFFSETS, records)))

    async def commit_transaction(self) -> None:
        """Commit what was delivered. Whether everything was, the caller must have asked."""
        self._must_be_open()
        self._in_transaction = False
        await asyncio.shield(asyncio.get_running_loop().create_task(self._end()))

    async def _end(self) -> None:
        for lane in list(self._lanes.values()):
            await asyncio.wait([lane])
        async with self._coordinator:
            await request(
                self._network,
                lambda: self._broker.end(self._name, self._producer, self._epoch, commit=True),
            )

    async def _deliver(
        self,
        previous: "asyncio.Task[None] | None",
        to: TopicPartition,
        batch: MemoryBatch,
        delivered: "asyncio.Future[object]",
    ) -> None:
        if previous is not None:
            await asyncio.wait([previous])
        try:
            if (error := self._refused(to)) is not None:
                raise error
            position = await self._produce(to, batch.records)
        except KafkaError as error:
            if not delivered.done():
                delivered.set_exception(error)
        else:
            if not delivered.done():
                delivered.set_result(RecordMetadata(to.topic, to.partition, to, position, -1, 0, 0))

    async def _produce(self, to: TopicPartition, records: Sequence[Record]) -> int:
        async with self._coordinator:
            if to not in self._enlisted:
                await request(
                    self._network,
                    lambda: self._broker.add_partition(self._name, self._producer, self._epoch, to),
                )
                self._enlisted.add(to)
        sequence = self._sequences[to] = self._sequences.get(to, -1) + 1
        return await request(
            self._network,
            lambda: self._broker.produce(self._name, self._producer, self._epoch, to, sequence, records),
        )

    def _must_be_open(self) -> None:
        if not self._in_transaction:
            message = "not in a transaction"
            raise IllegalOperation(message)


class MemoryConsumer:
    """Read one partition of the broker in memory, without a group."""

    def __init__(
        self,
        broker: MemoryBroker,
        network: Network,
        *,
        isolation_level: str,
        auto_offset_reset: str,
        enable_auto_commit: bool,
        **_options: object,
    ) -> None:
        """Prepare to read."""
        assert auto_offset_reset == "none", "a lost offset is never guessed"
        assert not enable_auto_commit
        self._broker, self._network = broker, network
        self._committed_only = isolation_level == "read_committed"
        self._positions: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        """Connect."""
        await request(self._network, lambda: None)

    async def stop(self) -> None:
        """Close."""

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        """Read these partitions."""
        self._positions = dict.fromkeys(partitions, 0)

    def seek(self, partition: TopicPartition, position: int) -> None:
        """Read from here on."""
        self._positions[partition] = position

    async def position(self, partition: TopicPartition) -> int:
        """Return the position of the next record to be read."""
        return self._positions[partition]

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[Entry]]:
        """Return what there is, or after the timeout nothing."""
        found: dict[TopicPartition, list[Entry]] = {}
        for partition in partitions or tuple(self._positions):
            before = self._positions[partition]
            # A fetch ends where the broker likes, not where the reader would.
            records_max = min(max_records, self._network.rng.choice((1, 3, 10, 1_000)))
            entries, after = await request(
                self._network,
                lambda partition=partition, before=before, records_max=records_max: self._broker.logs[  # type: ignore[misc]
                    partition
                ].read(before, records_max=records_max, committed_only=self._committed_only),
            )
            self._positions[partition] = after
            if entries:
                found[partition] = entries
        if not found:
            await asyncio.sleep(timeout_ms / 1_000)
        return found

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the first positions."""
        return await request(
            self._network, lambda: {each: self._broker.logs[each].start for each in partitions}
        )

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the positions behind the last record that this reader may see."""
        return await request(self._network, lambda: {each: self._end_of(each) for each in partitions})

    def _end_of(self, partition: TopicPartition) -> int:
        log = self._broker.logs[partition]
        return log.last_stable if self._committed_only else log.high_watermark
