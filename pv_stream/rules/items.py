"""Items: how an episode's facts become the levels of the RegiSCAR table.

Items are built on an episode's peaks: a later normal value does not undo what was documented, and silence is not a
"no". Each function answers for one item and takes the episode's part of the timeline.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pv_stream.domain.codes import FindingCode, Presence
from pv_stream.domain.facts import Finding
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import Instant, local_day
from pv_stream.rules import regiscar
from pv_stream.rules.regiscar import NO, YES, Documented, Item, known, unknown
from pv_stream.rules.rulebook import Parameters
from pv_stream.rules.timeline import (
    Dated,
    EosinophilCount,
    Reading,
    Sign,
    Timeline,
    reading_of,
)

_FEATURES: Final = (
    FindingCode.FACIAL_OEDEMA,
    FindingCode.INFILTRATION,
    FindingCode.PURPURA,
    FindingCode.SCALING,
)
_ERUPTIONS: Final = (FindingCode.RASH, FindingCode.MACULOPAPULAR_RASH)
EXCLUSION_TESTS: Final = (
    FindingCode.ANA,
    FindingCode.BLOOD_CULTURE,
    FindingCode.HEPATITIS_SEROLOGY,
    FindingCode.CHLAMYDIA_MYCOPLASMA,
)
#: The organs that must all be documented normal before "no more organs" is known (clinical specification).
_NAMED_ORGANS: Final = ("liver", "kidney", "lung", "muscle/heart", "pancreas")
_ORGAN_LEVELS: Final = ("none", "one", "two_or_more")
_MOST_ORGANS: Final = 2


@dataclass(frozen=True, slots=True)
class Scene:
    """Hold an episode's part of the timeline with its onset and, where documented, its resolution."""

    timeline: Timeline
    onset: Instant
    utc_offset_minutes: int
    resolved_at: Instant | None


def document(scene: Scene, parameters: Parameters) -> Mapping[str, Documented]:
    """Return what is documented of every item of the table, by item name."""
    findings = _by_code(scene.timeline.findings)
    return {
        regiscar.FEVER.name: _fever(scene, parameters),
        regiscar.NODES.name: _nodes(findings, parameters),
        regiscar.EOSINOPHILS.name: eosinophils(scene.timeline.counts, parameters),
        regiscar.ATYPICAL_LYMPHOCYTES.name: _simple(
            regiscar.ATYPICAL_LYMPHOCYTES, findings, FindingCode.ATYPICAL_LYMPHOCYTES
        ),
        regiscar.RASH_EXTENT.name: _rash_extent(findings, parameters),
        regiscar.RASH_SUGGESTIVE.name: _rash_suggestive(findings, parameters),
        regiscar.BIOPSY.name: _simple(regiscar.BIOPSY, findings, FindingCode.BIOPSY_SUGGESTS_DRESS),
        regiscar.ORGANS.name: _organs(scene.timeline.signs, findings),
        regiscar.RESOLUTION.name: _resolution(scene, findings, parameters),
        regiscar.EXCLUSION_TESTS.name: _exclusion_tests(findings, parameters),
    }


@dataclass(frozen=True, slots=True)
class _Documented:
    """Hold the findings of one code, those present and those absent, in order of time."""

    present: tuple[tuple[FactKey, Finding], ...]
    absent: tuple[tuple[FactKey, Finding], ...]


_NOTHING: Final = _Documented((), ())
_Findings = Mapping[FindingCode, _Documented]


def _by_code(findings: Iterable[Dated[Finding]]) -> _Findings:
    sorted_out: dict[FindingCode, tuple[list[tuple[FactKey, Finding]], list[tuple[FactKey, Finding]]]] = {}
    for dated in findings:
        present, absent = sorted_out.setdefault(dated.content.code, ([], []))
        (present if dated.content.presence is Presence.PRESENT else absent).append((dated.key, dated.content))
    return {
        code: _Documented(tuple(present), tuple(absent)) for code, (present, absent) in sorted_out.items()
    }


def _simple(item: Item, findings: _Findings, code: FindingCode) -> Documented:
    documented = findings.get(code, _NOTHING)
    if documented.present:
        return known(YES, documented.present[0][0])
    if documented.absent:
        return known(NO, documented.absent[0][0])
    return unknown(item)


def _fever(scene: Scene, parameters: Parameters) -> Documented:
    threshold = parameters.fever_score_celsius.value
    readings = [(dated.key, reading_of(dated.content)) for dated in scene.timeline.temperatures]
    for key, reading in readings:
        if reading.low >= threshold:
            return known(YES, key)
    below = [key for key, reading in readings if is_below(reading, threshold)]
    if below and len(below) == len(readings):
        return known(NO, below[0])
    return unknown(regiscar.FEVER)


def is_below(reading: Reading, bound: Decimal) -> bool:
    """Tell whether a reading is below a bound, whatever its range leaves open."""
    if reading.high is None:
        return False
    return reading.high <= bound if reading.high_open else reading.high < bound


def _nodes(findings: _Findings, parameters: Parameters) -> Documented:
    documented = findings.get(FindingCode.ENLARGED_LYMPH_NODES, _NOTHING)
    verdicts = [(key, _qualifies(finding, parameters)) for key, finding in documented.present]
    for key, verdict in verdicts:
        if verdict == YES:
            return known(YES, key)
    if any(verdict is None for _, verdict in verdicts) or len(verdicts) > 1:
        # Several findings of one site each may be several sites.
        return unknown(regiscar.NODES, *(key for key, _ in verdicts[:1]))
    settled = [*(key for key, _ in verdicts), *(key for key, _ in documented.absent)]
    return known(NO, settled[0]) if settled else unknown(regiscar.NODES)


def _qualifies(finding: Finding, parameters: Parameters) -> str | None:
    sites, size_cm = finding.sites, finding.size_cm
    enough = None if sites is None else sites >= parameters.lymph_node_sites_min.value
    large = None if size_cm is None else size_cm > parameters.lymph_node_size_cm.value
    if enough and large:
        return YES
    if enough is False or large is False:
        return NO
    return None


def _rash_extent(findings: _Findings, parameters: Parameters) -> Documented:
    """Settle the extent only where it was stated: a rash called generalised is not "more than 50 %"."""
    absent = findings.get(FindingCode.RASH, _NOTHING).absent
    present = [found for code in _ERUPTIONS for found in findings.get(code, _NOTHING).present]
    stated = [
        (key, finding.body_surface_percent)
        for key, finding in present
        if finding.body_surface_percent is not None
    ]
    for key, percent in stated:
        if percent > parameters.rash_extent_percent.value:
            return known(YES, key)
    if stated and len(stated) == len(present):
        return known(NO, stated[0][0])
    if absent and not present:
        return known(NO, absent[0][0])
    return unknown(regiscar.RASH_EXTENT)


def _rash_suggestive(findings: _Findings, parameters: Parameters) -> Documented:
    documented = [findings.get(code, _NOTHING) for code in _FEATURES]
    present = [feature.present[0][0] for feature in documented if feature.present]
    absent = [feature.absent[0][0] for feature in documented if feature.absent and not feature.present]
    if len(present) >= parameters.rash_features_min.value:
        return known(YES, *present)
    if len(present) + len(absent) == len(_FEATURES):
        return known(NO, *present, *absent)
    return unknown(regiscar.RASH_SUGGESTIVE, *present)


def _organs(signs: Iterable[Sign], findings: _Findings) -> Documented:
    """Count the organs proven; other causes not documented as excluded leave lower levels possible."""
    proven: dict[str, FactKey] = {}
    normal: dict[str, FactKey] = {}
    for sign in signs:
        if sign.organ is not None and sign.positive:
            proven.setdefault(sign.organ, sign.key)
        elif sign.organ is not None and sign.by_finding:
            normal.setdefault(sign.organ, sign.key)
    alternative = [key for code in EXCLUSION_TESTS for key, _ in findings.get(code, _NOTHING).present]
    causes = findings.get(FindingCode.OTHER_CAUSES_EXCLUDED, _NOTHING)
    if alternative or causes.absent:
        return known("none", *alternative, *(key for key, _ in causes.absent[:1]))
    count = min(len(proven), _MOST_ORGANS)
    all_settled = all(organ in proven or organ in normal for organ in _NAMED_ORGANS)
    most = count if all_settled else _MOST_ORGANS
    fewest = count if causes.present else 0
    levels = _ORGAN_LEVELS[fewest : most + 1]
    if not proven:
        return known("none", *normal.values()) if all_settled else Documented(levels, None)
    return Documented(levels, _ORGAN_LEVELS[count], tuple(proven.values()))


def _resolution(scene: Scene, findings: _Findings, parameters: Parameters) -> Documented:
    """Settle resolution by a sign on or after the day, or a resolution before it; silence settles nothing."""
    offset = scene.utc_offset_minutes
    day = local_day(scene.onset, offset) + parameters.resolution_days.value
    for sign in scene.timeline.signs:
        if sign.positive and local_day(sign.at.earliest, sign.utc_offset_minutes) >= day:
            return known(YES, sign.key)
    if scene.resolved_at is not None and local_day(scene.resolved_at, offset) < day:
        resolved = findings.get(FindingCode.REACTION_RESOLVED, _NOTHING).present
        return known(NO, *(key for key, _ in resolved[:1]))
    return unknown(regiscar.RESOLUTION)


def _exclusion_tests(findings: _Findings, parameters: Parameters) -> Documented:
    documented = [findings.get(code, _NOTHING) for code in EXCLUSION_TESTS]
    positive = [group.present[0][0] for group in documented if group.present]
    negative = [group.absent[0][0] for group in documented if group.absent]
    if positive:
        return known(NO, *positive)
    if len(negative) >= parameters.exclusion_tests_min.value:
        return known(YES, *negative)
    return unknown(regiscar.EXCLUSION_TESTS, *negative)


def eosinophils(counts: Iterable[EosinophilCount], parameters: Parameters) -> Documented:
    """Return the level of the peak count; known once a valid count exists. A low one under masking is none."""
    worst = current = best = None
    evidence: tuple[FactKey, ...] = ()
    for count in counts:
        levels = count_levels(count, parameters)
        if levels is None or (count.masked_by and not levels.current):
            continue
        worst = levels.worst if worst is None else max(worst, levels.worst)
        best = levels.best if best is None else max(best, levels.best)
        if current is None or (levels.current is not None and levels.current > current):
            current = levels.current
            evidence = count.keys
    if worst is None or best is None:
        return unknown(regiscar.EOSINOPHILS)
    names = regiscar.EOSINOPHILS.levels
    return Documented(names[worst : best + 1], None if current is None else names[current], evidence)


@dataclass(frozen=True, slots=True)
class CountLevels:
    """Hold the levels (0 to 2) of one specimen; `current` is None when the reading settles none."""

    worst: int
    current: int | None
    best: int


def count_levels(count: EosinophilCount, parameters: Parameters) -> CountLevels | None:
    """Return the levels that one specimen allows, or None when it says nothing.

    Count and percentage are alternatives, never added; the percentage counts only below the leukocyte guard, and
    without leukocytes it may count, so only the best reading takes it.
    """
    if not count.counts:
        return None
    bounds = (parameters.eosinophils_low_per_ul.value, parameters.eosinophils_high_per_ul.value)
    ranges = [_level_range(reading, bounds) for reading in count.counts]
    guarded = _guarded_ranges(count, parameters)
    current = None
    if count.current is not None:
        lows, highs = zip(_level_range(count.current, bounds), *guarded, strict=True)
        current = max(lows) if max(lows) == max(highs) else None
    return CountLevels(
        worst=max(min(low for low, _ in ranges), min((low for low, _ in guarded), default=0)),
        current=current,
        best=max(high for _, high in (*ranges, *guarded, *_unguarded_ranges(count, parameters))),
    )


def _guarded_ranges(count: EosinophilCount, parameters: Parameters) -> list[tuple[int, int]]:
    """Return the levels that each percentage with its leukocytes may have; 0 where the guard stops it from counting."""
    guard = parameters.leukocytes_guard_per_ul.value
    ranges = []
    for differential in count.differentials:
        low, high = _percent_range(differential.percent, parameters)
        counts, may_count = is_below(differential.leukocytes, guard), differential.leukocytes.low < guard
        ranges.append((low if counts else 0, high if may_count else 0))
    return ranges


def _unguarded_ranges(count: EosinophilCount, parameters: Parameters) -> list[tuple[int, int]]:
    return [] if count.differentials else [_percent_range(percent, parameters) for percent in count.percents]


def _percent_range(percent: Reading, parameters: Parameters) -> tuple[int, int]:
    return _level_range(
        percent, (parameters.eosinophils_low_percent.value, parameters.eosinophils_high_percent.value)
    )


def _level(value: Decimal, bounds: tuple[Decimal, Decimal]) -> int:
    return sum(value >= bound for bound in bounds)


def _level_range(reading: Reading, bounds: tuple[Decimal, Decimal]) -> tuple[int, int]:
    low = _level(reading.low, bounds)
    if reading.high is None:
        return low, len(bounds)
    high = sum(reading.high > bound if reading.high_open else reading.high >= bound for bound in bounds)
    return low, max(low, high)


def is_positive(count: EosinophilCount, parameters: Parameters) -> bool:
    """Tell whether a specimen shows eosinophilia at or above the lower bound of the table."""
    if count.alert is not None and count.alert.low >= parameters.eosinophils_low_per_ul.value:
        return True
    return any(low > 0 for low, _ in _guarded_ranges(count, parameters))
