"""The words of the outputs: none is without a meaning, and every field that carries words has its vocabulary."""

from dataclasses import is_dataclass
from enum import Enum
from typing import Final, Literal, get_args, get_origin, get_type_hints

import pytest

from pv_stream.audit.output_words import VOCABULARIES, word_meaning, word_names, written
from pv_stream.domain import assessment, codes, criteria, outputs, published
from pv_stream.rules.timeline import SignKind

#: The enumeration of each vocabulary; those of inputs alone have none.
WORDS: Final[dict[str, type[Enum]]] = {
    "tier": assessment.Tier,
    "kind": outputs.AlertKind,
    "status": outputs.AlertStatus,
    "state": published.EpisodeState,
    "category": assessment.Category,
    "sign": SignKind,
    "latency": assessment.Latency,
    "exposure": assessment.ExposureState,
    "named_by": assessment.NamedBy,
    "established": assessment.EstablishedBy,
    "class": assessment.RecurrenceClass,
    "relation": assessment.Relation,
    "begun_as": codes.ExposureKind,
    "manner": codes.Manner,
    "closing": assessment.Closing,
    "verdict": codes.Judgement,
    "flag": assessment.EpisodeFlag,
    "treatment_kind": codes.TreatmentKind,
    "cause": outputs.Cause,
    "timeliness": outputs.Timeliness,
    "truth": criteria.Truth,
    "jscar_category": criteria.JscarCategory,
    "answer": criteria.Answer,
    "naranjo_category": criteria.NaranjoCategory,
    "action": codes.ActionKind,
    "override": codes.OverrideReason,
    "hold": codes.HoldCode,
    "settled": codes.ReviewReason,
    "dead_letter": codes.DeadLetterCode,
}
#: Words of an assessment that stand in tables of their own (audit.criteria_doc).
ELSEWHERE: Final = {criteria.SuspectReason, criteria.WhoUmc}


@pytest.mark.parametrize("kind", sorted(WORDS))
def test_no_word_is_without_a_meaning(kind: str) -> None:
    for word in WORDS[kind]:
        assert len(word_meaning(kind, written(word))) > 10


def test_every_enumeration_of_assessments_criteria_and_outputs_is_a_vocabulary() -> None:
    found = {
        each
        for module in (assessment, criteria, outputs)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Enum) and each.__module__ == module.__name__
    }

    assert found - set(WORDS.values()) == ELSEWHERE


def test_every_enumeration_that_a_field_of_an_output_has_is_a_vocabulary() -> None:
    found = {
        kind
        for output in vars(outputs).values()
        if is_dataclass(output) and isinstance(output, type)
        for hint in get_type_hints(output).values()
        for kind in (hint, *get_args(hint))
        if isinstance(kind, type) and issubclass(kind, Enum)
    }

    assert found - set(WORDS.values()) == set()


def test_every_word_that_a_field_of_an_output_is_limited_to_has_a_meaning() -> None:
    known = {name.partition(":")[2] for name in word_names()}
    said = {
        word
        for output in (outputs.Alert, outputs.Recurrence, outputs.Case, outputs.AlertAction)
        for hint in get_type_hints(output).values()
        for kind in (hint, *get_args(hint))
        if get_origin(kind) is Literal
        for word in get_args(kind)
        if isinstance(word, str)
    }

    assert said - known == set()


def test_each_vocabulary_has_a_kind_and_a_title_of_its_own() -> None:
    assert len({words.kind for words in VOCABULARIES}) == len(VOCABULARIES)
    assert len({words.title for words in VOCABULARIES}) == len(VOCABULARIES)
