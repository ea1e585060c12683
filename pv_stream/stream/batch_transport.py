"""A Faust transport that yields one message per fetched run of records, instead of one per record.

An agent then works at the speed of the client underneath, and everything else of Faust stays: worker, rebalancing,
signals. Three things differ from Faust's own aiokafka transport, and each is what exactly-once rests on:

* read_committed, and no automatic offset reset: an aborted record is never read, a lost offset is never guessed;
* nothing is ever committed from here: the transactional sink commits offsets together with outputs;
* after a rebalance each partition is sought to its checkpoint, and is not fetched before.

It knows nothing of engines, outputs or states.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, cast

import aiokafka
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError, NoOffsetForPartitionError
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from pv_stream.shard.fold import RawRecord
from pv_stream.stream.runs import FetchedRun
from pv_stream.stream.worker_log import Said, say

SCHEME = "kafkaruns"
#: How long the broker may hold a fetch that finds nothing. aiokafka has one fetch in flight per broker, and a
#: partition that was just emptied waits for it: Faust's 1.5 s would be a latency that somebody sees.
FETCH_WAIT_MS = 100
#: How soon a leader of the group sees that it has shared out no partitions, because a broker that had just come back
#: did not know the topic yet: then it shares them out anew. The client's own 5 minutes would be 5 without alerts.
METADATA_AGE_MS = 5_000
FETCH_BYTES_MAX = 4 * 1024 * 1024
#: How long one fetch call may wait for records: a partition that becomes fetchable meanwhile waits as long.
POLL_SECONDS = 0.1
IDLE_SECONDS = 0.02
#: How long the consumer may take to leave its group when the worker stops.
LEAVE_SECONDS_MAX = 5.0


def register() -> None:
    """Make the transport known to Faust's plug-in registry under its URL scheme."""
    TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"


class RawFetches(OrderedDict[TopicPartition, Any]):
    """Hold what was fetched of each partition, as aiokafka's own buffer does, and let it be read as raw records.

    aiokafka would make each record twice as large first, which costs more than to read it from its batch. What is read
    and what is passed over (aborted records, markers) stays aiokafka's decision.
    """

    def __init__(self) -> None:
        """Begin with nothing fetched."""
        super().__init__()
        #: When the first record since the last look was written, in milliseconds since the epoch.
        self.written_ms: dict[TopicPartition, int] = {}

    def __setitem__(self, tp: TopicPartition, fetched: Any) -> None:
        """Take what a fetch brought; an error of a fetch stays as it is."""
        if isinstance(fetched, FetchResult):
            fetched._partition_records._consumer_record = self._raw_record  # noqa: SLF001 - see above
        super().__setitem__(tp, fetched)

    def _raw_record(self, tp: TopicPartition, record: Any) -> RawRecord:
        if tp not in self.written_ms:
            self.written_ms[tp] = record.timestamp
        return RawRecord(record.offset, record.key, record.value)


class RunConsumer(aiokafka.AIOKafkaConsumer):
    """A consumer that gives raw records."""

    raw_fetches: RawFetches

    async def start(self) -> None:
        """Connect. Nothing is fetched yet: the topic is subscribed to later."""
        await super().start()
        self.raw_fetches = self._fetcher._records = RawFetches()  # noqa: SLF001 - there is no other way in


class RunConsumerThread(driver.AIOKafkaConsumerThread):
    """Fetch runs in the consumer's own thread, so that heartbeats go on while the engine computes."""

    def __post_init__(self) -> None:
        """Prepare the positions that the next fetches must continue."""
        super().__post_init__()
        #: Partition -> (generation, position): set by a seek, moved by each fetch. Only touched in this thread.
        self._expected: dict[TP, tuple[int, int]] = {}

    def _create_worker_consumer(self, transport: driver.Transport) -> RunConsumer:
        conf = self.app.conf
        return RunConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=cast("Any", self.app).static_member,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=METADATA_AGE_MS,
            **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )

    # Faust types what it passes between its classes as lists of records; here it is runs, hence Any.
    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's
        """Fetch one run per active partition."""
        # A copy: Faust changes its set in another thread, and an empty one would mean every partition.
        wanted = frozenset(active_partitions or ())
        return await self.call_thread(self._fetch_runs, wanted, timeout)

    async def _fetch_runs(self, wanted: frozenset[TP], wait_seconds: float) -> dict[TP, FetchedRun]:
        consumer = self._ensure_consumer()
        generation = consumer._coordinator.generation  # noqa: SLF001 - Faust itself reads it there
        positioned = {tp for tp in wanted if self._expected.get(tp, (None, 0))[0] == generation}
        if not positioned or not self.consumer.flow_active:
            await asyncio.sleep(IDLE_SECONDS)
            return {}
        try:
            fetched = await self._fetch_records(
                consumer,
                {TopicPartition(tp.topic, tp.partition) for tp in positioned},
                timeout=min(wait_seconds, POLL_SECONDS),
                max_records=consumer._max_poll_records,  # noqa: SLF001 - as Faust's own transport does
            )
        except NoOffsetForPartitionError:
            if consumer._coordinator.generation == generation:  # noqa: SLF001 - as above
                raise
            # The group was shared out anew while the fetch waited, and has committed nothing yet. Every partition is
            # sought to its checkpoint before it is read again.
            return {}
        # No await from here on: generation and positions are those of the fetch.
        return self._runs(consumer, positioned, fetched)

    def _runs(
        self, consumer: RunConsumer, positioned: set[TP], fetched: Mapping[TopicPartition, Any]
    ) -> dict[TP, FetchedRun]:
        generation = consumer._coordinator.generation  # noqa: SLF001
        assignment = consumer._subscription.subscription.assignment  # noqa: SLF001
        runs = {}
        for tp in positioned:
            kafka_tp = TopicPartition(tp.topic, tp.partition)
            expected_generation, position = self._expected.get(tp, (None, 0))
            if expected_generation != generation or kafka_tp not in assignment.tps:
                continue
            if not assignment.state_value(kafka_tp).has_valid_position:
                continue  # joined again under a lasting name, in the same generation: it is sought first
            next_position = assignment.state_value(kafka_tp).position
            records: tuple[RawRecord, ...] = tuple(fetched.get(kafka_tp, ()))
            written_ms = consumer.raw_fetches.written_ms.pop(kafka_tp, None)
            # Without records the position moves past markers and aborted records: the shard hears of it too.
            if records or next_position > position:
                self._expected[tp] = (generation, next_position)
                runs[tp] = FetchedRun(tp.partition, generation, position, next_position, records, written_ms)
        return runs

    async def _seek_wait(self, consumer: RunConsumer, partitions: Mapping[TP, int]) -> None:
        generation = consumer._coordinator.generation  # noqa: SLF001
        for tp, position in partitions.items():
            kafka_tp = TopicPartition(tp.topic, tp.partition)
            consumer.seek(kafka_tp, position)
            consumer.raw_fetches.written_ms.pop(kafka_tp, None)
            self._expected[tp] = (generation, position)

    async def committed_offset(self, tp: TP) -> int | None:
        """Return the offset that the group has committed, or None."""
        offset: int | None = await self.call_thread(
            self._ensure_consumer().committed, TopicPartition(tp.topic, tp.partition)
        )
        return offset

    async def log_bounds(self, tp: TP) -> tuple[int, int]:
        """Return the first offset of a partition, and the one after its last stable record."""
        kafka_tp = TopicPartition(tp.topic, tp.partition)
        consumer = self._ensure_consumer()
        starts = await self.call_thread(consumer.beginning_offsets, [kafka_tp])
        ends = await self.call_thread(consumer.end_offsets, [kafka_tp])
        return starts[kafka_tp], ends[kafka_tp]

    def last_seen_end(self, tp: TP) -> tuple[int, float] | None:
        """Return the end of a partition as the last fetch saw it, and when that was; None before.

        Records of open transactions are before it: until these end, what was committed behind them waits as well. A
        reader that is not behind stands at it, since the position moves past markers and aborted records too.
        """
        consumer = self._consumer
        subscription = None if consumer is None else consumer._subscription.subscription  # noqa: SLF001
        assignment = None if subscription is None else subscription.assignment
        kafka_tp = TopicPartition(tp.topic, tp.partition)
        if assignment is None or kafka_tp not in assignment.tps:
            return None
        state = assignment.state_value(kafka_tp)
        # Only looked at: the two values are of one fetch, or of two that followed each other.
        return None if state.highwater is None else (state.highwater, state.timestamp / 1_000)

    def group_error(self) -> KafkaError | None:
        """Return an error of the group that waits to be raised; only a fetch would, and without shards none is made."""
        coordinator = None if self._consumer is None else self._consumer._coordinator  # noqa: SLF001
        error: KafkaError | None = getattr(coordinator, "_pending_exception", None)
        return error

    def member_id(self) -> str:
        """Return by which id the coordinator knows this member; empty while it does not."""
        coordinator = None if self._consumer is None else self._consumer._coordinator  # noqa: SLF001
        return str(getattr(coordinator, "member_id", ""))

    async def partition_count(self, topic: str) -> int:
        """Return how many partitions a subscribed topic has."""
        return len(await self.call_thread(self._partitions, topic))

    async def _partitions(self, topic: str) -> frozenset[int]:
        cluster = self._ensure_consumer()._client.cluster  # noqa: SLF001
        return frozenset(cluster.partitions_for_topic(topic) or ())

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Check nothing: Faust's check watches its own commits, and it makes none here."""

    async def on_thread_stop(self) -> None:
        """Leave the group, unless that fails or takes long: without a broker there is nobody to say goodbye to.

        What is raised here, also aiokafka's CancelledError, would keep Faust waiting for this thread.
        """
        try:
            async with asyncio.timeout(LEAVE_SECONDS_MAX):
                await super().on_thread_stop()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the thread ends either way
            say(Said.CONSUMER_NOT_CLOSED, error=type(error).__name__)

    def on_crash(self, msg: str, *fmt: Any, **kwargs: Any) -> None:
        """Print no trace: the crash makes Faust give up, and the worker says why in one line."""


class Consumer(driver.Consumer):
    """Yield runs, seek to checkpoints, commit nothing."""

    _thread: RunConsumerThread

    def __post_init__(self) -> None:
        """Start with no partition held back."""
        super().__post_init__()
        self._held: set[TP] = set()

    def _new_consumer_thread(self) -> RunConsumerThread:
        return RunConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def hold(self, tp: TP) -> None:
        """Fetch no more of a partition: enough of it waits."""
        self._held.add(tp)

    def release(self, tp: TP) -> None:
        """Fetch a partition again."""
        self._held.discard(tp)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's
        wanted = set(active_partitions or ()) - self._held
        return await self._thread.getmany(wanted, timeout)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109 - Faust's
        """Yield one message per run of the present generation.

        A run that is dropped here leaves no gap: flow stops and generations change only in a rebalance, and after
        it every partition is sought to its checkpoint.
        """
        fetched, _ = await self._wait_next_records(timeout)
        runs = cast("dict[TP, FetchedRun]", fetched or {})
        for tp, run in runs.items():
            if self.should_stop or not self.flow_active or run.generation != self.app.consumer_generation_id:
                return
            yield tp, self._run_message(tp, run)

    def _run_message(self, tp: TP, run: FetchedRun) -> ConsumerMessage:
        make_message: Any = ConsumerMessage  # its types say bytes, its code does not care
        message: ConsumerMessage = make_message(
            tp.topic,
            tp.partition,
            run.position,
            None,  # no timestamp: it would be the broker's, and nothing here may depend on it
            None,
            None,
            None,
            run,
            None,
            None,
            None,
            tp,
            generation_id=run.generation,
        )
        return message

    async def perform_seek(self) -> None:
        """Seek each partition to the checkpoint of its open shard, where Faust would seek to the committed offset."""
        positions = cast("Any", self.app).checkpoint_positions()
        for tp in self.assignment():
            self._read_offset[tp] = None
        await self._thread.seek_wait({tp: at for tp, at in positions.items() if tp in self.assignment()})

    async def commit(self, *_args: Any, **_options: Any) -> bool:
        """Commit nothing: the sink commits offsets in the transaction of the outputs."""
        return False

    async def committed_offset(self, tp: TP) -> int | None:
        """Return the offset that the group has committed, or None."""
        return await self._thread.committed_offset(tp)

    async def log_bounds(self, tp: TP) -> tuple[int, int]:
        """Return the first offset of a partition, and the one after its last stable record."""
        return await self._thread.log_bounds(tp)

    def last_seen_end(self, tp: TP) -> tuple[int, float] | None:
        """Return the end of a partition as the last fetch saw it, and when that was; None before."""
        return self._thread.last_seen_end(tp)

    def group_error(self) -> KafkaError | None:
        """Return an error of the group that waits to be raised, or None."""
        return self._thread.group_error()

    def member_id(self) -> str:
        """Return by which id the coordinator knows this worker; empty while it does not."""
        return self._thread.member_id()

    async def partition_count(self, topic: str) -> int:
        """Return how many partitions a subscribed topic has."""
        return await self._thread.partition_count(topic)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Check nothing: see RunConsumerThread."""


class Transport(driver.Transport):
    """Faust's aiokafka transport with the run consumer."""

    Consumer: ClassVar[type[Consumer]] = Consumer
