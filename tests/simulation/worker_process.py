"""A simulated worker: the real ShardOwner, ShardTask, TransactionalSink and PartitionStore, fed as Faust feeds them.

What is simulated is the host: membership, the fetches with their generations and positions, the queue between fetch
and agent, the signals of a rebalance, and the exit on a failure. As with Faust, runs of an old generation still reach
the owner, and shards may be taken away while they are being opened.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

from aiokafka import TopicPartition

from pv_stream.settings import Settings
from pv_stream.shard.fold import RawRecord
from pv_stream.stream.owner import FoldFactory, ShardOwner
from pv_stream.stream.runs import FetchedRun
from tests.simulation.faults import Kind
from tests.simulation.group import SESSION_SECONDS, Assigned, Group
from tests.simulation.memory_broker import MemoryBroker
from tests.simulation.memory_clients import request
from tests.simulation.network import Network

HEARTBEAT_SECONDS = SESSION_SECONDS / 4
IDLE_SECONDS = 0.05
POLL_SECONDS = (0.05, 0.2, 0.5)
BUFFER_RUNS = 4


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Hold what all workers share."""

    settings: Settings
    source_topic: str
    broker: MemoryBroker
    network: Network
    group: Group
    rng: random.Random
    fold_factory: FoldFactory
    on_exit: "Callable[[WorkerProcess, BaseException | None], None]"


class WorkerProcess:
    """Run one worker from its start to its end; also the source that its owner asks about the input."""

    def __init__(self, name: str, around: Surroundings) -> None:
        """Prepare; nothing runs before `main`."""
        self.name = name
        self.owner = ShardOwner(
            settings=around.settings, fold_factory=around.fold_factory, source=self, on_failure=self.fail
        )
        #: What is done to the next runs that are fetched.
        self.meddling: deque[Kind] = deque()
        self.terminated = asyncio.Event()
        #: Until when it hears nothing of its group.
        self.deaf_until = 0.0
        self._around = around
        self._network, self._broker, self._rng = around.network, around.broker, around.rng
        self._generation: int | None = None
        self._expected: dict[int, tuple[int, int]] = {}
        self._pressed: set[int] = set()
        self._buffer: asyncio.Queue[FetchedRun] = asyncio.Queue(BUFFER_RUNS)
        self._late: FetchedRun | None = None

    async def main(self) -> None:
        """Work until terminated."""
        for work in (self._membership(), self._fetch(), self._deliver()):
            self._start(work)
        await self.terminated.wait()
        await self.owner.close()
        await request(self._network, lambda: self._around.group.leave(self.name))
        self._around.on_exit(self, None)

    def fail(self, error: BaseException) -> None:
        """End: a failure that was reported ends the process a moment later."""
        self._around.on_exit(self, error)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        def ended(task: "asyncio.Task[None]") -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self.fail(error)

        asyncio.get_running_loop().create_task(work).add_done_callback(ended)

    # Membership ------------------------------------------------------------------------------------------------

    async def _membership(self) -> None:
        group = self._around.group
        while not self.terminated.is_set():
            # The network waits for a future and answers with its result.
            joined: object = await request(self._network, lambda: group.join(self.name))
            generation, shards = cast("Assigned", joined)
            self._generation = generation
            self._start(self._open(shards, generation))
            while await self._may_go_on(generation):  # noqa: ASYNC110 - a heartbeat is one
                await asyncio.sleep(max(HEARTBEAT_SECONDS, self.deaf_until - self._network.loop.now))
            await self.owner.close()

    async def _may_go_on(self, generation: int) -> bool:
        return await request(self._network, lambda: self._around.group.heartbeat(self.name, generation))

    async def _open(self, shards: tuple[int, ...], generation: int) -> None:
        await self.owner.open(shards, generation=generation)
        if self._generation == generation:
            positions = self.owner.positions
            self._expected = {shard: (generation, at) for shard, at in positions.items()}

    # Fetching --------------------------------------------------------------------------------------------------

    async def _fetch(self) -> None:
        while True:
            wanted = sorted(
                shard
                for shard, (generation, _) in self._expected.items()
                if generation == self._generation and shard not in self._pressed
            )
            for shard in wanted:
                await self._fetch_run(shard)
            await asyncio.sleep(self._rng.choice(POLL_SECONDS) if wanted else IDLE_SECONDS)

    async def _fetch_run(self, shard: int) -> None:
        if shard not in self._expected:
            return
        generation, position = self._expected[shard]
        log = self._broker.logs[self._input(shard)]
        records_max = self._rng.choice((1, 3, 8))
        entries, next_position = await request(
            self._network, lambda: log.read(position, records_max=records_max, committed_only=True)
        )
        if self._expected.get(shard) != (generation, position) or generation != self._generation:
            return
        if not entries and next_position == position:
            return
        self._expected[shard] = generation, next_position
        records = tuple(RawRecord(each.position, each.key, each.value) for each in entries)
        await self._meddle(FetchedRun(shard, generation, position, next_position, records))

    async def _meddle(self, run: FetchedRun) -> None:
        """Put a run into the buffer, once, twice, late or never."""
        doing = self.meddling.popleft() if self.meddling else None
        if doing is Kind.RUN_LATE and self._late is None:
            self._late = run
            return
        if doing is not Kind.RUN_LOST:
            await self._buffer.put(run)
        if doing is Kind.RUN_TWICE or self._late is not None:
            again, self._late = self._late or run, None
            await self._buffer.put(again)

    async def _deliver(self) -> None:
        while True:
            run = await self._buffer.get()
            await asyncio.sleep(self._rng.choice((0.0, 0.0, 0.01, 1.0)))
            self.owner.offer(run)

    # What the owner asks ---------------------------------------------------------------------------------------

    async def bounds(self, shard: int) -> tuple[int, int]:
        """Return the first position of a shard's input, and the end of what is stable."""
        log = self._broker.logs[self._input(shard)]
        return await request(self._network, lambda: (log.start, log.last_stable))

    async def committed(self, shard: int) -> int | None:
        """Return the group's offset."""
        return await request(
            self._network,
            lambda: self._broker.committed_offset(self._around.settings.group_id, self._input(shard)),
        )

    async def partition_count(self) -> int:
        """Return how many partitions the input has."""
        return await request(self._network, lambda: self._broker.partition_count)

    def press(self, shard: int, *, pressed: bool) -> None:
        """Stop or resume fetching."""
        (self._pressed.add if pressed else self._pressed.discard)(shard)

    def last_seen_end(self, shard: int) -> tuple[int, float] | None:
        """Return nothing: it is for people who watch."""
        del shard
        return None

    def _input(self, shard: int) -> TopicPartition:
        return TopicPartition(self._around.source_topic, shard)
