"""Superseding: two episodes that turn out to be one leave one survivor, and the other stays where it ended."""

from typing import Any

from pv_stream.domain.codes import ActionKind, FindingCode
from pv_stream.domain.outputs import AlertStatus
from pv_stream.domain.published import EpisodeState
from tests.acting import acted
from tests.builders import (
    PATIENT,
    absent,
    at,
    corrected,
    eosinophils,
    present,
    resent,
    retracted,
    statement,
    temperature,
)
from tests.ledger import Ledger
from tests.rulebooks import LOWER, activation, by_digest
from tests.shards import fold, new_shard, raw, told

COUNT = eosinophils(1690, at(40))
#: A reaction, gone by day 22, and another on day 40: two episodes ...
APART = (
    statement("imatinib", at(0)),
    eosinophils(1700, at(20)),
    temperature("39", at(20)),
    eosinophils(100, at(22)),
    temperature("36.5", at(22)),
    COUNT,
)
#: ... that a late fever between them makes one.
BETWEEN = (resent(temperature("39", at(30)), received_at=at(41)),)


def _last_alerts(values: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {value["alert_id"]: value for value in values if value.get("kind") == "suspected_dress"}


def test_a_late_fact_that_joins_two_episodes_leaves_one_survivor_that_the_other_names() -> None:
    alerts = _last_alerts(told([*APART, *BETWEEN]))
    one, other = sorted(alerts.values(), key=lambda alert: str(alert["status"]))
    assert (one["status"], other["status"]) == ("revised", "superseded")
    assert other["superseded_by"] == one["episode_id"]


def test_a_superseded_episode_is_not_withdrawn_or_raised_when_its_evidence_changes() -> None:
    changes = (
        corrected(COUNT, eosinophils(1800, at(40)).version.statement.content, received_at=at(42)),
        resent(present(FindingCode.RASH, at(40)), received_at=at(42)),
    )
    values = told([*APART, *BETWEEN, *changes])
    ledger = Ledger()
    ledger.enter_all(values)
    ledger.settle()
    assert sorted(alert["status"] for alert in ledger.alerts.values()) == ["revised", "superseded"]


def test_a_superseded_episode_stays_so_when_all_of_its_evidence_is_taken_back() -> None:
    gone = retracted(COUNT, received_at=at(43))
    ledger = Ledger()
    ledger.enter_all(told([*APART, *BETWEEN, gone, temperature("39", at(43))]))
    ledger.settle()
    assert "superseded" in {alert["status"] for alert in ledger.alerts.values()}


#: An established reaction, gone by day 22, and a relapse, which is critical.
FIRST = (
    statement("imatinib", at(0)),
    present(FindingCode.RASH, at(20), surface=60),
    eosinophils(1700, at(20)),
    temperature("39", at(20)),
    eosinophils(100, at(22)),
    temperature("36.5", at(22)),
    absent(FindingCode.RASH, at(22)),
)
RELAPSE = (temperature("38.6", at(40)), COUNT)


def test_the_survivor_of_a_late_fact_keeps_the_higher_tier_of_the_alert_that_it_takes_over() -> None:
    alerts = _last_alerts(told([*FIRST, *RELAPSE, *BETWEEN]))
    tiers = {alert["status"]: alert["tier"] for alert in alerts.values()}
    assert tiers == {"superseded": "critical", "revised": "critical"}


def test_what_is_remembered_of_a_superseded_alert_is_its_end() -> None:
    shard = new_shard()
    more = (eosinophils(1600, at(41)), eosinophils(1500, at(42)), eosinophils(1550, at(43)))
    fold(raw([*FIRST, *RELAPSE, *more, *BETWEEN]), shard)
    ended = [e for e in shard.state_of(PATIENT).published.episodes if e.state is EpisodeState.SUPERSEDED]
    assert [(e.closing, e.sealed, e.alert and e.alert.status) for e in ended] == [
        (None, False, AlertStatus.SUPERSEDED)
    ]


def test_a_sealed_episode_that_a_retraction_joins_with_a_later_one_is_sealed_no_more() -> None:
    resolved = present(FindingCode.REACTION_RESOLVED, at(22))
    first = (statement("imatinib", at(0)), eosinophils(1700, at(20)), temperature("39", at(20)), resolved)
    (*_, alert) = _last_alerts(told(first)).values()
    refuted = acted(alert, ActionKind.REFUTE, at=at(23))
    later = [eosinophils(1600 + day, at(day)) for day in (31, 32, 33)]
    shard = new_shard(carried=by_digest())
    fold(raw([*first, refuted, activation(LOWER)]), shard)
    assert [episode.sealed for episode in shard.state_of(PATIENT).published.episodes] == [True]
    fold(raw([*later, retracted(resolved, received_at=at(34))], first=10), shard)
    assert [(e.state, e.sealed) for e in shard.state_of(PATIENT).published.episodes] == [
        (EpisodeState.SUPERSEDED, False),
        (EpisodeState.OPEN, False),
    ]


def test_a_correction_that_joins_two_episodes_leaves_the_survivor_on_its_own_tier() -> None:
    calm = temperature("36.5", at(30))
    fever = temperature("39", at(30)).version.statement.content
    alerts = _last_alerts(told([*FIRST, calm, *RELAPSE, corrected(calm, fever, received_at=at(41))]))
    tiers = {alert["status"]: alert["tier"] for alert in alerts.values()}
    assert tiers == {"superseded": "critical", "revised": "warning"}


def test_a_refuted_reaction_stays_closed_when_two_later_ones_become_one() -> None:
    first = (
        statement("imatinib", at(0)),
        eosinophils(1700, at(20)),
        temperature("39", at(20)),
        present(FindingCode.REACTION_RESOLVED, at(25)),
    )
    (*_, alert) = _last_alerts(told(first)).values()
    later = (
        eosinophils(1700, at(60)),
        temperature("39", at(60)),
        eosinophils(100, at(62)),
        temperature("36.5", at(62)),
        eosinophils(1690, at(80)),
        resent(temperature("39", at(70)), received_at=at(81)),
    )
    values = told([*first, acted(alert, ActionKind.REFUTE, at=at(26)), *later])
    of_kind = [value for value in values if value.get("kind") == "suspected_dress" and "status" in value]
    statuses = [value["status"] for value in of_kind if value["alert_id"] == alert["alert_id"]]
    assert (statuses[0], statuses[-1], statuses.count("closed")) == ("raised", "closed", 1)
    last = {value["alert_id"]: value["status"] for value in of_kind}
    assert sorted(last.values()) == ["closed", "revised", "superseded"]
