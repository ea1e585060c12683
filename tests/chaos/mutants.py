"""Faults put into the runtime on purpose, each one line of thought, to see that the checkers find them.

A mutant is applied in the worker process by its entry point. Each breaks one of the things that exactly-once rests
on. A name of the runtime that has changed makes it fail at once, for it is looked up, not guessed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from pv_stream.domain.ids import derive_id
from pv_stream.engine import telling
from pv_stream.errors import EnvironmentBroken
from pv_stream.stream.checkpoint import Checkpoint
from pv_stream.stream.runs import FetchedRun, RunQueue
from pv_stream.stream.sink import TransactionalSink

#: Called where only a mutant gets: between two transactions that should be one.
Between = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Mutant:
    """Hold what a mutant does wrong, and how it is put into this process."""

    does: str
    apply: Callable[[Between], None]


@dataclass(frozen=True, slots=True)
class _Part:
    """Hold a part of a run, to be written by itself."""

    outputs: tuple[Any, ...]
    states: tuple[tuple[bytes, bytes], ...]


def commit_before_produce(between: Between) -> None:
    """Commit the offsets and the checkpoint first, and write outputs and states after that."""
    commit = TransactionalSink.commit

    async def commit_first(self: TransactionalSink, run: Any, checkpoint: Checkpoint) -> Any:
        await commit(self, _Part((), ()), checkpoint)
        if run.outputs:
            between()
        return await commit(self, run, checkpoint)

    TransactionalSink.commit = commit_first  # type: ignore[method-assign]


def state_before_commit(between: Between) -> None:
    """Write the states in a transaction of their own, before that of the outputs and the checkpoint."""
    commit = TransactionalSink.commit
    last: dict[int, Checkpoint] = {}

    async def states_first(self: TransactionalSink, run: Any, checkpoint: Checkpoint) -> Any:
        before = last.get(id(self))
        if before is not None and run.outputs:
            await commit(self, _Part((), run.states), replace(before, generation=checkpoint.generation))
            between()
        last[id(self)] = checkpoint
        return await commit(self, run, checkpoint)

    TransactionalSink.commit = states_first  # type: ignore[method-assign]


def restore_to_last_stable(_between: Between) -> None:
    """Restore a shard up to the last stable offset instead of the high watermark."""
    start = AIOKafkaConsumer.__init__

    def bounded(self: Any, *topics: str, **options: Any) -> None:
        if options.get("group_id") is None:
            options["isolation_level"] = "read_committed"
        start(self, *topics, **options)

    AIOKafkaConsumer.__init__ = bounded


def gap_ignored(_between: Between) -> None:
    """Go on behind a gap in the input."""
    put = RunQueue.put

    def put_anyway(self: RunQueue, run: FetchedRun) -> int:
        try:
            return put(self, run)
        except EnvironmentBroken:
            return put(self, replace(run, position=self.next_position))

    RunQueue.put = put_anyway  # type: ignore[method-assign]


def fence_off(_between: Between) -> None:
    """Give each producer a transactional id of its own, so that none fences another."""
    from aiokafka import AIOKafkaProducer  # noqa: PLC0415 - beside what it changes

    start = AIOKafkaProducer.__init__

    def unfenced(self: Any, **options: Any) -> None:
        if options.get("transactional_id"):
            options["transactional_id"] += f"-{time.time_ns()}"
        start(self, **options)

    AIOKafkaProducer.__init__ = unfenced


def clock_in_an_id(_between: Between) -> None:
    """Let the time of processing into the id of what is told."""

    def timed_id(prefix: str, *parts: str) -> str:
        return derive_id(prefix, *parts, str(time.time_ns()))

    assert telling.derive_id is derive_id, "ids are made elsewhere now"  # type: ignore[attr-defined]
    telling.derive_id = timed_id  # type: ignore[attr-defined]


def read_uncommitted(_between: Between) -> None:
    """Read the input as it is written, aborted transactions as well."""
    start = AIOKafkaConsumer.__init__

    def dirty(self: Any, *topics: str, **options: Any) -> None:
        if options.get("group_id") is not None:
            options["isolation_level"] = "read_uncommitted"
        start(self, *topics, **options)

    AIOKafkaConsumer.__init__ = dirty


MUTANTS: Final = {
    "commit before produce": Mutant("offsets and checkpoint are committed first", commit_before_produce),
    "restore to the last stable offset": Mutant("a restore may stop too early", restore_to_last_stable),
    "gap ignored": Mutant("a lost fetch is not noticed", gap_ignored),
    "fence off": Mutant("a producer does not fence the one before it", fence_off),
    "wall clock in an id": Mutant("the time of processing is part of record ids", clock_in_an_id),
    "read_uncommitted input": Mutant("aborted input is read", read_uncommitted),
    "state written before commit": Mutant("states are committed before their outputs", state_before_commit),
}
