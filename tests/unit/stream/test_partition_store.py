"""The store of a shard: all of its state at first, then only the tail, and never more than the topic holds."""

import asyncio
import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pv_stream.domain.codes import Analyte
from pv_stream.errors import EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.shard.limits import Limits
from pv_stream.stream import partition_store
from pv_stream.stream.checkpoint import CHECKPOINT_KEY, Checkpoint
from pv_stream.stream.partition_store import Newest, PartitionStore, TailLost
from tests.builders import at, measured
from tests.shards import new_shard, raw

SHARD = 2


def checkpoint(position: int) -> Checkpoint:
    return Checkpoint(position, 4, 1)


class StateTopic:
    """A partition of the state topic: records by position, some of them compacted away, and markers between them."""

    def __init__(self) -> None:
        self.start = 0
        self.records: list[tuple[bytes, bytes | None] | None] = []

    def commit(self, next_position: int, *states: tuple[bytes, bytes | None]) -> int:
        """Append one transaction and its marker; return the position behind its checkpoint."""
        self.records += [*states, (CHECKPOINT_KEY, checkpoint(next_position).to_bytes())]
        end = len(self.records)
        self.records.append(None)
        return end

    def consumer(self, **_: object) -> "Consumer":
        return Consumer(self)


class Consumer:
    """Read one record at a time, as aiokafka would."""

    def __init__(self, topic: StateTopic) -> None:
        self._topic = topic
        self._at = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def assign(self, _partitions: object) -> None: ...

    def seek(self, _partition: object, position: int) -> None:
        self._at = position

    async def position(self, _partition: object) -> int:
        return self._at

    async def beginning_offsets(self, partitions: list[Any]) -> dict[Any, int]:
        return dict.fromkeys(partitions, self._topic.start)

    async def end_offsets(self, partitions: list[Any]) -> dict[Any, int]:
        return dict.fromkeys(partitions, len(self._topic.records))

    async def getmany(self, **_: object) -> "SimpleNamespace":
        record = self._topic.records[self._at]
        self._at += 1
        found = []
        if record is not None:
            found = [SimpleNamespace(key=record[0], value=record[1], offset=self._at - 1)]
        return SimpleNamespace(get=lambda _partition, _default: found)


class Memory:
    """A fold that remembers, and may fail once."""

    def __init__(self) -> None:
        self.states: dict[bytes, bytes] = {}
        self.fails_at: bytes | None = None

    def restore(self, key: bytes, value: bytes) -> None:
        if key == self.fails_at:
            self.fails_at = None
            raise OSError
        self.states[key] = value

    def settle(self) -> None: ...


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> StateTopic:
    made = StateTopic()
    monkeypatch.setattr(partition_store, "AIOKafkaConsumer", made.consumer)
    return made


@pytest.fixture
def store() -> PartitionStore:
    return PartitionStore(shard=SHARD, settings=Settings())


def restore(
    store: PartitionStore, memory: Memory, abandoned: Callable[[], bool] = lambda: False
) -> Checkpoint | None:
    return asyncio.run(store.restore(memory, abandoned=abandoned))


def test_a_shard_that_never_committed_has_nothing(topic: StateTopic, store: PartitionStore) -> None:
    assert restore(store, Memory()) is None
    assert (len(topic.records), store.position) == (0, 0)


def test_at_first_all_is_read_and_the_newest_of_each_key_is_taken(
    topic: StateTopic, store: PartitionStore
) -> None:
    topic.commit(5, (b"a", b"1"), (b"b", b"1"))
    topic.commit(9, (b"a", b"2"))
    memory = Memory()
    assert restore(store, memory) == checkpoint(9)
    assert memory.states == {b"a": b"2", b"b": b"1"}
    assert (store.position, store.records_read) == (len(topic.records), 5)


def test_what_was_taken_away_is_not_taken(topic: StateTopic, store: PartitionStore) -> None:
    topic.commit(5, (b"a@1", b"1"), (b"a@2", b"1"), (b"a", b"1"))
    topic.commit(9, (b"a@1", None), (b"a", b"2"))
    memory = Memory()
    assert restore(store, memory) == checkpoint(9)
    assert memory.states == {b"a@2": b"1", b"a": b"2"}


def test_then_only_the_tail_is_read(topic: StateTopic, store: PartitionStore) -> None:
    topic.commit(5, (b"a", b"1"), (b"b", b"1"))
    memory = Memory()
    restore(store, memory)
    own_end = topic.commit(7, (b"a", b"own"))
    memory.states[b"a"] = b"own"
    store.reflects(own_end, checkpoint(7))
    read = store.records_read
    assert restore(store, memory) == checkpoint(7)
    assert store.records_read == read, "what it wrote itself is not read again"
    topic.commit(8, (b"c", b"of another owner"))
    assert restore(store, memory) == checkpoint(8)
    assert store.records_read == read + 2
    assert memory.states == {b"a": b"own", b"b": b"1", b"c": b"of another owner"}


@pytest.mark.parametrize(
    "happened",
    [
        pytest.param(lambda topic: topic.records.clear(), id="emptied"),
        pytest.param(lambda topic: setattr(topic, "start", len(topic.records) + 5), id="trimmed"),
        pytest.param(lambda topic: topic.commit(3, (b"a", b"other")), id="another-topic-of-the-name"),
    ],
)
def test_a_topic_that_does_not_go_on_from_what_is_kept_is_noticed_before_anything_is_taken(
    topic: StateTopic, store: PartitionStore, happened: Callable[[StateTopic], object]
) -> None:
    topic.commit(5, (b"a", b"1"))
    memory = Memory()
    restore(store, memory)
    happened(topic)
    with pytest.raises(TailLost):
        restore(store, memory)
    assert memory.states == {b"a": b"1"}


def test_a_restore_that_is_abandoned_leaves_the_memory_as_it_was(
    topic: StateTopic, store: PartitionStore
) -> None:
    topic.commit(5, (b"a", b"1"))
    memory = Memory()
    restore(store, memory)
    position = store.position
    topic.commit(6, (b"a", b"2"))
    asked = itertools.count()
    assert restore(store, memory, lambda: next(asked) > 1) == checkpoint(5)
    assert (memory.states, store.position) == ({b"a": b"1"}, position)
    assert restore(store, memory) == checkpoint(6)
    assert memory.states == {b"a": b"2"}


def test_a_restore_that_was_interrupted_goes_on_with_what_was_not_taken(
    topic: StateTopic, store: PartitionStore
) -> None:
    topic.commit(5, (b"a", b"1"), (b"b", b"1"))
    memory = Memory()
    restore(store, memory)
    topic.commit(6, (b"a", b"2"), (b"b", b"2"))
    memory.fails_at = b"b"
    with pytest.raises(OSError):  # noqa: PT011 - what failed does not matter
        restore(store, memory)
    assert store.position is None
    read = store.records_read
    topic.commit(7, (b"a", b"3"))
    assert restore(store, memory) == checkpoint(7)
    assert memory.states == {b"a": b"3", b"b": b"2"}
    assert store.records_read == read + 2, "the beginning is not read again"


@pytest.mark.usefixtures("every_state_a_turn")
def test_a_restore_that_a_rebalance_breaks_off_goes_on_where_it_was(
    topic: StateTopic, store: PartitionStore
) -> None:
    states = {b"%d" % number: b"1" for number in range(9)}
    topic.commit(5, *states.items())
    memory = Memory()
    times = 0
    while store.position is None:
        held = len(memory.states)
        restore(store, memory, lambda held=held: len(memory.states) >= held + 3)  # type: ignore[misc]
        times += 1
    assert (memory.states, times) == (states, 4)
    assert store.records_read == len(states) + 1


@pytest.mark.parametrize("bytes_max", [0, 3, 1_000])
def test_what_there_is_no_room_for_is_read_again(
    topic: StateTopic, store: PartitionStore, monkeypatch: pytest.MonkeyPatch, bytes_max: int
) -> None:
    monkeypatch.setattr(partition_store, "VALUES_BYTES_MAX", bytes_max)
    topic.commit(5, (b"a", b"1"), (b"b", b"1"), (b"c", b"1"), (b"d", b"1"))
    topic.commit(6, (b"b", b"2"), (b"c", None))
    topic.commit(7, (b"e", b"1"), (b"b", b"3"))
    memory = Memory()
    assert restore(store, memory) == checkpoint(7)
    assert memory.states == {b"a": b"1", b"b": b"3", b"d": b"1", b"e": b"1"}
    assert store.position == len(topic.records)


def test_values_are_kept_while_there_is_room_and_what_was_taken_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partition_store, "VALUES_BYTES_MAX", 4)
    newest = Newest()
    newest.put(b"a", b"11", 0)
    newest.put(b"b", b"222", 1)
    newest.put(b"a", b"1111", 2)
    assert dict(newest.values()) == {b"a": b"1111"}
    newest.taken(b"a")
    newest.put(b"c", b"3333", 3)
    newest.put(b"d", None, 4)
    assert dict(newest.values()) == {b"c": b"3333"}
    assert newest.positions == {b"b": 1, b"c": 3}
    newest.put(b"c", None, 5)
    newest.put(b"b", b"4444", 6)
    assert (dict(newest.values()), newest.positions) == ({b"b": b"4444"}, {b"b": 6})


def test_what_is_gone_when_it_is_read_again_is_not_passed_over(
    topic: StateTopic, store: PartitionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_store, "VALUES_BYTES_MAX", 0)
    topic.commit(5, (b"a", b"1"), (b"b", b"1"))
    seek = Consumer.seek

    def seek_twice(consumer: Consumer, partition: object, position: int) -> None:
        seek(consumer, partition, position)
        if store.records_read:
            topic.records[1] = None

    monkeypatch.setattr(Consumer, "seek", seek_twice)
    with pytest.raises(TailLost):
        restore(store, Memory())


@pytest.fixture
def every_state_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the loop turn after every state, as slow states do."""
    monkeypatch.setattr(partition_store, "TURN_SECONDS", 0.0)


@pytest.mark.usefixtures("every_state_a_turn")
@pytest.mark.parametrize("bytes_max", [0, 1_000])
def test_others_have_their_turns_while_states_are_taken(
    topic: StateTopic, store: PartitionStore, monkeypatch: pytest.MonkeyPatch, bytes_max: int
) -> None:
    """A probe of /livez, a signal, a commit of another shard: none waits for more than a few states."""
    monkeypatch.setattr(partition_store, "VALUES_BYTES_MAX", bytes_max)
    topic.commit(5, *((b"%d" % number, b"1") for number in range(50)))
    memory = Memory()
    held: list[int] = []

    async def look() -> None:
        while True:
            held.append(len(memory.states))
            await asyncio.sleep(0)

    async def scenario() -> None:
        looking = asyncio.create_task(look())
        await store.restore(memory, abandoned=lambda: False)
        looking.cancel()

    asyncio.run(scenario())
    assert sorted(set(held)) == list(range(51))


def test_the_loop_turns_by_the_time_that_states_take(
    topic: StateTopic, store: PartitionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic.commit(5, *((b"%d" % number, b"1") for number in range(100)))
    turns: list[int] = []
    memory = Memory()

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        # Each state takes 1 ms by the loop's clock, which stands still otherwise.
        monkeypatch.setattr(loop, "time", lambda: len(memory.states) / 1_000)

        async def turn() -> None:
            turns.append(len(memory.states))

        monkeypatch.setattr(partition_store, "_give_a_turn", turn)
        await store.restore(memory, abandoned=lambda: False)

    asyncio.run(scenario())
    between = [later - earlier for earlier, later in itertools.pairwise(sorted({0, *turns, 100}))]
    assert max(between) <= round(partition_store.TURN_SECONDS * 1_000) + 1
    assert len(between) <= 100 / (partition_store.TURN_SECONDS * 1_000) + 1


@pytest.mark.parametrize("value", [b'{"schema":99}', b"{"], ids=["another schema", "damaged"])
def test_a_state_that_this_version_does_not_read_ends_the_worker_with_what_to_do(
    topic: StateTopic, store: PartitionStore, value: bytes
) -> None:
    topic.commit(5, (b"a", value))
    with pytest.raises(EnvironmentBroken, match=r"shard 2: .* run the version that wrote it"):
        asyncio.run(store.restore(new_shard(), abandoned=lambda: False))


def test_a_state_of_which_a_part_is_missing_ends_the_worker_before_its_shard_is_open(
    topic: StateTopic, store: PartitionStore
) -> None:
    cut = Limits(segment_bytes_max=1_200)
    run = new_shard(limits=cut).process(raw([measured(Analyte.AST, 20, at(day)) for day in range(20)]))
    missing = next(key for key, _ in run.states if b"@" in key[1:])
    topic.commit(20, *((key, value) for key, value in run.states if key != missing))
    with pytest.raises(EnvironmentBroken, match="shard 0: the state topic lacks segments of 1 patients"):
        asyncio.run(store.restore(new_shard(limits=cut), abandoned=lambda: False))
    assert store.position is None


def test_a_state_that_does_not_come_ends_the_worker(
    topic: StateTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic.commit(5)

    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Consumer, "getmany", never)
    store = PartitionStore(shard=SHARD, settings=Settings(restore_timeout_seconds=1))
    monkeypatch.setattr(store, "_settings", SimpleNamespace(restore_timeout_seconds=0.01, group_id="g"))
    monkeypatch.setattr(store, "_consumer", lambda _isolation: topic.consumer())
    with pytest.raises(
        EnvironmentBroken, match=r"shard 2: the restore of its state did not get on for 0.01 s"
    ):
        restore(store, Memory())


def test_a_restore_may_take_as_long_as_it_gets_on(
    topic: StateTopic, store: PartitionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic.commit(5, *((b"%d" % number, b"1") for number in range(100)))
    memory = Memory()

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        # All together takes many times what it may stand still for.
        monkeypatch.setattr(loop, "time", lambda: 20.0 * len(memory.states))
        await store.restore(memory, abandoned=lambda: False)

    asyncio.run(scenario())
    assert len(memory.states) * 20.0 > 6 * Settings().restore_timeout_seconds
    assert store.position == len(topic.records)
