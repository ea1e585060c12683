"""Identity events, one at a time: when they count as known, what falls due before them, and what they repeat."""

from dataclasses import replace

import pytest

from pv_stream.domain.actions import ClinicianVerdict
from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import ActionKind, FindingCode, Judgement, TransferKind
from pv_stream.domain.events import FactArrived, IdentityEvent, Received, Transferred
from pv_stream.domain.ids import PatientId
from pv_stream.domain.lineage import Lineage
from pv_stream.domain.outputs import Alert, AlertKind, AlertStatus
from pv_stream.domain.published import PatientState, Published
from pv_stream.domain.times import Instant, format_instant
from pv_stream.engine.advance import advance, fire_due, mark_incomplete
from pv_stream.engine.merge import Step, follow
from tests.acting import acted
from tests.builders import RULEBOOK, at, dose, eosinophils, present, with_patient
from tests.merging import absorbed, absorbs, separated

A, B, C = PatientId("patient-a"), PatientId("patient-b"), PatientId("patient-c")
REACTION = (dose("imatinib", at(0)), eosinophils(1690, at(14)), present(FindingCode.RASH, at(14)))


def _after(*events: FactArrived) -> PatientState:
    """Return the state of record A after these events."""
    state = PatientState()
    for sent in events:
        state, _ = advance(state, with_patient(sent, A), shard_clock=None, rulebook=RULEBOOK)
    return state


def _follow(state: PatientState, event: IdentityEvent, shard_clock: Instant | None = None) -> Step:
    return follow(state, event, shard_clock=shard_clock, rulebook=RULEBOOK)


def _handed_over(*facts: FactArrived, received_at: Instant, giver: PatientId = B) -> Transferred:
    return Transferred(A, (giver,), TransferKind.STATE, received_at, tuple(facts))


def _with(state: PatientState, **lineage: object) -> PatientState:
    return replace(state, lineage=Lineage(**lineage))  # type: ignore[arg-type]


MERGED = {"absorbed": ((C, A),)}
LEAVING = {"absorbed": ((C, A),), "leaving": (C,)}


@pytest.mark.parametrize(
    ("lineage", "event"),
    [
        pytest.param({}, absorbed(A, B, at(20)), id="merged into another"),
        pytest.param({}, absorbs(C, A, at(20)), id="another is to come"),
        pytest.param({}, _handed_over(received_at=at(20), giver=C), id="it has come"),
        pytest.param({"into": B}, Received(A, B, TransferKind.STATE, at(20)), id="taken over"),
        pytest.param(MERGED, separated(C, A, at(20)), id="a mistake"),
        pytest.param(LEAVING, Received(A, C, TransferKind.RETURN, at(20)), id="given back"),
    ],
)
@pytest.mark.parametrize(
    ("clock", "shard_clock"), [(None, None), (at(15), at(16)), (at(25), None), (None, at(25))]
)
def test_the_clock_of_a_record_moves_with_every_identity_event_and_never_back(
    lineage: dict[str, object], event: IdentityEvent, clock: Instant | None, shard_clock: Instant | None
) -> None:
    state = replace(_with(PatientState(), **lineage), clock=clock)
    assert _follow(state, event, shard_clock).state.clock == max(at(20), clock or at(0), shard_clock or at(0))


def test_what_a_stub_passes_on_counts_as_known_when_it_is_reached() -> None:
    count = with_patient(REACTION[1], B)
    passed_on = Transferred(A, (B,), TransferKind.RECORD, at(14), (count,))
    step = _follow(_after(REACTION[0]), passed_on, at(30))
    told = [out for out in step.outputs if isinstance(out, Alert)]
    assert [(alert.as_of, alert.timeliness) for alert in told] == [(format_instant(at(30)), "late")]
    assert step.state.clock == at(30)


def test_an_action_that_a_stub_passes_on_counts_as_known_when_it_is_reached() -> None:
    state = _after(*REACTION)
    line = state.published.episodes[0].alert
    assert line is not None
    seen = {
        "patient_id": B,
        "alert_id": line.alert_id,
        "record_id": "rec_1",
        "tier": "warning",
        "revision": line.revision,
        "as_of": "2026-01-15T09:00:00Z",
    }
    noted = acted(seen, ActionKind.ACKNOWLEDGE)
    passed_on = Transferred(A, (B,), TransferKind.RECORD, noted.received_at, action=noted)
    step = _follow(state, passed_on, at(30))
    assert (step.refused, step.state.clock) == (None, at(30))
    assert [noted.at for noted in step.state.published.acknowledgements] == [at(30)]


def test_a_confirmation_of_what_was_never_handed_over_changes_nothing() -> None:
    state = _after(*REACTION)
    for kind in (TransferKind.STATE, TransferKind.RETURN):
        assert _follow(state, Received(A, B, kind, at(20))) == Step(state)


def test_a_part_of_what_is_handed_over_is_kept_and_neither_told_of_nor_confirmed() -> None:
    rash = with_patient(REACTION[2], B)
    part = replace(_handed_over(rash, received_at=at(20)), chunks=2)
    step = _follow(_after(*REACTION[:2]), part)
    assert (step.outputs, step.events) == ((), ())
    assert rash.version.key in step.state.facts
    whole = _follow(step.state, replace(part, facts=(), chunk=2))
    assert [out.tier for out in whole.outputs if isinstance(out, Alert)] == ["warning"]
    assert whole.events == (Received(B, A, TransferKind.STATE, at(20)),)


def _closed_at(step: Step) -> list[str]:
    """Return when the alerts of episodes were closed."""
    told = [out for out in step.outputs if isinstance(out, Alert) and out.kind is AlertKind.SUSPECTED_DRESS]
    return [out.as_of for out in told if out.status is AlertStatus.CLOSED]


def test_what_fell_due_before_an_identity_event_is_told_first_at_its_own_instant() -> None:
    state = _after(*REACTION)
    lost = format_instant(at(74))
    part = replace(_handed_over(received_at=at(100)), chunks=2)
    cycle = replace(_handed_over(received_at=at(100)), path=(B,))
    stub = replace(_with(state, into=B), due=None)
    assert _closed_at(_follow(state, part)) == [lost]
    assert _closed_at(_follow(state, absorbed(A, B, at(100)))) == [lost]
    assert _closed_at(_follow(_with(state, **LEAVING), Received(A, C, TransferKind.RETURN, at(100)))) == [
        lost
    ]
    broken = _follow(stub, cycle)
    assert (_closed_at(broken), broken.refused) == ([lost], "merge_cycle")


def test_what_fell_due_in_a_stub_that_gets_its_facts_back_waits_for_the_clock() -> None:
    """The survivor never confirmed: a stub ends nothing by time, and what is past by then is told by the clock."""
    stub = _follow(_after(*REACTION), absorbed(A, B, at(20))).state
    step = _follow(stub, Transferred(A, (B,), TransferKind.RETURN, at(100)))
    assert (step.outputs, step.state.due) == ((), at(30, 0))
    _, told = fire_due(A, step.state, at(100), RULEBOOK)
    assert {out.as_of for out in told if isinstance(out, Alert)} == {format_instant(at(100))}


def test_a_survivor_that_let_go_asks_on_the_fifteenth_day_and_closes_as_before() -> None:
    """Clinical specification: asked when the fifteenth day from the onset has passed, closed sixty days unobserved."""
    state = _with(_after(*REACTION), **LEAVING)
    state = _follow(state, Received(A, C, TransferKind.RETURN, at(20))).state
    told: list[tuple[str, str, str]] = []
    while state.due is not None:
        state, outputs = fire_due(A, state, at(100), RULEBOOK)
        told += [(out.kind, out.status, out.as_of) for out in outputs if isinstance(out, Alert)]
    assert told == [
        (AlertKind.FOLLOW_UP_DUE, AlertStatus.RAISED, format_instant(at(30, 0))),
        (AlertKind.SUSPECTED_DRESS, AlertStatus.CLOSED, format_instant(at(74))),
        (AlertKind.FOLLOW_UP_DUE, AlertStatus.CLOSED, format_instant(at(74))),
    ]


def test_a_record_that_was_merged_itself_lets_go_and_still_ends_nothing_by_time() -> None:
    """Its survivor has not confirmed yet; what falls due is told by the survivor."""
    state = _with(_after(*REACTION), **LEAVING)
    state = _follow(state, absorbed(A, B, at(19))).state
    step = _follow(state, Received(A, C, TransferKind.RETURN, at(20)))
    assert (step.state.lineage.into, step.state.lineage.leaving, step.state.due) == (B, (), None)


def test_that_a_record_is_incomplete_goes_with_each_merge_and_comes_back_with_each_unmerge() -> None:
    """Nothing else is known of it: no drug, no sign."""
    state, _ = mark_incomplete(A, PatientState(), at(14), RULEBOOK, "a record could not be read")
    told: list[tuple[str, int]] = []
    for day in (20, 30):
        for event in (
            absorbed(A, B, at(day)),
            Received(A, B, TransferKind.STATE, at(day)),
            Transferred(A, (B,), TransferKind.RETURN, at(day + 1)),
        ):
            step = _follow(state, event)
            state = step.state
            told += [(out.status, out.revision) for out in step.outputs if isinstance(out, Alert)]
    assert told == [("transferred", 2), ("raised", 3), ("transferred", 4), ("raised", 5)]


def test_how_old_the_news_is_counts_from_what_was_handed_over_else_from_the_event() -> None:
    recent = with_patient(REACTION[2], B)
    step = _follow(_after(*REACTION[:2]), _handed_over(recent, received_at=at(14, 9)))
    assert [out.timeliness for out in step.outputs if isinstance(out, Alert)] == ["live"]
    late = _follow(_after(*REACTION[:2]), _handed_over(recent, received_at=at(30)))
    assert [out.timeliness for out in late.outputs if isinstance(out, Alert)] == ["late"]


def test_a_verdict_that_comes_back_reaches_a_record_of_which_nothing_else_can_be_told() -> None:
    """The drug is known under the survivor alone, the skin under the record that goes back."""
    skin = present(FindingCode.RASH, at(14))
    stub = _with(_after(skin), into=B)
    returned = Transferred(A, (B,), TransferKind.RETURN, at(20))
    assert _follow(stub, returned).outputs == ()
    confirmed = ClinicianVerdict(Judgement.CONFIRMED, (skin.version.key,), Tier.WARNING)
    step = _follow(stub, replace(returned, told=Published(verdicts=(confirmed,))))
    assert step.state.published.verdicts == (confirmed,)
    told = [(out.status, out.tier) for out in step.outputs if isinstance(out, Alert)]
    assert told == [(AlertStatus.RAISED, "warning")]
