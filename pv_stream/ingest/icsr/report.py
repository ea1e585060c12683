"""What a safety report says, whatever its version of E2B: reactions, drugs, dosages, tests, body weight.

The readers of E2B(R2) and E2B(R3) fill these; `facts` makes facts of them. A field holds what was sent, already
looked up in the code lists, and no text.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from pv_stream.domain.codes import DrugRole, HoldCode, RechallengeOutcome, ReportOutcome, Status
from pv_stream.domain.facts import Dose
from pv_stream.domain.times import MICROSECONDS_PER_SECOND, Instant, Interval
from pv_stream.ingest.drugs import Coding
from pv_stream.ingest.icsr.tables import report_table
from pv_stream.ingest.outcomes import IgnoreReason
from pv_stream.ingest.quantities import PER_DAY_MAX, Sent, find_unit, parse_number
from pv_stream.ingest.times import Moment, hl7_moment

_EXACT: Final = Context(prec=80)
_NINE_DECIMALS: Final = Decimal("1E-9")
_MAGNITUDE_MAX: Final = Decimal(10) ** 12
#: A dose of more than a kilogram was not given to anybody: the number is of something else.
_MG_MAX: Final = Decimal(1_000_000)
_MG_PER_KG: Final = Decimal(1_000_000)
_SECONDS_PER_DAY: Final = Decimal(86_400)
_UNITS_OF_TIME_MAX: Final = Decimal(10_000)
#: Of the whole number that a version is: the low part holds seconds of the transmission, the high part minutes.
_SECONDS_BITS: Final = 34
_SECONDS_PER_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Reaction:
    """Hold one reaction (E.i, B.2.i); `serious` is None when the report does not say, `sent` is its onset as sent."""

    path: str
    sent: str
    is_dress: bool
    onset: Moment | HoldCode
    serious: bool | None
    outcome: ReportOutcome


@dataclass(frozen=True, slots=True)
class Dosage:
    """Hold one dosage of a drug (G.k.4.r, B.4.k.5-15).

    `sent` are its times as sent, `lasted` the least and the most microseconds that it went on.
    """

    path: str
    sent: str
    start: Moment | HoldCode
    end: Moment | HoldCode
    lasted: tuple[int, int] | None
    dose: Dose | None
    route_code: str
    to_parent: bool


@dataclass(frozen=True, slots=True)
class Product:
    """Hold one drug (G.k, B.4.k), with what giving it again showed for each reaction, in the order of these.

    `role` is None when the report names none that the standard defines.
    """

    path: str
    codings: tuple[Coding, ...]
    role: DrugRole | None
    by_father: bool
    withdrawn: bool
    rechallenges: tuple[RechallengeOutcome, ...]
    dosages: tuple[Dosage, ...]


@dataclass(frozen=True, slots=True)
class Stated:
    """Hold the number of a result and its units; `unused` says why there is nothing to measure.

    A number of None without a reason is one that is there but cannot be read.
    """

    number: Sent | None
    text: str
    units: tuple[str, ...]
    unused: IgnoreReason | None = None


@dataclass(frozen=True, slots=True)
class TestResult:
    """Hold one test (F.r, B.3.r): its codes, the name that the reporter gave it, and its result."""

    path: str
    codings: tuple[tuple[str, str], ...]
    name: str
    moment: Moment | HoldCode
    stated: Stated


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyReport:
    """Hold one version of one case.

    `prefix` begins the paths of its parts. `case` is its worldwide identification. `version` orders the versions;
    `first` and `latest` are the dates of the first and of the most recent information. `weight_kg` is the text of
    D.3, which is in kilograms by definition.
    """

    form: str
    prefix: str
    case: str
    version: int
    status: Status
    is_nullified: bool
    first: Moment | HoldCode
    latest: Moment
    sent_at: Instant | None
    reactions: tuple[Reaction, ...]
    products: tuple[Product, ...]
    tests: tuple[TestResult, ...]
    weight_kg: str


def version_of(latest: str, transmitted: str, number: int = 0) -> int:
    """Return the place of a version: by its most recent information, then by when it was sent, then by its number.

    A date without a time is its beginning, a time without a zone is in UTC, so the place depends on nothing but what
    was sent.
    """
    minutes = _seconds(latest) // _SECONDS_PER_MINUTE
    return (minutes << _SECONDS_BITS) + _seconds(transmitted) + number


def _seconds(text: str) -> int:
    moment = hl7_moment(text, 0)
    # Before 1970 there were no safety reports; a date of then is the earliest.
    return 0 if isinstance(moment, HoldCode) else max(moment.interval.earliest // MICROSECONDS_PER_SECOND, 0)


def dose_of(amount: str, unit: str, per_day: Decimal | None) -> Dose | None:
    """Return a dose in mg or mg/kg; None when it is impossible or its unit is none of mass: tablets say no amount."""
    number, found = parse_number(amount), find_unit(unit)
    mg = mg_per_kg = None
    if number is not None and number.comparator is None and number.value > 0 and found is not None:
        value = _EXACT.multiply(number.value, found[1].factor)
        if found[1].quantity == "mass":
            mg = _dose_amount(_EXACT.multiply(value, _MG_PER_KG))
        elif found[1].quantity == "mass_per_body_weight":
            mg_per_kg = _dose_amount(value)
    return None if mg is None and mg_per_kg is None else Dose(mg, mg_per_kg, per_day)


def per_day_of(times: str, every: str, unit: str) -> Decimal | None:
    """Return how often a day a dose is given: so many times in so many units of time, if that length is fixed."""
    seconds = report_table().seconds.get(unit)
    count, length = parse_number(times), parse_number(every)
    if seconds is None or seconds[0] != seconds[1] or count is None or length is None:
        return None
    if count.comparator or length.comparator or count.value <= 0 or length.value <= 0:
        return None
    of_length = _EXACT.multiply(length.value, Decimal(seconds[0]))
    per_day = _EXACT.divide(_EXACT.multiply(count.value, _SECONDS_PER_DAY), of_length)
    return _nine_decimals(per_day) if per_day <= PER_DAY_MAX else None


def lasted_of(amount: str, unit: str) -> tuple[int, int] | None:
    """Return the least and the most microseconds that a stated duration may be.

    Ten days may end on the tenth day or on the eleventh, so the least is one unit less.
    """
    number, seconds = parse_number(amount), report_table().seconds.get(unit)
    if number is None or seconds is None or number.comparator or not 0 < number.value <= _UNITS_OF_TIME_MAX:
        return None
    least = max(Decimal(0), _EXACT.subtract(number.value, Decimal(1)))
    low = int(_EXACT.multiply(least, Decimal(seconds[0])))
    high = int(_EXACT.multiply(number.value, Decimal(seconds[1])))
    return low * MICROSECONDS_PER_SECOND, (high + 1) * MICROSECONDS_PER_SECOND


def shifted(moment: Moment, by: tuple[int, int]) -> Moment:
    """Return when something may have been that lies so far from a moment; `by` may be negative."""
    interval = Interval(Instant(moment.interval.earliest + by[0]), Instant(moment.interval.latest + by[1]))
    return Moment(interval, moment.utc_offset_minutes)


def _dose_amount(value: Decimal) -> Decimal | None:
    return _nine_decimals(value) if value <= _MG_MAX else None


def _nine_decimals(value: Decimal) -> Decimal | None:
    rounded = value.quantize(_NINE_DECIMALS, rounding=ROUND_HALF_EVEN, context=_EXACT).normalize(_EXACT)
    return rounded if 0 < rounded < _MAGNITUDE_MAX else None
