"""Laws 2 and 5: a log of some hundred patients gives the same bytes whatever process, zone or language folds it."""

import decimal
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pv_stream.domain.events import ClockTicked, Event, FactArrived
from pv_stream.domain.times import MICROSECONDS_PER_DAY, Instant
from pv_stream.shard.fold import RawRecord
from tests.properties.folding import digest_of, read, write
from tests.shards import fold, raw
from tests.stories import SeededNarrator, tell_story

ROOT = Path(__file__).parents[2]
PATIENTS = 200
CLOCK_EVERY_DAYS = 3
#: Fixed, so that the log is the same on every machine and in every run.
LOG_SEED = 20260302


def _log() -> list[RawRecord]:
    facts: list[FactArrived] = []
    for number in range(PATIENTS):
        facts += tell_story(SeededNarrator(f"{LOG_SEED}/{number}"), f"patient-{number}", acts_max=5)
    facts.sort(key=lambda sent: sent.received_at)
    log: list[Event | bytes] = []
    tick = facts[0].received_at
    for sent in facts:
        while tick < sent.received_at:
            log.append(ClockTicked(tick))
            tick = Instant(tick + CLOCK_EVERY_DAYS * MICROSECONDS_PER_DAY)
        log.append(sent)
    return raw([*log, b"not an event", ClockTicked(Instant(tick + 400 * MICROSECONDS_PER_DAY))])


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.tsv"
    write(path, _log())
    return path


@pytest.fixture(scope="module")
def expected(log_file: Path) -> str:
    return digest_of(read(log_file))


def test_the_seeded_log_has_something_of_everything(log_file: Path) -> None:
    seen = Counter(out.stream.value for out in fold(read(log_file)))
    assert seen["alerts"] > PATIENTS
    assert seen["cases"] > PATIENTS
    assert seen["recurrences"] > 10
    assert seen["dead_letters"] == 1


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        pytest.param({"PYTHONHASHSEED": "0", "TZ": "UTC"}, [], id="hash seed 0, UTC"),
        pytest.param({"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"}, [], id="hash seed 1, Tokyo"),
        pytest.param(
            {"PYTHONHASHSEED": "42", "TZ": "America/Los_Angeles"}, [], id="hash seed 42, Los Angeles"
        ),
        pytest.param(
            {"PYTHONHASHSEED": "7", "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}, [], id="German"
        ),
        pytest.param(
            {"PYTHONHASHSEED": "8", "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}, [], id="Turkish"
        ),
        pytest.param(
            {"PYTHONHASHSEED": "9", "LC_ALL": "C", "PYTHONUTF8": "0"}, [], id="C locale without UTF-8"
        ),
        pytest.param({"PYTHONHASHSEED": "10"}, ["-O"], id="without assertions"),
    ],
)
def test_another_process_gives_the_same_bytes(
    log_file: Path, expected: str, environment: dict[str, str], options: list[str]
) -> None:
    command = [sys.executable, *options, "-m", "tests.properties.folding", str(log_file)]
    folded = subprocess.run(  # noqa: S603 - our own module
        command, cwd=ROOT, env={**os.environ, **environment}, check=True, capture_output=True, text=True
    )
    assert folded.stdout == expected


@pytest.mark.parametrize("rounding", [decimal.ROUND_UP, decimal.ROUND_DOWN])
def test_the_decimal_context_of_the_thread_plays_no_part(
    log_file: Path, expected: str, rounding: str
) -> None:
    with decimal.localcontext(prec=3, rounding=rounding):
        assert digest_of(read(log_file)) == expected
