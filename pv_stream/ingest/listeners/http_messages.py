"""The messages of one body: cut, read one by one, made durable together, and answered in their own standard.

HL7v2 answers by an acknowledgement, E2B by one for the batch and each report, all else by an OperationOutcome. One
message that cannot be read takes no other of its body with it.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pv_stream.domain.times import Instant
from pv_stream.ingest.hl7v2.answers import answer as acknowledge
from pv_stream.ingest.hl7v2.answers import verdict_of
from pv_stream.ingest.icsr.acknowledgement import BatchReceipt
from pv_stream.ingest.listeners.desk import Desk, KeyedEvent, Reading
from pv_stream.ingest.listeners.http_answers import Answer, status_of, verdict
from pv_stream.ingest.outcomes import Hold, Outcome, Reject
from pv_stream.ingest.rejects import Position
from pv_stream.ingest.sources import Format, Record, messages

ER7: Final = "application/hl7-v2"
XML: Final = "application/xml"
_CONTROL_ID_BYTES: Final = 10


@dataclass(frozen=True, slots=True)
class Body:
    """Hold the messages of one body with what became of each."""

    form: Format
    parts: tuple[tuple[Record, Reading], ...]

    @property
    def events(self) -> tuple[KeyedEvent, ...]:
        """Return what is to be written, of all messages together."""
        return tuple(event for _, reading in self.parts for event in reading.events)

    @property
    def outcome(self) -> Outcome:
        """Return what became of all of it; in a body of several messages each path begins with its message."""
        together = Outcome()
        for number, (_, reading) in enumerate(self.parts, start=1):
            outcome = reading.outcome
            place = f"message[{number}]" if len(self.parts) > 1 else ""
            together.events += outcome.events
            together.rejects += [Reject(each.code, _joined(place, each.path)) for each in outcome.rejects]
            together.holds += [
                Hold(each.code, _joined(place, each.path), each.value_digest) for each in outcome.holds
            ]
        return together


def read_messages(desk: Desk, form: Format, content: bytes, number: int) -> Body:
    """Read every message of a body, which is known by a number. Raises DataError as the desk does."""
    cut = _cut(form, content, desk.record_bytes_max)
    return Body(form, tuple((record, desk.read(form, Position(number, record))) for record in cut))


def answer_to(body: Body, now: Instant) -> Answer:
    """Return the answer to a body whose events are durable."""
    outcome = body.outcome
    if body.form is Format.HL7V2 and len(body.parts) == 1:
        ((record, reading),) = body.parts
        control_id = secrets.token_hex(_CONTROL_ID_BYTES)
        told = acknowledge(record.content, verdict_of(reading.outcome), now=now, control_id=control_id)
        if told is not None:  # a sender may ask for none, and HTTP answers all the same
            return Answer(status_of(outcome), told, ER7)
    if body.form is Format.E2B:
        receipt = BatchReceipt()
        for record, reading in body.parts:
            receipt.add(record.content, reading.outcome)
        return Answer(status_of(outcome), receipt.write(now), XML)
    return verdict(outcome)


def _cut(form: Format, content: bytes, bytes_max: int) -> Iterator[Record]:
    """Yield the messages of a body; a FHIR document is always one, however its lines look."""
    if form is Format.FHIR:
        return iter((Record(content, 1, 0, len(content)),))
    return messages(BytesIO(content), form, bytes_max)


def _joined(place: str, path: str) -> str:
    return f"{place}.{path}" if place and path else place or path
