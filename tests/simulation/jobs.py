"""What the simulated workers process: counting, which is cheap and hides nothing, or the real fold.

Counting also sends records to other shards, as merges of patient records do. The real fold reads stories of patients
who are merged, or values that arrive in no order and so change any segment of a state.
"""

import random
from collections.abc import Sequence
from typing import Any

from pv_stream.codec.events import encode_event
from pv_stream.domain.codes import Analyte
from pv_stream.domain.events import FactArrived, IdentityEvent
from pv_stream.shard.fold import OutputStream, OutRecord, RawRecord, ShardFold
from pv_stream.shard.limits import Limits
from tests.builders import alt, at, corrected, eosinophils, measured, order, with_patient
from tests.integration.counting_fold import CountingFold, CountingRun
from tests.merging import merge
from tests.shards import new_shard
from tests.stories import SeededNarrator, tell_story

KEYS = tuple(f"p{number}" for number in range(6))
FORWARD = b"forward to "


class ForwardingFold(CountingFold):
    """Count records per key, and send on those that ask for it."""

    def process(self, records: Sequence[RawRecord]) -> CountingRun:
        run = super().process(records)
        sent = tuple(
            OutRecord(
                OutputStream.EVENTS, record.value.removeprefix(FORWARD), b"forwarded", record.position, 3
            )
            for record in records
            if record.value is not None and record.value.startswith(FORWARD)
        )
        return CountingRun((*run.outputs, *sent), run.states, run.counts)


class Counting:
    """Count."""

    def fold(self, shard: int, shard_count: int) -> CountingFold:
        return ForwardingFold(shard, shard_count)

    def input(self, rng: random.Random, records: int) -> Sequence[tuple[bytes, bytes]]:
        return [(rng.choice(KEYS).encode(), _value(rng, number)) for number in range(records)]


def _value(rng: random.Random, number: int) -> bytes:
    kind = rng.randrange(8)
    if kind == 0:
        return b"poison %d" % number
    if kind == 1:
        return FORWARD + rng.choice(KEYS).encode()
    return b"%d" % number


def memory_of(fold: Any) -> object:
    """Return what a fold holds, comparable."""
    if isinstance(fold, CountingFold):
        return fold.counts
    return dict(fold._states.records()), fold._clock


class Segmented:
    """Let the real engine read values of two patients, of any day, some of them corrected later."""

    def fold(self, shard: int, shard_count: int) -> ShardFold:
        # So small that states are cut, and cut otherwise as they grow.
        return new_shard(shard=shard, shard_count=shard_count, limits=Limits(segment_bytes_max=1_200))

    def input(self, rng: random.Random, records: int) -> Sequence[tuple[bytes, bytes]]:
        events: list[FactArrived] = []
        for number in range(2 * records):
            if events and rng.randrange(4) == 0:
                first = rng.choice(events)
                events.append(corrected(first, first.version.statement.content))
            else:
                value = measured(Analyte.AST, 20, at(rng.randrange(60), 8, number % 60))
                events.append(with_patient(value, rng.choice(("patient-a", "patient-b"))))
        return [(sent.patient_id.encode(), encode_event(sent)) for sent in events]


class Clinical(Segmented):
    """Let the real engine read two patients' stories, whose records are merged half way, mostly across shards."""

    def input(self, rng: random.Random, records: int) -> Sequence[tuple[bytes, bytes]]:
        prior, survivor = "patient-a", "patient-b"
        events: list[FactArrived] = [
            order("imatinib", at(0)),
            with_patient(order("imatinib", at(0)), survivor),
        ]
        for patient in (prior, survivor):
            events += tell_story(SeededNarrator(rng.randrange(1_000)), patient, acts_max=records // 4)
        events[0] = with_patient(events[0], prior)
        events += [with_patient(eosinophils(2_100, at(60)), prior), with_patient(alt(420, at(61)), prior)]
        events.sort(key=lambda sent: sent.received_at)
        half = len(events) // 2
        merged = merge(prior, survivor, events[half].received_at)
        every: list[FactArrived | IdentityEvent] = [*events[:half], *merged, *events[half:]]
        return [(sent.patient_id.encode(), encode_event(sent)) for sent in every]
