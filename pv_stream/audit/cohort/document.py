"""The cohort report as one document, for a program and for the tables alike: what is hidden here is hidden everywhere.

Small cells can point to a person. With `hide_below` no count from 1 to one less than that is told, nor one from which
it follows; single occurrences, least and greatest values and names of occurrences are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from typing import Any, Final

from pv_stream.audit.cohort.comparison import Compared, rounded
from pv_stream.audit.cohort.figures import Figures, NumberFigure, QuestionFigure, WordsFigure
from pv_stream.audit.cohort.occurrences import Occurrence
from pv_stream.audit.statistics import Span
from pv_stream.codec.canonical import decimal_text

#: Stands where a count is hidden.
HIDDEN: Final = "hidden"
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
    hides = hide_below > 0
    return {
        "synthetic": synthetic,
        "validated": False,
        "hide_below": hide_below or None,
        "occurrences": _count(figures.occurrences, hide_below),
        "patients": _count(figures.patients, hide_below),
        "rows": None if hides else [_row(row) for row in rows],
        "numbers": {figure.number.name: _number(figure, hide_below) for figure in figures.numbers},
        "shares": {figure.question.name: _question(figure, hide_below) for figure in figures.questions},
        "counts": {figure.words.name: _words(figure, hide_below) for figure in figures.words},
        "compared": [_compared(each, hides=hides) for each in compared],
        "findings": sum(not each.agrees for each in compared),
    }


def _row(row: Occurrence) -> dict[str, Any]:
    given = row.treatment
    treatment: dict[str, Any] | None = None if given is None else asdict(given)
    if treatment is not None and treatment["dose_mg_per_kg"] is not None:
        treatment["dose_mg_per_kg"] = decimal_text(treatment["dose_mg_per_kg"])
    return asdict(row) | {"person": asdict(row.person), "treatment": treatment}


def _number(figure: NumberFigure, hide_below: int) -> dict[str, Any]:
    summary = figure.summary
    named = {"title": figure.number.title, "unit": figure.number.unit}
    if summary is None or summary.n < hide_below:
        n = 0 if summary is None else HIDDEN
        return {**named, "n": n, "unknown": _count(figure.unknown, hide_below)}
    told = {
        **named,
        "n": summary.n,
        "unknown": _count(figure.unknown, hide_below),
        "mean": rounded(summary.mean, _DECIMALS),
        "mean_interval": _span(summary.mean_interval, _DECIMALS),
        "deviation": None if summary.deviation is None else round(summary.deviation, _DECIMALS),
        "median": rounded(summary.median, _DECIMALS),
        "median_interval": _span(summary.median_interval, _DECIMALS),
        "low": decimal_text(summary.low),
        "high": decimal_text(summary.high),
    }
    if hide_below:
        # Ends of order are values of single occurrences.
        for name in ("median_interval", "low", "high"):
            told[name] = None
    if told["unknown"] == HIDDEN:
        told["n"] = HIDDEN
    return told


def _question(figure: QuestionFigure, hide_below: int) -> dict[str, Any]:
    rate, title = figure.rate, {"title": figure.question.title}
    parts = (rate.count, rate.of - rate.count, figure.unknown)
    if any(0 < part < hide_below for part in parts):
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


def _words(figure: WordsFigure, hide_below: int) -> dict[str, Any]:
    small = {word for word, count in figure.counts.items() if count < hide_below}
    others = [word for word in figure.counts if word not in small]
    if len(small) == 1 and others:
        # Alone it would follow from the total.
        small.add(others[-1])
    shown: Mapping[str, int | str] = {
        word: HIDDEN if word in small else count for word, count in figure.counts.items()
    }
    return {"title": figure.words.title, "counts": dict(shown)}


def _compared(each: Compared, *, hides: bool) -> dict[str, Any]:
    told = asdict(each)
    if hides:
        told |= {"against": [], "computed": HIDDEN}
    return told


def _count(count: int, hide_below: int) -> int | str:
    return HIDDEN if 0 < count < hide_below else count


def _span(span: Span | None, decimals: int) -> list[str] | None:
    return None if span is None else [rounded(Fraction(end), decimals) for end in (span.low, span.high)]
