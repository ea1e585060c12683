"""One chaos run: a broker, a proxy, workers and a writer; faults one after another; then the checkers."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from pv_stream.settings import Settings
from pv_stream.stream import topics as topic_table
from tests.chaos.checkers import Finding
from tests.chaos.evidence import EVENTS, STATES, Topics, judge
from tests.chaos.faults import (
    EVERY_KIND,
    SESSION_SECONDS,
    TRANSACTION_SECONDS,
    FaultKind,
    World,
    inject,
    schedule,
)
from tests.chaos.fleet import FAULTY_WORKER, TRUE_WORKER, Fleet
from tests.chaos.node import Node
from tests.chaos.orders import MUTANT_VARIABLE
from tests.chaos.proxy import Proxy
from tests.chaos.story import Entry, story
from tests.chaos.watch import Watch
from tests.chaos.writer import Writer

SHARDS: Final = 4
PREFIX: Final = "chaos."
GROUP: Final = "chaos"
WORKERS: Final = 2
#: Small transactions, so that there are many of them to interrupt.
_RUN_RECORDS_MAX: Final = 40
_CLOCK_SECONDS: Final = 2
#: The part of an attempt for the next fault in which its events are written.
_WRITING_SECONDS: Final = 1.5
_RECOVERY_SECONDS_MAX: Final = 90.0
_OPEN_SECONDS_MAX: Final = 120.0
_DRAIN_SECONDS_MAX: Final = 120.0
_PAUSE_SECONDS_MAX: Final = 0.8

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Say what a run does; the seed decides everything that is not said."""

    seed: int
    faults: int
    events: int
    kinds: tuple[FaultKind, ...] = EVERY_KIND
    workers: int = WORKERS
    mutant: str | None = None
    #: No fault begins later than this after the first.
    seconds_max: float = float("inf")


@dataclass(frozen=True, slots=True)
class Survived:
    """Hold one fault that was done: how long it lasted, and how long after it everything was processed."""

    kind: FaultKind
    lasted_seconds: float
    recovery_seconds: float | None


@dataclass
class Outcome:
    """Hold what a run came to."""

    plan: Plan
    faults: list[Survived] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    exits: dict[int, int] = field(default_factory=dict)
    disk: str = ""
    seconds: float = 0.0

    @property
    def is_sound(self) -> bool:
        """Tell whether no checker found anything."""
        return not self.findings


@dataclass
class Scene:
    """Hold a run's parts while it runs."""

    plan: Plan
    world: World
    writer: Writer
    watch: Watch
    story: Sequence[Entry]
    directory: Path
    topics: Topics


def run(plan: Plan, directory: Path, say: Say = lambda _line: None) -> Outcome:
    """Do one run in an empty directory and return what it came to. Leaves no process behind."""
    began = time.monotonic()
    outcome = Outcome(plan)
    with setting(plan, directory) as scene:
        outcome.disk = scene.world.node.how_a_disk_is_filled
        try:
            _let_workers_open(scene)
            _suffer(scene, outcome, say)
            say("all faults done: the true `pv-stream run` processes what is left")
            _finish(scene, outcome)
        except AssertionError as error:
            outcome.findings.append(Finding("stuck", str(error)))
        scene.world.fleet.drain()
        scene.world.fleet.stop()
        outcome.findings += [Finding("unexpected exit", text) for text in scene.world.fleet.surprises]
        outcome.exits = dict(scene.world.fleet.exits)
        say("checking the topics against the replay")
        judged = judge(scene.topics, scene.story[: scene.writer.written], directory)
        outcome.findings += judged.findings
        outcome.counts |= {**judged.counts, "answers without a known offset": scene.watch.missing}
    outcome.seconds = time.monotonic() - began
    return outcome


@contextmanager
def setting(plan: Plan, directory: Path) -> Iterator[Scene]:
    """Start everything that a run needs, and take it away again."""
    node = Node(directory)
    proxy = Proxy(
        listen_port=node.broker.proxy_port,
        broker_port=node.broker.behind_proxy_port,
        random=Random(f"proxy/{plan.seed}"),
    )
    topics = Topics(node.servers, PREFIX, GROUP, SHARDS)
    fleet = Fleet(directory, _environment(node, plan.mutant, directory), command=list(FAULTY_WORKER))
    entries = story(seed=plan.seed, events=plan.events, shard_count=SHARDS)
    writer = Writer(
        entries,
        servers=node.servers,
        topic=f"{PREFIX}{EVENTS}",
        entries_per_second=max(100.0, len(entries) / (max(1, plan.faults) * _WRITING_SECONDS)),
    )
    watch = Watch(node.servers, GROUP, f"{PREFIX}{EVENTS}", SHARDS)
    world = World(node, proxy, fleet, watch, f"{PREFIX}{STATES}", Random(f"fault/{plan.seed}"), plan.workers)
    try:
        proxy.start()
        node.start()
        topic_table.apply(
            Settings(
                bootstrap_servers=node.servers,
                topic_prefix=PREFIX,
                group_id=GROUP,
                partitions=SHARDS,
                connect_timeout_seconds=60,
            )
        )
        yield Scene(plan, world, writer, watch, entries, directory, topics)
    finally:
        fleet.stop()
        writer.stop()
        watch.close()
        proxy.stop()
        node.close()


def _let_workers_open(scene: Scene) -> None:
    """Start workers and writer, and return when shards are owned and a first part of the story is told."""
    scene.world.fleet.start(scene.plan.workers)
    scene.writer.start()
    scene.writer.let_write(len(scene.story) // (scene.plan.faults + 1))
    deadline = time.monotonic() + _OPEN_SECONDS_MAX
    while len(scene.world.fleet.owners) < scene.plan.workers:
        assert not scene.world.fleet.surprises, "the workers do not start"
        assert time.monotonic() < deadline, "the workers did not open their shards"
        time.sleep(0.1)


def _suffer(scene: Scene, outcome: Outcome, say: Say) -> None:
    """Do one fault after another while the story goes on, and wait after each until all of it is processed."""
    plan = scene.plan
    kinds = islice(schedule(Random(f"schedule/{plan.seed}"), plan.kinds), plan.faults)
    began = time.monotonic()
    for number, kind in enumerate(kinds, start=1):
        if time.monotonic() - began > plan.seconds_max:
            say(f"{plan.seconds_max:.0f} s are over: the rest of the story without faults")
            break
        # Each fault draws from a generator of its own: one that went another way changes none after it.
        scene.world.random = Random(f"fault/{plan.seed}/{number}")
        scene.writer.let_write(len(scene.story) * (number + 1) // (plan.faults + 1))
        done = inject(kind, scene.world)
        reached = scene.watch.reached(lambda: _ends(scene), seconds=_RECOVERY_SECONDS_MAX)
        recovery = None if reached is None else time.monotonic() - done.ended_at
        outcome.faults.append(Survived(done.kind, done.lasted_seconds, recovery))
        told = "NOT RECOVERED" if recovery is None else f"recovered after {recovery:.1f} s"
        say(f"{number}/{plan.faults} {done.kind} ({done.lasted_seconds:.1f} s): {told}")
        assert recovery is not None, f"not recovered within {_RECOVERY_SECONDS_MAX:.0f} s from: {done.kind}"
        time.sleep(scene.world.random.uniform(0, _PAUSE_SECONDS_MAX))


def _ends(scene: Scene) -> Mapping[int, int]:
    """Return where the group must be: nowhere yet, while what may be written is not."""
    if not scene.writer.is_idle:
        return dict.fromkeys(range(SHARDS), 2**62)
    return dict(scene.writer.ends)


def _finish(scene: Scene, outcome: Outcome) -> None:
    """Stop the workers, and let one that nobody hurts process what is left, without a clock of its own."""
    fleet = scene.world.fleet
    scene.writer.let_write(len(scene.story))
    deadline = time.monotonic() + _DRAIN_SECONDS_MAX
    while not scene.writer.is_idle:
        assert time.monotonic() < deadline, "the writer did not come to its end"
        time.sleep(0.1)
    assert scene.watch.reached(lambda: _ends(scene), seconds=_DRAIN_SECONDS_MAX) is not None, (
        "the workers did not come to the end of the story"
    )
    fleet.drain()
    fleet.command = list(TRUE_WORKER)
    fleet.environment = {**fleet.environment, "PV_STREAM_CLOCK_INTERVAL_SECONDS": "86400"}
    fleet.scale(1)
    # What a worker writes to the log itself (the answers of a merge) must be processed too.
    while True:
        ends = scene.topics.last_positions(scene.topics.committed())
        reached = scene.watch.reached(lambda wanted=ends: wanted, seconds=_DRAIN_SECONDS_MAX)  # type: ignore[misc]
        assert reached is not None, f"the last worker did not get to {ends}"
        if not scene.topics.last_positions(scene.topics.committed()):
            break
    outcome.counts["ghosts sent"] = scene.writer.ghosts


def _environment(node: Node, mutant: str | None, directory: Path) -> dict[str, str]:
    return {
        "PV_STREAM_BOOTSTRAP_SERVERS": node.proxied_servers,
        "PV_STREAM_TOPIC_PREFIX": PREFIX,
        "PV_STREAM_GROUP_ID": GROUP,
        "PV_STREAM_STATE_DIR": str(directory / "worker-state"),
        "PV_STREAM_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
        "PV_STREAM_TRANSACTION_TIMEOUT_SECONDS": str(TRANSACTION_SECONDS),
        "PV_STREAM_CLOCK_INTERVAL_SECONDS": str(_CLOCK_SECONDS),
        "PV_STREAM_RUN_RECORDS_MAX": str(_RUN_RECORDS_MAX),
        **({} if mutant is None else {MUTANT_VARIABLE: mutant}),
    }
