"""The input log as a transactional producer sees it: prepare, commit, and afterwards ask whether it was committed.

Everything of one `prepare` becomes visible together or never. When the answer to a commit is lost, its outcome is
settled so: `open` starts a producer with the same transactional id, which makes the coordinator end the old
transaction, one way or the other, and fences the old producer, so that nothing can change it any more. Then `holds`
reads one record of the transaction, whose position the broker had confirmed before the commit began, as a reader of
committed records sees it: there, it was committed; passed over, it was not.

aiokafka leaves broken pieces behind when one of its calls is cancelled, so a call that takes too long goes on
unseen in a task of its own, with a producer that is fenced.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced, UnknownTopicOrPartitionError

from pv_stream.domain.ids import shard_of
from pv_stream.errors import ConnectionFailed, EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.stream.connection import client_options, missing
from pv_stream.stream.topics import MESSAGE_BYTES_MAX, Topic, topic_name

#: (key, value) of one event; the key is the patient's.
Event = tuple[bytes, bytes]
BATCH_BYTES_MAX: Final = 512 * 1024
#: What one event may be: the topic's limit, less what a batch adds.
EVENT_BYTES_MAX: Final = MESSAGE_BYTES_MAX[Topic.EVENTS] - 64 * 1024
_REQUEST_SECONDS_MAX: Final = 5.0
_STOP_SECONDS_MAX: Final = 2.0
_POLL_MS: Final = 200

#: aiokafka asserts the order of its states, and an error from outside breaks that order.
_CLIENT_ERRORS: Final = (KafkaError, OSError, AssertionError)

_T = TypeVar("_T")


class AttemptFailed(ConnectionFailed):
    """Say why an attempt did not come to its end: the type of the client's error, never its text."""


class Fenced(AttemptFailed):
    """Say that another producer took the transactional id over."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Hold one record of a transaction, with the position that the broker confirmed."""

    partition: int
    position: int
    value: bytes


class EventLog:
    """Write to `pv.clinical.events.v1`, one transaction at a time.

    Every method that asks Kafka raises AttemptFailed when it does not answer in time, or refuses. After a failure
    the log is not open.
    """

    def __init__(self, settings: Settings, *, transactional_id: str) -> None:
        """Prepare; nothing is connected before `open`."""
        self.transactional_id: Final = transactional_id
        self._settings = settings
        self._topic = topic_name(Topic.EVENTS, settings)
        # Preparing and committing together stay below the time after which the coordinator itself aborts.
        self._attempt_seconds_max = settings.transaction_timeout_seconds / 3
        self._producer: AIOKafkaProducer | None = None
        self._shard_count: int | None = None
        self._unseen: set[asyncio.Task[Any]] = set()

    @property
    def is_open(self) -> bool:
        """Tell whether a producer is ready."""
        return self._producer is not None

    async def open(self) -> None:
        """Start a producer, which ends the last transaction of this id and fences its producer."""
        self.abandon()
        asyncio.get_running_loop().set_exception_handler(_pass_over_client_errors)
        producer = AIOKafkaProducer(
            **client_options(self._settings),
            client_id=self.transactional_id,
            transactional_id=self.transactional_id,
            transaction_timeout_ms=int(self._settings.transaction_timeout_seconds * 1000),
            request_timeout_ms=int(_REQUEST_SECONDS_MAX * 1000),
            acks="all",
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=MESSAGE_BYTES_MAX[Topic.EVENTS],
        )
        try:
            async with asyncio.timeout(self._attempt_seconds_max):
                await producer.start()
                self._check_shard_count(len(await self._partitions(producer)))
        except _CLIENT_ERRORS as error:
            self._leave(producer.stop())
            raise _attempt_failed(error) from error
        except BaseException:
            self._leave(producer.stop())
            raise
        self._producer = producer

    async def prepare(self, events: Sequence[Event]) -> Prepared:
        """Send events within a new transaction, and return when the brokers have confirmed all of them."""
        return await self._attempt(self._prepare(self._opened, events))

    async def commit(self) -> None:
        """Commit what was prepared. After a failure its outcome is unknown: `open` and ask `holds`."""
        await self._attempt(self._opened.commit_transaction())

    async def holds(self, prepared: Prepared) -> bool:
        """Tell whether a transaction that was ended by a later `open` had been committed."""
        consumer = AIOKafkaConsumer(
            **client_options(self._settings),
            client_id=self.transactional_id,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            request_timeout_ms=int(_REQUEST_SECONDS_MAX * 1000),
        )
        try:
            # Another writer's open transaction may hide the place for as long as its timeout.
            async with asyncio.timeout(self._settings.transaction_timeout_seconds):
                await consumer.start()
                return await self._reads(consumer, prepared)
        except _CLIENT_ERRORS as error:
            raise _attempt_failed(error) from error
        finally:
            self._leave(consumer.stop())

    def abandon(self) -> None:
        """Give the producer up, with whatever it had begun."""
        if self._producer is not None:
            self._leave(self._producer.stop())
            self._producer = None

    async def close(self) -> None:
        """Close the connections; what is still unfinished after a short time is cancelled."""
        self.abandon()
        if self._unseen:
            _, left = await asyncio.wait(self._unseen, timeout=_STOP_SECONDS_MAX)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    @property
    def _opened(self) -> AIOKafkaProducer:
        assert self._producer is not None, "the log is not open"
        return self._producer

    async def _attempt(self, work: Coroutine[Any, Any, _T]) -> _T:
        task = self._leave(work)
        done, _ = await asyncio.wait({task}, timeout=self._attempt_seconds_max)
        try:
            return task.result() if done else _no_answer()
        except BaseException as error:
            self.abandon()
            if isinstance(error, _CLIENT_ERRORS):
                raise _attempt_failed(error) from error
            raise

    def _leave(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        """Let something go on in its own task; how it ends is looked at, so that nobody misses it."""
        task = asyncio.create_task(work)
        self._unseen.add(task)
        task.add_done_callback(self._unseen.discard)
        task.add_done_callback(_look_at)
        return task

    async def _partitions(self, producer: AIOKafkaProducer) -> set[int]:
        try:
            found: set[int] = await producer.partitions_for(self._topic)
        except UnknownTopicOrPartitionError as error:
            if self._shard_count is not None:
                raise  # a cluster that comes back knows its topics a little later
            raise missing([self._topic], self._settings) from error
        return found

    def _check_shard_count(self, count: int) -> None:
        if self._shard_count not in {None, count}:
            message = (
                f"the topic {self._topic} had {self._shard_count} partitions and now has {count}: a patient's shard "
                "depends on the count, so it is never changed; start a new log"
            )
            raise EnvironmentBroken(message)
        self._shard_count = count

    async def _prepare(self, producer: AIOKafkaProducer, events: Sequence[Event]) -> Prepared:
        assert self._shard_count is not None, "an open log knows its partitions"
        by_shard: dict[int, list[Event]] = {}
        for key, value in events:
            by_shard.setdefault(shard_of(key.decode(), self._shard_count), []).append((key, value))
        await producer.begin_transaction()
        sent = [await self._send(producer, shard, each) for shard, each in by_shard.items()]
        # Every delivery is awaited: one that failed must not be committed without.
        confirmed = await asyncio.gather(*(delivery for deliveries in sent for delivery in deliveries))
        if any(each.offset is None or each.offset < 0 for each in confirmed):
            message = "a delivery without a position"
            raise AttemptFailed(message)
        (_, first), *_ = by_shard[confirmed[0].partition]
        return Prepared(confirmed[0].partition, confirmed[0].offset, first)

    async def _send(
        self, producer: AIOKafkaProducer, shard: int, events: Sequence[Event]
    ) -> "list[asyncio.Future[Any]]":
        deliveries: list[asyncio.Future[Any]] = []

        async def send(batch: Any) -> None:
            delivery = await producer.send_batch(batch, self._topic, partition=shard)
            delivery.add_done_callback(_look_at)
            deliveries.append(delivery)

        batch = producer.create_batch()
        for key, value in events:
            if batch.append(timestamp=None, key=key, value=value) is None:
                await send(batch)
                batch = producer.create_batch()
                # An empty batch takes any record; `EVENT_BYTES_MAX` keeps it within the topic's limit.
                batch.append(timestamp=None, key=key, value=value)
        await send(batch)
        return deliveries

    async def _reads(self, consumer: AIOKafkaConsumer, prepared: Prepared) -> bool:
        partition = TopicPartition(self._topic, prepared.partition)
        consumer.assign([partition])
        consumer.seek(partition, prepared.position)
        while await consumer.position(partition) <= prepared.position:
            fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=1)
            for record in fetched.get(partition, ()):
                return bool(record.offset == prepared.position and record.value == prepared.value)
        return False


def _attempt_failed(error: Exception) -> AttemptFailed:
    kind = Fenced if isinstance(error, ProducerFenced | InvalidProducerEpoch) else AttemptFailed
    return kind(type(error).__name__)


def _no_answer() -> NoReturn:
    raise TimeoutError


def _pass_over_client_errors(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of errors in futures that aiokafka makes for itself and forgets."""
    if not isinstance(context.get("exception"), _CLIENT_ERRORS):
        loop.default_exception_handler(context)


def _look_at(done: "asyncio.Future[Any]") -> None:
    """Take notice of how something ended that nobody waits for any more."""
    if not done.cancelled():
        done.exception()
