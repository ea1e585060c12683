"""Every cell of the clinical tables is expected by some scenario: each level, category, class and word of an alert.

What stands in `IN_UNIT_TESTS_ALONE` cannot be said by a scenario, or needs messages that contradict each other.
"""

from collections.abc import Iterator
from typing import Final

import pytest

from pv_stream.audit.output_words import VOCABULARIES
from pv_stream.audit.traceability import rule_names, shipped_traceability
from pv_stream.domain.criteria import SuspectReason
from pv_stream.rules import who_umc
from pv_stream.rules.regiscar import TABLE, Item
from tests.builders import RULEBOOK
from tests.scenarios.every_case import CASES

#: The fields of an expected line in which the words of a vocabulary stand.
FIELDS: Final = {
    "tier": ("tier",),
    "status": ("status",),
    "category": ("category",),
    "latency": ("latency",),
    "exposure": ("exposure",),
    "established": ("established_by",),
    "class": ("primary", "contributing"),
    "relation": ("relation",),
    "closing": ("closing",),
    "flag": ("flags",),
    "course": ("course",),
    "cause": ("cause",),
    "timeliness": ("timeliness",),
    "jscar_category": ("jscar_category",),
    "truth": ("bocquet",),
}
IN_UNIT_TESTS_ALONE: Final = {
    "flag:assessment_incomplete",  # tests/unit/engine/test_incomplete.py: needs a fault of the software
    "flag:specimen_assumed",  # tests/unit/ingest/hl7v2/test_results.py: messages without a specimen
    "flag:unrecognised_drug",  # tests/unit/rules/test_unwatched.py: a scenario names every drug
    "flag:weak_key",  # tests/unit/ingest/hl7v2/test_results.py: messages without an order number
    "who_umc:unassessable",  # tests/unit/rules/test_who_umc.py: needs records that contradict each other
}


def _values(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        yield from value


def _expected(*fields: str) -> set[str]:
    return {
        value
        for _, case in CASES
        for line in case.expected
        for name in fields
        for value in _values(line.fields.get(name, ()))
    }


@pytest.mark.parametrize("item", TABLE, ids=lambda item: item.name)
def test_every_level_of_a_criterion_of_regiscar_is_expected_and_so_is_unknown(item: Item) -> None:
    found = {
        items[item.name]
        for _, case in CASES
        for line in case.expected
        if isinstance(items := line.fields.get("items"), dict) and item.name in items
    }

    assert set(item.levels) - found == set()
    assert any(" or " in levels for levels in found)


@pytest.mark.parametrize("kind", sorted(FIELDS))
def test_every_word_of_an_alert_is_expected(kind: str) -> None:
    words = next(words for words in VOCABULARIES if words.kind == kind)
    missing = {f"{kind}:{word}" for word in set(words.meanings) - _expected(*FIELDS[kind])}

    assert missing - IN_UNIT_TESTS_ALONE == set()


def test_every_reason_of_a_rank_is_expected() -> None:
    assert {reason.value for reason in SuspectReason} - _expected("reasons") == set()


def test_every_category_of_who_umc_is_expected() -> None:
    missing = {f"who_umc:{row.category.value}" for row in who_umc.ROWS} - {
        f"who_umc:{word}" for word in _expected("who_umc")
    }

    assert missing - IN_UNIT_TESTS_ALONE == set()


@pytest.mark.parametrize(
    "rule",
    [name for name in rule_names(RULEBOOK) if name.partition(":")[0] in {"row", "item", "class", "relation"}],
)
def test_every_row_criterion_class_and_relation_has_a_scenario(rule: str) -> None:
    tests = [test for s in shipped_traceability().statements if rule in s.rules for test in s.tests]

    assert any(test.startswith("scenario:") for test in tests)
