"""openFDA drug/event: reports of FAERS as JSON, one report to a message.

The elements are those of E2B(R2), so a report is handed to its reader as a tree of the same names, and its facts are
made where those of E2B are. What is openFDA's own stands here:

- A report is known by `safetyreportid`, its versions by `safetyreportversion`. openFDA knows no nullification.
- A reaction has no date. `patient.summary.narrativeincludeclinical` holds no narrative but the date of the event.
- Sections named `openfda` are FDA's annotation: every product with a matching name. They are asked only where what was
  reported names no listed drug, and believed only when all of them hold the same listed ingredients.

Dates have no time and no zone, so no report says when it was received: `--received-at` does.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from lxml import etree

from pv_stream.domain.codes import HoldCode
from pv_stream.ingest.drugs import Coding
from pv_stream.ingest.fhir.resources import NoMeasurement, TooDeepError, child, children, parse_json, text_of
from pv_stream.ingest.icsr.facts import tell
from pv_stream.ingest.icsr.r2 import read_r2
from pv_stream.ingest.icsr.report import Product, SafetyReport
from pv_stream.ingest.icsr.syntax import Element
from pv_stream.ingest.intake import Envelope, Intake, digest_of
from pv_stream.ingest.outcomes import Fate, IgnoreReason, Outcome, Reject, RejectCode, rejected
from pv_stream.ingest.times import hl7_moment

FORMAT: Final = "openfda"
_RXNORM: Final = "RXNORM"
_UNII: Final = "UNII"
_NO_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DEPTH_MAX: Final = 6
#: Each drug says something of each reaction; the longest reports have some hundred of both.
PAIRS_MAX: Final = 100_000
_EVENT_DATE: Final = re.compile(r"CASE EVENT DATE: ?(\d{4}(?:\d{2}){0,2})", re.ASCII)
#: FAERS writes the ingredients of one product with backslashes between them.
_SUBSTANCES: Final = re.compile(r"[\\;]")
#: The number of a record in the WHO Drug dictionary, which some senders write behind a name.
_RECORD_NUMBER: Final = re.compile(r" ?/\d{8}/$", re.ASCII)
_VERSION_NUMBER: Final = "safetyreportversion"
_VERSION: Final = re.compile(r"\d{1,4}", re.ASCII)
#: Days since 1970 fit into so many bits until the year 2328.
_DAY_BITS: Final = 17
_DAY_MICROSECONDS: Final = 86_400_000_000
#: What the facts of E2B are counted under, by the name that openFDA has for it.
_PARTS: Final = {
    "E.i reaction": "patient.reaction",
    "G.k drug": "patient.drug",
    "G.k.4.r dosage": "patient.drug dosage",
    "D.3 body weight": "patient.patientweight",
}
_IDENTIFICATION: Final = "safetyreport"
_RESULTS: Final = "results"
#: What of a patient stands in a list, and what else is an object.
_LISTS: Final = ("drug", "reaction")
_OBJECTS: Final = ("patient", "drugrecurrence")
#: The elements of E2B(R2) that rules use; openFDA has no nullification.
_ASKED_FOR: Final = frozenset(
    {
        *_LISTS, *_OBJECTS, "safetyreportid", "receiptdate", "receivedate", "transmissiondate", "serious",
        "seriousnessdeath", "seriousnesslifethreatening", "seriousnesshospitalization", "seriousnessdisabling",
        "seriousnesscongenitalanomali", "seriousnessother", "patientweight", "reactionmeddrapt", "reactionoutcome",
        "drugcharacterization", "actiondrug", "drugrecurreadministration", "drugrecuraction", "drugstartdate",
        "drugenddate", "drugtreatmentduration", "drugtreatmentdurationunit", "drugadministrationroute",
        "drugstructuredosagenumb", "drugstructuredosageunit", "drugseparatedosagenumb", "drugintervaldosageunitnumb",
        "drugintervaldosagedefinition",
    }
)  # fmt: skip
_NOT_USED: Final = ("primarysource", "sender", "receiver", "reportduplicate")
_NOT_USED_OF_PATIENT: Final = ("patientdeath",)


def read_openfda(content: bytes, intake: Intake) -> Outcome:
    """Read one report."""
    sent = _report_in(content)
    if isinstance(sent, Reject):
        return _refused(sent) if sent.path else rejected(sent.code)
    report = _read(sent, intake)
    received_at = intake.received(None)
    if isinstance(report, Reject):
        return _refused(report)
    if isinstance(received_at, RejectCode):
        return _refused(Reject(received_at))
    outcome = Outcome()
    outcome.note(_IDENTIFICATION, Fate.CONTEXT)
    _note_rest(sent, outcome)
    tell(report, intake, Envelope(FORMAT, digest_of(content), received_at), outcome)
    for (part, fate), count in tuple(outcome.parts.items()):
        if part in _PARTS:
            del outcome.parts[part, fate]
            outcome.parts[_PARTS[part], fate] += count
    return outcome


def _report_in(content: bytes) -> dict[str, Any] | Reject:
    """Return the object that a report is; a file of reports comes here whole where its array is none, or holds none."""
    if not content.strip():
        return Reject(RejectCode.EMPTY)
    try:
        sent = parse_json(content)
    except TooDeepError:
        return Reject(RejectCode.TOO_COMPLEX)
    except ValueError:
        return Reject(RejectCode.MALFORMED_JSON)
    if not isinstance(sent, dict):
        return Reject(RejectCode.EMPTY if sent == [] else RejectCode.INVALID_RESOURCE)
    if _RESULTS in sent:
        return (
            Reject(RejectCode.EMPTY)
            if sent[_RESULTS] == []
            else Reject(RejectCode.INVALID_RESOURCE, _RESULTS)
        )
    return sent


def _refused(reject: Reject) -> Outcome:
    outcome = Outcome(rejects=[reject])
    outcome.note(_IDENTIFICATION, Fate.REJECTED)
    return outcome


def _read(sent: dict[str, Any], intake: Intake) -> SafetyReport | Reject:
    """Return the report, or why it is refused."""
    case, patient = _text(sent.get("safetyreportid")), sent.get("patient")
    reactions, drugs = (tuple(children(patient, name)) for name in ("reaction", "drug"))
    if not case or not reactions:
        return Reject(RejectCode.INCOMPLETE_REPORT, "patient.reaction" if case else "safetyreportid")
    if len(reactions) * len(drugs) > PAIRS_MAX:
        return Reject(RejectCode.TOO_COMPLEX, "patient.drug")
    version = _version(sent)
    if version is None:
        return Reject(RejectCode.INCOMPLETE_REPORT, _VERSION_NUMBER)
    tree = _tree("safetyreport", sent, 0)
    _complete(tree, sent)
    report = read_r2(tree, etree.Element("ichicsr"), "", intake.utc_offset_minutes)
    if isinstance(report, str):
        return Reject(RejectCode.INCOMPLETE_REPORT, "receiptdate")
    return replace(
        report,
        form=FORMAT,
        # openFDA counts reports by itself: the same number elsewhere is not the same case.
        case=f"openfda {case}",
        version=version,
        is_nullified=False,
        reactions=tuple(
            replace(reaction, path=f"patient.reaction[{number}]")
            for number, reaction in enumerate(report.reactions, start=1)
        ),
        products=tuple(
            _product(product, drug, f"patient.drug[{number}]", intake)
            for number, (product, drug) in enumerate(zip(report.products, drugs, strict=True), start=1)
        ),
    )


def _tree(name: str, value: dict[str, Any], depth: int) -> Element:
    """Return an object as an element of E2B(R2): a list is an element repeated, other members are text.

    What its reader does not ask for is left out, so that an element has no more children than the standard has names.
    """
    element = etree.Element(name)
    for key in sorted(_ASKED_FOR & value.keys()):
        member = value[key]
        if key in _LISTS:
            objects = children(value, key)
        elif key in _OBJECTS:
            objects = children(value, key) if isinstance(member, list) else children({key: [member]}, key)
        elif text := _text(member):
            etree.SubElement(element, key).text = _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
            continue
        else:
            continue
        if depth < _DEPTH_MAX:
            element.extend(_tree(key, each, depth + 1) for each in objects)
    return element


def _complete(tree: Element, sent: dict[str, Any]) -> None:
    """Fill in what E2B(R2) has elsewhere: the most recent information, and the onset of each reaction."""
    if not _text(sent.get("receiptdate")):
        instead = _text(sent.get("receivedate")) or _text(sent.get("transmissiondate"))
        etree.SubElement(tree, "receiptdate").text = instead
    onset = _event_date(sent)
    for reaction in tree.iterfind("patient/reaction") if onset else ():
        etree.SubElement(reaction, "reactionstartdate").text = onset


def _event_date(sent: dict[str, Any]) -> str:
    summary = text_of(child(child(sent.get("patient"), "summary"), "narrativeincludeclinical"))
    found = _EVENT_DATE.fullmatch(summary)
    return "" if found is None else found[1]


def _version(sent: dict[str, Any]) -> int | None:
    """Return the place of a version: by its number, then by its most recent information, then by its transmission.

    One without a number is the first of all; None where the number cannot be read, since any place would be a guess.
    """
    stated = sent.get(_VERSION_NUMBER)
    is_stated = stated is not None and stated != ""
    number = _text(stated)
    if is_stated and _VERSION.fullmatch(number) is None:
        return None
    version = int(number) if is_stated else 0
    for name in ("receiptdate", "transmissiondate"):
        moment = hl7_moment(_text(sent.get(name)), 0)
        day = 0 if isinstance(moment, HoldCode) else moment.interval.earliest // _DAY_MICROSECONDS
        version = (version << _DAY_BITS) + max(day, 0)
    return version


def _product(product: Product, drug: dict[str, Any], path: str, intake: Intake) -> Product:
    codings = tuple(_reported(drug))
    if not intake.drugs.recognise(codings).is_known:
        codings = (*codings, *_annotated(drug, intake))
    dosages = tuple(replace(dosage, path=path) for dosage in product.dosages)
    return replace(product, path=path, codings=codings, dosages=dosages)


def _reported(drug: dict[str, Any]) -> Iterator[Coding]:
    yield Coding("", "", _RECORD_NUMBER.sub("", _text(drug.get("medicinalproduct"))))
    for substance in _SUBSTANCES.split(text_of(child(drug.get("activesubstance"), "activesubstancename"))):
        if substance.strip():
            yield Coding("", "", substance)


def _annotated(drug: dict[str, Any], intake: Intake) -> tuple[Coding, ...]:
    """Return FDA's annotation when all of it is of one mind, else nothing: it may be of another product."""
    annotation, recognise = drug.get("openfda"), intake.drugs.recognise
    names = _texts(annotation, "substance_name") or _texts(annotation, "generic_name")
    named = tuple(Coding("", "", name) for name in names)
    products = tuple(Coding(_RXNORM, code) for code in _texts(annotation, "rxcui"))
    said = {recognise((product,)).ingredients for product in products}
    said |= {recognise(named).ingredients} if products and named else set()
    if len(said) == 1 and () not in said:
        return (*products, *named)
    if not products and len(named) == 1 and recognise(named).is_known:
        return named
    # One substance is one mind too: of a drug that no list knows it is the name.
    substances = tuple(Coding(_UNII, code) for code in _texts(annotation, "unii"))
    return substances if len(substances) == 1 and said <= {(), recognise(substances).ingredients} else ()


def _texts(annotation: object, name: str) -> tuple[str, ...]:
    members = child(annotation, name)
    found = {_text(member) for member in members} if isinstance(members, list) else set()
    return tuple(sorted(found - {""}))


def _text(value: object) -> str:
    """Return a member as text: openFDA writes numbers as text, others that pass its reports on do not."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, NoMeasurement):
        return value.text
    return (
        format(value, "f")
        if isinstance(value, Decimal)
        else text_of(str(value) if isinstance(value, int) else value)
    )


def _note_rest(sent: dict[str, Any], outcome: Outcome) -> None:
    """Count the parts of a report that become no fact."""
    patient = sent.get("patient")
    unused = [name for name in _NOT_USED if sent.get(name)]
    unused += [f"patient.{name}" for name in _NOT_USED_OF_PATIENT if child(patient, name)]
    if child(patient, "summary"):
        if _event_date(sent):
            outcome.note("patient.summary", Fate.CONTEXT)
        else:
            unused.append("patient.summary")
    for part in unused:
        outcome.ignored[IgnoreReason.ELEMENT_NOT_USED] += 1
        outcome.note(part, Fate.IGNORED)
    if _text(sent.get("duplicate")):
        outcome.note("duplicate", Fate.CONTEXT)
    for name in _LISTS:
        members = child(patient, name)
        unread = [
            f"patient.{name}[{number}]"
            for number, member in enumerate(members if isinstance(members, list) else (), start=1)
            if not isinstance(member, dict)
        ]
        for path in unread if isinstance(members, list) or not members else (f"patient.{name}",):
            outcome.rejects.append(Reject(RejectCode.INVALID_RESOURCE, path))
            outcome.note(f"patient.{name}", Fate.REJECTED)
    for drug in children(patient, "drug"):
        if drug.get("openfda"):
            outcome.note("patient.drug openfda", Fate.CONTEXT)
