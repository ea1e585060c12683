"""Alert actions: what is taken, what is refused and why, and what still holds after the next fact."""

from dataclasses import replace
from typing import Any

import pytest

from pv_stream.codec.state import decode_state, encode_state, state_bytes
from pv_stream.domain.actions import ClinicianVerdict
from pv_stream.domain.assessment import EstablishedBy, Tier
from pv_stream.domain.codes import (
    ActionKind,
    DeadLetterCode,
    FindingCode,
    HoldCode,
    Judgement,
    OverrideReason,
)
from pv_stream.domain.events import AlertActed, FactArrived
from pv_stream.domain.outputs import AlertKind, AlertStatus
from pv_stream.domain.published import EpisodeState
from pv_stream.domain.times import Instant
from pv_stream.engine.actions import ACTIONS_REMEMBERED_MAX, FITTING, Standing, act, why_refused
from pv_stream.engine.assess import assess
from pv_stream.engine.decisions import alert_lines
from pv_stream.rules.rulebook import WatchedDrug
from pv_stream.shard.fold import OutputStream, ShardFold
from pv_stream.shard.limits import Limits
from tests.acting import acted
from tests.builders import (
    PATIENT,
    RULEBOOK,
    absent,
    at,
    corrected,
    dose,
    eosinophils,
    facts_of,
    held,
    order,
    present,
    retracted,
    temperature,
)
from tests.shards import alerts, clock, fold, hand_over, new_shard, of_stream, raw

COUNT = (dose("imatinib", at(0)), eosinophils(1600, at(14, 9)))
REACTION = (*COUNT, present(FindingCode.RASH, at(14, 10)))
LIVE_AT_WARNING = Standing(
    AlertKind.SUSPECTED_DRESS, AlertStatus.REVISED, Tier.WARNING, 3, frozenset({"imatinib", "vancomycin"})
)


def told_of(*events: object) -> tuple[ShardFold, list[dict[str, Any]]]:
    """Return a shard that has seen these events, and the alerts that it told."""
    shard = new_shard()
    return shard, alerts(fold(raw(events), shard))  # type: ignore[arg-type]


def then(shard: ShardFold, *events: object) -> list[dict[str, Any]]:
    """Return the values of everything told by further events."""
    outputs = fold(raw(events, first=1000), shard)  # type: ignore[arg-type]
    streams = (OutputStream.ACTIONS, OutputStream.ALERTS, OutputStream.DEAD_LETTERS)
    return [value for stream in streams for value in of_stream(outputs, stream)]


def code_of(values: list[dict[str, Any]]) -> str:
    (letter,) = values
    return str(letter["code"])


def on(standing: Standing, action: ActionKind, **said: Any) -> DeadLetterCode | None:
    """Judge an action that saw the alert as it stands, unless said otherwise."""
    alert = {
        "patient_id": "p",
        "alert_id": "al_1",
        "record_id": "rec_1",
        "tier": standing.tier.name.lower(),
        "revision": standing.revision,
        "as_of": "2026-01-01T00:00:00Z",
    }
    return why_refused(standing, acted(alert, action, **said))


# What fits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(AlertKind))
@pytest.mark.parametrize("action", list(ActionKind))
def test_an_action_fits_the_kinds_of_its_table_and_no_other(kind: AlertKind, action: ActionKind) -> None:
    reason = OverrideReason.WILL_MONITOR if action is ActionKind.OVERRIDE else None
    refused = on(replace(LIVE_AT_WARNING, kind=kind), action, reason=reason)
    assert refused is (None if action in FITTING[kind] else DeadLetterCode.ACTION_DOES_NOT_FIT)


@pytest.mark.parametrize("status", list(AlertStatus))
def test_only_a_standing_alert_is_taken_note_of_and_a_closed_one_still_judged(status: AlertStatus) -> None:
    standing = replace(LIVE_AT_WARNING, status=status)
    live = status in {AlertStatus.RAISED, AlertStatus.REVISED}
    noted, judged = on(standing, ActionKind.ACKNOWLEDGE), on(standing, ActionKind.REFUTE)
    assert noted is (None if live else DeadLetterCode.ACTION_ALERT_NOT_LIVE)
    assert judged is (None if live or status is AlertStatus.CLOSED else DeadLetterCode.ACTION_ALERT_NOT_LIVE)


@pytest.mark.parametrize("reason", list(OverrideReason))
def test_every_reason_of_the_pick_list_overrides(reason: OverrideReason) -> None:
    assert on(LIVE_AT_WARNING, ActionKind.OVERRIDE, reason=reason.value) is None


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (ActionKind.OVERRIDE, None),
        (ActionKind.OVERRIDE, "busy"),
        (ActionKind.ACKNOWLEDGE, "will_monitor"),
        (ActionKind.REFUTE, "other_cause_found"),
        (ActionKind.CONFIRM, "will_monitor"),
    ],
)
def test_a_reason_belongs_to_an_override_and_stands_in_the_pick_list(
    action: ActionKind, reason: str | None
) -> None:
    assert on(LIVE_AT_WARNING, action, reason=reason) is DeadLetterCode.ACTION_UNKNOWN_REASON


@pytest.mark.parametrize(
    ("seen", "refused"),
    [(Tier.INFO, DeadLetterCode.ACTION_OUTDATED), (Tier.WARNING, None), (Tier.CRITICAL, None)],
)
def test_who_saw_less_than_what_stands_is_refused(seen: Tier, refused: DeadLetterCode | None) -> None:
    assert on(LIVE_AT_WARNING, ActionKind.ACKNOWLEDGE, seen_tier=seen) is refused


@pytest.mark.parametrize(("revision", "refused"), [(1, None), (3, None), (4, DeadLetterCode.ACTION_OUTDATED)])
def test_nobody_has_seen_a_revision_that_was_not_told(revision: int, refused: DeadLetterCode | None) -> None:
    assert on(LIVE_AT_WARNING, ActionKind.ACKNOWLEDGE, seen_revision=revision) is refused


@pytest.mark.parametrize(
    ("action", "drugs", "refused"),
    [
        (ActionKind.CONFIRM, ("imatinib",), None),
        (ActionKind.CONFIRM, ("imatinib", "vancomycin"), None),
        (ActionKind.CONFIRM, ("allopurinol",), DeadLetterCode.ACTION_UNKNOWN_DRUG),
        (ActionKind.CONFIRM, ("allopurinol", "imatinib"), DeadLetterCode.ACTION_UNKNOWN_DRUG),
        (ActionKind.REFUTE, ("imatinib",), DeadLetterCode.ACTION_DOES_NOT_FIT),
    ],
)
def test_only_a_confirmation_names_culprits_and_only_drugs_that_are_known_here(
    action: ActionKind, drugs: tuple[str, ...], refused: DeadLetterCode | None
) -> None:
    assert on(LIVE_AT_WARNING, action, drugs=drugs) is refused


def test_where_the_drugs_of_the_patient_are_not_known_no_name_is_refused() -> None:
    unknown = replace(LIVE_AT_WARNING, drugs=None)
    assert on(unknown, ActionKind.CONFIRM, drugs=("allopurinol",)) is None


@pytest.mark.parametrize(
    ("standing", "action", "reason", "drugs", "is_repeated"),
    [
        ({"noted": True}, ActionKind.ACKNOWLEDGE, None, (), True),
        ({"noted": True, "override": "will_monitor"}, ActionKind.ACKNOWLEDGE, None, (), True),
        ({"noted": True}, ActionKind.OVERRIDE, "will_monitor", (), False),
        ({"noted": True, "override": "will_monitor"}, ActionKind.OVERRIDE, "will_monitor", (), True),
        ({"noted": True, "override": "will_monitor"}, ActionKind.OVERRIDE, "tolerated_before", (), False),
        ({"judgement": Judgement.REFUTED}, ActionKind.REFUTE, None, (), True),
        ({"judgement": Judgement.REFUTED}, ActionKind.CONFIRM, None, (), False),
        ({"judgement": Judgement.CONFIRMED}, ActionKind.REFUTE, None, (), False),
        ({"judgement": Judgement.CONFIRMED}, ActionKind.CONFIRM, None, (), True),
        ({"judgement": Judgement.CONFIRMED}, ActionKind.CONFIRM, None, ("imatinib",), False),
    ],
)
def test_what_adds_nothing_is_refused_as_repeated(
    standing: dict[str, Any],
    action: ActionKind,
    reason: str | None,
    drugs: tuple[str, ...],
    *,
    is_repeated: bool,
) -> None:
    refused = on(replace(LIVE_AT_WARNING, **standing), action, reason=reason, drugs=drugs)
    assert refused is (DeadLetterCode.ACTION_REPEATED if is_repeated else None)


# Through the fold -------------------------------------------------------------------------------------------------


def test_an_accepted_action_is_told_once_and_its_alert_says_who_took_note() -> None:
    shard, (raised,) = told_of(*COUNT)
    action, revised = then(shard, acted(raised, ActionKind.ACKNOWLEDGE, at=at(14, 12)))
    assert (action["action"], action["by"], action["tier"], action["revision"]) == (
        "acknowledge",
        "actor-1",
        "info",
        1,
    )
    assert (revised["revision"], revised["status"], revised["cause"]) == (2, "revised", "action")
    assert revised["acknowledged"] == {
        "by": "actor-1",
        "at": "2026-01-15T12:00:00Z",
        "tier": "info",
        "override_reason": None,
    }


def test_who_took_note_stands_while_the_tier_is_no_higher_than_it_was() -> None:
    shard, (raised,) = told_of(*COUNT)
    then(shard, acted(raised, ActionKind.ACKNOWLEDGE, at=at(14, 12)))
    for day in (15, 16):
        (revised,) = then(shard, eosinophils(1600 + day, at(day)))
        assert (revised["tier"], revised["acknowledged"]["by"]) == ("info", "actor-1")
        assert "rearmed" not in revised["flags"]
    (higher,) = then(shard, present(FindingCode.RASH, at(17)))
    assert (higher["tier"], higher["acknowledged"]) == ("warning", None)
    assert "rearmed" in higher["flags"]


def test_an_alert_that_closes_by_time_says_who_had_taken_note() -> None:
    shard, (raised,) = told_of(*COUNT)
    then(shard, acted(raised, ActionKind.ACKNOWLEDGE, at=at(15)))
    closed = then(shard, clock(200))[-1]
    assert (closed["status"], closed["acknowledged"]["by"]) == ("closed", "actor-1")


def test_the_same_action_again_changes_nothing_also_after_a_restart_of_the_shard() -> None:
    shard, (raised,) = told_of(*COUNT)
    action = acted(raised, ActionKind.ACKNOWLEDGE, at=at(14, 12))
    run = shard.process(raw([action], first=10))
    shard.commit(run)
    restored = new_shard()
    hand_over(run.states, restored)
    assert then(shard, action) == []
    assert then(restored, action) == []
    assert shard.process(raw([action], first=12)).states == ()


def test_after_an_action_the_episode_is_due_as_before_and_the_clock_has_moved() -> None:
    shard, (raised,) = told_of(*COUNT)
    due = shard.state_of(PATIENT).due
    then(shard, acted(raised, ActionKind.ACKNOWLEDGE, at=at(15)))
    state = shard.state_of(PATIENT)
    assert (state.due, state.clock) == (due, at(15))
    assert due is not None


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (ActionKind.OVERRIDE, OverrideReason.WILL_MONITOR),
        (ActionKind.REFUTE, None),
        (ActionKind.CONFIRM, None),
    ],
)
def test_a_decision_is_not_taken_twice(action: ActionKind, reason: OverrideReason | None) -> None:
    shard, told = told_of(*REACTION)
    then(shard, acted(told[-1], action, reason=reason, at=at(15), action_id="first"))
    seen = told[-1] | {"tier": "critical"}
    again = acted(seen, action, reason=reason, at=at(15), action_id="second")
    assert code_of(then(shard, again)) == "action_repeated"


def test_an_action_older_than_those_remembered_is_judged_anew() -> None:
    shard, (raised,) = told_of(*COUNT)
    first = acted(raised, ActionKind.ACKNOWLEDGE, action_id="first")
    then(shard, first)
    reasons = (OverrideReason.WILL_MONITOR, OverrideReason.TOLERATED_BEFORE)
    for number in range(ACTIONS_REMEMBERED_MAX):
        assert then(shard, first) == []
        override = acted(raised, ActionKind.OVERRIDE, reason=reasons[number % 2], action_id=f"act-{number}")
        assert len(then(shard, override)) == 2
    assert code_of(then(shard, first)) == "action_repeated"


def test_a_refused_action_changes_nothing_but_the_dead_letters() -> None:
    shard, (raised,) = told_of(*COUNT)
    before = shard.state_of(PATIENT)
    unknown = acted(raised | {"alert_id": "al_unknown"}, ActionKind.ACKNOWLEDGE, at=at(200))
    assert code_of(then(shard, unknown)) == "action_unknown_alert"
    late = acted(raised, ActionKind.ACKNOWLEDGE, at=at(200))
    assert code_of(then(shard, late)) == "action_alert_not_live"
    assert shard.state_of(PATIENT) is before


def test_an_action_on_a_patient_who_is_not_known_makes_no_state() -> None:
    shard, (raised,) = told_of(*COUNT)
    stranger = acted(raised | {"patient_id": "nobody"}, ActionKind.ACKNOWLEDGE)
    assert code_of(then(shard, stranger)) == "action_unknown_alert"
    assert shard.patients == 1


def test_an_action_under_the_wrong_key_is_misrouted() -> None:
    shard, (raised,) = told_of(*COUNT)
    (record,) = raw([acted(raised, ActionKind.ACKNOWLEDGE)], first=10)
    (letter,) = of_stream(fold([record._replace(key=b"other")], shard), OutputStream.DEAD_LETTERS)
    assert letter["code"] == "misrouted"


def test_what_is_due_before_an_action_fires_before_it() -> None:
    shard, told = told_of(*REACTION)
    values = then(shard, acted(told[-1], ActionKind.CONFIRM, at=at(100)))
    statuses = [
        value["status"] for value in values if value.get("kind") == "suspected_dress" and "status" in value
    ]
    assert statuses[0] == "closed"


def test_every_kind_of_alert_can_be_acknowledged() -> None:
    shard, told = told_of(
        *REACTION,
        held(HoldCode.MISSING_UNIT, at(15)),
        order("imatinib", at(40)),
        clock(41),
    )
    latest = {alert["kind"]: alert for alert in told}
    assert set(latest) == {"suspected_dress", "data_review", "culprit_restart", "follow_up_due"}
    for kind, alert in latest.items():
        action, revised = then(shard, acted(alert, ActionKind.ACKNOWLEDGE, at=at(41)))
        assert action["kind"] == revised["kind"] == kind
        assert action["episode_id"] == alert.get("episode_id")
        assert revised["revision"] == alert["revision"] + 1
        assert revised["reason"] == alert["reason"]
        assert revised["acknowledged"]["tier"] == alert["tier"]
        _, line = alert_lines(shard.state_of(PATIENT).published)[alert["alert_id"]]
        assert line.revision == revised["revision"]


def test_a_system_alert_can_be_acknowledged() -> None:
    shard = new_shard(limits=Limits(state_bytes_max=2_000))
    many = [eosinophils(100 + day, at(day)) for day in range(20)]
    (raised,) = alerts(fold(raw(many), shard))
    state = shard.state_of(PATIENT)
    taken = act(state, acted(raised, ActionKind.ACKNOWLEDGE, at=at(21)), shard_clock=None, rulebook=RULEBOOK)
    assert not isinstance(taken, DeadLetterCode)
    after, (action, revised) = taken
    assert (action.kind, revised.kind) == (AlertKind.SYSTEM, AlertKind.SYSTEM)  # type: ignore[union-attr]
    assert after.published.incomplete is not None
    assert after.published.incomplete.revision == raised["revision"] + 1


def test_a_full_state_takes_no_action() -> None:
    shard, (raised,) = told_of(*COUNT)
    state = shard.state_of(PATIENT)
    full = new_shard(limits=Limits(state_bytes_max=state_bytes(state), state_bytes_reserved=0))
    full.restore(PATIENT.encode(), encode_state(state))
    values = then(full, acted(raised, ActionKind.ACKNOWLEDGE))
    assert [value.get("code", value.get("kind")) for value in values] == ["system", "patient_state_full"]


# Verdicts ---------------------------------------------------------------------------------------------------------


def judge(shard: ShardFold, alert: dict[str, Any], action: ActionKind, when: Instant) -> None:
    then(shard, acted(alert, action, at=when))


def test_a_refuted_episode_is_closed_and_no_longer_due() -> None:
    shard, told = told_of(*REACTION)
    judge(shard, told[-1], ActionKind.REFUTE, at(15))
    state = shard.state_of(PATIENT)
    (episode,) = state.published.episodes
    assert (episode.state, episode.closing, state.due) == (EpisodeState.CLOSED, "refuted", None)
    assert then(shard, clock(300)) == []


def test_a_retraction_of_the_higher_tier_closes_a_refuted_episode_again() -> None:
    fever = temperature("39", at(15, 9))
    shard, (raised,) = told_of(*COUNT)
    judge(shard, raised, ActionKind.REFUTE, at(15))
    (reopened,) = then(shard, fever)
    assert (reopened["status"], reopened["tier"], reopened["closing"]) == ("revised", "warning", None)
    (closed,) = then(shard, retracted(fever, received_at=at(16)))
    assert (closed["status"], closed["closing"]) == ("closed", "refuted")


def test_an_episode_whose_basis_is_taken_back_is_withdrawn_refuted_or_not() -> None:
    shard, (raised,) = told_of(*COUNT)
    judge(shard, raised, ActionKind.REFUTE, at(15))
    (withdrawn,) = then(shard, retracted(COUNT[1], received_at=at(16)))
    assert withdrawn["status"] == "withdrawn"


def test_a_confirmed_info_is_a_warning_and_established() -> None:
    shard, (raised,) = told_of(*COUNT)
    action, revised = then(shard, acted(raised, ActionKind.CONFIRM, at=at(15)))
    assert (action["tier"], revised["tier"]) == ("info", "warning")
    (episode,) = shard.state_of(PATIENT).published.episodes
    assert episode.last.established_by is EstablishedBy.CONFIRMED


def test_a_culprit_that_was_confirmed_is_not_confirmed_twice() -> None:
    shard, told = told_of(*REACTION)
    first = acted(told[-1], ActionKind.CONFIRM, drugs=("imatinib",), at=at(15))
    again = acted(told[-1], ActionKind.CONFIRM, drugs=("imatinib",), at=at(16))
    then(shard, first)
    assert code_of(then(shard, again)) == "action_repeated"


def test_a_culprit_is_named_by_any_of_its_names_and_remembered_by_the_rulebook_s() -> None:
    shard, told = told_of(order("phenytoin", at(10)), *REACTION)
    named = ("cerebyx", "fosphenytoin", "glivec")
    action, *_ = then(shard, acted(told[-1], ActionKind.CONFIRM, drugs=named, at=at(15)))
    assert action["drugs"] == ["imatinib", "phenytoin"]
    (verdict,) = shard.state_of(PATIENT).published.verdicts
    assert verdict.drugs == ("imatinib", "phenytoin")


def test_a_culprit_whose_record_was_taken_back_may_still_be_named_while_the_alert_suspects_it() -> None:
    given = order("ibuprofen", at(10))
    shard, told = told_of(given, *REACTION)
    then(shard, acted(told[-1], ActionKind.CONFIRM, drugs=("ibuprofen",), at=at(15)))
    seen = then(shard, retracted(given, received_at=at(16)))[-1]
    assert [culprit["drug"] for culprit in seen["culprits"]] == ["imatinib", "ibuprofen"]
    again = acted(seen, ActionKind.CONFIRM, drugs=("ibuprofen",), at=at(17))
    assert code_of(then(shard, again)) == "action_repeated"
    other = acted(seen, ActionKind.CONFIRM, drugs=("naproxen",), at=at(17))
    assert code_of(then(shard, other)) == "action_unknown_drug"


def test_a_culprit_is_called_as_the_rulebook_in_force_does() -> None:
    """A drug that was named while it was not listed is met under the name that a later rulebook lists it by."""
    events = (*REACTION, dose("advil", at(100)))
    listed = replace(RULEBOOK, drugs=(*RULEBOOK.drugs, WatchedDrug("ibuprofen", ("advil",))))
    keys = tuple(event.version.key for event in REACTION[1:])
    verdict = ClinicianVerdict(Judgement.CONFIRMED, keys, Tier.WARNING, ("advil",))
    for rulebook, name in ((RULEBOOK, "advil"), (listed, "ibuprofen")):
        assessment = assess(facts_of(events), rulebook, (verdict,))
        assert [culprit.drug for culprit in assessment.episodes[0].culprits] == ["imatinib", name]
        assert [restart.drugs for restart in assessment.restarts] == [(name,)]


def test_culprits_that_were_confirmed_one_after_the_other_are_both_remembered() -> None:
    shard, told = told_of(dose("allopurinol", at(0)), *REACTION)
    for number, drug in enumerate(("imatinib", "allopurinol")):
        seen = told[-1] | {"tier": "critical", "revision": told[-1]["revision"] + number}
        then(shard, acted(seen, ActionKind.CONFIRM, drugs=(drug,), at=at(15 + number)))
    (verdict,) = shard.state_of(PATIENT).published.verdicts
    assert verdict.drugs == ("allopurinol", "imatinib")


def test_what_was_confirmed_of_one_episode_may_be_confirmed_of_another() -> None:
    later = (dose("imatinib", at(200)), eosinophils(1700, at(210, 9)), present(FindingCode.RASH, at(210, 10)))
    shard, told = told_of(*REACTION)
    then(shard, acted(told[-1], ActionKind.CONFIRM, drugs=("imatinib",), at=at(15)))
    alert = [value for value in then(shard, clock(100), *later) if value.get("kind") == "suspected_dress"][-1]
    confirmed = then(shard, acted(alert, ActionKind.CONFIRM, at=at(211)))
    seen = [value for value in confirmed if value.get("kind") == "suspected_dress"][-1]
    action, *_ = then(shard, acted(alert | seen, ActionKind.CONFIRM, drugs=("imatinib",), at=at(212)))
    assert (action["action"], action["drugs"]) == ("confirm", ["imatinib"])


def test_a_recurrence_of_a_refuted_episode_is_taken_back() -> None:
    later = (dose("imatinib", at(200)), eosinophils(1700, at(210, 9)), present(FindingCode.RASH, at(210, 10)))
    shard, told = told_of(*REACTION)
    judge(shard, told[-1], ActionKind.CONFIRM, at(15))
    values = then(shard, clock(100), *later)
    recurrence = [value for value in values if value.get("recurrence")][-1]
    assert recurrence["tier"] == "critical"
    first = told[-1] | {"tier": "critical", "revision": 2}
    run = fold(raw([acted(first, ActionKind.REFUTE, at=at(211))], first=2000), shard)
    (withdrawn,) = of_stream(run, OutputStream.RECURRENCES)
    assert withdrawn["status"] == "withdrawn"
    second = [alert for alert in alerts(run) if alert["alert_id"] == recurrence["alert_id"]][-1]
    assert (second["recurrence"], second["tier"]) == (None, "critical")
    again = [alert for alert in alerts(run) if alert["alert_id"] == first["alert_id"]][-1]
    run = fold(raw([acted(again, ActionKind.CONFIRM, at=at(212))], first=3000), shard)
    (back,) = of_stream(run, OutputStream.RECURRENCES)
    assert (back["status"], back["revision"]) == ("observed", withdrawn["revision"] + 1)


def test_an_alert_that_nobody_refuted_stays_open_when_a_refuted_episode_takes_it_over() -> None:
    def rash(day: int) -> FactArrived:
        return present(FindingCode.RASH, at(day, 10))

    shard, told = told_of(
        dose("imatinib", at(0)), dose("imatinib", at(38)), eosinophils(1600, at(14, 9)), rash(14)
    )
    judge(shard, told[-1], ActionKind.REFUTE, at(15))
    values = then(shard, eosinophils(1600, at(40, 9)), rash(40))
    assert {value["status"] for value in values} == {"raised", "revised"}
    values = then(shard, rash(22), rash(31))
    statuses = {value["alert_id"]: value["status"] for value in values if "status" in value}
    assert sorted(statuses.values()) == ["revised", "superseded"]
    assert shard.state_of(PATIENT).published.verdicts == ()


def test_a_verdict_reaches_an_episode_that_a_rulebook_sealed() -> None:
    shard, told = told_of(*REACTION, clock(100))
    state = shard.state_of(PATIENT)
    (closed,) = state.published.episodes
    sealed = replace(state, published=replace(state.published, episodes=(replace(closed, sealed=True),)))
    latest = [alert for alert in told if alert["kind"] == "suspected_dress"][-1]
    action = acted(latest, ActionKind.CONFIRM, at=at(101))
    taken = act(sealed, action, shard_clock=None, rulebook=RULEBOOK)
    assert not isinstance(taken, DeadLetterCode)
    (episode,) = taken[0].published.episodes
    assert (episode.last.established_by, episode.state) == (EstablishedBy.CONFIRMED, EpisodeState.CLOSED)


@pytest.mark.parametrize("corrects", [False, True])
def test_an_alert_that_stands_is_never_lost_in_a_refuted_episode(*, corrects: bool) -> None:
    """Whether a late fact or a correction joins the two."""

    def rash(day: int) -> FactArrived:
        return present(FindingCode.RASH, at(day, 10))

    doses = (dose("imatinib", at(0)), dose("imatinib", at(38)))
    shard, told = told_of(
        *doses, eosinophils(1600, at(14, 9)), rash(14), absent(FindingCode.RASH, at(22, 10))
    )
    judge(shard, told[-1], ActionKind.REFUTE, at(23))
    then(shard, rash(31), eosinophils(1600, at(40, 9)), rash(40))
    joining = rash(22)
    if corrects:
        joining = corrected(absent(FindingCode.RASH, at(22, 10)), joining.version.statement.content)
    then(shard, joining)
    open_ones = [e for e in shard.state_of(PATIENT).published.episodes if e.state is EpisodeState.OPEN]
    assert len(open_ones) == 1


def test_verdicts_are_kept_in_the_state() -> None:
    shard, told = told_of(*REACTION)
    judge(shard, told[-1], ActionKind.REFUTE, at(15))
    judge(shard, told[-1] | {"revision": 3}, ActionKind.CONFIRM, at(16))
    state = shard.state_of(PATIENT)
    (verdict,) = state.published.verdicts
    assert (verdict.judgement, verdict.tier) == (Judgement.CONFIRMED, Tier.WARNING)
    assert decode_state(encode_state(state)) == state


def test_a_refused_or_taken_action_is_never_a_fact() -> None:
    shard, (raised,) = told_of(*COUNT)
    facts = shard.state_of(PATIENT).facts
    action = acted(raised, ActionKind.CONFIRM, at=at(15))
    assert isinstance(action, AlertActed)
    then(shard, action)
    assert shard.state_of(PATIENT).facts is facts
