"""Acting on an alert from the command line: found, shown, tried, written durably; refused with what to do."""

import json
import stat
from collections.abc import Iterable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pv_stream.audit.acting import append_to_log
from pv_stream.audit.action_notes import NOTES_NAME, keep_note
from pv_stream.audit.replay import replay
from pv_stream.cli import main as entry
from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.codes import ActionKind, ExposureKind, FindingCode
from pv_stream.domain.events import AlertActed, RulebookActivated
from pv_stream.domain.facts import AsSent, Exposure
from pv_stream.domain.times import format_instant
from pv_stream.engine.activation import ENGINE_VERSION
from pv_stream.errors import ConnectionFailed, DataError, PvStreamError, UsageError
from pv_stream.rulebooks import carried_rulebooks, load_file
from pv_stream.stream import consumer, publish
from tests.builders import PATIENT, RULEBOOK, at, dose, eosinophils, event, present
from tests.unit.audit.logs import header, plan_of, values, write_lines

WHEN = format_instant(at(15))
CANARY = "Mrs Quixwell, room 7"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a log with one alert at warning, in the folder where the command is called."""
    monkeypatch.chdir(tmp_path)
    story = (
        dose("imatinib", at(0)),
        eosinophils(1600, at(14, 9)),
        present(FindingCode.RASH, at(14, 10)),
    )
    return write_lines(tmp_path / "events.jsonl", (encode_event(sent) for sent in story))


def replayed(log: Path, carried: Iterable[Path] = ()) -> Path:
    folder = log.parent / "out"
    replay(replace(plan_of(log), carried=carried_rulebooks(carried)), folder, force=True)
    return folder


def alert_of(log: Path, carried: Iterable[Path] = ()) -> dict[str, Any]:
    return values(replayed(log, carried) / "alerts.jsonl")[-1]


def act(*words: str, fails: type[PvStreamError] | None = None) -> Any:
    """Call the command; return what it printed, or the error that it ends with."""
    result = CliRunner().invoke(entry.app, ["act", *words], env={"COLUMNS": "120", "USER": "quixwell"})
    if fails is None:
        assert result.exit_code == 0, (result.output, result.exception)
        return result
    assert isinstance(result.exception, fails), (result.output, result.exception)
    return str(result.exception)


def last_event(log: Path) -> AlertActed:
    last = decode_event(log.read_bytes().splitlines()[-1])
    assert isinstance(last, AlertActed)
    return last


# Written to a log -------------------------------------------------------------------------------------------------


def test_an_acknowledgement_is_shown_appended_and_taken_by_the_next_replay(log: Path) -> None:
    alert = alert_of(log)
    before = log.read_bytes()
    said = act(alert["alert_id"][:11], "ack", "--log", str(log), "--received-at", WHEN).stderr

    assert "WARNING 2026-01-15 10:00 UTC: suspected DRESS, revised, patient patient-1" in said
    assert alert["reason"] in " ".join(said.split())
    assert "Next: " in said
    assert log.read_bytes().startswith(before)
    event = last_event(log)
    assert (event.patient_id, event.action, event.seen_revision) == (PATIENT, ActionKind.ACKNOWLEDGE, 2)
    (action,) = values(replayed(log) / "actions.jsonl")
    assert action["action_id"] == event.action_id
    assert alert_of(log)["acknowledged"]["by"] == event.actor


def test_a_replay_of_the_log_finds_the_alert_without_replaying_again(log: Path) -> None:
    alert = alert_of(log)
    folder = str(log.parent / "out")
    words = [alert["alert_id"], "override", "--reason", "will_monitor", "--out", folder]
    said = json.loads(act(*words, "--log", str(log), "--received-at", WHEN, "--json").stdout)
    assert said["alert"] == alert
    assert said["action"] == json.loads(log.read_bytes().splitlines()[-1])
    assert said["written_to"] == str(log)


def test_an_action_may_go_to_a_file_of_its_own(log: Path) -> None:
    alert = alert_of(log)
    words = [alert["alert_id"], "confirm", "--culprit", "imatinib", "--out", str(log.parent / "out")]
    act(*words, "--to", "actions.jsonl", "--received-at", WHEN)
    assert last_event(log.parent / "actions.jsonl").drugs == ("imatinib",)


def test_a_culprit_that_the_alert_does_not_suspect_is_named_as_people_write_it(log: Path) -> None:
    append_to_log(log, [event(Exposure(ExposureKind.ORDER, (), as_sent=AsSent("rxnorm", "161")), at(10))])
    alert_id = alert_of(log)["alert_id"]
    act(alert_id, "confirm", "--culprit", " RxNorm  161", "--log", str(log), "--received-at", WHEN)
    assert last_event(log).drugs == ("rxnorm 161",)
    assert [culprit["drug"] for culprit in alert_of(log)["culprits"]] == ["imatinib", "rxnorm 161"]


def test_a_log_without_a_last_line_break_gets_a_line_of_its_own(log: Path) -> None:
    alert = alert_of(log)
    log.write_bytes(log.read_bytes().rstrip(b"\n"))
    act(alert["alert_id"], "ack", "--log", str(log), "--received-at", WHEN)
    assert len(log.read_bytes().splitlines()) == 4
    assert last_event(log).alert_id == alert["alert_id"]


# Privacy ----------------------------------------------------------------------------------------------------------


def test_who_acts_is_a_pseudonym_and_a_note_stays_with_its_owner(log: Path) -> None:
    alert = alert_of(log)
    words = [alert["alert_id"], "ack", "--by", "quixwell", "--note", CANARY, "--log", str(log)]
    result = act(*words, "--received-at", WHEN, "--json")
    assert "uixwell" not in result.stdout + result.stderr + log.read_text()
    notes = log.parent / ".pv-stream" / NOTES_NAME
    (note,) = values(notes)
    assert note == {
        "action_id": last_event(log).action_id,
        "alert_id": alert["alert_id"],
        "at": WHEN,
        "note": CANARY,
    }
    assert stat.S_IMODE(notes.stat().st_mode) == 0o600
    for file in replayed(log).iterdir():
        assert "uixwell" not in file.read_text()


def test_the_same_person_has_the_same_pseudonym_and_another_has_another(log: Path) -> None:
    alert_id = alert_of(log)["alert_id"]
    actors = []
    for number, who in enumerate(("anna", "anna", "ben")):
        deed = ("ack", "refute", "confirm")[number]
        act(alert_id, deed, "--by", who, "--log", str(log), "--received-at", format_instant(at(15, number)))
        actors.append(last_event(log).actor)
    assert actors[0] == actors[1] != actors[2]


def test_a_notes_file_that_others_can_read_is_refused_and_nothing_is_written(log: Path) -> None:
    alert_id = alert_of(log)["alert_id"]
    folder = log.parent / ".pv-stream"
    folder.mkdir()
    (folder / NOTES_NAME).touch(mode=0o644)
    (folder / NOTES_NAME).chmod(0o644)
    before = log.read_bytes()
    said = act(alert_id, "ack", "--note", CANARY, "--log", str(log), "--received-at", WHEN, fails=UsageError)
    assert "chmod 600" in said
    assert CANARY not in said
    assert log.read_bytes() == before


def test_a_note_that_cannot_be_kept_says_so(tmp_path: Path) -> None:
    (tmp_path / NOTES_NAME).mkdir()
    with pytest.raises(DataError, match="not kept"):
        keep_note(tmp_path, action_id="act_1", alert_id="al_1", at=WHEN, note=CANARY)


# Under a rulebook of one's own ------------------------------------------------------------------------------------


def test_an_alert_of_a_log_under_a_rulebook_of_one_s_own_is_acted_on_with_its_file(log: Path) -> None:
    """Without it the log cannot be read; the next step that is named reads it, too."""
    shipped = resources.files("pv_stream.rules").joinpath("rulebooks", f"{RULEBOOK.version}.toml")
    own = log.parent / "own.toml"
    own.write_text(shipped.read_text("utf-8").replace(f'"{RULEBOOK.version}"', '"own"', 1), encoding="utf-8")
    book = load_file(own)
    append_to_log(log, [RulebookActivated(ENGINE_VERSION, book.digest)])
    words = [alert_of(log, carried=[own])["alert_id"], "ack", "--log", str(log), "--received-at", WHEN]
    before = log.read_bytes()
    assert "name its file with --carry" in act(*words, fails=DataError)
    assert log.read_bytes() == before
    assert f"--carry {own}" in act(*words, "--carry", str(own)).stderr
    assert last_event(log).action is ActionKind.ACKNOWLEDGE


# Refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "what_to_do"),
    [
        (["override"], "--reason"),
        (["override", "--reason", "busy"], "will_monitor, tolerated_before, other_cause_found"),
        (["ack", "--reason", "will_monitor"], "--reason"),
        (["confirm", "--culprit", "allopurinol"], "refused (action_unknown_drug)"),
        (["confirm", "--culprit", "Prednisone"], "treats DRESS and is never blamed"),
        (["confirm", "--culprit", "2nd tablet!"], "refused (action_unknown_drug)"),
        (["refute", "--culprit", "imatinib"], "--culprit goes with confirm"),
        (["ack", "--received-at", format_instant(at(200))], "--received-at"),
        (["ack", "--received-at", "yesterday"], "2026-03-02T08:10:00Z"),
        (["ack", "--received-at", "2999-01-01T00:00:00Z"], "in the future"),
        (["ack", "--by", " "], "--by"),
        (["ack", "--to", ""], "--to"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    log: Path, words: list[str], what_to_do: str
) -> None:
    alert_id = alert_of(log)["alert_id"]
    before = log.read_bytes()
    when = [] if "--received-at" in words else ["--received-at", WHEN]
    assert what_to_do in act(alert_id, *words, "--log", str(log), *when, fails=UsageError)
    assert log.read_bytes() == before


def test_the_same_thing_twice_is_refused(log: Path) -> None:
    words = [alert_of(log)["alert_id"], "ack", "--log", str(log), "--received-at", WHEN]
    act(*words)
    assert "action_repeated" in act(*words, fails=UsageError)


def test_an_old_replay_shows_less_than_what_stands(log: Path) -> None:
    alert = alert_of(log)
    folder = log.parent / "out"
    first = values(folder / "alerts.jsonl")[0]
    (folder / "alerts.jsonl").write_text(json.dumps(first) + "\n")
    words = [alert["alert_id"], "ack", "--log", str(log), "--out", str(folder), "--received-at", WHEN]
    assert "has risen since" in act(*words, fails=UsageError)


def test_an_alert_that_is_not_there_is_a_usage_error(log: Path) -> None:
    assert "no alert begins with" in act("al_00000000", "ack", "--log", str(log), fails=UsageError)


def test_the_beginning_of_an_id_is_enough_and_too_little_of_it_is_not(log: Path) -> None:
    """A slip of one key must not write about another patient."""
    alert_id, before = alert_of(log)["alert_id"], log.read_bytes()
    assert "too short an id" in act(alert_id[:10], "ack", "--log", str(log), fails=UsageError)
    assert log.read_bytes() == before
    act(alert_id[:11], "ack", "--log", str(log), "--received-at", WHEN)
    assert log.read_bytes() != before


def test_an_archive_is_not_appended_to(log: Path) -> None:
    archive = write_lines(log.parent / "archive.jsonl", [header(1)])
    assert "archive" in act("al", "ack", "--log", str(archive), fails=UsageError)


def test_a_replay_without_its_log_says_what_is_missing(log: Path) -> None:
    assert "--log" in act("al", "ack", "--out", str(log.parent), fails=UsageError)


def test_a_folder_without_alerts_is_a_data_error(log: Path) -> None:
    words = ["al_00000000", "ack", "--out", str(log.parent), "--log", str(log)]
    assert "is not the alerts of a replay" in act(*words, fails=DataError)


def test_a_log_that_cannot_be_written_is_a_data_error(log: Path) -> None:
    alert_id = alert_of(log)["alert_id"]
    words = [alert_id, "ack", "--out", str(log.parent / "out"), "--to", "missing/folder/actions.jsonl"]
    assert "missing/folder" in act(*words, "--received-at", WHEN, fails=DataError)


# Kafka ------------------------------------------------------------------------------------------------------------


def test_without_a_log_the_alert_comes_from_kafka_and_the_action_goes_there(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed(log)
    revisions = values(log.parent / "out" / "alerts.jsonl")
    written: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(consumer, "read_alerts", lambda *_, **__: iter(revisions[::-1]))

    def write(records: list[tuple[bytes, bytes]], **where: Any) -> None:
        assert 0 <= where["shard_of"](records[0][0], 4) < 4
        written.extend(records)

    monkeypatch.setattr(publish, "publish", write)
    act(str(revisions[-1]["alert_id"]), "ack", "--received-at", WHEN)
    ((key, value),) = written
    sent = decode_event(value)
    assert isinstance(sent, AlertActed)
    assert (key, sent.seen_revision) == (PATIENT.encode(), 2)


@pytest.mark.parametrize(("culprit", "is_told"), [("imatinib", False), ("allopurinol", True)])
def test_whether_a_drug_that_the_alert_does_not_suspect_is_recorded_only_the_worker_knows(
    log: Path, monkeypatch: pytest.MonkeyPatch, culprit: str, *, is_told: bool
) -> None:
    alert = alert_of(log)
    monkeypatch.setattr(consumer, "read_alerts", lambda *_, **__: iter([alert]))
    monkeypatch.setattr(publish, "publish", lambda *_, **__: None)
    said = act(alert["alert_id"], "confirm", "--culprit", culprit, "--received-at", WHEN).stderr
    assert ("dlq list` shows it as action_unknown_drug" in said) is is_told


@pytest.mark.usefixtures("log")
def test_a_broker_that_is_not_there_is_one_line() -> None:
    said = act("al_00000001", "ack", "--bootstrap-servers", "127.0.0.1:1", fails=ConnectionFailed)
    assert "does not answer" in said


def test_the_published_key_of_the_demo_is_refused_for_another_host(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed(log)
    revisions = values(log.parent / "out" / "alerts.jsonl")
    monkeypatch.setattr(consumer, "read_alerts", lambda *_, **__: iter(revisions))
    monkeypatch.setenv("PV_STREAM_PSEUDONYM_KEY", "demo")
    words = [str(revisions[-1]["alert_id"]), "ack", "--bootstrap-servers", "kafka.example:9092"]
    assert "PV_STREAM_PSEUDONYM_KEY_FILE" in act(*words, fails=UsageError)
