"""Measure the tests of the rules and the engine: change one place at a time, and see whether a test fails.

    make mutation                       everything, comparisons first; about an hour on two cores
    make mutation ONLY=rules/tiers      the modules whose path has this in it

Every test runs once unchanged, under coverage, so that a mutant meets only the tests that reach its lines: those
first that killed others of its function, then those named after its module, then the fastest. Each mutant is a fork
of the collected test run.

A survivor must be explained in benchmarks/mutation.toml, and an explanation must have its survivor: else exit 1. The
verdict on each mutant goes to out/mutation.jsonl.
"""

import argparse
import collections
import json
import os
import signal
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn, TextIO

import coverage
import pytest

from benchmarks.mutants import ROOMS, ROOT, Mutant, Place, modules, mutants_of, refused

TESTS: Final = (
    "tests/unit/rules",
    "tests/unit/engine",
    "tests/unit/shard",
    "tests/unit/test_rulebooks.py",
    "tests/scenarios",
)
PYTEST: Final = ("-q", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-p", "no:cov", "--capture=no")
SEED: Final = "20261121"
REFUSED, KILLED, ENDLESS, SURVIVED, UNREACHED = "refused", "killed", "endless", "survived", "unreached"
VERDICTS: Final = (REFUSED, KILLED, ENDLESS, SURVIVED, UNREACHED)
#: A fork's exit code.
PASSED, FAILED, BROKEN = 0, 1, 9
#: A mutant is endless after this many times what its tests take without it, and these seconds more.
SLOWER: Final = 20
SECONDS_MORE: Final = 10


class Run:
    """A pytest plugin: every test once with coverage, then the mutants, each in a fork of its own."""

    def __init__(self, mutants: list[Mutant], children: int) -> None:
        self.mutants = mutants
        self.children = children
        self.verdicts: dict[Mutant, tuple[str, str]] = {}
        self.has_failed = False
        self.items: dict[str, pytest.Item] = {}
        self.seconds: dict[str, float] = {}
        self.reached: dict[tuple[str, int], set[str]] = collections.defaultdict(set)
        self.kills: dict[tuple[str, str | None], collections.Counter[str]] = collections.defaultdict(
            collections.Counter
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.has_failed |= report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        self.reach()
        place = Place()
        waiting = list(reversed(self.mutants))
        running: dict[int, tuple[Mutant, int]] = {}
        while waiting or running:
            if waiting and len(running) < self.children:
                self.start(waiting.pop(), place, running)
            else:
                self.finish(running)
        return True

    def reach(self) -> None:
        """Run every test unchanged, and note how long it takes and which lines it reaches."""
        seen = coverage.Coverage(
            data_file=None, config_file=False, source=[str(ROOT / room) for room in ROOMS]
        )
        seen.start()
        for name, item in self.items.items():
            seen.switch_context(name)
            began = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            self.seconds[name] = time.process_time() - began
            if self.has_failed:
                pytest.exit(f"{name} fails without any change", returncode=1)
        seen.stop()
        data = seen.get_data()
        for path in data.measured_files():
            for line, names in data.contexts_by_lineno(path).items():
                self.reached[Path(path).relative_to(ROOT).as_posix(), line] = {name for name in names if name}
        print(f"\n{len(self.items)} tests in {sum(self.seconds.values()):.0f} s", flush=True)

    def tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that reach a change, most likely to fail first; every test that reaches the module of a table."""
        names: set[str] = set()
        if mutant.function is None:
            names.update(*(names for (path, _), names in self.reached.items() if path == mutant.path))
            # A test may read a table and reach no line.
            names.update(name for name in self.items if f"test_{Path(mutant.path).stem}.py" in name)
        else:
            names.update(*(self.reached[mutant.path, line] for line in mutant.lines))
            if not names:  # a continued line is not always counted
                names.update(*(self.reached[mutant.path, line] for line in mutant.lines_of_the_function))
        kills, near = self.kills[mutant.path, mutant.function], self.kills[mutant.path, None]
        stem = Path(mutant.path).stem
        return sorted(
            names,
            key=lambda name: (
                -kills[name],
                f"test_{stem}" not in name,
                -near[name],
                self.seconds[name],
                name,
            ),
        )

    def start(self, mutant: Mutant, place: Place, running: dict[int, tuple[Mutant, int]]) -> None:
        names = self.tests_of(mutant)
        if not names:
            self.verdicts[mutant] = UNREACHED, ""
            return
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            self.fork(mutant, names, place, write)
        os.close(write)
        running[pid] = mutant, read

    def fork(self, mutant: Mutant, names: list[str], place: Place, pipe: int) -> NoReturn:
        """Put a mutant in place, run its tests up to the first that fails, and tell which."""
        signal.alarm(SECONDS_MORE + int(SLOWER * sum(self.seconds[name] for name in names)))
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        code, said = BROKEN, ""
        try:
            place.put(mutant)
            code, said = self.first_failure([self.items[name] for name in names])
        except BaseException as error:  # noqa: BLE001 - a fork must end here, whatever a mutant does
            # A table that cannot even be made is seen at once; a test run that breaks off is a failure.
            code, said = FAILED, f"{type(error).__name__}: {error}"[:500]
        os.write(pipe, said.encode())
        os._exit(code)

    def first_failure(self, items: list[pytest.Item]) -> tuple[int, str]:
        for item, after in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self.has_failed:
                return FAILED, item.nodeid
        return PASSED, ""

    def finish(self, running: dict[int, tuple[Mutant, int]]) -> None:
        pid, status = os.wait()
        mutant, pipe = running.pop(pid)
        with os.fdopen(pipe) as told:
            said = told.read()
        code = os.waitstatus_to_exitcode(status)
        verdict = {PASSED: SURVIVED, FAILED: KILLED, -signal.SIGALRM: ENDLESS}[code]
        if verdict == KILLED:
            for function in (mutant.function, None):
                self.kills[mutant.path, function][said] += 1
        self.verdicts[mutant] = verdict, said


def write(verdicts: Mapping[Mutant, tuple[str, str]], out: TextIO) -> None:
    for mutant, (verdict, said) in verdicts.items():
        row = {
            "path": mutant.path,
            "function": mutant.function,
            "line": mutant.first,
            "operator": mutant.operator,
            "verdict": verdict,
            "by": said,
            "difference": mutant.difference,
        }
        out.write(json.dumps(row, ensure_ascii=False) + "\n")


def show(verdicts: Mapping[Mutant, tuple[str, str]]) -> None:
    """Print the table by module: all mutants, and those at comparisons and numbers."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for mutant, (verdict, _) in verdicts.items():
        rows = [mutant.path, "all"]
        if mutant.is_comparison:
            rows.append("comparisons and numbers")
        for row in rows:
            counts[row][verdict] += 1
    print("| module | mutants |", " | ".join(VERDICTS), "|")
    print("|---|---:|", "---:|" * len(VERDICTS), sep="")
    for row in sorted(counts):
        cells = [str(sum(counts[row].values())), *(str(counts[row][verdict]) for verdict in VERDICTS)]
        print(f"| {row.removeprefix('pv_stream/')} |", " | ".join(cells), "|")


def unexplained(verdicts: Mapping[Mutant, tuple[str, str]], only: str) -> list[str]:
    """Return what benchmarks/mutation.toml does not explain, and what it explains without need."""
    entries = tomllib.loads((ROOT / "benchmarks" / "mutation.toml").read_text())["survivor"]
    explained = {(entry["path"], entry["function"], entry["difference"].strip()) for entry in entries}
    left = {
        (mutant.path, mutant.function or "", mutant.difference)
        for mutant, (verdict, _) in verdicts.items()
        if verdict in {SURVIVED, UNREACHED}
    }
    idle = {entry for entry in explained - left if only in entry[0]}
    return [
        *(
            f"not explained: {path} {function}\n{difference}"
            for path, function, difference in sorted(left - explained)
        ),
        *(
            f"explained, but killed: {path} {function}\n{difference}"
            for path, function, difference in sorted(idle)
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="modules whose path has this in it")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1, help="mutants at a time")
    given = parser.parse_args()
    mutants = [mutant for path in modules(given.only) for mutant in mutants_of(path)]
    mutants.sort(key=lambda mutant: (not mutant.is_comparison, mutant.path))
    types = refused(mutants)
    run = Run([mutant for mutant in mutants if mutant not in types], given.children)
    run.verdicts = dict.fromkeys(types, (REFUSED, "mypy"))
    print(f"{len(mutants)} mutants, of which mypy refuses {len(types)}", flush=True)
    arguments = [*PYTEST, "--hypothesis-profile=dev", f"--seed={SEED}", *TESTS]
    if pytest.main(arguments, plugins=[run]) != pytest.ExitCode.OK:
        return 1
    (ROOT / "out").mkdir(exist_ok=True)
    with (ROOT / "out" / "mutation.jsonl").open("w") as out:
        write(run.verdicts, out)
    show(run.verdicts)
    findings = unexplained(run.verdicts, given.only)
    print("\n\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
