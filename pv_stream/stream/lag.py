"""How far each open shard is behind its log: in positions, and in seconds since the oldest waiting event was written.

Everything is taken from what the worker already knows; nothing is asked of Kafka here. The age is that of the oldest
record that was fetched and is not committed. Records that were not fetched yet have no known age: theirs is at least
the time for which the shard has been behind without getting on, so somebody has to look every second. The end of a log
is that of its records, open transactions included: one that does not end holds back all that was committed behind it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

#: A shard whose last fetch is older than this, while nothing waits, is not known to be at the end of its log.
FETCHED_SECONDS_MAX: Final = 15.0


class LookedAt(Protocol):
    """What is asked of an open shard."""

    @property
    def next_position(self) -> int:
        """Return the checkpoint."""

    @property
    def processed_position(self) -> int:
        """Return the position before which nothing is left to do."""

    @property
    def oldest_written_ms(self) -> int | None:
        """Return when the oldest record that is not committed was written."""


class Shards(Protocol):
    """What is asked of the owner of shards."""

    @property
    def open_shards(self) -> Mapping[int, LookedAt]:
        """Return each open shard."""

    def last_seen_end(self, shard: int) -> tuple[int, float] | None:
        """Return the end of a shard's input as the last fetch saw it, and when."""


@dataclass(frozen=True, slots=True)
class Lag:
    """Say how far a shard is behind: `records` counts positions and is None while the end of its log is not known."""

    records: int | None
    oldest_seconds: float
    #: Since the last fetch, where it matters: nothing waits, so that only a fetch can tell that nothing is there.
    unseen_seconds: float | None


class LagWatch:
    """Remember since when each open shard is behind without getting on."""

    def __init__(
        self,
        shards: Shards,
        *,
        now_s: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch the shards of an owner; `now_s` is the wall clock in seconds since the epoch."""
        self._shards = shards
        self._now_s = now_s
        self._clock = clock
        #: Shard -> the position that it stood at, and when it came there.
        self._stood: dict[int, tuple[int, float]] = {}

    def look(self) -> dict[int, Lag]:
        """Return how far each open shard is behind now."""
        shards = self._shards.open_shards
        self._stood = {shard: stood for shard, stood in self._stood.items() if shard in shards}
        return {shard: self._lag(shard, each) for shard, each in sorted(shards.items())}

    def _lag(self, shard: int, looked_at: LookedAt) -> Lag:
        position, written_ms = looked_at.processed_position, looked_at.oldest_written_ms
        seen = self._shards.last_seen_end(shard)
        records = None if seen is None else max(0, seen[0] - position)
        stood_at, since = self._stood.get(shard, (-1, 0.0))
        if stood_at != position or not records:
            since = self._clock()
            self._stood[shard] = position, since
        oldest_seconds = self._clock() - since
        unseen_seconds = None
        if written_ms is not None:
            oldest_seconds = max(oldest_seconds, self._now_s() - written_ms / 1_000)
        elif seen is not None:
            unseen_seconds = max(0.0, self._now_s() - seen[1])
        return Lag(records, oldest_seconds, unseen_seconds)
