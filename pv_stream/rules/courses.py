"""Courses: when a patient was exposed to a watched ingredient, and where a day lies in its window of latency.

A course is a run of records of one ingredient without a recorded stop or a gap of more than `course_gap_days`
between doses; for infusions of which a record says how often they are given, of more than twice their interval, where
that is longer. Doses (administrations, and statements that the patient takes the drug) count for latency; orders and
dispenses warn, and make a course whose latency is unknown while no dose is recorded: medication data that is
missing is not "no drug".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from pv_stream.domain.assessment import ExposureState, Latency
from pv_stream.domain.codes import ExposureKind, Route
from pv_stream.domain.facts import Exposure
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import Instant, Interval, local_day
from pv_stream.rules.rulebook import Rulebook, WatchedDrug
from pv_stream.rules.timeline import EXACT, Dated

_DOSES: Final = frozenset({ExposureKind.ADMINISTRATION, ExposureKind.STATEMENT})
_HOURS_PER_DAY: Final = 24


@dataclass(frozen=True, slots=True)
class Course:
    """Hold one course of one ingredient.

    `gap_days` is the longest gap between two doses in which it goes on. `first` is the first record (an order
    counts), `first_dose` the first dose, `last_dose` the end of the last, `last_record` the start of the last record.
    `open_ended` says that a dose was stated to go on; `order_ends` is the end of the orders, None while one is open;
    `stopped_at` is the recorded stop. `begun_as` is the kind of the first dose, or of the first record while there is
    none. `route_is_unsure` holds while no record names the route of a drug that is
    watched by some routes only.
    """

    drug: str
    index: int
    first: Interval
    utc_offset_minutes: int
    last_record: Instant
    gap_days: int
    records: tuple[FactKey, ...] = ()
    first_dose: Interval | None = None
    last_dose: Instant | None = None
    open_ended: bool = False
    ordered: bool = False
    order_ends: Instant | None = None
    stopped_at: Instant | None = None
    route_is_unsure: bool = False
    begun_as: ExposureKind = ExposureKind.ORDER

    @property
    def is_reexposure(self) -> bool:
        """Tell whether an earlier course of the same ingredient is known."""
        return self.index > 0

    @property
    def given_until(self) -> Instant | None:
        """Return the end of the last dose, or of the orders while there is no dose; None while it may go on."""
        if self.stopped_at is not None:
            return self.stopped_at
        if self.first_dose is None:
            return self.order_ends
        return None if self.open_ended else self.last_dose

    @property
    def covered_until(self) -> Instant | None:
        """Return the last instant at which the drug may have been taken; an order that was not stopped covers too."""
        given = self.given_until
        if self.stopped_at is not None or given is None or not self.ordered:
            return given
        return None if self.order_ends is None else max(given, self.order_ends)


@dataclass(frozen=True, slots=True)
class WindowPosition:
    """Say where a day lies in the window of a course; `days` is None when it is not known exactly."""

    latency: Latency
    days: int | None


def build_courses(
    exposures: Iterable[Dated[Exposure]], rulebook: Rulebook
) -> Mapping[str, tuple[Course, ...]]:
    """Return the courses of every watched ingredient in order of time, by ingredient name."""
    records: dict[str, list[Dated[Exposure]]] = {}
    for dated in exposures:
        for name in dated.content.drugs:
            drug = rulebook.drug_called(name)
            if drug is not None and dated.content.route not in drug.routes_outside:
                records.setdefault(drug.name, []).append(dated)
    return {name: _courses_of(rulebook.watched[name], records[name], rulebook) for name in sorted(records)}


def _courses_of(drug: WatchedDrug, records: list[Dated[Exposure]], rulebook: Rulebook) -> tuple[Course, ...]:
    gap = drug.course_gap_days or rulebook.parameters.course_gap_days
    return cut_courses(drug.name, records, rulebook, gap_days=gap.value, by_route=bool(drug.routes_outside))


def cut_courses(
    drug: str,
    records: Iterable[Dated[Exposure]],
    rulebook: Rulebook,
    *,
    gap_days: int,
    by_route: bool = False,
) -> tuple[Course, ...]:
    """Return the courses that the records of one drug make, in order of time.

    `by_route` says that only some routes of the drug count, so that a course of unknown route is unsure.
    """
    builder = _Builder(drug, gap_days, by_route, rulebook)
    for dated in sorted(records, key=_stops_first):
        builder.add(dated)
    return builder.finish()


def _stops_first(dated: Dated[Exposure]) -> tuple[Instant, bool, Interval, FactKey]:
    """Order a stop before an order of the same instant: together they are a change of the order, not an end."""
    return (dated.at.earliest, not dated.content.is_stop, dated.at, dated.key)


@dataclass(slots=True)
class _Builder:
    drug: str
    gap_days: int
    by_route: bool
    rulebook: Rulebook
    done: list[Course] = field(default_factory=list)
    current: Course | None = None
    #: The records of the current course, which gets them when it is closed.
    records: list[FactKey] = field(default_factory=list)
    #: When a running course was stopped exactly: an order of that same instant only changes it.
    changed_at: Instant | None = None

    def add(self, dated: Dated[Exposure]) -> None:
        if dated.content.is_stop:
            self._stop(dated)
            return
        if self.current is None or self._is_new_course(self.current, dated):
            self._close()
            self.current = Course(
                drug=self.drug,
                index=len(self.done),
                first=dated.at,
                utc_offset_minutes=dated.utc_offset_minutes,
                last_record=dated.at.earliest,
                gap_days=self.gap_days,
                route_is_unsure=self.by_route,
                begun_as=dated.content.kind,
            )
        if self.changed_at == dated.at.earliest:
            self.current = replace(self.current, stopped_at=None)
        self.current = _extended(self.current, dated, infusion_gap_days(dated.content, self.rulebook))
        self.records.append(dated.key)

    def _stop(self, dated: Dated[Exposure]) -> None:
        """Record a stop, at the latest instant it may mean; a later one replaces nothing."""
        if self.current is not None and self.current.stopped_at is None:
            running = not self._is_new_course(self.current, dated)
            self.changed_at = dated.at.earliest if running and dated.at.is_exact else None
            self.current = replace(self.current, stopped_at=dated.at.latest, last_record=dated.at.earliest)
            self.records.append(dated.key)

    def _is_new_course(self, course: Course, dated: Dated[Exposure]) -> bool:
        if course.stopped_at is not None:
            return dated.at.earliest > course.stopped_at or (
                dated.at.earliest == course.stopped_at and self.changed_at is None
            )
        until, gap_days = course.given_until, course.gap_days
        if until is None:
            record_gap_days = self.rulebook.parameters.course_record_gap_days.value
            until, gap_days = course.last_record, max(gap_days, record_gap_days)
        day = local_day(dated.at.earliest, dated.utc_offset_minutes)
        return day - local_day(until, course.utc_offset_minutes) > gap_days

    def _close(self) -> None:
        if self.current is not None:
            self.done.append(replace(self.current, records=tuple(self.records)))
            self.current = None
            self.records.clear()

    def finish(self) -> tuple[Course, ...]:
        self._close()
        return tuple(self.done)


def infusion_gap_days(content: Exposure, rulebook: Rulebook) -> int:
    """Return for how many days a course goes on without an infusion, by a record of how often they come; else 0.

    Twice their interval, to the hour since frequencies are sent rounded, and no longer than what an order covers.
    Source: clinical specification, courses.
    """
    per_day = None if content.dose is None else content.dose.per_day
    if content.route is not Route.INTRAVENOUS or per_day is None or per_day <= 0:
        return 0
    interval_hours = int(EXACT.divide(Decimal(_HOURS_PER_DAY), per_day).to_integral_value())
    parameters = rulebook.parameters
    gap_days = parameters.infusion_gap_intervals.value * interval_hours // _HOURS_PER_DAY
    return min(gap_days, parameters.course_record_gap_days.value)


def _extended(course: Course, dated: Dated[Exposure], gap_days: int) -> Course:
    """Return a course with one more record, which lets it go on over gaps of so many days."""
    gap_days = max(course.gap_days, gap_days)
    last_record = max(course.last_record, dated.at.earliest)
    route_is_unsure = course.route_is_unsure and dated.content.route is Route.UNKNOWN
    end = None if dated.content.end is None else dated.content.end.latest
    if dated.content.kind not in _DOSES:
        if course.ordered:
            end = None if end is None or course.order_ends is None else max(end, course.order_ends)
        return replace(
            course,
            gap_days=gap_days,
            last_record=last_record,
            route_is_unsure=route_is_unsure,
            ordered=True,
            order_ends=end,
        )
    is_statement = dated.content.kind is ExposureKind.STATEMENT
    last = dated.at.latest if end is None else max(end, dated.at.latest)
    return replace(
        course,
        gap_days=gap_days,
        last_record=last_record,
        route_is_unsure=route_is_unsure,
        first_dose=course.first_dose or dated.at,
        begun_as=course.begun_as if course.first_dose is not None else dated.content.kind,
        last_dose=last if course.last_dose is None else max(course.last_dose, last),
        open_ended=course.open_ended or (is_statement and end is None),
    )


def window_position(
    course: Course, at: Interval, utc_offset_minutes: int, rulebook: Rulebook
) -> WindowPosition | None:
    """Return where an instant lies in the window of a course, or None when it lies outside.

    Days are calendar days at the facility. A start or an instant known only to an interval is inside when it may
    be, and so is an instant after an order but before the first recorded dose; latency is then unknown.
    """
    drug = rulebook.watched[course.drug]
    if _is_after_lag(course, at, utc_offset_minutes, rulebook):
        return None
    days_max = (drug.latency_max_days or rulebook.parameters.latency_max_days).value
    days_min = 0 if course.is_reexposure else 1
    if course.first_dose is not None:
        lowest, highest = _days_since(course.first_dose, course, at, utc_offset_minutes)
        if highest >= days_min and lowest <= days_max:
            exact = lowest == highest
            latency = _latency(course, lowest, drug, rulebook) if exact else Latency.UNKNOWN
            return WindowPosition(latency, lowest if exact else None)
        if lowest > days_max:
            return None
    lowest, highest = _days_since(course.first, course, at, utc_offset_minutes)
    inside = course.ordered and highest >= days_min and lowest <= days_max
    return WindowPosition(Latency.UNKNOWN, None) if inside else None


def _is_after_lag(course: Course, at: Interval, utc_offset_minutes: int, rulebook: Rulebook) -> bool:
    until = course.covered_until
    if until is None:
        return False
    lag_days = (rulebook.watched[course.drug].lag_days or rulebook.parameters.lag_days).value
    return local_day(at.earliest, utc_offset_minutes) - local_day(until, course.utc_offset_minutes) > lag_days


def _days_since(start: Interval, course: Course, at: Interval, utc_offset_minutes: int) -> tuple[int, int]:
    """Return the fewest and the most calendar days that may lie between a start and an instant."""
    return (
        local_day(at.earliest, utc_offset_minutes) - local_day(start.latest, course.utc_offset_minutes),
        local_day(at.latest, utc_offset_minutes) - local_day(start.earliest, course.utc_offset_minutes),
    )


def _latency(course: Course, days: int, drug: WatchedDrug, rulebook: Rulebook) -> Latency:
    if course.is_reexposure:
        return Latency.REEXPOSURE
    parameters = rulebook.parameters
    core_from = (drug.latency_core_min_days or parameters.latency_core_min_days).value
    core_to = (drug.latency_core_max_days or parameters.latency_core_max_days).value
    return Latency.CORE if core_from <= days <= core_to else Latency.SHOULDER


def exposure_state(course: Course, at: Instant, utc_offset_minutes: int) -> ExposureState:
    """Return whether a course was still running at an instant, as far as records tell."""
    if course.stopped_at is not None and course.stopped_at <= at:
        return ExposureState.STOPPED
    until = course.given_until
    if until is None:
        return ExposureState.ONGOING
    days = local_day(at, utc_offset_minutes) - local_day(until, course.utc_offset_minutes)
    return ExposureState.ONGOING if days <= course.gap_days else ExposureState.UNKNOWN
