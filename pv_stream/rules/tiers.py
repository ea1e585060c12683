"""Tiers: the table of suspicion, row by row, and which row an episode stands on.

Each row is a name, a tier and a condition on a `Situation`; the first row that holds wins, so rows stand from the
highest tier down. Rows that need an earlier episode (recurrence, restart) are in their own modules.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pv_stream.domain.assessment import Score, Tier
from pv_stream.rules.items import is_positive
from pv_stream.rules.rulebook import Parameters, Rulebook
from pv_stream.rules.suspects import Suspect
from pv_stream.rules.timeline import EosinophilCount, Sign, SignKind


@dataclass(frozen=True, slots=True)
class Situation:
    """Hold what the rows ask, for one watched drug and the evidence in its window."""

    count_at_threshold: bool
    count_raised: bool
    sign: bool
    skin: bool
    organ: bool
    score: int


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one row of the table."""

    name: str
    tier: Tier
    holds: Callable[[Situation, Parameters], bool]


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
        lambda s, p: s.score >= p.warning_score_min.value,
    ),
    Row("count_at_threshold", Tier.INFO, lambda s, _: s.count_at_threshold),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold the row that an episode stands on, if any, and the suspect that put it there."""

    row: Row | None
    suspect: Suspect | None
    has_skin: bool


def judge(suspects: tuple[Suspect, ...], score: Score, rulebook: Rulebook) -> Verdict:
    """Return the highest row that any suspect reaches; among equals the most suspect drug."""
    best: tuple[int, Row, Suspect] | None = None
    skin = False
    for suspect in suspects:
        situation = situation_of(suspect, score, rulebook)
        skin = skin or situation.skin
        for index, row in enumerate(ROWS):
            if row.holds(situation, rulebook.parameters):
                if best is None or index < best[0]:
                    best = (index, row, suspect)
                break
    if best is None:
        return Verdict(None, None, skin)
    return Verdict(best[1], best[2], skin)


def situation_of(suspect: Suspect, score: Score, rulebook: Rulebook) -> Situation:
    """Return what is known within the window of one suspect."""
    threshold = rulebook.threshold_per_ul(rulebook.watched[suspect.course.drug])
    counts = [e.source for e in suspect.evidence if isinstance(e.source, EosinophilCount)]
    signs = [e.source for e in suspect.evidence if isinstance(e.source, Sign)]
    kinds = {sign.kind for sign in signs}
    return Situation(
        count_at_threshold=any(count.alert is not None and count.alert.low >= threshold for count in counts),
        count_raised=any(is_positive(count, rulebook.parameters) for count in counts),
        sign=bool(kinds),
        skin=SignKind.RASH in kinds,
        organ=SignKind.ORGAN in kinds,
        score=score.total.current,
    )
