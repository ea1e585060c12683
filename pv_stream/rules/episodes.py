"""Episodes: which evidence belongs together, when it began, resolved, and when it will close.

Positive evidence in order of time is cut into spans. A span ends where a resolution was documented, or where
nothing was positive for `disease_free_days` and that is more than silence: an alerting episode needs its signs
documented as gone, since no data is not "no reaction"; anything less is only remembered and may be cut by the gap
alone. What a span means (suspects, score, tier) is not known here: the caller says whether it alerts.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from pv_stream.domain.assessment import Closing
from pv_stream.domain.codes import FindingCode, Presence
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import (
    MICROSECONDS_PER_DAY,
    Instant,
    Interval,
    after_days,
    local_day,
)
from pv_stream.rules.items import is_positive
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.timeline import EosinophilCount, Sign, SignKind, Timeline


@dataclass(frozen=True, slots=True)
class Evidence:
    """Hold one piece of positive evidence: a sign or an eosinophil count."""

    at: Interval
    utc_offset_minutes: int
    keys: tuple[FactKey, ...]
    source: Sign | EosinophilCount


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


@dataclass(frozen=True, slots=True)
class Ending:
    """Hold when a span resolved, as documented, and when it closes and why."""

    resolved_at: Instant | None
    closing: Closing
    closes_at: Instant


def find_spans(timeline: Timeline, rulebook: Rulebook, alerts: Callable[[Span], bool]) -> list[Span]:
    """Cut a timeline into the spans of its episodes, in order of time."""
    spans: list[Span] = []
    current: list[Evidence] = []
    for evidence in _positive_evidence(timeline, rulebook):
        if current and _begins_anew(evidence, current, timeline, rulebook, alerts):
            spans.append(_span(current, timeline, evidence.at.earliest))
            current = []
        current.append(evidence)
    if current:
        spans.append(_span(current, timeline, None))
    return spans


def _positive_evidence(timeline: Timeline, rulebook: Rulebook) -> list[Evidence]:
    positive = [
        *(Evidence(s.at, s.utc_offset_minutes, (s.key,), s) for s in timeline.signs if s.positive),
        *(
            Evidence(c.at, c.utc_offset_minutes, c.keys, c)
            for c in timeline.counts
            if is_positive(c, rulebook.parameters)
        ),
    ]
    return sorted(positive, key=lambda evidence: (evidence.at, evidence.keys))


def _span(evidence: list[Evidence], timeline: Timeline, end: Instant | None) -> Span:
    return Span(tuple(evidence), _between(timeline, evidence[0].at.earliest, end))


def _between(timeline: Timeline, start: Instant, end: Instant | None) -> Timeline:
    def inside(at: Interval) -> bool:
        return at.earliest >= start and (end is None or at.earliest < end)

    return replace(
        timeline,
        counts=tuple(count for count in timeline.counts if inside(count.at)),
        signs=tuple(sign for sign in timeline.signs if inside(sign.at)),
        temperatures=tuple(dated for dated in timeline.temperatures if inside(dated.at)),
        findings=tuple(dated for dated in timeline.findings if inside(dated.at)),
    )


def _begins_anew(
    evidence: Evidence,
    current: list[Evidence],
    timeline: Timeline,
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
    span = _span(current, timeline, evidence.at.earliest)
    if not alerts(span):
        return True
    quiet_since = _quiet_since(span, rulebook)
    if quiet_since is not None and _days_between(quiet_since, last.utc_offset_minutes, evidence) >= free_days:
        return True
    return _last_observed(timeline, last.at.earliest, rulebook) < evidence.at.earliest


def _days_between(earlier: Instant, utc_offset_minutes: int, evidence: Evidence) -> int:
    return local_day(evidence.at.earliest, evidence.utc_offset_minutes) - local_day(
        earlier, utc_offset_minutes
    )


def _documented_resolution(timeline: Timeline, after: Instant, before: Instant | None) -> Instant | None:
    for dated in timeline.findings:
        content, at = dated.content, dated.at.earliest
        if (
            content.code is FindingCode.REACTION_RESOLVED
            and content.presence is Presence.PRESENT
            and at >= after
            and (before is None or at < before)
        ):
            return at
    return None


def _quiet_since(span: Span, rulebook: Rulebook) -> Instant | None:
    """Return when the last of the episode's signs and counts was documented as gone, or None.

    Counts alone never make a resolution, so an episode without signs has no such instant.
    """
    labels = {(sign.kind, _track(sign)) for sign in span.timeline.signs if sign.positive}
    if not labels:
        return None
    gone = [_sign_gone(span.timeline.signs, kind, track) for kind, track in sorted(labels)]
    if any(count for count in span.timeline.counts if is_positive(count, rulebook.parameters)):
        gone.append(_count_gone(span.timeline.counts, rulebook))
    return None if None in gone else max(instant for instant in gone if instant is not None)


def _track(sign: Sign) -> str:
    return sign.organ or sign.label


def _sign_gone(signs: Iterable[Sign], kind: SignKind, track: str) -> Instant | None:
    """Return the first "absent" after the last "present" of a sign; a skin without rash ends all of its signs."""
    gone: Instant | None = None
    for sign in signs:
        if sign.kind is not kind:
            continue
        if sign.positive:
            if _track(sign) == track:
                gone = None
        elif gone is None and (_track(sign) == track or sign.label == "rash"):
            gone = sign.at.earliest
    return gone


def _count_gone(counts: Iterable[EosinophilCount], rulebook: Rulebook) -> Instant | None:
    gone: Instant | None = None
    for count in counts:
        if is_positive(count, rulebook.parameters):
            gone = None
        elif gone is None and count.counts:
            gone = count.at.earliest
    return gone


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
