"""What the listeners share: bytes of one message in, its outcome and the events for the input log out.

A listener stamps what it hears with its own clock: that is when it was received. A message that is refused or holds
a value that is not believed is kept in the reject store before anybody is answered. Nothing here writes to Kafka:
`EventWriter` says what a listener asks of whoever does.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Final, Protocol

from pv_stream.codec.events import encode_event
from pv_stream.domain.events import ClockTicked, Event, Received, RulebookActivated, Transferred
from pv_stream.domain.times import Instant
from pv_stream.errors import UsageError
from pv_stream.ingest.feed import keep, name_of, read_record
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import Outcome, RejectCode, rejected
from pv_stream.ingest.rejects import Position, RejectStore
from pv_stream.ingest.report import Report
from pv_stream.ingest.sources import Format

#: (key, value) of one event of the input log; the key is the patient's.
KeyedEvent = tuple[bytes, bytes]
#: The owner of a shard writes its clock and its transfers, and `rules activate` its rulebook: never who sends messages.
_NEVER_SENT: Final = (ClockTicked, RulebookActivated, Transferred, Received)

#: Connections that wait to be taken.
BACKLOG: Final = 128


class EventWriter(Protocol):
    """Whoever makes events durable."""

    async def write(self, events: Sequence[KeyedEvent]) -> None:
        """Return when all events of one message are durable, together.

        Raises Unavailable when nothing was written and the sender should try again later, EnvironmentBroken when
        it is not known and the listener must end without an answer.
        """


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold what became of one message and what of it goes to the input log."""

    outcome: Outcome
    events: tuple[KeyedEvent, ...]


@dataclass(slots=True)
class Desk:
    """Read what a listener hears, count it, and keep what is refused.

    `clock` gives the present: `received_at` of every message, and the bound of what a sender may claim.
    """

    intake: Intake
    store: RejectStore
    record_bytes_max: int
    clock: Callable[[], Instant]
    report: Report = field(default_factory=Report)

    def read(self, form: Format | None, position: Position) -> Reading:
        """Read one message. Raises DataError when it must be kept and cannot: then nothing was done.

        `position.record.size` may say that the message was longer than what was kept of it.
        """
        return self.file(form, position, self.understand(form, position))

    def understand(self, form: Format | None, position: Position) -> Reading:
        """Return what becomes of one message; nothing is kept or counted, so any thread may do it."""
        now = self.clock()
        intake = replace(self.intake, now=now, received_at=now)
        outcome = read_record(form, position.record, intake, self.record_bytes_max)
        events = keyed(outcome.events)
        if any(len(value) > self.record_bytes_max for _, value in events):
            outcome, events = rejected(RejectCode.TOO_LARGE), ()
        return Reading(outcome, events)

    def refuse(self, form: Format | None, position: Position, code: RejectCode) -> Reading:
        """Refuse one message that is not to be read. Raises DataError as `read` does."""
        return self.file(form, position, Reading(rejected(code), ()))

    def file(self, form: Format | None, position: Position, reading: Reading) -> Reading:
        """Keep and count what became of one message. Raises DataError as `read` does."""
        keep(self.store, position, reading.outcome)
        self.report.add(name_of(form), reading.outcome)
        return reading


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens; raise UsageError when it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "no such address"
        message = f"cannot listen on {host} port {port}: {reason}. Name others with --host and --port."
        raise UsageError(message) from None
    # Its connections inherit this: an answer in two pieces would otherwise wait 40 ms for the first to be confirmed.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def keyed(events: Sequence[Event]) -> tuple[KeyedEvent, ...]:
    """Return the records of the input log for the events of one message."""
    return tuple(
        (event.patient_id.encode(), encode_event(event))
        for event in events
        if not isinstance(event, _NEVER_SENT)
    )


def place_of(error: BaseException) -> str:
    """Return where in our code an error arose; its text may quote a message, this does not."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an unknown place"
    return f"{PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
