"""Reasons: what an alert's sentence says, and what ends one."""

from dataclasses import replace

import pytest

from pv_stream.domain.assessment import Closing
from pv_stream.domain.codes import Analyte, Comparator, ExposureKind, FindingCode
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Exposure
from pv_stream.domain.times import Interval
from pv_stream.rules import reasons
from pv_stream.rules.reasons import episode_reason
from tests.builders import (
    absent,
    alt,
    assessed,
    at,
    dose,
    eosinophils,
    event,
    measured,
    only_episode,
    order,
    present,
    reported,
    statement,
)

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


def test_an_exact_count_is_told_without_its_zeros_and_a_bound_as_at_least() -> None:
    given = statement("imatinib", at(0))
    for value, said in (("1690.50", "1,690.5"), ("1700.0", "1,700"), ("2000", "2,000")):
        (alert,) = [episode_reason(only_episode(given, measured(Analyte.EOSINOPHILS, value, at(20))))]
        assert alert.startswith(
            f"Eosinophils {said}/µL on 2026-01-21 (threshold 1,500); suspect imatinib (day 20)"
        )
    bound = measured(Analyte.EOSINOPHILS, 2000, at(20), comparator=Comparator.GREATER)
    assert episode_reason(only_episode(given, bound)).startswith("Eosinophils at least 2,000/µL")


def test_the_peak_has_its_own_day_and_none_where_several_may_be_meant() -> None:
    later = (eosinophils(60, at(30)), present(FindingCode.FACIAL_OEDEMA, at(30)))
    assert reason(*later).startswith("Eosinophils 1,600/µL on 2026-01-21 (threshold 1,500)")
    assert only_episode(*REACTION, *later).eosinophils_on == "2026-01-21"
    of_one_day, of_two = (
        only_episode(
            statement("imatinib", at(0)), measured(Analyte.EOSINOPHILS, 1600, Interval(at(20, 0), last))
        )
        for last in (at(20, 23), at(21, 0))
    )
    assert (of_one_day.eosinophils_on, of_two.eosinophils_on) == ("2026-01-21", None)
    assert episode_reason(of_two).startswith("Eosinophils 1,600/µL (threshold 1,500)")
    assert only_episode(statement("imatinib", at(0)), *later[1:], alt(300, at(30))).eosinophils_on is None


def test_the_day_of_the_peak_is_that_of_the_facility() -> None:
    late = eosinophils(1600, at(20, 23))
    there = replace(late.version, statement=replace(late.version.statement, utc_offset_minutes=60))
    assert (
        only_episode(statement("imatinib", at(0)), replace(late, version=there)).eosinophils_on
        == "2026-01-22"
    )


def test_what_was_reported_is_said_and_what_was_not_is_not() -> None:
    assert "reported" not in reason()
    assert "second" not in reason()
    assert "worse after" not in reason()
    assert "; reported as DRESS;" in reason(reported(at(20), "imatinib"))
    assert "; reported as serious DRESS;" in reason(reported(at(20), "imatinib", serious=True))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), ("no drug is on record in the days before, which is not the same as none given",)),
        (
            (order("ibuprofen", at(100)),),
            ("a drug that is not on the watch list is on record in the days before",),
        ),
        (
            (event(Exposure(ExposureKind.ORDER, ()), at(100)),),
            ("a drug that was not recognised is on record in the days before",),
        ),
        ((dose("imatinib", at(0)),), ("a watched drug is on record, but not in its window of latency",)),
        (
            (dose("imatinib", at(0)), order("ibuprofen", at(100))),
            (
                "a watched drug is on record, but not in its window of latency",
                "a drug that is not on the watch list is on record in the days before",
            ),
        ),
    ],
)
def test_why_no_watched_drug_is_suspect_is_said(
    given: tuple[FactArrived, ...], said: tuple[str, ...]
) -> None:
    told = episode_reason(only_episode(reported(at(130)), *given))
    assert told == f"Reaction; {'; '.join((*said, 'reported as DRESS'))}; RegiSCAR -2 (from -4 to 9)."


def test_a_relapse_that_no_watched_drug_explains_says_which_drugs_are_on_record() -> None:
    later = (order("ibuprofen", at(290)), present(FindingCode.RASH, at(300)), eosinophils(1600, at(300)))
    resolved = present(FindingCode.REACTION_RESOLVED, at(30))
    first, second = assessed(reported(at(20), "imatinib"), *REACTION, resolved, *later).episodes
    assert "on record" not in episode_reason(first)
    assert "relapse that no watched drug explains" in episode_reason(second)
    assert "; a drug that is not on the watch list is on record in the days before;" in episode_reason(second)


def test_every_end_of_an_alert_is_told_in_a_sentence() -> None:
    texts = (
        reasons.FOLLOWED_UP,
        reasons.FOLLOW_UP_ENDED,
        reasons.NO_FOLLOW_UP,
        reasons.NO_RESTART,
        reasons.UNDER_NO_DRUG,
        reasons.WITHDRAWN,
        reasons.SUPERSEDED,
        reasons.NOT_IN_THIS_RECORD,
        reasons.NOT_BY_THIS_RULEBOOK,
        reasons.JOINED_BY_THIS_RULEBOOK,
        reasons.HANDED_OVER,
        reasons.TAKEN_OVER,
        reasons.INCOMPLETE,
        reasons.REVIEWED,
        *reasons.WITHDRAWN_BY.values(),
        *reasons.NOT_USED.values(),
        *map(reasons.closing_reason, Closing),
    )
    assert [text for text in texts if not (text[0].isupper() and text.endswith("."))] == []
