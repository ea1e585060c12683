"""What Kafka knows of what was refused: dead letters of the live stream, with their records, and refusals of ingest."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pv_stream.audit.dead_letters import DeadLetterRow, Pointer, row_of
from pv_stream.domain.times import Instant, format_instant
from pv_stream.settings import Settings
from pv_stream.stream.headers import DEAD_LETTER_PREFIX
from pv_stream.stream.reading import TopicReader, TopicRecord
from pv_stream.stream.topics import Topic, topic_name

_CLIENT = "pv-stream-dlq"
_MICROSECONDS_PER_MILLISECOND = 1_000


def live_letters(settings: Settings) -> list[DeadLetterRow]:
    """Return the dead letters of the live stream, the oldest first; a record that is none is passed over."""
    with TopicReader(settings, client_id=_CLIENT) as reader:
        found = [_letter(record) for record in reader.records(topic_name(Topic.DEAD_LETTERS, settings))]
    letters = [letter for letter in found if letter is not None]
    return sorted(letters, key=lambda letter: (letter.written_at or "", letter.dead_letter_id))


def live_refusals(settings: Settings) -> list[dict[str, Any]]:
    """Return what ingest refused as rows of `dlq`, each as it stands now; a record that is none is passed over."""
    topic = topic_name(Topic.REJECTS, settings)
    rows: dict[str, dict[str, Any]] = {}
    with TopicReader(settings, client_id=_CLIENT) as reader:
        for record in reader.records(topic):
            with suppress(KeyError, TypeError, ValueError):
                said = json.loads(record.value or b"")
                rows[said["entry_id"]] = {
                    "id": said["entry_id"],
                    "code": said["code"],
                    "at": said["kept_at"],
                    "digest": said["value_digest"],
                    "bytes": said["value_bytes"],
                    "pointer": {"place": topic, "kept_by": said["kept_by"], "path": said["path"]},
                    "settled_at": said["settled_at"],
                    "patient_id": None,
                }
    return list(rows.values())


def live_values(rows: Sequence[Mapping[str, Any]], settings: Settings) -> dict[str, bytes]:
    """Return the input records of dead letters by id, as far as they are still there."""
    values: dict[str, bytes] = {}
    with TopicReader(settings, client_id=_CLIENT) as reader:
        for row in rows:
            pointer = row["pointer"]
            if pointer is None or "position" not in pointer:
                continue
            record = reader.record_at(pointer["place"], pointer["shard"], pointer["position"])
            if record is not None:
                values[row["id"]] = record.value or b""
    return values


def _letter(record: TopicRecord) -> DeadLetterRow | None:
    headers = dict(record.headers)
    written_at = format_instant(Instant(record.written_at_ms * _MICROSECONDS_PER_MILLISECOND))
    try:
        topic, shard, position = (
            headers[f"{DEAD_LETTER_PREFIX}{name}"].decode() for name in ("topic", "partition", "offset")
        )
        return row_of(record.value or b"", Pointer(topic, int(shard), int(position)), written_at)
    except (KeyError, ValueError):
        return None
