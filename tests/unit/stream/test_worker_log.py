"""What a worker says: every event has a line, says the fields of its line, and is documented."""

import ast
import json
import logging
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from pv_stream.stream import worker
from pv_stream.stream.worker_log import LINES, LIVE_LOGGER, JsonLines, Said, say, set_up_logging

ROOT = Path(__file__).parents[3]
STREAM = ROOT / "pv_stream" / "stream"


def calls() -> Iterator[tuple[str, str, set[str]]]:
    """Yield the place, the event and the fields of each call of `say` in the package."""
    for path in sorted(STREAM.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                fields = {each.arg for each in node.keywords if each.arg not in {None, "trace"}}
                for event in ast.walk(node.args[0]):
                    if isinstance(event, ast.Attribute) and ast.unparse(event.value) == "Said":
                        yield f"{path.name}:{node.lineno}", event.attr, {str(each) for each in fields}


def fields_of(event: Said) -> set[str]:
    named = {name for _, name, _, _ in string.Formatter().parse(LINES[event].sentence) if name}
    return named | set(LINES[event].also)


def test_every_event_is_said_with_the_fields_of_its_line() -> None:
    said = list(calls())
    wrong = [(place, event) for place, event, fields in said if fields != fields_of(Said[event])]
    assert wrong == []
    assert {event for _, event, _ in said} == {event.name for event in Said} == {each.name for each in LINES}


def test_nothing_of_the_live_worker_is_said_in_another_way() -> None:
    """A line without a name would have no place in the table, and nobody would have looked at what it holds."""
    others = [path.name for path in STREAM.rglob("*.py") if '"pv_stream.live"' in path.read_text()]
    assert others == ["worker_log.py"]


def test_the_document_names_every_event() -> None:
    document = (ROOT / "docs" / "operation.md").read_text()
    assert [event.value for event in Said if f"| {event.value} |" not in document] == []


def test_a_line_as_json_holds_name_fields_and_sentence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    say(Said.WORKER_ENDED, message="shard 2: fenced", exit_code=5)
    (record,) = caplog.records
    line = json.loads(JsonLines("worker-1").format(record))
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "error",
        "worker": "worker-1",
        "event": "worker_ended",
        "exit_code": 5,
        "message": "shard 2: fenced",
    }


@pytest.mark.parametrize(
    "log_format", [logging.Formatter("%(message)s"), JsonLines("w")], ids=["text", "json"]
)
def test_the_text_of_a_fault_is_not_said(
    log_format: logging.Formatter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a library or Python itself says of a record may quote it."""
    monkeypatch.setattr("os._exit", lambda _code: None)
    monkeypatch.setattr(worker, "_flush", lambda: None)
    caplog.set_level(logging.INFO)
    worker._end_at_once(ValueError("canary-name-smith"))
    said = "".join(map(log_format.format, caplog.records))
    assert "ValueError" in said
    assert "canary" not in said


@pytest.fixture
def root_logger() -> Iterator[None]:
    """Give the handlers and levels back as they were."""
    root, live = logging.getLogger(), logging.getLogger(LIVE_LOGGER)
    handlers, levels = root.handlers[:], (root.level, live.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    live.setLevel(levels[1])


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_libraries_are_quiet_unless_debug_is_asked_for(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for debug in (False, True):
        set_up_logging(worker="w", debug=debug, log_format="json" if log_format == "json" else "text")
        logging.getLogger("faust").warning("a library's line")
        say(Said.WORKER_STOPPED)
        said = capsys.readouterr().err
        assert ("a library's line" in said) is debug
        assert "stopped" in said
