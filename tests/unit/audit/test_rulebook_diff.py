"""What two rulebooks say differently."""

from dataclasses import replace

import pytest

from pv_stream.audit.rulebook_diff import Change, Said, changes_between
from tests.builders import RULEBOOK
from tests.rulebooks import variant


def test_a_rulebook_does_not_differ_from_itself_nor_by_its_name_alone() -> None:
    assert changes_between(RULEBOOK, RULEBOOK) == ()
    assert changes_between(RULEBOOK, variant("another name")) == ()


@pytest.mark.parametrize(
    ("entry", "value", "old", "new"),
    [
        ("parameters.lag_days", "30", Said("28", "UNCONFIRMED"), Said("30", "UNCONFIRMED")),
        ("parameters.fever_score_celsius", "38.6", Said("38.5", "kardaun2007"), Said("38.6", "kardaun2007")),
        ("defaults.threshold_per_ul", "1000", Said("1500", "UNCONFIRMED"), Said("1000", "UNCONFIRMED")),
        (
            "drugs.imatinib.threshold_per_ul",
            "1000",
            Said("1500", "imatinib2021"),
            Said("1000", "UNCONFIRMED"),
        ),
        ("drugs.allopurinol.lag_days", "40", None, Said("40", "UNCONFIRMED")),
    ],
)
def test_a_number_changes_with_its_sources(
    entry: str, value: str, old: Said | None, new: Said | None
) -> None:
    other = variant("other", **{entry.replace(".", "__"): value})
    assert changes_between(RULEBOOK, other) == (Change(entry, old, new),)
    assert changes_between(other, RULEBOOK) == (Change(entry, new, old),)


def test_a_drug_that_only_one_of_them_watches_is_one_change() -> None:
    without = variant("without", drugs__captopril="unwatched")
    (gone,) = changes_between(RULEBOOK, without)
    assert (gone.entry, gone.new) == ("drugs.captopril", None)
    assert gone.old is not None
    assert "names captopril, capoten" in gone.old.value
    (back,) = changes_between(without, RULEBOOK)
    assert (back.entry, back.old, back.new) == ("drugs.captopril", None, gone.old)


def test_a_product_is_named_whatever_stands_in_its_name() -> None:
    without = variant("without", drugs__piperacillin="unwatched")
    entries = [change.entry for change in changes_between(RULEBOOK, without)]
    assert entries == ["drugs.piperacillin", "combinations.piperacillin/tazobactam"]


def test_a_source_that_says_something_else_and_the_limits_of_a_test_are_changes() -> None:
    analyte, limits = next(iter(RULEBOOK.plausibility.items()))
    other = replace(
        RULEBOOK,
        sources={**RULEBOOK.sources, "UNCONFIRMED": "nobody knows"},
        plausibility={**RULEBOOK.plausibility, analyte: replace(limits, maximum=limits.maximum + 1)},
    )
    assert [change.entry for change in changes_between(RULEBOOK, other)] == [
        "sources.UNCONFIRMED",
        f"plausibility.{analyte.value}.maximum",
    ]
