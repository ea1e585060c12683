"""The memory of a shard: so many states as they are, the others packed, and nothing lost between the two."""

from dataclasses import fields, replace

import pytest

from pv_stream.codec.state import encode_state, outline_of
from pv_stream.domain.ids import PatientId
from pv_stream.domain.lineage import Lineage
from pv_stream.domain.published import PatientState, Relevance
from pv_stream.domain.times import Instant
from pv_stream.errors import EnvironmentBroken
from pv_stream.shard.fold import RawRecord
from pv_stream.shard.limits import Limits
from pv_stream.shard.memory import Outline, PatientMemory
from pv_stream.shard.rules_in_force import waiting_patients
from tests.builders import PATIENT, RULEBOOK, at, dose, eosinophils
from tests.shards import fold, new_shard, raw

REACTION = raw([dose("imatinib", at(0)), eosinophils(1690, at(15))])


def state_after(log: list[RawRecord]) -> PatientState:
    shard = new_shard()
    fold(log, shard)
    return shard.state_of(PATIENT)


SICK = state_after(REACTION)
ONE, TWO, THREE = (PatientId(f"patient-{number}") for number in (1, 2, 3))


def memory_of_three(unpacked_max: int) -> PatientMemory:
    memory = PatientMemory(unpacked_max)
    for patient_id in (ONE, TWO, THREE):
        memory.update({patient_id: SICK})
    return memory


def test_only_so_many_are_held_as_they_are() -> None:
    memory = memory_of_three(1)
    assert (len(memory), len(memory._unpacked), len(memory._packed)) == (3, 1, 2)
    assert list(memory._unpacked) == [THREE]


def test_who_is_asked_for_is_unpacked_and_the_others_stay() -> None:
    memory = memory_of_three(1)
    assert memory.of(ONE) == SICK
    assert memory.of(ONE) is memory.of(ONE)
    memory.update({TWO: SICK})
    assert list(memory._unpacked) == [TWO]
    assert len(memory) == 3


def test_a_patient_who_was_never_seen_is_empty() -> None:
    memory = memory_of_three(0)
    assert memory.of(PatientId("nobody")) == PatientState()
    assert memory.due_of(PatientId("nobody")) is None
    assert len(memory) == 3


def test_when_a_patient_is_due_is_known_without_unpacking() -> None:
    memory = memory_of_three(0)
    assert SICK.due is not None
    assert memory.due_of(ONE) == SICK.due
    assert not memory._unpacked
    memory.update({ONE: PatientState(due=Instant(7))})
    assert memory.due_of(ONE) == 7


def test_a_record_that_is_restored_stays_packed_until_it_is_asked_for() -> None:
    memory = memory_of_three(5)
    other = state_after(raw([eosinophils(300, at(0))]))
    assert memory.restore(ONE, encode_state(other)) == outline_of(other)
    assert (list(memory._packed), memory.of(ONE)) == ([ONE], other)
    assert list(memory.records()) == [
        (ONE, encode_state(other)),
        (TWO, encode_state(SICK)),
        (THREE, encode_state(SICK)),
    ]


def test_a_restored_record_whose_facts_cannot_be_read_ends_the_worker_when_it_is_asked_for() -> None:
    memory = PatientMemory(5)
    known, broken = encode_state(SICK), encode_state(SICK).replace(b'["m",', b'["?",')
    for patient_id, record in ((ONE, broken), (TWO, known)):
        memory.restore(patient_id, record)
    assert memory.of(TWO) == SICK
    for _ in range(2):
        with pytest.raises(EnvironmentBroken, match="run the version that wrote it"):
            memory.of(ONE)


def test_who_waits_are_those_with_facts_of_their_own_under_another_rulebook() -> None:
    another = replace(RULEBOOK, digest="sha256:another")
    for unpacked_max in (0, 5):
        memory = memory_of_three(unpacked_max)
        memory.update({THREE: PatientState()})
        assert waiting_patients(memory.outlines({}), RULEBOOK) == ()
        assert waiting_patients(memory.outlines({}), another) == (ONE, TWO)
        assert waiting_patients(memory.outlines({TWO: PatientState(), THREE: SICK}), another) == (ONE, THREE)


def test_an_outline_says_of_a_packed_patient_what_it_says_of_one_who_is_not() -> None:
    heard_of = state_after(raw([eosinophils(1690, at(15))]))
    stub = replace(SICK, lineage=Lineage(into=TWO))
    states = {ONE: SICK, TWO: heard_of, THREE: stub, PatientId("patient-4"): PatientState()}
    as_they_are, packed = PatientMemory(9), PatientMemory(0)
    as_they_are.update(states)
    packed.update(states)
    said = [
        {
            each: [getattr(outline, field.name) for field in fields(Outline)]
            for each, outline in memory.outlines({})
        }
        for memory in (as_they_are, packed)
    ]
    assert said[0] == said[1]
    assert said[0] == {
        ONE: [SICK.due, RULEBOOK.digest, True, True, SICK.relevance],
        TWO: [None, RULEBOOK.digest, True, False, heard_of.relevance],
        THREE: [SICK.due, RULEBOOK.digest, False, True, SICK.relevance],
        PatientId("patient-4"): [None, None, False, False, Relevance.NONE],
    }


def test_a_shard_packs_whom_it_does_not_hear_of() -> None:
    shard = new_shard(limits=Limits(patients_unpacked=0))
    fold(REACTION, shard)
    assert (len(shard._states._unpacked), shard.patients) == (0, 1)
    assert shard.state_of(PATIENT) == SICK
