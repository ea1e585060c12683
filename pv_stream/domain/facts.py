"""Facts: what a source said about a patient, and in which version.

`FactKey` is the business identity of a statement, the same in its preliminary, final and corrected message.
`FactVersion` is one thing said under that key. How versions replace each other is `engine.join`. A content holds
nothing of the envelope (message, arrival, path): equal contents are the same statement, whoever carried it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import total_ordering
from typing import Final

from pv_stream.domain.codes import (
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
    Status,
)
from pv_stream.domain.ids import FactKey
from pv_stream.domain.often_built import often_built
from pv_stream.domain.times import Instant, Interval


@often_built
@dataclass(frozen=True, slots=True)
class AsSent:
    """Keep what the sender wrote, so that a person can check the normalisation. Only vetted tokens, no text."""

    system: str
    code: str
    value: str | None = None
    unit: str | None = None

    @property
    def drug_name(self) -> str:
        """Return what a drug is called that is known by its code alone."""
        return f"{self.system} {self.code}".lower()


@often_built
@dataclass(frozen=True, slots=True)
class Measurement:
    """Hold one measured value in the unit of its analyte (`codes.UNIT_OF`)."""

    analyte: Analyte
    value: Decimal
    comparator: Comparator | None = None
    specimen: str | None = None
    as_sent: AsSent | None = None
    flags: tuple[EvidenceFlag, ...] = ()


@often_built
@dataclass(frozen=True, slots=True)
class Finding:
    """Hold one finding documented as present or absent, with its extent where that was stated.

    `body_surface_percent` belongs to a rash, `sites` and `size_cm` to lymph nodes.
    """

    code: FindingCode
    presence: Presence
    body_surface_percent: Decimal | None = None
    sites: int | None = None
    size_cm: Decimal | None = None


@often_built
@dataclass(frozen=True, slots=True)
class Dose:
    """Hold one dose as ordered, stated or given, and how often a day; what was not sent is None."""

    amount_mg: Decimal | None = None
    amount_mg_per_kg: Decimal | None = None
    per_day: Decimal | None = None


#: A product names at most so many ingredients: more than all lists of drugs have, so that none is ever left out.
INGREDIENTS_MAX: Final = 64


@often_built
@dataclass(frozen=True, slots=True)
class Exposure:
    """Hold one order, dispense, statement or administration of a drug.

    The effective interval of the version is the start. `end` is where what was given, stated or ordered ends, as
    far as this record tells; `is_stop` says that this record ends what was running (a discontinued order): only
    that is a recorded stop, since periods of statements and prescriptions follow each other in one course.
    `ingredients` is empty when the drug was not recognised.
    """

    kind: ExposureKind
    ingredients: tuple[str, ...]
    route: Route = Route.UNKNOWN
    end: Interval | None = None
    is_stop: bool = False
    as_sent: AsSent | None = None
    flags: tuple[EvidenceFlag, ...] = ()
    dose: Dose | None = None

    @property
    def drugs(self) -> tuple[str, ...]:
        """Return what was given: the ingredients, else the drug by its code as sent, else nothing."""
        if self.ingredients or self.as_sent is None:
            return self.ingredients
        return (self.as_sent.drug_name,)


#: Stands for a drug of a report that no list names.
UNLISTED_DRUG: Final = "unlisted drug"


@dataclass(frozen=True, slots=True)
class ReportedDrug:
    """Hold one drug of an adverse event report, in the role that the reporter gave it."""

    ingredient: str
    role: DrugRole
    rechallenge: RechallengeOutcome = RechallengeOutcome.OUTCOME_UNKNOWN


def in_order(drugs: Iterable[ReportedDrug]) -> tuple[ReportedDrug, ...]:
    """Return the drugs of a report in their one order, each once: reports that name the same say the same."""
    return tuple(sorted(set(drugs), key=lambda drug: (drug.ingredient, drug.role, drug.rechallenge)))


@dataclass(frozen=True, slots=True)
class Report:
    """Hold one reported reaction of an adverse event report (ICSR). The effective interval is its onset.

    `serious` is None when the report does not say; `drugs` stand `in_order`. A nullified report is `Retracted`.
    """

    reaction: ReportedReaction
    serious: bool | None
    outcome: ReportOutcome
    drugs: tuple[ReportedDrug, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """Hold the place of an observation that was read but is not believed: nothing that rules may count.

    `specimen` and `said` serve the person who settles it; `said` is what was read when nothing but its time, or which
    drug it is, is not believed. Of it rules ask only whether the drug may be a watched one.
    """

    code: HoldCode
    value_digest: str
    analyte: Analyte | None = None
    specimen: str | None = None
    said: Measurement | Finding | Exposure | Report | None = None


@dataclass(frozen=True, slots=True)
class Retracted:
    """Hold the place of a statement that its source took back: a tombstone."""


Content = Measurement | Finding | Exposure | Report | Held | Retracted


@total_ordering
@often_built
@dataclass(frozen=True, slots=True)
class VersionOrder:
    """Order the versions under one key: source version (FHIR, E2B), status rank, a person's decision, issue time.

    `reviewed_at` is when a person settled a version of this rank, 0 for what a source says itself: so a decision stands
    when the same is sent again, and gives way to a correction, a retraction or a later source version. Corrections rank
    among themselves by issue time first: a decision about one gives way to the next.
    """

    source_version: int
    status: Status
    reviewed_at: int = 0
    issued_at: int = 0

    def __lt__(self, other: "VersionOrder") -> bool:
        """Tell whether a version of the other order replaces one of this order."""
        return self._rank < other._rank

    def __gt__(self, other: "VersionOrder") -> bool:
        """Tell whether a version of this order replaces one of the other order."""
        return self._rank > other._rank

    @property
    def _rank(self) -> tuple[int, int, int, int]:
        if self.status is Status.CORRECTED:
            return self.source_version, self.status, self.issued_at, self.reviewed_at
        return self.source_version, self.status, self.reviewed_at, self.issued_at


@dataclass(frozen=True, slots=True, order=True)
class Review:
    """Say who settled a held value and why; `actor` is a pseudonym.

    `even_if_implausible` says that a value outside the plausible range was confirmed with that known.
    """

    actor: str
    reason: ReviewReason
    even_if_implausible: bool = False


@often_built
@dataclass(frozen=True, slots=True, order=True)
class Provenance:
    """Say when and from which message a content arrived; of equal contents the smallest stays.

    A version that a person decided, and no other, has a `review`: it names the message of the held value, and was
    received when the person decided.
    """

    received_at: Instant
    message_digest: str
    path: str
    format: str
    review: Review | None = None


@often_built
@dataclass(frozen=True, slots=True)
class Statement:
    """Hold what one version says: content, when it held clinically, and the facility's UTC offset there."""

    content: Content
    effective: Interval
    utc_offset_minutes: int | None = None


@often_built
@dataclass(frozen=True, slots=True)
class FactVersion:
    """Hold one version of one fact as it arrived."""

    key: FactKey
    order: VersionOrder
    statement: Statement
    provenance: Provenance


@often_built
@dataclass(frozen=True, slots=True)
class Fact:
    """Hold the highest version under one key: usually one statement, more when versions of equal rank differ.

    `statements` is ordered by content, so that the same versions give the same fact in any order of arrival.
    """

    order: VersionOrder
    statements: tuple[tuple[Statement, Provenance], ...] = field(default=())

    @property
    def is_conflicting(self) -> bool:
        """Tell whether versions of equal rank say different things."""
        return len(self.statements) > 1
