"""`pv-stream run` that can be hurt at named points: production code has no hooks for it, the clients get them here.

The points lie in aiokafka's own producer and consumer, around the calls that a transaction consists of. Without an
order, and without a mutant, this is `pv-stream run` and nothing else.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from pv_stream.cli.main import main
from pv_stream.stream.owner import ShardOwner
from pv_stream.stream.topics import Topic
from tests.chaos.mutants import MUTANTS
from tests.chaos.orders import MUTANT_VARIABLE, Act, Orders, Point, orders_of_this_process

#: Long enough for EndTxn to be on its way, short enough for its answer not to be back.
_IN_COMMIT_SECONDS: Final = 0.002
_SHARD_TASKS: Final = "shard-"


def pass_point(orders: Orders, point: Point) -> Act | None:
    """Do to this process what is ordered for a point; return what its caller must do."""
    act = orders.passed(point)
    if act is Act.KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    elif act is Act.STOP:
        os.kill(os.getpid(), signal.SIGSTOP)
    elif act is Act.CANCEL:
        cancel_shards(asyncio.all_tasks())
    return act


def cancel_shards(tasks: "set[asyncio.Task[Any]]") -> None:
    """Cancel the tasks that commit, as a host that cancels its agents would."""
    shards = [task for task in tasks if task.get_name().startswith(_SHARD_TASKS)]
    assert shards, "the tasks of shards have another name: this fault does nothing any more"
    for task in shards:
        task.cancel()


def put_points_in_producer(orders: Orders) -> None:
    """Wrap the calls of a transaction."""
    begin, send_batch = AIOKafkaProducer.begin_transaction, AIOKafkaProducer.send_batch
    send_offsets = AIOKafkaProducer.send_offsets_to_transaction
    commit = AIOKafkaProducer.commit_transaction

    async def begin_transaction(self: Any) -> None:
        self.chaos_topics = []
        await begin(self)
        pass_point(orders, Point.AFTER_BEGIN)

    async def send_one_batch(self: Any, batch: Any, topic: str, *, partition: int) -> Any:
        delivery = await send_batch(self, batch, topic, partition=partition)
        self.chaos_topics.append(topic)
        if orders.wait_for(Point.MID_SEND) and len(self.chaos_topics) == 1:
            await asyncio.shield(delivery)
            pass_point(orders, Point.MID_SEND)
        return delivery

    async def send_offsets_to_transaction(self: Any, offsets: Any, group_id: str) -> None:
        await send_offsets(self, offsets, group_id)
        pass_point(orders, Point.AFTER_OFFSETS)

    async def commit_transaction(self: Any) -> None:
        is_of_a_run = any(topic.endswith(Topic.STATE) for topic in self.chaos_topics)
        if is_of_a_run:
            pass_point(orders, Point.BEFORE_COMMIT)
            if any(topic.endswith(Topic.EVENTS) for topic in self.chaos_topics):
                pass_point(orders, Point.IN_TRANSFER)
        if orders.wait_for(Point.IN_COMMIT):
            committing = asyncio.ensure_future(commit(self))
            await asyncio.sleep(_IN_COMMIT_SECONDS)
            pass_point(orders, Point.IN_COMMIT)
            await asyncio.shield(committing)
        else:
            await commit(self)
        if is_of_a_run:
            pass_point(orders, Point.AFTER_COMMIT)

    AIOKafkaProducer.begin_transaction = begin_transaction
    AIOKafkaProducer.send_batch = send_one_batch
    AIOKafkaProducer.send_offsets_to_transaction = send_offsets_to_transaction
    AIOKafkaProducer.commit_transaction = commit_transaction


def put_points_in_reading(orders: Orders) -> None:
    """Wrap what restores a shard (the only consumers without a group), and what takes fetched runs."""
    getmany, offer = AIOKafkaConsumer.getmany, ShardOwner.offer

    async def get_records(self: Any, *partitions: Any, **options: Any) -> Any:
        if self._group_id is None:
            pass_point(orders, Point.IN_RESTORE)
        return await getmany(self, *partitions, **options)

    def take_run(self: ShardOwner, run: Any) -> None:
        if run.records and pass_point(orders, Point.ON_FETCH) is Act.DROP:
            return
        offer(self, run)

    AIOKafkaConsumer.getmany = get_records
    ShardOwner.offer = take_run  # type: ignore[method-assign]


def run(arguments: Sequence[str]) -> None:
    """Run the command of the arguments, hurt as the environment says."""
    orders = orders_of_this_process()
    put_points_in_producer(orders)
    put_points_in_reading(orders)
    if mutant := os.environ.get(MUTANT_VARIABLE):
        MUTANTS[mutant].apply(lambda: pass_point(orders, Point.BETWEEN_TRANSACTIONS))
    sys.argv = ["pv-stream", *arguments]
    main()


if __name__ == "__main__":
    run(sys.argv[1:])
