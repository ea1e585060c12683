"""Copy a topic to a file: the exact bytes of every committed record, with its shard and position.

The file begins with a header that names the partition count, then one JSON object for each record, shard by shard.
A key or value that is UTF-8 stands as a JSON string; any other as base64, so that nothing is lost. The end of each
partition is taken once, at the start of the call: records that come later are not part of the archive.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pv_stream.errors import UsageError
from pv_stream.settings import Settings
from pv_stream.stream.reading import TopicReader

ARCHIVE_VERSION: Final = 1


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
    partial = out.with_name(f"{out.name}.partial")
    with TopicReader(settings, client_id="pv-stream-archive") as reader:
        shards = reader.shards(topic)
        try:
            records = _write(reader, topic, len(shards), partial, on_progress)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    partial.rename(out)
    return Archived(topic, len(shards), records)


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


def _write(
    reader: TopicReader, topic: str, partitions: int, partial: Path, on_progress: Callable[[int, int], None]
) -> int:
    records = 0
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"{header(topic, partitions)}\n")
        for record in reader.records(topic, on_progress):
            file.write(f"{envelope(record.shard, record.position, record.key, record.value)}\n")
            records += 1
    return records
