"""FHIR Patients: a link that says which record replaces which is a merge, told as two adjacent events.

`replaced-by` and `replaces` say the same from both sides. `refer` and `seealso` keep both records in use, and a
RelatedPerson is another person: neither is a merge. That a link is gone later says nothing about why.
"""

from typing import Final

from pv_stream.domain.events import Absorbed, Absorbs
from pv_stream.domain.facts import Provenance
from pv_stream.domain.ids import PatientId
from pv_stream.ingest.fhir.context import ResourceContext, patient_at, patient_named
from pv_stream.ingest.fhir.resources import Entry, children, text_of
from pv_stream.ingest.outcomes import IgnoreReason, Outcome, Reject, RejectCode

_REPLACED_BY: Final = "replaced-by"
_REPLACES: Final = "replaces"

#: (prior, survivor)
Merge = tuple[PatientId, PatientId]


def read_links(entry: Entry, context: ResourceContext, told: set[Merge], outcome: Outcome) -> None:
    """Add the merges of one Patient that its document has not told yet."""
    if not entry.place.id:
        outcome.rejects.append(Reject(RejectCode.MISSING_PATIENT, entry.path))
        return
    own = patient_at(entry.place, context.intake)
    for link in children(entry.resource, "link"):
        kind = text_of(link.get("type"))
        other = patient_named(link.get("other"), entry, context.document, context.intake)
        if kind not in {_REPLACED_BY, _REPLACES} or other is None or other == own:
            outcome.ignored[IgnoreReason.LINK_NOT_USED] += 1
            continue
        prior, survivor = (own, other) if kind == _REPLACED_BY else (other, own)
        if (prior, survivor) in told:
            continue
        told.add((prior, survivor))
        envelope = context.envelope
        provenance = Provenance(envelope.received_at, envelope.message_digest, entry.path, envelope.format)
        outcome.events += [Absorbed(prior, survivor, provenance), Absorbs(survivor, prior, provenance)]
