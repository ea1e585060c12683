"""Baselines: which count before a course stands for it, at each boundary."""

import pytest

from pv_stream.domain.codes import FindingCode
from pv_stream.domain.events import FactArrived
from pv_stream.rules.baselines import eosinophil_baseline, with_organ_baselines
from pv_stream.rules.courses import build_courses
from pv_stream.rules.episodes import Span, positive_evidence
from tests.builders import RULEBOOK, alt, at, dose, eosinophils, percent, present, statement, timeline_of

RASH = FindingCode.RASH


def _baseline(*events: FactArrived, earlier: tuple[FactArrived, ...] = ()) -> int | None:
    """Return the baseline of the last imatinib course; `earlier` is the evidence of an earlier episode."""
    timeline = timeline_of(*events, *earlier)
    courses = build_courses(timeline.exposures, RULEBOOK)
    course = courses["imatinib"][-1]
    before = timeline_of(*earlier)
    spans = [Span(tuple(positive_evidence(before, RULEBOOK)), before)] if earlier else []
    found = eosinophil_baseline(course, timeline.counts, courses, spans, RULEBOOK)
    return None if found is None else int(found)


STARTED = statement("imatinib", at(0))


@pytest.mark.parametrize(("day", "baseline"), [(-91, None), (-90, 2000), (-1, 2000)])
def test_a_count_of_the_last_90_days_is_a_baseline(day: int, baseline: int | None) -> None:
    assert _baseline(STARTED, eosinophils(2000, at(day))) == baseline


def test_a_count_of_the_instant_of_the_first_dose_is_none() -> None:
    assert _baseline(STARTED, eosinophils(2000, at(0))) is None
    assert _baseline(STARTED, eosinophils(2000, at(0, 7, 59))) == 2000


def test_the_last_count_stands_and_a_percentage_alone_is_no_count() -> None:
    counts = (eosinophils(300, at(-9)), eosinophils(2000, at(-8)))
    assert _baseline(STARTED, *counts) == 2000
    assert _baseline(STARTED, *counts, percent(20, at(-7))) == 2000


def test_the_first_and_the_last_evidence_of_an_earlier_episode_are_no_baseline() -> None:
    count = eosinophils(2000, at(-30))
    assert _baseline(STARTED, earlier=(count, present(RASH, at(-29)))) is None
    assert _baseline(STARTED, earlier=(present(RASH, at(-31)), count)) is None
    assert _baseline(STARTED, eosinophils(300, at(-28)), earlier=(count, present(RASH, at(-29)))) == 300


def test_a_count_in_the_window_of_another_course_is_none() -> None:
    other = (dose("allopurinol", at(-40)), eosinophils(2000, at(-30)))
    assert _baseline(STARTED, *other) is None


# Organ values -------------------------------------------------------------------------------------------------------


def _signs(*events: FactArrived) -> list[bool]:
    """Return, for each ALT from the first dose on, whether it is a sign."""
    timeline = timeline_of(STARTED, *events)
    courses = build_courses(timeline.exposures, RULEBOOK)
    return [
        sign.positive
        for sign in with_organ_baselines(timeline, courses, RULEBOOK).signs
        if sign.at.earliest >= at(0)
    ]


@pytest.mark.parametrize(("value", "is_sign"), [(299, False), (300, True)])
def test_a_raised_alt_must_double(value: int, *, is_sign: bool) -> None:
    assert _signs(alt(150, at(-20)), alt(value, at(26))) == [is_sign]


def test_a_normal_alt_before_the_drug_is_nothing_to_double() -> None:
    assert _signs(alt(99, at(-20)), alt(100, at(26))) == [True]
    assert _signs(alt(150, at(-30)), alt(99, at(-20)), alt(100, at(26))) == [True], "the last counts"


def test_what_was_raised_under_an_earlier_drug_hides_no_later_baseline() -> None:
    earlier = (dose("allopurinol", at(-300)), alt(400, at(-290)))
    assert _signs(*earlier, alt(150, at(-20)), alt(160, at(26))) == [False]
    assert _signs(*earlier, alt(160, at(26))) == [True]
