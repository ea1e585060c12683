"""Join: versions that tie."""

import itertools
from dataclasses import replace
from decimal import Decimal

import pytest

from pv_stream.domain.codes import Analyte, FindingCode, HoldCode, Presence, Status
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Content, Finding, Held, Measurement, Retracted
from pv_stream.domain.ids import FactKey
from tests.builders import at, event, facts_of, reviewed, sha256

KEY = FactKey("a")
COUNT = Measurement(Analyte.EOSINOPHILS, Decimal(1690))
UNTIMED = Held(HoldCode.MISSING_TIME, sha256("x"), Analyte.EOSINOPHILS)


@pytest.mark.parametrize(("first_on", "second_on"), [(1, 2), (2, 1)])
def test_versions_that_tie_stand_in_the_order_of_what_they_say_not_of_when_they_came(
    first_on: int, second_on: int
) -> None:
    sent = [
        event(Measurement(Analyte.EOSINOPHILS, Decimal(value)), at(0), received_at=at(day))
        for value, day in (("700", first_on), ("900", second_on))
    ]
    for order in itertools.permutations(sent):
        (fact,) = facts_of(order).values()
        said = [statement for statement, _ in fact.statements]
        assert said == sorted(said, key=repr)
        assert len(said) == len(sent)


@pytest.mark.parametrize("content", [Retracted(), UNTIMED])
def test_what_has_no_time_of_its_own_and_is_heard_twice_stands_once_at_its_first_arrival(
    content: Content,
) -> None:
    heard = [event(content, at(day), key=KEY, received_at=at(day)) for day in (1, 2)]
    for order in itertools.permutations(heard):
        (fact,) = facts_of(order).values()
        ((statement, provenance),) = fact.statements
        assert (statement.effective.earliest, provenance.received_at) == (at(1), at(1))


def test_of_two_times_that_one_message_gives_to_what_has_none_the_same_stands_in_any_order() -> None:
    heard = [event(Retracted(), at(day), key=KEY, received_at=at(3)) for day in (1, 2)]
    same = replace(heard[1].version, provenance=heard[0].version.provenance)
    heard[1] = replace(heard[1], version=same)
    assert facts_of(heard) == facts_of(reversed(heard))


def test_what_is_held_at_two_times_of_its_own_or_holds_two_values_stands_twice() -> None:
    without_unit = Held(HoldCode.MISSING_UNIT, sha256("x"), Analyte.EOSINOPHILS)
    other = Held(HoldCode.MISSING_TIME, sha256("y"), Analyte.EOSINOPHILS)
    for first, second in ((without_unit, without_unit), (UNTIMED, other)):
        sent = [event(first, at(1), key=KEY), event(second, at(2), key=KEY)]
        assert facts_of(sent)[KEY].is_conflicting


def _correction(content: Content, issued_at: int) -> FactArrived:
    return event(content, at(0), key=KEY, status=Status.CORRECTED, issued_at=issued_at)


def test_a_second_correction_replaces_what_a_person_decided_about_the_first() -> None:
    first, second = _correction(Held(HoldCode.MISSING_UNIT, sha256("x")), 1), _correction(COUNT, 2)
    decided = reviewed(first, Finding(FindingCode.RASH, Presence.PRESENT), received_at=at(9))
    for order in itertools.permutations((first, decided, second)):
        assert [statement.content for statement, _ in facts_of(order)[KEY].statements] == [COUNT]


def test_a_decision_about_a_correction_stands_when_the_same_or_an_earlier_one_is_sent_again() -> None:
    held = Held(HoldCode.MISSING_UNIT, sha256("x"))
    earlier, first = _correction(held, 0), _correction(held, 1)
    decided = reviewed(first, COUNT, received_at=at(9))
    for order in itertools.permutations((earlier, first, first, decided)):
        assert [statement.content for statement, _ in facts_of(order)[KEY].statements] == [COUNT]
