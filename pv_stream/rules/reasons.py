"""Reasons: one sentence for a person, from what was assessed. No names, no free text, no ids."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from pv_stream.domain.assessment import (
    Closing,
    Culprit,
    EpisodeAssessment,
    EpisodeFlag,
    Flare,
    Latency,
    NamedBy,
    RecurrenceClass,
    Relation,
    RestartAssessment,
    ReviewAssessment,
    Tier,
    Withdrawn,
)
from pv_stream.domain.codes import DRUG_HOLDS, DeadLetterCode, ExposureKind, HoldCode, Manner
from pv_stream.domain.outputs import Cause
from pv_stream.rules.flares import EOSINOPHILS

_RECURRENCE: Final = {
    RecurrenceClass.RECHALLENGE: "recurrence by rechallenge",
    RecurrenceClass.CROSS_REACTIVE: "recurrence under a cross-reactive drug",
    RecurrenceClass.NEW_CULPRIT: "recurrence under a new suspect drug",
    RecurrenceClass.FLARE_ON_WITHDRAWAL: "recurrence on withdrawal of a treatment",
    RecurrenceClass.VIRAL_REACTIVATION: "recurrence with a viral reactivation",
    RecurrenceClass.RELAPSE_WITHOUT_DRUG: "relapse that no watched drug explains",
    RecurrenceClass.REPEAT: "a further reaction after one that is not established as DRESS",
}
_RELATION: Final = {
    Relation.SAME: "a suspect drug of an earlier reaction of this patient",
    Relation.CANDIDATE: "a drug under which this patient had a skin reaction before",
    Relation.AMBIGUOUS: "one of two drugs of the product under which this patient had a reaction before",
    Relation.CROSS_REACTIVE: "a drug that cross-reacts with the suspect drug of an earlier reaction of this patient",
}
_BEGUN: Final = {
    ExposureKind.ORDER: "was ordered",
    ExposureKind.DISPENSE: "was dispensed",
    ExposureKind.STATEMENT: "is said to be taken",
    ExposureKind.ADMINISTRATION: "was given",
}
_MANNER: Final = {
    Manner.STOP: "was stopped",
    Manner.CUT: "was reduced",
    Manner.WORE_OFF: "wore off",
}
_ESTABLISHED: Final = "a likely culprit of an earlier reaction of this patient that is established as DRESS"
_NAMERS: Final = {
    NamedBy.FACTS: "the records",
    NamedBy.CLINICIAN: "a clinician",
    NamedBy.REPORTER: "a report of DRESS",
    NamedBy.OTHER_REPORT: "a report of another reaction",
}
_FLAGS: Final = {
    EpisodeFlag.REPORTED_SERIOUS_DRESS: "reported as serious DRESS",
    EpisodeFlag.REPORTED_DRESS: "reported as DRESS",
    EpisodeFlag.SECOND_HIT: "worse after a cross-reactive drug was begun",
}
#: Why no watched drug is suspect: no medication data is not "no drug".
_NO_SUSPECT: Final = {
    EpisodeFlag.OUTSIDE_WINDOW: "a watched drug is on record, but not in its window of latency",
    EpisodeFlag.UNLISTED_DRUG: "a drug that is not on the watch list is on record in the days before",
    EpisodeFlag.UNRECOGNISED_DRUG: "a drug that was not recognised is on record in the days before",
    EpisodeFlag.NO_EXPOSURE_RECORD: "no drug is on record in the days before, which is not the same as none given",
}
_CLOSING: Final = {
    Closing.RESOLVED: "The reaction was documented as resolved and stayed so.",
    Closing.LOST_TO_OBSERVATION: "No measurement or finding any more: lost to observation, which is not resolved.",
    Closing.REFUTED: "A clinician decided that this is not DRESS.",
}
_HELD: Final = {
    HoldCode.MISSING_UNIT: "it was sent without a unit",
    HoldCode.UNKNOWN_UNIT: "its unit is not known",
    HoldCode.UNIT_DOES_NOT_FIT: "its unit does not fit the test",
    HoldCode.OUT_OF_RANGE: "it is outside the plausible range",
    HoldCode.FRACTION_OF_A_CELL: "it is a fraction of a cell, so its unit may be wrong by a thousand",
    HoldCode.EOSINOPHILS_ABOVE_LEUKOCYTES: "it shows more eosinophils than leukocytes",
    HoldCode.MISSING_TIME: "it was sent without a specimen time",
    HoldCode.UNREADABLE_TIME: "its time cannot be read",
    HoldCode.TIME_IN_FUTURE: "its time lies in the future",
    HoldCode.UNREADABLE_VALUE: "its value cannot be read",
    HoldCode.UNKNOWN_STATUS: "its result status is not known",
    HoldCode.UNKNOWN_SPECIMEN: "its specimen is not blood",
    HoldCode.CONFLICTING_CODES: "its codes name different tests",
    HoldCode.VALUE_SAID_ABSENT: "it was sent with a reason why there is none",
    HoldCode.CONFLICTING_DRUGS: "the code and the name of the drug disagree",
    HoldCode.DRUG_NOT_READ_WHOLE: "the drug is named among words that are not known",
}


def episode_reason(episode: EpisodeAssessment) -> str:
    """Say in one sentence what was seen, under which drug, and how the score stands."""
    seen = [*_count(episode), *episode.signs]
    parts = [_sentence_case(_listed(seen) if seen else "Reaction")]
    if episode.culprits:
        parts.append(_under(episode.culprits))
    parts += [text for flag, text in _NO_SUSPECT.items() if flag in episode.flags]
    parts += [text for flag, text in _FLAGS.items() if flag in episode.flags]
    if episode.recurrence is not None:
        parts.append(_RECURRENCE[episode.recurrence.primary])
        if episode.recurrence.withdrawn is not None:
            parts.append(_withdrawn(episode.recurrence.withdrawn))
    if episode.flare is not None:
        parts.append(_back(episode.flare))
    if episode.is_controlled:
        parts.append("controlled under treatment, not resolved")
    if episode.masking:
        parts.append(f"a low count may be masked by {_listed(episode.masking)}")
    total = episode.score.total
    parts.append(f"RegiSCAR {total.current} (from {total.worst} to {total.best})")
    return f"{'; '.join(parts)}."


def _withdrawn(withdrawn: Withdrawn) -> str:
    return f"{withdrawn.drug} {_MANNER[withdrawn.manner]} before"


def _back(flare: Flare) -> str:
    """Say what came back, and that an antibody had hidden it, or does no more."""
    are, when = "is" if len(flare.back) == 1 else "are", "under" if flare.is_under else "after"
    if flare.back == (EOSINOPHILS,):
        are = "are"
    return f"worse again: {_listed(flare.back)} {are} back {when} {_listed(flare.drugs)}, no longer under control"


def _count(episode: EpisodeAssessment) -> list[str]:
    if episode.eosinophils_per_ul is None:
        return []
    more = "at least " if episode.eosinophils_are_more else ""
    on = "" if episode.eosinophils_on is None else f" on {episode.eosinophils_on}"
    count = f"eosinophils {more}{_number(episode.eosinophils_per_ul)}/µL{on}"
    if episode.threshold_per_ul is None:
        return [count]
    return [f"{count} (threshold {_number(Decimal(episode.threshold_per_ul))})"]


def _number(value: Decimal) -> str:
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def _under(culprits: Sequence[Culprit]) -> str:
    first = [culprit for culprit in culprits if culprit.rank == 1]
    others = [culprit.drug for culprit in culprits if culprit.rank > 1]
    suspects = _listed([_with_day(culprit) for culprit in first])
    return f"suspect {suspects}" + (f" (less likely: {_listed(others)})" if others else "")


def _with_day(culprit: Culprit) -> str:
    if NamedBy.FACTS not in culprit.named_by:
        return f"{culprit.drug} (named by {_listed([_NAMERS[namer] for namer in culprit.named_by])})"
    if culprit.latency_days is None:
        return f"{culprit.drug} (day not known)"
    again = " of a new course" if culprit.latency is Latency.REEXPOSURE else ""
    return f"{culprit.drug} (day {culprit.latency_days}{again})"


def restart_reason(restart: RestartAssessment) -> str:
    """Say which drug was started, as far as is on record, and what it has to do with the earlier reaction."""
    is_established = restart.relation is Relation.SAME and restart.tier is Tier.CRITICAL
    relation = _ESTABLISHED if is_established else _RELATION[restart.relation]
    return f"{_sentence_case(restart.drug)} {_BEGUN[restart.begun_as]}: {relation}."


def review_reason(review: ReviewAssessment) -> str:
    """Say why a value waits for a person."""
    if review.code in DRUG_HOLDS:
        return (
            f"A drug record waits for review: {_HELD[review.code]}. "
            f"The patient is, was or may be under {' or '.join(review.drugs)}."
        )
    return f"A value waits for review: {_HELD[review.code]}. The patient is or was under {_listed(review.drugs)}."


def closing_reason(closing: Closing) -> str:
    """Say why an alert is closed."""
    return _CLOSING[closing]


FOLLOWED_UP: Final = "It is documented now whether the reaction went on."
FOLLOW_UP_ENDED: Final = "The episode is closed."
NO_FOLLOW_UP: Final = "What is known now asks for no follow-up."
NO_RESTART: Final = "What is known now shows no such restart."
UNDER_NO_DRUG: Final = "What is known now shows no watched drug at the time of this value."
WITHDRAWN: Final = (
    "What this alert rested on was corrected or taken back, or late facts show that it was not so."
)
SUPERSEDED: Final = "A late fact joined this episode with another, which goes on."
NOT_IN_THIS_RECORD: Final = (
    "Patient records were merged or separated: what this record has now shows that it was not so."
)
NOT_BY_THIS_RULEBOOK: Final = "Under the rulebook that is now in force this is no alert."
#: Why an alert is withdrawn, by causes that are no fact of the patient.
WITHDRAWN_BY: Final = {Cause.RULEBOOK: NOT_BY_THIS_RULEBOOK, Cause.MERGE: NOT_IN_THIS_RECORD}
JOINED_BY_THIS_RULEBOOK: Final = (
    "Under the rulebook that is now in force this episode and another are one, which goes on."
)
HANDED_OVER: Final = "This patient record was merged into another, under which the alert goes on."
TAKEN_OVER: Final = (
    "This alert goes on from another record of the same patient, which was merged into this one."
)
INCOMPLETE: Final = (
    "What is told of this patient may be incomplete: a record could not be used. The operator can tell which."
)
#: Why what is told of a patient may be incomplete, by why a record was not used.
NOT_USED: Final = {
    DeadLetterCode.ENGINE_FAILED: (
        "A message about this patient could not be assessed because of a fault in the software: "
        "what is told of this patient may be incomplete. The message is kept; tell the operator."
    ),
    DeadLetterCode.PATIENT_STATE_FULL: (
        "There are more data on this patient than the system can hold: newer data are not assessed. "
        "Watch this patient by other means; tell the operator."
    ),
}
REVIEWED: Final = "The value was settled: it was confirmed, corrected or discarded."
