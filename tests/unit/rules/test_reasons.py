"""Reasons: what an alert's sentence says of treatments."""

from pv_stream.domain.codes import FindingCode
from pv_stream.domain.events import FactArrived
from pv_stream.rules.reasons import episode_reason
from tests.builders import absent, at, dose, eosinophils, only_episode, present, statement

REACTION = (
    statement("imatinib", at(0)),
    present(FindingCode.RASH, at(20, 8)),
    eosinophils(1600, at(20, 9)),
)


def reason(*events: FactArrived) -> str:
    return episode_reason(only_episode(*REACTION, *events))


def test_without_a_treatment_nothing_is_said_of_it() -> None:
    assert "mask" not in reason()
    assert "controlled" not in reason()


def test_the_drugs_that_mask_are_named() -> None:
    masking = (dose("cyclosporine", at(19)), dose("reslizumab", at(19)))
    assert "; a low count may be masked by cyclosporine and reslizumab;" in reason(*masking)


def test_what_is_held_down_is_said_not_to_be_resolved() -> None:
    held_down = (dose("reslizumab", at(20, 12)), absent(FindingCode.RASH, at(22)))
    assert "; controlled under treatment, not resolved;" in reason(*held_down)


def test_the_drugs_are_listed_by_rank_and_the_sentence_begins_with_a_capital() -> None:
    equals = [statement(drug, at(0)) for drug in ("allopurinol", "dapsone")]
    later = [statement(drug, at(17)) for drug in ("lamotrigine", "phenytoin")]
    said = reason(*equals, *later)
    assert "suspect allopurinol (day 20), dapsone (day 20) and imatinib (day 20)" in said
    assert "(less likely: lamotrigine and phenytoin)" in said
    assert said.startswith("Eosinophils ")
    assert "(less likely: phenytoin)" in reason(later[1])
