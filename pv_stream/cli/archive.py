"""`pv-stream archive`: a topic as a file that `replay` reads."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pv_stream.stream import require_client

if TYPE_CHECKING:
    from pv_stream.settings import Settings
    from pv_stream.stream.archive import Archived

require_client("kafka")


def command(
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE.jsonl", help="File to write; it must not exist.")
    ],
    topic: Annotated[
        str | None, typer.Option("--from", metavar="TOPIC", help="Topic. [the input log]")
    ] = None,
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="Kafka brokers, host:port. [PV_STREAM_BOOTSTRAP_SERVERS]")
    ] = None,
) -> None:
    """Copy a topic's committed records to a file, byte for byte, up to where the topic ends now."""
    from pv_stream.settings import load_settings  # noqa: PLC0415 - `--help` must not pay for them
    from pv_stream.stream.topics import Topic, topic_name  # noqa: PLC0415

    settings = load_settings(bootstrap_servers=bootstrap_servers)
    events = topic_name(Topic.EVENTS, settings)
    archived = _archive(settings, topic or events, out)
    typer.echo(
        f"{archived.records} records of {archived.topic} ({archived.partitions} partitions) in {out}",
        err=True,
    )
    if archived.topic == events:  # a replay reads no outputs
        words = ["pv-stream", "replay", str(out), "--out", f"{out.stem}-replay"]
        typer.echo(f"Next: {shlex.join(words)}", err=True)


def _archive(settings: "Settings", topic: str, out: Path) -> "Archived":
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    from pv_stream.stream.archive import archive  # noqa: PLC0415

    # A bar for a person; nothing in a pipe.
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(topic, total=None)

        def show(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        return archive(settings, topic=topic, out=out, on_progress=show)
