"""Write a record to every shard of the input log at once: `rules activate --to kafka`.

All partitions get it in one transaction, so that no shard reads on under the old rules because a write failed half
way. Readers see it where each shard stands; no two shards need the same place.
"""

import asyncio
from contextlib import suppress

from pv_stream.settings import Settings
from pv_stream.stream.connection import (
    client_options,
    connection_failed,
    missing,
    quiet_libraries,
    require_broker,
)
from pv_stream.stream.topics import Topic, topic_name

CONNECT_SECONDS_MAX = 5.0
DELIVERY_SECONDS_MAX = 30.0


def write_to_every_shard(value: bytes, settings: Settings) -> int:
    """Append a record without a key to every partition of the input log, and return how many there are.

    Raise ConnectionFailed when Kafka cannot be reached; then none of them has it.
    """
    require_broker(settings)
    quiet_libraries()
    return asyncio.run(_write(value, settings))


async def _write(value: bytes, settings: Settings) -> int:
    from aiokafka import AIOKafkaProducer  # noqa: PLC0415 - `rules --help` must not pay for it
    from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError  # noqa: PLC0415

    topic = topic_name(Topic.EVENTS, settings)
    producer = AIOKafkaProducer(
        **client_options(settings),
        client_id=f"{settings.group_id}-activate",
        transactional_id=f"{settings.group_id}-{topic}-activate",
        acks="all",
    )
    try:
        await asyncio.wait_for(producer.start(), DELIVERY_SECONDS_MAX)
        try:
            partitions = sorted(await asyncio.wait_for(producer.partitions_for(topic), CONNECT_SECONDS_MAX))
        except (TimeoutError, UnknownTopicOrPartitionError) as error:
            raise missing([topic], settings) from error
        async with producer.transaction():
            deliveries = [await producer.send(topic, value=value, partition=shard) for shard in partitions]
            await asyncio.wait_for(asyncio.gather(*deliveries), DELIVERY_SECONDS_MAX)
    except (TimeoutError, KafkaError) as error:
        raise connection_failed(settings.bootstrap_servers, type(error).__name__) from error
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), CONNECT_SECONDS_MAX)
    return len(partitions)
