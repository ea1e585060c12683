"""Disproportionality of a drug and an event among reports: PRR, ROR and IC, each with its 95 % interval.

|  | event | other |
|---|---|---|
| drug | a | b |
| other drugs | c | d |

A measure compares reports with reports. It says nothing about how often an event occurs, and it is a hypothesis to look
into, never a finding about a drug.
"""

import math
from dataclasses import dataclass
from typing import Final

from pv_stream.audit.statistics import TAIL, Z_95, Span, gamma_quantile

#: Evans, Waller and Davis 2001 (Pharmacoepidemiol Drug Saf 10:483): the least PRR, chi-squared and reports.
EVANS_PRR_MIN: Final = 2.0
EVANS_CHI_SQUARED_MIN: Final = 4.0
EVANS_REPORTS_MIN: Final = 3
#: What is added to both counts so that the IC of few reports shrinks to 0 (Noren, Hopstadius and Bate 2013).
_SHRINKAGE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Estimate:
    """Hold an estimate and its interval."""

    value: float
    interval: Span


@dataclass(frozen=True, slots=True)
class Fourfold:
    """Hold the four counts of reports."""

    a: int
    b: int
    c: int
    d: int

    @property
    def n(self) -> int:
        """Return how many reports there are."""
        return self.a + self.b + self.c + self.d

    @property
    def prr(self) -> Estimate | None:
        """Return the proportional reporting ratio (Evans 2001), None where a count that it divides by is 0."""
        if not (self.a and self.c):
            return None
        value = (self.a / (self.a + self.b)) / (self.c / (self.c + self.d))
        error = 1 / self.a - 1 / (self.a + self.b) + 1 / self.c - 1 / (self.c + self.d)
        return _on_log_scale(value, math.sqrt(error))

    @property
    def ror(self) -> Estimate | None:
        """Return the reporting odds ratio (van Puijenbroek 2002), None where one of the counts is 0."""
        if not (self.a and self.b and self.c and self.d):
            return None
        value = self.a * self.d / (self.b * self.c)
        error = 1 / self.a + 1 / self.b + 1 / self.c + 1 / self.d
        return _on_log_scale(value, math.sqrt(error))

    @property
    def chi_squared(self) -> float | None:
        """Return Pearson's chi-squared without correction, as Evans 2001; None where a margin is empty."""
        margins = (self.a + self.b) * (self.c + self.d) * (self.a + self.c) * (self.b + self.d)
        return self.n * (self.a * self.d - self.b * self.c) ** 2 / margins if margins else None

    @property
    def expected(self) -> float:
        """Return how many reports of drug and event there would be if neither had to do with the other."""
        return (self.a + self.b) * (self.a + self.c) / self.n if self.n else 0.0

    @property
    def ic(self) -> Estimate:
        """Return the information component, base 2, with its credibility interval (Noren, Hopstadius and Bate 2013).

        Stat Methods Med Res 22:57: the quantiles of a gamma distribution of shape a + 1/2 and rate expected + 1/2.
        """
        shape, rate = self.a + _SHRINKAGE, self.expected + _SHRINKAGE
        low, high = (math.log2(gamma_quantile(each, shape) / rate) for each in (TAIL, 1 - TAIL))
        return Estimate(math.log2(shape / rate), Span(low, high))

    @property
    def is_disproportionate_by_prr(self) -> bool:
        """Tell whether the criteria of Evans 2001 are met."""
        prr, chi_squared = self.prr, self.chi_squared
        return (
            prr is not None
            and chi_squared is not None
            and self.a >= EVANS_REPORTS_MIN
            and prr.value >= EVANS_PRR_MIN
            and chi_squared >= EVANS_CHI_SQUARED_MIN
        )

    @property
    def is_disproportionate_by_ror(self) -> bool:
        """Tell whether the interval of the ROR lies above 1, with as many reports as Evans 2001 asks for."""
        ror = self.ror
        return ror is not None and self.a >= EVANS_REPORTS_MIN and ror.interval.low > 1

    @property
    def is_disproportionate_by_ic(self) -> bool:
        """Tell whether the interval of the IC lies above 0."""
        return self.ic.interval.low > 0


def _on_log_scale(value: float, error: float) -> Estimate:
    spread = math.exp(Z_95 * error)
    return Estimate(value, Span(value / spread, value * spread))
