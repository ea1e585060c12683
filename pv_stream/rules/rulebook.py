"""The rulebook: every clinical number with its source, as typed values.

Rules take a `Rulebook` and hold no clinical number of their own. What a file of one may say is checked by
`rules.rulebook_check`, and the shell reads the file: nothing here opens one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from pv_stream.domain.codes import Analyte, Route, TreatmentKind


class _Entry:
    """Refuse a word that no rule reads: a misspelled threshold must not be ignored."""

    __slots__ = ()
    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Number(_Entry):
    """Hold one clinical number and the name of its source."""

    value: Decimal
    source: str


@dataclass(frozen=True, slots=True)
class Count(_Entry):
    """Hold one whole clinical number and the name of its source."""

    value: Annotated[int, Field(ge=0)]
    source: str


@dataclass(frozen=True, slots=True)
class Parameters(_Entry):
    """Hold the numbers of the criteria, windows and life of an episode; units are last in the names."""

    eosinophils_low_per_ul: Number
    eosinophils_high_per_ul: Number
    eosinophils_low_percent: Number
    eosinophils_high_percent: Number
    leukocytes_guard_per_ul: Number
    leukocytes_other_specimen_hours: Count
    conflict_factor: Number
    fever_sign_celsius: Number
    fever_score_celsius: Number
    rash_extent_percent: Number
    rash_features_min: Count
    lymph_node_sites_min: Count
    lymph_node_size_cm: Number
    exclusion_tests_min: Count
    resolution_days: Count
    alt_organ_u_per_l: Number
    creatinine_rise_mg_per_dl: Number
    creatinine_rise_percent: Number
    creatinine_baseline_days: Count
    eosinophil_baseline_days: Count
    eosinophil_baseline_factor: Number
    organ_baseline_days: Count
    organ_baseline_factor: Number
    warning_score_min: Count
    critical_score_min: Count
    latency_core_min_days: Count
    latency_core_max_days: Count
    latency_max_days: Count
    lag_days: Count
    course_gap_days: Count
    course_record_gap_days: Count
    infusion_gap_intervals: Count
    order_ahead_days: Count
    disease_free_days: Count
    lost_to_observation_days: Count
    jscar_rash_days: Count
    jscar_persistence_days: Count
    jscar_fever_celsius: Number
    jscar_alt_u_per_l: Number
    jscar_leukocytes_per_ul: Number
    jscar_atypical_lymphocytes_percent: Number
    jscar_eosinophils_per_ul: Number
    jscar_hhv6_days: Count
    bocquet_node_size_cm: Number
    bocquet_transaminase_factor: Number
    bocquet_eosinophils_per_ul: Number
    alt_upper_limit_u_per_l: Number
    ast_upper_limit_u_per_l: Number
    dechallenge_days: Count
    rechallenge_days: Count
    live_hours: Count
    late_days: Count
    future_hours: Count
    masking_anti_il5_days: Count
    masking_after_treatment_days: Count
    masking_steroid_mg_per_kg_day: Number
    treatment_interval_hours: Count
    withdrawal_days: Count
    withdrawal_cut_percent: Number
    viral_reactivation_days: Count
    clinical_resolution_celsius: Number
    clinical_resolution_hours: Count
    clinical_resolution_readings_min: Count
    values_per_code_day_max: Count
    values_per_code_max: Count


@dataclass(frozen=True, slots=True)
class OrganProfile(_Entry):
    """Name whose cut-offs say that a laboratory value shows an organ involved: `ORGAN_CUT_OFFS` cite its source."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    source: str


@dataclass(frozen=True, slots=True)
class Limits(_Entry):
    """Hold the plausible range of an analyte, both ends included, in the unit of the analyte."""

    minimum: Decimal
    maximum: Decimal
    source: str


@dataclass(frozen=True, slots=True)
class PlausibilityOfCounts(_Entry):
    """Hold what makes a cell count implausible whatever its range."""

    fraction_below_per_ul: Number


@dataclass(frozen=True, slots=True)
class Defaults(_Entry):
    """Hold what counts for a drug that says nothing else."""

    threshold_per_ul: Count


@dataclass(frozen=True, slots=True)
class Prodrug(_Entry):
    """Name a prodrug: exposure to it is exposure to the drug. Its code is cited with those of the drug."""

    name: str
    names: tuple[str, ...]
    rxnorm: str | None = None


@dataclass(frozen=True, slots=True)
class WatchedDrug(_Entry):
    """Hold one watched ingredient: codes, exact names, and where it differs from the defaults.

    `codes_source` names the source of its codes, and `reported_in` the one that reports DRESS under this drug, where
    the rulebook can cite one.
    """

    name: str
    names: tuple[str, ...]
    rxnorm: str | None = None
    atc: tuple[str, ...] = ()
    codes_source: str | None = None
    reported_in: str | None = None
    prodrugs: tuple[Prodrug, ...] = ()
    routes_outside: tuple[Route, ...] = ()
    threshold_per_ul: Count | None = None
    latency_core_min_days: Count | None = None
    latency_core_max_days: Count | None = None
    latency_max_days: Count | None = None
    lag_days: Count | None = None
    course_gap_days: Count | None = None


@dataclass(frozen=True, slots=True)
class Combination(_Entry):
    """Name a product of several ingredients."""

    names: tuple[str, ...]
    ingredients: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class CrossReactiveClass(_Entry):
    """Name drugs of which a reaction to one warns of the others."""

    name: str
    members: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Treatment(_Entry):
    """Name a drug that treats or masks a reaction and is never blamed.

    `prednisone_equivalent` is how many mg of prednisone one mg of a steroid equals; `masking_days` replaces the days
    for which its kind masks; `interval_days` is how far apart its doses are, where a course goes on between them;
    `codes_source` names the source of its code.
    """

    name: str
    kind: TreatmentKind
    names: tuple[str, ...]
    rxnorm: str | None = None
    codes_source: str | None = None
    prednisone_equivalent: Number | None = None
    masking_days: Count | None = None
    interval_days: Count | None = None


@dataclass(frozen=True, slots=True)
class FollowUp(_Entry):
    """Say what to measure after a reaction, and how often: words for a person, which no rule reads."""

    name: Annotated[str, Field(min_length=1)]
    advice: Annotated[str, Field(min_length=1)]
    source: str


@dataclass(frozen=True)
class Rulebook(_Entry):
    """Hold one version of the clinical rules; `digest` is SHA-256 over the bytes of its file."""

    version: str
    engine_version: int
    sources: Mapping[str, str]
    parameters: Parameters
    organ_profile: OrganProfile
    plausibility: Mapping[Analyte, Limits]
    plausibility_of_counts: PlausibilityOfCounts
    defaults: Defaults
    drugs: tuple[WatchedDrug, ...]
    combinations: tuple[Combination, ...] = ()
    classes: tuple[CrossReactiveClass, ...] = ()
    treatments: tuple[Treatment, ...] = ()
    follow_up: tuple[FollowUp, ...] = ()
    digest: str = field(default="")

    @cached_property
    def watched(self) -> Mapping[str, WatchedDrug]:
        """Return the watched drugs by ingredient name."""
        return {drug.name: drug for drug in self.drugs}

    @cached_property
    def _names(self) -> Mapping[str, WatchedDrug]:
        return {
            name: drug
            for drug in self.drugs
            for name in (drug.name, *drug.names, *(name for p in drug.prodrugs for name in p.names))
        }

    @cached_property
    def treatment_names(self) -> frozenset[str]:
        """Return every name of a treatment, in lower case."""
        return frozenset(name for t in self.treatments for name in (t.name, *t.names))

    @cached_property
    def _treatments(self) -> Mapping[str, Treatment]:
        return {
            name: treatment for treatment in self.treatments for name in (treatment.name, *treatment.names)
        }

    def treatment_called(self, name: str) -> Treatment | None:
        """Return the treatment of an exact listed name or brand in lower case, or None."""
        return self._treatments.get(name)

    def drug_called(self, name: str) -> WatchedDrug | None:
        """Return the watched drug of an exact listed name, brand or prodrug in lower case, or None."""
        return self._names.get(name)

    @cached_property
    def class_partners(self) -> Mapping[str, frozenset[str]]:
        """Return, for each drug of a cross-reactive class, the other members of its classes."""
        partners: dict[str, set[str]] = {}
        for group in self.classes:
            for member in group.members:
                partners.setdefault(member, set()).update(set(group.members) - {member})
        return {drug: frozenset(others) for drug, others in partners.items()}

    def treatment_gap_days(self, treatment: Treatment) -> int:
        """Return the longest gap between two doses of a treatment in which its course goes on."""
        gap_days, interval = self.parameters.course_gap_days.value, treatment.interval_days
        if interval is None:
            return gap_days
        return max(gap_days, self.parameters.infusion_gap_intervals.value * interval.value)

    def threshold_per_ul(self, drug: WatchedDrug) -> int:
        """Return the eosinophil threshold of a drug, in cells per microlitre."""
        return (drug.threshold_per_ul or self.defaults.threshold_per_ul).value


#: Parameters that an organ profile names together.
ORGAN_CUT_OFFS: Final = ("alt_organ_u_per_l", "creatinine_rise_mg_per_dl", "creatinine_rise_percent")
#: Parameters of which each must not be above the next.
ASCENDING: Final = (
    ("eosinophils_low_per_ul", "eosinophils_high_per_ul"),
    ("eosinophils_low_percent", "eosinophils_high_percent"),
    ("fever_sign_celsius", "fever_score_celsius"),
    ("warning_score_min", "critical_score_min"),
    ("latency_core_min_days", "latency_core_max_days", "latency_max_days"),
    ("course_gap_days", "course_record_gap_days"),
    ("disease_free_days", "lost_to_observation_days"),
    ("values_per_code_day_max", "values_per_code_max"),
)
