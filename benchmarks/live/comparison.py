"""The comparison: part by part, in rounds in which every subject reads the same log, one after another."""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.live.jobs import JOBS
from benchmarks.live.latency import Waited, wait
from benchmarks.live.logs import Log, placed, write
from benchmarks.live.parts import EVERYTHING, PARTS, TAKEOVER, Part
from benchmarks.live.progress import Progress
from benchmarks.live.records import Records, Round, now
from benchmarks.live.report import as_json, as_text, machine
from benchmarks.live.subjects import SUBJECTS, Place, Subject, Trial
from benchmarks.live.throughput import Ran, run
from pv_stream.errors import EnvironmentBroken, PvStreamError
from pv_stream.stream import topics
from pv_stream.stream.kafka_dev.broker import LocalBroker, free_port

SEED: Final = 20261121
QUICK_EVENTS: Final = 20_000
QUICK_PATIENTS: Final = 1_000
FINDING_EXIT: Final = 1
STOPPED_EXIT: Final = 143  # as a shell says it of SIGTERM
RESULTS: Final = Path("build/bench-live.jsonl")
#: A broker that has just begun is slow for a while: our own worker has its turn first, and it does not count.
WARM_UP: Final = "ours"
WARM_UP_SECONDS: Final = 10.0
#: Kafka's own setting, where that for development is 0: who starts together shares out the log together.
BROKER_PROPERTIES: Final = "group.initial.rebalance.delay.ms=3000\n"


@dataclass(slots=True)
class Measured:
    """Hold what one round measured so far."""

    ran: list[Ran] = field(default_factory=list)
    waited: list[Waited] = field(default_factory=list)
    #: Why a run gave nothing; the others go on.
    failed: list[str] = field(default_factory=list)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    add = parser.add_argument
    add("--only", default=",".join(EVERYTHING), help="parts, comma between them (default: %(default)s)")
    add("--subjects", default=",".join(SUBJECTS), help="of each part only these (default: %(default)s)")
    add("--events", type=int, default=1_000_000, help="of the small job (default: %(default)s)")
    add("--engine-events", type=int, default=200_000, help="of the engine job (default: %(default)s)")
    add("--patients", type=int, help="instead of those of the part")
    add("--partitions", type=int, help="instead of those of the part")
    add("--repeats", type=int, default=3, help="rounds (default: %(default)s)")
    add(
        "--commit-seconds",
        type=float,
        default=0.1,
        help="between two commits of a peer (default: %(default)s)",
    )
    add("--latency-rate", type=int, default=1_000, help="events per second (default: %(default)s)")
    add("--latency-seconds", type=float, default=20.0, help="(default: %(default)s)")
    add("--takeover-patients", type=int, default=100_000, help="states to take over (default: %(default)s)")
    add(
        "--directory",
        type=Path,
        help="where the broker and the logs of the hosts live (default: a temporary one)",
    )
    add(
        "--results",
        type=Path,
        default=RESULTS,
        help="every complete round is kept here (default: %(default)s)",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with the results: rounds that are there are not measured again",
    )
    add("--report", action="store_true", help="only print what the results hold")
    add("--quick", action="store_true", help=f"{QUICK_EVENTS} events, one round: does everything work?")
    add("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args(arguments)
    if options.quick:
        options.events = options.engine_events = QUICK_EVENTS
        options.patients = options.takeover_patients = QUICK_PATIENTS
        options.repeats, options.latency_seconds = 1, 5.0
    options.only, options.subjects = options.only.split(","), options.subjects.split(",")
    for given, known in ((options.only, EVERYTHING), (options.subjects, tuple(SUBJECTS))):
        if unknown := sorted(set(given) - set(known)):
            parser.error(f"no {unknown[0]}: there are {', '.join(known)}")
    return options


@contextmanager
def local_broker(directory: Path, properties: str = "") -> Iterator[str]:
    """Run a broker for a measurement alone; being told to stop ends it too, and every host."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED_EXIT))
    broker = LocalBroker(
        directory / "broker",
        port=free_port(),
        controller_port=free_port(),
        heap_mb=1_024,
        properties=properties,
    )
    try:
        yield broker.up().bootstrap_servers
    finally:
        broker.down()


class Comparison:
    """Let subjects do jobs in rounds."""

    def __init__(
        self, options: argparse.Namespace, bootstrap_servers: str, directory: Path, records: Records
    ) -> None:
        self._options = options
        self._bootstrap_servers = bootstrap_servers
        self._directory = directory
        self._records = records
        self._progress = Progress()
        self._runs = 0
        #: By prefix of its topic.
        self._logs: dict[str, Log] = {}

    def go(self, part: Part) -> None:
        """Measure the rounds of a part that are not there yet."""
        began, asked = time.monotonic(), self._asked(part)
        missing = [
            number
            for number in range(1, self._options.repeats + 1)
            if not self._records.has(part.name, number, asked)
        ]
        rounds = f"{len(missing)} of {self._options.repeats} rounds to measure"
        self._progress.line(f"{part.name}: {rounds}; three of all subjects take about {part.minutes} minutes")
        if missing and part.latency:
            self._wait(self._trial(SUBJECTS[WARM_UP], part, 0), WARM_UP_SECONDS, part)
        for number in missing:
            self._round(part, number, asked)
        self._progress.line(f"{part.name}: {(time.monotonic() - began) / 60:.1f} minutes")

    def _asked(self, part: Part) -> dict[str, Any]:
        options = self._options
        events = options.events if part.job == "small" else options.engine_events
        return {
            "events": options.latency_rate if part.latency else events,
            "patients": part.patients,
            "partitions": part.partitions,
            "commit_seconds": options.commit_seconds,
            "subjects": [subject.name for subject in self._subjects(part)],
        }

    def _subjects(self, part: Part) -> list[Subject]:
        return [SUBJECTS[name] for name in part.subjects if name in self._options.subjects]

    def _round(self, part: Part, number: int, asked: Mapping[str, Any]) -> None:
        done = Measured()
        for subject in self._subjects(part):
            try:
                self._measure(self._trial(subject, part, number), part, done)
            except EnvironmentBroken as error:
                done.failed.append(f"{part.name} {subject.name} round {number}: {error}")
                self._progress.line(f"error: {done.failed[-1]}")
        ran, waited, failed = tuple(done.ran), tuple(done.waited), tuple(done.failed)
        self._records.keep(Round(part.name, number, asked, machine(), now(), ran, waited, failed))

    def _measure(self, trial: Trial, part: Part, done: Measured) -> None:
        if part.latency:
            done.waited.append(self._wait(trial, self._options.latency_seconds, part))
            return
        ran = run(trial, self._log(part), self._progress)
        done.ran.append(ran)
        commits = "" if ran.commit_ms is None else f", a commit every {ran.commit_ms:,.0f} ms"
        self._progress.line(
            f"{trial.title}: {ran.per_second:>9,.0f} events/s, second half {ran.per_second_warm:>9,.0f}, "
            f"{ran.cpu_us_per_event:6.1f} µs CPU each, {ran.memory_mib_max:,.0f} MiB{commits}"
        )

    def _wait(self, trial: Trial, seconds: float, part: Part) -> Waited:
        waited = wait(
            trial,
            per_second=self._options.latency_rate,
            seconds=seconds,
            patients=part.patients,
            progress=self._progress,
        )
        self._progress.line(
            f"{trial.title}: at {waited.per_second:,} events/s p50 {waited.p50_ms:.0f} ms, "
            f"p99 {waited.p99_ms:.0f} ms, worst {waited.worst_ms:.0f} ms"
        )
        return waited

    def _log(self, part: Part) -> Log:
        """Return the log of a part, written when it is first asked for."""
        prefix, asked = _prefix(part), self._asked(part)
        if prefix not in self._logs:
            place = self._place(part, prefix, "writer")
            topics.apply(place.settings)
            records = placed(
                JOBS[part.job],
                count=asked["events"],
                patients=part.patients,
                partitions=part.partitions,
                seed=SEED,
            )
            log = self._logs[prefix] = write(self._bootstrap_servers, place.source, records, self._progress)
            self._progress.line(f"{log.topic}: {log.events:,} events of {part.patients:,} patients")
        return self._logs[prefix]

    def _trial(self, subject: Subject, part: Part, number: int) -> Trial:
        self._runs += 1
        name = f"{subject.name}-{self._runs}"
        prefix = f"wait-{name}." if part.latency else _prefix(part)
        return Trial(subject, JOBS[part.job], self._place(part, prefix, name), number)

    def _place(self, part: Part, prefix: str, name: str) -> Place:
        group = f"bench-{name}"
        return Place(
            bootstrap_servers=self._bootstrap_servers,
            prefix=prefix,
            group=group,
            target=f"{group}.told",
            directory=self._directory / group,
            partitions=part.partitions,
            commit_seconds=self._options.commit_seconds,
        )


def _prefix(part: Part) -> str:
    return f"live-{part.job}-{part.patients}-{part.partitions}."


def findings(rounds: Sequence[Round]) -> list[str]:
    """Return a sentence for each run that failed, or told something else than the first run of its part."""
    first: dict[str, Ran] = {}
    said = []
    for part, ran in [(each.part, ran) for each in rounds for ran in each.ran if ran.told]:
        expected = first.setdefault(part, ran)
        if (ran.outputs, ran.told) != (expected.outputs, expected.told):
            said.append(
                f"{part}: {ran.subject} told {ran.outputs} things in round {ran.repeat}, not what "
                f"{expected.subject} told ({expected.outputs})"
            )
    said += [
        f"{each.part}: {waited.missing} events sent to {waited.subject} were never answered"
        for each in rounds
        for waited in each.waited
        if waited.missing
    ]
    return [*said, *(sentence for each in rounds for sentence in each.failed)]


def _chosen(options: argparse.Namespace) -> list[Part]:
    changes = {
        name: value for name in ("patients", "partitions") if (value := getattr(options, name)) is not None
    }
    return [replace(PARTS[name], **changes) for name in options.only if name in PARTS]


def _require_hosts(parts: Sequence[Part], options: argparse.Namespace) -> None:
    for name in {name for part in parts for name in part.subjects if name in options.subjects}:
        if missing := SUBJECTS[name].missing():
            msg = f"{missing} is missing: `make bench` sets it up, or leave out {name}"
            raise EnvironmentBroken(msg)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when a run failed or the subjects did not tell the same."""
    options = _options(arguments)
    parts = _chosen(options)
    records = Records(options.results, resume=options.resume or options.report)
    try:
        if parts and not options.report:
            _require_hosts(parts, options)
            with tempfile.TemporaryDirectory(prefix="pv-stream-live-") as scratch:
                directory = (options.directory or Path(scratch)).absolute()
                with local_broker(directory, BROKER_PROPERTIES) as bootstrap_servers:
                    comparison = Comparison(options, bootstrap_servers, directory, records)
                    for part in parts:
                        comparison.go(part)
    except PvStreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    rounds = [each for part in parts for each in records.of(part.name)]
    said = findings(rounds)
    print(json.dumps(as_json(rounds, said), indent=2) if options.json else as_text(rounds))
    for sentence in said:
        print(f"error: {sentence}", file=sys.stderr)
    if TAKEOVER in options.only and not options.report:
        from benchmarks.live import takeover  # noqa: PLC0415 - it needs the broker of this module

        code = takeover.main(
            ["--patients", str(options.takeover_patients), "--repeats", str(options.repeats)]
            + (["--json"] if options.json else [])
        )
        if code:
            return code
    return FINDING_EXIT if said else 0
