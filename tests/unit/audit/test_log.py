from pathlib import Path

import pytest

from pv_stream.audit.log import Log, LogForm, key_of_line, open_log, read_log, survey
from pv_stream.errors import DataError, UsageError
from pv_stream.shard.fold import clock_record
from tests.unit.audit.logs import PATIENT, envelope, header, imatinib_lines, write_lines


def test_lines_of_events_are_one_shard_with_their_line_numbers_as_positions(tmp_path: Path) -> None:
    log = open_log(write_lines(tmp_path / "log", imatinib_lines()[:2]))

    records = list(read_log(log))

    assert (log.form, log.shard_count) == (LogForm.EVENTS, 1)
    assert [(r.shard, r.record.position, r.record.key) for r in records] == [
        (0, 0, PATIENT.encode()),
        (0, 1, PATIENT.encode()),
    ]


def test_blank_lines_and_windows_line_ends_are_no_part_of_a_record(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"{}\r\n\n  \n[1]")

    assert [r.record.value for r in read_log(open_log(path))] == [b"{}", b"[1]"]


@pytest.mark.parametrize("line", [b"MSH|^~\\&", b'{"a":', b"[]", b"\xff\xfe", b"[" * 100_000, b"12"])
def test_a_line_that_is_no_event_is_a_record_without_a_key(line: bytes, tmp_path: Path) -> None:
    log = open_log(write_lines(tmp_path / "log", [line]))

    assert [r.record.key for r in read_log(log)] == [None]


def test_a_patient_that_is_not_text_gives_no_key() -> None:
    assert key_of_line(b'{"patient_id": 7}') is None
    assert key_of_line(b'{"patient_id": "\\ud800"}') == b"?"


def test_an_archive_gives_back_shard_position_and_the_exact_bytes(tmp_path: Path) -> None:
    lines = [
        header(3),
        envelope(2, 5, b'{"a":1}'),
        envelope(0, 9, None, key=None),
        b'{"shard":2,"position":7,"key_base64":"/w==","value_base64":"//4="}',
    ]
    log = open_log(write_lines(tmp_path / "archive", lines))

    records = list(read_log(log))

    assert (log.form, log.shard_count) == (LogForm.ARCHIVE, 3)
    assert [(r.shard, r.record.position, r.record.key, r.record.value) for r in records] == [
        (2, 5, PATIENT.encode(), b'{"a":1}'),
        (0, 9, None, None),
        (2, 7, b"\xff", b"\xff\xfe"),
    ]


def test_an_archive_without_a_header_needs_the_number_of_shards(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "archive", [envelope(0, 0, b"{}")])

    with pytest.raises(UsageError, match="--shards"):
        open_log(path)
    assert open_log(path, shards=4) == Log(path, LogForm.ARCHIVE, 4)


def test_a_number_of_shards_that_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    archive = write_lines(tmp_path / "archive", [header(3)])
    events = write_lines(tmp_path / "events", [b"{}"])

    with pytest.raises(UsageError, match="3 partitions"):
        open_log(archive, shards=4)
    with pytest.raises(UsageError, match="one shard"):
        open_log(events, shards=4)


@pytest.mark.parametrize(
    "damage",
    [
        b"not json",
        b'{"shard":3,"position":1,"key":null,"value":"{}"}',
        b'{"shard":0,"key":null,"value":"{}"}',
        b'{"shard":0,"position":1,"value":7}',
        b'{"shard":0,"position":1,"value_base64":"%"}',
    ],
)
def test_a_damaged_archive_is_an_error_that_names_the_line(damage: bytes, tmp_path: Path) -> None:
    log = open_log(write_lines(tmp_path / "archive", [header(3), damage]))

    with pytest.raises(DataError, match="line 2"):
        list(read_log(log))


def test_positions_of_a_shard_must_grow(tmp_path: Path) -> None:
    log = open_log(
        write_lines(tmp_path / "archive", [header(1), envelope(0, 5, b"{}"), envelope(0, 5, b"{}")])
    )

    with pytest.raises(DataError, match="line 3: position 5 of shard 0"):
        list(read_log(log))


def test_a_header_of_another_version_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "archive", [b'{"archive":2,"partitions":1}'])

    with pytest.raises(DataError, match="version 1"):
        open_log(path)


def test_a_file_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pv-stream ingest"):
        open_log(tmp_path / "nothing")


def test_a_survey_counts_clock_records_of_both_forms(tmp_path: Path) -> None:
    _, tick = clock_record(1_767_225_600_000_000)
    events = open_log(write_lines(tmp_path / "events", [*imatinib_lines()[:1], tick]))
    archive = open_log(
        write_lines(
            tmp_path / "archive", [header(1), envelope(0, 0, tick, key=None), envelope(0, 1, b"clock")]
        )
    )

    assert survey(events).clock_records == 1
    assert survey(archive).clock_records == 1
