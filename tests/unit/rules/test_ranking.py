"""Ranking: what decides among suspects of one latency, and the reasons that each of them carries."""

from collections.abc import Mapping

import pytest

from pv_stream.domain.assessment import ExposureState
from pv_stream.domain.codes import ExposureKind, FindingCode, Route
from pv_stream.domain.criteria import SuspectReason
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import AsSent, Exposure
from tests.builders import (
    assessed,
    at,
    dose,
    eosinophils,
    event,
    exposed,
    order,
    present,
    statement,
    stop,
    temperature,
)
from tests.unit.rules.causality_cases import last_culprit

R = SuspectReason
COUNT = eosinophils(1690, at(20))
RESOLVED = present(FindingCode.REACTION_RESOLVED, at(30))


def reasons(*events: FactArrived, drug: str = "imatinib") -> tuple[SuspectReason, ...]:
    return last_culprit(*events, drug=drug).reasons


def ranks(*events: FactArrived) -> Mapping[str, int]:
    return {culprit.drug: culprit.rank for culprit in assessed(*events).episodes[-1].culprits}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (statement("imatinib", at(0)), (R.LATENCY_CORE, R.EXPOSURE_ONGOING)),
        (statement("imatinib", at(17)), (R.LATENCY_SHOULDER, R.EXPOSURE_ONGOING)),
        (order("imatinib", at(0)), (R.LATENCY_UNKNOWN, R.EXPOSURE_ONGOING)),
        (dose("imatinib", at(0)), (R.LATENCY_CORE,)),
    ],
    ids=["core", "shoulder", "unknown", "one dose"],
)
def test_latency_and_exposure_are_reasons(given: FactArrived, expected: tuple[SuspectReason, ...]) -> None:
    assert reasons(given, COUNT) == expected


def test_a_re_exposure_is_a_reason_even_where_nothing_happened_before() -> None:
    before = (dose("imatinib", at(-40)), stop("imatinib", at(-39)))
    assert reasons(*before, statement("imatinib", at(0)), COUNT) == (R.REEXPOSURE, R.EXPOSURE_ONGOING)


def test_a_drug_that_was_stopped_and_given_again_during_the_episode_is_ongoing() -> None:
    """Case Rep Oncol 2021;14:1548: imatinib was stopped, desensitised and continued."""
    events = (dose("imatinib", at(0)), COUNT, stop("imatinib", at(21)), temperature("39", at(22)))
    again = (statement("imatinib", at(23)), temperature("39", at(24)))
    assert last_culprit(*events, drug="imatinib").exposure is ExposureState.STOPPED
    assert last_culprit(*events, *again, drug="imatinib").exposure is ExposureState.ONGOING
    assert last_culprit(*events, *again, drug="imatinib").latency_days == 20


def test_a_drug_begun_after_the_onset_says_so() -> None:
    events = (statement("imatinib", at(0)), temperature("39", at(15)), statement("dapsone", at(16)), COUNT)
    assert R.BEGAN_AFTER_ONSET in reasons(*events, drug="dapsone")
    assert R.BEGAN_AFTER_ONSET not in reasons(*events)


def test_a_route_that_matters_and_is_unknown_is_a_reason() -> None:
    unknown = exposed(ExposureKind.STATEMENT, "vancomycin", at(0), route=Route.UNKNOWN)
    assert R.ROUTE_UNSURE in reasons(unknown, COUNT, drug="vancomycin")
    named = exposed(ExposureKind.STATEMENT, "vancomycin", at(0), route=Route.INTRAVENOUS)
    assert R.ROUTE_UNSURE not in reasons(named, COUNT, drug="vancomycin")


def test_withdrawal_is_a_reason_and_moves_no_rank() -> None:
    two = (
        statement("dapsone", at(0)),
        statement("imatinib", at(0)),
        COUNT,
        present(FindingCode.RASH, at(20)),
    )
    improved = (*two, stop("imatinib", at(22)), present(FindingCode.RASH_IMPROVED, at(25)))
    assert R.POSITIVE_DECHALLENGE in reasons(*improved)
    assert R.POSITIVE_DECHALLENGE not in reasons(*improved, drug="dapsone")
    assert ranks(*improved) == {"dapsone": 1, "imatinib": 1}
    persists = (
        *two,
        stop("imatinib", at(22)),
        present(FindingCode.RASH, at(30)),
        present(FindingCode.RASH, at(36)),
    )
    assert R.NEGATIVE_DECHALLENGE in reasons(*persists)


FIRST = (
    statement("imatinib", at(0)),
    COUNT,
    present(FindingCode.RASH, at(20)),
    stop("imatinib", at(22)),
    RESOLVED,
)
SECOND = (present(FindingCode.RASH, at(120)), eosinophils(1600, at(120)))


def test_a_rechallenge_decides_among_equals() -> None:
    events = (*FIRST, statement("allopurinol", at(100)), statement("imatinib", at(100)), *SECOND)
    assert ranks(*events) == {"imatinib": 1, "allopurinol": 2}
    assert reasons(*events) == (
        R.REEXPOSURE,
        R.POSITIVE_RECHALLENGE,
        R.EARLIER_REACTION,
        R.POSITIVE_DECHALLENGE,
        R.EXPOSURE_ONGOING,
    )


def test_a_skin_reaction_that_alerted_nobody_is_an_earlier_reaction_once_a_rechallenge_establishes_it() -> (
    None
):
    candidate = (FIRST[0], *FIRST[2:])
    assert R.EARLIER_REACTION in reasons(*candidate, statement("imatinib", at(100)), *SECOND)
    other = (*candidate, statement("allopurinol", at(100)), *SECOND)
    assert R.EARLIER_REACTION not in reasons(*other, drug="allopurinol")


def test_latency_goes_before_the_story() -> None:
    events = (*FIRST, statement("allopurinol", at(100)), order("imatinib", at(100)), *SECOND)
    assert ranks(*events) == {"allopurinol": 1, "imatinib": 2}


def test_a_drug_that_cross_reacts_with_an_earlier_culprit_goes_before_one_that_does_not() -> None:
    first = (
        statement("phenytoin", at(0)),
        COUNT,
        present(FindingCode.RASH, at(20)),
        stop("phenytoin", at(22)),
        RESOLVED,
    )
    events = (*first, statement("allopurinol", at(100)), statement("lamotrigine", at(100)), *SECOND)
    assert ranks(*events) == {"lamotrigine": 1, "allopurinol": 2}
    assert R.CROSS_REACTIVE_WITH_EARLIER_CULPRIT in reasons(*events, drug="lamotrigine")


def test_a_drug_given_again_and_tolerated_says_so() -> None:
    events = (
        statement("imatinib", at(0)),
        COUNT,
        present(FindingCode.RASH, at(20)),
        stop("imatinib", at(22)),
        present(FindingCode.RASH_IMPROVED, at(25)),
        statement("imatinib", at(27)),
        eosinophils(300, at(41)),
    )
    assert R.NEGATIVE_RECHALLENGE in reasons(*events)


@pytest.mark.parametrize("product", ["empagliflozin/metformin", "sulfamethoxazole/trimethoprim"])
def test_two_watched_drugs_of_one_product_are_an_ambiguous_pair(product: str) -> None:
    for drug in product.split("/"):
        culprit = last_culprit(statement(product, at(0)), COUNT, drug=drug)
        assert culprit.rank == 1
        assert culprit.product == tuple(product.split("/"))
        assert {R.COMBINATION_PRODUCT, R.AMBIGUOUS_PAIR} <= set(culprit.reasons)


def test_a_product_of_one_watched_drug_is_no_pair() -> None:
    culprit = last_culprit(statement("piperacillin/tazobactam", at(10)), COUNT, drug="piperacillin")
    assert culprit.product == ("piperacillin", "tazobactam")
    assert R.COMBINATION_PRODUCT in culprit.reasons
    assert R.AMBIGUOUS_PAIR not in culprit.reasons


def test_two_drugs_given_apart_are_no_pair() -> None:
    events = (statement("empagliflozin", at(0)), statement("metformin", at(0)), COUNT)
    assert R.AMBIGUOUS_PAIR not in reasons(*events, drug="metformin")
    assert last_culprit(*events, drug="metformin").product == ()


def test_a_partner_whose_window_is_over_leaves_no_pair() -> None:
    long_since = (statement("metformin", at(day)) for day in (-200, -120, -40))
    events = (*long_since, statement("empagliflozin/metformin", at(0)), COUNT)
    assert ranks(*events) == {"empagliflozin": 1}
    assert reasons(*events, drug="empagliflozin") == (
        R.LATENCY_CORE,
        R.EXPOSURE_ONGOING,
        R.COMBINATION_PRODUCT,
    )


@pytest.mark.parametrize(
    "content",
    [
        Exposure(ExposureKind.STATEMENT, ("fosphenytoin",)),
        Exposure(ExposureKind.STATEMENT, ("phenytoin",), as_sent=AsSent("rxnorm", "72236")),
        Exposure(ExposureKind.STATEMENT, ("phenytoin",), as_sent=AsSent("name", "fosphenytoin_sodium")),
    ],
    ids=["by ingredient", "by code", "by name"],
)
def test_a_prodrug_counts_as_its_drug_and_is_a_reason(content: Exposure) -> None:
    assert R.PRODRUG in reasons(event(content, at(0)), COUNT, drug="phenytoin")


def test_the_drug_itself_is_no_prodrug() -> None:
    sent = Exposure(ExposureKind.STATEMENT, ("phenytoin",), as_sent=AsSent("rxnorm", "8183"))
    assert R.PRODRUG not in reasons(event(sent, at(0)), COUNT, drug="phenytoin")


def test_a_culprit_carries_the_start_of_its_course_and_the_first_record_of_it() -> None:
    given = (dose("imatinib", at(0)), dose("imatinib", at(7)))
    culprit = last_culprit(*given, COUNT, drug="imatinib")
    assert culprit.evidence == (given[0].version.key,)
    assert (culprit.rxnorm, culprit.threshold_per_ul) == ("282388", 1500)


def test_a_drug_that_was_given_again_at_the_very_instant_of_the_count_is_ongoing() -> None:
    first = (dose("imatinib", at(0)), stop("imatinib", at(1)))
    again = statement("imatinib", at(20))
    assert last_culprit(*first, again, COUNT, drug="imatinib").exposure is ExposureState.ONGOING


def test_a_drug_that_went_on_after_an_earlier_reaction_goes_before_one_that_is_new() -> None:
    first = (
        present(FindingCode.RASH, at(20), surface=60),
        COUNT,
        present(FindingCode.REACTION_RESOLVED, at(25)),
    )
    second = (present(FindingCode.RASH, at(50), surface=60), eosinophils(1690, at(50)))
    given = (statement("imatinib", at(0)), statement("allopurinol", at(30)))
    assert ranks(*given, *first, *second) == {"imatinib": 1, "allopurinol": 2}
