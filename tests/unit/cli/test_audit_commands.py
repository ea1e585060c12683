import json
import shlex
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console
from rich.table import Table

from pv_stream.audit.demo import Demonstration, demonstrate
from pv_stream.cli import demo as demo_command
from pv_stream.cli import terminal
from pv_stream.cli.demo_stories import print_recurrence_stories, story_table
from tests.unit.audit.logs import PATIENT, RULEBOOK, imatinib_lines, write_lines
from tests.unit.cli.calling import pv_stream


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "events.jsonl", imatinib_lines())


class Replayed(NamedTuple):
    """One replay of the case: what it said, and the folder in which `out` and the log are."""

    said: "subprocess.CompletedProcess[str]"
    folder: Path

    @property
    def log(self) -> str:
        return str(self.folder / "events.jsonl")

    @property
    def alerts(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "out" / "alerts.jsonl").read_bytes().splitlines()]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """Replay the case once for all tests that only look at what came of it."""
    folder = tmp_path_factory.mktemp("replayed")
    log = write_lines(folder / "events.jsonl", imatinib_lines())
    return Replayed(pv_stream("replay", str(log), "--out", "out", cwd=folder), folder)


# replay -----------------------------------------------------------------------------------------------------------


def test_replay_summarises_on_stderr_and_points_on(replayed: Replayed) -> None:
    said = replayed.said

    assert said.returncode == 0
    assert said.stdout == ""
    assert "records read" in said.stderr
    assert "1 rechallenge" in said.stderr
    hint = said.stderr.splitlines()[-1]
    assert hint.startswith("Next: ")
    explained = pv_stream(*shlex.split(hint.partition("pv_stream.cli ")[2]), cwd=replayed.folder)
    assert explained.returncode == 0, explained.stderr


def test_replay_points_to_the_most_urgent_alert_that_is_open(replayed: Replayed) -> None:
    critical = next(alert["alert_id"] for alert in replayed.alerts if alert["tier"] == "critical")

    assert replayed.alerts[0]["alert_id"] != critical
    assert f"explain {critical} " in replayed.said.stderr


def test_replay_says_that_a_log_has_no_clock(log: Path, tmp_path: Path) -> None:
    said = pv_stream("replay", str(log), "--out", "out", "--clock", "log", cwd=tmp_path)

    assert "none: the log has no clock records, so nothing closes" in said.stderr


def test_replay_prints_its_manifest_as_json(log: Path, tmp_path: Path) -> None:
    said = pv_stream("replay", str(log), "--out", "out", "--json", cwd=tmp_path)

    assert json.loads(said.stdout) == json.loads((tmp_path / "out" / "manifest.json").read_bytes())


def test_replay_of_something_else_is_a_finding_that_says_what_to_do(tmp_path: Path) -> None:
    feed = write_lines(tmp_path / "feed.hl7", [b"MSH|^~\\&|LAB", b"PID|1"])

    said = pv_stream("replay", str(feed), "--out", "out", cwd=tmp_path)

    assert said.returncode == 1
    assert "2 malformed_json" in said.stderr
    assert "ingest" in said.stderr.splitlines()[-1]


def test_replay_of_an_empty_log_is_no_finding(tmp_path: Path) -> None:
    said = pv_stream("replay", str(write_lines(tmp_path / "log", [])), "--out", "out", cwd=tmp_path)

    assert said.returncode == 0
    assert "Next" not in said.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["replay", "nothing.jsonl", "--out", "out"], 4),
        (["replay", "events.jsonl", "--out", "events.jsonl"], 2),
        (["replay", "events.jsonl", "--out", "out", "--shards", "3"], 2),
        (["replay", "events.jsonl", "--out", "out", "--clock", "hourly"], 2),
        (["replay", "events.jsonl", "--out", "out", "--rulebook", "nothing.toml"], 4),
        (["explain", "al_zz", "--log", "events.jsonl"], 2),
        (["explain", "al_zz", "--log", "events.jsonl", "--out", "nothing"], 4),
        (["scenario", "nothing.yaml"], 4),
    ],
)
def test_what_cannot_work_is_one_line_and_its_exit_code(
    words: list[str], code: int, log: Path, tmp_path: Path
) -> None:
    said = pv_stream(*words, cwd=log.parent)

    assert said.returncode == code, said.stderr
    assert "Traceback" not in said.stderr
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_replay_under_another_rulebook_is_marked_as_a_what_if(log: Path, tmp_path: Path) -> None:
    from pv_stream.rules import rulebook  # noqa: PLC0415 - only for its place

    shipped = Path(rulebook.__file__).parent / "rulebooks" / "2026.11.toml"
    other = tmp_path / "other.toml"
    other.write_text(
        shipped.read_text(encoding="utf-8").replace(
            "eosinophils_low_per_ul = { value = 700", "eosinophils_low_per_ul = { value = 1400"
        ),
        encoding="utf-8",
    )

    said = pv_stream("replay", str(log), "--out", "out", "--rulebook", str(other), "--json", cwd=tmp_path)

    manifest = json.loads(said.stdout)
    assert manifest["what_if"] is True
    assert "WHAT IF" in said.stderr


# explain ----------------------------------------------------------------------------------------------------------


def test_explain_reads_like_a_page_for_a_pharmacist(replayed: Replayed) -> None:
    *_, alert_id = (alert["alert_id"] for alert in replayed.alerts if alert["kind"] == "suspected_dress")

    asked = ("explain", alert_id[:12], "--log", replayed.log, "--out", "out")
    said = pv_stream(*asked, cwd=replayed.folder, COLUMNS="100")

    assert said.returncode == 0, said.stderr
    for words in (
        "CRITICAL - suspected DRESS - revised",
        str(PATIENT),
        "rechallenge",
        "282388)",
        "RegiSCAR 1 (no case)",
        "controlled under treatment, not resolved",
        "J-SCAR/DIHS: 1 met, 0 unmet, 6 unknown; category not determined",
        "Bocquet 1996: unknown",
        "Causality of imatinib: Naranjo 8 (probable), WHO-UMC probable",
        "1690 /µL",
        "as sent: 1.69 10*3/uL",
        "What would settle the unknown criteria",
        "Next steps",
        "not validated for clinical use",
    ):
        assert words in said.stdout
    assert max(map(len, said.stdout.splitlines())) <= 100


def test_explain_gives_json(replayed: Replayed) -> None:
    alerts = replayed.alerts
    *_, last = (alert for alert in alerts if alert["alert_id"] == alerts[0]["alert_id"])

    said = pv_stream("explain", last["alert_id"], "--log", replayed.log, "--json", cwd=replayed.folder)

    told = json.loads(said.stdout)
    assert told["alert"] == last
    assert told["next_steps"]


# scenario ---------------------------------------------------------------------------------------------------------

CASE = """\
scenario: T
source: S
rule: R
cases:
  - name: c
    given:
      - {at: day 0, gives: imatinib}
      - {at: day 20, eosinophils: 1600 /uL}
    expect: %s
"""


def test_scenario_is_quiet_about_what_is_right(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(CASE % "[{at: day 20, alert: suspected_dress}]")

    said = pv_stream("scenario", ".", cwd=tmp_path)

    assert (said.returncode, said.stdout) == (0, "1 of 1 cases as expected (rulebook 2026.11)\n")


def test_scenario_says_what_was_expected_and_what_came(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(CASE % "nothing")

    said = pv_stream("scenario", "case.yaml", cwd=tmp_path)

    assert said.returncode == 1
    assert "FAILED T: c (case.yaml:5)" in said.stdout
    assert "came, not expected: day 20 08:00: alert suspected_dress, info, raised" in said.stdout


def test_scenario_gives_json(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(CASE % "nothing")

    told = json.loads(pv_stream("scenario", "case.yaml", "--json", cwd=tmp_path).stdout)

    assert [case["passed"] for case in told["cases"]] == [False]


# demo -------------------------------------------------------------------------------------------------------------


def test_the_demo_fits_80_columns_and_every_command_that_it_names_works(tmp_path: Path) -> None:
    said = pv_stream("demo", cwd=tmp_path, COLUMNS="80")

    assert said.returncode == 0, said.stderr
    for words in ("synthetic", "not", "1,690/µL", "culprit restart", "rechallenge", "RegiSCAR"):
        assert words in said.stdout
    lines = said.stdout.splitlines()
    commands = [line for line in lines if line.startswith("python -m pv_stream.cli ")]
    assert len(commands) == 4
    assert max(len(line) for line in lines if line not in commands) <= 80
    for line in commands:
        tried = pv_stream(*shlex.split(line)[3:], cwd=tmp_path)
        assert tried.returncode == 0, (line, tried.stderr)
    folders = ("pv-stream-demo/replay", "pv-stream-demo-again")
    first, again = ((tmp_path / folder / "manifest.json").read_bytes() for folder in folders)
    assert first == again


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    return demonstrate(tmp_path_factory.mktemp("demo") / "demo", RULEBOOK)


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("colour", [False, True])
def test_the_demo_fits_every_terminal(demonstration: Demonstration, columns: int, colour: bool) -> None:  # noqa: FBT001
    file = StringIO()
    console = Console(width=columns, file=file, force_terminal=colour, highlight=False, record=True)

    demo_command.show(console, demonstration)

    lines = [line for line in console.export_text().splitlines() if "pv_stream.cli" not in line]
    assert max(map(len, lines)) <= columns
    assert ("\x1b[" in file.getvalue()) == colour


def test_the_demo_gives_json(demonstration: Demonstration) -> None:
    told = json.loads(json.dumps(demo_command.as_json_document(demonstration)))

    assert (told["synthetic"], told["validated"]) == (True, False)
    assert {found["primary"] for found in told["recurrences"]} == {
        "rechallenge",
        "new_culprit",
        "flare_on_withdrawal",
    }
    assert [story["patient_id"][-1] for story in told["recurrence_stories"]] == ["1", "2", "3"]
    assert [row["row"] for row in told["cohort"]["rows"]] == list(range(1, 20))
    assert all(row["found"] == row["published"] for row in told["cohort"]["rows"])
    assert told["cohort"]["rows"][3]["found"] == {
        "drugs": ["oxcarbazepine", "phenytoin"],
        "regiscar": 2,
        "prior_steroid": False,
        "mg_per_kg": "2.5",
        "days": 5,
        "days_to_resolution": 9,
        "recurrence": None,
    }


def _printed(table: Table) -> list[list[str]]:
    return [[str(cell) for cell in cells] for cells in zip(*(c.cells for c in table.columns), strict=True)]


def test_the_demo_tells_of_a_revised_alert_only_what_is_new(demonstration: Demonstration) -> None:
    told = {when: said for when, _, said in _printed(story_table(demonstration.imatinib, by_day=False))}

    assert told["day 103 10:00"].startswith("[dim]no alert: a skin reaction alone is remembered")
    assert told["day 103 11:30"].endswith("recurrence by rechallenge; RegiSCAR 0 (from -2 to 9).")
    assert told["day 119 11:30"].endswith("the same alert: a low count may be masked by reslizumab.")
    assert told["day 125 10:00"].endswith("the same alert: controlled under treatment, not resolved.")
    assert told["day 132 10:05"].endswith("no longer under control.")


def test_the_demo_tells_the_recurrences_of_the_cohort_in_their_own_days(demonstration: Demonstration) -> None:
    told = [
        {when: (done, said) for when, done, said in _printed(story_table(story, by_day=True))}
        for story in demonstration.recurrences_told
    ]

    assert "recurrence under a new suspect drug" in told[0]["day 537"][1]
    assert told[0]["day 923"][0] == "phenytoin given daily until day 933"
    assert "culprit restart: Phenytoin" in told[0]["day 923"][1]
    assert "recurrence by rechallenge" in told[0]["day 933"][1]
    assert "methylprednisolone stopped" in told[1]["day 29"][0]
    assert "methylprednisolone was stopped" in told[1]["day 30"][1]
    assert told[2]["day 32"][0] == "reaction documented as resolved"
    assert ", closed: The reaction was documented as resolved" in told[2]["day 46"][1]


def test_the_demo_says_how_each_occurrence_was_treated(demonstration: Demonstration) -> None:
    console = Console(width=200, record=True, file=StringIO())

    print_recurrence_stories(console, demonstration)

    text = console.export_text()
    assert "cyclosporine 1.5 mg/kg for 3 days, resolved after 2 days" in text
    assert "cyclosporine 2 mg/kg for 7 days, resolved after 1 day" in text
    assert "rechallenge, 913 days from onset to onset: suspect phenytoin" in text


# rules, schemas ---------------------------------------------------------------------------------------------------


def test_rules_show_every_number_with_its_source() -> None:
    said = pv_stream("rules", "show", COLUMNS="120")

    assert said.returncode == 0
    assert "eosinophils_high_per_ul" in said.stdout
    assert "UNCONFIRMED: No source was found" in said.stdout
    assert json.loads(pv_stream("rules", "show", "--json").stdout)["version"] == "2026.11"
    assert json.loads(pv_stream("rules", "list", "--json").stdout)[0]["version"] == "2026.11"
    assert pv_stream("rules", "list").stdout.startswith("2026.11  sha256:")


def test_schemas_are_written_and_checked(tmp_path: Path) -> None:
    assert pv_stream("schemas", "--check", cwd=tmp_path).returncode == 1
    assert pv_stream("schemas", "--write", cwd=tmp_path).returncode == 0
    assert pv_stream("schemas", "--check", cwd=tmp_path).returncode == 0
    names = pv_stream("schemas", cwd=tmp_path).stdout.split()
    assert sorted(path.name for path in (tmp_path / "schemas").iterdir()) == names
    assert pv_stream("schemas", "--check", "--write", cwd=tmp_path).returncode == 2


# terminal ---------------------------------------------------------------------------------------------------------


def test_a_command_that_is_printed_names_the_program_as_it_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pv-stream"
    program.touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [str(program)])
    assert terminal.program() == str(program)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert terminal.program() == "pv-stream"
    monkeypatch.setattr("sys.argv", ["somewhere/__main__.py"])
    assert terminal.program() == "python -m pv_stream.cli"


def test_words_for_a_person() -> None:
    assert terminal.plural(1, "alert") == "1 alert"
    assert terminal.plural(1200, "alert") == "1,200 alerts"
    assert terminal.short_id("al_0123456789abcdef") == "al_01234567"
    assert terminal.moment("2026-03-02T08:10:00Z") == "2026-03-02 08:10 UTC"
    assert demo_command._SHOWN_MAX.keys() == {"critical", "warning", "info"}
