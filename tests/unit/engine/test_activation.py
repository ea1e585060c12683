"""Activation: what another rulebook leaves as it was."""

from dataclasses import replace

from pv_stream.domain.actions import ClinicianVerdict
from pv_stream.domain.assessment import Assessment, Closing, Tier
from pv_stream.domain.codes import FindingCode, Judgement
from pv_stream.domain.events import FactArrived
from pv_stream.domain.ids import EpisodeId, FactKey
from pv_stream.domain.outputs import Alert
from pv_stream.domain.published import EpisodeState, PatientState, Published, PublishedEpisode
from pv_stream.engine.activation import reassess, seal
from pv_stream.engine.advance import advance, fire_due
from tests.builders import (
    PATIENT,
    RULEBOOK,
    at,
    dose,
    eosinophils,
    only_episode,
    present,
    retracted,
    temperature,
)
from tests.rulebooks import LOWER

EPISODE = only_episode(dose("imatinib", at(0)), eosinophils(1690, at(20)))


def _members(keys: str) -> tuple[FactKey, ...]:
    return tuple(map(FactKey, keys))


def _told(name: str, keys: str, state: EpisodeState) -> PublishedEpisode:
    return PublishedEpisode(EpisodeId(name), _members(keys), state, EPISODE, case_revision=1)


def _sealed(*told: PublishedEpisode, assessed: str) -> list[tuple[str, bool]]:
    """Return the evidence of each episode once other rules find these, and whether it is sealed."""
    found = tuple(replace(EPISODE, members=_members(keys)) for keys in assessed.split())
    sealed = seal(Published(episodes=told), Assessment(episodes=found, restarts=(), reviews=()))
    return [("".join(episode.members), episode.sealed) for episode in sealed.episodes]


def test_a_closed_episode_takes_the_evidence_that_new_rules_add_to_it_and_no_other() -> None:
    closed = _told("A", "ab", EpisodeState.CLOSED)
    assert _sealed(closed, assessed="bc de") == [("abc", True)]


def test_what_belongs_to_an_open_episode_is_not_taken_into_a_closed_one() -> None:
    closed, open_one = _told("A", "ab", EpisodeState.CLOSED), _told("B", "c", EpisodeState.OPEN)
    assert _sealed(closed, open_one, assessed="bc") == [("ab", True), ("c", False)]


def test_a_superseded_episode_keeps_nothing_from_a_closed_one() -> None:
    closed, gone = _told("A", "ab", EpisodeState.CLOSED), _told("B", "c", EpisodeState.SUPERSEDED)
    assert _sealed(closed, gone, assessed="bc") == [("abc", True), ("c", False)]


def _after(*events: FactArrived) -> PatientState:
    state = PatientState()
    for sent in events:
        state, _ = advance(state, sent, shard_clock=None, rulebook=RULEBOOK)
    return state


def test_a_count_that_the_new_thresholds_make_relevant_is_told_and_the_clock_has_moved() -> None:
    before = _after(dose("imatinib", at(0)), eosinophils(650, at(20)), temperature("36.7", at(20)))
    state, told = reassess(PATIENT, before, as_of=at(30), rulebook=LOWER)
    assert [alert.tier for alert in told if isinstance(alert, Alert)] == ["warning"]
    assert (state.clock, state.rulebook) == (at(30), LOWER.digest)


def test_what_a_clinician_decided_holds_under_another_rulebook() -> None:
    state = _after(dose("imatinib", at(0)), eosinophils(2200, at(20)), present(FindingCode.RASH, at(20)))
    (episode,) = state.published.episodes
    refuted = ClinicianVerdict(Judgement.REFUTED, episode.members, Tier.WARNING)
    state = replace(state, published=replace(state.published, verdicts=(refuted,)))
    (judged,) = reassess(PATIENT, state, as_of=at(30), rulebook=LOWER)[0].published.episodes
    assert (judged.last.judgement, judged.closing) == (Judgement.REFUTED, Closing.REFUTED)


def test_beside_a_sealed_episode_a_later_one_is_told_and_taken_back() -> None:
    first = (
        dose("imatinib", at(0)),
        eosinophils(2200, at(20)),
        present(FindingCode.RASH, at(20)),
        present(FindingCode.REACTION_RESOLVED, at(25)),
    )
    state, _ = fire_due(PATIENT, _after(*first), at(60), RULEBOOK)
    state, _ = reassess(PATIENT, state, as_of=at(61), rulebook=LOWER)
    assert [episode.sealed for episode in state.published.episodes] == [True]
    count = eosinophils(2200, at(110))
    told = []
    for sent in (dose("imatinib", at(100)), count, retracted(count, received_at=at(111))):
        state, outputs = advance(state, sent, shard_clock=None, rulebook=LOWER)
        told += [out.status for out in outputs if isinstance(out, Alert) and out.kind == "suspected_dress"]
    assert told == ["raised", "withdrawn"]
    assert [episode.state for episode in state.published.episodes] == ["closed", "withdrawn"]


def test_a_sealed_episode_whose_basis_is_taken_back_is_withdrawn_and_no_longer_closed_or_sealed() -> None:
    count = eosinophils(2200, at(20))
    resolved = present(FindingCode.REACTION_RESOLVED, at(25))
    state, _ = fire_due(PATIENT, _after(dose("imatinib", at(0)), count, resolved), at(60), RULEBOOK)
    state, _ = reassess(PATIENT, state, as_of=at(61), rulebook=LOWER)
    state, _ = advance(state, retracted(count, received_at=at(62)), shard_clock=None, rulebook=LOWER)
    (episode,) = state.published.episodes
    assert (episode.state, episode.closing, episode.sealed) == (EpisodeState.WITHDRAWN, None, False)
