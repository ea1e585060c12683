"""A long stay: a patient of thousands of values is kept in records under the cap, restored whole, and still watched."""

from collections.abc import Iterable, Mapping
from functools import cache

import pytest

from pv_stream.codec.segments import MARK
from pv_stream.codec.state import state_bytes
from pv_stream.domain.codes import Analyte
from pv_stream.domain.events import FactArrived
from pv_stream.domain.times import exactly
from pv_stream.errors import EnvironmentBroken
from pv_stream.shard.fold import OutRecord, RawRecord, Run, ShardFold
from pv_stream.shard.limits import DEFAULT_LIMITS, Limits
from tests.builders import PATIENT, RULEBOOK, at, corrected, eosinophils, event, measured, order
from tests.merging import Topic, merge, of
from tests.shards import alerts, new_shard, raw

#: So small that some twenty values are cut.
SMALL = Limits(segment_bytes_max=2_000)
DAYS, OF_DAY = 90, 56
RUN_RECORDS = 250

#: What stands in the state topic: the newest value of each key, as after compaction.
Standing = dict[bytes, bytes]


def values(days: Iterable[int], of_day: int = 4) -> list[FactArrived]:
    codes = (Analyte.AST, Analyte.ALT, Analyte.ALP)
    return [
        measured(codes[number % len(codes)], 1, at(day, number * 24 // of_day, number % 60))
        for day in days
        for number in range(of_day)
    ]


LONG_STAY = raw([order("imatinib", at(0)), *values(range(DAYS), OF_DAY)])
REACTION = raw([eosinophils(1_700, at(DAYS))], first=len(LONG_STAY))


def written(run: Run, topic: Standing) -> None:
    """Let a run's state records stand in a topic."""
    for key, value in run.states:
        if value is None:
            del topic[key]
        else:
            topic[key] = value


def lived(log: list[RawRecord], shard: ShardFold) -> tuple[list[OutRecord], Standing, list[Run]]:
    """Fold a log in runs; return the outputs, what stands then, and the runs."""
    outputs: list[OutRecord] = []
    topic: Standing = {}
    runs = []
    for first in range(0, len(log), RUN_RECORDS):
        run = shard.process(log[first : first + RUN_RECORDS])
        shard.commit(run)
        written(run, topic)
        outputs += run.outputs
        runs.append(run)
    return outputs, topic, runs


def restored(topic: Mapping[bytes, bytes], limits: Limits = SMALL) -> ShardFold:
    """Return a new owner that read a topic, the latest keys first."""
    shard = new_shard(limits=limits)
    for key in sorted(topic, reverse=True):
        shard.restore(key, topic[key])
    return shard


@cache
def long_stay() -> tuple[list[OutRecord], Standing, list[Run], ShardFold]:
    """Return what five thousand values of one patient come to, and the shard before it reads the next."""
    shard = new_shard()
    return *lived(LONG_STAY, shard), shard


@cache
def reaction() -> Run:
    return long_stay()[3].process(REACTION)


# A long stay ------------------------------------------------------------------------------------------------------


@pytest.mark.no_cover
def test_a_patient_of_five_thousand_values_is_still_watched_and_none_of_them_is_lost() -> None:
    outputs, _, _, shard = long_stay()
    assert outputs == []
    (raised,) = alerts(reaction().outputs)
    assert (raised["eosinophils_per_ul"], raised["status"]) == (1_700, "raised")
    state = shard.state_of(PATIENT)
    assert len(state.facts) == DAYS * OF_DAY + 1 > 5_000
    assert state_bytes(state) > 4 * DEFAULT_LIMITS.state_record_bytes_max


def test_none_of_its_records_is_over_the_cap_and_each_run_writes_only_what_changed() -> None:
    _, topic, runs, _ = long_stay()
    largest = max(len(value) for run in runs for _, value in run.states if value is not None)
    assert largest < DEFAULT_LIMITS.segment_bytes_max + 100
    assert sum(map(len, topic.values())) > 1_100_000
    for run in (*runs[1:], reaction()):
        assert sum(len(value or b"") for _, value in run.states) < 150_000, (
            "250 records, of four days and a half"
        )
    assert len(reaction().states) < 5 < len(topic) / 5


@pytest.mark.no_cover
def test_live_and_replay_tell_and_keep_the_same() -> None:
    _, topic, _, _ = long_stay()
    replay = ShardFold(shard=0, shard_count=1, rulebook=RULEBOOK, encode_states=False)
    assert lived(LONG_STAY, replay)[0] == []
    assert dict(replay.final_states()) == topic
    assert replay.process(REACTION).outputs == reaction().outputs


def test_a_new_owner_reads_the_same_patient_and_goes_on_as_the_old_one() -> None:
    _, topic, _, shard = long_stay()
    owner = restored(topic, DEFAULT_LIMITS)
    assert owner.state_of(PATIENT) == shard.state_of(PATIENT)
    assert owner.process(REACTION).outputs == reaction().outputs


# Restoring --------------------------------------------------------------------------------------------------------


def test_an_owner_who_kept_the_shard_reads_only_what_was_written_since() -> None:
    log = raw(values(range(30)))
    shard = new_shard(limits=SMALL)
    _, topic, _ = lived(log, shard)
    keeper, tail = restored(topic), dict[bytes, bytes]()
    for day in (31, 32, 33):
        run = shard.process(raw(values([day]), first=day * 10))
        shard.commit(run)
        written(run, topic)
        tail |= {key: value for key, value in run.states if value is not None}
        tail = {key: value for key, value in tail.items() if key in topic}
    assert len(tail) < len(topic) / 2
    for order_of_keys in (sorted(tail), sorted(tail, reverse=True)):
        for key in order_of_keys:
            keeper.restore(key, tail[key])
        assert keeper.state_of(PATIENT) == shard.state_of(PATIENT)
    more = raw(values([34]), first=400)
    assert keeper.process(more).states == shard.process(more).states


def test_what_is_there_in_part_is_refused_before_anything_is_told() -> None:
    _, topic, _ = lived(raw(values(range(30))), new_shard(limits=SMALL))
    lost = next(key for key in topic if MARK.encode() in key[1:])
    torn = {key: value for key, value in topic.items() if key != lost}
    with pytest.raises(EnvironmentBroken, match="lacks segments of 1 patients"):
        restored(torn).process([])
    with pytest.raises(EnvironmentBroken, match="lacks segments of 1 patients"):
        restored(topic | {lost: topic[lost].replace(b'"1"', b'"2"')}).process([])
    restored(topic).process([])


def test_what_no_head_names_is_of_no_use() -> None:
    _, topic, _ = lived(raw(values(range(30))), new_shard(limits=SMALL))
    owner = restored(topic | {b"patient-1@2020-01-01+64": b"left over"})
    assert owner.process([]).states == ()
    assert owner.state_of(PATIENT) == restored(topic).state_of(PATIENT)
    for key in topic:
        owner.restore(key, topic[key])
    assert owner.state_of(PATIENT) == restored(topic).state_of(PATIENT)


def test_a_state_in_one_record_as_before_is_read_and_cut_when_it_changes() -> None:
    log = raw(values(range(30)))
    _, whole, _ = lived(log, new_shard(limits=Limits(segment_bytes_max=10**6)))
    shard = new_shard(limits=SMALL)
    _, topic, _ = lived(log, shard)
    owner = restored(whole)
    assert owner.state_of(PATIENT) == shard.state_of(PATIENT)
    more = raw(values([31]), first=400)
    for each in (owner, shard):
        run = each.process(more)
        each.commit(run)
        written(run, whole if each is owner else topic)
    assert whole == topic


# What is no more --------------------------------------------------------------------------------------------------


def test_a_run_that_is_not_committed_leaves_no_trace() -> None:
    shard = new_shard(limits=SMALL)
    lived(raw(values(range(20))), shard)
    more = raw(values([21]), first=400)
    assert shard.process(more).states == shard.process(more).states


def test_a_period_that_is_halved_is_taken_away() -> None:
    shard = new_shard(limits=SMALL)
    _, topic, _ = lived(raw(values(range(0, 64, 16))), shard)
    run = shard.process(raw(values([1, 2, 3, 17, 18, 33]), first=100))
    gone = [key for key, value in run.states if value is None]
    assert gone
    assert topic.keys() >= set(gone)
    shard.commit(run)
    written(run, topic)
    assert dict(shard.final_states()) == topic


def test_a_correction_that_moves_a_fact_to_another_day_moves_it_to_another_record() -> None:
    shard = new_shard(limits=SMALL)
    first = measured(Analyte.AST, 1, at(-800), key="moved")
    _, topic, _ = lived(raw([first, *values(range(8))]), shard)
    moved = corrected(first, first.version.statement.content)
    moved = event(moved.version.statement.content, exactly(at(5, 1)), key="moved", source_version=2)
    run = shard.process(raw([moved], first=100))
    written(run, topic)
    shard.commit(run)
    assert b"patient-1@2023-04-09+512" in [key for key, value in run.states if value is None]
    assert dict(shard.final_states()) == topic
    assert restored(topic).state_of(PATIENT) == shard.state_of(PATIENT)


def test_the_records_of_a_patient_who_was_merged_into_another_are_taken_away() -> None:
    topic = Topic(1)
    topic.shards[0] = new_shard(limits=SMALL)
    topic.send(*of("a", *values(range(20))), *of("b", *values(range(30, 50))))
    shard = topic.shards[0]
    assert len([key for key, _ in shard.final_states() if key.startswith(b"a@")]) > 3
    topic.send(*merge("a", "b", at(60)))
    topic.settle()
    standing = dict(shard.final_states())
    assert [key for key in standing if key.startswith(b"a")] == [b"a"]
    assert restored(standing).state_of(PATIENT) == shard.state_of(PATIENT)
    assert len(topic.state_of("b").facts) == 160
