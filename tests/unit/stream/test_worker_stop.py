"""Stopping a worker: never a trace, and never long when Kafka is gone."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError
from faust.transport.drivers import aiokafka as driver

from pv_stream.errors import ActivationRefused, ConnectionFailed, EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.stream import batch_transport, worker
from pv_stream.stream.broker_watch import ANSWER_SECONDS_MAX, BrokerWatch


class Ended(BaseException):
    """Stand for the end of the process."""


async def _at_once() -> None:
    pass


async def _never() -> None:
    await asyncio.Event().wait()


async def _fail() -> None:
    message = "closing failed"
    raise EnvironmentBroken(message)


def stop(
    close: Callable[[], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    broker_up: bool,
    seconds_max: float,
) -> object:
    """Stop a worker whose shards close so, and return the exit code."""

    def end(code: int) -> None:
        raise Ended(code)

    def ask(settings: Settings, *, timeout_seconds: float) -> None:
        del timeout_seconds
        if not broker_up:
            raise ConnectionFailed(settings.bootstrap_servers)

    monkeypatch.setattr("os._exit", end)
    monkeypatch.setattr(worker, "STOPPING_GRACE_SECONDS", 0.01)
    monkeypatch.setattr(worker, "_flush", lambda: None)

    async def scenario() -> None:
        app: Any = SimpleNamespace(owner=SimpleNamespace(close=close), stop=_at_once)
        tasks: dict[str, asyncio.Task[Any]] = {
            name: asyncio.create_task(_never()) for name in ("crash", "watch")
        }
        watch = BrokerWatch(Settings(bootstrap_servers="kafka:9092"), lambda _line: None, ask=ask)
        await worker._stop(app, Settings(shutdown_timeout_seconds=seconds_max), tasks, watch)

    with pytest.raises(Ended) as ended:
        asyncio.run(scenario())
    return ended.value.args[0]


@pytest.mark.parametrize(
    ("close", "broker_up", "seconds_max", "code", "last_line"),
    [
        pytest.param(_at_once, True, 60, 0, "stopped", id="graceful"),
        pytest.param(_never, False, 60, 0, "stopped without Kafka", id="broker-gone"),
        pytest.param(_fail, True, 60, 5, "closing failed", id="failure"),
        pytest.param(_never, True, 1, 5, "the worker did not stop within 1 s", id="stuck"),
    ],
)
def test_stopping_ends_with_one_line_that_says_how(
    close: Callable[[], Awaitable[None]],
    broker_up: bool,  # noqa: FBT001 - a column of the table
    seconds_max: float,
    code: int,
    last_line: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    assert stop(close, monkeypatch, broker_up=broker_up, seconds_max=seconds_max) == code
    assert caplog.messages[-1].startswith(last_line)


def test_a_stop_while_kafka_is_gone_takes_no_longer_than_the_ten_seconds_that_are_promised() -> None:
    """Asked, left a grace, and asked again."""
    assert 2 * ANSWER_SECONDS_MAX + worker.STOPPING_GRACE_SECONDS + worker.STOPPING_ASK_SECONDS < 10


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(
            ActivationRefused("the log asks for rulebook x"), 6, id="a rulebook that is not carried"
        ),
        pytest.param(EnvironmentBroken("fenced"), 5, id="broken"),
        pytest.param(RuntimeError("a fault"), 70, id="a fault of ours"),
    ],
)
def test_a_failure_ends_the_process_with_a_code_of_its_kind(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(with_code: int) -> None:
        raise Ended(with_code)

    monkeypatch.setattr("os._exit", end)
    with pytest.raises(Ended) as ended:
        worker._end_at_once(error)
    assert ended.value.args == (code,)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(KafkaConnectionError(), "does not answer", id="Kafka is gone"),
        pytest.param(
            GroupAuthorizationFailedError("group"), "pv-stream topics acls", id="a right is missing"
        ),
    ],
)
def test_what_kafka_refuses_is_no_fault_of_ours(error: Exception, said: str) -> None:
    async def refused() -> None:
        raise error

    async def scenario() -> BaseException | None:
        loop = asyncio.get_running_loop()
        tasks: dict[str, asyncio.Task[Any]] = {
            name: loop.create_task(refused() if name == "crash" else _at_once())
            for name in ("group", "start", "crash", "report", "watch")
        }
        await asyncio.wait(tasks.values())
        return worker._failure(tasks, loop.create_future(), Settings())

    failure = asyncio.run(scenario())
    assert isinstance(failure, ConnectionFailed)
    assert said in str(failure)


@pytest.mark.parametrize("raised", [asyncio.CancelledError, ConnectionError])
def test_a_consumer_that_cannot_close_keeps_nobody_waiting(
    raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cannot_close(_self: object) -> None:
        raise raised

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_thread_stop", cannot_close)
    thread = cast("Any", object.__new__(batch_transport.RunConsumerThread))
    asyncio.run(thread.on_thread_stop())
