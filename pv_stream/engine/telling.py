"""Telling: building the records of alerts, cases and recurrences from assessments and identities.

Every function here is a plain mapping from domain to output fields; what is told, and when, is `engine.diff`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pv_stream.domain.actions import Acknowledgement
from pv_stream.domain.assessment import (
    Culprit,
    EpisodeAssessment,
    EpisodeFlag,
    Points,
    RestartAssessment,
    ReviewAssessment,
    Score,
    TreatmentGiven,
)
from pv_stream.domain.codes import OverrideReason
from pv_stream.domain.events import AlertActed
from pv_stream.domain.facts import Fact
from pv_stream.domain.ids import EpisodeId, FactKey, PatientId, derive_id
from pv_stream.domain.outputs import (
    SCHEMA_VERSION,
    AcknowledgedOut,
    Alert,
    AlertAction,
    AlertKind,
    AlertStatus,
    Case,
    CategoryOut,
    Cause,
    CulpritOut,
    ItemOut,
    PointsOut,
    Recurrence,
    RecurrenceOut,
    RegiscarOut,
    RestartOut,
    ReviewOut,
    RulebookOut,
    Timeliness,
    TreatmentOut,
)
from pv_stream.domain.published import AlertLine, PublishedEpisode, RecurrenceLine, ThinnedDays
from pv_stream.domain.times import MICROSECONDS_PER_DAY, MICROSECONDS_PER_HOUR, Instant, format_instant
from pv_stream.engine import telling_criteria
from pv_stream.rules.rulebook import Rulebook

ASSESSMENT_INCOMPLETE = "assessment_incomplete"
#: The flag of the revision on which an acknowledgement holds no more, because the tier has risen above it.
REARMED = "rearmed"
_DIGEST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Occasion:
    """Hold what is the same for all that one record makes known about a patient.

    `effective` is the clinical time of the record, or the instant that was due; `known_at` is when that was known.
    `replaced` names the facts of which a version was replaced: only these and another rulebook let a tier fall.
    `inherited` holds the open alerts of a merged patient record by the episode that takes them over. `survivor` is who
    takes over when this one falls silent.
    """

    patient_id: PatientId
    as_of: Instant
    cause: Cause
    effective: Instant
    known_at: Instant
    facts: Mapping[FactKey, Fact]
    replaced: frozenset[FactKey]
    rulebook: Rulebook
    incomplete: bool = False
    acknowledgements: tuple[Acknowledgement, ...] = ()
    thinned: tuple[ThinnedDays, ...] = ()
    inherited: Mapping[EpisodeId, tuple[AlertLine, ...]] = field(default_factory=dict)
    survivor: PatientId | None = None

    @property
    def is_rulebook(self) -> bool:
        """Tell whether another rulebook is all that changed."""
        return self.cause is Cause.RULEBOOK

    @property
    def rulebook_out(self) -> RulebookOut:
        """Name the rulebook as outputs do."""
        return RulebookOut(self.rulebook.version, self.rulebook.digest)

    def timeliness(self, latest: Instant | None = None) -> Timeliness:
        """Tell how old the news is, by the record or by what it is about, whichever is later.

        An old drug start that arrives today makes today's eosinophils an alert of today.
        """
        effective = self.effective if latest is None else max(self.effective, latest)
        delay, parameters = self.known_at - effective, self.rulebook.parameters
        if delay <= parameters.live_hours.value * MICROSECONDS_PER_HOUR:
            return Timeliness.LIVE
        if delay <= parameters.late_days.value * MICROSECONDS_PER_DAY:
            return Timeliness.LATE
        return Timeliness.RETROSPECTIVE

    def flags_of(self, episode: EpisodeAssessment, line: AlertLine | None = None) -> tuple[str, ...]:
        """Return the flags of an episode in order, with those of its patient, its alert and its days."""
        first, last = episode.onset // MICROSECONDS_PER_DAY - 1, episode.closes_at // MICROSECONDS_PER_DAY
        is_thinned = any(days.first <= last and first <= days.last for days in self.thinned)
        return self.flags((*episode.flags, EpisodeFlag.THINNED) if is_thinned else episode.flags, line)

    def flags(self, flags: tuple[EpisodeFlag, ...], line: AlertLine | None = None) -> tuple[str, ...]:
        """Return flags in order, with those that say that data are incomplete, or that an alert is armed again."""
        incomplete = (ASSESSMENT_INCOMPLETE,) if self.incomplete else ()
        noted = None if line is None else self._acknowledgement(line)
        rearmed = (REARMED,) if line is not None and noted is not None and noted.tier < line.tier else ()
        return tuple(sorted((*flags, *incomplete, *rearmed)))

    def acknowledged(self, line: AlertLine) -> AcknowledgedOut | None:
        """Return who took note of an alert, unless its tier has risen above what that person saw."""
        noted = self._acknowledgement(line)
        if noted is None or noted.tier < line.tier:
            return None
        return AcknowledgedOut(noted.by, format_instant(noted.at), noted.tier.name.lower(), noted.override)

    def _acknowledgement(self, line: AlertLine) -> Acknowledgement | None:
        return next((noted for noted in self.acknowledgements if noted.alert_id == line.alert_id), None)

    def cite(self, keys: tuple[FactKey, ...]) -> tuple[str, ...]:
        """Name facts with the message and the path that they came from."""
        return tuple(f"{key}{self._source(key)}" for key in keys)

    def _source(self, key: FactKey) -> str:
        fact = self.facts.get(key)
        if fact is None:
            return ""
        provenance = fact.statements[0][1]
        digest = provenance.message_digest.removeprefix("sha256:")[:_DIGEST_SHOWN]
        return f"@{digest}#{provenance.path}"


def _alert(
    occasion: Occasion, line: AlertLine, kind: AlertKind, reason: str, evidence: tuple[FactKey, ...]
) -> Alert:
    """Return an alert with what every kind has; the others replace what they have more."""
    return Alert(
        schema_version=SCHEMA_VERSION,
        record_id=derive_id("rec", line.alert_id, str(line.revision)),
        alert_id=line.alert_id,
        kind=kind,
        episode_id=None,
        patient_id=occasion.patient_id,
        revision=line.revision,
        status=line.status,
        closing=None,
        superseded_by=None,
        tier=line.tier.name.lower(),
        as_of=format_instant(occasion.as_of),
        timeliness=occasion.timeliness(),
        reason=reason,
        cause=occasion.cause,
        culprits=(),
        eosinophils_per_ul=None,
        eosinophils_are_more=False,
        threshold_per_ul=None,
        regiscar=None,
        criteria=None,
        recurrence=None,
        restart=None,
        review=None,
        masking=(),
        flags=occasion.flags((), line),
        evidence=occasion.cite(evidence),
        rulebook=occasion.rulebook_out,
        acknowledged=occasion.acknowledged(line),
        continues=line.continues,
        transferred_to=occasion.survivor if line.status is AlertStatus.TRANSFERRED else None,
    )


def episode_alert(occasion: Occasion, told: PublishedEpisode, line: AlertLine, reason: str) -> Alert:
    """Return a revision of the alert of an episode."""
    last = told.last
    return replace(
        _alert(occasion, line, AlertKind.SUSPECTED_DRESS, reason, last.evidence),
        episode_id=told.episode_id,
        closing=told.closing,
        superseded_by=told.superseded_by,
        timeliness=occasion.timeliness(None if told.closing is not None else last.last_evidence),
        culprits=_culprits(last),
        eosinophils_per_ul=last.eosinophils_per_ul,
        eosinophils_are_more=last.eosinophils_are_more,
        threshold_per_ul=last.threshold_per_ul,
        regiscar=_regiscar(last.score, occasion),
        criteria=telling_criteria.in_alert(last.criteria),
        recurrence=recurrence_out(told),
        masking=last.masking,
        course=_course(last),
        eosinophils_on=last.eosinophils_on,
        flags=occasion.flags_of(last, line),
    )


def restart_alert(
    occasion: Occasion, line: AlertLine, restart: RestartAssessment, of_episode: EpisodeId, reason: str
) -> Alert:
    """Return a revision of the alert of a restarted drug."""
    return replace(
        _alert(occasion, line, AlertKind.CULPRIT_RESTART, reason, restart.course[:1]),
        episode_id=of_episode,
        timeliness=occasion.timeliness(
            occasion.known_at if restart.given_until is None else restart.given_until
        ),
        restart=RestartOut(
            drug=restart.drug,
            rxnorm=restart.rxnorm,
            relation=restart.relation,
            of_episode=of_episode,
            started_at=format_instant(restart.started_at),
            begun_as=restart.begun_as,
        ),
    )


def review_alert(
    occasion: Occasion, line: AlertLine, review: ReviewAssessment, reason: str, closing: str | None = None
) -> Alert:
    """Return a revision of the alert of a held value."""
    return replace(
        _alert(occasion, line, AlertKind.DATA_REVIEW, reason, (review.fact,)),
        review=ReviewOut(review.fact, review.code),
        closing=closing,
    )


def follow_up_alert(
    occasion: Occasion, told: PublishedEpisode, line: AlertLine, reason: str, closing: str | None
) -> Alert:
    """Return a revision of the alert that a follow-up is due."""
    last = told.last
    return replace(
        _alert(occasion, line, AlertKind.FOLLOW_UP_DUE, reason, last.evidence),
        episode_id=told.episode_id,
        closing=closing,
        culprits=_culprits(last),
        regiscar=_regiscar(last.score, occasion),
    )


def system_alert(occasion: Occasion, line: AlertLine, reason: str) -> Alert:
    """Return the alert that a patient's assessment is incomplete."""
    return _alert(occasion, line, AlertKind.SYSTEM, reason, ())


def alert_action(
    occasion: Occasion, acted: AlertActed, line: AlertLine, kind: AlertKind, episode_id: EpisodeId | None
) -> AlertAction:
    """Return the record of an accepted action on the alert that stands with this line."""
    return AlertAction(
        schema_version=SCHEMA_VERSION,
        record_id=derive_id("rec", acted.action_id),
        action_id=acted.action_id,
        alert_id=acted.alert_id,
        kind=kind,
        episode_id=episode_id,
        patient_id=occasion.patient_id,
        action=acted.action,
        reason=None if acted.reason is None else OverrideReason(acted.reason),
        drugs=acted.drugs,
        by=acted.actor,
        tier=line.tier.name.lower(),
        revision=acted.seen_revision,
        as_of=format_instant(occasion.as_of),
        rulebook=occasion.rulebook_out,
    )


def episode_case(occasion: Occasion, told: PublishedEpisode) -> Case:
    """Return the latest view of an episode."""
    last, treated = told.last, told.last.treated
    return Case(
        schema_version=SCHEMA_VERSION,
        patient_id=occasion.patient_id,
        episode_id=told.episode_id,
        revision=told.case_revision,
        state=told.state.value,
        closing=told.closing,
        superseded_by=told.superseded_by,
        tier=_standing_tier(told),
        onset=format_instant(last.onset),
        last_evidence=format_instant(last.last_evidence),
        resolved_at=_instant(last.resolved_at),
        established=last.established_by is not None,
        established_by=last.established_by,
        signs=last.signs,
        culprits=_culprits(last),
        eosinophils_per_ul=last.eosinophils_per_ul,
        eosinophils_are_more=last.eosinophils_are_more,
        regiscar=_regiscar(last.score, occasion),
        criteria=telling_criteria.in_case(last.criteria),
        recurrence=recurrence_out(told),
        course=_course(last),
        masking=last.masking,
        treatments=tuple(map(_treatment, treated.treatments)),
        clinical_resolution_at=_instant(treated.clinical_resolution_at),
        days_to_clinical_resolution=treated.days_to_clinical_resolution,
        flags=occasion.flags_of(last),
        as_of=format_instant(occasion.as_of),
        cause=occasion.cause,
        rulebook=occasion.rulebook_out,
        eosinophils_on=last.eosinophils_on,
    )


def _instant(instant: Instant | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _course(episode: EpisodeAssessment) -> Literal["controlled_under_treatment"] | None:
    return "controlled_under_treatment" if episode.is_controlled else None


def _treatment(given: TreatmentGiven) -> TreatmentOut:
    return TreatmentOut(
        drug=given.drug,
        rxnorm=given.rxnorm,
        kind=given.kind,
        started=format_instant(given.started),
        ended=_instant(given.ended),
        days=given.days,
        dose_mg_per_kg=given.dose_mg_per_kg,
        prior_steroid=given.prior_steroid,
        days_to_clinical_resolution=given.days_to_clinical_resolution,
    )


def _standing_tier(told: PublishedEpisode) -> str | None:
    if told.alert is None or told.alert.status is AlertStatus.WITHDRAWN:
        return None
    return told.alert.tier.name.lower()


def recurrence_record(
    occasion: Occasion,
    told: PublishedEpisode,
    line: RecurrenceLine,
    status: str,
    finding: RecurrenceOut,
) -> Recurrence:
    """Return a revision of a recurrence."""
    assert told.alert is not None
    return Recurrence(
        schema_version=SCHEMA_VERSION,
        record_id=derive_id("rec", line.recurrence_id, str(line.revision)),
        recurrence_id=line.recurrence_id,
        revision=line.revision,
        status=status,  # type: ignore[arg-type]
        patient_id=occasion.patient_id,
        episode_id=told.episode_id,
        alert_id=told.alert.alert_id,
        of_episode=finding.of_episode,
        primary=finding.primary,
        contributing=finding.contributing,
        interval_days=finding.interval_days,
        drugs=tuple(culprit.drug for culprit in told.last.culprits),
        as_of=format_instant(occasion.as_of),
        cause=occasion.cause,
        rulebook=occasion.rulebook_out,
    )


def recurrence_from(shown: tuple[str, tuple[str, ...], str, int]) -> RecurrenceOut:
    """Return a recurrence as it was last shown."""
    return RecurrenceOut(*shown)


def recurrence_out(told: PublishedEpisode) -> RecurrenceOut | None:
    """Return what makes an episode a recurrence, with the id of the earlier episode."""
    finding = told.last.recurrence
    if finding is None or told.recurrence_of is None:
        return None
    return RecurrenceOut(
        finding.primary.value,
        tuple(c.value for c in finding.contributing),
        told.recurrence_of,
        finding.interval_days,
    )


def _culprits(episode: EpisodeAssessment) -> tuple[CulpritOut, ...]:
    return tuple(map(_culprit, episode.culprits))


def _culprit(culprit: Culprit) -> CulpritOut:
    return CulpritOut(
        drug=culprit.drug,
        rxnorm=culprit.rxnorm,
        rank=culprit.rank,
        latency_days=culprit.latency_days,
        latency=culprit.latency,
        exposure=culprit.exposure,
        naranjo=culprit.naranjo,
        who_umc=culprit.who_umc,
        named_by=tuple(culprit.named_by),
        reasons=tuple(culprit.reasons),
        product=culprit.product,
    )


def _regiscar(score: Score, occasion: Occasion) -> RegiscarOut:
    return RegiscarOut(
        worst=score.total.worst,
        current=score.total.current,
        best=score.total.best,
        category=CategoryOut(score.worst_category, score.current_category, score.best_category),
        unknown_items=score.unknown_items,
        items=tuple(ItemOut(i.item, i.levels, _points(i.points), tuple(i.evidence)) for i in score.items),
        organ_profile=occasion.rulebook.organ_profile.name,
    )


def _points(points: Points) -> PointsOut:
    return PointsOut(points.worst, points.current, points.best)
