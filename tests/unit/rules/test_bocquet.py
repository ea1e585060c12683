"""Bocquet 1996: each part and the whole, met, unmet and unknown, at and around every boundary."""

import pytest

from pv_stream.domain.codes import Analyte, Comparator, FindingCode
from pv_stream.domain.criteria import Bocquet, Truth
from pv_stream.domain.events import FactArrived
from tests.builders import (
    absent,
    alt,
    at,
    dose,
    eosinophils,
    measured,
    only_episode,
    present,
    statement,
    temperature,
)

MET, UNMET, UNKNOWN = Truth.MET, Truth.UNMET, Truth.UNKNOWN
GIVEN = statement("imatinib", at(0))
RASH = present(FindingCode.RASH, at(25))
NODES = FindingCode.ENLARGED_LYMPH_NODES


def bocquet(*events: FactArrived) -> Bocquet:
    return only_episode(GIVEN, *events).criteria.bocquet


def part(name: str, *events: FactArrived) -> Truth:
    return next(part.truth for part in bocquet(RASH, *events).parts if part.name == name)


@pytest.mark.parametrize("code", [FindingCode.RASH, FindingCode.MACULOPAPULAR_RASH, FindingCode.SCALING])
def test_any_eruption_under_a_suspect_drug_is_a_drug_eruption(code: FindingCode) -> None:
    assert bocquet(present(code, at(25))).parts[0].truth is MET


def test_no_eruption_must_be_documented() -> None:
    count = eosinophils(1600, at(25))
    assert bocquet(count).parts[0].truth is UNKNOWN
    assert bocquet(count, absent(FindingCode.RASH, at(25))).parts[0].truth is UNMET


@pytest.mark.parametrize(
    ("size_cm", "expected"), [("1.9", UNKNOWN), ("2", MET), ("2.1", MET), (None, UNKNOWN)]
)
def test_nodes_count_from_2_cm(size_cm: str | None, expected: Truth) -> None:
    assert part("systemic", present(NODES, at(26), size_cm=size_cm)) is expected


@pytest.mark.parametrize(("value", "expected"), [(79, UNKNOWN), (80, MET)])
@pytest.mark.parametrize("analyte", [Analyte.ALT, Analyte.AST])
def test_transaminases_count_from_twice_the_upper_limit(
    analyte: Analyte, value: int, expected: Truth
) -> None:
    assert part("systemic", measured(analyte, value, at(26))) is expected


def test_an_alt_that_was_as_high_before_the_drug_settles_nothing() -> None:
    assert part("systemic", alt(150, at(-5)), alt(160, at(26))) is UNKNOWN
    assert part("systemic", alt(150, at(-5)), alt(300, at(26))) is MET


@pytest.mark.parametrize(
    "code", [FindingCode.INTERSTITIAL_NEPHRITIS, FindingCode.INTERSTITIAL_PNEUMONITIS, FindingCode.CARDITIS]
)
def test_each_named_disease_counts(code: FindingCode) -> None:
    assert part("systemic", present(code, at(26))) is MET


def test_an_involved_organ_is_not_the_named_disease() -> None:
    assert part("systemic", present(FindingCode.KIDNEY_INVOLVEMENT, at(26))) is UNKNOWN


NORMAL = (
    absent(NODES, at(26)),
    alt(79, at(26)),
    measured(Analyte.AST, 79, at(26)),
    absent(FindingCode.KIDNEY_INVOLVEMENT, at(26)),
    absent(FindingCode.INTERSTITIAL_PNEUMONITIS, at(26)),
    absent(FindingCode.MUSCLE_HEART_INVOLVEMENT, at(26)),
)


def test_no_systemic_sign_needs_every_one_documented() -> None:
    assert part("systemic", *NORMAL) is UNMET
    for left_out in NORMAL:
        assert part("systemic", *(event for event in NORMAL if event is not left_out)) is UNKNOWN


def test_small_nodes_are_documented_as_no_large_ones() -> None:
    assert part("systemic", present(NODES, at(26), size_cm="1.9"), *NORMAL[1:]) is UNMET


@pytest.mark.parametrize(
    ("value", "comparator", "expected"),
    [
        (1499, None, UNKNOWN),
        (1500, None, MET),
        (1500, Comparator.LESS_OR_EQUAL, UNKNOWN),
        (1500, Comparator.GREATER_OR_EQUAL, MET),
    ],
)
def test_eosinophils_count_from_1_500(value: int, comparator: Comparator | None, expected: Truth) -> None:
    assert part("blood", eosinophils(value, at(26), comparator=comparator)) is expected


@pytest.mark.parametrize(
    ("percent", "expected"), [("0", UNMET), ("0.1", UNKNOWN), ("5", UNKNOWN), ("5.1", MET)]
)
def test_atypical_lymphocytes_by_percentage(percent: str, expected: Truth) -> None:
    sent = measured(Analyte.ATYPICAL_LYMPHOCYTES_PERCENT, percent, at(26))
    assert part("blood", sent, eosinophils(600, at(26))) is expected


def test_atypical_lymphocytes_that_were_seen_count() -> None:
    seen, few = present(FindingCode.ATYPICAL_LYMPHOCYTES, at(26)), eosinophils(600, at(26))
    assert part("blood", seen, few) is MET
    assert part("blood", absent(FindingCode.ATYPICAL_LYMPHOCYTES, at(26)), few) is UNMET
    assert part("blood", few) is UNKNOWN


def test_a_low_count_under_masking_is_no_low_count() -> None:
    none_seen = absent(FindingCode.ATYPICAL_LYMPHOCYTES, at(26))
    treated = dose("reslizumab", at(20))
    assert part("blood", none_seen, eosinophils(600, at(26)), treated) is UNKNOWN
    assert part("blood", none_seen, eosinophils(1500, at(26)), treated) is MET


def test_the_whole_needs_all_three_parts() -> None:
    high, liver = eosinophils(1500, at(26)), alt(80, at(26))
    assert bocquet(RASH, high, liver).whole is MET
    assert bocquet(RASH, high).whole is UNKNOWN
    assert bocquet(RASH, liver).whole is UNKNOWN
    assert bocquet(high, liver).whole is UNKNOWN
    assert bocquet(RASH, high, *NORMAL).whole is UNMET


def test_without_a_suspect_drug_an_eruption_is_not_known_to_be_one_of_a_drug() -> None:
    signs = (
        RASH,
        present(FindingCode.FACIAL_OEDEMA, at(25)),
        present(FindingCode.SCALING, at(25)),
        eosinophils(1600, at(25)),
        present(FindingCode.ATYPICAL_LYMPHOCYTES, at(25)),
        temperature("38.5", at(25)),
        alt(200, at(25)),
    )
    found = only_episode(*signs).criteria
    assert [part.truth for part in found.bocquet.parts] == [UNKNOWN, MET, MET]
    assert found.causality == ()
