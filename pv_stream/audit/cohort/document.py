"""The cohort report as one document, for a program and for the tables alike: what is hidden here is hidden everywhere.

Small cells can point to a person. With `hide_below` no count from 1 to one less than that is told, nor what it follows
from: a total that differs from another told one by so few, a mean of a hidden number of values, the last hidden word of
a list. Single occurrences, least and greatest values and names of occurrences are left out. A published figure is
compared only with what is told, since an answer to a guess tells as much as a figure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any, Final

from pv_stream.audit.cohort.comparison import Compared, rounded
from pv_stream.audit.cohort.figures import Figures, NumberFigure, QuestionFigure, WordsFigure
from pv_stream.audit.cohort.occurrences import Occurrence
from pv_stream.audit.statistics import Span
from pv_stream.codec.canonical import decimal_text

#: Stands where a count is hidden.
HIDDEN: Final = "hidden"
#: Stands for words whose number would tell how often each stands.
_OTHERS: Final = "others"
_DECIMALS: Final = 2
_SHARE_DECIMALS: Final = 3


def document_of(
    rows: Sequence[Occurrence],
    figures: Figures,
    compared: Sequence[Compared],
    *,
    hide_below: int = 0,
    synthetic: bool = False,
) -> dict[str, Any]:
    """Return the whole report in JSON's own types; `hide_below` 0 hides nothing."""
    cells = _Cells(hide_below)
    document: dict[str, Any] = {
        "synthetic": synthetic,
        "validated": False,
        "hide_below": hide_below or None,
        "occurrences": cells.total(figures.occurrences),
        "patients": cells.total(figures.patients),
        "rows": None if hide_below else [_row(row) for row in rows],
        "numbers": {figure.number.name: _number(figure, cells) for figure in figures.numbers},
        "shares": {figure.question.name: _question(figure, cells) for figure in figures.questions},
    }
    document["counts"] = {figure.words.name: _words(figure, cells) for figure in figures.words}
    document["compared"] = [_compared(each, document) for each in compared]
    document["findings"] = sum(each["agrees"] is False for each in document["compared"])
    return document


@dataclass(frozen=True, slots=True)
class _Cells:
    """Decide which counts may be told, and remember the totals that were."""

    hide_below: int
    told: set[int] = field(default_factory=set)

    def is_small(self, count: int) -> bool:
        """Tell whether a count itself is to be hidden."""
        return 0 < count < self.hide_below

    def gives_away(self, count: int) -> bool:
        """Tell whether a count is small, or one that is follows from it and a total that was told."""
        return self.is_small(count) or any(self.is_small(abs(total - count)) for total in self.told)

    def total(self, count: int) -> int | str:
        """Return a total, or that it is hidden."""
        if self.gives_away(count):
            return HIDDEN
        self.told.add(count)
        return count


def _row(row: Occurrence) -> dict[str, Any]:
    given = row.treatment
    treatment: dict[str, Any] | None = None if given is None else asdict(given)
    if treatment is not None and treatment["dose_mg_per_kg"] is not None:
        treatment["dose_mg_per_kg"] = decimal_text(treatment["dose_mg_per_kg"])
    return asdict(row) | {"person": asdict(row.person), "treatment": treatment}


def _number(figure: NumberFigure, cells: _Cells) -> dict[str, Any]:
    summary = figure.summary
    named = {"title": figure.number.title, "unit": figure.number.unit}
    if summary is None:
        return {**named, "n": 0, "unknown": cells.total(figure.unknown)}
    if cells.is_small(figure.unknown) or cells.total(summary.n) == HIDDEN:
        # How many there are would follow from an interval and a deviation, or from the decimals of a mean.
        return {**named, "n": HIDDEN, "unknown": HIDDEN}
    told = {
        **named,
        "n": summary.n,
        "unknown": figure.unknown,
        "mean": rounded(summary.mean, _DECIMALS),
        "mean_interval": _span(summary.mean_interval, _DECIMALS),
        "deviation": None if summary.deviation is None else round(summary.deviation, _DECIMALS),
        "median": rounded(summary.median, _DECIMALS),
        "median_interval": _span(summary.median_interval, _DECIMALS),
        "low": decimal_text(summary.low),
        "high": decimal_text(summary.high),
    }
    # Ends of order are values of single occurrences.
    return told | dict.fromkeys(("median_interval", "low", "high")) if cells.hide_below else told


def _question(figure: QuestionFigure, cells: _Cells) -> dict[str, Any]:
    rate, title = figure.rate, {"title": figure.question.title, "among": figure.question.among}
    parts = (rate.count, rate.of - rate.count, figure.unknown)
    if any(map(cells.is_small, parts)) or cells.total(rate.of) == HIDDEN:
        return {**title, "count": HIDDEN, "of": HIDDEN, "unknown": HIDDEN, "share": None, "interval": None}
    share = rate.share
    return {
        **title,
        "count": rate.count,
        "of": rate.of,
        "unknown": figure.unknown,
        "share": None if share is None else rounded(share, _SHARE_DECIMALS),
        "interval": _span(rate.interval, _SHARE_DECIMALS),
    }


def _words(figure: WordsFigure, cells: _Cells) -> dict[str, Any]:
    hidden = {word: count for word, count in figure.counts.items() if cells.gives_away(count)}
    others = [word for word in figure.counts if word not in hidden]
    if hidden and others and (len(hidden) == 1 or cells.is_small(sum(hidden.values()))):
        # What is hidden would follow from the total.
        hidden[others[-1]] = figure.counts[others[-1]]
    shown: dict[str, int | str] = {
        word: HIDDEN if word in hidden else count for word, count in figure.counts.items()
    }
    if hidden and sum(hidden.values()) == len(hidden):
        # As many as there are words: each would be known to be one.
        shown = {word: count for word, count in figure.counts.items() if word not in hidden} | {
            _OTHERS: HIDDEN
        }
    return {"title": figure.words.title, "counts": shown}


def _compared(each: Compared, document: Mapping[str, Any]) -> dict[str, Any]:
    told = asdict(each)
    if document["hide_below"] is None:
        return told
    is_told = _is_told(each, document)
    return told | {"against": []} | ({} if is_told else {"computed": HIDDEN, "agrees": None})


def _is_told(each: Compared, document: Mapping[str, Any]) -> bool:
    """Tell whether a document that hides small cells holds what a published figure is compared with."""
    published = each.published
    if published.statistic == "count":
        return bool(document["shares"][published.measure]["count"] != HIDDEN)
    if published.statistic not in {"mean", "median", "n"}:
        return False
    figure = document["numbers"][published.measure]
    return "mean" in figure and len(published.value.partition(".")[2]) <= _DECIMALS


def _span(span: Span | None, decimals: int) -> list[str] | None:
    return None if span is None else [rounded(Fraction(end), decimals) for end in (span.low, span.high)]
