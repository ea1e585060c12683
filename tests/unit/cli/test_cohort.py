import json
from pathlib import Path

from tests.unit.audit.logs import PATIENT, imatinib_lines, write_lines
from tests.unit.cli.calling import pv_stream


def test_a_log_is_tabulated_with_denominators_and_intervals(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines())
    people = tmp_path / "people.csv"
    people.write_text(f"patient_id,age_years,sex\n{PATIENT},60,female\n", encoding="utf-8")

    said = pv_stream("cohort", str(log), "--people", str(people), cwd=tmp_path)

    assert said.returncode == 0, said.stderr
    assert "imatinib" in said.stdout
    assert "rechallenge" in said.stdout
    assert "95 %" in said.stdout
    assert PATIENT not in said.stdout


def test_a_published_figure_that_does_not_agree_is_a_finding(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines())
    figures = tmp_path / "figures.csv"
    figures.write_text("measure,statistic,value,note\nregiscar,mean,9,made up\n", encoding="utf-8")

    said = pv_stream("cohort", str(log), "--compare", str(figures), "--json", cwd=tmp_path)

    assert said.returncode == 1
    document = json.loads(said.stdout)
    assert document["findings"] == 1
    assert document["synthetic"] is False


def test_hidden_cells_hide_the_rows_too(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines())

    said = pv_stream("cohort", str(log), "--hide-below", "5", cwd=tmp_path)

    assert said.returncode == 0
    assert "imatinib" in said.stdout
    assert "hidden" in said.stdout
    assert "ep_" not in said.stdout


def test_options_of_a_log_need_one(tmp_path: Path) -> None:
    said = pv_stream("cohort", "--treatment", "cyclosporine", cwd=tmp_path)

    assert said.returncode == 2
    assert "name one" in said.stderr


def test_a_log_without_an_occurrence_says_so(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", imatinib_lines()[:1])

    said = pv_stream("cohort", str(log), cwd=tmp_path)

    assert said.returncode == 0
    assert "No occurrence" in said.stderr
