"""Law 2: what is told follows from the recorded sequence, not from how records are grouped, kept or retried."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pv_stream.domain.events import Event
from pv_stream.shard.fold import OutRecord, RawRecord, ShardFold
from pv_stream.shard.limits import Limits
from pv_stream.shard.slices import SLICE_KEY
from tests.acting import with_actions
from tests.properties.strategies import POISON, DrawnNarrator, cuts, logs, unhurried
from tests.shards import fold, hand_over, new_shard, raw

States = dict[bytes, bytes | None]


@st.composite
def raw_logs(draw: st.DrawFn) -> list[RawRecord]:
    """Logs with what people do about the alerts, and with some records that cannot be read."""
    log: list[Event | bytes] = [*with_actions(DrawnNarrator(draw), draw(logs()))]
    for poison in draw(st.lists(POISON, max_size=2)):
        log.insert(draw(st.integers(0, len(log))), poison)
    return raw(log)


def _runs(records: Sequence[RawRecord], places: Sequence[int]) -> list[Sequence[RawRecord]]:
    edges = [0, *places, len(records)]
    return [records[start:end] for start, end in pairwise(edges)]


def _folded(runs: Sequence[Sequence[RawRecord]], shard: ShardFold) -> tuple[list[OutRecord], States]:
    outputs: list[OutRecord] = []
    states: States = {}
    for records in runs:
        run = shard.process(records)
        shard.commit(run)
        outputs += run.outputs
        states |= dict(run.states)
    return outputs, standing(states)


def standing(states: States) -> States:
    """Return what stands: a key whose newest value is None does not."""
    return {key: value for key, value in states.items() if value is not None}


#: States of one record each, and such that most are cut.
SEGMENTS = st.sampled_from([Limits(), Limits(segment_bytes_max=900)])


@unhurried
@given(raw_logs(), SEGMENTS, st.data())
def test_outputs_and_states_do_not_depend_on_how_records_are_grouped(
    records: list[RawRecord], limits: Limits, data: st.DataObject
) -> None:
    whole = _folded([records], new_shard(limits=limits))
    assert whole[0] == _folded([records], new_shard())[0]
    assert _folded(_runs(records, data.draw(cuts(len(records)))), new_shard(limits=limits)) == whole
    assert _folded([[record] for record in records], new_shard(limits=limits)) == whole


@unhurried
@given(raw_logs(), st.integers(0, 1), st.data())
def test_what_is_packed_changes_nothing(
    records: list[RawRecord], unpacked_max: int, data: st.DataObject
) -> None:
    """Packed after each run, and unpacked where it is asked for: the same outputs, states, and final states."""
    whole, packing = new_shard(), new_shard(limits=Limits(patients_unpacked=unpacked_max))
    runs = _runs(records, data.draw(cuts(len(records))))
    assert _folded(runs, packing) == _folded([records], whole)
    assert list(packing.final_states()) == list(whole.final_states())
    assert (packing.patients, packing.standing.now()) == (whole.patients, whole.standing.now())


@unhurried
@given(raw_logs(), SEGMENTS, st.data())
def test_a_shard_that_is_restored_between_runs_tells_the_same(
    records: list[RawRecord], limits: Limits, data: st.DataObject
) -> None:
    whole = _folded([records], new_shard(limits=limits))
    outputs: list[OutRecord] = []
    states: States = {}
    for part in _runs(records, data.draw(cuts(len(records)))):
        owner = new_shard(limits=limits)
        hand_over(((key, states[key]) for key in data.draw(st.permutations(sorted(states)))), owner)
        run = owner.process(part)
        outputs += run.outputs
        states |= dict(run.states)
    assert (outputs, standing(states)) == whole


@unhurried
@given(raw_logs(), st.data())
def test_runs_that_a_limit_cuts_tell_the_same_also_to_an_owner_who_takes_over_in_between(
    records: list[RawRecord], data: st.DataObject
) -> None:
    whole = _folded([records], new_shard())
    limits = Limits(
        run_due=data.draw(st.integers(1, 2)),
        run_bytes=data.draw(st.sampled_from([1, 4_000, 10**6])),
        run_facts=data.draw(st.sampled_from([1, 30, 10**6])),
    )
    outputs: list[OutRecord] = []
    states: States = {}
    left: Sequence[RawRecord] = records
    shard = new_shard(limits=limits)
    while left:
        if data.draw(st.booleans()):
            shard = new_shard(limits=limits)
            hand_over(states, shard)
        run = shard.process(left)
        shard.commit(run)
        outputs += run.outputs
        states |= dict(run.states)
        left = run.left
    states.pop(SLICE_KEY, None)
    assert (outputs, states) == whole


@unhurried
@given(raw_logs(), st.data())
def test_a_memory_that_was_kept_and_takes_the_tail_tells_what_one_restored_in_full_does(
    records: list[RawRecord], data: st.DataObject
) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(records)), min_size=2, max_size=2)))
    first, second, third = _runs(records, places)
    kept, other, full = new_shard(), new_shard(), new_shard()
    _, at_first = _folded([first], kept)
    hand_over(at_first, other)
    _, tail = _folded([second], other)
    # The tail may begin before what the kept memory already holds.
    hand_over((at_first | tail if data.draw(st.booleans()) else tail), kept)
    hand_over((at_first | tail), full)
    assert _folded([[record] for record in third], kept) == _folded([third], full)


@unhurried
@given(raw_logs(), st.data())
def test_a_run_that_is_not_committed_leaves_the_memory_as_it_was(
    records: list[RawRecord], data: st.DataObject
) -> None:
    before, after = _runs(records, [data.draw(st.integers(0, len(records)))])
    shard = new_shard()
    fold(before, shard)
    first = shard.process(after)
    shard.process(after[: len(after) // 2])
    again = shard.process(after)
    assert (again.outputs, again.states) == (first.outputs, first.states)
    shard.commit(again)
    once = new_shard()
    fold(before, once)
    fold(after, once)
    ticks = raw([b"x"], first=len(records))
    assert fold(ticks, shard) == fold(ticks, once)
    assert (shard.clock, shard.patients) == (once.clock, once.patients)


@unhurried
@given(raw_logs())
def test_every_output_names_the_record_that_caused_it_and_counts_from_zero(records: list[RawRecord]) -> None:
    outputs = fold(records)
    assert [out.position for out in outputs] == sorted(out.position for out in outputs)
    for position in {out.position for out in outputs}:
        ordinals = [out.ordinal for out in outputs if out.position == position]
        assert ordinals == list(range(len(ordinals)))
