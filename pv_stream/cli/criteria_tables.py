"""The criteria beside RegiSCAR on a terminal: J-SCAR, Bocquet and the causality of each suspect drug."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from pv_stream.audit.criteria_view import CausalityView, CriteriaView, CriterionView, QuestionView
from pv_stream.audit.fact_view import FactView
from pv_stream.cli.terminal import moment
from pv_stream.domain.criteria import Answer, Truth


def print_criteria(console: Console, criteria: CriteriaView) -> None:
    """Print every criterion with the statements that decided it."""
    category = criteria.jscar_category or "category not determined"
    console.print(f"\n[bold]J-SCAR/DIHS[/]: {_counted(criteria.jscar)}; {category}")
    console.print(_criteria_table(criteria.jscar))
    console.print(f"\n[bold]Bocquet 1996[/]: {criteria.bocquet_whole}")
    console.print(_criteria_table(criteria.bocquet))
    for causality in criteria.causality:
        _print_causality(console, causality)


def _counted(criteria: Iterable[CriterionView]) -> str:
    truths = [criterion.truth for criterion in criteria]
    return ", ".join(f"{truths.count(truth)} {truth.value}" for truth in Truth)


def _criteria_table(criteria: Iterable[CriterionView]) -> Padding:
    return _table(("criterion", "documented"), [(_lines(c.title, c.facts), c.truth) for c in criteria])


def _print_causality(console: Console, causality: CausalityView) -> None:
    console.print(
        f"\n[bold]Causality of {escape(causality.drug)}[/]: Naranjo {causality.naranjo} ({causality.category}), "
        f"WHO-UMC {causality.who_umc}"
    )
    console.print(_table(("question", "answer", "points"), map(_question_row, causality.questions)))


def _question_row(question: QuestionView) -> tuple[str, ...]:
    points = "" if question.answer == Answer.UNKNOWN else f"{question.points:+d}"
    return _lines(question.title, question.facts), question.answer, points


def _table(headings: Sequence[str], rows: Iterable[tuple[str, ...]]) -> Padding:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), expand=True)
    table.add_column(headings[0], header_style="dim", ratio=1)
    for heading in headings[1:]:
        table.add_column(heading, header_style="dim", width=10)
    for row in rows:
        table.add_row(*row)
    return Padding(table, (0, 0, 0, 2))


def _lines(title: str, facts: Iterable[FactView]) -> str:
    shown = (escape(f"  {view.what} {view.used}, {moment(view.when)}") for view in facts)
    return "\n".join((f"[bold]{escape(title)}[/]", *shown))
