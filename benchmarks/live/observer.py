"""What a reader of committed records sees of a subject, and when."""

import statistics
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from benchmarks.live.jobs import MARKER
from pv_stream.errors import EnvironmentBroken

MESSAGES_MAX: Final = 2_000
WAIT_SECONDS: Final = 0.02
MARKS_SECONDS_MAX: Final = 10.0


class _Told(msgspec.Struct):
    """Read of an output only whom it is about."""

    patient_id: str = ""


_read = msgspec.json.Decoder(_Told).decode


@dataclass(slots=True)
class Seen:
    """Hold what was seen: every value, and when each patient was first told of."""

    values: list[bytes] = field(default_factory=list)
    first: dict[str, float] = field(default_factory=dict)
    #: How many records came of each topic and partition.
    records: Counter[tuple[str, int]] = field(default_factory=Counter)


class Observer:
    """Read topics as a consumer of committed records does."""

    def __init__(self, bootstrap_servers: str, topics: Collection[str], partitions: int) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "pv-stream-live-benchmark-observer",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "log_level": 0,
            }
        )
        places = [
            TopicPartition(topic, number, OFFSET_BEGINNING)
            for topic in topics
            for number in range(partitions)
        ]
        self._consumer.assign(places)
        self._places = places
        self.seen = Seen()

    def look(self) -> Sequence[str]:
        """Return the patients who were told of for the first time since the last look."""
        # Asked for many at once it would wait for them, and see the first of them late.
        messages = self._consumer.consume(1, WAIT_SECONDS)
        now = time.monotonic()
        messages += self._consumer.consume(MESSAGES_MAX, 0) if messages else []
        fresh = []
        for message in messages:
            error, value = message.error(), message.value()
            if error is not None:
                msg = f"the outputs of a subject could not be read: {error}"
                raise EnvironmentBroken(msg)
            self.seen.records[str(message.topic()), message.partition() or 0] += 1
            if value is None:
                continue
            self.seen.values.append(value)
            patient = _read(value).patient_id
            if patient not in self.seen.first:
                self.seen.first[patient] = now
                fresh.append(patient)
        return fresh

    def commits(self) -> float:
        """Return how many transactions told something in a partition, on average of the partitions.

        Each leaves a marker behind its records, that takes a position and is never read. Of several topics that counts
        of which most transactions have a part.
        """
        most: dict[int, int] = {}
        for place in self._places:
            _, end = self._consumer.get_watermark_offsets(place, timeout=MARKS_SECONDS_MAX)
            markers = end - self.seen.records[place.topic, place.partition]
            most[place.partition] = max(most.get(place.partition, 0), markers)
        return statistics.mean(most.values())

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


def is_marker(patient: str) -> bool:
    """Tell whether a patient is a made-up sign of how far a subject is."""
    return patient.startswith(MARKER.decode())
