"""RDE^O11 and RDS^O13: drugs ordered (RXE) and dispensed (RXD), in groups that begin with ORC.

An order with several parts (RXC) is one exposure to all their ingredients. What ends an order (DC, OC ...) is a record
of its own at the time of the stop. Patient observations inside an order (OBX) have no specimen time and are not used.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pv_stream.domain.codes import EvidenceFlag, ExposureKind, HoldCode, Status
from pv_stream.domain.facts import Exposure, Held
from pv_stream.domain.times import Interval, exactly
from pv_stream.ingest.drugs import Coding, Drug, route_of
from pv_stream.ingest.hl7v2 import Segment, part_of
from pv_stream.ingest.hl7v2_people import OrderNumber, order_number
from pv_stream.ingest.hl7v2_results import ResultContext
from pv_stream.ingest.intake import Version, arrive, digest_of
from pv_stream.ingest.outcomes import Hold, IgnoreReason, Outcome
from pv_stream.ingest.times import Moment, hl7_moment
from pv_stream.rules.plausibility import why_held

#: ORC-1, HL7 table 0119: what begins or changes an order, and what ends one. Others say nothing about exposure.
_STARTS: Final = frozenset({"NW", "OK", "RE", "RO", "RF", "SN", "NA", "XO", "XX", "XR", "PA"})
_STOPS: Final = frozenset({"CA", "OC", "CR", "DC", "OD", "DR", "RP", "RU", "RQ"})
_GIVE_CODE: Final = {"RXE": 2, "RXD": 2, "RXO": 1}
_COMPONENT_CODE: Final = 2
_CODINGS: Final = ((1, 2, 3), (4, 5, 6), (10, 11, 12))
_ORIGINAL_TEXT: Final = 9


@dataclass(slots=True)
class Item:
    """Hold one RXE or RXD (or RXO) with the timing, routes and parts that follow it."""

    segment: Segment
    timings: list[Segment] = field(default_factory=list)
    routes: list[Segment] = field(default_factory=list)
    parts: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class DrugOrder:
    """Hold the segments of one ORC."""

    number: int
    order: Segment
    timings: list[Segment] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)


def drug_orders(segments: list[Segment], outcome: Outcome) -> Iterator[DrugOrder]:
    """Yield the orders of one patient; count the observations inside them."""
    current: DrugOrder | None = None
    count = 0
    for segment in segments:
        if segment.name == "ORC":
            if current is not None:
                yield current
            count += 1
            current = DrugOrder(count, segment)
        elif segment.name == "OBX":
            outcome.ignored[IgnoreReason.OBSERVATION_IN_ORDER] += 1
        elif current is not None:
            _add(current, segment)
    if current is not None:
        yield current


def _add(order: DrugOrder, segment: Segment) -> None:
    item = order.items[-1] if order.items else None
    if segment.name in _GIVE_CODE:
        order.items.append(Item(segment))
    elif segment.name == "TQ1":
        (order if item is None else item).timings.append(segment)
    elif segment.name == "RXR" and item is not None:
        item.routes.append(segment)
    elif segment.name == "RXC" and item is not None:
        item.parts.append(segment)


def read_orders(segments: list[Segment], context: ResultContext, outcome: Outcome) -> None:
    """Add the exposures of one patient in an order or dispense message."""
    for order in drug_orders(segments, outcome):
        wanted = {item.segment.name for item in order.items}
        name = next((name for name in ("RXD", "RXE", "RXO") if name in wanted), None)
        control = order.order.text(1)
        if name is None or (name != "RXD" and control not in _STARTS | _STOPS):
            outcome.ignored[IgnoreReason.ORDER_CONTROL_NOT_USED] += 1
            continue
        for position, item in enumerate((item for item in order.items if item.segment.name == name), start=1):
            path = f"{context.path}ORC[{order.number}]/{name}[{position}]"
            _read_item(order, item, path, context, outcome)


def _read_item(order: DrugOrder, item: Item, path: str, context: ResultContext, outcome: Outcome) -> None:
    envelope = context.envelope
    drug = context.intake.drugs.recognise(_codings(item))
    kind = ExposureKind.DISPENSE if item.segment.name == "RXD" else ExposureKind.ORDER
    is_stop = kind is ExposureKind.ORDER and order.order.text(1) in _STOPS
    offset = context.default_offset
    moment, end = _stop_time(order, offset) if is_stop else _start_times(order, item, offset)
    if isinstance(moment, Moment) and end is not None and end.latest < moment.interval.earliest:
        moment = HoldCode.UNREADABLE_TIME
    version = Version(
        patient=context.patient,
        key=context.intake.pseudonyms.fact(
            "drug", *_identity(order, item, drug, kind, is_stop, moment, context)
        ),
        status=Status.FINAL,
        issued_at=context.issued_at,
    )
    exposure = Exposure(
        kind=kind,
        ingredients=drug.ingredients,
        route=route_of(route.component(1, position) for route in item.routes for position in (1, 4)),
        end=end,
        is_stop=is_stop,
        as_sent=drug.as_sent,
        flags=() if drug.is_known else (EvidenceFlag.UNKNOWN_INGREDIENT,),
    )
    if isinstance(moment, Moment):
        why = why_held(exposure, moment.interval, envelope.received_at, context.intake.rulebook)
        if why is None:
            outcome.events.append(arrive(version, exposure, moment, envelope, path))
            return
    else:
        why = moment
    digest = digest_of(item.segment.raw(_GIVE_CODE[item.segment.name]).encode(errors="surrogatepass"))
    outcome.holds.append(Hold(why, path, digest))
    at_arrival = Moment(exactly(envelope.received_at), None)
    outcome.events.append(arrive(version, Held(why, digest), at_arrival, envelope, path))


def _codings(item: Item) -> Iterator[Coding]:
    for segment, number in (
        (item.segment, _GIVE_CODE[item.segment.name]),
        *((p, _COMPONENT_CODE) for p in item.parts),
    ):
        components = segment.components(number)
        for code, name, system in _CODINGS:
            coding = Coding(part_of(components, system), part_of(components, code), part_of(components, name))
            if coding.code or coding.name:
                yield coding
        if original := part_of(components, _ORIGINAL_TEXT):
            yield Coding("", "", original)


def _start_times(
    order: DrugOrder, item: Item, offset: int | None
) -> tuple[Moment | HoldCode, Interval | None]:
    """Return start and planned end.

    RXD-3 for a dispense; else TQ1-7 and TQ1-8, or the quantity/timing of older versions (RXE-1, ORC-7), then the
    effective time of the order (ORC-15), then the time of its transaction (ORC-9).
    """
    if item.segment.name == "RXD":
        return hl7_moment(item.segment.component(3, 1), offset), None
    older = item.segment.components(1) if item.segment.name == "RXE" else ()
    pairs = [
        *((timing.component(7, 1), timing.component(8, 1)) for timing in (*item.timings, *order.timings)),
        (part_of(older, 4), part_of(older, 5)),
        (order.order.component(7, 4), order.order.component(7, 5)),
        (order.order.component(15, 1), ""),
        (order.order.component(9, 1), ""),
    ]
    start, end = next(((start, end) for start, end in pairs if start), ("", ""))
    ended = hl7_moment(end, offset)
    return hl7_moment(start, offset), ended.interval if isinstance(ended, Moment) else None


def _stop_time(order: DrugOrder, offset: int | None) -> tuple[Moment | HoldCode, Interval | None]:
    """Return when an order was stopped: never its TQ1-7, which is its start."""
    stated = order.order.component(15, 1) or order.order.component(9, 1)
    return hl7_moment(stated, offset), None


def _identity(  # noqa: PLR0913 - the parts of a key
    order: DrugOrder,
    item: Item,
    drug: Drug,
    kind: ExposureKind,
    is_stop: bool,  # noqa: FBT001 - a fact about the record, not a switch
    moment: Moment | HoldCode,
    context: ResultContext,
) -> tuple[str, ...]:
    number = order_number(
        (("placer", order.order, 2), ("filler", order.order, 3)),
        context.sender,
    ) or OrderNumber("none", "", "")
    time = "" if isinstance(moment, HoldCode) else f"{moment.interval.earliest}/{moment.interval.latest}"
    dispense = item.segment.text(7) + "/" + item.segment.text(1) if kind is ExposureKind.DISPENSE else ""
    return (*number.parts, kind, "stop" if is_stop else "", dispense, drug.identity, time)
