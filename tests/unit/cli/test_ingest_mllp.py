"""The command before it listens: a wrong call and a broker that is away are one line each."""

from pathlib import Path

import pytest

from tests.unit.cli.calling import pv_stream

#: Nothing listens on the port that this range reserves.
NOWHERE = "127.0.0.1:1"


def test_a_broker_that_is_away_is_one_line(tmp_path: Path) -> None:
    said = pv_stream("ingest-mllp", cwd=tmp_path, PV_STREAM_BOOTSTRAP_SERVERS=NOWHERE)
    assert said.returncode == 3
    assert said.stdout == ""
    (line,) = said.stderr.splitlines()
    assert NOWHERE in line
    assert "pv-stream kafka up" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--client-ca", "ca.pem"), "--tls-cert"),
        (("--tls-key", "key.pem"), "--tls-cert"),
        (("--tls-cert", "absent.pem"), "No such file"),
        (("--tls-cert", "text.pem"), "cannot be used"),
    ],
)
def test_certificates_that_cannot_serve_are_one_line(
    tmp_path: Path, words: tuple[str, ...], what: str
) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    said = pv_stream("ingest-mllp", *words, cwd=tmp_path, PV_STREAM_BOOTSTRAP_SERVERS=NOWHERE)
    assert said.returncode == 2
    (line,) = said.stderr.splitlines()
    assert what in line


@pytest.mark.parametrize(
    "words", [("--port", "70000"), ("--idle-timeout", "0"), ("--max-connections", "0"), ("--port", "mllp")]
)
def test_options_have_bounds(tmp_path: Path, words: tuple[str, ...]) -> None:
    said = pv_stream("ingest-mllp", *words, cwd=tmp_path, PV_STREAM_BOOTSTRAP_SERVERS=NOWHERE)
    assert said.returncode == 2
    assert words[0] in said.stderr
