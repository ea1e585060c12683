"""Dead letters of the stream: what a worker or a replay could not use, where its bytes stand, and how they read today.

A dead letter holds no content: a code, a digest and a size, and live the position of its record in the input log. The
bytes stay there, or in the file of a log.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pv_stream.audit.log import Log, read_log
from pv_stream.audit.shard_outputs import FILE_OF
from pv_stream.codec.events import Rejection, decode_event
from pv_stream.domain.ids import derive_id
from pv_stream.errors import DataError
from pv_stream.shard.fold import OutputStream


@dataclass(frozen=True, slots=True)
class Pointer:
    """Say where the record of a dead letter stands in the input log."""

    topic: str
    shard: int
    position: int


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """Hold one dead letter as it was read back; a replay knows neither pointer nor when it was written."""

    dead_letter_id: str
    code: str
    value_digest: str
    value_bytes: int
    patient_id: str | None
    pointer: Pointer | None
    written_at: str | None


def row_of(
    value: bytes, pointer: Pointer | None, written_at: str | None, *, number: int = 0
) -> DeadLetterRow:
    """Return a dead letter from its bytes; without a pointer `number` tells equal ones apart.

    Raises ValueError for bytes that are none.
    """
    letter: Any = json.loads(value)
    try:
        code, digest, size = letter["code"], letter["value_digest"], letter["value_bytes"]
        patient_id = letter["patient_id"]
    except (TypeError, KeyError):
        msg = "not a dead letter"
        raise ValueError(msg) from None
    place = (str(number),) if pointer is None else (pointer.topic, str(pointer.shard), str(pointer.position))
    return DeadLetterRow(
        derive_id("dl", *place, digest, code), code, digest, size, patient_id, pointer, written_at
    )


def rows_in_folder(folder: Path) -> list[DeadLetterRow]:
    """Return the dead letters of a replay. Raises DataError when the folder holds none."""
    path = folder / FILE_OF[OutputStream.DEAD_LETTERS]
    seen: Counter[bytes] = Counter()
    rows: list[DeadLetterRow] = []
    try:
        with path.open("rb") as lines:
            for line in lines:
                seen[line] += 1
                rows.append(row_of(line, None, None, number=seen[line]))
    except (OSError, ValueError):
        msg = (
            f"{path} is not the dead letters of a replay: name the folder that `pv-stream replay --out` wrote"
        )
        raise DataError(msg) from None
    return rows


def values_in_log(log: Log, digests: frozenset[str]) -> dict[str, bytes]:
    """Return the bytes of the records of a log that have these digests."""
    found: dict[str, bytes] = {}
    for line in read_log(log):
        value = line.record.value or b""
        digest = digest_of(value)
        if digest in digests:
            found[digest] = value
    return found


def digest_of(value: bytes) -> str:
    """Return the digest by which a dead letter names its record."""
    return f"sha256:{hashlib.sha256(value).hexdigest()}"


def reads_today(row: DeadLetterRow, value: bytes | None) -> tuple[bool, str]:
    """Return whether the record of a dead letter can be decoded today, and what to say of it."""
    if value is None:
        return False, "its record is not there any more"
    if digest_of(value) != row.value_digest:
        return False, "another record stands there: was the topic made anew?"
    event = decode_event(value)
    if isinstance(event, Rejection):
        return False, f"still {event.code}" if event.code == row.code else f"now {event.code}"
    return True, "can be read"


def count_by_code(codes: Sequence[str]) -> dict[str, int]:
    """Return how many there are of each code, the most frequent first."""
    return dict(sorted(Counter(codes).items(), key=lambda item: (-item[1], item[0])))
