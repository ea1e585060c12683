"""PRR, ROR and IC: against a published table, and against the distributions that their intervals stand for."""

import math

import pytest

from pv_stream.audit.disproportionality import Fourfold

#: Rifabutin and uveitis: Evans, Waller and Davis 2001, Pharmacoepidemiol Drug Saf 10:483, the worked example.
RIFABUTIN = Fourfold(41, 14, 754, 591_958)


def test_the_published_example_of_the_prr() -> None:
    assert RIFABUTIN.prr is not None
    assert RIFABUTIN.chi_squared is not None
    assert round(RIFABUTIN.prr.value) == 586
    assert round(RIFABUTIN.chi_squared, -1) == 22_740
    assert RIFABUTIN.is_disproportionate_by_prr


def test_a_ratio_and_its_reverse_are_reciprocal_with_their_intervals() -> None:
    counts, reverse = Fourfold(12, 30, 40, 500), Fourfold(30, 12, 500, 40)
    assert counts.ror is not None
    assert reverse.ror is not None
    assert counts.ror.value * reverse.ror.value == pytest.approx(1)
    assert counts.ror.interval.low * reverse.ror.interval.high == pytest.approx(1)


def test_the_ror_by_hand() -> None:
    ror = Fourfold(20, 80, 100, 9_800).ror
    assert ror is not None
    assert ror.value == pytest.approx(24.5)
    error = math.sqrt(1 / 20 + 1 / 80 + 1 / 100 + 1 / 9_800)
    assert ror.interval.low == pytest.approx(24.5 / math.exp(1.959964 * error), rel=1e-6)


@pytest.mark.parametrize(
    "counts", [(3, 10, 20, 900), (20, 80, 100, 9_800), (1, 50, 30, 4_000), (150, 900, 700, 90_000)]
)
def test_the_interval_of_the_ic_is_that_of_the_gamma_distribution(counts: tuple[int, int, int, int]) -> None:
    """IC's ends are quantiles of a gamma distribution of shape a + 1/2 and rate expected + 1/2 (Noren 2013)."""
    table = Fourfold(*counts)
    shape, rate = table.a + 0.5, table.expected + 0.5

    def below(end: float) -> float:
        top, steps = 2**end * rate, 20_000
        width = top / steps
        logs = ((shape - 1) * math.log((i + 0.5) * width) - (i + 0.5) * width for i in range(steps))
        return sum(math.exp(each - math.lgamma(shape)) for each in logs) * width

    interval = table.ic.interval
    assert below(interval.low) == pytest.approx(0.025, abs=1e-4)
    assert below(interval.high) == pytest.approx(0.975, abs=1e-4)


def test_the_ic_of_what_is_expected_is_nothing_and_of_few_reports_little() -> None:
    assert Fourfold(10, 90, 90, 810).ic.value == pytest.approx(0)
    assert Fourfold(1, 0, 0, 99).ic.value < Fourfold(10, 0, 0, 990).ic.value


@pytest.mark.parametrize(
    ("counts", "prr", "ror"),
    [
        ((0, 5, 5, 5), True, True),
        ((5, 5, 0, 5), True, True),
        ((5, 0, 5, 5), False, True),
        ((5, 5, 5, 0), False, True),
    ],
)
def test_what_divides_by_nothing_is_not_known(
    counts: tuple[int, int, int, int], *, prr: bool, ror: bool
) -> None:
    table = Fourfold(*counts)
    assert (table.prr is None, table.ror is None) == (prr, ror)


def test_no_report_at_all() -> None:
    table = Fourfold(0, 0, 0, 0)
    assert (table.chi_squared, table.expected, table.ic.value) == (None, 0, 0)
    assert not table.is_disproportionate_by_prr


@pytest.mark.parametrize(
    ("counts", "prr"),
    [
        ((3, 10, 10, 1000), True),
        ((2, 10, 10, 1000), False),  # two reports
        ((30, 100, 115, 900), True),  # PRR 2.04
        ((30, 100, 118, 900), False),  # PRR 1.99
        ((3, 20, 20, 330), False),  # chi-squared 2.0
    ],
)
def test_the_criteria_of_evans_at_their_bounds(counts: tuple[int, int, int, int], *, prr: bool) -> None:
    assert Fourfold(*counts).is_disproportionate_by_prr is prr


def test_three_reports_are_asked_of_the_ror_too() -> None:
    assert Fourfold(3, 3, 3, 3_000).is_disproportionate_by_ror
    assert not Fourfold(2, 2, 2, 3_000).is_disproportionate_by_ror
    assert not Fourfold(10, 100, 100, 1_000).is_disproportionate_by_ror


def test_the_ic_is_above_when_its_interval_is() -> None:
    assert Fourfold(6, 2, 5, 900).is_disproportionate_by_ic
    assert not Fourfold(1, 1, 10, 90).is_disproportionate_by_ic
