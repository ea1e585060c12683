"""Reading rulebook files: the shell's part of `rules.rulebook`.

Rulebooks ship inside the package as TOML, one file for each version; a user may name a file of their own. What a
rulebook is wrong about is found by `rules.rulebook_check`; here the entries get their lines.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pv_stream.engine.activation import ENGINE_VERSION
from pv_stream.errors import RulebookError, UsageError
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.rulebook_check import mistakes_of, parse_rulebook
from pv_stream.toml_lines import EntryPath, lines_of

DEFAULT_VERSION = "2026.11"


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold one thing that is wrong in a rulebook file; a warning keeps nobody from using it."""

    file: str
    line: int
    entry: str
    message: str
    is_warning: bool

    def __str__(self) -> str:
        """Write it as compilers do, so that an editor can jump there."""
        kind = "warning: " if self.is_warning else ""
        entry = f"{self.entry}: " if self.entry else ""
        return f"{self.file}:{self.line}: {kind}{entry}{self.message}"


def load_default() -> Rulebook:
    """Load the shipped rulebook that is used when none is named."""
    return load_shipped(DEFAULT_VERSION)


def shipped_versions() -> tuple[str, ...]:
    """Return the versions of the shipped rulebooks, oldest first."""
    names = (file.name for file in _shipped().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def load_shipped(version: str) -> Rulebook:
    """Load a shipped rulebook. Raises UsageError when there is none of that version."""
    known = shipped_versions()
    if version not in known:
        msg = f"no rulebook {version!r} ships with this version: {', '.join(known)}"
        raise UsageError(msg)
    name = f"{version}.toml"
    return _parse((_shipped() / name).read_bytes(), name)


def carried_rulebooks(files: Iterable[Path] = ()) -> Mapping[str, Rulebook]:
    """Return the shipped rulebooks, and those of further files, by digest: what a log may activate.

    Raises RulebookError when two that differ have the same version: outputs name both, but a person names the version.
    """
    books: dict[str, Rulebook] = {}
    versions: dict[str, Rulebook] = {}
    for book in (*map(load_shipped, shipped_versions()), *map(load_file, files)):
        if versions.setdefault(book.version, book).digest != book.digest:
            msg = (
                f"rulebook {book.version}: two that differ have this version; give yours a version of its own"
            )
            raise RulebookError(msg)
        books[book.digest] = book
    return books


def load_file(path: Path) -> Rulebook:
    """Load a rulebook from a file.

    Raises RulebookError when it cannot be read or says something that a rulebook cannot say.
    """
    return _parse(_read(path), str(path))


def load_named(name: str) -> Rulebook:
    """Load a shipped rulebook by version, or one of a file by its path."""
    return load_shipped(name) if name in shipped_versions() else load_file(Path(name))


def check_file(path: Path) -> tuple[Finding, ...]:
    """Return everything that is wrong in a rulebook file, in the order of its lines.

    Raises RulebookError when the file cannot be read at all.
    """
    try:
        text = _read(path).decode()
        tables = tomllib.loads(text, parse_float=Decimal)
    except UnicodeDecodeError as error:
        return (Finding(str(path), 1, "", f"not UTF-8 text (byte {error.start})", is_warning=False),)
    except tomllib.TOMLDecodeError as error:
        what, line = _syntax_error(error)
        return (Finding(str(path), line, "", f"not TOML: {what}", is_warning=False),)
    lines = lines_of(text)
    findings = [
        Finding(
            file=str(path),
            line=_line(lines, mistake.path),
            entry=say_entry(mistake.path, tables),
            message=mistake.message
            + ("" if mistake.earlier is None else f" (first on line {_line(lines, mistake.earlier)})"),
            is_warning=mistake.is_warning,
        )
        for mistake in mistakes_of(tables)
    ]
    if (wrong := _wrong_engine(tables)) is not None:
        findings.append(
            Finding(str(path), _line(lines, ("engine_version",)), "engine_version", wrong, is_warning=False)
        )
    return tuple(sorted(findings, key=lambda found: (found.line, found.entry, found.message)))


def say_entry(path: EntryPath, tables: Mapping[str, Any]) -> str:
    """Write the path of an entry as a person names it: drugs.imatinib.threshold_per_ul."""
    words: list[str] = []
    value: Any = tables
    for part in path:
        value = value[part] if _has(value, part) else None
        if isinstance(part, str):
            words.append(part)
        else:
            name = value.get("name") if isinstance(value, dict) else None
            words.append(name if isinstance(name, str) else f"[{part + 1}]")
    return ".".join(words).replace(".[", "[")


def _has(value: object, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _line(lines: Mapping[EntryPath, int], path: EntryPath) -> int:
    """Return the line of an entry; of one that is missing, the line of what it is missing in."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _syntax_error(error: tomllib.TOMLDecodeError) -> tuple[str, int]:
    """Return what tomllib says and the line: it names the line in its text alone."""
    what, _, place = str(error).partition(" (at line ")
    line = place.partition(",")[0]
    return (what, int(line)) if line.isdecimal() else (str(error).partition(" (at ")[0], 1)


def _shipped() -> Traversable:
    return resources.files("pv_stream.rules").joinpath("rulebooks")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"rulebook {path}: {error.strerror}. Name a readable TOML file."
        raise RulebookError(msg) from None


def _parse(content: bytes, name: str) -> Rulebook:
    try:
        tables = tomllib.loads(content.decode(), parse_float=Decimal)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"rulebook {name}: {error}"
        raise RulebookError(msg) from None
    if (wrong := _wrong_engine(tables)) is not None:
        msg = f"rulebook {name}: {wrong}"
        raise RulebookError(msg)
    return parse_rulebook(tables, digest=f"sha256:{hashlib.sha256(content).hexdigest()}")


def _wrong_engine(tables: Mapping[str, Any]) -> str | None:
    """Say that a rulebook was written for another engine, if it was; what is no number is found by the check."""
    asked = tables.get("engine_version")
    if not isinstance(asked, int) or asked == ENGINE_VERSION:
        return None
    return f"it is written for engine version {asked}, and this is {ENGINE_VERSION}"
