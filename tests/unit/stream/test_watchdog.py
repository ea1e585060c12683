"""The watchdog: what does not get on ends the worker, what waits for somebody else does not."""

import asyncio
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from pv_stream.errors import EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.stream import owner as owner_module
from pv_stream.stream.owner import Opening, ShardOwner
from pv_stream.stream.progress import Progress
from pv_stream.stream.watchdog import LoopBeat, UnderWay, Watchdog, under_way, watch_in_a_thread

STALL = 10.0


def idle(**changes: Any) -> Any:
    """Return an owner of one open shard at the end of its log, fetched as often as it is looked at."""
    task = SimpleNamespace(busy=False, next_position=7, processed_position=8, transactions=3)
    fetches = iter(range(1_000))
    owner = SimpleNamespace(
        closing=False,
        assigned=frozenset({1}),
        opening={},
        open_shards={1: task},
        progress=Progress(),
        last_seen_end=lambda shard: (shard, next(fetches)),
    )
    for name, value in changes.items():
        setattr(owner, name, value)
    return owner


def verdict(
    owner: Any, *, looks: int = 12, gone: bool = False, spare_looks: Callable[[], int] = lambda: 0
) -> EnvironmentBroken | None:
    """Look once a second and return the first verdict."""
    beat = LoopBeat()

    def look_at() -> Mapping[str, object]:
        beat.beats += 1
        return under_way(owner, beat, broker_is_gone=gone, spare_looks=spare_looks())

    dog = Watchdog(STALL, look_at)
    return next((found for _ in range(looks) if (found := dog.look(1.0)) is not None), None)


def busy(transactions: Callable[[], int]) -> Any:
    class Task:
        busy = True
        next_position = 7
        processed_position = 7
        transactions = property(lambda _: transactions())

    return idle(open_shards={1: Task()})


def test_an_idle_worker_that_fetches_is_left_alone() -> None:
    assert verdict(idle(), looks=100) is None


def test_a_worker_without_a_shard_is_left_alone_while_it_sees_that_each_has_somebody() -> None:
    looks = iter(range(1_000))
    spare = idle(assigned=frozenset(), open_shards={})
    assert verdict(spare, looks=100, spare_looks=lambda: next(looks)) is None


@pytest.mark.parametrize(
    ("owner", "what"),
    [
        (busy(lambda: 3), "processing shard 1 at position 7"),
        (idle(last_seen_end=lambda _: None), "fetching shard 1 from position 8"),
        (idle(last_seen_end=lambda _: (8, 1.5)), "fetching shard 1 from position 8"),
        (idle(open_shards={}, opening={2: Opening("restoring its state", lambda: 40)}), "opening shard 2"),
        (idle(open_shards={}, closing=True), "closing its shards"),
        (idle(open_shards={}, assigned=None), "joining the group"),
        (idle(open_shards={}, assigned=frozenset()), "getting shards, of which some have no worker"),
    ],
)
def test_work_that_does_not_get_on_ends_the_worker_after_the_time_and_not_before(
    owner: Any, what: str
) -> None:
    broken = verdict(owner)
    assert broken is not None
    assert f"no progress for 10 s in {what}" in str(broken)
    assert verdict(owner, looks=10) is None


def test_transactions_that_go_on_at_one_position_are_progress() -> None:
    """A clock record that is told in slices keeps its position for many transactions."""
    transactions = iter(range(1_000))
    assert verdict(busy(lambda: next(transactions)), looks=100) is None


def test_an_opening_that_reads_is_progress() -> None:
    reads = iter(range(1_000))
    opening = {2: Opening("restoring its state", lambda: next(reads))}
    assert verdict(idle(open_shards={}, opening=opening), looks=100) is None


def test_while_the_broker_is_gone_nothing_but_the_loop_is_watched() -> None:
    assert verdict(busy(lambda: 3), looks=100, gone=True) is None
    dog = Watchdog(STALL, lambda: under_way(idle(), LoopBeat(), broker_is_gone=True, spare_looks=0))
    assert [dog.look(5.0) is None for _ in range(3)] == [True, True, False]


def test_a_shard_whose_producer_hangs_is_seen_as_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    class HangingSink:
        state_position = None

        def __init__(self, **_: object) -> None: ...

        async def start(self) -> None:
            await asyncio.Event().wait()

        async def stop(self) -> None: ...

    class OneShard:
        async def partition_count(self) -> int:
            return 1

    monkeypatch.setattr(owner_module, "TransactionalSink", HangingSink)

    async def scenario() -> None:
        never_asked: Any = None
        source: Any = OneShard()
        owner = ShardOwner(
            settings=Settings(), fold_factory=never_asked, source=source, on_failure=lambda _: None
        )
        opening = asyncio.create_task(owner.open([0], generation=1))
        while not owner.opening:  # noqa: ASYNC110 - no time passes
            await asyncio.sleep(0)
        broken = verdict(owner)
        assert "opening shard 0 (taking over from its last owner)" in str(broken)
        opening.cancel()

    asyncio.run(scenario())


def test_the_thread_ends_the_worker_once() -> None:
    ended: list[Exception] = []
    dog = Watchdog(STALL, lambda: {"something": 1})
    thread = watch_in_a_thread(dog, ended.append, sleep=lambda _: None, exit_anyway=lambda: None)
    thread.join(60)
    assert [str(each)[:40] for each in ended] == ["no progress for 10 s in something: the w"]


def test_a_watchdog_that_fails_ends_the_worker_with_what_it_failed_with() -> None:
    """Dead and unseen, it would watch nothing for as long as the worker lives."""
    fault = RuntimeError("a fault of ours")

    def look_at() -> UnderWay:
        raise fault

    ended: list[Exception] = []
    thread = watch_in_a_thread(
        Watchdog(STALL, look_at), ended.append, sleep=lambda _: None, exit_anyway=lambda: None
    )
    thread.join(60)
    assert ended == [fault]
