"""The syntax of HL7v2: delimiters, line ends, escapes, character sets; python-hl7 as the oracle."""

import hl7
import pytest

from pv_stream.ingest.hl7v2.syntax import Message, parse_message
from pv_stream.ingest.outcomes import RejectCode
from tests.unit.ingest.messages import OBR, PID, SPM, fixture, msh, obx


def _parsed(content: bytes) -> Message:
    message = parse_message(content)
    assert isinstance(message, Message), message
    return message


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("before", ["", "\ufeff", "\x0b", "\n\n"])
def test_line_ends_marks_and_framing_change_nothing(end: str, before: str) -> None:
    content = (before + end.join((msh(), PID, OBR, obx(), SPM)) + end).encode()
    message = _parsed(content)
    assert [segment.name for segment in message.segments] == ["MSH", "PID", "OBR", "OBX", "SPM"]
    assert message.type == "ORU^R01"
    assert message.header.text(3) == "Lab"
    assert message.header.raw(1) == "|"


def test_delimiters_are_those_of_the_message() -> None:
    message = _parsed(
        b"MSH#*!?%#Lab#North#EHR#North#20210412080000+0200##ORU*R01#C1#P#2.5.1\rPID#1##70014***NORTH%1.2%ISO*MR!8*x"
    )
    assert message.type == "ORU^R01"
    pid = message.segments[1]
    assert pid.components(3) == ["70014", "", "", "NORTH%1.2%ISO", "MR"]
    assert pid.subcomponents(3, 4) == ["NORTH", "1.2", "ISO"]
    assert pid.repetitions(3)[1] == "8*x"


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (r"10\S\9/L", "10^9/L"),
        (r"a\F\b\R\c\T\d\E\e", r"a|b~c&d\e"),
        (r"\X41\\X4A\!", "AJ!"),
        (r"one\.br\two", "one\ntwo"),
        (r"one\.SP+2\two", "one\ntwo"),
        (r"\H\very\N\ high", "very high"),
        ("7\\Z1\\", "7\\Z1\\"),
        (r"7\M2021\\C2842\x", r"7\M2021\\C2842\x"),
        (r"A\XE9\1", r"A\XE9\1"),
        (r"A\XC3A9\1", "Aé1"),
        (r"100\unended", r"100\unended"),
        ("plain", "plain"),
    ],
)
def test_escapes(sent: str, meant: str) -> None:
    assert _parsed(f"{msh()}\rOBX|1|NM|x||{sent}".encode()).segments[1].text(5) == meant


def test_bytes_written_as_digits_are_of_the_character_set_of_the_message() -> None:
    sent = f"{msh()[: msh().index('2.5')]}2.5||||||8859/1\rPID|1||A\\XE9\\1\rOBX|1|NM|x||5|/\\XB5\\L"
    message = _parsed(sent.encode("latin-1"))
    assert message.segments[1].text(3) == "Aé1"
    assert message.segments[2].text(6) == "/µL"


def test_a_line_break_inside_a_note_does_not_end_the_message() -> None:
    message = _parsed(f"{msh()}\nNTE|1||first line\nand more, not a segment\n{PID}\n".encode())
    assert [segment.name for segment in message.segments] == ["MSH", "NTE", "PID"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", RejectCode.EMPTY),
        (b"\r\n\x0b", RejectCode.EMPTY),
        (b"MSH", RejectCode.MALFORMED_HL7),
        (b"MSH|", RejectCode.MALFORMED_HL7),
        (b"MSH|^^^^|", RejectCode.MALFORMED_HL7),
        (b"MSHABCDE|", RejectCode.MALFORMED_HL7),
        (b"PID|1||2", RejectCode.MALFORMED_HL7),
        (b"MSH|^~\\&|a\rMSH|^~\\&|b", RejectCode.MALFORMED_HL7),
        (b"MSH|^~\\&|a\xff", RejectCode.UNREADABLE_CHARACTERS),
    ],
)
def test_what_is_no_message_is_rejected_with_a_code(content: bytes, code: RejectCode) -> None:
    assert parse_message(content) is code


def test_msh_18_names_the_character_set() -> None:
    header = msh() + "||||||8859/1"
    content = f"{header}\rOBX|1|NM|711-2^x^LN||1|10*3/\N{MICRO SIGN}L".encode("latin-1")
    assert _parsed(content).segments[1].text(6) == "10*3/\N{MICRO SIGN}L"


@pytest.mark.parametrize("name", ["preliminary", "final", "leukaemia", "order", "stop", "dispense", "merge"])
def test_fields_and_components_agree_with_python_hl7(name: str) -> None:
    content = fixture(f"hl7v2/{name}.hl7")
    ours = _parsed(content)
    text = content.decode("utf-8-sig").replace("\r\n", "\r").replace("\n", "\r")
    theirs = hl7.parse(text)
    assert [str(segment[0]) for segment in theirs] == [segment.name for segment in ours.segments]
    for mine, other in zip(ours.segments, theirs, strict=True):
        for number in range(3 if mine.name == "MSH" else 1, len(other)):
            assert mine.raw(number) == str(other[number]), (mine.name, number)


@pytest.mark.parametrize("damaged", [" " + obx(), "\t" + OBR, obx().replace("OBX", "obx", 1), PID.lower()])
@pytest.mark.parametrize("end", ["\r", "\n"])
def test_a_line_that_is_a_segment_but_for_blanks_or_small_letters_is_never_taken_for_text(
    damaged: str, end: str
) -> None:
    content = end.join((msh(), PID, OBR, obx(), damaged)).encode()
    assert parse_message(content) is RejectCode.MALFORMED_HL7


@pytest.mark.parametrize("text", ["second line", "a | b", "obx is a segment", "Obxious|", "NTE text", "!!!"])
def test_other_lines_go_on_with_the_segment_before_them_and_are_counted(text: str) -> None:
    message = _parsed(f"{msh()}\n{PID}\nNTE|1||first line\n{text}\n{OBR}\n{obx()}".encode())
    assert message.segments[2].name == "NTE"
    assert message.segments[2].raw(3).startswith("first line")
    assert (len(message.segments), message.continued) == (5, 1)
