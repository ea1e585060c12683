"""The pydantic models of canonical events: the contract of `pv.clinical.events.v1`, and nothing else.

schemas/clinical-event.v1.json is generated from them; `codec.events` turns them into domain events and back. Text
fields take vetted tokens only, so that no name or free text can enter the log through them.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from pv_stream.domain.codes import (
    ActionKind,
    Analyte,
    Comparator,
    DrugRole,
    EvidenceFlag,
    ExposureKind,
    FindingCode,
    HoldCode,
    Presence,
    RechallengeOutcome,
    ReportedReaction,
    ReportOutcome,
    ReviewReason,
    Route,
    TransferKind,
)
from pv_stream.domain.facts import INGREDIENTS_MAX
from pv_stream.domain.times import UTC_OFFSET_MINUTES_MAX, UTC_OFFSET_MINUTES_MIN

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,79}$")]
Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9µμ%°/{}\[\]()*^.<>=+_:-]{1,40}$")]
InstantText = Annotated[
    str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$")
]
DecimalText = Annotated[str, Field(pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,9})?$")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
SourcePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\[\]/^-]{1,120}$")]
Ingredient = Annotated[str, Field(pattern=r"^[a-z][a-z0-9 -]{1,60}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, strict=True)


class IntervalModel(_Model):
    """The earliest and the latest instant at which something may have happened, in UTC."""

    earliest: InstantText
    latest: InstantText


class SourceModel(_Model):
    """Where the statement came from: the digest of the message and the path inside it."""

    format: Literal["hl7v2", "fhir_r4", "e2b_r2", "e2b_r3", "openfda", "canonical"]
    message_digest: Digest
    path: SourcePath


class AsSentModel(_Model):
    """The code, value and unit as the sender wrote them: vetted tokens only."""

    system: Token
    code: Token
    value: Token | None = None
    unit: Token | None = None


class ObservationModel(_Model):
    """One measured value in the unit of its analyte."""

    analyte: Annotated[Analyte, Field(strict=False)]
    value: DecimalText
    comparator: Annotated[Comparator | None, Field(strict=False)] = None
    specimen: Identifier | None = None
    as_sent: AsSentModel | None = None
    flags: list[Annotated[EvidenceFlag, Field(strict=False)]] = []


class FindingModel(_Model):
    """One finding documented as present or absent."""

    code: Annotated[FindingCode, Field(strict=False)]
    presence: Annotated[Presence, Field(strict=False)]
    body_surface_percent: DecimalText | None = None
    sites: Annotated[int, Field(ge=0, le=99)] | None = None
    size_cm: DecimalText | None = None


class DoseModel(_Model):
    """One dose in milligrams, or in milligrams per kilogram of body weight, and how often a day."""

    amount_mg: DecimalText | None = None
    amount_mg_per_kg: DecimalText | None = None
    per_day: DecimalText | None = None


class ExposureModel(_Model):
    """One order, dispense, statement or administration of a drug."""

    kind: Annotated[ExposureKind, Field(strict=False)]
    ingredients: list[Ingredient] = Field(max_length=INGREDIENTS_MAX)
    route: Annotated[Route, Field(strict=False)] = Route.UNKNOWN
    end: IntervalModel | None = None
    is_stop: bool = False
    as_sent: AsSentModel | None = None
    flags: list[Annotated[EvidenceFlag, Field(strict=False)]] = []
    dose: DoseModel | None = None


class ReportedDrugModel(_Model):
    """One drug of an adverse event report and its role (E2B(R3) G.k.1)."""

    ingredient: Ingredient
    role: Annotated[DrugRole, Field(strict=False)]
    rechallenge: Annotated[RechallengeOutcome, Field(strict=False)] = RechallengeOutcome.OUTCOME_UNKNOWN


class ReportModel(_Model):
    """One reported reaction: whether it is DRESS, how serious, how it ended, and which drugs it names."""

    reaction: Annotated[ReportedReaction, Field(strict=False)]
    serious: bool | None = None
    outcome: Annotated[ReportOutcome, Field(strict=False)] = ReportOutcome.UNKNOWN
    drugs: list[ReportedDrugModel] = Field(max_length=64)


class SaidModel(_Model):
    """One statement of any kind: exactly one of the fields."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    observation: ObservationModel | None = None
    finding: FindingModel | None = None
    exposure: ExposureModel | None = None
    report: ReportModel | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.model_fields_set) != 1 or all(said is None for _, said in self):
            msg = "a statement is of exactly one kind"
            raise ValueError(msg)
        return self


class HeldModel(_Model):
    """Why a value is held: a code and the digest of what was sent.

    `said` is what was read when nothing but its time is not believed; with `specimen` it serves who settles it.
    """

    code: Annotated[HoldCode, Field(strict=False)]
    value_digest: Digest
    analyte: Annotated[Analyte | None, Field(strict=False)] = None
    specimen: Identifier | None = None
    said: SaidModel | None = None


class ResolutionModel(SaidModel):
    """What a person confirmed; `held` when it was not plausible itself, as one shard hands it to another."""

    held: HeldModel | None = None


class _FactEvent(_Model):
    schema_version: Literal[1]
    patient_id: Identifier
    fact_key: Identifier
    status: Literal["preliminary", "final", "corrected", "retracted"]
    source_version: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    issued_at: InstantText | None = None
    effective: IntervalModel
    utc_offset_minutes: Annotated[int, Field(ge=UTC_OFFSET_MINUTES_MIN, le=UTC_OFFSET_MINUTES_MAX)] | None = (
        None
    )
    received_at: InstantText
    source: SourceModel


class ObservationEvent(_FactEvent):
    """A measured value."""

    type: Literal["observation"]
    observation: ObservationModel


class FindingEvent(_FactEvent):
    """A documented clinical finding."""

    type: Literal["finding"]
    finding: FindingModel


class ExposureEvent(_FactEvent):
    """A drug ordered, dispensed, stated or administered."""

    type: Literal["exposure"]
    exposure: ExposureModel


class AdverseEventReportEvent(_FactEvent):
    """One reaction of an adverse event report; `effective` is its onset."""

    type: Literal["adverse_event_report"]
    report: ReportModel


class HeldEvent(_FactEvent):
    """An observation that was read but is not believed."""

    type: Literal["observation.held"]
    held: HeldModel


class HoldResolvedEvent(_FactEvent):
    """A person's decision on a held value: what was confirmed, or discarded when `resolution` is null.

    `status`, `source_version` and `issued_at` are those of the version that was settled. The decision stands when that
    is sent again, and gives way to a higher status (a correction, a retraction) or source version; of two decisions
    the one received later counts. `actor` is a pseudonym,
    `source` the message of the held value. A value outside the plausible range is used only when it was confirmed
    `even_if_implausible`.
    """

    type: Literal["hold.resolved"]
    resolution: ResolutionModel | None
    actor: Identifier
    reason: Annotated[ReviewReason, Field(strict=False)]
    even_if_implausible: bool = False


class RetractionEvent(_FactEvent):
    """A statement taken back by its source; it may arrive before what it retracts."""

    type: Literal["retraction"]


FactEvent = Annotated[
    ObservationEvent
    | FindingEvent
    | ExposureEvent
    | AdverseEventReportEvent
    | HeldEvent
    | HoldResolvedEvent
    | RetractionEvent,
    Field(discriminator="type"),
]


class AlertActionEvent(_Model):
    """What a person did about an alert, and the tier and revision that the person saw; `actor` is a pseudonym.

    A `reason` of the pick list belongs to an override, `drugs` (the culprits that are named) to a confirmation.
    """

    schema_version: Literal[1]
    type: Literal["alert.action"]
    patient_id: Identifier
    action_id: Identifier
    alert_id: Identifier
    action: Annotated[ActionKind, Field(strict=False)]
    reason: Token | None = None
    drugs: Annotated[list[Ingredient], Field(max_length=8)] = []
    actor: Identifier
    seen_tier: Literal["info", "warning", "critical"]
    seen_revision: Annotated[int, Field(ge=1, le=2**31 - 1)]
    received_at: InstantText


class _MergeEvent(_Model):
    schema_version: Literal[1]
    patient_id: Identifier
    received_at: InstantText
    source: SourceModel


class AbsorbedEvent(_MergeEvent):
    """This patient record (the prior) was merged into another; keyed by the prior."""

    type: Literal["identity.absorbed"]
    survivor: Identifier


class AbsorbsEvent(_MergeEvent):
    """Another patient record (the prior) was merged into this one; keyed by the survivor."""

    type: Literal["identity.absorbs"]
    prior: Identifier


class SeparatedEvent(_MergeEvent):
    """A merge was a mistake: this patient record gives back what came from the prior; keyed by the survivor."""

    type: Literal["identity.separated"]
    prior: Identifier
    path: list[Identifier] = Field(default=[], max_length=256)


class MergedPairModel(_Model):
    """One merge of the tree below a patient record."""

    prior: Identifier
    into: Identifier


class TransferredEvent(_Model):
    """What one patient record hands to another, one chunk of it; written by the shard of the giver.

    Each fact is a whole event under the patient id under which it first arrived. `told` is what was told of the
    giver, in the form of its state.
    """

    schema_version: Literal[1]
    type: Literal["identity.transferred"]
    patient_id: Identifier
    received_at: InstantText
    path: Annotated[list[Identifier], Field(min_length=1, max_length=256)]
    kind: Annotated[TransferKind, Field(strict=False)]
    facts: list[FactEvent] = []
    action: AlertActionEvent | None = None
    absorbed: list[MergedPairModel] = []
    told: dict[str, Any] | None = None
    chunk: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1
    chunks: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1


class ReceivedEvent(_Model):
    """Another patient record has taken what this one handed over; written by the shard of the taker."""

    schema_version: Literal[1]
    type: Literal["identity.received"]
    patient_id: Identifier
    received_at: InstantText
    taker: Identifier
    kind: Annotated[TransferKind, Field(strict=False)]


class ClockEvent(_Model):
    """The shard's clock, written by the shard's owner."""

    schema_version: Literal[1]
    type: Literal["clock"]
    instant: InstantText


class ActivationEvent(_Model):
    """The rulebook and the engine version under which a shard is read from here on."""

    schema_version: Literal[1]
    type: Literal["control.activate"]
    engine_version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    rulebook_digest: Digest


ClinicalEvent = Annotated[
    ObservationEvent
    | FindingEvent
    | ExposureEvent
    | AdverseEventReportEvent
    | HeldEvent
    | HoldResolvedEvent
    | RetractionEvent
    | AlertActionEvent
    | AbsorbedEvent
    | AbsorbsEvent
    | SeparatedEvent
    | TransferredEvent
    | ReceivedEvent
    | ClockEvent
    | ActivationEvent,
    Field(discriminator="type"),
]
CLINICAL_EVENT: Final[TypeAdapter[Any]] = TypeAdapter(ClinicalEvent)
EVENT_TYPES: Final = (
    "observation",
    "finding",
    "exposure",
    "adverse_event_report",
    "observation.held",
    "hold.resolved",
    "retraction",
    "alert.action",
    "identity.absorbed",
    "identity.absorbs",
    "identity.separated",
    "identity.transferred",
    "identity.received",
    "clock",
    "control.activate",
)
IDENTITY_EVENTS: Final = (AbsorbedEvent, AbsorbsEvent, SeparatedEvent, TransferredEvent, ReceivedEvent)
