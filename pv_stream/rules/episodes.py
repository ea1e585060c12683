"""Episodes: which evidence belongs together, when it began, resolved, and when it will close.

Positive evidence in order of time is cut into spans. A span ends where a resolution was documented, or where
nothing was positive for `disease_free_days` and that is more than silence: an alerting episode needs its signs
documented as gone, or a watched drug begun since in a patient who was observed, for no data is not "no reaction".
Anything less, and counts without a sign, may be cut by the gap alone. What a span means (suspects, score, tier) is
not known here: the caller says whether it alerts.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Final

from pv_stream.domain.assessment import Closing
from pv_stream.domain.codes import FindingCode, Presence
from pv_stream.domain.facts import Report
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_MINUTE,
    Instant,
    Interval,
    after_days,
    local_day,
)
from pv_stream.rules.courses import Course, window_position
from pv_stream.rules.items import is_positive
from pv_stream.rules.reports import names_dress, placed
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.timeline import Dated, EosinophilCount, Sign, SignKind, Timeline
from pv_stream.rules.treatments import TreatmentCourses, recent_withdrawal

Courses = Mapping[str, tuple[Course, ...]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Hold one piece of positive evidence: a sign, an eosinophil count, or a reaction reported as DRESS."""

    at: Interval
    utc_offset_minutes: int
    keys: tuple[FactKey, ...]
    source: Sign | EosinophilCount | Dated[Report]

    @property
    def is_reaction(self) -> bool:
        """Tell whether it shows a reaction by itself, as a sign or a report does and a count does not."""
        return not isinstance(self.source, EosinophilCount)


@dataclass(frozen=True, slots=True)
class Span:
    """Hold the evidence of one episode and the part of the timeline from its opening to the next episode."""

    evidence: tuple[Evidence, ...]
    timeline: Timeline

    @property
    def opening(self) -> Evidence:
        """Return the first evidence."""
        return self.evidence[0]

    @property
    def last(self) -> Evidence:
        """Return the last evidence."""
        return self.evidence[-1]

    @property
    def onset(self) -> Evidence:
        """Return the first sign or reported reaction; without one the first evidence."""
        return next((evidence for evidence in self.evidence if evidence.is_reaction), self.opening)

    @property
    def last_data(self) -> Instant:
        """Return when something was last measured or documented, whatever it was."""
        measured = (dated.at.earliest for dated in self.timeline.measurements)
        documented = (dated.at.earliest for dated in self.timeline.findings)
        return max((self.last.at.earliest, *measured, *documented))

    @property
    def reports(self) -> tuple[Dated[Report], ...]:
        """Return the reports of DRESS among the evidence."""
        return tuple(e.source for e in self.evidence if isinstance(e.source, Dated))


@dataclass(frozen=True, slots=True)
class Ending:
    """Hold when a span resolved, as documented, and when it closes and why."""

    resolved_at: Instant | None
    closing: Closing
    closes_at: Instant


def find_spans(
    timeline: Timeline,
    courses: Courses,
    treatments: TreatmentCourses,
    rulebook: Rulebook,
    alerts: Callable[[Span], bool],
) -> list[Span]:
    """Cut a timeline into the spans of its episodes, in order of time.

    A flare is an episode of its own only where it alerts by itself: what is less belongs to the one before it.
    """
    pieces: list[_Piece] = []
    current: list[Evidence] = []
    fallen: list[Evidence] = []
    start: Instant | None = None
    is_flare: bool = False
    for evidence in positive_evidence(timeline, rulebook):
        if current:
            if _is_falling_after_resolution(evidence, current, fallen, timeline, courses, rulebook):
                fallen.append(evidence)
                continue
            anew = _begins_anew(evidence, current, start, timeline, courses, rulebook, alerts)
            # A span is cut only where it is asked for: most evidence goes on with its episode.
            cut = partial(_span, current, timeline, start, evidence.at.earliest)
            flares = (
                not anew and _is_flare(evidence, current, timeline, treatments, rulebook) and alerts(cut())
            )
            if anew or flares:
                _add(pieces, _Piece(current, start), is_own=not is_flare or alerts(cut()))
                start = Instant(current[-1].at.earliest + 1)
                current, fallen, is_flare = [], [], flares
        current.append(evidence)
    if current:
        is_own = not is_flare or alerts(_span(current, timeline, start, None))
        _add(pieces, _Piece(current, start), is_own=is_own)
    ends = [*(piece.evidence[0].at.earliest for piece in pieces[1:]), None]
    return [
        _span(piece.evidence, timeline, piece.start, end) for piece, end in zip(pieces, ends, strict=False)
    ]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Hold the evidence of a span in the making, and where its part of the timeline begins at the earliest."""

    evidence: list[Evidence]
    start: Instant | None


def _add(pieces: list[_Piece], piece: _Piece, *, is_own: bool) -> None:
    """Add a piece, or its evidence to the one before it."""
    if is_own:
        pieces.append(piece)
    else:
        before = pieces.pop()
        pieces.append(_Piece([*before.evidence, *piece.evidence], before.start))


def positive_evidence(timeline: Timeline, rulebook: Rulebook) -> list[Evidence]:
    """Return all signs, raised counts and reports of DRESS, in order of time."""
    positive = [
        *(Evidence(s.at, s.utc_offset_minutes, (s.key,), s) for s in timeline.signs if s.positive),
        *(
            Evidence(c.at, c.utc_offset_minutes, c.keys, c)
            for c in timeline.counts
            if is_positive(c, rulebook.parameters)
        ),
    ]
    reports = [reported for reported in timeline.reports if names_dress(reported)]
    if reports:
        times = sorted(evidence.at for evidence in positive)
        positive += (
            Evidence(placed(reported, times), reported.utc_offset_minutes, (reported.key,), reported)
            for reported in reports
        )
    return sorted(positive, key=lambda evidence: (evidence.at, evidence.keys))


def _span(evidence: list[Evidence], timeline: Timeline, start: Instant | None, end: Instant | None) -> Span:
    """Return a span that begins with its opening's day, so that the same morning's normal results belong to it."""
    opening = evidence[0]
    day = local_day(opening.at.earliest, opening.utc_offset_minutes)
    morning = Instant(day * MICROSECONDS_PER_DAY - opening.utc_offset_minutes * MICROSECONDS_PER_MINUTE)
    return Span(tuple(evidence), between(timeline, morning if start is None else max(morning, start), end))


def between(timeline: Timeline, start: Instant | None, end: Instant | None) -> Timeline:
    """Return the part of a timeline from an instant up to, not including, another; exposures and held stay whole."""

    def inside(at: Interval) -> bool:
        return (start is None or at.earliest >= start) and (end is None or at.earliest < end)

    return replace(
        timeline,
        counts=tuple(count for count in timeline.counts if inside(count.at)),
        signs=tuple(sign for sign in timeline.signs if inside(sign.at)),
        temperatures=tuple(dated for dated in timeline.temperatures if inside(dated.at)),
        measurements=tuple(dated for dated in timeline.measurements if inside(dated.at)),
        findings=tuple(dated for dated in timeline.findings if inside(dated.at)),
        resolutions=tuple(at for at in timeline.resolutions if inside(at)),
    )


def _is_falling_after_resolution(  # noqa: PLR0913 - the walk's state, as below
    evidence: Evidence,
    current: list[Evidence],
    fallen: list[Evidence],
    timeline: Timeline,
    courses: Courses,
    rulebook: Rulebook,
) -> bool:
    """Tell whether a value after a documented resolution is only on its way down: not worsening, not persistence.

    Only for `disease_free_days`, and never a fever, which is new each time. What was normal or lower meanwhile has
    risen again, and what is seen under a drug begun since is news. `fallen` is what fell already.
    """
    last = current[-1]
    resolved_at = _documented_resolution(timeline, last.at.earliest, evidence.at.earliest)
    if resolved_at is None or _is_fever(evidence):
        return False
    free_days = rulebook.parameters.disease_free_days.value
    if _days_between(resolved_at, last.utc_offset_minutes, evidence) >= free_days:
        return False
    value = _value(evidence)
    said = reversed([*current, *fallen])
    before = next((_value(e) for e in said if _measure(e) == _measure(evidence)), None)
    if value is None or before is None or value > before:
        return False
    return not (
        _was_normal_between(last, evidence, timeline, rulebook)
        or _is_under_new_course(evidence, last, timeline, courses, rulebook)
    )


def _is_fever(evidence: Evidence) -> bool:
    return isinstance(evidence.source, Sign) and evidence.source.kind is SignKind.FEVER


def _was_normal_between(last: Evidence, evidence: Evidence, timeline: Timeline, rulebook: Rulebook) -> bool:
    if isinstance(evidence.source, Sign):
        normal = [s.at for s in timeline.signs if s.label == evidence.source.label and not s.positive]
    else:
        normal = [c.at for c in timeline.counts if _is_normal(c, rulebook)]
    return any(last.at.earliest < at.earliest < evidence.at.earliest for at in normal)


def _value(evidence: Evidence) -> Decimal | None:
    match evidence.source:
        case Sign(value=value):
            return value
        case EosinophilCount(alert=alert):
            return None if alert is None else alert.low
        case Dated():
            return None


def _measure(evidence: Evidence) -> str:
    match evidence.source:
        case Sign(label=label):
            return label
        case EosinophilCount():
            return "eosinophils"
        case Dated():
            return "report"


def _begins_anew(  # noqa: PLR0913 - the walk's whole state; a class would hide that it has none of its own
    evidence: Evidence,
    current: list[Evidence],
    start: Instant | None,
    timeline: Timeline,
    courses: Courses,
    rulebook: Rulebook,
    alerts: Callable[[Span], bool],
) -> bool:
    last = current[-1]
    if evidence.at.earliest == last.at.earliest:
        return False
    if _documented_resolution(timeline, last.at.earliest, evidence.at.earliest) is not None:
        return True
    free_days = rulebook.parameters.disease_free_days.value
    if _days_between(last.at.earliest, last.utc_offset_minutes, evidence) < free_days:
        return False
    span = _span(current, timeline, start, evidence.at.earliest)
    quiet_since = _quiet_since(span, rulebook)
    if quiet_since is not None and _days_between(quiet_since, last.utc_offset_minutes, evidence) >= free_days:
        return True
    if timeline.is_controlled(evidence.at.earliest):
        return False
    if not alerts(span) or not any(e.is_reaction for e in current):
        return True
    if _is_under_new_course(evidence, last, timeline, courses, rulebook):
        return True
    return _last_observed(timeline, last.at.earliest, rulebook) < evidence.at.earliest


def _is_flare(
    evidence: Evidence,
    current: list[Evidence],
    timeline: Timeline,
    treatments: TreatmentCourses,
    rulebook: Rulebook,
) -> bool:
    """Tell whether a reaction that had improved is worse again soon after a treatment was stopped or cut.

    Improved is a rash documented as better or gone. What an anti-IL-5 antibody held down only shows again.
    """
    at = evidence.at.earliest
    if not treatments.courses or timeline.is_controlled(at):
        return False
    return (
        _has_improved(timeline, current[0].at.earliest, at)
        and _is_worse(evidence, current, timeline, rulebook)
        and recent_withdrawal(treatments, at, evidence.utc_offset_minutes, rulebook) is not None
    )


_IMPROVEMENTS: Final = frozenset(
    {(FindingCode.RASH_IMPROVED, Presence.PRESENT), (FindingCode.RASH, Presence.ABSENT)}
)


def _has_improved(timeline: Timeline, after: Instant, before: Instant) -> bool:
    return any(
        (dated.content.code, dated.content.presence) in _IMPROVEMENTS
        and after < dated.at.earliest
        and dated.at.latest < before
        for dated in timeline.findings
    )


def _is_worse(evidence: Evidence, current: list[Evidence], timeline: Timeline, rulebook: Rulebook) -> bool:
    """Tell whether evidence is a new sign, one that was gone meanwhile, or a higher value than the last.

    A fever is worse only when it was gone, and a report is no sign.
    """
    if isinstance(evidence.source, Dated):
        return False
    before = next((e for e in reversed(current) if _measure(e) == _measure(evidence)), None)
    if before is None or _was_normal_between(before, evidence, timeline, rulebook):
        return True
    value, last_value = _value(evidence), _value(before)
    return value is not None and last_value is not None and value > last_value and not _is_fever(evidence)


def _is_under_new_course(
    evidence: Evidence, last: Evidence, timeline: Timeline, courses: Courses, rulebook: Rulebook
) -> bool:
    """Tell whether a watched drug was begun since the last evidence, the patient being observed meanwhile."""
    begun = any(
        last.at.earliest < course.first.earliest <= evidence.at.earliest
        and window_position(course, evidence.at, evidence.utc_offset_minutes, rulebook) is not None
        for drug in courses
        for course in courses[drug]
    )
    after = bisect_right(timeline.data_times, last.at.earliest)
    return begun and timeline.data_times[after] < evidence.at.earliest


def _days_between(earlier: Instant, utc_offset_minutes: int, evidence: Evidence) -> int:
    return local_day(evidence.at.earliest, evidence.utc_offset_minutes) - local_day(
        earlier, utc_offset_minutes
    )


def _documented_resolution(timeline: Timeline, after: Instant, before: Instant | None) -> Instant | None:
    """Return the latest instant that the first documented resolution between two instants may mean, if there is one.

    One known only by its day is after a sign of that day, and is not before another. What a treatment may only hold
    down is not resolved.
    """
    for at in timeline.resolutions:
        inside = at.latest >= after and (before is None or at.latest < before)
        if inside and not timeline.is_controlled(at.latest):
            return at.latest
    return None


def _quiet_since(span: Span, rulebook: Rulebook) -> Instant | None:
    """Return when the last of the episode's signs and counts was documented as gone, or None.

    Counts alone never make a resolution, so an episode without signs has no such instant. What a treatment may only
    hold down is not gone.
    """
    timeline = span.timeline
    signs = [sign for sign in timeline.signs if sign.positive or not timeline.is_controlled(sign.at.earliest)]
    gone = _signs_gone(signs)
    if not gone:
        return None
    if any(count for count in timeline.counts if is_positive(count, rulebook.parameters)):
        gone.append(_count_gone(timeline.counts, rulebook))
    return None if None in gone else max(instant for instant in gone if instant is not None)


def _signs_gone(signs: Sequence[Sign]) -> list[Instant | None]:
    """Return, for each sign that was ever present, when it was documented as gone."""
    labels = {(sign.kind, sign_track(sign)) for sign in signs if sign.positive}
    return [_sign_gone(signs, kind, track) for kind, track in sorted(labels)]


def sign_track(sign: Sign) -> str:
    """Return what a sign is about, within its kind: the organ, or the sign itself."""
    return sign.organ or sign.label


def _sign_gone(signs: Iterable[Sign], kind: SignKind, track: str) -> Instant | None:
    """Return the first "absent" after the last "present" of a sign; a skin without rash ends all of its signs."""
    gone: Instant | None = None
    for sign in signs:
        if sign.kind is not kind:
            continue
        if sign.positive:
            if sign_track(sign) == track:
                gone = None
        elif gone is None and (sign_track(sign) == track or sign.label == "rash"):
            gone = sign.at.earliest
    return gone


def _count_gone(counts: Iterable[EosinophilCount], rulebook: Rulebook) -> Instant | None:
    gone: Instant | None = None
    for count in counts:
        if is_positive(count, rulebook.parameters):
            gone = None
        elif gone is None and _is_normal(count, rulebook):
            gone = count.at.earliest
    return gone


def _is_normal(count: EosinophilCount, rulebook: Rulebook) -> bool:
    """Tell whether a count says that there is no eosinophilia; a low one under masking does not."""
    return bool(count.counts) and not count.masked_by and not is_positive(count, rulebook.parameters)


def _last_observed(timeline: Timeline, since: Instant, rulebook: Rulebook) -> Instant:
    """Return the last instant with data before a silence too long for the episode to be opened again.

    Lost after `lost_to_observation_days` without data, opened again by data within as many days.
    """
    longest_silence = 2 * rulebook.parameters.lost_to_observation_days.value * MICROSECONDS_PER_DAY
    last = since
    for at in timeline.data_times[bisect_left(timeline.data_times, since) :]:
        if at - last > longest_silence:
            break
        last = at
    return last


def ending(span: Span, rulebook: Rulebook) -> Ending:
    """Return when an episode resolved and when it closes, if nothing new comes."""
    parameters = rulebook.parameters
    resolved_at = _documented_resolution(span.timeline, span.last.at.earliest, None)
    if resolved_at is None:
        resolved_at = _quiet_since(span, rulebook)
    if resolved_at is not None:
        return Ending(
            resolved_at,
            Closing.RESOLVED,
            after_days(resolved_at, parameters.disease_free_days.value),
        )
    last = _last_observed(span.timeline, span.last.at.earliest, rulebook)
    return Ending(
        None,
        Closing.LOST_TO_OBSERVATION,
        after_days(last, parameters.lost_to_observation_days.value),
    )


def is_held_down(span: Span, end: Ending, rulebook: Rulebook) -> bool:
    """Tell whether, by its last data, an episode is held down by a treatment: not resolved, without a sign.

    It takes more than silence: its signs or the reaction documented as gone while a treatment may have held it down,
    or, where only counts were ever raised, a low one. A count that is raised under the treatment says the contrary.
    """
    timeline = span.timeline
    if not timeline.control or end.resolved_at is not None or not timeline.is_controlled(span.last_data):
        return False
    if any(at.latest >= span.last.at.earliest for at in timeline.resolutions):
        return True
    gone = _signs_gone(timeline.signs)
    counts = [count for count in timeline.counts if count.counts]
    raised = [count for count in counts if is_positive(count, rulebook.parameters)]
    is_raised = bool(raised) and raised[-1] is counts[-1]
    if not gone:
        return bool(raised) and not is_raised
    return None not in gone and not (is_raised and timeline.is_controlled(counts[-1].at.earliest))
