"""J-SCAR/DIHS (PMC7927043): each of the seven criteria met, unmet and unknown, at and around every boundary."""

import pytest

from pv_stream.domain.codes import Analyte, Comparator, FindingCode
from pv_stream.domain.criteria import JscarCategory, Truth
from pv_stream.domain.events import FactArrived
from pv_stream.domain.times import Interval
from pv_stream.rules.jscar import TABLE, category
from pv_stream.rules.judging import Row
from tests.builders import (
    absent,
    alt,
    at,
    creatinine,
    dose,
    eosinophils,
    leukocytes,
    measured,
    only_episode,
    order,
    percent,
    present,
    statement,
    stop,
    temperature,
)

MET, UNMET, UNKNOWN = Truth.MET, Truth.UNMET, Truth.UNKNOWN
GIVEN = statement("imatinib", at(0))
#: A candidate episode, open from day 25 on, that settles no criterion.
OPENING = present(FindingCode.FACIAL_OEDEMA, at(25))


def truth_of(name: str, *events: FactArrived) -> Truth:
    criteria = only_episode(GIVEN, OPENING, *events).criteria.jscar.criteria
    return next(criterion.truth for criterion in criteria if criterion.name == name)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_without_facts_each_criterion_is_unknown(row: Row) -> None:
    assert truth_of(row.name) is UNKNOWN


# 1 Maculopapular rash ---------------------------------------------------------------------------------------------


def late_rash(*events: FactArrived) -> Truth:
    return only_episode(*events).criteria.jscar.criteria[0].truth


@pytest.mark.parametrize(("day", "expected"), [(20, UNMET), (21, UNMET), (22, MET)])
def test_the_rash_comes_more_than_21_days_after_the_start(day: int, expected: Truth) -> None:
    assert late_rash(GIVEN, present(FindingCode.MACULOPAPULAR_RASH, at(day))) is expected


def test_the_first_rash_counts_not_a_later_note_of_it() -> None:
    early, late = (present(FindingCode.MACULOPAPULAR_RASH, at(day)) for day in (20, 30))
    assert late_rash(GIVEN, early, late) is UNMET


def test_a_rash_of_unstated_form_leaves_it_open() -> None:
    assert late_rash(GIVEN, present(FindingCode.RASH, at(25))) is UNKNOWN


@pytest.mark.parametrize(("day", "expected"), [(21, UNKNOWN), (22, MET)])
def test_an_earlier_rash_of_unstated_form_may_be_the_same(day: int, expected: Truth) -> None:
    rash = present(FindingCode.MACULOPAPULAR_RASH, at(25))
    assert late_rash(GIVEN, present(FindingCode.RASH, at(day)), rash) is expected


@pytest.mark.parametrize(("day", "expected"), [(21, UNKNOWN), (22, MET)])
def test_an_earlier_rash_known_to_some_days_began_on_the_first_of_them_perhaps(
    day: int, expected: Truth
) -> None:
    unstated = present(FindingCode.RASH, Interval(at(day), at(24)))
    assert late_rash(GIVEN, unstated, present(FindingCode.MACULOPAPULAR_RASH, at(25))) is expected


def test_one_rash_of_unstated_form_is_named() -> None:
    first, second = (present(FindingCode.RASH, at(day)) for day in (25, 26))
    assert only_episode(GIVEN, first, second).criteria.jscar.criteria[0].evidence == (first.version.key,)


@pytest.mark.parametrize("code", [FindingCode.MACULOPAPULAR_RASH, FindingCode.RASH])
def test_no_rash_must_be_documented(code: FindingCode) -> None:
    assert truth_of("late_maculopapular_rash", absent(code, at(26))) is UNMET
    assert (
        truth_of("late_maculopapular_rash", absent(code, at(26)), present(FindingCode.RASH, at(27)))
        is UNKNOWN
    )


def test_a_start_known_to_a_month_or_from_an_order_settles_only_what_it_must() -> None:
    rash = present(FindingCode.MACULOPAPULAR_RASH, at(30))
    assert late_rash(dose("imatinib", Interval(at(0), at(20))), rash) is UNKNOWN
    assert late_rash(dose("imatinib", Interval(at(0), at(8))), rash) is MET
    assert late_rash(dose("imatinib", Interval(at(9), at(15))), rash) is UNMET
    assert late_rash(order("imatinib", at(0)), rash) is UNKNOWN


def test_of_two_drugs_of_one_rank_both_must_agree() -> None:
    rash = present(FindingCode.MACULOPAPULAR_RASH, at(30))
    assert late_rash(GIVEN, statement("allopurinol", at(1)), rash) is MET
    assert late_rash(GIVEN, statement("allopurinol", at(15)), rash) is UNKNOWN


def test_a_less_suspect_drug_is_not_asked() -> None:
    rash = present(FindingCode.MACULOPAPULAR_RASH, at(30))
    assert late_rash(GIVEN, statement("allopurinol", at(27)), rash) is MET


# 2 Persistence ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("day", "expected"), [(43, UNKNOWN), (44, MET)])
def test_a_sign_14_days_after_the_stop_is_persistence(day: int, expected: Truth) -> None:
    signs = (present(FindingCode.SCALING, at(day, 7)), stop("imatinib", at(30)))
    assert truth_of("persistence_after_stop", *signs, present(FindingCode.SCALING, at(35))) is expected


@pytest.mark.parametrize(("day", "expected"), [(43, UNMET), (44, UNKNOWN)])
def test_a_resolution_before_that_day_says_no(day: int, expected: Truth) -> None:
    resolved = present(FindingCode.REACTION_RESOLVED, at(day))
    assert truth_of("persistence_after_stop", stop("imatinib", at(30)), resolved) is expected


def test_persistence_names_the_stop_and_the_sign_or_the_resolution() -> None:
    stopped = stop("imatinib", at(30))
    course = (GIVEN, dose("imatinib", at(5)), dose("imatinib", at(10)), stopped, OPENING)
    late = present(FindingCode.SCALING, at(44))
    scaling = present(FindingCode.SCALING, at(35))
    assert _persistence_evidence(*course, scaling, late) == (stopped.version.key, late.version.key)
    first, second = (present(FindingCode.REACTION_RESOLVED, at(day)) for day in (40, 41))
    assert _persistence_evidence(*course, first, second) == (stopped.version.key, first.version.key)


def _persistence_evidence(*events: FactArrived) -> tuple[str, ...]:
    return only_episode(*events).criteria.jscar.criteria[1].evidence


def test_without_a_recorded_stop_persistence_is_not_known() -> None:
    signs = (present(FindingCode.SCALING, at(day)) for day in (35, 45))
    assert truth_of("persistence_after_stop", *signs) is UNKNOWN


def test_signs_under_the_drug_given_again_are_no_persistence() -> None:
    scaling = present(FindingCode.SCALING, at(35))
    again = (scaling, stop("imatinib", at(30)), statement("imatinib", at(40)))
    assert truth_of("persistence_after_stop", *again, present(FindingCode.SCALING, at(45))) is UNKNOWN
    resolved = present(FindingCode.REACTION_RESOLVED, at(41))
    assert truth_of("persistence_after_stop", *again, resolved) is UNKNOWN


def test_what_is_seen_at_the_very_restart_is_no_answer() -> None:
    scaling, stopped = present(FindingCode.SCALING, at(35)), stop("imatinib", at(30))
    sign = (statement("imatinib", at(44)), present(FindingCode.SCALING, at(44)))
    assert truth_of("persistence_after_stop", scaling, stopped, *sign) is UNKNOWN
    resolved = (statement("imatinib", at(41)), present(FindingCode.REACTION_RESOLVED, at(41)))
    assert truth_of("persistence_after_stop", scaling, stopped, *resolved) is UNKNOWN


# 3 Fever ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "comparator", "expected"),
    [
        ("37.9", None, UNMET),
        ("38.0", None, UNMET),
        ("38.1", None, MET),
        ("38.0", Comparator.GREATER, MET),
        ("38.0", Comparator.GREATER_OR_EQUAL, UNKNOWN),
    ],
)
def test_fever_is_above_38_0(value: str, comparator: Comparator | None, expected: Truth) -> None:
    assert truth_of("fever", temperature(value, at(26), comparator=comparator)) is expected


def test_a_later_normal_temperature_undoes_no_fever() -> None:
    assert truth_of("fever", temperature("38.1", at(26)), temperature("36.6", at(27))) is MET


# 4 Organ ----------------------------------------------------------------------------------------------------------

ORGANS = (
    FindingCode.KIDNEY_INVOLVEMENT,
    FindingCode.LUNG_INVOLVEMENT,
    FindingCode.MUSCLE_HEART_INVOLVEMENT,
    FindingCode.PANCREAS_INVOLVEMENT,
)


@pytest.mark.parametrize(("value", "expected"), [(99, UNMET), (100, UNMET), (101, MET)])
def test_alt_counts_above_100(value: int, expected: Truth) -> None:
    normal = (absent(code, at(26)) for code in ORGANS)
    assert truth_of("organ", alt(value, at(26)), *normal) is expected


@pytest.mark.parametrize(
    "code",
    [
        *ORGANS,
        FindingCode.LIVER_INVOLVEMENT,
        FindingCode.OTHER_ORGAN_INVOLVEMENT,
        FindingCode.INTERSTITIAL_NEPHRITIS,
        FindingCode.CARDITIS,
    ],
)
def test_any_other_organ_counts(code: FindingCode) -> None:
    assert truth_of("organ", alt(30, at(26)), present(code, at(26))) is MET


def test_a_rise_of_creatinine_counts() -> None:
    assert truth_of("organ", creatinine("1.0", at(20)), creatinine("1.5", at(26))) is MET


def test_a_normal_alt_alone_leaves_the_other_organs_open() -> None:
    assert truth_of("organ", alt(30, at(26))) is UNKNOWN
    all_but_one = (absent(code, at(26)) for code in ORGANS[1:])
    assert truth_of("organ", alt(30, at(26)), *all_but_one) is UNKNOWN


def test_a_liver_documented_as_normal_stands_in_for_alt() -> None:
    normal = (absent(code, at(26)) for code in (*ORGANS, FindingCode.LIVER_INVOLVEMENT))
    assert truth_of("organ", *normal) is UNMET


def test_an_alt_that_was_as_high_before_the_drug_settles_nothing() -> None:
    before = alt(150, at(-5))
    assert truth_of("organ", before, alt(160, at(26))) is UNKNOWN
    assert truth_of("organ", before, alt(300, at(26))) is MET
    others = (absent(code, at(26)) for code in ORGANS)
    assert truth_of("organ", alt(100, at(-5)), alt(100, at(26)), *others) is UNKNOWN, "from the same bound on"


# 5 Blood count ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "expected"), [(11000, UNKNOWN), (11001, MET)])
def test_leukocytes_count_above_11_000(value: int, expected: Truth) -> None:
    assert truth_of("blood_count", leukocytes(value, at(26))) is expected


@pytest.mark.parametrize(("value", "expected"), [(1500, UNKNOWN), (1501, MET)])
def test_eosinophils_count_above_1_500(value: int, expected: Truth) -> None:
    assert truth_of("blood_count", eosinophils(value, at(26))) is expected


@pytest.mark.parametrize(("value", "expected"), [("5", UNKNOWN), ("5.1", MET)])
def test_atypical_lymphocytes_count_above_5_percent(value: str, expected: Truth) -> None:
    sent = measured(Analyte.ATYPICAL_LYMPHOCYTES_PERCENT, value, at(26))
    assert truth_of("blood_count", sent) is expected


def test_all_three_must_be_documented_for_a_no() -> None:
    counts = (leukocytes(11000, at(26)), eosinophils(1500, at(26)))
    few = measured(Analyte.ATYPICAL_LYMPHOCYTES_PERCENT, 5, at(26))
    assert truth_of("blood_count", *counts) is UNKNOWN
    assert truth_of("blood_count", *counts, few) is UNMET
    assert truth_of("blood_count", *counts, absent(FindingCode.ATYPICAL_LYMPHOCYTES, at(26))) is UNMET


def test_atypical_lymphocytes_without_a_percentage_are_not_above_5() -> None:
    seen = present(FindingCode.ATYPICAL_LYMPHOCYTES, at(26))
    assert truth_of("blood_count", seen, leukocytes(9000, at(26)), eosinophils(600, at(26))) is UNKNOWN


def test_a_count_derived_from_a_percentage_counts() -> None:
    specimen = (percent(20, at(26), specimen="t"), leukocytes(8000, at(26), specimen="t"))
    assert truth_of("blood_count", *specimen) is MET


def test_a_specimen_of_which_measured_and_derived_disagree_settles_nothing() -> None:
    derived = (percent(20, at(26), specimen="t"), leukocytes(8000, at(26), specimen="t"))
    assert truth_of("blood_count", *derived, eosinophils(700, at(26), specimen="t")) is UNKNOWN


def test_a_low_count_under_masking_is_no_low_count() -> None:
    low = (
        leukocytes(9000, at(26)),
        absent(FindingCode.ATYPICAL_LYMPHOCYTES, at(26)),
        eosinophils(600, at(26)),
    )
    assert truth_of("blood_count", *low) is UNMET
    assert truth_of("blood_count", *low, dose("reslizumab", at(20))) is UNKNOWN
    high = eosinophils(1501, at(27))
    assert truth_of("blood_count", *low, high, dose("reslizumab", at(20))) is MET


# 6 and 7 ----------------------------------------------------------------------------------------------------------


def test_nodes_of_any_size_count() -> None:
    code = FindingCode.ENLARGED_LYMPH_NODES
    assert truth_of("enlarged_lymph_nodes", present(code, at(26), sites=1, size_cm="0.5")) is MET
    assert truth_of("enlarged_lymph_nodes", absent(code, at(26))) is UNMET
    assert truth_of("enlarged_lymph_nodes", absent(code, at(26)), present(code, at(27))) is MET


@pytest.mark.parametrize(("day", "expected"), [(38, UNKNOWN), (39, UNMET)])
def test_a_negative_hhv6_test_counts_from_14_days_after_onset(day: int, expected: Truth) -> None:
    assert truth_of("hhv6_reactivation", absent(FindingCode.HHV6_REACTIVATION, at(day))) is expected


def test_a_reactivation_of_hhv6_counts_whenever_it_is_found() -> None:
    tests = (absent(FindingCode.HHV6_REACTIVATION, at(25)), present(FindingCode.HHV6_REACTIVATION, at(40)))
    assert truth_of("hhv6_reactivation", *tests) is MET


# Category ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("truths", "expected"),
    [
        ((MET,) * 7, JscarCategory.TYPICAL),
        ((MET,) * 5 + (UNMET, MET), JscarCategory.ATYPICAL),
        ((MET,) * 6 + (UNMET,), JscarCategory.ATYPICAL),
        ((MET,) * 5 + (UNKNOWN, UNMET), JscarCategory.ATYPICAL),
        ((MET,) * 5 + (UNKNOWN, MET), None),
        ((MET,) * 5 + (UNKNOWN, UNKNOWN), None),
        ((MET,) * 4 + (UNKNOWN, UNMET, MET), None),
        ((MET,) * 4 + (UNMET, MET, MET), None),
        ((UNKNOWN,) * 7, None),
    ],
)
def test_a_category_is_named_only_when_it_is_determined(
    truths: tuple[Truth, ...], expected: JscarCategory | None
) -> None:
    assert category(truths) is expected


@pytest.mark.parametrize("missing", range(5))
def test_each_of_the_first_five_is_needed_for_the_atypical_form(missing: int) -> None:
    truths = [MET] * 5 + [UNMET, UNMET]
    assert category(truths) is JscarCategory.ATYPICAL
    truths[missing] = UNKNOWN
    assert category(truths) is None


def test_the_counts_add_up_to_seven() -> None:
    jscar = only_episode(
        GIVEN, OPENING, temperature("38.1", at(26)), absent(FindingCode.RASH, at(26))
    ).criteria.jscar
    assert [jscar.count(truth) for truth in (MET, UNMET, UNKNOWN)] == [1, 1, 5]


def test_each_criterion_names_what_was_found_first() -> None:
    raised, other = alt(200, at(26)), present(FindingCode.OTHER_ORGAN_INVOLVEMENT, at(26))
    count = eosinophils(1600, at(26))
    found = {
        criterion.name: criterion.evidence
        for criterion in only_episode(GIVEN, OPENING, raised, other, count).criteria.jscar.criteria
    }
    assert (found["organ"], found["blood_count"]) == ((raised.version.key,), (count.version.key,))
