"""The timeline: a patient's believed facts in order of clinical time, the only view that rules see.

It turns statements into readings: eosinophil counts of one specimen with their leukocytes, signs documented as
present or absent, courses (in `rules.courses`). It knows nothing of messages, arrival, alerts or episodes.
Order is (time, fact key), so a timeline is the same in whatever order its facts arrived.
"""

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
)
from pv_stream.domain.facts import (
    Exposure,
    Fact,
    Finding,
    Held,
    Measurement,
    Retracted,
    Statement,
)
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    Instant,
    Interval,
)
from pv_stream.rules.rulebook import Parameters, Rulebook

#: Products of two values of at most 21 digits are exact in this context, whatever the thread's own context says.
_EXACT: Final = Context(prec=60)
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

    `high_open` says that the value is below `high`, not equal to it (a result sent as `<700`).
    """

    low: Decimal
    high: Decimal | None
    high_open: bool = False

    @property
    def is_exact(self) -> bool:
        """Tell whether the value is known."""
        return self.low == self.high and not self.high_open


@dataclass(frozen=True, slots=True)
class Dated(Generic[T]):
    """Hold content with the fact and the time that it belongs to."""

    key: FactKey
    at: Interval
    utc_offset_minutes: int
    content: T
    is_conflicting: bool = False


@dataclass(frozen=True, slots=True)
class EosinophilCount:
    """Hold what one specimen says about eosinophils: measured, percentage, leukocytes, and what follows.

    `counts` are the readings per microlitre that may be true, `alert` the one that an alert uses (the higher where
    two disagree), `current` the one that the score uses; both None when only a percentage without leukocytes is
    known.
    """

    at: Interval
    utc_offset_minutes: int
    keys: tuple[FactKey, ...]
    counts: tuple[Reading, ...]
    current: Reading | None
    alert: Reading | None
    percent: Reading | None
    leukocytes: Reading | None
    is_conflicting: bool
    leukocytes_from_elsewhere: bool
    flags: tuple[EvidenceFlag, ...]


@dataclass(frozen=True, slots=True)
class Sign:
    """Hold one documented sign; `organ` names the organ of an organ sign; `by_finding` tells it from a value."""

    key: FactKey
    at: Interval
    utc_offset_minutes: int
    kind: SignKind
    label: str
    positive: bool
    organ: str | None = None
    by_finding: bool = True
    is_conflicting: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """Hold a patient's believed facts by what rules ask of them, each in order of (time, key)."""

    counts: tuple[EosinophilCount, ...]
    signs: tuple[Sign, ...]
    temperatures: tuple[Dated[Measurement], ...]
    findings: tuple[Dated[Finding], ...]
    exposures: tuple[Dated[Exposure], ...]
    held: tuple[Dated[Held], ...]
    data_times: tuple[Instant, ...]


SKIN: Final[Mapping[FindingCode, str]] = {
    FindingCode.RASH: "rash",
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


def build_timeline(facts: Mapping[FactKey, Fact], rulebook: Rulebook) -> Timeline:
    """Arrange a patient's facts for the rules; retracted facts are not there, held ones only as held."""
    measurements: list[Dated[Measurement]] = []
    findings: list[Dated[Finding]] = []
    exposures: list[Dated[Exposure]] = []
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
                case Held() as content:
                    held.append(_dated(key, fact, statement, content))
                case Retracted():
                    pass
    measurements.sort(key=_order)
    findings.sort(key=_order)
    exposures.sort(key=_order)
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
        findings=tuple(findings),
        exposures=tuple(exposures),
        held=tuple(held),
        data_times=tuple(
            sorted(
                {
                    *(d.at.earliest for d in measurements),
                    *(d.at.earliest for d in findings),
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


def _order(dated: Dated[T]) -> tuple[Interval, FactKey, str]:
    return (dated.at, dated.key, repr(dated.content))


def _sign_order(sign: Sign) -> tuple[Interval, FactKey, bool]:
    return (sign.at, sign.key, sign.positive)


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
        case Comparator.GREATER | Comparator.GREATER_OR_EQUAL:
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
        by_finding=False,
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
    factor = _EXACT.divide(_EXACT.add(_PERCENT, parameters.creatinine_rise_percent.value), _PERCENT)
    earlier: list[tuple[Instant, Decimal]] = []
    for dated in measurements:
        if dated.content.analyte is not Analyte.CREATININE:
            continue
        reading = reading_of(dated.content)
        base = min(
            (v for t, v in earlier if dated.at.earliest - t <= span and t < dated.at.earliest),
            default=None,
        )
        if base is not None:
            positive = reading.low >= _EXACT.add(base, rise) or reading.low >= _EXACT.multiply(base, factor)
            yield _sign_by_value(
                dated,
                SignKind.ORGAN,
                "raised creatinine",
                positive=positive,
                organ="kidney",
            )
        if reading.is_exact:
            earlier.append((dated.at.earliest, reading.low))


# Eosinophils -----------------------------------------------------------------------------------------------------

_COUNT_ANALYTES: Final = frozenset({Analyte.EOSINOPHILS, Analyte.EOSINOPHILS_PERCENT, Analyte.LEUKOCYTES})


def _eosinophil_counts(
    measurements: Iterable[Dated[Measurement]], parameters: Parameters
) -> Iterable[EosinophilCount]:
    specimens: dict[str, list[Dated[Measurement]]] = {}
    leukocytes: list[Dated[Measurement]] = []
    for dated in measurements:
        if dated.content.analyte in _COUNT_ANALYTES:
            # Without a specimen a value stands alone: equal times do not prove one tube.
            specimen = dated.content.specimen or f"\x1f{dated.key}"
            specimens.setdefault(specimen, []).append(dated)
        if dated.content.analyte is Analyte.LEUKOCYTES:
            leukocytes.append(dated)
    counts = [_count_of(group, leukocytes, parameters) for group in specimens.values()]
    return sorted(
        (count for count in counts if count is not None),
        key=lambda count: (count.at, count.keys),
    )


def _count_of(
    group: list[Dated[Measurement]],
    leukocytes: list[Dated[Measurement]],
    parameters: Parameters,
) -> EosinophilCount | None:
    measured = [d for d in group if d.content.analyte is Analyte.EOSINOPHILS]
    percents = [d for d in group if d.content.analyte is Analyte.EOSINOPHILS_PERCENT]
    if not measured and not percents:
        return None
    first = min((*measured, *percents), key=_order)
    own = [d for d in group if d.content.analyte is Analyte.LEUKOCYTES]
    borrowed = [] if own or not percents else _nearest(leukocytes, first, parameters)
    whites = own or borrowed
    white = _hull([reading_of(d.content) for d in whites])
    percent = _hull([reading_of(d.content) for d in percents])
    derived = _derived(percent, white)
    readings = [reading_of(d.content) for d in measured]
    disagree = any(d.is_conflicting for d in (*measured, *percents, *own))
    counts = (*readings, *((derived,) if derived is not None else ()))
    conflicting = disagree or _conflict(counts, parameters)
    return EosinophilCount(
        at=first.at,
        utc_offset_minutes=first.utc_offset_minutes,
        keys=tuple(sorted({d.key for d in (*measured, *percents, *whites)})),
        counts=counts if conflicting else ((_highest(readings),) if readings else counts),
        current=_highest(readings) if readings else derived,
        alert=(_highest(counts) if conflicting or not readings else _highest(readings)) if counts else None,
        percent=percent,
        leukocytes=white,
        is_conflicting=conflicting,
        leukocytes_from_elsewhere=bool(borrowed),
        flags=tuple(sorted({flag for d in (*measured, *percents, *whites) for flag in d.content.flags})),
    )


def _nearest(
    leukocytes: list[Dated[Measurement]], to: Dated[Measurement], parameters: Parameters
) -> list[Dated[Measurement]]:
    span = parameters.leukocytes_other_specimen_hours.value * MICROSECONDS_PER_HOUR
    near = [d for d in leukocytes if abs(d.at.earliest - to.at.earliest) <= span]
    return [min(near, key=lambda d: (abs(d.at.earliest - to.at.earliest), d.at, d.key))] if near else []


def _hull(readings: list[Reading]) -> Reading | None:
    if not readings:
        return None
    if len(readings) == 1:
        return readings[0]
    highs = [reading.high for reading in readings]
    high = None if None in highs else max(h for h in highs if h is not None)
    return Reading(min(reading.low for reading in readings), high)


def _derived(percent: Reading | None, leukocytes: Reading | None) -> Reading | None:
    if percent is None or leukocytes is None:
        return None
    low = _share(percent.low, leukocytes.low)
    if percent.high is None or leukocytes.high is None:
        return Reading(low, None)
    return Reading(
        low,
        _share(percent.high, leukocytes.high),
        high_open=percent.high_open or leukocytes.high_open,
    )


def _share(percent: Decimal, leukocytes: Decimal) -> Decimal:
    return _EXACT.multiply(percent, leukocytes).scaleb(-2, _EXACT)


def _highest(readings: Iterable[Reading]) -> Reading:
    return max(
        readings,
        key=lambda reading: (
            reading.low,
            reading.high is None,
            reading.high or Decimal(0),
        ),
    )


def _conflict(counts: tuple[Reading, ...], parameters: Parameters) -> bool:
    """Tell whether exact readings differ beyond the factor, where the higher of them matters at all."""
    exact = [reading.low for reading in counts if reading.is_exact]
    if not exact:
        return False
    low, high = min(exact), max(exact)
    matters = high >= parameters.eosinophils_low_per_ul.value
    return matters and high > _EXACT.multiply(low, parameters.conflict_factor.value)
