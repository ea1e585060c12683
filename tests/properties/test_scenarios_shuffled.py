"""Law 1 on every scenario: whatever the order, the repetitions and the runs, the records end in the same case.

A thousand shufflings in all; `make shufflings` does a thousand of every case. In half of them the messages are also
stamped anew, later and in their new order, as by a feed that was down; and at some cuts another owner restores the
shard from its state records. Which records keep their place, and why, tells tests/shuffling/orders.py.
"""

from typing import Final

import pytest

from pv_stream.audit.scenario import Case, Scenario
from tests.builders import RULEBOOK
from tests.scenarios.every_case import CASES, name_of
from tests.shuffling.endings import Teller
from tests.shuffling.orders import story_of
from tests.shuffling.rounds import command_for, drawn_for

SHUFFLINGS: Final = 1_000


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
    teller = Teller(story_of(scenario, case, RULEBOOK))
    name = name_of(scenario, case)
    for number in range(shufflings):
        again = command_for(seed, name, number, whole=True)
        assert not teller.differences(drawn_for(seed, name, number), is_whole=True), again
