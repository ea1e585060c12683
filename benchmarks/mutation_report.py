"""The verdicts on mutants: kept in out/mutation.jsonl, compared with the explanations, and told in docs/mutation.md."""

import collections
import functools
import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.mutants import ROOT, Mutant

REFUSED, KILLED, ENDLESS, SURVIVED, UNREACHED = "refused", "killed", "endless", "survived", "unreached"
#: The tests that a mutant could afford passed; others were not run.
UNSETTLED: Final = "unsettled"
EXPLAINED, OPEN, NOT_RUN = "explained", "open", "not run"
SEEN: Final = frozenset({REFUSED, KILLED, ENDLESS})
COLUMNS: Final = {
    "refused by mypy": {REFUSED},
    "killed": {KILLED, ENDLESS},
    "explained": {EXPLAINED},
    "open": {OPEN},
    "unsettled": {UNSETTLED},
    "not run": {NOT_RUN},
}
BEGIN: Final = "<!-- The rest is written by `make mutation REPORT=1` from out/mutation.jsonl. -->\n"


class Log:
    """The verdicts, one line each, appended as they come; of several on one change the last counts."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        path.parent.mkdir(exist_ok=True)
        self.rows: dict[str, dict[str, Any]] = {}
        if resume and path.exists():
            self.rows = {row["id"]: row for row in map(json.loads, path.read_text().splitlines())}
        self.out = path.open("a" if resume else "w")

    def settle(self, mutant: Mutant, verdict: str, said: str) -> None:
        row: dict[str, Any] = {
            "id": identity(mutant),
            "path": mutant.path,
            "function": mutant.function,
            "line": mutant.first,
            "operator": mutant.operator,
            "verdict": verdict,
            "by": said,
            "difference": mutant.difference,
        }
        self.rows[row["id"]] = row
        self.out.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.out.flush()

    def verdict(self, mutant: Mutant) -> str | None:
        row = self.rows.get(identity(mutant))
        return None if row is None else row["verdict"]

    def is_settled(self, mutant: Mutant) -> bool:
        """Tell whether a mutant was seen, or survived as it should."""
        return self.status(mutant) in SEEN | {EXPLAINED}

    def status(self, mutant: Mutant) -> str:
        """Return the verdict, with the explanation of a survivor taken into account."""
        verdict = self.verdict(mutant) or NOT_RUN
        if verdict in {SURVIVED, UNREACHED, UNSETTLED} and key(mutant) in explanations():
            return EXPLAINED
        return OPEN if verdict in {SURVIVED, UNREACHED} else verdict


def identity(mutant: Mutant) -> str:
    """Name a change by all that it changes: in a function that reads otherwise it is another change."""
    text = "\0".join((mutant.path, mutant.function or "", mutant.original.strip(), mutant.changed.strip()))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def key(mutant: Mutant) -> tuple[str, str, str]:
    return mutant.path, mutant.function or "", mutant.difference.strip()


@functools.cache
def explanations() -> dict[tuple[str, str, str], str]:
    entries = tomllib.loads((ROOT / "benchmarks" / "mutation.toml").read_text())["survivor"]
    return {
        (entry["path"], entry["function"], entry["difference"].strip()): entry["why"] for entry in entries
    }


def unexplained(mutants: Iterable[Mutant], log: Log) -> list[str]:
    """Return what benchmarks/mutation.toml does not explain, and what it explains without need."""
    left = sorted(key(mutant) for mutant in mutants if log.status(mutant) == OPEN)
    seen = {key(mutant) for mutant in mutants if log.verdict(mutant) in SEEN}
    paths = {mutant.path for mutant in mutants}
    known = {key(mutant) for mutant in mutants}
    idle = {entry for entry in explanations() if entry in seen or (entry[0] in paths and entry not in known)}
    return [
        *(f"not explained: {path} {function}\n{difference}" for path, function, difference in left),
        *(
            f"explained, but killed or no longer there: {path} {function}\n{difference}"
            for path, function, difference in sorted(idle)
        ),
    ]


def write_tables(mutants: list[Mutant], log: Log) -> None:
    """Write the counts, the explanations and the survivors into docs/mutation.md, below its own words."""
    path = ROOT / "docs" / "mutation.md"
    words, begin, _ = path.read_text().partition(BEGIN)
    if not begin:
        msg = f"{path}: has no line {BEGIN!r}"
        raise SystemExit(msg)
    path.write_text(words + begin + "\n".join(lines(mutants, log)) + "\n")


def lines(mutants: list[Mutant], log: Log) -> Iterator[str]:
    yield from counts(mutants, log)
    yield ""
    yield "### Explained: no test can see these"
    yield ""
    yield "| where | change | why it changes nothing |"
    yield "|---|---|---|"
    for mutant in sorted(mutants, key=key):
        if log.status(mutant) == EXPLAINED:
            yield f"| {where(mutant)} | {change(mutant)} | {cell(explanations()[key(mutant)])} |"
    left = [mutant for mutant in sorted(mutants, key=key) if log.status(mutant) in {OPEN, UNSETTLED}]
    if left:
        yield ""
        yield "### Open: survived, or not settled in the time of a change"
        yield ""
        yield "| where | change | last verdict |"
        yield "|---|---|---|"
        for mutant in left:
            yield f"| {where(mutant)} | {change(mutant)} | {log.verdict(mutant)} |"


def counts(mutants: list[Mutant], log: Log) -> Iterator[str]:
    rows: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for mutant in mutants:
        status = log.status(mutant)
        kind = "comparisons and numbers" if mutant.is_comparison else "other changes"
        place = "in tables" if mutant.function is None else "in functions"
        for row in (module(mutant), f"**{kind}**", f"**{place}**", "**all**"):
            rows[row][status] += 1
    yield f"| module | changes | {' | '.join(COLUMNS)} |"
    yield "|---|---:|" + "---:|" * len(COLUMNS)
    totals = [
        row for row in ("**comparisons and numbers**", "**other changes**", "**in functions**") if row in rows
    ]
    for row in [*sorted(row for row in rows if not row.startswith("*")), *totals, "**in tables**", "**all**"]:
        cells = [str(sum(rows[row][status] for status in statuses)) for statuses in COLUMNS.values()]
        yield f"| {row} | {rows[row].total()} | {' | '.join(cells)} |"


def module(mutant: Mutant) -> str:
    return mutant.path.removeprefix("pv_stream/").removesuffix(".py")


def where(mutant: Mutant) -> str:
    return f"{module(mutant)} {mutant.function or ''}".strip()


def change(mutant: Mutant) -> str:
    """Return the lines taken away and those put in their place, each as code in one cell."""
    sides: dict[str, list[str]] = {"-": [], "+": []}
    for line in mutant.difference.splitlines():
        sides[line[0]].append(line[1:].strip())
    old, new = (" ".join(side) for side in sides.values())
    return f"{code(old)} → {code(new)}" if new else f"{code(old)} taken away"


def code(text: str) -> str:
    return f"`{cell(text)}`"


def cell(text: str) -> str:
    return text.replace("|", "\\|")
