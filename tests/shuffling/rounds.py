"""Rounds: so many shufflings of every case, a few of each in turn, so that all have as many whenever it ends.

A shuffling is drawn from the seed, its case and its number: it is the same whatever was drawn before. What each part
of a round found is written at once, so that a run may be stopped and gone on with.
"""

import gc
import json
import random
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final, Self

from pv_stream.errors import DataError
from tests.builders import RULEBOOK
from tests.scenarios.every_case import CASES, name_of
from tests.shuffling.endings import Teller
from tests.shuffling.orders import story_of

#: Of so many shufflings one is assessed after every record, the others at their end; a round does so many of a case.
WHOLE_OF: Final = 100
#: So many parts of a round wait for each process.
_AHEAD: Final = 4


@dataclass(frozen=True, slots=True)
class Part:
    """Name some shufflings of one case, by the number of the first."""

    case: str
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Found:
    """Hold what came of a part; `differing` are the numbers that end otherwise, each with how."""

    case: str
    first: int
    count: int
    whole: int
    cpu_seconds: float
    differing: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origin:
    """Say what a run is of: the same seed and commit give the same shufflings, and the same endings.

    `whole`: each is assessed after every record, not one in a hundred.
    """

    seed: int
    commit: str
    whole: bool = False

    def __str__(self) -> str:
        return f"commit {self.commit}, seed {self.seed}{', WHOLE=1' if self.whole else ''}"


def case_names(only: str) -> list[str]:
    """Return the names of the cases that have a text in them."""
    return [name for name in (name_of(*pair) for pair in CASES) if only in name]


def parts(names: Sequence[str], first: int, each: int, done: Iterable[Found]) -> Iterator[Part]:
    """Yield what is left to do, a part of each case in every round; an interrupted run leaves no gap."""
    had: dict[str, set[int]] = {name: set() for name in names}
    for found in done:
        had[found.case].update(range(found.first, found.first + found.count))
    for start in range(first, first + each, WHOLE_OF):
        for name in names:
            numbers = set(range(start, min(start + WHOLE_OF, first + each))) - had[name]
            if numbers:
                yield Part(name, min(numbers), max(numbers) - min(numbers) + 1)


def drawn_for(seed: int, case: str, number: int) -> random.Random:
    """Return the generator of one shuffling."""
    return random.Random(f"{seed}:{case}:{number}")


def command_for(seed: int, case: str, number: int, *, whole: bool) -> str:
    """Return the command that repeats one shuffling."""
    is_whole = " WHOLE=1" if whole else ""
    return f"make shufflings ONLY={shlex.quote(case)} FIRST={number} EACH=1{is_whole} SEED={seed}"


@cache
def _tellers() -> dict[str, Teller]:
    return {}


def shuffle(part: Part, origin: Origin) -> Found:
    """Do the shufflings of a part."""
    began = time.process_time()
    gc.disable()  # nothing here is in a circle; what is comes away between parts
    tellers = _tellers()
    if part.case not in tellers:
        pair = next(pair for pair in CASES if name_of(*pair) == part.case)
        tellers[part.case] = Teller(story_of(*pair, RULEBOOK))
        gc.freeze()
    teller = tellers[part.case]
    differing: dict[str, list[str]] = {}
    whole = 0
    for number in range(part.first, part.first + part.count):
        is_whole = origin.whole or teller.must_be_whole or number % WHOLE_OF == 0
        whole += is_whole
        rng = drawn_for(origin.seed, part.case, number)
        if lines := teller.differences(rng, is_whole=is_whole):
            differing[str(number)] = lines
    gc.enable()
    return Found(part.case, part.first, part.count, whole, time.process_time() - began, differing)


def shuffle_all(waiting: Iterable[Part], origin: Origin, jobs: int) -> Iterator[Found]:
    """Do parts in this process, or in so many others; yield what each found, in order."""
    if jobs == 1:
        for part in waiting:
            yield shuffle(part, origin)
        return
    with ProcessPoolExecutor(jobs) as pool:
        left = iter(waiting)
        running = [pool.submit(shuffle, part, origin) for part in islice(left, _AHEAD * jobs)]
        try:
            while running:
                yield running.pop(0).result()
                running += [pool.submit(shuffle, part, origin) for part in islice(left, 1)]
        finally:
            for future in running:
                future.cancel()


class Log:
    """The file to which each part is written once it is done, below what the run is of."""

    def __init__(self, path: Path, origin: Origin, *, resume: bool) -> None:
        """Begin anew, or go on. Raises DataError where what is there is of another seed or commit."""
        self.found: list[Found] = []
        path.parent.mkdir(exist_ok=True)
        if resume and path.exists():
            self.found = _read(path, origin)
        self._file = path.open("w", encoding="utf-8")
        self._write(origin)
        for found in self.found:
            self._write(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, found: Found) -> None:
        """Remember what a part found."""
        self.found.append(found)
        self._write(found)

    def _write(self, value: Origin | Found) -> None:
        self._file.write(f"{json.dumps(asdict(value))}\n")
        self._file.flush()


def _read(path: Path, origin: Origin) -> list[Found]:
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        before = Origin(**json.loads(lines[0]))
        # A run that was killed may have left half a line at the end.
        found = [Found(**json.loads(line)) for line in lines[1:] if line.endswith("}")]
    except (IndexError, TypeError, ValueError):
        msg = f"{path} is no log of shufflings: begin anew without RESUME=1"
        raise DataError(msg) from None
    if before != origin:
        msg = (
            f"{path} is of {before}, this is {origin}: begin anew without RESUME=1, or go back to that commit "
            "and seed"
        )
        raise DataError(msg)
    return found
