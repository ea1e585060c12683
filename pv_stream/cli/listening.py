"""What the listening commands share: a desk that reads, TLS, lines for the operator, and how a listener ends."""

import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pv_stream.errors import UsageError

if TYPE_CHECKING:
    import asyncio
    import socket
    import ssl

    from pv_stream.ingest.listeners.desk import Desk
    from pv_stream.ingest.report import Report
    from pv_stream.settings import Settings
    from pv_stream.stream.durable_writer import DurableWriter
    from pv_stream.stream.listener_health import ListenerHealth

CertificateOption = Annotated[
    Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate (PEM), with its chain.")
]
KeyOption = Annotated[
    Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key, if not in the same file.")
]
ClientCaOption = Annotated[
    Path | None,
    typer.Option("--client-ca", metavar="FILE", help="Only clients with a certificate of this authority."),
]
RejectsOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Owner-only folder for refused and held messages.")
]
UtcOffsetOption = Annotated[
    str | None,
    typer.Option(metavar="+01:00", help="Offset of the facility, for times that state no zone."),
]
ServersOption = Annotated[
    str | None, typer.Option(help="Kafka brokers, host:port. [PV_STREAM_BOOTSTRAP_SERVERS]")
]

_CLOSING_SECONDS: Final = 8.0


def open_desk(settings: "Settings", rejects: Path | None, utc_offset: str | None) -> "Desk":
    """Return a desk that reads for Kafka, with its reject store made.

    Raise UsageError for a key or a folder that cannot serve.
    """
    from pv_stream.cli.ingest import (  # noqa: PLC0415 - `--help` must not pay for it
        REJECTS_NAME,
        check_key_for_kafka,
        is_loopback,
        present,
        utc_offset_minutes,
    )
    from pv_stream.ingest.intake import intake_of  # noqa: PLC0415
    from pv_stream.ingest.listeners.desk import Desk  # noqa: PLC0415
    from pv_stream.ingest.pseudonyms import choose_key  # noqa: PLC0415
    from pv_stream.ingest.rejects import RejectStore  # noqa: PLC0415
    from pv_stream.rulebooks import load_default  # noqa: PLC0415

    offset = utc_offset_minutes(utc_offset)
    key = choose_key(settings, may_make=is_loopback(settings.bootstrap_servers))
    check_key_for_kafka(key, settings)
    store = RejectStore(rejects or settings.state_dir / REJECTS_NAME)
    store.make_folder()
    if key.made_at is not None:
        say(f"made a pseudonym key: {key.made_at}. Keep it: all messages of one log need this key")
    intake = intake_of(settings, key.pseudonyms, load_default(), present(), utc_offset_minutes=offset)
    return Desk(intake, store, settings.record_bytes_max, present)


def introduce(desk: "Desk") -> None:
    """Say which key makes the pseudonyms, and where refused and held messages are kept."""
    key_id = desk.intake.pseudonyms.key_id
    say(f"pseudonym key id {key_id}; refused and held messages: {desk.store.folder} (yours alone to read)")


def tls_context(
    certificate: Path | None, key: Path | None, client_ca: Path | None
) -> "ssl.SSLContext | None":
    """Return TLS 1.2 or newer, None without a certificate; with `client_ca` clients must have one of its.

    Raise UsageError when a file is missing or cannot be used.
    """
    import ssl  # noqa: PLC0415 - see above

    if certificate is None:
        if key is not None or client_ca is not None:
            message = "--tls-key and --client-ca need --tls-cert"
            raise UsageError(message)
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password of ours OpenSSL would ask the terminal for one.
        context.load_cert_chain(certificate, key, password="")
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        message = f"--tls-cert, --tls-key or --client-ca cannot be used: {error.strerror or error}"
        raise UsageError(message) from None
    return context


def say(line: str) -> None:
    """Write one line for the operator, with the time."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()


async def serve_while_writing(
    writer: "DurableWriter", serving: "asyncio.Task[None]", stop: Callable[[], None], *, seconds_max: float
) -> None:
    """Wait until a listener has stopped; a writer that cannot go on stops it, and its error is raised."""
    import asyncio  # noqa: PLC0415 - see above

    ended = asyncio.create_task(writer.ended())
    await asyncio.wait({ended, serving}, return_when=asyncio.FIRST_COMPLETED)
    if ended.done():
        stop()
        await asyncio.wait({serving}, timeout=seconds_max)
        await ended
    ended.cancel()
    await serving


@asynccontextmanager
async def looked_after(health: "ListenerHealth", settings: "Settings") -> AsyncIterator[None]:
    """Know whether Kafka answers, and serve health and metrics if they are wanted; it works without them, too."""
    import asyncio  # noqa: PLC0415 - see above

    from pv_stream.stream.health import HealthServer  # noqa: PLC0415

    server = None
    if port := settings.listener_health_port:
        try:
            server = await HealthServer(health).start(host=settings.health_host, port=port)
        except OSError as error:
            say(
                f"health and metrics are not served: {settings.health_host}:{port} cannot be had ({error.strerror}); "
                "give each listener on a host a PV_STREAM_LISTENER_HEALTH_PORT of its own"
            )
        else:
            say(f"health and metrics at http://{settings.health_host}:{port}/")
    looking = asyncio.create_task(health.keep_looking()) if server is None else None
    try:
        yield
    finally:
        if server is not None:
            server.close()
        if looking is not None:
            looking.cancel()


@asynccontextmanager
async def telling(desk: "Desk", settings: "Settings", name: str) -> AsyncIterator[None]:
    """Tell Kafka of what is refused, beside the work."""
    import asyncio  # noqa: PLC0415 - see above
    from contextlib import suppress  # noqa: PLC0415

    from pv_stream.ingest.announcing import Announcements  # noqa: PLC0415
    from pv_stream.stream.refusals import RefusalTeller  # noqa: PLC0415

    teller = RefusalTeller(settings, Announcements(desk.store, name).next, say)
    task = asyncio.create_task(teller.keep_telling())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def serving_seconds(settings: "Settings") -> float:
    """Return how long a stop may wait for what is in work: the rest belongs to the writer, which closes last."""
    return max(1.0, settings.shutdown_timeout_seconds - _CLOSING_SECONDS)


def address_of(listening: "socket.socket") -> str:
    """Return host and port of a socket as they stand in a URL."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def summary(report: "Report") -> str:
    """Return what a listener did, in one line."""
    value = report.value()
    messages = value["messages"]
    counts = {name: messages[name] for name in ("accepted", "held", "rejected")}
    why = {**value["held"], **value["rejected"], **value["entries_rejected"]}
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    codes = f" ({', '.join(f'{count:,} {code}' for code, count in sorted(why.items()))})" if why else ""
    return f"{messages['read']:,} messages: {told}{codes}"
