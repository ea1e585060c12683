"""Opening a shard: whose state it takes, what it refuses, and what it never reads."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition

from pv_stream.errors import ConnectionFailed, EnvironmentBroken
from pv_stream.stream.checkpoint import Checkpoint
from pv_stream.stream.kafka_dev.broker import free_port
from pv_stream.stream.topics import Topic
from tests.integration.cluster import SHARDS, Cluster, eventually
from tests.integration.test_exactly_once import assert_equals_offline_fold, events

BROKEN = EnvironmentBroken.exit_code


def write_state(cluster: Cluster, shard: int, key: bytes, value: bytes) -> None:
    """Write one record to the state topic, as no worker would."""
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
    producer.send(cluster.name(Topic.STATE), key=key, value=value, partition=shard).get(60)
    producer.close()


def commit_offset(cluster: Cluster, shard: int, position: int) -> None:
    """Commit an offset for the workers' group, as an operator might by mistake."""
    consumer = KafkaConsumer(
        bootstrap_servers=cluster.bootstrap_servers,
        group_id=f"{cluster.prefix}group",
        enable_auto_commit=False,
    )
    tp = TopicPartition(cluster.name(Topic.EVENTS), shard)
    consumer.assign([tp])
    consumer.commit({tp: OffsetAndMetadata(position, "", -1)})
    consumer.close()


def process(cluster: Cluster, count: int, *, start: int = 0) -> None:
    """Process some events with a worker that then stops."""
    cluster.publish(events(count, start=start))
    worker = cluster.start_worker()
    cluster.wait_until_processed()
    assert worker.stop() == 0


def test_a_restarted_worker_goes_on_from_the_state_topic_also_without_the_committed_offset(
    cluster: Cluster,
) -> None:
    """The checkpoint is the truth: counts go on where the first worker left them, though the group was set back."""
    process(cluster, 3_000)
    for shard in range(SHARDS):
        commit_offset(cluster, shard, 0)
    process(cluster, 3_000, start=3_000)
    assert "of 4 (generation" in cluster.workers[1].said()
    assert "the group's offset 0 is behind the checkpoint" in cluster.workers[1].said()
    assert_equals_offline_fold(cluster)


def test_a_transaction_that_its_owner_left_open_is_not_restored(cluster: Cluster) -> None:
    """The state of an unfinished transaction is neither waited for nor believed, and its owner is fenced."""
    process(cluster, 400)
    shard = cluster.read(Topic.EVENTS)[0].shard

    async def leave_open() -> None:
        zombie = AIOKafkaProducer(
            bootstrap_servers=cluster.bootstrap_servers,
            transactional_id=f"{cluster.prefix}group-{cluster.name(Topic.EVENTS)}-{shard}",
        )
        await zombie.start()
        await zombie.begin_transaction()
        await zombie.send_and_wait(cluster.name(Topic.STATE), key=b"p1", value=b"999999", partition=shard)
        await asyncio.to_thread(process, cluster, 400, start=400)
        with pytest.raises(KafkaError):
            await zombie.commit_transaction()
        await zombie.stop()

    asyncio.run(leave_open())
    assert_equals_offline_fold(cluster)


def test_input_of_an_aborted_transaction_is_never_read(cluster: Cluster) -> None:
    """What a writer aborted was never part of the log, and what follows it is."""
    cluster.publish(events(100))

    async def abort() -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=cluster.bootstrap_servers, transactional_id=f"{cluster.prefix}writer"
        ) as producer:
            await producer.begin_transaction()
            for shard in range(SHARDS):
                await producer.send_and_wait(
                    cluster.name(Topic.EVENTS), key=b"ghost", value=b"x", partition=shard
                )
            await producer.abort_transaction()

    worker = cluster.start_worker()
    cluster.wait_until_processed()
    asyncio.run(abort())
    cluster.publish(events(100, start=100))
    cluster.wait_until_processed()
    assert worker.stop() == 0
    assert len(cluster.read(Topic.ALERTS)) == 200
    assert_equals_offline_fold(cluster)


def test_an_offset_ahead_of_the_checkpoint_is_refused(cluster: Cluster) -> None:
    """Somebody processed records whose state is not there: the worker ends and names both positions."""
    process(cluster, 400)
    commit_offset(cluster, 2, 999_999)
    worker = cluster.start_worker()
    assert worker.ended() == BROKEN
    assert "shard 2: the group has committed position 999999, ahead of the checkpoint" in worker.said()


def test_a_log_that_lost_records_before_the_checkpoint_is_refused(cluster: Cluster) -> None:
    """Records were deleted before they were processed: a gap, and both its ends are named."""
    process(cluster, 400)
    cluster.publish(events(400, start=400))
    with cluster.admin() as admin:
        admin.delete_records(
            {TopicPartition(cluster.name(Topic.EVENTS), shard): -1 for shard in range(SHARDS)}
        )
    worker = cluster.start_worker()
    assert worker.ended() == BROKEN
    assert "the records between are gone" in worker.said()


def test_a_log_that_ends_before_the_checkpoint_is_refused(cluster: Cluster) -> None:
    """The topic was made anew under a state that knows more than it holds."""
    write_state(cluster, 1, b"checkpoint", Checkpoint(50, SHARDS, 1).to_bytes())
    worker = cluster.start_worker()
    assert worker.ended() == BROKEN
    assert "shard 1: the input log ends at 0, before the checkpoint at 50" in worker.said()


def test_another_partition_count_is_refused(cluster: Cluster) -> None:
    """The state was made with other shards."""
    write_state(cluster, 0, b"checkpoint", Checkpoint(0, SHARDS + 1, 1).to_bytes())
    worker = cluster.start_worker()
    assert worker.ended() == BROKEN
    assert "its state was made with 5 partitions and the input topic has 4" in worker.said()


def test_a_missing_topic_is_one_line(cluster: Cluster) -> None:
    """The worker says which topics are missing and how to create them."""
    worker = cluster.start_worker({"PV_STREAM_TOPIC_PREFIX": f"{cluster.prefix}other."})
    assert worker.ended() == BROKEN
    (line,) = worker.said().splitlines()
    assert "topics are missing" in line
    assert "pv-stream topics apply" in line


def test_a_broker_that_is_down_is_one_line(cluster: Cluster) -> None:
    """What, where, what to do."""
    nowhere = f"127.0.0.1:{free_port()}"
    worker = cluster.start_worker({"PV_STREAM_BOOTSTRAP_SERVERS": nowhere})
    assert worker.ended() == ConnectionFailed.exit_code
    (line,) = worker.said().splitlines()
    assert f"Kafka at {nowhere} does not answer" in line
    assert "pv-stream kafka up" in line


def test_a_worker_that_is_stopped_while_idle_ends_with_0(cluster: Cluster) -> None:
    """SIGTERM is no failure."""
    worker = cluster.start_worker()
    eventually(lambda: "owns shards" in worker.said(), what="the worker is up")
    assert worker.stop() == 0
    assert "stopped" in worker.said()
