"""Thinning: of very many values that no rule scores some are kept, and nothing that a rule scores is let go (law 8)."""

import json
from collections.abc import Iterable
from dataclasses import fields, replace
from decimal import Decimal

import pytest

from pv_stream.codec.events import encode_event
from pv_stream.codec.state import decode_state, encode_state, state_bytes
from pv_stream.domain.codes import Analyte, Comparator, FindingCode, HoldCode, Status
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Measurement, Retracted
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.outputs import Alert, Case, Cause, Output
from pv_stream.domain.published import PatientState, ThinnedDays, join_days
from pv_stream.domain.times import MICROSECONDS_PER_DAY, Instant
from pv_stream.engine.advance import advance, fire_due
from pv_stream.rules.other_values import other_below
from pv_stream.shard.fold import OutputStream
from pv_stream.shard.limits import DEFAULT_LIMITS
from tests.builders import (
    DAY_ZERO,
    PATIENT,
    RULEBOOK,
    at,
    corrected,
    dose,
    eosinophils,
    held,
    measured,
    order,
    present,
    resent,
    retracted,
    reviewed,
    temperature,
    with_status,
)
from tests.merging import merge, of, separated, settled
from tests.shards import fold, new_shard, of_stream, raw

MOST = RULEBOOK.parameters.values_per_code_day_max.value
IN_ALL = RULEBOOK.parameters.values_per_code_max.value
DAY = DAY_ZERO // MICROSECONDS_PER_DAY
HALF_HOURS = range(0, 24 * 60, 30)
THINNED = (ThinnedDays(Analyte.BODY_TEMPERATURE, DAY, DAY),)


def _lived(*events: FactArrived, state: PatientState | None = None) -> tuple[PatientState, list[Output]]:
    state, outputs = state or PatientState(), list[Output]()
    for each in events:
        state, told = advance(state, each, shard_clock=None, rulebook=RULEBOOK)
        outputs += told
    return state, outputs


def _cool(day: int, minutes: Iterable[int], value: str = "36.8") -> list[FactArrived]:
    return [temperature(value, at(day, minute // 60, minute % 60)) for minute in minutes]


def _keys(events: Iterable[FactArrived]) -> set[FactKey]:
    return {each.version.key for each in events}


def _celsius(value: str) -> Measurement:
    return Measurement(Analyte.BODY_TEMPERATURE, Decimal(value))


#: A day at the cap, and one more, in the hour of another.
HOURLY = _cool(0, range(0, 24 * 60, 60))
ONE_MORE = temperature("36.9", at(0, 12, 30))

# What stays ------------------------------------------------------------------------------------------------------


def test_a_day_up_to_the_cap_is_kept_whole() -> None:
    crowded = _cool(0, range(MOST))
    state, _ = _lived(*crowded)
    assert len(HOURLY) == MOST
    assert state.facts.keys() == _keys(crowded)
    assert state.published.thinned == ()


@pytest.mark.parametrize("events", [[*HOURLY, ONE_MORE], [ONE_MORE, *HOURLY]], ids=["last", "first"])
def test_above_the_cap_the_first_of_each_hour_stays(events: list[FactArrived]) -> None:
    state, outputs = _lived(*events)
    assert state.facts.keys() == _keys(HOURLY)
    assert state.published.thinned == THINNED
    assert outputs == []


def test_where_hours_have_no_value_the_earliest_others_stay() -> None:
    state, _ = _lived(*_cool(0, range(60)), *_cool(0, range(1200, 1210)))
    assert state.facts.keys() == _keys([*_cool(0, range(MOST - 1)), *_cool(0, [1200])])


def test_another_day_and_another_code_are_counted_apart() -> None:
    weights = [measured(Analyte.BODY_WEIGHT, 70, at(0, hour)) for hour in range(24)]
    state, _ = _lived(*HOURLY, *weights, *_cool(1, range(MOST)))
    assert len(state.facts) == 3 * MOST
    state, _ = _lived(measured(Analyte.BODY_WEIGHT, 71, at(0, 12, 30)), state=state)
    assert len(state.facts) == 3 * MOST
    assert state.published.thinned == (ThinnedDays(Analyte.BODY_WEIGHT, DAY, DAY),)


def test_with_very_many_of_a_code_a_further_day_keeps_one() -> None:
    days = IN_ALL // MOST
    many = [each for day in range(days) for each in _cool(day, range(0, 24 * 60, 60))]
    rest = _cool(days, range(0, 60 * (IN_ALL - days * MOST), 60))
    further = _cool(days + 1, (0, 60, 120))
    state, _ = _lived(*many, *rest, *further)
    assert len(many) + len(rest) == IN_ALL
    assert state.facts.keys() == _keys([*many, *rest, further[0]])
    last = DAY + days + 1
    assert state.published.thinned == (ThinnedDays(Analyte.BODY_TEMPERATURE, last, last),)


_SCORED = {
    Analyte.EOSINOPHILS: "100",
    Analyte.EOSINOPHILS_PERCENT: "1",
    Analyte.LEUKOCYTES: "8000",
    Analyte.ALT: "20",
    Analyte.AST: "20",
    Analyte.ALP: "80",
    Analyte.CREATININE: "0.8",
    Analyte.ATYPICAL_LYMPHOCYTES_PERCENT: "0",
    Analyte.BODY_TEMPERATURE: "38.0",
}
_NEVER_THINNED = {
    **{
        analyte.value: [measured(analyte, value, at(0, 0, minute)) for minute in HALF_HOURS]
        for analyte, value in _SCORED.items()
    },
    "bound": [
        temperature("37", at(0, 0, minute), comparator=Comparator.LESS_OR_EQUAL) for minute in HALF_HOURS
    ],
    "corrected": [with_status(each, Status.CORRECTED) for each in _cool(0, HALF_HOURS)],
    "reviewed": [reviewed(each, _celsius("36.8")) for each in _cool(0, HALF_HOURS)],
    "conflicting": [
        temperature(value, at(0, 0, minute)) for value in ("36.8", "37") for minute in range(MOST - 1)
    ],
    "held": [held(HoldCode.MISSING_UNIT, at(0, 0, minute)) for minute in HALF_HOURS],
    "retracted": [retracted(each) for each in _cool(0, HALF_HOURS)],
    "drugs": [dose("imatinib", at(0, 0, minute)) for minute in HALF_HOURS],
    "findings": [present(FindingCode.RASH, at(0, 0, minute)) for minute in HALF_HOURS],
}


@pytest.mark.parametrize("kind", _NEVER_THINNED)
def test_what_rules_score_what_people_settled_and_what_is_no_value_stays(kind: str) -> None:
    events = _NEVER_THINNED[kind]
    state, _ = _lived(*events)
    assert state.facts.keys() == _keys(events)
    assert state.published.thinned == ()


def test_every_temperature_of_the_rulebook_is_a_threshold_below_which_a_value_is_other() -> None:
    named = [field.name for field in fields(RULEBOOK.parameters) if field.name.endswith("_celsius")]
    assert len(named) == 4
    for name in named:
        lower = replace(getattr(RULEBOOK.parameters, name), value=Decimal(35))
        parameters = replace(RULEBOOK.parameters, **{name: lower})
        assert other_below(Analyte.BODY_TEMPERATURE, parameters) == 35, name


# Corrections and retractions -------------------------------------------------------------------------------------


def test_a_correction_of_a_kept_value_takes_its_place() -> None:
    fever = corrected(HOURLY[3], _celsius("39.5"))
    state, _ = _lived(*HOURLY, ONE_MORE, fever)
    ((statement, _),) = state.facts[HOURLY[3].version.key].statements
    assert statement.content == _celsius("39.5")
    assert state.facts.keys() == _keys(HOURLY)


def test_a_final_version_of_a_kept_value_takes_its_place_on_a_full_day() -> None:
    early = [with_status(each, Status.PRELIMINARY) for each in HOURLY]
    state, _ = _lived(*early, ONE_MORE, *HOURLY)
    assert state.facts == _lived(*HOURLY)[0].facts


def test_a_final_version_of_a_kept_value_takes_its_place_where_very_many_are_kept() -> None:
    first, *others = [each for day in range(IN_ALL // MOST) for each in _cool(day, range(0, 24 * 60, 60))]
    more = _cool(IN_ALL // MOST, range(0, 60 * (IN_ALL % MOST + 1), 60))
    state, _ = _lived(with_status(first, Status.PRELIMINARY), *others, *more, *_cool(-1, [0]))
    state, _ = _lived(first, state=state)
    assert state.facts[first.version.key].order.status is Status.FINAL


def test_a_retraction_of_a_kept_value_makes_room_for_the_next() -> None:
    state, _ = _lived(*HOURLY, ONE_MORE, retracted(HOURLY[5]))
    next_one = temperature("36.9", at(0, 12, 45))
    state, _ = _lived(next_one, state=state)
    assert state.facts.keys() == _keys([*HOURLY, next_one])


def test_a_retraction_of_a_thinned_value_tells_nothing_and_keeps_it_away() -> None:
    watched = [order("imatinib", at(-20)), eosinophils(1700, at(0, 7))]
    state, _ = _lived(*watched, *HOURLY, ONE_MORE)
    state, outputs = _lived(retracted(ONE_MORE), state=state)
    assert outputs == []
    state, outputs = _lived(ONE_MORE, state=state)
    assert outputs == []
    ((statement, _),) = state.facts[ONE_MORE.version.key].statements
    assert statement.content == Retracted()


def test_a_thinned_value_that_is_corrected_to_a_fever_counts() -> None:
    state, _ = _lived(order("imatinib", at(-20)), eosinophils(1700, at(0, 7)), *HOURLY, ONE_MORE)
    state, outputs = _lived(corrected(ONE_MORE, _celsius("39.0")), state=state)
    (alert,) = (told for told in outputs if isinstance(told, Alert))
    assert (alert.tier, "fever" in alert.reason, alert.cause) == ("warning", True, Cause.EVENT)


def test_a_thinned_value_that_comes_again_changes_nothing() -> None:
    state, _ = _lived(order("imatinib", at(-20)), eosinophils(1700, at(0, 7)), *HOURLY, ONE_MORE)
    after, outputs = _lived(ONE_MORE, resent(ONE_MORE, received_at=at(0, 13)), state=state)
    assert outputs == []
    assert (after.facts, after.published) == (state.facts, state.published)


# What is told ----------------------------------------------------------------------------------------------------


def test_what_is_told_of_thinned_days_says_so_and_being_thinned_alone_tells_nothing() -> None:
    state, outputs = _lived(order("imatinib", at(-20)), eosinophils(1700, at(0, 7)), *HOURLY)
    assert {told.flags for told in outputs if isinstance(told, Alert | Case)} == {("exposure_from_orders",)}
    state, outputs = _lived(ONE_MORE, state=state)
    assert outputs == []
    _, outputs = _lived(present(FindingCode.RASH, at(1)), state=state)
    assert {told.flags for told in outputs if isinstance(told, Alert | Case)} == {
        ("exposure_from_orders", "thinned")
    }


@pytest.mark.parametrize(("day", "says_so"), [(-125, False), (-60, True), (1, True), (2, False)])
def test_an_episode_of_other_days_is_not_called_thinned(day: int, says_so: bool) -> None:  # noqa: FBT001 - a row
    events = [order("imatinib", at(day - 20)), eosinophils(1700, at(day, 7))]
    state, _ = _lived(*HOURLY, ONE_MORE, *events[:1])
    _, outputs = _lived(*events[1:], state=state)
    (alert,) = (told for told in outputs if isinstance(told, Alert))
    assert ("thinned" in alert.flags) is says_so


@pytest.mark.parametrize(("resolved", "says_so"), [(-15, False), (-14, True)])
def test_the_day_on_which_an_episode_closes_is_one_of_its_days(resolved: int, says_so: bool) -> None:  # noqa: FBT001 - a row
    """It closes fourteen days after the reaction is documented as resolved."""
    reaction = (eosinophils(1700, at(-20)), present(FindingCode.REACTION_RESOLVED, at(resolved)))
    state, _ = _lived(*HOURLY, ONE_MORE, order("imatinib", at(-40)))
    _, outputs = _lived(*reaction, state=state)
    assert [("thinned" in told.flags) for told in outputs if isinstance(told, Case)][-1] is says_so


def test_an_episode_that_closes_by_the_clock_alone_says_that_its_days_were_thinned() -> None:
    state, _ = _lived(order("imatinib", at(-20)), eosinophils(1700, at(0, 7)), *HOURLY, ONE_MORE)
    _, outputs = fire_due(PATIENT, state, at(100), RULEBOOK)
    told = [(type(out), "thinned" in out.flags) for out in outputs if isinstance(out, Alert | Case)]
    assert told == [(Alert, True), (Case, True)]


# Merged records --------------------------------------------------------------------------------------------------

A, B = "patient-a", "patient-b"


def test_merged_records_keep_what_one_record_would_have_kept() -> None:
    ours, theirs = _cool(0, range(0, 720, 20)), _cool(0, range(10, 1440, 20))
    topic = settled(*of(A, *ours), *of(B, *theirs), *merge(B, A, at(2)))
    state, one = topic.state_of(A), _lived(*sorted([*ours, *theirs], key=lambda each: each.received_at))[0]
    assert state.facts.keys() == one.facts.keys()
    assert state.published.thinned == THINNED
    assert state.lineage.parts.keys() == state.facts.keys() & _keys(theirs)


def test_days_that_were_thinned_before_a_merge_and_after_it_are_told_to_both() -> None:
    late = of(B, *_cool(1, range(MOST + 1)))
    topic = settled(*of(B, *HOURLY, ONE_MORE), *merge(B, A, at(2)), *late)
    both = (ThinnedDays(Analyte.BODY_TEMPERATURE, DAY, DAY + 1),)
    assert topic.state_of(A).published.thinned == both
    topic.send(separated(B, A, at(3)))
    topic.settle()
    given_back = topic.state_of(B)
    assert given_back.published.thinned == both
    assert given_back.facts.keys() >= _keys(HOURLY)
    assert topic.state_of(A).facts == {}


# Bytes -----------------------------------------------------------------------------------------------------------


def test_a_state_says_which_days_were_thinned_and_one_without_a_word_of_it_is_read() -> None:
    state, _ = _lived(*HOURLY, ONE_MORE)
    written = encode_state(state)
    assert decode_state(written) == state
    record = json.loads(written)
    del record["published"]["thinned"]
    unthinned = replace(state, published=replace(state.published, thinned=()))
    assert decode_state(json.dumps(record).encode()) == unthinned


def test_the_size_of_a_state_is_right_when_facts_leave_it() -> None:
    shard = new_shard()
    for day in range(2):
        log = [eosinophils(100, at(day, 6)), *_cool(day, range(0, 200, 5)), *_cool(day, range(600, 1440, 7))]
        fold(raw(log, first=day * 1_000), shard)
        state = shard.state_of(PatientId(PATIENT))
        assert len(state.facts) == (day + 1) * (MOST + 1)
        assert shard._sizes[PatientId(PATIENT)] == state_bytes(state)


def test_days_that_follow_each_other_are_one() -> None:
    def days(first: int, last: int, analyte: Analyte = Analyte.BODY_TEMPERATURE) -> ThinnedDays:
        return ThinnedDays(analyte, first, last)

    known = (days(3, 5), days(9, 9))
    assert join_days(known, [days(9, 9), days(4, 4)]) is known
    assert join_days(known, [days(6, 6)]) == (days(3, 6), days(9, 9))
    assert join_days(known, [days(7, 7)]) == (days(3, 5), days(7, 7), days(9, 9))
    assert join_days(known, [days(1, 8)]) == (days(1, 9),)
    weight = days(4, 4, Analyte.BODY_WEIGHT)
    assert join_days(known, [weight]) == (*known, weight)


def test_a_value_that_no_rule_reads_is_not_stored_at_all() -> None:
    sent = json.loads(encode_event(ONE_MORE))
    sent["observation"]["analyte"] = "glucose"
    shard = new_shard()
    outputs = fold(raw([*HOURLY[:1], json.dumps(sent).encode()]), shard)
    assert [letter["code"] for letter in of_stream(outputs, OutputStream.DEAD_LETTERS)] == ["invalid_event"]
    assert shard.state_of(PatientId(PATIENT)).facts.keys() == _keys(HOURLY[:1])


# A year ----------------------------------------------------------------------------------------------------------


@pytest.mark.no_cover
def test_a_year_of_temperatures_leaves_room_for_the_eosinophils_that_matter() -> None:
    """200 values an hour for six hours; then each day what can be kept and some that cannot, as the rest would go."""
    log = [temperature("36.8", Instant(at(0, 0) + number * 18_000_000)) for number in range(1_200)]
    for day in range(365):
        log += _cool(day, range(1, 24 * 60, 60 if day < IN_ALL // MOST + 2 else 11 * 60))
        if day % 7 == 0:
            log.append(eosinophils(150, at(day, 23, 59)))
    log += [order("imatinib", at(340)), eosinophils(1700, at(365, 9)), present(FindingCode.RASH, at(365, 9))]
    shard = new_shard()
    outputs = fold(raw(log), shard)
    assert of_stream(outputs, OutputStream.DEAD_LETTERS) == []
    (first, *_) = of_stream(outputs, OutputStream.ALERTS)
    assert first["eosinophils_per_ul"] == 1700
    assert "thinned" in first["flags"]
    state = shard.state_of(PatientId(PATIENT))
    assert state_bytes(state) < 200_000 < DEFAULT_LIMITS.state_bytes_max
    temperatures = [key for key in state.facts if "temperature" in key]
    assert len(temperatures) == IN_ALL + 365 - IN_ALL // MOST - 1
