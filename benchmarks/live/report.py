"""What was measured, as tables for a person or as JSON for a program."""

import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from benchmarks.live.records import Round
from benchmarks.live.throughput import Ran

BASE = "raw"


def machine() -> dict[str, object]:
    """Return what the figures depend on most."""
    packages = ("aiokafka", "confluent-kafka", "faust-streaming", "msgspec", "pydantic")
    return {
        "cores": os.cpu_count(),
        "load_average_now": round(os.getloadavg()[0], 1),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def ratios(rounds: Sequence[Round], measure: Callable[[Ran], float]) -> dict[str, list[float]]:
    """Return for each subject its measure over that of the raw loop in the same round."""
    found: dict[str, list[float]] = {}
    for each in rounds:
        base = [measure(ran) for ran in each.ran if ran.subject == BASE]
        for ran in each.ran if base else ():
            found.setdefault(ran.subject, []).append(measure(ran) / base[0])
    return found


def as_json(rounds: Sequence[Round], findings: Sequence[str]) -> dict[str, Any]:
    """Return everything, with the ratios."""
    parts = {}
    for name in dict.fromkeys(each.part for each in rounds):
        mine = [each for each in rounds if each.part == name]
        parts[name] = {
            "rounds": [asdict(each) for each in mine],
            "ratios_to_raw": _rounded(ratios(mine, lambda ran: ran.per_second)),
            "ratios_to_raw_second_half": _rounded(ratios(mine, lambda ran: ran.per_second_warm)),
        }
    return {"machine": machine(), "parts": parts, "findings": list(findings)}


def _rounded(found: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {subject: [round(ratio, 3) for ratio in of] for subject, of in found.items()}


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return "-"
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def as_text(rounds: Sequence[Round]) -> str:
    """Return the tables: medians, and the range of the rounds in brackets."""
    lines = []
    for name in dict.fromkeys(each.part for each in rounds):
        mine = [each for each in rounds if each.part == name]
        last = mine[-1]
        asked = ", ".join(f"{word} {value}" for word, value in last.asked.items() if word != "subjects")
        lines += [
            f"{name}: {asked}; {len(mine)} rounds until {last.when}",
            ", ".join(f"{word} {value}" for word, value in last.machine.items()),
            *(_latencies(mine) if any(each.waited for each in mine) else _speeds(mine)),
            "",
        ]
    return "\n".join(lines)


def _table(titles: Sequence[str], rows: Mapping[str, Sequence[str]]) -> list[str]:
    lines = [f"{'subject':14}" + "".join(f"{title:>26}" for title in titles)]
    lines += [f"{subject:14}" + "".join(f"{cell:>26}" for cell in cells) for subject, cells in rows.items()]
    return lines


def _speeds(rounds: Sequence[Round]) -> list[str]:
    cold, warm = ratios(rounds, lambda ran: ran.per_second), ratios(rounds, lambda ran: ran.per_second_warm)
    cpu = ratios(rounds, lambda ran: ran.cpu_us_per_event)
    rows = {}
    for subject in dict.fromkeys(ran.subject for each in rounds for ran in each.ran):
        mine = [ran for each in rounds for ran in each.ran if ran.subject == subject]
        rows[subject] = (
            _spread([ran.per_second for ran in mine], 0),
            _spread(cold.get(subject, []), 2),
            _spread(warm.get(subject, []), 2),
            _spread(cpu.get(subject, []), 2),
            _spread([ran.memory_mib_max for ran in mine], 0),
            _spread([ran.commit_ms for ran in mine if ran.commit_ms is not None], 0),
        )
    return _table(("events/s", ": raw", "second half : raw", "CPU : raw", "MiB", "commit every, ms"), rows)


def _latencies(rounds: Sequence[Round]) -> list[str]:
    rows = {}
    for subject in dict.fromkeys(waited.subject for each in rounds for waited in each.waited):
        mine = [waited for each in rounds for waited in each.waited if waited.subject == subject]
        rows[subject] = tuple(
            _spread(values, 0)
            for values in (
                [waited.p50_ms for waited in mine],
                [waited.p99_ms for waited in mine],
                [waited.worst_ms for waited in mine],
            )
        )
    return _table(("p50, ms", "p99, ms", "worst, ms"), rows)
