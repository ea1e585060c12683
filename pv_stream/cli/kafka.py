"""`pv-stream kafka`: a real Kafka for development, on plain Java, from jars that Maven resolves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from pv_stream.stream.kafka_dev.broker import BrokerStatus, LocalBroker

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Start and stop a local Kafka broker for development: loopback only, no security, one node.",
)

StateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", help="Where its data, log and configuration live. [.pv-stream/kafka]"),
]
PORT_DEFAULT: Final = 9092
Port = Annotated[int, typer.Option(help="Port on 127.0.0.1 that clients use.", min=1024, max=65535)]
ControllerPort = Annotated[
    int, typer.Option(help="Port on 127.0.0.1 of its controller.", min=1024, max=65535)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the status as JSON.")]


@app.command()
def up(
    state_dir: StateDir = None,
    port: Port = PORT_DEFAULT,
    controller_port: ControllerPort = 9093,
    *,
    as_json: AsJson = False,
) -> None:
    """Start the broker unless it runs, and return when it answers (needs Java 17 and Maven)."""
    found = _broker(state_dir, port, controller_port).up()
    _print(found, as_json=as_json)
    if port != PORT_DEFAULT:
        typer.echo(
            f"The other commands find it with: export PV_STREAM_BOOTSTRAP_SERVERS={found.bootstrap_servers}",
            err=True,
        )


@app.command()
def down(state_dir: StateDir = None, *, as_json: AsJson = False) -> None:
    """Stop the broker and keep its data."""
    _print(_broker(state_dir).down(), as_json=as_json)


@app.command()
def status(state_dir: StateDir = None, *, as_json: AsJson = False) -> None:
    """Say whether the broker runs; exit code 1 when it does not."""
    found = _broker(state_dir).status()
    _print(found, as_json=as_json)
    if not found.ready:
        raise typer.Exit(1)


def _broker(state_dir: Path | None, port: int = PORT_DEFAULT, controller_port: int = 9093) -> "LocalBroker":
    from pv_stream.settings import load_settings  # noqa: PLC0415 - `--help` must not pay for it
    from pv_stream.stream.kafka_dev.broker import LocalBroker  # noqa: PLC0415

    directory = state_dir or load_settings().state_dir / "kafka"
    return LocalBroker(directory, port=port, controller_port=controller_port)


def _print(found: "BrokerStatus", *, as_json: bool) -> None:
    if as_json:
        typer.echo(found.as_json())
    elif found.ready:
        typer.echo(
            f"Kafka answers at {found.bootstrap_servers} (process {found.pid}, files in {found.state_dir})"
        )
    elif found.running:
        typer.echo(f"Kafka is starting or stuck (process {found.pid}); see {found.state_dir}/broker.log")
    else:
        typer.echo(f"Kafka is not running (files in {found.state_dir}); start it with `pv-stream kafka up`")
