"""Copy a topic to a file: the exact bytes of every committed record, with its shard and position.

The file begins with a header that names the partition count, then one JSON object for each record, shard by shard.
A key or value that is UTF-8 stands as a JSON string; any other as base64, so that nothing is lost. The end of each
partition is taken once, at the start of the call: records that come later are not part of the archive.
"""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pv_stream.errors import EnvironmentBroken, UsageError
from pv_stream.settings import Settings
from pv_stream.stream.connection import connection_failed, kafka_errors, quiet_libraries, require_broker

ARCHIVE_VERSION: Final = 1
POLL_MS = 500
#: Polls without progress before Kafka counts as gone.
SILENT_POLLS_MAX = 60


@dataclass(frozen=True, slots=True)
class Archived:
    """Say what an archive holds."""

    topic: str
    partitions: int
    records: int


def archive(
    settings: Settings,
    *,
    topic: str,
    out: Path,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Archived:
    """Write the topic's committed records to `out`, which must not exist, and return what was written.

    `on_progress(done, all)` counts positions. Raise UsageError when the file exists, ConnectionFailed or
    EnvironmentBroken when Kafka or the topic is not there; the file then does not exist either.
    """
    if out.exists():
        message = f"{out} exists: an archive is never overwritten; name another file"
        raise UsageError(message)
    from kafka import TopicPartition  # noqa: PLC0415 - `--help` must not pay for it

    partial = out.with_name(f"{out.name}.partial")
    with closing(_consumer(settings)) as consumer, kafka_errors(settings.bootstrap_servers):
        partitions = [
            TopicPartition(topic, shard) for shard in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        if not partitions:
            message = f"the topic {topic} does not exist: see `pv-stream topics plan`"
            raise EnvironmentBroken(message)
        try:
            records = _write(consumer, settings, partitions, partial, on_progress)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    partial.rename(out)
    return Archived(topic, len(partitions), records)


def envelope(shard: int, position: int, key: bytes | None, value: bytes | None) -> str:
    """Return the line of one record, without its line break."""
    fields: dict[str, Any] = {"shard": shard, "position": position}
    fields |= _text_or_base64("key", key)
    fields |= _text_or_base64("value", value)
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def header(topic: str, partitions: int) -> str:
    """Return the first line of an archive, without its line break."""
    fields = {"archive": ARCHIVE_VERSION, "topic": topic, "partitions": partitions}
    return json.dumps(fields, separators=(",", ":"))


def _text_or_base64(name: str, content: bytes | None) -> dict[str, str | None]:
    if content is None:
        return {name: None}
    try:
        return {name: content.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(content).decode()}


def _consumer(settings: Settings) -> Any:
    require_broker(settings.bootstrap_servers, timeout_seconds=settings.connect_timeout_seconds)
    quiet_libraries()
    from kafka import KafkaConsumer  # noqa: PLC0415 - `--help` must not pay for it

    with kafka_errors(settings.bootstrap_servers):
        return KafkaConsumer(
            bootstrap_servers=settings.bootstrap_servers.split(","),
            client_id="pv-stream-archive",
            # An aborted record was never part of the log.
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_poll_records=2_000,
        )


def _write(
    consumer: Any,
    settings: Settings,
    partitions: Sequence[Any],
    partial: Path,
    on_progress: Callable[[int, int], None],
) -> int:
    starts = consumer.beginning_offsets(partitions)
    ends = consumer.end_offsets(partitions)
    total = sum(ends[tp] - starts[tp] for tp in partitions)
    done = records = 0
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"{header(partitions[0].topic, len(partitions))}\n")
        for tp in partitions:
            for record in _records(consumer, settings, tp, starts[tp], ends[tp]):
                file.write(f"{envelope(tp.partition, record.offset, record.key, record.value)}\n")
                records += 1
                on_progress(done + record.offset + 1 - starts[tp], total)
            done += ends[tp] - starts[tp]
            on_progress(done, total)
    return records


def _records(consumer: Any, settings: Settings, tp: Any, start: int, end: int) -> Iterator[Any]:
    """Yield the records of one partition up to `end`; the last positions may hold only Kafka's own markers."""
    consumer.assign([tp])
    consumer.seek(tp, start)
    silent_polls = 0
    position = start
    while position < end:
        for record in consumer.poll(timeout_ms=POLL_MS).get(tp, ()):
            if record.offset < end:
                yield record
        before, position = position, consumer.position(tp)
        silent_polls = 0 if position > before else silent_polls + 1
        if silent_polls > SILENT_POLLS_MAX:
            raise connection_failed(settings.bootstrap_servers, f"{tp.topic} stopped at {position} of {end}")
