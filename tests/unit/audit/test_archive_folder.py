"""An archive in a folder: what is read back is what was written, and what was changed is refused by name."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pv_stream.audit.archive.folder import MANIFEST, ShardReader, read_topic
from pv_stream.audit.archive.segments import (
    ArchivedRecord,
    SegmentHeader,
    decode_records,
    decode_segment,
    digest_of,
    encode_record,
    encode_segment,
)
from pv_stream.audit.archive.writing import writing
from pv_stream.audit.log import EVENTS_TOPIC, Log, open_log, read_log, survey, with_tail
from pv_stream.errors import DataError, UsageError
from tests.unit.audit.recordings import SHARDS, Recording, patient_of, reaction, story, told_story

RECORD = ArchivedRecord(7, 1_767_225_600_000, b"p1", (), b"{}")
HEADER = SegmentHeader("topic", 0, 1, 0, 9, 1, "")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return told_story().archive(tmp_path / "archive", [EVENTS_TOPIC]) / EVENTS_TOPIC


def read_all(folder: Path) -> list[ArchivedRecord]:
    topic = read_topic(folder)
    return [record for shard in range(topic.shard_count) for record in ShardReader((topic,), shard)]


def segments(folder: Path, shard: int = 0) -> list[Path]:
    return sorted(folder.glob(f"{shard:05d}-*.gz"))


def manifest(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / MANIFEST).read_bytes())
    return found


# Segments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [None, b"", b"line\nbreak", "Blödes µ".encode(), b"\x00\xff", b"1 2 3 4 5\n"]
)
@pytest.mark.parametrize("key", [None, b"", b"\xff\n"])
def test_any_bytes_come_back_exactly(key: bytes | None, value: bytes | None) -> None:
    records = [
        ArchivedRecord(3, -1, key, (("a", b"\x00\n"), ("a", None), ("é", b"")), value),
        ArchivedRecord(9, 5, key, (), value),
    ]
    text = b"".join(map(encode_record, records))
    assert list(decode_records(text, name="x")) == records


def test_the_same_records_are_the_same_bytes_and_name_the_segment_before() -> None:
    content = encode_segment(HEADER, [encode_record(RECORD)])
    assert content == encode_segment(HEADER, [encode_record(RECORD)])
    assert decode_segment(content, name="x") == (HEADER, encode_record(RECORD))


@pytest.mark.parametrize(
    "text",
    [
        b"1 2 3\n",
        b"a 1 -1 0 -1\n\n\n\n",
        b"1 1 5 0 -1\nab\n\n\n",
        b"1 1 -1 0 -1\n\n\nx",
        b"1",
        b"1 1 -1 3 -1\n\n[1]\n\n",
    ],
)
def test_what_is_no_record_is_refused(text: bytes) -> None:
    with pytest.raises(DataError, match="segment-name"):
        list(decode_records(text, name="segment-name"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        gzip.compress(b"[]\n", mtime=0),
        gzip.compress(b'{"archive":3}\n', mtime=0),
        gzip.compress(b'{"archive":2}\n', mtime=0),
    ],
)
def test_what_is_no_segment_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="segment-name"):
        decode_segment(content, name="segment-name")


# Writing ----------------------------------------------------------------------------------------------------------


def test_an_archive_gives_back_every_record_in_segments_of_bounded_size(tmp_path: Path) -> None:
    recording = told_story()
    folder = recording.archive(tmp_path, [EVENTS_TOPIC]) / EVENTS_TOPIC
    assert read_all(folder) == [record for shard in recording.topics[EVENTS_TOPIC] for record in shard]
    assert all(len(segments(folder, shard)) > 2 for shard in range(SHARDS))


def test_a_second_call_appends_and_changes_nothing_that_stands(tmp_path: Path) -> None:
    recording = story()
    folder = recording.archive(tmp_path, [EVENTS_TOPIC]) / EVENTS_TOPIC
    before = {path.name: path.read_bytes() for path in folder.glob("*.gz")}
    recording.archive(tmp_path, [EVENTS_TOPIC])
    assert {path.name: path.read_bytes() for path in folder.glob("*.gz")} == before
    recording.send(*reaction(patient_of(1, 5)))
    recording.archive(tmp_path, [EVENTS_TOPIC])
    assert before.items() < {path.name: path.read_bytes() for path in folder.glob("*.gz")}.items()
    assert read_all(folder) == [record for shard in recording.topics[EVENTS_TOPIC] for record in shard]


def test_a_call_that_was_interrupted_leaves_a_valid_archive_and_the_next_completes_it(tmp_path: Path) -> None:
    recording = told_story()
    whole = recording.archive(tmp_path / "whole", [EVENTS_TOPIC]) / EVENTS_TOPIC
    records = recording.topics[EVENTS_TOPIC]

    def broken() -> object:
        yield from records[0][:7]
        raise ConnectionResetError

    folder = tmp_path / "broken" / EVENTS_TOPIC
    with (
        pytest.raises(ConnectionResetError),
        writing(folder, topic=EVENTS_TOPIC, shard_count=SHARDS) as writer,
    ):
        writer.append(0, broken(), first=0, end=99, segment_bytes_max=2_000)  # type: ignore[arg-type]
    (folder / "00000-00000000000000000002.gz.partial").write_bytes(b"half")
    begun = read_all(folder)
    assert begun == records[0][: len(begun)]
    assert begun
    recording.archive(tmp_path / "broken", [EVENTS_TOPIC])
    assert manifest(folder) == manifest(whole)
    assert read_all(folder) == read_all(whole)


def test_a_hole_cannot_be_written(tmp_path: Path) -> None:
    with writing(tmp_path, topic="t", shard_count=1) as writer:
        writer.append(0, [RECORD], first=0, end=9, segment_bytes_max=100)
        with pytest.raises(DataError, match="ends at 9, not at 10"):
            writer.append(0, [RECORD], first=10, end=20, segment_bytes_max=100)


def test_another_topic_another_partition_count_and_a_second_writer_are_refused(tmp_path: Path) -> None:
    with writing(tmp_path, topic="t", shard_count=1) as writer:
        writer.finish()
        with (
            pytest.raises(UsageError, match="another `pv-stream archive`"),
            writing(tmp_path, topic="t", shard_count=1),
        ):
            pass
    with (
        pytest.raises(UsageError, match="archive of t, not of u"),
        writing(tmp_path, topic="u", shard_count=1),
    ):
        pass
    with pytest.raises(DataError, match="1 shards, and t has 2"), writing(tmp_path, topic="t", shard_count=2):
        pass


# Refusing ---------------------------------------------------------------------------------------------------------


def a_changed_byte(folder: Path) -> None:
    path = segments(folder)[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def a_truncated_segment(folder: Path) -> None:
    path = segments(folder)[1]
    path.write_bytes(path.read_bytes()[:-10])


def a_missing_segment(folder: Path) -> None:
    segments(folder)[1].unlink()


def two_swapped_segments(folder: Path) -> None:
    first, second = segments(folder)[1:3]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def a_hole_in_the_manifest(folder: Path) -> None:
    rewrite(folder, lambda shards: shards["0"].pop(1))


def a_missing_shard(folder: Path) -> None:
    rewrite(folder, lambda shards: shards.pop("1"))


def a_log_without_its_beginning(folder: Path) -> None:
    rewrite(folder, lambda shards: shards["0"].pop(0))


def a_count_that_is_not_true(folder: Path) -> None:
    rewrite(folder, lambda shards: shards["0"][0].update(clock_records=0, records=3))


def a_record_altered_with_its_segment_made_anew(folder: Path) -> None:
    path = segments(folder)[1]
    content = gzip.compress(gzip.decompress(path.read_bytes()).replace(b'"final"', b'"dinal"'), mtime=0)
    path.write_bytes(content)
    rewrite(folder, lambda shards: shards["0"][1].update(digest=digest_of(content), bytes=len(content)))


def a_position_that_is_no_number(folder: Path) -> None:
    rewrite(folder, lambda shards: shards["0"][0].update(first="0"))


def a_segment_in_another_folder(folder: Path) -> None:
    rewrite(folder, lambda shards: shards["0"][0].update(file=f"../{folder.name}/{segments(folder)[0].name}"))


def a_segment_with_something_behind_it(folder: Path) -> None:
    put_segment(folder, segments(folder)[0].read_bytes() + gzip.compress(b"more", mtime=0))


def a_segment_whose_first_line_is_nested_too_deeply(folder: Path) -> None:
    put_segment(folder, gzip.compress(b"[" * 100_000, mtime=0))


def put_segment(folder: Path, content: bytes) -> None:
    """Put another content in the place of the first segment, with the right digest."""
    segments(folder)[0].write_bytes(content)
    rewrite(folder, lambda shards: shards["0"][0].update(digest=digest_of(content), bytes=len(content)))


def rewrite(folder: Path, change: Callable[[dict[str, list[dict[str, object]]]], object]) -> None:
    values = manifest(folder)
    change(values["shards"])  # type: ignore[arg-type]
    (folder / MANIFEST).write_text(json.dumps(values))


DAMAGES: dict[Callable[[Path], None], str] = {
    a_changed_byte: r"00000-0+\d+\.gz: positions \d+ to \d+: the segment was changed",
    a_truncated_segment: r"00000-0+\d+\.gz: positions \d+ to \d+: the segment was changed",
    a_missing_segment: r"00000-0+\d+\.gz: positions \d+ to \d+ are missing",
    two_swapped_segments: r"00000-0+\d+\.gz: positions \d+ to \d+: the segment was changed",
    a_hole_in_the_manifest: r"shard 0 lacks the positions \d+ to \d+",
    a_missing_shard: r"manifest.json is damaged: a shard is missing",
    a_log_without_its_beginning: r"shard 0 lacks the positions 0 to \d+",
    a_count_that_is_not_true: r"00000-0+\.gz: the manifest says something else",
    a_position_that_is_no_number: r"manifest.json is damaged: a shard",
    a_segment_in_another_folder: r"manifest.json is damaged: a shard",
    a_segment_with_something_behind_it: r"00000-0+\.gz: it cannot be unpacked",
    a_segment_whose_first_line_is_nested_too_deeply: r"00000-0+\.gz: not a segment",
    a_record_altered_with_its_segment_made_anew: r"positions \d+ to \d+: it does not continue the segment before",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_replay_refuses_with_one_line_that_names_the_place(
    damage: Callable[[Path], None], archive: Path
) -> None:
    assert sum(1 for _ in read_log(open_log(archive))) > 0
    damage(archive)
    with pytest.raises(DataError, match=DAMAGES[damage]) as refused:
        list(read_log(open_log(archive)))
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 4


def test_a_segment_is_unpacked_up_to_a_bound(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes that unpack to very many do not fill the memory."""
    monkeypatch.setattr("pv_stream.audit.archive.segments.TEXT_BYTES_MAX", 1_000_000)
    assert sum(1 for _ in read_log(open_log(archive))) > 0
    put_segment(archive, gzip.compress(bytes(1_000_001), mtime=0))
    with pytest.raises(DataError, match=r"00000-0+\.gz: it cannot be unpacked"):
        list(read_log(open_log(archive)))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[" * 100_000, b"[]", b'{"archive":1}', b'{"archive":2,"topic":"t","shards":{}}']
)
def test_a_manifest_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(DataError, match=r"manifest\.json"):
        read_topic(tmp_path)


def test_a_folder_without_an_input_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no archive of the input log"):
        open_log(tmp_path)


# As a log ---------------------------------------------------------------------------------------------------------


def test_a_folder_of_topics_is_the_log_of_its_input_topic(tmp_path: Path) -> None:
    recording = told_story()
    log = open_log(recording.archive(tmp_path))
    found = [(line.shard, line.record.position, line.record.key, line.record.value) for line in read_log(log)]
    assert found == [
        (shard, record.position, record.key, record.value)
        for shard, records in enumerate(recording.topics[EVENTS_TOPIC])
        for record in records
    ]
    assert (log.shard_count, log.makes_transfers) == (SHARDS, False)
    told = survey(log)
    assert (told.clock_records, told.activations, told.merges) == (3 * SHARDS, SHARDS, 1)
    with pytest.raises(UsageError, match="leave out --shards"):
        open_log(tmp_path, shards=7)


def _cut(recording: Recording, at: int) -> Recording:
    begun = Recording()
    begun.topics = {
        name: [records[: at if name == EVENTS_TOPIC else len(records)] for records in shards]
        for name, shards in recording.topics.items()
    }
    return begun


def _tail(log: Log, recording: Recording, folder: Path, *, skip: int = 0) -> Log:
    archived = log.parts[0]
    with writing(folder, topic=EVENTS_TOPIC, shard_count=SHARDS) as writer:
        writer.continues = archived
        for shard, records in enumerate(recording.topics[EVENTS_TOPIC]):
            first = archived.end(shard) + 2 * skip
            rest = [record for record in records if record.position >= first]
            if skip:
                writer.continues = None
            writer.append(shard, rest, first=first, end=2 * len(records), segment_bytes_max=2_000)
        return with_tail(log, writer.archived)


def test_an_archive_and_its_tail_are_one_log_and_its_digest_is_that_of_the_whole(tmp_path: Path) -> None:
    recording = told_story()
    whole = open_log(recording.archive(tmp_path / "whole"))
    log = open_log(_cut(recording, 5).archive(tmp_path / "begun", [EVENTS_TOPIC]))
    both = _tail(log, recording, tmp_path / "tail")
    assert [line.record for line in read_log(both)] == [line.record for line in read_log(whole)]
    assert survey(both).merges == 1


def test_a_tail_that_does_not_continue_is_refused(tmp_path: Path) -> None:
    recording = told_story()
    log = open_log(_cut(recording, 5).archive(tmp_path / "begun", [EVENTS_TOPIC]))
    with pytest.raises(DataError, match="shard 0 lacks the positions 10 to 11"):
        _tail(log, recording, tmp_path / "tail", skip=1)
