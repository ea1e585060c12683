"""Suspects: the watched drugs that an episode may be due to, each with what it was seen with.

A drug is suspect when any positive evidence of the episode lies in the window of one of its courses. Their order
follows latency; `rules.ranking` says how, and what decides among equals.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pv_stream.domain.assessment import Latency
from pv_stream.rules.courses import (
    Course,
    WindowPosition,
    window_position,
)
from pv_stream.rules.episodes import Courses, Evidence, Span
from pv_stream.rules.rulebook import Rulebook

_LATENCY_ORDER: Mapping[Latency, int] = {
    Latency.CORE: 0,
    Latency.REEXPOSURE: 0,
    Latency.SHOULDER: 1,
    Latency.UNKNOWN: 2,
}


@dataclass(frozen=True, slots=True)
class Suspect:
    """Hold one suspect drug, its course, its place in the window, and the evidence inside the window."""

    course: Course
    position: WindowPosition
    evidence: tuple[Evidence, ...]
    began_after_onset: bool

    @property
    def order(self) -> tuple[bool, int, bool]:
        """Return what the rank follows; lower is more suspect."""
        return (
            self.began_after_onset,
            _LATENCY_ORDER[self.position.latency],
            self.course.route_is_unsure,
        )


def find_suspects(span: Span, courses: Courses, rulebook: Rulebook) -> tuple[Suspect, ...]:
    """Return the suspects of an episode, most suspect first, drugs in order of name within a rank."""
    suspects = []
    for drug in sorted(courses):
        suspect = _best_course(span, courses[drug], rulebook)
        if suspect is not None:
            suspects.append(suspect)
    return tuple(sorted(suspects, key=lambda suspect: (suspect.order, suspect.course.drug)))


def _best_course(span: Span, courses: tuple[Course, ...], rulebook: Rulebook) -> Suspect | None:
    """Return the drug as suspect by its latest course that explains evidence, with all evidence it explains."""
    explained: list[Evidence] = []
    best: tuple[Course, WindowPosition, Evidence] | None = None
    for course in courses:
        for evidence in span.evidence:
            position = window_position(course, evidence.at, evidence.utc_offset_minutes, rulebook)
            if position is None:
                continue
            explained.append(evidence)
            if best is None or (best[0].index != course.index and evidence.keys == best[2].keys):
                best = (course, position, evidence)
    if best is None:
        return None
    course, position, first = best
    return Suspect(
        course=course,
        position=position,
        evidence=tuple(explained),
        began_after_onset=first.keys != span.opening.keys and course.first.earliest > span.opening.at.latest,
    )
