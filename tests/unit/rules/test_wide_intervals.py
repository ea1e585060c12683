"""Intervals of centuries: legal, and no reason to count their days one by one."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pv_stream.domain.codes import ExposureKind
from pv_stream.domain.facts import Dose, Exposure
from pv_stream.domain.times import MICROSECONDS_PER_DAY, Instant, Interval
from pv_stream.rules import masking
from pv_stream.rules.treatments import taken_on
from tests.builders import assessed, at, eosinophils, event, statement, temperature

AGES = Interval(
    Instant(int(datetime(1, 1, 2, tzinfo=UTC).timestamp()) * 1_000_000),
    Instant(int(datetime(9999, 12, 30, tzinfo=UTC).timestamp()) * 1_000_000),
)


def test_what_masks_a_count_of_any_century_is_asked_on_the_days_of_change_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def counted(day: int, *words: Any, **more: Any) -> Any:
        asked.append(day)
        return taken_on(day, *words, **more)

    monkeypatch.setattr(masking, "taken_on", counted)
    steroid = event(Exposure(ExposureKind.STATEMENT, ("prednisone",), dose=Dose()), at(5))
    count = event(eosinophils(100, at(20)).version.statement.content, AGES)

    assessed(statement("imatinib", at(0)), steroid, count, temperature("39", at(20)))

    assert (AGES.latest - AGES.earliest) // MICROSECONDS_PER_DAY > 3_600_000
    assert 0 < len(asked) < 20
