"""E2B(R3): one report of a batch, by the element paths of ICH.

Names, birth dates, record numbers, narratives and comments are passed over without being read (`r3_rest`).
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from pv_stream.domain.codes import DrugRole, HoldCode, RechallengeOutcome, ReportOutcome, Status
from pv_stream.domain.facts import Dose
from pv_stream.domain.times import Instant
from pv_stream.ingest.drugs import Coding
from pv_stream.ingest.icsr.laboratory import read_stated
from pv_stream.ingest.icsr.report import (
    Dosage,
    Product,
    Reaction,
    SafetyReport,
    Stated,
    TestResult,
    dose_of,
    lasted_of,
    per_day_of,
    shifted,
    version_of,
)
from pv_stream.ingest.icsr.syntax import Element, attribute, child, children, text_of
from pv_stream.ingest.icsr.tables import HIGHLIGHTED_SERIOUS, OUTCOMES, RECHALLENGES, ROLES, report_table
from pv_stream.ingest.quantities import UcumCode, parse_number
from pv_stream.ingest.times import Moment, hl7_moment, stamp

FORMAT: Final = "e2b_r3"
#: The code systems of ICH; the number of a code list is the last part of its OID.
ICH: Final = "2.16.840.1.113883.3.989.2.1.1."
OBSERVATION: Final = f"{ICH}19"
ORGANIZER: Final = f"{ICH}20"
CHARACTERISTIC: Final = f"{ICH}23"
_OWN_ID: Final = "2.16.840.1.113883.3.989.2.1.3.1"
_WORLDWIDE_ID: Final = "2.16.840.1.113883.3.989.2.1.3.2"
_NULLIFIED, _AMENDED = "1", "2"
_BY_FATHER: Final = "3"
_WITHDRAWN: Final = "1"
#: E.i.3.2a-f, and FDA.E.i.3.2h in a code system of FDA's own.
_CRITERIA: Final = frozenset(
    {
        *((OBSERVATION, code) for code in ("34", "21", "33", "35", "12", "26")),
        ("2.16.840.1.113883.3.989.5.1.2.2.1.3", "7"),
    }
)
#: What a report is refused for, by the element that is missing.
IDENTITY, LATEST, REACTIONS = "C.1.8.1", "C.1.5", "E.i"


def read_r3(message: Element, batch: Element | None, path: str, offset: int | None) -> SafetyReport | str:
    """Read one report, or return the number of a mandatory element that it lacks.

    `offset` is that of times without a zone; `path` begins the paths of its parts.
    """
    control = child(message, "controlActProcess")
    event = child(control, "subject/investigationEvent")
    ids = {attribute(found, "", "root"): attribute(found, "", "extension") for found in children(event, "id")}
    case = ids.get(_WORLDWIDE_ID) or ids.get(_OWN_ID)
    information = attribute(event, "availabilityTime", "value")
    latest = hl7_moment(information, offset)
    role = role_of(event)
    kind = _characteristic(event, "3")
    reactions = observations(role, "29")
    if not case:
        return IDENTITY
    if isinstance(latest, HoldCode):
        return LATEST
    if not reactions and kind != _NULLIFIED:
        return REACTIONS
    created = attribute(control, "effectiveTime", "value")
    return SafetyReport(
        form=FORMAT,
        prefix=path,
        case=case,
        version=version_of(information, created),
        status=Status.CORRECTED if kind == _AMENDED else Status.FINAL,
        is_nullified=kind == _NULLIFIED,
        first=hl7_moment(attribute(event, "effectiveTime/low", "value"), offset),
        latest=latest,
        sent_at=sent_at(message, batch, offset),
        reactions=(
            *(_reaction(each, f"{path}E.i[{n}]", offset) for n, each in enumerate(reactions, start=1)),
            *_diagnoses(event, reactions, path, offset),
        ),
        products=tuple(_products(event, role, reactions, path, offset)),
        tests=tuple(
            _test(each, f"{path}F.r[{n}]", offset)
            for n, each in enumerate(components(role, "3", "observation"), start=1)
        ),
        weight_kg=next((_weight(each) for each in observations(role, "7")), ""),
    )


def role_of(event: Element | None) -> Element | None:
    """Return the patient of a report."""
    return child(event, "component/adverseEventAssessment/subject1/primaryRole")


def observations(role: Element | None, code: str) -> list[Element]:
    """Return what is observed of a patient under a code of ICH."""
    return [each for each in children(role, "subjectOf2/observation") if is_coded(each, OBSERVATION, code)]


def components(role: Element | None, code: str, name: str) -> list[Element]:
    """Return the repeats of a group: history 1, past drugs 2, tests 3, drugs 4."""
    organizers = (each for each in children(role, "subjectOf2/organizer") if is_coded(each, ORGANIZER, code))
    return [found for each in organizers for found in children(each, f"component/{name}")]


def tests_of(message: Element) -> list[Element]:
    """Return the tests of a report in their order (F.r)."""
    return components(
        role_of(child(message, "controlActProcess/subject/investigationEvent")), "3", "observation"
    )


def is_coded(element: Element, system: str, code: str) -> bool:
    """Tell whether an element's own code is this one."""
    return attribute(element, "code", "code") == code and attribute(element, "code", "codeSystem") == system


def sent_at(message: Element, batch: Element | None, offset: int | None) -> Instant | None:
    """Return when a report was sent: its batch (N.1.5), else its message (N.2.r.4), else its creation (C.1.2)."""
    texts = (
        attribute(batch, "creationTime", "value"),
        attribute(message, "creationTime", "value"),
        attribute(message, "controlActProcess/effectiveTime", "value"),
    )
    stamps = (stamp(hl7_moment(text, offset)) for text in texts)
    return next((instant for instant in stamps if instant is not None), None)


def _characteristic(event: Element | None, code: str) -> str:
    found = (
        attribute(each, "value", "code")
        for each in children(event, "subjectOf2/investigationCharacteristic")
        if is_coded(each, CHARACTERISTIC, code)
    )
    return next(found, "")


def _id(element: Element | None) -> tuple[str, str]:
    return attribute(element, "id", "root"), attribute(element, "id", "extension")


# Reactions -------------------------------------------------------------------------------------------------------


def _reaction(element: Element, path: str, offset: int | None) -> Reaction:
    related = children(element, "outboundRelationship2/observation")
    value = child(element, "value")
    names = [text_of(child(value, "originalText")), attribute(value, "", "displayName")]
    names += [text_of(child(each, "value")) for each in related if is_coded(each, OBSERVATION, "30")]
    outcome = _coded_value(related, "27")
    times = _Times(element)
    return Reaction(
        path=path,
        sent=times.sent,
        is_dress=report_table().names_dress([attribute(value, "", "code")], names),
        onset=times.start(offset),
        serious=_serious(related),
        outcome=OUTCOMES.get(outcome, ReportOutcome.UNKNOWN),
    )


def _serious(related: list[Element]) -> bool | None:
    """Return whether a reaction is serious: any criterion says so; that none is given says nothing."""
    for each in related:
        key = (attribute(each, "code", "codeSystem"), attribute(each, "code", "code"))
        if key in _CRITERIA and attribute(each, "value", "value") == "true":
            return True
    return HIGHLIGHTED_SERIOUS.get(_coded_value(related, "37"))


def _coded_value(related: list[Element], code: str) -> str:
    return next((attribute(e, "value", "code") for e in related if is_coded(e, OBSERVATION, code)), "")


def _diagnoses(
    event: Element | None, reactions: list[Element], path: str, offset: int | None
) -> Iterator[Reaction]:
    """Yield a sender's diagnosis of DRESS (H.3.r) as a reaction of its own, at the first onset of the others."""
    read = [_reaction(each, path, offset) for each in reactions]
    onsets = [each.onset for each in read if isinstance(each.onset, Moment)]
    for number, each in enumerate(sender_diagnoses(event), start=1):
        if is_dress_diagnosis(each) and not any(reaction.is_dress for reaction in read):
            first = min(onsets, key=lambda onset: onset.interval.earliest, default=None)
            yield Reaction(
                path=f"{path}H.3.r[{number}]",
                sent="",
                is_dress=True,
                onset=HoldCode.MISSING_TIME if first is None else first,
                serious=True if any(reaction.serious for reaction in read) else None,
                outcome=ReportOutcome.UNKNOWN,
            )


def sender_diagnoses(event: Element | None) -> list[Element]:
    """Return the diagnoses that the sender made of the case."""
    found = children(event, "component/adverseEventAssessment/component1/observationEvent")
    return [each for each in found if is_coded(each, OBSERVATION, "15")]


def is_dress_diagnosis(element: Element) -> bool:
    """Tell whether a sender's diagnosis is DRESS."""
    return report_table().names_dress([attribute(element, "value", "code")], ())


# Drugs -----------------------------------------------------------------------------------------------------------


def _products(
    event: Element | None, role: Element | None, reactions: list[Element], path: str, offset: int | None
) -> Iterator[Product]:
    roles: dict[tuple[str, str], DrugRole] = {}
    for each in children(event, "component/adverseEventAssessment/component/causalityAssessment"):
        stated = ROLES.get(attribute(each, "value", "code"))
        if is_coded(each, OBSERVATION, "20") and stated is not None:
            roles[_id(child(each, "subject2/productUseReference"))] = stated
    ids = [_id(each) for each in reactions]
    # A sender's diagnosis of DRESS may follow the reactions; nothing is known of a rechallenge under it.
    spare = [RechallengeOutcome.OUTCOME_UNKNOWN] * len(sender_diagnoses(event))
    for number, drug in enumerate(components(role, "4", "substanceAdministration"), start=1):
        related = children(drug, "outboundRelationship2/observation")
        rechallenges = _rechallenges(related)
        actions = children(drug, "inboundRelationship/act/code")
        given = [
            found
            for relation in children(drug, "outboundRelationship2")
            if attribute(relation, "", "typeCode") != "FLFS"
            for found in children(relation, "substanceAdministration")
        ]
        at = f"{path}G.k[{number}]"
        yield Product(
            path=at,
            codings=tuple(_codings(drug)),
            role=roles.get(_id(drug)),
            by_father=any(_is_by_father(each) for each in related),
            withdrawn=any(
                attribute(each, "", "codeSystem") == f"{ICH}15" and attribute(each, "", "code") == _WITHDRAWN
                for each in actions
            ),
            rechallenges=(
                *(rechallenges.get(each, RechallengeOutcome.OUTCOME_UNKNOWN) for each in ids),
                *spare,
            ),
            dosages=tuple(_dosage(each, f"{at}.4.r[{n}]", offset) for n, each in enumerate(given, start=1)),
        )


def _rechallenges(related: list[Element]) -> dict[tuple[str, str], RechallengeOutcome]:
    found: dict[tuple[str, str], RechallengeOutcome] = {}
    for each in related:
        outcome = RECHALLENGES.get(attribute(each, "value", "code"))
        if is_coded(each, OBSERVATION, "31") and outcome is not None:
            for reference in children(each, "outboundRelationship1/actReference"):
                found[_id(reference)] = outcome
    return found


def _is_by_father(element: Element) -> bool:
    return (
        is_coded(element, OBSERVATION, "9")
        and attribute(element, "value", "codeSystem") == f"{ICH}17"
        and attribute(element, "value", "code") == _BY_FATHER
    )


def _codings(drug: Element) -> Iterator[Coding]:
    """Yield how a drug is named: as a product (G.k.2.1, G.k.2.2) and by its substances (G.k.2.3.r)."""
    product = child(drug, "consumable/instanceOfKind/kindOfProduct")
    substances = children(product, "ingredient/ingredientSubstance")
    for named in (product, *substances):
        code = child(named, "code")
        name = text_of(child(named, "name"))
        yield Coding(attribute(code, "", "codeSystem"), attribute(code, "", "code"), name)


def _dosage(element: Element, path: str, offset: int | None) -> Dosage:
    times = _Times(element)
    dose = child(element, "doseQuantity")
    parent = (
        is_coded(each, OBSERVATION, "28") for each in children(element, "inboundRelationship/observation")
    )
    return Dosage(
        path=path,
        sent=times.sent,
        start=hl7_moment(times.low, offset),
        end=hl7_moment(times.high, offset),
        lasted=lasted_of(*times.width),
        dose=_dose(dose, times.period),
        route_code=attribute(element, "routeCode", "code"),
        to_parent=any(parent),
    )


def _dose(element: Element | None, period: tuple[str, str]) -> Dose | None:
    amount, unit = attribute(element, "", "value"), attribute(element, "", "unit")
    every: Decimal | None = per_day_of("1", *period)
    return dose_of(amount, unit, every)


class _Times:
    """Hold the times of an element: bounds, width and period, whichever of HL7's types they come in."""

    def __init__(self, element: Element) -> None:
        """Look into the time itself and into the parts of a combined one."""
        whole = children(element, "effectiveTime")
        nodes = [*whole, *(part for each in whole for part in children(each, "comp"))]
        self.low = self._first(nodes, "low")
        self.high = self._first(nodes, "high")
        self.width = (self._first(nodes, "width"), self._first(nodes, "width", "unit"))
        self.period = (self._first(nodes, "period"), self._first(nodes, "period", "unit"))
        self.sent = "\x1f".join((self.low, self.high, *self.width))

    @staticmethod
    def _first(nodes: list[Element], path: str, name: str = "value") -> str:
        return next((found for node in nodes if (found := attribute(node, path, name))), "")

    def start(self, offset: int | None) -> Moment | HoldCode:
        """Return the beginning, else what the end and the width say of it."""
        start, end, lasted = (
            hl7_moment(self.low, offset),
            hl7_moment(self.high, offset),
            lasted_of(*self.width),
        )
        if start is HoldCode.MISSING_TIME and isinstance(end, Moment) and lasted is not None:
            return shifted(end, (-lasted[1], -lasted[0]))
        return start


# Tests -----------------------------------------------------------------------------------------------------------


def _test(element: Element, path: str, offset: int | None) -> TestResult:
    code = child(element, "code")
    values = [_stated(value) for value in children(element, "value")]
    measured = (value for value in values if value.unused is None)
    return TestResult(
        path,
        ((attribute(code, "", "codeSystem"), attribute(code, "", "code")),),
        text_of(child(code, "originalText")),
        hl7_moment(attribute(element, "effectiveTime", "value"), offset),
        next(measured, values[0] if values else read_stated("")),
    )


def _stated(value: Element) -> Stated:
    """Read a result: a point or one bound (F.r.3.2), two bounds, or text (F.r.3.4)."""
    point = child(value, "center")
    point = value if point is None else point
    text = attribute(point, "", "value")
    if text:
        return Stated(parse_number(text), text, _units(point))
    low, high = child(value, "low"), child(value, "high")
    least, most = attribute(low, "", "value"), attribute(high, "", "value")
    if least and most:
        return Stated(None, f"{least}-{most}", _units(low))
    bound, text, sign = (low, least, ">") if least else (high, most, "<")
    if not text:
        return read_stated(text_of(value))
    sign += "" if attribute(bound, "", "inclusive") == "false" else "="
    return Stated(parse_number(f"{sign}{text}"), f"{sign}{text}", _units(bound))


def _units(element: Element | None) -> tuple[UcumCode, ...]:
    """Return the unit of a PQ, which is UCUM by its type."""
    unit = attribute(element, "", "unit")
    return (UcumCode(unit),) if unit else ()


def _weight(element: Element) -> str:
    unit = attribute(element, "value", "unit")
    return attribute(element, "value", "value") if unit in {"kg", ""} else ""
