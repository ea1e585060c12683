"""What the records say where no watched drug is suspect, at each edge."""

import pytest

from pv_stream.domain.assessment import EpisodeFlag
from pv_stream.domain.codes import ExposureKind, FindingCode
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import AsSent, Exposure
from pv_stream.domain.times import Instant
from pv_stream.rules.courses import build_courses
from pv_stream.rules.episodes import Span, positive_evidence
from pv_stream.rules.unwatched import exposure_flags
from tests.builders import RULEBOOK, at, dose, event, order, present, stop, timeline_of

REACTION = (present(FindingCode.RASH, at(100)), present(FindingCode.LIVER_INVOLVEMENT, at(101)))
NONE, OUTSIDE, UNLISTED, UNRECOGNISED = (
    EpisodeFlag.NO_EXPOSURE_RECORD,
    EpisodeFlag.OUTSIDE_WINDOW,
    EpisodeFlag.UNLISTED_DRUG,
    EpisodeFlag.UNRECOGNISED_DRUG,
)


def _flags(*events: FactArrived) -> set[EpisodeFlag]:
    timeline = timeline_of(*REACTION, *events)
    span = Span(tuple(positive_evidence(timeline, RULEBOOK)), timeline)
    return set(exposure_flags(span, build_courses(timeline.exposures, RULEBOOK), RULEBOOK))


@pytest.mark.parametrize(("begun", "flag"), [(at(0), OUTSIDE), (at(101), OUTSIDE), (at(101, 9), NONE)])
def test_a_watched_drug_begun_by_the_last_evidence_was_outside_of_its_window(
    begun: Instant, flag: EpisodeFlag
) -> None:
    assert _flags(dose("imatinib", begun)) == {flag}


@pytest.mark.parametrize(
    ("given", "flag"),
    [(at(9, 23), NONE), (at(10, 0), UNLISTED), (at(50), UNLISTED), (at(101), UNLISTED), (at(101, 9), NONE)],
)
def test_an_unlisted_drug_counts_from_90_days_before_the_first_evidence_to_the_last(
    given: Instant, flag: EpisodeFlag
) -> None:
    assert _flags(order("ibuprofen", given)) == {flag}


def test_a_drug_that_was_not_recognised_is_told_apart_from_one_that_is_not_listed() -> None:
    unknown = event(Exposure(ExposureKind.ORDER, ()), at(50))
    coded = event(Exposure(ExposureKind.ORDER, (), as_sent=AsSent("rxnorm", "197361")), at(50))
    assert _flags(unknown) == _flags(coded) == {UNRECOGNISED}
    assert _flags(unknown, order("ibuprofen", at(50))) == {UNRECOGNISED, UNLISTED}


def test_a_stop_is_no_exposure_and_a_treatment_is_not_unlisted() -> None:
    assert _flags(stop("ibuprofen", at(50)), dose("prednisone", at(50))) == {NONE}
    assert _flags(dose("prednisone/ibuprofen", at(50)), dose("imatinib", at(0))) == {OUTSIDE, UNLISTED}
