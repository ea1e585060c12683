"""What two rulebooks say differently, entry by entry, for the person who has to approve the newer one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from pv_stream.codec.canonical import decimal_text
from pv_stream.rules.rulebook import Rulebook

#: What identifies a file, not what it says.
_NOT_SAID: Final = frozenset({"version", "digest"})
#: Tables whose rows have a name: one that only one rulebook has is one change.
_TABLES_OF_ROWS: Final = frozenset({"drugs", "combinations", "classes", "treatments", "follow_up"})

_Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """Hold what an entry says and the name of its source; a text has none."""

    value: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Hold one entry that two rulebooks differ in; None where one of them does not have it."""

    entry: str
    old: Said | None
    new: Said | None


def changes_between(old: Rulebook, new: Rulebook) -> tuple[Change, ...]:
    """Return what changed, in the order of the newer rulebook, then what only the older one has."""
    before, after = _by_entry(old), _by_entry(new)
    # A row is compared as a whole where one of the two does not have it.
    rows = {path[:2] for path in before if _is_in_row(path)} ^ {
        path[:2] for path in after if _is_in_row(path)
    }
    paths = dict.fromkeys(path[:2] if path[:2] in rows else path for path in (*after, *before))
    changes = (Change(".".join(path), _at(path, before), _at(path, after)) for path in paths)
    return tuple(change for change in changes if change.old != change.new)


def _is_in_row(path: _Path) -> bool:
    return path[0] in _TABLES_OF_ROWS


def _at(path: _Path, entries: Mapping[_Path, Said]) -> Said | None:
    """Return what is said at a path: an entry, or all of a row in one line."""
    if path in entries:
        return entries[path]
    inside = {inner: said for inner, said in entries.items() if inner[: len(path)] == path}
    if not inside or not _is_in_row(path):
        return None
    return Said("; ".join(f"{'.'.join(inner[len(path) :])} {said.value}" for inner, said in inside.items()))


def _by_entry(rulebook: Rulebook) -> Mapping[_Path, Said]:
    return dict(_said((), rulebook))


def _said(path: _Path, value: Any) -> Iterator[tuple[_Path, Said]]:
    """Yield every entry below a part of a rulebook."""
    if value is None or value == ():
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _said((*path, _text(key)), inner)
    elif isinstance(value, tuple) and is_dataclass(value[0]):
        for row in value:
            yield from _said((*path, getattr(row, "name", None) or row.names[0]), row)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _said_of_fields(path, value)
    else:
        yield path, Said(_text(value))


def _said_of_fields(path: _Path, value: Any) -> Iterator[tuple[_Path, Said]]:
    """Yield the entries of a table; its source is that of each of them, and of a number as a whole."""
    source = getattr(value, "source", None)
    for f in fields(value):
        if f.name == "source" or f.name in _NOT_SAID:
            continue
        for inner, said in _said(path if f.name == "value" else (*path, f.name), getattr(value, f.name)):
            yield inner, Said(said.value, said.source or source)


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, tuple):
        return ", ".join(map(_text, value))
    return str(value.value) if isinstance(value, Enum) else str(value)
