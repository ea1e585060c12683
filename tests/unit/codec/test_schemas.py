"""Schemas: the files in schemas/ are those of the models, and everything that is written fits them."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pv_stream.codec.events import encode_event
from pv_stream.codec.schemas import schema_documents
from pv_stream.domain.events import Event
from pv_stream.ledger.heads import TreeHead, signed
from pv_stream.shard.fold import OutputStream
from tests.acting import with_actions
from tests.builders import at
from tests.merging import merge, separated
from tests.shards import clock_at, fold, new_shard, raw
from tests.stories import SeededNarrator, tell_story

SCHEMAS = Path(__file__).parents[3] / "schemas"
DOCUMENT_OF = {
    OutputStream.ALERTS: "alert.v1.json",
    OutputStream.CASES: "case.v1.json",
    OutputStream.RECURRENCES: "recurrence.v1.json",
    OutputStream.ACTIONS: "alert-action.v1.json",
    OutputStream.DEAD_LETTERS: "dead-letter.v1.json",
    OutputStream.EVENTS: "clinical-event.v1.json",
}
#: What a worker, and what ingest, writes beside the outputs of the fold.
TREE_HEAD, REFUSAL = "tree-head.v1.json", "refusal.v1.json"


@pytest.mark.parametrize("name", sorted(schema_documents()))
def test_a_schema_on_disk_is_that_of_the_model(name: str) -> None:
    assert (SCHEMAS / name).read_bytes() == schema_documents()[name], "run `make schemas`"


def test_every_stream_has_a_schema() -> None:
    assert set(schema_documents()) == {*DOCUMENT_OF.values(), TREE_HEAD, REFUSAL}
    assert {path.name for path in SCHEMAS.glob("*.v1.json")} == set(schema_documents())


@pytest.mark.parametrize("name", sorted(schema_documents()))
def test_a_schema_is_valid_and_lets_no_unknown_field_through(name: str) -> None:
    schema = json.loads(schema_documents()[name])
    jsonschema.Draft202012Validator.check_schema(schema)
    assert list(jsonschema.Draft202012Validator(schema).iter_errors({"anything": 1}))


@pytest.fixture(scope="module")
def log() -> list[Event | bytes]:
    events: list[Event | bytes] = []
    for number in range(60):
        narrator = SeededNarrator(f"schemas/{number}")
        story = tell_story(narrator, f"patient-{number}")
        acted = with_actions(narrator, story) if number % 6 == 0 else story
        events += [*acted, *(clock_at(sent.received_at) for sent in story[-1:])]
    merged = merge("patient-0", "patient-1", at(900))
    return [*events, *merged, separated("patient-0", "patient-1", at(901)), b"poison"]


def _validators() -> dict[str, jsonschema.Draft202012Validator]:
    return {
        name: jsonschema.Draft202012Validator(json.loads(text)) for name, text in schema_documents().items()
    }


@pytest.mark.no_cover
def test_every_output_of_a_log_fits_its_schema(log: list[Event | bytes]) -> None:
    validators, seen = _validators(), set()
    for out in fold(raw(log), new_shard(originate=True)):
        validators[DOCUMENT_OF[out.stream]].validate(json.loads(out.value))
        seen.add(out.stream)
    assert seen == set(OutputStream)


@pytest.mark.parametrize("key", [None, Ed25519PrivateKey.from_private_bytes(b"k" * 32)])
def test_a_tree_head_fits_its_schema(key: Ed25519PrivateKey | None) -> None:
    head = signed(TreeHead("pv.clinical.events.v1/0", 3, b"r" * 32, b"l" * 32, 70), key)
    _validators()[TREE_HEAD].validate(json.loads(head.to_bytes()))


@pytest.mark.no_cover
def test_every_event_of_a_log_fits_the_schema(log: list[Event | bytes]) -> None:
    validator, seen = _validators()["clinical-event.v1.json"], set()
    for sent in log:
        if not isinstance(sent, bytes):
            value: dict[str, Any] = json.loads(encode_event(sent))
            validator.validate(value)
            seen.add(value["type"])
    assert len(seen) == 12
