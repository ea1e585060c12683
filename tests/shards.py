"""Shards: running logs through the fold, and reading what came out, for tests."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pv_stream.codec.events import encode_event
from pv_stream.domain.events import ClockTicked, Event, RulebookActivated
from pv_stream.domain.times import Instant
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.fold import OutputStream, OutRecord, RawRecord, ShardFold
from pv_stream.shard.limits import DEFAULT_LIMITS, Limits
from tests.builders import RULEBOOK, at


def new_shard(
    *,
    shard: int = 0,
    shard_count: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    rulebook: Rulebook = RULEBOOK,
    carried: Mapping[str, Rulebook] = MappingProxyType({}),
    what_if: bool = False,
    originate: bool = False,
) -> ShardFold:
    """Return an empty shard, the only one unless told otherwise."""
    return ShardFold(
        shard=shard,
        shard_count=shard_count,
        rulebook=rulebook,
        carried=carried,
        what_if=what_if,
        originate=originate,
        limits=limits,
    )


def hand_over(
    states: Mapping[bytes, bytes | None] | Iterable[tuple[bytes, bytes | None]], owner: ShardFold
) -> None:
    """Let an owner take state records as a store hands them on: of each key the newest, unless that took it away."""
    for key, value in dict(states).items():
        if value is not None:
            owner.restore(key, value)


def clock(day: int, hour: int = 0) -> ClockTicked:
    """Return a clock record by day and hour."""
    return ClockTicked(at(day, hour))


def clock_at(instant: Instant) -> ClockTicked:
    """Return a clock record of an instant."""
    return ClockTicked(instant)


def raw(log: Iterable[Event | bytes], *, first: int = 0) -> list[RawRecord]:
    """Write events, and bytes as they are, as the records of a log; each event has its patient's key."""
    return [_raw(position, entry) for position, entry in enumerate(log, start=first)]


def _raw(position: int, entry: Event | bytes) -> RawRecord:
    if isinstance(entry, bytes):
        return RawRecord(position, b"patient-1", entry)
    key = None if isinstance(entry, ClockTicked | RulebookActivated) else entry.patient_id.encode()
    return RawRecord(position, key, encode_event(entry))


def fold(records: Sequence[RawRecord], shard: ShardFold | None = None) -> tuple[OutRecord, ...]:
    """Process and commit records in one run; return what came out."""
    owner = new_shard() if shard is None else shard
    run = owner.process(records)
    owner.commit(run)
    return run.outputs


def told(log: Iterable[Event | bytes], shard: ShardFold | None = None) -> list[dict[str, Any]]:
    """Fold a log in one run; return the values of all outputs in order."""
    return [json.loads(out.value) for out in fold(raw(log), shard)]


def alerts(outputs: Iterable[OutRecord]) -> list[dict[str, Any]]:
    """Return the values of the alerts."""
    return of_stream(outputs, OutputStream.ALERTS)


def of_stream(outputs: Iterable[OutRecord], stream: OutputStream) -> list[dict[str, Any]]:
    """Return the values of one stream."""
    return [json.loads(out.value) for out in outputs if out.stream is stream]


def failing_for(patient_id: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of the engine that fails where it is given a patient's id, or an event of that patient."""

    def fail(*asked: Any, **named: Any) -> Any:
        if any(getattr(each, "patient_id", each) == patient_id for each in asked):
            message = "a fault in the engine"
            raise RuntimeError(message)
        return function(*asked, **named)

    return fail
