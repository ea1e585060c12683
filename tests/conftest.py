"""What every test may use: one printed seed, hypothesis profiles, and the folder of clinical sample messages.

A test that asks for the fixture `sample_data` is not run where PV_STREAM_SAMPLE_DATA is unset, and the summary names
it: nothing is skipped silently. Where the variable is set, the folder must exist.
"""

import os
import random
import secrets
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from coverage import Coverage
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

SAMPLE_DATA = "PV_STREAM_SAMPLE_DATA"
#: Tests that start or ask a broker, as the beginning of their path.
_NEEDS_A_BROKER = ("tests/integration/", "tests/chaos/test_chaos")
#: What takes long in few tests, the longest first, as the beginning of a group's name.
_LONG = ("kafka", "tests/properties/", "tests/simulation/")
#: Tests of the core's own modules: what they do not run is not covered, whatever else runs it.
_MEASURED = (
    *(f"tests/unit/{part}/" for part in ("codec", "domain", "engine", "rules", "shard")),
    "tests/unit/test_",
)
_NO_SAMPLES = f"{SAMPLE_DATA} is not set"

# A slow machine is not a finding, neither in a test nor while its examples are drawn. Every run draws anew, and prints
# how to repeat what it found.
hypothesis.settings.register_profile(
    "ci",
    deadline=None,
    print_blob=True,
    derandomize=False,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("dev", parent=hypothesis.settings.get_profile("ci"), max_examples=25)
hypothesis.settings.register_profile(
    "thorough", parent=hypothesis.settings.get_profile("ci"), max_examples=2_000
)
hypothesis.settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed", type=int, default=None, help="seed of every random test (default: drawn and printed)"
    )


@pytest.hookimpl(tryfirst=True)  # before hypothesis reads its own option
def pytest_configure(config: pytest.Config) -> None:
    # Hypothesis prints how to repeat a failure, and tries what it found first the next time; a forced seed takes
    # its memory away. So it is forced where that memory is lost anyway, or when someone asks for it.
    forced = config.option.seed is not None or "CI" in os.environ
    if config.option.seed is None:
        config.option.seed = secrets.randbits(32)
    if forced and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(config.option.seed)
    named = os.environ.get(SAMPLE_DATA)
    if named and not Path(named).is_dir():
        message = f"{SAMPLE_DATA} names no folder: {named}"
        raise pytest.UsageError(message)


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed of random tests: {config.option.seed} (repeat with --seed={config.option.seed})"


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    for item in items:
        if "sample_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.sample_data)
        if item.get_closest_marker("sample_data") and not os.environ.get(SAMPLE_DATA):
            item.add_marker(pytest.mark.skip(reason=_NO_SAMPLES))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure coverage in the core's own tests only: measured, the engine takes three times as long.

    A test there that runs it many thousand times has the marker `no_cover`, which pytest-cov heeds itself.
    """
    measuring = Coverage.current()
    if measuring is None or item.nodeid.startswith(_MEASURED) or item.get_closest_marker("no_cover"):
        return (yield)
    measuring.stop()
    try:
        return (yield)
    finally:
        measuring.start()


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no types
    """Give a file to one process, so that its module makes what it shares once; all that needs a broker to one of them.

    xdist's own groups do nothing with this pytest: it gives them a name that pytest 9 does not read. And it begins with
    what has most tests; here what is long comes first, so that no process has it before it when the others are done.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "kafka" if file.startswith(_NEEDS_A_BROKER) else file

    def _assign_work_unit(self, node: WorkerController) -> None:
        long = (group for start in _LONG for group in self.workqueue if group.startswith(start))
        if first := next(long, None):
            self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)  # there is no such hook without xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", ())
    not_run = [report.nodeid for report in skipped if _NO_SAMPLES in str(report.longrepr)]
    if not_run:
        terminalreporter.section(f"{len(not_run)} tests not run: {SAMPLE_DATA} is not set", yellow=True)
        for name in sorted(not_run):
            terminalreporter.line(name)


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The folder of clinical messages that PV_STREAM_SAMPLE_DATA names."""
    return Path(os.environ[SAMPLE_DATA]).resolve()


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of this run, for a test that derives more than one generator from it."""
    value: int = request.config.option.seed
    return value


@pytest.fixture
def rng(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """A generator of this test's own: the same for the same seed, whichever tests run before."""
    return random.Random(f"{seed}:{request.node.nodeid}")
