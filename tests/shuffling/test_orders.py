"""What may move when a case is shuffled, and what keeps its place."""

import random
from collections.abc import Iterator

import pytest

from pv_stream.domain.events import Absorbed, FactArrived, IdentityEvent, Separated
from tests.builders import RULEBOOK
from tests.scenarios.every_case import CASES, name_of
from tests.shuffling.orders import Sent, Story, shuffled, story_of

DRAWN = 40


def story(name: str) -> Story:
    scenario, case = next(pair for pair in CASES if name_of(*pair) == name)
    return story_of(scenario, case, RULEBOOK)


def orders(of: Story) -> Iterator[list[Sent]]:
    for number in range(DRAWN):
        yield [sent for run in shuffled(of, random.Random(number)) for sent in run.sent]


def facts(sent: list[Sent] | tuple[Sent, ...]) -> set[str]:
    return {each.event.version.key for each in sent if isinstance(each.event, FactArrived)}


@pytest.mark.parametrize(
    "name",
    [
        "verdicts: evidence of a higher tier opens it again under the same ids",
        "separated_patients: merged again after the separation",
        "rulebook_activated: A count at the new threshold alerts, one below does not",
        "records_that_cannot_be_read: an event of a later version",
    ],
)
def test_every_record_comes_and_in_another_order(name: str) -> None:
    of = story(name)
    told = [(type(sent.event), sent.act) for sent in of.told]
    for order in orders(of):
        assert facts(order) == facts(of.told)
        assert {(type(sent.event), sent.act) for sent in order} == set(told)
        assert len(order) >= len(told)
    assert len({tuple(sent.value for sent in order) for order in orders(of)}) == DRAWN


def test_a_verdict_stays_between_what_came_before_it_and_after() -> None:
    of = story("verdicts: evidence of a higher tier opens it again under the same ids")
    place = next(n for n, sent in enumerate(of.told) if sent.is_verdict)
    for order in orders(of):
        verdict = next(n for n, sent in enumerate(order) if sent.is_verdict)
        assert facts(order[:verdict]) == facts(of.told[:place])


def test_an_acknowledgement_comes_at_any_time() -> None:
    of = story("actions: more of the same leaves it acknowledged")
    places = {next(n for n, sent in enumerate(order) if sent.is_note) for order in orders(of)}
    assert len(places) > 10


def test_a_separation_stays_behind_its_merge_and_facts_come_on_any_side() -> None:
    of = story("separated_patients: merged again after the separation")
    told = [type(sent.event) for sent in of.told if isinstance(sent.event, IdentityEvent)]
    first = set()
    for order in orders(of):
        kinds = [type(sent.event) for sent in order if isinstance(sent.event, IdentityEvent)]
        assert kinds.index(Separated) > kinds.index(Absorbed)
        assert [kind for n, kind in enumerate(kinds) if n == 0 or kinds[n - 1] is not kind] == told
        first.add(isinstance(order[0].event, FactArrived))
    assert first == {True, False}


def test_merges_that_exclude_nothing_come_in_any_order() -> None:
    of = story("merged_patients: two merges in a row, whichever came first")
    absorbed = [
        [sent.event.patient_id for sent in order if isinstance(sent.event, Absorbed)] for order in orders(of)
    ]
    assert {tuple(dict.fromkeys(priors)) for priors in absorbed} == {
        ("scenario-patient.er", "scenario-patient.ward"),
        ("scenario-patient.ward", "scenario-patient.er"),
    }
