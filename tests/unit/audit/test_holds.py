"""What waits for a person at the end of a log, found from its events alone."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

import pytest

from pv_stream.audit.holds import OpenHold, find_hold, open_holds, resolution
from pv_stream.audit.log import LogRecord
from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.codes import (
    Analyte,
    ExposureKind,
    FindingCode,
    HoldCode,
    Presence,
    ReportedReaction,
    ReportOutcome,
    ReviewReason,
)
from pv_stream.domain.events import Event, RulebookActivated
from pv_stream.domain.facts import Exposure, Finding, Held, Measurement, Report, Retracted, Review
from pv_stream.engine.activation import ENGINE_VERSION
from pv_stream.errors import UsageError
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.fold import RawRecord
from tests.builders import RULEBOOK, at, corrected, eosinophils, event, held, measured, reviewed, sha256
from tests.merging import absorbed, separated

WAITS = held(HoldCode.MISSING_UNIT, at(20))


def _waiting(*events: Event, carried: dict[str, Rulebook] | None = None) -> list[OpenHold]:
    records = (
        LogRecord(0, RawRecord(position, None, encode_event(sent)), 0) for position, sent in enumerate(events)
    )
    return open_holds(records, RULEBOOK, carried or {})


def _subjects(events: Iterable[Event]) -> list[str]:
    return [hold.subject for hold in _waiting(*events)]


@pytest.mark.parametrize(
    ("content", "subject"),
    [
        (Held(HoldCode.MISSING_UNIT, sha256("x"), Analyte.ALT), "alt"),
        (Held(HoldCode.MISSING_TIME, sha256("x")), "not a measured value"),
        (
            Held(HoldCode.MISSING_TIME, sha256("x"), said=Finding(FindingCode.RASH, Presence.PRESENT)),
            "rash",
        ),
        (
            Held(
                HoldCode.MISSING_TIME,
                sha256("x"),
                said=Exposure(ExposureKind.ORDER, ("imatinib", "metformin")),
            ),
            "imatinib + metformin",
        ),
        (
            Held(HoldCode.MISSING_TIME, sha256("x"), said=Exposure(ExposureKind.ORDER, ())),
            "drug not recognised",
        ),
        (
            Held(
                HoldCode.MISSING_TIME,
                sha256("x"),
                said=Measurement(Analyte.EOSINOPHILS, Decimal(1)),
            ),
            "eosinophils",
        ),
        (
            Held(
                HoldCode.MISSING_TIME,
                sha256("x"),
                said=Report(ReportedReaction.DRESS, None, ReportOutcome.UNKNOWN, ()),
            ),
            "adverse event report",
        ),
    ],
)
def test_a_hold_says_what_it_is_about(content: Held, subject: str) -> None:
    assert _subjects([event(content, at(20))]) == [subject]


def test_what_the_rulebook_in_force_does_not_believe_is_held_too() -> None:
    count = measured(Analyte.ALT, 90_000, at(20))
    assert [hold.held.code for hold in _waiting(count)] == [HoldCode.OUT_OF_RANGE]
    limits = RULEBOOK.plausibility[Analyte.ALT]
    wider = replace(
        RULEBOOK,
        plausibility={
            **RULEBOOK.plausibility,
            Analyte.ALT: replace(limits, maximum=limits.maximum * 1000),
        },
    )
    digest = sha256("wider")
    activated = RulebookActivated(ENGINE_VERSION, digest)
    assert _waiting(activated, count, carried={digest: wider}) == []


def test_a_decision_that_is_not_plausible_itself_leaves_the_value_held() -> None:
    unlikely = measured(Analyte.EOSINOPHILS, "0.9", at(20)).version.statement.content
    (hold,) = _waiting(WAITS, reviewed(WAITS, unlikely, received_at=at(21)))
    assert hold.held.code is HoldCode.FRACTION_OF_A_CELL
    assert _waiting(WAITS, reviewed(WAITS, unlikely, even_if_implausible=True)) == []


def test_versions_of_equal_rank_of_which_one_is_held_still_wait() -> None:
    believed = measured(Analyte.ALT, 40, at(20), key="k")
    doubted = event(Held(HoldCode.UNKNOWN_UNIT, sha256("x"), Analyte.ALT), at(20), key="k")
    assert _subjects([believed, doubted]) == _subjects([doubted, believed]) == ["alt"]


def test_merges_that_go_in_a_circle_end() -> None:
    circle = (absorbed("patient-1", "patient-2", at(21)), absorbed("patient-2", "patient-1", at(21)))
    (hold,) = _waiting(WAITS, *circle)
    assert hold.patient_id == "patient-1"
    (hold,) = _waiting(WAITS, *circle, separated("patient-1", "patient-2", at(22)))
    assert hold.current_patient == "patient-1"


def test_a_hold_is_found_by_a_beginning_that_no_other_shares() -> None:
    (hold,) = _waiting(WAITS)
    assert find_hold(hold.hold_id[5:12], [hold]) == hold
    with pytest.raises(UsageError, match="holds list"):
        find_hold("", [hold])


def test_a_decision_is_an_event_about_the_same_message_that_settles_the_hold() -> None:
    (hold,) = _waiting(WAITS)
    review = Review("actor_1", ReviewReason.NOT_THIS_PATIENT)
    decided = resolution(hold, replace(hold.statement, content=Retracted()), review, at(21))
    assert decode_event(encode_event(decided)) == decided
    assert decided.version.provenance.message_digest == WAITS.version.provenance.message_digest
    assert _waiting(WAITS, decided) == _waiting(decided, WAITS) == []
    right = corrected(WAITS, eosinophils(160, at(20)).version.statement.content)
    assert _waiting(right, WAITS) == []
