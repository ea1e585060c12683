"""Canonical JSON: one value has one spelling (law 5).

Keys sorted, no spaces, UTF-8 without escapes, enums by value, exact decimals as plain numbers without trailing
zeros, and no binary floats at all. Dataclasses are written as objects of their fields.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from functools import cache

_encode_text = json.encoder.encode_basestring


def canonical_json(value: object) -> bytes:
    """Write a value of dataclasses, mappings, sequences, text, integers, exact decimals, booleans and null.

    Raises TypeError for a float or anything else that has no one exact spelling.
    """
    return _write(value).encode()


def decimal_text(value: Decimal) -> str:
    """Write an exact decimal in plain notation without trailing zeros: 1690, 0.92, -5."""
    if not value.is_finite():
        msg = f"{value} has no canonical spelling"
        raise TypeError(msg)
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def _write(value: object) -> str:
    if isinstance(value, Enum):
        return _write(value.value)
    if isinstance(value, str):
        return _encode_text(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_write, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{_encode_text(key)}:{_write(value[key])}' for key in sorted(value))}}}"
    if is_dataclass(value) and not isinstance(value, type):
        names = _sorted_field_names(type(value))
        return f"{{{','.join(f'{_encode_text(name)}:{_write(getattr(value, name))}' for name in names)}}}"
    msg = f"{type(value).__name__} has no canonical spelling"
    raise TypeError(msg)


@cache
def _sorted_field_names(kind: type) -> tuple[str, ...]:
    return tuple(sorted(field.name for field in fields(kind)))
