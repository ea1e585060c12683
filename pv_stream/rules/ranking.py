"""Ranking: the suspects of an episode in order, each with its rank and the reasons for it.

The rank follows latency first: a drug begun after the onset comes last; core and re-exposure stand before the
shoulders, those before what is not known exactly; within that, a drug that harms by some routes only ranks lower
while its route is unknown. Among equals the patient's own story decides: a positive rechallenge, then an earlier
reaction under the drug, then one under a drug that cross-reacts with it. Ties share a rank. Withdrawal is a reason
but moves no rank, since a stop that was not recorded is not "went on". Two drugs of one product have one story and
stay an ambiguous pair: both name the product.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from pv_stream.domain.assessment import Culprit, ExposureState, Latency
from pv_stream.domain.criteria import Causality, SuspectReason, Truth
from pv_stream.rules.causality import History, SuspectCase
from pv_stream.rules.courses import Course, exposure_state
from pv_stream.rules.suspects import Suspect

_REASON_OF: Final = {
    Latency.CORE: SuspectReason.LATENCY_CORE,
    Latency.SHOULDER: SuspectReason.LATENCY_SHOULDER,
    Latency.REEXPOSURE: SuspectReason.REEXPOSURE,
    Latency.UNKNOWN: SuspectReason.LATENCY_UNKNOWN,
}
_Order = tuple[tuple[bool, int, bool], bool, bool, bool]


def rank(
    history: History, cases: Mapping[str, SuspectCase], causality: Sequence[Causality]
) -> tuple[Culprit, ...]:
    """Return the suspects of the last episode as culprits, most suspect first, by name within a rank.

    `cases` and `causality` hold every suspect drug.
    """
    suspects = history.current.suspects
    orders = {suspect.course.drug: _order(suspect, cases[suspect.course.drug]) for suspect in suspects}
    scales = {one.drug: one for one in causality}
    ranked = sorted(suspects, key=lambda suspect: (orders[suspect.course.drug], suspect.course.drug))
    return tuple(
        _culprit(
            suspect,
            1 + sum(order < orders[suspect.course.drug] for order in orders.values()),
            cases[suspect.course.drug],
            scales[suspect.course.drug],
            history,
        )
        for suspect in ranked
    )


def _order(suspect: Suspect, case: SuspectCase) -> _Order:
    return (
        suspect.order,
        case.rechallenge.truth is not Truth.MET,
        case.earlier_reaction.truth is not Truth.MET,
        case.cross_reaction.truth is not Truth.MET,
    )


def _culprit(
    suspect: Suspect, position: int, case: SuspectCase, causality: Causality, history: History
) -> Culprit:
    course, last, rulebook = suspect.course, history.current.span.last, history.rulebook
    # Given again since, as in a desensitisation, it is not stopped.
    begun = [c for c in history.courses[course.drug] if c.first.earliest <= last.at.earliest]
    latest = max((course, *begun), key=lambda c: c.index)
    exposure = exposure_state(latest, last.at.earliest, last.utc_offset_minutes)
    product = next(iter(history.products(course)), ())
    return Culprit(
        drug=course.drug,
        rxnorm=case.drug.rxnorm,
        rank=position,
        latency_days=suspect.position.days,
        latency=suspect.position.latency,
        exposure=exposure,
        threshold_per_ul=rulebook.threshold_per_ul(case.drug),
        evidence=course.records[:1],
        reasons=_reasons(suspect, case, exposure, history),
        product=product,
        naranjo=causality.naranjo.total,
        who_umc=causality.who_umc,
    )


def _reasons(
    suspect: Suspect, case: SuspectCase, exposure: ExposureState, history: History
) -> tuple[SuspectReason, ...]:
    """Return the reasons that hold, in the order in which they are defined."""
    holds = {
        _REASON_OF[suspect.position.latency]: True,
        SuspectReason.BEGAN_AFTER_ONSET: suspect.began_after_onset,
        SuspectReason.ROUTE_UNSURE: suspect.course.route_is_unsure,
        SuspectReason.POSITIVE_RECHALLENGE: case.rechallenge.truth is Truth.MET,
        SuspectReason.NEGATIVE_RECHALLENGE: case.rechallenge.truth is Truth.UNMET,
        SuspectReason.EARLIER_REACTION: case.earlier_reaction.truth is Truth.MET,
        SuspectReason.CROSS_REACTIVE_WITH_EARLIER_CULPRIT: case.cross_reaction.truth is Truth.MET,
        SuspectReason.POSITIVE_DECHALLENGE: case.dechallenge.truth is Truth.MET,
        SuspectReason.NEGATIVE_DECHALLENGE: case.dechallenge.truth is Truth.UNMET,
        SuspectReason.EXPOSURE_ONGOING: exposure is ExposureState.ONGOING,
        SuspectReason.COMBINATION_PRODUCT: any(True for _ in history.products(suspect.course)),
        SuspectReason.AMBIGUOUS_PAIR: bool(history.partners(suspect)),
        SuspectReason.PRODRUG: _is_prodrug(suspect.course, case, history),
    }
    return tuple(reason for reason in SuspectReason if holds.get(reason))


def _is_prodrug(course: Course, case: SuspectCase, history: History) -> bool:
    """Tell whether a record of the course names a prodrug, by its ingredient or by the code as sent."""
    names = {name for prodrug in case.drug.prodrugs for name in (prodrug.name, *prodrug.names)}
    codes = {prodrug.rxnorm for prodrug in case.drug.prodrugs if prodrug.rxnorm is not None}
    for key in course.records:
        for dated in history.exposures[key]:
            sent = dated.content.as_sent
            if names.intersection(dated.content.ingredients):
                return True
            if sent is not None and (sent.code in codes or sent.code.replace("_", " ") in names):
                return True
    return False
