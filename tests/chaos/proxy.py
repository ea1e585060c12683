"""A TCP proxy between workers and broker that can be told to misbehave, for all connections at once.

It holds data back (blackhole, delay), cuts it (slicing) or the connection (reset), and delays or swallows the
response to EndTxn, the request by which a producer commits. Of Kafka's protocol it reads only what that needs: the
size, the API key and the correlation id at the head of a request, and the two first fields of a response.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random
from typing import Final, TypeVar

_T = TypeVar("_T")

#: The API key of EndTxn in Kafka's protocol.
END_TXN: Final = 26
_CHUNK_BYTES: Final = 64 * 1024
_REQUEST_HEAD: Final = struct.Struct(">ihhi")  # size, API key, API version, correlation id
_RESPONSE_HEAD: Final = struct.Struct(">ii")  # size, correlation id
_SIZE_BYTES: Final = 4
#: Only the head of each chunk is cut small: frames of Kafka begin there, and the rest would only take time.
_SLICED_BYTES: Final = 256


class EndTxnResponse(StrEnum):
    """Say what happens to the response of a commit."""

    PASSED_ON = "passed on"
    DELAYED = "delayed"
    LOST = "lost"


@dataclass(frozen=True)
class Weather:
    """Say how the network behaves."""

    is_blackhole: bool = False
    delay_seconds: float = 0.0
    is_slicing: bool = False
    end_txn: EndTxnResponse = EndTxnResponse.PASSED_ON
    end_txn_delay_seconds: float = 0.0


FINE: Final = Weather()


class FrameHeads:
    """Cut a byte stream into Kafka's frames, and tell the fields at the head of each as soon as they are there."""

    def __init__(self, head: struct.Struct) -> None:
        self._head = head
        self._seen = b""
        self._left = 0

    def feed(self, data: bytes) -> list[tuple[int, ...]]:
        """Take the next bytes and return the heads that they complete, the size of the frame first."""
        heads = []
        while data:
            if self._left:
                skipped = min(self._left, len(data))
                self._left -= skipped
                data = data[skipped:]
                continue
            missing = self._head.size - len(self._seen)
            self._seen += data[:missing]
            data = data[missing:]
            if len(self._seen) == self._head.size:
                fields = self._head.unpack(self._seen)
                heads.append(fields)
                self._left = fields[0] + _SIZE_BYTES - self._head.size
                self._seen = b""
        return heads


@dataclass(eq=False)
class _Connection:
    """Hold one connection of a client and its counterpart to the broker."""

    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    requests: FrameHeads = field(default_factory=lambda: FrameHeads(_REQUEST_HEAD))
    responses: FrameHeads = field(default_factory=lambda: FrameHeads(_RESPONSE_HEAD))
    end_txns: set[int] = field(default_factory=set)

    def reset(self) -> None:
        """Cut both sides without a farewell."""
        for writer in (self.client, self.broker):
            raw = writer.get_extra_info("socket")
            if raw is not None:
                with suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """Forward one port to another, in a thread of its own."""

    def __init__(self, *, listen_port: int, broker_port: int, random: Random) -> None:
        self.listen_port, self._broker_port = listen_port, broker_port
        self._random = random
        self._weather = FINE
        self._cleared: asyncio.Event | None = None
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        #: How many responses to EndTxn were delayed or swallowed.
        self.end_txns_touched = 0

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._call(self._listen())

    def stop(self) -> None:
        """Cut everything and end the thread."""
        if self._thread.is_alive():
            self._call(self._shut_down())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def turn(self, weather: Weather) -> None:
        """Change how the network behaves, for what is sent from now on."""
        self._call(self._turn(weather))

    def clear(self) -> None:
        """Let the network behave again; what was held back goes on."""
        self.turn(replace(FINE))

    def reset_all(self) -> int:
        """Cut every connection and return how many there were."""
        return self._call(self._cut_all())

    def _call(self, work: Awaitable[_T]) -> _T:
        return asyncio.run_coroutine_threadsafe(_as_coroutine(work), self._loop).result(60)

    async def _listen(self) -> None:
        self._cleared = asyncio.Event()
        self._cleared.set()
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.listen_port, limit=_CHUNK_BYTES
        )

    async def _turn(self, weather: Weather) -> None:
        assert self._cleared is not None
        self._weather = weather
        if weather.is_blackhole:
            self._cleared.clear()
        else:
            self._cleared.set()

    async def _cut_all(self) -> int:
        count = len(self._connections)
        for connection in list(self._connections):
            connection.reset()
        await asyncio.sleep(0)
        return count

    async def _shut_down(self) -> None:
        self._server.close()
        await self._cut_all()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            from_broker, broker = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except OSError:
            client.transport.abort()
            return
        connection = _Connection(client, broker)
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._pump(from_client, broker, lambda data: self._look_at_requests(connection, data)),
                self._pump(from_broker, client, lambda data: self._look_at_responses(connection, data)),
            )
        except OSError:
            pass
        finally:
            self._connections.discard(connection)
            client.transport.abort()
            broker.transport.abort()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        look: Callable[[bytes], Awaitable[None]],
    ) -> None:
        assert self._cleared is not None
        while data := await source.read(_CHUNK_BYTES):
            await look(data)
            if self._weather.delay_seconds:
                await asyncio.sleep(self._weather.delay_seconds)
            await self._cleared.wait()
            for part in self._parts(data):
                target.write(part)
                await target.drain()
                if len(part) < len(data):
                    # Its own segment: without a turn of the loop the kernel would put the parts together again.
                    await asyncio.sleep(0)
        # One side has closed: the other learns of it.
        target.transport.abort()

    def _parts(self, data: bytes) -> list[bytes]:
        if not self._weather.is_slicing:
            return [data]
        parts, at = [], 0
        while at < min(len(data), _SLICED_BYTES):
            size = self._random.randint(1, 16)
            parts.append(data[at : at + size])
            at += size
        return [*parts, data[at:]] if data[at:] else parts

    async def _look_at_requests(self, connection: _Connection, data: bytes) -> None:
        for _size, api_key, _version, correlation_id in connection.requests.feed(data):
            if api_key == END_TXN:
                connection.end_txns.add(correlation_id)

    async def _look_at_responses(self, connection: _Connection, data: bytes) -> None:
        answered = {correlation_id for _size, correlation_id in connection.responses.feed(data)}
        commits = answered & connection.end_txns
        connection.end_txns -= commits
        if not commits or self._weather.end_txn is EndTxnResponse.PASSED_ON:
            return
        self.end_txns_touched += len(commits)
        if self._weather.end_txn is EndTxnResponse.LOST:
            connection.reset()
            message = "the response to a commit was swallowed"
            raise ConnectionResetError(message)
        await asyncio.sleep(self._weather.end_txn_delay_seconds)


async def _as_coroutine(work: Awaitable[_T]) -> _T:
    return await work
