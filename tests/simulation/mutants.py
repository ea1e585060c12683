"""Mutants of the runtime: faults that somebody might write, to prove that the simulation would see them.

A mutant replaces text in one function of the runtime while it is applied. When the text is not there any more, the
mutant fails loudly: then it is written anew for what the function has become.
"""

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any
from unittest import mock

from pv_stream.stream.owner import ShardOwner
from pv_stream.stream.partition_store import PartitionStore
from pv_stream.stream.runs import RunQueue
from pv_stream.stream.shard_task import ShardTask
from pv_stream.stream.sink import TransactionalSink
from tests.simulation.faults import Kind

CHECKPOINT_LINE = (
    "        written[place_of_states] = [*states, (CHECKPOINT_KEY, checkpoint.to_bytes(), [])]\n"
)
NO_CHECKPOINT_LINE = "        written[place_of_states] = states\n"
CHECKPOINT_ALONE = """\
        await self._within_timeout(
            self._transaction({place_of_states: [(CHECKPOINT_KEY, checkpoint.to_bytes(), [])]}, None),
            doing="committing",
        )
"""
TRANSACTION = "        ends = await self._within_timeout(\n"
POSITION_KNOWN = (
    "        # Where it is not told, the earlier position stays: it is behind, and so never wrong.\n"
)
START_POSITION = "start_position(shard=shard, checkpoint=checkpoint, committed=committed, log=input_log)"
TRANSACTIONAL_ID = '{self._source_topic}-{self._shard}",'
COMMIT = """\
        await self._sink.commit(run, Checkpoint(taken.next_position, self._shard_count, self.generation))
        self._fold.commit(run)
"""
COMMIT_TOO_LATE = "\n".join([*reversed(COMMIT.splitlines()), ""])


@dataclass(frozen=True, slots=True)
class Mutant:
    """Hold one fault: where it is, what stands there, and what it makes of it."""

    name: str
    function: Callable[..., Any]
    changes: tuple[tuple[str, str], ...]
    #: The faults among which it is searched for: fewer for what needs several of few kinds.
    among: tuple[Kind, ...] = tuple(Kind)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Change the function while the context is open."""
        assert isinstance(self.function, FunctionType)
        owner = inspect.getmodule(self.function)
        assert owner is not None
        holder = getattr(owner, self.function.__qualname__.partition(".")[0])
        source = inspect.getsource(self.function)
        for before, after in self.changes:
            assert source.count(before) == 1, (
                f"{self.name}: {before!r} is not in {self.function.__qualname__}"
            )
            source = source.replace(before, after)
        made: dict[str, Any] = {}
        # In the globals of its module, so that it uses what the simulation has put there.
        exec(textwrap.dedent(source), self.function.__globals__, made)  # noqa: S102 - our own source
        with mock.patch.object(holder, self.function.__name__, made[self.function.__name__]):
            yield


MUTANTS = (
    Mutant(
        "the checkpoint is written in a transaction after that of the outputs",
        TransactionalSink.commit,
        ((CHECKPOINT_LINE, NO_CHECKPOINT_LINE), (POSITION_KNOWN, CHECKPOINT_ALONE)),
    ),
    Mutant(
        "the checkpoint is written in a transaction before that of the outputs",
        TransactionalSink.commit,
        ((CHECKPOINT_LINE, NO_CHECKPOINT_LINE), (TRANSACTION, CHECKPOINT_ALONE + TRANSACTION)),
    ),
    Mutant(
        "deliveries are not waited for",
        TransactionalSink._send,
        (("await asyncio.gather(*deliveries)", "[]"),),
    ),
    Mutant(
        "the last owner is not fenced",
        TransactionalSink.start,
        ((TRANSACTIONAL_ID, TRANSACTIONAL_ID.replace('",', '-{asyncio.get_running_loop().time()}",')),),
        among=(Kind.DEAF, Kind.REBALANCE),
    ),
    Mutant(
        "the last owner is fenced after the restore",
        ShardOwner._open,
        (
            ("        await sink.start()\n", ""),
            ("        start, end = await", "        await sink.start()\n        start, end = await"),
        ),
        among=(Kind.DEAF, Kind.STRANGER),
    ),
    Mutant(
        "a run of an old generation is taken",
        ShardOwner.offer,
        ((" or task.generation != run.generation", ""),),
    ),
    Mutant(
        "the offset of the group is taken for the truth",
        ShardOwner._open,
        ((START_POSITION, "committed or 0"),),
    ),
    Mutant(
        "a restore ends at the last stable position",
        PartitionStore._bounds,
        (('"read_uncommitted"', '"read_committed"'),),
    ),
    Mutant(
        "a restore reads what was not committed",
        PartitionStore._newest,
        (('"read_committed"', '"read_uncommitted"'),),
    ),
    Mutant(
        "a kept memory is taken as it is",
        PartitionStore._restore,
        (("else self.position\n", "else high_watermark\n"),),
    ),
    Mutant(
        "the memory changes before the commit",
        ShardTask._transact,
        ((COMMIT, COMMIT_TOO_LATE),),
    ),
    Mutant(
        "a gap is passed over",
        RunQueue.put,
        (("if run.position > self._next_position:", "if False:"),),
    ),
    Mutant(
        "what was taken is taken again",
        RunQueue.put,
        ((" if record.position >= self._next_position]", "]"),),
    ),
)
