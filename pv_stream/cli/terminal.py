"""What all commands share at a terminal: consoles, progress, and how tiers are written.

Results go to stdout, what is said about them to stderr. Colour only repeats what words say already.
"""

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final

from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from pv_stream.errors import UsageError

#: How wide text gets at most: longer lines are hard to read.
WIDTH_MAX: Final = 120

TIER_STYLE: Final = {"critical": "bold red", "warning": "bold yellow", "info": "cyan"}


def stdout() -> Console:
    """Return the console for results."""
    return _console(Console(highlight=False))


def stderr() -> Console:
    """Return the console for what is said about the results."""
    return _console(Console(stderr=True, highlight=False))


def _console(console: Console) -> Console:
    console.width = min(console.width, WIDTH_MAX)
    return console


@contextmanager
def progress(title: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show a bar while a file is read, on a terminal only; yield what takes the bytes done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr(), transient=True) as bars:
        task = bars.add_task(title, total=total_bytes)
        yield lambda done: bars.update(task, completed=done)


@contextmanager
def event_progress(title: str, total_bytes: int) -> Iterator[Callable[[int, int], None]]:
    """Show a bar, events a second and the time left, on a terminal only; yield what takes bytes and events done."""
    if not sys.stderr.isatty():
        yield lambda _bytes, _events: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[events]:,} events, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    began = monotonic()
    with Progress(*columns, console=stderr(), transient=True) as bars:
        task = bars.add_task(title, total=total_bytes, events=0, rate=0.0)

        def tell(bytes_done: int, events: int) -> None:
            rate = events / max(monotonic() - began, 0.001)
            bars.update(task, completed=bytes_done, events=events, rate=rate)

        yield tell


@contextmanager
def position_progress(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each topic that is read, on a terminal only; yield what takes topic, positions done and all."""
    if not sys.stderr.isatty():
        yield lambda _topic, _done, _all: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr(), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(topic: str, done: int, total: int) -> None:
            if topic not in tasks:
                tasks[topic] = bars.add_task(f"{title} {topic}")
            bars.update(tasks[topic], completed=done, total=max(total, 1))

        yield tell


@contextmanager
def steps(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many steps of how many are done, on a terminal only; yield what takes both numbers."""
    if not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr(), transient=True) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, all_: bars.update(task, completed=done, total=all_)


def size_bytes(path: Path) -> int:
    """Return the size of a file, or of the files of a folder, 0 when it cannot be told."""
    try:
        if path.is_dir():
            return sum(file.stat().st_size for file in path.rglob("*.gz"))
        return path.stat().st_size
    except OSError:
        return 0


def bullets(lines: Iterable[str], indent: int = 2) -> Padding:
    """Return lines as a list whose continuation lines are indented too."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    for line in lines:
        grid.add_row("-", line)
    return Padding(grid, (0, 0, 0, indent))


#: So much of an id names it in a command: among a million ids, one in four thousand shares them.
_ID_DIGITS: Final = 8


def short_id(identifier: str) -> str:
    """Return the beginning of an id, long enough to name it in a command."""
    prefix, _, digest = identifier.partition("_")
    return f"{prefix}_{digest[:_ID_DIGITS]}"


def require_id_to_write(wanted: str) -> None:
    """Raise UsageError for a beginning of an id by which a slip could write about another one."""
    digits = wanted.rpartition("_")[2]
    if len(digits) < _ID_DIGITS:
        msg = f"{wanted!r} is too short an id to write by: give at least {_ID_DIGITS} of its digits"
        raise UsageError(msg)


def plural(count: int, word: str) -> str:
    """Write a count with its word."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def moment(instant: str) -> str:
    """Write an instant of an output for a person: date, time and zone."""
    return f"{instant[:10]} {instant[11:16]} UTC"


def tier_text(tier: Any) -> str:
    """Write a tier with its colour, and in capitals for where there is no colour."""
    style = TIER_STYLE.get(tier, "")
    return f"[{style}]{str(tier).upper()}[/]" if style else str(tier).upper()


def noted_text(noted: Mapping[str, Any]) -> str:
    """Write who took note of an alert, and why it was overridden if it was."""
    reason = noted["override_reason"]
    what = "acknowledged" if reason is None else f"overridden ({reason.replace('_', ' ')})"
    return f"{what} by {noted['by']} at {noted['tier']}, {moment(noted['at'])}"


def kind_text(kind: str) -> str:
    """Write the kind of an alert for a person."""
    return kind.replace("_", " ").replace("dress", "DRESS")


def program() -> str:
    """Return how this program was called, so that a command that we print works when it is copied."""
    called = Path(sys.argv[0])
    if called.name != "pv-stream":
        return "python -m pv_stream.cli"
    found = shutil.which(called.name)
    return (
        called.name if found is not None and called.exists() and Path(found).samefile(called) else str(called)
    )
