"""One run of one subject over a log that waits for it: from the first marker that is visible to the last."""

import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from benchmarks.live.jobs import Job, told_digest
from benchmarks.live.logs import Log, Topics
from benchmarks.live.observer import Observer, is_marker
from benchmarks.live.processes import Host, start
from benchmarks.live.progress import Progress
from benchmarks.live.subjects import Place, Subject
from pv_stream.errors import EnvironmentBroken
from pv_stream.stream import topics

FIRST_SECONDS_MAX: Final = 120.0
STILL_SECONDS_MAX: Final = 120.0
SETTLE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Ran:
    """Hold what one run measured."""

    subject: str
    job: str
    repeat: int
    events: int
    #: From the first marker to the last.
    seconds: float
    #: The second half of the markers.
    seconds_second_half: float
    cpu_seconds: float
    memory_mib_max: float
    outputs: int
    told: str

    @property
    def per_second(self) -> float:
        """Return the speed over the whole log, cold."""
        return self.events / self.seconds

    @property
    def per_second_warm(self) -> float:
        """Return the speed over the second half of the log."""
        return self.events / 2 / self.seconds_second_half

    @property
    def cpu_us_per_event(self) -> float:
        """Return the CPU time of the subject's processes for one event, start and warm-up left out."""
        return self.cpu_seconds * 1e6 / self.events


def prepare(place: Place, subject: Subject, existing: Topics) -> None:
    """Give a run empty topics of its own next to the log."""
    if subject.is_ours:
        existing.remove(place.ours)
        topics.apply(place.settings)
    else:
        existing.make(place.target, place.partitions)


def clear(place: Place, existing: Topics) -> None:
    """Remove what a run left: its topics, those that the subject made for itself, and its files."""
    existing.remove([name for name in existing.names() if place.group in name])
    shutil.rmtree(place.directory, ignore_errors=True)


def start_hosts(subject: Subject, job: Job, place: Place) -> list[Host]:
    """Start the worker or workers of a subject."""
    hosts = []
    for number in range(subject.workers):
        said = place.directory.parent / f"{place.group}-{number}.log"
        hosts.append(start(subject.arguments(place, job.name), subject.variables(place), said))
    return hosts


def run(subject: Subject, job: Job, log: Log, place: Place, repeat: int, progress: Progress) -> Ran:
    """Run a subject over a log and return what was measured."""
    existing = Topics(place.bootstrap_servers)
    prepare(place, subject, existing)
    observer = Observer(place.bootstrap_servers, subject.targets(place), place.partitions)
    hosts = start_hosts(subject, job, place)
    try:
        with closing(observer):
            return _watch(observer, hosts, subject, job, log, repeat, progress)
    finally:
        for host in hosts:
            host.stop()
        clear(place, existing)


def _watch(
    observer: Observer,
    hosts: Sequence[Host],
    subject: Subject,
    job: Job,
    log: Log,
    repeat: int,
    progress: Progress,
) -> Ran:
    arrivals: list[float] = []
    cpu_began = 0.0
    deadline = time.monotonic() + FIRST_SECONDS_MAX
    while len(arrivals) < len(log.markers):
        fresh = [patient for patient in observer.look() if is_marker(patient)]
        now = time.monotonic()
        if fresh:
            if not arrivals:
                cpu_began = sum(host.cpu_seconds() for host in hosts)
            arrivals += [observer.seen.first[patient] for patient in fresh]
            deadline = now + STILL_SECONDS_MAX
            share = len(arrivals) / len(log.markers)
            progress.show(f"{job.name} {subject.name} {repeat}: {share:.0%} of {log.events:,} events")
        elif now > deadline:
            msg = f"{subject.name} told nothing new for long: {len(arrivals)} of {len(log.markers)} markers seen"
            raise EnvironmentBroken(msg)
        for host in hosts:
            host.require_alive()
    cpu_seconds = sum(host.cpu_seconds() for host in hosts) - cpu_began
    memory_mib = sum(host.memory_mib_max() for host in hosts)
    # What else the last transaction told is visible with it; a doubled output would come after it.
    settled = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < settled:
        observer.look()
    half = arrivals[len(arrivals) // 2]
    values = observer.seen.values
    return Ran(
        subject=subject.name,
        job=job.name,
        repeat=repeat,
        events=log.events,
        seconds=arrivals[-1] - arrivals[0],
        seconds_second_half=arrivals[-1] - half,
        cpu_seconds=cpu_seconds,
        memory_mib_max=memory_mib,
        outputs=len(values),
        told=told_digest(job, values),
    )
