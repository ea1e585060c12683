"""ORU^R01: values, status, time, specimen and keys of laboratory results."""

from decimal import Decimal

import pytest

from pv_stream.domain.codes import Analyte, Comparator, EvidenceFlag, HoldCode, Status
from pv_stream.domain.facts import AsSent, Held
from pv_stream.domain.times import parse_instant
from pv_stream.engine.join import join_fact
from pv_stream.ingest.confirming import asks_for
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason, MessageOutcome, RejectCode
from tests.unit.ingest.messages import (
    OBR,
    PID,
    SPM,
    facts,
    fixture,
    hold,
    is_retraction,
    measurement,
    msh,
    obx,
    only,
    oru,
    specimens,
    values,
)

WBC = "6690-2^Leukocytes^LN"
PERCENT = "713-8^Eosinophils/100 leukocytes^LN"


def test_a_plain_result_becomes_one_fact(intake: Intake) -> None:
    event = only(read_hl7v2(oru(OBR, obx(), SPM), intake))
    content = measurement(read_hl7v2(oru(OBR, obx(), SPM), intake))
    assert (content.analyte, content.value, content.flags) == ("eosinophils", Decimal(1690), ())
    assert content.as_sent == AsSent("loinc", "711-2", "1.69", "10*9/L")
    assert event.version.order.status is Status.FINAL
    assert event.version.statement.effective.earliest == parse_instant("2021-04-12T05:15:00Z")
    assert event.version.statement.utc_offset_minutes == 120
    assert event.received_at == parse_instant("2021-04-12T06:00:00Z")
    assert event.version.provenance.path == "OBR[1]/OBX[1]"


def test_preliminary_and_final_of_one_specimen_are_two_versions_of_the_same_fact(intake: Intake) -> None:
    first = read_hl7v2(fixture("hl7v2/preliminary.hl7"), intake)
    last = read_hl7v2(fixture("hl7v2/final.hl7"), intake)
    (early,) = facts(first)
    late = next(event for event in facts(last) if event.version.key == early.version.key)
    assert (early.version.order.status, late.version.order.status) == (Status.PRELIMINARY, Status.FINAL)
    assert early.version.order.issued_at < late.version.order.issued_at
    assert early.patient_id == late.patient_id
    assert specimens(first) | specimens(last) == specimens(first)
    for order in ((early, late), (late, early)):
        fact = join_fact(join_fact(None, order[0].version), order[1].version)
        assert [statement for statement, _ in fact.statements] == [late.version.statement]
    assert values(last) == {"eosinophils_percent": "15", "leukocytes": "7900"}
    assert first.ignored[IgnoreReason.NO_RESULT_YET] == 1


def test_a_final_that_is_corrected_is_replaced_in_either_order(intake: Intake) -> None:
    final = only(read_hl7v2(oru(OBR, obx("0.2"), SPM), intake)).version
    corrected = only(
        read_hl7v2(oru(OBR, obx("2.0", status="C"), SPM, sent="20210412100000+0200"), intake)
    ).version
    for first, second in ((final, corrected), (corrected, final)):
        fact = join_fact(join_fact(None, first), second)
        assert fact.order.status is Status.CORRECTED
        assert [each.content for each, _ in fact.statements] == [corrected.statement.content]


def test_a_message_that_comes_twice_is_one_fact(intake: Intake) -> None:
    once, again = (only(read_hl7v2(oru(OBR, obx(), SPM), intake)).version for _ in range(2))
    assert once == again
    assert join_fact(join_fact(None, once), again) == join_fact(None, once)


def test_a_leukaemia_count_and_its_eosinophils_are_one_specimen(intake: Intake) -> None:
    outcome = read_hl7v2(fixture("hl7v2/leukaemia.hl7"), intake)
    assert values(outcome) == {"leukocytes": "96400", "eosinophils": "1900", "eosinophils_percent": "2"}
    assert len(specimens(outcome)) == 1
    assert outcome.holds == []
    assert outcome.ignored == {IgnoreReason.CODE_NOT_USED: 1, IgnoreReason.TEXT_VALUE: 1}
    assert all(
        event.version.statement.content.flags == (EvidenceFlag.SPECIMEN_ASSUMED,)  # type: ignore[union-attr]
        for event in facts(outcome)
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [("P", 1), ("R", 1), ("S", 1), ("F", 2), ("U", 2), ("C", 3), ("D", 4), ("W", 4), ("X", 4)],
)
def test_each_result_status_ranks_the_version(intake: Intake, status: str, expected: int) -> None:
    event = only(read_hl7v2(oru(OBR, obx(status=status), SPM), intake))
    assert event.version.order.status == expected
    assert is_retraction(event) == (expected == Status.RETRACTED)


@pytest.mark.parametrize("status", ["D", "W", "X"])
def test_a_retraction_stands_for_the_fact_that_it_takes_back(intake: Intake, status: str) -> None:
    original = only(read_hl7v2(oru(OBR, obx(), SPM), intake)).version
    taken_back = only(read_hl7v2(oru(OBR, obx("", status=status), SPM), intake)).version
    assert taken_back.key == original.key
    assert join_fact(join_fact(None, taken_back), original).order.status is Status.RETRACTED


@pytest.mark.parametrize("status", ["I", "O", "N"])
def test_no_result_yet_is_no_fact(intake: Intake, status: str) -> None:
    outcome = read_hl7v2(oru(OBR, obx("", status=status), SPM), intake)
    assert outcome.events == []
    assert outcome.ignored == {IgnoreReason.NO_RESULT_YET: 1}


@pytest.mark.parametrize("status", ["", "Z", "f"])
def test_a_status_that_nobody_defines_is_held_below_every_other(intake: Intake, status: str) -> None:
    outcome = read_hl7v2(oru(OBR, obx(status=status), SPM), intake)
    assert hold(outcome) is HoldCode.UNKNOWN_STATUS
    assert only(outcome).version.order.status is Status.PRELIMINARY


@pytest.mark.parametrize(
    ("segment", "why"),
    [
        (obx(unit=""), HoldCode.MISSING_UNIT),
        (obx(unit='""'), HoldCode.MISSING_UNIT),
        (obx(unit="heaps"), HoldCode.UNKNOWN_UNIT),
        (obx(unit="%"), HoldCode.UNIT_DOES_NOT_FIT),
        (obx("-1.2"), HoldCode.OUT_OF_RANGE),
        (obx("3000"), HoldCode.OUT_OF_RANGE),
        (obx("0.9", "/uL"), HoldCode.FRACTION_OF_A_CELL),
        (obx("101", "%", code=PERCENT), HoldCode.OUT_OF_RANGE),
        (obx("see note"), HoldCode.UNREADABLE_VALUE),
        (obx("1,690"), HoldCode.UNREADABLE_VALUE),
        (obx("1.2~1.4"), HoldCode.UNREADABLE_VALUE),
        (obx('""'), HoldCode.UNREADABLE_VALUE),
        (obx("", status="C"), HoldCode.UNREADABLE_VALUE),
        (obx("^1^-^2", kind="SN"), HoldCode.UNREADABLE_VALUE),
        (obx(r"1\.br\2"), HoldCode.UNREADABLE_VALUE),
        (obx(r"1\.sp\.5"), HoldCode.UNREADABLE_VALUE),
        (obx(r"1\Z5\.5"), HoldCode.UNREADABLE_VALUE),
    ],
)
def test_what_is_read_but_not_believed_is_held(intake: Intake, segment: str, why: HoldCode) -> None:
    outcome = read_hl7v2(oru(OBR, segment, SPM), intake)
    assert hold(outcome) is why
    assert outcome.message is MessageOutcome.HELD


def test_boundaries_of_what_is_believed(intake: Intake) -> None:
    believed = [
        obx("0", "/uL"),
        obx("100000", "/uL"),
        obx("100", "%", code=PERCENT),
        obx("19.5", "10*6/L", code=WBC),
    ]
    assert values(read_hl7v2(oru(OBR, believed[0], SPM), intake)) == {"eosinophils": "0"}
    assert values(read_hl7v2(oru(OBR, believed[1], SPM), intake)) == {"eosinophils": "100000"}
    assert values(read_hl7v2(oru(OBR, believed[2], SPM), intake)) == {"eosinophils_percent": "100"}
    assert hold(read_hl7v2(oru(OBR, believed[3], SPM), intake)) is HoldCode.FRACTION_OF_A_CELL
    assert values(read_hl7v2(oru(OBR, obx("20.5", "/uL"), SPM), intake)) == {"eosinophils": "20.5"}


@pytest.mark.parametrize(
    ("segment", "value", "comparator"),
    [
        (obx("<0.1"), 100, Comparator.LESS),
        (obx(">^10", kind="SN"), 10000, Comparator.GREATER),
        (obx("=^1", kind="SN"), 1000, None),
        (obx("^1", kind="SN"), 1000, None),
        (obx("1.5", kind="ST"), 1500, None),
        (obx(unit=r"10\S\9/L"), 1690, None),
        (obx(unit="10^9/L"), 1690, None),
        (obx(unit="10*9/L^giga per litre^UCUM"), 1690, None),
        (obx(unit="^K/uL"), 1690, None),
        (obx(code="EOS^Eosinophils^L^711-2^Eosinophils^LN"), 1690, None),
    ],
)
def test_numbers_units_and_codes_in_their_several_forms(
    intake: Intake, segment: str, value: int, comparator: Comparator | None
) -> None:
    content = measurement(read_hl7v2(oru(OBR, segment, SPM), intake))
    assert content.value == Decimal(value)
    assert content.comparator is comparator


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        (obx(code="718-7^Hemoglobin^LN"), IgnoreReason.CODE_NOT_USED),
        (obx(code="2345-7^Glucose^LN"), IgnoreReason.CODE_NOT_USED),
        (obx(code="8867-4^Heart rate^LN"), IgnoreReason.CODE_NOT_USED),
        (obx(code="711-2^Eosinophils^L"), IgnoreReason.CODE_SYSTEM_NOT_LOINC),
        (obx(code="711-2"), IgnoreReason.CODE_SYSTEM_NOT_LOINC),
        (obx(code="30381-8^Eosinophils in Sputum^LN"), IgnoreReason.NOT_BLOOD),
        (obx("Many seen.", kind="TX", code=WBC), IgnoreReason.TEXT_VALUE),
        (obx("high", kind="ST"), IgnoreReason.TEXT_VALUE),
        (obx(""), IgnoreReason.NO_VALUE),
    ],
)
def test_what_no_rule_uses_is_counted_and_not_written(
    intake: Intake, segment: str, reason: IgnoreReason
) -> None:
    outcome = read_hl7v2(oru(OBR, segment, SPM), intake)
    assert outcome.events == []
    assert outcome.ignored == {reason: 1}
    assert outcome.message is MessageOutcome.ACCEPTED


@pytest.mark.parametrize(
    "code",
    ["6690-2^Eosinophils^LN^711-2^Eos^LN", "711-2^Eos^LN^6690-2^WBC^LN", "30381-8^Sputum^LN^711-2^Eos^LN"],
)
def test_codes_of_different_tests_are_held_and_nobody_can_state_a_value(intake: Intake, code: str) -> None:
    outcome = read_hl7v2(oru(OBR, obx("1690", "/uL", code=code), SPM), intake)
    assert hold(outcome) is HoldCode.CONFLICTING_CODES
    content = only(outcome).version.statement.content
    assert isinstance(content, Held)
    assert asks_for(content) == ()


@pytest.mark.parametrize("code", ["711-2^Eos^ln", "711-2^Eos^Loinc", "L99^Eos^L^711-2^Eos^Ln"])
def test_the_case_of_the_name_of_loinc_says_nothing(intake: Intake, code: str) -> None:
    assert measurement(read_hl7v2(oru(OBR, obx(code=code), SPM), intake)).analyte is Analyte.EOSINOPHILS


@pytest.mark.parametrize("code", ["1742-6", "1743-4", "1744-2", "77144-4", "76625-3"])
def test_alt_is_alt_by_whichever_method(intake: Intake, code: str) -> None:
    found = measurement(read_hl7v2(oru(OBR, obx("312", "U/L", code=f"{code}^ALT^LN"), SPM), intake))
    assert (found.analyte, found.value) == (Analyte.ALT, Decimal(312))


def test_eosinophils_above_the_leukocytes_of_their_specimen_are_held(intake: Intake) -> None:
    outcome = read_hl7v2(oru(OBR, obx("9.1"), obx("9.0", code=WBC), SPM), intake)
    assert [each.code for each in outcome.holds] == [HoldCode.EOSINOPHILS_ABOVE_LEUKOCYTES]
    assert values(outcome) == {"leukocytes": "9000"}
    equal = read_hl7v2(oru(OBR, obx("9.0"), obx("9.0", code=WBC), SPM), intake)
    assert equal.holds == []
    bound = read_hl7v2(oru(OBR, obx("9.1"), obx(">9.0", code=WBC), SPM), intake)
    assert bound.holds == []


def test_specimen_time_is_spm_17_else_obr_7_and_never_obx_14(intake: Intake) -> None:
    collected = SPM.replace("20210412071500", "20210412060000")
    event = only(read_hl7v2(oru(OBR, obx(), collected), intake))
    assert event.version.statement.effective.earliest == parse_instant("2021-04-12T04:00:00Z")
    event = only(read_hl7v2(oru(OBR, obx()), intake))
    assert event.version.statement.effective.earliest == parse_instant("2021-04-12T05:15:00Z")
    without = OBR.replace("20210412071500+0200", "")
    outcome = read_hl7v2(oru(without, obx()), intake)
    assert hold(outcome) is HoldCode.MISSING_TIME
    assert only(outcome).version.statement.effective.earliest == only(outcome).received_at


def test_a_collection_from_and_to_is_an_interval(intake: Intake) -> None:
    ranged = SPM.replace("20210412071500+0200", "20210412071500+0200^20210412074500+0200")
    interval = only(read_hl7v2(oru(OBR, obx(), ranged), intake)).version.statement.effective
    assert interval.latest - interval.earliest == 30 * 60 * 1_000_000


def test_a_lab_dated_2052_is_held_and_stands_at_its_arrival(intake: Intake) -> None:
    outcome = read_hl7v2(oru(OBR.replace("2021", "2052"), obx()), intake)
    assert hold(outcome) is HoldCode.TIME_IN_FUTURE
    assert only(outcome).version.statement.effective.latest == only(outcome).received_at


def test_a_day_after_arrival_is_the_last_that_is_believed(intake: Intake) -> None:
    at_limit = OBR.replace("20210412071500", "20210413080000")
    assert values(read_hl7v2(oru(at_limit, obx()), intake)) == {"eosinophils": "1690"}
    beyond = OBR.replace("20210412071500", "20210413080001")
    assert hold(read_hl7v2(oru(beyond, obx()), intake)) is HoldCode.TIME_IN_FUTURE


def test_the_offset_of_msh_7_is_the_default_of_its_message(intake: Intake) -> None:
    event = only(read_hl7v2(oru(OBR.replace("+0200", ""), obx()), intake))
    assert event.version.statement.effective.is_exact
    assert event.version.statement.utc_offset_minutes == 120


@pytest.mark.parametrize("sent", ["", "20210412080000", "20210412+0200", "soon"])
def test_a_message_without_a_time_of_sending_is_rejected_with_a_code(intake: Intake, sent: str) -> None:
    outcome = read_hl7v2(oru(OBR, obx(), sent=sent), intake)
    assert [each.code for each in outcome.rejects] == [RejectCode.NO_RECEIVED_AT]


def test_the_operator_can_state_time_and_offset(intake: Intake) -> None:
    stated = Intake(
        intake.pseudonyms, intake.rulebook, intake.drugs, intake.now, parse_instant("2021-05-01T00:00:00Z")
    )
    assert only(read_hl7v2(oru(OBR, obx(), sent=""), stated)).received_at == parse_instant(
        "2021-05-01T00:00:00Z"
    )
    local = Intake(intake.pseudonyms, intake.rulebook, intake.drugs, intake.now, utc_offset_minutes=60)
    event = only(read_hl7v2(oru(OBR.replace("+0200", ""), obx(), sent="20210412080000"), local))
    assert event.received_at == parse_instant("2021-04-12T07:00:00Z")
    assert event.version.statement.utc_offset_minutes == 60


def test_without_any_offset_a_local_time_is_an_interval(intake: Intake) -> None:
    stated = Intake(
        intake.pseudonyms, intake.rulebook, intake.drugs, intake.now, parse_instant("2021-05-01T00:00:00Z")
    )
    interval = only(read_hl7v2(oru(OBR.replace("+0200", ""), obx(), sent="20210412080000"), stated))
    statement = interval.version.statement
    assert statement.effective.latest - statement.effective.earliest == 26 * 3600 * 1_000_000
    assert statement.utc_offset_minutes is None


def test_a_message_from_the_future_is_rejected(intake: Intake) -> None:
    outcome = read_hl7v2(oru(OBR, obx(), sent="20261122120001+0000"), intake)
    assert [each.code for each in outcome.rejects] == [RejectCode.RECEIVED_IN_FUTURE]
    assert read_hl7v2(oru(OBR, obx(), sent="20261122120000+0000"), intake).rejects == []


@pytest.mark.parametrize("kind", ["SPT^Sputum", "258607008^BAL^SCT", "^Urine", "UR"])
def test_a_specimen_that_is_not_blood_holds_a_blood_result(intake: Intake, kind: str) -> None:
    assert hold(read_hl7v2(oru(OBR, obx(), SPM.replace("BLD", kind)), intake)) is HoldCode.UNKNOWN_SPECIMEN


@pytest.mark.parametrize("kind", ["BLD", "119297000^BLD^SCT", "^Venous Blood", "X^^L^BLDV^^HL70487", ""])
def test_a_specimen_that_is_blood_or_unsaid_does_not(intake: Intake, kind: str) -> None:
    assert values(read_hl7v2(oru(OBR, obx(), SPM.replace("BLD", kind)), intake)) == {"eosinophils": "1690"}


def test_the_specimen_source_of_older_versions_counts_too(intake: Intake) -> None:
    older = OBR + "||||||||SPT&Sputum&HL70070"
    assert hold(read_hl7v2(oru(older, obx()), intake)) is HoldCode.UNKNOWN_SPECIMEN


def test_results_under_two_specimens_cannot_be_told_apart(intake: Intake) -> None:
    other = SPM.replace("S-1", "S-2")
    assert hold(read_hl7v2(oru(OBR, obx(), SPM, other), intake)) is HoldCode.UNKNOWN_SPECIMEN


def test_temperature_needs_no_specimen(intake: Intake) -> None:
    outcome = read_hl7v2(oru(OBR, obx("101.3", "[degF]", code="8310-5^Body temperature^LN")), intake)
    content = measurement(outcome)
    assert (content.value, content.specimen, content.flags) == (Decimal("38.5"), None, ())


def test_results_of_one_order_without_a_specimen_number_are_one_specimen(intake: Intake) -> None:
    outcome = read_hl7v2(oru(OBR, obx(), obx("9", code=WBC)), intake)
    assert len(specimens(outcome)) == 1
    other = read_hl7v2(oru(OBR.replace("FI-1", "FI-2"), obx()), intake)
    assert not specimens(other) & specimens(outcome)


def test_without_any_order_number_the_key_is_weak_and_says_so(intake: Intake) -> None:
    nameless = OBR.replace("PL-1^WARD", "").replace("FI-1^LAB", "")
    content = measurement(read_hl7v2(oru(nameless, obx(), SPM), intake))
    assert content.flags == (EvidenceFlag.WEAK_KEY,)
    no_specimen = measurement(read_hl7v2(oru(nameless, obx()), intake))
    assert set(no_specimen.flags) == {EvidenceFlag.WEAK_KEY, EvidenceFlag.SPECIMEN_NOT_STATED}


def test_the_placer_number_stands_in_for_a_missing_filler_number(intake: Intake) -> None:
    placer = OBR.replace("FI-1^LAB", "")
    event = only(read_hl7v2(oru(placer, obx(), SPM), intake))
    assert event.version.statement.content.flags == ()  # type: ignore[union-attr]
    orc = "ORC|RE|PL-1^WARD|FI-1^LAB"
    assert (
        only(read_hl7v2(oru(orc, placer, obx(), SPM), intake)).version.key
        == only(read_hl7v2(oru(OBR, obx(), SPM), intake)).version.key
    )


def test_keys_tell_orders_codes_sub_ids_and_times_apart(intake: Intake) -> None:
    sent = [
        oru(OBR, obx(), SPM),
        oru(OBR.replace("FI-1", "FI-2"), obx(), SPM),
        oru(OBR.replace("^LAB", "^OTHER"), obx(), SPM),
        oru(OBR, obx(code="26449-9^Eosinophils^LN"), SPM),
        oru(OBR, obx(sub_id="2"), SPM),
        oru(OBR, obx(), SPM.replace("0715", "0716")),
    ]
    assert len({only(read_hl7v2(each, intake)).version.key for each in sent}) == len(sent)


@pytest.mark.parametrize(
    "pid",
    [
        "PID|1||1^^^NORTH^MR~2^^^NORTH^PI~3^^^SSA^SS",
        "PID|1||3^^^SSA^SS~2^^^NORTH^PI~1^^^NORTH^MR",
        "PID|1||9^^^NORTH^XX~1^5^M11^NORTH^MR",
        "PID|1||1^^^NORTH^MR~8^^^NORTH^MR",
    ],
)
def test_one_identifier_is_chosen_whatever_the_order(intake: Intake, pid: str) -> None:
    event = only(read_hl7v2(oru(OBR, obx(), SPM).replace(PID.encode(), pid.encode()), intake))
    assert event.patient_id == intake.pseudonyms.patient("NORTH", "1")


def test_the_authority_of_an_identifier_is_its_universal_id_else_its_name_else_the_facility(
    intake: Intake,
) -> None:
    def patient(pid: str) -> str:
        return only(read_hl7v2(oru(OBR, obx(), SPM).replace(PID.encode(), pid.encode()), intake)).patient_id

    assert patient("PID|1||1^^^N&1.2.3&ISO^MR") == intake.pseudonyms.patient("1.2.3", "1")
    assert patient("PID|1||1") == intake.pseudonyms.patient("North", "1")
    assert patient("PID|1||1^^^SSA^SS~2^^^X^NNDEU~3^^^Y^ZZ") == intake.pseudonyms.patient("Y", "3")


@pytest.mark.parametrize("pid", ["PID|1||", 'PID|1||""', "PID|1||^^^NORTH^MR", "PV1|1|I"])
def test_without_an_identifier_the_message_is_rejected(intake: Intake, pid: str) -> None:
    outcome = read_hl7v2(oru(OBR, obx(), SPM).replace(PID.encode(), pid.encode()), intake)
    assert [each.code for each in outcome.rejects] == [RejectCode.MISSING_PATIENT]
    assert outcome.message is MessageOutcome.REJECTED


def test_an_identifier_with_a_local_escape_is_not_that_of_another(intake: Intake) -> None:
    numbers = ("7\\Z1\\", "7\\Z2\\", "7\\XE8\\", "7\\XE9\\", "7")
    messages = (f"{msh()}\rPID|1||{number}^^^NORTH^MR\r{OBR}\r{obx()}" for number in numbers)
    patients = {fact.patient_id for each in messages for fact in facts(read_hl7v2(each.encode(), intake))}
    assert len(patients) == len(numbers)


def test_one_bad_result_or_patient_does_not_take_the_others_with_it(intake: Intake) -> None:
    outcome = read_hl7v2(
        oru(OBR, obx("nonsense"), obx("9", code=WBC), SPM, "PID|2||", OBR, obx(), SPM), intake
    )
    assert values(outcome) == {"leukocytes": "9000"}
    assert [each.code for each in outcome.holds] == [HoldCode.UNREADABLE_VALUE]
    assert [(each.code, each.path) for each in outcome.rejects] == [(RejectCode.MISSING_PATIENT, "PID[2]")]
    assert outcome.message is MessageOutcome.HELD


def test_a_result_before_any_patient_is_nobodys(intake: Intake) -> None:
    outcome = read_hl7v2(f"{msh()}\r{OBR}\r{obx()}\r{PID}\r{OBR}\r{obx()}".encode(), intake)
    assert len(outcome.events) == 1
    assert [(each.code, each.path) for each in outcome.rejects] == [
        (RejectCode.MISSING_PATIENT, "PID[0]/OBX")
    ]
    assert outcome.parts["OBX", Fate.REJECTED] == 1
    alone = read_hl7v2(f"{msh()}\r{OBR}\r{obx()}\r{PID}".encode(), intake)
    assert alone.message is MessageOutcome.REJECTED


def test_two_patients_in_one_message_stay_apart(intake: Intake) -> None:
    other = PID.replace("70014", "70015")
    outcome = read_hl7v2(oru(OBR, obx(), SPM, other, OBR, obx("2.0"), SPM), intake)
    assert len({event.patient_id for event in facts(outcome)}) == 2
    assert len(specimens(outcome)) == 2


@pytest.mark.parametrize("kind", ["ADT^A24", "ADT^A43", "ORU^R30", "ACK", "", "RDE", "VXU^V04"])
def test_other_messages_are_rejected_as_unsupported(intake: Intake, kind: str) -> None:
    outcome = read_hl7v2(f"{msh(kind)}\r{PID}\r".encode(), intake)
    assert [each.code for each in outcome.rejects] == [RejectCode.UNSUPPORTED_TYPE]
