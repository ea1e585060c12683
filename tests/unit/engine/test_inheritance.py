"""Inheritance: what a survivor takes over of the alerts of a merged record, and what stays where it ended."""

from dataclasses import replace
from typing import Any

import pytest

from pv_stream.codec.state import encode_state
from pv_stream.domain.codes import ActionKind, Analyte, FindingCode, HoldCode
from pv_stream.domain.facts import Retracted
from pv_stream.domain.ids import PatientId, derive_id
from pv_stream.domain.published import ThinnedDays
from pv_stream.domain.times import MICROSECONDS_PER_DAY
from pv_stream.engine.advance import mark_incomplete
from pv_stream.engine.diff import next_due
from tests.acting import acted
from tests.builders import (
    RULEBOOK,
    absent,
    at,
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
)
from tests.merging import PatientEvent, Topic, alerts, codes, merge, of, separated, settled

A, B = "patient-a", "patient-b"
REACTION = (dose("imatinib", at(0)), dose("imatinib", at(7)), eosinophils(1690, at(15)))
#: An established reaction to imatinib, which was stopped.
STOPPED = (
    *REACTION,
    temperature("39", at(15)),
    present(FindingCode.RASH, at(15), surface=60),
    stop("imatinib", at(16)),
    present(FindingCode.REACTION_RESOLVED, at(20)),
)


def _statuses(told: list[dict[str, Any]]) -> list[str]:
    return [alert["status"] for alert in told]


def _cases(topic: Topic, patient: str) -> list[dict[str, Any]]:
    return [told for told in topic.told if "state" in told and told["patient_id"] == patient]


# Restarts and values to review --------------------------------------------------------------------------------------


def test_a_restart_that_was_taken_back_ends_in_the_prior_and_the_next_one_goes_on() -> None:
    mistaken = order("imatinib", at(60))
    topic = settled(
        *of(A, *STOPPED, mistaken, retracted(mistaken, received_at=at(61)), order("imatinib", at(70))),
        *merge(A, B, at(71)),
    )
    told = alerts(topic, A, "culprit_restart")
    assert _statuses(told) == ["raised", "withdrawn", "raised", "transferred"]
    (survivor,) = alerts(topic, B, "culprit_restart")
    assert (survivor["status"], survivor["tier"]) == ("raised", "critical")
    assert survivor["continues"] == [told[-1]["alert_id"]]
    episode_id, first = survivor["episode_id"], order("imatinib", at(70)).version.key
    assert survivor["alert_id"] == derive_id("al", B, "culprit_restart", episode_id, "imatinib", first)
    (remembered,) = topic.state_of(B).published.restarts
    assert (remembered.alert.status, remembered.alert.revision) == ("raised", 1)
    ended = [restart.alert.status for restart in topic.state_of(A).published.restarts]
    assert ended == ["withdrawn", "transferred"]


def test_a_restart_that_the_survivor_had_taken_back_is_warned_of_again_by_the_prior_s() -> None:
    again = order("imatinib", at(60))
    own = [*of(B, *STOPPED, again, retracted(again, received_at=at(61)))]
    topic = settled(*own, *of(A, *STOPPED, again), *merge(A, B, at(62)))
    assert _statuses(alerts(topic, A, "culprit_restart"))[-1] == "transferred"
    told = alerts(topic, B, "culprit_restart")
    # The survivor knows that the order was a mistake: what the prior says is taken over, and then taken back.
    assert [(alert["status"], alert["revision"]) for alert in told] == [
        ("raised", 1),
        ("withdrawn", 2),
        ("raised", 3),
        ("withdrawn", 4),
    ]
    assert told[-1]["continues"] == [alerts(topic, A, "culprit_restart")[0]["alert_id"]]


def test_a_warning_of_another_course_goes_on_beside_the_survivor_s_own() -> None:
    own, other = order("imatinib", at(40)), order("imatinib", at(60))
    topic = settled(
        *of(B, *STOPPED, own, stop("imatinib", at(41))), *of(A, *STOPPED, other), *merge(A, B, at(62))
    )
    last = {alert["restart"]["started_at"]: alert for alert in alerts(topic, B, "culprit_restart")}
    continued = {started: alert["continues"] for started, alert in last.items()}
    (warned, *_) = alerts(topic, A, "culprit_restart")
    assert continued == {"2026-02-10T08:00:00Z": [], "2026-03-02T08:00:00Z": [warned["alert_id"]]}


def test_a_warning_that_both_gave_goes_on_at_the_higher_tier() -> None:
    again = order("imatinib", at(60))
    slight = (*REACTION, temperature("39", at(15)), stop("imatinib", at(16)))
    topic = settled(*of(B, *slight, again), *of(A, *STOPPED, again), *merge(A, B, at(62)))
    assert alerts(topic, B, "culprit_restart")[0]["tier"] == "warning"
    assert [alert["tier"] for alert in alerts(topic, A, "culprit_restart")] == ["critical", "critical"]
    assert alerts(topic, B, "culprit_restart")[-1]["tier"] == "critical"


def test_a_value_that_was_settled_stays_settled_and_the_one_that_waits_goes_on() -> None:
    done, waits = (held(HoldCode.MISSING_UNIT, at(day), value=f"held {day}") for day in (5, 6))
    discarded = reviewed(done, Retracted(), received_at=at(7))
    topic = settled(*of(A, REACTION[0], done, waits, discarded), *merge(A, B, at(8)))
    assert _statuses(alerts(topic, A, "data_review")) == ["raised", "raised", "closed", "transferred"]
    (review,) = alerts(topic, B, "data_review")
    assert (review["status"], review["review"]["fact"]) == ("raised", waits.version.key)
    assert review["alert_id"] == derive_id("al", B, "data_review", waits.version.key)
    assert review["continues"] == [derive_id("al", A, "data_review", waits.version.key)]
    assert [each.alert.status for each in topic.state_of(A).published.reviews] == ["closed", "transferred"]
    topic.send(*of(B, reviewed(waits, Retracted(), received_at=at(9))))
    assert _statuses(alerts(topic, B, "data_review")) == ["raised", "closed"]


def test_a_value_that_waited_in_both_and_was_noted_in_the_survivor_still_says_by_whom() -> None:
    waiting = (REACTION[0], held(HoldCode.MISSING_UNIT, at(5)))
    topic = settled(*of(A, *waiting), *of(B, *waiting))
    topic.send(acted(alerts(topic, B, "data_review")[0], ActionKind.ACKNOWLEDGE), *merge(A, B, at(8)))
    topic.settle()
    assert [alert["acknowledged"] is None for alert in alerts(topic, B, "data_review")] == [
        True,
        False,
        False,
    ]


# Episodes -----------------------------------------------------------------------------------------------------------


def test_an_episode_that_was_joined_with_another_does_not_go_on_beside_it() -> None:
    joined = (
        statement("imatinib", at(0)),
        present(FindingCode.RASH, at(20), surface=60),
        eosinophils(1700, at(20)),
        temperature("39", at(20)),
        eosinophils(100, at(22)),
        temperature("36.5", at(22)),
        absent(FindingCode.RASH, at(22)),
        temperature("38.6", at(40)),
        *(eosinophils(value, at(day)) for value, day in ((1690, 40), (1600, 41), (1500, 42), (1550, 43))),
        resent(temperature("39", at(30)), received_at=at(44)),
    )
    topic = settled(*of(A, *joined), *merge(A, B, at(45)))
    last = {alert["alert_id"]: alert["status"] for alert in alerts(topic, A)}
    assert list(last.values()) == ["superseded", "transferred"]
    (survivor,) = alerts(topic, B)
    assert survivor["continues"] == [list(last)[1]]
    assert [episode.state for episode in topic.state_of(A).published.episodes] == [
        "superseded",
        "transferred",
    ]


def test_nothing_is_told_of_an_episode_that_was_taken_back_before() -> None:
    gone = (*REACTION, retracted(REACTION[-1]))
    topic = settled(*of(A, *gone), *merge(A, B, at(16)))
    assert _cases(topic, B) == []
    assert [case["state"] for case in _cases(topic, A)] == ["open", "withdrawn"]


def test_a_recurrence_goes_on_under_the_survivor_and_ends_in_the_prior() -> None:
    again = (dose("imatinib", at(60)), eosinophils(2000, at(62)), temperature("39", at(62)))
    topic = settled(*of(A, *STOPPED, *again), *merge(A, B, at(63)))
    told = [value for value in topic.told if "recurrence_id" in value]
    assert [(value["patient_id"], value["status"], value["revision"]) for value in told][-2:] == [
        (B, "observed", 1),
        (A, "withdrawn", told[-1]["revision"]),
    ]
    episode_id = told[-2]["episode_id"]
    assert told[-2]["recurrence_id"] == derive_id("rc", B, episode_id)
    remembered = topic.state_of(A).published.episodes[-1].recurrence
    assert remembered is not None
    assert (remembered.revision, remembered.shown) == (told[-1]["revision"], None)


def test_an_alert_that_goes_on_takes_all_evidence_that_it_ever_had_with_it() -> None:
    second = eosinophils(1800, at(16))
    prior = (*REACTION, second, retracted(second, received_at=at(17)))
    topic = settled(*of(B, *REACTION), *of(A, *prior), *merge(A, B, at(18)))
    (episode,) = topic.state_of(B).published.episodes
    assert second.version.key in episode.members


def test_a_record_that_has_nothing_changes_nothing_of_the_one_it_is_merged_into() -> None:
    topic = settled(*of(B, *REACTION), *merge(A, B, at(16)))
    assert _statuses(alerts(topic, B)) == ["raised"]
    assert len(_cases(topic, B)) == 1
    assert topic.state_of(B).lineage.absorbed_ids == {A}


# Actions ------------------------------------------------------------------------------------------------------------


def test_an_action_on_an_alert_that_does_not_go_on_is_refused() -> None:
    topic = settled(*of(A, *REACTION, retracted(REACTION[-1])))
    taken_back = alerts(topic, A)[0]
    topic.send(*merge(A, B, at(16)))
    topic.settle()
    topic.send(acted(taken_back, ActionKind.ACKNOWLEDGE, at=at(17)))
    topic.settle()
    assert codes(topic) == [("action_unknown_alert", B)]


def test_a_late_revision_of_the_prior_s_alert_that_was_noted_counts_for_the_first_of_the_survivor_s() -> None:
    topic = settled(*of(A, *REACTION, eosinophils(1800, at(15, 9)), eosinophils(1900, at(15, 10))))
    seen = alerts(topic, A)[-1]
    topic.send(*merge(A, B, at(16)))
    topic.settle()
    topic.send(acted(seen, ActionKind.ACKNOWLEDGE, at=at(17)))
    topic.settle()
    assert (seen["revision"], codes(topic)) == (3, [])
    assert [alert["acknowledged"] is None for alert in alerts(topic, B)] == [True, False]


def test_an_action_under_the_prior_s_id_on_the_survivor_s_alert_is_one_of_the_survivor() -> None:
    topic = settled(*of(A, *REACTION), *merge(A, B, at(16)))
    (alert,) = alerts(topic, B)
    noted = acted(alert, ActionKind.ACKNOWLEDGE, at=at(17))
    topic.send(replace(noted, patient_id=PatientId(A)))
    topic.settle()
    (record,) = [value for value in topic.told if value.get("action_id")]
    assert (record["patient_id"], record["alert_id"]) == (B, alert["alert_id"])


# Verdicts -----------------------------------------------------------------------------------------------------------


def _judged(topic: Topic, patient: str, action: ActionKind, day: int) -> PatientEvent:
    return acted(alerts(topic, patient)[-1], action, at=at(day))


def test_what_was_refuted_under_the_survivor_stays_refuted_when_it_goes_back() -> None:
    topic = settled(*of(A, *REACTION), *merge(A, B, at(16)))
    topic.send(_judged(topic, B, ActionKind.REFUTE, 17), separated(A, B, at(18)))
    topic.settle()
    assert _statuses(alerts(topic, A)) == ["raised", "transferred"]
    assert [verdict.judgement for verdict in topic.state_of(A).published.verdicts] == ["refuted"]


def test_what_the_survivor_refuted_of_its_own_stays_refuted_when_another_s_facts_leave() -> None:
    other = measured(Analyte.AST, 20, at(15))
    topic = settled(*of(B, *REACTION), *of(A, other), *merge(A, B, at(16)))
    topic.send(_judged(topic, B, ActionKind.REFUTE, 17), separated(A, B, at(18)))
    topic.settle()
    assert _statuses(alerts(topic, B)) == ["raised", "closed"]
    assert [episode.closing for episode in topic.state_of(B).published.episodes] == ["refuted"]


# Records that could not be used -------------------------------------------------------------------------------------


def _with_a_gap(*incomplete: str) -> Topic:
    """Return a topic with a reaction under A and B, of which some met a record that could not be used."""
    topic = settled(*of(A, *REACTION), *of(B, *REACTION))
    for patient in incomplete:
        state = topic.state_of(patient)
        marked, _ = mark_incomplete(
            PatientId(patient), state, at(15, 12), RULEBOOK, "a record could not be used"
        )
        topic.shards[0].restore(patient.encode(), encode_state(marked))
    return topic


@pytest.mark.parametrize("incomplete", [(), (A,), (B,), (A, B)])
def test_an_alert_that_goes_on_says_so_when_either_record_is_incomplete(incomplete: tuple[str, ...]) -> None:
    topic = _with_a_gap(*incomplete)
    topic.send(*merge(A, B, at(16)))
    topic.settle()
    assert alerts(topic, B)[-1]["flags"] == (["assessment_incomplete"] if incomplete else [])
    assert alerts(topic, A)[-1]["flags"] == (["assessment_incomplete"] if A in incomplete else [])


def test_both_records_being_incomplete_is_one_alert_of_the_survivor() -> None:
    topic = _with_a_gap(A, B)
    topic.send(*merge(A, B, at(16)))
    topic.settle()
    (again,) = alerts(topic, B, "system")
    assert (again["status"], again["revision"]) == ("revised", 2)
    assert again["alert_id"] == derive_id("al", B, "system", "assessment_incomplete")


def test_a_record_that_was_incomplete_is_so_again_when_it_has_its_facts_back() -> None:
    topic = _with_a_gap(A)
    topic.send(*merge(A, B, at(16)))
    topic.settle()
    remembered = topic.state_of(A).published.incomplete
    assert remembered is not None
    assert (remembered.status, remembered.revision) == ("transferred", 2)
    (survivor,) = alerts(topic, B, "system")
    assert survivor["alert_id"] == derive_id("al", B, "system", "assessment_incomplete")
    topic.send(separated(A, B, at(17)))
    topic.settle()
    assert [(alert["status"], alert["revision"]) for alert in alerts(topic, A, "system")] == [
        ("transferred", 2),
        ("raised", 3),
    ]
    assert alerts(topic, A)[-1]["flags"] == ["assessment_incomplete"]
    back = topic.state_of(A).published.incomplete
    assert back is not None
    assert (back.status, back.revision) == ("raised", 3)


def test_a_record_that_never_was_incomplete_is_not_so_when_it_has_its_facts_back() -> None:
    topic = settled(*of(A, *REACTION), *merge(A, B, at(16)), separated(A, B, at(17)))
    assert alerts(topic, A, "system") == []
    assert alerts(topic, A)[-1]["flags"] == []


def test_whatever_is_told_of_a_merge_says_of_which_days_not_every_value_was_kept() -> None:
    topic = settled(*of(A, *REACTION))
    state, day = topic.state_of(A), at(15, 0) // MICROSECONDS_PER_DAY
    thinned = (ThinnedDays(Analyte.BODY_TEMPERATURE, day, day),)
    crowded = replace(state, published=replace(state.published, thinned=thinned))
    topic.shards[0].restore(A.encode(), encode_state(crowded))
    topic.send(_judged(topic, A, ActionKind.ACKNOWLEDGE, 16), *merge(A, B, at(17)))
    topic.settle()
    assert [alert["flags"] for alert in alerts(topic, A)] == [[], ["thinned"], ["thinned"]]
    assert [alert["flags"] for alert in alerts(topic, B)] == [["thinned"]]
    assert topic.state_of(B).published.thinned == thinned
    topic.send(separated(A, B, at(18)))
    topic.settle()
    assert alerts(topic, A)[-1]["flags"] == ["thinned"]
    assert topic.state_of(A).published.thinned == thinned


def test_a_closed_alert_that_is_taken_over_says_of_which_days_not_every_value_was_kept() -> None:
    topic = settled(
        *of(A, *REACTION, present(FindingCode.REACTION_RESOLVED, at(17)), measured(Analyte.AST, 20, at(60)))
    )
    state, day = topic.state_of(A), at(15, 0) // MICROSECONDS_PER_DAY
    thinned = (ThinnedDays(Analyte.BODY_TEMPERATURE, day, day),)
    topic.shards[0].restore(
        A.encode(), encode_state(replace(state, published=replace(state.published, thinned=thinned)))
    )
    topic.send(*merge(A, B, at(61)))
    topic.settle()
    (closed,) = alerts(topic, B)
    assert (closed["status"], closed["flags"]) == ("closed", ["thinned"])


# Separating ---------------------------------------------------------------------------------------------------------


def test_a_restart_comes_back_at_the_tier_that_is_true_by_then() -> None:
    """What made the earlier reaction established was taken back while the records were merged."""
    again = order("imatinib", at(60))
    topic = settled(*of(A, *STOPPED, again), *merge(A, B, at(61)))
    rash, fever = STOPPED[4], STOPPED[3]
    topic.send(*of(A, *(retracted(sent, received_at=at(62)) for sent in (rash, fever))))
    topic.settle()
    assert [alert["tier"] for alert in alerts(topic, B, "culprit_restart")] == ["critical", "warning"]
    topic.send(separated(A, B, at(63)))
    topic.settle()
    told = [(alert["status"], alert["tier"]) for alert in alerts(topic, A, "culprit_restart")]
    assert told == [("raised", "critical"), ("transferred", "critical"), ("raised", "warning")]


def test_only_what_was_merged_into_a_prior_goes_back_with_it() -> None:
    both = [*of(A, *REACTION), *merge(A, B, at(16)), *merge("patient-d", B, at(17))]
    topic = settled(*both, separated(A, B, at(18)))
    assert topic.state_of(A).lineage.is_empty
    assert topic.state_of(B).lineage.absorbed_ids == {"patient-d"}


def test_after_a_separation_each_record_remembers_what_was_told_of_it_and_what_is_due() -> None:
    topic = settled(*of(A, *REACTION), *of(B, *REACTION[:1]), *merge(A, B, at(16)))
    survivor = topic.state_of(B)
    assert (survivor.due, survivor.rulebook) == (next_due(survivor.published), RULEBOOK.digest)
    assert (survivor.due is None, topic.state_of(A).due) == (False, None)
    topic.send(separated(A, B, at(17)))
    topic.settle()
    (prior,), (other,) = (topic.state_of(patient).published.episodes for patient in (A, B))
    assert (prior.state, other.state) == ("open", "withdrawn")
    assert topic.state_of(A).due == next_due(topic.state_of(A).published) is not None
    assert topic.state_of(B).due is None


def test_what_is_handed_over_is_noted_under_the_survivor_alone() -> None:
    topic = settled(*of(A, *REACTION))
    topic.send(_judged(topic, A, ActionKind.ACKNOWLEDGE, 16), *merge(A, B, at(17)))
    topic.settle()
    assert topic.state_of(A).published.acknowledgements == ()
    assert len(topic.state_of(B).published.acknowledgements) == 1
