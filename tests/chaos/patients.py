"""The patients of a chaos run who come again and who stay: reactions that come back, and months of values.

Each one's events stand in their order; where they stand among those of the others is for `story` to say. A reaction
comes back in a way of each class that a recurrence can have. A long stay has so many values that its state is a head
and segments; the first of them is merged into another patient record once most of the values came, and the rest is
forwarded. Nobody here exists.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final

from pv_stream.codec.events import encode_event
from pv_stream.domain.codes import Analyte, FindingCode
from pv_stream.domain.events import FactArrived, IdentityEvent
from pv_stream.domain.ids import PatientId, shard_of
from pv_stream.domain.times import Instant
from tests.builders import (
    at,
    eosinophils,
    measured,
    order,
    present,
    statement,
    stop,
    temperature,
    with_patient,
)
from tests.merging import merge

#: When an event is received, of whom it is, and its bytes.
Timed = tuple[Instant, str, bytes]
#: Of the events of a run; but of each kind of patient there is one at least.
_SHARE_RECURRING: Final = 0.03
_SHARE_LONG_STAYS: Final = 0.05
#: A state is cut above some 140 values, and cut again as it grows.
_VALUES_MIN: Final = 240
_VALUES_MAX: Final = 900
_VALUES_PER_DAY: Final = 6
_MERGED_AFTER: Final = 0.8


def recurring(events: int) -> list[list[Timed]]:
    """Return the events of patients of whom each had a reaction that came back, as many classes as there are first."""
    stories: list[list[Timed]] = []
    while len(stories) < len(_COMES_BACK) or sum(map(len, stories)) < events * _SHARE_RECURRING:
        patient = f"synthetic-again-{len(stories):04d}"
        told = [*_reaction(), *_COMES_BACK[len(stories) % len(_COMES_BACK)]()]
        stories.append([_timed(with_patient(each, patient)) for each in told])
    return stories


def long_stays(random: Random, events: int, shard_count: int) -> list[list[Timed]]:
    """Return the events of patients with so many values that a state of one record could not hold them."""
    stays: list[list[Timed]] = []
    left = max(_VALUES_MIN, int(events * _SHARE_LONG_STAYS))
    while left >= _VALUES_MIN:
        count = min(left, random.randint(_VALUES_MIN, _VALUES_MAX))
        left -= count
        patient = f"synthetic-long-{len(stays):04d}"
        values: list[FactArrived | IdentityEvent] = [with_patient(each, patient) for each in _values(count)]
        if not stays:
            place = int(count * _MERGED_AFTER)
            survivor = _of_another_shard(patient, shard_count)
            when = Instant(max(each.received_at for each in values[:place]))
            values[place:place] = merge(patient, survivor, when)
        stays.append([_timed(each) for each in values])
    return stays


def _timed(event: FactArrived | IdentityEvent) -> Timed:
    return event.received_at, event.patient_id, encode_event(event)


def _of_another_shard(patient: str, shard_count: int) -> PatientId:
    names = (PatientId(f"{patient}-survivor-{number}") for number in range(100))
    return next(name for name in names if shard_of(name, shard_count) != shard_of(patient, shard_count))


def _values(count: int) -> Iterator[FactArrived]:
    """Yield a watched drug and then values that raise no alarm, some each day."""
    codes = (Analyte.AST, Analyte.ALT, Analyte.ALP)
    yield order("allopurinol", at(0))
    for number in range(count - 1):
        day, of_day = divmod(number, _VALUES_PER_DAY)
        yield measured(codes[number % len(codes)], 20, at(day, of_day * 3, number % 60))


# Reactions that come back -----------------------------------------------------------------------------------------


def _reaction() -> list[FactArrived]:
    """Return a first reaction that is enough to establish it."""
    return [
        order("carbamazepine", at(0)),
        present(FindingCode.RASH, at(20, 9)),
        temperature("38.6", at(20, 9, 10)),
        present(FindingCode.ATYPICAL_LYMPHOCYTES, at(20, 9, 20)),
        eosinophils(1_600, at(20, 9, 30)),
        stop("carbamazepine", at(20, 10)),
    ]


def _resolved() -> FactArrived:
    return present(FindingCode.REACTION_RESOLVED, at(40))


def _signs(day: int) -> list[FactArrived]:
    return [present(FindingCode.RASH, at(day, 9)), eosinophils(2_400, at(day, 10))]


def _under(drug: str) -> list[FactArrived]:
    return [_resolved(), order(drug, at(100)), *_signs(110), stop(drug, at(110, 12))]


def _after_a_treatment() -> list[FactArrived]:
    return [
        statement("cyclosporine", at(21), end=at(24, 12)),
        present(FindingCode.RASH_IMPROVED, at(23)),
        temperature("37.0", at(23)),
        temperature("39.0", at(27)),
        eosinophils(2_400, at(27, 9)),
    ]


def _with_a_virus() -> list[FactArrived]:
    return [_resolved(), *_signs(60), present(FindingCode.HHV6_REACTIVATION, at(62))]


def _without_a_drug() -> list[FactArrived]:
    return [_resolved(), *_signs(60)]


_COMES_BACK: Final[Sequence[Callable[[], list[FactArrived]]]] = (
    lambda: _under("carbamazepine"),
    lambda: _under("lamotrigine"),
    lambda: _under("allopurinol"),
    _after_a_treatment,
    _with_a_virus,
    _without_a_drug,
)
