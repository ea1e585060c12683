"""Numbers and units: every spelling of one thing gives one exact number, and what is not known is held."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.domain.codes import Analyte, Comparator, HoldCode
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.quantities import Converted, Sent, convert, find_unit, parse_number
from pv_stream.ingest.tables import AnalyteCode, loinc_table, unit_table
from pv_stream.rules.rulebook import Rulebook
from tests.unit.ingest.messages import OBR, SPM, obx, oru

EOSINOPHILS = loinc_table().analytes["711-2"]
PERCENT = loinc_table().analytes["713-8"]
ALT = loinc_table().analytes["1742-6"]
CREATININE = loinc_table().analytes["2160-0"]
TEMPERATURE = loinc_table().analytes["8310-5"]


def _value(number: str, unit: str, code: AnalyteCode = EOSINOPHILS) -> Decimal | HoldCode:
    converted = convert(Decimal(number), (unit,), code)
    return converted.value if isinstance(converted, Converted) else converted


@pytest.mark.parametrize(
    "unit",
    [
        "10*3/uL", "10*9/L", "10^9/L", "x10E3/uL", "x10*9/L", "K/uL", "giga.l-1", "10*3/\N{MICRO SIGN}L",
        "10*3/\N{GREEK SMALL LETTER MU}L", "10⁹/L", "G/L", "  10*3/uL ", "10*3{cells}/uL", "Thousand/uL", "x10(3)/mcL",
        "10^3/mm3", "10*3{anything at all}/uL",
    ],
)  # fmt: skip
def test_every_spelling_of_thousands_gives_the_same_count(unit: str) -> None:
    assert _value("1.69", unit) == Decimal(1690)


@pytest.mark.parametrize(
    ("number", "unit", "per_ul"),
    [
        ("1690", "/uL", "1690"),
        ("1690", "{cells}/uL", "1690"),
        ("1690", "cells/mm3", "1690"),
        ("16.9", "10^2/µL", "1690"),
        ("16.9", "10^2/μL", "1690"),
        ("0.169", "10^4/µL", "1690"),
        ("1690", "10*6/L", "1690"),
    ],
)
def test_counts_in_other_powers_of_ten(number: str, unit: str, per_ul: str) -> None:
    assert _value(number, unit) == Decimal(per_ul)


def test_a_unit_keeps_no_annotation_of_the_sender() -> None:
    converted = convert(Decimal(1), ("10*3{Jane Doe}/uL",), EOSINOPHILS)
    assert isinstance(converted, Converted)
    assert converted.unit == "10*3/uL"


@pytest.mark.parametrize(
    ("unit", "code", "why"),
    [
        ("", EOSINOPHILS, HoldCode.MISSING_UNIT),
        ("furlongs", EOSINOPHILS, HoldCode.UNKNOWN_UNIT),
        ("10*3/ul.", EOSINOPHILS, HoldCode.UNKNOWN_UNIT),
        ("%", EOSINOPHILS, HoldCode.UNIT_DOES_NOT_FIT),
        ("g/L", EOSINOPHILS, HoldCode.UNIT_DOES_NOT_FIT),  # G/L, giga per litre, differs in case alone
        ("10*9/L", PERCENT, HoldCode.UNIT_DOES_NOT_FIT),
        ("mg/dL", ALT, HoldCode.UNIT_DOES_NOT_FIT),
        ("U/L", CREATININE, HoldCode.UNIT_DOES_NOT_FIT),
        ("K", TEMPERATURE, HoldCode.UNIT_DOES_NOT_FIT),
    ],
)
def test_a_unit_is_never_guessed(unit: str, code: AnalyteCode, why: HoldCode) -> None:
    assert _value("12", unit, code) == why


def test_code_and_text_of_a_unit_must_agree() -> None:
    assert convert(Decimal(1), ("/uL", "10*3/uL"), EOSINOPHILS) is HoldCode.UNIT_DOES_NOT_FIT
    agreeing = convert(Decimal(1), ("10*9/L", "x10*9/L"), EOSINOPHILS)
    assert isinstance(agreeing, Converted)
    unknown_code = convert(Decimal(1), ("no such code", "10*9/L"), EOSINOPHILS)
    assert isinstance(unknown_code, Converted)


@pytest.mark.parametrize(
    ("number", "unit", "code", "expected"),
    [
        ("101.3", "[degF]", TEMPERATURE, "38.5"),
        ("101.3", "degF", TEMPERATURE, "38.5"),
        ("100.4", "°F", TEMPERATURE, "38"),
        ("98.6", "F", TEMPERATURE, "37"),
        ("100", "F", TEMPERATURE, "37.777777778"),
        ("38.5", "Cel", TEMPERATURE, "38.5"),
        ("100", "umol/L", CREATININE, "1.1312"),
        ("88.4", "µmol/L", CREATININE, "0.9999808"),
        ("1.2", "mg/dL", CREATININE, "1.2"),
        ("2", "µkat/L", ALT, "120"),
        ("100", "IU/L", ALT, "100"),
    ],
)
def test_other_units_convert_exactly(number: str, unit: str, code: AnalyteCode, expected: str) -> None:
    assert _value(number, unit, code) == Decimal(expected)


@given(
    reading=st.decimals(min_value=80, max_value=115, allow_nan=False, allow_infinity=False, places=12),
    threshold=st.sampled_from(["38.0", "38.5"]),
)
def test_no_fahrenheit_reading_crosses_a_threshold_by_rounding(reading: Decimal, threshold: str) -> None:
    exact_side = (reading - 32) * 5 >= Decimal(threshold) * 9
    value = _value(str(reading), "[degF]", TEMPERATURE)
    assert isinstance(value, Decimal)
    assert (value >= Decimal(threshold)) == exact_side


@pytest.mark.parametrize("digit", range(1, 9))
def test_just_below_fever_stays_below(digit: int) -> None:
    below = Decimal("101.3") - Decimal(10) ** -digit
    value = _value(str(below), "[degF]", TEMPERATURE)
    assert isinstance(value, Decimal)
    assert value < Decimal("38.5")


@given(
    number=st.decimals(min_value=0, max_value=10, allow_nan=False, allow_infinity=False, places=18),
    threshold=st.sampled_from([700, 1500, 4000]),
)
def test_cutting_a_long_number_never_moves_it_to_the_other_side(number: Decimal, threshold: int) -> None:
    value = _value(str(number), "10*9/L")
    assert isinstance(value, Decimal)
    assert (value >= threshold) == (number * 1000 >= threshold)


@given(st.integers(min_value=20, max_value=2000))
def test_a_creatinine_that_rises_by_half_does_so_in_either_unit(baseline: int) -> None:
    before = _value(str(baseline), "umol/L", CREATININE)
    after = _value(str(Decimal(baseline) * 3 / 2), "umol/L", CREATININE)
    assert isinstance(before, Decimal)
    assert isinstance(after, Decimal)
    assert after == before * 3 / 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.1", Sent(Decimal("2.1"))),
        (" 0.92 ", Sent(Decimal("0.92"))),
        (".5", Sent(Decimal("0.5"))),
        ("-1", Sent(Decimal(-1))),
        ("<0.1", Sent(Decimal("0.1"), Comparator.LESS)),
        (">= 5", Sent(Decimal(5), Comparator.GREATER_OR_EQUAL)),
    ],
)
def test_plain_numbers_are_read(text: str, expected: Sent) -> None:
    assert parse_number(text) == expected


@pytest.mark.parametrize(
    "text", ["", "1,690", "1.5e3", "1-2", "high", "NaN", "Infinity", "1" * 16, "٣", "160~120"]
)
def test_anything_else_is_no_number(text: str) -> None:
    assert parse_number(text) is None


def test_a_number_too_large_to_write_is_held() -> None:
    assert _value("999999999999999", "10*12/L") is HoldCode.OUT_OF_RANGE


def test_every_listed_spelling_is_found() -> None:
    for spelling, unit in unit_table().items():
        assert find_unit(spelling) is not None, spelling
        assert (
            find_unit(spelling.replace("u", "\N{MICRO SIGN}")) is not None
            or "u" not in spelling
            or "/" not in spelling
        )
        assert unit.factor > 0


def test_no_sputum_code_is_on_the_blood_list() -> None:
    assert not loinc_table().not_blood & loinc_table().analytes.keys()


def test_every_analyte_of_the_rulebook_has_a_code_but_those_that_only_canonical_events_carry(
    rulebook: Rulebook,
) -> None:
    coded = {code.analyte for code in loinc_table().analytes.values()}
    assert set(rulebook.plausibility) - coded == {Analyte.ATYPICAL_LYMPHOCYTES_PERCENT}
    assert coded < set(rulebook.plausibility)


@pytest.mark.parametrize(
    ("number", "unit", "counts_parts"),
    [
        ("2.0", "/uL", True),
        ("2.0", "cells/mm3", True),
        ("2.0", "10*6/L", True),
        ("2", "/uL", False),
        ("2.0", "10*3/uL", False),
        ("0.01", "10*9/L", False),
    ],
)
def test_decimals_of_single_cells_are_seen(number: str, unit: str, *, counts_parts: bool) -> None:
    converted = convert(Decimal(number), (unit,), EOSINOPHILS)
    assert isinstance(converted, Converted)
    assert converted.counts_parts is counts_parts


@pytest.mark.parametrize(
    ("value", "unit", "why"),
    [
        ("0.9", "/uL", HoldCode.FRACTION_OF_A_CELL),
        ("2.0", "/uL", HoldCode.FRACTION_OF_A_CELL),
        ("0.0", "/uL", None),
        ("2", "/uL", None),
        ("20.0", "/uL", None),
        ("0.01", "10*9/L", None),
        ("3000", "10*3/uL", HoldCode.OUT_OF_RANGE),
    ],
)
def test_a_result_that_is_a_thousandfold_wrong_is_held(
    intake: Intake, value: str, unit: str, why: HoldCode | None
) -> None:
    outcome = read_hl7v2(oru(OBR, obx(value, unit), SPM), intake)
    assert [hold.code for hold in outcome.holds] == ([] if why is None else [why])
