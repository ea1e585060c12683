"""A proof holds for its record alone, and says so without the log."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pv_stream.audit.tamper.entries import open_ledgers
from pv_stream.audit.tamper.proof import Checked, Proof, check, find_records, from_json, prove, to_json
from pv_stream.errors import DataError, UsageError
from pv_stream.ledger.heads import signed
from tests.unit.audit.tamper.written import ACTIONS, ALERTS, ANOTHER_KEY, KEY, some_written

KEYS = [KEY.public_key()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return some_written().archive(tmp_path_factory.mktemp("archive"))


def proof_of(folder: Path, name: str, **more: Any) -> Proof:
    ledgers = open_ledgers(folder)
    (found,) = find_records(ledgers, name)
    return prove(ledgers, *found, **more)


@pytest.mark.parametrize("number", range(10))
def test_every_record_is_proved(folder: Path, number: int) -> None:
    proof = proof_of(folder, f"0-{number}-0")
    assert check(proof, KEYS) == Checked(is_included=True, is_consistent=None, is_signed=True)
    assert from_json(to_json(proof), name="p.json") == proof


def test_a_changed_record_is_not_proved(folder: Path) -> None:
    proof = proof_of(folder, "al_2-1")
    record = proof.record
    for changed in (
        replace(proof, record=replace(record, value=b"{}")),
        replace(proof, record=replace(record, key=b"al_3")),
        replace(proof, record=replace(record, headers=record.headers[1:])),
        replace(proof, record=replace(record, headers=())),
        replace(proof, topic=ACTIONS),
        replace(proof, shard=1),
        replace(proof, inclusion=proof.inclusion[1:]),
    ):
        assert not check(changed, KEYS).is_included
    # The way to the root may be the same for another size: that is what the signature is for.
    assert check(replace(proof, head=replace(proof.head, size=9)), KEYS).is_signed is False


def test_a_head_of_another_key_or_none_is_not_signed(folder: Path) -> None:
    proof = proof_of(folder, "al_2-1")
    assert check(proof, [ANOTHER_KEY.public_key()]).is_signed is False
    assert check(replace(proof, head=replace(proof.head, signature=None)), KEYS).is_signed is False
    assert check(proof, []).is_signed is None


def test_an_earlier_head_is_proved_to_be_a_beginning(folder: Path) -> None:
    written = some_written()
    since = written.head_of(0)
    for record in open_ledgers(folder).tree_heads(0):
        assert record.head is not None
        proof = proof_of(folder, "al_1-0", since=record.head)
        assert check(proof, KEYS) == Checked(is_included=True, is_consistent=True, is_signed=True)
        assert from_json(to_json(proof), name="p.json") == proof
        if record.head.size == 3:
            fork = signed(replace(since, size=3, root=b"f" * 32), KEY)
            assert check(replace(proof, earlier=fork), KEYS).is_consistent is False
            unsigned = replace(record.head, signature=None)
            assert check(replace(proof, earlier=unsigned), KEYS).is_signed is False


def test_a_head_of_another_log_is_no_beginning(folder: Path) -> None:
    with pytest.raises(UsageError, match="no beginning"):
        proof_of(folder, "al_1-0", since=some_written().head_of(1))


def test_a_record_without_a_head_over_it_has_no_proof(tmp_path: Path) -> None:
    written = some_written()
    written.transaction(0, (ALERTS, "al_8"), head=False)
    with pytest.raises(UsageError, match="no tree head covers it"):
        proof_of(written.archive(tmp_path), "al_8-10")


def test_an_archive_that_is_not_what_its_head_says_proves_nothing(tmp_path: Path) -> None:
    written = some_written()
    written.change(ALERTS, 0, 0, value=b'{"record_id": "forged"}')
    with pytest.raises(DataError, match="audit verify"):
        proof_of(written.archive(tmp_path), "forged")


def test_all_revisions_of_an_alert_have_its_name(folder: Path) -> None:
    ledgers = open_ledgers(folder)
    assert len(find_records(ledgers, "al_2")) == 2
    assert find_records(ledgers, "al_77") == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"proof": 1}', b'{"proof": 2}'])
def test_a_file_that_is_no_proof_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"^p\.json is not a proof"):
        from_json(content, name="p.json")


def test_a_person_can_read_a_proof(folder: Path) -> None:
    fields = json.loads(to_json(proof_of(folder, "al_2-1")))
    assert json.loads(fields["value"])["alert_id"] == "al_2"
    assert fields["tree_head"].startswith("pv.clinical.events.v1/0\n10\n")
