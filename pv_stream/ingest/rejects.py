"""The reject store: the bytes of what was rejected or holds a held value, readable by their owner alone.

`index.jsonl` says for each entry what, why and from where, without any content; the bytes stand beside it in a file
named by their digest. Writing the same entry again changes nothing, so a repeated run adds none.
"""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pv_stream.errors import DataError, UsageError
from pv_stream.ingest.outcomes import Hold, Reject
from pv_stream.ingest.sources import Record

INDEX_NAME: Final = "index.jsonl"
_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class Position:
    """Say where a message stood: the number of the input on the command line, and the message in it."""

    input: int
    record: Record


class RejectStore:
    """Keep rejected and held bytes in one folder; nothing is made until there is something to keep."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder."""
        self.folder = folder
        self._known: set[str] | None = None

    def keep_reject(self, position: Position, digest: str, reject: Reject) -> None:
        """Keep a message that was refused, whole or in one of its resources."""
        self._keep(position, digest, {"kind": "rejected", "code": reject.code.value, "path": reject.path})

    def keep_hold(self, position: Position, digest: str, hold: Hold) -> None:
        """Keep the message that carries a held value."""
        entry = {
            "kind": "held",
            "code": hold.code.value,
            "path": hold.path,
            "value_digest": hold.value_digest,
        }
        self._keep(position, digest, entry)

    def _keep(self, position: Position, digest: str, what: dict[str, str]) -> None:
        record = position.record
        identity = hashlib.sha256("\x1f".join((digest, *what.values())).encode()).hexdigest()
        entry = {
            **what,
            "entry": identity,
            "message_digest": digest,
            "bytes": record.size,
            "bytes_kept": len(record.content),
            "position": {"input": position.input, "message": record.number, "offset": record.offset},
        }
        try:
            known = self._entries()
            self._write_bytes(digest, record.content)
            if identity in known:
                return
            line = json.dumps(entry, sort_keys=True).encode() + b"\n"
            with os.fdopen(self._open(INDEX_NAME, os.O_APPEND), "ab") as index:
                index.write(line)
            known.add(identity)
        except OSError as error:
            message = (
                f"reject store {self.folder}: {error.strerror}. Name a folder of your own with --rejects."
            )
            raise DataError(message) from error

    def _entries(self) -> set[str]:
        if self._known is None:
            self.make_folder()
            self._known = set()
            with suppress(FileNotFoundError), (self.folder / INDEX_NAME).open("rb") as index:
                for line in index:
                    with suppress(ValueError, KeyError, TypeError):  # a line torn by a crash is no entry
                        self._known.add(json.loads(line)["entry"])
        return self._known

    def make_folder(self) -> None:
        """Make the folder for its owner alone; one that is there already is used only when it is so.

        Raises UsageError when others can read it, OSError when it cannot be made.
        """
        try:
            self.folder.mkdir(mode=_DIRECTORY_MODE, parents=True)
        except FileExistsError:
            if self.folder.is_dir() and self.folder.stat().st_mode & _OTHERS:
                message = (
                    f"reject store {self.folder}: others can read it. `chmod 700` it, or name another folder."
                )
                raise UsageError(message) from None
            if not self.folder.is_dir():
                raise
        else:
            self.folder.chmod(_DIRECTORY_MODE)

    def _write_bytes(self, digest: str, content: bytes) -> None:
        """Write beside and move, so that a full disk leaves no part of a message under its name."""
        path = self.folder / f"{digest.removeprefix('sha256:')}.bin"
        if path.exists() and path.stat().st_size == len(content):
            return
        partial = f".{path.name}.partial"
        try:
            with os.fdopen(self._open(partial, os.O_TRUNC), "wb") as file:
                file.write(content)
            (self.folder / partial).replace(path)
        except BaseException:
            (self.folder / partial).unlink(missing_ok=True)
            raise

    def _open(self, name: str, flags: int) -> int:
        return os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | flags, _FILE_MODE)
