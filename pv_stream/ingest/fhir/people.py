"""FHIR Patients: which records are of one person, by links and by numbers. Each merge is told as two adjacent events.

`replaced-by` and `replaces` say the same from both sides. `refer` and `seealso` keep both records in use, and a
RelatedPerson is another person: neither is a merge. That a link is gone later says nothing about why.

A number under a system of the setting `fhir_identifier_systems` is the one by which HL7v2 knows the patient (PID-3), so
the record of HL7v2 takes over the one of FHIR. Nothing is guessed: two numbers under one authority link nothing, nor
does one that is old, temporary, of another kind than a patient's, or stated by a record that is not in use.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pv_stream.domain.events import Absorbed, Absorbs
from pv_stream.domain.facts import Provenance
from pv_stream.domain.ids import PatientId
from pv_stream.ingest.fhir.context import ResourceContext, patient_at, patient_named
from pv_stream.ingest.fhir.resources import (
    Document,
    Entry,
    Place,
    Resource,
    child,
    children,
    codings,
    text_of,
)
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import IgnoreReason, Outcome, Reject, RejectCode

_PATIENT: Final = "Patient"
_REPLACED_BY: Final = "replaced-by"
_REPLACES: Final = "replaces"
#: Identifier.use (FHIR R4). One that states none is permanent; `old`, `temp` and `secondary` need not stay a patient's.
_USES: Final = frozenset({"", "usual", "official"})
#: HL7 table 0203, as FHIR R4 and STU3 name it, and the types in it by which a provider knows a patient.
_TYPE_SYSTEMS: Final = frozenset(
    {"http://terminology.hl7.org/CodeSystem/v2-0203", "http://hl7.org/fhir/v2/0203"}
)
_TYPES: Final = frozenset({"MR", "PI", "PT"})

#: (prior, survivor)
Merge = tuple[PatientId, PatientId]


@dataclass(slots=True)
class Numbers:
    """Hold the numbers that a document states of one Patient, by assigning authority; `unused` counts the others.

    `is_in_use` is False when a version of it says that the record is not, or that another replaces it.
    """

    by_authority: dict[str, set[str]] = field(default_factory=dict)
    unused: int = 0
    is_in_use: bool = True


def numbers_by_patient(document: Document, intake: Intake) -> Mapping[Place, Numbers]:
    """Return the numbers of the Patients of a document under the systems that are set: none are, none is returned."""
    found: dict[Place, Numbers] = {}
    for entry in document.entries if intake.fhir_identifier_systems else ():
        if entry.type != _PATIENT or entry.container is not None or entry.is_deletion or not entry.place.id:
            continue
        known = [
            identifier
            for identifier in children(entry.resource, "identifier")
            if text_of(identifier.get("system")) in intake.fhir_identifier_systems
        ]
        if known:
            numbers = found.setdefault(entry.place, Numbers())
            numbers.is_in_use = numbers.is_in_use and _is_in_use(entry.resource)
            for identifier in known:
                _add(identifier, intake, numbers)
    return found


def _add(identifier: Resource, intake: Intake, numbers: Numbers) -> None:
    value = text_of(identifier.get("value"))
    if value and _is_lasting(identifier):
        authority = intake.authority_of(text_of(identifier.get("system")))
        numbers.by_authority.setdefault(authority, set()).add(value)
    else:
        numbers.unused += 1


def _is_lasting(identifier: Resource) -> bool:
    """Tell whether an identifier is a patient's, and is not said to be of another time."""
    stated = [code for system, code, _ in codings(identifier.get("type")) if system in _TYPE_SYSTEMS]
    is_of_patient = not stated or not _TYPES.isdisjoint(stated)
    has_end = child(identifier.get("period"), "end") is not None
    return is_of_patient and not has_end and _use_of(identifier) in _USES


def _use_of(identifier: Resource) -> str:
    use = identifier.get("use")
    return "" if use is None else text_of(use) or "unreadable"


def _is_in_use(resource: Resource) -> bool:
    is_replaced = any(text_of(link.get("type")) == _REPLACED_BY for link in children(resource, "link"))
    return not is_replaced and resource.get("active") in {None, True}


def read_person(
    entry: Entry, context: ResourceContext, numbers: Numbers | None, told: set[Merge], outcome: Outcome
) -> None:
    """Add the merges of one Patient that its document has not told yet, by its links and by its numbers."""
    if not entry.place.id:
        outcome.rejects.append(Reject(RejectCode.MISSING_PATIENT, entry.path))
        return
    _read_links(entry, context, told, outcome)
    if numbers is not None:
        _read_numbers(entry, context, numbers, told, outcome)


def _read_links(entry: Entry, context: ResourceContext, told: set[Merge], outcome: Outcome) -> None:
    own = patient_at(entry.place, context.intake)
    for link in children(entry.resource, "link"):
        kind = text_of(link.get("type"))
        other = patient_named(link.get("other"), entry, context.document, context.intake)
        if kind not in {_REPLACED_BY, _REPLACES} or other is None or other == own:
            outcome.ignored[IgnoreReason.LINK_NOT_USED] += 1
            continue
        _tell((own, other) if kind == _REPLACED_BY else (other, own), entry, context, told, outcome)


def _read_numbers(
    entry: Entry, context: ResourceContext, numbers: Numbers, told: set[Merge], outcome: Outcome
) -> None:
    """Add the merge of a Patient into the record of HL7v2 that its number names.

    Of several authorities the one that the setting names first counts: a record goes into one other.
    """
    stated = numbers.by_authority
    if any(len(values) > 1 for values in stated.values()):
        outcome.rejects.append(Reject(RejectCode.CONFLICTING_IDENTIFIERS, entry.path))
        return
    if stated and not entry.place.server:
        outcome.ignored[IgnoreReason.SERVER_NOT_STATED] += 1
        return
    authorities = context.intake.fhir_identifier_systems.values() if numbers.is_in_use else ()
    counting = next((authority for authority in authorities if authority in stated), None)
    if unused := numbers.unused + len(stated) - (counting is not None):
        outcome.ignored[IgnoreReason.IDENTIFIER_NOT_USED] += unused
    if counting is not None:
        (value,) = stated[counting]
        own = patient_at(entry.place, context.intake)
        _tell((own, context.intake.pseudonyms.patient(counting, value)), entry, context, told, outcome)


def _tell(merge: Merge, entry: Entry, context: ResourceContext, told: set[Merge], outcome: Outcome) -> None:
    if merge in told:
        return
    told.add(merge)
    prior, survivor = merge
    envelope = context.envelope
    provenance = Provenance(envelope.received_at, envelope.message_digest, entry.path, envelope.format)
    outcome.events += [Absorbed(prior, survivor, provenance), Absorbs(survivor, prior, provenance)]
