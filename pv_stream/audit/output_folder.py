"""The folder of a replay: files of outputs, where each output stands, and a manifest, put in place whole or not at all.

Everything is first written into a folder of its own beside them, shard by shard; then the old manifest goes, the files
are renamed, and the new manifest comes last. So a folder with a manifest is complete, and a replay that failed leaves
none. One that was stopped leaves the shards that it had finished: the same replay goes on from there.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from pv_stream.audit.shard_outputs import (
    FILE_OF,
    PLACES_OF,
    STATES,
    ShardDone,
    done_file,
    output_part,
    place_part,
    read_done,
)
from pv_stream.errors import DataError, UsageError
from pv_stream.shard.fold import OutputStream

MANIFEST: Final = "manifest.json"
_PARTIAL: Final = ".replay-in-progress"
_PLAN: Final = "plan.json"


@dataclass(slots=True)
class OutputFolder:
    """Gather the outputs of a replay; `finish` puts them in place, `abandon` removes what was written."""

    directory: Path
    _is_new: bool = False
    _lock: int | None = field(default=None)

    @property
    def partial(self) -> Path:
        """Return the folder for what is not finished."""
        return self.directory / _PARTIAL

    def begin(self, log_digest: str, plan: Mapping[str, object], *, force: bool) -> None:
        """Make the folder ready, and keep the shards that the same plan has finished in it.

        Raises UsageError when it holds something that is no replay of the same log, or when another is under way.
        """
        self._refuse(log_digest, force=force)
        self._is_new = not self.directory.exists()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._take()
            self._keep_only(plan)
        except OSError as error:
            msg = f"{self.directory}: {error.strerror}. Name a folder that can be written."
            raise DataError(msg) from None

    def finished(self, shard: int) -> ShardDone | None:
        """Return what an earlier call with the same plan made of a shard, or None."""
        return read_done(self.partial, shard)

    def finish(
        self, shards: list[int], *, states: bool, on_line: Callable[[OutputStream, bytes], None]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Join the shards in order, put the files in place, and return digest and records of each.

        The first are the outputs, the second where they stand. `on_line` gets every output.
        """
        files, where = {}, {}
        for stream, name in FILE_OF.items():
            parts = [output_part(self.partial, stream, shard) for shard in shards]
            files[name] = self._join(name, parts, partial(on_line, stream))
            places = [place_part(self.partial, stream, shard) for shard in shards]
            place = PLACES_OF[stream]
            where[place] = self._join(place, places, lambda _: None)
        if states:
            parts = [self.partial / f"{shard}.{STATES}" for shard in shards]
            files[STATES] = self._join(STATES, parts, lambda _: None)
        (self.directory / MANIFEST).unlink(missing_ok=True)
        (self.directory / STATES).unlink(missing_ok=True)
        for name in (*files, *where):
            (self.partial / name).replace(self.directory / name)
        return files, where

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Put the manifest in place: from now on the folder is a whole replay."""
        whole = self.partial / MANIFEST
        whole.write_text(f"{json.dumps(manifest, indent=2, sort_keys=True)}\n", encoding="utf-8")
        whole.replace(self.directory / MANIFEST)
        shutil.rmtree(self.partial)
        self._release()

    def abandon(self) -> None:
        """Remove what was written so far, and the folder if it was made for that."""
        shutil.rmtree(self.partial, ignore_errors=True)
        self._release()
        if self._is_new:
            with suppress(OSError):  # what stands in it now stays
                self.directory.rmdir()

    def stop(self) -> int:
        """Keep the shards that are finished for the next call, and return how many; without any remove all."""
        finished = len(list(self.partial.glob(done_file("*"))))
        if finished:
            self._release()
        else:
            self.abandon()
        return finished

    def _refuse(self, log_digest: str, *, force: bool) -> None:
        if self.directory.exists() and not self.directory.is_dir():
            msg = f"{self.directory} is a file: name a folder for --out"
            raise UsageError(msg)
        if force or not self.directory.is_dir():
            return
        if any(self.directory.iterdir()) and not _is_replay(self.directory):
            msg = f"{self.directory} holds files that no replay wrote: name another folder, or add --force"
            raise UsageError(msg)
        earlier = read_manifest(self.directory)
        if earlier is not None and _log_digest(earlier) != log_digest:
            msg = f"{self.directory} holds a replay of another log: name another folder, or add --force"
            raise UsageError(msg)

    def _take(self) -> None:
        self._lock = os.open(self.directory, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release()
            self._is_new = False
            msg = f"{self.directory}: another replay is writing there: wait until it has ended"
            raise UsageError(msg) from None

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _keep_only(self, plan: Mapping[str, object]) -> None:
        path = self.partial / _PLAN
        content = json.dumps(plan, sort_keys=True).encode()
        with suppress(OSError):
            if path.read_bytes() == content:
                return
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir()
        path.write_bytes(content)

    def _join(self, name: str, parts: list[Path], on_line: Callable[[bytes], None]) -> dict[str, Any]:
        digest = hashlib.sha256()
        records = 0
        with (self.partial / name).open("wb") as whole:
            for part in parts:
                if not part.exists():
                    continue
                with part.open("rb") as lines:
                    for line in lines:
                        digest.update(line)
                        on_line(line)
                        records += 1
                        whole.write(line)
        return {"digest": f"sha256:{digest.hexdigest()}", "records": records}


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """Return the manifest of a folder, or None when it holds none that a replay wrote."""
    try:
        manifest = json.loads((directory / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("manifest") == 1 else None


def _log_digest(manifest: Mapping[str, Any]) -> object:
    source = manifest.get("input")
    return source.get("digest") if isinstance(source, dict) else None


def _is_replay(directory: Path) -> bool:
    """Tell whether a folder holds a replay, whole or broken off, and nothing else is at risk."""
    return read_manifest(directory) is not None or all(
        entry.name in {*FILE_OF.values(), *PLACES_OF.values(), STATES, _PARTIAL}
        for entry in directory.iterdir()
    )
