"""The entry point: which commands there are, and the one place where an error becomes a line and an exit code.

A command is a module with a function `command`, or with a typer app named `app` for a group. It is imported when it
is called and not before, so that `--help` answers in 150 ms and the demo needs no Kafka client.
"""

import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from types import FrameType
from typing import Any, Final

import typer
from typer.core import TyperGroup

from pv_stream import __version__
from pv_stream.cli.garbage import collect_seldom
from pv_stream.errors import DataError, PvStreamError, UsageError


@dataclass(frozen=True, slots=True)
class Command:
    """Name the module of a command, what `--help` says of it, and the extra that it needs."""

    module: str
    summary: str
    extra: str | None = None


COMMANDS: Final = {
    "demo": Command(
        "pv_stream.cli.demo",
        "Show published cases and a synthetic ward through the engine, without a broker.",
    ),
    "ingest": Command(
        "pv_stream.cli.ingest", "Turn HL7v2, FHIR R4, E2B, openFDA or canonical files into canonical events."
    ),
    "replay": Command(
        "pv_stream.cli.replay", "Run a log of events through the engine into a folder of alerts."
    ),
    "verify": Command(
        "pv_stream.cli.verify", "Compare what was recorded live with a replay, and explain differences."
    ),
    "audit": Command(
        "pv_stream.cli.audit",
        "Check that no output was changed after it was written; sign and prove.",
        "audit",
    ),
    "explain": Command("pv_stream.cli.explain", "Explain one alert, criterion by criterion, from the log."),
    "report": Command(
        "pv_stream.cli.report",
        "Write what was known, said and corrected: of a patient, an alert or a period.",
    ),
    "diff": Command(
        "pv_stream.cli.diff", "Compare two rulebooks on one log: alerts gained and lost, and why."
    ),
    "cohort": Command(
        "pv_stream.cli.cohort", "Tabulate what became of each occurrence, beside the figures of a paper."
    ),
    "evaluate": Command(
        "pv_stream.cli.evaluate", "Measure what the alerts find and cost, beside simple rules."
    ),
    "signals": Command(
        "pv_stream.cli.signals", "Compare how often each drug is reported with DRESS: PRR, ROR and IC."
    ),
    "act": Command(
        "pv_stream.cli.act", "Acknowledge, override, refute or confirm one alert: writes it to the log."
    ),
    "holds": Command("pv_stream.cli.holds", "Confirm or discard values that were read but are not believed."),
    "dlq": Command("pv_stream.cli.dlq", "List what was refused, show one, and read it again after a fix."),
    "scenario": Command(
        "pv_stream.cli.scenario", "Check YAML cases: given these events, expect these alerts."
    ),
    "schemas": Command("pv_stream.cli.schemas", "Write the JSON Schemas of events and outputs."),
    "docs": Command("pv_stream.cli.docs", "Write the documents that are generated from the rules."),
    "rules": Command("pv_stream.cli.rules", "Show the rulebook: drugs, numbers and their sources."),
    "kafka": Command("pv_stream.cli.kafka", "Start and stop a local Kafka broker for development.", "kafka"),
    "topics": Command("pv_stream.cli.topics", "Plan and create the topics.", "kafka"),
    "run": Command("pv_stream.cli.run", "Run a live worker.", "kafka"),
    "doctor": Command(
        "pv_stream.cli.doctor", "Say what is wrong with cluster, log or workers, and what to do.", "kafka"
    ),
    "worklist": Command("pv_stream.cli.worklist", "Print the alerts that stand in the live topic.", "kafka"),
    "ingest-mllp": Command(
        "pv_stream.cli.ingest_mllp",
        "Take HL7v2 messages in over MLLP; acknowledge after they are written.",
        "kafka",
    ),
    "ingest-http": Command(
        "pv_stream.cli.ingest_http",
        "Take messages in over HTTP; answer after they are written.",
        "http,kafka",
    ),
    "archive": Command(
        "pv_stream.cli.archive", "Copy topics to a folder that replay and verify read.", "kafka"
    ),
}

#: Modules that come with the extras `audit`, `kafka` and `http`.
EXTRA_MODULES: Final = frozenset(
    {"aiokafka", "cryptography", "faust", "h11", "kafka", "mode", "prometheus_client", "starlette", "uvicorn"}
)

EPILOG: Final = (
    "Try `pv-stream demo` first. Exit: 0 ok, 1 finding, 2 usage, 3 connection, 4 data, 5 broken environment."
)


#: A process that a signal ended gives 128 and the signal's number; Ctrl-C comes so from typer.
_SIGNALLED: Final = 128
_STOPPED: Final = frozenset({_SIGNALLED + signal.SIGINT, _SIGNALLED + signal.SIGTERM})
STOPPED_LINE: Final = "pv-stream: stopped before the end; nothing that is half done is kept\n"


class LazyCommands(TyperGroup):
    """Know the commands by name; import the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order in which a newcomer meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command by name; None when there is none of that name."""
        del ctx
        command = COMMANDS.get(cmd_name)
        return None if command is None else _load(cmd_name, command)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])


def _load(name: str, command: Command) -> Any:
    try:
        module = import_module(command.module)
    except ModuleNotFoundError as error:
        if command.extra is not None and (error.name or "").partition(".")[0] in EXTRA_MODULES:
            msg = f"`{name}` needs the extra {command.extra!r}: pip install 'pv-stream[{command.extra}]'"
            raise UsageError(msg) from None
        raise
    group: typer.Typer | None = getattr(module, "app", None)
    if group is None:
        group = typer.Typer(add_completion=False, rich_markup_mode=None)
        group.command(name=name, help=module.command.__doc__)(module.command)
    loaded = typer.main.get_command(group)
    loaded.name = name
    return loaded


app = typer.Typer(
    cls=LazyCommands,
    name="pv-stream",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would cost 100 ms of every --help
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"pv-stream {__version__}")
        raise typer.Exit


@app.callback()
def pv_stream(
    version: bool = typer.Option(  # noqa: FBT001 - a flag of the command line
        False,  # noqa: FBT003
        "--version",
        help="Print the version and exit.",
        callback=_print_version,
        is_eager=True,
    ),
) -> None:
    """Flag suspected DRESS in a stream of clinical messages, explain it, and replay it byte for byte.

    Decision support for a medication-safety team. Not validated for clinical use.
    """
    del version


def main() -> None:
    """Run the command line; an error that a person can mend becomes one line on stderr and its exit code."""
    # A stop unwinds like an error, so that a command removes what it has begun. A live worker sets its own handler.
    signal.signal(signal.SIGTERM, _stop)
    collect_seldom()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # a full disk shows here at the latest
    except PvStreamError as error:
        sys.stderr.write(f"pv-stream: {error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        _drop_output()
        sys.exit(1)
    except OSError as error:
        _drop_output()
        what = "output" if error.filename is None else error.filename
        sys.stderr.write(f"pv-stream: {what}: {error.strerror or type(error).__name__}\n")
        sys.exit(DataError.exit_code)
    except SystemExit as end:
        if end.code in _STOPPED:
            sys.stderr.write(STOPPED_LINE)
        raise


def _stop(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code is _load.__code__:
            # Nothing is begun, and some libraries take what is raised while they are imported for an error of theirs.
            sys.stderr.write(STOPPED_LINE)
            sys.stderr.flush()
            os._exit(_SIGNALLED + number)
        frame = frame.f_back
    sys.exit(_SIGNALLED + number)


def _drop_output() -> None:
    """Let nobody try again to write what could not be written, as Python does when it ends."""
    with suppress(OSError, ValueError):  # ValueError: a stdout without a descriptor, as in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
