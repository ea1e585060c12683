"""Mutants of the rules and the engine: how they are made, which of them the types refuse, and how one is put in place.

mutmut makes the changes, one at a time. It passes over decorated functions and over tables of a module; both are
reached here: a decorator is nothing to a code object, and a table is a statement that can be run again.
"""

import ast
import collections
import dataclasses
import difflib
import functools
import gc
import importlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

import libcst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import create_mutations

ROOT: Final = Path(__file__).parent.parent
ROOMS: Final = ("pv_stream/rules", "pv_stream/engine")
MYPY: Final = ("--no-error-summary", "--hide-error-context", "--no-color-output", "--cache-dir=/dev/null")
#: A change of letters only: what a code or a reason is called is compared with what tests expect in the traceable
#: tables and the golden outputs, not here.
WORDING: Final = frozenset({"SimpleString", "FormattedString"})
#: The changes at thresholds, which come first.
COMPARISONS: Final = frozenset({"ComparisonTarget", "Integer", "BinaryOperation", "UnaryOperation"})


#: Path, function (None for a table) and the line on which it starts.
Group = tuple[str, str | None, int]


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change of a function, or of a table of a module when `function` is None."""

    path: str
    function: str | None
    starts: int  # the line on which the function or the table starts
    first: int  # the lines of the change
    last: int
    operator: str
    original: str  # source of the whole function or table
    changed: str

    @property
    def is_comparison(self) -> bool:
        return self.operator in COMPARISONS

    @functools.cached_property
    def difference(self) -> str:
        lines = difflib.unified_diff(self.original.splitlines(), self.changed.splitlines(), n=0, lineterm="")
        return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))

    @property
    def lines(self) -> range:
        return range(self.first, self.last + 1)

    @property
    def lines_of_the_function(self) -> range:
        return range(self.starts, self.starts + self.original.count("\n") + 1)


def modules(only: str) -> list[str]:
    """Every module of the rooms whose path has this in it."""
    paths = (path.relative_to(ROOT).as_posix() for room in ROOMS for path in (ROOT / room).glob("*.py"))
    return sorted(path for path in paths if only in path)


def mutants_of(path: str) -> Iterator[Mutant]:
    module, mutations, _, _ = create_mutations(path, without_decorators((ROOT / path).read_text()))
    places = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    names = dict(functions_of(module))
    tables = {node: table for table in module.body if is_table(table) for node in nodes_of(table)}
    for mutation in mutations:
        inside = mutation.contained_by_top_level_function
        function = names.get(inside) if inside else None
        holder = inside if function else tables.get(mutation.original_node)
        operator = type(mutation.original_node).__name__
        if holder is None or operator in WORDING:
            continue
        place = places.get(mutation.original_node, places[holder])
        yield Mutant(
            path,
            function,
            places[holder].start.line,
            place.start.line,
            place.end.line,
            operator,
            module.code_for_node(holder),
            module.code_for_node(holder.deep_replace(mutation.original_node, mutation.mutated_node)),
        )


def without_decorators(source: str) -> str:
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        for decorator in getattr(node, "decorator_list", ()):
            for number in range(decorator.lineno - 1, decorator.end_lineno):
                lines[number] = "#\n"
    return "".join(lines)


def functions_of(module: libcst.Module) -> Iterator[tuple[libcst.CSTNode, str]]:
    """Each function of the module and each method of its classes, with its name."""
    for statement in module.body:
        if isinstance(statement, libcst.FunctionDef):
            yield statement, statement.name.value
        elif isinstance(statement, libcst.ClassDef):
            for inner in statement.body.body:
                if isinstance(inner, libcst.FunctionDef):
                    yield inner, f"{statement.name.value}.{inner.name.value}"


def is_table(statement: libcst.CSTNode) -> bool:
    """Tell whether a statement of a module gives something a name, and not only a type."""
    return isinstance(statement, libcst.SimpleStatementLine) and any(
        isinstance(part, libcst.Assign | libcst.AnnAssign) and not names_type(part) for part in statement.body
    )


def names_type(part: libcst.Assign | libcst.AnnAssign) -> bool:
    value = part.value
    return isinstance(part, libcst.Assign) and (
        isinstance(value, libcst.Subscript)
        or (
            isinstance(value, libcst.Call)
            and isinstance(value.func, libcst.Name)
            and value.func.value == "TypeVar"
        )
    )


def nodes_of(node: libcst.CSTNode) -> Iterator[libcst.CSTNode]:
    yield node
    for child in node.children:
        yield from nodes_of(child)


# --- what the types refuse ---------------------------------------------------------------------------------------


def refused(mutants: Iterable[Mutant]) -> set[Mutant]:
    """Return the mutants that mypy refuses: `make test` would run no test of such a change.

    Each is written as one more function, or table, beside the one that it changes, and mypy reads all of them at
    once. Where it refuses an unchanged copy too, it says nothing about the changed ones.
    """
    groups: dict[Group, list[Mutant]] = collections.defaultdict(list)
    for mutant in mutants:
        groups[mutant.path, mutant.function, mutant.starts].append(mutant)
    found: set[Mutant] = set()
    if not groups:
        return found
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "pyproject.toml", folder)
        shutil.copytree(ROOT / "pv_stream", Path(folder) / "pv_stream")
        owners: dict[tuple[str, int], tuple[Group, Mutant | None]] = {}
        paths = sorted({path for path, _, _ in groups})
        for path in paths:
            here = {key: group for key, group in groups.items() if key[0] == path}
            text = side_by_side(path, here, owners)
            (Path(folder) / path).write_text(text)
        command = [sys.executable, "-m", "mypy", *MYPY, *paths]
        said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - mypy, on our own files
        if said.returncode not in {0, 1}:
            raise SystemExit(said.stdout + said.stderr)
    wrong = collections.defaultdict(set)
    for line in said.stdout.splitlines():
        match = re.match(r"([^:]+):(\d+): error", line)
        if match and (owner := owners.get((match[1], int(match[2])))):
            wrong[owner[0]].add(owner[1])
    for ones in wrong.values():
        if None not in ones:
            found |= {one for one in ones if one is not None}
    return found


def side_by_side(
    path: str,
    groups: Mapping[Group, list[Mutant]],
    owners: dict[tuple[str, int], tuple[Group, Mutant | None]],
) -> str:
    """Write the unchanged copy of each function and table and its mutants below it, and note whose each line is."""
    source = (ROOT / path).read_text()
    lines = source.splitlines(keepends=True)
    below: dict[int, list[tuple[Any, Mutant | None, str]]] = collections.defaultdict(list)
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.Assign | ast.AnnAssign):
            continue
        is_function, name = isinstance(node, ast.FunctionDef), name_of(node)
        for key, group in groups.items():
            if key[2] != node.lineno or (key[1] is not None) is not is_function:
                continue
            decorators = "".join(
                "".join(lines[d.lineno - 1 : d.end_lineno]) for d in getattr(node, "decorator_list", ())
            )
            for number, mutant in enumerate([None, *group]):
                text = group[0].original if mutant is None else mutant.changed
                text = re.sub(r"\A(\s*(#.*)?\n)*", "", text).rstrip() + "\n"
                text = text.replace(name, f"{name}__{number}", 1)
                below[node.end_lineno or 0].append(
                    (key, mutant, decorators + textwrap.indent(text, " " * node.col_offset))
                )
    out: list[str] = []
    for number, line in enumerate(lines, 1):
        out.append(line)
        for key, mutant, text in below[number]:
            for each in text.splitlines(keepends=True):
                out.append(each)
                owners[path, len(out)] = key, mutant
    return "".join(out)


def name_of(node: ast.FunctionDef | ast.Assign | ast.AnnAssign) -> str:
    """Return the words with which a definition begins."""
    if isinstance(node, ast.FunctionDef):
        return f"def {node.name}"
    return ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)


# --- putting one in place ----------------------------------------------------------------------------------------


class Place:
    """The loaded functions of the rooms, and the caches that must forget what the unchanged code said."""

    def __init__(self) -> None:
        self.functions: dict[tuple[str, str], list[FunctionType]] = collections.defaultdict(list)
        self.caches = []
        for found in gc.get_objects():
            if isinstance(found, FunctionType) and found.__code__.co_filename.startswith(f"{ROOT}/pv_stream"):
                path = Path(found.__code__.co_filename).relative_to(ROOT).as_posix()
                self.functions[path, found.__code__.co_qualname].append(found)
            elif isinstance(found, functools._lru_cache_wrapper):  # noqa: SLF001 - it has no public name
                self.caches.append(found)

    def put(self, mutant: Mutant) -> None:
        if mutant.function is None:
            rerun(mutant)
        else:
            code = code_of(mutant.function, mutant.changed)
            for function in self.functions[mutant.path, mutant.function]:
                function.__code__ = code
        for cache in self.caches:
            cache.cache_clear()


def code_of(name: str, source: str) -> CodeType:
    holder, _, _ = name.rpartition(".")
    text = f"class {holder}:\n{textwrap.indent(source.lstrip(), ' ')}" if holder else source
    pending = [compile(text, "mutant", "exec", dont_inherit=True)]
    while pending:
        code = pending.pop()
        if code.co_qualname == name:
            return code
        pending += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    raise LookupError(name)


def rerun(mutant: Mutant) -> None:
    """Run a changed table, and those below it that use it; give the new values to every module that has the old."""
    module = importlib.import_module(mutant.path.removesuffix(".py").replace("/", "."))
    space = vars(module)
    stale: set[str] = set()
    for statement in ast.parse((ROOT / mutant.path).read_text()).body:
        is_changed = statement.lineno == mutant.starts
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or not (
            is_changed or stale & names_in(statement)
        ):
            continue
        runs = ast.parse(mutant.changed).body[0] if is_changed else statement
        named = names_in(*(statement.targets if isinstance(statement, ast.Assign) else [statement.target]))
        before = {name: space[name] for name in named}
        exec(compile(ast.Module([runs], []), "mutant", "exec"), space)  # noqa: S102 - a line of this project
        for name, old in before.items():
            for other in list(sys.modules.values()):
                if vars(other).get(name) is old:
                    setattr(other, name, space[name])
        stale |= named


def names_in(*nodes: ast.AST) -> set[str]:
    return {inner.id for node in nodes for inner in ast.walk(node) if isinstance(inner, ast.Name)}
