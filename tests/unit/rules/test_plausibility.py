"""Plausibility: what is believed and what waits for a person, at every boundary."""

from decimal import Decimal

import pytest

from pv_stream.domain.codes import Analyte, ExposureKind, FindingCode, HoldCode, Presence
from pv_stream.domain.facts import Content, Exposure, Finding, Measurement
from pv_stream.domain.times import Interval, exactly
from pv_stream.rules.plausibility import is_small_count, why_held
from tests.builders import RULEBOOK, at

COUNT = Measurement(Analyte.EOSINOPHILS, Decimal(1690))


def _why(content: Content, effective: Interval | None = None) -> HoldCode | None:
    return why_held(content, exactly(at(0)) if effective is None else effective, at(0), RULEBOOK)


@pytest.mark.parametrize(
    ("analyte", "value", "code"),
    [
        (Analyte.EOSINOPHILS, "-1", HoldCode.OUT_OF_RANGE),
        (Analyte.EOSINOPHILS, "0", None),
        (Analyte.EOSINOPHILS, "100000", None),
        (Analyte.EOSINOPHILS, "100000.1", HoldCode.OUT_OF_RANGE),
        (Analyte.EOSINOPHILS, "0.9", HoldCode.FRACTION_OF_A_CELL),
        (Analyte.EOSINOPHILS, "19.9", HoldCode.FRACTION_OF_A_CELL),
        (Analyte.EOSINOPHILS, "19", None),
        (Analyte.EOSINOPHILS, "20", None),
        (Analyte.EOSINOPHILS, "20.1", None),
        (Analyte.LEUKOCYTES, "4.6", HoldCode.FRACTION_OF_A_CELL),
        (Analyte.LEUKOCYTES, "1000000", None),
        (Analyte.LEUKOCYTES, "1000001", HoldCode.OUT_OF_RANGE),
        (Analyte.EOSINOPHILS_PERCENT, "0.9", None),
        (Analyte.EOSINOPHILS_PERCENT, "100", None),
        (Analyte.EOSINOPHILS_PERCENT, "100.1", HoldCode.OUT_OF_RANGE),
        (Analyte.EOSINOPHILS_PERCENT, "-0.1", HoldCode.OUT_OF_RANGE),
        (Analyte.BODY_TEMPERATURE, "24.9", HoldCode.OUT_OF_RANGE),
        (Analyte.BODY_TEMPERATURE, "25", None),
        (Analyte.BODY_TEMPERATURE, "46", None),
        (Analyte.BODY_TEMPERATURE, "101.3", HoldCode.OUT_OF_RANGE),
        (Analyte.ALT, "0.9", HoldCode.OUT_OF_RANGE),
        (Analyte.ALT, "1", None),
        (Analyte.AST, "20000", None),
        (Analyte.ALP, "20000.1", HoldCode.OUT_OF_RANGE),
        (Analyte.CREATININE, "0.11", HoldCode.OUT_OF_RANGE),
        (Analyte.CREATININE, "0.12", None),
        (Analyte.CREATININE, "40", None),
        (Analyte.CREATININE, "40.1", HoldCode.OUT_OF_RANGE),
        (Analyte.BODY_WEIGHT, "0.29", HoldCode.OUT_OF_RANGE),
        (Analyte.BODY_WEIGHT, "500", None),
        (Analyte.BODY_WEIGHT, "500.1", HoldCode.OUT_OF_RANGE),
        (Analyte.ATYPICAL_LYMPHOCYTES_PERCENT, "100.1", HoldCode.OUT_OF_RANGE),
    ],
)
def test_a_value_outside_of_what_can_be_is_held(analyte: Analyte, value: str, code: HoldCode | None) -> None:
    assert _why(Measurement(analyte, Decimal(value))) is code


#: Values of healthy people, and of a body weight from an infant's to a heavy man's.
ORDINARY = {
    Analyte.EOSINOPHILS: ("110", "450"),
    Analyte.LEUKOCYTES: ("4100", "10500"),
    Analyte.ALT: ("21", "40"),
    Analyte.AST: ("21", "40"),
    Analyte.ALP: ("40", "120"),
    Analyte.CREATININE: ("0.5", "1.2"),
    Analyte.BODY_WEIGHT: ("3.5", "130"),
}


@pytest.mark.parametrize("analyte", list(ORDINARY))
def test_an_ordinary_value_that_is_a_thousandfold_wrong_is_held(analyte: Analyte) -> None:
    """A percentage and a temperature have no unit that is a thousand times another."""
    for text in ORDINARY[analyte]:
        value = Decimal(text)
        assert _why(Measurement(analyte, value)) is None
        assert _why(Measurement(analyte, value * 1000)) is HoldCode.OUT_OF_RANGE
        assert _why(Measurement(analyte, value / 1000)) in {
            HoldCode.OUT_OF_RANGE,
            HoldCode.FRACTION_OF_A_CELL,
        }


@pytest.mark.parametrize("text", ["45", "110"])
def test_a_creatinine_of_micromoles_or_millimoles_is_none_of_milligrams(text: str) -> None:
    for factor in ("1", "0.001"):
        value = Decimal(text) * Decimal(factor)
        assert _why(Measurement(Analyte.CREATININE, value)) is HoldCode.OUT_OF_RANGE


def test_every_analyte_has_limits_and_their_source() -> None:
    assert set(RULEBOOK.plausibility) == set(Analyte)
    assert {limits.source for limits in RULEBOOK.plausibility.values()} <= set(RULEBOOK.sources)


@pytest.mark.parametrize(
    ("analyte", "value", "is_small"),
    [
        (Analyte.EOSINOPHILS, "0", False),
        (Analyte.EOSINOPHILS, "1", True),
        (Analyte.EOSINOPHILS, "19", True),
        (Analyte.EOSINOPHILS, "20", False),
        (Analyte.LEUKOCYTES, "5", True),
        (Analyte.ALT, "5", False),
    ],
)
def test_a_count_below_twenty_is_small(analyte: Analyte, value: str, is_small: bool) -> None:  # noqa: FBT001 - a case
    assert is_small_count(Measurement(analyte, Decimal(value)), RULEBOOK) is is_small


@pytest.mark.parametrize(
    ("day", "hour", "minute", "code"),
    [
        (1, 8, 0, None),
        (1, 8, 1, HoldCode.TIME_IN_FUTURE),
        (9490, 8, 0, HoldCode.TIME_IN_FUTURE),
        (-9000, 0, 0, None),
    ],
)
def test_a_value_dated_more_than_a_day_ahead_is_held(
    day: int, hour: int, minute: int, code: HoldCode | None
) -> None:
    when = exactly(at(day, hour, minute))
    assert _why(COUNT, when) is code
    assert _why(Finding(FindingCode.RASH, Presence.PRESENT), when) is code
    assert _why(Exposure(ExposureKind.ADMINISTRATION, ("imatinib",)), when) is code


def test_a_time_that_may_be_past_is_believed() -> None:
    assert _why(COUNT, Interval(at(0), at(31))) is None


@pytest.mark.parametrize(("day", "code"), [(2, None), (90, None), (91, HoldCode.TIME_IN_FUTURE)])
@pytest.mark.parametrize("kind", [ExposureKind.ORDER, ExposureKind.DISPENSE])
def test_an_order_may_be_planned_ahead(kind: ExposureKind, day: int, code: HoldCode | None) -> None:
    assert _why(Exposure(kind, ("imatinib",)), exactly(at(day))) is code
