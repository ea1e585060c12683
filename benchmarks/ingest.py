"""How fast messages are read, beside the libraries that only parse them, and files ingested, in one run.

    python -m benchmarks.ingest [--messages N] [--rounds R] [--json] [--profile]

A figure says little about another machine; the ratios say more, so each round gives every subject new messages, the
same ones, in turn, and counts CPU time of this process. What is made for measuring (the messages) is not counted.
Files are ingested by the program itself, in a process of its own, whose memory must not grow with them.
"""

import argparse
import cProfile
import io
import json
import os
import platform
import pstats
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Final

import hl7
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.observation import Observation
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message as parse_with_hl7apy
from lxml import etree

from benchmarks import messages
from benchmarks.safety_reports import e2b_batch, e2b_report
from pv_stream.cli.garbage import collect_seldom
from pv_stream.codec.events import encode_event
from pv_stream.domain.times import from_datetime
from pv_stream.ingest.drugs import DrugList
from pv_stream.ingest.feed import Feed
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.hl7v2.syntax import parse_message
from pv_stream.ingest.icsr.reader import read_e2b
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import MessageOutcome, Outcome
from pv_stream.ingest.pseudonyms import Pseudonyms
from pv_stream.ingest.rejects import RejectStore
from pv_stream.rulebooks import load_default

SEED: Final = 20261121
KEY: Final = "the key of a benchmark"
ROUNDS: Final = 9
REPORTS_IN_BATCH: Final = 100
#: The file of N messages may take so much more memory than the one of a tenth of them.
MEMORY_GROWTH_MAX: Final = 1.15
#: Of the messages of the mixed files. ASSUMPTION.
_SHARE_FHIR: Final = 0.19
_SHARE_E2B: Final = 0.01
_TOP: Final = 10
_READ_WHOLE: Final = "pv_stream"
Make = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Subject:
    """Name one way to read a message; a slow one reads only a share of each round. `run` returns the events."""

    name: str
    run: Callable[[bytes], int]
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Group:
    """Name a kind of message, how to make it, and who reads it: ours first, everything that is to be done."""

    name: str
    make: Make
    messages_in_round: int
    subjects: Sequence[Subject]


@dataclass(slots=True)
class Row:
    """Hold what one subject did: its speeds are medians of rounds; `ratio` is how much faster ours was."""

    group: str
    subject: str
    messages: int = 0
    events: int = 0
    seconds_per_message: list[float] = field(default_factory=list)
    ratio: float = 1.0

    @property
    def per_second(self) -> float:
        return 1 / median(self.seconds_per_message)

    @property
    def events_per_second(self) -> float:
        return self.per_second * self.events / self.messages

    def value(self) -> dict[str, object]:
        counts = {"messages": self.messages, "events": self.events}
        speeds = {
            "messages_per_second": round(self.per_second),
            "events_per_second": round(self.events_per_second),
        }
        return {
            "group": self.group,
            "subject": self.subject,
            **counts,
            **speeds,
            "ours_to_it": round(self.ratio, 2),
        }


@dataclass(frozen=True, slots=True)
class Ingested:
    """Hold what one run of `pv-stream ingest` took."""

    messages: int
    bytes: int
    events: int
    held: int
    rejected: int
    cpu_seconds: float
    wall_seconds: float
    peak_memory_mib: float
    events_by_type: dict[str, int]

    @property
    def events_per_second(self) -> float:
        return self.events / self.cpu_seconds


# What is compared ----------------------------------------------------------------------------------------------------


def intake() -> Intake:
    """Return what every reader is given; the clock stands after the last message."""
    rulebook = load_default()
    now = from_datetime(messages.START.replace(year=messages.START.year + 5))
    return Intake(Pseudonyms(KEY.encode()), rulebook, DrugList(rulebook), now)


def _reader(read: Callable[[bytes, Intake], Outcome], given: Intake) -> Callable[[bytes], int]:
    def run(content: bytes) -> int:
        outcome = read(content, given)
        assert outcome.message is not MessageOutcome.REJECTED, outcome.rejects
        return len(outcome.events)

    return run


def _told_nothing(parse: Callable[[bytes], object]) -> Callable[[bytes], int]:
    def run(content: bytes) -> int:
        parse(content)
        return 0

    return run


def _hl7_subjects(given: Intake) -> list[Subject]:
    def with_hl7apy(level: int, *, groups: bool) -> Callable[[bytes], int]:
        return _told_nothing(
            lambda content: parse_with_hl7apy(content.decode(), validation_level=level, find_groups=groups)
        )

    return [
        Subject(_READ_WHOLE, _reader(read_hl7v2, given)),
        Subject("pv_stream, parse alone", _told_nothing(parse_message)),
        Subject("hl7, parse alone", _told_nothing(lambda content: hl7.parse(content.decode()))),
        Subject("hl7apy, parse alone", with_hl7apy(VALIDATION_LEVEL.TOLERANT, groups=False), share=0.05),
        Subject("hl7apy, validation on", with_hl7apy(VALIDATION_LEVEL.STRICT, groups=True), share=0.05),
    ]


def _fhir_subjects(given: Intake, model: type[Bundle | Observation]) -> list[Subject]:
    return [
        Subject(_READ_WHOLE, _reader(read_fhir, given)),
        Subject("json, parse alone", _told_nothing(json.loads)),
        Subject("fhir.resources, parse and validate", _told_nothing(model.model_validate_json)),
    ]


def _e2b_subjects(given: Intake) -> list[Subject]:
    return [
        Subject(_READ_WHOLE, _reader(read_e2b, given)),
        Subject("lxml, parse alone", _told_nothing(etree.fromstring)),
    ]


def _seeded(make: Callable[..., bytes]) -> Make:
    return lambda number: make(number, seed=SEED)


def groups(given: Intake) -> list[Group]:
    """Return what is compared with what."""
    return [
        Group("HL7v2 ORU", _seeded(messages.oru), 400, _hl7_subjects(given)),
        Group("HL7v2 RDE, RAS, ADT", _seeded(messages.hl7v2_beside), 400, _hl7_subjects(given)),
        Group("FHIR Bundle", _seeded(messages.fhir_bundle), 40, _fhir_subjects(given, Bundle)),
        Group(
            "FHIR Observation", _seeded(messages.fhir_observation), 400, _fhir_subjects(given, Observation)
        ),
        Group("E2B(R3) report", _seeded(e2b_report), 40, _e2b_subjects(given)),
    ]


def measure(group: Group, rounds: int) -> list[Row]:
    """Give each subject the messages of each round in turn; return what each did."""
    rows = [Row(group.name, subject.name) for subject in group.subjects]
    for subject in group.subjects:
        subject.run(group.make(0))  # tables are read once, and that is not measured
    for turn in range(rounds):
        first = 1 + turn * group.messages_in_round
        made = [group.make(number) for number in range(first, first + group.messages_in_round)]
        for row, subject in zip(rows, group.subjects, strict=True):
            taken = made[: max(1, int(len(made) * subject.share))]
            began = process_time()
            row.events += _read_all(subject.run, taken)
            row.seconds_per_message.append((process_time() - began) / len(taken))
            row.messages += len(taken)
        _say(f"\r{group.name}: round {turn + 1} of {rounds} ")
    _say("\n")
    ours = rows[0].seconds_per_message
    for row in rows:
        row.ratio = median(its / our for its, our in zip(row.seconds_per_message, ours, strict=True))
    return rows


# Files ---------------------------------------------------------------------------------------------------------------


def write_files(folder: Path, count: int) -> list[Path]:
    """Write a mixed load: HL7v2 messages of all kinds in one file, a FHIR export, and batches of safety reports."""
    reports, lines = int(count * _SHARE_E2B), int(count * _SHARE_FHIR)
    paths = [folder / "messages.hl7", folder / "export.ndjson"]
    with paths[0].open("wb") as file:
        file.writelines(messages.hl7v2(number, seed=SEED) for number in range(count - lines - reports))
    with paths[1].open("wb") as file:
        file.writelines(messages.fhir(number, seed=SEED) + b"\n" for number in range(lines))
    for first in range(0, reports, REPORTS_IN_BATCH):
        paths.append(folder / f"batch-{first:06d}.xml")
        numbers = range(first, min(first + REPORTS_IN_BATCH, reports))
        paths[-1].write_bytes(e2b_batch(numbers, seed=SEED))
    return paths


def ingest(count: int) -> Ingested:
    """Run `pv-stream ingest` on files of so many messages, into a file."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        _say(f"writing {count:,} messages\n")
        paths = write_files(folder, count)
        settings = {"PV_STREAM_STATE_DIR": str(folder / "state"), "PV_STREAM_PSEUDONYM_KEY": KEY}
        summary, to = folder / "summary.json", folder / "events.jsonl"
        command = [sys.executable, "-m", "pv_stream", "ingest", *map(str, paths), "--to", str(to), "--json"]
        _say(f"ingesting {count:,} messages\n")
        with summary.open("wb") as told:
            began = perf_counter()
            process = subprocess.Popen(  # noqa: S603 - the program itself, on files written above
                command, stdout=told, stderr=subprocess.DEVNULL, env=os.environ | settings
            )
            _, status, used = os.wait4(process.pid, 0)
            wall = perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, process.returncode
        report = json.loads(summary.read_bytes())
        return Ingested(
            messages=report["messages"]["read"],
            bytes=sum(path.stat().st_size for path in paths),
            events=report["events"]["written"],
            held=report["messages"]["held"],
            rejected=report["messages"]["rejected"] + sum(report["entries_rejected"].values()),
            cpu_seconds=used.ru_utime + used.ru_stime,
            wall_seconds=wall,
            peak_memory_mib=used.ru_maxrss / 1024,
            events_by_type=report["events"]["by_type"],
        )


# Profile and report --------------------------------------------------------------------------------------------------


def profiles(given: Intake) -> Iterable[tuple[str, str]]:
    """Yield, for each kind of message and for the whole way of a file, the functions that cost most."""
    for group in groups(given):
        run, made = (
            group.subjects[0].run,
            [group.make(number) for number in range(group.messages_in_round * 5)],
        )
        run(made[0])
        yield group.name, _profile(partial(_read_all, run, made))
    with TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_files(folder, 2_000)

        def feed() -> None:
            read = Feed(given, RejectStore(folder / "rejects"), 1 << 20)
            for event in read.read(paths):
                encode_event(event)

        yield "mixed files, to bytes", _profile(feed)


def _read_all(run: Callable[[bytes], int], made: list[bytes]) -> int:
    return sum(map(run, made))


def _profile(run: Callable[[], object]) -> str:
    profiler = cProfile.Profile()
    profiler.enable()
    run()
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
        "load": round(os.getloadavg()[0], 1),
        "processor": platform.processor() or platform.machine(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _report(rows: list[Row], runs: list[Ingested], machine: dict[str, object]) -> str:
    lines = [
        ", ".join(f"{name} {value}" for name, value in machine.items()),
        "",
        f"{'message':21} {'subject':35} {'messages/s':>10} {'events/s':>9} {'ours : it':>9}",
    ]
    lines += [
        f"{r.group:21} {r.subject:35} {r.per_second:>10,.0f} {r.events_per_second:>9,.0f} {r.ratio:>9.2f}"
        for r in rows
    ]
    heads = "MB", "events", "CPU s", "s", "messages/s", "events/s", "MiB"
    lines += ["", f"{'messages':>9} {' '.join(f'{head:>10}' for head in heads)}"]
    lines += [
        f"{r.messages:>9,} {r.bytes / 1e6:>10,.0f} {r.events:>10,} {r.cpu_seconds:>10.1f} {r.wall_seconds:>10.1f} "
        f"{r.messages / r.cpu_seconds:>10,.0f} {r.events_per_second:>10,.0f} {r.peak_memory_mib:>10,.0f}"
        for r in runs
    ]
    lines += ["", f"events: {', '.join(f'{n:,} {kind}' for kind, n in runs[-1].events_by_type.items())}"]
    return "\n".join(lines)


def _faults(small: Ingested, large: Ingested) -> list[str]:
    """Return why the run of files is not what it should be."""
    faults = [f"{run.rejected} messages were rejected" for run in (small, large) if run.rejected]
    if large.peak_memory_mib > small.peak_memory_mib * MEMORY_GROWTH_MAX:
        grown = f"{small.peak_memory_mib:,.0f} to {large.peak_memory_mib:,.0f} MiB"
        faults.append(f"memory grew with the files, from {grown}")
    return faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when messages were rejected or memory grew with the files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--messages", type=int, default=100_000, help="messages of the mixed files (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="rounds of each comparison (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument(
        "--profile", action="store_true", help="print the ten costliest functions of each reader"
    )
    options = parser.parse_args(arguments)
    collect_seldom()  # as the program does
    given = intake()
    if options.profile:
        for name, text in profiles(given):
            print(f"=== {name}\n{text.strip()}\n")
        return 0
    # Files first: a process begins with the peak memory of the one that starts it.
    runs = [ingest(options.messages // 10), ingest(options.messages)]
    rows = [row for group in groups(given) for row in measure(group, options.rounds)]
    machine = _machine()
    if options.json:
        record = {"machine": machine, "seed": SEED, "rounds": options.rounds}
        record |= {"rows": [row.value() for row in rows], "files": [asdict(run) for run in runs]}
        print(json.dumps(record, indent=2))
    else:
        print(_report(rows, runs, machine))
    faults = _faults(*runs)
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
