"""Bytes and back: states and events are read as they were written, in one spelling; outputs fit their schemas."""

import json
from functools import cache

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.codec.events import decode_event, encode_event
from pv_stream.codec.schemas import schema_documents
from pv_stream.codec.segments import join_records, read_head, state_records
from pv_stream.codec.state import decode_state, encode_state
from pv_stream.domain.events import ClockTicked, Event, FactArrived
from pv_stream.domain.published import PatientState
from pv_stream.engine.advance import advance
from pv_stream.shard.fold import OutputStream
from tests.builders import RULEBOOK
from tests.properties.strategies import logs, shuffled_stories, stories, unhurried
from tests.shards import fold, raw

DOCUMENT_OF = {
    OutputStream.ALERTS: "alert.v1.json",
    OutputStream.CASES: "case.v1.json",
    OutputStream.RECURRENCES: "recurrence.v1.json",
    OutputStream.ACTIONS: "alert-action.v1.json",
    OutputStream.DEAD_LETTERS: "dead-letter.v1.json",
}


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(schema_documents()[name]))


@unhurried
@given(shuffled_stories())
def test_a_state_is_read_as_it_was_written_and_written_as_it_was_read(told: list[FactArrived]) -> None:
    state = PatientState()
    for sent in told:
        state, _ = advance(state, sent, shard_clock=None, rulebook=RULEBOOK)
        written = encode_state(state)
        assert decode_state(written) == state
        assert encode_state(decode_state(written)) == written


@unhurried
@given(shuffled_stories(), st.integers(200, 2_000))
def test_a_state_in_segments_is_read_as_it_was_written(told: list[FactArrived], cap: int) -> None:
    state = PatientState()
    for sent in told:
        state, _ = advance(state, sent, shard_clock=None, rulebook=RULEBOOK)
    records = state_records(state, segment_bytes_max=cap)
    assert state_records(decode_state(encode_state(state)), segment_bytes_max=cap) == records
    head = read_head(records.head)
    if head is None:
        assert decode_state(records.head) == state
        return
    assert join_records(head, records.segments.values()) == state
    for segment in map(json.loads, records.segments.values()):
        size = sum(
            len(json.dumps(row, ensure_ascii=False, separators=(",", ":"))) for row in segment["facts"]
        )
        assert size <= cap or len(segment["facts"]) == 1


@unhurried
@given(stories())
def test_an_event_is_read_as_it_was_written_and_fits_its_schema(told: list[FactArrived]) -> None:
    for sent in told:
        written = encode_event(sent)
        assert decode_event(written) == sent
        _validator("clinical-event.v1.json").validate(json.loads(written))


@unhurried
@given(logs(patients_max=2))
def test_every_output_fits_its_schema_and_has_one_spelling(log: list[Event]) -> None:
    for out in fold(raw([*log, b"poison"])):
        value = json.loads(out.value)
        _validator(DOCUMENT_OF[out.stream]).validate(value)
        again = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        assert again.encode() == out.value


@given(logs(patients_max=1, acts_max=2))
def test_a_clock_record_is_read_as_it_was_written(log: list[Event]) -> None:
    for sent in log:
        if isinstance(sent, ClockTicked):
            assert decode_event(encode_event(sent)) == sent
            _validator("clinical-event.v1.json").validate(json.loads(encode_event(sent)))
