"""Write a story into the input log, while everything around it breaks: each entry at least once, ghosts never.

A transaction at a time, in a thread of its own, as fast as it is allowed to. When its outcome is unknown it is
written again: a record that comes twice is no fault, for facts are joined, and the checks are about what the log
holds. Ghosts are sent and given up in between.
"""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.chaos.story import Entry

_CHUNK_ENTRIES: Final = 40
_ATTEMPT_SECONDS_MAX: Final = 8.0
_RETRY_SECONDS: Final = 0.3
_TRANSACTION_MS: Final = 15_000


class Writer:
    """Write the entries of a story up to where the harness lets it."""

    def __init__(
        self, story: Sequence[Entry], *, servers: str, topic: str, entries_per_second: float
    ) -> None:
        """Prepare; `start` begins, and nothing is written before `let_write`."""
        self._story = story
        self._servers, self._topic = servers, topic
        self._pause_seconds = _CHUNK_ENTRIES / entries_per_second
        self._allowed = 0
        self._is_stopped = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._write()), name="writer", daemon=True)
        self._failure: BaseException | None = None
        #: How many entries are in the log for good, or were ghosts and are not.
        self.written = 0
        #: How many ghosts were sent and given up.
        self.ghosts = 0
        #: Of each shard, the position after the last record that was written.
        self.ends: dict[int, int] = {}

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def let_write(self, upto: int) -> None:
        """Let it write the first `upto` entries."""
        self._allowed = max(self._allowed, min(upto, len(self._story)))

    @property
    def is_idle(self) -> bool:
        """Tell whether everything that may be written is written. Raises what ended the thread, if anything did."""
        if self._failure is not None:
            raise self._failure
        return self.written >= self._allowed

    def stop(self) -> None:
        """End the thread after what it does now."""
        self._is_stopped = True
        if self._thread.is_alive():
            self._thread.join(_ATTEMPT_SECONDS_MAX * 2)

    async def _write(self) -> None:
        producer: Any = None
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        try:
            while not self._is_stopped:
                chunk = self._story[self.written : min(self.written + _CHUNK_ENTRIES, self._allowed)]
                if not chunk:
                    await asyncio.sleep(0.02)
                    continue
                try:
                    producer = producer or await self._open()
                    await asyncio.wait_for(self._write_chunk(producer, chunk), _ATTEMPT_SECONDS_MAX)
                except (TimeoutError, KafkaError, OSError, AssertionError):
                    # aiokafka asserts the order of its states, and an error from outside breaks that order.
                    await _leave(producer)
                    producer = None
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                self.written += len(chunk)
                await asyncio.sleep(self._pause_seconds)
        except BaseException as error:  # noqa: BLE001 - raised again in the harness
            self._failure = error
        finally:
            await _leave(producer)

    async def _open(self) -> Any:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            transactional_id=f"{self._topic}-writer",
            transaction_timeout_ms=_TRANSACTION_MS,
            request_timeout_ms=5_000,
        )
        try:
            await asyncio.wait_for(producer.start(), _ATTEMPT_SECONDS_MAX)
        except BaseException:
            await _leave(producer)
            raise
        return producer

    async def _write_chunk(self, producer: Any, chunk: Sequence[Entry]) -> None:
        ghosts = [entry for entry in chunk if entry.is_aborted]
        if ghosts:
            await producer.begin_transaction()
            await self._send(producer, ghosts)
            await producer.abort_transaction()
        await producer.begin_transaction()
        positions = await self._send(producer, [entry for entry in chunk if not entry.is_aborted])
        await producer.commit_transaction()
        self.ghosts += len(ghosts)
        for shard, position in positions:
            self.ends[shard] = max(self.ends.get(shard, 0), position + 1)

    async def _send(self, producer: Any, entries: Sequence[Entry]) -> list[tuple[int, int]]:
        sent = [
            await producer.send(self._topic, value=each.value, key=each.key, partition=each.shard)
            for each in entries
        ]
        return [(metadata.partition, metadata.offset) for metadata in await asyncio.gather(*sent)]


async def _leave(producer: Any) -> None:
    """Close a producer that may be broken, and do not wait for it."""
    if producer is not None:
        with suppress(TimeoutError, KafkaError, OSError, AssertionError):
            await asyncio.wait_for(producer.stop(), 1.0)
