"""openFDA files as messages: each report of a `results` array, or of an array alone, is one message.

A file of openFDA holds thousands of reports, so it is read in pieces and never parsed whole. What decides where a
report begins and ends is the nesting of brackets outside of strings; whether the piece is JSON is the reader's to say.
What stands in the array and is no object is a piece too, so that its reader refuses it. A file that is cut off ends in
a piece that is none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

_CHUNK_BYTES: Final = 64 * 1024
#: A whole string, a string that goes on in the next chunk (group 1 is empty), or a bracket.
_PIECE: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|[{}\[\]]', re.DOTALL)
#: What stands between two brackets inside a report, strings that end in this chunk among it.
_BETWEEN: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_REST_OF_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+("?)', re.DOTALL)
_OPENING: Final = b"{["
_BETWEEN_REPORTS: Final = b" \t\r\n,"
_RESULTS: Final = b'"results"'
#: Words that only reports of openFDA have as keys of JSON, in whatever order the keys come.
_WORDS: Final = (b'"safetyreportid"', b'"drugcharacterization"', b'"reactionmeddrapt"')


def is_openfda(head: bytes) -> bool:
    """Tell whether a file that begins so holds reports of openFDA."""
    return any(word in head for word in _WORDS) or (_RESULTS in head and b'"meta"' in head)


def has_results(head: bytes) -> bool:
    """Tell whether the reports of a file stand in an array."""
    return _RESULTS in head or head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


@dataclass(frozen=True, slots=True)
class Piece:
    """Hold one report as bytes, where it begins and how long it is; the bytes are cut at the limit."""

    content: bytes
    offset: int
    size: int


@dataclass(slots=True)
class _Scan:
    """Follow the nesting of a document from chunk to chunk.

    `level` is the depth inside the array of reports, 0 before and -1 after it. `key` begins the last string at
    depth 1: before an array, that is its name. `stray` is what stands between reports beyond blanks and commas.
    """

    bytes_max: int
    depth: int = 0
    level: int = 0
    in_string: bool = False
    key: bytes = b""
    report: bytearray | None = None
    start: int = 0
    size: int = 0
    stray: bytearray = field(default_factory=bytearray)
    ended: list[Piece] = field(default_factory=list)

    def read(self, chunk: bytes, offset: int) -> int:
        """Read a chunk that begins at an offset of the file; return how much of it was understood.

        What is left is the first half of an escape.
        """
        position = since = passed = 0
        if self.in_string:
            rest = _REST_OF_STRING.match(chunk)
            position = 0 if rest is None else rest.end()
            self._string(chunk[:position], closes=rest is not None and bool(rest[1]))
        while not self.in_string and (found := self._next(chunk, position)) is not None:
            position = found.end()
            if found[1] is not None:
                self.key = b"" if self.depth == 1 else self.key
                self._string(found[0], closes=bool(found[1]))
                continue
            if self.report is None:
                self._pass(chunk, passed, found.start(), offset)
            passed = position
            if found[0] in _OPENING:
                if self._begins_report(found[0]):
                    since, self.start = found.start(), offset + found.start()
                    self.report, self.size = bytearray(), 0
                self.depth += 1
            else:
                self.depth -= 1
                if self.report is not None and self.depth == self.level:
                    self._take(chunk[since:position])
                    self.end()
                elif self.level > 0 and self.depth < self.level:
                    self.level = -1 if self.depth > 0 else 0  # another file may follow the first
                elif self.level < 0 and self.depth == 0:
                    self.level = 0
        end = position if self.in_string else len(chunk)
        self._pass(chunk, passed, end, offset, goes_on=True)
        self._take(chunk[since:end])
        return end

    def _next(self, chunk: bytes, position: int) -> re.Match[bytes] | None:
        """Return the next bracket, or a string that matters: one that may be a key, or goes on in the next chunk."""
        if self.report is not None and (between := _BETWEEN.match(chunk, position)) is not None:
            position = between.end()
        return _PIECE.search(chunk, position)

    def end(self) -> None:
        """End the present report, whole or not, or what stands where one should."""
        if self.stray:
            self.ended.append(Piece(bytes(self.stray.rstrip(_BETWEEN_REPORTS)), self.start, self.size))
            self.stray.clear()
        if self.report is not None:
            self.ended.append(Piece(bytes(self.report), self.start, self.size))
            self.report = None

    def _string(self, text: bytes, *, closes: bool) -> None:
        self.in_string = not closes
        if self.depth == 1:
            self.key = (self.key + text)[: len(_RESULTS) + 1]

    def _begins_report(self, bracket: bytes) -> bool:
        is_at_array = self.depth == 0 or (self.depth == 1 and self.key == _RESULTS)
        if bracket == b"[" and self.level == 0 and is_at_array:
            self.level = self.depth + 1
            return False
        return self._is_between()

    def _is_between(self) -> bool:
        return self.report is None and self.level > 0 and self.depth == self.level

    def _pass(self, chunk: bytes, start: int, end: int, offset: int, *, goes_on: bool = False) -> None:
        """Keep what stands between two reports, if anything does; it ends at a bracket unless it goes on."""
        if not self._is_between():
            return
        text = chunk[start:end] if self.stray else chunk[start:end].lstrip(_BETWEEN_REPORTS)
        if text and not self.stray:
            self.start = offset + end - len(text)
        self.stray += text[: max(0, self.bytes_max - len(self.stray))]
        if said := text.rstrip(_BETWEEN_REPORTS):
            self.size = offset + end - len(text) + len(said) - self.start
        if not goes_on:
            self.end()

    def _take(self, piece: bytes) -> None:
        if self.report is not None:
            self.report += piece[: max(0, self.bytes_max - len(self.report))]
            self.size += len(piece)


def split_results(file: BinaryIO, bytes_max: int) -> Iterator[Piece]:
    """Yield the reports of a file, each kept up to `bytes_max`."""
    scan = _Scan(bytes_max)
    waiting, offset = b"", 0
    while chunk := file.read(_CHUNK_BYTES):
        waiting += chunk
        done = scan.read(waiting, offset)
        waiting, offset = waiting[done:], offset + done
        yield from scan.ended
        scan.ended.clear()
    scan.end()
    yield from scan.ended
