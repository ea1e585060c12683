"""Write canonical events to the input log, `ingest --to kafka`, and what was refused to its topic.

The partition is set here, by the domain's shard function: Kafka's own partitioner would choose another. Everything
is one idempotent producer, every delivery is awaited, and the count that is returned is what the brokers confirmed.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from pv_stream.errors import EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.stream.connection import (
    client_options,
    connection_failed,
    missing,
    quiet_libraries,
    require_broker,
)

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

#: (key, value) of one event; the key is the patient's.
Event = tuple[bytes, bytes]
CHUNK_EVENTS = 2_000
BATCH_BYTES_MAX = 512 * 1024
DELIVERY_SECONDS_MAX = 30.0
CONNECT_SECONDS_MAX = 2.0


def publish(
    records: Iterable[Event],
    *,
    settings: Settings,
    topic: str,
    shard_of: Callable[[bytes, int], int],
    on_progress: Callable[[int], None] = lambda _count: None,
) -> int:
    """Write the events in their order and return how many the brokers confirmed.

    `shard_of(key, partition count)` chooses the partition. Raise ConnectionFailed when Kafka cannot be reached; the
    events before the error may have been written, and writing them again is harmless (they are duplicates).
    """
    require_broker(settings)
    quiet_libraries()
    return asyncio.run(write(records, settings, topic, shard_of, on_progress))


async def write(
    records: Iterable[Event],
    settings: Settings,
    topic: str,
    shard_of: Callable[[bytes, int], int],
    on_progress: Callable[[int], None] = lambda _count: None,
) -> int:
    """Do as `publish` does, within an event loop."""
    from aiokafka import AIOKafkaProducer  # noqa: PLC0415 - `ingest --help` must not pay for it
    from aiokafka.errors import KafkaError  # noqa: PLC0415

    producer = AIOKafkaProducer(
        **client_options(settings),
        client_id="pv-stream-ingest",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES_MAX,
        max_request_size=4 * 1024 * 1024,
    )
    written = 0
    try:
        await asyncio.wait_for(producer.start(), DELIVERY_SECONDS_MAX)
        shard_count = await _partition_count(producer, topic, settings)
        for chunk in _chunks(records):
            work = _write_chunk(producer, topic, chunk, lambda key: shard_of(key, shard_count))
            await asyncio.wait_for(work, DELIVERY_SECONDS_MAX)
            written += len(chunk)
            on_progress(written)
    except (TimeoutError, KafkaError) as error:
        raise connection_failed(
            settings.bootstrap_servers, f"{type(error).__name__} after {written} events"
        ) from error
    finally:
        # With the broker gone, stopping would wait for deliveries that never come.
        with suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), CONNECT_SECONDS_MAX)
    return written


async def _partition_count(producer: "AIOKafkaProducer", topic: str, settings: Settings) -> int:
    from aiokafka.errors import UnknownTopicOrPartitionError  # noqa: PLC0415

    try:
        return len(await asyncio.wait_for(producer.partitions_for(topic), CONNECT_SECONDS_MAX))
    except (TimeoutError, UnknownTopicOrPartitionError) as error:
        raise missing([topic], settings) from error


async def _write_chunk(
    producer: "AIOKafkaProducer",
    topic: str,
    chunk: list[Event],
    partition_of: Callable[[bytes], int],
) -> None:
    by_partition: dict[int, list[Event]] = {}
    for key, value in chunk:
        by_partition.setdefault(partition_of(key), []).append((key, value))
    await asyncio.gather(*(_write_partition(producer, topic, *each) for each in by_partition.items()))


async def _write_partition(
    producer: "AIOKafkaProducer", topic: str, partition: int, events: list[Event]
) -> None:
    deliveries = []
    batch = producer.create_batch()
    for key, value in events:
        if batch.append(timestamp=None, key=key, value=value) is None:
            deliveries.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            if batch.append(timestamp=None, key=key, value=value) is None:
                message = f"an event of {len(value)} bytes did not fit an empty batch"
                raise EnvironmentBroken(message)
    deliveries.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*deliveries)


def _chunks(records: Iterable[Event]) -> Iterator[list[Event]]:
    iterator = iter(records)
    while chunk := list(islice(iterator, CHUNK_EVENTS)):
        yield chunk
