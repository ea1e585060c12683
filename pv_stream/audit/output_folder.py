"""The folder of a replay: five files of outputs and a manifest, put in place whole or not at all.

Everything is first written into a folder of its own beside them; then the old manifest goes, the files are renamed,
and the new manifest comes last. So a folder with a manifest is complete, and a replay that failed leaves none.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pv_stream.errors import DataError, UsageError
from pv_stream.shard.fold import OutputStream, OutRecord

MANIFEST: Final = "manifest.json"
FILE_OF: Final[Mapping[OutputStream, str]] = {
    OutputStream.ALERTS: "alerts.jsonl",
    OutputStream.RECURRENCES: "recurrences.jsonl",
    OutputStream.CASES: "cases.jsonl",
    OutputStream.ACTIONS: "actions.jsonl",
    OutputStream.DEAD_LETTERS: "dead_letters.jsonl",
}
_PARTIAL: Final = ".replay-in-progress"
_FLUSH_BYTES: Final = 1 << 20


@dataclass(slots=True)
class OutputFolder:
    """Write the outputs of a replay; `finish` puts them in place, `abandon` removes what was written."""

    directory: Path
    _waiting: dict[tuple[OutputStream, int], bytearray] = field(default_factory=dict)
    _shards: set[int] = field(default_factory=set)
    _is_new: bool = False

    @property
    def _partial(self) -> Path:
        return self.directory / _PARTIAL

    def begin(self, log_digest: str, *, force: bool) -> None:
        """Make the folder ready. Raise UsageError when it holds something that is no replay of the same log."""
        if self.directory.exists() and not self.directory.is_dir():
            msg = f"{self.directory} is a file: name a folder for --out"
            raise UsageError(msg)
        if (
            not force
            and self.directory.is_dir()
            and any(self.directory.iterdir())
            and not _is_replay(self.directory)
        ):
            msg = f"{self.directory} holds files that no replay wrote: name another folder, or add --force"
            raise UsageError(msg)
        earlier = read_manifest(self.directory)
        if not force and earlier is not None and _log_digest(earlier) != log_digest:
            msg = f"{self.directory} holds a replay of another log: name another folder, or add --force"
            raise UsageError(msg)
        self._is_new = not self.directory.exists()
        try:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial.mkdir(parents=True)
        except OSError as error:
            msg = f"{self.directory}: {error.strerror}. Name a folder that can be written."
            raise DataError(msg) from None

    def add(self, shard: int, output: OutRecord) -> None:
        """Append one output of a shard; a shard's outputs come in order of (position, ordinal)."""
        self._shards.add(shard)
        waiting = self._waiting.setdefault((output.stream, shard), bytearray())
        waiting += output.value + b"\n"
        if len(waiting) >= _FLUSH_BYTES:
            self._flush(output.stream, shard)

    def finish(self) -> dict[str, dict[str, Any]]:
        """Join the shards in order, put the files in place, and return digest and records of each."""
        for stream, shard in list(self._waiting):
            self._flush(stream, shard)
        files = {FILE_OF[stream]: self._join(stream) for stream in FILE_OF}
        (self.directory / MANIFEST).unlink(missing_ok=True)
        for name in files:
            (self._partial / name).replace(self.directory / name)
        return dict(sorted(files.items()))

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Put the manifest in place: from now on the folder is a whole replay."""
        partial = self._partial / MANIFEST
        partial.write_text(f"{json.dumps(manifest, indent=2, sort_keys=True)}\n", encoding="utf-8")
        partial.replace(self.directory / MANIFEST)
        shutil.rmtree(self._partial)

    def abandon(self) -> None:
        """Remove what was written so far, and the folder if it was made for that."""
        shutil.rmtree(self._partial, ignore_errors=True)
        if self._is_new:
            with suppress(OSError):  # what stands in it now stays
                self.directory.rmdir()

    def _part(self, stream: OutputStream, shard: int) -> Path:
        return self._partial / f"{FILE_OF[stream]}.{shard}"

    def _flush(self, stream: OutputStream, shard: int) -> None:
        waiting = self._waiting[stream, shard]
        with self._part(stream, shard).open("ab") as file:
            file.write(waiting)
        waiting.clear()

    def _join(self, stream: OutputStream) -> dict[str, Any]:
        digest = hashlib.sha256()
        records = 0
        with (self._partial / FILE_OF[stream]).open("wb") as whole:
            for shard in sorted(self._shards):
                part = self._part(stream, shard)
                if not part.exists():
                    continue
                with part.open("rb") as lines:
                    for line in lines:
                        digest.update(line)
                        records += 1
                        whole.write(line)
                part.unlink()
        return {"digest": f"sha256:{digest.hexdigest()}", "records": records}


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """Return the manifest of a folder, or None when it holds none that a replay wrote."""
    try:
        manifest = json.loads((directory / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("manifest") == 1 else None


def _log_digest(manifest: Mapping[str, Any]) -> object:
    source = manifest.get("input")
    return source.get("digest") if isinstance(source, dict) else None


def _is_replay(directory: Path) -> bool:
    """Tell whether a folder holds a replay, whole or broken off, and nothing else is at risk."""
    return read_manifest(directory) is not None or all(
        entry.name in {*FILE_OF.values(), _PARTIAL} for entry in directory.iterdir()
    )
