"""The small job of the live benchmark: parse, validate, keep a state per patient, compare with a threshold.

Every subject does the same: an event that says a patient got imatinib marks the patient; an eosinophil count of
1,500/µL or more of a marked patient is an alert. The state of a patient must be as durable as the subject promises.
It is a benchmark's job, not medicine: the real rules are in `pv_stream.rules`.

The Java hosts do it again in `java/`; that all tell the same is checked by the run itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Annotated, ClassVar, Final, Literal

import msgspec

from pv_stream.shard.fold import OutputStream, OutRecord, RawRecord

THRESHOLD_PER_UL: Final = 1_500
WATCHED: Final = "imatinib"
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)

PatientName = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class Lab(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="lab"):
    """A result, as a number in a known unit."""

    is_drug: ClassVar[Literal[False]] = False

    patient_id: PatientName
    event_id: Annotated[int, msgspec.Meta(ge=0)]
    received_at: datetime
    analyte: Literal["eosinophils", "leukocytes", "alt", "creatinine"]
    value: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    unit: Literal["/uL", "U/L", "umol/L"]


class Drug(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="drug"):
    """A dose that was given."""

    is_drug: ClassVar[Literal[True]] = True

    patient_id: PatientName
    event_id: Annotated[int, msgspec.Meta(ge=0)]
    received_at: datetime
    ingredient: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    dose_mg: Annotated[int, msgspec.Meta(gt=0, le=100_000)]


class State(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a patient."""

    events: int = 0
    watched: bool = False
    highest_per_ul: int = 0
    alerts: int = 0


class Alert(msgspec.Struct, frozen=True, gc=False):
    """What is told."""

    patient_id: str
    event_id: int
    eosinophils_per_ul: int
    alerts: int


Event = Lab | Drug
#: Reads and validates; raises msgspec.MsgspecError on anything else.
decode: Final = msgspec.json.Decoder(Event).decode
decode_state: Final = msgspec.json.Decoder(State).decode
encode: Final = msgspec.json.Encoder().encode
EMPTY: Final = State()


def step(state: State, event: Event) -> tuple[State, Alert | None]:
    """Return the state after an event, and the alert that follows from it."""
    events, watched, highest, alerts = state.events + 1, state.watched, state.highest_per_ul, state.alerts
    alert = None
    if event.is_drug:
        watched = watched or event.ingredient == WATCHED
    elif event.analyte == "eosinophils":
        highest = max(highest, event.value)
        if watched and event.value >= THRESHOLD_PER_UL:
            alerts += 1
            alert = Alert(event.patient_id, event.event_id, event.value, alerts)
    return State(events, watched, highest, alerts), alert


@dataclass(frozen=True, slots=True)
class SmallRun:
    """Hold what one run of records gives, with the states that are not yet memory."""

    outputs: tuple[OutRecord, ...]
    states: tuple[tuple[bytes, bytes], ...]
    changed: dict[bytes, State]
    left: tuple[RawRecord, ...] = ()


class SmallFold:
    """The small job as the live worker runs it (`pv_stream.stream.shard_task.Fold`)."""

    clock: int | None = None  # the job has no use for one

    def __init__(self, _shard: int, _shard_count: int) -> None:
        self.memory: dict[bytes, State] = {}

    @property
    def patients(self) -> int:
        return len(self.memory)

    def restore(self, key: bytes, value: bytes) -> None:
        self.memory[key] = decode_state(value)

    def settle(self) -> None: ...

    def process(self, records: Sequence[RawRecord]) -> SmallRun:
        outputs: list[OutRecord] = []
        changed: dict[bytes, State] = {}
        memory = self.memory
        for record in records:
            key, value = record.key, record.value
            if key is None or value is None:
                continue
            try:
                event = decode(value)
            except msgspec.MsgspecError:
                letter = OutRecord(
                    OutputStream.DEAD_LETTERS, key, b'{"code":"unreadable"}', record.position, 0
                )
                outputs.append(letter)
                continue
            state = changed.get(key) or memory.get(key, EMPTY)
            changed[key], alert = step(state, event)
            if alert is not None:
                outputs.append(OutRecord(OutputStream.ALERTS, key, encode(alert), record.position, 0))
        states = tuple((key, encode(state)) for key, state in changed.items())
        return SmallRun(tuple(outputs), states, changed)

    def commit(self, run: SmallRun) -> None:
        self.memory.update(run.changed)


def events(count: int, *, patients: int, seed: int) -> Iterator[Event]:
    """Yield made-up events: eight results to two doses, a tenth of the patients under imatinib, a few counts high."""
    random = Random(seed)
    for number in range(count):
        # Only random(): it is the same on every Python.
        name = f"patient-{int(random.random() * patients):07d}"
        at = _START + timedelta(milliseconds=number)
        kind, size = random.random(), random.random()
        if kind < 0.2:
            watched = kind < 0.02
            yield Drug(name, number, at, WATCHED if watched else "paracetamol", 400 if watched else 1_000)
        elif kind < 0.5:
            yield Lab(
                name, number, at, "eosinophils", int(size * 500 if size < 0.98 else 2_400 * size), "/uL"
            )
        elif kind < 0.8:
            yield Lab(name, number, at, "leukocytes", 4_000 + int(size * 7_000), "/uL")
        else:
            yield Lab(name, number, at, "alt", int(size * 90), "U/L")
