"""Every scenario file, those that ship with the package among them, and each of its cases."""

from pathlib import Path
from typing import Final

from pv_stream.audit.demo import published_scenarios
from pv_stream.audit.scenario import Case, Scenario
from pv_stream.audit.scenario_file import find_scenarios, read_scenario

SCENARIOS: Final[list[Scenario]] = [
    *published_scenarios(),
    *map(read_scenario, find_scenarios([Path(__file__).parent])),
]
CASES: Final[list[tuple[Scenario, Case]]] = [
    (scenario, case) for scenario in SCENARIOS for case in scenario.cases
]


def name_of(scenario: Scenario, case: Case) -> str:
    """Name a case by its file and its title."""
    return f"{scenario.path.stem}: {case.name}"
