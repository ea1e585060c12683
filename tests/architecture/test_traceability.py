"""Traceability that cannot rot: every statement leads to rules and tests that are there, and no rule is left out."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from pv_stream.audit.rule_guide import find_rule
from pv_stream.audit.traceability import Statement, rule_names, shipped_traceability
from pv_stream.cli.docs import rule_documents
from tests.builders import RULEBOOK
from tests.scenarios.every_case import SCENARIOS

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
DIFFERENCES: Final = "clinical-differences.md"
STATEMENTS: Final = "pv_stream/audit/traceability.toml"
TRACED: Final = shipped_traceability()
RULES: Final = rule_names(RULEBOOK)
CASES: Final = {
    scenario.path.stem: {case.name for case in scenario.cases} for scenario in SCENARIOS if scenario.cases
}
EACH: Final = [pytest.param(statement, id=statement.id) for statement in TRACED.statements]


@cache
def _tests_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def _module(name: str) -> Path:
    return ROOT / "pv_stream" / f"{name.replace('.', '/')}.py"


def _exists(test: str) -> bool:
    if test.startswith("scenario:"):
        file, _, case = test.removeprefix("scenario:").partition(": ")
        return file in CASES and (not case or case in CASES[file])
    path, _, name = test.partition("::")
    return (ROOT / path).is_file() and (not name or name in _tests_in(ROOT / path))


@pytest.mark.parametrize("statement", EACH)
def test_a_statement_names_only_what_is_there(statement: Statement) -> None:
    assert [rule for rule in statement.rules if rule not in RULES] == []
    assert [name for name in statement.modules if not _module(name).is_file()] == []
    assert [test for test in statement.tests if not _exists(test)] == []
    assert [
        name for name in statement.cites if name not in TRACED.citations and name not in RULEBOOK.sources
    ] == []
    assert find_rule(f"statement:{statement.id}", RULEBOOK) == f"statement:{statement.id}"


@pytest.mark.parametrize("statement", EACH)
def test_a_statement_has_a_source_a_rule_or_module_and_a_test(statement: Statement) -> None:
    assert statement.cites
    assert statement.rules or statement.modules
    assert statement.tests


def test_every_citation_of_the_statements_is_used() -> None:
    used = {name for statement in TRACED.statements for name in statement.cites}

    assert sorted(set(TRACED.citations) - used) == []


def test_no_rule_is_without_a_statement() -> None:
    named = {rule for statement in TRACED.statements for rule in statement.rules}

    assert [rule for rule in RULES if rule not in named] == [], f"say in {STATEMENTS} what they are"


def test_no_scenario_is_without_a_statement() -> None:
    named = {
        test.removeprefix("scenario:").partition(": ")[0]
        for statement in TRACED.statements
        for test in statement.tests
        if test.startswith("scenario:")
    }

    assert sorted(set(CASES) - named) == []


def test_what_differs_from_the_specification_names_only_what_is_there() -> None:
    text = (DOCS / DIFFERENCES).read_text(encoding="utf-8")
    named = [name for name in re.findall(r"`([^`]+)`", text) if re.match(r"(tests/|[a-z_]+:)", name)]
    linked = re.findall(r"\]\(([^)]+)\)", text)

    assert len(named) > len(linked) > 0
    assert [name for name in named if not (name in RULES or _exists(name))] == []
    assert [link for link in linked if not (DOCS / link).is_file()] == []


def test_every_row_of_what_differs_names_what_holds_it() -> None:
    rows = [
        line
        for line in (DOCS / DIFFERENCES).read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    held = [row.rstrip(" |").rpartition(" | ")[2] for row in rows if not row.endswith("| held by |")]

    assert held
    assert [cell for cell in held if "tests/" not in cell and "scenario:" not in cell] == []


def test_no_two_statements_share_an_id() -> None:
    ids = [statement.id for statement in TRACED.statements]

    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["rules.md", "traceability.md"])
def test_the_documents_are_fresh(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")

    assert written == rule_documents(DOCS)[DOCS / name], "run `make docs`"
