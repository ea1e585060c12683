"""FHIR medications: doses where they are certain, products of several drugs, dispenses, and kinds of order."""

from decimal import Decimal
from typing import Any

import pytest

from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.codes import EvidenceFlag, ExposureKind, HoldCode, Route
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import INGREDIENTS_MAX, Dose, Exposure, Held
from pv_stream.domain.times import parse_instant
from pv_stream.ingest.fhir.drugs import drug_names
from pv_stream.ingest.fhir.reader import read_fhir
from pv_stream.ingest.fhir.resources import Document, read_document
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason, RejectCode
from pv_stream.ingest.tables import drug_table, ndc_table
from tests.unit.ingest.fhir.fhir_messages import RXNORM, concept
from tests.unit.ingest.messages import as_json, bundle, exposure, hold, is_retraction, medication, only

UCUM = "http://unitsofmeasure.org"


def _quantity(value: Any, code: str) -> dict[str, Any]:
    return {"value": value, "unit": code, "system": UCUM, "code": code}


def _dosage(value: Any = 400, code: str = "mg", **changes: Any) -> dict[str, Any]:
    return {"doseAndRate": [{"doseQuantity": _quantity(value, code)}]} | changes


def _every(frequency: Any = 1, period: Any = 1, unit: str = "d", **more: Any) -> dict[str, Any]:
    return {"timing": {"repeat": {"frequency": frequency, "period": period, "periodUnit": unit} | more}}


@pytest.fixture
def dose_in(intake: Intake) -> Any:
    """Read the dose of one resource."""

    def read(resource: dict[str, Any]) -> Dose | None:
        return exposure(read_fhir(as_json(resource), intake)).dose

    return read


@pytest.fixture
def ordered(dose_in: Any) -> Any:
    """Read the dose of an order with these dosages."""

    def read(*dosages: dict[str, Any], **changes: Any) -> Dose | None:
        base = {"intent": "order", "authoredOn": "2021-02-01T09:00:00Z", "dosageInstruction": list(dosages)}
        dose: Dose | None = dose_in(medication("MedicationRequest", **base, **changes))
        return dose

    return read


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (400, "mg", Dose(Decimal(400))),
        (0.5, "g", Dose(Decimal(500))),
        (250, "ug", Dose(Decimal("0.25"))),
        (2.5, "mg/kg", Dose(None, Decimal("2.5"))),
        (400, "mL", None),
        (400, "[IU]", None),
        (0, "mg", None),
        (-5, "mg", None),
        ("400", "mg", None),
        (True, "mg", None),
    ],
)
def test_an_amount_is_read_in_units_of_mass(
    ordered: Any, value: Any, unit: str, expected: Dose | None
) -> None:
    assert ordered(_dosage(value, unit)) == expected


@pytest.mark.parametrize(
    ("timing", "per_day"),
    [
        (_every(), 1),
        (_every(2), 2),
        (_every(1, 8, "h"), 3),
        (_every(1, 15, "min"), 96),
        (_every(1, 2, "d"), Decimal("0.5")),
        (_every(1, 1, "wk"), Decimal("0.142857143")),
        ({"timing": {"code": {"coding": [{"code": "BID"}]}}}, 2),
        (
            {
                "timing": {
                    "code": {"coding": [{"code": "QID"}]},
                    "repeat": {"frequency": 4, "period": 1, "periodUnit": "d"},
                }
            },
            4,
        ),
        ({"timing": {"repeat": {"timeOfDay": ["08:00:00", "20:00:00"]}}}, 2),
        ({"timing": {"repeat": {"when": ["MORN"], "period": 1, "periodUnit": "d"}}}, 1),
    ],
)
def test_how_often_a_day(ordered: Any, timing: dict[str, Any], per_day: Any) -> None:
    assert ordered(_dosage(**timing)) == Dose(Decimal(400), None, Decimal(per_day))


@pytest.mark.parametrize(
    "timing",
    [
        {},
        _every(1, 1, "mo"),
        _every(1, 0),
        _every(1, 14, "min"),
        _every(1, 1, "d", frequencyMax=3),
        _every(1, 1, "d", dayOfWeek=["mon"]),
        _every("1"),
        {"timing": {"repeat": {"count": 1}}},
        {"timing": {"code": {"coding": [{"code": "BID"}]}, "repeat": {"frequency": 4, "period": 1, "periodUnit": "d"}}},
        {"timing": {"event": ["2021-03-01"]}},
        {"timing": "daily"},
        _every() | {"asNeededBoolean": True},
        _every() | {"asNeededCodeableConcept": {"text": "pain"}},
    ],
)  # fmt: skip
def test_what_is_not_said_how_often_stays_unknown(ordered: Any, timing: dict[str, Any]) -> None:
    assert ordered(_dosage(**timing)) == Dose(Decimal(400))


def test_a_dose_that_is_not_certain_is_not_known(ordered: Any) -> None:
    assert ordered(_dosage(), _dosage()) is None
    assert (
        ordered({"doseAndRate": [{"doseRange": {"low": _quantity(1, "mg"), "high": _quantity(2, "mg")}}]})
        is None
    )
    two = {"doseAndRate": [{"doseQuantity": _quantity(1, "mg")}, {"doseQuantity": _quantity(2, "mg")}]}
    assert ordered(two) is None
    same = {"doseAndRate": [{"doseQuantity": _quantity(1, "g")}, {"doseQuantity": _quantity(1000, "mg")}]}
    assert ordered(same) == Dose(Decimal(1000))
    contradicted = {"doseAndRate": [{"doseQuantity": _quantity(1, "g") | {"unit": "mg"}}]}
    assert ordered(contradicted) is None


def _tablets(**strength: Any) -> dict[str, Any]:
    ingredient = {"itemCodeableConcept": concept("282388", RXNORM)}
    return {
        "medicationCodeableConcept": None,
        "medicationReference": {"reference": "#t"},
        "contained": [{"resourceType": "Medication", "id": "t", "ingredient": [ingredient | strength]}],
    }


@pytest.mark.parametrize(
    ("strength", "expected"),
    [
        ({"strength": {"numerator": _quantity(100, "mg"), "denominator": {"value": 1}}}, Dose(Decimal(200))),
        ({"strength": {"numerator": _quantity(100, "mg"), "denominator": _quantity(1, "{tbl}")}}, Dose(Decimal(200))),
        ({"strength": {"numerator": _quantity(100, "mg"), "denominator": _quantity(5, "mL")}}, None),
        ({"strength": {"numerator": _quantity(100, "mg"), "denominator": _quantity(1, "mL")}}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_tablets_of_a_stated_strength(ordered: Any, strength: dict[str, Any], expected: Dose | None) -> None:
    assert ordered(_dosage(2, "{tbl}"), **_tablets(**strength)) == expected


@pytest.mark.parametrize(
    ("dosage", "expected"),
    [
        ({"dose": _quantity(500, "mg")}, Dose(Decimal(500))),
        ({"rateQuantity": _quantity(10, "mg/h")}, Dose(Decimal(20))),
        ({"rateQuantity": _quantity(10, "mg/min")}, Dose(Decimal(1200))),
        ({"rateQuantity": _quantity(2, "mg/kg/h")}, Dose(None, Decimal(4))),
        ({"rateRatio": {"numerator": _quantity(1, "g"), "denominator": _quantity(4, "h")}}, Dose(Decimal(500))),
        ({"rateRatio": {"numerator": _quantity(8, "mL"), "denominator": _quantity(1, "min")}}, None),
        ({"rateQuantity": _quantity(10, "mg/fortnight")}, None),
        ({"text": "500 mg"}, None),
    ],
)  # fmt: skip
def test_an_administration_has_a_dose_or_a_rate_over_its_time(
    dose_in: Any, dosage: dict[str, Any], expected: Dose | None
) -> None:
    period = {"start": "2021-03-01T09:00:00Z", "end": "2021-03-01T11:00:00Z"}
    given: dict[str, Any] = {
        "status": "completed",
        "effectiveDateTime": None,
        "effectivePeriod": period,
        "dosage": dosage,
    }
    assert dose_in(medication(**given)) == expected


def test_a_rate_without_a_known_end_is_no_dose(dose_in: Any) -> None:
    rate = {"rateQuantity": _quantity(10, "mg/h")}
    period = {"start": "2021-03-01T09:00:00Z"}
    assert dose_in(medication(effectiveDateTime=None, effectivePeriod=period, dosage=rate)) is None
    days = {"start": "2021-03-01", "end": "2021-03-02"}
    assert dose_in(medication(effectiveDateTime=None, effectivePeriod=days, dosage=rate)) is None


# Dispenses and orders ----------------------------------------------------------------------------------------------


def _dispense(**changes: Any) -> dict[str, Any]:
    base = {"status": "completed", "effectiveDateTime": None, "whenHandedOver": "2021-03-01T09:00:00Z"}
    return medication("MedicationDispense", **(base | changes))


def test_a_dispense_is_an_exposure_that_its_completion_does_not_end(intake: Intake) -> None:
    outcome = read_fhir(as_json(_dispense(dosageInstruction=[_dosage(**_every())])), intake)
    content = exposure(outcome)
    assert (content.kind, content.ingredients, content.end) == (ExposureKind.DISPENSE, ("imatinib",), None)
    assert content.dose == Dose(Decimal(400), None, Decimal(1))
    assert only(outcome).version.statement.effective.earliest == parse_instant("2021-03-01T09:00:00Z")
    prepared = _dispense(whenHandedOver=None, whenPrepared="2021-03-01T08:00:00Z")
    assert only(read_fhir(as_json(prepared), intake)).version.statement.effective.earliest == parse_instant(
        "2021-03-01T08:00:00Z"
    )


@pytest.mark.parametrize("status", ["preparation", "in-progress", "on-hold"])
def test_what_is_not_handed_over_yet_is_counted(intake: Intake, status: str) -> None:
    outcome = read_fhir(as_json(_dispense(status=status)), intake)
    assert outcome.ignored == {IgnoreReason.STATUS_NOT_USED: 1}
    assert outcome.parts == {("MedicationDispense", Fate.IGNORED): 1}


@pytest.mark.parametrize("status", ["cancelled", "declined", "entered-in-error"])
def test_what_was_never_handed_over_takes_back(intake: Intake, status: str) -> None:
    assert is_retraction(only(read_fhir(as_json(_dispense(status=status)), intake)))


@pytest.mark.parametrize(
    "intent", ["order", "original-order", "reflex-order", "filler-order", "instance-order"]
)
def test_each_kind_of_order_is_an_order(intake: Intake, intent: str) -> None:
    resource = medication("MedicationRequest", intent=intent, authoredOn="2021-02-01T09:00:00Z")
    assert exposure(read_fhir(as_json(resource), intake)).kind is ExposureKind.ORDER


def test_an_exposure_without_a_time_is_held_with_what_was_read(intake: Intake) -> None:
    outcome = read_fhir(as_json(_dispense(whenHandedOver=None)), intake)
    assert hold(outcome) is HoldCode.MISSING_TIME
    held = only(outcome).version.statement.content
    assert isinstance(held, Held)
    assert isinstance(held.said, Exposure)
    assert held.said.ingredients == ("imatinib",)


# Products ----------------------------------------------------------------------------------------------------------


def test_ingredients_may_be_medications_and_substances_of_their_own(intake: Intake) -> None:
    product = {
        "resourceType": "Medication",
        "id": "kit",
        "ingredient": [
            {"itemReference": {"reference": "Medication/a"}},
            {"itemReference": {"reference": "Substance/b"}},
            {"itemCodeableConcept": {"text": "allopurinol"}, "isActive": False},
        ],
    }
    a = {"resourceType": "Medication", "id": "a", "code": {"text": "Trimethoprim"}}
    b = {"resourceType": "Substance", "id": "b", "code": {"text": "Sulfamethoxazole"}}
    given = medication(medicationCodeableConcept=None, medicationReference={"reference": "Medication/kit"})
    outcome = read_fhir(bundle(given, product, a, b), intake)
    assert exposure(outcome).ingredients == ("sulfamethoxazole", "trimethoprim")
    assert outcome.parts["Substance", Fate.CONTEXT] == 1


def test_a_medication_that_contains_itself_ends(intake: Intake) -> None:
    circle = {
        "resourceType": "Medication",
        "id": "c",
        "code": {"text": "imatinib"},
        "ingredient": [{"itemReference": {"reference": "Medication/c"}}] * 3,
    }
    given = medication(medicationCodeableConcept=None, medicationReference={"reference": "Medication/c"})
    assert exposure(read_fhir(bundle(given, circle), intake)).ingredients == ("imatinib",)


def test_a_reference_that_leads_nowhere_is_unknown(intake: Intake) -> None:
    given = medication(
        medicationCodeableConcept=None, medicationReference={"reference": "Medication/elsewhere"}
    )
    assert exposure(read_fhir(as_json(given), intake)).flags == (EvidenceFlag.UNKNOWN_INGREDIENT,)


def test_a_route_may_be_a_text(intake: Intake) -> None:
    content = exposure(read_fhir(as_json(medication(dosage={"route": {"text": "oral"}})), intake))
    assert content.route is Route.ORAL


@pytest.mark.parametrize("intent", [None, "plan"])
def test_an_order_entered_in_error_is_taken_back_whatever_its_intent(
    intake: Intake, intent: str | None
) -> None:
    order = medication("MedicationRequest", status="entered-in-error", intent=intent)
    assert is_retraction(only(read_fhir(as_json(order), intake)))


def test_a_product_that_many_orders_may_share_is_read_up_to_a_bound() -> None:
    parts = [{"itemCodeableConcept": {"coding": [{"system": RXNORM, "code": "0"}] * 99}}] * 49
    product = {"resourceType": "Medication", "id": "m", "ingredient": parts}
    order = medication(
        "MedicationRequest", medicationCodeableConcept=None, medicationReference={"reference": "Medication/m"}
    )
    document = read_document(bundle(product, order))
    assert isinstance(document, Document)
    entry = document.entries[1]
    named = drug_names(entry.resource, entry, document)
    assert (len(named.codings), named.is_whole) == (200, False)


def _of(*ingredients: Any, **changes: Any) -> bytes:
    product = {"resourceType": "Medication", "id": "m", "ingredient": list(ingredients)} | changes
    order = medication(medicationCodeableConcept=None, medicationReference={"reference": "Medication/m"})
    return bundle(product, order)


def test_a_product_of_many_listed_ingredients_is_kept_whole(intake: Intake) -> None:
    named = ("imatinib", "abacavir", "allopurinol", "carbamazepine", "dapsone", "lamotrigine", "minocycline",
             "phenytoin", "sulfasalazine", "vancomycin")  # fmt: skip
    outcome = read_fhir(_of(*({"itemCodeableConcept": {"text": name}} for name in named)), intake)
    assert exposure(outcome).ingredients == tuple(sorted(named))
    written = decode_event(encode_event(only(outcome)))
    assert isinstance(written, FactArrived)
    assert written.version.statement.content == exposure(outcome)


IMATINIB = {"itemCodeableConcept": {"coding": [{"system": RXNORM, "code": "282388"}]}}
OTHER = {"itemCodeableConcept": {"text": "something else"}}


@pytest.mark.parametrize(
    "content",
    [
        _of(IMATINIB, *[OTHER] * 200),
        _of(IMATINIB, *[{"isActive": False}] * 200),
        _of(IMATINIB, OTHER | {"itemCodeableConcept": {"coding": [{"code": "1"}] * 101}}),
    ],
)
def test_of_a_product_with_more_parts_than_are_read_the_rest_is_refused_and_never_dropped(
    intake: Intake, content: bytes
) -> None:
    outcome = read_fhir(content, intake)
    assert exposure(outcome).ingredients == ("imatinib",)
    assert [(each.code, each.path) for each in outcome.rejects] == [
        (RejectCode.TOO_COMPLEX, "Bundle.entry[1]")
    ]


def test_no_product_can_name_more_ingredients_than_an_event_holds(intake: Intake) -> None:
    tables = (drug_table().by_name, *drug_table().by_code.values(), ndc_table())
    listed = {name for table in tables for drug in table.values() for name in drug.ingredients}
    listed |= {drug.name for drug in intake.rulebook.drugs}
    listed |= {treatment.name for treatment in intake.rulebook.treatments}
    assert len(listed) <= INGREDIENTS_MAX
