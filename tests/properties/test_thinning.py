"""Law 8 beside law 1: above the cap, too, the same values are kept in whatever order they come, and by whatever merges.

The caps are small here, so that a story of a dozen events is above them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from pv_stream.domain.codes import Analyte
from pv_stream.domain.events import FactArrived
from pv_stream.domain.published import PatientState
from pv_stream.domain.times import MICROSECONDS_PER_DAY
from pv_stream.engine.advance import advance
from pv_stream.engine.assess import assess
from pv_stream.rules.rulebook import Count, Rulebook
from pv_stream.shard.fold import ShardFold
from tests.builders import RULEBOOK, at, measured, retracted, sha256
from tests.merging import merge, of
from tests.properties.strategies import stories, unhurried
from tests.shards import fold, hand_over, new_shard, raw

MOST: Final = 3
CROWDED: Final = replace(
    RULEBOOK,
    digest=sha256("crowded"),
    parameters=replace(
        RULEBOOK.parameters,
        values_per_code_day_max=Count(MOST, "here"),
        values_per_code_max=Count(1_000, "here"),
    ),
)

_VALUES: Final = (
    (Analyte.BODY_TEMPERATURE, "36.8"),
    (Analyte.BODY_TEMPERATURE, "38"),
    (Analyte.BODY_WEIGHT, "70"),
)
#: Values of three days, most of them of one, each once: what is kept of versions depends on their order above the cap.
crowds: Final = st.lists(
    st.tuples(st.sampled_from(_VALUES), st.sampled_from((0, 0, 0, 1, 2)), st.integers(0, 24 * 60 - 1)),
    min_size=MOST,
    max_size=14,
    unique_by=lambda drawn: (drawn[0][0], *drawn[1:]),
).map(lambda drawn: [measured(*value, at(day, 0, minute)) for value, day, minute in drawn])


def _lived(
    events: Sequence[FactArrived], rulebook: Rulebook = CROWDED, *, use_relevance: bool = True
) -> PatientState:
    state = PatientState()
    for sent in events:
        state, _ = advance(state, sent, shard_clock=None, rulebook=rulebook, use_relevance=use_relevance)
    return state


def _shard() -> ShardFold:
    return new_shard(rulebook=CROWDED, originate=True)


@given(crowds.flatmap(lambda told: st.tuples(st.just(told), st.permutations([*told, *told[:3]]))))
def test_the_same_values_are_kept_in_any_order_and_the_same_days_are_called_thinned(
    orders: tuple[list[FactArrived], list[FactArrived]],
) -> None:
    told, shuffled = (_lived(order) for order in orders)
    assert told.facts == shuffled.facts
    assert told.published.thinned == shuffled.published.thinned
    assert assess(told.facts, CROWDED) == assess(shuffled.facts, CROWDED)


@given(crowds)
def test_of_each_code_and_day_as_many_are_kept_as_the_cap_allows_and_every_fever(
    told: list[FactArrived],
) -> None:
    state = _lived(told)
    groups: dict[tuple[str, int], list[FactArrived]] = {}
    for sent in told:
        statement = sent.version.statement
        code = "fever" if "38" in repr(statement.content) else sent.version.key.split(":")[1]
        groups.setdefault((code, statement.effective.earliest // MICROSECONDS_PER_DAY), []).append(sent)
    for (code, _), group in groups.items():
        kept = [sent for sent in group if sent.version.key in state.facts]
        assert len(kept) == (len(group) if code == "fever" else min(len(group), MOST))
    is_thinned = any(code != "fever" and len(group) > MOST for (code, _), group in groups.items())
    assert bool(state.published.thinned) is is_thinned


@unhurried
@given(crowds, crowds, st.integers(0, 4))
def test_merged_records_keep_what_one_record_keeps(
    ours: list[FactArrived], theirs: list[FactArrived], merged_after: int
) -> None:
    sent = [*of("patient-a", *ours), *of("patient-b", *theirs)]
    merging = merge("patient-b", "patient-a", at(9))
    shard = _shard()
    fold(raw([*sent[: merged_after * 7], *merging, *sent[merged_after * 7 :]]), shard)
    merged, one = shard.state_of(merging[1].patient_id), _lived([*ours, *theirs])
    assert merged.facts == one.facts
    assert merged.published.thinned == one.published.thinned
    assert merged.lineage.parts.keys() <= merged.facts.keys()


@settings(unhurried, max_examples=settings().max_examples // 9)
@given(stories(acts_max=3), st.lists(crowds, max_size=1), st.data())
def test_a_thinned_patient_is_told_the_same_by_the_index_by_any_run_and_after_a_restore(
    told: list[FactArrived], crowd: list[list[FactArrived]], data: st.DataObject
) -> None:
    values = [sent for each in crowd for sent in each]
    taken_back = [retracted(sent, received_at=at(5)) for sent in values[:2]]
    log = data.draw(st.permutations([*told, *values, *taken_back]))
    with_index = without = PatientState()
    for sent in log:
        with_index, said = advance(with_index, sent, shard_clock=None, rulebook=CROWDED)
        without, all_said = advance(without, sent, shard_clock=None, rulebook=CROWDED, use_relevance=False)
        assert said == all_said
        assert with_index == without
    whole = _shard()
    outputs = fold(raw(log), whole)
    place = data.draw(st.integers(0, len(log)))
    first, second = _shard(), _shard()
    run = first.process(raw(log)[:place])
    pieces = list(run.outputs)
    hand_over(run.states, second)
    pieces += fold(raw(log)[place:], second)
    assert tuple(pieces) == outputs
    if log:
        assert second.state_of(log[0].patient_id) == whole.state_of(log[0].patient_id) == with_index
