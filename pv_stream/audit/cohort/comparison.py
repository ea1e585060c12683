"""Published figures beside those of an outcome table: what agrees, and every place where they do not.

A table of published figures is a CSV file with the columns measure, statistic, value and note.

| statistic | value | agrees when |
|---|---|---|
| mean, median, sum, n, min, max | `3.42` | the computed one, rounded to as many decimals, is the same |
| count | `11/19` | as many of as many answer yes; otherwise those who do, or do not, are named |
| every | `> 2`, `>= 3` | no occurrence says otherwise; those that do are named |
"""

import csv
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final

from pv_stream.audit.cohort.figures import NUMBER_OF, QUESTION_OF, number_figure, question_figure
from pv_stream.audit.cohort.occurrences import Occurrence
from pv_stream.audit.statistics import Summary
from pv_stream.errors import DataError

_COLUMNS: Final = ("measure", "statistic", "value", "note")
_NUMBER: Final = re.compile(r"-?\d{1,9}(?:\.\d{1,6})?", re.ASCII)
_COUNT: Final = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)
_BOUND: Final = re.compile(r"(>=|<=|>|<) ?(\d{1,9}(?:\.\d{1,6})?)", re.ASCII)
_HOLDS: Final[Mapping[str, Callable[[Decimal, Decimal], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_STATISTICS: Final[Mapping[str, Callable[[Summary], Fraction]]] = {
    "mean": lambda summary: summary.mean,
    "median": lambda summary: summary.median,
    "sum": lambda summary: summary.total,
    "n": lambda summary: Fraction(summary.n),
    "min": lambda summary: Fraction(summary.low),
    "max": lambda summary: Fraction(summary.high),
}
_COUNT_WORD: Final = "count"
_EVERY_WORD: Final = "every"
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Published:
    """Hold one published figure as it was printed."""

    measure: str
    statistic: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Compared:
    """Hold a published figure with the computed one; `against` names the occurrences that speak against it."""

    published: Published
    computed: str
    agrees: bool
    against: tuple[str, ...] = ()


def compare(published: Sequence[Published], rows: Sequence[Occurrence]) -> list[Compared]:
    """Return each published figure beside what the occurrences say."""
    return [_compared(figure, rows) for figure in published]


def _compared(figure: Published, rows: Sequence[Occurrence]) -> Compared:
    if figure.statistic == _COUNT_WORD:
        question = QUESTION_OF[figure.measure]
        rate = question_figure(question, rows).rate
        computed = f"{rate.count}/{rate.of}" if rate.of else _UNKNOWN
        agrees = computed == figure.value
        yes, no = ([row.label for row in rows if question.of(row) is answer] for answer in (True, False))
        fewer = yes if len(yes) <= len(no) else [f"not {label}" for label in no]
        return Compared(figure, computed, agrees, () if agrees else tuple(fewer))
    number = NUMBER_OF[figure.measure]
    if figure.statistic == _EVERY_WORD:
        sign, bound = _bound(figure.value)
        values = [(row.label, number.of(row)) for row in rows]
        against = tuple(
            f"{label} ({value})"
            for label, value in values
            if value is not None and not _HOLDS[sign](Decimal(value), bound)
        )
        known = sum(value is not None for _, value in values)
        return Compared(figure, f"{known - len(against)} of {known}", not against, against)
    summary = number_figure(number, rows).summary
    if summary is None:
        return Compared(figure, _UNKNOWN, agrees=False)
    computed = rounded(_STATISTICS[figure.statistic](summary), _decimals(figure.value))
    return Compared(figure, computed, Decimal(computed) == Decimal(figure.value))


def rounded(value: Fraction, decimals: int) -> str:
    """Write a number with so many decimals, a half away from zero."""
    scaled = abs(value) * 10**decimals
    digits = str((2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)).zfill(decimals + 1)
    sign = "-" if value < 0 and digits.strip("0") else ""
    return (
        f"{sign}{digits[: len(digits) - decimals]}{'.' if decimals else ''}{digits[len(digits) - decimals :]}"
    )


def _decimals(value: str) -> int:
    return len(value.partition(".")[2])


def _bound(value: str) -> tuple[str, Decimal]:
    matched = _BOUND.fullmatch(value)
    assert matched is not None, "checked when it was read"
    return matched[1], Decimal(matched[2])


# Reading ----------------------------------------------------------------------------------------------------------


def read_published(lines: Sequence[str], name: str) -> list[Published]:
    """Read published figures from the lines of a CSV file. Raise DataError naming the line and what it may hold."""
    try:
        rows = csv.DictReader(lines)
        missing = [column for column in _COLUMNS if column not in (rows.fieldnames or ())]
        if missing:
            msg = f"{name} line 1: the columns {', '.join(missing)} are missing, separated by commas"
            raise DataError(msg)
        return list(_figures(rows, name))
    except csv.Error:
        msg = f"{name}: not a CSV file"
        raise DataError(msg) from None


def read_published_file(path: Path) -> list[Published]:
    """Read published figures from a CSV file in UTF-8."""
    try:
        return read_published(path.read_text(encoding="utf-8-sig").splitlines(), str(path))
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise DataError(msg) from None
    except UnicodeDecodeError:
        msg = f"{path}: not a CSV file in UTF-8"
        raise DataError(msg) from None


def _figures(rows: "csv.DictReader[str]", name: str) -> Iterator[Published]:
    for row in rows:
        figure = Published(*((row[column] or "").strip() for column in _COLUMNS))
        if (wrong := _what_is_wrong(figure)) is not None:
            msg = f"{name} line {rows.line_num}: {wrong}"
            raise DataError(msg)
        yield figure


def _what_is_wrong(figure: Published) -> str | None:
    if figure.statistic == _COUNT_WORD:
        known, form, example = tuple(QUESTION_OF), _COUNT, "11/19"
    elif figure.statistic == _EVERY_WORD:
        known, form, example = tuple(NUMBER_OF), _BOUND, "> 2"
    elif figure.statistic in _STATISTICS:
        known, form, example = tuple(NUMBER_OF), _NUMBER, "3.42"
    else:
        return f"statistic must be one of {', '.join((*_STATISTICS, _COUNT_WORD, _EVERY_WORD))}"
    if figure.measure not in known:
        return f"measure of a {figure.statistic} must be one of {', '.join(known)}"
    return None if form.fullmatch(figure.value) else f"value of a {figure.statistic} looks like {example}"
