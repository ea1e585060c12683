"""Episodes: what belongs together, when it resolves, and when it closes and why."""

from decimal import Decimal

import pytest

from pv_stream.domain.assessment import Closing, EpisodeAssessment
from pv_stream.domain.codes import Analyte, FindingCode, Presence
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Finding, Measurement
from pv_stream.domain.times import Instant, Interval
from pv_stream.rules import episodes
from pv_stream.rules.courses import build_courses
from tests.builders import (
    RULEBOOK,
    absent,
    alt,
    assessed,
    at,
    dose,
    eosinophils,
    event,
    levels_of,
    measured,
    only_episode,
    present,
    statement,
    stop,
    temperature,
    timeline_of,
)

DRUG = statement("imatinib", at(0))
RASH, GONE, RESOLVED = FindingCode.RASH, FindingCode.RASH, FindingCode.REACTION_RESOLVED


def _episodes(*events: FactArrived) -> tuple[EpisodeAssessment, ...]:
    return assessed(DRUG, *events).episodes


def _onsets(*events: FactArrived) -> list[int]:
    return [(episode.onset - at(0)) // (at(1) - at(0)) for episode in _episodes(*events)]


# What belongs together ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("day", "onsets"), [(33, [20]), (34, [20, 34])])
def test_candidates_are_cut_by_a_gap_of_fourteen_days_alone(day: int, onsets: list[int]) -> None:
    assert _onsets(present(RASH, at(20)), present(RASH, at(day))) == onsets


@pytest.mark.parametrize("day", [34, 60, 130])
def test_silence_does_not_cut_an_alerting_episode(day: int) -> None:
    alerting = (present(RASH, at(20)), eosinophils(1600, at(20)))
    data = [eosinophils(100, at(between)) for between in range(25, day, 30)]
    assert _onsets(*alerting, *data, present(RASH, at(day))) == [20]


def test_signs_documented_as_gone_for_fourteen_days_cut_an_alerting_episode() -> None:
    alerting = (present(RASH, at(20)), eosinophils(1600, at(20)))
    quiet = (absent(GONE, at(24)), eosinophils(100, at(25)))
    assert _onsets(*alerting, *quiet, present(RASH, at(38))) == [20]
    assert _onsets(*alerting, *quiet, present(RASH, at(39))) == [20, 39]


def test_a_sign_that_was_not_documented_as_gone_goes_on() -> None:
    alerting = (present(RASH, at(20)), temperature("39", at(20)), eosinophils(1600, at(20)))
    quiet = (absent(GONE, at(24)), eosinophils(100, at(25)))
    assert _onsets(*alerting, *quiet, present(RASH, at(45))) == [20]
    assert _onsets(*alerting, *quiet, temperature("36.6", at(26)), present(RASH, at(45))) == [20, 45]


def test_a_raised_count_that_was_not_measured_again_goes_on() -> None:
    alerting = (present(RASH, at(20)), eosinophils(1600, at(20)))
    assert _onsets(*alerting, absent(GONE, at(24)), present(RASH, at(60))) == [20]


def test_a_skin_without_rash_ends_every_sign_of_the_skin() -> None:
    skin = (present(FindingCode.FACIAL_OEDEMA, at(20)), present(FindingCode.LIVER_INVOLVEMENT, at(20)))
    quiet = (absent(RASH, at(24)), absent(FindingCode.LIVER_INVOLVEMENT, at(24)))
    assert _onsets(*skin, *quiet, present(RASH, at(40))) == [20, 40]


def test_a_normal_value_ends_the_organ_sign_of_its_organ() -> None:
    skin = (present(RASH, at(20)), present(FindingCode.LIVER_INVOLVEMENT, at(20)))
    assert _onsets(*skin, absent(RASH, at(24)), alt(20, at(24)), present(RASH, at(40))) == [20, 40]


@pytest.mark.parametrize("day", [22, 60])
def test_a_documented_resolution_cuts_at_any_interval(day: int) -> None:
    alerting = (present(RASH, at(20)), eosinophils(1600, at(20)))
    assert _onsets(*alerting, present(RESOLVED, at(21)), present(RASH, at(day))) == [20, day]


def test_a_resolution_that_was_denied_cuts_nothing() -> None:
    alerting = (present(RASH, at(20)), eosinophils(1600, at(20)))
    assert _onsets(*alerting, absent(RESOLVED, at(21)), present(RASH, at(22))) == [20]


def test_a_resolution_before_the_last_sign_cuts_nothing_after_it() -> None:
    alerting = (present(RASH, at(20)), eosinophils(1600, at(20)), present(RASH, at(23)))
    assert _onsets(*alerting, present(RESOLVED, at(19)), present(RASH, at(25))) == [20]


def test_a_resolution_known_by_its_day_comes_after_a_sign_of_that_day() -> None:
    alerting = (present(RASH, at(20)), eosinophils(1600, at(20)))
    day = present(RESOLVED, Interval(at(20, 0), at(20, 23, 59)))
    assert only_episode(DRUG, *alerting, day).resolved_at == at(20, 23, 59)


def test_a_resolution_of_the_instant_of_the_last_sign_is_after_it_and_of_the_next_one_not_before_it() -> None:
    alerting = (present(RASH, at(20)), eosinophils(1600, at(20)))
    assert _onsets(*alerting, present(RESOLVED, at(20)), present(RASH, at(22))) == [20, 22]
    assert _onsets(*alerting, present(RESOLVED, at(22)), present(RASH, at(22))) == [20]


@pytest.mark.parametrize(
    ("normal_at", "is_between"), [(at(20), False), (at(20, 9), True), (at(22), True), (at(23), False)]
)
def test_a_normal_value_lies_between_two_raised_ones(normal_at: Instant, *, is_between: bool) -> None:
    normal = measured(Analyte.ALT, 30, normal_at, key="another")
    timeline = timeline_of(alt(300, at(20)), normal, alt(200, at(23)))
    last, evidence = episodes.positive_evidence(timeline, RULEBOOK)
    assert episodes._was_normal_between(last, evidence, timeline, RULEBOOK) is is_between


def test_a_value_of_another_kind_or_a_raised_one_is_no_normal_value_in_between() -> None:
    raised = (alt(300, at(20)), alt(250, at(21)), alt(200, at(23)))
    timeline = timeline_of(*raised, temperature("36.6", at(22)))
    found = episodes.positive_evidence(timeline, RULEBOOK)
    assert not episodes._was_normal_between(found[0], found[-1], timeline, RULEBOOK)


def test_a_lower_count_that_was_normal_meanwhile_is_news() -> None:
    alerting = (present(RASH, at(20)), eosinophils(1600, at(20)), present(RESOLVED, at(21)))
    assert _onsets(*alerting, eosinophils(100, at(22)), eosinophils(1550, at(23))) == [20, 23]
    assert _onsets(*alerting, eosinophils(1550, at(23))) == [20]


@pytest.mark.parametrize(("per_ul", "onsets"), [(1599, [20]), (1600, [20]), (1601, [20, 23])])
def test_a_count_no_higher_than_before_the_resolution_is_not_news(per_ul: int, onsets: list[int]) -> None:
    alerting = (present(RASH, at(20)), eosinophils(1600, at(20)), present(RESOLVED, at(21)))
    assert _onsets(*alerting, eosinophils(per_ul, at(23))) == onsets


@pytest.mark.parametrize(
    ("noted", "improved"), [(at(20), False), (at(20, 9), True), (at(25), False), (at(24), True)]
)
def test_an_improvement_lies_between_the_first_evidence_and_the_new(
    noted: Instant, *, improved: bool
) -> None:
    timeline = timeline_of(present(FindingCode.RASH_IMPROVED, noted))
    assert episodes._has_improved(timeline, at(20), at(25)) is improved


@pytest.mark.parametrize(
    ("begun", "is_news"), [(at(40), False), (at(40, 9), True), (at(45), True), (at(45, 9), False)]
)
def test_a_course_is_new_when_it_began_after_the_last_evidence(begun: Instant, *, is_news: bool) -> None:
    first = (dose("imatinib", at(0)), stop("imatinib", at(1)), temperature("36.6", at(42)))
    timeline = timeline_of(*first, present(RASH, at(40)), dose("imatinib", begun), present(RASH, at(45)))
    last, evidence = episodes.positive_evidence(timeline, RULEBOOK)
    courses = build_courses(timeline.exposures, RULEBOOK)
    assert episodes._is_under_new_course(evidence, last, timeline, courses, RULEBOOK) is is_news


@pytest.mark.parametrize(("value", "is_worse"), [(199, False), (200, False), (201, True)])
def test_a_higher_value_is_worse_than_the_last(value: int, *, is_worse: bool) -> None:
    timeline = timeline_of(alt(200, at(20)), alt(value, at(22)))
    *before, evidence = episodes.positive_evidence(timeline, RULEBOOK)
    assert episodes._is_worse(evidence, before, timeline, RULEBOOK) is is_worse


def test_a_higher_fever_is_not_worse() -> None:
    timeline = timeline_of(temperature("38.5", at(20)), temperature("39.5", at(22)))
    *before, evidence = episodes.positive_evidence(timeline, RULEBOOK)
    assert episodes._is_worse(evidence, before, timeline, RULEBOOK) is False


@pytest.mark.parametrize(("day", "count"), [(140, 1), (141, 2)])
def test_a_silence_too_long_to_reopen_after_cuts(day: int, count: int) -> None:
    drug = dose("imatinib", at(139))
    alerting = (present(RASH, at(20)), eosinophils(1600, at(20)))
    again = (present(RASH, at(day)), eosinophils(1600, at(day)))
    assert len(assessed(DRUG, drug, *alerting, *again).episodes) == count


def test_evidence_of_one_instant_is_one_episode_whatever_else_is_known() -> None:
    together = (present(RASH, at(20)), present(RESOLVED, at(20)), eosinophils(1600, at(20)))
    assert _onsets(*together) == [20]


@pytest.mark.parametrize(("later", "levels"), [(0, ("no", "yes")), (1, ("no",))])
def test_a_second_episode_of_one_day_begins_right_after_the_last_evidence_of_the_first(
    later: int, levels: tuple[str, ...]
) -> None:
    first = (present(RASH, at(20, 7)), temperature("39", at(20, 8)), present(RESOLVED, at(20, 9)))
    normal = measured(Analyte.BODY_TEMPERATURE, "36.6", Instant(at(20, 8) + later), key="normal")
    _, second = _episodes(*first, normal, present(FindingCode.FACIAL_OEDEMA, at(20, 12)))
    assert levels_of(second)["fever"] == levels


@pytest.mark.parametrize(("normal_at", "levels"), [(at(19, 14), ("no", "yes")), (at(19, 15), ("no",))])
def test_an_episode_begins_with_its_day_at_the_facility(normal_at: Instant, levels: tuple[str, ...]) -> None:
    """Ten in the morning in Tokyo is one o'clock in London."""
    rash = event(Finding(RASH, Presence.PRESENT), at(20, 1), offset=540)
    normal = event(Measurement(Analyte.BODY_TEMPERATURE, Decimal("36.6")), normal_at, offset=540)
    assert levels_of(only_episode(DRUG, rash, normal))["fever"] == levels


# Onset ----------------------------------------------------------------------------------------------------------


def test_the_onset_is_the_first_sign_and_without_one_the_first_count() -> None:
    assert _onsets(eosinophils(1600, at(18)), temperature("38", at(20))) == [20]
    assert _onsets(eosinophils(1600, at(18)), eosinophils(1700, at(20))) == [18]


# Endings --------------------------------------------------------------------------------------------------------


def test_a_documented_resolution_closes_fourteen_days_later() -> None:
    episode = only_episode(DRUG, present(RASH, at(20)), eosinophils(1600, at(20)), present(RESOLVED, at(30)))
    assert (episode.resolved_at, episode.closing, episode.closes_at) == (at(30), Closing.RESOLVED, at(44))


def test_all_signs_and_counts_documented_as_gone_are_a_resolution() -> None:
    events = (
        present(RASH, at(20)),
        eosinophils(1600, at(20)),
        absent(GONE, at(24)),
        eosinophils(100, at(26)),
    )
    assert only_episode(DRUG, *events).resolved_at == at(26)
    assert only_episode(DRUG, *events[:-1]).resolved_at is None


def test_counts_alone_are_never_a_resolution() -> None:
    episode = only_episode(DRUG, eosinophils(1600, at(20)), eosinophils(100, at(26)))
    assert (episode.resolved_at, episode.closing) == (None, Closing.LOST_TO_OBSERVATION)


def test_without_data_it_is_lost_sixty_days_after_the_last() -> None:
    episode = only_episode(
        DRUG, present(RASH, at(20)), eosinophils(1600, at(20)), temperature("36.6", at(25))
    )
    assert (episode.closing, episode.closes_at) == (Closing.LOST_TO_OBSERVATION, at(85))


@pytest.mark.parametrize(("day", "closes"), [(139, 199), (140, 200), (141, 80)])
def test_data_within_sixty_days_of_the_loss_goes_on(day: int, closes: int) -> None:
    events = (present(RASH, at(20)), eosinophils(1600, at(20)), temperature("36.6", at(day)))
    assert only_episode(DRUG, *events).closes_at == at(closes)


def test_what_is_recorded_after_the_closing_scores_nothing() -> None:
    events = (present(RASH, at(20)), eosinophils(1600, at(20)), present(RESOLVED, at(21)))
    late = present(FindingCode.ATYPICAL_LYMPHOCYTES, at(36))
    early = present(FindingCode.ATYPICAL_LYMPHOCYTES, at(35))
    assert only_episode(DRUG, *events, late).score.total.current + 1 == (
        only_episode(DRUG, *events, early).score.total.current
    )


def test_a_drug_that_was_stopped_is_not_what_resolves() -> None:
    assert only_episode(DRUG, eosinophils(1600, at(20)), stop("imatinib", at(21))).resolved_at is None


@pytest.mark.parametrize(("later", "levels"), [(0, ("no",)), (1, ("no", "yes"))])
def test_what_is_recorded_at_the_closing_is_the_last_that_scores(later: int, levels: tuple[str, ...]) -> None:
    known = (DRUG, present(RASH, at(20)), eosinophils(1600, at(20)), present(RESOLVED, at(30)))
    episode = only_episode(*known, temperature("36.6", Instant(at(44) + later)))
    assert (episode.closes_at, levels_of(episode)["fever"]) == (at(44), levels)


# Two reactions of one day ---------------------------------------------------------------------------------------

#: Enough for a score of 2 ...
SEVERE = (
    temperature("39", at(20, 7)),
    eosinophils(1600, at(20, 7)),
    present(RASH, at(20, 7), surface=60),
)
#: ... and over by ten in the morning.
MORNING = (*SEVERE, present(RESOLVED, at(20, 10)))
FACE = FindingCode.FACIAL_OEDEMA
#: Cyclosporine that was stopped shortly before: what is worse after an improvement may be a flare.
WITHDRAWN = (dose("cyclosporine", at(18)), stop("cyclosporine", at(19)))


def _signs_of(*events: FactArrived) -> list[tuple[str, ...]]:
    return [episode.signs for episode in _episodes(*events)]


def test_what_was_over_in_the_morning_is_no_sign_of_the_reaction_of_the_afternoon() -> None:
    afternoon = (present(FACE, at(20, 12)), eosinophils(1700, at(20, 12)))
    assert _signs_of(*MORNING, *afternoon) == [("rash", "fever"), ("facial oedema",)]


def test_what_was_over_in_the_morning_makes_no_alert_of_a_later_candidate() -> None:
    """A candidate is cut by a gap alone."""
    assert len(_episodes(*MORNING, present(RASH, at(20, 12)), present(RASH, at(40)))) == 3


def test_a_flare_that_alerts_only_with_what_was_seen_before_it_belongs_to_the_same_reaction() -> None:
    flare = (present(FindingCode.RASH_IMPROVED, at(20, 10)), present(FACE, at(20, 12)))
    assert _signs_of(*WITHDRAWN, *SEVERE, *flare) == [("rash", "fever", "facial oedema")]


@pytest.mark.parametrize(
    ("before", "signs"),
    [
        pytest.param(MORNING, [("rash", "fever"), ("rash", "facial oedema")], id="after the morning"),
        pytest.param((), [("rash", "facial oedema", "fever")], id="alone"),
    ],
)
def test_a_candidate_that_is_worse_after_an_improvement_has_no_flare(
    before: tuple[FactArrived, ...], signs: list[tuple[str, ...]]
) -> None:
    """What was over before it and what comes after it make no alert of it."""
    better = present(FindingCode.RASH_IMPROVED, at(20, 13))
    worse = [present(FACE, at(20, 14)), eosinophils(1700, at(20, 14))]
    if not before:
        worse.append(temperature("39", at(20, 15)))
    extent = None if before else 60
    assert _signs_of(*WITHDRAWN, *before, present(RASH, at(20, 12), surface=extent), better, *worse) == signs


def test_after_a_count_that_was_only_falling_a_new_sign_is_another_reaction() -> None:
    first = (eosinophils(2000, at(20)), temperature("39", at(20)), present(RESOLVED, at(22)))
    assert _signs_of(*first, eosinophils(1600, at(23)), present(RASH, at(24))) == [("fever",), ("rash",)]


def test_a_reaction_with_its_flare_begins_after_that_of_the_morning() -> None:
    second = (eosinophils(1700, at(20, 12)), present(RASH, at(20, 12)))
    flare = (present(FindingCode.RASH_IMPROVED, at(20, 13)), present(FACE, at(20, 14)))
    signs = _signs_of(*WITHDRAWN, *MORNING, *second, *flare)
    assert signs == [("rash", "fever"), ("rash", "facial oedema")]


# What the documentation of a resolution says ----------------------------------------------------------------------


def test_a_part_of_a_timeline_knows_only_the_resolutions_in_it() -> None:
    resolved = [present(RESOLVED, at(day)) for day in (10, 20, 30)]
    part = episodes.between(timeline_of(DRUG, *resolved), at(20), at(30))
    assert [resolution.earliest for resolution in part.resolutions] == [at(20)]


def test_a_lower_count_before_the_resolution_is_part_of_the_reaction() -> None:
    (episode,) = _episodes(eosinophils(1700, at(20)), eosinophils(1600, at(25)), present(RESOLVED, at(30)))
    assert episode.last_evidence == at(25)


def test_a_reaction_that_resolved_before_a_treatment_began_is_not_held_down_by_it() -> None:
    reaction = (present(RASH, at(20)), eosinophils(1700, at(20)), present(RESOLVED, at(22)))
    (episode,) = _episodes(*reaction, dose("reslizumab", at(24)), eosinophils(100, at(26)))
    assert (episode.resolved_at, episode.is_controlled) == (at(22), False)


def test_what_an_antibody_held_down_shows_again_when_a_steroid_is_stopped_and_is_the_same_reaction() -> None:
    """Clinical specification, masking: any worsening in what is controlled is the same episode and the same alert."""
    better = (dose("prednisone", at(21)), absent(GONE, at(23)), stop("prednisone", at(24)))
    worse = (present(FACE, at(26)), temperature("39", at(26)), eosinophils(1800, at(26)))
    assert len(_episodes(*SEVERE, *better, *worse)) == 2
    assert len(_episodes(*SEVERE, dose("reslizumab", at(21)), *better, *worse)) == 1
