"""`pv-stream ingest`: clinical messages from files into canonical events, on stdout, in a file or in Kafka."""

import json
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from pv_stream.cli.acknowledgements import Acknowledgements
from pv_stream.cli.terminal import plural, program, progress, size_bytes, stderr
from pv_stream.codec.events import encode_event
from pv_stream.domain.events import ClockTicked, Event, Received, RulebookActivated, Transferred
from pv_stream.domain.ids import shard_of
from pv_stream.domain.times import MICROSECONDS_PER_SECOND, Instant, parse_instant
from pv_stream.errors import DataError, PvStreamError, UsageError
from pv_stream.ingest.feed import Feed, check_readable
from pv_stream.ingest.intake import Intake, intake_of
from pv_stream.ingest.outcomes import IgnoreReason, RejectCode
from pv_stream.ingest.pseudonyms import KeyChoice, choose_key
from pv_stream.ingest.rejects import RejectStore
from pv_stream.ingest.report import Report, kind_of
from pv_stream.ingest.sources import Format
from pv_stream.ingest.times import parse_utc_offset
from pv_stream.rulebooks import load_default
from pv_stream.settings import Settings, load_settings

KAFKA: Final = "kafka"
NOW: Final = "now"
REJECTS_NAME: Final = "rejects"
_LOOPBACK: Final = re.compile(r"127\.\d{1,3}\.\d{1,3}\.\d{1,3}", re.ASCII)
#: What a person can do about a code; others speak for themselves in docs/ingest.md.
_NEVER_FED: Final[dict[type[Event], IgnoreReason]] = {
    ClockTicked: IgnoreReason.CLOCK_RECORD,
    RulebookActivated: IgnoreReason.ACTIVATION_RECORD,
    Transferred: IgnoreReason.TRANSFER_RECORD,
    Received: IgnoreReason.TRANSFER_RECORD,
}
_HINTS: Final = {
    RejectCode.NO_RECEIVED_AT: "no time of sending: add `--received-at now`, or `--utc-offset` if times lack a zone",
    RejectCode.RECEIVED_IN_FUTURE: "sent later than this machine's clock says: check both clocks",
    RejectCode.UNKNOWN_FORMAT: "unpack it; name the format: `--format hl7v2|fhir|e2b|openfda|canonical`",
    RejectCode.TOO_LARGE: "split it: one resource to a line (NDJSON), or smaller bundles",
    RejectCode.UNREADABLE_CHARACTERS: "not UTF-8, and MSH-18 names no other character set",
    RejectCode.MALFORMED_XML: "not well-formed: a batch that was cut off is to be sent again",
    RejectCode.DOCTYPE_REFUSED: "a document type is never loaded: send the report without one",
    RejectCode.INCOMPLETE_REPORT: "what E2B makes mandatory is missing: the reject store's index names the element",
    RejectCode.CONFLICTING_IDENTIFIERS: "a Patient with two numbers under one authority: let its sender correct it",
    RejectCode.INTERNAL_ERROR: "a fault of pv-stream: please report it",
}


@dataclass(frozen=True, slots=True)
class Destination:
    """Hold where the events go: a file, Kafka, or stdout when neither is named."""

    file: Path | None
    is_kafka: bool


def command(  # noqa: PLR0913 - one parameter for each option of the command
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", readable=False, help="Files of clinical messages.")
    ],
    form: Annotated[
        Format, typer.Option("--format", help="Format of the files; auto looks at each.")
    ] = Format.AUTO,
    to: Annotated[
        str | None, typer.Option(metavar="FILE|kafka", help="Where events go; stdout without it.")
    ] = None,
    received_at: Annotated[
        str | None,
        typer.Option(metavar="now|INSTANT", help="Stamp messages with this time, not the sender's."),
    ] = None,
    utc_offset: Annotated[
        str | None,
        typer.Option(metavar="+01:00", help="Offset of the facility, for times that state no zone."),
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Owner-only folder for refused and held messages.")
    ] = None,
    ack: Annotated[
        Path | None, typer.Option(metavar="FILE|DIR", help="Where acknowledgements of E2B batches go.")
    ] = None,
    *,
    by_file: Annotated[
        bool, typer.Option("--by-file", help="Say for each file what became of its segments or resources.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when anything was rejected.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
) -> None:
    """Turn HL7v2, FHIR R4, E2B, openFDA or canonical files into canonical events.

    Every message ends as accepted, held or rejected with a code. Identifiers become pseudonyms.
    """
    destination = _destination(to, paths, as_json=as_json)
    settings = load_settings()
    now = present()
    for path in paths:
        check_readable(path)
    received = received_stamp(received_at, now)
    offset = utc_offset_minutes(utc_offset)
    key = choose_key(settings, may_make=not destination.is_kafka or is_loopback(settings.bootstrap_servers))
    if destination.is_kafka:
        check_key_for_kafka(key, settings)
    intake = intake_of(
        settings, key.pseudonyms, load_default(), now, received_at=received, utc_offset_minutes=offset
    )
    store = RejectStore(rejects or settings.state_dir / REJECTS_NAME)
    acknowledgements = Acknowledgements(ack, paths)
    feed = _feed(intake, store, settings, form, acknowledgements, by_file=by_file)
    with progress("Ingesting", 2 * sum(map(size_bytes, paths))) as told:
        _send(feed.read(paths, told), destination, settings, feed.report)
    if destination.is_kafka:
        _tell_refusals(store, settings)
    for path in acknowledgements.write(now):
        stderr().print(f"Acknowledgement for the sender: {path}", soft_wrap=True)
    _say(feed, key, store, destination, as_json=as_json)
    if strict and (feed.report.rejected or feed.report.entries_rejected):
        raise typer.Exit(1)


def _feed(  # noqa: PLR0913 - what a feed is made of
    intake: Intake,
    store: RejectStore,
    settings: Settings,
    form: Format,
    acknowledgements: Acknowledgements,
    *,
    by_file: bool,
) -> Feed:
    return Feed(
        intake,
        store,
        settings.record_bytes_max,
        form,
        by_file=by_file,
        document_bytes_max=settings.e2b_document_bytes_max,
        fhir_document_bytes_max=settings.fhir_document_bytes_max,
        fhir_medications_bytes_max=settings.fhir_medications_bytes_max,
        on_message=acknowledgements.hear,
    )


def _destination(to: str | None, paths: list[Path], *, as_json: bool) -> Destination:
    if to == "":
        message = "--to: name a file, or kafka"
        raise UsageError(message)
    if to is not None and to != KAFKA:
        for path in paths:
            if _is_same_file(path, Path(to)):
                message = f"--to {to} is the input {path}, which it would replace: name another file"
                raise UsageError(message)
    if to is None and as_json:
        message = "--json prints the summary on stdout, so the events need another place: add --to FILE or --to kafka"
        raise UsageError(message)
    return Destination(None if to in {None, KAFKA} else Path(str(to)), to == KAFKA)


def _is_same_file(path: Path, other: Path) -> bool:
    try:
        return path.is_file() and path.samefile(other)
    except OSError:
        return False


def present() -> Instant:
    """Return the present, to the second."""
    return Instant(int(time.time()) * MICROSECONDS_PER_SECOND)


def received_stamp(text: str | None, now: Instant) -> Instant | None:
    """Return the stamp that `--received-at` states; raise UsageError when it states none."""
    if text is None:
        return None
    if text == NOW:
        return now
    try:
        return parse_instant(text)
    except ValueError:
        message = f"--received-at {text}: say `now` or an instant such as 2026-03-02T08:10:00Z"
        raise UsageError(message) from None


def utc_offset_minutes(text: str | None) -> int | None:
    """Return the offset that `--utc-offset` states, in minutes; raise UsageError when it states none."""
    if text is None:
        return None
    minutes = parse_utc_offset(text)
    if minutes is None:
        message = f"--utc-offset {text}: say an offset such as +01:00 or -05:00"
        raise UsageError(message)
    return minutes


def check_key_for_kafka(key: KeyChoice, settings: Settings) -> None:
    """Raise UsageError when the demo's key would make pseudonyms for a broker on another host."""
    if key.pseudonyms.is_demo and not is_loopback(settings.bootstrap_servers):
        message = (
            "the demo's pseudonym key is published and protects nobody, so it is refused for a broker on another "
            "host: set PV_STREAM_PSEUDONYM_KEY_FILE"
        )
        raise UsageError(message)


def is_loopback(bootstrap_servers: str) -> bool:
    """Tell whether every broker is on this host."""
    hosts = [server.strip().rpartition(":")[0].strip("[]") for server in bootstrap_servers.split(",")]
    return all(host in {"localhost", "::1"} or _LOOPBACK.fullmatch(host) is not None for host in hosts)


def _send(events: Iterator[Event], destination: Destination, settings: Settings, report: Report) -> None:
    if destination.is_kafka:
        _publish(events, settings, report)
    elif destination.file is None:
        _write_lines(events, sys.stdout.buffer.write)
        sys.stdout.buffer.flush()
    else:
        _write_file(events, destination.file)


def _write_lines(events: Iterable[Event], write: Callable[[bytes], Any]) -> None:
    for event in events:
        write(encode_event(event) + b"\n")


def _write_file(events: Iterable[Event], path: Path) -> None:
    """Write beside the file and move at the end, so that a broken run leaves no half of a log."""
    partial = path.with_name(f".{path.name}.partial")
    is_special = path.exists() and not path.is_file()
    try:
        with (path if is_special else partial).open("wb") as file:
            _write_lines(events, file.write)
        if not is_special:
            partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        message = f"--to {path}: {error.strerror}"
        raise DataError(message) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _publish(events: Iterator[Event], settings: Settings, report: Report) -> None:
    from pv_stream.stream.publish import publish  # noqa: PLC0415 - only --to kafka needs a Kafka client
    from pv_stream.stream.topics import Topic, topic_name  # noqa: PLC0415

    def keyed() -> Iterator[tuple[bytes, bytes]]:
        for event in events:
            if isinstance(event, ClockTicked | RulebookActivated | Transferred | Received):
                # The owner of a shard writes its clock and its transfers, and `rules activate` its rulebook: never a
                # feed.
                report.events[kind_of(event)] -= 1
                report.ignored[_NEVER_FED[type(event)]] += 1
            else:
                yield event.patient_id.encode(), encode_event(event)

    publish(
        keyed(),
        settings=settings,
        topic=topic_name(Topic.EVENTS, settings),
        shard_of=lambda key, count: shard_of(key.decode(), count),
    )


def _tell_refusals(store: RejectStore, settings: Settings) -> None:
    """Tell Kafka of what was refused. What cannot be told now is told by the next run: the events are written."""
    from pv_stream.ingest.announcing import Announcements  # noqa: PLC0415 - only --to kafka needs a Kafka client
    from pv_stream.stream.refusals import tell_refusals  # noqa: PLC0415

    try:
        tell_refusals(settings, Announcements(store, "ingest").next)
    except PvStreamError as error:
        stderr().print(f"What was refused is kept, and not told to Kafka yet: {error}", soft_wrap=True)


def _say(feed: Feed, key: KeyChoice, store: RejectStore, destination: Destination, *, as_json: bool) -> None:
    report = feed.report
    following = _next_step(report, destination)
    if as_json:
        value = report.value() | {"pseudonym_key_id": key.pseudonyms.key_id, "next": following}
        if feed.by_file:
            value["files"] = [{"path": str(path), **each.value()} for path, each in feed.files]
        typer.echo(json.dumps(value, indent=2, sort_keys=True))
    say = stderr()
    if not as_json:
        for path, each in feed.files:
            say.print(Text(str(path), style="bold"), soft_wrap=True)
            say.print(_file_table(each))
        say.print(_table(report))
    refused = report.rejected | report.entries_rejected
    for code in sorted(refused):
        if code in _HINTS:
            say.print(f"{code}: {_HINTS[RejectCode(code)]}", soft_wrap=True)
    for line in _kept(report, store, destination):
        say.print(line, soft_wrap=True)
    if key.made_at is not None:
        say.print(
            f"Made a pseudonym key: {key.made_at}. Keep it: another key gives other pseudonyms, so all messages of one "
            "log need this key. From another folder: set PV_STREAM_STATE_DIR, or "
            f"PV_STREAM_PSEUDONYM_KEY_FILE={shlex.quote(str(key.made_at.resolve()))}.",
            soft_wrap=True,
        )
    say.print(f"Pseudonym key id: {key.pseudonyms.key_id}")
    if following and not as_json:
        say.print(f"Next: {following}", soft_wrap=True)


def _table(report: Report) -> Table:
    value = report.value()
    messages = value["messages"]
    title = f"{plural(messages['read'], 'message')} in {plural(value['inputs'], 'file')}"
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    codes = {"accepted": {}, "held": value["held"], "rejected": value["rejected"]}
    for name, why in codes.items():
        table.add_row(f"messages {name}", f"{messages[name]:,}", _listed(why))
    if report.entries_rejected:
        refused = value["entries_rejected"]
        table.add_row("entries rejected", f"{sum(refused.values()):,}", _listed(refused))
    table.add_row("events written", f"{value['events']['written']:,}", _listed(value["events"]["by_type"]))
    table.add_row("left aside", f"{sum(value['ignored'].values()):,}", _listed(value["ignored"]))
    return table


def _file_table(report: Report) -> Table:
    """Say what became of one file, part by part."""
    value = report.value()
    messages = {name: count for name, count in value["messages"].items() if name != "read" and count}
    table = Table(show_header=False, box=None)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("messages", _listed(messages))
    table.add_row("events", _listed(value["events"]["by_type"]) or "none")
    for name in ("held", "rejected", "entries_rejected", "ignored"):
        if value[name]:
            table.add_row(name.replace("_", " "), _listed(value[name]))
    for part, fates in value["coverage"].items():
        table.add_row(f"  {part}", _listed(fates))
    return table


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _kept(report: Report, store: RejectStore, destination: Destination) -> Iterator[str]:
    """Yield where refused and held messages are, and the commands that show them, of this very store and log."""
    refused = report.rejected or report.entries_rejected
    if refused or report.held:
        yield f"Refused and held messages: {store.folder} (yours alone to read)"
    if refused:
        words = ["dlq", "list", "--rejects", str(store.folder)]
        yield f"Look at what was refused with: {program()} {shlex.join(words)}"
    if report.held:
        log = [] if destination.is_kafka else ["--log", str(destination.file or "events.jsonl")]
        yield f"Look at what is held with: {program()} {shlex.join(['holds', 'list', *log])}"


def _next_step(report: Report, destination: Destination) -> str | None:
    if not report.events.total():
        return None
    if destination.is_kafka:
        return f"{program()} run"
    words = ["replay", str(destination.file or "events.jsonl"), "--out", "out"]
    return f"{program()} {shlex.join(words)}"
