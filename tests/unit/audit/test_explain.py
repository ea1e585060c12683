import functools
from collections.abc import Iterable
from pathlib import Path

import pytest

from pv_stream.audit.explain import Explanation, alerts_of_log, explain, find_alert
from pv_stream.audit.fact_view import FactView
from pv_stream.audit.next_steps import next_steps
from pv_stream.codec.events import encode_event
from pv_stream.domain.codes import FindingCode, HoldCode
from pv_stream.domain.facts import Retracted
from pv_stream.domain.ids import PatientId
from pv_stream.errors import UsageError
from pv_stream.rules.regiscar import TABLE
from tests.builders import PATIENT as OTHER
from tests.builders import at, corrected, dose, eosinophils, held, present, retracted, reviewed
from tests.unit.audit.logs import PATIENT, RULEBOOK, imatinib_lines, plan_of, write_lines

ALERTS = {"al_0aa1": "a", "al_0aa2": "b", "al_b": "c"}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("explain") / "log", imatinib_lines())


def test_an_alert_is_found_by_its_id_or_a_beginning_that_no_other_shares() -> None:
    assert find_alert("al_b", ALERTS) == ("al_b", "c")
    assert find_alert("0aa1", ALERTS) == ("al_0aa1", "a")


@pytest.mark.parametrize(("wanted", "message"), [("zz", "no alert"), ("", "no alert"), ("al_0", "several")])
def test_a_beginning_of_none_or_of_several_is_refused(wanted: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_alert(wanted, ALERTS)


@functools.cache
def _explained(log: Path, kind: str = "suspected_dress") -> Explanation:
    return next(each for each in _explanations(log) if each.alert["kind"] == kind)


def _imatinib_alert(log: Path, kind: str = "suspected_dress") -> str:
    return str(_explained(log, kind).alert["alert_id"])


def test_every_criterion_is_explained_with_value_as_sent_value_used_and_source(log: Path) -> None:
    explanation = _explained(log)

    items = {item.item: item for item in explanation.items}
    assert list(items) == [item.name for item in TABLE]
    (count,) = items["eosinophils"].facts
    assert count.used == "1690 /µL"
    assert count.as_sent == "1.69 10*3/uL (code eosinophils, scenario)"
    assert count.source.startswith("canonical message ")
    assert count.source.endswith(" at given[12]")
    assert items["eosinophils"].points == {"worst": 2, "current": 2, "best": 2}


def test_what_is_unknown_says_what_would_settle_it_and_what_is_known_does_not(log: Path) -> None:
    explanation = _explained(log)

    settled = {item.item: item.settles for item in explanation.items}
    assert settled["eosinophils"] is None
    assert settled["fever"] is not None
    assert "38.5" in settled["fever"]
    assert all(item.settles for item in explanation.items if len(item.levels) > 1)


def test_the_criteria_beside_the_score_are_explained_with_their_facts(log: Path) -> None:
    criteria = _explained(log).criteria

    assert criteria is not None
    assert [(c.criterion, c.truth) for c in criteria.jscar if c.truth != "unknown"] == [
        ("blood_count", "met")
    ]
    (count,) = next(c.facts for c in criteria.jscar if c.criterion == "blood_count")
    assert count.used == "1690 /µL"
    assert (criteria.jscar_category, criteria.bocquet_whole) == (None, "unknown")
    assert [c.truth for c in criteria.bocquet] == ["met", "unknown", "met"]


def test_causality_shows_all_ten_questions_the_unanswered_too(log: Path) -> None:
    criteria = _explained(log).criteria

    assert criteria is not None
    (causality,) = criteria.causality
    assert (causality.drug, causality.naranjo, causality.category) == ("imatinib", 8, "probable")
    assert causality.who_umc == "probable"
    answers = {question.item: question.answer for question in causality.questions}
    assert len(answers) == 10
    assert (answers["rechallenge"], answers["placebo"]) == ("yes", "unknown")
    assert sum(question.points for question in causality.questions) == causality.naranjo


def test_the_treatments_of_the_episode_are_told_and_a_reaction_without_one_has_none(log: Path) -> None:
    explanation = _explained(log)
    assert explanation.treated is not None
    drugs = [given["drug"] for given in explanation.treated["treatments"]]
    assert drugs == ["reslizumab"]
    assert explanation.treated["clinical_resolution_at"] is None
    first = explain(plan_of(log), _imatinib_alert(log), PATIENT, revision=1)
    assert first.treated is None


def test_an_alert_without_a_score_has_no_criteria(log: Path) -> None:
    assert _explained(log, "culprit_restart").criteria is None


def test_the_recurrence_comes_with_the_alert(log: Path) -> None:
    explanation = _explained(log)

    assert [found["primary"] for found in explanation.recurrences] == ["rechallenge"]
    assert explanation.alert["recurrence"]["interval_days"] == 89


def test_a_restart_shows_the_earlier_episode_as_it_stood_then(log: Path) -> None:
    restart = _explained(log, "culprit_restart")
    reaction = _explained(log)

    assert restart.earlier is not None
    assert reaction.earlier is not None
    assert restart.earlier["signs"] == ["facial oedema", "rash"]
    assert restart.earlier["established"] is False
    assert reaction.earlier["episode_id"] == restart.earlier["episode_id"]
    assert reaction.earlier["established_by"] == "rechallenge"


def test_other_patients_do_not_change_an_explanation(log: Path, tmp_path: Path) -> None:
    others = [encode_event(eosinophils(value, at(20, 10))) for value in (100, 200)]
    mixed = write_lines(tmp_path / "mixed", [*others, *imatinib_lines(), *others])
    alert_id = _imatinib_alert(log)

    assert explain(plan_of(mixed), alert_id, PATIENT) == explain(plan_of(log), alert_id, PATIENT)


def test_an_earlier_revision_shows_the_facts_of_its_day(tmp_path: Path) -> None:
    count = eosinophils(1600, at(20, 10))
    better = corrected(count, eosinophils(1700, at(20, 10)).version.statement.content, received_at=at(21))
    lines = [encode_event(event) for event in (dose("imatinib", at(0)), count, better)]
    plan = plan_of(write_lines(tmp_path / "log", lines))
    ((alert_id, patient),) = alerts_of_log(plan).items()

    first, last = explain(plan, alert_id, patient, 1), explain(plan, alert_id, patient)

    assert [_count(e.evidence) for e in (first, last)] == ["1600 /µL", "1700 /µL"]
    assert len(last.revisions) == 2
    with pytest.raises(UsageError, match="no revision 7; it has 1, 2"):
        explain(plan, alert_id, patient, 7)


def _count(evidence: Iterable[FactView]) -> str:
    return next(view.used for view in evidence if view.what == "eosinophils")


def test_an_alert_of_another_log_is_refused(log: Path) -> None:
    with pytest.raises(UsageError, match="does not give alert"):
        explain(plan_of(log), "al_unknown", PATIENT)


def test_a_held_value_and_a_restart_are_explained_without_a_score(tmp_path: Path, log: Path) -> None:
    lines = [encode_event(dose("imatinib", at(0))), encode_event(held(HoldCode.MISSING_UNIT, at(5)))]
    plan = plan_of(write_lines(tmp_path / "held", lines))
    ((alert_id, _),) = alerts_of_log(plan).items()
    review = explain(plan, alert_id, OTHER)

    assert review.items == ()
    assert [view.used for view in review.evidence] == ["held: missing unit"]
    assert _explained(log, "culprit_restart").items == ()


@pytest.mark.parametrize("kind", ["suspected_dress", "culprit_restart"])
def test_next_steps_are_told_for_each_kind(kind: str, log: Path) -> None:
    explanation = _explained(log, kind)

    assert len(next_steps(explanation.alert, RULEBOOK)) >= 2


def test_the_first_step_is_the_drug_that_is_still_given(log: Path) -> None:
    explanation = _explained(log)

    assert "imatinib can be stopped" in next_steps(explanation.alert, RULEBOOK)[0]


def test_an_alert_off_the_worklist_asks_nothing(log: Path) -> None:
    explanation = _explained(log)

    (step,) = next_steps({**explanation.alert, "status": "closed"}, RULEBOOK)

    assert "Nothing is asked" in step


def test_a_finding_is_shown_with_what_was_stated_of_it(tmp_path: Path) -> None:
    lines = [
        encode_event(event)
        for event in (
            dose("imatinib", at(0)),
            present(FindingCode.RASH, at(20), surface=60),
            present(FindingCode.ENLARGED_LYMPH_NODES, at(20), sites=3, size_cm="1.5"),
            eosinophils(900, at(20, 9)),
        )
    ]
    plan = plan_of(write_lines(tmp_path / "log", lines))
    ((alert_id, patient),) = alerts_of_log(plan).items()

    shown = {view.what: view.used for view in explain(plan, alert_id, PatientId(patient)).evidence}

    assert shown["rash"] == "present, 60 % of body surface"
    assert shown["enlarged lymph nodes"] == "present, 3 sites, 1.5 cm"


def test_a_statement_that_was_taken_back_shows_what_it_had_said(tmp_path: Path) -> None:
    count = eosinophils(1600, at(20, 10))
    lines = [encode_event(e) for e in (dose("imatinib", at(0)), count, retracted(count, received_at=at(21)))]
    plan = plan_of(write_lines(tmp_path / "log", lines))
    ((alert_id, patient),) = alerts_of_log(plan).items()

    withdrawn = explain(plan, alert_id, patient)

    assert withdrawn.alert["status"] == "withdrawn"
    assert _count(withdrawn.evidence) == "1600 /µL, taken back"


def test_a_value_that_the_engine_holds_is_shown_as_held(tmp_path: Path) -> None:
    lines = [encode_event(event) for event in (dose("imatinib", at(0)), eosinophils(-5, at(20)))]
    plan = plan_of(write_lines(tmp_path / "log", lines))
    ((alert_id, patient),) = alerts_of_log(plan).items()

    assert [view.used for view in explain(plan, alert_id, patient).evidence] == ["held: out of range"]


def test_a_value_that_a_person_confirmed_says_who_and_why(tmp_path: Path) -> None:
    waiting = held(HoldCode.OUT_OF_RANGE, at(20))
    content = eosinophils(100_001, at(20)).version.statement.content
    confirmed = reviewed(waiting, content, received_at=at(21), even_if_implausible=True)
    log = write_lines(tmp_path / "log", map(encode_event, (dose("imatinib", at(0)), waiting, confirmed)))
    told = {e.alert["kind"]: e for e in _explanations(log)}
    (value,) = (view for view in told["suspected_dress"].evidence if view.review)
    assert (value.used, value.status) == ("100001 /µL", "reviewed")
    assert value.review == "confirmed by actor_1 (checked in source, although it is not plausible)"
    assert value.source.startswith("hl7v2 message ")


def test_a_value_that_a_person_discarded_says_who_and_why(tmp_path: Path) -> None:
    waiting = held(HoldCode.MISSING_UNIT, at(20))
    sent = (dose("imatinib", at(0)), waiting, reviewed(waiting, Retracted(), received_at=at(21)))
    (explanation,) = _explanations(write_lines(tmp_path / "log", map(encode_event, sent)))
    (value,) = explanation.evidence
    assert value.used == "held: missing unit, discarded"
    assert value.review == "discarded by actor_1 (cannot be verified)"


@functools.cache
def _explanations(log: Path) -> list[Explanation]:
    plan = plan_of(log)
    return [explain(plan, alert_id, patient) for alert_id, patient in alerts_of_log(plan).items()]
