"""Who is compared: how each subject is started, and where it tells what it tells."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.live.jobs import Job
from benchmarks.live.processes import ROOT
from pv_stream.settings import Settings
from pv_stream.stream.topics import Topic, topic_name

PEERS_PYTHON: Final = ROOT / ".venv" / "bench" / "bin" / "python"
JAVA_JAR: Final = Path(__file__).parent / "java" / "target" / "live-hosts.jar"
JAVA_OPTIONS: Final = ("-Xms256m", "-Xmx2g", "-XX:+UseG1GC")
#: Flink asks Java to open these to it; its own start script does the same.
FLINK_OPENS: Final = ("java.util", "java.lang", "java.util.concurrent", "java.net", "java.time")
#: What our worker writes, next to the input log.
OUTPUTS: Final = (Topic.ALERTS, Topic.CASES, Topic.RECURRENCES)
#: Longer than any run: a clock record would be one more event for those who read the log after us.
CLOCK_SECONDS: Final = "1e12"


@dataclass(frozen=True, slots=True)
class Place:
    """Hold where one run of a subject works: on its own, but for the input log."""

    bootstrap_servers: str
    prefix: str
    group: str
    target: str
    directory: Path
    partitions: int
    commit_seconds: float

    @property
    def settings(self) -> Settings:
        """Return the settings of our worker."""
        return Settings(
            bootstrap_servers=self.bootstrap_servers, topic_prefix=self.prefix, partitions=self.partitions
        )

    @property
    def source(self) -> str:
        """Return the input topic."""
        return topic_name(Topic.EVENTS, self.settings)

    @property
    def ours(self) -> tuple[str, ...]:
        """Return the topics of our worker but for the input."""
        return tuple(topic_name(topic, self.settings) for topic in Topic if topic is not Topic.EVENTS)


@dataclass(frozen=True, slots=True)
class Subject:
    """Say what a subject is, and how a host of it is started."""

    name: str
    jobs: frozenset[str]
    promises: str
    command: Sequence[str]
    java: bool = False
    is_ours: bool = False
    workers: int = 1
    #: How much of the log it reads: a slow subject would take an hour for all of it.
    share: float = 1.0
    environment: Mapping[str, str] = field(default_factory=dict)

    def arguments(self, place: Place, job: str) -> list[str]:
        """Return the whole command line."""
        given = {
            "job": job,
            "bootstrap-servers": place.bootstrap_servers,
            "source": place.source,
            "target": place.target,
            "group": place.group,
            "state-dir": str(place.directory),
            "commit-seconds": str(place.commit_seconds),
        }
        return [*self.command, *(part for name, value in given.items() for part in (f"--{name}", value))]

    def missing(self) -> Path | None:
        """Return what `make bench` sets up for this subject, when it is not there."""
        needed = JAVA_JAR if self.java else Path(self.command[0])
        return None if needed.exists() else needed

    def variables(self, place: Place) -> dict[str, str]:
        """Return what is added to the environment."""
        if not self.is_ours:
            return dict(self.environment)
        return {
            "PV_STREAM_BOOTSTRAP_SERVERS": place.bootstrap_servers,
            "PV_STREAM_TOPIC_PREFIX": place.prefix,
            "PV_STREAM_GROUP_ID": place.group,
            "PV_STREAM_STATE_DIR": str(place.directory),
            "PV_STREAM_PARTITIONS": str(place.partitions),
            "PV_STREAM_CLOCK_INTERVAL_SECONDS": CLOCK_SECONDS,
            **self.environment,
        }

    def targets(self, place: Place) -> tuple[str, ...]:
        """Return the topics in which it tells."""
        if self.is_ours:
            return tuple(topic_name(topic, place.settings) for topic in OUTPUTS)
        return (place.target,)


@dataclass(frozen=True, slots=True)
class Trial:
    """Hold one run: who does which job where, in which round."""

    subject: Subject
    job: Job
    place: Place
    repeat: int

    @property
    def title(self) -> str:
        """Return how the run is called on a terminal."""
        return f"{self.job.name:6} {self.subject.name:12} round {self.repeat}"


def _java(main: str, *opens: str) -> tuple[str, ...]:
    options = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in opens]
    jars = f"{JAVA_JAR}:{JAVA_JAR.parent / 'lib'}/*"
    return ("java", *JAVA_OPTIONS, *options, "-cp", jars, main)


_BOTH: Final = frozenset({"small", "engine"})
_SMALL: Final = frozenset({"small"})
_HOSTS: Final = "benchmarks.live.hosts"

SUBJECTS: Final = {
    subject.name: subject
    for subject in (
        Subject("raw", _BOTH, "nothing lasts", (sys.executable, "-m", f"{_HOSTS}.raw")),
        Subject(
            "raw-pydantic",
            _SMALL,
            "nothing lasts; decodes as our package does",
            (sys.executable, "-m", f"{_HOSTS}.raw", "--pydantic"),
        ),
        Subject("ours", _BOTH, "exactly once", (sys.executable, "-m", f"{_HOSTS}.ours"), is_ours=True),
        Subject(
            "ours-2",
            _BOTH,
            "exactly once, two workers",
            (sys.executable, "-m", f"{_HOSTS}.ours"),
            is_ours=True,
            workers=2,
        ),
        Subject("streams", _SMALL, "exactly_once_v2", _java("org.pvstream.live.StreamsHost"), java=True),
        Subject(
            "flink",
            _SMALL,
            "exactly once, states on the heap",
            _java("org.pvstream.live.FlinkHost", *FLINK_OPENS),
            java=True,
        ),
        Subject("quix", _BOTH, "exactly once", (str(PEERS_PYTHON), "-m", f"{_HOSTS}.quix")),
        Subject(
            "faust",
            _BOTH,
            "at least once, a table; the first tenth of the log",
            (sys.executable, "-m", f"{_HOSTS}.faust_table"),
            share=0.1,
        ),
    )
}
