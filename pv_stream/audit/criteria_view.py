"""How the criteria beside RegiSCAR are shown to a reader: each with its wording and the statements that decided it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pv_stream.audit.fact_view import Chart, FactView
from pv_stream.domain.criteria import Answer
from pv_stream.domain.ids import FactKey
from pv_stream.rules import bocquet, jscar, naranjo
from pv_stream.rules.rulebook import Parameters

_ROWS: Final = {row.name: row for row in (*jscar.TABLE, *bocquet.TABLE)}


@dataclass(frozen=True, slots=True)
class CriterionView:
    """Show one criterion: met, unmet or unknown, and the statements behind it."""

    criterion: str
    title: str
    truth: str
    facts: tuple[FactView, ...]


@dataclass(frozen=True, slots=True)
class QuestionView:
    """Show one question of the Naranjo scale, its answer and points."""

    item: str
    title: str
    answer: str
    points: int
    facts: tuple[FactView, ...]


@dataclass(frozen=True, slots=True)
class CausalityView:
    """Show the causality of one suspect drug, all ten questions of the Naranjo scale included."""

    drug: str
    naranjo: int
    category: str
    who_umc: str
    questions: tuple[QuestionView, ...]


@dataclass(frozen=True, slots=True)
class CriteriaView:
    """Show J-SCAR, Bocquet and causality side by side; `jscar_category` is None unless it is determined."""

    jscar: tuple[CriterionView, ...]
    jscar_category: str | None
    bocquet: tuple[CriterionView, ...]
    bocquet_whole: str
    causality: tuple[CausalityView, ...]


def criteria_view(criteria: Mapping[str, Any], chart: Chart, parameters: Parameters) -> CriteriaView:
    """Return the criteria of a case as a reader checks them, in the words of its rulebook."""
    return CriteriaView(
        jscar=_criteria(criteria["jscar_criteria"], chart, parameters),
        jscar_category=criteria["jscar"]["category"],
        bocquet=_criteria(criteria["bocquet_parts"], chart, parameters),
        bocquet_whole=criteria["bocquet"],
        causality=tuple(_causality(one, chart) for one in criteria["causality"]),
    )


def _criteria(
    criteria: Sequence[Mapping[str, Any]], chart: Chart, parameters: Parameters
) -> tuple[CriterionView, ...]:
    return tuple(
        CriterionView(
            one["criterion"],
            _ROWS[one["criterion"]].title(parameters),
            one["truth"],
            _facts(one["evidence"], chart),
        )
        for one in criteria
    )


def _causality(causality: Mapping[str, Any], chart: Chart) -> CausalityView:
    answered = {item["item"]: item for item in causality["answered"]}
    return CausalityView(
        drug=causality["drug"],
        naranjo=causality["naranjo"],
        category=causality["category"],
        who_umc=causality["who_umc"],
        questions=tuple(
            _question(question, answered.get(question.name), chart) for question in naranjo.TABLE
        ),
    )


def _question(question: naranjo.Question, answered: Mapping[str, Any] | None, chart: Chart) -> QuestionView:
    if answered is None:
        return QuestionView(question.name, question.title, Answer.UNKNOWN, 0, ())
    facts = _facts(answered["evidence"], chart)
    return QuestionView(question.name, question.title, answered["answer"], answered["points"], facts)


def _facts(keys: Sequence[str], chart: Chart) -> tuple[FactView, ...]:
    return tuple(view for key in keys for view in chart.views(FactKey(key)))
