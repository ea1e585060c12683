"""Law 6 over a ward: with the relevance index each record tells what it tells without it.

The ward is that of the benchmarks with far more sick patients in it. Each row of the index has its own example in
`tests/unit/engine/test_relevance.py`.
"""

from typing import Final

from benchmarks.ward_log import Mix, first_events
from pv_stream.domain.ids import PatientId
from pv_stream.domain.published import PatientState
from pv_stream.engine.advance import advance
from tests.builders import RULEBOOK

EVENTS: Final = 1_000
SICK: Final = Mix(
    stays=((0.6, 2), (0.4, 6)),
    days_between_bloods=1,
    share_watched_drug=0.6,
    share_reaction_under_watched_drug=0.2,
    share_eosinophilia=0.3,
    share_raised_alt=0.3,
    share_duplicates=0.03,
    share_preliminary=0.1,
    share_corrections=0.1,
)


def test_the_relevance_index_leaves_out_no_output_of_a_ward(seed: int) -> None:
    states: dict[PatientId, tuple[PatientState, PatientState]] = {}
    told = quiet = 0
    for sent in first_events(EVENTS, seed=seed, mix=SICK):
        indexed, assessed = states.get(sent.patient_id, (PatientState(), PatientState()))
        indexed, said = advance(indexed, sent, shard_clock=None, rulebook=RULEBOOK)
        assessed, all_said = advance(assessed, sent, shard_clock=None, rulebook=RULEBOOK, use_relevance=False)
        assert said == all_said, sent
        assert indexed == assessed
        states[sent.patient_id] = indexed, assessed
        told += len(said)
        quiet += indexed.published.is_empty
    assert told > 20
    assert quiet > 100
