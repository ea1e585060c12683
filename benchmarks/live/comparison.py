"""The comparison: which subjects, how many rounds, one log for all, and what came out."""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.live.jobs import JOBS, Job
from benchmarks.live.latency import Waited, wait
from benchmarks.live.logs import Log, Topics, placed, write
from benchmarks.live.progress import Progress
from benchmarks.live.report import as_json, as_text
from benchmarks.live.subjects import SUBJECTS, Place, Subject, Trial
from benchmarks.live.throughput import Ran, run
from pv_stream.errors import EnvironmentBroken, PvStreamError
from pv_stream.stream import topics
from pv_stream.stream.kafka_dev.broker import LocalBroker, free_port

SEED: Final = 20261121
QUICK_EVENTS: Final = 20_000
FINDING_EXIT: Final = 1
STOPPED_EXIT: Final = 143  # as a shell says it of SIGTERM


@dataclass(slots=True)
class Results:
    """Hold everything that was measured."""

    ran: list[Ran] = field(default_factory=list)
    waited: list[Waited] = field(default_factory=list)
    #: Why a run gave nothing; the others go on.
    failed: list[str] = field(default_factory=list)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    add = parser.add_argument
    add("--subjects", default=",".join(SUBJECTS), help="comma between them (default: %(default)s)")
    add("--jobs", default="small,engine", help="small, engine or both (default: %(default)s)")
    add("--events", type=int, default=1_000_000, help="of the small job (default: %(default)s)")
    add("--engine-events", type=int, default=200_000, help="of the engine job (default: %(default)s)")
    add("--patients", type=int, default=20_000, help="(default: %(default)s)")
    add("--partitions", type=int, default=4, help="(default: %(default)s)")
    add("--repeats", type=int, default=3, help="rounds (default: %(default)s)")
    add(
        "--commit-seconds",
        type=float,
        default=0.1,
        help="between two commits of a peer (default: %(default)s)",
    )
    add(
        "--latency-rate",
        type=int,
        default=1_000,
        help="events per second; 0: no latency (default: %(default)s)",
    )
    add("--latency-seconds", type=float, default=20.0, help="(default: %(default)s)")
    add(
        "--directory",
        type=Path,
        help="where the broker and the logs of the hosts live (default: a temporary one)",
    )
    add("--quick", action="store_true", help=f"{QUICK_EVENTS} events, one round: does everything work?")
    add("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args(arguments)
    if options.quick:
        options.events = options.engine_events = QUICK_EVENTS
        options.patients = min(options.patients, 1_000)
        options.repeats, options.latency_seconds = 1, 5.0
    for name in (unknown := set(options.subjects.split(",")) - set(SUBJECTS)):
        parser.error(f"no subject {name}: there are {', '.join(SUBJECTS)}")
    if not unknown and set(options.jobs.split(",")) - set(JOBS):
        parser.error(f"--jobs: there are {', '.join(JOBS)}")
    return options


@contextmanager
def local_broker(directory: Path) -> Iterator[str]:
    """Run a broker for a measurement alone; being told to stop ends it too, and every host."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED_EXIT))
    broker = LocalBroker(directory / "broker", port=free_port(), controller_port=free_port(), heap_mb=1_024)
    try:
        yield broker.up().bootstrap_servers
    finally:
        broker.down()


class Comparison:
    """Let subjects do jobs in rounds."""

    def __init__(self, options: argparse.Namespace, bootstrap_servers: str, directory: Path) -> None:
        self._options = options
        self._bootstrap_servers = bootstrap_servers
        self._directory = directory
        self._progress = Progress()
        self._topics = Topics(bootstrap_servers)
        self._runs = 0
        self.results = Results()

    def go(self) -> None:
        """Measure everything that was asked for."""
        for name in self._options.jobs.split(","):
            job = JOBS[name]
            log = self._write_log(job)
            for repeat in range(1, self._options.repeats + 1):
                for subject in self._subjects(job):
                    try:
                        self._measure(subject, job, log, repeat)
                    except EnvironmentBroken as error:
                        self.results.failed.append(f"{job.name} {subject.name} round {repeat}: {error}")
                        self._progress.line(f"error: {self.results.failed[-1]}")

    def _subjects(self, job: Job) -> list[Subject]:
        chosen = [SUBJECTS[name] for name in self._options.subjects.split(",")]
        return [subject for subject in chosen if job.name in subject.jobs]

    def _write_log(self, job: Job) -> Log:
        options = self._options
        place = self._place(f"live-{job.name}.", "writer")
        topics.apply(place.settings)
        count = options.events if job.name == "small" else options.engine_events
        records = placed(
            job, count=count, patients=options.patients, partitions=options.partitions, seed=SEED
        )
        log = write(self._bootstrap_servers, place.source, records, self._progress)
        self._progress.line(f"{log.topic}: {log.events:,} events of {options.patients:,} patients")
        return log

    def _measure(self, subject: Subject, job: Job, log: Log, repeat: int) -> None:
        trial = self._trial(subject, job, repeat, f"live-{job.name}.")
        ran = run(trial, log, self._progress)
        self.results.ran.append(ran)
        self._progress.line(
            f"{trial.title}: {ran.per_second:>9,.0f} events/s, second half {ran.per_second_warm:>9,.0f}, "
            f"{ran.cpu_us_per_event:6.1f} µs CPU each, {ran.memory_mib_max:,.0f} MiB"
        )
        options = self._options
        if not options.latency_rate or subject.workers > 1:
            return
        trial = self._trial(subject, job, repeat, f"wait-{subject.name}-{job.name}-{repeat}.")
        waited = wait(
            trial,
            per_second=options.latency_rate,
            seconds=options.latency_seconds,
            patients=options.patients,
            progress=self._progress,
        )
        self.results.waited.append(waited)
        self._progress.line(
            f"{trial.title}: at {waited.per_second:,} events/s p50 {waited.p50_ms:.0f} ms, "
            f"p99 {waited.p99_ms:.0f} ms, worst {waited.worst_ms:.0f} ms"
        )

    def _trial(self, subject: Subject, job: Job, repeat: int, prefix: str) -> Trial:
        self._runs += 1
        return Trial(subject, job, self._place(prefix, f"{subject.name}-{self._runs}"), repeat)

    def _place(self, prefix: str, name: str) -> Place:
        group = f"bench-{name}"
        return Place(
            bootstrap_servers=self._bootstrap_servers,
            prefix=prefix,
            group=group,
            target=f"{group}.told",
            directory=self._directory / group,
            partitions=self._options.partitions,
            commit_seconds=self._options.commit_seconds,
        )


def findings(results: Results) -> list[str]:
    """Return a sentence for each run that failed, or told something else than the first run of its job."""
    first: dict[str, Ran] = {}
    said = []
    for ran in (each for each in results.ran if each.told):
        expected = first.setdefault(ran.job, ran)
        if (ran.outputs, ran.told) != (expected.outputs, expected.told):
            said.append(
                f"{ran.job}: {ran.subject} told {ran.outputs} things in round {ran.repeat}, not what "
                f"{expected.subject} told ({expected.outputs})"
            )
    said += [
        f"{waited.job}: {waited.missing} events sent to {waited.subject} were never answered"
        for waited in results.waited
        if waited.missing
    ]
    return [*said, *results.failed]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when a run failed or the subjects did not tell the same."""
    options = _options(arguments)
    try:
        for name in options.subjects.split(","):
            if missing := SUBJECTS[name].missing():
                msg = f"{missing} is missing: `make bench` sets it up, or leave out {name}"
                raise EnvironmentBroken(msg)
        with tempfile.TemporaryDirectory(prefix="pv-stream-live-") as scratch:
            directory = (options.directory or Path(scratch)).absolute()
            with local_broker(directory) as bootstrap_servers:
                comparison = Comparison(options, bootstrap_servers, directory)
                comparison.go()
    except PvStreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    results = comparison.results
    said = findings(results)
    if options.json:
        print(json.dumps(as_json(vars(options), results.ran, results.waited, said), indent=2, default=str))
    else:
        print(as_text(vars(options), results.ran, results.waited))
    for sentence in said:
        print(f"error: {sentence}", file=sys.stderr)
    return FINDING_EXIT if said else 0
