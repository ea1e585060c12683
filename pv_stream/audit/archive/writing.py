"""Writing an archive: the records of a topic into new segments behind those that stand already.

A call appends what is new and changes nothing that is there. What it writes counts only once the manifest names it:
a call that is interrupted leaves a segment that the next call writes again.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pv_stream.audit.archive.folder import (
    MANIFEST,
    ArchivedTopic,
    Segment,
    read_topic,
    write_durably,
    write_topic,
)
from pv_stream.audit.archive.segments import (
    BEGINNING,
    ArchivedRecord,
    SegmentHeader,
    digest_of,
    encode_record,
    encode_segment,
)
from pv_stream.audit.record_kinds import is_of_type
from pv_stream.errors import DataError, UsageError

#: The text of a segment before it is compressed, up to one record more: what a reader must hold at once.
SEGMENT_BYTES_MAX: Final = 32 * 1024 * 1024


@contextmanager
def writing(folder: Path, *, topic: str, shard_count: int) -> Iterator["TopicWriter"]:
    """Open the folder of a topic to append to it, and make it if it is not there.

    Raises UsageError when another call writes there, or when it holds another topic, DataError when it is damaged.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
    except OSError as error:
        message = f"{folder}: {error.strerror}. Name a folder that can be written."
        raise DataError(message) from None
    try:
        _take(lock, folder)
        yield TopicWriter(_begun(folder, topic, shard_count))
    finally:
        os.close(lock)


def _take(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message = f"{folder}: another `pv-stream archive` is writing there: wait until it has ended"
        raise UsageError(message) from None


def _begun(folder: Path, topic: str, shard_count: int) -> ArchivedTopic:
    if not (folder / MANIFEST).exists():
        return ArchivedTopic(folder, topic, ((),) * shard_count)
    known = read_topic(folder)
    if known.topic != topic:
        message = f"{folder} is an archive of {known.topic}, not of {topic}: name another folder"
        raise UsageError(message)
    if known.shard_count != shard_count:
        message = (
            f"{folder} is an archive of {known.shard_count} shards, and {topic} has {shard_count}: a partition "
            "count is never changed; archive the new topic into another folder"
        )
        raise DataError(message)
    return known


@dataclass(slots=True)
class _Open:
    """Hold the segment that is being filled."""

    first: int
    records: list[bytes] = field(default_factory=list)
    size_bytes: int = 0
    last: int = -1
    clock_records: int = 0
    activations: int = 0
    merges: int = 0

    def add(self, record: ArchivedRecord) -> None:
        text = encode_record(record)
        self.records.append(text)
        self.size_bytes += len(text)
        self.last = record.position
        value = record.value or b""
        self.clock_records += is_of_type("clock", value)
        self.activations += is_of_type("control.activate", value)
        self.merges += is_of_type("identity.absorbed", value)


@dataclass(slots=True)
class TopicWriter:
    """Append to one archived topic; `continues` is the archive that this one is the tail of."""

    archived: ArchivedTopic
    continues: ArchivedTopic | None = None
    records_added: int = 0

    def end(self, shard: int) -> int:
        """Return the position from which a shard is not archived yet."""
        before = 0 if self.continues is None else self.continues.end(shard)
        return self.archived.end(shard, before=before)

    def has_begun(self, shard: int) -> bool:
        """Tell whether anything of a shard is archived."""
        return self.end(shard) > 0

    def append(
        self, shard: int, records: Iterable[ArchivedRecord], *, first: int, end: int, segment_bytes_max: int
    ) -> None:
        """Write the records of a shard between two positions as segments, and name each in the manifest.

        Raises DataError when `first` is not where the archive ends: that would be a hole.
        """
        if self.has_begun(shard) and first != self.end(shard):
            message = f"{self.archived.folder}: shard {shard} ends at {self.end(shard)}, not at {first}"
            raise DataError(message)
        open_ = _Open(first)
        for record in records:
            if open_.size_bytes >= segment_bytes_max:
                self._close(shard, open_, end=record.position)
                open_ = _Open(record.position)
            open_.add(record)
        if open_.records:
            self._close(shard, open_, end=end)

    def finish(self) -> None:
        """Name the topic in a manifest even if it has no records."""
        write_topic(self.archived)

    def _close(self, shard: int, open_: _Open, *, end: int) -> None:
        before = BEGINNING if self.continues is None else self.continues.head(shard)
        header = SegmentHeader(
            topic=self.archived.topic,
            shard=shard,
            shard_count=self.archived.shard_count,
            first=open_.first,
            end=end,
            records=len(open_.records),
            previous=self.archived.head(shard, before=before),
            clock_records=open_.clock_records,
            activations=open_.activations,
            merges=open_.merges,
        )
        content = encode_segment(header, open_.records)
        segment = Segment(
            file=f"{shard:05d}-{open_.first:020d}.gz",
            digest=digest_of(content),
            bytes=len(content),
            first=open_.first,
            end=end,
            records=header.records,
            last=open_.last,
            clock_records=header.clock_records,
            activations=header.activations,
            merges=header.merges,
        )
        write_durably(self.archived.folder / segment.file, content)
        shards = list(self.archived.shards)
        shards[shard] = (*shards[shard], segment)
        self.archived = replace(self.archived, shards=tuple(shards))
        write_topic(self.archived)
        self.records_added += header.records
