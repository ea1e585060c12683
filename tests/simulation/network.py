"""The network between processes and the broker: requests and answers take time, and may get lost on the way.

A request reaches the broker as one step, and its answer comes later as another. A process that is killed in between
leaves its requests on the way: they still arrive. When a connection breaks, the client hears of it, and what had
reached the broker stays done: only the answer is lost. A process that is cut off hears nothing and waits.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiokafka.errors import KafkaConnectionError

from tests.simulation.process_loop import PROCESS, WORLD_CONTEXT, ProcessLoop

T = TypeVar("T")

SECONDS = (0.001, 0.001, 0.002, 0.003, 0.005, 0.01, 0.03)
SLOW_SECONDS = 0.7
SLOW_ONE_IN = 60


@dataclass(eq=False, slots=True)
class Request:
    """Hold one request on its way, or its answer."""

    process: str
    answer: "asyncio.Future[Any]"
    lost: bool = False


@dataclass(slots=True)
class Network:
    """Carry requests to the broker and answers back."""

    loop: ProcessLoop
    rng: random.Random
    on_the_way: list[Request] = field(default_factory=list)
    cut_off_until: dict[str, float] = field(default_factory=dict)
    broker_down_until: float = 0.0

    async def request(self, effect: Callable[[], T]) -> T:
        """Let `effect` happen at the broker and return its answer; an answer that is a future is waited for there."""
        request = Request(PROCESS.get(), self.loop.create_future())
        self.on_the_way.append(request)
        self.later(lambda: self._arrive(request, effect))
        answer: T = await request.answer
        return answer

    def later(self, what: Callable[[], None], least_seconds: float = 0.0) -> None:
        """Do something outside of any process, after a delay that the seed chooses."""
        slow = self.rng.randrange(SLOW_ONE_IN) == 0
        delay = SLOW_SECONDS if slow else self.rng.choice(SECONDS)
        self.loop.call_later(least_seconds + delay, what, context=WORLD_CONTEXT)

    def disconnect(self, process: str) -> None:
        """Break the connections of a process: requests that have not arrived are gone, and so are all answers."""
        for request in [each for each in self.on_the_way if each.process == process]:
            self._drop(request)
            if not request.answer.done():
                self.later(lambda request=request: _fail(request.answer))  # type: ignore[misc]

    def cut_off(self, process: str, seconds: float) -> None:
        """Carry nothing to or from a process for a while, without a word to it."""
        self.cut_off_until[process] = max(self.cut_off_until.get(process, 0), self.loop.now + seconds)

    def heal(self) -> None:
        """End every disturbance that lasts."""
        self.cut_off_until.clear()
        self.broker_down_until = 0.0

    def _arrive(self, request: Request, effect: Callable[[], Any]) -> None:
        if request.lost:
            return
        if (wait := self._held_seconds(request)) > 0:
            self.later(lambda: self._arrive(request, effect), wait)
            return
        try:
            result = effect()
        except Exception as error:  # noqa: BLE001 - it is the broker's answer
            self.later(lambda error=error: self._answer(request, None, error))  # type: ignore[misc]
            return
        if isinstance(result, asyncio.Future):
            result.add_done_callback(
                lambda done: self.later(lambda: self._answer(request, done.result(), None)),
                context=WORLD_CONTEXT,
            )
            return
        self.later(lambda: self._answer(request, result, None))

    def _answer(self, request: Request, result: Any, error: Exception | None) -> None:
        if request.lost:
            return
        if (wait := self._held_seconds(request)) > 0:
            self.later(lambda: self._answer(request, result, error), wait)
            return
        self._drop(request)
        if request.answer.done():
            return
        if error is None:
            request.answer.set_result(result)
        else:
            request.answer.set_exception(error)

    def _drop(self, request: Request) -> None:
        request.lost = True
        self.on_the_way.remove(request)

    def _held_seconds(self, request: Request) -> float:
        until = max(self.broker_down_until, self.cut_off_until.get(request.process, 0))
        return until - self.loop.now


def _fail(answer: "asyncio.Future[Any]") -> None:
    if not answer.done():
        answer.set_exception(KafkaConnectionError())
