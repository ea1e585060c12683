"""Stories: what may happen to a patient, as events in the order of their arrival.

One script for two narrators: hypothesis draws (and shrinks) it in the properties, a seeded generator writes the long
logs. Values stand at, below and above every threshold of the rulebook; messages are late, corrected, retracted (also
before what they retract), sent twice, held and settled. `received_at` is never before the clinical time, but for
values that are dated in the future on purpose.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, Protocol, TypeVar

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
    Route,
    Status,
)
from pv_stream.domain.events import FactArrived
from pv_stream.domain.facts import (
    AsSent,
    Content,
    Dose,
    Exposure,
    Finding,
    Held,
    Measurement,
    Report,
    ReportedDrug,
    Retracted,
)
from pv_stream.domain.times import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MINUTE,
    Instant,
    Interval,
    exactly,
)
from tests.builders import at, event, resent, reviewed, sha256

T = TypeVar("T")


class Narrator(Protocol):
    """Choose what happens next."""

    def number(self, low: int, high: int) -> int: ...

    def pick(self, choices: Sequence[T]) -> T: ...


class SeededNarrator:
    """Choose by a seed: the same story for the same seed on every machine."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)

    def number(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self._random.randrange(len(choices))]


#: Often the same few drugs, so that restarts, rechallenges and cross-reactions happen.
DRUGS: Final = (
    ("imatinib",),
    ("imatinib",),
    ("imatinib",),
    ("carbamazepine",),
    ("carbamazepine",),
    ("phenytoin",),
    ("lamotrigine",),
    ("allopurinol",),
    ("piperacillin",),
    ("vancomycin",),
    ("sulfamethoxazole", "trimethoprim"),
    ("trimethoprim",),
    ("prednisone",),
    ("cyclosporine",),
    ("reslizumab",),
    ("benralizumab",),
    ("paracetamol",),
    (),
)
#: What masks by its dose, or by none that is known: with and without a weight, per day and once.
TREATMENTS: Final = (
    ("prednisone",),
    ("methylprednisolone",),
    ("cyclosporine",),
    ("reslizumab",),
    ("mepolizumab",),
)
DOSES: Final = (
    None,
    Dose(),
    Dose(amount_mg=Decimal(35)),
    Dose(amount_mg=Decimal(20), per_day=Decimal(2)),
    Dose(amount_mg_per_kg=Decimal("0.5")),
    Dose(amount_mg_per_kg=Decimal("0.2"), per_day=Decimal(2)),
)
WEIGHTS: Final = ("69.9", "70", "71")
ROUTES: Final = (Route.ORAL, Route.ORAL, Route.INTRAVENOUS, Route.UNKNOWN, Route.TOPICAL)
EOSINOPHILS: Final = ("0", "120", "699", "700", "750", "1499", "1500", "1690", "2100", "4600", "99999")
PERCENTS: Final = ("0", "2", "2.1", "9.9", "10", "19.9", "20", "45", "100")
LEUKOCYTES: Final = ("900", "3999", "4000", "4600", "8000", "11000", "15000", "105600")
TEMPERATURES: Final = ("36.6", "37.9", "38", "38.1", "38.4", "38.5", "40.1")
ALTS: Final = ("20", "79", "80", "99", "100", "101", "420")
ATYPICAL_PERCENTS: Final = ("0", "5", "5.1")
CREATININES: Final = ("0.6", "0.8", "1.2", "1.3", "3.1")
COMPARATORS: Final = (*(None,) * 16, *Comparator)
#: What no sender could mean, by analyte: the fold holds it.
IMPLAUSIBLE: Final = (
    (Analyte.EOSINOPHILS, "-5"),
    (Analyte.EOSINOPHILS, "100001"),
    (Analyte.EOSINOPHILS, "0.9"),
    (Analyte.EOSINOPHILS_PERCENT, "101"),
    (Analyte.BODY_TEMPERATURE, "101.3"),
)


@dataclass(slots=True)
class Story:
    """Tell one patient's story act by act; `events` is what was sent, in no order yet."""

    narrator: Narrator
    patient: str
    day: int = 0
    offset: int = 0
    drug: tuple[str, ...] = ("imatinib",)
    events: list[FactArrived] = field(default_factory=list)

    def tell(self, acts: int) -> None:
        for _ in range(acts):
            self.narrator.pick(_ACTS)(self)
            self.day += self.narrator.pick(_PAUSES_DAYS)

    # What is sent -------------------------------------------------------------------------------------------------

    def send(self, content: Content, when: Instant | Interval, key: str) -> None:
        """Send a content in one or more versions, each at its own time, perhaps twice."""
        narrator, effective = self.narrator, when if isinstance(when, Interval) else exactly(when)
        fate = narrator.pick(_FATES)
        received_at = self._received(effective)
        first = self._event(content, effective, key, Status.FINAL, received_at)
        match fate:
            case "preliminary":
                later = self._after(received_at)
                final = _changed(content, narrator) if narrator.number(0, 1) else content
                self.events += [
                    self._event(content, effective, key, Status.PRELIMINARY, received_at),
                    self._event(final, effective, key, Status.FINAL, later),
                ]
            case "corrected":
                other = _changed(content, narrator)
                self.events += [
                    first,
                    self._event(other, effective, key, Status.CORRECTED, self._after(received_at)),
                ]
            case "retracted":
                self.events += [first, self._taken_back(effective, key, self._after(received_at))]
            case "retracted before":
                original = self._event(content, effective, key, Status.FINAL, self._after(received_at))
                self.events += [self._taken_back(effective, key, received_at), original]
            case "restored":
                newer = self._event(
                    content, effective, key, Status.FINAL, self._after(received_at), version=1
                )
                self.events += [first, self._taken_back(effective, key, self._after(received_at)), newer]
            case "conflicting":
                other = _changed(content, narrator)
                self.events += [
                    first,
                    self._event(other, effective, key, Status.FINAL, self._after(received_at)),
                ]
            case "sent again":
                self.events += [first, resent(first, received_at=self._after(received_at))]
            case "duplicated":
                self.events += [first, first]
            case _:
                self.events.append(first)

    def _event(
        self,
        content: Content,
        effective: Interval,
        key: str,
        status: Status,
        received_at: Instant,
        version: int = 0,
    ) -> FactArrived:
        return event(
            content,
            effective,
            key=key,
            status=status,
            source_version=version,
            received_at=received_at,
            offset=self.offset,
            patient=self.patient,
            message=f"{key}/{version}/{status}/{received_at}",
        )

    def _taken_back(self, effective: Interval, key: str, received_at: Instant) -> FactArrived:
        return self._event(Retracted(), effective, key, Status.RETRACTED, received_at)

    def _received(self, effective: Interval) -> Instant:
        minutes = self.narrator.pick((0, 5, 5, 60, 60, 24 * 60, 3 * 24 * 60, 40 * 24 * 60))
        return Instant(effective.latest + minutes * MICROSECONDS_PER_MINUTE)

    def _after(self, received_at: Instant) -> Instant:
        hours = self.narrator.pick((1, 6, 24, 24 * 4, 24 * 20))
        return Instant(received_at + hours * MICROSECONDS_PER_HOUR)

    def _when(self) -> Instant:
        return at(self.day, self.narrator.number(0, 23), self.narrator.pick((0, 30)))

    # Acts ---------------------------------------------------------------------------------------------------------

    def doses(self) -> None:
        """A course: perhaps an order, doses day by day, perhaps a stop."""
        self._doses_of(self.narrator.pick(DRUGS))

    def _doses_of(self, drug: tuple[str, ...]) -> None:
        route = self.narrator.pick(ROUTES)
        self.drug = drug
        name = ".".join(drug) or "unknown"
        first = self.day
        if self.narrator.number(0, 1):
            self._expose(ExposureKind.ORDER, drug, route, at(first, 7), f"order:{name}:{first}")
        for _ in range(self.narrator.number(1, 4)):
            key = f"dose:{name}:{self.day}"
            self._expose(ExposureKind.ADMINISTRATION, drug, route, at(self.day, 8), key)
            self.day += self.narrator.pick((1, 1, 6, 7, 8))
        if self.narrator.number(0, 1):
            self._expose(
                ExposureKind.ORDER, drug, route, at(self.day, 9), f"stop:{name}:{self.day}", is_stop=True
            )

    def drug_known_otherwise(self) -> None:
        """An order, a dispense or a statement, with or without an end, or a start known only to the month."""
        drug = self.narrator.pick(DRUGS)
        kind = self.narrator.pick((ExposureKind.ORDER, ExposureKind.DISPENSE, ExposureKind.STATEMENT))
        start: Instant | Interval = self._when()
        end = self.narrator.pick((None, 2, 10, 40))
        if end is None and self.narrator.number(0, 2) == 0:
            start = Interval(at(self.day, 0), at(self.day + 30, 0))
        key = f"{kind.value}:{'.'.join(drug) or 'unknown'}:{self.day}"
        stop = None if end is None else at(self.day + end, 8)
        self._expose(kind, drug, Route.ORAL, start, key, end=stop)

    def _expose(
        self,
        kind: ExposureKind,
        drug: tuple[str, ...],
        route: Route,
        when: Instant | Interval,
        key: str,
        *,
        is_stop: bool = False,
        end: Instant | None = None,
    ) -> None:
        flags = () if drug else (EvidenceFlag.UNKNOWN_INGREDIENT,)
        until = None if end is None else exactly(end)
        dose = None if is_stop else self.narrator.pick(DOSES)
        self.send(Exposure(kind, drug, route, until, is_stop, None, flags, dose), when, key)

    def blood_count(self) -> None:
        """Eosinophils as a count, a percentage or both, with or without leukocytes, of one specimen or of none."""
        when, tube = self._when(), f"{self.day}:{len(self.events)}"
        specimen = self.narrator.pick((f"tube:{tube}", f"tube:{tube}", None))
        parts = self.narrator.pick(("e", "e", "pw", "epw", "ew", "p", "w"))
        for part, analyte, values in (
            ("e", Analyte.EOSINOPHILS, EOSINOPHILS),
            ("p", Analyte.EOSINOPHILS_PERCENT, PERCENTS),
            ("w", Analyte.LEUKOCYTES, LEUKOCYTES),
        ):
            if part in parts:
                self._measure(analyte, values, when, specimen, f"{analyte}:{tube}")

    def raised_count(self) -> None:
        """A count that is high enough to alert."""
        tube = f"{self.day}:{len(self.events)}"
        self._measure(Analyte.EOSINOPHILS, ("1690",), self._when(), None, f"{Analyte.EOSINOPHILS}:{tube}")

    def reaction(self) -> None:
        """A reaction on one day: a raised count, fever, and skin, organ or lymph nodes."""
        self.raised_count()
        fever = f"{Analyte.BODY_TEMPERATURE}:{self.day}:{len(self.events)}"
        self._measure(Analyte.BODY_TEMPERATURE, ("38.5", "40.1"), self._when(), None, fever)
        for code in (
            FindingCode.RASH,
            FindingCode.FACIAL_OEDEMA,
            FindingCode.SCALING,
            FindingCode.LIVER_INVOLVEMENT,
        ):
            if self.narrator.number(0, 1):
                content = Finding(code, Presence.PRESENT)
                self.send(content, self._when(), f"{code}:{self.day}:{len(self.events)}")

    def recurrence(self) -> None:
        """What went before is documented as resolved; then the last drug, or another, and a reaction."""
        self.resolution()
        self.day += self.narrator.pick((1, 8, 20))
        self._doses_of(self.drug if self.narrator.number(0, 1) else self.narrator.pick(DRUGS))
        self.day += self.narrator.pick((0, 1, 10, 20))
        self.reaction()

    def chemistry(self) -> None:
        """One value that may show fever or an organ."""
        analyte, values = self.narrator.pick(
            (
                (Analyte.BODY_TEMPERATURE, TEMPERATURES),
                (Analyte.BODY_TEMPERATURE, TEMPERATURES),
                (Analyte.ALT, ALTS),
                (Analyte.CREATININE, CREATININES),
                (Analyte.AST, ALTS),
                (Analyte.ATYPICAL_LYMPHOCYTES_PERCENT, ATYPICAL_PERCENTS),
            )
        )
        self._measure(analyte, values, self._when(), None, f"{analyte}:{self.day}:{len(self.events)}")

    def _measure(
        self, analyte: Analyte, values: Sequence[str], when: Instant, specimen: str | None, key: str
    ) -> None:
        value = self.narrator.pick(values)
        sent = AsSent("LN", "711-2", value, "/uL") if self.narrator.number(0, 1) else None
        comparator = self.narrator.pick(COMPARATORS)
        self.send(Measurement(analyte, Decimal(value), comparator, specimen, sent), when, key)

    def skin(self) -> None:
        """A finding of the skin, most often a rash."""
        code = self.narrator.pick(
            (FindingCode.RASH, FindingCode.RASH, FindingCode.FACIAL_OEDEMA, FindingCode.SCALING)
        )
        self._find(code)

    def finding(self) -> None:
        """Any other finding, an exclusion test among them."""
        self._find(self.narrator.pick([c for c in FindingCode if c is not FindingCode.REACTION_RESOLVED]))

    def resolution(self) -> None:
        """The reaction is documented as resolved."""
        content = Finding(FindingCode.REACTION_RESOLVED, Presence.PRESENT)
        self.send(content, self._when(), f"resolved:{self.day}:{len(self.events)}")

    def _find(self, code: FindingCode) -> None:
        presence = self.narrator.pick((Presence.PRESENT, Presence.PRESENT, Presence.ABSENT))
        surface = sites = size = None
        if code is FindingCode.RASH and presence is Presence.PRESENT:
            surface = self.narrator.pick((None, Decimal(50), Decimal(51)))
        if code is FindingCode.ENLARGED_LYMPH_NODES and presence is Presence.PRESENT:
            sites, size = (
                self.narrator.pick((None, 1, 2)),
                self.narrator.pick((None, Decimal(1), Decimal("1.1"))),
            )
        content = Finding(code, presence, surface, sites, size)
        self.send(content, self._when(), f"{code}:{self.day}:{len(self.events)}")

    def report(self) -> None:
        """An adverse event report, of DRESS or not, whose onset is known exactly, to the day or to the month."""
        drugs = tuple(
            ReportedDrug(
                name, self.narrator.pick(tuple(DrugRole)), self.narrator.pick(tuple(RechallengeOutcome))
            )
            for name in sorted({*self.drug, *self.narrator.pick(DRUGS)})
        )
        content = Report(
            self.narrator.pick(tuple(ReportedReaction)),
            self.narrator.pick((True, False, None)),
            ReportOutcome.UNKNOWN,
            drugs,
        )
        days = self.narrator.pick((None, 1, 30))
        when = self._when() if days is None else Interval(at(self.day, 0), at(self.day + days, 0))
        self.send(content, when, f"report:{self.day}:{len(self.events)}")

    def withdrawal(self) -> None:
        """A treatment of some days, the rash better meanwhile, and a reaction after it was stopped or cut."""
        culprit = self.drug
        self._find(FindingCode.RASH_IMPROVED)
        self._doses_of(self.narrator.pick((("cyclosporine",), ("prednisone",))))
        self.drug = culprit
        self.day += self.narrator.pick((0, 1, 3, 14, 15))
        self.reaction()

    def treatment(self) -> None:
        """A reaction is treated, perhaps while its drug goes on; signs and count go, and perhaps come back."""
        culprit = self.drug
        if self.narrator.number(0, 1):
            self._expose(ExposureKind.STATEMENT, culprit, Route.ORAL, at(self.day), f"on:{self.day}")
        if self.narrator.number(0, 1):
            key = f"{Analyte.BODY_WEIGHT}:{self.day}:{len(self.events)}"
            self._measure(Analyte.BODY_WEIGHT, WEIGHTS, self._when(), None, key)
        self._doses_of(self.narrator.pick(TREATMENTS))
        self.drug = culprit
        self.day += self.narrator.pick((0, 1, 7, 8, 28, 29))
        for code in (FindingCode.RASH, FindingCode.LIVER_INVOLVEMENT, FindingCode.REACTION_RESOLVED):
            if self.narrator.number(0, 1):
                presence = Presence.PRESENT if code is FindingCode.REACTION_RESOLVED else Presence.ABSENT
                content = Finding(code, presence)
                self.send(content, self._when(), f"{code}:{self.day}:{len(self.events)}")
        self.blood_count()
        self.day += self.narrator.pick((1, 2, 14))
        if self.narrator.number(0, 1):
            self.skin()

    def hold(self) -> None:
        """A value that ingest or the fold does not believe; perhaps a person settles it."""
        key, when = f"held:{self.day}:{len(self.events)}", self._when()
        received_at = self._received(exactly(when))
        if self.narrator.number(0, 1):
            code = self.narrator.pick(list(HoldCode))
            said = self.narrator.pick((None, Measurement(Analyte.EOSINOPHILS, Decimal(1690), None, "tube-1")))
            content: Content = Held(code, sha256(key), Analyte.EOSINOPHILS, "tube-1", said)
        else:
            analyte, value = self.narrator.pick(IMPLAUSIBLE)
            content = Measurement(analyte, Decimal(value))
        self.send(content, when, key)
        sent = self._event(content, exactly(when), key, Status.FINAL, received_at)
        for _ in range(self.narrator.pick((0, 1, 1, 2))):
            self.settle(sent)
        if self.narrator.number(0, 3) == 0:
            newer = self._after(received_at)
            self.events.append(self._event(content, exactly(when), key, Status.FINAL, newer, version=1))

    def settle(self, sent: FactArrived) -> None:
        """A person confirms or discards a held value; perhaps one that cannot be, and perhaps knowing that."""
        contents: tuple[Content, ...] = (
            Measurement(Analyte.EOSINOPHILS, Decimal(1690)),
            Measurement(Analyte.EOSINOPHILS, Decimal("0.9")),
            Exposure(ExposureKind.ADMINISTRATION, ("imatinib",)),
            Retracted(),
        )
        decided = reviewed(
            sent,
            self.narrator.pick(contents),
            received_at=self._after(sent.received_at),
            actor=self.narrator.pick(("actor_1", "actor_2")),
            even_if_implausible=self.narrator.number(0, 1) == 1,
        )
        self.events.append(decided)

    def future(self) -> None:
        """A value that is dated after it was received: by less than a day it is believed, by more it is held."""
        hours = self.narrator.pick((23, 24, 25, 24 * 365 * 26))
        when = Instant(at(self.day) + hours * MICROSECONDS_PER_HOUR)
        content = Measurement(Analyte.EOSINOPHILS, Decimal(1690))
        key = f"future:{self.day}:{len(self.events)}"
        early = self._event(content, exactly(when), key, Status.FINAL, at(self.day))
        self.events.append(early)
        if self.narrator.number(0, 1):
            self.events.append(resent(early, received_at=at(self.day, 9)))


_ACTS: Final[Sequence[Callable[[Story], None]]] = (
    Story.doses,
    Story.doses,
    Story.drug_known_otherwise,
    Story.blood_count,
    Story.blood_count,
    Story.raised_count,
    Story.reaction,
    Story.reaction,
    Story.recurrence,
    Story.recurrence,
    Story.chemistry,
    Story.chemistry,
    Story.skin,
    Story.skin,
    Story.finding,
    Story.resolution,
    Story.report,
    Story.withdrawal,
    Story.treatment,
    Story.hold,
    Story.future,
)
_PAUSES_DAYS: Final = (0, 0, 1, 1, 1, 3, 5, 7, 8, 10, 13, 14, 15, 20, 28, 40, 61, 130)
_FATES: Final = (
    *("final",) * 12,
    "preliminary",
    "corrected",
    "corrected",
    "retracted",
    "retracted before",
    "restored",
    "conflicting",
    "sent again",
    "duplicated",
)


def _changed(content: Content, narrator: Narrator) -> Content:
    """Return another content that a later version of the same statement may carry."""
    match content:
        case Measurement():
            values = {
                Analyte.EOSINOPHILS: EOSINOPHILS,
                Analyte.EOSINOPHILS_PERCENT: PERCENTS,
                Analyte.LEUKOCYTES: LEUKOCYTES,
                Analyte.BODY_TEMPERATURE: TEMPERATURES,
                Analyte.CREATININE: CREATININES,
                Analyte.BODY_WEIGHT: WEIGHTS,
            }.get(content.analyte, ALTS)
            return replace(content, value=Decimal(narrator.pick(values)))
        case Finding():
            is_present = content.presence is Presence.PRESENT
            return replace(content, presence=Presence.ABSENT if is_present else Presence.PRESENT)
        case Exposure():
            return replace(content, ingredients=narrator.pick(DRUGS))
        case Report():
            return replace(
                content,
                reaction=narrator.pick(tuple(ReportedReaction)),
                serious=narrator.pick((True, False, None)),
            )
        case Held():
            return replace(content, code=narrator.pick(list(HoldCode)))
        case Retracted():
            return content


def tell_story(narrator: Narrator, patient: str = "patient-1", *, acts_max: int = 10) -> list[FactArrived]:
    """Return one patient's events in order of arrival; most patients get a watched drug first."""
    story = Story(narrator, patient, offset=narrator.pick((0, 0, 60, 540, -480)))
    if narrator.number(0, 3):
        story.doses()
        story.day += narrator.pick((0, 1, 5, 10, 20, 20, 57, 91))
    story.tell(narrator.number(0, acts_max))
    return sorted(story.events, key=lambda sent: sent.received_at)


def days_of(events: Sequence[FactArrived]) -> int:
    """Return how many days a story takes, from the first arrival to the last."""
    received = [sent.received_at for sent in events]
    return (max(received) - min(received)) // MICROSECONDS_PER_DAY if received else 0
