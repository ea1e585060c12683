"""HL7v2 files as messages: each begins with a line MSH, whatever its line ends, framing or width of characters.

Headers and trailers of batches (FHS, BHS, BTS, FTS) belong to no message; they are kept beside the one before them,
with how many of their counts disagree with what was in the file. Anything else between messages is a message of its
own, so that it is refused and not lost.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from pv_stream.ingest.hl7v2.charsets import wide_encoding

_CHUNK_BYTES: Final = 64 * 1024
_BLANK: Final = "\x0b\x1c \t\r\n\ufeff\x00"
_NAMES: Final = ("MSH", "FHS", "BHS", "BTS", "FTS")
_FILE_BEGINNINGS: Final = (b"MSH", b"FHS", b"BHS")
_MESSAGE: Final = "MSH"
#: What can stand before the name of a segment on its line, and how far a match reaches: blanks, name, one more.
_BLANKS_MAX: Final = 8
_LOOKED_AT: Final = 256
_REACH: Final = _BLANKS_MAX + 8
_ENVELOPE_BYTES_MAX: Final = 4096
_COUNT_DIGITS_MAX: Final = 9


@dataclass(slots=True)
class Piece:
    """Hold one message of a file, cut at a limit when `size` is larger, with the batch segments around it.

    `counts_differ` is how many of these state another number of messages or batches than the file has.
    """

    offset: int
    content: bytearray = field(default_factory=bytearray)
    size: int = 0
    envelope: list[str] = field(default_factory=list)
    counts_differ: int = 0

    def add(self, text: bytes, bytes_max: int) -> None:
        """Take another part; only what fits is kept."""
        self.content += text[: max(0, bytes_max - len(self.content))]
        self.size += len(text)


@dataclass(slots=True)
class _Batches:
    """Count messages since the last BTS and batches since the last FTS."""

    messages: int = 0
    batches: int = 0

    def differs(self, name: str, line: str) -> bool:
        """Take a batch segment; tell whether the count that it states (BTS-1, FTS-1) is not what was seen."""
        if name == "BHS":
            self.messages = 0
            self.batches += 1
            return False
        if name == "FHS":
            self.messages = self.batches = 0
            return False
        stated = line[4:].split(line[3:4], 1)[0].strip() if line[3:4] else ""
        seen = self.messages if name == "BTS" else self.batches
        self.messages = 0
        if name == "FTS":
            self.batches = 0
        if not stated:
            return False
        is_number = stated.isascii() and stated.isdigit() and len(stated) <= _COUNT_DIGITS_MAX
        return not is_number or int(stated) != seen


def is_hl7v2(head: bytes) -> bool:
    """Tell whether a file that begins so is HL7v2: a message or a batch, in characters of any width."""
    begins = head.lstrip(b"\x0b\x1c \t\r\n").removeprefix(b"\xef\xbb\xbf").lstrip(b"\x0b\x1c \t\r\n")
    if begins.startswith(_FILE_BEGINNINGS):
        return True
    wide = wide_encoding(head)
    text = head[:_LOOKED_AT].decode(wide, "replace").strip(_BLANK) if wide else ""
    return text.startswith(_NAMES[:3])


class Splitter:
    """Cut the bytes of one file into messages."""

    def __init__(self, head: bytes, bytes_max: int) -> None:
        """Look at the beginning of the file for the width of its characters."""
        self._encoding = wide_encoding(head.lstrip(b"\x0b\x1c \t\r\n")) or wide_encoding(head) or "latin-1"
        self._unit = len("M".encode(self._encoding))
        self._bytes_max = bytes_max
        self._batches = _Batches()
        self._line_end = "\n".encode(self._encoding)
        names = self._any_of(*_NAMES)
        mark = b"\xef\xbb\xbf" if self._unit == 1 else "\ufeff".encode(self._encoding)
        begins = self._any_of(*"\r\n\x0b\x1c") + self._any_of(*" \t\x0b\x1c") + b"{0,%d}" % _BLANKS_MAX
        # Where a character is one byte, a letter or a digit after the name makes it a word of a text.
        ends = rb"(?=[^A-Za-z0-9 \t])" if self._unit == 1 else b""
        self._start = re.compile(begins + b"((?:" + re.escape(mark) + b")?(" + names + b"))" + ends)

    def _any_of(self, *texts: str) -> bytes:
        return b"(?:" + b"|".join(re.escape(text.encode(self._encoding)) for text in texts) + b")"

    def pieces(self, file: BinaryIO) -> Iterator[Piece]:
        """Yield the messages of a file; one that holds no message at all gives one empty piece."""
        waiting: Piece | None = None
        is_any = False
        for name, offset, text, is_first in self._sections(file):
            if name is None or name == _MESSAGE:
                if is_first:
                    if waiting is not None and self._is_message(waiting):
                        is_any = True
                        yield waiting
                        waiting = None
                    waiting = self._next(waiting, offset, name)
                waiting = waiting or Piece(offset)
                waiting.add(text, self._bytes_max)
            else:
                waiting = waiting or Piece(offset)
                waiting.envelope.append(name)
                waiting.counts_differ += self._batches.differs(name, text.decode(self._encoding, "replace"))
        if waiting is not None and (self._is_message(waiting) or waiting.envelope or not is_any):
            yield waiting
        elif not is_any:
            yield Piece(0)

    def _next(self, waiting: Piece | None, offset: int, name: str | None) -> Piece:
        """Return the piece that begins here, with the batch segments that stood before any message."""
        self._batches.messages += name == _MESSAGE
        fresh = Piece(offset)
        if waiting is not None:
            fresh.envelope, fresh.counts_differ = waiting.envelope, waiting.counts_differ
        return fresh

    def _is_message(self, piece: Piece) -> bool:
        return self._says_something(piece.content[:_LOOKED_AT]) or self._says_something(piece.content)

    def _says_something(self, text: bytes | bytearray) -> bool:
        return bool(text.decode(self._encoding, "replace").strip(_BLANK))

    def _sections(self, file: BinaryIO) -> Iterator[tuple[str | None, int, bytes, bool]]:
        """Yield (name, offset, bytes, whether it begins here) of what begins with each name; None is anything else.

        A message may come in several parts, a batch segment comes as its one line; what follows that line is
        anything else.
        """
        line_end = self._line_end
        buffer, base = line_end, -len(line_end)  # as if a line had ended before the file
        name: str | None = None
        is_first, at, taken = True, len(line_end), -1
        while True:
            chunk = file.read(_CHUNK_BYTES)
            buffer += chunk or line_end
            limit = max(at, len(buffer) - _REACH * self._unit) if chunk else len(buffer)
            for match in self._start.finditer(buffer, max(0, at - _REACH * self._unit)):
                start = match.start(1)
                if at <= start < limit and base + start != taken:
                    yield from self._part(name, base + at, buffer[at:start], is_first)
                    name, at, is_first, taken = match[2].decode(self._encoding), start, True, base + start
            if not chunk:
                yield from self._part(name, base + at, buffer[at : len(buffer) - len(line_end)], is_first)
                return
            if name in {None, _MESSAGE} or limit - at > _CHUNK_BYTES:
                yield from self._part(name, base + at, buffer[at:limit], is_first)
                name = name if name == _MESSAGE else None
                is_first = is_first and limit == at
                at = limit
            keep = max(0, at - _REACH * self._unit)
            buffer, base, at = buffer[keep:], base + keep, at - keep

    def _part(
        self,
        name: str | None,
        offset: int,
        text: bytes,
        is_first: bool,  # noqa: FBT001 - a fact about the part
    ) -> Iterator[tuple[str | None, int, bytes, bool]]:
        if name in {None, _MESSAGE}:
            if text:
                yield name, offset, text, is_first
            return
        ends = [end for each in "\r\n" if (end := text.find(each.encode(self._encoding))) >= 0]
        end = min(ends, default=len(text))
        yield name, offset, text[: min(end, _ENVELOPE_BYTES_MAX)], True
        if self._says_something(text[end:]):
            yield None, offset + end, text[end:], True
