"""Measuring alerts: the made-up hospital, the rules beside ours, and figures on hand-made alerts."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from pv_stream.audit.clock import ClockMode
from pv_stream.audit.evaluation.hospital import HospitalAssumptions, Truth, made_up_hospital
from pv_stream.audit.evaluation.measures import Found, Incidence, Stood, measure
from pv_stream.audit.evaluation.report import document_of, page_of
from pv_stream.audit.evaluation.rules_beside import RulesBeside
from pv_stream.audit.evaluation.run import Evaluation, evaluate, read_truth
from pv_stream.audit.evaluation.standing import AlertsTold
from pv_stream.audit.log import Log, LogForm, LogRecord
from pv_stream.audit.replay import ReplayPlan
from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.codes import Analyte, FindingCode, Presence
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Content, Finding, Measurement
from pv_stream.domain.ids import PatientId
from pv_stream.domain.times import MICROSECONDS_PER_HOUR, Instant, format_instant
from pv_stream.errors import DataError
from pv_stream.shard.fold import RawRecord
from tests.builders import RULEBOOK, at
from tests.merging import PatientEvent, Topic, merge
from tests.unit.audit.logs import imatinib_lines

START: Final = at(4, 0)
PRIOR: Final = PatientId("prior")
SURVIVOR: Final = PatientId("survivor")
MERGED: Final = {PRIOR: SURVIVOR}
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


def stood(since: int, until: int | None = None, *of_drugs: str) -> Stood:
    """Return an alert that stood from one hour to another after `START`."""
    ended = None if until is None else Instant(START + until * HOUR)
    return Stood(Instant(START + since * HOUR), ended, frozenset(of_drugs) or None)


def measured(alerts: dict[int, Sequence[int | Stood]], truth: list[Truth]) -> Found:
    """Measure alerts that came so many hours after `START`, and stand unless another is given."""
    alerted = {
        PatientId(f"p{number}"): [stood(each) if isinstance(each, int) else each for each in times]
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


@pytest.mark.parametrize(
    ("alerts", "hours", "beforehand"),
    [
        ((stood(-9),), "0.0", 1),
        ((stood(-9, 1),), "0.0", 1),
        ((stood(-9, 0),), None, 0),
        ((stood(-9, -8),), None, 0),
        ((stood(-9, -8), stood(3)), "3.0", 0),
        ((stood(0),), "0.0", 0),
        ((stood(0, 0),), "0.0", 0),
        ((stood(-9), stood(3)), "0.0", 1),
        ((stood(-9, None, "imatinib"),), "0.0", 1),
        ((stood(-9, None, "imatinib", "aspirin"),), "0.0", 1),
        ((stood(-9, None, "phenytoin"),), None, 0),
        ((stood(5, None, "phenytoin"),), None, 0),
        ((stood(-9, None, "phenytoin"), stood(5)), "5.0", 0),
    ],
)
def test_what_stands_when_the_first_sign_comes_finds_the_case(
    alerts: tuple[Stood, ...], hours: str | None, beforehand: int
) -> None:
    found = measured({0: alerts}, truth_of(0))
    assert found.delays == (() if hours is None else (Decimal(hours),))
    assert (found.beforehand, found.sensitivity.count) == (beforehand, int(hours is not None))
    assert found.ppv.of == found.sensitivity.count  # an alert that ended too soon was no false one


def test_a_restart_finds_no_case_without_a_culprit() -> None:
    truth = [Truth(PatientId("p0"), None, START)]
    assert measured({0: [stood(1, None, "imatinib")]}, truth).sensitivity.count == 0
    assert measured({0: [stood(1)]}, truth).sensitivity.count == 1


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
    return {rule for rule in ("naive", "published", "published_with_skin_notes") if rules.stood(rule)}


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


def test_the_rules_beside_read_merged_records_as_one() -> None:
    template = next(event for event in map(decode_event, imatinib_lines()) if isinstance(event, FactArrived))
    rules = RulesBeside()
    for patient, content in ((PRIOR, PERCENT), (SURVIVOR, ALT), (PatientId("other"), ALT)):
        rules.take(replace(_with(template, content), patient_id=patient))
    assert rules.stood("published") == {}
    assert list(rules.stood("published", lambda patient: MERGED.get(patient, patient))) == [SURVIVOR]


# Alerts as they are told ------------------------------------------------------------------------------------------


def told(alert_id: str, hour: int, tier: str, status: str = "raised", **more: object) -> dict[str, object]:
    """Return a revision of an alert, told so many hours after `START`."""
    as_of = format_instant(Instant(START + hour * HOUR))
    alert = {"alert_id": alert_id, "kind": "suspected_dress", "patient_id": "survivor", "as_of": as_of}
    return {**alert, "tier": tier, "status": status, "restart": None, "continues": [], **more}


def stretches(tier: str, *revisions: dict[str, object]) -> tuple[dict[PatientId, list[Stood]], int]:
    """Return when the alerts of these revisions stood, and how many they are."""
    alerts = AlertsTold()
    for revision in revisions:
        alerts.take(revision)
    return alerts.at(tier, lambda patient: MERGED.get(patient, patient))


def test_an_alert_stands_at_a_tier_until_it_falls_or_ends() -> None:
    life = (
        told("al_1", 0, "info"),
        told("al_1", 1, "critical", "revised"),
        told("al_1", 2, "info", "revised"),
        told("al_1", 3, "warning", "revised"),
        told("al_1", 4, "warning", "closed"),
    )
    assert stretches("info", *life) == ({SURVIVOR: [stood(0, 4)]}, 1)
    assert stretches("warning", *life) == ({SURVIVOR: [stood(1, 2), stood(3, 4)]}, 1)
    assert stretches("critical", *life) == ({SURVIVOR: [stood(1, 2)]}, 1)
    assert stretches("critical", *life[:1]) == ({}, 0)
    assert stretches("info", told("al_1", 0, "info", kind="follow_up_due")) == ({}, 0)


def test_a_restart_is_about_the_drugs_of_its_product() -> None:
    restart = told("al_1", 0, "warning", kind="culprit_restart", restart={"drug": "sulfadiazine/Imatinib"})
    assert stretches("info", restart)[0] == {SURVIVOR: [stood(0, None, "sulfadiazine", "imatinib")]}


def test_an_alert_that_goes_on_under_the_survivor_is_one_alert() -> None:
    prior = (
        told("al_prior", 0, "info", patient_id="prior"),
        told("al_prior", 3, "info", "transferred", patient_id="prior"),
    )
    goes_on = told("al_goes_on", 2, "warning", continues=["al_prior"])
    of_its_own = told("al_own", 1, "info"), told("al_own", 2, "info", "revised", continues=["al_prior"])
    assert stretches("info", goes_on, *prior) == (
        {SURVIVOR: [stood(2), stood(0, 3)]},
        1,
    )
    assert stretches("warning", *prior, goes_on)[1] == 1
    assert stretches("info", *prior, *of_its_own)[1] == 2


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


def _merged_log(shard_count: int, *, recorded: bool) -> tuple[ReplayPlan, list[LogRecord]]:
    """Return the log of a patient of two records, merged after the restart of the drug and before the reaction."""
    story = [event for event in map(decode_event, imatinib_lines(PRIOR)) if isinstance(event, FactArrived)]
    start = replace(story[0], patient_id=SURVIVOR)
    events: list[PatientEvent] = [start, *story]
    merged_at = next(n for n, event in enumerate(events) if event.received_at > at(60))
    events[merged_at:merged_at] = merge(PRIOR, SURVIVOR, at(60))
    if not recorded:
        lines = [RawRecord(n, each.patient_id.encode(), encode_event(each)) for n, each in enumerate(events)]
        log = Log(Path(), LogForm.EVENTS, shard_count, makes_transfers=True)
        return ReplayPlan(log, RULEBOOK), [LogRecord(0, line, 0) for line in lines]
    topic = Topic(shard_count)
    for each in events:
        topic.send(each)
        topic.settle()
    log = Log(Path(), LogForm.ARCHIVE, shard_count, makes_transfers=False)
    records = [LogRecord(shard, line, 0) for shard, lines in enumerate(topic.logs) for line in lines]
    return ReplayPlan(log, RULEBOOK), records


@pytest.fixture(scope="module")
def never_merged() -> Evaluation:
    lines = [RawRecord(n, PRIOR.encode(), line) for n, line in enumerate(imatinib_lines(PRIOR))]
    plan = ReplayPlan(Log(Path(), LogForm.EVENTS, 1, makes_transfers=True), RULEBOOK)
    truth = [Truth(PRIOR, "imatinib", at(103, 10))]
    return evaluate([LogRecord(0, line, 0) for line in lines], plan, truth, ClockMode.DAILY)


def test_a_warning_of_a_restart_before_the_first_sign_finds_the_case(never_merged: Evaluation) -> None:
    _, warning, critical = never_merged.found[:3]
    assert (warning.sensitivity.count, warning.beforehand, warning.delays) == (1, 1, (Decimal("0.0"),))
    assert (critical.sensitivity.count, critical.beforehand, critical.delays) == (1, 0, (Decimal("1.5"),))


@pytest.mark.parametrize(
    ("shard_count", "recorded", "named"),
    [(1, False, (PRIOR,)), (1, False, (SURVIVOR, PRIOR)), (3, True, (SURVIVOR,))],
)
def test_a_merged_patient_counts_once_and_as_one_that_never_was_two(
    *, never_merged: Evaluation, shard_count: int, recorded: bool, named: Sequence[PatientId]
) -> None:
    plan, records = _merged_log(shard_count, recorded=recorded)
    truth = [Truth(each, "imatinib", at(103 + sooner, 10)) for sooner, each in enumerate(reversed(named))]
    evaluation = evaluate(records, plan, truth, ClockMode.DAILY)
    assert (evaluation.patients, evaluation.merged) == (1, 1)
    assert (evaluation.cases, evaluation.not_in_log) == (1, 0)
    assert evaluation.patient_days == never_merged.patient_days
    assert evaluation.found == never_merged.found
    document = document_of(evaluation, synthetic=None)
    assert document["records_merged"] == 1
    html = page_of(evaluation, document)
    assert "merged into another and count with it: 1." in html
    assert "pv_stream, warning and above: 1 of 1" in html


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
