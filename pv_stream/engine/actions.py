"""Actions: what a person did about an alert, taken or refused. Pure.

An action is judged against what stands when its record is reached, by the order of the log. One that is taken is
told on a stream of its own, and once: the same action again changes nothing. One that does not fit is refused with
a code. Taking note of an alert (acknowledge, override) tells a revision that says so; a verdict (refute, confirm)
reaches `assess` as an argument, and what follows from it is told like anything else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pv_stream.domain.actions import Acknowledgement, ClinicianVerdict
from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import ActionKind, DeadLetterCode, Judgement, OverrideReason
from pv_stream.domain.events import AlertActed
from pv_stream.domain.ids import EpisodeId
from pv_stream.domain.outputs import AlertKind, AlertStatus, Cause, Output
from pv_stream.domain.published import LIVE, AlertLine, PatientState, Published, PublishedEpisode
from pv_stream.domain.times import Instant
from pv_stream.engine import telling
from pv_stream.engine.advance import Advanced, fire_due_before
from pv_stream.engine.assess import assess
from pv_stream.engine.decisions import alert_lines
from pv_stream.engine.diff import diff, next_due
from pv_stream.engine.telling import Occasion
from pv_stream.rules import reasons
from pv_stream.rules.follow_up import follow_up_reason
from pv_stream.rules.recorded_drugs import recorded_drugs
from pv_stream.rules.reports import ingredients_called
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.verdicts import with_verdict

#: How many accepted actions of a patient are known again by their id; an older one is judged as a new one.
ACTIONS_REMEMBERED_MAX: Final = 64

_NOTES: Final = frozenset({ActionKind.ACKNOWLEDGE, ActionKind.OVERRIDE})
_JUDGEMENT: Final = {
    ActionKind.CONFIRM: Judgement.CONFIRMED,
    ActionKind.REFUTE: Judgement.REFUTED,
}
#: What may be done about an alert of each kind.
FITTING: Final[Mapping[AlertKind, frozenset[ActionKind]]] = {
    AlertKind.SUSPECTED_DRESS: frozenset(ActionKind),
    AlertKind.CULPRIT_RESTART: _NOTES,
    AlertKind.DATA_REVIEW: frozenset({ActionKind.ACKNOWLEDGE}),
    AlertKind.FOLLOW_UP_DUE: frozenset({ActionKind.ACKNOWLEDGE}),
    AlertKind.SYSTEM: frozenset({ActionKind.ACKNOWLEDGE}),
}
#: A diagnosis may be settled after the alert has closed; only a standing alert can be taken note of.
_OPEN_TO_VERDICTS: Final = LIVE | {AlertStatus.CLOSED}


@dataclass(frozen=True, slots=True)
class Standing:
    """Hold what an action meets: the alert as it was last told, and what people decided about it before.

    `noted` says that an acknowledgement or override holds, `override` with which reason. `drugs` are what a
    confirmation may name: the culprits of the alert and whatever is recorded for the patient; None where that is not
    known, so that nothing is refused for it. `named` are those that a confirmation named.
    """

    kind: AlertKind
    status: AlertStatus
    tier: Tier
    revision: int
    drugs: frozenset[str] | None
    noted: bool = False
    override: str | None = None
    judgement: Judgement | None = None
    named: frozenset[str] = frozenset()


def why_refused(standing: Standing, acted: AlertActed) -> DeadLetterCode | None:
    """Return why an action is refused, or None when it is taken."""
    if acted.action not in FITTING[standing.kind] or (acted.drugs and acted.action is not ActionKind.CONFIRM):
        return DeadLetterCode.ACTION_DOES_NOT_FIT
    if standing.drugs is not None and not standing.drugs.issuperset(acted.drugs):
        return DeadLetterCode.ACTION_UNKNOWN_DRUG
    if not _reason_fits(acted):
        return DeadLetterCode.ACTION_UNKNOWN_REASON
    if standing.status not in (LIVE if acted.action in _NOTES else _OPEN_TO_VERDICTS):
        return DeadLetterCode.ACTION_ALERT_NOT_LIVE
    if acted.seen_tier < standing.tier or acted.seen_revision > standing.revision:
        return DeadLetterCode.ACTION_OUTDATED
    return DeadLetterCode.ACTION_REPEATED if _is_repeated(standing, acted) else None


def _reason_fits(acted: AlertActed) -> bool:
    if acted.action is ActionKind.OVERRIDE:
        return acted.reason in frozenset(OverrideReason)
    return acted.reason is None


def _is_repeated(standing: Standing, acted: AlertActed) -> bool:
    match acted.action:
        case ActionKind.ACKNOWLEDGE:
            return standing.noted
        case ActionKind.OVERRIDE:
            return standing.noted and standing.override == acted.reason
        case ActionKind.REFUTE:
            return standing.judgement is Judgement.REFUTED
        case ActionKind.CONFIRM:
            return standing.judgement is Judgement.CONFIRMED and standing.named.issuperset(acted.drugs)


def act(
    state: PatientState, acted: AlertActed, *, shard_clock: Instant | None, rulebook: Rulebook
) -> Advanced | DeadLetterCode:
    """Return the state and the outputs after an action, or why it is refused; a refused one changes nothing."""
    if acted.action_id in state.published.acted:
        return state, ()
    known = [instant for instant in (shard_clock, state.clock, acted.received_at) if instant is not None]
    as_of = Instant(max(known))
    state, fired = fire_due_before(acted.patient_id, state, as_of, rulebook)
    told = state.published
    found = alert_lines(told).get(acted.alert_id)
    if found is None:
        return DeadLetterCode.ACTION_UNKNOWN_ALERT
    kind, line = found
    acted = replace(acted, drugs=_ingredients(acted.drugs, rulebook))
    refused = why_refused(_standing(state, kind, line, rulebook), acted)
    if refused is not None:
        return refused
    occasion = _occasion(state, acted, as_of, rulebook)
    outputs: list[Output] = [telling.alert_action(occasion, acted, line, kind, _episode_id(told, line))]
    told = replace(told, acted=(*told.acted, acted.action_id)[-ACTIONS_REMEMBERED_MAX:])
    if acted.action in _NOTES:
        told = _take_note(told, acted, line, occasion, outputs)
    else:
        told = _take_verdict(told, acted, line, occasion, outputs)
    return replace(state, published=told, clock=as_of, due=next_due(told)), (*fired, *outputs)


def _occasion(state: PatientState, acted: AlertActed, as_of: Instant, rulebook: Rulebook) -> Occasion:
    return Occasion(
        patient_id=acted.patient_id,
        as_of=as_of,
        cause=Cause.ACTION,
        effective=acted.received_at,
        known_at=as_of,
        facts=state.facts,
        replaced=frozenset(),
        rulebook=rulebook,
        incomplete=state.published.incomplete is not None,
    )


def _ingredients(drugs: Iterable[str], rulebook: Rulebook) -> tuple[str, ...]:
    """Return the culprits that are named as the rulebook calls them, each once, in order of name."""
    return tuple(sorted({each for drug in drugs for each in ingredients_called(drug, rulebook)}))


def _standing(state: PatientState, kind: AlertKind, line: AlertLine, rulebook: Rulebook) -> Standing:
    told = state.published
    noted = next((noted for noted in told.acknowledgements if noted.alert_id == line.alert_id), None)
    episode = _episode_of(told, line)
    return Standing(
        kind=kind,
        status=line.status,
        tier=line.tier,
        revision=line.revision,
        drugs=recorded_drugs(state.facts, rulebook).union(_culprits(episode)),
        noted=noted is not None,
        override=None if noted is None else noted.override,
        judgement=None if episode is None else episode.last.judgement,
        named=frozenset() if episode is None else _named(told, episode),
    )


def _culprits(episode: PublishedEpisode | None) -> Iterable[str]:
    return () if episode is None else (culprit.drug for culprit in episode.last.culprits)


def _episode_of(told: Published, line: AlertLine) -> PublishedEpisode | None:
    return next((e for e in told.episodes if line.alert_id in _ids_of(e)), None)


def _ids_of(episode: PublishedEpisode) -> tuple[str, ...]:
    return tuple(line.alert_id for line in (episode.alert, episode.follow_up) if line is not None)


def _episode_id(told: Published, line: AlertLine) -> EpisodeId | None:
    episode = _episode_of(told, line)
    if episode is not None:
        return episode.episode_id
    restarts = (restart.of_episode for restart in told.restarts if restart.alert.alert_id == line.alert_id)
    return next(restarts, None)


def _named(told: Published, episode: PublishedEpisode) -> frozenset[str]:
    """Return the culprits that confirmations of an episode have named."""
    about = frozenset(episode.members)
    return frozenset(
        drug
        for verdict in told.verdicts
        if verdict.judgement is Judgement.CONFIRMED and not about.isdisjoint(verdict.evidence)
        for drug in verdict.drugs
    )


def _take_verdict(
    told: Published, acted: AlertActed, line: AlertLine, occasion: Occasion, outputs: list[Output]
) -> Published:
    """Judge the episode of an alert by all evidence that it ever had; a rulebook's seal does not keep it from that."""
    episode = _episode_of(told, line)
    assert episode is not None
    judgement = _JUDGEMENT[acted.action]
    named = _named(told, episode) if judgement is Judgement.CONFIRMED else frozenset[str]()
    verdict = ClinicianVerdict(
        judgement=judgement,
        evidence=tuple(dict.fromkeys((*episode.members, *episode.last.members))),
        tier=line.tier,
        drugs=tuple(sorted(named.union(acted.drugs))),
    )
    episodes = tuple(replace(e, sealed=False) if e is episode else e for e in told.episodes)
    told = replace(told, episodes=episodes, verdicts=with_verdict(told.verdicts, verdict))
    assessment = assess(occasion.facts, occasion.rulebook, told.verdicts)
    told, judged = diff(told, assessment, occasion)
    outputs.extend(judged)
    return told


def _take_note(
    told: Published, acted: AlertActed, line: AlertLine, occasion: Occasion, outputs: list[Output]
) -> Published:
    """Remember who saw the alert at which tier, and tell a revision of it that says so."""
    noted = Acknowledgement(
        alert_id=line.alert_id,
        by=acted.actor,
        at=occasion.as_of,
        tier=line.tier,
        override=None if acted.reason is None else OverrideReason(acted.reason),
    )
    others = (other for other in told.acknowledgements if other.alert_id != line.alert_id)
    told = replace(told, acknowledgements=(*others, noted))
    occasion = replace(occasion, acknowledgements=told.acknowledgements, thinned=told.thinned)
    return _tell_again(told, line, occasion, outputs)


def _tell_again(told: Published, line: AlertLine, occasion: Occasion, outputs: list[Output]) -> Published:
    """Tell a revision of a standing alert in which nothing else changed."""
    new = line.revised(AlertStatus.REVISED, line.tier)
    episodes, restarts, reviews = list(told.episodes), list(told.restarts), list(told.reviews)
    for index, episode in enumerate(episodes):
        if episode.alert == line:
            episodes[index] = replace(episode, alert=new)
            reason = reasons.episode_reason(episode.last)
            outputs.append(telling.episode_alert(occasion, episodes[index], new, reason))
        elif episode.follow_up == line:
            episodes[index] = replace(episode, follow_up=new)
            reason = follow_up_reason(occasion.rulebook)
            outputs.append(telling.follow_up_alert(occasion, episode, new, reason, None))
    for index, restart in enumerate(restarts):
        if restart.alert == line:
            restarts[index] = replace(restart, alert=new)
            reason = reasons.restart_reason(restart.last)
            outputs.append(telling.restart_alert(occasion, new, restart.last, restart.of_episode, reason))
    for index, review in enumerate(reviews):
        if review.alert == line:
            reviews[index] = replace(review, alert=new)
            outputs.append(
                telling.review_alert(occasion, new, review.last, reasons.review_reason(review.last))
            )
    incomplete = told.incomplete
    if incomplete == line:
        incomplete = new
        outputs.append(telling.system_alert(occasion, new, reasons.INCOMPLETE))
    return replace(
        told,
        episodes=tuple(episodes),
        restarts=tuple(restarts),
        reviews=tuple(reviews),
        incomplete=incomplete,
    )
