"""The systemd unit agrees with the worker's exit codes and time limits."""

import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from pv_stream.errors import ConnectionFailed, EnvironmentBroken, UsageError
from pv_stream.settings import Settings
from pv_stream.stream.worker import EXIT_CODE_BUG, EXIT_CODE_OUTDATED

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "deploy" / "systemd" / "pv-stream@.service"


@pytest.fixture(scope="module")
def service() -> dict[str, str]:
    parser = ConfigParser(strict=False, interpolation=None)
    vars(parser)["optionxform"] = str
    parser.read(UNIT)
    return dict(parser["Service"])


def test_it_starts_again_after_failures_that_a_start_may_mend_and_no_others(service: dict[str, str]) -> None:
    assert service["Restart"] == "on-failure"
    never = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert never == {0, UsageError.exit_code, EXIT_CODE_OUTDATED}
    assert not never & {ConnectionFailed.exit_code, EnvironmentBroken.exit_code, EXIT_CODE_BUG}


def test_it_waits_longer_for_a_stop_than_the_worker_takes_at_most(service: dict[str, str]) -> None:
    assert service["KillSignal"] == "SIGTERM"
    assert int(service["TimeoutStopSec"]) > Settings().shutdown_timeout_seconds


def test_every_setting_that_it_names_is_one() -> None:
    named = set(re.findall(r"PV_STREAM_([A-Z_]+)", UNIT.read_text()))
    known = {name.upper() for name in Settings.model_fields}
    assert {name.removesuffix("_FILE") for name in named} <= known


def test_systemd_itself_finds_nothing_wrong_with_it() -> None:
    """Only where systemd is: elsewhere the tests above must do."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not on this machine")
    done = subprocess.run([program, "verify", str(UNIT)], capture_output=True, text=True, check=False)  # noqa: S603
    said = [
        line for line in done.stderr.splitlines() if UNIT.name in line and "is not executable" not in line
    ]
    assert said == []
