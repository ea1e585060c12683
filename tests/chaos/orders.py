"""What the harness tells one worker process to do to itself, and at which point of its work.

An order is a small file that the worker looks for at every named point; when it is carried out the file is renamed
first, so that the harness knows, also of a worker that is then dead. Both sides use this module.
"""

import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

#: Names the file of orders, in the environment of a worker.
ORDERS_VARIABLE: Final = "PV_CHAOS_ORDERS"
#: Names the mutant, in the environment of a worker.
MUTANT_VARIABLE: Final = "PV_CHAOS_MUTANT"


class Point(StrEnum):
    """Name the points of a worker's work at which something can happen to it."""

    AFTER_BEGIN = "after begin"
    MID_SEND = "mid-send"
    AFTER_OFFSETS = "after offsets"
    BEFORE_COMMIT = "before commit"
    IN_COMMIT = "in commit"
    AFTER_COMMIT = "after commit"
    IN_RESTORE = "during restore"
    IN_TRANSFER = "during a transfer"
    ON_FETCH = "on a fetched run"
    #: Only mutants that write in two transactions get here.
    BETWEEN_TRANSACTIONS = "between transactions"


class Act(StrEnum):
    """Say what a worker does to itself."""

    KILL = "kill"
    STOP = "stop"
    CANCEL = "cancel"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Order:
    """Say what to do, and at the how manieth passing of which point."""

    point: Point
    act: Act
    nth: int = 1


class Orders:
    """Read and carry off the orders of this process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._order: Order | None = None
        self._passed = 0

    def wait_for(self, point: Point) -> bool:
        """Tell whether an order for this point is waiting, without counting."""
        order = self._current()
        return order is not None and order.point is point

    def passed(self, point: Point) -> Act | None:
        """Count the passing of a point; return what is to be done now, if anything is."""
        order = self._current()
        if order is None or order.point is not point:
            return None
        self._passed += 1
        if self._passed < order.nth:
            return None
        self._path.rename(done_path(self._path))
        self._order, self._passed = None, 0
        return order.act

    def _current(self) -> Order | None:
        if self._order is None:
            try:
                fields = json.loads(self._path.read_bytes())
            except FileNotFoundError:
                return None
            self._order = Order(Point(fields["point"]), Act(fields["act"]), fields["nth"])
        elif not self._path.exists():  # taken back
            self._order, self._passed = None, 0
        return self._order


def give(path: Path, order: Order) -> None:
    """Leave an order for a worker."""
    done_path(path).unlink(missing_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(order)))
    partial.rename(path)


def take_back(path: Path) -> bool:
    """Remove an order; return whether it had been carried out."""
    path.unlink(missing_ok=True)
    return done_path(path).exists()


def done_path(path: Path) -> Path:
    """Return the file that an order becomes when it is carried out."""
    return path.with_suffix(".done")


def orders_of_this_process() -> Orders:
    """Return the orders that the environment names."""
    return Orders(Path(os.environ[ORDERS_VARIABLE]))
