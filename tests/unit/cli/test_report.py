import hashlib
import json
import stat
from pathlib import Path

import pytest

from tests.unit.audit.logs import PATIENT, imatinib_lines, write_lines
from tests.unit.cli.calling import pv_stream


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "log.jsonl", imatinib_lines())


def test_a_report_of_a_patient_is_a_page_its_data_and_a_manifest(log: Path, tmp_path: Path) -> None:
    said = pv_stream("report", str(log), "--patient", PATIENT, "--out", "out", cwd=tmp_path)

    assert said.returncode == 0, said.stderr
    out = tmp_path / "out"
    manifest = json.loads((out / "manifest.json").read_bytes())
    for name in ("report.html", "report.json"):
        assert manifest["files"][name] == f"sha256:{hashlib.sha256((out / name).read_bytes()).hexdigest()}"
    assert manifest["selection"] == {"patient_id": PATIENT}
    assert "imatinib" in (out / "report.html").read_text(encoding="utf-8")
    assert stat.S_IMODE(out.stat().st_mode) == 0o700


def test_a_report_of_an_alert_goes_by_the_beginning_of_its_id(log: Path, tmp_path: Path) -> None:
    pv_stream("replay", str(log), "--out", "replayed", cwd=tmp_path)
    first = json.loads((tmp_path / "replayed" / "alerts.jsonl").read_bytes().splitlines()[0])["alert_id"]

    said = pv_stream("report", str(log), "--alert", first[:12], "--out", "out", cwd=tmp_path)

    assert said.returncode == 0, said.stderr
    assert json.loads((tmp_path / "out" / "report.json").read_bytes())["selection"]["alert_id"] == first


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "say what the report is about"),
        (["--patient", "a", "--alert", "b"], "make one at a time"),
        (["--patient", "\udcff"], "--patient is no pseudonym"),
        (["--since", "yesterday"], "--since: 'yesterday' is no instant"),
    ],
)
def test_a_selection_that_says_nothing_is_refused(
    log: Path, tmp_path: Path, options: list[str], why: str
) -> None:
    said = pv_stream("report", str(log), "--out", "out", *options, cwd=tmp_path)

    assert (said.returncode, why in said.stderr) == (2, True), said.stderr


def test_a_period_in_which_nothing_was_said_is_a_finding(log: Path, tmp_path: Path) -> None:
    said = pv_stream("report", str(log), "--until", "1999-01-01T00:00:00Z", "--out", "out", cwd=tmp_path)

    assert said.returncode == 1
    assert "Nothing in this log" in said.stderr


def test_a_folder_with_other_files_is_left_alone(log: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")

    said = pv_stream("report", str(log), "--patient", PATIENT, "--out", "out", cwd=tmp_path)

    assert said.returncode == 2
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_of_an_unknown_patient_there_is_nothing_though_a_record_cannot_be_read(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", [b"{ not json"])

    said = pv_stream("report", str(log), "--patient", "nobody", "--out", "report", cwd=tmp_path)

    assert said.returncode == 1
    assert "Nothing in this log" in said.stderr
