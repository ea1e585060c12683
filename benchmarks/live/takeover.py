"""How long patients are not watched when a worker goes: from its end until its successor tells of a new event.

    python -m benchmarks.live.takeover [--patients N] [--repeats N] [--json] [--quick]

The states are real: each patient's events go through the real engine first. Then, each time with an event for every
shard at the moment at which the worker goes:

* restart: the only worker, which has a name, is killed and started again; it reads back all states;
* kill: one of two workers is killed; the other must first learn of it, which takes the session timeout, and reads back
  the half that it did not have;
* stop: one of two workers, which has no name, is told to stop; the other reads back the half that it did not have.
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Final

from benchmarks.live.comparison import SEED, local_broker
from benchmarks.live.jobs import ENGINE
from benchmarks.live.logs import Placed, marker_name, write
from benchmarks.live.observer import Observer
from benchmarks.live.processes import Host, start
from benchmarks.live.progress import Progress
from benchmarks.live.report import machine
from benchmarks.live.subjects import SUBJECTS, Place
from pv_stream.domain.ids import shard_of
from pv_stream.errors import EnvironmentBroken, PvStreamError
from pv_stream.stream import topics

WAYS: Final = ("restart", "kill", "stop")
WAIT_SECONDS_MAX: Final = 600.0
OURS: Final = SUBJECTS["ours"]
_OWNS_SOME: Final = re.compile(r"owns shards \[\d")


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Hold one takeover: how long the slowest shard was not watched."""

    way: str
    repeat: int
    patients: int
    states_read: int
    session_timeout_seconds: float
    seconds: float


class Stage:
    """Run workers over one log, and end one of them."""

    def __init__(self, place: Place, progress: Progress) -> None:
        self._place = place
        self._progress = progress
        self._observer = Observer(place.bootstrap_servers, OURS.targets(place), place.partitions)
        self._marks = count()
        self._starts = count()
        #: By a number, or by the name of a static member of the group.
        self.workers: dict[str, Host] = {}

    def close(self) -> None:
        """End every worker."""
        self._observer.close()
        for worker in self.workers.values():
            worker.stop()

    def begin(self, name: str = "") -> str:
        """Start a worker, with a name or without, and return how it is called here."""
        called = name or str(next(self._starts))
        said = self._place.directory / f"{called}-{next(self._starts)}.log"
        variables = {**OURS.variables(self._place), "PV_STREAM_WORKER_ID": name}
        self.workers[called] = start(OURS.arguments(self._place, ENGINE.name), variables, said)
        return called

    def wait_until_watched(self) -> float:
        """Send an event to each shard, and return after how many seconds all were answered."""
        places = range(self._place.partitions)
        mark = next(self._marks)
        names = [marker_name(mark, shard, self._place.partitions) for shard in places]
        events = [
            (name.encode(), value, shard)
            for shard, name in enumerate(names)
            for value in ENGINE.marker(name, mark)
        ]
        began = time.monotonic()
        write(self._place.bootstrap_servers, self._place.source, events, self._progress)
        waiting = set(names)
        while waiting:
            waiting.difference_update(self._observer.look())
            for worker in self.workers.values():
                worker.require_alive()
            if time.monotonic() - began > WAIT_SECONDS_MAX:
                msg = f"{len(waiting)} shards were not watched again within {WAIT_SECONDS_MAX:.0f} s"
                raise EnvironmentBroken(msg)
        return time.monotonic() - began

    def wait_until_owner(self, name: str) -> None:
        """Return when a worker owns shards."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not _OWNS_SOME.search(self.workers[name].said.read_text()):
            if time.monotonic() > deadline:
                msg = f"the worker {name} owned no shard within {WAIT_SECONDS_MAX:.0f} s"
                raise EnvironmentBroken(msg)
            time.sleep(0.1)

    def take_over(self, way: str, name: str) -> float:
        """Let a worker go, and return after how many seconds every shard was watched again."""
        gone = self.workers.pop(name)
        if way == "stop":
            gone.process.terminate()
        else:
            gone.process.kill()
        if way == "restart":
            self.begin(name)
        seconds = self.wait_until_watched()
        gone.stop()
        return seconds


def _records(patients: int, events_each: int, partitions: int) -> Iterator[Placed]:
    for patient, value in ENGINE.events(patients * events_each, patients, SEED):
        yield patient.encode(), value, shard_of(patient, partitions)


def measure(options: argparse.Namespace, place: Place, progress: Progress) -> list[TakenOver]:
    """Fill the states once, then let workers go in each way in each round."""
    topics.apply(place.settings)
    write(
        place.bootstrap_servers,
        place.source,
        _records(options.patients, options.events_each, place.partitions),
        progress,
    )
    taken = []
    with closing(Stage(place, progress)) as stage:
        stage.begin("round-1")
        progress.line(f"states made in {stage.wait_until_watched():.0f} s")
        for repeat in range(1, options.repeats + 1):
            for way in WAYS:
                taken.append(_one(stage, way, repeat, options, place))
                progress.line(f"{way:8} round {repeat}: {taken[-1].seconds:.1f} s")
    return taken


def _one(stage: Stage, way: str, repeat: int, options: argparse.Namespace, place: Place) -> TakenOver:
    """Begin and end with one worker that has every state."""
    (name,) = stage.workers
    states = options.patients
    if way != "restart":
        # Who is killed and started again has a name; who is told to stop has none, and leaves the group at once.
        other = stage.begin(f"round-{repeat + 1}" if way == "stop" else "")
        stage.wait_until_owner(other)
        stage.wait_until_watched()
        states //= 2
    seconds = stage.take_over(way, name)
    timeout_seconds = place.settings.session_timeout_seconds
    return TakenOver(way, repeat, options.patients, states, timeout_seconds, seconds)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live.takeover", description=__doc__)
    add = parser.add_argument
    add("--patients", type=int, default=100_000, help="(default: %(default)s)")
    add(
        "--events-each", type=int, default=5, help="events for each patient on average (default: %(default)s)"
    )
    add("--partitions", type=int, default=4, help="(default: %(default)s)")
    add("--repeats", type=int, default=3, help="rounds (default: %(default)s)")
    add("--quick", action="store_true", help="1,000 patients, one round: does it work?")
    add("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    if options.quick:
        options.patients, options.repeats = 1_000, 1
    return options


def _text(taken: Sequence[TakenOver]) -> str:
    lines = [", ".join(f"{name} {value}" for name, value in machine().items()), ""]
    lines.append(f"{'way':8} {'states read':>12} {'seconds':>8} {'range':>14}")
    for way in WAYS:
        mine = [each for each in taken if each.way == way]
        seconds = [each.seconds for each in mine]
        spread = f"{min(seconds):.1f}-{max(seconds):.1f}"
        lines.append(f"{way:8} {mine[0].states_read:>12,} {statistics.median(seconds):>8.1f} {spread:>14}")
    lines.append(f"session timeout {taken[0].session_timeout_seconds:g} s, a part of kill")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = _options(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="pv-stream-takeover-") as scratch:
            directory = Path(scratch)
            with local_broker(directory) as servers:
                place = Place(servers, "takeover.", "takeover", "", directory, options.partitions, 0.1)
                taken = measure(options, place, Progress())
    except PvStreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if options.json:
        print(json.dumps({"machine": machine(), "takeovers": [asdict(each) for each in taken]}, indent=2))
    else:
        print(_text(taken))
    return 0


if __name__ == "__main__":
    sys.exit(main())
