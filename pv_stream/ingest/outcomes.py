"""What becomes of a message: events, holds, rejections and what was left aside, each with a code.

A closed vocabulary, so that every count in a report can be looked up in docs/ingest.md. Nothing here holds a value.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from pv_stream.domain.codes import HoldCode
from pv_stream.domain.events import Event


class RejectCode(StrEnum):
    """Say why a message, or one resource of it, could not be read."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    UNKNOWN_FORMAT = "unknown_format"
    UNREADABLE_CHARACTERS = "unreadable_characters"
    MALFORMED_JSON = "malformed_json"
    MALFORMED_HL7 = "malformed_hl7"
    MALFORMED_XML = "malformed_xml"
    BATCH_NOT_TAKEN = "batch_not_taken"
    DOCTYPE_REFUSED = "doctype_refused"
    TOO_COMPLEX = "too_complex"
    INCOMPLETE_REPORT = "incomplete_report"
    TOO_MANY_REPEATS = "too_many_repeats"
    INVALID_EVENT = "invalid_event"
    INVALID_RESOURCE = "invalid_resource"
    UNKNOWN_MODIFIER = "unknown_modifier"
    UNSUPPORTED_TYPE = "unsupported_type"
    UNSUPPORTED_VERSION = "unsupported_version"
    MISSING_PATIENT = "missing_patient"
    MISSING_PRIOR = "missing_prior"
    CONFLICTING_IDENTIFIERS = "conflicting_identifiers"
    NO_RECEIVED_AT = "no_received_at"
    RECEIVED_IN_FUTURE = "received_in_future"
    INTERNAL_ERROR = "internal_error"


class IgnoreReason(StrEnum):
    """Say why something readable became no fact: nothing is wrong with it, no rule uses it."""

    CODE_NOT_USED = "code_not_used"
    CODE_SYSTEM_NOT_LOINC = "code_system_not_loinc"
    NOT_BLOOD = "not_blood"
    TEXT_VALUE = "text_value"
    NO_VALUE = "no_value"
    NO_RESULT_YET = "no_result_yet"
    OBSERVATION_IN_ORDER = "observation_in_order"
    ORDER_CONTROL_NOT_USED = "order_control_not_used"
    STATUS_NOT_USED = "status_not_used"
    INTENT_NOT_ORDER = "intent_not_order"
    RESOURCE_NOT_USED = "resource_not_used"
    NEGATIVE_OF_PART = "negative_of_part"
    DRUG_NOT_LISTED = "drug_not_listed"
    DRUG_NOT_RECOGNISED = "drug_not_recognised"
    MEDICATION_NOT_FOUND = "medication_not_found"
    ABOUT_SOMEBODY_ELSE = "about_somebody_else"
    TEST_DATA = "test_data"
    LINK_NOT_USED = "link_not_used"
    IDENTIFIER_NOT_USED = "identifier_not_used"
    SERVER_NOT_STATED = "server_not_stated"
    UNDECIDED_VALUE = "undecided_value"
    NO_DRUG = "no_drug"
    VISIT_NOT_USED = "visit_not_used"
    DIAGNOSIS_NOT_USED = "diagnosis_not_used"
    ALLERGY_NOT_USED = "allergy_not_used"
    SAME_PATIENT = "same_patient"
    NO_OBSERVATION_TIME = "no_observation_time"
    BATCH_COUNT_DIFFERS = "batch_count_differs"
    ELEMENT_NOT_USED = "element_not_used"
    NO_START = "no_start"
    NOT_GIVEN_TO_PATIENT = "not_given_to_patient"
    TEST_NOT_CODED = "test_not_coded"
    CLOCK_RECORD = "clock_record"
    ACTIVATION_RECORD = "activation_record"
    TRANSFER_RECORD = "transfer_record"


class Fate(StrEnum):
    """Say what became of one part of a message: a segment, a resource, an element."""

    FACT = "fact"
    HELD = "held"
    CONTEXT = "context"
    IGNORED = "ignored"
    REJECTED = "rejected"


class MessageOutcome(StrEnum):
    """Say how a whole message ended."""

    ACCEPTED = "accepted"
    HELD = "held"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Hold:
    """Say which observation is held, why, and the digest of the value that waits."""

    code: HoldCode
    path: str
    value_digest: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Say what could not be read, and why; an empty path is the whole message."""

    code: RejectCode
    path: str = ""


@dataclass(slots=True)
class Outcome:
    """Collect what one message gave.

    `parts` counts, by the standard's own names (OBX, Observation), what became of each part: nothing is left out in
    silence.
    """

    events: list[Event] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    ignored: Counter[IgnoreReason] = field(default_factory=Counter)
    parts: Counter[tuple[str, Fate]] = field(default_factory=Counter)

    @property
    def message(self) -> MessageOutcome:
        """Return how the message ended: rejected when nothing of it could be read."""
        if self.rejects and not self.events:
            return MessageOutcome.REJECTED
        return MessageOutcome.HELD if self.holds else MessageOutcome.ACCEPTED

    def note(self, part: str, fate: Fate) -> None:
        """Count what became of one part."""
        self.parts[part, fate] += 1


def rejected(code: RejectCode) -> Outcome:
    """Return the outcome of a message that is refused whole."""
    return Outcome(rejects=[Reject(code)])
