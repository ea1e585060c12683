"""Join: versions that tie."""

import itertools
from decimal import Decimal

import pytest

from pv_stream.domain.codes import Analyte
from pv_stream.domain.facts import Measurement
from tests.builders import at, event, facts_of


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
