"""A clock record far in the future ends the live worker before anything is written, and can still be replayed."""

import asyncio

import pytest

from pv_stream.errors import EnvironmentBroken
from pv_stream.shard.fold import RawRecord, clock_record
from pv_stream.shard.limits import DEFAULT_LIMITS, Limits
from pv_stream.stream.clock_guard import AHEAD_US_MAX
from pv_stream.stream.runs import FetchedRun
from tests.builders import at, dose, eosinophils, temperature
from tests.shards import new_shard, raw
from tests.unit.stream.test_shard_task import FakeSink, run_until, task_of

NOW_US = at(20)


def log_with_a_clock(instant_us: int) -> tuple[RawRecord, ...]:
    """Return an event, then a clock record at position 1."""
    return (*raw([eosinophils(1690, at(15))]), RawRecord(1, *clock_record(instant_us)))


def process_live(records: tuple[RawRecord, ...], limits: Limits = DEFAULT_LIMITS) -> FakeSink:
    """Let the live task of the real fold process records; raise what it raises."""
    sink, fold = FakeSink(), new_shard(limits=limits)

    async def scenario() -> None:
        task = task_of(fold, sink, now_us=NOW_US)
        task.offer(FetchedRun(1, 7, 0, len(records), records))
        try:
            await run_until(task, lambda: sink.committed)
        except EnvironmentBroken:
            assert sink.committed == []
            assert (fold.patients, fold.clock) == (0, None)
            raise

    asyncio.run(scenario())
    return sink


def test_a_clock_more_than_a_day_ahead_is_refused_and_nothing_is_written() -> None:
    with pytest.raises(EnvironmentBroken, match="shard 1: the clock record at position 1 is more than 24 h"):
        process_live(log_with_a_clock(NOW_US + AHEAD_US_MAX + 1))


def test_one_that_would_be_told_in_slices_is_refused_as_well() -> None:
    """Before the first of those who would be due at it is told of."""
    log = raw([dose("imatinib", at(7)), eosinophils(1690, at(15)), temperature("39", at(15))])
    ahead = RawRecord(len(log), *clock_record(NOW_US + 400 * AHEAD_US_MAX))
    with pytest.raises(EnvironmentBroken, match="the clock record at position 3 is more than 24 h"):
        process_live((*log, ahead), Limits(run_due=1))


@pytest.mark.parametrize("ahead_us", [AHEAD_US_MAX, 0, -AHEAD_US_MAX * 400])
def test_every_other_clock_is_taken(ahead_us: int) -> None:
    assert [each.next_position for each in process_live(log_with_a_clock(NOW_US + ahead_us)).committed] == [2]


def test_only_clock_records_are_looked_at() -> None:
    """An event's own time is the engine's affair: it refuses one message and not the shard."""
    later = raw([eosinophils(1690, at(400))])
    assert process_live(tuple(later)).committed


def test_the_fold_itself_takes_any_clock_so_that_every_log_can_be_replayed() -> None:
    shard = new_shard()
    shard.commit(shard.process(log_with_a_clock(NOW_US + 2 * AHEAD_US_MAX)))
    assert shard.clock == NOW_US + 2 * AHEAD_US_MAX
