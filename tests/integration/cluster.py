"""What the tests do with Kafka: topics of a test, worker processes, and reading everything back.

Reading shares no code with the worker: it uses another client (kafka-python).
"""

import os
import re
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from pv_stream.settings import Settings
from pv_stream.stream import topics
from pv_stream.stream.publish import publish
from pv_stream.stream.topics import Topic

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
COUNTING_WORKER = [sys.executable, str(HERE / "counting_worker.py")]
SHARDS = 4
#: So long is waited for what must come, on a machine that is slow and stands still at times.
DEADLINE_SECONDS = 180.0
#: A worker is silent for so long before it is replaced: longer than a busy machine stands still. Where a test waits
#: for it to be replaced, the worker that is killed is given less, and who must survive more.
SESSION_SECONDS = 15
SHORT_SESSION = {"PV_STREAM_SESSION_TIMEOUT_SECONDS": "10"}
#: A program asks whether Kafka is there, and gives up after 2 s unless it is told to wait.
PATIENT = {"PV_STREAM_CONNECT_TIMEOUT_SECONDS": "60"}


@dataclass(frozen=True)
class Record:
    """Hold what a reader sees of one record."""

    shard: int
    position: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def eventually(condition: Callable[[], object], *, what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Return as soon as the condition is true; fail when it is not within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


def shard_of(key: bytes, shard_count: int) -> int:
    """Return the shard of a key for the counting fold, which does not care which."""
    return zlib.crc32(key) % shard_count


@dataclass
class Worker:
    """Hold one worker process and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        """Return what the worker wrote so far."""
        return self.log.read_text()

    def shards(self) -> set[int]:
        """Return the shards that it said last that it owns."""
        said = re.findall(r"owns shards \[(.*?)\]", self.said())
        return {int(shard) for shard in said[-1].split(", ") if shard} if said else set()

    def stop(self) -> int:
        """Stop it as a supervisor does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_SECONDS)

    def kill(self) -> None:
        """Kill it without a chance to tidy up."""
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)

    def ended(self) -> int:
        """Wait until it ends by itself and return its exit code."""
        return self.process.wait(DEADLINE_SECONDS)


@dataclass
class Cluster:
    """Know the topics, the group and the workers of one test."""

    bootstrap_servers: str
    prefix: str
    directory: Path
    workers: list[Worker] = field(default_factory=list)

    def settings(self) -> Settings:
        """Return the settings that the workers have."""
        return Settings(
            bootstrap_servers=self.bootstrap_servers,
            topic_prefix=self.prefix,
            group_id=f"{self.prefix}group",
            partitions=SHARDS,
            connect_timeout_seconds=60,
        )

    def create_topics(self) -> None:
        """Create the nine topics."""
        topics.apply(self.settings())

    def name(self, topic: Topic) -> str:
        """Return the name of a topic in this test."""
        return topics.topic_name(topic, self.settings())

    def publish(self, events: Iterable[tuple[bytes, bytes]]) -> int:
        """Write events to the input log."""
        name = self.name(Topic.EVENTS)
        return publish(events, settings=self.settings(), topic=name, shard_of=shard_of)

    def start_worker(
        self, environment: Mapping[str, str] | None = None, *, command: list[str] | None = None
    ) -> Worker:
        """Start a worker process: by default the one with the counting fold."""
        log = self.directory / f"worker-{len(self.workers)}.log"
        settings = {
            "PYTHONPATH": str(ROOT),
            "PV_STREAM_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "PV_STREAM_TOPIC_PREFIX": self.prefix,
            "PV_STREAM_GROUP_ID": f"{self.prefix}group",
            "PV_STREAM_STATE_DIR": str(self.directory / "state"),
            "PV_STREAM_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
            **PATIENT,
            **(environment or {}),
        }
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
                command or COUNTING_WORKER, env=os.environ | settings, stdout=output, stderr=output
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        return worker

    def kill_workers(self) -> None:
        """Leave no process behind."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()

    def read(self, topic: Topic) -> list[Record]:
        """Return every committed record of a topic, shard by shard."""
        with self.consumer() as consumer:
            partitions = [TopicPartition(self.name(topic), shard) for shard in range(SHARDS)]
            ends = consumer.end_offsets(partitions)
            return [record for tp in partitions for record in _read_partition(consumer, tp, ends[tp])]

    def ends(self, topic: Topic) -> dict[int, int]:
        """Return how many positions each shard of a topic has used, quickly: markers count too."""
        with self.consumer(isolation_level="read_uncommitted") as consumer:
            ends = consumer.end_offsets([TopicPartition(self.name(topic), shard) for shard in range(SHARDS)])
            return {tp.partition: end for tp, end in ends.items()}

    def count(self, topic: Topic) -> int:
        """Return the same of all shards together."""
        return sum(self.ends(topic).values())

    def committed(self) -> dict[int, int]:
        """Return the group's committed position of each shard, 0 where there is none."""
        with self.consumer(group_id=f"{self.prefix}group") as consumer:
            name = self.name(Topic.EVENTS)
            return {shard: consumer.committed(TopicPartition(name, shard)) or 0 for shard in range(SHARDS)}

    def wait_until_processed(self, seconds: float = DEADLINE_SECONDS) -> None:
        """Return when every record of the input log was processed."""
        needed: dict[int, int] = {}
        for record in self.read(Topic.EVENTS):
            needed[record.shard] = record.position + 1

        def processed() -> bool:
            assert any(worker.process.poll() in {None, 0} for worker in self.workers), self.workers[-1].said()
            committed = self.committed()
            return all(committed[shard] >= position for shard, position in needed.items())

        eventually(processed, what=f"everything processed up to {needed}", seconds=seconds)

    @contextmanager
    def consumer(self, **options: object) -> Iterator[KafkaConsumer]:
        """Open a consumer that reads only what was committed."""
        with closing(
            KafkaConsumer(
                bootstrap_servers=self.bootstrap_servers,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_poll_records=5_000,
                **({"isolation_level": "read_committed"} | options),
            )
        ) as consumer:
            yield consumer

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        """Open an administration client."""
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap_servers)) as admin:
            yield admin


def _read_partition(consumer: KafkaConsumer, tp: TopicPartition, end: int) -> Iterator[Record]:
    consumer.assign([tp])
    consumer.seek_to_beginning(tp)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while consumer.position(tp) < end:
        assert time.monotonic() < deadline, f"{tp} could not be read to its end {end}"
        for record in consumer.poll(timeout_ms=200).get(tp, ()):
            yield Record(tp.partition, record.offset, record.key, record.value, tuple(record.headers))
