"""Courses: where one ends and the next begins, and when a drug covers a day."""

from decimal import Decimal

import pytest

from pv_stream.domain.assessment import ExposureState
from pv_stream.domain.codes import ExposureKind, Route
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Dose, Exposure
from pv_stream.domain.times import Interval, exactly
from pv_stream.rules.courses import Course, build_courses, exposure_state
from tests.builders import RULEBOOK, at, dose, event, exposed, order, statement, stop, timeline_of


def _courses(*events: FactArrived, drug: str = "imatinib") -> tuple[Course, ...]:
    return build_courses(timeline_of(*events).exposures, RULEBOOK).get(drug, ())


@pytest.mark.parametrize(("day", "courses"), [(6, 1), (7, 1), (8, 2)])
def test_doses_more_than_a_week_apart_are_two_courses(day: int, courses: int) -> None:
    assert len(_courses(dose("imatinib", at(0)), dose("imatinib", at(day)))) == courses


def test_the_gap_counts_calendar_days_at_the_facility() -> None:
    assert len(_courses(dose("imatinib", at(0, 0)), dose("imatinib", at(7, 23)))) == 1
    assert len(_courses(dose("imatinib", at(0, 23)), dose("imatinib", at(8, 0)))) == 2


def test_the_gap_counts_from_the_end_of_an_infusion() -> None:
    infusion = dose("imatinib", at(0), end=at(3))
    assert len(_courses(infusion, dose("imatinib", at(10)))) == 1
    assert len(_courses(infusion, dose("imatinib", at(11)))) == 2


def _infusions(
    per_day: str | None, day: int, *, route: Route = Route.INTRAVENOUS, said_at: int = 0
) -> tuple[Course, ...]:
    """Return the courses of two doses so many days apart, and of an order that says how often they are given."""
    how_often = Dose(per_day=None if per_day is None else Decimal(per_day))
    said = event(Exposure(ExposureKind.ORDER, ("vancomycin",), route, dose=how_often), at(said_at, 7))
    doses = (dose("vancomycin", at(first), route=route) for first in (0, day))
    return _courses(said, *doses, drug="vancomycin")


@pytest.mark.parametrize(("day", "courses"), [(9, 1), (10, 1), (11, 2)])
def test_infusions_are_one_course_up_to_twice_their_interval(day: int, courses: int) -> None:
    """Vancomycin every five days, as under dialysis."""
    assert len(_infusions("0.2", day)) == courses


@pytest.mark.parametrize(
    ("per_day", "gap_days"),
    [
        ("0.035714286", 56),  # every 4 weeks, as it is sent: 1/28 to nine places
        ("0.142857143", 14),
        ("0.4", 7),  # twice every 60 hours is five days: no shorter than any course
        ("2", 7),
        (None, 7),
        ("0", 7),
        ("0.02", 90),  # no longer than what an order covers
    ],
)
def test_the_gap_of_infusions_is_never_shorter_than_that_of_other_doses(per_day: str, gap_days: int) -> None:
    assert {course.gap_days for course in _infusions(per_day, 1)} == {gap_days}


@pytest.mark.parametrize("route", [Route.OTHER, Route.UNKNOWN])
def test_only_of_infusions_the_interval_counts(route: Route) -> None:
    assert len(_infusions("0.2", 8, route=route)) == 2


def test_an_order_that_names_the_route_settles_it_for_doses_that_do_not() -> None:
    ordered = exposed(ExposureKind.ORDER, "vancomycin", at(0), route=Route.INTRAVENOUS)
    unsaid = dose("vancomycin", at(1), route=Route.UNKNOWN)
    assert [course.route_is_unsure for course in _courses(unsaid, drug="vancomycin")] == [True]
    assert [course.route_is_unsure for course in _courses(ordered, unsaid, drug="vancomycin")] == [False]


def test_an_interval_that_is_said_only_after_the_gap_does_not_close_it() -> None:
    assert len(_infusions("0.2", 9, said_at=9)) == 2


@pytest.mark.parametrize(("day", "state"), [(10, ExposureState.ONGOING), (11, ExposureState.UNKNOWN)])
def test_a_course_of_infusions_goes_on_between_them(day: int, state: ExposureState) -> None:
    ends = at(0, 9)
    how_often = Dose(per_day=Decimal("0.2"))
    infusion = Exposure(
        ExposureKind.ADMINISTRATION, ("vancomycin",), Route.INTRAVENOUS, exactly(ends), dose=how_often
    )
    (course,) = _courses(event(infusion, at(0)), drug="vancomycin")
    assert exposure_state(course, at(day), 0) is state


def test_a_dose_after_a_recorded_stop_begins_a_course_however_soon() -> None:
    first, second = _courses(dose("imatinib", at(0)), stop("imatinib", at(1)), dose("imatinib", at(2)))
    assert (first.stopped_at, first.is_reexposure) == (at(1), False)
    assert (second.first.earliest, second.is_reexposure) == (at(2), True)


def test_an_order_after_a_recorded_stop_begins_one_too() -> None:
    assert len(_courses(dose("imatinib", at(0)), stop("imatinib", at(1)), order("imatinib", at(2)))) == 2


def test_the_first_stop_of_a_course_stands() -> None:
    (course,) = _courses(dose("imatinib", at(0)), stop("imatinib", at(5)), stop("imatinib", at(9)))
    assert course.stopped_at == at(5)


def test_a_stop_known_to_its_day_ends_the_course_at_the_end_of_that_day() -> None:
    day = event(
        Exposure(ExposureKind.ORDER, ("imatinib",), Route.ORAL, is_stop=True),
        Interval(at(2, 0), at(2, 23, 59)),
    )
    assert len(_courses(dose("imatinib", at(0)), day, dose("imatinib", at(2, 12)))) == 1
    assert len(_courses(dose("imatinib", at(0)), day, dose("imatinib", at(2, 23, 59)))) == 2


def test_a_stop_without_a_course_is_nothing() -> None:
    assert _courses(stop("imatinib", at(1))) == ()
    (course,) = _courses(stop("imatinib", at(1)), dose("imatinib", at(2)))
    assert (course.stopped_at, course.is_reexposure) == (None, False)


def test_a_stop_and_an_order_of_one_instant_change_the_course_and_do_not_end_it() -> None:
    changed = (
        dose("imatinib", at(0)),
        stop("imatinib", at(2)),
        order("imatinib", at(2)),
        dose("imatinib", at(3)),
    )
    (course,) = _courses(*changed)
    assert course.stopped_at is None


@pytest.mark.parametrize("kind", [ExposureKind.ORDER, ExposureKind.DISPENSE])
def test_an_order_alone_is_a_course_without_a_dose(kind: ExposureKind) -> None:
    (course,) = _courses(exposed(kind, "imatinib", at(0)))
    assert (course.first_dose, course.covered_until) == (None, None)


def test_the_first_dose_counts_not_the_order_before_it() -> None:
    (course,) = _courses(order("imatinib", at(0)), dose("imatinib", at(30)))
    assert (course.first.earliest, course.first_dose) == (at(0), Interval(at(30), at(30)))


def test_orders_with_an_end_cover_until_the_last_of_them() -> None:
    (course,) = _courses(order("imatinib", at(0), end=at(10)), order("imatinib", at(5), end=at(12)))
    assert course.covered_until == at(12)
    (open_ended,) = _courses(order("imatinib", at(0), end=at(10)), order("imatinib", at(5)))
    assert open_ended.covered_until is None


def test_a_statement_without_an_end_goes_on() -> None:
    (course,) = _courses(statement("imatinib", at(0)), dose("imatinib", at(60)))
    assert course.covered_until is None
    assert len(_courses(statement("imatinib", at(0), end=at(5)), dose("imatinib", at(60)))) == 2


@pytest.mark.parametrize(("day", "courses"), [(90, 1), (91, 2)])
def test_an_open_course_ends_when_nothing_was_recorded_for_long(day: int, courses: int) -> None:
    assert len(_courses(statement("imatinib", at(0)), dose("imatinib", at(day)))) == courses


def test_an_order_that_was_not_stopped_covers_beyond_the_last_dose() -> None:
    (course,) = _courses(order("imatinib", at(0)), dose("imatinib", at(1)))
    assert (course.given_until, course.covered_until) == (at(1), None)
    (ended,) = _courses(order("imatinib", at(0), end=at(20)), dose("imatinib", at(1)))
    assert (ended.given_until, ended.covered_until) == (at(1), at(20))


@pytest.mark.parametrize(
    ("route", "courses"), [(Route.ORAL, 0), (Route.INTRAVENOUS, 1), (Route.UNKNOWN, 1), (Route.OTHER, 1)]
)
def test_oral_vancomycin_is_not_exposure_and_an_unknown_route_is(route: Route, courses: int) -> None:
    assert len(_courses(dose("vancomycin", at(0), route=route), drug="vancomycin")) == courses


def test_a_combination_is_exposure_to_each_watched_ingredient() -> None:
    both = dose("sulfamethoxazole/trimethoprim", at(0))
    assert len(_courses(both, drug="sulfamethoxazole")) == len(_courses(both, drug="trimethoprim")) == 1


def test_a_prodrug_is_exposure_to_the_drug() -> None:
    assert len(_courses(dose("fosphenytoin", at(0)), drug="phenytoin")) == 1


def test_an_unwatched_drug_is_no_course() -> None:
    assert build_courses(timeline_of(dose("paracetamol", at(0))).exposures, RULEBOOK) == {}


@pytest.mark.parametrize(
    ("events", "day", "state"),
    [
        pytest.param([dose("imatinib", at(0))], 7, ExposureState.ONGOING, id="within the gap"),
        pytest.param([dose("imatinib", at(0))], 8, ExposureState.UNKNOWN, id="beyond the gap"),
        pytest.param(
            [dose("imatinib", at(0)), stop("imatinib", at(2))], 1, ExposureState.ONGOING, id="before the stop"
        ),
        pytest.param(
            [dose("imatinib", at(0)), stop("imatinib", at(2))], 2, ExposureState.STOPPED, id="at the stop"
        ),
        pytest.param([statement("imatinib", at(0))], 300, ExposureState.ONGOING, id="stated to go on"),
    ],
)
def test_whether_a_drug_is_still_given_is_known_or_not(
    events: list[FactArrived], day: int, state: ExposureState
) -> None:
    (course,) = _courses(*events)
    assert exposure_state(course, at(day), 0) is state
