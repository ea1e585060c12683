"""The figures of an outcome table: numbers summarised, shares with denominators, and how often each word stands.

A measure is looked up by name, by a table of figures as by a comparison with a paper. What an occurrence does not say
is counted as unknown and leaves the denominator.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pv_stream.audit.cohort.occurrences import Occurrence, Treatment
from pv_stream.audit.statistics import Rate, Summary, summarise


@dataclass(frozen=True, slots=True)
class Number:
    """Name a number that an occurrence may have."""

    name: str
    title: str
    unit: str
    of: Callable[[Occurrence], Decimal | int | None]


@dataclass(frozen=True, slots=True)
class Question:
    """Name a question that an occurrence answers with yes or no, or leaves open; `among` says which ones answer."""

    name: str
    title: str
    among: str
    of: Callable[[Occurrence], bool | None]


@dataclass(frozen=True, slots=True)
class Words:
    """Name the words that an occurrence may carry, several of them at once."""

    name: str
    title: str
    of: Callable[[Occurrence], Sequence[str]]


def _treated(of: Callable[[Treatment], Decimal | int | None]) -> Callable[[Occurrence], Decimal | int | None]:
    return lambda row: None if row.treatment is None else of(row.treatment)


NUMBERS: Final = (
    Number("age_years", "age", "years", lambda row: row.person.age_years),
    Number("regiscar", "RegiSCAR score", "points", lambda row: row.regiscar),
    Number(
        "dose_mg_per_kg", "one dose of the treatment", "mg/kg", _treated(lambda given: given.dose_mg_per_kg)
    ),
    Number("treatment_days", "length of the treatment", "days", _treated(lambda given: given.days)),
    Number(
        "days_to_resolution",
        "start of the treatment to clinical resolution",
        "days",
        _treated(lambda given: given.days_to_clinical_resolution),
    ),
)
QUESTIONS: Final = (
    Question(
        "male",
        "male",
        "whose sex is known",
        lambda row: None if row.person.sex is None else row.person.sex == "male",
    ),
    Question(
        "prior_steroid",
        "systemic steroid before the treatment",
        "that were treated",
        lambda row: None if row.treatment is None else row.treatment.prior_steroid,
    ),
    Question(
        "clinically_resolved",
        "clinical resolution recorded under the treatment",
        "that were treated",
        lambda row: None if row.treatment is None else row.treatment.days_to_clinical_resolution is not None,
    ),
    Question("is_recurrence", "itself a recurrence", "all", lambda row: row.recurrence is not None),
    Question(
        "recurred",
        "followed by a recurrence in this log",
        "that resolved in this log, or recurred",
        lambda row: row.recurred,
    ),
)
WORDS: Final = (
    Words("culprit", "suspect drug ranked first", lambda row: row.culprits or ("none",)),
    Words("category", "RegiSCAR category", lambda row: (row.category,)),
    Words(
        "route", "route of the treatment", lambda row: () if row.treatment is None else row.treatment.routes
    ),
    Words("recurrence", "class of the recurrence", lambda row: (row.recurrence,) if row.recurrence else ()),
)
NUMBER_OF: Final[Mapping[str, Number]] = {number.name: number for number in NUMBERS}
QUESTION_OF: Final[Mapping[str, Question]] = {question.name: question for question in QUESTIONS}


@dataclass(frozen=True, slots=True)
class NumberFigure:
    """Hold a number summarised, None where no occurrence has it."""

    number: Number
    summary: Summary | None
    unknown: int


@dataclass(frozen=True, slots=True)
class QuestionFigure:
    """Hold a share of the occurrences that answer a question."""

    question: Question
    rate: Rate
    unknown: int


@dataclass(frozen=True, slots=True)
class WordsFigure:
    """Hold how many occurrences carry each word, the most frequent first."""

    words: Words
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Figures:
    """Hold all figures of some occurrences, and of how many patient records these are."""

    occurrences: int
    patients: int
    numbers: tuple[NumberFigure, ...]
    questions: tuple[QuestionFigure, ...]
    words: tuple[WordsFigure, ...]


def figures_of(rows: Sequence[Occurrence]) -> Figures:
    """Return the figures of an outcome table."""
    return Figures(
        occurrences=len(rows),
        patients=len({row.patient_id for row in rows}),
        numbers=tuple(number_figure(number, rows) for number in NUMBERS),
        questions=tuple(question_figure(question, rows) for question in QUESTIONS),
        words=tuple(WordsFigure(words, _counts(words, rows)) for words in WORDS),
    )


def number_figure(number: Number, rows: Iterable[Occurrence]) -> NumberFigure:
    """Return a number of some occurrences, summarised."""
    values = [number.of(row) for row in rows]
    known = [value for value in values if value is not None]
    return NumberFigure(number, summarise(known), len(values) - len(known))


def question_figure(question: Question, rows: Iterable[Occurrence]) -> QuestionFigure:
    """Return how many of the occurrences that answer a question say yes."""
    answers = [question.of(row) for row in rows]
    known = [answer for answer in answers if answer is not None]
    return QuestionFigure(question, Rate(sum(known), len(known)), len(answers) - len(known))


def _counts(words: Words, rows: Iterable[Occurrence]) -> dict[str, int]:
    counted = Counter(word for row in rows for word in words.of(row))
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))
