"""The two jobs as hosts and harness see them: events in as bytes, states and outputs out as bytes.

A marker is a made-up patient whose second event always tells something: markers lie in every partition at known places
of the log, so that what a reader sees of them says how far a subject is, whatever it is written in.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from benchmarks.live import engine_job, small_job
from pv_stream.codec.state import decode_state, encode_state

MARKER: Final = b"marker-"

#: (state or None, value) -> (state, key and value of each output); the state is the host's to keep.
Step = Callable[[Any, bytes], tuple[Any, Sequence[tuple[bytes, bytes]]]]


@dataclass(frozen=True, slots=True)
class Job:
    """Say what a job is: how its log is made, how a host does it, and what tells an output from another."""

    name: str
    #: (count, patients, seed) -> patient and bytes of each event.
    events: Callable[[int, int, int], Iterator[tuple[str, bytes]]]
    #: (patient, number) -> the two events of a marker.
    marker: Callable[[str, int], Sequence[bytes]]
    make_step: Callable[[], Step]
    load: Callable[[bytes], Any]
    dump: Callable[[Any], bytes]
    #: The value of an output -> what must be equal however a host formats it.
    content: Callable[[bytes], bytes]


def small_step(decode: Callable[[bytes], Any] = small_job.decode) -> Step:
    """Return the small job for a host that keeps the states."""
    step, encode, empty = small_job.step, small_job.encode, small_job.EMPTY

    def hosted(state: Any, value: bytes) -> tuple[Any, Sequence[tuple[bytes, bytes]]]:
        event = decode(value)
        after, alert = step(state or empty, event)
        return after, () if alert is None else ((event.patient_id.encode(), encode(alert)),)

    return hosted


def _small_events(count: int, patients: int, seed: int) -> Iterator[tuple[str, bytes]]:
    for event in small_job.events(count, patients=patients, seed=seed):
        yield event.patient_id, small_job.encode(event)


def _small_marker(patient: str, number: int) -> Sequence[bytes]:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    dose = small_job.Drug(patient, number, at, small_job.WATCHED, 400)
    count = small_job.Lab(patient, number, at, "eosinophils", 1_690, "/uL")
    return small_job.encode(dose), small_job.encode(count)


def _small_content(value: bytes) -> bytes:
    return small_job.encode(msgspec.json.decode(value, type=small_job.Alert))


def _engine_events(count: int, patients: int, seed: int) -> Iterator[tuple[str, bytes]]:
    return engine_job.events(count, patients=patients, seed=seed)


def _engine_marker(patient: str, number: int) -> Sequence[bytes]:
    return tuple(engine_job.opening(patient, number))


SMALL: Final = Job(
    "small",
    _small_events,
    _small_marker,
    small_step,
    small_job.decode_state,
    small_job.encode,
    _small_content,
)
ENGINE: Final = Job(
    "engine", _engine_events, _engine_marker, engine_job.EngineStep, decode_state, encode_state, bytes
)
JOBS: Final = {job.name: job for job in (SMALL, ENGINE)}


def told_digest(job: Job, values: Sequence[bytes]) -> str:
    """Return a digest of outputs that does not depend on their order."""
    total = sum(int.from_bytes(hashlib.sha256(job.content(value)).digest()[:16], "big") for value in values)
    return f"{total % 2**128:032x}"
