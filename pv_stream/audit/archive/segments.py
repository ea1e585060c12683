"""Segments: some records of one shard of a topic as one compressed file, which is written once and never changed.

A segment says itself what it is: topic, shard, the positions that it covers, and the digest of the segment before
it, so that a row of segments is a chain. Records are counted text, so that any bytes come back exactly, and a person
can read them with `zcat`. Nothing here touches a file.
"""

import base64
import binascii
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from pv_stream.errors import DataError

#: The version of the format, in the first line of each segment and in the manifest.
ARCHIVE_VERSION: Final = 2
#: What the first segment of a shard names as the digest before it.
BEGINNING: Final = ""
#: zlib's own default; 9 takes a third more time and saves 2 %.
_LEVEL: Final = 6
_NOTHING: Final = -1
#: What a segment unpacks to at most: four times what one is filled to, so that a few bytes never fill the memory.
TEXT_BYTES_MAX: Final = 128 * 1024 * 1024
#: zlib's word for gzip.
_GZIP: Final = 31

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class ArchivedRecord:
    """Hold one record of a topic as it stands there; `timestamp_ms` is Kafka's own time stamp."""

    position: int
    timestamp_ms: int
    key: bytes | None
    headers: Headers
    value: bytes | None


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """Hold the first line of a segment.

    It covers the positions from `first` up to, without, `end`: some of them may hold no record but a marker of Kafka's
    own. The counts are of records that a reader of a log must know of before it begins.
    """

    topic: str
    shard: int
    shard_count: int
    first: int
    end: int
    records: int
    previous: str
    clock_records: int = 0
    activations: int = 0
    merges: int = 0
    archive: int = ARCHIVE_VERSION


def digest_of(content: bytes) -> str:
    """Return the digest by which a segment is known."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def encode_record(record: ArchivedRecord) -> bytes:
    """Return a record as counted text: a line of numbers, then key, headers and value, each on a line of its own.

    The numbers are position, time stamp, and the bytes of the three, -1 for a key or value that is none.
    """
    key, headers, value = record.key, _encode_headers(record.headers), record.value
    return b"%d %d %d %d %d\n%b\n%b\n%b\n" % (
        record.position,
        record.timestamp_ms,
        _NOTHING if key is None else len(key),
        len(headers),
        _NOTHING if value is None else len(value),
        key or b"",
        headers,
        value or b"",
    )


def encode_segment(header: SegmentHeader, records: Sequence[bytes]) -> bytes:
    """Return the bytes of a segment; the same records give the same bytes under the same zlib."""
    first_line = json.dumps(asdict(header), sort_keys=True, separators=(",", ":")).encode()
    return gzip.compress(b"".join((first_line, b"\n", *records)), _LEVEL, mtime=0)


def decode_segment(content: bytes, *, name: str) -> tuple[SegmentHeader, bytes]:
    """Return the header of a segment and its records, still as text. Raises DataError naming the segment."""
    unpacking = zlib.decompressobj(_GZIP)
    try:
        text = unpacking.decompress(content, TEXT_BYTES_MAX)
    except zlib.error:
        text = b""
    if not unpacking.eof or unpacking.unused_data:
        message = f"{name}: it cannot be unpacked: bring back the archive from a copy"
        raise DataError(message)
    first_line, _, rest = text.partition(b"\n")
    return _header(first_line, name), rest


def decode_records(text: bytes, *, name: str) -> Iterator[ArchivedRecord]:
    """Yield the records of a segment. Raises DataError naming the segment for what is no record."""
    offset, end = 0, len(text)
    try:
        while offset < end:
            line_end = text.index(b"\n", offset)
            position, timestamp_ms, *sizes = map(int, text[offset:line_end].split(b" "))
            offset = line_end + 1
            parts: list[bytes | None] = []
            for size in sizes:
                length = max(size, 0)
                parts.append(None if size == _NOTHING else text[offset : offset + length])
                offset += length
                if text[offset : offset + 1] != b"\n":
                    raise ValueError(offset)  # noqa: TRY301 - as what int and index say of damage
                offset += 1
            key, headers, value = parts
            yield ArchivedRecord(
                position, timestamp_ms, key, _decode_headers(headers) if headers else (), value
            )
    except ValueError:
        message = f"{name}: what stands at byte {offset} of its text is no record: bring back a copy"
        raise DataError(message) from None


def _header(line: bytes, name: str) -> SegmentHeader:
    try:
        values: Any = json.loads(line)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or values.get("archive") != ARCHIVE_VERSION:
        message = f"{name}: not a segment of an archive of version {ARCHIVE_VERSION}"
        raise DataError(message)
    if values.keys() != {field.name for field in fields(SegmentHeader)}:
        message = f"{name}: its first line is not that of a segment"
        raise DataError(message)
    return SegmentHeader(**values)


def _encode_headers(headers: Headers) -> bytes:
    if not headers:
        return b""
    rows = [[name, None if value is None else base64.b64encode(value).decode()] for name, value in headers]
    return json.dumps(rows, separators=(",", ":")).encode()


def _decode_headers(text: bytes) -> Headers:
    try:
        rows: list[tuple[str, str | None]] = json.loads(text)
        return tuple(
            (name, None if value is None else base64.b64decode(value, validate=True)) for name, value in rows
        )
    except (TypeError, RecursionError, binascii.Error) as error:
        raise ValueError(text) from error
