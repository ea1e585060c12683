"""The report of a run: every event counted under the name that its canonical form has."""

import json

import pytest

from pv_stream.codec.events import encode_event
from pv_stream.domain.codes import FindingCode, HoldCode, ReportedReaction, ReportOutcome
from pv_stream.domain.events import ClockTicked, Event
from pv_stream.domain.facts import Report
from pv_stream.ingest.report import kind_of
from tests.builders import RULEBOOK, at, dose, eosinophils, event, held, present, retracted
from tests.merging import absorbed, separated
from tests.rulebooks import activation

COUNT = eosinophils(1690, at(1))
REPORT = Report(ReportedReaction.OTHER, serious=None, outcome=ReportOutcome.UNKNOWN, drugs=())


@pytest.mark.parametrize(
    "sent",
    [
        COUNT,
        dose("imatinib", at(1)),
        present(FindingCode.RASH, at(1)),
        event(REPORT, at(1)),
        held(HoldCode.MISSING_UNIT, at(1)),
        retracted(COUNT),
        ClockTicked(at(1)),
        activation(RULEBOOK),
        absorbed("a", "b", at(1)),
        separated("a", "b", at(1)),
    ],
    ids=kind_of,
)
def test_an_event_is_counted_under_its_canonical_type(sent: Event) -> None:
    assert kind_of(sent) == json.loads(encode_event(sent))["type"]
