"""Telling: what each record of an alert, a case, a recurrence and an action says of the patient."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from pv_stream.domain.codes import ActionKind, Analyte, Comparator, EvidenceFlag, FindingCode, HoldCode
from pv_stream.domain.events import Event, FactArrived
from pv_stream.domain.facts import Measurement
from pv_stream.domain.ids import derive_id
from pv_stream.domain.outputs import Alert, Case
from pv_stream.domain.published import PatientState
from pv_stream.engine.advance import advance
from pv_stream.rules.rulebook import OrganProfile
from tests.acting import acted
from tests.builders import (
    PATIENT,
    RULEBOOK,
    absent,
    at,
    dose,
    eosinophils,
    event,
    held,
    leukocytes,
    measured,
    order,
    percent,
    present,
    reported,
    resent,
    retracted,
    stop,
    temperature,
)
from tests.shards import clock, told

GIVEN = (dose("imatinib", at(0)), dose("imatinib", at(7)))
SIGNS = (temperature("39", at(14, 9)), present(FindingCode.RASH, at(14, 10), surface=60))
REACTION = (*GIVEN, *SIGNS, eosinophils(1690, at(14, 11)))
#: Stopped, treated with prednisone, and over.
COURSE = (
    *REACTION,
    stop("imatinib", at(15)),
    dose("prednisone", at(15)),
    present(FindingCode.REACTION_RESOLVED, at(20)),
)
AGAIN = (dose("imatinib", at(60)), temperature("38.6", at(62)), eosinophils(2000, at(62, 9)))


def _of_kind(kind: str, *log: Event) -> list[dict[str, Any]]:
    return [value for value in told(log) if value.get("kind") == kind and "status" in value]


def _cases(*log: Event) -> list[dict[str, Any]]:
    return [value for value in told(log) if "state" in value]


def _restarts(*log: Event) -> list[dict[str, Any]]:
    return _of_kind("culprit_restart", *COURSE, *log)


IMATINIB = {
    "drug": "imatinib",
    "rxnorm": "282388",
    "rank": 1,
    "latency_days": 14,
    "latency": "core",
    "exposure": "ongoing",
    "naranjo": 4,
    "who_umc": "possible",
    "named_by": ["facts"],
    "reasons": ["latency_core", "exposure_ongoing"],
    "product": [],
}


def test_an_alert_says_what_is_known_of_the_reaction() -> None:
    (alert,) = _of_kind("suspected_dress", *REACTION)
    said = {
        field: value for field, value in alert.items() if field not in {"criteria", "regiscar", "evidence"}
    }
    episode_id = alert["episode_id"]
    alert_id = derive_id("al", PATIENT, "suspected_dress", episode_id)
    assert said == {
        "schema_version": 1,
        "record_id": derive_id("rec", alert_id, "1"),
        "alert_id": alert_id,
        "kind": "suspected_dress",
        "episode_id": episode_id,
        "patient_id": PATIENT,
        "revision": 1,
        "status": "raised",
        "closing": None,
        "superseded_by": None,
        "tier": "warning",
        "as_of": "2026-01-15T11:00:00Z",
        "timeliness": "live",
        "reason": "Eosinophils 1,690/µL on 2026-01-15 (threshold 1,500), fever and rash; suspect imatinib (day 14); "
        "RegiSCAR 2 (from 0 to 9).",
        "cause": "event",
        "culprits": [IMATINIB],
        "eosinophils_per_ul": 1690,
        "eosinophils_on": "2026-01-15",
        "eosinophils_are_more": False,
        "threshold_per_ul": 1500,
        "recurrence": None,
        "restart": None,
        "review": None,
        "masking": [],
        "course": None,
        "flags": [],
        "rulebook": {"version": RULEBOOK.version, "digest": RULEBOOK.digest},
        "acknowledged": None,
        "continues": [],
        "transferred_to": None,
    }


def test_the_score_names_the_organ_profile_of_its_rulebook() -> None:
    ours = replace(RULEBOOK, organ_profile=OrganProfile("ours_2027", "UNCONFIRMED"))
    state, told = PatientState(), []
    for sent in REACTION:
        state, outputs = advance(state, sent, shard_clock=None, rulebook=ours)
        told += [output for output in outputs if isinstance(output, Alert | Case)]
    assert {output.regiscar.organ_profile for output in told if output.regiscar} == {"ours_2027"}


def test_the_score_names_its_items_and_the_profile_of_organ_cut_offs() -> None:
    """Clinical specification: the organ profile is `wolfson` by default, and named in the output."""
    (alert,) = _of_kind("suspected_dress", *REACTION)
    score = alert["regiscar"]
    assert (score["worst"], score["current"], score["best"], score["unknown_items"]) == (0, 2, 9, 7)
    assert score["category"] == {"worst": "no_case", "current": "possible", "best": "definite"}
    assert score["organ_profile"] == "wolfson"
    assert score["items"][4] == {
        "item": "rash_extent",
        "levels": ["yes"],
        "points": {"worst": 1, "current": 1, "best": 1},
        "evidence": [SIGNS[1].version.key],
    }


def test_a_case_says_how_the_episode_went() -> None:
    last = _cases(*COURSE, clock(50))[-1]
    said = {
        field: value for field, value in last.items() if field not in {"criteria", "regiscar", "culprits"}
    }
    assert said == {
        "schema_version": 1,
        "patient_id": PATIENT,
        "episode_id": last["episode_id"],
        "revision": 5,
        "state": "closed",
        "closing": "resolved",
        "superseded_by": None,
        "tier": "warning",
        "onset": "2026-01-15T09:00:00Z",
        "last_evidence": "2026-01-15T11:00:00Z",
        "resolved_at": "2026-01-21T08:00:00Z",
        "established": True,
        "established_by": "score",
        "signs": ["fever", "rash"],
        "eosinophils_per_ul": 1690,
        "eosinophils_on": "2026-01-15",
        "eosinophils_are_more": False,
        "recurrence": None,
        "course": None,
        "masking": [],
        "treatments": [
            {
                "drug": "prednisone",
                "rxnorm": "8640",
                "kind": "steroid",
                "started": "2026-01-16T08:00:00Z",
                "ended": "2026-01-16T08:00:00Z",
                "days": 1,
                "dose_mg_per_kg": None,
                "prior_steroid": False,
                "days_to_clinical_resolution": None,
            }
        ],
        "clinical_resolution_at": None,
        "days_to_clinical_resolution": None,
        "flags": [],
        "as_of": "2026-02-04T08:00:00Z",
        "cause": "clock",
        "rulebook": {"version": RULEBOOK.version, "digest": RULEBOOK.digest},
    }
    assert [culprit["drug"] for culprit in last["culprits"]] == ["imatinib"]
    assert (last["regiscar"]["current"], last["regiscar"]["best"]) == (2, 8)


def test_a_case_without_an_alert_that_stands_has_no_tier() -> None:
    count = eosinophils(1690, at(14))
    skin = _cases(*GIVEN, present(FindingCode.RASH, at(14)))
    taken_back = _cases(*GIVEN, count, retracted(count, received_at=at(15)))
    assert [(case["state"], case["tier"], case["established"]) for case in (*skin, *taken_back)] == [
        ("candidate", None, False),
        ("open", "info", False),
        ("withdrawn", None, False),
    ]


def test_a_case_counts_the_days_from_the_start_of_a_treatment_to_clinical_resolution() -> None:
    """Clinical specification, cohort: days are counted from the start of cyclosporine."""
    cool = [temperature("37.0", at(day, hour)) for day, hour in ((17, 8), (18, 8), (19, 9))]
    gone = absent(FindingCode.RASH, at(17, 9))
    case = _cases(*REACTION, dose("cyclosporine", at(15)), dose("cyclosporine", at(16)), *cool, gone)[-1]
    (given,) = case["treatments"]
    assert case["clinical_resolution_at"] == "2026-01-18T09:00:00Z"
    assert (case["days_to_clinical_resolution"], given["days_to_clinical_resolution"]) == (2, 2)
    assert (given["days"], given["ended"]) == (2, "2026-01-17T08:00:00Z")


def test_a_recurrence_says_of_which_episode_it_is_and_which_drugs_are_suspect() -> None:
    values = told([*COURSE, clock(50), *AGAIN])
    (record,) = [value for value in values if "recurrence_id" in value]
    first, second = dict.fromkeys(value["episode_id"] for value in values if "state" in value)
    recurrence_id = derive_id("rc", PATIENT, second)
    assert record == {
        "schema_version": 1,
        "record_id": derive_id("rec", recurrence_id, "1"),
        "recurrence_id": recurrence_id,
        "revision": 1,
        "status": "observed",
        "patient_id": PATIENT,
        "episode_id": second,
        "alert_id": derive_id("al", PATIENT, "suspected_dress", second),
        "of_episode": first,
        "primary": "rechallenge",
        "contributing": record["contributing"],
        "interval_days": 48,
        "drugs": ["imatinib"],
        "as_of": record["as_of"],
        "cause": "event",
        "rulebook": {"version": RULEBOOK.version, "digest": RULEBOOK.digest},
    }
    shown = {"primary": "rechallenge", "contributing": [], "of_episode": first, "interval_days": 48}
    last = [value for value in values if value.get("episode_id") == second]
    assert [value["recurrence"] for value in last if "state" in value][-1] == shown
    assert [value["recurrence"] for value in last if value.get("kind") == "suspected_dress"][-1] == shown


def test_a_count_above_what_was_measured_is_told_as_more() -> None:
    (alert,) = _of_kind(
        "suspected_dress",
        *GIVEN,
        measured(Analyte.EOSINOPHILS, 2000, at(14), comparator=Comparator.GREATER),
    )
    assert (alert["eosinophils_per_ul"], alert["eosinophils_are_more"]) == (2000, True)


def test_a_restart_names_the_drug_and_says_nothing_of_a_count() -> None:
    (alert,) = _restarts(clock(50), order("imatinib", at(60)))
    assert alert["restart"] == {
        "drug": "imatinib",
        "rxnorm": "282388",
        "relation": "same",
        "of_episode": alert["episode_id"],
        "started_at": "2026-03-02T08:00:00Z",
        "begun_as": "order",
    }
    assert (alert["eosinophils_per_ul"], alert["eosinophils_are_more"], alert["criteria"]) == (
        None,
        False,
        None,
    )


def _late(*events: FactArrived) -> list[FactArrived]:
    return [resent(sent, received_at=at(100)) for sent in events]


def test_a_restart_that_goes_on_is_live_however_late_it_is_learned_of_and_one_long_over_is_not() -> None:
    goes_on = _restarts(clock(50), *_late(order("imatinib", at(60))))
    over = _restarts(clock(50), *_late(stop("imatinib", at(61)), dose("imatinib", at(60))))
    assert ([alert["timeliness"] for alert in goes_on], over[0]["timeliness"]) == (["live"], "retrospective")


def test_a_restart_whose_tier_rises_above_what_somebody_noted_is_armed_again() -> None:
    first = (*GIVEN, *SIGNS[1:], stop("imatinib", at(15)), order("imatinib", at(40)))
    (warned,) = _of_kind("culprit_restart", *first)
    noted = acted(warned, ActionKind.ACKNOWLEDGE)
    late = _late(*SIGNS[:1], eosinophils(1690, at(14, 11)))
    alerts = _of_kind("culprit_restart", *first, noted, *late)
    assert [(alert["tier"], alert["flags"], alert["acknowledged"] is None) for alert in alerts] == [
        ("warning", [], True),
        ("warning", [], False),
        ("critical", ["rearmed"], True),
    ]


def test_a_follow_up_names_the_suspects_and_the_score() -> None:
    (asked,) = _of_kind("follow_up_due", *REACTION, clock(31))
    assert [culprit["drug"] for culprit in asked["culprits"]] == ["imatinib"]
    assert (asked["regiscar"]["current"], asked["tier"], asked["closing"]) == (2, "info", None)


def test_a_value_to_review_is_the_evidence_of_its_alert() -> None:
    waits = held(HoldCode.MISSING_UNIT, at(5))
    (review,) = _of_kind("data_review", GIVEN[0], waits)
    assert [cited.partition("@")[0] for cited in review["evidence"]] == [waits.version.key]
    assert review["review"] == {"fact": waits.version.key, "code": "missing_unit"}
    assert review["alert_id"] == derive_id("al", PATIENT, "data_review", waits.version.key)


def test_an_accepted_action_is_a_record_of_its_own() -> None:
    (alert,) = _of_kind("suspected_dress", *REACTION)
    confirmed = acted(alert, ActionKind.CONFIRM, drugs=("imatinib",), at=at(14, 12))
    (record,) = [value for value in told([*REACTION, confirmed]) if value.get("action_id")]
    assert record == {
        "schema_version": 1,
        "record_id": derive_id("rec", confirmed.action_id),
        "action_id": confirmed.action_id,
        "alert_id": alert["alert_id"],
        "kind": "suspected_dress",
        "episode_id": alert["episode_id"],
        "patient_id": PATIENT,
        "action": "confirm",
        "reason": None,
        "drugs": ["imatinib"],
        "by": "actor-1",
        "tier": "warning",
        "revision": 1,
        "as_of": "2026-01-15T12:00:00Z",
        "rulebook": {"version": RULEBOOK.version, "digest": RULEBOOK.digest},
    }


def test_the_evidence_is_what_opened_the_episode_then_the_peak_and_each_fact_once() -> None:
    rash, fever = SIGNS[1], temperature("39", at(14, 12))
    count, lower = eosinophils(1690, at(14, 11)), eosinophils(1600, at(14, 13))
    alert = _of_kind("suspected_dress", *GIVEN, rash, count, fever, lower)[-1]
    cited = [key.partition("@")[0] for key in alert["evidence"]]
    assert cited == [sent.version.key for sent in (rash, count, fever, GIVEN[0])]


def test_an_alert_that_rests_on_a_report_names_the_threshold_of_the_suspect_all_the_same() -> None:
    (alert,) = _of_kind("suspected_dress", *GIVEN, reported(at(14), "imatinib"))
    assert (alert["threshold_per_ul"], alert["eosinophils_per_ul"]) == (1500, None)


def test_a_count_derived_from_two_specimens_is_flagged() -> None:
    """A percentage whose leukocytes come from another specimen."""
    derived = (leukocytes(10000, at(14)), percent(20, at(14, 9)))
    (alert,) = _of_kind("suspected_dress", *GIVEN, *derived)
    assert alert["flags"] == ["leukocytes_from_another_specimen"]


def test_what_was_assumed_of_the_peak_count_is_flagged() -> None:
    assumed = (EvidenceFlag.SPECIMEN_ASSUMED, EvidenceFlag.WEAK_KEY)
    count = event(Measurement(Analyte.EOSINOPHILS, Decimal(1690), flags=assumed), at(14))
    (alert,) = _of_kind("suspected_dress", *GIVEN, count)
    assert alert["flags"] == ["specimen_assumed", "weak_key"]
