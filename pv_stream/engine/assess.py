"""Assess: from a patient's facts to their meaning, by way of the rules.

It composes rules and knows no clinical number: timeline, courses, spans, score, tier, relations, warnings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pv_stream.domain.actions import ClinicianVerdict
from pv_stream.domain.assessment import (
    Assessment,
    Culprit,
    EpisodeAssessment,
    EpisodeFlag,
    Latency,
    Score,
)
from pv_stream.domain.codes import EvidenceFlag
from pv_stream.domain.criteria import Criteria
from pv_stream.domain.facts import Fact
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import Instant, local_date, local_day
from pv_stream.rules import items, regiscar
from pv_stream.rules.appraisal import appraise
from pv_stream.rules.baselines import eosinophil_baseline, with_organ_baselines
from pv_stream.rules.clinical_resolution import find_treated
from pv_stream.rules.courses import build_courses
from pv_stream.rules.culprits import blame, with_named, with_partners
from pv_stream.rules.episodes import Courses, Ending, Span, between, ending, find_spans, is_held_down
from pv_stream.rules.flares import find_flare
from pv_stream.rules.follow_up import follow_up_at
from pv_stream.rules.masking import masking_of, with_masking
from pv_stream.rules.recurrence import Draft, relate
from pv_stream.rules.reports import drugs_of_dress, ingredients_called, watching
from pv_stream.rules.restarts import find_restarts
from pv_stream.rules.reviews import find_reviews
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.suspects import Suspect, find_suspects
from pv_stream.rules.tiers import (
    RISING_ON_BASELINE,
    Baselines,
    judge,
    judge_rechallenge,
    judge_relapse,
    judge_reported,
)
from pv_stream.rules.timeline import EosinophilCount, Reading, Timeline, build_timeline
from pv_stream.rules.treatments import TreatmentCourses, build_treatments
from pv_stream.rules.unwatched import exposure_flags
from pv_stream.rules.verdicts import rule_on


def assess(
    facts: Mapping[FactKey, Fact], rulebook: Rulebook, verdicts: Sequence[ClinicianVerdict] = ()
) -> Assessment:
    """Return what a patient's facts mean under a rulebook and clinicians' verdicts; order of arrival plays no part.

    Of two verdicts about the same evidence the later in the sequence counts.
    """
    timeline = build_timeline(facts, rulebook)
    verdicts = [_in_names_of(rulebook, verdict) for verdict in verdicts]
    rulebook = watching(_named(timeline, verdicts, rulebook), rulebook)
    courses = build_courses(timeline.exposures, rulebook)
    treatments = build_treatments(timeline, rulebook)
    timeline = with_masking(with_organ_baselines(timeline, courses, rulebook), courses, treatments, rulebook)
    spans = find_spans(
        timeline,
        courses,
        treatments,
        rulebook,
        lambda span: _judged(_draft(span, timeline, courses, (), rulebook), verdicts).alerts,
    )
    drafts: list[Draft] = []
    for span in spans:
        draft = _judged(_draft(span, timeline, courses, drafts, rulebook), verdicts)
        if draft.tier is None and not draft.is_refuted:
            draft = _as_recurrence(draft, relate(drafts, timeline, treatments, rulebook), rulebook)
        if _is_kept(draft):
            drafts.append(_with_partners(draft, rulebook))
    related = relate(drafts, timeline, treatments, rulebook)
    appraisals = appraise(related, timeline, courses, rulebook)
    culprits = [
        with_named(appraisal.culprits, draft.blamed, rulebook)
        for draft, appraisal in zip(related, appraisals, strict=True)
    ]
    episodes = tuple(
        _episode(draft, named, appraisal.criteria, courses, rulebook)
        for draft, named, appraisal in zip(related, culprits, appraisals, strict=True)
    )
    return Assessment(
        episodes=_with_treatments(episodes, related, treatments, rulebook),
        restarts=find_restarts(related, culprits, courses, rulebook),
        reviews=find_reviews(timeline.held, courses, rulebook),
    )


def _with_treatments(
    episodes: Sequence[EpisodeAssessment],
    drafts: Sequence[Draft],
    treatments: TreatmentCourses,
    rulebook: Rulebook,
) -> tuple[EpisodeAssessment, ...]:
    nexts = [*(draft.span.opening.at.earliest for draft in drafts), None][1:]
    return tuple(
        replace(
            episode,
            is_controlled=is_held_down(draft.span, draft.ending, rulebook),
            masking=masking_of(draft.span, treatments, rulebook),
            treated=find_treated(draft.span, treatments, until, rulebook),
            flare=find_flare(draft.span, rulebook),
        )
        for episode, draft, until in zip(episodes, drafts, nexts, strict=True)
    )


def _in_names_of(rulebook: Rulebook, verdict: ClinicianVerdict) -> ClinicianVerdict:
    """Return a verdict whose culprits are called as the rulebook does now, which another may do otherwise."""
    named = {name for drug in verdict.drugs for name in ingredients_called(drug, rulebook)}
    return replace(verdict, drugs=tuple(sorted(named)))


def _named(timeline: Timeline, verdicts: Sequence[ClinicianVerdict], rulebook: Rulebook) -> frozenset[str]:
    """Return the drugs that a report of DRESS or a clinician named."""
    by_clinicians = (drug for verdict in verdicts for drug in verdict.drugs)
    return drugs_of_dress(timeline.reports, rulebook).union(by_clinicians)


def _draft(
    span: Span, timeline: Timeline, courses: Courses, earlier: Sequence[Draft], rulebook: Rulebook
) -> Draft:
    end = ending(span, rulebook)
    # What is recorded after the closing is not part of the scene: it can neither score nor reopen the episode.
    scene_end = Instant(end.closes_at + 1)
    span = replace(span, timeline=between(span.timeline, None, scene_end))
    suspects = find_suspects(span, courses, rulebook)
    score = _score(span, end, rulebook)
    verdict = judge(suspects, score, _baselines(suspects, timeline, courses, earlier, rulebook), rulebook)
    verdict = judge_reported(verdict, [reported.content for reported in span.reports], score, rulebook)
    return Draft(
        span,
        end,
        blame(span, suspects, courses, rulebook),
        score,
        verdict,
        None if verdict.row is None else verdict.row.tier,
    )


def _as_recurrence(draft: Draft, earlier: Sequence[Draft], rulebook: Rulebook) -> Draft:
    """Return a draft that is on no row by itself on the one that it has after an established episode.

    Less is enough under the same drug given again, and no drug is needed for a relapse.
    """
    established = [before for before in earlier if before.established_by is not None]
    if not established:
        return draft
    if draft.suspects:
        again = [
            suspect
            for suspect in draft.blamed.seen
            if any(before.blamed.is_met_again_by(suspect.course) for before in established)
        ]
        verdict = judge_rechallenge(draft.verdict, again, draft.score, rulebook)
    else:
        verdict = judge_relapse(draft.span.evidence, draft.score, rulebook)
    return replace(draft, verdict=verdict, tier=None if verdict.row is None else verdict.row.tier)


def _baselines(
    suspects: Sequence[Suspect],
    timeline: Timeline,
    courses: Courses,
    earlier: Sequence[Draft],
    rulebook: Rulebook,
) -> Baselines:
    spans = [draft.span for draft in earlier]
    found = {
        suspect.course.drug: eosinophil_baseline(suspect.course, timeline.counts, courses, spans, rulebook)
        for suspect in suspects
    }
    return {drug: baseline for drug, baseline in found.items() if baseline is not None}


def _judged(draft: Draft, verdicts: Sequence[ClinicianVerdict]) -> Draft:
    if not verdicts:
        return draft
    keys = (key for evidence in draft.span.evidence for key in evidence.keys)
    ruling = rule_on(keys, draft.tier, verdicts)
    blamed = replace(draft.blamed, by_clinician=ruling.named)
    return replace(draft, tier=ruling.tier, judgement=ruling.judgement, blamed=blamed)


def _with_partners(draft: Draft, rulebook: Rulebook) -> Draft:
    if not draft.alerts:
        return draft
    return replace(draft, blamed=with_partners(draft.blamed, draft.ending, rulebook))


def _is_kept(draft: Draft) -> bool:
    """Keep what alerts, and candidates: a skin reaction under a watched drug."""
    return draft.tier is not None or draft.verdict.has_skin


def _score(span: Span, end: Ending, rulebook: Rulebook) -> Score:
    onset = span.onset
    scene = items.Scene(span.timeline, onset.at.earliest, onset.utc_offset_minutes, end.resolved_at)
    return regiscar.score(items.document(scene, rulebook.parameters))


def _episode(
    draft: Draft, culprits: tuple[Culprit, ...], criteria: Criteria, courses: Courses, rulebook: Rulebook
) -> EpisodeAssessment:
    onset, offset = draft.onset
    peak, reading = _peak(draft.span) or (None, None)
    return EpisodeAssessment(
        members=tuple(dict.fromkeys(key for evidence in draft.span.evidence for key in evidence.keys)),
        onset=onset,
        last_evidence=draft.span.last.at.earliest,
        utc_offset_minutes=offset,
        tier=draft.tier,
        rule=None if draft.verdict.row is None else draft.verdict.row.name,
        culprits=culprits,
        signs=_signs(draft.span),
        eosinophils_per_ul=None if reading is None else reading.low,
        eosinophils_are_more=reading is not None and reading.high is None,
        threshold_per_ul=_threshold(draft, rulebook),
        score=draft.score,
        criteria=criteria,
        established_by=draft.established_by,
        recurrence=draft.recurrence,
        resolved_at=draft.ending.resolved_at,
        closing=draft.ending.closing,
        closes_at=draft.ending.closes_at,
        follow_up_at=follow_up_at(onset, offset, draft.score, draft.ending.resolved_at, rulebook),
        flags=_flags(draft, peak, courses, rulebook),
        evidence=_evidence(draft, culprits, peak),
        judgement=draft.judgement,
        eosinophils_on=None if peak is None else _date_of(peak),
    )


def _threshold(draft: Draft, rulebook: Rulebook) -> int | None:
    suspect = draft.verdict.suspect or next(iter(draft.suspects), None)
    return None if suspect is None else rulebook.threshold_per_ul(rulebook.watched[suspect.course.drug])


def _peak(span: Span) -> tuple[EosinophilCount, Reading] | None:
    """Return the highest count with its reading; one known only to be below something is no peak."""
    counts = [(count, count.alert) for count in span.timeline.counts if count.alert is not None]
    stated = [(count, alert) for count, alert in counts if alert.is_exact or alert.low > 0]
    return max(stated, key=lambda pair: pair[1].low, default=None)


def _date_of(count: EosinophilCount) -> str | None:
    """Return the date of a count at the facility, unless it is of one of several days."""
    first, last = (local_day(at, count.utc_offset_minutes) for at in (count.at.earliest, count.at.latest))
    return local_date(first) if first == last else None


def _signs(span: Span) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sign.label for sign in span.timeline.signs if sign.positive))


_FLAG_OF = {
    EvidenceFlag.SPECIMEN_ASSUMED: EpisodeFlag.SPECIMEN_ASSUMED,
    EvidenceFlag.WEAK_KEY: EpisodeFlag.WEAK_KEY,
}


def _flags(
    draft: Draft, peak: EosinophilCount | None, courses: Courses, rulebook: Rulebook
) -> tuple[EpisodeFlag, ...]:
    flags: set[EpisodeFlag] = set()
    if peak is not None:
        flags.update(_FLAG_OF[flag] for flag in peak.flags if flag in _FLAG_OF)
        if peak.leukocytes_from_elsewhere:
            flags.add(EpisodeFlag.LEUKOCYTES_FROM_ANOTHER_SPECIMEN)
    counts = (count.is_conflicting for count in draft.span.timeline.counts)
    signs = (sign.is_conflicting for sign in draft.span.timeline.signs)
    reports = (reported.is_conflicting for reported in draft.span.reports)
    if any(counts) or any(signs) or any(reports):
        flags.add(EpisodeFlag.CONFLICTING_EVIDENCE)
    if draft.span.reports:
        serious = any(reported.content.serious is True for reported in draft.span.reports)
        flags.add(EpisodeFlag.REPORTED_SERIOUS_DRESS if serious else EpisodeFlag.REPORTED_DRESS)
    if draft.second_hit:
        flags.add(EpisodeFlag.SECOND_HIT)
    if not draft.suspects:
        flags.update(exposure_flags(draft.span, courses, rulebook))
    if draft.verdict.preexisting:
        flags.add(EpisodeFlag.PREEXISTING_EOSINOPHILIA)
    if draft.verdict.row is not None and draft.verdict.row.name == RISING_ON_BASELINE:
        flags.add(EpisodeFlag.RISING_ON_BASELINE)
    suspect = draft.verdict.suspect
    if (
        suspect is not None
        and suspect.position.latency is Latency.UNKNOWN
        and suspect.course.first_dose is None
    ):
        flags.add(EpisodeFlag.EXPOSURE_FROM_ORDERS)
    return tuple(sorted(flags))


def _evidence(
    draft: Draft, culprits: tuple[Culprit, ...], peak: EosinophilCount | None
) -> tuple[FactKey, ...]:
    """Name the facts that decided: opening, peak, scored items, first sign of each kind, courses; each once."""
    first_signs = {sign.label: sign.key for sign in reversed(draft.span.timeline.signs) if sign.positive}
    keys = [
        *draft.span.opening.keys,
        *(reported.key for reported in draft.span.reports),
        *(peak.keys if peak is not None else ()),
        *(key for item in draft.score.items for key in item.evidence),
        *(first_signs[label] for label in sorted(first_signs)),
        *(key for culprit in culprits for key in culprit.evidence),
    ]
    return tuple(dict.fromkeys(keys))
