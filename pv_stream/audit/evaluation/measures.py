"""What alerts found and what they cost: sensitivity, PPV, alerts per 1,000 patient-days, and how soon they came.

A patient counts once. A case is found when an alert stands at the tier that is looked at, at its first sign or later.
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
class Stood:
    """Hold from when until when an alert stood; `until` is None where it still does at the end of the log.

    `of_drugs` are the ingredients that the alert of a restart warns of, in lower case, and None for any other alert.
    """

    since: Instant
    until: Instant | None = None
    of_drugs: frozenset[str] | None = None

    def tells_of(self, culprit: str | None) -> bool:
        """Tell whether the alert is about a reaction to a culprit: a restart is about its own drug only."""
        return self.of_drugs is None or not self.of_drugs.isdisjoint((culprit or "").casefold().split("/"))

    def found_at(self, first_sign: Instant) -> Instant | None:
        """Return when the alert found a reaction, None when it had ended before the first sign."""
        if self.since >= first_sign:
            return self.since
        return first_sign if self.until is None or self.until > first_sign else None


@dataclass(frozen=True, slots=True)
class Found:
    """Hold what one rule, or one tier and above, found on a log.

    `beforehand` is how many of the cases found had an alert already when their first sign came: after no hours.
    """

    name: str
    title: str
    sensitivity: Rate
    specificity: Rate
    ppv: Rate
    alerts: Incidence
    beforehand: int
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
    alerted: Mapping[PatientId, Sequence[Stood]],
    truth: Iterable[Truth],
    *,
    alerts: Incidence,
) -> Found:
    """Measure one rule; `alerted` holds for each patient when its alerts stood."""
    cases = missed = false = others = beforehand = 0
    delays: list[Decimal] = []
    by_culprit: dict[str, list[bool]] = {}
    for patient in truth:
        stood = alerted.get(patient.patient_id, ())
        if patient.first_sign is None:
            others += 1
            false += bool(stood)
            continue
        cases += 1
        telling = [each for each in stood if each.tells_of(patient.culprit)]
        times = [at for each in telling if (at := each.found_at(patient.first_sign)) is not None]
        missed += not times
        by_culprit.setdefault(patient.culprit or "unknown", []).append(bool(times))
        if times:
            hours = Decimal(min(times) - patient.first_sign) / MICROSECONDS_PER_HOUR
            delays.append(hours.quantize(_TENTH))
            beforehand += _stood_before(telling, patient.first_sign)
    found = cases - missed
    return Found(
        name=name,
        title=title,
        sensitivity=Rate(found, cases),
        specificity=Rate(others - false, others),
        ppv=Rate(found, found + false),
        alerts=alerts,
        beforehand=beforehand,
        hours=summarise(delays),
        delays=tuple(sorted(delays)),
        by_culprit={drug: Rate(sum(told), len(told)) for drug, told in sorted(by_culprit.items())},
    )


def _stood_before(stood: Iterable[Stood], first_sign: Instant) -> bool:
    return any(each.since < first_sign and each.found_at(first_sign) is not None for each in stood)
