"""A plain Faust agent with a table: faust-streaming as its documentation shows it, at least once.

Values are bytes and decoded by the job, as everywhere in this benchmark; the table holds encoded states, because its
changelog must be able to bring them back.
"""

from typing import Any

import faust
from confluent_kafka.admin import AdminClient

from benchmarks.live.hosts.arguments import Arguments, parse
from pv_stream.cli.garbage import collect_seldom


def build(arguments: Arguments, partitions: int) -> faust.App:
    """Return the app with its one agent."""
    app = faust.App(
        arguments.group,
        broker=f"kafka://{arguments.bootstrap_servers}",
        store="memory://",
        topic_partitions=partitions,
        broker_commit_interval=arguments.commit_seconds,
        consumer_auto_offset_reset="earliest",
        producer_linger=0.005,
        web_enabled=False,
        autodiscover=False,
        datadir=arguments.state_dir,
    )
    raw: dict[str, Any] = {
        "key_type": bytes,
        "value_type": bytes,
        "key_serializer": "raw",
        "value_serializer": "raw",
    }
    source, target = app.topic(arguments.source, **raw), app.topic(arguments.target, **raw)
    table: Any = app.Table("states", key_type=bytes, value_type=bytes)
    job = arguments.job
    step = job.make_step()

    @app.agent(source)
    async def advance(stream: Any) -> None:
        async for key, value in stream.items():
            held = table.get(key)
            table[key], told = _after(held, value)
            for out_key, out_value in told:
                await target.send(key=out_key, value=out_value)

    def _after(held: bytes | None, value: bytes) -> Any:
        after, told = step(None if held is None else job.load(held), value)
        return job.dump(after), told

    return app


def main(arguments: Arguments) -> None:
    """Run the agent until it is told to stop."""
    collect_seldom()
    admin = AdminClient({"bootstrap.servers": arguments.bootstrap_servers})
    partitions = len(admin.list_topics(arguments.source).topics[arguments.source].partitions)
    faust.Worker(
        build(arguments, partitions), loglevel="WARNING", redirect_stdouts=False
    ).execute_from_commandline()


if __name__ == "__main__":
    main(parse())
