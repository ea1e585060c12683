"""`pv-stream topics`: what the topics are, what they should be, and making them so."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from pv_stream.stream import require_client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pv_stream.settings import Settings
    from pv_stream.stream.topics import Difference

require_client("kafka")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Plan and create the topics: partitions, retention, compaction, replication and message sizes.",
)

Servers = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", help="Kafka brokers, host:port. [PV_STREAM_BOOTSTRAP_SERVERS]"),
]
Partitions = Annotated[
    int | None, typer.Option("--partitions", min=1, help="Shards, fixed for the life of the log. [4]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the differences as JSON.")]


@app.command()
def plan(
    bootstrap_servers: Servers = None, partitions: Partitions = None, *, as_json: AsJson = False
) -> None:
    """Show what differs; exit code 1 when something does. Changes nothing."""
    from pv_stream.stream import topics  # noqa: PLC0415 - `--help` must not pay for it

    rows = topics.plan(_settings(bootstrap_servers, partitions))
    _print(rows, as_json=as_json)
    if any(row.action is not topics.Action.OK for row in rows):
        if not as_json and not any(row.action is topics.Action.REFUSE for row in rows):
            typer.echo("Next: pv-stream topics apply")
        raise typer.Exit(1)


@app.command()
def apply(
    bootstrap_servers: Servers = None, partitions: Partitions = None, *, as_json: AsJson = False
) -> None:
    """Create the topics that are missing and set what differs; a partition count is never changed."""
    from pv_stream.stream import topics  # noqa: PLC0415

    rows = topics.apply(_settings(bootstrap_servers, partitions))
    _print(rows, as_json=as_json)


def _settings(bootstrap_servers: str | None, partitions: int | None) -> "Settings":
    from pv_stream.settings import load_settings  # noqa: PLC0415

    return load_settings(bootstrap_servers=bootstrap_servers, partitions=partitions)


def _print(rows: "Sequence[Difference]", *, as_json: bool) -> None:
    from pv_stream.stream.topics import as_json as to_json  # noqa: PLC0415

    if as_json:
        typer.echo(json.dumps(to_json(rows), indent=2))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("topic", "setting", "has", "wanted", "action"):
        table.add_column(heading, no_wrap=heading == "topic")
    for row in rows:
        table.add_row(row.topic, row.setting, row.has, row.wanted, row.action.value)
    Console(soft_wrap=False).print(table)
