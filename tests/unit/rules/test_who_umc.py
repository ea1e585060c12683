"""WHO-UMC (PMC2865802): every category, and what separates it from the next."""

from typing import Any

import pytest

from pv_stream.domain.assessment import Latency
from pv_stream.domain.criteria import WhoUmc
from pv_stream.rules.judging import NOT_KNOWN, met, unmet
from pv_stream.rules.who_umc import ROWS, evaluate
from tests.unit.rules.causality_cases import case_of

YES, NO = met(), unmet()
CERTAIN: dict[str, Any] = {"dechallenge": YES, "rechallenge": YES, "other_causes": NO}
PROBABLE: dict[str, Any] = {"dechallenge": YES, "other_causes": NO}


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (CERTAIN, WhoUmc.CERTAIN),
        (CERTAIN | {"latency": Latency.REEXPOSURE}, WhoUmc.CERTAIN),
        (CERTAIN | {"latency": Latency.SHOULDER}, WhoUmc.PROBABLE),
        (CERTAIN | {"rechallenge": NOT_KNOWN}, WhoUmc.PROBABLE),
        (CERTAIN | {"rechallenge": NO}, WhoUmc.PROBABLE),
        (CERTAIN | {"other_causes": NOT_KNOWN}, WhoUmc.PROBABLE),
        (CERTAIN | {"other_causes": YES}, WhoUmc.POSSIBLE),
        (CERTAIN | {"dechallenge": NOT_KNOWN}, WhoUmc.POSSIBLE),
        (CERTAIN | {"dechallenge": NO}, WhoUmc.POSSIBLE),
        (PROBABLE, WhoUmc.PROBABLE),
        (PROBABLE | {"latency": Latency.SHOULDER}, WhoUmc.PROBABLE),
        (PROBABLE | {"other_causes": NOT_KNOWN}, WhoUmc.POSSIBLE),
        (PROBABLE | {"dechallenge": NOT_KNOWN}, WhoUmc.POSSIBLE),
        ({}, WhoUmc.POSSIBLE),
        ({"other_causes": YES}, WhoUmc.POSSIBLE),
        ({"rechallenge": NO}, WhoUmc.POSSIBLE),
        ({"other_causes": YES, "rechallenge": NO}, WhoUmc.UNLIKELY),
        (CERTAIN | {"began_after_onset": True}, WhoUmc.UNLIKELY),
        (CERTAIN | {"latency": Latency.UNKNOWN}, WhoUmc.CONDITIONAL),
        ({"latency": Latency.UNKNOWN, "is_contradictory": True}, WhoUmc.UNASSESSABLE),
        ({"is_contradictory": True}, WhoUmc.POSSIBLE),
    ],
)
def test_the_category_follows_the_table(known: dict[str, Any], expected: WhoUmc) -> None:
    assert evaluate(case_of(**known)) is expected


def test_every_category_has_its_row() -> None:
    assert sorted(row.category for row in ROWS) == sorted(WhoUmc)
