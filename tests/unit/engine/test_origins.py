"""Origins: each record gets back what arrived under its id, also where several records speak of one fact."""

from dataclasses import replace

from pv_stream.domain.codes import Status
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Statement
from tests.builders import at, eosinophils, with_status
from tests.merging import PatientEvent, Topic, merge, of, separated, settled

A, B, C = "patient-a", "patient-b", "patient-c"


def _said(value: int) -> FactArrived:
    """Return one and the same count with another value."""
    key = eosinophils(1690, at(15)).version.key
    sent = eosinophils(value, at(15))
    return replace(sent, version=replace(sent.version, key=key))


OF_A, OF_B, OF_C = (_said(value) for value in (1200, 1690, 900))


def _statements(topic: Topic, patient: str) -> list[Statement]:
    facts = topic.state_of(patient).facts
    return [statement for fact in facts.values() for statement, _ in fact.statements]


def _of(*sent: FactArrived) -> list[Statement]:
    return sorted((each.version.statement for each in sent), key=repr)


def _after(*events: PatientEvent) -> Topic:
    """Return what stands once A has its facts back from B."""
    return settled(*events, separated(A, B, at(20)))


def test_of_three_records_that_speak_of_one_fact_two_stay_in_conflict_when_one_leaves() -> None:
    merged = [*of(B, OF_B), *of(A, OF_A), *of(C, OF_C), *merge(A, B, at(16)), *merge(C, B, at(17))]
    assert _statements(settled(*merged), B) == _of(OF_A, OF_B, OF_C)
    topic = _after(*merged)
    assert (_statements(topic, A), _statements(topic, B)) == (_of(OF_A), _of(OF_B, OF_C))


def test_what_comes_for_the_prior_about_a_fact_of_the_survivor_leaves_the_survivor_its_own() -> None:
    topic = _after(*of(B, OF_B), *merge(A, B, at(16)), *of(A, OF_A))
    assert (_statements(topic, A), _statements(topic, B)) == (_of(OF_A), _of(OF_B))


def test_what_comes_again_for_one_record_leaves_the_parts_of_the_others() -> None:
    topic = _after(*of(B, OF_B), *of(A, OF_A), *merge(A, B, at(16)), *of(B, OF_C))
    assert (_statements(topic, A), _statements(topic, B)) == (_of(OF_A), _of(OF_B, OF_C))


def test_a_preliminary_result_that_comes_late_for_the_prior_does_not_replace_the_final_one() -> None:
    late = with_status(_said(700), Status.PRELIMINARY)
    topic = _after(*of(A, OF_A), *merge(A, B, at(16)), *of(A, late))
    assert _statements(topic, A) == _of(OF_A)
