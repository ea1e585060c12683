"""`pv-stream ingest-http`: take messages in over HTTP, and answer after they are durably in Kafka."""

from typing import TYPE_CHECKING, Annotated

import typer

from pv_stream.cli.listening import (
    CertificateOption,
    ClientCaOption,
    KeyOption,
    RejectsOption,
    ServersOption,
    UtcOffsetOption,
    address_of,
    introduce,
    looked_after,
    open_desk,
    say,
    serve_while_writing,
    serving_seconds,
    summary,
    telling,
    tls_context,
)
from pv_stream.errors import UsageError
from pv_stream.stream import require_client

if TYPE_CHECKING:
    import socket
    import ssl

    from pv_stream.ingest.listeners.desk import Desk
    from pv_stream.ingest.listeners.http_tokens import Tokens
    from pv_stream.settings import Settings

for _module in ("aiokafka", "starlette", "uvicorn"):
    require_client(_module)


def command(  # noqa: PLR0913 - one parameter for each option of the command
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: any free one.", min=0, max=65535)] = 8080,
    name: Annotated[
        str, typer.Option(help="Name of this listener: each that runs needs its own.")
    ] = "ingest-http",
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    client_ca: ClientCaOption = None,
    rejects: RejectsOption = None,
    utc_offset: UtcOffsetOption = None,
    bootstrap_servers: ServersOption = None,
    *,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Ask for no token: on this host only, for trying it out.")
    ] = False,
) -> None:
    """Take FHIR, HL7v2, E2B and openFDA in over HTTP, and answer after their events are durably in Kafka.

    Senders need a token of PV_STREAM_HTTP_TOKENS (or its _FILE). SIGTERM or Ctrl-C stops it after what is in work.
    """
    import asyncio  # noqa: PLC0415 - `--help` must not pay for it

    from pv_stream.ingest.listeners.desk import listening_socket  # noqa: PLC0415
    from pv_stream.settings import load_settings  # noqa: PLC0415

    settings = load_settings(bootstrap_servers=bootstrap_servers)
    tokens = _tokens(settings, host, no_auth=no_auth)
    tls = tls_context(tls_cert, tls_key, client_ca)
    desk = open_desk(settings, rejects, utc_offset)
    with listening_socket(host, port) as listening:
        asyncio.run(_serve(settings, name, desk, tokens, listening, tls))
    say(f"stopped: {summary(desk.report)}")


def _tokens(settings: "Settings", host: str, *, no_auth: bool) -> "Tokens | None":
    """Return who may send, or None for everybody, which must be said and is for this host only."""
    from pv_stream.cli.ingest import is_loopback  # noqa: PLC0415 - see above
    from pv_stream.ingest.listeners.http_tokens import Tokens  # noqa: PLC0415

    if settings.http_tokens is not None:
        if no_auth:
            message = "--no-auth contradicts PV_STREAM_HTTP_TOKENS: leave one of them out"
            raise UsageError(message)
        return Tokens(settings.http_tokens.get_secret_value())
    if not is_loopback(f"[{host}]:0"):
        message = f"without tokens anybody could send to {host}: name them in PV_STREAM_HTTP_TOKENS_FILE"
        raise UsageError(message)
    if not no_auth:
        message = (
            "no tokens: name them in PV_STREAM_HTTP_TOKENS_FILE, or say --no-auth to try it on this host"
        )
        raise UsageError(message)
    return None


async def _serve(  # noqa: PLR0913 - all that was chosen
    settings: "Settings",
    name: str,
    desk: "Desk",
    tokens: "Tokens | None",
    listening: "socket.socket",
    tls: "ssl.SSLContext | None",
) -> None:
    import asyncio  # noqa: PLC0415 - see above

    from pv_stream.ingest.listeners.http import HttpLimits, http_app  # noqa: PLC0415
    from pv_stream.ingest.listeners.http_server import ServerOptions, make_server, serve_until_told  # noqa: PLC0415
    from pv_stream.stream.durable_writer import DurableWriter  # noqa: PLC0415
    from pv_stream.stream.listener_health import Answers, ListenerHealth  # noqa: PLC0415

    stop_seconds_max = serving_seconds(settings)
    async with DurableWriter(settings, name=name, say=say) as writer:
        answers = Answers()
        app = http_app(
            desk,
            writer,
            tokens=tokens,
            is_ready=lambda: health.why_not_ready() is None,
            say=say,
            limits=HttpLimits(body_bytes_max=settings.http_body_bytes_max),
            on_answer=answers.add,
        )
        server = make_server(app, ServerOptions(tls=tls, stop_seconds_max=stop_seconds_max))
        health = ListenerHealth(
            settings, listening=server, writing=writer, counted=desk.report, answers=answers
        )
        serving = asyncio.create_task(serve_until_told(server, listening))
        introduce(desk)
        _say_where(listening, tokens, tls)
        async with looked_after(health, settings), telling(desk, settings, name):
            await serve_while_writing(writer, serving, server.stop, seconds_max=stop_seconds_max)


def _say_where(listening: "socket.socket", tokens: "Tokens | None", tls: "ssl.SSLContext | None") -> None:
    from pv_stream.cli.ingest import is_loopback  # noqa: PLC0415 - see above

    place = address_of(listening)
    if tokens is None:
        say("no token is asked: any program on this host can send")
    if tls is None and not is_loopback(place):
        say(
            "without TLS tokens and messages can be read on their way: name --tls-cert, or put a TLS proxy before it"
        )
    say(f"listening on http{'s' if tls else ''}://{place}")
