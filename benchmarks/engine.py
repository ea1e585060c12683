"""How fast one process decodes, advances and folds the events of a ward, on this machine, in one run.

    python -m benchmarks.engine [--events N] [--json] [--profile]

A figure says little about another machine; the ratios say more, so each run measures all that it compares, chunk by
chunk in turn, in CPU time of this process. What is made for measuring (the log, its bytes) is not counted. Garbage is
collected as in `pv-stream`.
"""

import argparse
import cProfile
import io
import json
import os
import platform
import pstats
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from itertools import islice
from time import process_time
from typing import Final, Protocol

from benchmarks.ward_log import first_events, one_sick_patient
from pv_stream.cli.garbage import collect_seldom
from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.codes import Analyte
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Exposure, Measurement
from pv_stream.domain.ids import PatientId
from pv_stream.domain.outputs import Output
from pv_stream.domain.published import PatientState
from pv_stream.engine.advance import advance
from pv_stream.rulebooks import load_default
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.fold import RawRecord, ShardFold

CHUNK_EVENTS: Final = 20_000
RUN_RECORDS: Final = 1_000
SICK_FACTS: Final = 800
SEED: Final = 20261121
_TOP: Final = 10


@dataclass(slots=True)
class Chunk:
    """Hold some events of the log as they are at each stage."""

    values: list[bytes]
    events: list[FactArrived] = field(default_factory=list)


class Subject(Protocol):
    """Do one kind of work on a chunk; `told` is how much came out."""

    told: int

    def run(self, chunk: Chunk) -> None: ...


@dataclass(slots=True)
class Decode:
    """Read the bytes of each event."""

    told: int = 0

    def run(self, chunk: Chunk) -> None:
        for value in chunk.values:
            event = decode_event(value)
            assert isinstance(event, FactArrived)
            chunk.events.append(event)


@dataclass(slots=True)
class Engine:
    """Advance every patient, and keep every state."""

    rulebook: Rulebook
    use_relevance: bool
    states: dict[PatientId, PatientState] = field(default_factory=dict)
    told: int = 0

    def run(self, chunk: Chunk) -> None:
        states, rulebook, use_relevance = self.states, self.rulebook, self.use_relevance
        outputs: Sequence[Output]
        for event in chunk.events:
            state = states.get(event.patient_id) or PatientState()
            states[event.patient_id], outputs = advance(
                state, event, shard_clock=None, rulebook=rulebook, use_relevance=use_relevance
            )
            self.told += len(outputs)


@dataclass(slots=True)
class Peer:
    """Do the least that a threshold rule can do: latest values and drugs in dicts, no time, version or score."""

    watched: frozenset[str]
    threshold_per_ul: Decimal
    drugs: dict[PatientId, set[str]] = field(default_factory=dict)
    latest: dict[PatientId, dict[Analyte, Decimal]] = field(default_factory=dict)
    told: int = 0

    def run(self, chunk: Chunk) -> None:
        for event in chunk.events:
            content = event.version.statement.content
            if isinstance(content, Exposure):
                self.drugs.setdefault(event.patient_id, set()).update(content.ingredients)
            elif isinstance(content, Measurement):
                self.latest.setdefault(event.patient_id, {})[content.analyte] = content.value
                high = content.analyte is Analyte.EOSINOPHILS and content.value >= self.threshold_per_ul
                if high and self.drugs.get(event.patient_id, set()) & self.watched:
                    self.told += 1


@dataclass(slots=True)
class Fold:
    """Fold raw records as a live worker and a replay do, encoded states and outputs included."""

    shard: ShardFold
    position: int = 0
    told: int = 0

    def run(self, chunk: Chunk) -> None:
        records = [
            RawRecord(self.position + number, event.patient_id.encode(), value)
            for number, (event, value) in enumerate(zip(chunk.events, chunk.values, strict=True))
        ]
        self.position += len(records)
        for first in range(0, len(records), RUN_RECORDS):
            run = self.shard.process(records[first : first + RUN_RECORDS])
            self.shard.commit(run)
            self.told += len(run.outputs)


@dataclass(frozen=True, slots=True)
class Row:
    """Hold what one subject did."""

    subject: str
    events: int
    cpu_seconds: float
    told: int

    @property
    def per_second(self) -> float:
        return self.events / self.cpu_seconds


def measure(subjects: dict[str, Subject], events: Iterator[FactArrived]) -> list[Row]:
    """Give each subject each chunk of a log in turn; return what each did."""
    seconds = dict.fromkeys(subjects, 0.0)
    count = 0
    while made := list(islice(events, CHUNK_EVENTS)):
        chunk = Chunk([encode_event(event) for event in made])
        count += len(made)
        del made
        for name, subject in subjects.items():
            began = process_time()
            subject.run(chunk)
            seconds[name] += process_time() - began
        _say(f"\r{count:,} events")
    _say("\n")
    return [Row(name, count, seconds[name], subject.told) for name, subject in subjects.items()]


def ward_subjects(rulebook: Rulebook) -> dict[str, Subject]:
    """Return what is compared on the ward, in the order in which it is run on each chunk."""
    threshold = Decimal(rulebook.defaults.threshold_per_ul.value)
    return {
        "decode": Decode(),
        "engine": Engine(rulebook, use_relevance=True),
        "engine, index off": Engine(rulebook, use_relevance=False),
        "naive threshold rule": Peer(frozenset(rulebook.watched), threshold),
        "fold": Fold(ShardFold(shard=0, shard_count=1, rulebook=rulebook)),
    }


def sick_subjects(rulebook: Rulebook) -> dict[str, Subject]:
    """Return what is measured on one patient who is assessed at every event."""
    return {
        "decode": Decode(),
        "engine, sick patient": Engine(rulebook, use_relevance=True),
        "fold, sick patient": Fold(ShardFold(shard=0, shard_count=1, rulebook=rulebook)),
    }


def ratios(rows: list[Row]) -> dict[str, float]:
    """Return the speeds as ratios, which can be compared between machines."""
    of = {row.subject: row.per_second for row in rows}
    return {
        "engine : engine, index off": of["engine"] / of["engine, index off"],
        "engine : decode": of["engine"] / of["decode"],
        "engine : naive threshold rule": of["engine"] / of["naive threshold rule"],
        "fold : decode": of["fold"] / of["decode"],
        "fold : naive threshold rule": of["fold"] / of["naive threshold rule"],
    }


def profile(events: int, run: Callable[[Chunk], None]) -> str:
    """Return the ten functions in which the engine spends most of its time."""
    profiler = cProfile.Profile()
    log = first_events(events, seed=SEED)
    while made := list(islice(log, CHUNK_EVENTS)):
        chunk = Chunk([encode_event(event) for event in made])
        Decode().run(chunk)
        profiler.enable()
        run(chunk)
        profiler.disable()
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(_TOP)
    return text.getvalue()


def _say(text: str) -> None:
    """Show progress where a person looks on."""
    if sys.stderr.isatty():
        sys.stderr.write(text)


def _machine() -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _report(rows: list[Row], compared: dict[str, float], machine: dict[str, object], memory_mib: int) -> str:
    lines = [
        ", ".join(f"{name} {value}" for name, value in machine.items()),
        "",
        f"{'subject':24} {'events':>10} {'CPU s':>9} {'events/s':>10} {'outputs':>8}",
    ]
    lines += [
        f"{r.subject:24} {r.events:>10,} {r.cpu_seconds:>9.2f} {r.per_second:>10,.0f} {r.told:>8,}"
        for r in rows
    ]
    lines += ["", *(f"{name:32} {value:8.3f}" for name, value in compared.items())]
    lines += ["", f"memory of this process, all subjects together: {memory_mib:,} MiB"]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when the index changed what is told."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--events", type=int, default=1_000_000, help="events of the ward (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--profile", action="store_true", help="print the ten costliest functions of the engine"
    )
    options = parser.parse_args(arguments)
    collect_seldom()  # as the program does
    rulebook = load_default()
    if options.profile:
        print(profile(options.events, Engine(rulebook, use_relevance=True).run))
        return 0
    ward = ward_subjects(rulebook)
    rows = measure(ward, first_events(options.events, seed=SEED))
    compared = ratios(rows)
    rows += measure(sick_subjects(rulebook), one_sick_patient(SICK_FACTS))[1:]
    memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    machine = _machine()
    if options.json:
        shown = [{**asdict(row), "events_per_second": round(row.per_second)} for row in rows]
        record = {"machine": machine, "rulebook": rulebook.version, "seed": SEED, "rows": shown}
        print(json.dumps({**record, "ratios": compared, "memory_mib": memory_mib}, indent=2))
    else:
        print(_report(rows, compared, machine, memory_mib))
    engine, off = ward["engine"], ward["engine, index off"]
    if engine.told != off.told:
        print("error: the relevance index changed what is told", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
