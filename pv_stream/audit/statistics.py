"""Means, medians and rates with their intervals, for reports: exact where counts allow it.

Every interval is two-sided at 95 %. Sums are exact; only intervals and deviations are floats, since nothing that
alerts a patient rests on them.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from statistics import NormalDist, stdev
from typing import Final

#: What an interval leaves out on each side.
TAIL: Final = 0.025
#: The two-sided 95 % quantile of the normal distribution.
Z_95: Final = NormalDist().inv_cdf(1 - TAIL)
#: The same as one of so many.
_TAIL_OF: Final = 40
_STEPS: Final = 200
#: A float has 53 bits, and the search begins within a factor of two.
_HALVINGS: Final = 60
_NEGLIGIBLE: Final = 1e-17
_TINY: Final = 1e-300


@dataclass(frozen=True, slots=True)
class Span:
    """Hold the ends of an interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rate:
    """Hold how many of how many; nothing of nothing has no share."""

    count: int
    of: int

    @property
    def share(self) -> Fraction | None:
        """Return the exact share, None without a denominator."""
        return Fraction(self.count, self.of) if self.of else None

    @property
    def interval(self) -> Span | None:
        """Return Wilson's score interval (Wilson 1927; recommended by Brown, Cai and DasGupta 2001)."""
        if not self.of:
            return None
        share, z_squared = self.count / self.of, Z_95 * Z_95
        middle = (share + z_squared / (2 * self.of)) / (1 + z_squared / self.of)
        spread = (
            Z_95
            * math.sqrt(share * (1 - share) / self.of + z_squared / (4 * self.of * self.of))
            / (1 + z_squared / self.of)
        )
        # At the ends the formula gives 0 and 1 but for the last digit.
        low = 0.0 if self.count == 0 else middle - spread
        high = 1.0 if self.count == self.of else middle + spread
        return Span(low, high)


@dataclass(frozen=True, slots=True)
class Summary:
    """Hold what some values are like; `deviation` and `mean_interval` need two values, `median_interval` six."""

    n: int
    total: Fraction
    median: Fraction
    low: Decimal
    high: Decimal
    deviation: float | None
    mean_interval: Span | None
    median_interval: Span | None

    @property
    def mean(self) -> Fraction:
        """Return the exact mean."""
        return self.total / self.n


def summarise(values: Iterable[Decimal | int]) -> Summary | None:
    """Summarise values, or return None when there are none.

    The interval of the mean is Student's; that of the median comes from the order of the values alone, by the binomial
    distribution.
    """
    ordered = sorted(Decimal(value) for value in values)
    if not ordered:
        return None
    exact = [Fraction(value) for value in ordered]
    n, total = len(exact), sum(exact, Fraction(0))
    middle = n // 2
    median = exact[middle] if n % 2 else (exact[middle - 1] + exact[middle]) / 2
    deviation = stdev(map(float, exact)) if n > 1 else None
    return Summary(
        n=n,
        total=total,
        median=median,
        low=ordered[0],
        high=ordered[-1],
        deviation=deviation,
        mean_interval=None if deviation is None else _of_mean(float(total / n), deviation, n),
        median_interval=_of_median(ordered),
    )


def _of_mean(mean: float, deviation: float, n: int) -> Span:
    spread = student_quantile(1 - TAIL, n - 1) * deviation / math.sqrt(n)
    return Span(mean - spread, mean + spread)


def _of_median(ordered: Sequence[Decimal]) -> Span | None:
    """Return the values between which the median lies: as many are left out at each end as chance allows."""
    n, left_out, below, ways = len(ordered), -1, 1, 1
    # In whole numbers: 2 to the power of a thousand is no float.
    most = 2**n // _TAIL_OF
    while below <= most:
        left_out += 1
        ways = ways * (n - left_out) // (left_out + 1)
        below += ways
    return None if left_out < 0 else Span(float(ordered[left_out]), float(ordered[n - 1 - left_out]))


def student_quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's distribution above its middle."""
    return _where(lambda t: _student_below(t, freedom), probability)


def gamma_quantile(probability: float, shape: float) -> float:
    """Return the quantile of the gamma distribution of a shape, at rate 1."""
    return _where(lambda x: incomplete_gamma(shape, x), probability)


def _where(below: Callable[[float], float], probability: float) -> float:
    """Return the positive value below which a distribution has so much, by bisection."""
    low, high = 0.0, 1.0
    while below(high) < probability:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if below(middle) < probability:
            low = middle
        else:
            high = middle
    return high


def _student_below(t: float, freedom: int) -> float:
    return 1 - incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function for 0 <= x <= 1, by its continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    # Lentz's method, from the front: each step multiplies by the ratio of two continuants.
    ratio, above, beneath = 1.0, 1.0, 0.0
    for step in range(_STEPS):
        half = step // 2
        if step == 0:
            term = 1.0
        elif step % 2:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        beneath = 1 / (_away_from_zero(1 + term * beneath))
        above = _away_from_zero(1 + term / above)
        ratio *= above * beneath
    return front * (ratio - 1) / a


def incomplete_gamma(shape: float, x: float) -> float:
    """Return the regularised lower incomplete gamma function for x >= 0, by its series (DLMF 8.11.4)."""
    if x <= 0:
        return 0.0
    term = total = 1 / shape
    step = 0
    while term > total * _NEGLIGIBLE:
        step += 1
        term *= x / (shape + step)
        total += term
    return min(1.0, total * math.exp(shape * math.log(x) - x - math.lgamma(shape)))


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
