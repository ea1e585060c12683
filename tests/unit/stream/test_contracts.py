"""What the live worker rests on in faust-streaming, mode and aiokafka, which promise none of it.

A new version of one of them fails here first, and says what has changed. Then read each place that is named, compare
it with the use that is told beside it, run `make test` and the chaos suite, and only then write the new version and
the new digests here. Behaviour on a real broker is tested in tests/integration.
"""

import asyncio
import hashlib
import inspect
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiokafka
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment, TopicPartitionState
from aiokafka.errors import NoOffsetForPartitionError
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator, MessageBatch
from aiokafka.producer.sender import SendProduceReqHandler
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import RecordMetadata, TopicPartition
from faust.app.base import App
from faust.tables.recovery import Recovery
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from faust.types.enums import ProcessingGuarantee
from mode import Service
from mode.threads import MethodQueue, QueueServiceThread

from pv_stream.settings import Settings
from pv_stream.shard.fold import RawRecord
from pv_stream.stream import batch_transport
from pv_stream.stream.app import STREAM_BUFFER_RUNS, WorkerApp, build_app

VERSIONS = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14.0"}

#: Code that we replace, call below its surface, or whose order of steps we need; why; and a digest of its text.
READ: list[tuple[Callable[..., Any], str, str]] = [
    (
        Recovery._resume_streams,
        "shards are opened (on_rebalance_complete) before the seek, fetching begins after it",
        "d986a6710c1a",
    ),
    (App._on_partitions_revoked, "shards are closed before the group goes on", "d5c895bbe57d"),
    (
        App._on_partitions_assigned,
        "an assignment leads to the recovery above, also without tables",
        "de932b7927db",
    ),
    (faust_consumer.Consumer._wait_next_records, "calls _getmany with the active partitions", "6218e1969a63"),
    (
        faust_consumer.Consumer.perform_seek,
        "replaced: it would seek to the committed offsets",
        "0e8c130ff4b0",
    ),
    (
        faust_consumer.Consumer._get_active_partitions,
        "a set that another thread may change: it is copied",
        "b24897f3c7af",
    ),
    (
        driver.AIOKafkaConsumerThread._create_worker_consumer,
        "replaced: each option of it was decided anew",
        "c2701bfc3e6f",
    ),
    (driver.AIOKafkaConsumerThread.getmany, "replaced: it would unpack runs into records", "26fc5fc9f3b6"),
    (
        driver.AIOKafkaConsumerThread._fetch_records,
        "called with partitions, a wait and a number of records",
        "39a2c6c79fc1",
    ),
    (driver.AIOKafkaConsumerThread.seek_wait, "runs _seek_wait in the consumer's thread", "12e8d34e554e"),
    (
        driver.AIOKafkaConsumerThread._seek_wait,
        "replaced: the next fetch must continue the seek",
        "9d221e816d94",
    ),
    (
        driver.AIOKafkaConsumerThread.verify_event_path,
        "replaced: it watches commits that are never made",
        "b983e7735f64",
    ),
    (
        driver.AIOKafkaConsumerThread.on_thread_stop,
        "wrapped: what it raises would keep Faust waiting",
        "8dfc004e258b",
    ),
    (QueueServiceThread.call_thread, "runs a coroutine in the consumer's thread", "479edda75b54"),
    (QueueServiceThread.on_crash, "replaced: it prints a trace, which may quote records", "d1b1624686ba"),
    (MethodQueue.flush, "calls that wait when the thread stops", "fe97a2666990"),
    (
        Fetcher.fetched_records,
        "returns records and moves the position past markers and aborted records",
        "be4348896b9b",
    ),
    (
        PartitionRecords._unpack_records,
        "passes over aborted records and markers, and makes each other record with _consumer_record",
        "b803e6d46480",
    ),
    (PartitionRecords._consumer_record, "replaced: it would make a record twice as large", "e668541600b0"),
    (
        Fetcher._proc_fetch_request,
        "puts what it fetched into _records by assignment to its partition",
        "59bf948fff47",
    ),
    (GroupCoordinator._maybe_leave_group, "a static member does not leave", "016cd88a16e6"),
    (
        GroupCoordinator._push_error_to_user,
        "an error waits in _pending_exception until a fetch raises it",
        "743ff515bd7e",
    ),
    (GroupCoordinator.reset_generation, "a member that is not known has no id", "537aa37c531b"),
    (
        GroupCoordinator._on_join_prepare,
        "the listener hears of it, and is waited for, before the group is joined again",
        "4d9524afc0ee",
    ),
    (AIOKafkaClient.bootstrap, "a broker that does not answer raises KafkaConnectionError", "198943b004e5"),
    (MessageBatch.done, "the delivery of a batch tells the position of its first record", "2d765e5c2dc8"),
    (MessageAccumulator.add_batch, "a batch is queued as it is, in the order of the calls", "5ed1c5b1367a"),
    (
        SendProduceReqHandler.handle_response,
        "a repeated request is answered without a position",
        "850323cc8f77",
    ),
]


def digest_of(code: Callable[..., Any]) -> str:
    """Return a digest of a function's text."""
    return hashlib.sha256(inspect.getsource(code).encode()).hexdigest()[:12]


@pytest.mark.parametrize("package", VERSIONS)
def test_the_installed_version_is_the_one_that_was_read(package: str) -> None:
    assert version(package) == VERSIONS[package], f"{package}: see the head of this file before anything else"


@pytest.mark.parametrize(("code", "why", "digest"), READ, ids=[code.__qualname__ for code, _, _ in READ])
def test_what_was_read_is_what_runs(code: Callable[..., Any], why: str, digest: str) -> None:
    assert digest_of(code) == digest, (
        f"{code.__module__}.{code.__qualname__} has changed. We rest on this: {why}"
    )


# The transport ---------------------------------------------------------------------------------------------------


def test_the_transport_is_found_by_its_scheme() -> None:
    batch_transport.register()
    assert TRANSPORTS.by_name(batch_transport.SCHEME) is batch_transport.Transport


def test_a_message_takes_its_fields_in_the_order_in_which_they_are_given() -> None:
    names = list(inspect.signature(ConsumerMessage).parameters)
    assert names[:12] == [
        *("topic", "partition", "offset", "timestamp", "timestamp_type", "headers", "key", "value"),
        *("checksum", "serialized_key_size", "serialized_value_size", "tp"),
    ]
    assert "generation_id" in names


def test_what_is_fetched_is_read_as_raw_records_and_its_first_time_is_kept() -> None:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1_000,
    )
    for number, value in enumerate([b"one", None]):
        builder.append(number, 1_000 + number, b"p" if value else None, value, [("name", b"of a header")])
    tp = TopicPartition("events", 0)
    fetched = PartitionRecords(
        tp, MemoryRecords(bytes(builder.build())), [], 0, None, None, check_crcs=True, isolation_level=1
    )
    fetches = batch_transport.RawFetches()
    fetches[tp] = FetchResult(tp, assignment=None, partition_records=fetched, backoff=0)
    assert list(fetched) == [RawRecord(0, b"p", b"one"), RawRecord(1, None, None)]
    assert fetched.next_fetch_offset == 2
    assert fetches.written_ms == {tp: 1_000}


@pytest.mark.parametrize(
    "option",
    [
        *("group_instance_id", "partition_assignment_strategy", "isolation_level", "auto_offset_reset"),
        *("enable_auto_commit", "max_poll_records", "max_poll_interval_ms", "max_partition_fetch_bytes"),
        *("fetch_max_wait_ms", "session_timeout_ms", "rebalance_timeout_ms", "heartbeat_interval_ms"),
    ],
)
def test_the_consumer_takes_every_option_that_we_give(option: str) -> None:
    assert option in inspect.signature(aiokafka.AIOKafkaConsumer).parameters


def test_the_state_of_a_partition_has_position_end_and_time_of_the_last_fetch() -> None:
    async def scenario() -> None:
        tp = TopicPartition("t", 0)
        state = Assignment({tp}).state_value(tp)
        assert isinstance(state, TopicPartitionState)
        assert (state.lso, state.timestamp) == (None, None)
        state.seek(7)
        assert state.position == 7

    asyncio.run(scenario())


def test_the_consumer_has_the_parts_that_are_looked_into() -> None:
    async def scenario() -> None:
        consumer = aiokafka.AIOKafkaConsumer("t", group_id="g", max_poll_records=11)
        assert consumer._max_poll_records == 11
        assert consumer._subscription.subscription.assignment is None
        assert consumer._client.cluster.partitions_for_topic("t") is None
        await consumer.stop()

    asyncio.run(scenario())
    assert "generation" in GroupCoordinator.__init__.__code__.co_names


# The sink --------------------------------------------------------------------------------------------------------


def batch_builder(size: int) -> BatchBuilder:
    return BatchBuilder(size, 0, is_transactional=True)


def test_a_full_batch_refuses_a_record_and_an_empty_one_takes_any() -> None:
    builder = batch_builder(100)
    assert builder.append(timestamp=None, key=b"k", value=b"v" * 1_000, headers=[]) is not None
    assert builder.append(timestamp=None, key=b"k", value=b"v", headers=[]) is None
    assert builder.record_count() == 1


def test_the_delivery_of_a_batch_is_its_first_position_and_failures_are_raised() -> None:
    async def scenario() -> None:
        tp = TopicPartition("t", 0)
        delivered, failed = (MessageBatch(tp, batch_builder(100), 1, 0) for _ in range(2))
        delivered.done(41, 5)
        metadata = await delivered.future
        assert isinstance(metadata, RecordMetadata)
        assert metadata.offset == 41
        failed.failure(RuntimeError("lost"))
        with pytest.raises(RuntimeError, match="lost"):
            await failed.future
        # What nobody looks at is logged with its trace when it is collected, in the middle of another test.
        assert isinstance(failed._drain_waiter.exception(), RuntimeError)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("create_batch", []),
        ("send_batch", ["batch", "topic", "partition"]),
        ("begin_transaction", []),
        ("send_offsets_to_transaction", ["offsets", "group_id"]),
        ("commit_transaction", []),
    ],
)
def test_the_producer_has_the_methods_of_a_transaction(method: str, names: list[str]) -> None:
    signature = inspect.signature(getattr(aiokafka.AIOKafkaProducer, method))
    assert list(signature.parameters) == ["self", *names]


# The app ---------------------------------------------------------------------------------------------------------


def built(tmp_path: Path, **settings: Any) -> WorkerApp:
    never_asked: Any = None
    return build_app(
        Settings(state_dir=tmp_path, **settings),
        fold_factory=never_asked,
        membership=never_asked,
        on_failure=lambda _: None,
    )


def test_faust_commits_nothing_serves_nothing_and_makes_no_topic(tmp_path: Path) -> None:
    app = built(tmp_path)
    assert app.topics is not None
    (agent,) = app.agents.values()
    assert (agent.channel.acks, agent.concurrency) == (False, 1)
    conf = app.conf
    assert (conf.web_enabled, conf.topic_allow_declare, conf.topic_disable_leader) == (False, False, True)
    assert (conf.stream_buffer_maxsize, conf.stream_wait_empty) == (STREAM_BUFFER_RUNS, False)
    guarantee: object = conf.processing_guarantee
    assert guarantee is ProcessingGuarantee.AT_LEAST_ONCE
    assert not app.tables


def test_the_settings_of_the_group_arrive_where_the_consumer_reads_them(tmp_path: Path) -> None:
    app = built(tmp_path, session_timeout_seconds=8, worker_id="ward-1", run_records_max=77)
    conf = app.conf
    assert (conf.id, conf.broker_client_id, app.static_member) == ("pv-stream", "ward-1", "ward-1")
    assert (conf.broker_session_timeout, conf.broker_heartbeat_interval) == (8.0, 2.0)
    assert conf.broker_max_poll_records == 77
    assert conf.broker_rebalance_timeout == 16.0
    assert conf.broker_request_timeout > conf.broker_rebalance_timeout > conf.broker_session_timeout


def test_a_worker_without_a_name_of_its_own_is_no_static_member(tmp_path: Path) -> None:
    assert built(tmp_path).static_member is None


def test_the_signals_of_a_rebalance_reach_our_receivers(tmp_path: Path) -> None:
    closed: list[object] = []

    class Owner:
        async def close(self) -> None:
            closed.append(self)

    async def scenario() -> None:
        app = built(tmp_path)
        app.owner = cast("Any", Owner())
        await app.on_partitions_revoked.send(set())
        assert closed == [app.owner]

    asyncio.run(scenario())


def test_an_app_that_crashes_says_why() -> None:
    assert inspect.getattr_static(Service, "crash_reason").fget is not None


def test_partitions_are_named_as_ours_are() -> None:
    assert TP("t", 3) == TopicPartition("t", 3)


def test_partitions_that_were_not_seen_after_a_restart_of_the_broker_are_looked_for_soon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A leader that saw none gave every worker none, and the client's own interval is five minutes without alerts."""
    options: dict[str, Any] = {}
    monkeypatch.setattr(batch_transport, "RunConsumer", options.update)
    thread = object.__new__(batch_transport.RunConsumerThread)
    thread.app = app = built(tmp_path)
    batch_transport.RunConsumerThread._create_worker_consumer(thread, cast("Any", app.transport))
    assert options["metadata_max_age_ms"] <= 5_000


@pytest.mark.parametrize("generation", [1, 2])
def test_a_fetch_that_waited_while_the_group_was_shared_out_anew_brings_nothing(generation: int) -> None:
    """Nothing was committed yet, so aiokafka knows no position; in the same generation that is a fault."""
    group = SimpleNamespace(generation=1)
    thread = object.__new__(batch_transport.RunConsumerThread)

    async def fetch(*_: Any, **__: Any) -> None:
        group.generation = generation
        raise NoOffsetForPartitionError

    faked: Any = thread
    faked._expected = {TP("events", 0): (1, 7)}
    faked.consumer = SimpleNamespace(flow_active=True)
    faked._ensure_consumer = lambda: SimpleNamespace(_coordinator=group, _max_poll_records=10)
    faked._fetch_records = fetch
    asked = faked._fetch_runs(frozenset({TP("events", 0)}), 1.0)
    if generation == 1:
        with pytest.raises(NoOffsetForPartitionError):
            asyncio.run(asked)
    else:
        assert asyncio.run(asked) == {}


def test_a_partition_that_was_given_again_in_the_same_generation_is_not_read_before_it_is_sought() -> None:
    """A member that joins again under its lasting name keeps the generation, and aiokafka forgets the position."""
    tp = TopicPartition("events", 0)
    state = SimpleNamespace(has_valid_position=False)
    consumer: Any = SimpleNamespace(
        _coordinator=SimpleNamespace(generation=1),
        _subscription=SimpleNamespace(
            subscription=SimpleNamespace(assignment=SimpleNamespace(tps={tp}, state_value=lambda _: state))
        ),
        raw_fetches=SimpleNamespace(written_ms={}),
    )
    thread = object.__new__(batch_transport.RunConsumerThread)
    thread._expected = {TP("events", 0): (1, 7)}
    assert thread._runs(consumer, {TP("events", 0)}, {}) == {}
    state.has_valid_position, state.position = True, 9
    (run,) = thread._runs(consumer, {TP("events", 0)}, {}).values()
    assert (run.position, run.next_position) == (7, 9)
