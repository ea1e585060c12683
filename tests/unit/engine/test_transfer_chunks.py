"""Transfers in chunks: nothing counts as handed over unless all of it came, whichever way the chunks take."""

from dataclasses import replace

import pytest

from pv_stream.domain.codes import Analyte, TransferKind
from pv_stream.domain.events import Received, Transferred
from pv_stream.domain.ids import PatientId
from pv_stream.domain.lineage import Lineage
from pv_stream.domain.published import PatientState
from pv_stream.engine.merge import follow, forward
from pv_stream.shard.crossing import chunks_of
from pv_stream.shard.limits import Limits
from tests.builders import RULEBOOK, at, dose, eosinophils, facts_of, measured, with_patient
from tests.merging import Topic, absorbed, alerts, codes, merge, of, separated
from tests.shards import new_shard

A, B, C = PatientId("patient-a"), PatientId("patient-b"), PatientId("patient-c")
REACTION = (dose("imatinib", at(0)), dose("imatinib", at(7)), eosinophils(1690, at(15)))
WHEN = at(16)
#: A record takes half of these and the reaction.
OWN = tuple(measured(Analyte.ALT, 20, at(1, 8, minute)) for minute in range(50))
ALL = len(REACTION) + len(OWN)
CHUNKED = Limits(record_bytes_max=20_000)


def chunked() -> Topic:
    topic = Topic(1)
    topic.shards[0] = new_shard(limits=CHUNKED)
    return topic


def statuses(topic: Topic, *patients: PatientId) -> list[str]:
    """Return the status of the last alert of each patient record."""
    return [alerts(topic, patient)[-1]["status"] for patient in patients]


@pytest.mark.no_cover
def test_what_is_handed_over_in_parts_counts_only_when_all_of_it_came() -> None:
    """However little room there is, no fact is in nobody's state, and an alert goes on somewhere."""
    filler = [measured(Analyte.AST, 20, at(0, 8, minute)) for minute in range(40)]
    own = [measured(Analyte.ALT, 20, at(1, 8, minute)) for minute in range(40)]
    seen: set[str] = set()
    for room in range(14_000, 30_000, 1_000):
        topic = Topic(1)
        limits = Limits(state_bytes_reserved=100, record_bytes_max=20_000, state_bytes_max=room)
        topic.shards[0] = new_shard(limits=replace(limits, state_bytes_max=100_000))
        topic.send(*of(B, *filler), *of(A, *REACTION, *own))
        keys = topic.state_of(A).facts.keys() | topic.state_of(B).facts.keys()
        topic.limit(limits)
        topic.send(absorbed(A, B, WHEN))
        topic.settle()
        assert topic.state_of(A).facts.keys() | topic.state_of(B).facts.keys() == keys
        assert "raised" in {alerts(topic, each)[-1]["status"] for each in (A, B) if alerts(topic, each)}
        seen |= {code for code, _ in codes(topic)} or {"all of it came"}
    assert seen == {"patient_state_full", "transfer_incomplete", "all of it came"}


def test_parts_that_come_after_a_survivor_was_merged_itself_follow_it() -> None:
    topic = Topic(1)
    topic.shards[0] = new_shard(limits=Limits(record_bytes_max=20_000))
    own = [measured(Analyte.ALT, 20, at(1, 8, minute)) for minute in range(50)]
    topic.send(*of(A, *REACTION, *own), *merge(A, B, WHEN))
    topic.deliver((0, 0))
    assert topic.state_of(B).lineage.coming == ((A, 2),)
    topic.send(*merge(B, C, at(21)))
    topic.settle()
    assert codes(topic) == []
    assert len(topic.state_of(C).facts) == len(REACTION) + len(own)
    assert [topic.state_of(each).lineage.coming for each in (A, B, C)] == [(), (), ()]
    assert [alerts(topic, each)[-1]["status"] for each in (A, C)] == ["transferred", "raised"]


def test_an_unmerge_in_parts_counts_only_when_all_of_it_came() -> None:
    topic = chunked()
    topic.send(*of(A, *REACTION, *OWN), *merge(A, B, WHEN))
    topic.settle()
    topic.send(separated(A, B, at(17)))
    topic.deliver((0, 0))
    assert topic.state_of(A).lineage.coming == ((B, 2),)
    assert topic.state_of(A).lineage.into == B, "it forwards what comes until it has all back"
    assert len(topic.state_of(B).facts) == ALL
    assert statuses(topic, A, B) == ["transferred", "raised"]
    topic.deliver((0, 0))
    assert (len(topic.state_of(A).facts), statuses(topic, A, B)) == (ALL, ["raised", "raised"])
    topic.settle()
    assert statuses(topic, A, B) == ["raised", "withdrawn"]
    assert (topic.state_of(B).facts, codes(topic)) == ({}, [])
    assert (topic.state_of(A).lineage.into, topic.state_of(A).lineage.coming) == (None, ())
    assert topic.state_of(B).lineage.is_empty


@pytest.mark.parametrize("delivered", range(8))
def test_parts_for_a_prior_that_is_given_back_end_there_however_far_they_came(delivered: int) -> None:
    """A was merged into B and is given back while C comes in two parts by way of A."""
    topic = chunked()
    topic.send(*merge(A, B, WHEN))
    topic.settle()
    topic.send(*of(C, *REACTION, *OWN), *merge(C, A, at(17)))
    for _ in range(delivered):
        if topic.waiting:
            topic.deliver((0, 0))
    topic.send(separated(A, B, at(18)))
    topic.settle()
    assert codes(topic) == []
    assert [len(topic.state_of(each).facts) for each in (A, B, C)] == [ALL, 0, 0]
    assert topic.state_of(A).lineage.absorbed == ((C, A),)
    assert topic.state_of(B).lineage.is_empty
    assert statuses(topic, A, C) == ["raised", "transferred"]
    assert [alert["status"] for alert in alerts(topic, B)] in ([], ["raised", "withdrawn"])


def test_of_a_transfer_that_begins_anew_a_stub_passes_on_every_part() -> None:
    """Of an earlier one it took the first part, before it was merged itself; that went on with its state."""
    giver = PatientState(facts=facts_of([*REACTION, *OWN]))
    (whole,) = follow(giver, absorbed(C, A, WHEN), shard_clock=None, rulebook=RULEBOOK).events
    first, last = (
        part for part in chunks_of(whole, record_bytes_max=20_000) if isinstance(part, Transferred)
    )
    stub = PatientState(lineage=Lineage(into=B, coming=((C, 2),)))

    def passed(state: PatientState, part: Transferred) -> tuple[PatientState, tuple[int, int]]:
        step = follow(state, part, shard_clock=None, rulebook=RULEBOOK)
        (event,) = step.events
        assert isinstance(event, Transferred)
        assert (event.patient_id, event.path, event.facts) == (B, (C, A), part.facts)
        return step.state, (event.chunk, event.chunks)

    after, numbers = passed(stub, first)
    assert (numbers, after.lineage.coming) == ((1, 2), ())
    assert passed(after, last) == (after, (2, 2))
    # The rest of the earlier one is a transfer of its own, and with it that is over.
    over, numbers = passed(stub, last)
    assert (numbers, over.lineage.coming) == ((1, 1), ())


def test_a_later_record_passed_on_by_a_stub_ends_no_transfer_that_is_on_its_way() -> None:
    """A record is whole by itself, even where the rest of its giver's transfer is still awaited."""
    stub = PatientState(lineage=Lineage(into=B, coming=((C, 2),)))
    fact = with_patient(eosinophils(1690, at(17)), C)
    late = forward(PatientState(lineage=Lineage(into=A)), fact)
    assert (late.chunk, late.chunks, late.kind) == (1, 1, TransferKind.RECORD)
    step = follow(stub, late, shard_clock=None, rulebook=RULEBOOK)
    assert (step.state, step.events) == (stub, (replace(late, patient_id=B, path=(C, A)),))


def test_a_stub_that_was_taken_over_still_knows_what_it_passes_on_the_rest_of() -> None:
    stub = PatientState(lineage=Lineage(into=B, absorbed=((C, A),), coming=((C, 2),)))
    confirmed = Received(A, B, TransferKind.STATE, WHEN)
    step = follow(stub, confirmed, shard_clock=None, rulebook=RULEBOOK)
    assert step.state.lineage == Lineage(into=B, coming=((C, 2),))
