"""WHO-UMC: the causality category of one suspect drug (PMC2865802).

Rows stand in order; the first that holds wins. Where the published wording leaves room: a certain category needs the
core of the window or a re-exposure; a positive rechallenge makes other causes unlikely where none is recorded; an
unknown latency needs more data, unless what is recorded of the drug contradicts itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pv_stream.domain.assessment import Latency
from pv_stream.domain.criteria import Truth, WhoUmc
from pv_stream.rules.causality import SuspectCase


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one category, its wording, and what it asks of a case."""

    category: WhoUmc
    title: str
    holds: Callable[[SuspectCase], bool]


def _is_unlikely(case: SuspectCase) -> bool:
    is_explained = case.other_causes.truth is Truth.MET
    return case.began_after_onset or (is_explained and case.rechallenge.truth is Truth.UNMET)


def _is_certain(case: SuspectCase) -> bool:
    return (
        case.latency in {Latency.CORE, Latency.REEXPOSURE}
        and case.other_causes.truth is Truth.UNMET
        and case.dechallenge.truth is Truth.MET
        and case.rechallenge.truth is Truth.MET
    )


def _is_probable(case: SuspectCase) -> bool:
    is_rechallenged = case.other_causes.truth is Truth.UNKNOWN and case.rechallenge.truth is Truth.MET
    return case.dechallenge.truth is Truth.MET and (case.other_causes.truth is Truth.UNMET or is_rechallenged)


#: Every case stands on a row: the last one asks nothing.
ROWS: Final = (
    Row(
        WhoUmc.UNLIKELY,
        "The time is improbable, or another cause explains it and giving the drug again did nothing",
        _is_unlikely,
    ),
    Row(
        WhoUmc.UNASSESSABLE,
        "What is recorded of the drug contradicts itself",
        lambda case: case.latency is Latency.UNKNOWN and case.is_contradictory,
    ),
    Row(
        WhoUmc.CONDITIONAL,
        "The time from start to onset is not known: more data are needed",
        lambda case: case.latency is Latency.UNKNOWN,
    ),
    Row(
        WhoUmc.CERTAIN,
        "Plausible time, no other cause, improved when stopped, came back when given again",
        _is_certain,
    ),
    Row(
        WhoUmc.PROBABLE,
        "Reasonable time, another cause unlikely, improved when stopped",
        _is_probable,
    ),
    Row(
        WhoUmc.POSSIBLE,
        "Reasonable time; another cause may explain it, or withdrawal is unclear",
        lambda _: True,
    ),
)


def evaluate(case: SuspectCase) -> WhoUmc:
    """Return the category of one suspect drug."""
    return next(row.category for row in ROWS if row.holds(case))
