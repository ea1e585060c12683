from pathlib import Path

import pytest

from pv_stream.audit.clock import ClockMode, TimedLog, settle
from pv_stream.audit.log import LogRecord, Survey, open_log, read_log
from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.events import ClockTicked
from pv_stream.domain.times import format_instant
from pv_stream.errors import UsageError
from pv_stream.shard.fold import clock_record
from tests.builders import at, eosinophils
from tests.unit.audit.logs import envelope, header, write_lines

EARLY = encode_event(eosinophils(100, at(0, 8)))
LATER = encode_event(eosinophils(100, at(0, 9)))
DAY_3 = encode_event(eosinophils(100, at(3, 7)))
_, TICK = clock_record(at(2, 12))


def told(records: TimedLog) -> list[str]:
    """Return the records as a reader sees them: clock records by their instant, others as 'event'."""
    return [_told(record) for record in records]


def _told(line: LogRecord) -> str:
    decoded = decode_event(line.record.value)
    return format_instant(decoded.instant) if isinstance(decoded, ClockTicked) else "event"


def timed(tmp_path: Path, lines: list[bytes], mode: ClockMode) -> TimedLog:
    return TimedLog(read_log(open_log(write_lines(tmp_path / "log", lines))), mode)


def test_a_daily_clock_ticks_at_midnight_before_the_first_event_and_at_the_end(tmp_path: Path) -> None:
    log = timed(tmp_path, [EARLY, LATER, DAY_3], ClockMode.DAILY)

    assert told(log) == [
        "2026-01-01T00:00:00Z",
        "event",
        "event",
        "2026-01-04T00:00:00Z",
        "event",
        "2026-01-04T07:00:00Z",
    ]
    assert log.added == 3


def test_a_daily_clock_never_goes_back(tmp_path: Path) -> None:
    log = timed(tmp_path, [DAY_3, EARLY], ClockMode.DAILY)

    assert told(log) == ["2026-01-04T00:00:00Z", "event", "event", "2026-01-04T07:00:00Z"]


def test_what_is_no_event_moves_no_clock(tmp_path: Path) -> None:
    bad = b'{"received_at":"2099-01-01T00:00:00Z"}'

    assert told(timed(tmp_path, [bad], ClockMode.DAILY)) == ["event"]


def test_each_shard_has_a_clock_of_its_own(tmp_path: Path) -> None:
    lines = [header(2), envelope(1, 4, EARLY), envelope(0, 2, DAY_3)]
    log = timed(tmp_path, lines, ClockMode.DAILY)

    assert [(line.shard, line.record.position) for line in log] == [
        (1, 4),
        (1, 4),
        (0, 2),
        (0, 2),
        (0, 3),
        (1, 5),
    ]


def test_without_a_clock_the_records_of_the_log_are_left_out_too(tmp_path: Path) -> None:
    assert told(timed(tmp_path, [EARLY, TICK, DAY_3], ClockMode.NONE)) == ["event", "event"]


def test_the_clock_of_the_log_is_taken_as_it_stands(tmp_path: Path) -> None:
    log = timed(tmp_path, [EARLY, TICK, DAY_3], ClockMode.LOG)

    assert told(log) == ["event", "2026-01-03T12:00:00Z", "event"]
    assert log.added == 0


@pytest.mark.parametrize(("clock_records", "mode"), [(0, ClockMode.DAILY), (3, ClockMode.LOG)])
def test_auto_is_daily_only_for_a_log_without_clock_records(clock_records: int, mode: ClockMode) -> None:
    assert settle(ClockMode.AUTO, Survey("sha256:", 0, clock_records)) is mode


def test_daily_records_are_not_mixed_with_those_of_the_log() -> None:
    with pytest.raises(UsageError, match="--clock log"):
        settle(ClockMode.DAILY, Survey("sha256:", 0, 1))
