"""The reject store: read back, settled without deleting, shared by processes, whole after a crash."""

import json
import os
from pathlib import Path

import pytest

from pv_stream.domain.codes import HoldCode
from pv_stream.errors import DataError, UsageError
from pv_stream.ingest.intake import digest_of
from pv_stream.ingest.outcomes import Hold, Reject, RejectCode
from pv_stream.ingest.rejects import HELD, INDEX_NAME, REJECTED, Position, RejectStore
from pv_stream.ingest.sources import Record
from tests.builders import sha256

CONTENT = b"refused"
POSITION = Position(2, Record(CONTENT, 3, 40, len(CONTENT)))


def _refuse(store: RejectStore, code: RejectCode = RejectCode.EMPTY) -> None:
    store.keep(POSITION, digest_of(CONTENT), [Reject(code, "OBX[1]")])


@pytest.fixture
def store(tmp_path: Path) -> RejectStore:
    return RejectStore(tmp_path / "rejects")


def test_an_entry_is_read_back_with_its_bytes(store: RejectStore) -> None:
    _refuse(store)
    store.keep(POSITION, digest_of(CONTENT), [Hold(HoldCode.MISSING_UNIT, "OBX[2]", sha256("v"))])
    refused, held = store.entries()
    assert (refused.kind, refused.code, refused.path) == (REJECTED, "empty", "OBX[1]")
    assert refused.position == {"input": 2, "message": 3, "offset": 40}
    assert refused.kept_at is not None
    assert refused.is_whole
    assert (held.kind, held.value_digest) == (HELD, sha256("v"))
    assert store.content(refused) == CONTENT


def test_bytes_that_are_not_what_was_kept_are_none(store: RejectStore) -> None:
    _refuse(store)
    (kept,) = store.entries()
    store.path_of(kept.message_digest).write_bytes(b"another")
    assert store.content(kept) is None
    store.path_of(kept.message_digest).unlink()
    assert store.content(kept) is None
    store.path_of(kept.message_digest).mkdir()
    with pytest.raises(DataError, match="reject store"):
        store.content(kept)


def test_a_settled_entry_stays_and_is_open_again_when_it_is_refused_again(store: RejectStore) -> None:
    _refuse(store)
    index = store.folder / INDEX_NAME
    before = index.read_bytes()
    store.settle(store.entries())
    (kept,) = store.entries()
    assert kept.settled_at is not None
    assert index.read_bytes().startswith(before)
    _refuse(store)
    _refuse(store)
    (again,) = store.entries()
    assert again.settled_at is None
    assert len(index.read_bytes().splitlines()) == 3


def test_what_another_process_settled_is_seen(store: RejectStore) -> None:
    _refuse(store)
    other = RejectStore(store.folder)
    other.settle(other.entries())
    _refuse(store)
    (kept,) = store.entries()
    assert kept.settled_at is None


def test_a_line_that_a_crash_tore_swallows_no_other(store: RejectStore) -> None:
    _refuse(store)
    index = store.folder / INDEX_NAME
    with index.open("ab") as file:
        file.write(b'{"entry": "to')
    _refuse(store, RejectCode.MALFORMED_HL7)
    assert [kept.code for kept in store.entries()] == ["empty", "malformed_hl7"]


def test_what_is_no_entry_of_ours_is_passed_over(store: RejectStore) -> None:
    _refuse(store)
    with (store.folder / INDEX_NAME).open("ab") as file:
        file.write(b'[]\n{"settled": "unknown", "at": "x"}\n{"entry": 1}\n')
    assert [kept.code for kept in store.entries()] == ["empty"]
    (entry,) = [json.loads(line) for line in (store.folder / INDEX_NAME).read_bytes().splitlines()[:1]]
    assert set(entry) >= {"kind", "code", "kept_at", "message_digest"}


def test_a_store_of_an_earlier_version_is_read_without_the_time(store: RejectStore) -> None:
    _refuse(store)
    index = store.folder / INDEX_NAME
    entry = json.loads(index.read_bytes())
    del entry["kept_at"]
    index.write_text(json.dumps(entry) + "\n")
    (kept,) = store.entries()
    assert kept.kept_at is None


def test_a_store_that_is_not_there_is_empty_and_one_of_others_is_refused(store: RejectStore) -> None:
    assert store.entries() == []
    _refuse(store)
    store.folder.chmod(0o750)
    with pytest.raises(UsageError, match="chmod 700"):
        store.entries()


def test_an_index_that_cannot_be_read_or_written_is_a_data_error(store: RejectStore) -> None:
    store.make_folder()
    (store.folder / INDEX_NAME).mkdir()
    with pytest.raises(DataError, match="reject store"):
        store.entries()
    with pytest.raises(DataError, match="reject store"):
        store.settle([])


def test_a_message_of_many_held_values_waits_for_the_disk_twice(
    store: RejectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for its bytes and once for all lines about it: a listener's loop waits meanwhile."""
    waited: list[int] = []
    monkeypatch.setattr(os, "fsync", waited.append)
    holds = [Hold(HoldCode.MISSING_UNIT, f"OBX[{number}]", sha256("v")) for number in range(50)]
    store.keep(POSITION, digest_of(CONTENT), [*holds, holds[0]])
    assert len(waited) == 2
    assert [each.path for each in store.entries()] == [each.path for each in holds]
    store.keep(POSITION, digest_of(CONTENT), holds)
    assert len(waited) == 2
