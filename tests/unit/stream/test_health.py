"""Health: live until the watchdog says otherwise, ready only with every shard open and no event waiting too long."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pv_stream.errors import EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.stream import health as health_module
from pv_stream.stream import worker
from pv_stream.stream.health import REQUEST_BYTES_MAX, HealthServer, WorkerHealth
from pv_stream.stream.lag import FETCHED_SECONDS_MAX, Lag
from pv_stream.stream.progress import Progress
from pv_stream.stream.watchdog import Watchdog

NO_LAG = Lag(0, 0.0, 0.0)


@dataclass
class FakeOwner:
    """Own shards 0 and 1, both open, unless told otherwise."""

    assigned: frozenset[int] | None = frozenset({0, 1})
    open_shards: dict[int, Any] = field(default_factory=lambda: {0: fake_shard(), 1: fake_shard()})
    progress: Progress = field(default_factory=Progress)

    def last_seen_end(self, shard: int) -> tuple[int, float] | None:
        raise NotImplementedError


def fake_shard() -> Any:
    return SimpleNamespace(next_position=7, waiting_records=0, fold=SimpleNamespace(patients=2, clock=None))


def health_of(
    owner: FakeOwner | None = None,
    *,
    lag: Lag = NO_LAG,
    kafka_gone: bool = False,
    verdict: EnvironmentBroken | None = None,
    unheld: str | None = None,
) -> WorkerHealth:
    """Return the health of a worker, all well unless told otherwise."""
    shards = owner or FakeOwner()
    health = WorkerHealth(
        cast("Any", shards),
        cast("Any", SimpleNamespace(gone=kafka_gone)),
        cast("Any", SimpleNamespace(verdict=verdict)),
        cast("Any", SimpleNamespace(why_not_spare=unheld, shard_count=2)),
        Settings(ready_lag_seconds_max=60),
    )
    cast("Any", health).lags = lambda: dict.fromkeys(shards.open_shards, lag)
    return health


def stopping(health: WorkerHealth) -> WorkerHealth:
    health.stopping = True
    return health


@pytest.mark.parametrize(
    ("health", "reason"),
    [
        pytest.param(health_of(), None, id="all open"),
        pytest.param(health_of(FakeOwner(frozenset(), {})), None, id="more workers than shards"),
        pytest.param(
            health_of(FakeOwner(frozenset(), {}), unheld="no worker has shard 0"),
            "no worker has shard 0",
            id="none was given, and nobody has them",
        ),
        pytest.param(health_of(unheld="no worker has shard 0"), None, id="who has shards works"),
        pytest.param(health_of(lag=Lag(9, 60.0, None)), None, id="lag at the bound"),
        pytest.param(health_of(lag=Lag(9, 61.0, None)), "shard 0: its oldest unprocessed event", id="lag"),
        pytest.param(health_of(lag=Lag(None, 0.0, None)), "shard 0: nothing was fetched yet", id="no fetch"),
        pytest.param(
            health_of(lag=Lag(0, 0.0, FETCHED_SECONDS_MAX + 1)),
            "nothing was fetched for 16 s",
            id="old fetch",
        ),
        pytest.param(health_of(FakeOwner(None, {})), "not given shards", id="joining"),
        pytest.param(
            health_of(FakeOwner(open_shards={0: fake_shard()})),
            "shard 1 is being opened (1 of 2",
            id="opening",
        ),
        pytest.param(health_of(kafka_gone=True), "Kafka does not answer", id="no Kafka"),
        pytest.param(stopping(health_of()), "stopping", id="stopping"),
    ],
)
def test_ready(health: WorkerHealth, reason: str | None) -> None:
    said = health.why_not_ready()
    assert (said is None) if reason is None else (said is not None and reason in said)
    assert health.why_not_live() is None


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/livez", HTTPStatus.OK, id="livez"),
        pytest.param("HEAD", "/readyz", HTTPStatus.OK, id="readyz"),
        pytest.param("GET", "/metrics?name=x", HTTPStatus.OK, id="metrics"),
        pytest.param("POST", "/livez", HTTPStatus.METHOD_NOT_ALLOWED, id="POST"),
        pytest.param("GET", "/", HTTPStatus.NOT_FOUND, id="another path"),
    ],
)
def test_paths(method: str, path: str, status: HTTPStatus) -> None:
    assert HealthServer(health_of()).answer(method, path).status is status


def test_a_worker_that_the_watchdog_ends_is_neither_live_nor_ready_and_says_why() -> None:
    watchdog = Watchdog(60, lambda: {"opening shard 1": 7})
    assert [watchdog.look(30), watchdog.look(30)] == [None, None]
    assert health_of(verdict=watchdog.verdict).why_not_live() is None
    watchdog.look(30)
    server = HealthServer(health_of(verdict=watchdog.verdict))
    for path in ("/livez", "/readyz"):
        answer = server.answer("GET", path)
        assert answer.status is HTTPStatus.SERVICE_UNAVAILABLE
        assert b"opening shard 1" in answer.body


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a request as long as a busy machine takes to send it."""
    monkeypatch.setattr(health_module, "REQUEST_SECONDS_MAX", 60.0)


def talk(request: bytes) -> bytes:
    """Send bytes to a server and return all that it answers."""

    async def scenario() -> bytes:
        listening = await HealthServer(health_of()).start(host="127.0.0.1", port=0)
        async with listening:
            port = listening.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            return answer

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("request_bytes", "begins"),
    [
        pytest.param(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK\r\n", id="a request"),
        pytest.param(b"\x16\x03\x01\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n", id="no request"),
        pytest.param(b"GET \xff HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n", id="no text"),
        pytest.param(b"GET /" + b"x" * 2 * REQUEST_BYTES_MAX, b"HTTP/1.1 400 Bad Request\r\n", id="too long"),
        pytest.param(b"GET /livez", b"", id="half a request"),
        pytest.param(b"", b"", id="nothing"),
    ],
)
def test_whatever_comes_gets_an_answer_or_none(request_bytes: bytes, begins: bytes) -> None:
    answer = talk(request_bytes)
    assert answer.startswith(begins)
    assert bool(answer) == bool(begins)


def test_a_head_request_gets_no_body() -> None:
    head, _, body = talk(b"HEAD /livez HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")
    assert b"Content-Length: 3" in head
    assert body == b""


def test_a_port_that_is_taken_is_one_line_and_the_worker_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(health_port=taken.getsockname()[1])
        asyncio.run(worker._serve_health(health_of(), settings))
    (line,) = caplog.messages
    assert "PV_STREAM_HEALTH_PORT" in line


def test_nothing_is_served_unless_a_port_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr(worker, "HealthServer", cast("Callable[..., Any]", never))
    asyncio.run(worker._serve_health(health_of(), Settings()))
