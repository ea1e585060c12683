"""Treatments: what was given against a reaction, in which dose, and when it ended or was cut.

Cyclosporine, systemic steroids and anti-IL-5 antibodies treat a reaction and hide its eosinophils; they are never
blamed. Their courses are cut as those of watched drugs are. What is put on the skin is no treatment here; any other
route, an unknown one too, may act on the whole body. A dose that is not known stays unknown: it is never no dose.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Final

from pv_stream.domain.codes import Analyte, ExposureKind, Manner, Route, TreatmentKind
from pv_stream.domain.facts import Exposure
from pv_stream.domain.times import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MINUTE,
    Instant,
    Interval,
    after_days,
    local_day,
)
from pv_stream.rules.courses import Course, cut_courses
from pv_stream.rules.rulebook import Rulebook, Treatment
from pv_stream.rules.timeline import EXACT, Dated, Timeline, reading_of

_TAKEN: Final = frozenset({ExposureKind.ADMINISTRATION, ExposureKind.STATEMENT})
_NONE_GIVEN: Final = Decimal(0)
_ONCE: Final = Decimal(1)
_PERCENT: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class Amount:
    """Hold what one record says was taken: one dose, and how often a day; what is not known is None.

    `first_day` to `last_day` are the days that the record covers, the last None while it may go on.
    """

    at: Interval
    kind: ExposureKind
    first_day: int
    last_day: int | None
    mg: Decimal | None
    mg_per_kg: Decimal | None
    per_day: Decimal | None

    def covers(self, day: int) -> bool:
        """Tell whether a day at the facility is covered."""
        return self.first_day <= day and (self.last_day is None or day <= self.last_day)


Unit = Callable[[Amount], Decimal | None]


def in_mg(amount: Amount) -> Decimal | None:
    """Return one dose in mg."""
    return amount.mg


def in_mg_per_kg(amount: Amount) -> Decimal | None:
    """Return one dose in mg per kg of body weight."""
    return amount.mg_per_kg


@dataclass(frozen=True, slots=True)
class TreatmentCourse:
    """Hold one course of one treatment with its doses."""

    treatment: Treatment
    course: Course
    amounts: tuple[Amount, ...]

    @property
    def started(self) -> Instant:
        """Return the first dose, or the order while there is none."""
        return (self.course.first_dose or self.course.first).earliest


@dataclass(frozen=True)
class TreatmentCourses:
    """Hold the courses of all treatments of a patient, in order of (start, name)."""

    courses: tuple[TreatmentCourse, ...]

    def of_kind(self, kind: TreatmentKind) -> Sequence[TreatmentCourse]:
        """Return the courses of one kind."""
        return self._by_kind.get(kind, ())

    @cached_property
    def _by_kind(self) -> dict[TreatmentKind, list[TreatmentCourse]]:
        by_kind: dict[TreatmentKind, list[TreatmentCourse]] = {}
        for course in self.courses:
            by_kind.setdefault(course.treatment.kind, []).append(course)
        return by_kind


def build_treatments(timeline: Timeline, rulebook: Rulebook) -> TreatmentCourses:
    """Return the courses of every treatment that was not only put on the skin."""
    records: dict[str, list[Dated[Exposure]]] = {}
    for dated in timeline.exposures:
        for ingredient in dated.content.ingredients:
            treatment = rulebook.treatment_called(ingredient)
            if treatment is not None and dated.content.route is not Route.TOPICAL:
                records.setdefault(treatment.name, []).append(dated)
    if not records:
        return TreatmentCourses(())
    weights = _weights(timeline)
    found = [
        course
        for treatment in rulebook.treatments
        if treatment.name in records
        for course in _courses_of(treatment, records[treatment.name], weights, rulebook)
    ]
    return TreatmentCourses(tuple(sorted(found, key=lambda c: (c.course.first, c.treatment.name))))


_Weights = Sequence[tuple[Instant, Decimal]]


def _weights(timeline: Timeline) -> _Weights:
    """Return the body weights in kg, in order of time; of those of one instant the lowest comes last."""
    weights = [
        (dated.at.earliest, reading.low)
        for dated in timeline.measurements
        if dated.content.analyte is Analyte.BODY_WEIGHT
        and (reading := reading_of(dated.content)).is_exact
        and reading.low > 0
    ]
    return sorted(weights, key=lambda weight: (weight[0], -weight[1]))


def _weight_at(weights: _Weights, at: Instant) -> Decimal | None:
    """Return the latest weight at or before an instant, else the first after it."""
    before = [kg for weighed, kg in weights if weighed <= at]
    if before:
        return before[-1]
    first = [kg for weighed, kg in weights if weighed == weights[0][0]]
    return first[-1] if first else None


def _courses_of(
    treatment: Treatment, records: list[Dated[Exposure]], weights: _Weights, rulebook: Rulebook
) -> Iterable[TreatmentCourse]:
    gap_days = rulebook.treatment_gap_days(treatment)
    courses = cut_courses(treatment.name, records, rulebook, gap_days=gap_days)
    for course in courses:
        keys = frozenset(course.records)
        own = [
            dated
            for dated in records
            if dated.key in keys and course.first.earliest <= dated.at.earliest <= course.last_record
        ]
        later = [other.first.earliest for other in courses if other.index == course.index + 1]
        yield TreatmentCourse(treatment, course, tuple(_amounts(own, later, weights)))


def _amounts(records: list[Dated[Exposure]], later: list[Instant], weights: _Weights) -> Iterable[Amount]:
    """Yield what the records of a course say; an order ends with a stop, or where one of a later day replaces it."""
    for dated in records:
        content = dated.content
        if content.is_stop:
            continue
        day = local_day(dated.at.earliest, dated.utc_offset_minutes)
        ends = [local_day(instant, dated.utc_offset_minutes) for instant in later]
        if content.end is not None:
            ends.append(local_day(content.end.latest, dated.utc_offset_minutes))
        elif content.kind is ExposureKind.ADMINISTRATION:
            ends.append(local_day(dated.at.latest, dated.utc_offset_minutes))
        if content.kind is not ExposureKind.ADMINISTRATION:
            ends += _last_days_of_order(dated, day, records)
        mg, mg_per_kg, per_day = _dose_of(content, _weight_at(weights, dated.at.latest))
        last_day = max(day, min(ends)) if ends else None
        yield Amount(dated.at, content.kind, day, last_day, mg, mg_per_kg, per_day)


def _last_days_of_order(
    order: Dated[Exposure], day: int, records: Iterable[Dated[Exposure]]
) -> Iterable[int]:
    """Yield the days of the stops that end an order, and the days before those that replace it."""
    for other in records:
        ends_on = local_day(other.at.latest, other.utc_offset_minutes)
        if other.content.is_stop:
            if other.at.earliest > order.at.earliest:
                yield ends_on
        elif other.content.kind is order.content.kind and (
            local_day(other.at.earliest, other.utc_offset_minutes) > day
        ):
            yield ends_on - 1


def _dose_of(
    content: Exposure, weight_kg: Decimal | None
) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """Return one dose in mg and in mg/kg, and how often a day; a dose per kg is the sender's before ours."""
    dose = content.dose
    if dose is None:
        return None, None, None
    mg, mg_per_kg = dose.amount_mg, dose.amount_mg_per_kg
    if mg is None and mg_per_kg is not None and weight_kg is not None:
        mg = EXACT.multiply(mg_per_kg, weight_kg)
    elif mg_per_kg is None and mg is not None and weight_kg is not None:
        mg_per_kg = EXACT.divide(mg, weight_kg)
    return mg, mg_per_kg, dose.per_day


# Doses day by day --------------------------------------------------------------------------------------------------


def taken_on(day: int, courses: Iterable[TreatmentCourse], unit: Unit) -> Decimal | None:
    """Return how much was taken on a day: 0 when nothing was, None when it is not known.

    Steroids count as prednisone.
    """
    total = _NONE_GIVEN
    by_drug: dict[str, tuple[Treatment, list[Amount]]] = {}
    for course in courses:
        taken = [amount for amount in course.amounts if amount.covers(day)]
        if taken:
            by_drug.setdefault(course.treatment.name, (course.treatment, []))[1].extend(taken)
    for treatment, amounts in by_drug.values():
        taken_of_drug = _taken_of_drug(amounts, unit)
        if taken_of_drug is None:
            return None
        equivalent = treatment.prednisone_equivalent
        factor = _ONCE if equivalent is None else equivalent.value
        total = EXACT.add(total, EXACT.multiply(taken_of_drug, factor))
    return total


def _taken_of_drug(amounts: Sequence[Amount], unit: Unit) -> Decimal | None:
    """Return a day's dose of one drug: the highest that its doses, orders or statements tell.

    Doses that are known stand for themselves, whatever an order leaves open.
    """
    given = [amount for amount in amounts if amount.kind is ExposureKind.ADMINISTRATION]
    told = _sum_of_doses(given, unit) if given else None
    if given and told is None:
        return None
    others = [
        _sum_of_orders([amount for amount in amounts if amount.kind is kind], unit)
        for kind in ExposureKind
        if kind is not ExposureKind.ADMINISTRATION and any(amount.kind is kind for amount in amounts)
    ]
    if told is None and None in others:
        return None
    return max(dose for dose in (told, *others) if dose is not None)


def _sum_of_doses(given: Sequence[Amount], unit: Unit) -> Decimal | None:
    """Sum the doses of a day; one that says how often a day it is given may be the record of all of them."""
    total, highest = _NONE_GIVEN, _NONE_GIVEN
    for amount in given:
        dose = unit(amount)
        if dose is None:
            return None
        total = EXACT.add(total, dose)
        highest = max(highest, EXACT.multiply(dose, amount.per_day or _ONCE))
    return max(total, highest)


def _sum_of_orders(ordered: Sequence[Amount], unit: Unit) -> Decimal | None:
    total = _NONE_GIVEN
    for amount in ordered:
        dose = unit(amount)
        if dose is None or amount.per_day is None:
            return None
        total = EXACT.add(total, EXACT.multiply(dose, amount.per_day))
    return total


# Withdrawal --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Hold which treatment was stopped or cut, and when."""

    drug: str
    kind: TreatmentKind
    manner: Manner
    at: Instant


def recent_withdrawal(
    treatments: TreatmentCourses, at: Instant, utc_offset_minutes: int, rulebook: Rulebook
) -> Withdrawal | None:
    """Return the last stop, or dose cut of 25 % or more, of a treatment at most 14 days before an instant, or None.

    Drugs of one kind are one treatment, steroids as prednisone: a change of drug at the same dose is no withdrawal,
    nor is a treatment that was restarted at its dose. Cuts add up within the days. Days are calendar days at the
    facility; source of the numbers: UNCONFIRMED.
    """
    found = [
        withdrawal
        for kind in TreatmentKind
        if (withdrawal := _withdrawal(treatments.of_kind(kind), at, utc_offset_minutes, rulebook)) is not None
    ]
    return max(found, key=lambda withdrawal: (withdrawal.at, withdrawal.kind), default=None)


def ended_at(course: TreatmentCourse, at: Instant, rulebook: Rulebook) -> Instant | None:
    """Return when a course had ended by an instant, or None while it may go on.

    Doses without a recorded stop have ended when the next one did not come; an anti-IL-5 antibody ends when its
    effect on the count does.
    """
    given_until = _given_until(course, at)
    if given_until is None:
        return None
    if course.treatment.kind is TreatmentKind.ANTI_IL5:
        effect_ends = after_days(given_until, masking_days(course.treatment, rulebook))
        return effect_ends if effect_ends < at else None
    if given_until == course.course.stopped_at:
        return given_until if given_until <= at else None
    interval = rulebook.parameters.treatment_interval_hours.value * MICROSECONDS_PER_HOUR
    return given_until if given_until + interval < at else None


def _given_until(course: TreatmentCourse, at: Instant) -> Instant | None:
    """Return until when a course was given as far as an instant shows: what was taken up again later had ended."""
    until = course.course.given_until
    if until is None or until <= at or course.course.first_dose is None:
        return until
    day = local_day(at, course.course.utc_offset_minutes)
    taken = [amount for amount in course.amounts if amount.kind in _TAKEN and amount.at.earliest <= at]
    if any(amount.covers(day) for amount in taken):
        return until
    return max((amount.at.latest for amount in taken), default=until)


def masking_days(treatment: Treatment, rulebook: Rulebook) -> int:
    """Return for how many days after its last dose a treatment hides eosinophils."""
    if treatment.masking_days is not None:
        return treatment.masking_days.value
    parameters = rulebook.parameters
    if treatment.kind is TreatmentKind.ANTI_IL5:
        return parameters.masking_anti_il5_days.value
    return parameters.masking_after_treatment_days.value


def _withdrawal(
    courses: Sequence[TreatmentCourse], at: Instant, utc_offset_minutes: int, rulebook: Rulebook
) -> Withdrawal | None:
    begun = [course for course in courses if course.course.first.earliest < at]
    if not begun:
        return None
    ends = [(ended_at(course, at, rulebook), course) for course in begun]
    if any(end is None for end, _ in ends):
        return _cut(begun, at, utc_offset_minutes, rulebook)
    end, last = max(
        ((end, course) for end, course in ends if end is not None),
        key=lambda pair: (pair[0], pair[1].treatment.name),
    )
    days = local_day(at, utc_offset_minutes) - local_day(end, last.course.utc_offset_minutes)
    if days > rulebook.parameters.withdrawal_days.value:
        return None
    kind = last.treatment.kind
    manner = Manner.WORE_OFF if kind is TreatmentKind.ANTI_IL5 else Manner.STOP
    return Withdrawal(last.treatment.name, kind, manner, end)


def _cut(
    courses: Sequence[TreatmentCourse], at: Instant, utc_offset_minutes: int, rulebook: Rulebook
) -> Withdrawal | None:
    """Return the first day since the highest dose on which it had fallen far enough, and stayed there."""
    unit, doses = _doses_before(courses, local_day(at, utc_offset_minutes), rulebook)
    if not doses:
        return None
    highest_on, highest = max(doses, key=lambda pair: (pair[1], pair[0]))
    left = EXACT.subtract(_PERCENT, rulebook.parameters.withdrawal_cut_percent.value)
    most = EXACT.multiply(highest, left).scaleb(-2, EXACT)
    if doses[-1][1] > most:
        return None
    last_above = max(day for day, dose in doses if dose > most)
    cut_on = min(day for day, _ in doses if day > last_above)
    drug = max(
        sorted({course.treatment.name for course in courses}),
        key=lambda name: _fall(name, highest_on, cut_on, courses, unit),
    )
    begun = [a.at.earliest for course in courses for a in course.amounts if a.first_day == cut_on]
    start = Instant(cut_on * MICROSECONDS_PER_DAY - utc_offset_minutes * MICROSECONDS_PER_MINUTE)
    return Withdrawal(drug, courses[0].treatment.kind, Manner.CUT, min(begun, default=start))


def _fall(drug: str, before: int, after: int, courses: Sequence[TreatmentCourse], unit: Unit) -> Decimal:
    """Return by how much the dose of one drug fell between two days on which the doses are known."""
    own = [course for course in courses if course.treatment.name == drug]
    high, low = taken_on(before, own, unit), taken_on(after, own, unit)
    return EXACT.subtract(high or _NONE_GIVEN, low or _NONE_GIVEN)


def _doses_before(
    courses: Sequence[TreatmentCourse], today: int, rulebook: Rulebook
) -> tuple[Unit, list[tuple[int, Decimal]]]:
    """Return the doses of the days before today, and the last one before those, in a unit in which all are known.

    Today is not over, so that its doses may still come. Days without a dose are left out: a course has gaps.
    """
    parameters = rulebook.parameters
    first = today - parameters.withdrawal_days.value
    lowest = first - max(course.course.gap_days for course in courses)
    for unit in (in_mg, in_mg_per_kg):
        doses: list[tuple[int, Decimal | None]] = []
        for day in range(today - 1, lowest - 1, -1):
            dose = taken_on(day, courses, unit)
            if dose != 0:
                doses.append((day, dose))
                if day < first:
                    break
        known = [(day, dose) for day, dose in reversed(doses) if dose is not None]
        if known and len(known) == len(doses):
            return unit, known
    return in_mg, []
