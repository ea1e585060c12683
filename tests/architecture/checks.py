"""Style as a test: what to look for in a module's syntax tree, apart from where to look.

Each check takes source text and returns findings, `line: what and why`, so that it can be tested on small bad
snippets. It deliberately knows no file of this project: test_style.py does.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

MODULE_LINES_MAX: Final = 500
FUNCTION_LINES_MAX: Final = 60

#: Names that say nothing about what is inside, alone or as a word of a longer name.
EMPTY_NAMES: Final = frozenset(
    {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
)

#: What makes a result depend on when, where and by whom it was computed.
IMPURE_MODULES: Final = frozenset({"locale", "os", "platform", "random", "secrets", "socket", "time", "uuid"})
IMPURE_METHODS: Final = frozenset(
    {"astimezone", "fromtimestamp", "getenv", "now", "time_ns", "today", "utcfromtimestamp", "utcnow"}
)
#: Clocks that go on while a process stands still.
WALL_CLOCKS: Final = frozenset(
    {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "time", "time_ns"}
)
IMPURE_BUILTINS: Final = {
    "float": "binary fractions: int or Decimal at thresholds and in sums",
    "hash": "differs from process to process",
    "id": "differs from process to process",
    "input": "I/O",
    "open": "I/O",
    "print": "I/O",
}

#: Where the order of what goes in does not show in what comes out. `sum` is not here: it is exact only for exact
#: numbers, and those of the core are, but a reader should not have to know.
ORDER_FREE_CALLS: Final = frozenset({"all", "any", "frozenset", "len", "max", "min", "set", "sorted"})
SET_METHODS: Final = frozenset({"difference", "intersection", "symmetric_difference", "union"})
SET_TYPES: Final = frozenset({"AbstractSet", "FrozenSet", "MutableSet", "Set", "frozenset", "set"})
ORDER_KEEPING_CALLS: Final = frozenset(
    {"dict", "enumerate", "iter", "list", "map", "next", "reversed", "sum", "tuple", "zip"}
)


def empty_names(module: str) -> list[str]:
    """Find the parts of a dotted module name that say nothing."""
    return [
        f"{module}: {part!r} says nothing: name it after what is inside"
        for part in module.split(".")
        if EMPTY_NAMES & set(part.strip("_").split("_"))
    ]


def long_module(source: str) -> list[str]:
    """Find a module that is longer than one noun needs."""
    lines = source.count("\n")
    return [f"{lines} lines, at most {MODULE_LINES_MAX}: is it one noun?"] if lines > MODULE_LINES_MAX else []


def long_functions(source: str) -> list[str]:
    """Find functions that do not fit on a screen, their decorators and docstrings counted."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                found.append(f"{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}")
    return found


def timed_assertions(source: str) -> list[str]:
    """Find assertions that something took less than so long by a clock: a machine that stands still breaks them."""
    return [
        f"{part.lineno}: asserts how long something took: wait for what happens, or compare work with work"
        for statement in ast.walk(ast.parse(source))
        if isinstance(statement, ast.Assert)
        for part in ast.walk(statement.test)
        if isinstance(part, ast.Compare)
        and isinstance(part.ops[0], ast.Lt | ast.LtE)
        and any(isinstance(each, ast.BinOp) and _reads_clock(each) for each in ast.walk(part.left))
    ]


def _reads_clock(node: ast.expr) -> bool:
    return any(isinstance(each, ast.Attribute) and each.attr in WALL_CLOCKS for each in ast.walk(node))


def index_addresses(lock: str) -> list[str]:
    """Find addresses, and options that carry one, in a file of locked requirements."""
    return [
        f"{number}: an address or index option: {line.strip()[:60]}"
        for number, line in enumerate(lock.splitlines(), start=1)
        if "://" in line or re.match(r"\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", line)
    ]


def inexact_requirements(lock: str) -> list[str]:
    """Find requirements of a lock that are not one exact version with a hash."""
    whole = lock.replace("\\\n", " ")
    return [
        f"not an exact version with a hash: {line.split()[0]}"
        for line in whole.splitlines()
        if line.strip() and not line.startswith("#")
        if not (re.match(r"[A-Za-z0-9._-]+(\[[^]]+\])?==[^\s;]+\s", line) and "--hash=sha256:" in line)
    ]


def impurities(source: str) -> list[str]:
    """Find floats, clocks, randomness, the environment and I/O: nothing of these may reach the bytes (law 5)."""
    return sorted(found for node in ast.walk(ast.parse(source)) for found in _impurity(node))


def _impurity(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Constant(value=float() | complex()):
            yield f"{node.lineno}: the literal {node.value!r}: write an int or a Decimal"
        case ast.Call(func=ast.Name(id=name)) if name in IMPURE_BUILTINS:
            yield f"{node.lineno}: {name}(): {IMPURE_BUILTINS[name]}"
        case ast.Attribute(attr=name) if name in IMPURE_METHODS:
            yield f"{node.lineno}: .{name}: a clock, a time zone or the environment"
        case ast.Import(names=names):
            for alias in names:
                if alias.name.partition(".")[0] in IMPURE_MODULES:
                    yield f"{node.lineno}: import {alias.name}"
        case ast.ImportFrom(module=str(module), level=0) if module.partition(".")[0] in IMPURE_MODULES:
            yield f"{node.lineno}: from {module} import"


def set_fields(sources: Iterable[str]) -> frozenset[str]:
    """Return the names of class fields that hold a set wherever that name is a field."""
    are_sets: dict[str, bool] = {}
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            for name, annotation in _fields(node):
                are_sets[name] = are_sets.get(name, True) and _is_set_type(annotation)
    return frozenset(name for name, is_set in are_sets.items() if is_set)


def _fields(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(node, ast.ClassDef):
        for statement in node.body:
            match statement:
                case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                    yield name, annotation
                case ast.FunctionDef(name=name, returns=annotation) if _is_property(statement):
                    yield name, annotation


def _is_property(function: ast.FunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in function.decorator_list)


def set_iterations(source: str, fields: frozenset[str] = frozenset()) -> list[str]:
    """Find where the order of a set, which follows the hash seed, could reach a result.

    A set is: a display, a comprehension, `set(...)`, set algebra on one, a name or parameter that is annotated or
    assigned as one in the same scope, or an attribute named in `fields`. `sorted(...)` around it makes it right, and
    so does any call in ORDER_FREE_CALLS. What comes out of another function is not seen: two PYTHONHASHSEEDs see it.
    """
    finder = _SetIterations(fields)
    finder.visit(ast.parse(source))
    return finder.found


@dataclass(slots=True)
class _SetIterations(ast.NodeVisitor):
    fields: frozenset[str]
    found: list[str] = field(default_factory=list)
    #: The names that hold a set, one frame for each scope that encloses the node.
    scopes: list[set[str]] = field(default_factory=list)

    def visit_Module(self, node: ast.Module) -> None:
        self._visit_scope(node, node.body)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        self._visit_scope(node, node.body, {a.arg for a in arguments if _is_set_type(a.annotation)})

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - ast names it

    def _visit_scope(self, node: ast.AST, body: list[ast.stmt], names: Iterable[str] = ()) -> None:
        self.scopes.append(set(names))
        for inner in _statements(body):
            self.scopes[-1] |= self._set_names(inner)
        self.generic_visit(node)
        self.scopes.pop()

    def _set_names(self, node: ast.stmt) -> set[str]:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if _is_set_type(annotation):
                return {name}
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if self._is_set(value):
                return {name}
        return set()

    def visit_For(self, node: ast.For) -> None:
        self._check(node.iter, "for")
        self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp | ast.DictComp | ast.GeneratorExp) -> None:
        for generator in node.generators:
            self._check(generator.iter, "a comprehension")
        self.generic_visit(node)

    visit_DictComp = visit_ListComp  # noqa: N815
    visit_GeneratorExp = visit_ListComp  # noqa: N815

    def visit_Starred(self, node: ast.Starred) -> None:
        self._check(node.value, "*")
        self.generic_visit(node)

    def visit_Set(self, node: ast.Set) -> None:
        for element in node.elts:  # {*a, *b} keeps no order, so none is lost
            self.generic_visit(element) if isinstance(element, ast.Starred) else self.visit(element)

    def visit_Call(self, node: ast.Call) -> None:
        match node.func:
            case ast.Name(id=name) if name in ORDER_FREE_CALLS:
                self._visit_order_free(node)
                return
            case ast.Name(id=name) if name in ORDER_KEEPING_CALLS:
                for argument in node.args:
                    self._check(argument, f"{name}()")
            case ast.Attribute(attr="join" | "extend" as name):
                for argument in node.args:
                    self._check(argument, f".{name}()")
            case ast.Attribute(attr="pop", value=value) if not node.args:
                self._check(value, ".pop()")
        self.generic_visit(node)

    def _visit_order_free(self, node: ast.Call) -> None:
        for argument in node.args:
            if isinstance(argument, ast.GeneratorExp | ast.ListComp | ast.Starred):
                self.generic_visit(argument)
            else:
                self.visit(argument)
        for keyword in node.keywords:
            self.visit(keyword)

    def _check(self, node: ast.expr, where: str) -> None:
        if self._is_set(node):
            self.found.append(f"{node.lineno}: {where} takes {ast.unparse(node)[:40]} in hash order: sort it")

    def _is_set(self, node: ast.expr) -> bool:
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Call(func=ast.Name(id="set" | "frozenset")):
                return True
            case ast.Call(func=ast.Attribute(attr=name)) if name in SET_METHODS:
                return True
            case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), left=left, right=right):
                return self._is_set(left) or self._is_set(right)
            case ast.IfExp(body=body, orelse=orelse):
                return self._is_set(body) or self._is_set(orelse)
            case ast.Name(id=name):
                return any(name in scope for scope in self.scopes)
            case ast.Attribute(attr=name):
                return name in self.fields
            case _:
                return False


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of one scope, nested blocks included, nested functions and classes not."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, []))
        for handler in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
            yield from _statements(handler.body)


def _is_set_type(annotation: ast.expr | None) -> bool:
    match annotation:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in SET_TYPES
        case ast.Subscript(value=ast.Name(id="Final" | "ClassVar" | "Annotated"), slice=inner):
            return _is_set_type(inner.elts[0] if isinstance(inner, ast.Tuple) else inner)
        case ast.Subscript(value=value):
            return _is_set_type(value)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _is_set_type(left) or _is_set_type(right)
        case _:
            return False


def folder_names(text: str, folders: Iterable[str]) -> list[str]:
    """Find the names of folders that exist on one machine only."""
    return [
        f"{number}: names {folder}"
        for number, line in enumerate(text.splitlines(), start=1)
        for folder in folders
        if re.search(rf"(?<![\w.~}}-]){re.escape(folder)}", line)
    ]
