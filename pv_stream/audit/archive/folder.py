"""The folder of an archived topic: its segments, and a manifest that lists them in order.

The manifest is the last thing that changes, in one step, so an archive that was interrupted is the archive that it was
before. Reading trusts neither: the manifest must be without a hole, every segment must be the one that the manifest
names, and each must continue the one before.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from pv_stream.audit.archive.segments import (
    ARCHIVE_VERSION,
    BEGINNING,
    ArchivedRecord,
    SegmentHeader,
    decode_records,
    decode_segment,
    digest_of,
)
from pv_stream.errors import DataError

MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Segment:
    """Hold what the manifest says of one segment; `last` is the position of its last record."""

    file: str
    digest: str
    bytes: int
    first: int
    end: int
    records: int
    last: int
    clock_records: int
    activations: int
    merges: int


@dataclass(frozen=True, slots=True)
class ArchivedTopic:
    """Hold what a manifest says: the topic, and the segments of each of its shards in order."""

    folder: Path
    topic: str
    shards: tuple[tuple[Segment, ...], ...]

    @property
    def shard_count(self) -> int:
        """Return how many shards the topic has."""
        return len(self.shards)

    def end(self, shard: int, *, before: int = 0) -> int:
        """Return the position up to which a shard is archived; `before` when it has no segment here."""
        segments = self.shards[shard]
        return segments[-1].end if segments else before

    def head(self, shard: int, *, before: str = BEGINNING) -> str:
        """Return the digest of a shard's last segment, which stands for all of them."""
        segments = self.shards[shard]
        return segments[-1].digest if segments else before


def read_topic(folder: Path) -> ArchivedTopic:
    """Read the manifest of an archived topic. Raises DataError when it is none, or has a hole."""
    path = folder / MANIFEST
    try:
        values: Any = json.loads(path.read_bytes())
    except OSError as error:
        message = f"{path}: {error.strerror}. Name the folder that `pv-stream archive --out` wrote."
        raise DataError(message) from None
    except (ValueError, RecursionError):
        message = f"{path} is damaged: bring back the archive from a copy"
        raise DataError(message) from None
    if not isinstance(values, dict) or values.get("archive") != ARCHIVE_VERSION:
        message = f"{path} is not the manifest of an archive of version {ARCHIVE_VERSION}"
        raise DataError(message)
    try:
        shards = tuple(
            tuple(_segment(segment) for segment in segments) for segments in _by_shard(values["shards"])
        )
        topic = ArchivedTopic(folder, str(values["topic"]), shards)
    except (TypeError, KeyError, ValueError):
        message = f"{path} is damaged: a shard is missing or does not say what a shard must"
        raise DataError(message) from None
    _refuse_holes(topic)
    return topic


def write_topic(topic: ArchivedTopic) -> None:
    """Put the manifest in place, in one step and for good."""
    shards = {str(shard): list(map(asdict, segments)) for shard, segments in enumerate(topic.shards)}
    manifest: Mapping[str, object] = {"archive": ARCHIVE_VERSION, "topic": topic.topic, "shards": shards}
    write_durably(topic.folder / MANIFEST, f"{json.dumps(manifest, indent=1, sort_keys=True)}\n".encode())


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that it stands there whole or not at all, whatever happens meanwhile."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@dataclass(slots=True)
class ShardReader:
    """Read one shard of an archive, and of the tails that continue it, checking every segment on the way."""

    parts: tuple[ArchivedTopic, ...]
    shard: int
    bytes_done: int = 0
    _head: str = field(default=BEGINNING)

    def __iter__(self) -> Iterator[ArchivedRecord]:
        """Yield the records in order. Raises DataError for a segment that is missing, changed or out of its row."""
        for part in self.parts:
            for segment in part.shards[self.shard]:
                name = str(part.folder / segment.file)
                content = _content(part.folder / segment.file, segment)
                header, text = decode_segment(content, name=name)
                self._refuse_another(header, segment, name, part)
                yield from self._records(segment, text, name)
                self.bytes_done += segment.bytes
                self._head = segment.digest

    def last_record(self) -> ArchivedRecord:
        """Return the last record of the last part, which must have one. Raises DataError as reading does."""
        segment = self.parts[-1].shards[self.shard][-1]
        path = self.parts[-1].folder / segment.file
        _, text = decode_segment(_content(path, segment), name=str(path))
        *_, last = decode_records(text, name=str(path))
        return last

    def record_at(self, position: int) -> ArchivedRecord | None:
        """Return the record at a position, or None when there is none. Raises DataError as reading does."""
        for part in self.parts:
            for segment in part.shards[self.shard]:
                if segment.first <= position < segment.end:
                    path = part.folder / segment.file
                    _, text = decode_segment(_content(path, segment), name=str(path))
                    records = decode_records(text, name=str(path))
                    return next((record for record in records if record.position == position), None)
        return None

    def _refuse_another(
        self, header: SegmentHeader, segment: Segment, name: str, part: ArchivedTopic
    ) -> None:
        expected = SegmentHeader(
            topic=part.topic,
            shard=self.shard,
            shard_count=part.shard_count,
            first=segment.first,
            end=segment.end,
            records=segment.records,
            previous=self._head,
            clock_records=segment.clock_records,
            activations=segment.activations,
            merges=segment.merges,
        )
        if header.previous != self._head:
            message = (
                f"{name}: shard {self.shard}, positions {segment.first} to {segment.end - 1}: it does not "
                "continue the segment before it: a segment was replaced, or two were swapped"
            )
            raise DataError(message)
        if header != expected:
            message = f"{name}: the manifest says something else of it: bring back the archive from a copy"
            raise DataError(message)

    def _records(self, segment: Segment, text: bytes, name: str) -> Iterator[ArchivedRecord]:
        last, count = segment.first - 1, 0
        for record in decode_records(text, name=name):
            if not last < record.position < segment.end:
                message = f"{name}: position {record.position} of shard {self.shard} is out of order"
                raise DataError(message)
            last, count = record.position, count + 1
            yield record
        if count != segment.records:
            message = f"{name}: it holds {count} records and should hold {segment.records}"
            raise DataError(message)


def refuse_gap(parts: tuple[ArchivedTopic, ...]) -> None:
    """Raise DataError unless the shards begin at the beginning of the log, and each part continues the one before."""
    for shard in range(parts[0].shard_count):
        end = 0
        for part in parts:
            for segment in part.shards[shard][:1]:
                if segment.first != end:
                    message = (
                        f"{part.folder}: shard {shard} lacks the positions {end} to {segment.first - 1}: "
                        "bring them back from another archive; without them nothing after them can be checked"
                    )
                    raise DataError(message)
            end = part.end(shard, before=end)


def _by_shard(shards: Mapping[str, Any]) -> list[Any]:
    if not shards:
        raise ValueError(shards)
    return [shards[str(shard)] for shard in range(len(shards))]


def _segment(values: Mapping[str, Any]) -> Segment:
    """Return what a manifest says of a segment. Raises ValueError or TypeError for what it must not say."""
    segment = Segment(**values)
    for each in fields(Segment):
        if type(getattr(segment, each.name)) is not each.type:
            raise TypeError(each.name)
    if Path(segment.file).name != segment.file:  # a file of this folder, never one elsewhere
        raise ValueError(segment.file)
    return segment


def _refuse_holes(topic: ArchivedTopic) -> None:
    for shard, segments in enumerate(topic.shards):
        for before, after in pairwise(segments):
            if before.end != after.first:
                message = (
                    f"{topic.folder}: shard {shard} lacks the positions {before.end} to {after.first - 1}: "
                    "bring the segment and its manifest back from a copy"
                )
                raise DataError(message)


def _content(path: Path, segment: Segment) -> bytes:
    where = f"{path}: positions {segment.first} to {segment.end - 1}"
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"{where} are missing ({error.strerror}): bring the segment back from a copy"
        raise DataError(message) from None
    if digest_of(content) != segment.digest:
        message = f"{where}: the segment was changed after it was archived: bring it back from a copy"
        raise DataError(message)
    return content
