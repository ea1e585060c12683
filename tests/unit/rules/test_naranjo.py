"""Naranjo (PMC6136411): every cell of the table, the total and its categories."""

from typing import Any

import pytest

from pv_stream.domain.criteria import Answer, NaranjoCategory
from pv_stream.domain.ids import FactKey
from pv_stream.rules.judging import met, unmet
from pv_stream.rules.naranjo import TABLE, category, evaluate
from tests.unit.rules.causality_cases import REPORTED, UNREPORTED, case_of

KEY = FactKey("k")


def test_the_table_is_the_published_one() -> None:
    assert [(question.yes, question.no) for question in TABLE] == [
        (1, 0),
        (2, -1),
        (1, 0),
        (2, -1),
        (-1, 2),
        (-1, 1),
        (1, 0),
        (1, 0),
        (1, 0),
        (1, 0),
    ]
    assert [question.title.split()[0] for question in TABLE] == [str(number) for number in range(1, 11)]


def test_nothing_known_is_nothing_answered() -> None:
    found = evaluate(case_of(UNREPORTED))
    assert (found.total, found.category, found.answered) == (0, NaranjoCategory.DOUBTFUL, ())


def test_previous_reports_are_those_that_the_rulebook_cites() -> None:
    found = evaluate(case_of(REPORTED))
    assert [(item.item, item.answer, item.points) for item in found.answered] == [
        ("previous_reports", Answer.YES, 1)
    ]


@pytest.mark.parametrize(
    ("item", "known", "points"),
    [
        ("after_administration", {"onset_after_start": met(KEY)}, 2),
        ("after_administration", {"onset_after_start": unmet(KEY)}, -1),
        ("dechallenge", {"dechallenge": met(KEY)}, 1),
        ("dechallenge", {"dechallenge": unmet(KEY)}, 0),
        ("rechallenge", {"rechallenge": met(KEY)}, 2),
        ("rechallenge", {"rechallenge": unmet(KEY)}, -1),
        ("alternative_causes", {"other_causes": met(KEY)}, -1),
        ("alternative_causes", {"other_causes": unmet(KEY)}, 2),
        ("similar_reaction", {"earlier_reaction": met(KEY)}, 1),
        ("similar_reaction", {"cross_reaction": met(KEY)}, 1),
        ("objective_evidence", {"objective": met(KEY)}, 1),
    ],
)
def test_each_answer_gives_its_points_and_names_its_evidence(
    item: str, known: dict[str, Any], points: int
) -> None:
    (answered,) = evaluate(case_of(**known)).answered
    assert (answered.item, answered.points, answered.evidence) == (item, points, (KEY,))
    assert evaluate(case_of(**known)).total == points


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (-4, NaranjoCategory.DOUBTFUL),
        (0, NaranjoCategory.DOUBTFUL),
        (1, NaranjoCategory.POSSIBLE),
        (4, NaranjoCategory.POSSIBLE),
        (5, NaranjoCategory.PROBABLE),
        (8, NaranjoCategory.PROBABLE),
        (9, NaranjoCategory.DEFINITE),
        (13, NaranjoCategory.DEFINITE),
    ],
)
def test_the_category_follows_the_total(total: int, expected: NaranjoCategory) -> None:
    assert category(total) is expected


def test_the_most_that_records_allow_is_definite() -> None:
    names = ("onset_after_start", "dechallenge", "rechallenge", "earlier_reaction", "objective")
    known = {name: met(KEY) for name in names}
    found = evaluate(case_of(REPORTED, other_causes=unmet(KEY), **known))
    assert (found.total, found.category, len(found.answered)) == (10, NaranjoCategory.DEFINITE, 7)


def test_the_table_gives_the_published_points() -> None:
    """Yes and no of questions 1 to 10, also of those that no record answers (PMC6136411)."""
    assert [(question.yes, question.no) for question in TABLE] == [
        (1, 0),
        (2, -1),
        (1, 0),
        (2, -1),
        (-1, 2),
        (-1, 1),
        (1, 0),
        (1, 0),
        (1, 0),
        (1, 0),
    ]
