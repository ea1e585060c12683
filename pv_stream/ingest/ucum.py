"""UCUM codes that our own unit table does not know: what they measure, and their exact factor.

The library ucumvert reads the grammar of UCUM; it converts in floating point, so nothing else of it is used. Sizes come
from a small table (`data/ucum.toml`) as fractions. The library takes a third of a second to load, so it is imported
when the first such code comes.

What has no one meaning stays unknown: units that cancel (g/g, L/L), a bare 1, special units with an offset (Cel,
[degF]; our own table knows those two), and every atom that the table does not list.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, Final

from pv_stream.ingest.tables import UCUM_NUMBER, Dimension, Unit, ucum_table

#: UCUM codes of laboratories have up to twenty characters.
_LENGTH_MAX: Final = 50
#: No unit of a laboratory is larger or smaller; without a bound a code could ask for a number of any length.
_EXPONENT_MAX: Final = 30
_NUMBER_DIGITS_MAX: Final = 12
_CODES_KEPT: Final = 1024
#: The product of a number as sent and a factor stays exact (`quantities`) up to here.
_FACTOR_DIGITS_MAX: Final = 38
_OTHER: Final = "other"


class _UnknownError(Exception):
    """Say that a part of a code is not in our table."""


@dataclass(frozen=True, slots=True)
class _Size:
    """Hold an exact size in base units, its dimension, and the base units that were written, cancelled or not."""

    factor: Fraction
    dimension: Dimension
    written: frozenset[str]

    def times(self, other: "_Size", sign: int) -> "_Size":
        """Return this size times another, or divided by it."""
        dimension = dict(self.dimension)
        for base, exponent in other.dimension:
            dimension[base] = dimension.get(base, 0) + sign * exponent
        factor = self.factor * other.factor if sign > 0 else self.factor / other.factor
        return _Size(factor, _kept(dimension), self.written | other.written)

    def to_the(self, exponent: int) -> "_Size":
        """Return a power of this size."""
        if abs(exponent) > _EXPONENT_MAX:
            raise _UnknownError
        dimension = _kept({base: exponent * power for base, power in self.dimension})
        return _Size(self.factor**exponent, dimension, self.written)


_ONE: Final = _Size(Fraction(1), UCUM_NUMBER, frozenset())


@lru_cache(maxsize=_CODES_KEPT)
def find_ucum_unit(code: str) -> Unit | None:
    """Return what a UCUM code measures, with its exact factor; None when it is no code or not made of listed parts.

    A code that can be read and measures nothing that we keep has the quantity `other`.
    """
    try:
        size = _size_of(code)
    except (_UnknownError, RecursionError):
        return None
    if size.written != {base for base, _ in size.dimension}:
        return None
    if not size.dimension and size.factor == 1:
        return None
    found = ucum_table().quantities.get(size.dimension)
    if found is None:
        return Unit(_OTHER, Decimal(1))
    quantity, factor = found
    unit = _unit(quantity, size.factor * factor)
    return unit if len(unit.factor.as_tuple().digits) <= _FACTOR_DIGITS_MAX else None


def _size_of(code: str) -> _Size:
    if not code or len(code) > _LENGTH_MAX or not code.isascii():
        raise _UnknownError
    from lark.exceptions import LarkError  # noqa: PLC0415 - loaded when the first such code comes

    try:
        tree = _parser().parse(code)
    except LarkError:
        raise _UnknownError from None
    return _walk(tree)


@cache
def _parser() -> Any:
    from ucumvert import get_ucum_parser  # noqa: PLC0415 - a third of a second, and most runs never need it

    return get_ucum_parser()


def _walk(node: Any) -> _Size:
    """Return the size of a node of the tree: a token is an annotation, which means nothing."""
    if isinstance(node, str):
        return _ONE
    parts = node.children
    match node.data:
        case "simple_unit":
            return _simple(parts)
        case "annotatable":
            return _walk(parts[0]).to_the(int(parts[1]))
        case "component":
            return _walk(parts[0])
        case "term":
            return _walk(parts[0]).times(_walk(parts[2]), -1 if parts[1] == "/" else 1)
        case _ if len(parts) > 1:  # a main term that begins with a slash
            return _ONE.times(_walk(parts[1]), -1)
        case _:
            return _walk(parts[0])


def _simple(tokens: list[Any]) -> _Size:
    table = ucum_table()
    if tokens[0].type == "FACTOR":
        if len(tokens[0]) > _NUMBER_DIGITS_MAX:
            raise _UnknownError
        return _Size(Fraction(int(tokens[0])), UCUM_NUMBER, frozenset())
    atom = table.atoms.get(str(tokens[-1]))
    exponent = table.prefixes.get(str(tokens[0])) if len(tokens) > 1 else 0
    if atom is None or exponent is None:
        raise _UnknownError
    factor, dimension = atom
    return _Size(factor * Fraction(10) ** exponent, dimension, frozenset(base for base, _ in dimension))


def _kept(dimension: dict[str, int]) -> Dimension:
    return tuple(sorted((base, exponent) for base, exponent in dimension.items() if exponent))


def _unit(quantity: str, factor: Fraction) -> Unit:
    """Return a unit with a decimal factor where one is exact: then it equals our own table's for the same unit."""
    rest = factor.denominator
    digits = 0
    for prime in (2, 5):
        count = 0
        while rest % prime == 0:
            rest //= prime
            count += 1
        digits = max(digits, count)
    if rest != 1:
        return Unit(quantity, Decimal(factor.numerator), factor.denominator)
    written = str(factor.numerator * 10**digits // factor.denominator)
    return Unit(quantity, Decimal((0, tuple(map(int, written)), -digits)))
