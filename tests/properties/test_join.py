"""Law 1: facts are a join-semilattice, ties with different content included."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from pv_stream.domain.codes import Analyte, FindingCode, HoldCode, Presence, ReviewReason, Status
from pv_stream.domain.facts import (
    Content,
    Fact,
    FactVersion,
    Finding,
    Held,
    Measurement,
    Provenance,
    Retracted,
    Review,
    Statement,
    VersionOrder,
)
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import exactly
from pv_stream.engine.join import join, join_fact
from tests.builders import at, sha256

KEY = FactKey("lab:1")
SENT = (Status.PRELIMINARY, Status.FINAL, Status.CORRECTED, Status.RETRACTED)

contents: st.SearchStrategy[Content] = st.sampled_from(
    (
        Measurement(Analyte.EOSINOPHILS, Decimal(1690)),
        Measurement(Analyte.EOSINOPHILS, Decimal(169)),
        Measurement(Analyte.LEUKOCYTES, Decimal(1690)),
        Finding(FindingCode.RASH, Presence.PRESENT),
        Held(HoldCode.MISSING_UNIT, sha256("x")),
        Held(HoldCode.MISSING_TIME, sha256("x")),
        Retracted(),
    )
)
statements = st.builds(
    Statement, contents, st.sampled_from((exactly(at(0)), exactly(at(1)))), st.sampled_from((0, 60))
)
provenances = st.builds(
    Provenance,
    st.sampled_from((at(2), at(3))),
    st.sampled_from((sha256("a"), sha256("b"))),
    st.sampled_from(("OBX[1]", "OBX[2]")),
    st.just("hl7v2"),
)
reviews = st.builds(
    Review, st.sampled_from(("actor_1", "actor_2")), st.sampled_from(ReviewReason), st.booleans()
)
orders = st.builds(VersionOrder, st.integers(0, 1), st.sampled_from(SENT), issued_at=st.integers(0, 1))
sent_versions = st.builds(
    FactVersion,
    st.just(KEY),
    orders,
    statements,
    provenances,
)


def _resolution(
    order: VersionOrder, statement: Statement, provenance: Provenance, review: Review
) -> FactVersion:
    """Return a person's decision as the decoder gives it: ranked by when it was received."""
    order = replace(order, reviewed_at=provenance.received_at)
    return FactVersion(KEY, order, statement, replace(provenance, review=review))


resolutions = st.builds(_resolution, orders, statements, provenances, reviews)
versions = sent_versions | resolutions
facts = st.lists(versions, min_size=1, max_size=5).map(lambda said: _joined(None, said))


def _joined(fact: Fact | None, said: list[FactVersion]) -> Fact:
    for version in said:
        fact = join_fact(fact, version)
    assert fact is not None
    return fact


def _said(statement: Statement) -> object:
    """What is taken back, and what is held for its time, holds at no time of its own."""
    match statement.content:
        case Retracted() | Held(code=HoldCode.MISSING_TIME):
            return statement.content
        case _:
            return statement


def _join(one: Fact, other: Fact) -> Fact:
    """Join two facts: every version that stands in the other joins the one."""
    return _joined(one, [FactVersion(KEY, other.order, s, p) for s, p in other.statements])


@given(facts, facts)
def test_joining_is_commutative(one: Fact, other: Fact) -> None:
    assert _join(one, other) == _join(other, one)


@given(facts, facts, facts)
def test_joining_is_associative(one: Fact, other: Fact, third: Fact) -> None:
    assert _join(_join(one, other), third) == _join(one, _join(other, third))


@given(facts)
def test_joining_is_idempotent(fact: Fact) -> None:
    assert _join(fact, fact) == fact


@given(
    st.lists(versions, min_size=1, max_size=6).flatmap(
        lambda said: st.tuples(st.just(said), st.permutations(said))
    )
)
def test_versions_give_the_same_fact_in_any_order(said: tuple[list[FactVersion], list[FactVersion]]) -> None:
    assert _joined(None, said[0]) == _joined(None, said[1])


@given(st.lists(versions, min_size=1, max_size=6))
def test_the_highest_version_stands_and_every_content_of_it(said: list[FactVersion]) -> None:
    fact = _joined(None, said)
    highest = max(version.order for version in said)
    assert fact.order == highest
    assert {_said(s) for s, _ in fact.statements} == {_said(v.statement) for v in said if v.order == highest}
    assert len({_said(s) for s, _ in fact.statements}) == len(fact.statements)


@given(st.lists(versions, min_size=1, max_size=6))
def test_of_equal_contents_the_smallest_provenance_stands(said: list[FactVersion]) -> None:
    fact = _joined(None, said)
    for statement, provenance in fact.statements:
        equal = [v for v in said if v.order == fact.order and _said(v.statement) == _said(statement)]
        same = [v.provenance for v in equal]
        assert provenance == min(same)


@given(st.lists(versions, min_size=1, max_size=6), st.data())
def test_what_was_joined_before_changes_nothing(said: list[FactVersion], data: st.DataObject) -> None:
    known = {KEY: _joined(None, said)}
    assert join(known, data.draw(st.sampled_from(said))) is None


@given(versions)
def test_the_envelope_is_no_content(version: FactVersion) -> None:
    later = replace(
        version, provenance=replace(version.provenance, received_at=at(9), message_digest=sha256("z"))
    )
    fact = _joined(None, [version, later])
    assert not fact.is_conflicting
    assert fact == _joined(None, [version])


@given(st.lists(versions, min_size=1, max_size=6), resolutions)
def test_a_decision_stands_until_a_higher_version_or_a_later_decision(
    said: list[FactVersion], decision: FactVersion
) -> None:
    fact = _joined(None, [*said, decision])
    settled = (decision.order.source_version, decision.order.status)
    beaten = [
        version
        for version in said
        if (version.order.source_version, version.order.status) > settled
        or (version.provenance.review is not None and version.order > decision.order)
        or (settled[1] is Status.CORRECTED and version.order.issued_at > decision.order.issued_at)
    ]
    assert (_said(decision.statement) in {_said(statement) for statement, _ in fact.statements}) or beaten


@given(statements, statements, provenances, reviews, reviews)
def test_of_two_decisions_the_later_counts_and_a_tie_conflicts(
    one: Statement, other: Statement, provenance: Provenance, first: Review, second: Review
) -> None:
    settled = VersionOrder(0, Status.FINAL)
    early = _resolution(settled, one, replace(provenance, received_at=at(2)), first)
    late = _resolution(settled, other, replace(provenance, received_at=at(3)), second)
    assert [statement for statement, _ in _joined(None, [late, early]).statements] == [other]
    tied = _resolution(settled, one, late.provenance, first)
    assert _joined(None, [late, tied]).is_conflicting == (_said(one) != _said(other))
