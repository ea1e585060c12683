"""Write messages to the input log so that whoever is told of it may rely on it: all of a message, once, or nothing.

`write` returns after the events of a message were committed. Messages that wait together share a transaction, so
that many senders cost little more than one. A failed transaction is written again as a whole; a commit whose answer
was lost is settled first (see `stream.event_log`), so nothing is lost and nothing doubled. `write` raises
Unavailable only while it is certain that nothing was written: as long as the outcome of a commit is unknown it
waits for the broker.

It does not know what a message is, nor who sent it. What is written twice by two calls is in the log twice.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from pv_stream.errors import EnvironmentBroken, Unavailable
from pv_stream.settings import Settings
from pv_stream.stream.acls import listener_prefix
from pv_stream.stream.connection import connection_failed, quiet_libraries, require_broker
from pv_stream.stream.event_log import EVENT_BYTES_MAX, AttemptFailed, Event, EventLog, Fenced, Prepared

#: What one transaction takes; a message that is larger has one of its own.
GROUP_EVENTS_MAX: Final = 2_000
GROUP_BYTES_MAX: Final = 8 * 1024 * 1024
#: How long a message waits for a broker that is away: less than senders wait for an answer, commonly 30 s.
PATIENCE_SECONDS: Final = 20.0
_PAUSE_SECONDS: Final = 0.25
#: Being fenced can be an echo of our own restart; being fenced so often is a second listener.
_FENCES_MAX: Final = 3
_FENCES_SECONDS: Final = 60.0
_CLOSE_SECONDS_MAX: Final = 5.0


class Log(Protocol):
    """What the writer asks of the log: see `stream.event_log`."""

    @property
    def transactional_id(self) -> str:
        """Return the id under which it writes."""

    @property
    def is_open(self) -> bool:
        """Tell whether a transaction can begin."""

    async def open(self) -> None:
        """End the last transaction of this id and be ready for the next."""

    async def prepare(self, events: Sequence[Event]) -> Prepared:
        """Send events within a new transaction."""

    async def commit(self) -> None:
        """Commit what was prepared."""

    async def holds(self, prepared: Prepared) -> bool:
        """Tell whether a transaction that was ended by a later `open` had been committed."""

    def abandon(self) -> None:
        """Give up what was begun."""

    async def close(self) -> None:
        """Close the connections."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """Hold one message until it is committed; `in_hand` while a transaction carries it."""

    events: Sequence[Event]
    size: int
    deadline: float
    done: "asyncio.Future[None]"
    in_hand: bool = False


class DurableWriter:
    """Write messages, as an asynchronous context manager; one for a process.

    The transactional id is made of the group, the topic and `name`: two writers of one name at a time fence each
    other, and the one that is fenced again and again ends with EnvironmentBroken. The same name after a restart ends
    what the last process left open.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        name: str,
        patience_seconds: float = PATIENCE_SECONDS,
        say: Callable[[str], None] = lambda _line: None,
        log: Log | None = None,
    ) -> None:
        """Prepare the writer. `say` takes one line when the broker goes, and one when it is back."""
        identity = f"{listener_prefix(settings)}{name}"
        self._settings = settings
        self._patience_seconds = patience_seconds
        self._say = say
        self._log: Log = log or EventLog(settings, transactional_id=identity)
        self._queue: dict[_Waiting, None] = {}
        self._in_hand: list[_Waiting] = []
        self._filled = asyncio.Event()
        self._fences: deque[float] = deque(maxlen=_FENCES_MAX)
        self._away_since: float | None = None
        self._runner: asyncio.Task[None] | None = None
        self.transactions = 0
        self.events = 0

    async def __aenter__(self) -> Self:
        """Connect. Raise ConnectionFailed when Kafka does not answer, EnvironmentBroken when the topic is missing."""
        if isinstance(self._log, EventLog):
            quiet_libraries()
            await asyncio.to_thread(require_broker, self._settings)
        try:
            await self._log.open()
        except AttemptFailed as error:
            await self._log.close()
            raise connection_failed(self._settings.bootstrap_servers, str(error)) from error
        except BaseException:
            await self._log.close()
            raise
        self._runner = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what can be finished in a few seconds; whoever still waits then is told."""
        runner = self._running
        waiting = {each.done for each in (*self._in_hand, *self._queue)}
        if waiting and not runner.done():
            await asyncio.wait({runner, *waiting}, timeout=_CLOSE_SECONDS_MAX)
        runner.cancel()
        await asyncio.wait({runner})
        await self._log.close()

    async def write(self, events: Sequence[Event]) -> None:
        """Return when all events of one message are committed, in one transaction.

        Raise Unavailable when the broker was away for too long and nothing was written, EnvironmentBroken when the
        writer has ended: then it is not known. An event is at most `EVENT_BYTES_MAX` long.
        """
        assert all(len(key) + len(value) <= EVENT_BYTES_MAX for key, value in events), "an event is too large"
        if self._running.done():
            raise self._ended()
        if not events:
            return
        loop = asyncio.get_running_loop()
        waiting = _Waiting(
            events=events,
            size=sum(len(key) + len(value) for key, value in events),
            deadline=loop.time() + self._patience_seconds,
            done=loop.create_future(),
        )
        self._queue[waiting] = None
        self._filled.set()
        timer = loop.call_at(waiting.deadline, self._give_up, waiting)
        try:
            await waiting.done
        finally:
            timer.cancel()
            # A caller who went away before its turn has nothing written; one in hand is written all the same.
            self._queue.pop(waiting, None)

    async def ended(self) -> None:
        """Wait until the writer cannot go on, and raise why."""
        await asyncio.wait({self._running})
        raise self._ended()

    def why_not_writing(self) -> str | None:
        """Return why what waits is not written, or None; whoever has nothing to write cannot know."""
        if self._running.done():
            return "the writer of the input log has ended"
        if self._away_since is not None and (self._queue or self._in_hand):
            return "Kafka takes no writes"
        return None

    @property
    def _running(self) -> "asyncio.Task[None]":
        assert self._runner is not None, "the writer is not entered"
        return self._runner

    def _ended(self) -> EnvironmentBroken:
        """Return why the writer does not go on."""
        error = None if self._running.cancelled() else self._running.exception()
        if isinstance(error, EnvironmentBroken):
            return error
        fault = "it was closed" if error is None else f"a fault in pv_stream: {type(error).__name__}"
        return EnvironmentBroken(f"the writer of the input log has ended: {fault}")

    async def _run(self) -> None:
        try:
            while True:
                await self._filled.wait()
                if not self._log.is_open:
                    await self._reopen()
                self._take()
                if self._in_hand:
                    await self._write_group()
        except EnvironmentBroken as error:
            self._fail_all(str(error))
            raise
        finally:
            self._fail_all("the writer of the input log ended")

    def _take(self) -> None:
        """Take what waits, in its order, up to the bounds of one transaction."""
        events = size = 0
        for waiting in self._queue:
            if waiting.done.done():
                continue
            events, size = events + len(waiting.events), size + waiting.size
            if self._in_hand and (events > GROUP_EVENTS_MAX or size > GROUP_BYTES_MAX):
                break
            waiting.in_hand = True
            self._in_hand.append(waiting)
        for waiting in self._in_hand:
            del self._queue[waiting]
        if not self._queue:
            self._filled.clear()

    async def _write_group(self) -> None:
        if not await self._is_written([event for each in self._in_hand for event in each.events]):
            self._put_back()
            return
        self.transactions += 1
        for waiting in self._in_hand:
            self.events += len(waiting.events)
            if not waiting.done.done():
                waiting.done.set_result(None)
        self._in_hand = []
        self._say_back()

    async def _is_written(self, events: Sequence[Event]) -> bool:
        try:
            prepared = await self._log.prepare(events)
        except AttemptFailed as error:
            # Nobody has asked for a commit, so there is none.
            self._note(error)
            return False
        try:
            await self._log.commit()
        except AttemptFailed as error:
            self._note(error)
            return await self._settle(prepared)
        return True

    async def _settle(self, prepared: Prepared) -> bool:
        """Find out whether a commit without an answer took place, however long the broker is away."""
        while True:
            if not self._log.is_open:
                await self._reopen()
            try:
                return await self._log.holds(prepared)
            except AttemptFailed as error:
                self._note(error)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _reopen(self) -> None:
        while True:
            try:
                await self._log.open()
            except AttemptFailed as error:
                self._note(error)
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return

    def _put_back(self) -> None:
        """Let what was not written wait again before all others, but for those who have waited long enough."""
        group, self._in_hand = self._in_hand, []
        self._queue = dict.fromkeys((*group, *self._queue))
        now = asyncio.get_running_loop().time()
        for waiting in group:
            waiting.in_hand = False
            if waiting.done.done():
                del self._queue[waiting]
            elif waiting.deadline <= now:
                self._give_up(waiting)
        if self._queue:
            self._filled.set()

    def _give_up(self, waiting: _Waiting) -> None:
        if not waiting.in_hand and not waiting.done.done():
            message = f"not written: Kafka took nothing for {self._patience_seconds:g} s"
            waiting.done.set_exception(Unavailable(message))
            self._queue.pop(waiting, None)

    def _fail_all(self, reason: str) -> None:
        """Tell whoever still waits: nothing is written of what was in no transaction, the rest is unknown."""
        for waiting in (*self._in_hand, *self._queue):
            if not waiting.done.done():
                kind = EnvironmentBroken if waiting.in_hand else Unavailable
                waiting.done.set_exception(kind(reason))
        self._in_hand = []
        self._queue = {}

    def _note(self, error: AttemptFailed) -> None:
        now = asyncio.get_running_loop().time()
        if isinstance(error, Fenced):
            self._note_fence(now)
        if self._away_since is None:
            self._away_since = now
            self._say(
                f"Kafka at {self._settings.bootstrap_servers} takes no writes ({error}): messages wait for up to "
                f"{self._patience_seconds:g} s, then their senders are told to try again"
            )

    def _note_fence(self, now: float) -> None:
        self._fences.append(now)
        if len(self._fences) == _FENCES_MAX and now - self._fences[0] < _FENCES_SECONDS:
            message = f"another process writes as {self._log.transactional_id}: give each listener a --name of its own"
            raise EnvironmentBroken(message)

    def _say_back(self) -> None:
        if self._away_since is not None:
            seconds = asyncio.get_running_loop().time() - self._away_since
            self._away_since = None
            self._say(
                f"Kafka at {self._settings.bootstrap_servers} takes writes again, after {seconds:.0f} s"
            )
