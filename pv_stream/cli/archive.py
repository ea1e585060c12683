"""`pv-stream archive`: topics as a folder that `replay` and `verify` read, or one topic as one file."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pv_stream.cli.terminal import plural, position_progress, program
from pv_stream.stream import require_client

if TYPE_CHECKING:
    from pv_stream.settings import Settings

require_client("kafka")


def command(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder; what is there stays, what is new is appended. FILE.jsonl: one topic as one file.",
        ),
    ],
    topics: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="TOPIC",
            help="Topic; may be repeated. [all nine; for FILE.jsonl the input log]",
        ),
    ] = None,
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="Kafka brokers, host:port. [PV_STREAM_BOOTSTRAP_SERVERS]")
    ] = None,
) -> None:
    """Copy the committed records of topics to a folder, byte for byte, up to where each topic ends now.

    Call it again to append what is new. Keep the digests that it prints in another place: they tell a folder that was
    changed as a whole.
    """
    from pv_stream.settings import load_settings  # noqa: PLC0415 - `--help` must not pay for them

    settings = load_settings(bootstrap_servers=bootstrap_servers)
    if out.suffix == ".jsonl":
        _one_file(settings, topics, out)
    else:
        _folder(settings, topics, out)


def _folder(settings: "Settings", topics: list[str] | None, out: Path) -> None:
    from pv_stream.cli.archiving import all_topics, archive_topics  # noqa: PLC0415 - see above
    from pv_stream.stream.topics import Topic, topic_name  # noqa: PLC0415

    chosen = topics or all_topics(settings)
    with position_progress("Archiving") as told:
        appended = archive_topics(settings, list(dict.fromkeys(chosen)), out, on_progress=told)
    for each in appended:
        held = sum(segment.records for shard in each.archived.shards for segment in shard)
        typer.echo(f"{each.archived.topic}: {plural(held, 'record')}, {each.records:,} of them new", err=True)
        for shard in range(each.archived.shard_count):
            typer.echo(f"{each.archived.head(shard) or '-':71}  {each.archived.topic} {shard}")
    if topic_name(Topic.EVENTS, settings) in chosen:
        words = ["replay", str(out), "--out", f"{out.name}-replay", "--states"]
        typer.echo(f"Next: {program()} {shlex.join(words)}", err=True)


def _one_file(settings: "Settings", topics: list[str] | None, out: Path) -> None:
    from pv_stream.errors import UsageError  # noqa: PLC0415 - see above
    from pv_stream.stream.archive import archive  # noqa: PLC0415
    from pv_stream.stream.topics import Topic, topic_name  # noqa: PLC0415

    events = topic_name(Topic.EVENTS, settings)
    topic, *more = topics or [events]
    if more:
        message = f"{out} holds one topic: name one with --from, or a folder with --out"
        raise UsageError(message)
    with position_progress("Archiving") as told:
        archived = archive(
            settings, topic=topic, out=out, on_progress=lambda done, total: told(topic, done, total)
        )
    typer.echo(
        f"{archived.records} records of {archived.topic} ({archived.partitions} partitions) in {out}",
        err=True,
    )
    if archived.topic == events:  # a replay reads no outputs
        words = ["replay", str(out), "--out", f"{out.stem}-replay"]
        typer.echo(f"Next: {program()} {shlex.join(words)}", err=True)
