"""Clinical resolution: fever and rash giving way, in days from the start of a treatment."""

from decimal import Decimal

import pytest

from pv_stream.domain.assessment import Treated, TreatmentGiven
from pv_stream.domain.codes import Analyte, Comparator, ExposureKind, FindingCode, Route, TreatmentKind
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import Dose, Exposure
from pv_stream.domain.times import Instant, Interval
from tests.builders import (
    absent,
    assessed,
    at,
    dose,
    eosinophils,
    event,
    measured,
    only_episode,
    present,
    statement,
    stop,
    temperature,
)

RASH, IMPROVED, RESOLVED = FindingCode.RASH, FindingCode.RASH_IMPROVED, FindingCode.REACTION_RESOLVED
REACTION = (statement("imatinib", at(0)), present(RASH, at(20, 8)), eosinophils(1600, at(20, 9)))
CYCLOSPORINE = dose("cyclosporine", at(21))
BETTER = present(IMPROVED, at(22, 12))


def treated(*events: FactArrived) -> Treated:
    return only_episode(*REACTION, *events).treated


def resolved_at(*events: FactArrived) -> Instant | None:
    """Return when it resolved under cyclosporine that goes on from day 21."""
    return treated(statement("cyclosporine", at(21)), *events).clinical_resolution_at


def given(drug: str, day: int, per_kg: str) -> FactArrived:
    content = Exposure(
        ExposureKind.ADMINISTRATION, (drug,), Route.ORAL, dose=Dose(amount_mg_per_kg=Decimal(per_kg))
    )
    return event(content, at(day))


# Resolution -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "known"), [("38.4", True), ("38.5", False)])
@pytest.mark.parametrize("day", [22, 24])
def test_a_reading_of_38_5_is_a_fever(value: str, known: bool, day: int) -> None:  # noqa: FBT001 - a table of cases
    readings = (temperature(value, at(day)), temperature("37", at(46 - day)))
    assert resolved_at(BETTER, *readings) == (at(22, 12) if known else None)


@pytest.mark.parametrize(("last", "known"), [(at(24, 7, 59), False), (at(24, 8), True), (at(30), True)])
def test_it_takes_48_hours(last: Instant, known: bool) -> None:  # noqa: FBT001 - a table of cases
    found = resolved_at(BETTER, temperature("37", at(22)), temperature("37", last))
    assert found == (at(22, 12) if known else None)


def test_one_reading_is_not_enough() -> None:
    assert resolved_at(BETTER, temperature("37", at(22))) is None
    month = temperature("37", Interval(at(22), at(24)))
    assert resolved_at(BETTER, month, temperature("37", at(25))) is None


def test_a_reading_that_may_be_a_fever_ends_the_hours() -> None:
    cool = [temperature("37", at(day)) for day in (22, 24)]
    maybe = temperature("38", at(23), comparator=Comparator.GREATER)
    assert resolved_at(BETTER, *cool, maybe) is None
    below = temperature("38.5", at(23), comparator=Comparator.LESS)
    assert resolved_at(BETTER, *cool, below) == at(22, 12)


def test_it_is_dated_to_the_first_reading_or_to_the_rash_if_that_came_later() -> None:
    cool = (temperature("37", at(23)), temperature("37", at(25)))
    assert resolved_at(BETTER, *cool) == at(23)
    assert resolved_at(present(IMPROVED, at(24)), *cool) == at(24)


def test_never_before_the_treatment() -> None:
    cool = (temperature("37", at(20, 12)), temperature("37", at(23)))
    assert resolved_at(present(IMPROVED, at(21)), *cool) == at(21)
    assert resolved_at(present(IMPROVED, at(20, 20)), *cool) is None


def test_it_stands_when_fever_or_rash_come_back_later() -> None:
    cool = (temperature("37", at(22)), temperature("37", at(24)))
    assert resolved_at(BETTER, *cool, temperature("39", at(24, 9)), present(RASH, at(25))) == at(22, 12)


@pytest.mark.parametrize(
    ("rash", "found"),
    [
        ((absent(RASH, at(22)),), at(22)),
        ((present(IMPROVED, at(22)),), at(22)),
        ((absent(IMPROVED, at(22)),), None),
        ((), None),
        ((absent(RASH, at(22)), present(FindingCode.FACIAL_OEDEMA, at(22, 7))), at(22)),
        ((absent(RASH, at(21, 9)), present(RASH, at(21, 10))), None),
        ((absent(RASH, at(21, 9)), present(FindingCode.SCALING, at(21, 10)), absent(RASH, at(23))), at(23)),
        ((absent(RASH, at(21, 9)), present(IMPROVED, at(21, 10)), present(RASH, at(21, 11))), None),
        ((present(IMPROVED, at(21, 9)), present(RASH, at(21, 10))), at(22)),
        ((present(IMPROVED, at(21, 9)), present(IMPROVED, at(21, 10)), present(RASH, at(21, 11))), at(22)),
        (
            (
                absent(RASH, at(21, 9)),
                present(RASH, at(21, 10)),
                present(IMPROVED, at(21, 11)),
                present(RASH, at(21, 12)),
            ),
            at(22),
        ),
        ((present(IMPROVED, at(21, 9)), absent(IMPROVED, at(21, 10))), None),
        ((present(IMPROVED, at(21, 9)), absent(IMPROVED, at(21, 10)), present(IMPROVED, at(23))), at(23)),
        ((absent(RASH, at(21, 9)), present(FindingCode.LIVER_INVOLVEMENT, at(21, 10))), at(22)),
    ],
)
def test_the_rash_is_improved_until_it_is_denied_or_back(
    rash: tuple[FactArrived, ...], found: Instant | None
) -> None:
    assert resolved_at(*rash, temperature("37", at(22)), temperature("37", at(24))) == found


def test_fever_and_rash_must_have_given_way_at_the_same_time() -> None:
    early = (temperature("37", at(22)), temperature("37", at(24)), temperature("39", at(25)))
    assert resolved_at(*early, present(IMPROVED, at(25))) is None
    assert resolved_at(*early, present(IMPROVED, Instant(at(25) - 1))) == at(25) - 1


# Treatments ---------------------------------------------------------------------------------------------------------


def test_a_treatment_is_told_with_its_days_dose_and_outcome() -> None:
    course = [given("cyclosporine", day, kg) for day, kg in ((21, "2.114"), (22, "1"), (23, "2"))]
    found = treated(*course, BETTER, temperature("37", at(22)), temperature("37", at(25)))
    assert found.treatments == (
        TreatmentGiven(
            drug="cyclosporine",
            rxnorm="3008",
            kind=TreatmentKind.CYCLOSPORINE,
            started=at(21),
            ended=at(23),
            days=3,
            dose_mg_per_kg=Decimal("2.11"),
            prior_steroid=False,
            days_to_clinical_resolution=1,
        ),
    )
    assert found.days_to_clinical_resolution == 1


def test_nothing_was_given() -> None:
    assert (treated().treatments, treated().days_to_clinical_resolution) == ((), None)


def test_a_treatment_has_not_ended_while_its_next_dose_may_come() -> None:
    (going_on,) = treated(CYCLOSPORINE, eosinophils(900, at(22, 8))).treatments
    assert (going_on.ended, going_on.days) == (None, None)
    (ended,) = treated(CYCLOSPORINE, eosinophils(900, at(22, 9))).treatments
    assert (ended.ended, ended.days) == (at(21), 1)
    (stopped,) = treated(CYCLOSPORINE, stop("cyclosporine", at(22, 7))).treatments
    assert (stopped.ended, stopped.days) == (at(22, 7), 2)


def test_the_dose_follows_from_the_weight_and_is_unknown_without_it() -> None:
    milligrams = event(
        Exposure(ExposureKind.ADMINISTRATION, ("cyclosporine",), dose=Dose(amount_mg=Decimal(100))), at(21)
    )
    assert treated(milligrams).treatments[0].dose_mg_per_kg is None
    weight = measured(Analyte.BODY_WEIGHT, "60", at(19))
    assert treated(milligrams, weight).treatments[0].dose_mg_per_kg == Decimal("1.67")


@pytest.mark.parametrize(("when", "count"), [(at(19, 23), 0), (at(20, 0), 1), (at(20, 7), 1)])
def test_a_treatment_belongs_to_the_episode_from_the_day_of_its_first_evidence(
    when: Instant, count: int
) -> None:
    assert len(treated(dose("cyclosporine", when)).treatments) == count


def test_each_episode_has_its_own_treatments() -> None:
    again = (present(RESOLVED, at(30)), present(RASH, at(40)), eosinophils(1600, at(40)))
    second = dose("reslizumab", at(41))
    first, later = assessed(*REACTION, CYCLOSPORINE, *again, second).episodes
    assert [t.drug for t in first.treated.treatments] == ["cyclosporine"]
    assert [t.drug for t in later.treated.treatments] == ["reslizumab"]


@pytest.mark.parametrize(("day", "prior"), [(5, False), (6, True), (19, True)])
def test_a_steroid_is_prior_when_it_ended_at_most_14_days_before_the_reaction(day: int, prior: bool) -> None:  # noqa: FBT001 - a table of cases
    (found,) = treated(dose("prednisone", at(day)), CYCLOSPORINE).treatments
    assert found.prior_steroid is prior


def test_a_steroid_is_prior_to_what_began_later() -> None:
    steroid, later = dose("prednisone", at(20, 12)), dose("methylprednisolone", at(22))
    told = treated(steroid, CYCLOSPORINE, later).treatments
    assert [(t.drug, t.prior_steroid) for t in told] == [
        ("prednisone", False),
        ("cyclosporine", True),
        ("methylprednisolone", True),
    ]


def test_a_steroid_of_the_same_instant_is_not_prior() -> None:
    together = treated(dose("prednisone", at(21)), CYCLOSPORINE)
    assert [given.prior_steroid for given in together.treatments] == [False, False]
    before = treated(dose("prednisone", at(21, 7)), CYCLOSPORINE)
    assert [(given.drug, given.prior_steroid) for given in before.treatments] == [
        ("prednisone", False),
        ("cyclosporine", True),
    ]


def test_one_that_goes_on_from_before_is_prior() -> None:
    (found,) = treated(statement("prednisone", at(-50)), CYCLOSPORINE).treatments
    assert found.prior_steroid


def test_each_treatment_counts_from_its_own_start() -> None:
    late = dose("reslizumab", at(23))
    found = treated(CYCLOSPORINE, late, BETTER, temperature("37", at(22)), temperature("37", at(25)))
    assert [t.days_to_clinical_resolution for t in found.treatments] == [1, None]


def test_a_treatment_of_the_instant_of_the_resolution_took_no_day() -> None:
    late = dose("reslizumab", at(22, 12))
    found = treated(CYCLOSPORINE, late, BETTER, temperature("37", at(22)), temperature("37", at(25)))
    assert [t.days_to_clinical_resolution for t in found.treatments] == [1, 0]


def test_the_last_reading_counts_from_the_earliest_that_it_may_be() -> None:
    readings = (temperature("37", at(22)), temperature("37", Interval(at(23), at(25))))
    assert resolved_at(BETTER, *readings) is None


def test_a_treatment_of_the_instant_of_the_next_episode_is_not_of_the_first() -> None:
    again = (present(RESOLVED, at(30)), present(RASH, at(40)), eosinophils(1600, at(40)))
    first, second = assessed(*REACTION, *again, dose("cyclosporine", at(40))).episodes
    assert (len(first.treated.treatments), len(second.treated.treatments)) == (0, 1)
