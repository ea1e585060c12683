"""Merges of patient records: who holds the facts, who answers for the alerts, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest

from pv_stream.codec.state import encode_state
from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import ActionKind, Analyte, FindingCode, HoldCode
from pv_stream.domain.events import AlertActed, Separated, Transferred
from pv_stream.domain.ids import ActionId, AlertId, PatientId, derive_id, shard_of
from pv_stream.domain.lineage import Lineage
from pv_stream.domain.published import PatientState
from pv_stream.domain.times import Instant
from pv_stream.engine.merge import follow
from pv_stream.shard.limits import Limits
from tests.acting import acted
from tests.builders import (
    RULEBOOK,
    at,
    corrected,
    dose,
    eosinophils,
    held,
    measured,
    order,
    present,
    retracted,
    stop,
    temperature,
)
from tests.merging import PatientEvent, Topic, absorbed, alerts, codes, merge, of, separated, settled
from tests.shards import fold, new_shard, raw

A, B, C = "patient-a", "patient-b", "patient-c"
REACTION = (dose("imatinib", at(0)), dose("imatinib", at(7)), eosinophils(1690, at(15)))
WHEN = at(16)


def crossing(*events: PatientEvent) -> Topic:
    """Send everything before anything that shards write to each other is delivered."""
    topic = Topic(1)
    topic.send(*events)
    topic.settle()
    return topic


def test_until_the_survivor_has_confirmed_the_alert_of_the_prior_stays_open() -> None:
    topic = Topic(1)
    topic.send(*of(A, *REACTION), *merge(A, B, WHEN))
    assert [alert["status"] for alert in alerts(topic, A)] == ["raised"]
    topic.deliver((0, 0))
    assert [alert["status"] for alert in alerts(topic, B)] == ["raised"]
    assert [alert["status"] for alert in alerts(topic, A)] == ["raised"]
    topic.deliver((0, 0))
    assert [alert["status"] for alert in alerts(topic, A)] == ["raised", "transferred"]
    assert topic.waiting == []


def test_a_survivor_that_is_full_confirms_nothing_and_the_prior_keeps_alert_and_facts() -> None:
    topic = Topic(1)
    topic.shards[0] = new_shard(limits=Limits(state_bytes_max=8_000, state_bytes_reserved=1_000))
    filler = [measured(Analyte.AST, 20, at(0, 8, minute)) for minute in range(30)]
    topic.send(*of(B, *filler), *of(A, *REACTION), *merge(A, B, WHEN))
    topic.settle()
    assert ("patient_state_full", B) in codes(topic)
    assert alerts(topic, A)[-1]["status"] == "raised"
    assert len(topic.state_of(A).facts) == len(REACTION)
    assert alerts(topic, B, "system")[-1]["status"] == "raised"


def test_a_stub_closes_nothing_by_time() -> None:
    topic = Topic(1)
    topic.send(*of(A, *REACTION), *merge(A, B, WHEN))
    assert topic.state_of(A).due is None


def test_the_alert_of_the_survivor_names_what_it_continues() -> None:
    topic = settled(*of(A, *REACTION), *merge(A, B, WHEN))
    prior, survivor = alerts(topic, A)[-1], alerts(topic, B)[-1]
    assert survivor["continues"] == [prior["alert_id"]]
    assert survivor["episode_id"] == prior["episode_id"]
    assert (survivor["alert_id"] == prior["alert_id"], survivor["cause"]) == (False, "merge")
    assert prior["transferred_to"] == B


def test_a_merge_keeps_the_higher_tier() -> None:
    higher = [*REACTION, temperature("39", at(15)), present(FindingCode.RASH, at(15))]
    topic = settled(*of(B, *REACTION), *of(A, *higher), *merge(A, B, WHEN))
    assert [alert["tier"] for alert in alerts(topic, B)] == ["info", "warning"]


def test_a_value_that_waits_for_review_waits_under_the_survivor() -> None:
    waiting = (dose("imatinib", at(0)), held(HoldCode.MISSING_UNIT, at(5)))
    topic = settled(*of(A, *waiting), *merge(A, B, WHEN))
    assert [alert["status"] for alert in alerts(topic, A, "data_review")] == ["raised", "transferred"]
    (review,) = alerts(topic, B, "data_review")
    assert (review["status"], len(review["continues"])) == ("raised", 1)


SICK = (*REACTION, temperature("39", at(15)), present(FindingCode.RASH, at(15)))
#: Heard of after the fifteenth day from the onset, so that the follow-up has been asked for.
LATER = measured(Analyte.AST, 20, at(32))


def test_a_follow_up_that_the_prior_asked_for_is_asked_for_under_the_survivor() -> None:
    topic = settled(*of(A, *SICK, LATER), *merge(A, B, at(33)))
    assert [alert["status"] for alert in alerts(topic, A, "follow_up_due")] == ["raised", "transferred"]
    (asked,) = alerts(topic, B, "follow_up_due")
    assert asked["revision"] == 1
    assert (asked["status"], asked["continues"]) == (
        "raised",
        [alerts(topic, A, "follow_up_due")[0]["alert_id"]],
    )
    topic.send(*of(B, present(FindingCode.REACTION_RESOLVED, at(34))))
    assert alerts(topic, B, "follow_up_due")[-1]["closing"] == "documented"


def test_follow_ups_that_both_records_asked_for_become_one() -> None:
    own = [eosinophils(1650, at(16)), temperature("39", at(16)), present(FindingCode.RASH, at(16))]
    later = measured(Analyte.AST, 21, at(33))
    topic = settled(*of(B, *REACTION[:2], *own, later), *of(A, *SICK, LATER), *merge(A, B, at(34)))
    assert alerts(topic, A, "follow_up_due")[-1]["status"] == "transferred"
    live = {alert["alert_id"]: alert["status"] for alert in alerts(topic, B, "follow_up_due")}
    assert list(live.values()) == ["revised"]


#: An established reaction to imatinib that was stopped, and imatinib ordered again.
ORDERED_AGAIN = (
    *SICK,
    present(FindingCode.RASH, at(15, 9), surface=60),
    stop("imatinib", at(16)),
    present(FindingCode.REACTION_RESOLVED, at(20)),
    order("imatinib", at(60)),
)


def test_the_restart_that_a_prior_warned_of_is_warned_of_under_the_survivor() -> None:
    topic = settled(*of(A, *ORDERED_AGAIN, dose("imatinib", at(60, 9))), *merge(A, B, at(61)))
    old = alerts(topic, A, "culprit_restart")
    assert [alert["status"] for alert in old] == ["raised", "revised", "transferred"]  # ordered, then given
    (new,) = alerts(topic, B, "culprit_restart")
    assert (new["status"], new["revision"], new["continues"]) == ("raised", 1, [old[0]["alert_id"]])
    assert [len(alert["evidence"]) for alert in (*old, new)] == [1, 1, 1, 1]


def test_a_restart_that_both_records_warned_of_is_one_warning_and_another_one_is_not() -> None:
    same = settled(*of(A, *ORDERED_AGAIN), *of(B, *ORDERED_AGAIN), *merge(A, B, at(61)))
    own = alerts(same, B, "culprit_restart")
    assert len({alert["alert_id"] for alert in own}) == 1
    assert (own[-1]["status"], len(own[-1]["continues"])) == ("revised", 1)
    other = (*ORDERED_AGAIN[:-1], order("imatinib", at(50)), stop("imatinib", at(51)))
    apart = settled(*of(A, *ORDERED_AGAIN), *of(B, *other), *merge(A, B, at(61)))
    assert len({alert["alert_id"] for alert in alerts(apart, B, "culprit_restart")}) == 2


def test_values_that_wait_in_both_records_are_one_alert_each() -> None:
    first, second = (
        (dose("imatinib", at(0)), held(HoldCode.MISSING_UNIT, at(day), value=f"held {day}")) for day in (5, 6)
    )
    apart = settled(*of(A, *first), *of(B, *second), *merge(A, B, WHEN))
    reviews = alerts(apart, B, "data_review")
    assert [(alert["status"], alert["revision"]) for alert in reviews] == [("raised", 1), ("raised", 1)]
    assert len({alert["alert_id"] for alert in reviews}) == 2
    same = settled(*of(A, *first), *of(B, *first), *merge(A, B, WHEN))
    reviews = alerts(same, B, "data_review")
    assert [(alert["status"], alert["revision"]) for alert in reviews] == [("raised", 1), ("revised", 2)]
    assert len({alert["alert_id"] for alert in reviews}) == 1


def _full(patient: str) -> list[PatientEvent]:
    """Return more of a patient than a shard of `SMALL` can hold."""
    return of(patient, *(measured(Analyte.AST, 20, at(0, 8, minute)) for minute in range(60)))


SMALL = Limits(state_bytes_max=8_000, state_bytes_reserved=1_000)


def test_that_a_prior_is_incomplete_is_said_of_the_survivor() -> None:
    topic = Topic(2)
    topic.shards[shard_of(A, 2)] = new_shard(shard=shard_of(A, 2), shard_count=2, limits=SMALL)
    topic.send(*_full(A), *merge(A, B, WHEN))
    topic.settle()
    told = alerts(topic, A, "system")
    assert (told[0]["status"], told[-1]["status"]) == ("raised", "transferred")
    assert [alert["revision"] for alert in told] == list(range(1, len(told) + 1))
    (incomplete,) = alerts(topic, B, "system")
    assert incomplete["revision"] == 1
    assert (incomplete["status"], incomplete["continues"]) == ("raised", [told[0]["alert_id"]])


def test_a_survivor_that_is_incomplete_itself_says_so_once_more() -> None:
    small = new_shard(limits=SMALL)
    fold(raw([*_full(A), *_full(B)]), small)
    topic = Topic(1)
    for patient in (A, B):
        topic.shards[0].restore(patient.encode(), encode_state(small.state_of(PatientId(patient))))
    topic.send(*merge(A, B, WHEN))
    topic.settle()
    assert [alert["status"] for alert in alerts(topic, A, "system")] == ["transferred"]
    (again,) = alerts(topic, B, "system")
    assert (again["status"], len(again["continues"])) == ("revised", 1)


def test_what_was_noted_in_the_prior_is_noted_where_its_alert_goes_on() -> None:
    raised = alerts(settled(*of(A, *REACTION)), A)[-1]
    noted = AlertActed(
        patient_id=PatientId(A),
        action_id=ActionId("action-1"),
        alert_id=AlertId(raised["alert_id"]),
        action=ActionKind.ACKNOWLEDGE,
        reason=None,
        drugs=(),
        actor="pharmacist",
        seen_tier=Tier.INFO,
        seen_revision=raised["revision"],
        received_at=WHEN,
    )
    topic = settled(*of(A, *REACTION), noted, *merge(A, B, at(17)))
    assert alerts(topic, A)[-1]["status"] == "transferred"
    assert alerts(topic, B)[-1]["acknowledged"]["by"] == "pharmacist"


def test_an_action_on_the_alert_of_the_prior_reaches_the_one_that_continues_it() -> None:
    topic = settled(*of(A, *REACTION), *merge(A, B, WHEN))
    seen = alerts(topic, A)[0]
    topic.send(
        AlertActed(
            patient_id=PatientId(A),
            action_id=ActionId("act-1"),
            alert_id=AlertId(seen["alert_id"]),
            action=ActionKind.ACKNOWLEDGE,
            reason=None,
            drugs=(),
            actor="pharmacist",
            seen_tier=Tier.INFO,
            seen_revision=seen["revision"],
            received_at=at(17),
        )
    )
    topic.settle()
    assert alerts(topic, B)[-1]["acknowledged"]["by"] == "pharmacist"
    assert codes(topic) == []


@pytest.mark.parametrize("shards", [1, 3])
def test_a_chain_ends_in_its_last_survivor_whichever_merge_came_first(shards: int) -> None:
    orders = ((merge(A, B, WHEN), merge(B, C, WHEN)), (merge(B, C, WHEN), merge(A, B, WHEN)))
    for first, second in orders:
        topic = settled(*of(A, *REACTION), *first, *second, shards=shards)
        assert alerts(topic, C)[-1]["status"] == "raised"
        assert alerts(topic, A)[-1]["status"] == "transferred"
        assert topic.state_of(C).lineage.absorbed_ids == {A, B}


def test_the_same_merge_again_changes_nothing() -> None:
    topic = settled(*of(A, *REACTION), *merge(A, B, WHEN))
    before, state = len(topic.told), topic.state_of(B)
    topic.send(*merge(A, B, at(17)))
    assert (len(topic.told), topic.waiting, topic.state_of(B)) == (before, [], state)


def test_a_record_is_not_merged_into_itself_back_or_into_another() -> None:
    assert codes(settled(*merge(A, A, WHEN))) == [("merge_cycle", A)]
    assert codes(settled(*merge(A, B, WHEN), *merge(B, A, WHEN))) == [("merge_cycle", B)]
    chain = (*merge(A, B, WHEN), *merge(B, C, WHEN))
    assert codes(settled(*chain, *merge(C, A, WHEN))) == [("merge_cycle", C)]
    assert codes(settled(*merge(A, B, WHEN), *merge(A, C, WHEN))) == [("merge_conflict", A)]


def test_an_announced_merge_is_enough_to_refuse_the_one_the_other_way_round() -> None:
    topic = crossing(*merge(A, B, WHEN), absorbed(B, A, WHEN))
    assert codes(topic) == [("merge_cycle", B)]
    assert topic.state_of(A).lineage.into == B


@pytest.mark.parametrize(
    "order", [((A, B), (B, C), (C, A)), ((C, A), (A, B), (B, C)), ((B, C), (C, A), (A, B))]
)
def test_merges_that_cross_to_a_circle_leave_the_smallest_id_as_survivor(
    order: tuple[tuple[str, str], ...],
) -> None:
    facts = [*of(C, REACTION[0]), *of(B, REACTION[1]), *of(A, REACTION[2])]
    topic = crossing(*facts, *(absorbed(prior, into, WHEN) for prior, into in order))
    assert codes(topic) == [("merge_cycle", A)]
    assert len(topic.state_of(A).facts) == len(REACTION)
    assert (topic.state_of(B).lineage.into, topic.state_of(C).lineage.into) == (C, A)
    assert alerts(topic, A)[-1]["status"] in {"raised", "revised"}


def test_where_both_records_speak_of_one_fact_an_unmerge_gives_each_its_own_version_back() -> None:
    ours = eosinophils(1690, at(15))
    theirs = replace(ours, version=replace(eosinophils(1200, at(15)).version, key=ours.version.key))
    topic = settled(*of(B, ours), *of(A, theirs), *merge(A, B, WHEN))
    assert topic.state_of(B).facts[ours.version.key].is_conflicting
    topic.send(separated(A, B, at(17)))
    topic.settle()
    for patient, sent in ((A, theirs), (B, ours)):
        ((statement, _),) = topic.state_of(patient).facts[ours.version.key].statements
        assert statement == sent.version.statement
        assert topic.state_of(patient).lineage.is_empty


def test_a_survivor_lets_go_only_when_the_prior_has_its_facts_back() -> None:
    topic = settled(*of(A, *REACTION), *merge(A, B, WHEN))
    topic.send(separated(A, B, at(17)))
    assert alerts(topic, B)[-1]["status"] == "raised"
    topic.deliver((0, 0))
    assert (alerts(topic, A)[-1]["status"], alerts(topic, B)[-1]["status"]) == ("raised", "raised")
    topic.settle()
    assert alerts(topic, B)[-1]["status"] == "withdrawn"


def test_a_record_that_comes_while_facts_go_back_follows_them() -> None:
    topic = settled(*of(A, *REACTION[:2]), *merge(A, B, WHEN))
    topic.send(*of(A, REACTION[2]), separated(A, B, at(17)))
    topic.settle()
    assert len(topic.state_of(A).facts) == len(REACTION)
    assert topic.state_of(B).facts == {}


def test_what_was_never_merged_cannot_be_separated_and_once_is_enough() -> None:
    assert codes(settled(separated(A, B, WHEN))) == [("not_merged", B)]
    topic = settled(*of(A, *REACTION), *merge(A, B, WHEN))
    topic.send(separated(A, B, at(17)), separated(A, B, at(17)))
    topic.settle()
    assert codes(topic) == []


def test_an_unmerge_that_comes_round_in_a_circle_of_stubs_is_refused() -> None:
    stub = PatientState(lineage=Lineage(into=PatientId(B)))
    first = follow(stub, separated(C, A, WHEN), shard_clock=None, rulebook=RULEBOOK)
    (passed_on,) = first.events
    assert isinstance(passed_on, Separated)
    assert (passed_on.patient_id, passed_on.path) == (B, (A,))
    round_again = replace(passed_on, patient_id=PatientId(A), path=(PatientId(A), PatientId(B)))
    assert follow(stub, round_again, shard_clock=None, rulebook=RULEBOOK).refused == "merge_cycle"


def test_what_was_merged_into_a_prior_before_goes_back_with_it() -> None:
    chain = [*of(A, *REACTION), *merge(A, B, WHEN), *merge(B, C, at(17))]
    topic = settled(*chain, separated(B, C, at(18)))
    assert topic.state_of(B).lineage.absorbed == ((A, B),)
    assert topic.state_of(C).lineage.absorbed == ()
    assert (len(topic.state_of(B).facts), len(topic.state_of(C).facts)) == (len(REACTION), 0)


def test_an_alert_goes_on_in_its_own_episode_beside_another_of_the_survivor() -> None:
    own = (dose("allopurinol", at(-200)), eosinophils(1690, at(-180)))
    topic = settled(*of(B, *own), *of(A, *REACTION), *merge(A, B, WHEN))
    first = alerts(topic, B)[0]["alert_id"]
    told = {alert["alert_id"]: alert for alert in alerts(topic, B)}
    (taken,) = (alert for name, alert in told.items() if name != first)
    assert taken["continues"] == [alerts(topic, A)[0]["alert_id"]]
    assert told[first]["continues"] == []


def test_a_skin_reaction_of_the_prior_is_a_first_revision_under_the_survivor() -> None:
    topic = settled(*of(A, dose("imatinib", at(0)), present(FindingCode.RASH, at(20))), *merge(A, B, at(21)))
    cases = [told for told in topic.told if told.get("state") == "candidate" and told["patient_id"] == B]
    assert [case["revision"] for case in cases] == [1]


def test_a_prior_that_is_on_its_way_back_does_not_go_on_into_the_next_merge() -> None:
    lineage = Lineage(absorbed=((PatientId(A), PatientId(B)),), leaving=(PatientId(A),))
    step = follow(PatientState(lineage=lineage), absorbed(B, C, WHEN), shard_clock=None, rulebook=RULEBOOK)
    (transfer,) = step.events
    assert isinstance(transfer, Transferred)
    assert transfer.absorbed == ((B, C),)


def test_what_came_under_the_prior_s_id_after_the_merge_goes_back_with_the_unmerge() -> None:
    topic = settled(*of(B, REACTION[0]), *of(A, REACTION[1]), *merge(A, B, WHEN), *of(A, REACTION[2]))
    assert set(topic.state_of(B).lineage.parts) == {sent.version.key for sent in REACTION[1:]}
    topic.send(*of(B, temperature("39", at(17))), separated(A, B, at(18)))
    topic.settle()
    assert set(topic.state_of(A).facts) == {sent.version.key for sent in REACTION[1:]}
    assert len(topic.state_of(B).facts) == 2
    assert topic.state_of(B).lineage.is_empty


def test_an_alert_that_the_merged_facts_do_not_bear_out_is_withdrawn_under_the_survivor() -> None:
    """The survivor knows the correction of the count on which the alert of the prior rested."""
    lower = eosinophils(100, at(15)).version.statement.content
    corrects = corrected(REACTION[-1], lower, received_at=at(15, 12))
    topic = settled(*of(A, *REACTION), *of(B, corrects), *merge(A, B, WHEN))
    (taken_back,) = alerts(topic, B)
    assert (taken_back["status"], taken_back["tier"]) == ("withdrawn", "info")
    assert taken_back["continues"] == [alerts(topic, A)[0]["alert_id"]]


def test_an_alert_that_stands_in_the_prior_opens_what_was_refuted_in_the_survivor() -> None:
    topic = settled(*of(B, *REACTION))
    (own,) = alerts(topic, B)
    topic.send(acted(own, ActionKind.REFUTE, at=WHEN), *of(A, *REACTION), *merge(A, B, at(17)))
    topic.settle()
    assert [alert["status"] for alert in alerts(topic, B)] == ["raised", "closed", "revised"]
    assert alerts(topic, B)[-1]["continues"] == [alerts(topic, A)[0]["alert_id"]]


def _noted(alert: dict[str, Any], action_id: str, when: Instant) -> AlertActed:
    return acted(alert, ActionKind.ACKNOWLEDGE, at=when, action_id=action_id)


def test_what_a_clinician_decided_of_the_prior_holds_under_the_survivor() -> None:
    topic = settled(*of(A, *REACTION))
    refuted = acted(alerts(topic, A)[0], ActionKind.REFUTE, at=WHEN, action_id="refuted")
    topic.send(refuted, *merge(A, B, at(17)))
    topic.settle()
    assert [verdict.judgement for verdict in topic.state_of(B).published.verdicts] == ["refuted"]
    assert "refuted" in topic.state_of(B).published.acted
    assert alerts(topic, B)[-1]["status"] == "closed"


def test_an_unlisted_culprit_that_a_clinician_named_warns_under_the_survivor_and_again_in_the_prior() -> None:
    topic = settled(*of(A, dose("ibuprofen", at(0)), *REACTION))
    named = acted(alerts(topic, A)[0], ActionKind.CONFIRM, drugs=("ibuprofen",), at=WHEN)
    topic.send(named, *merge(A, B, at(17)), *of(B, order("ibuprofen", at(100))))
    topic.settle()
    (restart,) = alerts(topic, B, "culprit_restart")
    assert (restart["restart"]["drug"], restart["tier"]) == ("ibuprofen", "critical")
    topic.send(separated(A, B, at(110)), *of(A, order("ibuprofen", at(120))))
    topic.settle()
    (again,) = alerts(topic, A, "culprit_restart")
    assert (again["restart"]["drug"], again["tier"]) == ("ibuprofen", "critical")
    assert [alert["status"] for alert in alerts(topic, B, "culprit_restart")] == ["raised", "withdrawn"]


def test_who_took_note_in_the_survivor_stands_before_who_did_in_the_prior() -> None:
    topic = settled(*of(A, *REACTION), *of(B, *REACTION))
    first, second = alerts(topic, A)[0], alerts(topic, B)[0]
    topic.send(_noted(first, "in-the-prior", WHEN), _noted(second, "in-the-survivor", at(16, 9)))
    topic.send(*merge(A, B, at(17)))
    topic.settle()
    (noted,) = topic.state_of(B).published.acknowledgements
    assert (noted.alert_id, noted.at) == (second["alert_id"], at(16, 9))


def test_an_alert_of_the_survivor_that_continues_nothing_takes_no_note_from_the_prior() -> None:
    own = (dose("allopurinol", at(-200)), eosinophils(1690, at(-180)), eosinophils(1690, at(-130)))
    topic = settled(*of(B, *own), *of(A, *REACTION))
    topic.send(_noted(alerts(topic, A)[0], "in-the-prior", WHEN), *merge(A, B, at(17)))
    topic.settle()
    (noted,) = topic.state_of(B).published.acknowledgements
    (taken,) = {alert["alert_id"] for alert in alerts(topic, B) if alert["continues"]}
    assert noted.alert_id == taken
    ended = [alert for alert in alerts(topic, A) if alert["status"] == "transferred"]
    assert [alert["acknowledged"]["by"] for alert in ended] == ["actor-1"]


def test_what_the_prior_remembers_of_its_follow_up_is_that_it_was_handed_over() -> None:
    topic = settled(*of(A, *SICK, LATER), *merge(A, B, at(33)))
    (prior,), (survivor,) = (topic.state_of(record).published.episodes for record in (A, B))
    assert prior.follow_up is not None
    assert survivor.follow_up is not None
    assert prior.follow_up.status == "transferred"
    kind = "follow_up_due"
    assert prior.follow_up.alert_id == derive_id("al", A, kind, prior.episode_id)
    assert survivor.follow_up.alert_id == derive_id("al", B, kind, survivor.episode_id)


def test_a_follow_up_that_both_asked_for_goes_on_as_a_revision_of_the_survivor_s() -> None:
    topic = settled(*of(B, *SICK, LATER), *of(A, *SICK, LATER), *merge(A, B, at(34)))
    assert [alert["revision"] for alert in alerts(topic, B, "follow_up_due")] == [1, 2]


def test_a_closed_episode_that_was_handed_over_is_closed_there_alone() -> None:
    resolved = present(FindingCode.REACTION_RESOLVED, at(17))
    later = measured(Analyte.AST, 20, at(60))
    topic = settled(*of(A, *REACTION, resolved, later), *merge(A, B, at(61)))
    (prior,) = topic.state_of(A).published.episodes
    (survivor,) = topic.state_of(B).published.episodes
    assert (prior.state, prior.closing) == ("transferred", None)
    assert (survivor.state, survivor.closing) == ("closed", "resolved")


def test_a_record_whose_alert_was_taken_back_is_merged_with_nothing_to_tell() -> None:
    gone = [*REACTION, retracted(REACTION[-1])]
    topic = settled(*of(A, *gone), *merge(A, B, WHEN))
    assert [alert["status"] for alert in alerts(topic, A)] == ["raised", "withdrawn"]
    assert alerts(topic, B) == []
    assert topic.state_of(A).facts == {}
