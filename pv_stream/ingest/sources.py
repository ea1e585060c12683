"""Files as messages: which format a file has, and where one message ends and the next begins.

A file is read in pieces and a message is kept up to `bytes_max`; what is longer is measured to its end, so that it
can be rejected as too large without ever being held whole in memory.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from pv_stream.ingest.hl7v2.files import Splitter, is_hl7v2
from pv_stream.ingest.icsr.batch import is_e2b, split_batch
from pv_stream.ingest.icsr.openfda_files import has_results, is_openfda, split_results

_CHUNK_BYTES: Final = 64 * 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_FRAMING: Final = b"\x0b\x1c \t\r\n"
_LINES_LOOKED_AT: Final = 50
#: A Bundle of a patient's whole life is held whole in memory; read, it takes some ten times as much.
FHIR_DOCUMENT_BYTES_MAX: Final = 64 * 1024 * 1024
#: A batch of safety reports is held whole in memory.
DOCUMENT_BYTES_MAX: Final = 256 * 1024 * 1024


class Format(StrEnum):
    """Name what `--format` accepts."""

    AUTO = "auto"
    CANONICAL = "canonical"
    HL7V2 = "hl7v2"
    FHIR = "fhir"
    E2B = "e2b"
    OPENFDA = "openfda"


#: What a line of JSON is known by.
_KEYS: Final = {
    "resourceType": Format.FHIR,
    "schema_version": Format.CANONICAL,
    "safetyreportid": Format.OPENFDA,
}


@dataclass(frozen=True, slots=True)
class Record:
    """Hold one message as bytes, its number in the file (from 1), where it begins and how long it is.

    `content` is cut at the limit when `size` is larger. `envelope` names the batch segments of HL7v2 around it, and
    `counts_differ` is how many of them state another number of messages than there are.
    """

    content: bytes
    number: int
    offset: int
    size: int
    envelope: tuple[str, ...] = ()
    counts_differ: int = 0


def find_format(head: bytes, suffix: str) -> Format | None:
    """Return the format of a file by its beginning, or None when it is none of ours."""
    text = head.removeprefix(_BYTE_ORDER_MARK).lstrip(_FRAMING)
    if is_hl7v2(head):
        return Format.HL7V2
    if is_e2b(head):
        return Format.E2B
    found = next((form for record in _parsed_lines(head) if (form := _form_of_line(record))), None)
    if found is not None:
        return found
    if b'"resourceType"' in head:
        return Format.FHIR
    if is_openfda(head):
        return Format.OPENFDA
    if b'"schema_version"' in head or suffix == ".jsonl":
        return Format.CANONICAL
    return Format.FHIR if text.startswith(b"{") or suffix == ".json" else None


def _form_of_line(record: dict[str, object]) -> Format | None:
    return next((form for key, form in _KEYS.items() if key in record), None)


def records(
    path: Path,
    chosen: Format,
    bytes_max: int,
    document_bytes_max: int = DOCUMENT_BYTES_MAX,
    fhir_document_bytes_max: int = FHIR_DOCUMENT_BYTES_MAX,
) -> Iterator[tuple[Format | None, Record]]:
    """Yield the messages of a file with their format. Raises OSError when it cannot be read.

    `bytes_max` bounds one message, `document_bytes_max` a whole batch of safety reports, `fhir_document_bytes_max`
    a FHIR document, whose resources are held to `bytes_max` by their reader.
    """
    with path.open("rb") as file:
        head = _head(file)
        form = find_format(head, path.suffix.lower()) if chosen is Format.AUTO else chosen
        for record in messages(file, form, bytes_max, document_bytes_max, fhir_document_bytes_max):
            yield form, record


def fhir_documents(
    path: Path, chosen: Format, bytes_max: int, fhir_document_bytes_max: int = FHIR_DOCUMENT_BYTES_MAX
) -> Iterator[bytes]:
    """Yield the whole FHIR documents of a file; none of a file of another format. Raises OSError as `records` does."""
    with path.open("rb") as file:
        head = _head(file)
        form = find_format(head, path.suffix.lower()) if chosen is Format.AUTO else chosen
        if form is Format.FHIR:
            for record in _fhir_documents(file, head, max(bytes_max, fhir_document_bytes_max)):
                if record.size == len(record.content):
                    yield record.content


def messages(
    file: BinaryIO,
    form: Format | None,
    bytes_max: int,
    document_bytes_max: int = DOCUMENT_BYTES_MAX,
    fhir_document_bytes_max: int = FHIR_DOCUMENT_BYTES_MAX,
) -> Iterator[Record]:
    """Yield the messages of an open file of a known format; the limits are those of `records`."""
    match form:
        case Format.E2B:
            return _reports(file, bytes_max, document_bytes_max)
        case Format.FHIR:
            return _fhir_documents(file, _head(file), max(bytes_max, fhir_document_bytes_max))
        case Format.HL7V2:
            return _hl7_messages(file, _head(file), bytes_max)
        case Format.OPENFDA:
            return _openfda_reports(file, _head(file), bytes_max)
        case Format.CANONICAL:
            return _lines(file, bytes_max)
        case _:
            return _whole(file, bytes_max)


def _head(file: BinaryIO) -> bytes:
    head = file.read(_CHUNK_BYTES)
    file.seek(0)
    return head


def _fhir_documents(file: BinaryIO, head: bytes, bytes_max: int) -> Iterator[Record]:
    """Yield each line of a bulk export, else the whole file as one document."""
    is_export = any("resourceType" in record for record in _parsed_lines(head)) or (
        len(head) == _CHUNK_BYTES and b"\n" not in head and _has_objects_by_line(file, bytes_max)
    )
    return _lines(file, bytes_max) if is_export else _whole(file, bytes_max)


def _has_objects_by_line(file: BinaryIO, bytes_max: int) -> bool:
    """Tell whether a file whose first line is long begins with two lines that look like objects of their own."""
    first, after = file.readline(bytes_max + 1).strip(), file.readline(_CHUNK_BYTES).lstrip()
    file.seek(0)
    return first.startswith(b"{") and first.endswith(b"}") and after.startswith(b"{")


def _openfda_reports(file: BinaryIO, head: bytes, bytes_max: int) -> Iterator[Record]:
    if has_results(head):
        number = 0
        for piece in split_results(file, bytes_max):
            number += 1
            yield Record(piece.content, number, piece.offset, piece.size)
        if number == 0:  # for its reader to say what stands where the reports should
            file.seek(0)
            yield from _whole(file, bytes_max)
    else:
        # A line that does not end in the head is a report of its own; one that is no JSON is a part of one.
        is_one_to_a_line = b"\n" not in head.strip() or any(_parsed_lines(head))
        yield from (_lines if is_one_to_a_line else _whole)(file, bytes_max)


def _parsed_lines(head: bytes) -> Iterator[dict[str, object]]:
    """Yield the first lines that are JSON objects of their own."""
    for line in head.removeprefix(_BYTE_ORDER_MARK).splitlines()[:_LINES_LOOKED_AT]:
        if line.startswith(b"{"):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield value


def _whole(file: BinaryIO, bytes_max: int) -> Iterator[Record]:
    content = file.read(bytes_max + 1)
    size = len(content)
    while chunk := file.read(_CHUNK_BYTES):
        size += len(chunk)
    yield Record(content[:bytes_max], 1, 0, size)


def _reports(file: BinaryIO, bytes_max: int, document_bytes_max: int) -> Iterator[Record]:
    """Yield the reports of a batch; a batch that is too large as a whole is one message that is too large."""
    content = file.read(document_bytes_max + 1)
    if len(content) > document_bytes_max:
        file.seek(0)
        yield from _whole(file, bytes_max)
        return
    for number, part in enumerate(split_batch(content), start=1):
        kept = part.content if part.size <= bytes_max else part.content[:bytes_max]
        yield Record(kept, number, part.offset, part.size)


def _lines(file: BinaryIO, bytes_max: int) -> Iterator[Record]:
    """Yield each line that is not blank; a file without any gives one empty message."""
    number = offset = 0
    while line := file.readline(bytes_max + 1):
        size = len(line)
        last = line
        while not last.endswith(b"\n") and (last := file.readline(_CHUNK_BYTES)):
            size += len(last)
        content = line.removeprefix(_BYTE_ORDER_MARK) if offset == 0 else line
        if content.strip():
            number += 1
            yield Record(content.rstrip(b"\r\n")[:bytes_max], number, offset, size - _end_length(line, last))
        offset += size
    if number == 0:
        yield Record(b"", 1, 0, 0)


def _end_length(line: bytes, last: bytes) -> int:
    tail = last or line
    return len(tail) - len(tail.rstrip(b"\r\n"))


def _hl7_messages(file: BinaryIO, head: bytes, bytes_max: int) -> Iterator[Record]:
    for number, piece in enumerate(Splitter(head, bytes_max).pieces(file), start=1):
        yield Record(
            bytes(piece.content), number, piece.offset, piece.size, tuple(piece.envelope), piece.counts_differ
        )
