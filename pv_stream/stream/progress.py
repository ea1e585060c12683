"""What a worker has done since it started: counts and distributions that only grow.

Told once per transaction, read whenever somebody asks. It knows no patient: of an output it keeps the words of a fixed
vocabulary (a tier, a code), never an id.
"""

import json
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from pv_stream.shard.fold import OutputStream, OutRecord

#: What stands in place of a word that an output does not have.
UNKNOWN: Final = "unknown"

_COMMIT_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RESTORE_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_RUN_RECORDS: Final = (1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 10_000.0)


class AlertWords(NamedTuple):
    """Hold what is counted of an alert record."""

    kind: str
    tier: str
    status: str
    timeliness: str


class Distribution:
    """Count values by upper bounds, as a histogram of Prometheus does."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Begin with nothing; the bounds rise, and one without end is added."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return each upper bound with how many values are not above it."""
        below = 0
        found: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            below += count
            found.append((bound, float(below)))
        return found


class Progress:
    """Count what the shards of one worker did since it started."""

    def __init__(self, *, now_s: Callable[[], float] = time.time) -> None:
        """Begin with nothing; `now_s` is the wall clock in seconds since the epoch."""
        self._now_s = now_s
        self.records: Counter[int] = Counter()
        self.outputs: Counter[OutputStream] = Counter()
        self.alerts: Counter[AlertWords] = Counter()
        self.dead_letters: Counter[str] = Counter()
        self.dead_letter_newest_s: float | None = None
        self.transactions = 0
        self.clock_records = 0
        self.rebalances = 0
        self.dropped_runs = 0
        self.offsets_behind = 0
        self.run_records = Distribution(_RUN_RECORDS)
        self.compute_seconds = Distribution(_COMMIT_SECONDS)
        self.commit_seconds = Distribution(_COMMIT_SECONDS)
        self.restore_seconds = Distribution(_RESTORE_SECONDS)

    def committed(
        self,
        shard: int,
        records: int,
        outputs: Iterable[OutRecord],
        *,
        compute_seconds: float,
        commit_seconds: float,
    ) -> None:
        """Take one committed transaction: how many input records it had, what came of them, how long it took."""
        self.transactions += 1
        self.records[shard] += records
        self.run_records.add(records)
        self.compute_seconds.add(compute_seconds)
        self.commit_seconds.add(commit_seconds)
        for output in outputs:
            self.outputs[output.stream] += 1
            if output.stream is OutputStream.ALERTS:
                self.alerts[_words(output.value)] += 1
            elif output.stream is OutputStream.DEAD_LETTERS:
                self.dead_letters[_word(_fields(output.value), "code")] += 1
                self.dead_letter_newest_s = self._now_s()


def _words(value: bytes) -> AlertWords:
    fields = _fields(value)
    return AlertWords(*(_word(fields, name) for name in AlertWords._fields))


def _fields(value: bytes) -> Any:
    return json.loads(value)


def _word(fields: Any, name: str) -> str:
    word = fields.get(name)
    return word if isinstance(word, str) else UNKNOWN
