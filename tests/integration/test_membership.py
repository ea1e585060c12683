"""Who owns which shards when workers come and go, and a worker that does not get on."""

from pv_stream.errors import EnvironmentBroken
from pv_stream.stream.topics import Topic
from tests.integration.cluster import DEADLINE_SECONDS, Cluster, Worker, eventually
from tests.integration.test_exactly_once import assert_equals_offline_fold, events


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
        seconds=2 * DEADLINE_SECONDS,  # the first hears of the second by a heartbeat, of which there are few
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
    worker = cluster.start_worker({"COUNTING_FOLD_SECONDS": "1000", "PV_STREAM_STALL_TIMEOUT_SECONDS": "4"})
    eventually(lambda: "owns shards" in worker.said(), what="the worker is up")
    cluster.publish(events(1))
    shard = cluster.read(Topic.EVENTS)[0].shard
    assert worker.ended() == EnvironmentBroken.exit_code
    assert f"no progress for 4 s in processing shard {shard} at position 0" in worker.said()
