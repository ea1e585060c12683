"""Canonical JSON: one value has one spelling (law 5).

Keys sorted, no spaces, UTF-8 without escapes, enums by value, exact decimals as plain numbers without trailing
zeros, and no binary floats at all. Dataclasses are written as objects of their fields.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from operator import itemgetter
from types import NoneType
from typing import Any, Final

#: Writes text, and an enum whose values are text.
text_json: Final = json.encoder.encode_basestring


def canonical_json(value: object) -> bytes:
    """Write a value of dataclasses, mappings, sequences, text, integers, exact decimals, booleans and null.

    Raises TypeError for a float or anything else that has no one exact spelling.
    """
    return value_json(value).encode()


class Written(str):
    """Mark text that is canonical JSON already."""

    __slots__ = ()


class Shape:
    """Write objects that always have the same names: these are sorted and spelled once, not at each object.

    Two names at least. The values come in the order in which the names were given, each as canonical JSON already.
    """

    __slots__ = ("_pattern", "_sorted")

    def __init__(self, *names: str) -> None:
        """Take the names."""
        places = sorted(range(len(names)), key=names.__getitem__)
        fields = [f"{text_json(names[place])}:%s" for place in places]
        self._sorted = itemgetter(*places)
        self._pattern = f"{{{','.join(fields)}}}"

    def of(self, *values: str) -> str:
        """Write the object of these values."""
        written: str = self._pattern % self._sorted(values)
        return written


def value_json(value: object) -> str:
    """Write any value that `canonical_json` takes, as text."""
    return _writer_of(type(value))(value)  # type: ignore[arg-type]  # types are hashable; mypy asks their instances


def decimal_text(value: Decimal) -> str:
    """Write an exact decimal in plain notation without trailing zeros: 1690, 0.92, -5."""
    if not value.is_finite():
        msg = f"{value} has no canonical spelling"
        raise TypeError(msg)
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


@cache
def _writer_of(kind: type) -> Callable[[Any], str]:
    """Return how the values of a type are written: asked once for each type, not at each value."""
    if issubclass(kind, Enum):
        return cache(lambda member: value_json(member.value))
    if issubclass(kind, str):
        return str if issubclass(kind, Written) else text_json
    if kind is NoneType or issubclass(kind, bool):
        return {None: "null", True: "true", False: "false"}.__getitem__
    if issubclass(kind, int):
        return str
    if issubclass(kind, Decimal):
        return decimal_text
    if issubclass(kind, list | tuple):
        return _write_sequence
    if issubclass(kind, Mapping):
        return _write_mapping
    if is_dataclass(kind):
        return _dataclass_writer(kind)
    msg = f"{kind.__name__} has no canonical spelling"
    raise TypeError(msg)


def _write_sequence(values: Sequence[object]) -> str:
    return f"[{','.join(map(value_json, values))}]"


def _write_mapping(values: Mapping[str, object]) -> str:
    return f"{{{','.join([f'{text_json(key)}:{value_json(values[key])}' for key in sorted(values)])}}}"


def _dataclass_writer(kind: type) -> Callable[[object], str]:
    names = sorted(field.name for field in fields(kind))
    keys = [(f"{text_json(name)}:", name) for name in names]
    return lambda value: f"{{{','.join([f'{key}{value_json(getattr(value, name))}' for key, name in keys])}}}"
