"""The published cyclosporine cohort: the table as printed, and each row through the real engine."""

from collections.abc import Iterable
from decimal import Decimal
from statistics import mean, median
from typing import Final

import pytest

from pv_stream.audit.published_cohort import (
    Occurrence,
    found_outcome,
    published_cohort,
    published_outcome,
    records_of_occurrence,
)
from pv_stream.audit.scenario_check import run_case
from tests.builders import RULEBOOK

COHORT: Final = published_cohort()
ROWS: Final = [pytest.param(row, id=f"row {row.row}") for row in COHORT.occurrences]

# --- the table ------------------------------------------------------------------------------------------------


def _duration(row: Occurrence) -> Decimal:
    return sum((leg.days for leg in row.cyclosporine), Decimal(0))


def _dose(row: Occurrence) -> Decimal:
    (dose,) = {leg.mg_per_kg for leg in row.cyclosporine}
    return dose


def _rounded(numbers: Iterable[Decimal | int]) -> str:
    return str(Decimal(mean(map(Decimal, numbers))).quantize(Decimal("0.01")))


def test_the_rows_are_numbered_as_printed() -> None:
    assert [row.row for row in COHORT.occurrences] == list(range(1, 20))


def test_the_scores_sum_to_64_so_their_mean_is_3_37_and_not_the_3_42_of_the_prose() -> None:
    scores = [row.regiscar for row in COHORT.occurrences]

    assert sum(scores) == 64
    assert _rounded(scores) == "3.37"


def test_five_rows_are_below_the_score_of_inclusion_and_one_below_its_duration() -> None:
    assert [row.row for row in COHORT.occurrences if row.regiscar <= 2] == [3, 4, 9, 13, 19]
    assert [row.row for row in COHORT.occurrences if _duration(row) < 3] == [19]


def test_what_prose_and_table_agree_on() -> None:
    rows = COHORT.occurrences
    resolved = [row.days_to_resolution for row in rows if row.days_to_resolution is not None]

    assert _rounded(row.age for row in rows) == "48.05"
    assert [row.sex for row in rows].count("male") == 11
    assert _rounded(map(_duration, rows)) == "5.26"
    assert _rounded(map(_dose, rows)) == "2.11"
    assert median(map(_dose, rows)) == 2
    assert sum(row.prior_steroid is not None for row in rows) == 11
    assert (len(resolved), _rounded(resolved)) == (18, "2.83")


def test_every_disagreement_of_prose_and_table_is_told() -> None:
    assert [found.about for found in COHORT.disagreements] == [
        "mean RegiSCAR score",
        "inclusion by a RegiSCAR score above 2",
        "inclusion by 3 days of cyclosporine or more",
        "mean days to resolution",
    ]


# --- each row through the engine ----------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS)
def test_the_engine_finds_in_the_log_of_a_row_what_the_row_says(row: Occurrence) -> None:
    """Drug, score, earlier steroid, cyclosporine, days to resolution and recurrence, all at once."""
    came = run_case(records_of_occurrence(COHORT, row), RULEBOOK)

    assert [found for found in came if found.output == "dead_letter"] == []
    cases = [found.value for found in came if found.output == "case"]
    assert found_outcome(cases) == published_outcome(row)


def test_only_the_rows_that_flared_on_a_taper_are_recurrences_and_only_one_has_no_resolution() -> None:
    outcomes = {row.row: published_outcome(row) for row in COHORT.occurrences}

    assert [row for row, outcome in outcomes.items() if outcome.recurrence is not None] == [2, 13]
    assert [row for row, outcome in outcomes.items() if outcome.days_to_resolution is None] == [10]
