"""`pv-stream ingest-mllp`: take HL7v2 messages in over MLLP, and acknowledge after they are durably in Kafka."""

from typing import TYPE_CHECKING, Annotated, Final

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
from pv_stream.stream import require_client

if TYPE_CHECKING:
    import socket
    import ssl

    from pv_stream.ingest.listeners.desk import Desk
    from pv_stream.ingest.listeners.mllp import MllpLimits, MllpListener
    from pv_stream.settings import Settings

require_client("aiokafka")

REPORT_SECONDS: Final = 60.0


def command(  # noqa: PLR0913 - one parameter for each option of the command
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: any free one.", min=0, max=65535)] = 2575,
    name: Annotated[
        str, typer.Option(help="Name of this listener: each that runs needs its own.")
    ] = "ingest-mllp",
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    client_ca: ClientCaOption = None,
    idle_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Silence after which a connection is closed.", min=1)
    ] = 3600.0,
    max_connections: Annotated[
        int, typer.Option(help="Connections at a time; more are refused.", min=1, max=10_000)
    ] = 100,
    rejects: RejectsOption = None,
    utc_offset: UtcOffsetOption = None,
    bootstrap_servers: ServersOption = None,
) -> None:
    """Take HL7v2 messages in over MLLP, and acknowledge them after their events are durably in Kafka.

    AA: written (or held for review); AE: send it again later; AR: refused, its bytes are kept. SIGTERM or Ctrl-C
    stops it after what is in work.
    """
    import asyncio  # noqa: PLC0415 - `--help` must not pay for it

    from pv_stream.settings import load_settings  # noqa: PLC0415
    from pv_stream.stream.connection import require_broker  # noqa: PLC0415

    settings = load_settings(bootstrap_servers=bootstrap_servers)
    tls = tls_context(tls_cert, tls_key, client_ca)
    require_broker(settings)

    from pv_stream.ingest.listeners.desk import listening_socket  # noqa: PLC0415 - a broker that is away is said before
    from pv_stream.ingest.listeners.mllp import MllpLimits  # noqa: PLC0415

    desk = open_desk(settings, rejects, utc_offset)
    limits = MllpLimits(connections_max=max_connections, idle_seconds_max=idle_timeout)
    with listening_socket(host, port) as listening:
        asyncio.run(_serve(settings, name, desk, listening, tls, limits))
    say(f"stopped: {summary(desk.report)}")


async def _serve(  # noqa: PLR0913 - all that was chosen
    settings: "Settings",
    name: str,
    desk: "Desk",
    listening: "socket.socket",
    tls: "ssl.SSLContext | None",
    limits: "MllpLimits",
) -> None:
    import asyncio  # noqa: PLC0415 - see above
    import signal  # noqa: PLC0415

    from pv_stream.ingest.listeners.mllp import MllpListener  # noqa: PLC0415
    from pv_stream.stream.durable_writer import DurableWriter  # noqa: PLC0415
    from pv_stream.stream.listener_health import Answers, ListenerHealth  # noqa: PLC0415

    answers = Answers()
    stop_seconds_max = serving_seconds(settings)
    async with DurableWriter(settings, name=name, say=say) as writer:
        listener = MllpListener(desk, writer, say=say, limits=limits, on_answer=answers.add)
        health = ListenerHealth(
            settings, listening=listener, writing=writer, counted=desk.report, answers=answers
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, listener.stop)
        serving = asyncio.create_task(listener.serve(listening, tls=tls, stop_seconds_max=stop_seconds_max))
        reporting = asyncio.create_task(_report(desk, listener))
        introduce(desk)
        _say_where(listening, tls)
        try:
            async with looked_after(health, settings), telling(desk, settings, name):
                await serve_while_writing(writer, serving, listener.stop, seconds_max=stop_seconds_max)
        finally:
            reporting.cancel()
            say(listener.line())


async def _report(desk: "Desk", listener: "MllpListener") -> None:
    """Say once a minute what was done, when something was."""
    import asyncio  # noqa: PLC0415 - see above

    told = listener.line()
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        if (line := listener.line()) != told:
            told = line
            say(f"{line}; {summary(desk.report)}")


def _say_where(listening: "socket.socket", tls: "ssl.SSLContext | None") -> None:
    import ssl  # noqa: PLC0415 - see above

    from pv_stream.cli.ingest import is_loopback  # noqa: PLC0415

    place = address_of(listening)
    if not is_loopback(place):
        if tls is None:
            say(
                "without TLS messages can be read on their way: name --tls-cert, or put a TLS proxy before it"
            )
        if tls is None or tls.verify_mode is not ssl.CERT_REQUIRED:
            say("whoever reaches this port can send: name --client-ca, or let a firewall choose")
    say(f"listening for MLLP{' over TLS' if tls else ''} on {place}")
