"""The jobs of the live benchmark do what its peers do: what is compared must be the same work."""

import msgspec
import pytest

from benchmarks.live.jobs import JOBS, SMALL, told_digest
from benchmarks.live.logs import MARKS, placed
from benchmarks.live.small_job import SmallFold
from pv_stream.domain.ids import shard_of
from pv_stream.rulebooks import load_default
from pv_stream.shard.fold import OutputStream, RawRecord, ShardFold
from pv_stream.stream.shard_task import Fold

AT = "2026-01-01T00:00:00Z"
DOSE = {
    "type": "drug",
    "patient_id": "p",
    "event_id": 1,
    "received_at": AT,
    "ingredient": "imatinib",
    "dose_mg": 400,
}
COUNT = {
    "type": "lab",
    "patient_id": "p",
    "event_id": 2,
    "received_at": AT,
    "analyte": "eosinophils",
    "unit": "/uL",
}


def fold(*events: object) -> SmallFold:
    """Return a fold that has seen events of the patient p."""
    folded = SmallFold(0, 1)
    folded.commit(folded.process(records(*events)))
    return folded


def records(*events: object) -> list[RawRecord]:
    return [RawRecord(number, b"p", msgspec.json.encode(event)) for number, event in enumerate(events)]


@pytest.mark.parametrize(("value", "alerts"), [(1_499, 0), (1_500, 1), (1_501, 1)])
def test_a_count_at_the_threshold_is_an_alert_under_imatinib(value: int, alerts: int) -> None:
    run = fold(DOSE).process(records(COUNT | {"value": value}))
    assert len(run.outputs) == alerts


@pytest.mark.parametrize("before", [(), (DOSE | {"ingredient": "paracetamol"},)])
def test_a_high_count_without_imatinib_is_none(before: tuple[object, ...]) -> None:
    assert fold(*before).process(records(COUNT | {"value": 9_000})).outputs == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": -1},
        {"value": "many"},
        {"value": 1, "unit": "g"},
        {"value": 1, "patient_id": ""},
        {"value": 1.5},
    ],
)
def test_what_is_not_an_event_becomes_a_dead_letter_and_no_state(wrong: dict[str, object]) -> None:
    run = SmallFold(0, 1).process(records(COUNT | wrong))
    assert [output.stream for output in run.outputs] == [OutputStream.DEAD_LETTERS]
    assert run.states == ()


def test_memory_changes_only_when_a_run_is_committed() -> None:
    folded = fold()
    run = folded.process(records(DOSE))
    assert folded.patients == 0
    folded.commit(run)
    assert folded.patients == 1


def test_a_restored_fold_tells_what_the_one_before_it_would_have_told() -> None:
    before = fold(DOSE)
    restored = SmallFold(0, 1)
    for key, value in before.process(records(COUNT | {"value": 2_000})).states:
        restored.restore(key, value)
    later = records(COUNT | {"value": 1_700})
    before.commit(before.process(records(COUNT | {"value": 2_000})))
    assert restored.process(later).outputs == before.process(later).outputs != ()


@pytest.mark.parametrize("name", sorted(JOBS))
def test_every_marker_tells_and_lies_in_its_partition(name: str) -> None:
    job = JOBS[name]
    step = job.make_step()
    states: dict[bytes, object] = {}
    told: set[bytes] = set()
    log = list(placed(job, count=200, patients=20, partitions=2, seed=1))
    for key, value, partition in log:
        assert partition == shard_of(key.decode(), 2)
        states[key], outputs = step(states.get(key), value)
        told.update(out_key for out_key, _ in outputs if out_key.startswith(b"marker-"))
    markers = {key for key, _, _ in log if key.startswith(b"marker-")}
    assert len(markers) == 2 * (MARKS + 1)
    assert told == markers


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_peer_that_hosts_a_job_tells_what_our_fold_tells(name: str) -> None:
    job = JOBS[name]
    log = list(placed(job, count=300, patients=100, partitions=1, seed=3))
    step = job.make_step()
    states: dict[bytes, object] = {}
    hosted = []
    for key, value, _ in log:
        states[key], outputs = step(states.get(key), value)
        hosted += [value for _, value in outputs]
    ours: Fold = SmallFold(0, 1)
    if name == "engine":
        ours = ShardFold(shard=0, shard_count=1, rulebook=load_default())
    run = ours.process([RawRecord(number, key, value) for number, (key, value, _) in enumerate(log)])
    assert [output.value for output in run.outputs] == hosted
    assert len(hosted) > MARKS


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_state_that_was_written_and_read_is_the_same(name: str) -> None:
    job = JOBS[name]
    step, state = job.make_step(), None
    for value in job.marker("marker-1", 1):
        state, _ = step(state, value)
    assert job.load(job.dump(state)) == state


def test_what_was_told_is_compared_without_its_order_and_spelling() -> None:
    one, two = (
        b'{"patient_id":"a","event_id":1,"eosinophils_per_ul":1500,"alerts":1}',
        b'{"alerts": 2, "patient_id":"a","event_id":2,"eosinophils_per_ul":1500}',
    )
    compact = b'{"patient_id":"a","event_id":2,"eosinophils_per_ul":1500,"alerts":2}'
    assert told_digest(SMALL, [one, two]) == told_digest(SMALL, [compact, one])
    assert told_digest(SMALL, [one, two]) != told_digest(SMALL, [one, two, two])
