"""Judging: three-valued statements about an episode, and how they are put together.

A statement is unmet only where that is documented; silence leaves it unknown. J-SCAR, Bocquet and the causality
scales are tables of such statements.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pv_stream.domain.codes import Analyte, FindingCode, Presence
from pv_stream.domain.criteria import Criterion, Truth
from pv_stream.domain.facts import Finding, Measurement
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import Instant, Interval, local_day
from pv_stream.rules.courses import Course
from pv_stream.rules.rulebook import Parameters
from pv_stream.rules.timeline import Dated, EosinophilCount, Reading, Timeline, reading_of
from pv_stream.rules.wording import worded

LIVER: Final = "liver"


@dataclass(frozen=True, slots=True)
class Judged:
    """Hold whether a statement is true and the facts that decided it."""

    truth: Truth
    evidence: tuple[FactKey, ...] = ()


NOT_KNOWN: Final = Judged(Truth.UNKNOWN)


def met(*evidence: FactKey) -> Judged:
    """Return a statement that is documented as true."""
    return Judged(Truth.MET, evidence)


def unmet(*evidence: FactKey) -> Judged:
    """Return a statement that is documented as false."""
    return Judged(Truth.UNMET, evidence)


def unknown(*evidence: FactKey) -> Judged:
    """Return a statement that is not settled by what is documented."""
    return Judged(Truth.UNKNOWN, evidence)


def any_of(*statements: Judged) -> Judged:
    """Return whether one is met: met by the first that is, unmet when each is, else unknown."""
    first = next((one for one in statements if one.truth is Truth.MET), None)
    if first is not None:
        return first
    if all(one.truth is Truth.UNMET for one in statements):
        return unmet(*dict.fromkeys(key for one in statements for key in one.evidence))
    return NOT_KNOWN


def any_value_of(values: Iterable[Judged]) -> Judged:
    """Return whether one of several values of a kind is met; the first stands for all when none is."""
    first, is_open = None, False
    for value in values:
        if value.truth is Truth.MET:
            return value
        first = first or value
        is_open = is_open or value.truth is Truth.UNKNOWN
    return NOT_KNOWN if first is None or is_open else first


def all_of(truths: Iterable[Truth]) -> Truth:
    """Return whether all are met: unmet when one is unmet, met when each is met, else unknown."""
    found = tuple(truths)
    if Truth.UNMET in found:
        return Truth.UNMET
    return Truth.UNKNOWN if Truth.UNKNOWN in found else Truth.MET


def whichever(statements: Sequence[Judged]) -> Judged:
    """Return what holds whichever of several candidates is the right one; unknown where they differ, or are none."""
    if not statements or any(one.truth is not statements[0].truth for one in statements):
        return NOT_KNOWN
    return Judged(statements[0].truth, tuple(dict.fromkeys(k for one in statements for k in one.evidence)))


def above(reading: Reading, bound: Decimal) -> Truth:
    """Tell whether a value is above a bound, not equal to it."""
    if reading.low > bound or (reading.low == bound and reading.low_open):
        return Truth.MET
    return Truth.UNMET if reading.high is not None and reading.high <= bound else Truth.UNKNOWN


def at_least(reading: Reading, bound: Decimal) -> Truth:
    """Tell whether a value is at or above a bound."""
    if reading.low >= bound:
        return Truth.MET
    if reading.high is None:
        return Truth.UNKNOWN
    is_below = reading.high < bound or (reading.high == bound and reading.high_open)
    return Truth.UNMET if is_below else Truth.UNKNOWN


@dataclass(frozen=True, slots=True)
class Scene:
    """Hold one episode as the criteria see it.

    `timeline` is the episode's own part. `first_courses` are the courses of the rank-1 culprits, each with the start
    of the next course of the same drug, if there is one.
    """

    timeline: Timeline
    onset: Interval
    utc_offset_minutes: int
    resolved_at: Instant | None
    first_courses: tuple[tuple[Course, Instant | None], ...]
    has_suspects: bool
    findings: Mapping[FindingCode, tuple[Dated[Finding], ...]]

    def present(self, *codes: FindingCode) -> tuple[Dated[Finding], ...]:
        """Return the findings of some codes that are documented as present, code by code in order of time."""
        return self._documented(codes, Presence.PRESENT)

    def absent(self, *codes: FindingCode) -> tuple[Dated[Finding], ...]:
        """Return the findings of some codes that are documented as absent."""
        return self._documented(codes, Presence.ABSENT)

    def _documented(self, codes: tuple[FindingCode, ...], presence: Presence) -> tuple[Dated[Finding], ...]:
        return tuple(
            dated
            for code in codes
            for dated in self.findings.get(code, ())
            if dated.content.presence is presence
        )

    def found(self, code: FindingCode) -> Judged:
        """Tell whether a finding is documented as present, else as absent; a later "absent" undoes nothing."""
        present, absent = self.present(code), self.absent(code)
        if present:
            return met(present[0].key)
        return unmet(absent[0].key) if absent else NOT_KNOWN

    def values(self, analyte: Analyte) -> tuple[Dated[Measurement], ...]:
        """Return the measured values of an analyte."""
        return tuple(dated for dated in self.timeline.measurements if dated.content.analyte is analyte)

    def any_value(
        self, analyte: Analyte, test: Callable[[Reading], Truth], unsure: frozenset[FactKey] = frozenset()
    ) -> Judged:
        """Tell whether a value of the episode passes a test: unmet when there are values and none may.

        A value that is `unsure` may pass, but does not settle that it does.
        """
        return any_value_of(
            unknown(dated.key)
            if dated.key in unsure
            else Judged(test(reading_of(dated.content)), (dated.key,))
            for dated in self.values(analyte)
        )

    def raised_before(self, parameters: Parameters) -> frozenset[FactKey]:
        """Return the raised ALT values that are no sign, since they were no lower before the drug."""
        bound = parameters.alt_organ_u_per_l.value
        return frozenset(
            sign.key
            for sign in self.timeline.signs
            if sign.organ == LIVER and not sign.positive and sign.value is not None and sign.value >= bound
        )


def any_count(scene: Scene, test: Callable[[Reading], Truth]) -> Judged:
    """Tell whether an eosinophil count passes a test.

    A specimen of which the readings disagree settles nothing, nor does a low count under masking.
    """
    return any_value_of(_counted(count, test) for count in scene.timeline.counts if count.counts)


def _counted(count: EosinophilCount, test: Callable[[Reading], Truth]) -> Judged:
    judged = whichever([Judged(test(reading), count.keys) for reading in count.counts])
    return unknown(*count.keys) if count.masked_by and judged.truth is Truth.UNMET else judged


def findings_by_code(timeline: Timeline) -> Mapping[FindingCode, tuple[Dated[Finding], ...]]:
    """Return the findings of a timeline by their code, each in order of time."""
    found: dict[FindingCode, tuple[Dated[Finding], ...]] = {}
    for dated in timeline.findings:
        found[dated.content.code] = (*found.get(dated.content.code, ()), dated)
    return found


def days_from(
    start: Interval, start_offset_minutes: int, at: Interval, utc_offset_minutes: int
) -> tuple[int, int]:
    """Return the fewest and the most calendar days that may lie from a start to an instant."""
    return (
        local_day(at.earliest, utc_offset_minutes) - local_day(start.latest, start_offset_minutes),
        local_day(at.latest, utc_offset_minutes) - local_day(start.earliest, start_offset_minutes),
    )


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one criterion of a table: its name, its wording, and how a scene is judged by it.

    The wording names the parameters of the rulebook that are in it.
    """

    name: str
    wording: str
    judge: Callable[[Scene, Parameters], Judged]

    def title(self, parameters: Parameters) -> str:
        """Return the criterion in words, with the numbers of a rulebook."""
        return worded(self.wording, parameters)


def judge(rows: Iterable[Row], scene: Scene, parameters: Parameters) -> tuple[Criterion, ...]:
    """Judge a scene by every row of a table."""
    judged = ((row.name, row.judge(scene, parameters)) for row in rows)
    return tuple(Criterion(name, found.truth, found.evidence) for name, found in judged)
