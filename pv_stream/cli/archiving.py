"""Copying topics into an archive: what the commands that read Kafka for an auditor share.

The states and the tree heads are read first, then the outputs, then the input log. So whatever a state, a head or an
output stands for is in the archive, and what is there beyond the checkpoint of the states can be told apart.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pv_stream.audit.archive.folder import ArchivedTopic, ShardReader
from pv_stream.audit.archive.segments import ArchivedRecord
from pv_stream.audit.archive.writing import SEGMENT_BYTES_MAX, TopicWriter, writing
from pv_stream.errors import DataError
from pv_stream.stream.reading import TopicReader, TopicRecord, high_watermarks
from pv_stream.stream.topics import Topic, topic_name

if TYPE_CHECKING:
    from pv_stream.settings import Settings

_CLIENT_ID: Final = "pv-stream-archive"
#: The order in which topics are read: what came from something before what it came from.
_ORDER: Final = (
    Topic.STATE,
    Topic.TREE_HEADS,
    Topic.ALERTS,
    Topic.RECURRENCES,
    Topic.CASES,
    Topic.ALERT_ACTIONS,
    Topic.DEAD_LETTERS,
    Topic.REJECTS,
    Topic.EVENTS,
)
#: Topics that are read up to where they end with open transactions: those may hold outputs of a state that was read.
_TO_THE_WATERMARK: Final = frozenset(_ORDER) - {
    Topic.STATE,
    Topic.TREE_HEADS,
    Topic.REJECTS,
    Topic.EVENTS,
}

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Appended:
    """Say what a topic's archive holds, and how many of its records this call added."""

    archived: ArchivedTopic
    records: int


def all_topics(settings: "Settings") -> list[str]:
    """Return the names of the topics that an archive holds, in the order in which they are read."""
    return [topic_name(topic, settings) for topic in _ORDER]


def archive_topics(
    settings: "Settings",
    topics: Sequence[str],
    out: Path,
    *,
    on_progress: OnProgress = lambda _topic, _done, _all: None,
    segment_bytes_max: int = SEGMENT_BYTES_MAX,
) -> list[Appended]:
    """Append what is new in each topic to its folder in `out`, and return what stands there then.

    Raises ConnectionFailed or EnvironmentBroken when Kafka or a topic is not there, DataError when records between
    the archive and the topic are gone, or when the topic is another than the one that was archived.
    """
    appended = []
    with TopicReader(settings, client_id=_CLIENT_ID) as reader:
        for topic in topics:
            shard_count = len(reader.shards(topic))
            with writing(out / topic, topic=topic, shard_count=shard_count) as writer:
                copy = TopicCopy(settings, reader, topic, writer, segment_bytes_max)
                copy.run(partial(on_progress, topic))
                appended.append(Appended(writer.archived, writer.records_added))
    return appended


def archive_tail(
    settings: "Settings", continues: ArchivedTopic | None, topic: str, folder: Path, on_progress: OnProgress
) -> ArchivedTopic:
    """Write what a topic holds beyond an archive, or all of it, into a folder of its own, and return that.

    Raises as `archive_topics` does.
    """
    with TopicReader(settings, client_id=_CLIENT_ID) as reader:
        shard_count = len(reader.shards(topic))
        if continues is not None and continues.shard_count != shard_count:
            message = (
                f"{topic} has {shard_count} shards and its archive {continues.shard_count}: it is another log"
            )
            raise DataError(message)
        with writing(folder, topic=topic, shard_count=shard_count) as writer:
            writer.continues = continues
            copy = TopicCopy(settings, reader, topic, writer, SEGMENT_BYTES_MAX)
            copy.run(partial(on_progress, topic))
            return writer.archived


@dataclass(frozen=True, slots=True)
class TopicCopy:
    """Append what is new in one topic to its archive."""

    settings: "Settings"
    reader: TopicReader
    topic: str
    writer: TopicWriter
    segment_bytes_max: int

    def run(self, on_progress: Callable[[int, int], None]) -> None:
        """Read every shard from where its archive ends; `on_progress(done, all)` counts positions.

        Raises DataError for a topic that does not continue its archive.
        """
        bounds = self._bounds()
        for shard, (start, end) in bounds.items():
            self._refuse_another(shard, start, end)
        firsts = {shard: self.writer.end(shard) or start for shard, (start, _) in bounds.items()}
        total = sum(end - firsts[shard] for shard, (_, end) in bounds.items())
        done = 0
        for shard, (_, end) in bounds.items():
            first = firsts[shard]

            def tell(position: int, before: int = done - first) -> None:
                on_progress(before + position + 1, total)

            records = self._records(shard, first, end, tell)
            self.writer.append(shard, records, first=first, end=end, segment_bytes_max=self.segment_bytes_max)
            done += end - first
        self.writer.finish()
        on_progress(total, total)

    def _bounds(self) -> dict[int, tuple[int, int]]:
        bounds = self.reader.bounds(self.topic)
        if self.topic in {topic_name(topic, self.settings) for topic in _TO_THE_WATERMARK}:
            marks = high_watermarks(self.settings, self.topic, client_id=_CLIENT_ID)
            return {shard: (start, marks[shard]) for shard, (start, _) in bounds.items()}
        return bounds

    def _records(
        self, shard: int, first: int, end: int, tell: Callable[[int], None]
    ) -> Iterator[ArchivedRecord]:
        if first >= end:
            return
        for record in self.reader.between(self.topic, shard, first, end):
            yield _archived(record)
            tell(record.position)

    def _refuse_another(self, shard: int, start: int, end: int) -> None:
        """Refuse a topic that does not continue what is archived of it."""
        archived_to = self.writer.end(shard)
        where = f"{self.topic} shard {shard}"
        if end < archived_to:
            message = (
                f"{where} ends at {end}, before its archive at {archived_to}: the topic was made anew or truncated; "
                "archive it into another folder"
            )
            raise DataError(message)
        if archived_to and start > archived_to:
            message = (
                f"{where} begins at {start}, after its archive at {archived_to}: the records between are gone; "
                "archive it into another folder, and archive more often than the topic is trimmed"
            )
            raise DataError(message)
        last = last_archived(self.writer, shard)
        if last is None or last.position < start:
            return
        found = next(self.reader.between(self.topic, shard, last.position, last.position + 1), None)
        # A compacted topic may have dropped it.
        if found is not None and found.position == last.position and _archived(found) != last:
            message = (
                f"{where}: position {last.position} holds another record than its archive: the topic was made anew; "
                "archive it into another folder"
            )
            raise DataError(message)


def last_archived(writer: TopicWriter, shard: int) -> ArchivedRecord | None:
    """Return the last record of a shard in an archive that is appended to."""
    for part in (writer.archived, writer.continues):
        if part is not None and part.shards[shard]:
            return ShardReader((part,), shard).last_record()
    return None


def _archived(record: TopicRecord) -> ArchivedRecord:
    return ArchivedRecord(record.position, record.written_at_ms, record.key, record.headers, record.value)
