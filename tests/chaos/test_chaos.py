"""The short form: a few seeded faults against a real broker and real workers; `make chaos` is the long one."""

import gc
import shutil
from pathlib import Path

import pytest

from tests.chaos.checkers import NEEDED
from tests.chaos.faults import QUICK
from tests.chaos.run import Plan, run
from tests.integration.conftest import UNCLOSED_BY_KAFKA_PYTHON

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.filterwarnings(UNCLOSED_BY_KAFKA_PYTHON),
]

FAULTS = 3
EVENTS = 2_000
#: On a busy machine there are fewer faults, and not a longer test.
SECONDS_MAX = 15.0


def test_a_few_faults_lose_nothing_and_double_nothing(tmp_path: Path, seed: int) -> None:
    """Whatever is drawn from the seed: every topic and every state is as the replay of the log says."""
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"a broker to hurt needs {' and '.join(missing)}")
    said: list[str] = []
    plan = Plan(seed=seed, faults=FAULTS, events=EVENTS, kinds=QUICK, seconds_max=SECONDS_MAX)
    outcome = run(plan, tmp_path, said.append)
    gc.collect()
    assert outcome.findings == [], "\n".join(said)
    assert outcome.faults
    assert all(outcome.counts[name] > 0 for name in NEEDED)
