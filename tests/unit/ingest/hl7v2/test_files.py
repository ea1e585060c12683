"""Files of HL7v2: where messages begin, what belongs to none, and counts of batches."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.ingest.feed import Feed
from pv_stream.ingest.hl7v2.files import Piece, Splitter, is_hl7v2
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate
from pv_stream.ingest.rejects import RejectStore
from tests.unit.ingest.messages import FIXTURES, OBR, fixture, obx, oru

ONE = oru(OBR, obx())
ALL = 1024 * 1024
PARTS = [b"MSH|", b"BTS|1\r", b"BHS|", b"FTS", b"\r", b"\n", b"\x0b", b"\x1c", b"x", b"\xef\xbb\xbf", b"\x00"]


def _pieces(content: bytes, bytes_max: int = ALL) -> list[Piece]:
    return list(Splitter(content[: 64 * 1024], bytes_max).pieces(io.BytesIO(content)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("between", ["", "\n", "\r\n\r\n"])
def test_messages_of_any_width_with_batch_segments_around_them(
    encoding: str, mark: str, between: str
) -> None:
    text = ONE.decode()
    whole = f"{mark}FHS|^~\\&|a\rBHS|^~\\&|a\r{between.join([text] * 400)}BTS|400\rFTS|1\r"
    content = whole.encode(encoding)
    assert is_hl7v2(content[: 64 * 1024])
    pieces = _pieces(content)
    assert len(pieces) == 400
    assert [name for piece in pieces for name in piece.envelope] == ["FHS", "BHS", "BTS", "FTS"]
    assert not any(piece.counts_differ for piece in pieces)
    for piece in pieces:
        assert bytes(piece.content).decode(encoding).strip("\ufeff\r\n") == text.strip("\r")
        assert content[piece.offset : piece.offset + piece.size] == bytes(piece.content)


def test_mllp_frames_in_a_file_separate_messages() -> None:
    framed = b"\x0b" + ONE + b"\x1c\r"
    pieces = _pieces(framed * 3)
    assert [bytes(piece.content).strip(b"\x0b\x1c\r") for piece in pieces] == [ONE.strip(b"\r")] * 3


@pytest.mark.parametrize(
    ("tail", "differ"),
    [
        (b"BTS|2\rFTS|1\r", 0),
        (b"BTS|3\rFTS|1\r", 1),
        (b"BTS|1\rFTS|2\r", 2),
        (b"BTS\rFTS\r", 0),
        (b"BTS||no count\r", 0),
        (b"BTS|two\r", 1),
        (b"BTS|2", 0),
        (b"BTS|9999999999999999999999", 1),
    ],
)
def test_counts_of_trailers_are_compared_with_what_was_there(tail: bytes, differ: int) -> None:
    pieces = _pieces(b"FHS|^~\\&\rBHS|^~\\&\r" + ONE * 2 + tail)
    assert (len(pieces), sum(piece.counts_differ for piece in pieces)) == (2, differ)


def test_each_batch_of_a_file_is_counted_alone() -> None:
    batch = b"BHS|^~\\&\r" + ONE * 2 + b"BTS|2\r"
    assert not any(piece.counts_differ for piece in _pieces(b"FHS|^~\\&\r" + batch * 3 + b"FTS|3\r"))


@pytest.mark.parametrize(
    "junk", [b"hello there\r", b"MSH is a segment\r", b"PID|1||7\r", b"BTS|0\rPID|1||7\r"]
)
def test_what_stands_between_messages_is_a_message_of_its_own(junk: bytes) -> None:
    pieces = _pieces(junk + ONE)
    assert len(pieces) == 2
    assert bytes(pieces[1].content) == ONE


@pytest.mark.parametrize("content", [b"", b"\r\n\r\n", b"BHS|^~\\&\rBTS|0\r", b"\x0b\x1c\r"])
def test_a_file_without_any_message_gives_one_that_is_empty(content: bytes) -> None:
    (piece,) = _pieces(content)
    assert bytes(piece.content).strip(b"\x0b\x1c\r\n") == b""


def test_a_long_message_is_measured_and_not_kept() -> None:
    long = b"MSH|^~\\&|a\r" + b"x" * 500_000 + b"\r"
    first, second = _pieces(long + ONE, 1000)
    assert (len(first.content), first.size) == (1000, len(long))
    assert bytes(second.content) == ONE[:1000]


def test_a_batch_segment_that_never_ends_is_not_kept_in_memory() -> None:
    pieces = _pieces(b"BTS|" + b"9" * 500_000 + b"\r" + ONE, 1000)
    assert max(len(piece.content) for piece in pieces) <= 1000
    assert [name for piece in pieces for name in piece.envelope] == ["BTS"]
    assert bytes(pieces[-1].content) == ONE[:1000]


@given(st.lists(st.sampled_from(PARTS)))
def test_no_byte_that_says_something_is_lost(parts: list[bytes]) -> None:
    content = b"".join(parts)
    pieces = _pieces(content)
    assert pieces
    kept = sum(bytes(piece.content).count(b"x") for piece in pieces)
    in_batch_lines = sum(
        line.count(b"x")
        for line in content.replace(b"\n", b"\r").split(b"\r")
        if any(name in line for name in (b"BTS", b"BHS", b"FTS"))
    )
    assert content.count(b"x") - in_batch_lines <= kept <= content.count(b"x")


def test_a_batch_goes_through_the_feed_and_its_missing_message_is_told(
    intake: Intake, tmp_path: Path
) -> None:
    feed = Feed(intake, RejectStore(tmp_path), ALL)
    assert len(list(feed.read([FIXTURES / "hl7v2/batch.hl7"]))) == 2
    assert feed.report.messages == {"accepted": 2}
    assert feed.report.ignored == {"batch_count_differs": 1}
    for name in ("FHS", "BHS", "BTS", "FTS"):
        assert feed.report.parts[name, Fate.CONTEXT] == 1
    assert b"\xd6" in fixture("hl7v2/batch.hl7")  # latin-1, as MSH-18 says
