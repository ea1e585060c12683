"""Character sets: byte-order marks, UTF-16 and UTF-32, the names of MSH-18, and bytes that do not fit."""

import pytest

from pv_stream.ingest.hl7v2.charsets import codec_of, wide_encoding
from pv_stream.ingest.hl7v2.syntax import Message, parse_message
from pv_stream.ingest.outcomes import RejectCode
from tests.unit.ingest.messages import msh

WIDE = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


def _text(content: bytes, number: int = 2) -> str:
    message = parse_message(content)
    assert isinstance(message, Message), message
    return message.segments[1].text(number)


def _message(name: str, text: str) -> str:
    return f"{msh()}||||||{name}\rNTE|1|{text}\r"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", ["", "UNICODE UTF-16", "8859/1"])
@pytest.mark.parametrize("encoding", WIDE)
def test_wide_characters_are_told_by_their_bytes_whatever_msh_18_says(
    encoding: str, name: str, mark: str
) -> None:
    assert _text((mark + _message(name, "müller 好")).encode(encoding)) == "müller 好"


def test_a_framed_wide_message_is_read() -> None:
    assert _text(b"\x0b" + _message("", "müller").encode("utf-16-le") + b"\x1c\r") == "müller"


def test_a_mark_wins_over_msh_18() -> None:
    assert _text(("\ufeff" + _message("8859/1", "müller")).encode()) == "müller"


@pytest.mark.parametrize(
    ("name", "encoding", "text"),
    [
        ("8859/1", "latin-1", "müller"),
        ("8859/2", "iso8859-2", "łódź"),
        ("8859/5", "iso8859-5", "имя"),
        ("8859/7", "iso8859-7", "όνομα"),
        ("8859/9", "iso8859-9", "İzmir"),
        ("8859/15", "iso8859-15", "œuvre €"),
        ("ISO IR100", "latin-1", "müller"),
        ("ISO_IR 100", "latin-1", "müller"),
        ("ISO IR192", "utf-8", "müller"),
        ("ISO-8859-1", "latin-1", "müller"),
        ("ASCII~8859/1", "ascii", "muller"),
        ("ISO IR6~ISO IR87", "iso2022_jp", "山田^太郎"),
        ("~ISO IR87", "iso2022_jp", "山田"),
        ("ISO IR13", "shift_jis", "ﾔﾏﾀﾞ"),
        ("KS X 1001", "euc_kr", "김"),
        ("GB 18030-2000", "gb18030", "王"),
        ("BIG-5", "big5", "王"),
        ("UNICODE", "utf-8", "王"),
        ("UNICODE UTF-8", "utf-8", "王"),
        ("UNICODE UTF-16", "utf-8", "王"),
        ("", "utf-8", "王"),
        ("a set of our own", "utf-8", "王"),
        ("ASCII", "utf-8", "müller"),
    ],
)
def test_each_set_of_msh_18(name: str, encoding: str, text: str) -> None:
    assert _text(_message(name, text).encode(encoding)) == text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("", b"\xe4"),
        ("ASCII", b"\xe4"),
        ("8859/7", b"\xd2"),
        ("ISO IR87", b"\xe4"),
        ("nonsense", b"\xff\xfe"),
    ],
)
def test_bytes_that_do_not_fit_are_refused_and_never_replaced(name: str, content: bytes) -> None:
    message = _message(name, "X").encode().replace(b"X", content)
    assert parse_message(message) is RejectCode.UNREADABLE_CHARACTERS


def test_a_wide_message_that_is_cut_is_refused() -> None:
    content = ("\ufeff" + _message("", "x")).encode("utf-16-le")[:-1]
    assert parse_message(content) is RejectCode.UNREADABLE_CHARACTERS


def test_names_of_sets_do_not_depend_on_blanks_and_case() -> None:
    assert codec_of(b"iso ir 100") == codec_of(b"ISO_IR-100") == codec_of(b"8859/1") == "iso8859-1"


def test_single_bytes_are_not_taken_for_wide_ones() -> None:
    for head in (b"", b"MSH|^~\\&|", b"\x0bMSH|", b"\xef\xbb\xbfMSH|", b"M\x00X\x00", b"\x00\x00\x00\x00"):
        assert wide_encoding(head) is None
