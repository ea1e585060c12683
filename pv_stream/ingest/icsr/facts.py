"""Safety reports as facts, so that a later version withdraws what it no longer says.

A report has a fixed number of places for reactions, dosages and measurements, each a fact of its own. Every version
says something of every place: what stands in it, or that nothing does (a tombstone). The version that is highest
under each key then is the same version for all of them, in whatever order versions arrive, and no memory of earlier
ones is needed. A nullification leaves all places empty.

A report is about one patient of its own: record numbers (D.1.1) name no assigning authority, so they join nobody.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pv_stream.domain.codes import (
    READ_HOLDS,
    Analyte,
    DrugRole,
    EvidenceFlag,
    ExposureKind,
    HoldCode,
    ReportedReaction,
)
from pv_stream.domain.facts import (
    UNLISTED_DRUG,
    Content,
    Exposure,
    Held,
    Report,
    ReportedDrug,
    Retracted,
    in_order,
)
from pv_stream.domain.ids import FactKey, PatientId
from pv_stream.domain.times import Interval, exactly
from pv_stream.ingest.drugs import Drug, report_route_of
from pv_stream.ingest.icsr.laboratory import LOINC, Tested, find_test
from pv_stream.ingest.icsr.report import Dosage, Product, Reaction, SafetyReport, Stated, TestResult, shifted
from pv_stream.ingest.intake import Envelope, Intake, Version, arrive, digest_of
from pv_stream.ingest.outcomes import Fate, Hold, IgnoreReason, Outcome, Reject, RejectCode
from pv_stream.ingest.quantities import parse_number
from pv_stream.ingest.results import Result, Specimen, judge
from pv_stream.ingest.tables import AnalyteCode, loinc_table
from pv_stream.ingest.times import Moment
from pv_stream.rules.plausibility import why_held

#: The places of one report. What does not find one is refused as an entry, so that nothing is lost in silence.
REACTIONS_MAX: Final = 16
DOSAGES_MAX: Final = 32
MEASUREMENTS_MAX: Final = 32
#: What the canonical form takes.
_REPORTED_DRUGS_MAX: Final = 64

_PLACES: Final = {"dosage": DOSAGES_MAX, "measurement": MEASUREMENTS_MAX, "reaction": REACTIONS_MAX}
_REACTION: Final = "E.i reaction"
_DOSAGE: Final = "G.k.4.r dosage"
_TEST: Final = "F.r test"
_WEIGHT: Final = "D.3 body weight"

#: D.3 is a body weight by definition; this is the LOINC code of one.
_BODY_WEIGHT: Final = "29463-7"
_BLAMES: Final = (DrugRole.SUSPECT, DrugRole.INTERACTING)
_ROLES_IN_ORDER: Final = (*_BLAMES, DrugRole.CONCOMITANT, DrugRole.NOT_ADMINISTERED)


@dataclass(frozen=True, slots=True)
class _Told:
    """Hold what stands in one place, from which part of the report, and when it held."""

    part: str
    path: str
    content: Content
    moment: Moment


@dataclass(frozen=True, slots=True)
class _Writer:
    """Hold what every fact of one report shares."""

    report: SafetyReport
    patient: PatientId
    intake: Intake
    envelope: Envelope
    outcome: Outcome
    key: Callable[..., FactKey]

    def version(self, kind: str, place: int) -> Version:
        """Return the version of what stands in one place, numbered from 1."""
        return Version(self.patient, self.key(kind, str(place)), self.report.status, self.report.version)

    def hold(self, code: HoldCode, path: str, sent: str, said: Exposure | Report | None = None) -> Held:
        """Count a hold and return what stands for it; `said` is what was read, for the person who settles it."""
        digest = digest_of(sent.encode(errors="surrogatepass"))
        self.outcome.holds.append(Hold(code, path, digest))
        return Held(code, digest, said=said if code in READ_HOLDS else None)

    def refuse(self, part: str, code: RejectCode, path: str) -> None:
        """Count a part that is refused."""
        self.outcome.rejects.append(Reject(code, path))
        self.outcome.note(part, Fate.REJECTED)

    def ignore(self, part: str, reason: IgnoreReason) -> None:
        """Count a part that is left aside."""
        self.outcome.ignored[reason] += 1
        self.outcome.note(part, Fate.IGNORED)


def tell(report: SafetyReport, intake: Intake, envelope: Envelope, outcome: Outcome) -> None:
    """Add the events of one version of a report to an outcome.

    What the version no longer says goes first and its reactions come last, so that an alert is told of the whole.
    """
    patient = intake.pseudonyms.patient("e2b", report.case)
    key = intake.pseudonyms.facts("e2b", report.case)
    writer = _Writer(report, patient, intake, envelope, outcome, key)
    if report.is_nullified:
        outcome.note("C.1.11 nullification", Fate.FACT)
        for kind, places in _PLACES.items():
            _retract(writer, kind, 0, places)
        return
    drugs = {product.path: intake.drugs.recognise(product.codings) for product in report.products}
    dosages = _placed(_dosages(writer, drugs), DOSAGES_MAX, writer)
    results = _results(writer)
    reactions = _placed(_reactions(writer, drugs), REACTIONS_MAX, writer)
    for kind, said in (("dosage", len(dosages)), ("measurement", len(results)), ("reaction", len(reactions))):
        _retract(writer, kind, said, _PLACES[kind])
    _write(writer, "dosage", dosages)
    judge(results, intake, outcome)
    _note(results, report, outcome)
    _write(writer, "reaction", reactions)


def _retract(writer: _Writer, kind: str, said: int, places: int) -> None:
    for place in range(said + 1, places + 1):
        # The moment is that of the version, so that a report that is sent twice says the same.
        writer.outcome.events.append(
            arrive(
                writer.version(kind, place),
                Retracted(),
                writer.report.latest,
                writer.envelope,
                f"{writer.report.prefix}C.1",
            )
        )


def _write(writer: _Writer, kind: str, told: Sequence[_Told]) -> None:
    for place, each in enumerate(told, start=1):
        writer.outcome.events.append(
            arrive(writer.version(kind, place), each.content, each.moment, writer.envelope, each.path)
        )


def _placed(told: Iterator[_Told], places: int, writer: _Writer) -> list[_Told]:
    """Return what finds a place: what is said twice needs one, and what rules can use comes first."""
    distinct: dict[tuple[Content, Moment], _Told] = {}
    found = sorted(told, key=lambda each: _rank(each.content))
    for each in found:
        if len(distinct) < places or (each.content, each.moment) in distinct:
            distinct.setdefault((each.content, each.moment), each)
            writer.outcome.note(each.part, Fate.HELD if isinstance(each.content, Held) else Fate.FACT)
        else:
            writer.refuse(each.part, RejectCode.TOO_MANY_REPEATS, each.path)
    return list(distinct.values())


def _rank(content: Content) -> int:
    match content:
        case Report():
            return 0 if content.reaction is ReportedReaction.DRESS else 1
        case Exposure():
            return 0 if content.ingredients else 2
        case _:
            return 1


# Reactions -------------------------------------------------------------------------------------------------------


def _reactions(writer: _Writer, drugs: dict[str, Drug]) -> Iterator[_Told]:
    for number, reaction in enumerate(writer.report.reactions):
        read = _report(writer, reaction, number, drugs)
        content: Content = read
        onset = reaction.onset
        if onset is HoldCode.MISSING_TIME:
            onset = _onset_by_report(writer.report)
        why: HoldCode | None = onset if isinstance(onset, HoldCode) else None
        if isinstance(onset, Moment):
            why = why_held(read, onset.interval, writer.envelope.received_at, writer.intake.rulebook)
        if why is not None or isinstance(onset, HoldCode):
            content = writer.hold(why or HoldCode.UNREADABLE_TIME, reaction.path, reaction.sent, read)
            onset = _at_arrival(writer.envelope)
        yield _Told(_REACTION, reaction.path, content, onset)


def _report(writer: _Writer, reaction: Reaction, number: int, drugs: dict[str, Drug]) -> Report:
    named: dict[ReportedDrug, None] = {}
    for product in writer.report.products:
        if product.role is not None:
            for ingredient in _names(drugs[product.path], product.role):
                named[ReportedDrug(ingredient, product.role, product.rechallenges[number])] = None
    ordered = sorted(named, key=lambda drug: (_ROLES_IN_ORDER.index(drug.role), drug.ingredient))
    if len(ordered) > _REPORTED_DRUGS_MAX and number == 0:
        writer.refuse("G.k drug", RejectCode.TOO_MANY_REPEATS, "G.k")
    kind = ReportedReaction.DRESS if reaction.is_dress else ReportedReaction.OTHER
    return Report(kind, reaction.serious, reaction.outcome, in_order(ordered[:_REPORTED_DRUGS_MAX]))


def _names(drug: Drug, role: DrugRole) -> tuple[str, ...]:
    """Return what a report calls a drug: its ingredients, else the code as sent where the drug is blamed.

    A name that no list knows is never repeated: it is free text.
    """
    if drug.is_known:
        return drug.ingredients
    if drug.doubt is not None and role in _BLAMES:
        # Blamed by a code and a name that disagree it may be either, and both must warn; else no list names it.
        return drug.may_be if drug.doubt is HoldCode.CONFLICTING_DRUGS else (UNLISTED_DRUG,)
    if role not in _BLAMES:
        return ()
    sent = drug.as_sent
    return (UNLISTED_DRUG if sent is None else sent.drug_name,)


def _onset_by_report(report: SafetyReport) -> Moment:
    """Return when a reaction without onset may have begun: under a drug that it is blamed on, or when first reported.

    It is at most as late as the most recent information.
    """
    latest = report.latest.interval.latest
    starts = [
        dosage.start.interval.earliest
        for product in report.products
        for dosage in product.dosages
        if product.role in _BLAMES and isinstance(dosage.start, Moment)
    ]
    first = report.first if isinstance(report.first, Moment) else report.latest
    earliest = min(starts, default=first.interval.earliest)
    return Moment(Interval(min(earliest, latest), latest), report.latest.utc_offset_minutes)


# Dosages ---------------------------------------------------------------------------------------------------------


def _dosages(writer: _Writer, drugs: dict[str, Drug]) -> Iterator[_Told]:
    for product in writer.report.products:
        drug = drugs[product.path]
        if product.role is None:
            writer.refuse("G.k drug", RejectCode.INCOMPLETE_REPORT, product.path)
            continue
        if drug.is_known or product.role in _BLAMES or product.dosages:
            writer.outcome.note("G.k drug", Fate.FACT)
        else:
            writer.ignore("G.k drug", IgnoreReason.CODE_NOT_USED)
        if not drug.is_known and drug.doubt is None:
            writer.outcome.ignored[IgnoreReason.DRUG_NOT_RECOGNISED] += 1
        for dosage in product.dosages:
            told = _dosage(writer, product, dosage, drug)
            if isinstance(told, IgnoreReason):
                writer.ignore(_DOSAGE, told)
            else:
                yield told


def _dosage(writer: _Writer, product: Product, dosage: Dosage, drug: Drug) -> _Told | IgnoreReason:
    if product.role is DrugRole.NOT_ADMINISTERED or product.by_father or dosage.to_parent:
        return IgnoreReason.NOT_GIVEN_TO_PATIENT
    start = _start(dosage)
    if start is HoldCode.MISSING_TIME:
        return IgnoreReason.NO_START
    end = start if isinstance(start, HoldCode) else _end(dosage, start, product, writer.report)
    if isinstance(start, HoldCode) or isinstance(end, HoldCode):
        return _held(writer, HoldCode.UNREADABLE_TIME, dosage, drug)
    exposure = _exposure(dosage, drug, end)
    why = why_held(exposure, start.interval, writer.envelope.received_at, writer.intake.rulebook)
    if why is not None:
        return _held(writer, why, dosage, drug, exposure if drug.doubt is None else None)
    if drug.doubt is not None:
        held = writer.hold(drug.doubt, dosage.path, f"{drug.identity}\x1f{dosage.sent}", exposure)
        return _Told(_DOSAGE, dosage.path, held, start)
    return _Told(_DOSAGE, dosage.path, exposure, start)


def _held(writer: _Writer, code: HoldCode, dosage: Dosage, drug: Drug, read: Exposure | None = None) -> _Told:
    held = writer.hold(code, dosage.path, f"{drug.identity}\x1f{dosage.sent}", read)
    return _Told(_DOSAGE, dosage.path, held, _at_arrival(writer.envelope))


def _start(dosage: Dosage) -> Moment | HoldCode:
    """Return the start as sent, else what the end and the duration say of it."""
    missing = dosage.start is HoldCode.MISSING_TIME
    if missing and dosage.lasted is not None and isinstance(dosage.end, Moment):
        return shifted(dosage.end, (-dosage.lasted[1], -dosage.lasted[0]))
    return dosage.start


def _end(dosage: Dosage, start: Moment, product: Product, report: SafetyReport) -> Interval | HoldCode | None:
    """Return the end as sent, else by the duration; a drug that was withdrawn ended before the report knew of it."""
    if isinstance(dosage.end, Moment):
        end = dosage.end.interval
        return HoldCode.UNREADABLE_TIME if end.latest < start.interval.earliest else end
    if dosage.end is not HoldCode.MISSING_TIME:
        return dosage.end
    if dosage.lasted is not None:
        return shifted(start, dosage.lasted).interval
    if product.withdrawn:
        return Interval(start.interval.earliest, max(report.latest.interval.latest, start.interval.latest))
    return None


def _exposure(dosage: Dosage, drug: Drug, end: Interval | None) -> Exposure:
    return Exposure(
        kind=ExposureKind.STATEMENT,
        ingredients=drug.ingredients or drug.may_be,
        route=report_route_of(dosage.route_code, drug.route),
        end=end,
        as_sent=drug.as_sent,
        flags=() if drug.is_known or drug.doubt else (EvidenceFlag.UNKNOWN_INGREDIENT,),
        dose=dosage.dose,
    )


# Measurements ----------------------------------------------------------------------------------------------------


def _results(writer: _Writer) -> list[Result]:
    """Return the tests and the weight that rules use, each in its place.

    Tests by LOINC and the weight come first: their places were theirs before tests were known by name, and a report
    that is sent again says the same there.
    """
    used: list[tuple[TestResult, Tested]] = []
    for test in writer.report.tests:
        found = find_test(test, writer.intake.meddra_tests)
        reason = found if isinstance(found, IgnoreReason) else test.stated.unused
        if reason is not None:
            writer.ignore(_TEST, reason)
        elif isinstance(found, Tested):
            used.append((test, found))
    # The last place is for the weight.
    in_places = _in_turn([found.code.analyte for _, found in used])[: MEASUREMENTS_MAX - 1]
    for number, (test, _) in enumerate(used):
        if number not in in_places:
            writer.refuse(_TEST, RejectCode.TOO_MANY_REPEATS, test.path)
    kept = [used[number] for number in sorted(in_places)]
    told = [each for each in kept if each[1].system == LOINC]
    weight = _weight(writer)
    if isinstance(weight, IgnoreReason):
        writer.ignore(_WEIGHT, weight)
    elif weight is not None:
        told.append((weight, Tested(LOINC, _BODY_WEIGHT, _weight_code())))
    told += [each for each in kept if each[1].system != LOINC]
    return [_result(writer, test, found, place) for place, (test, found) in enumerate(told, start=1)]


def _in_turn(analytes: Sequence[Analyte]) -> list[int]:
    """Return the numbers of tests in turn, the first of each analyte first, so that no series leaves out the others."""
    seen: Counter[Analyte] = Counter()
    turns: list[int] = []
    for analyte in analytes:
        turns.append(seen[analyte])
        seen[analyte] += 1
    return sorted(range(len(analytes)), key=turns.__getitem__)


def _note(results: Sequence[Result], report: SafetyReport, outcome: Outcome) -> None:
    """Say of each result that was judged whether it is held."""
    held = {hold.path for hold in outcome.holds}
    for result in results:
        part = _WEIGHT if result.path == f"{report.prefix}D.3" else _TEST
        outcome.note(part, Fate.HELD if result.path in held else Fate.FACT)


def _weight(writer: _Writer) -> TestResult | IgnoreReason | None:
    """Return the body weight, which is by definition that at the time of the reaction, as a test of the first onset."""
    report = writer.report
    if not report.weight_kg:
        return None
    onsets = [each.onset for each in report.reactions if isinstance(each.onset, Moment)]
    if not onsets:
        return IgnoreReason.NO_START
    first = min(onsets, key=lambda onset: (onset.interval.earliest, onset.interval.latest))
    number = parse_number(report.weight_kg)
    return TestResult(f"{report.prefix}D.3", (), "", first, Stated(number, report.weight_kg, ("kg",)))


def _weight_code() -> AnalyteCode:
    return loinc_table().analytes[_BODY_WEIGHT]


def _result(writer: _Writer, test: TestResult, found: Tested, place: int) -> Result:
    version = writer.version("measurement", place)
    return Result(
        envelope=writer.envelope,
        path=test.path,
        system=found.system,
        code_as_sent=found.name,
        code=found.code,
        version=version,
        status=version.status,
        moment=test.moment,
        number=test.stated.number,
        value_text=test.stated.text,
        units=test.stated.units,
        specimen=Specimen(None, EvidenceFlag.SPECIMEN_NOT_STATED, found.is_specimen_stated),
    )


def _at_arrival(envelope: Envelope) -> Moment:
    return Moment(exactly(envelope.received_at), None)
