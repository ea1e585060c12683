"""One simulated run: a broker, some workers, an input that is written meanwhile, and what goes wrong.

`simulate(plan, job)` runs until the faults are over and everything was processed, and checks what must hold on the
way: what a worker keeps in memory is never ahead of the log, and no worker ends without a reason. What must hold at
the end is in `checkers`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final, Protocol
from unittest import mock

from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

from pv_stream.domain.ids import shard_of
from pv_stream.settings import Settings
from pv_stream.shard.fold import RawRecord
from pv_stream.stream import owner, partition_store, shard_task, sink
from pv_stream.stream.checkpoint import CHECKPOINT_KEY, Checkpoint
from pv_stream.stream.shard_task import Fold, ShardTask
from pv_stream.stream.topics import Topic
from tests.simulation.faults import Fault, Kind, Plan
from tests.simulation.group import Group
from tests.simulation.memory_broker import OFFSETS, MemoryBroker, Record, offset_key
from tests.simulation.memory_clients import MemoryConsumer, MemoryProducer
from tests.simulation.network import Network
from tests.simulation.process_loop import PROCESS, WORLD, ProcessLoop
from tests.simulation.worker_process import Surroundings, WorkerProcess

SETTINGS: Final = Settings(
    group_id="simulated",
    transaction_timeout_seconds=10,
    restore_timeout_seconds=60,
    run_records_max=5,
    clock_interval_seconds=15,
)
BATCH_BYTES_MAX: Final = 150
#: What a restore keeps until it is taken, by the plan's seed: a few counts, or a patient's head and not every segment.
VALUES_BYTES_MAX: Final = (6, 1_500)
#: 2026-07-01, in microseconds since the epoch: when the simulated clocks begin.
BEGAN_US: Final = 1_782_864_000_000_000
RUN_SECONDS_MAX: Final = 400.0
QUIET_SECONDS_MAX: Final = 300.0
LOOK_SECONDS: Final = 0.5
RESTART_SECONDS: Final = (0.5, 3.0, 9.0)

#: What a worker may end with, and the faults of which at least one must have happened before. Without any named, it
#: is what the broker does to a worker that was replaced.
EXCUSES: Final = (
    ("a gap in the input", {Kind.RUN_LOST, Kind.RUN_LATE}),
    ("took longer than", {Kind.PAUSE, Kind.CUT_OFF, Kind.BROKER_DOWN}),
    ("was not restored within", {Kind.PAUSE, Kind.CUT_OFF, Kind.BROKER_DOWN, Kind.STRANGER}),
    ("MessageSizeTooLargeError", {Kind.BATCH_REFUSED}),
    ("ProducerFenced", set[Kind]()),
)


class Job(Protocol):
    """Say what is processed: the fold, and the records of its input."""

    def fold(self, shard: int, shard_count: int) -> Fold:
        """Return an empty fold."""

    def input(self, rng: random.Random, records: int) -> Sequence[tuple[bytes, bytes]]:
        """Return keys and values in the order in which they are written."""


class Watched:
    """A fold that tells before it adopts what a transaction wrote."""

    def __init__(self, fold: Fold, adopting: Callable[[Any], None]) -> None:
        self.inner = fold
        self._adopting = adopting

    @property
    def patients(self) -> int:
        return self.inner.patients

    @property
    def clock(self) -> int | None:
        return self.inner.clock

    def restore(self, key: bytes, value: bytes) -> None:
        self.inner.restore(key, value)

    def settle(self) -> None:
        self.inner.settle()

    def process(self, records: Sequence[RawRecord]) -> Any:
        return self.inner.process(records)

    def commit(self, run: Any) -> None:
        self._adopting(run)
        self.inner.commit(run)


@dataclass(slots=True)
class World:
    """Hold everything of one run."""

    plan: Plan
    job: Job
    rng: random.Random
    loop: ProcessLoop
    network: Network
    broker: MemoryBroker
    group: Group
    workers: dict[int, WorkerProcess | None] = field(default_factory=dict)
    happened: set[Kind] = field(default_factory=set)
    trace: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    awaits: int = 0
    fed: bool = False
    quiet: bool = False
    over: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    _due: list[tuple[int, Fault]] = field(default_factory=list)
    _refusing: Counter[str] = field(default_factory=Counter)

    # Running ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until everything was processed, or something is wrong."""
        at = 0
        for fault in self.plan.faults:
            at += fault.after
            self._due.append((at, fault))
        self._due.reverse()
        self.loop.spawn(WORLD, self._feed())
        for slot in range(self.plan.workers):
            self._start(slot)
        self._look()
        over = self.loop.run_until(
            lambda: bool(self.wrong) or (self.fed and not self._due), seconds_max=RUN_SECONDS_MAX
        )
        if over and not self.wrong:
            self._settle()
        self.loop.run_until(lambda: bool(self.wrong) or self.quiet, seconds_max=QUIET_SECONDS_MAX)
        if not self.quiet and not self.wrong:
            self.note("still not everything is processed")
            self.wrong.append("not everything was processed")
        self.over = True

    def note(self, what: str) -> None:
        """Write a line of what happened."""
        self.trace.append(f"{self.loop.now:8.3f} s, await {self.awaits:5d}: {what}")

    def step(self) -> None:
        """Let a fault happen that is due at this await."""
        self.awaits += 1
        while self._due and self._due[-1][0] <= self.awaits:
            self._inflict(self._due.pop()[1])

    def _settle(self) -> None:
        """End every disturbance; a lost run is noticed at the latest in a rebalance."""
        self.note("no more faults")
        self.network.heal()
        for worker in self.workers.values():
            if worker is not None:
                worker.meddling.clear()
                self.loop.resume(worker.name)
        self.group.rebalance()

    def _look(self) -> None:
        """Look again and again whether everything was processed."""
        self.quiet = self.fed and not self._due and self.broker.is_quiet() and self._processed()
        self.loop.call_later(LOOK_SECONDS, self._look)

    def _processed(self) -> bool:
        for shard in range(self.plan.shards):
            states = self.broker.logs[TopicPartition(Topic.STATE, shard)].committed()
            values = [entry.value for entry in states if entry.key == CHECKPOINT_KEY]
            reached = Checkpoint.from_bytes(values[-1] or b"", shard=shard).next_position if values else 0
            events = self.broker.logs[TopicPartition(Topic.EVENTS, shard)].committed()
            if events and events[-1].position >= reached:
                return False
            if not any(task.next_position == reached for task in self.tasks(shard)):
                return False  # nobody owns the shard, or its owner waits for the answer to a commit
        return True

    def tasks(self, shard: int) -> list[ShardTask]:
        """Return the tasks of all who think that they own a shard."""
        workers = [worker for worker in self.workers.values() if worker is not None]
        return [task for worker in workers if (task := worker.owner._tasks.get(shard)) is not None]

    # Workers ---------------------------------------------------------------------------------------------------

    def _start(self, slot: int) -> None:
        if self.over:
            return
        self.counts["started"] += 1
        name = f"worker-{slot}.{self.counts['started']}"
        around = Surroundings(
            settings=SETTINGS,
            source_topic=Topic.EVENTS,
            broker=self.broker,
            network=self.network,
            group=self.group,
            rng=self.rng,
            fold_factory=self._watched,
            on_exit=lambda worker, error: self._exit(slot, worker, error),
        )
        self.workers[slot] = worker = WorkerProcess(name, around)
        self.loop.spawn(name, worker.main())
        self.note(f"{name} starts")

    def _watched(self, shard: int, shard_count: int) -> Fold:
        def adopting(run: Any) -> None:
            states = self.broker.decided.get(TopicPartition(Topic.STATE, shard), set())
            if not states.issuperset(run.states):
                self.wrong.append(f"{PROCESS.get()} keeps of shard {shard} what was not committed")

        return Watched(self.job.fold(shard, shard_count), adopting)

    def _exit(self, slot: int, worker: WorkerProcess, error: BaseException | None) -> None:
        if self.over or self.workers[slot] is not worker:
            return
        self.note(f"{worker.name} ends: {error or 'it was asked to'}")
        if error is not None:
            self.counts[f"ended: {self._excuse(worker, error)}"] += 1
        self._replace(slot, worker)

    def _replace(self, slot: int, worker: WorkerProcess) -> None:
        """Let a process end for good and start another later."""
        self.workers[slot] = None
        self.network.later(lambda: self.loop.halt(worker.name))
        self.network.later(lambda: self._start(slot), self.rng.choice(RESTART_SECONDS))

    def _excuse(self, worker: WorkerProcess, error: BaseException) -> str:
        for text, causes in EXCUSES:
            if text in str(error) and (not causes or causes & self.happened):
                return text
        self.wrong.append(f"{worker.name} ended without a reason: {type(error).__name__}: {error}")
        return "no reason"

    # The input -------------------------------------------------------------------------------------------------

    async def _feed(self) -> None:
        """Write the input as other programs do: alone or in transactions, some of which are aborted."""
        waiting = list(self.job.input(self.rng, self.plan.records))
        number = 0
        while waiting:
            number += 1
            some, waiting = waiting[: number % 3 + 1], waiting[number % 3 + 1 :]
            by_partition: dict[TopicPartition, list[Record]] = {}
            for key, value in some:
                partition = TopicPartition(Topic.EVENTS, shard_of(key.decode(), self.plan.shards))
                by_partition.setdefault(partition, []).append((key, value, ()))
            if self.rng.randrange(4) == 0:
                await self._write_in_transaction(f"aborted-{number}", by_partition, commit=False)
            if self.rng.randrange(2):
                await self._write_in_transaction(f"writer-{number}", by_partition, commit=True)
            else:
                for partition, records in by_partition.items():
                    self.broker.append(partition, records)
            await asyncio.sleep(self.rng.choice((0.05, 0.5, 2.0)))
        self.fed = True

    async def _write_in_transaction(
        self, name: str, by_partition: dict[TopicPartition, list[Record]], *, commit: bool
    ) -> None:
        producer, epoch = self.broker.init_producer(name, 1_000)
        for partition, records in by_partition.items():
            self.broker.add_partition(name, producer, epoch, partition)
            self.broker.produce(name, producer, epoch, partition, 0, records)
        await asyncio.sleep(self.rng.choice((0.01, 0.1, 1.0)))
        self.broker.end(name, producer, epoch, commit=commit)

    # Faults ----------------------------------------------------------------------------------------------------

    def _inflict(self, fault: Fault) -> None:
        slot, shard = fault.which % self.plan.workers, fault.which % self.plan.shards
        self.happened.add(fault.kind)
        self.note(f"{fault.kind.name} (worker {slot}, shard {shard}, {fault.seconds} s)")
        states = TopicPartition(Topic.STATE, shard)
        match fault.kind:
            case Kind.REBALANCE:
                self.group.rebalance()
            case Kind.BROKER_DOWN:
                self.network.broker_down_until = self.loop.now + fault.seconds
            case Kind.OFFSET_LOST:
                key = offset_key(SETTINGS.group_id, TopicPartition(Topic.EVENTS, shard))
                self.broker.append(OFFSETS, [(key, None, ())])
            case Kind.STRANGER:
                self._open_a_strangers_transaction(states, fault.seconds)
            case Kind.COMPACT:
                self.broker.logs[states].compact()
            case _:
                worker = self.workers[slot]
                if worker is not None:
                    self._inflict_on(slot, worker, fault)

    def _inflict_on(self, slot: int, worker: WorkerProcess, fault: Fault) -> None:
        match fault.kind:
            case Kind.KILL:
                self.loop.halt(worker.name)
                self._replace(slot, worker)
            case Kind.PAUSE:
                self.loop.halt(worker.name)
                self.network.later(lambda: self._continue(slot, worker), fault.seconds)
            case Kind.TERMINATE:
                worker.terminated.set()
            case Kind.DISCONNECT:
                self.network.disconnect(worker.name)
            case Kind.DEAF:
                worker.deaf_until = self.loop.now + fault.seconds
            case Kind.CUT_OFF:
                self.network.cut_off(worker.name, fault.seconds)
            case Kind.BATCH_REFUSED:
                self._refusing[worker.name] += 1
            case _:
                worker.meddling.append(fault.kind)

    def _continue(self, slot: int, worker: WorkerProcess) -> None:
        if self.workers[slot] is worker:
            self.loop.resume(worker.name)

    def _open_a_strangers_transaction(self, states: TopicPartition, seconds: float) -> None:
        self.counts["strangers"] += 1
        name = f"stranger-{self.counts['strangers']}"
        producer, epoch = self.broker.init_producer(name, seconds)
        self.broker.add_partition(name, producer, epoch, states)
        self.broker.produce(name, producer, epoch, states, 0, [(b"p0", b"999999", ())])

    def refused(self, _partition: TopicPartition) -> Exception | None:
        """Say whether the broker refuses a batch of the process that asks."""
        if self._refusing[PROCESS.get()]:
            self._refusing[PROCESS.get()] -= 1
            error: Exception = MessageSizeTooLargeError()
            return error
        return None


def simulate(plan: Plan, job: Job) -> World:
    """Run a plan to its end and return what is left of it."""
    rng = random.Random(plan.seed)
    loop = ProcessLoop(rng)  # type: ignore[abstract]  # the runtime asks for no more of a loop
    network = Network(loop, rng)
    broker = MemoryBroker(tuple(Topic), partition_count=plan.shards, later=network.later)
    world = World(plan, job, rng, loop, network, broker, Group(plan.shards, network, rng))
    loop.on_step = world.step
    with substituted(world):
        try:
            world.run()
        finally:
            loop.bury()
    return world


@contextmanager
def substituted(world: World) -> Iterator[None]:
    """Put the broker in memory, and the time of the simulation, where the runtime looks for Kafka and a clock."""

    def producer(**options: Any) -> MemoryProducer:
        return MemoryProducer(
            world.broker, world.network, batch_bytes_max=BATCH_BYTES_MAX, refused=world.refused, **options
        )

    def consumer(**options: Any) -> MemoryConsumer:
        return MemoryConsumer(world.broker, world.network, **options)

    clock = SimpleNamespace(
        time_ns=lambda: BEGAN_US * 1_000 + int(world.loop.now * 1_000_000_000),
        monotonic=lambda: world.loop.now,
    )
    with (
        mock.patch.object(sink, "AIOKafkaProducer", producer),
        mock.patch.object(partition_store, "AIOKafkaConsumer", consumer),
        # A rebalance may come between any two states, and some of their values are read twice.
        mock.patch.object(partition_store, "TURN_SECONDS", 0.0),
        mock.patch.object(partition_store, "VALUES_BYTES_MAX", VALUES_BYTES_MAX[world.plan.seed % 2]),
        mock.patch.object(shard_task, "time", clock),
        mock.patch.object(owner, "time", clock, create=True),
    ):
        yield
