import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pv_stream import __version__, errors
from pv_stream.cli import main as entry
from tests.unit.cli.calling import pv_stream

HEAVY = ("aiokafka", "faust", "kafka", "pydantic", "rich", "yaml")


def test_help_lists_every_command_without_importing_any() -> None:
    program = (
        "import sys; sys.argv = ['pv-stream', '--help']\n"
        "from pv_stream.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print(sorted(name for name in sys.modules if name.partition('.')[0] in {HEAVY!r}))\n"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout  # noqa: S603

    assert said.splitlines()[-1] == "[]"
    for name in entry.COMMANDS:
        assert f"\n  {name} " in said


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_every_command_answers_help(name: str) -> None:
    result = CliRunner().invoke(entry.app, [name, "--help"])

    assert result.exit_code == 0, result.output
    assert "--help" in result.output


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_a_command_is_a_function_or_a_group(name: str) -> None:
    module = import_module(entry.COMMANDS[name].module)

    assert callable(getattr(module, "command", None)) or isinstance(module.app, typer.Typer)


@pytest.mark.parametrize("name", ["ingest", "replay", "explain", "scenario"])
def test_a_file_that_may_not_be_read_is_left_to_the_command_which_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log").touch(mode=0)
    monkeypatch.setattr("os.access", lambda *_, **__: False)  # as for anybody but root
    words = {"explain": ["al_0", "--log"]}.get(name, [])
    after = {"replay": ["--out", str(tmp_path / "out")]}.get(name, [])

    assert CliRunner().invoke(entry.app, [name, *words, str(tmp_path / "log"), *after]).exit_code != 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.PvStreamError, 1),
        (errors.UsageError, 2),
        (errors.ConnectionFailed, 3),
        (errors.DataError, 4),
        (errors.RulebookError, 4),
        (errors.EnvironmentBroken, 5),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    error: type[errors.PvStreamError],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        message = "what, where, what to do"
        raise error(message)

    monkeypatch.setattr(entry, "app", fail)

    with pytest.raises(SystemExit) as exit_:
        entry.main()

    assert exit_.value.code == code
    assert capsys.readouterr().err == "pv-stream: what, where, what to do\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(28, "No space left on device", "out/x"), 4, "pv-stream: out/x: No space left on device\n"),
        (OSError(30, "Read-only file system"), 4, "pv-stream: output: Read-only file system\n"),
        (BrokenPipeError(32, "Broken pipe"), 1, ""),
        (SystemExit(130), 130, entry.STOPPED_LINE),
        (SystemExit(1), 1, ""),
    ],
    ids=str,
)
def test_what_the_machine_says_is_one_line_too(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(entry, "app", fail)
    monkeypatch.setattr(entry, "_drop_output", lambda: None)

    with pytest.raises(SystemExit) as exit_:
        entry.main()

    assert exit_.value.code == code
    assert capsys.readouterr().err == said


def test_a_full_disk_behind_stdout_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        said = subprocess.run(
            [sys.executable, "-m", "pv_stream.cli", "rules", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert (said.returncode, said.stderr) == (4, b"pv-stream: output: No space left on device\n")


def _is_asleep(pid: int) -> bool:
    """Tell whether a process waits, here for input: a signal just before it does would be seen only after input."""
    states = []
    for _ in range(5):
        states.append(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0])
        time.sleep(0.02)
    return states == ["S"] * 5


@pytest.fixture
def heeded_interrupts() -> Iterator[None]:
    """Let a child process heed SIGINT, also where this one was begun in the background and ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded_interrupts")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_in_the_middle_leaves_nothing_begun(tmp_path: Path, number: int) -> None:
    log, partial = tmp_path / "log", tmp_path / ".out.jsonl.partial"
    os.mkfifo(log)
    with (
        subprocess.Popen(  # noqa: S603 - our own command
            [
                sys.executable,
                "-m",
                "pv_stream.cli",
                "ingest",
                str(log),
                "--to",
                "out.jsonl",
                "--format",
                "hl7v2",
            ],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        ) as process,
        # To be read and written, so that nobody waits for the other end; while it is open the file has none.
        log.open("r+b", buffering=0),
    ):
        while not (partial.exists() and _is_asleep(process.pid)):
            assert process.poll() is None, "it ended before it was stopped"
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (128 + number, entry.STOPPED_LINE)
    assert not partial.exists()


def test_a_stop_while_a_command_is_imported_is_one_line_whatever_a_library_makes_of_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "slow.py").write_text(
        "import os, signal\n"
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\n"
        "except BaseException as stopped:\n    raise ValueError('a model is wrong') from stopped\n"
    )
    program = (
        "import sys; sys.argv = ['pv-stream', 'demo']\n"
        "from pv_stream.cli import main\n"
        "main.COMMANDS['demo'] = main.Command('slow', '')\n"
        "main.main()\n"
    )
    path = os.pathsep.join((str(tmp_path), str(Path(__file__).parents[3])))
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + signal.SIGTERM, "", entry.STOPPED_LINE)


def test_a_command_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        message = f"No module named {name!r}"
        raise ModuleNotFoundError(message, name="faust.app")

    monkeypatch.setattr(entry, "import_module", missing)

    with pytest.raises(errors.UsageError, match=r"pip install 'pv-stream\[kafka\]'"):
        entry.app(["run"], standalone_mode=False)
    with pytest.raises(ModuleNotFoundError):
        entry.app(["demo"], standalone_mode=False)


@pytest.mark.parametrize(
    "words", [["nonsense"], ["replay"], ["replay", "x"], ["explain", "--log"], ["--nonsense"]]
)
def test_wrong_words_are_a_usage_error(words: list[str]) -> None:
    assert CliRunner().invoke(entry.app, words).exit_code == 2


def test_the_version_is_told() -> None:
    said = pv_stream("--version")

    assert (said.returncode, said.stdout) == (0, f"pv-stream {__version__}\n")
