"""Put each mutant to the faults that it cannot stand, and see that the checkers find it; and its sound twin, too.

A schedule that a sound worker does not survive would prove nothing about the mutant, so both are run, with the same
seed and faults. Mutants of the same faults have one twin. After a limit of time no further run begins: what was not run
is said, and is no proof.
"""

import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.chaos.checkers import PROVES_NOTHING
from tests.chaos.evidence import ROOT
from tests.chaos.faults import FaultKind
from tests.chaos.mutants import MUTANTS
from tests.chaos.run import Outcome, Plan, run

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Origin:
    """Say what the trials are of: the day (UTC), the commit, and what repeats them."""

    date: str
    commit: str
    seed: int
    events: int

    @classmethod
    def of_now(cls, *, seed: int, events: int) -> "Origin":
        """Return today and the commit of this tree, with a plus when it has changes that are not committed."""
        said = [_git("rev-parse", "--short", "HEAD"), "+" if _git("status", "--porcelain", "-uno") else ""]
        return cls(datetime.now(UTC).date().isoformat(), "".join(said), seed, events)


def _git(*words: str) -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    done = subprocess.run([git, *words], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    return done.stdout.strip() or ("unknown" if done.returncode else "")


@dataclass(frozen=True, slots=True)
class Trial:
    """Hold what a mutant must fail at, and what came of it and of its twin; None: not run."""

    mutant: str
    kinds: tuple[FaultKind, ...]
    outcome: Outcome | None
    twin: Outcome | None

    @property
    def caught_by(self) -> tuple[str, ...]:
        """Return the checks that found the mutant; that a log held too little is no such check."""
        found = () if self.outcome is None else self.outcome.findings
        return tuple(dict.fromkeys(each.check for each in found if each.check != PROVES_NOTHING))

    @property
    def twin_came_to(self) -> str:
        """Say what became of the sound twin."""
        if self.twin is None:
            return "NOT RUN"
        return "passed" if self.twin.is_sound else "FAILED"

    @property
    def is_proof(self) -> bool:
        """Tell whether the mutant was caught and its sound twin was not."""
        return bool(self.caught_by) and self.twin is not None and self.twin.is_sound


#: The faults under which a mutant shows. Those that need none show in the bytes of a run without any.
TARGETED: Final[dict[str, tuple[FaultKind, ...]]] = {
    "commit before produce": (FaultKind.KILL_BETWEEN,) * 3,
    "restore to the last stable offset": (FaultKind.LOST_OFFSETS,),
    "gap ignored": (FaultKind.LOST_FETCH,) * 2,
    "fence off": (FaultKind.STOP_AFTER_BEGIN,) * 2,
    "wall clock in an id": (),
    "read_uncommitted input": (),
    "state written before commit": (FaultKind.KILL_BETWEEN,) * 3,
}


def try_mutants(
    names: tuple[str, ...], *, seed: int, events: int, seconds_max: float, directory: Path, say: Say
) -> list[Trial]:
    """Run each mutant under its faults and a sound worker under the same; begin no run after `seconds_max`."""
    began = time.monotonic()

    def outcome_of(kinds: tuple[FaultKind, ...], mutant: str | None) -> Outcome | None:
        what = f"{mutant or 'sound twin'} under {len(kinds)} faults"
        if time.monotonic() - began > seconds_max:
            say(f"{what}: not run, {seconds_max / 60:.0f} minutes are over")
            return None
        say(what)
        plan = Plan(seed=seed, faults=len(kinds), events=events, kinds=kinds, mutant=mutant)
        made = (
            directory / f"{len(list(directory.iterdir())):02d}-{(mutant or 'sound twin').replace(' ', '-')}"
        )
        made.mkdir()
        outcome = run(plan, made, say)
        say(f"{what}: {len(outcome.findings)} findings, {outcome.seconds:.0f} s")
        return outcome

    trials = []
    twins: dict[tuple[FaultKind, ...], Outcome | None] = {}
    for name in names:
        kinds = TARGETED[name]
        if kinds not in twins:
            twins[kinds] = outcome_of(kinds, None)
        trials.append(Trial(name, kinds, outcome_of(kinds, name), twins[kinds]))
    return trials


def trials_as_json(trials: list[Trial], origin: Origin) -> dict[str, Any]:
    """Return the trials in plain JSON types."""
    return {
        **asdict(origin),
        "trials": [
            {
                "mutant": trial.mutant,
                "does": MUTANTS[trial.mutant].does,
                "faults": [kind.value for kind in trial.kinds],
                "caught_by": list(trial.caught_by),
                "findings": [] if trial.outcome is None else [each.detail for each in trial.outcome.findings],
                "twin": trial.twin_came_to,
                "twin_findings": [] if trial.twin is None else [each.detail for each in trial.twin.findings],
                "seconds": [
                    None if each is None else round(each.seconds) for each in (trial.outcome, trial.twin)
                ],
                "is_proof": trial.is_proof,
            }
            for trial in trials
        ],
    }


def show_trials(trials: list[Trial], origin: Origin, console: Console) -> None:
    """Print what caught each mutant, and what its sound twin came to under the same faults."""
    caught = sum(trial.is_proof for trial in trials)
    table = Table(
        title=f"{caught} of {len(trials)} mutants caught beside a sound twin that passed",
        caption=f"{origin.date}, commit {origin.commit}, seed {origin.seed}, {origin.events:,} events",
    )
    for title in ("mutant", "what it does", "under", "caught by", "sound twin", "seconds"):
        table.add_column(title)
    for trial in trials:
        how = "; ".join(f"{count} x {kind}" for kind, count in Counter(trial.kinds).items()) or "no fault"
        took = " + ".join(
            "-" if each is None else f"{each.seconds:.0f}" for each in (trial.outcome, trial.twin)
        )
        by = "NOT RUN" if trial.outcome is None else ", ".join(trial.caught_by) or "NOTHING"
        table.add_row(trial.mutant, MUTANTS[trial.mutant].does, how, by, trial.twin_came_to, took)
    console.print(table)
    for trial in trials:
        for finding in () if trial.twin is None else trial.twin.findings:
            console.print(
                f"[red]FOUND[/] in the sound twin of {trial.mutant}: {finding.check}: {finding.detail}"
            )
