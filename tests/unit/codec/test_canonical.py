"""Canonical JSON: one value has one spelling."""

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum

import pytest

from pv_stream.codec.canonical import Shape, Written, canonical_json, decimal_text, value_json


class Word(StrEnum):
    ONE = "one"


class Rank(IntEnum):
    FIRST = 1


@dataclass(frozen=True, slots=True)
class Pair:
    second: int
    first: str


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1690", "1690"),
        ("1690.0", "1690"),
        ("1690.50", "1690.5"),
        ("0.92", "0.92"),
        ("-5", "-5"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("0E+5", "0"),
        ("1E+3", "1000"),
        ("1E-9", "0.000000001"),
        ("100", "100"),
        ("999999999999.999999999", "999999999999.999999999"),
    ],
)
def test_a_decimal_is_plain_and_without_trailing_zeros(value: str, text: str) -> None:
    assert decimal_text(Decimal(value)) == text
    assert canonical_json(Decimal(value)) == text.encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param({"b": 1, "a": [None, True, False]}, '{"a":[null,true,false],"b":1}', id="keys in order"),
        pytest.param(
            {"µ": "µL", "a": "\n"}, '{"a":"\\n","µ":"µL"}', id="text as it is, control characters escaped"
        ),
        pytest.param((1, (2,)), "[1,[2]]", id="tuples are lists"),
        pytest.param(Pair(2, "x"), '{"first":"x","second":2}', id="a dataclass by its fields in order"),
        pytest.param([Word.ONE, Rank.FIRST], '["one",1]', id="enums by value"),
        pytest.param({Word.ONE: 1}, '{"one":1}', id="enums as keys"),
        pytest.param([], "[]", id="empty"),
        pytest.param(10**30, "1" + "0" * 30, id="any integer"),
    ],
)
def test_a_value_has_one_spelling(value: object, text: str) -> None:
    assert canonical_json(value) == text.encode()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(1.5, id="float"),
        pytest.param({"x": [0.0]}, id="float inside"),
        pytest.param({1}, id="set"),
        pytest.param(b"x", id="bytes"),
        pytest.param(object(), id="object"),
        pytest.param(Pair, id="a class"),
        pytest.param(Decimal("NaN"), id="not a number"),
        pytest.param(Decimal("Infinity"), id="infinity"),
    ],
)
def test_what_has_no_exact_spelling_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="has no canonical spelling"):
        canonical_json(value)


def test_an_object_of_a_known_shape_is_written_as_a_mapping_is() -> None:
    value = {"b": Word.ONE, "a": "100 %s", "µ": None, "c": [1, Decimal("1.0")]}
    written = Shape(*value).of(*map(value_json, value.values()))
    assert written.encode() == canonical_json(value)
    assert canonical_json([Written(written)]) == canonical_json([value])
