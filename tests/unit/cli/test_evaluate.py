import json
from pathlib import Path

from tests.unit.audit.logs import PATIENT, imatinib_lines, write_lines
from tests.unit.cli.calling import pv_stream


def test_a_made_up_hospital_is_evaluated_and_called_synthetic(tmp_path: Path) -> None:
    said = pv_stream("evaluate", "--patients", "20", "--html", "report.html", cwd=tmp_path)

    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("SYNTHETIC")
    assert "1,500/µL" in said.stdout
    assert "SYNTHETIC" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_log_with_its_truth_is_evaluated(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines())
    truth = tmp_path / "truth.csv"
    truth.write_text(f"patient_id,culprit,first_sign\n{PATIENT},imatinib,2026-04-01T00:00:00Z\n")

    said = pv_stream("evaluate", str(log), "--truth", str(truth), "--json", cwd=tmp_path)

    document = json.loads(said.stdout)
    assert document["synthetic"] is False
    found = {each["name"]: each["sensitivity"] for each in document["found"]}
    assert (found["critical"]["count"], found["critical"]["of"]) == (1, 1)


def test_a_log_without_a_truth_is_refused(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines())

    assert "--truth" in pv_stream("evaluate", str(log), cwd=tmp_path).stderr
    said = pv_stream("evaluate", "--truth", "truth.csv", cwd=tmp_path)
    assert (said.returncode, "name one" in said.stderr) == (2, True)
