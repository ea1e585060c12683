"""Who and where of an HL7v2 message: patient, sender, order numbers. Identifiers leave here only as pseudonyms.

A patient may have several identifiers (PID-3 repeats). The one used must not depend on their order or on what a
sender adds later, so the most patient-like type wins: MR, then PI, PT, and then any other, and within a type the
smallest (authority, number). National and insurance numbers are used only when nothing else is there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from pv_stream.domain.ids import PatientId
from pv_stream.domain.often_built import often_built
from pv_stream.ingest.hl7v2.syntax import Message, Segment, part_of
from pv_stream.ingest.intake import Envelope, Intake
from pv_stream.ingest.pseudonyms import Pseudonyms

#: HL7 table 0203, the types that name a person within a provider, best first.
_TYPES_PREFERRED: Final = ("MR", "PI", "PT")
#: And the types that name a person outside it: licence, insurance, passport, social security; NN... is national.
_TYPES_OUTSIDE: Final = frozenset({"DL", "HC", "MA", "MC", "NH", "NI", "PPN", "SS", "SSN"})
_RANK_OUTSIDE: Final = len(_TYPES_PREFERRED) + 1
_AUTHORITY: Final = 4
_TYPE: Final = 5
_NULL: Final = '""'


@often_built
@dataclass(frozen=True, slots=True)
class Sender:
    """Hold the sending facility and application: what names things when a message names no authority."""

    facility: str
    application: str

    @property
    def authority(self) -> str:
        """Return MSH-4 and MSH-3, the authority of order numbers that name none."""
        return f"{self.facility}\x1e{self.application}"


@often_built
@dataclass(frozen=True, slots=True)
class OrderNumber:
    """Hold the number of an order, its authority, and whose number it is."""

    kind: str
    authority: str
    number: str

    @property
    def parts(self) -> tuple[str, str, str]:
        """Return what enters keys."""
        return self.kind, self.authority, self.number


@often_built
@dataclass(frozen=True, slots=True)
class PatientContext:
    """Hold what the segments of one patient in a message share."""

    patient: PatientId
    sender: Sender
    issued_at: int
    default_offset: int | None
    intake: Intake
    envelope: Envelope
    path: str


class Identifier(NamedTuple):
    """Hold one identifier of a patient; the smallest is the one that counts."""

    rank: int
    authority: str
    number: str

    @property
    def is_from_outside(self) -> bool:
        """Tell whether it names a person beyond any provider: a national or an insurance number."""
        return self.rank >= _RANK_OUTSIDE

    def named(self, pseudonyms: Pseudonyms) -> PatientId:
        """Return its pseudonym; the type of an identifier is no part of it."""
        return pseudonyms.patient(self.authority, self.number)


def sender_of(message: Message) -> Sender:
    """Return who sent a message."""
    return Sender(message.header.text(4), message.header.text(3))


def identifiers(segment: Segment, field: int, sender: Sender) -> list[Identifier]:
    """Return the identifiers of a field of type CX, the one that counts first.

    An identifier without an assigning authority belongs to the sending facility (MSH-4, else MSH-3).
    """
    found: list[Identifier] = []
    for repetition in segment.repetitions(field):
        components = segment.components_of(repetition)
        number = components[0]
        if number and number != _NULL:
            authority = _authority(segment, repetition) or sender.facility or sender.application
            found.append(Identifier(_rank(part_of(components, _TYPE)), authority, number))
    return sorted(found)


def patient_of(pid: Segment, sender: Sender, pseudonyms: Pseudonyms) -> PatientId | None:
    """Return the pseudonym of the patient of a PID segment, or None when it identifies nobody."""
    found = identifiers(pid, 3, sender)
    return found[0].named(pseudonyms) if found else None


def order_number(candidates: Iterable[tuple[str, Segment | None, int]], sender: Sender) -> OrderNumber | None:
    """Return the first order number (EI) among (kind, segment, field), or None."""
    for kind, segment, field in candidates:
        if segment is None or not segment.raw(field):
            continue
        components = segment.components(field)
        if components[0]:
            authority = part_of(components, 2) or part_of(components, 3) or sender.authority
            return OrderNumber(kind, authority, components[0])
    return None


def _rank(kind: str) -> int:
    if kind in _TYPES_PREFERRED:
        return _TYPES_PREFERRED.index(kind)
    is_outside = kind in _TYPES_OUTSIDE or kind.startswith("NN")
    return _RANK_OUTSIDE if is_outside else len(_TYPES_PREFERRED)


def _authority(segment: Segment, repetition: str) -> str:
    """Return the assigning authority (HD): its universal id where it has one, else its name."""
    parts = segment.subcomponents_of(repetition, _AUTHORITY)
    return part_of(parts, 2) or part_of(parts, 1)
