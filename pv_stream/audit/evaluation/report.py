"""An evaluation as a document for a program, and as a page with plots."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Any, Final

from pv_stream.audit.cohort.comparison import rounded
from pv_stream.audit.evaluation.measures import PUBLISHED_CASES, Found
from pv_stream.audit.evaluation.run import Evaluation
from pv_stream.audit.page import heading, page, paragraph, table
from pv_stream.audit.statistics import Rate, Span
from pv_stream.audit.ward import SOURCES

SYNTHETIC: Final = (
    "SYNTHETIC: a made-up hospital in which reactions are far more frequent than anywhere. What is measured here says "
    "how the rules behave on this log. It says nothing about patients, and nothing here is validated for care."
)
_WIDTH: Final = 640
_HEIGHT: Final = 320
_LEFT: Final = 60
_BOTTOM: Final = 50
_TOP: Final = 20
_RIGHT: Final = 20
_COLOURS: Final = ("#4b8bbe", "#d08700", "#c0392b", "#777777", "#7d5ba6", "#2e8b57")
_HOURS_MAX: Final = 14 * 24


def document_of(evaluation: Evaluation, *, synthetic: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return an evaluation in JSON's own types; `synthetic` holds the assumptions of a made-up log."""
    return {
        "synthetic": synthetic is not None,
        "validated": False,
        "assumptions": synthetic,
        "sources": dict(SOURCES) if synthetic is not None else {},
        "patients": evaluation.patients,
        "records_merged": evaluation.merged,
        "cases": evaluation.cases,
        "cases_not_in_log": evaluation.not_in_log,
        "patient_days": evaluation.patient_days,
        "events": evaluation.events,
        "found": [_found(found) for found in evaluation.found],
    }


def _found(found: Found) -> dict[str, Any]:
    hours, expected = found.hours, found.ppv_where_published
    return {
        "name": found.name,
        "title": found.title,
        "sensitivity": _rate(found.sensitivity),
        "specificity": _rate(found.specificity),
        "ppv": _rate(found.ppv),
        "ppv_at_published_share_of_cases": None if expected is None else f"{expected:.5f}",
        "alerts": found.alerts.count,
        "alerts_per_1000_patient_days": f"{found.alerts.per_thousand:.2f}",
        "alerts_interval": _ends(found.alerts.interval, 2),
        "found_beforehand": found.beforehand,
        "hours_to_alert": None
        if hours is None
        else {
            "n": hours.n,
            "median": rounded(hours.median, 1),
            "interval": _ends(hours.median_interval, 1),
            "low": f"{hours.low:f}",
            "high": f"{hours.high:f}",
        },
        "by_culprit": {drug: _rate(rate) for drug, rate in found.by_culprit.items()},
    }


def _rate(rate: Rate) -> dict[str, Any]:
    share = rate.share
    return {
        "count": rate.count,
        "of": rate.of,
        "share": None if share is None else rounded(share, 4),
        "interval": _ends(rate.interval, 4),
    }


def _ends(span: Span | None, decimals: int) -> list[str] | None:
    return None if span is None else [f"{span.low:.{decimals}f}", f"{span.high:.{decimals}f}"]


# The page ---------------------------------------------------------------------------------------------------------


def page_of(evaluation: Evaluation, document: Mapping[str, Any]) -> str:
    """Return an evaluation as one page that stands alone."""
    return page("How well the alerts find DRESS", _parts(evaluation, document))


def _parts(evaluation: Evaluation, document: Mapping[str, Any]) -> Iterator[str]:
    if document["synthetic"]:
        yield paragraph(SYNTHETIC, "notice")
    yield paragraph(
        f"{evaluation.patients:,} patients, {evaluation.cases:,} of them with DRESS, {evaluation.patient_days:,} "
        f"patient-days, {evaluation.events:,} events. Intervals are at 95 %: Wilson's of shares, exact of counts, by "
        "order of medians."
    )
    if evaluation.merged:
        yield paragraph(merged_text(evaluation.merged))
    if evaluation.not_in_log:
        yield paragraph(not_in_log_text(evaluation.not_in_log), "notice")
    yield heading("What was found, and what it cost")
    yield table(
        FOUND_HEADINGS, (found_row(each) for each in document["found"]), range(1, len(FOUND_HEADINGS))
    )
    yield paragraph(ALERTS)
    if beforehand := beforehand_text(document):
        yield paragraph(beforehand)
    yield _cost(evaluation.found)
    yield heading("How soon")
    yield paragraph("Share of the cases that were found, by the days since their first sign.")
    yield _delays(evaluation)
    yield heading("By culprit")
    drugs = sorted({drug for found in evaluation.found for drug in found.by_culprit})
    rows = (
        (found["title"], *(_share(found["by_culprit"].get(drug)) for drug in drugs))
        for found in document["found"]
    )
    yield table(("rule", *drugs), rows, range(1, len(drugs) + 1))
    yield heading("At another share of cases")
    yield paragraph(
        f"The PPV depends on how frequent cases are. At {PUBLISHED_CASES.count} of {PUBLISHED_CASES.of:,} patients, as "
        "in a published benchmark (Allergy Asthma Respir Dis 2018;6:149), the same sensitivity and specificity give:"
    )
    yield table(
        ("rule", "PPV"), ((each["title"], _or_dash(each[_EXPECTED])) for each in document["found"]), (1,)
    )
    if document["synthetic"]:
        yield heading("Assumptions")
        yield paragraph("Every number is an assumption unless a source stands beside it.")
        yield table(
            ("assumption", "value", "source"),
            (
                (name, value, SOURCES.get(name, "assumption"))
                for name, value in document["assumptions"].items()
            ),
        )


def not_in_log_text(count: int) -> str:
    """Say that cases are missing from the log."""
    return f"Cases of which the log holds nothing: {count:,}. They count as missed. Are these its pseudonyms?"


def merged_text(count: int) -> str:
    """Say how many patient records count with another."""
    return f"Patient records that were merged into another and count with it: {count:,}."


def beforehand_text(document: Mapping[str, Any]) -> str | None:
    """Say which rules had found cases before these had their first sign, None where none had."""
    found = [
        f"{each['title']}: {each['found_beforehand']} of {each['sensitivity']['count']}"
        for each in document["found"]
        if each["found_beforehand"]
    ]
    if not found:
        return None
    return f"An alert stood already when the first sign came, which counts as 0 hours. {'. '.join(found)}."


#: What is counted as an alert.
ALERTS: Final = "Alerts are suspicions of DRESS and restarts of a culprit."
_EXPECTED: Final = "ppv_at_published_share_of_cases"
FOUND_HEADINGS: Final = ("rule", "sensitivity", "PPV", "alerts per 1,000 days", "median hours to the alert")


def found_row(found: Mapping[str, Any], *, in_two_lines: bool = False) -> tuple[str, ...]:
    """Return what one rule found as cells: of a table on a page, or in two lines each at a terminal."""
    hours, alerts = found["hours_to_alert"], found["alerts_interval"]

    def cell(value: str, ends: Sequence[object] | None) -> str:
        if ends is None:
            return value
        span = " to ".join(map(str, ends))
        return f"{value}\n{span}" if in_two_lines else f"{value} ({span})"

    return (
        found["title"],
        cell(_share(found["sensitivity"]), _shown_ends(found["sensitivity"])),
        cell(_share(found["ppv"]), _shown_ends(found["ppv"])),
        cell(found["alerts_per_1000_patient_days"], alerts),
        "-" if hours is None else cell(hours["median"], (hours["low"], hours["high"])),
    )


def _share(rate: Mapping[str, Any] | None) -> str:
    return "-" if rate is None or rate["share"] is None else f"{rate['count']} of {rate['of']}"


def _shown_ends(rate: Mapping[str, Any]) -> list[str] | None:
    return None if rate["interval"] is None else [f"{float(end):.3f}" for end in rate["interval"]]


def _or_dash(value: object) -> object:
    return "-" if value is None else value


# Plots ------------------------------------------------------------------------------------------------------------


def _cost(found: Sequence[Found]) -> str:
    """Plot sensitivity against alerts per 1,000 patient-days, with the interval of the sensitivity."""
    most = max((each.alerts.per_thousand for each in found), default=1.0) * 1.1 or 1.0
    marks: list[str] = []
    for number, each in enumerate(found):
        share, ends = each.sensitivity.share, each.sensitivity.interval
        if share is None or ends is None:
            continue
        x, y, colour = _x(each.alerts.per_thousand / most), _y(float(share)), _COLOURS[number % len(_COLOURS)]
        marks.append(
            f'<line x1="{x}" x2="{x}" y1="{_y(ends.low)}" y2="{_y(ends.high)}" stroke="{colour}"/>'
            f'<circle cx="{x}" cy="{y}" r="5" fill="{colour}"/>'
        )
    ticks = [(part / 4, f"{most * part / 4:.1f}") for part in range(5)]
    return _plot(marks, ticks, "alerts per 1,000 patient-days", "sensitivity", found)


def _delays(evaluation: Evaluation) -> str:
    """Plot for each rule which share of the cases it had found, hour by hour."""
    marks = [
        f'<polyline fill="none" stroke-width="2" stroke="{_COLOURS[number % len(_COLOURS)]}" '
        f'points="{" ".join(_steps(each.delays, evaluation.cases))}"/>'
        for number, each in enumerate(evaluation.found)
        if evaluation.cases
    ]
    days = _HOURS_MAX // 24
    ticks = [(day / days, str(day)) for day in range(0, days + 1, 2)]
    return _plot(marks, ticks, "days since the first sign", "share of the cases found", evaluation.found)


def _steps(delays: Sequence[Decimal], cases: int) -> Iterator[str]:
    y = _y(0)
    yield f"{_x(0)},{y}"
    for number, hours in enumerate((hours for hours in delays if hours <= _HOURS_MAX), start=1):
        x = _x(float(hours) / _HOURS_MAX)
        yield f"{x},{y}"
        y = _y(number / cases)
        yield f"{x},{y}"
    yield f"{_x(1)},{y}"


def _plot(
    marks: Sequence[str], ticks: Sequence[tuple[float, str]], across: str, up: str, found: Sequence[Found]
) -> str:
    height = _HEIGHT + 18 * len(found)
    below = "".join(
        f'<text x="{_x(part)}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{escape(text)}</text>'
        for part, text in ticks
    )
    left = "".join(
        f'<text x="{_LEFT - 8}" y="{_y(part / 4) + 4}" text-anchor="end">{part / 4:.2f}</text>'
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_y(part / 4)}" y2="{_y(part / 4)}" stroke="#8884"/>'
        for part in range(5)
    )
    key = "".join(
        f'<rect x="{_LEFT}" y="{_HEIGHT + 18 * number - 10}" width="10" height="10" '
        f'fill="{_COLOURS[number % len(_COLOURS)]}"/>'
        f'<text x="{_LEFT + 18}" y="{_HEIGHT + 18 * number}">{escape(each.title)}</text>'
        for number, each in enumerate(found)
    )
    return (
        f'<svg role="img" aria-label="{escape(up)} by {escape(across)}" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}">{left}{below}'
        f'<text x="{_x(0.5)}" y="{_HEIGHT - 14}" text-anchor="middle">{escape(across)}</text>'
        f'<text x="{_LEFT}" y="{_TOP - 8}">{escape(up)}</text>{"".join(marks)}{key}</svg>'
    )


def _x(part: float) -> float:
    return round(_LEFT + part * (_WIDTH - _LEFT - _RIGHT), 1)


def _y(part: float) -> float:
    return round(_HEIGHT - _BOTTOM - part * (_HEIGHT - _BOTTOM - _TOP), 1)
