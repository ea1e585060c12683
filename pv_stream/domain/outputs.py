"""Outputs: what is told to the world, field by field as it stands in the topics.

The field names and values here are the contract (schemas/). They are plain values in JSON's own types plus exact
decimals; instants are ISO 8601 text in UTC. An output holds no partition, offset, host, package version or time
of processing (law 2): those go in headers.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

from pv_stream.domain.codes import ActionKind, ExposureKind, OverrideReason

SCHEMA_VERSION: Final = 1


class AlertKind(StrEnum):
    """Say what an alert is about."""

    SUSPECTED_DRESS = "suspected_dress"
    CULPRIT_RESTART = "culprit_restart"
    DATA_REVIEW = "data_review"
    FOLLOW_UP_DUE = "follow_up_due"
    SYSTEM = "system"


class AlertStatus(StrEnum):
    """Say where an alert is in its life."""

    RAISED = "raised"
    REVISED = "revised"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"
    SUPERSEDED = "superseded"
    TRANSFERRED = "transferred"


class Cause(StrEnum):
    """Say what made this revision."""

    EVENT = "event"
    CORRECTION = "correction"
    RETRACTION = "retraction"
    MERGE = "merge"
    CLOCK = "clock"
    RULEBOOK = "rulebook"
    ACTION = "action"


class Timeliness(StrEnum):
    """Say how long after the clinical event the system learned of it."""

    LIVE = "live"
    LATE = "late"
    RETROSPECTIVE = "retrospective"


@dataclass(frozen=True, slots=True)
class PointsOut:
    """Carry points for the worst, current and best reading of what is unknown."""

    worst: int
    current: int
    best: int


@dataclass(frozen=True, slots=True)
class CategoryOut:
    """Carry the RegiSCAR category for each of the three totals."""

    worst: str
    current: str
    best: str


@dataclass(frozen=True, slots=True)
class ItemOut:
    """Carry one RegiSCAR item: levels still possible, points, evidence."""

    item: str
    levels: tuple[str, ...]
    points: PointsOut
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegiscarOut:
    """Carry the RegiSCAR score (Kardaun 2007/2013) as an interval; `organ_profile` names the organ cut-offs."""

    worst: int
    current: int
    best: int
    category: CategoryOut
    unknown_items: int
    items: tuple[ItemOut, ...]
    organ_profile: str


@dataclass(frozen=True, slots=True)
class JscarOut:
    """Carry how many of the seven J-SCAR/DIHS criteria are met, unmet and unknown; a category only where determined."""

    met: int
    unmet: int
    unknown: int
    category: str | None


@dataclass(frozen=True, slots=True)
class CriteriaOut:
    """Carry, beside the RegiSCAR score, where J-SCAR and Bocquet 1996 stand; the case has the criteria themselves."""

    jscar: JscarOut
    bocquet: str


@dataclass(frozen=True, slots=True)
class CriterionOut:
    """Carry one criterion: met, unmet or unknown, and its evidence."""

    criterion: str
    truth: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NaranjoItemOut:
    """Carry one answered question of the Naranjo scale."""

    item: str
    answer: str
    points: int
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CausalityOut:
    """Carry the causality of one suspect drug; questions that are not listed are unknown and give no points."""

    drug: str
    naranjo: int
    category: str
    answered: tuple[NaranjoItemOut, ...]
    who_umc: str


@dataclass(frozen=True, slots=True)
class CaseCriteriaOut:
    """Carry all criteria beside the RegiSCAR score, one by one, and the causality of each suspect drug."""

    jscar: JscarOut
    jscar_criteria: tuple[CriterionOut, ...]
    bocquet: str
    bocquet_parts: tuple[CriterionOut, ...]
    causality: tuple[CausalityOut, ...]


@dataclass(frozen=True, slots=True)
class CulpritOut:
    """Carry one suspect drug with the reasons for its rank.

    `naranjo` and `who_umc` are null for a drug that only a report or a clinician names. `product` names the ingredients
    where it was given as one product of several: the culprit is the product.
    """

    drug: str
    rxnorm: str | None
    rank: int
    latency_days: int | None
    latency: str
    exposure: str
    naranjo: int | None = None
    who_umc: str | None = None
    named_by: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    product: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecurrenceOut:
    """Carry what makes the episode a recurrence; `interval_days` runs from onset to onset."""

    primary: str
    contributing: tuple[str, ...]
    of_episode: str
    interval_days: int


@dataclass(frozen=True, slots=True)
class RestartOut:
    """Carry which drug was started again, when, and how it relates to the culprit of the earlier episode.

    `begun_as` says how that is on record: a dose (`administration`, `statement`), else an `order` or a `dispense`.
    """

    drug: str
    rxnorm: str | None
    relation: str
    of_episode: str
    started_at: str
    begun_as: ExposureKind | None = None


@dataclass(frozen=True, slots=True)
class ReviewOut:
    """Carry why a value is held, and the fact that waits."""

    fact: str
    code: str


@dataclass(frozen=True, slots=True)
class RulebookOut:
    """Name the rulebook that the output was computed with."""

    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class AcknowledgedOut:
    """Carry who took note of the alert (a pseudonym), when and at which tier, and why it was overridden if it was."""

    by: str
    at: str
    tier: str
    override_reason: str | None


@dataclass(frozen=True, slots=True)
class TreatmentOut:
    """Carry one course of a treatment in an episode; `kind` is steroid, cyclosporine or anti_il5.

    `ended` and `days` (both ends included) are null while it may go on. `dose_mg_per_kg` is the highest single dose
    that is known. `prior_steroid` says that a systemic steroid is recorded before it. Days to clinical resolution
    (temperature below 38.5 degrees, sustained, and the rash improved) are counted from its start.
    """

    drug: str
    rxnorm: str | None
    kind: str
    started: str
    ended: str | None
    days: int | None
    dose_mg_per_kg: Decimal | None
    prior_steroid: bool
    days_to_clinical_resolution: int | None


@dataclass(frozen=True, slots=True)
class Alert:
    """Carry one revision of an alert: upsert by `alert_id`, keeping the highest `revision`.

    `eosinophils_per_ul` is the peak, of the local date `eosinophils_on` where that is one; `eosinophils_are_more` says
    that the laboratory sent it as a lower bound.
    `acknowledged` is null again once the tier has risen above the acknowledged one (flag `rearmed`). `continues`
    names the alerts of merged patient records that go on in this one; a `transferred` alert names the patient record
    under which it goes on. `masking` names the treatments that may hide eosinophils; `course` is set while one of
    them holds the reaction down with its drug going on, which is not resolved.
    """

    schema_version: Literal[1]
    record_id: str
    alert_id: str
    kind: AlertKind
    episode_id: str | None
    patient_id: str
    revision: int
    status: AlertStatus
    closing: str | None
    superseded_by: str | None
    tier: str
    as_of: str
    timeliness: Timeliness
    reason: str
    cause: Cause
    culprits: tuple[CulpritOut, ...]
    eosinophils_per_ul: Decimal | None
    eosinophils_are_more: bool
    threshold_per_ul: int | None
    regiscar: RegiscarOut | None
    criteria: CriteriaOut | None
    recurrence: RecurrenceOut | None
    restart: RestartOut | None
    review: ReviewOut | None
    masking: tuple[str, ...]
    flags: tuple[str, ...]
    evidence: tuple[str, ...]
    rulebook: RulebookOut
    acknowledged: AcknowledgedOut | None = None
    continues: tuple[str, ...] = ()
    transferred_to: str | None = None
    course: Literal["controlled_under_treatment"] | None = None
    eosinophils_on: str | None = None


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Carry one revision of a recurrence: upsert by `recurrence_id`, keeping the highest `revision`."""

    schema_version: Literal[1]
    record_id: str
    recurrence_id: str
    revision: int
    status: Literal["observed", "reclassified", "withdrawn"]
    patient_id: str
    episode_id: str
    alert_id: str
    of_episode: str
    primary: str
    contributing: tuple[str, ...]
    interval_days: int
    drugs: tuple[str, ...]
    as_of: str
    cause: Cause
    rulebook: RulebookOut


@dataclass(frozen=True, slots=True)
class Case:
    """Carry the latest view of one episode, candidates included: the compacted topic keeps the last.

    Treatments stand in order of their start; days to clinical resolution are counted from the first.
    """

    schema_version: Literal[1]
    patient_id: str
    episode_id: str
    revision: int
    state: Literal["candidate", "open", "closed", "withdrawn", "superseded", "transferred"]
    closing: str | None
    superseded_by: str | None
    tier: str | None
    onset: str
    last_evidence: str
    resolved_at: str | None
    established: bool
    established_by: str | None
    signs: tuple[str, ...]
    culprits: tuple[CulpritOut, ...]
    eosinophils_per_ul: Decimal | None
    eosinophils_are_more: bool
    regiscar: RegiscarOut
    criteria: CaseCriteriaOut
    recurrence: RecurrenceOut | None
    course: Literal["controlled_under_treatment"] | None
    masking: tuple[str, ...]
    treatments: tuple[TreatmentOut, ...]
    clinical_resolution_at: str | None
    days_to_clinical_resolution: int | None
    flags: tuple[str, ...]
    as_of: str
    cause: Cause
    rulebook: RulebookOut
    eosinophils_on: str | None = None


@dataclass(frozen=True, slots=True)
class AlertAction:
    """Carry one accepted action on an alert: who did what, at which tier and revision as seen.

    `by` is a pseudonym. `reason` says why an alert was overridden; `drugs` are the culprits that a confirmation names.
    """

    schema_version: Literal[1]
    record_id: str
    action_id: str
    alert_id: str
    kind: AlertKind
    episode_id: str | None
    patient_id: str
    action: ActionKind
    reason: OverrideReason | None
    drugs: tuple[str, ...]
    by: str
    tier: str
    revision: int
    as_of: str
    rulebook: RulebookOut


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Carry why a record of the input log was not used: a code, and the digest and size of its bytes."""

    schema_version: Literal[1]
    code: str
    value_digest: str
    value_bytes: int
    patient_id: str | None


Output = Alert | Recurrence | Case | AlertAction | DeadLetter
