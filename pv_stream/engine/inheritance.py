"""Inheritance: what was told of a patient record that was merged into another, and who answers for it from then on.

The survivor takes over every alert that stands: one that its own episodes explain goes on in their alerts, any other
gets one of its own, which names what it continues. Only when that is told does the prior fall silent (`hand_over`),
so that at no moment neither is open.
"""

from collections.abc import Mapping
from dataclasses import replace

from pv_stream.domain.actions import Acknowledgement
from pv_stream.domain.assessment import Assessment, Tier
from pv_stream.domain.ids import AlertId, EpisodeId, derive_id
from pv_stream.domain.outputs import AlertKind, AlertStatus, Output
from pv_stream.domain.published import LIVE, STANDING, AlertLine, EpisodeState, Published, PublishedEpisode
from pv_stream.engine import episode_alerts, follow_up_alerts, restart_alerts, review_alerts, telling
from pv_stream.engine.decisions import alert_lines
from pv_stream.engine.match import match_episodes
from pv_stream.engine.telling import ASSESSMENT_INCOMPLETE, Occasion
from pv_stream.rules import reasons

Lines = dict[EpisodeId, tuple[AlertLine, ...]]

_GONE = frozenset({EpisodeState.SUPERSEDED, EpisodeState.TRANSFERRED})


def take_over(
    told: Published, prior: Published, assessment: Assessment, occasion: Occasion, outputs: list[Output]
) -> tuple[Published, Lines]:
    """Return the memory of a survivor with that of a prior in it, and the open alerts that its episodes take over.

    `assessment` is that of all facts together.
    """
    lines: Lines = {}
    episodes = list(told.episodes)
    home_of = _homes(told, prior, assessment, occasion)
    for episode in prior.episodes:
        if episode.state in _GONE:
            continue
        home = home_of.get(episode.episode_id)
        if home is None:
            episodes.append(_guest(episode, occasion, outputs))
            home = len(episodes) - 1
        else:
            members = tuple(dict.fromkeys((*episodes[home].members, *episode.members)))
            episodes[home] = replace(episodes[home], members=members)
        if episode.alert is not None and episode.alert.status in LIVE:
            taken_by = episodes[home].episode_id
            lines[taken_by] = (*lines.get(taken_by, ()), episode.alert)
        if episode.follow_up is not None and episode.follow_up.status in LIVE:
            episodes[home] = follow_up_alerts.take_over(episodes[home], episode.follow_up, occasion, outputs)
    taken = Published(
        episodes=tuple(episodes),
        restarts=restart_alerts.take_over(told.restarts, prior.restarts, occasion, outputs),
        reviews=review_alerts.take_over(told.reviews, prior.reviews, occasion, outputs),
        incomplete=_incomplete(told.incomplete, prior.incomplete, occasion, outputs),
        acknowledgements=told.acknowledgements,
        verdicts=tuple(dict.fromkeys((*told.verdicts, *prior.verdicts))),
        acted=tuple(dict.fromkeys((*prior.acted, *told.acted))),
        thinned=told.thinned,
    )
    return taken, lines


def _homes(
    told: Published, prior: Published, assessment: Assessment, occasion: Occasion
) -> Mapping[EpisodeId, int]:
    """Return the index of the survivor's own episode that explains each of the prior's, where there is one.

    A closed alert of the prior stays one of its own, unless the survivor knows its very episode.
    """
    matched = match_episodes(occasion.patient_id, assessment.episodes, told.episodes)
    homes = {episode.episode_id: index for index, episode in enumerate(told.episodes)}
    for episode in prior.episodes:
        members = frozenset(episode.members)
        shares = [len(members.intersection(assessed.members)) for assessed in assessment.episodes]
        most = max(shares, default=0)
        home = matched.known[shares.index(most)] if most else None
        closed = episode.state is EpisodeState.CLOSED
        if home is not None and not closed and not told.episodes[home].sealed:
            homes.setdefault(episode.episode_id, home)
    return homes


def _guest(episode: PublishedEpisode, occasion: Occasion, outputs: list[Output]) -> PublishedEpisode:
    """Return an episode that only the prior had, under the same id, as one that was not told of here yet."""
    guest = replace(episode, alert=None, recurrence=None, follow_up=None, case_revision=0)
    if episode.alert is not None and episode.state is EpisodeState.CLOSED:
        return episode_alerts.take_over_closed(guest, episode.alert, occasion, outputs)
    if episode.state is EpisodeState.WITHDRAWN:
        return guest
    return replace(guest, state=EpisodeState.CANDIDATE)


def _incomplete(
    own: AlertLine | None, inherited: AlertLine | None, occasion: Occasion, outputs: list[Output]
) -> AlertLine | None:
    if inherited is None or inherited.status not in STANDING:
        return own
    line = own
    if line is None:
        subject = (occasion.patient_id, AlertKind.SYSTEM, ASSESSMENT_INCOMPLETE)
        line = AlertLine(AlertId(derive_id("al", *subject)), 0, AlertStatus.RAISED, Tier.WARNING)
    status = AlertStatus.RAISED if own is None else AlertStatus.REVISED
    line = line.revised(status, Tier.WARNING, (inherited,))
    outputs.append(telling.system_alert(occasion, line, reasons.INCOMPLETE))
    return line


def acknowledgements_of(told: Published, prior: Published) -> tuple[Acknowledgement, ...]:
    """Return what people took note of in a prior, for the alerts of the survivor in which it goes on.

    What they took note of in the survivor itself stands first.
    """
    own = {noted.alert_id for noted in told.acknowledgements}
    moved: dict[AlertId, Acknowledgement] = {}
    for _, line in alert_lines(told).values():
        for noted in prior.acknowledgements:
            if noted.alert_id in line.continues and line.alert_id not in own and line.status in LIVE:
                moved[line.alert_id] = replace(noted, alert_id=line.alert_id)
    return tuple(moved.values())


def hand_over(told: Published, occasion: Occasion, outputs: list[Output]) -> Published:
    """Return the memory of a prior once the survivor, named by the occasion, has taken over all that stands."""
    occasion = replace(occasion, acknowledgements=told.acknowledgements, thinned=told.thinned)
    episodes = [follow_up_alerts.hand_over(episode, occasion, outputs) for episode in told.episodes]
    incomplete = told.incomplete
    if incomplete is not None and incomplete.status in STANDING:
        incomplete = incomplete.revised(AlertStatus.TRANSFERRED, incomplete.tier)
        outputs.append(telling.system_alert(occasion, incomplete, reasons.HANDED_OVER))
    return replace(
        told,
        episodes=tuple(episode_alerts.hand_over(episode, occasion, outputs) for episode in episodes),
        restarts=tuple(restart_alerts.hand_over(restart, occasion, outputs) for restart in told.restarts),
        reviews=tuple(review_alerts.hand_over(review, occasion, outputs) for review in told.reviews),
        incomplete=incomplete,
        acknowledgements=(),
    )
