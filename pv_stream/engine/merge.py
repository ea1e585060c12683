"""Merge: what identity events do to the state of one patient record. Pure.

A prior answers its merge by handing all it has to the survivor and becomes a stub that forwards what comes later; the
survivor takes it, tells of it, and confirms; only then the prior's alerts end. An unmerge runs the other way: what
arrived under the prior's id goes back, and the survivor lets go of it when the prior has confirmed. Records between
patients are events of the one input log. Nothing here knows shards, bytes or how they travel.

A cycle of merges that crossed on their way is broken at the member with the smallest id, which becomes the survivor:
whatever travels in the cycle comes past it, so the outcome does not depend on which record came first.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import assert_never

from pv_stream.domain.codes import DeadLetterCode, TransferKind
from pv_stream.domain.events import (
    Absorbed,
    Absorbs,
    AlertActed,
    FactArrived,
    IdentityEvent,
    Received,
    Separated,
    Transferred,
)
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.lineage import Lineage
from pv_stream.domain.often_built import often_built
from pv_stream.domain.outputs import AlertStatus, Cause, Output
from pv_stream.domain.published import PatientState, Published, join_days
from pv_stream.domain.times import Instant
from pv_stream.engine import telling
from pv_stream.engine.actions import act
from pv_stream.engine.advance import advance, fire_due_before
from pv_stream.engine.assess import assess
from pv_stream.engine.decisions import alert_lines
from pv_stream.engine.diff import diff, next_due
from pv_stream.engine.inheritance import acknowledgements_of, hand_over, take_over
from pv_stream.engine.origins import facts_from, let_go, take_in
from pv_stream.engine.relevance import must_assess, relevance_after
from pv_stream.engine.telling import Occasion
from pv_stream.engine.thin import thin_merged
from pv_stream.rules import reasons
from pv_stream.rules.rulebook import Rulebook


@often_built
@dataclass(frozen=True, slots=True)
class Step:
    """Hold what an identity event does: the state, what is told, what goes to other patients, or a refusal."""

    state: PatientState
    outputs: tuple[Output, ...] = ()
    events: tuple[IdentityEvent, ...] = ()
    refused: DeadLetterCode | None = None


@dataclass(frozen=True, slots=True)
class _Scene:
    """Hold whose state meets an event, when, and under which rulebook."""

    patient_id: PatientId
    as_of: Instant
    shard_clock: Instant | None
    rulebook: Rulebook

    def occasion(
        self, state: PatientState, *, effective: Instant, replaced: Iterable[FactKey] = ()
    ) -> Occasion:
        """Return the occasion of telling what a merge or an unmerge made known."""
        return Occasion(
            patient_id=self.patient_id,
            as_of=self.as_of,
            cause=Cause.MERGE,
            effective=effective,
            known_at=self.as_of,
            facts=state.facts,
            replaced=frozenset(replaced),
            rulebook=self.rulebook,
            incomplete=state.published.incomplete is not None,
        )


def follow(
    state: PatientState, event: IdentityEvent, *, shard_clock: Instant | None, rulebook: Rulebook
) -> Step:
    """Return what follows from an identity event for the patient record that it is addressed to."""
    known = [instant for instant in (shard_clock, state.clock, event.received_at) if instant is not None]
    scene = _Scene(event.patient_id, Instant(max(known)), shard_clock, rulebook)
    match event:
        case Absorbed():
            return _absorbed(state, event, scene)
        case Absorbs():
            return _absorbs(state, event, scene)
        case Separated():
            return _separated(state, event, scene)
        case Transferred():
            return _transferred(state, event, scene)
        case Received():
            return _received(state, event, scene)
        case _:
            assert_never(event)


def forward(state: PatientState, event: FactArrived | AlertActed) -> Transferred:
    """Return the record by which a stub hands a later record of its own to the survivor."""
    assert state.lineage.into is not None
    return Transferred(
        patient_id=state.lineage.into,
        path=(event.patient_id,),
        kind=TransferKind.RECORD,
        received_at=event.received_at,
        facts=(event,) if isinstance(event, FactArrived) else (),
        action=event if isinstance(event, AlertActed) else None,
    )


# Merging: the prior -----------------------------------------------------------------------------------------------


def _absorbed(state: PatientState, event: Absorbed, scene: _Scene) -> Step:
    """Hand everything to the survivor and become a stub; the alerts stay open until the survivor has confirmed."""
    lineage, survivor = state.lineage, event.survivor
    if lineage.into == survivor:
        return Step(state)
    if survivor == event.patient_id or survivor in lineage.absorbed_ids:
        return Step(state, refused=DeadLetterCode.MERGE_CYCLE)
    if lineage.into is not None:
        return Step(state, refused=DeadLetterCode.MERGE_CONFLICT)
    state, fired = fire_due_before(event.patient_id, state, scene.as_of, scene.rulebook)
    gone = frozenset(below for prior in lineage.leaving for below in lineage.family_of(prior))
    absorbed = tuple(pair for pair in lineage.absorbed if pair[0] not in gone)
    family = frozenset({event.patient_id, *(prior for prior, _ in absorbed)})
    transfer = Transferred(
        patient_id=survivor,
        path=(event.patient_id,),
        kind=TransferKind.STATE,
        received_at=scene.as_of,
        facts=facts_from(event.patient_id, state.facts, lineage, family),
        absorbed=tuple(sorted((*absorbed, (event.patient_id, survivor)))),
        told=state.published,
    )
    # Until the survivor has confirmed nothing is forgotten, and nothing ends by time alone.
    stub = replace(state, clock=scene.as_of, due=None, lineage=replace(lineage, into=survivor))
    return Step(stub, fired, (transfer,))


def _received(state: PatientState, event: Received, scene: _Scene) -> Step:
    """Fall silent about what another record has taken over, or let go of what went back."""
    if event.kind is TransferKind.RETURN:
        return _let_go(state, event.taker, scene)
    if state.lineage.into is None:
        return Step(state)
    outputs: list[Output] = []
    occasion = replace(scene.occasion(state, effective=scene.as_of), survivor=event.taker)
    published = hand_over(state.published, occasion, outputs)
    # Of a transfer that began to come here the rest is still to be passed on.
    lineage = Lineage(into=state.lineage.into, coming=state.lineage.coming)
    stub = PatientState(published=published, clock=scene.as_of, lineage=lineage)
    return Step(stub, tuple(outputs))


# Merging: the survivor --------------------------------------------------------------------------------------------


def _absorbs(state: PatientState, event: Absorbs, scene: _Scene) -> Step:
    """Remember who is to come, so that a merge the other way round is known to be a cycle."""
    lineage = state.lineage
    known = event.prior in lineage.absorbed_ids or event.prior == event.patient_id
    if known or lineage.into is not None:
        return Step(state)
    absorbed = tuple(sorted((*lineage.absorbed, (event.prior, event.patient_id))))
    announced = replace(state, lineage=replace(lineage, absorbed=absorbed), clock=scene.as_of)
    return Step(announced)


def _transferred(state: PatientState, event: Transferred, scene: _Scene) -> Step:
    """Take what another record hands over; as a stub, or for a prior that was given back, pass it on."""
    lineage, here = state.lineage, event.patient_id
    if event.kind is TransferKind.RETURN:
        return _take_state(state, event, scene)
    for prior in lineage.leaving:
        if not lineage.family_of(prior).isdisjoint(event.path):
            return _passed_on(state, event, prior, event.path)
    refused = None
    if lineage.into is not None:
        if lineage.into not in event.path or here != _breaker(event.path, here, lineage.into):
            return _passed_on(state, event, lineage.into, (*event.path, here))
        state, refused = _unstubbed(state), DeadLetterCode.MERGE_CYCLE
    step = (
        _take_record(state, event, scene)
        if event.kind is TransferKind.RECORD
        else _take_state(state, event, scene)
    )
    return replace(step, refused=step.refused or refused)


def _passed_on(state: PatientState, event: Transferred, to: PatientId, path: tuple[PatientId, ...]) -> Step:
    """Pass a transfer on; chunks count from behind those that were taken here, which went on before with the state."""
    giver, lineage = event.path[0], state.lineage
    taken = lineage.next_chunk_of(giver) - 1
    if event.kind is TransferKind.RECORD or event.chunk <= taken:
        taken = 0
    if event.kind is TransferKind.STATE and (event.chunk == 1 or event.is_last):
        # It begins anew, and nothing of it was taken here; or it is over, and no later one goes on from it.
        lineage = lineage.awaiting(giver, None)
    passed = replace(event, patient_id=to, path=path, chunk=event.chunk - taken, chunks=event.chunks - taken)
    return Step(state if lineage is state.lineage else replace(state, lineage=lineage), events=(passed,))


def _breaker(path: tuple[PatientId, ...], here: PatientId, into: PatientId) -> PatientId:
    """Return the member at which a cycle is broken."""
    return min((*path[path.index(into) :], here))


def _unstubbed(state: PatientState) -> PatientState:
    return replace(state, lineage=replace(state.lineage, into=None), due=next_due(state.published))


def _take_record(state: PatientState, event: Transferred, scene: _Scene) -> Step:
    """Take one later record of a prior, as if it had come here; it keeps its origin."""
    if event.action is None:
        (arrived,) = event.facts
        advanced, outputs = advance(
            state,
            replace(arrived, patient_id=event.patient_id),
            shard_clock=scene.shard_clock,
            rulebook=scene.rulebook,
            origin=arrived.patient_id,
        )
        return Step(advanced, outputs)
    taken = act(
        state,
        _as_own(state.published, event.action, event.patient_id),
        shard_clock=scene.shard_clock,
        rulebook=scene.rulebook,
    )
    return Step(state, refused=taken) if isinstance(taken, DeadLetterCode) else Step(*taken)


def _as_own(told: Published, action: AlertActed, patient_id: PatientId) -> AlertActed:
    """Return an action on a prior's alert as one on the alert in which that goes on."""
    for _, line in alert_lines(told).values():
        if action.alert_id in line.continues:
            seen = min(action.seen_revision, line.revision)
            return replace(action, patient_id=patient_id, alert_id=line.alert_id, seen_revision=seen)
    return replace(action, patient_id=patient_id)


def _take_state(state: PatientState, event: Transferred, scene: _Scene) -> Step:
    """Join what was handed over; with its last chunk tell what that means, and confirm.

    A chunk behind one that could not be taken is refused: the giver keeps all until all was taken.
    """
    giver, returned = event.path[0], event.kind is TransferKind.RETURN
    if event.chunk not in {1, state.lineage.next_chunk_of(giver)}:
        return Step(state, refused=DeadLetterCode.TRANSFER_INCOMPLETE)
    state, fired = fire_due_before(event.patient_id, state, scene.as_of, scene.rulebook)
    state = _joined(state, event, scene)
    following = None if event.is_last else event.chunk + 1
    state = replace(state, lineage=state.lineage.awaiting(giver, following))
    if not event.is_last:
        return Step(state, fired)
    state, told = (
        _told_again(_unstubbed(state), event, scene) if returned else _taken_over(state, event, scene)
    )
    confirmed = Received(giver, event.patient_id, event.kind, scene.as_of)
    events = () if giver == event.patient_id else (confirmed,)
    return Step(replace(state, due=next_due(state.published)), (*fired, *told), events)


def _joined(state: PatientState, event: Transferred, scene: _Scene) -> PatientState:
    here = event.patient_id
    facts, lineage = take_in(here, state.facts, state.lineage, event.facts)
    tree = dict(lineage.absorbed) | {prior: into for prior, into in event.absorbed if prior != here}
    relevance = state.relevance
    for arrived in event.facts:
        relevance = relevance_after(relevance, arrived.version.statement.content, facts, scene.rulebook)
    thinned = () if event.told is None else event.told.thinned
    joined = replace(
        state,
        facts=facts,
        published=replace(state.published, thinned=join_days(state.published.thinned, thinned)),
        lineage=replace(lineage, absorbed=tuple(sorted(tree.items()))),
        clock=scene.as_of,
        relevance=relevance,
        rulebook=scene.rulebook.digest,
    )
    return thin_merged(joined, scene.rulebook)


def _taken_over(
    state: PatientState, event: Transferred, scene: _Scene
) -> tuple[PatientState, tuple[Output, ...]]:
    """Take over what was told of a prior, and tell what all facts together mean."""
    prior = Published() if event.told is None or event.path[0] == event.patient_id else event.told
    if prior.is_empty and prior.incomplete is None and not must_assess(state, scene.rulebook):
        return state, ()
    verdicts = tuple(dict.fromkeys((*state.published.verdicts, *prior.verdicts)))
    assessment = assess(state.facts, scene.rulebook, verdicts)
    occasion = scene.occasion(state, effective=_latest(event, scene))
    occasion = replace(occasion, incomplete=occasion.incomplete or prior.incomplete is not None)

    def tell(told: Published) -> tuple[Published, tuple[Output, ...]]:
        outputs: list[Output] = []
        noted = replace(occasion, acknowledgements=told.acknowledgements, thinned=told.thinned)
        taken, lines = take_over(told, prior, assessment, noted, outputs)
        taken, more = diff(taken, assessment, replace(noted, inherited=lines))
        return taken, (*outputs, *more)

    published, outputs = tell(state.published)
    noted = acknowledgements_of(published, prior)
    if noted:
        # Which alerts go on in which is known only now: tell it with what people took note of before.
        own = state.published.acknowledgements
        published, outputs = tell(replace(state.published, acknowledgements=(*own, *noted)))
    return replace(state, published=published), outputs


def _latest(event: Transferred, scene: _Scene) -> Instant:
    """Return the latest clinical time among what was handed over: how old the news is counts from there."""
    return max((each.version.statement.effective.latest for each in event.facts), default=scene.as_of)


# Separating -------------------------------------------------------------------------------------------------------


def _separated(state: PatientState, event: Separated, scene: _Scene) -> Step:
    """Give back what came from a prior; it is let go of when the prior has confirmed, never before."""
    lineage, prior = state.lineage, event.prior
    if lineage.into is not None:
        if event.patient_id in event.path:
            return Step(state, refused=DeadLetterCode.MERGE_CYCLE)
        path = (*event.path, event.patient_id)
        return Step(state, events=(replace(event, patient_id=lineage.into, path=path),))
    if prior in lineage.leaving:
        return Step(state)
    if prior not in lineage.absorbed_ids:
        return Step(state, refused=DeadLetterCode.NOT_MERGED)
    family = lineage.family_of(prior)
    facts = facts_from(event.patient_id, state.facts, lineage, family)
    keys = {each.version.key for each in facts}
    verdicts = tuple(each for each in state.published.verdicts if keys.issuperset(each.evidence))
    returned = Transferred(
        patient_id=prior,
        path=(event.patient_id,),
        kind=TransferKind.RETURN,
        received_at=scene.as_of,
        facts=facts,
        absorbed=tuple(pair for pair in lineage.absorbed if pair[0] in family and pair[0] != prior),
        told=Published(verdicts=verdicts, thinned=state.published.thinned),
    )
    leaving = tuple(sorted((*lineage.leaving, prior)))
    kept = replace(state, lineage=replace(lineage, leaving=leaving), clock=scene.as_of)
    return Step(kept, events=(returned,))


def _told_again(
    state: PatientState, event: Transferred, scene: _Scene
) -> tuple[PatientState, tuple[Output, ...]]:
    """Tell anew of a prior that has its facts back: a tier may have fallen, since what it rested on is less."""
    outputs: list[Output] = []
    published = state.published
    occasion = scene.occasion(state, effective=_latest(event, scene), replaced=state.facts)
    if published.incomplete is not None and published.incomplete.status is AlertStatus.TRANSFERRED:
        line = published.incomplete.revised(AlertStatus.RAISED, published.incomplete.tier)
        outputs.append(telling.system_alert(occasion, line, reasons.INCOMPLETE))
        published = replace(published, incomplete=line)
    verdicts = () if event.told is None else event.told.verdicts
    published = replace(published, verdicts=tuple(dict.fromkeys((*published.verdicts, *verdicts))))
    if not must_assess(replace(state, published=published), scene.rulebook):
        return replace(state, published=published), tuple(outputs)
    assessment = assess(state.facts, scene.rulebook, published.verdicts)
    published, told = diff(published, assessment, occasion)
    return replace(state, published=published), (*outputs, *told)


def _let_go(state: PatientState, prior: PatientId, scene: _Scene) -> Step:
    """Let go of what a prior has back, and withdraw what was told on it."""
    here, lineage = scene.patient_id, state.lineage
    if prior not in lineage.leaving:
        return Step(state)
    state, fired = fire_due_before(here, state, scene.as_of, scene.rulebook)
    family = lineage.family_of(prior)
    touched = [key for key, parts in lineage.parts.items() if any(origin in family for origin, _ in parts)]
    facts, lineage = let_go(here, state.facts, lineage, family)
    lineage = replace(
        lineage,
        absorbed=tuple(pair for pair in lineage.absorbed if pair[0] not in family),
        leaving=tuple(each for each in lineage.leaving if each != prior),
    )
    state = replace(state, facts=facts, lineage=lineage, clock=scene.as_of)
    if not must_assess(state, scene.rulebook):
        return Step(state, fired)
    occasion = scene.occasion(state, effective=scene.as_of, replaced=touched)
    assessment = assess(facts, scene.rulebook, state.published.verdicts)
    published, told = diff(state.published, assessment, occasion)
    # One that waits for its own survivor to confirm ends nothing by time, as `_absorbed` says.
    due = next_due(published) if lineage.into is None else None
    return Step(replace(state, published=published, due=due), (*fired, *told))
