"""How long an event takes from being produced to being seen by a reader of committed records, at a steady rate."""

import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Producer

from benchmarks.live.jobs import Job
from benchmarks.live.logs import Topics, marker_name
from benchmarks.live.observer import Observer
from benchmarks.live.processes import Host
from benchmarks.live.progress import Progress
from benchmarks.live.subjects import Place, Trial
from benchmarks.live.throughput import clear, prepare, start_hosts
from pv_stream.domain.ids import shard_of
from pv_stream.errors import EnvironmentBroken

#: One event in so many is the second of a marker, whose output is waited for.
EVENTS_PER_SAMPLE: Final = 10
WARM_UP_SECONDS: Final = 5.0
FIRST_SECONDS_MAX: Final = 120.0
LAST_SECONDS_MAX: Final = 15.0


@dataclass(frozen=True, slots=True)
class Waited:
    """Hold the latencies of one run, in milliseconds."""

    subject: str
    job: str
    repeat: int
    per_second: int
    samples: int
    missing: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


class Sender(threading.Thread):
    """Produce events at a steady rate, and remember when each marker's second event was produced."""

    def __init__(self, job: Job, place: Place, *, per_second: int, patients: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.sent: dict[str, float] = {}
        # Once: settings are read from the environment anew each time, which takes longer than an event may.
        self._topic, self._partitions = place.source, place.partitions
        self._per_second = per_second
        self._job = job
        self._events = job.events(10**9, patients, seed)
        self._ended = threading.Event()
        self._producer = Producer(
            # As clients do by themselves, so what is measured has the 5 ms in it. Idempotent: at most five requests
            # wait at once, so that a broker that is behind gets fewer and larger ones.
            {
                "bootstrap.servers": place.bootstrap_servers,
                "linger.ms": 5,
                "enable.idempotence": True,
                "log_level": 0,
            }
        )

    def run(self) -> None:
        began, number = time.monotonic(), 0
        while not self._ended.is_set():
            due = began + number / self._per_second
            if (ahead := due - time.monotonic()) > 0:
                time.sleep(ahead)
            self._send(number)
            number += 1
        self._producer.flush(LAST_SECONDS_MAX)

    def end(self) -> None:
        """Send no more."""
        self._ended.set()
        self.join()

    def _send(self, number: int) -> None:
        if number % EVENTS_PER_SAMPLE:
            patient, value = next(self._events)
            self._produce(patient, value)
            return
        partition = number // EVENTS_PER_SAMPLE % self._partitions
        name = marker_name(number, partition, self._partitions)
        before, telling = self._job.marker(name, number)
        self._produce(name, before)
        self.sent[name] = time.monotonic()
        self._produce(name, telling)

    def _produce(self, patient: str, value: bytes) -> None:
        self._producer.produce(self._topic, value, patient.encode(), shard_of(patient, self._partitions))
        self._producer.poll(0)


def wait(trial: Trial, *, per_second: int, seconds: float, patients: int, progress: Progress) -> Waited:
    """Send events for some seconds and return how long the markers among them took."""
    place = trial.place
    existing = Topics(place.bootstrap_servers)
    if not trial.subject.is_ours:
        existing.make(place.source, place.partitions)
    prepare(trial, existing)
    observer = Observer(place.bootstrap_servers, trial.subject.targets(place), place.partitions)
    sender = Sender(trial.job, place, per_second=per_second, patients=patients, seed=trial.repeat)
    hosts = start_hosts(trial)
    try:
        with closing(observer):
            sender.start()
            began = _until_it_tells(observer, hosts, trial) + WARM_UP_SECONDS
            while time.monotonic() < began + seconds:
                observer.look()
                progress.show(f"{trial.title}: latency, {began + seconds - time.monotonic():.0f} s left")
            asked = [name for name, at in dict(sender.sent).items() if began <= at <= began + seconds - 1]
            sender.end()
            _until_seen(observer, asked)
            seen = observer.seen.first
            took = sorted((seen[name] - sender.sent[name]) * 1_000 for name in asked if name in seen)
            return _waited(took, len(asked), trial, per_second)
    finally:
        for host in hosts:
            host.stop()
        clear(place, existing)
        existing.remove([name for name in existing.names() if name.startswith(place.prefix)])


def _waited(took: Sequence[float], asked: int, trial: Trial, per_second: int) -> Waited:
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    return Waited(
        subject=trial.subject.name,
        job=trial.job.name,
        repeat=trial.repeat,
        per_second=per_second,
        samples=len(took),
        missing=asked - len(took),
        p50_ms=cuts[49],
        p99_ms=cuts[98],
        worst_ms=took[-1],
    )


def _until_it_tells(observer: Observer, hosts: Sequence[Host], trial: Trial) -> float:
    deadline = time.monotonic() + FIRST_SECONDS_MAX
    while not observer.look():
        for host in hosts:
            host.require_alive()
        if time.monotonic() > deadline:
            msg = f"{trial.title}: nothing was told within {FIRST_SECONDS_MAX:.0f} s"
            raise EnvironmentBroken(msg)
    return time.monotonic()


def _until_seen(observer: Observer, names: Sequence[str]) -> None:
    deadline = time.monotonic() + LAST_SECONDS_MAX
    waiting = set(names) - set(observer.seen.first)
    while waiting and time.monotonic() < deadline:
        waiting.difference_update(observer.look())
