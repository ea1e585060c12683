"""Processes: the shards of a replay shared out among processes of this machine.

A shard needs nothing of another, so each process takes the next one that is left, the largest first. Processes are
started afresh (spawn), so that nothing of this one leaks into them. One that fails ends them all; what the others had
finished stays.
"""

import gc
import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from pv_stream.audit.replay import OnProgress, ShardWork
from pv_stream.errors import EnvironmentBroken, PvStreamError

_LOOK_SECONDS: Final = 0.2
_NUMBERS: Final = 2


@dataclass(slots=True)
class _Process:
    """Hold one process and the end of the pipe through which it says what went wrong."""

    process: SpawnProcess
    errors: Connection


def usable_processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def replay_in_processes(
    work: ShardWork, shards: Sequence[int], processes: int, on_progress: OnProgress
) -> None:
    """Replay shards, in the order given, with at most that many processes.

    Raises the PvStreamError of a process that met one, EnvironmentBroken when one ended without a word.
    """
    context = multiprocessing.get_context("spawn")
    count = min(processes, len(shards))
    taken = context.Value("i", 0)
    progress = context.Array("q", _NUMBERS * count, lock=False)
    started: list[_Process] = []
    try:
        for number in range(count):
            receiving, sending = context.Pipe(duplex=False)
            arguments = (
                work,
                tuple(shards),
                taken,
                progress,
                number,
                sending,
                gc.get_threshold(),
                os.getpid(),
            )
            process = context.Process(target=_run, args=arguments, daemon=True)
            process.start()
            sending.close()
            started.append(_Process(process, receiving))
        _watch(started, progress, on_progress)
    finally:
        for each in started:
            each.process.terminate()
        for each in started:
            each.process.join()
            each.errors.close()


def _watch(started: list[_Process], progress: Any, on_progress: OnProgress) -> None:
    running = {each.process.sentinel: each for each in started}
    while running:
        for sentinel in wait(list(running), timeout=_LOOK_SECONDS):
            assert isinstance(sentinel, int)
            _refuse_failure(running.pop(sentinel))
        on_progress(sum(progress[0::_NUMBERS]), sum(progress[1::_NUMBERS]))


def _refuse_failure(ended: _Process) -> None:
    ended.process.join()
    if ended.errors.poll():
        try:
            error = ended.errors.recv()
        except EOFError:
            error = None
        if isinstance(error, PvStreamError):
            raise error
    if ended.process.exitcode:
        how = "it was killed" if ended.process.exitcode < 0 else "its error stands above"
        message = (
            f"a process of the replay ended with {ended.process.exitcode}: {how}. "
            "Replay again, with fewer --processes if there is not enough memory"
        )
        raise EnvironmentBroken(message)


def _run(  # noqa: PLR0913 - what a process is given
    work: ShardWork,
    shards: tuple[int, ...],
    taken: Any,
    progress: Any,
    number: int,
    errors: Connection,
    thresholds: tuple[int, int, int],
    parent: int,
) -> None:
    """Replay shards until none is left; a stop is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(*thresholds)
    bytes_done = records_done = 0

    def tell(more_bytes: int, more_records: int) -> None:
        if os.getppid() != parent:  # nobody waits for this any more
            os._exit(1)
        progress[_NUMBERS * number] = bytes_done + more_bytes
        progress[_NUMBERS * number + 1] = records_done + more_records

    try:
        while (shard := _next(shards, taken)) is not None:
            done = work.replay(shard, tell)
            bytes_done += work.plan.log.shard_bytes(shard)
            records_done += done.records
            tell(0, 0)
    except PvStreamError as error:
        errors.send(error)


def _next(shards: tuple[int, ...], taken: Any) -> int | None:
    with taken.get_lock():
        number: int = taken.value
        taken.value += 1
    return shards[number] if number < len(shards) else None
