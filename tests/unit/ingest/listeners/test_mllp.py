"""The MLLP listener in virtual time: nobody is told AA before the events are durable, and everything is bounded."""

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pv_stream.errors import DataError, EnvironmentBroken, Unavailable
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.listeners.desk import Desk
from pv_stream.ingest.listeners.mllp_frames import framed
from pv_stream.ingest.rejects import RejectStore
from tests.unit.ingest.listeners.mllp_serving import (
    BYTES_MAX,
    CANARIES,
    LIMITS,
    NOW,
    Scene,
    Stage,
    oru,
)
from tests.unit.ingest.messages import msh
from tests.virtual_time import run


def test_a_message_is_acknowledged_after_its_events_are_durable_and_not_before(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        scene.writer.gate.clear()
        peer.send(oru())
        assert await peer.answers(60) == []
        scene.writer.gate.set()
        assert await peer.answers() == ["AA C1"]
        ((key, value),) = scene.writer.written[0]
        event = json.loads(value)
        assert event["patient_id"].encode() == key
        assert event["received_at"] == NOW
        assert not [canary for canary in CANARIES if canary in value + peer.sent]

    stage(act)


def test_each_answer_is_told_in_a_word_with_the_time_that_its_sender_waited(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        scene.writer.gate.clear()
        peer.send(oru())
        await peer.answers(60)
        scene.writer.gate.set()
        peer.send(oru(2).replace(b"ORU^R01", b"ORU^R99"))
        await peer.answers()
        scene.writer.errors = [Unavailable("away"), EnvironmentBroken("ended")]
        peer.send(oru(3), oru(4))
        await peer.answers()
        assert scene.told == [("AA", 60), ("AR", 0), ("AE", 0), ("none", 0)]

    stage(act)


def test_a_held_value_is_acknowledged_with_why(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        peer.send(oru(value="-1"))
        assert await peer.answers() == ["AA C1 held out_of_range"]
        assert [entry["kind"] for entry in scene.kept()] == ["held"]
        assert len(scene.writer.written) == 1

    stage(act)


def test_a_refused_message_is_kept_first_and_the_connection_goes_on(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        refused = oru(header=msh("ADT^A60"))
        peer.send(refused, b"", oru(2))
        assert await peer.answers() == ["AR C1 rejected unsupported_type", "AR  rejected empty", "AA C2"]
        assert {entry["code"] for entry in scene.kept()} == {"unsupported_type", "empty"}
        assert refused in [path.read_bytes() for path in scene.folder.glob("*.bin")]
        assert len(scene.writer.written) == 1

    stage(act)


@pytest.mark.parametrize("begin", [b"FHS|^~\\&|Lab\r", b"BHS|^~\\&|Lab\r", b"\xef\xbb\xbf\r\nFHS|^~\\&\r"])
def test_a_batch_is_refused_with_what_to_do_and_kept_whole(stage: Stage, begin: bytes) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        batch = begin + oru() + oru(2) + b"BTS|2\r"
        peer.send(batch, oru(3))
        advice = "send one message in a frame, or the batch as a file or over HTTP"
        assert await peer.answers() == [f"AR  rejected batch_not_taken; {advice}", "AA C3"]
        assert [entry["code"] for entry in scene.kept()] == ["batch_not_taken"]
        assert [path.read_bytes() for path in scene.folder.glob("*.bin")] == [batch]

    stage(act)


def test_a_long_message_holds_up_its_own_connection_and_no_other(
    intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(intake, tmp_path, replace(LIMITS, read_at_once_bytes_max=len(oru()) + 100))
    long_one, may_go_on, understand = oru(1) + b"NTE|1\r" * 100, threading.Event(), Desk.understand

    def slowly(desk: Desk, form: Any, position: Any) -> Any:
        if len(position.record.content) == len(long_one):
            assert may_go_on.wait(60)
        return understand(desk, form, position)

    monkeypatch.setattr(Desk, "understand", slowly)

    async def act() -> None:
        slow, quick = scene.peer(), scene.peer()
        slow.send(long_one, oru(2))
        quick.send(oru(3))
        assert await quick.first_answers(1) == ["AA C3"]
        assert await slow.answers() == []
        may_go_on.set()
        assert await slow.first_answers(2) == ["AA C1", "AA C2"]
        for peer in (slow, quick):
            peer.reader.feed_eof()
            await peer.serving

    asyncio.run(act())
    assert len(scene.writer.written) == 3


def test_a_fault_in_reading_a_long_message_is_answered_as_any_other(
    intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(intake, tmp_path, replace(LIMITS, read_at_once_bytes_max=10))

    def breaks(*_: Any) -> Any:
        raise RuntimeError(CANARIES[0])

    monkeypatch.setattr(Desk, "understand", breaks)

    async def act() -> None:
        peer = scene.peer()
        peer.send(oru())
        assert await peer.first_answers(1) == ["AE C1 internal_error"]
        peer.reader.feed_eof()
        await peer.serving

    asyncio.run(act())
    assert CANARIES[0].decode() not in "".join(scene.said)


def test_a_message_that_is_too_large_is_refused_by_its_beginning(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        peer.send(oru() + b"NTE|1||" + b"x" * BYTES_MAX, oru(2))
        assert await peer.answers() == ["AR C1 rejected too_large", "AA C2"]
        (entry,) = scene.kept()
        assert entry["bytes"] > entry["bytes_kept"] == BYTES_MAX

    stage(act)


def test_a_message_that_cannot_be_kept_is_not_refused_but_asked_for_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(*_: object) -> None:
        message = "reject store: no space left"
        raise DataError(message)

    async def act(scene: Scene) -> None:
        peer = scene.peer()
        monkeypatch.setattr(RejectStore, "keep", is_full)
        peer.send(oru(header=msh("ADT^A60")), oru(2, value="-1"))
        assert await peer.answers() == ["AE C1 not kept, try again", "AE C2 not kept, try again"]
        assert scene.writer.written == []
        assert "no space left" in scene.said[0]

    stage(act)


def test_answers_keep_the_order_of_the_messages(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        scene.writer.gate.clear()
        peer.send(oru(1), oru(2, header=msh("ADT^A60")), oru(3))
        assert await peer.answers(1) == []
        scene.writer.gate.set()
        assert await peer.answers() == ["AA C1", "AR C2 rejected unsupported_type", "AA C3"]

    stage(act)


def test_what_was_not_written_is_asked_for_again_and_then_written(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        scene.writer.errors = [Unavailable("away")]
        peer.send(oru())
        assert await peer.answers() == ["AE C1 not written, try again"]
        peer.send(oru())
        assert (await peer.answers())[1:] == ["AA C1"]
        assert len(scene.writer.written) == 1

    stage(act)


def test_what_nobody_knows_is_not_answered(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        scene.writer.errors = [EnvironmentBroken("ended")]
        peer.send(oru(1), oru(2))
        assert await peer.answers(5) == []
        assert peer.is_closed

    stage(act)


def test_the_same_bytes_again_are_acknowledged_and_not_written_again(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        first, second = scene.peer(), scene.peer()
        scene.writer.gate.clear()
        first.send(oru())
        await first.answers()
        second.send(oru())
        await second.answers()
        scene.writer.gate.set()
        assert await first.answers() == await second.answers() == ["AA C1"]
        second.send(oru())
        assert await second.answers() == ["AA C1", "AA C1"]
        assert len(scene.writer.written) == 1
        assert scene.listener.counts["repeated"] == 2

    stage(act)


def test_a_message_whose_sender_left_is_written_and_known_when_it_comes_again(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        gone = scene.peer()
        scene.writer.gate.clear()
        gone.send(oru())
        await gone.answers()
        gone.serving.cancel()
        await asyncio.wait({gone.serving})
        scene.writer.gate.set()
        again = scene.peer()
        again.send(oru())
        assert await again.answers() == ["AA C1"]
        assert len(scene.writer.written) == 1

    stage(act)


def test_what_is_not_mllp_is_closed_without_an_answer(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        peer.reader.feed_data(b"GET / HTTP/1.1\r\n\r\n")
        assert await peer.answers(1) == []
        assert peer.is_closed
        assert scene.listener.counts["not MLLP"] == 1

    stage(act)


def test_a_message_that_was_torn_is_refused_and_kept_and_the_connection_closed(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        peer.reader.feed_data(framed(oru(1)) + b"\x0b" + oru(2) + b"\x1cPID|2\r\x1c\r" + framed(oru(3)))
        assert await peer.answers(1) == ["AA C1", "AR C2 rejected malformed_hl7"]
        assert peer.is_closed
        assert [entry["code"] for entry in scene.kept()] == ["malformed_hl7"]

    stage(act)


def test_a_missing_carriage_return_costs_a_moment(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        peer.reader.feed_data(b"\x0b" + oru() + b"\x1c")
        assert await peer.answers(LIMITS.ending_seconds_max / 2) == []
        assert await peer.answers(LIMITS.ending_seconds_max) == ["AA C1"]
        peer.send(oru(2))
        assert await peer.answers() == ["AA C1", "AA C2"]

    stage(act)


def test_half_a_message_is_not_taken_for_one(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        peer.reader.feed_data(framed(oru())[:-2])
        peer.reader.feed_eof()
        assert await peer.answers(1) == []
        assert peer.is_closed
        assert scene.listener.counts["messages torn"] == 1
        assert scene.writer.written == []

    stage(act)


def test_a_sender_who_drips_is_cut_off(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        for byte in framed(oru()):
            if not peer.is_closed:
                peer.reader.feed_data(bytes((byte,)))
            await asyncio.sleep(1)
        assert peer.is_closed
        assert peer.sent == b""
        assert asyncio.get_running_loop().time() > LIMITS.message_seconds_max

    stage(act)


def test_a_silent_connection_is_closed_but_not_one_that_waits_for_us(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        scene.writer.gate.clear()
        peer.send(oru())
        await asyncio.sleep(350)
        assert not peer.is_closed
        scene.writer.gate.set()
        assert await peer.answers() == ["AA C1"]
        await asyncio.sleep(99)
        assert not peer.is_closed
        await asyncio.sleep(102)
        assert peer.is_closed

    stage(act, idle_seconds_max=100.0)


def test_a_sender_who_reads_no_answers_is_cut_off(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        peer.reads.clear()
        peer.send(oru(1), oru(2))
        await asyncio.sleep(LIMITS.answer_seconds_max + 1)
        assert peer.is_closed
        assert len(scene.writer.written) == 2

    stage(act)


def test_one_connection_has_a_bound_of_messages_in_work(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        scene.writer.gate.clear()
        peer.send(*map(oru, range(10)))
        await peer.answers(1)
        assert scene.writer.begun == 3
        scene.writer.gate.set()
        assert len(await peer.answers()) == 10

    stage(act, pipelined_max=3)


def test_all_connections_together_have_a_bound_of_messages_in_work(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peers = [scene.peer() for _ in range(10)]
        scene.writer.gate.clear()
        for number, peer in enumerate(peers):
            peer.send(oru(number))
        await asyncio.sleep(1)
        assert scene.writer.begun == 4
        scene.writer.gate.set()
        assert [await peer.answers() for peer in peers] == [[f"AA C{number}"] for number in range(10)]

    stage(act, in_work_max=4)


def test_a_connection_too_many_is_closed(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peers = [scene.peer() for _ in range(3)]
        await asyncio.sleep(0.1)
        assert [peer.is_closed for peer in peers] == [False, False, True]
        peers[0].reader.feed_eof()
        await asyncio.sleep(0.1)
        another = scene.peer()
        another.send(oru())
        assert await another.answers() == ["AA C1"]

    stage(act, connections_max=2)


def test_a_stop_answers_what_is_in_work_and_takes_nothing_more(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer, half = scene.peer(), scene.peer()
        scene.writer.gate.clear()
        peer.send(oru(1))
        half.reader.feed_data(framed(oru(2))[:-2])
        await peer.answers()
        scene.listener.stop()
        finishing = asyncio.create_task(scene.listener.finish(stop_seconds_max=30))
        await asyncio.sleep(10)
        assert half.is_closed
        peer.send(oru(3))
        assert not finishing.done()
        scene.writer.gate.set()
        await finishing
        assert await peer.answers() == ["AA C1"]
        assert peer.is_closed
        late = scene.peer()
        await asyncio.sleep(0.1)
        assert late.is_closed

    stage(act)


@pytest.mark.parametrize(("stops", "seconds"), [(1, 30), (2, 0)])
def test_a_stop_has_an_end_and_a_second_one_does_not_wait(stage: Stage, stops: int, seconds: int) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        scene.writer.gate.clear()
        peer.send(oru(1))
        await peer.answers()
        for _ in range(stops):
            scene.listener.stop()
        before = asyncio.get_running_loop().time()
        await scene.listener.finish(stop_seconds_max=30)
        assert asyncio.get_running_loop().time() == pytest.approx(before + seconds, abs=0.1)
        assert peer.sent == b""
        assert peer.is_closed

    stage(act)


def test_a_sender_who_wants_to_hear_of_success_only_notices_a_failure(stage: Stage) -> None:
    async def act(scene: Scene) -> None:
        peer = scene.peer()
        header = f"{msh()}|||SU|NE"
        scene.writer.errors = [Unavailable("away")]
        peer.send(oru(1, header=header))
        assert await peer.answers() == []
        assert peer.is_closed

    stage(act)


def test_a_fault_of_ours_is_said_without_its_text_and_the_message_asked_for_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        message = "PLOVER"
        raise ValueError(message)

    async def act(scene: Scene) -> None:
        peer = scene.peer()
        monkeypatch.setattr(Desk, "understand", fails)
        peer.send(oru())
        assert await peer.answers() == ["AE C1 internal_error"]
        assert "ValueError at test_mllp.py:" in scene.said[0]

    stage(act)


STREAM = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from([b"\x0b", b"\x1c", b"\r", b"MSH|^~\\&|", framed(oru(1)), framed(oru(2)), oru(3)]),
        st.integers(4, 9).map(lambda number: framed(oru(number))),
        st.binary(max_size=60).map(framed),
    ),
    max_size=10,
)


@given(STREAM, st.integers(1, 200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whatever_comes_nothing_breaks_and_only_a_frame_that_was_written_is_acknowledged(
    intake: Intake, tmp_path: Path, pieces: list[bytes], step: int
) -> None:
    data = b"".join(pieces)

    async def act() -> None:
        scene = Scene(intake, tmp_path)
        peer = scene.peer()
        for begin in range(0, len(data), step):
            if not peer.is_closed:
                peer.reader.feed_data(data[begin : begin + step])
            await asyncio.sleep(0.01)
        peer.reader.feed_eof()
        accepted = [answer for answer in await peer.answers(5) if answer.startswith("AA")]
        assert peer.is_closed
        assert peer.serving.exception() is None
        assert scene.said == []
        assert len(scene.writer.written) == len(set(accepted))
        for answer in accepted:
            assert b"\x0b" + oru(int(answer[4:])) + b"\x1c" in data

    run(act())
