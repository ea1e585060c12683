"""Values after a documented resolution: on their way down they are nothing new; risen again they are."""

import pytest

from pv_stream.domain.assessment import EpisodeAssessment, RecurrenceClass, Tier
from pv_stream.domain.codes import FindingCode
from pv_stream.domain.events import FactArrived
from tests.builders import alt, assessed, at, dose, eosinophils, present, statement, stop, temperature

REACTION = (
    eosinophils(2000, at(10)),
    temperature("39", at(10)),
    alt(400, at(10)),
    present(FindingCode.RASH, at(10)),
)
RESOLVED = present(FindingCode.REACTION_RESOLVED, at(20))
DRUG = statement("imatinib", at(0))


def _episodes(*events: FactArrived) -> tuple[EpisodeAssessment, ...]:
    return assessed(*REACTION, RESOLVED, *events).episodes


@pytest.mark.parametrize(
    "later", [pytest.param(eosinophils(1600, at(22)), id="count"), pytest.param(alt(300, at(22)), id="ALT")]
)
def test_a_value_that_is_still_falling_after_the_resolution_is_no_new_episode(later: FactArrived) -> None:
    (episode,) = _episodes(DRUG, later)
    assert episode.resolved_at == at(20)


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(temperature("38.2", at(22)), id="a fever is new each time"),
        pytest.param(eosinophils(1600, at(34)), id="a count after the free days"),
        pytest.param(alt(300, at(34)), id="an ALT after the free days"),
    ],
)
def test_a_fever_and_what_comes_after_the_free_days_begin_a_new_episode(later: FactArrived) -> None:
    _, second = _episodes(DRUG, later, present(FindingCode.SCALING, at(35)))
    assert second.members[0] == later.version.key


@pytest.mark.parametrize(
    "later", [pytest.param(eosinophils(1600, at(33)), id="count"), pytest.param(alt(300, at(33)), id="ALT")]
)
def test_within_the_free_days_a_lower_value_is_still_on_its_way_down(later: FactArrived) -> None:
    assert len(_episodes(DRUG, later)) == 1


@pytest.mark.parametrize(
    "later", [pytest.param(eosinophils(2001, at(22)), id="count"), pytest.param(alt(401, at(22)), id="ALT")]
)
def test_a_value_above_that_of_the_resolved_reaction_is_a_new_episode(later: FactArrived) -> None:
    _, second = _episodes(DRUG, later, present(FindingCode.SCALING, at(23)))
    assert second.members[0] == later.version.key


@pytest.mark.parametrize(
    ("normal", "later"),
    [
        pytest.param(eosinophils(100, at(25)), eosinophils(1900, at(60)), id="count"),
        pytest.param(temperature("36.6", at(25)), temperature("38.9", at(60)), id="fever"),
        pytest.param(alt(30, at(25)), alt(200, at(60)), id="ALT"),
    ],
)
def test_a_value_that_was_normal_meanwhile_has_risen_again(normal: FactArrived, later: FactArrived) -> None:
    raised = (eosinophils(2500, at(61)),)
    assert _episodes(DRUG, normal, later, *raised)[1].onset == later.version.statement.effective.earliest


def test_a_milder_reaction_under_a_restarted_culprit_is_a_rechallenge() -> None:
    doses = (dose("imatinib", at(0)), dose("imatinib", at(7)), stop("imatinib", at(11)))
    again = (dose("imatinib", at(41)), dose("imatinib", at(48)))
    milder = (eosinophils(1900, at(55)), temperature("38.9", at(55)))
    _, second = _episodes(*doses, *again, *milder)
    assert second.tier is Tier.CRITICAL
    assert second.recurrence is not None
    assert second.recurrence.primary is RecurrenceClass.RECHALLENGE
