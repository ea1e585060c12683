"""The queue of a shard: continues, drops what was seen, refuses a gap."""

import pytest

from pv_stream.errors import EnvironmentBroken
from pv_stream.shard.fold import RawRecord
from pv_stream.stream.runs import FetchedRun, RunQueue


def run(position: int, next_position: int, *, positions: range | None = None) -> FetchedRun:
    """Return a run with one-byte records."""
    held = range(position, next_position) if positions is None else positions
    return FetchedRun(0, 1, position, next_position, tuple(RawRecord(each, b"", b"x") for each in held))


def positions_of(records: tuple[RawRecord, ...]) -> list[int]:
    return [record.position for record in records]


def test_consecutive_runs_become_one_transaction() -> None:
    queue = RunQueue(shard=0, next_position=0)
    queue.put(run(0, 3))
    queue.put(run(3, 5))
    taken = queue.take(records_max=10, bytes_max=100)
    assert positions_of(taken.records) == [0, 1, 2, 3, 4]
    assert taken.next_position == 5
    assert len(queue) == 0


def test_what_is_put_back_comes_first_again() -> None:
    queue = RunQueue(shard=0, next_position=0)
    queue.put(run(0, 4))
    taken = queue.take(records_max=10, bytes_max=100)
    queue.put(run(4, 6))
    queue.put_back(taken.records[1:])
    assert queue.waiting_bytes == 5
    again = queue.take(records_max=2, bytes_max=100)
    assert (positions_of(again.records), again.next_position) == ([1, 2], 3)
    assert positions_of(queue.take(records_max=10, bytes_max=100).records) == [3, 4, 5]


def test_a_run_that_was_seen_is_dropped() -> None:
    queue = RunQueue(shard=0, next_position=5)
    assert queue.put(run(2, 5)) == 0
    assert queue.next_position == 5


def test_of_a_run_that_was_partly_seen_the_rest_is_taken() -> None:
    queue = RunQueue(shard=0, next_position=5)
    assert queue.put(run(3, 8)) == 3
    assert positions_of(queue.take(records_max=10, bytes_max=100).records) == [5, 6, 7]


def test_a_gap_is_refused_and_both_ends_are_named() -> None:
    queue = RunQueue(shard=7, next_position=5)
    with pytest.raises(EnvironmentBroken, match=r"shard 7: a gap .* position 5 was expected and 6 came"):
        queue.put(run(6, 8))


def test_markers_between_records_are_no_gap() -> None:
    queue = RunQueue(shard=0, next_position=0)
    queue.put(run(0, 4, positions=range(2)))
    queue.put(run(4, 6))
    taken = queue.take(records_max=10, bytes_max=100)
    assert positions_of(taken.records) == [0, 1, 4, 5]
    assert taken.next_position == 6


def test_markers_alone_move_the_position_and_bring_no_records() -> None:
    queue = RunQueue(shard=0, next_position=4)
    queue.put(run(4, 5, positions=range(0)))
    assert queue.next_position == 5
    assert len(queue) == 0


def test_a_backlog_is_split_by_records_and_nothing_is_left_out() -> None:
    queue = RunQueue(shard=0, next_position=0)
    queue.put(run(0, 7))
    first = queue.take(records_max=3, bytes_max=100)
    second = queue.take(records_max=3, bytes_max=100)
    third = queue.take(records_max=3, bytes_max=100)
    assert [each.next_position for each in (first, second, third)] == [3, 6, 7]
    assert positions_of(first.records + second.records + third.records) == list(range(7))
    assert queue.waiting_bytes == 0


def test_a_backlog_is_split_by_bytes_but_one_record_is_always_taken() -> None:
    queue = RunQueue(shard=0, next_position=0)
    records = (RawRecord(0, b"k", b"x" * 99), RawRecord(1, b"k", b"x" * 99))
    queue.put(FetchedRun(0, 1, 0, 2, records))
    assert queue.waiting_bytes == 200
    assert positions_of(queue.take(records_max=10, bytes_max=50).records) == [0]
    assert queue.waiting_bytes == 100
    assert positions_of(queue.take(records_max=10, bytes_max=100).records) == [1]


def test_what_fits_is_taken_from_several_runs_and_the_last_of_them_is_cut() -> None:
    queue = RunQueue(shard=0, next_position=0)
    for start in (0, 3, 6):
        queue.put(run(start, start + 3))
    by_records = queue.take(records_max=4, bytes_max=100)
    by_bytes = queue.take(records_max=10, bytes_max=3)
    assert positions_of(by_records.records) == [0, 1, 2, 3]
    assert by_records.next_position == 4
    assert positions_of(by_bytes.records) == [4, 5, 6]
    assert (len(queue), queue.waiting_bytes) == (2, 2)
    assert positions_of(queue.take(records_max=10, bytes_max=100).records) == [7, 8]


def test_what_is_put_back_is_taken_first() -> None:
    queue = RunQueue(shard=0, next_position=0)
    queue.put(run(0, 5))
    taken = queue.take(records_max=4, bytes_max=100)
    queue.put_back(taken.records[2:])
    assert (len(queue), queue.waiting_bytes) == (3, 3)
    assert positions_of(queue.take(records_max=10, bytes_max=100).records) == [2, 3, 4]
