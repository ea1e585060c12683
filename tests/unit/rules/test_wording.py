"""The words of the criteria have the numbers of the rulebook in them, whatever rulebook it is."""

import re
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest

from pv_stream.rules import bocquet, jscar, regiscar
from pv_stream.rules.judging import Row
from pv_stream.rules.regiscar import Item, level_title
from pv_stream.rules.rulebook import Number, Parameters
from pv_stream.rules.wording import worded
from tests.builders import RULEBOOK

PARAMETERS = RULEBOOK.parameters
CRITERIA: tuple[Item | Row, ...] = (*regiscar.TABLE, *jscar.TABLE, *bocquet.TABLE)


def test_a_number_stands_as_people_write_it() -> None:
    text = "{eosinophils_high_per_ul}, {fever_score_celsius}, {fever_sign_celsius}, {resolution_days}"
    assert worded(text, PARAMETERS) == "1,500, 38.5, 38.0, 15"


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda criterion: criterion.wording)
def test_no_number_of_a_criterion_is_written_into_its_title(criterion: Item | Row) -> None:
    """But the numbers of the criteria themselves: J-SCAR 1 to 7, HHV-6."""
    own = re.sub(r"\{\w+\}|^[1-7] |HHV-6", "", criterion.wording)
    assert re.findall(r"\d", own) == []
    assert "{" not in criterion.title(PARAMETERS)


def _doubled() -> Parameters:
    changed: dict[str, Any] = {}
    for each in fields(PARAMETERS):
        number = getattr(PARAMETERS, each.name)
        changed[each.name] = replace(number, value=number.value * 2)
    return replace(PARAMETERS, **changed)


@pytest.mark.parametrize(
    "criterion", [one for one in CRITERIA if "{" in one.wording], ids=lambda criterion: criterion.wording
)
def test_another_rulebook_changes_each_number_of_a_title(criterion: Item | Row) -> None:
    doubled = {each.name: f"{getattr(PARAMETERS, each.name).value * 2:,}" for each in fields(PARAMETERS)}
    assert criterion.title(_doubled()) == criterion.wording.format(**doubled)


def test_the_levels_of_eosinophils_are_told_with_the_numbers() -> None:
    low = replace(PARAMETERS, eosinophils_low_per_ul=Number(Decimal(500), "x"))
    assert [level_title(level, low) for level in regiscar.EOSINOPHILS.levels] == [
        "below 500/µL",
        "from 500 to below 1,500/µL",
        "1,500/µL or more",
    ]
    assert [level_title(level, low) for level in ("yes", "none", "two_or_more")] == [
        "yes",
        "none",
        "two or more",
    ]
