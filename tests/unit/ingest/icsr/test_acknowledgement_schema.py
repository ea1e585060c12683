"""Every acknowledgement that we write fits what ICH lays down: elements, order, identifiers, codes, lengths."""

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from pv_stream.domain.times import parse_instant
from pv_stream.ingest.icsr.acknowledgement import BatchReceipt
from pv_stream.ingest.icsr.batch import split_batch
from pv_stream.ingest.icsr.reader import read_e2b
from pv_stream.ingest.intake import Intake
from tests.unit.ingest.icsr.safety_reports import FIXTURES, R2_DRESS, Given, Onset, Version, r2, r3

HERE = Path(__file__).parent
R3_SCHEMA = etree.RelaxNG(etree.parse(HERE / "acknowledgement-r3.rng"))
with (HERE / "acknowledgement-r2.dtd").open("rb") as file:
    R2_SCHEMA = etree.DTD(file)
LONG = "N" * 300
TWO = r3(Version(case="XX-1"), Version(case="XX-2"))

BATCHES = {
    "accepted": TWO,
    "one refused": r3(Version(case="XX-1"), Version(case="XX-2", latest="")),
    "held": r3(Version(reactions=[Onset(low="20520101")], drugs=[Given(role="")])),
    "many reasons": r3(Version(drugs=[Given(role="")] * 40)),
    "cut off": TWO[:-40],
    "one not parsed": TWO.replace(b"XX-2", b"<XX-2", 1),
    "no XML": b"hello",
    "without names": r3(Version()).replace(b"SENDER-B", b"").replace(b"BATCH-1", b""),
    "names too long": r3(Version(case=LONG))
    .replace(b"BATCH-1", LONG.encode())
    .replace(b"SENDER-M", LONG.encode()),
    "a time that is none": r3(Version()).replace(b"20260301130000+0000", b"yesterday"),
    "published": (FIXTURES / "batch.xml").read_bytes(),
    "R2 accepted": r2(R2_DRESS),
    "R2 refused": r2(""),
    "R2 not parsed": r2("<reaction>"),
    "R2 without names": r2(R2_DRESS).replace(b"MSG-1", b"").replace(b"SENDER<", b"<"),
    "R2 in capitals": (FIXTURES / "report-r2.sgm").read_bytes(),
}


def acknowledged(content: bytes, intake: Intake) -> etree._Element:
    """Return the acknowledgement of a batch as its sender parses it."""
    batch = BatchReceipt()
    for part in split_batch(content):
        batch.add(part.content, read_e2b(part.content, intake))
    written = batch.write(parse_instant("2026-11-21T12:34:56Z"))
    return etree.fromstring(written, etree.XMLParser(load_dtd=False, no_network=True, resolve_entities=False))


def faults(root: etree._Element) -> list[str]:
    """Return what does not fit the schema of its version."""
    schema: Any = R2_SCHEMA if root.tag == "ichicsrack" else R3_SCHEMA
    schema.validate(root)
    return [error.message for error in schema.error_log]


@pytest.mark.parametrize("name", BATCHES)
def test_an_acknowledgement_fits_its_schema(intake: Intake, name: str) -> None:
    root = acknowledged(BATCHES[name], intake)
    assert (root.tag == "ichicsrack") is name.startswith("R2")
    assert faults(root) == []


@pytest.mark.parametrize("name", ["accepted", "one refused", "R2 accepted"])
def test_the_schema_misses_no_element_and_no_attribute(intake: Intake, name: str) -> None:
    """Without any one of them it does not fit, but for what may be left out; nor without any one of its attributes."""
    optional = {
        "localmessagenumb",
        "safetyreportversion",
        "localreportnumb",
        "companynumb",
        "receiptdateformat",
    }
    optional |= {
        "receiptdate",
        "icsrmessagedateformat",
        "icsrmessagedate",
        "attentionLine",
        "acknowledgementDetail",
    }
    optional |= {"MCCI_IN000002UV01", "reportacknowledgment", "errormessagecomment"}
    count = len(list(acknowledged(BATCHES[name], intake).iter()))
    tried = 0
    for number in range(1, count):
        root = acknowledged(BATCHES[name], intake)
        element = list(root.iter())[number]
        parent = element.getparent()
        assert parent is not None
        if etree.QName(element).localname not in optional:
            parent.remove(element)
            assert faults(root), etree.QName(element).localname
            tried += 1
        for attribute in element.attrib:
            changed = acknowledged(BATCHES[name], intake)
            del list(changed.iter())[number].attrib[attribute]
            assert faults(changed), (element.tag, attribute)
    assert tried > count // 2
