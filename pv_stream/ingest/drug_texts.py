"""A drug named in a text with its strength, form, salt or route: `IMATINIB MESYLATE 400 MG TABLET`.

A text is read word by word, and only when every word is accounted for: a listed name, a number with a unit, a ratio,
a word of `data/drug_words.toml`, or punctuation. Nothing is compared but whole words. A text that holds a listed name
and any other word names a drug that only a person can tell.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pv_stream.domain.codes import Route
from pv_stream.ingest.tables import DrugWords, ListedDrug, drug_words

#: A number, a word without digits, or one character that is no space.
_PIECE: Final = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|\S", re.UNICODE)
_RATIO_MARKS: Final = frozenset("/-")
#: What puts the names of a combination together, and what parts words and means nothing by itself.
_TOGETHER: Final = frozenset({"/", "-", "+", ",", "&", "and"})
_MARKS: Final = frozenset(";:.()[]®™")
#: A longer text is a story, and is not read; whether a listed name is in it is looked for all the same.
PIECES_MAX: Final = 60

Pieces = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextRead:
    """Hold the listed names in a text in their order, what they name, and whether every other word is known."""

    names: tuple[str, ...]
    drug: ListedDrug
    is_whole: bool


@dataclass(slots=True)
class _Reading:
    """Hold what was found so far; `parts` are the words that name the product, parted as its ingredients may be."""

    names: list[str] = field(default_factory=list)
    ingredients: set[str] = field(default_factory=set)
    routes: set[Route] = field(default_factory=set)
    parts: list[list[str]] = field(default_factory=lambda: [[]])
    are_numbers_known: bool = True
    are_words_known: bool = True


class DrugNames:
    """Find listed names in texts, word by word."""

    def __init__(self, listed: Mapping[str, ListedDrug]) -> None:
        """Index the listed names by their words."""
        self._by_pieces = {pieces_of(name): (name, drug) for name, drug in listed.items()}
        self._combined = {
            _parts_of(pieces): found for pieces, found in self._by_pieces.items() if "/" in pieces
        }
        self._begins: dict[str, tuple[int, ...]] = {}
        for pieces in self._by_pieces:
            lengths = {*self._begins.get(pieces[0], ()), len(pieces)}
            self._begins[pieces[0]] = tuple(sorted(lengths, reverse=True))

    def read(self, text: str) -> TextRead | None:
        """Return what a text names, or None when no listed name stands in it as whole words."""
        pieces = pieces_of(text)
        reading = _Reading()
        words = drug_words()
        place = 0
        while place < len(pieces):
            length = self._name_at(pieces, place, reading)
            if length == 0:
                length = 1
                _read_word(pieces, place, words, reading)
            place += length
        if not reading.names:
            return None
        combined = self._combined.get(frozenset(map(tuple, filter(None, reading.parts))))
        if combined is not None and reading.are_numbers_known:
            # The words are those of a listed combination, with its strengths among them.
            name, drug = combined
            reading.names, reading.ingredients, reading.are_words_known = [name], set(drug.ingredients), True
        stated = reading.routes - {Route.UNKNOWN}
        return TextRead(
            tuple(reading.names),
            ListedDrug(
                tuple(sorted(reading.ingredients)), stated.pop() if len(stated) == 1 else Route.UNKNOWN
            ),
            reading.are_numbers_known and reading.are_words_known and len(pieces) <= PIECES_MAX,
        )

    def _name_at(self, pieces: Pieces, place: int, reading: _Reading) -> int:
        """Note the longest listed name that begins at a place; return how many pieces it takes, 0 for none."""
        for length in self._begins.get(pieces[place], ()):
            found = self._by_pieces.get(pieces[place : place + length])
            if found is not None:
                name, drug = found
                reading.names.append(name)
                reading.ingredients.update(drug.ingredients)
                reading.routes.add(drug.route)
                kept = tuple(
                    piece for piece in pieces[place : place + length] if piece not in drug_words().routes
                )
                reading.parts[-1] += kept if kept in self._by_pieces else pieces[place : place + length]
                return length
        return 0


def pieces_of(text: str) -> Pieces:
    """Return the numbers, words and marks of a text, in one case."""
    return tuple(_PIECE.findall(text.casefold()))


def _parts_of(pieces: Pieces) -> frozenset[Pieces]:
    """Return the names that a listed combination is put together of, in any order."""
    parts: list[list[str]] = [[]]
    for piece in pieces:
        if piece == "/":
            parts.append([])
        else:
            parts[-1].append(piece)
    return frozenset(map(tuple, parts))


def _read_word(pieces: Pieces, place: int, words: DrugWords, reading: _Reading) -> None:
    piece = pieces[place]
    if piece[0].isdigit():
        reading.are_numbers_known = reading.are_numbers_known and _is_strength(pieces, place, words)
    elif piece in words.routes:
        reading.routes.add(words.routes[piece])
    elif piece in words.units and _is_after_number(pieces, place):
        pass
    elif piece in _TOGETHER:
        reading.parts.append([])
    elif piece not in _MARKS:
        reading.parts[-1].append(piece)
        reading.are_words_known = False


def _is_strength(pieces: Pieces, place: int, words: DrugWords) -> bool:
    """Tell whether a number has a unit, or is part of a ratio of numbers (800/160, 875-125)."""
    after = pieces[place + 1 : place + 3]
    before = pieces[max(place - 2, 0) : place]
    if after[:1] and after[0] in words.units:
        return True
    is_ratio_after = len(after) == 2 and after[0] in _RATIO_MARKS and after[1][0].isdigit()  # noqa: PLR2004 - a mark and a number
    is_ratio_before = len(before) == 2 and before[1] in _RATIO_MARKS and before[0][0].isdigit()  # noqa: PLR2004 - the same
    return is_ratio_after or is_ratio_before


def _is_after_number(pieces: Pieces, place: int) -> bool:
    before = pieces[place - 1] if place else ""
    return before == "/" or before[:1].isdigit()
