"""The replayed side: the folder of a replay, read shard by shard, each file checked against the manifest."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pv_stream.audit.output_folder import MANIFEST, read_manifest
from pv_stream.audit.shard_outputs import FILE_OF, PLACES_OF, STATES
from pv_stream.audit.verify.places import Told, key_of, read_place
from pv_stream.errors import DataError
from pv_stream.shard.fold import OutputStream


@dataclass(frozen=True, slots=True)
class Replayed:
    """Hold the folder of a replay and its manifest."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def shard_count(self) -> int:
        """Return how many shards the log has."""
        count: int = self.manifest["input"]["shards"]
        return count

    @property
    def has_states(self) -> bool:
        """Tell whether the replay wrote the final states."""
        return STATES in self.manifest["files"]

    def last_position(self, shard: int) -> int:
        """Return the position of the last record that was replayed of a shard, -1 without any."""
        position: int = self.manifest["input"]["last_positions"].get(str(shard), -1)
        return position

    def told(self, stream: OutputStream) -> Iterator[Told]:
        """Yield the outputs of a stream in order of place. Raises DataError for a file that was changed."""
        lines = self._lines(FILE_OF[stream], self.manifest["files"])
        places = self._lines(PLACES_OF[stream], self.manifest["places"])
        for line, place in zip(lines, places, strict=True):
            value = line.removesuffix(b"\n")
            yield Told(read_place(place.strip()), key_of(stream, value), value)

    def states(self) -> Iterator[tuple[int, str, bytes]]:
        """Yield shard, key and value of each final state, shard by shard."""
        for line in self._lines(STATES, self.manifest["files"]):
            row = json.loads(line)
            yield row["shard"], row["key"], row["value"].encode()

    def _lines(self, name: str, files: Mapping[str, Any]) -> Iterator[bytes]:
        digest = hashlib.sha256()
        try:
            with (self.folder / name).open("rb") as lines:
                for line in lines:
                    digest.update(line)
                    yield line
        except OSError as error:
            message = f"{self.folder / name}: {error.strerror}. Replay the log again."
            raise DataError(message) from None
        if f"sha256:{digest.hexdigest()}" != files[name]["digest"]:
            message = f"{self.folder / name} was changed after the replay: replay the log again"
            raise DataError(message)


def open_replayed(folder: Path) -> Replayed:
    """Open the folder of a replay. Raises DataError when it is none, or an older version wrote it."""
    manifest = read_manifest(folder)
    if manifest is None:
        message = (
            f"{folder / MANIFEST} is not the manifest of a replay: name what `pv-stream replay --out` wrote"
        )
        raise DataError(message)
    if "places" not in manifest:
        message = f"{folder} was written by an older version, which kept no places: replay the log again"
        raise DataError(message)
    return Replayed(folder, manifest)
