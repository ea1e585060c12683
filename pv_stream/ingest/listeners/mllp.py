"""Listen for HL7v2 messages over MLLP: read, make durable, and only then acknowledge.

A connection is two tasks: one listens and begins the work on each message, one sends the answers in the order of the
messages. Between them stands a short queue, over all connections a number of places: when either is full nobody
reads, and the network makes the sender wait. A long message is read in a thread, so that it holds up its own
connection only. The work on a message belongs to the listener and not to its
connection, so that a message whose sender is gone is finished, and known when it comes again.

It knows no Kafka: `EventWriter` makes events durable, and what it raises decides between AE and silence.
"""

import asyncio
import hashlib
import secrets
import socket
import ssl
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pv_stream.errors import DataError, EnvironmentBroken, Unavailable
from pv_stream.ingest.hl7v2.answers import Kind, Verdict, answer, verdict_of
from pv_stream.ingest.listeners.desk import Desk, EventWriter, Reading, place_of
from pv_stream.ingest.listeners.mllp_frames import Frame, Frames, framed
from pv_stream.ingest.outcomes import RejectCode
from pv_stream.ingest.rejects import Position
from pv_stream.ingest.sources import Format, Record

_CHUNK_BYTES: Final = 64 * 1024
_FRAMING: Final = b"\x0b\x1c \t\r\n"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_BATCH: Final = (b"FHS", b"BHS")
#: Messages whose answer is remembered: a digest and a short text for each.
_REPEATS_MAX: Final = 50_000
_CONTROL_ID_BYTES: Final = 10
_CLOSE_SECONDS_MAX: Final = 1.0
#: What stands for no answer among the words of answers.
UNANSWERED: Final = "none"
_UNAVAILABLE: Final = Verdict(Kind.RETRY, "not written, try again")
_NOT_KEPT: Final = Verdict(Kind.RETRY, "not kept, try again")
_FAULT: Final = Verdict(Kind.RETRY, RejectCode.INTERNAL_ERROR)


@dataclass(frozen=True, slots=True)
class MllpLimits:
    """Bound what senders may do.

    `message_seconds_max` is the time from VT to FS, `ending_seconds_max` how long a CR after FS is waited for,
    `answer_seconds_max` how long a sender may take to read an answer. `pipelined_max` messages of one connection and
    `in_work_max` of all are in work at a time; each is at most `record_bytes_max` long. One that is longer than
    `read_at_once_bytes_max` is read beside the others.
    """

    connections_max: int = 100
    idle_seconds_max: float = 3_600.0
    message_seconds_max: float = 60.0
    ending_seconds_max: float = 0.2
    answer_seconds_max: float = 30.0
    handshake_seconds_max: float = 10.0
    pipelined_max: int = 64
    in_work_max: int = 256
    read_at_once_bytes_max: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold what is sent back, None for nothing, in a word what it says, and whether the connection ends with it."""

    content: bytes | None
    word: str
    ends: bool = False


class MllpListener:
    """Take messages in from many connections. `counts` says what was answered and what went wrong."""

    def __init__(  # noqa: PLR0913 - what a listener is made of; mostly by keyword
        self,
        desk: Desk,
        writer: EventWriter,
        *,
        say: Callable[[str], None],
        limits: MllpLimits = MllpLimits(),
        on_answer: Callable[[str, float], None] = lambda _word, _seconds: None,
        new_control_id: Callable[[], str] = lambda: secrets.token_hex(_CONTROL_ID_BYTES),
    ) -> None:
        """Read with a desk and write with a writer; `say` takes one line for the operator.

        `on_answer` takes the word of each answer (AA, AE, AR, none) and the seconds since its message was whole.
        """
        self.counts: Counter[str] = Counter()
        self._limits = limits
        self._desk = desk
        self._writer = writer
        self._say = say
        self._on_answer = on_answer
        self._new_control_id = new_control_id
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()
        self._in_work: dict[bytes, asyncio.Future[Verdict | None]] = {}
        self._tasks: set[asyncio.Task[Answer]] = set()
        self._places = asyncio.Semaphore(limits.in_work_max)
        self._sessions: dict[_Session, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()

    async def serve(
        self, listening: socket.socket, *, tls: ssl.SSLContext | None, stop_seconds_max: float
    ) -> None:
        """Serve until `stop`, then answer what is in work, for a while."""
        server = await asyncio.start_server(
            self.connected,
            sock=listening,
            limit=_CHUNK_BYTES,
            ssl=tls,
            ssl_handshake_timeout=None if tls is None else self._limits.handshake_seconds_max,
        )
        try:
            await self._stopping.wait()
        finally:
            server.close()
        await self.finish(stop_seconds_max=stop_seconds_max)

    async def finish(self, *, stop_seconds_max: float) -> None:
        """Answer what is in work, for a while, then close every connection."""
        for session in self._sessions:
            session.stop()
        finishing = asyncio.create_task(self._finish())
        hurrying = asyncio.create_task(self._hurrying.wait())
        ends = {finishing, hurrying}
        await asyncio.wait(ends, timeout=stop_seconds_max, return_when=asyncio.FIRST_COMPLETED)
        left = {*ends, *self._sessions.values(), *self._tasks}
        for task in left:
            task.cancel()
        await asyncio.wait(left)

    def stop(self) -> None:
        """Take nothing more in, answer what is in work, then return from `serve`; twice: do not wait."""
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    def line(self) -> str:
        """Return what was answered and what went wrong so far, in one line."""
        counts = ", ".join(f"{count:,} {name}" for name, count in sorted(self.counts.items()) if count)
        return f"{len(self._sessions):,} connections open; {counts or 'nothing yet'}"

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return len(self._sessions)

    @property
    def is_stopping(self) -> bool:
        """Tell whether no more is taken in."""
        return self._stopping.is_set()

    async def begin(self, frame: Frame, position: Position) -> "asyncio.Task[Answer]":
        """Begin the work on a message as soon as there is a place for it, and once it is read if it is long.

        So a long message holds up its connection, whose messages keep their order, and no other.
        """
        began = asyncio.get_running_loop().time()
        reading = None
        if len(frame.content) > self._limits.read_at_once_bytes_max and not _is_refused_unread(frame):
            understand = asyncio.to_thread(self._desk.understand, Format.HL7V2, position)
            reading = asyncio.create_task(understand)
            await asyncio.wait({reading})
        await self._places.acquire()
        task = asyncio.create_task(self._answer(frame, position, reading))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: self._count(done, began))
        task.add_done_callback(lambda _: self._places.release())
        return task

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        if len(self._sessions) >= self._limits.connections_max or self._stopping.is_set():
            self.counts["connections refused"] += 1
            writer.transport.abort()
            return
        self.counts["connections taken"] += 1
        session = _Session(self, self.counts, reader, writer, self._limits, self._desk.record_bytes_max)
        task = asyncio.current_task()
        assert task is not None, "asyncio runs a callback of its server as a task"
        self._sessions[session] = task
        try:
            await session.run()
        finally:
            del self._sessions[session]

    async def _finish(self) -> None:
        while left := {*self._sessions.values(), *self._tasks}:
            await asyncio.wait(left)

    def _count(self, done: "asyncio.Task[Answer]", began: float) -> None:
        if not done.cancelled():
            seconds = asyncio.get_running_loop().time() - began
            self._on_answer(done.result().word, seconds)

    async def _answer(self, frame: Frame, position: Position, reading: "_Read") -> Answer:
        verdict = await self._verdict(frame, position, reading)
        if verdict is None:
            self.counts["left without an answer"] += 1
            return Answer(None, UNANSWERED, ends=True)
        content = answer(frame.content, verdict, now=self._desk.clock(), control_id=self._new_control_id())
        word = f"A{verdict.kind}"
        self.counts[f"answered {word}"] += 1
        # A sender that wants to hear of success only must notice that it did not come.
        unheard = content is None and verdict.kind is not Kind.ACCEPTED
        return Answer(content, word, ends=frame.is_torn or unheard)

    async def _verdict(self, frame: Frame, position: Position, reading: "_Read") -> Verdict | None:
        """Return what the sender is told, the same for the same bytes; None when nobody knows what is true."""
        digest = hashlib.sha256(frame.content).digest()
        if (known := self._verdicts.get(digest)) is not None:
            self.counts["repeated"] += 1
            self._verdicts.move_to_end(digest)
            return known
        if (awaited := self._in_work.get(digest)) is not None:
            self.counts["repeated"] += 1
            return await asyncio.shield(awaited)
        future = self._in_work[digest] = asyncio.get_running_loop().create_future()
        verdict: Verdict | None = None
        try:
            verdict = await self._work(frame, position, reading)
        finally:
            del self._in_work[digest]
            future.set_result(verdict)
        if verdict is not None and verdict.kind is Kind.ACCEPTED:
            self._verdicts[digest] = verdict
            if len(self._verdicts) > _REPEATS_MAX:
                self._verdicts.popitem(last=False)
        return verdict

    async def _work(self, frame: Frame, position: Position, begun: "_Read") -> Verdict | None:
        try:
            reading = self._read(frame, position, begun)
            verdict = verdict_of(reading.outcome)
            if verdict.kind is Kind.ACCEPTED:
                await self._writer.write(reading.events)
        except Unavailable:
            return _UNAVAILABLE
        except EnvironmentBroken:
            return None
        except DataError as error:
            self._say(str(error))
            return _NOT_KEPT
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the connection of a sender; it is
            # said, and the sender keeps the message.
            self._say(f"a fault in pv_stream: {type(error).__name__} at {place_of(error)}; please report it")
            return _FAULT
        return verdict

    def _read(self, frame: Frame, position: Position, begun: "_Read") -> Reading:
        desk = self._desk
        if frame.is_torn:
            return desk.refuse(Format.HL7V2, position, RejectCode.MALFORMED_HL7)
        if _is_batch(frame):
            return desk.refuse(Format.HL7V2, position, RejectCode.BATCH_NOT_TAKEN)
        understood = desk.understand(Format.HL7V2, position) if begun is None else begun.result()
        return desk.file(Format.HL7V2, position, understood)


#: What a thread has read of a long message, or failed to.
_Read = asyncio.Task[Reading] | None


def _is_refused_unread(frame: Frame) -> bool:
    return frame.is_torn or _is_batch(frame)


def _is_batch(frame: Frame) -> bool:
    """Tell whether a frame holds a batch: its one answer could not say which messages of it were written."""
    begin = frame.content[:_CHUNK_BYTES].lstrip(_FRAMING).removeprefix(_BYTE_ORDER_MARK).lstrip(_FRAMING)
    return begin.startswith(_BATCH)


class _Session:
    """One connection: frames in, answers out in the same order."""

    def __init__(  # noqa: PLR0913 - what a connection is made of
        self,
        listener: MllpListener,
        counts: Counter[str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        limits: MllpLimits,
        bytes_max: int,
    ) -> None:
        self._listener = listener
        self._counts = counts
        self._number = counts["connections taken"]
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._frames = Frames(bytes_max)
        self._messages = 0
        self._message_deadline = 0.0
        self._active_at = self._now()
        self._answers: asyncio.Queue[asyncio.Task[Answer] | None] = asyncio.Queue()
        self._unanswered = 0
        self._free = asyncio.Semaphore(limits.pipelined_max)
        self._listening: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve the connection to its end."""
        self._listening = asyncio.create_task(self._listen())
        try:
            await self._send_answers()
        except OSError:  # a timeout is one
            self._counts["lost while answering"] += 1
        finally:
            self._listening.cancel()
            await asyncio.wait({self._listening})
            await self._close()

    def stop(self) -> None:
        """Read nothing more; what was read is answered."""
        if self._listening is not None:
            self._listening.cancel()

    async def _listen(self) -> None:
        try:
            while not self._frames.is_broken and await self._receive():
                pass
            self._counts["not MLLP"] += self._frames.bytes_outside > 0
        except OSError:
            self._counts["lost while listening"] += 1
        finally:
            self._answers.put_nowait(None)

    async def _receive(self) -> bool:
        """Take what comes next, and tell whether to go on."""
        frames, was_inside = self._frames, self._frames.is_inside
        try:
            async with asyncio.timeout(self._patience_seconds()):
                data = await self._reader.read(_CHUNK_BYTES)
        except TimeoutError:
            if not frames.is_ending:
                return self._may_be_silent()
            data = b""
        self._active_at = self._now()
        found = frames.feed(data) if data else [frame for frame in (frames.end(),) if frame is not None]
        for frame in found:
            await self._begin(frame)
        if frames.is_inside and (found or not was_inside):
            # Only now: time in which we did not read is not the sender's.
            self._message_deadline = self._now() + self._limits.message_seconds_max
        if not data and not found:
            self._counts["messages torn"] += frames.is_inside
            return False
        return True

    def _patience_seconds(self) -> float:
        if self._frames.is_ending:
            return self._limits.ending_seconds_max
        if self._frames.is_inside:
            return max(0.0, self._message_deadline - self._now())
        idle_seconds = 0.0 if self._unanswered else self._now() - self._active_at
        return max(0.0, self._limits.idle_seconds_max - idle_seconds)

    def _may_be_silent(self) -> bool:
        """Tell, after a silence, whether it was the sender's turn: it may be waiting for us."""
        if self._frames.is_inside:
            self._counts["messages torn"] += 1
            return False
        if self._unanswered or self._now() - self._active_at < self._limits.idle_seconds_max:
            return True
        self._counts["closed as idle"] += 1
        return False

    async def _begin(self, frame: Frame) -> None:
        self._messages += 1
        record = Record(frame.content, self._messages, 0, frame.size)
        await self._free.acquire()
        self._answers.put_nowait(await self._listener.begin(frame, Position(self._number, record)))
        self._unanswered += 1

    async def _send_answers(self) -> None:
        while (work := await self._answers.get()) is not None:
            ready = await asyncio.shield(work)
            if ready.content is not None:
                self._writer.write(framed(ready.content))
                async with asyncio.timeout(self._limits.answer_seconds_max):
                    await self._writer.drain()
            self._unanswered -= 1
            self._active_at = self._now()
            self._free.release()
            if ready.ends:
                return

    async def _close(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS_MAX):
                await self._writer.wait_closed()
        except OSError:
            self._writer.transport.abort()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
