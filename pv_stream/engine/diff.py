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
from pv_stream.engine.episode_alerts import close, tell_episodes
from pv_stream.engine.match import match_episodes
from pv_stream.engine.restart_alerts import tell_restarts
from pv_stream.engine.review_alerts import tell_reviews
from pv_stream.engine.telling import Occasion

Told = tuple[Published, tuple[Output, ...]]


def diff(told: Published, assessment: Assessment, occasion: Occasion) -> Told:
    """Return the memory and the outputs after an assessment."""
    outputs: list[Output] = []
    matched = match_episodes(occasion.patient_id, assessment.episodes, told.episodes)
    episodes = tell_episodes(told.episodes, assessment, matched, occasion, outputs)
    restarts = tell_restarts(told.restarts, assessment, matched, occasion, outputs)
    reviews = tell_reviews(told.reviews, assessment.reviews, occasion, outputs)
    return Published(episodes, restarts, reviews, told.incomplete), tuple(outputs)


def close_due(told: Published, occasion: Occasion, *, after: Instant | None = None) -> Told:
    """Close the open episodes whose closing instant has come; nothing else changes by time alone.

    With `after` only those whose instant lies after it.
    """
    outputs: list[Output] = []
    episodes = tuple(
        close(episode, occasion, outputs)
        if _is_due(episode, after) and episode.last.closes_at <= occasion.as_of
        else episode
        for episode in told.episodes
    )
    return replace(told, episodes=episodes), tuple(outputs)


def next_due(told: Published, *, after: Instant | None = None) -> Instant | None:
    """Return the next instant, of those after another, at which time alone changes something."""
    return min((e.last.closes_at for e in told.episodes if _is_due(e, after)), default=None)


def _is_due(episode: PublishedEpisode, after: Instant | None) -> bool:
    return episode.state is EpisodeState.OPEN and (after is None or episode.last.closes_at > after)


def tell_incomplete(told: Published, occasion: Occasion, reason: str) -> Told:
    """Tell, once, that the assessment of a patient is incomplete."""
    if told.incomplete is not None:
        return told, ()
    alert_id = AlertId(derive_id("al", occasion.patient_id, AlertKind.SYSTEM, telling.ASSESSMENT_INCOMPLETE))
    line = AlertLine(alert_id, 1, AlertStatus.RAISED, Tier.WARNING)
    return replace(told, incomplete=line), (telling.system_alert(occasion, line, reason),)
