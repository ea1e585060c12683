"""Nothing lost, nothing doubled: what readers see equals an offline fold of the log, byte for byte."""

import re

from pv_stream.shard.fold import OutputStream, RawRecord
from pv_stream.stream.topics import Topic
from tests.integration.cluster import SHARDS, SHORT_SESSION, Cluster, Record, eventually
from tests.integration.counting_fold import CountingFold

STREAM_OF_TOPIC = {
    Topic.ALERTS: OutputStream.ALERTS,
    Topic.RECURRENCES: OutputStream.RECURRENCES,
    Topic.CASES: OutputStream.CASES,
    Topic.ALERT_ACTIONS: OutputStream.ACTIONS,
    Topic.DEAD_LETTERS: OutputStream.DEAD_LETTERS,
}
SLOW = {"COUNTING_FOLD_SECONDS": "0.0002"}
#: Not done with its half of 20,000 records before a test can kill it, however long the test stands still.
VERY_SLOW = {"COUNTING_FOLD_SECONDS": "0.003"}


def events(count: int, *, start: int = 0) -> list[tuple[bytes, bytes]]:
    """Return events of 97 keys."""
    return [(b"p%d" % (i % 97), b"%d" % i) for i in range(start, start + count)]


def offline(records: list[Record]) -> dict[OutputStream, list[tuple[int, bytes, bytes]]]:
    """Fold a log without Kafka, record by record, and return the outputs of each stream, shard by shard."""
    outputs: dict[OutputStream, list[tuple[int, bytes, bytes]]] = {stream: [] for stream in OutputStream}
    for shard in range(SHARDS):
        fold = CountingFold(shard, SHARDS)
        for record in (each for each in records if each.shard == shard):
            run = fold.process([RawRecord(record.position, record.key, record.value)])
            fold.commit(run)
            for output in run.outputs:
                outputs[output.stream].append((shard, output.key, output.value))
    return outputs


def assert_equals_offline_fold(cluster: Cluster) -> None:
    """Compare every output topic with the offline fold of the input log."""
    expected = offline(cluster.read(Topic.EVENTS))
    for topic, stream in STREAM_OF_TOPIC.items():
        seen = [(record.shard, record.key, record.value) for record in cluster.read(topic)]
        assert len(seen) == len(expected[stream]), (
            f"{topic}: {len(seen)} records, expected {len(expected[stream])}"
        )
        assert seen == expected[stream], topic


def test_a_worker_killed_half_way_loses_nothing_and_doubles_nothing(cluster: Cluster) -> None:
    """Two workers share the log; one is killed with kill -9 in the middle, the other takes its shards over."""
    first, second = cluster.start_worker(VERY_SLOW | SHORT_SESSION), cluster.start_worker()
    eventually(
        lambda: len(first.shards()) == len(second.shards()) == SHARDS // 2,
        what="each owns half of the shards",
    )
    cluster.publish(events(40_000))
    eventually(lambda: min(cluster.ends(Topic.ALERTS).values()) > 0, what="both have begun")
    eventually(lambda: cluster.count(Topic.ALERTS) > 15_000, what="a part is processed")
    first.kill()
    assert cluster.count(Topic.ALERTS) < 40_000, "the worker was killed too late to prove anything"
    cluster.wait_until_processed()
    assert second.stop() == 0
    assert_equals_offline_fold(cluster)


def test_a_rebalance_loses_nothing_and_doubles_nothing(cluster: Cluster) -> None:
    """A second worker joins while the first works, and leaves again; each reads of its old shards only the tail."""
    cluster.publish(events(10_000))
    first = cluster.start_worker(SLOW)
    eventually(lambda: cluster.count(Topic.ALERTS) > 1_000, what="the first works")
    second = cluster.start_worker(SLOW)
    eventually(second.shards, what="the second owns shards")
    before = cluster.ends(Topic.ALERTS)
    cluster.publish(events(10_000, start=10_000))

    def both_work() -> bool:
        now = cluster.ends(Topic.ALERTS)
        return sum(now.values()) > 12_000 and all(now[shard] > before[shard] for shard in second.shards())

    eventually(both_work, what="both work")
    assert second.stop() == 0
    cluster.wait_until_processed()
    assert first.stop() == 0
    assert_equals_offline_fold(cluster)
    restored = [
        int(count) for count in re.findall(r"(\d+) state records, the tail of what was kept", first.said())
    ]
    # Once when the second joins and keeps two of the shards, once when it has gone and gives them back.
    assert len(restored) == 2 + SHARDS, first.said()
    assert min(restored) == 0, "of a shard that stayed, nothing is to be read"
    assert max(restored) > 0, "of a shard that comes back, what the other worker wrote is read"


def test_runs_are_few_and_large(cluster: Cluster) -> None:
    """The transport hands on runs of records: one transaction, and so one checkpoint, for many of them."""
    cluster.publish(events(8_000))
    worker = cluster.start_worker()
    cluster.wait_until_processed()
    assert worker.stop() == 0
    checkpoints = [record for record in cluster.read(Topic.STATE) if record.key == b"checkpoint"]
    assert 0 < len(checkpoints) < 200
    assert_equals_offline_fold(cluster)


def test_poison_becomes_a_dead_letter_and_the_stream_goes_on(cluster: Cluster) -> None:
    """An unreadable record is told with where it lies, and the records after it are processed."""
    cluster.publish([(b"p1", b"1"), (b"p1", b"poison \xff\x00"), (b"p1", b"2")])
    worker = cluster.start_worker()
    cluster.wait_until_processed()
    assert worker.stop() == 0
    assert_equals_offline_fold(cluster)
    (letter,) = cluster.read(Topic.DEAD_LETTERS)
    headers = dict(letter.headers)
    assert headers["__streams.errors.topic"] == cluster.name(Topic.EVENTS).encode()
    assert headers["__streams.errors.partition"] == b"%d" % letter.shard
    assert headers["__streams.errors.offset"] == b"1"
    assert headers["ce_id"] == b"%d-1-0" % letter.shard
    assert len(cluster.read(Topic.ALERTS)) == 2


def test_the_owner_writes_the_clock_into_the_log(cluster: Cluster) -> None:
    """Each shard with patients gets clock records, and they are processed like every other record."""
    cluster.publish(events(400))
    worker = cluster.start_worker({"PV_STREAM_CLOCK_INTERVAL_SECONDS": "1"})
    shards = {record.shard for record in cluster.read(Topic.EVENTS)}

    def clocks() -> list[Record]:
        return [record for record in cluster.read(Topic.EVENTS) if record.key is None]

    eventually(lambda: {each.shard for each in clocks()} == shards, what="a clock record in each shard")
    eventually(lambda: len(clocks()) >= 2 * len(shards), what="two clock records for each shard")
    assert worker.stop() == 0
    for shard in shards:
        values = [each.value for each in clocks() if each.shard == shard]
        assert values == sorted(values, key=lambda value: value or b""), "a clock went back"
    assert_equals_offline_fold(cluster)
