"""The outputs of one shard of a replay, as files of their own, until all shards are joined.

A shard counts as finished when the file that says so stands there; what it holds then is on the disk.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from pv_stream.shard.fold import OutputStream, OutRecord

FILE_OF: Final[Mapping[OutputStream, str]] = {
    OutputStream.ALERTS: "alerts.jsonl",
    OutputStream.RECURRENCES: "recurrences.jsonl",
    OutputStream.CASES: "cases.jsonl",
    OutputStream.ACTIONS: "actions.jsonl",
    OutputStream.DEAD_LETTERS: "dead_letters.jsonl",
}
#: Files whose lines say where the outputs of the same lines stand: shard, position and ordinal, as `ce_id` does live.
PLACES_OF: Final[Mapping[OutputStream, str]] = {
    stream: f"{name.removesuffix('.jsonl')}.places" for stream, name in FILE_OF.items()
}
STATES: Final = "states.jsonl"
_FLUSH_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ShardDone:
    """Hold what is known of a shard once it is replayed.

    `rulebooks` are version and digest of those under which a record was read, `activated` position, engine version
    and digest of each activation, `standing` and `following` the digests of transfers with how many there are.
    """

    shard: int
    records: int
    records_added: int
    last_position: int
    rulebooks: tuple[tuple[str, str], ...]
    activated: tuple[tuple[int, int, str], ...]
    standing: Mapping[str, int] = field(default_factory=dict)
    following: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class ShardOutputs:
    """Write the outputs of one shard into a folder; `close` says that they are all."""

    folder: Path
    shard: int
    _waiting: dict[Path, bytearray] = field(default_factory=dict)

    def begin(self) -> None:
        """Remove what an earlier call left half done."""
        for path in self._files():
            path.unlink(missing_ok=True)

    def add(self, output: OutRecord) -> None:
        """Append one output; they come in order of (position, ordinal)."""
        place = b"%d-%d-%d" % (self.shard, output.position, output.ordinal)
        self._write(output_part(self.folder, output.stream, self.shard), output.value)
        self._write(place_part(self.folder, output.stream, self.shard), place)

    def add_states(self, states: Iterable[tuple[bytes, bytes]]) -> None:
        """Write the final states of the shard's patients, its clock and its rulebook."""
        path = self.folder / f"{self.shard}.{STATES}"
        for key, value in states:
            line = {"shard": self.shard, "key": key.decode(), "value": value.decode()}
            self._write(path, json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode())

    def close(self, done: ShardDone) -> None:
        """Wait until the disk has everything, and say that the shard is finished."""
        for path in list(self._waiting):
            self._flush(path)
        for path in self._files():
            if path.exists():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        path = self.folder / done_file(self.shard)
        partial = path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as file:
            json.dump(asdict(done), file, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def _files(self) -> list[Path]:
        outputs = [output_part(self.folder, stream, self.shard) for stream in FILE_OF]
        places = [place_part(self.folder, stream, self.shard) for stream in FILE_OF]
        return [*outputs, *places, self.folder / f"{self.shard}.{STATES}"]

    def _write(self, path: Path, line: bytes) -> None:
        waiting = self._waiting.setdefault(path, bytearray())
        waiting += line + b"\n"
        if len(waiting) >= _FLUSH_BYTES:
            self._flush(path)

    def _flush(self, path: Path) -> None:
        with path.open("ab") as file:
            file.write(self._waiting[path])
        self._waiting[path].clear()


def output_part(folder: Path, stream: OutputStream, shard: int) -> Path:
    """Return the file of one shard's outputs of a stream."""
    return folder / f"{shard}.{FILE_OF[stream]}"


def place_part(folder: Path, stream: OutputStream, shard: int) -> Path:
    """Return the file that says where one shard's outputs of a stream stand."""
    return folder / f"{shard}.{PLACES_OF[stream]}"


def done_file(shard: int | str) -> str:
    """Return the name of the file that says that a shard is finished."""
    return f"{shard}.done.json"


def read_done(folder: Path, shard: int) -> ShardDone | None:
    """Return what is known of a finished shard, or None when it is not finished."""
    try:
        values: dict[str, Any] = json.loads((folder / done_file(shard)).read_bytes())
    except (OSError, ValueError):
        return None
    rulebooks = tuple((version, digest) for version, digest in values.pop("rulebooks"))
    activated = tuple((position, engine, digest) for position, engine, digest in values.pop("activated"))
    return ShardDone(**values, rulebooks=rulebooks, activated=activated)
