"""One run of one subject over a log that waits for it: from the first marker that is visible to the last."""

import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from benchmarks.live.jobs import told_digest
from benchmarks.live.logs import Log, Topics
from benchmarks.live.observer import Observer, is_marker
from benchmarks.live.processes import Host, start
from benchmarks.live.progress import Progress
from benchmarks.live.subjects import Place, Trial
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
    #: A digest of what was told, empty when only a part of the log was read.
    told: str
    #: Between two commits of one partition, on average; None where nothing is committed.
    commit_ms: float | None

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


def prepare(trial: Trial, existing: Topics) -> None:
    """Give a run empty topics of its own next to the log."""
    if trial.subject.is_ours:
        existing.remove(trial.place.ours)
        topics.apply(trial.place.settings)
    else:
        existing.make(trial.place.target, trial.place.partitions)


def clear(place: Place, existing: Topics) -> None:
    """Remove what a run left: its topics, those that the subject made for itself, and its files."""
    existing.remove([name for name in existing.names() if place.group in name])
    shutil.rmtree(place.directory, ignore_errors=True)


def start_hosts(trial: Trial) -> list[Host]:
    """Start the worker or workers of a subject."""
    subject, place = trial.subject, trial.place
    hosts = []
    for number in range(subject.workers):
        said = place.directory.parent / f"{place.group}-{number}.log"
        hosts.append(start(subject.arguments(place, trial.job.name), subject.variables(place), said))
    return hosts


def run(trial: Trial, log: Log, progress: Progress) -> Ran:
    """Run a subject over a log and return what was measured."""
    place = trial.place
    existing = Topics(place.bootstrap_servers)
    prepare(trial, existing)
    observer = Observer(place.bootstrap_servers, trial.subject.targets(place), place.partitions)
    hosts = start_hosts(trial)
    try:
        with closing(observer):
            return _watch(observer, hosts, trial, log, progress)
    finally:
        for host in hosts:
            host.stop()
        clear(place, existing)


def _watch(observer: Observer, hosts: Sequence[Host], trial: Trial, log: Log, progress: Progress) -> Ran:
    arrivals: list[float] = []
    wanted = round(len(log.markers) * trial.subject.share)
    cpu_began = 0.0
    deadline = time.monotonic() + FIRST_SECONDS_MAX
    while len(arrivals) < wanted:
        fresh = [patient for patient in observer.look() if is_marker(patient)]
        now = time.monotonic()
        if fresh:
            if not arrivals:
                cpu_began = sum(host.cpu_seconds() for host in hosts)
            arrivals += [observer.seen.first[patient] for patient in fresh]
            deadline = now + STILL_SECONDS_MAX
            progress.show(
                f"{trial.title}: {len(arrivals) / wanted:.0%} of {log.events * trial.subject.share:,.0f} events"
            )
        elif now > deadline:
            msg = f"{trial.title}: nothing new for long, {len(arrivals)} of {wanted} markers were told"
            raise EnvironmentBroken(msg)
        for host in hosts:
            host.require_alive()
    cpu_seconds = sum(host.cpu_seconds() for host in hosts) - cpu_began
    memory_mib = sum(host.memory_mib_max() for host in hosts)
    _settle(observer)
    values = observer.seen.values
    return Ran(
        subject=trial.subject.name,
        job=trial.job.name,
        repeat=trial.repeat,
        events=round(log.events * trial.subject.share),
        seconds=arrivals[-1] - arrivals[0],
        seconds_second_half=arrivals[-1] - arrivals[len(arrivals) // 2],
        cpu_seconds=cpu_seconds,
        memory_mib_max=memory_mib,
        outputs=len(values),
        told=told_digest(trial.job, values) if trial.subject.share == 1.0 else "",
        commit_ms=(arrivals[-1] - arrivals[0]) * 1_000 / commits if (commits := observer.commits()) else None,
    )


def _settle(observer: Observer) -> None:
    """Read on for a moment: what the last transaction told is visible with it; a doubled output would come after."""
    settled = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < settled:
        observer.look()
