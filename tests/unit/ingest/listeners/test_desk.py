"""The desk of the listeners: its own clock, records that the log takes, and refusals that are kept."""

import socket
from pathlib import Path

import pytest

from pv_stream.domain.events import ClockTicked, FactArrived
from pv_stream.domain.times import parse_instant
from pv_stream.errors import UsageError
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.listeners.desk import Desk, keyed, listening_socket, place_of
from pv_stream.ingest.outcomes import MessageOutcome, RejectCode
from pv_stream.ingest.rejects import Position, RejectStore
from pv_stream.ingest.sources import Format, Record
from tests.unit.ingest.messages import OBR, obx, oru

NOW = parse_instant("2026-11-21T12:00:00Z")


@pytest.fixture
def desk(intake: Intake, tmp_path: Path) -> Desk:
    return Desk(intake, RejectStore(tmp_path / "rejects"), 1_024 * 1_024, lambda: NOW)


def at(content: bytes) -> Position:
    return Position(1, Record(content, 1, 0, len(content)))


@pytest.mark.parametrize("sent", ["20210412080000+0200", "20210412", "", "20520412080000+0200"])
def test_a_message_is_received_when_it_is_heard_whatever_its_sender_says(desk: Desk, sent: str) -> None:
    (event,) = desk.read(Format.HL7V2, at(oru(OBR, obx(), sent=sent))).outcome.events
    assert isinstance(event, FactArrived)
    assert event.received_at == NOW


def test_an_event_that_the_log_would_refuse_is_refused_here_and_kept(desk: Desk) -> None:
    content = oru(OBR, obx())
    desk.record_bytes_max = len(content)
    reading = desk.read(Format.HL7V2, at(content))
    assert len(desk.store.folder.joinpath("index.jsonl").read_bytes().splitlines()) == 1
    assert reading.events == ()
    assert [reject.code for reject in reading.outcome.rejects] == [RejectCode.TOO_LARGE]


def test_a_message_that_is_not_to_be_read_is_kept_and_counted(desk: Desk) -> None:
    reading = desk.refuse(Format.HL7V2, at(b"torn"), RejectCode.MALFORMED_HL7)
    assert reading.outcome.message is MessageOutcome.REJECTED
    assert desk.report.rejected == {"malformed_hl7": 1}
    assert [path.read_bytes() for path in desk.store.folder.glob("*.bin")] == [b"torn"]


def test_a_sender_writes_no_clock() -> None:
    assert keyed([ClockTicked(NOW)]) == ()


def test_a_place_is_told_without_the_text_of_the_error() -> None:
    with pytest.raises(ValueError, match="PLOVER") as caught:
        int("PLOVER")
    assert place_of(caught.value).startswith("test_desk.py:")
    assert place_of(ValueError()) == "an unknown place"


def test_an_address_that_cannot_be_listened_on_is_one_line() -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        assert taken.family is socket.AF_INET
        with pytest.raises(UsageError, match="--port"):
            listening_socket("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(UsageError, match="--host"):
        listening_socket("192.0.2.1", 0)
