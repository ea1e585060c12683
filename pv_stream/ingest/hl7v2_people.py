"""Who and where of an HL7v2 message: patient, sender, order numbers. Identifiers leave here only as pseudonyms.

A patient may have several identifiers (PID-3 repeats). The one used must not depend on their order or on what a
sender adds later, so the most patient-like type wins: MR, then PI, PT, and then any other, and within a type the
smallest (authority, number). National and insurance numbers are used only when nothing else is there.
"""

from dataclasses import dataclass
from typing import Final

from pv_stream.domain.ids import PatientId
from pv_stream.ingest.hl7v2 import Message, Segment, part_of
from pv_stream.ingest.pseudonyms import Pseudonyms

#: HL7 table 0203, the types that name a person within a provider, best first.
_TYPES_PREFERRED: Final = ("MR", "PI", "PT")
#: And the types that name a person outside it: licence, insurance, passport, social security; NN... is national.
_TYPES_OUTSIDE: Final = frozenset({"DL", "HC", "MA", "MC", "NH", "NI", "PPN", "SS", "SSN"})
_AUTHORITY: Final = 4
_TYPE: Final = 5


@dataclass(frozen=True, slots=True)
class Sender:
    """Hold the sending facility and application: what names things when a message names no authority."""

    facility: str
    application: str

    @property
    def authority(self) -> str:
        """Return MSH-4 and MSH-3, the authority of order numbers that name none."""
        return f"{self.facility}\x1e{self.application}"


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


def sender_of(message: Message) -> Sender:
    """Return who sent a message."""
    return Sender(message.header.text(4), message.header.text(3))


def patient_of(pid: Segment, sender: Sender, pseudonyms: Pseudonyms) -> PatientId | None:
    """Return the pseudonym of the patient of a PID segment, or None when it identifies nobody.

    An identifier without an assigning authority belongs to the sending facility (MSH-4, else MSH-3).
    """
    found: list[tuple[int, str, str]] = []
    for repetition in pid.repetitions(3):
        number = part_of(pid.components_of(repetition), 1)
        if not number or number == '""':
            continue
        kind = part_of(pid.components_of(repetition), _TYPE)
        authority = _authority(pid, repetition) or sender.facility or sender.application
        found.append((_rank(kind), authority, number))
    if not found:
        return None
    _, authority, number = min(found)
    return pseudonyms.patient(authority, number)


def order_number(
    candidates: tuple[tuple[str, Segment | None, int], ...], sender: Sender
) -> OrderNumber | None:
    """Return the first order number (EI) among (kind, segment, field), or None."""
    for kind, segment, field in candidates:
        if segment is None:
            continue
        components = segment.components(field)
        if number := part_of(components, 1):
            return OrderNumber(
                kind, part_of(components, 2) or part_of(components, 3) or sender.authority, number
            )
    return None


def _rank(kind: str) -> int:
    if kind in _TYPES_PREFERRED:
        return _TYPES_PREFERRED.index(kind)
    return len(_TYPES_PREFERRED) + (kind in _TYPES_OUTSIDE or kind.startswith("NN"))


def _authority(pid: Segment, repetition: str) -> str:
    """Return the assigning authority (HD): its universal id where it has one, else its name."""
    raw = part_of(pid.delimiters.split(repetition, pid.delimiters.component), _AUTHORITY)
    parts = pid.subcomponents_of(raw)
    return part_of(parts, 2) or part_of(parts, 1)
