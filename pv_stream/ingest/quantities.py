"""Numbers and units as sent, turned into the one unit of each analyte. Exact decimals only, and no guesses.

Values are kept to nine decimals. Rules ask `value >= threshold` and `value < threshold`, and every threshold has at
most nine decimals. Cutting a longer value down to nine decimals (towards minus infinity) therefore changes no
comparison: the largest nine-decimal number that is not above the value is at or above a threshold exactly when the
value is.
"""

import math
import re
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

from pv_stream.domain.codes import Comparator, HoldCode
from pv_stream.domain.often_built import often_built
from pv_stream.ingest.tables import AnalyteCode, Unit, unit_table
from pv_stream.ingest.ucum import find_ucum_unit

_NUMBER: Final = re.compile(r"(<=|>=|<|>)?\s*([+-]?(?:\d{1,15}(?:\.\d{0,20})?|\.\d{1,20}))", re.ASCII)
_ANNOTATION: Final = re.compile(r"\{[^{}]*\}")
_SPACES: Final = re.compile(r"\s+")
#: Units repeat from message to message; a longer text is none, and is not kept in memory.
_REMEMBERED_MAX: Final = 80
_NINE_DECIMALS: Final = Decimal("1E-9")
_EIGHT_DECIMALS: Final = Decimal("1E-8")
#: Wide enough that no product of a sent number and a factor is ever rounded.
_EXACT: Final = Context(prec=80)
#: The canonical form writes at most twelve digits before the point; no plausible value comes near.
_MAGNITUDE_MAX: Final = Decimal(10) ** 12
#: A dose more often than each quarter of an hour is a mistake of the sender: how often it is given is not known then.
PER_DAY_MAX: Final = Decimal(96)
_FAHRENHEIT: Final = "temperature_fahrenheit"
_CELL_COUNT: Final = "cell_count"


@often_built
@dataclass(frozen=True, slots=True)
class Sent:
    """Hold a number as sent, with the bound that was sent before it."""

    value: Decimal
    comparator: Comparator | None = None


class UcumCode(str):
    """Mark a unit code whose sender declares it as UCUM: what our own table does not know is read as UCUM."""

    __slots__ = ()


@often_built
@dataclass(frozen=True, slots=True)
class Converted:
    """Hold a value in the unit of its analyte, and how our table spells the unit that was sent.

    `counts_parts` says that single cells were counted with decimals, as in 2.0 per microlitre.
    """

    value: Decimal
    unit: str
    counts_parts: bool = False


def parse_number(text: str) -> Sent | None:
    """Read a plain decimal number, with a comparator or without: 2.1, .5, <0.1. None for anything else.

    A comma, an exponent or a range is not read: each has more than one meaning across senders.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    return Sent(Decimal(match[2]), Comparator(match[1]) if match[1] else None)


def find_unit(spelling: str) -> tuple[str, Unit] | None:
    """Return a unit by exact spelling, and the spelling in our table; a declared UCUM code also by its grammar.

    Both micro signs count as u, annotations in braces as nothing: those may hold any text, so they are not repeated.
    """
    return _remembered(spelling) if len(spelling) <= _REMEMBERED_MAX else _find_unit(spelling)


def _find_unit(spelling: str) -> tuple[str, Unit] | None:
    units = unit_table()
    text = (
        _SPACES.sub(" ", spelling.strip())
        .replace("\N{MICRO SIGN}", "u")
        .replace("\N{GREEK SMALL LETTER MU}", "u")
    )
    for spelled in (text, _ANNOTATION.sub("", text)):
        if spelled in units:
            return spelled, units[spelled]
    if isinstance(spelling, UcumCode):
        unit = find_ucum_unit(text)
        return None if unit is None else (_ANNOTATION.sub("", text), unit)
    return None


#: A declared UCUM code is not the same as the equal text, hence `typed`.
_remembered: Final = lru_cache(maxsize=4096, typed=True)(_find_unit)


def convert(sent: Decimal, spellings: tuple[str, ...], code: AnalyteCode) -> Converted | HoldCode:
    """Return a number in the unit of its analyte.

    `spellings` are what the sender wrote for the unit, such as its code and its text. Those that we know must agree;
    without any the value is held, whatever the number looks like.
    """
    choose = _chosen if sum(map(len, spellings)) <= _REMEMBERED_MAX else _choose
    chosen = choose(code.quantities, *spellings)
    if isinstance(chosen, HoldCode):
        return chosen
    spelling, unit = chosen
    value = _fahrenheit_to_celsius(sent) if unit.quantity == _FAHRENHEIT else _times(sent, unit)
    if not -_MAGNITUDE_MAX < value < _MAGNITUDE_MAX:
        return HoldCode.OUT_OF_RANGE
    return Converted(_cut(value, _NINE_DECIMALS), spelling, _is_of_single_cells(unit) and _has_decimals(sent))


def _choose(quantities: frozenset[str], *spellings: str) -> tuple[str, Unit] | HoldCode:
    stated = [spelling for spelling in spellings if spelling.strip()]
    if not stated:
        return HoldCode.MISSING_UNIT
    known = [found for spelling in stated if (found := find_unit(spelling)) is not None]
    if not known:
        return HoldCode.UNKNOWN_UNIT
    spelling, unit = known[0]
    if unit.quantity not in quantities or any(other != unit for _, other in known):
        return HoldCode.UNIT_DOES_NOT_FIT
    return spelling, unit


#: As for `_remembered`; each test is sent in one unit or two.
_chosen: Final = lru_cache(maxsize=4096, typed=True)(_choose)


def _has_decimals(sent: Decimal) -> bool:
    exponent = sent.as_tuple().exponent
    return isinstance(exponent, int) and exponent < 0


def _is_of_single_cells(unit: Unit) -> bool:
    return unit.quantity == _CELL_COUNT and unit.factor <= unit.divisor


def _times(sent: Decimal, unit: Unit) -> Decimal:
    """Return the product: exact, or the largest nine-decimal number that is not above it where no decimal is."""
    product = _EXACT.multiply(sent, unit.factor)
    if unit.divisor == 1:
        return product
    return Decimal(math.floor(Fraction(product) * 10**9 / unit.divisor)).scaleb(-9, _EXACT)


def _cut(value: Decimal, grid: Decimal) -> Decimal:
    return value.quantize(grid, rounding=ROUND_FLOOR, context=_EXACT).normalize(_EXACT)


def _fahrenheit_to_celsius(sent: Decimal) -> Decimal:
    """Return (sent - 32) * 5 / 9, rounded half-even to nine decimals. 101.3 degF is exactly 38.5 Cel.

    Why rounding cannot move a reading across a threshold: a threshold in Cel with one decimal (38.0, 38.5) is a
    number of degF with at most two decimals. A reading of at most eight decimals that is not that number differs from
    it by at least 1E-8 degF, which is more than 5E-9 Cel, and rounding to nine decimals moves it by at most 5E-10.
    Longer readings are first cut to eight decimals, which by the same argument as above changes no comparison.
    """
    reading = _cut(sent, _EIGHT_DECIMALS)
    celsius = _EXACT.divide(_EXACT.multiply(_EXACT.subtract(reading, Decimal(32)), Decimal(5)), Decimal(9))
    return celsius.quantize(_NINE_DECIMALS, rounding=ROUND_HALF_EVEN, context=_EXACT)
