"""Identity events as bytes: read as they were written, whole or in chunks; what is no transfer is refused."""

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from pv_stream.codec.events import Rejection, decode_event, encode_event
from pv_stream.codec.schemas import schema_documents
from pv_stream.codec.state import decode_state, encode_state
from pv_stream.domain.codes import DeadLetterCode, TransferKind
from pv_stream.domain.events import IdentityEvent, Received, Transferred
from pv_stream.domain.ids import PatientId
from pv_stream.shard.crossing import chunks_of
from tests.builders import at, dose, eosinophils, with_patient
from tests.merging import Topic, merge, separated

A, B = PatientId("patient-a"), PatientId("patient-b")
REACTION = (dose("imatinib", at(0)), dose("imatinib", at(7)), eosinophils(1690, at(15)))


def _transferred() -> Transferred:
    topic = Topic(1)
    topic.send(*(with_patient(sent, A) for sent in REACTION), *merge(A, B, at(16)))
    written = [decode_event(out.value) for out in topic.outputs[0]]
    (transfer,) = [event for event in written if isinstance(event, Transferred)]
    return transfer


EVENTS: tuple[IdentityEvent, ...] = (
    *merge(A, B, at(16)),
    separated(A, B, at(17)),
    Received(A, B, TransferKind.RETURN, at(18)),
    _transferred(),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_identity_event_is_read_as_it_was_written_and_fits_its_schema(event: IdentityEvent) -> None:
    written = encode_event(event)
    assert decode_event(written) == event
    document = json.loads(schema_documents()["clinical-event.v1.json"])
    jsonschema.Draft202012Validator(document).validate(json.loads(written))


@pytest.mark.parametrize(
    "wrong",
    [
        {"chunk": 2},
        {"kind": "record"},
        {"kind": "gift"},
        {"path": []},
        {"told": {"episodes": 7}},
        {"facts": [{"type": "clock"}]},
        {"name": "Doe"},
    ],
)
def test_what_is_no_transfer_is_refused(wrong: dict[str, Any]) -> None:
    value = json.loads(encode_event(_transferred())) | wrong
    assert decode_event(json.dumps(value).encode()) == Rejection(DeadLetterCode.INVALID_EVENT)


def test_a_transfer_that_is_too_large_is_cut_between_facts_and_tells_with_the_last() -> None:
    transfer = replace(_transferred(), told=None)
    whole = len(encode_event(transfer))
    assert chunks_of(transfer, record_bytes_max=whole) == (transfer,)
    chunks = chunks_of(_transferred(), record_bytes_max=len(encode_event(_transferred())) - 1)
    parts = [chunk for chunk in chunks if isinstance(chunk, Transferred)]
    assert [(part.chunk, part.chunks, part.is_last) for part in parts] == [(1, 2, False), (2, 2, True)]
    assert [part.told for part in parts] == [None, _transferred().told]
    assert tuple(fact for part in parts for fact in part.facts) == _transferred().facts
    assert all(len(encode_event(part)) < len(encode_event(_transferred())) for part in parts)


def test_a_merged_state_is_read_as_it_was_written() -> None:
    topic = Topic(1)
    contested = with_patient(eosinophils(1200, at(15)), B)
    topic.send(*(with_patient(sent, A) for sent in REACTION), contested, *merge(A, B, at(16)))
    topic.send(separated(A, B, at(17)))
    for _ in range(3):
        for patient in (A, B):
            state = topic.state_of(patient)
            assert decode_state(encode_state(state)) == state
        if topic.waiting:
            topic.deliver(topic.waiting[0])
