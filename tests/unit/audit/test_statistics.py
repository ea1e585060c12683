"""Means, medians and rates against published tables and hand-made cases."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.audit.statistics import Rate, Span, incomplete_beta, student_quantile, summarise


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.706), (2, 4.303), (5, 2.571), (18, 2.101), (30, 2.042), (120, 1.980), (1000, 1.962)],
)
def test_the_quantiles_of_student_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(quantile, abs=5e-4)


@pytest.mark.parametrize(
    ("a", "b", "x", "value"), [(2, 3, 0.5, 0.6875), (1, 1, 0.3, 0.3), (2, 1, 0.4, 0.16), (5, 5, 0.5, 0.5)]
)
def test_the_incomplete_beta_function(a: float, b: float, x: float, value: float) -> None:
    assert incomplete_beta(a, b, x) == pytest.approx(value, abs=1e-12)


def test_the_ends_of_the_incomplete_beta_function() -> None:
    assert (incomplete_beta(2, 3, 0), incomplete_beta(2, 3, 1)) == (0, 1)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0000),
    ],
)
def test_the_interval_of_a_rate_is_that_of_wilson(count: int, of: int, low: float, high: float) -> None:
    interval = Rate(count, of).interval
    assert interval is not None
    assert [interval.low, interval.high] == pytest.approx([low, high], abs=5e-5)


def test_nothing_of_nothing_has_no_share() -> None:
    assert Rate(0, 0).share is None
    assert Rate(0, 0).interval is None


def test_a_summary_is_exact() -> None:
    summary = summarise([Decimal("0.1"), Decimal("0.2"), Decimal("0.3")])
    assert summary is not None
    assert (summary.n, summary.total, summary.mean) == (3, Fraction(3, 5), Fraction(1, 5))
    assert (summary.median, summary.low, summary.high) == (Fraction(1, 5), Decimal("0.1"), Decimal("0.3"))
    assert summary.deviation == pytest.approx(0.1)


def test_the_median_of_an_even_number_lies_between() -> None:
    summary = summarise([1, 2, 3, 10])
    assert summary is not None
    assert summary.median == Fraction(5, 2)


def test_one_value_has_no_deviation_and_none_has_no_summary() -> None:
    summary = summarise([7])
    assert summary is not None
    assert (summary.deviation, summary.mean_interval, summary.median_interval) == (None, None, None)
    assert summarise([]) is None


@pytest.mark.parametrize(
    ("n", "ends"), [(5, None), (6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (19, (5, 15)), (20, (6, 15))]
)
def test_the_interval_of_a_median_leaves_out_what_the_binomial_table_says(
    n: int, ends: tuple[int, int] | None
) -> None:
    summary = summarise(range(1, n + 1))
    assert summary is not None
    interval = summary.median_interval
    assert (None if interval is None else (interval.low, interval.high)) == ends


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=40))
def test_intervals_hold_what_they_are_of(values: list[int]) -> None:
    summary = summarise(values)
    assert summary is not None
    assert summary.mean_interval is not None
    slack = 1e-9
    assert summary.mean_interval.low - slack <= summary.mean <= summary.mean_interval.high + slack
    if summary.median_interval is not None:
        assert summary.median_interval.low <= summary.median <= summary.median_interval.high


def test_the_interval_of_the_median_of_many_values() -> None:
    summary = summarise(range(1, 2001))
    assert summary is not None
    # As the normal distribution has it, with half a value for continuity: 1,000.5 -+ 1.96 * sqrt(2,000) / 2, outwards.
    assert summary.median_interval == Span(956, 1045)
