"""The recorded side: archives of the output topics, and of the input log for what an output came from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pv_stream.audit.archive.folder import MANIFEST, ArchivedTopic, ShardReader, read_topic
from pv_stream.audit.archive.segments import ArchivedRecord
from pv_stream.audit.log import EVENTS_TOPIC
from pv_stream.audit.verify.places import Told, read_place
from pv_stream.errors import DataError
from pv_stream.shard.fold import OutputStream
from pv_stream.shard.slices import SLICE_KEY

#: How the topics of the outputs end, whatever stands before it on a shared cluster.
TOPIC_OF: Final[Mapping[OutputStream, str]] = {
    OutputStream.ALERTS: "pv.dress.alerts.v1",
    OutputStream.RECURRENCES: "pv.dress.recurrences.v1",
    OutputStream.CASES: "pv.dress.cases.v1",
    OutputStream.ACTIONS: "pv.dress.alert-actions.v1",
    OutputStream.DEAD_LETTERS: "pv.dlq.v1",
}
STATE_TOPIC: Final = "pv.state.v1"
_CHECKPOINT: Final = b"checkpoint"
#: State records about how far a worker is, not about patients: a replay has none.
_OF_THE_WORKER: Final = frozenset({_CHECKPOINT, SLICE_KEY})
_PLACE_HEADER: Final = "ce_id"


@dataclass(frozen=True, slots=True)
class Recorded:
    """Hold the archived topics of a log; those that were not archived are missing, or None."""

    outputs: Mapping[OutputStream, ArchivedTopic]
    states: ArchivedTopic | None
    events: ArchivedTopic | None

    @property
    def shard_count(self) -> int:
        """Return how many shards the log has."""
        topics = (*self.outputs.values(), self.states, self.events)
        return next(topic.shard_count for topic in topics if topic is not None)

    def told(self, stream: OutputStream, shard: int) -> Iterator[Told]:
        """Yield what a shard wrote to an output topic, in the order of the topic."""
        for record in ShardReader((self.outputs[stream],), shard):
            place = next((value for name, value in record.headers if name == _PLACE_HEADER), None)
            yield Told(read_place(place or b""), _text(record.key), record.value)

    def final_states(self, shard: int) -> tuple[dict[str, bytes | None], int | None]:
        """Return the latest state of each key of a shard, and the position up to which they stand."""
        states: dict[str, bytes | None] = {}
        checkpoint = None
        if self.states is not None:
            for record in ShardReader((self.states,), shard):
                if record.key == _CHECKPOINT and record.value is not None:
                    checkpoint = int(json.loads(record.value)["next_position"])
                elif record.key not in _OF_THE_WORKER:
                    states[_text(record.key)] = record.value
        return states, checkpoint

    def event_at(self, shard: int, position: int) -> ArchivedRecord | None:
        """Return the input record at a position, or None when it is not archived."""
        if self.events is None or shard >= self.events.shard_count:
            return None
        return ShardReader((self.events,), shard).record_at(position)

    def last_event(self, shard: int) -> int | None:
        """Return the position of the last archived input record of a shard, or None when that is not known."""
        if self.events is None:
            return None
        segments = self.events.shards[shard]
        return segments[-1].last if segments else -1


def open_recorded(folder: Path) -> Recorded:
    """Open what was archived live. Raises DataError when no output was."""
    if not folder.is_dir():
        message = f"{folder} is no folder: name what `pv-stream archive --out` wrote"
        raise DataError(message)
    found = [path for path in sorted(folder.iterdir()) if (path / MANIFEST).exists()]
    topics = {stream: _topic_of(name, found) for stream, name in TOPIC_OF.items()}
    outputs = {stream: topic for stream, topic in topics.items() if topic is not None}
    states, events = _topic_of(STATE_TOPIC, found), _topic_of(EVENTS_TOPIC, found)
    if not outputs and states is None:
        message = f"{folder} holds no archive of an output topic: write one with `pv-stream archive --out`"
        raise DataError(message)
    recorded = Recorded(outputs, states, events)
    counts = {topic.shard_count for topic in (*outputs.values(), states, events) if topic is not None}
    if len(counts) > 1:
        message = (
            f"{folder} holds topics of {', '.join(map(str, sorted(counts)))} shards: they are not of one log"
        )
        raise DataError(message)
    return recorded


def _topic_of(name: str, folders: Sequence[Path]) -> ArchivedTopic | None:
    """Read the one topic of a name, whatever stands before it on a shared cluster."""
    named = [folder for folder in folders if folder.name.endswith(name)]
    if len(named) > 1:
        message = (
            f"{named[0].parent} holds {' and '.join(folder.name for folder in named)}: which is of this log? "
            "Keep the archives of two logs in two folders"
        )
        raise DataError(message)
    return read_topic(named[0]) if named else None


def _text(key: bytes | None) -> str:
    return "" if key is None else key.decode(errors="backslashreplace")
