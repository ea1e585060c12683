"""One FHIR R4 document in, one outcome out: which resources are facts, which are context, which are neither."""

from typing import Final

from pv_stream.ingest.fhir import Document, Entry, Place, read_document
from pv_stream.ingest.fhir_medications import KINDS, read_medication
from pv_stream.ingest.fhir_observations import (
    ResourceContext,
    patient_of,
    read_observation,
    received_stamps,
    reports_by_result,
)
from pv_stream.ingest.intake import Envelope, Intake, digest_of
from pv_stream.ingest.outcomes import IgnoreReason, Outcome, Reject, RejectCode, rejected
from pv_stream.ingest.results import Result, judge
from pv_stream.ingest.times import fhir_moment, stamp

FORMAT: Final = "fhir_r4"
_OBSERVATION: Final = "Observation"
_USED: Final = frozenset({_OBSERVATION, *KINDS})
#: Resources that say something about the ones used, and are no facts themselves.
_CONTEXT: Final = frozenset({"DiagnosticReport", "Medication", "MessageHeader", "Patient", "Specimen"})


def read_fhir(content: bytes, intake: Intake) -> Outcome:
    """Read one document."""
    document = read_document(content)
    if isinstance(document, RejectCode):
        return rejected(document)
    if not any(entry.type in _USED for entry in document.entries):
        return rejected(RejectCode.UNSUPPORTED_TYPE)
    outcome = Outcome()
    reports = reports_by_result(document)
    digest = digest_of(content)
    results: list[Result] = []
    for entry in document.entries:
        if entry.type in _USED:
            results += _read_entry(entry, document, reports, digest, intake, outcome)
        elif entry.type not in _CONTEXT:
            outcome.ignored[IgnoreReason.RESOURCE_NOT_USED] += 1
    judge(results, intake, outcome)
    return outcome


def _read_entry(  # noqa: PLR0913 - a resource and what is around it
    entry: Entry,
    document: Document,
    reports: dict[Place, Entry],
    digest: str,
    intake: Intake,
    outcome: Outcome,
) -> list[Result]:
    patient = patient_of(entry, document, intake)
    if patient is None:
        outcome.rejects.append(Reject(RejectCode.MISSING_PATIENT, entry.path))
        return []
    stated = (
        stamp(fhir_moment(text, None)) for text in received_stamps(entry, document, reports.get(entry.place))
    )
    received_at = intake.received(next((instant for instant in stated if instant is not None), None))
    if isinstance(received_at, RejectCode):
        outcome.rejects.append(Reject(received_at, entry.path))
        return []
    context = ResourceContext(document, intake, Envelope(FORMAT, digest, received_at), reports)
    if entry.type == _OBSERVATION:
        return list(read_observation(entry, patient, context, outcome))
    read_medication(entry, patient, context, outcome)
    return []
