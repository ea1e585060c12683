"""Clinical resolution: the treatments of an episode, and how long until fever and rash gave way.

It is the outcome of the published cohort (JMIR Dermatol 2023;6:e41391): a sustained temperature below 38.5 degrees
with the rash improved, in days from the start of the treatment. Whether an episode is over is another question
(`rules.episodes`): blood and organs may lag behind the skin.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from pv_stream.domain.assessment import NOT_TREATED, Treated, TreatmentGiven
from pv_stream.domain.codes import FindingCode, Presence, TreatmentKind
from pv_stream.domain.facts import Finding
from pv_stream.domain.times import MICROSECONDS_PER_HOUR, Instant, local_day
from pv_stream.rules.episodes import Span
from pv_stream.rules.items import is_below
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.timeline import EXACT, SKIN, Dated, Timeline, reading_of
from pv_stream.rules.treatments import TreatmentCourse, TreatmentCourses, ended_at

_HUNDREDTH: Final = Decimal("0.01")


def find_treated(
    span: Span, treatments: TreatmentCourses, until: Instant | None, rulebook: Rulebook
) -> Treated:
    """Return the treatments that were begun in an episode, and when it clinically resolved under the first of them.

    `until` is the opening of the next episode. A treatment that was begun on the day of the first evidence belongs
    to the episode.
    """
    opening = span.opening
    first_day = local_day(opening.at.earliest, opening.utc_offset_minutes)
    given = [
        course
        for course in treatments.courses
        if local_day(course.started, course.course.utc_offset_minutes) >= first_day
        and (until is None or course.started < until)
    ]
    if not given:
        return NOT_TREATED
    resolved_at = clinical_resolution(span.timeline, min(course.started for course in given), rulebook)
    summaries = (
        _given(
            course,
            span.last_data,
            resolved_at,
            _has_prior_steroid(course, opening.at.earliest, treatments, rulebook),
            rulebook,
        )
        for course in given
    )
    return Treated(tuple(sorted(summaries, key=lambda one: (one.started, one.drug))), resolved_at)


def _given(
    course: TreatmentCourse,
    last_data: Instant,
    resolved_at: Instant | None,
    prior_steroid: bool,  # noqa: FBT001 - a field of the result
    rulebook: Rulebook,
) -> TreatmentGiven:
    offset = course.course.utc_offset_minutes
    started_on = local_day(course.started, offset)
    has_ended = course.course.stopped_at is not None or ended_at(course, last_data, rulebook) is not None
    ended = course.course.given_until if has_ended else None
    doses = [amount.mg_per_kg for amount in course.amounts if amount.mg_per_kg is not None]
    return TreatmentGiven(
        drug=course.treatment.name,
        rxnorm=course.treatment.rxnorm,
        kind=course.treatment.kind,
        started=course.started,
        ended=ended,
        days=None if ended is None else local_day(ended, offset) - started_on + 1,
        dose_mg_per_kg=max(doses).quantize(_HUNDREDTH, ROUND_HALF_EVEN, EXACT) if doses else None,
        prior_steroid=prior_steroid,
        days_to_clinical_resolution=(
            None
            if resolved_at is None or resolved_at < course.started
            else local_day(resolved_at, offset) - started_on
        ),
    )


def _has_prior_steroid(
    course: TreatmentCourse, opening: Instant, treatments: TreatmentCourses, rulebook: Rulebook
) -> bool:
    """Tell whether a systemic steroid is recorded before a treatment: in the episode, or stopped shortly before it."""
    offset = course.course.utc_offset_minutes
    for steroid in treatments.of_kind(TreatmentKind.STEROID):
        if steroid.started < course.started:
            ended = steroid.course.given_until
            days = 0 if ended is None else local_day(opening, offset) - local_day(ended, offset)
            if days <= rulebook.parameters.withdrawal_days.value:
                return True
    return False


@dataclass(frozen=True, slots=True)
class _Period:
    """Hold a period in which something held; `ends`, the instant of the contrary, is not inside."""

    begins: Instant
    ends: Instant | None


def clinical_resolution(timeline: Timeline, since: Instant, rulebook: Rulebook) -> Instant | None:
    """Return when the temperature had come down for good and the rash was improved, or None.

    It is dated to the first reading of the sustained period, or to the rash if that came later, and never before
    `since`, the start of the treatment. Improvement that was documented before it says nothing of the treatment.
    """
    improved = [p for p in _rash_improved(timeline.findings) if p.begins >= since]
    found = [
        begins
        for cool in _sustained_below(timeline, rulebook)
        for rash in improved
        if (begins := _both(cool, rash)) is not None
    ]
    return min(found, default=None)


def _both(one: _Period, other: _Period) -> Instant | None:
    begins = max(one.begins, other.begins)
    return None if any(p.ends is not None and p.ends <= begins for p in (one, other)) else begins


def _sustained_below(timeline: Timeline, rulebook: Rulebook) -> Iterable[_Period]:
    """Yield the periods of readings below the bound that last long enough; one that may not be below ends a period."""
    parameters = rulebook.parameters
    hours = parameters.clinical_resolution_hours.value * MICROSECONDS_PER_HOUR
    least = parameters.clinical_resolution_readings_min.value
    below: list[tuple[Instant, Instant]] = []

    def is_sustained() -> bool:
        return len(below) >= least and below[-1][0] - below[0][1] >= hours

    for dated in timeline.temperatures:
        if is_below(reading_of(dated.content), parameters.clinical_resolution_celsius.value):
            below.append((dated.at.earliest, dated.at.latest))
            continue
        if is_sustained():
            yield _Period(below[0][1], dated.at.earliest)
        below.clear()
    if is_sustained():
        yield _Period(below[0][1], None)


def _rash_improved(findings: Sequence[Dated[Finding]]) -> Iterable[_Period]:
    """Yield the periods of an improved rash: said so, or documented as absent; denied, or back, it is not.

    A rash that is present after it was called improved is the same rash, still improved.
    """
    begun: Instant | None = None
    is_absent: bool = False
    for dated in findings:
        code, is_present = dated.content.code, dated.content.presence is Presence.PRESENT
        if (code is FindingCode.RASH_IMPROVED and is_present) or (
            code is FindingCode.RASH and not is_present
        ):
            is_absent = is_absent or code is FindingCode.RASH
            begun = dated.at.latest if begun is None else begun
        elif begun is not None and (
            code is FindingCode.RASH_IMPROVED or (is_absent and is_present and code in SKIN)
        ):
            yield _Period(begun, dated.at.earliest)
            begun, is_absent = None, False
    if begun is not None:
        yield _Period(begun, None)
