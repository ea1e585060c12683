"""Which drugs are reported with DRESS more than others: counted from the safety reports of a log, period by period.

A case is one safety report with all its follow-ups: its last version counts, and a nullified one does not. Its drugs
are those that its reporter suspected, alone or by interaction; its event is DRESS when any of its reactions is. A drug
that no list names goes by its code, and without one stays in the denominator. A period is judged by what had been
received by its end.

Looking again and again finds more than looking once: a drug that was disproportionate in one of many periods needs no
less doubt than one that never was.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from pv_stream.audit.disproportionality import Fourfold
from pv_stream.audit.log import LogRecord
from pv_stream.codec.events import decode_event
from pv_stream.domain.codes import DrugRole, ReportedReaction
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import UNLISTED_DRUG, Content, Fact, Held, Report, Retracted
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.times import MICROSECONDS_PER_SECOND, Instant
from pv_stream.engine.join import join_fact

#: The formats of safety reports (ICSR); a hospital's own records are no reports.
SAFETY_REPORTS: Final = frozenset({"e2b_r2", "e2b_r3", "openfda"})
_SUSPECTED: Final = frozenset({DrugRole.SUSPECT, DrugRole.INTERACTING})
_MONTHS_PER_QUARTER: Final = 3


class Every(StrEnum):
    """Name how long a period is."""

    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Look:
    """Hold what had been received by the end of a period, named as 2026, 2026-Q3 or 2026-08."""

    period: str
    cases: int
    dress: int
    drugs: dict[str, Fourfold]


@dataclass(slots=True)
class _Case:
    facts: dict[FactKey, Fact] = field(default_factory=dict)

    def reports(self) -> Iterator[Report]:
        for fact in self.facts.values():
            for statement, _ in fact.statements:
                if (report := _report(statement.content)) is not None:
                    yield report


def look(records: Iterable[LogRecord], every: Every) -> list[Look]:
    """Return one look for each period in which a safety report was received, in order."""
    arrived = sorted(_arrived(records), key=lambda event: event.received_at)
    cases: dict[PatientId, _Case] = {}
    looks: list[Look] = []
    period = None
    for event in arrived:
        now = _period_of(event.received_at, every)
        if period is not None and now != period:
            looks.append(_look(period, cases))
        period = now
        case = cases.setdefault(event.patient_id, _Case())
        key = event.version.key
        case.facts[key] = join_fact(case.facts.get(key), event.version)
    if period is not None:
        looks.append(_look(period, cases))
    return looks


def _arrived(records: Iterable[LogRecord]) -> Iterator[FactArrived]:
    for line in records:
        event = decode_event(line.record.value)
        if (
            isinstance(event, FactArrived)
            and event.version.provenance.format in SAFETY_REPORTS
            and (isinstance(content := event.version.statement.content, Retracted) or _report(content))
        ):
            yield event


def _report(content: Content) -> Report | None:
    """Return a report, also one whose time alone is not believed: no count here goes by it."""
    said = content.said if isinstance(content, Held) else content
    return said if isinstance(said, Report) else None


def _look(period: str, cases: dict[PatientId, _Case]) -> Look:
    told = [list(case.reports()) for case in cases.values()]
    counted = [reports for reports in told if reports]
    with_event = sum(map(_is_dress, counted))
    of_drug: dict[str, list[int]] = {}
    for reports in counted:
        is_dress = _is_dress(reports)
        for drug in _suspected(reports):
            of_drug.setdefault(drug, [0, 0])[not is_dress] += 1
    others = len(counted) - with_event
    return Look(
        period,
        len(counted),
        with_event,
        {drug: Fourfold(a, b, with_event - a, others - b) for drug, (a, b) in sorted(of_drug.items())},
    )


def _is_dress(reports: Iterable[Report]) -> bool:
    return any(report.reaction is ReportedReaction.DRESS for report in reports)


def _suspected(reports: Iterable[Report]) -> set[str]:
    named = {drug.ingredient for report in reports for drug in report.drugs if drug.role in _SUSPECTED}
    return named - {UNLISTED_DRUG}


def _period_of(instant: Instant, every: Every) -> str:
    at = datetime.fromtimestamp(instant // MICROSECONDS_PER_SECOND, tz=UTC)
    match every:
        case Every.MONTH:
            return f"{at.year:04d}-{at.month:02d}"
        case Every.QUARTER:
            return f"{at.year:04d}-Q{(at.month - 1) // _MONTHS_PER_QUARTER + 1}"
        case Every.YEAR:
            return f"{at.year:04d}"


def first_disproportionate(looks: Iterable[Look], drug: str) -> str | None:
    """Return the first period by whose end a drug was disproportionate by its IC, None when it never was."""
    for seen in looks:
        counts = seen.drugs.get(drug)
        if counts is not None and counts.is_disproportionate_by_ic:
            return seen.period
    return None
