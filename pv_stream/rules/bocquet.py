"""Bocquet 1996: drug eruption, and a systemic sign, and eosinophils or atypical lymphocytes.

The table is data; each part and the whole are met, unmet or unknown.
"""

from typing import Final

from pv_stream.domain.codes import Analyte, FindingCode
from pv_stream.domain.criteria import Bocquet, Truth
from pv_stream.rules.judging import (
    NOT_KNOWN,
    Judged,
    Row,
    Scene,
    above,
    all_of,
    any_count,
    any_of,
    any_value_of,
    at_least,
    judge,
    met,
    unknown,
    unmet,
)
from pv_stream.rules.rulebook import Number, Parameters
from pv_stream.rules.timeline import EXACT, SKIN

#: Each disease, and the organ of which a documented "not involved" excludes it too.
_DISEASES: Final = (
    (FindingCode.INTERSTITIAL_NEPHRITIS, FindingCode.KIDNEY_INVOLVEMENT),
    (FindingCode.INTERSTITIAL_PNEUMONITIS, FindingCode.LUNG_INVOLVEMENT),
    (FindingCode.CARDITIS, FindingCode.MUSCLE_HEART_INVOLVEMENT),
)


def _eruption(scene: Scene, _: Parameters) -> Judged:
    """Judge the eruption; without a suspect drug it is not known to be one of a drug."""
    skin = scene.present(*SKIN)
    if skin:
        return met(skin[0].key) if scene.has_suspects else unknown(skin[0].key)
    absent = scene.absent(FindingCode.RASH)
    return unmet(absent[0].key) if absent else NOT_KNOWN


def _systemic(scene: Scene, parameters: Parameters) -> Judged:
    return any_of(
        _large_nodes(scene, parameters),
        _transaminase(scene, Analyte.ALT, parameters.alt_upper_limit_u_per_l, parameters),
        _transaminase(scene, Analyte.AST, parameters.ast_upper_limit_u_per_l, parameters),
        *(_disease(scene, disease, organ) for disease, organ in _DISEASES),
    )


def _large_nodes(scene: Scene, parameters: Parameters) -> Judged:
    """Judge the size of the nodes; enlarged without a size may be any."""
    nodes = scene.present(FindingCode.ENLARGED_LYMPH_NODES)
    judged = []
    for dated in nodes:
        size_cm = dated.content.size_cm
        if size_cm is None:
            judged.append(unknown(dated.key))
        else:
            is_large = size_cm >= parameters.bocquet_node_size_cm.value
            judged.append(met(dated.key) if is_large else unmet(dated.key))
    return any_value_of(judged) if judged else scene.found(FindingCode.ENLARGED_LYMPH_NODES)


def _transaminase(scene: Scene, analyte: Analyte, upper_limit: Number, parameters: Parameters) -> Judged:
    bound = EXACT.multiply(parameters.bocquet_transaminase_factor.value, upper_limit.value)
    return scene.any_value(analyte, lambda reading: at_least(reading, bound), scene.raised_before(parameters))


def _disease(scene: Scene, disease: FindingCode, organ: FindingCode) -> Judged:
    found = scene.found(disease)
    if found.truth is not Truth.UNKNOWN:
        return found
    normal = scene.found(organ)
    return normal if normal.truth is Truth.UNMET else NOT_KNOWN


def _blood(scene: Scene, parameters: Parameters) -> Judged:
    bound = parameters.bocquet_eosinophils_per_ul.value
    return any_of(
        any_count(scene, lambda reading: at_least(reading, bound)), _atypical_lymphocytes(scene, parameters)
    )


def _atypical_lymphocytes(scene: Scene, parameters: Parameters) -> Judged:
    """Judge atypical lymphocytes: seen, or a percentage above that of J-SCAR; a lower one above none is unknown."""
    seen = scene.found(FindingCode.ATYPICAL_LYMPHOCYTES)
    if seen.truth is Truth.MET:
        return seen
    values = scene.values(Analyte.ATYPICAL_LYMPHOCYTES_PERCENT)
    bound = parameters.jscar_atypical_lymphocytes_percent.value
    many = scene.any_value(Analyte.ATYPICAL_LYMPHOCYTES_PERCENT, lambda reading: above(reading, bound))
    if many.truth is Truth.MET or not values:
        return many if many.truth is Truth.MET else seen
    return scene.any_value(
        Analyte.ATYPICAL_LYMPHOCYTES_PERCENT,
        lambda reading: Truth.UNMET if reading.high == 0 else Truth.UNKNOWN,
    )


TABLE: Final = (
    Row("drug_eruption", "Drug eruption", _eruption),
    Row(
        "systemic",
        "Lymph nodes >= {bocquet_node_size_cm} cm, transaminases >= {bocquet_transaminase_factor} x the upper limit of "
        "normal, "
        "or interstitial nephritis, pneumonitis or carditis",
        _systemic,
    ),
    Row("blood", "Eosinophils >= {bocquet_eosinophils_per_ul}/µL or atypical lymphocytes", _blood),
)


def evaluate(scene: Scene, parameters: Parameters) -> Bocquet:
    """Judge an episode by the three parts; the whole needs each of them."""
    parts = judge(TABLE, scene, parameters)
    return Bocquet(parts, all_of(part.truth for part in parts))
