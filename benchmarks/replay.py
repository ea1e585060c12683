"""How fast an archive is replayed, by one process and by several, beside two databases that ask one thing of it.

`python -m benchmarks.replay --events 240000`. The log is that of `benchmarks.ward_log`, with a clock record for each
quarter of an hour in each shard, archived as `pv-stream archive` does. What is measured is the whole command, start
included. The run fails when the number of processes changes a byte of the manifest, which holds the digests of
everything.

polars and duckdb get the same events as lines of JSON and do no more than the naive rule: which eosinophils reach the
threshold, and of whom. They give no score, no history and no reason, so the ratio says what all of that costs. Each
reads in parallel, on every core. The run fails when one of them finds another number than there is.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.ward_log import ward_log
from pv_stream.audit.archive.segments import ArchivedRecord
from pv_stream.audit.archive.writing import SEGMENT_BYTES_MAX, TopicWriter, writing
from pv_stream.audit.log import EVENTS_TOPIC
from pv_stream.audit.output_folder import MANIFEST
from pv_stream.codec.events import encode_event
from pv_stream.domain.codes import Analyte
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Measurement
from pv_stream.domain.ids import shard_of
from pv_stream.domain.times import MICROSECONDS_PER_MINUTE
from pv_stream.shard.fold import clock_record

SEED: Final = 20261121
SHARDS: Final = 4
PEERS: Final = ("polars", "duckdb")
EOSINOPHILS_PER_UL: Final = 1500
PEER_PYTHON: Final = Path(".venv/bench/bin/python")
_CLOCK_EVERY_US: Final = 15 * MICROSECONDS_PER_MINUTE
_BUFFERED: Final = 100_000


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold what the naive rule finds: events at the threshold, and their patients."""

    events: int
    patients: int


@dataclass(frozen=True, slots=True)
class Log:
    """Hold what was made: records of the archive, events and patients in it, and the answer of the naive rule."""

    records: int
    events: int
    patients: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Row:
    """Hold what one subject took; memory is that of its largest process."""

    subject: str
    events: int
    wall_seconds: float
    cpu_seconds: float
    memory_mib: int

    @property
    def per_second(self) -> float:
        """Return events a second of wall time."""
        return self.events / self.wall_seconds


class _Shard:
    """Buffer what one shard of the log gets, and append it to the archive now and then."""

    def __init__(self, writer: TopicWriter, shard: int) -> None:
        self._writer, self._shard = writer, shard
        self._first, self._end, self._told = 0, 0, 0
        self._records: list[ArchivedRecord] = []

    def tick(self, at: int) -> None:
        """Take the clock record of a quarter of an hour, if one has passed."""
        if at - self._told >= _CLOCK_EVERY_US:
            self._told = at
            self._add(at, *clock_record(at))

    def take(self, at: int, key: bytes, value: bytes) -> None:
        """Take an event."""
        self._add(at, key, value)
        if len(self._records) >= _BUFFERED:
            self.flush()

    def flush(self) -> None:
        """Append what is buffered."""
        first, end, records = self._first, self._end, self._records
        self._writer.append(self._shard, records, first=first, end=end, segment_bytes_max=SEGMENT_BYTES_MAX)
        self._first, self._records = end, []

    def _add(self, at: int, key: bytes | None, value: bytes) -> None:
        self._records.append(ArchivedRecord(self._end, at // 1000, key, (), value))
        self._end += 1


def make_logs(archive: Path, lines: Path, events: int) -> Log:
    """Archive the ward's log and write its events as lines of JSON, in one pass."""
    patients: set[str] = set()
    reached: set[str] = set()
    at_threshold = 0
    topic = writing(archive / EVENTS_TOPIC, topic=EVENTS_TOPIC, shard_count=SHARDS)
    with topic as writer, lines.open("wb") as file:
        shards = [_Shard(writer, shard) for shard in range(SHARDS)]
        for event in islice(ward_log(seed=SEED), events):
            value, key = encode_event(event), event.patient_id
            for shard in shards:
                shard.tick(event.received_at)
            shards[shard_of(key, SHARDS)].take(event.received_at, key.encode(), value)
            file.write(value + b"\n")
            patients.add(key)
            if _is_at_threshold(event):
                at_threshold += 1
                reached.add(key)
        for shard in shards:
            shard.flush()
        return Log(writer.records_added, events, len(patients), Answer(at_threshold, len(reached)))


def _is_at_threshold(event: FactArrived) -> bool:
    content = event.version.statement.content
    return (
        isinstance(content, Measurement)
        and content.analyte is Analyte.EOSINOPHILS
        and content.value >= EOSINOPHILS_PER_UL
    )


def measured(subject: str, events: int, command: Sequence[str]) -> tuple[Row, bytes]:
    """Run a command in a process of its own and return what that took, and what it said."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with tempfile.NamedTemporaryFile("r") as told:
        wrapped = [sys.executable, "-m", "benchmarks.memory_of", told.name, *command]
        done = subprocess.run(wrapped, check=True, capture_output=True)  # noqa: S603 - ours
        memory_mib = int(told.read()) // 1024
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Row(subject, events, took, cpu, memory_mib), done.stdout


def replayed(archive: Path, out: Path, events: int, processes: int) -> Row:
    """Replay an archive and return what that took."""
    words = ["replay", str(archive), "--out", str(out), "--processes", str(processes)]
    row, _ = measured(
        f"replay, processes: {processes}", events, [sys.executable, "-m", "pv_stream.cli", *words]
    )
    return row


def asked(peer: str, lines: Path, log: Log) -> Row:
    """Let a database answer the naive rule. Raises ValueError for a wrong answer."""
    script = str(Path(__file__).with_name("naive_query.py"))
    row, said = measured(
        f"{peer}, naive rule",
        log.events,
        [str(PEER_PYTHON), script, peer, str(lines), str(EOSINOPHILS_PER_UL)],
    )
    if Answer(**json.loads(said)) != log.answer:
        msg = f"{peer} found {said.decode().strip()} and there are {log.answer}"
        raise ValueError(msg)
    return row


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when the number of processes changed what came out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000, help="events (default: %(default)s)")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="(default: 1 2)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    if not PEER_PYTHON.exists():
        parser.error("polars and duckdb are not installed: `make bench-replay` sets them up")
    with tempfile.TemporaryDirectory(prefix="pv-stream-bench-") as folder:
        archive, lines = Path(folder) / "archive", Path(folder) / "events.jsonl"
        log = make_logs(archive, lines, options.events)
        rows = [asked(peer, lines, log) for peer in PEERS]
        lines.unlink()
        manifests = set()
        for processes in options.processes:
            out = Path(folder) / f"out-{processes}"
            rows.append(replayed(archive, out, log.events, processes))
            manifests.add((out / MANIFEST).read_bytes())
    _show(log, rows, as_json=options.json)
    if len(manifests) > 1:
        print("error: the number of processes changed what came out", file=sys.stderr)
        return 1
    return 0


def _show(log: Log, rows: Sequence[Row], *, as_json: bool) -> None:
    best = max(row.per_second for row in rows if row.subject.startswith("replay"))
    ratios = {
        f"replay : {row.subject}": best / row.per_second
        for row in rows
        if not row.subject.startswith("replay")
    }
    if as_json:
        told = {"cores": os.cpu_count(), "seed": SEED, "log": asdict(log)}
        print(json.dumps({**told, "rows": [asdict(row) for row in rows], "ratios": ratios}, indent=2))
        return
    print(f"{log.events:,} events of {log.patients:,} patients, {log.records:,} records with the clock")
    print(f"{'subject':<22} {'wall s':>8} {'CPU s':>8} {'events/s':>10} {'MiB':>6}")
    for row in rows:
        print(
            f"{row.subject:<22} {row.wall_seconds:>8.1f} {row.cpu_seconds:>8.1f} {row.per_second:>10,.0f} "
            f"{row.memory_mib:>6,}"
        )
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.4f}")


if __name__ == "__main__":
    sys.exit(main())
