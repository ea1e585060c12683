"""Masking: which treatments hide a count, and when one holds a reaction down."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pv_stream.domain.assessment import Closing, EpisodeAssessment
from pv_stream.domain.codes import ExposureKind, FindingCode, Route
from pv_stream.domain.criteria import Truth
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Dose, Exposure
from pv_stream.domain.times import Instant, Interval, exactly, local_day
from pv_stream.rules.courses import build_courses
from pv_stream.rules.masking import _end_of_day, masking_drugs, with_masking
from pv_stream.rules.timeline import Control
from pv_stream.rules.treatments import build_treatments
from tests.builders import (
    RULEBOOK,
    absent,
    assessed,
    at,
    dose,
    eosinophils,
    event,
    exposed,
    levels_of,
    only_episode,
    present,
    statement,
    stop,
    timeline_of,
)

IMATINIB = statement("imatinib", at(0))
RASH, LIVER, RESOLVED = FindingCode.RASH, FindingCode.LIVER_INVOLVEMENT, FindingCode.REACTION_RESOLVED


def steroid(day: int, per_kg: str | None, *, drug: str = "prednisone", hour: int = 8) -> FactArrived:
    given = None if per_kg is None else Dose(amount_mg_per_kg=Decimal(per_kg))
    return event(Exposure(ExposureKind.ADMINISTRATION, (drug,), Route.ORAL, dose=given), at(day, hour))


def masking(when: Instant | Interval, *events: FactArrived, offset: int = 0) -> tuple[str, ...]:
    treatments = build_treatments(timeline_of(*events), RULEBOOK)
    moment = when if isinstance(when, Interval) else exactly(when)
    return masking_drugs(treatments, moment, offset, RULEBOOK)


# Which drugs mask -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drug", "last_day"),
    [("reslizumab", 28), ("mepolizumab", 28), ("benralizumab", 90), ("cyclosporine", 7), ("prednisone", 7)],
)
def test_each_treatment_masks_from_its_dose_for_its_days(drug: str, last_day: int) -> None:
    given = dose(drug, at(0, 8))
    assert masking(at(0, 7), given) == ()
    assert masking(at(0, 8), given) == (drug,)
    assert masking(at(last_day, 23), given) == (drug,)
    assert masking(at(last_day + 1, 0), given) == ()


def test_days_are_those_of_the_facility() -> None:
    given = dose("cyclosporine", at(0, 8))
    assert masking(at(8, 1), given, offset=-120) == ("cyclosporine",)
    assert masking(at(7, 22), given, offset=120) == ()


@pytest.mark.parametrize(("per_kg", "masks"), [("0.49", False), ("0.5", True), ("0.51", True), (None, True)])
def test_a_steroid_masks_from_its_dose_on(per_kg: str | None, masks: bool) -> None:  # noqa: FBT001 - a table of cases
    assert masking(at(3), steroid(0, per_kg)) == (("prednisone",) if masks else ())


def test_low_doses_of_several_days_do_not_add_up() -> None:
    assert masking(at(3), *(steroid(day, "0.4") for day in range(3))) == ()


def test_steroids_of_one_day_add_up_and_are_all_named() -> None:
    both = (steroid(0, "0.3"), steroid(0, "0.16", drug="methylprednisolone"))
    assert masking(at(3), *both) == ("methylprednisolone", "prednisone")


def test_a_taper_masks_by_its_last_day_at_the_dose() -> None:
    taper = (steroid(0, "1"), steroid(1, "0.5"), *(steroid(day, "0.3") for day in range(2, 20)))
    assert masking(at(8), *taper) == ("prednisone",)
    assert masking(at(9), *taper) == ()


def test_an_order_of_unknown_dose_masks_on_a_day_without_a_known_dose() -> None:
    ordered = exposed(ExposureKind.ORDER, "prednisone", at(0))
    low = [steroid(day, "0.1", hour=9) for day in range(4)]
    assert masking(at(0, 12), ordered, *low) == ()
    assert masking(at(3, 12), ordered, *low) == ()
    assert masking(at(3, 12), ordered, low[0], *low[2:]) == ("prednisone",)
    assert masking(at(3, 12), ordered, low[0]) == ("prednisone",)


def test_only_what_was_taken_by_then_counts() -> None:
    assert masking(at(0, 12), steroid(0, "0.3"), steroid(0, "0.3", hour=20)) == ()
    assert masking(at(0, 20), steroid(0, "0.3"), steroid(0, "0.3", hour=20)) == ("prednisone",)


def test_a_count_known_only_to_the_month_is_masked_when_it_may_be() -> None:
    month = Interval(at(0), at(30))
    assert masking(month, dose("cyclosporine", at(30))) == ("cyclosporine",)
    assert masking(month, dose("cyclosporine", at(31))) == ()
    assert masking(month, steroid(20, "1")) == ("prednisone",)
    assert masking(month, steroid(30, "1")) == ("prednisone",)


def test_an_order_that_was_not_stopped_may_still_mask_but_not_of_an_antibody_that_was_given() -> None:
    assert masking(at(200), event(Exposure(ExposureKind.ORDER, ("cyclosporine",)), at(0))) == (
        "cyclosporine",
    )
    ordered = event(Exposure(ExposureKind.ORDER, ("reslizumab",)), at(0))
    assert masking(at(200), ordered) == ("reslizumab",)
    assert masking(at(29), ordered, dose("reslizumab", at(0))) == ()
    assert masking(at(29), ordered, statement("reslizumab", at(0))) == ("reslizumab",)


def test_a_stop_ends_what_was_stated_to_go_on() -> None:
    taken = (statement("cyclosporine", at(0)), stop("cyclosporine", at(20)))
    assert masking(at(27), *taken) == ("cyclosporine",)
    assert masking(at(28), *taken) == ()


# What a masked count says -------------------------------------------------------------------------------------------


def _with_count(per_ul: int, *events: FactArrived) -> EpisodeAssessment:
    reaction = (present(RASH, at(20, 8)), present(LIVER, at(20, 9)))
    return only_episode(IMATINIB, *reaction, eosinophils(per_ul, at(20, 10)), *events)


@pytest.mark.parametrize(
    ("per_ul", "levels"),
    [
        (699, ("not_raised", "raised", "high")),
        (700, ("raised",)),
        (1500, ("high",)),
    ],
)
def test_a_low_count_is_unknown_and_a_high_one_counts(per_ul: int, levels: tuple[str, ...]) -> None:
    assert levels_of(_with_count(per_ul, dose("cyclosporine", at(19))))["eosinophils"] == levels


def test_a_count_without_masking_makes_the_item_known() -> None:
    masked = (dose("cyclosporine", at(20, 12)), eosinophils(100, at(21)))
    assert levels_of(_with_count(300, *masked))["eosinophils"] == ("not_raised",)


def test_a_masked_count_leaves_the_other_criteria_open_unless_it_meets_them() -> None:
    def truth(per_ul: int, *events: FactArrived) -> Truth:
        no_lymphocytes = absent(FindingCode.ATYPICAL_LYMPHOCYTES, at(20, 10))
        parts = _with_count(per_ul, no_lymphocytes, *events).criteria.bocquet.parts
        return parts[-1].truth

    assert truth(100) is Truth.UNMET
    assert truth(100, dose("cyclosporine", at(19))) is Truth.UNKNOWN
    assert truth(1500, dose("cyclosporine", at(19))) is Truth.MET


def test_masking_names_what_masks_at_the_last_evidence_and_what_hides_the_last_count() -> None:
    reaction = (IMATINIB, present(RASH, at(20, 8)), eosinophils(1600, at(20, 9)))
    assert only_episode(*reaction, dose("cyclosporine", at(19))).masking == ("cyclosporine",)
    later = (dose("cyclosporine", at(21)), dose("reslizumab", at(21)))
    assert only_episode(*reaction, *later).masking == ()
    assert only_episode(*reaction, *later, eosinophils(100, at(22))).masking == ("cyclosporine", "reslizumab")
    again = eosinophils(100, at(60))
    assert only_episode(*reaction, *later, eosinophils(100, at(22)), again).masking == ()


def test_a_low_masked_count_hides_no_later_high_one() -> None:
    known = (IMATINIB, present(RASH, at(20)), dose("reslizumab", at(20, 12)), eosinophils(1600, at(22)))
    assert levels_of(only_episode(*known, eosinophils(100, at(21)))) == levels_of(only_episode(*known))


def test_a_masked_count_is_not_gone() -> None:
    reaction = (IMATINIB, present(RASH, at(20, 8)), eosinophils(1600, at(20, 9)), absent(RASH, at(24)))
    treated = dose("cyclosporine", at(25))
    assert only_episode(*reaction, eosinophils(100, at(26))).resolved_at == at(26)
    assert only_episode(*reaction, treated, eosinophils(100, at(26))).closing is Closing.LOST_TO_OBSERVATION
    late = eosinophils(100, at(33))
    assert only_episode(*reaction, treated, eosinophils(100, at(26)), late).resolved_at == at(33)


# Control ------------------------------------------------------------------------------------------------------------

REACTION = (present(RASH, at(20, 8)), eosinophils(1600, at(20, 9)))
ANTIBODY = dose("reslizumab", at(20, 12))


def _is_controlled(*events: FactArrived) -> bool:
    return only_episode(*REACTION, *events).is_controlled


def test_no_sign_under_an_antibody_while_the_drug_goes_on_is_control() -> None:
    assert _is_controlled(IMATINIB, ANTIBODY, absent(RASH, at(24)))
    assert _is_controlled(IMATINIB, ANTIBODY, present(RESOLVED, at(24)))


def test_control_holds_at_both_of_its_ends() -> None:
    timeline = replace(timeline_of(), control=(Control("reslizumab", at(5), at(10)),))
    instants = (at(5, 7, 59), at(5), at(10), at(10, 8, 1))
    assert [timeline.is_controlled(instant) for instant in instants] == [False, True, True, False]


def test_control_ends_with_the_last_instant_before_the_stop_and_takes_one_instant_of_evidence() -> None:
    stopped = stop("imatinib", Instant(at(20) + 1))
    for antibody in (dose("reslizumab", at(19)), dose("reslizumab", at(20))):
        timeline = timeline_of(IMATINIB, stopped, antibody, present(RASH, at(20)))
        courses = build_courses(timeline.exposures, RULEBOOK)
        masked = with_masking(timeline, courses, build_treatments(timeline, RULEBOOK), RULEBOOK)
        assert [masked.is_controlled(Instant(at(20) + later)) for later in (0, 1)] == [True, False]


@pytest.mark.parametrize("offset", [-300, 0, 540])
def test_a_day_ends_where_the_next_begins_at_the_facility(offset: int) -> None:
    end = _end_of_day(20000, offset)
    assert [local_day(Instant(end + later), offset) for later in (0, 1)] == [20000, 20001]


def test_silence_is_no_control() -> None:
    assert not _is_controlled(IMATINIB, ANTIBODY)
    assert not _is_controlled(IMATINIB, ANTIBODY, eosinophils(10, at(24)))


def test_a_resolution_of_the_instant_of_the_last_sign_is_control_under_the_antibody() -> None:
    together = (present(LIVER, at(24)), present(RESOLVED, at(24)))
    assert _is_controlled(IMATINIB, ANTIBODY, *together)
    assert not _is_controlled(IMATINIB, ANTIBODY, *together, present(LIVER, at(24, 9), key="again"))


def test_a_sign_or_a_raised_count_under_the_antibody_is_no_control() -> None:
    assert not _is_controlled(IMATINIB, ANTIBODY, absent(RASH, at(24)), present(LIVER, at(25)))
    assert not _is_controlled(IMATINIB, ANTIBODY, eosinophils(700, at(24)), absent(RASH, at(25)))
    assert _is_controlled(
        IMATINIB, ANTIBODY, eosinophils(700, at(24)), absent(RASH, at(25)), eosinophils(9, at(26))
    )


def test_without_signs_a_low_count_is_control() -> None:
    counts = (IMATINIB, eosinophils(1600, at(20, 9)), ANTIBODY)
    assert not only_episode(*counts).is_controlled
    assert only_episode(*counts, eosinophils(100, at(21))).is_controlled
    assert not only_episode(*counts, eosinophils(1500, at(21))).is_controlled


@pytest.mark.parametrize(("day", "controlled"), [(48, True), (49, False)])
def test_control_lasts_as_long_as_the_antibody_acts(day: int, controlled: bool) -> None:  # noqa: FBT001 - a table of cases
    episode = only_episode(IMATINIB, *REACTION, ANTIBODY, present(RESOLVED, at(day, 8)))
    assert episode.is_controlled is controlled
    assert episode.resolved_at == (None if controlled else at(day, 8))


@pytest.mark.parametrize(
    ("stopped", "controlled"), [(at(24, 7), False), (at(24, 8), False), (at(24, 9), True)]
)
def test_a_drug_that_was_stopped_is_not_held_down(stopped: Instant, controlled: bool) -> None:  # noqa: FBT001 - a table of cases
    episode = only_episode(
        IMATINIB, *REACTION, ANTIBODY, stop("imatinib", stopped), present(RESOLVED, at(24, 8))
    )
    assert episode.is_controlled is controlled


@pytest.mark.parametrize(("day", "controlled"), [(27, True), (28, False)])
def test_a_drug_whose_doses_cease_may_go_on_for_a_gap(day: int, controlled: bool) -> None:  # noqa: FBT001 - a table of cases
    doses = [dose("imatinib", at(given)) for given in range(21)]
    assert only_episode(*doses, *REACTION, ANTIBODY, present(RESOLVED, at(day))).is_controlled is controlled


def test_a_drug_begun_again_under_the_antibody_goes_on() -> None:
    events = (stop("imatinib", at(20, 13)), statement("imatinib", at(22)), present(RESOLVED, at(24)))
    assert _is_controlled(IMATINIB, ANTIBODY, *events)


def test_a_drug_under_which_nothing_was_seen_holds_nothing_open() -> None:
    events = (statement("allopurinol", at(-200)), stop("imatinib", at(20, 13)), present(RESOLVED, at(24)))
    assert only_episode(IMATINIB, *REACTION, ANTIBODY, *events).resolved_at == at(24)


def test_a_course_that_ended_before_anything_was_seen_was_held_down_by_nothing() -> None:
    first = (statement("imatinib", at(0)), dose("reslizumab", at(2)), stop("imatinib", at(5)))
    again = (statement("imatinib", at(300)), eosinophils(1600, at(310)))
    timeline = timeline_of(*first, *again)
    courses = build_courses(timeline.exposures, RULEBOOK)
    masked = with_masking(timeline, courses, build_treatments(timeline, RULEBOOK), RULEBOOK)
    assert masked.control == ()


def test_an_antibody_that_acts_no_more_holds_nothing_down() -> None:
    before = (dose("reslizumab", at(-100)), present(RESOLVED, at(24)))
    assert only_episode(IMATINIB, *REACTION, *before).resolved_at == at(24)
    again = (stop("imatinib", at(21)), statement("imatinib", at(60)), dose("reslizumab", at(22)))
    assert only_episode(IMATINIB, *REACTION, *again, present(RESOLVED, at(24))).resolved_at == at(24)


def test_what_resolved_before_the_antibody_has_resolved() -> None:
    episode = only_episode(IMATINIB, *REACTION, present(RESOLVED, at(20, 11)), ANTIBODY)
    assert (episode.resolved_at, episode.is_controlled) == (at(20, 11), False)


@pytest.mark.parametrize("day", [22, 38, 47])
def test_worsening_under_control_is_the_same_episode(day: int) -> None:
    events = (absent(RASH, at(21)), present(RESOLVED, at(21, 9)), present(RASH, at(day)))
    episode = only_episode(IMATINIB, *REACTION, ANTIBODY, *events)
    assert (episode.last_evidence, episode.is_controlled) == (at(day), False)


def test_under_control_a_new_drug_begins_no_episode() -> None:
    new = (statement("allopurinol", at(30)), absent(RASH, at(31)), present(RASH, at(40)))
    assert len(assessed(IMATINIB, *REACTION, ANTIBODY, *new).episodes) == 1
    assert (
        len(assessed(IMATINIB, *REACTION, absent(RASH, at(24)), eosinophils(9, at(25)), *new[::2]).episodes)
        == 2
    )


def test_what_was_quiet_before_the_antibody_is_another_episode() -> None:
    quiet = (absent(RASH, at(21)), eosinophils(100, at(22)))
    events = (IMATINIB, *REACTION, *quiet, dose("reslizumab", at(30)), present(RASH, at(40)))
    assert len(assessed(*events).episodes) == 2
