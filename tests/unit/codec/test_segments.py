"""Segments: what is cut is put together again, the cut follows from the state alone, and what lies back stays."""

import random
from dataclasses import replace

import pytest

from pv_stream.codec.segments import (
    StateRecords,
    join_records,
    read_head,
    read_key,
    segment_key,
    state_records,
)
from pv_stream.codec.state import decode_state, encode_state
from pv_stream.domain.codes import Analyte
from pv_stream.domain.events import FactArrived
from pv_stream.domain.published import PatientState
from pv_stream.domain.times import parse_instant
from tests.builders import at, corrected, facts_of, measured
from tests.merging import merge, of, settled

MAX = 2_000


def state_of(*events: FactArrived) -> PatientState:
    return PatientState(facts=facts_of(events))


def values(*days: int, of_day: int = 4) -> list[FactArrived]:
    return [measured(Analyte.AST, 20, at(day, 8, minute)) for day in days for minute in range(of_day)]


def cut(state: PatientState) -> StateRecords:
    return state_records(state, segment_bytes_max=MAX)


def joined(records: StateRecords) -> PatientState:
    head = read_head(records.head)
    assert head is not None
    assert head.segments == records.digests
    return join_records(head, records.segments.values())


LONG = state_of(*values(*range(0, 90, 3)))


def test_what_is_small_is_one_record_as_ever() -> None:
    state = state_of(*values(0))
    assert cut(state) == StateRecords(encode_state(state), {}, {})
    assert read_head(encode_state(state)) is None


def test_no_segment_is_larger_than_the_cap_and_together_they_are_the_state() -> None:
    records = cut(LONG)
    assert len(records.segments) > 5
    assert max(map(len, records.segments.values())) < MAX + 50, "its frame is not counted"
    assert joined(records) == LONG
    assert encode_state(joined(records)) == encode_state(LONG)


def test_the_cut_follows_from_the_state_alone() -> None:
    mixed = list(LONG.facts.items())
    random.Random(7).shuffle(mixed)
    for state in (replace(LONG, facts=dict(mixed)), decode_state(encode_state(LONG))):
        assert cut(state) == cut(LONG)


def test_a_value_of_today_changes_no_record_of_earlier_days() -> None:
    before, after = cut(LONG), cut(state_of(*values(*range(0, 90, 3)), measured(Analyte.ALT, 20, at(90))))
    assert before.segments == {name: after.segments[name] for name in before.segments}
    assert after.segments.keys() - before.segments.keys() == {"2026-04-01+64"}
    assert before.head != after.head


def test_a_correction_of_long_ago_changes_only_the_record_of_its_day() -> None:
    first = values(*range(0, 90, 3))
    content = measured(Analyte.AST, 25, at(0)).version.statement.content
    before, after = cut(LONG), cut(state_of(*first, corrected(first[0], content)))
    changed = {name for name, digest in after.digests.items() if before.digests.get(name) != digest}
    assert changed == {next(iter(before.segments))}


def test_segments_are_named_after_their_first_day_and_how_many_they_span() -> None:
    assert list(cut(state_of(*values(0, 1, 2, 400))).segments) == [
        "2025-12-26+8",
        "2026-01-03+8",
        "2026-01-27+1024",
    ]
    assert next(iter(cut(state_of(*values(0, of_day=40))).segments)) == "2026-01-01.00"


def test_a_day_that_is_too_large_is_halved_by_the_digests_of_its_keys() -> None:
    state = state_of(*values(0, of_day=40))
    records = cut(state)
    assert all(name.startswith("2026-01-01.") for name in records.segments)
    bits = [name.partition(".")[2] for name in records.segments]
    assert len(bits) > 5
    assert not any(a != b and b.startswith(a) for a in bits for b in bits)
    assert joined(records) == state


def test_a_fact_that_is_larger_alone_has_a_segment_of_its_own() -> None:
    events = [
        measured(Analyte.AST, 20, at(0), key="k" * (MAX + 1)),
        measured(Analyte.AST, 20, at(0, 9)),
        measured(Analyte.AST, 20, at(5)),
    ]
    records = cut(state_of(*events))
    assert [len(record) > MAX for record in records.segments.values()].count(True) == 1
    assert joined(records) == state_of(*events)


@pytest.mark.parametrize(
    ("written", "name"),
    [("0001-01-01T00:00:00Z", "1899-11-29+1024"), ("9999-12-31T00:00:00Z", "2155-01-15+1024")],
)
def test_dates_that_no_patient_lived_at_stand_with_the_first_or_the_last_day(written: str, name: str) -> None:
    far = state_of(*(measured(Analyte.AST, 20, parse_instant(written), key=f"{n}") for n in range(5)))
    records = state_records(far, segment_bytes_max=1_100)
    assert list(records.segments) == [name]
    assert joined(records) == far


def test_who_contributed_to_a_fact_stands_beside_it() -> None:
    topic = settled(
        *of("a", *values(*range(20))), *of("b", *values(*range(10, 30))), *merge("a", "b", at(40))
    )
    for patient in ("a", "b"):
        state = topic.state_of(patient)
        records = state_records(state, segment_bytes_max=MAX)
        if records.segments:
            assert joined(records) == state
    survivor = state_records(topic.state_of("b"), segment_bytes_max=MAX)
    assert b'"parts":[]' in survivor.head
    assert len(survivor.head) < MAX


def test_a_key_says_whose_record_it_is() -> None:
    assert read_key(segment_key("patient-1", "2026-01-01+2").decode()) == ("patient-1", "2026-01-01+2")
    assert read_key(segment_key("patient-1", "").decode()) == ("patient-1", "")
