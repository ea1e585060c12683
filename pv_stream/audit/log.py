"""A log: canonical events as JSON lines, or an archive of the topic made by `pv-stream archive`, a folder or one file.

A line of events is a record as it stands: what cannot be read becomes a dead letter of the fold, as it would live.
A line of an archive in one file is an envelope around the exact bytes of a record with its shard and position; an
envelope that cannot be read means that the file is damaged, and that is an error. A folder is checked segment by
segment as it is read (`audit.archive`). Nothing here knows what an event means.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pv_stream.audit.archive.folder import MANIFEST, ArchivedTopic, ShardReader, read_topic, refuse_gap
from pv_stream.audit.record_kinds import is_of_type, is_transfer, json_object
from pv_stream.errors import DataError, UsageError
from pv_stream.shard.fold import RawRecord

#: How the topic of the input log ends, whatever stands before it on a shared cluster.
EVENTS_TOPIC: Final = "pv.clinical.events.v1"
#: The version of an archive in one file, in its first line.
ARCHIVE_VERSION: Final = 1


class LogForm(StrEnum):
    """Name what the lines of a log are."""

    EVENTS = "events"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class LogRecord:
    """Hold one record of a log with its shard and where the file stands after it, in bytes."""

    shard: int
    record: RawRecord
    bytes_read: int


@dataclass(frozen=True, slots=True)
class Log:
    """Name a log, its form and the number of shards that it was written for.

    `makes_transfers` says that it holds no transfers of merged patients, so that a replay makes them. `parts` are the
    archived topics that it is made of, each the tail of those before; there are none for a log in one file.
    """

    path: Path
    form: LogForm
    shard_count: int
    makes_transfers: bool = False
    parts: tuple[ArchivedTopic, ...] = ()

    def shard_bytes(self, shard: int) -> int:
        """Return how many bytes one shard of an archive in a folder takes."""
        return sum(segment.bytes for part in self.parts for segment in part.shards[shard])


@dataclass(frozen=True, slots=True)
class Survey:
    """Hold what one pass over a log tells: its digest and size, its records about no patient, and its merges."""

    digest: str
    size_bytes: int
    clock_records: int
    activations: int = 0
    merges: int = 0


def open_log(path: Path, *, shards: int | None = None) -> Log:
    """Look at a folder, or at the first line of a file, and return what kind of log it is.

    `shards` is needed, and allowed, only for an archive without a header. Raises DataError when it cannot be read and
    UsageError when `shards` contradicts it.
    """
    if path.is_dir():
        return _open_folder(path, shards)
    with _reading(path) as file:
        first = file.readline()
    header = json_object(first)
    if "archive" in header:
        return Log(path, LogForm.ARCHIVE, _shards_of_header(path, header, shards))
    if {"shard", "position"} <= header.keys():
        if shards is None:
            msg = (
                f"{path} is an archive without a header: say how many partitions the topic had with --shards"
            )
            raise UsageError(msg)
        return Log(path, LogForm.ARCHIVE, shards)
    if shards not in {None, 1}:
        msg = f"{path} holds plain events, which are one shard: leave out --shards"
        raise UsageError(msg)
    return Log(path, LogForm.EVENTS, 1, makes_transfers=not _holds_transfers(path))


def with_tail(log: Log, tail: ArchivedTopic) -> Log:
    """Return a log that an archived tail goes on with. Raises DataError when something between them is missing."""
    parts = (*log.parts, tail)
    refuse_gap(parts)
    return replace(log, parts=parts)


def log_of(topic: ArchivedTopic, path: Path) -> Log:
    """Return the log that an archived topic is. Raises DataError when it does not begin at the beginning."""
    refuse_gap((topic,))
    return Log(path, LogForm.ARCHIVE, topic.shard_count, parts=(topic,))


def originating(log: Log) -> Log:
    """Return a log whose transfers of merged patients are made by the replay. Raises UsageError when that cannot be."""
    if log.form is LogForm.EVENTS and not log.makes_transfers:
        msg = f"--originate: {log.path} holds transfers, so it was recorded: leave it out"
        raise UsageError(msg)
    if log.shard_count != 1:
        msg = (
            f"--originate: {log.path} has {log.shard_count} shards, and their order is not known, so what merged "
            "patients hand over can not be made again: replay the file of events that it was written from"
        )
        raise UsageError(msg)
    return replace(log, makes_transfers=True)


def log_bytes(log: Log) -> int:
    """Return the size of a log, 0 when it cannot be told."""
    if log.parts:
        return sum(log.shard_bytes(shard) for shard in range(log.shard_count))
    try:
        return log.path.stat().st_size
    except OSError:
        return 0


def events_folder(path: Path) -> Path:
    """Return the folder of the input log in an archive: of one topic, or of several. Raises DataError without one."""
    if (path / MANIFEST).exists():
        return path
    found = sorted(
        folder
        for folder in path.iterdir()
        if folder.name.endswith(EVENTS_TOPIC) and (folder / MANIFEST).exists()
    )
    if len(found) != 1:
        what = "no archive of the input log" if not found else "archives of several input logs"
        msg = f"{path} holds {what}: name the folder that `pv-stream archive --out` wrote"
        raise DataError(msg)
    return found[0]


def _open_folder(path: Path, shards: int | None) -> Log:
    log = log_of(read_topic(events_folder(path)), path)
    if shards not in {None, log.shard_count}:
        msg = f"{path} is an archive of {log.shard_count} shards: leave out --shards"
        raise UsageError(msg)
    return log


def _holds_transfers(path: Path) -> bool:
    with _reading(path) as file:
        return any(is_transfer(line) for line in file)


def _shards_of_header(path: Path, header: dict[str, Any], shards: int | None) -> int:
    partitions = header.get("partitions")
    if header.get("archive") != ARCHIVE_VERSION or not isinstance(partitions, int) or partitions < 1:
        msg = f"{path} line 1: not a header of an archive of version {ARCHIVE_VERSION}"
        raise DataError(msg)
    if shards not in {None, partitions}:
        msg = f"{path} was written for {partitions} partitions: leave out --shards"
        raise UsageError(msg)
    return partitions


def read_log(log: Log) -> Iterator[LogRecord]:
    """Yield the records of a log in its order, blank lines left out; an archive in a folder gives shard by shard.

    Raises DataError naming the line, or the segment, when an archive is damaged.
    """
    for part in read_in_parts(log):
        yield from part


def read_in_parts(log: Log) -> Iterator[Iterator[LogRecord]]:
    """Yield the same in as many parts as can be read one after the other: each shard of an archive in a folder.

    No shard stands in two parts, so the states of one part are not needed for the next.
    """
    if not log.parts:
        yield _read_file(log)
        return
    done = 0
    for shard in range(log.shard_count):
        yield _read_part(log, shard, done)
        done += log.shard_bytes(shard)


def _read_part(log: Log, shard: int, done: int) -> Iterator[LogRecord]:
    for record in read_shard(log, shard):
        yield LogRecord(shard, record.record, done + record.bytes_read)


def read_shard(log: Log, shard: int) -> Iterator[LogRecord]:
    """Yield the records of one shard of an archive in a folder; `bytes_read` counts those of the shard."""
    reader = ShardReader(log.parts, shard)
    for record in reader:
        yield LogRecord(shard, RawRecord(record.position, record.key, record.value), reader.bytes_done)


def _read_file(log: Log) -> Iterator[LogRecord]:
    last_positions: dict[int, int] = {}
    bytes_read = 0
    with _reading(log.path) as file:
        for number, line in enumerate(file):
            bytes_read += len(line)
            content = line.strip(b" \t\r\n")
            if not content or (
                number == 0 and log.form is LogForm.ARCHIVE and "archive" in json_object(content)
            ):
                continue
            if log.form is LogForm.EVENTS:
                yield LogRecord(0, RawRecord(number, key_of_line(content), content), bytes_read)
                continue
            shard, record = _archived(log, number + 1, content)
            if record.position <= last_positions.get(shard, -1):
                msg = f"{log.path} line {number + 1}: position {record.position} of shard {shard} is out of order"
                raise DataError(msg)
            last_positions[shard] = record.position
            yield LogRecord(shard, record, bytes_read)


def key_of_line(line: bytes) -> bytes | None:
    """Return the key under which a line of events would have been written: its patient, or None."""
    patient_id = json_object(line).get("patient_id")
    return patient_id.encode(errors="replace") if isinstance(patient_id, str) else None


def survey(log: Log) -> Survey:
    """Read a log once for its digest, size, clock records, activations of rulebooks, and merges of patients."""
    if log.parts:
        return _survey_of_parts(log)
    digest = hashlib.sha256()
    size_bytes = clock_records = activations = merges = 0
    with _reading(log.path) as file:
        for line in file:
            digest.update(line)
            size_bytes += len(line)
            clock_records += b"clock" in line and _is_of_type("clock", line, log.form)
            activations += b"control.activate" in line and _is_of_type("control.activate", line, log.form)
            merges += b"identity.absorbed" in line and _is_of_type("identity.absorbed", line, log.form)
    return Survey(f"sha256:{digest.hexdigest()}", size_bytes, clock_records, activations, merges)


def _survey_of_parts(log: Log) -> Survey:
    """Return what the manifests say, which reading checks against the segments."""
    segments = [segment for part in log.parts for shard in part.shards for segment in shard]
    return Survey(
        input_digest(log.parts),
        sum(segment.bytes for segment in segments),
        sum(segment.clock_records for segment in segments),
        sum(segment.activations for segment in segments),
        sum(segment.merges for segment in segments),
    )


def input_digest(parts: tuple[ArchivedTopic, ...]) -> str:
    """Return the digest of an archived log: of its topic and of the last segment of each shard."""
    heads = []
    for shard in range(parts[0].shard_count):
        head = ""
        for part in parts:
            head = part.head(shard, before=head)
        heads.append(head)
    named = json.dumps([parts[0].topic, heads], separators=(",", ":")).encode()
    return f"sha256:{hashlib.sha256(named).hexdigest()}"


def is_clock(record: RawRecord) -> bool:
    """Tell whether a record is one of the shard's clock."""
    return record.value is not None and is_of_type("clock", record.value)


def _is_of_type(kind: str, line: bytes, form: LogForm) -> bool:
    return is_of_type(kind, _value_of(json_object(line)) if form is LogForm.ARCHIVE else line)


def _value_of(envelope: dict[str, Any]) -> bytes:
    try:
        return _bytes(envelope, "value") or b""
    except ValueError:
        return b""


def _archived(log: Log, line_number: int, line: bytes) -> tuple[int, RawRecord]:
    envelope = json_object(line)
    shard, position = envelope.get("shard"), envelope.get("position")
    damaged = f"{log.path} line {line_number}: not a record of an archive of {log.shard_count} shards"
    if not (isinstance(shard, int) and isinstance(position, int) and 0 <= shard < log.shard_count):
        raise DataError(damaged)
    try:
        return shard, RawRecord(position, _bytes(envelope, "key"), _bytes(envelope, "value"))
    except ValueError:
        raise DataError(damaged) from None


def _bytes(envelope: dict[str, Any], name: str) -> bytes | None:
    encoded = envelope.get(f"{name}_base64")
    if encoded is not None:
        try:
            return base64.b64decode(encoded, validate=True)
        except (TypeError, binascii.Error):
            raise ValueError(name) from None
    text = envelope.get(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError(name)  # noqa: TRY004 - what is wrong is the file, as with bad base64
    return text.encode()


def _reading(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        msg = f"{path}: {error.strerror}. Name a file of events, as `pv-stream ingest PATH --to FILE` writes it."
        raise DataError(msg) from None
