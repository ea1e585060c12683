"""Judging: three-valued statements at their boundaries, and how they are put together."""

from decimal import Decimal

import pytest

from pv_stream.domain.codes import Analyte, Comparator
from pv_stream.domain.criteria import Truth
from pv_stream.domain.facts import Measurement
from pv_stream.domain.ids import FactKey
from pv_stream.rules.judging import (
    NOT_KNOWN,
    Judged,
    above,
    all_of,
    any_of,
    any_value_of,
    at_least,
    met,
    unmet,
    whichever,
)
from pv_stream.rules.timeline import reading_of

A, B = FactKey("a"), FactKey("b")
BOUND = Decimal(100)
MET, UNMET, UNKNOWN = Truth.MET, Truth.UNMET, Truth.UNKNOWN


@pytest.mark.parametrize(
    ("value", "comparator", "is_above", "is_at_least"),
    [
        ("99.9", None, UNMET, UNMET),
        ("100", None, UNMET, MET),
        ("100.1", None, MET, MET),
        ("100", Comparator.LESS, UNMET, UNMET),
        ("100", Comparator.LESS_OR_EQUAL, UNMET, UNKNOWN),
        ("101", Comparator.LESS, UNKNOWN, UNKNOWN),
        ("99", Comparator.LESS_OR_EQUAL, UNMET, UNMET),
        ("100", Comparator.GREATER, MET, MET),
        ("100", Comparator.GREATER_OR_EQUAL, UNKNOWN, MET),
        ("101", Comparator.GREATER_OR_EQUAL, MET, MET),
        ("99", Comparator.GREATER, UNKNOWN, UNKNOWN),
    ],
)
def test_a_value_is_judged_by_what_it_may_be(
    value: str, comparator: Comparator | None, is_above: Truth, is_at_least: Truth
) -> None:
    reading = reading_of(Measurement(Analyte.ALT, Decimal(value), comparator))
    assert (above(reading, BOUND), at_least(reading, BOUND)) == (is_above, is_at_least)


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ((unmet(A), met(B)), met(B)),
        ((met(A), met(B)), met(A)),
        ((NOT_KNOWN, met(B)), met(B)),
        ((unmet(A), NOT_KNOWN), NOT_KNOWN),
        ((unmet(A), unmet(B), unmet(A)), unmet(A, B)),
    ],
)
def test_one_that_is_met_suffices_and_all_must_be_unmet(
    statements: tuple[Judged, ...], expected: Judged
) -> None:
    assert any_of(*statements) == expected


def test_of_many_values_the_first_stands_for_all_that_are_unmet() -> None:
    assert any_value_of([unmet(A), unmet(B)]) == unmet(A)
    assert any_value_of([unmet(A), met(B)]) == met(B)
    assert any_value_of([unmet(A), NOT_KNOWN]) == NOT_KNOWN
    assert any_value_of([NOT_KNOWN, unmet(A)]) == NOT_KNOWN
    assert any_value_of([]) == NOT_KNOWN


@pytest.mark.parametrize(
    ("truths", "whole"),
    [
        ((MET, MET), MET),
        ((MET, UNKNOWN), UNKNOWN),
        ((UNKNOWN, UNMET), UNMET),
        ((MET, UNMET), UNMET),
    ],
)
def test_a_whole_needs_every_part(truths: tuple[Truth, ...], whole: Truth) -> None:
    assert all_of(truths) is whole


def test_candidates_that_differ_settle_nothing() -> None:
    assert whichever([met(A), met(B)]) == met(A, B)
    assert whichever([met(A), unmet(B)]) == NOT_KNOWN
    assert whichever([]) == NOT_KNOWN
