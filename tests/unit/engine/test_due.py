"""What is due: closings fire at their instant, before what reveals it, and what was past waits for the clock."""

from typing import Any

import pytest

from pv_stream.domain.codes import FindingCode
from pv_stream.domain.events import Event, FactArrived
from pv_stream.domain.outputs import Alert
from pv_stream.domain.published import PatientState
from pv_stream.domain.times import Instant, format_instant
from pv_stream.engine.advance import advance, fire_due
from tests.builders import (
    PATIENT,
    RULEBOOK,
    at,
    dose,
    eosinophils,
    event,
    present,
    resent,
    statement,
    temperature,
)
from tests.shards import clock, told

DRUG = statement("imatinib", at(0))
REACTION = (
    eosinophils(1690, at(20)),
    temperature("39", at(20)),
    present(FindingCode.REACTION_RESOLVED, at(25)),
)
#: Resolved on day 25, so it closes on day 39 at 08:00.
CLOSES = at(39)


def _closed(*log: Event) -> list[tuple[str, str]]:
    return [(a["as_of"], a["timeliness"]) for a in _alerts(*log) if a["status"] == "closed"]


def _alerts(*log: Event) -> list[dict[str, Any]]:
    return [value for value in told(log) if value.get("kind") == "suspected_dress"]


def _late(sent: FactArrived, day: int) -> FactArrived:
    return resent(sent, received_at=at(day))


def test_the_clock_closes_at_the_instant_that_was_due_and_not_before() -> None:
    assert _closed(DRUG, *REACTION, clock(39, 7)) == []
    assert _closed(DRUG, *REACTION, clock(39, 8)) == [("2026-02-09T08:00:00Z", "live")]
    assert _closed(DRUG, *REACTION, clock(60)) == [("2026-02-09T08:00:00Z", "late")]


def test_an_event_of_the_patient_reveals_what_was_due_before_it() -> None:
    alerts = _alerts(DRUG, *REACTION, eosinophils(1800, at(45)))
    assert [(a["status"], a["cause"]) for a in alerts[-2:]] == [("closed", "clock"), ("raised", "event")]
    assert alerts[-2]["as_of"] == "2026-02-09T08:00:00Z"


def test_an_event_reveals_nothing_before_the_instant() -> None:
    note = temperature("36.6", at(26))
    assert _closed(DRUG, *REACTION, resent(note, received_at=at(39, 7, 59))) == []
    assert _closed(DRUG, *REACTION, resent(note, received_at=at(39, 8))) == [("2026-02-09T08:00:00Z", "live")]


def test_an_event_of_another_patient_reveals_nothing() -> None:
    note = temperature("36.6", at(60)).version.statement
    assert _closed(DRUG, *REACTION, event(note.content, note.effective, patient="patient-2")) == []


def test_a_closing_that_was_past_when_it_was_created_waits_for_the_next_clock_record() -> None:
    backlog = [_late(sent, 100) for sent in (DRUG, *REACTION)]
    later = _late(temperature("36.6", at(101)), 101)
    assert _closed(*backlog) == []
    assert _closed(*backlog, later) == []
    assert _closed(*backlog, clock(100, 9)) == [("2026-04-11T08:00:00Z", "retrospective")]


def test_a_closing_of_the_instant_at_which_it_became_known_waits_too() -> None:
    known = (DRUG, *REACTION[:2], resent(REACTION[2], received_at=CLOSES))
    later = resent(temperature("36.6", at(26)), received_at=at(39, 9))
    assert _closed(*known, later) == []
    assert _closed(*known, later, clock(40)) != []


def test_a_closing_that_waits_from_that_instant_on_does_not_go_along_with_another() -> None:
    """The resolution of day 25, learned of on day 39, cuts one episode in two: one waits, one closes on day 46."""
    again = (
        eosinophils(1900, at(30)),
        temperature("39", at(30)),
        present(FindingCode.REACTION_RESOLVED, at(32)),
    )
    cut = resent(REACTION[2], received_at=CLOSES)
    log = (DRUG, *REACTION[:2], *again, cut, resent(temperature("36.6", at(33)), received_at=at(50)))
    assert [as_of for as_of, _ in _closed(*log)] == ["2026-02-16T08:00:00Z"]
    assert len(_closed(*log, clock(51))) == 2


def test_a_closing_that_waits_for_the_clock_does_not_hold_up_another() -> None:
    """The old episode came late and waits; the new one closes on day 139, and day 150 reveals it."""
    backlog = [_late(sent, 100) for sent in (DRUG, *REACTION)]
    new = [
        dose("imatinib", at(110)),
        eosinophils(1900, at(120)),
        temperature("39", at(120)),
        present(FindingCode.REACTION_RESOLVED, at(125)),
    ]
    log = [*backlog, *new, eosinophils(100, at(150))]
    assert _closed(*log) == [("2026-05-20T08:00:00Z", "late")]
    assert [as_of for as_of, _ in _closed(*log, clock(151))] == [
        "2026-05-20T08:00:00Z",
        "2026-05-31T08:00:00Z",
    ]


def test_a_clock_record_that_is_not_later_changes_nothing() -> None:
    assert _closed(clock(50), DRUG, *REACTION, clock(50), clock(49)) == []


def test_new_evidence_before_the_closing_puts_it_off() -> None:
    again = temperature("39", at(30))
    assert _closed(DRUG, *REACTION[:-1], again, clock(80)) == []
    assert _closed(DRUG, *REACTION[:-1], again, clock(91)) == [("2026-04-01T08:00:00Z", "live")]


# The clock of a patient -----------------------------------------------------------------------------------------


def _open() -> PatientState:
    state = PatientState()
    for sent in (DRUG, *REACTION):
        state, _ = advance(state, sent, shard_clock=None, rulebook=RULEBOOK)
    return state


@pytest.mark.parametrize(
    ("shard_clock", "as_of"), [(None, at(25)), (at(25, 7), at(25)), (at(25, 9), at(25, 9))]
)
def test_what_was_received_earlier_is_told_as_of_the_latest_clock(
    shard_clock: Instant, as_of: Instant
) -> None:
    earlier = resent(eosinophils(1800, at(21)), received_at=at(21))
    state, outputs = advance(_open(), earlier, shard_clock=shard_clock, rulebook=RULEBOOK)
    alert = next(out for out in outputs if isinstance(out, Alert))
    assert (state.clock, alert.as_of) == (as_of, format_instant(as_of))


def test_time_moves_the_clock_of_the_patient_to_what_was_due() -> None:
    state, outputs = fire_due(PATIENT, _open(), at(60), RULEBOOK)
    assert (state.clock, state.due) == (CLOSES, None)
    assert [out.status for out in outputs if isinstance(out, Alert)] == ["closed"]
