"""Confirming a held value: what a person states, read like what a sender states, and nothing guessed.

A value needs its unit, from the same table; a time may be vague, as an interval. What was read and is not in doubt
(a drug, a value that had no time) need not be stated again.
"""

import dataclasses
from dataclasses import dataclass
from typing import Final

from pv_stream.domain.codes import TIME_HOLDS, UNIT_OF, Analyte, HoldCode, ReviewReason
from pv_stream.domain.facts import AsSent, Content, Exposure, Held, Measurement, Retracted, Statement
from pv_stream.errors import UsageError
from pv_stream.ingest.quantities import convert, parse_number
from pv_stream.ingest.tables import AnalyteCode, loinc_table
from pv_stream.ingest.times import Moment, fhir_moment

DISCARDING: Final = frozenset(
    {
        ReviewReason.ENTERED_IN_ERROR,
        ReviewReason.SPECIMEN_UNUSABLE,
        ReviewReason.NOT_THIS_PATIENT,
        ReviewReason.CANNOT_BE_VERIFIED,
    }
)
CONFIRMING: Final = frozenset(ReviewReason) - DISCARDING
#: What a sender may have meant by one name: the unit in the source says which.
_EITHER: Final = {
    Analyte.EOSINOPHILS: Analyte.EOSINOPHILS_PERCENT,
    Analyte.EOSINOPHILS_PERCENT: Analyte.EOSINOPHILS,
}
#: The system of a value as stated by a person.
_REVIEW: Final = "review"


@dataclass(frozen=True, slots=True)
class Stated:
    """Hold what a person states about a held value, in the person's own words; None is not stated."""

    value: str | None = None
    unit: str | None = None
    time: str | None = None
    utc_offset_minutes: int | None = None


def asks_for(held: Held) -> tuple[str, ...]:
    """Return what must be stated to confirm a held value: value, unit, time.

    Nothing when what was read may be confirmed as it is (`is_confirmed_as_read`), or when it can only be discarded.
    """
    is_untimed = held.code in TIME_HOLDS
    if is_untimed and held.said is not None:
        return ("time",)
    if held.analyte is None:
        return ()
    return ("value", "unit", "time") if is_untimed else ("value", "unit")


def is_confirmed_as_read(held: Held) -> bool:
    """Tell whether a person can confirm what was read without stating anything: a drug among words not known."""
    return held.said is not None and held.code is HoldCode.DRUG_NOT_READ_WHOLE


def confirm(held: Held, statement: Statement, stated: Stated) -> Statement:
    """Return the statement that a person confirms in the place of a held one.

    Raises UsageError that says what is missing or cannot be read.
    """
    asked = asks_for(held)
    if not asked and not is_confirmed_as_read(held):
        message = "nothing was read that could be confirmed: discard it, and let its source send it again"
        raise UsageError(message)
    given = {"value": stated.value, "unit": stated.unit, "time": stated.time}
    missing = [f"--{name}" for name in asked if given[name] is None]
    if missing:
        message = f"{held.code}: say {' and '.join(missing)} as the source has it, or --discard it"
        raise UsageError(message)
    content = _content(held, stated)
    if stated.time is None:
        return dataclasses.replace(statement, content=content)
    moment = _moment(stated.time, stated.utc_offset_minutes)
    if isinstance(content, Exposure) and content.end and content.end.latest < moment.interval.earliest:
        message = f"--time {stated.time} lies after the end that was sent with it: let its source correct it"
        raise UsageError(message)
    return Statement(content, moment.interval, moment.utc_offset_minutes)


def discard(statement: Statement) -> Statement:
    """Return the statement that a person puts in the place of a held one that counts for nothing."""
    return dataclasses.replace(statement, content=Retracted())


def _content(held: Held, stated: Stated) -> Content:
    if stated.value is None and stated.unit is None and held.said is not None:
        return held.said
    if held.analyte is None:
        message = "--value and --unit are for measured values: this is none"
        raise UsageError(message)
    specimen = held.said.specimen if isinstance(held.said, Measurement) else held.specimen
    return _measurement(held.analyte, specimen, stated)


def _measurement(analyte: Analyte, specimen: str | None, stated: Stated) -> Measurement:
    number = parse_number(stated.value or "")
    if number is None:
        message = f"--value {stated.value}: say a number such as 2.1, or a bound such as '>5'"
        raise UsageError(message)
    converted = convert(number.value, (stated.unit or "",), _code_of(analyte))
    if converted is HoldCode.UNIT_DOES_NOT_FIT and analyte in _EITHER:
        other = convert(number.value, (stated.unit or "",), _code_of(_EITHER[analyte]))
        if not isinstance(other, HoldCode):
            analyte, converted = _EITHER[analyte], other
    if isinstance(converted, HoldCode):
        message = (
            f"--unit {stated.unit}: {converted.replace('_', ' ')}; {analyte.replace('_', ' ')} is kept in "
            f"{UNIT_OF[analyte]}: say the unit as the source has it"
        )
        raise UsageError(message)
    unit = converted.unit.strip().replace(" ", "_")
    as_sent = AsSent(_REVIEW, analyte.value, format(number.value, "f"), unit or None)
    return Measurement(analyte, converted.value, number.comparator, specimen, as_sent)


def _code_of(analyte: Analyte) -> AnalyteCode:
    """Return a code of an analyte that takes every quantity in which it is ever sent."""
    codes = [code for code in loinc_table().analytes.values() if code.analyte is analyte]
    quantities = frozenset(quantity for code in codes for quantity in code.quantities)
    return dataclasses.replace(codes[0], quantities=quantities)


def _moment(text: str, utc_offset_minutes: int | None) -> Moment:
    moment = fhir_moment(text, utc_offset_minutes)
    if isinstance(moment, HoldCode):
        message = f"--time {text}: say a time such as 2026-03-02T08:10:00+01:00, or a date such as 2026-03-02"
        raise UsageError(message)
    return moment
