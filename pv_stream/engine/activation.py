"""Activation: assessing a patient again because another rulebook has come into force.

What changes by that alone is told with the cause `rulebook`. Open episodes follow the new rules, and their tier may
fall. Closed episodes are sealed first: rules neither open nor change them. What was believed of a record when it was
read (plausibility) stays believed: the value that was held is not in the facts, and a person decides about it.
"""

from dataclasses import replace
from typing import Final

from pv_stream.domain.assessment import Assessment
from pv_stream.domain.ids import PatientId
from pv_stream.domain.outputs import Cause
from pv_stream.domain.published import EpisodeState, PatientState, Published, Relevance
from pv_stream.domain.times import Instant
from pv_stream.engine import diff as telling_diff
from pv_stream.engine.advance import Advanced
from pv_stream.engine.assess import assess
from pv_stream.engine.diff import next_due
from pv_stream.engine.relevance import must_assess, relevance_after
from pv_stream.engine.telling import Occasion
from pv_stream.rules.rulebook import Rulebook

#: Moves only when outputs may change with the same log and the same rulebook.
ENGINE_VERSION: Final = 1

#: Another rulebook is no news about the patient: how late it is told counts from the evidence alone.
_NO_RECORD: Final = Instant(0)


def is_outdated(state: PatientState, rulebook: Rulebook) -> bool:
    """Tell whether a patient was last assessed under another rulebook."""
    is_stub = state.lineage.into is not None
    return bool(state.facts) and not is_stub and state.rulebook != rulebook.digest


def reassess(patient_id: PatientId, state: PatientState, *, as_of: Instant, rulebook: Rulebook) -> Advanced:
    """Return the state and the outputs of a patient under the rulebook that is now in force."""
    renewed = replace(state, clock=as_of, relevance=_relevance(state, rulebook), rulebook=rulebook.digest)
    if not must_assess(renewed, rulebook):
        return renewed, ()
    occasion = Occasion(
        patient_id=patient_id,
        as_of=as_of,
        cause=Cause.RULEBOOK,
        effective=_NO_RECORD,
        known_at=as_of,
        facts=state.facts,
        replaced=frozenset(),
        rulebook=rulebook,
        incomplete=state.published.incomplete is not None,
    )
    assessment = assess(state.facts, rulebook, state.published.verdicts)
    published, outputs = telling_diff.diff(seal(state.published, assessment), assessment, occasion)
    return replace(renewed, published=published, due=next_due(published)), outputs


def _relevance(state: PatientState, rulebook: Rulebook) -> Relevance:
    """Return what the patient has by the new thresholds, and what was relevant before: too careful, never too bold."""
    relevance = state.relevance
    for fact in state.facts.values():
        for statement, _ in fact.statements:
            relevance = relevance_after(relevance, statement.content, state.facts, rulebook)
    return relevance


def seal(told: Published, assessment: Assessment) -> Published:
    """Return what was told with its closed episodes sealed.

    Evidence that the new rules add to a closed episode, and to no other, becomes part of it: it is not news.
    """
    living = {
        key
        for episode in told.episodes
        if episode.state not in {EpisodeState.CLOSED, EpisodeState.SUPERSEDED}
        for key in episode.members
    }
    past = [episode.members for episode in assessment.episodes if living.isdisjoint(episode.members)]
    episodes = []
    for episode in told.episodes:
        if episode.state is EpisodeState.CLOSED:
            known = frozenset(episode.members)
            more = (key for members in past if not known.isdisjoint(members) for key in members)
            members = tuple(dict.fromkeys((*episode.members, *more)))
            episodes.append(replace(episode, sealed=True, members=members))
        else:
            episodes.append(episode)
    return replace(told, episodes=tuple(episodes))
