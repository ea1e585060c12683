"""Quix Streams, exactly-once, states in its own store with a changelog topic. Runs in `.venv/bench`."""

from collections.abc import Sequence
from typing import Any

from quixstreams import Application

from benchmarks.live.hosts.arguments import Arguments, parse
from pv_stream.cli.garbage import collect_seldom


def main(arguments: Arguments) -> None:
    """Run the application until it is told to stop."""
    collect_seldom()
    job = arguments.job
    step = job.make_step()
    app = Application(
        broker_address=arguments.bootstrap_servers,
        consumer_group=arguments.group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=arguments.commit_seconds,
        state_dir=arguments.state_dir,
        consumer_extra_config={"fetch.wait.max.ms": 10},
        producer_extra_config={"linger.ms": 5},
        loglevel="WARNING",
    )
    source = app.topic(arguments.source, key_deserializer="bytes", value_deserializer="bytes")
    target = app.topic(arguments.target, key_serializer="bytes", value_serializer="bytes")

    def advance(value: bytes, state: Any) -> Sequence[bytes]:
        held = state.get_bytes("state")
        after, told = step(None if held is None else job.load(held), value)
        state.set_bytes("state", job.dump(after))
        return [out_value for _, out_value in told]

    app.dataframe(source).apply(advance, stateful=True, expand=True).to_topic(target)
    app.run()


if __name__ == "__main__":
    main(parse())
