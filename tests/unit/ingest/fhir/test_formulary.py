"""Medications of other lines and other files: found whatever the order, never guessed, and in bounded room."""

import json
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.codec.events import encode_event
from pv_stream.domain.codes import EvidenceFlag
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Dose, Exposure, Report
from pv_stream.errors import DataError
from pv_stream.ingest.feed import Feed
from pv_stream.ingest.fhir.formulary import Formulary
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.fhir.resources import Place
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import IgnoreReason
from pv_stream.ingest.rejects import RejectStore
from tests.unit.ingest.fhir.fhir_messages import RXNORM, adverse_event, concept
from tests.unit.ingest.messages import as_json, bundle, medication

IMATINIB, NEVIRAPINE = "282388", "53654"
RECORD_BYTES_MAX = 1 << 20


def _drug(code: str = IMATINIB, name: str = "m9", **changes: Any) -> dict[str, Any]:
    return {"resourceType": "Medication", "id": name, "code": concept(code, RXNORM)} | changes


def _order(name: str = "Medication/m9", kind: str = "MedicationRequest", **changes: Any) -> dict[str, Any]:
    base = {"intent": "order", "authoredOn": "2021-03-01T09:00:00Z"} if kind == "MedicationRequest" else {}
    named = {"medicationCodeableConcept": None, "medicationReference": {"reference": name}}
    return medication(kind, **base | named | changes)


def _read(intake: Intake, folder: Path, *files: bytes, **limits: int) -> tuple[list[Exposure | Report], Feed]:
    paths = []
    for number, content in enumerate(files):
        paths.append(folder / f"{number}.ndjson")
        paths[-1].write_bytes(content)
    feed = Feed(intake, RejectStore(folder / "rejects"), RECORD_BYTES_MAX, **limits)  # type: ignore[arg-type]
    said = [event.version.statement.content for event in feed.read(paths) if isinstance(event, FactArrived)]
    return [content for content in said if isinstance(content, Exposure | Report)], feed


def _lines(*resources: dict[str, Any]) -> bytes:
    return b"".join(as_json(resource) + b"\n" for resource in resources)


@pytest.mark.parametrize(
    "kind", ["MedicationRequest", "MedicationAdministration", "MedicationStatement", "MedicationDispense"]
)
def test_an_order_finds_its_medication_on_another_line(intake: Intake, tmp_path: Path, kind: str) -> None:
    changes = {"whenHandedOver": "2021-03-01", "status": "completed"} if kind == "MedicationDispense" else {}
    (said,), feed = _read(intake, tmp_path, _lines(_order(kind=kind, **changes), _drug()))
    assert isinstance(said, Exposure)
    assert (said.ingredients, said.flags) == (("imatinib",), ())
    assert feed.report.ignored["medication_not_found"] == 0


def test_files_and_lines_in_any_order_give_the_same_events(intake: Intake, tmp_path: Path) -> None:
    older, newer = {"lastUpdated": "2021-01-01T00:00:00Z"}, {"lastUpdated": "2021-02-01T00:00:00Z"}
    files = (
        _lines(_drug(NEVIRAPINE, meta=older), _order(id="a"), _order("Medication/m8", id="b")),
        bundle(_drug(meta=newer) | {"id": "elsewhere"}),
        _lines(_drug(NEVIRAPINE, "m8"), _order(id="c")),
        _lines(_drug(meta=newer), _drug(NEVIRAPINE, "m8")),
    )
    found = set()
    for number, order in enumerate(permutations(files)):
        folder = tmp_path / str(number)
        folder.mkdir()
        said, _ = _read(intake, folder, *order)
        found.add(tuple(sorted(content.ingredients for content in said if isinstance(content, Exposure))))
    assert found == {(("imatinib",), ("imatinib",), ("nevirapine",))}


def test_a_medication_that_no_input_holds_is_counted_and_the_exposure_stays(
    intake: Intake, tmp_path: Path
) -> None:
    (said,), feed = _read(intake, tmp_path, _lines(_order(), _drug(name="another")))
    assert isinstance(said, Exposure)
    assert (said.ingredients, said.flags) == ((), (EvidenceFlag.UNKNOWN_INGREDIENT,))
    assert feed.report.value()["ignored"]["medication_not_found"] == 1


@pytest.mark.parametrize(
    "reference",
    [
        "Medication?code=282388",
        "urn:uuid:6f1c",
        "http://other.example.org/fhir/Medication/m9",
        "#m9",
        "m9",
        "",
    ],
)
def test_a_reference_that_names_no_place_of_an_input_finds_nothing(
    intake: Intake, tmp_path: Path, reference: str
) -> None:
    (said,), feed = _read(intake, tmp_path, _lines(_order(reference), _drug()))
    assert isinstance(said, Exposure)
    assert (said.ingredients, feed.report.ignored["medication_not_found"]) == ((), 1)


def test_an_order_in_error_needs_no_medication(intake: Intake, tmp_path: Path) -> None:
    _, feed = _read(intake, tmp_path, _lines(_order(status="entered-in-error"), _drug(name="another")))
    assert feed.report.ignored["medication_not_found"] == 0


def test_two_contents_of_one_version_say_nothing_and_a_newer_one_does(intake: Intake, tmp_path: Path) -> None:
    both = (_drug(), _drug(NEVIRAPINE))
    (said,), feed = _read(intake, tmp_path, _lines(_order(), *both))
    assert isinstance(said, Exposure)
    assert (said.ingredients, feed.report.ignored["medication_not_found"]) == ((), 1)
    newer = _drug(meta={"versionId": "2"})
    (said,), _ = _read(intake, tmp_path, _lines(newer, _order(), *both))
    assert isinstance(said, Exposure)
    assert said.ingredients == ("imatinib",)


@pytest.mark.parametrize("name", ["implicitRules", "modifierExtension"])
def test_a_medication_that_may_mean_something_else_names_nothing_wherever_it_stands(
    intake: Intake, tmp_path: Path, name: str
) -> None:
    drug = _drug() | {name: "https://h.example.org/rules" if name == "implicitRules" else [{"url": "x"}]}
    for content in (_lines(_order(), drug), bundle(_order(), drug)):
        (said,), feed = _read(intake, tmp_path, content)
        assert isinstance(said, Exposure)
        assert said.ingredients == ()
        assert feed.report.ignored["medication_not_found"] == 1


def test_the_document_itself_is_asked_first(intake: Intake, tmp_path: Path) -> None:
    there = _lines(_drug(NEVIRAPINE, meta={"versionId": "7"}))
    given = intake_with_server(intake)
    (said,), _ = _read(given, tmp_path, bundle(_order(), _drug()), there)
    assert isinstance(said, Exposure)
    assert said.ingredients == ("imatinib",)


def intake_with_server(intake: Intake) -> Intake:
    """The intake of a site that names its server, as the Bundles of the tests do."""
    return Intake(
        intake.pseudonyms,
        intake.rulebook,
        intake.drugs,
        intake.now,
        fhir_server="https://h.example.org/fhir",
    )


def test_a_bundle_and_a_line_of_one_server_know_each_other(intake: Intake, tmp_path: Path) -> None:
    given = intake_with_server(intake)
    for files in ((bundle(_order()), _lines(_drug())), (bundle(_drug()), _lines(_order()))):
        (said,), _ = _read(given, tmp_path, *files)
        assert isinstance(said, Exposure)
        assert said.ingredients == ("imatinib",)


def test_parts_on_other_lines_or_contained_are_found_with_their_strength(
    intake: Intake, tmp_path: Path
) -> None:
    strength = {"numerator": {"value": 100.50, "unit": "mg"}, "denominator": {"value": 1, "unit": "{tbl}"}}
    product = _drug(
        "0", ingredient=[{"itemReference": {"reference": "#s"}, "strength": strength}],
        contained=[{"resourceType": "Substance", "id": "s", "code": concept(IMATINIB, RXNORM)}],
    )  # fmt: skip
    dosage = {"doseAndRate": [{"doseQuantity": {"value": 4, "unit": "{tbl}"}}]}
    (said,), _ = _read(intake, tmp_path, _lines(_order(dosageInstruction=[dosage]), product))
    assert isinstance(said, Exposure)
    assert (said.ingredients, said.dose) == (("imatinib",), Dose(Decimal(402)))
    parts = [{"itemReference": {"reference": f"Substance/{each}"}} for each in ("s1", "s2", "gone")]
    product = _drug("0", ingredient=parts)
    substances = (
        {"resourceType": "Substance", "id": name, "code": concept(code, RXNORM)}
        for name, code in (("s1", IMATINIB), ("s2", NEVIRAPINE))
    )
    (said,), feed = _read(intake, tmp_path, _lines(product, *substances, _order()))
    assert isinstance(said, Exposure)
    assert said.ingredients == ("imatinib", "nevirapine")
    assert feed.report.ignored["medication_not_found"] == 1


def test_a_bound_of_a_strength_gives_no_dose(intake: Intake, tmp_path: Path) -> None:
    strength = {"numerator": {"value": 100, "unit": "mg", "comparator": "<"}, "denominator": {"value": 1}}
    product = _drug(ingredient=[{"itemCodeableConcept": concept(IMATINIB, RXNORM), "strength": strength}])
    dosage = {"doseAndRate": [{"doseQuantity": {"value": 4, "unit": "{tbl}"}}]}
    (said,), _ = _read(intake, tmp_path, _lines(_order(dosageInstruction=[dosage]), product))
    assert isinstance(said, Exposure)
    assert (said.ingredients, said.dose) == (("imatinib",), None)


def test_a_report_finds_the_drug_that_it_blames(intake: Intake, tmp_path: Path) -> None:
    event = adverse_event(contained=None, suspectEntity=[{"instance": {"reference": "Medication/m9"}}])
    (said,), _ = _read(intake, tmp_path, _lines(event, _drug()))
    assert isinstance(said, Report)
    assert [drug.ingredient for drug in said.drugs] == ["imatinib"]
    (said,), feed = _read(intake, tmp_path, _lines(event, _drug(name="another")))
    assert isinstance(said, Report)
    assert said.drugs == ()
    assert feed.report.ignored["medication_not_found"] == 1


def test_more_medications_than_there_is_room_for_end_the_run_before_its_first_event(
    intake: Intake, tmp_path: Path
) -> None:
    content = _lines(_order(), *(_drug(name=f"m{number}") for number in range(10)))
    with pytest.raises(DataError, match="fhir_medications_bytes_max"):
        _read(intake, tmp_path, content, fhir_medications_bytes_max=5_000)
    assert not (tmp_path / "rejects").exists()
    said, _ = _read(intake, tmp_path, content, fhir_medications_bytes_max=10_000)
    assert len(said) == 1


@given(
    versions=st.permutations(
        [(code, version, size) for code in (IMATINIB, NEVIRAPINE) for version in (1, 2) for size in (0, 900)]
    )
)
def test_what_is_kept_and_the_room_that_it_takes_are_the_same_in_every_order(versions: Any) -> None:
    kept = Formulary()
    kept.add_documents(
        as_json(_drug(meta={"versionId": str(version)}) | {"code": {"text": "x" * size, **concept(code)}})
        for code, version, size in versions
    )
    once = Formulary()
    once.add_documents([as_json(_drug() | {"code": {"text": "x" * 900, **concept(IMATINIB)}})] * 2)
    assert kept.bytes_charged == once.bytes_charged
    assert kept.medication_at(Place("", "Medication", "m9")) is None


def test_a_medication_longer_than_any_real_one_is_as_one_that_is_not_there(
    intake: Intake, tmp_path: Path
) -> None:
    (said,), feed = _read(
        intake,
        tmp_path,
        _lines(_order(), _drug() | {"code": {"text": "x" * 40_000, **concept(IMATINIB, RXNORM)}}),
    )
    assert isinstance(said, Exposure)
    assert (said.ingredients, feed.report.ignored["medication_not_found"]) == ((), 1)


def test_a_circle_of_medications_ends(intake: Intake, tmp_path: Path) -> None:
    circle = [
        _drug(
            "0",
            f"m{number}",
            ingredient=[{"itemReference": {"reference": f"Medication/m{(number + 1) % 3}"}}],
        )
        for number in range(3)
    ]
    (said,), _ = _read(intake, tmp_path, _lines(_order("Medication/m0"), *circle))
    assert isinstance(said, Exposure)
    assert said.ingredients == ()


def test_what_is_no_fhir_or_cannot_be_read_is_left_to_its_reader(intake: Intake, tmp_path: Path) -> None:
    broken = b'{"resourceType":"Medication","id":"m9","code":\n'
    (said,), feed = _read(intake, tmp_path, _lines(_order()) + broken + _lines(_drug()), b"MSH|^~\\&|\r")
    assert isinstance(said, Exposure)
    assert said.ingredients == ("imatinib",)
    assert feed.report.rejected["malformed_json"] == 1


def test_one_document_alone_knows_only_itself(intake: Intake) -> None:
    outcome = read_fhir(as_json(_order()), intake)
    assert outcome.ignored[IgnoreReason.MEDICATION_NOT_FOUND] == 1
    (event,) = outcome.events
    assert "m9" not in json.loads(encode_event(event))["exposure"]
