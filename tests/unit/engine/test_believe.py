"""Believe: what of a value that is not believed is kept for the person who settles it."""

from decimal import Decimal

import pytest

from pv_stream.domain.codes import Analyte, FindingCode, HoldCode
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Content, Held, Measurement
from pv_stream.domain.times import Interval
from pv_stream.engine.believe import believe
from tests.builders import RULEBOOK, at, dose, event, measured, present, resent

TOO_MANY = measured(Analyte.EOSINOPHILS, 200_000, at(5), specimen="tube 1")


def _held(sent: FactArrived) -> Held:
    content = believe(sent.version, RULEBOOK).statement.content
    assert isinstance(content, Held)
    return content


def test_a_value_that_is_not_plausible_keeps_analyte_and_specimen_but_not_what_was_said() -> None:
    held = _held(TOO_MANY)
    assert held == Held(HoldCode.OUT_OF_RANGE, held.value_digest, Analyte.EOSINOPHILS, "tube 1", said=None)


@pytest.mark.parametrize(
    "ahead", [measured(Analyte.EOSINOPHILS, 1690, at(900)), present(FindingCode.RASH, at(900))]
)
def test_what_only_its_time_puts_in_doubt_keeps_what_was_said(ahead: FactArrived) -> None:
    held = _held(resent(ahead, received_at=at(5)))
    assert (held.code, held.said) == (HoldCode.TIME_IN_FUTURE, ahead.version.statement.content)


def _digest(content: Content, when: Interval = TOO_MANY.version.statement.effective) -> str:
    return _held(event(content, when, received_at=at(5))).value_digest


def test_the_same_value_of_the_same_time_is_the_same_whichever_message_said_it() -> None:
    plain, scientific = (Measurement(Analyte.EOSINOPHILS, Decimal(text)) for text in ("200000", "2E+5"))
    assert _digest(plain) == _digest(scientific) == _held(resent(TOO_MANY, received_at=at(6))).value_digest
    assert len({_digest(plain), _digest(Measurement(Analyte.EOSINOPHILS, Decimal(300_000)))}) == 2
    assert len({_digest(plain), _digest(plain, Interval(at(4), at(4)))}) == 2
    rash, later = present(FindingCode.RASH, at(900)).version.statement.content, Interval(at(900), at(900))
    drug = dose("imatinib", at(900)).version.statement.content
    assert len({_digest(said, later) for said in (rash, drug, plain)}) == 3
