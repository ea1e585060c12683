"""`make chaos` and `make chaos-mutants`: runs of faults on a real broker, and what came of them.

Exit code 0: nothing found (mutants: each caught, each sound twin passed). 1: something was found (mutants: one was not
caught or not run, or a twin did not pass).
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from tests.chaos.mutants import MUTANTS
from tests.chaos.report import as_json, show
from tests.chaos.run import Plan, run
from tests.chaos.trials import Origin, show_trials, trials_as_json, try_mutants


def main() -> int:
    """Run what the arguments ask for and return the exit code."""
    chosen = _arguments()
    # Whoever ends this leaves no broker, worker or mount behind.
    signal.signal(signal.SIGTERM, _stop)
    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    directory = Path(tempfile.mkdtemp(prefix="pv-stream-chaos-"))
    is_sound = False
    try:
        is_sound = _mutants(chosen, directory, say) if chosen.mutants else _runs(chosen, directory, say)
    finally:
        if is_sound:
            shutil.rmtree(directory)
        else:
            say(f"logs of the workers, the archive and its replay: {directory}")
    return 0 if is_sound else 1


def _runs(chosen: argparse.Namespace, directory: Path, say: Any) -> bool:
    outcomes = []
    for number in range(chosen.runs):
        plan = Plan(
            seed=chosen.seed + number,
            faults=chosen.faults,
            events=chosen.events,
            seconds_max=chosen.seconds,
        )
        say(f"seed {plan.seed}: {plan.faults} faults while {plan.events:,} events are written")
        (directory / str(plan.seed)).mkdir()
        outcomes.append(run(plan, directory / str(plan.seed), say))
    if chosen.json:
        print(json.dumps(as_json(outcomes), indent=2))  # noqa: T201 - what was asked for
    else:
        show(outcomes, Console())
    return all(outcome.is_sound for outcome in outcomes)


def _mutants(chosen: argparse.Namespace, directory: Path, say: Any) -> bool:
    origin = Origin.of_now(seed=chosen.seed, events=chosen.events)
    trials = try_mutants(
        tuple(chosen.only or MUTANTS),
        seed=chosen.seed,
        events=chosen.events,
        seconds_max=chosen.minutes * 60,
        directory=directory,
        say=say,
    )
    if chosen.json:
        print(json.dumps(trials_as_json(trials, origin), indent=2))  # noqa: T201 - as above
    else:
        show_trials(trials, origin, Console())
    return all(trial.is_proof for trial in trials)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides the log, the faults and their order [1]")
    parser.add_argument("--faults", type=int, default=30, help="faults in each run [30]")
    parser.add_argument("--events", type=int, default=30_000, help="events in each run, about [30000]")
    parser.add_argument("--runs", type=int, default=1, help="runs, with the seeds that follow [1]")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="begin no fault of a run after so long [no limit]"
    )
    parser.add_argument("--mutants", action="store_true", help="put the mutants to their faults instead")
    parser.add_argument(
        "--only", action="append", choices=sorted(MUTANTS), help="this mutant (may be repeated)"
    )
    parser.add_argument(
        "--minutes", type=float, default=22.0, help="begin no run of a mutant after so long [22]"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON on stdout")
    return parser.parse_args()


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)


if __name__ == "__main__":
    sys.exit(main())
