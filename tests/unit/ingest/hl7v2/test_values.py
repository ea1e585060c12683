"""OBX-5 by value type: what is a number, what is an answer, what is held and what is left aside."""

from decimal import Decimal

import pytest

from pv_stream.domain.codes import Comparator, FindingCode, HoldCode, Presence, Status
from pv_stream.domain.facts import Finding
from pv_stream.engine.join import join_fact
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason, Outcome
from tests.unit.ingest.messages import (
    OBR,
    SPM,
    facts,
    fixture,
    hold,
    is_retraction,
    measurement,
    obx,
    only,
    oru,
    values,
)

ANA, HBSAG, CULTURE = "8061-4^ANA^LN", "5195-3^HBsAg^LN", "600-7^Culture^LN"
POSITIVE, NEGATIVE = "10828004^Positive^SCT", "260385009^Negative^SCT"


def _coded(value: str, code: str = ANA, *, kind: str = "CWE", status: str = "F") -> str:
    return obx(value, "", code=code, kind=kind, status=status)


def _read(intake: Intake, *segments: str) -> Outcome:
    return read_hl7v2(oru(OBR, *segments, SPM), intake)


def _finding(outcome: Outcome) -> Finding:
    content = only(outcome).version.statement.content
    assert isinstance(content, Finding), content
    return content


@pytest.mark.parametrize(
    ("kind", "sent", "value", "comparator"),
    [
        ("SN", ">^5", 5000, Comparator.GREATER),
        ("SN", ">=^5", 5000, Comparator.GREATER_OR_EQUAL),
        ("SN", "<^0.1", 100, Comparator.LESS),
        ("SN", "<=^0.1", 100, Comparator.LESS_OR_EQUAL),
        ("SN", "5", 5000, None),
        ("NM", "<0.1", 100, Comparator.LESS),
        ("NM", " 1.5 ", 1500, None),
        ("ST", ">5", 5000, Comparator.GREATER),
        ("TX", "1.5", 1500, None),
        ("FT", r"\.br\1.5", 1500, None),
        ("", "1.5", 1500, None),
    ],
)
def test_one_number_with_or_without_a_comparator(
    intake: Intake, kind: str, sent: str, value: int, comparator: Comparator | None
) -> None:
    content = measurement(_read(intake, obx(sent, kind=kind)))
    assert (content.value, content.comparator) == (Decimal(value), comparator)


def test_a_composite_quantity_brings_its_unit(intake: Intake) -> None:
    assert measurement(_read(intake, obx("1.5^K/uL", "", kind="CQ"))).value == Decimal(1500)
    assert measurement(_read(intake, obx("1.5^ignored", "K/uL", kind="CQ"))).value == Decimal(1500)
    assert hold(_read(intake, obx("1.5", "", kind="CQ"))) is HoldCode.MISSING_UNIT


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("SN", "^5^-^10"),
        ("SN", "^1^:^2"),
        ("SN", "^1^/^2"),
        ("SN", "^2^+"),
        ("SN", "<>^5"),
        ("SN", ">^"),
        ("SN", "^"),
        ("SN", ">^5~<^9"),
        ("NM", "1^2"),
        ("NM", "1~1"),
        ("NM", "1e3"),
        ("NR", "1^2"),
    ],
)
def test_what_is_no_single_number_is_held(intake: Intake, kind: str, sent: str) -> None:
    assert hold(_read(intake, obx(sent, kind=kind))) is HoldCode.UNREADABLE_VALUE


@pytest.mark.parametrize("sent", ["1.5 K/uL", "about 2", "1~2", "1690 /uL", ">=1690 H", "1690*", "1 690"])
@pytest.mark.parametrize("kind", ["ST", "TX"])
def test_a_text_with_a_number_that_is_not_read_is_held(intake: Intake, kind: str, sent: str) -> None:
    assert hold(_read(intake, obx(sent, kind=kind))) is HoldCode.UNREADABLE_VALUE


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("TX", "see comment"),
        ("FT", r"\.sp\many"),
        ("CE", "1.5"),
        ("CWE", POSITIVE),
        ("DT", "20210412"),
        ("TM", "0800"),
        ("ED", "^application^pdf^Base64^JVBE"),
        ("XX", "7"),
    ],
)
def test_words_and_codes_under_a_numeric_code_are_left_aside(intake: Intake, kind: str, sent: str) -> None:
    outcome = _read(intake, obx(sent, kind=kind))
    assert (outcome.events, outcome.ignored) == ([], {IgnoreReason.TEXT_VALUE: 1})


def test_a_text_that_corrects_a_number_is_held_in_its_place(intake: Intake) -> None:
    number = only(_read(intake, obx("1.5"))).version
    outcome = _read(intake, obx("sample clotted", kind="ST", status="C"))
    assert hold(outcome) is HoldCode.UNREADABLE_VALUE
    fact = join_fact(join_fact(None, only(outcome).version), number)
    assert fact.order.status is Status.CORRECTED


@pytest.mark.parametrize(
    ("kind", "value", "presence"),
    [
        ("CWE", POSITIVE, Presence.PRESENT),
        ("CE", NEGATIVE, Presence.ABSENT),
        ("CNE", "LA6576-8^Positive^LN", Presence.PRESENT),
        ("CE", "NEG^negative^HL70078", Presence.ABSENT),
        ("CWE", f"7^local^L^{NEGATIVE}", Presence.ABSENT),
        ("CWE", "^Negative", Presence.ABSENT),
        ("ST", "Negative", Presence.ABSENT),
        ("ST", "POSITIVE", Presence.PRESENT),
    ],
)
def test_the_answer_of_a_test_is_a_finding(intake: Intake, kind: str, value: str, presence: Presence) -> None:
    finding = _finding(_read(intake, _coded(value, kind=kind)))
    assert (finding.code, finding.presence) == (FindingCode.ANA, presence)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("CWE", "419984006^Inconclusive^SCT"),
        ("CWE", f"{POSITIVE}~{NEGATIVE}"),
        ("CWE", f"{POSITIVE}^{NEGATIVE}"),
        ("CWE", "3092008^Staphylococcus aureus^SCT"),
        ("ST", "negative, but see note"),
        ("SN", "^1^:^80"),
        ("NM", "1.5"),
    ],
)
def test_an_answer_that_says_neither_is_left_aside_and_as_a_correction_held(
    intake: Intake, kind: str, value: str
) -> None:
    assert _read(intake, _coded(value, kind=kind)).ignored == {IgnoreReason.UNDECIDED_VALUE: 1}
    assert hold(_read(intake, _coded(value, kind=kind, status="C"))) is HoldCode.UNREADABLE_VALUE


def test_a_negative_test_of_several_leaves_the_group_open(intake: Intake) -> None:
    assert _read(intake, _coded(NEGATIVE, HBSAG)).ignored == {IgnoreReason.NEGATIVE_OF_PART: 1}
    assert _finding(_read(intake, _coded(POSITIVE, HBSAG))).code is FindingCode.HEPATITIS_SEROLOGY
    assert hold(_read(intake, _coded(NEGATIVE, HBSAG, status="C"))) is HoldCode.UNREADABLE_VALUE


@pytest.mark.parametrize("value", ["264868006^No growth^SCT", POSITIVE])
def test_a_preliminary_culture_says_nothing_yet(intake: Intake, value: str) -> None:
    assert _read(intake, _coded(value, CULTURE, status="P")).ignored == {IgnoreReason.NO_RESULT_YET: 1}
    assert _finding(_read(intake, _coded(value, CULTURE))).code is FindingCode.BLOOD_CULTURE


def test_a_corrected_and_a_retracted_answer_replace_the_first(intake: Intake) -> None:
    first = only(_read(intake, _coded(POSITIVE))).version
    second = only(_read(intake, _coded(NEGATIVE, status="C"))).version
    taken_back = only(_read(intake, _coded("", status="D")))
    assert first.key == second.key == taken_back.version.key
    assert is_retraction(taken_back)
    assert join_fact(join_fact(None, second), first).order.status is Status.CORRECTED


def test_an_answer_needs_a_status_a_time_and_blood(intake: Intake) -> None:
    assert hold(_read(intake, _coded(POSITIVE, status="Z"))) is HoldCode.UNKNOWN_STATUS
    urine = oru(OBR, _coded(POSITIVE), SPM.replace("BLD", "UR"))
    assert hold(read_hl7v2(urine, intake)) is HoldCode.UNKNOWN_SPECIMEN
    timeless = oru(OBR.replace("20210412071500+0200", ""), _coded(POSITIVE))
    outcome = read_hl7v2(timeless, intake)
    assert hold(outcome) is HoldCode.MISSING_TIME
    held = only(outcome).version.statement.content
    assert held.said == Finding(FindingCode.ANA, Presence.PRESENT)  # type: ignore[union-attr]


def test_an_examination_names_its_finding_by_code(intake: Intake) -> None:
    asked = _read(intake, _coded("271807003^Rash^SCT", "404684003^Clinical finding^SCT"))
    assert _finding(asked) == Finding(FindingCode.RASH, Presence.PRESENT)
    answered = _read(intake, _coded("2667000^Absent^SCT", "30746006^Lymphadenopathy^SCT", status="P"))
    assert _finding(answered) == Finding(FindingCode.ENLARGED_LYMPH_NODES, Presence.ABSENT)
    other = _read(intake, _coded("25064002^Headache^SCT", "404684003^Clinical finding^SCT"))
    assert other.ignored == {IgnoreReason.CODE_NOT_USED: 1}


def test_a_message_of_many_kinds_with_delimiters_of_its_own(intake: Intake) -> None:
    outcome = read_hl7v2(fixture("hl7v2/serology.hl7"), intake)
    found = {
        content.code: content.presence
        for event in facts(outcome)
        if isinstance(content := event.version.statement.content, Finding)
    }
    assert found == {
        FindingCode.ANA: Presence.ABSENT,
        FindingCode.HEPATITIS_SEROLOGY: Presence.PRESENT,
    }
    assert values(outcome) == {"alt": "400", "creatinine": "1.1"}
    assert [each.code for each in outcome.holds] == [HoldCode.UNREADABLE_VALUE]
    assert outcome.parts["OBX", Fate.FACT] == 4
    assert outcome.parts["OBX", Fate.HELD] == 1
    assert outcome.parts["OBX", Fate.IGNORED] == 3


def test_a_specimen_named_as_older_versions_do(intake: Intake) -> None:
    older = oru(OBR + "||||||||Venous Blood", obx())
    assert values(read_hl7v2(older, intake)) == {"eosinophils": "1690"}
    assert hold(read_hl7v2(oru(OBR + "||||||||Urine", obx()), intake)) is HoldCode.UNKNOWN_SPECIMEN


def test_a_unit_declared_as_ucum_is_read_by_its_grammar(intake: Intake) -> None:
    assert measurement(_read(intake, obx("1.69", "10*3/uL^^UCUM"))).value == Decimal(1690)
    assert hold(_read(intake, obx("1.69", "10*3/dg"))) is HoldCode.UNKNOWN_UNIT


def test_long_codes_units_and_times_are_read_like_short_ones(intake: Intake) -> None:
    long = "x" * 400
    code = f"{long}^{long}^L^711-2^Eosinophils^LN"
    unit = f"{long}^{long}^L^10*9/L^{long}^UCUM"
    assert measurement(_read(intake, obx("1.69", unit, code=code))).value == Decimal(1690)
