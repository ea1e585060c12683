"""Incomplete assessments: whatever tells of such a patient says so from then on."""

from collections.abc import Sequence

import pytest

from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import ActionKind, FindingCode
from pv_stream.domain.events import AlertActed, FactArrived
from pv_stream.domain.ids import ActionId, AlertId, derive_id
from pv_stream.domain.outputs import Alert, AlertKind, Output
from pv_stream.domain.published import PatientState
from pv_stream.engine.actions import act
from pv_stream.engine.activation import reassess
from pv_stream.engine.advance import advance, fire_due, mark_incomplete
from pv_stream.engine.decisions import alert_lines
from pv_stream.engine.telling import ASSESSMENT_INCOMPLETE
from tests.builders import PATIENT, RULEBOOK, at, dose, eosinophils, present
from tests.rulebooks import HIGHER

REACTION = (dose("imatinib", at(0)), eosinophils(1600, at(14)), present(FindingCode.RASH, at(14)))
WHEN = at(15)


def _after(*events: FactArrived) -> PatientState:
    state = PatientState()
    for sent in events:
        state, _ = advance(state, sent, shard_clock=None, rulebook=RULEBOOK)
    return state


def _by_fact(state: PatientState) -> Sequence[Output]:
    return advance(state, eosinophils(1900, WHEN), shard_clock=None, rulebook=RULEBOOK)[1]


def _by_clock(state: PatientState) -> Sequence[Output]:
    return fire_due(PATIENT, state, at(100), RULEBOOK)[1]


def _by_action(state: PatientState) -> Sequence[Output]:
    line = state.published.episodes[0].alert
    assert line is not None
    acted = AlertActed(
        patient_id=PATIENT,
        action_id=ActionId("act"),
        alert_id=AlertId(line.alert_id),
        action=ActionKind.ACKNOWLEDGE,
        reason=None,
        drugs=(),
        actor="pharmacist",
        seen_tier=Tier.WARNING,
        seen_revision=line.revision,
        received_at=WHEN,
    )
    taken = act(state, acted, shard_clock=None, rulebook=RULEBOOK)
    assert isinstance(taken, tuple)
    return taken[1]


def _by_rulebook(state: PatientState) -> Sequence[Output]:
    return reassess(PATIENT, state, as_of=WHEN, rulebook=HIGHER)[1]


@pytest.mark.parametrize("tell", [_by_fact, _by_clock, _by_action, _by_rulebook])
def test_every_alert_of_a_patient_whose_assessment_is_incomplete_says_so(tell: object) -> None:
    assert callable(tell)
    whole = _after(*REACTION)
    marked, (told,) = mark_incomplete(PATIENT, whole, WHEN, RULEBOOK, "a record could not be used")
    assert isinstance(told, Alert)
    assert told.flags == (ASSESSMENT_INCOMPLETE,)
    assert told.alert_id == derive_id("al", PATIENT, AlertKind.SYSTEM, ASSESSMENT_INCOMPLETE)
    for state, says_so in ((whole, False), (marked, True)):
        alerts = [out for out in tell(state) if isinstance(out, Alert)]
        assert alerts
        assert [ASSESSMENT_INCOMPLETE in alert.flags for alert in alerts] == [says_so] * len(alerts)


def test_an_alert_that_says_so_is_told_once_and_stands() -> None:
    marked, _ = mark_incomplete(PATIENT, _after(*REACTION), WHEN, RULEBOOK, "a record could not be used")
    again, told = mark_incomplete(PATIENT, marked, WHEN, RULEBOOK, "another one")
    assert (again, told) == (marked, ())
    assert len(alert_lines(marked.published)) == 2


def test_the_same_record_fed_again_does_not_end_it() -> None:
    """Nothing that comes later proves that nothing is missing (docs/adr/0004-failure-classes.md)."""
    marked, _ = mark_incomplete(PATIENT, _after(*REACTION[:-1]), WHEN, RULEBOOK, "a record could not be used")
    used, outputs = advance(marked, REACTION[-1], shard_clock=None, rulebook=RULEBOOK)
    (alert,) = [out for out in outputs if isinstance(out, Alert)]
    assert ASSESSMENT_INCOMPLETE in alert.flags
    assert used.published.incomplete == marked.published.incomplete
