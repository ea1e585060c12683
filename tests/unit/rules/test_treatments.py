"""Treatments: their courses and doses, and when one was stopped or cut."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pv_stream.domain.codes import Analyte, ExposureKind, Manner, Route, TreatmentKind
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Dose, Exposure
from pv_stream.domain.times import Instant, Interval, exactly
from pv_stream.rules.treatments import (
    TreatmentCourses,
    Withdrawal,
    build_treatments,
    ended_at,
    in_mg,
    in_mg_per_kg,
    recent_withdrawal,
    taken_on,
)
from tests.builders import RULEBOOK, at, event, measured, stop, timeline_of

DAY_ZERO = at(0, 0) // (at(1, 0) - at(0, 0))


def given(
    drug: str,
    day: int,
    mg: str | None = None,
    *,
    hour: int = 8,
    per_kg: str | None = None,
    per_day: str | None = None,
    kind: ExposureKind = ExposureKind.ADMINISTRATION,
    route: Route = Route.ORAL,
    end: Instant | None = None,
) -> FactArrived:
    dose = Dose(*(None if text is None else Decimal(text) for text in (mg, per_kg, per_day)))
    until = None if end is None else exactly(end)
    return event(Exposure(kind, (drug,), route, until, dose=dose), at(day, hour))


def daily(drug: str, days: range, mg: str) -> list[FactArrived]:
    return [given(drug, day, mg) for day in days]


def weight(kg: str, day: int, hour: int = 6) -> FactArrived:
    return measured(Analyte.BODY_WEIGHT, kg, at(day, hour))


def treatments(*events: FactArrived) -> TreatmentCourses:
    return build_treatments(timeline_of(*events), RULEBOOK)


def withdrawal(when: Instant, *events: FactArrived) -> Withdrawal | None:
    return recent_withdrawal(treatments(*events), when, 0, RULEBOOK)


def taken(day: int, *events: FactArrived) -> tuple[object, object]:
    """Return the dose of a day in mg, and in mg/kg."""
    courses = treatments(*events).courses
    return taken_on(DAY_ZERO + day, courses, in_mg), taken_on(DAY_ZERO + day, courses, in_mg_per_kg)


# Courses ----------------------------------------------------------------------------------------------------------


def test_a_brand_is_its_treatment_and_another_drug_is_none() -> None:
    courses = treatments(given("solu-medrol", 1), given("imatinib", 1), given("reslizumab", 2)).courses
    assert [(c.treatment.name, c.treatment.kind, c.started) for c in courses] == [
        ("methylprednisolone", TreatmentKind.STEROID, at(1)),
        ("reslizumab", TreatmentKind.ANTI_IL5, at(2)),
    ]


@pytest.mark.parametrize(("route", "count"), [(Route.TOPICAL, 0), (Route.UNKNOWN, 1), (Route.OTHER, 1)])
def test_only_what_is_put_on_the_skin_is_no_treatment(route: Route, count: int) -> None:
    assert len(treatments(given("prednisone", 1, route=route)).courses) == count


@pytest.mark.parametrize(
    ("drug", "day", "courses"),
    [
        ("prednisone", 7, 1),
        ("prednisone", 8, 2),
        ("reslizumab", 56, 1),
        ("reslizumab", 57, 2),
        ("mepolizumab", 56, 1),
        ("mepolizumab", 57, 2),
        ("benralizumab", 112, 1),
        ("benralizumab", 113, 2),
    ],
)
def test_a_gap_ends_a_course_for_infusions_twice_their_interval(drug: str, day: int, courses: int) -> None:
    assert len(treatments(given(drug, 0), given(drug, day)).courses) == courses


def test_a_course_starts_with_its_first_dose_and_without_one_with_its_order() -> None:
    ordered = given("prednisone", 1, kind=ExposureKind.ORDER)
    assert [c.started for c in treatments(ordered).courses] == [at(1)]
    assert [c.started for c in treatments(ordered, given("prednisone", 2)).courses] == [at(2)]


# Doses ------------------------------------------------------------------------------------------------------------


def test_nothing_taken_is_zero_and_an_unknown_dose_is_unknown() -> None:
    assert taken(0) == (0, 0)
    assert taken(1, given("prednisone", 1, "40")) == (40, None)
    assert taken(2, given("prednisone", 1, "40")) == (0, 0)
    assert taken(1, given("prednisone", 1)) == (None, None)
    assert taken(1, given("prednisone", 1, "40"), given("prednisone", 1, hour=20)) == (None, None)


def test_a_changed_order_counts_from_the_change_on() -> None:
    order = [
        given("prednisone", 0, "40", per_day="1", kind=ExposureKind.ORDER),
        stop("prednisone", at(5)),
        given("prednisone", 5, "20", per_day="1", kind=ExposureKind.ORDER),
    ]
    assert [taken(day, *order)[0] for day in (4, 6)] == [40, 20]


def test_the_doses_of_a_day_add_up_or_one_says_how_often() -> None:
    assert taken(1, given("prednisone", 1, "20"), given("prednisone", 1, "15", hour=20))[0] == 35
    assert taken(1, given("prednisone", 1, "20", per_day="3"))[0] == 60
    twice = [given("prednisone", 1, "20", per_day="2", hour=hour) for hour in (8, 20)]
    assert taken(1, *twice)[0] == 40


@pytest.mark.parametrize(
    ("drug", "mg", "equivalent"),
    [
        ("prednisone", "5", "5"),
        ("prednisolone", "5", "5"),
        ("methylprednisolone", "4", "5"),
        ("hydrocortisone", "20", "5"),
        ("dexamethasone", "0.75", "5.0025"),
        ("cyclosporine", "100", "100"),
    ],
)
def test_steroids_count_as_prednisone(drug: str, mg: str, equivalent: str) -> None:
    assert taken(1, given(drug, 1, mg))[0] == Decimal(equivalent)


def test_steroids_of_a_day_add_up() -> None:
    assert taken(1, given("prednisone", 1, "10"), given("hydrocortisone", 1, "40"))[0] == 20


def test_an_order_covers_until_it_is_stopped_ended_or_replaced_on_a_later_day() -> None:
    order = given("prednisone", 1, "10", per_day="2", kind=ExposureKind.ORDER)
    assert [taken(day, order)[0] for day in (0, 1, 30)] == [0, 20, 20]
    assert [taken(day, order, stop("prednisone", at(3)))[0] for day in (3, 4)] == [20, 0]
    ended = given("prednisone", 1, "10", per_day="2", kind=ExposureKind.ORDER, end=at(5))
    assert [taken(day, ended)[0] for day in (5, 6)] == [20, 0]
    lower = given("prednisone", 4, "5", per_day="2", kind=ExposureKind.ORDER)
    assert [taken(day, order, lower)[0] for day in (3, 5)] == [20, 10]
    evening = given("prednisone", 1, "5", per_day="1", hour=20, kind=ExposureKind.ORDER)
    assert taken(2, order, evening)[0] == 25


def test_an_order_that_is_changed_goes_on_at_its_new_dose() -> None:
    first, second, third = (
        given("prednisone", day, mg, per_day="1", kind=ExposureKind.ORDER)
        for day, mg in ((1, "40"), (5, "20"), (9, "10"))
    )
    events = (first, stop("prednisone", at(5)), second, third)
    assert len(treatments(*events).courses) == 1
    assert [taken(day, *events)[0] for day in (4, 5, 6, 10)] == [40, 20, 20, 10]


def test_doses_that_are_known_stand_for_themselves_whatever_an_order_leaves_open() -> None:
    order = given("prednisone", 1, kind=ExposureKind.ORDER)
    assert taken(1, order, given("prednisone", 1, "10", hour=9))[0] == 10
    assert taken(2, order, given("prednisone", 1, "10", hour=9))[0] is None
    high = given("prednisone", 1, "40", per_day="1", kind=ExposureKind.ORDER)
    assert taken(1, high, given("prednisone", 1, "10", hour=9))[0] == 40


def test_an_order_without_how_often_a_day_is_unknown() -> None:
    assert taken(1, given("prednisone", 1, "40", kind=ExposureKind.ORDER))[0] is None


def test_the_weight_is_the_latest_before_the_dose_or_the_first_after_it() -> None:
    dose = given("prednisone", 5, "40")
    assert taken(5, dose, weight("100", 1), weight("80", 5), weight("50", 6))[1] == Decimal("0.5")
    assert taken(5, dose, weight("50", 7), weight("80", 6))[1] == Decimal("0.5")


def test_of_two_weights_of_one_instant_the_lower_counts() -> None:
    same = [weight("80", 1), event(weight("90", 1).version.statement.content, at(1, 6), key="another")]
    assert taken(5, given("prednisone", 5, "40"), *same)[1] == Decimal("0.5")
    assert taken(0, given("prednisone", 0, "40"), *same)[1] == Decimal("0.5")


def test_a_dose_per_kg_becomes_mg_by_the_weight_and_stays_what_it_was() -> None:
    assert taken(1, given("prednisone", 1, per_kg="0.5")) == (None, Decimal("0.5"))
    assert taken(1, given("prednisone", 1, per_kg="0.5"), weight("60", 1)) == (30, Decimal("0.5"))


# Endings ----------------------------------------------------------------------------------------------------------


def _ended(when: Instant, *events: FactArrived) -> Instant | None:
    (course,) = treatments(*events).courses
    return ended_at(course, when, RULEBOOK)


def test_doses_have_ended_when_the_next_one_did_not_come_within_a_day() -> None:
    doses = daily("cyclosporine", range(5), "100")
    assert _ended(at(5, 8), *doses) is None
    assert _ended(Instant(at(5, 8) + 1), *doses) == at(4)
    assert _ended(at(4, 9), *doses, stop("cyclosporine", at(4, 9))) == at(4, 9)
    assert _ended(Instant(at(4, 9) - 1), *doses, stop("cyclosporine", at(4, 9))) is None


def test_doses_that_were_taken_up_again_later_had_ended_in_between() -> None:
    doses = [*daily("cyclosporine", range(5), "100"), *daily("cyclosporine", range(8, 10), "100")]
    assert _ended(at(5, 8), *doses) is None
    assert _ended(at(7), *doses) == at(4)
    assert _ended(at(8), *doses) is None
    assert _ended(at(7), *doses, stop("cyclosporine", at(9, 9))) == at(4)
    assert _ended(at(7), *doses, given("cyclosporine", 4, kind=ExposureKind.STATEMENT)) is None


def test_an_antibody_that_was_given_again_after_its_effect_had_ended() -> None:
    assert _ended(at(30), given("reslizumab", 0), given("reslizumab", 31)) == at(28)


def test_what_is_stated_to_go_on_has_not_ended() -> None:
    assert _ended(at(300), given("cyclosporine", 0, kind=ExposureKind.STATEMENT)) is None


@pytest.mark.parametrize(("drug", "days"), [("reslizumab", 28), ("mepolizumab", 28), ("benralizumab", 90)])
def test_an_antibody_ends_with_its_effect(drug: str, days: int) -> None:
    assert _ended(at(days), given(drug, 0)) is None
    assert _ended(Instant(at(days) + 1), given(drug, 0)) == at(days)


# Withdrawal -------------------------------------------------------------------------------------------------------


def test_without_a_treatment_nothing_was_withdrawn() -> None:
    assert withdrawal(at(9)) is None
    assert withdrawal(at(9), given("prednisone", 9, "40", hour=9)) is None


@pytest.mark.parametrize(("day", "found"), [(10, True), (24, True), (25, False)])
def test_a_stop_is_recent_for_fourteen_days(day: int, found: bool) -> None:  # noqa: FBT001 - a table of cases
    events = (*daily("cyclosporine", range(10), "100"), stop("cyclosporine", at(10, 7)))
    expected = Withdrawal("cyclosporine", TreatmentKind.CYCLOSPORINE, Manner.STOP, at(10, 7))
    assert withdrawal(at(day), *events) == (expected if found else None)


def test_doses_that_stop_coming_are_a_stop() -> None:
    doses = daily("prednisone", range(10), "40")
    assert withdrawal(at(10, 8), *doses) is None
    assert withdrawal(at(10, 9), *doses) == Withdrawal(
        "prednisone", TreatmentKind.STEROID, Manner.STOP, at(9)
    )


@pytest.mark.parametrize(("mg", "found"), [("30", True), ("30.1", False), ("41", False)])
def test_a_quarter_less_is_a_cut(mg: str, found: bool) -> None:  # noqa: FBT001 - a table of cases
    events = (*daily("prednisone", range(10), "40"), *daily("prednisone", range(10, 20), mg))
    expected = Withdrawal("prednisone", TreatmentKind.STEROID, Manner.CUT, at(10))
    assert withdrawal(at(12), *events) == (expected if found else None)


@pytest.mark.parametrize(("day", "found"), [(10, False), (11, True), (24, True), (25, False)])
def test_a_cut_is_recent_for_fourteen_days_and_not_on_a_day_whose_doses_may_still_come(
    day: int,
    found: bool,  # noqa: FBT001 - a table of cases
) -> None:
    events = (*daily("prednisone", range(10), "40"), *daily("prednisone", range(10, 40), "20"))
    assert (withdrawal(at(day, 12), *events) is not None) is found


def test_small_cuts_add_up_within_the_days() -> None:
    taper = [given("prednisone", day, str(40 - (day - 9) * 2)) for day in range(10, 20)]
    found = withdrawal(at(20, 7), *daily("prednisone", range(10), "40"), *taper)
    assert found == Withdrawal("prednisone", TreatmentKind.STEROID, Manner.CUT, at(14))


def test_a_dose_that_was_raised_again_is_no_cut() -> None:
    events = (
        *daily("prednisone", range(5), "40"),
        given("prednisone", 5, "20"),
        *daily("prednisone", range(6, 12), "40"),
    )
    assert withdrawal(at(12, 7), *events) is None
    assert withdrawal(at(6, 7), *events[:6]) is not None


def test_restarting_at_the_same_dose_is_no_withdrawal() -> None:
    stopped = (*daily("prednisone", range(5), "40"), stop("prednisone", at(4, 12)))
    again = daily("prednisone", range(7, 12), "40")
    assert withdrawal(at(6), *stopped, *again) is not None
    assert withdrawal(at(8), *stopped, *again) is None


def test_restarting_at_a_lower_dose_is_a_cut() -> None:
    stopped = (*daily("prednisone", range(5), "40"), stop("prednisone", at(4, 12)))
    found = withdrawal(at(9), *stopped, *daily("prednisone", range(7, 12), "20"))
    assert found == Withdrawal("prednisone", TreatmentKind.STEROID, Manner.CUT, at(7))


def test_a_course_of_years_ago_is_nothing_to_compare_with() -> None:
    old = daily("prednisone", range(-400, -390), "60")
    assert withdrawal(at(5), *old, *daily("prednisone", range(8), "20")) is None


def test_a_change_to_another_steroid_at_the_same_dose_is_no_withdrawal() -> None:
    events = (*daily("methylprednisolone", range(5), "32"), stop("methylprednisolone", at(4, 12)))
    assert withdrawal(at(6), *events, *daily("prednisone", range(5, 9), "40")) is None
    found = withdrawal(at(6, 7), *events, *daily("prednisone", range(5, 9), "20"))
    assert found == Withdrawal("methylprednisolone", TreatmentKind.STEROID, Manner.CUT, at(5))


def test_an_order_of_a_lower_dose_is_a_cut() -> None:
    orders = [
        given("prednisone", day, mg, per_day="1", kind=ExposureKind.ORDER)
        for day, mg in ((0, "40"), (10, "20"))
    ]
    assert withdrawal(at(12), *orders) == Withdrawal("prednisone", TreatmentKind.STEROID, Manner.CUT, at(10))


def test_doses_per_kg_compare_without_a_weight_and_unknown_ones_not_at_all() -> None:
    high, low = (
        [given("prednisone", d, per_kg=kg) for d in days]
        for days, kg in ((range(5), "1"), (range(5, 9), "0.5"))
    )
    assert withdrawal(at(8), *high, *low) is not None
    assert withdrawal(at(8), *high, *low, given("prednisone", 7, hour=9)) is None


def test_the_latest_of_several_withdrawals_is_told() -> None:
    events = (
        *daily("prednisone", range(5), "40"),
        stop("prednisone", at(5)),
        *daily("cyclosporine", range(5), "100"),
        stop("cyclosporine", at(6)),
    )
    found = withdrawal(at(8), *events)
    assert found is not None
    assert found.drug == "cyclosporine"


def test_of_two_steroids_that_ended_the_last_is_told() -> None:
    stopped = [*daily("prednisone", range(4), "40"), *daily("methylprednisolone", range(2, 7), "32")]
    assert withdrawal(at(9), *stopped) == Withdrawal(
        "methylprednisolone", TreatmentKind.STEROID, Manner.STOP, at(6)
    )
    together = [*daily("methylprednisolone", range(7), "32"), *daily("prednisone", range(7), "40")]
    assert withdrawal(at(9), *together) == Withdrawal("prednisone", TreatmentKind.STEROID, Manner.STOP, at(6))


def test_a_cut_is_of_the_drug_that_was_given_on_the_last_day_of_the_highest_dose() -> None:
    doses = [
        given("prednisone", 1, "60"),
        given("methylprednisolone", 2, "48"),
        *daily("methylprednisolone", range(3, 6), "24"),
    ]
    assert withdrawal(at(5, 12), *doses) == Withdrawal(
        "methylprednisolone", TreatmentKind.STEROID, Manner.CUT, at(3)
    )


@pytest.mark.parametrize(("offset", "start"), [(0, at(11, 0)), (540, at(10, 15)), (-300, at(11, 5))])
def test_a_cut_without_a_dose_of_its_own_begins_with_its_day_at_the_facility(
    offset: int, start: Instant
) -> None:
    def goes_on(drug: str, mg: str, end: Instant | None) -> FactArrived:
        until = None if end is None else exactly(end)
        dose = Dose(Decimal(mg), None, Decimal(1))
        content = Exposure(ExposureKind.STATEMENT, (drug,), Route.ORAL, until, dose=dose)
        return event(content, at(0, 12), offset=offset)

    courses = treatments(goes_on("prednisone", "40", at(10, 12)), goes_on("methylprednisolone", "16", None))
    found = recent_withdrawal(courses, at(13, 12), offset, RULEBOOK)
    assert found == Withdrawal("prednisone", TreatmentKind.STEROID, Manner.CUT, start)


@pytest.mark.parametrize(("day", "found"), [(8, False), (9, True)])
def test_the_last_dose_before_the_fourteen_days_is_compared_within_a_gap(day: int, found: bool) -> None:  # noqa: FBT001 - a table of cases
    low = [given("prednisone", later, "20") for later in (16, 23, 29)]
    told = withdrawal(at(30), given("prednisone", day, "60"), *low)
    assert told == (Withdrawal("prednisone", TreatmentKind.STEROID, Manner.CUT, at(16)) if found else None)


def test_a_weight_of_nothing_is_none_and_a_newborn_has_one() -> None:
    small = given("prednisone", 1, "1")
    assert taken(1, weight("0", 1), small) == (1, None)
    assert taken(1, weight("0.8", 1), small) == (1, Decimal("1.25"))


def test_an_antibody_is_withdrawn_when_its_effect_ends() -> None:
    assert withdrawal(at(28), given("reslizumab", 0)) is None
    found = withdrawal(at(30), given("reslizumab", 0))
    assert found == Withdrawal("reslizumab", TreatmentKind.ANTI_IL5, Manner.WORE_OFF, at(28))
    assert withdrawal(at(42), given("reslizumab", 0)) == found
    assert withdrawal(at(43), given("reslizumab", 0)) is None


def test_days_are_those_of_the_facility() -> None:
    doses = [
        replace(g, version=replace(g.version, statement=replace(g.version.statement, utc_offset_minutes=600)))
        for g in daily("prednisone", range(10), "40")
    ]
    stopped = event(
        Exposure(ExposureKind.ORDER, ("prednisone",), Route.ORAL, is_stop=True), at(9, 20), offset=600
    )
    courses = treatments(*doses, stopped)
    assert recent_withdrawal(courses, at(24, 13), 600, RULEBOOK) is not None
    assert recent_withdrawal(courses, at(24, 14), 600, RULEBOOK) is None


def test_a_start_known_only_to_the_month_covers_the_month() -> None:
    month = event(
        Exposure(ExposureKind.ADMINISTRATION, ("prednisone",), dose=Dose(Decimal(40))),
        Interval(at(0), at(30)),
    )
    assert [taken(day, month)[0] for day in (0, 30, 31)] == [40, 40, 0]


def test_the_weight_of_the_instant_of_the_dose_counts() -> None:
    weights = (weight("60", 0), weight("80", 1, hour=8))
    assert taken(1, *weights, given("prednisone", 1, "80")) == (80, 1)


def test_an_order_ends_where_the_next_course_begins() -> None:
    orders = [
        given("prednisone", day, mg, per_day="1", kind=ExposureKind.ORDER)
        for day, mg in ((0, "40"), (100, "20"), (200, "10"))
    ]
    assert len(treatments(*orders).courses) == 3
    assert [taken(day, *orders)[0] for day in (99, 150, 250)] == [40, 20, 10]


def test_at_the_instant_of_the_stop_the_stop_is_the_end() -> None:
    (course,) = treatments(given("prednisone", 0), stop("prednisone", at(5))).courses
    assert ended_at(course, at(5), RULEBOOK) == at(5)


def test_what_begins_at_that_very_instant_goes_on_for_nothing_yet() -> None:
    stopped = daily("prednisone", range(6), "40")
    found = Withdrawal("prednisone", TreatmentKind.STEROID, Manner.STOP, at(5))
    assert withdrawal(at(8), *stopped, given("methylprednisolone", 8, "32")) == found
    assert withdrawal(at(8, 9), *stopped, given("methylprednisolone", 8, "32")) is None


def test_two_statements_of_one_dose_that_differ_in_its_day_are_one_dose_on_each() -> None:
    first, other = given("prednisone", 1, "40"), given("prednisone", 50, "20")
    second = replace(other, version=replace(other.version, key=first.version.key))
    assert len(treatments(first, second).courses) == 2
    assert [taken(day, first, second)[0] for day in (1, 50)] == [40, 20]


def test_no_dose_is_rounded_however_many_digits_were_sent() -> None:
    order = given("prednisone", 1, "123456789012.123456789", per_day="1.123456789", kind=ExposureKind.ORDER)
    assert taken(1, order)[0] == Decimal("138698367763.810700835750190521")
