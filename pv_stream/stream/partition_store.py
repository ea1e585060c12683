"""Bring a shard's memory back from its partition of pv.state.v1.

The partition is read to its high watermark, as a reader of uncommitted records sees it. Stopping at the last
stable offset, as read_committed readers would, can miss the previous owner's last transaction and is then a
silently wrong memory. The sink must be started first: then that transaction has an outcome, and reading gets there.

The fold is filled anew each time. Keeping it and reading only the tail is left for later: `restore_from` would
become the position up to which it is known.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pv_stream.errors import EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.stream.checkpoint import CHECKPOINT_KEY, Checkpoint
from pv_stream.stream.topics import Topic, topic_name

POLL_MS = 200
POLL_RECORDS_MAX = 2_000


class Restorable(Protocol):
    """Anything that takes state records: the fold of a shard."""

    def restore(self, key: bytes, value: bytes) -> None:
        """Take one state record."""


class PartitionStore:
    """Read the states and the checkpoint of one shard."""

    def __init__(self, *, shard: int, settings: Settings) -> None:
        """Prepare to read; nothing is connected before `restore`."""
        self._shard = shard
        self._settings = settings
        self._partition = TopicPartition(topic_name(Topic.STATE, settings), shard)

    async def restore(self, fold: Restorable, *, abandoned: Callable[[], bool]) -> Checkpoint | None:
        """Fill the fold and return the checkpoint, or None for a shard that never committed.

        When `abandoned` becomes true (a rebalance has begun), return early with whatever was read.
        """
        try:
            return await asyncio.wait_for(
                self._restore(fold, abandoned), self._settings.restore_timeout_seconds
            )
        except TimeoutError as error:
            message = (
                f"shard {self._shard}: its state was not restored within {self._settings.restore_timeout_seconds:g} s: "
                "is Kafka reachable, and does another program hold a transaction open on the state topic?"
            )
            raise EnvironmentBroken(message) from error
        except KafkaError as error:
            message = f"shard {self._shard}: its state could not be read ({type(error).__name__})"
            raise EnvironmentBroken(message) from error

    async def _restore(self, fold: Restorable, abandoned: Callable[[], bool]) -> Checkpoint | None:
        start, high_watermark = await self._bounds()
        if start == high_watermark:
            return None
        consumer = self._consumer("read_committed")
        await consumer.start()
        try:
            consumer.assign([self._partition])
            consumer.seek(self._partition, start)
            newest = await self._read(consumer, high_watermark, abandoned)
        finally:
            await _stop(consumer)
        checkpoint = newest.pop(CHECKPOINT_KEY, None)
        for count, (key, value) in enumerate(newest.items()):
            fold.restore(key, value)
            if count % POLL_RECORDS_MAX == 0:
                await _give_a_turn()
        return None if checkpoint is None else Checkpoint.from_bytes(checkpoint, shard=self._shard)

    async def _read(
        self, consumer: AIOKafkaConsumer, high_watermark: int, abandoned: Callable[[], bool]
    ) -> dict[bytes, bytes]:
        """Return the newest value of each key: what Kafka has not yet compacted is decoded once only."""
        newest: dict[bytes, bytes] = {}
        while await consumer.position(self._partition) < high_watermark and not abandoned():
            fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS_MAX)
            for record in fetched.get(self._partition, ()):
                # Nothing of ours has no key or no value; what somebody else wrote is no state.
                if record.key is not None and record.value is not None:
                    newest[record.key] = record.value
            await _give_a_turn()
        return newest

    async def _bounds(self) -> tuple[int, int]:
        consumer = self._consumer("read_uncommitted")
        await consumer.start()
        try:
            starts = await consumer.beginning_offsets([self._partition])
            ends = await consumer.end_offsets([self._partition])
        finally:
            await _stop(consumer)
        return starts[self._partition], ends[self._partition]

    def _consumer(self, isolation_level: str) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap_servers,
            client_id=f"{self._settings.group_id}-restore-{self._shard}",
            isolation_level=isolation_level,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=8 * 1024 * 1024,
        )


async def _give_a_turn() -> None:
    """Let the loop notice a rebalance or a signal during a large restore."""
    await asyncio.sleep(0)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    # aiokafka cancels its own tasks; one that never had a turn would pass the cancellation on to us.
    await _give_a_turn()
    await consumer.stop()
