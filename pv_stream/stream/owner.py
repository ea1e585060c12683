"""The shards that this worker owns: opened when a rebalance gives them, closed when one takes them.

Opening a shard, in this order: start its producer (that fences the previous owner and ends its transaction), fill
its memory from the state topic up to the high watermark, compare checkpoint, group and log, then process from the
checkpoint. Opening and closing never overlap; a rebalance that begins while shards are opened makes that opening
stop early, because it would be of an old generation.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from pv_stream.settings import Settings
from pv_stream.stream.checkpoint import InputLog, start_position
from pv_stream.stream.partition_store import PartitionStore
from pv_stream.stream.runs import FetchedRun
from pv_stream.stream.shard_task import Fold, OpenedShard, Progress, ShardTask
from pv_stream.stream.sink import TransactionalSink

#: The one logger of the live worker: mode gives each of its subclasses the logger of the module that defines it.
LIVE_LOGGER = "pv_stream.live"
log = logging.getLogger(LIVE_LOGGER)

#: Makes the empty fold of a shard: (shard, shard count) -> fold.
FoldFactory = Callable[[int, int], Fold]


class Source(Protocol):
    """What the owner asks of the consumer of the input topic."""

    async def bounds(self, shard: int) -> tuple[int, int]:
        """Return the first offset of the shard's input and the one after its last stable record."""

    async def committed(self, shard: int) -> int | None:
        """Return the offset that the group has committed."""

    async def partition_count(self) -> int:
        """Return how many partitions the input topic has."""

    def press(self, shard: int, *, pressed: bool) -> None:
        """Stop or resume fetching a shard."""


class ShardOwner:
    """Open, feed and close the shards of one worker."""

    def __init__(
        self,
        *,
        settings: Settings,
        fold_factory: FoldFactory,
        source: Source,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """Own nothing yet."""
        self._settings = settings
        self._fold_factory = fold_factory
        self._source = source
        self._on_failure = on_failure
        self._tasks: dict[int, ShardTask] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._sinks: dict[int, TransactionalSink] = {}
        self._lock = asyncio.Lock()
        self._computing = asyncio.Lock()
        self._epoch = 0
        #: Runs of an old generation or of a shard that is not open: dropped, their records come again.
        self.dropped_runs = 0

    @property
    def positions(self) -> dict[int, int]:
        """Return the checkpoint of each open shard."""
        return {shard: task.next_position for shard, task in self._tasks.items()}

    @property
    def progress(self) -> dict[int, Progress]:
        """Return what each open shard has done."""
        return {shard: task.progress for shard, task in self._tasks.items()}

    def offer(self, run: FetchedRun) -> None:
        """Give a run to its shard, or drop it when it is of an old generation or of no shard of ours."""
        task = self._tasks.get(run.shard)
        if task is None or task.generation != run.generation:
            self.dropped_runs += 1
            return
        task.offer(run)

    async def open(self, shards: Iterable[int], *, generation: int) -> None:
        """Open the shards of a new generation."""
        epoch = self._epoch
        async with self._lock:
            await self._close_all()
            if epoch != self._epoch:
                return
            shard_count = await self._source.partition_count()
            opening = [self._open(shard, shard_count, generation, epoch) for shard in sorted(shards)]
            await asyncio.gather(*opening)
        if epoch == self._epoch:
            log.info("owns shards %s of %d (generation %d)", sorted(self._tasks), shard_count, generation)

    async def close(self) -> None:
        """Close every shard after the transaction that it is in."""
        self._epoch += 1
        async with self._lock:
            await self._close_all()

    async def _close_all(self) -> None:
        for task in self._tasks.values():
            task.close()
        self._tasks = {}
        await _all(self._running.values())
        self._running = {}
        await _all(sink.stop() for sink in self._sinks.values())
        self._sinks = {}

    async def _open(self, shard: int, shard_count: int, generation: int, epoch: int) -> None:
        sink = TransactionalSink(shard=shard, settings=self._settings)
        self._sinks[shard] = sink
        await sink.start()
        if epoch != self._epoch:
            return
        fold = self._fold_factory(shard, shard_count)
        store = PartitionStore(shard=shard, settings=self._settings)
        checkpoint = await store.restore(fold, abandoned=lambda: epoch != self._epoch)
        if epoch != self._epoch:
            return
        start, end = await self._source.bounds(shard)
        committed = await self._source.committed(shard)
        input_log = InputLog(start=start, end=end, partition_count=shard_count)
        position = start_position(shard=shard, checkpoint=checkpoint, committed=committed, log=input_log)
        if epoch != self._epoch:
            return
        if (committed or 0) < position:
            log.info(
                "shard %d: the group's offset %s is behind the checkpoint %d", shard, committed, position
            )
        log.info("shard %d: continues at %d of %d with %d patients", shard, position, end, fold.patients)
        opened = OpenedShard(shard, shard_count, generation, fold, sink, position, end)
        task = ShardTask(
            opened,
            settings=self._settings,
            computing=self._computing,
            on_pressure=lambda pressed: self._source.press(shard, pressed=pressed),
        )
        self._source.press(shard, pressed=False)
        self._tasks[shard] = task
        running = asyncio.create_task(task.run(), name=f"shard-{shard}")
        running.add_done_callback(self._ended)
        self._running[shard] = running

    def _ended(self, running: "asyncio.Task[None]") -> None:
        if not running.cancelled() and (error := running.exception()) is not None:
            self._on_failure(error)


async def _all(works: Iterable[Awaitable[object]]) -> None:
    """Await everything; a failure was reported where it happened and must not keep the others open."""
    await asyncio.gather(*works, return_exceptions=True)
