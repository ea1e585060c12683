"""The messages that the readers are measured on: what hospitals send, made up from a seed.

HL7v2 as laboratories, pharmacies and admissions send it, FHIR R4 as servers export it: with the names, notes,
reference ranges and results around the few values that rules use. Safety reports are in `safety_reports`. Nobody here
exists. What a message holds and how often each kind comes are assumptions made to measure with. The same seed gives
the same messages on every machine: only `Random.random()` is used, and each message can be made without the others.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

#: So many patients share the messages, as in a hospital of a few hundred beds and its outpatients.
PATIENTS: Final = 20_000
SECONDS_APART: Final = 20
START: Final = datetime(2021, 1, 4, tzinfo=UTC)
_SURNAMES: Final = ("HERON", "PLOVER", "WREN", "TERN", "AVOCET", "DUNLIN", "KNOT", "CURLEW", "GODWIT", "RUFF")
_NAMES: Final = ("PIPER", "WANDA", "TESSA", "HENRY", "ADA", "DORA", "KEN", "CARL", "GWEN", "RALPH")
#: LOINC, name, unit, and the range of values in units of the last decimal, with the number of decimals.
COUNTS: Final = (
    ("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10*3/uL", 35, 140, 1),
    ("789-8", "Erythrocytes [#/volume] in Blood by Automated count", "10*6/uL", 35, 60, 1),
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 90, 170, 1),
    ("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count", "%", 300, 500, 1),
    ("787-2", "MCV [Entitic volume] by Automated count", "fL", 780, 1000, 1),
    ("785-6", "MCH [Entitic mass] by Automated count", "pg", 260, 340, 1),
    ("777-3", "Platelets [#/volume] in Blood by Automated count", "10*3/uL", 120, 420, 0),
    ("770-8", "Neutrophils/100 leukocytes in Blood by Automated count", "%", 400, 750, 1),
    ("736-9", "Lymphocytes/100 leukocytes in Blood by Automated count", "%", 150, 450, 1),
    ("5905-5", "Monocytes/100 leukocytes in Blood by Automated count", "%", 20, 100, 1),
    ("713-8", "Eosinophils/100 leukocytes in Blood by Automated count", "%", 0, 150, 1),
    ("706-2", "Basophils/100 leukocytes in Blood by Automated count", "%", 0, 20, 1),
    ("751-8", "Neutrophils [#/volume] in Blood by Automated count", "10*3/uL", 150, 800, 2),
    ("731-0", "Lymphocytes [#/volume] in Blood by Automated count", "10*3/uL", 80, 400, 2),
    ("711-2", "Eosinophils [#/volume] in Blood by Automated count", "10*3/uL", 5, 210, 2),
)
CHEMISTRY: Final = (
    ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", 65, 220, 0),
    ("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma", "mg/dL", 5, 40, 0),
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", 50, 260, 2),
    ("2951-2", "Sodium [Moles/volume] in Serum or Plasma", "mmol/L", 128, 148, 0),
    ("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", 30, 56, 1),
    ("17861-6", "Calcium [Mass/volume] in Serum or Plasma", "mg/dL", 78, 106, 1),
    ("1751-7", "Albumin [Mass/volume] in Serum or Plasma", "g/dL", 22, 50, 1),
    ("1975-2", "Bilirubin.total [Mass/volume] in Serum or Plasma", "mg/dL", 2, 60, 1),
    ("6768-6", "Alkaline phosphatase [Enzymatic activity/volume] in Serum or Plasma", "U/L", 35, 320, 0),
    ("1742-6", "Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma", "U/L", 8, 400, 0),
    ("1920-8", "Aspartate aminotransferase [Enzymatic activity/volume] in Serum or Plasma", "U/L", 8, 380, 0),
)
#: RxNorm, name, milligrams of a dose. Rules use the first five.
DRUGS: Final = (
    ("519", "allopurinol", 300),
    ("28439", "lamotrigine", 100),
    ("11124", "vancomycin", 1000),
    ("2002", "carbamazepine", 200),
    ("282388", "imatinib", 400),
    ("161", "acetaminophen", 500),
    ("67108", "enoxaparin", 40),
    ("40790", "pantoprazole", 40),
    ("6918", "metoprolol", 50),
    ("4603", "furosemide", 40),
)
_LOINC: Final = "http://loinc.org"
_UCUM: Final = "http://unitsofmeasure.org"
_RXNORM: Final = "http://www.nlm.nih.gov/research/umls/rxnorm"
_SERVER: Final = "https://fhir.example.org/r4"
OID: Final = "2.16.840.1.113883"
Test = tuple[str, str, str, int, int, int]


@dataclass(frozen=True, slots=True)
class Case:
    """Hold who a message is about and when it is sent, and draw whatever else it says."""

    number: int
    patient: int
    sent: datetime
    random: Random

    def between(self, low: int, high: int) -> int:
        return low + int(self.random.random() * (high - low + 1))

    def one_of(self, choices: Sequence[_T]) -> _T:
        return choices[int(self.random.random() * len(choices))]

    def happens(self, share: float) -> bool:
        return self.random.random() < share

    def value(self, test: Test) -> str:
        """Draw a result as an analyser writes it."""
        low, high, decimals = test[3:]
        drawn = self.between(low, high)
        return f"{drawn / 10**decimals:.{decimals}f}"

    def at(self, *, minutes_ago: int = 0) -> datetime:
        return self.sent - timedelta(minutes=minutes_ago)


def case(number: int, *, seed: int, kind: str) -> Case:
    """Return what the message of a number is made from."""
    drawn = Random(f"{seed}/{kind}/{number}")
    sent = START + timedelta(seconds=number * SECONDS_APART)
    return Case(number, int(drawn.random() * PATIENTS), sent, drawn)


# HL7v2 ---------------------------------------------------------------------------------------------------------------


def hl7_time(moment: datetime) -> str:
    return moment.strftime("%Y%m%d%H%M%S") + "+0000"


def _header(case: Case, kind: str, structure: str, application: str) -> list[str]:
    """Return MSH, PID and PV1."""
    mrn, surname, name = f"{case.patient:07d}", case.patient % len(_SURNAMES), case.patient % len(_NAMES)
    born = f"{1930 + case.patient % 75}{1 + case.patient % 12:02d}{1 + case.patient % 28:02d}"
    sex = "FM"[case.patient % 2]
    return [
        (
            f"MSH|^~\\&|{application}|NORTH|EHR|NORTH|{hl7_time(case.sent)}||{kind}^{structure}|"
            f"{application}{case.number:09d}|P|2.5.1|||AL|NE||UNICODE UTF-8"
        ),
        (
            f"PID|1||{mrn}^^^NORTH&{OID}.19.4.6&ISO^MR~{900_000_000 + case.patient}^^^USSSA^SS||"
            f"{_SURNAMES[surname]}^{_NAMES[name]}^Q^^^^L||{born}|{sex}||2106-3^White^HL70005|"
            f"{1 + case.patient % 99} SHORE ROAD^^BEACHTON^CA^90000^USA^H||^PRN^PH^^1^555^5550100|||M||"
            f"{case.patient:07d}-1^^^NORTH^AN"
        ),
        (
            f"PV1|1|I|W{1 + case.patient % 24}^{1 + case.patient % 12}^A^NORTH||||"
            f"57422^Radon^Nicholas^^^Dr^^^NORTH^L^^^NPI|||MED||||7|||||{case.patient:07d}-1^^^NORTH^VN"
        ),
    ]


def _message(segments: list[str]) -> bytes:
    return "\r".join((*segments, "")).encode()


def oru(number: int, *, seed: int) -> bytes:
    """Return ORU^R01: a blood count with its differential or the chemistry of a morning's tube."""
    drawn = case(number, seed=seed, kind="oru")
    is_count = drawn.happens(0.6)
    panel = (
        "58410-2^CBC panel - Blood by Automated count"
        if is_count
        else "24323-8^Comprehensive metabolic panel"
    )
    taken, done = hl7_time(drawn.at(minutes_ago=90)), hl7_time(drawn.at(minutes_ago=5))
    order = f"P{number:09d}^EHR|F{number:09d}^LAB"
    doctor = "57422^Radon^Nicholas^^^Dr^^^NORTH^L^^^NPI"
    status = "P" if drawn.happens(0.05) else "F"
    segments = [
        *_header(drawn, "ORU^R01", "ORU_R01", "LAB"),
        f"ORC|RE|{order}|||||||||{doctor}",
        f"OBR|1|{order}|{panel}^LN|||{taken}|||||||||{doctor}||||||{done}||HM|{status}",
    ]
    for place, test in enumerate(COUNTS if is_count else CHEMISTRY, start=1):
        loinc, name, unit, low, high, decimals = test
        normal = f"{low / 10**decimals:.{decimals}f}-{high / 10**decimals:.{decimals}f}"
        bound = drawn.happens(0.02)
        kind, value = ("SN", f"<^{drawn.value(test)}") if bound else ("NM", drawn.value(test))
        segments.append(
            f"OBX|{place}|{kind}|{loinc}^{name}^LN^L{place:03d}^{name.partition(' [')[0]}^L||{value}|"
            f"{unit}^{unit}^UCUM|{normal}|N|||{status}|||{done}|||||{done}"
        )
    if drawn.happens(0.2):
        segments.append("NTE|1|L|Specimen slightly haemolysed. Result checked.")
    name = "BLD^Whole blood^HL70487" if is_count else "SER^Serum^HL70487"
    segments.append(f"SPM|1|^S{number:09d}&LAB||{name}|||||||||||||{taken}")
    return _message(segments)


def rde(number: int, *, seed: int) -> bytes:
    """Return RDE^O11: a drug ordered from today on, or the end of an order."""
    drawn = case(number, seed=seed, kind="rde")
    code, name, mg = drawn.one_of(DRUGS)
    at, control = hl7_time(drawn.at()), "DC" if drawn.happens(0.2) else "NW"
    drug = f"{code}^{name} {mg} MG^RXNORM"
    return _message(
        [
            *_header(drawn, "RDE^O11", "RDE_O11", "CPOE"),
            "AL1|1|DA|1191^aspirin^RXNORM|MI|hives",
            f"ORC|{control}|RX{number:09d}^CPOE|||||||{at}|||57422^Radon^Nicholas^^^Dr^^^NORTH^L^^^NPI|||{at}",
            f"RXE||{drug}|{mg}||mg^milligram^UCUM|TAB^Tablet^HL70292|^Take with food||G|28|TAB^Tablet^HL70292",
            f"TQ1|1||BID|||28^d&day&UCUM|{at}",
            "RXR|PO^Oral^HL70162",
        ]
    )


def ras(number: int, *, seed: int) -> bytes:
    """Return RAS^O17: a dose given at the bedside, or refused."""
    drawn = case(number, seed=seed, kind="ras")
    code, name, mg = drawn.one_of(DRUGS)
    at, given = hl7_time(drawn.at(minutes_ago=4)), "RE" if drawn.happens(0.03) else "CP"
    return _message(
        [
            *_header(drawn, "RAS^O17", "RAS_O17", "BCMA"),
            f"ORC|RE|RX{number:09d}^CPOE|RX{number:09d}^PHARM||||||{at}",
            f"RXE||{code}^{name} {mg} MG^RXNORM|{mg}||mg^milligram^UCUM",
            "TQ1|1||BID",
            "RXR|PO^Oral^HL70162",
            (
                f"RXA|0|1|{at}|{at}|{code}^{name} {mg} MG^RXNORM|{mg}|mg^milligram^UCUM|||"
                f"1234^Nurse^Nora|W1^^^NORTH|||||||||{given}|A|{at}"
            ),
            "RXR|PO^Oral^HL70162",
        ]
    )


def adt(number: int, *, seed: int) -> bytes:
    """Return ADT: an admission, an update with a temperature and weight, a discharge, or (one in 100) a merge."""
    drawn = case(number, seed=seed, kind="adt")
    at = hl7_time(drawn.at(minutes_ago=1))
    if drawn.happens(0.01):
        merged = f"MRG|M{drawn.patient:07d}^^^NORTH&{OID}.19.4.6&ISO^MR"
        head = _header(drawn, "ADT^A40", "ADT_A39", "ADT")
        return _message([head[0], f"EVN|A40|{at}", head[1], merged])
    event, structure = drawn.one_of(
        (("A01", "ADT_A01"), ("A08", "ADT_A01"), ("A08", "ADT_A01"), ("A03", "ADT_A03"))
    )
    head = _header(drawn, f"ADT^{event}", structure, "ADT")
    degrees, kg = drawn.between(362, 395), drawn.between(480, 990)
    observed = [
        f"OBX|1|NM|8310-5^Body temperature^LN||{degrees / 10:.1f}|Cel^degree Celsius^UCUM|||||F|||{at}",
        f"OBX|2|NM|8867-4^Heart rate^LN||{drawn.between(50, 120)}|/min^per minute^UCUM|||||F|||{at}",
        f"OBX|3|NM|29463-7^Body weight^LN||{kg / 10:.1f}|kg^kilogram^UCUM|||||F|||{at}",
    ]
    return _message(
        [
            head[0],
            f"EVN|{event}|{at}",
            *head[1:],
            *(observed if event == "A08" else ()),
            *(("AL1|1|DA|1191^aspirin^RXNORM|MI|hives",) if event != "A03" else ()),
            f"DG1|1||J18.9^Pneumonia, unspecified organism^I10||{at}|W",
        ]
    )


#: Share of the messages of a hospital. ASSUMPTION.
_SHARE_ORU: Final = 0.45
_BESIDE: Final = ((0.55, adt), (0.27, ras), (0.18, rde))


def hl7v2(number: int, *, seed: int) -> bytes:
    """Return a message of any kind."""
    is_result = Random(f"{seed}/is_result/{number}").random() < _SHARE_ORU
    return (oru if is_result else hl7v2_beside)(number, seed=seed)


def hl7v2_beside(number: int, *, seed: int) -> bytes:
    """Return a message of any kind but a result."""
    place = Random(f"{seed}/kind/{number}").random()
    for share, make in _BESIDE:
        if place < share:
            return make(number, seed=seed)
        place -= share
    return adt(number, seed=seed)


# FHIR R4 -------------------------------------------------------------------------------------------------------------


def _concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _json_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def _resource(drawn: Case, kind: str, identity: str, **content: object) -> dict[str, Any]:
    profile = f"http://hl7.org/fhir/us/core/StructureDefinition/us-core-{kind.lower()}"
    meta = {"versionId": "1", "lastUpdated": _json_time(drawn.at()), "profile": [profile]}
    return {"resourceType": kind, "id": identity, "meta": meta, **content}


def _about(drawn: Case) -> dict[str, Any]:
    return {
        "subject": {"reference": f"Patient/p{drawn.patient}"},
        "encounter": {"reference": f"Encounter/e{drawn.patient}"},
    }


def _result(drawn: Case, test: Test, place: int) -> dict[str, Any]:
    loinc, name, unit, low, high, decimals = test
    category = "http://terminology.hl7.org/CodeSystem/observation-category"
    interpretation = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"

    def quantity(value: float) -> dict[str, Any]:
        return {"value": value, "unit": unit, "system": _UCUM, "code": unit}

    return _resource(
        drawn,
        "Observation",
        f"o{drawn.number}-{place}",
        identifier=[{"system": f"urn:oid:{OID}.19.4.7", "value": f"F{drawn.number:09d}-{place}"}],
        status="final",
        category=[_concept(category, "laboratory", "Laboratory")],
        code=_concept(_LOINC, loinc, name),
        **_about(drawn),
        effectiveDateTime=_json_time(drawn.at(minutes_ago=90)),
        issued=_json_time(drawn.at(minutes_ago=5)),
        performer=[{"reference": "Organization/lab1", "display": "North Laboratory"}],
        valueQuantity=quantity(float(drawn.value(test))),
        interpretation=[_concept(interpretation, "N", "Normal")],
        referenceRange=[{"low": quantity(low / 10**decimals), "high": quantity(high / 10**decimals)}],
    )


def _as_line(resource: dict[str, Any]) -> bytes:
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


def fhir_observation(number: int, *, seed: int) -> bytes:
    """Return one laboratory Observation, as a line of an export."""
    drawn = case(number, seed=seed, kind="observation")
    return _as_line(_result(drawn, drawn.one_of(COUNTS + CHEMISTRY), 1))


def fhir_bundle(number: int, *, seed: int) -> bytes:
    """Return a Bundle: patient, report and the results of a tube, and a dose given."""
    drawn = case(number, seed=seed, kind="bundle")
    tests = COUNTS if drawn.happens(0.6) else CHEMISTRY
    results = [_result(drawn, test, place) for place, test in enumerate(tests, start=1)]
    code, name, mg = drawn.one_of(DRUGS)
    report = _resource(
        drawn,
        "DiagnosticReport",
        f"r{number}",
        status="final",
        code=_concept(_LOINC, "58410-2", "CBC panel - Blood by Automated count"),
        **_about(drawn),
        effectiveDateTime=_json_time(drawn.at(minutes_ago=90)),
        issued=_json_time(drawn.at(minutes_ago=5)),
        result=[{"reference": f"Observation/{each['id']}"} for each in results],
    )
    patient = _resource(
        drawn,
        "Patient",
        f"p{drawn.patient}",
        identifier=[{"system": f"urn:oid:{OID}.19.4.6", "value": f"{drawn.patient:07d}"}],
        name=[{"family": drawn.one_of(_SURNAMES).title(), "given": [drawn.one_of(_NAMES).title()]}],
        gender="female" if drawn.patient % 2 else "male",
        birthDate=f"{1930 + drawn.patient % 75}-03-02",
    )
    dose = _resource(
        drawn,
        "MedicationAdministration",
        f"m{number}",
        status="completed",
        medicationCodeableConcept=_concept(_RXNORM, code, name),
        subject=_about(drawn)["subject"],
        context=_about(drawn)["encounter"],
        effectiveDateTime=_json_time(drawn.at(minutes_ago=30)),
        dosage={"dose": {"value": mg, "unit": "mg", "system": _UCUM, "code": "mg"}},
    )
    entries = [
        {"fullUrl": f"{_SERVER}/{each['resourceType']}/{each['id']}", "resource": each}
        for each in (patient, report, *results, dose)
    ]
    bundle = {"resourceType": "Bundle", "id": f"b{number}", "type": "collection"}
    return _as_line({**bundle, "timestamp": _json_time(drawn.at()), "entry": entries})


#: Of the lines of an export. ASSUMPTION.
_SHARE_BUNDLES: Final = 0.1


def fhir(number: int, *, seed: int) -> bytes:
    """Return a line of an export: a result, now and then a whole Bundle."""
    is_bundle = Random(f"{seed}/line/{number}").random() < _SHARE_BUNDLES
    return (fhir_bundle if is_bundle else fhir_observation)(number, seed=seed)
