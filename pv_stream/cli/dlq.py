"""`pv-stream dlq`: messages that ingest refused and records that the stream could not use, and reading them again."""

import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pv_stream.cli.decisions import KAFKA, target_of, write_events
from pv_stream.cli.refused_tables import STORE, print_one, print_rows, print_told
from pv_stream.errors import DataError, UsageError
from pv_stream.ingest.sources import Format

if TYPE_CHECKING:
    from pv_stream.audit.dead_letters import DeadLetterRow
    from pv_stream.ingest.intake import Intake
    from pv_stream.ingest.rejects import Kept, RejectStore
    from pv_stream.ingest.rereading import Rereading
    from pv_stream.settings import Settings

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List what was refused, show one, and read it again after a fix. Nothing is ever deleted.",
)

_FILE_MODE: Final = 0o600
_NAMED_MAX: Final = 5

FromOption = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="kafka", help="What the live stream could not use, and listeners refused."
    ),
]
OutOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="What a replay could not use: the folder that it wrote.")
]
LogOption = Annotated[
    Path | None, typer.Option(metavar="FILE", readable=False, help="The log of that replay, for the bytes.")
]
RejectsOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="What ingest refused: its folder. [rejects in the state directory]"),
]
ServersOption = Annotated[
    str | None, typer.Option(help="Kafka brokers, host:port. [PV_STREAM_BOOTSTRAP_SERVERS]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True, slots=True)
class Source:
    """Hold where refused things are looked up: in Kafka, in the folder of a replay, or in the reject store."""

    settings: "Settings"
    is_kafka: bool
    out: Path | None
    log: Path | None
    rejects: Path | None

    @property
    def words(self) -> list[str]:
        """Return the options that name it in another command."""
        if self.is_kafka:
            return ["--from", KAFKA]
        named = {"--out": self.out, "--log": self.log, "--rejects": self.rejects}
        return [word for option, path in named.items() if path for word in (option, str(path))]

    @property
    def is_store(self) -> bool:
        """Tell whether it is the reject store of ingest."""
        return not self.is_kafka and self.out is None

    def store(self) -> "RejectStore":
        """Return the reject store."""
        from pv_stream.cli.ingest import REJECTS_NAME  # noqa: PLC0415 - `--help` must not pay for them
        from pv_stream.ingest.rejects import RejectStore  # noqa: PLC0415

        return RejectStore(self.rejects or self.settings.state_dir / REJECTS_NAME)


@app.command("list")
def list_refused(  # noqa: PLR0913 - one parameter for each option of the command
    from_: FromOption = None,
    out: OutOption = None,
    rejects: RejectsOption = None,
    code: Annotated[str | None, typer.Option(help="Only this code.")] = None,
    bootstrap_servers: ServersOption = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also what was read after all.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what was refused: age, code and where its bytes are; and how many of each code."""
    from pv_stream.audit.dead_letters import count_by_code  # noqa: PLC0415 - see above

    source = _source(bootstrap_servers, from_, out, None, rejects)
    rows = [
        row for row in _rows(source) if (everything or not row["settled_at"]) and code in {None, row["code"]}
    ]
    counts = count_by_code([row["code"] for row in rows])
    if as_json:
        typer.echo(json.dumps({"entries": rows, "by_code": counts}, indent=2, sort_keys=True))
    elif rows:
        print_rows(rows)
    listed = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    typer.echo(f"{len(rows):,} refused{': ' if listed else ''}{listed}", err=True)
    if rows and not as_json:
        _next("dlq", "show", _short(rows[0]["id"]), *source.words)
        _next("dlq", "retry", *source.words)


@app.command()
def show(  # noqa: PLR0913 - one parameter for each option of the command
    entry: Annotated[str, typer.Argument(metavar="ID", help="The id, or a beginning that no other shares.")],
    from_: FromOption = None,
    out: OutOption = None,
    log: LogOption = None,
    rejects: RejectsOption = None,
    bytes_to: Annotated[
        Path | None,
        typer.Option(
            "--bytes", metavar="FILE", help="Write its bytes to a new file that you alone can read."
        ),
    ] = None,
    bootstrap_servers: ServersOption = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what is known of one refused message or record; its bytes, which hold patient data, only to a file."""
    source = _source(bootstrap_servers, from_, out, log, rejects)
    found = _find(entry, _rows(source))
    if as_json:
        typer.echo(json.dumps(found, indent=2, sort_keys=True))
    else:
        print_one(found)
    if bytes_to is not None:
        _write_bytes(bytes_to, _content(found, source))
        typer.echo(f"Its bytes: {bytes_to} (yours alone to read)", err=True)
    elif not as_json:
        _next("dlq", "show", _short(found["id"]), *source.words, "--bytes", "refused.bin")


@app.command()
def retry(  # noqa: PLR0913 - one parameter for each option of the command
    entries: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Which; all that are open without any.")
    ] = None,
    code: Annotated[str | None, typer.Option(help="Only this code.")] = None,
    from_: FromOption = None,
    out: OutOption = None,
    log: LogOption = None,
    rejects: RejectsOption = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="kafka|FILE", help="Where the events go; without it nothing is written, only told."
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="Format of the messages.")] = Format.AUTO,
    received_at: Annotated[
        str | None,
        typer.Option(metavar="now|INSTANT", help="Stamp messages with this time, not the sender's."),
    ] = None,
    utc_offset: Annotated[
        str | None,
        typer.Option(metavar="+01:00", help="Offset of the facility, for times that state no zone."),
    ] = None,
    bootstrap_servers: ServersOption = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Read again what was refused, with the readers of today; what ingest refused becomes events.

    What is read is marked so and stays where it is. A record of the stream is only looked at: its log is never changed.
    """
    source = _source(bootstrap_servers, from_, out, log, rejects)
    chosen = _chosen(entries or [], code, _rows(source))
    if not source.is_store:
        if to is not None:
            message = (
                "a record of the stream is not written again: `dlq show --bytes`, then `ingest` that file"
            )
            raise UsageError(message)
        _look_again(chosen, source, as_json=as_json)
        return
    target = None if to is None else target_of(None, to)
    store, wanted = source.store(), {row["id"] for row in chosen}
    kept = [each for each in store.entries() if _entry_id(each) in wanted]
    intake = _intake(source.settings, received_at, utc_offset, is_live=to == KAFKA)
    found = _read_again(kept, source, intake, form, keeps=to is not None)
    events = _of_patients(found.events)
    if to is not None and events:
        write_events(events, target, source.settings)
    if to is not None and found.settled:
        store.settle(found.settled)
    _say(found, len(events), to, source, as_json=as_json)


# What there is ----------------------------------------------------------------------------------------------------


def _source(
    bootstrap_servers: str | None, from_: str | None, out: Path | None, log: Path | None, rejects: Path | None
) -> Source:
    from pv_stream.settings import load_settings  # noqa: PLC0415 - see above

    if from_ not in {None, KAFKA}:
        message = f"--from {from_}: say kafka, or name the folder of a replay with --out"
        raise UsageError(message)
    if sum(each is not None for each in (from_, out, rejects)) > 1:
        message = "--from kafka, --out and --rejects are three places: name one of them"
        raise UsageError(message)
    if log is not None and out is None:
        message = "--log is the log of a replay: name its folder with --out"
        raise UsageError(message)
    return Source(load_settings(bootstrap_servers=bootstrap_servers), from_ is not None, out, log, rejects)


def _rows(source: Source) -> list[dict[str, Any]]:
    """Return what was refused as JSON's own types, oldest first; no content of any."""
    if source.is_store:
        from pv_stream.ingest.rejects import REJECTED  # noqa: PLC0415 - see above

        entries = [kept for kept in source.store().entries() if kept.kind == REJECTED]
        return [_row_of_kept(kept) for kept in entries]
    rows = [_row_of_letter(letter) for letter in _letters(source)]
    if not source.is_kafka:
        return rows
    from pv_stream.cli.dead_letter_topic import live_refusals  # noqa: PLC0415 - only the live topic needs Kafka

    return sorted([*rows, *live_refusals(source.settings)], key=lambda row: (row["at"] or "", row["id"]))


def _entry_id(kept: "Kept") -> str:
    from pv_stream.ingest.announcing import refusal_id  # noqa: PLC0415 - see above

    return refusal_id(kept)


def _row_of_kept(kept: "Kept") -> dict[str, Any]:
    return {
        "id": _entry_id(kept),
        "code": kept.code,
        "at": kept.kept_at,
        "digest": kept.message_digest,
        "bytes": kept.size_bytes,
        "pointer": {"place": STORE, "path": kept.path, **kept.position},
        "settled_at": kept.settled_at,
        "patient_id": None,
    }


def _row_of_letter(letter: "DeadLetterRow") -> dict[str, Any]:
    pointer = letter.pointer
    return {
        "id": letter.dead_letter_id,
        "code": letter.code,
        "at": letter.written_at,
        "digest": letter.value_digest,
        "bytes": letter.value_bytes,
        "pointer": None
        if pointer is None
        else {"place": pointer.topic, "shard": pointer.shard, "position": pointer.position},
        "settled_at": None,
        "patient_id": letter.patient_id,
    }


def _letters(source: Source) -> "list[DeadLetterRow]":
    from pv_stream.audit.dead_letters import rows_in_folder  # noqa: PLC0415 - see above

    if source.out is not None:
        return rows_in_folder(source.out)
    from pv_stream.stream import require_client  # noqa: PLC0415 - only the live topic needs a Kafka client

    require_client("kafka")
    from pv_stream.cli.dead_letter_topic import live_letters  # noqa: PLC0415

    return live_letters(source.settings)


def _find(wanted: str, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    found = [
        row for row in rows if row["id"].startswith(wanted) or row["id"].partition("_")[2].startswith(wanted)
    ]
    if not wanted or not found:
        message = f"nothing that was refused begins with {wanted!r}: `pv-stream dlq list` names what was"
        raise UsageError(message)
    if len(found) > 1:
        names = ", ".join(row["id"] for row in found[:_NAMED_MAX])
        message = f"{wanted!r} is the beginning of several: {names}"
        raise UsageError(message)
    return found[0]


def _chosen(wanted: Sequence[str], code: str | None, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    named = [_find(each, rows) for each in wanted] or [row for row in rows if not row["settled_at"]]
    chosen = [row for row in named if code in {None, row["code"]}]
    if not chosen:
        message = "nothing is left to read again" + ("" if code is None else f" of the code {code}")
        typer.echo(message, err=True)
    return chosen


def _content(row: Mapping[str, Any], source: Source) -> bytes:
    """Return the bytes of what was refused. Raises DataError when they are not there."""
    if source.is_store:
        kept = next(each for each in source.store().entries() if _entry_id(each) == row["id"])
        content = source.store().content(kept)
    else:
        content = _values([row], source).get(row["id"])
    if content is None and (kept_by := (row["pointer"] or {}).get("kept_by")):
        message = f"{row['id']}: its bytes are in the reject store of {kept_by}: say this there, without --from kafka"
        raise DataError(message)
    if content is None:
        message = f"{row['id']}: its bytes are not there any more; its source may still have them"
        raise DataError(message)
    return content


def _values(rows: Sequence[Mapping[str, Any]], source: Source) -> dict[str, bytes]:
    """Return the records of dead letters by id, as far as they are still there."""
    from pv_stream.audit.dead_letters import values_in_log  # noqa: PLC0415 - see above
    from pv_stream.audit.log import open_log  # noqa: PLC0415

    if source.is_kafka:
        from pv_stream.cli.dead_letter_topic import live_values  # noqa: PLC0415

        return live_values(rows, source.settings)
    if source.log is None:
        message = "a replay keeps no bytes: name its log with --log"
        raise UsageError(message)
    values = values_in_log(open_log(source.log), frozenset(row["digest"] for row in rows))
    return {row["id"]: values[row["digest"]] for row in rows if row["digest"] in values}


def _write_bytes(path: Path, content: bytes) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "wb") as file:
            file.write(content)
    except FileExistsError:
        message = f"--bytes {path} exists and is not replaced: name a new file"
        raise UsageError(message) from None
    except OSError as error:
        message = f"--bytes {path}: {error.strerror}. Name a file that can be written."
        raise DataError(message) from None


# Reading again ----------------------------------------------------------------------------------------------------


def _intake(
    settings: "Settings", received_at: str | None, utc_offset: str | None, *, is_live: bool
) -> "Intake":
    """Return what readers are given, as `ingest` gives it."""
    from pv_stream.cli.ingest import (  # noqa: PLC0415 - see above
        check_key_for_kafka,
        is_loopback,
        present,
        received_stamp,
        utc_offset_minutes,
    )
    from pv_stream.ingest.intake import intake_of  # noqa: PLC0415
    from pv_stream.ingest.pseudonyms import choose_key  # noqa: PLC0415
    from pv_stream.rulebooks import load_default  # noqa: PLC0415

    now = present()
    received, offset = received_stamp(received_at, now), utc_offset_minutes(utc_offset)
    key = choose_key(settings, may_make=not is_live or is_loopback(settings.bootstrap_servers))
    if is_live:
        check_key_for_kafka(key, settings)
    return intake_of(
        settings, key.pseudonyms, load_default(), now, received_at=received, utc_offset_minutes=offset
    )


def _read_again(
    kept: "list[Kept]", source: Source, intake: "Intake", form: Format, *, keeps: bool
) -> "Rereading":
    from pv_stream.ingest.rereading import read_again  # noqa: PLC0415 - see above

    limit = source.settings.record_bytes_max
    return read_again(kept, source.store(), intake=intake, record_bytes_max=limit, chosen=form, keeps=keeps)


def _of_patients(events: Iterable[Any]) -> list[Any]:
    """Return the events that a feed may bring: clocks, rulebooks and transfers are a shard's own."""
    from pv_stream.domain.events import (  # noqa: PLC0415 - see above
        Absorbed,
        Absorbs,
        AlertActed,
        FactArrived,
        Separated,
    )

    return [
        event
        for event in events
        if isinstance(event, FactArrived | AlertActed | Absorbed | Absorbs | Separated)
    ]


def _look_again(rows: list[dict[str, Any]], source: Source, *, as_json: bool) -> None:
    """Say how the records of dead letters read today."""
    from pv_stream.audit.dead_letters import DeadLetterRow, reads_today  # noqa: PLC0415 - see above

    values = _values(rows, source) if rows else {}
    told = []
    for row in rows:
        letter = DeadLetterRow(
            row["id"], row["code"], row["digest"], row["bytes"], row["patient_id"], None, row["at"]
        )
        is_read, said = reads_today(letter, values.get(row["id"]))
        if kept_by := (row["pointer"] or {}).get("kept_by"):
            said = f"its bytes are in the reject store of {kept_by}: retry it there, without --from kafka"
        told.append({"id": row["id"], "code": row["code"], "reads_today": is_read, "said": said})
    print_told(told, as_json=as_json)
    readable = [each for each in told if each["reads_today"]]
    typer.echo(f"{len(readable)} of {len(told)} can be read today. Nothing was written.", err=True)
    if readable and not as_json:
        name = "refused.jsonl"
        _next("dlq", "show", _short(readable[0]["id"]), *source.words, "--bytes", name)
        _next("ingest", name, "--format", "canonical", "--to", KAFKA)


def _say(found: "Rereading", events: int, to: str | None, source: Source, *, as_json: bool) -> None:
    told = [
        {
            "id": _entry_id(kept),
            "code": kept.code,
            "reads_today": how == "read",
            "said": _SAID[how].format(codes=", ".join(found.codes.get(kept.entry_id, ()))),
        }
        for kept, how in found.entries
    ]
    if as_json:
        value = {
            "entries": told,
            "events": events,
            "settled": len(found.settled) if to else 0,
            "written_to": to,
        }
        typer.echo(json.dumps(value, indent=2, sort_keys=True))
    else:
        print_told(told, as_json=False)
    count = sum(how == "read" for _, how in found.entries)
    if to is None:
        typer.echo(f"{count} of {len(told)} can be read, {events} events. Nothing was written.", err=True)
        if count and not as_json:
            _next("dlq", "retry", *source.words, "--to", "events.jsonl")
        return
    typer.echo(f"{count} of {len(told)} read, {events} events written to {to}", err=True)


_SAID: Final = {
    "read": "read",
    "refused": "still {codes}",
    "refused_otherwise": "now {codes}: kept as an entry of its own",
    "not_whole": "only a part was kept, it was too large: let its source send it in smaller pieces",
    "not_there": "its bytes are not in the store any more",
}


# Words ----------------------------------------------------------------------------------------------------------


def _short(identifier: str) -> str:
    from pv_stream.cli.terminal import short_id  # noqa: PLC0415 - see above

    return short_id(identifier)


def _next(*words: str) -> None:
    from pv_stream.cli.terminal import program  # noqa: PLC0415 - see above

    typer.echo(f"Next: {program()} {shlex.join(words)}", err=True)
