"""One FHIR R4 document in, one outcome out: which resources are facts, which are context, which are neither."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pv_stream.domain.events import Absorbed, Absorbs, Event, FactArrived
from pv_stream.domain.ids import PatientId
from pv_stream.ingest.fhir.context import ResourceContext, context_of, patient_of
from pv_stream.ingest.fhir.findings import read_report_conclusion
from pv_stream.ingest.fhir.medications import KINDS, read_medication
from pv_stream.ingest.fhir.observations import read_observation, reports_by_result
from pv_stream.ingest.fhir.people import Merge, Numbers, numbers_by_patient, read_person
from pv_stream.ingest.fhir.reports import read_adverse_event, read_allergy, read_condition
from pv_stream.ingest.fhir.resources import (
    Document,
    Entry,
    Place,
    Resource,
    children,
    is_modified,
    read_document,
    text_of,
)
from pv_stream.ingest.fhir.shapes import is_misshapen
from pv_stream.ingest.intake import Intake, digest_of
from pv_stream.ingest.outcomes import Fate, IgnoreReason, Outcome, Reject, RejectCode, rejected
from pv_stream.ingest.results import Result, judge
from pv_stream.ingest.tables import fhir_resource_types

_OBSERVATION: Final = "Observation"
_REPORT: Final = "DiagnosticReport"
_PATIENT: Final = "Patient"
_Read = Callable[[Entry, PatientId, ResourceContext, Outcome], None]
_READERS: Final[Mapping[str, _Read]] = {
    "AdverseEvent": read_adverse_event,
    "AllergyIntolerance": read_allergy,
    "Condition": read_condition,
    **dict.fromkeys(KINDS, read_medication),
}
_FACTS: Final = frozenset({_OBSERVATION, _REPORT, *_READERS})
#: Resources that say something about the ones used, and are no facts themselves.
_CONTEXT: Final = frozenset({_PATIENT, _REPORT, "Medication", "MessageHeader", "Specimen", "Substance"})
#: The types of which anything is read; resources of other types are left aside.
TYPES_READ: Final = _FACTS | _CONTEXT
_BUNDLE: Final = "Bundle"
_ENTRY: Final = "Bundle.entry"
_UNKNOWN: Final = "unknown resource"
_COMPONENT: Final = ".component["
_TEST_LABEL: Final = "HTEST"


def read_fhir(content: bytes, intake: Intake, resource_bytes_max: int | None = None) -> Outcome:
    """Read one document; in a Bundle that is longer than the limit, each resource of its own is held to it."""
    document = read_document(content, resource_bytes_max, intake.fhir_server)
    if isinstance(document, RejectCode):
        return rejected(document)
    if not document.bundle and document.entries[0].type not in fhir_resource_types():
        return rejected(RejectCode.UNSUPPORTED_TYPE)
    document.elsewhere = intake.medication_at
    reading = _Reading(
        document,
        intake,
        digest_of(content),
        reports_by_result(document),
        numbers_by_patient(document, intake),
    )
    for entry in document.entries:
        reading.read(entry)
    return reading.finish()


@dataclass(slots=True)
class _Reading:
    """Collect what the entries of one document give, and what became of each."""

    document: Document
    intake: Intake
    digest: str
    reports: dict[Place, Entry]
    numbers: Mapping[Place, Numbers]
    outcome: Outcome = field(default_factory=Outcome)
    results: list[Result] = field(default_factory=list)
    merges: set[Merge] = field(default_factory=set)
    #: The entries whose fate shows only when all results are judged: type and path.
    waiting: list[tuple[str, str]] = field(default_factory=list)

    def read(self, entry: Entry) -> None:
        """Read one entry."""
        if entry.type not in fhir_resource_types():
            code = RejectCode.UNSUPPORTED_TYPE if entry.type else RejectCode.INVALID_RESOURCE
            self.outcome.rejects.append(Reject(code, entry.path))
            self.outcome.note(_UNKNOWN, Fate.REJECTED)
        elif self._may_be_fact(entry):
            self._read_facts(entry)
            self.waiting.append((entry.type, entry.path))
        elif entry.type in _CONTEXT or (entry.container is not None and entry.type in _FACTS):
            self.outcome.note(entry.type, Fate.CONTEXT)
        else:
            self.outcome.ignored[IgnoreReason.RESOURCE_NOT_USED] += 1
            self.outcome.note(entry.type, Fate.IGNORED)

    def _may_be_fact(self, entry: Entry) -> bool:
        """Tell whether an entry is read for facts: what is contained speaks through its container.

        Only results are facts in a report, or in a panel, that contains them.
        """
        if entry.container is not None:
            return entry.type == _OBSERVATION and entry.container.type in {_OBSERVATION, _REPORT}
        if entry.type == _REPORT:
            return any(True for _ in children(entry.resource, "conclusionCode"))
        if entry.type == _PATIENT:
            says_who = entry.place in self.numbers or any(True for _ in children(entry.resource, "link"))
            return says_who and not entry.is_deletion
        return entry.type in _FACTS

    def _read_facts(self, entry: Entry) -> None:
        context = context_of(entry, self.document, self.reports, self.digest, self.intake)
        if _is_test_data(entry.resource):
            self.outcome.ignored[IgnoreReason.TEST_DATA] += 1
            return
        if is_modified(entry.resource):
            self.outcome.rejects.append(Reject(RejectCode.UNKNOWN_MODIFIER, entry.path))
            return
        if is_misshapen(entry.resource):
            self.outcome.rejects.append(Reject(RejectCode.INVALID_RESOURCE, entry.path))
            return
        is_person = entry.type == _PATIENT
        patient = PatientId("") if is_person else patient_of(entry, self.document, self.intake)
        if patient is None:
            self.outcome.rejects.append(Reject(RejectCode.MISSING_PATIENT, entry.path))
        elif isinstance(context, RejectCode):
            self.outcome.rejects.append(Reject(context, entry.path))
        elif is_person:
            read_person(entry, context, self.numbers.get(entry.place), self.merges, self.outcome)
        elif entry.type == _OBSERVATION:
            self.results += read_observation(entry, patient, context, self.outcome)
        elif entry.type == _REPORT:
            read_report_conclusion(entry, patient, context, self.outcome)
        else:
            _READERS[entry.type](entry, patient, context, self.outcome)

    def finish(self) -> Outcome:
        """Judge the results together, and return what became of all."""
        outcome, document = self.outcome, self.document
        judge(self.results, self.intake, outcome)
        held = _owners(hold.path for hold in outcome.holds)
        facts = _owners(_paths(outcome.events))
        refused = {reject.path for reject in outcome.rejects}
        for kind, path in self.waiting:
            if path in held:
                fate = Fate.HELD
            elif path in facts:
                fate = Fate.FACT
            elif path in refused:
                fate = Fate.REJECTED
            else:
                fate = Fate.CONTEXT if kind in _CONTEXT else Fate.IGNORED
            outcome.note(kind, fate)
        for _ in range(document.bundles):
            outcome.note(_BUNDLE, Fate.CONTEXT)
        for code, path in document.refused:
            outcome.rejects.append(Reject(code, path))
            outcome.note(_ENTRY, Fate.REJECTED)
        for _ in range(document.empty):
            outcome.ignored[IgnoreReason.RESOURCE_NOT_USED] += 1
            outcome.note(_ENTRY, Fate.IGNORED)
        return outcome


def _is_test_data(resource: Resource) -> bool:
    """Tell whether a resource is labelled as test data (security label HTEST), which is about nobody."""
    return any(
        text_of(label.get("code")) == _TEST_LABEL for label in children(resource.get("meta"), "security")
    )


def _paths(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        if isinstance(event, FactArrived):
            yield event.version.provenance.path
        elif isinstance(event, Absorbed | Absorbs):
            yield event.provenance.path


def _owners(paths: Iterable[str]) -> set[str]:
    """Return the paths of the resources that hold what stands at the given paths."""
    return {path.partition(_COMPONENT)[0] for path in paths}
