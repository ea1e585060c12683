"""Tiers: each row of the table of suspicion, its boundary, and that the first row that holds wins."""

import itertools

import pytest

from pv_stream.domain.assessment import EpisodeAssessment, EpisodeFlag, Tier
from pv_stream.domain.codes import Analyte, FindingCode
from pv_stream.domain.events import FactArrived
from pv_stream.rules.tiers import ROWS, Situation
from tests.builders import (
    RULEBOOK,
    absent,
    alt,
    assessed,
    at,
    creatinine,
    eosinophils,
    leukocytes,
    measured,
    only_episode,
    order,
    percent,
    present,
    statement,
    stop,
    temperature,
)
from tests.rulebooks import variant

DRUG = statement("imatinib", at(0))
DAY = at(20)
FEVER = temperature("38.0", DAY)
RASH = present(FindingCode.RASH, DAY)
NODES = present(FindingCode.ENLARGED_LYMPH_NODES, DAY)
LIVER = present(FindingCode.LIVER_INVOLVEMENT, DAY)


def _row(*events: FactArrived) -> tuple[str | None, Tier | None]:
    episode = only_episode(DRUG, *events)
    return episode.rule, episode.tier


def test_a_count_at_the_threshold_and_nothing_else_is_info() -> None:
    assert _row(eosinophils(1500, DAY)) == ("count_at_threshold", Tier.INFO)


def test_a_count_below_the_threshold_and_nothing_else_alerts_nobody() -> None:
    assert assessed(DRUG, eosinophils(1499, DAY)).episodes == ()


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param(FEVER, id="fever of 38.0"),
        pytest.param(RASH, id="rash"),
        pytest.param(present(FindingCode.FACIAL_OEDEMA, DAY), id="facial oedema"),
        pytest.param(NODES, id="nodes"),
        pytest.param(LIVER, id="organ by finding"),
        pytest.param(alt(100, DAY), id="organ by ALT"),
    ],
)
def test_a_raised_count_and_any_sign_is_a_warning(sign: FactArrived) -> None:
    assert _row(eosinophils(700, DAY), sign) == ("raised_count_with_sign", Tier.WARNING)
    assert _row(eosinophils(1499, DAY), sign) == ("raised_count_with_sign", Tier.WARNING)
    assert _row(eosinophils(1500, DAY), sign) == ("count_at_threshold_with_sign", Tier.WARNING)


@pytest.mark.parametrize(
    "sign", [pytest.param(temperature("37.9", DAY), id="37.9"), pytest.param(alt(99, DAY), id="ALT 99")]
)
def test_what_is_below_a_sign_is_none(sign: FactArrived) -> None:
    assert _row(eosinophils(1500, DAY), sign) == ("count_at_threshold", Tier.INFO)
    assert assessed(DRUG, eosinophils(1499, DAY), sign).episodes == ()


def test_a_count_below_the_table_is_no_evidence_with_a_sign() -> None:
    assert assessed(DRUG, eosinophils(699, DAY), FEVER).episodes == ()


def test_a_guarded_percentage_is_a_raised_count() -> None:
    guarded = (percent(10, DAY, specimen="t"), leukocytes(3999, DAY, specimen="t"))
    assert _row(*guarded, FEVER) == ("raised_count_with_sign", Tier.WARNING)
    unguarded = (percent(10, DAY, specimen="t"), leukocytes(4000, DAY, specimen="t"))
    assert assessed(DRUG, *unguarded, FEVER).episodes == ()


def test_skin_and_organ_need_no_count() -> None:
    assert _row(RASH, LIVER) == ("skin_and_organ", Tier.WARNING)
    assert _row(RASH, LIVER, eosinophils(100, DAY)) == ("skin_and_organ", Tier.WARNING)


def test_skin_alone_is_a_candidate_and_anything_else_alone_is_nothing() -> None:
    assert _row(RASH) == (None, None)
    for sign in (FEVER, NODES, LIVER):
        assert assessed(DRUG, sign).episodes == ()


def _scoring(points: int) -> tuple[FactArrived, ...]:
    """Signs and findings without a count that score from -1 to 5."""
    fever = (temperature("38.5", DAY),)  # -1: fever yes, resolution unknown
    each = (
        (present(FindingCode.RASH, DAY, surface=60),),
        (present(FindingCode.ENLARGED_LYMPH_NODES, DAY, sites=2, size_cm="2"),),
        (present(FindingCode.ATYPICAL_LYMPHOCYTES, DAY),),
        (present(FindingCode.FACIAL_OEDEMA, DAY), present(FindingCode.SCALING, DAY)),
        tuple(
            absent(code, DAY)
            for code in (FindingCode.ANA, FindingCode.BLOOD_CULTURE, FindingCode.HEPATITIS_SEROLOGY)
        ),
        (present(FindingCode.RASH, at(35)),),  # resolution not before day 15
    )
    return fever + tuple(itertools.chain.from_iterable(each[: points + 1]))


@pytest.mark.parametrize(
    ("points", "row", "tier"),
    [
        (1, None, None),
        (2, "score_possible", Tier.WARNING),
        (3, "score_possible", Tier.WARNING),
        (4, "score_probable", Tier.CRITICAL),
        (5, "score_probable", Tier.CRITICAL),
    ],
)
def test_a_current_score_of_two_warns_and_of_four_is_critical(
    points: int, row: str | None, tier: Tier | None
) -> None:
    events = _scoring(points)
    assert only_episode(DRUG, *events).score.total.current == points
    assert _row(*events) == (row, tier)


def test_the_tier_takes_the_current_score_never_the_best() -> None:
    episode = only_episode(DRUG, eosinophils(1500, DAY))
    assert episode.score.total.best >= RULEBOOK.parameters.critical_score_min.value
    assert episode.tier is Tier.INFO


def test_the_rows_stand_from_the_highest_tier_down() -> None:
    assert [row.tier for row in ROWS] == sorted((row.tier for row in ROWS), reverse=True)


def test_the_first_row_that_holds_wins_in_every_situation() -> None:
    """The table once more, row by row, as clinical.md orders it."""
    either = (False, True)
    flags = itertools.product(either, repeat=7)
    for (at_threshold, raised, sign, skin, organ, before, doubled), score in itertools.product(
        flags, range(-4, 10)
    ):
        situation = Situation(score, at_threshold, raised, sign, skin, organ, before, doubled)
        first = next((row.name for row in ROWS if row.holds(situation, RULEBOOK.parameters)), None)
        if score >= 4:
            expected: str | None = "score_probable"
        elif at_threshold and sign:
            expected = "count_at_threshold_with_sign"
        elif raised and sign:
            expected = "raised_count_with_sign"
        elif skin and organ:
            expected = "skin_and_organ"
        elif score >= 2 and (sign or not before):
            expected = "score_possible"
        elif before and doubled:
            expected = "rising_on_baseline"
        else:
            expected = "count_at_threshold" if at_threshold else None
        assert first == expected


def test_without_a_watched_drug_a_score_below_four_alerts_nobody() -> None:
    everything = (eosinophils(2000, DAY), FEVER, RASH, LIVER)
    assert assessed(*everything).episodes == ()
    assert assessed(statement("paracetamol", at(0)), *everything).episodes == ()
    assert assessed(statement("imatinib", at(21)), *everything).episodes == ()


def test_without_a_watched_drug_a_score_of_four_is_a_warning_that_says_why_nothing_is_suspect() -> None:
    episode = only_episode(*_scoring(4))
    assert (episode.score.total.current, episode.rule) == (4, "score_probable_without_watched_drug")
    assert (episode.tier, episode.culprits) == (Tier.WARNING, ())
    assert EpisodeFlag.NO_EXPOSURE_RECORD in episode.flags


ESTABLISHED = (
    DRUG,
    stop("imatinib", at(25)),
    eosinophils(2000, DAY),
    temperature("39", DAY),
    present(FindingCode.RASH, DAY, surface=60),
    present(FindingCode.REACTION_RESOLVED, at(30)),
)


def test_a_rash_alone_without_any_drug_is_not_even_remembered_after_an_established_reaction() -> None:
    assert len(assessed(*ESTABLISHED, present(FindingCode.RASH, at(300))).episodes) == 1


def test_a_sign_under_the_culprit_ordered_again_says_that_only_an_order_is_known() -> None:
    _, again = assessed(*ESTABLISHED, order("imatinib", at(200)), temperature("38.0", at(210))).episodes
    assert (again.rule, again.tier) == ("sign_on_rechallenge", Tier.CRITICAL)
    assert EpisodeFlag.EXPOSURE_FROM_ORDERS in again.flags


def test_the_threshold_shown_is_that_of_the_suspect() -> None:
    assert only_episode(DRUG, eosinophils(1500, DAY)).threshold_per_ul == 1500


@pytest.mark.parametrize("lower", ["imatinib", "allopurinol"])
def test_of_two_suspects_on_one_row_the_more_suspect_gives_the_threshold(lower: str) -> None:
    """Imatinib is in the core of its latency, allopurinol in its first days."""
    book = variant("lower", **{f"drugs__{lower}__threshold_per_ul": "1000"})
    drugs = (DRUG, statement("allopurinol", at(18)))
    (episode,) = assessed(*drugs, eosinophils(1600, DAY), rulebook=book).episodes
    assert episode.threshold_per_ul == (1000 if lower == "imatinib" else 1500)


def test_a_count_at_the_threshold_before_the_drug_was_there_before() -> None:
    before = [eosinophils(value, at(-1)) for value in (1500, 1499)]
    flags = [only_episode(DRUG, count, eosinophils(1600, DAY)).flags for count in before]
    assert [EpisodeFlag.PREEXISTING_EOSINOPHILIA in said for said in flags] == [True, False]


# Organ values ---------------------------------------------------------------------------------------------------


def _signs(*events: FactArrived) -> tuple[str, ...]:
    episode: EpisodeAssessment = only_episode(DRUG, *events, eosinophils(1500, DAY))
    return episode.signs


@pytest.mark.parametrize(
    ("base", "value", "raised"),
    [
        ("0.6", "0.89", False),
        ("0.6", "0.9", True),
        ("1.0", "1.49", False),
        ("1.0", "1.5", True),
        ("3.0", "3.49", False),
        ("3.0", "3.5", True),
    ],
)
def test_creatinine_is_raised_by_half_a_milligram_or_by_half_of_itself(
    base: str, value: str, *, raised: bool
) -> None:
    signs = _signs(creatinine(base, at(5)), creatinine(value, DAY))
    assert ("raised creatinine" in signs) is raised


def test_the_first_creatinine_has_nothing_to_compare_with() -> None:
    assert "raised creatinine" not in _signs(creatinine("9", DAY))


@pytest.mark.parametrize(("day", "raised"), [(-70, True), (-71, False)])
def test_the_base_is_the_lowest_creatinine_of_ninety_days(day: int, *, raised: bool) -> None:
    assert ("raised creatinine" in _signs(creatinine("0.8", at(day)), creatinine("1.8", DAY))) is raised


def test_a_lower_creatinine_between_is_the_base() -> None:
    assert "raised creatinine" in _signs(
        creatinine("1.5", at(5)), creatinine("0.9", at(7)), creatinine("1.5", DAY)
    )
    assert "raised creatinine" not in _signs(
        creatinine("1.5", at(5)), creatinine("1.4", at(7)), creatinine("1.8", DAY)
    )


def test_creatinines_of_one_time_are_no_base_for_each_other() -> None:
    twice = (creatinine("0.8", DAY), measured(Analyte.CREATININE, "1.8", DAY, key="other"))
    assert "raised creatinine" not in _signs(*twice)
