"""What a row of tiers asks, found by trying every situation."""

from collections.abc import Callable

import pytest

from pv_stream.audit.row_conditions import conditions_of
from pv_stream.domain.assessment import Tier
from pv_stream.rules.rulebook import Parameters
from pv_stream.rules.tiers import Row, Situation
from tests.builders import RULEBOOK


def _conditions(holds: Callable[[Situation, Parameters], bool]) -> list[tuple[tuple[str, bool | int], ...]]:
    return list(conditions_of(Row("a_row", Tier.INFO, holds), RULEBOOK.parameters))


def test_a_conjunction_is_one_condition() -> None:
    assert _conditions(lambda s, _: s.skin and s.organ) == [(("skin", True), ("organ", True))]


def test_alternatives_are_conditions_of_their_own() -> None:
    assert _conditions(lambda s, _: s.skin or s.organ) == [(("skin", True),), (("organ", True),)]


def test_what_must_not_be_is_asked_as_well() -> None:
    assert _conditions(lambda s, _: s.skin and not s.organ) == [(("skin", True), ("organ", False))]


def test_a_score_is_asked_from_its_lowest_that_suffices() -> None:
    low, high = RULEBOOK.parameters.warning_score_min.value, RULEBOOK.parameters.critical_score_min.value

    assert _conditions(lambda s, p: s.score >= p.warning_score_min.value) == [(("score", low),)]
    assert _conditions(lambda s, p: s.score >= p.critical_score_min.value) == [(("score", high),)]
    assert _conditions(lambda s, p: s.score >= p.critical_score_min.value or (s.score >= low and s.skin)) == [
        (("score", high),),
        (("score", low), ("skin", True)),
    ]


@pytest.mark.parametrize(("holds", "expected"), [(True, [()]), (False, [])])
def test_a_row_that_always_holds_asks_nothing_and_one_that_never_does_has_no_condition(
    holds: bool,  # noqa: FBT001 - a parameter of the test
    expected: list[tuple[()]],
) -> None:
    assert _conditions(lambda _s, _p: holds) == expected


def test_a_longer_condition_that_a_shorter_one_covers_is_left_out() -> None:
    assert _conditions(lambda s, _: s.skin or (s.skin and s.organ)) == [(("skin", True),)]
