"""Law 1 on every scenario: whatever the order, the repetitions and the runs, the records end in the same case.

A thousand shufflings in all. In half of them the messages are also stamped anew, later and in their new order,
as by a feed that was down; and at some cuts another owner restores the shard from its state records.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import pytest

from pv_stream.audit.scenario import Case, Scenario
from pv_stream.audit.scenario_events import records_of
from pv_stream.codec.events import Rejection, decode_event
from pv_stream.domain.assessment import Assessment
from pv_stream.domain.events import ClockTicked, Event, FactArrived, IdentityEvent, RulebookActivated
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import MICROSECONDS_PER_DAY, MICROSECONDS_PER_MINUTE, Instant
from pv_stream.engine.assess import assess
from pv_stream.rules.plausibility import why_held
from tests.builders import RULEBOOK, resent
from tests.scenarios.every_case import CASES, name_of
from tests.shards import new_shard, raw

SHUFFLINGS: Final = 1_000
REPEATED_MAX: Final = 4
CUTS_MAX: Final = 4


def _shufflings() -> list[int]:
    """Deal the shufflings out evenly; of what is left the shorter cases get one more each."""
    each, left = divmod(SHUFFLINGS, len(CASES))
    shorter = sorted(range(len(CASES)), key=lambda number: len(CASES[number][1].given))[:left]
    return [each + (number in shorter) for number in range(len(CASES))]


@pytest.mark.parametrize(
    ("scenario", "case", "shufflings"),
    [
        pytest.param(*pair, shufflings, id=name_of(*pair))
        for pair, shufflings in zip(CASES, _shufflings(), strict=True)
    ],
)
def test_a_scenario_ends_in_the_same_case_however_its_records_arrive(
    scenario: Scenario, case: Case, shufflings: int, seed: int
) -> None:
    told = list(_events(scenario, case))
    expected = _ends_in([told])
    for number in range(shufflings):
        rng = random.Random(f"{seed}:{scenario.title}:{case.name}:{number}")
        assert _ends_in(_cut(_shuffled(told, rng), rng)) == expected, f"shuffling {number}, --seed={seed}"


def _events(scenario: Scenario, case: Case) -> Iterable[Event]:
    for record in records_of(scenario, case):
        event = decode_event(record.value)
        if not isinstance(event, Rejection | RulebookActivated | IdentityEvent):
            yield event


def _shuffled(told: Sequence[Event], rng: random.Random) -> list[Event]:
    repeated = [_again(rng.choice(told), rng) for _ in range(rng.randint(0, REPEATED_MAX)) if told]
    order = rng.sample([*told, *repeated], len(told) + len(repeated))
    return _stamped_anew(order) if rng.random() < 0.5 else order


def _again(event: Event, rng: random.Random) -> Event:
    """Return the same record, or the same statement in a later message where that is as credible."""
    if not isinstance(event, FactArrived) or rng.random() < 0.5:
        return event
    later = Instant(event.received_at + rng.randint(1, 100) * MICROSECONDS_PER_DAY)
    return _as_credible(event, resent(event, received_at=later))


def _stamped_anew(order: Sequence[Event]) -> list[Event]:
    last = max((event.received_at for event in order if isinstance(event, FactArrived)), default=Instant(0))
    return [_received(event, Instant(last + n * MICROSECONDS_PER_MINUTE)) for n, event in enumerate(order)]


def _received(event: Event, at: Instant) -> Event:
    if not isinstance(event, FactArrived):
        return event
    provenance = replace(event.version.provenance, received_at=at)
    return _as_credible(event, replace(event, version=replace(event.version, provenance=provenance)))


def _as_credible(event: FactArrived, later: FactArrived) -> FactArrived:
    """Return the later message, unless only its lateness makes it believed, or decides: that is another story.

    Of two decisions about a held value the one received later counts.
    """
    if event.version.provenance.review is not None:
        return event
    held = [
        why_held(told.version.statement.content, told.version.statement.effective, told.received_at, RULEBOOK)
        for told in (event, later)
    ]
    return later if held[0] == held[1] else event


def _cut(events: Sequence[Event], rng: random.Random) -> list[list[Event]]:
    places = sorted(rng.randint(0, len(events)) for _ in range(rng.randint(0, CUTS_MAX)))
    return [
        list(events[first:last]) for first, last in zip([0, *places], [*places, len(events)], strict=True)
    ]


def _ends_in(runs: Iterable[Sequence[Event]]) -> Mapping[PatientId, Assessment]:
    """Fold runs of records, each on a shard restored from what the runs before have written."""
    written: dict[bytes, bytes | None] = {}
    patients: set[PatientId] = set()
    shard = new_shard()
    for run in runs:
        shard = new_shard()
        for key, value in written.items():
            shard.restore(key, value)
        folded = shard.process(raw(run))
        shard.commit(folded)
        written.update(folded.states)
        patients.update(
            event.patient_id for event in run if not isinstance(event, ClockTicked | RulebookActivated)
        )
    return {patient: assess(shard.state_of(patient).facts, RULEBOOK) for patient in sorted(patients)}
