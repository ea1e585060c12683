"""Bring a shard's memory back from its partition of pv.state.v1.

The partition is read to its high watermark, as a reader of uncommitted records sees it. Stopping at the last
stable offset, as read_committed readers would, can miss the previous owner's last transaction and is then a
silently wrong memory. The sink must be started first: then that transaction has an outcome, and reading gets there.

A store belongs to one fold and knows up to which position of the state partition that fold reflects it. A shard that
comes back to a worker that had it before is therefore restored from the tail alone: what other owners wrote meanwhile.
Taking a state record twice changes nothing, so the position may be behind what the fold holds, and never ahead of it.

The partition is read first, to know which record of each key is the newest, and then those are taken: decoding one
costs more than reading many. Of the values so many are kept as there is room for; the others are read once more. Both
are work for minutes in a large shard, so the loop turns every few milliseconds, and a restore that a rebalance breaks
off goes on where it was when the shard comes back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pv_stream.errors import EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.stream.checkpoint import CHECKPOINT_KEY, Checkpoint
from pv_stream.stream.connection import client_options
from pv_stream.stream.topics import Topic, topic_name

POLL_MS = 200
POLL_RECORDS_MAX = 2_000
#: For how long states are taken before the loop turns: for it wait /livez, a signal, the commits of other shards.
TURN_SECONDS: Final = 0.01
#: How many bytes of values are kept until they are taken: more than that are read twice.
VALUES_BYTES_MAX: Final = 64 * 1024 * 1024


class TailLost(Exception):
    """Say that what is kept of a shard is not a beginning of what its state topic holds now."""


class Restorable(Protocol):
    """Anything that takes state records: the fold of a shard. Taking one a second time changes nothing."""

    def restore(self, key: bytes, value: bytes) -> None:
        """Take one state record."""

    def settle(self) -> None:
        """See that what was taken is whole. Raises EnvironmentBroken when it is not."""


class Newest:
    """Hold which record of each key is the newest that was read and not taken, and its value while there is room."""

    def __init__(self) -> None:
        """Begin with none."""
        self.positions: dict[bytes, int] = {}
        self._values: dict[bytes, bytes] = {}
        self._bytes = 0

    def put(self, key: bytes, value: bytes | None, position: int) -> None:
        """Take note of a record; one without a value takes its key away."""
        self._let_go(key)
        if value is None:
            self.positions.pop(key, None)
            return
        self.positions[key] = position
        if self._bytes + len(value) <= VALUES_BYTES_MAX:
            self._values[key] = value
            self._bytes += len(value)

    def taken(self, key: bytes) -> None:
        """Forget a key."""
        self._let_go(key)
        del self.positions[key]

    def values(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys and values that are kept; each may be forgotten on the way."""
        yield from ((key, self._values[key]) for key in tuple(self._values))

    def forget_values(self) -> None:
        """Forget the values, and read them again when they are wanted."""
        self._values, self._bytes = {}, 0

    def _let_go(self, key: bytes) -> None:
        self._bytes -= len(self._values.pop(key, b""))


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
        #: Up to which position what the fold holds and what is still to be taken reflect it together.
        self._read_to: int | None = None
        self._newest = Newest()
        #: The latest checkpoint record that was read.
        self._latest: bytes | None = None
        #: How many records all restores read.
        self.records_read = 0
        #: What all restores did so far, read or taken: it grows while one gets on.
        self.steps = 0

    def reflects(self, position: int, checkpoint: Checkpoint) -> None:
        """Take note that the fold went on: it holds every state that its sink wrote before a position."""
        self.position = self._read_to = position
        self._checkpoint = checkpoint

    async def restore(self, fold: Restorable, *, abandoned: Callable[[], bool]) -> Checkpoint | None:
        """Fill the fold and return the checkpoint, or None for a shard that never committed.

        Always of the same fold. When `abandoned` becomes true (a rebalance has begun), return early: the fold may then
        hold a part, and the next restore goes on from there. Raises TailLost when the topic does not go on from what
        was read, EnvironmentBroken when it or one of its records cannot be read, or nothing gets on for too long.
        """
        seconds = self._settings.restore_timeout_seconds
        try:
            async with asyncio.timeout(seconds) as deadline:
                return await self._restore(fold, _Pace(self, deadline, seconds), abandoned)
        except TimeoutError as error:
            message = (
                f"shard {self._shard}: the restore of its state did not get on for {seconds:g} s: "
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

    async def _restore(
        self, fold: Restorable, pace: "_Pace", abandoned: Callable[[], bool]
    ) -> Checkpoint | None:
        if abandoned():
            return self._checkpoint
        start, high_watermark = await self._bounds()
        begin = start if self._read_to is None else self._read_to
        if not start <= begin <= high_watermark:
            raise TailLost
        await self._find_newest(begin, high_watermark, pace, abandoned)
        if abandoned():
            self._newest.forget_values()
            return self._checkpoint
        self._checkpoint = self._newer(self._latest)
        # Should this be interrupted, the fold holds a part, and what is to be taken is known.
        self.position = None
        await self._take_newest(fold, pace, abandoned)
        if abandoned():
            self._newest.forget_values()
            return self._checkpoint
        # Before the shard is open: what it lacks is said now, and not at the first record that comes.
        fold.settle()
        self.position = high_watermark
        return self._checkpoint

    def _newer(self, value: bytes | None) -> Checkpoint | None:
        """Return the checkpoint that holds now; it never goes back, or the topic is not the one that was read."""
        if value is None:
            return self._checkpoint
        checkpoint, known = Checkpoint.from_bytes(value, shard=self._shard), self._checkpoint
        if known is not None and checkpoint.next_position < known.next_position:
            raise TailLost
        self._latest = None
        return checkpoint

    async def _find_newest(
        self, begin: int, high_watermark: int, pace: "_Pace", abandoned: Callable[[], bool]
    ) -> None:
        """Learn which record of each key is the newest: what Kafka has not yet compacted is decoded once only."""

        async def note(records: Sequence[Any], read_to: int) -> None:
            for record in records:
                # Nothing of ours has no key; what somebody else wrote is no state.
                if record.key == CHECKPOINT_KEY:
                    self._latest = record.value
                elif record.key is not None:
                    self._newest.put(record.key, record.value, record.offset)
            self.records_read += len(records)
            self._read_to = read_to

        await self._read(begin, high_watermark, note, pace, abandoned)
        if not abandoned():
            self._read_to = high_watermark

    async def _take_newest(self, fold: Restorable, pace: "_Pace", abandoned: Callable[[], bool]) -> None:
        """Let the fold take the newest record of each key: those that are kept, then those that are read again."""
        newest = self._newest

        async def take(found: Iterable[tuple[bytes, bytes]]) -> None:
            for key, value in found:
                if abandoned():
                    return
                fold.restore(key, value)
                newest.taken(key)
                await pace.got_on()

        async def take_again(records: Sequence[Any], _read_to: int) -> None:
            await take((each.key, each.value) for each in records if _is_newest(each, newest.positions))

        await take(newest.values())
        if newest.positions and not abandoned():
            positions = newest.positions.values()
            await self._read(min(positions), max(positions) + 1, take_again, pace, abandoned)
        if newest.positions and not abandoned():
            raise TailLost  # what was the newest is gone: taken away meanwhile, or the topic was made anew

    async def _read(
        self,
        begin: int,
        end: int,
        use: Callable[[Sequence[Any], int], Awaitable[None]],
        pace: "_Pace",
        abandoned: Callable[[], bool],
    ) -> None:
        """Read between two positions; `use` is given what each fetch brought, and where the next goes on."""
        if begin >= end:
            return
        consumer = self._consumer("read_committed")
        await consumer.start()
        try:
            consumer.assign([self._partition])
            consumer.seek(self._partition, begin)
            while (position := await consumer.position(self._partition)) < end and not abandoned():
                fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS_MAX)
                read_to = await consumer.position(self._partition)
                await use(fetched.get(self._partition, ()), read_to)
                if read_to > position:
                    await pace.got_on()
                await _give_a_turn()
        finally:
            await _stop(consumer)

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


class _Pace:
    """Note that a restore gets on: its deadline moves, and every few milliseconds the loop turns."""

    def __init__(self, store: PartitionStore, deadline: asyncio.Timeout, seconds: float) -> None:
        """Begin; without getting on for so many seconds the deadline comes."""
        self._store = store
        self._deadline = deadline
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._turned = self._loop.time()

    async def got_on(self) -> None:
        """Count one more step."""
        self._store.steps += 1
        now = self._loop.time()
        if now - self._turned >= TURN_SECONDS:
            self._deadline.reschedule(now + self._seconds)
            await _give_a_turn()
            self._turned = self._loop.time()


def _is_newest(record: Any, positions: Mapping[bytes, int]) -> bool:
    return record.value is not None and positions.get(record.key) == record.offset


async def _give_a_turn() -> None:
    """Let the loop notice a rebalance or a signal during a large restore."""
    await asyncio.sleep(0)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    # aiokafka cancels its own tasks; one that never had a turn would pass the cancellation on to us.
    await _give_a_turn()
    await consumer.stop()
