"""Verifying: all streams of a log compared, what differs explained as far as it can be, and the first of what is not.

Both sides are compared up to where both have come: the worker to the checkpoint that stands in the archive of its
states, the replay to the end of what it read.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from pv_stream.audit.archive.folder import ShardReader
from pv_stream.audit.archive.segments import ArchivedRecord
from pv_stream.audit.clock import ClockMode
from pv_stream.audit.log import input_digest
from pv_stream.audit.verify.classes import Classifier, Difference, Finding, Versions, versions_of
from pv_stream.audit.verify.comparing import SEQUENCES, STATES, Compared, Comparison
from pv_stream.audit.verify.places import fields_of
from pv_stream.audit.verify.recorded import TOPIC_OF, Recorded
from pv_stream.audit.verify.replayed import Replayed
from pv_stream.codec.events import Rejection, decode_event
from pv_stream.domain.codes import DeadLetterCode
from pv_stream.errors import DataError
from pv_stream.shard.fold import OutputStream
from pv_stream.shard.rules_in_force import RULEBOOK_KEY

#: How many differences of each class are kept to be named; all are counted.
NAMED_MAX: Final = 50
_EVENT_FIELDS: Final = ("type", "patient_id", "fact_key", "status", "effective", "received_at", "source")


@dataclass(frozen=True, slots=True)
class Cause:
    """Hold the input record that a difference came from: where it stands, and what it says of itself."""

    shard: int
    position: int
    timestamp_ms: int
    event: dict[str, Any]


@dataclass(slots=True)
class Verification:
    """Hold what came out: the counts of each stream, the differences that are named, and what was left out."""

    compared: list[Compared] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    first: Finding | None = None
    cause: Cause | None = None

    @property
    def unexplained(self) -> int:
        """Return how many differences nothing explains."""
        return sum(each.differences[Difference.UNEXPLAINED] for each in self.compared)

    def note(self, finding: Finding) -> None:
        """Keep a difference to be named, and the first of those that nothing explains."""
        if sum(each.difference is finding.difference for each in self.findings) < NAMED_MAX:
            self.findings.append(finding)
        if finding.difference is Difference.UNEXPLAINED and (
            self.first is None or _order(finding) < _order(self.first)
        ):
            self.first = finding


def verify(recorded: Recorded, replayed: Replayed) -> Verification:
    """Compare what was recorded with what was replayed. Raises DataError when a side is damaged, or of another log."""
    if recorded.shard_count != replayed.shard_count:
        message = (
            f"{replayed.folder} is a replay of {replayed.shard_count} shards, and {recorded.shard_count} were "
            "recorded: they are not of one log"
        )
        raise DataError(message)
    checked = _Checked.of(recorded, replayed)
    found = checked.compare(Classifier(replayed.manifest, checked.standing))
    if found.unexplained and recorded.events is not None:
        patients, places = _erased(recorded)
        if places:
            found = checked.compare(
                Classifier(replayed.manifest, checked.standing, erased=patients, erased_places=places)
            )
    if found.first is not None and found.first.place is not None:
        found.cause = _cause(recorded, found.first.place.shard, found.first.place.position)
    return found


@dataclass(frozen=True, slots=True)
class _Checked:
    """Hold both sides, and how far each has come."""

    recorded: Recorded
    replayed: Replayed
    standing: dict[int, Versions]
    limits: dict[int, int]
    with_states: frozenset[int]
    notes: list[str]

    @classmethod
    def of(cls, recorded: Recorded, replayed: Replayed) -> "_Checked":
        standing, limits, notes = {}, {}, []
        with_states = set()
        for shard in range(recorded.shard_count):
            states, checkpoint = recorded.final_states(shard)
            standing[shard] = versions_of(states.get(RULEBOOK_KEY.decode()))
            replayed_to = replayed.last_position(shard) + 1
            limits[shard] = replayed_to if recorded.states is None else min(checkpoint or 0, replayed_to)
            last = recorded.last_event(shard)
            if recorded.states is not None and (checkpoint or 0) < replayed_to:
                notes.append(
                    f"shard {shard}: the worker had come to position {checkpoint or 0}, the replay to {replayed_to}; "
                    "its states are not compared"
                )
            elif last is not None and last >= replayed_to and (checkpoint or 0) > last:
                notes.append(
                    f"shard {shard}: the replay ended at position {replayed_to}, before the archive: replay it again"
                )
            else:
                with_states.add(shard)
        return cls(recorded, replayed, standing, limits, frozenset(with_states), notes)

    def compare(self, classifier: Classifier) -> Verification:
        found = Verification(notes=[*self.notes, *self._left_out()])
        comparison = Comparison(self.recorded, self.replayed, self.limits, classifier, found.note)
        for stream in (*SEQUENCES, OutputStream.CASES):
            if stream in self.recorded.outputs:
                is_sequence = stream in SEQUENCES
                found.compared.append(
                    comparison.sequence(stream) if is_sequence else comparison.final_cases()
                )
        if self.recorded.states is not None and self.replayed.has_states:
            found.compared.append(comparison.final_states(self.with_states))
        beyond = sum(each.beyond for each in found.compared)
        if beyond and not any(each.recorded or each.replayed for each in found.compared):
            found.notes.insert(
                0, f"NOTHING WAS COMPARED: {beyond:,} lie beyond what one of the sides has come to"
            )
        return found

    def _left_out(self) -> list[str]:
        notes = [
            f"{stream} are not compared: {name} is not in the archive"
            for stream, name in TOPIC_OF.items()
            if stream not in self.recorded.outputs
        ]
        if self.recorded.states is None:
            notes.append(f"{STATES} are not compared: they are not in the archive")
        elif not self.replayed.has_states:
            notes.append(f"{STATES} are not compared: replay with --states")
        events = self.recorded.events
        if events is not None and input_digest((events,)) != self.replayed.manifest["input"]["digest"]:
            notes.append("the replay did not read the input log of this archive: their digests differ")
        if self.replayed.manifest["clock"]["mode"] != ClockMode.LOG:
            notes.append("the replay did not have the log's clock: what falls due differs")
        if self.replayed.manifest["what_if"]:
            notes.append("the replay is a WHAT IF: not under the rulebook of the log")
        return notes


def _order(finding: Finding) -> tuple[bool, int, int, int, str]:
    if finding.place is None:
        return True, finding.shard, 0, 0, finding.key
    return False, finding.shard, finding.place.position, finding.place.ordinal, finding.key


def _erased(recorded: Recorded) -> tuple[frozenset[str], frozenset[tuple[int, int]]]:
    """Return the patients, and the places, of input records whose value is gone and was there live."""
    assert recorded.events is not None
    patients: set[str] = set()
    places: set[tuple[int, int]] = set()
    for shard in range(recorded.shard_count):
        was_empty = _empty_live(recorded, shard)
        for record in ShardReader((recorded.events,), shard):
            if record.value is None and record.key is not None and record.position not in was_empty:
                patients.add(record.key.decode(errors="backslashreplace"))
                places.add((shard, record.position))
    return frozenset(patients), frozenset(places)


def _empty_live(recorded: Recorded, shard: int) -> set[int]:
    """Return the positions of records that had no value already when the worker read them."""
    if OutputStream.DEAD_LETTERS not in recorded.outputs:
        return set()
    return {
        told.place.position
        for told in recorded.told(OutputStream.DEAD_LETTERS, shard)
        if told.place is not None and fields_of(told.value).get("code") == DeadLetterCode.EMPTY
    }


def _cause(recorded: Recorded, shard: int, position: int) -> Cause | None:
    record = recorded.event_at(shard, position)
    return None if record is None else Cause(shard, position, record.timestamp_ms, _said(record))


def _said(record: ArchivedRecord) -> dict[str, Any]:
    """Return what an input record says of itself; of one that cannot be read, why."""
    event = decode_event(record.value)
    if isinstance(event, Rejection):
        return {"type": "not an event", "code": event.code.value}
    fields = fields_of(record.value)
    if "instant" in fields:
        return {"type": fields["type"], "instant": fields["instant"]}
    return {name: fields[name] for name in _EVENT_FIELDS if name in fields}
