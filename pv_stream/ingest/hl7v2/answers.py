"""Acknowledgements: what a listener says to the sender of an HL7v2 message. Pure bytes, no socket.

An answer is made of the message's own header, with its delimiters, version and character set, sender and receiver
exchanged. Of the message it repeats MSH-3 to MSH-6, MSH-9.2, MSH-10 to MSH-12 and MSH-18, nothing else; what it
adds is codes of docs/ingest.md.

Original mode answers AA, AE or AR. Enhanced mode (MSH-15 or MSH-16 valued, HL7 2.5.1 section 2.9.3) answers the
commit code CA, CE or CR as MSH-15 asks for; with none asked for there, the application code as MSH-16 asks for.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pv_stream.domain.times import Instant, format_instant
from pv_stream.ingest.outcomes import MessageOutcome, Outcome, RejectCode

_HEADER_BYTES_MAX: Final = 8 * 1024
_FRAMING: Final = b"\x0b\x1c \t\r\n"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_NEVER_REPEATED: Final = b"\x0b\x1c\r\n"
_PREFIX_LENGTH: Final = 4
_VERSION: Final = re.compile(rb"(\d{1,3})\.(\d{1,3})", re.ASCII)
#: ERR has its codes since 2.5, MSH-9 its third component since 2.3.1.
_ERROR_SEGMENT_SINCE: Final = (2, 5)
_PARTS_OF_TYPE: Final = 3
#: HL7 table 0155.
_ALWAYS, _NEVER, _ON_ERROR, _ON_SUCCESS = b"AL", b"NE", b"ER", b"SU"
_CONDITIONS: Final = frozenset({_ALWAYS, _NEVER, _ON_ERROR, _ON_SUCCESS})
#: HL7 table 0357; what is not here is 207, application error.
_ERROR_CODES: Final = {
    RejectCode.UNSUPPORTED_TYPE: b"200",
    RejectCode.UNSUPPORTED_VERSION: b"203",
    RejectCode.MISSING_PATIENT: b"101",
    RejectCode.NO_RECEIVED_AT: b"101",
    RejectCode.UNREADABLE_CHARACTERS: b"102",
    RejectCode.MALFORMED_HL7: b"100",
    RejectCode.EMPTY: b"100",
    RejectCode.BATCH_NOT_TAKEN: b"200",
}
#: What the sender should do, where its code alone does not say it.
_ADVICE: Final = {
    RejectCode.BATCH_NOT_TAKEN: "send one message in a frame, or the batch as a file or over HTTP",
}
_APPLICATION_ERROR: Final = b"207"


class Kind(StrEnum):
    """Say what a sender is told; the value is the second letter of the code (HL7 table 0008)."""

    ACCEPTED = "A"
    RETRY = "E"
    REFUSED = "R"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold what the sender is told, why in codes, and the code of HL7 table 0357."""

    kind: Kind
    text: str = ""
    error_code: bytes = _APPLICATION_ERROR


@dataclass(frozen=True, slots=True)
class Header:
    """Hold the fields of MSH as bytes; field n is the one that HL7 numbers so."""

    fields: tuple[bytes, ...]

    def field(self, number: int) -> bytes:
        """Return a field as sent, or nothing; MSH-1 is the separator itself."""
        return self.fields[number - 1] if number <= len(self.fields) else b""

    def wants(self, number: int) -> bytes:
        """Return the condition for an answer in MSH-15 or MSH-16, or nothing when none is stated."""
        stated = self.field(number).strip().upper()
        return stated if stated in _CONDITIONS else b""

    @property
    def delimiters(self) -> bytes:
        """Return every character that separates something."""
        return self.fields[0] + self.fields[1]


#: For a message without a header that could be read.
_NO_HEADER: Final = Header((b"|", b"^~\\&"))


def verdict_of(outcome: Outcome) -> Verdict:
    """Return what the sender of a message is told once its events are durable."""
    refused = sorted({reject.code for reject in outcome.rejects})
    if outcome.message is MessageOutcome.REJECTED:
        code = _ERROR_CODES.get(refused[0], _APPLICATION_ERROR)
        why = "; ".join(
            (f"rejected {' '.join(refused)}", *(_ADVICE[code] for code in refused if code in _ADVICE))
        )
        return Verdict(Kind.REFUSED, why, code)
    held = sorted({hold.code for hold in outcome.holds})
    parts = [f"held {' '.join(held)}"] if held else []
    parts += [f"not read {' '.join(refused)}"] if refused else []
    return Verdict(Kind.ACCEPTED, "; ".join(parts))


def header_of(content: bytes) -> Header | None:
    """Return the header of a message, or None when it cannot be read."""
    begin = content[:_HEADER_BYTES_MAX].lstrip(_FRAMING).removeprefix(_BYTE_ORDER_MARK).lstrip(_FRAMING)
    line = begin.split(b"\r", 1)[0].split(b"\n", 1)[0]
    if len(line) == len(begin) and len(content) > _HEADER_BYTES_MAX:
        return None
    line = line.translate(None, _NEVER_REPEATED)
    separator = line[_PREFIX_LENGTH - 1 : _PREFIX_LENGTH]
    if not line.startswith(b"MSH") or not separator or separator.isalnum() or separator.isspace():
        return None
    fields = line.split(separator)
    return Header((separator, *fields[1:])) if fields[1] else None


def answer(content: bytes, verdict: Verdict, *, now: Instant, control_id: str) -> bytes | None:
    """Return the acknowledgement of a message, or None when its sender asks for none."""
    header = header_of(content) or _NO_HEADER
    initial = _initial(header, verdict.kind)
    if initial is None:
        return None
    segments = [_msh(header, now, control_id), _segment(header, b"MSA", *_msa(header, initial, verdict))]
    if verdict.kind is not Kind.ACCEPTED and _version(header) >= _ERROR_SEGMENT_SINCE:
        segments.append(_err(header, verdict))
    return b"".join(segment + b"\r" for segment in segments)


def _initial(header: Header, kind: Kind) -> bytes | None:
    """Return A for an application code, C for a commit code, None for no answer."""
    commit, application = header.wants(15), header.wants(16)
    if not commit and not application:
        return b"A"
    initial, condition = (b"C", commit) if commit not in {b"", _NEVER} else (b"A", application)
    wanted = {_ALWAYS, _ON_SUCCESS if kind is Kind.ACCEPTED else _ON_ERROR}
    return initial if condition in wanted else None


def _msh(header: Header, now: Instant, control_id: str) -> bytes:
    digits = re.sub(r"\D", "", format_instant(now)[:19])
    fields = [
        header.field(2),
        *(header.field(number) for number in (5, 6, 3, 4)),
        f"{digits}+0000".encode(),
        b"",
        _type(header),
        control_id.encode(),
        header.field(11) or b"P",
        header.field(12) or b"2.5.1",
    ]
    if charset := header.field(18):
        fields += [b""] * 5 + [charset]
    return b"MSH" + header.field(1) + header.field(1).join(fields)


def _type(header: Header) -> bytes:
    """Return ACK with as many components as the message's own type has."""
    mark = header.field(2)[:1]
    parts = header.field(9).split(mark)
    trigger = parts[1:2]
    structure = [b"ACK"] if len(parts) >= _PARTS_OF_TYPE else []
    return mark.join([b"ACK", *trigger, *structure])


def _msa(header: Header, initial: bytes, verdict: Verdict) -> list[bytes]:
    fields = [initial + verdict.kind.value.encode(), header.field(10)]
    return [*fields, _text(header, verdict.text)] if verdict.text else fields


def _err(header: Header, verdict: Verdict) -> bytes:
    """Return ERR with its code, its severity and our own code."""
    code = verdict.error_code + header.field(2)[:1] * 2 + b"HL70357"
    return _segment(header, b"ERR", b"", b"", code, b"E", b"", b"", b"", _text(header, verdict.text))


def _segment(header: Header, name: bytes, *fields: bytes) -> bytes:
    return header.field(1).join((name, *fields))


def _text(header: Header, text: str) -> bytes:
    """Return a text of ours; a character that separates something in this message becomes a space."""
    content = text.encode()
    for delimiter in header.delimiters:
        content = content.replace(bytes((delimiter,)), b" ")
    return content


def _version(header: Header) -> tuple[int, ...]:
    found = _VERSION.match(header.field(12))
    return tuple(map(int, found.groups())) if found else (0,)
