"""What a person states about a held value: read like what a sender states, with nothing guessed."""

from decimal import Decimal

import pytest

from pv_stream.domain.codes import (
    TIME_HOLDS,
    Analyte,
    Comparator,
    ExposureKind,
    FindingCode,
    HoldCode,
    Presence,
    ReviewReason,
)
from pv_stream.domain.facts import AsSent, Exposure, Finding, Held, Measurement, Retracted, Statement
from pv_stream.domain.times import exactly
from pv_stream.errors import UsageError
from pv_stream.ingest.confirming import CONFIRMING, DISCARDING, Stated, asks_for, confirm, discard
from tests.builders import at, sha256

DIGEST = sha256("x")
DOSE = Exposure(ExposureKind.ADMINISTRATION, ("imatinib",), end=exactly(at(20)))


def _confirm(held: Held, stated: Stated) -> Statement:
    return confirm(held, Statement(held, exactly(at(20)), 60), stated)


def _held(analyte: Analyte, code: HoldCode = HoldCode.MISSING_UNIT) -> Held:
    return Held(code, DIGEST, analyte, "tube-1")


@pytest.mark.parametrize(
    ("analyte", "stated", "value", "comparator"),
    [
        (Analyte.EOSINOPHILS, Stated("2.1", "10*3/uL"), "2100", None),
        (Analyte.EOSINOPHILS, Stated(">5", "10*9/L"), "5000", Comparator.GREATER),
        (Analyte.EOSINOPHILS_PERCENT, Stated("12", "%"), "12", None),
        (Analyte.CREATININE, Stated("12", "mg/L"), "1.2", None),
        (Analyte.BODY_TEMPERATURE, Stated("101.3", "[degF]"), "38.5", None),
        (Analyte.BODY_WEIGHT, Stated("71", "kg"), "71", None),
        (Analyte.ALT, Stated("<40", "U/L"), "40", Comparator.LESS),
    ],
)
def test_a_value_is_converted_exactly_and_keeps_its_specimen(
    analyte: Analyte, stated: Stated, value: str, comparator: Comparator | None
) -> None:
    content = _confirm(_held(analyte), stated).content
    assert isinstance(content, Measurement)
    assert (content.analyte, content.value, content.comparator) == (analyte, Decimal(value), comparator)
    assert content.specimen == "tube-1"
    assert content.as_sent is not None
    assert (content.as_sent.system, content.as_sent.code) == ("review", analyte.value)


@pytest.mark.parametrize(
    ("held", "stated", "analyte", "value"),
    [
        (Analyte.EOSINOPHILS, Stated("21", "%"), Analyte.EOSINOPHILS_PERCENT, "21"),
        (Analyte.EOSINOPHILS_PERCENT, Stated("1.69", "10*9/L"), Analyte.EOSINOPHILS, "1690"),
    ],
)
def test_the_unit_in_the_source_says_whether_eosinophils_were_counted_or_a_percentage(
    held: Analyte, stated: Stated, analyte: Analyte, value: str
) -> None:
    content = _confirm(_held(held), stated).content
    assert isinstance(content, Measurement)
    assert (content.analyte, content.value) == (analyte, Decimal(value))
    with pytest.raises(UsageError, match="unit does not fit"):
        _confirm(_held(Analyte.LEUKOCYTES), Stated("21", "%"))


def test_what_a_person_stated_is_kept_as_it_was_stated() -> None:
    content = _confirm(_held(Analyte.EOSINOPHILS), Stated("2.1", "10*3/uL")).content
    assert isinstance(content, Measurement)
    assert content.as_sent == AsSent("review", "eosinophils", "2.1", "10*3/uL")


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (Stated(), "--value and --unit"),
        (Stated("2.1"), "--unit"),
        (Stated(unit="10*3/uL"), "--value"),
        (Stated("two", "10*3/uL"), "a number such as"),
        (Stated("2,1", "10*3/uL"), "a number such as"),
        (Stated("2.1", "furlong"), "unknown unit"),
        (Stated("2.1", "kg"), "unit does not fit"),
        (Stated("2.1", " "), "missing unit"),
        (Stated("2.1", "10*3/uL", "in May"), "a time such as"),
    ],
)
def test_what_is_missing_or_cannot_be_read_is_said(stated: Stated, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _confirm(_held(Analyte.EOSINOPHILS), stated)


def test_the_time_stays_unless_another_is_stated() -> None:
    stays = _confirm(_held(Analyte.ALT), Stated("40", "U/L"))
    assert (stays.effective, stays.utc_offset_minutes) == (exactly(at(20)), 60)
    vague = _confirm(_held(Analyte.ALT), Stated("40", "U/L", "2026-01-04T10:00:00"))
    assert (
        vague.effective.latest > vague.effective.earliest
    )  # every instant that a time without a zone allows
    moved = _confirm(_held(Analyte.ALT), Stated("40", "U/L", "2026-01-04T10:00:00+02:00"))
    assert (moved.effective.earliest, moved.utc_offset_minutes) == (at(3), 120)


@pytest.mark.parametrize("code", sorted(TIME_HOLDS))
def test_what_was_read_and_is_not_in_doubt_need_not_be_stated_again(code: HoldCode) -> None:
    for said in (
        DOSE,
        Finding(FindingCode.RASH, Presence.PRESENT),
        Measurement(Analyte.ALT, Decimal(40), specimen="tube-2"),
    ):
        held = Held(code, DIGEST, said=said)
        assert asks_for(held) == ("time",)
        assert _confirm(held, Stated(time="2026-01-04")).content == said
        with pytest.raises(UsageError, match="--time"):
            _confirm(held, Stated())


def test_a_value_may_be_stated_again_with_its_time() -> None:
    said = Measurement(Analyte.ALT, Decimal(40), specimen="tube-2")
    held = Held(HoldCode.MISSING_TIME, DIGEST, Analyte.ALT, said=said)
    content = _confirm(held, Stated("41", "U/L", "2026-01-04")).content
    assert isinstance(content, Measurement)
    assert (content.value, content.specimen) == (Decimal(41), "tube-2")


def test_of_a_value_without_a_time_all_is_asked_when_nothing_was_read() -> None:
    held = _held(Analyte.ALT, HoldCode.MISSING_TIME)
    assert asks_for(held) == ("value", "unit", "time")
    with pytest.raises(UsageError, match="--time"):
        _confirm(held, Stated("40", "U/L"))


def test_what_is_no_measured_value_takes_none() -> None:
    held = Held(HoldCode.MISSING_TIME, DIGEST, said=DOSE)
    with pytest.raises(UsageError, match="for measured values"):
        _confirm(held, Stated("40", "U/L", "2026-01-04"))


def test_a_drug_cannot_begin_after_the_end_that_was_sent() -> None:
    held = Held(HoldCode.MISSING_TIME, DIGEST, said=DOSE)
    with pytest.raises(UsageError, match="lies after the end"):
        _confirm(held, Stated(time="2026-01-22"))
    assert _confirm(held, Stated(time="2026-01-21")).content == DOSE


def test_of_what_nothing_was_read_nothing_can_be_confirmed() -> None:
    held = Held(HoldCode.MISSING_TIME, DIGEST)
    assert asks_for(held) == ()
    with pytest.raises(UsageError, match="discard it"):
        _confirm(held, Stated("40", "U/L", "2026-01-04"))


def test_what_is_discarded_stays_where_it_stood() -> None:
    statement = Statement(_held(Analyte.ALT), exactly(at(20)), 60)
    assert discard(statement) == Statement(Retracted(), exactly(at(20)), 60)


def test_every_reason_confirms_or_discards() -> None:
    assert set(ReviewReason) == CONFIRMING | DISCARDING
    assert not CONFIRMING & DISCARDING
