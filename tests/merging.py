"""Merging: shards that write to each other, as in a live topic, with the deliveries in any order that Kafka allows.

What one shard writes to another's log arrives in the order in which it was written, but whenever it likes. The log of
each shard is kept, so that it can be replayed.
"""

import json
from collections import deque
from collections.abc import Sequence
from typing import Any

from pv_stream.codec.events import encode_event
from pv_stream.domain.events import Absorbed, Absorbs, AlertActed, FactArrived, IdentityEvent, Separated
from pv_stream.domain.facts import Provenance
from pv_stream.domain.ids import PatientId, shard_of
from pv_stream.domain.published import PatientState
from pv_stream.domain.times import Instant
from pv_stream.shard.fold import OutputStream, OutRecord, RawRecord, ShardFold
from pv_stream.shard.limits import Limits
from tests.builders import sha256, with_patient
from tests.shards import fold, new_shard

PatientEvent = FactArrived | AlertActed | IdentityEvent


def _provenance(received_at: Instant, message: str) -> Provenance:
    return Provenance(received_at, sha256(message), "MRG[1]", "canonical")


def absorbed(prior: str, survivor: str, received_at: Instant) -> Absorbed:
    """Return the record by which a prior learns of its merge."""
    provenance = _provenance(received_at, f"{prior} into {survivor}")
    return Absorbed(PatientId(prior), PatientId(survivor), provenance)


def absorbs(prior: str, survivor: str, received_at: Instant) -> Absorbs:
    """Return the record by which a survivor learns of a merge."""
    provenance = _provenance(received_at, f"{prior} into {survivor}")
    return Absorbs(PatientId(survivor), PatientId(prior), provenance)


def merge(prior: str, survivor: str, received_at: Instant) -> tuple[Absorbed, Absorbs]:
    """Return the two records of a merge."""
    return absorbed(prior, survivor, received_at), absorbs(prior, survivor, received_at)


def separated(prior: str, survivor: str, received_at: Instant) -> Separated:
    """Return the record of an unmerge."""
    provenance = _provenance(received_at, f"{prior} from {survivor}")
    return Separated(PatientId(survivor), PatientId(prior), provenance)


class Topic:
    """Run a topic of some shards: what they write to each other waits until it is delivered."""

    def __init__(self, shard_count: int) -> None:
        self.shards: list[ShardFold] = [
            new_shard(shard=shard, shard_count=shard_count) for shard in range(shard_count)
        ]
        self.logs: list[list[RawRecord]] = [[] for _ in self.shards]
        self.outputs: list[list[OutRecord]] = [[] for _ in self.shards]
        self.told: list[dict[str, Any]] = []
        self._waiting: dict[tuple[int, int], deque[OutRecord]] = {}

    def send(self, *events: PatientEvent) -> None:
        """Write events of a feed, each to the shard of its patient."""
        for sent in events:
            self._append(sent.patient_id.encode(), encode_event(sent))

    def limit(self, limits: Limits) -> None:
        """Go on under other limits, with the states as they are."""
        for number, before in enumerate(self.shards):
            self.shards[number] = new_shard(shard=number, shard_count=len(self.shards), limits=limits)
            for key, value in before.final_states():
                self.shards[number].restore(key, value)

    @property
    def waiting(self) -> list[tuple[int, int]]:
        """Return the pairs of shards between which something waits."""
        return sorted(pair for pair, records in self._waiting.items() if records)

    def deliver(self, pair: tuple[int, int]) -> None:
        """Deliver the first of what waits between two shards."""
        record = self._waiting[pair].popleft()
        self._append(record.key, record.value)

    def settle(self) -> None:
        """Deliver everything that waits, and what follows from it."""
        deliveries = 0
        while waiting := self.waiting:
            self.deliver(waiting[0])
            deliveries += 1
            assert deliveries < 10_000, "records go round and round"

    def state_of(self, patient: str) -> PatientState:
        """Return the state of a patient record."""
        patient_id = PatientId(patient)
        return self.shards[shard_of(patient_id, len(self.shards))].state_of(patient_id)

    def _append(self, key: bytes, value: bytes) -> None:
        shard = shard_of(key.decode(), len(self.shards))
        record = RawRecord(len(self.logs[shard]), key, value)
        self.logs[shard].append(record)
        for out in fold([record], self.shards[shard]):
            self.outputs[shard].append(out)
            if out.stream is OutputStream.EVENTS:
                to = shard_of(out.key.decode(), len(self.shards))
                self._waiting.setdefault((shard, to), deque()).append(out)
            else:
                self.told.append(json.loads(out.value))


def root_of(topic: Topic, patient: str, patients: Sequence[str]) -> str:
    """Return the record that a patient record ends up in."""
    for _ in patients:
        into = topic.state_of(patient).lineage.into
        if into is None:
            return patient
        patient = into
    message = f"{patient} stands in a circle of merges"
    raise AssertionError(message)


def of(patient: str, *events: FactArrived) -> list[PatientEvent]:
    """Return events as those of a patient record."""
    return [with_patient(sent, patient) for sent in events]


def settled(*events: PatientEvent, shards: int = 1) -> Topic:
    """Return a topic after these events, each sent when nothing waits any more."""
    topic = Topic(shards)
    for sent in events:
        topic.send(sent)
        topic.settle()
    return topic


def alerts(topic: Topic, patient: str, kind: str = "suspected_dress") -> list[dict[str, Any]]:
    """Return the revisions of the alerts of one kind that were told of a patient record."""
    of_kind = [told for told in topic.told if told.get("kind") == kind and told["patient_id"] == patient]
    return [told for told in of_kind if "status" in told]


def codes(topic: Topic) -> list[tuple[str, str]]:
    """Return why records were refused, each with the patient record."""
    return [(told["code"], told["patient_id"]) for told in topic.told if "code" in told]
