"""HL7 version 2 in its own syntax: delimiters, segments, fields, escapes. It knows no meaning of any segment.

The delimiters are those of MSH, whatever they are. Segments end with CR; LF and CRLF are read too, and a line that
does not begin like a segment continues the one before it, as it does when a note holds a line break.
"""

import re
from dataclasses import dataclass
from typing import Final

from pv_stream.ingest.outcomes import RejectCode

_SEGMENT_NAME: Final = re.compile(r"[A-Z][A-Z0-9]{2}", re.ASCII)
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_HEX_ESCAPE: Final = re.compile(r"X((?:[0-9A-Fa-f]{2})+)", re.ASCII)
_NOT_A_DELIMITER: Final = re.compile(r"[A-Za-z0-9\s]")
_SEGMENT_NAME_LENGTH: Final = 3
#: Character sets of MSH-18 (HL7 table 0211) that Python reads; without one a message is UTF-8.
_CHARACTER_SETS: Final = {
    "ASCII": "ascii",
    "8859/1": "latin-1",
    "8859/2": "iso8859-2",
    "8859/15": "iso8859-15",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
}
_FRAMING: Final = b"\x0b\x1c \t\r\n"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_CHARACTER_SET_FIELD: Final = 18


@dataclass(frozen=True, slots=True)
class Delimiters:
    """Hold the characters that separate the parts of a message; an empty one separates nothing."""

    field: str
    component: str
    repetition: str
    escape: str
    subcomponent: str

    def split(self, text: str, delimiter: str) -> list[str]:
        """Split a text at a delimiter of this message."""
        return text.split(delimiter) if delimiter else [text]

    def unescape(self, text: str) -> str:
        r"""Replace the escapes of delimiters and hexadecimal bytes; formatting escapes become nothing.

        With the usual delimiters 10\S\9/L is 10^9/L.
        """
        if not self.escape or self.escape not in text:
            return text
        parts = text.split(self.escape)
        if len(parts) % 2 == 0:
            return text  # an escape that never ends is text
        return "".join(self._meaning(part) if index % 2 else part for index, part in enumerate(parts))

    def _meaning(self, escape: str) -> str:
        named = {
            "F": self.field,
            "S": self.component,
            "R": self.repetition,
            "E": self.escape,
            "T": self.subcomponent,
        }
        if escape in named:
            return named[escape]
        hexadecimal = _HEX_ESCAPE.fullmatch(escape)
        return bytes.fromhex(hexadecimal[1]).decode("utf-8", errors="replace") if hexadecimal else ""


@dataclass(frozen=True, slots=True)
class Segment:
    """Hold one segment; fields are numbered as HL7 does, from 1."""

    name: str
    fields: tuple[str, ...]
    delimiters: Delimiters

    def raw(self, number: int) -> str:
        """Return a field as sent, or an empty text."""
        return self.fields[number - 1] if number <= len(self.fields) else ""

    def text(self, number: int) -> str:
        """Return a whole field without its escapes."""
        return self.delimiters.unescape(self.raw(number)).strip()

    def repetitions(self, number: int) -> list[str]:
        """Return the repetitions of a field, as sent."""
        return self.delimiters.split(self.raw(number), self.delimiters.repetition)

    def components(self, number: int) -> tuple[str, ...]:
        """Return the components of the first repetition of a field, without their escapes."""
        return self.components_of(self.repetitions(number)[0])

    def components_of(self, repetition: str) -> tuple[str, ...]:
        """Return the components of one repetition, without their escapes."""
        marks = self.delimiters
        return tuple(marks.unescape(part).strip() for part in marks.split(repetition, marks.component))

    def component(self, number: int, position: int) -> str:
        """Return one component of the first repetition of a field, or an empty text; positions count from 1."""
        return part_of(self.components(number), position)

    def subcomponents(self, number: int, position: int) -> tuple[str, ...]:
        """Return the subcomponents of one component of the first repetition, without their escapes."""
        parts = self.delimiters.split(self.repetitions(number)[0], self.delimiters.component)
        return self.subcomponents_of(part_of(parts, position))

    def subcomponents_of(self, component: str) -> tuple[str, ...]:
        """Return the subcomponents of a component as sent, without their escapes."""
        marks = self.delimiters
        return tuple(marks.unescape(part).strip() for part in marks.split(component, marks.subcomponent))


@dataclass(frozen=True, slots=True)
class Message:
    """Hold the segments of one message; the first is MSH."""

    segments: tuple[Segment, ...]

    @property
    def header(self) -> Segment:
        """Return MSH."""
        return self.segments[0]

    @property
    def type(self) -> str:
        """Return message code and trigger event, such as ORU^R01."""
        return "^".join(self.header.components(9)[:2])


def part_of(parts: tuple[str, ...] | list[str], position: int) -> str:
    """Return the part at a position counted from 1, or an empty text."""
    return parts[position - 1] if position <= len(parts) else ""


def parse_message(content: bytes) -> Message | RejectCode:
    """Read one message, or say why it cannot be read."""
    content = content.strip(_FRAMING).removeprefix(_BYTE_ORDER_MARK).strip(_FRAMING)
    if not content:
        return RejectCode.EMPTY
    text = _decoded(content)
    if text is None:
        return RejectCode.UNREADABLE_CHARACTERS
    lines = [line for line in _LINE_END.split(text) if line.strip("\x0b\x1c \t")]
    delimiters = _delimiters(lines[0]) if lines else None
    if delimiters is None:
        return RejectCode.MALFORMED_HL7
    segments: list[Segment] = []
    for line in _joined(lines, delimiters.field):
        name, *fields = line.split(delimiters.field)
        if name == "MSH":
            # MSH-1 is the separator itself.
            fields = [delimiters.field, *fields]
        segments.append(Segment(name, tuple(fields), delimiters))
    if sum(segment.name == "MSH" for segment in segments) != 1:
        return RejectCode.MALFORMED_HL7
    return Message(tuple(segments))


def _decoded(content: bytes) -> str | None:
    """Return the text, in the character set that MSH-18 states or in UTF-8."""
    header = content.splitlines()[0].decode("latin-1")
    fields = header.split(header[3]) if len(header) > _SEGMENT_NAME_LENGTH else []
    # Field n of MSH stands at n - 1, since MSH-1 is the separator itself.
    stated = part_of(fields, _CHARACTER_SET_FIELD).split("~")[0].strip().upper()
    try:
        return content.decode(_CHARACTER_SETS.get(stated, "utf-8"))
    except UnicodeDecodeError:
        return None


def _delimiters(header: str) -> Delimiters | None:
    if not header.startswith("MSH") or len(header) <= _SEGMENT_NAME_LENGTH:
        return None
    separator = header[3]
    encoding = header[4:].split(separator, maxsplit=1)[0][:4]
    marks = separator + encoding
    if not encoding or len(set(marks)) != len(marks) or _NOT_A_DELIMITER.search(marks):
        return None
    component, repetition, escape, subcomponent = (encoding[index : index + 1] for index in range(4))
    return Delimiters(separator, component, repetition, escape, subcomponent)


def _joined(lines: list[str], separator: str) -> list[str]:
    joined: list[str] = []
    for line in lines:
        begins = _SEGMENT_NAME.match(line) and line[_SEGMENT_NAME_LENGTH : _SEGMENT_NAME_LENGTH + 1] in {
            separator,
            "",
        }
        if begins or not joined:
            joined.append(line)
        else:
            joined[-1] = f"{joined[-1]} {line}"
    return joined
