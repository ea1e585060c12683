"""The broker of the simulation answers as a real one does: the same questions are asked of both."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from kafka import KafkaAdminClient

from tests.simulation.memory_broker import MemoryBroker
from tests.simulation.memory_clients import MemoryConsumer, MemoryProducer, request
from tests.simulation.network import Network
from tests.simulation.process_loop import ProcessLoop

GROUP = "group"
DEADLINE_SECONDS = 180.0
PAUSE_SECONDS = 0.02

Made = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Asker:
    """Ask a broker, through clients of its own, about one partition."""

    name: str
    producer: Made
    consumer: Made
    committed: Callable[[], Awaitable[int | None]]

    @property
    def partition(self) -> TopicPartition:
        return TopicPartition(self.name, 0)

    async def answers(self) -> list[Any]:
        """Ask what the sink and the store rest on."""
        said: list[Any] = []
        first, second = (self.producer(transactional_id=self.name) for _ in range(2))
        await first.start()
        await first.begin_transaction()
        said += [
            "an open transaction holds back readers",
            await self.send(first, b"a", b"b"),
            await self.ends(),
        ]
        await first.commit_transaction()
        said += ["its marker uses up a position", await self.settled(), await self.read()]
        await first.begin_transaction()
        said += ["the next one begins behind the marker", await self.send(first, b"lost")]
        await second.start()
        said += ["a successor aborts what was open", await self.settled(), await self.read()]
        try:
            await first.commit_transaction()
            said.append("the predecessor commits")
        except KafkaError:
            said.append("the predecessor is refused")
        await second.begin_transaction()
        await self.send(second, b"c")
        await second.send_offsets_to_transaction({self.partition: 5}, GROUP)
        said += ["offsets are pending with their transaction", await self.committed()]
        await second.commit_transaction()
        while await self.committed() is None:  # noqa: ASYNC110 - its marker may come after that of the partition
            await asyncio.sleep(PAUSE_SECONDS)
        said += ["and committed with it", await self.settled(), await self.read(), await self.committed()]
        await first.stop()
        await second.stop()
        return said

    async def send(self, to: Any, *values: bytes) -> int:
        batch = to.create_batch()
        for value in values:
            batch.append(timestamp=None, key=b"key", value=value, headers=[])
        position: int = (await (await to.send_batch(batch, self.name, partition=0))).offset
        return position

    async def ends(self) -> tuple[int, int]:
        found = []
        for isolation in ("read_uncommitted", "read_committed"):
            reader = self.consumer(isolation_level=isolation)
            await reader.start()
            found.append((await reader.end_offsets([self.partition]))[self.partition])
            await reader.stop()
        return found[0], found[1]

    async def settled(self) -> int:
        while (found := await self.ends())[0] != found[1]:  # noqa: ASYNC110 - markers come when they come
            await asyncio.sleep(PAUSE_SECONDS)
        return found[0]

    async def read(self) -> tuple[list[bytes], int]:
        reader = self.consumer(isolation_level="read_committed")
        await reader.start()
        reader.assign([self.partition])
        reader.seek(self.partition, 0)
        values: list[bytes] = []
        end = await self.settled()
        while await reader.position(self.partition) < end:
            fetched = await reader.getmany(timeout_ms=200, max_records=100)
            values += [record.value for record in fetched.get(self.partition, ())]
        position = await reader.position(self.partition)
        await reader.stop()
        return values, position


async def of_kafka(servers: str, name: str) -> list[Any]:
    def producer(**options: Any) -> Any:
        return AIOKafkaProducer(bootstrap_servers=servers, acks="all", **options)

    def consumer(**options: Any) -> Any:
        return AIOKafkaConsumer(
            bootstrap_servers=servers, auto_offset_reset="none", enable_auto_commit=False, **options
        )

    async def committed() -> Any:
        reader = consumer(isolation_level="read_committed", group_id=GROUP)
        await reader.start()
        reader.assign([TopicPartition(name, 0)])
        offset = await reader.committed(TopicPartition(name, 0))
        await reader.stop()
        return offset

    async with asyncio.timeout(DEADLINE_SECONDS):
        return await Asker(name, producer, consumer, committed).answers()


def of_memory(name: str, seed: int) -> list[Any]:
    rng = random.Random(seed)
    loop = ProcessLoop(rng)  # type: ignore[abstract]  # as in the simulation
    network = Network(loop, rng)
    broker = MemoryBroker((name,), partition_count=1, later=network.later)

    def producer(**options: Any) -> MemoryProducer:
        return MemoryProducer(
            broker, network, transaction_timeout_ms=60_000, acks="all", batch_bytes_max=1_000, **options
        )

    def consumer(**options: Any) -> MemoryConsumer:
        return MemoryConsumer(broker, network, auto_offset_reset="none", enable_auto_commit=False, **options)

    async def committed() -> Any:
        return await request(network, lambda: broker.committed_offset(GROUP, TopicPartition(name, 0)))

    asked = loop.spawn("asker", Asker(name, producer, consumer, committed).answers())
    assert loop.run_until(asked.done, seconds_max=DEADLINE_SECONDS)
    loop.bury()
    return asked.result()


def test_the_broker_of_the_simulation_answers_as_a_real_one_does(bootstrap_servers: str, seed: int) -> None:
    name = f"t{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    admin.close()
    assert of_memory(name, seed) == asyncio.run(of_kafka(bootstrap_servers, name))
