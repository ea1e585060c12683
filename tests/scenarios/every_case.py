"""Every scenario file, those that ship with the package among them, and each of its cases as a test parameter."""

from pathlib import Path
from typing import Final

import pytest

from pv_stream.audit.demo import published_scenarios
from pv_stream.audit.scenario import Scenario
from pv_stream.audit.scenario_file import find_scenarios, read_scenario

SCENARIOS: Final[list[Scenario]] = [
    *published_scenarios(),
    *map(read_scenario, find_scenarios([Path(__file__).parent])),
]
CASES: Final = [
    pytest.param(scenario, case, id=f"{scenario.path.stem}: {case.name}")
    for scenario in SCENARIOS
    for case in scenario.cases
]
