"""Put each mutant to the faults that it cannot stand, and see that the checkers find it; and its sound twin, too.

A schedule that a sound worker does not survive would prove nothing about the mutant, so both are run.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.chaos.faults import FaultKind
from tests.chaos.mutants import MUTANTS
from tests.chaos.run import Outcome, Plan, run

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """Hold what a mutant must fail at, and what came of it."""

    mutant: str
    outcome: Outcome
    twin: Outcome | None

    @property
    def caught_by(self) -> tuple[str, ...]:
        """Return the checks that found the mutant."""
        return tuple(dict.fromkeys(finding.check for finding in self.outcome.findings))

    @property
    def is_proof(self) -> bool:
        """Tell whether the mutant was caught and its sound twin was not."""
        return not self.outcome.is_sound and (self.twin is None or self.twin.is_sound)


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
    names: tuple[str, ...], *, seed: int, events: int, directory: Path, with_twins: bool, say: Say
) -> list[Trial]:
    """Run each mutant under its faults, and the sound worker under the same."""
    trials = []
    twins: dict[tuple[FaultKind, ...], Outcome] = {}
    for number, name in enumerate(names):
        kinds = TARGETED[name]
        plan = Plan(seed=seed, faults=len(kinds), events=events, kinds=kinds, mutant=name)
        say(f"mutant: {name}")
        outcome = run(plan, _fresh(directory, f"mutant-{number}"), say)
        if with_twins and kinds not in twins:
            say("the same with a sound worker")
            twins[kinds] = run(replace(plan, mutant=None), _fresh(directory, f"twin-{number}"), say)
        trials.append(Trial(name, outcome, twins.get(kinds)))
    return trials


def trials_as_json(trials: list[Trial]) -> list[dict[str, Any]]:
    """Return the trials in plain JSON types."""
    return [
        {
            "mutant": trial.mutant,
            "does": MUTANTS[trial.mutant].does,
            "faults": [fault.kind.value for fault in trial.outcome.faults],
            "caught_by": list(trial.caught_by),
            "findings": [finding.detail for finding in trial.outcome.findings],
            "twin_is_sound": None if trial.twin is None else trial.twin.is_sound,
            "is_proof": trial.is_proof,
        }
        for trial in trials
    ]


def show_trials(trials: list[Trial], console: Console) -> None:
    """Print what caught each mutant."""
    table = Table(title=f"{sum(trial.is_proof for trial in trials)} of {len(trials)} mutants caught")
    for title in ("mutant", "what it does", "caught by", "sound twin"):
        table.add_column(title)
    for trial in trials:
        twin = "not run" if trial.twin is None else ("passed" if trial.twin.is_sound else "FAILED")
        caught = ", ".join(trial.caught_by) or "NOTHING"
        table.add_row(trial.mutant, MUTANTS[trial.mutant].does, caught, twin)
    console.print(table)


def _fresh(directory: Path, name: str) -> Path:
    made = directory / name
    made.mkdir(parents=True)
    return made
