"""The states that a log leads to, by the public fold: a replay writes none, so here the fold itself must say them.

This is the one checker that uses code of the runtime (`pv_stream.shard.fold`, which the replay uses too). It shares
nothing with what is under test: transport, transactions, restore.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from pv_stream.rulebooks import load_default
from pv_stream.shard.fold import RawRecord, ShardFold
from tests.chaos.checkers import Seen

#: Other runs than a worker's: a state must not depend on how records are grouped.
_RUN_RECORDS: Final = 137


def expected_states(log: Sequence[Seen], *, shards: int) -> dict[tuple[int, bytes], bytes]:
    """Return the last value of each state key of each shard."""
    states: dict[tuple[int, bytes], bytes] = {}
    for shard in range(shards):
        fold = ShardFold(shard=shard, shard_count=shards, rulebook=load_default())
        records = iter(
            [RawRecord(each.position, each.key, each.value) for each in log if each.shard == shard]
        )
        while run_of := tuple(islice(records, _RUN_RECORDS)):
            run = fold.process(run_of)
            fold.commit(run)
            _take(states, shard, run.states)
    return states


def _take(
    states: dict[tuple[int, bytes], bytes], shard: int, written: Iterable[tuple[bytes, bytes | None]]
) -> None:
    for key, value in written:
        if value is None:
            states.pop((shard, key), None)
        else:
            states[shard, key] = value
