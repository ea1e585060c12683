"""Safety reports: what becomes of reactions, drugs, tests and weight, and what a later version withdraws."""

import itertools
import json
from collections.abc import Iterable
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.codec.events import decode_event, encode_event
from pv_stream.domain.codes import (
    Analyte,
    Comparator,
    DrugRole,
    EvidenceFlag,
    ExposureKind,
    HoldCode,
    RechallengeOutcome,
    ReportedReaction,
    ReportOutcome,
    Route,
)
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Dose, Exposure, Fact, Held, Measurement, Report, ReportedDrug, Retracted
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import Interval, parse_instant
from pv_stream.engine.join import join_fact
from pv_stream.ingest.icsr.facts import DOSAGES_MAX, MEASUREMENTS_MAX, REACTIONS_MAX
from pv_stream.ingest.icsr.reader import read_e2b
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Fate, IgnoreReason, Outcome, RejectCode
from tests.shards import told
from tests.unit.ingest.icsr.safety_reports import (
    DRESS,
    MEDDRA,
    R2_CARBAMAZEPINE,
    R2_DRESS,
    RASH,
    Given,
    Onset,
    Version,
    r2,
    r3,
    result,
    with_,
)
from tests.unit.ingest.messages import facts

PLACES = REACTIONS_MAX + DOSAGES_MAX + MEASUREMENTS_MAX


def _said(outcome: Outcome, kind: type) -> list[Any]:
    contents = [event.version.statement.content for event in facts(outcome)]
    return [content for content in contents if isinstance(content, kind)]


def _one(outcome: Outcome, kind: type) -> Any:
    (content,) = _said(outcome, kind)
    return content


def _event_of(outcome: Outcome, kind: type) -> FactArrived:
    (event,) = (event for event in facts(outcome) if isinstance(event.version.statement.content, kind))
    return event


def _day(first: str, last: str) -> Interval:
    return Interval(parse_instant(first), parse_instant(last))


def _whole_day(day: str) -> Interval:
    """The day at a facility whose offset is not known."""
    start = parse_instant(f"{day}T00:00:00Z")
    hour = 3_600_000_000
    return Interval(type(start)(start - 14 * hour), type(start)(start + 36 * hour - 1))


# Reactions -------------------------------------------------------------------------------------------------------


def test_a_reaction_is_a_report_at_its_onset(intake: Intake) -> None:
    outcome = read_e2b(r3(Version()), intake)
    event = _event_of(outcome, Report)
    assert event.version.statement.content == Report(
        ReportedReaction.DRESS,
        serious=True,
        outcome=ReportOutcome.NOT_RECOVERED,
        drugs=(ReportedDrug("carbamazepine", DrugRole.SUSPECT),),
    )
    assert event.version.statement.effective == _whole_day("2026-02-10")
    assert event.version.provenance.format == "e2b_r3"
    assert event.version.provenance.path == "E.i[1]"
    assert event.received_at == parse_instant("2026-03-01T13:00:00Z")


@pytest.mark.parametrize(
    ("term", "is_dress"),
    [
        (DRESS, True),
        (("10058919", ""), True),
        (("10099999", "DRUG  RASH with eosinophilia and systemic symptoms"), True),
        (("10099999", "DRESS syndrome"), True),
        (("10099999", "possible DRESS syndrome"), False),
        (RASH, False),
        (("", ""), False),
    ],
)
def test_dress_is_known_by_its_code_or_by_a_whole_name(
    intake: Intake, term: tuple[str, str], *, is_dress: bool
) -> None:
    reported = _one(read_e2b(r3(Version(reactions=[Onset(term)])), intake), Report)
    assert (reported.reaction is ReportedReaction.DRESS) is is_dress


@pytest.mark.parametrize(
    ("criteria", "highlighted", "serious"),
    [
        (("21",), "", True),
        ((), "3", True),
        ((), "4", True),
        ((), "1", False),
        ((), "", None),
        (("34",), "2", True),
    ],
)
def test_seriousness_is_said_by_any_criterion_and_silence_is_unknown(
    intake: Intake, criteria: tuple[str, ...], highlighted: str, *, serious: bool | None
) -> None:
    version = Version(reactions=[Onset(criteria=criteria, highlighted=highlighted)])
    assert _one(read_e2b(r3(version), intake), Report).serious is serious


def test_an_onset_known_to_the_month_is_the_whole_month(intake: Intake) -> None:
    event = _event_of(read_e2b(r3(Version(reactions=[Onset(low="202602")])), intake), Report)
    effective = event.version.statement.effective
    assert effective.earliest == parse_instant("2026-01-31T10:00:00Z")
    assert effective.latest == parse_instant("2026-03-01T11:59:59.999999Z")


def test_an_onset_that_is_not_known_lies_between_the_suspect_drug_and_the_latest_information(
    intake: Intake,
) -> None:
    version = Version(reactions=[Onset(low="")], drugs=[Given(), Given("Glivec", role="2", low="20200101")])
    effective = _event_of(read_e2b(r3(version), intake), Report).version.statement.effective
    assert effective == _day("2026-01-04T10:00:00Z", "2026-03-02T11:59:59.999999Z")
    bare = with_(version, drugs=[Given(low="", high="")])
    effective = _event_of(read_e2b(r3(bare), intake), Report).version.statement.effective
    assert effective == _day("2026-02-27T10:00:00Z", "2026-03-02T11:59:59.999999Z")


def test_an_onset_follows_from_end_and_duration(intake: Intake) -> None:
    times = '<width value="3" unit="d"/><high value="20260212101500+0000"/>'
    version = Version(reactions=[Onset(low="", more_times=times)])
    effective = _event_of(read_e2b(r3(version), intake), Report).version.statement.effective
    assert effective == _day("2026-02-09T10:14:59Z", "2026-02-10T10:15:00Z")


@pytest.mark.parametrize(
    ("low", "code"), [("20520101", HoldCode.TIME_IN_FUTURE), ("20261341", HoldCode.UNREADABLE_TIME)]
)
def test_an_impossible_onset_is_held(intake: Intake, low: str, code: HoldCode) -> None:
    outcome = read_e2b(r3(Version(reactions=[Onset(low=low)])), intake)
    assert _one(outcome, Held).code is code
    assert outcome.parts["E.i reaction", Fate.HELD] == 1
    assert _said(outcome, Report) == []


def test_reactions_that_say_the_same_need_one_place(intake: Intake) -> None:
    reactions = [Onset(RASH), Onset(("10037868", "")), Onset()]
    outcome = read_e2b(r3(Version(reactions=reactions)), intake)
    assert [each.reaction for each in _said(outcome, Report)] == [
        ReportedReaction.DRESS,
        ReportedReaction.OTHER,
    ]
    assert outcome.parts["E.i reaction", Fate.FACT] == 3


def test_a_sender_s_diagnosis_of_dress_is_a_report_of_it(intake: Intake) -> None:
    version = Version(reactions=[Onset(RASH), Onset(RASH, low="20260205")], diagnosis="10073508")
    dress, *_ = _said(read_e2b(r3(version), intake), Report)
    assert (dress.reaction, dress.serious) == (ReportedReaction.DRESS, True)
    already = with_(version, reactions=[Onset()])
    assert len(_said(read_e2b(r3(already), intake), Report)) == 1
    other = read_e2b(r3(with_(version, diagnosis="10037844")), intake)
    assert other.parts["H.3.r sender's diagnosis", Fate.IGNORED] == 1


# Drugs -----------------------------------------------------------------------------------------------------------


def test_a_dosage_is_a_statement_with_its_dose(intake: Intake) -> None:
    event = _event_of(read_e2b(r3(Version()), intake), Exposure)
    assert event.version.statement.effective == _whole_day("2026-01-05")
    given = event.version.statement.content
    assert isinstance(given, Exposure)
    assert (given.kind, given.ingredients, given.route) == (
        ExposureKind.STATEMENT,
        ("carbamazepine",),
        Route.ORAL,
    )
    assert given.end == _whole_day("2026-02-09")
    assert given.dose == Dose(Decimal(200), None, Decimal(2))
    assert given.flags == ()


def test_roles_and_rechallenges_are_told_for_each_reaction(intake: Intake) -> None:
    version = Version(
        reactions=[Onset(), Onset(RASH)],
        drugs=[
            Given(rechallenge=((0, "1"), (1, "2"))),
            Given("Glivec", role="2"),
            Given("Bactrim", role="3"),
            Given("Keppra", role="4"),
            Given("A drug that no list knows", role="2"),
        ],
    )
    dress, rash = _said(read_e2b(r3(version), intake), Report)
    assert dress.drugs == (
        ReportedDrug("carbamazepine", DrugRole.SUSPECT, RechallengeOutcome.RECURRED),
        ReportedDrug("imatinib", DrugRole.CONCOMITANT),
        ReportedDrug("levetiracetam", DrugRole.NOT_ADMINISTERED),
        ReportedDrug("sulfamethoxazole", DrugRole.INTERACTING),
        ReportedDrug("trimethoprim", DrugRole.INTERACTING),
    )
    assert rash.drugs[0].rechallenge is RechallengeOutcome.DID_NOT_RECUR


def test_a_blamed_drug_that_no_list_knows_is_named_by_its_code_and_never_by_its_text(intake: Intake) -> None:
    drugs = [Given("Zyxwvut forte"), Given("Zyxwvut mite", code="012C11ZU6G")]
    outcome = read_e2b(r3(Version(drugs=drugs)), intake)
    names = [drug.ingredient for drug in _one(outcome, Report).drugs]
    assert names == ["unii 012c11zu6g", "unlisted drug"]
    assert all(given.flags == (EvidenceFlag.UNKNOWN_INGREDIENT,) for given in _said(outcome, Exposure))


def test_a_record_number_in_the_place_of_a_unii_is_not_repeated(intake: Intake) -> None:
    outcome = read_e2b(r3(Version(drugs=[Given("Zyxwvut", code="MRN8675309")])), intake)
    assert [drug.ingredient for drug in _one(outcome, Report).drugs] == ["unlisted drug"]
    assert _one(outcome, Exposure).as_sent is None


@pytest.mark.parametrize(
    "drug",
    [
        Given(role="4"),
        Given(
            more='<outboundRelationship2 typeCode="REFR"><observation><code code="9" '
            'codeSystem="2.16.840.1.113883.3.989.2.1.1.19"/><value xsi:type="CE" code="3" '
            'codeSystem="2.16.840.1.113883.3.989.2.1.1.17"/></observation></outboundRelationship2>'
        ),
        Given(
            dosage_more='<inboundRelationship><observation><code code="28" '
            'codeSystem="2.16.840.1.113883.3.989.2.1.1.19"/></observation></inboundRelationship>'
        ),
    ],
    ids=["not administered", "taken by the father", "given to the parent"],
)
def test_what_the_patient_did_not_get_is_no_exposure(intake: Intake, drug: Given) -> None:
    outcome = read_e2b(r3(Version(drugs=[drug])), intake)
    assert _said(outcome, Exposure) == []
    assert outcome.ignored[IgnoreReason.NOT_GIVEN_TO_PATIENT] == 1


def test_a_drug_without_dates_is_still_named_by_the_report(intake: Intake) -> None:
    outcome = read_e2b(r3(Version(drugs=[Given(low="", high="")])), intake)
    assert _said(outcome, Exposure) == []
    assert outcome.ignored[IgnoreReason.NO_START] == 1
    assert [drug.ingredient for drug in _one(outcome, Report).drugs] == ["carbamazepine"]


def test_a_drug_without_a_role_is_refused_as_an_entry(intake: Intake) -> None:
    outcome = read_e2b(r3(Version(drugs=[Given(role="")])), intake)
    assert [(each.code, each.path) for each in outcome.rejects] == [(RejectCode.INCOMPLETE_REPORT, "G.k[1]")]
    assert outcome.parts["G.k drug", Fate.REJECTED] == 1


@pytest.mark.parametrize(
    ("drug", "end"),
    [
        (Given(high=""), None),
        (Given(high="", action="4"), None),
        (Given(high="", action="1"), _day("2026-01-04T10:00:00Z", "2026-03-02T11:59:59.999999Z")),
        (
            Given(high="", low="20260105080000+0000", period='<comp><width value="10" unit="d"/></comp>'),
            _day("2026-01-14T08:00:00Z", "2026-01-15T08:00:01Z"),
        ),
    ],
    ids=["goes on", "dose not changed", "withdrawn", "ten days"],
)
def test_an_end_follows_from_the_duration_or_from_a_withdrawal(
    intake: Intake, drug: Given, end: Interval | None
) -> None:
    assert _one(read_e2b(r3(Version(drugs=[drug])), intake), Exposure).end == end


def test_a_start_follows_from_end_and_duration(intake: Intake) -> None:
    drug = Given(low="", high="20260115080000+0000", period='<comp><width value="10" unit="d"/></comp>')
    event = _event_of(read_e2b(r3(Version(drugs=[drug])), intake), Exposure)
    assert event.version.statement.effective == _day("2026-01-05T07:59:59Z", "2026-01-06T08:00:00Z")


def test_a_dosage_that_ends_before_it_begins_is_held(intake: Intake) -> None:
    outcome = read_e2b(r3(Version(drugs=[Given(high="20251201")])), intake)
    assert _one(outcome, Held).code is HoldCode.UNREADABLE_TIME


@pytest.mark.parametrize(
    ("dose", "period", "expected"),
    [
        ('<doseQuantity value="0.5" unit="g"/>', "", Dose(Decimal(500), None, None)),
        (
            '<doseQuantity value="2" unit="mg/kg"/>',
            '<comp><period value="1" unit="d"/></comp>',
            Dose(None, Decimal(2), Decimal(1)),
        ),
        ('<doseQuantity value="2" unit="{DF}"/>', "", None),
        ('<doseQuantity value="many" unit="mg"/>', "", None),
        ('<doseQuantity value="1" unit="kg"/>', "", Dose(Decimal(1_000_000))),
        ('<doseQuantity value="1.1" unit="kg"/>', "", None),
        (
            '<doseQuantity value="60" unit="mg"/>',
            '<comp><period value="1" unit="wk"/></comp>',
            Dose(Decimal(60), None, Decimal("0.142857143")),
        ),
        (
            '<doseQuantity value="60" unit="mg"/>',
            '<comp><period value="1" unit="mo"/></comp>',
            Dose(Decimal(60)),
        ),
    ],
)
def test_doses(intake: Intake, dose: str, period: str, expected: Dose | None) -> None:
    drug = Given(dose=dose, period=period)
    assert _one(read_e2b(r3(Version(drugs=[drug])), intake), Exposure).dose == expected


# Tests and weight ------------------------------------------------------------------------------------------------


def test_a_test_by_loinc_is_a_measurement(intake: Intake) -> None:
    outcome = read_e2b(r3(Version(tests=[result()])), intake)
    measured = _one(outcome, Measurement)
    assert (measured.analyte, measured.value, measured.flags) == (
        Analyte.EOSINOPHILS,
        Decimal(1690),
        (EvidenceFlag.SPECIMEN_NOT_STATED,),
    )
    assert outcome.parts["F.r test", Fate.FACT] == 1


@pytest.mark.parametrize(
    ("value", "comparator"),
    [
        ('<low value="1500" unit="/uL" inclusive="false"/><high nullFlavor="PINF"/>', Comparator.GREATER),
        (
            '<low value="1500" unit="/uL" inclusive="true"/><high nullFlavor="PINF"/>',
            Comparator.GREATER_OR_EQUAL,
        ),
        ('<low nullFlavor="NINF"/><high value="1500" unit="/uL" inclusive="false"/>', Comparator.LESS),
        ('<low nullFlavor="NINF"/><high value="1500" unit="/uL"/>', Comparator.LESS_OR_EQUAL),
    ],
)
def test_bounds_of_a_result(intake: Intake, value: str, comparator: Comparator) -> None:
    measured = _one(read_e2b(r3(Version(tests=[result(value=value)])), intake), Measurement)
    assert (measured.value, measured.comparator) == (Decimal(1500), comparator)


def test_a_range_is_no_number_and_is_held(intake: Intake) -> None:
    value = '<low value="1" unit="/uL"/><high value="2" unit="/uL"/>'
    assert (
        _one(read_e2b(r3(Version(tests=[result(value=value)])), intake), Held).code
        is HoldCode.UNREADABLE_VALUE
    )


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        (result("10014943", system=MEDDRA), IgnoreReason.CODE_NOT_USED),
        (result("", system=""), IgnoreReason.TEST_NOT_CODED),
        (result(value="raised", kind="ED"), IgnoreReason.TEXT_VALUE),
        (result(value=""), IgnoreReason.NO_VALUE),
        (result("30381-8"), IgnoreReason.NOT_BLOOD),
    ],
)
def test_tests_that_no_rule_uses_are_counted(intake: Intake, test: str, reason: IgnoreReason) -> None:
    outcome = read_e2b(r3(Version(tests=[test])), intake)
    assert (_said(outcome, Measurement), outcome.ignored[reason]) == ([], 1)
    assert outcome.parts["F.r test", Fate.IGNORED] == 1


def test_a_unit_that_no_table_knows_is_held(intake: Intake) -> None:
    test = result(value='<center value="3" unit="furlong"/>')
    outcome = read_e2b(r3(Version(tests=[test, result()], weight="900")), intake)
    assert [held.code for held in _said(outcome, Held)] == [HoldCode.UNKNOWN_UNIT, HoldCode.OUT_OF_RANGE]
    assert (outcome.parts["F.r test", Fate.HELD], outcome.parts["F.r test", Fate.FACT]) == (1, 1)
    assert outcome.parts["D.3 body weight", Fate.HELD] == 1


def test_the_body_weight_is_that_at_the_first_onset(intake: Intake) -> None:
    version = Version(weight="61.5", reactions=[Onset(), Onset(RASH, low="20260205")])
    event = _event_of(read_e2b(r3(version), intake), Measurement)
    content = event.version.statement.content
    assert isinstance(content, Measurement)
    assert (content.analyte, content.value) == (Analyte.BODY_WEIGHT, Decimal("61.5"))
    assert event.version.statement.effective == _whole_day("2026-02-05")
    without = read_e2b(r3(Version(weight="61.5", reactions=[Onset(low="")])), intake)
    assert (without.ignored[IgnoreReason.NO_START], _said(without, Measurement)) == (1, [])


# Versions --------------------------------------------------------------------------------------------------------


def _joined(outcomes: Iterable[Outcome]) -> dict[FactKey, Fact]:
    found: dict[FactKey, Fact] = {}
    for outcome in outcomes:
        for event in facts(outcome):
            found[event.version.key] = join_fact(found.get(event.version.key), event.version)
    return found


def _standing(found: dict[FactKey, Fact]) -> list[Any]:
    contents = [statement.content for fact in found.values() for statement, _ in fact.statements]
    return sorted((c for c in contents if not isinstance(c, Retracted)), key=repr)


def test_every_version_speaks_of_every_place(intake: Intake) -> None:
    for version in (Version(), Version(kind="1"), Version(tests=[result()], weight="60")):
        events = facts(read_e2b(r3(version), intake))
        assert len(events) == PLACES
        assert len({event.version.key for event in events}) == PLACES
        assert len({event.patient_id for event in events}) == 1


def test_in_any_order_of_arrival_only_what_the_latest_version_says_stands(intake: Intake) -> None:
    first = Version(
        reactions=[Onset(), Onset(RASH)],
        drugs=[Given(), Given("Glivec"), Given("Keppra")],
        tests=[result(), result(at="20260212")],
        weight="60",
    )
    followed_up = with_(
        first, latest="20260305", created="20260305080000+0000", drugs=[Given("Glivec")], tests=[]
    )
    amended = with_(
        first, latest="20260305", created="20260306080000+0000", kind="2", reactions=[Onset(RASH)]
    )
    outcomes = [read_e2b(r3(version), intake) for version in (first, followed_up, amended)]
    alone = _standing(_joined(outcomes[2:]))
    assert len(alone) == 1 + 3 + 3
    for order in itertools.permutations(outcomes):
        assert _standing(_joined(order)) == alone
    nullified = read_e2b(r3(with_(first, latest="20260305", created="20260307080000+0000", kind="1")), intake)
    assert nullified.parts["C.1.11 nullification", Fate.FACT] == 1
    for order in itertools.permutations([*outcomes, nullified]):
        assert _standing(_joined(order)) == []


_REACTIONS = st.lists(
    st.builds(
        Onset, st.sampled_from([DRESS, RASH]), st.sampled_from(["20260210", "", "20260205", "20520101"])
    ),
    min_size=1,
    max_size=4,
)
_DRUGS = st.lists(
    st.builds(
        Given,
        st.sampled_from(["Tegretol", "Glivec", "no list knows it"]),
        st.sampled_from(["1", "2", "3", "4", ""]),
        st.sampled_from(["20260105", "", "2025"]),
        action=st.sampled_from(["", "1"]),
    ),
    max_size=5,
)
_TESTS = st.lists(st.sampled_from([result(), result("1742-6"), result(at="20260301")]), max_size=3)
_VERSIONS = st.builds(
    Version,
    latest=st.sampled_from(["20260301", "20260302"]),
    kind=st.sampled_from(["", "2", "1"]),
    reactions=_REACTIONS,
    drugs=_DRUGS,
    tests=_TESTS,
    weight=st.sampled_from(["", "61.5"]),
)


@given(st.lists(_VERSIONS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_what_stands_is_the_latest_version_whatever_came_in_which_order(
    intake: Intake, versions: list[Version], random: Random
) -> None:
    numbered = [with_(version, created=f"2026030{n + 1}120000+0000") for n, version in enumerate(versions)]
    latest = max(numbered, key=lambda version: (version.latest, version.created))
    sent = [*numbered, *random.sample(numbered, random.randint(0, len(numbered)))]
    random.shuffle(sent)
    outcomes = [read_e2b(r3(version, sent="20260310120000+0000"), intake) for version in sent]
    assert _standing(_joined(outcomes)) == _standing(
        _joined([read_e2b(r3(latest, sent="20260310120000+0000"), intake)])
    )


def test_a_report_that_comes_back_after_its_nullification_stands_again(intake: Intake) -> None:
    nullified = read_e2b(r3(Version(kind="1")), intake)
    later = read_e2b(r3(Version(latest="20260302")), intake)
    assert _standing(_joined([later, nullified])) == _standing(_joined([later]))


def test_a_nullification_needs_no_reactions(intake: Intake) -> None:
    outcome = read_e2b(r3(Version(kind="1", reactions=[], drugs=[])), intake)
    assert (outcome.rejects, len(facts(outcome))) == ([], PLACES)


def test_a_report_that_is_sent_twice_says_the_same(intake: Intake) -> None:
    once, again = (read_e2b(r3(Version(), sent=f"2026030{n}130000+0000"), intake) for n in (1, 2))
    assert all(len(fact.statements) == 1 for fact in _joined([once, again]).values())


def test_a_case_that_changes_the_version_of_e2b_stays_one_case(intake: Intake) -> None:
    new = facts(read_e2b(r3(Version()), intake))
    zoned = intake.__class__(intake.pseudonyms, intake.rulebook, intake.drugs, intake.now, None, 0)
    old = facts(read_e2b(r2(R2_DRESS + R2_CARBAMAZEPINE), zoned))
    assert {event.patient_id for event in new} == {event.patient_id for event in old}
    assert {event.version.key for event in new} == {event.version.key for event in old}


def test_more_than_a_report_has_places_for_is_refused_as_entries_and_listed_drugs_come_first(
    intake: Intake,
) -> None:
    unknown = [Given(f"no list knows {n}", low=f"202601{n:02}", high="") for n in range(1, 32)]
    outcome = read_e2b(r3(Version(drugs=[*unknown, Given("Glivec"), Given("Keppra")])), intake)
    assert [each.code for each in outcome.rejects] == [RejectCode.TOO_MANY_REPEATS]
    assert [given.ingredients for given in _said(outcome, Exposure)][:2] == [
        ("imatinib",),
        ("levetiracetam",),
    ]
    assert len(_said(outcome, Exposure)) == DOSAGES_MAX
    reactions = [Onset(RASH, low=f"202602{n:02}") for n in range(1, 20)]
    outcome = read_e2b(r3(Version(reactions=[*reactions, Onset()])), intake)
    assert _said(outcome, Report)[0].reaction is ReportedReaction.DRESS
    assert len(_said(outcome, Report)) == REACTIONS_MAX
    assert len(outcome.rejects) == 20 - REACTIONS_MAX
    tests = [result(at=f"202601{n % 28 + 1:02}{n // 28:02}") for n in range(40)]
    outcome = read_e2b(r3(Version(tests=tests, weight="60")), intake)
    assert len(_said(outcome, Measurement)) == MEASUREMENTS_MAX
    assert len(outcome.rejects) == 40 - (MEASUREMENTS_MAX - 1)


# Alerts ----------------------------------------------------------------------------------------------------------


def _alerts(*outcomes: Outcome) -> list[tuple[str, str]]:
    log = [event for outcome in outcomes for event in outcome.events]
    return [(each["status"], each["tier"]) for each in told(log) if each.get("kind") == "suspected_dress"]


def test_an_amendment_changes_and_a_nullification_withdraws_what_the_first_version_raised(
    intake: Intake,
) -> None:
    first = read_e2b(r3(Version()), intake)
    not_serious = Onset(criteria=(), highlighted="2")
    amended = read_e2b(
        r3(
            Version(kind="2", created="20260302120000+0000", reactions=[not_serious]),
            sent="20260302130000+0000",
        ),
        intake,
    )
    nullified = read_e2b(
        r3(Version(kind="1", created="20260303120000+0000"), sent="20260303130000+0000"), intake
    )
    assert _alerts(first)[0] == ("raised", "critical")
    assert _alerts(first, amended)[-1] == ("revised", "warning")
    assert _alerts(first, amended, nullified)[-1][0] == "withdrawn"
    assert _alerts(nullified, first, amended) == []


def test_a_version_that_no_longer_names_dress_withdraws_the_alert(intake: Intake) -> None:
    first = read_e2b(r3(Version()), intake)
    other = read_e2b(
        r3(
            Version(kind="2", created="20260302120000+0000", reactions=[Onset(RASH)]),
            sent="20260302130000+0000",
        ),
        intake,
    )
    assert _alerts(first, other)[-1][0] == "withdrawn"


def test_every_event_is_one_that_the_log_takes(intake: Intake) -> None:
    version = Version(
        tests=[result(), result(value='<center value="0.9" unit="/uL"/>')],
        weight="60",
        drugs=[Given(), Given("Zyxwvut", code="012C11ZU6G"), Given(low="20520101")],
    )
    for event in read_e2b(r3(version), intake).events:
        assert decode_event(encode_event(event)) == event
        assert "Zyxwvut" not in json.dumps(encode_event(event).decode())
