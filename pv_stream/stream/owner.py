"""The shards that this worker owns: opened when a rebalance gives them, closed when one takes them.

Opening a shard, in this order: start its producer (that fences the previous owner and ends its transaction), fill
its memory from the state topic up to the high watermark, compare checkpoint, group and log, then process from the
checkpoint. Opening and closing never overlap; a rebalance that begins while shards are opened makes that opening
stop early, because it would be of an old generation.

The memory of a shard that is closed is kept, with the position of the state topic that it reflects. When the shard
comes back, as most do in every rebalance, only what other owners wrote meanwhile is read. A worker may so hold the
memory of every shard that it ever owned; it must have room for that anyway, for it may be the last one left.

Shards are restored one after another: what is read and not yet taken needs room beside the memories.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pv_stream.errors import EnvironmentBroken
from pv_stream.ledger.keys import read_private_key
from pv_stream.settings import Settings
from pv_stream.stream.checkpoint import Checkpoint, InputLog, start_position
from pv_stream.stream.partition_store import PartitionStore, TailLost
from pv_stream.stream.progress import Progress
from pv_stream.stream.runs import FetchedRun
from pv_stream.stream.shard_task import Fold, OpenedShard, ShardTask
from pv_stream.stream.sink import TransactionalSink
from pv_stream.stream.worker_log import Said, say

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

    def last_seen_end(self, shard: int) -> tuple[int, float] | None:
        """Return the end of the shard's input as the last fetch saw it, and when, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Hold the memory of a shard, and the store that knows up to where it reflects the state topic."""

    fold: Fold
    store: PartitionStore
    shard_count: int


@dataclass(frozen=True, slots=True)
class Restored:
    """Say how the memory of an open shard came back: the state records read, in how long, and whether of a tail."""

    records: int
    seconds: float
    tail_only: bool


@dataclass(frozen=True, slots=True)
class Opening:
    """Say what the opening of a shard is doing, and how far it got: steps that grow while it gets on."""

    doing: str
    steps: Callable[[], int] = lambda: 0


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
        key = settings.ledger_key
        self._ledger_key = None if key is None else read_private_key(key.get_secret_value())
        self._fold_factory = fold_factory
        self._source = source
        self._on_failure = on_failure
        self._tasks: dict[int, ShardTask] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._sinks: dict[int, TransactionalSink] = {}
        #: By shard: the memory of those that are open, and of those that were.
        self._memories: dict[int, Memory] = {}
        self._lock = asyncio.Lock()
        self._restoring = asyncio.Lock()
        self._computing = asyncio.Lock()
        self._epoch = 0
        #: What all shards have done since the worker started.
        self.progress = Progress()
        #: The shards that the group gave to this worker; None while it is not known.
        self.assigned: frozenset[int] | None = None
        #: How each shard's memory came back when it was opened last.
        self.restored: dict[int, Restored] = {}
        #: What is done for each shard that is being opened, and whether shards are being closed.
        self.opening: dict[int, Opening] = {}
        self.closing = False

    @property
    def open_shards(self) -> Mapping[int, ShardTask]:
        """Return the task of each open shard, to look at."""
        return self._tasks

    def last_seen_end(self, shard: int) -> tuple[int, float] | None:
        """Return the end of a shard's input as the last fetch saw it, and when; None before the first."""
        return self._source.last_seen_end(shard)

    @property
    def positions(self) -> dict[int, int]:
        """Return the checkpoint of each open shard."""
        return {shard: task.next_position for shard, task in self._tasks.items()}

    def offer(self, run: FetchedRun) -> None:
        """Give a run to its shard, or drop it when it is of an old generation or of no shard of ours."""
        task = self._tasks.get(run.shard)
        if task is None or task.generation != run.generation:
            self.progress.dropped_runs += 1
            return
        task.offer(run)

    async def open(self, shards: Iterable[int], *, generation: int) -> None:
        """Open the shards of a new generation."""
        epoch = self._epoch
        self.assigned = shards = frozenset(shards)
        self.progress.rebalances += 1
        async with self._lock:
            await self._close_all()
            if epoch != self._epoch:
                return
            shard_count = await self._source.partition_count()
            opening = [self._open(shard, shard_count, generation, epoch) for shard in sorted(shards)]
            try:
                await asyncio.gather(*opening)
            finally:
                self.opening = {}
        if epoch == self._epoch:
            say(
                Said.SHARDS_OWNED,
                shards=sorted(self._tasks),
                shard_count=shard_count,
                generation=generation,
            )

    async def close(self) -> None:
        """Close every shard after the transaction that it is in."""
        self._epoch += 1
        self.assigned = None
        async with self._lock:
            await self._close_all()

    async def _close_all(self) -> None:
        self.closing = True
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.close()
        await _all(self._running.values())
        for shard, task in tasks.items():
            self._keep(shard, task)
        self._running = {}
        await _all(sink.stop() for sink in self._sinks.values())
        self._sinks = {}
        self.closing = False

    def _keep(self, shard: int, task: ShardTask) -> None:
        """Keep the memory of a shard whose task has ended well; after a failure it may be anything."""
        running = self._running[shard]
        if running.cancelled() or running.exception() is not None:
            self._memories.pop(shard, None)
            return
        position = self._sinks[shard].state_position
        if position is not None:
            self._memories[shard].store.reflects(position, task.checkpoint)

    async def _open(self, shard: int, shard_count: int, generation: int, epoch: int) -> None:
        sink = TransactionalSink(shard=shard, settings=self._settings, ledger_key=self._ledger_key)
        self._sinks[shard] = sink
        self.opening[shard] = Opening("taking over from its last owner")
        await sink.start()
        if epoch != self._epoch:
            return
        # Before the memory is filled: should a newer owner commit meanwhile, because this worker stood still and
        # does not know that it was replaced, its offset must not look like one ahead of the checkpoint.
        committed = await self._source.committed(shard)
        fold, checkpoint = await self._restore(shard, shard_count, epoch)
        if checkpoint is not None:
            sink.ledger = checkpoint.ledger
        if epoch != self._epoch:
            return
        self.opening[shard] = Opening("comparing checkpoint, group and log")
        start, end = await self._source.bounds(shard)
        input_log = InputLog(start=start, end=end, partition_count=shard_count)
        position = start_position(shard=shard, checkpoint=checkpoint, committed=committed, log=input_log)
        if epoch != self._epoch:
            return
        sink.group_offset = committed or 0
        if sink.group_offset < position:
            self.progress.offsets_behind += 1
            say(Said.GROUP_OFFSET_BEHIND, shard=shard, committed=committed, position=position)
        say(
            Said.SHARD_OPENED,
            shard=shard,
            position=position,
            end=end,
            patients=fold.patients,
            generation=generation,
        )
        opened = OpenedShard(shard, shard_count, generation, fold, sink, position, end)
        self._start(opened)
        del self.opening[shard]

    async def _restore(self, shard: int, shard_count: int, epoch: int) -> tuple[Fold, Checkpoint | None]:
        """Return the memory of a shard and its checkpoint: from the tail of its state where the rest was kept."""
        self.opening[shard] = Opening("waiting for its turn to restore", self._steps)
        async with self._restoring:
            return await self._restore_alone(shard, shard_count, epoch)

    async def _restore_alone(
        self, shard: int, shard_count: int, epoch: int
    ) -> tuple[Fold, Checkpoint | None]:
        began = time.monotonic()
        memory = self._memories.get(shard)
        if memory is None or memory.shard_count != shard_count:
            memory = self._new_memory(shard, shard_count)
        tail_only, before = memory.store.position is not None, memory.store.records_read
        try:
            checkpoint = await self._fill(shard, memory, epoch)
        except TailLost:
            say(Said.SHARD_STATE_REPLACED, shard=shard)
            memory, tail_only, before = self._new_memory(shard, shard_count), False, 0
            checkpoint = await self._fill(shard, memory, epoch)
        restored = Restored(memory.store.records_read - before, time.monotonic() - began, tail_only)
        if epoch == self._epoch:
            self.restored[shard] = restored
            self.progress.restore_seconds.add(restored.seconds)
            say(
                Said.SHARD_RESTORED,
                shard=shard,
                seconds=round(restored.seconds, 1),
                records=restored.records,
                part=", the tail of what was kept" if tail_only else "",
            )
        return memory.fold, checkpoint

    async def _fill(self, shard: int, memory: Memory, epoch: int) -> Checkpoint | None:
        self.opening[shard] = Opening("restoring its state", lambda: memory.store.steps)
        return await memory.store.restore(memory.fold, abandoned=lambda: epoch != self._epoch)

    def _steps(self) -> int:
        """Return what the restores of all shards did so far; the watchdog asks from its thread."""
        return sum(memory.store.steps for memory in tuple(self._memories.values()))

    def _new_memory(self, shard: int, shard_count: int) -> Memory:
        memory = Memory(
            self._fold_factory(shard, shard_count),
            PartitionStore(shard=shard, settings=self._settings),
            shard_count,
        )
        self._memories[shard] = memory
        return memory

    def _start(self, opened: OpenedShard) -> None:
        shard = opened.shard
        task = ShardTask(
            opened,
            settings=self._settings,
            computing=self._computing,
            on_pressure=lambda pressed: self._source.press(shard, pressed=pressed),
            progress=self.progress,
        )
        self._source.press(shard, pressed=False)
        self._tasks[shard] = task
        running = asyncio.create_task(task.run(), name=f"shard-{shard}")
        running.add_done_callback(self._ended)
        self._running[shard] = running

    def _ended(self, running: "asyncio.Task[None]") -> None:
        # Nobody here cancels it: whoever did left a shard that looks open and processes nothing.
        if running.cancelled():
            message = (
                f"{running.get_name()}: its task was cancelled from outside: the worker ends and starts again"
            )
            self._on_failure(EnvironmentBroken(message))
        elif (error := running.exception()) is not None:
            self._on_failure(error)


async def _all(works: Iterable[Awaitable[object]]) -> None:
    """Await everything; a failure was reported where it happened and must not keep the others open."""
    await asyncio.gather(*works, return_exceptions=True)
