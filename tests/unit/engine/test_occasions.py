"""What each record is told as: cause, timeliness, and how a tier stands or falls by it."""

from dataclasses import replace
from typing import Any

import pytest

from pv_stream.domain.codes import Analyte, FindingCode, HoldCode, Status
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Retracted, VersionOrder
from pv_stream.domain.ids import derive_id
from tests.builders import (
    PATIENT,
    absent,
    at,
    corrected,
    dose,
    eosinophils,
    held,
    measured,
    order,
    present,
    resent,
    retracted,
    reviewed,
    statement,
    stop,
    temperature,
    with_status,
)
from tests.shards import clock, told

DRUG = statement("imatinib", at(0))
COUNT = eosinophils(1690, at(20))
FEVER = temperature("38.6", at(20))


def _alerts(*log: FactArrived) -> list[dict[str, Any]]:
    return [value for value in told(log) if "kind" in value]


def _last(*log: FactArrived) -> tuple[str, str, str]:
    alert = _alerts(*log)[-1]
    return alert["status"], alert["tier"], alert["cause"]


def _value(value: str) -> FactArrived:
    return corrected(COUNT, eosinophils(value, at(20)).version.statement.content, received_at=at(21))


# Causes ---------------------------------------------------------------------------------------------------------


def test_a_corrected_count_lowers_the_tier_and_says_why() -> None:
    assert _last(DRUG, COUNT, FEVER) == ("revised", "warning", "event")
    assert _last(DRUG, COUNT, FEVER, retracted(FEVER, received_at=at(21))) == (
        "revised",
        "info",
        "retraction",
    )
    assert _last(DRUG, COUNT, _value("1600")) == ("revised", "info", "correction")


def test_a_count_corrected_below_the_table_withdraws_the_alert_and_its_return_raises_it_again() -> None:
    assert _last(DRUG, COUNT, _value("169")) == ("withdrawn", "info", "correction")
    again = resent(eosinophils(1700, at(22)), received_at=at(22))
    first, _, third = _alerts(DRUG, COUNT, _value("169"), again)
    assert third["status"] == "raised"
    assert first["alert_id"] != third["alert_id"]  # other evidence is another episode


def test_a_final_with_the_value_of_the_preliminary_is_no_correction() -> None:
    preliminary = with_status(COUNT, Status.PRELIMINARY)
    assert len(_alerts(DRUG, preliminary, COUNT)) == 1


def test_a_final_with_another_value_is_one() -> None:
    preliminary = with_status(eosinophils(2000, at(20)), Status.PRELIMINARY)
    assert _last(DRUG, preliminary, FEVER, COUNT) == ("revised", "warning", "correction")


def test_a_later_normal_value_never_lowers_a_tier() -> None:
    normal = (temperature("36.6", at(22)), eosinophils(100, at(23)))
    assert {alert["tier"] for alert in _alerts(DRUG, COUNT, FEVER, *normal)[1:]} == {"warning"}


def test_a_newly_documented_no_lowers_the_score_but_not_the_tier_until_a_fact_is_replaced() -> None:
    probable = (
        COUNT,
        FEVER,
        present(FindingCode.RASH, at(20), surface=60),
        present(FindingCode.ENLARGED_LYMPH_NODES, at(20), sites=2, size_cm="2"),
        present(FindingCode.ATYPICAL_LYMPHOCYTES, at(20)),
    )
    biopsy = absent(FindingCode.BIOPSY_SUGGESTS_DRESS, at(21))
    assert _last(DRUG, *probable) == ("revised", "critical", "event")
    after = _alerts(DRUG, *probable, biopsy)[-1]
    assert (after["regiscar"]["current"], after["tier"], after["cause"]) == (3, "critical", "event")
    assert _last(DRUG, *probable, biopsy, _value("1600")) == ("revised", "warning", "correction")


def test_an_info_that_rested_on_a_drug_given_before_is_withdrawn_with_that_dose_and_leaves_the_skin() -> None:
    """The dose of long ago made the count on the day of the next one a re-exposure."""
    long_ago = dose("allopurinol", at(-100))
    alerts = _alerts(
        long_ago,
        dose("imatinib", at(0)),
        present(FindingCode.RASH, at(26)),
        dose("allopurinol", at(34)),
        eosinophils(1600, at(34, 10)),
        retracted(long_ago, received_at=at(35)),
    )
    assert [(alert["status"], alert["tier"]) for alert in alerts] == [
        ("raised", "info"),
        ("withdrawn", "info"),
    ]


def test_a_withdrawn_warning_comes_back_at_the_tier_that_is_true_now() -> None:
    warned = eosinophils(1600, at(27))
    alerts = _alerts(
        dose("allopurinol", at(-100)),
        dose("imatinib", at(0)),
        present(FindingCode.RASH, at(26)),
        warned,
        corrected(warned, eosinophils(100, at(27)).version.statement.content, received_at=at(28)),
        dose("allopurinol", at(34)),
        eosinophils(1600, at(34, 10)),
    )
    assert [(alert["status"], alert["tier"], alert["revision"]) for alert in alerts] == [
        ("raised", "warning", 1),
        ("withdrawn", "warning", 2),
        ("raised", "info", 3),
    ]


def test_a_final_that_says_the_same_lets_no_latched_tier_fall() -> None:
    preliminary = with_status(present(FindingCode.RASH, at(20), surface=60), Status.PRELIMINARY)
    latched = (
        present(FindingCode.FACIAL_OEDEMA, at(20)),
        present(FindingCode.SCALING, at(20)),
        present(FindingCode.ATYPICAL_LYMPHOCYTES, at(20)),
        *(absent(code, at(20)) for code in (FindingCode.ANA, FindingCode.BLOOD_CULTURE)),
        absent(FindingCode.HEPATITIS_SEROLOGY, at(20)),
        absent(FindingCode.BIOPSY_SUGGESTS_DRESS, at(21)),
    )
    alerts = _alerts(DRUG, preliminary, *latched, with_status(preliminary, Status.FINAL))
    assert [(alert["status"], alert["tier"]) for alert in alerts] == [
        ("raised", "warning"),
        ("revised", "warning"),
    ]


def test_beside_an_alert_that_stands_though_nothing_would_raise_it_now_a_skin_reaction_is_taken_back() -> (
    None
):
    """A stop learned of late leaves both beyond the window of the drug: an alert that was told closes in its time."""
    reaction = (eosinophils(1690, at(70)), present(FindingCode.REACTION_RESOLVED, at(75)))
    late = resent(stop("imatinib", at(1)), received_at=at(86))
    values = told([order("imatinib", at(0)), *reaction, present(FindingCode.RASH, at(85)), late])
    last = {case["episode_id"]: case["state"] for case in values if "state" in case}
    assert list(last.values()) == ["open", "withdrawn"]


def test_a_candidate_is_the_same_without_its_first_sign_and_returns_after_its_last() -> None:
    first, second = present(FindingCode.RASH, at(20)), present(FindingCode.RASH, at(21))
    taken_back = [retracted(sent, received_at=at(22)) for sent in (first, second)]
    again = replace(second, version=replace(second.version, order=VersionOrder(1, Status.FINAL)))
    cases = [value for value in told([DRUG, first, second, *taken_back, again]) if "state" in value]
    assert len({case["episode_id"] for case in cases}) == 1
    states = [case["state"] for case in cases]
    assert states == ["candidate", "candidate", "candidate", "withdrawn", "candidate"]


def test_ids_of_alerts_and_recurrences_follow_from_patient_and_episode() -> None:
    resolved = present(FindingCode.REACTION_RESOLVED, at(25))
    first = (DRUG, COUNT, FEVER, present(FindingCode.RASH, at(20), surface=60), resolved)
    values = told([*first, eosinophils(1700, at(60)), temperature("39", at(60))])
    for value in values:
        if value.get("kind") == "suspected_dress":
            assert value["alert_id"] == derive_id("al", PATIENT, "suspected_dress", value["episode_id"])
        if "recurrence_id" in value:
            assert value["recurrence_id"] == derive_id("rc", PATIENT, value["episode_id"])
    assert any("recurrence_id" in value for value in values)


def test_a_latched_warning_outlasts_the_correction_of_what_it_never_rested_on() -> None:
    other = measured(Analyte.AST, 20, at(-100))
    skin = (
        present(FindingCode.RASH, at(20), surface=60),
        present(FindingCode.FACIAL_OEDEMA, at(20)),
        present(FindingCode.SCALING, at(20)),
    )
    score = (
        present(FindingCode.ATYPICAL_LYMPHOCYTES, at(20)),
        absent(FindingCode.ANA, at(20)),
        absent(FindingCode.BLOOD_CULTURE, at(20)),
        absent(FindingCode.HEPATITIS_SEROLOGY, at(20)),
    )
    lower = absent(FindingCode.BIOPSY_SUGGESTS_DRESS, at(21))
    correction = corrected(other, measured(Analyte.AST, 25, at(-100)).version.statement.content)
    alerts = _alerts(other, DRUG, *skin, *score, lower, correction)
    assert [(alert["status"], alert["tier"]) for alert in alerts] == [
        ("raised", "warning"),
        ("revised", "warning"),
    ]
    assert alerts[-1]["regiscar"]["current"] == 1


def test_a_skin_reaction_is_remembered_once_and_again_only_when_it_changed() -> None:
    skin, other = present(FindingCode.RASH, at(20)), measured(Analyte.AST, 20, at(-100))
    cases = [value["revision"] for value in told([DRUG, skin, other]) if value.get("state") == "candidate"]
    assert cases == [1]


def test_a_retraction_before_its_original_keeps_the_original_out() -> None:
    assert _alerts(DRUG, retracted(COUNT, received_at=at(20)), resent(COUNT, received_at=at(21))) == []


def test_a_case_whose_count_was_taken_back_shows_the_skin_alone() -> None:
    skin = present(FindingCode.RASH, at(20))
    cases = [
        value for value in told([DRUG, skin, COUNT, retracted(COUNT, received_at=at(21))]) if "state" in value
    ]
    assert [(case["state"], case["eosinophils_per_ul"], case["tier"]) for case in cases] == [
        ("candidate", None, None),
        ("open", 1690, "warning"),
        ("candidate", None, None),
    ]


def test_a_closed_alert_that_is_taken_back_is_withdrawn_and_no_longer_closed() -> None:
    resolved = present(FindingCode.REACTION_RESOLVED, at(22))
    values = told([DRUG, COUNT, resolved, clock(40), retracted(COUNT, received_at=at(41))])
    ended = [(value["closing"], value.get("status", value.get("state"))) for value in values[-4:]]
    assert ended == [("resolved", "closed"), ("resolved", "closed"), (None, "withdrawn"), (None, "withdrawn")]


def test_a_recurrence_that_was_withdrawn_is_withdrawn_once_and_observed_again_when_its_basis_returns() -> (
    None
):
    rash = present(FindingCode.RASH, at(20), surface=60)
    first = (DRUG, rash, COUNT, FEVER, present(FindingCode.REACTION_RESOLVED, at(25)))
    second = (eosinophils(1700, at(60)), temperature("39", at(60)))
    gone = [retracted(sent, received_at=at(61)) for sent in (rash, COUNT, FEVER)]
    other = eosinophils(1750, at(62))
    again = [
        replace(sent, version=replace(sent.version, order=VersionOrder(2, Status.FINAL)))
        for sent in first[1:4]
    ]
    values = told([*first, *second, *gone, other, *(resent(sent, received_at=at(63)) for sent in again)])
    told_of = [(value["status"], value["revision"]) for value in values if "recurrence_id" in value]
    assert [status for status, _ in told_of].count("withdrawn") == 1
    assert told_of[0] == ("observed", 1)
    assert [revision for _, revision in told_of] == list(range(1, len(told_of) + 1))
    assert "observed" in [status for status, _ in told_of[1:]]


# Timeliness -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "hour", "minute", "timeliness"),
    [
        (20, 8, 0, "live"),
        (21, 8, 0, "live"),
        (21, 8, 1, "late"),
        (50, 8, 0, "late"),
        (50, 8, 1, "retrospective"),
    ],
)
def test_news_is_live_for_a_day_and_late_for_thirty(
    day: int, hour: int, minute: int, timeliness: str
) -> None:
    (alert,) = _alerts(DRUG, resent(COUNT, received_at=at(day, hour, minute)))
    assert alert["timeliness"] == timeliness


def test_an_old_drug_that_is_learned_of_today_makes_today_s_count_live() -> None:
    (alert,) = _alerts(COUNT, resent(dose("imatinib", at(0), end=at(15)), received_at=at(20, 9)))
    assert alert["timeliness"] == "live"


# Held values ----------------------------------------------------------------------------------------------------

WAITS = held(HoldCode.MISSING_UNIT, at(20))


def test_a_held_value_under_a_watched_drug_asks_for_a_review() -> None:
    (alert,) = _alerts(DRUG, WAITS)
    assert (alert["kind"], alert["status"], alert["tier"]) == ("data_review", "raised", "info")
    assert alert["review"] == {"code": "missing_unit", "fact": WAITS.version.key}


def test_a_confirmed_value_closes_the_review_and_counts() -> None:
    dress, review = _alerts(DRUG, WAITS, reviewed(WAITS, COUNT.version.statement.content))[1:]
    assert (review["status"], review["closing"]) == ("closed", "reviewed")
    assert (dress["kind"], dress["eosinophils_per_ul"]) == ("suspected_dress", 1690)


def test_a_discarded_value_closes_the_review_and_counts_for_nothing() -> None:
    alerts = _alerts(DRUG, WAITS, reviewed(WAITS, Retracted()))
    assert [(alert["kind"], alert["status"]) for alert in alerts] == [
        ("data_review", "raised"),
        ("data_review", "closed"),
    ]


@pytest.mark.parametrize(
    ("value", "code"),
    [("-5", "out_of_range"), ("0.9", "fraction_of_a_cell"), ("100001", "out_of_range")],
)
def test_what_ingest_should_have_held_is_held_by_the_fold(value: str, code: str) -> None:
    (alert,) = _alerts(DRUG, measured(Analyte.EOSINOPHILS, value, at(20)))
    assert (alert["kind"], alert["review"]["code"]) == ("data_review", code)


def test_a_lab_dated_2052_fires_nothing_but_a_review() -> None:
    future = resent(measured(Analyte.EOSINOPHILS, 1690, at(9500)), received_at=at(20))
    (alert,) = _alerts(DRUG, future)
    assert (alert["kind"], alert["review"]["code"], alert["as_of"]) == (
        "data_review",
        "time_in_future",
        "2026-01-21T08:00:00Z",
    )


def test_a_value_confirmed_although_it_is_implausible_is_believed() -> None:
    wrong = measured(Analyte.EOSINOPHILS, 100_001, at(20))
    confirmed = reviewed(wrong, wrong.version.statement.content, even_if_implausible=True)
    assert "suspected_dress" in {alert["kind"] for alert in _alerts(DRUG, wrong, confirmed)}


def test_a_confirmed_value_is_asked_for_its_plausibility_like_any_other() -> None:
    confirmed = reviewed(WAITS, measured(Analyte.EOSINOPHILS, "1.69", at(20)).version.statement.content)
    reviews = [alert for alert in _alerts(DRUG, WAITS, confirmed) if alert["kind"] == "data_review"]
    assert [(alert["status"], alert["review"]["code"]) for alert in reviews] == [
        ("raised", "missing_unit"),
        ("revised", "fraction_of_a_cell"),
    ]


def test_a_time_in_the_future_cannot_be_confirmed() -> None:
    future = resent(measured(Analyte.EOSINOPHILS, 1690, at(9500)), received_at=at(20))
    content = future.version.statement.content
    confirmed = reviewed(future, content, received_at=at(21), even_if_implausible=True)
    assert {alert["kind"] for alert in _alerts(DRUG, future, confirmed)} == {"data_review"}


# The alert itself -----------------------------------------------------------------------------------------------


def test_the_alert_names_its_evidence_with_message_and_path_and_the_rulebook() -> None:
    (alert,) = _alerts(DRUG, COUNT)
    digest = COUNT.version.provenance.message_digest.removeprefix("sha256:")[:12]
    assert f"{COUNT.version.key}@{digest}#OBX[1]" in alert["evidence"]
    assert alert["rulebook"]["digest"].startswith("sha256:")
    assert (alert["eosinophils_per_ul"], alert["threshold_per_ul"]) == (1690, 1500)


def test_the_alert_of_the_design_reads_as_written_there() -> None:
    rash = present(FindingCode.RASH, at(20))
    score = _alerts(DRUG, COUNT, FEVER, rash)[-1]["regiscar"]
    assert (score["worst"], score["current"], score["best"], score["unknown_items"]) == (-1, 1, 9, 8)
    assert score["category"] == {"worst": "no_case", "current": "no_case", "best": "definite"}
