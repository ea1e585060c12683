"""The relevance index: whatever can be told alone is told with the index as without it."""

from collections.abc import Callable

import pytest

from pv_stream.domain.codes import Analyte, Comparator, FindingCode, HoldCode
from pv_stream.domain.events import FactArrived
from pv_stream.domain.outputs import Output
from pv_stream.domain.published import PatientState, Relevance
from pv_stream.domain.times import Instant
from pv_stream.engine.advance import advance
from pv_stream.engine.relevance import must_assess
from tests.builders import (
    RULEBOOK,
    absent,
    alt,
    at,
    corrected,
    creatinine,
    dose,
    drug_in_doubt,
    eosinophils,
    held,
    leukocytes,
    measured,
    percent,
    present,
    statement,
    temperature,
)

DRUG = statement("imatinib", at(0))
DAY = at(20)
SCORE = (
    present(FindingCode.ATYPICAL_LYMPHOCYTES, DAY),
    *(
        absent(code, DAY)
        for code in (FindingCode.ANA, FindingCode.BLOOD_CULTURE, FindingCode.HEPATITIS_SEROLOGY)
    ),
    temperature("37.9", DAY),
)


def _for_weeks(sign: Callable[[Instant], FactArrived]) -> list[FactArrived]:
    """A sign that lasts beyond the fifteenth day: with what else is documented, enough for a score of 2."""
    return [sign(at(day)) for day in (20, 28, 35)]


def _nodes(when: Instant) -> FactArrived:
    return present(FindingCode.ENLARGED_LYMPH_NODES, when, sites=2, size_cm="2")


def _lived(events: list[FactArrived], *, use_relevance: bool = True) -> tuple[PatientState, list[Output]]:
    state = PatientState()
    outputs: list[Output] = []
    for sent in events:
        state, told = advance(state, sent, shard_clock=None, rulebook=RULEBOOK, use_relevance=use_relevance)
        outputs += told
    return state, outputs


ALONE = [
    pytest.param([eosinophils(1500, DAY)], id="count"),
    pytest.param([eosinophils(1500, DAY, comparator=Comparator.GREATER)], id="lower bound"),
    pytest.param(
        [leukocytes(10000, DAY, specimen="t"), percent(15, DAY, specimen="t")], id="leukocytes, percentage"
    ),
    pytest.param(
        [percent(5, DAY, specimen="t"), leukocytes(30000, DAY, specimen="t")], id="percentage, leukocytes"
    ),
    pytest.param([leukocytes(30000, DAY), percent(5, at(20, 9))], id="leukocytes of another specimen"),
    pytest.param([present(FindingCode.RASH, DAY)], id="rash"),
    pytest.param([held(HoldCode.MISSING_UNIT, DAY)], id="held by ingest"),
    pytest.param([measured(Analyte.EOSINOPHILS, "0.9", DAY)], id="held by the fold"),
    pytest.param([*SCORE, *_for_weeks(lambda when: temperature("38.5", when))], id="fever"),
    pytest.param([*SCORE, *_for_weeks(_nodes)], id="nodes"),
    pytest.param([*SCORE, *_for_weeks(lambda when: alt(100, when))], id="ALT"),
    pytest.param(
        [*SCORE, *_for_weeks(lambda when: present(FindingCode.LIVER_INVOLVEMENT, when))], id="organ"
    ),
    pytest.param(
        [*SCORE, creatinine("0.8", at(10)), *_for_weeks(lambda when: creatinine("1.3", when))],
        id="creatinine that rises",
    ),
    pytest.param(
        [*SCORE, *_for_weeks(lambda when: creatinine("1.3", when)), creatinine("0.8", at(10))],
        id="creatinine whose base comes last",
    ),
]


@pytest.mark.parametrize("events", ALONE)
def test_evidence_of_each_kind_is_told_whether_the_drug_comes_first_or_last(
    events: list[FactArrived],
) -> None:
    for log in ([DRUG, *events], [*events, DRUG]):
        state, outputs = _lived(log)
        assert outputs, "this evidence is to be told of"
        assert (state, outputs) == _lived(log, use_relevance=False)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([eosinophils(699, DAY)], id="low count"),
        pytest.param([percent("9.9", DAY), leukocytes(7000, DAY)], id="low product"),
        pytest.param([temperature("37.9", DAY), alt(99, DAY)], id="no fever, normal ALT"),
        pytest.param([creatinine("0.8", at(10)), creatinine("1.1", DAY)], id="steady creatinine"),
        pytest.param(
            [measured(Analyte.AST, 900, DAY), measured(Analyte.ALP, 900, DAY)], id="what no rule reads"
        ),
        pytest.param([absent(FindingCode.RASH, DAY)], id="what is no sign"),
        pytest.param([temperature("40", DAY)], id="fever, which scores nothing"),
    ],
)
def test_what_shows_nothing_leaves_no_trace(events: list[FactArrived]) -> None:
    state, outputs = _lived([DRUG, *events])
    assert (state.relevance, outputs) == (Relevance.WATCHED_DRUG, [])
    assert not must_assess(state, RULEBOOK)


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        pytest.param([eosinophils(700, DAY)], Relevance.COUNT, id="count"),
        pytest.param([percent(10, DAY)], Relevance.COUNT, id="percentage"),
        pytest.param([percent("9.9", DAY)], Relevance(0), id="lower percentage"),
        pytest.param([percent(5, DAY), leukocytes(14000, DAY)], Relevance.COUNT, id="product"),
        pytest.param([leukocytes(14000, DAY), percent(5, DAY)], Relevance.COUNT, id="product, the other way"),
        pytest.param([percent(5, DAY), leukocytes(13999, DAY)], Relevance(0), id="lower product"),
        pytest.param([leukocytes(13999, DAY), percent(5, DAY)], Relevance(0), id="lower product, other way"),
        pytest.param([percent("9.9", DAY), leukocytes(6999, DAY)], Relevance(0), id="too few leukocytes"),
        pytest.param([temperature("38.0", DAY)], Relevance(0), id="fever, which scores nothing"),
        pytest.param([alt(100, DAY)], Relevance.LIVER, id="ALT"),
        pytest.param([_nodes(DAY)], Relevance.NODES, id="nodes"),
        pytest.param([creatinine("2.0", at(10)), creatinine("2.5", DAY)], Relevance.KIDNEY, id="rise"),
        pytest.param([creatinine("2.0", at(10)), creatinine("2.49", DAY)], Relevance(0), id="smaller rise"),
        pytest.param([creatinine("0.9", at(10)), creatinine("0.6", DAY)], Relevance.KIDNEY, id="by half"),
        pytest.param([creatinine("0.89", at(10)), creatinine("0.6", DAY)], Relevance(0), id="by less"),
    ],
)
def test_each_value_is_remembered_from_its_threshold_on(events: list[FactArrived], kind: Relevance) -> None:
    state, _ = _lived([DRUG, *events])
    assert state.relevance == Relevance.WATCHED_DRUG | kind


@pytest.mark.parametrize(
    ("relevance", "needed"),
    [
        pytest.param(Relevance.WATCHED_DRUG | Relevance.COUNT, True, id="count"),
        pytest.param(Relevance.WATCHED_DRUG | Relevance.SKIN, True, id="skin"),
        pytest.param(Relevance.WATCHED_DRUG | Relevance.HELD, True, id="held value"),
        pytest.param(Relevance.WATCHED_DRUG | Relevance.LIVER, False, id="one organ"),
        pytest.param(Relevance.WATCHED_DRUG | Relevance.KIDNEY, False, id="another organ"),
        pytest.param(Relevance.WATCHED_DRUG | Relevance.LIVER | Relevance.KIDNEY, True, id="two organs"),
        pytest.param(Relevance.WATCHED_DRUG | Relevance.ORGAN, True, id="organs that may be two"),
        pytest.param(Relevance.WATCHED_DRUG | Relevance.NODES, False, id="nodes"),
        pytest.param(Relevance.WATCHED_DRUG | Relevance.NODES | Relevance.KIDNEY, True, id="nodes, organ"),
        pytest.param(
            Relevance.WATCHED_DRUG | Relevance.EXCLUSION_TEST | Relevance.ATYPICAL_LYMPHOCYTES,
            True,
            id="tests, lymphocytes",
        ),
        pytest.param(Relevance.COUNT | Relevance.SKIN, True, id="count and skin without a drug"),
        pytest.param(Relevance.COUNT | Relevance.LIVER, False, id="count and organ without a drug"),
        pytest.param(
            Relevance.COUNT | Relevance.LIVER | Relevance.NODES, True, id="count, organ, nodes without a drug"
        ),
        pytest.param(Relevance.HELD, False, id="held value without a drug"),
        pytest.param(Relevance.REPORT, True, id="report without a drug"),
    ],
)
def test_a_patient_is_assessed_from_what_is_told_or_may_score(relevance: Relevance, *, needed: bool) -> None:
    assert must_assess(PatientState(relevance=relevance), RULEBOOK) is needed


def test_a_value_corrected_upwards_becomes_evidence() -> None:
    low = eosinophils(169, DAY)
    state, outputs = _lived([DRUG, low, corrected(low, eosinophils(1690, DAY).version.statement.content)])
    assert Relevance.COUNT in state.relevance
    assert outputs


def test_an_unwatched_drug_makes_nobody_relevant() -> None:
    state, outputs = _lived([dose("paracetamol", at(0)), eosinophils(1690, DAY)])
    assert (state.relevance, outputs) == (Relevance.COUNT, [])


def test_a_prodrug_is_a_watched_drug() -> None:
    state, outputs = _lived([dose("fosphenytoin", at(0)), eosinophils(1690, DAY)])
    assert Relevance.WATCHED_DRUG in state.relevance
    assert outputs


def test_a_drug_in_doubt_that_may_be_a_watched_one_is_told_with_the_index_as_without_it() -> None:
    for drug, is_told in (("imatinib", True), ("paracetamol", False)):
        story = [drug_in_doubt(drug, at(3))]
        _, told = _lived(story)
        assert bool(told) is is_told
        assert told == _lived(story, use_relevance=False)[1]
