"""Steps: which function of the engine an event of a patient goes to."""

from typing import Final

from pv_stream.domain.codes import DeadLetterCode
from pv_stream.domain.events import AlertActed, FactArrived, IdentityEvent
from pv_stream.domain.published import PatientState
from pv_stream.domain.times import Instant
from pv_stream.engine.actions import act
from pv_stream.engine.advance import advance
from pv_stream.engine.merge import Step, follow, forward
from pv_stream.rules.rulebook import Rulebook

PatientEvent = FactArrived | AlertActed | IdentityEvent
_ABOUT_ONE_PATIENT: Final = (FactArrived, AlertActed)


def step(
    state: PatientState, event: PatientEvent, *, shard_clock: Instant | None, rulebook: Rulebook
) -> Step:
    """Return what an event does to the state of its patient; a stub forwards what it cannot hold any more."""
    if not isinstance(event, _ABOUT_ONE_PATIENT):
        return follow(state, event, shard_clock=shard_clock, rulebook=rulebook)
    if state.lineage.into is not None:
        return Step(state, events=(forward(state, event),))
    if isinstance(event, FactArrived):
        return Step(*advance(state, event, shard_clock=shard_clock, rulebook=rulebook))
    taken = act(state, event, shard_clock=shard_clock, rulebook=rulebook)
    return Step(state, refused=taken) if isinstance(taken, DeadLetterCode) else Step(*taken)
