"""`pv-stream rules`: list, show, check, diff, explain, and a rulebook put in force in a log of a file."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pv_stream.audit.rule_guide import find_rule, guide_to
from pv_stream.audit.traceability import rule_names
from pv_stream.cli import main
from pv_stream.errors import PvStreamError
from pv_stream.rulebooks import DEFAULT_VERSION, load_default
from tests.unit.audit.logs import envelope, header, imatinib_lines, values, write_lines
from tests.unit.test_rulebooks import SHIPPED, changed

RULEBOOK = load_default()


@dataclass(frozen=True)
class Said:
    exit_code: int
    stdout: str
    stderr: str


def call(*words: str) -> Said:
    """Call pv-stream in this process: an error becomes a line and its exit code, as in `main`."""
    result = CliRunner().invoke(main.app, list(words), env={"COLUMNS": "200", "NO_COLOR": "1"})
    error = result.exception
    if isinstance(error, PvStreamError):
        return Said(error.exit_code, result.stdout, f"{result.stderr}{error}\n")
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return Said(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A rulebook of one's own: imatinib alerts from 1,000/µL."""
    return changed(
        tmp_path,
        (f'version = "{DEFAULT_VERSION}"', 'version = "own"'),
        (
            'threshold_per_ul = { value = 1500, source = "imatinib2021" }',
            'threshold_per_ul = { value = 1000, source = "UNCONFIRMED" }',
        ),
    )


def test_list_names_each_shipped_rulebook_with_digest_and_engine_and_the_default() -> None:
    (listed,) = call("rules", "list").stdout.splitlines()
    assert listed.startswith(f"{DEFAULT_VERSION}  {RULEBOOK.digest}  engine 1  ")
    assert listed.endswith("default")
    (known,) = json.loads(call("rules", "list", "--json").stdout)
    assert known["version"] == DEFAULT_VERSION
    assert (known["default"], known["engine_version"]) == (True, 1)


def test_show_says_every_number_with_its_source_and_every_drug() -> None:
    shown = call("rules", "show").stdout
    assert "lag_days" in shown
    assert "UNCONFIRMED" in shown
    for drug in RULEBOOK.drugs:
        assert drug.name in shown
    assert "1*-56" in shown  # piperacillin
    assert "not oral" in shown  # vancomycin


def test_show_as_json_is_the_whole_rulebook_of_a_version_or_a_file(own: Path) -> None:
    shown = json.loads(call("rules", "show", str(own), "--json").stdout)
    assert shown["version"] == "own"
    assert shown["parameters"]["fever_score_celsius"] == {"value": "38.5", "source": "kardaun2007"}
    assert {row["name"] for row in shown["treatments"]} >= {"cyclosporine", "reslizumab"}
    assert json.loads(call("rules", "show", DEFAULT_VERSION, "--json").stdout)["digest"] == RULEBOOK.digest


def test_check_is_silent_about_the_shipped_one_and_exits_0(tmp_path: Path) -> None:
    good = tmp_path / "good.toml"
    good.write_text(SHIPPED, "utf-8")
    said = call("rules", "check", str(good))
    assert (said.exit_code, said.stdout) == (0, "")
    assert "1 file: 0 wrong, 0 warnings" in said.stderr


def test_check_names_every_mistake_of_every_file_and_exits_1(tmp_path: Path) -> None:
    one = changed(tmp_path, ("lag_days =", "lag_dayz ="), name="one.toml")
    two = changed(tmp_path, ('"tegretol"', '"gleevec"'), name="two.toml")
    said = call("rules", "check", str(one), str(two))
    assert said.exit_code == 1
    assert [line.partition(":")[0] for line in said.stdout.splitlines()] == [str(one), str(one), str(two)]
    listed = json.loads(call("rules", "check", str(two), "--json").stdout)
    assert [(found["entry"], found["warning"]) for found in listed] == [
        ("drugs.carbamazepine.names[2]", False)
    ]


def test_check_of_no_file_is_an_error_of_data(tmp_path: Path) -> None:
    said = call("rules", "check", str(tmp_path / "none.toml"))
    assert said.exit_code == 4
    assert "none.toml" in said.stderr


def test_diff_says_entry_old_new_and_sources_and_exits_1(own: Path) -> None:
    said = call("rules", "diff", DEFAULT_VERSION, str(own))
    assert said.exit_code == 1
    assert "drugs.imatinib.threshold_per_ul: 1500 (imatinib2021) -> 1000 (UNCONFIRMED)" in said.stdout
    assert "1 entry differs" in said.stdout
    changes = json.loads(call("rules", "diff", DEFAULT_VERSION, str(own), "--json").stdout)["changes"]
    assert changes == [
        {
            "entry": "drugs.imatinib.threshold_per_ul",
            "old": "1500",
            "old_source": "imatinib2021",
            "new": "1000",
            "new_source": "UNCONFIRMED",
        }
    ]


def test_diff_of_a_rulebook_with_itself_is_nothing() -> None:
    said = call("rules", "diff", DEFAULT_VERSION, DEFAULT_VERSION)
    assert (said.exit_code, said.stdout.splitlines()[-1]) == (0, "They say the same.")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (
            "raised_count_with_sign",
            ("warning", "eosinophils_low_per_ul = 700", "scenario:eosinophils_with_a_sign"),
        ),
        ("item:fever", ("item:fever", "no -1", "test_regiscar.py::")),
        ("lag_days", ("lag_days = 28", "[UNCONFIRMED]", "scenario:latency_after_the_last_dose")),
        ("imatinib", ("RxNorm 282388", "imatinib threshold_per_ul = 1500", "[imatinib2021]")),
        ("vancomycin", ("Not watched by these routes: oral",)),
        ("phenytoin", ("osphenytoin counts as phenytoin", "Cross-reactive with carbamazepine")),
        ("aromatic antiepileptics", ("phenytoin",)),
        ("reslizumab", ("never blamed",)),
        ("flag:conflicting_evidence", ("he alert uses the worse", "conflict_factor = 2")),
        (
            "controlled_under_treatment",
            (
                "course:controlled_under_treatment",
                "what is held down is not resolved",
                "[imatinib2021]",
                "done by pv_stream.rules.masking",
                "tested by scenario:imatinib2021",
            ),
        ),
        ("Controlled under treatment", ("course:controlled_under_treatment",)),
        (
            "masking",
            (
                "masking_anti_il5_days = 28",
                "masking_steroid_mg_per_kg_day = 0.5",
                "scenario:masking_by_steroids",
            ),
        ),
        ("lost_to_observation", ("that is not resolved", "lost_to_observation_days = 60", "[UNCONFIRMED]")),
        ("flare-on-withdrawal", ("class:flare_on_withdrawal", "withdrawal_days = 14", "[zita2023]")),
        ("repeat", ("no recurrence yet",)),
        ("Glivec", ("drug:imatinib",)),
        ("Solu-Medrol", ("treatment:methylprednisolone",)),
        ("cyclosporine", ("treatment:cyclosporine",)),
        (
            "tier-latched",
            ("It falls when a statement that it rests on is replaced", "done by pv_stream.engine."),
        ),
    ],
)
def test_explain_says_what_a_rule_means_its_numbers_sources_and_tests(
    rule: str, words: tuple[str, ...]
) -> None:
    said = call("rules", "explain", rule)
    assert said.exit_code == 0, said.stderr
    for word in words:
        assert word in said.stdout


def test_explain_as_json_has_the_rule_its_numbers_sources_modules_and_tests() -> None:
    explained = json.loads(call("rules", "explain", "controlled_under_treatment", "--json").stdout)
    assert explained["rule"] == "course:controlled_under_treatment"
    assert list(explained["sources"]) == ["imatinib2021"]
    assert "pv_stream.rules.masking" in explained["modules"]
    assert "scenario:controlled_under_treatment" in explained["tests"]
    explained = json.loads(call("rules", "explain", "score_possible", "--json").stdout)
    assert explained["numbers"][0]["name"] == "warning_score_min"


@pytest.mark.parametrize("kind", sorted({name.partition(":")[0] for name in rule_names(RULEBOOK)}))
def test_every_rule_is_found_by_its_full_name_and_says_its_meaning_source_and_test(kind: str) -> None:
    for name in (name for name in rule_names(RULEBOOK) if name.startswith(f"{kind}:")):
        guide = guide_to(find_rule(name, RULEBOOK), RULEBOOK)
        assert guide.name == name
        assert guide.meaning[0]
        assert guide.citations
        assert guide.tests


def test_a_name_that_several_rules_have_is_refused_with_all_of_them() -> None:
    said = call("rules", "explain", "fever")
    assert said.exit_code == 2
    assert "item:fever, jscar:fever" in said.stderr


def test_explain_of_no_rule_names_what_is_near() -> None:
    said = call("rules", "explain", "lag_dais")
    assert said.exit_code == 2
    assert "did you mean number:lag_days" in said.stderr


def test_explain_of_what_is_near_nothing_says_where_the_names_are() -> None:
    said = call("rules", "explain", "qqqqqqq")
    assert said.exit_code == 2
    assert "`pv-stream rules show`" in said.stderr


# A log of a file ------------------------------------------------------------------------------------------------


def test_a_rulebook_is_put_in_force_by_a_line_of_the_log_and_replay_follows_it(
    own: Path, tmp_path: Path
) -> None:
    log = write_lines(tmp_path / "events.jsonl", imatinib_lines())
    said = call("rules", "activate", str(own), "--to", str(log))
    assert said.exit_code == 0, said.stderr
    assert "rulebook own" in said.stderr
    followed = call("replay", str(log), "--out", str(tmp_path / "out"), "--carry", str(own))
    assert followed.exit_code == 0, followed.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert [book["version"] for book in manifest["rulebooks"]] == [DEFAULT_VERSION, "own"]
    assert (manifest["activations"], manifest["what_if"]) == (1, False)
    assert f"{DEFAULT_VERSION}, then own" in followed.stderr


def test_replay_of_a_log_that_asks_for_an_unknown_rulebook_ends_with_4_and_one_line(
    own: Path, tmp_path: Path
) -> None:
    log = write_lines(tmp_path / "events.jsonl", imatinib_lines())
    call("rules", "activate", str(own), "--to", str(log))
    said = call("replay", str(log), "--out", str(tmp_path / "out"))
    assert said.exit_code == 4
    (line,) = said.stderr.splitlines()
    assert "the log asks for rulebook sha256:" in line
    assert not (tmp_path / "out").exists()


def test_what_if_passes_over_the_log_s_rulebooks_and_says_so(own: Path, tmp_path: Path) -> None:
    plain = write_lines(tmp_path / "plain.jsonl", imatinib_lines())
    call("replay", str(plain), "--out", str(tmp_path / "plain"), "--rulebook", str(own))
    log = write_lines(tmp_path / "events.jsonl", imatinib_lines())
    call("rules", "activate", DEFAULT_VERSION, "--to", str(log))
    said = call("replay", str(log), "--out", str(tmp_path / "out"), "--rulebook", str(own))
    assert "WHAT IF" in said.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert [book["version"] for book in manifest["rulebooks"]] == ["own"]
    assert manifest["what_if"]
    assert values(tmp_path / "out" / "alerts.jsonl") == values(tmp_path / "plain" / "alerts.jsonl")


def test_explain_of_an_alert_follows_the_log_s_rulebooks(own: Path, tmp_path: Path) -> None:
    log = write_lines(tmp_path / "events.jsonl", imatinib_lines()[:-1])
    call("rules", "activate", str(own), "--to", str(log))
    call("replay", str(log), "--out", str(tmp_path / "out"), "--carry", str(own))
    first, *_, last = values(tmp_path / "out" / "alerts.jsonl")
    for alert in (first, last):
        words = ("explain", str(alert["alert_id"]), "--log", str(log), "--revision", str(alert["revision"]))
        said = call(*words, "--carry", str(own), "--json")
        assert said.exit_code == 0, said.stderr
        assert json.loads(said.stdout)["alert"] == alert


def test_an_activation_begins_a_line_of_its_own_also_after_one_without_an_end(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_bytes(imatinib_lines()[0])
    call("rules", "activate", DEFAULT_VERSION, "--to", str(log))
    first, second = log.read_bytes().splitlines()
    assert first == imatinib_lines()[0]
    assert json.loads(second)["rulebook_digest"] == RULEBOOK.digest
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(b"")
    call("rules", "activate", DEFAULT_VERSION, "--to", str(empty))
    assert empty.read_bytes() == second + b"\n"


def test_an_archive_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    archive = write_lines(tmp_path / "archive.jsonl", [header(1), envelope(0, 0, imatinib_lines()[0])])
    before = archive.read_bytes()
    said = call("rules", "activate", DEFAULT_VERSION, "--to", str(archive))
    assert (said.exit_code, archive.read_bytes()) == (2, before)
    assert "--to kafka" in said.stderr
    assert call("rules", "activate", DEFAULT_VERSION, "--to", str(tmp_path / "none")).exit_code == 4


def test_a_rulebook_that_nobody_could_tell_from_the_shipped_one_is_not_put_in_force(tmp_path: Path) -> None:
    twin = changed(tmp_path, ("lag_days = { value = 28", "lag_days = { value = 30"))
    log = write_lines(tmp_path / "events.jsonl", imatinib_lines())
    before = log.read_bytes()
    said = call("rules", "activate", str(twin), "--to", str(log))
    assert (said.exit_code, log.read_bytes()) == (4, before)
    assert "give yours a version of its own" in said.stderr


def test_kafka_that_does_not_answer_is_one_line() -> None:
    words = ("rules", "activate", DEFAULT_VERSION, "--to", "kafka", "--bootstrap-servers", "127.0.0.1:1")
    said = call(*words)
    assert said.exit_code == 3
    assert len(said.stderr.splitlines()) == 1
