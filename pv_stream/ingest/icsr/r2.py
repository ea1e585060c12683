"""E2B(R2): one report of an ichicsr document, in the element names of ICH's DTD 2.1.

Times come with a format code, which their length says as well. R2 has no amendment: a version is told by its dates
and `safetyreportversion`. Tests are named in free text.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import repeat
from typing import Final

from pv_stream.domain.codes import HoldCode, RechallengeOutcome, ReportOutcome, Status
from pv_stream.domain.facts import Dose
from pv_stream.ingest.drugs import Coding
from pv_stream.ingest.icsr.laboratory import read_stated
from pv_stream.ingest.icsr.r3 import IDENTITY, LATEST, REACTIONS
from pv_stream.ingest.icsr.report import (
    Dosage,
    Product,
    Reaction,
    SafetyReport,
    TestResult,
    dose_of,
    lasted_of,
    per_day_of,
    shifted,
    version_of,
)
from pv_stream.ingest.icsr.syntax import Element, name_of, r2_children, r2_text
from pv_stream.ingest.icsr.tables import HIGHLIGHTED_SERIOUS, OUTCOMES, RECHALLENGES, ROLES, report_table
from pv_stream.ingest.outcomes import Fate, IgnoreReason, Outcome
from pv_stream.ingest.times import Moment, hl7_moment, stamp

FORMAT: Final = "e2b_r2"
_YES: Final = "1"
_NO: Final = "2"
_WITHDRAWN: Final = "1"
_VERSION_MAX: Final = 9_999
_VERSION_DIGITS_MAX: Final = 9
#: The versions of a day are within a second each, so they never reach into the next.
#: The safety report version has no number in ICH's list of E2B(R3).
VERSION: Final = "safetyreportversion"
_MISSING: Final = HoldCode.MISSING_TIME
#: The children of a report and of a patient that become no fact, by their number in ICH's list.
_PARTS: Final = {
    "primarysource": "A.2 primary source",
    "sender": "A.3 sender",
    "receiver": "A.3 receiver",
    "reportduplicate": "A.1.11 duplicate",
    "linkedreport": "A.1.12 linked report",
    "medicalhistoryepisode": "B.1.7.1 medical history",
    "patientpastdrugtherapy": "B.1.8 past drug",
    "patientdeath": "B.1.9 death",
    "parent": "B.1.10 parent",
    "summary": "B.5 narrative",
}
_RECORD_NUMBERS: Final = "recordnumb"


def read_r2(element: Element, batch: Element, path: str, offset: int | None) -> SafetyReport | str:
    """Read one report, or return the number of a mandatory element that it lacks (as E2B(R3) counts)."""
    patient = next(r2_children(element, "patient"), None)
    # The worldwide identification (A.1.10) is C.1.8.1 of E2B(R3): both versions of a case are one case.
    names = ("authoritynumb", "companynumb", "safetyreportid")
    case = next((text for name in names if (text := r2_text(element, name))), "")
    information = r2_text(element, "receiptdate")
    latest = hl7_moment(information, offset)
    is_nullified = r2_text(element, "casenullification") == _YES
    reactions = list(r2_children(patient, "reaction"))
    if not case:
        return IDENTITY
    if isinstance(latest, HoldCode):
        return LATEST
    if not reactions and not is_nullified:
        return REACTIONS
    number = _number(element)
    if number is None:
        return VERSION
    header = next(r2_children(batch, "ichicsrmessageheader"), None)
    sent = r2_text(header, "messagedate")
    return SafetyReport(
        form=FORMAT,
        prefix=path,
        case=case,
        version=version_of(information, r2_text(element, "transmissiondate") or sent, number),
        status=Status.FINAL,
        is_nullified=is_nullified,
        first=hl7_moment(r2_text(element, "receivedate"), offset),
        latest=latest,
        sent_at=stamp(hl7_moment(sent, offset)),
        reactions=tuple(
            _reaction(each, element, f"{path}B.2[{n}]", offset) for n, each in enumerate(reactions, start=1)
        ),
        products=tuple(
            _product(each, reactions, f"{path}B.4[{n}]", offset)
            for n, each in enumerate(r2_children(patient, "drug"), start=1)
        ),
        tests=tuple(
            _test(each, f"{path}B.3[{n}]", offset)
            for n, each in enumerate(r2_children(patient, "test"), start=1)
        ),
        weight_kg=r2_text(patient, "patientweight"),
    )


def note_rest(element: Element, outcome: Outcome) -> None:
    """Count the parts of a report that become no fact. Nothing of them is read."""
    patient = next(r2_children(element, "patient"), None)
    for parent in (element, patient):
        for each in () if parent is None else parent:
            name = name_of(each)
            part = _PARTS.get(name) or ("B.1.1 record number" if name.endswith(_RECORD_NUMBERS) else None)
            if part is not None:
                outcome.ignored[IgnoreReason.ELEMENT_NOT_USED] += 1
                outcome.note(part, Fate.IGNORED)
    for drug in r2_children(patient, "drug"):
        for name, part in (
            ("drugrecurreadministration", "B.4.k.17 rechallenge"),
            ("actiondrug", "B.4.k.16 action"),
        ):
            if r2_text(drug, name):
                outcome.note(part, Fate.CONTEXT)
        for _ in r2_children(drug, "drugreactionrelatedness"):
            outcome.ignored[IgnoreReason.ELEMENT_NOT_USED] += 1
            outcome.note("B.4.k.18 causality", Fate.IGNORED)


def _number(element: Element) -> int | None:
    """Return the number of a version, 0 without one; None where it cannot be read, so that nothing tells its place."""
    text = r2_text(element, "safetyreportversion")
    if not text:
        return 0
    is_number = text.isascii() and text.isdigit() and len(text) <= _VERSION_DIGITS_MAX
    return min(int(text), _VERSION_MAX) if is_number else None


def _seriousness(element: Element) -> bool | None:
    stated = r2_text(element, "serious")
    criteria = ("death", "lifethreatening", "hospitalization", "disabling", "congenitalanomali", "other")
    if stated == _YES or any(r2_text(element, f"seriousness{name}") == _YES for name in criteria):
        return True
    return False if stated == _NO else None


def _terms(element: Element) -> list[str]:
    names = ("reactionmeddrapt", "reactionmeddrallt", "primarysourcereaction")
    return [text for name in names if (text := r2_text(element, name))]


def _reaction(element: Element, report: Element, path: str, offset: int | None) -> Reaction:
    serious = _seriousness(report)
    highlighted = HIGHLIGHTED_SERIOUS.get(r2_text(element, "termhighlighted"))
    start, end = r2_text(element, "reactionstartdate"), r2_text(element, "reactionenddate")
    length = (r2_text(element, "reactionduration"), r2_text(element, "reactiondurationunit"))
    onset, until, lasted = hl7_moment(start, offset), hl7_moment(end, offset), lasted_of(*length)
    if onset is _MISSING and isinstance(until, Moment) and lasted is not None:
        onset = shifted(until, (-lasted[1], -lasted[0]))
    terms = _terms(element)
    return Reaction(
        path=path,
        sent="\x1f".join((start, end, *length)),
        is_dress=report_table().names_dress(terms, terms),
        onset=onset,
        serious=serious if serious or highlighted is None else highlighted,
        outcome=OUTCOMES.get(r2_text(element, "reactionoutcome"), ReportOutcome.UNKNOWN),
    )


def _product(element: Element, reactions: list[Element], path: str, offset: int | None) -> Product:
    return Product(
        path=path,
        codings=tuple(_codings(element)),
        role=ROLES.get(r2_text(element, "drugcharacterization")),
        by_father=False,
        withdrawn=r2_text(element, "actiondrug") == _WITHDRAWN,
        rechallenges=tuple(_rechallenges(element, reactions)),
        dosages=(_dosage(element, path, offset),),
    )


def _codings(element: Element) -> Iterator[Coding]:
    yield Coding("", "", r2_text(element, "medicinalproduct"))
    for substance in r2_children(element, "activesubstance"):
        yield Coding("", "", r2_text(substance, "activesubstancename"))


def _rechallenges(drug: Element, reactions: list[Element]) -> Iterator[RechallengeOutcome]:
    """Yield what giving a drug again showed; if it is said which reactions came back, of others nothing is known."""
    outcome = RECHALLENGES.get(r2_text(drug, "drugrecurreadministration"), RechallengeOutcome.OUTCOME_UNKNOWN)
    came_back = {
        r2_text(each, "drugrecuraction").casefold() for each in r2_children(drug, "drugrecurrence")
    } - {""}
    if outcome is not RechallengeOutcome.RECURRED or not came_back:
        yield from repeat(outcome, len(reactions))
        return
    for reaction in reactions:
        is_named = any(term.casefold() in came_back for term in _terms(reaction))
        yield outcome if is_named else RechallengeOutcome.OUTCOME_UNKNOWN


def _dosage(element: Element, path: str, offset: int | None) -> Dosage:
    start, end = r2_text(element, "drugstartdate"), r2_text(element, "drugenddate")
    length = (r2_text(element, "drugtreatmentduration"), r2_text(element, "drugtreatmentdurationunit"))
    return Dosage(
        path=path,
        sent="\x1f".join((start, end, *length)),
        start=hl7_moment(start, offset),
        end=hl7_moment(end, offset),
        lasted=lasted_of(*length),
        dose=_dose(element),
        route_code=r2_text(element, "drugadministrationroute"),
        to_parent=bool(r2_text(element, "drugparadministration")),
    )


def _dose(element: Element) -> Dose | None:
    unit = report_table().dose_units.get(r2_text(element, "drugstructuredosageunit"), "")
    per_day: Decimal | None = per_day_of(
        r2_text(element, "drugseparatedosagenumb"),
        r2_text(element, "drugintervaldosageunitnumb"),
        r2_text(element, "drugintervaldosagedefinition"),
    )
    return dose_of(r2_text(element, "drugstructuredosagenumb"), unit, per_day)


def _test(element: Element, path: str, offset: int | None) -> TestResult:
    unit = r2_text(element, "testunit")
    return TestResult(
        path,
        (),
        r2_text(element, "testname"),
        hl7_moment(r2_text(element, "testdate"), offset),
        read_stated(r2_text(element, "testresult"), (unit,) if unit else ()),
    )
