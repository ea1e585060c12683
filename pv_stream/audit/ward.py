"""A synthetic ward: made-up patients with the background noise in which a drug reaction has to be seen.

Nobody here exists. Every number below is an assumption made for demonstration and load, not epidemiology, but for what
`SOURCES` names; no rate of alerts measured on it says anything about a hospital. The same seed gives the same bytes on
every machine: only `Random.random()` is used, whose sequence Python keeps stable, and no clock.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Final

from pv_stream.codec.events import encode_event
from pv_stream.domain.codes import (
    UNIT_OF,
    Analyte,
    EvidenceFlag,
    ExposureKind,
    FindingCode,
    HoldCode,
    Presence,
    Route,
    Status,
)
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import (
    AsSent,
    Content,
    Exposure,
    FactVersion,
    Finding,
    Held,
    Measurement,
    Provenance,
    Retracted,
    Statement,
    VersionOrder,
)
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.times import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MINUTE,
    Instant,
    exactly,
)

#: The numbers that come from a publication, by name, and what about them is assumed nevertheless.
SOURCES: Final[Mapping[str, str]] = {
    "share_antibiotic_eosinophilia": (
        "a quarter of the outpatients on intravenous antibiotics (pubmed 25981739); that inpatients are like them is "
        "an assumption"
    ),
}


@dataclass(frozen=True, slots=True)
class WardAssumptions:
    """Hold every number that the ward is made from: assumptions, all but those that `SOURCES` names."""

    patients: int = 100
    days: int = 30
    #: Shares of the patients, by story; the rest only have routine blood counts.
    shares: Mapping[str, float] = field(
        default_factory=lambda: {
            "antibiotic": 0.20,
            "watched_drug": 0.20,
            "eosinophilia_without_drug": 0.06,
            "rash_under_drug": 0.04,
            "dress": 0.03,
            "cross_reactive_start": 0.01,
        }
    )
    days_between_counts: int = 3
    share_antibiotic_eosinophilia: float = 0.25
    share_duplicates: float = 0.02
    share_corrections: float = 0.01
    share_late: float = 0.02
    share_held: float = 0.002
    #: Results and findings that never reach the log.
    share_missing: float = 0.0


@dataclass(frozen=True, slots=True)
class LogLine:
    """Hold one event of a made-up log, to be ordered by (received, number)."""

    received: Instant
    patient_id: PatientId
    value: bytes


ANTIBIOTICS: Final = ("vancomycin", "piperacillin")
CHRONIC: Final = ("allopurinol", "imatinib", "lamotrigine", "sulfasalazine")
CULPRITS: Final = ("carbamazepine", "allopurinol", "phenytoin", "sulfasalazine")


def synthetic_ward(
    *, seed: int, start: Instant, assumptions: WardAssumptions | None = None
) -> Iterator[LogLine]:
    """Yield the events of a ward in the order in which they are received."""
    known = assumptions or WardAssumptions()
    lines: list[LogLine] = []
    for number in range(known.patients):
        chart = Chart(
            PatientId(f"synthetic-ward-{number:04d}"),
            start,
            Random(f"{seed}/{number}"),  # noqa: S311 - nothing secret
            known,
        )
        STORIES[story_of(number, known)](chart)
        lines += chart.lines
    yield from sorted(lines, key=lambda line: (line.received, line.patient_id, line.value))


def story_of(number: int, known: WardAssumptions) -> str:
    """Deal the stories out evenly, so that a small ward has each of them too."""
    place = (number * 37 % known.patients) / known.patients
    for story, share in known.shares.items():
        if place < share:
            return story
        place -= share
    return "routine"


@dataclass(slots=True)
class Chart:
    """Write the events of one made-up patient, with the noise that real feeds have.

    A day is a number of days since `start`. Times, values and shares are drawn from `random`.
    """

    patient_id: PatientId
    start: Instant
    random: Random
    known: WardAssumptions
    lines: list[LogLine] = field(default_factory=list)
    facts: int = 0

    def between(self, low: int, high: int) -> int:
        """Draw a whole number, both ends included."""
        return low + int(self.random.random() * (high - low + 1))

    def pick(self, choices: Sequence[str]) -> str:
        """Draw one of some choices."""
        return choices[self.between(0, len(choices) - 1)]

    def happens(self, share: float) -> bool:
        """Draw whether something of such a share happens."""
        return self.random.random() < share

    def at(self, day: int, hour: int, minute: int = 0) -> Instant:
        """Return an instant of a day."""
        since = day * MICROSECONDS_PER_DAY + hour * MICROSECONDS_PER_HOUR + minute * MICROSECONDS_PER_MINUTE
        return Instant(self.start + since)

    def add(self, content: Content, at: Instant, *, delay_minutes: int = 0) -> FactVersion:
        """Write one fact, and sometimes its duplicate."""
        self.facts += 1
        received = Instant(at + delay_minutes * MICROSECONDS_PER_MINUTE)
        version = FactVersion(
            key=FactKey(f"synthetic:{self.patient_id}:{self.facts}"),
            order=VersionOrder(0, Status.FINAL, issued_at=received),
            statement=Statement(content, exactly(at), 0),
            provenance=self._provenance(received, "first"),
        )
        self._write(version)
        if self.happens(self.known.share_duplicates):
            self._again(version, "duplicate", version.order.status, content, delay_minutes=5)
        return version

    def _again(
        self, version: FactVersion, word: str, status: Status, content: Content, *, delay_minutes: int
    ) -> None:
        received = Instant(version.provenance.received_at + delay_minutes * MICROSECONDS_PER_MINUTE)
        issued = version.order.issued_at if word == "duplicate" else received
        self._write(
            FactVersion(
                key=version.key,
                order=VersionOrder(0, status, issued_at=issued),
                statement=Statement(content, version.statement.effective, 0),
                provenance=self._provenance(received, word),
            )
        )

    def _provenance(self, received: Instant, word: str) -> Provenance:
        message = f"{self.patient_id}\x1f{self.facts}\x1f{word}"
        return Provenance(
            received,
            f"sha256:{hashlib.sha256(message.encode()).hexdigest()}",
            f"ward[{self.facts}]",
            "canonical",
        )

    def _write(self, version: FactVersion) -> None:
        content = version.statement.content
        can_miss = isinstance(content, Measurement | Finding) and self.known.share_missing > 0
        if can_miss and self.happens(self.known.share_missing):
            return
        event = FactArrived(self.patient_id, version)
        self.lines.append(LogLine(event.received_at, self.patient_id, encode_event(event)))

    def lab(self, analyte: Analyte, value: Decimal | int, at: Instant, specimen: str) -> None:
        """Write a result: mostly at once, sometimes days late, corrected, or without a unit."""
        delay_minutes = 45 if not self.happens(self.known.share_late) else self.between(2, 5) * 24 * 60
        if self.happens(self.known.share_held):
            digest = f"sha256:{hashlib.sha256(str(value).encode()).hexdigest()}"
            self.add(Held(HoldCode.MISSING_UNIT, digest, analyte), at, delay_minutes=delay_minutes)
            return
        content = self._measurement(analyte, Decimal(value), specimen)
        if self.happens(self.known.share_corrections):
            wrong = self._measurement(analyte, Decimal(value) * 2, specimen)
            version = self.add(wrong, at, delay_minutes=delay_minutes)
            self._again(version, "correction", Status.CORRECTED, content, delay_minutes=90)
            return
        self.add(content, at, delay_minutes=delay_minutes)

    def retracted_lab(self, analyte: Analyte, value: int, at: Instant, specimen: str) -> None:
        """Write a result and then take it back, as after a mixed-up tube."""
        version = self.add(self._measurement(analyte, Decimal(value), specimen), at, delay_minutes=45)
        self._again(version, "retraction", Status.RETRACTED, Retracted(), delay_minutes=180)

    def _measurement(self, analyte: Analyte, value: Decimal, specimen: str) -> Measurement:
        return Measurement(
            analyte=analyte,
            value=value,
            specimen=specimen,
            as_sent=AsSent("synthetic", analyte.value, f"{value:f}", UNIT_OF[analyte]),
            flags=(EvidenceFlag.SPECIMEN_ASSUMED,) if self.happens(0.05) else (),
        )

    def blood(self, day: int, *, eosinophils: int, alt: int) -> None:
        """Write a morning's blood: count, leukocytes and ALT of one tube."""
        at = self.at(day, 6, self.between(0, 50))
        specimen = f"{self.patient_id}-{day}"
        leukocytes = max(self.between(4500, 11000), eosinophils * 3)
        self.lab(Analyte.LEUKOCYTES, leukocytes, at, specimen)
        self.lab(Analyte.EOSINOPHILS, eosinophils, at, specimen)
        self.lab(Analyte.ALT, alt, at, specimen)

    def routine(self, from_day: int = 0, until_day: int | None = None) -> None:
        """Write normal morning blood and temperatures."""
        last = self.known.days if until_day is None else until_day
        for day in range(from_day + self.between(0, 2), last, self.known.days_between_counts):
            self.blood(day, eosinophils=self.between(20, 480), alt=self.between(10, 60))
            self.temperature(day, self.between(362, 376))

    def temperature(self, day: int, tenths: int) -> None:
        """Write a temperature, given in tenths of a degree Celsius."""
        content = Measurement(Analyte.BODY_TEMPERATURE, Decimal(tenths).scaleb(-1))
        self.add(content, self.at(day, 7, self.between(0, 59)), delay_minutes=10)

    def drug(self, ingredient: str, from_day: int, until_day: int, route: Route = Route.ORAL) -> None:
        """Write an order and daily administrations."""
        self.add(Exposure(ExposureKind.ORDER, (ingredient,), route), self.at(from_day, 9))
        for day in range(from_day, until_day + 1):
            self.add(
                Exposure(ExposureKind.ADMINISTRATION, (ingredient,), route),
                self.at(day, 10, self.between(0, 30)),
            )

    def stop(self, ingredient: str, day: int, hour: int = 16) -> None:
        """Write that a drug was stopped."""
        self.add(Exposure(ExposureKind.ORDER, (ingredient,), Route.ORAL, is_stop=True), self.at(day, hour))

    def finding(self, code: FindingCode, day: int, presence: Presence = Presence.PRESENT) -> None:
        """Write a finding of the ward round."""
        self.add(Finding(code, presence), self.at(day, 11, self.between(0, 59)), delay_minutes=20)


# Stories ----------------------------------------------------------------------------------------------------------


def _routine(chart: Chart) -> None:
    chart.routine()


def _antibiotic(chart: Chart) -> None:
    first = chart.between(1, 6)
    chart.drug(chart.pick(ANTIBIOTICS), first, first + 10, Route.INTRAVENOUS)
    if not chart.happens(chart.known.share_antibiotic_eosinophilia):
        chart.routine()
        return
    chart.routine(until_day=first + 6)
    for day in range(first + 6, first + 16, 3):
        chart.blood(day, eosinophils=chart.between(520, 1750), alt=chart.between(10, 60))
    chart.routine(from_day=first + 17)


def _watched_drug(chart: Chart) -> None:
    chart.drug(chart.pick(CHRONIC), 0, chart.known.days - 1)
    chart.routine()
    if chart.happens(0.1):
        day = chart.between(8, chart.known.days - 2)
        chart.retracted_lab(Analyte.EOSINOPHILS, 2400, chart.at(day, 5), f"{chart.patient_id}-mixed-up-{day}")


def _eosinophilia_without_drug(chart: Chart) -> None:
    for day in range(chart.between(0, 2), chart.known.days, chart.known.days_between_counts):
        chart.blood(day, eosinophils=chart.between(900, 3200), alt=chart.between(10, 60))


def _rash_under_drug(chart: Chart) -> None:
    drug = chart.pick(CHRONIC)
    day = chart.between(8, 14)
    chart.drug(drug, 0, day)
    chart.routine()
    chart.finding(FindingCode.RASH, day)
    chart.stop(drug, day)
    chart.finding(FindingCode.RASH, day + 6, Presence.ABSENT)


def _dress(chart: Chart, drug: str | None = None) -> None:
    """Tell a reaction in its usual order: rash and fever, then the count, then the liver."""
    culprit = drug or chart.pick(CULPRITS)
    onset = chart.between(14, 18)
    chart.drug(culprit, 0, onset + 1)
    chart.routine(until_day=onset - 1)
    chart.finding(FindingCode.RASH, onset)
    chart.finding(FindingCode.FACIAL_OEDEMA, onset)
    chart.temperature(onset, chart.between(386, 396))
    chart.stop(culprit, onset + 1)
    for later, low, high, alt in (
        (1, 800, 1300, 90),
        (3, 1600, 2400, 180),
        (6, 2500, 4200, 420),
        (9, 900, 1400, 120),
    ):
        chart.blood(
            onset + later, eosinophils=chart.between(low, high), alt=chart.between(alt - 30, alt + 30)
        )
    chart.finding(FindingCode.ENLARGED_LYMPH_NODES, onset + 2)
    chart.finding(FindingCode.INFILTRATION, onset + 2)
    chart.finding(FindingCode.ATYPICAL_LYMPHOCYTES, onset + 3)


def _cross_reactive_start(chart: Chart) -> None:
    """Tell a reaction to carbamazepine, after which another aromatic antiepileptic is started."""
    _dress(chart, "carbamazepine")
    chart.drug("lamotrigine", chart.known.days - 4, chart.known.days - 1)


STORIES: Final[Mapping[str, Callable[[Chart], None]]] = {
    "routine": _routine,
    "antibiotic": _antibiotic,
    "watched_drug": _watched_drug,
    "eosinophilia_without_drug": _eosinophilia_without_drug,
    "rash_under_drug": _rash_under_drug,
    "dress": _dress,
    "cross_reactive_start": _cross_reactive_start,
}
