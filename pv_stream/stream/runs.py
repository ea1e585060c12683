"""Runs: consecutive records of one shard, as they travel from the fetch to the transaction.

A run knows the position it continues and the position after it, so that a lost or repeated fetch is noticed: the
offsets of the records alone cannot tell, because Kafka's own markers leave gaps between them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pv_stream.errors import EnvironmentBroken
from pv_stream.shard.fold import RawRecord


@dataclass(frozen=True, slots=True)
class FetchedRun:
    """Hold what one fetch brought for one shard."""

    shard: int
    #: The group generation that was in force when the records were fetched.
    generation: int
    #: Where the fetch before this one (or the seek) ended.
    position: int
    #: Where the next fetch begins: after the last record and any marker behind it.
    next_position: int
    records: tuple[RawRecord, ...]
    #: When the first of the records was written: Kafka's time stamp in milliseconds since the epoch. Only for people
    #: who watch: nothing that is computed may depend on it.
    written_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """Hold the records of one transaction, and the position to continue from after it."""

    records: tuple[RawRecord, ...]
    next_position: int


def bytes_of(records: Iterable[RawRecord]) -> int:
    """Return the size of the keys and values of records."""
    return sum([len(record.key or b"") + len(record.value or b"") for record in records])


class RunQueue:
    """Queue the records of one shard, and hand them out in transactions as large as the backlog asks for.

    Runs are handed on whole where they fit: what is done for each record here, every record of the log pays for.
    """

    def __init__(self, *, shard: int, next_position: int) -> None:
        """Start empty, continuing at `next_position`."""
        self._shard = shard
        self._next_position = next_position
        #: Each with its size in bytes; none is empty.
        self._runs: deque[tuple[tuple[RawRecord, ...], int]] = deque()
        self._count = 0
        self._bytes = 0
        #: The last position of each run, and when its first record was written.
        self._written: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        """Return how many records wait."""
        return self._count

    @property
    def waiting_bytes(self) -> int:
        """Return the size of what waits."""
        return self._bytes

    @property
    def next_position(self) -> int:
        """Return the position that the next run must continue: everything before it was queued or taken."""
        return self._next_position

    def put(self, run: FetchedRun) -> int:
        """Append a run and return how many of its records were new. Raise EnvironmentBroken on a gap.

        What lies before the position that the queue continues at was already taken: it is dropped. A run that
        begins after it would leave records out for ever.
        """
        if run.position > self._next_position:
            message = (
                f"shard {self._shard}: a gap in the input: position {self._next_position} was expected and "
                f"{run.position} came; nothing was processed beyond the gap, restart the worker"
            )
            raise EnvironmentBroken(message)
        fresh = run.records
        if fresh and fresh[0].position < self._next_position:
            fresh = tuple([record for record in fresh if record.position >= self._next_position])
        self._add(fresh, bytes_of(fresh), self._runs.append)
        if fresh and run.written_ms is not None:
            self._written.append((fresh[-1].position, run.written_ms))
        self._next_position = max(self._next_position, run.next_position)
        return len(fresh)

    def written_ms(self, position: int) -> int | None:
        """Return when the oldest record from a position on was written, waiting or taken, at the latest; None without.

        What lies before the position is forgotten: it only ever moves forward.
        """
        while self._written and self._written[0][0] < position:
            self._written.popleft()
        return self._written[0][1] if self._written else None

    def put_back(self, records: Sequence[RawRecord]) -> None:
        """Let records that were taken wait again, before all others."""
        self._add(tuple(records), bytes_of(records), self._runs.appendleft)

    def _add(
        self,
        records: tuple[RawRecord, ...],
        size: int,
        add: Callable[[tuple[tuple[RawRecord, ...], int]], None],
    ) -> None:
        if records:
            add((records, size))
            self._count += len(records)
            self._bytes += size

    def take(self, *, records_max: int, bytes_max: int) -> Taken:
        """Take up to so many records and bytes, at least one record if there is any."""
        taken: list[RawRecord] = []
        bytes_left = bytes_max
        while self._runs and len(taken) < records_max:
            records, size = self._runs[0]
            if len(taken) + len(records) > records_max or size > bytes_left:
                fitting = _fitting(records[: records_max - len(taken)], bytes_left)
                taken += self._cut(len(fitting) or (0 if taken else 1))
                break
            taken += records
            bytes_left -= size
            self._remove()
        next_position = self._runs[0][0][0].position if self._runs else self._next_position
        return Taken(tuple(taken), next_position)

    def _cut(self, count: int) -> tuple[RawRecord, ...]:
        """Take so many records of the first run, and let the others wait."""
        records, size = self._remove()
        taken = records[:count]
        # The smaller part is measured: a long run is cut many times.
        self._add(records[count:], size - bytes_of(taken), self._runs.appendleft)
        return taken

    def _remove(self) -> tuple[tuple[RawRecord, ...], int]:
        records, size = self._runs.popleft()
        self._count -= len(records)
        self._bytes -= size
        return records, size


def _fitting(records: tuple[RawRecord, ...], bytes_max: int) -> tuple[RawRecord, ...]:
    """Return the first records that have at most so many bytes together."""
    left = bytes_max
    for number, record in enumerate(records):
        left -= len(record.key or b"") + len(record.value or b"")
        if left < 0:
            return records[:number]
    return records
