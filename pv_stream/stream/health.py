"""Health over HTTP: /livez, /readyz and /metrics, answered by the event loop of the worker or listener itself.

A loop that is stuck does not answer, and that is the answer. Nothing here is about a patient, nothing can be changed
from here: it answers GET and HEAD of three paths, closes the connection, and reads no body.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

from pv_stream.settings import Settings
from pv_stream.stream.broker_watch import BrokerWatch
from pv_stream.stream.lag import FETCHED_SECONDS_MAX, Lag, LagWatch
from pv_stream.stream.membership import Membership
from pv_stream.stream.metrics import CONTENT_TYPE, WorkerMetrics
from pv_stream.stream.owner import ShardOwner
from pv_stream.stream.progress import Progress
from pv_stream.stream.shard_task import ShardTask
from pv_stream.stream.watchdog import Watchdog

REQUEST_BYTES_MAX: Final = 8 * 1024
REQUEST_SECONDS_MAX: Final = 5.0
CONNECTIONS_MAX: Final = 32
LOOK_SECONDS: Final = 1.0
_TEXT: Final = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """Hold what is answered to a request."""

    status: HTTPStatus
    body: bytes
    content_type: str = _TEXT


class Health(Protocol):
    """What is asked of whoever is healthy or not."""

    def why_not_live(self) -> str | None:
        """Return why it is about to end, or None while it lives."""

    def why_not_ready(self) -> str | None:
        """Return the first reason why it is not ready, or None when it is."""

    def metrics(self) -> bytes:
        """Return its metrics as they are now."""

    async def keep_looking(self) -> None:
        """Look again and again at what is not known from asking once."""


class WorkerHealth:
    """Say whether a worker lives and is ready, and what its metrics are made of."""

    def __init__(
        self,
        owner: ShardOwner,
        watch: BrokerWatch,
        watchdog: Watchdog,
        membership: Membership,
        settings: Settings,
    ) -> None:
        """Look at a worker."""
        self._owner = owner
        self._watch = watch
        self._ready_lag_seconds_max = settings.ready_lag_seconds_max
        self._lag_watch = LagWatch(owner)
        self._watchdog = watchdog
        self._membership = membership
        self._metrics = WorkerMetrics(self)
        self.stopping = False

    @property
    def progress(self) -> Progress:
        """Return what was done since the start."""
        return self._owner.progress

    @property
    def open_shards(self) -> Mapping[int, ShardTask]:
        """Return each open shard."""
        return self._owner.open_shards

    @property
    def shard_count(self) -> int:
        """Return how many shards the log has."""
        return self._membership.shard_count

    @property
    def assigned(self) -> frozenset[int] | None:
        """Return the shards that the group gave to this worker."""
        return self._owner.assigned

    @property
    def kafka_answers(self) -> bool:
        """Tell whether Kafka answered when it was last asked."""
        return not self._watch.gone

    def lags(self) -> Mapping[int, Lag]:
        """Return how far each open shard is behind."""
        return self._lag_watch.look()

    def why_not_live(self) -> str | None:
        """Return why the worker is about to end, or None while it lives."""
        verdict = self._watchdog.verdict
        return None if verdict is None else str(verdict)

    def why_not_ready(self) -> str | None:
        """Return the first reason why the worker is not ready, or None when it is."""
        if self.stopping:
            return "the worker is stopping"
        if self._watch.gone:
            return "Kafka does not answer"
        if self.assigned is None:
            return "the group has not given shards to this worker yet"
        if not self.assigned and self._membership.why_not_spare is not None:
            return self._membership.why_not_spare
        if closed := sorted(self.assigned - self.open_shards.keys()):
            return f"shard {closed[0]} is being opened ({len(closed)} of {len(self.assigned)} are)"
        reasons = (self._why_behind(shard, lag) for shard, lag in self.lags().items())
        return next((reason for reason in reasons if reason is not None), None)

    def _why_behind(self, shard: int, lag: Lag) -> str | None:
        if lag.oldest_seconds > self._ready_lag_seconds_max:
            return f"shard {shard}: its oldest unprocessed event is {lag.oldest_seconds:.0f} s old"
        if lag.records is None:
            return f"shard {shard}: nothing was fetched yet"
        if lag.unseen_seconds is not None and lag.unseen_seconds > FETCHED_SECONDS_MAX:
            return f"shard {shard}: nothing was fetched for {lag.unseen_seconds:.0f} s"
        return None

    def metrics(self) -> bytes:
        """Return the metrics as they are now."""
        return self._metrics.text()

    async def keep_looking(self) -> None:
        """Look every second, so that it is known since when a shard is behind."""
        while True:
            self.lags()
            await asyncio.sleep(LOOK_SECONDS)


class HealthServer:
    """Answer over HTTP."""

    def __init__(self, health: Health) -> None:
        """Prepare; nothing listens before `start`."""
        self._health = health
        self._connections = 0
        self._looking: asyncio.Task[None] | None = None

    async def start(self, *, host: str, port: int) -> asyncio.Server:
        """Listen until the server that is returned is closed. Raise OSError when the address cannot be had."""
        server = await asyncio.start_server(self._serve, host, port, limit=REQUEST_BYTES_MAX)
        self._looking = asyncio.create_task(self._health.keep_looking())
        return server

    def answer(self, method: str, path: str) -> Answer:
        """Return what is answered to a request."""
        if method not in {"GET", "HEAD"}:
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET\n")
        match path.partition("?")[0]:
            case "/livez":
                return _yes_unless(self._health.why_not_live())
            case "/readyz":
                return _yes_unless(self._health.why_not_live() or self._health.why_not_ready())
            case "/metrics":
                return Answer(HTTPStatus.OK, self._health.metrics(), CONTENT_TYPE)
            case _:
                return Answer(HTTPStatus.NOT_FOUND, b"/livez, /readyz or /metrics\n")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            # Whoever goes away, is silent or sends what is no request gets no answer; the worker goes on.
            with suppress(OSError, EOFError, ValueError, TimeoutError):
                async with asyncio.timeout(REQUEST_SECONDS_MAX):
                    if self._connections <= CONNECTIONS_MAX:
                        await self._converse(reader, writer)
        finally:
            self._connections -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, _version = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
        except (asyncio.LimitOverrunError, ValueError):
            method, path = "", ""
        answer = self.answer(method, path) if method else Answer(HTTPStatus.BAD_REQUEST, b"not a request\n")
        writer.write(_response(answer, with_body=method != "HEAD"))
        await writer.drain()


def _yes_unless(reason: str | None) -> Answer:
    if reason is None:
        return Answer(HTTPStatus.OK, b"ok\n")
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{reason}\n".encode())


def _response(answer: Answer, *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
        f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + (answer.body if with_body else b"")
