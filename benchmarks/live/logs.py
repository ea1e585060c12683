"""The input logs: made up once, written to a topic, read by every subject; and the topics around them."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.live.jobs import MARKER, Job
from benchmarks.live.progress import Progress
from pv_stream.domain.ids import shard_of

MARKS: Final = 20
MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
WAIT_SECONDS: Final = 60.0
#: Key, value and partition of one record.
Placed = tuple[bytes, bytes, int]


@dataclass(frozen=True, slots=True)
class Log:
    """Know a log that was written."""

    topic: str
    events: int
    markers: frozenset[bytes]


def marker_name(mark: int, partition: int, partitions: int) -> str:
    """Return the name of a made-up patient that lies in a partition."""
    salt = 0
    while shard_of(name := f"{MARKER.decode()}{mark}-{partition}-{salt}", partitions) != partition:
        salt += 1
    return name


def placed(job: Job, *, count: int, patients: int, partitions: int, seed: int) -> Iterator[Placed]:
    """Yield the records of a log, with the markers of every partition at the start, the end and between."""
    shards: dict[str, int] = {}
    spacing = max(1, count // MARKS)
    for number, (patient, value) in enumerate(job.events(count, patients, seed)):
        if number % spacing == 0 and number // spacing < MARKS:
            yield from _markers(job, number // spacing, number, partitions)
        shard = shards.get(patient)
        if shard is None:
            shard = shards[patient] = shard_of(patient, partitions)
        yield patient.encode(), value, shard
    yield from _markers(job, MARKS, count, partitions)


def _markers(job: Job, mark: int, number: int, partitions: int) -> Iterator[Placed]:
    for partition in range(partitions):
        name = marker_name(mark, partition, partitions)
        for value in job.marker(name, number):
            yield name.encode(), value, partition


def write(bootstrap_servers: str, topic: str, records: Iterable[Placed], progress: Progress) -> Log:
    """Write a log and return what it holds, once every record is confirmed."""
    failures: list[str] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "enable.idempotence": True,
            "log_level": 0,
            "linger.ms": 20,
            "batch.size": 512 * 1024,
            "queue.buffering.max.messages": 200_000,
        }
    )

    def on_delivery(error: object, _message: object) -> None:
        if error is not None:
            failures.append(str(error))

    written, markers = 0, set()
    for key, value, partition in records:
        while True:
            try:
                producer.produce(topic, value, key, partition, on_delivery=on_delivery)
                break
            except BufferError:
                producer.poll(0.05)
        written += 1
        if key.startswith(MARKER):
            markers.add(key)
        if written % 10_000 == 0:
            producer.poll(0)
            progress.show(f"writing {topic}: {written:,} events")
    producer.flush(WAIT_SECONDS)
    if failures or len(producer):
        msg = f"{topic}: {len(failures) + len(producer)} records were not written: {failures[:1]}"
        raise RuntimeError(msg)
    return Log(topic, written, frozenset(markers))


class Topics:
    """Make and remove topics, and wait until the broker has done so."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})

    def names(self) -> set[str]:
        """Return the topics that are there."""
        return set(self._admin.list_topics(timeout=WAIT_SECONDS).topics)

    def make(self, name: str, partitions: int) -> None:
        """Make a topic."""
        config = {"max.message.bytes": str(MESSAGE_BYTES_MAX), "retention.ms": "-1"}
        (made,) = self._admin.create_topics([NewTopic(name, partitions, 1, config=config)]).values()
        made.result(WAIT_SECONDS)
        self._wait(lambda names: name in names)

    def remove(self, names: Sequence[str]) -> None:
        """Remove topics, whether or not they are there."""
        for removed in self._admin.delete_topics(list(names)).values() if names else ():
            try:
                removed.result(WAIT_SECONDS)
            except KafkaException as error:
                if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                    raise
        self._wait(lambda there: not there & set(names))

    def _wait(self, done: Callable[[set[str]], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not done(self.names()):
            if time.monotonic() > deadline:
                msg = "the broker did not make or remove a topic in time"
                raise RuntimeError(msg)
            time.sleep(0.1)
