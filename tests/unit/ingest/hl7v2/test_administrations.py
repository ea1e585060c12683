"""RAS^O17 and the doses of orders: what was given, what was not, and how much."""

from decimal import Decimal

import pytest

from pv_stream.domain.codes import EvidenceFlag, ExposureKind, HoldCode, Route, Status
from pv_stream.domain.facts import Dose, Exposure
from pv_stream.domain.times import parse_instant
from pv_stream.engine.join import join_fact
from pv_stream.ingest.hl7v2.reader import read_hl7v2
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason, MessageOutcome, Outcome
from tests.unit.ingest.messages import PID, exposure, facts, fixture, hold, is_retraction, msh, only, values

ORC = "ORC|RE|ORD-1^EPC|||||||20210301100000+0100"
IMATINIB = "282388^imatinib^RXNORM"
PREDNISONE = "8640^prednisone^RXNORM"


def _rxa(  # the fields that matter, in the order of the segment
    *,
    start: str = "20210302083000+0100",
    end: str = "",
    code: str = IMATINIB,
    amount: str = "400",
    unit: str = "mg",
    per_time: str = "",
    strength: str = "",
    completion: str = "CP",
    action: str = "A",
    number: str = "1",
) -> str:
    fields = ["RXA", "0", number, start, end, code, amount, unit, "", "", "", "", per_time, strength]
    return "|".join((*fields, "mg" if strength else "", *[""] * 5, completion, action))


def _given(intake: Intake, *segments: str, kind: str = "RAS^O17^RAS_O17") -> Outcome:
    return read_hl7v2("\r".join((msh(kind), PID, *segments)).encode(), intake)


def _ordered(intake: Intake, *segments: str) -> Exposure:
    return exposure(_given(intake, ORC.replace("RE", "NW"), *segments, kind="RDE^O11^RDE_O11"))


def test_doses_given_and_refused_with_a_weight_beside_them(intake: Intake) -> None:
    outcome = read_hl7v2(fixture("hl7v2/administration.hl7"), intake)
    given, refused, weight = facts(outcome)
    content = given.version.statement.content
    assert isinstance(content, Exposure)
    assert (content.kind, content.ingredients, content.route) == (
        ExposureKind.ADMINISTRATION,
        ("imatinib",),
        Route.ORAL,
    )
    assert content.dose == Dose(amount_mg=Decimal(400))
    assert content.end is not None
    assert content.end.earliest == parse_instant("2021-03-02T07:35:00Z")
    assert given.version.statement.effective.earliest == parse_instant("2021-03-02T07:30:00Z")
    assert is_retraction(refused)
    assert values(outcome) == {"body_weight": "70.5"}
    assert weight.patient_id == given.patient_id
    assert outcome.parts["RXA", Fate.FACT] == 2
    assert outcome.parts["RXE", Fate.CONTEXT] == 1


@pytest.mark.parametrize("kind", ["RAS^O17^RAS_O17", "RAS^O17", "RAS^O01"])
def test_each_name_of_the_message(intake: Intake, kind: str) -> None:
    assert exposure(_given(intake, ORC, _rxa(), kind=kind)).kind is ExposureKind.ADMINISTRATION


@pytest.mark.parametrize("completion", ["CP", "PA", ""])
@pytest.mark.parametrize("action", ["A", "U", ""])
def test_what_was_given(intake: Intake, completion: str, action: str) -> None:
    outcome = _given(intake, ORC, _rxa(completion=completion, action=action))
    assert exposure(outcome).ingredients == ("imatinib",)


@pytest.mark.parametrize(("completion", "action"), [("RE", "A"), ("NA", "U"), ("CP", "D"), ("", "D")])
def test_what_was_not_given_takes_back_the_record_of_it(intake: Intake, completion: str, action: str) -> None:
    given = only(_given(intake, ORC, _rxa())).version
    taken_back = only(_given(intake, ORC, _rxa(completion=completion, action=action)))
    assert is_retraction(taken_back)
    assert taken_back.version.key == given.key
    assert join_fact(join_fact(None, taken_back.version), given).order.status is Status.RETRACTED


@pytest.mark.parametrize(("completion", "action"), [("ZZ", "A"), ("CP", "Z")])
def test_a_status_that_nobody_defines_is_held(intake: Intake, completion: str, action: str) -> None:
    outcome = _given(intake, ORC, _rxa(completion=completion, action=action))
    assert hold(outcome) is HoldCode.UNKNOWN_STATUS
    assert outcome.parts["RXA", Fate.HELD] == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"start": ""}, HoldCode.MISSING_TIME),
        ({"start": "soon"}, HoldCode.UNREADABLE_TIME),
        ({"end": "20210301083000+0100"}, HoldCode.UNREADABLE_TIME),
        ({"start": "20520302083000+0100"}, HoldCode.TIME_IN_FUTURE),
    ],
)
def test_a_dose_without_a_usable_time_is_held_with_what_was_given(
    intake: Intake, changes: dict[str, str], why: HoldCode
) -> None:
    outcome = _given(intake, ORC, _rxa(**changes))
    assert hold(outcome) is why
    assert only(outcome).version.statement.effective.latest == only(outcome).received_at
    assert isinstance(only(outcome).version.statement.content.said, Exposure)  # type: ignore[union-attr]


def test_doses_of_one_order_are_facts_of_their_own_and_share_a_route(intake: Intake) -> None:
    outcome = _given(
        intake, ORC, _rxa(), _rxa(start="20210303083000+0100", number="2"), _rxa(number="3"), "RXR|PO"
    )
    contents = [event.version.statement.content for event in facts(outcome)]
    assert len({event.version.key for event in facts(outcome)}) == 3
    assert {content.route for content in contents if isinstance(content, Exposure)} == {Route.ORAL}


def test_a_corrected_amount_is_a_later_version_of_the_same_dose(intake: Intake) -> None:
    first = only(_given(intake, ORC, _rxa())).version
    content = "\r".join((msh("RAS^O17", "20210412090000+0200"), PID, ORC, _rxa(amount="300", action="U")))
    second = only(read_hl7v2(content.encode(), intake)).version
    assert first.key == second.key
    fact = join_fact(join_fact(None, second), first)
    assert [statement for statement, _ in fact.statements] == [second.statement]


def test_a_dose_without_an_order_number_belongs_to_its_patient(intake: Intake) -> None:
    one = only(_given(intake, _rxa())).version
    assert one.provenance.path == "RXA[1]"
    other = read_hl7v2("\r".join((msh("RAS^O17"), PID.replace("70014", "7"), _rxa())).encode(), intake)
    assert one.key != only(other).version.key


def test_a_drug_that_no_list_knows_is_a_fact_without_a_name(intake: Intake) -> None:
    content = exposure(_given(intake, ORC, _rxa(code="99999^something^L")))
    assert (content.ingredients, content.flags) == ((), (EvidenceFlag.UNKNOWN_INGREDIENT,))
    assert content.dose is None


@pytest.mark.parametrize(
    ("changes", "dose"),
    [
        ({}, Dose(amount_mg=Decimal(400))),
        ({"unit": "mg^milligram^UCUM"}, Dose(amount_mg=Decimal(400))),
        ({"amount": "0.4", "unit": "g"}, Dose(amount_mg=Decimal(400))),
        ({"amount": "500", "unit": "ug"}, Dose(amount_mg=Decimal("0.5"))),
        ({"amount": "2.5", "unit": "mg/kg"}, Dose(amount_mg_per_kg=Decimal("2.5"))),
        ({"amount": "4", "unit": "TAB", "strength": "100"}, Dose(amount_mg=Decimal(400))),
        ({"amount": "4", "unit": "TAB^Tablet^L", "strength": "100"}, Dose(amount_mg=Decimal(400))),
        ({"amount": "999999.999999999"}, Dose(amount_mg=Decimal("999999.999999999"))),
        ({"amount": "1000000"}, None),
        ({"amount": "100000", "unit": "mg/kg"}, None),
        ({"amount": "4", "unit": "TAB"}, None),
        ({"amount": "400", "unit": ""}, None),
        ({"amount": "400", "unit": "mL"}, None),
        ({"amount": "400", "unit": "mg/h"}, None),
        ({"amount": "400", "unit": "mg^^L^g"}, None),
        ({"amount": "400", "per_time": "H1"}, None),
        ({"amount": ""}, None),
        ({"amount": "0"}, None),
        ({"amount": "999"}, None),
        ({"amount": "998"}, Dose(amount_mg=Decimal(998))),
        ({"amount": "<400"}, None),
        ({"amount": "about 400"}, None),
    ],
)
def test_a_dose_is_read_only_where_it_is_certain(
    intake: Intake, changes: dict[str, str], dose: Dose | None
) -> None:
    assert exposure(_given(intake, ORC, _rxa(**changes))).dose == dose


@pytest.mark.parametrize(
    ("rxe", "dose"),
    [
        (f"RXE||{PREDNISONE}|40||mg", Decimal(40)),
        (f"RXE||{PREDNISONE}|40|40|mg", Decimal(40)),
        (f"RXE||{PREDNISONE}|20|40|mg", None),
        (f"RXE||{PREDNISONE}|2||TAB||||||||||||||||||||20|mg", Decimal(40)),
        (f"RXE||{PREDNISONE}|2||TAB||||||||||||||||||||20|mg|||||||5", None),
        (f"RXE||{PREDNISONE}|40||mg|||||||||||||||||H1", None),
        (f"RXO|{PREDNISONE}|40||mg", Decimal(40)),
        (f"RXO|{PREDNISONE}|40|60|mg", None),
    ],
)
def test_the_dose_of_an_order(intake: Intake, rxe: str, dose: Decimal | None) -> None:
    content = _ordered(intake, rxe)
    assert (None if content.dose is None else content.dose.amount_mg) == dose


@pytest.mark.parametrize(
    ("pattern", "per_day"),
    [
        ("QD", Decimal(1)),
        ("BID", Decimal(2)),
        ("TID", Decimal(3)),
        ("QID", Decimal(4)),
        ("5ID", Decimal(5)),
        ("QOD", Decimal("0.5")),
        ("QHS", Decimal(1)),
        ("Q6H", Decimal(4)),
        ("Q12H", Decimal(2)),
        ("Q24H", Decimal(1)),
        ("Q1D", Decimal(1)),
        ("Q4D", Decimal("0.25")),
        ("q8h", Decimal(3)),
        ("Q5H", None),
        ("Q36H", None),
        ("Q2W", None),
        ("PRN", None),
        ("Once", None),
        ("C", None),
        ("BID~QHS", None),
        ("whenever", None),
        ("", None),
    ],
)
def test_how_often_a_day(intake: Intake, pattern: str, per_day: Decimal | None) -> None:
    rxe = f"RXE||{PREDNISONE}|40||mg"
    content = _ordered(intake, rxe, f"TQ1|1||{pattern}")
    assert content.dose == Dose(amount_mg=Decimal(40), per_day=per_day)
    assert _ordered(intake, f"TQ1|1||{pattern}", rxe).dose == content.dose


def test_how_often_a_day_in_older_versions_and_when_needed(intake: Intake) -> None:
    older = _ordered(intake, f"RXE|^Q12H&0800,2000|{PREDNISONE}|40||mg")
    assert older.dose == Dose(amount_mg=Decimal(40), per_day=Decimal(2))
    needed = _ordered(intake, f"RXE||{PREDNISONE}|40||mg", "TQ1|1||BID||||||PRN")
    assert needed.dose == Dose(amount_mg=Decimal(40))
    twice = _ordered(intake, f"RXE||{PREDNISONE}|40||mg", "TQ1|1||QAM", "TQ1|2||QPM")
    assert twice.dose == Dose(amount_mg=Decimal(40))


def test_a_product_of_several_ingredients_and_a_compound_have_no_dose(intake: Intake) -> None:
    both = "RXE||^prednisone/imatinib|40||mg"
    assert _ordered(intake, both).dose is None
    compound = _ordered(intake, f"RXE||{PREDNISONE}|40||mg", f"RXC|A|{PREDNISONE}|40|mg")
    assert (compound.ingredients, compound.dose) == (("prednisone",), None)


def test_a_stop_has_no_dose(intake: Intake) -> None:
    outcome = _given(intake, ORC.replace("RE", "DC"), f"RXE||{PREDNISONE}|40||mg", kind="RDE^O11")
    assert (exposure(outcome).is_stop, exposure(outcome).dose) == (True, None)


def test_a_dispense_has_the_dose_of_its_order_when_that_names_the_same_drug(intake: Intake) -> None:
    rxd = f"RXD|1|{PREDNISONE}|20210302|30|TAB"
    with_order = _given(intake, ORC, f"RXE||{PREDNISONE}|40||mg", "TQ1|1||QD", rxd, kind="RDS^O13^RDS_O13")
    assert exposure(with_order).dose == Dose(amount_mg=Decimal(40), per_day=Decimal(1))
    other = _given(intake, ORC, f"RXE||{IMATINIB}|400||mg", rxd, kind="RDS^O13")
    assert exposure(other).dose is None
    assert exposure(_given(intake, ORC, rxd, kind="RDS^O01")).dose is None


@pytest.mark.parametrize("kind", ["OMP^O09^OMP_O09", "ORM^O01^ORM_O01", "ORM^O01"])
def test_an_order_of_a_drug_in_a_general_order_message(intake: Intake, kind: str) -> None:
    outcome = _given(intake, ORC.replace("RE", "NW"), f"RXO|{PREDNISONE}|40||mg", kind=kind)
    content = exposure(outcome)
    assert (content.kind, content.ingredients) == (ExposureKind.ORDER, ("prednisone",))
    pharmacy = _given(intake, ORC.replace("RE", "NW"), f"RXE||{PREDNISONE}|40||mg", kind="RDE^O11")
    assert only(pharmacy).version.key == only(outcome).version.key


def test_an_order_of_something_else_is_counted(intake: Intake) -> None:
    outcome = _given(intake, ORC.replace("RE", "NW"), "OBR|1|1||24317-0^CBC^LN", kind="ORM^O01")
    assert (outcome.events, outcome.ignored) == ([], {IgnoreReason.NO_DRUG: 1})
    assert outcome.message is MessageOutcome.ACCEPTED
    assert outcome.parts["ORC", Fate.IGNORED] == 1
