"""Causality: what a patient's story says for and against one suspect drug of an episode.

Latency, withdrawal, re-administration, other explanations, earlier reactions: each statement is three-valued, and
Naranjo and WHO-UMC are tables over them. Only what happened up to the closing of the episode counts, so a later
course is judged in the episode that it causes. No data is not "no reaction": a drug is tolerated again only where
somebody looked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pv_stream.domain.assessment import Latency
from pv_stream.domain.codes import DrugRole, FindingCode, Presence, RechallengeOutcome
from pv_stream.domain.criteria import Truth
from pv_stream.domain.facts import Exposure, Finding
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import Instant, local_day
from pv_stream.rules.courses import Course, window_position
from pv_stream.rules.episodes import Courses
from pv_stream.rules.items import EXCLUSION_TESTS, is_positive
from pv_stream.rules.judging import NOT_KNOWN, Judged, at_least, met, unmet
from pv_stream.rules.recurrence import Draft
from pv_stream.rules.reports import names_dress
from pv_stream.rules.rulebook import Rulebook, WatchedDrug
from pv_stream.rules.suspects import Suspect
from pv_stream.rules.timeline import Dated

_IMPROVES: Final = frozenset({FindingCode.REACTION_RESOLVED, FindingCode.RASH_IMPROVED})
Exposures = Mapping[FactKey, tuple[Dated[Exposure], ...]]


@dataclass(frozen=True, slots=True)
class History:
    """Hold a patient's episodes up to one of them, which is the last, and the drug records behind their courses."""

    episodes: Sequence[Draft]
    courses: Courses
    exposures: Exposures
    rulebook: Rulebook

    @property
    def current(self) -> Draft:
        """Return the episode in question."""
        return self.episodes[-1]

    @property
    def earlier(self) -> Sequence[Draft]:
        """Return the earlier episodes that alert or are established; one that was refuted is neither."""
        return [draft for draft in self.episodes[:-1] if draft.alerts or draft.established_by is not None]

    def restarted_at(self, course: Course) -> Instant | None:
        """Return when the next course of the same drug began, or None."""
        return next(
            (c.first.earliest for c in self.courses[course.drug] if c.index == course.index + 1), None
        )

    def products(self, course: Course) -> Iterable[tuple[str, ...]]:
        """Return the ingredients of each product of several that the course was given as, in order of time."""
        for key in course.records:
            for dated in self.exposures[key]:
                names = {self._name(name) for name in dated.content.ingredients}
                if len(names) > 1 and course.drug in names:
                    yield tuple(sorted(names))

    def _name(self, ingredient: str) -> str:
        drug = self.rulebook.drug_called(ingredient)
        return ingredient if drug is None else drug.name

    def partners(self, suspect: Suspect) -> frozenset[str]:
        """Return the other suspects that were given in one product with this one."""
        together = {name for product in self.products(suspect.course) for name in product}
        return frozenset(together & {s.course.drug for s in self.current.suspects} - {suspect.course.drug})


@dataclass(frozen=True, slots=True)
class SuspectCase:
    """Hold what is known for and against one suspect drug.

    `other_causes` is met where something else may have caused the reaction, unmet where that was excluded.
    """

    drug: WatchedDrug
    latency: Latency
    began_after_onset: bool
    onset_after_start: Judged
    dechallenge: Judged
    rechallenge: Judged
    other_causes: Judged
    earlier_reaction: Judged
    cross_reaction: Judged
    objective: Judged
    is_contradictory: bool


def exposures_by_key(exposures: Iterable[Dated[Exposure]]) -> Exposures:
    """Return drug records by their fact; one of conflicting versions has several."""
    found: dict[FactKey, tuple[Dated[Exposure], ...]] = {}
    for dated in exposures:
        found[dated.key] = (*found.get(dated.key, ()), dated)
    return found


def suspect_case(suspect: Suspect, history: History) -> SuspectCase:
    """Return what the story says of one suspect of its last episode."""
    drug = suspect.course.drug
    partners = history.rulebook.class_partners.get(drug, frozenset())
    records = (dated for key in suspect.course.records for dated in history.exposures[key])
    return SuspectCase(
        drug=history.rulebook.watched[drug],
        latency=suspect.position.latency,
        began_after_onset=suspect.began_after_onset,
        onset_after_start=_onset_after_start(suspect, history),
        dechallenge=_dechallenge(suspect, history),
        rechallenge=_rechallenge(suspect, history),
        other_causes=_other_causes(suspect, history),
        earlier_reaction=_earlier_reaction(frozenset({drug}), history),
        cross_reaction=_earlier_reaction(partners, history),
        objective=_objective(history),
        is_contradictory=any(dated.is_conflicting for dated in records),
    )


def _onset_after_start(suspect: Suspect, history: History) -> Judged:
    course, (onset, _) = suspect.course, history.current.onset
    if suspect.began_after_onset:
        return unmet(course.records[0])
    if course.first_dose is not None and course.first_dose.latest <= onset:
        return met(course.records[0])
    return NOT_KNOWN


# Withdrawal ------------------------------------------------------------------------------------------------------


def _dechallenge(suspect: Suspect, history: History) -> Judged:
    """Tell whether the reaction improved when the drug was stopped: in this episode, else in the last that says."""
    for draft in reversed(history.episodes):
        own = next((s for s in draft.suspects if s.course.drug == suspect.course.drug), None)
        if own is None or draft.is_refuted:
            continue
        answer = _withdrawn(own.course, draft, history)
        if answer.truth is not Truth.UNKNOWN:
            return answer
    return NOT_KNOWN


def _withdrawn(course: Course, draft: Draft, history: History) -> Judged:
    """Tell what followed a recorded stop during an episode and before a restart; persistence says no."""
    if course.stopped_at is None or course.stopped_at < draft.onset[0]:
        return NOT_KNOWN
    restarted_at, stop = history.restarted_at(course), course.records[-1]
    improved = _improvement(draft, course.stopped_at, restarted_at)
    if improved is not None:
        return met(stop, *improved)
    days = history.rulebook.parameters.dechallenge_days.value
    day = local_day(course.stopped_at, course.utc_offset_minutes) + days
    for sign in draft.span.timeline.signs:
        is_late = local_day(sign.at.earliest, sign.utc_offset_minutes) >= day
        if sign.positive and is_late and (restarted_at is None or sign.at.latest < restarted_at):
            return unmet(stop, sign.key)
    return NOT_KNOWN


def _improvement(draft: Draft, since: Instant, until: Instant | None) -> tuple[FactKey, ...] | None:
    """Return the facts of the first documented improvement between two instants; empty when all signs were gone."""
    for dated in draft.span.timeline.findings:
        is_inside = dated.at.earliest >= since and (until is None or dated.at.latest < until)
        if is_inside and _is_present(dated, _IMPROVES):
            return (dated.key,)
    resolved_at = draft.ending.resolved_at
    is_resolved = resolved_at is not None and resolved_at >= since and (until is None or resolved_at < until)
    return () if is_resolved else None


def _is_present(dated: Dated[Finding], codes: Iterable[FindingCode]) -> bool:
    return dated.content.presence is Presence.PRESENT and dated.content.code in codes


# Re-administration -----------------------------------------------------------------------------------------------


def _rechallenge(suspect: Suspect, history: History) -> Judged:
    """Tell whether the reaction came back when the drug was given again; a positive answer outweighs a negative."""
    answers = [
        *_reported(suspect, history),
        _given_again(suspect.course.drug, history),
        *(
            _given_again_meanwhile(course, history)
            for course in history.courses[suspect.course.drug]
            if course.index > suspect.course.index
        ),
    ]
    for truth in (Truth.MET, Truth.UNMET):
        for answer in answers:
            if answer.truth is truth:
                return answer
    return NOT_KNOWN


def _reported(suspect: Suspect, history: History) -> Iterable[Judged]:
    """Return what reports of DRESS say of giving this drug again."""
    draft = history.current
    for dated in draft.span.timeline.reports:
        if not names_dress(dated) or dated.at.earliest >= draft.ending.closes_at:
            continue
        for drug in dated.content.drugs:
            watched = history.rulebook.drug_called(drug.ingredient)
            is_same = watched is not None and watched.name == suspect.course.drug
            if not is_same or drug.role is DrugRole.NOT_ADMINISTERED:
                continue
            if drug.rechallenge is RechallengeOutcome.RECURRED:
                yield met(dated.key)
            elif drug.rechallenge is RechallengeOutcome.DID_NOT_RECUR:
                yield unmet(dated.key)


def _given_again(drug: str, history: History) -> Judged:
    """Tell whether a later course of the drug was followed by a later episode."""
    indexes: list[int] = []
    for draft in history.episodes:
        own = next((s for s in draft.suspects if s.course.drug == drug), None)
        if own is None or not own.evidence or draft.is_refuted:
            continue
        if indexes and own.course.index > min(indexes) and not own.began_after_onset:
            return met(own.course.records[0], *draft.span.opening.keys[:1])
        indexes.append(own.course.index)
    return NOT_KNOWN


def _given_again_meanwhile(course: Course, history: History) -> Judged:
    """Tell what a course showed that began within the episode, after an improvement."""
    draft, rulebook = history.current, history.rulebook
    if _improvement(draft, draft.onset[0], course.first.earliest) is None:
        return NOT_KNOWN
    for evidence in draft.span.evidence:
        is_after = evidence.at.earliest > course.first.latest
        position = window_position(course, evidence.at, evidence.utc_offset_minutes, rulebook)
        if is_after and position is not None:
            return met(course.records[0], *evidence.keys[:1])
    for key, at, offset in _seen_without_reaction(draft, rulebook):
        if _is_late_in(course, at, offset, rulebook):
            return unmet(course.records[0], key)
    return NOT_KNOWN


def _seen_without_reaction(draft: Draft, rulebook: Rulebook) -> Iterable[tuple[FactKey, Instant, int]]:
    """Return where somebody looked and saw no reaction: a clear skin, a resolution, or a normal count not masked."""
    for dated in draft.span.timeline.findings:
        is_clear = dated.content.code is FindingCode.RASH and dated.content.presence is Presence.ABSENT
        if is_clear or _is_present(dated, {FindingCode.REACTION_RESOLVED}):
            yield dated.key, dated.at.earliest, dated.utc_offset_minutes
    low = rulebook.parameters.eosinophils_low_per_ul.value
    for count in draft.span.timeline.counts:
        is_low = all(at_least(reading, low) is Truth.UNMET for reading in count.counts)
        if count.counts and is_low and not count.masked_by:
            yield count.record, count.at.earliest, count.utc_offset_minutes


def _is_late_in(course: Course, at: Instant, utc_offset_minutes: int, rulebook: Rulebook) -> bool:
    if course.first_dose is None or (course.covered_until is not None and at > course.covered_until):
        return False
    first_day = local_day(course.first_dose.latest, course.utc_offset_minutes)
    return local_day(at, utc_offset_minutes) >= first_day + rulebook.parameters.rechallenge_days.value


# Other explanations, and earlier reactions -------------------------------------------------------------------------


def _other_causes(suspect: Suspect, history: History) -> Judged:
    """Tell whether something else explains the reaction: a recorded cause, or another drug as suspect as this one.

    They are excluded only where that is documented and no other product is suspect at all.
    """
    findings = history.current.span.timeline.findings
    recorded = [
        dated.key
        for dated in findings
        if _is_present(dated, EXCLUSION_TESTS)
        or (
            dated.content.code is FindingCode.OTHER_CAUSES_EXCLUDED
            and dated.content.presence is Presence.ABSENT
        )
    ]
    if recorded:
        return met(recorded[0])
    partners = history.partners(suspect)
    others = [
        other
        for other in history.current.suspects
        if other.course.drug != suspect.course.drug and other.course.drug not in partners
    ]
    equal = [other.course.records[0] for other in others if other.order <= suspect.order]
    if equal:
        return met(equal[0])
    excluded = [dated.key for dated in findings if _is_present(dated, {FindingCode.OTHER_CAUSES_EXCLUDED})]
    return unmet(excluded[0]) if excluded and not others else NOT_KNOWN


def _earlier_reaction(drugs: frozenset[str], history: History) -> Judged:
    for draft in history.earlier:
        if drugs & draft.blamed.drugs:
            return met(*draft.span.opening.keys[:1])
    return NOT_KNOWN


def _objective(history: History) -> Judged:
    """Tell whether a measured value or a biopsy shows the reaction."""
    timeline = history.current.span.timeline
    for count in timeline.counts:
        if is_positive(count, history.rulebook.parameters):
            return met(count.record)
    for sign in timeline.signs:
        if sign.positive and not sign.by_finding:
            return met(sign.key)
    for dated in timeline.findings:
        if _is_present(dated, {FindingCode.BIOPSY_SUGGESTS_DRESS}):
            return met(dated.key)
    return NOT_KNOWN
