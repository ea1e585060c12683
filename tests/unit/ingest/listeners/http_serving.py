"""A listener that really listens, on a loopback port, with a writer that keeps what it is given in memory."""

import asyncio
import http.client
import json
import logging
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fhir.resources.R4B import get_fhir_model_class

from pv_stream.ingest.intake import Intake
from pv_stream.ingest.listeners.desk import Desk, KeyedEvent, listening_socket
from pv_stream.ingest.listeners.http import HttpLimits, http_app
from pv_stream.ingest.listeners.http_server import Server, ServerOptions, make_server
from pv_stream.ingest.listeners.http_tokens import Tokens
from pv_stream.ingest.rejects import INDEX_NAME, RejectStore
from tests.unit.ingest.messages import observation

FHIR = "application/fhir+json"
HL7 = "application/hl7-v2"
#: One body may have so many bytes here, one message half of them.
BYTES_MAX = 64 * 1024
#: So long is waited for what must come; only what never comes takes as long.
PATIENCE_SECONDS = 60.0
#: No limit of time strikes a sender here, however busy the machine is: a test that is about one sets it.
LIMITS = HttpLimits(body_bytes_max=BYTES_MAX, body_seconds_max=PATIENCE_SECONDS)
OPTIONS = ServerOptions(stop_seconds_max=30, head_seconds_max=PATIENCE_SECONDS)
TOKEN = "a-token-of-the-tests-with-enough-letters"  # noqa: S105 - it opens nothing
OTHER_TOKEN = "another-token-of-the-tests-long-enough"  # noqa: S105 - as above


@dataclass
class Memory:
    """Keep what is written; wait or fail when told to."""

    messages: list[Sequence[KeyedEvent]] = field(default_factory=list)
    failure: Exception | None = None
    may_write: threading.Event = field(default_factory=threading.Event)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        self.may_write.set()

    def has_begun(self, writes: int = 1) -> bool:
        """Wait until so many writes have begun that were not waited for before."""
        return all(self.begun.acquire(timeout=PATIENCE_SECONDS) for _ in range(writes))

    def clear(self) -> None:
        """Forget what was written and begun."""
        self.messages.clear()
        self.begun = threading.Semaphore(0)

    async def write(self, events: Sequence[KeyedEvent]) -> None:
        self.begun.release()
        await asyncio.to_thread(self.may_write.wait, PATIENCE_SECONDS)
        if self.failure is not None:
            raise self.failure
        self.messages.append(events)

    @property
    def types(self) -> list[str]:
        """The types of all events written."""
        return [json.loads(value)["type"] for message in self.messages for _, value in message]


@dataclass(frozen=True)
class Said:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def outcome(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value

    @property
    def codes(self) -> list[str]:
        """Our own codes of the issues."""
        return [issue["details"]["text"] for issue in self.outcome["issue"]]

    @property
    def whole(self) -> str:
        """Everything that the client can see."""
        return f"{dict(self.headers)}{self.body.decode()}"


@dataclass
class Served:
    """A listener that runs in a thread, and everything that it says."""

    port: int
    server: Server
    desk: Desk
    memory: Memory
    lines: list[str]
    logged: list[str]
    ready: list[bool]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Said:
        """Send a request; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        ) as connection:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            received = {name.lower(): value for name, value in answer.getheaders()}
            return Said(answer.status, received, answer.read())

    def post(self, path: str, body: Any, content_type: str = FHIR, **headers: str) -> Said:
        return self.ask("POST", path, body, content_type=content_type, **headers)

    def raw(self, request: bytes, *, is_all: bool = True) -> bytes:
        """Send bytes as they are, end the sending if that is all, and return what comes back until the end."""
        with self.connect() as connection:
            connection.sendall(request)
            if is_all:
                connection.shutdown(socket.SHUT_WR)
            return received(connection)

    def kept(self) -> list[dict[str, Any]]:
        """The index of the reject store."""
        index = self.desk.store.folder / INDEX_NAME
        return [json.loads(line) for line in index.read_bytes().splitlines()] if index.exists() else []


def received(connection: socket.socket) -> bytes:
    """Everything until the other side ends the connection."""
    pieces = []
    try:
        while piece := connection.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


@contextmanager
def serving(
    intake: Intake,
    folder: Path,
    *,
    tokens: Tokens | None = None,
    limits: HttpLimits = LIMITS,
    options: ServerOptions = OPTIONS,
) -> Iterator[Served]:
    """Run a listener for a while."""
    lines: list[str] = []
    ready = [True]
    desk = Desk(intake, RejectStore(folder / "rejects"), BYTES_MAX // 2, lambda: intake.now)
    memory = Memory()
    with listening_socket("127.0.0.1", 0) as listening, logged() as records:
        started = threading.Event()
        servers: list[Server] = []

        async def serve() -> None:
            app = http_app(
                desk, memory, tokens=tokens, is_ready=lambda: ready[0], say=lines.append, limits=limits
            )
            servers.append(make_server(app, options))
            started.set()
            await servers[0].serve(sockets=[listening])

        port = listening.getsockname()[1]
        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        assert started.wait(PATIENCE_SECONDS)
        try:
            yield Served(port, servers[0], desk, memory, lines, records, ready)
        finally:
            memory.may_write.set()
            servers[0].should_exit = True
            thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


@contextmanager
def logged() -> Iterator[list[str]]:
    """Collect every line that any library logs, at any level."""
    records: list[str] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(self.format(record))

    handler, root = Collecting(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield records
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


#: The FHIR R4 value set issue-type.
ISSUE_TYPES = {
    "invalid",
    "structure",
    "required",
    "value",
    "invariant",
    "security",
    "login",
    "unknown",
    "expired",
    "forbidden",
    "suppressed",
    "processing",
    "not-supported",
    "duplicate",
    "multiple-matches",
    "not-found",
    "deleted",
    "too-long",
    "code-invalid",
    "extension",
    "too-costly",
    "business-rule",
    "conflict",
    "transient",
    "lock-error",
    "no-store",
    "exception",
    "timeout",
    "incomplete",
    "throttled",
    "informational",
}


_number = iter(range(1, 1_000_000))


def fresh(**changes: Any) -> dict[str, Any]:
    """An observation that no other test sends."""
    return observation(id=f"o{next(_number)}", **changes)


def is_outcome(said: Said) -> bool:
    """Ask another implementation of FHIR whether this is an OperationOutcome."""
    assert said.headers["content-type"] == "application/fhir+json"
    get_fhir_model_class("OperationOutcome").model_validate_json(said.body)
    return {issue["code"] for issue in said.outcome["issue"]} <= ISSUE_TYPES
