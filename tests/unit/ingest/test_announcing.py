"""What a reject store hands out to be told to Kafka: every refusal, at least once, and nothing of its content."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pv_stream.codec.schemas import schema_documents
from pv_stream.domain.codes import HoldCode
from pv_stream.ingest import announcing
from pv_stream.ingest.announcing import Announcements
from pv_stream.ingest.intake import digest_of
from pv_stream.ingest.outcomes import Hold, Reject, RejectCode
from pv_stream.ingest.rejects import INDEX_NAME, Position, RejectStore
from pv_stream.ingest.sources import Record

CONTENT = b"MSH|^~\\&|PLOVER"


@pytest.fixture
def store(tmp_path: Path) -> RejectStore:
    """A reject store that is still empty."""
    return RejectStore(tmp_path / "rejects")


def keep(store: RejectStore, number: int = 1, code: RejectCode = RejectCode.UNSUPPORTED_TYPE) -> bytes:
    """Keep one refused message, and return its bytes."""
    content = CONTENT + str(number).encode()
    store.keep(Position(1, Record(content, number, 0, len(content))), digest_of(content), [Reject(code)])
    return content


def told(store: RejectStore, kept_by: str = "north") -> list[dict[str, Any]]:
    """Take all that is left, as told."""
    found: list[dict[str, Any]] = []
    while True:
        with Announcements(store, kept_by).next() as records:
            if not records:
                return found
            for key, value in records:
                found.append(json.loads(value))
                assert found[-1]["entry_id"].encode() == key
                jsonschema.validate(found[-1], json.loads(schema_documents()["refusal.v1.json"]))


def test_a_refusal_is_told_once_with_code_digest_and_size_and_without_content(store: RejectStore) -> None:
    content = keep(store)
    (refusal,) = told(store)
    assert refusal["entry_id"].startswith("rej_")
    assert refusal["kept_at"] is not None
    assert {name: refusal[name] for name in refusal if name not in {"entry_id", "kept_at"}} == {
        "schema_version": 1,
        "code": "unsupported_type",
        "value_digest": digest_of(content),
        "value_bytes": len(content),
        "path": "",
        "kept_by": "north",
        "settled_at": None,
    }
    assert "PLOVER" not in json.dumps(refusal)
    assert told(store) == []


def test_an_empty_store_has_nothing_to_tell_and_is_not_made(store: RejectStore) -> None:
    assert told(store) == []
    assert not store.folder.exists()


def test_what_could_not_be_told_comes_again(store: RejectStore) -> None:
    keep(store)
    taken = Announcements(store, "north").next()
    assert len(taken.__enter__()) == 1
    failure = ConnectionError()
    assert not taken.__exit__(ConnectionError, failure, None)
    assert len(told(store)) == 1


def test_a_held_value_is_in_the_log_already_and_is_no_refusal(store: RejectStore) -> None:
    record = Record(CONTENT, 1, 0, len(CONTENT))
    hold = Hold(HoldCode.MISSING_UNIT, "OBX[1]", "sha256:0")
    store.keep(Position(1, record), digest_of(CONTENT), [hold])
    assert told(store) == []
    keep(store)
    assert len(told(store)) == 1


def test_what_was_read_after_all_is_told_again_under_its_key(store: RejectStore) -> None:
    keep(store)
    (first,) = told(store)
    store.settle(store.entries())
    (second,) = told(store)
    assert second["settled_at"] is not None
    assert second | {"settled_at": None} == first


def test_while_one_process_tells_another_finds_nothing(store: RejectStore) -> None:
    keep(store)
    with Announcements(store, "north").next() as records, Announcements(store, "south").next() as others:
        assert (len(records), len(others)) == (1, 0)
    assert told(store, "south") == []


def test_a_line_that_is_being_written_waits_until_it_is_whole(store: RejectStore) -> None:
    keep(store, 1)
    keep(store, 2)
    index = store.folder / INDEX_NAME
    whole = index.read_bytes()
    index.write_bytes(whole[:-10])
    assert len(told(store)) == 1
    index.write_bytes(whole)
    assert len(told(store)) == 1


def test_a_long_index_is_told_in_pieces(store: RejectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        keep(store, number)
    monkeypatch.setattr(announcing, "_INDEX_BYTES_MAX", 1_000)
    with Announcements(store, "north").next() as records:
        assert 1 <= len(records) < 5
    assert len(told(store)) == 20 - len(records)


def test_held_entries_before_a_refusal_do_not_hide_it(
    store: RejectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        hold = Hold(HoldCode.MISSING_UNIT, f"OBX[{number}]", "sha256:0")
        store.keep(Position(1, Record(CONTENT, 1, 0, len(CONTENT))), digest_of(CONTENT), [hold])
    keep(store)
    monkeypatch.setattr(announcing, "_INDEX_BYTES_MAX", 1_000)
    with Announcements(store, "north").next() as records:
        assert len(records) == 1


def test_an_index_that_was_made_anew_is_told_from_its_beginning(store: RejectStore) -> None:
    for number in range(5):
        keep(store, number)
    assert len(told(store)) == 5
    (store.folder / INDEX_NAME).unlink()
    other = RejectStore(store.folder)
    keep(other, 9)
    assert len(told(other)) == 1


def test_what_is_no_entry_is_passed_over(store: RejectStore) -> None:
    keep(store)
    with (store.folder / INDEX_NAME).open("ab") as index:
        index.write(b'[]\n{"settled": "nobody", "at": ""}\nnonsense\n{"entry": 1}\n')
    keep(store, 2)
    assert len(told(store)) == 2
