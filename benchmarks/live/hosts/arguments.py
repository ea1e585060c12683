"""What every host is told on its command line."""

import argparse
from dataclasses import dataclass

from benchmarks.live.jobs import JOBS, Job

COMMIT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Arguments:
    """Hold where a host reads and writes, and which job it does."""

    job: Job
    bootstrap_servers: str
    #: The input topic, and the one topic for everything that is told.
    source: str
    target: str
    group: str
    state_dir: str
    commit_seconds: float
    pydantic: bool


def parse() -> Arguments:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--job", choices=sorted(JOBS), required=True)
    for name in ("bootstrap-servers", "source", "target", "group", "state-dir"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--commit-seconds", type=float, default=COMMIT_SECONDS)
    parser.add_argument("--pydantic", action="store_true", help="small job: decode with pydantic")
    given = vars(parser.parse_args())
    return Arguments(job=JOBS[given.pop("job")], **given)
