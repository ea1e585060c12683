"""What must hold when a simulated run is over: everything is where one fold of the whole log would have put it.

The checkers read the broker's partitions themselves and share no code with the sink, the store or the consumer.
"""

import json
from collections.abc import Iterable, Sequence

from aiokafka import TopicPartition

from pv_stream.domain.ids import shard_of
from pv_stream.shard.fold import OutputStream, OutRecord, RawRecord
from pv_stream.stream.topics import Topic
from tests.chaos.checkers import Seen, check_ledger
from tests.simulation.jobs import memory_of
from tests.simulation.memory_broker import Entry
from tests.simulation.world import SETTINGS, Watched, World

TOPICS = {
    OutputStream.ALERTS: Topic.ALERTS,
    OutputStream.RECURRENCES: Topic.RECURRENCES,
    OutputStream.CASES: Topic.CASES,
    OutputStream.ACTIONS: Topic.ALERT_ACTIONS,
    OutputStream.DEAD_LETTERS: Topic.DEAD_LETTERS,
}
CHECKPOINT = b"checkpoint"

#: Key, value and id of an output.
Told = tuple[bytes | None, bytes | None, bytes]


def check(world: World) -> None:
    """Fail unless every record was processed once, and nothing else was written."""
    assert not world.wrong, world.wrong
    for shard in range(world.plan.shards):
        fold = world.job.fold(shard, world.plan.shards)
        run = fold.process(_input(world, shard))
        fold.commit(run)
        _check_outputs(world, shard, run.outputs)
        _check_ledger(world, shard)
        _check_states(world, shard, {key: value for key, value in run.states if value is not None})
        _check_checkpoints(world, shard)
        _check_memories(world, shard, memory_of(fold))


def _committed(world: World, topic: Topic, partition: int) -> list[Entry]:
    return world.broker.logs[TopicPartition(topic, partition)].committed()


def _input(world: World, shard: int) -> list[RawRecord]:
    return [
        RawRecord(entry.position, entry.key, entry.value) for entry in _committed(world, Topic.EVENTS, shard)
    ]


def _told(entries: Iterable[Entry]) -> list[Told]:
    return [(entry.key, entry.value, dict(entry.headers)["ce_id"]) for entry in entries]


def _expected(shard: int, outputs: Iterable[OutRecord]) -> list[Told]:
    return [(out.key, out.value, f"{shard}-{out.position}-{out.ordinal}".encode()) for out in outputs]


def _check_outputs(world: World, shard: int, outputs: Sequence[OutRecord]) -> None:
    for stream, topic in TOPICS.items():
        expected = _expected(shard, (out for out in outputs if out.stream is stream))
        assert _told(_committed(world, topic, shard)) == expected, f"{topic}, shard {shard}"
    source = f"/{Topic.EVENTS}/{shard}".encode()
    for to in range(world.plan.shards):
        sent = [
            out
            for out in outputs
            if out.stream is OutputStream.EVENTS and shard_of(out.key.decode(), world.plan.shards) == to
        ]
        came = [e for e in _committed(world, Topic.EVENTS, to) if dict(e.headers).get("ce_source") == source]
        assert _told(came) == _expected(shard, sent), f"from shard {shard} to shard {to}"


def _check_ledger(world: World, shard: int) -> None:
    def seen(topic: Topic) -> list[Seen]:
        return [
            Seen(shard, e.position, e.key, e.value, dict(e.headers)) for e in _committed(world, topic, shard)
        ]

    covered = {topic.value: seen(topic) for topic in TOPICS.values() if topic is not Topic.CASES}
    assert check_ledger(covered, seen(Topic.TREE_HEADS)) == []


def _check_states(world: World, shard: int, expected: dict[bytes, bytes]) -> None:
    newest = {entry.key: entry.value for entry in _committed(world, Topic.STATE, shard)}
    newest.pop(CHECKPOINT, None)
    newest = {key: value for key, value in newest.items() if value is not None}
    assert newest == expected, f"states of shard {shard}"


def _check_memories(world: World, shard: int, expected: object) -> None:
    reached = max(task.next_position for task in world.tasks(shard))
    for task in world.tasks(shard):
        assert isinstance(task._fold, Watched)
        if task.next_position == reached:
            assert memory_of(task._fold.inner) == expected, f"memory of shard {shard}"


def _check_checkpoints(world: World, shard: int) -> None:
    values = [e.value or b"" for e in _committed(world, Topic.STATE, shard) if e.key == CHECKPOINT]
    positions = [json.loads(value)["next_position"] for value in values]
    assert positions == sorted(set(positions)), f"checkpoints of shard {shard} go back: {positions}"
    events = _committed(world, Topic.EVENTS, shard)
    if events:
        assert positions[-1] > events[-1].position, f"shard {shard}: the end was not processed"
    committed = world.broker.committed_offset(SETTINGS.group_id, TopicPartition(Topic.EVENTS, shard))
    assert committed in {None, *positions}, "the group's offset is no checkpoint"
