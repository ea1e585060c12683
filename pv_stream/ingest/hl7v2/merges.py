"""Patient merges: ADT^A40 and its older names say that two records are of one person.

PID is the record that stays (the survivor), MRG the one that goes (the prior). Both get the pseudonym that their
laboratory results have. Each merge is two events side by side: one for the shard of either record.
"""

from typing import Final

from pv_stream.domain.events import Absorbed, Absorbs
from pv_stream.domain.facts import Provenance
from pv_stream.ingest.hl7v2.people import Identifier, Sender, identifiers
from pv_stream.ingest.hl7v2.syntax import Segment
from pv_stream.ingest.intake import Envelope, Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason, Outcome, Reject, RejectCode

#: A40 merges patients, A18, A34 and A36 did so in older versions, A47 changes a patient's number. Merges of accounts
#: and visits, moves and links are of records that stay apart.
MERGES: Final = frozenset({"ADT^A18", "ADT^A34", "ADT^A36", "ADT^A40", "ADT^A47"})


def read_merge(  # noqa: PLR0913 - a group of segments and what it stands in
    pid: Segment,
    segments: list[Segment],
    sender: Sender,
    path: str,
    envelope: Envelope,
    intake: Intake,
    outcome: Outcome,
) -> None:
    """Add the merges of one PID with the MRG that follow it, or say why there are none."""
    staying = identifiers(pid, 3, sender)
    priors = [segment for segment in segments if segment.name == "MRG"]
    going = [(segment, identifiers(segment, 1, sender)) for segment in priors]
    if not staying or not any(found for _, found in going):
        code = RejectCode.MISSING_PRIOR if staying else RejectCode.MISSING_PATIENT
        outcome.rejects.append(Reject(code, path.rstrip("/")))
        for segment in (pid, *priors):
            segment.fate = Fate.REJECTED
        return
    survivor = _survivor(staying, [identifier for _, found in going for identifier in found])
    for number, (segment, found) in enumerate(going, start=1):
        merged = _merged(found, survivor)
        segment.fate = Fate.FACT if merged else Fate.IGNORED
        if not merged:
            outcome.ignored[IgnoreReason.SAME_PATIENT] += 1
        provenance = Provenance(
            envelope.received_at, envelope.message_digest, f"{path}MRG[{number}]", envelope.format
        )
        stays = survivor.named(intake.pseudonyms)
        for identifier in merged:
            goes = identifier.named(intake.pseudonyms)
            outcome.events += [Absorbed(goes, stays, provenance), Absorbs(stays, goes, provenance)]


def _survivor(staying: list[Identifier], going: list[Identifier]) -> Identifier:
    """Return the identifier that counts of those that stay; a sender may list the old ones in PID-3 too."""
    gone = {(identifier.authority, identifier.number) for identifier in going}
    left = [identifier for identifier in staying if (identifier.authority, identifier.number) not in gone]
    return (left or staying)[0]


def _merged(found: list[Identifier], survivor: Identifier) -> list[Identifier]:
    """Return the identifiers that go: each under which results may have come.

    National and insurance numbers go only when nothing else names the prior, since only then its results have them.
    """
    kept = (survivor.authority, survivor.number)
    others = [identifier for identifier in found if (identifier.authority, identifier.number) != kept]
    inside = [identifier for identifier in others if not identifier.is_from_outside]
    has_inside = any(not identifier.is_from_outside for identifier in found)
    return inside if has_inside else others[:1]
