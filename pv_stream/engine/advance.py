"""Advance: one record through one patient. Composes join, assess, match and diff, once per record.

What is due (the closing of an episode) fires at its own instant, before the record that revealed it. An instant
that was already past when it became due waits for the next clock record, so that a backlog reads like the day
itself. Time is only ever taken from the log: the shard's clock and the record's own `received_at`.
"""

from dataclasses import replace

from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Fact, FactVersion, Retracted, Statement
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.outputs import Cause, Output
from pv_stream.domain.published import PatientState
from pv_stream.domain.times import Instant
from pv_stream.engine import diff as telling_diff
from pv_stream.engine.assess import assess
from pv_stream.engine.believe import believe
from pv_stream.engine.diff import close_due, next_due
from pv_stream.engine.join import join
from pv_stream.engine.origins import remember
from pv_stream.engine.relevance import must_assess, relevance_after
from pv_stream.engine.telling import Occasion
from pv_stream.engine.thin import thin
from pv_stream.rules.rulebook import Rulebook

Advanced = tuple[PatientState, tuple[Output, ...]]


def advance(  # noqa: PLR0913 - one record, and all that it may meet
    state: PatientState,
    event: FactArrived,
    *,
    shard_clock: Instant | None,
    rulebook: Rulebook,
    use_relevance: bool = True,
    origin: PatientId | None = None,
) -> Advanced:
    """Return the state and the outputs after one event; an exact duplicate changes nothing.

    `facts` of the given state is not changed. `use_relevance=False` assesses always: same outputs, slower. `origin`
    is the patient id under which the event came when that is not its own, as after a merge.
    """
    version = believe(event.version, rulebook)
    if origin is not None or state.lineage.parts:
        lineage = remember(state, event, origin or event.patient_id, version)
        if lineage is not state.lineage:
            state = replace(state, lineage=lineage)
    joined = join(state.facts, version)
    if joined is None:
        return state, ()
    as_of = _latest(event.received_at, state.clock, shard_clock)
    state, fired = fire_due_before(event.patient_id, state, as_of, rulebook)
    before = state.facts.get(version.key)
    state = _with_fact(state, version, joined, as_of, rulebook)
    if before is None and len(state.facts) > rulebook.parameters.values_per_code_day_max.value:
        state = thin(state, version, rulebook)
        if version.key not in state.facts:
            return state, fired
    if use_relevance and not must_assess(state, rulebook):
        return state, fired
    cause, replaced = _cause(before, joined, version)
    occasion = Occasion(
        patient_id=event.patient_id,
        as_of=as_of,
        cause=cause,
        effective=version.statement.effective.latest,
        known_at=as_of,
        facts=state.facts,
        replaced=replaced,
        rulebook=rulebook,
        incomplete=state.published.incomplete is not None,
    )
    assessment = assess(state.facts, rulebook, state.published.verdicts)
    published, outputs = telling_diff.diff(state.published, assessment, occasion)
    return replace(state, published=published, due=next_due(published)), fired + outputs


def fire_due(patient_id: PatientId, state: PatientState, now: Instant, rulebook: Rulebook) -> Advanced:
    """Return the state and the outputs after the first thing due, at its own instant or the patient's clock."""
    assert state.due is not None
    as_of = state.due if state.clock is None else Instant(max(state.due, state.clock))
    return _fire(patient_id, state, state.due, as_of, now, rulebook, after=None)


def _fire(  # noqa: PLR0913 - three instants that must not be mistaken for each other
    patient_id: PatientId,
    state: PatientState,
    due: Instant,
    as_of: Instant,
    now: Instant,
    rulebook: Rulebook,
    *,
    after: Instant | None,
) -> Advanced:
    occasion = Occasion(
        patient_id=patient_id,
        as_of=as_of,
        cause=Cause.CLOCK,
        effective=due,
        known_at=now,
        facts=state.facts,
        replaced=frozenset(),
        rulebook=rulebook,
        incomplete=state.published.incomplete is not None,
    )
    published, outputs = close_due(state.published, occasion, after=after)
    return replace(state, published=published, clock=as_of, due=next_due(published)), outputs


def mark_incomplete(
    patient_id: PatientId,
    state: PatientState,
    as_of: Instant,
    rulebook: Rulebook,
    reason: str,
) -> Advanced:
    """Return the state and the outputs after a record of this patient could not be used."""
    occasion = Occasion(
        patient_id=patient_id,
        as_of=as_of,
        cause=Cause.EVENT,
        effective=as_of,
        known_at=as_of,
        facts=state.facts,
        replaced=frozenset(),
        rulebook=rulebook,
        incomplete=True,
    )
    published, outputs = telling_diff.tell_incomplete(state.published, occasion, reason)
    return replace(state, published=published), outputs


def fire_due_before(
    patient_id: PatientId, state: PatientState, as_of: Instant, rulebook: Rulebook
) -> tuple[PatientState, tuple[Output, ...]]:
    """Fire what fell due since the patient was last heard of; what was past before that waits for the clock."""
    outputs: tuple[Output, ...] = ()
    while state.due is not None and state.clock is not None:
        clock = state.clock
        due = next_due(state.published, after=clock)
        if due is None or due > as_of:
            break
        state, fired = _fire(patient_id, state, due, due, as_of, rulebook, after=clock)
        outputs += fired
    return state, outputs


def _latest(received_at: Instant, clock: Instant | None, shard_clock: Instant | None) -> Instant:
    if clock is not None and clock > received_at:
        received_at = clock
    return received_at if shard_clock is None or shard_clock < received_at else shard_clock


def _cause(old: Fact | None, joined: Fact, version: FactVersion) -> tuple[Cause, frozenset[FactKey]]:
    """Say what the record did: a version replaced by other content is a correction or a retraction."""
    if old is None or joined.order == old.order or _contents(old) == _contents(joined):
        return Cause.EVENT, frozenset()
    cause = Cause.RETRACTION if isinstance(version.statement.content, Retracted) else Cause.CORRECTION
    return cause, frozenset({version.key})


def _contents(fact: Fact) -> tuple[Statement, ...]:
    return tuple(statement for statement, _ in fact.statements)


def _with_fact(
    state: PatientState,
    version: FactVersion,
    joined: Fact,
    as_of: Instant,
    rulebook: Rulebook,
) -> PatientState:
    facts = {**state.facts, version.key: joined}
    relevance = relevance_after(state.relevance, version.statement.content, facts, rulebook)
    return state.after_fact(facts, as_of, relevance, rulebook.digest)
