"""States as bytes: read as written, and refused when they are of another version."""

import json

import pytest

from pv_stream.codec.state import decode_state, encode_state, state_bytes
from pv_stream.domain.events import FactArrived
from pv_stream.domain.published import PatientState
from pv_stream.engine.advance import advance
from tests.builders import RULEBOOK, at, dose, eosinophils
from tests.stories import SeededNarrator, tell_story


def _lived(events: list[FactArrived]) -> PatientState:
    state = PatientState()
    for sent in events:
        state, _ = advance(state, sent, shard_clock=None, rulebook=RULEBOOK)
    return state


def test_an_empty_state_is_read_as_it_was_written() -> None:
    assert decode_state(encode_state(PatientState())) == PatientState()


def test_the_order_of_arrival_does_not_show_in_the_bytes_of_facts() -> None:
    events = [dose("imatinib", at(0)), eosinophils(100, at(1)), eosinophils(200, at(2))]
    one, other = (json.loads(encode_state(_lived(order))) for order in (events, events[::-1]))
    assert one["facts"] == other["facts"]


def test_the_parts_that_grow_are_counted_to_the_byte() -> None:
    sizes = set()
    for number in range(40):
        state = _lived(tell_story(SeededNarrator(f"state/{number}")))
        if not state.published.is_empty:
            sizes.add(len(encode_state(state)) - state_bytes(state))
    assert max(sizes) - min(sizes) <= 40  # clock, due and commas


def test_a_state_of_another_schema_is_refused_by_its_number() -> None:
    value = json.loads(encode_state(PatientState())) | {"schema": 2}
    with pytest.raises(ValueError, match="state schema 2 is not known"):
        decode_state(json.dumps(value).encode())


def test_a_kind_of_fact_that_is_not_known_is_refused() -> None:
    value = json.loads(encode_state(_lived([eosinophils(100, at(1))])))
    value["facts"][0][2][0][0] = ["?"]
    with pytest.raises(ValueError, match="a fact of a kind"):
        decode_state(json.dumps(value).encode())
