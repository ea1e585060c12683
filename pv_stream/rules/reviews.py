"""Reviews: held values of a patient who is under a watched drug, which somebody must look at.

A value that is not believed is never used; but under a watched drug it may hide a reaction, so it is told. So is a
record of a drug that may be a watched one: until somebody says which it is, nothing is watched.
"""

from collections.abc import Iterable

from pv_stream.domain.assessment import ReviewAssessment
from pv_stream.domain.codes import DRUG_HOLDS, TIME_HOLDS
from pv_stream.domain.facts import Exposure, Held
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import local_day
from pv_stream.rules.courses import Course
from pv_stream.rules.episodes import Courses
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.timeline import Dated


def find_reviews(
    held: Iterable[Dated[Held]], courses: Courses, rulebook: Rulebook
) -> tuple[ReviewAssessment, ...]:
    """Return what is held of a patient who was or may have been under a watched drug at its time, in order of time."""
    reviews: dict[FactKey, ReviewAssessment] = {}
    for dated in held:
        under = {
            drug for drug in courses if any(_is_under(course, dated, rulebook) for course in courses[drug])
        }
        drugs = tuple(sorted(under | may_be(dated.content, rulebook)))
        review = ReviewAssessment(dated.key, dated.content.code, dated.at.earliest, drugs)
        known = reviews.get(dated.key)
        # Versions of equal rank may be held for different reasons: one fact, one review.
        if drugs and (known is None or review.code < known.code):
            reviews[dated.key] = review
    return tuple(reviews.values())


def may_be(held: Held, rulebook: Rulebook) -> frozenset[str]:
    """Return the watched drugs that a held record of a drug may be; none where its route is not watched."""
    if held.code not in DRUG_HOLDS or not isinstance(held.said, Exposure):
        return frozenset()
    found = map(rulebook.drug_called, held.said.drugs)
    return frozenset(
        drug.name for drug in found if drug is not None and held.said.route not in drug.routes_outside
    )


def _is_under(course: Course, dated: Dated[Held], rulebook: Rulebook) -> bool:
    if dated.content.code in TIME_HOLDS:
        return True  # its clinical time is itself not believed, so any course of a watched drug counts
    if dated.at.latest < course.first.earliest:
        return False
    until = course.covered_until
    if until is None:
        return True
    lag_days = (rulebook.watched[course.drug].lag_days or rulebook.parameters.lag_days).value
    days = local_day(dated.at.earliest, dated.utc_offset_minutes) - local_day(
        until, course.utc_offset_minutes
    )
    return days <= lag_days
