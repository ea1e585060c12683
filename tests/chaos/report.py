"""What chaos runs came to, for a person and for a program: faults by kind, recovery, findings, and the bound.

After N faults without a finding, the chance that a fault does harm is below 3/N with 95 % confidence (the rule of
three). It is a statement about faults of these kinds on this machine, and about nothing else.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.chaos.run import Outcome, Survived

_RULE_OF_THREE: Final = 3


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that so large a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 100) * len(ordered) // 100) - 1)]


def as_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return everything in plain JSON types."""
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts.update(outcome.counts)
    sound = all(outcome.is_sound for outcome in outcomes)
    return {
        "seeds": [outcome.plan.seed for outcome in outcomes],
        "runs": len(outcomes),
        "faults": len(faults),
        "is_sound": sound,
        "harm_per_fault_below": _RULE_OF_THREE / len(faults) if sound and faults else None,
        "recovery_seconds": _recovery(faults),
        "kinds": {kind: _recovery(of_kind) for kind, of_kind in _by_kind(faults).items()},
        "counts": dict(counts),
        "worker_exits": dict(sum((Counter(outcome.exits) for outcome in outcomes), Counter())),
        "full_disk": sorted({outcome.disk for outcome in outcomes}),
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 1),
        "findings": [
            {"seed": outcome.plan.seed, "check": finding.check, "detail": finding.detail}
            for outcome in outcomes
            for finding in outcome.findings
        ],
    }


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """Print a table of the faults, what was checked, and every finding."""
    told = as_json(outcomes)
    table = Table(title=f"{told['faults']} faults, seeds {', '.join(map(str, told['seeds']))}")
    table.add_column("fault")
    for title in ("times", "recovery p50 s", "max s"):
        table.add_column(title, justify="right")
    for kind, row in sorted(told["kinds"].items()):
        table.add_row(kind, str(row["times"]), _seconds(row["p50"]), _seconds(row["max"]))
    every = told["recovery_seconds"]
    table.add_row("all", str(every["times"]), _seconds(every["p50"]), _seconds(every["max"]), style="bold")
    console.print(table)
    console.print("checked: " + ", ".join(f"{count:,} {name}" for name, count in told["counts"].items()))
    exits = ", ".join(f"{code}: {count}" for code, count in sorted(told["worker_exits"].items()))
    console.print(f"worker exits by code: {exits or 'none'}; full disk: {'; '.join(told['full_disk'])}")
    for finding in told["findings"]:
        console.print(f"[red]FOUND[/] seed {finding['seed']}: {finding['check']}: {finding['detail']}")
    if told["harm_per_fault_below"] is not None:
        console.print(
            f"lost 0, duplicated 0; at 95 % confidence a fault does harm in fewer than "
            f"{told['harm_per_fault_below']:.1%} of cases (3/N)"
        )


def _by_kind(faults: Sequence[Survived]) -> Mapping[str, list[Survived]]:
    kinds: dict[str, list[Survived]] = {}
    for fault in faults:
        kinds.setdefault(fault.kind.value, []).append(fault)
    return kinds


def _recovery(faults: Sequence[Survived]) -> dict[str, Any]:
    recovered = [fault.recovery_seconds for fault in faults if fault.recovery_seconds is not None]
    return {
        "times": len(faults),
        "recovered": len(recovered),
        "p50": round(percentile(recovered, 0.5), 2) if recovered else None,
        "max": round(max(recovered), 2) if recovered else None,
    }


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}"
