"""Each occurrence of DRESS in a log, as a row: who, which drug, which score, what was given, what became of it.

An occurrence is an episode that was told at some tier or is established, and still stands: not withdrawn, refuted,
superseded, or moved to another patient record. Which occurrences are one patient's is what the log says, no more. Age
and sex are in no log of ours; they come from a table beside it.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from pv_stream.audit.clock import ClockMode, TimedLog, settle
from pv_stream.audit.log import Log, LogForm, LogRecord, read_in_parts, survey
from pv_stream.audit.patient_table import read_patient_table
from pv_stream.audit.published_cohort import Cohort, records_of_occurrence
from pv_stream.audit.replay import Folds, ReplayPlan, fold_log
from pv_stream.domain.codes import Route
from pv_stream.domain.facts import Exposure, Fact
from pv_stream.domain.ids import FactKey, PatientId, shard_of
from pv_stream.domain.times import Instant, parse_instant
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.fold import OutputStream, RawRecord

_STANDING: Final = frozenset({"candidate", "open", "closed"})
_REFUTED: Final = "refuted"
_RESOLVED: Final = "resolved"
_COLUMNS: Final = ("patient_id", "age_years", "sex")
_AGE: Final = re.compile(r"\d{1,3}", re.ASCII)
_AGE_MAX: Final = 130


@dataclass(frozen=True, slots=True)
class Person:
    """Hold what the table beside the log says of a patient; None where it says nothing."""

    age_years: int | None = None
    sex: str | None = None


@dataclass(frozen=True, slots=True)
class Treatment:
    """Hold the course of treatment that an occurrence is looked at for.

    `dose_mg_per_kg` is the highest single dose, `days` counts both ends and is None while it may go on.
    """

    drug: str
    dose_mg_per_kg: Decimal | None
    routes: tuple[str, ...]
    days: int | None
    prior_steroid: bool
    days_to_clinical_resolution: int | None


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Hold one row of the outcome table; `label` names it in a report, `regiscar` is the current score.

    `recurrence` is its class when it is a recurrence itself. `recurred` says that a later one recurs to it; without
    one it is known only of an occurrence that the log saw resolve, and None of one that was lost to observation or is
    still open.
    """

    label: str
    patient_id: str
    episode_id: str
    onset: str
    person: Person
    culprits: tuple[str, ...]
    tier: str | None
    regiscar: int
    category: str
    treatment: Treatment | None
    recurrence: str | None
    recurred: bool | None


def occurrences_of(
    plan: ReplayPlan, people: Mapping[str, Person], treatment: str | None = None
) -> list[Occurrence]:
    """Replay a log and return its occurrences, in order of onset.

    `treatment` keeps those that were treated with one drug, and looks at its first course; without it that is the
    first treatment of any kind.
    """
    mode = settle(plan.clock, survey(plan.log))
    rows = [
        row
        for records in read_in_parts(plan.log)
        for row in _occurrences(TimedLog(records, mode), plan, people, treatment)
    ]
    return [row for _, row in sorted(rows, key=lambda row: (row[1].onset, row[1].episode_id))]


def published_occurrences(cohort: Cohort, rulebook: Rulebook, treatment: str) -> list[Occurrence]:
    """Return what the engine finds in the synthetic log of each row of the published table, in its order."""
    plan = ReplayPlan(Log(Path(), LogForm.EVENTS, 1, makes_transfers=True), rulebook)
    rows: list[Occurrence] = []
    for published in cohort.occurrences:
        timed = TimedLog(_as_log(cohort, published.row), ClockMode.DAILY)
        people: dict[str, Person] = {published.patient_id: Person(published.age, published.sex)}
        found = _occurrences(timed, plan, people, treatment, label=f"row {published.row}")
        # The table does not say after which rows a recurrence came.
        rows += (replace(row, recurred=None) for _, row in found)
    return rows


def _as_log(cohort: Cohort, number: int) -> Iterator[LogRecord]:
    (row,) = (one for one in cohort.occurrences if one.row == number)
    for position, record in enumerate(records_of_occurrence(cohort, row)):
        yield LogRecord(0, RawRecord(position, row.patient_id.encode(), record.value), 0)


def _occurrences(
    timed: TimedLog,
    plan: ReplayPlan,
    people: Mapping[str, Person],
    treatment: str | None,
    label: str | None = None,
) -> Iterator[tuple[Instant, Occurrence]]:
    folds: Folds = {}
    # Under the survivor an episode of a merged record may keep its id.
    views: dict[tuple[str, str], Mapping[str, Any]] = {}
    for _, output in fold_log(timed, plan, folds):
        if output.stream is OutputStream.CASES:
            view = json.loads(output.value, parse_float=Decimal)
            views[view["patient_id"], view["episode_id"]] = view
    told = [view for view in views.values() if _is_occurrence(view)]
    earlier = {view["recurrence"]["of_episode"] for view in told if view["recurrence"] is not None}
    for view in told:
        course = _course(view, treatment)
        if course is None and treatment is not None:
            continue
        patient_id = PatientId(view["patient_id"])
        facts = folds[shard_of(patient_id, plan.log.shard_count)].state_of(patient_id).facts
        yield (
            parse_instant(view["onset"]),
            Occurrence(
                label=label or _short(view["episode_id"]),
                patient_id=patient_id,
                episode_id=view["episode_id"],
                onset=view["onset"],
                person=people.get(patient_id, Person()),
                culprits=tuple(sorted(c["drug"] for c in view["culprits"] if c["rank"] == 1)),
                tier=view["tier"],
                regiscar=view["regiscar"]["current"],
                category=view["regiscar"]["category"]["current"],
                treatment=None if course is None else _treatment(course, facts),
                recurrence=None if view["recurrence"] is None else view["recurrence"]["primary"],
                recurred=_recurred(view, earlier),
            ),
        )


def _is_occurrence(view: Mapping[str, Any]) -> bool:
    is_told = view["tier"] is not None or view["established"]
    return is_told and view["state"] in _STANDING and view["closing"] != _REFUTED


def _recurred(view: Mapping[str, Any], earlier: Collection[str]) -> bool | None:
    """Tell whether a recurrence followed; that none did is known only after a reaction that was seen to resolve."""
    if view["episode_id"] in earlier:
        return True
    return False if view["closing"] == _RESOLVED else None


def _short(episode_id: str) -> str:
    prefix, _, digest = episode_id.partition("_")
    return f"{prefix}_{digest[:8]}"


def _course(view: Mapping[str, Any], treatment: str | None) -> Mapping[str, Any] | None:
    courses = (course for course in view["treatments"] if treatment in {None, course["drug"]})
    return next(courses, None)


def _treatment(course: Mapping[str, Any], facts: Mapping[FactKey, Fact]) -> Treatment:
    dose = course["dose_mg_per_kg"]
    return Treatment(
        drug=course["drug"],
        dose_mg_per_kg=None if dose is None else Decimal(dose),
        routes=tuple(sorted(set(_routes(course, facts)))),
        days=course["days"],
        prior_steroid=course["prior_steroid"],
        days_to_clinical_resolution=course["days_to_clinical_resolution"],
    )


def _routes(course: Mapping[str, Any], facts: Mapping[FactKey, Fact]) -> Iterator[str]:
    """Yield the route of each record of the drug that begins in the course and still stands."""
    started = parse_instant(course["started"])
    ended = None if course["ended"] is None else parse_instant(course["ended"])
    for fact in facts.values():
        for statement, _ in fact.statements:
            given, at = statement.content, statement.effective.earliest
            is_of_course = started <= at and (ended is None or at <= ended)
            if (
                isinstance(given, Exposure)
                and course["drug"] in given.ingredients
                and given.route is not Route.UNKNOWN
                and is_of_course
            ):
                yield given.route.value


# The table beside the log -----------------------------------------------------------------------------------------


def read_people(path: Path) -> dict[str, Person]:
    """Read age and sex by patient from a CSV file with the columns patient_id, age_years and sex.

    Raises DataError naming the line that cannot be read.
    """
    return read_patient_table(path, _COLUMNS, _person)


def _person(row: Mapping[str, str]) -> Person:
    age, sex = (row[name] or "" for name in ("age_years", "sex"))
    if age and not (_AGE.fullmatch(age) and int(age) <= _AGE_MAX):
        msg = f"age_years must be whole years up to {_AGE_MAX}, or empty"
        raise ValueError(msg)
    if sex not in {"", "female", "male", "other"}:
        msg = "sex must be female, male, other or empty"
        raise ValueError(msg)
    return Person(int(age) if age else None, sex or None)
