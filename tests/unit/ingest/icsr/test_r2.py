"""E2B(R2): the same facts from the elements of the older standard."""

from decimal import Decimal

import pytest

from pv_stream.domain.codes import (
    Analyte,
    DrugRole,
    EvidenceFlag,
    ExposureKind,
    HoldCode,
    RechallengeOutcome,
    ReportedReaction,
    ReportOutcome,
    Route,
)
from pv_stream.domain.facts import Dose, Exposure, Measurement, Report, ReportedDrug, Retracted
from pv_stream.domain.times import Interval, parse_instant
from pv_stream.ingest.icsr.reader import read_e2b
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason, RejectCode
from tests.unit.ingest.icsr.safety_reports import R2_CARBAMAZEPINE, R2_DRESS, r2
from tests.unit.ingest.messages import facts

RASH = "<reaction><reactionmeddrallt>Rash</reactionmeddrallt><termhighlighted>1</termhighlighted></reaction>"


@pytest.fixture
def zoned(intake: Intake) -> Intake:
    """An intake of a facility in UTC: R2 has no time zones."""
    return Intake(intake.pseudonyms, intake.rulebook, intake.drugs, intake.now, None, 0)


def _contents(content: bytes, intake: Intake, kind: type) -> list[object]:
    found = [event.version.statement.content for event in facts(read_e2b(content, intake))]
    return [each for each in found if isinstance(each, kind)]


def _days(first: str, last: str) -> Interval:
    end = parse_instant(f"{last}T23:59:59.999999Z")
    return Interval(parse_instant(f"{first}T00:00:00Z"), end)


def test_a_report_of_dress(zoned: Intake) -> None:
    outcome = read_e2b(r2(R2_DRESS + R2_CARBAMAZEPINE), zoned)
    (report,) = [e for e in facts(outcome) if isinstance(e.version.statement.content, Report)]
    assert report.version.statement.content == Report(
        ReportedReaction.DRESS,
        serious=True,
        outcome=ReportOutcome.UNKNOWN,
        drugs=(ReportedDrug("carbamazepine", DrugRole.SUSPECT, RechallengeOutcome.RECURRED),),
    )
    assert report.version.statement.effective == _days("2026-02-10", "2026-02-10")
    assert report.version.provenance.format == "e2b_r2"
    assert report.version.provenance.path == "B.2[1]"
    assert report.received_at == parse_instant("2026-03-02T09:30:00Z")
    (given,) = [e for e in facts(outcome) if isinstance(e.version.statement.content, Exposure)]
    exposure = given.version.statement.content
    assert isinstance(exposure, Exposure)
    assert (exposure.kind, exposure.ingredients, exposure.route, exposure.dose) == (
        ExposureKind.STATEMENT,
        ("carbamazepine",),
        Route.ORAL,
        Dose(Decimal(200), None, Decimal(2)),
    )
    # Withdrawn, without a date: before the most recent information.
    assert exposure.end == _days("2026-01-05", "2026-03-01")


def test_the_whole_report_is_serious_unless_a_term_says_otherwise(zoned: Intake) -> None:
    def serious(reaction: str, more: str = "") -> object:
        content = r2(reaction, more=more).replace(
            b"<serious>1</serious>", b"" if more else b"<serious>2</serious>"
        )
        (report,) = _contents(content, zoned, Report)
        assert isinstance(report, Report)
        return report.serious

    assert serious(R2_DRESS) is False
    assert serious(RASH) is False
    assert serious(R2_DRESS, "<seriousnesshospitalization>1</seriousnesshospitalization>") is True
    assert serious(R2_DRESS, "<seriousnesshospitalization>2</seriousnesshospitalization>") is None


def test_a_recurrence_may_name_its_reactions(zoned: Intake) -> None:
    named = R2_CARBAMAZEPINE.replace(
        "</drug>", "<drugrecurrence><drugrecuraction>rash</drugrecuraction></drugrecurrence></drug>"
    )
    dress, rash = _contents(r2(R2_DRESS + RASH + named), zoned, Report)
    assert isinstance(dress, Report)
    assert isinstance(rash, Report)
    assert dress.drugs[0].rechallenge is RechallengeOutcome.OUTCOME_UNKNOWN
    assert rash.drugs[0].rechallenge is RechallengeOutcome.RECURRED


def test_substances_name_a_drug_whose_product_no_list_knows(zoned: Intake) -> None:
    drug = (
        "<drug><drugcharacterization>2</drugcharacterization><medicinalproduct>A BRAND</medicinalproduct>"
        "<drugstartdate>202601</drugstartdate>"
        "<activesubstance><activesubstancename>IMATINIB MESYLATE</activesubstancename></activesubstance></drug>"
    )
    (given,) = _contents(r2(R2_DRESS + drug), zoned, Exposure)
    assert isinstance(given, Exposure)
    assert given.ingredients == ("imatinib",)


def _test(name: str, value: str, unit: str = "", date: str = "20260211") -> str:
    return (
        f"<test><testdateformat>102</testdateformat><testdate>{date}</testdate><testname>{name}</testname>"
        f"<testresult>{value}</testresult><testunit>{unit}</testunit></test>"
    )


@pytest.mark.parametrize(
    ("name", "value", "unit", "expected"),
    [
        ("Eosinophil count", "1690", "/uL", (Analyte.EOSINOPHILS, "1690")),
        ("EOSINOPHIL  COUNT", "1.69", "10^9/L", (Analyte.EOSINOPHILS, "1690")),
        ("Eosinophil percentage", "21", "%", (Analyte.EOSINOPHILS_PERCENT, "21")),
        ("Eosinophils", "21", "%", (Analyte.EOSINOPHILS_PERCENT, "21")),
        ("eosinophils", "1690", "/uL", (Analyte.EOSINOPHILS, "1690")),
        ("eosinophils", "21 %", "", (Analyte.EOSINOPHILS_PERCENT, "21")),
        ("White blood cell count", "11.2 x10^9/L", "", (Analyte.LEUKOCYTES, "11200")),
        ("SGPT", "312", "IU/L", (Analyte.ALT, "312")),
        ("Serum creatinine", "1.4", "mg/dl", (Analyte.CREATININE, "1.4")),
        ("Body temperature", "101.3", "F", (Analyte.BODY_TEMPERATURE, "38.5")),
    ],
)
def test_a_test_is_known_by_its_whole_name_and_measured_in_its_own_unit(
    zoned: Intake, name: str, value: str, unit: str, expected: tuple[Analyte, str]
) -> None:
    (measured,) = _contents(r2(R2_DRESS + _test(name, value, unit)), zoned, Measurement)
    assert isinstance(measured, Measurement)
    assert (measured.analyte, measured.value) == (expected[0], Decimal(expected[1]))
    assert measured.flags == (
        () if expected[0] is Analyte.BODY_TEMPERATURE else (EvidenceFlag.SPECIMEN_NOT_STATED,)
    )


@pytest.mark.parametrize(
    ("name", "value", "unit", "date", "code"),
    [
        ("eosinophils", "21", "", "20260211", HoldCode.MISSING_UNIT),
        ("eosinophil count", "1690", "", "20260211", HoldCode.MISSING_UNIT),
        ("eosinophil count", "1690", "furlongs", "20260211", HoldCode.UNKNOWN_UNIT),
        ("eosinophil count", "21", "%", "20260211", HoldCode.UNIT_DOES_NOT_FIT),
        ("eosinophil percentage", "1690", "/uL", "20260211", HoldCode.UNIT_DOES_NOT_FIT),
        ("eosinophils", "21 %", "/uL", "20260211", HoldCode.UNIT_DOES_NOT_FIT),
        ("eosinophil count", "1690", "/uL", "", HoldCode.MISSING_TIME),
        ("eosinophil count", "1690", "/uL", "20261341", HoldCode.UNREADABLE_TIME),
        ("eosinophil count", "1,690", "/uL", "20260211", HoldCode.UNREADABLE_VALUE),
        ("eosinophil count", "1500 to 1690", "/uL", "20260211", HoldCode.UNREADABLE_VALUE),
        ("creatinine", "1.4", "mg/dL", "20260211", HoldCode.UNKNOWN_SPECIMEN),
    ],
)
def test_a_listed_test_that_cannot_be_believed_is_held_with_its_reason(
    zoned: Intake, name: str, value: str, unit: str, date: str, code: HoldCode
) -> None:
    outcome = read_e2b(r2(R2_DRESS + _test(name, value, unit, date)), zoned)
    assert [hold.code for hold in outcome.holds] == [code]
    assert (outcome.parts["F.r test", Fate.HELD], outcome.parts["F.r test", Fate.FACT]) == (1, 0)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("Eosinophil count increased", "1690", IgnoreReason.TEST_NOT_CODED),
        ("Sputum eosinophils", "21", IgnoreReason.TEST_NOT_CODED),
        ("Urine creatinine", "90", IgnoreReason.TEST_NOT_CODED),
        ("Eosinophil", "raised", IgnoreReason.TEXT_VALUE),
        ("Eosinophil count", "", IgnoreReason.NO_VALUE),
        ("", "1690", IgnoreReason.TEST_NOT_CODED),
    ],
)
def test_a_test_that_no_list_knows_or_that_says_no_number_is_counted(
    zoned: Intake, name: str, value: str, reason: IgnoreReason
) -> None:
    content = r2("<patientweight>61.5</patientweight>" + R2_DRESS + _test(name, value, "/uL"))
    outcome = read_e2b(content, zoned)
    assert (outcome.ignored[reason], outcome.parts["F.r test", Fate.IGNORED]) == (1, 1)
    (weight,) = _contents(content, zoned, Measurement)
    assert isinstance(weight, Measurement)
    assert (weight.analyte, weight.value) == (Analyte.BODY_WEIGHT, Decimal("61.5"))


def test_a_nullified_case_is_taken_back(zoned: Intake) -> None:
    content = r2(R2_DRESS, more="<casenullification>1</casenullification>")
    events = facts(read_e2b(content, zoned))
    assert all(isinstance(event.version.statement.content, Retracted) for event in events)


def _version(zoned: Intake, **changes: str) -> int:
    return facts(read_e2b(r2(R2_DRESS, **changes), zoned))[0].version.order.source_version


def test_versions_are_ordered_by_information_then_transmission_then_number(zoned: Intake) -> None:
    versions = [
        _version(zoned, received="20260301", transmitted="20260302", version="2"),
        _version(zoned, received="20260301", transmitted="20260302", version="10"),
        _version(zoned, received="20260301", transmitted="20260303", version="1"),
        _version(zoned, received="20260302", transmitted="20260302", version="1"),
    ]
    assert versions == sorted(set(versions))
    assert _version(zoned, version="") < _version(zoned, version="1")


@pytest.mark.parametrize("version", ["v2", "-1", "2.0", "9" * 30])
def test_a_version_whose_number_cannot_be_read_has_no_place_and_is_refused(
    zoned: Intake, version: str
) -> None:
    outcome = read_e2b(r2(R2_DRESS, version=version), zoned)
    (reject,) = outcome.rejects
    assert (outcome.events, reject.code) == ([], RejectCode.INCOMPLETE_REPORT)
    assert reject.path.endswith("safetyreportversion")


def test_the_case_is_named_by_the_company_or_the_authority(zoned: Intake) -> None:
    def patient(content: bytes) -> str:
        return facts(read_e2b(content, zoned))[0].patient_id

    by_company = patient(r2(R2_DRESS, company="XX-1"))
    assert patient(r2(R2_DRESS, company="", more="<authoritynumb>XX-1</authoritynumb>")) == by_company
    assert patient(r2(R2_DRESS, company="")) != by_company


def test_what_no_rule_uses_is_counted_by_its_number(zoned: Intake) -> None:
    content = r2(
        R2_DRESS
        + R2_CARBAMAZEPINE.replace("</drug>", "<drugreactionrelatedness/></drug>")
        + "<patienthospitalrecordnumb>1</patienthospitalrecordnumb><parent/><patientpastdrugtherapy/><summary/>"
    )
    parts = read_e2b(content, zoned).parts
    for part in (
        "B.1.1 record number",
        "B.1.10 parent",
        "B.1.8 past drug",
        "B.5 narrative",
        "B.4.k.18 causality",
    ):
        assert parts[part, Fate.IGNORED] == 1
    assert parts["B.4.k.17 rechallenge", Fate.CONTEXT] == 1
