"""The parts of an E2B(R3) report that become no fact: each is counted under its number in ICH's list.

They are recognised by their place and code alone. Nothing of them is read.
"""

from collections.abc import Iterator
from typing import Final

from pv_stream.ingest.icsr.r3 import (
    CHARACTERISTIC,
    ICH,
    OBSERVATION,
    ORGANIZER,
    components,
    is_coded,
    is_dress_diagnosis,
    role_of,
    sender_diagnoses,
)
from pv_stream.ingest.icsr.syntax import Element, attribute, child, children, name_of
from pv_stream.ingest.outcomes import Fate, IgnoreReason, Outcome

_OTHER: Final = "other element"
#: By the name of an element of the investigation.
_OF_EVENT: Final = {"text": "H.1 narrative"}
#: By the code list and code of what an element holds.
_BY_CODE: Final = {
    (f"{ICH}27", "1"): "C.1.6.1.r document",
    (f"{ICH}27", "2"): "C.4.r literature",
    (f"{ICH}22", "1"): "C.1.8.2 first sender",
    (f"{ICH}22", "2"): "C.2.r primary source",
    (CHARACTERISTIC, "1"): "C.1.3 type of report",
    (CHARACTERISTIC, "2"): "C.1.9 other identifiers",
    (CHARACTERISTIC, "4"): "C.1.11.2 reason",
    (OBSERVATION, "1"): "C.1.6.1 documents available",
    (OBSERVATION, "23"): "C.1.7 expedited",
    (OBSERVATION, "36"): "H.5.r summary",
    (OBSERVATION, "3"): "D.2.2 age",
    (OBSERVATION, "16"): "D.2.2.1 gestation",
    (OBSERVATION, "4"): "D.2.3 age group",
    (OBSERVATION, "17"): "D.4 height",
    (OBSERVATION, "22"): "D.6 last menstruation",
    (OBSERVATION, "32"): "D.9 death",
    (OBSERVATION, "5"): "D.9 death",
}
#: What facts are made of, or context of them.
_READ: Final = frozenset({(OBSERVATION, "29"), (OBSERVATION, "7"), (ORGANIZER, "3"), (ORGANIZER, "4")})
#: What describes an act of HL7 and says nothing of a case.
_ENVELOPE: Final = frozenset({"id", "code", "statuscode", "effectivetime", "availabilitytime"})


def note_rest(message: Element, outcome: Outcome) -> None:
    """Count the parts of a report that no rule uses, and those that are context of its facts."""
    event = child(message, "controlActProcess/subject/investigationEvent")
    for part in _unused(event):
        outcome.ignored[IgnoreReason.ELEMENT_NOT_USED] += 1
        outcome.note(part, Fate.IGNORED)
    for part in _context(event):
        outcome.note(part, Fate.CONTEXT)


def _context(event: Element | None) -> Iterator[str]:
    role = role_of(event)
    if any(
        is_coded(e, CHARACTERISTIC, "3") for e in children(event, "subjectOf2/investigationCharacteristic")
    ):
        yield "C.1.11.1 nullification or amendment"
    for drug in components(role, "4", "substanceAdministration"):
        for each in children(drug, "outboundRelationship2/observation"):
            if is_coded(each, OBSERVATION, "31"):
                yield "G.k.9.i.4 rechallenge"
        if children(drug, "inboundRelationship/act"):
            yield "G.k.8 action taken"


def _unused(event: Element | None) -> Iterator[str]:
    for element in () if event is None else event:
        name = name_of(element)
        if name in _ENVELOPE or child(element, "adverseEventAssessment") is not None:
            continue
        if name == "subjectof1":
            has_id = child(element, "controlActEvent/id") is not None
            yield "C.1.9.1.r other identifier" if has_id else "C.3 sender"
        elif name == "outboundrelationship":
            yield _by_code(element, "C.1.10.r linked report")
        elif (CHARACTERISTIC, "3") not in _codes(element):
            yield _OF_EVENT.get(name) or _by_code(element, _OTHER)
    yield from _unused_of_assessment(event)
    yield from _unused_of_patient(role_of(event))


def _unused_of_assessment(event: Element | None) -> Iterator[str]:
    assessment = child(event, "component/adverseEventAssessment")
    for each in children(assessment, "component/causalityAssessment"):
        if is_coded(each, OBSERVATION, "39"):
            yield "G.k.9.i.2.r causality"
    for each in sender_diagnoses(event):
        if not is_dress_diagnosis(each):
            yield "H.3.r sender's diagnosis"
    for each in children(assessment, "component1/observationEvent"):
        if not is_coded(each, OBSERVATION, "15"):
            yield "H.2 or H.4 comment"


def _unused_of_patient(role: Element | None) -> Iterator[str]:
    for element in () if role is None else role:
        match name_of(element):
            case "player1":
                yield "D.1 patient"
                yield from ("D.1.1 record number" for _ in children(element, "asIdentifiedEntity"))
                yield from ("D.10 parent" for _ in children(element, "role"))
            case "subjectof1":
                yield "C.5 study"
            case _:
                if not _READ & _codes(element) and child(element, "organizer") is None:
                    yield _by_code(element, "D patient, other")
    for name, code in (("D.7.1.r medical history", "1"), ("D.8.r past drug", "2")):
        for kind in ("observation", "substanceAdministration"):
            yield from (name for _ in components(role, code, kind))
    for drug in components(role, "4", "substanceAdministration"):
        yield from ("G.k.9.i.3 interval" for _ in children(drug, "outboundRelationship1"))
        yield from ("G.k.7.r indication" for _ in children(drug, "inboundRelationship/observation"))
        for each in children(drug, "outboundRelationship2/observation"):
            if not is_coded(each, OBSERVATION, "31"):
                yield "G.k, other"


def _by_code(element: Element, otherwise: str) -> str:
    return next((_BY_CODE[coded] for coded in sorted(_codes(element)) if coded in _BY_CODE), otherwise)


def _codes(element: Element) -> frozenset[tuple[str, str]]:
    """Return the codes of what an element holds, as pairs of system and code."""
    codes = [found for held in element for found in children(held, "code")]
    return frozenset((attribute(each, "", "codeSystem"), attribute(each, "", "code")) for each in codes)
