"""Bring a shard's memory back from its partition of pv.state.v1.

The partition is read to its high watermark, as a reader of uncommitted records sees it. Stopping at the last
stable offset, as read_committed readers would, can miss the previous owner's last transaction and is then a
silently wrong memory. The sink must be started first: then that transaction has an outcome, and reading gets there.

A store belongs to one fold and knows up to which position of the state partition that fold reflects it. A shard that
comes back to a worker that had it before is therefore restored from the tail alone: what other owners wrote meanwhile.
Taking a state record twice changes nothing, so the position may be behind what the fold holds, and never ahead of it.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pv_stream.errors import EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.stream.checkpoint import CHECKPOINT_KEY, Checkpoint
from pv_stream.stream.connection import client_options
from pv_stream.stream.topics import Topic, topic_name

POLL_MS = 200
POLL_RECORDS_MAX = 2_000


class TailLost(Exception):
    """Say that what is kept of a shard is not a beginning of what its state topic holds now."""


class Restorable(Protocol):
    """Anything that takes state records: the fold of a shard. Taking one a second time changes nothing."""

    def restore(self, key: bytes, value: bytes) -> None:
        """Take one state record."""

    def settle(self) -> None:
        """See that what was taken is whole. Raises EnvironmentBroken when it is not."""


class PartitionStore:
    """Read the states and the checkpoint of one shard into one fold, at first all, later what came since."""

    def __init__(self, *, shard: int, settings: Settings) -> None:
        """Prepare to read; nothing is connected before `restore`."""
        self._shard = shard
        self._settings = settings
        self._partition = TopicPartition(topic_name(Topic.STATE, settings), shard)
        self._checkpoint: Checkpoint | None = None
        #: Up to which position of the state partition the fold reflects it; None: it holds nothing, or a part.
        self.position: int | None = None
        #: How many records all restores read: a restore that takes long is seen to go on.
        self.records_read = 0

    def reflects(self, position: int, checkpoint: Checkpoint) -> None:
        """Take note that the fold went on: it holds every state that its sink wrote before a position."""
        self.position, self._checkpoint = position, checkpoint

    async def restore(self, fold: Restorable, *, abandoned: Callable[[], bool]) -> Checkpoint | None:
        """Fill the fold and return the checkpoint, or None for a shard that never committed.

        Always of the same fold. When `abandoned` becomes true (a rebalance has begun), return early with the fold
        as it was. Raises TailLost when the topic does not go on from what the fold holds, EnvironmentBroken when it
        or one of its records cannot be read.
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
        except ValueError as error:
            message = (
                f"shard {self._shard}: a record of its state is damaged, or of a schema that this version does not "
                "know: run the version that wrote it, or restore the topics from one backup"
            )
            raise EnvironmentBroken(message) from error

    async def _restore(self, fold: Restorable, abandoned: Callable[[], bool]) -> Checkpoint | None:
        start, high_watermark = await self._bounds()
        if self.position is not None and not start <= self.position <= high_watermark:
            raise TailLost
        begin = start if self.position is None else self.position
        newest = {} if begin == high_watermark else await self._newest(begin, high_watermark, abandoned)
        if abandoned():
            return self._checkpoint
        checkpoint = self._newer(newest.pop(CHECKPOINT_KEY, None))
        # Should this be interrupted, the fold holds a part: the next time all is read, which mends it.
        self.position = None
        for count, (key, value) in enumerate(newest.items()):
            fold.restore(key, value)
            if count % POLL_RECORDS_MAX == 0:
                await _give_a_turn()
        # Before the shard is open: what it lacks is said now, and not at the first record that comes.
        fold.settle()
        self.position, self._checkpoint = high_watermark, checkpoint
        return checkpoint

    def _newer(self, value: bytes | None) -> Checkpoint | None:
        """Return the checkpoint that holds now; it never goes back, or the topic is not the one that was read."""
        if value is None:
            return self._checkpoint
        checkpoint, known = Checkpoint.from_bytes(value, shard=self._shard), self._checkpoint
        if known is not None and checkpoint.next_position < known.next_position:
            raise TailLost
        return checkpoint

    async def _newest(
        self, begin: int, high_watermark: int, abandoned: Callable[[], bool]
    ) -> dict[bytes, bytes]:
        """Return the newest value of each key: what Kafka has not yet compacted is decoded once only."""
        newest: dict[bytes, bytes] = {}
        consumer = self._consumer("read_committed")
        await consumer.start()
        try:
            consumer.assign([self._partition])
            consumer.seek(self._partition, begin)
            while await consumer.position(self._partition) < high_watermark and not abandoned():
                fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS_MAX)
                for record in fetched.get(self._partition, ()):
                    self.records_read += 1
                    # Nothing of ours has no key; what somebody else wrote is no state.
                    if record.value is None:
                        newest.pop(record.key, None)
                    elif record.key is not None:
                        newest[record.key] = record.value
                await _give_a_turn()
        finally:
            await _stop(consumer)
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
            **client_options(self._settings),
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
