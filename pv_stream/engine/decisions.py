"""Decisions: which acknowledgements and refutations still hold once something new was told.

An acknowledgement ends when the tier of its alert rises above it, and when the alert leaves the list: what comes
back is news. A refutation ends when its episode took over an alert that nobody refuted. A confirmation stays.
"""

from dataclasses import replace

from pv_stream.domain.actions import Acknowledgement, ClinicianVerdict
from pv_stream.domain.codes import Judgement
from pv_stream.domain.ids import AlertId
from pv_stream.domain.outputs import AlertKind
from pv_stream.domain.published import LIVE, AlertLine, EpisodeState, Published


def alert_lines(told: Published) -> dict[AlertId, tuple[AlertKind, AlertLine]]:
    """Return every alert that was ever told of a patient, by id."""
    lines: list[tuple[AlertKind, AlertLine | None]] = []
    for episode in told.episodes:
        lines.append((AlertKind.SUSPECTED_DRESS, episode.alert))
        lines.append((AlertKind.FOLLOW_UP_DUE, episode.follow_up))
    lines += ((AlertKind.CULPRIT_RESTART, restart.alert) for restart in told.restarts)
    lines += ((AlertKind.DATA_REVIEW, review.alert) for review in told.reviews)
    lines.append((AlertKind.SYSTEM, told.incomplete))
    return {line.alert_id: (kind, line) for kind, line in lines if line is not None}


def settle_decisions(told: Published) -> Published:
    """Return what was told without the acknowledgements and refutations that hold no more."""
    if not (told.acknowledgements or told.verdicts):
        return told
    lines = alert_lines(told)
    noted = tuple(noted for noted in told.acknowledgements if _holds(noted, lines.get(noted.alert_id)))
    verdicts = tuple(verdict for verdict in told.verdicts if not _is_void(verdict, told))
    return replace(told, acknowledgements=noted, verdicts=verdicts)


def _holds(noted: Acknowledgement, alert: tuple[AlertKind, AlertLine] | None) -> bool:
    return alert is not None and alert[1].status in LIVE and alert[1].tier <= noted.tier


def _is_void(verdict: ClinicianVerdict, told: Published) -> bool:
    """Tell whether a refuted episode goes on all the same, at a tier that the refutation covers."""
    if verdict.judgement is not Judgement.REFUTED:
        return False
    about = frozenset(verdict.evidence)
    return any(
        episode.state is EpisodeState.OPEN
        and episode.last.judgement is None
        and not about.isdisjoint(episode.last.members)
        and (episode.last.tier or verdict.tier) <= verdict.tier
        for episode in told.episodes
    )
