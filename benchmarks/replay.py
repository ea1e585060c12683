"""How fast an archive is replayed, by one process and by several: `python -m benchmarks.replay --events 240000`.

The log is that of `benchmarks.ward_log`, with a clock record for each quarter of an hour in each shard, archived as
`pv-stream archive` does. What is measured is the whole command, start included. The run fails when the number of
processes changes a byte of the manifest, which holds the digests of everything.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.ward_log import ward_log
from pv_stream.audit.archive.segments import ArchivedRecord
from pv_stream.audit.archive.writing import SEGMENT_BYTES_MAX, writing
from pv_stream.audit.log import EVENTS_TOPIC
from pv_stream.audit.output_folder import MANIFEST
from pv_stream.codec.events import encode_event
from pv_stream.domain.ids import shard_of
from pv_stream.domain.times import MICROSECONDS_PER_MINUTE
from pv_stream.shard.fold import clock_record

SEED: Final = 20261121
SHARDS: Final = 4
_CLOCK_EVERY_US: Final = 15 * MICROSECONDS_PER_MINUTE


@dataclass(frozen=True, slots=True)
class Row:
    """Hold what one replay took; memory is that of its largest process."""

    processes: int
    records: int
    wall_seconds: float
    cpu_seconds: float
    memory_mib: int


def shard_log(events: int, shard: int) -> Iterator[ArchivedRecord]:
    """Yield the records of one shard of the ward's log."""
    position, told = 0, 0
    for event in islice(ward_log(seed=SEED), events):
        at = event.received_at
        if at - told >= _CLOCK_EVERY_US:
            told = at
            yield ArchivedRecord(position, at // 1000, *_without_headers(*clock_record(at)))
            position += 1
        if shard_of(event.patient_id, SHARDS) == shard:
            key, value = event.patient_id.encode(), encode_event(event)
            yield ArchivedRecord(position, at // 1000, *_without_headers(key, value))
            position += 1


def _without_headers(key: bytes | None, value: bytes) -> tuple[bytes | None, tuple[()], bytes]:
    return key, (), value


def make_archive(folder: Path, events: int) -> int:
    """Archive the ward's log and return how many records it has; one pass for each shard, so that memory is flat."""
    with writing(folder / EVENTS_TOPIC, topic=EVENTS_TOPIC, shard_count=SHARDS) as writer:
        for shard in range(SHARDS):
            records = shard_log(events, shard)
            writer.append(shard, records, first=0, end=events * 2, segment_bytes_max=SEGMENT_BYTES_MAX)
        return writer.records_added


def measure(archive: Path, out: Path, records: int, processes: int) -> Row:
    """Replay an archive in a process of its own and return what that took."""
    command = [sys.executable, "-m", "pv_stream.cli", "replay", str(archive), "--out", str(out)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([*command, "--processes", str(processes)], check=True, capture_output=True)  # noqa: S603 - ours
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Row(processes, records, took, cpu, after.ru_maxrss // 1024)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when the number of processes changed what came out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000, help="events (default: %(default)s)")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="(default: 1 2)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pv-stream-bench-") as folder:
        archive = Path(folder) / "archive"
        records = make_archive(archive, options.events)
        rows, manifests = [], set()
        for processes in options.processes:
            out = Path(folder) / f"out-{processes}"
            rows.append(measure(archive, out, records, processes))
            manifests.add((out / MANIFEST).read_bytes())
    if options.json:
        print(
            json.dumps(
                {"cores": os.cpu_count(), "seed": SEED, "rows": [asdict(row) for row in rows]}, indent=2
            )
        )
    else:
        print(f"{'processes':>9} {'records':>10} {'wall s':>8} {'CPU s':>8} {'records/s':>10} {'MiB':>6}")
        for row in rows:
            speed = row.records / row.wall_seconds
            print(
                f"{row.processes:>9} {row.records:>10,} {row.wall_seconds:>8.1f} {row.cpu_seconds:>8.1f} "
                f"{speed:>10,.0f} {row.memory_mib:>6,}"
            )
    if len(manifests) > 1:
        print("error: the number of processes changed what came out", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
