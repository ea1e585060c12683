"""A broker that is down is one line that says what, where and what to do."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from pv_stream.errors import ConnectionFailed
from pv_stream.settings import Settings
from pv_stream.stream import connection, require_client
from pv_stream.stream.connection import answers, missing, require_broker, split_servers


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Listen, and never answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("127.0.0.1:9092", [("127.0.0.1", 9092)]),
        ("a:1, b:2", [("a", 1), ("b", 2)]),
        ("kafka", [("kafka", 9092)]),
        ("[::1]:9094", [("::1", 9094)]),
        ("", []),
    ],
    ids=["one", "two", "no-port", "ipv6", "none"],
)
def test_servers_are_split(text: str, servers: list[tuple[str, int]]) -> None:
    assert split_servers(text) == servers


def test_an_open_port_that_never_answers_is_no_broker(silent_port: int) -> None:
    assert not answers("127.0.0.1", silent_port, timeout_seconds=0.1)


def test_a_broker_that_is_down_is_named(silent_port: int) -> None:
    with pytest.raises(
        ConnectionFailed, match=rf"Kafka at 127\.0\.0\.1:{silent_port} does not answer: start one"
    ):
        require_broker(Settings(bootstrap_servers=f"127.0.0.1:{silent_port}"), timeout_seconds=0.2)


@pytest.mark.parametrize("servers", ["kafka:1", "kafka:1, kafka:2, kafka:3"])
def test_brokers_that_are_down_are_told_within_the_three_seconds_that_are_promised(
    servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes all the time that it is given, to be connected to and then to answer."""
    now = [0.0]

    def hang(*_: object, timeout_seconds: float) -> None:
        now[0] += 2 * timeout_seconds
        raise TimeoutError

    monkeypatch.setattr(connection, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(connection, "greet", hang)
    with pytest.raises(ConnectionFailed):
        require_broker(Settings(bootstrap_servers=servers))
    assert 0 < now[0] <= 3


def test_no_server_at_all_is_a_failure_too() -> None:
    with pytest.raises(ConnectionFailed):
        require_broker(Settings(bootstrap_servers=""), timeout_seconds=0.1)


def test_a_topic_that_is_not_shown_may_be_missing_or_hidden() -> None:
    """A broker says the same of both: only who logs in can be kept from seeing it."""
    alone = "the topic a does not exist; create what is missing with `pv-stream topics apply`"
    assert str(missing(["a"], Settings())) == alone
    assert str(missing(["a", "b"], Settings())).startswith("topics are missing: a, b; create")
    hidden = str(missing(["a"], Settings(sasl_username="consumer")))
    assert hidden.startswith(
        "the topic a does not exist, or consumer may not see it (`pv-stream topics acls`);"
    )


@pytest.mark.parametrize("imported", [False, True])
def test_a_client_that_is_there_is_required_without_a_word(*, imported: bool) -> None:
    source = "from pv_stream.stream import require_client; require_client('faust')"
    words = f"import faust; {source}" if imported else source
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0  # noqa: S603 - our own words


def test_a_client_that_is_missing_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_client'"):
        require_client("no_such_client")
