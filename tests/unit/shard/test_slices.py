"""Slices: a clock record that makes many due is told over several runs, as if it were one."""

import pytest

from pv_stream.domain.events import FactArrived
from pv_stream.shard.fold import CLOCK_KEY, OutRecord, RawRecord, Run, ShardFold
from pv_stream.shard.limits import Limits
from pv_stream.shard.slices import SLICE_KEY, Slice
from tests.builders import at, dose, eosinophils, event, temperature
from tests.shards import clock, fold, hand_over, new_shard, raw

PATIENTS = 12
DUE_MAX = 5
MANY_DUE = clock(60)


def _reactions() -> list[FactArrived]:
    """Return the open episodes of many patients."""
    signs = (dose("imatinib", at(7)), eosinophils(1690, at(15)), temperature("39", at(15)))
    return [
        event(sign.version.statement.content, sign.version.statement.effective, patient=f"patient-{number}")
        for number in range(PATIENTS)
        for sign in signs
    ]


LOG = raw([*_reactions(), MANY_DUE, clock(61)])
TICK = next(record for record in LOG if record.key is None)


def _in_runs(shard: ShardFold, records: tuple[RawRecord, ...]) -> list[Run]:
    """Process records until none is left."""
    runs = []
    while records:
        run = shard.process(records)
        shard.commit(run)
        runs.append(run)
        records = run.left
    return runs


def _outputs(runs: list[Run]) -> list[OutRecord]:
    return [output for run in runs for output in run.outputs]


def test_a_clock_record_that_makes_many_due_is_told_in_bounded_runs_with_the_same_outputs() -> None:
    whole = fold(LOG)
    runs = _in_runs(new_shard(limits=Limits(run_due=DUE_MAX)), tuple(LOG))
    assert _outputs(runs) == list(whole)
    of_the_tick = [[out for out in run.outputs if out.position == TICK.position] for run in runs]
    assert [len(outputs) > 0 for outputs in of_the_tick] == [True, True, True]
    assert [len(run.states) <= DUE_MAX + 3 for run in runs[1:]] == [True, True]


def test_the_clock_is_written_only_when_all_who_were_due_have_fired() -> None:
    shard = new_shard(limits=Limits(run_due=DUE_MAX))
    first, second, last = _in_runs(shard, tuple(LOG))
    assert (first.left[0], second.left[0], last.left) == (TICK, TICK, ())
    assert CLOCK_KEY not in dict(first.states)
    told = len([out for out in first.outputs if out.position == TICK.position])
    assert Slice.from_bytes(dict(first.states)[SLICE_KEY] or b"") == Slice(
        TICK.position, MANY_DUE.instant, told
    )
    assert dict(last.states)[CLOCK_KEY] == str(at(61, 0)).encode()


def test_another_owner_goes_on_in_the_middle_of_a_clock_record() -> None:
    limits = Limits(run_due=DUE_MAX)
    states: dict[bytes, bytes | None] = {}
    outputs: list[OutRecord] = []
    left = tuple(LOG)
    while left:
        owner = new_shard(limits=limits)
        hand_over(states, owner)
        run = owner.process(left)
        outputs += run.outputs
        states |= dict(run.states)
        left = run.left
    assert outputs == list(fold(LOG))


@pytest.mark.parametrize("run_bytes", [1, 2_000])
def test_a_run_that_writes_much_leaves_the_rest_to_the_next(run_bytes: int) -> None:
    runs = _in_runs(new_shard(limits=Limits(run_bytes=run_bytes)), tuple(LOG))
    assert len(runs) > PATIENTS
    assert _outputs(runs) == list(fold(LOG))


@pytest.mark.parametrize("run_facts", [1, 20])
def test_a_run_that_looks_at_many_facts_leaves_the_rest_to_the_next(run_facts: int) -> None:
    """What a run computes is bounded however large its patients are: a worker that is slow is not one that hangs."""
    runs = _in_runs(new_shard(limits=Limits(run_facts=run_facts)), tuple(LOG))
    assert len(runs) > 4
    assert _outputs(runs) == list(fold(LOG))


def test_without_a_limit_nothing_is_left() -> None:
    shard = new_shard()
    (run,) = _in_runs(shard, tuple(LOG))
    assert SLICE_KEY not in dict(run.states)
