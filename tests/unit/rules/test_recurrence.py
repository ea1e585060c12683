"""Recurrence: the classes, their precedence, and what establishes an episode."""

from decimal import Decimal

import pytest

from pv_stream.domain.assessment import (
    EpisodeAssessment,
    EstablishedBy,
    RecurrenceClass,
    Tier,
    Withdrawn,
)
from pv_stream.domain.codes import ExposureKind, FindingCode, Manner, Route
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Dose, Exposure
from pv_stream.rules.reasons import episode_reason
from tests.builders import (
    absent,
    alt,
    assessed,
    at,
    dose,
    eosinophils,
    event,
    present,
    reported,
    stop,
    temperature,
)

RECHALLENGE, CROSS, NEW = (
    RecurrenceClass.RECHALLENGE,
    RecurrenceClass.CROSS_REACTIVE,
    RecurrenceClass.NEW_CULPRIT,
)
RELAPSE, REPEAT = RecurrenceClass.RELAPSE_WITHOUT_DRUG, RecurrenceClass.REPEAT


def _course(drug: str, day: int) -> list[FactArrived]:
    return [dose(drug, at(day)), dose(drug, at(day + 7)), dose(drug, at(day + 14)), stop(drug, at(day + 15))]


def _severe(day: int) -> list[FactArrived]:
    """A reaction with a RegiSCAR score of 2 or more: established."""
    return [
        eosinophils(2000, at(day)),
        temperature("39", at(day)),
        present(FindingCode.RASH, at(day), surface=60),
        present(FindingCode.REACTION_RESOLVED, at(day + 5)),
    ]


def _mild(day: int) -> list[FactArrived]:
    """A reaction that alerts and scores below 2."""
    return [
        eosinophils(2100, at(day)),
        temperature("38", at(day)),
        present(FindingCode.REACTION_RESOLVED, at(day + 5)),
    ]


def _skin(day: int) -> list[FactArrived]:
    return [present(FindingCode.RASH, at(day)), present(FindingCode.REACTION_RESOLVED, at(day + 5))]


def _episodes(*parts: list[FactArrived]) -> tuple[EpisodeAssessment, ...]:
    return assessed(*(sent for part in parts for sent in part)).episodes


def _primary(*parts: list[FactArrived]) -> tuple[RecurrenceClass, tuple[RecurrenceClass, ...]]:
    finding = _episodes(*parts)[-1].recurrence
    assert finding is not None
    return finding.primary, finding.contributing


FIRST = [*_course("imatinib", 0), *_severe(15)]


def test_a_warning_with_a_score_of_two_is_established_and_one_below_is_not() -> None:
    (severe,) = _episodes(FIRST)
    assert (severe.score.total.current, severe.established_by) == (2, EstablishedBy.SCORE)
    (mild,) = _episodes(_course("imatinib", 0), _mild(15))
    assert (mild.tier, mild.established_by) == (Tier.WARNING, None)


def test_the_same_drug_again_is_a_rechallenge_of_the_earlier_episode() -> None:
    first, second = _episodes(FIRST, _course("imatinib", 100), _mild(110))
    assert first.recurrence is None
    assert second.recurrence is not None
    assert (second.recurrence.primary, second.recurrence.of_episode) == (RECHALLENGE, 0)
    assert second.recurrence.interval_days == 95
    assert (second.tier, second.established_by) == (Tier.CRITICAL, EstablishedBy.RECHALLENGE)


def test_a_cross_reactive_drug_is_the_next_class() -> None:
    primary, contributing = _primary(
        [*_course("phenytoin", 0), *_severe(15)], _course("carbamazepine", 100), _mild(110)
    )
    assert (primary, contributing) == (CROSS, ())


def test_another_drug_is_a_new_culprit() -> None:
    assert _primary(FIRST, _course("allopurinol", 100), _mild(110)) == (NEW, ())


def test_zonisamide_is_not_of_the_class() -> None:
    parts = ([*_course("phenytoin", 0), *_severe(15)], _course("zonisamide", 100), _mild(110))
    assert _primary(*parts) == (NEW, ())


def test_of_several_classes_the_first_in_precedence_is_primary_and_the_others_contribute() -> None:
    both = (_course("phenytoin", 100), _course("carbamazepine", 100), _course("allopurinol", 100))
    assert _primary([*_course("phenytoin", 0), *_severe(15)], *both, _mild(110)) == (
        RECHALLENGE,
        (CROSS, NEW),
    )
    assert _primary([*_course("phenytoin", 0), *_severe(15)], *both[1:], _mild(110)) == (CROSS, (NEW,))


def test_without_a_new_drug_it_is_a_relapse() -> None:
    events = [dose("imatinib", at(day)) for day in range(0, 60, 7)]
    assert _primary(events, _severe(15), _mild(40)) == (RELAPSE, ())


def test_a_rechallenge_of_any_earlier_episode_counts_not_just_of_the_last() -> None:
    second = [*_course("allopurinol", 100), *_severe(115)]
    episodes = _episodes(FIRST, second, _course("imatinib", 200), _mild(210))
    finding = episodes[-1].recurrence
    assert finding is not None
    assert (finding.primary, finding.of_episode) == (RECHALLENGE, 0)


@pytest.mark.parametrize(
    "earlier", [pytest.param(_mild(15), id="mild"), pytest.param(_skin(15), id="candidate")]
)
def test_what_was_not_established_is_so_once_the_drug_caused_a_published_episode_again(
    earlier: list[FactArrived],
) -> None:
    first, second = _episodes(_course("imatinib", 0), earlier, _course("imatinib", 100), _mild(110))
    assert (first.established_by, second.established_by) == (
        EstablishedBy.RECHALLENGE,
        EstablishedBy.RECHALLENGE,
    )
    assert second.tier is Tier.CRITICAL


def test_a_candidate_again_establishes_nothing() -> None:
    first, second = _episodes(_course("imatinib", 0), _mild(15), _course("imatinib", 100), _skin(110))
    assert (first.established_by, second.established_by, second.recurrence) == (None, None, None)


def test_without_an_established_predecessor_it_is_a_repeat_at_its_own_tier() -> None:
    _, second = _episodes(_course("imatinib", 0), _mild(15), _course("allopurinol", 100), _mild(110))
    assert second.recurrence is not None
    assert (second.recurrence.primary, second.recurrence.interval_days, second.tier) == (
        REPEAT,
        95,
        Tier.WARNING,
    )


def test_the_imatinib_case_is_a_rechallenge_at_1690() -> None:
    """Case Rep Oncol 2021;14:1548: a skin reaction at two weeks, restart, 1,690/uL two months after the restart."""
    before = [dose("imatinib", at(day)) for day in range(0, 14, 7)]
    reaction = [
        present(FindingCode.FACIAL_OEDEMA, at(14)),
        present(FindingCode.RASH, at(14)),
        stop("imatinib", at(14)),
        present(FindingCode.REACTION_RESOLVED, at(30)),
    ]
    again = [dose("imatinib", at(day)) for day in range(40, 100, 7)]
    _, second = _episodes(
        before, reaction, again, [eosinophils(1690, at(100)), present(FindingCode.RASH, at(100))]
    )
    assert second.recurrence is not None
    assert (second.recurrence.primary, second.tier) == (RECHALLENGE, Tier.CRITICAL)
    assert second.culprits[0].latency_days == 60


# Without a drug ----------------------------------------------------------------------------------------------------


def _given(drug: str, day: int, until: int, mg: int = 80) -> list[FactArrived]:
    given = Exposure(ExposureKind.ADMINISTRATION, (drug,), Route.ORAL, dose=Dose(Decimal(mg)))
    return [event(given, at(d)) for d in range(day, until + 1)]


#: Carbamazepine, and an established reaction on day 15 that is documented as resolved on day 20.
BEFORE = [*_course("carbamazepine", 0), *_severe(15)]
FLARE, VIRAL = RecurrenceClass.FLARE_ON_WITHDRAWAL, RecurrenceClass.VIRAL_REACTIVATION


@pytest.mark.parametrize(("day", "expected"), [(36, FLARE), (37, RELAPSE)])
def test_a_flare_comes_at_most_14_days_after_a_stop(day: int, expected: RecurrenceClass) -> None:
    treated = [*_given("cyclosporine", 16, 22), stop("cyclosporine", at(22))]
    assert _primary(BEFORE, treated, _mild(day)) == (expected, ())


@pytest.mark.parametrize(("mg", "expected"), [(75, FLARE), (76, RELAPSE)])
def test_a_flare_follows_a_cut_of_25_percent(mg: int, expected: RecurrenceClass) -> None:
    treated = [*_given("prednisone", 16, 22, 100), *_given("prednisone", 23, 30, mg)]
    assert _primary(BEFORE, treated, _mild(28)) == (expected, ())


@pytest.mark.parametrize(
    ("treated", "withdrawn", "said"),
    [
        (
            [*_given("cyclosporine", 16, 22), stop("cyclosporine", at(22))],
            Withdrawn("cyclosporine", Manner.STOP),
            "recurrence on withdrawal of a treatment; cyclosporine was stopped before",
        ),
        (
            [*_given("prednisone", 16, 22, 100), *_given("prednisone", 23, 30, 75)],
            Withdrawn("prednisone", Manner.CUT),
            "recurrence on withdrawal of a treatment; prednisone was reduced before",
        ),
        (
            [dose("reslizumab", at(-10))],
            Withdrawn("reslizumab", Manner.WORE_OFF),
            "recurrence on withdrawal of a treatment; reslizumab wore off before",
        ),
        ([], None, "relapse that no watched drug explains"),
    ],
)
def test_the_treatment_that_was_withdrawn_is_named(
    treated: list[FactArrived], withdrawn: Withdrawn | None, said: str
) -> None:
    recurrence = _episodes(BEFORE, treated, _mild(28))[-1]
    assert recurrence.recurrence is not None
    assert recurrence.recurrence.withdrawn == withdrawn
    assert f"; {said};" in episode_reason(recurrence)


def test_a_withdrawal_that_only_contributes_is_named_too() -> None:
    treated = [*_given("cyclosporine", 16, 30), stop("cyclosporine", at(30))]
    *_, again = _episodes(BEFORE, treated, _course("carbamazepine", 25), _mild(35))
    assert "; recurrence by rechallenge; cyclosporine was stopped before;" in episode_reason(again)


@pytest.mark.parametrize("virus", ["hhv6", "ebv", "cmv"])
@pytest.mark.parametrize(("day", "expected"), [(18, RELAPSE), (19, VIRAL), (61, VIRAL), (62, RELAPSE)])
def test_a_virus_counts_within_21_days_of_the_onset(virus: str, day: int, expected: RecurrenceClass) -> None:
    found = [present(FindingCode(f"{virus}_reactivation"), at(day))]
    assert _primary(BEFORE, found, _mild(40)) == (expected, ())


def test_a_virus_documented_as_quiet_explains_nothing() -> None:
    assert _primary(BEFORE, [absent(FindingCode.HHV6_REACTIVATION, at(40))], _mild(40)) == (RELAPSE, ())


def test_all_classes_that_hold_stand_in_order_of_precedence() -> None:
    treated = [*_given("cyclosporine", 16, 30), stop("cyclosporine", at(30))]
    again = [*_course("carbamazepine", 25), *_course("phenytoin", 25), *_course("allopurinol", 25)]
    virus = [present(FindingCode.CMV_REACTIVATION, at(35))]
    assert _primary(BEFORE, treated, again, virus, _mild(35)) == (RECHALLENGE, (CROSS, NEW, FLARE, VIRAL))
    assert _primary(BEFORE, treated, virus, _mild(35)) == (FLARE, (VIRAL,))


# Worse within the same reaction ------------------------------------------------------------------------------------

#: An established reaction under carbamazepine, better on day 18, under cyclosporine until day 20.
IMPROVED = [
    *_course("carbamazepine", 0),
    *_severe(15)[:-1],
    *_given("cyclosporine", 16, 19),
    present(FindingCode.RASH_IMPROVED, at(18)),
    temperature("36.8", at(18)),
    stop("cyclosporine", at(20)),
]


@pytest.mark.parametrize(
    ("worse", "episodes"),
    [
        pytest.param([eosinophils(2001, at(23)), temperature("38", at(23))], 2, id="higher count"),
        pytest.param([eosinophils(2000, at(23))], 1, id="same count"),
        pytest.param([temperature("38", at(23)), eosinophils(2000, at(23, 9))], 2, id="fever again"),
        pytest.param([present(FindingCode.RASH, at(23))], 1, id="the rash still there"),
        pytest.param([present(FindingCode.FACIAL_OEDEMA, at(23)), alt(300, at(23))], 2, id="new signs"),
        pytest.param([reported(at(23), "carbamazepine")], 1, id="a report"),
        pytest.param([eosinophils(2001, at(19)), temperature("38", at(19))], 1, id="before the stop"),
    ],
)
def test_worse_after_improvement_and_withdrawal_is_an_episode_of_its_own(
    worse: list[FactArrived], episodes: int
) -> None:
    """JMIR Dermatol 2023;6:e41391: a second occurrence of one hospitalisation counts."""
    assert len(_episodes(IMPROVED, worse)) == episodes


def test_worse_without_any_improvement_is_the_same_reaction() -> None:
    events = [sent for sent in IMPROVED if "rash_improved" not in sent.version.key]
    assert len(_episodes(events, [eosinophils(2001, at(23)), temperature("38", at(23))])) == 1


def test_a_reaction_that_alerted_nobody_has_no_flare() -> None:
    skin = [
        *_course("carbamazepine", 0),
        present(FindingCode.RASH, at(15)),
        *_given("prednisone", 16, 19),
        present(FindingCode.RASH_IMPROVED, at(18)),
        stop("prednisone", at(20)),
    ]
    assert len(_episodes(skin, [present(FindingCode.FACIAL_OEDEMA, at(22))])) == 1


# Repeats and what establishes ----------------------------------------------------------------------------------------


def test_a_repeat_points_to_the_last_of_the_earlier_ones() -> None:
    third = _episodes(
        _course("imatinib", 0),
        _skin(15),
        _course("allopurinol", 100),
        _mild(115),
        _course("dapsone", 200),
        _mild(215),
    )[-1]
    assert third.recurrence is not None
    assert (third.recurrence.primary, third.recurrence.of_episode, third.tier) == (REPEAT, 1, Tier.WARNING)


def test_a_report_of_the_first_makes_the_repeat_a_recurrence() -> None:
    _, second = _episodes(
        _course("imatinib", 0),
        _mild(15),
        [reported(at(15), "imatinib")],
        _course("allopurinol", 100),
        _mild(110),
    )
    assert second.recurrence is not None
    assert (second.recurrence.primary, second.tier) == (NEW, Tier.CRITICAL)


def test_a_rechallenge_long_after_establishes_also_the_first_of_several() -> None:
    """A different culprit 17 months later, then the first culprit again 13 months after that."""
    episodes = _episodes(
        _course("phenytoin", 0),
        _mild(15),
        _course("allopurinol", 517),
        _mild(530),
        _course("phenytoin", 912),
        _mild(925),
    )
    assert [episode.established_by for episode in episodes] == [
        EstablishedBy.RECHALLENGE,
        None,
        EstablishedBy.RECHALLENGE,
    ]
    findings = [episode.recurrence for episode in episodes]
    assert [found and (found.primary, found.of_episode, found.interval_days) for found in findings] == [
        None,
        (REPEAT, 0, 515),
        (RECHALLENGE, 0, 910),
    ]


def test_two_class_partners_that_merely_go_on_are_not_cross_reactive_with_each_other() -> None:
    both = [dose(drug, at(day)) for drug in ("phenytoin", "carbamazepine") for day in range(0, 60, 7)]
    assert _primary(both, _severe(15), _mild(40)) == (RELAPSE, ())


def test_a_partner_begun_in_the_first_reaction_is_the_cross_reactive_culprit_of_the_second() -> None:
    begun = [dose("lamotrigine", at(day)) for day in range(17, 60, 7)]
    assert _primary(BEFORE, begun, _mild(40)) == (CROSS, ())
