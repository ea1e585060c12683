"""Copying a topic into its archive: what is new is appended, and a topic that does not continue it is refused."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from pv_stream.audit.archive.folder import ArchivedTopic, ShardReader, read_topic
from pv_stream.audit.archive.writing import writing
from pv_stream.cli.archiving import TopicCopy
from pv_stream.errors import DataError
from pv_stream.settings import Settings
from pv_stream.stream.reading import TopicReader, TopicRecord

TOPIC = "pv.clinical.events.v1"


@dataclass
class Broker:
    """Stand for a topic of one shard; positions from `start` are still held."""

    records: list[TopicRecord]
    start: int = 0

    def bounds(self, _topic: str) -> dict[int, tuple[int, int]]:
        end = self.records[-1].position + 2 if self.records else self.start
        return {0: (self.start, end)}

    def between(self, _topic: str, _shard: int, first: int, end: int) -> Iterator[TopicRecord]:
        return (record for record in self.records if max(first, self.start) <= record.position < end)


def records(*positions: int) -> list[TopicRecord]:
    return [TopicRecord(0, each, b"p", b"{}", (("ce_id", b"0-1-0"),), 1000 + each) for each in positions]


def copy(broker: Broker, folder: Path, told: list[tuple[int, int]] | None = None) -> ArchivedTopic:
    with writing(folder, topic=TOPIC, shard_count=1) as writer:
        reader = cast("TopicReader", cast("Any", broker))
        TopicCopy(Settings(), reader, TOPIC, writer, 100).run(
            lambda done, total: None if told is None else told.append((done, total))
        )
    return read_topic(folder)


def positions(archived: ArchivedTopic) -> list[int]:
    return [record.position for record in ShardReader((archived,), 0)]


def test_what_is_new_is_appended_from_where_the_archive_ends(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    assert positions(copy(Broker(records(0, 1, 5)), tmp_path, told)) == [0, 1, 5]
    assert told[-1] == (7, 7)
    again = copy(Broker(records(0, 1, 5, 9, 12)), tmp_path)
    assert positions(again) == [0, 1, 5, 9, 12]
    assert again.end(0) == 14
    (first, *_) = ShardReader((again,), 0)
    assert (first.timestamp_ms, first.headers) == (1000, (("ce_id", b"0-1-0"),))


def test_a_topic_may_be_trimmed_up_to_where_its_archive_ends(tmp_path: Path) -> None:
    copy(Broker(records(0, 1, 5)), tmp_path)
    assert positions(copy(Broker(records(7, 8), start=7), tmp_path)) == [0, 1, 5, 7, 8]


def test_a_topic_that_was_trimmed_further_is_refused_and_the_archive_stays(tmp_path: Path) -> None:
    before = copy(Broker(records(0, 1, 5)), tmp_path)
    with pytest.raises(DataError, match="begins at 8, after its archive at 7"):
        copy(Broker(records(8, 9), start=8), tmp_path)
    assert read_topic(tmp_path) == before


def test_a_topic_that_ends_before_its_archive_is_refused(tmp_path: Path) -> None:
    copy(Broker(records(0, 1, 5)), tmp_path)
    with pytest.raises(DataError, match="ends at 3, before its archive at 7"):
        copy(Broker(records(0, 1)), tmp_path)


def test_a_topic_that_was_made_anew_is_refused_by_its_last_archived_record(tmp_path: Path) -> None:
    copy(Broker(records(0, 1, 5)), tmp_path)
    anew = records(0, 1, 5, 6)
    anew[2] = replace(anew[2], value=b"[]")
    with pytest.raises(DataError, match="position 5 holds another record than its archive"):
        copy(Broker(anew), tmp_path)


def test_a_record_that_compaction_took_is_not_missed(tmp_path: Path) -> None:
    copy(Broker(records(0, 1, 5)), tmp_path)
    assert positions(copy(Broker(records(1, 9)), tmp_path)) == [0, 1, 5, 9]


def test_an_empty_topic_is_an_archive_without_segments(tmp_path: Path) -> None:
    assert copy(Broker([]), tmp_path).shards == ((),)
