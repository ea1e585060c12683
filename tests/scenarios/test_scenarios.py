"""Every scenario that a pharmacist reviewed, against the shipped rulebook; the founding case ships with the package."""

from pathlib import Path

import pytest

from pv_stream.audit.demo import founding_case
from pv_stream.audit.scenario import Case, Scenario
from pv_stream.audit.scenario_check import check_case, say_differences
from pv_stream.audit.scenario_file import find_scenarios, read_scenario
from pv_stream.rulebooks import load_default

HERE = Path(__file__).parent
RULEBOOK = load_default()
SCENARIOS = [founding_case()[0], *map(read_scenario, find_scenarios([HERE]))]
CASES = [
    pytest.param(scenario, case, id=f"{scenario.path.stem}: {case.name}")
    for scenario in SCENARIOS
    for case in scenario.cases
]


@pytest.mark.parametrize(("scenario", "case"), CASES)
def test_a_scenario_gives_the_expected_alerts_and_nothing_else(scenario: Scenario, case: Case) -> None:
    verdict = check_case(scenario, case, RULEBOOK)

    assert verdict.passed, "\n".join([scenario.rule, *say_differences(verdict)])


def test_every_scenario_names_its_source_and_its_rule() -> None:
    assert all(len(scenario.source) > 10 and len(scenario.rule) > 30 for scenario in SCENARIOS)


def test_no_two_scenarios_have_the_same_title() -> None:
    titles = [scenario.title for scenario in SCENARIOS]

    assert len(titles) == len(set(titles))
