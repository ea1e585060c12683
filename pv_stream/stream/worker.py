"""One live worker as a process: start, wait for a signal or a failure, end with a code that says which.

Stopping on a signal is graceful: each shard finishes its transaction, the worker leaves the group. A failure is
not: the process ends at once, because a state that nobody planned for must not write another record, and because
the next owner starts from the checkpoint anyway. A supervisor starts it again.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any

from pv_stream.errors import ActivationRefused, EnvironmentBroken, PvStreamError
from pv_stream.settings import Settings
from pv_stream.stream.app import WorkerApp, build_app, worker_name
from pv_stream.stream.broker_watch import BrokerWatch
from pv_stream.stream.connection import connection_failed, is_refusal, require_broker
from pv_stream.stream.health import HealthServer, WorkerHealth
from pv_stream.stream.membership import Membership, look_at_group
from pv_stream.stream.owner import FoldFactory
from pv_stream.stream.topics import check_topics
from pv_stream.stream.watchdog import LoopBeat, Watchdog, under_way, watch_in_a_thread
from pv_stream.stream.worker_log import Said, say, set_up_logging

REPORT_SECONDS = 60.0
#: While stopping, how often the broker is asked, and how long a broker that is gone is waited for.
STOPPING_ASK_SECONDS = 1.0
STOPPING_GRACE_SECONDS = 4.0
#: A fault in our own code: not one of the exits that an operator can act on.
EXIT_CODE_BUG = 70
#: The log asks for a rulebook or an engine that this worker does not carry: starting it again does not help.
EXIT_CODE_OUTDATED = 6


def run_worker(settings: Settings, fold_factory: FoldFactory) -> int:
    """Run one worker until it is told to stop, and return the exit code 0. Raise PvStreamError before it has begun.

    A failure while it runs ends the process here, with the error's exit code.
    """
    require_broker(settings)
    set_up_logging(
        worker=worker_name(settings), debug=settings.log_level == "debug", log_format=settings.log_format
    )
    # What ends a library's thread also makes Faust give up, and that is our one line.
    threading.excepthook = lambda ended: say(Said.THREAD_ENDED, error=ended.exc_type.__name__)
    shard_count = check_topics(settings)
    membership = Membership(settings, shard_count=shard_count, ask=lambda: look_at_group(settings))
    return asyncio.run(_serve(settings, fold_factory, membership))


async def _serve(settings: Settings, fold_factory: FoldFactory, membership: Membership) -> int:
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[BaseException] = loop.create_future()

    def on_failure(error: BaseException) -> None:
        if not failed.done():
            failed.set_result(error)

    app = build_app(settings, fold_factory=fold_factory, membership=membership, on_failure=on_failure)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    say(
        Said.WORKER_STARTED,
        worker=worker_name(settings),
        group=settings.group_id,
        servers=settings.bootstrap_servers,
    )
    watch = BrokerWatch(settings, lambda message: _say_of_kafka(watch, message))
    beat = LoopBeat()
    watchdog = Watchdog(
        settings.stall_timeout_seconds,
        lambda: under_way(app.owner, beat, broker_is_gone=watch.gone, spare_looks=membership.spare_looks),
    )
    watch_in_a_thread(watchdog, _end_at_once)
    health = WorkerHealth(app.owner, watch, watchdog, membership, settings)
    await _serve_health(health, settings)
    tasks: dict[str, asyncio.Task[Any]] = {
        "start": asyncio.create_task(app.start()),
        "crash": asyncio.create_task(_crashed(app)),
        "stop": asyncio.create_task(stopping.wait()),
        "report": asyncio.create_task(_report(app)),
        "watch": asyncio.create_task(watch.keep_looking()),
        "beat": asyncio.create_task(beat.keep_beating()),
        "group": asyncio.create_task(membership.keep_looking(app.group_consumer, lambda: app.owner.assigned)),
    }
    await _first_event(tasks, failed)
    health.stopping = True
    error = _failure(tasks, failed, settings)
    if error is not None:
        _end_at_once(await membership.instead_of(error))
    return await _stop(app, settings, tasks, watch)


async def _first_event(
    tasks: dict[str, "asyncio.Task[Any]"], failed: "asyncio.Future[BaseException]"
) -> None:
    """Return on a stop signal, a failure or a crash; a start that succeeded is no reason."""
    waiting: set[asyncio.Future[Any]] = {*tasks.values(), failed}
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if done != {tasks["start"]} or tasks["start"].exception() is not None:
            return


def _failure(
    tasks: dict[str, "asyncio.Task[Any]"], failed: "asyncio.Future[BaseException]", settings: Settings
) -> BaseException | None:
    if failed.done():
        return failed.result()
    for name in ("group", "start", "crash", "report", "watch"):
        task = tasks[name]
        if task.done() and (error := task.exception()) is not None:
            name_of_error = type(error).__name__
            if name_of_error in {"KafkaConnectionError", "NodeNotReadyError"} or is_refusal(name_of_error):
                return connection_failed(settings.bootstrap_servers, name_of_error)
            return error
    return None


async def _crashed(app: WorkerApp) -> None:
    """Raise what made Faust give up."""
    await app.wait_until_stopped()
    if app.crash_reason is not None:
        raise app.crash_reason
    message = "Faust stopped by itself"
    raise EnvironmentBroken(message)


async def _stop(
    app: WorkerApp, settings: Settings, tasks: dict[str, "asyncio.Task[Any]"], watch: BrokerWatch
) -> int:
    say(Said.WORKER_STOPPING)
    tasks["crash"].cancel()
    tasks["watch"].cancel()
    closing = asyncio.create_task(_close(app))
    gone = asyncio.create_task(_broker_is_gone(watch))
    await asyncio.wait(
        {closing, gone}, timeout=settings.shutdown_timeout_seconds, return_when=asyncio.FIRST_COMPLETED
    )
    error = closing.exception() if closing.done() else None
    if gone.done() or (error is not None and watch.gone):
        say(Said.WORKER_STOPPED_WITHOUT_KAFKA)
    elif error is not None:
        _end_at_once(error)
    elif not closing.done():
        _end_at_once(
            EnvironmentBroken(f"the worker did not stop within {settings.shutdown_timeout_seconds:g} s")
        )
    else:
        say(Said.WORKER_STOPPED)
    _flush()
    # Faust leaves threads and tasks that end only when they feel like it; nothing of ours is left to do.
    os._exit(0)


async def _close(app: WorkerApp) -> None:
    await app.owner.close()
    with suppress(asyncio.CancelledError):
        await app.stop()


def _say_of_kafka(watch: BrokerWatch, message: str) -> None:
    say(
        Said.KAFKA_NOT_ASKED if watch.not_asked else Said.KAFKA_GONE if watch.gone else Said.KAFKA_BACK,
        message=message,
    )


async def _broker_is_gone(watch: BrokerWatch) -> None:
    """Return when the broker does not answer, and did not come back within a grace."""
    while True:
        await asyncio.to_thread(watch.look)
        if watch.gone:
            await asyncio.sleep(STOPPING_GRACE_SECONDS)
            await asyncio.to_thread(watch.look)
            if watch.gone:
                return
        await asyncio.sleep(STOPPING_ASK_SECONDS)


def _end_at_once(error: BaseException) -> None:
    if isinstance(error, PvStreamError):
        code = EXIT_CODE_OUTDATED if isinstance(error, ActivationRefused) else error.exit_code
        say(Said.WORKER_ENDED, message=str(error), exit_code=code)
    else:
        # The text of an unforeseen error may quote a record: only its type and place are safe to show.
        say(Said.FAULT, error=type(error).__name__, place=_place(error))
        say(Said.FAULT_TRACE, trace=error)
        code = EXIT_CODE_BUG
    _flush()
    os._exit(code)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    if trace is None:
        return "an unknown place"
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"  # noqa: PTH119 - a label


def _flush() -> None:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()


async def _report(app: WorkerApp) -> None:
    """Say once a minute what was done, when something was."""
    reported = 0
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        progress = app.owner.progress
        if (records := progress.records.total()) != reported:
            reported = records
            say(
                Said.PROGRESS,
                records=records,
                outputs=progress.outputs.total(),
                transactions=progress.transactions,
            )


async def _serve_health(health: WorkerHealth, settings: Settings) -> None:
    """Serve health and metrics, if they are wanted; a worker that cannot serve them works all the same."""
    if not settings.health_port:
        return
    address = f"{settings.health_host}:{settings.health_port}"
    try:
        await HealthServer(health).start(host=settings.health_host, port=settings.health_port)
    except OSError as error:
        say(Said.HEALTH_NOT_SERVED, address=address, error=error.strerror or type(error).__name__)
    else:
        say(Said.HEALTH_SERVED, address=address)
