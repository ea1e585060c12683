"""Items: how findings and values become the levels of the RegiSCAR table, at and around every boundary."""

from decimal import Decimal

import pytest

from pv_stream.domain.codes import Comparator, FindingCode
from pv_stream.domain.events import FactArrived
from pv_stream.rules import regiscar
from tests.builders import absent, alt, at, eosinophils, present, temperature
from tests.unit.rules.scenes import documented, levels

YES = (("yes",), "yes")
NO = (("no",), "no")
OPEN = (("no", "yes"), None)

FEATURES = (
    FindingCode.FACIAL_OEDEMA,
    FindingCode.INFILTRATION,
    FindingCode.PURPURA,
    FindingCode.SCALING,
)
TESTS = (
    FindingCode.ANA,
    FindingCode.BLOOD_CULTURE,
    FindingCode.HEPATITIS_SEROLOGY,
    FindingCode.CHLAMYDIA_MYCOPLASMA,
)
ORGANS = (
    FindingCode.LIVER_INVOLVEMENT,
    FindingCode.KIDNEY_INVOLVEMENT,
    FindingCode.LUNG_INVOLVEMENT,
    FindingCode.MUSCLE_HEART_INVOLVEMENT,
    FindingCode.PANCREAS_INVOLVEMENT,
)


@pytest.mark.parametrize("item", regiscar.TABLE, ids=lambda item: item.name)
def test_without_facts_every_level_of_every_item_is_possible(item: regiscar.Item) -> None:
    assert levels(item) == (item.levels, None)


# Fever >= 38.5 °C -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "comparator", "expected"),
    [
        ("38.4", None, NO),
        ("38.49", None, NO),
        ("38.5", None, YES),
        ("38.6", None, YES),
        ("38.5", Comparator.LESS, NO),
        ("38.5", Comparator.LESS_OR_EQUAL, OPEN),
        ("38.4", Comparator.LESS_OR_EQUAL, NO),
        ("39", Comparator.LESS, OPEN),
        ("38.5", Comparator.GREATER_OR_EQUAL, YES),
        ("38.4", Comparator.GREATER_OR_EQUAL, OPEN),
        ("38.4", Comparator.GREATER, OPEN),
        ("38.5", Comparator.GREATER, YES),
    ],
)
def test_fever_is_a_reading_of_38_5_or_more(
    value: str, comparator: Comparator | None, expected: tuple[tuple[str, ...], str | None]
) -> None:
    assert levels(regiscar.FEVER, temperature(value, at(1), comparator=comparator)) == expected


def test_fahrenheit_101_3_is_exactly_38_5_and_counts() -> None:
    celsius = (Decimal("101.3") - 32) * 5 / 9
    assert levels(regiscar.FEVER, temperature(str(celsius), at(1))) == YES


def test_a_later_normal_temperature_does_not_undo_fever() -> None:
    assert levels(regiscar.FEVER, temperature("38.5", at(1)), temperature("36.6", at(2))) == YES


def test_one_reading_that_may_be_fever_leaves_it_open() -> None:
    bound = temperature("39", at(2), comparator=Comparator.LESS)
    assert levels(regiscar.FEVER, temperature("36.6", at(1)), bound) == OPEN


# Lymph nodes at >= 2 sites and > 1 cm ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sites", "size_cm", "expected"),
    [
        (2, "1.1", YES),
        (3, "4", YES),
        (1, "1.1", NO),
        (2, "1", NO),
        (2, "0.9", NO),
        (1, None, NO),
        (None, "1", NO),
        (2, None, OPEN),
        (None, "1.1", OPEN),
        (None, None, OPEN),
    ],
)
def test_nodes_need_two_sites_and_more_than_a_centimetre(
    sites: int | None, size_cm: str | None, expected: tuple[tuple[str, ...], str | None]
) -> None:
    nodes = present(FindingCode.ENLARGED_LYMPH_NODES, at(1), sites=sites, size_cm=size_cm)
    assert levels(regiscar.NODES, nodes) == expected


def test_nodes_documented_as_absent_are_a_no_unless_others_qualify() -> None:
    none = absent(FindingCode.ENLARGED_LYMPH_NODES, at(1))
    assert levels(regiscar.NODES, none) == NO
    assert levels(regiscar.NODES, none, present(FindingCode.ENLARGED_LYMPH_NODES, at(2))) == OPEN
    some = present(FindingCode.ENLARGED_LYMPH_NODES, at(2), sites=2, size_cm="2")
    assert levels(regiscar.NODES, none, some) == YES


def test_nodes_of_one_site_each_may_be_nodes_of_two_sites() -> None:
    one, other = (
        present(FindingCode.ENLARGED_LYMPH_NODES, at(day), sites=1, size_cm="2", key=f"node {day}")
        for day in (1, 2)
    )
    assert levels(regiscar.NODES, one, other) == OPEN
    assert documented(regiscar.NODES, one, other).evidence == (one.version.key,)


# Simple findings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "code"),
    [
        pytest.param(
            regiscar.ATYPICAL_LYMPHOCYTES, FindingCode.ATYPICAL_LYMPHOCYTES, id="atypical lymphocytes"
        ),
        pytest.param(regiscar.BIOPSY, FindingCode.BIOPSY_SUGGESTS_DRESS, id="biopsy"),
    ],
)
def test_a_finding_is_yes_when_it_was_ever_present_and_no_when_only_absent(
    item: regiscar.Item, code: FindingCode
) -> None:
    assert levels(item, present(code, at(1))) == YES
    assert levels(item, absent(code, at(1))) == NO
    assert levels(item, present(code, at(1)), absent(code, at(2))) == YES


# Rash -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("surface", "expected"), [(49, NO), (50, NO), ("50.1", YES), (51, YES), (100, YES), (None, OPEN)]
)
def test_the_extent_is_more_than_half_of_the_body_surface_only_where_it_was_stated(
    surface: int | str | None, expected: tuple[tuple[str, ...], str | None]
) -> None:
    assert levels(regiscar.RASH_EXTENT, present(FindingCode.RASH, at(1), surface=surface)) == expected


def test_a_skin_without_rash_has_no_extent_but_a_rash_of_unknown_extent_leaves_it_open() -> None:
    none, some = absent(FindingCode.RASH, at(1)), present(FindingCode.RASH, at(2))
    small = present(FindingCode.RASH, at(3), surface=10)
    assert levels(regiscar.RASH_EXTENT, none) == NO
    assert levels(regiscar.RASH_EXTENT, none, some) == OPEN
    assert levels(regiscar.RASH_EXTENT, some, small) == OPEN
    assert levels(regiscar.RASH_EXTENT, some, small, present(FindingCode.RASH, at(4), surface=60)) == YES


@pytest.mark.parametrize(
    ("seen", "missing"), [(seen, missing) for seen in range(5) for missing in range(5 - seen)]
)
def test_a_rash_suggests_dress_with_two_of_four_features_and_does_not_when_all_are_documented(
    seen: int, missing: int
) -> None:
    events = [present(code, at(1)) for code in FEATURES[:seen]]
    events += [absent(code, at(1)) for code in FEATURES[seen : seen + missing]]
    expected = YES if seen >= 2 else NO if seen + missing == len(FEATURES) else OPEN
    assert levels(regiscar.RASH_SUGGESTIVE, *events) == expected


def test_a_feature_that_came_and_went_was_there() -> None:
    events = [present(FEATURES[0], at(1)), present(FEATURES[1], at(1)), absent(FEATURES[0], at(3))]
    assert levels(regiscar.RASH_SUGGESTIVE, *events) == YES


# Organs ---------------------------------------------------------------------------------------------------------


def _normal(*but: FindingCode) -> list[FactArrived]:
    return [absent(code, at(1)) for code in ORGANS if code not in but]


EXCLUDED = present(FindingCode.OTHER_CAUSES_EXCLUDED, at(2))
ALTERNATIVE = absent(FindingCode.OTHER_CAUSES_EXCLUDED, at(2))
LIVER = present(FindingCode.LIVER_INVOLVEMENT, at(1))
LUNG = present(FindingCode.LUNG_INVOLVEMENT, at(1))
KIDNEY = present(FindingCode.KIDNEY_INVOLVEMENT, at(1))
OTHER = present(FindingCode.OTHER_ORGAN_INVOLVEMENT, at(1))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([LIVER], (("none", "one", "two_or_more"), "one"), id="one, other causes open"),
        pytest.param([LIVER, EXCLUDED], (("one", "two_or_more"), "one"), id="one, other causes excluded"),
        pytest.param([LIVER, LUNG, EXCLUDED], (("two_or_more",), "two_or_more"), id="two, excluded"),
        pytest.param(
            [LIVER, LUNG, KIDNEY, EXCLUDED], (("two_or_more",), "two_or_more"), id="three, excluded"
        ),
        pytest.param(
            [LIVER, LUNG], (("none", "one", "two_or_more"), "two_or_more"), id="two, other causes open"
        ),
        pytest.param(
            [LIVER, *_normal(FindingCode.LIVER_INVOLVEMENT)],
            (("none", "one"), "one"),
            id="one, all others normal",
        ),
        pytest.param(
            [LIVER, EXCLUDED, *_normal(FindingCode.LIVER_INVOLVEMENT)], (("one",), "one"), id="exactly one"
        ),
        pytest.param(
            [LIVER, EXCLUDED, *_normal(FindingCode.LIVER_INVOLVEMENT, FindingCode.PANCREAS_INVOLVEMENT)],
            (("one", "two_or_more"), "one"),
            id="one, pancreas not looked at",
        ),
        pytest.param(_normal(), (("none",), "none"), id="all five normal"),
        pytest.param(
            _normal(FindingCode.LUNG_INVOLVEMENT),
            (("none", "one", "two_or_more"), None),
            id="four of five normal",
        ),
        pytest.param([OTHER, EXCLUDED, *_normal()], (("one",), "one"), id="another organ counts"),
        pytest.param([LIVER, ALTERNATIVE], (("none",), "none"), id="an alternative cause is recorded"),
        pytest.param(
            [LIVER, present(FindingCode.ANA, at(2))],
            (("none",), "none"),
            id="a positive test is another cause",
        ),
    ],
)
def test_organs_are_those_proven_less_what_may_have_another_cause(
    events: list[FactArrived], expected: tuple[tuple[str, ...], str | None]
) -> None:
    assert levels(regiscar.ORGANS, *events) == expected


def test_one_note_of_another_cause_is_named() -> None:
    again = absent(FindingCode.OTHER_CAUSES_EXCLUDED, at(3))
    found = documented(regiscar.ORGANS, LIVER, ALTERNATIVE, again)
    assert (found.current, found.evidence) == ("none", (ALTERNATIVE.version.key,))


def test_a_value_proves_an_organ_but_a_normal_one_does_not_clear_it() -> None:
    others = _normal(FindingCode.LIVER_INVOLVEMENT)
    assert levels(regiscar.ORGANS, alt(100, at(1)), EXCLUDED, *others) == (("one",), "one")
    assert levels(regiscar.ORGANS, alt(20, at(1)), *others) == (("none", "one", "two_or_more"), None)


def test_one_organ_shown_twice_is_one() -> None:
    both = (LIVER, alt(400, at(1)), EXCLUDED, *_normal(FindingCode.LIVER_INVOLVEMENT))
    assert levels(regiscar.ORGANS, *both) == (("one",), "one")


# Resolution in >= 15 days ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("day", "expected"), [(14, None), (15, "yes"), (16, "yes")])
def test_a_sign_on_or_after_the_fifteenth_day_is_a_yes(day: int, expected: str | None) -> None:
    assert documented(regiscar.RESOLUTION, present(FindingCode.RASH, at(day))).current == expected


@pytest.mark.parametrize(("day", "expected"), [(14, "no"), (15, None), (16, None)])
def test_a_documented_resolution_before_the_fifteenth_day_is_a_no(day: int, expected: str | None) -> None:
    resolved = present(FindingCode.REACTION_RESOLVED, at(day))
    found = documented(regiscar.RESOLUTION, resolved, resolved_at=at(day))
    assert found.current == expected


def test_days_are_calendar_days_so_the_hour_of_the_onset_does_not_matter() -> None:
    late = present(FindingCode.RASH, at(15, 0, 1))
    assert documented(regiscar.RESOLUTION, late, onset=at(0, 23, 59)).current == "yes"


def test_one_note_of_the_resolution_is_named() -> None:
    first, second = (present(FindingCode.REACTION_RESOLVED, at(day)) for day in (9, 10))
    found = documented(regiscar.RESOLUTION, first, second, resolved_at=at(9))
    assert (found.current, found.evidence) == ("no", (first.version.key,))


def test_silence_settles_nothing() -> None:
    assert documented(regiscar.RESOLUTION, absent(FindingCode.RASH, at(30))).current is None


# Exclusion tests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("negative", range(5))
def test_three_of_four_groups_done_and_none_positive_is_a_yes(negative: int) -> None:
    events = [absent(code, at(1)) for code in TESTS[:negative]]
    assert levels(regiscar.EXCLUSION_TESTS, *events) == (YES if negative >= 3 else OPEN)


@pytest.mark.parametrize("code", TESTS)
def test_any_positive_test_is_a_no(code: FindingCode) -> None:
    others = [absent(other, at(1)) for other in TESTS if other is not code]
    assert levels(regiscar.EXCLUSION_TESTS, present(code, at(1)), *others) == NO
    assert levels(regiscar.EXCLUSION_TESTS, present(code, at(2)), absent(code, at(1)), *others) == NO


# What decided an item ---------------------------------------------------------------------------------------------

LOW_FEVER, FEVER, HIGH_FEVER = (
    temperature(value, at(day)) for value, day in (("37", 1), ("39", 2), ("40", 3))
)
SMALL, LARGE = (
    present(FindingCode.ENLARGED_LYMPH_NODES, at(day), sites=2, size_cm=size, key=f"node {day}")
    for day, size in ((1, "0.5"), (2, "2"))
)
FACE, LEGS_NOT, FLAT, SCALES_NOT = (
    present(FindingCode.FACIAL_OEDEMA, at(1)),
    absent(FindingCode.PURPURA, at(1)),
    absent(FindingCode.INFILTRATION, at(1)),
    absent(FindingCode.SCALING, at(1)),
)
SCALES = present(FindingCode.SCALING, at(2))
RASH_GONE = absent(FindingCode.RASH, at(1))
RASH_OF_60, RASH_OF_20 = (present(FindingCode.RASH, at(day), surface=day) for day in (60, 20))
LIVER, LATER_LIVER, LUNG = (
    present(FindingCode.LIVER_INVOLVEMENT, at(1)),
    present(FindingCode.LIVER_INVOLVEMENT, at(2)),
    present(FindingCode.LUNG_INVOLVEMENT, at(2)),
)
NORMAL = tuple(absent(code, at(1)) for code in ORGANS)
ANA, CULTURE, HEPATITIS = (absent(code, at(1)) for code in TESTS[:3])
POSITIVE = present(FindingCode.CHLAMYDIA_MYCOPLASMA, at(1))
NOT_EXCLUDED, NOT_EXCLUDED_AGAIN = (absent(FindingCode.OTHER_CAUSES_EXCLUDED, at(day)) for day in (1, 2))
ATYPICAL, NOT_ATYPICAL = (
    present(FindingCode.ATYPICAL_LYMPHOCYTES, at(2)),
    absent(FindingCode.ATYPICAL_LYMPHOCYTES, at(1)),
)


@pytest.mark.parametrize(
    ("item", "said", "decided"),
    [
        pytest.param(regiscar.ATYPICAL_LYMPHOCYTES, (NOT_ATYPICAL, ATYPICAL), (ATYPICAL,), id="present"),
        pytest.param(regiscar.ATYPICAL_LYMPHOCYTES, (NOT_ATYPICAL,), (NOT_ATYPICAL,), id="absent"),
        pytest.param(regiscar.FEVER, (LOW_FEVER, FEVER, HIGH_FEVER), (FEVER,), id="the first fever"),
        pytest.param(regiscar.FEVER, (LOW_FEVER,), (LOW_FEVER,), id="no fever"),
        pytest.param(regiscar.NODES, (SMALL, LARGE), (LARGE,), id="the nodes that qualify"),
        pytest.param(regiscar.NODES, (SMALL,), (SMALL,), id="nodes too small"),
        pytest.param(regiscar.RASH_EXTENT, (RASH_OF_20, RASH_OF_60), (RASH_OF_60,), id="the larger rash"),
        pytest.param(regiscar.RASH_EXTENT, (RASH_OF_20,), (RASH_OF_20,), id="a small rash"),
        pytest.param(regiscar.RASH_EXTENT, (RASH_GONE,), (RASH_GONE,), id="no rash"),
        pytest.param(regiscar.RASH_SUGGESTIVE, (FACE, SCALES), (FACE, SCALES), id="two features"),
        pytest.param(
            regiscar.RASH_SUGGESTIVE,
            (FACE, LEGS_NOT, FLAT, SCALES_NOT),
            (FACE, LEGS_NOT, FLAT, SCALES_NOT),
            id="one feature of four",
        ),
        pytest.param(regiscar.RASH_SUGGESTIVE, (FACE, LEGS_NOT), (FACE,), id="one feature, others unknown"),
        pytest.param(
            regiscar.ORGANS, (LIVER, LATER_LIVER, LUNG), (LIVER, LUNG), id="each organ's first sign"
        ),
        pytest.param(regiscar.ORGANS, NORMAL, NORMAL, id="all organs normal"),
        pytest.param(regiscar.ORGANS, (LIVER, POSITIVE), (POSITIVE,), id="another cause"),
        pytest.param(
            regiscar.ORGANS,
            (LIVER, NOT_EXCLUDED, NOT_EXCLUDED_AGAIN),
            (NOT_EXCLUDED,),
            id="causes not excluded",
        ),
        pytest.param(
            regiscar.EXCLUSION_TESTS, (ANA, CULTURE, HEPATITIS), (ANA, CULTURE, HEPATITIS), id="three tests"
        ),
        pytest.param(regiscar.EXCLUSION_TESTS, (ANA, POSITIVE), (POSITIVE,), id="a positive test"),
        pytest.param(regiscar.EXCLUSION_TESTS, (ANA,), (ANA,), id="too few tests"),
    ],
)
def test_an_item_names_the_facts_that_decided_it(
    item: regiscar.Item, said: tuple[FactArrived, ...], decided: tuple[FactArrived, ...]
) -> None:
    assert set(documented(item, *said).evidence) == {each.version.key for each in decided}


def test_the_sign_that_goes_on_and_the_resolution_are_named() -> None:
    rash, resolved = present(FindingCode.RASH, at(15)), present(FindingCode.REACTION_RESOLVED, at(10))
    assert documented(regiscar.RESOLUTION, rash).evidence == (rash.version.key,)
    found = documented(regiscar.RESOLUTION, resolved, resolved_at=at(10))
    assert found.evidence == (resolved.version.key,)


def test_the_peak_count_is_named() -> None:
    counts = [eosinophils(value, at(day)) for day, value in enumerate((900, 2000, 1600))]
    assert documented(regiscar.EOSINOPHILS, *counts).evidence == (counts[1].version.key,)
