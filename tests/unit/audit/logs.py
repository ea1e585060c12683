"""Logs for the tests of audit: a small story, as lines of events, written as the tools write them."""

import json
from collections.abc import Iterable
from pathlib import Path

from pv_stream.audit.demo import founding_case
from pv_stream.audit.log import open_log
from pv_stream.audit.replay import ReplayPlan
from pv_stream.audit.scenario_events import records_of
from pv_stream.domain.ids import PatientId
from pv_stream.rulebooks import load_default

RULEBOOK = load_default()
PATIENT = PatientId("patient-imatinib")


def imatinib_lines(patient_id: PatientId = PATIENT) -> list[bytes]:
    """Return the published imatinib case as lines of canonical events."""
    story = founding_case()
    return [record.value for record in records_of(story.scenario, story.case, patient_id)]


def write_lines(path: Path, lines: Iterable[bytes]) -> Path:
    """Write a log of events."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def envelope(shard: int, position: int, value: bytes | None, key: str | None = PATIENT) -> bytes:
    """Return a line of an archive."""
    text = None if value is None else value.decode()
    return json.dumps({"shard": shard, "position": position, "key": key, "value": text}).encode()


def header(partitions: int) -> bytes:
    """Return the first line of an archive."""
    return json.dumps({"archive": 1, "topic": "pv.clinical.events.v1", "partitions": partitions}).encode()


def plan_of(path: Path, **options: object) -> ReplayPlan:
    """Return the plan of a replay of a log under the shipped rulebook."""
    return ReplayPlan(open_log(path), RULEBOOK, **options)  # type: ignore[arg-type]


def values(path: Path) -> list[dict[str, object]]:
    """Return the values of a file of outputs."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]
