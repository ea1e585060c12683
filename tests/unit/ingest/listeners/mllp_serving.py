"""A listener over MLLP in virtual time, with a writer and senders that do as they are told."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

from pv_stream.domain.times import Instant, parse_instant
from pv_stream.errors import PvStreamError
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.listeners.desk import Desk, KeyedEvent
from pv_stream.ingest.listeners.mllp import MllpLimits, MllpListener
from pv_stream.ingest.listeners.mllp_frames import framed
from pv_stream.ingest.rejects import RejectStore
from tests.unit.ingest.messages import OBR, PID, msh, obx

NOW = "2026-11-21T12:00:00Z"
BYTES_MAX = 4_096
CANARIES = (b"PLOVER", b"PIPER", b"70014", b"19310203")
LIMITS = MllpLimits()


def oru(number: int = 1, value: str = "1.69", *, header: str = "") -> bytes:
    """A message of one result, named by its number."""
    head = (header or msh()).replace("|C1|", f"|C{number}|")
    return "\r".join((head, PID, OBR, obx(value), "")).encode()


class Writer:
    """An event writer that waits for `gate`, and fails as it is told."""

    def __init__(self) -> None:
        self.written: list[tuple[KeyedEvent, ...]] = []
        self.begun = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.errors: list[PvStreamError] = []

    async def write(self, events: Any) -> None:
        self.begun += 1
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.written.append(tuple(events))


class Peer:
    """The sender's end of a connection, as the listener's streams see it."""

    def __init__(self, listener: MllpListener) -> None:
        self.reader = asyncio.StreamReader()
        self.sent = b""
        self.is_closed = False
        self.reads = asyncio.Event()
        self.reads.set()
        self.transport = self
        self.serving = asyncio.create_task(
            listener.connected(self.reader, cast("asyncio.StreamWriter", self))
        )

    def send(self, *messages: bytes) -> None:
        self.reader.feed_data(b"".join(map(framed, messages)))

    async def answers(self, seconds: float = 0) -> list[str]:
        """The codes and control ids of the answers, after some time: in virtual time when nothing is left to do."""
        await asyncio.sleep(seconds + 0.001)
        segments = [line for line in self.sent.split(b"\r") if line.startswith(b"MSA")]
        return [" ".join(segment.decode().split("|")[1:]).strip() for segment in segments]

    async def first_answers(self, count: int) -> list[str]:
        """The same as soon as there are so many, in real time."""
        async with asyncio.timeout(60):
            while len(answered := await self.answers()) < count:
                pass
        return answered

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.sent += data

    async def drain(self) -> None:
        await self.reads.wait()

    def close(self) -> None:
        self.is_closed = True

    async def wait_closed(self) -> None:
        pass

    def abort(self) -> None:
        self.is_closed = True


class Scene:
    """A listener with everything around it."""

    def __init__(self, intake: Intake, folder: Path, limits: MllpLimits = LIMITS) -> None:
        self.writer = Writer()
        self.said: list[str] = []
        self.folder = folder / "rejects"
        self.desk = Desk(intake, RejectStore(self.folder), BYTES_MAX, lambda: Instant(parse_instant(NOW)))
        self.told: list[tuple[str, float]] = []
        self.listener = MllpListener(
            self.desk,
            self.writer,
            say=self.said.append,
            limits=limits,
            on_answer=lambda word, seconds: self.told.append((word, round(seconds))),
        )

    def peer(self) -> Peer:
        return Peer(self.listener)

    def kept(self) -> list[dict[str, Any]]:
        index = self.folder / "index.jsonl"
        return [json.loads(line) for line in index.read_bytes().splitlines()] if index.exists() else []


Play = Callable[[Scene], Coroutine[Any, Any, None]]
Stage = Callable[..., None]
