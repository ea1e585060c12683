"""Every scenario that a pharmacist reviewed, against the shipped rulebook; published cases ship with the package."""

import pytest

from pv_stream.audit.scenario import Case, Scenario
from pv_stream.audit.scenario_check import check_case, say_differences
from tests.builders import RULEBOOK
from tests.ledger import Ledger
from tests.scenarios.every_case import CASES, SCENARIOS, name_of


@pytest.mark.parametrize(("scenario", "case"), [pytest.param(*pair, id=name_of(*pair)) for pair in CASES])
def test_a_scenario_gives_the_expected_alerts_and_nothing_else(scenario: Scenario, case: Case) -> None:
    verdict = check_case(scenario, case, RULEBOOK)

    assert verdict.passed, "\n".join([scenario.rule, *say_differences(verdict)])
    Ledger().enter_all(dict(came.value) for came in verdict.came)


def test_every_scenario_names_its_source_and_its_rule() -> None:
    assert all(len(scenario.source) > 10 and len(scenario.rule) > 30 for scenario in SCENARIOS)


def test_no_two_scenarios_have_the_same_title() -> None:
    titles = [scenario.title for scenario in SCENARIOS]

    assert len(titles) == len(set(titles))
