"""The workers of a run, and the supervisor that starts them again as an operator's would."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos.orders import ORDERS_VARIABLE, Order, done_path, give, take_back

ROOT: Final = Path(__file__).parents[2]
FAULTY_WORKER: Final = [sys.executable, "-m", "tests.chaos.faulty_worker", "run"]
TRUE_WORKER: Final = [sys.executable, "-m", "pv_stream.cli", "run"]
#: Stopped by a signal, a wrong setting, a log that asks for another version: starting again does not help.
FINAL_CODES: Final = frozenset({0, 2, 6})
#: What a worker may end with while it is hurt: no Kafka, not safe to go on, killed.
EXPECTED_CODES: Final = frozenset({3, 5, -signal.SIGKILL})
#: And what with when it was told to stop: also before it could set up how it stops.
STOPPED_CODES: Final = frozenset({0, -signal.SIGTERM, 128 + signal.SIGTERM})
_LOOK_SECONDS: Final = 0.05
_RESTART_SECONDS: Final = 0.3
_OPEN_WORD: Final = "owns shards ["
_DRAIN_SECONDS_MAX: Final = 30.0


@dataclass
class Worker:
    """Hold one place of the fleet: its process changes when it is started again."""

    number: int
    log: Path
    orders: Path
    process: subprocess.Popen[bytes] | None = None
    is_wanted: bool = True
    was_told_to_stop: bool = False
    ended_at: float = 0.0

    @property
    def is_alive(self) -> bool:
        """Tell whether its process runs (or is stopped by SIGSTOP)."""
        return self.process is not None and self.process.poll() is None

    @property
    def has_begun(self) -> bool:
        """Tell whether its present process has said anything yet."""
        return self.log.exists() and self.log.stat().st_size > 0

    @property
    def owns_shards(self) -> bool:
        """Tell whether the last thing that its present process said about ownership is that it owns some."""
        said = self.log.read_text(errors="replace") if self.log.exists() else ""
        return _OPEN_WORD in said and not said.rpartition(_OPEN_WORD)[2].startswith("]")

    def send(self, number: int) -> None:
        """Send its process a signal, if it runs."""
        process = self.process
        if process is not None and process.poll() is None:
            process.send_signal(number)

    def terminate(self) -> None:
        """Ask it to stop; one that is still wanted is then started again."""
        self.was_told_to_stop = True
        self.send(signal.SIGTERM)


@dataclass
class Fleet:
    """Keep as many workers running as are wanted."""

    directory: Path
    environment: Mapping[str, str]
    command: list[str] = field(default_factory=lambda: list(FAULTY_WORKER))
    workers: list[Worker] = field(default_factory=list)
    exits: Counter[int] = field(default_factory=Counter)
    #: Exit codes that no fault explains, with the last line of the worker.
    surprises: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _is_stopped: bool = False
    _thread: threading.Thread | None = None

    def start(self, count: int) -> None:
        """Start the supervisor and so many workers."""
        self.scale(count)
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._thread.start()

    def scale(self, count: int) -> None:
        """Want so many workers: start more, or stop the last ones with SIGTERM."""
        with self._lock:
            while len(self.workers) < count:
                number = len(self.workers)
                self.workers.append(
                    Worker(
                        number, self.directory / f"worker-{number}.log", self.directory / f"orders-{number}"
                    )
                )
            for worker in self.workers:
                worker.is_wanted = worker.number < count
                if worker.is_wanted and not worker.is_alive:
                    self._start(worker)
                elif not worker.is_wanted:
                    worker.terminate()

    @property
    def alive(self) -> list[Worker]:
        """Return the wanted workers that run."""
        return [worker for worker in self.workers if worker.is_wanted and worker.is_alive]

    @property
    def owners(self) -> list[Worker]:
        """Return the wanted workers that run and own shards."""
        return [worker for worker in self.alive if worker.owns_shards]

    def order(self, worker: Worker, order: Order) -> None:
        """Leave an order for one worker."""
        give(worker.orders, order)

    def was_carried_out(self, worker: Worker) -> bool:
        """Tell whether the order of a worker was carried out."""
        return done_path(worker.orders).exists()

    def take_back(self, worker: Worker) -> bool:
        """Take an order back; return whether it had been carried out."""
        return take_back(worker.orders)

    def drain(self) -> None:
        """Stop all workers with SIGTERM, and kill one that does not end in time: that is a surprise."""
        self.scale(0)
        deadline = time.monotonic() + _DRAIN_SECONDS_MAX
        for worker in self.workers:
            worker.send(signal.SIGCONT)
            process = worker.process  # the supervisor takes it away when it has ended
            try:
                if process is not None:
                    process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.surprises.append(
                    f"worker {worker.number} did not end in {_DRAIN_SECONDS_MAX:.0f} s after SIGTERM"
                )
                worker.send(signal.SIGKILL)

    def stop(self) -> None:
        """Leave no process behind."""
        self._is_stopped = True
        if self._thread is not None:
            self._thread.join()
        self._note_ends()
        for worker in self.workers:
            worker.send(signal.SIGKILL)
            if worker.process is not None:
                worker.process.wait()

    def _supervise(self) -> None:
        while not self._is_stopped:
            with self._lock:
                self._note_ends()
                for worker in self.workers:
                    rested = time.monotonic() - worker.ended_at > _RESTART_SECONDS
                    if worker.is_wanted and worker.process is None and rested:
                        self._start(worker)
            time.sleep(_LOOK_SECONDS)

    def _note_ends(self) -> None:
        for worker in self.workers:
            if worker.process is None or (code := worker.process.poll()) is None:
                continue
            worker.process, worker.ended_at = None, time.monotonic()
            self.exits[code] += 1
            expected = EXPECTED_CODES | (STOPPED_CODES if worker.was_told_to_stop else frozenset())
            surprise = f"worker {worker.number} ended with {code}: {_last_line(worker.log)}"
            if code not in expected and surprise not in self.surprises:
                self.surprises.append(surprise)
            if code in FINAL_CODES - {0}:
                worker.is_wanted = False

    def _start(self, worker: Worker) -> None:
        worker.orders.unlink(missing_ok=True)
        worker.was_told_to_stop = False
        # What an earlier process said stays beside it, so that `owns_shards` is about this one.
        if worker.log.exists():
            with worker.log.with_suffix(".old.log").open("ab") as old:
                old.write(worker.log.read_bytes())
        environment = (
            os.environ
            | dict(self.environment)
            | {
                "PYTHONPATH": str(ROOT),
                # A worker with a name is a static member of its group: both kinds are hurt.
                "PV_STREAM_WORKER_ID": "" if worker.number % 2 else f"worker-{worker.number}",
                ORDERS_VARIABLE: str(worker.orders),
            }
        )
        with worker.log.open("wb") as output:
            worker.process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
                self.command, env=environment, stdout=output, stderr=output
            )


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"
