"""That a fold which does depend on the order is found, and said so that a pharmacist understands it."""

import random
from typing import Any

import pytest

from pv_stream.domain.facts import Fact
from pv_stream.engine import advance
from pv_stream.engine.assess import assess
from tests.shuffling.endings import Teller
from tests.shuffling.test_orders import story

CORRECTED = "corrections: withdrawn, and raised again by a second correction"
DRAWN = 8


def first_found(teller: Teller) -> list[str]:
    drawn = (teller.differences(random.Random(number), is_whole=True) for number in range(DRAWN))
    return next((lines for lines in drawn if lines), [])


def test_a_join_in_which_the_last_word_wins_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def last_word(_: Any, version: Any) -> Fact:
        return Fact(version.order, ((version.statement, version.provenance),))

    teller = Teller(story(CORRECTED))
    assert first_found(teller) == []
    monkeypatch.setattr(advance, "join", last_word)
    assert any(line.startswith("main: ") and ", expected " in line for line in first_found(teller))


def test_an_engine_that_fails_on_the_way_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    teller = Teller(story(CORRECTED))

    def failing(facts: Any, *rest: Any) -> Any:
        if len(facts) == 3:
            raise ArithmeticError
        return assess(facts, *rest)

    monkeypatch.setattr(advance, "assess", failing)
    assert "a record could not be used (engine_failed" in " ".join(first_found(teller))
