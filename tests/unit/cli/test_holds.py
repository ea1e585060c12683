"""Held values from the command line: listed, shown, confirmed or discarded; refused with what to do."""

import json
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import pytest
from typer.testing import CliRunner

from pv_stream.audit.replay import replay
from pv_stream.cli import holds as command
from pv_stream.cli import main as entry
from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.codes import Analyte, ExposureKind, HoldCode, ReviewReason
from pv_stream.domain.events import Event, FactArrived
from pv_stream.domain.facts import Exposure, Held, Measurement, Retracted
from pv_stream.domain.times import exactly, format_instant
from pv_stream.errors import ConnectionFailed, PvStreamError, UsageError
from pv_stream.ingest.intake import digest_of
from pv_stream.ingest.outcomes import Hold
from pv_stream.ingest.rejects import Position, RejectStore
from pv_stream.ingest.sources import Record
from pv_stream.stream import publish, reading
from pv_stream.stream.reading import TopicRecord
from tests.builders import (
    at,
    corrected,
    dose,
    eosinophils,
    event,
    measured,
    retracted,
    reviewed,
    with_patient,
)
from tests.merging import merge, separated
from tests.unit.audit.logs import header, plan_of, values, write_lines

WHEN = format_instant(at(21))
CANARY = "Quixwell"
MESSAGE = (
    b"MSH|^~\\&|LAB|H|||20260121||ORU^R01|1|P|2.5\rPID|||7||Quixwell^Ada\rOBR|1\r"
    b"OBX|1|NM|711-2^Eosinophils^LN||1.6||||||F|||202601200800||Quixwell\r"
)
DIGEST = digest_of(MESSAGE)


def _sent(content: Held, key: str = "lab:1") -> FactArrived:
    """Return a held value that stands in the message above."""
    first = event(content, at(20), key=key)
    source = replace(first.version.provenance, message_digest=DIGEST, path="OBR[1]/OBX[1]")
    return replace(first, version=replace(first.version, provenance=source))


WAITS = _sent(Held(HoldCode.MISSING_UNIT, digest_of(b"1.6"), Analyte.EOSINOPHILS, "tube-1"))
DRUG = Exposure(ExposureKind.ADMINISTRATION, ("phenytoin",))
UNTIMED = _sent(Held(HoldCode.MISSING_TIME, digest_of(b"drug"), said=DRUG), "drug:1")
CONFIRM = ["--value", "1.6", "--unit", "10*3/uL", "--reason", "confirmed_by_sender"]
DISCARD = ["--discard", "--reason", "not_this_patient"]


def _log(folder: Path, events: Iterable[Event]) -> Path:
    return write_lines(folder / "events.jsonl", map(encode_event, events))


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a log with one held value, in the folder where the command is called."""
    monkeypatch.chdir(tmp_path)
    return _log(tmp_path, (dose("imatinib", at(0)), WAITS))


def holds(*words: str, fails: type[PvStreamError] | None = None) -> Any:
    """Call the command; return what it printed, or the error that it ends with."""
    result = CliRunner().invoke(entry.app, ["holds", *words], env={"COLUMNS": "140", "USER": "quixwell"})
    if fails is None:
        assert result.exit_code == 0, (result.output, result.exception)
        return result
    assert isinstance(result.exception, fails), (result.output, result.exception)
    return str(result.exception)


def listed(log: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(holds("list", "--log", str(log), "--json").stdout)
    return found


def the_hold(log: Path) -> str:
    (found,) = listed(log)
    return str(found["hold_id"])


def resolve(log: Path, *words: str, fails: type[PvStreamError] | None = None) -> Any:
    when = [] if "--received-at" in words else ["--received-at", WHEN]
    return holds("resolve", the_hold(log), *words, "--log", str(log), *when, fails=fails)


def last_event(log: Path) -> FactArrived:
    found = decode_event(log.read_bytes().splitlines()[-1])
    assert isinstance(found, FactArrived)
    return found


# Listed -----------------------------------------------------------------------------------------------------------


def test_what_is_held_is_listed_with_what_it_is_why_and_since_when(log: Path) -> None:
    result = holds("list", "--log", str(log))
    assert "patient-1  eosinophils  missing unit  2026-01-21 08:00 UTC" in " ".join(result.stdout.split("\n"))
    assert "1 held, of 1 patient" in result.stderr
    assert f"holds show {the_hold(log)[:13]} --log {log}" in result.stderr


def test_the_list_as_json_never_holds_the_value(log: Path) -> None:
    (found,) = listed(log)
    assert (found["subject"], found["code"]) == ("eosinophils", "missing_unit")
    assert found["source"]["message_digest"] == DIGEST
    assert "1.6" not in json.dumps(found)


@pytest.mark.parametrize(
    "later",
    [
        (corrected(WAITS, eosinophils(160, at(20)).version.statement.content),),
        (retracted(WAITS),),
        (reviewed(WAITS, Retracted()),),
        (reviewed(WAITS, eosinophils(1600, at(20)).version.statement.content),),
    ],
    ids=["corrected", "retracted", "discarded", "confirmed"],
)
def test_what_was_settled_is_not_listed_in_any_order(tmp_path: Path, later: tuple[FactArrived, ...]) -> None:
    assert listed(_log(tmp_path, (WAITS, *later))) == []
    assert listed(_log(tmp_path, (*later, WAITS))) == []


def test_a_value_that_the_engine_holds_is_listed_too_and_the_longest_waiting_comes_first(
    tmp_path: Path,
) -> None:
    negative = measured(Analyte.ALT, -1, at(3))
    found = listed(_log(tmp_path, (UNTIMED, negative)))
    assert [(each["subject"], each["code"]) for each in found] == [
        ("alt", "out_of_range"),
        ("phenytoin", "missing_time"),
    ]


def test_a_value_of_a_merged_record_is_listed_under_the_survivor_until_that_corrects_it(
    tmp_path: Path,
) -> None:
    merged = (WAITS, *merge("patient-1", "patient-2", at(21)))
    (found,) = listed(_log(tmp_path, merged))
    assert (found["patient_id"], found["current_patient_id"]) == ("patient-1", "patient-2")
    right = with_patient(corrected(WAITS, eosinophils(160, at(20)).version.statement.content), "patient-2")
    assert listed(_log(tmp_path, (*merged, right))) == []
    (again,) = listed(_log(tmp_path, (*merged, right, separated("patient-1", "patient-2", at(22)))))
    assert again["current_patient_id"] == "patient-1"


# Shown ------------------------------------------------------------------------------------------------------------


def _store(folder: Path) -> RejectStore:
    store = RejectStore(folder / ".pv-stream" / "rejects")
    record = Record(MESSAGE, 1, 0, len(MESSAGE))
    store.keep(Position(1, record), DIGEST, [Hold(HoldCode.MISSING_UNIT, "OBR[1]/OBX[1]", digest_of(b"1.6"))])
    return store


def test_a_hold_is_shown_with_what_to_state_and_the_value_only_on_a_terminal(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _store(log.parent)
    piped = holds("show", the_hold(log)[:13], "--log", str(log))
    assert "sent without a unit (missing_unit)" in piped.stderr
    assert "--value 2.1 --unit '10*3/uL' --reason checked_in_source" in piped.stderr
    assert "shown on a terminal only" in piped.stderr
    assert "1.6" not in piped.output

    monkeypatch.setattr(command, "is_terminal", lambda: True)
    shown = holds("show", the_hold(log), "--log", str(log))
    assert "OBX-5 value: 1.6" in shown.stdout
    assert "OBX-14 observed at: 202601200800" in shown.stdout
    assert CANARY not in shown.output


def test_without_its_message_a_hold_is_shown_without_its_value(log: Path) -> None:
    assert "look the value up in its source" in holds("show", the_hold(log), "--log", str(log)).stderr
    said = json.loads(holds("show", the_hold(log), "--log", str(log), "--json").stdout)
    assert said["asks_for"] == ["value", "unit"]


# Settled ----------------------------------------------------------------------------------------------------------


def test_a_confirmed_value_is_converted_appended_and_raises_what_it_must(log: Path) -> None:
    before = log.read_bytes()
    said = resolve(log, *CONFIRM).stderr
    assert log.read_bytes().startswith(before)
    assert "confirmed by actor_" in said
    assert f"replay {log} --out events-replay" in said
    assert "uixwell" not in said + log.read_text()

    version = last_event(log).version
    assert version.order.reviewed_at == version.provenance.received_at
    content = version.statement.content
    assert isinstance(content, Measurement)
    assert (content.value, content.specimen) == (Decimal(1600), "tube-1")
    assert version.statement.effective == WAITS.version.statement.effective
    assert version.provenance.message_digest == DIGEST
    assert version.provenance.review is not None
    assert version.provenance.review.reason is ReviewReason.CONFIRMED_BY_SENDER

    replay(plan_of(log), log.parent / "out")
    alerts = values(log.parent / "out" / "alerts.jsonl")
    assert {(alert["kind"], alert["status"]) for alert in alerts} == {
        ("data_review", "raised"),
        ("data_review", "closed"),
        ("suspected_dress", "raised"),
    }
    assert listed(log) == []


def test_a_discarded_value_counts_for_nothing(log: Path) -> None:
    said = json.loads(resolve(log, *DISCARD, "--json").stdout)
    assert said["decision"] == json.loads(log.read_bytes().splitlines()[-1])
    assert said["decision"]["resolution"] is None
    assert said["written_to"] == str(log)
    assert listed(log) == []


def test_of_what_had_no_time_only_the_time_is_asked(log: Path) -> None:
    _log(log.parent, (UNTIMED,))
    resolve(log, "--time", "2026-01-02T09:00:00+01:00", "--reason", "checked_in_source")
    statement = last_event(log).version.statement
    assert statement.content == DRUG
    assert statement.effective == exactly(at(1, 8)) or statement.effective.earliest == at(1, 8)
    assert statement.utc_offset_minutes == 60


def test_a_value_whose_time_is_vague_stands_in_an_interval(log: Path) -> None:
    resolve(log, *CONFIRM, "--time", "2026-01-20", "--utc-offset", "+00:00")
    effective = last_event(log).version.statement.effective
    assert (effective.earliest, effective.latest) == (at(19, 0), at(20, 0) - 1)


def test_what_cannot_be_is_refused_unless_it_is_known_to_be_true(log: Path) -> None:
    words = ["--value", "0.9", "--unit", "/uL", "--reason", "checked_in_source"]
    before = log.read_bytes()
    assert "--even-if-implausible" in resolve(log, *words, fails=UsageError)
    assert log.read_bytes() == before
    resolve(log, *words, "--even-if-implausible")
    assert listed(log) == []


@pytest.mark.parametrize(
    ("words", "what_to_do"),
    [
        (["--reason", "checked_in_source"], "--value and --unit"),
        (["--value", "1.6", "--reason", "checked_in_source"], "--unit"),
        (["--value", "1,6", "--unit", "/uL", "--reason", "checked_in_source"], "a number such as 2.1"),
        (["--value", "1.6", "--unit", "mg/dL", "--reason", "checked_in_source"], "kept in /uL"),
        (["--value", "1.6", "--unit", "10*3/uL"], "checked_in_source"),
        (["--value", "1.6", "--unit", "10*3/uL", "--reason", "not_this_patient"], "checked_in_source"),
        (["--discard"], "not_this_patient"),
        ([*DISCARD, "--value", "1.6"], "--discard leaves nothing to state"),
        ([*CONFIRM, "--time", "yesterday"], "2026-03-02T08:10:00+01:00"),
        ([*CONFIRM, "--time", "2026-01-20", "--utc-offset", "east"], "--utc-offset"),
        ([*CONFIRM, "--time", "2026-02-20T08:00:00Z", "--even-if-implausible"], "time_in_future"),
        ([*CONFIRM, "--by", " "], "--by"),
        ([*CONFIRM, "--to", ""], "--to"),
        ([*CONFIRM, "--received-at", "2999-01-01T00:00:00Z"], "in the future"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    log: Path, words: list[str], what_to_do: str
) -> None:
    before = log.read_bytes()
    assert what_to_do in resolve(log, *words, fails=UsageError)
    assert log.read_bytes() == before


def test_what_was_read_of_nothing_can_only_be_discarded(log: Path) -> None:
    _log(log.parent, (_sent(Held(HoldCode.MISSING_TIME, digest_of(b"x"))),))
    assert "discard it" in resolve(log, *CONFIRM, fails=UsageError)
    resolve(log, *DISCARD)


def test_a_hold_that_is_not_there_or_not_the_only_one_is_a_usage_error(log: Path) -> None:
    assert "holds list" in holds("show", "hold_nothing", "--log", str(log), fails=UsageError)
    _log(log.parent, (WAITS, UNTIMED))
    assert "beginning of several" in holds("show", "hold_", "--log", str(log), fails=UsageError)


def test_too_little_of_an_id_resolves_nothing(log: Path) -> None:
    before = log.read_bytes()
    assert "too short an id" in holds("resolve", "hold_", *DISCARD, "--log", str(log), fails=UsageError)
    assert log.read_bytes() == before


def test_an_archive_is_read_but_not_appended_to(log: Path) -> None:
    archive = write_lines(log.parent / "archive.jsonl", [header(1)])
    assert listed(archive) == []
    words = ["resolve", "hold_00000000", *DISCARD, "--log", str(archive)]
    assert "archive" in holds(*words, fails=UsageError)


# Kafka ------------------------------------------------------------------------------------------------------------


class _Reader:
    """Stand for a reader of the live log."""

    def __init__(self, *_: object, **__: object) -> None:
        self.values = [encode_event(dose("imatinib", at(0))), b"poison", encode_event(WAITS)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def records(self, _topic: str) -> Iterable[TopicRecord]:
        return (TopicRecord(0, at, b"patient-1", value) for at, value in enumerate(self.values))


@pytest.mark.usefixtures("log")
def test_without_a_log_the_hold_comes_from_kafka_and_the_decision_goes_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(reading, "TopicReader", _Reader)
    monkeypatch.setattr(publish, "publish", lambda records, **_: written.extend(records))
    (found,) = json.loads(holds("list", "--from", "kafka", "--json").stdout)
    said = holds("resolve", found["hold_id"], *DISCARD, "--received-at", WHEN)
    ((key, value),) = written
    decided = decode_event(value)
    assert isinstance(decided, FactArrived)
    assert (key, decided.version.statement.content) == (b"patient-1", Retracted())
    assert "Written to kafka" in said.stderr


@pytest.mark.usefixtures("log")
def test_a_broker_that_is_not_there_is_one_line() -> None:
    assert "does not answer" in holds("list", "--bootstrap-servers", "127.0.0.1:1", fails=ConnectionFailed)


def test_two_logs_or_an_unknown_one_are_a_usage_error(log: Path) -> None:
    assert "name one" in holds("list", "--log", str(log), "--from", "kafka", fails=UsageError)
    assert "say kafka" in holds("list", "--from", "redis", fails=UsageError)
