"""How far a shard is behind: by what it fetched, by how long it has not got on, and never guessed."""

from dataclasses import dataclass, field

import pytest

from pv_stream.stream.lag import Lag, LagWatch

NOW_S = 1_000.0


@dataclass
class Shard:
    """Stand for an open shard."""

    next_position: int
    processed_position: int
    oldest_written_ms: int | None = None


@dataclass
class Shards:
    """Stand for an owner of one shard."""

    shard: Shard
    end: tuple[int, float] | None
    open_shards: dict[int, Shard] = field(init=False)

    def __post_init__(self) -> None:
        self.open_shards = {3: self.shard}

    def last_seen_end(self, shard: int) -> tuple[int, float] | None:
        assert shard == 3
        return self.end


def looks(shards: Shards, *instants_s: float) -> list[Lag]:
    """Look at these instants of a monotonic clock and return what was seen."""
    times = iter(instants_s)
    now = {"s": 0.0}
    watch = LagWatch(shards, now_s=lambda: NOW_S, clock=lambda: now["s"])
    found = []
    for now["s"] in times:
        found.append(watch.look()[3])
    return found


@pytest.mark.parametrize(
    ("shard", "end", "expected"),
    [
        pytest.param(Shard(10, 10), (10, NOW_S - 1), Lag(0, 0.0, 1.0), id="at the end"),
        pytest.param(Shard(9, 10), (10, NOW_S), Lag(0, 0.0, 0.0), id="only markers behind the checkpoint"),
        pytest.param(Shard(5, 5, 993_000), (10, NOW_S), Lag(5, 7.0, None), id="the oldest waits for 7 s"),
        pytest.param(Shard(5, 5, 1_009_000), (10, NOW_S), Lag(5, 0.0, None), id="written in the future"),
        pytest.param(Shard(5, 5), None, Lag(None, 0.0, None), id="nothing was fetched yet"),
        pytest.param(Shard(12, 12), (10, NOW_S), Lag(0, 0.0, 0.0), id="ahead of what was last seen"),
    ],
)
def test_a_shard_is_behind(shard: Shard, end: tuple[int, float] | None, expected: Lag) -> None:
    assert looks(Shards(shard, end), 0.0) == [expected]


def test_what_was_not_fetched_is_as_old_as_the_shard_has_not_got_on() -> None:
    shards = Shards(Shard(5, 5), (10, NOW_S))
    assert [lag.oldest_seconds for lag in looks(shards, 0.0, 1.0, 30.0)] == [0.0, 1.0, 30.0]


def test_a_shard_at_the_end_grows_no_older() -> None:
    shards = Shards(Shard(10, 10), (10, NOW_S))
    assert [lag.oldest_seconds for lag in looks(shards, 0.0, 100.0)] == [0.0, 0.0]


def test_getting_on_begins_anew() -> None:
    shards = Shards(Shard(5, 5), (10, NOW_S))
    now = {"s": 0.0}
    watch = LagWatch(shards, now_s=lambda: NOW_S, clock=lambda: now["s"])
    watch.look()
    now["s"] = 30.0
    shards.shard.processed_position = 6
    assert watch.look()[3].oldest_seconds == 0.0
    now["s"] = 31.0
    assert watch.look()[3].oldest_seconds == 1.0
