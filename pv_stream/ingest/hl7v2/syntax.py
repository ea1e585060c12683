"""HL7 version 2 in its own syntax: delimiters, segments, fields, escapes. It knows no meaning of any segment.

The delimiters are those of MSH, whatever they are. Segments end with CR; LF and CRLF are read too, and a line that
does not begin like a segment continues the one before it, as it does when a note holds a line break. A field is taken
apart only when it is asked for: most of a message never is. A line that begins like a segment but for blanks or small
letters is no text: what it was to say cannot be told, so the message is refused.
"""

import re
from contextlib import suppress
from functools import lru_cache
from typing import Final

from pv_stream.ingest.hl7v2.charsets import CHARACTER_SET_FIELD, codec_of, decoded
from pv_stream.ingest.outcomes import Fate, RejectCode

_SEGMENT_NAME: Final = r"[A-Z][A-Z0-9]{2}"
_LINE_END: Final = re.compile(r"\r\n|\r|\n|\x1c")
_HEX_ESCAPE: Final = re.compile(r"X((?:[0-9A-Fa-f]{2})+)", re.ASCII)
_LAYOUT: Final = re.compile(r"\.(?:br|sp|fi|nf|in|ti|sk|ce)(?:[+-]?[0-9]+)?", re.ASCII | re.IGNORECASE)
_NOT_A_DELIMITER: Final = re.compile(r"[A-Za-z0-9\s]")
_NAME_LENGTH: Final = 3
#: Segments that carry facts, or say whose and when.
_TELLING: Final = frozenset(
    {"DG1", "MRG", "MSH", "OBR", "OBX", "ORC", "PID", "RXA", "RXC", "RXD", "RXE", "RXO", "SPM", "TQ1"}
)
_BATCH: Final = frozenset({"FHS", "BHS", "BTS", "FTS"})


class Delimiters:
    """Hold the characters that separate the parts of a message; an empty one separates nothing."""

    __slots__ = ("_codec", "_named", "component", "escape", "field", "repetition", "subcomponent")

    def __init__(  # noqa: PLR0913 - as many as MSH names, and the character set
        self,
        field: str,
        component: str,
        repetition: str,
        escape: str,
        subcomponent: str,
        *,
        codec: str = "utf-8",
    ) -> None:
        """Take the five characters, and the codec of bytes that are written as digits.

        A truncation character of version 2.7 separates nothing.
        """
        self.field = field
        self.component = component
        self.repetition = repetition
        self.escape = escape
        self.subcomponent = subcomponent
        self._codec = codec
        highlighting = {"H": "", "N": ""}
        self._named = highlighting | {
            "F": field,
            "S": component,
            "R": repetition,
            "E": escape,
            "T": subcomponent,
        }

    def unescape(self, text: str) -> str:
        r"""Replace the escapes of delimiters, bytes and layout; what has no meaning here stays as sent.

        With the usual delimiters 10\S\9/L is 10^9/L. Layout breaks the line, so that no two parts become one number.
        """
        if not self.escape or self.escape not in text:
            return text
        parts = text.split(self.escape)
        if len(parts) % 2 == 0:
            return text  # an escape that never ends is text
        return "".join(self._meaning(part) if index % 2 else part for index, part in enumerate(parts))

    def parts(self, text: str, delimiter: str) -> list[str]:
        """Split a text at a delimiter of this message, without escapes and outer blanks."""
        parts = text.split(delimiter) if delimiter else [text]
        if self.escape and self.escape in text:
            parts = [self.unescape(part) for part in parts]
        return list(map(str.strip, parts))

    def _meaning(self, escape: str) -> str:
        named = self._named.get(escape)
        if named is not None:
            return named
        if _LAYOUT.fullmatch(escape):
            return "\n"
        if hexadecimal := _HEX_ESCAPE.fullmatch(escape):
            with suppress(UnicodeDecodeError):
                return bytes.fromhex(hexadecimal[1]).decode(self._codec)
        return f"{self.escape}{escape}{self.escape}"


class Segment:
    """Hold one segment; fields are numbered as HL7 does, from 1, and so are components.

    `fate` says what became of it, once a reader knows.
    """

    __slots__ = ("delimiters", "fate", "fields", "name")

    def __init__(self, fields: list[str], delimiters: Delimiters) -> None:
        """Take the fields as sent; the first is the name of the segment."""
        self.name = fields[0]
        self.fields = fields
        self.delimiters = delimiters
        self.fate: Fate | None = None

    def raw(self, number: int) -> str:
        """Return a field as sent, or an empty text."""
        fields = self.fields
        return fields[number] if number < len(fields) else ""

    def text(self, number: int) -> str:
        """Return a whole field without its escapes."""
        fields, marks = self.fields, self.delimiters
        raw = fields[number] if number < len(fields) else ""
        return (marks.unescape(raw) if marks.escape in raw else raw).strip()

    def repetitions(self, number: int) -> list[str]:
        """Return the repetitions of a field, as sent."""
        raw, mark = self.raw(number), self.delimiters.repetition
        return raw.split(mark) if mark else [raw]

    def components(self, number: int) -> list[str]:
        """Return the components of the first repetition of a field, without their escapes."""
        return self.components_of(self._first(number))

    def components_of(self, repetition: str) -> list[str]:
        """Return the components of one repetition, without their escapes."""
        return self.delimiters.parts(repetition, self.delimiters.component)

    def component(self, number: int, position: int) -> str:
        """Return one component of the first repetition of a field, or an empty text."""
        return part_of(self.components(number), position) if self.raw(number) else ""

    def subcomponents(self, number: int, position: int) -> list[str]:
        """Return the subcomponents of one component of the first repetition, without their escapes."""
        return self.subcomponents_of(self._first(number), position)

    def subcomponents_of(self, repetition: str, position: int) -> list[str]:
        """Return the subcomponents of one component of a repetition as sent, without their escapes."""
        marks = self.delimiters
        components = repetition.split(marks.component) if marks.component else [repetition]
        return marks.parts(part_of(components, position), marks.subcomponent)

    def _first(self, number: int) -> str:
        raw, mark = self.raw(number), self.delimiters.repetition
        return raw.split(mark, 1)[0] if mark and mark in raw else raw


class Message:
    """Hold the segments of one message; the first is MSH. `continued` counts the lines that were none of their own."""

    __slots__ = ("continued", "segments")

    def __init__(self, segments: list[Segment], continued: int = 0) -> None:
        """Take the segments in their order."""
        self.segments = segments
        self.continued = continued

    @property
    def header(self) -> Segment:
        """Return MSH."""
        return self.segments[0]

    @property
    def type(self) -> str:
        """Return message code and trigger event, such as ORU^R01; the structure (ORU_R01) may name the event."""
        code, event, structure, *_ = (*self.header.components(9), "", "", "")
        if not event and structure.startswith(f"{code}_"):
            event = structure.removeprefix(f"{code}_")
        return f"{code}^{event}" if event else code


def part_of(parts: list[str], position: int) -> str:
    """Return the part at a position counted from 1, or an empty text."""
    return parts[position - 1] if position <= len(parts) else ""


def parse_message(content: bytes) -> Message | RejectCode:
    """Read one message, or say why it cannot be read. Headers and trailers of a batch are not part of it."""
    if not content.strip(b"\x0b\x1c \t\r\n"):
        return RejectCode.EMPTY
    text = decoded(content)
    if text is None:
        return RejectCode.UNREADABLE_CHARACTERS
    lines = text.split("\r") if "\n" not in text and "\x1c" not in text else _LINE_END.split(text)
    delimiters = _delimiters(lines[0][:8], _stated_codec(lines[0])) if lines[0].startswith("MSH") else None
    if delimiters is None:
        return RejectCode.MALFORMED_HL7
    separator = delimiters.field
    joined = _joined(lines, separator)
    if joined is None:
        return RejectCode.MALFORMED_HL7
    begun, continued = joined
    segments = [Segment(line.split(separator), delimiters) for line in begun]
    segments[0].fields.insert(1, separator)  # MSH-1 is the separator itself
    names = [segment.name for segment in segments]
    if names.count("MSH") != 1:
        return RejectCode.MALFORMED_HL7
    if not _BATCH.isdisjoint(names):
        segments = [segment for segment in segments if segment.name not in _BATCH]
    return Message(segments, continued)


@lru_cache(maxsize=256)
def _delimiters(beginning: str, codec: str) -> Delimiters | None:
    """Return the delimiters that the first characters of MSH name, the same object for the same ones."""
    if len(beginning) <= _NAME_LENGTH:
        return None
    separator = beginning[_NAME_LENGTH]
    encoding = beginning[_NAME_LENGTH + 1 :].split(separator, maxsplit=1)[0][:4]
    marks = separator + encoding
    if not encoding or len(set(marks)) != len(marks) or _NOT_A_DELIMITER.search(marks):
        return None
    component, repetition, escape, subcomponent = (encoding[index : index + 1] for index in range(4))
    return Delimiters(separator, component, repetition, escape, subcomponent, codec=codec)


def _stated_codec(header: str) -> str:
    """Return the codec that MSH-18 names, for bytes that are written as digits."""
    fields = header.split(header[_NAME_LENGTH : _NAME_LENGTH + 1] or None, CHARACTER_SET_FIELD)
    return codec_of(
        part_of(fields, CHARACTER_SET_FIELD)[:80].encode("latin-1", "replace"), header[5:6].encode()
    )


@lru_cache(maxsize=256)
def _beginning(separator: str) -> re.Pattern[str]:
    """Return how a segment begins: its name, alone or before the separator."""
    return re.compile(rf"{_SEGMENT_NAME}(?:{re.escape(separator)}|\Z)", re.ASCII)


def _joined(lines: list[str], separator: str) -> tuple[list[str], int] | None:
    """Return the segments as lines and how many lines were joined to one, or None when one is a damaged segment."""
    begins = _beginning(separator).match
    if all(map(begins, lines)):
        return lines, 0
    joined: list[str] = []
    more: list[str] = []
    continued = 0
    for line in lines:
        if begins(line):
            if more:
                joined[-1] = " ".join((joined[-1], *more))
                more = []
            joined.append(line)
        elif joined and (text := line.strip("\x0b\x1c \t")):
            if text[_NAME_LENGTH : _NAME_LENGTH + 1] == separator and text[:_NAME_LENGTH].upper() in _TELLING:
                return None
            more.append(line)
            continued += 1
    if more:
        joined[-1] = " ".join((joined[-1], *more))
    return joined, continued
