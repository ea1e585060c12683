"""The Faust app: one agent that passes runs on, and the signals of a rebalance that open and close shards.

Faust hosts the worker: membership, assignment, heartbeats, fetching, stopping. It keeps no table, commits no offset,
serves no web page and creates no topic here (docs/adr/0005-faust-as-host.md says why).
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, cast

import faust
from faust.types import TP

from pv_stream.errors import EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.stream import batch_transport
from pv_stream.stream.connection import split_servers
from pv_stream.stream.membership import Membership
from pv_stream.stream.owner import FoldFactory, ShardOwner
from pv_stream.stream.runs import FetchedRun
from pv_stream.stream.security import security_of
from pv_stream.stream.topics import Topic, topic_name

#: Runs that Faust may hold between the fetch and the agent; the shards' own queues are bounded as well.
STREAM_BUFFER_RUNS = 4
#: Faust's request timeout must exceed the session timeout.
REQUEST_TIMEOUT_MARGIN_SECONDS = 30.0
#: How long a rebalance waits for a member that does not join again. A shard closes within a run and a commit; Faust's
#: own 60 s would hold up everybody for a member that is gone, and outlast the request that asks to join.
REBALANCE_TIMEOUT_SESSIONS = 2


class RunSchema(faust.Schema[None, FetchedRun]):
    """Pass a run on as it is: bytes are decoded by the engine, where a failure becomes a dead letter."""

    def loads_key(self, app: Any, message: Any, **_options: Any) -> None:
        """Return no key: a run has none."""

    def loads_value(self, app: Any, message: Any, **_options: Any) -> FetchedRun:  # noqa: ARG002 - as above
        """Return the run."""
        run: FetchedRun = message.value
        return run


class WorkerApp(faust.App):
    """A Faust app that tells its consumer where the open shards continue, and by which lasting name it is known."""

    owner: ShardOwner
    membership: Membership
    #: A worker that has one keeps its shards while it is away for less than the session timeout.
    static_member: str | None
    source_topic: str

    def checkpoint_positions(self) -> Mapping[TP, int]:
        """Return the partition and position to fetch from, for each open shard."""
        return {TP(self.source_topic, shard): position for shard, position in self.owner.positions.items()}

    def group_consumer(self) -> batch_transport.Consumer | None:
        """Return the consumer, or None before there is one; to ask for it otherwise would make one."""
        return cast("batch_transport.Consumer | None", self._consumer)

    def member_id(self) -> str:
        """Return by which id the group's coordinator knows this worker; empty while it does not."""
        consumer = self.group_consumer()
        return "" if consumer is None else consumer.member_id()

    async def close_shards(self) -> None:
        """Close every shard, before the group is joined again. Raise UsageError when another worker has our name."""
        await self.owner.close()
        self.membership.shared_out()
        # Where the coordinator does not know us any more, joining would take from another what may now be its own.
        if not self.should_stop and not self.member_id():
            await self.membership.refuse_taken_name()


class ConsumerSource:
    """Answer the owner's questions with the app's consumer."""

    def __init__(self, app: WorkerApp) -> None:
        """Use the consumer of this app, which exists once the app is started."""
        self._app = app

    async def bounds(self, shard: int) -> tuple[int, int]:
        """Return the bounds of the shard's input."""
        return await self._consumer.log_bounds(self._tp(shard))

    async def committed(self, shard: int) -> int | None:
        """Return the group's committed offset."""
        return await self._consumer.committed_offset(self._tp(shard))

    async def partition_count(self) -> int:
        """Return how many partitions the input topic has."""
        return await self._consumer.partition_count(self._app.source_topic)

    def press(self, shard: int, *, pressed: bool) -> None:
        """Stop or resume fetching a shard."""
        if pressed:
            self._consumer.hold(self._tp(shard))
        else:
            self._consumer.release(self._tp(shard))

    def last_seen_end(self, shard: int) -> tuple[int, float] | None:
        """Return the end of the shard's input as the last fetch saw it, and when."""
        return self._consumer.last_seen_end(self._tp(shard))

    @property
    def _consumer(self) -> batch_transport.Consumer:
        return cast("batch_transport.Consumer", self._app.consumer)

    def _tp(self, shard: int) -> TP:
        return TP(self._app.source_topic, shard)


def build_app(
    settings: Settings,
    *,
    fold_factory: FoldFactory,
    membership: Membership,
    on_failure: Callable[[BaseException], None],
) -> WorkerApp:
    """Return the app of one worker, ready to be started."""
    batch_transport.register()
    servers = ";".join(
        f"{batch_transport.SCHEME}://{host}:{port}"
        for host, port in split_servers(settings.bootstrap_servers)
    )
    # Faust makes directories for tables, of which there are none: they must not litter the working directory.
    datadir = settings.state_dir.absolute() / "faust"
    datadir.mkdir(parents=True, exist_ok=True)
    app = WorkerApp(
        settings.group_id,
        broker=servers,
        broker_credentials=faust_credentials(settings),
        broker_client_id=worker_name(settings),
        broker_max_poll_records=settings.run_records_max,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 4,
        broker_rebalance_timeout=settings.session_timeout_seconds * REBALANCE_TIMEOUT_SESSIONS,
        broker_request_timeout=settings.session_timeout_seconds + REQUEST_TIMEOUT_MARGIN_SECONDS,
        stream_buffer_maxsize=STREAM_BUFFER_RUNS,
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
        datadir=str(datadir),
        store="memory://",
    )
    app.static_member = settings.worker_id or None
    app.source_topic = topic_name(Topic.EVENTS, settings)
    app.membership = membership
    app.owner = ShardOwner(
        settings=settings, fold_factory=fold_factory, source=ConsumerSource(app), on_failure=on_failure
    )
    _connect(app, on_failure)
    return app


def faust_credentials(settings: Settings) -> Any:
    """Return what Faust calls credentials: how its clients are let in; None without TLS and login."""
    security = security_of(settings)
    if security.login is not None:
        return faust.SASLCredentials(
            username=security.login.username,
            password=security.login.password,
            mechanism=security.login.mechanism,
            ssl_context=security.tls,
        )
    return faust.SSLCredentials(security.tls) if security.tls is not None else None


def worker_name(settings: Settings) -> str:
    """Return the worker's name, made of host and process id unless one is set."""
    return settings.worker_id or f"{socket.gethostname()}-{os.getpid()}"


def _connect(app: WorkerApp, on_failure: Callable[[BaseException], None]) -> None:
    """Connect agent and signals to the owner. Whatever fails ends the process: Faust would log it and go on."""
    topic = app.topic(app.source_topic, schema=RunSchema(), acks=False)

    @app.agent(topic, concurrency=1, name="runs")
    async def pass_on(runs: Any) -> None:
        async for run in runs:
            try:
                app.owner.offer(run)
            except Exception as error:  # noqa: BLE001 - reported; Faust would acknowledge and forget it
                on_failure(error)

    @app.on_partitions_revoked.connect(weak=False)
    async def close_shards(_app: Any, _revoked: Any, **_options: Any) -> None:
        try:
            await app.close_shards()
        except Exception as error:  # noqa: BLE001 - see above
            on_failure(error)

    @app.on_rebalance_complete.connect(weak=False)
    async def open_shards(_app: Any, **_options: Any) -> None:
        generation = app.consumer_generation_id
        shards = [tp.partition for tp in app.consumer.assignment() if tp.topic == app.source_topic]
        app.membership.joined(app.member_id())
        try:
            await app.owner.open(shards, generation=generation)
        except asyncio.CancelledError:
            if not app.should_stop:
                on_failure(
                    EnvironmentBroken(
                        "opening the shards was cancelled from outside: the worker starts again"
                    )
                )
            raise
        except Exception as error:  # noqa: BLE001 - see above
            on_failure(error)
