"""`pv-stream verify`: what was recorded live beside what a replay says, and what explains each difference."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pv_stream.audit.verify.classes import Difference, Finding
from pv_stream.audit.verify.recorded import open_recorded
from pv_stream.audit.verify.replayed import open_replayed
from pv_stream.audit.verify.verifying import Verification, verify
from pv_stream.cli.decisions import KAFKA
from pv_stream.cli.terminal import plural, program, stderr, stdout
from pv_stream.shard.fold import OutputStream


def command(
    recorded: Annotated[
        str,
        typer.Option(
            metavar="DIR|TOPIC",
            help="What was recorded: a folder of `archive`, kafka for all live topics, or one topic.",
        ),
    ],
    replayed: Annotated[
        Path, typer.Option(metavar="DIR", readable=False, help="What `replay --out` wrote of the same log.")
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare what was recorded live with a replay of its log: every alert, recurrence, action and dead letter.

    Cases and states are compared as they stand at the end. A difference that an erasure, another rulebook or another
    engine version explains is counted as that. Exit code 1: something is unexplained.
    """
    again = open_replayed(replayed)
    with _folder(recorded) as folder:
        found = verify(open_recorded(folder), again)
    if as_json:
        typer.echo(json.dumps(_as_json(found), indent=2, sort_keys=True))
    else:
        _show(found)
    if found.unexplained:
        _point_on(found, recorded, replayed)
        raise typer.Exit(1)


@contextmanager
def _folder(recorded: str) -> Iterator[Path]:
    """Yield the folder of what was recorded; live topics are read into one of their own (TMPDIR)."""
    if Path(recorded).exists() and recorded != KAFKA:
        yield Path(recorded)
        return
    from pv_stream.cli.archiving import all_topics, archive_topics  # noqa: PLC0415 - folders need no Kafka client
    from pv_stream.cli.terminal import position_progress  # noqa: PLC0415
    from pv_stream.settings import load_settings  # noqa: PLC0415
    from pv_stream.stream.topics import Topic, topic_name  # noqa: PLC0415

    settings = load_settings()
    beside = {topic_name(Topic.STATE, settings), topic_name(Topic.EVENTS, settings), recorded}
    chosen = [topic for topic in all_topics(settings) if recorded == KAFKA or topic in beside]
    if recorded != KAFKA and recorded not in chosen:
        chosen.insert(0, recorded)
    with TemporaryDirectory(prefix="pv-stream-recorded-") as folder, position_progress("Reading") as told:
        archive_topics(settings, chosen, Path(folder), on_progress=told)
        yield Path(folder)


def _show(found: Verification) -> None:
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for name in ("recorded", "replayed", "equal", "erased", "rulebook", "engine", "unexplained", "beyond"):
        table.add_column(name, justify="right")
    for each in found.compared:
        counts = [each.recorded, each.replayed, each.equal]
        counts += [
            each.differences[kind] for kind in (Difference.ERASED, Difference.RULEBOOK, Difference.ENGINE)
        ]
        unexplained = each.differences[Difference.UNEXPLAINED]
        style = "bold red" if unexplained else ""
        table.add_row(
            each.stream.replace("_", " "),
            *(f"{count:,}" for count in counts),
            f"{unexplained:,}",
            f"{each.beyond:,}",
            style=style,
        )
    stdout().print(table)
    for note in found.notes:
        stdout().print(escape(f"Note: {note}."), soft_wrap=True)
    if found.first is None:
        stdout().print("Nothing is unexplained.")
        return
    _show_first(found, found.first)


def _show_first(found: Verification, first: Finding) -> None:
    say = stdout()
    where = f"{first.place}" if first.place is not None else f"shard {first.shard}"
    say.print(f"[bold]The first that nothing explains[/]: {escape(_named(first))}", soft_wrap=True)
    for path, recorded, replayed in first.fields:
        say.print(escape(f"  {path}: recorded {recorded}, replayed {replayed}"), soft_wrap=True)
    if found.cause is None:
        say.print(f"  Its input record is not known ({where}).")
        return
    cause = found.cause
    say.print(f"  It came from position {cause.position} of shard {cause.shard} of the input log:")
    for name, value in cause.event.items():
        shown = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        say.print(escape(f"    {name}: {shown}"), soft_wrap=True)
    others = [
        each for each in found.findings if each.difference is Difference.UNEXPLAINED and each is not first
    ]
    if others:
        say.print(f"Others, of {plural(found.unexplained, 'difference')}:")
    for each in others[:9]:
        say.print(escape(f"  {_named(each)}"), soft_wrap=True)


def _named(finding: Finding) -> str:
    where = f" at {finding.place}" if finding.place is not None else f" in shard {finding.shard}"
    whose = f" of {finding.patient_id}" if finding.patient_id and finding.patient_id != finding.key else ""
    return f"{finding.stream} {finding.key}{whose}{where}: {finding.kind}"


def _point_on(found: Verification, recorded: str, replayed: Path) -> None:
    first = found.first
    if first is not None and first.stream == OutputStream.ALERTS and Path(recorded).exists():
        words = ["explain", first.key, "--log", recorded, "--out", str(replayed)]
        stderr().print(escape(f"Next: {program()} {shlex.join(words)}"), soft_wrap=True)


def _as_json(found: Verification) -> dict[str, Any]:
    return {
        "unexplained": found.unexplained,
        "compared": {
            each.stream: {
                "recorded": each.recorded,
                "replayed": each.replayed,
                "equal": each.equal,
                "beyond": each.beyond,
                "differences": {kind.value: each.differences[kind] for kind in Difference},
            }
            for each in found.compared
        },
        "first": None if found.first is None else _finding(found.first),
        "cause": None if found.cause is None else asdict(found.cause),
        "findings": [_finding(each) for each in found.findings],
        "notes": found.notes,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    place = finding.place
    return {
        "stream": finding.stream,
        "kind": finding.kind.value,
        "difference": finding.difference.value,
        "shard": finding.shard,
        "position": None if place is None else place.position,
        "ordinal": None if place is None else place.ordinal,
        "key": finding.key,
        "patient_id": finding.patient_id,
        "fields": [
            {"path": path, "recorded": recorded, "replayed": replayed}
            for path, recorded, replayed in finding.fields
        ],
    }
