"""A raw confluent-kafka loop: as fast as Python reads Kafka, with states in a dict that dies with it.

No transaction, no state that lasts, no output that is waited for: what everything else is compared with.
"""

from typing import Any

from confluent_kafka import Consumer, Producer

from benchmarks.live.hosts.arguments import Arguments, parse
from pv_stream.cli.garbage import collect_seldom

MESSAGES_MAX = 10_000
WAIT_SECONDS = 0.05


def main(arguments: Arguments) -> None:
    """Consume, compute and produce until killed."""
    collect_seldom()
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.bootstrap_servers,
            "group.id": arguments.group,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 10,
        }
    )
    consumer.subscribe([arguments.source])
    producer = Producer({"bootstrap.servers": arguments.bootstrap_servers, "linger.ms": 5})
    step, target = arguments.job.make_step(), arguments.target
    states: dict[bytes, Any] = {}
    while True:
        for message in consumer.consume(MESSAGES_MAX, WAIT_SECONDS):
            key, value = message.key(), message.value()
            if key is None or value is None:
                continue
            states[key], told = step(states.get(key), value)
            for out_key, out_value in told:
                producer.produce(target, out_value, out_key)
        producer.poll(0)


if __name__ == "__main__":
    main(parse())
