"""The reject store: the bytes of what was rejected or holds a held value, readable by their owner alone.

`index.jsonl` says for each entry what, why, when and from where, without any content; the bytes stand beside it in a
file named by their digest. Writing the same entry again changes nothing, so a repeated run adds none. Nothing is ever
deleted: what was read after all gets a line that says so.
"""

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from pv_stream.domain.times import MICROSECONDS_PER_SECOND, Instant, format_instant
from pv_stream.errors import DataError, UsageError
from pv_stream.ingest.outcomes import Hold, Reject
from pv_stream.ingest.sources import Record

INDEX_NAME: Final = "index.jsonl"
REJECTED: Final = "rejected"
HELD: Final = "held"
_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class Position:
    """Say where a message stood: the number of the input on the command line, and the message in it."""

    input: int
    record: Record


@dataclass(frozen=True, slots=True)
class Kept:
    """Hold one entry of the index: what was refused or held, and where its bytes are; `kept_at` may be unknown.

    `bytes_kept` is less than `size_bytes` for what was too large to keep whole. `value_digest` belongs to a held value.
    """

    entry_id: str
    kind: str
    code: str
    path: str
    message_digest: str
    size_bytes: int
    bytes_kept: int
    position: dict[str, int]
    kept_at: str | None
    value_digest: str | None
    settled_at: str | None = None

    @property
    def is_whole(self) -> bool:
        """Tell whether all of the message was kept."""
        return self.bytes_kept == self.size_bytes


class RejectStore:
    """Keep rejected and held bytes in one folder; nothing is made until there is something to keep."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder."""
        self.folder = folder
        self._known: set[str] | None = None
        self._index_bytes = 0

    def keep(self, position: Position, digest: str, refused: Iterable[Reject | Hold]) -> None:
        """Keep a message with what of it was refused, or is a held value; it is on disk when this returns.

        Raises DataError when it cannot be kept, UsageError when others can read the folder.
        """
        record = position.record
        common = {
            "message_digest": digest,
            "bytes": record.size,
            "bytes_kept": len(record.content),
            "kept_at": _now(),
            "position": {"input": position.input, "message": record.number, "offset": record.offset},
        }
        entries = {entry["entry"]: entry | common for entry in (_entry(digest, each) for each in refused)}
        try:
            known = self._entries()
            self._write_bytes(digest, record.content)
            if new := entries.keys() - known:
                self._append([entry for identity, entry in entries.items() if identity in new])
                known |= new
        except OSError as error:
            raise self._failed(error) from error

    def entries(self) -> list[Kept]:
        """Return the entries in the order in which they were kept, those that are settled too.

        Raises UsageError when others can read the folder, DataError when it cannot be read.
        """
        kept: dict[str, Kept] = {}
        try:
            if self.folder.is_dir():
                self._check_is_ours()
            for line in self._lines():
                with suppress(KeyError, TypeError):  # not an entry of ours
                    if "settled" in line:
                        old = kept[line["settled"]]
                        kept[old.entry_id] = dataclasses.replace(old, settled_at=line["at"])
                    else:
                        entry = kept_of(line)
                        kept[entry.entry_id] = entry
        except OSError as error:
            raise self._failed(error) from error
        return list(kept.values())

    def content(self, kept: Kept) -> bytes | None:
        """Return the bytes of an entry, or None when they are not there or are not what was kept."""
        try:
            content = self.path_of(kept.message_digest).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(error) from error
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return content if digest == kept.message_digest else None

    def settle(self, settled: Iterable[Kept]) -> None:
        """Note that entries were read after all; they stay where they are."""
        try:
            self._append([{"settled": kept.entry_id, "at": _now()} for kept in settled])
        except OSError as error:
            raise self._failed(error) from error
        self._known = None

    def _entries(self) -> set[str]:
        """Return the entries that are open: one that was settled is kept anew when it is refused again.

        The index is read again when another process has written to it.
        """
        if self._known is None or self._size_of_index() != self._index_bytes:
            self.make_folder()
            self._known = set()
            self._index_bytes = self._size_of_index()
            for line in self._lines():
                with suppress(KeyError, TypeError):
                    if "settled" in line:
                        self._known.discard(line["settled"])
                    else:
                        self._known.add(line["entry"])
        return self._known

    def _lines(self) -> Iterator[Any]:
        with suppress(FileNotFoundError), (self.folder / INDEX_NAME).open("rb") as index:
            for line in index:
                with suppress(ValueError):  # a line torn by a crash is no entry
                    yield json.loads(line)

    def _append(self, lines: list[dict[str, Any]]) -> None:
        content = b"".join(json.dumps(line, sort_keys=True).encode() + b"\n" for line in lines)
        if self._is_torn():
            content = b"\n" + content
        with os.fdopen(self._open(INDEX_NAME, os.O_APPEND), "ab") as index:
            index.write(content)
            _to_disk(index)
        self._index_bytes += len(content)

    def _is_torn(self) -> bool:
        """Tell whether a crash left the index in the middle of a line, which must not swallow the next one."""
        with suppress(FileNotFoundError), (self.folder / INDEX_NAME).open("rb") as index:
            if index.seek(0, os.SEEK_END):
                index.seek(-1, os.SEEK_END)
                return index.read(1) != b"\n"
        return False

    def _size_of_index(self) -> int:
        with suppress(FileNotFoundError):
            return (self.folder / INDEX_NAME).stat().st_size
        return 0

    def _failed(self, error: OSError) -> DataError:
        return DataError(
            f"reject store {self.folder}: {error.strerror}. Name a folder of your own with --rejects."
        )

    def make_folder(self) -> None:
        """Make the folder for its owner alone; one that is there already is used only when it is so.

        Raises UsageError when others can read it, OSError when it cannot be made.
        """
        try:
            self.folder.mkdir(mode=_DIRECTORY_MODE, parents=True)
        except FileExistsError:
            if not self.folder.is_dir():
                raise
            self._check_is_ours()
        else:
            self.folder.chmod(_DIRECTORY_MODE)

    def _check_is_ours(self) -> None:
        if self.folder.stat().st_mode & _OTHERS:
            message = (
                f"reject store {self.folder}: others can read it. `chmod 700` it, or name another folder."
            )
            raise UsageError(message) from None

    def path_of(self, digest: str) -> Path:
        """Return the file of a message's bytes, whether it is there or not."""
        return self.folder / f"{digest.removeprefix('sha256:')}.bin"

    def _write_bytes(self, digest: str, content: bytes) -> None:
        """Write beside and move, so that a full disk leaves no part of a message under its name."""
        path = self.path_of(digest)
        if path.exists() and path.stat().st_size == len(content):
            return
        partial = f".{path.name}.partial"
        try:
            with os.fdopen(self._open(partial, os.O_TRUNC), "wb") as file:
                file.write(content)
                _to_disk(file)
            (self.folder / partial).replace(path)
        except BaseException:
            (self.folder / partial).unlink(missing_ok=True)
            raise

    def _open(self, name: str, flags: int) -> int:
        return os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | flags, _FILE_MODE)


def _entry(digest: str, refused: Reject | Hold) -> dict[str, Any]:
    """Return what an entry says of what was refused or held, with the identity that follows from it."""
    what = {
        "kind": HELD if isinstance(refused, Hold) else REJECTED,
        "code": refused.code.value,
        "path": refused.path,
    }
    if isinstance(refused, Hold):
        what["value_digest"] = refused.value_digest
    return what | {"entry": hashlib.sha256("\x1f".join((digest, *what.values())).encode()).hexdigest()}


def _to_disk(file: BinaryIO) -> None:
    """Wait until the disk has it: a message that was refused may be nowhere else."""
    file.flush()
    os.fsync(file.fileno())


def kept_of(line: Any) -> Kept:
    """Return the entry of a line of the index. Raises KeyError or TypeError when it is none."""
    return Kept(
        entry_id=line["entry"],
        kind=line["kind"],
        code=line["code"],
        path=line["path"],
        message_digest=line["message_digest"],
        size_bytes=line["bytes"],
        bytes_kept=line["bytes_kept"],
        position=line["position"],
        kept_at=line.get("kept_at"),
        value_digest=line.get("value_digest"),
    )


def _now() -> str:
    return format_instant(Instant(int(time.time()) * MICROSECONDS_PER_SECOND))
