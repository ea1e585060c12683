"""What messages carry beside results and orders: observations on the patient, diagnoses, allergies, stays."""

from decimal import Decimal

import pytest

from pv_stream.domain.codes import Analyte, FindingCode, HoldCode, Presence, ReportedReaction, Status
from pv_stream.domain.facts import Finding, Report
from pv_stream.domain.times import parse_instant
from pv_stream.engine.join import join_fact
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason, MessageOutcome, Outcome
from tests.unit.ingest.messages import (
    OBR,
    PID,
    facts,
    fixture,
    hold,
    is_retraction,
    measurement,
    msh,
    obx,
    only,
    oru,
    values,
)

WEIGHT = "29463-7^Body weight^LN"
TEMPERATURE = "8310-5^Body temperature^LN"
DRESS = "DG1|1||D72.12^DRESS^I10C||20210410|F"


def _visit(intake: Intake, *segments: str, kind: str = "ADT^A08^ADT_A01") -> Outcome:
    return read_hl7v2("\r".join((msh(kind), PID, *segments)).encode(), intake)


@pytest.mark.parametrize("event", ["A01", "A02", "A03", "A04", "A08", "A11", "A13", "A28", "A31"])
def test_a_stay_is_accepted_and_no_fact(intake: Intake, event: str) -> None:
    outcome = _visit(intake, "EVN|A01", "PV1|1|I", kind=f"ADT^{event}")
    assert (outcome.events, outcome.ignored) == ([], {IgnoreReason.VISIT_NOT_USED: 1})
    assert outcome.message is MessageOutcome.ACCEPTED


def test_what_an_update_carries(intake: Intake) -> None:
    outcome = read_hl7v2(fixture("hl7v2/admission.hl7"), intake)
    assert values(outcome) == {"body_temperature": "38.5"}
    assert [event.version.provenance.path for event in facts(outcome)] == ["DG1[1]", "OBX[1]"]
    assert [type(event.version.statement.content) for event in facts(outcome)].count(Report) == 1
    assert outcome.ignored == {
        IgnoreReason.VISIT_NOT_USED: 1,
        IgnoreReason.NO_OBSERVATION_TIME: 1,
        IgnoreReason.OBSERVATION_IN_ORDER: 1,
        IgnoreReason.ALLERGY_NOT_USED: 1,
        IgnoreReason.DIAGNOSIS_NOT_USED: 1,
    }
    assert outcome.parts["OBX", Fate.FACT] == 1
    assert outcome.parts["OBX", Fate.IGNORED] == 2
    assert outcome.parts["DG1", Fate.FACT] == 1
    assert outcome.parts["Z segment", Fate.IGNORED] == 1


def test_a_weight_stands_at_its_own_time(intake: Intake) -> None:
    outcome = _visit(intake, obx("70.5", "kg", code=WEIGHT))
    content = measurement(outcome)
    assert (content.analyte, content.value) == (Analyte.BODY_WEIGHT, Decimal("70.5"))
    statement = only(outcome).version.statement
    assert statement.effective.earliest == parse_instant("2021-04-12T05:40:00Z")


def test_a_temperature_of_a_report_has_its_time_and_without_one_its_own(intake: Intake) -> None:
    reported = only(read_hl7v2(oru(OBR, obx("38.5", "Cel", code=TEMPERATURE)), intake))
    assert reported.version.statement.effective.earliest == parse_instant("2021-04-12T05:15:00Z")
    timeless = OBR.replace("20210412071500+0200", "")
    own = only(read_hl7v2(oru(timeless, obx("38.5", "Cel", code=TEMPERATURE)), intake))
    assert own.version.statement.effective.earliest == parse_instant("2021-04-12T05:40:00Z")
    count = read_hl7v2(oru(timeless, obx()), intake)
    assert hold(count) is HoldCode.MISSING_TIME


def test_weights_of_two_patients_never_share_a_key(intake: Intake) -> None:
    one = only(_visit(intake, obx("70", "kg", code=WEIGHT)))
    other = only(
        read_hl7v2(
            "\r".join((msh("ADT^A08"), PID.replace("70014", "70015"), obx("70", "kg", code=WEIGHT))).encode(),
            intake,
        )
    )
    assert one.version.key != other.version.key


@pytest.mark.parametrize(
    "segment",
    [
        DRESS,
        "DG1|1|I10C|D72.12|DRESS|20210410|F",
        "DG1|1||702809001^DRESS^SCT||20210410",
        "DG1|1||7^x^L^D72.12^DRESS^I10C||20210410",
    ],
)
def test_dress_as_a_diagnosis_is_a_report_at_its_date(intake: Intake, segment: str) -> None:
    event = only(_visit(intake, segment))
    content = event.version.statement.content
    assert isinstance(content, Report)
    assert (content.reaction, content.serious, content.drugs) == (ReportedReaction.DRESS, None, ())
    assert event.version.statement.effective.earliest == parse_instant("2021-04-09T22:00:00Z")
    assert event.version.provenance.path == "DG1[1]"


def test_a_diagnosis_may_stand_in_an_order_too(intake: Intake) -> None:
    outcome = _visit(intake, "ORC|NW|1", "RXO|1^x^L", DRESS, kind="OMP^O09")
    assert outcome.parts["DG1", Fate.FACT] == 1


def test_a_diagnosis_that_names_a_finding(intake: Intake) -> None:
    event = only(_visit(intake, "DG1|1||271807003^Rash^SCT||20210410|A"))
    assert event.version.statement.content == Finding(FindingCode.RASH, Presence.PRESENT)
    assert event.version.order.status is Status.PRELIMINARY


@pytest.mark.parametrize(
    "segment",
    [
        "DG1|1||D72.12^DRESS^L||20210410",
        "DG1|1||D72.12^DRESS||20210410",
        "DG1|1||^DRESS||20210410",
        "DG1|1||D72.10^Eosinophilia^I10C||20210410",
        "DG1|1|||DRESS|20210410",
    ],
)
def test_other_diagnoses_and_names_alone_are_left_aside(intake: Intake, segment: str) -> None:
    outcome = _visit(intake, segment)
    assert outcome.events == []
    assert outcome.ignored[IgnoreReason.DIAGNOSIS_NOT_USED] == 1


def test_a_diagnosis_without_a_date_is_held_with_what_it_says(intake: Intake) -> None:
    outcome = _visit(intake, DRESS.replace("20210410", ""))
    assert hold(outcome) is HoldCode.MISSING_TIME
    assert isinstance(only(outcome).version.statement.content.said, Report)  # type: ignore[union-attr]
    assert outcome.parts["DG1", Fate.HELD] == 1


def test_a_deleted_diagnosis_takes_back_the_one_it_names(intake: Intake) -> None:
    numbered = DRESS + "||||||||||||||DX-1^EHR"
    added = only(_visit(intake, numbered)).version
    deleted = only(_visit(intake, numbered + "|D"))
    assert deleted.version.key == added.key
    assert is_retraction(deleted)
    assert join_fact(join_fact(None, deleted.version), added).order.status is Status.RETRACTED
