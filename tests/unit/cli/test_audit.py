"""`pv-stream audit` as an auditor meets it: keys, a whole log, a damaged one, a second place, and one proof."""

import json
import stat
from pathlib import Path

import pytest

from pv_stream.audit.tamper.entries import TREE_HEADS
from pv_stream.ledger.keys import read_private_key
from tests.unit.audit.tamper.written import ALERTS, some_written
from tests.unit.cli.calling import pv_stream


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the private key that `audit keygen` made; beside it lies the public one."""
    key = tmp_path_factory.mktemp("keys") / "ledger.pem"
    done = pv_stream("audit", "keygen", "--out", str(key))
    assert done.returncode == 0, done.stderr
    assert f"PV_STREAM_LEDGER_KEY_FILE={key}" in done.stdout
    return key


def public_of(key: Path) -> str:
    return f"{key}.pub"


def test_only_the_owner_reads_the_private_key_and_none_is_overwritten(keys: Path) -> None:
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    before = keys.read_bytes()
    again = pv_stream("audit", "keygen", "--out", str(keys))
    assert (again.returncode, keys.read_bytes()) == (2, before)
    assert "is never overwritten" in again.stderr


def test_from_keys_to_a_proof(keys: Path, tmp_path: Path) -> None:
    """The whole way: signed heads, a check, a second place, a proof; then a cut that only the second place reveals."""
    written = some_written(key=read_private_key(keys.read_text()))
    archive, elsewhere, proof = written.archive(tmp_path / "a"), tmp_path / "elsewhere", tmp_path / "p.json"
    public = ("--public-key", public_of(keys))

    whole = pv_stream("audit", "verify", str(archive), *public)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert "Nothing is wrong: 13 records under tree heads as the workers wrote them." in whole.stdout
    assert "give --second-place" in whole.stdout

    exported = pv_stream("audit", "export", str(archive), "--to", str(elsewhere), *public)
    assert exported.returncode == 0, exported.stderr
    assert sorted(path.name for path in elsewhere.iterdir()) == [
        "00000-000000000010.note",
        "00001-000000000003.note",
    ]
    again = pv_stream("audit", "export", str(archive), "--to", str(elsewhere), *public)
    assert again.stdout.count("there already") == 2

    made = pv_stream("audit", "prove", "al_2-1", "--from", str(archive), "--out", str(proof))
    assert made.returncode == 0, made.stderr
    checked = pv_stream("audit", "check", str(proof), *public)
    assert checked.returncode == 0, checked.stdout
    assert "tier: warning" in checked.stdout
    proof.write_text(proof.read_text().replace("warning", "info"))
    forged = pv_stream("audit", "check", str(proof), *public, "--json")
    assert (forged.returncode, json.loads(forged.stdout)["is_included"]) == (1, False)

    for topic, count in ((ALERTS, 3), ("pv.dlq.v1", 1), (TREE_HEADS, 1)):
        del written.records[topic, 0][-count:]
    cut = written.archive(tmp_path / "cut")
    assert pv_stream("audit", "verify", str(cut), *public).returncode == 0
    found = pv_stream("audit", "verify", str(cut), *public, "--second-place", str(elsewhere))
    assert found.returncode == 1
    assert "truncated, shard 0:" in found.stdout
    refused = pv_stream("audit", "export", str(cut), "--to", str(elsewhere))
    assert refused.returncode == 1
    assert "it was cut off" in refused.stderr


def test_a_changed_record_is_named_and_counted(tmp_path: Path) -> None:
    written = some_written()
    written.change(ALERTS, 1, 0, value=b"{}")
    archive = written.archive(tmp_path)
    shown = pv_stream("audit", "verify", str(archive))
    assert shown.returncode == 1
    assert "altered, shard 1: pv.dress.alerts.v1, shard 1, position 0 (al_9)" in shown.stdout
    assert "no signature was checked" in shown.stdout
    found = json.loads(pv_stream("audit", "verify", str(archive), "--json").stdout)
    assert (found["wrong"], found["signatures_checked"]) == (1, False)
    assert found["shards"][1]["findings"][0]["kind"] == "altered"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("verify", "."), 4, "lacks pv.dress.alerts.v1"),
        (("check", "missing"), 4, "missing: No such file"),
        (("prove", "al_1", "--from", "missing", "--out", "p.json"), 4, "is not a folder"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    words: tuple[str, ...], code: int, says: str, tmp_path: Path
) -> None:
    done = pv_stream("audit", *words, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_of_no_record_or_of_several_is_refused(tmp_path: Path) -> None:
    archive = str(some_written().archive(tmp_path / "a"))
    for name, says in (("al_77", "no output of the archive"), ("al_2", "names 2 records")):
        done = pv_stream("audit", "prove", name, "--from", archive, "--out", str(tmp_path / "p.json"))
        assert done.returncode == 2
        assert says in done.stderr


def test_a_key_file_that_is_not_public_is_refused(keys: Path, tmp_path: Path) -> None:
    done = pv_stream("audit", "verify", str(tmp_path), "--public-key", str(keys))
    assert done.returncode == 2
    assert "is not an Ed25519 public key" in done.stderr
