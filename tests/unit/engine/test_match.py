"""Match: which assessed episode is which published one, and which restart (law 4)."""

from collections.abc import Sequence
from dataclasses import replace

from pv_stream.domain.assessment import EpisodeAssessment, RestartAssessment, Tier
from pv_stream.domain.ids import AlertId, EpisodeId, FactKey, PatientId
from pv_stream.domain.outputs import AlertStatus
from pv_stream.domain.published import AlertLine, EpisodeState, PublishedEpisode, PublishedRestart
from pv_stream.engine.match import match_episodes, match_restarts
from tests.builders import assessed, at, dose, eosinophils, only_episode, stop

PATIENT = PatientId("p")
EPISODE = only_episode(dose("imatinib", at(0)), eosinophils(1690, at(20)))


def _assessed(members: str) -> EpisodeAssessment:
    return replace(EPISODE, members=tuple(map(FactKey, members)))


def _published(name: str, members: str, state: EpisodeState = EpisodeState.OPEN) -> PublishedEpisode:
    episode = _assessed(members)
    return PublishedEpisode(EpisodeId(name), episode.members, state, episode, case_revision=1)


def test_an_episode_keeps_its_id_by_shared_evidence() -> None:
    matched = match_episodes(PATIENT, [_assessed("xab")], [_published("A", "abc")])
    assert (matched.ids, matched.known, matched.absorbed) == (("A",), (0,), {})


def test_an_episode_that_shares_nothing_is_new() -> None:
    matched = match_episodes(PATIENT, [_assessed("b")], [_published("A", "a")])
    assert matched.known == (None,)
    assert matched.ids[0].startswith("ep_")


def test_the_id_comes_from_the_patient_and_the_opening_evidence() -> None:
    (first,) = match_episodes(PATIENT, [_assessed("ab")], []).ids
    (same_opening,) = match_episodes(PATIENT, [_assessed("ac")], []).ids
    (other_opening,) = match_episodes(PATIENT, [_assessed("ba")], []).ids
    (other_patient,) = match_episodes(PatientId("q"), [_assessed("ab")], []).ids
    assert first == same_opening
    assert len({first, other_opening, other_patient}) == 3


def test_an_id_that_is_used_is_not_given_again() -> None:
    (first,) = match_episodes(PATIENT, [_assessed("a")], []).ids
    gone = _published(first, "a", EpisodeState.SUPERSEDED)
    (second,) = match_episodes(PATIENT, [_assessed("a")], [gone]).ids
    (third,) = match_episodes(
        PATIENT, [_assessed("a")], [gone, _published(second, "a", EpisodeState.SUPERSEDED)]
    ).ids
    assert len({first, second, third}) == 3


def test_of_two_that_became_one_that_with_more_evidence_survives() -> None:
    matched = match_episodes(PATIENT, [_assessed("abc")], [_published("A", "a"), _published("B", "bc")])
    assert (matched.ids, matched.known, matched.absorbed) == (("B",), (1,), {0: "B"})


def test_of_two_with_as_much_evidence_the_first_survives() -> None:
    matched = match_episodes(PATIENT, [_assessed("ab")], [_published("A", "a"), _published("B", "b")])
    assert (matched.ids, matched.absorbed) == (("A",), {1: "A"})


def test_what_was_never_told_of_here_gives_way_to_what_was() -> None:
    guest = replace(_published("A", "ab"), case_revision=0)
    matched = match_episodes(PATIENT, [_assessed("abc")], [guest, _published("B", "c")])
    assert (matched.ids, matched.absorbed) == (("B",), {0: "B"})


def test_of_one_that_became_two_the_id_stays_where_most_evidence_went() -> None:
    matched = match_episodes(PATIENT, [_assessed("a"), _assessed("bc")], [_published("A", "abc")])
    assert matched.known == (None, 0)
    assert matched.ids[1] == "A"
    assert matched.ids[0] != "A"


def test_an_absorbed_episode_names_the_one_that_took_most_of_its_evidence() -> None:
    told = [_published("A", "abcdef"), _published("B", "uvw"), _published("C", "xyz1")]
    matched = match_episodes(PATIENT, [_assessed("uvwx"), _assessed("abcdefyz")], told)
    assert matched.known == (1, 0)
    assert matched.absorbed == {2: "A"}


def test_evidence_of_sealed_episodes_belongs_to_the_one_that_has_most_of_it() -> None:
    told = [replace(_published("A", "abcd"), sealed=True), replace(_published("B", "efghi"), sealed=True)]
    matched = match_episodes(PATIENT, [_assessed("abc"), _assessed("efi"), _assessed("dgh")], told)
    assert (matched.ids, matched.known) == (("A", "B", "B"), (0, 1, None))
    assert matched.past == {0, 1, 2}


def test_a_reaction_after_one_that_rules_cut_in_two_is_new() -> None:
    told = [replace(_published("A", "abcd"), sealed=True)]
    matched = match_episodes(PATIENT, [_assessed("abc"), _assessed("d"), _assessed("xy")], told)
    assert (matched.ids[:2], matched.known) == (("A", "A"), (0, None, None))
    assert matched.past == {0, 1}
    assert matched.ids[2].startswith("ep_")


def test_a_sealed_episode_gives_way_to_one_that_is_open_however_little_that_has_of_the_evidence() -> None:
    sealed = replace(_published("A", "abc", EpisodeState.CLOSED), sealed=True)
    matched = match_episodes(PATIENT, [_assessed("abcd")], [sealed, _published("B", "d")])
    assert (matched.ids, matched.known, matched.absorbed) == (("B",), (1,), {0: "B"})


def test_a_superseded_episode_is_not_found_again() -> None:
    matched = match_episodes(PATIENT, [_assessed("a")], [_published("A", "a", EpisodeState.SUPERSEDED)])
    assert matched.known == (None,)


# Restarts -------------------------------------------------------------------------------------------------------


AGAIN = assessed(
    dose("imatinib", at(0)), eosinophils(1690, at(20)), stop("imatinib", at(21)), dose("imatinib", at(40))
)


def _restart(course: str, drug: str = "imatinib") -> RestartAssessment:
    return replace(AGAIN.restarts[0], course=tuple(map(FactKey, course)), drugs=(drug,))


def _warned(courses: Sequence[str]) -> list[PublishedRestart]:
    return [
        PublishedRestart(
            AlertLine(AlertId(course), 1, AlertStatus.RAISED, Tier.WARNING),
            EpisodeId("A"),
            _restart(course).course,
            _restart(course),
        )
        for course in courses
    ]


def test_a_restart_is_found_again_by_a_record_of_its_course() -> None:
    assert match_restarts([_restart("xb")], _warned(["a", "bc"])) == (1,)


def test_a_course_of_another_drug_is_another_restart() -> None:
    assert match_restarts([_restart("a", "phenytoin")], _warned(["a"])) == (None,)


def test_of_a_course_that_became_two_only_one_keeps_the_alert() -> None:
    assert match_restarts([_restart("a"), _restart("bc")], _warned(["abc"])) == (None, 0)
    assert match_restarts([_restart("ab"), _restart("c")], _warned(["abc"])) == (0, None)


def test_of_two_courses_that_became_one_the_alert_with_more_records_goes_on() -> None:
    assert match_restarts([_restart("abc")], _warned(["a", "bc"])) == (1,)


def test_a_restart_whose_course_is_unlike_what_was_told_is_new() -> None:
    known = replace(_warned(["a"])[0], course=())
    assert match_restarts([_restart("a")], [known]) == (None,)
