"""Tiers: the table of suspicion, row by row, and which row an episode stands on.

Each row is a name, a tier and a condition on a `Situation`; the first row that holds wins, so rows stand from the
highest tier down. What an earlier episode makes of a tier (recurrence, restart) is in modules of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from pv_stream.domain.assessment import Score, Tier
from pv_stream.domain.facts import Report
from pv_stream.rules.baselines import has_multiplied
from pv_stream.rules.episodes import Evidence
from pv_stream.rules.items import is_positive
from pv_stream.rules.rulebook import Parameters, Rulebook
from pv_stream.rules.suspects import Suspect
from pv_stream.rules.timeline import EosinophilCount, Sign, SignKind


@dataclass(frozen=True, slots=True)
class Situation:
    """Hold what the rows ask, for one watched drug and the evidence in its window.

    `preexisting` says that the count was at the threshold before the drug was begun, `doubled` that it has doubled.
    """

    score: int
    count_at_threshold: bool = False
    count_raised: bool = False
    sign: bool = False
    skin: bool = False
    organ: bool = False
    preexisting: bool = False
    doubled: bool = False
    reported: bool = False
    reported_serious: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one row of the table."""

    name: str
    tier: Tier
    holds: Callable[[Situation, Parameters], bool]


RISING_ON_BASELINE: Final = "rising_on_baseline"

ROWS: Final = (
    Row(
        "score_probable",
        Tier.CRITICAL,
        lambda s, p: s.score >= p.critical_score_min.value,
    ),
    Row(
        "count_at_threshold_with_sign",
        Tier.WARNING,
        lambda s, _: s.count_at_threshold and s.sign,
    ),
    Row("raised_count_with_sign", Tier.WARNING, lambda s, _: s.count_raised and s.sign),
    Row("skin_and_organ", Tier.WARNING, lambda s, _: s.skin and s.organ),
    Row(
        "score_possible",
        Tier.WARNING,
        lambda s, p: s.score >= p.warning_score_min.value and (s.sign or not s.preexisting),
    ),
    Row(RISING_ON_BASELINE, Tier.WARNING, lambda s, _: s.preexisting and s.doubled),
    Row("count_at_threshold", Tier.INFO, lambda s, _: s.count_at_threshold),
)


#: Where no watched drug was given in its window; less than this score alerts nobody.
WITHOUT_WATCHED_DRUG: Final = Row(
    "score_probable_without_watched_drug",
    Tier.WARNING,
    lambda s, p: s.score >= p.critical_score_min.value,
)

#: Where the drug of an established episode is given again; like every recurrence, the alert is then critical.
GIVEN_AGAIN: Final = Row("sign_on_rechallenge", Tier.WARNING, lambda s, _: s.sign)

#: A reaction reported as DRESS, whatever drugs were given and whatever else is known.
REPORTED: Final = (
    Row("reported_serious_dress", Tier.CRITICAL, lambda s, _: s.reported_serious),
    Row("reported_dress", Tier.WARNING, lambda s, _: s.reported),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold the row that an episode stands on, if any, and the suspect that put it there."""

    row: Row | None
    suspect: Suspect | None
    has_skin: bool
    preexisting: bool = False


#: The last count before the course of a suspect drug, by drug; a drug without one is not there.
Baselines = Mapping[str, Decimal]


def judge(suspects: tuple[Suspect, ...], score: Score, baselines: Baselines, rulebook: Rulebook) -> Verdict:
    """Return the highest row that any suspect reaches; among equals the most suspect drug.

    Without a suspect only the row for no watched drug can hold; but see `judge_relapse`.
    """
    if not suspects:
        enough = WITHOUT_WATCHED_DRUG.holds(Situation(score.total.current), rulebook.parameters)
        return Verdict(WITHOUT_WATCHED_DRUG if enough else None, None, has_skin=False)
    best: tuple[int, Row, Suspect, Situation] | None = None
    skin = False
    for suspect in suspects:
        threshold = rulebook.threshold_per_ul(rulebook.watched[suspect.course.drug])
        baseline = baselines.get(suspect.course.drug)
        situation = situation_of(suspect.evidence, threshold, score, baseline, rulebook)
        skin = skin or situation.skin
        for index, row in enumerate(ROWS):
            if row.holds(situation, rulebook.parameters):
                if best is None or index < best[0]:
                    best = (index, row, suspect, situation)
                break
    if best is None:
        return Verdict(None, None, skin)
    return Verdict(best[1], best[2], skin, best[3].preexisting)


def judge_relapse(evidence: Sequence[Evidence], score: Score, rulebook: Rulebook) -> Verdict:
    """Return the row of a reaction without a suspect in a patient who had an established one.

    It needs no drug to be a recurrence, but a row of warning or above: a count alone is not a reaction.
    """
    threshold = rulebook.defaults.threshold_per_ul.value
    situation = situation_of(evidence, threshold, score, None, rulebook)
    rows = (row for row in ROWS if row.tier >= Tier.WARNING and row.holds(situation, rulebook.parameters))
    return Verdict(next(rows, None), None, has_skin=False)


def judge_rechallenge(
    verdict: Verdict, suspects: Sequence[Suspect], score: Score, rulebook: Rulebook
) -> Verdict:
    """Return the verdict on what the facts show under the drugs of an established episode, given again.

    A sign that alerts nobody in a first reaction is a recurrence there.
    """
    for suspect in suspects:
        threshold = rulebook.threshold_per_ul(rulebook.watched[suspect.course.drug])
        if GIVEN_AGAIN.holds(
            situation_of(suspect.evidence, threshold, score, None, rulebook), rulebook.parameters
        ):
            return replace(verdict, row=GIVEN_AGAIN, suspect=suspect)
    return verdict


def situation_of(
    evidence: Sequence[Evidence], threshold: int, score: Score, baseline: Decimal | None, rulebook: Rulebook
) -> Situation:
    """Return what evidence says, such as that in the window of one suspect; `baseline` is the count before it."""
    counts = [e.source for e in evidence if isinstance(e.source, EosinophilCount)]
    signs = [e.source for e in evidence if isinstance(e.source, Sign)]
    kinds = {sign.kind for sign in signs}
    preexisting = baseline is not None and baseline >= threshold
    return Situation(
        score=score.total.current,
        count_at_threshold=any(count.alert is not None and count.alert.low >= threshold for count in counts),
        count_raised=any(is_positive(count, rulebook.parameters) for count in counts),
        sign=bool(kinds),
        skin=SignKind.RASH in kinds,
        organ=SignKind.ORGAN in kinds,
        preexisting=preexisting,
        doubled=baseline is not None and has_multiplied(counts, baseline, rulebook),
    )


def judge_reported(verdict: Verdict, reports: Sequence[Report], score: Score, rulebook: Rulebook) -> Verdict:
    """Return the verdict, on a row for reported DRESS where that is higher than what the facts reach.

    A report that does not say how serious the reaction was is not one of a serious reaction.
    """
    situation = Situation(
        score.total.current,
        reported=bool(reports),
        reported_serious=any(report.serious is True for report in reports),
    )
    row = next((row for row in REPORTED if row.holds(situation, rulebook.parameters)), None)
    if row is None or (verdict.row is not None and verdict.row.tier >= row.tier):
        return verdict
    return replace(verdict, row=row)
