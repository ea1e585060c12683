"""The worklist at a terminal: in words, no wider than it, and with the command that comes next."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pv_stream.cli import main as entry
from pv_stream.stream import consumer

OUTAGE = "Kafka at kafka:9092 does not answer any more"
ALERT = {
    "alert_id": "al_0123456789abcdef",
    "revision": 2,
    "kind": "suspected_dress",
    "status": "revised",
    "tier": "critical",
    "patient_id": "p-1",
    "as_of": "2026-11-21T11:11:29Z",
    "timeliness": "live",
    "reason": "eosinophils [high] and a rash " * 10,
}


@pytest.fixture(autouse=True)
def alerts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """Let the topic hold these alerts, with an outage while they are read."""
    held: list[dict[str, Any]] = [dict(ALERT)]

    def read(_settings: object, *, follow: bool, say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
        say(OUTAGE)
        yield from held
        if follow:
            raise KeyboardInterrupt

    monkeypatch.setattr(consumer, "read_alerts", read)
    monkeypatch.setattr("sys.argv", ["pv-stream"])
    monkeypatch.setattr("pv_stream.cli.terminal.program", lambda: "pv-stream")
    monkeypatch.chdir(tmp_path)
    return held


def call(*words: str, columns: int = 60) -> Any:
    result = CliRunner().invoke(entry.app, ["worklist", *words], env={"COLUMNS": str(columns)})
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize("how", [[], ["--follow"]], ids=["once", "follow"])
def test_an_alert_is_told_in_words_and_wrapped(how: list[str]) -> None:
    head, *reason, identifier = call(*how).stdout.splitlines()
    assert head == "CRITICAL 2026-11-21 11:11 UTC: suspected DRESS, revised, patient p-1"
    assert " ".join(" ".join(reason).split()) == ALERT["reason"].strip()  # type: ignore[attr-defined]
    assert all(line.startswith("    ") and len(line) <= 60 for line in reason)
    assert identifier == "    al_0123456789abcdef revision 2"


def test_text_is_no_wider_than_120() -> None:
    assert max(map(len, call(columns=300).stdout.splitlines())) <= 120


@pytest.mark.parametrize(
    ("kind", "words"),
    [("culprit_restart", "culprit restart"), ("data_review", "data review"), ("system", "system")],
)
def test_every_kind_has_words(alerts: list[dict[str, Any]], kind: str, words: str) -> None:
    alerts[0]["kind"] = kind
    assert f": {words}, revised" in call().stdout


def test_what_was_told_of_old_records_is_called_so(alerts: list[dict[str, Any]]) -> None:
    alerts[0]["timeliness"] = "retrospective"
    assert ": suspected DRESS, revised, retrospective, patient p-1" in call(columns=120).stdout
    alerts[0]["timeliness"] = "late"
    assert ": suspected DRESS, revised, patient p-1" in call(columns=120).stdout


@pytest.mark.parametrize("how", [[], ["--follow"]], ids=["once", "follow"])
def test_one_line_says_what_to_do_next(alerts: list[dict[str, Any]], how: list[str]) -> None:
    alerts.append(ALERT | {"alert_id": "al_fedcba9876543210", "tier": "info"})
    (line,) = (each for each in call(*how).stderr.splitlines() if each.startswith("Next:"))
    assert line == (
        "Next: pv-stream archive --out live-log.jsonl && pv-stream explain al_01234567 --log live-log.jsonl"
    )


def test_what_comes_next_reads_the_same_kafka_and_writes_over_nothing() -> None:
    Path("live-log.jsonl").touch()
    said = call("--bootstrap-servers", "kafka:9092").stderr
    assert "archive --out live-log-2.jsonl --bootstrap-servers kafka:9092 &&" in said


def test_json_is_the_record_and_nothing_is_suggested() -> None:
    result = call("--json")
    assert '"kind": "suspected_dress"' in result.stdout
    assert "Next:" not in result.stderr


def test_acknowledged_alerts_stand_apart_and_come_last(alerts: list[dict[str, Any]]) -> None:
    noted = {
        "by": "actor_7",
        "at": "2026-11-21T12:00:00Z",
        "tier": "critical",
        "override_reason": "will_monitor",
    }
    alerts[0]["acknowledged"] = noted
    alerts.append(ALERT | {"alert_id": "al_fedcba9876543210", "tier": "info", "acknowledged": None})
    result = call(columns=120)
    heads = [line for line in result.stdout.splitlines() if not line.startswith("    ")]
    assert [head.split()[0] for head in heads] == ["INFO", "Acknowledged,", "CRITICAL"]
    assert (
        "    overridden (will monitor) by actor_7 at critical, 2026-11-21 12:00 UTC"
        in result.stdout.splitlines()
    )
    assert "2 of 2 alerts stand, 1 of them acknowledged" in result.stderr
    assert "explain al_fedcba98" in result.stderr


def test_json_lists_the_acknowledged_alerts_last_and_nothing_else(alerts: list[dict[str, Any]]) -> None:
    alerts[0]["acknowledged"] = {"by": "actor_7"}
    alerts.append(ALERT | {"alert_id": "al_2", "tier": "info"})
    told = [json.loads(line)["alert_id"] for line in call("--json").stdout.splitlines()]
    assert told == ["al_2", "al_0123456789abcdef"]


def test_an_outage_is_said_on_stderr() -> None:
    result = call("--follow")
    assert OUTAGE in result.stderr
    assert OUTAGE not in result.stdout
