"""openFDA: what becomes of a report, what a later version withdraws, and whose word counts for a drug."""

import itertools
import json
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.codes import (
    DrugRole,
    HoldCode,
    RechallengeOutcome,
    ReportedReaction,
    ReportOutcome,
    Route,
)
from pv_stream.domain.facts import Dose, Exposure, Fact, Measurement, Report, ReportedDrug, Retracted
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import Interval, parse_instant
from pv_stream.engine.join import join_fact
from pv_stream.ingest.icsr.openfda import read_openfda
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason, Outcome, Reject, RejectCode
from tests.shards import told
from tests.unit.ingest.messages import as_json, facts, fixture

CANARY = "Zyxwvut 19420229"


@pytest.fixture(scope="module")
def desk(intake: Intake) -> Intake:
    """The intake, with the time of receiving that no report states, at a facility in UTC."""
    return replace(intake, received_at=parse_instant("2026-06-01T00:00:00Z"), utc_offset_minutes=0)


def _report(**changes: Any) -> dict[str, Any]:
    first, _ = fixture("openfda/versions.ndjson").splitlines()
    found: dict[str, Any] = json.loads(first) | changes
    return found


def _with_drug(**changes: Any) -> dict[str, Any]:
    """Return the report with its first drug changed, alone; a member that is None is left out."""
    report = _report()
    drug = report["patient"]["drug"][0] | changes
    report["patient"]["drug"] = [{name: value for name, value in drug.items() if value is not None}]
    return report


def _patient(**changes: Any) -> dict[str, Any]:
    report = _report()
    report["patient"] |= changes
    return report


def _said(outcome: Outcome, kind: type) -> list[Any]:
    contents = [event.version.statement.content for event in facts(outcome)]
    return [content for content in contents if isinstance(content, kind)]


def _when(outcome: Outcome, kind: type) -> list[Interval]:
    events = facts(outcome)
    return [e.version.statement.effective for e in events if isinstance(e.version.statement.content, kind)]


def _joined(outcomes: Iterable[Outcome]) -> list[Any]:
    found: dict[FactKey, Fact] = {}
    for outcome in outcomes:
        for event in facts(outcome):
            found[event.version.key] = join_fact(found.get(event.version.key), event.version)
    contents = [statement.content for fact in found.values() for statement, _ in fact.statements]
    return sorted((c for c in contents if not isinstance(c, Retracted)), key=repr)


def _span(first: str, last: str) -> Interval:
    end = parse_instant(f"{last}T00:00:00Z")
    return Interval(parse_instant(f"{first}T00:00:00Z"), type(end)(end - 1))


# Facts -----------------------------------------------------------------------------------------------------------


def test_a_report_becomes_its_reactions_its_dosages_and_its_weight(desk: Intake) -> None:
    outcome = read_openfda(as_json(_report()), desk)
    (exposure,) = _said(outcome, Exposure)
    assert (exposure.ingredients, exposure.route) == (("carbamazepine",), Route.ORAL)
    assert exposure.dose == Dose(amount_mg=Decimal(200), per_day=Decimal(2))
    assert exposure.end == _span("2026-02-01", "2026-03-01")
    assert _when(outcome, Exposure) == [_span("2026-01-05", "2026-01-06")]
    (weight,) = _said(outcome, Measurement)
    assert weight.value == Decimal("61.5")
    dress, fever = _said(outcome, Report)
    assert dress == Report(
        ReportedReaction.DRESS,
        serious=True,
        outcome=ReportOutcome.RECOVERING,
        drugs=(
            ReportedDrug("carbamazepine", DrugRole.SUSPECT, RechallengeOutcome.RECURRED),
            ReportedDrug("sulfamethoxazole", DrugRole.CONCOMITANT, RechallengeOutcome.OUTCOME_UNKNOWN),
            ReportedDrug("trimethoprim", DrugRole.CONCOMITANT, RechallengeOutcome.OUTCOME_UNKNOWN),
        ),
    )
    assert (fever.reaction, fever.outcome) == (ReportedReaction.OTHER, ReportOutcome.UNKNOWN)
    assert _when(outcome, Report) == [_span("2026-02-10", "2026-02-11")] * 2


def test_each_part_is_counted_under_openfda_s_own_name(desk: Intake) -> None:
    outcome = read_openfda(fixture("openfda/versions.ndjson").splitlines()[1], desk)
    assert outcome.parts == {
        ("safetyreport", Fate.CONTEXT): 1,
        ("primarysource", Fate.IGNORED): 1,
        ("sender", Fate.IGNORED): 1,
        ("reportduplicate", Fate.IGNORED): 1,
        ("duplicate", Fate.CONTEXT): 1,
        ("patient.summary", Fate.CONTEXT): 1,
        ("patient.drug", Fate.FACT): 1,
        ("patient.drug dosage", Fate.IGNORED): 1,
        ("patient.reaction", Fate.FACT): 1,
        ("patient.patientweight", Fate.FACT): 1,
    }
    assert outcome.ignored == {IgnoreReason.ELEMENT_NOT_USED: 3, IgnoreReason.NO_START: 1}
    paths = {event.version.provenance.path for event in facts(outcome)}
    assert "patient.reaction[1]" in paths


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("20260105", "2026-01-05", "2026-01-06"),
        ("202601", "2026-01-01", "2026-02-01"),
        ("2026", "2026-01-01", "2027-01-01"),
    ],
)
def test_a_date_is_as_long_as_it_is_known(desk: Intake, text: str, first: str, last: str) -> None:
    sent = _with_drug(drugstartdate=text, drugenddate=None)
    assert _when(read_openfda(as_json(sent), desk), Exposure) == [_span(first, last)]


@pytest.mark.parametrize(
    ("changes", "serious"),
    [
        ({"serious": "1"}, True),
        ({"serious": "2", "seriousnesshospitalization": None}, False),
        ({"serious": "2"}, True),  # the criterion says more than the flag
        ({"serious": None, "seriousnesshospitalization": None}, None),
        ({"serious": None, "seriousnesshospitalization": None, "seriousnessdeath": "1"}, True),
        ({"serious": 1, "seriousnesshospitalization": None}, True),
    ],
)
def test_seriousness(desk: Intake, changes: dict[str, Any], *, serious: bool | None) -> None:
    reports = _said(read_openfda(as_json(_report(**changes)), desk), Report)
    assert {report.serious for report in reports} == {serious}


@pytest.mark.parametrize(
    ("name", "is_dress"),
    [
        ("DRUG REACTION WITH EOSINOPHILIA AND SYSTEMIC SYMPTOMS", True),
        ("Drug rash with eosinophilia and systemic symptoms", True),
        ("Eosinophilia", False),
        ("Suspected drug reaction with eosinophilia and systemic symptoms", False),
        ("DRESSING CHANGE", False),
    ],
)
def test_dress_is_known_by_a_whole_name(desk: Intake, name: str, *, is_dress: bool) -> None:
    (report,) = _said(read_openfda(as_json(_patient(reaction=[{"reactionmeddrapt": name}])), desk), Report)
    assert (report.reaction is ReportedReaction.DRESS) is is_dress


@pytest.mark.parametrize(
    ("code", "role"),
    [("1", DrugRole.SUSPECT), ("2", DrugRole.CONCOMITANT), ("3", DrugRole.INTERACTING)],
)
def test_roles(desk: Intake, code: str, role: DrugRole) -> None:
    report = _said(read_openfda(as_json(_with_drug(drugcharacterization=code)), desk), Report)[0]
    assert [drug.role for drug in report.drugs] == [role]


def test_a_drug_without_a_role_is_refused_as_an_entry(desk: Intake) -> None:
    outcome = read_openfda(as_json(_with_drug(drugcharacterization="9")), desk)
    assert outcome.rejects == [Reject(RejectCode.INCOMPLETE_REPORT, "patient.drug[1]")]
    assert outcome.parts["patient.drug", Fate.REJECTED] == 1
    assert _said(outcome, Report)[0].drugs == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"drugrecurreadministration": "1"}, ("recurred", "recurred")),
        ({"drugrecurreadministration": "2"}, ("did_not_recur", "did_not_recur")),
        ({"drugrecurreadministration": "3"}, ("outcome_unknown", "outcome_unknown")),
        ({"drugrecurreadministration": None}, ("outcome_unknown", "outcome_unknown")),
        ({"drugrecurrence": [{"drugrecuraction": "PYREXIA"}]}, ("outcome_unknown", "recurred")),
        ({"drugrecurrence": {"drugrecuraction": "Pyrexia"}}, ("outcome_unknown", "recurred")),
    ],
)
def test_what_giving_a_drug_again_showed(
    desk: Intake, changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    reports = _said(read_openfda(as_json(_with_drug(**changes)), desk), Report)
    assert tuple(report.drugs[0].rechallenge for report in reports) == expected


@pytest.mark.parametrize(
    ("text", "onset"),
    [
        ("CASE EVENT DATE: 20260210", _span("2026-02-10", "2026-02-11")),
        ("CASE EVENT DATE: 202602", _span("2026-02-01", "2026-03-01")),
        # Without a date: under the suspect drug, and before the most recent information.
        ("A narrative. CASE EVENT DATE: 20260210", _span("2026-01-05", "2026-03-02")),
        ("", _span("2026-01-05", "2026-03-02")),
    ],
)
def test_the_date_of_the_event_is_its_onset(desk: Intake, text: str, onset: Interval) -> None:
    sent = _patient(summary={"narrativeincludeclinical": text})
    assert set(_when(read_openfda(as_json(sent), desk), Report)) == {onset}


def test_the_public_sample_goes_in_whole(sample_data: Path, desk: Intake) -> None:
    outcome = read_openfda((sample_data / "openfda/event.postannotation.json").read_bytes(), desk)
    assert (outcome.rejects, outcome.holds) == ([], [])
    assert outcome.parts["patient.reaction", Fate.FACT] == 86
    assert outcome.parts["patient.drug", Fate.FACT] == 23
    assert outcome.ignored == {
        IgnoreReason.NO_START: 19,
        IgnoreReason.ELEMENT_NOT_USED: 2,
        IgnoreReason.DRUG_NOT_RECOGNISED: 23,
    }
    # Reactions without a date that say the same are one fact, and so are two dosages of one drug.
    (report,) = _said(outcome, Report)
    assert [drug.ingredient for drug in report.drugs] == ["unlisted drug"]
    assert len(_said(outcome, Exposure)) == 4


# Drugs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("product", "substance", "annotation", "ingredients"),
    [
        ("Tegretol", "", {}, ("carbamazepine",)),
        ("TEGRETOL /00052501/", "", {}, ("carbamazepine",)),
        ("PHENYTOIN SODIUM", "", {}, ("phenytoin",)),
        ("TEGRETOL 200 MG", "", {}, ("carbamazepine",)),
        ("X", "PIPERACILLIN SODIUM\\TAZOBACTAM SODIUM", {}, ("piperacillin",)),
        # FDA's annotation is asked only where nobody reported a listed drug.
        ("GLEEVEC", "", {"rxcui": ["200133"]}, ("imatinib",)),
        ("X", "", {"rxcui": ["403878"]}, ("imatinib",)),
        ("X", "", {"rxcui": ["403878"], "substance_name": ["IMATINIB MESYLATE"]}, ("imatinib",)),
        ("X", "", {"substance_name": ["IMATINIB MESYLATE"]}, ("imatinib",)),
        ("X", "", {"generic_name": ["IMATINIB"]}, ("imatinib",)),
        ("X", "", {"rxcui": ["999999999"], "unii": ["8A1O1M485B"]}, ("imatinib",)),
        # Products of one name that hold different things: which was given is not known.
        ("X", "", {"rxcui": ["403878", "197361"]}, ()),
        ("X", "", {"rxcui": ["403878", "200133"]}, ()),
        ("X", "", {"rxcui": ["403878"], "substance_name": ["IBUPROFEN"]}, ()),
        ("X", "", {"substance_name": ["IMATINIB", "IBUPROFEN"]}, ()),
        ("X", "", {"rxcui": ["200133"], "substance_name": ["X", "Y"], "unii": ["8A1O1M485B"]}, ()),
        ("X", "", {"unii": ["8A1O1M485B", "33CM23913M"]}, ()),
        ("X", "", "IMATINIB", ()),
    ],
)
def test_whose_word_counts_for_a_drug(
    desk: Intake, product: str, substance: str, annotation: object, ingredients: tuple[str, ...]
) -> None:
    sent = _with_drug(
        medicinalproduct=product, activesubstance={"activesubstancename": substance}, openfda=annotation
    )
    (exposure,) = _said(read_openfda(as_json(sent), desk), Exposure)
    assert exposure.ingredients == ingredients


def test_a_blamed_drug_that_no_list_knows_is_named_by_its_substance(desk: Intake) -> None:
    def blamed(annotation: object) -> list[str]:
        sent = _with_drug(medicinalproduct="VIOXX", activesubstance=None, openfda=annotation)
        return [drug.ingredient for drug in _said(read_openfda(as_json(sent), desk), Report)[0].drugs]

    assert blamed({"rxcui": ["197361"], "unii": ["0QTW8Z7MCR"]}) == ["unii 0qtw8z7mcr"]
    assert blamed({"rxcui": ["197361"]}) == ["unlisted drug"]


# Versions --------------------------------------------------------------------------------------------------------


def test_in_any_order_of_arrival_only_what_the_latest_version_says_stands(desk: Intake) -> None:
    first, second = (read_openfda(line, desk) for line in fixture("openfda/versions.ndjson").splitlines())
    alone = _joined([second])
    assert [type(content) for content in alone] == [Measurement, Report]
    assert alone[1].reaction is ReportedReaction.OTHER
    for order in itertools.permutations([first, second, first]):
        assert _joined(order) == alone


def test_the_number_of_a_version_counts_before_its_dates(desk: Intake) -> None:
    first, second = (json.loads(line) for line in fixture("openfda/versions.ndjson").splitlines())
    earlier = read_openfda(
        as_json(second | {"receiptdate": "20260215", "transmissiondate": "20260216"}), desk
    )
    outcomes = [read_openfda(as_json(first), desk), earlier]
    assert _joined(outcomes) == _joined([earlier])


def test_reports_without_a_version_are_ordered_by_their_most_recent_information(desk: Intake) -> None:
    first, second = (json.loads(line) for line in fixture("openfda/versions.ndjson").splitlines())
    older, newer = (
        read_openfda(as_json({k: v for k, v in sent.items() if k != "safetyreportversion"}), desk)
        for sent in (first, second)
    )
    assert _joined([newer, older]) == _joined([newer])


def test_a_version_that_no_longer_names_dress_withdraws_the_alert(desk: Intake) -> None:
    first, second = (read_openfda(line, desk) for line in fixture("openfda/versions.ndjson").splitlines())
    log = [event for outcome in (first, second) for event in outcome.events]
    alerts = [(each["status"], each["tier"]) for each in told(log) if each.get("kind") == "suspected_dress"]
    assert alerts[0] == ("raised", "critical")
    assert alerts[-1][0] == "withdrawn"


def test_openfda_knows_no_nullification(desk: Intake) -> None:
    assert _said(read_openfda(as_json(_report(casenullification="1")), desk), Report)


def test_the_same_number_elsewhere_is_another_case(desk: Intake) -> None:
    one, other = (
        facts(read_openfda(as_json(_report(safetyreportid=number)), desk))
        for number in ("90000001", "90000002")
    )
    assert not {event.version.key for event in one} & {event.version.key for event in other}
    assert not {event.patient_id for event in one} & {event.patient_id for event in other}


# What cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code", "path"),
    [
        (b"", RejectCode.EMPTY, ""),
        (b"{", RejectCode.MALFORMED_JSON, ""),
        (b"[1]", RejectCode.INVALID_RESOURCE, ""),
        (as_json(_report(safetyreportid="")), RejectCode.INCOMPLETE_REPORT, "safetyreportid"),
        (as_json(_report(patient=[])), RejectCode.INCOMPLETE_REPORT, "patient.reaction"),
        (as_json(_patient(reaction=[{}] * 400, drug=[{}] * 400)), RejectCode.TOO_COMPLEX, "patient.drug"),
        (as_json(_patient(reaction=[])), RejectCode.INCOMPLETE_REPORT, "patient.reaction"),
        (
            as_json(_report(receiptdate="x", receivedate="20260301")),
            RejectCode.INCOMPLETE_REPORT,
            "receiptdate",
        ),
    ],
)
def test_what_is_refused(desk: Intake, content: bytes, code: RejectCode, path: str) -> None:
    outcome = read_openfda(content, desk)
    assert (outcome.rejects, outcome.events) == ([Reject(code, path)], [])


def test_a_report_says_no_time_of_receiving(intake: Intake) -> None:
    assert read_openfda(as_json(_report()), intake).rejects == [Reject(RejectCode.NO_RECEIVED_AT)]


def test_without_the_latest_date_another_stands_for_it(desk: Intake) -> None:
    sent = _report(receiptdate=None)
    assert read_openfda(as_json(sent), desk).rejects == []


def test_members_that_are_no_drug_are_refused_as_entries(desk: Intake) -> None:
    outcome = read_openfda(as_json(_patient(drug=[_report()["patient"]["drug"][0], "TEGRETOL"])), desk)
    assert outcome.rejects == [Reject(RejectCode.INVALID_RESOURCE, "patient.drug[2]")]
    assert len(_said(outcome, Exposure)) == 1
    outcome = read_openfda(as_json(_patient(drug=_report()["patient"]["drug"][0])), desk)
    assert outcome.rejects == [Reject(RejectCode.INVALID_RESOURCE, "patient.drug")]


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["patient", "drug", "reaction", "openfda", "rxcui"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@given(
    names=st.lists(st.sampled_from(sorted(_report())), max_size=3),
    of_patient=st.lists(st.sampled_from(sorted(_report()["patient"])), max_size=2),
    of_drug=st.lists(st.sampled_from(sorted(_report()["patient"]["drug"][0])), max_size=3),
    data=st.data(),
)
def test_any_member_of_a_report(
    desk: Intake, names: list[str], of_patient: list[str], of_drug: list[str], data: st.DataObject
) -> None:
    report = _report()
    for name in of_drug:
        report["patient"]["drug"][0][name] = data.draw(_values)
    for name in of_patient:
        report["patient"][name] = data.draw(_values)
    for name in names:
        report[name] = data.draw(_values)
    outcome = read_openfda(as_json(report), desk)
    assert outcome.events or outcome.rejects
    for event in outcome.events:
        assert decode_event(encode_event(event)) == event


@given(st.binary(max_size=200))
def test_any_bytes(desk: Intake, content: bytes) -> None:
    assert read_openfda(content, desk).rejects


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterable[tuple[Any, ...]]:
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, member in members:
        if isinstance(member, str):
            yield (*path, name)
        yield from _places(member, (*path, name))


def test_no_member_of_a_report_leaks(desk: Intake) -> None:
    places = list(_places(_report()))
    assert len(places) > 40
    for path in places:
        report = _report()
        inner: Any = report
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = CANARY
        outcome = read_openfda(as_json(report), desk)
        written = b"".join(encode_event(event) for event in outcome.events)
        said = f"{outcome.rejects}{outcome.holds}{outcome.parts}"
        for part in CANARY.split():
            assert part.casefold() not in written.decode().casefold(), path
            assert part not in said, path


@pytest.mark.parametrize("version", ["v2", "-1", "9" * 30, ["2"], "1.5"])
def test_a_version_whose_number_cannot_be_read_is_refused(desk: Intake, version: object) -> None:
    outcome = read_openfda(
        as_json(_with_drug(medicinalproduct="Tegretol") | {"safetyreportversion": version}), desk
    )
    (reject,) = outcome.rejects
    assert (outcome.events, reject.code) == ([], RejectCode.INCOMPLETE_REPORT)
    assert reject.path == "safetyreportversion"


def test_a_drug_in_doubt_is_held_and_a_report_that_blames_it_stays(desk: Intake) -> None:
    sent = _with_drug(medicinalproduct="TEGRETOL or another", activesubstance=None, openfda=None)
    outcome = read_openfda(as_json(sent), desk)
    assert [hold.code for hold in outcome.holds] == [HoldCode.DRUG_NOT_READ_WHOLE]
    assert _said(outcome, Report)
