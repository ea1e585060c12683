"""The published cyclosporine cohort: 19 occurrences of DRESS as data, and a synthetic log for each of them.

Only the figures of a row are from the publication: drug, score, earlier steroid, cyclosporine, days to resolution. The
days, the findings that add up to the score and the laboratory values are made up, so that the real engine has
something to find the figures in. Nobody here exists.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from pv_stream.audit.scenario import Case, Given, Scenario, at_day
from pv_stream.audit.scenario_events import TimedRecord, records_of
from pv_stream.domain.assessment import RecurrenceClass
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import MICROSECONDS_PER_HOUR, Instant

FILE: Final = "cyclosporine2023.toml"
_CYCLOSPORINE: Final = "cyclosporine"
_HUNDREDTH: Final = Decimal("0.01")


class SteroidRole(StrEnum):
    """Say what a systemic steroid given before cyclosporine was for, and what became of it."""

    STOPPED = "stopped"
    CONTINUED = "continued"
    FLARED = "flared"
    OTHER_REASON = "other_reason"


@dataclass(frozen=True, slots=True)
class PriorSteroid:
    """Hold a steroid given before cyclosporine: as printed, and in days."""

    printed: str
    days: int
    role: SteroidRole


@dataclass(frozen=True, slots=True)
class Cyclosporine:
    """Hold one leg of a course of cyclosporine: milligrams per kilogram twice a day, and how many days of it."""

    mg_per_kg: Decimal
    route: str
    days: Decimal


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Hold one row of the table; `drugs` are the ingredients that its printed drug may mean."""

    row: int
    age: int
    sex: str
    printed_drug: str
    drugs: tuple[str, ...]
    regiscar: int
    cyclosporine: tuple[Cyclosporine, ...]
    prior_steroid: PriorSteroid | None = None
    days_to_resolution: int | None = None
    switched_to_prednisone: bool = False

    @property
    def is_flare(self) -> bool:
        """Tell whether the occurrence was itself a recurrence, on a taper of steroids."""
        return self.prior_steroid is not None and self.prior_steroid.role is SteroidRole.FLARED

    @property
    def patient_id(self) -> PatientId:
        """Return the made-up patient of the row."""
        return PatientId(f"synthetic-cyclosporine-2023-row-{self.row:02d}")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Hold where the prose of the publication and its table differ."""

    about: str
    prose: str
    table: str


@dataclass(frozen=True, slots=True)
class Cohort:
    """Hold the table with its source."""

    title: str
    source: str
    disagreements: tuple[Disagreement, ...]
    occurrences: tuple[Occurrence, ...]


_COHORT: Final[TypeAdapter[Cohort]] = TypeAdapter(Cohort)


def published_cohort() -> Cohort:
    """Return the table as it was published."""
    text = resources.files("pv_stream.audit").joinpath("cases", FILE).read_text(encoding="utf-8")
    return _COHORT.validate_python(tomllib.loads(text))


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what a row tells, as published or as the engine finds it in the synthetic log.

    `mg_per_kg` is one dose of cyclosporine, to hundredths; `recurrence` is the class of a row that is one itself.
    """

    drugs: tuple[str, ...]
    regiscar: int
    prior_steroid: bool
    mg_per_kg: Decimal
    days: int
    days_to_resolution: int | None
    recurrence: str | None


def published_outcome(occurrence: Occurrence) -> Outcome:
    """Return what the publication says of a row; both rows that are recurrences were so on a steroid taper."""
    return Outcome(
        drugs=tuple(sorted(occurrence.drugs)),
        regiscar=occurrence.regiscar,
        prior_steroid=occurrence.prior_steroid is not None,
        mg_per_kg=max(leg.mg_per_kg for leg in occurrence.cyclosporine).quantize(_HUNDREDTH),
        days=int(sum(leg.days for leg in occurrence.cyclosporine)),
        days_to_resolution=occurrence.days_to_resolution,
        recurrence=RecurrenceClass.FLARE_ON_WITHDRAWAL.value if occurrence.is_flare else None,
    )


def found_outcome(cases: Iterable[Mapping[str, Any]]) -> Outcome:
    """Return what the engine says of a row, from the views of its patient's episodes in order of telling."""
    views = list(cases)
    latest = max(views, key=lambda view: view["onset"])["episode_id"]
    last = [view for view in views if view["episode_id"] == latest][-1]
    (given,) = (one for one in last["treatments"] if one["drug"] == _CYCLOSPORINE)
    return Outcome(
        drugs=tuple(sorted(culprit["drug"] for culprit in last["culprits"] if culprit["rank"] == 1)),
        regiscar=last["regiscar"]["current"],
        prior_steroid=given["prior_steroid"],
        mg_per_kg=Decimal(str(given["dose_mg_per_kg"])).quantize(_HUNDREDTH),
        days=given["days"],
        days_to_resolution=given["days_to_clinical_resolution"],
        recurrence=None if last["recurrence"] is None else last["recurrence"]["primary"],
    )


# A synthetic log for a row ----------------------------------------------------------------------------------------

#: ASSUMPTION, all of them: the day on which cyclosporine is begun after the culprit, in rows that say nothing else.
_CYCLOSPORINE_DAY: Final = 24
_FIRST_REACTION_DAY: Final = 14
_DAYS_OF_FEVER_FREE_READINGS: Final = 3
_DOSES_PER_DAY: Final = 2
_HOURS_BETWEEN_DOSES: Final = 12

#: Action, subject and options of a line.
_Finding = tuple[str, str, Mapping[str, str]]


def records_of_occurrence(cohort: Cohort, occurrence: Occurrence) -> list[TimedRecord]:
    """Return the synthetic log of a row, in the order in which it is received."""
    case = Case(f"row {occurrence.row}", occurrence.row, tuple(_given(occurrence)), ())
    scenario = Scenario(Path(FILE), cohort.title, cohort.source, "", 0, (case,))
    return records_of(scenario, case, occurrence.patient_id)


def _given(occurrence: Occurrence) -> Iterator[Given]:
    chart = _Chart(occurrence)
    if occurrence.is_flare:
        chart.write_first_reaction()
    chart.write_drugs()
    chart.write_reaction()
    chart.write_treatment()
    chart.write_course_of_the_reaction()
    yield from chart.lines


#: What every occurrence had, with fever: an organ involved, and a rash of at least 75 % of the body surface. Two
#: points; fever costs none, and a resolution before day 15 takes one away.
_ALWAYS: Final[tuple[_Finding, ...]] = (
    ("present", "rash", {"body_surface_percent": "75"}),
    ("present", "maculopapular_rash", {}),
    ("alt", "180 U/L", {}),
)
_POINTS_OF_ALWAYS: Final = 1
_POINTS_OF_HIGH_COUNT: Final = 2
#: Each adds one point.
_MORE: Final[tuple[tuple[_Finding, ...], ...]] = (
    (("present", "facial_oedema", {}), ("present", "scaling", {})),
    (("present", "atypical_lymphocytes", {}),),
    (("present", "kidney_involvement", {}),),
    (("present", "enlarged_lymph_nodes", {"sites": "2", "size_cm": "1.5"}),),
)


def _findings_adding_up_to(score: int) -> list[_Finding]:
    """Return findings with which the RegiSCAR table gives a score, from 2 to 7."""
    missing = score - _POINTS_OF_ALWAYS
    is_high = missing >= _POINTS_OF_HIGH_COUNT
    count: _Finding = ("eosinophils", "1900 /uL" if is_high else "1100 /uL", {})
    more = _MORE[: missing - _POINTS_OF_HIGH_COUNT] if is_high else ()
    return [*_ALWAYS, count, *(finding for findings in more for finding in findings)]


@dataclass(slots=True)
class _Chart:
    occurrence: Occurrence
    lines: list[Given] = field(default_factory=list)

    @property
    def treated_on(self) -> int:
        """Return the day on which cyclosporine is begun."""
        steroid = self.occurrence.prior_steroid
        if self.occurrence.is_flare and steroid is not None:
            return _FIRST_REACTION_DAY + 1 + steroid.days
        return _CYCLOSPORINE_DAY

    @property
    def reaction_on(self) -> int:
        """Return the day of the onset: before a steroid that was given for it."""
        steroid = self.occurrence.prior_steroid
        if steroid is not None and steroid.role in {SteroidRole.STOPPED, SteroidRole.CONTINUED}:
            return self.treated_on - steroid.days - 1
        return self.treated_on - 1

    def write(self, day: int, time: str, action: str, subject: str, **options: str) -> None:
        hour, _, minute = time.partition(":")
        self._write_at(at_day(day, int(hour), int(minute)), action, subject, options)

    def _write_at(self, at: Instant, action: str, subject: str, options: Mapping[str, str]) -> None:
        self.lines.append(Given(len(self.lines) + 1, action, subject, at, at, options))

    def write_first_reaction(self) -> None:
        """Write the reaction of which the row is the recurrence, and the steroid that was tapered."""
        day = _FIRST_REACTION_DAY
        for minute, (action, subject, options) in enumerate(_findings_adding_up_to(2)):
            self.write(day, f"09:{minute:02d}", action, subject, **options)
        self.write(day, "08:30", "temperature", "39.1 °C")
        self.write(day + 6, "08:30", "temperature", "36.8 °C")
        self.write(day + 6, "09:00", "present", "reaction_resolved")
        self._steroid(day + 1, self.reaction_on - 6, mg_per_kg="1")
        self._steroid(self.reaction_on - 5, self.treated_on + 20, mg_per_kg="0.6")

    def write_drugs(self) -> None:
        route = "intravenous" if self.occurrence.drugs == ("vancomycin",) else "oral"
        until = self.reaction_on if not self.occurrence.is_flare else min(self.reaction_on - 1, 40)
        # A drug that the publication names as one of two was given as well as the other.
        products = (
            [" + ".join(self.occurrence.drugs)]
            if "/" in self.occurrence.printed_drug
            else list(self.occurrence.drugs)
        )
        for product in products:
            self.write(0, "08:00", "gives", product, route=route, daily_until=f"day {until} 08:00")
            self.write(until, "18:00", "stops", product, route=route)

    def write_reaction(self) -> None:
        self.write(self.reaction_on, "08:30", "temperature", "39.0 °C")
        for minute, (action, subject, options) in enumerate(_findings_adding_up_to(self.occurrence.regiscar)):
            self.write(self.reaction_on, f"09:{minute:02d}", action, subject, **options)

    def write_treatment(self) -> None:
        steroid = self.occurrence.prior_steroid
        if steroid is not None and not self.occurrence.is_flare:
            ended = self.treated_on - 1 if steroid.role is SteroidRole.STOPPED else self.treated_on + 20
            self._steroid(self.treated_on - steroid.days, ended, mg_per_kg="0.5")
        self._cyclosporine()
        if self.occurrence.switched_to_prednisone:
            self._steroid(self.treated_on + 2, self.treated_on + 20, mg_per_kg="0.5")

    def _cyclosporine(self) -> None:
        last = at = at_day(self.treated_on, 10, 0)
        for leg in self.occurrence.cyclosporine:
            options = {
                "route": leg.route,
                "dose_mg_per_kg": str(leg.mg_per_kg),
                "per_day": str(_DOSES_PER_DAY),
            }
            for _ in range(int(leg.days * _DOSES_PER_DAY)):
                self._write_at(at, "gives", _CYCLOSPORINE, options)
                last, at = at, Instant(at + _HOURS_BETWEEN_DOSES * MICROSECONDS_PER_HOUR)
        self._write_at(Instant(last + MICROSECONDS_PER_HOUR), "stops", _CYCLOSPORINE, {})

    def _steroid(self, first: int, last: int, *, mg_per_kg: str) -> None:
        until = f"day {last} 10:00"
        self.write(
            first,
            "10:00",
            "takes",
            "prednisone",
            route="oral",
            dose_mg_per_kg=mg_per_kg,
            per_day="1",
            until=until,
        )

    def write_course_of_the_reaction(self) -> None:
        """Write the fever until it ended, and that the rash improved; nothing of a patient lost to follow-up."""
        days = self.occurrence.days_to_resolution
        if days is None:
            return
        ended = self.treated_on + days
        for day in range(self.treated_on, ended):
            self.write(day, "08:30", "temperature", "38.8 °C")
        for day in range(ended, ended + _DAYS_OF_FEVER_FREE_READINGS):
            self.write(day, "12:00", "temperature", "37.1 °C")
        self.write(ended, "12:30", "present", "rash_improved")
        self.write(ended + _DAYS_OF_FEVER_FREE_READINGS, "09:00", "present", "reaction_resolved")
