"""Relevance: whether a new fact can change what is told (law 6).

Storing is not optional, computing is. Something is told of a patient who had a watched drug and either positive
evidence or a held value, or whose evidence may score as "probable" without any drug; until then assessing is left
out. The answer may be too careful, never too bold: outputs with this index equal outputs without it.
"""

from collections.abc import Iterable, Mapping
from decimal import Context, Decimal
from typing import Final

from pv_stream.domain.codes import Analyte, FindingCode, Presence
from pv_stream.domain.facts import Content, Exposure, Fact, Finding, Held, Measurement
from pv_stream.domain.ids import FactKey
from pv_stream.domain.published import PatientState, Relevance
from pv_stream.rules import regiscar
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.timeline import ORGAN_DISEASES, ORGANS, SKIN, reading_of

_EXACT: Final = Context(prec=60)
_FINDINGS: Final[Mapping[FindingCode, Relevance]] = {
    **dict.fromkeys(SKIN, Relevance.EVIDENCE | Relevance.SKIN),
    **dict.fromkeys((*ORGANS, *ORGAN_DISEASES), Relevance.EVIDENCE | Relevance.ORGAN),
    FindingCode.ENLARGED_LYMPH_NODES: Relevance.EVIDENCE | Relevance.NODES,
    FindingCode.ATYPICAL_LYMPHOCYTES: Relevance.ATYPICAL_LYMPHOCYTES,
}
_MEASUREMENTS: Final[Mapping[Analyte, Relevance]] = {
    Analyte.EOSINOPHILS: Relevance.EVIDENCE | Relevance.COUNT,
    Analyte.EOSINOPHILS_PERCENT: Relevance.EVIDENCE | Relevance.COUNT,
    Analyte.LEUKOCYTES: Relevance.EVIDENCE | Relevance.COUNT,
    Analyte.ALT: Relevance.EVIDENCE | Relevance.ORGAN,
    Analyte.CREATININE: Relevance.EVIDENCE | Relevance.ORGAN,
    Analyte.BODY_TEMPERATURE: Relevance.EVIDENCE,
}
_NEEDS: Final = Relevance.EVIDENCE | Relevance.HELD
#: The most points that each kind of evidence can score; the skin has two items.
_POINTS: Final = tuple(
    (kind, sum(max(item.points.values()) for item in items))
    for kind, items in (
        (Relevance.COUNT, (regiscar.EOSINOPHILS,)),
        (Relevance.SKIN, (regiscar.RASH_EXTENT, regiscar.RASH_SUGGESTIVE)),
        (Relevance.ORGAN, (regiscar.ORGANS,)),
        (Relevance.NODES, (regiscar.NODES,)),
        (Relevance.ATYPICAL_LYMPHOCYTES, (regiscar.ATYPICAL_LYMPHOCYTES,)),
    )
)
#: Points that need no positive finding: exclusion tests that were done and negative.
_POINTS_OF_TESTS: Final = max(regiscar.EXCLUSION_TESTS.points.values())


def must_assess(state: PatientState, rulebook: Rulebook) -> bool:
    """Tell whether a patient with this state can have anything to tell."""
    relevance = state.relevance
    if not state.published.is_empty or (relevance & Relevance.WATCHED_DRUG and relevance & _NEEDS):
        return True
    most = _POINTS_OF_TESTS + sum(points for kind, points in _POINTS if relevance & kind)
    return most >= rulebook.parameters.critical_score_min.value


def relevance_after(
    relevance: Relevance,
    content: Content,
    facts: Mapping[FactKey, Fact],
    rulebook: Rulebook,
) -> Relevance:
    """Return what a patient ever had once a content has joined the facts; it never shrinks."""
    match content:
        case Exposure():
            if any(rulebook.drug_called(ingredient) is not None for ingredient in content.ingredients):
                return relevance | Relevance.WATCHED_DRUG
        case Held():
            return relevance | Relevance.HELD
        case Finding():
            if content.presence is Presence.PRESENT and content.code in _FINDINGS:
                return relevance | _FINDINGS[content.code]
        case Measurement():
            kinds = _MEASUREMENTS.get(content.analyte, Relevance.NONE)
            if kinds not in relevance and _may_be_evidence(content, facts, rulebook):
                return relevance | kinds
        case _:
            pass
    return relevance


def _may_be_evidence(content: Measurement, facts: Mapping[FactKey, Fact], rulebook: Rulebook) -> bool:
    parameters = rulebook.parameters
    low = reading_of(content).low
    match content.analyte:
        case Analyte.EOSINOPHILS:
            return low >= parameters.eosinophils_low_per_ul.value
        case Analyte.BODY_TEMPERATURE:
            return low >= parameters.fever_sign_celsius.value
        case Analyte.ALT:
            return low >= parameters.alt_organ_u_per_l.value
        case Analyte.EOSINOPHILS_PERCENT:
            if low >= parameters.eosinophils_low_percent.value:
                return True
            return _product_reaches(low, _values(facts, Analyte.LEUKOCYTES), rulebook)
        case Analyte.LEUKOCYTES:
            return _product_reaches(low, _values(facts, Analyte.EOSINOPHILS_PERCENT), rulebook)
        case Analyte.CREATININE:
            return _rises(low, _values(facts, Analyte.CREATININE), rulebook)
        case _:
            return False


def _values(facts: Mapping[FactKey, Fact], analyte: Analyte) -> Iterable[Decimal]:
    for fact in facts.values():
        for statement, _ in fact.statements:
            content = statement.content
            if isinstance(content, Measurement) and content.analyte is analyte:
                yield reading_of(content).low


def _product_reaches(value: Decimal, others: Iterable[Decimal], rulebook: Rulebook) -> bool:
    bound = rulebook.parameters.eosinophils_low_per_ul.value.scaleb(2, _EXACT)
    return any(_EXACT.multiply(value, other) >= bound for other in others)


def _rises(value: Decimal, others: Iterable[Decimal], rulebook: Rulebook) -> bool:
    """Tell whether two creatinine values may be a rise, whichever of them was first."""
    parameters = rulebook.parameters
    rise = parameters.creatinine_rise_mg_per_dl.value
    percent = _EXACT.add(Decimal(100), parameters.creatinine_rise_percent.value)
    for other in others:
        low, high = min(value, other), max(value, other)
        if high >= _EXACT.add(low, rise) or _EXACT.multiply(high, Decimal(100)) >= _EXACT.multiply(
            low, percent
        ):
            return True
    return False
