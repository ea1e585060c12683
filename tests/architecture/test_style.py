"""The project's style, where a program can tell: every file is held to it, every check is tested on bad snippets."""

import stat
import tomllib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from tests.architecture import checks

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pv_stream"
CORE = ("codec", "domain", "engine", "rules", "shard")
LOCKS = ("all.txt", "core.txt")
MUTATION_LOCK = "mutation.txt"

#: Put together here, so that this file does not name it.
MACHINE_FOLDERS = (f"{PurePosixPath('/') / 'work'}/",)
#: What tools and runs leave; none of it is part of the project.
NOT_OURS = {
    "__pycache__",
    "build",
    "dist",
    "htmlcov",
    "out",
    "pv-stream-demo",
    "pv-stream-demo-again",
    "target",
}
TEXT = {
    ".cfg",
    ".ini",
    ".json",
    ".md",
    ".properties",
    ".py",
    ".sh",
    ".toml",
    ".txt",
    ".xml",
    ".yaml",
    ".yml",
    "",
}

MODULES = sorted(PACKAGE.rglob("*.py"))
CORE_MODULES = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] in CORE]
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def findings(paths: list[Path], check: Callable[[str], list[str]]) -> str:
    return "\n".join(f"{name_of(path)}: {finding}" for path in paths for finding in check(text_of(path)))


def project_files() -> list[Path]:
    tops = (path for path in sorted(ROOT.iterdir()) if path.name not in NOT_OURS)
    tops = (path for path in tops if path.name == ".ci" or not path.name.startswith("."))
    files = (file for top in tops for file in ([top] if top.is_file() else sorted(top.rglob("*"))))
    return [
        file
        for file in files
        if file.is_file() and file.suffix in TEXT and not NOT_OURS & set(file.relative_to(ROOT).parts)
    ]


# --- the project ----------------------------------------------------------------------------------------------


def test_there_is_something_to_check() -> None:
    assert MODULES
    assert {path.relative_to(PACKAGE).parts[0] for path in CORE_MODULES} == set(CORE)
    assert ROOT / "pyproject.toml" in project_files()
    assert ROOT / ".ci" / "run" in project_files()


def test_each_module_is_named_after_what_is_inside() -> None:
    modules = [name_of(path.with_suffix("")).replace("/", ".") for path in [*MODULES, *TESTS]]
    assert [finding for module in modules for finding in checks.empty_names(module)] == []


def test_no_module_is_too_long() -> None:
    assert findings(MODULES, checks.long_module) == ""


def test_every_function_fits_on_a_screen() -> None:
    assert findings(MODULES, checks.long_functions) == ""


def test_no_test_asserts_how_long_something_took() -> None:
    assert findings(TESTS, checks.timed_assertions) == ""


def test_the_core_has_no_floats_no_clock_no_randomness_and_no_environment() -> None:
    assert findings(CORE_MODULES, checks.impurities) == ""


def test_the_core_never_follows_the_hash_order_of_a_set() -> None:
    fields = checks.set_fields(text_of(path) for path in CORE_MODULES)
    assert findings(CORE_MODULES, lambda source: checks.set_iterations(source, fields)) == ""


@pytest.mark.parametrize("lock", [*LOCKS, MUTATION_LOCK])
def test_locks_hold_exact_versions_with_hashes_and_no_index_address(lock: str) -> None:
    text = text_of(ROOT / "requirements" / lock)
    assert checks.index_addresses(text) == []
    assert checks.inexact_requirements(text) == []


def test_the_small_lock_is_part_of_the_large_one() -> None:
    every, core = (set(text_of(ROOT / "requirements" / lock).splitlines()) for lock in LOCKS)
    assert core <= every


def test_the_build_requirement_is_locked_as_the_package_states_it() -> None:
    build = tomllib.loads(text_of(ROOT / "pyproject.toml"))["build-system"]["requires"]
    assert set(build) <= set(text_of(ROOT / "requirements" / "build.in").splitlines())


def test_no_file_names_a_folder_of_the_machine_it_was_written_on() -> None:
    assert findings(project_files(), lambda text: checks.folder_names(text, MACHINE_FOLDERS)) == ""


def test_the_package_is_typed_and_ci_can_be_run() -> None:
    assert (PACKAGE / "py.typed").exists()
    assert (ROOT / ".ci" / "run").stat().st_mode & stat.S_IXUSR


# --- the checks themselves ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "module", ["pv_stream.utils", "pv_stream.rules._helpers", "a.dose_utils", "a.manager.b"]
)
def test_an_empty_name_is_found(module: str) -> None:
    assert len(checks.empty_names(module)) == 1


@pytest.mark.parametrize("module", ["pv_stream.rules.courses", "pv_stream.utility_units", "a.commonness"])
def test_a_name_that_says_something_is_not(module: str) -> None:
    assert checks.empty_names(module) == []


def test_the_limit_of_lines_is_a_limit() -> None:
    at_limit = "x = 1\n" * checks.MODULE_LINES_MAX
    assert checks.long_module(at_limit) == []
    assert len(checks.long_module(at_limit + "x = 1\n")) == 1
    function = "def f():\n" + "    x = 1\n" * (checks.FUNCTION_LINES_MAX - 1)
    assert checks.long_functions(function) == []
    assert len(checks.long_functions(function + "    x = 1\n")) == 1
    assert (
        len(
            checks.long_functions("class A:\n  async " + function.replace("    ", "      ") + "      x = 1\n")
        )
        == 1
    )


@pytest.mark.parametrize(
    "source",
    [
        "assert time.monotonic() - began < 3",
        "assert time.perf_counter() - began <= limit, 'slow'",
        "assert worker.stop() == 0 and time.time() - began < 3",
        "assert round(time.monotonic() - began) < 3",
    ],
)
def test_a_timed_assertion_is_found(source: str) -> None:
    assert len(checks.timed_assertions(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "assert time.monotonic() < deadline, 'it never came'",
        "assert time.monotonic() - began >= 0.3",
        "assert seconds_of_work(long) < 8 * quarter + 0.5",
        "assert time.thread_time() - before < 8 * other",
    ],
)
def test_a_deadline_or_a_comparison_of_work_is_not(source: str) -> None:
    assert checks.timed_assertions(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "x = 1.5",
        "x = -0.7",
        "x = 2j",
        "x = float('7')",
        "now = datetime.now()",
        "now = datetime.now",
        "day = date.today()",
        "import time",
        "import os.path",
        "from random import Random",
        "def f():\n    import uuid",
        "x = hash('a')",
        "x = id(f)",
        "print(1)",
        "open('x')",
        "local = instant.astimezone()",
    ],
)
def test_an_impurity_is_found(source: str) -> None:
    assert len(checks.impurities(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "x = 15",
        "x = Decimal('1.5')",
        "x = '1.5'",
        "from datetime import datetime",
        "from pv_stream.domain import times",
        "from . import time",
        "age = later - earlier",
        "def f(x: float) -> None: ...",
    ],
)
def test_what_is_pure_is_not(source: str) -> None:
    assert checks.impurities(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "for x in {1, 2}: f(x)",
        "for x in set(y): f(x)",
        "for x in frozenset(y) - z: f(x)",
        "for x in a.union(b): f(x)",
        "r = [x for x in {i for i in y}]",
        "r = {x: 1 for x in set(y)}",
        "r = list(set(y))",
        "r = tuple({1, 2})",
        "r = next(iter({1, 2}))",
        "r = sum(set(y))",
        "r = ','.join({'a', 'b'})",
        "r = [*set(y)]",
        "s = set(y)\nfor x in s: f(x)",
        "def g(s: frozenset[int]):\n    return [x for x in s]",
        "def g(*, s: set[int] | None):\n    return tuple(s)",
        "def g():\n    s: set[int] = h()\n    return s.pop()",
        "def g():\n    if y:\n        s = {1, 2}\n    return list(s)",
        "def g():\n    s = {1}\n    def h():\n        return list(s)",
        "S: Final[frozenset[int]] = h()\nr = list(S)",
        "r = list(f(course.drugs))  # not this\nr = list(course.drugs)",
        "r = max(g(x) for x in [y for y in {1, 2}])",
    ],
)
def test_hash_order_is_found(source: str) -> None:
    assert len(checks.set_iterations(source, frozenset({"drugs"}))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "for x in sorted({1, 2}): f(x)",
        "for x in (1, 2): f(x)",
        "r = sorted(set(y))",
        "r = max(x for x in set(y))",
        "r = any(f(x) for x in {1, 2})",
        "r = len({1, 2})",
        "r = {f(x) for x in set(y)}",
        "r = frozenset(x for x in {1, 2})",
        "r = {*set(y), *set(z)}",
        "r = x in {1, 2}",
        "r = sorted(x.key for x in course.drugs)",
        "r = [1, 2].pop()",
        "def g():\n    s = {1}\ndef h(s: list[int]):\n    return list(s)",
        "r = 5 - 3",
    ],
)
def test_what_is_ordered_or_needs_no_order_is_not(source: str) -> None:
    assert checks.set_iterations(source, frozenset({"drugs"})) == []


def test_a_field_is_a_set_only_where_every_field_of_that_name_is() -> None:
    one = "class A:\n    drugs: frozenset[str]\n    items: set[str]\n    @property\n    def keys(self) -> set[str]: ..."
    other = "class B:\n    items: tuple[str, ...]"
    assert checks.set_fields([one, other]) == {"drugs", "keys"}


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://host/simple",
        "-i somewhere",
        "  -f wheels",
        "a @ https://host/a.whl",
        "# http://host",
    ],
)
def test_an_address_in_a_lock_is_found(line: str) -> None:
    assert len(checks.index_addresses(f"a==1 \\\n    --hash=sha256:0\n{line}\n")) == 1


@pytest.mark.parametrize(
    "line", ["a>=1 --hash=sha256:0", "a", "a==1", "-e .", "a==1 ; python_version < '3.12'"]
)
def test_an_inexact_requirement_is_found(line: str) -> None:
    good = "b[c]==1.post0 ; sys_platform == 'win32' \\\n    --hash=sha256:0 \\\n    --hash=sha256:1\n# a comment\n"
    assert checks.inexact_requirements(good) == []
    assert len(checks.inexact_requirements(f"{good}{line}\n")) == 1


def test_a_folder_of_the_machine_is_found() -> None:
    folders = ("/mine/",)
    assert len(checks.folder_names("a = '/mine/x'\nb = 1\n", folders)) == 1
    assert len(checks.folder_names("see file:///mine/x\n", folders)) == 1
    assert checks.folder_names("not/mine/x, ../mine/x, $HOME/mine, {base}/mine/x\n", folders) == []
