"""What people do about alerts, over whole logs: told once, revisions that grow, verdicts in any order of facts."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pv_stream.codec.state import decode_state, encode_state
from pv_stream.domain.events import AlertActed, Event
from pv_stream.domain.ids import PatientId
from pv_stream.engine.assess import assess
from pv_stream.shard.fold import OutputStream, OutRecord, ShardFold
from tests.acting import with_actions
from tests.builders import RULEBOOK
from tests.properties.strategies import DrawnNarrator, stories, unhurried
from tests.shards import fold, hand_over, new_shard, of_stream, raw

PATIENT = PatientId("patient-1")


@st.composite
def acted_logs(draw: st.DrawFn) -> list[Event]:
    """One patient's events, with what people do about the alerts that they tell."""
    return with_actions(DrawnNarrator(draw), draw(stories(PATIENT)))


def _lived(log: Sequence[Event]) -> tuple[ShardFold, tuple[OutRecord, ...]]:
    shard = new_shard()
    return shard, fold(raw(log), shard)


def _alerts_by_id(outputs: Sequence[OutRecord]) -> dict[str, list[dict[str, Any]]]:
    told: dict[str, list[dict[str, Any]]] = {}
    for alert in of_stream(outputs, OutputStream.ALERTS):
        told.setdefault(alert["alert_id"], []).append(alert)
    return told


@unhurried
@given(acted_logs())
def test_an_action_is_told_or_refused_and_never_breaks_the_fold(log: list[Event]) -> None:
    _, outputs = _lived(log)
    actions = of_stream(outputs, OutputStream.ACTIONS)
    codes = [letter["code"] for letter in of_stream(outputs, OutputStream.DEAD_LETTERS)]
    assert all(code.startswith("action_") for code in codes)
    ids = [action["action_id"] for action in actions]
    assert len(ids) == len(set(ids))


@unhurried
@given(acted_logs())
def test_revisions_grow_by_one_and_an_acknowledgement_holds_until_the_tier_rises(log: list[Event]) -> None:
    _, outputs = _lived(log)
    for revisions in _alerts_by_id(outputs).values():
        assert [alert["revision"] for alert in revisions] == list(range(1, len(revisions) + 1))
        for before, after in pairwise(revisions):
            noted = after["acknowledged"]
            assert noted is None or _rank(after) <= _rank({"tier": noted["tier"]})
            if "rearmed" in after["flags"]:
                assert before["acknowledged"] is not None
                assert _rank(after) > _rank({"tier": before["acknowledged"]["tier"]})


def _rank(alert: dict[str, Any]) -> int:
    return ("info", "warning", "critical").index(alert["tier"])


@unhurried
@given(acted_logs())
def test_every_action_twice_tells_the_same_and_the_state_is_read_as_written(log: list[Event]) -> None:
    once, told = _lived(log)
    doubled = [again for sent in log for again in ((sent, sent) if isinstance(sent, AlertActed) else (sent,))]
    twice, told_twice = _lived(doubled)
    assert twice.state_of(PATIENT) == once.state_of(PATIENT)
    accepted = [out.value for out in told if out.stream is not OutputStream.DEAD_LETTERS]
    assert [out.value for out in told_twice if out.stream is not OutputStream.DEAD_LETTERS] == accepted
    state = once.state_of(PATIENT)
    assert decode_state(encode_state(state)) == state


@unhurried
@given(acted_logs().flatmap(lambda log: st.tuples(st.just(log), st.permutations(log))))
def test_the_same_verdicts_give_the_same_assessment_in_any_order_of_facts(
    orders: tuple[list[Event], list[Event]],
) -> None:
    log, shuffled = orders
    shard, _ = _lived(log)
    state = shard.state_of(PATIENT)
    other, _ = _lived([sent for sent in shuffled if not isinstance(sent, AlertActed)])
    verdicts = state.published.verdicts
    assert assess(other.state_of(PATIENT).facts, RULEBOOK, verdicts) == assess(
        state.facts, RULEBOOK, verdicts
    )


@unhurried
@given(acted_logs(), st.integers(0, 60))
def test_actions_do_not_depend_on_how_records_are_grouped_nor_on_a_new_owner(
    log: list[Event], place: int
) -> None:
    whole, told = _lived(log)
    first, second = new_shard(), new_shard()
    records = raw(log)
    head = first.process(records[:place])
    first.commit(head)
    hand_over(head.states, second)
    tail = second.process(records[place:])
    second.commit(tail)
    assert (*head.outputs, *tail.outputs) == told
    if records[place:]:
        assert json.loads(encode_state(second.state_of(PATIENT))) == json.loads(
            encode_state(whole.state_of(PATIENT))
        )
