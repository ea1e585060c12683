"""J-SCAR: the seven criteria of DIHS (PMC7927043), each met, unmet or unknown.

The table is data; one evaluator judges it. Bounds are strict and have parameters of their own, apart from
RegiSCAR's. Typical is 7 of 7; atypical is criteria 1 to 5 without the whole. A category is named only when it is
determined: with 1 to 5 met and the others unknown either may be true.
"""

from collections.abc import Sequence
from typing import Final

from pv_stream.domain.codes import Analyte, FindingCode
from pv_stream.domain.criteria import Jscar, JscarCategory, Truth
from pv_stream.domain.times import Instant, local_day
from pv_stream.rules.courses import Course
from pv_stream.rules.judging import (
    NOT_KNOWN,
    Judged,
    Row,
    Scene,
    above,
    all_of,
    any_count,
    any_of,
    days_from,
    judge,
    met,
    unknown,
    unmet,
    whichever,
)
from pv_stream.rules.rulebook import Parameters

#: The other organs that must all be documented as normal before "no organ" is known.
_OTHER_ORGANS: Final = {
    "kidney": FindingCode.KIDNEY_INVOLVEMENT,
    "lung": FindingCode.LUNG_INVOLVEMENT,
    "muscle/heart": FindingCode.MUSCLE_HEART_INVOLVEMENT,
    "pancreas": FindingCode.PANCREAS_INVOLVEMENT,
}


def _late_rash(scene: Scene, parameters: Parameters) -> Judged:
    return whichever([_late_rash_under(course, scene, parameters) for course, _ in scene.first_courses])


def _late_rash_under(course: Course, scene: Scene, parameters: Parameters) -> Judged:
    """Settle when the rash began; one of unstated form may be the maculopapular one."""
    rash = scene.present(FindingCode.MACULOPAPULAR_RASH)
    unstated = scene.present(FindingCode.RASH)
    if not rash:
        absent = scene.absent(FindingCode.MACULOPAPULAR_RASH, FindingCode.RASH)
        return unmet(absent[0].key) if absent and not unstated else unknown(*(d.key for d in unstated[:1]))
    if course.first_dose is None:
        return unknown(rash[0].key)
    days = parameters.jscar_rash_days.value
    start, offset = course.first_dose, course.utc_offset_minutes
    fewest, most = days_from(start, offset, rash[0].at, rash[0].utc_offset_minutes)
    if most <= days:
        return unmet(rash[0].key)
    began = [days_from(start, offset, dated.at, dated.utc_offset_minutes)[0] for dated in unstated]
    return met(rash[0].key) if min((fewest, *began)) > days else unknown(rash[0].key)


def _persistence(scene: Scene, parameters: Parameters) -> Judged:
    return whichever(
        [
            _persists_after(course, restarted_at, scene, parameters)
            for course, restarted_at in scene.first_courses
        ]
    )


def _persists_after(
    course: Course, restarted_at: Instant | None, scene: Scene, parameters: Parameters
) -> Judged:
    """Settle persistence by a sign on or after the day, or a resolution before it; a restart ends the question."""
    if course.stopped_at is None:
        return NOT_KNOWN
    day = local_day(course.stopped_at, course.utc_offset_minutes) + parameters.jscar_persistence_days.value
    for sign in scene.timeline.signs:
        is_late = local_day(sign.at.earliest, sign.utc_offset_minutes) >= day
        if sign.positive and is_late and (restarted_at is None or sign.at.latest < restarted_at):
            return met(course.records[-1], sign.key)
    resolved_at = scene.resolved_at
    if resolved_at is None or (restarted_at is not None and resolved_at >= restarted_at):
        return NOT_KNOWN
    if local_day(resolved_at, scene.utc_offset_minutes) < day:
        resolved = (d.key for d in scene.present(FindingCode.REACTION_RESOLVED)[:1])
        return unmet(course.records[-1], *resolved)
    return NOT_KNOWN


def _fever(scene: Scene, parameters: Parameters) -> Judged:
    bound = parameters.jscar_fever_celsius.value
    return scene.any_value(Analyte.BODY_TEMPERATURE, lambda reading: above(reading, bound))


def _organ(scene: Scene, parameters: Parameters) -> Judged:
    """Judge ALT, and any other organ in its place. A value that was no higher before the drug settles nothing."""
    organs = [_liver(scene, parameters)]
    for organ, code in _OTHER_ORGANS.items():
        signs = [s.key for s in scene.timeline.signs if s.organ == organ and s.positive]
        organs.append(met(signs[0]) if signs else scene.found(code))
    other = scene.present(FindingCode.OTHER_ORGAN_INVOLVEMENT)
    return any_of(*organs, met(other[0].key)) if other else any_of(*organs)


def _liver(scene: Scene, parameters: Parameters) -> Judged:
    documented = scene.found(FindingCode.LIVER_INVOLVEMENT)
    if documented.truth is Truth.MET or not scene.values(Analyte.ALT):
        return documented
    bound, unsure = parameters.jscar_alt_u_per_l.value, scene.raised_before(parameters)
    return scene.any_value(Analyte.ALT, lambda reading: above(reading, bound), unsure)


def _blood_count(scene: Scene, parameters: Parameters) -> Judged:
    leukocytes = parameters.jscar_leukocytes_per_ul.value
    return any_of(
        scene.any_value(Analyte.LEUKOCYTES, lambda reading: above(reading, leukocytes)),
        _atypical_lymphocytes(scene, parameters),
        _eosinophils(scene, parameters),
    )


def _atypical_lymphocytes(scene: Scene, parameters: Parameters) -> Judged:
    """Judge the percentage; seen without a percentage is not "> 5 %", and not seen is none."""
    bound = parameters.jscar_atypical_lymphocytes_percent.value
    if scene.values(Analyte.ATYPICAL_LYMPHOCYTES_PERCENT):
        return scene.any_value(Analyte.ATYPICAL_LYMPHOCYTES_PERCENT, lambda reading: above(reading, bound))
    seen = scene.found(FindingCode.ATYPICAL_LYMPHOCYTES)
    return unknown(*seen.evidence) if seen.truth is Truth.MET else seen


def _eosinophils(scene: Scene, parameters: Parameters) -> Judged:
    bound = parameters.jscar_eosinophils_per_ul.value
    return any_count(scene, lambda reading: above(reading, bound))


def _nodes(scene: Scene, _: Parameters) -> Judged:
    return scene.found(FindingCode.ENLARGED_LYMPH_NODES)


def _hhv6(scene: Scene, parameters: Parameters) -> Judged:
    """Judge HHV-6: a negative test is a "no" only where the reactivation would show, some weeks after onset."""
    found = scene.found(FindingCode.HHV6_REACTIVATION)
    if found.truth is Truth.MET:
        return found
    for dated in scene.absent(FindingCode.HHV6_REACTIVATION):
        fewest, _ = days_from(scene.onset, scene.utc_offset_minutes, dated.at, dated.utc_offset_minutes)
        if fewest >= parameters.jscar_hhv6_days.value:
            return unmet(dated.key)
    return unknown(*found.evidence)


TABLE: Final = (
    Row(
        "late_maculopapular_rash",
        "1 Maculopapular rash more than {jscar_rash_days} days after start",
        _late_rash,
    ),
    Row(
        "persistence_after_stop",
        "2 Symptoms persist {jscar_persistence_days} days after the stop",
        _persistence,
    ),
    Row("fever", "3 Fever > {jscar_fever_celsius} °C", _fever),
    Row("organ", "4 ALT > {jscar_alt_u_per_l} U/L or another organ", _organ),
    Row(
        "blood_count",
        "5 Leukocytes > {jscar_leukocytes_per_ul}/µL, atypical lymphocytes > {jscar_atypical_lymphocytes_percent} % or "
        "eosinophils > {jscar_eosinophils_per_ul}/µL",
        _blood_count,
    ),
    Row("enlarged_lymph_nodes", "6 Enlarged lymph nodes", _nodes),
    Row("hhv6_reactivation", "7 HHV-6 reactivation", _hhv6),
)
#: Criteria 1 to 5 make the atypical form.
_ATYPICAL_FIRST: Final = 5


def evaluate(scene: Scene, parameters: Parameters) -> Jscar:
    """Judge an episode by all seven criteria and name the category where it is determined."""
    criteria = judge(TABLE, scene, parameters)
    truths = [criterion.truth for criterion in criteria]
    return Jscar(criteria, category(truths))


def category(truths: Sequence[Truth]) -> JscarCategory | None:
    """Return the category that the seven criteria determine, or None."""
    whole, first = all_of(truths), all_of(truths[:_ATYPICAL_FIRST])
    if whole is Truth.MET:
        return JscarCategory.TYPICAL
    return JscarCategory.ATYPICAL if first is Truth.MET and whole is Truth.UNMET else None
