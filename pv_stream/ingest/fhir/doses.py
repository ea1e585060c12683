"""Doses of FHIR: how much of a drug one dose is (doseQuantity, or a rate over a known time), and how often a day.

A dose is read only where it is certain: one dosage, one amount (no range), in a unit of mass or of mass per body
weight, or so many tablets or capsules of a Medication with one ingredient of a stated strength. What is not certain
is left out: a dose that is not known is never no dose.
"""

from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from pv_stream.domain.facts import Dose
from pv_stream.domain.times import MICROSECONDS_PER_HOUR, Interval
from pv_stream.ingest.fhir.resources import Document, Entry, Resource, child, children, codings, text_of
from pv_stream.ingest.quantities import PER_DAY_MAX, find_unit, parse_number

#: One dose in mg and in mg per kg of body weight.
Amount = tuple[Decimal | None, Decimal | None]

_UNKNOWN: Final[Amount] = (None, None)
_MASS: Final = "mass"
_MASS_PER_WEIGHT: Final = "mass_per_body_weight"
_MG_PER_KG: Final = Decimal(1_000_000)  # milligrams in the kilogram in which masses are kept
_EXACT: Final = Context(prec=80)
_NINE_DECIMALS: Final = Decimal("1E-9")
_MAGNITUDE_MAX: Final = Decimal(10) ** 9
#: Dose forms that are counted: UCUM annotations, v3 orderableDrugForm, and words.
_COUNTED: Final = frozenset({
    "{tbl}", "{tablet}", "{tablets}", "{tab}", "{capsule}", "{cap}", "tab", "tabs", "tablet", "tablets", "cap", "caps",
    "capsule", "capsules",
})  # fmt: skip
#: The unit of a strength that is said of one tablet, as `mg per 1`.
_ONE_EACH: Final = _COUNTED | {"", "1", "{each}", "each"}
#: UCUM units of time in hours, as (multiplier, divisor).
_HOURS: Final = {"s": (1, 3600), "min": (1, 60), "h": (1, 1), "hr": (1, 1), "d": (24, 1), "wk": (168, 1)}
#: Timing.code (v3 GTSAbbreviation), doses a day; every few hours where that makes whole days.
_PER_DAY: Final = {
    "QD": Decimal(1),
    "AM": Decimal(1),
    "PM": Decimal(1),
    "BED": Decimal(1),
    "BID": Decimal(2),
    "TID": Decimal(3),
    "QID": Decimal(4),
    "QOD": Decimal("0.5"),
    "Q1H": Decimal(24),
    "Q2H": Decimal(12),
    "Q3H": Decimal(8),
    "Q4H": Decimal(6),
    "Q6H": Decimal(4),
    "Q8H": Decimal(3),
}


def dose_of(entry: Entry, document: Document, given: tuple[Interval | None, Interval | None]) -> Dose | None:
    """Return the dose that a resource states, or None when nothing about it is certain.

    `given` is the start and the end of an administration, by which a rate becomes an amount.
    """
    resource = entry.resource
    if entry.type == "MedicationAdministration":
        amount, per_day = _administered(resource.get("dosage"), entry, document, given), None
    else:
        dosages = [dosage for name in ("dosageInstruction", "dosage") for dosage in children(resource, name)]
        if len(dosages) != 1:  # several add up or follow each other
            return None
        amount, per_day = _ordered(dosages[0], entry, document), _per_day(dosages[0])
    return None if amount == _UNKNOWN and per_day is None else Dose(*amount, per_day)


def _administered(
    dosage: object, entry: Entry, document: Document, given: tuple[Interval | None, Interval | None]
) -> Amount:
    dose = child(dosage, "dose")
    if dose is not None:
        return _amount(dose, entry, document)
    start, end = given
    if start is None or end is None or not (start.is_exact and end.is_exact):
        return _UNKNOWN
    hours = _EXACT.divide(Decimal(end.latest - start.earliest), Decimal(MICROSECONDS_PER_HOUR))
    return _rated(dosage, hours)


def _ordered(dosage: Resource, entry: Entry, document: Document) -> Amount:
    """Return the one amount of a dosage: what was calculated and what was ordered may both be there, if equal."""
    stated = [each for each in children(dosage, "doseAndRate") if each.get("doseQuantity") is not None]
    ranges = any(each.get("doseRange") is not None for each in children(dosage, "doseAndRate"))
    amounts = {_amount(each["doseQuantity"], entry, document) for each in stated}
    return amounts.pop() if len(amounts) == 1 and not ranges else _UNKNOWN


def _amount(quantity: object, entry: Entry, document: Document) -> Amount:
    value = _positive(quantity)
    if value is None:
        return _UNKNOWN
    if any(spelling.casefold() in _COUNTED for spelling in _spellings(quantity)):
        return _counted(value, entry, document)
    return _in_mg(value, _spellings(quantity))


def _counted(count: Decimal, entry: Entry, document: Document) -> Amount:
    """Return the amount in so many tablets: of a Medication with one ingredient, and its strength of one tablet."""
    medication = document.find(entry.resource.get("medicationReference"), entry)
    if medication is None or document.is_modified(medication):
        return _UNKNOWN
    ingredients = list(children(medication, "ingredient"))
    strength = child(ingredients[0], "strength") if len(ingredients) == 1 else None
    numerator, denominator = child(strength, "numerator"), child(strength, "denominator")
    value = _positive(numerator)
    each = {spelling.casefold() for spelling in _spellings(denominator)}
    if value is None or _positive(denominator) != 1 or not each <= _ONE_EACH:
        return _UNKNOWN
    return _in_mg(_EXACT.multiply(count, value), _spellings(numerator))


def _rated(dosage: object, hours: Decimal) -> Amount:
    """Return the amount of a rate over so many hours."""
    ratio, quantity = child(dosage, "rateRatio"), child(dosage, "rateQuantity")
    if isinstance(ratio, dict):
        above, below = child(ratio, "numerator"), child(ratio, "denominator")
        value, over = _positive(above), _positive(below)
        masses, times = _spellings(above), _spellings(below)
    else:
        value, over = _positive(quantity), Decimal(1)
        split = [spelling.rpartition("/") for spelling in _spellings(quantity)]
        masses, times = [mass for mass, _, _ in split], [time for _, _, time in split]
    lengths = {_HOURS[time] for time in times if time in _HOURS}
    if value is None or over is None or len(lengths) != 1:
        return _UNKNOWN
    multiplier, divisor = lengths.pop()
    span = _EXACT.divide(_EXACT.multiply(hours, Decimal(divisor)), _EXACT.multiply(over, Decimal(multiplier)))
    return _in_mg(_EXACT.multiply(value, span), masses)


def _in_mg(value: Decimal, spellings: Iterable[str]) -> Amount:
    known = {found[1] for spelling in spellings if (found := find_unit(spelling)) is not None}
    if len(known) != 1:
        return _UNKNOWN
    unit = known.pop()
    if unit.quantity == _MASS:
        return _kept(_EXACT.multiply(_EXACT.multiply(value, unit.factor), _MG_PER_KG)), None
    if unit.quantity == _MASS_PER_WEIGHT:
        return None, _kept(_EXACT.multiply(value, unit.factor))
    return _UNKNOWN


def _per_day(dosage: Resource) -> Decimal | None:
    """Return how often a day a drug is taken, or None when it is not said, varies, or is as needed."""
    as_needed = dosage.get("asNeededBoolean") is True or dosage.get("asNeededCodeableConcept") is not None
    timing = dosage.get("timing")
    if as_needed or not isinstance(timing, dict):
        return None
    repeat = timing.get("repeat")
    codes = {_PER_DAY[code] for _, code, _ in codings(timing.get("code")) if code in _PER_DAY}
    stated = _repeated(repeat) if isinstance(repeat, dict) else None
    said = codes | ({stated} if stated is not None else set())
    return said.pop() if len(said) == 1 else None


def _repeated(repeat: Resource) -> Decimal | None:
    if any(repeat.get(name) is not None for name in ("frequencyMax", "periodMax", "dayOfWeek", "countMax")):
        return None
    period, unit = repeat.get("period"), text_of(repeat.get("periodUnit"))
    times = [len(repeat[name]) for name in ("timeOfDay", "when") if isinstance(repeat.get(name), list)]
    frequency = repeat.get("frequency", times[0] if len(times) == 1 else 1 if period is not None else None)
    often = _number(frequency)
    length = _number(1 if period is None else period)
    hours = _HOURS.get(unit or ("d" if period is None else ""))
    if often is None or length is None or hours is None or (period is None and not times):
        return None
    days = _EXACT.divide(
        _EXACT.multiply(length, Decimal(hours[0])), _EXACT.multiply(Decimal(hours[1]), Decimal(24))
    )
    per_day = _EXACT.divide(often, days)
    return _kept(per_day) if per_day <= PER_DAY_MAX else None


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return Decimal(value) if 0 < value < _MAGNITUDE_MAX else None


def _positive(quantity: object) -> Decimal | None:
    value = child(quantity, "value")
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or child(quantity, "comparator"):
        return None
    sent = parse_number(format(Decimal(value), "f"))
    return sent.value if sent is not None and sent.value > 0 else None


def _spellings(quantity: object) -> list[str]:
    return list(filter(None, _stated(quantity)))


def _stated(quantity: object) -> Iterator[str]:
    yield text_of(child(quantity, "code"))
    yield text_of(child(quantity, "unit"))


def _kept(value: Decimal) -> Decimal | None:
    """Return a value as the log keeps it, with nine decimals at most."""
    if value >= _MAGNITUDE_MAX:
        return None
    kept = value.quantize(_NINE_DECIMALS, rounding=ROUND_HALF_EVEN, context=_EXACT).normalize(_EXACT)
    return kept or None
