"""One HL7v2 message in, one outcome out: which types are read, what all of them share, and what became of each segment.

Types are told by message code and trigger event; the events of the versions before 2.4 are read as what they became.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from operator import attrgetter
from typing import Final

from pv_stream.ingest.hl7v2.merges import MERGES, read_merge
from pv_stream.ingest.hl7v2.orders import read_orders
from pv_stream.ingest.hl7v2.people import PatientContext, patient_of, sender_of
from pv_stream.ingest.hl7v2.results import order_groups, read_group
from pv_stream.ingest.hl7v2.syntax import Message, Segment, parse_message
from pv_stream.ingest.hl7v2.visits import read_beside, read_on_patient
from pv_stream.ingest.intake import Envelope, Intake, digest_of
from pv_stream.ingest.outcomes import Fate, IgnoreReason, Outcome, Reject, RejectCode, rejected
from pv_stream.ingest.results import Result, judge
from pv_stream.ingest.times import hl7_moment, hl7_offset, stamp

FORMAT: Final = "hl7v2"
_RESULTS: Final = frozenset({"ORU^R01", "ORU"})
_ORDERS: Final = frozenset(
    {"RDE^O11", "RDE^O01", "RDS^O13", "RDS^O01", "RAS^O17", "RAS^O01", "ORM^O01", "OMP^O09"}
)
#: Admission, transfer, discharge, registration, update, their cancellations, and person updates. No rule uses the stay:
#: a discharge is no resolution, and an episode goes on across it.
_VISITS: Final = frozenset(
    {*(f"ADT^A0{event}" for event in range(1, 9)), "ADT^A11", "ADT^A12", "ADT^A13", "ADT^A28", "ADT^A31"}
)
_READ: Final = _RESULTS | _ORDERS | _VISITS | MERGES
#: Segments that say something about those that become facts, unless they become one themselves.
_CONTEXT: Final = frozenset(
    {"MSH", "PID", "MRG", "ORC", "OBR", "SPM", "TQ1", "RXO", "RXE", "RXD", "RXA", "RXR", "RXC"}
)
#: Segments that state something of a patient.
_STATING: Final = frozenset({"DG1", "MRG", "OBX", "RXA", "RXD", "RXE", "RXO"})
#: The other segments of the standard that messages of these types carry. Any other name may be a piece of text.
_NAMED: Final = _CONTEXT | {
    "ACC", "AL1", "ARV", "BLG", "CDO", "CTD", "CTI", "DB1", "DG1", "DRG", "DSC", "EVN", "FT1", "GP1", "GP2", "GT1",
    "IAM", "IN1", "IN2", "IN3", "NK1", "NTE", "OBX", "OH1", "OH2", "OH3", "OH4", "PD1", "PDA", "PR1", "PRT", "PV1",
    "PV2", "ROL", "RXG", "RXV", "SAC", "SFT", "TQ2", "UAC", "UB1", "UB2",
}  # fmt: skip

_NAME_AND_FATE: Final = attrgetter("name", "fate")


def read_hl7v2(content: bytes, intake: Intake) -> Outcome:
    """Read one message."""
    message = parse_message(content)
    if isinstance(message, RejectCode):
        return rejected(message)
    kind = message.type
    sent_text = message.header.component(7, 1)
    stated_offset = hl7_offset(sent_text)
    offset = stated_offset if stated_offset is not None else intake.utc_offset_minutes
    sent_at = stamp(hl7_moment(sent_text, offset))
    received_at = intake.received(sent_at)
    if kind not in _READ:
        outcome = rejected(RejectCode.UNSUPPORTED_TYPE)
    elif isinstance(received_at, RejectCode):
        outcome = rejected(received_at)
    else:
        envelope = Envelope(FORMAT, digest_of(content), received_at)
        outcome = _read_patients(message, kind, envelope, sent_at or 0, offset, intake)
    _note(message, outcome)
    return outcome


def _read_patients(  # noqa: PLR0913 - a message and what is known of it
    message: Message, kind: str, envelope: Envelope, issued_at: int, offset: int | None, intake: Intake
) -> Outcome:
    outcome = Outcome()
    sender = sender_of(message)
    groups = list(_by_patient(message))
    if not groups:
        return rejected(RejectCode.MISSING_PATIENT)
    _refuse_nobodys(message, outcome)
    results: list[tuple[Segment, Result]] = []
    for number, (pid, segments) in enumerate(groups, start=1):
        path = f"PID[{number}]/" if len(groups) > 1 else ""
        if kind in MERGES:
            read_merge(pid, segments, sender, path, envelope, intake, outcome)
            continue
        patient = patient_of(pid, sender, intake.pseudonyms)
        if patient is None:
            outcome.rejects.append(Reject(RejectCode.MISSING_PATIENT, path.rstrip("/")))
            for segment in (pid, *segments):
                segment.fate = Fate.REJECTED
            continue
        context = PatientContext(patient, sender, issued_at, offset, intake, envelope, path)
        results += _read_patient(kind, segments, context, outcome)
    judge([result for _, result in results], intake, outcome)
    held = {hold.path for hold in outcome.holds}
    for segment, result in results:
        segment.fate = Fate.HELD if result.path in held else Fate.FACT
    return outcome


def _read_patient(
    kind: str, segments: list[Segment], context: PatientContext, outcome: Outcome
) -> Iterator[tuple[Segment, Result]]:
    """Yield the results of one patient, and add what else the segments say."""
    if kind in _RESULTS:
        for group in order_groups(segments):
            yield from read_group(group, context, outcome)
    else:
        if kind in _ORDERS:
            read_orders(segments, context, outcome)
        else:
            outcome.ignored[IgnoreReason.VISIT_NOT_USED] += 1
        yield from read_on_patient(segments, context, outcome)
    read_beside(segments, context, outcome)


def _refuse_nobodys(message: Message, outcome: Outcome) -> None:
    """Refuse what is stated before the first PID: nobody knows of whom."""
    before = takewhile(lambda segment: segment.name != "PID", message.segments)
    for segment in before:
        if segment.name in _STATING:
            segment.fate = Fate.REJECTED
            outcome.rejects.append(Reject(RejectCode.MISSING_PATIENT, f"PID[0]/{segment.name}"))


def _by_patient(message: Message) -> Iterator[tuple[Segment, list[Segment]]]:
    """Yield each PID with the segments up to the next; what stands before the first belongs to nobody."""
    pid: Segment | None = None
    segments: list[Segment] = []
    for segment in message.segments:
        if segment.name == "PID":
            if pid is not None:
                yield pid, segments
            pid, segments = segment, []
        else:
            segments.append(segment)
    if pid is not None:
        yield pid, segments


def _note(message: Message, outcome: Outcome) -> None:
    """Note what became of each segment; those of a message that is refused whole are refused."""
    is_refused = bool(outcome.rejects) and not outcome.events and not outcome.ignored
    for (name, told), count in Counter(map(_NAME_AND_FATE, message.segments)).items():
        fate = told or (Fate.REJECTED if is_refused else Fate.CONTEXT if name in _CONTEXT else Fate.IGNORED)
        outcome.parts[name if name in _NAMED else _unnamed(name), fate] += count
    if message.continued:
        outcome.parts["continued line", Fate.REJECTED if is_refused else Fate.CONTEXT] += message.continued


def _unnamed(name: str) -> str:
    """Return how a segment is counted that is none of `_NAMED`: the sender's own, or what may be text."""
    return "Z segment" if name.startswith("Z") else "other segment"
