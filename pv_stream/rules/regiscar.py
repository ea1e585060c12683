"""RegiSCAR: the table of Kardaun 2007/2013, scored over sets of levels that are still possible.

The table is data; one evaluator scores it. Every item is a set of possible levels, so a total is the exact interval
[worst, current, best]: unknown is not no. `current` uses the level that is documented, or the table's own column
for unknown. How facts become levels is `rules.items`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pv_stream.domain.assessment import Category, ItemScore, Points, Score
from pv_stream.domain.ids import FactKey
from pv_stream.rules.rulebook import Parameters
from pv_stream.rules.wording import worded

YES: Final = "yes"
NO: Final = "no"


@dataclass(frozen=True, slots=True)
class Item:
    """Hold one row of the table: the points of each level, lowest level first, and those of unknown.

    `wording` names the parameters of the rulebook that are in it.
    """

    name: str
    points: Mapping[str, int]
    unknown: int
    wording: str

    def title(self, parameters: Parameters) -> str:
        """Return the item in words, with the numbers of a rulebook."""
        return worded(self.wording, parameters)

    @property
    def levels(self) -> tuple[str, ...]:
        """Return every level, lowest first."""
        return tuple(self.points)


FEVER: Final = Item("fever", {NO: -1, YES: 0}, -1, "Fever >= {fever_score_celsius} °C")
NODES: Final = Item(
    "enlarged_lymph_nodes",
    {NO: 0, YES: 1},
    0,
    "Enlarged lymph nodes (>= {lymph_node_sites_min} sites, > {lymph_node_size_cm} cm)",
)
EOSINOPHILS: Final = Item(
    "eosinophils",
    {"not_raised": 0, "raised": 1, "high": 2},
    0,
    "Eosinophils >= {eosinophils_low_per_ul}/µL or >= {eosinophils_low_percent} %, >= {eosinophils_high_per_ul}/µL or "
    ">= {eosinophils_high_percent} % (percentages if leukocytes < {leukocytes_guard_per_ul}/µL)",
)
ATYPICAL_LYMPHOCYTES: Final = Item("atypical_lymphocytes", {NO: 0, YES: 1}, 0, "Atypical lymphocytes")
RASH_EXTENT: Final = Item("rash_extent", {NO: 0, YES: 1}, 0, "Rash > {rash_extent_percent} % of body surface")
RASH_SUGGESTIVE: Final = Item(
    "rash_suggestive",
    {NO: -1, YES: 1},
    0,
    "Rash suggesting DRESS (>= {rash_features_min} of facial oedema, infiltration, purpura other than on the legs, "
    "scaling)",
)
BIOPSY: Final = Item("biopsy", {NO: -1, YES: 0}, 0, "Biopsy suggesting DRESS")
ORGANS: Final = Item("organs", {"none": 0, "one": 1, "two_or_more": 2}, 0, "Internal organs involved")
RESOLUTION: Final = Item("resolution", {NO: -1, YES: 0}, -1, "Resolution in >= {resolution_days} days")
EXCLUSION_TESTS: Final = Item(
    "exclusion_tests", {NO: 0, YES: 1}, 0, ">= {exclusion_tests_min} exclusion tests done and none positive"
)

TABLE: Final = (
    FEVER,
    NODES,
    EOSINOPHILS,
    ATYPICAL_LYMPHOCYTES,
    RASH_EXTENT,
    RASH_SUGGESTIVE,
    BIOPSY,
    ORGANS,
    RESOLUTION,
    EXCLUSION_TESTS,
)

#: Highest total of each category but the last: < 2 no case, 2-3 possible, 4-5 probable, > 5 definite.
_CATEGORY_UP_TO: Final = (
    (1, Category.NO_CASE),
    (3, Category.POSSIBLE),
    (5, Category.PROBABLE),
)


#: The levels that stand for numbers or for several words.
_LEVELS: Final = {
    "not_raised": "below {eosinophils_low_per_ul}/µL",
    "raised": "from {eosinophils_low_per_ul} to below {eosinophils_high_per_ul}/µL",
    "high": "{eosinophils_high_per_ul}/µL or more",
    "two_or_more": "two or more",
}


def level_title(level: str, parameters: Parameters) -> str:
    """Return a level of an item in words, with the numbers of a rulebook."""
    return worded(_LEVELS.get(level, level), parameters)


@dataclass(frozen=True, slots=True)
class Documented:
    """Hold what is documented of one item.

    `possible` are the levels that may be true; `current` is the documented one, or None when it is unknown.
    """

    possible: tuple[str, ...]
    current: str | None
    evidence: tuple[FactKey, ...] = ()


def known(level: str, *evidence: FactKey) -> Documented:
    """Return an item of which one level is documented."""
    return Documented((level,), level, evidence)


def unknown(item: Item, *evidence: FactKey) -> Documented:
    """Return an item of which nothing is documented that settles it."""
    return Documented(item.levels, None, evidence)


def category(total: int) -> Category:
    """Return the category of a total (Kardaun 2007): 4 and 5 are probable, only more is definite."""
    for highest, name in _CATEGORY_UP_TO:
        if total <= highest:
            return name
    return Category.DEFINITE


def score(documented: Mapping[str, Documented]) -> Score:
    """Score the whole table; `documented` holds every item by name."""
    items = tuple(_score_item(item, documented[item.name]) for item in TABLE)
    total = Points(
        worst=sum(item.points.worst for item in items),
        current=sum(item.points.current for item in items),
        best=sum(item.points.best for item in items),
    )
    return Score(
        total,
        category(total.worst),
        category(total.current),
        category(total.best),
        items,
    )


def _score_item(item: Item, documented: Documented) -> ItemScore:
    levels = tuple(level for level in item.levels if level in documented.possible)
    points = [item.points[level] for level in levels]
    worst, best = min(points), max(points)
    current = item.unknown if documented.current is None else item.points[documented.current]
    # A bound such as ">800" settles no level but proves the lower ones: current is never outside the interval.
    return ItemScore(
        item.name, levels, Points(worst, min(max(current, worst), best), best), documented.evidence
    )
