"""The rules as a document: every row, number, drug, word and source of the tables stands in it."""

from dataclasses import fields, replace
from decimal import Decimal
from typing import Final

import pytest

from pv_stream.audit.criteria_doc import criteria_names
from pv_stream.audit.rules_doc import rules_document
from pv_stream.domain.assessment import Closing, EpisodeFlag, EstablishedBy, RecurrenceClass, Relation
from pv_stream.domain.codes import HoldCode
from pv_stream.rules.regiscar import TABLE
from pv_stream.rules.rulebook import Number
from pv_stream.rules.tiers import ROWS
from tests.builders import RULEBOOK

DOCUMENT: Final = rules_document(RULEBOOK)


def test_every_row_of_tiers_stands_with_its_tier_and_its_condition() -> None:
    assert all(f"| {row.tier.name.lower()} | `{row.name}` | " in DOCUMENT for row in ROWS)
    assert "| `skin_and_organ` | a skin reaction and an organ involved |" in DOCUMENT


def test_every_item_of_the_score_stands_with_its_points() -> None:
    assert all(f"| {item.title(RULEBOOK.parameters)} | " in DOCUMENT for item in TABLE)
    assert "| Fever >= 38.5 °C | no -1, yes 0 | -1 |" in DOCUMENT
    assert "none 0, one +1, two or more +2" in DOCUMENT


def test_the_criteria_beside_regiscar_stand_with_every_name() -> None:
    assert "## J-SCAR / DIHS" in DOCUMENT
    assert "| `fever` | 3 Fever > 38.0 °C |" in DOCUMENT
    assert "| `rechallenge` | 4 It came back when the drug was given again | +2 | -1 |" in DOCUMENT
    names = [name.partition(":")[2] for name in criteria_names()]
    assert all(f"| `{name}` | " in DOCUMENT for name in names)


def test_the_categories_stand_as_published() -> None:
    assert (
        "| -4 to 1 | no case |\n| 2 to 3 | possible |\n| 4 to 5 | probable |\n| 6 to 9 | definite |"
        in DOCUMENT
    )


@pytest.mark.parametrize("words", [RecurrenceClass, Relation, EstablishedBy, Closing, EpisodeFlag, HoldCode])
def test_every_word_is_explained(words: type[RecurrenceClass]) -> None:
    assert all(f"| `{word.value}` | " in DOCUMENT for word in words)


def test_every_number_stands_with_its_source() -> None:
    numbers = [
        (field.name, getattr(RULEBOOK.parameters, field.name)) for field in fields(RULEBOOK.parameters)
    ]

    assert all(f"| `{name}` | " in DOCUMENT for name, _ in numbers)
    assert all(f" | {number.source} |" in DOCUMENT for _, number in numbers)


def test_another_number_makes_another_document() -> None:
    changed = replace(RULEBOOK.parameters, fever_score_celsius=Number(Decimal("39.1"), "kardaun2007"))

    assert "| `fever_score_celsius` | 39.1 | kardaun2007 |" in rules_document(
        replace(RULEBOOK, parameters=changed)
    )


def test_every_drug_class_and_treatment_stands() -> None:
    names = [
        *(drug.name for drug in RULEBOOK.drugs),
        *(treatment.name for treatment in RULEBOOK.treatments),
        *(group.name for group in RULEBOOK.classes),
    ]

    assert all(f"| {name} | " in DOCUMENT for name in names)


def test_every_source_stands() -> None:
    assert all(f"| {name} | " in DOCUMENT for name in RULEBOOK.sources)
