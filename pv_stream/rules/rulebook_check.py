"""Checking a rulebook: everything that is wrong in its tables, each with the entry that it is about.

A rulebook decides who is alerted, so whatever nobody could have meant is refused: a word that no rule reads, a number
without a citation, a name or code that stands twice, numbers that bound each other the wrong way round. The tables
are looked at as they were read, so that one mistake does not hide another. Lines are known to `pv_stream.rulebooks`.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from types import NoneType, UnionType
from typing import Any, Final, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from pv_stream.domain.codes import Analyte, TreatmentKind
from pv_stream.errors import RulebookError
from pv_stream.rules.rulebook import ASCENDING, ORGAN_CUT_OFFS, Count, Number, Rulebook

#: The way to an entry: table names and keys, and the index of each element of an array.
EntryPath = tuple[str | int, ...]
Tables = Mapping[str, Any]

_TABLES: Final[TypeAdapter[Rulebook]] = TypeAdapter(Rulebook)
_SOURCES: Final = "sources"
#: Keys whose text is the name of a source.
_CITING: Final = ("source", "reported_in", "codes_source")
_CODES: Final = ("rxnorm", "atc")
_NO_SOURCE: Final = "UNCONFIRMED"
_QUOTED: Final = re.compile(r"'([^']*)'")


@dataclass(frozen=True, slots=True)
class Mistake:
    """Hold what is wrong with an entry; `earlier` is the entry that it repeats.

    A warning does not keep a rulebook from being used.
    """

    path: EntryPath
    message: str
    earlier: EntryPath | None = None
    is_warning: bool = False


def parse_rulebook(tables: Tables, *, digest: str) -> Rulebook:
    """Check the parsed tables of a rulebook and return it typed.

    Raises RulebookError naming the first entry that is wrong, and how many more there are.
    """
    mistakes = [mistake for mistake in mistakes_of(tables) if not mistake.is_warning]
    if mistakes:
        first, *more = mistakes
        place = ".".join(map(str, first.path))
        rest = f" (and {len(more)} more: `pv-stream rules check FILE` names each)" if more else ""
        msg = f"rulebook {tables.get('version', 'without a version')}: {place}: {first.message}{rest}"
        raise RulebookError(msg)
    return _TABLES.validate_python({**tables, "digest": digest})


def mistakes_of(tables: Tables) -> tuple[Mistake, ...]:
    """Return everything that is wrong in the parsed tables of a rulebook."""
    return (
        *_wrong_shapes(tables),
        *_wrong_citations(tables),
        *_uncited_codes(tables),
        *_unconfirmed_advice(tables),
        *_misnamed_organ_profile(tables),
        *_missing_limits(tables),
        *_wrong_order(tables),
        *_keeping_nothing(tables),
        *_repeated(tables),
        *_unknown_drugs(tables),
        *_wrong_treatments(tables),
    )


# Shapes: words and types ------------------------------------------------------------------------------------------


def _wrong_shapes(tables: Tables) -> Iterator[Mistake]:
    if "digest" in tables:
        yield Mistake(("digest",), "unknown word: a digest is computed, never written")
    try:
        _TABLES.validate_python({**tables, "digest": ""})
    except ValidationError as error:
        for wrong in error.errors():
            path = tuple(part for part in wrong["loc"] if part != "[key]")
            yield Mistake(path, _said(path, wrong))


def _said(path: EntryPath, wrong: ErrorDetails) -> str:
    match wrong["type"]:
        case "unexpected_keyword_argument":
            return f"unknown word {path[-1]!r}{_nearest(str(path[-1]), _words_at(path[:-1]))}"
        case "missing" if path[-1] == "source":
            return 'no citation: add source = "..."'
        case "missing":
            return "is missing"
        case "dataclass_type" if _kind_at(path) in {Number, Count}:
            return 'a number stands with its citation: { value = ..., source = "..." }'
        case "enum":
            words = _QUOTED.findall(wrong.get("ctx", {}).get("expected", ""))
            return f"unknown word {wrong['input']!r}{_nearest(str(wrong['input']), words)}; known: {', '.join(words)}"
        case kind if kind.startswith("int"):
            return f"{_shown(wrong['input'])} is not a whole number"
        case kind if kind.startswith("decimal"):
            return f"{_shown(wrong['input'])} is not a number"
        case _:
            text = wrong["msg"].removeprefix("Input should be ")
            return f"should be {text}" if text != wrong["msg"] else text


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _nearest(word: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(word, known)
    return f": did you mean {found[0]!r}?" if found else ""


def _words_at(path: EntryPath) -> Sequence[str]:
    kind = _kind_at(path)
    return [f.name for f in fields(kind) if f.name != "digest"] if is_dataclass(kind) else []


def _kind_at(path: EntryPath) -> object:
    """Return the type that a rulebook has at a path, or None."""
    kind: object = Rulebook
    for part in path:
        if is_dataclass(kind):
            kind = next((f.type for f in fields(kind) if f.name == part), None)
        else:
            kind = next(iter(get_args(kind)[isinstance(part, str) :]), None)
        kind = _bare(kind)
    return kind


def _bare(kind: object) -> object:
    """Return a type without None."""
    if isinstance(kind, UnionType):
        return next(part for part in get_args(kind) if part is not NoneType)
    return kind


# Citations --------------------------------------------------------------------------------------------------------


def _wrong_citations(tables: Tables) -> Iterator[Mistake]:
    sources = tables.get(_SOURCES)
    listed: Tables = sources if isinstance(sources, dict) else {}
    for name, text in listed.items():
        if isinstance(text, str) and not text.strip():
            yield Mistake((_SOURCES, name), "the source has no text")
    cited = [
        (path, name)
        for table, value in tables.items()
        if table != _SOURCES
        for path, name in _citations((table,), value)
    ]
    for path, name in cited:
        if name not in listed:
            yield Mistake(
                path, f"source {name!r} is not listed under [sources]{_nearest(name, list(listed))}"
            )
    used = {name for _, name in cited}
    for name in listed:
        if name not in used:
            yield Mistake((_SOURCES, name), "is listed but never used", is_warning=True)


def _citations(path: EntryPath, value: object) -> Iterator[tuple[EntryPath, str]]:
    """Yield every name of a source in a part of the tables, with its entry."""
    parts: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for part, inner in parts:
        if part in _CITING and isinstance(inner, str):
            yield (*path, part), inner
        else:
            yield from _citations((*path, part), inner)


def _uncited_codes(tables: Tables) -> Iterator[Mistake]:
    """Find drugs and treatments whose codes, or those of their prodrugs, stand without a source."""
    for table in ("drugs", "treatments"):
        for path, row in _rows(tables, table):
            coded = any(key in each for each in (row, *_array(row, "prodrugs")) for key in _CODES)
            if coded and "codes_source" not in row:
                yield Mistake(path, 'codes stand with their citation: add codes_source = "..."')


def _unconfirmed_advice(tables: Tables) -> Iterator[Mistake]:
    """Find advice that names a number for which no source was found: people act on what they read."""
    for path, row in _rows(tables, "follow_up"):
        advice = row.get("advice")
        if row.get("source") == _NO_SOURCE and isinstance(advice, str) and any(map(str.isdigit, advice)):
            yield Mistake(
                (*path, "advice"), f"names a number, and its source is {_NO_SOURCE}: leave the number out"
            )


# Numbers ----------------------------------------------------------------------------------------------------------


def _misnamed_organ_profile(tables: Tables) -> Iterator[Mistake]:
    """Find cut-offs of organs of another source than the profile that outputs name."""
    parameters, profile = _table(tables, "parameters"), _table(tables, "organ_profile")
    for name in ORGAN_CUT_OFFS:
        cited = _table(parameters, name).get("source")
        if cited is not None and "source" in profile and cited != profile["source"]:
            message = (
                f"cites {cited!r}, and the organ profile {profile.get('name')!r} cites {profile['source']!r}: "
                "another cut-off is another profile, with a name and a source of its own"
            )
            yield Mistake(("parameters", name), message, earlier=("organ_profile",))


def _missing_limits(tables: Tables) -> Iterator[Mistake]:
    missing = sorted(set(Analyte) - set(_table(tables, "plausibility")))
    if missing and "plausibility" in tables:
        yield Mistake(("plausibility",), f"[plausibility] has no limits for {', '.join(missing)}")


def _wrong_order(tables: Tables) -> Iterator[Mistake]:
    parameters = _table(tables, "parameters")
    for names in ASCENDING:
        for low, high in pairwise(names):
            below, above = (_number(_table(parameters, name).get("value")) for name in (low, high))
            if below is not None and above is not None and below > above:
                message = f"{low} is {below}, above {high}, which is {above}"
                yield Mistake(("parameters", high), message, earlier=("parameters", low))
    for analyte in _table(tables, "plausibility"):
        limits = _table(_table(tables, "plausibility"), analyte)
        low_end, high_end = _number(limits.get("minimum")), _number(limits.get("maximum"))
        if low_end is not None and high_end is not None and low_end > high_end:
            message = f"the minimum of {analyte} under [plausibility] is above its maximum"
            yield Mistake(("plausibility", analyte), message)


def _keeping_nothing(tables: Tables) -> Iterator[Mistake]:
    name = "values_per_code_day_max"
    if _number(_table(_table(tables, "parameters"), name).get("value")) == 0:
        yield Mistake(("parameters", name), f"{name} is 0: one value of a day at least is kept")


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


# Names and codes --------------------------------------------------------------------------------------------------


def _repeated(tables: Tables) -> Iterator[Mistake]:
    yield from _standing_twice("name", _names(tables))
    yield from _standing_twice("RxNorm code", _codes(tables, "rxnorm"))
    yield from _standing_twice("ATC code", _codes(tables, "atc"))
    yield from _standing_twice("class", (((*p, "name"), t.get("name")) for p, t in _rows(tables, "classes")))
    for path, name in _names(tables):
        if isinstance(name, str) and name != name.lower():
            yield Mistake(path, f"name {name!r} is not in lower case, as names are compared")


def _standing_twice(what: str, values: Iterable[tuple[EntryPath, Any]]) -> Iterator[Mistake]:
    first: dict[str, EntryPath] = {}
    for path, value in values:
        if not isinstance(value, str):
            continue
        if value in first:
            yield Mistake(path, f"{what} {value!r} stands twice", earlier=first[value])
        first.setdefault(value, path)


def _names(tables: Tables) -> Iterator[tuple[EntryPath, Any]]:
    """Yield every name that leads to a drug, a product or a treatment."""
    for path, row in _named_rows(tables):
        names = _array(row, "names")
        if row.get("name") not in names:
            yield (*path, "name"), row.get("name")
        yield from (((*path, "names", index), name) for index, name in enumerate(names))


def _codes(tables: Tables, key: str) -> Iterator[tuple[EntryPath, Any]]:
    for path, row in _named_rows(tables):
        code = row.get(key)
        if isinstance(code, list):
            yield from (((*path, key, index), one) for index, one in enumerate(code))
        else:
            yield (*path, key), code


def _named_rows(tables: Tables) -> Iterator[tuple[EntryPath, Tables]]:
    for path, row in _rows(tables, "drugs"):
        yield path, row
        yield from ((path + inner, prodrug) for inner, prodrug in _rows(row, "prodrugs"))
    yield from _rows(tables, "combinations")
    yield from _rows(tables, "treatments")


def _unknown_drugs(tables: Tables) -> Iterator[Mistake]:
    drugs = [name for _, row in _rows(tables, "drugs") if isinstance(name := row.get("name"), str)]
    for table, key, what in (("classes", "members", "class"), ("combinations", "ingredients", "combination")):
        for path, row in _rows(tables, table):
            title = row.get("name") or next(iter(_array(row, "names")), "")
            for index, name in enumerate(_array(row, key)):
                if isinstance(name, str) and name not in drugs:
                    message = f"{what} {title!r} names {name!r}, which is not under [[drugs]]{_nearest(name, drugs)}"
                    yield Mistake((*path, key, index), message)


def _wrong_treatments(tables: Tables) -> Iterator[Mistake]:
    for path, row in _rows(tables, "treatments"):
        if (row.get("kind") == TreatmentKind.STEROID) is not ("prednisone_equivalent" in row):
            message = f"{row.get('name')!r}: prednisone_equivalent is for every steroid, and for no other"
            yield Mistake((*path, "prednisone_equivalent"), message)


def _table(tables: Tables, key: str) -> Tables:
    value = tables.get(key)
    return value if isinstance(value, dict) else {}


def _array(tables: Tables, key: str) -> Sequence[Any]:
    value = tables.get(key)
    return value if isinstance(value, list) else ()


def _rows(tables: Tables, key: str) -> Iterator[tuple[EntryPath, Tables]]:
    for index, row in enumerate(_array(tables, key)):
        if isinstance(row, dict):
            yield (key, index), row
