"""E2B as XML: what is safe to read is read, anything else is refused with a code, and a batch is cut into reports."""

import gc
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.codec.events import decode_event, encode_event
from pv_stream.ingest.feed import Feed
from pv_stream.ingest.icsr import syntax
from pv_stream.ingest.icsr.batch import is_e2b, split_batch
from pv_stream.ingest.icsr.reader import read_e2b
from pv_stream.ingest.icsr.syntax import read_tree
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, MessageOutcome, Outcome, RejectCode
from pv_stream.ingest.rejects import RejectStore
from pv_stream.ingest.sources import Format, find_format
from tests.unit.ingest.icsr.safety_reports import (
    FIXTURES,
    R2_DRESS,
    RASH,
    Given,
    Onset,
    Version,
    r2,
    r3,
    with_,
)
from tests.unit.ingest.messages import facts

DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>\n'
FILES = [path.read_bytes() for path in sorted(FIXTURES.iterdir())]


def _code(content: bytes, intake: Intake) -> RejectCode:
    outcome = read_e2b(content, intake)
    assert outcome.events == []
    (reject,) = outcome.rejects
    return reject.code


def _after_declaration(content: bytes, inserted: bytes) -> bytes:
    return content.replace(DECLARATION, DECLARATION + inserted)


# Document types and entities -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "doctype",
    [
        b"<!DOCTYPE MCCI_IN200100UV01>",
        b'<!DOCTYPE MCCI_IN200100UV01 SYSTEM "http://127.0.0.1/x.dtd">',
        b'<!DOCTYPE a [<!ENTITY b "c">]>',
        b"<!doctype a>",
        b'<!ENTITY b "c">',
    ],
)
def test_r3_with_a_document_type_is_refused(intake: Intake, doctype: bytes) -> None:
    assert _code(_after_declaration(r3(Version()), doctype), intake) is RejectCode.DOCTYPE_REFUSED


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE ichicsr SYSTEM "ich-icsr-v2.1.dtd">',
        "<!DOCTYPE ichicsr SYSTEM 'http://eudravigilance.ema.europa.eu/dtd/icsr21xml.dtd'>",
        '<!DOCTYPE ichicsr PUBLIC "-//ICHM2//DTD ICH ICSR Vers. 2.1//EN" "ich-icsr-v2.1.dtd" >',
        "<!DOCTYPE ichicsr>",
        "",
        "<!-- a comment --><?a instruction?>\n<!DOCTYPE ichicsr SYSTEM 'a.dtd'>",
    ],
)
def test_r2_may_name_its_document_type(intake: Intake, doctype: str) -> None:
    outcome = read_e2b(r2(R2_DRESS, doctype=doctype), _zoned(intake))
    assert outcome.message is MessageOutcome.ACCEPTED


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE ichicsr SYSTEM "a.dtd" [<!ENTITY b "c">]>',
        '<!DOCTYPE ichicsr [<!ENTITY % b SYSTEM "file:///etc/passwd"> %b;]>',
        "<!DOCTYPE ichicsr [ ]>",
        '<!DOCTYPE html SYSTEM "a.dtd">',
        '<!DOCTYPE ichicsr SYSTEM "a.dtd"><!DOCTYPE ichicsr SYSTEM "a.dtd">',
        f'<!DOCTYPE ichicsr SYSTEM "{"a" * 300}">',
    ],
)
def test_r2_with_any_other_document_type_is_refused(intake: Intake, doctype: str) -> None:
    assert _code(r2(R2_DRESS, doctype=doctype), _zoned(intake)) is RejectCode.DOCTYPE_REFUSED


def test_an_entity_that_nobody_defined_is_no_text(intake: Intake, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("XX-SECRET")
    content = r2(R2_DRESS, company="&file;", doctype="")
    assert _code(content, _zoned(intake)) is RejectCode.MALFORMED_XML


def test_a_document_that_refers_to_a_file_does_not_open_it(intake: Intake, tmp_path: Path) -> None:
    dtd = tmp_path / "a.dtd"
    dtd.write_text('<!ENTITY file "XX-SECRET">')
    content = r2(R2_DRESS, company="&file;", doctype=f'<!DOCTYPE ichicsr SYSTEM "{dtd}">')
    assert _code(content, _zoned(intake)) is RejectCode.MALFORMED_XML


@pytest.mark.parametrize("encoding", ["utf-16", "utf-7", "ebcdic-cp-us", "utf-32", "iso-2022-jp"])
def test_an_encoding_in_which_a_document_type_could_hide_is_refused(intake: Intake, encoding: str) -> None:
    content = r3(Version()).replace(b"utf-8", encoding.encode())
    assert _code(content, intake) is RejectCode.UNREADABLE_CHARACTERS
    assert _code(r3(Version()).decode().encode("utf-16"), intake) is RejectCode.UNREADABLE_CHARACTERS


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("iso-8859-1", "é"), ("windows-1252", "€"), ("shift_jis", "発疹"), ("euc-kr", "발진")],
)
def test_other_alphabets_are_read(intake: Intake, encoding: str, text: str) -> None:
    reaction = f"<reaction><primarysourcereaction>{text}</primarysourcereaction></reaction>"
    content = r2(R2_DRESS + reaction).decode().replace("UTF-8", encoding).encode(encoding)
    outcome = read_e2b(content, _zoned(intake))
    assert (outcome.message, outcome.parts["E.i reaction", Fate.FACT]) == (MessageOutcome.ACCEPTED, 2)


# Limits ----------------------------------------------------------------------------------------------------------


def test_depth_is_capped() -> None:
    allowed = b"<a>" * syntax.DEPTH_MAX + b"</a>" * syntax.DEPTH_MAX
    assert not isinstance(read_tree(allowed), RejectCode)
    assert read_tree(b"<a>" + allowed + b"</a>") is RejectCode.TOO_COMPLEX
    assert read_tree(b"<a>" * 5_000 + b"</a>" * 5_000) is RejectCode.TOO_COMPLEX


def test_attributes_are_capped() -> None:
    def named(count: int) -> bytes:
        return b"<a " + b" ".join(b'a%d="1"' % n for n in range(count)) + b"/>"

    assert not isinstance(read_tree(named(syntax.ATTRIBUTES_MAX)), RejectCode)
    assert read_tree(named(syntax.ATTRIBUTES_MAX + 1)) is RejectCode.TOO_COMPLEX
    assert not isinstance(read_tree(b'<a b="%s"/>' % (b"c" * syntax.ATTRIBUTE_CHARACTERS_MAX)), RejectCode)
    longer = b'<a b="%s"/>' % (b"c" * (syntax.ATTRIBUTE_CHARACTERS_MAX + 1))
    assert read_tree(longer) is RejectCode.TOO_COMPLEX


def test_elements_are_capped() -> None:
    assert not isinstance(read_tree(b"<a>" + b"<b/>" * (syntax.ELEMENTS_MAX - 1) + b"</a>"), RejectCode)
    assert read_tree(b"<a>" + b"<b/>" * syntax.ELEMENTS_MAX + b"</a>") is RejectCode.TOO_COMPLEX


def test_pairs_of_reactions_and_drugs_are_capped(intake: Intake) -> None:
    many = r2("<reaction/>" * 1_000 + "<drug/>" * 100)
    assert [reject.code for reject in read_e2b(many, _zoned(intake)).rejects] == [
        RejectCode.INCOMPLETE_REPORT
    ] * 100
    more = r2("<reaction/>" * 1_000 + "<drug/>" * 101)
    assert _code(more, _zoned(intake)) is RejectCode.TOO_COMPLEX
    version = Version(reactions=[Onset(RASH)] * 400, drugs=[Given()] * 251)
    assert _code(r3(version), intake) is RejectCode.TOO_COMPLEX


LONG = 256 * 1024


@pytest.mark.parametrize(
    "of_length",
    [
        lambda n: b"<a " + b" ".join(b'a%d=""' % each for each in range(n // 3)) + b"/>",
        lambda n: b"<a>" + b"<!--" * (n // 4),
        lambda n: b"<!-- -->" * (n // 8) + b"<a/>",
        lambda n: b"<a " + b'xmlns:a="b" ' * 10 + b">" + b"<![CDATA[" * (n // 9),
        lambda n: b"<safetyreport>" * (n // 14),
        lambda n: b"<safetyreport></safetyreport>" * (n // 29),
        lambda n: b"<a>" + b"&amp;" * (n // 5) + b"</a>",
        lambda n: b"<?" * (n // 2),
        lambda n: b"<!DOCTYPE ichicsr " + b" " * n,
        lambda n: b"<?xml " + b"encoding" * (n // 8),
        lambda n: r2("<reaction/>" * (n // 40) + "<drug/>" * (n // 14), doctype=""),
        lambda n: r2(
            "<reaction/>" + "<drug><drugcharacterization>1</drugcharacterization></drug>" * (n // 60)
        ),
        lambda n: r2("<reaction/>" * (n // 11)),
    ],
    ids=range(13),
)
def test_nothing_long_takes_long(intake: Intake, of_length: Callable[[int], bytes]) -> None:
    """Four times as much would take 16 times as long if it grew with the square: half of that is the bound."""

    def seconds_of_work(content: bytes) -> float:
        """Count the work of this thread only: a machine that is busy or stands still adds nothing to it."""
        gc.disable()
        try:
            before = time.thread_time()
            for part in split_batch(content):
                read_e2b(part.content, intake)
            return time.thread_time() - before
        finally:
            gc.enable()

    quarter = seconds_of_work(of_length(LONG // 4))
    # What is done within half a second is too quick to be compared.
    assert seconds_of_work(of_length(LONG)) < 8 * quarter + 0.5


# Detection and batches -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", FILES)
def test_a_file_is_known_by_its_outermost_element(content: bytes) -> None:
    assert find_format(content, "") is Format.E2B


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'<hl7:MCCI_IN200100UV01 xmlns:hl7="urn:hl7-org:v3">', True),
        (b"<PORR_IN049016UV>", True),
        (b"<ICHICSR LANG='en'>", True),
        (b"<MCCI_IN200101UV01>", False),
        (b"<ichicsrack>", False),
        (b"<ClinicalDocument>", False),
    ],
)
def test_other_xml_is_none(content: bytes, *, expected: bool) -> None:
    assert is_e2b(content) is expected


def test_each_report_of_a_batch_is_a_message_that_knows_its_batch(intake: Intake) -> None:
    content = r3(Version(case="XX-1"), Version(case="XX-2"), Version(case="XX-3"))
    parts = list(split_batch(content))
    assert [content[part.offset : part.offset + part.size][:17] for part in parts] == [
        b"<PORR_IN049016UV>"
    ] * 3
    patients = {event.patient_id for part in parts for event in facts(read_e2b(part.content, intake))}
    assert len(patients) == 3
    whole = read_e2b(content, intake)
    assert {event.patient_id for event in facts(whole)} == patients
    assert {event.version.provenance.path.split("/")[0] for event in facts(whole)} == {
        "report[1]",
        "report[2]",
        "report[3]",
    }


def test_a_report_in_a_comment_or_in_character_data_is_none(intake: Intake) -> None:
    content = r3(Version(case="XX-1"), Version(case="XX-2"))
    for hidden in (b"<!-- <PORR_IN049016UV> -->", b"<text><![CDATA[</PORR_IN049016UV>]]></text>"):
        changed = content.replace(b"<subject typeCode", hidden + b"<subject typeCode")
        parts = list(split_batch(changed))
        assert len(parts) == 2
        assert all(read_e2b(part.content, intake).message is MessageOutcome.ACCEPTED for part in parts)


def _fed(intake: Intake, folder: Path, content: bytes, **more: int) -> Feed:
    (folder / "batch.xml").write_bytes(content)
    feed = Feed(intake, RejectStore(folder / "rejects"), 20_000, **more)  # type: ignore[arg-type]
    list(feed.read([folder / "batch.xml"]))
    return feed


def test_one_report_that_is_broken_takes_no_other_with_it(intake: Intake, tmp_path: Path) -> None:
    content = r3(Version(case="XX-1"), Version(case="XX-2"), Version(case="XX-3"))
    at = content.index(b"XX-2")
    broken = content[:at] + content[at:].replace(b"</text>", b"", 1)
    report = _fed(intake, tmp_path, broken).report
    assert (report.messages["accepted"], dict(report.rejected)) == (2, {"malformed_xml": 1})


def test_a_batch_that_is_cut_off_is_refused_whole(intake: Intake, tmp_path: Path) -> None:
    content = r3(Version(case="XX-1"), Version(case="XX-2"), Version(case="XX-3"))
    report = _fed(intake, tmp_path, content[: content.index(b"XX-3")]).report
    assert (report.messages["rejected"], dict(report.rejected)) == (3, {"malformed_xml": 3})


def test_a_report_that_is_too_long_takes_no_other_with_it(intake: Intake, tmp_path: Path) -> None:
    long = Version(case="XX-2", event_more="<reference>" + "a" * 20_000 + "</reference>")
    report = _fed(intake, tmp_path, r3(Version(case="XX-1"), long, Version(case="XX-3"))).report
    assert (report.messages["accepted"], dict(report.rejected)) == (2, {"too_large": 1})


def test_a_batch_beyond_the_limit_of_a_document_is_refused(intake: Intake, tmp_path: Path) -> None:
    content = r3(*(Version(case=f"XX-{n}") for n in range(20)))
    assert _fed(intake, tmp_path, content, document_bytes_max=len(content)).report.messages["accepted"] == 20
    report = _fed(intake, tmp_path, content, document_bytes_max=len(content) - 1).report
    assert dict(report.rejected) == {"too_large": 1}


# What is incomplete ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "path"),
    [
        (Version(case=""), "C.1.8.1"),
        (Version(latest=""), "C.1.5"),
        (Version(latest="soon"), "C.1.5"),
        (Version(reactions=[]), "E.i"),
        (Version(namespace="urn:other"), ""),
    ],
)
def test_a_report_without_what_it_needs_is_refused(intake: Intake, version: Version, path: str) -> None:
    outcome = read_e2b(r3(version), intake)
    assert outcome.message is MessageOutcome.REJECTED
    (reject,) = outcome.rejects
    assert reject.code is RejectCode.INCOMPLETE_REPORT
    assert reject.path == (path or "C.1.8.1")


def test_the_sender_s_own_identification_stands_in_for_the_worldwide_one(intake: Intake) -> None:
    outcome = read_e2b(r3(with_(Version(), case="", own_id="XX-SYNTH-0001")), intake)
    assert facts(outcome)[0].patient_id == facts(read_e2b(r3(Version()), intake))[0].patient_id


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", RejectCode.EMPTY),
        (b"\xef\xbb\xbf \n", RejectCode.EMPTY),
        (b"<a>", RejectCode.MALFORMED_XML),
        (b"<ClinicalDocument/>", RejectCode.UNSUPPORTED_TYPE),
        (b"<MCCI_IN200101UV01/>", RejectCode.UNSUPPORTED_TYPE),
        (b"<ichicsr/>", RejectCode.INCOMPLETE_REPORT),
        (r3(Version()).replace(b"</text>", b"</TEXT>"), RejectCode.MALFORMED_XML),
        (r2(R2_DRESS).replace(b"</patientinitial>", b""), RejectCode.MALFORMED_XML),
        (
            r3(
                Version(),
                sent="20260301",
            ).replace(b"20260301120000+0000", b"20260301"),
            RejectCode.NO_RECEIVED_AT,
        ),
        (r3(Version(), sent="20520301130000+0000"), RejectCode.RECEIVED_IN_FUTURE),
        (r2(R2_DRESS), RejectCode.NO_RECEIVED_AT),
    ],
)
def test_what_cannot_be_read_has_a_code(intake: Intake, content: bytes, code: RejectCode) -> None:
    assert _code(content, intake) is code


# Any bytes -------------------------------------------------------------------------------------------------------


def _check(outcome: Outcome) -> None:
    for event in outcome.events:
        assert decode_event(encode_event(event)) == event
    assert outcome.events or outcome.rejects


@given(st.binary(max_size=300))
def test_any_bytes_end_with_an_outcome(intake: Intake, content: bytes) -> None:
    for part in split_batch(content):
        _check(read_e2b(part.content, intake))


@given(st.sampled_from(FILES), st.data())
def test_real_reports_with_any_piece_replaced(intake: Intake, content: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(min_value=0, max_value=len(content)))
    end = data.draw(st.integers(min_value=start, max_value=min(len(content), start + 40)))
    changed = content[:start] + data.draw(st.binary(max_size=20)) + content[end:]
    for part in split_batch(changed):
        _check(read_e2b(part.content, _zoned(intake)))


_VALUE = re.compile(rb'(?<=value=")[^"]*|(?<=code=")[^"]*|(?<=>)[^<>\s][^<>]*(?=<)')


@given(st.sampled_from(FILES), st.data())
def test_real_reports_with_any_value_replaced(intake: Intake, content: bytes, data: st.DataObject) -> None:
    spans = [found.span() for found in _VALUE.finditer(content)]
    start, end = data.draw(st.sampled_from(spans))
    texts = st.text(
        st.characters(categories=["L", "N", "P", "Zs"], exclude_characters='<&>"'), max_size=12
    ) | st.sampled_from(
        ["99991231", "1E9", "-1", "1e400", "0", "99999999999999999", "20260230", "\u0661\u0662"]
    )
    changed = content[:start] + data.draw(texts).encode() + content[end:]
    _check(read_e2b(changed, _zoned(intake)))


def _zoned(intake: Intake) -> Intake:
    return Intake(intake.pseudonyms, intake.rulebook, intake.drugs, intake.now, None, 0)


# The fixtures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", FILES)
def test_the_fixtures_are_read_the_same_twice(intake: Intake, content: bytes) -> None:
    assert read_e2b(content, _zoned(intake)) == read_e2b(content, _zoned(intake))


def test_the_sgml_writing_says_the_same_as_the_xml_one(intake: Intake) -> None:
    sgml, xml = ((FIXTURES / name).read_bytes() for name in ("report-r2.sgm", "report-r2.xml"))
    said = [
        [event.version.statement for event in facts(read_e2b(content, _zoned(intake)))]
        for content in (sgml, xml)
    ]
    assert said[0] == said[1]
