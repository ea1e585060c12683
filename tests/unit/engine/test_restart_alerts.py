"""Restart alerts: one for each course, told before any reaction in it, withdrawn when its basis is taken back."""

from typing import Any

import pytest

from pv_stream.domain.codes import ExposureKind, FindingCode
from pv_stream.domain.events import FactArrived
from tests.builders import (
    at,
    dose,
    eosinophils,
    exposed,
    order,
    present,
    resent,
    retracted,
    stop,
    temperature,
)
from tests.shards import told

REACTION = (
    dose("imatinib", at(0)),
    eosinophils(1690, at(20)),
    temperature("38.6", at(20)),
    present(FindingCode.RASH, at(20)),
    stop("imatinib", at(21)),
)


def _restarts(*events: FactArrived) -> list[dict[str, Any]]:
    return [value for value in told(events) if value.get("kind") == "culprit_restart"]


def _late(event: FactArrived, day: int) -> FactArrived:
    return resent(event, received_at=at(day))


def test_the_order_of_a_culprit_warns_before_any_dose() -> None:
    ordered, given = _restarts(
        *REACTION, order("imatinib", at(40)), dose("imatinib", at(41)), dose("imatinib", at(42))
    )
    assert (ordered["status"], ordered["tier"], ordered["restart"]["relation"]) == (
        "raised",
        "warning",
        "same",
    )
    assert ordered["reason"].startswith("Imatinib was ordered: ")
    assert (given["status"], given["alert_id"]) == ("revised", ordered["alert_id"])
    assert given["reason"].startswith("Imatinib was given: ")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (ExposureKind.ORDER, "was ordered"),
        (ExposureKind.DISPENSE, "was dispensed"),
        (ExposureKind.STATEMENT, "is said to be taken"),
        (ExposureKind.ADMINISTRATION, "was given"),
    ],
)
def test_how_a_restart_is_on_record_is_told(kind: ExposureKind, said: str) -> None:
    (alert,) = _restarts(*REACTION, exposed(kind, "imatinib", at(40)))
    assert (alert["restart"]["begun_as"], said in alert["reason"]) == (kind, True)


def test_the_first_dose_says_how_a_course_was_begun_and_a_dispense_after_an_order_does_not() -> None:
    stated, given = exposed(ExposureKind.STATEMENT, "imatinib", at(41)), dose("imatinib", at(42))
    dispensed = exposed(ExposureKind.DISPENSE, "imatinib", at(40, 12))
    alerts = _restarts(*REACTION, order("imatinib", at(40)), dispensed, stated, given)
    assert [alert["restart"]["begun_as"] for alert in alerts] == ["order", "statement"]


def test_a_warning_names_the_first_record_of_the_course() -> None:
    given = (order("imatinib", at(40)), dose("imatinib", at(40, 9)), dose("imatinib", at(41)))
    late = [resent(sent, received_at=at(42)) for sent in (*given[1:], given[0])]
    alerts = _restarts(*REACTION, *late)
    assert [(alert["revision"], len(alert["evidence"])) for alert in alerts] == [
        (number, 1) for number in range(1, len(alerts) + 1)
    ]


def test_a_drug_that_was_never_stopped_is_not_restarted() -> None:
    assert _restarts(*REACTION[:-1], dose("imatinib", at(5))) == []


def test_a_course_that_a_late_stop_cuts_in_two_warns_twice_under_two_ids() -> None:
    first, *_, last = _restarts(
        *REACTION,
        dose("imatinib", at(40)),
        dose("imatinib", at(42)),
        dose("imatinib", at(43)),
        _late(stop("imatinib", at(42, 12)), 44),
        dose("imatinib", at(45)),
    )
    assert first["alert_id"] != last["alert_id"]
    assert last["restart"]["started_at"] == "2026-02-13T08:00:00Z"


def test_an_id_is_not_given_twice_where_a_course_grew_backwards_and_was_cut_again() -> None:
    alerts = _restarts(
        *REACTION,
        dose("imatinib", at(43)),
        _late(dose("imatinib", at(40)), 44),
        _late(dose("imatinib", at(41)), 45),
        _late(stop("imatinib", at(42)), 46),
    )
    by_id = {alert["alert_id"]: alert["restart"]["started_at"] for alert in alerts}
    assert sorted(by_id.values()) == ["2026-02-10T08:00:00Z", "2026-02-13T08:00:00Z"]
    assert len({alert["record_id"] for alert in alerts}) == len(alerts)


def test_a_restart_whose_only_record_is_taken_back_is_withdrawn_and_raised_again_under_its_id() -> None:
    again = dose("imatinib", at(40))
    alerts = _restarts(*REACTION, again, retracted(again, received_at=at(41)))
    assert [alert["status"] for alert in alerts] == ["raised", "withdrawn"]
    assert alerts[1]["cause"] == "retraction"


def test_a_reaction_in_the_new_course_is_not_told_as_a_restart() -> None:
    resolved = present(FindingCode.REACTION_RESOLVED, at(25))
    restart = _late(dose("imatinib", at(40)), 60)
    (alert,) = _restarts(*REACTION, resolved, restart, _late(eosinophils(2000, at(50)), 61))
    assert alert["status"] == "raised"
    assert _restarts(*REACTION, resolved, eosinophils(2000, at(50)), restart) == []


def test_a_warning_stands_when_the_first_record_of_a_course_that_went_on_is_taken_back() -> None:
    """The reaction in the course has an alert of its own; the warning keeps what was learned of its course."""
    resolved = present(FindingCode.REACTION_RESOLVED, at(25))
    again = dose("imatinib", at(40))
    alerts = _restarts(
        *REACTION,
        resolved,
        again,
        eosinophils(2000, at(50)),
        _late(dose("imatinib", at(42)), 51),
        retracted(again, received_at=at(52)),
    )
    assert [alert["status"] for alert in alerts] == ["raised"]
