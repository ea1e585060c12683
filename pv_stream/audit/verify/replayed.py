"""The replayed side: the folder of a replay, read shard by shard.

It is checked before anything of it is believed: the manifest holds what it should, and each file has the digest that
the manifest names.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    PositiveInt,
    Strict,
    ValidationError,
    ValidationInfo,
    field_validator,
)

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
        """Yield the outputs of a stream in order of place."""
        lines = self._lines(FILE_OF[stream])
        places = self._lines(PLACES_OF[stream])
        for line, place in zip(lines, places, strict=True):
            value = line.removesuffix(b"\n")
            yield Told(read_place(place.strip()), key_of(stream, value), value)

    def states(self) -> Iterator[tuple[int, str, bytes]]:
        """Yield shard, key and value of each final state, shard by shard."""
        for line in self._lines(STATES):
            row = json.loads(line)
            yield row["shard"], row["key"], row["value"].encode()

    def _lines(self, name: str) -> Iterator[bytes]:
        try:
            with (self.folder / name).open("rb") as lines:
                yield from lines
        except OSError as error:
            raise _unreadable(self.folder / name, error) from None


def open_replayed(folder: Path) -> Replayed:
    """Open the folder of a replay.

    Raises DataError when it is none, an older version wrote it, its manifest is damaged, or a file was changed.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        message = (
            f"{folder / MANIFEST} is not the manifest of a replay: name what `pv-stream replay --out` wrote"
        )
        raise DataError(message)
    if "places" not in manifest:
        message = f"{folder} was written by an older version, which kept no places: replay the log again"
        raise DataError(message)
    try:
        checked = _Manifest.model_validate(manifest)
    except ValidationError as error:
        where = ".".join(map(str, error.errors(include_url=False, include_input=False)[0]["loc"]))
        message = f"{folder / MANIFEST} is damaged at {where}: replay the log again"
        raise DataError(message) from None
    for name, file in {**checked.files, **checked.places}.items():
        _refuse_changed(folder / name, file.digest)
    return Replayed(folder, manifest)


def _refuse_changed(path: Path, digest: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from None
    if f"sha256:{found}" != digest:
        message = f"{path} was changed after the replay: replay the log again"
        raise DataError(message)


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path}: {error.strerror}. Replay the log again.")


# What a manifest must hold ----------------------------------------------------------------------------------------


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)


class _Input(_Part):
    digest: str
    shards: PositiveInt
    last_positions: dict[str, int]


class _Rulebook(_Part):
    version: str
    digest: str


class _Clock(_Part):
    mode: str


class _File(_Part):
    digest: str


class _Manifest(_Part):
    input: _Input
    engine_version: int
    rulebooks: list[_Rulebook]
    activated: dict[str, list[Annotated[tuple[int, int, str], Strict(strict=False)]]]
    what_if: bool
    clock: _Clock
    files: dict[str, _File]
    places: dict[str, _File]

    @field_validator("files", "places")
    @classmethod
    def _hold_every_stream(cls, files: dict[str, _File], info: ValidationInfo) -> dict[str, _File]:
        needed = (FILE_OF if info.field_name == "files" else PLACES_OF).values()
        if not files.keys() >= set(needed) or any(Path(name).name != name for name in files):
            raise ValueError(info.field_name)
        return files
