"""Suspects: which drugs, in which order, and what is said of each."""

import pytest

from pv_stream.domain.assessment import Culprit, ExposureState, Latency
from pv_stream.domain.codes import ExposureKind, FindingCode, Route
from pv_stream.domain.criteria import SuspectReason, WhoUmc
from pv_stream.domain.events import FactArrived
from pv_stream.domain.times import Instant, Interval
from tests.builders import (
    at,
    dose,
    eosinophils,
    exposed,
    only_episode,
    order,
    present,
    statement,
    stop,
    temperature,
)


def _culprits(*events: FactArrived, day: int = 60) -> tuple[Culprit, ...]:
    return only_episode(*events, eosinophils(1690, at(day))).culprits


def _ranks(*events: FactArrived, day: int = 60) -> dict[str, int]:
    return {culprit.drug: culprit.rank for culprit in _culprits(*events, day=day)}


def test_a_drug_in_its_core_goes_before_one_in_its_shoulder() -> None:
    assert _ranks(statement("imatinib", at(30)), statement("allopurinol", at(0))) == {
        "imatinib": 1,
        "allopurinol": 2,
    }


def test_an_order_alone_comes_after_both() -> None:
    ranks = _ranks(statement("imatinib", at(30)), statement("allopurinol", at(0)), order("dapsone", at(20)))
    assert ranks == {"imatinib": 1, "allopurinol": 2, "dapsone": 3}


def test_equals_share_a_rank_and_the_next_is_counted_on_and_stand_in_order_of_name() -> None:
    culprits = _culprits(
        statement("lamotrigine", at(30)), statement("imatinib", at(10)), statement("allopurinol", at(0))
    )
    assert [(c.drug, c.rank) for c in culprits] == [("imatinib", 1), ("lamotrigine", 1), ("allopurinol", 3)]


def test_re_exposure_ranks_with_the_core() -> None:
    again = (dose("allopurinol", at(0)), stop("allopurinol", at(1)), statement("allopurinol", at(58)))
    assert _ranks(statement("imatinib", at(30)), *again) == {"imatinib": 1, "allopurinol": 1}


def test_a_start_known_only_to_a_month_ranks_below() -> None:
    month = dose("allopurinol", Interval(at(20), at(50)))
    assert _ranks(statement("imatinib", at(0)), month) == {"imatinib": 1, "allopurinol": 2}


def test_a_drug_begun_after_the_onset_comes_last_even_in_its_core() -> None:
    events = (statement("imatinib", at(0)), temperature("39", at(58)), statement("allopurinol", at(59)))
    culprits = _culprits(*events, eosinophils(1700, at(65)))
    assert [(c.drug, c.rank, c.latency) for c in culprits] == [
        ("imatinib", 1, Latency.SHOULDER),
        ("allopurinol", 2, Latency.SHOULDER),
    ]


def test_a_drug_outside_its_window_is_no_suspect() -> None:
    assert _ranks(statement("imatinib", at(30)), dose("allopurinol", at(0))) == {"imatinib": 1}


def test_each_suspect_says_day_latency_exposure_threshold_and_evidence() -> None:
    given = statement("imatinib", at(0))
    (culprit,) = _culprits(given, stop("imatinib", at(50)))
    assert culprit == Culprit(
        drug="imatinib",
        rxnorm="282388",
        rank=1,
        latency_days=60,
        latency=Latency.SHOULDER,
        exposure=ExposureState.STOPPED,
        threshold_per_ul=1500,
        evidence=(given.version.key,),
        reasons=(SuspectReason.LATENCY_SHOULDER,),
        naranjo=4,
        who_umc=WhoUmc.POSSIBLE,
    )


@pytest.mark.parametrize(("day", "latency"), [(12, 12), (20, 20)])
def test_the_latency_is_that_of_the_first_evidence(day: int, latency: int) -> None:
    (culprit,) = _culprits(statement("imatinib", at(0)), temperature("39", at(day)), day=25)
    assert culprit.latency_days == latency


def test_a_drug_given_again_is_suspect_by_its_latest_course_that_explains_the_first_evidence() -> None:
    events = (dose("imatinib", at(0)), stop("imatinib", at(1)), statement("imatinib", at(15)))
    (culprit,) = _culprits(*events, day=20)
    assert (culprit.latency, culprit.latency_days) == (Latency.REEXPOSURE, 5)


def test_an_exposure_known_from_orders_is_flagged() -> None:
    episode = only_episode(order("imatinib", at(0)), eosinophils(1690, at(20)))
    assert episode.flags == ("exposure_from_orders",)
    assert (episode.culprits[0].latency, episode.culprits[0].latency_days) == (Latency.UNKNOWN, None)


def test_a_route_that_matters_and_is_unknown_ranks_below_and_one_record_that_names_it_suffices() -> None:
    imatinib = statement("imatinib", at(30))
    vancomycin = exposed(ExposureKind.STATEMENT, "vancomycin", at(30), route=Route.UNKNOWN)
    assert _ranks(imatinib, vancomycin) == {"imatinib": 1, "vancomycin": 2}
    named = dose("vancomycin", at(31), route=Route.INTRAVENOUS)
    assert _ranks(imatinib, vancomycin, named) == {"imatinib": 1, "vancomycin": 1}


@pytest.mark.parametrize(("begun", "is_later"), [(at(20), False), (at(20, 9), True)])
def test_a_drug_begun_with_the_first_evidence_was_not_begun_after_it(
    begun: Instant, *, is_later: bool
) -> None:
    known = (statement("imatinib", at(0)), present(FindingCode.RASH, at(20)))
    culprits = {c.drug: c for c in _culprits(*known, statement("allopurinol", begun), day=26)}
    assert (SuspectReason.BEGAN_AFTER_ONSET in culprits["allopurinol"].reasons) is is_later


@pytest.mark.parametrize(
    ("again", "exposure"), [(at(26), ExposureState.ONGOING), (at(26, 9), ExposureState.STOPPED)]
)
def test_a_drug_given_again_by_the_last_evidence_goes_on(again: Instant, exposure: ExposureState) -> None:
    first = (statement("imatinib", at(0)), present(FindingCode.RASH, at(20)), stop("imatinib", at(22)))
    (culprit,) = _culprits(*first, statement("imatinib", again), day=26)
    assert culprit.exposure is exposure
