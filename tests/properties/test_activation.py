"""Laws 2, 3, 6 and 8 where the rulebook changes in the log: the same bytes live and replayed, and the past stays."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pv_stream.domain.ids import PatientId
from pv_stream.engine.assess import assess
from pv_stream.engine.relevance import must_assess
from pv_stream.shard.fold import OutRecord, RawRecord, ShardFold
from pv_stream.shard.limits import Limits
from tests.properties.strategies import cuts, logs, unhurried
from tests.rulebooks import ALL, activation, by_digest
from tests.shards import alerts, fold, hand_over, new_shard, raw

#: So few that patients are still waiting when the next records come.
SLOW = Limits(reassessed_per_record=1, reassessed_per_control_record=1)


@st.composite
def logs_with_activations(draw: st.DrawFn) -> list[RawRecord]:
    """Logs in which one to three rulebooks come into force."""
    log: list[Any] = list(draw(logs(patients_max=4)))
    for _ in range(draw(st.integers(1, 3))):
        log.insert(draw(st.integers(0, len(log))), activation(draw(st.sampled_from(ALL))))
    return raw(log)


def _shard(limits: Limits = SLOW, *, what_if: bool = False) -> ShardFold:
    return new_shard(limits=limits, carried=by_digest(), what_if=what_if)


def _runs(records: Sequence[RawRecord], places: Sequence[int]) -> list[Sequence[RawRecord]]:
    edges = [0, *places, len(records)]
    return [records[start:end] for start, end in pairwise(edges)]


def _folded(
    runs: Sequence[Sequence[RawRecord]], *, restoring: bool = False
) -> tuple[list[OutRecord], dict[bytes, bytes | None]]:
    shard = _shard()
    outputs: list[OutRecord] = []
    states: dict[bytes, bytes | None] = {}
    for records in runs:
        if restoring:
            shard = _shard()
            hand_over(((key, states[key]) for key in sorted(states, reverse=True)), shard)
        run = shard.process(records)
        shard.commit(run)
        outputs += run.outputs
        states |= dict(run.states)
    return outputs, states


@unhurried
@given(logs_with_activations(), st.data())
def test_outputs_and_states_depend_neither_on_runs_nor_on_a_restore(
    records: list[RawRecord], data: st.DataObject
) -> None:
    whole = _folded([records])
    runs = _runs(records, data.draw(cuts(len(records))))
    assert _folded(runs) == whole
    assert _folded(runs, restoring=True) == whole
    assert _folded([[record] for record in records], restoring=True) == whole


@unhurried
@given(logs_with_activations(), st.data())
def test_an_activation_that_is_not_committed_leaves_the_memory_as_it_was(
    records: list[RawRecord], data: st.DataObject
) -> None:
    before, after = _runs(records, [data.draw(st.integers(0, len(records)))])
    shard = _shard()
    fold(before, shard)
    first = shard.process(after)
    shard.process(after[: len(after) // 2])
    again = shard.process(after)
    assert (again.outputs, again.states) == (first.outputs, first.states)


@unhurried
@given(logs_with_activations())
def test_what_if_passes_over_every_activation(records: list[RawRecord]) -> None:
    kept = [record for record in records if b"control.activate" not in (record.value or b"")]
    shard = _shard(what_if=True)
    assert fold(records, shard) == fold(kept)
    assert [book.digest for book in shard.rulebooks_used] == [ALL[0].digest]


@unhurried
@given(logs_with_activations())
def test_a_rulebook_changes_no_closed_alert_and_says_that_it_was_the_cause(records: list[RawRecord]) -> None:
    status: dict[str, str] = {}
    for alert in alerts(fold(records, _shard())):
        if alert["kind"] == "suspected_dress" and alert["cause"] == "rulebook":
            assert status.get(alert["alert_id"]) != "closed"
        status[alert["alert_id"]] = alert["status"]


@unhurried
@given(logs_with_activations())
def test_a_record_has_no_more_patients_assessed_again_than_the_limit_says(records: list[RawRecord]) -> None:
    again: dict[int, set[str]] = {}
    for out, alert in _with_alerts(fold(records, _shard())):
        if alert["cause"] == "rulebook":
            again.setdefault(out.position, set()).add(alert["patient_id"])
    for position, patients in again.items():
        # The patient of the record goes first, and so does whoever falls due at a clock record.
        own = 1 if records[position].key is not None else 4
        assert len(patients) <= own + SLOW.reassessed_per_record


def _with_alerts(outputs: Sequence[OutRecord]) -> list[tuple[OutRecord, dict[str, Any]]]:
    return [(out, alert) for out in outputs for alert in alerts([out])]


@unhurried
@given(logs_with_activations())
def test_once_nobody_waits_all_are_assessed_under_the_rules_in_force(records: list[RawRecord]) -> None:
    shard = _shard(Limits())
    fold(records, shard)
    keys = sorted({record.key.decode() for record in records if record.key is not None})
    for key in keys:
        state = shard.state_of(PatientId(key))
        if not state.facts:
            continue
        assert state.rulebook == shard.rulebook.digest
        if not must_assess(state, shard.rulebook):
            found = assess(state.facts, shard.rulebook)
            assert (found.episodes, found.restarts, found.reviews) == ((), (), ())


@unhurried
@given(logs_with_activations())
def test_the_rulebook_in_force_stands_in_the_state(records: list[RawRecord]) -> None:
    shard, heir = _shard(), _shard()
    run = shard.process(records)
    shard.commit(run)
    hand_over(run.states, heir)
    assert heir.rulebook is shard.rulebook
