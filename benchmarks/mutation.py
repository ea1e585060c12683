"""Measure the tests of the rules and the engine: change one place at a time, and see whether a test fails.

    make mutation                                       everything, comparisons first
    make mutation ONLY='rules/tiers rules/recurrence'   the modules whose paths have these in them, in this order
    make mutation RESUME=1                              only what has no verdict yet, or survived
    make mutation REPORT=1                              run nothing: write the tables of docs/mutation.md

Every test runs once unchanged, under coverage, so that a mutant meets only the tests that reach its lines: those
first that killed others of its function, then those named after its module, then the fastest. Each mutant is a fork
of the collected test run.

A survivor must be explained in benchmarks/mutation.toml, and an explanation must have its survivor: else exit 1. The
verdict on each mutant goes to out/mutation.jsonl at once, so that a run may be stopped and resumed. A verdict stands as
long as the function, or the table, reads as it did.
"""

import argparse
import collections
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import coverage
import pytest

from benchmarks.mutants import ROOMS, ROOT, Mutant, Place, modules, mutants_of, refused
from benchmarks.mutation_report import (
    ENDLESS,
    KILLED,
    REFUSED,
    SURVIVED,
    UNREACHED,
    UNSETTLED,
    Log,
    unexplained,
    write_tables,
)

TESTS: Final = (
    "tests/unit/rules",
    "tests/unit/engine",
    "tests/unit/shard",
    "tests/unit/test_rulebooks.py",
    "tests/scenarios",
)
PYTEST: Final = ("-q", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-p", "no:cov", "--capture=no")
SEED: Final = "20261121"
#: A fork's exit code.
PASSED, FAILED, BROKEN = 0, 1, 9
#: A mutant is endless when a test takes this many times what it takes without it, and these seconds more.
SLOWER: Final = 20
SECONDS_MORE: Final = 10


class Run:
    """A pytest plugin: every test once with coverage, then the mutants, each in a fork of its own."""

    def __init__(  # noqa: PLR0913 - what to run, on what, and how much of it
        self,
        mutants: list[Mutant],
        settle: Callable[[Mutant, str, str], None],
        *,
        is_whole: bool,
        children: int,
        seconds_max: float,
        minutes_max: float,
    ) -> None:
        self.mutants = mutants
        self.settle = settle
        self.is_whole = is_whole
        self.children = children
        self.seconds_max = seconds_max
        self.ends = time.monotonic() + 60 * minutes_max
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
        gc.freeze()  # a fork then copies less
        waiting = list(reversed(self.mutants))
        running: dict[int, tuple[Mutant, int, str]] = {}
        while waiting or running:
            if time.monotonic() > self.ends:
                waiting.clear()
            if waiting and len(running) < self.children:
                self.start(waiting.pop(), place, running)
            elif running:
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

    def start(self, mutant: Mutant, place: Place, running: dict[int, tuple[Mutant, int, str]]) -> None:
        names = self.tests_of(mutant)
        if not names:
            self.settle(mutant, UNREACHED if self.is_whole else UNSETTLED, "")
            return
        affordable = self.affordable(names)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            self.fork(mutant, affordable, place, write)
        os.close(write)
        running[pid] = mutant, read, SURVIVED if self.is_whole and affordable == names else UNSETTLED

    def affordable(self, names: list[str]) -> list[str]:
        """Return the first of the tests, at least one, that take no longer together than a mutant may."""
        seconds = 0.0
        for count, name in enumerate(names):
            seconds += self.seconds[name]
            if seconds > self.seconds_max:
                return names[: max(count, 1)]
        return names

    def fork(self, mutant: Mutant, names: list[str], place: Place, pipe: int) -> NoReturn:
        """Put a mutant in place, run its tests up to the first that fails, and tell which."""
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        code, said = BROKEN, ""
        try:
            signal.alarm(SECONDS_MORE)
            place.put(mutant)
            code, said = self.first_failure([self.items[name] for name in names])
        except BaseException as error:  # noqa: BLE001 - a fork must end here, whatever a mutant does
            # A table that cannot even be made is seen at once; a test run that breaks off is a failure.
            code, said = FAILED, f"{type(error).__name__}: {error}"[:500]
        os.write(pipe, said.encode())
        os._exit(code)

    def first_failure(self, items: list[pytest.Item]) -> tuple[int, str]:
        for item, after in zip(items, [*items[1:], None], strict=True):
            signal.alarm(SECONDS_MORE + int(SLOWER * self.seconds[item.nodeid]))
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self.has_failed:
                return FAILED, item.nodeid
        return PASSED, ""

    def finish(self, running: dict[int, tuple[Mutant, int, str]]) -> None:
        pid, status = os.wait()
        mutant, pipe, when_passed = running.pop(pid)
        with os.fdopen(pipe) as told:
            said = told.read()
        code = os.waitstatus_to_exitcode(status)
        verdict = {PASSED: when_passed, FAILED: KILLED, -signal.SIGALRM: ENDLESS}[code]
        if verdict == KILLED:
            for function in (mutant.function, None):
                self.kills[mutant.path, function][said] += 1
        self.settle(mutant, verdict, said)


def mutants_in(only: str) -> list[Mutant]:
    """Return the mutants of the modules that are asked for, in that order; comparisons come first in each part."""
    paths = list(dict.fromkeys(path for part in only.split() or [""] for path in modules(part)))
    mutants = [mutant for path in paths for mutant in mutants_of(path)]
    place = {path: number for number, path in enumerate(paths)} if only else {}
    mutants.sort(key=lambda mutant: (place.get(mutant.path, 0), not mutant.is_comparison, mutant.path))
    return mutants


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="modules whose path has one of these words in it")
    parser.add_argument(
        "--resume", action="store_true", help="keep the verdicts of the last run; run the rest"
    )
    parser.add_argument(
        "--report", action="store_true", help="run nothing, write the tables of docs/mutation.md"
    )
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1, help="mutants at a time")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="CPU seconds of tests that a mutant may take"
    )
    parser.add_argument("--tests", default="", help="run these tests only: what survives them is not settled")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no mutant after this time")
    return parser.parse_args()


def main() -> int:
    given = options()
    mutants = mutants_in(given.only)
    log = Log(ROOT / "out" / "mutation.jsonl", resume=given.resume or given.report)
    if given.report:
        write_tables(mutants, log)
        return 0
    left = [mutant for mutant in mutants if not log.is_settled(mutant)]
    left.sort(key=lambda mutant: log.verdict(mutant) is not None)  # first those that were never run
    types = refused([mutant for mutant in left if log.verdict(mutant) is None])
    for mutant in types:
        log.settle(mutant, REFUSED, "mypy")
    print(
        f"{len(mutants)} mutants; mypy refuses {len(types)} of {len(left)} that are not settled", flush=True
    )
    run = Run(
        [mutant for mutant in left if mutant not in types],
        log.settle,
        is_whole=not given.tests,
        children=given.children,
        seconds_max=given.seconds,
        minutes_max=given.minutes,
    )
    arguments = [*PYTEST, "--hypothesis-profile=dev", f"--seed={SEED}", *(given.tests.split() or TESTS)]
    if pytest.main(arguments, plugins=[run]) != pytest.ExitCode.OK:
        return 1
    findings = unexplained(mutants, log)
    print("\n\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
