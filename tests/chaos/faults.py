"""Every fault that a run can meet, and how it is done to workers, broker and network.

Which fault comes when, to whom and how long is drawn from a seeded generator; what the machine does meanwhile is not,
so a seed repeats the schedule and not each interleaving.
"""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from random import Random
from typing import Final

from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError

from tests.chaos.fleet import Fleet, Worker
from tests.chaos.node import Node
from tests.chaos.orders import Act, Order, Point
from tests.chaos.proxy import EndTxnResponse, Proxy, Weather
from tests.chaos.watch import Watch

#: What the workers are set to: a session that is over before a transaction is.
SESSION_SECONDS: Final = 3.0
TRANSACTION_SECONDS: Final = 6.0
_REACHED_SECONDS_MAX: Final = 8.0
#: A coordinator may wait 60 s for a member that does not join again, and a watchdog ends a stuck worker after 90 s.
_OWNER_SECONDS_MAX: Final = 120.0
_LOOK_SECONDS: Final = 0.02
_SCALES: Final = (1, 4, 1)
#: How long somebody else's transaction stays open while workers write, and then while they open.
_FOREIGN_SECONDS: Final = 2.0
_OPENING_SECONDS: Final = 8.0


class FaultKind(StrEnum):
    """Name each kind of fault."""

    KILL = "kill -9 of a worker at a random time"
    KILL_AFTER_BEGIN = "kill -9 after begin"
    KILL_MID_SEND = "kill -9 mid-send"
    KILL_AFTER_OFFSETS = "kill -9 after offsets"
    KILL_BEFORE_COMMIT = "kill -9 before commit"
    KILL_IN_COMMIT = "kill -9 inside a commit"
    KILL_AFTER_COMMIT = "kill -9 after commit"
    KILL_IN_RESTORE = "kill -9 during restore"
    KILL_IN_TRANSFER = "kill -9 during a transfer"
    STOP_SHORT = "SIGSTOP below the session timeout"
    STOP_PAST_SESSION = "SIGSTOP above the session timeout"
    STOP_PAST_TRANSACTION = "SIGSTOP above the transaction timeout"
    CANCEL_IN_COMMIT = "cancellation inside a commit"
    LOST_FETCH = "a fetched run lost in the worker"
    ROLLING = "rolling SIGTERM restarts"
    SCALE = "scale 1-4-1"
    BROKER_TERM = "broker SIGTERM and restart"
    BROKER_KILL = "broker kill -9 and restart"
    BOTH = "broker and worker kill -9 at once"
    BLACKHOLE = "network: blackhole below the transaction timeout"
    BLACKHOLE_LONG = "network: blackhole above the transaction timeout"
    RESET = "network: connections reset"
    DELAY = "network: delay"
    SLICING = "network: slicing"
    END_TXN_DELAYED = "network: EndTxn response delayed"
    END_TXN_LOST = "network: EndTxn response lost"
    DISK = "full disk on the broker"
    LOST_OFFSETS = "group offsets deleted, a foreign transaction open on the state topic"
    # Only for mutants: a worker between two transactions that should be one, and one stopped before it has sent.
    KILL_BETWEEN = "kill -9 between two transactions"
    STOP_AFTER_BEGIN = "SIGSTOP after begin, above the session timeout"


#: What a run without a choice of its own deals out.
EVERY_KIND: Final = tuple(
    kind for kind in FaultKind if kind not in {FaultKind.KILL_BETWEEN, FaultKind.STOP_AFTER_BEGIN}
)


@dataclass
class World:
    """Hold everything that can be hurt."""

    node: Node
    proxy: Proxy
    fleet: Fleet
    watch: Watch
    state_topic: str
    random: Random
    workers: int


@dataclass(frozen=True, slots=True)
class Done:
    """Say when a fault was over (monotonic seconds), how long it lasted, and what it turned out to be."""

    kind: FaultKind
    ended_at: float
    lasted_seconds: float


#: Faults that are over within seconds, also on a slow machine: for the short form.
QUICK: Final = (
    FaultKind.KILL_MID_SEND,
    FaultKind.KILL_AFTER_OFFSETS,
    FaultKind.KILL_BEFORE_COMMIT,
    FaultKind.KILL_IN_COMMIT,
    FaultKind.KILL_AFTER_COMMIT,
    FaultKind.STOP_SHORT,
    FaultKind.LOST_FETCH,
    FaultKind.RESET,
    FaultKind.SLICING,
    FaultKind.END_TXN_DELAYED,
    FaultKind.END_TXN_LOST,
)
_KILLED_AT: Final[Mapping[FaultKind, Point]] = {
    FaultKind.KILL_AFTER_BEGIN: Point.AFTER_BEGIN,
    FaultKind.KILL_MID_SEND: Point.MID_SEND,
    FaultKind.KILL_AFTER_OFFSETS: Point.AFTER_OFFSETS,
    FaultKind.KILL_BEFORE_COMMIT: Point.BEFORE_COMMIT,
    FaultKind.KILL_IN_COMMIT: Point.IN_COMMIT,
    FaultKind.KILL_AFTER_COMMIT: Point.AFTER_COMMIT,
    FaultKind.KILL_IN_TRANSFER: Point.IN_TRANSFER,
    FaultKind.KILL_BETWEEN: Point.BETWEEN_TRANSACTIONS,
}
#: What every transaction passes; the others are rare, and the first is taken.
_OFTEN: Final = frozenset(_KILLED_AT.values()) - {Point.IN_TRANSFER, Point.BETWEEN_TRANSACTIONS}
_STOPPED_SECONDS: Final[Mapping[FaultKind, tuple[float, float]]] = {
    FaultKind.STOP_SHORT: (0.3, SESSION_SECONDS * 0.6),
    FaultKind.STOP_PAST_SESSION: (SESSION_SECONDS + 1.0, TRANSACTION_SECONDS - 0.5),
    FaultKind.STOP_PAST_TRANSACTION: (TRANSACTION_SECONDS + 1.5, TRANSACTION_SECONDS + 3.0),
    FaultKind.STOP_AFTER_BEGIN: (SESSION_SECONDS + 1.5, TRANSACTION_SECONDS - 0.5),
}
_STOPPED_AT: Final = (
    Point.AFTER_BEGIN,
    Point.MID_SEND,
    Point.AFTER_OFFSETS,
    Point.BEFORE_COMMIT,
    Point.IN_COMMIT,
)
_WEATHER: Final[Mapping[FaultKind, tuple[Weather, float, float]]] = {
    FaultKind.BLACKHOLE: (Weather(is_blackhole=True), 0.5, TRANSACTION_SECONDS - 2),
    FaultKind.BLACKHOLE_LONG: (
        Weather(is_blackhole=True),
        TRANSACTION_SECONDS + 1,
        TRANSACTION_SECONDS + 3,
    ),
    FaultKind.DELAY: (Weather(delay_seconds=0.06), 2.0, 4.0),
    FaultKind.SLICING: (Weather(is_slicing=True), 1.0, 3.0),
    FaultKind.END_TXN_DELAYED: (
        Weather(end_txn=EndTxnResponse.DELAYED, end_txn_delay_seconds=0.8),
        2.0,
        4.0,
    ),
    FaultKind.END_TXN_LOST: (Weather(end_txn=EndTxnResponse.LOST), 0.5, 1.5),
}


def schedule(random: Random, kinds: tuple[FaultKind, ...] = EVERY_KIND) -> Iterator[FaultKind]:
    """Yield kinds for ever: each comes once, in a drawn order, before any comes again."""
    while True:
        deck = list(kinds)
        random.shuffle(deck)
        yield from deck


def inject(kind: FaultKind, world: World) -> Done:
    """Do a fault and undo it; return when it is over."""
    began = time.monotonic()
    turned_out = _HOW[kind](world) or kind
    ended_at = time.monotonic()
    return Done(turned_out, ended_at, ended_at - began)


# Workers ----------------------------------------------------------------------------------------------------------


def an_owner(world: World) -> Worker:
    """Return one of the workers that own shards; wait for one when a fault has left none."""
    deadline = time.monotonic() + _OWNER_SECONDS_MAX
    while not (owners := world.fleet.owners):
        assert time.monotonic() < deadline, "no worker owns a shard any more"
        time.sleep(_LOOK_SECONDS)
    return world.random.choice(owners)


def is_carried_out(world: World, worker: Worker, order: Order, seconds: float = _REACHED_SECONDS_MAX) -> bool:
    """Give a worker an order and tell whether it carried it out in time; it is taken back otherwise."""
    world.fleet.order(worker, order)
    deadline = time.monotonic() + seconds
    while not world.fleet.was_carried_out(worker):
        if time.monotonic() > deadline or not worker.is_alive:
            return world.fleet.take_back(worker)
        time.sleep(_LOOK_SECONDS)
    return True


def _kill(world: World) -> FaultKind:
    time.sleep(world.random.uniform(0, 1.0))
    an_owner(world).send(signal.SIGKILL)
    return FaultKind.KILL


def _kill_at(point: Point, world: World) -> FaultKind | None:
    order = Order(point, Act.KILL, world.random.randint(1, 6 if point in _OFTEN else 1))
    return None if is_carried_out(world, an_owner(world), order) else _kill(world)


def _kill_in_restore(world: World) -> FaultKind | None:
    """Start a worker again, and kill it while it fills its memory."""
    worker = an_owner(world)
    before = worker.process
    worker.terminate()
    deadline = time.monotonic() + _OWNER_SECONDS_MAX
    while worker.process is before or worker.process is None:
        assert time.monotonic() < deadline, f"worker {worker.number} was not started again"
        time.sleep(_LOOK_SECONDS)
    order = Order(Point.IN_RESTORE, Act.KILL, world.random.randint(1, 2))
    return None if is_carried_out(world, worker, order, 2 * _REACHED_SECONDS_MAX) else _kill(world)


def _stop(kind: FaultKind, world: World) -> None:
    worker = an_owner(world)
    drawn = world.random.choice(_STOPPED_AT)
    point = Point.AFTER_BEGIN if kind is FaultKind.STOP_AFTER_BEGIN else drawn
    if not is_carried_out(world, worker, Order(point, Act.STOP, world.random.randint(1, 4))):
        worker.send(signal.SIGSTOP)
    time.sleep(world.random.uniform(*_STOPPED_SECONDS[kind]))
    worker.send(signal.SIGCONT)


def _cancel(world: World) -> FaultKind | None:
    order = Order(Point.IN_COMMIT, Act.CANCEL, world.random.randint(1, 4))
    return None if is_carried_out(world, an_owner(world), order) else _kill(world)


def _lose_fetch(world: World) -> FaultKind | None:
    order = Order(Point.ON_FETCH, Act.DROP, world.random.randint(1, 4))
    return None if is_carried_out(world, an_owner(world), order) else _kill(world)


def _roll(world: World) -> None:
    """Stop every worker with SIGTERM, one after another, each once the one before is back."""
    for worker in world.fleet.alive:
        before = worker.process
        worker.terminate()
        deadline = time.monotonic() + _OWNER_SECONDS_MAX
        while worker.process is before or not worker.owns_shards:
            assert time.monotonic() < deadline, f"worker {worker.number} is not back"
            time.sleep(_LOOK_SECONDS)


def _scale(world: World) -> None:
    for count in _SCALES:
        world.fleet.scale(count)
        deadline = time.monotonic() + _OWNER_SECONDS_MAX
        # Four workers for four shards: whoever is not started in time gets none, which is no fault.
        while len(world.fleet.owners) < count and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
    world.fleet.scale(world.workers)


def _lose_offsets(world: World) -> None:
    """Delete the group's offsets while workers are away, and let them open under a transaction of somebody else.

    The checkpoint is the truth, so both are harmless; a restore must wait until the other transaction has ended.
    """
    foreign = KafkaProducer(
        bootstrap_servers=world.node.servers,
        transactional_id="chaos-foreign",
        transaction_timeout_ms=60_000,
    )
    foreign.init_transactions()
    foreign.begin_transaction()
    for shard in range(world.watch.shards):
        foreign.send(world.state_topic, key=b"foreign", value=b"never committed", partition=shard)
    foreign.flush(10)
    time.sleep(_FOREIGN_SECONDS)
    world.fleet.drain()
    _delete_group(world)
    world.fleet.scale(world.workers)
    deadline = time.monotonic() + _OWNER_SECONDS_MAX
    while not all(worker.has_begun for worker in world.fleet.alive) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    # From here on a sound worker waits, and one that does not has time to go wrong.
    time.sleep(_OPENING_SECONDS)
    foreign.abort_transaction()
    foreign.close()


def _delete_group(world: World) -> None:
    """Delete the group, which Kafka refuses until the session of its last static member is over."""
    deadline = time.monotonic() + _OWNER_SECONDS_MAX
    with closing(KafkaAdminClient(bootstrap_servers=world.node.servers)) as admin:
        while True:
            with suppress(KafkaError):
                admin.delete_groups([world.watch.group])
            world.watch.forget()
            offsets = world.watch.committed()
            if offsets is not None and not any(offsets.values()):
                return
            assert time.monotonic() < deadline, "the group cannot be deleted"
            time.sleep(0.3)


# Broker -----------------------------------------------------------------------------------------------------------


def _broker_down(take_down: Callable[[Node], object], world: World) -> None:
    time.sleep(world.random.uniform(0, 0.5))
    take_down(world.node)
    time.sleep(world.random.uniform(0, 2.0))
    world.node.start()


def _both(world: World) -> None:
    worker = an_owner(world)
    world.node.kill()
    worker.send(signal.SIGKILL)
    time.sleep(world.random.uniform(0, 1.0))
    world.node.start()


def _full_disk(world: World) -> None:
    world.node.fill_disk()
    time.sleep(world.random.uniform(0, 1.0))
    world.node.free_disk()
    world.node.start()


# Network ----------------------------------------------------------------------------------------------------------


def _turn_weather(kind: FaultKind, world: World) -> None:
    weather, shortest, longest = _WEATHER[kind]
    world.proxy.turn(weather)
    time.sleep(world.random.uniform(shortest, longest))
    world.proxy.clear()


def _reset(world: World) -> None:
    for _ in range(world.random.randint(1, 3)):
        world.proxy.reset_all()
        time.sleep(world.random.uniform(0, 0.5))


_HOW: Final[Mapping[FaultKind, Callable[[World], FaultKind | None]]] = {
    FaultKind.KILL: _kill,
    **{kind: partial(_kill_at, point) for kind, point in _KILLED_AT.items()},
    FaultKind.KILL_IN_RESTORE: _kill_in_restore,
    **{kind: partial(_stop, kind) for kind in _STOPPED_SECONDS},
    FaultKind.CANCEL_IN_COMMIT: _cancel,
    FaultKind.LOST_FETCH: _lose_fetch,
    FaultKind.ROLLING: _roll,
    FaultKind.SCALE: _scale,
    FaultKind.BROKER_TERM: partial(_broker_down, Node.stop),
    FaultKind.BROKER_KILL: partial(_broker_down, Node.kill),
    FaultKind.BOTH: _both,
    **{kind: partial(_turn_weather, kind) for kind in _WEATHER},
    FaultKind.RESET: _reset,
    FaultKind.DISK: _full_disk,
    FaultKind.LOST_OFFSETS: _lose_offsets,
}
