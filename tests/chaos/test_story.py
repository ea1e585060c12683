"""What a run is about and what is done to it: the same for a seed, and with everything in it that can go wrong."""

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from pv_stream.domain.assessment import RecurrenceClass
from pv_stream.domain.ids import shard_of
from pv_stream.shard.fold import OutputStream, RawRecord, ShardFold
from tests.builders import RULEBOOK
from tests.chaos.evidence import is_segment
from tests.chaos.faults import EVERY_KIND, QUICK, FaultKind, schedule
from tests.chaos.orders import Act, Order, Orders, Point, done_path, give, take_back
from tests.chaos.patients import long_stays, recurring
from tests.chaos.report import percentile
from tests.chaos.story import Entry, story
from tests.shards import of_stream

SHARDS = 4
EVENTS = 2_000


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    return story(seed=1, events=EVENTS, shard_count=SHARDS)


def test_a_story_repeats_with_its_seed(entries: list[Entry]) -> None:
    assert entries == story(seed=1, events=EVENTS, shard_count=SHARDS)


def test_a_story_has_everything_that_a_shard_can_meet(entries: list[Entry]) -> None:
    kinds: Counter[str | None] = Counter()
    for entry in entries:
        try:
            event = json.loads(entry.value)
            kinds[event["type"]] += 1
            kinds[event.get("status")] += 1
            if entry.shard != shard_of(event["patient_id"], SHARDS):
                kinds["misrouted"] += 1
        except (ValueError, TypeError, KeyError):
            kinds["unreadable"] += 1
    assert {
        "observation",
        "observation.held",
        "exposure",
        "finding",
        "retracted",
        "corrected",
        "alert.action",
        "identity.absorbed",
        "identity.absorbs",
        "misrouted",
        "unreadable",
    } <= kinds.keys()
    assert any(entry.is_aborted for entry in entries)


def test_the_survivors_of_merges_are_in_other_shards(entries: list[Entry]) -> None:
    merges = [
        json.loads(entry.value)
        for entry in entries
        if b'"identity.absorbed"' in entry.value and not entry.is_aborted
    ]
    assert merges
    for merge in merges:
        assert shard_of(merge["patient_id"], SHARDS) != shard_of(merge["survivor"], SHARDS)


def test_reactions_come_back_in_every_class_and_a_stay_has_so_many_values_that_its_state_is_cut() -> None:
    fold = ShardFold(shard=0, shard_count=1, rulebook=RULEBOOK, originate=True)
    stories = [*recurring(EVENTS), *long_stays(Random(1), EVENTS, SHARDS)]
    events = [event for told in stories for event in told]
    log = [RawRecord(place, patient.encode(), value) for place, (_, patient, value) in enumerate(events)]
    outputs, keys, gone = [], set[bytes](), set[bytes]()
    for first in range(0, len(log), 20):
        run = fold.process(log[first : first + 20])
        fold.commit(run)
        outputs += of_stream(run.outputs, OutputStream.RECURRENCES)
        keys |= {key for key, _ in run.states if is_segment(key)}
        gone |= {key for key, value in run.states if value is None}
    assert {told["primary"] for told in outputs} == set(RecurrenceClass) - {RecurrenceClass.REPEAT}
    assert {key.partition(b"@")[0] for key in keys} == {
        b"synthetic-long-0000",
        b"synthetic-long-0000-survivor-0",
    }
    assert any(key.startswith(b"synthetic-long-0000@") for key in gone)


def test_who_comes_again_and_who_stays_is_spread_over_the_log_in_order(entries: list[Entry]) -> None:
    values = [entry.value for entry in entries]
    for told in [*recurring(EVENTS), *long_stays(Random("story/1"), EVENTS, SHARDS)]:
        places = [values.index(value) for _, _, value in told]
        assert places == sorted(places)
        assert places[-1] - places[0] > EVENTS / 3


def test_a_schedule_deals_every_kind_before_any_again_and_repeats_with_its_seed() -> None:
    first = list(islice(schedule(Random("a")), 2 * len(EVERY_KIND)))
    assert first == list(islice(schedule(Random("a")), 2 * len(EVERY_KIND)))
    assert first != list(islice(schedule(Random("b")), 2 * len(EVERY_KIND)))
    for half in (first[: len(EVERY_KIND)], first[len(EVERY_KIND) :]):
        assert set(half) == set(EVERY_KIND)


def test_what_only_mutants_need_is_in_no_run() -> None:
    left_out = set(FaultKind) - set(EVERY_KIND)
    assert left_out == {FaultKind.KILL_BETWEEN, FaultKind.STOP_AFTER_BEGIN}
    assert set(QUICK) < set(EVERY_KIND)


def test_an_order_is_carried_out_once_at_its_passing_of_its_point(tmp_path: Path) -> None:
    path = tmp_path / "orders-0"
    orders = Orders(path)
    assert orders.passed(Point.BEFORE_COMMIT) is None
    give(path, Order(Point.BEFORE_COMMIT, Act.STOP, nth=2))
    assert orders.wait_for(Point.BEFORE_COMMIT)
    passed = [
        orders.passed(point)
        for point in (Point.AFTER_BEGIN, Point.BEFORE_COMMIT, Point.BEFORE_COMMIT, Point.BEFORE_COMMIT)
    ]
    assert passed == [None, None, Act.STOP, None]
    assert done_path(path).exists()


def test_an_order_that_is_taken_back_is_not_carried_out(tmp_path: Path) -> None:
    path = tmp_path / "orders-0"
    orders = Orders(path)
    give(path, Order(Point.MID_SEND, Act.STOP, nth=2))
    assert orders.passed(Point.MID_SEND) is None
    assert not take_back(path)
    assert orders.passed(Point.MID_SEND) is None
    assert orders.passed(Point.MID_SEND) is None


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([3.0], 0.5) == 3.0
    assert percentile([4.0, 1.0, 2.0, 3.0], 0.5) == 2.0
    assert percentile([4.0, 1.0, 2.0, 3.0], 1.0) == 4.0
