"""Recurrence: how an episode relates to the earlier ones, and which of them are established.

Established means that an episode reached warning with a RegiSCAR score of "possible" or more, that it was reported
or confirmed as DRESS, or that a drug blamed for it caused a published episode again in a later course
(`rechallenge`, as in the founding imatinib case): then the earlier counts as established from that moment on, and so
does the later one, whatever the score. Without an established predecessor a further episode is a repeat at its own
tier.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pv_stream.domain.assessment import (
    EstablishedBy,
    RecurrenceClass,
    RecurrenceFinding,
    Score,
    Tier,
    Withdrawn,
)
from pv_stream.domain.codes import FindingCode, Judgement, Presence
from pv_stream.domain.times import Instant, local_day
from pv_stream.rules.culprits import Blamed
from pv_stream.rules.episodes import Ending, Span
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.second_hits import has_second_hit
from pv_stream.rules.suspects import Suspect
from pv_stream.rules.tiers import Verdict
from pv_stream.rules.timeline import Timeline
from pv_stream.rules.treatments import TreatmentCourses, recent_withdrawal

_REACTIVATIONS: Final = frozenset(
    {FindingCode.HHV6_REACTIVATION, FindingCode.EBV_REACTIVATION, FindingCode.CMV_REACTIVATION}
)


@dataclass(frozen=True, slots=True)
class Draft:
    """Hold one episode while it is being related to the others."""

    span: Span
    ending: Ending
    blamed: Blamed
    score: Score
    verdict: Verdict
    tier: Tier | None
    established_by: EstablishedBy | None = None
    recurrence: RecurrenceFinding | None = None
    judgement: Judgement | None = None
    second_hit: bool = False

    @property
    def is_refuted(self) -> bool:
        """Tell whether a clinician decided that this is not DRESS: it can neither establish nor precede anything."""
        return self.judgement is Judgement.REFUTED

    @property
    def alerts(self) -> bool:
        """Tell whether the episode stands on a tier and was not refuted."""
        return self.tier is not None and not self.is_refuted

    @property
    def is_as_before(self) -> bool:
        """Tell whether the episode is no more than the eosinophilia that the patient had before the drug."""
        return self.verdict.preexisting and self.tier is Tier.INFO

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """Return the drugs that the facts blame."""
        return self.blamed.suspects

    @property
    def onset(self) -> tuple[Instant, int]:
        """Return instant and UTC offset of the onset."""
        onset = self.span.onset
        return onset.at.earliest, onset.utc_offset_minutes


def relate(
    drafts: Sequence[Draft], timeline: Timeline, treatments: TreatmentCourses, rulebook: Rulebook
) -> tuple[Draft, ...]:
    """Return the episodes with what establishes them and what makes them recurrences, in order of time.

    `timeline` and `treatments` are all of the patient.
    """
    related: list[Draft] = []
    for draft in drafts:
        related.append(_established_alone(draft, rulebook))
        if not draft.alerts or draft.is_as_before:
            continue
        current = len(related) - 1
        predecessors = [i for i in range(current) if not (related[i].is_refuted or related[i].is_as_before)]
        rechallenged = [i for i in predecessors if related[i].blamed.is_met_again_in(draft.blamed)]
        for index in rechallenged:
            related[index] = _established(related[index], EstablishedBy.RECHALLENGE)
        if rechallenged:
            related[current] = _established(related[current], EstablishedBy.RECHALLENGE)
        finding = _classify(related, predecessors, rechallenged, timeline, treatments, rulebook)
        if finding is not None:
            tier = draft.tier if finding.primary is RecurrenceClass.REPEAT else Tier.CRITICAL
            related[current] = replace(related[current], recurrence=finding, tier=tier)
    return tuple(_with_second_hit(draft, rulebook) for draft in related)


def _established_alone(draft: Draft, rulebook: Rulebook) -> Draft:
    """Return an episode with what establishes it without any other episode."""
    if draft.is_refuted:
        return draft
    if draft.judgement is Judgement.CONFIRMED:
        return _established(draft, EstablishedBy.CONFIRMED)
    enough = draft.score.total.current >= rulebook.parameters.warning_score_min.value
    if draft.tier is not None and draft.tier >= Tier.WARNING and enough:
        return _established(draft, EstablishedBy.SCORE)
    if draft.span.reports:
        return _established(draft, EstablishedBy.REPORT)
    return draft


def _established(draft: Draft, by: EstablishedBy) -> Draft:
    return draft if draft.established_by is not None else replace(draft, established_by=by)


def _with_second_hit(draft: Draft, rulebook: Rulebook) -> Draft:
    if not draft.alerts or not has_second_hit(draft.blamed, rulebook):
        return draft
    tier = draft.tier if draft.established_by is None else Tier.CRITICAL
    return replace(draft, second_hit=True, tier=tier)


def _classify(  # noqa: PLR0913 - who came before, and all that may explain a recurrence
    related: Sequence[Draft],
    predecessors: Sequence[int],
    rechallenged: Sequence[int],
    timeline: Timeline,
    treatments: TreatmentCourses,
    rulebook: Rulebook,
) -> RecurrenceFinding | None:
    current = related[-1]
    established = [i for i in predecessors if related[i].established_by is not None]
    if not established:
        return _finding(related, [(RecurrenceClass.REPEAT, predecessors)]) if predecessors else None
    cross = [i for i in established if _cross_reacts(related[i].blamed, current.blamed, rulebook)]
    has_new = _has_new_drug([related[i].blamed for i in established], current.blamed, rulebook)
    withdrawal = recent_withdrawal(treatments, *current.onset, rulebook)
    is_reactivated = _is_reactivated(current, timeline, rulebook)
    finding = _finding(
        related,
        [
            (RecurrenceClass.RECHALLENGE, rechallenged),
            (RecurrenceClass.CROSS_REACTIVE, cross),
            (RecurrenceClass.NEW_CULPRIT, established if has_new else ()),
            (RecurrenceClass.FLARE_ON_WITHDRAWAL, established if withdrawal is not None else ()),
            (RecurrenceClass.VIRAL_REACTIVATION, established if is_reactivated else ()),
            (RecurrenceClass.RELAPSE_WITHOUT_DRUG, established),
        ],
    )
    withdrawn = None if withdrawal is None else Withdrawn(withdrawal.drug, withdrawal.manner)
    return replace(finding, withdrawn=withdrawn)


def _finding(
    related: Sequence[Draft], classes: Iterable[tuple[RecurrenceClass, Sequence[int]]]
) -> RecurrenceFinding:
    """Return the first class that has an earlier episode, of the latest such; the others contribute."""
    (primary, of), *others = [(name, found) for name, found in classes if found]
    contributing = tuple(name for name, _ in others if name is not RecurrenceClass.RELAPSE_WITHOUT_DRUG)
    return RecurrenceFinding(primary, contributing, of[-1], _days_between(related[of[-1]], related[-1]))


def _cross_reacts(earlier: Blamed, later: Blamed, rulebook: Rulebook) -> bool:
    """Tell whether a drug blamed later, that was begun since or not blamed before, cross-reacts with an earlier one."""

    def partners(drug: str) -> frozenset[str]:
        return rulebook.class_partners.get(drug, frozenset()) & (earlier.drugs - {drug})

    begun_since = (
        suspect.course.drug
        for suspect in later.seen
        if suspect.course.drug not in earlier.drugs
        or (
            suspect.course.first.earliest > earlier.span.opening.at.latest
            and not earlier.is_met_again_by(suspect.course)
        )
    )
    named = (reported.drug for reported in later.reported if reported.drug not in earlier.drugs)
    return any(partners(drug) for drug in (*begun_since, *named))


def _has_new_drug(earlier: Sequence[Blamed], later: Blamed, rulebook: Rulebook) -> bool:
    blamed = frozenset[str]().union(*(episode.drugs for episode in earlier))
    drugs = {*(suspect.course.drug for suspect in later.seen), *(named.drug for named in later.reported)}
    return any(
        drug not in blamed and not rulebook.class_partners.get(drug, frozenset()) & blamed for drug in drugs
    )


def _is_reactivated(draft: Draft, timeline: Timeline, rulebook: Rulebook) -> bool:
    """Tell whether a reactivation of HHV-6, EBV or CMV was found around the onset, before or after."""
    onset, offset = draft.onset
    day, days = local_day(onset, offset), rulebook.parameters.viral_reactivation_days.value
    return any(
        dated.content.code in _REACTIVATIONS
        and dated.content.presence is Presence.PRESENT
        and local_day(dated.at.latest, dated.utc_offset_minutes) >= day - days
        and local_day(dated.at.earliest, dated.utc_offset_minutes) <= day + days
        for dated in timeline.findings
    )


def _days_between(earlier: Draft, later: Draft) -> int:
    """Return the days from onset to onset; the fewest that they may be, where the earlier is not known exactly."""
    before, after = earlier.span.onset, later.span.onset
    latest = min(before.at.latest, after.at.earliest)
    return local_day(after.at.earliest, after.utc_offset_minutes) - local_day(
        latest, before.utc_offset_minutes
    )
