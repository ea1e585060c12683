"""Serving HTTP/1.1: uvicorn, with the deadlines that it lacks, bounded connections, and a stop that keeps its word.

uvicorn waits for ever for the head of a request and for a client that does not read its answer. Its own log is
silent here: a path or a header may name a patient.
"""

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from pv_stream.ingest.listeners.desk import BACKLOG

#: The head of a request must have come within this time, and an answer must have been read.
HEAD_SECONDS_MAX: Final = 10.0
ANSWER_SECONDS_MAX: Final = 30.0
HEAD_BYTES_MAX: Final = 16 * 1024
IDLE_SECONDS_MAX: Final = 15
CONNECTIONS_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Say how to serve: with which certificates, and how long a stop may take.

    `head_seconds_max` is the time for the head of a request, and for the handshake of TLS.
    """

    tls: ssl.SSLContext | None = None
    stop_seconds_max: float = 30.0
    head_seconds_max: float = HEAD_SECONDS_MAX
    connections_max: int = CONNECTIONS_MAX


class BoundedProtocol(H11Protocol):
    """One connection with deadlines: for each head of a request, and for each answer to be read."""

    def __init__(
        self, config: uvicorn.Config, state: ServerState, app_state: dict[str, Any], options: ServerOptions
    ) -> None:
        super().__init__(config, state, app_state)
        self._options = options
        self._head_deadline: asyncio.TimerHandle | None = None
        self._answer_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Wait for a head, or end at once when there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > self._options.connections_max:
            transport.abort()
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._head_arrived()
        self._answer_was_read()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; the deadline of a head stands until it is whole, whatever comes meanwhile."""
        super().data_received(data)
        # uvicorn has no cycle before the first request.
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._head_arrived()
        elif not self.transport.is_closing():
            self._await_head()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; in the middle of an answer only the end of the connection is left."""
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.abort()

    def pause_writing(self) -> None:
        """Wait for the client to read its answer, for a time."""
        super().pause_writing()
        self._answer_deadline = self.loop.call_later(ANSWER_SECONDS_MAX, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on writing."""
        self._answer_was_read()
        super().resume_writing()

    def _await_head(self) -> None:
        if self._head_deadline is None:
            self._head_deadline = self.loop.call_later(self._options.head_seconds_max, self.transport.abort)

    def _head_arrived(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _answer_was_read(self) -> None:
        if self._answer_deadline is not None:
            self._answer_deadline.cancel()
            self._answer_deadline = None


class Server(uvicorn.Server):
    """uvicorn's server; signals are ours, and a signal ends no process behind its back."""

    def __init__(self, config: uvicorn.Config, options: ServerOptions) -> None:
        super().__init__(config)
        self._options = options

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on sockets that are open, as uvicorn does, but with a deadline for the handshake of TLS."""
        config = self.config

        def connected() -> asyncio.Protocol:
            return BoundedProtocol(config, self.server_state, {}, self._options)

        self.servers = [
            await asyncio.get_running_loop().create_server(
                connected,
                sock=listening,
                ssl=config.ssl,
                backlog=config.backlog,
                ssl_handshake_timeout=None if config.ssl is None else self._options.head_seconds_max,
            )
            for listening in sockets or ()
        ]
        self.started = True

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return len(self.server_state.connections)

    @property
    def is_stopping(self) -> bool:
        """Tell whether no more is taken in."""
        return self.should_exit

    def stop(self) -> None:
        """Take no more connections, answer what is in work, then return from `serve`; twice: do not wait."""
        self.force_exit = self.should_exit
        self.should_exit = True


def make_server(app: ASGIApp, options: ServerOptions) -> Server:
    """Return a server for an app, with no log, no header that names it, and no trust in forwarding headers."""
    logging.getLogger("uvicorn").disabled = True
    for name in ("uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).disabled = True
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        timeout_keep_alive=IDLE_SECONDS_MAX,
        timeout_graceful_shutdown=max(1, int(options.stop_seconds_max)),
        ssl_context_factory=None if options.tls is None else _always(options.tls),
    )
    return Server(config, options)


def _always(tls: ssl.SSLContext) -> Callable[[uvicorn.Config, Callable[[], ssl.SSLContext]], ssl.SSLContext]:
    return lambda _config, _default: tls


async def serve_until_told(server: Server, listening: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is in work; a second signal ends at once."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.serve(sockets=[listening])
