"""What was measured, as tables for a person or as JSON for a program."""

import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from benchmarks.live.latency import Waited
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


def ratios(ran: Sequence[Ran], measure: Callable[[Ran], float]) -> dict[tuple[str, str], list[float]]:
    """Return for each job and subject its measure over that of the raw loop in the same round."""
    base = {(each.job, each.repeat): measure(each) for each in ran if each.subject == BASE}
    found: dict[tuple[str, str], list[float]] = {}
    for each in ran:
        if (each.job, each.repeat) in base:
            ratio = measure(each) / base[each.job, each.repeat]
            found.setdefault((each.job, each.subject), []).append(ratio)
    return found


def as_json(
    options: Mapping[str, Any], ran: Sequence[Ran], waited: Sequence[Waited], findings: Sequence[str]
) -> dict[str, Any]:
    """Return everything, with the ratios."""
    return {
        "machine": machine(),
        "options": dict(options),
        "runs": [
            {
                **asdict(each),
                "events_per_second": round(each.per_second),
                "events_per_second_second_half": round(each.per_second_warm),
                "cpu_us_per_event": round(each.cpu_us_per_event, 2),
            }
            for each in ran
        ],
        "latencies": [asdict(each) for each in waited],
        "ratios_to_raw": _named(ratios(ran, lambda each: each.per_second)),
        "ratios_to_raw_second_half": _named(ratios(ran, lambda each: each.per_second_warm)),
        "findings": list(findings),
    }


def _named(found: Mapping[tuple[str, str], Sequence[float]]) -> dict[str, list[float]]:
    return {f"{job} {subject}": [round(ratio, 3) for ratio in of] for (job, subject), of in found.items()}


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return "-"
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def as_text(options: Mapping[str, Any], ran: Sequence[Ran], waited: Sequence[Waited]) -> str:
    """Return the tables: medians, and the range of the rounds in brackets."""
    lines = [", ".join(f"{name} {value}" for name, value in machine().items())]
    asked = ("patients", "partitions", "repeats", "commit_seconds")
    lines.append(", ".join(f"{name} {options[name]}" for name in asked))
    for job in dict.fromkeys(each.job for each in ran):
        lines += ["", *_job_table(job, [each for each in ran if each.job == job], waited)]
    return "\n".join(lines)


def _job_table(job: str, ran: Sequence[Ran], waited: Sequence[Waited]) -> list[str]:
    cold, warm = ratios(ran, lambda each: each.per_second), ratios(ran, lambda each: each.per_second_warm)
    cpu = ratios(ran, lambda each: each.cpu_us_per_event)
    titles = ("events/s", ": raw", "second half : raw", "CPU : raw", "MiB", "p50 ms", "p99 ms")
    lines = [
        f"{job} job, {ran[0].events:,} events",
        f"{'subject':14}" + "".join(f"{title:>26}" for title in titles),
    ]
    for subject in dict.fromkeys(each.subject for each in ran):
        mine = [each for each in ran if each.subject == subject]
        waits = [each for each in waited if (each.subject, each.job) == (subject, job)]
        cells = (
            _spread([each.per_second for each in mine], 0),
            _spread(cold.get((job, subject), []), 2),
            _spread(warm.get((job, subject), []), 2),
            _spread(cpu.get((job, subject), []), 2),
            _spread([each.memory_mib_max for each in mine], 0),
            _spread([each.p50_ms for each in waits], 0),
            _spread([each.p99_ms for each in waits], 0),
        )
        lines.append(f"{subject:14}" + "".join(f"{cell:>26}" for cell in cells))
    return lines
