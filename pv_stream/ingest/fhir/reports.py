"""Reported reactions in FHIR: AdverseEvent, a Condition that is DRESS, and AllergyIntolerance as culprit memory.

A report names the drugs that it blames by the ingredients of our lists; a drug that no list knows is counted, since a
name as sent is free text. DRESS is named by code alone, never by words.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from pv_stream.domain.codes import (
    DrugRole,
    FindingCode,
    HoldCode,
    Presence,
    ReportedReaction,
    ReportOutcome,
    Status,
)
from pv_stream.domain.facts import Finding, Report, ReportedDrug, Retracted, in_order
from pv_stream.domain.ids import PatientId
from pv_stream.ingest.fhir.context import ResourceContext, first_known, tell, version_of, when
from pv_stream.ingest.fhir.drugs import DrugNames, drug_names
from pv_stream.ingest.fhir.findings import (
    code_of,
    coded,
    onset_of,
    read_condition_finding,
    some_time_before,
    verification_of,
)
from pv_stream.ingest.fhir.resources import Entry, Resource, child, children, text_of
from pv_stream.ingest.findings import Coded, finding_table
from pv_stream.ingest.outcomes import IgnoreReason, Outcome, Reject, RejectCode
from pv_stream.ingest.times import Moment, fhir_moment

#: AdverseEvent.outcome (adverse-event-outcome).
_OUTCOME: Final = {
    "resolved": ReportOutcome.RECOVERED,
    "recovering": ReportOutcome.RECOVERING,
    "ongoing": ReportOutcome.NOT_RECOVERED,
    "resolvedwithsequelae": ReportOutcome.RECOVERED_WITH_SEQUELAE,
    "fatal": ReportOutcome.FATAL,
}
#: Condition.clinicalStatus, as far as it says how a reaction ended.
_OUTCOME_OF_CONDITION: Final = {
    "active": ReportOutcome.NOT_RECOVERED,
    "recurrence": ReportOutcome.NOT_RECOVERED,
    "relapse": ReportOutcome.NOT_RECOVERED,
    "resolved": ReportOutcome.RECOVERED,
}
#: The canonical form takes so many drugs of one report.
_DRUGS_MAX: Final = 64
#: No report blames so many; reading each of them costs time that others wait for.
_SUSPECTS_MAX: Final = 512
_SERIOUS: Final = "serious"
_NOT_SERIOUS: Final = "non-serious"
_UNLIKELY: Final = "unlikely"
_DUE_TO: Final = frozenset(
    {
        "http://hl7.org/fhir/StructureDefinition/condition-dueTo",
        "http://hl7.org/fhir/StructureDefinition/condition-due-to",
    }
)
_INSTANCES: Final = frozenset(
    {"MedicationAdministration", "MedicationStatement", "MedicationRequest", "MedicationDispense"}
)


def read_condition(entry: Entry, patient: PatientId, context: ResourceContext, outcome: Outcome) -> None:
    """Add what a Condition says: DRESS itself, a finding that rules use, or nothing."""
    codes = coded(entry.resource.get("code"))
    table = finding_table()
    if not table.names_dress(codes):
        finding = table.finding(codes)
        if finding is None:
            outcome.ignored[IgnoreReason.CODE_NOT_USED] += 1
        else:
            read_condition_finding(finding, entry, patient, context, outcome)
        return
    verification = verification_of(entry, context)
    if isinstance(verification, IgnoreReason):
        outcome.ignored[verification] += 1
        return
    # A diagnosis that was refuted is no report of a reaction: it takes back the one that was.
    status = Status.RETRACTED if isinstance(verification, Presence) else verification
    report = Report(
        ReportedReaction.DRESS,
        None,
        _OUTCOME_OF_CONDITION.get(code_of(entry.resource.get("clinicalStatus")), ReportOutcome.UNKNOWN),
        _drugs(_due_to(entry), context, outcome),
    )
    _tell(report, onset_of(entry.resource, context), status, entry, patient, context, outcome)


def read_adverse_event(entry: Entry, patient: PatientId, context: ResourceContext, outcome: Outcome) -> None:
    """Add the reaction of an AdverseEvent that happened, and the finding that its code names.

    R4 gives an AdverseEvent neither a status nor a verification: what it says stands until it is deleted.
    """
    resource = entry.resource
    if not context.is_deleted and text_of(resource.get("actuality")) != "actual":
        outcome.ignored[IgnoreReason.STATUS_NOT_USED] += 1
        return
    if len(list(children(resource, "suspectEntity"))) > _SUSPECTS_MAX:
        outcome.rejects.append(Reject(RejectCode.TOO_COMPLEX, entry.path))
        return
    event = coded(resource.get("event"))
    table = finding_table()
    is_dress = table.names_dress([*event, *_resulting(entry, context)])
    report = Report(
        ReportedReaction.DRESS if is_dress else ReportedReaction.OTHER,
        _is_serious(resource),
        _OUTCOME.get(code_of(resource.get("outcome")).casefold(), ReportOutcome.UNKNOWN),
        _drugs(_suspects(entry), context, outcome),
    )
    moment = _time_of_event(entry, context)
    status = Status.RETRACTED if context.is_deleted else Status.FINAL
    _tell(report, moment, status, entry, patient, context, outcome)
    finding = table.finding(event)
    if finding is not None:
        _tell_finding(finding, moment, status, entry, patient, context, outcome)


def read_allergy(entry: Entry, patient: PatientId, context: ResourceContext, outcome: Outcome) -> None:
    """Add a DRESS that an AllergyIntolerance remembers, with its drug; any other reaction is counted.

    An allergy is seldom confirmed, and a drug that once caused DRESS must warn: one that is `unconfirmed` counts.
    """
    resource = entry.resource
    table = finding_table()
    reactions = [
        reaction
        for reaction in children(resource, "reaction")
        if table.names_dress(_manifestations(reaction))
    ]
    if not reactions and not table.names_dress(coded(resource.get("code"))):
        outcome.ignored[IgnoreReason.CODE_NOT_USED] += 1
        return
    verification = code_of(resource.get("verificationStatus"))
    is_taken_back = context.is_deleted or verification in {"refuted", "entered-in-error"}
    status = Status.FINAL if verification == "confirmed" else Status.PRELIMINARY
    offset = context.intake.utc_offset_minutes
    moment = first_known(
        (
            *(fhir_moment(reaction.get("onset"), offset) for reaction in reactions),
            fhir_moment(resource.get("lastOccurrence"), offset),
            when(resource, "onset", context),
            some_time_before(fhir_moment(resource.get("recordedDate"), offset)),
        )
    )
    blamed = [(entry, concept, DrugRole.SUSPECT) for concept in _substances(resource, reactions)]
    report = Report(ReportedReaction.DRESS, None, ReportOutcome.UNKNOWN, _drugs(blamed, context, outcome))
    _tell(report, moment, Status.RETRACTED if is_taken_back else status, entry, patient, context, outcome)


def _tell(  # noqa: PLR0913 - what a report is made of
    report: Report,
    moment: Moment | HoldCode,
    status: Status,
    entry: Entry,
    patient: PatientId,
    context: ResourceContext,
    outcome: Outcome,
) -> None:
    names = tuple(drug.ingredient for drug in report.drugs)
    weak = (entry.type, report.reaction, *names)
    version = version_of(entry, patient, context, status, weak=weak, part="report")
    content = Retracted() if status is Status.RETRACTED else report
    tell(content, moment, version, entry.path, (report.reaction, *names), context, outcome)


def _tell_finding(  # noqa: PLR0913 - what a finding is made of
    finding: FindingCode,
    moment: Moment | HoldCode,
    status: Status,
    entry: Entry,
    patient: PatientId,
    context: ResourceContext,
    outcome: Outcome,
) -> None:
    version = version_of(entry, patient, context, status, weak=(entry.type, finding), part="finding")
    content = Retracted() if status is Status.RETRACTED else Finding(finding, Presence.PRESENT)
    tell(content, moment, version, entry.path, (finding,), context, outcome)


# Parts of an AdverseEvent ------------------------------------------------------------------------------------------


def _resulting(entry: Entry, context: ResourceContext) -> Iterator[Coded]:
    """Yield the codes of the conditions that an event led to, where this document shows them."""
    for reference in children(entry.resource, "resultingCondition"):
        condition = context.document.find(reference, entry)
        doubt = code_of(child(condition, "verificationStatus"))
        if condition is not None and doubt in {"", "confirmed"}:
            yield from coded(condition.get("code"))


def _is_serious(resource: Resource) -> bool | None:
    """Return the seriousness; the levels of FHIR STU3 (SeriousResultsInDeath) are kinds of serious."""
    code = code_of(resource.get("seriousness")).casefold()
    if code == _NOT_SERIOUS:
        return False
    return True if code.startswith(_SERIOUS) else None


def _time_of_event(entry: Entry, context: ResourceContext) -> Moment | HoldCode:
    """Return when the event happened, else began as a condition, else was found, else was recorded."""
    resource, offset = entry.resource, context.intake.utc_offset_minutes
    conditions = (context.document.find(each, entry) for each in children(resource, "resultingCondition"))
    return first_known(
        (
            fhir_moment(resource.get("date"), offset),
            *(when(condition, "onset", context) for condition in conditions if condition is not None),
            fhir_moment(resource.get("detected"), offset),
            fhir_moment(resource.get("recordedDate"), offset),
        )
    )


_Blamed = tuple[Entry, Any, DrugRole]


def _suspects(entry: Entry) -> Iterator[_Blamed]:
    """Yield the suspects: those whose every assessment says unlikely are not blamed, only named."""
    for suspect in children(entry.resource, "suspectEntity"):
        said = [code_of(cause.get("assessment")).casefold() for cause in children(suspect, "causality")]
        said = [assessment for assessment in said if assessment]
        unlikely = bool(said) and all(assessment == _UNLIKELY for assessment in said)
        yield entry, suspect.get("instance"), DrugRole.CONCOMITANT if unlikely else DrugRole.SUSPECT


def _due_to(entry: Entry) -> Iterator[_Blamed]:
    """Yield what a condition is said to be due to (extension condition-dueTo)."""
    for extension in children(entry.resource, "extension"):
        if text_of(extension.get("url")) in _DUE_TO:
            value = extension.get("valueCodeableConcept") or extension.get("valueReference")
            yield entry, value, DrugRole.SUSPECT


def _drugs(
    blamed: Iterator[_Blamed] | list[_Blamed], context: ResourceContext, outcome: Outcome
) -> tuple[ReportedDrug, ...]:
    """Return the drugs by ingredient, each in the role that blames it most; count those on no list."""
    roles: dict[str, DrugRole] = {}
    for entry, what, role in blamed:
        named = _names_of(entry, what, context)
        drug = context.intake.drugs.recognise(named.codings)
        if (
            not named.is_whole
            and (reject := Reject(RejectCode.TOO_COMPLEX, entry.path)) not in outcome.rejects[-1:]
        ):
            outcome.rejects.append(reject)
        outcome.ignored += Counter({IgnoreReason.MEDICATION_NOT_FOUND: named.not_found})
        # A drug that is blamed by a code and a name that disagree may be either: both must warn.
        is_either = drug.doubt is HoldCode.CONFLICTING_DRUGS
        blamed_names = drug.may_be if is_either else drug.ingredients
        if not blamed_names:
            reason = IgnoreReason.DRUG_NOT_LISTED if drug.doubt is None else IgnoreReason.DRUG_NOT_RECOGNISED
            outcome.ignored[reason] += 1
        for name in blamed_names:
            if roles.get(name) is not DrugRole.SUSPECT:
                roles[name] = role
    suspects_first = sorted(roles, key=lambda name: (roles[name] is not DrugRole.SUSPECT, name))
    outcome.ignored[IgnoreReason.DRUG_NOT_LISTED] += len(suspects_first[_DRUGS_MAX:])
    return in_order(ReportedDrug(name, roles[name]) for name in suspects_first[:_DRUGS_MAX])


def _names_of(entry: Entry, what: object, context: ResourceContext) -> DrugNames:
    """Return how a drug is named, by a concept or by a reference to a Medication or to what was given of it."""
    if not text_of(child(what, "reference")):
        display = text_of(child(what, "display"))
        names = DrugNames()
        names.add_concept({"text": display} if display else what)
        return names
    place = context.document.place_of(what, entry)
    target = context.document.find(what, entry)
    kind = text_of(child(target, "resourceType")) or ("" if place is None else place.type)
    if kind in _INSTANCES and target is not None:
        found = context.document.find_entry(what, entry)
        return drug_names(target, entry if found is None else found, context.document)
    return drug_names({"medicationReference": what}, entry, context.document)


# Parts of an AllergyIntolerance ------------------------------------------------------------------------------------


def _manifestations(reaction: Resource) -> list[Coded]:
    return [pair for concept in children(reaction, "manifestation") for pair in coded(concept)]


def _substances(resource: Resource, reactions: list[Resource]) -> Iterator[object]:
    """Yield what the reactions name as their substance, else what the allergy is to."""
    named = [reaction["substance"] for reaction in reactions if isinstance(reaction.get("substance"), dict)]
    if named:
        yield from named
    elif isinstance(resource.get("code"), dict) and not finding_table().names_dress(coded(resource["code"])):
        yield resource["code"]
