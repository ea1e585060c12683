"""Review alerts: what to tell of held values of a patient under a watched drug."""

from dataclasses import replace

from pv_stream.domain.assessment import ReviewAssessment, Tier
from pv_stream.domain.ids import AlertId, derive_id
from pv_stream.domain.outputs import AlertKind, AlertStatus, Output
from pv_stream.domain.published import LIVE, AlertLine, PublishedReview
from pv_stream.engine import telling
from pv_stream.engine.telling import Occasion
from pv_stream.rules import reasons


def tell_reviews(
    told: tuple[PublishedReview, ...],
    assessed: tuple[ReviewAssessment, ...],
    occasion: Occasion,
    outputs: list[Output],
) -> tuple[PublishedReview, ...]:
    """Tell of values that wait for a person, and close those that were settled."""
    reviews = list(told)
    index_of = {review.last.fact: index for index, review in enumerate(told)}
    for review in assessed:
        known = index_of.get(review.fact)
        if known is None:
            reviews.append(_tell_review(None, review, occasion, outputs))
        elif told[known].alert.status not in LIVE or told[known].last.code != review.code:
            reviews[known] = _tell_review(told[known], review, occasion, outputs)
    held = {review.fact for review in assessed}
    for index, old in enumerate(told):
        if old.last.fact not in held and old.alert.status in LIVE:
            reviews[index] = _end_review(old, occasion, outputs)
    return tuple(reviews)


def _end_review(old: PublishedReview, occasion: Occasion, outputs: list[Output]) -> PublishedReview:
    """Close the review of a value that was settled; withdraw it when no watched drug was given after all."""
    settled = old.last.fact in occasion.replaced
    status = AlertStatus.CLOSED if settled else AlertStatus.WITHDRAWN
    line = old.alert.revised(status, Tier.INFO)
    reason, closing = (reasons.REVIEWED, "reviewed") if settled else (reasons.UNDER_NO_DRUG, None)
    outputs.append(telling.review_alert(occasion, line, old.last, reason, closing))
    return replace(old, alert=line)


def _tell_review(
    old: PublishedReview | None,
    review: ReviewAssessment,
    occasion: Occasion,
    outputs: list[Output],
) -> PublishedReview:
    if old is None:
        alert_id = AlertId(derive_id("al", occasion.patient_id, AlertKind.DATA_REVIEW, review.fact))
        line = AlertLine(alert_id, 1, AlertStatus.RAISED, Tier.INFO)
    else:
        moved = old.alert.status is AlertStatus.TRANSFERRED
        line = old.alert.revised(AlertStatus.RAISED if moved else AlertStatus.REVISED, Tier.INFO)
    outputs.append(telling.review_alert(occasion, line, review, reasons.review_reason(review)))
    return PublishedReview(line, review)


def hand_over(old: PublishedReview, occasion: Occasion, outputs: list[Output]) -> PublishedReview:
    """Tell that a value waits under the patient record that this one was merged into."""
    if old.alert.status not in LIVE:
        return old
    line = old.alert.revised(AlertStatus.TRANSFERRED, old.alert.tier)
    outputs.append(telling.review_alert(occasion, line, old.last, reasons.HANDED_OVER))
    return replace(old, alert=line)


def take_over(
    told: tuple[PublishedReview, ...],
    inherited: tuple[PublishedReview, ...],
    occasion: Occasion,
    outputs: list[Output],
) -> tuple[PublishedReview, ...]:
    """Tell, under this patient record, of the values that wait for a person in a merged one."""
    reviews = list(told)
    for review in inherited:
        if review.alert.status not in LIVE:
            continue
        fact = review.last.fact
        index = next((i for i, known in enumerate(reviews) if known.last.fact == fact), len(reviews))
        if index == len(reviews):
            alert_id = AlertId(derive_id("al", occasion.patient_id, AlertKind.DATA_REVIEW, fact))
            reviews.append(replace(review, alert=AlertLine(alert_id, 0, AlertStatus.WITHDRAWN, Tier.INFO)))
        own = reviews[index]
        status = AlertStatus.RAISED if own.alert.revision == 0 else AlertStatus.REVISED
        line = own.alert.revised(status, Tier.INFO, (review.alert,))
        outputs.append(telling.review_alert(occasion, line, own.last, reasons.TAKEN_OVER))
        reviews[index] = replace(own, alert=line)
    return tuple(reviews)
