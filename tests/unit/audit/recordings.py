"""Recordings: what live workers would have written to every topic, made by the fold alone, and archived.

Each record is one transaction. What shards write to each other is delivered at once. Positions leave out numbers, as
Kafka's own markers do.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from pv_stream.audit.archive.segments import ArchivedRecord, Headers
from pv_stream.audit.archive.writing import writing
from pv_stream.audit.log import EVENTS_TOPIC
from pv_stream.audit.verify.recorded import STATE_TOPIC, TOPIC_OF
from pv_stream.codec.events import encode_event
from pv_stream.domain.events import ClockTicked, Event, RulebookActivated
from pv_stream.domain.ids import PatientId, shard_of
from pv_stream.shard.fold import OutputStream, OutRecord, RawRecord, ShardFold
from tests.builders import RULEBOOK, at, dose, eosinophils, with_patient
from tests.merging import merge
from tests.rulebooks import LOWER, activation, by_digest
from tests.shards import clock

SHARDS = 3
#: So small that most segments hold few records.
SEGMENT_BYTES = 2_000
TIMESTAMP_MS = 1_767_225_600_000


class Recording:
    """Run shards and keep what stands in each topic: by name, one list of records for each shard."""

    def __init__(self, shard_count: int = SHARDS) -> None:
        self.shard_count = shard_count
        self.topics: dict[str, list[list[ArchivedRecord]]] = {
            name: [[] for _ in range(shard_count)] for name in (EVENTS_TOPIC, STATE_TOPIC, *TOPIC_OF.values())
        }
        self._folds = [
            ShardFold(shard=shard, shard_count=shard_count, rulebook=RULEBOOK, carried=by_digest())
            for shard in range(shard_count)
        ]

    def send(self, *events: Event) -> "Recording":
        """Write events, those about no patient to every shard."""
        for event in events:
            value = encode_event(event)
            if isinstance(event, ClockTicked | RulebookActivated):
                for shard in range(self.shard_count):
                    self._take(shard, None, value)
            else:
                self.send_bytes(event.patient_id, value)
        return self

    def send_bytes(self, patient: str, value: bytes | None) -> None:
        """Write a record of a patient."""
        self._take(shard_of(patient, self.shard_count), patient.encode(), value)

    def archive(
        self, folder: Path, topics: Iterable[str] | None = None, *, segment_bytes: int = SEGMENT_BYTES
    ) -> Path:
        """Append what is new in the topics to an archive."""
        for topic in topics or self.topics:
            with writing(folder / topic, topic=topic, shard_count=self.shard_count) as writer:
                for shard, records in enumerate(self.topics[topic]):
                    first = writer.end(shard)
                    writer.append(
                        shard,
                        [record for record in records if record.position >= first],
                        first=first,
                        end=records[-1].position + 2 if records else 0,
                        segment_bytes_max=segment_bytes,
                    )
                writer.finish()
        return folder

    def change(self, topic: str, shard: int, number: int, **changes: Any) -> None:
        """Put another record in the place of one."""
        records = self.topics[topic][shard]
        records[number] = replace(records[number], **changes)

    def _take(self, shard: int, key: bytes | None, value: bytes | None) -> None:
        position = self._write(EVENTS_TOPIC, shard, key, value)
        fold = self._folds[shard]
        run = fold.process([RawRecord(position, key, value)])
        fold.commit(run)
        waiting = []
        for out in run.outputs:
            if out.stream is OutputStream.EVENTS:
                waiting.append(out)
            else:
                self._write(TOPIC_OF[out.stream], shard, out.key, out.value, _headers(shard, out))
        for state_key, state in run.states:
            self._write(STATE_TOPIC, shard, state_key, state)
        checkpoint = json.dumps({"next_position": position + 2, "partition_count": self.shard_count}).encode()
        self._write(STATE_TOPIC, shard, b"checkpoint", checkpoint)
        for out in waiting:
            self._take(shard_of(out.key.decode(), self.shard_count), out.key, out.value)

    def _write(
        self, topic: str, shard: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> int:
        records = self.topics[topic][shard]
        position = 2 * len(records)
        records.append(ArchivedRecord(position, TIMESTAMP_MS + position, key, headers, value))
        return position


def _headers(shard: int, out: OutRecord) -> Headers:
    return (("ce_type", b"pv"), ("ce_id", f"{shard}-{out.position}-{out.ordinal}".encode()))


def patient_of(shard: int, number: int = 0) -> PatientId:
    """Return a patient of a shard."""
    found = (f"p{each}" for each in range(10_000) if shard_of(f"p{each}", SHARDS) == shard)
    for _ in range(number):
        next(found)
    return PatientId(next(found))


def reaction(patient: PatientId, count: int = 1690) -> Sequence[Event]:
    """Return the events of a patient under imatinib with raised eosinophils."""
    story = (dose("imatinib", at(0)), dose("imatinib", at(7)), eosinophils(count, at(15)))
    return [with_patient(event, patient) for event in story]


def story() -> Recording:
    """Return a recording with a reaction in each shard, a merge across shards, and an activation in the middle."""
    recording = Recording()
    for shard in range(SHARDS):
        recording.send(*reaction(patient_of(shard)), *reaction(patient_of(shard, 1), 900))
    recording.send(clock(16), *merge(patient_of(0), patient_of(1), at(16, 1)))
    recording.send(activation(LOWER), clock(17))
    recording.send_bytes(patient_of(2), b"no event")
    for shard in range(SHARDS):
        recording.send(with_patient(eosinophils(2100, at(18)), patient_of(shard, 1)))
    return recording.send(clock(60))


@cache
def _told() -> Recording:
    return story()


def told_story() -> Recording:
    """Return the same recording once more, to be altered but not continued."""
    again = Recording()
    again.topics = {name: [list(records) for records in shards] for name, shards in _told().topics.items()}
    return again
