"""Courses: when a patient was exposed to a watched ingredient, and where a day lies in its window of latency.

A course is a run of records of one ingredient without a recorded stop or a gap of more than `course_gap_days`
between doses. Doses (administrations, and statements that the patient takes the drug) count for latency; orders and
dispenses warn, and make a course whose latency is unknown while no dose is recorded: medication data that is
missing is not "no drug".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pv_stream.domain.assessment import ExposureState, Latency
from pv_stream.domain.codes import ExposureKind
from pv_stream.domain.facts import Exposure
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import Instant, Interval, local_day
from pv_stream.rules.rulebook import Rulebook, WatchedDrug
from pv_stream.rules.timeline import Dated

_DOSES: Final = frozenset({ExposureKind.ADMINISTRATION, ExposureKind.STATEMENT})


@dataclass(frozen=True, slots=True)
class Course:
    """Hold one course of one ingredient.

    `first` is the first record (an order counts), `first_dose` the first dose, `last_dose` the end of the last.
    `open_ended` says that a dose was stated to go on; `stopped_at` is the recorded stop.
    """

    drug: str
    index: int
    first: Interval
    utc_offset_minutes: int
    records: tuple[FactKey, ...]
    first_dose: Interval | None = None
    last_dose: Instant | None = None
    open_ended: bool = False
    order_ends: Instant | None = None
    stopped_at: Instant | None = None

    @property
    def is_reexposure(self) -> bool:
        """Tell whether an earlier course of the same ingredient is known."""
        return self.index > 0

    @property
    def start(self) -> Interval:
        """Return the start that latency is counted from: the first dose, else the first order."""
        return self.first if self.first_dose is None else self.first_dose

    @property
    def covered_until(self) -> Instant | None:
        """Return the last instant known to be covered, or None while nothing says that it ended."""
        if self.stopped_at is not None:
            return self.stopped_at
        if self.first_dose is None:
            return self.order_ends
        return None if self.open_ended else self.last_dose


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
        for ingredient in dated.content.ingredients:
            drug = rulebook.watched.get(ingredient)
            if drug is not None and dated.content.route not in drug.routes_outside:
                records.setdefault(ingredient, []).append(dated)
    return {
        ingredient: _courses_of(rulebook.watched[ingredient], records[ingredient], rulebook)
        for ingredient in sorted(records)
    }


@dataclass(slots=True)
class _Builder:
    drug: WatchedDrug
    gap_days: int
    done: list[Course] = field(default_factory=list)
    current: Course | None = None

    def add(self, dated: Dated[Exposure]) -> None:
        if dated.content.is_stop:
            self._stop(dated)
            return
        if self.current is None or self._is_new_course(self.current, dated):
            self._close()
            self.current = Course(
                drug=self.drug.name,
                index=len(self.done),
                first=dated.at,
                utc_offset_minutes=dated.utc_offset_minutes,
                records=(),
            )
        self.current = _extended(self.current, dated)

    def _stop(self, dated: Dated[Exposure]) -> None:
        """Record a stop; a later one replaces nothing, since the course has ended at the first."""
        if self.current is not None and self.current.stopped_at is None:
            self.current = replace(
                self.current,
                stopped_at=dated.at.earliest,
                records=(*self.current.records, dated.key),
            )

    def _is_new_course(self, course: Course, dated: Dated[Exposure]) -> bool:
        if course.stopped_at is not None:
            return dated.at.earliest > course.stopped_at
        until = course.covered_until
        if until is None:
            return False
        gap = local_day(dated.at.earliest, dated.utc_offset_minutes) - local_day(
            until, course.utc_offset_minutes
        )
        return gap > self.gap_days

    def _close(self) -> None:
        if self.current is not None:
            self.done.append(self.current)
            self.current = None

    def finish(self) -> tuple[Course, ...]:
        self._close()
        return tuple(self.done)


def _courses_of(drug: WatchedDrug, records: list[Dated[Exposure]], rulebook: Rulebook) -> tuple[Course, ...]:
    gap = (drug.course_gap_days or rulebook.parameters.course_gap_days).value
    builder = _Builder(drug, gap)
    for dated in records:
        builder.add(dated)
    return builder.finish()


def _extended(course: Course, dated: Dated[Exposure]) -> Course:
    records = (*course.records, dated.key)
    end = None if dated.content.end is None else dated.content.end.latest
    if dated.content.kind not in _DOSES:
        ends = [instant for instant in (course.order_ends, end) if instant is not None]
        known = end is not None and (course.order_ends is not None or not course.records)
        return replace(course, records=records, order_ends=max(ends) if known else None)
    is_statement = dated.content.kind is ExposureKind.STATEMENT
    last = dated.at.latest if end is None else max(end, dated.at.latest)
    return replace(
        course,
        records=records,
        first_dose=course.first_dose or dated.at,
        last_dose=last if course.last_dose is None else max(course.last_dose, last),
        open_ended=course.open_ended or (is_statement and end is None),
    )


def window_position(
    course: Course, at: Interval, utc_offset_minutes: int, rulebook: Rulebook
) -> WindowPosition | None:
    """Return where an instant lies in the window of a course, or None when it lies outside.

    Days are calendar days at the facility. A start or an instant known only to an interval is inside when it may
    be; its latency is then unknown.
    """
    drug = rulebook.watched[course.drug]
    parameters = rulebook.parameters
    lowest = local_day(at.earliest, utc_offset_minutes) - local_day(
        course.start.latest, course.utc_offset_minutes
    )
    highest = local_day(at.latest, utc_offset_minutes) - local_day(
        course.start.earliest, course.utc_offset_minutes
    )
    first_day = 0 if course.is_reexposure else 1
    if highest < first_day or lowest > (drug.latency_max_days or parameters.latency_max_days).value:
        return None
    until = course.covered_until
    if until is not None:
        days_after = local_day(at.earliest, utc_offset_minutes) - local_day(until, course.utc_offset_minutes)
        if days_after > (drug.lag_days or parameters.lag_days).value:
            return None
    if course.first_dose is None or lowest != highest:
        return WindowPosition(Latency.UNKNOWN, None)
    return WindowPosition(_latency(course, lowest, drug, rulebook), lowest)


def _latency(course: Course, days: int, drug: WatchedDrug, rulebook: Rulebook) -> Latency:
    if course.is_reexposure:
        return Latency.REEXPOSURE
    parameters = rulebook.parameters
    core_from = (drug.latency_core_min_days or parameters.latency_core_min_days).value
    core_to = (drug.latency_core_max_days or parameters.latency_core_max_days).value
    return Latency.CORE if core_from <= days <= core_to else Latency.SHOULDER


def exposure_state(course: Course, at: Instant, utc_offset_minutes: int, rulebook: Rulebook) -> ExposureState:
    """Return whether a course was still running at an instant, as far as records tell."""
    if course.stopped_at is not None and course.stopped_at <= at:
        return ExposureState.STOPPED
    until = course.covered_until
    if until is None:
        return ExposureState.ONGOING
    drug = rulebook.watched[course.drug]
    gap = (drug.course_gap_days or rulebook.parameters.course_gap_days).value
    days = local_day(at, utc_offset_minutes) - local_day(until, course.utc_offset_minutes)
    return ExposureState.ONGOING if days <= gap else ExposureState.UNKNOWN
