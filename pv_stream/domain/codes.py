"""The closed vocabularies: what can be measured, found, given, held and rejected.

Each is an enum, so that a wrong word fails to type-check and a new one is seen by every `match`. The external
codes that lead here (LOINC, RxNorm, ATC, units) are data files of ingest and rulebooks, not code.
"""

from enum import IntEnum, StrEnum
from typing import Final


class Analyte(StrEnum):
    """Name what was measured; the unit that its value is kept in is in `UNIT_OF`."""

    EOSINOPHILS = "eosinophils"
    EOSINOPHILS_PERCENT = "eosinophils_percent"
    LEUKOCYTES = "leukocytes"
    ALT = "alt"
    AST = "ast"
    ALP = "alp"
    CREATININE = "creatinine"
    BODY_TEMPERATURE = "body_temperature"
    ATYPICAL_LYMPHOCYTES_PERCENT = "atypical_lymphocytes_percent"
    BODY_WEIGHT = "body_weight"


#: The one unit in which the value of each analyte is kept, compared and printed.
UNIT_OF: dict[Analyte, str] = {
    Analyte.EOSINOPHILS: "/uL",
    Analyte.EOSINOPHILS_PERCENT: "%",
    Analyte.LEUKOCYTES: "/uL",
    Analyte.ALT: "U/L",
    Analyte.AST: "U/L",
    Analyte.ALP: "U/L",
    Analyte.CREATININE: "mg/dL",
    Analyte.BODY_TEMPERATURE: "Cel",
    Analyte.ATYPICAL_LYMPHOCYTES_PERCENT: "%",
    Analyte.BODY_WEIGHT: "kg",
}


class Comparator(StrEnum):
    """Say that a value is a bound, as in `>5` (FHIR R4 quantity-comparator)."""

    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER_OR_EQUAL = ">="
    GREATER = ">"


class FindingCode(StrEnum):
    """Name a clinical finding that is documented as present or absent."""

    RASH = "rash"
    MACULOPAPULAR_RASH = "maculopapular_rash"
    FACIAL_OEDEMA = "facial_oedema"
    INFILTRATION = "infiltration"
    PURPURA = "purpura"  # other than on the legs
    SCALING = "scaling"
    RASH_IMPROVED = "rash_improved"
    ENLARGED_LYMPH_NODES = "enlarged_lymph_nodes"
    ATYPICAL_LYMPHOCYTES = "atypical_lymphocytes"
    BIOPSY_SUGGESTS_DRESS = "biopsy_suggests_dress"
    LIVER_INVOLVEMENT = "liver_involvement"
    KIDNEY_INVOLVEMENT = "kidney_involvement"
    LUNG_INVOLVEMENT = "lung_involvement"
    MUSCLE_HEART_INVOLVEMENT = "muscle_heart_involvement"
    PANCREAS_INVOLVEMENT = "pancreas_involvement"
    OTHER_ORGAN_INVOLVEMENT = "other_organ_involvement"
    INTERSTITIAL_NEPHRITIS = "interstitial_nephritis"
    INTERSTITIAL_PNEUMONITIS = "interstitial_pneumonitis"
    CARDITIS = "carditis"
    OTHER_CAUSES_EXCLUDED = "other_causes_excluded"
    ANA = "ana"
    BLOOD_CULTURE = "blood_culture"
    HEPATITIS_SEROLOGY = "hepatitis_serology"
    CHLAMYDIA_MYCOPLASMA = "chlamydia_mycoplasma"
    HHV6_REACTIVATION = "hhv6_reactivation"
    EBV_REACTIVATION = "ebv_reactivation"
    CMV_REACTIVATION = "cmv_reactivation"
    REACTION_RESOLVED = "reaction_resolved"


class Presence(StrEnum):
    """Say that a finding was documented as present or as absent. Not documented is not a finding."""

    PRESENT = "present"
    ABSENT = "absent"


class ExposureKind(StrEnum):
    """Say how it is known that a patient gets a drug."""

    ORDER = "order"
    DISPENSE = "dispense"
    STATEMENT = "statement"
    ADMINISTRATION = "administration"


class Manner(StrEnum):
    """Say how a treatment was withdrawn; an anti-IL-5 antibody wears off."""

    STOP = "stop"
    CUT = "cut"
    WORE_OFF = "wore_off"


class TreatmentKind(StrEnum):
    """Name the kinds of treatment that change what eosinophils show."""

    STEROID = "steroid"
    CYCLOSPORINE = "cyclosporine"
    ANTI_IL5 = "anti_il5"


class ReportedReaction(StrEnum):
    """Say whether an adverse event report names DRESS or another reaction.

    DRESS: the MedDRA preferred term "Drug reaction with eosinophilia and systemic symptoms" (older "Drug rash
    with ..."), or SNOMED CT 702809001.
    """

    DRESS = "dress"
    OTHER = "other"


class DrugRole(StrEnum):
    """Name the role of a drug in an adverse event report (E2B(R3) G.k.1)."""

    SUSPECT = "suspect"
    CONCOMITANT = "concomitant"
    INTERACTING = "interacting"
    NOT_ADMINISTERED = "not_administered"


class RechallengeOutcome(StrEnum):
    """Say what a rechallenge showed, as reported (E2B(R3) G.k.9.i.4)."""

    RECURRED = "recurred"
    DID_NOT_RECUR = "did_not_recur"
    OUTCOME_UNKNOWN = "outcome_unknown"
    NOT_APPLICABLE = "not_applicable"


class ReportOutcome(StrEnum):
    """Say how a reported reaction ended (E2B(R3) E.i.7)."""

    RECOVERED = "recovered"
    RECOVERING = "recovering"
    NOT_RECOVERED = "not_recovered"
    RECOVERED_WITH_SEQUELAE = "recovered_with_sequelae"
    FATAL = "fatal"
    UNKNOWN = "unknown"


class Route(StrEnum):
    """Name the route of a drug as far as the rules tell routes apart."""

    ORAL = "oral"
    INTRAVENOUS = "intravenous"
    TOPICAL = "topical"
    OTHER = "other"
    UNKNOWN = "unknown"


class Status(IntEnum):
    """Rank the status of a version: a higher rank replaces a lower one (law 1)."""

    PRELIMINARY = 1
    FINAL = 2
    CORRECTED = 3
    RETRACTED = 4


class HoldCode(StrEnum):
    """Say why an observation was read but is not believed; it waits for a person (law 7)."""

    MISSING_UNIT = "missing_unit"
    UNKNOWN_UNIT = "unknown_unit"
    UNIT_DOES_NOT_FIT = "unit_does_not_fit"
    OUT_OF_RANGE = "out_of_range"
    FRACTION_OF_A_CELL = "fraction_of_a_cell"
    EOSINOPHILS_ABOVE_LEUKOCYTES = "eosinophils_above_leukocytes"
    MISSING_TIME = "missing_time"
    UNREADABLE_TIME = "unreadable_time"
    TIME_IN_FUTURE = "time_in_future"
    UNREADABLE_VALUE = "unreadable_value"
    UNKNOWN_STATUS = "unknown_status"
    UNKNOWN_SPECIMEN = "unknown_specimen"
    CONFLICTING_CODES = "conflicting_codes"
    VALUE_SAID_ABSENT = "value_said_absent"
    CONFLICTING_DRUGS = "conflicting_drugs"
    DRUG_NOT_READ_WHOLE = "drug_not_read_whole"


#: The clinical time of these is itself not believed; what was said may be.
TIME_HOLDS: Final = frozenset(
    {HoldCode.MISSING_TIME, HoldCode.UNREADABLE_TIME, HoldCode.TIME_IN_FUTURE},
)
#: Which drug it is is itself not believed.
DRUG_HOLDS: Final = frozenset({HoldCode.CONFLICTING_DRUGS, HoldCode.DRUG_NOT_READ_WHOLE})
#: With these waits what was read: for the person who settles them, and to know which drug it may be.
READ_HOLDS: Final = TIME_HOLDS | DRUG_HOLDS


class ReviewReason(StrEnum):
    """Name why a person settled a held value: the pick list. Free text never enters a topic."""

    CHECKED_IN_SOURCE = "checked_in_source"
    CONFIRMED_BY_SENDER = "confirmed_by_sender"
    CONFIRMED_BY_REPEAT = "confirmed_by_repeat"
    ENTERED_IN_ERROR = "entered_in_error"
    SPECIMEN_UNUSABLE = "specimen_unusable"
    NOT_THIS_PATIENT = "not_this_patient"
    CANNOT_BE_VERIFIED = "cannot_be_verified"


class ActionKind(StrEnum):
    """Name what a person does about an alert."""

    ACKNOWLEDGE = "acknowledge"
    OVERRIDE = "override"
    REFUTE = "refute"
    CONFIRM = "confirm"


class OverrideReason(StrEnum):
    """Name why a person overrides an alert: the pick list. Free text never enters a topic."""

    WILL_MONITOR = "will_monitor"
    TOLERATED_BEFORE = "tolerated_before"
    OTHER_CAUSE_FOUND = "other_cause_found"
    BENEFIT_OUTWEIGHS_RISK = "benefit_outweighs_risk"
    NOT_THIS_PATIENT = "not_this_patient"


class Judgement(StrEnum):
    """Say what a clinician decided about an episode."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"


class DeadLetterCode(StrEnum):
    """Say why a record of the input log could not be used by the stream.

    Those of an alert action say why it was refused; what they mean is told in docs/actions.md.
    """

    MALFORMED_JSON = "malformed_json"
    INVALID_EVENT = "invalid_event"
    UNSUPPORTED_TYPE = "unsupported_type"
    UNSUPPORTED_VERSION = "unsupported_version"
    TOO_LARGE = "too_large"
    EMPTY = "empty"
    MISROUTED = "misrouted"
    PATIENT_STATE_FULL = "patient_state_full"
    ENGINE_FAILED = "engine_failed"
    ACTION_UNKNOWN_ALERT = "action_unknown_alert"
    ACTION_ALERT_NOT_LIVE = "action_alert_not_live"
    ACTION_DOES_NOT_FIT = "action_does_not_fit"
    ACTION_UNKNOWN_DRUG = "action_unknown_drug"
    ACTION_UNKNOWN_REASON = "action_unknown_reason"
    ACTION_OUTDATED = "action_outdated"
    ACTION_REPEATED = "action_repeated"
    MERGE_CYCLE = "merge_cycle"
    MERGE_CONFLICT = "merge_conflict"
    NOT_MERGED = "not_merged"
    TRANSFER_INCOMPLETE = "transfer_incomplete"


class TransferKind(StrEnum):
    """Say what one patient record hands to another."""

    STATE = "state"  # all that a prior had when it was merged
    RECORD = "record"  # a record of a prior that came after its merge
    RETURN = "return"  # what a survivor gives back after an unmerge


class EvidenceFlag(StrEnum):
    """Mark what a reader must know about one piece of evidence."""

    WEAK_KEY = "weak_key"  # no order number: the key rests on specimen, time and code
    SPECIMEN_ASSUMED = "specimen_assumed"  # one report without a specimen counts as one specimen
    SPECIMEN_NOT_STATED = "specimen_not_stated"
    UNKNOWN_INGREDIENT = "unknown_ingredient"
