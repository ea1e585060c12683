"""Relevance: whether a new fact can change what is told (law 6).

Storing is not optional, computing is. Of a patient under a watched drug something is told once there is a raised
count, a skin sign, a held value or evidence that may score as "possible"; of any patient once the evidence may score
as "probable", or a reaction was reported. Until then assessing is left out. A fever alone scores nothing, and no row
of tiers rests on it without a count. The answer may be too careful, never too bold: outputs with this index equal
outputs without it. It is asked at every event, so it looks things up rather than computing them.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal
from functools import cache
from typing import Final

from pv_stream.domain.codes import Analyte, Comparator, FindingCode, Presence
from pv_stream.domain.facts import Content, Exposure, Fact, Finding, Held, Measurement, Report, Retracted
from pv_stream.domain.ids import FactKey
from pv_stream.domain.published import PatientState, Relevance
from pv_stream.rules import regiscar
from pv_stream.rules.items import EXCLUSION_TESTS
from pv_stream.rules.reviews import may_be
from pv_stream.rules.rulebook import Parameters, Rulebook
from pv_stream.rules.timeline import ORGAN_DISEASES, ORGANS, SKIN

_EXACT: Final = Context(prec=60)
_ZERO: Final = Decimal(0)
_HUNDRED: Final = Decimal(100)
_BOUNDED_ABOVE: Final = frozenset({Comparator.LESS, Comparator.LESS_OR_EQUAL})

_OF_ORGAN: Final[Mapping[str, Relevance]] = {"liver": Relevance.LIVER, "kidney": Relevance.KIDNEY}
_PRESENT: Final[Mapping[FindingCode, Relevance]] = {
    **dict.fromkeys(SKIN, Relevance.SKIN),
    **{
        code: _OF_ORGAN.get(organ, Relevance.ORGAN)
        for code, organ in (*ORGANS.items(), *ORGAN_DISEASES.items())
    },
    FindingCode.ENLARGED_LYMPH_NODES: Relevance.NODES,
    FindingCode.ATYPICAL_LYMPHOCYTES: Relevance.ATYPICAL_LYMPHOCYTES,
}
_MEASURED: Final[Mapping[Analyte, Relevance]] = {
    Analyte.EOSINOPHILS: Relevance.COUNT,
    Analyte.EOSINOPHILS_PERCENT: Relevance.COUNT,
    Analyte.LEUKOCYTES: Relevance.COUNT,
    Analyte.ALT: Relevance.LIVER,
    Analyte.CREATININE: Relevance.KIDNEY,
}

#: What is told alone, under a watched drug.
_TOLD_ALONE: Final = Relevance.COUNT | Relevance.SKIN | Relevance.HELD
#: The most points that each kind of evidence can score, by items of the table.
_SCORED: Final = (
    (regiscar.EOSINOPHILS, {Relevance.COUNT: 2}),
    (regiscar.RASH_EXTENT, {Relevance.SKIN: 1}),
    (regiscar.RASH_SUGGESTIVE, {Relevance.SKIN: 1}),
    (regiscar.ORGANS, {Relevance.LIVER: 1, Relevance.KIDNEY: 1, Relevance.ORGAN: 2}),
    (regiscar.NODES, {Relevance.NODES: 1}),
    (regiscar.ATYPICAL_LYMPHOCYTES, {Relevance.ATYPICAL_LYMPHOCYTES: 1}),
    (regiscar.EXCLUSION_TESTS, {Relevance.EXCLUSION_TEST: 1}),
)


def must_assess(state: PatientState, rulebook: Rulebook) -> bool:
    """Tell whether a patient with this state can have anything to tell."""
    return not state.published.is_empty or can_be_told(state.relevance, rulebook)


def can_be_told(relevance: Relevance, rulebook: Rulebook) -> bool:
    """Tell whether there can be anything to tell of a patient of whom nothing was told yet."""
    parameters = rulebook.parameters
    return _can_be_told(relevance, parameters.warning_score_min.value, parameters.critical_score_min.value)


@cache
def _can_be_told(relevance: Relevance, warning_score_min: int, critical_score_min: int) -> bool:
    most = sum(
        min(
            max(item.points.values()),
            sum(points for kind, points in points_of.items() if kind in relevance),
        )
        for item, points_of in _SCORED
    )
    if Relevance.REPORT in relevance or most >= critical_score_min:
        return True
    return Relevance.WATCHED_DRUG in relevance and bool(relevance & _TOLD_ALONE or most >= warning_score_min)


def relevance_after(
    relevance: Relevance,
    content: Content,
    facts: Mapping[FactKey, Fact],
    rulebook: Rulebook,
) -> Relevance:
    """Return what a patient ever had once a content has joined the facts; it never shrinks."""
    match content:
        case Measurement():
            return _after_measurement(relevance, content, facts, rulebook)
        case Exposure():
            if any(rulebook.drug_called(name) is not None for name in content.drugs):
                return _with(relevance, Relevance.WATCHED_DRUG)
        case Finding():
            if content.code in EXCLUSION_TESTS:
                return _with(relevance, Relevance.EXCLUSION_TEST)
            if content.presence is Presence.PRESENT and content.code in _PRESENT:
                return _with(relevance, _PRESENT[content.code])
        case Held():
            held = _with(relevance, Relevance.HELD)
            return _with(held, Relevance.WATCHED_DRUG) if may_be(content, rulebook) else held
        case Report():
            return _with(relevance, Relevance.REPORT)
        case Retracted():
            pass
    return relevance


@cache
def _with(relevance: Relevance, kind: Relevance) -> Relevance:
    return relevance | kind


def _after_measurement(
    relevance: Relevance, content: Measurement, facts: Mapping[FactKey, Fact], rulebook: Rulebook
) -> Relevance:
    kind = _MEASURED.get(content.analyte)
    if kind is None:
        return relevance
    after = _with(relevance, kind)
    if after == relevance or not _MAY_BE_POSITIVE[content.analyte](
        _least(content), facts, rulebook.parameters
    ):
        return relevance
    return after


def _least(measurement: Measurement) -> Decimal:
    """Return the least that a measured value may be."""
    return _ZERO if measurement.comparator in _BOUNDED_ABOVE else measurement.value


_Facts = Mapping[FactKey, Fact]


def _count(least: Decimal, _: _Facts, parameters: Parameters) -> bool:
    return least >= parameters.eosinophils_low_per_ul.value


def _percent(least: Decimal, facts: _Facts, parameters: Parameters) -> bool:
    return least >= parameters.eosinophils_low_percent.value or _product_reaches(
        least, _values(facts, Analyte.LEUKOCYTES), parameters
    )


def _leukocytes(least: Decimal, facts: _Facts, parameters: Parameters) -> bool:
    # A percentage from the low bound on is evidence without leukocytes: what is left to find is below it.
    if not _product_reaches(least, (parameters.eosinophils_low_percent.value,), parameters):
        return False
    return _product_reaches(least, _values(facts, Analyte.EOSINOPHILS_PERCENT), parameters)


def _alt(least: Decimal, _: _Facts, parameters: Parameters) -> bool:
    return least >= parameters.alt_organ_u_per_l.value


def _creatinine(least: Decimal, facts: _Facts, parameters: Parameters) -> bool:
    """Tell whether two creatinine values may be a rise, whichever of them was first."""
    rise = parameters.creatinine_rise_mg_per_dl.value
    percent = _EXACT.add(_HUNDRED, parameters.creatinine_rise_percent.value)
    for other in _values(facts, Analyte.CREATININE):
        low, high = (least, other) if least <= other else (other, least)
        if high >= _EXACT.add(low, rise) or _EXACT.multiply(high, _HUNDRED) >= _EXACT.multiply(low, percent):
            return True
    return False


_MAY_BE_POSITIVE: Final[Mapping[Analyte, Callable[[Decimal, _Facts, Parameters], bool]]] = {
    Analyte.EOSINOPHILS: _count,
    Analyte.EOSINOPHILS_PERCENT: _percent,
    Analyte.LEUKOCYTES: _leukocytes,
    Analyte.ALT: _alt,
    Analyte.CREATININE: _creatinine,
}


def _values(facts: _Facts, analyte: Analyte) -> Sequence[Decimal]:
    return [
        _least(content)
        for fact in facts.values()
        for statement, _ in fact.statements
        if isinstance(content := statement.content, Measurement) and content.analyte is analyte
    ]


def _product_reaches(value: Decimal, others: Sequence[Decimal], parameters: Parameters) -> bool:
    if not others:
        return False
    bound = _EXACT.multiply(parameters.eosinophils_low_per_ul.value, _HUNDRED)
    return any(_EXACT.multiply(value, other) >= bound for other in others)
