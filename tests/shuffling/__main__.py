"""`make shufflings`: EACH random shufflings, duplications and splits of every case of every scenario.

Each must end in the same final case. What may move, and what keeps its place and why, tells tests/shuffling/orders.py;
what is compared, tests/shuffling/endings.py. What each part found goes to out/shufflings.jsonl at once: an interrupted
run goes on with RESUME=1.

Exit code 0: all end in the same case. 1: one does not. 2: there is nothing to shuffle, or nothing to go on with.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rich.table import Table

from pv_stream.cli import terminal
from pv_stream.errors import DataError
from tests.shuffling.rounds import Found, Log, Origin, Part, case_names, command_for, parts, shuffle_all

ROOT: Final = Path(__file__).parents[2]
LOG: Final = ROOT / "out" / "shufflings.jsonl"
#: So many differences are told in full; all of them stand in the log.
_SHOWN_MAX: Final = 20


def main() -> int:
    """Run what the arguments ask for and return the exit code."""
    chosen = _arguments()
    signal.signal(signal.SIGTERM, _stop)
    names, origin = case_names(chosen.only), Origin(chosen.seed, _commit(), chosen.whole)
    say = terminal.stderr().print
    if not names:
        say(f"error: no case has {chosen.only!r} in its name", markup=False)
        return 2
    try:
        with Log(LOG, origin, resume=chosen.resume) as log:
            wanted = set(names)
            had = [found for found in log.found if found.case in wanted]
            left = list(parts(names, chosen.first, chosen.each, had))
            is_finished = _run(left, log, origin, chosen)
            found = [each for each in log.found if each.case in wanted]
    except DataError as error:
        say(f"error: {error}", markup=False, soft_wrap=True)
        return 2
    if chosen.json:
        print(json.dumps(as_json(found, names, origin), indent=2))  # noqa: T201 - what was asked for
    else:
        show(found, names, origin)
    if not is_finished:
        say("stopped before the end: go on with RESUME=1")
    return 1 if any(each.differing for each in found) else 0


def _run(left: Sequence[Part], log: Log, origin: Origin, chosen: argparse.Namespace) -> bool:
    """Do what is left, until it is done, the time is over or somebody stops it; tell whether it is done."""
    ends = time.monotonic() + 60 * chosen.minutes
    in_time = takewhile(lambda _: time.monotonic() < ends, left)
    done, total = 0, sum(part.count for part in left)
    try:
        with terminal.steps("shufflings") as tell:
            for found in shuffle_all(in_time, origin, chosen.jobs):
                log.add(found)
                done += found.count
                tell(done, total)
    except KeyboardInterrupt:
        return False
    return done == total


def as_json(found: Sequence[Found], names: Sequence[str], origin: Origin) -> dict[str, Any]:
    """Return what a run found, for programs."""
    each = dict.fromkeys(names, 0)
    for part in found:
        each[part.case] += part.count
    return {
        "scenarios": len({name.partition(":")[0] for name in names}),
        "cases": len(names),
        "shufflings_of_each_case": min(each.values()),
        "shufflings": sum(each.values()),
        "assessed_after_every_record": sum(part.whole for part in found),
        "differing": sum(len(part.differing) for part in found),
        "seed": origin.seed,
        "commit": origin.commit,
        "cpu_seconds": round(sum(part.cpu_seconds for part in found)),
        "differences": [
            {"case": part.case, "number": int(number), "differences": lines}
            for part in found
            for number, lines in part.differing.items()
        ],
    }


def show(found: Sequence[Found], names: Sequence[str], origin: Origin) -> None:
    """Print what differs, as one person says it to another, and the table."""
    told = as_json(found, names, origin)
    console = terminal.stdout()
    for difference in told["differences"][:_SHOWN_MAX]:
        case, number = difference["case"], difference["number"]
        again = command_for(origin.seed, case, number, whole=origin.whole)
        for line in (
            f"{case}: shuffling {number} ends in another case",
            *(f"  {each}" for each in difference["differences"]),
            f"  again: {again}\n",
        ):
            console.print(line, markup=False, soft_wrap=True)
    if len(told["differences"]) > _SHOWN_MAX:
        console.print(f"... and {len(told['differences']) - _SHOWN_MAX:,} more in {LOG.relative_to(ROOT)}\n")
    table = Table.grid(padding=(0, 2))
    for name, value in (
        ("scenarios", f"{told['scenarios']:,}"),
        ("their cases", f"{told['cases']:,}"),
        ("shufflings of each case", f"{told['shufflings_of_each_case']:,}"),
        ("shufflings", f"{told['shufflings']:,}"),
        ("assessed after every record", f"{told['assessed_after_every_record']:,}, the others at their end"),
        ("differing", f"{told['differing']:,}"),
        ("seed", str(origin.seed)),
        ("commit", origin.commit),
        ("CPU time", f"{told['cpu_seconds'] // 60:,} min {told['cpu_seconds'] % 60} s"),
    ):
        table.add_row(name, value)
    console.print(table)


def _commit() -> str:
    """Return the commit of the files here, and whether they were changed since."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    try:
        said = [
            subprocess.run(  # noqa: S603 - fixed words, no shell
                [git, *words], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        ]
    except subprocess.CalledProcessError:
        return "unknown"
    return said[0].strip() + (" and changes" if said[1] else "")


def _stop(signum: int, frame: FrameType | None) -> None:
    del signum, frame
    raise KeyboardInterrupt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.shuffling", description=__doc__.split("\n\n")[0])
    parser.add_argument("--each", type=int, default=1_000, help="shufflings of each case (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first of them")
    parser.add_argument("--seed", type=int, required=True, help="what they are drawn from")
    parser.add_argument("--only", default="", help="only the cases with this text in their name")
    parser.add_argument("--whole", action="store_true", help="assess after every record in all of them")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing after this time")
    parser.add_argument("--resume", action="store_true", help="go on with the last run")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
