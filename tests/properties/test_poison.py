"""Laws 7 and 8: no bytes stop the fold, each unusable record is one dead letter, and a failure stays one patient's."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.codec.events import encode_event
from pv_stream.codec.state import WrittenFacts, encode_state, fact_bytes
from pv_stream.domain.events import Event, FactArrived
from pv_stream.domain.ids import PatientId, shard_of
from pv_stream.engine.advance import advance as engine_advance
from pv_stream.shard import steps as shard_steps
from pv_stream.shard.fold import OutputStream, OutRecord, RawRecord, ShardFold, clock_record
from pv_stream.shard.limits import Limits
from tests.builders import RULEBOOK, at
from tests.properties.strategies import POISON, logs, stories, unhurried
from tests.shards import alerts, failing_for, fold, new_shard, of_stream, raw

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


MAY_BE_LEFT_OUT = {"issued_at", "source_version", "utc_offset_minutes"}


@st.composite
def spoilt(draw: st.DrawFn, sent: FactArrived) -> bytes:
    """The bytes of an event with one thing wrong: cut off, a field gone, of another type, or one too many."""
    value = encode_event(sent)
    event: dict[str, Any] = json.loads(value)
    field = draw(st.sampled_from(sorted(event)))
    match draw(st.sampled_from(("cut", "gone", "other", "more", "utf-16"))):
        case "cut":
            return value[: draw(st.integers(1, len(value) - 1))]
        case "gone":
            del event["fact_key" if field in MAY_BE_LEFT_OUT else field]
        case "other":
            event[field] = draw(JSON.filter(lambda wrong: isinstance(wrong, float | list) or wrong == ""))
        case "more":
            event["more"] = draw(JSON)
        case _:
            return value.decode().encode("utf-16")
    return json.dumps(event).encode()


@given(POISON)
def test_bytes_of_any_kind_are_one_dead_letter(poison: bytes) -> None:
    (letter,) = fold(raw([poison]))
    assert letter.stream is OutputStream.DEAD_LETTERS


@given(JSON.map(lambda value: json.dumps(value).encode()))
def test_json_of_any_kind_is_one_dead_letter(poison: bytes) -> None:
    (letter,) = fold(raw([poison]))
    assert letter.stream is OutputStream.DEAD_LETTERS


@unhurried
@given(stories(acts_max=2).filter(bool).flatmap(lambda told: spoilt(told[0])))
def test_a_spoilt_event_is_one_dead_letter(poison: bytes) -> None:
    (letter,) = fold(raw([poison]))
    assert letter.stream is OutputStream.DEAD_LETTERS


@unhurried
@given(logs(), st.lists(POISON, min_size=1, max_size=4), st.data())
def test_what_cannot_be_read_touches_no_other_record(
    log: list[Event], poison: list[bytes], data: st.DataObject
) -> None:
    clean = raw(log)
    mixed: list[RawRecord] = list(clean)
    for number, value in enumerate(poison):
        mixed.insert(data.draw(st.integers(0, len(mixed))), RawRecord(10_000 + number, b"k", value))
    shard, undisturbed = new_shard(), new_shard()
    outputs = fold(mixed, shard)
    assert [out for out in outputs if out.position < 10_000] == list(fold(clean, undisturbed))
    assert len([out for out in outputs if out.position >= 10_000]) == len(poison)
    assert shard.patients == undisturbed.patients


@unhurried
@given(stories(acts_max=4).filter(bool), st.integers(1, 5))
def test_an_event_under_another_key_or_in_another_shard_is_misrouted(
    told: list[FactArrived], shards: int
) -> None:
    (record,) = raw(told[:1])
    owner = shard_of(told[0].patient_id, shards)
    for shard, key in ((owner, b"patient-2"), (owner, None), ((owner + 1) % shards, record.key)):
        if (shard, key) == (owner, record.key):
            continue
        lost = new_shard(shard=shard, shard_count=shards)
        (letter,) = fold([record._replace(key=key)], lost)
        assert json.loads(letter.value)["code"] == "misrouted"
        assert lost.patients == 0


# One patient's failure ------------------------------------------------------------------------------------------

BROKEN = PatientId("patient-1")


def _of(outputs: tuple[OutRecord, ...], patient: str) -> list[dict[str, Any]]:
    values = [json.loads(out.value) for out in outputs]
    return [value for value in values if value["patient_id"] == patient]


def _fails_for_one_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_steps, "advance", failing_for(BROKEN, engine_advance))


@unhurried
@given(stories(BROKEN).filter(bool), stories("patient-2"))
def test_where_the_engine_fails_each_record_is_a_dead_letter_and_the_patient_is_told_of_once(
    broken: list[FactArrived], well: list[FactArrived]
) -> None:
    both = sorted([*broken, *well], key=lambda sent: sent.received_at)
    log = raw(both)
    alone = fold(raw(well))
    with pytest.MonkeyPatch.context() as monkeypatch:
        _fails_for_one_patient(monkeypatch)
        outputs = fold(log)
        assert fold(log) == outputs
    told = _of(outputs, BROKEN)
    letters = [value for value in told if "code" in value]
    assert [letter["code"] for letter in letters] == ["engine_failed"] * len(broken)
    (system,) = [value for value in told if "kind" in value]
    assert (system["kind"], system["tier"], system["flags"]) == (
        "system",
        "warning",
        ["assessment_incomplete"],
    )
    assert _of(outputs, "patient-2") == _of(alone, "patient-2")


@unhurried
@given(stories(BROKEN), stories("patient-2"), st.integers(400, 6000))
def test_over_the_byte_cap_nothing_more_is_kept_and_other_patients_go_on(
    full: list[FactArrived], well: list[FactArrived], cap: int
) -> None:
    limits = Limits(state_bytes_max=cap + Limits().state_bytes_reserved)
    shard = new_shard(limits=limits)
    for record in raw(full):
        held_before = len(shard.state_of(BROKEN).facts)
        outputs = fold([record], shard)
        assert len(encode_state(shard.state_of(BROKEN))) <= limits.state_bytes_max
        letters = of_stream(outputs, OutputStream.DEAD_LETTERS)
        assert all(letter["code"] == "patient_state_full" for letter in letters)
        if letters:
            assert len(shard.state_of(BROKEN).facts) == held_before
            assert [alert["kind"] for alert in alerts(outputs)] in ([], ["system"])
    fold([RawRecord(0, *clock_record(at(400)))], shard)
    assert len(encode_state(shard.state_of(BROKEN))) <= limits.state_bytes_max
    alone = new_shard(limits=limits)
    fold([RawRecord(0, *clock_record(at(400)))], alone)
    assert fold(raw(well), shard) == fold(raw(well), alone)


@unhurried
@given(stories(BROKEN), st.integers(400, 6000), st.integers(200, 6000), st.integers(200, 6000))
def test_a_fold_that_encodes_no_states_finds_the_same_patients_full_and_ends_with_the_same_states(
    told: list[FactArrived], cap: int, told_cap: int, record_cap: int
) -> None:
    reserved = Limits().state_bytes_reserved
    limits = Limits(
        state_bytes_max=cap + reserved,
        told_bytes_max=told_cap + reserved,
        state_record_bytes_max=record_cap + reserved,
        segment_bytes_max=800,
    )
    live = new_shard(limits=limits)
    bare = ShardFold(shard=0, shard_count=1, rulebook=RULEBOOK, limits=limits, encode_states=False)
    for record in raw(told):
        assert fold([record], live) == fold([record], bare)
    assert list(live.final_states()) == list(bare.final_states())
    written = {event.version.key: 0 for event in told}
    for event in told:
        written[event.version.key] += len(encode_event(event))
    for key, fact in bare.state_of(BROKEN).facts.items():
        assert fact_bytes(key, fact, WrittenFacts()) <= 2 * written[key]


@unhurried
@given(stories(BROKEN, acts_max=9), st.integers(400, 6000))
def test_one_system_alert_tells_that_a_patient_is_full_and_every_later_output_says_so(
    told: list[FactArrived], cap: int
) -> None:
    shard: ShardFold = new_shard(limits=Limits(state_bytes_max=cap, state_bytes_reserved=0))
    outputs = fold(raw(told), shard)
    kinds = [alert["kind"] for alert in alerts(outputs)]
    assert kinds.count("system") == bool(of_stream(outputs, OutputStream.DEAD_LETTERS))
    if "system" in kinds:
        later = alerts(outputs)[kinds.index("system") :]
        assert all("assessment_incomplete" in alert["flags"] for alert in later)
