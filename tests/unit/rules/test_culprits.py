"""Culprits: which course of a blamed drug is meant, when it is met again, and which partners join."""

import pytest

from pv_stream.domain.assessment import Closing, Latency
from pv_stream.domain.codes import FindingCode
from pv_stream.domain.events import FactArrived
from pv_stream.domain.times import Instant
from pv_stream.rules.courses import WindowPosition, build_courses
from pv_stream.rules.culprits import Blamed, with_named, with_partners
from pv_stream.rules.episodes import Ending, Span, positive_evidence
from pv_stream.rules.recurrence import _cross_reacts
from pv_stream.rules.reports import ReportedCulprit
from pv_stream.rules.suspects import Suspect, find_suspects
from tests.builders import RULEBOOK, at, order, present, statement, stop, timeline_of

RASH = present(FindingCode.RASH, at(20))
PHENYTOIN = statement("phenytoin", at(0))


def _blamed(*events: FactArrived, by_clinician: frozenset[str] = frozenset()) -> Blamed:
    timeline = timeline_of(RASH, *events)
    span = Span(tuple(positive_evidence(timeline, RULEBOOK)), timeline)
    courses = build_courses(timeline.exposures, RULEBOOK)
    return Blamed(find_suspects(span, courses, RULEBOOK), (), span, courses, by_clinician)


@pytest.mark.parametrize(("begun", "is_known"), [(at(19), True), (at(20), True), (at(20, 9), False)])
def test_a_drug_that_only_a_person_names_is_meant_in_its_course_begun_by_the_onset(
    begun: Instant, *, is_known: bool
) -> None:
    blamed = _blamed(order("allopurinol", begun), by_clinician=frozenset({"allopurinol"}))
    course = blamed.courses["allopurinol"][0]
    assert blamed.course_of("allopurinol") == (course if is_known else None)
    assert blamed.is_met_again_by(course) is not is_known


@pytest.mark.parametrize(
    ("begun", "joins"),
    [(at(20), False), (at(20, 9), True), (at(29, 23), True), (at(30), False)],
)
def test_a_partner_joins_that_was_begun_after_the_opening_and_before_the_end(
    begun: Instant, *, joins: bool
) -> None:
    blamed = _blamed(PHENYTOIN, order("carbamazepine", begun))
    ended = with_partners(blamed, Ending(at(30), Closing.RESOLVED, at(44)), RULEBOOK)
    assert ("carbamazepine" in ended.drugs) is joins


@pytest.mark.parametrize(("begun", "reacts"), [(at(20), False), (at(20, 9), True)])
def test_a_blamed_drug_cross_reacts_with_another_when_it_was_begun_after_the_opening(
    begun: Instant, *, reacts: bool
) -> None:
    drugs = (PHENYTOIN, stop("phenytoin", at(19)), statement("carbamazepine", begun))
    earlier = _blamed(*drugs)
    course = earlier.courses["carbamazepine"][0]
    joined = Suspect(course, WindowPosition(Latency.UNKNOWN, None), (), began_after_onset=True)
    earlier = Blamed((*earlier.suspects, joined), (), earlier.span, earlier.courses)
    seen = Suspect(course, WindowPosition(Latency.CORE, 20), earlier.span.evidence, began_after_onset=False)
    later = Blamed((seen,), (), earlier.span, earlier.courses)
    assert _cross_reacts(earlier, later, RULEBOOK) is reacts


def test_a_partner_joins_beside_a_drug_that_is_none_as_one_begun_after_the_onset() -> None:
    others = (order("allopurinol", at(21)), order("carbamazepine", at(22)))
    ended = with_partners(_blamed(PHENYTOIN, *others), Ending(at(30), Closing.RESOLVED, at(44)), RULEBOOK)
    joined = {suspect.course.drug: suspect.began_after_onset for suspect in ended.suspects}
    assert joined == {"phenytoin": False, "carbamazepine": True}


def test_a_drug_that_only_a_person_names_ranks_after_the_others_with_its_code() -> None:
    blamed = _blamed(PHENYTOIN, by_clinician=frozenset({"allopurinol"}))
    (named,) = with_named((), Blamed((), (), blamed.span, blamed.courses, blamed.by_clinician), RULEBOOK)
    assert (named.drug, named.rxnorm, named.rank) == ("allopurinol", "519", 1)


@pytest.mark.parametrize(("drug", "reacts"), [("carbamazepine", True), ("phenytoin", False)])
def test_a_drug_that_only_a_later_report_names_cross_reacts_unless_it_was_blamed_before(
    drug: str, *, reacts: bool
) -> None:
    earlier = _blamed(PHENYTOIN)
    named = ReportedCulprit(drug, of_dress=True, recurred=False, evidence=())
    later = Blamed((), (named,), earlier.span, earlier.courses)
    assert _cross_reacts(earlier, later, RULEBOOK) is reacts
