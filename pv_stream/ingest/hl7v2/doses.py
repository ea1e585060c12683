"""Doses of HL7v2: how much of a drug one dose is (RXE, RXO, RXA), and how often a day it is given (TQ1, ORC-7).

A dose is read only where it is certain: one amount (no range), in a unit of mass or of mass per body weight, or so
many tablets or capsules of a stated strength. An amount over time is a rate and no dose. What is not certain is left
out: a dose that is not known is never no dose.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from pv_stream.domain.facts import Dose
from pv_stream.ingest.hl7v2.syntax import Segment, part_of
from pv_stream.ingest.quantities import find_unit, parse_number

_MASS: Final = "mass"
_MASS_PER_WEIGHT: Final = "mass_per_body_weight"
_MG_PER_KG: Final = Decimal(1_000_000)  # milligrams in the kilogram in which masses are kept
_EXACT: Final = Context(prec=80)
_NINE_DECIMALS: Final = Decimal("1E-9")
#: A dose weighs less than a kilogram, and less than a tenth of the body; what is not is no dose but another number.
_LIMIT_MG: Final = Decimal(1_000_000)
_LIMIT_MG_PER_KG: Final = Decimal(100_000)
#: RXA-6 of a dose whose amount was not recorded (CDC, HL7 version 2.5.1 guide for immunization messaging, RXA-6).
_GIVEN_NOT_RECORDED: Final = Decimal(999)
_HOURS_PER_DAY: Final = 24
#: Dose forms that are counted, as codes and words of RXE-5, RXO-4 and RXA-7.
_COUNTED: Final = frozenset(
    {"tab", "tabs", "tablet", "tablets", "{tbl}", "{tablet}"}
    | {"cap", "caps", "capsule", "capsules", "{capsule}"}
)
#: Repeat patterns, HL7 table 0335 (version 2.5.1, chapter 4), and QD, which it does not list and everybody writes.
_PER_DAY: Final = {
    "QD": Decimal(1),
    "QAM": Decimal(1),
    "QPM": Decimal(1),
    "QHS": Decimal(1),
    "BID": Decimal(2),
    "TID": Decimal(3),
    "QID": Decimal(4),
    "QOD": Decimal("0.5"),
}
_EVERY: Final = re.compile(r"Q([1-9]\d?)([HD])", re.ASCII)
_TIMES: Final = re.compile(r"([1-9]\d?)ID", re.ASCII)
_AS_NEEDED: Final = "PRN"


@dataclass(frozen=True, slots=True)
class Fields:
    """Hold where a segment states amount, its maximum, unit, rate, strength, its unit, and its volume (0: nowhere)."""

    amount: int
    maximum: int
    unit: int
    per_time: int
    strength: int
    strength_unit: int
    strength_volume: int


_FIELDS: Final = {
    "RXE": Fields(3, 4, 5, 22, 25, 26, 33),
    "RXO": Fields(2, 3, 4, 21, 18, 19, 25),
    "RXA": Fields(6, 0, 7, 12, 13, 14, 23),
}


def dose_of(segment: Segment, per_day: Decimal | None) -> Dose | None:
    """Return the dose that a segment states, or None when nothing about it is certain."""
    fields = _FIELDS[segment.name]
    mg, mg_per_kg = _amount(segment, fields)
    return None if mg is None and mg_per_kg is None and per_day is None else Dose(mg, mg_per_kg, per_day)


def _amount(segment: Segment, fields: Fields) -> tuple[Decimal | None, Decimal | None]:
    """Return one dose in mg, or in mg per kg of body weight."""
    amount = _number(segment.text(fields.amount))
    maximum = segment.text(fields.maximum) if fields.maximum else ""
    if amount is None or (maximum and _number(maximum) != amount) or segment.text(fields.per_time):
        return None, None
    if segment.name == "RXA" and amount == _GIVEN_NOT_RECORDED:
        return None, None
    units = segment.components(fields.unit)
    spellings = [part for part in (units[0], part_of(units, 2), part_of(units, 4)) if part]
    if any(spelling.casefold() in _COUNTED for spelling in spellings):
        strength = _number(segment.text(fields.strength))
        if strength is None or segment.text(fields.strength_volume):
            return None, None
        amount = _EXACT.multiply(amount, strength)
        strength_units = segment.components(fields.strength_unit)
        spellings = [part for part in (strength_units[0], part_of(strength_units, 4)) if part]
    known = {found[1] for spelling in spellings if (found := find_unit(spelling)) is not None}
    if len(known) != 1:
        return None, None
    unit = known.pop()
    if unit.divisor != 1:
        return None, None
    if unit.quantity == _MASS:
        return _kept(_EXACT.multiply(_EXACT.multiply(amount, unit.factor), _MG_PER_KG), _LIMIT_MG), None
    if unit.quantity == _MASS_PER_WEIGHT:
        return None, _kept(_EXACT.multiply(amount, unit.factor), _LIMIT_MG_PER_KG)
    return None, None


def _number(text: str) -> Decimal | None:
    sent = parse_number(text)
    return sent.value if sent is not None and sent.comparator is None and sent.value > 0 else None


def _kept(value: Decimal, limit: Decimal) -> Decimal | None:
    """Return a value as the log keeps it, with nine decimals at most, or None when it is no dose."""
    if value >= limit:
        return None
    kept = value.quantize(_NINE_DECIMALS, rounding=ROUND_HALF_EVEN, context=_EXACT).normalize(_EXACT)
    return kept or None


def per_day_of(timings: Iterable[Segment], patterns: Iterable[str]) -> Decimal | None:
    """Return how often a day a drug is ordered, or None when it is not said, said twice, or as needed.

    TQ1-3 says it, else `patterns`: the repeat pattern in the quantity/timing of older versions.
    """
    stated: list[str] = []
    for timing in timings:
        if timing.component(9, 1).upper() == _AS_NEEDED:
            return None
        stated += [
            timing.subcomponents_of(repetition, 1)[0]
            for repetition in timing.repetitions(3)
            if repetition.strip()
        ]
    said = stated or [pattern for pattern in patterns if pattern]
    return _times_a_day(said[0].upper()) if len(set(said)) == 1 and len(stated) < 2 else None  # noqa: PLR2004 - two timings add up


def _times_a_day(pattern: str) -> Decimal | None:
    if pattern in _PER_DAY:
        return _PER_DAY[pattern]
    if times := _TIMES.fullmatch(pattern):
        return Decimal(times[1])
    every = _EVERY.fullmatch(pattern)
    if every is None:
        return None
    count = int(every[1])
    whole = _HOURS_PER_DAY if every[2] == "H" else 1
    if whole % count == 0:
        return Decimal(whole // count)
    per_day = _EXACT.divide(Decimal(whole), Decimal(count)).quantize(_NINE_DECIMALS, ROUND_HALF_EVEN, _EXACT)
    return per_day.normalize(_EXACT) if every[2] == "D" else None
