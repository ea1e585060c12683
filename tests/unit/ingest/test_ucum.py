"""UCUM codes beyond our own table: exact factors, the dimension of the analyte, and no meaning without one."""

import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.domain.codes import HoldCode
from pv_stream.ingest.quantities import Converted, UcumCode, convert, find_unit
from pv_stream.ingest.tables import AnalyteCode, loinc_table, ucum_table, unit_table
from pv_stream.ingest.ucum import find_ucum_unit

EOSINOPHILS = loinc_table().analytes["711-2"]
PERCENT = loinc_table().analytes["713-8"]
ALT = loinc_table().analytes["1742-6"]
CREATININE = loinc_table().analytes["2160-0"]
#: Spellings of senders that mean something else in UCUM: there Mg is a tonne.
NOT_UCUM = {"Mg"}
#: Units of the quantities in base units, as pint writes them.
PINT_UNIT = {
    "cell_count": "1 / microliter",
    "enzyme_activity": "micromole / minute / liter",
    "creatinine": "milligram / deciliter",
    "fraction": "0.01",
    "mass": "kilogram",
}


def _value(number: str, code: str, analyte: AnalyteCode) -> Decimal | HoldCode:
    converted = convert(Decimal(number), (UcumCode(code),), analyte)
    return converted.value if isinstance(converted, Converted) else converted


@pytest.mark.parametrize(
    ("number", "code", "analyte", "expected"),
    [
        ("1.69", "10*6/mL", EOSINOPHILS, "1690"),
        ("1.69", "1/nL", EOSINOPHILS, "1690"),
        ("1.69", "10*3.uL-1", EOSINOPHILS, "1690"),
        ("1.69", "10*12/m3", EOSINOPHILS, "1690"),
        ("1.69", "10*3{cells}/mm3", EOSINOPHILS, "1690"),
        ("169", "10*10/m3{Eosinophils}", EOSINOPHILS, "1690"),
        ("0.0012", "mkat/L", ALT, "72"),
        ("1.2", "umol/(s.L)", ALT, "72"),
        ("72", "umol/min/L", ALT, "72"),
        ("0.1", "kU/L", ALT, "100"),
        ("100", "m[IU]/mL", ALT, "100"),
        ("9.3", "mmol/(h.L)", ALT, "155"),  # 9.3 x 50/3: no decimal factor is exact, the value is
        ("1", "mmol/(h.L)", ALT, "16.666666666"),
        ("12", "ng/uL", CREATININE, "1.2"),
        ("0.1", "mmol/dm3", CREATININE, "1.1312"),
        ("75", "[ppth]", PERCENT, "7.5"),
        ("7.5", "10*-2", PERCENT, "7.5"),
    ],
)
def test_a_code_converts_exactly(number: str, code: str, analyte: AnalyteCode, expected: str) -> None:
    assert _value(number, code, analyte) == Decimal(expected)


@pytest.mark.parametrize(
    ("code", "analyte", "why"),
    [
        ("10*6/mL", ALT, HoldCode.UNIT_DOES_NOT_FIT),
        ("mkat/L", EOSINOPHILS, HoldCode.UNIT_DOES_NOT_FIT),
        ("mol/L.g", CREATININE, HoldCode.UNIT_DOES_NOT_FIT),
        ("nmol/dL", EOSINOPHILS, HoldCode.UNIT_DOES_NOT_FIT),  # moles are not cells
        (
            "10*3.K/uL",
            EOSINOPHILS,
            HoldCode.UNIT_DOES_NOT_FIT,
        ),  # kelvin, since our table has no such spelling
        ("kG/L", EOSINOPHILS, HoldCode.UNIT_DOES_NOT_FIT),  # kilogauss
        ("1", PERCENT, HoldCode.UNKNOWN_UNIT),
        ("{ratio}", PERCENT, HoldCode.UNKNOWN_UNIT),
        ("mg/g", PERCENT, HoldCode.UNKNOWN_UNIT),
        ("mL/dL", PERCENT, HoldCode.UNKNOWN_UNIT),
        ("[HPF]", EOSINOPHILS, HoldCode.UNKNOWN_UNIT),
        ("10*3/ul.", EOSINOPHILS, HoldCode.UNKNOWN_UNIT),
        ("[lb_av]5/m3", CREATININE, HoldCode.UNIT_DOES_NOT_FIT),
        ("[lb_av]30/g29", ALT, HoldCode.UNKNOWN_UNIT),  # cannot be written exactly in a line
        ("10*31/L", EOSINOPHILS, HoldCode.UNKNOWN_UNIT),
        ("1234567890123/L", EOSINOPHILS, HoldCode.UNKNOWN_UNIT),
        ("10*99999999999999999999", EOSINOPHILS, HoldCode.UNKNOWN_UNIT),
        ("(" * 60 + "L" + ")" * 60, EOSINOPHILS, HoldCode.UNKNOWN_UNIT),
        ("no unit", EOSINOPHILS, HoldCode.UNKNOWN_UNIT),
        ("٣/L", EOSINOPHILS, HoldCode.UNKNOWN_UNIT),
    ],
)
def test_what_does_not_fit_or_is_not_listed_is_held(code: str, analyte: AnalyteCode, why: HoldCode) -> None:
    assert _value("5", code, analyte) is why


def test_our_own_table_comes_first() -> None:
    assert _value("1.69", "K/uL", EOSINOPHILS) == Decimal(1690)
    assert _value("1.69", "G/L", EOSINOPHILS) == Decimal(1690)


def test_only_a_declared_code_is_read_as_ucum() -> None:
    assert find_unit("10*6/mL") is None
    assert convert(Decimal(1), ("10*6/mL",), EOSINOPHILS) is HoldCode.UNKNOWN_UNIT


def test_what_was_chosen_for_a_declared_code_is_not_remembered_for_the_equal_text() -> None:
    for _ in range(2):
        assert isinstance(convert(Decimal(1), (UcumCode("10*6/mL"),), EOSINOPHILS), Converted)
        assert convert(Decimal(1), ("10*6/mL",), EOSINOPHILS) is HoldCode.UNKNOWN_UNIT


def test_a_code_and_a_text_that_we_know_must_agree() -> None:
    agreeing = convert(Decimal("1.69"), (UcumCode("10*6/mL"), "10*9/L"), EOSINOPHILS)
    assert isinstance(agreeing, Converted)
    assert convert(Decimal(1), (UcumCode("10*6/mL"), "/uL"), EOSINOPHILS) is HoldCode.UNIT_DOES_NOT_FIT


def test_an_annotation_is_not_repeated() -> None:
    converted = convert(Decimal(1), (UcumCode("10*6{Jane.Doe}/mL"),), EOSINOPHILS)
    assert isinstance(converted, Converted)
    assert converted.unit == "10*6/mL"


def test_both_agree_where_both_know_a_code() -> None:
    agreed = 0
    for spelling, ours in unit_table().items():
        theirs = find_ucum_unit(spelling)
        if theirs is not None and theirs.quantity != "other" and ours.quantity != "other":
            assert theirs == ours or spelling in NOT_UCUM, spelling
            agreed += 1
    assert agreed > 50


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    unit = find_ucum_unit(text)
    assert unit is None or unit.factor > 0


_ATOMS = [
    "L",
    "mL",
    "uL",
    "nL",
    "g",
    "mg",
    "mol",
    "umol",
    "kat",
    "U",
    "min",
    "h",
    "m3",
    "10*3",
    "10*-6",
    "%",
    "mm3",
]


@given(
    atoms=st.lists(st.sampled_from(_ATOMS), min_size=1, max_size=4),
    operators=st.lists(st.sampled_from("./"), min_size=4, max_size=4),
    number=st.fractions(min_value=0, max_value=10**6, max_denominator=1000),
)
def test_a_product_is_cut_down_to_nine_decimals_and_never_rounded_up(
    atoms: list[str], operators: list[str], number: Fraction
) -> None:
    code = "".join(f"{atom}{operator}" for atom, operator in zip(atoms, operators, strict=False)).rstrip("./")
    unit = find_ucum_unit(code)
    if unit is None or unit.quantity == "other":
        return
    sent = (Decimal(number.numerator) / number.denominator).quantize(Decimal("1E-6"))
    analyte = AnalyteCode(EOSINOPHILS.analyte, frozenset({unit.quantity}), in_blood=True)
    converted = convert(sent, (UcumCode(code),), analyte)
    if isinstance(converted, Converted) and find_unit(code) == (code, unit):
        exact = Fraction(sent) * Fraction(unit.factor) / unit.divisor
        assert 0 <= exact - Fraction(converted.value) < Fraction(1, 10**9)


def test_pint_agrees() -> None:
    """Another implementation computes the same factors, as well as floating point can."""
    from ucumvert import PintUcumRegistry  # noqa: PLC0415 - loads pint, which nothing else here needs

    registry = PintUcumRegistry()
    atoms = ["10*6/mL", "1/nL", "10*3.uL-1", "10*12/m3", "10*10/dm3", "umol/min/L", "mkat/L", "nkat/mL", "kU/L",
             "umol/(s.L)", "mmol/(h.L)", "mol/d/m3", "mg/dL", "ng/uL", "g/m3", "kg/m3", "t/m3", "%", "[ppth]", "10*-3",
             "g", "[lb_av]", "[oz_av]", "t", "/(10.L)", "2.mg/dL", "fmol/(min.nL)", "Tg/Em3", "dag/L"]  # fmt: skip
    for code in atoms:
        unit = find_ucum_unit(code)
        assert unit is not None, code
        theirs = registry.from_ucum(code)
        if unit.quantity == "fraction":
            expected = (1 * theirs).to("").magnitude * 100
        else:
            expected = (1 * theirs).to(PINT_UNIT[unit.quantity]).magnitude
        assert float(unit.factor) / unit.divisor == pytest.approx(float(expected), rel=1e-9), code


def test_every_atom_is_one_of_the_grammar() -> None:
    for symbol in ucum_table().atoms:
        assert find_ucum_unit(f"{symbol}.g.m") is not None, symbol


def test_the_library_is_loaded_only_when_a_code_needs_it() -> None:
    program = (
        "import sys\n"
        "from pv_stream.ingest.quantities import UcumCode, find_unit\n"
        "assert find_unit(UcumCode('10*3/uL'))\n"
        "assert not {'ucumvert', 'lark', 'pint'} & set(sys.modules)\n"
        "assert find_unit(UcumCode('10*6/mL'))\n"
        "assert 'ucumvert' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)  # noqa: S603 - our own words
