"""Restart alerts: what to tell of drugs that were started again.

A warning comes before any reaction in the new course and is not revised after one: that reaction has its own alert.
"""

from dataclasses import replace

from pv_stream.domain.assessment import Assessment, RestartAssessment
from pv_stream.domain.ids import AlertId, EpisodeId, derive_new_id
from pv_stream.domain.outputs import AlertKind, AlertStatus, Output
from pv_stream.domain.published import LIVE, AlertLine, PublishedRestart
from pv_stream.engine import telling
from pv_stream.engine.match import Matched, match_restarts
from pv_stream.engine.telling import Occasion
from pv_stream.rules import reasons


def tell_restarts(
    told: tuple[PublishedRestart, ...],
    assessment: Assessment,
    matched: Matched,
    occasion: Occasion,
    outputs: list[Output],
) -> tuple[PublishedRestart, ...]:
    """Tell of restarts that are new or changed, and withdraw those that turned out to be none."""
    restarts = list(told)
    matches = match_restarts(assessment.restarts, told)
    for assessed, known in zip(assessment.restarts, matches, strict=True):
        of_episode = matched.ids[assessed.prior]
        if known is not None:
            restarts[known] = _tell_known_restart(told[known], assessed, of_episode, occasion, outputs)
        elif not assessed.reacted:
            used = frozenset(restart.alert.alert_id for restart in restarts)
            restarts.append(_tell_new_restart(assessed, of_episode, used, occasion, outputs))
    for index, old in enumerate(told):
        if index not in matches and old.alert.status in LIVE:
            restarts[index] = _withdraw_restart(old, occasion, outputs)
    return tuple(restarts)


def _tell_new_restart(
    assessed: RestartAssessment,
    of_episode: EpisodeId,
    used: frozenset[AlertId],
    occasion: Occasion,
    outputs: list[Output],
) -> PublishedRestart:
    subject = (occasion.patient_id, AlertKind.CULPRIT_RESTART, of_episode, assessed.drug, assessed.course[0])
    # A late stop may cut a course in two: the part that kept the first record may not have kept the alert.
    alert_id = AlertId(derive_new_id("al", subject, used))
    line = AlertLine(alert_id, 1, AlertStatus.RAISED, assessed.tier)
    outputs.append(
        telling.restart_alert(occasion, line, assessed, of_episode, reasons.restart_reason(assessed))
    )
    return PublishedRestart(line, of_episode, assessed.course, assessed)


def _tell_known_restart(
    old: PublishedRestart,
    assessed: RestartAssessment,
    of_episode: EpisodeId,
    occasion: Occasion,
    outputs: list[Output],
) -> PublishedRestart:
    course = assessed.course
    if assessed.reacted and old.alert.status in LIVE:
        # The warning has had its say: the reaction in this course has an alert of its own.
        return replace(old, course=course)
    falls = bool(occasion.replaced) or occasion.is_rulebook
    tier = assessed.tier if falls else max(old.alert.tier, assessed.tier)
    withdrawn = old.alert.status in {AlertStatus.WITHDRAWN, AlertStatus.TRANSFERRED}
    changed = (assessed.drugs, assessed.relation, assessed.started_at, assessed.begun_as, of_episode) != (
        old.last.drugs,
        old.last.relation,
        old.last.started_at,
        old.last.begun_as,
        old.of_episode,
    )
    new = PublishedRestart(old.alert, of_episode, course, assessed)
    if not withdrawn and tier is old.alert.tier and not changed:
        return new
    status = AlertStatus.RAISED if withdrawn else AlertStatus.REVISED
    line = old.alert.revised(status, tier)
    outputs.append(
        telling.restart_alert(occasion, line, assessed, of_episode, reasons.restart_reason(assessed))
    )
    return replace(new, alert=line)


def _withdraw_restart(old: PublishedRestart, occasion: Occasion, outputs: list[Output]) -> PublishedRestart:
    line = old.alert.revised(AlertStatus.WITHDRAWN, old.alert.tier)
    reason = reasons.WITHDRAWN_BY.get(occasion.cause, reasons.NO_RESTART)
    outputs.append(telling.restart_alert(occasion, line, old.last, old.of_episode, reason))
    return replace(old, alert=line)


def hand_over(old: PublishedRestart, occasion: Occasion, outputs: list[Output]) -> PublishedRestart:
    """Tell that a restart is warned of under the patient record that this one was merged into."""
    if old.alert.status not in LIVE:
        return old
    line = old.alert.revised(AlertStatus.TRANSFERRED, old.alert.tier)
    outputs.append(telling.restart_alert(occasion, line, old.last, old.of_episode, reasons.HANDED_OVER))
    return replace(old, alert=line)


def take_over(
    told: tuple[PublishedRestart, ...],
    inherited: tuple[PublishedRestart, ...],
    occasion: Occasion,
    outputs: list[Output],
) -> tuple[PublishedRestart, ...]:
    """Warn, under this patient record, of the restarts that a merged one warned of.

    A restart of the same drug with a record in common is the same warning.
    """
    restarts = list(told)
    for restart in inherited:
        if restart.alert.status not in LIVE:
            continue
        index = next((i for i, known in enumerate(restarts) if _is_same(known, restart)), len(restarts))
        if index == len(restarts):
            restarts.append(_not_told_yet(restart, restarts, occasion))
        own = restarts[index]
        status = AlertStatus.REVISED if own.alert.status in LIVE else AlertStatus.RAISED
        line = own.alert.revised(status, max(own.alert.tier, restart.alert.tier), (restart.alert,))
        outputs.append(telling.restart_alert(occasion, line, own.last, own.of_episode, reasons.TAKEN_OVER))
        restarts[index] = replace(own, alert=line)
    return tuple(restarts)


def _is_same(one: PublishedRestart, other: PublishedRestart) -> bool:
    return one.last.drug == other.last.drug and not set(one.course).isdisjoint(other.course)


def _not_told_yet(
    restart: PublishedRestart, known: list[PublishedRestart], occasion: Occasion
) -> PublishedRestart:
    subject = (occasion.patient_id, AlertKind.CULPRIT_RESTART, restart.of_episode, restart.last.drug)
    used = frozenset(each.alert.alert_id for each in known)
    alert_id = AlertId(derive_new_id("al", (*subject, restart.course[0]), used))
    return replace(restart, alert=AlertLine(alert_id, 0, AlertStatus.WITHDRAWN, restart.alert.tier))
