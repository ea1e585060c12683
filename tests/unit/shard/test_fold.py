"""The fold of one shard: overlay and commit, restoring, what is due, caps, and failures that stay one patient's."""

import json
from typing import Any

import pytest

from pv_stream.codec.state import state_bytes
from pv_stream.domain.codes import FindingCode
from pv_stream.domain.events import FactArrived
from pv_stream.domain.ids import PatientId
from pv_stream.engine.advance import fire_due as engine_fire_due
from pv_stream.shard import fold as shard_fold
from pv_stream.shard.fold import CLOCK_KEY, OutputStream, RawRecord, ShardFold, clock_record
from pv_stream.shard.limits import Limits
from pv_stream.shard.rules_in_force import RULEBOOK_KEY
from pv_stream.shard.steps import step as engine_step
from tests.builders import PATIENT, at, dose, eosinophils, event, present, temperature
from tests.shards import alerts, clock, failing_for, fold, hand_over, new_shard, of_stream, raw

OTHER = PatientId("patient-2")


def _of(patient: str, *events: FactArrived) -> list[FactArrived]:
    return [
        event(sent.version.statement.content, sent.version.statement.effective, patient=patient)
        for sent in events
    ]


REACTION = (
    dose("imatinib", at(0)),
    dose("imatinib", at(7)),
    eosinophils(1690, at(15)),
    temperature("39", at(15)),
    present(FindingCode.REACTION_RESOLVED, at(20)),
)
BOTH = [*_of(OTHER, *REACTION), *REACTION]


def _closed(outputs: Any) -> list[str]:
    return [alert["patient_id"] for alert in alerts(outputs) if alert["status"] == "closed"]


# Runs -----------------------------------------------------------------------------------------------------------


def test_nothing_is_memory_before_the_commit() -> None:
    shard = new_shard()
    run = shard.process(raw([clock(1), *REACTION]))
    assert (shard.patients, shard.clock, shard.state_of(PATIENT).facts) == (0, None, {})
    shard.commit(run)
    assert (shard.patients, shard.clock) == (1, at(1, 0))


def test_only_the_latest_run_can_be_committed_and_only_once() -> None:
    shard = new_shard()
    old, new = shard.process(raw(REACTION)), shard.process(raw(REACTION))
    with pytest.raises(ValueError, match="only the latest run"):
        shard.commit(old)
    shard.commit(new)
    with pytest.raises(ValueError, match="only the latest run"):
        shard.commit(new)


def test_a_run_names_each_changed_state_once_and_the_clock_when_it_moved() -> None:
    shard = new_shard()
    run = shard.process(raw([*BOTH, clock(21)]))
    assert [key for key, _ in run.states] == [b"patient-2", b"patient-1", CLOCK_KEY, RULEBOOK_KEY]
    shard.commit(run)
    assert shard.process(raw([clock(21), clock(20)])).states == ()


def test_a_closing_that_was_computed_but_not_committed_fires_again() -> None:
    shard = new_shard()
    fold(raw(BOTH), shard)
    assert _closed(shard.process(raw([clock(60)])).outputs) == ["patient-1", "patient-2"]
    assert _closed(fold(raw([clock(60)]), shard)) == ["patient-1", "patient-2"]
    assert _closed(fold(raw([clock(90)]), shard)) == []


def test_a_record_for_the_clock_is_a_clock_event_without_a_key() -> None:
    key, value = clock_record(at(3))
    shard = new_shard()
    fold([RawRecord(0, key, value)], shard)
    assert (key, shard.clock) == (None, at(3))


# Restoring ------------------------------------------------------------------------------------------------------


def test_a_restored_shard_goes_on_where_the_other_stopped() -> None:
    first, second = new_shard(), new_shard()
    run = first.process(raw([*BOTH, clock(21)]))
    first.commit(run)
    hand_over(run.states, second)
    assert (second.patients, second.clock) == (first.patients, first.clock)
    assert fold(raw([clock(60)]), second) == fold(raw([clock(60)]), first)


def test_of_two_states_of_a_patient_the_later_stands() -> None:
    shard, restored = new_shard(), new_shard()
    for part in (REACTION[:4], REACTION[4:]):
        run = shard.process(raw(part))
        shard.commit(run)
        hand_over(run.states, restored)
    assert restored.state_of(PATIENT) == shard.state_of(PATIENT)
    assert _closed(fold(raw([clock(60)]), restored)) == ["patient-1"]


# Failures -------------------------------------------------------------------------------------------------------


def test_where_a_closing_fails_the_clock_goes_on_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = new_shard()
    fold(raw(BOTH), shard)
    monkeypatch.setattr(shard_fold, "fire_due", failing_for(PATIENT, engine_fire_due))
    outputs = fold(raw([clock(60)]), shard)
    assert _closed(outputs) == ["patient-2"]
    (letter,) = of_stream(outputs, OutputStream.DEAD_LETTERS)
    assert (letter["code"], letter["patient_id"]) == ("engine_failed", "patient-1")
    assert [alert["kind"] for alert in alerts(outputs)] == ["system", "suspected_dress"]
    assert fold(raw([clock(90)]), shard) == ()


def test_an_event_that_the_engine_fails_on_is_a_dead_letter_and_the_next_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shard_fold, "step", failing_for(PATIENT, engine_step))
    shard = new_shard()
    outputs = fold(raw(BOTH), shard)
    letters = of_stream(outputs, OutputStream.DEAD_LETTERS)
    assert {(letter["code"], letter["patient_id"]) for letter in letters} == {("engine_failed", PATIENT)}
    kinds = {(alert["patient_id"], alert["kind"]) for alert in alerts(outputs)}
    assert kinds == {(PATIENT, "system"), ("patient-2", "suspected_dress")}


# Caps -----------------------------------------------------------------------------------------------------------


def _full(cap: int) -> ShardFold:
    return new_shard(limits=Limits(state_bytes_max=cap, state_bytes_reserved=0))


def test_a_state_may_be_as_large_as_the_cap_and_no_larger() -> None:
    roomy = new_shard()
    fold(raw(REACTION[:1]), roomy)
    exactly = state_bytes(roomy.state_of(PATIENT))
    assert fold(raw(REACTION[:1]), _full(exactly)) == ()
    codes = [json.loads(out.value).get("code") for out in fold(raw(REACTION[:1]), _full(exactly - 1))]
    assert codes == ["patient_state_full", None]


def test_the_system_alert_is_told_once_and_names_what_to_do() -> None:
    outputs = fold(raw(REACTION), _full(10))
    (system,) = alerts(outputs)
    assert (system["kind"], system["tier"], system["status"]) == ("system", "warning", "raised")
    assert "tell the operator" in system["reason"]
    letters = of_stream(outputs, OutputStream.DEAD_LETTERS)
    assert [letter["code"] for letter in letters] == ["patient_state_full"] * len(REACTION)


def test_a_record_over_the_cap_is_too_large() -> None:
    small = new_shard(limits=Limits(record_bytes_max=10))
    (letter,) = of_stream(fold([RawRecord(0, b"k", b"x" * 11)], small), OutputStream.DEAD_LETTERS)
    assert (letter["code"], letter["value_bytes"], letter["patient_id"]) == ("too_large", 11, None)


def test_a_dead_letter_names_the_digest_of_the_bytes() -> None:
    (letter,) = of_stream(fold([RawRecord(0, b"k", None)]), OutputStream.DEAD_LETTERS)
    assert letter["value_digest"] == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
