"""A log in a file: canonical events as JSON lines, or an archive of the topic made by `pv-stream archive`.

A line of events is a record as it stands: what cannot be read becomes a dead letter of the fold, as it would live.
A line of an archive is an envelope around the exact bytes of a record with its shard and position; an envelope that
cannot be read means that the file is damaged, and that is an error. Nothing here knows what an event means.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pv_stream.errors import DataError, UsageError
from pv_stream.shard.fold import RawRecord

_TRANSFERS: Final = frozenset({"identity.transferred", "identity.received"})
#: The version of the archive's format, in its first line.
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
    """Name a log file, its form and the number of shards that it was written for.

    `makes_transfers` says that it holds no transfers of merged patients, so that a replay makes them.
    """

    path: Path
    form: LogForm
    shard_count: int
    makes_transfers: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """Hold what one pass over a log tells: its digest and size, its records about no patient, and its merges."""

    digest: str
    size_bytes: int
    clock_records: int
    activations: int = 0
    merges: int = 0


def open_log(path: Path, *, shards: int | None = None) -> Log:
    """Look at the first line of a file and return what kind of log it is.

    `shards` is needed, and allowed, only for an archive without a header. Raises DataError when the file cannot be
    read and UsageError when `shards` contradicts it.
    """
    with _reading(path) as file:
        first = file.readline()
    header = _json_object(first)
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


def _holds_transfers(path: Path) -> bool:
    with _reading(path) as file:
        return any(is_transfer(line) for line in file)


def is_transfer(value: bytes) -> bool:
    """Tell whether a record is one that shards write to each other about merged patients."""
    return b'"identity.' in value and _json_object(value).get("type") in _TRANSFERS


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
    """Yield the records of a log in the order of the file, blank lines left out.

    Raises DataError naming the line when an archive is damaged.
    """
    last_positions: dict[int, int] = {}
    bytes_read = 0
    with _reading(log.path) as file:
        for number, line in enumerate(file):
            bytes_read += len(line)
            content = line.strip(b" \t\r\n")
            if not content or (
                number == 0 and log.form is LogForm.ARCHIVE and "archive" in _json_object(content)
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
    patient_id = _json_object(line).get("patient_id")
    return patient_id.encode(errors="replace") if isinstance(patient_id, str) else None


def survey(log: Log) -> Survey:
    """Read a log once for its digest, size, clock records, activations of rulebooks, and merges of patients."""
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


def is_clock(record: RawRecord) -> bool:
    """Tell whether a record is one of the shard's clock."""
    return (
        record.value is not None
        and b'"clock"' in record.value
        and _is_of_type("clock", record.value, LogForm.EVENTS)
    )


def _is_of_type(kind: str, line: bytes, form: LogForm) -> bool:
    value = _json_object(line)
    if form is LogForm.ARCHIVE:
        value = _json_object(_value_of(value))
    return value.get("type") == kind


def _value_of(envelope: dict[str, Any]) -> bytes:
    try:
        return _bytes(envelope, "value") or b""
    except ValueError:
        return b""


def _archived(log: Log, line_number: int, line: bytes) -> tuple[int, RawRecord]:
    envelope = _json_object(line)
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


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _reading(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        msg = f"{path}: {error.strerror}. Name a file of events, as `pv-stream ingest PATH --to FILE` writes it."
        raise DataError(msg) from None
