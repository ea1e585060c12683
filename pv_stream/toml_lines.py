"""The lines of a TOML file: where each table, key and element stands, by its path in the parsed tables.

`tomllib` reads values and forgets places, and so do the other readers of TOML for Python. So this walks a text that
`tomllib` has accepted and needs no grammar of its own beyond headers, keys, strings, brackets and commas.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

#: The way to an entry: table names and keys, and the index of each element of an array.
EntryPath = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_DOT: Final = re.compile(r"[ \t]*\.[ \t]*")
_STRING: Final = re.compile(
    r'''"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''', re.DOTALL
)
#: A number, a truth value or a time; one blank may stand between a date and its time.
_BARE: Final = re.compile(r"[^\s,\]}#]+(?: [0-9][^\s,\]}#]*)?")


def lines_of(text: str) -> Mapping[EntryPath, int]:
    """Return the line, from 1, of each entry of a text that `tomllib` has read."""
    walk = _Walk(text, [m.start() for m in re.finditer("\n", text)])
    walk.document()
    return walk.lines


@dataclass(slots=True)
class _Walk:
    text: str
    breaks: list[int]
    at: int = 0
    lines: dict[EntryPath, int] = field(default_factory=dict)
    #: How many elements each array of tables has so far.
    counts: dict[EntryPath, int] = field(default_factory=dict)

    def document(self) -> None:
        base: EntryPath = ()
        while self.skip() < len(self.text):
            if self.text.startswith("[[", self.at):
                self.at += 2
                base = self.next_of(tuple(self.key()))
                self.at = self.text.index("]]", self.at) + 2
            elif self.text[self.at] == "[":
                self.at += 1
                base = self.resolved(tuple(self.key()))
                for end in range(1, len(base) + 1):
                    self.note(base[:end])
                self.at = self.text.index("]", self.at) + 1
            else:
                self.pair(base)

    def next_of(self, keys: tuple[str, ...]) -> EntryPath:
        """Begin the next table of an array of tables."""
        array = (*self.resolved(keys[:-1]), keys[-1])
        index = self.counts.get(array, 0)
        self.counts[array] = index + 1
        self.note(array)
        self.note((*array, index))
        return (*array, index)

    def resolved(self, keys: tuple[str, ...]) -> EntryPath:
        """Return the path of a table; inside an array of tables a header means the last of them."""
        path: EntryPath = ()
        for key in keys:
            path = (*path, key)
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
        return path

    def pair(self, base: EntryPath) -> None:
        path, start = base, self.at
        for key in self.key():
            path = (*path, key)
            self.note(path, start)
        self.at = self.text.index("=", self.at) + 1
        self.value(path)

    def key(self) -> Iterator[str]:
        """Read a dotted key."""
        self.skip()
        while found := _KEY.match(self.text, self.at):
            self.at = found.end()
            word = found[0]
            yield tomllib.loads(f"word = {word}")["word"] if word[0] in "\"'" else word
            dot = _DOT.match(self.text, self.at)
            if dot is None:
                return
            self.at = dot.end()

    def value(self, path: EntryPath) -> None:
        self.skip()
        match self.text[self.at]:
            case "[":
                self.elements("]", lambda index: self.element((*path, index)))
            case "{":
                self.elements("}", lambda _: self.pair(path))
            case _:
                found = _STRING.match(self.text, self.at) or _BARE.match(self.text, self.at)
                assert found is not None
                self.at = found.end()

    def element(self, path: EntryPath) -> None:
        self.note(path)
        self.value(path)

    def elements(self, end: str, read: Callable[[int], None]) -> None:
        """Read what stands between brackets, with commas between."""
        self.at += 1
        index = 0
        while self.text[self.skip()] != end:
            read(index)
            index += 1
            if self.text[self.skip()] == ",":
                self.at += 1
        self.at += 1

    def skip(self) -> int:
        """Pass over blanks and comments."""
        found = _BLANK.match(self.text, self.at)
        assert found is not None
        self.at = found.end()
        return self.at

    def note(self, path: EntryPath, at: int | None = None) -> None:
        self.lines.setdefault(path, bisect_right(self.breaks, self.at if at is None else at) + 1)
