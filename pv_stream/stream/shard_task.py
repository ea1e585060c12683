"""One open shard: its memory, its queue, and the task that turns what waits into one transaction after another.

The task is never cancelled. Faust cancels agents in a rebalance, and a commit that is cancelled half way leaves the
memory behind or ahead of the log; so agents only fill the queue, and closing waits for the transaction in progress.
Memory changes only after the commit: `process` works on an overlay, `commit` of the fold adopts it.

Computing happens in a thread, one shard at a time: the event loop must stay free for the commits of other shards,
which are a conversation of several steps and have a time limit.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from pv_stream.errors import EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.shard.fold import RawRecord, clock_record
from pv_stream.stream.checkpoint import Checkpoint
from pv_stream.stream.clock_guard import refuse_clock_ahead
from pv_stream.stream.progress import Progress
from pv_stream.stream.runs import FetchedRun, RunQueue
from pv_stream.stream.sink import OFFSET_SECONDS_MAX, FoldRun, TransactionalSink

#: Above this many transactions' worth of waiting records the partition is not fetched.
QUEUE_TRANSACTIONS_MAX = 2
#: A transaction aims at this much computing: a worker that is behind commits so often, and one slow shard delays the
#: others by no more.
COMPUTE_SECONDS_TARGET = 0.1
RECORDS_MIN = 50
#: The first transaction, before it is known how fast the engine is here.
RECORDS_FIRST = 500
CLOCK_CHECK_SECONDS_MAX = 1.0


class ComputedRun(FoldRun, Protocol):
    """What a fold made of a run, which may end before its records do, so that no transaction grows without a bound."""

    @property
    def left(self) -> tuple[RawRecord, ...]:
        """Return the records for the next run; of the first a part may be told."""


class Fold(Protocol):
    """The pure fold of a shard, as the live shell uses it."""

    @property
    def patients(self) -> int:
        """Return how many patients the memory holds."""

    @property
    def clock(self) -> int | None:
        """Return the shard's clock in microseconds since the epoch, UTC."""

    def restore(self, key: bytes, value: bytes) -> None:
        """Take one state record."""

    def settle(self) -> None:
        """See that what was taken is whole. Raises EnvironmentBroken when it is not."""

    def process(self, records: Sequence[RawRecord]) -> ComputedRun:
        """Compute a run of records on an overlay."""

    def commit(self, run: Any) -> None:
        """Make the overlay of a run the memory."""


@dataclass(frozen=True, slots=True)
class OpenedShard:
    """Hold a restored fold, a started sink, and where both stand in the log."""

    shard: int
    shard_count: int
    generation: int
    fold: Fold
    sink: TransactionalSink
    next_position: int
    #: Where the input log ended when the shard was opened.
    log_end: int


def wall_clock_us() -> int:
    """Return the present instant in microseconds since the epoch, UTC."""
    return time.time_ns() // 1_000


class ShardTask:
    """Process one shard of one generation until it is closed."""

    def __init__(  # noqa: PLR0913 - what it is given, all by keyword
        self,
        opened: OpenedShard,
        *,
        settings: Settings,
        computing: asyncio.Lock,
        on_pressure: Callable[[bool], None],
        progress: Progress | None = None,
        now_us: Callable[[], int] = wall_clock_us,
    ) -> None:
        """Take over an opened shard; `computing` is held by the shard that computes, `progress` is the worker's."""
        self.shard = opened.shard
        self.generation = opened.generation
        self.next_position = opened.next_position
        #: How many transactions this task has committed.
        self.transactions = 0
        self._progress = progress or Progress()
        self._in_transaction = False
        self._shard_count = opened.shard_count
        self._log_end = opened.log_end
        self._fold = opened.fold
        self._sink = opened.sink
        self._settings = settings
        self._computing = computing
        self._on_pressure = on_pressure
        self._now_us = now_us
        self._queue = RunQueue(shard=opened.shard, next_position=opened.next_position)
        self._wake = asyncio.Event()
        self._closing = False
        self._pressed = False
        self._last_clock_us: int | None = None
        self._records_budget = min(RECORDS_FIRST, settings.run_records_max)

    @property
    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint behind everything that was committed."""
        return Checkpoint(self.next_position, self._shard_count, self.generation, self._sink.ledger)

    @property
    def processed_position(self) -> int:
        """Return the position before which nothing is left to do: behind the checkpoint only markers may lie."""
        return self.next_position if self.busy else self._queue.next_position

    @property
    def busy(self) -> bool:
        """Tell whether records wait or are in a transaction."""
        return self._in_transaction or len(self._queue) > 0

    @property
    def oldest_written_ms(self) -> int | None:
        """Return when the oldest record that is not committed was written, at the latest; None when there is none."""
        return self._queue.written_ms(self.next_position)

    @property
    def waiting_records(self) -> int:
        """Return how many records wait for a transaction."""
        return len(self._queue)

    @property
    def pressed(self) -> bool:
        """Tell whether so much waits that nothing more is fetched."""
        return self._pressed

    @property
    def fold(self) -> Fold:
        """Return the memory, to look at; it changes only between two turns of the event loop."""
        return self._fold

    def offer(self, run: FetchedRun) -> None:
        """Queue a run. Raise EnvironmentBroken on a gap."""
        self._queue.put(run)
        self._wake.set()
        self._signal_pressure()

    async def run(self) -> None:
        """Process until closed; whatever it raises must end the process."""
        while not self._closing:
            await self._wait_for_work()
            if self._closing:
                break
            # Also while records wait: under a load that never ends, what is due must fire all the same.
            if self._clock_is_due():
                await self._write_clock()
            if self._closing:
                break
            if len(self._queue):
                await self._transact()
            else:
                await self._sink.commit_offset(self.next_position)
        # For those who look at the group. Left behind it does no harm, so it does not keep anybody from ending.
        with suppress(EnvironmentBroken, TimeoutError):
            async with asyncio.timeout(OFFSET_SECONDS_MAX):
                await self._sink.commit_offset(self.next_position)

    def close(self) -> None:
        """Ask the task to end after the transaction in progress; what waits is left to the next owner."""
        self._closing = True
        self._wake.set()

    async def _wait_for_work(self) -> None:
        if len(self._queue):
            # One turn for everybody else: the other shards, the fetcher, a signal.
            await asyncio.sleep(0)
            return
        self._wake.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(
                self._wake.wait(), min(self._settings.clock_interval_seconds, CLOCK_CHECK_SECONDS_MAX)
            )

    async def _transact(self) -> None:
        taken = self._queue.take(records_max=self._records_budget, bytes_max=self._settings.run_bytes_max)
        self._in_transaction = True
        self._signal_pressure()
        began = time.monotonic()
        run = await self._compute(taken.records)
        computed = time.monotonic()
        refuse_clock_ahead(self.shard, taken.records, run.states, now_us=self._now_us())
        next_position = run.left[0].position if run.left else taken.next_position
        self._queue.put_back(run.left)
        await self._sink.commit(run, Checkpoint(next_position, self._shard_count, self.generation))
        self._fold.commit(run)
        self.next_position = next_position
        self.transactions += 1
        self._in_transaction = False
        self._queue.written_ms(self.next_position)
        self._progress.committed(
            self.shard,
            len(taken.records) - len(run.left),
            run.outputs,
            compute_seconds=computed - began,
            commit_seconds=time.monotonic() - computed,
        )

    async def _compute(self, records: Sequence[RawRecord]) -> ComputedRun:
        async with self._computing:
            began = time.monotonic()
            run = await asyncio.to_thread(self._fold.process, records)
            self._adapt(len(records) - len(run.left), time.monotonic() - began)
            return run

    def _adapt(self, records: int, seconds: float) -> None:
        """Choose the size of the next transaction by how fast this one was computed."""
        if records >= RECORDS_MIN and seconds > 0:
            fitting = int(records * COMPUTE_SECONDS_TARGET / seconds)
            self._records_budget = max(RECORDS_MIN, min(self._settings.run_records_max, fitting))

    def _signal_pressure(self) -> None:
        enough = (
            len(self._queue) > QUEUE_TRANSACTIONS_MAX * self._settings.run_records_max
            or self._queue.waiting_bytes > QUEUE_TRANSACTIONS_MAX * self._settings.run_bytes_max
        )
        if enough != self._pressed:
            self._pressed = enough
            self._on_pressure(enough)

    def _clock_is_due(self) -> bool:
        # Without patients nothing can be due, and an idle log stays empty. Before the end that the log had at
        # opening, a previous owner's clock record may still lie ahead.
        if self._fold.patients == 0 or self.processed_position < self._log_end:
            return False
        last_us = max(self._fold.clock or 0, self._last_clock_us or 0)
        return self._now_us() - last_us >= self._settings.clock_interval_seconds * 1_000_000

    async def _write_clock(self) -> None:
        """Write the present instant to the input log: it is processed when it comes back as a record.

        Only ever forward: it is asked for when every earlier owner's clock records were processed, and later than ours.
        """
        instant_us = self._now_us()
        key, value = clock_record(instant_us)
        await self._sink.write_input(key, value)
        self._last_clock_us = instant_us
        self._progress.clock_records += 1
