"""Assessments: what a patient's facts mean under one rulebook.

An assessment is a function of facts and rulebook alone. What time alone will change stands in it as an instant
(`closes_at`). It carries no ids, revisions or latched tiers: those belong to what was published
(`domain.published`). Evidence is named by fact keys.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Final

from pv_stream.domain.codes import ExposureKind, HoldCode, Judgement, Manner, TreatmentKind
from pv_stream.domain.criteria import Criteria, SuspectReason, WhoUmc
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import Instant


class Tier(IntEnum):
    """Rank how urgent an alert is."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3


class Category(StrEnum):
    """Name the RegiSCAR category of a total (Kardaun 2007)."""

    NO_CASE = "no_case"
    POSSIBLE = "possible"
    PROBABLE = "probable"
    DEFINITE = "definite"


class Latency(StrEnum):
    """Say where in its window of latency a suspect drug stood at onset."""

    CORE = "core"
    REEXPOSURE = "reexposure"
    SHOULDER = "shoulder"
    UNKNOWN = "unknown"


class ExposureState(StrEnum):
    """Say whether a suspect drug is still being given, as far as records tell."""

    ONGOING = "ongoing"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


class Relation(StrEnum):
    """Say how a restarted drug relates to the culprit of an earlier episode."""

    SAME = "same"
    CANDIDATE = "candidate"
    AMBIGUOUS = "ambiguous"
    CROSS_REACTIVE = "cross_reactive"


class NamedBy(StrEnum):
    """Say who names a drug as a culprit of an episode.

    `FACTS`: evidence lies in its window, or it cross-reacts with a culprit and was begun while the episode was open.
    `CLINICIAN`: a confirmation names it. `REPORTER`: a report of DRESS names it. `OTHER_REPORT`: a report of another
    reaction on a day of the episode names it.
    """

    FACTS = "facts"
    CLINICIAN = "clinician"
    REPORTER = "reporter"
    OTHER_REPORT = "other_report"


class RecurrenceClass(StrEnum):
    """Name the primary class of a recurrence, in order of precedence.

    `REPEAT` has no established predecessor: it is no recurrence yet, and stands at its own tier.
    """

    RECHALLENGE = "rechallenge"
    CROSS_REACTIVE = "cross_reactive"
    NEW_CULPRIT = "new_culprit"
    FLARE_ON_WITHDRAWAL = "flare_on_withdrawal"
    VIRAL_REACTIVATION = "viral_reactivation"
    RELAPSE_WITHOUT_DRUG = "relapse_without_drug"
    REPEAT = "repeat"


class EstablishedBy(StrEnum):
    """Say why an episode counts as established DRESS."""

    SCORE = "score"
    RECHALLENGE = "rechallenge"
    REPORT = "report"
    CONFIRMED = "confirmed"


class Closing(StrEnum):
    """Say why an episode is closed."""

    RESOLVED = "resolved"
    LOST_TO_OBSERVATION = "lost_to_observation"
    REFUTED = "refuted"


class EpisodeFlag(StrEnum):
    """Mark what a reader must know about an episode."""

    CONFLICTING_EVIDENCE = "conflicting_evidence"
    SPECIMEN_ASSUMED = "specimen_assumed"
    WEAK_KEY = "weak_key"
    LEUKOCYTES_FROM_ANOTHER_SPECIMEN = "leukocytes_from_another_specimen"
    EXPOSURE_FROM_ORDERS = "exposure_from_orders"
    UNLISTED_DRUG = "unlisted_drug"
    UNRECOGNISED_DRUG = "unrecognised_drug"
    OUTSIDE_WINDOW = "outside_window"
    NO_EXPOSURE_RECORD = "no_exposure_record"
    PREEXISTING_EOSINOPHILIA = "preexisting_eosinophilia"
    RISING_ON_BASELINE = "rising_on_baseline"
    SECOND_HIT = "second_hit"
    REPORTED_DRESS = "reported_dress"
    REPORTED_SERIOUS_DRESS = "reported_serious_dress"
    THINNED = "thinned"


@dataclass(frozen=True, slots=True)
class Points:
    """Hold the points of an item, or a total, over the levels that are still possible."""

    worst: int
    current: int
    best: int


@dataclass(frozen=True, slots=True)
class ItemScore:
    """Hold one scored item: the levels still possible, its points, and the facts that decided it."""

    item: str
    levels: tuple[str, ...]
    points: Points
    evidence: tuple[FactKey, ...]

    @property
    def is_unknown(self) -> bool:
        """Tell whether more than one level is still possible."""
        return len(self.levels) > 1


@dataclass(frozen=True, slots=True)
class Score:
    """Hold a RegiSCAR score as the exact interval over everything that is unknown."""

    total: Points
    worst_category: Category
    current_category: Category
    best_category: Category
    items: tuple[ItemScore, ...]

    @property
    def unknown_items(self) -> int:
        """Count the items of which more than one level is possible."""
        return sum(item.is_unknown for item in self.items)


@dataclass(frozen=True, slots=True)
class Culprit:
    """Hold one suspect drug of an episode with its rank (1 is first; ties share a rank) and why.

    A drug that only a report or a clinician names has no `reasons`, and its causality (`naranjo`, `who_umc`) is not
    assessed. `product` names the ingredients where it was given as one product of several.
    """

    drug: str
    rxnorm: str | None
    rank: int
    latency_days: int | None
    latency: Latency
    exposure: ExposureState
    threshold_per_ul: int
    evidence: tuple[FactKey, ...]
    named_by: tuple[NamedBy, ...] = (NamedBy.FACTS,)
    reasons: tuple[SuspectReason, ...] = ()
    product: tuple[str, ...] = ()
    naranjo: int | None = None
    who_umc: WhoUmc | None = None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Name a treatment that was withdrawn shortly before a recurrence, and how."""

    drug: str
    manner: Manner


@dataclass(frozen=True, slots=True)
class RecurrenceFinding:
    """Hold what makes an episode a recurrence; `of_episode` is an index into the assessment's episodes.

    `withdrawn` is the treatment of a flare on withdrawal, primary or contributing.
    """

    primary: RecurrenceClass
    contributing: tuple[RecurrenceClass, ...]
    of_episode: int
    interval_days: int
    withdrawn: Withdrawn | None = None


@dataclass(frozen=True, slots=True)
class Flare:
    """Hold what came back of a reaction that anti-IL-5 antibodies had held down: signs, or eosinophils, each once.

    `is_under` says that one of them still held down what it could when the first came back.
    """

    drugs: tuple[str, ...]
    back: tuple[str, ...]
    is_under: bool


@dataclass(frozen=True, slots=True)
class TreatmentGiven:
    """Hold one course of a treatment in an episode.

    `ended` and `days` (both ends included) are None while it may go on. `dose_mg_per_kg` is the highest single dose,
    rounded to hundredths, None when none is known. `prior_steroid` says that a systemic steroid is recorded before it;
    `days_to_clinical_resolution` are counted from its start.
    """

    drug: str
    rxnorm: str | None
    kind: TreatmentKind
    started: Instant
    ended: Instant | None
    days: int | None
    dose_mg_per_kg: Decimal | None
    prior_steroid: bool
    days_to_clinical_resolution: int | None


@dataclass(frozen=True, slots=True)
class Treated:
    """Hold the treatments of an episode in order of their start, and when it clinically resolved under them."""

    treatments: tuple[TreatmentGiven, ...]
    clinical_resolution_at: Instant | None

    @property
    def days_to_clinical_resolution(self) -> int | None:
        """Return the days from the start of the first treatment."""
        return self.treatments[0].days_to_clinical_resolution if self.treatments else None


NOT_TREATED: Final = Treated((), None)


@dataclass(frozen=True, slots=True)
class EpisodeAssessment:
    """Hold what is known of one episode. `tier` is None for a candidate, which alerts nobody.

    `members` are the keys of all positive evidence in order of time: they carry the episode's identity.
    `eosinophils_per_ul` is the peak count that the alert uses, of the local date `eosinophils_on` where that is one;
    `eosinophils_are_more` says that it was sent as a lower bound. `closes_at` is when `closing` comes true by time
    alone; `follow_up_at` is when somebody should have looked whether the reaction goes on, None when that is
    documented; `judgement` is the clinician's verdict that covers the episode; `masking` names the treatments that may
    hide eosinophils; `is_controlled` says that one of them holds the reaction down while its drug goes on: that is not
    resolved. `flare` is what came back since it was.
    """

    members: tuple[FactKey, ...]
    onset: Instant
    last_evidence: Instant
    utc_offset_minutes: int
    tier: Tier | None
    rule: str | None
    culprits: tuple[Culprit, ...]
    signs: tuple[str, ...]
    eosinophils_per_ul: Decimal | None
    eosinophils_are_more: bool
    threshold_per_ul: int | None
    score: Score
    criteria: Criteria
    established_by: EstablishedBy | None
    recurrence: RecurrenceFinding | None
    resolved_at: Instant | None
    closing: Closing
    closes_at: Instant
    follow_up_at: Instant | None
    flags: tuple[EpisodeFlag, ...]
    evidence: tuple[FactKey, ...]
    judgement: Judgement | None = None
    is_controlled: bool = False
    masking: tuple[str, ...] = ()
    treated: Treated = NOT_TREATED
    eosinophils_on: str | None = None
    flare: Flare | None = None


@dataclass(frozen=True, slots=True)
class RestartAssessment:
    """Hold one course of a culprit, or of a cross-reactive drug, that began after an earlier episode.

    `drugs` are the ingredients that warn, of a product those that the earlier episode is due to, in order of name.
    `prior` is an index into the assessment's episodes; `given_until` is the end of the course, None while it may go
    on; `reacted` says that a reaction has followed in the course; `begun_as` is how the course is on record: by a dose,
    else by an order.
    """

    prior: int
    drugs: tuple[str, ...]
    rxnorm: str | None
    relation: Relation
    tier: Tier
    started_at: Instant
    utc_offset_minutes: int
    course: tuple[FactKey, ...]
    given_until: Instant | None
    reacted: bool
    begun_as: ExposureKind = ExposureKind.ORDER

    @property
    def drug(self) -> str:
        """Return the name of the drug, or of the product by its ingredients."""
        return "/".join(self.drugs)


@dataclass(frozen=True, slots=True)
class ReviewAssessment:
    """Hold one value that waits for a person while the patient is under a watched drug."""

    fact: FactKey
    code: HoldCode
    effective: Instant
    drugs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """Hold all that a patient's facts mean: episodes in order of time, candidates included."""

    episodes: tuple[EpisodeAssessment, ...]
    restarts: tuple[RestartAssessment, ...]
    reviews: tuple[ReviewAssessment, ...]
