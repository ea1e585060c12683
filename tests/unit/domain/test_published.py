"""Patient states: what is carried over when a fact joins."""

from dataclasses import fields, replace

from pv_stream.domain.assessment import Tier
from pv_stream.domain.ids import AlertId, PatientId
from pv_stream.domain.lineage import Lineage
from pv_stream.domain.outputs import AlertStatus
from pv_stream.domain.published import AlertLine, PatientState, Published, Relevance
from pv_stream.domain.times import Instant

STATE = PatientState(
    published=Published(incomplete=AlertLine(AlertId("al_1"), 1, AlertStatus.RAISED, Tier.WARNING)),
    clock=Instant(1),
    due=Instant(2),
    relevance=Relevance.HELD,
    rulebook="sha256:1",
    lineage=Lineage(into=PatientId("patient-2")),
)


def test_a_state_after_a_fact_keeps_every_other_field() -> None:
    after = STATE.after_fact({}, Instant(3), Relevance.SKIN, "sha256:2")
    assert after == replace(STATE, facts={}, clock=Instant(3), relevance=Relevance.SKIN, rulebook="sha256:2")
    assert all(getattr(STATE, field.name) != field.default for field in fields(PatientState)[1:])
