"""What alerts found and what they cost: sensitivity, PPV, alerts per 1,000 patient-days, and how soon they came.

A patient counts once. A case is found when an alert first reaches the tier that is looked at, at or after its first
sign.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pv_stream.audit.evaluation.hospital import Truth
from pv_stream.audit.statistics import TAIL, Rate, Span, Summary, gamma_quantile, summarise
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import MICROSECONDS_PER_HOUR, Instant

#: Cases among the patients of the published benchmark: 7 of 199,924 (Allergy Asthma Respir Dis 2018;6:149).
PUBLISHED_CASES: Final = Rate(7, 199_924)
_DAYS: Final = 1000
_TENTH: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Incidence:
    """Hold how many alerts there were in how many patient-days."""

    count: int
    patient_days: int

    @property
    def per_thousand(self) -> float:
        """Return alerts per 1,000 patient-days."""
        return self.count * _DAYS / self.patient_days if self.patient_days else 0.0

    @property
    def interval(self) -> Span | None:
        """Return the exact interval of a Poisson count (Garwood 1936), None without a patient-day."""
        if not self.patient_days:
            return None
        low = gamma_quantile(TAIL, self.count) if self.count else 0.0
        high = gamma_quantile(1 - TAIL, self.count + 1)
        return Span(low * _DAYS / self.patient_days, high * _DAYS / self.patient_days)


@dataclass(frozen=True, slots=True)
class Found:
    """Hold what one rule, or one tier and above, found on a log."""

    name: str
    title: str
    sensitivity: Rate
    specificity: Rate
    ppv: Rate
    alerts: Incidence
    hours: Summary | None
    delays: tuple[Decimal, ...]
    by_culprit: Mapping[str, Rate]

    @property
    def ppv_where_published(self) -> float | None:
        """Return the PPV at the share of cases in the published benchmark, by Bayes' theorem; None when unknown."""
        sensitivity, specificity, share = (
            self.sensitivity.share,
            self.specificity.share,
            PUBLISHED_CASES.share,
        )
        if sensitivity is None or specificity is None or share is None:
            return None
        true, false = sensitivity * share, (1 - specificity) * (1 - share)
        return float(true / (true + false)) if true + false else None


def measure(
    name: str,
    title: str,
    alerted: Mapping[PatientId, Sequence[Instant]],
    truth: Iterable[Truth],
    *,
    alerts: Incidence,
) -> Found:
    """Measure one rule; `alerted` holds for each patient when its alerts came."""
    cases = missed = false = others = 0
    delays: list[Decimal] = []
    by_culprit: dict[str, list[bool]] = {}
    for patient in truth:
        times = alerted.get(patient.patient_id, ())
        if patient.first_sign is None:
            others += 1
            false += bool(times)
            continue
        cases += 1
        after = [at for at in times if at >= patient.first_sign]
        missed += not after
        by_culprit.setdefault(patient.culprit or "unknown", []).append(bool(after))
        if after:
            hours = Decimal(min(after) - patient.first_sign) / MICROSECONDS_PER_HOUR
            delays.append(hours.quantize(_TENTH))
    found = cases - missed
    return Found(
        name=name,
        title=title,
        sensitivity=Rate(found, cases),
        specificity=Rate(others - false, others),
        ppv=Rate(found, found + false),
        alerts=alerts,
        hours=summarise(delays),
        delays=tuple(sorted(delays)),
        by_culprit={drug: Rate(sum(told), len(told)) for drug, told in sorted(by_culprit.items())},
    )
