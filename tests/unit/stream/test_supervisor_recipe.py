"""The systemd units agree with the exit codes and time limits of workers and listeners."""

import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from pv_stream.errors import ConnectionFailed, EnvironmentBroken, UsageError
from pv_stream.settings import Settings
from pv_stream.stream.worker import EXIT_CODE_BUG, EXIT_CODE_OUTDATED
from tests.deploy.commands import unknown_options

ROOT = Path(__file__).parents[3]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
WORKER = "pv-stream@.service"

each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)


def service_of(unit: Path) -> dict[str, str]:
    parser = ConfigParser(strict=False, interpolation=None)
    vars(parser)["optionxform"] = str
    parser.read(unit)
    return dict(parser["Service"])


def test_worker_and_both_listeners_have_a_unit() -> None:
    assert {unit.name for unit in UNITS} == {
        WORKER,
        "pv-stream-ingest-mllp.service",
        "pv-stream-ingest-http.service",
    }


@each_unit
def test_it_starts_again_after_failures_that_a_start_may_mend_and_no_others(unit: Path) -> None:
    service = service_of(unit)
    assert service["Restart"] == "on-failure"
    never = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert never == {0, UsageError.exit_code} | ({EXIT_CODE_OUTDATED} if unit.name == WORKER else set())
    assert not never & {ConnectionFailed.exit_code, EnvironmentBroken.exit_code, EXIT_CODE_BUG}


@each_unit
def test_it_waits_longer_for_a_stop_than_the_process_takes_at_most(unit: Path) -> None:
    service = service_of(unit)
    assert service["KillSignal"] == "SIGTERM"
    assert int(service["TimeoutStopSec"]) > Settings().shutdown_timeout_seconds


@each_unit
def test_it_runs_a_command_that_exists_with_its_options(unit: Path) -> None:
    words = service_of(unit)["ExecStart"].replace("\\", " ").split()
    assert not unknown_options(words[1:])


@each_unit
def test_every_secret_that_it_names_is_a_credential(unit: Path) -> None:
    text = re.sub(r"^#(?=LoadCredential|Environment)", "", unit.read_text(), flags=re.MULTILINE)
    loaded = set(re.findall(r"^LoadCredential=(\w+):/etc/pv-stream/", text, re.MULTILINE))
    assert loaded == set(re.findall(r"%d/(\w+)", text))


@each_unit
def test_its_files_are_its_own(unit: Path) -> None:
    service = service_of(unit)
    assert (service["DynamicUser"], service["ProtectSystem"], service["UMask"]) == ("yes", "strict", "0077")
    assert service["WorkingDirectory"] == f"%S/{service['StateDirectory']}"
    if unit.name != WORKER:
        assert service["StateDirectoryMode"] == "0700"


def test_listeners_of_a_host_have_names_and_ports_of_their_own() -> None:
    texts = [unit.read_text() for unit in UNITS if unit.name != WORKER]
    for found in (r"--name (\S+)", r"--port (\d+)", r"LISTENER_HEALTH_PORT=(\d+)"):
        assert len({re.findall(found, text)[0] for text in texts}) == len(texts)


@each_unit
def test_every_setting_that_it_names_is_one(unit: Path) -> None:
    named = set(re.findall(r"PV_STREAM_([A-Z_]+)", unit.read_text()))
    known = {name.upper() for name in Settings.model_fields}
    assert {name.removesuffix("_FILE") for name in named} <= known


@each_unit
def test_systemd_itself_finds_nothing_wrong_with_it(unit: Path) -> None:
    """Only where systemd is: elsewhere the tests above must do."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not on this machine")
    done = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True, check=False)  # noqa: S603
    said = [
        line for line in done.stderr.splitlines() if unit.name in line and "is not executable" not in line
    ]
    assert said == []
