"""Naranjo: the ten questions of the adverse drug reaction probability scale (PMC6136411), for one suspect drug.

The table is data; one evaluator scores it. An unknown answer gives no points. Three questions (placebo, toxic level,
dose) have no message that answers them: they stay unknown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pv_stream.domain.criteria import Answer, Naranjo, NaranjoCategory, NaranjoItem, Truth
from pv_stream.rules.causality import SuspectCase
from pv_stream.rules.judging import NOT_KNOWN, Judged, any_of, met


@dataclass(frozen=True, slots=True)
class Question:
    """Hold one row of the table: the points of yes and of no, and how a case answers it."""

    name: str
    title: str
    yes: int
    no: int
    answer: Callable[[SuspectCase], Judged]


def _reported_before(case: SuspectCase) -> Judged:
    return NOT_KNOWN if case.drug.reported_in is None else met()


def _not_recorded(_: SuspectCase) -> Judged:
    return NOT_KNOWN


TABLE: Final = (
    Question("previous_reports", "1 Conclusive reports of this reaction before", 1, 0, _reported_before),
    Question(
        "after_administration",
        "2 The reaction came after the drug was given",
        2,
        -1,
        lambda case: case.onset_after_start,
    ),
    Question("dechallenge", "3 It improved when the drug was stopped", 1, 0, lambda case: case.dechallenge),
    Question(
        "rechallenge", "4 It came back when the drug was given again", 2, -1, lambda case: case.rechallenge
    ),
    Question(
        "alternative_causes",
        "5 Another cause could on its own have caused it",
        -1,
        2,
        lambda case: case.other_causes,
    ),
    Question("placebo", "6 It came back under placebo", -1, 1, _not_recorded),
    Question("toxic_level", "7 The drug was found in a toxic concentration", 1, 0, _not_recorded),
    Question("dose_response", "8 It was worse at a higher or milder at a lower dose", 1, 0, _not_recorded),
    Question(
        "similar_reaction",
        "9 A similar reaction to this or a similar drug before",
        1,
        0,
        lambda case: any_of(case.earlier_reaction, case.cross_reaction),
    ),
    Question("objective_evidence", "10 Confirmed by objective evidence", 1, 0, lambda case: case.objective),
)

_ANSWER: Final = {Truth.MET: Answer.YES, Truth.UNMET: Answer.NO, Truth.UNKNOWN: Answer.UNKNOWN}
#: Lowest total of each category but the last.
_CATEGORY_FROM: Final = (
    (9, NaranjoCategory.DEFINITE),
    (5, NaranjoCategory.PROBABLE),
    (1, NaranjoCategory.POSSIBLE),
)


def category(total: int) -> NaranjoCategory:
    """Return the category of a total: 9 definite, 5 probable, 1 possible, less doubtful."""
    for lowest, name in _CATEGORY_FROM:
        if total >= lowest:
            return name
    return NaranjoCategory.DOUBTFUL


def evaluate(case: SuspectCase) -> Naranjo:
    """Score one suspect drug by the whole table."""
    items = (_item(question, question.answer(case)) for question in TABLE)
    answered = tuple(item for item in items if item.answer is not Answer.UNKNOWN)
    total = sum(item.points for item in answered)
    return Naranjo(total, category(total), answered)


def _item(question: Question, judged: Judged) -> NaranjoItem:
    answer = _ANSWER[judged.truth]
    points = {Answer.YES: question.yes, Answer.NO: question.no, Answer.UNKNOWN: 0}[answer]
    return NaranjoItem(question.name, answer, points, judged.evidence)
