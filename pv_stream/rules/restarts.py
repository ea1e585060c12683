"""Restarts: a culprit of an earlier episode, or a cross-reactive drug, that is ordered or given (again).

The warning belongs to the first record of a course, an order or a dose, and comes before any reaction in it.
Each course warns once, of the earlier episode that makes it most urgent, and the ingredients of one product begin
one course.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from pv_stream.domain.assessment import Culprit, NamedBy, Relation, RestartAssessment, Tier
from pv_stream.domain.ids import FactKey
from pv_stream.rules.courses import Course, window_position
from pv_stream.rules.episodes import Courses
from pv_stream.rules.recurrence import Draft
from pv_stream.rules.rulebook import Rulebook

_CLOSER_FIRST: Final = (Relation.SAME, Relation.CANDIDATE, Relation.AMBIGUOUS, Relation.CROSS_REACTIVE)
#: Who names a culprit makes its restart critical, whatever its rank.
_NAMED_BY_A_PERSON: Final = frozenset({NamedBy.REPORTER, NamedBy.CLINICIAN})


def find_restarts(
    drafts: Sequence[Draft],
    culprits: Sequence[Sequence[Culprit]],
    courses: Courses,
    rulebook: Rulebook,
) -> tuple[RestartAssessment, ...]:
    """Return one warning for each start of a product that deserves one, in order of time.

    `culprits` are those of each episode.
    """
    starts: dict[FactKey, list[RestartAssessment]] = {}
    for drug in sorted(courses):
        for course in courses[drug]:
            warnings = list(_warnings(course, drafts, culprits, rulebook))
            if warnings:
                starts.setdefault(course.records[0], []).append(max(warnings, key=_urgency))
    return tuple(sorted(map(_of_product, starts.values()), key=lambda r: (r.started_at, r.drugs)))


def _urgency(restart: RestartAssessment) -> tuple[int, int, int]:
    return (restart.tier, -_CLOSER_FIRST.index(restart.relation), restart.prior)


def _of_product(parts: Sequence[RestartAssessment]) -> RestartAssessment:
    """Return the most urgent of the warnings of one product, with all ingredients that warn of the same episode."""
    most = max(parts, key=_urgency)
    alike = [part for part in parts if part.prior == most.prior]
    if len(alike) == 1:
        return most
    ends = [part.given_until for part in alike if part.given_until is not None]
    return replace(
        most,
        drugs=tuple(drug for part in alike for drug in part.drugs),
        rxnorm=None,
        course=tuple(dict.fromkeys(key for part in alike for key in part.course)),
        given_until=max(ends) if len(ends) == len(alike) else None,
        reacted=any(part.reacted for part in alike),
    )


def _warnings(
    course: Course,
    drafts: Sequence[Draft],
    culprits: Sequence[Sequence[Culprit]],
    rulebook: Rulebook,
) -> Iterable[RestartAssessment]:
    partners = rulebook.class_partners.get(course.drug, frozenset())
    for index, draft in enumerate(drafts):
        if course.first.earliest <= draft.span.opening.at.earliest or _is_forgotten(draft):
            continue
        judged: tuple[Relation, Tier] | None = None
        if draft.blamed.is_met_again_by(course):
            culprit = next(c for c in culprits[index] if c.drug == course.drug)
            judged = _same_drug(draft, culprit, in_part=draft.blamed.is_met_in_part_by(course))
        elif partners & draft.blamed.drugs:
            # A partner begun during the episode has itself become a suspect of it: the warning stands.
            judged = _partner(draft)
        if judged is not None:
            relation, tier = judged
            yield RestartAssessment(
                prior=index,
                drugs=(course.drug,),
                rxnorm=rulebook.watched[course.drug].rxnorm,
                relation=relation,
                tier=tier,
                started_at=course.first.earliest,
                utc_offset_minutes=course.utc_offset_minutes,
                course=course.records,
                given_until=course.covered_until,
                reacted=_has_reacted(course, draft, drafts, rulebook),
                begun_as=course.begun_as,
            )


def _is_forgotten(draft: Draft) -> bool:
    """Tell whether nothing of a refuted episode is remembered: a skin reaction under the drug is, as a candidate."""
    return draft.is_refuted and not draft.verdict.has_skin


def _same_drug(draft: Draft, culprit: Culprit, *, in_part: bool) -> tuple[Relation, Tier]:
    likely = culprit.rank == 1 or not _NAMED_BY_A_PERSON.isdisjoint(culprit.named_by)
    tier = Tier.CRITICAL if draft.established_by is not None and likely else Tier.WARNING
    if in_part:
        return Relation.AMBIGUOUS, tier
    is_candidate = draft.established_by is None and not draft.alerts
    return Relation.CANDIDATE if is_candidate else Relation.SAME, tier


def _partner(draft: Draft) -> tuple[Relation, Tier] | None:
    if draft.established_by is not None:
        return Relation.CROSS_REACTIVE, Tier.WARNING
    return (Relation.CROSS_REACTIVE, Tier.INFO) if draft.alerts else None


def _has_reacted(course: Course, prior: Draft, drafts: Sequence[Draft], rulebook: Rulebook) -> bool:
    """Tell whether another episode began in the window of the course; one that goes on is not a reaction to it.

    A skin reaction that alerts nobody does not stand in for the warning.
    """
    return any(
        window_position(course, evidence.at, evidence.utc_offset_minutes, rulebook) is not None
        for draft in drafts
        if draft is not prior and draft.alerts and draft.span.opening.at.earliest >= course.first.earliest
        for evidence in draft.span.evidence
    )
