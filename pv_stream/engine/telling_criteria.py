"""Telling criteria: the criteria beside the RegiSCAR score as outputs carry them, counts in alerts, all in cases."""

from collections.abc import Iterable

from pv_stream.domain.criteria import Causality, Criteria, Criterion, Jscar, Truth
from pv_stream.domain.outputs import (
    CaseCriteriaOut,
    CausalityOut,
    CriteriaOut,
    CriterionOut,
    JscarOut,
    NaranjoItemOut,
)


def in_alert(criteria: Criteria) -> CriteriaOut:
    """Return what an alert shows: how many J-SCAR criteria are met, and whether Bocquet's are."""
    return CriteriaOut(_counts(criteria.jscar), criteria.bocquet.whole)


def in_case(criteria: Criteria) -> CaseCriteriaOut:
    """Return what a case shows: every criterion with its evidence, and causality drug by drug."""
    return CaseCriteriaOut(
        jscar=_counts(criteria.jscar),
        jscar_criteria=_criteria(criteria.jscar.criteria),
        bocquet=criteria.bocquet.whole,
        bocquet_parts=_criteria(criteria.bocquet.parts),
        causality=tuple(map(_causality, criteria.causality)),
    )


def _counts(jscar: Jscar) -> JscarOut:
    return JscarOut(
        met=jscar.count(Truth.MET),
        unmet=jscar.count(Truth.UNMET),
        unknown=jscar.count(Truth.UNKNOWN),
        category=jscar.category,
    )


def _criteria(criteria: Iterable[Criterion]) -> tuple[CriterionOut, ...]:
    return tuple(CriterionOut(one.name, one.truth, tuple(one.evidence)) for one in criteria)


def _causality(causality: Causality) -> CausalityOut:
    naranjo = causality.naranjo
    return CausalityOut(
        drug=causality.drug,
        naranjo=naranjo.total,
        category=naranjo.category,
        answered=tuple(
            NaranjoItemOut(item.item, item.answer, item.points, tuple(item.evidence))
            for item in naranjo.answered
        ),
        who_umc=causality.who_umc,
    )
