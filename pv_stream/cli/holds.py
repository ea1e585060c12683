"""`pv-stream holds`: values that were read but are not believed, and what a person decides about them."""

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pv_stream.cli.decisions import KAFKA, actor_of, decided_at, plan_of, target_of, write_events
from pv_stream.domain.codes import HoldCode, ReviewReason
from pv_stream.errors import UsageError
from pv_stream.ingest.confirming import (
    CONFIRMING,
    DISCARDING,
    Stated,
    asks_for,
    confirm,
    discard,
    is_confirmed_as_read,
)

if TYPE_CHECKING:
    from pv_stream.audit.holds import OpenHold
    from pv_stream.audit.log import LogRecord
    from pv_stream.domain.events import FactArrived
    from pv_stream.domain.times import Instant
    from pv_stream.ingest.rejects import RejectStore
    from pv_stream.settings import Settings

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List the values that wait for a person, show one, and confirm or discard it.",
)

#: What is wrong with a value of each code, in a few words.
_WHY: Final = {
    HoldCode.MISSING_UNIT: "sent without a unit",
    HoldCode.UNKNOWN_UNIT: "sent with a unit that no list knows",
    HoldCode.UNIT_DOES_NOT_FIT: "sent with a unit of something else, or with two that disagree",
    HoldCode.OUT_OF_RANGE: "outside what is plausible",
    HoldCode.FRACTION_OF_A_CELL: "a count with a fraction of a cell: most likely a unit a thousand times off",
    HoldCode.EOSINOPHILS_ABOVE_LEUKOCYTES: "more eosinophils than leukocytes in one specimen",
    HoldCode.MISSING_TIME: "sent without its time",
    HoldCode.UNREADABLE_TIME: "sent with a time that is none",
    HoldCode.TIME_IN_FUTURE: "sent with a time in the future",
    HoldCode.UNREADABLE_VALUE: "a number that is none, is several, or deletes an earlier one",
    HoldCode.UNKNOWN_STATUS: "sent with a status that no standard defines",
    HoldCode.UNKNOWN_SPECIMEN: "of a specimen that is not blood, or not known",
    HoldCode.CONFLICTING_CODES: "sent under codes of different tests",
    HoldCode.VALUE_SAID_ABSENT: "sent with a reason why there is no value",
    HoldCode.CONFLICTING_DRUGS: "sent with a code and a name of different drugs",
    HoldCode.DRUG_NOT_READ_WHOLE: "a listed drug among words that are not known: it may be another product",
}
_EXAMPLE: Final = {
    "value": ["--value", "2.1"],
    "unit": ["--unit", "10*3/uL"],
    "time": ["--time", "2026-03-02T08:10:00+01:00"],
}

LogOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", readable=False, help="The log of events to look at. Without it: Kafka."),
]
FromOption = Annotated[str | None, typer.Option("--from", metavar="kafka", help="Look at the live log.")]
ServersOption = Annotated[
    str | None, typer.Option(help="Kafka brokers, host:port. [PV_STREAM_BOOTSTRAP_SERVERS]")
]
RejectsOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where ingest kept the messages. [rejects in the state directory]"),
]
HoldArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The id, or a beginning of it that no other shares.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_holds(
    log: LogOption = None,
    from_: FromOption = None,
    bootstrap_servers: ServersOption = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List what is held, the longest waiting first."""
    from pv_stream.cli.terminal import plural  # noqa: PLC0415 - `--help` must not pay for them

    settings = _settings(bootstrap_servers)
    holds = _open_holds(log, from_, settings)
    if as_json:
        typer.echo(json.dumps([_value(hold) for hold in holds], indent=2, sort_keys=True))
    elif holds:
        _print(holds)
    count = len({hold.current_patient for hold in holds})
    typer.echo(f"{len(holds):,} held, of {plural(count, 'patient')}", err=True)
    if holds and not as_json:
        _next("holds", "show", _short(holds[0]), *_where(log))


@app.command()
def show(  # noqa: PLR0913 - one parameter for each option of the command
    hold: HoldArgument,
    log: LogOption = None,
    from_: FromOption = None,
    rejects: RejectsOption = None,
    bootstrap_servers: ServersOption = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show one held value, and on a terminal what its message says, if it is in your reject store."""
    from pv_stream.audit.holds import find_hold  # noqa: PLC0415 - `--help` must not pay for them

    settings = _settings(bootstrap_servers)
    found = find_hold(hold, _open_holds(log, from_, settings))
    asked = asks_for(found.held)
    if as_json:
        typer.echo(json.dumps({**_value(found), "asks_for": asked}, indent=2, sort_keys=True))
        return
    _print_one(found)
    _print_as_sent(found, _store(rejects, settings))
    words = [word for name in asked for word in _EXAMPLE[name]]
    if words or is_confirmed_as_read(found.held):
        _next("holds", "resolve", _short(found), *words, "--reason", "checked_in_source", *_where(log))
    _next("holds", "resolve", _short(found), "--discard", "--reason", "cannot_be_verified", *_where(log))


@app.command()
def resolve(  # noqa: PLR0913 - one parameter for each option of the command
    hold: HoldArgument,
    value: Annotated[str | None, typer.Option(help="The value as its source has it: 2.1, '>5'.")] = None,
    unit: Annotated[str | None, typer.Option(help="Its unit as its source has it: 10*3/uL.")] = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When it was taken or given: 2026-03-02T08:10:00+01:00."),
    ] = None,
    utc_offset: Annotated[
        str | None,
        typer.Option(metavar="+01:00", help="Offset of the facility, for a --time without a zone."),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(
            help=f"Why. To confirm: {', '.join(sorted(CONFIRMING))}. To discard: {', '.join(sorted(DISCARDING))}."
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Who decides; the log gets a pseudonym of it. [your login name]")
    ] = None,
    log: LogOption = None,
    from_: FromOption = None,
    to: Annotated[
        str | None, typer.Option(metavar="kafka|FILE", help="Where the decision goes, if not to --log.")
    ] = None,
    received_at: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="When it was decided, for an old log. [now]")
    ] = None,
    bootstrap_servers: ServersOption = None,
    *,
    discarded: Annotated[bool, typer.Option("--discard", help="It counts for nothing.")] = False,
    even_if_implausible: Annotated[
        bool, typer.Option("--even-if-implausible", help="You checked that it is true although it cannot be.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Confirm a held value as its source has it, or discard it: writes the decision to the log.

    A decision stands until the source sends a later version. What is not plausible is refused and not written.
    """
    from pv_stream.audit.holds import find_hold  # noqa: PLC0415 - `--help` must not pay for them
    from pv_stream.cli.terminal import require_id_to_write  # noqa: PLC0415

    require_id_to_write(hold)
    settings = _settings(bootstrap_servers)
    target = target_of(log, to)
    _check_can_append(log, target)
    found = find_hold(hold, _open_holds(log, from_, settings))
    stated = _stated(value, unit, time, utc_offset, discarded=discarded)
    why = _reason(reason, discarded=discarded)
    said = (actor_of(by, settings, target), why, even_if_implausible)
    decided = _decided(found, stated, said, decided_at(received_at))
    _check_plausible(decided)
    if not as_json:
        _print_one(found)
    write_events((decided,), target, settings)
    _say(found, decided, target, log, as_json=as_json)


# What is held -----------------------------------------------------------------------------------------------------


def _settings(bootstrap_servers: str | None) -> "Settings":
    from pv_stream.settings import load_settings  # noqa: PLC0415 - see above

    return load_settings(bootstrap_servers=bootstrap_servers)


def _open_holds(log: Path | None, from_: str | None, settings: "Settings") -> "list[OpenHold]":
    from pv_stream.audit.holds import open_holds  # noqa: PLC0415 - see above
    from pv_stream.rulebooks import carried_rulebooks, load_default  # noqa: PLC0415

    if from_ not in {None, KAFKA}:
        message = f"--from {from_}: say kafka, or name a file with --log"
        raise UsageError(message)
    if log is not None and from_ is not None:
        message = "--log and --from kafka are two logs: name one of them"
        raise UsageError(message)
    if log is None:
        return open_holds(_live_records(settings), load_default(), carried_rulebooks(()))
    return open_holds(_file_records(log), load_default(), carried_rulebooks(()))


def _file_records(log: Path) -> "Iterator[LogRecord]":
    from pv_stream.audit.log import read_log  # noqa: PLC0415 - see above
    from pv_stream.cli.terminal import progress, size_bytes  # noqa: PLC0415

    with progress("Reading", size_bytes(log)) as told:
        for record in read_log(plan_of(log).log):
            yield record
            told(record.bytes_read)


def _live_records(settings: "Settings") -> "Iterator[LogRecord]":
    from pv_stream.audit.log import LogRecord  # noqa: PLC0415 - see above
    from pv_stream.shard.fold import RawRecord  # noqa: PLC0415
    from pv_stream.stream import require_client  # noqa: PLC0415 - only the live log needs a Kafka client

    require_client("kafka")
    from pv_stream.stream.reading import TopicReader  # noqa: PLC0415
    from pv_stream.stream.topics import Topic, topic_name  # noqa: PLC0415

    with TopicReader(settings, client_id="pv-stream-holds") as reader:
        for record in reader.records(topic_name(Topic.EVENTS, settings)):
            yield LogRecord(record.shard, RawRecord(record.position, record.key, record.value), 0)


def _value(hold: "OpenHold") -> dict[str, Any]:
    """Return a hold as JSON's own types; nothing in it is the value itself."""
    from pv_stream.domain.times import format_instant  # noqa: PLC0415 - see above

    held, effective = hold.held, hold.statement.effective
    return {
        "hold_id": hold.hold_id,
        "patient_id": hold.patient_id,
        "current_patient_id": hold.current_patient,
        "fact": hold.key,
        "subject": hold.subject,
        "code": held.code.value,
        "effective": {
            "earliest": format_instant(effective.earliest),
            "latest": format_instant(effective.latest),
        },
        "since": format_instant(hold.provenance.received_at),
        "source": {
            "format": hold.provenance.format,
            "message_digest": hold.provenance.message_digest,
            "path": hold.provenance.path,
        },
        "value_digest": held.value_digest,
    }


def _short(hold: "OpenHold") -> str:
    from pv_stream.cli.terminal import short_id  # noqa: PLC0415 - see above

    return short_id(hold.hold_id)


def _where(log: Path | None) -> list[str]:
    return [] if log is None else ["--log", str(log)]


def _next(*words: str) -> None:
    from pv_stream.cli.terminal import program  # noqa: PLC0415 - see above

    typer.echo(f"Next: {program()} {shlex.join(words)}", err=True)


def _print(holds: "list[OpenHold]") -> None:
    from rich.table import Table  # noqa: PLC0415 - see above

    from pv_stream.cli.terminal import moment, stdout  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "patient", "what", "why", "since"):
        table.add_column(heading, no_wrap=heading in {"id", "since"}, overflow="fold")
    for hold in holds:
        value = _value(hold)
        subject, code = value["subject"].replace("_", " "), value["code"].replace("_", " ")
        table.add_row(_short(hold), value["current_patient_id"], subject, code, moment(value["since"]))
    stdout().print(table)


def _print_one(hold: "OpenHold") -> None:
    from rich.markup import escape  # noqa: PLC0415 - see above

    from pv_stream.cli.terminal import moment, stderr  # noqa: PLC0415

    value, say = _value(hold), stderr()
    what = f"{value['subject'].replace('_', ' ')}: {_WHY[hold.held.code]} ({value['code']})"
    say.print(f"[bold]{escape(what)}[/]", soft_wrap=True)
    merged = "" if hold.patient_id == hold.current_patient else f", merged into {hold.current_patient}"
    source = value["source"]
    for line in (
        f"patient {hold.patient_id}{merged}",
        f"stands at {moment(value['effective']['earliest'])}, waits since {moment(value['since'])}",
        f"{source['format']} message {source['message_digest']} at {source['path']}",
        hold.hold_id,
    ):
        say.print(escape(f"    {line}"), soft_wrap=True)


# What its message says --------------------------------------------------------------------------------------------


def _store(rejects: Path | None, settings: "Settings") -> "RejectStore":
    from pv_stream.cli.ingest import REJECTS_NAME  # noqa: PLC0415 - see above
    from pv_stream.ingest.rejects import RejectStore  # noqa: PLC0415

    return RejectStore(rejects or settings.state_dir / REJECTS_NAME)


def _print_as_sent(hold: "OpenHold", store: "RejectStore") -> None:
    """Show what the message states of the value, to a person at a terminal and nobody else."""
    from pv_stream.ingest.excerpts import excerpt  # noqa: PLC0415 - see above

    digest, path = hold.provenance.message_digest, hold.provenance.path
    kept = next((entry for entry in store.entries() if entry.message_digest == digest), None)
    content = None if kept is None else store.content(kept)
    if content is None:
        typer.echo(f"The message is not in {store.folder}: look the value up in its source.", err=True)
    elif not is_terminal():
        typer.echo("What its message says is shown on a terminal only.", err=True)
    else:
        for name, text in excerpt(content, path) or (("message", f"its file in {store.folder}"),):
            typer.echo(f"    {name}: {_printable(text)}")


def is_terminal() -> bool:
    """Tell whether a person reads what is printed."""
    return sys.stdout.isatty()


def _printable(text: str) -> str:
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


# The decision -----------------------------------------------------------------------------------------------------


def _check_can_append(log: Path | None, target: Path | None) -> None:
    from pv_stream.audit.acting import check_can_append  # noqa: PLC0415 - see above

    if log is not None and target == log:
        check_can_append(plan_of(log))


def _stated(
    value: str | None, unit: str | None, time: str | None, utc_offset: str | None, *, discarded: bool
) -> Stated | None:
    """Return what is stated, None for what is discarded."""
    from pv_stream.cli.ingest import utc_offset_minutes  # noqa: PLC0415 - see above

    if not discarded:
        return Stated(value, unit, time, utc_offset_minutes(utc_offset))
    if any((value, unit, time)):
        message = "--discard leaves nothing to state: drop --value, --unit and --time"
        raise UsageError(message)
    return None


def _reason(text: str | None, *, discarded: bool) -> ReviewReason:
    fitting = sorted(DISCARDING if discarded else CONFIRMING)
    if text not in fitting:
        message = f"say why with --reason: {', '.join(fitting)}"
        raise UsageError(message)
    return ReviewReason(text)


def _decided(
    hold: "OpenHold", stated: Stated | None, said: tuple[str, ReviewReason, bool], at: "Instant"
) -> "FactArrived":
    """Return the event of a decision; without anything stated the value is discarded."""
    from pv_stream.audit.holds import resolution  # noqa: PLC0415 - see above
    from pv_stream.domain.facts import Review  # noqa: PLC0415

    statement = discard(hold.statement) if stated is None else confirm(hold.held, hold.statement, stated)
    return resolution(hold, statement, Review(*said), at)


def _check_plausible(decided: "FactArrived") -> None:
    from pv_stream.engine.believe import why_not_believed  # noqa: PLC0415 - see above
    from pv_stream.rulebooks import load_default  # noqa: PLC0415

    code = why_not_believed(decided.version, load_default())
    if code is None:
        return
    mend = (
        "look the time up again"
        if code is HoldCode.TIME_IN_FUTURE
        else "look it up again, or add --even-if-implausible when you know that it is true"
    )
    message = f"refused ({code}): {_WHY[code]}; {mend}. Nothing was written."
    raise UsageError(message)


def _say(
    hold: "OpenHold", decided: "FactArrived", target: Path | None, log: Path | None, *, as_json: bool
) -> None:
    from pv_stream.codec.events import encode_event  # noqa: PLC0415 - see above

    event = json.loads(encode_event(decided))
    if as_json:
        told = {"decision": event, "hold": _value(hold), "written_to": str(target or KAFKA)}
        typer.echo(json.dumps(told, sort_keys=True, ensure_ascii=False))
    deed = "discarded" if event["resolution"] is None else "confirmed"
    typer.echo(f"{deed} by {event['actor']} ({event['reason']}). Written to {target or KAFKA}.", err=True)
    if as_json:
        return
    if target is None:
        _next("holds", "list")
    elif target == log:
        _next("replay", str(log), "--out", f"{log.stem}-replay")
