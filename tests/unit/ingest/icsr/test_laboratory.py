"""Tests of safety reports: known by a code or a whole listed name, and by the unit where the name does not decide."""

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest

from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.codes import Analyte, EvidenceFlag, HoldCode
from pv_stream.domain.facts import AsSent, Held, Measurement
from pv_stream.errors import UsageError
from pv_stream.ingest.icsr.facts import MEASUREMENTS_MAX
from pv_stream.ingest.icsr.reader import read_e2b
from pv_stream.ingest.intake import Intake, intake_of
from pv_stream.ingest.outcomes import Fate, IgnoreReason, Outcome, RejectCode
from pv_stream.ingest.tables import fold, loinc_table, named_tests, unit_table
from pv_stream.settings import Settings
from tests.unit.ingest.icsr.safety_reports import LOINC, MEDDRA, Version, r3, result
from tests.unit.ingest.messages import facts

COUNT = '<center value="1690" unit="/uL"/>'
PERCENT = '<center value="21" unit="%"/>'


def _read(intake: Intake, *tests: str) -> Outcome:
    return read_e2b(r3(Version(tests=tests)), intake)


def _measured(outcome: Outcome) -> list[Measurement]:
    contents = [event.version.statement.content for event in facts(outcome)]
    return [content for content in contents if isinstance(content, Measurement)]


def _named(name: str, value: str = COUNT, *, code: str = "", system: str = "", kind: str = "IVL_PQ") -> str:
    return result(code, value, system=system, kind=kind, name=name)


# The table -------------------------------------------------------------------------------------------------------


def test_every_listed_name_is_folded_and_makes_a_token_of_the_canonical_form() -> None:
    for name in named_tests():
        assert name == fold(name)
        assert re.fullmatch(r"[a-z0-9%/()_-]{1,40}", name.replace(",", "").replace(" ", "_")), name


def test_every_listed_name_is_measured_as_its_loinc_codes_are() -> None:
    """A name takes no quantity, and no specimen, that the analyte's codes do not take."""
    quantities = {unit.quantity for unit in unit_table().values()}
    codes = loinc_table().analytes.values()
    for readings in named_tests().values():
        for reading in readings:
            (in_blood,) = {code.in_blood for code in codes if code.analyte is reading.code.analyte}
            taken = {
                each for code in codes if code.analyte is reading.code.analyte for each in code.quantities
            }
            assert reading.code.in_blood is in_blood
            assert reading.code.quantities <= taken & quantities


def test_only_eosinophils_have_names_that_the_unit_must_decide() -> None:
    undecided = {
        name: {each.code.analyte for each in found} for name, found in named_tests().items() if len(found) > 1
    }
    assert "eosinophils" in undecided
    assert set(map(frozenset, undecided.values())) == {
        frozenset({Analyte.EOSINOPHILS, Analyte.EOSINOPHILS_PERCENT}),
    }
    for name in undecided:
        assert not re.search(r"count|absolute|percent|%", name)


# Names and codes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "analyte", "value"),
    [
        (_named("Eosinophil count"), Analyte.EOSINOPHILS, "1690"),
        (_named(" EOSINOPHIL\n COUNT "), Analyte.EOSINOPHILS, "1690"),
        (_named("Eosinophil count", code="99999999", system=MEDDRA), Analyte.EOSINOPHILS, "1690"),
        (_named("Eosinophils"), Analyte.EOSINOPHILS, "1690"),
        (_named("Eosinophils", PERCENT), Analyte.EOSINOPHILS_PERCENT, "21"),
        (_named("Eosinophil percentage", PERCENT), Analyte.EOSINOPHILS_PERCENT, "21"),
        (_named("Eosinophils", "1690 /uL", kind="ED"), Analyte.EOSINOPHILS, "1690"),
        (_named("Eosinophils", "21%", kind="ED"), Analyte.EOSINOPHILS_PERCENT, "21"),
        # Not in the table of units: a PQ is UCUM by its type.
        (_named("Eosinophil count", '<center value="1.69" unit="10*6/cL"/>'), Analyte.EOSINOPHILS, "169"),
        (_named("nonsense", code="711-2", system=LOINC), Analyte.EOSINOPHILS, "1690"),
        (_named("Eosinophil percentage", code="711-2", system=LOINC), Analyte.EOSINOPHILS, "1690"),
    ],
)
def test_a_test_is_known_by_its_code_or_else_by_its_whole_name(
    intake: Intake, test: str, analyte: Analyte, value: str
) -> None:
    outcome = _read(intake, test)
    (measured,) = _measured(outcome)
    assert (measured.analyte, measured.value) == (analyte, Decimal(value))
    assert measured.flags == (EvidenceFlag.SPECIMEN_NOT_STATED,)
    assert outcome.parts["F.r test", Fate.FACT] == 1


def test_what_was_sent_is_kept_as_the_listed_name_and_never_as_text(intake: Intake) -> None:
    outcome = _read(intake, _named("EOSINOPHIL  COUNT, ABSOLUTE", code="99999999", system=MEDDRA))
    (measured,) = _measured(outcome)
    assert measured.as_sent == AsSent("test_name", "eosinophil_count_absolute", "1690", "/uL")
    for event in outcome.events:
        assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize(
    ("test", "code"),
    [
        (_named("Eosinophils", '<center value="21"/>'), HoldCode.MISSING_UNIT),
        (_named("Eosinophils", '<center value="21" unit="mg/dL"/>'), HoldCode.UNIT_DOES_NOT_FIT),
        (_named("Eosinophil count", PERCENT), HoldCode.UNIT_DOES_NOT_FIT),
        (_named("Eosinophil percentage", COUNT), HoldCode.UNIT_DOES_NOT_FIT),
        (_named("Eosinophils", "21", kind="ED"), HoldCode.MISSING_UNIT),
        (_named("Eosinophils", "1690 /uL on day 3", kind="ED"), HoldCode.UNREADABLE_VALUE),
        (_named("Eosinophils", "raised twice, to 1690", kind="ED"), HoldCode.UNREADABLE_VALUE),
        (_named("Creatinine", '<center value="1.4" unit="mg/dL"/>'), HoldCode.UNKNOWN_SPECIMEN),
        (_named("White blood cells", COUNT), HoldCode.UNKNOWN_SPECIMEN),
        (result("", COUNT, system="", name="Eosinophil count", at=""), HoldCode.MISSING_TIME),
        (result("", COUNT, system="", name="Eosinophil count", at="2099"), HoldCode.TIME_IN_FUTURE),
    ],
)
def test_what_is_known_but_not_believed_waits_with_its_reason(
    intake: Intake, test: str, code: HoldCode
) -> None:
    outcome = _read(intake, test)
    assert ([hold.code for hold in outcome.holds], _measured(outcome)) == ([code], [])
    (held,) = (
        each.version.statement.content
        for each in facts(outcome)
        if isinstance(each.version.statement.content, Held)
    )
    assert held.analyte in {
        Analyte.EOSINOPHILS,
        Analyte.EOSINOPHILS_PERCENT,
        Analyte.LEUKOCYTES,
        Analyte.CREATININE,
    }
    assert outcome.parts["F.r test", Fate.HELD] == 1


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        (_named("Eosinophil count increased"), IgnoreReason.TEST_NOT_CODED),
        (_named("Sputum eosinophils", PERCENT), IgnoreReason.TEST_NOT_CODED),
        (_named("Calcium level", code="99999999", system=MEDDRA), IgnoreReason.CODE_NOT_USED),
        # A code that counts says what the test is, whatever the name.
        (_named("Eosinophil count", code="4544-3", system=LOINC), IgnoreReason.CODE_NOT_USED),
        (_named("Eosinophil count", code="30381-8", system=LOINC), IgnoreReason.NOT_BLOOD),
        (_named("Eosinophil count", "raised", kind="ED"), IgnoreReason.TEXT_VALUE),
        (_named("Eosinophil count", "", kind="ED"), IgnoreReason.NO_VALUE),
    ],
)
def test_what_no_rule_uses_is_counted(intake: Intake, test: str, reason: IgnoreReason) -> None:
    outcome = _read(intake, test)
    assert (_measured(outcome), outcome.ignored[reason], outcome.parts["F.r test", Fate.IGNORED]) == (
        [],
        1,
        1,
    )


def test_a_story_in_the_place_of_a_result_costs_no_more_than_its_length(intake: Intake) -> None:
    outcome = _read(intake, _named("Eosinophil count", "1" + "." * 300_000 + "\n/uL", kind="ED"))
    assert [hold.code for hold in outcome.holds] == [HoldCode.UNREADABLE_VALUE]


def test_of_two_results_of_one_test_the_measured_one_counts(intake: Intake) -> None:
    both = f'<value xsi:type="ED">see the letter</value><value xsi:type="IVL_PQ">{COUNT}</value>'
    test = _named("Eosinophil count").replace(f'<value xsi:type="IVL_PQ">{COUNT}</value>', both)
    assert both in test
    (measured,) = _measured(_read(intake, test))
    assert measured.value == Decimal(1690)


def test_a_long_series_of_one_test_leaves_places_for_the_others(intake: Intake) -> None:
    series = [result(value=f'<center value="{n}" unit="/uL"/>') for n in range(100, 140)]
    outcome = _read(intake, *series, _named("ALT", '<center value="310" unit="U/L"/>'))
    measured = _measured(outcome)
    assert [each.value for each in measured if each.analyte is Analyte.ALT] == [Decimal(310)]
    assert len(measured) == MEASUREMENTS_MAX - 1
    assert [reject.code for reject in outcome.rejects] == [RejectCode.TOO_MANY_REPEATS] * 10
    assert outcome.parts["F.r test", Fate.REJECTED] == 10


def test_tests_by_name_take_no_place_of_what_was_read_without_them(intake: Intake) -> None:
    """A log that was written before names were read takes the same report again without a conflict."""
    named = _named("Eosinophils", PERCENT)
    places = []
    for tests in ([result()], [named, result(), named]):
        outcome = read_e2b(r3(Version(tests=tests, weight="61.5")), intake)
        contents = {event.version.key: event.version.statement.content for event in facts(outcome)}
        places.append({key: each for key, each in contents.items() if isinstance(each, Measurement)})
    before, after = places
    assert (len(before), len(after)) == (2, 4)
    assert before.items() <= after.items()


# Codes of one's own licence --------------------------------------------------------------------------------------


def _licensed(intake: Intake, meddra_tests: Mapping[str, str]) -> Intake:
    settings = Settings(meddra_tests=dict(meddra_tests))
    made = intake_of(settings, intake.pseudonyms, intake.rulebook, intake.now)
    return replace(intake, meddra_tests=made.meddra_tests)


def test_a_meddra_code_that_the_operator_names_is_that_test(intake: Intake) -> None:
    licensed = _licensed(intake, {"99999999": "Eosinophils"})
    (measured,) = _measured(
        _read(licensed, result("99999999", PERCENT, system=MEDDRA, name="White blood cells"))
    )
    assert (measured.analyte, measured.value) == (Analyte.EOSINOPHILS_PERCENT, Decimal(21))
    assert measured.as_sent == AsSent("meddra", "99999999", "21", "%")
    assert (
        _read(licensed, result("99999999", PERCENT, system="1.2.3")).ignored[IgnoreReason.CODE_NOT_USED] == 1
    )


@pytest.mark.parametrize(
    ("meddra_tests", "said"),
    [({"eosinophils": "eosinophil count"}, "eight digits"), ({"99999999": "calcium"}, "no listed test")],
)
def test_a_setting_that_leads_nowhere_is_refused(
    intake: Intake, meddra_tests: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=f"meddra_tests.*{said}"):
        _licensed(intake, meddra_tests)
