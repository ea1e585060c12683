"""Run a log through the engine and the simple rules at once, and measure both against the truth."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pv_stream.audit.clock import ClockMode, TimedLog
from pv_stream.audit.evaluation.hospital import Truth
from pv_stream.audit.evaluation.measures import Found, Incidence, Stood, measure
from pv_stream.audit.evaluation.rules_beside import NEEDS, TITLES, RulesBeside
from pv_stream.audit.evaluation.standing import TIERS, AlertsTold
from pv_stream.audit.log import LogRecord
from pv_stream.audit.merged_records import Persons
from pv_stream.audit.patient_table import read_patient_table
from pv_stream.audit.replay import Folds, ReplayPlan, fold_log
from pv_stream.codec.events import decode_event
from pv_stream.domain.events import FactArrived
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import MICROSECONDS_PER_DAY, Instant, parse_instant
from pv_stream.shard.fold import OutputStream

_COLUMNS: Final = ("patient_id", "culprit", "first_sign")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Hold what every tier and every rule beside found on one log.

    `merged` is how many patient records count with another, into which they were merged. `not_in_log` are cases of
    which the log holds nothing: they count as missed.
    """

    patients: int
    merged: int
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

    def stays_of(self, person_of: Persons) -> dict[PatientId, tuple[Instant, Instant]]:
        """Return the first and the last record of each person."""
        stays: dict[PatientId, tuple[Instant, Instant]] = {}
        for patient, (first, last) in self.stays.items():
            person = person_of(patient)
            before = stays.get(person, (first, last))
            stays[person] = min(first, before[0]), max(last, before[1])
        return stays


def evaluate(
    records: Iterable[LogRecord],
    plan: ReplayPlan,
    truth: Iterable[Truth] | None,
    mode: ClockMode,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Return what was found on a log whose truth is known; a patient that the truth does not name is no case."""
    watched, told, folds = _Watched(TimedLog(records, mode), on_progress), AlertsTold(), Folds()
    for _, output in fold_log(watched, plan, folds):
        if output.stream is OutputStream.ALERTS:
            told.take(json.loads(output.value))
    person_of = Persons(folds, plan.log.shard_count)
    named, stays = _by_person(truth or (), person_of), watched.stays_of(person_of)
    everybody = [named.get(person, Truth(person)) for person in sorted({*stays, *named})]
    days = sum((last - first) // MICROSECONDS_PER_DAY + 1 for first, last in stays.values())

    def found(
        name: str, title: str, alerted: Mapping[PatientId, Sequence[Stood]], count: int | None = None
    ) -> Found:
        alerts = Incidence(len(alerted) if count is None else count, days)
        return measure(name, title, alerted, everybody, alerts=alerts)

    ours = [found(tier, _title(tier), *told.at(tier, person_of)) for tier in TIERS]
    others = [found(rule, TITLES[rule], watched.beside.stood(rule, person_of)) for rule in NEEDS]
    return Evaluation(
        patients=len(everybody),
        merged=len(watched.stays) - len(stays),
        cases=sum(one.is_case for one in everybody),
        not_in_log=sum(one.is_case and one.patient_id not in stays for one in everybody),
        patient_days=days,
        events=watched.events,
        found=(*ours, *others),
    )


def _title(tier: str) -> str:
    return f"pv_stream, {tier}{'' if tier == TIERS[-1] else ' and above'}"


def _by_person(truth: Iterable[Truth], person_of: Persons) -> dict[PatientId, Truth]:
    """Return the truth of each person: of merged records the case with the earliest sign."""
    named: dict[PatientId, Truth] = {}
    for one in sorted(truth, key=_by_first_sign):
        person = person_of(one.patient_id)
        named.setdefault(person, replace(one, patient_id=person))
    return named


def _by_first_sign(one: Truth) -> tuple[bool, int, str]:
    return one.first_sign is None, one.first_sign or 0, one.culprit or ""


def read_truth(path: Path) -> list[Truth]:
    """Read who is a case from a CSV file with the columns patient_id, culprit and first_sign (ISO 8601 in UTC).

    A patient stands once, with the first sign. Raises DataError naming the line that cannot be read.
    """
    return list(read_patient_table(path, _COLUMNS, _truth).values())


def _truth(row: Mapping[str, str]) -> Truth:
    try:
        first_sign = parse_instant(row["first_sign"] or "")
    except ValueError:
        msg = "first_sign looks like 2026-03-02T08:00:00Z"
        raise ValueError(msg) from None
    return Truth(PatientId(row["patient_id"]), row["culprit"] or None, first_sign)
