"""Run a log through the engine and the simple rules at once, and measure both against the truth."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pv_stream.audit.clock import ClockMode, TimedLog
from pv_stream.audit.evaluation.hospital import Truth
from pv_stream.audit.evaluation.measures import Found, Incidence, measure
from pv_stream.audit.evaluation.rules_beside import NEEDS, TITLES, RulesBeside
from pv_stream.audit.log import LogRecord
from pv_stream.audit.patient_table import read_patient_table
from pv_stream.audit.replay import ReplayPlan, fold_log
from pv_stream.codec.events import decode_event
from pv_stream.domain.events import FactArrived
from pv_stream.domain.ids import PatientId
from pv_stream.domain.outputs import AlertKind
from pv_stream.domain.times import MICROSECONDS_PER_DAY, Instant, parse_instant
from pv_stream.shard.fold import OutputStream

_TIERS: Final = ("info", "warning", "critical")
_COLUMNS: Final = ("patient_id", "culprit", "first_sign")
_STANDING: Final = frozenset({"raised", "revised"})


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Hold what every tier and every rule beside found on one log.

    `not_in_log` are cases of which the log holds nothing: they count as missed.
    """

    patients: int
    cases: int
    not_in_log: int
    patient_days: int
    events: int
    found: tuple[Found, ...]


@dataclass(slots=True)
class _Watched:
    """Pass the records of a log on, while the simple rules and the length of each stay are looked at."""

    log: TimedLog
    on_progress: Callable[[int], None]
    beside: RulesBeside = field(default_factory=RulesBeside)
    stays: dict[PatientId, tuple[Instant, Instant]] = field(default_factory=dict)
    events: int = 0

    def __iter__(self) -> Iterator[LogRecord]:
        for line in self.log:
            event = decode_event(line.record.value)
            if isinstance(event, FactArrived):
                self.events += 1
                self.beside.take(event)
                first, last = self.stays.get(event.patient_id, (event.received_at, event.received_at))
                self.stays[event.patient_id] = min(first, event.received_at), max(last, event.received_at)
            self.on_progress(line.bytes_read)
            yield line

    def patient_days(self) -> int:
        """Return the days of all stays: from the first to the last record of each patient, begun days whole."""
        return sum((last - first) // MICROSECONDS_PER_DAY + 1 for first, last in self.stays.values())


def evaluate(
    records: Iterable[LogRecord],
    plan: ReplayPlan,
    truth: Iterable[Truth] | None,
    mode: ClockMode,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Return what was found on a log whose truth is known; a patient that the truth does not name is no case."""
    watched = _Watched(TimedLog(records, mode), on_progress)
    reached: dict[str, dict[str, tuple[PatientId, Instant]]] = {tier: {} for tier in _TIERS}
    for _, output in fold_log(watched, plan):
        if output.stream is OutputStream.ALERTS:
            _note(json.loads(output.value), reached)
    named = {one.patient_id: one for one in truth or ()}
    everybody = [named.get(patient, Truth(patient)) for patient in sorted({*watched.stays, *named})]
    days = watched.patient_days()
    ours = [
        _found(
            tier,
            f"pv_stream, {tier}{'' if tier == _TIERS[-1] else ' and above'}",
            alerts.values(),
            everybody,
            days,
        )
        for tier, alerts in reached.items()
    ]
    others = [
        _found(rule, TITLES[rule], watched.beside.fired(rule).items(), everybody, days) for rule in NEEDS
    ]
    return Evaluation(
        patients=len(everybody),
        cases=sum(one.is_case for one in everybody),
        not_in_log=sum(one.is_case and one.patient_id not in watched.stays for one in everybody),
        patient_days=days,
        events=watched.events,
        found=(*ours, *others),
    )


def _note(alert: dict[str, str], reached: dict[str, dict[str, tuple[PatientId, Instant]]]) -> None:
    if alert["kind"] != AlertKind.SUSPECTED_DRESS or alert["status"] not in _STANDING:
        return
    for tier in _TIERS[: _TIERS.index(alert["tier"]) + 1]:
        told = PatientId(alert["patient_id"]), parse_instant(alert["as_of"])
        reached[tier].setdefault(alert["alert_id"], told)


def _found(
    name: str,
    title: str,
    alerts: Iterable[tuple[PatientId, Instant]],
    everybody: Iterable[Truth],
    days: int,
) -> Found:
    alerted: dict[PatientId, list[Instant]] = {}
    count = 0
    for patient, at in alerts:
        alerted.setdefault(patient, []).append(at)
        count += 1
    return measure(name, title, alerted, everybody, alerts=Incidence(count, days))


def read_truth(path: Path) -> list[Truth]:
    """Read who is a case from a CSV file with the columns patient_id, culprit and first_sign (ISO 8601 in UTC).

    A patient counts once, by the first sign. Raises DataError naming the line that cannot be read.
    """
    return list(read_patient_table(path, _COLUMNS, _truth).values())


def _truth(row: Mapping[str, str]) -> Truth:
    try:
        first_sign = parse_instant(row["first_sign"] or "")
    except ValueError:
        msg = "first_sign looks like 2026-03-02T08:00:00Z"
        raise ValueError(msg) from None
    return Truth(PatientId(row["patient_id"]), row["culprit"] or None, first_sign)
