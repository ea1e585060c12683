"""Follow-up alerts: what to tell when the day has passed on which a reaction should have been looked at.

Only an open episode at warning or above asks for it, once. It ends when the question is answered, or with its episode.
"""

from dataclasses import replace

from pv_stream.domain.assessment import Tier
from pv_stream.domain.ids import AlertId, derive_id
from pv_stream.domain.outputs import AlertKind, AlertStatus, Output
from pv_stream.domain.published import LIVE, AlertLine, EpisodeState, PublishedEpisode
from pv_stream.domain.times import Instant
from pv_stream.engine import telling
from pv_stream.engine.telling import Occasion
from pv_stream.rules import reasons
from pv_stream.rules.follow_up import follow_up_reason

#: Why a follow-up alert is closed when its episode is not.
DOCUMENTED = "documented"


def follow_up_due_at(episode: PublishedEpisode) -> Instant | None:
    """Return when to ask for a follow-up that was not asked for yet, or None."""
    if not _may_ask(episode) or _is_live(episode):
        return None
    return episode.last.follow_up_at


def ask(episode: PublishedEpisode, occasion: Occasion, outputs: list[Output]) -> PublishedEpisode:
    """Tell that a follow-up is due."""
    old = episode.follow_up
    if old is None:
        alert_id = AlertId(derive_id("al", occasion.patient_id, AlertKind.FOLLOW_UP_DUE, episode.episode_id))
        line = AlertLine(alert_id, 1, AlertStatus.RAISED, Tier.INFO)
    else:
        again = AlertStatus.REVISED if old.status is AlertStatus.CLOSED else AlertStatus.RAISED
        line = old.revised(again, Tier.INFO)
    outputs.append(
        telling.follow_up_alert(occasion, episode, line, follow_up_reason(occasion.rulebook), None)
    )
    return replace(episode, follow_up=line)


def settle(episode: PublishedEpisode, occasion: Occasion, outputs: list[Output]) -> PublishedEpisode:
    """Tell that a follow-up is not due any more: answered, closed with its episode, or never needed."""
    old, asked_for = episode.follow_up, episode.last.follow_up_at
    if old is None or not _is_live(episode):
        return episode
    if _may_ask(episode) and asked_for is not None and asked_for <= occasion.as_of:
        return episode
    status, reason = AlertStatus.WITHDRAWN, reasons.NO_FOLLOW_UP
    closing: str | None = None
    if episode.state is EpisodeState.CLOSED:
        status, closing, reason = AlertStatus.CLOSED, episode.closing, reasons.FOLLOW_UP_ENDED
    elif _may_ask(episode) and asked_for is None:
        status, closing, reason = AlertStatus.CLOSED, DOCUMENTED, reasons.FOLLOWED_UP
    line = old.revised(status, Tier.INFO)
    outputs.append(telling.follow_up_alert(occasion, episode, line, reason, closing))
    return replace(episode, follow_up=line)


def hand_over(episode: PublishedEpisode, occasion: Occasion, outputs: list[Output]) -> PublishedEpisode:
    """Tell that a follow-up is asked for under the patient record that this one was merged into."""
    old = episode.follow_up
    if old is None or not _is_live(episode):
        return episode
    line = old.revised(AlertStatus.TRANSFERRED, old.tier)
    outputs.append(telling.follow_up_alert(occasion, episode, line, reasons.HANDED_OVER, None))
    return replace(episode, follow_up=line)


def take_over(
    episode: PublishedEpisode, inherited: AlertLine, occasion: Occasion, outputs: list[Output]
) -> PublishedEpisode:
    """Ask, under this patient record, for the follow-up that a merged one asked for."""
    own = episode.follow_up
    if own is None:
        alert_id = AlertId(derive_id("al", occasion.patient_id, AlertKind.FOLLOW_UP_DUE, episode.episode_id))
        own = AlertLine(alert_id, 0, AlertStatus.WITHDRAWN, Tier.INFO)
    status = AlertStatus.REVISED if _is_live(episode) else AlertStatus.RAISED
    line = own.revised(status, Tier.INFO, (inherited,))
    outputs.append(telling.follow_up_alert(occasion, episode, line, reasons.TAKEN_OVER, None))
    return replace(episode, follow_up=line)


def _may_ask(episode: PublishedEpisode) -> bool:
    alert = episode.alert
    return (
        episode.state is EpisodeState.OPEN
        and alert is not None
        and alert.status in LIVE
        and alert.tier >= Tier.WARNING
    )


def _is_live(episode: PublishedEpisode) -> bool:
    return episode.follow_up is not None and episode.follow_up.status in LIVE
