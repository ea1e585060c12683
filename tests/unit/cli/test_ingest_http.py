"""The command: who may send where, and how it ends when it cannot begin."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pv_stream.cli.main import app
from pv_stream.errors import UsageError
from tests.unit.cli.calling import pv_stream

Refused = Callable[..., str]
TOKEN = "a-token-of-the-tests-with-enough-letters"  # noqa: S105 - it opens nothing
#: Nothing listens on the port that this range reserves.
NOWHERE = "127.0.0.1:1"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Call the command where it must be refused as called wrongly, and return the one line that it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PV_STREAM_PSEUDONYM_KEY", "a key of the tests")

    def call(*words: str, **environment: str) -> str:
        result = CliRunner().invoke(app, ["ingest-http", *words], env=environment)
        assert isinstance(result.exception, UsageError), result.output
        assert result.output == ""
        return str(result.exception)

    return call


def test_without_tokens_it_must_be_said(refused: Refused) -> None:
    assert "--no-auth" in refused()


@pytest.mark.parametrize("host", ["::", "hospital.example.org", "10.0.0.1", "127.0.0.1.example.org"])
def test_without_tokens_only_this_host_is_listened_to(refused: Refused, host: str) -> None:
    for words in ((), ("--no-auth",)):
        assert "PV_STREAM_HTTP_TOKENS_FILE" in refused("--host", host, *words)


def test_tokens_and_no_tokens_contradict_each_other(refused: Refused) -> None:
    assert "contradicts" in refused("--no-auth", PV_STREAM_HTTP_TOKENS=TOKEN)


def test_a_token_that_can_be_guessed_is_refused_and_not_repeated(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"{TOKEN}\nguess-me\n")
    said = refused(PV_STREAM_HTTP_TOKENS_FILE=str(tmp_path / "tokens"))
    assert "token 2" in said
    assert "guess-me" not in said
    assert TOKEN not in said


def test_a_port_that_is_taken_is_one_line(refused: Refused, taken: int) -> None:
    assert "in use" in refused("--no-auth", "--port", str(taken))


def test_a_folder_of_rejects_that_others_can_read_is_refused_before_anything_is_taken(
    refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    assert "others can read it" in refused("--no-auth", "--rejects", "open")


def test_a_broker_that_is_away_is_one_line(tmp_path: Path) -> None:
    said = pv_stream(
        *("ingest-http", "--no-auth", "--port", "0", "--bootstrap-servers", NOWHERE),
        cwd=tmp_path,
        PV_STREAM_PSEUDONYM_KEY="a key of the tests",
    )
    assert said.returncode == 3
    (line,) = said.stderr.splitlines()
    assert re.search(rf"Kafka at {NOWHERE} does not answer.*pv-stream kafka up", line)


def test_the_demos_key_is_refused_for_a_broker_elsewhere(refused: Refused) -> None:
    servers = "kafka.example.org:9092"
    assert "demo" in refused("--no-auth", "--bootstrap-servers", servers, PV_STREAM_PSEUDONYM_KEY="demo")
