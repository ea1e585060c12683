"""Recurrence: how an episode relates to the earlier ones, and which of them are established.

Established means that an episode was confirmed by a clinician, or reached warning with a RegiSCAR score of "possible"
or more, or that a drug suspected in it caused a published episode again in a later course (`rechallenge`, as in the founding imatinib
case): then the earlier counts as established from that moment on, and so does the later one, whatever the score.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pv_stream.domain.assessment import (
    EstablishedBy,
    RecurrenceClass,
    RecurrenceFinding,
    Score,
    Tier,
)
from pv_stream.domain.codes import Judgement
from pv_stream.domain.times import Instant, local_day
from pv_stream.rules.episodes import Ending, Span
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.suspects import Suspect
from pv_stream.rules.tiers import Verdict
from pv_stream.rules.timeline import Sign


@dataclass(frozen=True, slots=True)
class Draft:
    """Hold one episode while it is being related to the others."""

    span: Span
    ending: Ending
    suspects: tuple[Suspect, ...]
    score: Score
    verdict: Verdict
    tier: Tier | None
    established_by: EstablishedBy | None = None
    recurrence: RecurrenceFinding | None = None
    judgement: Judgement | None = None
    named: frozenset[str] = frozenset()

    @property
    def is_refuted(self) -> bool:
        """Tell whether a clinician decided that this is not DRESS: it can neither establish nor precede anything."""
        return self.judgement is Judgement.REFUTED

    @property
    def alerts(self) -> bool:
        """Tell whether the episode stands on a tier and was not refuted."""
        return self.tier is not None and not self.is_refuted

    @property
    def drugs(self) -> frozenset[str]:
        """Return the suspect drugs."""
        return frozenset(suspect.course.drug for suspect in self.suspects)

    @property
    def onset(self) -> tuple[Instant, int]:
        """Return instant and UTC offset of the first sign, or of the first evidence where no sign is known."""
        first = next(
            (e for e in self.span.evidence if isinstance(e.source, Sign)),
            self.span.opening,
        )
        return first.at.earliest, first.utc_offset_minutes


def relate(drafts: Sequence[Draft], rulebook: Rulebook) -> tuple[Draft, ...]:
    """Return the episodes with what establishes them and what makes them recurrences, in order of time."""
    related: list[Draft] = []
    for draft in drafts:
        related.append(_established_by_itself(draft, rulebook))
        if not draft.alerts:
            continue
        current = len(related) - 1
        rechallenged = [
            i for i in range(current) if not related[i].is_refuted and _given_again(related[i], draft)
        ]
        for index in rechallenged:
            related[index] = _established(related[index], EstablishedBy.RECHALLENGE)
        if rechallenged:
            related[current] = _established(related[current], EstablishedBy.RECHALLENGE)
        finding = _classify(related, rechallenged, rulebook)
        if finding is not None:
            related[current] = replace(related[current], recurrence=finding, tier=Tier.CRITICAL)
    return tuple(related)


def _established_by_itself(draft: Draft, rulebook: Rulebook) -> Draft:
    if draft.judgement is Judgement.CONFIRMED:
        return _established(draft, EstablishedBy.CONFIRMED)
    enough = draft.score.total.current >= rulebook.parameters.warning_score_min.value
    if draft.alerts and draft.tier is not None and draft.tier >= Tier.WARNING and enough:
        return _established(draft, EstablishedBy.SCORE)
    return draft


def _established(draft: Draft, by: EstablishedBy) -> Draft:
    return draft if draft.established_by is not None else replace(draft, established_by=by)


def _given_again(earlier: Draft, later: Draft) -> bool:
    """Tell whether a drug suspected earlier is suspected again in a later course."""
    courses = {suspect.course.drug: suspect.course.index for suspect in earlier.suspects}
    return any(
        suspect.course.drug in courses and suspect.course.index > courses[suspect.course.drug]
        for suspect in later.suspects
    )


def _classify(
    related: Sequence[Draft], rechallenged: Sequence[int], rulebook: Rulebook
) -> RecurrenceFinding | None:
    *earlier, current = related
    established = [i for i, draft in enumerate(earlier) if draft.established_by is not None]
    if not established:
        return None
    partners = {drug: rulebook.class_partners.get(drug, frozenset()) for drug in current.drugs}
    cross = [i for i in established if any(others & earlier[i].drugs for others in partners.values())]
    blamed = frozenset[str]().union(*(earlier[i].drugs for i in established))
    new = {drug for drug, others in partners.items() if drug not in blamed and not others & blamed}
    classes = [
        (RecurrenceClass.RECHALLENGE, list(rechallenged)),
        (RecurrenceClass.CROSS_REACTIVE, cross),
        (RecurrenceClass.NEW_CULPRIT, established if new else []),
        (RecurrenceClass.RELAPSE_WITHOUT_DRUG, established),
    ]
    (primary, of), *others = [(name, found) for name, found in classes if found]
    contributing = tuple(
        name for name, _ in others if name in {RecurrenceClass.CROSS_REACTIVE, RecurrenceClass.NEW_CULPRIT}
    )
    return RecurrenceFinding(primary, contributing, of[-1], _days_between(earlier[of[-1]], current))


def _days_between(earlier: Draft, later: Draft) -> int:
    earlier_onset, earlier_offset = earlier.onset
    later_onset, later_offset = later.onset
    return local_day(later_onset, later_offset) - local_day(earlier_onset, earlier_offset)
