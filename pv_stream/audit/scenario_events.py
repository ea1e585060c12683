"""From the lines of a scenario to canonical events: the same records that ingest would have written.

Each becomes a domain event and then bytes, so that a scenario passes through the real decoder and the real fold.
Values stand in the unit in which pv_stream keeps them: converting units is what ingest does.
"""

import hashlib
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum
from typing import Final, TypeVar

from pv_stream.audit.scenario import Case, Given, Scenario
from pv_stream.audit.scenario_acts import ACT_WORDS, ACTOR_DEFAULT, FIRST, LATEST, Act
from pv_stream.audit.scenario_file import read_instant
from pv_stream.audit.scenario_rulebooks import digest_of_variant
from pv_stream.codec.events import encode_event
from pv_stream.domain.assessment import Tier
from pv_stream.domain.codes import (
    UNIT_OF,
    Analyte,
    Comparator,
    DrugRole,
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
from pv_stream.domain.events import (
    Absorbed,
    Absorbs,
    ClockTicked,
    FactArrived,
    RulebookActivated,
    Separated,
)
from pv_stream.domain.facts import (
    AsSent,
    Content,
    Dose,
    Exposure,
    FactVersion,
    Finding,
    Held,
    Measurement,
    Provenance,
    Report,
    ReportedDrug,
    Retracted,
    Review,
    Statement,
    VersionOrder,
)
from pv_stream.domain.ids import ActionId, FactKey, PatientId
from pv_stream.domain.outputs import AlertKind
from pv_stream.domain.times import MICROSECONDS_PER_DAY, Instant, exactly
from pv_stream.engine.activation import ENGINE_VERSION
from pv_stream.errors import DataError

Word = TypeVar("Word", bound=Enum)

PATIENT: Final = PatientId("scenario-patient")
#: The patient record that a line is about when it names none; another has this between the scenario's id and its name.
MAIN_PATIENT: Final = "main"
_OTHER_RECORD: Final = "."
_PATIENT_NAME: Final = re.compile(r"[a-z0-9]{1,20}", re.ASCII)
_VALUE: Final = re.compile(r"(<=|>=|<|>)?\s*(-?\d{1,12}(?:\.\d{1,9})?) (\S+)", re.ASCII)
_UNIT_WORDS: Final = {"°C": "Cel"}
_ANALYTE_WORDS: Final = {
    "temperature": Analyte.BODY_TEMPERATURE,
    **{analyte.value: analyte for analyte in Analyte},
}
_KINDS: Final = {
    "gives": ExposureKind.ADMINISTRATION,
    "takes": ExposureKind.STATEMENT,
    "orders": ExposureKind.ORDER,
    "dispenses": ExposureKind.DISPENSE,
    "stops": ExposureKind.ORDER,
}


@dataclass(frozen=True, slots=True)
class TimedRecord:
    """Hold the bytes of one record and when it is received; those of an act are written when its turn comes."""

    received: Instant
    key: bytes | None
    value: bytes
    act: Act | None = None


def records_of(scenario: Scenario, case: Case, patient_id: PatientId = PATIENT) -> list[TimedRecord]:
    """Return the records of a case in the order in which they are received.

    Raises DataError naming the line of what cannot be said.
    """
    builder = _Builder(scenario, case, patient_id)
    records = [
        record for number, given in enumerate(case.given, start=1) for record in builder.build(number, given)
    ]
    return sorted(records, key=lambda record: record.received)


def name_of_patient(patient_id: str) -> str:
    """Return what a scenario calls a patient record."""
    return patient_id.partition(_OTHER_RECORD)[2] or MAIN_PATIENT


def check_drugs(scenario: Scenario, case: Case, listed: Container[str]) -> None:
    """Raise DataError naming the line of a drug that is not listed, unless the line says that it is not."""
    for given in case.given:
        if given.action not in _KINDS:
            continue
        is_unlisted = given.options.get("unlisted", "no")
        if is_unlisted not in {"yes", "no"}:
            msg = f"{scenario.path} line {given.line}: unlisted is yes or no"
            raise DataError(msg)
        for name in ingredients_of(given) if is_unlisted == "no" else ():
            if name not in listed:
                msg = (
                    f"{scenario.path} line {given.line}: unknown drug {name!r}: see `pv-stream rules show`, "
                    "or say unlisted: yes"
                )
                raise DataError(msg)


def ingredients_of(given: Given) -> tuple[str, ...]:
    """Return the ingredients that a line names, in order of name."""
    return _names(given.subject)


def _names(text: str) -> tuple[str, ...]:
    return tuple(sorted(name.strip() for name in text.split("+")))


@dataclass(slots=True)
class _Builder:
    scenario: Scenario
    case: Case
    patient_id: PatientId
    named: dict[str, FactVersion] = field(default_factory=dict)
    acts: dict[str, Act] = field(default_factory=dict)

    def mistake(self, given: Given, what: str) -> DataError:
        msg = f"{self.scenario.path} line {given.line}: {what}"
        return DataError(msg)

    def build(self, number: int, given: Given) -> Iterator[TimedRecord]:
        if given.action == "clock":
            yield TimedRecord(given.received, None, encode_event(ClockTicked(given.received)))
            return
        if given.action == "activates":
            yield from self._activation(given)
            return
        if given.action in {"merges", "separates"}:
            yield from self._identity(number, given)
            return
        patient_id = self._patient(given, "patient")
        if given.action in ACT_WORDS or (given.action == "repeats" and given.subject in self.acts):
            act = self._act(number, given)
            yield TimedRecord(given.received, patient_id.encode(), b"", act)
            return
        if given.action == "raw":
            yield TimedRecord(given.received, patient_id.encode(), given.subject.encode())
            return
        for version in self._versions(number, given):
            event = FactArrived(patient_id, version)
            yield TimedRecord(version.provenance.received_at, patient_id.encode(), encode_event(event))

    def _patient(self, given: Given, option: str) -> PatientId:
        """Return the patient record that an option names, the scenario's own when it is left out."""
        return self._record(given, given.options.get(option, MAIN_PATIENT))

    def _record(self, given: Given, name: str) -> PatientId:
        if name == MAIN_PATIENT:
            return self.patient_id
        if _PATIENT_NAME.fullmatch(name) is None:
            raise self.mistake(given, "a patient record is named by letters and digits")
        return PatientId(f"{self.patient_id}{_OTHER_RECORD}{name}")

    def _identity(self, number: int, given: Given) -> Iterator[TimedRecord]:
        """Merge one patient record into another, or take that back, as ingest writes it."""
        prior = self._record(given, given.subject)
        provenance = self._provenance(str(number), given.received)
        events: tuple[Absorbed | Absorbs | Separated, ...]
        if given.action == "merges":
            survivor = self._patient(given, "into")
            events = (Absorbed(prior, survivor, provenance), Absorbs(survivor, prior, provenance))
        else:
            events = (Separated(self._patient(given, "from"), prior, provenance),)
        for event in events:
            yield TimedRecord(given.received, event.patient_id.encode(), encode_event(event))

    def _act(self, number: int, given: Given) -> Act:
        if given.action == "repeats":
            return replace(self.acts[given.subject], received=given.received)
        options = given.options
        which, reason = options.get("which", LATEST), options.get("reason")
        if which not in {FIRST, LATEST}:
            raise self.mistake(given, f"which is {FIRST} or {LATEST}")
        act = Act(
            patient_id=self._patient(given, "patient"),
            action_id=ActionId(f"act-{number}"),
            action=ACT_WORDS[given.action],
            kind=self._word(given, AlertKind, given.subject).value,
            which=which,
            reason=reason,
            drugs=_names(options["culprit"]) if "culprit" in options else (),
            actor=options.get("by", ACTOR_DEFAULT),
            seen_tier=self._word(given, Tier, options["seen_tier"]) if "seen_tier" in options else None,
            received=given.received,
        )
        if "id" in options:
            self.acts[options["id"]] = act
        return act

    def _activation(self, given: Given) -> Iterator[TimedRecord]:
        """Tell the time and put a rulebook in force, as the owner of a shard and `rules activate` do live."""
        changes = self.scenario.rulebooks.get(given.subject)
        if changes is None:
            raise self.mistake(given, f"no rulebook {given.subject!r} under rulebooks")
        activated = RulebookActivated(ENGINE_VERSION, digest_of_variant(given.subject, changes))
        for event in (ClockTicked(given.received), activated):
            yield TimedRecord(given.received, None, encode_event(event))

    def _versions(self, number: int, given: Given) -> Iterator[FactVersion]:
        if given.action in {"corrects", "retracts", "repeats", "confirms", "discards"}:
            yield self._follow_up(number, given)
            return
        first = self._version(f"line-{number}", number, given, self._content(given))
        if "id" in given.options:
            first = replace(first, key=FactKey(f"given:{given.options['id']}"))
            if given.options["id"] in self.named:
                raise self.mistake(given, f"two lines have the id {given.options['id']!r}")
            self.named[given.options["id"]] = first
        yield first
        yield from self._later_doses(number, given, first)

    def _later_doses(self, number: int, given: Given, first: FactVersion) -> Iterator[FactVersion]:
        if "daily_until" not in given.options:
            return
        until = self._instant(given, "daily_until")
        for dose in range(1, (until - given.at) // MICROSECONDS_PER_DAY + 1):
            later = dose * MICROSECONDS_PER_DAY
            yield replace(
                first,
                key=FactKey(f"{first.key}.dose-{dose}"),
                order=replace(first.order, issued_at=first.order.issued_at + later),
                statement=replace(first.statement, effective=exactly(Instant(given.at + later))),
                provenance=self._provenance(f"{number}.{dose}", Instant(given.received + later)),
            )

    def _follow_up(self, number: int, given: Given) -> FactVersion:
        original = self.named.get(given.subject)
        if original is None:
            raise self.mistake(given, f"no line before this one has the id {given.subject!r}")
        provenance = self._provenance(str(number), given.received)
        if given.action == "repeats":
            return replace(original, provenance=provenance)
        if given.action in {"confirms", "discards"}:
            return self._decision(given, original, provenance)
        source_version = int(self._number(given, "source_version") or original.order.source_version)
        status, content = self._follow_up_content(given, original.statement.content)
        version = replace(
            original,
            order=VersionOrder(source_version, status, issued_at=given.received),
            statement=replace(original.statement, content=content),
            provenance=provenance,
        )
        if given.action == "corrects":
            self.named[given.subject] = version
        return version

    def _decision(self, given: Given, original: FactVersion, provenance: Provenance) -> FactVersion:
        """Return what a person decided about a held value, ranked as the decoder ranks it."""
        held, options = original.statement.content, given.options
        if not isinstance(held, Held):
            raise self.mistake(given, f"{given.action!r} does not fit what {given.subject!r} is")
        is_exceptional = options.get("even_if_implausible", "no")
        if is_exceptional not in {"yes", "no"}:
            raise self.mistake(given, "even_if_implausible is yes or no")
        confirms = given.action == "confirms"
        usual = ReviewReason.CHECKED_IN_SOURCE if confirms else ReviewReason.CANNOT_BE_VERIFIED
        reason = self._word(given, ReviewReason, options.get("reason", usual.value))
        review = Review(options.get("by", ACTOR_DEFAULT), reason, is_exceptional == "yes")
        effective = original.statement.effective
        if "time" in options:
            effective = exactly(self._instant(given, "time"))
        content = self._confirmed(given, held) if confirms else Retracted()
        return replace(
            original,
            order=replace(original.order, reviewed_at=given.received),
            statement=replace(original.statement, content=content, effective=effective),
            provenance=replace(provenance, review=review),
        )

    def _confirmed(self, given: Given, held: Held) -> Content:
        if "value" not in given.options and held.said is not None:
            return held.said
        if held.analyte is None:
            raise self.mistake(given, f"{given.subject!r} holds no value: confirm its time")
        value = self._measurement(given, held.analyte, self._option(given, "value"))
        return replace(value, specimen=held.specimen)

    def _follow_up_content(self, given: Given, original: Content) -> tuple[Status, Content]:
        match given.action, original:
            case "retracts", _:
                return Status.RETRACTED, Retracted()
            case "corrects", Held(analyte=analyte) if analyte is not None:
                return Status.CORRECTED, self._measurement(given, analyte, self._option(given, "value"))
            case "corrects", Measurement():
                corrected = self._measurement(given, original.analyte, self._option(given, "value"))
                return Status.CORRECTED, replace(corrected, specimen=original.specimen)
            case "corrects", Report():
                return Status.CORRECTED, self._report(given, given.options.get("reaction"), original)
            case "corrects", Finding():
                presence = self._word(given, Presence, self._option(given, "finding_is"))
                return Status.CORRECTED, Finding(original.code, presence)
            case _:
                raise self.mistake(given, f"{given.action!r} does not fit what {given.subject!r} is")

    def _version(self, key: str, number: int, given: Given, content: Content) -> FactVersion:
        status = Status.FINAL
        if "status" in given.options:
            status = self._word(given, Status, given.options["status"])
        return FactVersion(
            key=FactKey(f"given:{key}"),
            order=VersionOrder(0, status, issued_at=given.received),
            statement=Statement(content, exactly(given.at), self.scenario.utc_offset_minutes),
            provenance=self._provenance(str(number), given.received),
        )

    def _provenance(self, number: str, received: Instant) -> Provenance:
        message = f"{self.scenario.title}\x1f{self.case.name}\x1f{number}"
        digest = f"sha256:{hashlib.sha256(message.encode()).hexdigest()}"
        return Provenance(received, digest, f"given[{number}]", "canonical")

    def _content(self, given: Given) -> Content:
        if given.action in _KINDS:
            return self._exposure(given)
        if given.action in _ANALYTE_WORDS:
            return self._measurement(given, _ANALYTE_WORDS[given.action], given.subject)
        if given.action == "holds":
            return self._held(given)
        if given.action == "reports":
            return self._report(given, given.subject, None)
        return self._finding(given)

    def _report(self, given: Given, reaction: str | None, original: Report | None) -> Report:
        """Return what a line reports; in an amendment what is not said stays as it was."""
        base = original or Report(ReportedReaction.DRESS, None, ReportOutcome.UNKNOWN, ())
        options = given.options
        serious = options.get("serious")
        if serious not in {"yes", "no", None}:
            raise self.mistake(given, "serious is yes or no")
        outcome = options.get("outcome")
        return Report(
            base.reaction if reaction is None else self._word(given, ReportedReaction, reaction),
            base.serious if serious is None else serious == "yes",
            base.outcome if outcome is None else self._word(given, ReportOutcome, outcome),
            self._reported_drugs(given) or base.drugs,
        )

    def _reported_drugs(self, given: Given) -> tuple[ReportedDrug, ...]:
        options = given.options
        rechallenge = self._word(given, RechallengeOutcome, options.get("rechallenge", "outcome_unknown"))
        drugs = [
            ReportedDrug(name, role, rechallenge)
            for role in DrugRole
            if role.value in options
            for name in _names(options[role.value])
        ]
        return tuple(sorted(drugs, key=lambda drug: (drug.ingredient, drug.role)))

    def _held(self, given: Given) -> Held:
        """Return a held value or, of a `kind`, a held drug; what it said stays with it when only its time is wrong."""
        code = self._word(given, HoldCode, self._option(given, "code"))
        digest = f"sha256:{hashlib.sha256(given.subject.encode()).hexdigest()}"
        if "kind" in given.options:
            kind = self._word(given, ExposureKind, given.options["kind"])
            return Held(code, digest, said=Exposure(kind, ingredients_of(given)))
        analyte = self._word(given, Analyte, given.subject)
        value = given.options.get("value")
        return Held(
            code, digest, analyte, said=None if value is None else self._measurement(given, analyte, value)
        )

    def _exposure(self, given: Given) -> Exposure:
        return Exposure(
            kind=_KINDS[given.action],
            ingredients=ingredients_of(given),
            route=self._word(given, Route, given.options.get("route", "unknown")),
            end=exactly(self._instant(given, "until")) if "until" in given.options else None,
            is_stop=given.action == "stops",
            dose=self._dose(given),
        )

    def _dose(self, given: Given) -> Dose | None:
        dose = Dose(*(self._number(given, name) for name in ("dose_mg", "dose_mg_per_kg", "per_day")))
        return None if dose == Dose() else dose

    def _measurement(self, given: Given, analyte: Analyte, text: str) -> Measurement:
        found = _VALUE.fullmatch(text)
        if found is None:
            raise self.mistake(given, f"a value is written with its unit, such as 1500 {UNIT_OF[analyte]}")
        comparator, value, unit = found.groups()
        if _UNIT_WORDS.get(unit, unit) != UNIT_OF[analyte]:
            raise self.mistake(
                given, f"write {analyte.value} in {UNIT_OF[analyte]}: converting units is ingest's work"
            )
        sent_value, _, sent_unit = given.options.get(
            "sent_as", f"{value} {_UNIT_WORDS.get(unit, unit)}"
        ).partition(" ")
        return Measurement(
            analyte=analyte,
            value=Decimal(value),
            comparator=None if comparator is None else Comparator(comparator),
            specimen=given.options.get("specimen"),
            as_sent=AsSent("scenario", analyte.value, sent_value, sent_unit or None),
        )

    def _finding(self, given: Given) -> Finding:
        options = given.options
        return Finding(
            code=self._word(given, FindingCode, given.subject),
            presence=Presence.PRESENT if given.action == "present" else Presence.ABSENT,
            body_surface_percent=self._number(given, "body_surface_percent"),
            sites=int(options["sites"]) if options.get("sites", "").isdecimal() else None,
            size_cm=self._number(given, "size_cm"),
        )

    def _number(self, given: Given, name: str) -> Decimal | None:
        text = given.options.get(name)
        if text is None:
            return None
        if re.fullmatch(r"\d{1,4}(\.\d{1,4})?", text, re.ASCII) is None:
            raise self.mistake(given, f"{name} is a number, such as 60")
        return Decimal(text)

    def _option(self, given: Given, name: str) -> str:
        if name not in given.options:
            raise self.mistake(given, f"{name!r} is missing")
        return given.options[name]

    def _instant(self, given: Given, name: str) -> Instant:
        instant = read_instant(self._option(given, name), self.scenario.utc_offset_minutes)
        if instant is None:
            raise self.mistake(given, f"{name} is a time, such as day 20 08:00")
        return instant

    def _word(self, given: Given, words: type[Word], word: str) -> Word:
        known = {member.name.lower(): member for member in words}
        if word not in known:
            raise self.mistake(given, f"unknown word {word!r}; known: {', '.join(known)}")
        return known[word]
