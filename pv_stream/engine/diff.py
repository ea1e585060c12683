"""Diff: what to tell, given what was told and what is known now.

It composes the alerts of episodes, restarts and reviews, and returns the new memory and the outputs, in order.
"""

from dataclasses import replace

from pv_stream.domain.assessment import Assessment, Tier
from pv_stream.domain.ids import AlertId, derive_id
from pv_stream.domain.outputs import AlertKind, AlertStatus, Output
from pv_stream.domain.published import AlertLine, EpisodeState, Published, PublishedEpisode
from pv_stream.domain.times import Instant
from pv_stream.engine import telling
from pv_stream.engine.decisions import settle_decisions
from pv_stream.engine.episode_alerts import close, tell_episodes
from pv_stream.engine.follow_up_alerts import ask, follow_up_due_at, settle
from pv_stream.engine.match import match_episodes
from pv_stream.engine.restart_alerts import tell_restarts
from pv_stream.engine.review_alerts import tell_reviews
from pv_stream.engine.telling import Occasion

Told = tuple[Published, tuple[Output, ...]]


def diff(told: Published, assessment: Assessment, occasion: Occasion) -> Told:
    """Return the memory and the outputs after an assessment."""
    outputs: list[Output] = []
    occasion = replace(occasion, acknowledgements=told.acknowledgements, thinned=told.thinned)
    matched = match_episodes(occasion.patient_id, assessment.episodes, told.episodes)
    episodes = tuple(
        settle(episode, occasion, outputs)
        for episode in tell_episodes(told.episodes, assessment, matched, occasion, outputs)
    )
    restarts = tell_restarts(told.restarts, assessment, matched, occasion, outputs)
    reviews = tell_reviews(told.reviews, assessment.reviews, occasion, outputs)
    new = replace(told, episodes=episodes, restarts=restarts, reviews=reviews)
    return settle_decisions(new), tuple(outputs)


def close_due(told: Published, occasion: Occasion, *, after: Instant | None = None) -> Told:
    """Close the open episodes whose closing instant has come and ask for follow-ups; time alone changes no more.

    With `after` only those whose instant lies after it.
    """
    outputs: list[Output] = []
    occasion = replace(occasion, acknowledgements=told.acknowledgements, thinned=told.thinned)

    def is_due(instant: Instant | None) -> bool:
        return instant is not None and instant <= occasion.as_of and (after is None or instant > after)

    episodes = tuple(
        settle(close(episode, occasion, outputs), occasion, outputs)
        if is_due(_closes_at(episode))
        else ask(episode, occasion, outputs)
        if is_due(follow_up_due_at(episode))
        else episode
        for episode in told.episodes
    )
    return settle_decisions(replace(told, episodes=episodes)), tuple(outputs)


def next_due(told: Published, *, after: Instant | None = None) -> Instant | None:
    """Return the next instant, of those after another, at which time alone changes something."""
    instants = [i for e in told.episodes for i in (_closes_at(e), follow_up_due_at(e)) if i is not None]
    return min((i for i in instants if after is None or i > after), default=None)


def _closes_at(episode: PublishedEpisode) -> Instant | None:
    return episode.last.closes_at if episode.state is EpisodeState.OPEN else None


def tell_incomplete(told: Published, occasion: Occasion, reason: str) -> Told:
    """Tell, once, that the assessment of a patient is incomplete."""
    if told.incomplete is not None:
        return told, ()
    alert_id = AlertId(derive_id("al", occasion.patient_id, AlertKind.SYSTEM, telling.ASSESSMENT_INCOMPLETE))
    line = AlertLine(alert_id, 1, AlertStatus.RAISED, Tier.WARNING)
    return replace(told, incomplete=line), (telling.system_alert(occasion, line, reason),)
