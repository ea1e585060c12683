"""The timeline: a patient's believed facts in order of clinical time, the only view that rules see.

It turns statements into readings: eosinophil counts of one specimen with their leukocytes, signs documented as
present or absent, courses (in `rules.courses`). It knows nothing of messages, arrival, alerts or episodes.
Order is (time, fact key), so a timeline is the same in whatever order its facts arrived.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum
from typing import Final, Generic, TypeVar

from pv_stream.domain.codes import (
    Analyte,
    Comparator,
    EvidenceFlag,
    FindingCode,
    Presence,
    ReportedReaction,
)
from pv_stream.domain.facts import (
    Exposure,
    Fact,
    Finding,
    Held,
    Measurement,
    Report,
    Retracted,
    Statement,
)
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import MICROSECONDS_PER_DAY, MICROSECONDS_PER_HOUR, Instant, Interval
from pv_stream.rules.rulebook import Parameters, Rulebook

#: Products of two values of at most 21 digits are exact in this context, whatever the thread's own context says.
EXACT: Final = Context(prec=60)
_PERCENT: Final = Decimal(100)

T = TypeVar("T")


class SignKind(StrEnum):
    """Name the kinds of sign that, with a count, make a suspicion."""

    FEVER = "fever"
    RASH = "rash"
    NODES = "enlarged lymph nodes"
    ORGAN = "organ involvement"


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold a value as the range it may lie in; `high` is None when it is unbounded.

    `high_open` says that the value is below `high`, not equal to it (a result sent as `<700`); `low_open` that it
    is above `low` (sent as `>1500`).
    """

    low: Decimal
    high: Decimal | None
    high_open: bool = False
    low_open: bool = False

    @property
    def is_exact(self) -> bool:
        """Tell whether the value is known."""
        return self.low == self.high and not self.high_open and not self.low_open


@dataclass(frozen=True, slots=True)
class Dated(Generic[T]):
    """Hold content with the fact and the time that it belongs to."""

    key: FactKey
    at: Interval
    utc_offset_minutes: int
    content: T
    is_conflicting: bool = False


@dataclass(frozen=True, slots=True)
class Differential:
    """Hold a percentage of eosinophils with the leukocytes that it is a share of."""

    percent: Reading
    leukocytes: Reading

    @property
    def count(self) -> Reading:
        """Return the eosinophils per microlitre that follow."""
        return _share(self.percent, self.leukocytes)


@dataclass(frozen=True, slots=True)
class EosinophilCount:
    """Hold what one specimen says about eosinophils: measured, percentage, leukocytes, and what follows.

    `record` tells of the eosinophils, the first of several; `keys` name the leukocytes too. `counts` are the readings
    per microlitre that may be true, `alert` the one that an alert uses (the highest where they disagree), `current` the
    one that the score uses: measured before derived. Both are None when only a percentage without leukocytes is known.
    `masked_by` names the treatments that may hide a higher count.
    """

    at: Interval
    utc_offset_minutes: int
    record: FactKey
    keys: tuple[FactKey, ...]
    counts: tuple[Reading, ...]
    current: Reading | None
    alert: Reading | None
    percents: tuple[Reading, ...]
    differentials: tuple[Differential, ...]
    is_conflicting: bool
    leukocytes_from_elsewhere: bool
    flags: tuple[EvidenceFlag, ...]
    masked_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sign:
    """Hold one documented sign; `organ` names the organ of an organ sign; a sign by a value holds that value."""

    key: FactKey
    at: Interval
    utc_offset_minutes: int
    kind: SignKind
    label: str
    positive: bool
    organ: str | None = None
    value: Decimal | None = None
    is_conflicting: bool = False

    @property
    def by_finding(self) -> bool:
        """Tell whether somebody documented the sign, rather than a value showing it."""
        return self.value is None


@dataclass(frozen=True, slots=True)
class Control:
    """Hold a period, both ends included, in which a treatment may hold a reaction down; `until` None: no end is known.

    What is documented as gone in it is under control, not resolved.
    """

    drug: str
    since: Instant
    until: Instant | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """Hold a patient's believed facts by what rules ask of them, each in order of (time, key)."""

    counts: tuple[EosinophilCount, ...]
    signs: tuple[Sign, ...]
    temperatures: tuple[Dated[Measurement], ...]
    measurements: tuple[Dated[Measurement], ...]
    findings: tuple[Dated[Finding], ...]
    exposures: tuple[Dated[Exposure], ...]
    reports: tuple[Dated[Report], ...]
    held: tuple[Dated[Held], ...]
    resolutions: tuple[Interval, ...]
    data_times: tuple[Instant, ...]
    control: tuple[Control, ...] = ()

    def is_controlled(self, at: Instant) -> bool:
        """Tell whether a treatment may have held a reaction down at an instant."""
        return any(
            period.since <= at and (period.until is None or at <= period.until) for period in self.control
        )


SKIN: Final[Mapping[FindingCode, str]] = {
    FindingCode.RASH: "rash",
    FindingCode.MACULOPAPULAR_RASH: "maculopapular rash",
    FindingCode.FACIAL_OEDEMA: "facial oedema",
    FindingCode.INFILTRATION: "infiltrated skin",
    FindingCode.PURPURA: "purpura",
    FindingCode.SCALING: "scaling",
}
ORGANS: Final[Mapping[FindingCode, str]] = {
    FindingCode.LIVER_INVOLVEMENT: "liver",
    FindingCode.KIDNEY_INVOLVEMENT: "kidney",
    FindingCode.LUNG_INVOLVEMENT: "lung",
    FindingCode.MUSCLE_HEART_INVOLVEMENT: "muscle/heart",
    FindingCode.PANCREAS_INVOLVEMENT: "pancreas",
    FindingCode.OTHER_ORGAN_INVOLVEMENT: "other organ",
}
#: Diseases that prove an organ involved; their absence does not make the organ normal.
ORGAN_DISEASES: Final[Mapping[FindingCode, str]] = {
    FindingCode.INTERSTITIAL_NEPHRITIS: "kidney",
    FindingCode.INTERSTITIAL_PNEUMONITIS: "lung",
    FindingCode.CARDITIS: "muscle/heart",
}


def build_timeline(facts: Mapping[FactKey, Fact], rulebook: Rulebook) -> Timeline:
    """Arrange a patient's facts for the rules; retracted facts are not there, held ones only as held."""
    measurements: list[Dated[Measurement]] = []
    findings: list[Dated[Finding]] = []
    exposures: list[Dated[Exposure]] = []
    reports: list[Dated[Report]] = []
    held: list[Dated[Held]] = []
    for key, fact in facts.items():
        for statement, _ in fact.statements:
            match statement.content:
                case Measurement() as content:
                    measurements.append(_dated(key, fact, statement, content))
                case Finding() as content:
                    findings.append(_dated(key, fact, statement, content))
                case Exposure() as content:
                    exposures.append(_dated(key, fact, statement, content))
                case Report() as content:
                    reports.append(_dated(key, fact, statement, content))
                case Held() as content:
                    held.append(_dated(key, fact, statement, content))
                case Retracted():
                    pass
    measurements.sort(key=_order)
    findings.sort(key=_order)
    exposures.sort(key=_order)
    reports.sort(key=_order)
    held.sort(key=_order)
    parameters = rulebook.parameters
    temperatures = tuple(d for d in measurements if d.content.analyte is Analyte.BODY_TEMPERATURE)
    signs = [
        *(_fever(d, parameters) for d in temperatures),
        *_finding_signs(findings),
        *_liver_by_alt(measurements, parameters),
        *_kidney_by_creatinine(measurements, parameters),
    ]
    return Timeline(
        counts=tuple(_eosinophil_counts(measurements, parameters)),
        signs=tuple(sorted(signs, key=_sign_order)),
        temperatures=temperatures,
        measurements=tuple(measurements),
        findings=tuple(findings),
        exposures=tuple(exposures),
        reports=tuple(reports),
        held=tuple(held),
        resolutions=tuple(d.at for d in findings if _says_resolved(d.content)),
        data_times=tuple(
            sorted(
                {
                    *(d.at.earliest for d in measurements),
                    *(d.at.earliest for d in findings),
                    *(d.at.earliest for d in reports if d.content.reaction is ReportedReaction.DRESS),
                }
            )
        ),
    )


def _dated(key: FactKey, fact: Fact, statement: Statement, content: T) -> Dated[T]:
    return Dated(
        key,
        statement.effective,
        statement.utc_offset_minutes or 0,
        content,
        fact.is_conflicting,
    )


def _says_resolved(finding: Finding) -> bool:
    return finding.code is FindingCode.REACTION_RESOLVED and finding.presence is Presence.PRESENT


def _order(dated: Dated[T]) -> tuple[Instant, Instant, FactKey]:
    # The statements of one fact stand in the order of their contents already, and sorting keeps that.
    return (dated.at.earliest, dated.at.latest, dated.key)


def _sign_order(sign: Sign) -> tuple[Instant, Instant, FactKey, bool]:
    return (sign.at.earliest, sign.at.latest, sign.key, sign.positive)


def reading_of(measurement: Measurement) -> Reading:
    """Return the range in which a measured value may lie."""
    value = measurement.value
    match measurement.comparator:
        case None:
            return Reading(value, value)
        case Comparator.LESS:
            return Reading(Decimal(0), value, high_open=True)
        case Comparator.LESS_OR_EQUAL:
            return Reading(Decimal(0), value)
        case Comparator.GREATER:
            return Reading(value, None, low_open=True)
        case Comparator.GREATER_OR_EQUAL:
            return Reading(value, None)


# Signs -----------------------------------------------------------------------------------------------------------


def _fever(dated: Dated[Measurement], parameters: Parameters) -> Sign:
    return _sign_by_value(
        dated,
        SignKind.FEVER,
        "fever",
        positive=reading_of(dated.content).low >= parameters.fever_sign_celsius.value,
    )


def _finding_signs(findings: Iterable[Dated[Finding]]) -> Iterable[Sign]:
    for dated in findings:
        code = dated.content.code
        if code in SKIN:
            yield _sign_by_finding(dated, SignKind.RASH, SKIN[code], None)
        elif code in ORGANS:
            yield _sign_by_finding(dated, SignKind.ORGAN, f"{ORGANS[code]} involvement", ORGANS[code])
        elif code in ORGAN_DISEASES and dated.content.presence is Presence.PRESENT:
            yield _sign_by_finding(dated, SignKind.ORGAN, code.value.replace("_", " "), ORGAN_DISEASES[code])
        elif code is FindingCode.ENLARGED_LYMPH_NODES:
            yield _sign_by_finding(dated, SignKind.NODES, "enlarged lymph nodes", None)


def _sign_by_finding(dated: Dated[Finding], kind: SignKind, label: str, organ: str | None) -> Sign:
    positive = dated.content.presence is Presence.PRESENT
    return Sign(
        dated.key,
        dated.at,
        dated.utc_offset_minutes,
        kind,
        label,
        positive,
        organ,
        is_conflicting=dated.is_conflicting,
    )


def _sign_by_value(
    dated: Dated[Measurement],
    kind: SignKind,
    label: str,
    *,
    positive: bool,
    organ: str | None = None,
) -> Sign:
    return Sign(
        key=dated.key,
        at=dated.at,
        utc_offset_minutes=dated.utc_offset_minutes,
        kind=kind,
        label=label,
        positive=positive,
        organ=organ,
        value=reading_of(dated.content).low,
        is_conflicting=dated.is_conflicting,
    )


def _liver_by_alt(measurements: Iterable[Dated[Measurement]], parameters: Parameters) -> Iterable[Sign]:
    for dated in measurements:
        if dated.content.analyte is Analyte.ALT:
            positive = reading_of(dated.content).low >= parameters.alt_organ_u_per_l.value
            yield _sign_by_value(dated, SignKind.ORGAN, "raised ALT", positive=positive, organ="liver")


def _kidney_by_creatinine(
    measurements: Iterable[Dated[Measurement]], parameters: Parameters
) -> Iterable[Sign]:
    """Compare each creatinine with the lowest of the days before it; the first has nothing to compare with."""
    span = parameters.creatinine_baseline_days.value * MICROSECONDS_PER_DAY
    rise = parameters.creatinine_rise_mg_per_dl.value
    factor = EXACT.divide(EXACT.add(_PERCENT, parameters.creatinine_rise_percent.value), _PERCENT)
    # Rising values in order of time: the first that is still recent is the lowest, so each value costs one look.
    lowest: deque[tuple[Instant, Decimal]] = deque()
    same_time: list[tuple[Instant, Decimal]] = []
    for dated in measurements:
        if dated.content.analyte is not Analyte.CREATININE:
            continue
        at, reading = dated.at.earliest, reading_of(dated.content)
        if same_time and same_time[0][0] < at:
            _remember(lowest, same_time)
            same_time = []
        while lowest and at - lowest[0][0] > span:
            lowest.popleft()
        if lowest:
            base = lowest[0][1]
            positive = reading.low >= EXACT.add(base, rise) or reading.low >= EXACT.multiply(base, factor)
            yield _sign_by_value(
                dated, SignKind.ORGAN, "raised creatinine", positive=positive, organ="kidney"
            )
        if reading.is_exact:
            same_time.append((at, reading.low))


def _remember(lowest: deque[tuple[Instant, Decimal]], values: list[tuple[Instant, Decimal]]) -> None:
    for at, value in values:
        while lowest and lowest[-1][1] >= value:
            lowest.pop()
        lowest.append((at, value))


# Eosinophils -----------------------------------------------------------------------------------------------------

_COUNT_ANALYTES: Final = frozenset({Analyte.EOSINOPHILS, Analyte.EOSINOPHILS_PERCENT, Analyte.LEUKOCYTES})


def _eosinophil_counts(
    measurements: Iterable[Dated[Measurement]], parameters: Parameters
) -> Iterable[EosinophilCount]:
    # One specimen is one id at one time: an id that a laboratory uses again is another specimen.
    specimens: dict[tuple[str, Interval], list[Dated[Measurement]]] = {}
    leukocytes: list[Dated[Measurement]] = []
    for dated in measurements:
        if dated.content.analyte in _COUNT_ANALYTES:
            # Without a specimen a value stands alone: equal times do not prove one tube.
            specimen = dated.content.specimen or f"\x1f{dated.key}"
            specimens.setdefault((specimen, dated.at), []).append(dated)
        if dated.content.analyte is Analyte.LEUKOCYTES:
            leukocytes.append(dated)
    counts = [_count_of(group, leukocytes, parameters) for group in specimens.values()]
    return sorted((count for count in counts if count is not None), key=lambda count: (count.at, count.keys))


def _count_of(
    group: list[Dated[Measurement]], leukocytes: list[Dated[Measurement]], parameters: Parameters
) -> EosinophilCount | None:
    measured = [d for d in group if d.content.analyte is Analyte.EOSINOPHILS]
    percents = [d for d in group if d.content.analyte is Analyte.EOSINOPHILS_PERCENT]
    if not measured and not percents:
        return None
    first = min((*measured, *percents), key=_order)
    own = [d for d in group if d.content.analyte is Analyte.LEUKOCYTES]
    borrowed = [] if own or not percents else _nearest(leukocytes, first, parameters)
    differentials = tuple(
        Differential(reading_of(percent.content), reading_of(white.content))
        for percent in percents
        for white in (own or borrowed)
    )
    readings = [reading_of(d.content) for d in measured]
    derived = [differential.count for differential in differentials]
    possible = _possible(readings, [reading_of(d.content) for d in own])
    said = (*measured, *percents, *(own or borrowed))
    all_readings = [*readings, *derived, *possible]
    conflicting = any(d.is_conflicting for d in said) or _conflict(readings + derived, parameters)
    conflicting = conflicting or bool(possible)
    preferred = readings or derived
    return EosinophilCount(
        at=first.at,
        utc_offset_minutes=first.utc_offset_minutes,
        record=first.key,
        keys=tuple(sorted({d.key for d in said})),
        counts=tuple(all_readings if conflicting else sorted(preferred, key=_height)[-1:]),
        current=_highest(preferred),
        alert=_highest(all_readings if conflicting else preferred),
        percents=tuple(reading_of(d.content) for d in percents),
        differentials=differentials,
        is_conflicting=conflicting,
        leukocytes_from_elsewhere=bool(borrowed),
        flags=tuple(sorted({flag for d in said for flag in d.content.flags})),
    )


def _nearest(
    leukocytes: list[Dated[Measurement]], to: Dated[Measurement], parameters: Parameters
) -> list[Dated[Measurement]]:
    span = parameters.leukocytes_other_specimen_hours.value * MICROSECONDS_PER_HOUR
    near = [d for d in leukocytes if abs(d.at.earliest - to.at.earliest) <= span]
    return [min(near, key=lambda d: (abs(d.at.earliest - to.at.earliest), d.at, d.key))] if near else []


def _possible(eosinophils: list[Reading], leukocytes: list[Reading]) -> list[Reading]:
    """Return up to what there can be where more eosinophils were measured than leukocytes: one of the two is wrong."""
    most = max((reading.low for reading in eosinophils), default=Decimal(0))
    bounds = [white.high for white in leukocytes if white.high is not None and most > white.high]
    return [Reading(Decimal(0), bound) for bound in bounds]


def _share(percent: Reading, leukocytes: Reading) -> Reading:
    low = EXACT.multiply(percent.low, leukocytes.low).scaleb(-2, EXACT)
    if percent.high is None or leukocytes.high is None:
        return Reading(low, None, low_open=low > 0 and (percent.low_open or leukocytes.low_open))
    high = EXACT.multiply(percent.high, leukocytes.high).scaleb(-2, EXACT)
    return Reading(low, high, high_open=percent.high_open or leukocytes.high_open)


def _highest(readings: Iterable[Reading]) -> Reading | None:
    return max(readings, key=_height, default=None)


def _height(reading: Reading) -> tuple[Decimal, bool, Decimal]:
    return (reading.low, reading.high is None, reading.high or Decimal(0))


def _conflict(counts: list[Reading], parameters: Parameters) -> bool:
    """Tell whether two readings differ beyond the factor, where the higher of them matters at all."""
    highest = _highest(counts)
    if highest is None or highest.low < parameters.eosinophils_low_per_ul.value:
        return False
    bounds = (EXACT.multiply(r.high, parameters.conflict_factor.value) for r in counts if r.high is not None)
    return any(highest.low > bound for bound in bounds)
