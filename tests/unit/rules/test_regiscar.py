"""RegiSCAR: every combination of levels against the published table, written out here once more and read apart.

The table: Kardaun SH et al. 2007 and Br J Dermatol 2013;169:1071, as printed in PMC8268599 table 2, PMC11480927
table 2 and WJCC 2019;7:705 table 1. Points for no, yes and unknown; eosinophils and organs have two degrees of yes.
"""

import itertools
from typing import Final

import pytest

from pv_stream.domain.assessment import Category
from pv_stream.domain.ids import FactKey
from pv_stream.rules import regiscar
from pv_stream.rules.regiscar import Documented

PUBLISHED: Final = """
    item                   | no  yes  more  unknown
    fever                  | -1   0   .     -1
    enlarged_lymph_nodes   |  0  +1   .      0
    eosinophils            |  0  +1  +2      0
    atypical_lymphocytes   |  0  +1   .      0
    rash_extent            |  0  +1   .      0
    rash_suggestive        | -1  +1   .      0
    biopsy                 | -1   0   .      0
    organs                 |  0  +1  +2      0
    resolution             | -1   0   .     -1
    exclusion_tests        |  0  +1   .      0
"""
#: The words of the software for no, yes and the second degree of yes.
WORDS: Final = {
    "eosinophils": ("not_raised", "raised", "high"),
    "organs": ("none", "one", "two_or_more"),
}
UNKNOWN: Final = "unknown"
#: < 2 no case, 2-3 possible, 4-5 probable, > 5 definite: every total that there is.
CATEGORIES: Final = {
    **dict.fromkeys((-4, -3, -2, -1, 0, 1), "no_case"),
    **dict.fromkeys((2, 3), "possible"),
    **dict.fromkeys((4, 5), "probable"),
    **dict.fromkeys((6, 7, 8, 9), "definite"),
}


def _published() -> dict[str, dict[str, int]]:
    table = {}
    for line in PUBLISHED.strip().splitlines()[1:]:
        name, _, points = line.partition("|")
        *levels, unknown = points.split()
        words = WORDS.get(name.strip(), ("no", "yes"))
        table[name.strip()] = {
            **{word: int(level) for word, level in zip(words, levels, strict=False) if level != "."},
            UNKNOWN: int(unknown),
        }
    return table


TABLE: Final = _published()


def _points(item: str, level: str) -> tuple[int, int, int]:
    """Return worst, current and best of an item: one level, or any of them when it is unknown."""
    of_level = TABLE[item]
    if level != UNKNOWN:
        return (of_level[level],) * 3
    possible = [points for name, points in of_level.items() if name != UNKNOWN]
    return min(possible), of_level[UNKNOWN], max(possible)


def _documented(item: regiscar.Item, level: str) -> Documented:
    return regiscar.unknown(item) if level == UNKNOWN else regiscar.known(level)


def test_the_software_has_the_items_of_the_table_in_its_order() -> None:
    assert [item.name for item in regiscar.TABLE] == list(TABLE)


@pytest.mark.no_cover
def test_every_combination_of_levels_scores_as_published() -> None:
    choices = [
        [(_documented(item, level), _points(item.name, level)) for level in TABLE[item.name]]
        for item in regiscar.TABLE
    ]
    names = [item.name for item in regiscar.TABLE]
    seen = 0
    for combination in itertools.product(*choices):
        score = regiscar.score(dict(zip(names, (documented for documented, _ in combination), strict=True)))
        worst, current, best = map(sum, zip(*(points for _, points in combination), strict=True))
        assert (score.total.worst, score.total.current, score.total.best) == (worst, current, best)
        assert (score.worst_category, score.current_category, score.best_category) == (
            CATEGORIES[worst],
            CATEGORIES[current],
            CATEGORIES[best],
        )
        seen += 1
    assert seen == 3**8 * 4**2


@pytest.mark.parametrize("item", regiscar.TABLE, ids=lambda item: item.name)
def test_every_set_of_possible_levels_gives_the_exact_interval(item: regiscar.Item) -> None:
    rest = {other.name: regiscar.known(other.levels[0]) for other in regiscar.TABLE}
    for size in range(1, len(item.levels) + 1):
        for possible in itertools.combinations(item.levels, size):
            for current in possible:
                documented = Documented(possible, current, (FactKey("f"),))
                (scored,) = (
                    i for i in regiscar.score({**rest, item.name: documented}).items if i.item == item.name
                )
                points = [TABLE[item.name][level] for level in possible]
                assert (scored.points.worst, scored.points.best) == (min(points), max(points))
                assert scored.points.current == TABLE[item.name][current]
                assert (scored.levels, scored.evidence) == (possible, ("f",))
                assert scored.is_unknown is (size > 1)


def test_the_range_is_minus_four_to_nine() -> None:
    lowest = {item.name: regiscar.known(item.levels[0]) for item in regiscar.TABLE}
    highest = {item.name: regiscar.known(item.levels[-1]) for item in regiscar.TABLE}
    assert regiscar.score(lowest).total.current == -4
    assert regiscar.score(highest).total.current == 9


def test_with_nothing_known_the_score_is_the_unknown_column_and_every_item_is_open() -> None:
    score = regiscar.score({item.name: regiscar.unknown(item) for item in regiscar.TABLE})
    assert (score.total.worst, score.total.current, score.total.best) == (-4, -2, 9)
    assert score.unknown_items == 10


@pytest.mark.parametrize(("total", "category"), CATEGORIES.items())
def test_every_total_has_its_category(total: int, category: str) -> None:
    assert regiscar.category(total) == category


# What public calculators get wrong ------------------------------------------------------------------------------


def test_fever_never_adds_a_point() -> None:
    assert max(regiscar.FEVER.points.values()) == 0


def test_four_and_five_are_probable_and_only_six_is_definite() -> None:
    assert [regiscar.category(total) for total in (3, 4, 5, 6)] == [
        Category.POSSIBLE,
        Category.PROBABLE,
        Category.PROBABLE,
        Category.DEFINITE,
    ]


def test_an_unknown_rash_or_biopsy_costs_nothing_but_unknown_fever_and_resolution_cost_one() -> None:
    assert {item.name: item.unknown for item in regiscar.TABLE if item.unknown} == {
        "fever": -1,
        "resolution": -1,
    }
