"""What was measured, in a file: one line for each complete round, so that a measurement can go on where it ended."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.live.latency import Waited
from benchmarks.live.throughput import Ran


@dataclass(frozen=True, slots=True)
class Round:
    """Hold one round: what every subject of a part did, one after another."""

    part: str
    number: int
    #: What the figures depend on besides the part: how many events, patients, partitions, the commit interval.
    asked: Mapping[str, Any]
    machine: Mapping[str, Any]
    when: str
    ran: tuple[Ran, ...] = ()
    waited: tuple[Waited, ...] = ()
    failed: tuple[str, ...] = ()


def now() -> str:
    """Return the present minute, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M")


class Records:
    """Keep rounds in a file."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        """Begin a new file, or go on with one."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not resume:
            path.write_text("")
        self.rounds: list[Round] = [_read(line) for line in path.read_text().splitlines()] if resume else []

    def keep(self, done: Round) -> None:
        """Add a round."""
        self.rounds.append(done)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(done)) + "\n")

    def has(self, part: str, number: int, asked: Mapping[str, Any]) -> bool:
        """Tell whether a round was measured as it is asked for now, and nothing in it failed."""
        return any(
            (each.part, each.number, dict(each.asked)) == (part, number, dict(asked)) and not each.failed
            for each in self.rounds
        )

    def of(self, part: str) -> Sequence[Round]:
        """Return the rounds of a part, of each number the last."""
        return list({each.number: each for each in self.rounds if each.part == part}.values())


def _read(line: str) -> Round:
    fields = json.loads(line)
    ran = tuple(Ran(**each) for each in fields.pop("ran"))
    waited = tuple(Waited(**each) for each in fields.pop("waited"))
    return Round(ran=ran, waited=waited, failed=tuple(fields.pop("failed")), **fields)
