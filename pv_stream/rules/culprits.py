"""Culprits: the drugs blamed for an episode, by facts and by reporters, and which later courses meet them again.

This is the memory for life. It is made anew from all facts each time, and facts are kept, so a later course meets a
culprit however long ago the episode was. Facts and reporters may name different drugs: all are shown, each with who
named it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pv_stream.domain.assessment import Culprit, ExposureState, Latency, NamedBy
from pv_stream.domain.facts import Report
from pv_stream.domain.times import local_day
from pv_stream.rules.courses import Course, WindowPosition
from pv_stream.rules.episodes import Courses, Ending, Span
from pv_stream.rules.reports import ReportedCulprit, names_dress, reported_culprits
from pv_stream.rules.rulebook import Rulebook
from pv_stream.rules.suspects import Suspect
from pv_stream.rules.timeline import Dated


@dataclass(frozen=True, slots=True)
class Blamed:
    """Hold the drugs blamed for one episode: by the facts, in their courses, by reporters, and by a clinician.

    `courses` are all of the patient.
    """

    suspects: tuple[Suspect, ...]
    reported: tuple[ReportedCulprit, ...]
    span: Span
    courses: Courses
    by_clinician: frozenset[str] = frozenset()

    @property
    def seen(self) -> tuple[Suspect, ...]:
        """Return the suspects with evidence in their window: not those that only joined."""
        return tuple(suspect for suspect in self.suspects if suspect.evidence)

    @property
    def drugs(self) -> frozenset[str]:
        """Return every blamed drug."""
        suspects = (suspect.course.drug for suspect in self.suspects)
        reported = (named.drug for named in self.reported)
        return self.by_clinician.union(suspects, reported)

    def namers_of(self, drug: str) -> tuple[NamedBy, ...]:
        """Return who names a drug apart from the facts."""
        clinician = (NamedBy.CLINICIAN,) if drug in self.by_clinician else ()
        reporters = (
            NamedBy.REPORTER if named.of_dress else NamedBy.OTHER_REPORT
            for named in self.reported
            if named.drug == drug
        )
        return (*clinician, *reporters)

    def course_of(self, drug: str) -> Course | None:
        """Return the course of a blamed drug: the one in which the facts blame it, else the last begun by the onset."""
        suspected = next((s.course for s in self.suspects if s.course.drug == drug), None)
        if suspected is not None or drug not in self.drugs:
            return suspected
        onset = self.span.opening.at.latest
        begun = [course for course in self.courses.get(drug, ()) if course.first.earliest <= onset]
        return begun[-1] if begun else None

    def is_met_again_by(self, course: Course) -> bool:
        """Tell whether a course is a later one of a blamed drug; where none was begun by the onset, any is."""
        if course.drug not in self.drugs:
            return False
        own = self.course_of(course.drug)
        return own is None or course.index > own.index

    def is_met_again_in(self, later: "Blamed") -> bool:
        """Tell whether a blamed drug is blamed again in a later course, or reported to have caused it again."""
        named = later.by_clinician.union(reported.drug for reported in later.reported if reported.of_dress)
        courses = [
            *(suspect.course for suspect in later.seen),
            *(course for drug in sorted(named) if (course := later.course_of(drug)) is not None),
        ]
        recurred = {reported.drug for reported in later.reported if reported.recurred}
        return any(map(self.is_met_again_by, courses)) or not recurred.isdisjoint(self.drugs)

    def is_met_in_part_by(self, course: Course) -> bool:
        """Tell whether a course gives one of two drugs alone that were blamed in one product.

        Which of the two caused the reaction is not known.
        """
        own = self.course_of(course.drug)
        if own is None:
            return False
        partners = {
            suspect.course.drug
            for suspect in self.suspects
            if suspect.course.drug != course.drug and begin_together(suspect.course, own)
        }
        return bool(partners) and not any(
            begin_together(other, course) for drug in partners for other in self.courses[drug]
        )


def begin_together(one: Course, other: Course) -> bool:
    """Tell whether two courses begin with one record: a product of several drugs."""
    return one.records[0] == other.records[0]


def blame(span: Span, suspects: tuple[Suspect, ...], courses: Courses, rulebook: Rulebook) -> Blamed:
    """Return the drugs blamed for an episode by the facts and by reports."""
    return Blamed(suspects, _reported(span, rulebook), span, courses)


def with_partners(blamed: Blamed, end: Ending, rulebook: Rulebook) -> Blamed:
    """Return what is blamed with the cross-reactive drugs that were begun while the episode was open."""
    begun = _partners_begun(blamed, end, rulebook)
    suspects = sorted((*blamed.suspects, *begun), key=lambda s: (s.order, s.course.drug))
    return replace(blamed, suspects=tuple(suspects))


def _reported(span: Span, rulebook: Rulebook) -> tuple[ReportedCulprit, ...]:
    """Return what the reports of DRESS in an episode blame, and those of another reaction on its days."""
    others = [
        reported
        for reported in span.timeline.reports
        if not names_dress(reported) and _is_during(reported, span)
    ]
    return reported_culprits((*span.reports, *others), rulebook)


def _is_during(reported: Dated[Report], span: Span) -> bool:
    offset = reported.utc_offset_minutes
    first = local_day(span.opening.at.earliest, span.opening.utc_offset_minutes)
    last = local_day(span.last.at.latest, span.last.utc_offset_minutes)
    return local_day(reported.at.latest, offset) >= first and local_day(reported.at.earliest, offset) <= last


def _partners_begun(blamed: Blamed, end: Ending, rulebook: Rulebook) -> list[Suspect]:
    until = end.closes_at if end.resolved_at is None else end.resolved_at
    opening = blamed.span.opening.at.latest
    begun = []
    for drug in sorted(set(blamed.courses) - blamed.drugs):
        if not rulebook.class_partners.get(drug, frozenset()) & blamed.drugs:
            continue
        course = next((c for c in blamed.courses[drug] if opening < c.first.earliest < until), None)
        if course is not None:
            position = WindowPosition(Latency.UNKNOWN, None)
            begun.append(Suspect(course, position, evidence=(), began_after_onset=True))
    return begun


def with_named(culprits: Sequence[Culprit], blamed: Blamed, rulebook: Rulebook) -> tuple[Culprit, ...]:
    """Return the ranked culprits of the facts, marked where people name them too, and those that only people name.

    The latter rank together after the others.
    """
    marked = [
        replace(culprit, named_by=(*culprit.named_by, *blamed.namers_of(culprit.drug)))
        for culprit in culprits
    ]
    known = {culprit.drug for culprit in culprits}
    return (
        *marked,
        *(
            Culprit(
                drug=drug,
                rxnorm=rulebook.watched[drug].rxnorm,
                rank=1 + len(marked),
                latency_days=None,
                latency=Latency.UNKNOWN,
                exposure=ExposureState.UNKNOWN,
                threshold_per_ul=rulebook.threshold_per_ul(rulebook.watched[drug]),
                evidence=tuple(key for r in blamed.reported if r.drug == drug for key in r.evidence),
                named_by=blamed.namers_of(drug),
            )
            for drug in sorted(blamed.drugs - known)
        ),
    )
