import subprocess
import sys
from importlib import import_module

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
