"""The log that a chaos run is about: a made-up hospital with everything that makes a shard write something.

Watched drugs and eosinophilia, corrections, late and doubled results, holds, merges of patients across shards (also
chains and circles), reactions that come back, stays of months, actions on alerts, records that cannot be read or stand
in the wrong shard, and ghosts: events of transactions that their writer aborted, which nobody may ever act upon. Nobody
here exists. A seed gives the same events on every machine.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from benchmarks.ward_log import START, first_events
from pv_stream.audit.ward import WardAssumptions, synthetic_ward
from pv_stream.codec.events import encode_event
from pv_stream.domain.codes import ActionKind
from pv_stream.domain.ids import shard_of
from pv_stream.domain.times import Instant, parse_instant
from pv_stream.rulebooks import load_default
from pv_stream.shard.fold import OutputStream, RawRecord, ShardFold
from tests.acting import acted
from tests.chaos.patients import Timed, long_stays, recurring
from tests.merging import merge

#: Of the events that come from the ward with stories; the rest are short stays without any.
_SHARE_WITH_STORIES: Final = 0.4
_EVENTS_PER_WARD_PATIENT: Final = 42
_WARD_DAYS: Final = 24
#: Far more reactions than any hospital has: what is looked for here is a lost alert.
_STORIES: Final = {
    "antibiotic": 0.15,
    "watched_drug": 0.15,
    "eosinophilia_without_drug": 0.1,
    "rash_under_drug": 0.1,
    "dress": 0.25,
    "cross_reactive_start": 0.1,
}
_EVENTS_PER_MERGE: Final = 150
_SHARE_CHAINED: Final = 0.3
_SHARE_CIRCLES: Final = 0.05
_SHARE_ACTED: Final = 0.5
_SHARE_UNREADABLE: Final = 0.005
_SHARE_TAKEN_BACK: Final = 0.005
_SHARE_GHOSTS: Final = 0.01
_RECORDS_PER_RUN: Final = 200
_UNREADABLE: Final = (b"{", b"\xff\x00", b'{"schema_version": 9}', b"[]")


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold one record to write; an aborted one is written in a transaction that its writer gives up."""

    shard: int
    key: bytes | None
    value: bytes
    is_aborted: bool = False


def story(*, seed: int, events: int, shard_count: int) -> list[Entry]:
    """Return about so many records in the order in which they are received."""
    random = Random(f"story/{seed}")
    others = [*recurring(events), *long_stays(random, events, shard_count)]
    timed = list(_received(seed, events - sum(map(len, others))))
    merged = _merges(random, timed, shard_count)
    timed = sorted([*timed, *merged, *_actions(random, timed, {patient for _, patient, _ in merged})])
    entries = []
    for _, patient, value in _spread(random, timed, others):
        key = patient.encode()
        shard = shard_of(patient, shard_count)
        entries.append(Entry(shard, key, value))
        if random.random() < _SHARE_TAKEN_BACK and b'"status":"final"' in value:
            entries.append(Entry(shard, key, value.replace(b'"status":"final"', b'"status":"retracted"')))
        if random.random() < _SHARE_UNREADABLE:
            entries.append(_unusable(random, shard, key, value, shard_count))
        if random.random() < _SHARE_GHOSTS:
            entries.append(_ghost(shard, key, value, len(entries)))
    return entries


def _spread(random: Random, timed: Sequence[Timed], others: Sequence[Sequence[Timed]]) -> list[Timed]:
    """Return all events, those of each other patient in their order and over the whole of the log."""
    placed = [((place + 0.5) / len(timed), event) for place, event in enumerate(timed)]
    for events in others:
        placed += zip(sorted(random.random() for _ in events), events, strict=True)
    return [event for _, event in sorted(placed)]


def _received(seed: int, events: int) -> Iterator[Timed]:
    with_stories = int(events * _SHARE_WITH_STORIES)
    ward = WardAssumptions(
        patients=max(25, with_stories // _EVENTS_PER_WARD_PATIENT),
        days=_WARD_DAYS,
        shares=_STORIES,
        share_held=0.01,
    )
    written = 0
    for line in synthetic_ward(seed=seed, start=START, assumptions=ward):
        written += 1
        yield line.received, line.patient_id, line.value
    for event in first_events(max(0, events - written), seed=seed):
        yield event.received_at, event.patient_id, encode_event(event)


def _merges(random: Random, timed: Sequence[Timed], shard_count: int) -> list[Timed]:
    """Merge patients of different shards; some survivors are merged again later, a few into a circle."""
    patients = sorted({patient for _, patient, _ in timed})
    priors: set[str] = set()
    records: list[Timed] = []
    last: tuple[str, str] | None = None
    for _ in range(max(2, len(timed) // _EVENTS_PER_MERGE)):
        prior, survivor = random.sample(patients, 2)
        place = random.random()
        if last is not None and place < _SHARE_CIRCLES:
            survivor, prior = last
        elif last is not None and place < _SHARE_CHAINED:
            prior = last[1]
        if prior == survivor or shard_of(prior, shard_count) == shard_of(survivor, shard_count):
            continue
        if prior in priors:
            continue
        priors.add(prior)
        last = prior, survivor
        at = Instant(timed[random.randrange(len(timed) // 3, len(timed))][0])
        records += [(at, event.patient_id, encode_event(event)) for event in merge(prior, survivor, at)]
    return records


def _actions(random: Random, timed: Sequence[Timed], merged: set[str]) -> list[Timed]:
    """Act on alerts of patients who are not merged: what is told of those is known beforehand."""
    log = [
        RawRecord(position, patient.encode(), value)
        for position, (_, patient, value) in enumerate(
            sorted(each for each in timed if each[1] not in merged and "ward" in each[1])
        )
    ]
    fold = ShardFold(shard=0, shard_count=1, rulebook=load_default(), originate=True)
    records: list[Timed] = []
    for at in range(0, len(log), _RECORDS_PER_RUN):
        run = fold.process(log[at : at + _RECORDS_PER_RUN])
        fold.commit(run)
        for output in run.outputs:
            if output.stream is OutputStream.ALERTS and random.random() < _SHARE_ACTED:
                alert = json.loads(output.value)
                kind = random.choice((ActionKind.ACKNOWLEDGE, ActionKind.CONFIRM, ActionKind.REFUTE))
                # Second thoughts come later than the alert, so that the order of arrival leaves no doubt.
                when = Instant(parse_instant(alert["as_of"]) + random.randrange(1, 3_600_000_000))
                action = acted(alert, kind, at=when)
                records.append((when, action.patient_id, encode_event(action)))
    return records


def _unusable(random: Random, shard: int, key: bytes, value: bytes, shard_count: int) -> Entry:
    """Return a record that becomes a dead letter: unreadable, or sound but in the wrong shard."""
    if random.random() < 0.5:
        return Entry((shard + 1) % shard_count, key, value)
    return Entry(shard, key, random.choice(_UNREADABLE))


def _ghost(shard: int, key: bytes, value: bytes, number: int) -> Entry:
    """Return what a patient's state would show if anybody read it: a fact of its own key."""
    event = json.loads(value)
    if "fact_key" in event:
        event["fact_key"] = f"ghost:{number}"
    return Entry(shard, key, json.dumps(event, sort_keys=True).encode(), is_aborted=True)
