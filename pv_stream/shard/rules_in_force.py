"""The rules in force: which rulebook a shard is read under, and who waits to be assessed again under it.

A shard begins under the rulebook that it is given and changes it where its log says so. The record that says so is
also the state record, so that an owner who restores the shard goes on under the same rules. A log that names what is
not carried here is not read any further: guessing would tell other alerts than those of its other readers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.events import RulebookActivated
from pv_stream.domain.ids import PatientId
from pv_stream.engine.activation import ENGINE_VERSION
from pv_stream.engine.relevance import can_be_told
from pv_stream.errors import ActivationRefused
from pv_stream.rules.rulebook import Rulebook
from pv_stream.shard.memory import Outline

#: The key of the state record that holds the rulebook in force; no patient id can look like it.
RULEBOOK_KEY: Final = b"@rulebook"


@dataclass(frozen=True, slots=True)
class RuleShelf:
    """Hold the rulebook that a log begins with and those that it may activate, by digest.

    `what_if`: the log's activations are passed over, and all of it is read under `first`.
    """

    first: Rulebook
    carried: Mapping[str, Rulebook] = field(default_factory=dict)
    what_if: bool = False

    def activated(self, event: RulebookActivated, before: Rulebook) -> Rulebook:
        """Return the rulebook in force after an activation. Raises ActivationRefused for what is not carried."""
        if self.what_if:
            return before
        if event.engine_version != ENGINE_VERSION:
            msg = (
                f"the log asks for engine version {event.engine_version}, and this is {ENGINE_VERSION}: "
                "install the version of pv-stream that has it"
            )
            raise ActivationRefused(msg)
        if event.rulebook_digest == self.first.digest:
            return self.first
        rulebook = self.carried.get(event.rulebook_digest)
        if rulebook is None:
            msg = (
                f"the log asks for rulebook {event.rulebook_digest}, which is not carried here: "
                "install the version of pv-stream that ships it, or name its file with --carry"
            )
            raise ActivationRefused(msg)
        return rulebook

    def restored(self, value: bytes) -> Rulebook:
        """Return the rulebook of a state record. Raises ActivationRefused for what is not carried."""
        event = decode_event(value)
        assert isinstance(event, RulebookActivated)
        return self.activated(event, self.first)


def rulebook_record(rulebook: Rulebook) -> bytes:
    """Return the record that activates a rulebook: a value of the log, and of the state."""
    return encode_event(RulebookActivated(ENGINE_VERSION, rulebook.digest))


def waiting_patients(
    outlines: Iterable[tuple[PatientId, Outline]], rulebook: Rulebook
) -> tuple[PatientId, ...]:
    """Return who was last assessed under another rulebook: open episodes first, then who may have one, then the rest.

    Nothing of this order changes while a patient waits, so an owner who restores the shard finds the same. No state is
    decoded for it: however many patients a shard has, its record does not take long.
    """
    waiting = [
        (outline.due is None, not (outline.was_told or can_be_told(outline.relevance, rulebook)), patient_id)
        for patient_id, outline in outlines
        if outline.is_assessed and outline.rulebook != rulebook.digest
    ]
    return tuple(patient_id for _, _, patient_id in sorted(waiting))
