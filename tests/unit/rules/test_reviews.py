"""Reviews: held values of a patient under a watched drug."""

from dataclasses import replace

import pytest

from pv_stream.domain.assessment import ReviewAssessment
from pv_stream.domain.codes import DRUG_HOLDS, Analyte, HoldCode, Route
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Held
from pv_stream.domain.times import exactly
from pv_stream.rules.courses import build_courses
from pv_stream.rules.reasons import review_reason
from pv_stream.rules.reviews import find_reviews
from tests.builders import RULEBOOK, assessed, at, dose, drug_in_doubt, held, order, sha256, stop, timeline_of


def _reviews(*events: FactArrived) -> tuple[ReviewAssessment, ...]:
    return assessed(*events).reviews


def test_a_held_value_under_a_watched_drug_waits_for_a_person() -> None:
    (review,) = _reviews(dose("imatinib", at(0)), held(HoldCode.MISSING_UNIT, at(20)))
    assert (review.code, review.effective, review.drugs) == (HoldCode.MISSING_UNIT, at(20), ("imatinib",))


def test_every_watched_drug_of_that_day_is_named_in_order_of_name() -> None:
    (review,) = _reviews(
        dose("vancomycin", at(1), route=Route.INTRAVENOUS),
        dose("imatinib", at(0)),
        held(HoldCode.UNKNOWN_UNIT, at(10)),
    )
    assert review.drugs == ("imatinib", "vancomycin")


def test_without_a_watched_drug_nobody_is_asked() -> None:
    assert _reviews(dose("paracetamol", at(0)), held(HoldCode.MISSING_UNIT, at(2))) == ()


def test_a_value_from_before_the_drug_asks_for_nothing() -> None:
    assert _reviews(dose("imatinib", at(5)), held(HoldCode.MISSING_UNIT, at(4))) == ()
    assert _reviews(dose("imatinib", at(5)), held(HoldCode.MISSING_UNIT, at(5, 7, 59))) == ()
    assert _reviews(dose("imatinib", at(5)), held(HoldCode.MISSING_UNIT, at(5))) != ()


@pytest.mark.parametrize(("day", "asks"), [(27, True), (28, True), (29, False)])
def test_a_drug_counts_until_its_lag_after_the_last_dose(day: int, *, asks: bool) -> None:
    events = (dose("imatinib", at(0)), held(HoldCode.MISSING_UNIT, at(day)))
    assert bool(_reviews(*events)) is asks


def test_an_order_without_an_end_counts_until_it_is_stopped() -> None:
    late = held(HoldCode.MISSING_UNIT, at(200))
    assert _reviews(order("imatinib", at(0)), late)
    assert _reviews(order("imatinib", at(0)), stop("imatinib", at(10)), late) == ()


@pytest.mark.parametrize("code", [HoldCode.MISSING_TIME, HoldCode.UNREADABLE_TIME, HoldCode.TIME_IN_FUTURE])
def test_a_value_whose_time_is_not_believed_counts_under_any_course(code: HoldCode) -> None:
    assert _reviews(dose("imatinib", at(0)), held(code, at(9000)))
    assert _reviews(dose("imatinib", at(50)), held(code, at(-9000)))


@pytest.mark.parametrize("code", sorted(DRUG_HOLDS))
def test_a_drug_that_may_be_a_watched_one_waits_for_a_person_though_nothing_is_watched(
    code: HoldCode,
) -> None:
    (review,) = _reviews(drug_in_doubt("imatinib", at(3), code=code))
    assert (review.code, review.effective, review.drugs) == (code, at(3), ("imatinib",))
    (review,) = _reviews(dose("allopurinol", at(0)), drug_in_doubt("imatinib", at(3), code=code))
    assert review.drugs == ("allopurinol", "imatinib")


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(drug_in_doubt("paracetamol", at(3)), id="not watched"),
        pytest.param(drug_in_doubt("vancomycin", at(3)), id="by a route that is not watched"),
        pytest.param(
            drug_in_doubt("imatinib", at(3), code=HoldCode.TIME_IN_FUTURE), id="its time is in doubt"
        ),
        pytest.param(held(HoldCode.DRUG_NOT_READ_WHOLE, at(3)), id="nothing was read"),
    ],
)
def test_what_is_no_watched_drug_or_only_dated_wrongly_asks_nobody(event: FactArrived) -> None:
    assert _reviews(event) == ()


def test_a_drug_in_doubt_is_told_as_such_and_not_as_a_value() -> None:
    (review,) = _reviews(drug_in_doubt("imatinib", at(3)))
    assert review_reason(review) == (
        "A drug record waits for review: the drug is named among words that are not known. "
        "The patient is, was or may be under imatinib."
    )
    (review,) = _reviews(dose("allopurinol", at(0)), drug_in_doubt("imatinib", at(3)))
    assert review_reason(review).endswith("The patient is, was or may be under allopurinol or imatinib.")


def test_two_versions_held_for_different_reasons_wait_as_one() -> None:
    one = held(HoldCode.MISSING_UNIT, at(2))
    statement = replace(one.version.statement, content=Held(HoldCode.OUT_OF_RANGE, sha256("y"), Analyte.ALT))
    other = replace(one, version=replace(one.version, statement=statement))
    assert len(_reviews(dose("imatinib", at(0)), one, other)) == 1


def test_of_two_versions_held_for_one_reason_the_first_is_named() -> None:
    timeline = timeline_of(dose("imatinib", at(0)), held(HoldCode.MISSING_UNIT, at(2)))
    (first,) = timeline.held
    second = replace(first, at=exactly(at(3)))
    courses = build_courses(timeline.exposures, RULEBOOK)
    (review,) = find_reviews([first, second], courses, RULEBOOK)
    assert review.effective == at(2)
