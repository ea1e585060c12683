"""Criteria: what the criteria beside RegiSCAR, and the causality scales, say of one episode.

Each statement is three-valued: unknown is not no. Evidence is named by fact keys.
"""

from dataclasses import dataclass
from enum import StrEnum

from pv_stream.domain.ids import FactKey


class Truth(StrEnum):
    """Say whether a criterion is documented as met, documented as unmet, or neither."""

    MET = "met"
    UNMET = "unmet"
    UNKNOWN = "unknown"


class JscarCategory(StrEnum):
    """Name the category of J-SCAR/DIHS (PMC7927043)."""

    TYPICAL = "typical"
    ATYPICAL = "atypical"


class Answer(StrEnum):
    """Answer a question of the Naranjo scale."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class NaranjoCategory(StrEnum):
    """Name the category of a Naranjo total (PMC6136411)."""

    DEFINITE = "definite"
    PROBABLE = "probable"
    POSSIBLE = "possible"
    DOUBTFUL = "doubtful"


class WhoUmc(StrEnum):
    """Name the WHO-UMC causality category (PMC2865802)."""

    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"
    UNLIKELY = "unlikely"
    CONDITIONAL = "conditional"
    UNASSESSABLE = "unassessable"


class SuspectReason(StrEnum):
    """Say why a drug is suspect, and what its rank follows; in the order in which reasons are listed."""

    LATENCY_CORE = "latency_core"
    LATENCY_SHOULDER = "latency_shoulder"
    REEXPOSURE = "reexposure"
    LATENCY_UNKNOWN = "latency_unknown"
    BEGAN_AFTER_ONSET = "began_after_onset"
    ROUTE_UNSURE = "route_unsure"
    POSITIVE_RECHALLENGE = "positive_rechallenge"
    NEGATIVE_RECHALLENGE = "negative_rechallenge"
    EARLIER_REACTION = "earlier_reaction"
    CROSS_REACTIVE_WITH_EARLIER_CULPRIT = "cross_reactive_with_earlier_culprit"
    POSITIVE_DECHALLENGE = "positive_dechallenge"
    NEGATIVE_DECHALLENGE = "negative_dechallenge"
    EXPOSURE_ONGOING = "exposure_ongoing"
    COMBINATION_PRODUCT = "combination_product"
    AMBIGUOUS_PAIR = "ambiguous_pair"
    PRODRUG = "prodrug"


@dataclass(frozen=True, slots=True)
class Criterion:
    """Hold one criterion, whether it is met, and the facts that decided it."""

    name: str
    truth: Truth
    evidence: tuple[FactKey, ...]


@dataclass(frozen=True, slots=True)
class Jscar:
    """Hold the seven J-SCAR criteria; `category` is None unless what is documented determines it."""

    criteria: tuple[Criterion, ...]
    category: JscarCategory | None

    def count(self, truth: Truth) -> int:
        """Count the criteria that are met, unmet or unknown."""
        return sum(criterion.truth is truth for criterion in self.criteria)


@dataclass(frozen=True, slots=True)
class Bocquet:
    """Hold the three parts of the criteria of Bocquet 1996, all of which must be met, and the whole."""

    parts: tuple[Criterion, ...]
    whole: Truth


@dataclass(frozen=True, slots=True)
class NaranjoItem:
    """Hold one answered question of the Naranjo scale with its points and the facts that decided it."""

    item: str
    answer: Answer
    points: int
    evidence: tuple[FactKey, ...]


@dataclass(frozen=True, slots=True)
class Naranjo:
    """Hold a Naranjo total with the questions that are answered; the others are unknown and give no points."""

    total: int
    category: NaranjoCategory
    answered: tuple[NaranjoItem, ...]


@dataclass(frozen=True, slots=True)
class Causality:
    """Hold how likely one suspect drug is the cause, on both scales."""

    drug: str
    naranjo: Naranjo
    who_umc: WhoUmc


@dataclass(frozen=True, slots=True)
class Criteria:
    """Hold what stands beside the RegiSCAR score of an episode; `causality` is in the order of the culprits."""

    jscar: Jscar
    bocquet: Bocquet
    causality: tuple[Causality, ...]
