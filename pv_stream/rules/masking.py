"""Masking: when a treatment hides eosinophils, and when it holds a reaction down whose drug goes on.

Under a masking treatment a low count says nothing, while a high one counts. Under an anti-IL-5 antibody, with a
suspect drug going on, the absence of signs is no resolution either: the reaction is under control, no more. What may
mask is taken to mask, since unknown is never "no".
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pv_stream.domain.codes import ExposureKind, TreatmentKind
from pv_stream.domain.times import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_MINUTE,
    Instant,
    Interval,
    local_day,
)
from pv_stream.rules.courses import Course, window_position
from pv_stream.rules.episodes import Courses, Span, positive_evidence
from pv_stream.rules.items import is_positive
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.timeline import Control, Timeline
from pv_stream.rules.treatments import (
    Amount,
    TreatmentCourse,
    TreatmentCourses,
    in_mg_per_kg,
    masking_days,
    taken_on,
)


def with_masking(
    timeline: Timeline, courses: Courses, treatments: TreatmentCourses, rulebook: Rulebook
) -> Timeline:
    """Return the timeline with the drugs that mask each count, and the periods in which a reaction is held down."""
    if not treatments.courses:
        return timeline
    counts = (
        replace(count, masked_by=masking_drugs(treatments, count.at, count.utc_offset_minutes, rulebook))
        for count in timeline.counts
    )
    control = tuple(_control(timeline, courses, treatments, rulebook))
    return replace(timeline, counts=tuple(counts), control=control)


def masking_drugs(
    treatments: TreatmentCourses, at: Interval, utc_offset_minutes: int, rulebook: Rulebook
) -> tuple[str, ...]:
    """Return the drugs that mask at an instant, in order of name.

    Within 28 days after an anti-IL-5 dose (benralizumab 90), or during and for 7 days after cyclosporine or a systemic
    steroid of 0.5 mg/kg prednisone-equivalent a day or more; days are calendar days at the facility. Source of the
    numbers: UNCONFIRMED.
    """
    today = local_day(at.earliest, utc_offset_minutes)
    masking = {
        course.treatment.name
        for kind in (TreatmentKind.ANTI_IL5, TreatmentKind.CYCLOSPORINE)
        for course in treatments.of_kind(kind)
        if _masks(course, at, today, rulebook)
    }
    steroids = treatments.of_kind(TreatmentKind.STEROID)
    return tuple(sorted(masking | _masking_steroids(steroids, at, today, rulebook)))


def masking_of(span: Span, treatments: TreatmentCourses, rulebook: Rulebook) -> tuple[str, ...]:
    """Return the drugs that mask at the last evidence of an episode, or hide its last count, in order of name."""
    last = span.last
    masking = masking_drugs(treatments, last.at, last.utc_offset_minutes, rulebook)
    counts = [count for count in span.timeline.counts if count.counts]
    hiding = counts[-1].masked_by if counts and not is_positive(counts[-1], rulebook.parameters) else ()
    return tuple(sorted({*masking, *hiding}))


def _masks(course: TreatmentCourse, at: Interval, today: int, rulebook: Rulebook) -> bool:
    days = masking_days(course.treatment, rulebook)
    return any(
        amount.at.earliest <= at.latest and (amount.last_day is None or today - amount.last_day <= days)
        for amount in _taken(course)
    )


def _taken(course: TreatmentCourse) -> Sequence[Amount]:
    """Return what was taken: an order of an antibody says nothing more once a dose of it is recorded."""
    if course.treatment.kind is not TreatmentKind.ANTI_IL5 or course.course.first_dose is None:
        return course.amounts
    doses = {ExposureKind.ADMINISTRATION, ExposureKind.STATEMENT}
    return [amount for amount in course.amounts if amount.kind in doses]


def _masking_steroids(
    steroids: Sequence[TreatmentCourse], at: Interval, today: int, rulebook: Rulebook
) -> set[str]:
    """Return the steroids of the days on which all of them together reached the dose, or may have."""
    near = _near(steroids, at, today, rulebook)
    if not near:
        return set()
    least = rulebook.parameters.masking_steroid_mg_per_kg_day.value
    days = max(masking_days(course.treatment, rulebook) for course in near)
    last = today + (at.latest - at.earliest) // MICROSECONDS_PER_DAY
    masking: set[str] = set()
    for day in _days_of_change(near, today - days, last):
        dose = taken_on(day, near, in_mg_per_kg)
        if dose is None or dose >= least:
            masking.update(c.treatment.name for c in near if any(a.covers(day) for a in c.amounts))
    return masking


def _days_of_change(steroids: Iterable[TreatmentCourse], first: int, last: int) -> Iterable[int]:
    """Return the first day and each on which what is taken may change: in between every day is like the one before."""
    changes = {first}
    for course in steroids:
        for amount in course.amounts:
            changes.add(amount.first_day)
            if amount.last_day is not None:
                changes.add(amount.last_day + 1)
    return sorted(day for day in changes if first <= day <= last)


def _near(
    steroids: Iterable[TreatmentCourse], at: Interval, today: int, rulebook: Rulebook
) -> list[TreatmentCourse]:
    """Return the courses with only those amounts that may still mask: most of a long course is long ago."""
    near = []
    for course in steroids:
        first = today - masking_days(course.treatment, rulebook)
        amounts = tuple(
            amount
            for amount in course.amounts
            if amount.at.earliest <= at.latest and (amount.last_day is None or amount.last_day >= first)
        )
        if amounts:
            near.append(replace(course, amounts=amounts))
    return near


# Control -----------------------------------------------------------------------------------------------------------


def _control(
    timeline: Timeline, courses: Courses, treatments: TreatmentCourses, rulebook: Rulebook
) -> Iterable[Control]:
    """Yield when an anti-IL-5 antibody acted while a drug went on under which something was seen."""
    antibodies = treatments.of_kind(TreatmentKind.ANTI_IL5)
    if not antibodies:
        return
    begun = _suspected_since(timeline, courses, rulebook)
    for antibody in antibodies:
        days = masking_days(antibody.treatment, rulebook)
        offset = antibody.course.utc_offset_minutes
        for amount in _taken(antibody):
            ends = None if amount.last_day is None else _end_of_day(amount.last_day + days, offset)
            for drug in sorted(begun):
                for course in courses[drug]:
                    since = max(amount.at.earliest, course.first.earliest)
                    until = _earlier(ends, _may_go_on_until(course))
                    seen = until is None or begun[drug] <= until
                    if seen and (until is None or since <= until):
                        yield Control(antibody.treatment.name, since, until)


def _suspected_since(timeline: Timeline, courses: Courses, rulebook: Rulebook) -> dict[str, Instant]:
    """Return the first positive evidence in the window of each drug that has any."""
    since: dict[str, Instant] = {}
    for evidence in positive_evidence(timeline, rulebook):
        for drug in courses:
            if drug not in since and any(
                window_position(course, evidence.at, evidence.utc_offset_minutes, rulebook) is not None
                for course in courses[drug]
            ):
                since[drug] = evidence.at.earliest
    return since


def _may_go_on_until(course: Course) -> Instant | None:
    """Return until when a drug may have been taken: to its recorded stop, else a gap beyond its last record."""
    if course.stopped_at is not None:
        return Instant(course.stopped_at - 1)
    until = course.covered_until
    if until is None:
        return None
    return _end_of_day(
        local_day(until, course.utc_offset_minutes) + course.gap_days, course.utc_offset_minutes
    )


def _end_of_day(day: int, utc_offset_minutes: int) -> Instant:
    return Instant((day + 1) * MICROSECONDS_PER_DAY - utc_offset_minutes * MICROSECONDS_PER_MINUTE - 1)


def _earlier(one: Instant | None, other: Instant | None) -> Instant | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
