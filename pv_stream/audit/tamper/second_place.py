"""The second place: tree heads as signed notes, one file each, in a folder that the owner of the log cannot change.

A head that lies there cannot be taken back. So what is kept is compared with what there is before anything is added.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pv_stream.audit.archive.folder import write_durably
from pv_stream.audit.tamper.checking import Known
from pv_stream.errors import DataError
from pv_stream.ledger.heads import NotATreeHead, TreeHead

_NAME: Final = re.compile(r"(\d{5})-(\d{12})\.note")


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Hold a head that is kept and that the log does not bear out."""

    shard: int
    says: str


def file_name(shard: int, head: TreeHead) -> str:
    """Return the name of a head's note."""
    return f"{shard:05d}-{head.size:012d}.note"


def read_notes(folder: Path) -> dict[int, list[Known]]:
    """Return the heads that a folder keeps, by shard. Raises DataError for a note that cannot be read."""
    kept: dict[int, list[Known]] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        message = f"{folder}: {error.strerror}. Name the folder that `pv-stream audit export --to` wrote."
        raise DataError(message) from None
    for path in paths:
        if named := _NAME.fullmatch(path.name):
            kept.setdefault(int(named[1]), []).append(Known(read_note(path), str(path)))
    return kept


def read_note(path: Path) -> TreeHead:
    """Read one note. Raises DataError."""
    try:
        return TreeHead.from_note(path.read_text(encoding="utf-8"))
    except (NotATreeHead, UnicodeDecodeError):
        message = f"{path} is not a tree head as `pv-stream audit export` writes it"
        raise DataError(message) from None
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise DataError(message) from None


def contradictions(shard: int, heads: Sequence[TreeHead], kept: Sequence[Known]) -> list[Contradiction]:
    """Return what a shard's heads do not bear out of those that are kept."""
    found = []
    of_size = {head.size: head for head in heads}
    for each in kept:
        there = of_size.get(each.head.size)
        if there is None:
            most = max(of_size, default=0)
            says = (
                f"{each.place} knows {each.head.size:,} records and the log {most:,}: it was cut off"
                if most < each.head.size
                else f"{each.place} is of {each.head.size:,} records, and the log has no tree head of that size"
            )
            found.append(Contradiction(shard, says))
        elif there.text != each.head.text:
            says = (
                f"{each.place} says something else than the log does of the same {each.head.size:,} records"
            )
            found.append(Contradiction(shard, says))
    return found


def add(folder: Path, shard: int, head: TreeHead) -> bool:
    """Write a head's note unless it is there, and tell whether it was new."""
    path = folder / file_name(shard, head)
    if path.exists():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    write_durably(path, head.note.encode())
    return True
