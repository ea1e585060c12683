import json
from pathlib import Path

from tests.unit.audit.logs import imatinib_lines, write_lines
from tests.unit.audit.test_signals import report
from tests.unit.cli.calling import pv_stream


def _log(tmp_path: Path) -> Path:
    events = [report(100 + each, "imatinib") for each in range(60)]
    events += [report(each, "phenytoin", dress=True, month=5) for each in range(6)]
    return write_lines(tmp_path / "log.jsonl", [json.dumps(event).encode() for event in events])


def test_drugs_are_listed_with_their_counts_and_since_when(tmp_path: Path) -> None:
    said = pv_stream("signals", str(_log(tmp_path)), cwd=tmp_path)

    assert said.returncode == 0, said.stderr
    assert "66 cases received by the end of 2026-Q2, 6 with DRESS" in said.stdout
    phenytoin = next(line for line in said.stdout.splitlines() if line.startswith("phenytoin"))
    assert phenytoin.split()[1:3] == ["6", "0"]
    assert "hypothesis" in said.stdout


def test_one_drug_is_shown_period_by_period(tmp_path: Path) -> None:
    said = pv_stream("signals", str(_log(tmp_path)), "--drug", "imatinib", "--every", "month", cwd=tmp_path)

    assert [line.split()[0] for line in said.stdout.splitlines() if line.startswith("2026")] == [
        "2026-01",
        "2026-05",
    ]


def test_a_drug_that_nobody_suspected_is_said(tmp_path: Path) -> None:
    said = pv_stream("signals", str(_log(tmp_path)), "--drug", "aspirin", cwd=tmp_path)

    assert "No case names aspirin" in said.stdout


def test_every_period_is_there_for_a_program(tmp_path: Path) -> None:
    said = pv_stream("signals", str(_log(tmp_path)), "--json", cwd=tmp_path)

    periods = json.loads(said.stdout)
    assert [each["period"] for each in periods] == ["2026-Q1", "2026-Q2"]
    assert periods[1]["drugs"]["phenytoin"]["disproportionate"]["ic"] is True


def test_a_log_without_reports_says_what_to_do(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines())

    said = pv_stream("signals", str(log), cwd=tmp_path)

    assert said.returncode == 0
    assert "ingest" in said.stderr
