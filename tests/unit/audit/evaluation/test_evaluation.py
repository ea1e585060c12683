"""Measuring alerts: the made-up hospital, the rules beside ours, and figures on hand-made alerts."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from pv_stream.audit.clock import ClockMode
from pv_stream.audit.evaluation.hospital import HospitalAssumptions, Truth, made_up_hospital
from pv_stream.audit.evaluation.measures import Found, Incidence, measure
from pv_stream.audit.evaluation.report import document_of, page_of
from pv_stream.audit.evaluation.rules_beside import RulesBeside
from pv_stream.audit.evaluation.run import Evaluation, evaluate, read_truth
from pv_stream.audit.log import Log, LogForm, LogRecord
from pv_stream.audit.replay import ReplayPlan
from pv_stream.codec.events import decode_event
from pv_stream.domain.codes import Analyte, FindingCode, Presence
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Content, Finding, Measurement
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import MICROSECONDS_PER_HOUR, Instant
from pv_stream.errors import DataError
from pv_stream.shard.fold import RawRecord
from tests.builders import RULEBOOK, at
from tests.unit.audit.logs import imatinib_lines

START: Final = at(4, 0)
SMALL: Final = HospitalAssumptions(patients=60)
HOUR: Final = MICROSECONDS_PER_HOUR


def truth_of(*cases: int, patients: int = 10) -> list[Truth]:
    """Return the truth of patients 0, 1, ... of whom some are cases since `START`."""
    return [
        Truth(PatientId(f"p{number}"), "imatinib", START)
        if number in cases
        else Truth(PatientId(f"p{number}"))
        for number in range(patients)
    ]


def measured(alerts: dict[int, Sequence[int]], truth: list[Truth]) -> Found:
    """Measure alerts that came so many hours after `START`."""
    alerted = {
        PatientId(f"p{number}"): [Instant(START + hours * HOUR) for hours in times]
        for number, times in alerts.items()
    }
    return measure("rule", "a rule", alerted, truth, alerts=Incidence(sum(map(len, alerts.values())), 100))


# Figures ----------------------------------------------------------------------------------------------------------


def test_found_missed_and_false_alerts() -> None:
    found = measured({0: [5], 1: [7], 5: [1], 6: [1]}, truth_of(0, 1, 2))
    assert (found.sensitivity.count, found.sensitivity.of) == (2, 3)
    assert (found.ppv.count, found.ppv.of) == (2, 4)
    assert (found.specificity.count, found.specificity.of) == (5, 7)
    assert found.alerts.per_thousand == 40
    assert found.delays == (Decimal("5.0"), Decimal("7.0"))


def test_an_alert_before_the_first_sign_finds_nothing_and_a_later_one_does() -> None:
    assert measured({0: [-1]}, truth_of(0)).sensitivity.count == 0
    assert measured({0: [-1]}, truth_of(0)).ppv.of == 0
    found = measured({0: [-1, 0, 9]}, truth_of(0))
    assert found.delays == (Decimal("0.0"),)


def test_cases_are_counted_by_culprit() -> None:
    truth = [*truth_of(0, 1), Truth(PatientId("x"), None, START)]
    by_culprit = measured({0: [1]}, truth).by_culprit
    assert {drug: (rate.count, rate.of) for drug, rate in by_culprit.items()} == {
        "imatinib": (1, 2),
        "unknown": (0, 1),
    }


def test_the_ppv_elsewhere_is_that_of_bayes() -> None:
    found = measured({0: [1], 5: [1]}, truth_of(0))  # sensitivity 1, specificity 8/9
    share = 7 / 199_924
    assert found.ppv_where_published == pytest.approx(share / (share + (1 - share) / 9))
    assert measured({}, truth_of(0)).ppv_where_published is None
    assert measured({}, truth_of()).ppv_where_published is None


@pytest.mark.parametrize(("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.390)])
def test_the_interval_of_a_count_is_that_of_the_tables(count: int, low: float, high: float) -> None:
    """Garwood 1936, table of the limits of a Poisson expectation."""
    interval = Incidence(count, 1000).interval
    assert interval is not None
    assert [interval.low, interval.high] == pytest.approx([low, high], abs=5e-4)


def test_nothing_is_known_of_no_patient_day() -> None:
    assert (Incidence(0, 0).per_thousand, Incidence(0, 0).interval) == (0, None)


# The rules beside -------------------------------------------------------------------------------------------------


def _fired(*contents: Content) -> set[str]:
    template = next(event for event in map(decode_event, imatinib_lines()) if isinstance(event, FactArrived))
    rules = RulesBeside()
    for content in contents:
        rules.take(_with(template, content))
    return {rule for rule in ("naive", "published", "published_with_skin_notes") if rules.fired(rule)}


def _with(event: FactArrived, content: Content) -> FactArrived:
    statement = replace(event.version.statement, content=content)
    return replace(event, version=replace(event.version, statement=statement))


def _count(value: int, specimen: str | None = "s") -> Measurement:
    return Measurement(Analyte.EOSINOPHILS, Decimal(value), specimen=specimen)


ALT: Final = Measurement(Analyte.ALT, Decimal("300.1"))
PERCENT: Final = Measurement(Analyte.EOSINOPHILS_PERCENT, Decimal("10.1"))
RASH: Final = Finding(FindingCode.RASH, Presence.PRESENT)


@pytest.mark.parametrize(
    ("contents", "rules"),
    [
        ((_count(1500),), {"naive"}),
        ((_count(1499),), set()),
        ((PERCENT, ALT), {"published"}),
        ((PERCENT, Measurement(Analyte.ALT, Decimal(300))), set()),
        ((Measurement(Analyte.EOSINOPHILS_PERCENT, Decimal(10)), ALT), set()),
        ((_count(801), Measurement(Analyte.LEUKOCYTES, Decimal(8000), specimen="s"), ALT), {"published"}),
        ((_count(800), Measurement(Analyte.LEUKOCYTES, Decimal(8000), specimen="s"), ALT), set()),
        ((_count(801), Measurement(Analyte.LEUKOCYTES, Decimal(8000), specimen="t"), ALT), set()),
        ((_count(801, None), Measurement(Analyte.LEUKOCYTES, Decimal(8000)), ALT), set()),
        ((RASH, PERCENT, ALT), {"published", "published_with_skin_notes"}),
        ((Finding(FindingCode.RASH, Presence.ABSENT), PERCENT, ALT), {"published"}),
    ],
)
def test_each_rule_at_its_bounds(contents: tuple[Content, ...], rules: set[str]) -> None:
    assert _fired(*contents) == rules


# The hospital -----------------------------------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_hospital_and_another_seed_another() -> None:
    first, truth = made_up_hospital(seed=1, start=START, assumptions=SMALL)
    again, _ = made_up_hospital(seed=1, start=START, assumptions=SMALL)
    other, _ = made_up_hospital(seed=2, start=START, assumptions=SMALL)
    assert [line.value for line in first] == [line.value for line in again]
    assert [line.value for line in first] != [line.value for line in other]
    assert len(truth) == 60


def test_every_story_is_told_and_cases_have_a_culprit_and_a_first_sign() -> None:
    _, truth = made_up_hospital(seed=1, start=START, assumptions=HospitalAssumptions(patients=200))
    cases = [one for one in truth if one.is_case]
    assert len(cases) == pytest.approx(200 * 0.024, abs=2)
    assert all(one.culprit is not None and one.first_sign is not None for one in cases)


def test_what_is_missing_never_reaches_the_log() -> None:
    whole, _ = made_up_hospital(
        seed=1, start=START, assumptions=HospitalAssumptions(patients=20, share_missing=0)
    )
    half, _ = made_up_hospital(
        seed=1, start=START, assumptions=HospitalAssumptions(patients=20, share_missing=0.5)
    )
    assert len(half) < 0.8 * len(whole)


# A whole evaluation -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    lines, truth = made_up_hospital(seed=2026, start=START, assumptions=SMALL)
    records = [
        LogRecord(0, RawRecord(n, line.patient_id.encode(), line.value), n) for n, line in enumerate(lines)
    ]
    plan = ReplayPlan(Log(Path(), LogForm.EVENTS, 1, makes_transfers=True), RULEBOOK)
    return evaluate(records, plan, truth, ClockMode.DAILY)


def test_tiers_and_rules_are_measured_on_one_log(evaluation: Evaluation) -> None:
    found = {each.name: each for each in evaluation.found}
    assert list(found) == ["info", "warning", "critical", "naive", "published", "published_with_skin_notes"]
    assert {each.sensitivity.of for each in evaluation.found} == {evaluation.cases}
    assert found["info"].alerts.count >= found["warning"].alerts.count >= found["critical"].alerts.count
    assert found["warning"].sensitivity.count >= 1
    assert evaluation.patients == 60
    assert evaluation.patient_days > 60


def test_the_page_stands_alone_and_says_that_it_is_synthetic(evaluation: Evaluation) -> None:
    document = document_of(evaluation, synthetic={"seed": 2026, "share_missing": 0.05, "days": "<35>"})
    html = page_of(evaluation, document)
    assert html == page_of(evaluation, document)
    assert "SYNTHETIC" in html
    assert html.count("<svg") == 2
    assert "&lt;35&gt;" in html
    assert "<script" not in html
    assert "http" not in html
    assert "synthetic-hospital" not in html


def test_a_log_of_ones_own_is_not_called_synthetic(evaluation: Evaluation) -> None:
    document = document_of(evaluation, synthetic=None)
    assert document["synthetic"] is False
    assert "SYNTHETIC" not in page_of(evaluation, document)


# Truth from a file ------------------------------------------------------------------------------------------------


def test_the_truth_is_read(tmp_path: Path) -> None:
    file = tmp_path / "truth.csv"
    file.write_text(
        "patient_id,culprit,first_sign\na,imatinib,2026-01-05T00:00:00Z\nb,,2026-01-05T00:00:00Z\n"
    )
    assert read_truth(file) == [Truth(PatientId("a"), "imatinib", START), Truth(PatientId("b"), None, START)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"patient_id,culprit\n", "line 1: the columns first_sign are missing"),
        (b"patient_id,culprit,first_sign\na,imatinib,2026-01-05\n", "line 2: first_sign looks like"),
        (b"patient_id,culprit,first_sign\na,imatinib\n", "line 2: first_sign looks like"),
        (b"patient_id;culprit;first_sign\n", "separated by commas"),
        (b"patient_id,culprit,first_sign\n,imatinib,2026-01-05T00:00:00Z\n", "line 2: no patient_id"),
        (
            b"patient_id,culprit,first_sign\n" + 2 * b"a,,2026-01-05T00:00:00Z\n",
            "line 3: a stands twice",
        ),
        (b"\xff\xfe", "not a CSV file in UTF-8"),
    ],
)
def test_a_truth_that_cannot_be_read_names_the_line(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "truth.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=why):
        read_truth(file)


def test_a_truth_may_begin_with_the_mark_that_spreadsheets_write(tmp_path: Path) -> None:
    file = tmp_path / "truth.csv"
    file.write_bytes(b"\xef\xbb\xbfpatient_id,culprit,first_sign\r\na,,2026-01-05T00:00:00Z\r\n")
    assert read_truth(file) == [Truth(PatientId("a"), None, START)]


def test_a_case_of_which_the_log_holds_nothing_is_told(evaluation: Evaluation) -> None:
    assert evaluation.not_in_log == 0
    told = replace(evaluation, not_in_log=1)
    document = document_of(told, synthetic=None)
    assert document["cases_not_in_log"] == 1
    assert "Cases of which the log holds nothing: 1" in page_of(told, document)


def test_a_truth_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_truth(tmp_path / "none.csv")
