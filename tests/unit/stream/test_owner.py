"""The owner of shards: whose memory it keeps, and what it makes anew."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import SecretStr

from pv_stream.errors import EnvironmentBroken, UsageError
from pv_stream.ledger.chain import Ledger, extended
from pv_stream.ledger.merkle import leaf_hash
from pv_stream.settings import Settings
from pv_stream.shard.fold import RawRecord
from pv_stream.stream import owner as owner_module
from pv_stream.stream.checkpoint import Checkpoint
from pv_stream.stream.owner import ShardOwner
from pv_stream.stream.partition_store import TailLost
from pv_stream.stream.runs import FetchedRun

STATE_POSITION = 41
LEDGER = extended(Ledger(), [leaf_hash(b"an alert")]).ledger


class Fold:
    """Remember positions."""

    clock = None
    patients = 0

    def __init__(self) -> None:
        self.memory: list[int] = []

    def restore(self, key: bytes, value: bytes) -> None: ...

    def settle(self) -> None: ...

    def process(self, records: Sequence[RawRecord]) -> Any:
        return type(
            "Run",
            (),
            {"outputs": (), "states": (), "left": (), "positions": [each.position for each in records]},
        )

    def commit(self, run: Any) -> None:
        self.memory += run.positions


class Sink:
    """Commit, or fail."""

    fails = False

    def __init__(self, **_: object) -> None:
        self.state_position: int | None = None
        self.ledger = Ledger()
        self.group_offset = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def commit(self, _run: object, _checkpoint: Checkpoint) -> None:
        if self.fails:
            message = "fenced"
            raise EnvironmentBroken(message)
        self.state_position = STATE_POSITION
        self.ledger = LEDGER

    async def commit_offset(self, position: int) -> None:
        self.group_offset = position


class Store:
    """Restore nothing, and remember up to where the memory goes."""

    lost = False

    def __init__(self, **_: object) -> None:
        self.position: int | None = None
        self.checkpoint: Checkpoint | None = None
        self.records_read = 0

    def reflects(self, position: int, checkpoint: Checkpoint) -> None:
        self.position, self.checkpoint = position, checkpoint

    async def restore(self, _fold: object, *, abandoned: Callable[[], bool]) -> Checkpoint | None:
        if self.lost and self.position is not None:
            raise TailLost
        if self.position is None and not abandoned():
            self.position = 0
        return self.checkpoint


class Source:
    """A log of one shard."""

    partitions = 1

    async def bounds(self, _shard: int) -> tuple[int, int]:
        return 0, 10

    async def committed(self, _shard: int) -> int | None:
        return None

    async def partition_count(self) -> int:
        return self.partitions

    def press(self, _shard: int, *, pressed: bool) -> None: ...

    def last_seen_end(self, _shard: int) -> None: ...


class World:
    """An owner, the folds that were made for it, and what failed."""

    def __init__(self) -> None:
        self.folds: list[Fold] = []
        self.failures: list[BaseException] = []
        self.source = Source()
        self.owner = ShardOwner(
            settings=Settings(), fold_factory=self._fold, source=self.source, on_failure=self.failures.append
        )

    def _fold(self, _shard: int, _count: int) -> Any:
        self.folds.append(Fold())
        return self.folds[-1]

    async def process(self, position: int) -> None:
        """Process one record."""
        generation = self.owner.open_shards[0].generation
        self.owner.offer(
            FetchedRun(0, generation, position, position + 1, (RawRecord(position, b"p", b"x"),))
        )
        async with asyncio.timeout(60):
            while position not in self.folds[-1].memory and not self.failures:  # noqa: ASYNC110 - no time passes
                await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_module, "TransactionalSink", Sink)
    monkeypatch.setattr(owner_module, "PartitionStore", Store)
    monkeypatch.setattr(Sink, "fails", False)
    monkeypatch.setattr(Store, "lost", False)


def test_a_shard_that_comes_back_has_its_memory_and_goes_on_behind_its_last_transaction() -> None:
    async def scenario() -> None:
        world = World()
        await world.owner.open([0], generation=1)
        assert not world.owner.restored[0].tail_only
        await world.process(0)
        await world.owner.close()
        await world.owner.open([0], generation=2)
        assert world.owner.restored[0].tail_only
        assert (len(world.folds), world.owner.positions) == (1, {0: 1})
        assert world.owner.open_shards[0].checkpoint == Checkpoint(1, 1, 2, LEDGER)
        await world.process(1)
        assert world.folds[0].memory == [0, 1]
        await world.owner.close()

    asyncio.run(scenario())


def test_a_key_that_cannot_be_read_is_refused_before_anything_is_owned() -> None:
    settings = Settings(ledger_key=SecretStr("no key"))
    with pytest.raises(UsageError, match="not an Ed25519 private key"):
        ShardOwner(settings=settings, fold_factory=lambda *_: Fold(), source=Source(), on_failure=print)


def test_a_memory_whose_tail_is_lost_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        world = World()
        await world.owner.open([0], generation=1)
        await world.owner.close()
        monkeypatch.setattr(Store, "lost", True)
        await world.owner.open([0], generation=2)
        assert (len(world.folds), world.owner.restored[0].tail_only) == (2, False)
        await world.owner.close()

    asyncio.run(scenario())


def test_a_shard_whose_task_is_cancelled_ends_the_worker() -> None:
    """It would look open and process nothing, for as long as the worker lives."""

    async def scenario() -> None:
        world = World()
        await world.owner.open([0], generation=1)
        (task,) = (each for each in asyncio.all_tasks() if each.get_name() == "shard-0")
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)
        assert [str(failure) for failure in world.failures] == [
            "shard-0: its task was cancelled from outside: the worker ends and starts again"
        ]

    asyncio.run(scenario())


def test_a_memory_is_not_kept_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends at a failure; should it ever not, the memory may be ahead of the log."""

    async def scenario() -> None:
        world = World()
        await world.owner.open([0], generation=1)
        monkeypatch.setattr(Sink, "fails", True)
        await world.process(0)
        assert [str(failure) for failure in world.failures] == ["fenced"]
        await world.owner.close()
        await world.owner.open([0], generation=2)
        assert len(world.folds) == 2
        await world.owner.close()

    asyncio.run(scenario())


def test_a_memory_of_another_partition_count_is_not_used() -> None:
    async def scenario() -> None:
        world = World()
        await world.owner.open([0], generation=1)
        await world.owner.close()
        world.source.partitions = 2
        await world.owner.open([0], generation=2)
        assert len(world.folds) == 2
        await world.owner.close()

    asyncio.run(scenario())
