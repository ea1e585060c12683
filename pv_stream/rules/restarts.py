"""Restarts: a culprit of an earlier episode, or a cross-reactive drug, that is ordered or given (again).

The warning belongs to the first record of a course, an order or a dose, and comes before any reaction in it.
Each course warns once, of the earlier episode that makes it most urgent.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from pv_stream.domain.assessment import Relation, RestartAssessment, Tier
from pv_stream.rules.courses import Course, window_position
from pv_stream.rules.episodes import Courses
from pv_stream.rules.recurrence import Draft
from pv_stream.rules.rulebook import Rulebook

_CLOSER_FIRST: Final = (Relation.SAME, Relation.CANDIDATE, Relation.CROSS_REACTIVE)


def find_restarts(
    drafts: Sequence[Draft],
    ranks: Sequence[dict[str, int]],
    courses: Courses,
    rulebook: Rulebook,
) -> tuple[RestartAssessment, ...]:
    """Return one warning for each course that deserves one, in order of time.

    `ranks` holds, for each episode, the rank of each of its suspects.
    """
    restarts = []
    for drug in sorted(courses):
        for course in courses[drug]:
            warnings = list(_warnings(course, drafts, ranks, rulebook))
            if warnings:
                restarts.append(max(warnings, key=_urgency))
    return tuple(sorted(restarts, key=lambda restart: (restart.started_at, restart.drug)))


def _urgency(restart: RestartAssessment) -> tuple[int, int, int]:
    return (restart.tier, -_CLOSER_FIRST.index(restart.relation), restart.prior)


def _warnings(
    course: Course,
    drafts: Sequence[Draft],
    ranks: Sequence[dict[str, int]],
    rulebook: Rulebook,
) -> Iterable[RestartAssessment]:
    partners = rulebook.class_partners.get(course.drug, frozenset())
    for index, draft in enumerate(drafts):
        if course.first.earliest <= draft.span.opening.at.earliest or _is_forgotten(draft):
            continue
        own = next(
            (s.course.index for s in draft.suspects if s.course.drug == course.drug),
            None,
        )
        judged: tuple[Relation, Tier] | None = None
        if own is not None and course.index > own:
            judged = _same_drug(draft, course.drug, ranks[index][course.drug])
        elif partners & draft.drugs:
            # A partner begun during the episode may itself have become a suspect of it: the warning stands.
            judged = _partner(draft)
        if judged is not None:
            relation, tier = judged
            yield RestartAssessment(
                prior=index,
                drug=course.drug,
                rxnorm=rulebook.watched[course.drug].rxnorm,
                relation=relation,
                tier=tier,
                started_at=course.first.earliest,
                utc_offset_minutes=course.utc_offset_minutes,
                course=course.records,
                given_until=course.covered_until,
                reacted=_has_reacted(course, draft, drafts, rulebook),
            )


def _is_forgotten(draft: Draft) -> bool:
    """Tell whether nothing of a refuted episode is remembered: a skin reaction under the drug is, as a candidate."""
    return draft.is_refuted and not draft.verdict.has_skin


def _same_drug(draft: Draft, drug: str, rank: int) -> tuple[Relation, Tier]:
    if draft.established_by is not None:
        return Relation.SAME, Tier.CRITICAL if rank == 1 or drug in draft.named else Tier.WARNING
    return (Relation.SAME if draft.alerts else Relation.CANDIDATE), Tier.WARNING


def _partner(draft: Draft) -> tuple[Relation, Tier] | None:
    if draft.established_by is not None:
        return Relation.CROSS_REACTIVE, Tier.WARNING
    return (Relation.CROSS_REACTIVE, Tier.INFO) if draft.alerts else None


def _has_reacted(course: Course, prior: Draft, drafts: Sequence[Draft], rulebook: Rulebook) -> bool:
    """Tell whether another episode began in the window of the course; one that goes on is not a reaction to it."""
    return any(
        evidence.at.earliest >= course.first.earliest
        and window_position(course, evidence.at, evidence.utc_offset_minutes, rulebook) is not None
        for draft in drafts
        if draft is not prior and draft.span.opening.at.earliest >= course.first.earliest
        for evidence in draft.span.evidence
    )
