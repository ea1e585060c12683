"""Law 3: time is in the log, it only goes forward, and what is due fires in order and never early."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pv_stream.domain.events import ClockTicked, Event, FactArrived, RulebookActivated
from pv_stream.domain.facts import Exposure
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.outputs import Alert, AlertKind, AlertStatus, Cause
from pv_stream.domain.published import EpisodeState, PatientState
from pv_stream.domain.times import MICROSECONDS_PER_HOUR, Instant, exactly, parse_instant
from pv_stream.engine.advance import advance
from pv_stream.engine.follow_up_alerts import follow_up_due_at
from pv_stream.shard.fold import ShardFold
from tests.builders import RULEBOOK
from tests.properties.strategies import logs, shuffled_stories, unhurried
from tests.shards import alerts, fold, new_shard, raw


def _patients(log: list[Event]) -> list[PatientId]:
    return sorted({sent.patient_id for sent in log if isinstance(sent, FactArrived)})


def _closings(state: PatientState) -> dict[str, Instant]:
    """Return when each open episode of a patient closes, by the id of its alert."""
    return {
        episode.alert.alert_id: episode.last.closes_at
        for episode in state.published.episodes
        if episode.state is EpisodeState.OPEN and episode.alert is not None
    }


def _follow_ups(state: PatientState) -> list[Instant]:
    """Return when each follow-up that was not asked for yet falls due."""
    asked = (follow_up_due_at(episode) for episode in state.published.episodes)
    return [at for at in asked if at is not None]


@unhurried
@given(logs())
def test_nothing_closes_before_its_instant_and_only_by_time(log: list[Event]) -> None:
    shard = new_shard()
    for record, sent in zip(raw(log), log, strict=True):
        due = {a: at for patient in _patients(log) for a, at in _closings(shard.state_of(patient)).items()}
        assert not isinstance(sent, RulebookActivated)
        now = sent.instant if isinstance(sent, ClockTicked) else sent.received_at
        known = max(now, shard.clock or now)
        for alert in alerts(fold([record], shard)):
            if alert["kind"] == AlertKind.SUSPECTED_DRESS and alert["status"] == AlertStatus.CLOSED:
                as_of = parse_instant(alert["as_of"])
                assert (
                    due[alert["alert_id"]] <= as_of <= max(known, as_of if _was_past(log, as_of) else known)
                )


def _was_past(log: list[Event], as_of: Instant) -> bool:
    """A closing that was past when it was created carries the patient's own clock, which a message had set."""
    return any(isinstance(sent, FactArrived) and sent.received_at == as_of for sent in log)


@unhurried
@given(logs())
def test_the_clock_of_the_shard_and_of_each_patient_only_goes_forward(log: list[Event]) -> None:
    shard = new_shard()
    before: dict[str, Instant] = {}
    for record in raw(log):
        fold([record], shard)
        every: dict[str, Instant | None] = {"shard": shard.clock}
        every |= {str(patient): shard.state_of(patient).clock for patient in _patients(log)}
        now = {key: clock for key, clock in every.items() if clock is not None}
        assert all(now[key] >= clock for key, clock in before.items())
        before = now


@unhurried
@given(logs(patients_max=4))
def test_a_clock_record_fires_all_that_is_due_in_order_of_instant_and_patient(log: list[Event]) -> None:
    shard = new_shard()
    for record, sent in zip(raw(log), log, strict=True):
        if not isinstance(sent, ClockTicked) or (shard.clock is not None and sent.instant <= shard.clock):
            fold([record], shard)
            continue
        order = _due_in_order(shard, log, sent.instant)
        outputs = alerts(fold([record], shard))
        assert list(dict.fromkeys(alert["patient_id"] for alert in outputs)) == order
        for patient in _patients(log):
            state = shard.state_of(patient)
            assert all(at > sent.instant for at in (*_closings(state).values(), *_follow_ups(state)))


def _due_in_order(shard: ShardFold, log: list[Event], now: Instant) -> list[PatientId]:
    states = {patient: shard.state_of(patient) for patient in _patients(log)}
    firsts = {
        patient: min((*_closings(state).values(), *_follow_ups(state)), default=None)
        for patient, state in states.items()
    }
    return [p for _, p in sorted((at, p) for p, at in firsts.items() if at is not None and at <= now)]


@unhurried
@given(logs())
def test_what_fell_due_since_a_patient_was_last_heard_of_fires_before_what_the_next_event_tells(
    log: list[Event],
) -> None:
    shard = new_shard()
    for record, sent in zip(raw(log), log, strict=True):
        if isinstance(sent, ClockTicked):
            fold([record], shard)
            continue
        assert not isinstance(sent, RulebookActivated)
        before = shard.state_of(sent.patient_id)
        outputs = alerts(fold([record], shard))
        after = shard.state_of(sent.patient_id)
        if after == before or before.clock is None or after.clock is None:
            continue
        # Of one instant, the episode that was told of first closes first: sorting keeps that order.
        due = sorted(
            ((at, alert) for alert, at in _closings(before).items() if before.clock < at <= after.clock),
            key=lambda closing: closing[0],
        )
        fired = [a for a in outputs if a["cause"] == Cause.CLOCK]
        closed = [a for a in fired if a["kind"] == AlertKind.SUSPECTED_DRESS]
        assert sorted((parse_instant(a["as_of"]), a["alert_id"]) for a in closed) == due
        assert [a["as_of"] for a in fired] == sorted(a["as_of"] for a in fired)
        assert outputs[: len(fired)] == fired


@unhurried
@given(shuffled_stories(), st.integers(1, 26 * 365 * 24), st.data())
def test_a_value_dated_too_long_after_it_was_received_asks_for_a_review_and_no_more(
    told: list[FactArrived], hours: int, data: st.DataObject
) -> None:
    if not told:
        return
    sent = data.draw(st.sampled_from(told))
    version = sent.version
    parameters = RULEBOOK.parameters
    planned = isinstance(version.statement.content, Exposure)  # an order may be planned
    believed = parameters.order_ahead_days.value * 24 if planned else parameters.future_hours.value
    ahead = exactly(Instant(sent.received_at + (believed + hours) * MICROSECONDS_PER_HOUR))
    dated = replace(version.statement, effective=ahead)
    future = replace(sent, version=replace(version, key=FactKey("future:of:all"), statement=dated))
    state = PatientState()
    for each in told:
        state, _ = advance(state, each, shard_clock=None, rulebook=RULEBOOK)
    _, outputs = advance(state, future, shard_clock=state.clock, rulebook=RULEBOOK)
    for output in outputs:
        assert isinstance(output, Alert)
        assert output.kind is AlertKind.DATA_REVIEW
