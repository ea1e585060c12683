"""`pv-stream run`: one live worker, until it is told to stop."""

from typing import Annotated

import typer

from pv_stream.cli.options import CarryOption
from pv_stream.stream import require_client

require_client("faust")


def command(
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="Kafka brokers, host:port. [PV_STREAM_BOOTSTRAP_SERVERS]")
    ] = None,
    group_id: Annotated[
        str | None, typer.Option(help="Consumer group that the workers share. [pv-stream]")
    ] = None,
    worker_id: Annotated[
        str | None,
        typer.Option(help="Lasting name of this worker; its shards wait for it. [host and process id]"),
    ] = None,
    carry: CarryOption = None,
) -> None:
    """Run a live worker: events in, alerts out, exactly once. SIGTERM or Ctrl-C stops it after its transaction.

    Start as many as there are partitions; they share the work. Exit codes: 0 stopped, 3 Kafka does not answer,
    5 the worker cannot go on safely and should be started again, 6 the log asks for a rulebook or an engine that
    this worker does not carry (70: a fault in pv_stream).
    """
    from pv_stream.rulebooks import carried_rulebooks, load_default  # noqa: PLC0415 - `--help` must not pay for them
    from pv_stream.settings import load_settings  # noqa: PLC0415
    from pv_stream.shard.fold import ShardFold  # noqa: PLC0415
    from pv_stream.shard.limits import Limits  # noqa: PLC0415
    from pv_stream.stream.connection import require_broker  # noqa: PLC0415

    settings = load_settings(bootstrap_servers=bootstrap_servers, group_id=group_id, worker_id=worker_id)
    require_broker(settings)
    rules, carried = load_default(), carried_rulebooks(carry or ())
    limits = Limits(
        run_due=settings.run_due_max,
        run_bytes=settings.run_written_bytes_max,
        run_facts=settings.run_facts_max,
    )

    from pv_stream.stream.worker import run_worker  # noqa: PLC0415 - Faust: only when Kafka is there

    def fold_of(shard: int, shard_count: int) -> ShardFold:
        return ShardFold(shard=shard, shard_count=shard_count, rulebook=rules, carried=carried, limits=limits)

    raise typer.Exit(run_worker(settings, fold_of))
