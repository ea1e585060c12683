"""The words of the outputs: every closed vocabulary that a topic or a file carries, and what each word means.

The rules document and `pv-stream rules explain` print these tables. A word without a meaning fails a test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final, TypeVar

from pv_stream.domain.assessment import (
    Category,
    Closing,
    EpisodeFlag,
    EstablishedBy,
    ExposureState,
    Latency,
    NamedBy,
    RecurrenceClass,
    Relation,
    Tier,
)
from pv_stream.domain.codes import (
    ActionKind,
    DeadLetterCode,
    ExposureKind,
    HoldCode,
    Judgement,
    Manner,
    OverrideReason,
    ReviewReason,
    TreatmentKind,
)
from pv_stream.domain.criteria import Answer, JscarCategory, NaranjoCategory, Truth
from pv_stream.domain.outputs import AlertKind, AlertStatus, Cause, Timeliness
from pv_stream.domain.published import EpisodeState
from pv_stream.engine.follow_up_alerts import DOCUMENTED
from pv_stream.engine.telling import ASSESSMENT_INCOMPLETE, REARMED
from pv_stream.rules.timeline import SignKind

Word = TypeVar("Word", bound=Enum)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Hold the words of one field: `kind` begins the names of its rules, as in `flag:thinned`."""

    kind: str
    title: str
    says: str
    meanings: Mapping[str, str]


def _words(meanings: Mapping[Word, str]) -> dict[str, str]:
    """Return the meanings by word, in the order of the enumeration."""
    (words,) = {type(word) for word in meanings}
    return {written(word): meanings[word] for word in words if word in meanings}


def written(word: Enum) -> str:
    """Return a word as outputs carry it."""
    return str(word.value) if isinstance(word, StrEnum) else word.name.lower()


_TIER: Final = {
    Tier.INFO: "worth a look when there is time",
    Tier.WARNING: "a reaction is suspected, or a drug that may bring one back was begun: to be looked at today",
    Tier.CRITICAL: "a probable reaction, a recurrence, or its culprit given again: to be looked at now",
}
_KIND: Final = {
    AlertKind.SUSPECTED_DRESS: "an episode that stands on a row of the table of tiers",
    AlertKind.CULPRIT_RESTART: "a suspect of an earlier episode, or a cross-reactive drug, begun in a new course, "
    "before any reaction in it",
    AlertKind.DATA_REVIEW: "a value of a patient under a watched drug is held until a person settles it",
    AlertKind.FOLLOW_UP_DUE: "the day `resolution_days` after the onset has passed and nothing documents whether the "
    "reaction goes on",
    AlertKind.SYSTEM: "what is told of this patient may be incomplete",
}
_STATUS: Final = {
    AlertStatus.RAISED: "told for the first time, or again after it was withdrawn",
    AlertStatus.REVISED: "the same alert, with something new in it",
    AlertStatus.WITHDRAWN: "what it rested on was corrected, retracted or shown to be otherwise: it should not have "
    "been told",
    AlertStatus.CLOSED: "it was right, and is over; `closing` says why",
    AlertStatus.SUPERSEDED: "two episodes turned out to be one; the alert names the one that goes on",
    AlertStatus.TRANSFERRED: "its patient record was merged into another, under which it goes on",
}
_STATE: Final = {
    EpisodeState.CANDIDATE: "evidence that alerts nobody, such as a skin reaction alone under a watched drug: "
    "remembered, so that the drug begun again warns",
    EpisodeState.OPEN: "an alert of it stands",
    EpisodeState.CLOSED: "it is over as far as records tell; `closing` says why",
    EpisodeState.WITHDRAWN: "its evidence was corrected or retracted",
    EpisodeState.SUPERSEDED: "it is part of another episode, which goes on",
    EpisodeState.TRANSFERRED: "its patient record was merged into another",
}
_COURSE: Final = {
    "controlled_under_treatment": "no sign is present under an anti-IL-5 antibody while the culprit goes on, or may: "
    "the episode stays open, for what is held down is not resolved, and any worsening is the same episode and the "
    "same alert",
}
_FIELD: Final = {
    "masking": "the treatments that may hide eosinophils at the last evidence: an anti-IL-5 antibody within "
    "`masking_anti_il5_days` of a dose, cyclosporine or a systemic steroid of "
    "`masking_steroid_mg_per_kg_day` prednisone-equivalent, or of unknown dose, during and for "
    "`masking_after_treatment_days`. A low count is then unknown; a high one counts",
    "rank": "how suspect a drug is among the suspects of its episode, 1 first; equals share a rank. See the reasons",
    "organ_profile": "which numbers of the rulebook say that a laboratory value shows an organ involved",
    "clinical_resolution_at": "when the temperature had stayed below `clinical_resolution_celsius` for "
    "`clinical_resolution_hours`, in `clinical_resolution_readings_min` readings or more, with the rash improved; "
    "days to it count from the start of a treatment",
}
_CATEGORY: Final = {
    Category.NO_CASE: "a RegiSCAR total below 2",
    Category.POSSIBLE: "a RegiSCAR total of 2 or 3",
    Category.PROBABLE: "a RegiSCAR total of 4 or 5",
    Category.DEFINITE: "a RegiSCAR total of 6 or more",
}
_SIGN: Final = {
    SignKind.FEVER: "a temperature of `fever_sign_celsius` or more",
    SignKind.RASH: "any documented eruption, or facial oedema",
    SignKind.NODES: "enlarged lymph nodes, of whatever size and number",
    SignKind.ORGAN: "an organ documented as involved, or shown by ALT or creatinine",
}
_LATENCY: Final = {
    Latency.CORE: "the onset lies in the core of the drug's window",
    Latency.REEXPOSURE: "the drug was given in an earlier course: the core is then day 0 to the last day of the window",
    Latency.SHOULDER: "the onset lies inside the window, before or after its core: suspect, and ranked lower",
    Latency.UNKNOWN: "the first dose is not known to the day, or only orders are known: it counts, ranked lower",
}
_EXPOSURE: Final = {
    ExposureState.ONGOING: "the drug was given at the last evidence, as far as records tell",
    ExposureState.STOPPED: "a stop is recorded",
    ExposureState.UNKNOWN: "no stop is recorded, and no dose for longer than a course goes on without one",
}
_NAMED_BY: Final = {
    NamedBy.FACTS: "evidence lies in the drug's window, or it cross-reacts with a culprit and was begun while the "
    "episode was open",
    NamedBy.CLINICIAN: "a confirmation names it",
    NamedBy.REPORTER: "a report of DRESS names it as suspect or interacting",
    NamedBy.OTHER_REPORT: "a report of another reaction, on a day of the episode, names it",
}
_RECURRENCE: Final = {
    RecurrenceClass.RECHALLENGE: "a drug suspected in any earlier episode is suspected again, in a later course",
    RecurrenceClass.CROSS_REACTIVE: "a drug of the same cross-reactive class as an earlier suspect",
    RecurrenceClass.NEW_CULPRIT: "a drug that no earlier established episode was due to",
    RecurrenceClass.FLARE_ON_WITHDRAWAL: "a treatment was stopped, or its dose cut by `withdrawal_cut_percent` or "
    "more, at most `withdrawal_days` before",
    RecurrenceClass.VIRAL_REACTIVATION: "HHV-6, EBV or CMV were documented as reactivated",
    RecurrenceClass.RELAPSE_WITHOUT_DRUG: "nothing of the above explains it",
    RecurrenceClass.REPEAT: "no earlier episode is established: no recurrence yet, and at its own tier",
}
_RECURRENCE_STATUS: Final = {
    "observed": "told for the first time, or again after it was withdrawn",
    "reclassified": "another class, or another earlier episode, explains it now",
    "withdrawn": "what made it a recurrence was corrected, retracted or refuted",
}
_RELATION: Final = {
    Relation.SAME: "a suspect of an earlier published episode; critical after an established episode for a drug of "
    "the first rank, else a warning",
    Relation.CANDIDATE: "a drug under which the patient had a skin reaction that alerted nobody: a warning",
    Relation.AMBIGUOUS: "one drug of a product that was suspect as a whole",
    Relation.CROSS_REACTIVE: "a drug of the same class as a suspect: a warning after an established episode, an info "
    "after a published one",
}
_BEGUN_AS: Final = {
    ExposureKind.ORDER: "an order of the drug is on record, and no dose",
    ExposureKind.DISPENSE: "the drug was handed out, and no dose is on record",
    ExposureKind.STATEMENT: "the patient is said to take it",
    ExposureKind.ADMINISTRATION: "a dose was given",
}
_MANNER: Final = {
    Manner.STOP: "the treatment was stopped",
    Manner.CUT: "its dose was cut by `withdrawal_cut_percent` or more",
    Manner.WORE_OFF: "an anti-IL-5 antibody, of which no further dose came, no longer acts",
}
_ESTABLISHED: Final = {
    EstablishedBy.SCORE: "it reached warning with a RegiSCAR score of `warning_score_min` or more",
    EstablishedBy.RECHALLENGE: "a suspect drug of it caused a published episode again in a later course",
    EstablishedBy.REPORT: "it was reported as DRESS",
    EstablishedBy.CONFIRMED: "a clinician confirmed it",
}
_CLOSING: Final = {
    Closing.RESOLVED: "the signs were documented as gone, and `disease_free_days` have passed since",
    Closing.LOST_TO_OBSERVATION: "nothing was recorded for `lost_to_observation_days`; that is not resolved",
    Closing.REFUTED: "a clinician found that it was no DRESS",
}
_VERDICT: Final = {
    Judgement.CONFIRMED: "a clinician decided that it is DRESS: established, at least a warning, and every drug that "
    "the confirmation names is critical when begun again",
    Judgement.REFUTED: "a clinician decided that it is not DRESS: closed, and it establishes nothing; only evidence of "
    "a higher tier opens it again",
}
_FLAG: Final = {
    EpisodeFlag.CONFLICTING_EVIDENCE: "two statements of equal rank differ, or a measured count and a derived one "
    "differ beyond `conflict_factor`: the alert uses the worse",
    EpisodeFlag.SPECIMEN_ASSUMED: "results of one report without a specimen were taken for one specimen",
    EpisodeFlag.WEAK_KEY: "a result without an order number: a correction of it may not be recognised",
    EpisodeFlag.LEUKOCYTES_FROM_ANOTHER_SPECIMEN: "a percentage was read with the leukocytes of another specimen",
    EpisodeFlag.EXPOSURE_FROM_ORDERS: "no dose is recorded of the suspect drug, only orders",
    EpisodeFlag.UNLISTED_DRUG: "a drug that is not watched is on record in the days before",
    EpisodeFlag.UNRECOGNISED_DRUG: "a drug that was not recognised is on record in the days before",
    EpisodeFlag.OUTSIDE_WINDOW: "a watched drug was given, but not in its window",
    EpisodeFlag.NO_EXPOSURE_RECORD: "no medication is recorded, which is not the same as no drug",
    EpisodeFlag.PREEXISTING_EOSINOPHILIA: "the count was at the threshold before the drug was begun",
    EpisodeFlag.RISING_ON_BASELINE: "the count has multiplied over the one before the drug",
    EpisodeFlag.SECOND_HIT: "it became worse after a cross-reactive drug was begun during the episode",
    EpisodeFlag.REPORTED_DRESS: "it was reported as DRESS",
    EpisodeFlag.REPORTED_SERIOUS_DRESS: "it was reported as serious DRESS",
    EpisodeFlag.THINNED: "not every temperature below a fever, or not every body weight, of its days was kept: "
    "more came than `values_per_code_day_max` a day, or than `values_per_code_max` in all",
}
_MORE_FLAGS: Final = {
    ASSESSMENT_INCOMPLETE: "a record of this patient could not be used: what is told may be incomplete",
    REARMED: "the tier rose above the one at which somebody took note of the alert: it asks again",
}
_TREATMENT_KIND: Final = {
    TreatmentKind.STEROID: "a systemic steroid: masks by its dose in prednisone-equivalents",
    TreatmentKind.CYCLOSPORINE: "systemic cyclosporine: masks while it is given and for `masking_after_treatment_days`",
    TreatmentKind.ANTI_IL5: "an antibody against interleukin 5 or its receptor: masks for `masking_anti_il5_days`, or "
    "the treatment's own days, and holds a reaction down whose drug goes on",
}
_CAUSE: Final = {
    Cause.EVENT: "something new was recorded",
    Cause.CORRECTION: "a version of a fact was replaced by a later one",
    Cause.RETRACTION: "a fact was taken back",
    Cause.MERGE: "patient records were merged or separated",
    Cause.CLOCK: "time alone passed",
    Cause.RULEBOOK: "another rulebook came into force, and nothing else changed",
    Cause.ACTION: "a person acted on an alert or settled a held value",
}
_TIMELINESS: Final = {
    Timeliness.LIVE: "told within `live_hours` of the event",
    Timeliness.LATE: "told within `late_days` of the event",
    Timeliness.RETROSPECTIVE: "told later than that, as when old records are read in",
}
_TRUTH: Final = {
    Truth.MET: "documented as met",
    Truth.UNMET: "documented as unmet",
    Truth.UNKNOWN: "documented as neither: unknown is not no",
}
_JSCAR_CATEGORY: Final = {
    JscarCategory.TYPICAL: "all seven criteria of J-SCAR are met",
    JscarCategory.ATYPICAL: "the first five criteria of J-SCAR are met, and another one is documented as unmet",
}
_ANSWER: Final = {
    Answer.YES: "what the question asks is documented",
    Answer.NO: "its absence is documented",
    Answer.UNKNOWN: "neither: it gives no point",
}
_NARANJO_CATEGORY: Final = {
    NaranjoCategory.DEFINITE: "a Naranjo total of 9 or more",
    NaranjoCategory.PROBABLE: "a Naranjo total of 5 to 8",
    NaranjoCategory.POSSIBLE: "a Naranjo total of 1 to 4",
    NaranjoCategory.DOUBTFUL: "a Naranjo total of 0 or less",
}
_ACTION: Final = {
    ActionKind.ACKNOWLEDGE: "somebody has seen the alert: it stays quiet until its tier rises",
    ActionKind.OVERRIDE: "somebody sets the alert aside, for a reason of the pick list",
    ActionKind.REFUTE: "a clinician decides that it is not DRESS",
    ActionKind.CONFIRM: "a clinician decides that it is DRESS",
}
_OVERRIDE: Final = {
    OverrideReason.WILL_MONITOR: "the drug goes on under watch",
    OverrideReason.TOLERATED_BEFORE: "the patient has had the drug since without a reaction",
    OverrideReason.OTHER_CAUSE_FOUND: "something else explains the findings",
    OverrideReason.BENEFIT_OUTWEIGHS_RISK: "the drug is needed in spite of the risk",
    OverrideReason.NOT_THIS_PATIENT: "the data are another patient's",
}
_HOLD: Final = {
    HoldCode.MISSING_UNIT: "no unit was sent",
    HoldCode.UNKNOWN_UNIT: "the unit is in no table",
    HoldCode.UNIT_DOES_NOT_FIT: "the unit does not fit the test",
    HoldCode.OUT_OF_RANGE: "outside the plausible range below",
    HoldCode.FRACTION_OF_A_CELL: "a small count with a fraction: probably a thousandfold mistake",
    HoldCode.EOSINOPHILS_ABOVE_LEUKOCYTES: "more eosinophils than leukocytes in one specimen",
    HoldCode.MISSING_TIME: "no specimen time was sent",
    HoldCode.UNREADABLE_TIME: "the time cannot be read",
    HoldCode.TIME_IN_FUTURE: "dated more than `future_hours` after it was received",
    HoldCode.UNREADABLE_VALUE: "the value cannot be read",
    HoldCode.UNKNOWN_STATUS: "the status of the result is not known",
    HoldCode.UNKNOWN_SPECIMEN: "the specimen is not blood",
    HoldCode.CONFLICTING_CODES: "the codes of one result name different tests",
    HoldCode.VALUE_SAID_ABSENT: "a value, and beside it that there is none",
    HoldCode.CONFLICTING_DRUGS: "the code and the name of one drug say different drugs",
    HoldCode.DRUG_NOT_READ_WHOLE: "a listed drug stands among words that are not known",
}
_SETTLED: Final = {
    ReviewReason.CHECKED_IN_SOURCE: "looked up in the system that it came from",
    ReviewReason.CONFIRMED_BY_SENDER: "the laboratory or ward confirmed it",
    ReviewReason.CONFIRMED_BY_REPEAT: "a repeated measurement confirmed it",
    ReviewReason.ENTERED_IN_ERROR: "it was never meant to be sent",
    ReviewReason.SPECIMEN_UNUSABLE: "the specimen cannot be relied on",
    ReviewReason.NOT_THIS_PATIENT: "it is another patient's",
    ReviewReason.CANNOT_BE_VERIFIED: "nobody can tell: discarded",
}
_DEAD_LETTER: Final = {
    DeadLetterCode.MALFORMED_JSON: "not JSON, or a member that is named twice",
    DeadLetterCode.INVALID_EVENT: "JSON that is no event of the schema",
    DeadLetterCode.UNSUPPORTED_TYPE: "an event of a type that this version does not know",
    DeadLetterCode.UNSUPPORTED_VERSION: "an event of a schema version that this version does not know",
    DeadLetterCode.TOO_LARGE: "larger than a record may be",
    DeadLetterCode.EMPTY: "a record without a value",
    DeadLetterCode.MISROUTED: "a record in another shard than its patient's",
    DeadLetterCode.PATIENT_STATE_FULL: "it would not fit into what is kept of one patient",
    DeadLetterCode.ENGINE_FAILED: "a fault in the software, on this record",
    DeadLetterCode.ACTION_UNKNOWN_ALERT: "this patient has no alert of that id",
    DeadLetterCode.ACTION_ALERT_NOT_LIVE: "the alert does not stand",
    DeadLetterCode.ACTION_DOES_NOT_FIT: "the action does not fit an alert of this kind, or what it names",
    DeadLetterCode.ACTION_UNKNOWN_DRUG: "neither the alert suspects nor any record of the patient names the drug that "
    "a confirmation names",
    DeadLetterCode.ACTION_UNKNOWN_REASON: "an override without a reason of the pick list, or another action "
    "with one",
    DeadLetterCode.ACTION_OUTDATED: "its actor saw a lower tier than stands, or a revision that was never told",
    DeadLetterCode.ACTION_REPEATED: "it adds nothing to what was done before",
    DeadLetterCode.MERGE_CYCLE: "a merge that would lead a record back to itself",
    DeadLetterCode.MERGE_CONFLICT: "a record that is merged already is merged into yet another",
    DeadLetterCode.NOT_MERGED: "a separation of records that are not merged",
    DeadLetterCode.TRANSFER_INCOMPLETE: "a part before this one of what a merged record hands over was not taken",
}


VOCABULARIES: Final = (
    Vocabulary("tier", "Tiers", "How urgent an alert is.", _words(_TIER)),
    Vocabulary("kind", "Kinds of alert", "What an alert is about.", _words(_KIND)),
    Vocabulary("status", "Status of an alert", "Where an alert is in its life.", _words(_STATUS)),
    Vocabulary("state", "State of an episode", "Where an episode is in its life.", _words(_STATE)),
    Vocabulary("course", "Course", "Set while a treatment holds a reaction down.", _COURSE),
    Vocabulary("field", "Fields", "What some fields of an output say.", _FIELD),
    Vocabulary("category", "Categories of RegiSCAR", "What a total is called.", _words(_CATEGORY)),
    Vocabulary("sign", "Signs", "What makes a raised count a warning.", _words(_SIGN)),
    Vocabulary("latency", "Latency", "Where in its window a suspect stood at the onset.", _words(_LATENCY)),
    Vocabulary("exposure", "Exposure", "Whether a suspect is still being given.", _words(_EXPOSURE)),
    Vocabulary("named_by", "Who names a culprit", "Who says that a drug is suspect.", _words(_NAMED_BY)),
    Vocabulary(
        "established",
        "Established",
        "An episode counts as established DRESS, and is remembered for life, when one of these holds.",
        _words(_ESTABLISHED),
    ),
    Vocabulary(
        "class",
        "Recurrence",
        "A new episode after an established one is a recurrence, and critical. The first class that holds, from the "
        "top, is the primary one; others that hold contribute.",
        _words(_RECURRENCE),
    ),
    Vocabulary(
        "recurrence",
        "Status of a recurrence",
        "A recurrence is told anew when its basis changes.",
        _RECURRENCE_STATUS,
    ),
    Vocabulary(
        "relation",
        "Restart of a culprit",
        "A suspect of an earlier episode that is ordered or given in a new course warns before any reaction, once for "
        "each course.",
        _words(_RELATION),
    ),
    Vocabulary("begun_as", "How a restart is on record", "A dose goes before an order.", _words(_BEGUN_AS)),
    Vocabulary(
        "manner",
        "Withdrawal of a treatment",
        "How the treatment of a flare on withdrawal ended: the sentence of the alert names it.",
        _words(_MANNER),
    ),
    Vocabulary(
        "closing",
        "Closing",
        "Why an alert is closed. A closed alert is no proof of health.",
        {**_words(_CLOSING), DOCUMENTED: "of a follow-up: it is documented now whether the reaction went on"},
    ),
    Vocabulary("verdict", "Verdicts", "What a clinician decided about an episode.", _words(_VERDICT)),
    Vocabulary(
        "flag", "Flags", "What a reader must know about an episode.", {**_words(_FLAG), **_MORE_FLAGS}
    ),
    Vocabulary(
        "treatment_kind", "Kinds of treatment", "How a treatment masks a reaction.", _words(_TREATMENT_KIND)
    ),
    Vocabulary("cause", "Causes", "What made a revision.", _words(_CAUSE)),
    Vocabulary("timeliness", "Timeliness", "How old the news was when it was told.", _words(_TIMELINESS)),
    Vocabulary("truth", "Criteria", "Where a criterion of J-SCAR or Bocquet stands.", _words(_TRUTH)),
    Vocabulary(
        "jscar_category",
        "Categories of J-SCAR",
        "Named only when it is determined.",
        _words(_JSCAR_CATEGORY),
    ),
    Vocabulary("answer", "Answers", "How a question of Naranjo is answered.", _words(_ANSWER)),
    Vocabulary(
        "naranjo_category",
        "Categories of Naranjo",
        "What a total is called.",
        _words(_NARANJO_CATEGORY),
    ),
    Vocabulary("action", "Actions", "What a person does about an alert.", _words(_ACTION)),
    Vocabulary("override", "Reasons of an override", "The pick list.", _words(_OVERRIDE)),
    Vocabulary(
        "hold",
        "Holds",
        "A value that was read but is not believed is held: no rule uses it until a person confirms or discards it. "
        "Under a watched drug it raises an alert of kind `data_review`.",
        _words(_HOLD),
    ),
    Vocabulary("settled", "Reasons of a settlement", "Why a person settled a held value.", _words(_SETTLED)),
    Vocabulary(
        "dead_letter",
        "Dead letters",
        "Why a record could not be used. Everything after it goes on.",
        _words(_DEAD_LETTER),
    ),
)


def word_names() -> Sequence[str]:
    """Return the name of every word as a statement names it, `flag:thinned`."""
    return tuple(f"{words.kind}:{word}" for words in VOCABULARIES for word in words.meanings)


def word_meaning(kind: str, word: str) -> str:
    """Say what a word of an output means. Raises KeyError for one that is in no vocabulary."""
    return next(words.meanings[word] for words in VOCABULARIES if words.kind == kind)
