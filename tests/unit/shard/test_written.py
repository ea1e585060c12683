"""What is remembered of written facts: it changes no byte, and it keeps to its bound."""

from pv_stream.codec.state import WrittenFacts, encode_state, fact_bytes, state_bytes
from pv_stream.domain.ids import PatientId
from pv_stream.domain.published import PatientState
from pv_stream.engine.advance import advance
from pv_stream.shard.written import WrittenPatients
from tests.builders import RULEBOOK, at, corrected, eosinophils, resent

ONE, OTHER, THIRD = map(PatientId, ("patient-1", "patient-2", "patient-3"))


def test_a_state_is_written_the_same_whatever_is_remembered() -> None:
    written = WrittenFacts()
    low = eosinophils(169, at(1))
    high = eosinophils(1690, at(1)).version.statement.content
    state = PatientState()
    for sent in (low, resent(low, received_at=at(2)), corrected(low, high), eosinophils(300, at(3))):
        state, _ = advance(state, sent, shard_clock=None, rulebook=RULEBOOK)
        assert encode_state(state, written) == encode_state(state)
        assert state_bytes(state, written) == state_bytes(state)
        assert sum(fact_bytes(key, fact, written) for key, fact in state.facts.items()) == state_bytes(state)


def test_the_patients_asked_for_last_are_remembered() -> None:
    remembered = WrittenPatients(2)
    one, other = remembered.of(ONE), remembered.of(OTHER)
    assert remembered.of(ONE) is one
    assert remembered.of(THIRD) is not one
    assert remembered.of(ONE) is one
    assert remembered.of(OTHER) is not other


def test_a_forgotten_patient_is_begun_anew() -> None:
    remembered = WrittenPatients(2)
    one = remembered.of(ONE)
    remembered.forget(ONE)
    remembered.forget(OTHER)
    assert remembered.of(ONE) is not one
