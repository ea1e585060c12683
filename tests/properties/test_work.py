"""What a longer message costs: twice the length at most twice the calls and the memory, for every part that repeats.

Calls of Python and of C are counted, the same on any machine, and the peak of memory. What goes on inside one call of C
(a pattern over a long text, texts that are joined) shows in neither: for long texts sixteen times the length is
compared in CPU time, where quadratic work would cost 256 times as much.
"""

import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import process_time
from types import FrameType
from typing import Any, Final

import pytest

from pv_stream.ingest.fhir.formulary import Formulary
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.icsr.openfda import read_openfda
from pv_stream.ingest.icsr.reader import read_e2b
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Outcome
from tests.fuzzing import new_intake
from tests.unit.ingest.fhir.fhir_messages import (
    DRESS,
    RXNORM,
    UPDATED,
    adverse_event,
    allergy,
    concept,
    condition,
)
from tests.unit.ingest.icsr.safety_reports import Given, Onset, Version, r3, result
from tests.unit.ingest.messages import OBR, PID, SPM, as_json, bundle, medication, msh, observation, obx

#: Twice the length may cost twice the work, and some more for what is looked up in order.
AT_MOST_TIMES: Final = 2.3
#: Events are some thirty times as large in memory as what was sent of them.
MEMORY_PER_BYTE_MAX: Final = 100
COUNTS: Final = (60, 120)
LONGER: Final = 16
#: Far from 16, which it is, and from 256, which it must not be: CPU time is never quite the same.
CPU_AT_MOST_TIMES: Final = 64
TEXT_BYTES: Final = 12_000

Reader = Callable[[bytes, Intake], Outcome]


@dataclass(frozen=True)
class Grown:
    """A message by how often one of its parts is there, and who reads it."""

    read: Reader
    message: Callable[[int], bytes]


def hl7(*segments: str, kind: str = "ORU^R01", pid: str = PID) -> bytes:
    return "\r".join((msh(kind), pid, *segments, "")).encode()


def repeated(kind: str, *segments: str, before: str = "") -> Grown:
    """A message of HL7v2 in which some segments repeat; {} in them is their number."""

    def message(count: int) -> bytes:
        lines = [segment.replace("{}", str(number)) for number in range(count) for segment in segments]
        return hl7(*filter(None, (before,)), *lines, kind=kind)

    return Grown(read_hl7v2, message)


def within(segment: str, part: str, mark: str, *rest: str, kind: str = "ORU^R01") -> Grown:
    """A message of HL7v2 in one of whose fields a part repeats, where {} stands."""

    def message(count: int) -> bytes:
        return hl7(*rest, segment.replace("{}", mark.join([part] * count)), kind=kind)

    return Grown(read_hl7v2, message)


def resources(make: Callable[[int], dict[str, Any]], *others: dict[str, Any]) -> Grown:
    """A Bundle of many resources."""
    return Grown(read_fhir, lambda count: bundle(*map(make, range(count)), *others))


def members(make: Callable[..., dict[str, Any]], name: str, part: Any) -> Grown:
    """A resource with a long list."""
    return Grown(read_fhir, lambda count: as_json(make(**{name: [part] * count})))


def product(number: object, **changes: Any) -> dict[str, Any]:
    return {"resourceType": "Medication", "id": f"m{number}", "code": concept("282388", RXNORM)} | changes


def order(number: int, product_number: object, **changes: Any) -> dict[str, Any]:
    named = {
        "medicationCodeableConcept": None,
        "medicationReference": {"reference": f"Medication/m{product_number}"},
    }
    return medication("MedicationRequest", id=f"r{number}", intent="order", **named | changes)


def patient(**changes: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "p", "meta": {"lastUpdated": UPDATED}} | changes


def report_of(count: int) -> bytes:
    results = [{"reference": f"Observation/o{number}"} for number in range(count)]
    report = {
        "resourceType": "DiagnosticReport",
        "id": "d",
        "status": "final",
        "subject": {"reference": "Patient/p1"},
    }
    made = (observation(id=f"o{number}", effectiveDateTime=None) for number in range(count))
    return bundle(report | {"effectiveDateTime": "2021-04-12", "result": results}, *made)


def deletions(count: int) -> bytes:
    deleted = [{"request": {"method": "DELETE", "url": f"Observation/o{number}"}} for number in range(count)]
    kept = {"resource": observation(), "fullUrl": "https://h.example.org/fhir/Observation/o1"}
    return as_json({"resourceType": "Bundle", "timestamp": UPDATED, "entry": [kept, *deleted]})


def read_export(content: bytes, intake: Intake) -> Outcome:
    """Read one resource to a line, as a bulk export is read."""
    formulary, whole = Formulary(), Outcome()
    formulary.add_documents(content.splitlines())
    for line in content.splitlines():
        whole.events += read_fhir(line, replace(intake, medication_at=formulary.medication_at)).events
    return whole


def export(count: int) -> bytes:
    orders = (order(number, number % 7) for number in range(count))
    return b"\n".join(map(as_json, (*orders, *map(product, range(count)))))


def r2(reactions: str = "", drugs: str = "", tests: str = "") -> bytes:
    head = "<safetyreportid>S</safetyreportid><receiptdate>20260102</receiptdate><companynumb>X</companynumb>"
    said = f"<patient>{reactions}{tests}{drugs}</patient>"
    return f"<ichicsr><safetyreport>{head}{said}</safetyreport></ichicsr>".encode()


REACTION = "<reaction><reactionmeddrapt>Rash {}</reactionmeddrapt></reaction>"
DRUG = "<drug><drugcharacterization>1</drugcharacterization><medicinalproduct>TEGRETOL</medicinalproduct>{}</drug>"
TEST = "<test><testname>eosinophils</testname><testdate>20260101</testdate><testresult>{}</testresult></test>"


def numbered(text: str, count: int) -> str:
    return "".join(text.replace("{}", str(number)) for number in range(count))


def openfda(count: int, **changes: Callable[[int], Any]) -> bytes:
    parts: dict[str, Any] = {
        "reaction": [{"reactionmeddrapt": "RASH"}],
        "drug": [{"drugcharacterization": "1", "medicinalproduct": "TEGRETOL", "drugstartdate": "20210101"}],
    }
    said = {name: list(map(make, range(count))) for name, make in changes.items()}
    return as_json({"safetyreportid": "1", "receiptdate": "20210412", "patient": parts | said})


def _said(number: int) -> dict[str, str]:
    return {"reactionmeddrapt": f"TERM {number}"}


def _taken(number: int) -> dict[str, str]:
    return {"drugcharacterization": "1", "medicinalproduct": f"GLEEVEC {number}"}


RXE = "RXE|^^^20210301|282388^imatinib^RXNORM|400||mg"
CODE = {"coding": [{"system": "http://loinc.org", "code": "711-2"}]}
PART = {name: observation()[name] for name in ("code", "valueQuantity")}

GROWN: Final = {
    "results": repeated("ORU^R01", obx(sub_id="{}"), before=OBR),
    "percentages": repeated("ORU^R01", obx("5", "%", code="713-8^E^LN", sub_id="{}"), before=OBR),
    "groups": repeated("ORU^R01", OBR.replace("FI-1", "FI-{}"), obx(), SPM),
    "specimens": repeated("ORU^R01", SPM, before=f"{OBR}\r{obx()}"),
    "notes": repeated("ORU^R01", "NTE|1||text", before=f"{OBR}\r{obx()}"),
    "lines of their own": repeated("ORU^R01", "a line that is no segment", before=f"{OBR}\r{obx()}"),
    "orders": repeated("RDE^O11", "ORC|NW|{}", RXE, "RXR|PO"),
    "compounds": repeated("RDE^O11", "RXC|B|282388^imatinib^RXNORM", before=f"ORC|NW|1\r{RXE}"),
    "routes": repeated("RDE^O11", "RXR|PO", before=f"ORC|NW|1\r{RXE}"),
    "timings": repeated("RDE^O11", "TQ1|||BID||||20210301", before=f"ORC|NW|1\r{RXE}"),
    "doses given": repeated("RAS^O17", "RXA|0|1|20210301||282388^imatinib^RXNORM|400|mg", before="ORC|NW|1"),
    "diagnoses": repeated("ADT^A01", "DG1|1||D72.12^DRESS^I10C||20210304|F"),
    "merges": repeated("ADT^A40", PID, "MRG|{}^^^NORTH^MR"),
    "merged numbers": within("MRG|{}", "7^^^NORTH^MR", "~", kind="ADT^A40"),
    "numbers of a patient": Grown(
        read_hl7v2, lambda count: hl7(OBR, obx(), pid="PID|1||" + "7^^^N^MR~" * count)
    ),
    "repeated values": within(obx("{}"), "1.69", "~", OBR),
    "components": within(obx(code="{}"), "711-2", "^", OBR),
    "observations": resources(lambda number: observation(id=f"o{number}")),
    "observations of one id": resources(lambda _: observation()),
    "patients": resources(
        lambda number: observation(id=f"o{number}", subject={"reference": f"Patient/{number}"})
    ),
    "components of one": members(observation, "component", PART),
    "components in error": Grown(
        read_fhir,
        lambda count: as_json(observation(status="entered-in-error", component=[{"code": CODE}] * count)),
    ),
    "codings": members(lambda code: observation(code={"coding": code}), "code", {"system": "x", "code": "1"}),
    "contained": members(observation, "contained", {"resourceType": "Specimen", "id": "s"}),
    "extensions": members(observation, "extension", {"url": "x", "valueString": "y"}),
    "results of a report": Grown(read_fhir, report_of),
    "orders of one product": resources(lambda number: order(number, 1), product(1)),
    "orders of a large product": resources(
        lambda number: order(number, 1), product(1, ingredient=[{"itemCodeableConcept": CODE}] * 10)
    ),
    "ingredients": Grown(
        read_fhir,
        lambda count: bundle(order(1, 1), product(1, ingredient=[{"itemCodeableConcept": CODE}] * count)),
    ),
    "dosages": members(
        lambda dosages: order(1, 1, dosageInstruction=dosages),
        "dosages",
        {"doseAndRate": [{"doseQuantity": PART["valueQuantity"]}]},
    ),
    "adverse events": resources(lambda number: adverse_event(id=f"e{number}")),
    "conditions of one event": Grown(
        read_fhir,
        lambda count: bundle(
            adverse_event(resultingCondition=[{"reference": "Condition/r1"}] * count), condition()
        ),
    ),
    "reactions of an allergy": members(
        allergy, "reaction", {"manifestation": [concept(DRESS)], "onset": "2019"}
    ),
    "links": members(patient, "link", {"type": "replaces", "other": {"reference": "Patient/1"}}),
    "identifiers": members(patient, "identifier", {"system": "x", "value": "1"}),
    "deletions": Grown(read_fhir, deletions),
    "lines of an export": Grown(read_export, export),
    "reactions of E2B(R2)": Grown(read_e2b, lambda count: r2(numbered(REACTION, count), DRUG)),
    "drugs of E2B(R2)": Grown(read_e2b, lambda count: r2(REACTION, numbered(DRUG, count))),
    "tests of E2B(R2)": Grown(read_e2b, lambda count: r2(REACTION, DRUG, numbered(TEST, count))),
    "reactions and drugs": Grown(
        read_e2b, lambda count: r2(numbered(REACTION, 6 * count), numbered(DRUG, 6 * count))
    ),
    "reactions of E2B(R3)": Grown(read_e2b, lambda count: r3(Version(reactions=[Onset()] * count))),
    "drugs of E2B(R3)": Grown(read_e2b, lambda count: r3(Version(drugs=[Given()] * count))),
    "dosages of E2B(R3)": Grown(read_e2b, lambda count: r3(Version(drugs=[Given(copies=count)]))),
    "tests of E2B(R3)": Grown(
        read_e2b, lambda count: r3(Version(tests=[result(name="Eosinophil count")] * count))
    ),
    "reactions of openFDA": Grown(read_openfda, lambda count: openfda(count, reaction=_said)),
    "drugs of openFDA": Grown(read_openfda, lambda count: openfda(count, drug=_taken)),
    "reactions and drugs of openFDA": Grown(
        read_openfda, lambda count: openfda(6 * count, reaction=_said, drug=_taken)
    ),
}


@pytest.fixture(scope="module")
def intake() -> Intake:
    """What readers need, with a fixed key and clock."""
    return replace(new_intake(), utc_offset_minutes=0)


def _calls(grown: Grown, content: bytes, intake: Intake) -> int:
    """Count the calls, of Python and of C, that reading takes."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        grown.read(content, intake)
    finally:
        sys.setprofile(before)
    return calls


def _peak_bytes(grown: Grown, content: bytes, intake: Intake) -> int:
    """Return the most memory that reading holds at a time."""
    tracemalloc.start()
    try:
        grown.read(content, intake)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", GROWN)
def test_twice_the_length_is_at_most_twice_the_work_and_the_memory(name: str, intake: Intake) -> None:
    grown = GROWN[name]
    contents = [grown.message(count) for count in COUNTS]
    grown.read(contents[1], intake)  # what is remembered from now on
    once, twice = (_calls(grown, content, intake) for content in contents)
    assert twice <= AT_MOST_TIMES * once, "calls"
    small, large = (_peak_bytes(grown, content, intake) for content in contents)
    assert large <= AT_MOST_TIMES * max(small, len(contents[0])), "bytes"
    assert large <= MEMORY_PER_BYTE_MAX * len(contents[1]), "bytes for each byte"


# Long texts -------------------------------------------------------------------------------------------------------


def text_of(segment: str, part: str, *rest: str, kind: str = "ORU^R01") -> Grown:
    """A message of HL7v2 with a long text where {} stands."""
    return Grown(read_hl7v2, within(segment, part, "", *rest, kind=kind).message)


def value_of(name: str, part: str, around: Callable[[str], Any] = lambda text: text) -> Grown:
    """An Observation with a long text in one member."""
    return Grown(read_fhir, lambda count: as_json(observation(**{name: around(part * count)})))


def _r2_with(where: str, part: str) -> Grown:
    return Grown(
        read_e2b, lambda count: r2(REACTION, DRUG).replace(where.encode(), (where + part * count).encode(), 1)
    )


BACKSLASH = chr(92)
LONG: Final = {
    "digits": text_of(obx("{}"), "5", OBR),
    "spaces around a number": text_of(obx(" {}5 ", kind="ST"), " ", OBR),
    "escapes": text_of(obx("{}"), r"\S\x", OBR),
    "escapes without an end": text_of(obx("{}"), BACKSLASH * 3, OBR),
    "bytes of one escape": text_of(obx(rf"{BACKSLASH}X{{}}{BACKSLASH}"), "41", OBR),
    "layout": text_of(obx("{}5", kind="FT"), r"\.br\ ", OBR),
    "delimiters": text_of(obx("{}"), "^&~", OBR),
    "a unit": text_of(obx(unit="{}"), "m", OBR),
    "a unit of UCUM": text_of(obx(unit="m{}^^UCUM"), ".m", OBR),
    "brackets of UCUM": text_of(obx(unit="{}m^^UCUM"), "(", OBR),
    "a time": text_of(OBR.replace("20210412071500+0200", "{}"), "2", obx()),
    "a product": text_of("RXE||1^{}|400||mg", "imatinib/", "ORC|NW|1", kind="RDE^O11"),
    "words of a label": text_of("RXE||00047040230^{}^NDC|400||mg", "zork ", "ORC|NW|1", kind="RDE^O11"),
    "fields": text_of("ZZZ{}", "|x", OBR, obx()),
    "empty lines": text_of("{}", "\r", OBR, obx()),
    "a number of JSON": Grown(read_fhir, lambda count: as_json(observation()).replace(b"1.69", b"1" * count)),
    "a time of FHIR": value_of("effectiveDateTime", "2"),
    "a reference": value_of("subject", "a/", lambda text: {"reference": f"http://{text}"}),
    "a server": value_of("subject", "A", lambda text: {"reference": f"http://{text}/Patient/"}),
    "a search": value_of("subject", "|", lambda text: {"reference": f"Patient?identifier={text}"}),
    "blanks of XML": _r2_with("<patient>", " "),
    "comments": _r2_with("<patient>", "<!-- x -->"),
    "entities": _r2_with("<medicinalproduct>", "&amp;"),
    "names of E2B": _r2_with("<medicinalproduct>", "x/"),
    "substances of openFDA": Grown(
        read_openfda,
        lambda count: openfda(
            1,
            drug=lambda _: (
                _taken(0) | {"activesubstance": {"activesubstancename": "SUBSTANCE NAME\\" * count}}
            ),
        ),
    ),
}


@pytest.mark.parametrize("name", LONG)
def test_a_text_sixteen_times_as_long_takes_nowhere_near_its_square(name: str, intake: Intake) -> None:
    grown = LONG[name]
    per_part = (len(grown.message(1_000)) - len(grown.message(0))) / 1_000
    count = int(TEXT_BYTES / per_part)
    short, long = (grown.message(count * times) for times in (1, LONGER))
    assert _cpu_seconds(grown, long, intake, 1) <= CPU_AT_MOST_TIMES * _cpu_seconds(grown, short, intake, 3)


def _cpu_seconds(grown: Grown, content: bytes, intake: Intake, times: int) -> float:
    """Return the CPU time of reading, the least of some times, and never so little that it is all chance."""
    found = []
    for _ in range(times):
        before = process_time()
        grown.read(content, intake)
        found.append(process_time() - before)
    return max(min(found), 0.0005)
