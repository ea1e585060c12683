"""The HTTP listener as an ASGI app: messages in by POST, an answer after they are durably written.

    POST /fhir, /fhir/{type}     FHIR R4 JSON: a Bundle, or one resource
    POST /hl7v2                  HL7v2 (ER7): a message, or a batch
    POST /e2b                    E2B(R3) or E2B(R2): safety reports, answered by their acknowledgement
    POST /openfda                openFDA drug/event JSON
    GET  /livez, /readyz         is the process there; can it write
    GET  /metadata               FHIR CapabilityStatement (/fhir/metadata as well)

A request passes the gate (its token, a free place), its body is read within its limits, the desk reads the message,
the writer makes its events durable, and only then it is answered. It knows nothing of Kafka: `EventWriter` does that.
What an answer says is in `http_answers` and `http_messages`; what is bounded where, in docs/listeners.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pv_stream.domain.times import format_instant
from pv_stream.errors import DataError, EnvironmentBroken, Unavailable
from pv_stream.ingest.fhir.reader import TYPES_READ
from pv_stream.ingest.fhir.resources import parse_json
from pv_stream.ingest.listeners.desk import Desk, EventWriter, KeyedEvent, place_of
from pv_stream.ingest.listeners.http_answers import (
    FHIR_JSON,
    Answer,
    Refusal,
    capability_statement,
    encoded,
    refusal,
)
from pv_stream.ingest.listeners.http_body import BodyLimits, media_type_of, read_body
from pv_stream.ingest.listeners.http_messages import ER7, XML, answer_to, read_messages
from pv_stream.ingest.listeners.http_repeats import Repeats, key_digest, request_digest
from pv_stream.ingest.listeners.http_tokens import Tokens
from pv_stream.ingest.sources import Format
from pv_stream.ingest.tables import fhir_resource_types

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
BODY_SECONDS_MAX: Final = 30.0
REQUESTS_MAX: Final = 64
_JSON: Final = "application/json"
#: Who may be asked without a token: nothing there says anything of a patient.
_OPEN_PATHS: Final = frozenset({"/livez", "/readyz", "/metadata", "/fhir/metadata"})
_OWNER: Final = "pv_stream.token"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bound the requests that are in work at once, and the bytes and the time of a body."""

    requests_max: int = REQUESTS_MAX
    body_bytes_max: int = BODY_BYTES_MAX
    body_seconds_max: float = BODY_SECONDS_MAX


@dataclass(frozen=True, slots=True)
class Address:
    """Say what is read at an address."""

    form: Format
    media_types: tuple[str, ...]


#: What is read where.
ADDRESSES: Final[Mapping[str, Address]] = {
    "/fhir": Address(Format.FHIR, (FHIR_JSON, _JSON)),
    "/fhir/{type:str}": Address(Format.FHIR, (FHIR_JSON, _JSON)),
    "/hl7v2": Address(Format.HL7V2, (ER7, "x-application/hl7-v2+er7")),
    "/openfda": Address(Format.OPENFDA, (_JSON,)),
    "/e2b": Address(Format.E2B, (XML, "text/xml")),
}


class Gate:
    """Let in who has a token of ours, and only so many at once."""

    def __init__(
        self,
        app: ASGIApp,
        tokens: Tokens | None,
        requests_max: int,
        on_answer: Callable[[str, float], None],
    ) -> None:
        """Stand before an app; without tokens everybody is let in."""
        self._app = app
        self._on_answer = on_answer
        self._tokens = tokens
        self._requests_max = requests_max
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it before anything of its body is read."""
        if scope["type"] != "http" or scope["path"] in _OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        began = asyncio.get_running_loop().time()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds = asyncio.get_running_loop().time() - began
                self._on_answer(str(message["status"]), seconds)
            await send(message)

        await self._let_in(scope, receive, send_counted)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        owner = self._owner(Headers(scope=scope).get("authorization"))
        if isinstance(owner, Refusal) or self._inside >= self._requests_max:
            refused = owner if isinstance(owner, Refusal) else Refusal.BUSY
            await _response(refusal(refused))(scope, receive, send)
            return
        scope[_OWNER] = owner
        self._inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1

    def _owner(self, authorization: str | None) -> bytes | Refusal:
        if self._tokens is None:
            return b""
        if authorization is None:
            return Refusal.TOKEN_MISSING
        return self._tokens.owner_of(authorization) or Refusal.TOKEN_UNKNOWN


class HttpListener:
    """Answer the requests of one process."""

    def __init__(
        self,
        desk: Desk,
        writer: EventWriter,
        *,
        is_ready: Callable[[], bool],
        limits: HttpLimits,
        say: Callable[[str], None],
    ) -> None:
        """Read with a desk and write with a writer; `say` takes one line for the operator."""
        self._desk = desk
        self._writer = writer
        self._is_ready = is_ready
        self._body_limits = BodyLimits(limits.body_bytes_max, limits.body_seconds_max)
        self._say = say
        self._repeats = Repeats()
        self._reading = asyncio.Lock()
        self._number = 0
        self._capabilities = capability_statement(TYPES_READ, since=format_instant(desk.clock()))

    def routes(self) -> list[Route]:
        """Return where is answered what."""
        taken = [Route(path, self._taking(address), methods=["POST"]) for path, address in ADDRESSES.items()]
        return [
            Route("/livez", self._livez),
            Route("/readyz", self._readyz),
            Route("/metadata", self._metadata),
            Route("/fhir/metadata", self._metadata),
            *taken,
        ]

    async def _livez(self, _request: Request) -> Response:
        return _response(Answer(200, encoded({"status": "alive"}), _JSON))

    async def _readyz(self, _request: Request) -> Response:
        if self._is_ready():
            return _response(Answer(200, encoded({"status": "ready"}), _JSON))
        return _response(Answer(503, encoded({"status": "Kafka does not answer"}), _JSON))

    async def _metadata(self, _request: Request) -> Response:
        return _response(Answer(200, self._capabilities))

    def _taking(self, address: Address) -> Callable[[Request], Awaitable[Response]]:
        async def take(request: Request) -> Response:
            try:
                return _response(await self._take(request, address))
            except Exception as error:  # noqa: BLE001 - a fault of ours is one answer and one line without content
                self._say(
                    f"a fault in pv_stream: {type(error).__name__} at {place_of(error)}; please report it"
                )
                return _response(refusal(Refusal.FAULT))

        return take

    async def _take(self, request: Request, address: Address) -> Answer:
        if media_type_of(request.headers) not in address.media_types:
            return refusal(Refusal.MEDIA_TYPE, ("accept-post", ", ".join(address.media_types)))
        stated = request.headers.get("idempotency-key")
        key = None if stated is None else key_digest(request.scope[_OWNER], stated)
        if isinstance(key, Refusal):
            return refusal(key)
        resource_type = request.path_params.get("type", "")
        if resource_type and resource_type not in fhir_resource_types():
            return refusal(Refusal.NOT_FOUND)
        body = await read_body(request.stream(), request.headers, self._body_limits)
        if isinstance(body, Refusal):
            return refusal(body)
        named = request_digest(address.form.encode(), resource_type.encode(), body)
        return await self._repeats.answer(named, key, lambda: self._write(address, resource_type, body))

    async def _write(self, address: Address, resource_type: str, content: bytes) -> Answer:
        """Read one body and answer after its events are durable."""
        async with self._reading:
            read = await asyncio.to_thread(self._read, address, resource_type, content)
        if isinstance(read, Refusal):
            return refusal(read)
        events, answer = read
        try:
            if events:
                await self._writer.write(events)
        except Unavailable:
            return refusal(Refusal.UNAVAILABLE)
        except EnvironmentBroken:
            return refusal(Refusal.OUTCOME_UNKNOWN)
        return answer

    def _read(
        self, address: Address, resource_type: str, content: bytes
    ) -> tuple[tuple[KeyedEvent, ...], Answer] | Refusal:
        """Return what is to be written, and what is to be answered then."""
        if resource_type and _type_of(content) not in {resource_type, None}:
            return Refusal.TYPE_DIFFERS
        self._number += 1
        try:
            body = read_messages(self._desk, address.form, content, self._number)
        except DataError as error:
            self._say(str(error))
            return Refusal.NOT_KEPT
        return body.events, answer_to(body, self._desk.clock())


def http_app(  # noqa: PLR0913 - what an app is made of; mostly by keyword
    desk: Desk,
    writer: EventWriter,
    *,
    tokens: Tokens | None,
    is_ready: Callable[[], bool],
    say: Callable[[str], None],
    limits: HttpLimits = HttpLimits(),
    on_answer: Callable[[str, float], None] = lambda _status, _seconds: None,
) -> ASGIApp:
    """Return the app; without tokens everybody may send, so that it must not leave this host.

    `on_answer` takes the status of each answer to a sender and the seconds since the head of its request.
    """
    listener = HttpListener(desk, writer, is_ready=is_ready, limits=limits, say=say)
    app = Starlette(
        routes=listener.routes(),
        exception_handlers={HTTPException: _no_such_place},
        middleware=[Middleware(Gate, tokens, limits.requests_max, on_answer)],
    )
    app.router.redirect_slashes = False  # a redirect would repeat the path, and a path may name a patient
    return app


async def _no_such_place(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == Refusal.METHOD_NOT_ALLOWED.value.status:
        return _response(refusal(Refusal.METHOD_NOT_ALLOWED, *(error.headers or {}).items()))
    return _response(refusal(Refusal.NOT_FOUND))


def _response(answer: Answer) -> Response:
    return Response(answer.content, answer.status, dict(answer.headers), answer.media_type)


def _type_of(body: bytes) -> str | None:
    """Return the resourceType that a body states, or None where the desk will say what is wrong with it."""
    try:
        root = parse_json(body)
    except ValueError:
        return None
    kind = root.get("resourceType") if isinstance(root, dict) else None
    return kind if isinstance(kind, str) else None
