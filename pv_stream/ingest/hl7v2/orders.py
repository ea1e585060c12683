"""Drugs ordered (RXE, RXO), dispensed (RXD) and given (RXA), in groups that begin with ORC.

RDE^O11, RDS^O13, RAS^O17 and their older names, and orders of drugs in ORM^O01 and OMP^O09. An order with several
parts (RXC) is one exposure to all their ingredients. What ends an order (DC, OC ...) is a record of its own at the
time of the stop. A dose that was refused or not given, or whose record is deleted, takes back the record of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from itertools import islice
from typing import Final

from pv_stream.domain.codes import EvidenceFlag, ExposureKind, HoldCode, Route, Status
from pv_stream.domain.facts import Dose, Exposure, Retracted
from pv_stream.domain.times import Interval
from pv_stream.ingest.drugs import Coding, Drug, route_of
from pv_stream.ingest.hl7v2.doses import dose_of, per_day_of
from pv_stream.ingest.hl7v2.people import PatientContext, order_number
from pv_stream.ingest.hl7v2.statements import state
from pv_stream.ingest.hl7v2.syntax import Segment, part_of
from pv_stream.ingest.intake import Version
from pv_stream.ingest.outcomes import Fate, IgnoreReason, Outcome
from pv_stream.ingest.times import Moment, hl7_moment

#: ORC-1, HL7 table 0119: what begins or changes an order, and what ends one. Others say nothing about exposure.
_STARTS: Final = frozenset({"NW", "OK", "RE", "RO", "RF", "SN", "NA", "XO", "XX", "XR", "PA"})
_STOPS: Final = frozenset({"CA", "OC", "CR", "DC", "OD", "DR", "RP", "RU", "RQ"})
#: A changed status (ORC-1 SC) says by ORC-5, HL7 table 0038, what it now is; discontinued and cancelled end an order.
_STATUS_CHANGED: Final = "SC"
_ENDED: Final = frozenset({"DC", "CA"})
#: RXA-20, HL7 table 0322: complete and partial doses were given; refused ones and those not administered were not.
_GIVEN: Final = frozenset({"", "CP", "PA"})
_NOT_GIVEN: Final = frozenset({"RE", "NA"})
#: RXA-21, HL7 table 0206: add, update, delete.
_DELETED: Final = "D"
_RECORDED: Final = frozenset({"", "A", "U"})
#: The field of each segment that names the drug. Of several segments of one order the first named here counts.
_DRUG_FIELD: Final = {"RXA": 5, "RXD": 2, "RXE": 2, "RXO": 1}
_KIND: Final = {"RXA": ExposureKind.ADMINISTRATION, "RXD": ExposureKind.DISPENSE}
_PART_CODE: Final = 2
_CODINGS: Final = ((1, 2, 3), (4, 5, 6), (10, 11, 12))
_ORIGINAL_TEXT: Final = 9


@dataclass(slots=True)
class Item:
    """Hold one RXE, RXD, RXA or RXO with the timing, routes and parts that follow it."""

    segment: Segment
    timings: list[Segment] = field(default_factory=list)
    routes: list[Segment] = field(default_factory=list)
    parts: list[Segment] = field(default_factory=list)


@dataclass
class DrugOrder:
    """Hold the segments of one ORC. What its items share is looked for once, however many there are."""

    number: int
    order: Segment
    timings: list[Segment] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)

    @property
    def control(self) -> str:
        """Return what is done to the order (ORC-1); a status that ends it is its end."""
        control, status = self.order.text(1), self.order.text(5)
        return status if control == _STATUS_CHANGED and status in _ENDED else control

    @cached_property
    def ordered(self) -> Item | None:
        """Return what was ordered, as the pharmacy has it (RXE), else as it was asked for (RXO)."""
        first = {item.segment.name: item for item in reversed(self.items)}
        return first.get("RXE") or first.get("RXO")

    @cached_property
    def start_and_end(self) -> tuple[str, str]:
        """Return the times of the first TQ1 of the whole order that states a start."""
        return _first_start(self.timings)

    @cached_property
    def per_day(self) -> Decimal | None:
        """Return how often a day the whole order is given."""
        return per_day_of(self.timings, (self.order.subcomponents(7, 2)[0],))


@dataclass(frozen=True, slots=True)
class Place:
    """Hold one item, the order that it stands in, and its path."""

    order: DrugOrder
    item: Item
    path: str

    @property
    def kind(self) -> ExposureKind:
        """Return how this says that a patient gets a drug."""
        return _KIND.get(self.item.segment.name, ExposureKind.ORDER)

    @property
    def is_stop(self) -> bool:
        """Tell whether this ends an order."""
        return self.kind is ExposureKind.ORDER and self.order.control in _STOPS


def drug_orders(segments: list[Segment]) -> Iterator[DrugOrder]:
    """Yield the orders of one patient; what stands before the first ORC is one without any."""
    current: DrugOrder | None = None
    count = 0
    for segment in segments:
        if segment.name == "ORC":
            if current is not None:
                yield current
            count += 1
            current = DrugOrder(count, segment)
        elif segment.name in _DRUG_FIELD or current is not None:
            current = current or DrugOrder(count, Segment(["ORC"], segment.delimiters))
            _add(current, segment)
    if current is not None:
        yield current


def _add(order: DrugOrder, segment: Segment) -> None:
    item = order.items[-1] if order.items else None
    if segment.name in _DRUG_FIELD:
        order.items.append(Item(segment))
    elif segment.name == "TQ1":
        (order if item is None else item).timings.append(segment)
    elif segment.name == "RXR" and item is not None:
        _add_route(order.items, segment)
    elif segment.name == "RXC" and item is not None:
        item.parts.append(segment)


def _add_route(items: list[Item], route: Segment) -> None:
    """Add a route to the last item, and to those of its kind right before it that have none: doses share one RXR."""
    items[-1].routes.append(route)
    for item in islice(reversed(items), 1, None):
        if item.segment.name != items[-1].segment.name or item.routes:
            return
        item.routes.append(route)


def read_orders(segments: list[Segment], context: PatientContext, outcome: Outcome) -> None:
    """Add the exposures of one patient in a message of orders, dispenses or administrations."""
    for order in drug_orders(segments):
        names = {item.segment.name for item in order.items}
        name = next((name for name in _DRUG_FIELD if name in names), None)
        reason = _why_not_used(name, order.control)
        if name is None or reason is not None:
            outcome.ignored[reason or IgnoreReason.NO_DRUG] += 1
            for segment in (order.order, *(item.segment for item in order.items)):
                segment.fate = Fate.IGNORED
            continue
        used = [item for item in order.items if item.segment.name == name]
        for position, item in enumerate(used, start=1):
            within = f"{context.path}ORC[{order.number}]/" if order.number else context.path
            _read_item(Place(order, item, f"{within}{name}[{position}]"), context, outcome)


def _why_not_used(name: str | None, control: str) -> IgnoreReason | None:
    if name is None:
        return IgnoreReason.NO_DRUG if control in _STARTS | _STOPS else IgnoreReason.ORDER_CONTROL_NOT_USED
    is_order = name not in _KIND
    return IgnoreReason.ORDER_CONTROL_NOT_USED if is_order and control not in _STARTS | _STOPS else None


def _read_item(place: Place, context: PatientContext, outcome: Outcome) -> None:
    segment = place.item.segment
    drug = context.intake.drugs.recognise(_codings(place.item))
    moment, end = _times(place, context.default_offset)
    version = Version(
        patient=context.patient,
        key=context.intake.pseudonyms.fact("drug", *_identity(place, drug, moment, context)),
        status=Status.FINAL,
        issued_at=context.issued_at,
    )
    if isinstance(moment, Moment) and end is not None and end.latest < moment.interval.earliest:
        moment, end = HoldCode.UNREADABLE_TIME, None
    said = _as_recorded(segment)
    doubt = None
    if said is None:
        doubt = drug.doubt
        if not drug.is_known and doubt is None:
            outcome.ignored[IgnoreReason.DRUG_NOT_RECOGNISED] += 1
        said = Exposure(
            kind=place.kind,
            ingredients=drug.ingredients or drug.may_be,
            route=_route(place, drug),
            end=end,
            is_stop=place.is_stop,
            as_sent=drug.as_sent,
            flags=() if drug.is_known or doubt else (EvidenceFlag.UNKNOWN_INGREDIENT,),
            dose=None if place.is_stop else _dose(place, drug, context),
        )
    state(segment, _DRUG_FIELD[segment.name], place.path, said, moment, version, context, outcome, doubt)


def _as_recorded(segment: Segment) -> Exposure | Retracted | HoldCode | None:
    """Return what the record of a dose says instead of an exposure: that none was given, or nothing defined."""
    if segment.name != "RXA":
        return None
    completion, action = segment.text(20), segment.text(21)
    if action == _DELETED or completion in _NOT_GIVEN:
        return Retracted()
    return None if completion in _GIVEN and action in _RECORDED else HoldCode.UNKNOWN_STATUS


def _route(place: Place, drug: Drug) -> Route:
    stated = (route.component(1, position) for route in place.item.routes for position in (1, 4, 2))
    return route_of(stated, drug.route)


def _dose(place: Place, drug: Drug, context: PatientContext) -> Dose | None:
    """Return the dose of one ingredient: the milligrams of a product of several are those of none of them.

    A dispense is a supply, so its dose is the one that was ordered, where its order names the same drug.
    """
    source = place.item
    if place.kind is ExposureKind.DISPENSE:
        ordered = place.order.ordered
        if ordered is None or context.intake.drugs.recognise(_codings(ordered)) != drug:
            return None
        source = ordered
    if len(drug.ingredients) != 1 or source.parts:
        return None
    is_given = place.kind is ExposureKind.ADMINISTRATION
    return dose_of(source.segment, None if is_given else _per_day(place.order, source))


def _per_day(order: DrugOrder, item: Item) -> Decimal | None:
    older = item.segment.subcomponents(1, 2)[0] if item.segment.name == "RXE" else ""
    return per_day_of(item.timings, (older,)) if item.timings or older else order.per_day


def _codings(item: Item) -> Iterator[Coding]:
    parts = ((part, _PART_CODE) for part in item.parts)
    named = ((item.segment, _DRUG_FIELD[item.segment.name]), *parts)
    for concept, (segment, number) in enumerate(named):
        components = segment.components(number)
        for code, name, system in _CODINGS:
            stated = [part_of(components, position) for position in (system, code, name)]
            coding = Coding(stated[0], stated[1], stated[2], concept)
            if coding.code or coding.name:
                yield coding
        if original := part_of(components, _ORIGINAL_TEXT):
            yield Coding("", "", original, concept)


# Times and key ------------------------------------------------------------------------------------------------------


def _times(place: Place, offset: int | None) -> tuple[Moment | HoldCode, Interval | None]:
    """Return start and end: RXA-3 and RXA-4 of a dose, RXD-3 of a dispense, else those of the order."""
    segment = place.item.segment
    if segment.name == "RXA":
        ended = hl7_moment(segment.component(4, 1), offset)
        return hl7_moment(segment.component(3, 1), offset), _interval(ended)
    if segment.name == "RXD":
        return hl7_moment(segment.component(3, 1), offset), None
    if place.is_stop:
        return _stop_time(place.order, offset), None
    return _start_times(place.order, place.item, offset)


def _start_times(
    order: DrugOrder, item: Item, offset: int | None
) -> tuple[Moment | HoldCode, Interval | None]:
    """Return start and planned end of an order.

    TQ1-7 and TQ1-8, or the quantity/timing of older versions (RXE-1, ORC-7), then the effective time of the order
    (ORC-15), then the time of its transaction (ORC-9).
    """
    older = item.segment.components(1) if item.segment.name == "RXE" else []
    pairs = (
        _first_start(item.timings),
        order.start_and_end,
        (part_of(older, 4), part_of(older, 5)),
        (order.order.component(7, 4), order.order.component(7, 5)),
        (order.order.component(15, 1), ""),
        (order.order.component(9, 1), ""),
    )
    start, end = next(((start, end) for start, end in pairs if start), ("", ""))
    return hl7_moment(start, offset), _interval(hl7_moment(end, offset))


def _first_start(timings: list[Segment]) -> tuple[str, str]:
    stated = ((timing.component(7, 1), timing.component(8, 1)) for timing in timings)
    return next((pair for pair in stated if pair[0]), ("", ""))


def _stop_time(order: DrugOrder, offset: int | None) -> Moment | HoldCode:
    """Return when an order was stopped: never its TQ1-7, which is its start."""
    return hl7_moment(order.order.component(15, 1) or order.order.component(9, 1), offset)


def _interval(moment: Moment | HoldCode) -> Interval | None:
    return moment.interval if isinstance(moment, Moment) else None


def _identity(
    place: Place, drug: Drug, moment: Moment | HoldCode, context: PatientContext
) -> tuple[str, ...]:
    """Return what names the record: its order and, of several doses or dispenses of one, its own number."""
    order, segment = place.order.order, place.item.segment
    number = order_number((("placer", order, 2), ("filler", order, 3)), context.sender)
    parts = ("none", context.patient, "") if number is None else number.parts
    time = "" if isinstance(moment, HoldCode) else f"{moment.interval.earliest}/{moment.interval.latest}"
    own = ""
    if segment.name == "RXD":
        own = f"{segment.text(7)}/{segment.text(1)}"
    elif segment.name == "RXA":
        own = f"{segment.text(1)}/{segment.text(2)}"
    return (*parts, place.kind, "stop" if place.is_stop else "", own, drug.identity, time)
