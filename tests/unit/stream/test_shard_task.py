"""The task of a shard: memory after the commit, one transaction for what waits, the clock only forward."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest

from pv_stream.errors import EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.shard.fold import RawRecord
from pv_stream.stream.checkpoint import Checkpoint
from pv_stream.stream.runs import FetchedRun
from pv_stream.stream.shard_task import Fold, OpenedShard, ShardTask
from pv_stream.stream.sink import TransactionalSink

INTERVAL_US = 900 * 1_000_000


class FakeRun:
    """A run whose only content is its records."""

    def __init__(self, records: Sequence[RawRecord]) -> None:
        self.records = tuple(records)
        self.outputs = ()
        self.states = ()
        self.left: tuple[RawRecord, ...] = ()


class FakeFold:
    """Remember what was adopted."""

    def __init__(self, patients: int = 0, clock: int | None = None) -> None:
        self.patients = patients
        self.clock = clock
        self.memory: list[int] = []

    def restore(self, key: bytes, value: bytes) -> None:
        raise NotImplementedError

    def settle(self) -> None:
        raise NotImplementedError

    def process(self, records: Sequence[RawRecord]) -> FakeRun:
        return FakeRun(records)

    def commit(self, run: Any) -> None:
        self.memory += [record.position for record in run.records]


class FakeSink:
    """Remember what was committed; wait, fail or call back on the way."""

    def __init__(self, during: Callable[[], Awaitable[None]] | None = None) -> None:
        self.during = during
        self.committed: list[Checkpoint] = []
        self.clocks: list[bytes] = []
        self.group_offset = 0

    async def commit_offset(self, position: int) -> None:
        self.group_offset = position

    async def commit(self, run: object, checkpoint: Checkpoint) -> None:
        del run
        if self.during is not None:
            await self.during()
        self.committed.append(checkpoint)

    async def write_input(self, key: bytes | None, value: bytes) -> None:
        assert key is None
        self.clocks.append(value)


def task_of(
    fold: Fold, sink: FakeSink, *, now_us: int = 0, log_end: int = 0, records_max: int = 100
) -> ShardTask:
    opened = OpenedShard(
        shard=1,
        shard_count=4,
        generation=7,
        fold=fold,
        sink=cast("TransactionalSink", sink),
        next_position=0,
        log_end=log_end,
    )
    return ShardTask(
        opened,
        settings=Settings(run_records_max=records_max),
        computing=asyncio.Lock(),
        on_pressure=lambda _pressed: None,
        now_us=lambda: now_us,
    )


def run(position: int, count: int) -> FetchedRun:
    records = tuple(RawRecord(each, b"p", b"x") for each in range(position, position + count))
    return FetchedRun(1, 7, position, position + count, records)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - any condition, and no time passes
            await asyncio.sleep(0)


async def run_until(task: ShardTask, condition: Callable[[], object]) -> None:
    """Run the task until the condition is true, then close it."""
    running = asyncio.create_task(task.run())
    await until(lambda: running.done() or condition())
    task.close()
    await running


def test_what_waits_becomes_one_transaction_with_its_checkpoint() -> None:
    async def scenario() -> None:
        fold, sink = FakeFold(), FakeSink()
        task = task_of(fold, sink)
        task.offer(run(0, 3))
        task.offer(run(3, 2))
        await run_until(task, lambda: fold.memory)
        assert sink.committed == [Checkpoint(next_position=5, partition_count=4, generation=7)]
        assert fold.memory == [0, 1, 2, 3, 4]
        assert task.next_position == 5

    asyncio.run(scenario())


def test_the_groups_offset_follows_when_nothing_waits() -> None:
    async def scenario() -> None:
        fold, sink = FakeFold(), FakeSink()
        task = task_of(fold, sink)
        task.offer(run(0, 3))
        running = asyncio.create_task(task.run())
        await until(lambda: fold.memory)
        assert sink.group_offset == 0
        task.offer(run(3, 0))  # nothing to process: markers of transactions alone
        await until(lambda: sink.group_offset == 3)
        task.close()
        await running

    asyncio.run(scenario())


@pytest.mark.parametrize("refusal", [None, EnvironmentBroken("no broker"), TimeoutError()])
def test_the_groups_offset_follows_at_the_end_if_the_broker_takes_it(refusal: Exception | None) -> None:
    class RefusingSink(FakeSink):
        async def commit_offset(self, position: int) -> None:
            await super().commit_offset(position)
            if refusal is not None:
                raise refusal

    async def scenario() -> None:
        fold, sink = FakeFold(), RefusingSink()
        task = task_of(fold, sink)
        task.offer(run(0, 3))
        await run_until(task, lambda: fold.memory)
        assert sink.group_offset == task.next_position == 3

    asyncio.run(scenario())


def test_a_large_backlog_becomes_several_transactions() -> None:
    async def scenario() -> None:
        fold, sink = FakeFold(), FakeSink()
        task = task_of(fold, sink, records_max=4)
        task.offer(run(0, 10))
        await run_until(task, lambda: len(fold.memory) == 10)
        assert [checkpoint.next_position for checkpoint in sink.committed] == [4, 8, 10]

    asyncio.run(scenario())


def test_memory_changes_only_after_the_commit() -> None:
    async def scenario() -> None:
        fold = FakeFold()
        seen: list[list[int]] = []

        async def look() -> None:
            seen.append(list(fold.memory))

        task = task_of(fold, FakeSink(during=look))
        task.offer(run(0, 2))
        await run_until(task, lambda: fold.memory)
        assert seen == [[]]

    asyncio.run(scenario())


def test_a_commit_that_fails_changes_no_memory_and_ends_the_task() -> None:
    async def scenario() -> None:
        fold = FakeFold()

        async def fail() -> None:
            message = "fenced"
            raise EnvironmentBroken(message)

        task = task_of(fold, FakeSink(during=fail))
        task.offer(run(0, 2))
        with pytest.raises(EnvironmentBroken, match="fenced"):
            await run_until(task, lambda: False)
        assert fold.memory == []
        assert task.next_position == 0

    asyncio.run(scenario())


def test_closing_waits_for_the_transaction_and_leaves_the_rest() -> None:
    async def scenario() -> None:
        fold = FakeFold()
        entered, go_on = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            entered.set()
            await go_on.wait()

        task = task_of(fold, FakeSink(during=hold), records_max=2)
        task.offer(run(0, 5))
        running = asyncio.create_task(task.run())
        await entered.wait()
        task.close()
        await asyncio.sleep(0)
        assert not running.done()
        go_on.set()
        await running
        assert fold.memory == [0, 1]
        assert task.next_position == 2

    asyncio.run(scenario())


def test_the_clock_is_written_also_under_a_load_that_never_ends() -> None:
    async def scenario() -> None:
        position = 0

        async def more_comes() -> None:
            nonlocal position
            position += 1
            task.offer(run(position, 1))

        sink = FakeSink(during=more_comes)
        task = task_of(FakeFold(patients=1, clock=0), sink, now_us=INTERVAL_US, log_end=3)
        task.offer(run(0, 1))
        await run_until(task, lambda: len(sink.committed) > 5)
        assert len(sink.clocks) == 1

    asyncio.run(scenario())


class CuttingFold(FakeFold):
    """A fold that takes two records at most, and leaves the others."""

    def process(self, records: Sequence[RawRecord]) -> FakeRun:
        taken = FakeRun(records[:2])
        taken.left = tuple(records[2:])
        return taken


def test_what_a_run_leaves_is_the_beginning_of_the_next() -> None:
    async def scenario() -> None:
        fold, sink = CuttingFold(), FakeSink()
        task = task_of(fold, sink)
        task.offer(run(0, 5))
        await run_until(task, lambda: len(fold.memory) == 5)
        assert fold.memory == [0, 1, 2, 3, 4]
        assert [each.next_position for each in sink.committed] == [2, 4, 5]

    asyncio.run(scenario())


def test_the_clock_is_written_when_the_interval_has_passed() -> None:
    async def scenario() -> None:
        sink = FakeSink()
        task = task_of(FakeFold(patients=1, clock=0), sink, now_us=INTERVAL_US)
        await run_until(task, lambda: sink.clocks)
        assert len(sink.clocks) == 1
        assert json.loads(sink.clocks[0])["type"] == "clock"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fold", "now_us", "log_end"),
    [
        pytest.param(FakeFold(patients=0), INTERVAL_US, 0, id="no-patients"),
        pytest.param(FakeFold(patients=1, clock=1), INTERVAL_US, 0, id="too-early"),
        pytest.param(FakeFold(patients=1, clock=2 * INTERVAL_US), INTERVAL_US, 0, id="would-go-back"),
        pytest.param(FakeFold(patients=1, clock=0), INTERVAL_US, 1, id="an-earlier-one-may-lie-ahead"),
    ],
)
def test_the_clock_is_not_written(fold: FakeFold, now_us: int, log_end: int) -> None:
    async def scenario() -> None:
        sink = FakeSink()
        task = task_of(fold, sink, now_us=now_us, log_end=log_end)
        running = asyncio.create_task(task.run())
        task.offer(FetchedRun(1, 7, 0, 0, ()))  # wakes the task, so that it looks at the clock
        for _ in range(10):
            await asyncio.sleep(0)
        task.close()
        await running
        assert sink.clocks == []

    asyncio.run(scenario())
