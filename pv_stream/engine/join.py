"""Join: fact versions form a join-semilattice (law 1).

Under one key the version of the highest order stays; versions of equal order with different content all stay; of
equal contents the smallest provenance stays. So joining is commutative, associative and idempotent: duplicates,
late arrivals, corrections before originals and retractions are one mechanism, and nothing late is dropped.

What is taken back, and what is held since its time is not believed, holds at no time of its own: it stands at its
arrival. Such statements are equal whenever they arrived.
"""

from collections.abc import Mapping

from pv_stream.domain.codes import TIME_HOLDS
from pv_stream.domain.facts import Content, Fact, FactVersion, Held, Provenance, Retracted, Statement
from pv_stream.domain.ids import FactKey


def join(facts: Mapping[FactKey, Fact], version: FactVersion) -> Fact | None:
    """Return what stands under the version's key once it is joined, or None when that changes nothing."""
    known = facts.get(version.key)
    joined = join_fact(known, version)
    return None if known is not None and joined == known else joined


def join_fact(fact: Fact | None, version: FactVersion) -> Fact:
    """Return the join of a fact and one more version of it."""
    arrived = (version.statement, version.provenance)
    if fact is None or version.order > fact.order:
        return Fact(version.order, (arrived,))
    if version.order < fact.order or arrived in fact.statements:
        return fact
    return Fact(fact.order, _merge(fact.statements, arrived))


def _merge(
    statements: tuple[tuple[Statement, Provenance], ...],
    arrived: tuple[Statement, Provenance],
) -> tuple[tuple[Statement, Provenance], ...]:
    kept: dict[Statement | Content, tuple[Statement, Provenance]] = {}
    for pair in (*statements, arrived):
        said = _said(pair[0])
        known = kept.get(said)
        kept[said] = pair if known is None else min(known, pair, key=_age)
    # repr is a total order over contents of different kinds, and names every field.
    return tuple(sorted(kept.values(), key=lambda pair: repr(pair[0])))


def _said(statement: Statement) -> Statement | Content:
    """Return what a statement says: of one that holds at no time of its own, only what."""
    content = statement.content
    is_timeless = isinstance(content, Retracted) or (isinstance(content, Held) and content.code in TIME_HOLDS)
    return content if is_timeless else statement


def _age(pair: tuple[Statement, Provenance]) -> tuple[Provenance, str]:
    return pair[1], repr(pair[0])


def join_facts(fact: Fact | None, other: Fact, key: FactKey) -> Fact:
    """Return the join of a fact and all that stands in another one under the same key."""
    joined = fact
    for statement, provenance in other.statements:
        joined = join_fact(joined, FactVersion(key, other.order, statement, provenance))
    assert joined is not None
    return joined
