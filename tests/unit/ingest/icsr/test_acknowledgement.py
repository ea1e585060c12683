"""Acknowledgements: what a sender is told of each report, read back by the element paths of ICH's guide."""

import stat
from pathlib import Path
from typing import Any, Final

import pytest
from lxml import etree
from typer.testing import CliRunner, Result

from pv_stream.cli.main import app
from pv_stream.domain.times import parse_instant
from pv_stream.ingest.icsr.acknowledgement import BatchReceipt
from pv_stream.ingest.icsr.batch import split_batch
from pv_stream.ingest.icsr.reader import read_e2b
from pv_stream.ingest.intake import Intake
from tests.unit.ingest.icsr.safety_reports import FIXTURES, R2_DRESS, Given, Onset, Version, r2, r3

NOW = parse_instant("2026-11-21T12:34:56Z")
NAMES: Final = {"h": "urn:hl7-org:v3"}
_BATCH: Final = "/h:MCCI_IN200101UV01"
_MESSAGE: Final = f"{_BATCH}/h:MCCI_IN000002UV01"
_ROOT: Final = "2.16.840.1.113883.3.989.2.1.3."
#: ICH E2B(R3) implementation guide, section 4: ICSR acknowledgement.
PATHS: Final = {
    "ACK.M.1": f"{_BATCH}/h:id[@root='{_ROOT}20']/@extension",
    "ACK.M.2": f"{_BATCH}/h:sender/h:device/h:id[@root='{_ROOT}17']/@extension",
    "ACK.M.3": f"{_BATCH}/h:receiver/h:device/h:id[@root='{_ROOT}18']/@extension",
    "ACK.M.4": f"{_BATCH}/h:creationTime/@value",
    "ACK.A.1": f"{_BATCH}/h:acknowledgement/h:targetBatch/h:id[@root='{_ROOT}22']/@extension",
    "ACK.A.2": f"{_BATCH}/h:attentionLine[h:keyWordText/@code='2']/h:value[@root='{_ROOT}21']/@extension",
    "ACK.A.3": f"{_BATCH}/h:attentionLine[h:keyWordText/@code='3']/h:value/@value",
    "ACK.A.4": f"{_BATCH}/h:acknowledgement/@typeCode",
    "ACK.A.5": f"{_BATCH}/h:acknowledgement/h:acknowledgementDetail/h:text/text()",
    "ACK.B.r.1": f"{_MESSAGE}/h:acknowledgement/h:targetMessage/h:id[@root='{_ROOT}1']/@extension",
    "ACK.B.r.2": f"{_MESSAGE}/h:id[@root='{_ROOT}19']/@extension",
    "ACK.B.r.3": f"{_MESSAGE}/h:receiver/h:device/h:id[@root='{_ROOT}16']/@extension",
    "ACK.B.r.4": f"{_MESSAGE}/h:sender/h:device/h:id[@root='{_ROOT}15']/@extension",
    "ACK.B.r.5": f"{_MESSAGE}/h:attentionLine[h:keyWordText/@code='1']/h:value/@value",
    "ACK.B.r.6": f"{_MESSAGE}/h:acknowledgement/@typeCode",
    "ACK.B.r.7": f"{_MESSAGE}/h:acknowledgement/h:acknowledgementDetail/h:text/text()",
}


def _acknowledged(content: bytes, intake: Intake) -> bytes:
    batch = BatchReceipt()
    for part in split_batch(content):
        batch.add(part.content, read_e2b(part.content, intake))
    return batch.write(NOW)


def _r3(content: bytes, intake: Intake) -> dict[str, list[str]]:
    root = etree.fromstring(_acknowledged(content, intake))
    return {name: _texts(root, path) for name, path in PATHS.items()}


def _texts(root: etree._Element, path: str) -> list[str]:
    found: Any = root.xpath(path, namespaces=NAMES)
    return [str(each) for each in found]


def _r2(content: bytes, intake: Intake) -> etree._Element:
    parser = etree.XMLParser(load_dtd=False, no_network=True, resolve_entities=False)
    return etree.fromstring(_acknowledged(content, intake), parser)


@pytest.fixture
def zoned(intake: Intake) -> Intake:
    """An intake of a facility in UTC."""
    return Intake(intake.pseudonyms, intake.rulebook, intake.drugs, intake.now, None, 0)


def test_a_batch_that_was_read_is_accepted(intake: Intake) -> None:
    told = _r3(r3(Version(case="XX-1"), Version(case="XX-2")), intake)
    assert told == {
        "ACK.M.1": told["ACK.A.2"],
        "ACK.M.2": ["RECEIVER-B"],
        "ACK.M.3": ["SENDER-B"],
        "ACK.M.4": ["20261121123456+0000"],
        "ACK.A.1": ["BATCH-1"],
        "ACK.A.2": told["ACK.M.1"],
        "ACK.A.3": ["20260301130000+0000"],
        "ACK.A.4": ["AA"],
        "ACK.A.5": [],
        "ACK.B.r.1": ["XX-1", "XX-2"],
        "ACK.B.r.2": told["ACK.B.r.2"],
        "ACK.B.r.3": ["SENDER-M", "SENDER-M"],
        "ACK.B.r.4": ["RECEIVER-M", "RECEIVER-M"],
        "ACK.B.r.5": ["20260301120000+0000", "20260301120000+0000"],
        "ACK.B.r.6": ["CA", "CA"],
        "ACK.B.r.7": [],
    }
    assert len(set(told["ACK.B.r.2"])) == 2


def test_a_report_that_was_refused_makes_it_an_error_and_says_why(intake: Intake) -> None:
    told = _r3(r3(Version(case="XX-1"), Version(case="XX-2", latest="")), intake)
    assert told["ACK.A.4"] == ["AE"]
    assert told["ACK.B.r.6"] == ["CA", "CR"]
    assert told["ACK.B.r.7"] == ["rejected: incomplete_report C.1.5"]


def test_what_was_held_or_refused_inside_a_report_is_told(intake: Intake) -> None:
    version = Version(reactions=[Onset(low="20520101")], drugs=[Given(role="")])
    told = _r3(r3(version), intake)
    assert (told["ACK.A.4"], told["ACK.B.r.6"]) == (["AA"], ["CA"])
    assert told["ACK.B.r.7"] == ["entry refused: incomplete_report G.k[1]; held: time_in_future E.i[1]"]


def test_a_document_that_was_read_whole_tells_each_report_its_own(intake: Intake) -> None:
    held = Version(case="XX-3", reactions=[Onset(low="20520101")])
    content = r3(Version(case="XX-1"), Version(case="XX-2", latest=""), held)
    batch = BatchReceipt()
    batch.add(content, read_e2b(content, intake))
    assert [(each.is_accepted, each.reasons) for each in batch.receipts] == [
        (True, ""),
        (False, "rejected: incomplete_report report[2]/C.1.5"),
        (True, "held: time_in_future report[3]/E.i[1]"),
    ]


def test_no_reason_is_longer_than_the_standard_allows(intake: Intake) -> None:
    version = Version(drugs=[Given(role="")] * 40)
    (text,) = _r3(r3(version), intake)["ACK.B.r.7"]
    assert len(text) == 250


def test_a_batch_that_could_not_be_parsed_is_to_be_sent_again(intake: Intake) -> None:
    told = _r3(r3(Version(case="XX-1"), Version(case="XX-2"))[:-40], intake)
    assert (told["ACK.A.4"], told["ACK.B.r.6"]) == (["AR"], [])
    assert told["ACK.A.5"] == ["; ".join(["not parsed: rejected: malformed_xml"] * 2)]


def test_one_report_that_could_not_be_parsed_is_told_of_the_batch(intake: Intake) -> None:
    content = r3(Version(case="XX-1"), Version(case="XX-2"))
    told = _r3(content[: content.rindex(b"XX-2")] + b"<" + content[content.rindex(b"XX-2") :], intake)
    assert (told["ACK.A.4"], told["ACK.B.r.1"], told["ACK.B.r.6"]) == (["AE"], ["XX-1"], ["CA"])


def test_an_acknowledgement_of_r2(zoned: Intake) -> None:
    written = _acknowledged(r2(R2_DRESS), zoned)
    assert b'<!DOCTYPE ichicsrack SYSTEM "ich-icsrack-v1_1.dtd">' in written
    root = _r2(r2(R2_DRESS), zoned)
    assert root.tag == "ichicsrack"
    header, acknowledgment = root
    assert [(each.tag, each.text) for each in header if each.tag != "messagenumb"] == [
        ("messagetype", "ichicsrack"),
        ("messageformatversion", "1.1"),
        ("messageformatrelease", "1.0"),
        ("messagesenderidentifier", "RECEIVER"),
        ("messagereceiveridentifier", "SENDER"),
        ("messagedateformat", "204"),
        ("messagedate", "20261121123456"),
    ]
    message, report = acknowledgment
    assert message.findtext("icsrmessagenumb") == "MSG-1"
    assert message.findtext("transmissionacknowledgmentcode") == "01"
    assert [each.tag for each in report] == [
        "safetyreportid",
        "safetyreportversion",
        "localreportnumb",
        "companynumb",
        "receiptdateformat",
        "receiptdate",
        "reportacknowledgmentcode",
    ]
    assert (report.findtext("safetyreportid"), report.findtext("reportacknowledgmentcode")) == ("SR-1", "01")


def test_an_acknowledgement_of_r2_that_was_refused(zoned: Intake) -> None:
    root = _r2(r2(""), zoned)
    assert root.findtext("acknowledgment/messageacknowledgment/transmissionacknowledgmentcode") == "02"
    assert root.findtext("acknowledgment/reportacknowledgment/reportacknowledgmentcode") == "02"
    told = root.findtext("acknowledgment/reportacknowledgment/errormessagecomment")
    assert told == "rejected: incomplete_report E.i"
    broken = _r2(r2("<reaction>"), zoned)
    assert broken.findtext("acknowledgment/messageacknowledgment/transmissionacknowledgmentcode") == "03"


def test_an_acknowledgement_is_the_same_each_time_but_for_its_date(intake: Intake) -> None:
    assert _acknowledged(r3(Version()), intake) == _acknowledged(r3(Version()), intake)


# The command -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PV_STREAM_PSEUDONYM_KEY", "a key for the tests of acknowledgements")


def _ingest(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["ingest", *map(str, arguments)])


def test_the_command_writes_one_for_its_owner_alone(tmp_path: Path) -> None:
    result = _ingest(FIXTURES / "batch.xml", "--to", "e.jsonl", "--ack", "ack.xml")
    assert (result.exit_code, "ack.xml" in result.stderr) == (0, True)
    assert stat.S_IMODE((tmp_path / "ack.xml").stat().st_mode) == 0o600
    root = etree.parse(tmp_path / "ack.xml").getroot()
    assert _texts(root, PATHS["ACK.B.r.6"]) == ["CA", "CA", "CR"]


def test_several_inputs_have_a_folder(tmp_path: Path) -> None:
    (tmp_path / "acks").mkdir()
    (tmp_path / "not.hl7").write_text("MSH|^~\\&|")
    inputs = (FIXTURES / "batch.xml", "not.hl7", FIXTURES / "report-r2.xml")
    refused = _ingest(*inputs, "--to", "e.jsonl", "--ack", "ack.xml")
    assert refused.exit_code != 0
    assert "name a folder" in str(refused.exception)
    assert _ingest(*inputs, "--to", "e.jsonl", "--utc-offset", "+00:00", "--ack", "acks").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "acks").iterdir()) == [
        "batch.xml.ack.xml",
        "report-r2.xml.ack.xml",
    ]


def test_an_acknowledgement_never_replaces_its_input(tmp_path: Path) -> None:
    (tmp_path / "in.xml").write_bytes((FIXTURES / "batch.xml").read_bytes())
    assert _ingest("in.xml", "--to", "e.jsonl", "--ack", "in.xml").exit_code != 0
    assert (tmp_path / "in.xml").read_bytes() == (FIXTURES / "batch.xml").read_bytes()


def test_nothing_is_acknowledged_when_the_events_were_not_written(tmp_path: Path) -> None:
    result = _ingest(FIXTURES / "batch.xml", "--to", "no/such/folder/e.jsonl", "--ack", "ack.xml")
    assert result.exit_code != 0
    assert not (tmp_path / "ack.xml").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    result = _ingest(FIXTURES / "batch.xml", "--to", "e.jsonl", "--ack", "no/such/folder/ack.xml")
    assert "--ack no/such/folder/ack.xml" in str(result.exception)
    assert list(tmp_path.glob("**/*.partial")) == []
