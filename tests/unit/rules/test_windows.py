"""Windows of latency: core, shoulders, re-exposure and lag, at each boundary day."""

import pytest

from pv_stream.domain.assessment import Latency
from pv_stream.domain.codes import ExposureKind
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Exposure
from pv_stream.domain.times import Interval, exactly
from pv_stream.rules.courses import Course, WindowPosition, build_courses, window_position
from tests.builders import RULEBOOK, at, dose, event, order, statement, stop, timeline_of


def _last_course(*events: FactArrived, drug: str = "imatinib") -> Course:
    return build_courses(timeline_of(*events).exposures, RULEBOOK)[drug][-1]


def _position(course: Course, day: int, hour: int = 8, offset: int = 0) -> WindowPosition | None:
    return window_position(course, exactly(at(day, hour)), offset, RULEBOOK)


def _latency(course: Course, day: int) -> Latency | None:
    position = _position(course, day)
    return None if position is None else position.latency


GOES_ON = statement("imatinib", at(0))


@pytest.mark.parametrize(
    ("day", "latency"),
    [
        (-1, None),
        (0, None),
        (1, Latency.SHOULDER),
        (4, Latency.SHOULDER),
        (5, Latency.CORE),
        (56, Latency.CORE),
        (57, Latency.SHOULDER),
        (90, Latency.SHOULDER),
        (91, None),
    ],
)
def test_a_first_course_has_a_core_between_two_shoulders(day: int, latency: Latency | None) -> None:
    course = _last_course(GOES_ON)
    assert _latency(course, day) == latency
    position = _position(course, day)
    assert position is None or position.days == day


@pytest.mark.parametrize(
    ("day", "latency"),
    [
        (99, None),
        (100, Latency.REEXPOSURE),
        (101, Latency.REEXPOSURE),
        (190, Latency.REEXPOSURE),
        (191, None),
    ],
)
def test_on_re_exposure_the_core_is_day_0_to_90(day: int, latency: Latency | None) -> None:
    again = _last_course(dose("imatinib", at(0)), stop("imatinib", at(1)), statement("imatinib", at(100)))
    assert _latency(again, day) == latency


@pytest.mark.parametrize(("day", "inside"), [(29, True), (38, True), (39, False)])
def test_a_drug_stays_suspect_for_28_days_after_the_last_dose(day: int, *, inside: bool) -> None:
    course = _last_course(dose("imatinib", at(3)), dose("imatinib", at(10)))
    assert (_position(course, day) is not None) is inside


@pytest.mark.parametrize(("day", "inside"), [(33, True), (34, False)])
def test_the_lag_counts_from_a_recorded_stop(day: int, *, inside: bool) -> None:
    course = _last_course(statement("imatinib", at(0)), stop("imatinib", at(5)))
    assert (_position(course, day) is not None) is inside


def test_the_lag_ends_with_the_window() -> None:
    course = _last_course(*(dose("imatinib", at(day)) for day in range(0, 89, 7)))
    assert _position(course, 90) is not None
    assert _position(course, 91) is None


def test_piperacillin_begins_early_so_its_core_begins_on_day_1() -> None:
    assert _latency(_last_course(statement("piperacillin", at(0)), drug="piperacillin"), 1) is Latency.CORE


def test_an_order_without_a_dose_is_inside_but_of_unknown_latency() -> None:
    course = _last_course(order("imatinib", at(0)))
    for day in (1, 10, 90):
        assert _position(course, day) == WindowPosition(Latency.UNKNOWN, None)
    assert _position(course, 0) is None
    assert _position(course, 91) is None


def test_an_evidence_before_the_first_dose_but_after_the_order_is_of_unknown_latency() -> None:
    course = _last_course(order("imatinib", at(0)), dose("imatinib", at(30)))
    assert _position(course, 10) == WindowPosition(Latency.UNKNOWN, None)
    assert _position(course, 35) == WindowPosition(Latency.CORE, 5)


@pytest.mark.parametrize(("day", "inside"), [(0, False), (1, True), (60, True), (120, True), (121, False)])
def test_a_start_known_only_to_a_month_is_inside_where_it_may_be(day: int, *, inside: bool) -> None:
    month = dose("imatinib", Interval(at(0), at(30)), end=at(120))
    assert _position(_last_course(month), day) == (WindowPosition(Latency.UNKNOWN, None) if inside else None)


@pytest.mark.parametrize(("offset", "position"), [(0, None), (540, WindowPosition(Latency.SHOULDER, 1))])
def test_days_are_days_at_the_facility(offset: int, position: WindowPosition | None) -> None:
    """A dose at 14:30 UTC and a sign at 15:10 UTC are of one day in London, of two in Tokyo."""
    taken = Exposure(ExposureKind.ADMINISTRATION, ("imatinib",))
    course = _last_course(event(taken, at(0, 14, 30), offset=offset))
    assert window_position(course, exactly(at(0, 15, 10)), offset, RULEBOOK) == position
