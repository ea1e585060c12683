"""Canaries: a name, a number, a birth date, an address, an order number and free text, planted in every field.

None of them may show in events, summary, errors or the index of the reject store. Only the bytes that the store keeps
for their owner may hold them.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pv_stream.cli.main import app
from tests.unit.ingest.messages import FIXTURES, PID, as_json, bundle, medication, observation
from tests.unit.ingest.test_feed import EVENT

CANARIES = ["Zyxwvut", "MRN8675309", "19420229", "13 Canary Row", "ORD-4242-X", "patient says it itches"]


def _run(folder: Path, content: bytes, *arguments: str) -> str:
    """Return everything that came out: stdout, stderr, events and index."""
    (folder / "in").write_bytes(content)
    result = CliRunner().invoke(app, ["ingest", "in", "--to", "events.jsonl", "--json", *arguments])
    assert result.exit_code == 0, result.exception
    index = folder / ".pv-stream/rejects/index.jsonl"
    kept = index.read_text() if index.exists() else ""
    return result.output + (folder / "events.jsonl").read_text() + kept


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PV_STREAM_PSEUDONYM_KEY", "a key for the tests of privacy")


def _planted(text: str, canary: str) -> list[str]:
    """Return copies of an HL7 message, each with the canary in another field of every segment."""
    lines = [line for line in re.split(r"[\r\n]+", text) if line]
    width = max(line.count("|") for line in lines)
    copies = []
    for number in range(1, width + 1):
        changed = []
        for line in lines:
            fields = line.split("|")
            first = 2 if fields[0] == "MSH" else 1
            if first <= number < len(fields):
                fields[number] = canary
            changed.append("|".join(fields))
        copies.append("\r".join(changed))
    return copies


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("name", ["leukaemia", "order", "dispense", "administration", "admission", "merges"])
def test_no_field_of_an_hl7_message_leaks(tmp_path: Path, name: str, canary: str) -> None:
    text = (FIXTURES / f"hl7v2/{name}.hl7").read_text(encoding="utf-8-sig")
    for copy in _planted(text, canary):
        assert canary not in _run(tmp_path, copy.encode(), "--received-at", "2026-01-01T00:00:00Z")


@pytest.mark.parametrize("canary", CANARIES)
def test_no_component_of_a_result_leaks(tmp_path: Path, canary: str) -> None:
    code, unit = f"711-2^{canary}^LN^{canary}^{canary}^{canary}", f"10*3{{{canary}}}/uL^{canary}^{canary}"
    obx = f"OBX|1|NM|{code}|{canary}|1.69|{unit}|{canary}|{canary}|||F"
    unread = f"OBX|2|NM|711-2^x^LN||{canary}|10*3/uL|||||F"
    order = f"OBR|1|{canary}|{canary}^{canary}|{canary}|||20210412071500+0200|{canary}"
    specimen = f"SPM|1|{canary}&{canary}||BLD^{canary}^{canary}|||||||||||||20210412071500+0200"
    head = f"MSH|^~\\&|{canary}|{canary}|||20210412080000+0200||ORU^R01|{canary}|P|2.5"
    text = "\r".join((head, PID.replace("70014", canary), order, obx, unread, specimen, f"NTE|1||{canary}"))
    output = _run(tmp_path, text.encode())
    assert '"10*3/uL"' in output
    assert canary not in output


def _with_canary(value: Any, canary: str, path: tuple[Any, ...]) -> Any:
    """Return a copy in which the member at a path is the canary."""
    if not path:
        return canary
    head, *rest = path
    copied: Any = dict(value) if isinstance(value, dict) else list(value)
    copied[head] = _with_canary(value[head], canary, tuple(rest))
    return copied


def _paths(value: Any, before: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    found = [before] if before else []
    for name, member in members:
        found += _paths(member, (*before, name))
    return found


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize(
    "resource",
    [
        observation(
            note=[{"text": "x"}],
            identifier=[{"value": "x"}],
            specimen={"reference": "Specimen/x"},
            performer=[{"display": "x"}],
        ),
        medication(dosage={"text": "x", "route": {"coding": [{"system": "x", "code": "x"}]}}),
        json.loads((FIXTURES / "fhir_r4/unknown-drug.json").read_text()),
    ],
    ids=["observation", "medication", "contained"],
)
def test_no_member_of_a_resource_leaks(tmp_path: Path, resource: dict[str, Any], canary: str) -> None:
    for path in _paths(resource):
        for content in (as_json(_with_canary(resource, canary, path)),):
            assert canary not in _run(tmp_path, content, "--received-at", "2026-01-01T00:00:00Z"), path


@pytest.mark.parametrize("canary", CANARIES)
def test_no_url_of_a_bundle_leaks(tmp_path: Path, canary: str) -> None:
    content = bundle(observation(), medication(), id=canary, type=canary)
    content = content.replace(b"h.example.org", canary.replace(" ", "-").encode())
    assert canary.replace(" ", "-") not in _run(tmp_path, content)


@pytest.mark.parametrize("canary", CANARIES)
def test_a_refused_canonical_line_leaks_nothing(tmp_path: Path, canary: str) -> None:
    broken = EVENT.replace(b'"final"', f'"{canary}"'.encode())
    extra = EVENT.replace(b"{", f'{{"note":"{canary}",'.encode(), 1)
    output = _run(
        tmp_path, broken + b"\n" + extra + b"\n" + canary.encode() + b"\n" + EVENT, "--format", "canonical"
    )
    assert '"rejected": 3' in output
    assert canary not in output


def test_the_bytes_that_are_kept_are_the_owners_alone(tmp_path: Path) -> None:
    text = f"MSH|^~\\&|x|y|||20210412080000+0200||ADT^A40|1|P|2.5\rPID|1||1||{CANARIES[0]}"
    _run(tmp_path, text.encode())
    kept = [path for path in (tmp_path / ".pv-stream/rejects").iterdir() if CANARIES[0] in path.read_text()]
    assert [path.suffix for path in kept] == [".bin"]
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
