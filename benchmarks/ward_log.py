"""The log that the benchmarks run on: made-up patients of a general hospital, most of them without any reaction.

It is `pv_stream.audit.ward` for speed rather than for reading: short stays, few stories, and yielded as it goes, so
that a million events need no memory. Nobody here exists. Every number of `Mix` is an assumption made to measure
with, not epidemiology. The same seed gives the same events on every machine: only `Random.random()` is used.
"""

import hashlib
import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Final

from pv_stream.domain.codes import UNIT_OF, Analyte, ExposureKind, FindingCode, Presence, Route, Status
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import (
    AsSent,
    Content,
    Exposure,
    FactVersion,
    Finding,
    Measurement,
    Provenance,
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
    parse_instant,
)

EVENTS_PER_PATIENT: Final = 10
START: Final = parse_instant("2026-01-01T00:00:00Z")
_WATCHED: Final = ("piperacillin", "vancomycin", "sulfamethoxazole", "allopurinol", "lamotrigine")
_UNWATCHED: Final = ("paracetamol", "enoxaparin", "pantoprazole", "metoprolol", "furosemide", "ondansetron")


@dataclass(frozen=True, slots=True)
class Mix:
    """Hold every number that the log is made from. ASSUMPTION, all of them: none comes from a publication."""

    patients_admitted_per_day: int = 300
    #: How long patients stay, as (share, days); a day has about four events.
    stays: tuple[tuple[float, int], ...] = (
        (0.47, 1),
        (0.30, 2),
        (0.16, 4),
        (0.05, 7),
        (0.015, 14),
        (0.005, 40),
    )
    days_between_bloods: int = 2
    share_watched_drug: float = 0.18
    #: Of the patients under a watched drug: rash, fever, eosinophils and liver after three weeks of it.
    share_reaction_under_watched_drug: float = 0.005
    share_eosinophilia: float = 0.04
    share_fever: float = 0.06
    share_raised_alt: float = 0.04
    #: Of the events.
    share_duplicates: float = 0.01
    share_preliminary: float = 0.02
    share_corrections: float = 0.005


def ward_log(*, seed: int, mix: Mix | None = None) -> Iterator[FactArrived]:
    """Yield the events of an endless row of admissions in the order in which they are received."""
    known = mix or Mix()
    waiting: list[tuple[Instant, int, FactArrived]] = []
    number = written = 0
    while True:
        admitted = Instant(START + number * MICROSECONDS_PER_DAY // known.patients_admitted_per_day)
        while waiting and waiting[0][0] < admitted:
            yield heapq.heappop(waiting)[2]
        chart = _Chart(f"synthetic-{number:07d}", admitted, Random(f"{seed}/{number}"), known)
        chart.write()
        for event in chart.events:
            heapq.heappush(waiting, (event.received_at, written, event))
            written += 1
        number += 1


def first_events(count: int, *, seed: int, mix: Mix | None = None) -> Iterator[FactArrived]:
    """Yield the first events of a ward log; a million are of about 100,000 patients."""
    return islice(ward_log(seed=seed, mix=mix), count)


def one_sick_patient(facts: int) -> Iterator[FactArrived]:
    """Yield the events of one patient whose reaction never ends: a long stay with an open alert."""
    always = Mix(
        stays=((1.0, facts // 4),),
        share_watched_drug=1.0,
        share_reaction_under_watched_drug=1.0,
        share_eosinophilia=1.0,
    )
    chart = _Chart("synthetic-sick", START, Random(0), always)
    chart.write()
    yield from islice(sorted(chart.events, key=lambda event: event.received_at), facts)


@dataclass(slots=True)
class _Chart:
    """Write the events of one made-up patient."""

    patient: str
    admitted: Instant
    random: Random
    mix: Mix
    events: list[FactArrived] = field(default_factory=list)
    facts: int = 0

    def happens(self, share: float) -> bool:
        return self.random.random() < share

    def between(self, low: int, high: int) -> int:
        return low + int(self.random.random() * (high - low + 1))

    def write(self) -> None:
        """Write a stay: each morning a temperature and a dose, every other one blood."""
        watched = self.happens(self.mix.share_watched_drug)
        reacts = watched and self.happens(self.mix.share_reaction_under_watched_drug)
        drugs = _WATCHED if watched else _UNWATCHED
        drug = drugs[self.between(0, len(drugs) - 1)]
        eosinophilia = self.happens(self.mix.share_eosinophilia) or reacts
        febrile = self.happens(self.mix.share_fever) or reacts
        raised_alt = self.happens(self.mix.share_raised_alt) or reacts
        if reacts:
            self.dose(drug, -21)
        for day in range(self._stay()):
            self.temperature(day, self.between(380, 395) if febrile else self.between(362, 376))
            self.dose(drug, day)
            if reacts and day % 5 == 0:
                self.add(Finding(FindingCode.RASH, Presence.PRESENT), self.at(day, 11), "round")
            if day % self.mix.days_between_bloods == 0:
                eosinophils = self.between(800, 2400) if eosinophilia else self.between(20, 480)
                alt = self.between(100, 400) if raised_alt else self.between(10, 60)
                self.blood(day, eosinophils, alt)

    def _stay(self) -> int:
        place = self.random.random()
        for share, days in self.mix.stays:
            if place < share:
                return days
            place -= share
        return self.mix.stays[-1][1]

    def at(self, day: int, hour: int) -> Instant:
        minutes = hour * 60 + self.between(0, 59)
        return Instant(self.admitted + day * MICROSECONDS_PER_DAY + minutes * MICROSECONDS_PER_MINUTE)

    def temperature(self, day: int, tenths: int) -> None:
        value = Decimal(tenths).scaleb(-1)
        self.add(Measurement(Analyte.BODY_TEMPERATURE, value), self.at(day, 7), "vitals")

    def dose(self, drug: str, day: int) -> None:
        exposure = Exposure(ExposureKind.ADMINISTRATION, (drug,), Route.INTRAVENOUS)
        self.add(exposure, self.at(day, 9), "dose")

    def blood(self, day: int, eosinophils: int, alt: int) -> None:
        """Write a morning's tube: leukocytes, eosinophils, ALT and creatinine."""
        at = self.at(day, 5)
        leukocytes = max(self.between(4500, 11000), eosinophils * 3)
        creatinine = Decimal(self.between(6, 10)).scaleb(-1)
        for analyte, value in (
            (Analyte.LEUKOCYTES, Decimal(leukocytes)),
            (Analyte.EOSINOPHILS, Decimal(eosinophils)),
            (Analyte.ALT, Decimal(alt)),
            (Analyte.CREATININE, creatinine),
        ):
            sent = AsSent("synthetic", analyte.value, f"{value:f}", UNIT_OF[analyte])
            self.add(Measurement(analyte, value, None, f"{self.patient}-{day}", sent), at, f"blood:{day}")

    def add(self, content: Content, at: Instant, message: str) -> None:
        """Write one fact, as it reaches a real log: sometimes preliminary first, corrected, or sent twice."""
        self.facts += 1
        status = Status.FINAL
        received = Instant(at + 45 * MICROSECONDS_PER_MINUTE)
        if self.happens(self.mix.share_preliminary):
            self._send(content, at, Status.PRELIMINARY, received, message)
            received = Instant(received + MICROSECONDS_PER_HOUR)
        elif self.happens(self.mix.share_corrections):
            self._send(content, at, Status.FINAL, received, message)
            status, received = Status.CORRECTED, Instant(received + MICROSECONDS_PER_HOUR)
        self._send(content, at, status, received, message)
        if self.happens(self.mix.share_duplicates):
            self.events.append(self.events[-1])

    def _send(self, content: Content, at: Instant, status: Status, received: Instant, message: str) -> None:
        digest = hashlib.sha256(f"{self.patient}/{message}/{status}/{received}".encode()).hexdigest()
        version = FactVersion(
            key=FactKey(f"synthetic:{self.patient}:{self.facts}"),
            order=VersionOrder(0, status, issued_at=received),
            statement=Statement(content, exactly(at), 0),
            provenance=Provenance(received, f"sha256:{digest}", f"OBX[{self.facts}]", "hl7v2"),
        )
        self.events.append(FactArrived(PatientId(self.patient), version))
