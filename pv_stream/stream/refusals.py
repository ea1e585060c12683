"""Tell Kafka of what ingest refused: records of pv.rejects.v1, handed out by whoever keeps the messages.

Nothing waits for it: a refused message is on disk before its sender is answered, and what cannot be told now is told
later, at least once, under the same key. It knows neither messages nor where they are kept.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Final

from pv_stream.errors import PvStreamError
from pv_stream.settings import Settings
from pv_stream.stream.connection import quiet_libraries, require_broker
from pv_stream.stream.publish import Event, publish, write
from pv_stream.stream.topics import Topic, topic_name

#: Gives the next records, and takes them as told when its block ends well.
Next = Callable[[], AbstractContextManager[Sequence[Event]]]

_PAUSE_SECONDS: Final = 1.0
_PAUSE_SECONDS_AFTER_FAILURE: Final = 10.0
_LAST_SECONDS_MAX: Final = 2.0


def tell_refusals(settings: Settings, following: Next) -> int:
    """Tell all that is left and return how many records that were. Raises as `publish` does."""
    told = 0
    while True:
        with following() as records:
            if not records:
                return told
            told += publish(records, settings=settings, topic=_topic(settings), shard_of=_shard_of)


class RefusalTeller:
    """Tell of refusals while a listener runs; `say` takes one line when it fails, and one when it works again."""

    def __init__(self, settings: Settings, following: Next, say: Callable[[str], None]) -> None:
        """Prepare."""
        self._settings = settings
        self._next = following
        self._say = say
        self._failing = False

    async def keep_telling(self) -> None:
        """Tell until cancelled, and then once more what is left, for a moment."""
        try:
            while True:
                pause_seconds = await self._try()
                await asyncio.sleep(pause_seconds)
        except asyncio.CancelledError:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS_MAX):
                    await self._try()
            raise

    async def _try(self) -> float:
        """Tell what is left, and return after how many seconds to look again."""
        try:
            while await self._tell_some():
                pass
        except PvStreamError as error:
            if not self._failing:
                self._say(f"what was refused is kept, and not told to Kafka yet: {error}")
            self._failing = True
            return _PAUSE_SECONDS_AFTER_FAILURE
        if self._failing:
            self._failing = False
            self._say("what was refused is told to Kafka again")
        return _PAUSE_SECONDS

    async def _tell_some(self) -> bool:
        with self._next() as records:
            if records:
                quiet_libraries()
                await asyncio.to_thread(require_broker, self._settings)
                await write(records, self._settings, _topic(self._settings), _shard_of)
            return bool(records)


def _topic(settings: Settings) -> str:
    return topic_name(Topic.REJECTS, settings)


def _shard_of(key: bytes, count: int) -> int:
    """Return the partition of an entry: always the same, so that its records keep their order."""
    return int(key.rpartition(b"_")[2], 16) % count
