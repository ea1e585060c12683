"""Episode alerts: what to tell of the episodes of a patient, their recurrences and their cases.

A tier is the highest so far and falls only when a version of a fact that it rests on was replaced, or by another
rulebook, which leaves sealed episodes (closed before it) as they are. An alert is withdrawn when that takes its basis
away, closed when time passes its closing or a clinician refutes it, superseded when its episode turned out to be
another's. What did not change is not told again.
"""

from dataclasses import dataclass, replace

from pv_stream.domain.assessment import Assessment, Closing, EpisodeAssessment, Tier
from pv_stream.domain.codes import Judgement
from pv_stream.domain.ids import AlertId, EpisodeId, RecurrenceId, derive_id
from pv_stream.domain.outputs import AlertKind, AlertStatus, Cause, Output
from pv_stream.domain.published import (
    LIVE,
    STANDING,
    AlertLine,
    EpisodeState,
    PublishedEpisode,
    RecurrenceLine,
)
from pv_stream.engine import telling, telling_criteria
from pv_stream.engine.match import Matched
from pv_stream.engine.telling import Occasion
from pv_stream.rules import reasons


def tell_episodes(
    told: tuple[PublishedEpisode, ...],
    assessment: Assessment,
    matched: Matched,
    occasion: Occasion,
    outputs: list[Output],
) -> tuple[PublishedEpisode, ...]:
    """Tell of episodes that are new, changed, withdrawn or superseded; return them in order of first telling."""
    episodes = list(told)
    for index, old in enumerate(told):
        if old.sealed and not _rests_on_replaced(old, occasion):
            continue
        if index in matched.absorbed:
            episodes[index] = _supersede(old, matched.absorbed[index], occasion, outputs)
        elif index not in matched.known and old.state is not EpisodeState.SUPERSEDED:
            if _stands_although_not_found(old, occasion):
                continue
            # No evidence, or no watched drug in whose window it lies: what was told was not so.
            taken = occasion.inherited.get(old.episode_id, ())
            episodes[index] = _withdraw(old, old.last, EpisodeState.WITHDRAWN, occasion, outputs, taken)
    floors = _absorbed_tiers(told, matched, occasion)
    inherited = _inherited(told, matched, occasion)
    for index, assessed in enumerate(assessment.episodes):
        floor = floors.get(matched.ids[index])
        known = matched.known[index]
        lines = inherited.get(matched.ids[index], ())
        if index in matched.past and not (known is not None and _rests_on_replaced(told[known], occasion)):
            continue
        of_episode = None if assessed.recurrence is None else matched.ids[assessed.recurrence.of_episode]
        if known is None:
            episodes.append(_tell_new(matched.ids[index], assessed, of_episode, occasion, outputs))
        else:
            old = replace(told[known], sealed=False)
            joined = [told[other] for other, by in matched.absorbed.items() if by == matched.ids[index]]
            takes_over = bool(lines) or (bool(joined) and any(map(_stands, (old, *joined))))
            update = _Update(old, assessed, of_episode, floor, lines, takes_over)
            episodes[known] = _tell_known(update, occasion, outputs)
    return tuple(episodes)


@dataclass(frozen=True, slots=True)
class _Update:
    """Hold a published episode and what is assessed of it now.

    `floor` is the tier of an alert that it absorbed, `inherited` are those of a merged patient record that it takes
    over; `takes_over` says that one alert that stands goes on for several.
    """

    old: PublishedEpisode
    assessed: EpisodeAssessment
    of_episode: EpisodeId | None
    floor: Tier | None
    inherited: tuple[AlertLine, ...]
    takes_over: bool


def _absorbed_tiers(
    told: tuple[PublishedEpisode, ...], matched: Matched, occasion: Occasion
) -> dict[EpisodeId, Tier]:
    """Return the highest tier that each survivor takes over; none when a replaced fact or rulebook joined them."""
    tiers: dict[EpisodeId, Tier] = {}
    for index, survivor in matched.absorbed.items():
        line = told[index].alert
        if line is not None and _stands(told[index]) and not (occasion.replaced or occasion.is_rulebook):
            tiers[survivor] = max(line.tier, tiers.get(survivor, line.tier))
    return tiers


def _stands(told: PublishedEpisode) -> bool:
    return told.alert is not None and told.alert.status in LIVE


def _stands_although_not_found(old: PublishedEpisode, occasion: Occasion) -> bool:
    """Tell whether an alert goes on as it was told, though what is known by now would not raise it.

    So it does after a record that replaces nothing, such as an item newly documented as absent: it closes in its time.
    """
    is_news = occasion.cause in {Cause.EVENT, Cause.CLOCK} and not occasion.replaced
    return is_news and _is_alerted(old)


def _inherited(
    told: tuple[PublishedEpisode, ...], matched: Matched, occasion: Occasion
) -> dict[EpisodeId, tuple[AlertLine, ...]]:
    """Return the alerts of a merged patient record by the episode that takes them over in the end."""
    lines = dict(occasion.inherited)
    for index, survivor in matched.absorbed.items():
        moved = lines.pop(told[index].episode_id, ())
        lines[survivor] = (*lines.get(survivor, ()), *moved)
    return lines


def _rests_on_replaced(old: PublishedEpisode, occasion: Occasion) -> bool:
    return not occasion.replaced.isdisjoint((*old.members, *old.last.evidence))


def _tell_new(
    episode_id: EpisodeId,
    assessed: EpisodeAssessment,
    of_episode: EpisodeId | None,
    occasion: Occasion,
    outputs: list[Output],
) -> PublishedEpisode:
    new = PublishedEpisode(
        episode_id=episode_id,
        members=assessed.members,
        state=EpisodeState.CANDIDATE,
        last=assessed,
        case_revision=0,
        recurrence_of=of_episode,
    )
    if assessed.tier is None or assessed.judgement is Judgement.REFUTED:
        return _tell_case(new, occasion, outputs)
    return _tell_alert(new, AlertStatus.RAISED, assessed.tier, occasion, outputs)


def _tell_known(update: _Update, occasion: Occasion, outputs: list[Output]) -> PublishedEpisode:
    old, assessed = update.old, update.assessed
    tiers = (_latched_tier(old, assessed, occasion), update.floor, *(line.tier for line in update.inherited))
    tier = max((t for t in tiers if t is not None), default=None)
    if tier is None:
        if _is_alerted(old):
            return _withdraw(old, assessed, EpisodeState.CANDIDATE, occasion, outputs)
        return _tell_unalerted(old, assessed, occasion, outputs)
    members = tuple(dict.fromkeys((*old.members, *assessed.members)))
    new = replace(old, members=members, last=assessed, recurrence_of=update.of_episode)
    if assessed.judgement is Judgement.REFUTED:
        if not update.takes_over:
            return _tell_refuted(old, new, occasion, outputs)
        # Nobody refuted the alert that stands: the refutation of the other no longer holds.
        new = replace(new, last=replace(assessed, judgement=None))
    if old.alert is None or not _is_alerted(old):
        return _tell_alert(new, AlertStatus.RAISED, tier, occasion, outputs, update.inherited)
    reopened = old.closing is Closing.REFUTED or (
        old.state is EpisodeState.CLOSED and assessed.closes_at > occasion.as_of
    )
    if update.inherited or reopened or tier is not old.alert.tier or _differs(old, new):
        return _tell_alert(new, AlertStatus.REVISED, tier, occasion, outputs, update.inherited)
    if _case_differs(old, new):
        return _tell_case(new, occasion, outputs)
    return new


def _tell_refuted(
    old: PublishedEpisode, new: PublishedEpisode, occasion: Occasion, outputs: list[Output]
) -> PublishedEpisode:
    """Tell, once, that an episode is closed because it was refuted; more evidence of the same is only kept."""
    if not _is_alerted(old):
        return _tell_unalerted(old, new.last, occasion, outputs)
    if old.closing is Closing.REFUTED:
        return _tell_case(new, occasion, outputs) if _case_differs(old, new) else new
    return _close(new, Closing.REFUTED, occasion, outputs)


def _latched_tier(old: PublishedEpisode, assessed: EpisodeAssessment, occasion: Occasion) -> Tier | None:
    """Return the tier: the highest so far, unless what the alert rests on was replaced or the rulebook changed.

    That may be a fact of the episode, or one elsewhere whose replacement lowers it, as when the earlier episode of
    a recurrence is no longer established.
    """
    if old.alert is None or not _is_alerted(old) or occasion.is_rulebook or _rests_on_replaced(old, occasion):
        return assessed.tier
    if occasion.replaced and (assessed.tier or 0) < (old.last.tier or 0):
        return assessed.tier
    return old.alert.tier if assessed.tier is None else max(old.alert.tier, assessed.tier)


def _tell_unalerted(
    old: PublishedEpisode,
    assessed: EpisodeAssessment,
    occasion: Occasion,
    outputs: list[Output],
) -> PublishedEpisode:
    members = tuple(dict.fromkeys((*old.members, *assessed.members)))
    new = replace(old, members=members, last=assessed, state=EpisodeState.CANDIDATE)
    is_new_here = old.case_revision == 0
    return _tell_case(new, occasion, outputs) if is_new_here or _case_differs(old, new) else new


def _differs(old: PublishedEpisode, new: PublishedEpisode) -> bool:
    """Tell whether anything that the alert shows has changed."""
    return _shown(old) != _shown(new)


def _shown(told: PublishedEpisode) -> tuple[object, ...]:
    last = told.last
    return (
        last.tier,
        last.culprits,
        last.eosinophils_per_ul,
        last.eosinophils_on,
        last.threshold_per_ul,
        last.score,
        telling_criteria.in_alert(last.criteria),
        last.signs,
        telling.recurrence_out(told),
        last.masking,
        last.is_controlled,
        last.flare,
        None if last.recurrence is None else last.recurrence.withdrawn,
        last.flags,
        last.evidence,
    )


def _case_differs(old: PublishedEpisode, new: PublishedEpisode) -> bool:
    changed = (
        old.last.established_by,
        old.last.resolved_at,
        old.last.last_evidence,
        old.last.criteria,
        old.last.treated,
        old.state,
    )
    return changed != (
        new.last.established_by,
        new.last.resolved_at,
        new.last.last_evidence,
        new.last.criteria,
        new.last.treated,
        new.state,
    ) or _differs(old, new)


def _tell_alert(  # noqa: PLR0913 - what is told, how, and what it takes over
    new: PublishedEpisode,
    status: AlertStatus,
    tier: Tier,
    occasion: Occasion,
    outputs: list[Output],
    inherited: tuple[AlertLine, ...] = (),
) -> PublishedEpisode:
    """Tell a revision of the alert of an open episode, its recurrence and its case."""
    line = _next_line(new, status, tier, occasion, inherited)
    new = replace(new, state=EpisodeState.OPEN, alert=line, closing=None)
    outputs.append(telling.episode_alert(occasion, new, line, reasons.episode_reason(new.last)))
    return _tell_case(_tell_recurrence(new, occasion, outputs), occasion, outputs)


def _next_line(
    told: PublishedEpisode,
    status: AlertStatus,
    tier: Tier,
    occasion: Occasion,
    inherited: tuple[AlertLine, ...] = (),
) -> AlertLine:
    if told.alert is not None:
        return told.alert.revised(status, tier, inherited)
    alert_id = AlertId(derive_id("al", occasion.patient_id, AlertKind.SUSPECTED_DRESS, told.episode_id))
    return AlertLine(alert_id, 0, status, tier).revised(status, tier, inherited)


def _tell_recurrence(told: PublishedEpisode, occasion: Occasion, outputs: list[Output]) -> PublishedEpisode:
    """Tell a recurrence when it is new or its basis changed; the memory keeps the last finding in `last`."""
    finding = telling.recurrence_out(told)
    old = told.recurrence
    if finding is None:
        return _withdraw_recurrence(told, occasion, outputs)
    shown = (
        finding.primary,
        finding.contributing,
        finding.of_episode,
        finding.interval_days,
    )
    if old is not None and old.shown == shown:
        return told
    recurrence_id = RecurrenceId(derive_id("rc", occasion.patient_id, told.episode_id))
    is_first = old is None or old.shown is None
    line = RecurrenceLine(recurrence_id, 1 if old is None else old.revision + 1, shown)
    told = replace(told, recurrence=line)
    status = "observed" if is_first else "reclassified"
    outputs.append(telling.recurrence_record(occasion, told, line, status, finding))
    return told


def _withdraw_recurrence(
    told: PublishedEpisode, occasion: Occasion, outputs: list[Output]
) -> PublishedEpisode:
    old = told.recurrence
    if old is None or old.shown is None:
        return told
    line = RecurrenceLine(old.recurrence_id, old.revision + 1, None)
    finding = telling.recurrence_from(old.shown)
    outputs.append(telling.recurrence_record(occasion, told, line, "withdrawn", finding))
    return replace(told, recurrence=line)


def _withdraw(  # noqa: PLR0913 - what is withdrawn, to what, and what it would have taken over
    old: PublishedEpisode,
    last: EpisodeAssessment,
    state: EpisodeState,
    occasion: Occasion,
    outputs: list[Output],
    inherited: tuple[AlertLine, ...] = (),
) -> PublishedEpisode:
    """Withdraw the alert and the recurrence of an episode; a skin reaction may stay behind as a candidate."""
    if old.state is state:
        return old
    new = replace(old, state=state, last=last, closing=None, sealed=False)
    lines = (old.alert, *inherited) if old.alert is not None and _is_alerted(old) else inherited
    if lines:
        line = _next_line(old, AlertStatus.WITHDRAWN, max(line.tier for line in lines), occasion, inherited)
        new = replace(new, alert=line)
        reason = reasons.WITHDRAWN_BY.get(occasion.cause, reasons.WITHDRAWN)
        outputs.append(telling.episode_alert(occasion, new, line, reason))
        new = _withdraw_recurrence(new, occasion, outputs)
    return _tell_case(new, occasion, outputs)


def _is_alerted(told: PublishedEpisode) -> bool:
    return told.alert is not None and told.alert.status not in {
        AlertStatus.WITHDRAWN,
        AlertStatus.TRANSFERRED,
    }


def take_over_closed(
    told: PublishedEpisode, inherited: AlertLine, occasion: Occasion, outputs: list[Output]
) -> PublishedEpisode:
    """Tell of a closed episode of a merged patient record under this one, so that it can still be corrected."""
    line = _next_line(told, AlertStatus.CLOSED, inherited.tier, occasion, (inherited,))
    new = replace(told, alert=line)
    outputs.append(telling.episode_alert(occasion, new, line, reasons.TAKEN_OVER))
    return _tell_case(_tell_recurrence(new, occasion, outputs), occasion, outputs)


def hand_over(old: PublishedEpisode, occasion: Occasion, outputs: list[Output]) -> PublishedEpisode:
    """Tell that an episode goes on under the patient record that this one was merged into."""
    if old.state in {EpisodeState.WITHDRAWN, EpisodeState.SUPERSEDED, EpisodeState.TRANSFERRED}:
        return old
    new = replace(old, state=EpisodeState.TRANSFERRED, closing=None)
    if old.alert is not None and old.alert.status in STANDING:
        line = _next_line(old, AlertStatus.TRANSFERRED, old.alert.tier, occasion)
        new = replace(new, alert=line)
        outputs.append(telling.episode_alert(occasion, new, line, reasons.HANDED_OVER))
        new = _withdraw_recurrence(new, occasion, outputs)
    return _tell_case(new, occasion, outputs)


def _supersede(
    old: PublishedEpisode,
    survivor: EpisodeId,
    occasion: Occasion,
    outputs: list[Output],
) -> PublishedEpisode:
    new = replace(old, state=EpisodeState.SUPERSEDED, superseded_by=survivor, closing=None, sealed=False)
    if old.alert is not None and _is_alerted(old):
        line = _next_line(old, AlertStatus.SUPERSEDED, old.alert.tier, occasion)
        new = replace(new, alert=line)
        reason = reasons.JOINED_BY_THIS_RULEBOOK if occasion.is_rulebook else reasons.SUPERSEDED
        outputs.append(telling.episode_alert(occasion, new, line, reason))
        new = _withdraw_recurrence(new, occasion, outputs)
    return _tell_case(new, occasion, outputs)


def close(old: PublishedEpisode, occasion: Occasion, outputs: list[Output]) -> PublishedEpisode:
    """Tell that an open episode is closed because its time has come, and why."""
    return _close(old, old.last.closing, occasion, outputs)


def _close(
    old: PublishedEpisode, closing: Closing, occasion: Occasion, outputs: list[Output]
) -> PublishedEpisode:
    assert old.alert is not None
    line = _next_line(old, AlertStatus.CLOSED, old.alert.tier, occasion)
    new = replace(old, state=EpisodeState.CLOSED, closing=closing, alert=line)
    outputs.append(telling.episode_alert(occasion, new, line, reasons.closing_reason(closing)))
    return _tell_case(_tell_recurrence(new, occasion, outputs), occasion, outputs)


def _tell_case(told: PublishedEpisode, occasion: Occasion, outputs: list[Output]) -> PublishedEpisode:
    told = replace(told, case_revision=told.case_revision + 1)
    outputs.append(telling.episode_case(occasion, told))
    return told
