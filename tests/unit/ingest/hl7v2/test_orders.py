"""RDE^O11 and RDS^O13: drugs ordered, stopped and dispensed."""

from dataclasses import replace

import pytest

from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.codes import EvidenceFlag, ExposureKind, HoldCode, Route
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import AsSent, Exposure, Held
from pv_stream.domain.times import parse_instant
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import IgnoreReason, MessageOutcome
from tests.unit.ingest.messages import PID, exposure, facts, fixture, hold, msh, only

ORC = "ORC|NW|ORD-1^EPC|||||||20210301100000+0100"
RXE = "RXE||282388^imatinib^RXNORM|400||mg"
TQ1 = "TQ1|1||QD||||20210301120000+0100"


def _order(*segments: str) -> bytes:
    return "\r".join((msh("RDE^O11^RDE_O11"), PID, *segments)).encode()


def test_an_order_is_an_exposure_from_its_start_to_its_planned_end(intake: Intake) -> None:
    outcome = read_hl7v2(fixture("hl7v2/order.hl7"), intake)
    content, event = exposure(outcome), only(outcome)
    assert (content.kind, content.ingredients, content.route) == (
        ExposureKind.ORDER,
        ("imatinib",),
        Route.ORAL,
    )
    assert content.end is not None
    assert content.end.earliest == parse_instant("2021-04-01T11:00:00Z")
    assert event.version.statement.effective.earliest == parse_instant("2021-03-01T11:00:00Z")
    assert (content.is_stop, content.flags) == (False, ())
    assert outcome.ignored == {IgnoreReason.CODE_NOT_USED: 1}


def test_a_stop_is_a_record_of_its_own_at_the_time_of_the_stop(intake: Intake) -> None:
    outcome = read_hl7v2(fixture("hl7v2/stop.hl7"), intake)
    content, event = exposure(outcome), only(outcome)
    assert (content.is_stop, content.ingredients, content.end) == (True, ("imatinib",), None)
    assert event.version.statement.effective.earliest == parse_instant("2021-03-15T08:10:00Z")
    started = only(read_hl7v2(fixture("hl7v2/order.hl7"), intake))
    assert event.patient_id == started.patient_id
    assert event.version.key != started.version.key


def test_a_dispense_to_the_day_is_the_whole_local_day_and_its_drug_stays_unknown(intake: Intake) -> None:
    outcome = read_hl7v2(fixture("hl7v2/dispense.hl7"), intake)
    content, interval = exposure(outcome), only(outcome).version.statement.effective
    assert (content.kind, content.ingredients, content.route) == (ExposureKind.DISPENSE, (), Route.ORAL)
    assert content.flags == (EvidenceFlag.UNKNOWN_INGREDIENT,)
    assert content.as_sent == AsSent("ndc", "00009001202")
    assert interval.earliest == parse_instant("2021-03-01T23:00:00Z")
    assert interval.latest == parse_instant("2021-03-02T22:59:59.999999Z")


@pytest.mark.parametrize(("status", "is_stop"), [("DC", True), ("CA", True), ("IP", None)])
def test_a_changed_status_that_ends_an_order_is_its_stop(
    intake: Intake, status: str, *, is_stop: bool | None
) -> None:
    stop = fixture("hl7v2/stop.hl7").decode()
    line = next(line for line in stop.replace("\n", "\r").split("\r") if line.startswith("ORC"))
    fields = line.split("|")
    fields[1] = "SC"
    fields[5:6] = [status]
    outcome = read_hl7v2(stop.replace(line, "|".join(fields)).encode(), intake)
    if is_stop is None:
        assert outcome.ignored[IgnoreReason.ORDER_CONTROL_NOT_USED] == 1
    else:
        assert exposure(outcome).is_stop is is_stop


@pytest.mark.parametrize("control", ["NW", "XO", "RO", "OK", "RE"])
def test_what_begins_or_changes_an_order(intake: Intake, control: str) -> None:
    assert not exposure(read_hl7v2(_order(ORC.replace("NW", control), RXE, TQ1), intake)).is_stop


@pytest.mark.parametrize("control", ["DC", "CA", "OC", "OD", "DR", "CR"])
def test_what_ends_an_order(intake: Intake, control: str) -> None:
    assert exposure(read_hl7v2(_order(ORC.replace("NW", control), RXE, TQ1), intake)).is_stop


@pytest.mark.parametrize("control", ["UA", "HD", "SS", "", "ZZ"])
def test_what_says_nothing_about_exposure_is_counted(intake: Intake, control: str) -> None:
    outcome = read_hl7v2(_order(ORC.replace("NW", control), RXE, TQ1), intake)
    assert outcome.events == []
    assert outcome.ignored == {IgnoreReason.ORDER_CONTROL_NOT_USED: 1}


@pytest.mark.parametrize(
    ("segments", "start"),
    [
        ((ORC, TQ1, RXE, TQ1.replace("0301", "0303")), "2021-03-03T11:00:00Z"),
        ((ORC, TQ1, RXE, "TQ1|1||QD"), "2021-03-01T11:00:00Z"),
        ((ORC, RXE.replace("RXE|", "RXE|1^QD^^20210305080000+0100")), "2021-03-05T07:00:00Z"),
        ((ORC + "||||||20210302080000+0100", RXE), "2021-03-02T07:00:00Z"),
        ((ORC, RXE), "2021-03-01T09:00:00Z"),
    ],
)
def test_the_start_of_an_order_by_what_states_it_best(
    intake: Intake, segments: tuple[str, ...], start: str
) -> None:
    event = only(read_hl7v2(_order(*segments), intake))
    assert event.version.statement.effective.earliest == parse_instant(start)


@pytest.mark.parametrize(
    ("segments", "why"),
    [
        (("ORC|NW|ORD-1", RXE), HoldCode.MISSING_TIME),
        (("ORC|DC|ORD-1", RXE, TQ1), HoldCode.MISSING_TIME),  # TQ1-7 is the start, not the stop
        ((ORC, RXE, TQ1.replace("20210301", "20219901")), HoldCode.UNREADABLE_TIME),
        ((ORC, RXE, TQ1 + "|20210201000000+0100"), HoldCode.UNREADABLE_TIME),
        ((ORC, RXE, TQ1.replace("2021", "2052")), HoldCode.TIME_IN_FUTURE),
    ],
)
def test_an_order_without_a_usable_time_is_held(
    intake: Intake, segments: tuple[str, ...], why: HoldCode
) -> None:
    outcome = read_hl7v2(_order(*segments), intake)
    assert hold(outcome) is why
    assert outcome.message is MessageOutcome.HELD


@pytest.mark.parametrize(
    ("drug", "why", "may_be"),
    [
        (
            "^Bactrim DS in clinic^L",
            HoldCode.DRUG_NOT_READ_WHOLE,
            ("sulfamethoxazole", "trimethoprim"),
        ),
        ("282388^allopurinol^RXNORM", HoldCode.CONFLICTING_DRUGS, ("allopurinol", "imatinib")),
        (
            "282388^imatinib^RXNORM^519^allopurinol^RXNORM",
            HoldCode.CONFLICTING_DRUGS,
            ("allopurinol", "imatinib"),
        ),
    ],
)
def test_a_drug_in_doubt_is_held_at_the_time_of_its_order_with_what_it_may_be(
    intake: Intake, drug: str, why: HoldCode, may_be: tuple[str, ...]
) -> None:
    outcome = read_hl7v2(_order(ORC, f"RXE||{drug}|400||mg"), intake)
    assert hold(outcome) is why
    statement = only(outcome).version.statement
    assert isinstance(statement.content, Held)
    assert isinstance(statement.content.said, Exposure)
    assert statement.content.said.ingredients == may_be
    assert statement.effective == only(read_hl7v2(_order(ORC, RXE), intake)).version.statement.effective


def test_a_drug_that_was_not_recognised_is_counted(intake: Intake) -> None:
    outcome = read_hl7v2(_order(ORC, "RXE||^amlodipine 5 mg^L|5||mg"), intake)
    assert exposure(outcome).flags == (EvidenceFlag.UNKNOWN_INGREDIENT,)
    assert outcome.ignored == {IgnoreReason.DRUG_NOT_RECOGNISED: 1}


def test_the_parts_of_an_order_are_one_exposure(intake: Intake) -> None:
    parts = (
        "RXC|A|10180^sulfamethoxazole^RXNORM|1||mg",
        "RXC|A|10829^trimethoprim^RXNORM|1||mg",
        "RXC|B|X^water^L|1||mL",
    )
    content = exposure(read_hl7v2(_order(ORC, "RXE||77^infusion^L|1||mL", TQ1, *parts), intake))
    assert content.ingredients == ("sulfamethoxazole", "trimethoprim")


def test_an_order_message_with_two_orders_gives_two_facts(intake: Intake) -> None:
    second = ORC.replace("ORD-1", "ORD-2")
    outcome = read_hl7v2(
        _order(ORC, RXE, TQ1, second, RXE.replace("282388^imatinib", "519^allopurinol"), TQ1), intake
    )
    assert len({event.version.key for event in facts(outcome)}) == 2


def test_an_order_sent_twice_is_one_fact_and_a_changed_end_is_a_new_version(intake: Intake) -> None:
    first = only(read_hl7v2(_order(ORC, RXE, TQ1), intake)).version
    changed = only(
        read_hl7v2(_order(ORC.replace("NW", "XO"), RXE, TQ1 + "|20210308120000+0100"), intake)
    ).version
    assert first.key == changed.key
    assert first.statement != changed.statement


def test_an_order_and_its_dispense_at_the_same_time_are_different_facts(intake: Intake) -> None:
    ordered = only(read_hl7v2(_order(ORC, RXE, TQ1), intake))
    rxd = "RXD|1|282388^imatinib^RXNORM|20210301120000+0100|30"
    content = _order(ORC, RXE, rxd).replace(b"RDE^O11^RDE_O11", b"RDS^O13^RDS_O13")
    dispensed = only(read_hl7v2(content, intake))
    assert ordered.version.key != dispensed.version.key


def test_orders_of_different_drugs_do_not_share_a_key_even_when_unknown(intake: Intake) -> None:
    one = only(read_hl7v2(_order(ORC, "RXE||0001-0001^x^NDC", TQ1), intake)).version
    other = only(read_hl7v2(_order(ORC, "RXE||0001-0002^x^NDC", TQ1), intake)).version
    assert one.key != other.key
    assert replace(one, key=other.key).statement != other.statement


def test_a_compound_of_many_listed_drugs_is_kept_whole(intake: Intake) -> None:
    named = ("abacavir", "allopurinol", "carbamazepine", "dapsone", "imatinib", "lamotrigine", "minocycline",
             "phenytoin", "vancomycin")  # fmt: skip
    parts = [f"RXC|A|^{name}^L|1||mg" for name in named]
    written = decode_event(
        encode_event(only(read_hl7v2(_order(ORC, "RXE||^compound^L|1||mg", *parts, TQ1), intake)))
    )
    assert isinstance(written, FactArrived)
    assert isinstance(written.version.statement.content, Exposure)
    assert written.version.statement.content.ingredients == named
