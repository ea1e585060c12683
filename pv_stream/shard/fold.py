"""The fold of one shard: what the live worker and a replay both run, so that both give the same bytes (law 2).

`process` takes a run of raw records and computes on an overlay; `commit` makes the overlay the memory. A live
worker commits after its transaction, a replay at once. Outputs are computed record by record, so they do not depend
on how records are grouped. A record that cannot be used becomes a dead letter in its place, and the fold goes on.
Deliberately unknown here: Kafka, files, clocks, and who asks.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from pv_stream.codec.canonical import canonical_json
from pv_stream.codec.events import Rejection, decode_event, encode_event
from pv_stream.codec.state import state_bytes
from pv_stream.domain.codes import DeadLetterCode
from pv_stream.domain.events import (
    AlertActed,
    ClockTicked,
    FactArrived,
    IdentityEvent,
    RulebookActivated,
    Transferred,
)
from pv_stream.domain.ids import PatientId, shard_of
from pv_stream.domain.outputs import (
    SCHEMA_VERSION,
    Alert,
    AlertAction,
    Case,
    DeadLetter,
    Output,
    Recurrence,
)
from pv_stream.domain.published import PatientState
from pv_stream.domain.times import Instant
from pv_stream.engine.activation import is_outdated, reassess
from pv_stream.engine.advance import fire_due, mark_incomplete
from pv_stream.rules import reasons
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.crossing import chunks_of
from pv_stream.shard.due import DueHeap
from pv_stream.shard.limits import DEFAULT_LIMITS, Limits
from pv_stream.shard.memory import PatientMemory
from pv_stream.shard.overlay import Overlay
from pv_stream.shard.room import Room
from pv_stream.shard.rules_in_force import RULEBOOK_KEY, RuleShelf, rulebook_record, waiting_patients
from pv_stream.shard.segments import StateRecord, StateSegments
from pv_stream.shard.slices import SLICE_KEY, Slice
from pv_stream.shard.standing import StandingCount
from pv_stream.shard.steps import PatientEvent, step
from pv_stream.shard.written import WrittenPatients

#: The key of the state record that holds the shard's clock; no patient id can look like it.
CLOCK_KEY: Final = b"@clock"


class OutputStream(StrEnum):
    """Name the streams that outputs go to."""

    ALERTS = "alerts"
    RECURRENCES = "recurrences"
    CASES = "cases"
    ACTIONS = "actions"
    DEAD_LETTERS = "dead_letters"
    EVENTS = "events"  # what goes back to the input log, to the shard of its key


class RawRecord(NamedTuple):
    """Hold one record of the input log as bytes; a tuple, because there is one for each record that is read."""

    position: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class OutRecord:
    """Hold one record to write; `ordinal` counts the outputs of the input record at `position`."""

    stream: OutputStream
    key: bytes
    value: bytes
    position: int
    ordinal: int


_Told = Output | IdentityEvent
_BRINGS_FACTS: Final = (FactArrived, AlertActed, Transferred)


@dataclass(frozen=True, slots=True)
class Run:
    """Hold the outcome of a run of records: what to write, and the memory that follows once it is written.

    A state without a value takes its key away. `left` are the records that a limit left for the next run, the first
    of them perhaps told in part.
    """

    outputs: tuple[OutRecord, ...]
    states: tuple[StateRecord, ...]
    overlay: Overlay
    left: tuple[RawRecord, ...] = ()


def clock_record(instant_us: int) -> tuple[bytes | None, bytes]:
    """Return key and value of the record by which a shard's owner writes the time into the log."""
    return None, encode_event(ClockTicked(Instant(instant_us)))


class ShardFold:
    """Fold the records of one shard into outputs and patient states."""

    def __init__(  # noqa: PLR0913 - one keyword for each choice
        self,
        *,
        shard: int,
        shard_count: int,
        rulebook: Rulebook,
        carried: Mapping[str, Rulebook] = MappingProxyType({}),
        what_if: bool = False,
        originate: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        encode_states: bool = True,
    ) -> None:
        """Begin with no patients and no clock, under a rulebook.

        `carried` are the others that the log may activate, by digest; `what_if` passes over its activations.
        `originate` makes the transfers of merged patients take effect at once, for the only shard of a log that
        does not hold them. Without `encode_states` runs hold no states: `final_states` is there at the end.
        """
        if originate and shard_count != 1:
            msg = "only the one shard of a log can make its transfers itself"
            raise ValueError(msg)
        self._originate, self._encodes_states = originate, encode_states
        self._shard, self._shard_count = shard, shard_count
        self._rules, self._limits = RuleShelf(rulebook, carried, what_if), limits
        self._in_force, self._passed = rulebook, 0
        self._recorded: Rulebook | None = None
        self._waiting: tuple[PatientId, ...] | None = ()
        self._used: tuple[Rulebook, ...] = ()
        self._clock: Instant | None = None
        self._states = PatientMemory(limits.patients_unpacked)
        self._sizes: dict[PatientId, int] = {}
        self._written = WrittenPatients(limits.patients_remembered)
        self._segments = StateSegments(limits.segment_bytes_max)
        self._room = Room(limits, self._written, encodes_states=encode_states)
        self._due = DueHeap()
        self._slice: Slice | None = None
        self._open: Overlay | None = None
        self.standing: Final = StandingCount()

    @property
    def patients(self) -> int:
        """Return how many patients the shard holds."""
        return len(self._states)

    @property
    def clock(self) -> Instant | None:
        """Return the shard's clock, or None before the first clock record."""
        return self._clock

    @property
    def rulebook(self) -> Rulebook:
        """Return the rulebook in force."""
        return self._in_force

    @property
    def rulebooks_used(self) -> tuple[Rulebook, ...]:
        """Return the rulebooks under which this fold read a record, in order."""
        return self._used

    def restore(self, key: bytes, value: bytes) -> None:
        """Take one state record that was written by an owner of the shard: of each key the newest, also once more.

        The records of one patient may come in any order; `settle` says whether all came. Raises ActivationRefused when
        that owner read the shard under a rulebook that is not carried here.
        """
        self._waiting = None
        if key == CLOCK_KEY:
            self._clock = Instant(int(value))
        elif key == SLICE_KEY:
            self._slice = Slice.from_bytes(value)
        elif key == RULEBOOK_KEY:
            self._in_force = self._recorded = self._rules.restored(value)
        elif (whole := self._segments.restore(key, value, self.state_of)) is not None:
            patient_id, record = whole
            known_due = self._states.due_of(patient_id)
            said = self._states.restore(patient_id, record)
            self._sizes.pop(patient_id, None)
            self.standing.put_restored(patient_id, said, record)
            if said.due is not None and said.due != known_due:
                self._due.add(said.due, patient_id)

    def settle(self) -> None:
        """See that every patient was restored whole. Raises EnvironmentBroken when one was not."""
        self._segments.settle(self._shard)

    def state_of(self, patient_id: PatientId) -> PatientState:
        """Return the committed state of a patient, empty for one never seen."""
        return self._states.of(patient_id)

    def process(self, records: Sequence[RawRecord]) -> Run:
        """Compute what follows from records, in order, without changing the memory.

        Raises ActivationRefused at a record that asks for a rulebook or an engine that is not here, and as `settle`.
        """
        self._discard()
        if self._waiting is None:
            self.settle()
            self._waiting, self._passed = waiting_patients(self._states.outlines({}), self._in_force), 0
        overlay = Overlay(
            self._clock, self._in_force, self._recorded, self._waiting, self._passed, self._used
        )
        overlay.slice = self._slice
        self._open = overlay
        outputs: list[OutRecord] = []
        done = 0
        for record in records:
            outputs.extend(self._told(record, overlay))
            if not overlay.used or overlay.used[-1] is not overlay.rulebook:
                overlay.used = (*overlay.used, overlay.rulebook)
            if overlay.cut:
                break
            done += 1
            if self._is_enough(overlay):
                break
        return Run(tuple(outputs), self._changed(overlay), overlay, tuple(records[done:]))

    def _changed(self, overlay: Overlay) -> tuple[StateRecord, ...]:
        """Return the state records of what a run changed."""
        states: list[StateRecord] = []
        for patient_id, state in overlay.states.items() if self._encodes_states else ():
            records, overlay.segments[patient_id] = self._segments.changed(
                patient_id, state, self._written.of(patient_id)
            )
            states += records
        if overlay.clock is not None and overlay.clock != self._clock:
            states.append((CLOCK_KEY, str(overlay.clock).encode()))
        if overlay.rulebook is not overlay.recorded and (states or overlay.states or overlay.activated):
            overlay.recorded = overlay.rulebook
            states.append((RULEBOOK_KEY, rulebook_record(overlay.rulebook)))
        if overlay.slice is not None and overlay.slice is not self._slice:
            states.append((SLICE_KEY, overlay.slice.to_bytes()))
        return tuple(states)

    def final_states(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and value of every state record as the runs so far leave it, patients in order."""
        for patient_id, record in self._states.records():
            yield from self._segments.records_of(patient_id, record)
        if self._clock is not None:
            yield CLOCK_KEY, str(self._clock).encode()
        if self._recorded is not None:
            yield RULEBOOK_KEY, rulebook_record(self._recorded)

    def commit(self, run: Run) -> None:
        """Make a run's outcome the memory; only after its records are written for good."""
        if run.overlay is not self._open:
            msg = "only the latest run of a shard can be committed"
            raise ValueError(msg)
        self._open = None
        self._clock = run.overlay.clock
        self._in_force, self._recorded = run.overlay.rulebook, run.overlay.recorded
        self._waiting, self._passed = run.overlay.waiting, run.overlay.passed
        self._used = run.overlay.used
        self._states.update(run.overlay.states)
        self._segments.put(run.overlay.segments)
        self.standing.put(run.overlay.states.items())
        self._sizes.update(run.overlay.sizes)
        self._slice = run.overlay.slice
        self._due.commit(run.overlay.due)

    def _is_enough(self, overlay: Overlay) -> bool:
        return self._limits.are_reached(
            fired=overlay.fired, bytes_to_write=overlay.bytes_to_write, facts=overlay.facts
        )

    def _discard(self) -> None:
        if self._open is not None:
            self._due.discard(self._open.due)
            self._open = None

    def _told(self, record: RawRecord, overlay: Overlay) -> Sequence[OutRecord]:
        """Return what a record tells; where transfers are made here, with all that follows from them at once."""
        outputs: list[OutRecord] = []
        following = deque([record])
        before = overlay.told_of(record.position)
        while following:
            now = following.popleft()
            for told in (*self._record(now, overlay), *self._reassess_some(now, overlay)):
                for part in chunks_of(told, record_bytes_max=self._limits.record_bytes_max):
                    outputs.append(_encode(part, record.position, before + len(outputs)))
                    overlay.bytes_to_write += len(outputs[-1].value)
                    if self._originate and outputs[-1].stream is OutputStream.EVENTS:
                        following.append(RawRecord(record.position, outputs[-1].key, outputs[-1].value))
        if overlay.cut and overlay.slice is not None:
            overlay.slice = replace(overlay.slice, told=before + len(outputs))
        return outputs

    # One record ------------------------------------------------------------------------------------------------

    def _record(self, record: RawRecord, overlay: Overlay) -> Sequence[_Told]:
        event = decode_event(record.value, record_bytes_max=self._limits.record_bytes_max)
        if isinstance(event, Rejection):
            return (_dead_letter(record, event.code, None),)
        if isinstance(event, ClockTicked):
            return self._tick(record, event, overlay)
        if isinstance(event, RulebookActivated):
            return self._activate(event, overlay)
        if not self._belongs_here(record, event):
            return (_dead_letter(record, DeadLetterCode.MISROUTED, event.patient_id),)
        renewed = self._renew(record, event.patient_id, overlay.clock, overlay)
        return (*renewed, *self._take(record, event, overlay))

    def _belongs_here(self, record: RawRecord, event: PatientEvent) -> bool:
        keyed = record.key == event.patient_id.encode()
        return keyed and shard_of(event.patient_id, self._shard_count) == self._shard

    def _take(self, record: RawRecord, event: PatientEvent, overlay: Overlay) -> Sequence[_Told]:
        """Let an event meet the patient that it is about; what is refused, or is too much, becomes a dead letter."""
        patient_id = event.patient_id
        state = self._state(patient_id, overlay)
        try:
            met = step(state, event, shard_clock=overlay.clock, rulebook=overlay.rulebook)
        except Exception:  # noqa: BLE001 - law 7: the pure core failed on one record; the others go on
            return self._incomplete(
                record, patient_id, event.received_at, DeadLetterCode.ENGINE_FAILED, overlay
            )
        refused = () if met.refused is None else (_dead_letter(record, met.refused, patient_id),)
        told = (*refused, *met.outputs, *met.events)
        if met.state is state:
            return told
        known = overlay.sizes.get(patient_id) or self._sizes.get(patient_id)
        size = self._room.size_after(event, len(record.value or b""), state, met.state, known)
        # What brings no facts may use half of the reserve: a full patient can still be merged.
        brings_facts = isinstance(event, _BRINGS_FACTS)
        reserved = self._limits.state_bytes_reserved // (1 if brings_facts else 2)
        if not self._room.fits(patient_id, state, met.state, size, reserved=reserved, event=event):
            self._written.forget(patient_id)
            return self._incomplete(
                record, patient_id, event.received_at, DeadLetterCode.PATIENT_STATE_FULL, overlay
            )
        self._keep(patient_id, met.state, size, overlay)
        return told

    def _incomplete(
        self, record: RawRecord, patient_id: PatientId, at: Instant, code: DeadLetterCode, overlay: Overlay
    ) -> Sequence[_Told]:
        """Tell that a record of a patient could not be used, and that what is told of the patient is incomplete."""
        state = self._state(patient_id, overlay)
        instants = [i for i in (overlay.clock, state.clock, at) if i is not None]
        marked, outputs = mark_incomplete(
            patient_id, state, Instant(max(instants)), overlay.rulebook, reasons.NOT_USED[code]
        )
        if marked is not state:
            self._keep(patient_id, marked, state_bytes(marked), overlay)
        return (_dead_letter(record, code, patient_id), *outputs)

    # Another rulebook ------------------------------------------------------------------------------------------

    def _activate(self, event: RulebookActivated, overlay: Overlay) -> Sequence[_Told]:
        """Put a rulebook in force. Who is assessed again under it, and when, is `_reassess_some`."""
        rulebook, overlay.activated = self._rules.activated(event, overlay.rulebook), True
        if rulebook.digest != overlay.rulebook.digest:
            overlay.rulebook = rulebook
            outlines = self._states.outlines(overlay.states)
            overlay.waiting, overlay.passed = waiting_patients(outlines, rulebook), 0
        return ()

    def _reassess_some(self, record: RawRecord, overlay: Overlay) -> Sequence[_Told]:
        """Assess so many of the waiting patients again: a record decodes and assesses no more than that (law 8)."""
        if overlay.cut or overlay.passed == len(overlay.waiting):  # not at the record's end, or nobody waits
            return ()
        limits = self._limits
        left = limits.reassessed_per_control_record if record.key is None else limits.reassessed_per_record
        outputs: list[_Told] = []
        while left and overlay.passed < len(overlay.waiting):
            patient_id = overlay.waiting[overlay.passed]
            overlay.passed += 1
            if is_outdated(self._state(patient_id, overlay), overlay.rulebook):
                outputs.extend(self._renew(record, patient_id, overlay.clock, overlay))
                left, overlay.fired = left - 1, overlay.fired + 1
        return outputs

    def _renew(
        self, record: RawRecord, patient_id: PatientId, at: Instant | None, overlay: Overlay
    ) -> Sequence[_Told]:
        """Assess a patient under the rulebook in force, unless that was done."""
        state = self._state(patient_id, overlay)
        if not is_outdated(state, overlay.rulebook):
            return ()
        as_of = Instant(max(instant for instant in (at, state.clock, Instant(0)) if instant is not None))
        code = DeadLetterCode.PATIENT_STATE_FULL
        try:
            renewed, outputs = reassess(patient_id, state, as_of=as_of, rulebook=overlay.rulebook)
            size = state_bytes(renewed)
            reserved = self._limits.state_bytes_reserved
            if self._room.fits(patient_id, state, renewed, size, reserved=reserved):
                self._keep(patient_id, renewed, size, overlay)
                return outputs
        except Exception:  # noqa: BLE001 - law 7: one patient's failure must not stop the shard
            code = DeadLetterCode.ENGINE_FAILED
        # What fails once is not tried again at every record.
        self._keep(patient_id, replace(state, rulebook=overlay.rulebook.digest), state_bytes(state), overlay)
        return self._incomplete(record, patient_id, as_of, code, overlay)

    def _tick(self, record: RawRecord, event: ClockTicked, overlay: Overlay) -> Sequence[_Told]:
        """Move the clock forward, never back, and fire what is due, in order of instant and patient.

        Where a limit is reached before all have fired, the clock stays where it was and the run is cut.
        """
        before = overlay.clock
        if before is not None and event.instant <= before:
            return ()
        overlay.clock = event.instant
        outputs: list[_Told] = []
        while (patient_id := self._take_due(event.instant, overlay)) is not None:
            outputs.extend(self._fire(record, patient_id, event.instant, overlay))
            overlay.fired += 1
            if self._is_enough(overlay):
                overlay.clock, overlay.cut = before, True
                overlay.slice = Slice(record.position, event.instant, 0)
                break
        return outputs

    def _fire(
        self, record: RawRecord, patient_id: PatientId, now: Instant, overlay: Overlay
    ) -> Sequence[_Told]:
        state = self._state(patient_id, overlay)
        if is_outdated(state, overlay.rulebook):
            renewed = self._renew(record, patient_id, state.due, overlay)
            if self._state(patient_id, overlay).due != state.due:
                return renewed  # due at another instant: it comes up in its order
            return (*renewed, *self._fire(record, patient_id, now, overlay))
        try:
            fired, outputs = fire_due(patient_id, state, now, overlay.rulebook)
        except Exception:  # noqa: BLE001 - law 7: one patient's failure must not stop the shard's clock
            # What cannot fire is not due any more, or every later clock record would fail on it again.
            self._keep(patient_id, replace(state, due=None), state_bytes(state), overlay)
            return self._incomplete(record, patient_id, now, DeadLetterCode.ENGINE_FAILED, overlay)
        self._keep(patient_id, fired, state_bytes(fired), overlay)
        return outputs

    def _take_due(self, now: Instant, overlay: Overlay) -> PatientId | None:
        return self._due.take(now, overlay.due, lambda patient_id: self._due_of(patient_id, overlay))

    # Memory ----------------------------------------------------------------------------------------------------

    def _state(self, patient_id: PatientId, overlay: Overlay) -> PatientState:
        return overlay.states.get(patient_id) or self.state_of(patient_id)

    def _due_of(self, patient_id: PatientId, overlay: Overlay) -> Instant | None:
        changed = overlay.states.get(patient_id)
        return self._states.due_of(patient_id) if changed is None else changed.due

    def _keep(self, patient_id: PatientId, state: PatientState, size: int, overlay: Overlay) -> None:
        if state.due is not None and state.due != self._due_of(patient_id, overlay):
            overlay.due.add(state.due, patient_id)
        overlay.bytes_to_write += size - overlay.sizes.get(patient_id, 0)
        overlay.facts += len(state.facts)
        overlay.states[patient_id] = state
        overlay.sizes[patient_id] = size


def _dead_letter(record: RawRecord, code: DeadLetterCode, patient_id: PatientId | None) -> DeadLetter:
    value = record.value or b""
    return DeadLetter(
        schema_version=SCHEMA_VERSION,
        code=code,
        value_digest=f"sha256:{hashlib.sha256(value).hexdigest()}",
        value_bytes=len(value),
        patient_id=patient_id,
    )


def _encode(output: _Told, position: int, ordinal: int) -> OutRecord:
    if not isinstance(output, Alert | Recurrence | Case | AlertAction | DeadLetter):
        key, value = output.patient_id.encode(), encode_event(output)
        return OutRecord(OutputStream.EVENTS, key, value, position, ordinal)
    stream, key_text = _address(output)
    return OutRecord(stream, key_text.encode(), canonical_json(output), position, ordinal)


def _address(output: Output) -> tuple[OutputStream, str]:
    match output:
        case Alert():
            return OutputStream.ALERTS, output.alert_id
        case Recurrence():
            return OutputStream.RECURRENCES, output.recurrence_id
        case Case():
            return OutputStream.CASES, f"{output.patient_id}|{output.episode_id}"
        case AlertAction():
            return OutputStream.ACTIONS, output.alert_id
        case DeadLetter():
            return OutputStream.DEAD_LETTERS, output.value_digest
