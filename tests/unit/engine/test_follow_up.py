"""Follow-ups: once for an episode, from whatever moment the question stands, until it is answered or gone."""

import pytest

from pv_stream.domain.codes import FindingCode
from pv_stream.domain.events import Event
from pv_stream.rules.follow_up import follow_up_at
from tests.builders import (
    RULEBOOK,
    at,
    eosinophils,
    only_episode,
    present,
    resent,
    retracted,
    statement,
    temperature,
)
from tests.shards import clock, told

DRUG = statement("imatinib", at(0))
REACTION = (eosinophils(1690, at(20)), temperature("39", at(20)))
RASH_LATE = present(FindingCode.RASH, at(38))


def _follow_ups(*log: Event) -> list[tuple[str, str, str | None, str]]:
    return [
        (value["as_of"], value["status"], value["closing"], value["timeliness"])
        for value in told(log)
        if value.get("kind") == "follow_up_due"
    ]


RAISED = ("2026-02-06T00:00:00Z", "raised", None, "live")  # day 36


def test_the_day_is_that_of_the_facility() -> None:
    episode = only_episode(DRUG, *REACTION)
    assert follow_up_at(at(20), 0, episode.score, None, RULEBOOK) == at(36, 0)
    assert follow_up_at(at(20), 120, episode.score, None, RULEBOOK) == at(35, 22)
    assert follow_up_at(at(20, 23), 120, episode.score, None, RULEBOOK) == at(36, 22)
    assert follow_up_at(at(20), 0, episode.score, at(60), RULEBOOK) is None


def test_it_is_asked_once_however_often_the_clock_ticks() -> None:
    assert _follow_ups(DRUG, *REACTION, clock(35, 23)) == []
    assert _follow_ups(DRUG, *REACTION, clock(36, 0), clock(36, 1), clock(50)) == [RAISED]


def test_what_comes_at_its_very_instant_does_not_settle_it() -> None:
    assert _follow_ups(DRUG, *REACTION, statement("allopurinol", at(36, 0))) == [RAISED]


def test_the_next_event_of_the_patient_reveals_it_before_it_is_told() -> None:
    assert _follow_ups(DRUG, *REACTION, RASH_LATE) == [
        ("2026-02-06T00:00:00Z", "raised", None, "late"),
        ("2026-02-08T08:00:00Z", "closed", "documented", "live"),
    ]


def test_an_answer_that_is_taken_back_asks_again_with_the_next_clock_record() -> None:
    taken_back = resent(retracted(RASH_LATE), received_at=at(39))
    log = (DRUG, *REACTION, RASH_LATE, taken_back)
    assert [status for _, status, _, _ in _follow_ups(*log)] == ["raised", "closed"]
    assert _follow_ups(*log, clock(40))[-1][1] == "revised"


def test_a_backlog_asks_with_the_first_clock_record_while_the_episode_is_open() -> None:
    backlog = [resent(sent, received_at=at(40)) for sent in (DRUG, *REACTION)]
    assert _follow_ups(*backlog) == []
    assert _follow_ups(*backlog, clock(40, 9)) == [("2026-02-10T08:00:00Z", "raised", None, "late")]


@pytest.mark.parametrize("day", [80, 400])
def test_a_backlog_of_an_episode_long_over_asks_for_nothing(day: int) -> None:
    backlog = [resent(sent, received_at=at(day, 9)) for sent in (DRUG, *REACTION)]
    assert _follow_ups(*backlog, clock(day, 10)) == []


def test_data_that_return_after_the_closing_ask_again() -> None:
    log = (DRUG, *REACTION, temperature("36.6", at(90)), clock(91))
    statuses = [(status, closing) for _, status, closing, _ in _follow_ups(*log)]
    assert statuses[:2] == [("raised", None), ("closed", "lost_to_observation")]
    assert statuses[2:] == [("revised", None)]


def test_a_reaction_that_turns_out_to_have_begun_later_is_asked_about_later() -> None:
    """What was on day 20 is taken back: the fifteenth day counts from the signs of day 30."""
    later = (eosinophils(1700, at(30)), temperature("39", at(30)))
    taken_back = [retracted(sent, received_at=at(37)) for sent in REACTION]
    log: list[Event] = [DRUG, *REACTION, *later, clock(36), *taken_back, clock(45, 23)]
    statuses = [(status, closing) for _, status, closing, _ in _follow_ups(*log)]
    assert statuses == [("raised", None), ("withdrawn", None)]
    assert _follow_ups(*log, clock(46, 0))[-1] == ("2026-02-16T00:00:00Z", "raised", None, "live")


def test_a_follow_up_of_an_alert_that_is_only_info_by_now_is_taken_back_not_answered() -> None:
    lower = [retracted(REACTION[1], received_at=at(37)), present(FindingCode.REACTION_RESOLVED, at(38))]
    statuses = [
        (status, closing) for _, status, closing, _ in _follow_ups(DRUG, *REACTION, clock(36), *lower)
    ]
    assert statuses == [("raised", None), ("withdrawn", None)]
