"""States as bytes: read as written, and refused when they are of another version."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from pv_stream.codec.state import (
    decode_state,
    encode_state,
    json_bytes,
    outline_of,
    read_outline,
    state_bytes,
)
from pv_stream.domain.codes import Analyte, HoldCode
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import AsSent, Held, Measurement
from pv_stream.domain.ids import PatientId
from pv_stream.domain.lineage import Lineage
from pv_stream.domain.published import PatientState
from pv_stream.engine.advance import advance
from tests.builders import RULEBOOK, at, dose, eosinophils, event, order, stop
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


@pytest.mark.no_cover
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


def test_a_state_of_before_is_read_without_what_is_said_since() -> None:
    """The start of a culprit's course was kept and never read; the day of the peak and how a restart began are new."""
    reaction = (dose("imatinib", at(0)), eosinophils(1600, at(20)), stop("imatinib", at(21)))
    state = _lived([*reaction, order("imatinib", at(40))])
    value = json.loads(encode_state(state))
    (episode,), (restart,) = value["published"]["episodes"], value["published"]["restarts"]
    episode["last"]["culprits"][0]["course_start"] = at(0)
    assert (episode["last"].pop("eosinophils_on"), episode["last"].pop("flare")) == ("2026-01-21", None)
    assert restart["last"].pop("begun_as") == "order"
    read = decode_state(json.dumps(value).encode()).published
    last = replace(state.published.episodes[0].last, eosinophils_on=None)
    assert (read.episodes[0].last, read.restarts) == (last, state.published.restarts)


def test_a_held_value_cannot_have_said_that_it_is_held_or_retracted() -> None:
    value = json.loads(encode_state(_lived([event(Held(HoldCode.MISSING_UNIT, "sha256:0"), at(1))])))
    held = value["facts"][0][2][0][0]
    for said in (["r"], ["h", *held[1:]]):
        value["facts"][0][2][0][0] = [*held[:5], said]
        with pytest.raises(ValueError, match="cannot have said that"):
            decode_state(json_bytes(value))


HOSTILE = 'x","facts":[],"facts":[]}'


def test_the_outline_is_what_the_state_says_whatever_stands_in_its_facts() -> None:
    states = [_lived(tell_story(SeededNarrator(f"outline/{number}"))) for number in range(20)]
    hostile = AsSent("urn:x", HOSTILE, "100", HOSTILE)
    held = event(Measurement(Analyte.EOSINOPHILS, Decimal(100), as_sent=hostile), at(1))
    states += [PatientState(), _lived([held]), _lived([dose("imatinib", at(0)), eosinophils(1600, at(20))])]
    states.append(replace(states[-1], lineage=Lineage(into=PatientId("another"))))
    for state in states:
        assert read_outline(encode_state(state)) == outline_of(state)
    assert {said.has_facts for said in map(read_outline, map(encode_state, states))} == {True, False}


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_the_outline_of_a_record_that_is_cut_off_is_refused(cut: int) -> None:
    record = encode_state(_lived([eosinophils(100, at(1))]))
    with pytest.raises(ValueError, match="cut off"):
        read_outline(record[:-cut])
    with pytest.raises(ValueError, match="Expecting"):
        read_outline(b"")


def test_the_outline_of_another_schema_is_refused_by_its_number() -> None:
    with pytest.raises(ValueError, match="state schema 2 is not known"):
        read_outline(encode_state(PatientState()).replace(b'"schema":1', b'"schema":2'))


def test_a_kind_of_fact_that_is_not_known_is_refused() -> None:
    value = json.loads(encode_state(_lived([eosinophils(100, at(1))])))
    value["facts"][0][2][0][0] = ["?"]
    with pytest.raises(ValueError, match="a fact of a kind"):
        decode_state(json.dumps(value).encode())
