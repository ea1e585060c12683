"""Our live worker: `pv-stream run` for the engine job, the same runtime around `SmallFold` for the small one.

It takes its settings as a worker does, from PV_STREAM_*; the topics are those of its prefix.
"""

import sys

from benchmarks.live.hosts.arguments import parse
from benchmarks.live.small_job import SmallFold
from pv_stream.cli.garbage import collect_seldom
from pv_stream.rulebooks import carried_rulebooks, load_default
from pv_stream.settings import load_settings
from pv_stream.shard.fold import ShardFold
from pv_stream.stream.shard_task import Fold
from pv_stream.stream.worker import run_worker


def main() -> int:
    """Run the worker until it is told to stop."""
    job = parse().job.name
    collect_seldom()  # as the program does
    rules, carried = load_default(), carried_rulebooks(())

    def fold_of(shard: int, shard_count: int) -> Fold:
        if job == "small":
            return SmallFold(shard, shard_count)
        return ShardFold(shard=shard, shard_count=shard_count, rulebook=rules, carried=carried)

    return run_worker(load_settings(), fold_of)


if __name__ == "__main__":
    sys.exit(main())
