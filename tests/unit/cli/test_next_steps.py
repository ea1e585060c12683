"""What the commands of the topics say to do next: only what can be done as it is printed."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from pv_stream.cli.main import app
from pv_stream.stream import topics
from pv_stream.stream.topics import Action, Difference


@pytest.mark.parametrize(
    ("action", "is_told"), [(Action.CREATE, True), (Action.SET, True), (Action.REFUSE, False)]
)
def test_a_plan_that_is_refused_is_not_to_be_applied(
    action: Action,
    is_told: bool,  # noqa: FBT001 - a table
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = Difference("pv.state.v1", "partitions", "4", "8", action)
    monkeypatch.setattr(topics, "plan", lambda _settings: [row])

    result = CliRunner().invoke(app, ["topics", "plan"])

    assert result.exit_code == 1
    assert ("Next: pv-stream topics apply" in result.stdout) == is_told


@pytest.mark.parametrize(("topic", "is_told"), [("pv.clinical.events.v1", True), ("pv.alerts.v1", False)])
def test_only_an_archive_of_events_is_to_be_replayed(
    topic: str,
    is_told: bool,  # noqa: FBT001 - a table
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archived = SimpleNamespace(records=1, topic=topic, partitions=4)
    monkeypatch.setattr("pv_stream.stream.archive.archive", lambda *_, **__: archived)
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, ["archive", "--from", topic, "--out", "my log.jsonl"])

    assert result.exit_code == 0
    assert ("replay 'my log.jsonl' --out 'my log-replay'" in result.stderr) == is_told
