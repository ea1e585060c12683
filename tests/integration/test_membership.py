"""Who owns which shards when workers come and go, and a worker that does not get on."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from pv_stream.errors import EnvironmentBroken, UsageError
from pv_stream.stream.kafka_dev.broker import free_port
from pv_stream.stream.topics import Topic
from tests.integration.cluster import SHARDS, SHORT_SESSION, Cluster, Worker, eventually
from tests.integration.test_exactly_once import assert_equals_offline_fold, events
from tests.integration.test_operation import get


def assignments(worker: Worker) -> list[str]:
    """Return each "owns shards" of a worker's log, without the time."""
    return [
        "owns" + line.split(" owns", 1)[1] for line in worker.said().splitlines() if " owns shards" in line
    ]


def test_a_named_worker_that_is_back_in_time_has_its_shards_again_and_disturbs_nobody(
    cluster: Cluster,
) -> None:
    """A restart within the session timeout is no rebalance: same shards, same generation, the other not asked."""
    names = [
        {"PV_STREAM_WORKER_ID": name, "PV_STREAM_SESSION_TIMEOUT_SECONDS": "30"}
        for name in ("ward-a", "ward-b")
    ]
    first = cluster.start_worker(names[0])
    eventually(lambda: assignments(first), what="the first owns every shard")
    second = cluster.start_worker(names[1])
    eventually(
        lambda: all(
            "shards [" in (assignments(each) or [""])[-1] and len(assignments(each)[-1].split(",")) == 2
            for each in (first, second)
        ),
        what="each has two shards",
    )
    before = assignments(second)
    cluster.publish(events(400))
    cluster.wait_until_processed()
    assert first.stop() == 0
    cluster.publish(events(400, start=400))
    again = cluster.start_worker(names[0])
    cluster.wait_until_processed()
    assert assignments(again) == assignments(first)[-1:]
    assert assignments(second) == before
    assert (again.stop(), second.stop()) == (0, 0)
    assert_equals_offline_fold(cluster)


def test_a_worker_that_does_not_get_on_ends_itself(cluster: Cluster) -> None:
    """One record takes for ever: after the stall timeout the worker says where it was, and ends."""
    worker = cluster.start_worker({"COUNTING_FOLD_SECONDS": "1000", "PV_STREAM_STALL_TIMEOUT_SECONDS": "8"})
    eventually(lambda: "owns shards" in worker.said(), what="the worker is up")
    cluster.publish(events(1))
    shard = cluster.read(Topic.EVENTS)[0].shard
    assert worker.ended() == EnvironmentBroken.exit_code
    assert f"no progress for 8 s in processing shard {shard} at position 0" in worker.said()


def test_of_two_workers_with_one_name_the_elder_ends_and_the_other_goes_on(cluster: Cluster) -> None:
    """Without this each would take the shards from the other, for ever."""
    name = {"PV_STREAM_WORKER_ID": "ward-a"}
    # The elder waits for a session of its own before it believes that the other lives, which must be alive then.
    elder = cluster.start_worker(name | SHORT_SESSION)
    eventually(lambda: assignments(elder), what="the first owns every shard")
    younger = cluster.start_worker(name)
    assert elder.ended() == UsageError.exit_code, elder.said()
    said = elder.said().splitlines()[-1]
    assert "another worker of the group" in said
    assert "the same PV_STREAM_WORKER_ID, ward-a" in said
    cluster.publish(events(40))
    cluster.wait_until_processed()
    assert younger.process.poll() is None
    assert_equals_offline_fold(cluster)


class Leader(RoundRobinPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """Share out as the leader of the group: everything to the leader, or nothing to anybody."""

    topic: ClassVar[str]
    leader: ClassVar[str]
    gives_nothing: ClassVar[bool]

    @classmethod
    def assign(cls, _cluster: Any, members: Any) -> Any:
        shards = [] if cls.gives_nothing else list(range(SHARDS))
        given = {member: shards if member.startswith(cls.leader) else [] for member in members}
        return {
            member: ConsumerProtocolMemberAssignment(0, [(cls.topic, shards)] if shards else [], b"")
            for member, shards in given.items()
        }


async def _answered(port: int, condition: Callable[[int, str], bool]) -> None:
    await asyncio.to_thread(eventually, lambda: condition(*get(port, "/readyz")), what="/readyz says so")


def test_a_worker_without_a_shard_is_a_spare_or_ends_where_nobody_has_it(cluster: Cluster) -> None:
    """The leader has every shard: the worker is ready, and stays. Then nobody has one, as with metadata that is old."""
    Leader.topic, Leader.leader, Leader.gives_nothing = cluster.name(Topic.EVENTS), "leader", False
    port = free_port()
    environment = {"PV_STREAM_HEALTH_PORT": str(port), "PV_STREAM_STALL_TIMEOUT_SECONDS": "8"}

    async def lead() -> Worker:
        async with AIOKafkaConsumer(
            Leader.topic,
            bootstrap_servers=cluster.bootstrap_servers,
            group_id=cluster.settings().group_id,
            client_id=Leader.leader,
            partition_assignment_strategy=[Leader],
            session_timeout_ms=60_000,
            heartbeat_interval_ms=300,
            enable_auto_commit=False,
        ) as leader:
            worker = cluster.start_worker(environment)
            await _answered(port, lambda status, _: status == 200)
            await asyncio.sleep(9)  # longer than what does not get on may last
            assert worker.process.poll() is None, worker.said()
            Leader.gives_nothing = True
            leader._coordinator.request_rejoin()
            await _answered(port, lambda _, body: f"no worker has shard 0 ({SHARDS} of {SHARDS}" in body)
            assert await asyncio.to_thread(worker.ended) == EnvironmentBroken.exit_code
            return worker

    assert "no progress for 8 s in getting shards, of which some have no worker" in asyncio.run(lead()).said()
