"""Baselines: what was abnormal before a drug was begun, and so says less about the drug.

A high eosinophil count before the course (imatinib treats hypereosinophilic syndrome; parasites, atopy) keeps counts
alone at info until they double. An organ value that was raised before the course must double to be a sign. What was
measured in an earlier episode or in the window of a watched drug may itself be the reaction: it is no baseline.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from pv_stream.domain.times import Instant, Interval, local_day
from pv_stream.rules.courses import Course, window_position
from pv_stream.rules.episodes import Courses, Span
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.timeline import EXACT, EosinophilCount, Sign, SignKind, Timeline


def eosinophil_baseline(
    course: Course,
    counts: Sequence[EosinophilCount],
    courses: Courses,
    earlier: Iterable[Span],
    rulebook: Rulebook,
) -> Decimal | None:
    """Return the last count per microlitre before a course, or None when there is none that may be a baseline.

    `counts` are all of the patient, `earlier` the spans of the earlier candidate and published episodes.
    """
    days = rulebook.parameters.eosinophil_baseline_days.value
    taken = [(span.opening.at.earliest, span.last.at.earliest) for span in earlier]
    for count in reversed(counts):
        if not count.counts or not _is_before(count.at, count.utc_offset_minutes, course, days):
            continue
        inside = any(opening <= count.at.earliest <= last for opening, last in taken)
        if not inside and not _is_in_window(count.at, count.utc_offset_minutes, courses, rulebook):
            return min(reading.low for reading in count.counts)
    return None


def has_multiplied(counts: Iterable[EosinophilCount], baseline: Decimal, rulebook: Rulebook) -> bool:
    """Tell whether a count reached `eosinophil_baseline_factor` times the baseline."""
    least = EXACT.multiply(baseline, rulebook.parameters.eosinophil_baseline_factor.value)
    return any(count.alert is not None and count.alert.low >= least for count in counts)


def with_organ_baselines(timeline: Timeline, courses: Courses, rulebook: Rulebook) -> Timeline:
    """Return the timeline in which a raised organ value is a sign only where it is not what it was before the drug.

    A value in the windows of several courses is a sign when it is one for any of them.
    """
    values = [sign for sign in timeline.signs if _is_organ_value(sign)]
    raised_before = _raised_before(values, courses, rulebook)
    if not raised_before:
        return timeline
    factor = rulebook.parameters.organ_baseline_factor.value
    signs = tuple(
        replace(sign, positive=False)
        if _is_organ_value(sign)
        and sign.positive
        and _is_as_before(sign, raised_before, courses, factor, rulebook)
        else sign
        for sign in timeline.signs
    )
    return replace(timeline, signs=signs)


def _is_organ_value(sign: Sign) -> bool:
    return sign.kind is SignKind.ORGAN and sign.value is not None


#: A value's name, with the drug and the number of a course.
_Baseline = tuple[str, str, int]


def _raised_before(
    values: Sequence[Sign], courses: Courses, rulebook: Rulebook
) -> Mapping[_Baseline, Decimal]:
    """Return the raised values that were the last of their kind before their courses."""
    days = rulebook.parameters.organ_baseline_days.value
    last: dict[_Baseline, Sign] = {}
    for sign in values:
        if _is_in_window(sign.at, sign.utc_offset_minutes, courses, rulebook):
            continue
        for drug in courses:
            for course in courses[drug]:
                if _is_before(sign.at, sign.utc_offset_minutes, course, days):
                    last[sign.label, drug, course.index] = sign
    return {key: sign.value for key, sign in last.items() if sign.positive and sign.value is not None}


def _is_as_before(
    sign: Sign,
    raised_before: Mapping[_Baseline, Decimal],
    courses: Courses,
    factor: Decimal,
    rulebook: Rulebook,
) -> bool:
    assert sign.value is not None
    windows = [
        (sign.label, drug, course.index)
        for drug in courses
        for course in courses[drug]
        if window_position(course, sign.at, sign.utc_offset_minutes, rulebook) is not None
    ]
    return bool(windows) and all(
        window in raised_before and sign.value < EXACT.multiply(factor, raised_before[window])
        for window in windows
    )


def _is_before(at: Interval, utc_offset_minutes: int, course: Course, days: int) -> bool:
    """Tell whether something surely lies before a course, at most some calendar days."""
    return at.latest < course.first.earliest and _days_until(at.earliest, utc_offset_minutes, course) <= days


def _days_until(at: Instant, utc_offset_minutes: int, course: Course) -> int:
    return local_day(course.first.earliest, course.utc_offset_minutes) - local_day(at, utc_offset_minutes)


def _is_in_window(at: Interval, utc_offset_minutes: int, courses: Courses, rulebook: Rulebook) -> bool:
    return any(
        window_position(course, at, utc_offset_minutes, rulebook) is not None
        for drug in courses
        for course in courses[drug]
    )
