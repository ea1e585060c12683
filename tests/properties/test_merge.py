"""Merges: in whatever order records arrive and shards deliver, one person's facts come together, and apart again."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Fact
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.times import MICROSECONDS_PER_DAY, Instant
from pv_stream.engine.assess import assess
from tests.builders import RULEBOOK, at
from tests.ledger import Ledger
from tests.merging import PatientEvent, Topic, merge, root_of, separated
from tests.properties.strategies import stories, unhurried
from tests.shards import fold, new_shard, raw

A, B, C, D = "patient-a", "patient-b", "patient-c", "patient-d"
ACTS = 4

Facts = dict[FactKey, Fact]


def _of_one(events: list[FactArrived]) -> Facts:
    """Return the facts of a patient whom no record ever took apart."""
    shard = new_shard()
    fold(raw([replace(sent, patient_id=PatientId(A)) for sent in events]), shard)
    return shard.state_of(PatientId(A)).facts


def _after(events: list[FactArrived], days: int = 0) -> Instant:
    last = max((sent.received_at for sent in events), default=at(0))
    return Instant(last + days * MICROSECONDS_PER_DAY)


def _live(draw: st.DrawFn, sent: list[PatientEvent]) -> Topic:
    """Send events in their order to a topic that delivers between shards whenever it likes."""
    topic = Topic(draw(st.integers(1, 3)))
    for event in sent:
        topic.send(event)
        for _ in range(draw(st.integers(0, 2))):
            if topic.waiting:
                topic.deliver(draw(st.sampled_from(topic.waiting)))
    topic.settle()
    return topic


def _fed(draw: st.DrawFn, told: list[FactArrived], *merges: PatientEvent) -> list[PatientEvent]:
    """Return a feed of facts, in order of arrival or in any, with the records of merges at any place."""
    in_order = sorted(told, key=lambda sent: sent.received_at)
    feed: list[PatientEvent] = list(draw(st.permutations(told)) if draw(st.booleans()) else in_order)
    for record in merges:
        feed.insert(draw(st.integers(0, len(feed))), record)
    return feed


def _checked(topic: Topic) -> None:
    """Hold what was told to the contract: identities, tiers, and that nothing falls silent before it goes on."""
    ledger = Ledger()
    ledger.enter_all(topic.told)
    ledger.settle()


@st.composite
def merged(draw: st.DrawFn) -> tuple[Topic, list[FactArrived]]:
    """Two stories of one person, merged at some point of the feed."""
    every = [*draw(stories(A, ACTS)), *draw(stories(B, ACTS))]
    return _live(draw, _fed(draw, every, *merge(A, B, _after(every)))), every


@unhurried
@given(merged())
def test_two_records_that_are_merged_have_the_facts_of_one_patient(
    case: tuple[Topic, list[FactArrived]],
) -> None:
    topic, every = case
    assert topic.state_of(B).facts == _of_one(every)
    assert topic.state_of(A).facts == {}
    assert topic.state_of(A).due is None


@unhurried
@given(merged())
def test_a_merge_keeps_the_contract_and_an_alert_ends_only_when_it_goes_on(
    case: tuple[Topic, list[FactArrived]],
) -> None:
    _checked(case[0])


@unhurried
@given(merged())
def test_the_log_of_each_shard_gives_the_same_outputs_again(case: tuple[Topic, list[FactArrived]]) -> None:
    topic, _ = case
    for number, log in enumerate(topic.logs):
        shard = new_shard(shard=number, shard_count=len(topic.logs))
        assert list(fold(log, shard)) == topic.outputs[number]


@unhurried
@given(stories(A, ACTS), stories(B, ACTS), stories(C, ACTS), st.data())
def test_merges_chain_forward_in_any_order(
    first: list[FactArrived], second: list[FactArrived], third: list[FactArrived], data: st.DataObject
) -> None:
    every = [*first, *second, *third]
    when = _after(every)

    @st.composite
    def case(draw: st.DrawFn) -> Topic:
        merges = (*merge(A, B, when), *merge(B, C, when), *merge(A, B, when))
        return _live(draw, _fed(draw, every, *merges))

    topic = data.draw(case())
    assert topic.state_of(C).facts == _of_one(every)
    assert topic.state_of(A).facts == topic.state_of(B).facts == {}
    _checked(topic)
    assert not [told for told in topic.told if "code" in told]


@unhurried
@given(
    st.lists(st.sampled_from([(x, y) for x in (A, B, C, D) for y in (A, B, C, D)]), min_size=1, max_size=5),
    st.data(),
)
def test_whatever_merges_cross_no_fact_is_lost_and_none_stands_twice(
    pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    patients = (A, B, C, D)

    @st.composite
    def case(draw: st.DrawFn) -> tuple[Topic, dict[str, list[FactArrived]]]:
        told = {patient: draw(stories(patient, 1)) for patient in patients}
        when = _after([sent for story in told.values() for sent in story])
        merges = [event for pair in pairs for event in merge(*pair, when)]
        every = [sent for story in told.values() for sent in story]
        return _live(draw, _fed(draw, every, *merges)), told

    topic, told = data.draw(case())
    homes: dict[str, list[FactArrived]] = {}
    for patient in patients:
        homes.setdefault(root_of(topic, patient, patients), []).extend(told[patient])
    for patient in patients:
        assert topic.state_of(patient).facts == _of_one(homes.get(patient, []))
    _checked(topic)


@unhurried
@given(stories(A, ACTS), stories(B, ACTS), st.data())
def test_an_unmerge_gives_both_records_back_what_was_theirs(
    first: list[FactArrived], second: list[FactArrived], data: st.DataObject
) -> None:
    every = [*first, *second]

    @st.composite
    def case(draw: st.DrawFn) -> Topic:
        topic = _live(draw, _fed(draw, every, *merge(A, B, _after(every))))
        topic.send(separated(A, B, _after(every, 1)))
        topic.settle()
        return topic

    topic = data.draw(case())
    for patient, story in ((A, first), (B, second)):
        facts = topic.state_of(patient).facts
        assert facts == _of_one(story)
        assert assess(facts, RULEBOOK) == assess(_of_one(story), RULEBOOK)
        assert topic.state_of(patient).lineage.is_empty
    _checked(topic)


@unhurried
@given(stories(A, ACTS), stories(B, ACTS), stories(C, ACTS), st.booleans(), st.data())
def test_a_part_of_a_chain_can_be_taken_out_again(
    first: list[FactArrived],
    second: list[FactArrived],
    third: list[FactArrived],
    whole_branch: bool,  # noqa: FBT001 - hypothesis passes by position
    data: st.DataObject,
) -> None:
    every = [*first, *second, *third]
    when = _after(every)

    @st.composite
    def case(draw: st.DrawFn) -> Topic:
        topic = _live(draw, _fed(draw, every, *merge(A, B, when), *merge(B, C, when)))
        topic.send(separated(B, C, _after(every, 1)) if whole_branch else separated(A, B, _after(every, 1)))
        topic.settle()
        return topic

    topic = data.draw(case())
    if whole_branch:
        assert topic.state_of(B).facts == _of_one([*first, *second])
        assert topic.state_of(C).facts == _of_one(third)
    else:
        assert topic.state_of(A).facts == _of_one(first)
        assert topic.state_of(C).facts == _of_one([*second, *third])
    _checked(topic)


@unhurried
@given(stories(A, ACTS), stories(B, ACTS), st.data())
def test_a_log_without_transfers_gives_what_one_with_them_gives(
    first: list[FactArrived], second: list[FactArrived], data: st.DataObject
) -> None:
    every = [*first, *second]

    @st.composite
    def feed(draw: st.DrawFn) -> list[PatientEvent]:
        mixed = _fed(draw, every, *merge(A, B, _after(every)))
        return [*mixed, separated(A, B, _after(every, 1))] if draw(st.booleans()) else mixed

    sent = data.draw(feed())
    topic = Topic(1)
    for event in sent:
        topic.send(event)
        topic.settle()
    made = fold(raw(sent), new_shard(originate=True))
    assert [(out.stream, out.value) for out in made] == [(out.stream, out.value) for out in topic.outputs[0]]
