"""What came back of a reaction that an anti-IL-5 antibody had held down, and what the alert says of it."""

import pytest

from pv_stream.domain.assessment import Flare
from pv_stream.domain.codes import FindingCode
from pv_stream.domain.events import FactArrived
from pv_stream.domain.times import MICROSECONDS_PER_HOUR, Instant
from pv_stream.rules.reasons import episode_reason
from tests.builders import absent, at, dose, eosinophils, only_episode, present, statement, stop, temperature

RASH, OEDEMA, LIVER = FindingCode.RASH, FindingCode.FACIAL_OEDEMA, FindingCode.LIVER_INVOLVEMENT
RESOLVED = FindingCode.REACTION_RESOLVED
ANTIBODY = dose("reslizumab", at(20, 12))
#: The last microsecond of day 48, until which the antibody acts.
LAST = Instant(at(49, 0) - 1)
#: A reaction under imatinib, which goes on, and the antibody.
REACTION = (statement("imatinib", at(0)), present(RASH, at(20, 8)), eosinophils(1600, at(20, 9)), ANTIBODY)


def flare(*events: FactArrived) -> Flare | None:
    return only_episode(*REACTION, *events).flare


def under(*back: str, drugs: tuple[str, ...] = ("reslizumab",)) -> Flare:
    return Flare(drugs, back, is_under=True)


AFTER = Flare(("reslizumab",), ("rash",), is_under=False)


def test_without_an_antibody_or_while_it_holds_the_reaction_down_nothing_came_back() -> None:
    assert only_episode(*REACTION[:3], absent(RASH, at(22)), present(RASH, at(23))).flare is None
    assert flare() is None
    assert flare(absent(RASH, at(22))) is None


@pytest.mark.parametrize(("day", "is_under"), [(38, True), (48, True), (49, False)])
def test_a_rash_that_was_gone_is_back_under_the_antibody_or_after_it(day: int, *, is_under: bool) -> None:
    found = flare(absent(RASH, at(22)), absent(RASH, at(36)), present(RASH, at(day)))
    assert found == Flare(("reslizumab",), ("rash",), is_under=is_under)


@pytest.mark.parametrize(
    ("gone", "back"),
    [(at(20, 11, 59), None), (at(20, 12), under("rash")), (LAST, AFTER), (Instant(LAST + 1), None)],
)
def test_what_is_gone_at_the_first_or_last_instant_of_the_antibody_was_held_down_by_it(
    gone: Instant, back: Flare | None
) -> None:
    again = Instant(gone + 12 * MICROSECONDS_PER_HOUR)
    assert flare(absent(RASH, gone), present(RASH, again)) == back


@pytest.mark.parametrize(("back", "told"), [(LAST, under("rash")), (Instant(LAST + 1), AFTER)])
def test_what_is_back_at_the_last_instant_of_the_antibody_is_back_under_it(
    back: Instant, told: Flare
) -> None:
    assert flare(absent(RASH, at(22)), absent(RASH, at(36)), present(RASH, back)) == told


def test_what_was_never_gone_does_not_come_back() -> None:
    assert flare(present(RASH, at(38))) is None
    assert flare(absent(OEDEMA, at(22)), present(RASH, at(38))) is None
    assert flare(present(LIVER, at(21)), absent(RASH, at(22)), present(RASH, at(38))) is None
    assert flare(
        present(LIVER, at(21)), absent(RASH, at(22)), absent(LIVER, at(23)), present(RASH, at(38))
    ) == under("rash")


def test_a_skin_without_rash_ends_its_other_signs_and_another_sign_only_itself() -> None:
    assert flare(present(OEDEMA, at(21)), absent(RASH, at(22)), present(OEDEMA, at(38))) == under(
        "facial oedema"
    )
    assert flare(present(OEDEMA, at(21)), absent(OEDEMA, at(22)), present(OEDEMA, at(38))) is None


def test_all_that_came_back_is_named_once_in_order() -> None:
    gone = absent(RASH, at(22))
    back = (
        present(RASH, at(38)),
        temperature("39", at(38, 9)),
        present(RASH, at(39)),
        eosinophils(900, at(39, 9)),
    )
    assert flare(gone, *back) == under("rash", "fever", "eosinophils")
    assert flare(gone, back[3], back[0]) == under("rash", "eosinophils")


def test_eosinophils_that_are_raised_again_are_back_first_or_alone() -> None:
    gone = absent(RASH, at(22))
    assert flare(gone, eosinophils(700, at(38))) == under("eosinophils")
    assert flare(gone, eosinophils(699, at(38))) is None
    assert flare(gone, eosinophils(900, at(38)), present(RASH, at(39))) == under("eosinophils", "rash")


def test_a_count_that_stays_raised_under_the_antibody_is_not_held_down() -> None:
    raised = eosinophils(900, at(21))
    assert flare(raised, absent(RASH, at(22)), present(RASH, at(38))) is None
    low = eosinophils(60, at(23))
    assert flare(raised, absent(RASH, at(22)), low, present(RASH, at(38))) == under("rash")


def test_without_signs_a_low_count_was_held_down() -> None:
    only_counts = (statement("imatinib", at(0)), eosinophils(1600, at(20, 9)), ANTIBODY)
    again = eosinophils(1600, at(38))
    assert only_episode(*only_counts, again).flare is None
    assert only_episode(*only_counts, eosinophils(60, at(22)), again).flare == under("eosinophils")


def test_controlled_again_nothing_is_back_until_the_next_time() -> None:
    events = (absent(RASH, at(22)), present(RASH, at(30)), absent(RASH, at(34)))
    assert flare(*events) is None
    assert flare(*events, temperature("39", at(38))) == under("fever")


def test_a_resolution_documented_under_the_antibody_is_control_too() -> None:
    assert flare(present(RESOLVED, at(22)), present(RASH, at(38))) == under("rash")
    assert flare(eosinophils(900, at(21)), present(RESOLVED, at(22)), present(RASH, at(38))) == under("rash")


def test_what_is_gone_after_the_antibody_is_gone() -> None:
    """The last that is documented as gone counts: after its effect nothing holds it down."""
    events = (absent(RASH, at(40)), temperature("37", at(52)), absent(RASH, at(53)))
    assert flare(*events[:2], present(RASH, at(53))) == Flare(("reslizumab",), ("rash",), is_under=False)
    assert flare(*events, present(RASH, at(54))) is None


def test_a_drug_that_was_stopped_is_not_held_down() -> None:
    assert flare(stop("imatinib", at(21)), absent(RASH, at(30)), present(RASH, at(31))) is None


def test_each_antibody_that_held_it_down_is_named() -> None:
    second = dose("mepolizumab", at(21))
    assert flare(second, absent(RASH, at(22)), present(RASH, at(38))) == under(
        "rash", drugs=("mepolizumab", "reslizumab")
    )


@pytest.mark.parametrize(
    ("back", "said"),
    [
        ((present(RASH, at(38)),), "worse again: rash is back under reslizumab, no longer under control"),
        (
            (eosinophils(900, at(38)),),
            "worse again: eosinophils are back under reslizumab, no longer under control",
        ),
        (
            (present(RASH, at(38)), eosinophils(900, at(39))),
            "worse again: rash and eosinophils are back under reslizumab, no longer under control",
        ),
        (
            (absent(RASH, at(40)), present(RASH, at(50))),
            "worse again: rash is back after reslizumab, no longer under control",
        ),
    ],
)
def test_the_sentence_names_the_antibody_and_what_came_back(back: tuple[FactArrived, ...], said: str) -> None:
    told = episode_reason(only_episode(*REACTION, absent(RASH, at(22)), *back))
    assert f"; {said};" in told
    assert "controlled under treatment" not in told
