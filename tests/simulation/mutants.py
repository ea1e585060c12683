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

from pv_stream.shard.segments import StateSegments
from pv_stream.stream.owner import ShardOwner
from pv_stream.stream.partition_store import PartitionStore
from pv_stream.stream.runs import RunQueue
from pv_stream.stream.shard_task import ShardTask
from pv_stream.stream.sink import TransactionalSink
from tests.simulation.faults import Fault, Kind, Plan
from tests.simulation.jobs import Counting, Segmented
from tests.simulation.world import Job

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
TRANSACTION = "        ends = await self._within_timeout("
POSITION_KNOWN = (
    "        # Where it is not told, the earlier position stays: it is behind, and so never wrong.\n"
)
START_POSITION = "start_position(shard=shard, checkpoint=checkpoint, committed=committed, log=input_log)"
TRANSACTIONAL_ID = '{self._source_topic}-{self._shard}",'
SINK_COMMIT = "        await self._sink.commit(run,"
ADOPTED = "        self._fold.commit(run)\n"


@dataclass(frozen=True, slots=True)
class Mutant:
    """Hold one fault: where it is, what stands there, and what it makes of it."""

    name: str
    function: Callable[..., Any]
    changes: tuple[tuple[str, str], ...]
    #: The kinds of faults that it needs: it is searched for among these, to find it soon.
    among: tuple[Kind, ...] = tuple(Kind)
    #: Plans that showed it, tried first: for what is found in one of a hundred runs. One suffices; the others stand by
    #: for a change of the runtime's awaits, which moves every fault.
    known: tuple[Plan, ...] = ()
    #: What is processed: only the real fold keeps states in segments.
    job: type[Job] = Counting

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
        among=(Kind.KILL, Kind.DISCONNECT, Kind.BATCH_REFUSED),
    ),
    Mutant(
        "the checkpoint is written in a transaction before that of the outputs",
        TransactionalSink.commit,
        ((CHECKPOINT_LINE, NO_CHECKPOINT_LINE), (TRANSACTION, CHECKPOINT_ALONE + TRANSACTION)),
        among=(Kind.KILL, Kind.BATCH_REFUSED),
    ),
    Mutant(
        "deliveries are not waited for",
        TransactionalSink._send,
        (("await asyncio.gather(*deliveries)", "[]"),),
        among=(Kind.BATCH_REFUSED,),
    ),
    Mutant(
        "the last owner is not fenced",
        TransactionalSink.start,
        ((TRANSACTIONAL_ID, TRANSACTIONAL_ID.replace('",', '-{asyncio.get_running_loop().time()}",')),),
        among=(Kind.DEAF, Kind.REBALANCE),
        known=(
            Plan(3893790049, (Fault(203, Kind.DEAF, 2, 40.0),), workers=3, shards=3, records=30),
            Plan(806919949, (Fault(194, Kind.DEAF, 2, 40.0),), workers=3, shards=3, records=30),
        ),
    ),
    Mutant(
        "the last owner is fenced after the restore",
        ShardOwner._open,
        (
            ("        await sink.start()\n", ""),
            ("        start, end = await", "        await sink.start()\n        start, end = await"),
        ),
        among=(Kind.DEAF, Kind.STRANGER),
        known=(
            Plan(
                2210640738,
                (
                    Fault(105, Kind.DEAF, 1, 3.0),
                    Fault(86, Kind.DEAF, 2, 7.0),
                    Fault(204, Kind.DEAF, 0, 40.0),
                ),
                workers=3,
                shards=3,
                records=30,
            ),
            Plan(
                859345187,
                (
                    Fault(201, Kind.DEAF, 1, 0.3),
                    Fault(229, Kind.DEAF, 2, 7.0),
                    Fault(11, Kind.DEAF, 1, 0.3),
                ),
                workers=3,
                shards=3,
                records=30,
            ),
        ),
    ),
    Mutant(
        "a run of an old generation is taken",
        ShardOwner.offer,
        ((" or task.generation != run.generation", ""),),
        among=(Kind.REBALANCE,),
    ),
    Mutant(
        "the offset of the group is taken for the truth",
        ShardOwner._open,
        ((START_POSITION, "committed or 0"),),
        among=(Kind.OFFSET_LOST, Kind.REBALANCE),
    ),
    Mutant(
        "a restore ends at the last stable position",
        PartitionStore._bounds,
        (('"read_uncommitted"', '"read_committed"'),),
        among=(Kind.STRANGER, Kind.REBALANCE),
    ),
    Mutant(
        "a restore reads what was not committed",
        PartitionStore._read,
        (('"read_committed"', '"read_uncommitted"'),),
        among=(Kind.STRANGER, Kind.REBALANCE),
    ),
    Mutant(
        "a kept memory is taken as it is",
        PartitionStore._restore,
        (("else self._read_to\n", "else high_watermark\n"),),
        among=(Kind.REBALANCE, Kind.KILL),
        known=(
            Plan(3462851054, (Fault(135, Kind.REBALANCE, 1, 40.0),), workers=3, shards=3, records=12),
            Plan(
                4208579497,
                (Fault(27, Kind.REBALANCE, 0, 14.0), Fault(74, Kind.REBALANCE, 0, 0.3)),
                workers=3,
                shards=2,
                records=30,
            ),
        ),
    ),
    Mutant(
        "the memory changes before the commit",
        ShardTask._transact,
        ((ADOPTED, ""), (SINK_COMMIT, ADOPTED + SINK_COMMIT)),
    ),
    Mutant(
        "a new owner begins the ledger anew",
        ShardOwner._open,
        (("sink.ledger = checkpoint.ledger", "pass"),),
        among=(Kind.REBALANCE, Kind.KILL),
    ),
    Mutant(
        "the ledger stays as it was after a commit",
        TransactionalSink.commit,
        (("        self.ledger = ledger\n", ""),),
    ),
    Mutant(
        "a gap is passed over",
        RunQueue.put,
        (("if run.position > self._next_position:", "if False:"),),
        among=(Kind.RUN_LOST, Kind.RUN_LATE),
    ),
    Mutant(
        "what was taken is taken again",
        RunQueue.put,
        ((" if record.position >= self._next_position]", "]"),),
        among=(Kind.RUN_TWICE,),
    ),
    Mutant(
        "a changed segment is not written",
        StateSegments.changed,
        (("if before.get(name) != records.digests[name]", "if name not in before"),),
        job=Segmented,
    ),
    Mutant(
        "the digest of a kept segment is not compared",
        StateSegments._joined,
        (("standing.get(name) != head.segments[name]", "name not in standing"),),
        among=(Kind.REBALANCE,),
        known=(
            Plan(1956919329, (Fault(3150, Kind.REBALANCE, 1, 7.0),), workers=2, shards=1, records=30),
            Plan(2216279441, (Fault(2840, Kind.REBALANCE, 0, 7.0),), workers=2, shards=1, records=30),
        ),
        job=Segmented,
    ),
    Mutant(
        "a segment that is no more is not taken away",
        StateSegments.changed,
        (("gone = sorted(before.keys() - records.segments.keys())", "gone: list[str] = []"),),
        job=Segmented,
    ),
)
