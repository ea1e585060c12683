"""Origins: under whose id each fact of a merged patient arrived, so that an unmerge gives back exactly that.

Every key has a part for each patient id that contributed to it, and what the rules see is the join of the parts. A
key without parts is wholly the patient's own, as are all keys of a patient who was never merged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Fact, FactVersion
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.lineage import Lineage, Parts
from pv_stream.domain.published import PatientState
from pv_stream.engine.join import join_fact, join_facts

Facts = dict[FactKey, Fact]


def remember(state: PatientState, event: FactArrived, origin: PatientId, version: FactVersion) -> Lineage:
    """Return the lineage of a patient once a version that arrived under `origin` joins its facts."""
    parts = state.lineage.parts.get(version.key)
    if parts is None and origin == event.patient_id:
        return state.lineage
    changed = _with(parts, event.patient_id, state.facts.get(version.key), origin, version)
    if changed == parts:
        return state.lineage
    return replace(state.lineage, parts={**state.lineage.parts, version.key: changed})


def take_in(
    patient_id: PatientId, facts: Mapping[FactKey, Fact], lineage: Lineage, arrived: Iterable[FactArrived]
) -> tuple[Facts, Lineage]:
    """Return facts and lineage of a patient once facts of other patient ids, and perhaps of its own, have joined."""
    joined, parts = dict(facts), dict(lineage.parts)
    for each in arrived:
        key, version = each.version.key, each.version
        if key in parts or each.patient_id != patient_id:
            parts[key] = _with(parts.get(key), patient_id, joined.get(key), each.patient_id, version)
        joined[key] = join_fact(joined.get(key), version)
    return joined, replace(lineage, parts=parts)


def _with(
    parts: Parts | None, patient_id: PatientId, own: Fact | None, origin: PatientId, version: FactVersion
) -> Parts:
    of: dict[PatientId, Fact] = dict(parts or (() if own is None else ((patient_id, own),)))
    of[origin] = join_fact(of.get(origin), version)
    return tuple(sorted(of.items(), key=lambda part: part[0]))


def let_go(
    patient_id: PatientId,
    facts: Mapping[FactKey, Fact],
    lineage: Lineage,
    family: frozenset[PatientId],
) -> tuple[Facts, Lineage]:
    """Return facts and lineage without what arrived under the ids of a family."""
    left, parts = dict(facts), dict[FactKey, Parts]()
    for key, held in lineage.parts.items():
        rest = tuple(part for part in held if part[0] not in family)
        joined: Fact | None = None
        for _, fact in rest:
            joined = join_facts(joined, fact, key)
        if joined is None:
            del left[key]
            continue
        left[key] = joined
        if any(origin != patient_id for origin, _ in rest):
            parts[key] = rest
    return left, replace(lineage, parts=parts)


def facts_from(
    patient_id: PatientId,
    facts: Mapping[FactKey, Fact],
    lineage: Lineage,
    family: frozenset[PatientId],
) -> tuple[FactArrived, ...]:
    """Return all that arrived under the ids of a family, in order of key and id, each under its own id."""
    return tuple(
        FactArrived(origin, FactVersion(key, fact.order, statement, provenance))
        for key in sorted(facts)
        for origin, fact in lineage.parts.get(key, ((patient_id, facts[key]),))
        if origin in family
        for statement, provenance in fact.statements
    )
