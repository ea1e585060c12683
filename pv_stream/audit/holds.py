"""Holds: the values of a log that were read but are not believed, and wait for a person.

Found from the events alone, without assessing anybody: under each key the highest version counts, believed or not
under the rulebook in force. Records of one person that were merged count as one. A decision goes to the patient
record under which the value arrived, whose shard forwards it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pv_stream.audit.log import LogRecord
from pv_stream.audit.merged_records import survivor_of
from pv_stream.codec.events import Rejection, decode_event
from pv_stream.domain.events import Absorbed, Event, FactArrived, RulebookActivated, Separated
from pv_stream.domain.facts import (
    Exposure,
    Fact,
    FactVersion,
    Finding,
    Held,
    Measurement,
    Provenance,
    Report,
    Review,
    Statement,
    VersionOrder,
)
from pv_stream.domain.ids import FactKey, PatientId, derive_id
from pv_stream.domain.times import Instant
from pv_stream.engine.believe import believe
from pv_stream.engine.join import join_fact
from pv_stream.errors import UsageError
from pv_stream.rules.rulebook import Rulebook

#: How many matching holds an error names.
_NAMED_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class OpenHold:
    """Hold one held value that nobody has settled.

    `patient_id` is the record under which it arrived, `current_patient` the one into which that was merged, if any.
    """

    hold_id: str
    patient_id: PatientId
    current_patient: PatientId
    key: FactKey
    order: VersionOrder
    statement: Statement
    provenance: Provenance

    @property
    def held(self) -> Held:
        """Return what is held."""
        assert isinstance(self.statement.content, Held)
        return self.statement.content

    @property
    def subject(self) -> str:
        """Return what the value is about, as far as that was read."""
        held = self.held
        if held.analyte is not None:
            return held.analyte.value
        match held.said:
            case Exposure(ingredients=ingredients):
                return " + ".join(ingredients) or "drug not recognised"
            case Finding(code=code):
                return code.value
            case Report():
                return "adverse event report"
            case Measurement(analyte=analyte):
                return analyte.value
            case None:
                return "not a measured value"


def open_holds(
    records: Iterable[LogRecord], rulebook: Rulebook, carried: Mapping[str, Rulebook]
) -> list[OpenHold]:
    """Return what is held at the end of a log, the longest waiting first.

    The log begins under `rulebook` and may activate those that are `carried`, by digest.
    """
    reading = _Reading(rulebook, carried)
    for record in records:
        event = decode_event(record.record.value)
        if not isinstance(event, Rejection):
            reading.take(record.shard, event)
    return sorted(reading.holds(), key=lambda hold: (hold.provenance.received_at, hold.hold_id))


@dataclass(slots=True)
class _Reading:
    """Hold what stands under each key of each patient record, of which only held statements are kept."""

    rulebook: Rulebook
    carried: Mapping[str, Rulebook]
    in_force: dict[int, Rulebook] = field(default_factory=dict)
    into: dict[PatientId, PatientId] = field(default_factory=dict)
    facts: dict[tuple[PatientId, FactKey], Fact] = field(default_factory=dict)

    def take(self, shard: int, event: Event) -> None:
        match event:
            case RulebookActivated():
                self.in_force[shard] = self.carried.get(event.rulebook_digest, self.rulebook)
            case Absorbed():
                self.into[event.patient_id] = event.survivor
            case Separated():
                self.into.pop(event.prior, None)
            case FactArrived():
                version = believe(event.version, self.in_force.get(shard, self.rulebook))
                place = (event.patient_id, version.key)
                self.facts[place] = _with(self.facts.get(place), version)
            case _:
                pass  # what shards hand to each other arrived before, and nothing else holds a value

    def holds(self) -> Iterator[OpenHold]:
        highest: dict[tuple[PatientId, FactKey], VersionOrder] = {}
        for (patient_id, key), fact in self.facts.items():
            place = (self._current(patient_id), key)
            highest[place] = max(fact.order, highest.get(place, fact.order))
        for (patient_id, key), fact in self.facts.items():
            current = self._current(patient_id)
            if fact.statements and fact.order == highest[current, key]:
                statement, provenance = fact.statements[0]
                hold_id = derive_id("hold", patient_id, key)
                yield OpenHold(hold_id, patient_id, current, key, fact.order, statement, provenance)

    def _current(self, patient_id: PatientId) -> PatientId:
        return survivor_of(patient_id, self.into.get)


def _with(known: Fact | None, version: FactVersion) -> Fact:
    """Return what stands under a key once a version joins it; a statement that is believed is left out."""
    if isinstance(version.statement.content, Held):
        return join_fact(known, version)
    return Fact(version.order) if known is None or version.order > known.order else known


def find_hold(wanted: str, holds: Iterable[OpenHold]) -> OpenHold:
    """Return the one hold whose id is, or begins with, `wanted`. Raises UsageError when none or several match."""
    found = [
        hold
        for hold in holds
        if hold.hold_id.startswith(wanted) or hold.hold_id.partition("_")[2].startswith(wanted)
    ]
    if not wanted or not found:
        msg = f"nothing that is held begins with {wanted!r}: `pv-stream holds list` names what is"
        raise UsageError(msg)
    if len(found) > 1:
        names = ", ".join(hold.hold_id for hold in found[:_NAMED_MAX])
        msg = f"{wanted!r} is the beginning of several: {names}"
        raise UsageError(msg)
    return found[0]


def resolution(hold: OpenHold, statement: Statement, review: Review, received_at: Instant) -> FactArrived:
    """Return the event by which a person settles a hold: what is confirmed, or `Retracted()` when it is discarded.

    It names the message of the held value and ranks as a decision of that moment about that version of the source.
    """
    provenance = replace(hold.provenance, received_at=received_at, review=review)
    order = replace(hold.order, reviewed_at=received_at)
    return FactArrived(hold.patient_id, FactVersion(hold.key, order, statement, provenance))
