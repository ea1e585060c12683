"""UTF-16 is read as UTF-8, and no encoding hides what is refused in another."""

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.domain.times import Instant
from pv_stream.ingest.feed import Feed
from pv_stream.ingest.icsr.acknowledgement import BatchReceipt
from pv_stream.ingest.icsr.encodings import beginning_in_utf8, in_utf8
from pv_stream.ingest.icsr.reader import read_e2b
from pv_stream.ingest.icsr.syntax import DEPTH_MAX, read_tree
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import RejectCode
from pv_stream.ingest.rejects import RejectStore
from pv_stream.ingest.sources import Format, find_format, records
from tests.unit.ingest.icsr.safety_reports import R2_DRESS, Version, r2, r3
from tests.unit.ingest.messages import facts

MARKS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
ENCODINGS = sorted(MARKS)
LIMIT = 1024 * 1024
BATCH = r3(Version(case="XX-1"), Version(case="XX-2"))


def _in_utf16(content: bytes, encoding: str, *, mark: bool = True, declared: str = "UTF-16") -> bytes:
    text = content.decode().replace('encoding="utf-8"', f'encoding="{declared}"')
    text = text.replace('encoding="UTF-8"', f'encoding="{declared}"')
    return (MARKS[encoding] if mark else b"") + text.encode(encoding)


def _zoned(intake: Intake) -> Intake:
    return Intake(intake.pseudonyms, intake.rulebook, intake.drugs, intake.now, None, 0)


def _read_file(content: bytes, intake: Intake, folder: Path) -> Feed:
    path = folder / "in.xml"
    path.write_bytes(content)
    feed = Feed(_zoned(intake), RejectStore(folder / "rejects"), LIMIT)
    list(feed.read([path]))
    return feed


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("mark", [True, False])
def test_a_report_says_the_same_in_utf_16(intake: Intake, encoding: str, *, mark: bool) -> None:
    for content in (r3(Version()), r2(R2_DRESS)):
        changed = _in_utf16(content, encoding, mark=mark)
        assert find_format(changed[:4096], ".xml") is Format.E2B
        said, expected = (
            [event.version.statement for event in facts(read_e2b(each, _zoned(intake)))]
            for each in (changed, content)
        )
        assert said == expected != []


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_batch_in_utf_16_is_cut_into_its_reports_and_acknowledged(
    intake: Intake, tmp_path: Path, encoding: str
) -> None:
    content = _in_utf16(BATCH, encoding)
    feed = _read_file(content, intake, tmp_path)
    assert (feed.report.formats, feed.report.messages) == ({"e2b": 2}, {"accepted": 2})
    receipt = BatchReceipt()
    for _, record in records(tmp_path / "in.xml", Format.AUTO, LIMIT):
        receipt.add(record.content, read_e2b(record.content, _zoned(intake)))
    told = receipt.write(Instant(0)).decode()
    assert (receipt.code, "XX-1" in told, "XX-2" in told) == ("AA", True, True)


def test_one_report_in_utf_16_is_kept_as_it_was_sent(tmp_path: Path) -> None:
    content = _in_utf16(r3(Version()), "utf-16-le")
    path = tmp_path / "in.xml"
    path.write_bytes(content)
    (record,) = (record for _, record in records(path, Format.AUTO, LIMIT))
    assert (record.content, record.offset, record.size) == (content, 0, len(content))


# Hostile ---------------------------------------------------------------------------------------------------------

HIDDEN = '<!DOCTYPE MCCI_IN200100UV01 [<!ENTITY b "c">]>'
FAR = b'<?xml version="1.0"' + b" " * 300 + b'encoding="%s"?>'
DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>\n'


def _after_declaration(content: bytes, inserted: bytes) -> bytes:
    return content.replace(DECLARATION, DECLARATION + inserted)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_document_type_hides_in_utf_16(intake: Intake, tmp_path: Path, encoding: str) -> None:
    hostile = _after_declaration(BATCH, HIDDEN.encode())
    for mark in (True, False):
        feed = _read_file(_in_utf16(hostile, encoding, mark=mark), intake, tmp_path)
        assert feed.report.rejected == {"doctype_refused": 2}
    with_subset = r2(R2_DRESS, doctype='<!DOCTYPE ichicsr SYSTEM "a.dtd" [<!ENTITY b "c">]>')
    assert read_tree(_in_utf16(with_subset, encoding)) is RejectCode.DOCTYPE_REFUSED


@pytest.mark.parametrize("name", [b"UTF-7", b"utf-7", b"UTF-16", b"IBM037", b"UTF-32"])
def test_no_document_type_hides_in_an_encoding_that_is_declared_where_nobody_looks(name: bytes) -> None:
    report = r3(Version()).removeprefix(DECLARATION)
    hidden = HIDDEN.replace("<!", "+ADwAIQ-").encode()
    assert read_tree(FAR % name + hidden + report) is RejectCode.MALFORMED_XML
    assert (
        read_tree(b'<?xml version="1.0" encoding="%s"?>' % name + hidden + report)
        is RejectCode.UNREADABLE_CHARACTERS
    )
    # It is the claim alone that is not believed: without anything hidden the report is read as UTF-8.
    assert not isinstance(read_tree(FAR % name + report), RejectCode)


@pytest.mark.parametrize(
    "content",
    [
        _in_utf16(BATCH, "utf-16-le", declared="utf-8"),
        _in_utf16(BATCH, "utf-16-le", declared="UTF-7"),
        _in_utf16(BATCH, "utf-16-le")[:-1],
        _in_utf16(BATCH, "utf-16-le") + b"\x00\xd8",
        codecs.BOM_UTF32_LE + BATCH.decode().encode("utf-32-le"),
        codecs.BOM_UTF32_BE + BATCH.decode().encode("utf-32-be"),
    ],
)
def test_what_is_not_the_utf_16_that_it_claims_is_refused(content: bytes) -> None:
    assert read_tree(content) is RejectCode.UNREADABLE_CHARACTERS
    swapped = codecs.BOM_UTF16_BE + BATCH.decode().encode("utf-16-le")
    assert read_tree(swapped) is RejectCode.MALFORMED_XML


def test_the_limits_hold_in_utf_16(intake: Intake, tmp_path: Path) -> None:
    deep = b"<ichicsr>" + b"<a>" * DEPTH_MAX + b"</a>" * DEPTH_MAX + b"</ichicsr>"
    assert read_tree(_in_utf16(deep, "utf-16-le")) is RejectCode.TOO_COMPLEX
    long = _after_declaration(r3(Version()), b"<!--" + b" " * LIMIT + b"-->")
    assert _read_file(_in_utf16(long, "utf-16-le"), intake, tmp_path).report.rejected == {"too_large": 1}


@given(content=st.binary(max_size=40), beginning=st.sampled_from([b"", *MARKS.values(), b"<\x00", b"\x00<"]))
def test_no_bytes_raise_and_what_is_read_as_utf_8_is_utf_8(content: bytes, beginning: bytes) -> None:
    whole = beginning + content
    read = in_utf8(whole)
    assert read == whole or read.decode().encode() == read
    beginning_in_utf8(whole).decode(errors="strict" if beginning else "ignore")
