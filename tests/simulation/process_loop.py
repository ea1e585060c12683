"""Several processes in one thread: an event loop in time of its own, in which a process can be killed or stopped.

Every task belongs to the process in whose context it was made. Inside a process callbacks run in the order in which
asyncio runs them; which process goes next, and how long anything takes, is chosen by a seed. When nobody has
anything to do, the clock jumps to the next timer. A killed process never runs again and tidies nothing up, as after
kill -9; a stopped one runs again when it is continued, as after SIGSTOP.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

#: What belongs to no process: the broker, the network, whoever starts processes.
WORLD = "world"
PROCESS: ContextVar[str] = ContextVar("process", default=WORLD)
WORLD_CONTEXT = Context()


class ProcessLoop(asyncio.AbstractEventLoop):
    """Run the callbacks of all processes, one at a time."""

    def __init__(self, rng: random.Random) -> None:
        """Begin at 0 seconds."""
        self.now = 0.0
        #: Called before every callback, which is after every await.
        self.on_step: Callable[[], None] = _nothing
        self._rng = rng
        self._ready: dict[str, deque[asyncio.Handle]] = {WORLD: deque()}
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self._halted: set[str] = set()
        #: Strong references: asyncio keeps none, and nothing may be collected half way.
        self._tasks: list[asyncio.Task[Any]] = []

    # Processes -------------------------------------------------------------------------------------------------

    def spawn(self, process: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start the first task of a process."""
        context = copy_context()
        context.run(PROCESS.set, process)
        return self.create_task(work, context=context)

    def halt(self, process: str) -> None:
        """Run nothing more of a process, until it is continued."""
        self._halted.add(process)

    def resume(self, process: str) -> None:
        """Continue a process where it was halted; its timers went on."""
        self._halted.discard(process)

    # Running ---------------------------------------------------------------------------------------------------

    def run_until(self, condition: Callable[[], bool], *, seconds_max: float) -> bool:
        """Run until the condition is true, and tell whether it became so within the time."""
        deadline = self.now + seconds_max
        asyncio._set_running_loop(self)
        try:
            while not condition():
                if self.now > deadline or not self._step():
                    return False
            return True
        finally:
            asyncio._set_running_loop(None)

    def bury(self) -> None:
        """End every task that is left, so that none is collected while it waits; nobody looks at what they do."""
        self.on_step = _nothing
        self._halted.clear()
        # More than once: a cancellation that comes together with a result may be taken for a timeout.
        while left := [task for task in self._tasks if not task.done()]:
            for task in left:
                task.cancel()
            self.run_until(lambda left=left: all(task.done() for task in left), seconds_max=1)  # type: ignore[misc]
        for task in self._tasks:
            if not task.cancelled():
                task.exception()
        self._tasks.clear()

    def _step(self) -> bool:
        runnable = [name for name, queue in self._ready.items() if queue and name not in self._halted]
        while not runnable:
            if not self._timers:
                return False
            self.now = max(self.now, self._timers[0][0])
            self._release_timers()
            runnable = [name for name, queue in self._ready.items() if queue and name not in self._halted]
        self.on_step()
        chosen = runnable[0] if len(runnable) == 1 else self._rng.choice(runnable)
        if chosen not in self._halted:  # what came with this step may have halted it
            handle = self._ready[chosen].popleft()
            if not handle.cancelled():
                handle._run()
        self._release_timers()
        return True

    def _release_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self.now:
            self._queue(heapq.heappop(self._timers)[2])

    def _queue(self, handle: asyncio.Handle) -> None:
        process = handle._context.get(PROCESS, WORLD)  # type: ignore[attr-defined]  # asyncio types no internals
        self._ready.setdefault(process, deque()).append(handle)

    # What asyncio asks of a loop -------------------------------------------------------------------------------

    def time(self) -> float:
        return self.now

    def call_soon(  # type: ignore[override]  # no need of the types of what is called
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._queue(handle)
        return handle

    def call_later(  # type: ignore[override]  # no need of the types of what is called
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # no need of the types of what is called
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Context | None = None
    ) -> "asyncio.Task[Any]":
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def run_in_executor(  # type: ignore[override]  # as above
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """Compute after a while, in the turn of the process that asked."""
        del executor
        future = self.create_future()

        def compute() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets it
                future.set_exception(error)

        self.call_later(self._rng.choice((0.001, 0.005, 0.05)), compute)
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Say nothing: what a process fails with is reported by the process, and dead ones report nothing."""

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave it in the heap: it is passed over when its time comes."""


def _nothing() -> None:
    """Do nothing at a step."""
