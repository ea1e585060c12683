"""`pv-stream replay`: a recorded log through the engine, into a folder that an auditor can compare."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pv_stream.audit.clock import ClockMode
from pv_stream.audit.log import Log, LogForm, log_bytes, open_log, originating
from pv_stream.audit.output_folder import MANIFEST
from pv_stream.audit.processes import usable_processors
from pv_stream.audit.replay import ReplayPlan, replay
from pv_stream.audit.shard_outputs import FILE_OF
from pv_stream.audit.tally import OFF_THE_LIST
from pv_stream.cli.decisions import KAFKA
from pv_stream.cli.options import CarryOption
from pv_stream.cli.terminal import event_progress, plural, program, stderr
from pv_stream.errors import UsageError
from pv_stream.rulebooks import carried_rulebooks, load_default, load_file
from pv_stream.shard.fold import OutputStream

_CLOCK_WORDS = {
    "daily": "one record at 00:00 UTC of each day with events, and one at the end: the log has none of its own",
    "log": "the log's own clock records",
    "none": "no clock records: nothing falls due by itself",
}
_NO_CLOCK = "none: the log has no clock records, so nothing closes"
_TIERS = ("info", "warning", "critical")
_TIER_WORDS = {"off_the_list": "no longer open"}


SourceArgument = Annotated[
    Path,
    typer.Argument(
        metavar="SRC",
        readable=False,
        help="Canonical events (JSON lines), an archive, or kafka for the input topic.",
    ),
]
RulebookOption = Annotated[
    Path | None, typer.Option(metavar="FILE", readable=False, help="What if this rulebook had been in force?")
]
ClockOption = Annotated[
    ClockMode,
    typer.Option(help="Where time comes from; auto: the log's clock records, or daily without any."),
]
ProcessesOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="Processes that share the shards of an archive in a folder. [as many as processors]"
    ),
]
ShardsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Partitions of the topic, for an archive in one file without a header."),
]
TailOption = Annotated[
    bool, typer.Option("--tail", help="Go on with what the topic holds beyond the archive.")
]
StatesOption = Annotated[
    bool, typer.Option("--states", help="Write the final states of the patients, too, for verify to compare.")
]
OriginateOption = Annotated[
    bool, typer.Option("--originate", help="Make the transfers of merged patients: the log must hold none.")
]


def command(  # noqa: PLR0913 - one parameter for each option of the command
    source: SourceArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the outputs and the manifest.")],
    rulebook: RulebookOption = None,
    clock: ClockOption = ClockMode.AUTO,
    carry: CarryOption = None,
    processes: ProcessesOption = None,
    shards: ShardsOption = None,
    *,
    tail: TailOption = False,
    states: StatesOption = False,
    originate: OriginateOption = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that holds other files.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Run a log of events through the engine into a folder of alerts, recurrences, cases, actions and dead letters.

    The same log gives the same bytes, on any machine and at any time; manifest.json holds the digests. The rulebook
    is the one that the log activates (`pv-stream rules activate`), and the shipped default until it does.
    """
    rules = load_default() if rulebook is None else load_file(rulebook)
    carried = carried_rulebooks(carry or ())
    with _opened(source, shards, tail=tail) as found:
        log = originating(found) if originate else found
        plan = ReplayPlan(
            log, rules, what_if=rulebook is not None, clock=clock, carried=carried, with_states=states
        )
        with event_progress("Replaying", log_bytes(log)) as told:
            manifest = replay(
                plan,
                out,
                force=force,
                processes=processes or usable_processors(),
                on_progress=told,
                on_stop=_say_what_is_kept,
            )
    if as_json:
        typer.echo(json.dumps(manifest, indent=2, sort_keys=True))
    _summarise(manifest, out)
    _point_on(
        out, ["--log", str(source), "--out", str(out), *_options(manifest, rulebook, carry or [], shards)]
    )
    if _nothing_was_read(manifest):
        stderr().print(
            f"No line of {escape(str(source))} is a canonical event. If it is a feed, `{program()} ingest` it first.",
            soft_wrap=True,
        )
        raise typer.Exit(1)


@contextmanager
def _opened(source: Path, shards: int | None, *, tail: bool) -> Iterator[Log]:
    """Open a log; what is read from Kafka lies in a folder of its own meanwhile (TMPDIR)."""
    is_topic = str(source) == KAFKA and not source.exists()
    if not is_topic and not tail:
        yield open_log(source, shards=shards)
        return
    log = None if is_topic else open_log(source, shards=shards)
    if log is not None and not log.parts:
        msg = f"--tail: {source} is one file; archive the topic into a folder, and name that"
        raise UsageError(msg)
    from pv_stream.cli.tail import read_tail  # noqa: PLC0415 - a replay of files needs no Kafka client

    with TemporaryDirectory(prefix="pv-stream-tail-") as folder:
        yield read_tail(log, source, Path(folder))


def _say_what_is_kept(finished: int) -> None:
    if finished:
        stderr().print(f"{plural(finished, 'shard')} finished and kept: the same command goes on from there.")


def _nothing_was_read(manifest: dict[str, Any]) -> bool:
    records: int = manifest["input"]["records"]
    return records > 0 and manifest["counts"]["dead_letters"]["records"] >= records


def _summarise(manifest: dict[str, Any], out: Path) -> None:
    counts, source = manifest["counts"], manifest["input"]
    stderr().print(f"[bold]Replay into {escape(str(out))}[/]", soft_wrap=True)
    table = Table(show_header=False, box=None)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    of_what = "" if source["form"] == LogForm.EVENTS else f" in {plural(source['shards'], 'shard')}"
    table.add_row("records read", f"{source['records']:,}{of_what}")
    has_none = manifest["clock"]["mode"] == ClockMode.LOG and not source["clock_records"]
    table.add_row("clock", _NO_CLOCK if has_none else _CLOCK_WORDS[manifest["clock"]["mode"]])
    what_if = " - WHAT IF: not the rulebook of the log" if manifest["what_if"] else ""
    versions = ", then ".join(rulebook["version"] for rulebook in manifest["rulebooks"])
    table.add_row("rulebook", f"{versions or 'none used'}{what_if}")
    alerts = counts["alerts"]
    revisions = plural(alerts["records"], "revision")
    table.add_row("alerts", f"{alerts['alerts']:,} ({alerts['open']:,} open), {revisions}")
    for kind, tiers in alerts["by_kind_and_tier"].items():
        told = ", ".join(
            f"{tiers[tier]:,} {_TIER_WORDS.get(tier, tier)}"
            for tier in (*reversed(_TIERS), "off_the_list")
            if tier in tiers
        )
        table.add_row(f"  {kind}", told)
    table.add_row("recurrences", _listed(counts["recurrences"]["by_class"]))
    table.add_row("cases", _listed(counts["cases"]["by_state"]))
    table.add_row("actions", _listed(counts["actions"]["by_action"]))
    table.add_row("dead letters", _listed(counts["dead_letters"]["by_code"]))
    stderr().print(table)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"


def _options(
    manifest: dict[str, Any], rulebook: Path | None, carry: list[Path], shards: int | None
) -> list[str]:
    """Return the options that another command needs to see the log as this replay saw it."""
    words = [] if rulebook is None else ["--rulebook", str(rulebook)]
    words += [word for path in carry for word in ("--carry", str(path))]
    words += [] if shards is None else ["--shards", str(shards)]
    return words + (["--clock", "none"] if manifest["clock"]["mode"] == ClockMode.NONE else [])


def _most_urgent(alerts: Path) -> str | None:
    """Return the alert to look at first: on the list before closed, then by tier, then the latest."""
    with alerts.open("rb") as lines:
        latest = {value["alert_id"]: value for value in map(json.loads, lines)}
    return max(latest, key=lambda alert_id: _urgency(latest[alert_id]), default=None)


def _urgency(alert: dict[str, Any]) -> tuple[bool, int, str, str]:
    tier = _TIERS.index(alert["tier"]) if alert["tier"] in _TIERS else -1
    return alert["status"] not in OFF_THE_LIST, tier, alert["as_of"], alert["alert_id"]


def _point_on(out: Path, options: list[str]) -> None:
    alert_id = _most_urgent(out / FILE_OF[OutputStream.ALERTS])
    say = stderr()
    say.print(escape(f"Digests of everything: {out / MANIFEST}"), soft_wrap=True)
    if alert_id is not None:
        words = ["explain", alert_id, *options]
        say.print(escape(f"Next: {program()} {shlex.join(words)}"), soft_wrap=True)
