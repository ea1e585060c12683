"""Appraisal: all criteria side by side for each episode, and its suspects ranked.

RegiSCAR is scored where the episode is drafted, since its tier rests on it; what stands beside it is put together
here, once per episode and after the episodes are related to each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pv_stream.domain.assessment import Culprit
from pv_stream.domain.criteria import Causality, Criteria
from pv_stream.domain.times import exactly
from pv_stream.rules import bocquet, jscar, naranjo, who_umc
from pv_stream.rules.causality import History, exposures_by_key, suspect_case
from pv_stream.rules.episodes import Courses
from pv_stream.rules.judging import Scene, findings_by_code
from pv_stream.rules.ranking import rank
from pv_stream.rules.recurrence import Draft
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Appraisal:
    """Hold the ranked culprits of one episode and its criteria."""

    culprits: tuple[Culprit, ...]
    criteria: Criteria


def appraise(
    related: Sequence[Draft], timeline: Timeline, courses: Courses, rulebook: Rulebook
) -> tuple[Appraisal, ...]:
    """Return the appraisal of each episode, in their order; each knows the episodes before it."""
    exposures = exposures_by_key(timeline.exposures)
    return tuple(
        _appraise(History(related[: index + 1], courses, exposures, rulebook))
        for index in range(len(related))
    )


def _appraise(history: History) -> Appraisal:
    cases = {suspect.course.drug: suspect_case(suspect, history) for suspect in history.current.suspects}
    scales = [Causality(drug, naranjo.evaluate(case), who_umc.evaluate(case)) for drug, case in cases.items()]
    culprits = rank(history, cases, scales)
    positions = {culprit.drug: index for index, culprit in enumerate(culprits)}
    scene = _scene(history, frozenset(culprit.drug for culprit in culprits if culprit.rank == 1))
    parameters = history.rulebook.parameters
    criteria = Criteria(
        jscar=jscar.evaluate(scene, parameters),
        bocquet=bocquet.evaluate(scene, parameters),
        causality=tuple(sorted(scales, key=lambda one: positions[one.drug])),
    )
    return Appraisal(culprits, criteria)


def _scene(history: History, first: frozenset[str]) -> Scene:
    draft = history.current
    onset, utc_offset_minutes = draft.onset
    courses = [suspect.course for suspect in draft.suspects if suspect.course.drug in first]
    return Scene(
        timeline=draft.span.timeline,
        onset=exactly(onset),
        utc_offset_minutes=utc_offset_minutes,
        resolved_at=draft.ending.resolved_at,
        first_courses=tuple((course, history.restarted_at(course)) for course in courses),
        has_suspects=bool(draft.suspects),
        findings=findings_by_code(draft.span.timeline),
    )
