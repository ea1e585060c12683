"""Traceability: which clinical statement rests on which source, is which rule, and is tested where.

The statements stand in traceability.toml beside this module, so that every installation can say what a rule rests on.
A rule is named by its kind and name, `row:skin_and_organ` or `number:lag_days`; `rule_names` knows them all, so that a
statement names none that is not there and none is left out. What no rule of a table says is done by a module, named
from the package down: `engine.join`. A test is `scenario:FILE`, `scenario:FILE: CASE` or `PATH::NAME`.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from pv_stream.audit.criteria_doc import criteria_names
from pv_stream.audit.output_words import word_names
from pv_stream.audit.rules_doc import markdown_table
from pv_stream.errors import DataError
from pv_stream.rules.regiscar import TABLE
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.tiers import GIVEN_AGAIN, REPORTED, ROWS, WITHOUT_WATCHED_DRUG

_SHIPPED: Final[Traversable] = resources.files("pv_stream.audit").joinpath("traceability.toml")


@dataclass(frozen=True, slots=True)
class Statement:
    """Hold one clinical statement; `cites` names sources of the rulebook or of the file's own citations.

    `modules` do what no rule of a table says.
    """

    id: str
    says: str
    cites: tuple[str, ...]
    rules: tuple[str, ...]
    tests: tuple[str, ...]
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chapter:
    """Hold the statements on one subject."""

    title: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Traceability:
    """Hold every statement, and the citations that no number of the rulebook rests on."""

    citations: Mapping[str, str]
    chapters: tuple[Chapter, ...]

    @property
    def statements(self) -> Iterator[Statement]:
        """Yield every statement in order."""
        return (statement for chapter in self.chapters for statement in chapter.statements)


_TRACEABILITY: Final[TypeAdapter[Traceability]] = TypeAdapter(Traceability)


@cache
def shipped_traceability() -> Traceability:
    """Read the statements that ship with the package."""
    return read_traceability(_SHIPPED)


def read_traceability(path: Traversable) -> Traceability:
    """Read the statements of a file. Raises DataError naming the first entry that is wrong."""
    try:
        return _TRACEABILITY.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise DataError(msg) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path}: not TOML: {error}"
        raise DataError(msg) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        msg = f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise DataError(msg) from None


def rule_names(rulebook: Rulebook) -> Sequence[str]:
    """Return the names of all rules that a statement can be about, each kind in its own order."""
    return (
        *(f"row:{row.name}" for row in (*ROWS, WITHOUT_WATCHED_DRUG, GIVEN_AGAIN, *REPORTED)),
        *(f"item:{item.name}" for item in TABLE),
        *criteria_names(),
        *word_names(),
        *(f"number:{field.name}" for field in fields(rulebook.parameters)),
        "number:threshold_per_ul",
        "number:fraction_below_per_ul",
        *(f"drug:{drug.name}" for drug in rulebook.drugs),
        *(f"class_of_drugs:{group.name}" for group in rulebook.classes),
        *(f"treatment:{treatment.name}" for treatment in rulebook.treatments),
        *(f"follow_up:{entry.name}" for entry in rulebook.follow_up),
    )


def traceability_document(traced: Traceability, rulebook: Rulebook) -> str:
    """Return the statements as Markdown. Raises DataError for a citation that is not listed."""
    return "\n".join(_lines(traced, rulebook)).rstrip() + "\n"


def _lines(traced: Traceability, rulebook: Rulebook) -> Iterator[str]:
    yield "# Traceability"
    yield ""
    yield (
        "Written by `make docs` from [traceability.toml](../pv_stream/audit/traceability.toml); do not edit. Each "
        "clinical statement with its source, the rules that hold it ([rules.md](rules.md)) or, where no table says it, "
        "the module that does, and the tests that fail when it no longer holds. `pv-stream rules explain` tells the "
        "same of one rule or one statement."
    )
    yield ""
    cited = {**rulebook.sources, **traced.citations}
    for chapter in traced.chapters:
        yield f"## {chapter.title}"
        yield ""
        yield from markdown_table(
            ("id", "statement", "sources", "rules and modules", "tests"),
            [_row(statement, cited) for statement in chapter.statements],
        )
        yield ""
    yield "## Sources"
    yield ""
    named = {name for statement in traced.statements for name in statement.cites}
    yield from markdown_table(("name", "source"), [(name, cited[name]) for name in cited if name in named])


def _row(statement: Statement, cited: Mapping[str, str]) -> Sequence[str]:
    for name in statement.cites:
        if name not in cited:
            msg = f"statement {statement.id}: the citation {name!r} is neither listed nor a source of the rulebook"
            raise DataError(msg)
    return (
        statement.id,
        statement.says,
        ", ".join(statement.cites),
        _each(
            (*(f"`{rule}`" for rule in statement.rules), *(f"module `{name}`" for name in statement.modules))
        ),
        _each(map(_test, statement.tests)),
    )


def _each(entries: Iterable[str]) -> str:
    return "<br>".join(entries)


def _test(name: str) -> str:
    scenario = name.removeprefix("scenario:")
    if scenario != name:
        file, _, case = scenario.partition(": ")
        return f"{file}: {case}" if case else file
    path, _, test = name.partition("::")
    return f"`{Path(path).stem}` {test.removeprefix('test_').replace('_', ' ')}"
