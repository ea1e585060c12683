"""Acknowledgements of safety reports: what a sender is told of a batch, in the version of E2B that it was sent in.

Each report is accepted or refused (R3 ACK.B.r.6: CA, CR; R2 B.1.8: 01, 02), the batch as a whole accepted, accepted in
part, or not parsed at all (R3 ACK.A.4: AA, AE, AR; R2 A.1.6: 01, 02, 03). The reasons are codes of docs/ingest.md. What
names the batch and its reports is repeated as it was sent: an acknowledgement is for its sender alone. What was not
sent, or could not be read, is said to be unknown: an identifier is never empty (HL7's type st), and no date is made up.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from lxml import etree

from pv_stream.domain.events import FactArrived
from pv_stream.domain.times import Instant, format_instant
from pv_stream.ingest.icsr.encodings import beginning_in_utf8
from pv_stream.ingest.icsr.reader import reports_of
from pv_stream.ingest.icsr.syntax import (
    R2_BATCH,
    Element,
    attribute,
    name_of,
    r2_children,
    r2_text,
    read_tree,
)
from pv_stream.ingest.intake import digest_of
from pv_stream.ingest.outcomes import MessageOutcome, Outcome, RejectCode

_HL7: Final = "urn:hl7-org:v3"
_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_ICH: Final = "2.16.840.1.113883.3.989.2.1.3."
_ATTENTION: Final = "2.16.840.1.113883.3.989.2.1.1.24"
_HL7_IDS: Final = "2.16.840.1.113883.1.6"
#: ACK.A.5, ACK.B.r.7.
_TEXT_CHARACTERS_MAX: Final = 250
_DIGITS: Final = 20
#: What HL7's type ts takes, as far as ICH uses it: to the day or finer.
_R3_DATE: Final = re.compile(r"\d{8,14}(\.\d{1,4})?([+-]\d{4})?", re.ASCII)
#: Formats of E2B(R2), CCYYMMDDHHMMSS and CCYYMMDD.
_R2_SECOND: Final = re.compile(r"\d{14}", re.ASCII)
_R2_DAY: Final = re.compile(r"\d{8}", re.ASCII)
_R2_DOCTYPE: Final = '<!DOCTYPE ichicsrack SYSTEM "ich-icsrack-v1_1.dtd">'


@dataclass(frozen=True, slots=True)
class Address:
    """Hold who sent what to whom, and when, as it was written."""

    number: str = ""
    sender: str = ""
    receiver: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Hold one report as its sender names it, and what became of it.

    `version`, `authority`, `company` and `receipt_date` are names of E2B(R2).
    """

    address: Address
    local_number: str
    is_accepted: bool
    reasons: str
    version: str = ""
    authority: str = ""
    company: str = ""
    receipt_date: str = ""


@dataclass(slots=True)
class BatchReceipt:
    """Collect what became of the reports of one batch."""

    is_r2: bool = False
    address: Address = field(default_factory=Address)
    receipts: list[Receipt] = field(default_factory=list)
    unparsed: list[str] = field(default_factory=list)

    def add(self, content: bytes, outcome: Outcome) -> None:
        """Take one message: what it is in its batch, and how it ended."""
        root = read_tree(content)
        digest = digest_of(content).removeprefix("sha256:")[:_DIGITS]
        reports = [] if isinstance(root, RejectCode) else list(reports_of(root))
        if isinstance(root, RejectCode) or not reports:
            self.is_r2 = self.is_r2 or b"ichicsr" in beginning_in_utf8(content[:4096]).lower()
            self.unparsed.append(_reasons(outcome))
            return
        self.is_r2 = name_of(root) == R2_BATCH
        self.address = _r2_address(root) if self.is_r2 else _r3_address(root)
        for number, report in enumerate(reports, start=1):
            told = outcome if len(reports) == 1 else _of_report(outcome, f"report[{number}]")
            self.receipts.append((_r2_receipt if self.is_r2 else _r3_receipt)(report, digest, told))

    @property
    def code(self) -> str:
        """Return how the batch ended: AA, AE or AR."""
        if not self.receipts:
            return "AR"
        return "AA" if not self.unparsed and all(each.is_accepted for each in self.receipts) else "AE"

    def write(self, now: Instant) -> bytes:
        """Return the acknowledgement, dated now."""
        # An instant is written as HL7 does: 20260301120000, with an offset where the standard takes one.
        stamp = format_instant(now)[:19].translate(str.maketrans("", "", "-:T"))
        return _r2_document(self, stamp) if self.is_r2 else _r3_document(self, stamp)

    @property
    def local_number(self) -> str:
        """Return our own number of the batch: derived from its reports, so that it is the same each time."""
        parts = (self.address.number, *(each.local_number for each in self.receipts))
        return digest_of("\x1f".join(parts).encode(errors="surrogatepass")).removeprefix("sha256:")[:_DIGITS]

    @property
    def text(self) -> str:
        """Return why messages could not be parsed."""
        return _limited(f"not parsed: {reason}" for reason in self.unparsed)


def _of_report(outcome: Outcome, place: str) -> Outcome:
    """Return what became of one report of a document that holds several."""

    def is_of(path: str) -> bool:
        return path == place or path.startswith(f"{place}/")

    facts = (event for event in outcome.events if isinstance(event, FactArrived))
    return Outcome(
        events=[event for event in facts if is_of(event.version.provenance.path)],
        holds=[hold for hold in outcome.holds if is_of(hold.path)],
        rejects=[reject for reject in outcome.rejects if is_of(reject.path)],
    )


def _reasons(outcome: Outcome) -> str:
    is_rejected = outcome.message is MessageOutcome.REJECTED
    refused = "rejected" if is_rejected else "entry refused"
    found = [f"{refused}: {reject.code.value} {reject.path}".rstrip() for reject in outcome.rejects]
    found += [f"held: {hold.code.value} {hold.path}" for hold in outcome.holds]
    return _limited(found)


def _limited(texts: Iterable[str]) -> str:
    return "; ".join(texts)[:_TEXT_CHARACTERS_MAX]


# What was received -----------------------------------------------------------------------------------------------


def _r3_address(element: Element) -> Address:
    return Address(
        number=attribute(element, "id", "extension"),
        sender=attribute(element, "sender/device/id", "extension"),
        receiver=attribute(element, "receiver/device/id", "extension"),
        date=attribute(element, "creationTime", "value"),
    )


def _r3_receipt(report: Element, digest: str, outcome: Outcome) -> Receipt:
    address = _r3_address(report)
    return Receipt(address, digest, outcome.message is not MessageOutcome.REJECTED, _reasons(outcome))


def _r2_address(root: Element) -> Address:
    header = next(r2_children(root, "ichicsrmessageheader"), None)
    return Address(
        number=r2_text(header, "messagenumb"),
        sender=r2_text(header, "messagesenderidentifier"),
        receiver=r2_text(header, "messagereceiveridentifier"),
        date=r2_text(header, "messagedate"),
    )


def _r2_receipt(report: Element, digest: str, outcome: Outcome) -> Receipt:
    return Receipt(
        Address(number=r2_text(report, "safetyreportid")),
        digest,
        outcome.message is not MessageOutcome.REJECTED,
        _reasons(outcome),
        version=r2_text(report, "safetyreportversion"),
        authority=r2_text(report, "authoritynumb"),
        company=r2_text(report, "companynumb"),
        receipt_date=r2_text(report, "receiptdate"),
    )


# E2B(R3) ---------------------------------------------------------------------------------------------------------


def _r3_document(batch: BatchReceipt, stamp: str) -> bytes:
    names: dict[Any, str] = {None: _HL7, "xsi": _XSI}
    root = etree.Element(f"{{{_HL7}}}MCCI_IN200101UV01", nsmap=names)
    root.set("ITSVersion", "XML_1.0")
    _add(root, "id", extension=batch.local_number, root=f"{_ICH}20")
    _add(root, "creationTime", value=f"{stamp}+0000")
    _add(root, "responseModeCode", code="D")
    _add(root, "interactionId", extension="MCCI_IN200101UV01", root=_HL7_IDS)
    for receipt in batch.receipts:
        _r3_report(root, receipt, stamp)
    _device(root, "receiver", "RCV", batch.address.sender, "18")
    _device(root, "sender", "SND", batch.address.receiver, "17")
    number = _attention(root, "2", "acknowledgementLocalMessageNumber")
    number.set(f"{{{_XSI}}}type", "II")
    number.set("extension", batch.local_number)
    number.set("root", f"{_ICH}21")
    if _R3_DATE.fullmatch(batch.address.date):
        _dated(root, "3", "dateOfIcsrBatchTransmission", batch.address.date)
    acknowledgement = _add(root, "acknowledgement", typeCode=batch.code)
    _identifier(_add(acknowledgement, "targetBatch"), batch.address.number, "22")
    _detail(acknowledgement, batch.text)
    return etree.tostring(root, xml_declaration=True, encoding="utf-8", pretty_print=True)


def _r3_report(root: Element, receipt: Receipt, stamp: str) -> None:
    message = _add(root, "MCCI_IN000002UV01")
    _add(message, "id", extension=receipt.local_number, root=f"{_ICH}19")
    _add(message, "creationTime", value=f"{stamp}+0000")
    _add(message, "interactionId", extension="MCCI_IN000002UV01", root=_HL7_IDS)
    _add(message, "processingCode", code="P")
    _add(message, "processingModeCode", code="T")
    _add(message, "acceptAckCode", code="NE")
    _device(message, "receiver", "RCV", receipt.address.sender, "16")
    _device(message, "sender", "SND", receipt.address.receiver, "15")
    if _R3_DATE.fullmatch(receipt.address.date):
        _dated(message, "1", "dateOfIcsrMessageCreation", receipt.address.date)
    acknowledgement = _add(message, "acknowledgement", typeCode="CA" if receipt.is_accepted else "CR")
    _identifier(_add(acknowledgement, "targetMessage"), receipt.address.number, "1")
    _detail(acknowledgement, receipt.reasons)


def _add(parent: Element, name: str, **attributes: str) -> Element:
    return etree.SubElement(parent, f"{{{_HL7}}}{name}", attributes)


def _device(parent: Element, name: str, kind: str, identifier: str, root: str) -> None:
    device = _add(_add(parent, name, typeCode=kind), "device", classCode="DEV", determinerCode="INSTANCE")
    _identifier(device, identifier, root)


def _identifier(parent: Element, identifier: str, root: str) -> None:
    if identifier:
        _add(parent, "id", extension=identifier, root=f"{_ICH}{root}")
    else:
        _add(parent, "id", nullFlavor="NI")


def _attention(parent: Element, code: str, display: str) -> Element:
    line = _add(parent, "attentionLine")
    _add(line, "keyWordText", code=code, codeSystem=_ATTENTION, codeSystemVersion="1.0", displayName=display)
    return _add(line, "value")


def _dated(parent: Element, code: str, display: str, date: str) -> None:
    value = _attention(parent, code, display)
    value.set(f"{{{_XSI}}}type", "TS")
    value.set("value", date)


def _detail(acknowledgement: Element, text: str) -> None:
    if text:
        _add(_add(acknowledgement, "acknowledgementDetail"), "text").text = text


# E2B(R2) ---------------------------------------------------------------------------------------------------------

#: Elements that must be there, empty where nothing is known.
_R2_REQUIRED: Final = frozenset({
    "messagesenderidentifier", "messagereceiveridentifier", "icsrmessagenumb", "icsrmessagesenderidentifier",
    "icsrmessagereceiveridentifier", "safetyreportid",
})  # fmt: skip
_R2_BATCH_CODES: Final = {"AA": "01", "AE": "02", "AR": "03"}


def _r2_document(batch: BatchReceipt, stamp: str) -> bytes:
    root = etree.Element("ichicsrack", lang="en")
    header = etree.SubElement(root, "ichicsrmessageheader")
    _texts(
        header,
        messagetype="ichicsrack",
        messageformatversion="1.1",
        messageformatrelease="1.0",
        messagenumb=batch.local_number,
        messagesenderidentifier=batch.address.receiver,
        messagereceiveridentifier=batch.address.sender,
        messagedateformat="204",
        messagedate=stamp,
    )
    acknowledgment = etree.SubElement(root, "acknowledgment")
    _texts(
        etree.SubElement(acknowledgment, "messageacknowledgment"),
        icsrmessagenumb=batch.address.number,
        localmessagenumb=batch.local_number,
        icsrmessagesenderidentifier=batch.address.sender,
        icsrmessagereceiveridentifier=batch.address.receiver,
        **_r2_dated("icsrmessagedate", batch.address.date, "204", _R2_SECOND),
        transmissionacknowledgmentcode=_R2_BATCH_CODES[batch.code],
        parsingerrormessage=batch.text,
    )
    for receipt in batch.receipts:
        _texts(
            etree.SubElement(acknowledgment, "reportacknowledgment"),
            safetyreportid=receipt.address.number,
            safetyreportversion=receipt.version,
            localreportnumb=receipt.local_number,
            authoritynumb=receipt.authority,
            companynumb=receipt.company,
            **_r2_dated("receiptdate", receipt.receipt_date, "102", _R2_DAY),
            reportacknowledgmentcode="01" if receipt.is_accepted else "02",
            errormessagecomment=receipt.reasons,
        )
    return etree.tostring(
        root, xml_declaration=True, encoding="utf-8", pretty_print=True, doctype=_R2_DOCTYPE
    )


def _r2_dated(name: str, date: str, form: str, pattern: re.Pattern[str]) -> dict[str, str]:
    return {f"{name}format": form, name: date} if pattern.fullmatch(date) else {}


def _texts(parent: Element, **texts: str) -> None:
    """Add an element for each text that is not empty or must be there, in this order, which is that of the DTD."""
    for name, text in texts.items():
        if text or name in _R2_REQUIRED:
            etree.SubElement(parent, name).text = text
