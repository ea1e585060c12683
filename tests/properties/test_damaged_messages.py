"""Damaged messages: each ends with a reason, none with a fault of ours; a longer message costs as its length."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.icsr.openfda import read_openfda
from pv_stream.ingest.icsr.reader import read_e2b
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Outcome
from tests.fuzzing import FIXTURES, check, corpus_of, mutants, new_intake

MUTANTS = 1_000
#: Twice the length may cost twice the work, and some more for what is looked up in order.
AT_MOST_TIMES = 2.3

Reader = Callable[[bytes, Intake], Outcome]


@pytest.fixture(scope="module")
def intake() -> Intake:
    """What readers need, with a fixed key and clock."""
    return new_intake()


def test_a_damaged_message_ends_with_a_reason(intake: Intake, seed: int, tmp_path: Path) -> None:
    wrong = {}
    accepted = rejected = 0
    for name, suffix, content in mutants(corpus_of([FIXTURES]), str(seed), MUTANTS):
        seen = check(content, suffix, intake, tmp_path)
        accepted, rejected = accepted + seen.ended["accepted"], rejected + seen.ended["rejected"]
        if seen.wrong:
            wrong[name] = seen.wrong
    assert wrong == {}
    assert min(accepted, rejected) > MUTANTS // 10, "the mutants must be some of both, or they show nothing"


def test_damaged_public_samples_end_with_a_reason(
    intake: Intake, seed: int, sample_data: Path, tmp_path: Path
) -> None:
    corpus = corpus_of([sample_data])
    wrong = {
        name: seen.wrong
        for name, suffix, content in mutants(corpus, f"samples-{seed}", MUTANTS // 5)
        if (seen := check(content, suffix, intake, tmp_path)).wrong
    }
    assert wrong == {}


# Work -------------------------------------------------------------------------------------------------------------


def _hl7(*segments: str) -> bytes:
    head = ("MSH|^~\\&|Lab|North|||20210412080000+0200||ORU^R01|C1|P|2.5.1", "PID|1||7^^^N^MR")
    return "\r".join((*head, *segments)).encode()


OBR = "OBR|1|PL-1^WARD|FI-1^LAB|58410-2^CBC^LN|||20210412071500+0200"
OBX = "OBX|1|NM|711-2^Eosinophils^LN|{n}|1.69|10*9/L|||||F"


def _hl7_results(count: int) -> bytes:
    return _hl7(OBR, *(OBX.format(n=n) for n in range(count)))


def _hl7_orders(count: int) -> bytes:
    return _hl7(*(line for n in range(count) for line in (OBR.replace("FI-1", f"FI-{n}"), OBX.format(n=1))))


def _hl7_identifiers(count: int) -> bytes:
    names = "~".join(f"{n}^^^N^MR" for n in range(count))
    return _hl7(OBR, OBX.format(n=1)).replace(b"7^^^N^MR", names.encode())


def _hl7_repeated_values(count: int) -> bytes:
    return _hl7(OBR, OBX.format(n=1).replace("1.69", "~".join(["1.69"] * count)))


def _hl7_escapes(count: int) -> bytes:
    return _hl7(
        OBR, OBX.format(n=1).replace("1.69", "\\S\\" * count), f"NTE|1||{chr(92)}{'X41' * count}{chr(92)}"
    )


def _observation(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "meta": {"lastUpdated": "2021-04-12T08:00:00Z"},
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "711-2"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2021-04-12T07:15:00Z",
        "valueQuantity": {"value": 1.69, "system": "http://unitsofmeasure.org", "code": "10*9/L"},
    } | changes


def _fhir_bundle(count: int) -> bytes:
    entries = [{"resource": _observation(n)} for n in range(count)]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()


def _fhir_report(count: int) -> bytes:
    report = {
        "resourceType": "DiagnosticReport",
        "id": "d1",
        "status": "final",
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2021-04-12T07:15:00Z",
        "result": [{"reference": f"Observation/o{n}"} for n in range(count)],
    }
    entries = [{"resource": report}, *({"resource": _observation(n)} for n in range(count))]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()


def _fhir_components(count: int) -> bytes:
    part = {name: _observation()[name] for name in ("code", "valueQuantity")}
    return json.dumps(_observation(component=[part] * count)).encode()


def _fhir_codings(count: int) -> bytes:
    coding = [{"system": f"http://example.org/{n}", "code": "1"} for n in range(count)]
    return json.dumps(_observation(code={"coding": coding})).encode()


def _fhir_contained(count: int) -> bytes:
    contained = [{"resourceType": "Specimen", "id": f"s{n}"} for n in range(count)]
    return json.dumps(_observation(contained=contained, specimen={"reference": "#s1"})).encode()


def _openfda_reactions(count: int) -> bytes:
    report = {
        "safetyreportid": "1",
        "receiptdate": "20210412",
        "patient": {
            "reaction": [{"reactionmeddrapt": f"TERM {n}"} for n in range(count)],
            "drug": [{"drugcharacterization": "1", "medicinalproduct": "GLEEVEC"}],
        },
    }
    return json.dumps(report).encode()


def _e2b_drugs(count: int) -> bytes:
    content = (FIXTURES / "e2b" / "report-r2.xml").read_bytes()
    start, end = content.index(b"<drug>"), content.index(b"</drug>") + len(b"</drug>")
    return content[:end] + content[start:end] * count + content[end:]


@pytest.mark.parametrize(
    ("read", "message"),
    [
        *((read_hl7v2, m) for m in (_hl7_results, _hl7_orders, _hl7_identifiers, _hl7_repeated_values, _hl7_escapes)),
        *((read_fhir, m) for m in (_fhir_bundle, _fhir_report, _fhir_components, _fhir_codings, _fhir_contained)),
        (read_openfda, _openfda_reactions),
        (read_e2b, _e2b_drugs),
    ],
    ids=lambda value: value.__name__,
)  # fmt: skip
def test_twice_the_length_is_at_most_twice_the_work(
    read: Reader, message: Callable[[int], bytes], intake: Intake
) -> None:
    for warm in (100, 400):
        read(message(warm), intake)
    work = [_calls(read, message(count), intake) for count in (200, 400, 800)]
    assert work[1] <= AT_MOST_TIMES * work[0], work
    assert work[2] <= AT_MOST_TIMES * work[1], work


def _calls(read: Reader, content: bytes, intake: Intake) -> int:
    """Count the calls, of Python and of C, that reading takes: the same on any machine."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        read(content, intake)
    finally:
        sys.setprofile(before)
    return calls
