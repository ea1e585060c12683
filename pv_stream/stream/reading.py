"""Read a topic as it stands: the committed records of every shard, up to where each ends when reading begins.

For commands that look and end, not for the worker. A record that was aborted was never part of the log, so it is
never seen; the last positions of a shard may hold only Kafka's own markers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from pv_stream.settings import Settings
from pv_stream.stream.connection import (
    client_options,
    connection_failed,
    kafka_errors,
    missing,
    quiet_libraries,
    require_broker,
)

POLL_MS: Final = 500
#: Polls without progress before Kafka counts as gone.
SILENT_POLLS_MAX: Final = 60
_BATCH_RECORDS: Final = 2_000


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """Hold one record with where it stands; `written_at_ms` is Kafka's own time stamp."""

    shard: int
    position: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    written_at_ms: int = 0


class TopicReader:
    """Read topics of one cluster. Raise ConnectionFailed when it cannot be reached; close it, or use `with`."""

    def __init__(
        self, settings: Settings, *, client_id: str, isolation_level: str = "read_committed"
    ) -> None:
        """Connect."""
        self._settings = settings
        self._servers = settings.bootstrap_servers
        require_broker(settings)
        quiet_libraries()
        from kafka import KafkaConsumer  # noqa: PLC0415 - `--help` must not pay for it

        with kafka_errors(self._servers):
            self._consumer: Any = KafkaConsumer(
                **client_options(settings),
                client_id=client_id,
                isolation_level=isolation_level,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                group_id=None,
                max_poll_records=_BATCH_RECORDS,
            )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._consumer.close()

    def shards(self, topic: str) -> Sequence[int]:
        """Return the shards of a topic in order. Raises EnvironmentBroken when the topic does not exist."""
        with kafka_errors(self._servers):
            shards = sorted(self._consumer.partitions_for_topic(topic) or ())
        if not shards:
            raise missing([topic], self._settings)
        return shards

    def records(
        self, topic: str, on_progress: Callable[[int, int], None] = lambda _done, _all: None
    ) -> Iterator[TopicRecord]:
        """Yield the records of a topic, shard by shard; `on_progress(done, all)` counts positions."""
        from kafka import TopicPartition  # noqa: PLC0415 - see above

        partitions = [TopicPartition(topic, shard) for shard in self.shards(topic)]
        with kafka_errors(self._servers):
            starts = self._consumer.beginning_offsets(partitions)
            ends = self._consumer.end_offsets(partitions)
            total = sum(ends[tp] - starts[tp] for tp in partitions)
            done = 0
            for tp in partitions:
                for record in self._partition(tp, starts[tp], ends[tp]):
                    yield record
                    on_progress(done + record.position + 1 - starts[tp], total)
                done += ends[tp] - starts[tp]
                on_progress(done, total)

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return of each shard the first position that Kafka still holds, and the one after the last."""
        from kafka import TopicPartition  # noqa: PLC0415 - see above

        partitions = [TopicPartition(topic, shard) for shard in self.shards(topic)]
        with kafka_errors(self._servers):
            starts = self._consumer.beginning_offsets(partitions)
            ends = self._consumer.end_offsets(partitions)
        return {tp.partition: (starts[tp], ends[tp]) for tp in partitions}

    def between(self, topic: str, shard: int, first: int, end: int) -> Iterator[TopicRecord]:
        """Yield the records of a shard from a position up to, without, another, once no transaction there is open."""
        from kafka import TopicPartition  # noqa: PLC0415 - see above

        with kafka_errors(self._servers):
            yield from self._partition(TopicPartition(topic, shard), first, end)

    def record_at(self, topic: str, shard: int, position: int) -> TopicRecord | None:
        """Return the record at one position, or None when the topic does not hold it any more or never did."""
        from kafka import TopicPartition  # noqa: PLC0415 - see above

        if shard not in self.shards(topic):
            return None
        tp = TopicPartition(topic, shard)
        with kafka_errors(self._servers):
            start = self._consumer.beginning_offsets([tp])[tp]
            end = self._consumer.end_offsets([tp])[tp]
            if not start <= position < end:
                return None
            found = next(self._partition(tp, position, position + 1), None)
        return found if found is not None and found.position == position else None

    def _partition(self, tp: Any, start: int, end: int) -> Iterator[TopicRecord]:
        self._consumer.assign([tp])
        self._consumer.seek(tp, start)
        silent_polls = 0
        position = start
        while position < end:
            for record in self._consumer.poll(timeout_ms=POLL_MS).get(tp, ()):
                if record.offset < end:
                    yield _topic_record(record)
            before, position = position, self._consumer.position(tp)
            silent_polls = 0 if position > before else silent_polls + 1
            if silent_polls > SILENT_POLLS_MAX:
                raise connection_failed(self._servers, f"{tp.topic} stopped at {position} of {end}")


def high_watermarks(settings: Settings, topic: str, *, client_id: str) -> dict[int, int]:
    """Return where each shard of a topic ends now, records of open transactions included."""
    with TopicReader(settings, client_id=client_id, isolation_level="read_uncommitted") as reader:
        return {shard: end for shard, (_, end) in reader.bounds(topic).items()}


def _topic_record(record: Any) -> TopicRecord:
    headers = tuple((name, value) for name, value in record.headers or ())
    return TopicRecord(record.partition, record.offset, record.key, record.value, headers, record.timestamp)
