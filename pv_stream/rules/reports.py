"""Reports: reactions that somebody reported, at their onset, and the drugs that the reporter blames.

A reaction reported as DRESS is evidence like a sign: it opens or joins an episode. Another reaction is none, but in
the days of an episode the drugs that it blames join the suspects. Only the roles suspect and interacting blame; a
treatment is never blamed. A nullified report is not on the timeline at all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pv_stream.domain.codes import DrugRole, RechallengeOutcome, ReportedReaction
from pv_stream.domain.facts import Report
from pv_stream.domain.ids import FactKey
from pv_stream.domain.times import Interval
from pv_stream.rules.rulebook import Rulebook, WatchedDrug
from pv_stream.rules.timeline import Dated

_BLAMES: Final = frozenset({DrugRole.SUSPECT, DrugRole.INTERACTING})


@dataclass(frozen=True, slots=True)
class ReportedCulprit:
    """Hold one drug that reports blame for an episode.

    `of_dress` says that a report of DRESS blames it, `recurred` that such a report saw the reaction come back when
    the drug was given again; `evidence` are the reports.
    """

    drug: str
    of_dress: bool
    recurred: bool
    evidence: tuple[FactKey, ...]


def names_dress(reported: Dated[Report]) -> bool:
    """Tell whether a reaction was reported as DRESS."""
    return reported.content.reaction is ReportedReaction.DRESS


def placed(reported: Dated[Report], others: Iterable[Interval]) -> Interval:
    """Return the time of a reported onset: that of the first other evidence that it may be, else as reported.

    `others` are in order of time. A reporter often knows only the day or the month.
    """
    at = reported.at
    return next((other for other in others if at.earliest <= other.earliest <= at.latest), at)


def reported_culprits(reports: Sequence[Dated[Report]], rulebook: Rulebook) -> tuple[ReportedCulprit, ...]:
    """Return the drugs that the reports of an episode blame, in order of name.

    A drug that the rulebook does not list keeps the name that was sent, and counts only in a report of DRESS.
    """
    blamed: dict[str, ReportedCulprit] = {}
    for reported in reports:
        of_dress = names_dress(reported)
        for name, recurred in _blamed(reported.content, rulebook):
            if name not in rulebook.watched and not of_dress:
                continue
            known = blamed.get(name, ReportedCulprit(name, of_dress=False, recurred=False, evidence=()))
            blamed[name] = ReportedCulprit(
                name,
                of_dress=known.of_dress or of_dress,
                recurred=known.recurred or (of_dress and recurred),
                evidence=tuple(dict.fromkeys((*known.evidence, reported.key))),
            )
    return tuple(blamed[name] for name in sorted(blamed))


def drugs_of_dress(reports: Iterable[Dated[Report]], rulebook: Rulebook) -> frozenset[str]:
    """Return the drugs that reports of DRESS blame."""
    return frozenset(
        name
        for reported in reports
        if names_dress(reported)
        for name, _ in _blamed(reported.content, rulebook)
    )


def watching(drugs: frozenset[str], rulebook: Rulebook) -> Rulebook:
    """Return a rulebook that watches also the drugs of these that it does not list, with the defaults.

    What somebody blamed for DRESS in a patient is watched in that patient for life.
    """
    unlisted = sorted(drugs - set(rulebook.watched))
    if not unlisted:
        return rulebook
    return replace(rulebook, drugs=(*rulebook.drugs, *(WatchedDrug(name, (name,)) for name in unlisted)))


def _blamed(report: Report, rulebook: Rulebook) -> Iterable[tuple[str, bool]]:
    """Return the ingredients that a report blames, each with whether the reaction came back under it again."""
    for drug in report.drugs:
        if drug.role in _BLAMES and drug.ingredient not in rulebook.treatment_names:
            recurred = drug.rechallenge is RechallengeOutcome.RECURRED
            for name in ingredients_called(drug.ingredient, rulebook):
                yield name, recurred


def ingredients_called(name: str, rulebook: Rulebook) -> tuple[str, ...]:
    """Return what the rulebook calls the ingredients of a drug; one that it does not list keeps its name."""
    watched = rulebook.drug_called(name)
    if watched is not None:
        return (watched.name,)
    return next((c.ingredients for c in rulebook.combinations if name in c.names), (name,))
