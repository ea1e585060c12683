"""One HL7v2 message in, one outcome out: which types are read, and what all of them share."""

from collections.abc import Iterator
from typing import Final

from pv_stream.ingest.hl7v2 import Message, Segment, parse_message
from pv_stream.ingest.hl7v2_orders import read_orders
from pv_stream.ingest.hl7v2_people import patient_of, sender_of
from pv_stream.ingest.hl7v2_results import ResultContext, order_groups, read_group
from pv_stream.ingest.intake import Envelope, Intake, digest_of
from pv_stream.ingest.outcomes import Outcome, Reject, RejectCode, rejected
from pv_stream.ingest.results import Result, judge
from pv_stream.ingest.times import hl7_moment, hl7_offset, stamp

FORMAT: Final = "hl7v2"
_RESULTS: Final = "ORU^R01"
_ORDERS: Final = frozenset({"RDE^O11", "RDS^O13"})


def read_hl7v2(content: bytes, intake: Intake) -> Outcome:
    """Read one message."""
    message = parse_message(content)
    if isinstance(message, RejectCode):
        return rejected(message)
    if message.type != _RESULTS and message.type not in _ORDERS:
        return rejected(RejectCode.UNSUPPORTED_TYPE)
    sent_text = message.header.component(7, 1)
    stated_offset = hl7_offset(sent_text)
    offset = stated_offset if stated_offset is not None else intake.utc_offset_minutes
    sent_at = stamp(hl7_moment(sent_text, offset))
    received_at = intake.received(sent_at)
    if isinstance(received_at, RejectCode):
        return rejected(received_at)
    envelope = Envelope(FORMAT, digest_of(content), received_at)
    return _read_patients(message, envelope, sent_at or 0, offset, intake)


def _read_patients(
    message: Message, envelope: Envelope, issued_at: int, offset: int | None, intake: Intake
) -> Outcome:
    outcome = Outcome()
    sender = sender_of(message)
    groups = list(_by_patient(message))
    if not groups:
        return rejected(RejectCode.MISSING_PATIENT)
    results: list[Result] = []
    for number, (pid, segments) in enumerate(groups, start=1):
        path = f"PID[{number}]/" if len(groups) > 1 else ""
        patient = patient_of(pid, sender, intake.pseudonyms)
        if patient is None:
            outcome.rejects.append(Reject(RejectCode.MISSING_PATIENT, path.rstrip("/")))
            continue
        context = ResultContext(patient, sender, issued_at, offset, intake, envelope, path)
        if message.type == _RESULTS:
            for group in order_groups(segments):
                results += read_group(group, context, outcome)
        else:
            read_orders(segments, context, outcome)
    judge(results, intake, outcome)
    return outcome


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
