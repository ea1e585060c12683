"""Acknowledgements: made of the sender's own header, with codes of ours and nothing of a patient."""

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.domain.codes import HoldCode
from pv_stream.domain.times import parse_instant
from pv_stream.ingest.hl7v2.answers import Kind, Verdict, answer, header_of, verdict_of
from pv_stream.ingest.outcomes import Hold, Outcome, Reject, RejectCode, rejected

NOW = parse_instant("2026-11-21T12:00:00.250Z")
ACCEPTED = Verdict(Kind.ACCEPTED)
RETRY = Verdict(Kind.RETRY, "not written, try again")
REFUSED = Verdict(Kind.REFUSED, "rejected missing_patient", b"101")


def message(
    header: str = "MSH|^~\\&|Lab|North|EHR|South|20210412080000+0200||ORU^R01^ORU_R01|C1|P|2.5.1",
) -> bytes:
    return f"{header}\rPID|1||70014^^^NORTH^MR||PLOVER^PIPER\r".encode()


def told(content: bytes, verdict: Verdict = ACCEPTED) -> str | None:
    said = answer(content, verdict, now=NOW, control_id="ours")
    return None if said is None else said.decode("latin-1")


def test_an_answer_exchanges_sender_and_receiver_and_names_the_message() -> None:
    assert told(message()) == (
        "MSH|^~\\&|EHR|South|Lab|North|20261121120000+0000||ACK^R01^ACK|ours|P|2.5.1\rMSA|AA|C1\r"
    )


def test_a_refusal_says_why_in_codes() -> None:
    said = told(message(), REFUSED)
    assert said is not None
    assert said.splitlines()[1:] == [
        "MSA|AR|C1|rejected missing_patient",
        "ERR|||101^^HL70357|E||||rejected missing_patient",
    ]


def test_a_version_before_2_5_gets_no_segment_that_it_does_not_know() -> None:
    said = told(message("MSH|^~\\&|Lab|North|EHR|South|||ORU^R01|C1|P|2.3"), RETRY)
    assert said is not None
    assert said.splitlines() == [
        "MSH|^~\\&|EHR|South|Lab|North|20261121120000+0000||ACK^R01|ours|P|2.3",
        "MSA|AE|C1|not written, try again",
    ]


def test_delimiters_and_character_set_are_the_senders() -> None:
    header = "MSH#*~\\&#Lab#Nord*1.2#EHR#Süd###ORU*R01#C-1#T#2.4######8859/1"
    said = told(message(header).decode().encode("latin-1"), Verdict(Kind.ACCEPTED, "held out_of_range"))
    assert said == (
        "MSH#*~\\&#EHR#Süd#Lab#Nord*1.2#20261121120000+0000##ACK*R01#ours#T#2.4######8859/1\r"
        "MSA#AA#C-1#held out_of_range\r"
    )


def test_a_delimiter_never_stands_in_our_text() -> None:
    said = told(message("MSH|_~\\&|Lab|North|EHR|South|||ORU_R01|C1|P|2.3"), REFUSED)
    assert said is not None
    assert said.splitlines()[1] == "MSA|AR|C1|rejected missing patient"


@pytest.mark.parametrize(
    ("accept", "application", "verdict", "code"),
    [
        ("", "", ACCEPTED, "AA"),
        ("", "", RETRY, "AE"),
        ("", "", REFUSED, "AR"),
        ("AL", "", ACCEPTED, "CA"),
        ("AL", "AL", RETRY, "CE"),
        ("al", "NE", REFUSED, "CR"),
        ("ER", "", ACCEPTED, None),
        ("ER", "", RETRY, "CE"),
        ("SU", "", ACCEPTED, "CA"),
        ("SU", "", REFUSED, None),
        ("NE", "AL", ACCEPTED, "AA"),
        ("", "AL", REFUSED, "AR"),
        ("NE", "ER", ACCEPTED, None),
        ("NE", "SU", ACCEPTED, "AA"),
        ("NE", "NE", RETRY, None),
        ("NE", "", ACCEPTED, None),
        ("??", "", ACCEPTED, "AA"),
    ],
)
def test_enhanced_mode_answers_what_the_sender_asks_for(
    accept: str, application: str, verdict: Verdict, code: str | None
) -> None:
    said = told(message(f"MSH|^~\\&|L|N|E|S|||ORU^R01|C1|P|2.5.1|||{accept}|{application}"), verdict)
    assert (said and said.splitlines()[1][:6]) == (code and f"MSA|{code}")


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"MSH", b"MSH|", b"MSHA^~\\&|a", b"PID|1\r", b"MSH|" + b"x" * 20_000, b"\xff\xfe\x00"],
)
def test_a_message_without_a_header_is_answered_too(content: bytes) -> None:
    assert header_of(content) is None
    assert told(content, REFUSED) == (
        "MSH|^~\\&|||||20261121120000+0000||ACK|ours|P|2.5.1\rMSA|AR||rejected missing_patient\r"
    )


def test_a_control_id_comes_back_as_it_was_however_long() -> None:
    said = told(message(f"MSH|^~\\&|L|N|E|S|||ORU^R01|{'9' * 300}|P|2.5.1"))
    assert said is not None
    assert said.splitlines()[1] == f"MSA|AA|{'9' * 300}"


@given(st.binary(max_size=200))
def test_an_answer_is_one_message_in_one_frame_whatever_it_answers(content: bytes) -> None:
    for begin in (b"", b"MSH|^~\\&|", b"\xef\xbb\xbfMSH|^~\\&|L|N|E|S|||ORU^R01|"):
        said = answer(begin + content, REFUSED, now=NOW, control_id="ours")
        if said is not None:
            assert said.startswith(b"MSH")
            assert not {0x0B, 0x1C, 0x0A} & set(said)
            names = [line[:3] for line in said.split(b"\r")]
            assert names in ([b"MSH", b"MSA", b""], [b"MSH", b"MSA", b"ERR", b""])


def test_the_library_hl7_reads_an_answer() -> None:
    parsed = hl7.parse(told(message(), REFUSED))
    assert str(parsed.segment("MSH")[9]) == "ACK^R01^ACK"
    assert str(parsed.segment("MSA")[1]) == "AR"
    assert str(parsed.segment("MSA")[2]) == "C1"
    assert str(parsed.segment("ERR")[3]) == "101^^HL70357"


def test_a_verdict_is_made_of_codes() -> None:
    assert verdict_of(Outcome()) == ACCEPTED
    assert verdict_of(rejected(RejectCode.UNSUPPORTED_TYPE)) == Verdict(
        Kind.REFUSED, "rejected unsupported_type", b"200"
    )
    held = Outcome(
        holds=[Hold(HoldCode.OUT_OF_RANGE, "OBX[1]", "sha256:0"), Hold(HoldCode.MISSING_UNIT, "", "")]
    )
    assert verdict_of(held) == Verdict(Kind.ACCEPTED, "held missing_unit out_of_range")


@pytest.mark.parametrize("code", list(RejectCode))
def test_every_refusal_has_a_code_of_the_standard(code: RejectCode) -> None:
    verdict = verdict_of(Outcome(rejects=[Reject(code)]))
    assert verdict.kind is Kind.REFUSED
    assert verdict.error_code.isdigit()
