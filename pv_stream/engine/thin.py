"""Thin: which of very many values that no rule scores are kept (law 8).

Of one code and UTC day at most `values_per_code_day_max` are. The day is cut into that many equal parts: the first
value of each part is kept, then the earliest others. So the same values are kept in whatever order they came, and
what came in order of time is let go of only when it stood among the others of the day's first part. Once a patient has
`values_per_code_max` of a code, a further day keeps one: which, the order of the log decides.

A value that was corrected, reviewed, or is in conflict stays, as does a new version of a kept value, and whatever is
no measured value. Deliberately not counted: how many values were left out, since one that comes twice is no two.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from pv_stream.domain.codes import Analyte, Status
from pv_stream.domain.facts import Fact, FactVersion, Measurement
from pv_stream.domain.ids import FactKey
from pv_stream.domain.published import PatientState, ThinnedDays, join_days
from pv_stream.domain.times import MICROSECONDS_PER_DAY, Interval
from pv_stream.rules.other_values import is_other, other_below
from pv_stream.rules.rulebook import Parameters, Rulebook

_Places = list[tuple[Interval, FactKey]]


def thin(state: PatientState, version: FactVersion, rulebook: Rulebook) -> PatientState:
    """Return the state without what is too much now that the first version of a fact has joined its facts."""
    content, parameters = version.statement.content, rulebook.parameters
    if not isinstance(content, Measurement):
        return state
    below = other_below(content.analyte, parameters)
    if below is None or not _may_go(state.facts[version.key], content.analyte, below):
        return state
    day = _day(version.statement.effective)
    of_day = [
        (effective, key)
        for key, fact in state.facts.items()
        if _day(effective := fact.statements[0][0].effective) == day and _may_go(fact, content.analyte, below)
    ]
    gone: tuple[FactKey, ...]
    if len(of_day) > 1 and _are_too_many(state, content.analyte, below, parameters):
        gone = (version.key,)
    else:
        gone = _too_many(of_day, parameters.values_per_code_day_max.value)
    return _without(state, dict.fromkeys(gone, ThinnedDays(content.analyte, day, day)))


def thin_merged(state: PatientState, rulebook: Rulebook) -> PatientState:
    """Return the state without what is too much of any day, once facts of another record have joined its facts."""
    parameters = rulebook.parameters
    gone: dict[FactKey, ThinnedDays] = {}
    for analyte in Analyte:
        below = other_below(analyte, parameters)
        if below is None:
            continue
        days: dict[int, _Places] = {}
        for key, fact in state.facts.items():
            if _may_go(fact, analyte, below):
                effective = fact.statements[0][0].effective
                days.setdefault(_day(effective), []).append((effective, key))
        for day, places in days.items():
            too_many = _too_many(places, parameters.values_per_code_day_max.value)
            gone.update(dict.fromkeys(too_many, ThinnedDays(analyte, day, day)))
    return _without(state, gone)


def _are_too_many(state: PatientState, analyte: Analyte, below: Decimal, parameters: Parameters) -> bool:
    """Tell whether a patient has more values of a code than a further day may add to; most have too few facts."""
    most = parameters.values_per_code_max.value
    if len(state.facts) <= most:
        return False
    return sum(_may_go(fact, analyte, below) for fact in state.facts.values()) > most


def _may_go(fact: Fact, analyte: Analyte, below: Decimal) -> bool:
    """Tell whether a fact is one plain value that no rule scores, which nobody has corrected or reviewed."""
    statement, provenance = fact.statements[0]
    content = statement.content
    return (
        isinstance(content, Measurement)
        and content.analyte is analyte
        and is_other(content, below)
        and not fact.is_conflicting
        and fact.order.status < Status.CORRECTED
        and provenance.review is None
    )


def _day(at: Interval) -> int:
    return at.earliest // MICROSECONDS_PER_DAY


def _too_many(places: _Places, most: int) -> tuple[FactKey, ...]:
    """Return the values of one day beyond `most`: all but the first of each part of the day and the earliest others."""
    if len(places) <= most:
        return ()
    parts: set[int] = set()
    firsts, others = 0, []
    for at, key in sorted(places):
        part = at.earliest % MICROSECONDS_PER_DAY * most // MICROSECONDS_PER_DAY
        if part in parts:
            others.append(key)
        else:
            parts.add(part)
            firsts += 1
    return tuple(others[most - firsts :])


def _without(state: PatientState, gone: Mapping[FactKey, ThinnedDays]) -> PatientState:
    """Return the state without some facts, and with the days remembered on which not every value was kept."""
    if not gone:
        return state
    published, lineage = state.published, state.lineage
    days = join_days(published.thinned, gone.values())
    if days is not published.thinned:
        published = replace(published, thinned=days)
    if not gone.keys().isdisjoint(lineage.parts):
        parts = {key: held for key, held in lineage.parts.items() if key not in gone}
        lineage = replace(lineage, parts=parts)
    facts = {key: fact for key, fact in state.facts.items() if key not in gone}
    return replace(state, facts=facts, published=published, lineage=lineage)
