"""Laws 1 and 6 over whole patients: the order of arrival and repetition change no final assessment."""

from hypothesis import given
from hypothesis import strategies as st

from pv_stream.domain.events import FactArrived
from pv_stream.domain.published import PatientState
from pv_stream.domain.times import MICROSECONDS_PER_DAY, Instant
from pv_stream.engine.advance import advance
from pv_stream.engine.assess import assess
from pv_stream.rules.plausibility import why_held
from tests.builders import RULEBOOK, facts_of, resent
from tests.properties.strategies import shuffled_stories, stories, unhurried


def _lived(events: list[FactArrived]) -> PatientState:
    state = PatientState()
    for sent in events:
        state, _ = advance(state, sent, shard_clock=None, rulebook=RULEBOOK)
    return state


@unhurried
@given(stories().flatmap(lambda told: st.tuples(st.just(told), st.permutations(told))))
def test_any_order_of_arrival_gives_the_same_facts_and_assessment(
    orders: tuple[list[FactArrived], list[FactArrived]],
) -> None:
    told, shuffled = (facts_of(order) for order in orders)
    assert told == shuffled
    assert assess(told, RULEBOOK) == assess(shuffled, RULEBOOK)


@unhurried
@given(stories().flatmap(lambda told: st.tuples(st.just(told), st.permutations([*told, *told]))))
def test_a_patient_lives_to_the_same_assessment_in_any_order_and_with_every_event_twice(
    orders: tuple[list[FactArrived], list[FactArrived]],
) -> None:
    told, shuffled = (_lived(order).facts for order in orders)
    assert told == shuffled
    assert assess(told, RULEBOOK) == assess(shuffled, RULEBOOK)


@unhurried
@given(shuffled_stories(), st.integers(1, 100))
def test_a_duplicate_tells_nothing_and_changes_nothing(told: list[FactArrived], days: int) -> None:
    state = _lived(told)
    for sent in told:
        again = resent(sent, received_at=Instant(sent.received_at + days * MICROSECONDS_PER_DAY))
        for duplicate in (sent, again) if _is_as_credible(sent, again) else (sent,):
            after, outputs = advance(state, duplicate, shard_clock=None, rulebook=RULEBOOK)
            assert outputs == ()
            assert after is state


def _is_as_credible(sent: FactArrived, again: FactArrived) -> bool:
    """A value that was dated in the future when it came first may be believed when it comes again."""
    statement = sent.version.statement
    held = [
        why_held(statement.content, statement.effective, received_at, RULEBOOK)
        for received_at in (sent.received_at, again.received_at)
    ]
    return held[0] == held[1]


@unhurried
@given(shuffled_stories())
def test_the_relevance_index_leaves_out_no_output(told: list[FactArrived]) -> None:
    with_index = without = PatientState()
    for sent in told:
        with_index, said = advance(with_index, sent, shard_clock=None, rulebook=RULEBOOK)
        without, all_said = advance(without, sent, shard_clock=None, rulebook=RULEBOOK, use_relevance=False)
        assert said == all_said
        assert with_index == without


@unhurried
@given(stories())
def test_assessing_changes_no_fact(told: list[FactArrived]) -> None:
    facts = facts_of(told)
    before = dict(facts)
    assess(facts, RULEBOOK)
    assert facts == before


@unhurried
@given(stories())
def test_the_score_stands_inside_its_interval(told: list[FactArrived]) -> None:
    for episode in assess(facts_of(told), RULEBOOK).episodes:
        totals = [(item.points.worst, item.points.current, item.points.best) for item in episode.score.items]
        assert all(worst <= current <= best for worst, current, best in totals)
        assert -4 <= episode.score.total.worst <= episode.score.total.best <= 9
