"""The commands of operation against a real broker: kafka, topics, archive, run."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from pv_stream.errors import ConnectionFailed, EnvironmentBroken, UsageError
from pv_stream.stream.kafka_dev.broker import free_port
from pv_stream.stream.topics import Topic
from tests.integration.cluster import PATIENT, ROOT, SHARDS, Cluster, eventually
from tests.integration.test_exactly_once import events

COMMAND = [sys.executable, "-m", "pv_stream.cli"]


def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call `pv-stream` and return what it printed and its exit code."""
    return subprocess.run(  # noqa: S603 - our own command line, no shell
        [*COMMAND, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | PATIENT | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def environment_of(cluster: Cluster) -> dict[str, str]:
    return {
        "PV_STREAM_BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
        "PV_STREAM_TOPIC_PREFIX": cluster.prefix,
        "PV_STREAM_GROUP_ID": f"{cluster.prefix}group",
        **PATIENT,
    }


@pytest.fixture
def local_kafka(bootstrap_servers: str, tmp_path: Path) -> Iterator[list[str]]:
    """Give the options of a local broker of its own, and stop it afterwards.

    Without Java or Maven the broker of this run is another (or the run has failed): only then is it skipped.
    """
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"`pv-stream kafka` needs {' and '.join(missing)}; this run uses {bootstrap_servers}")
    directory = ["--state-dir", str(tmp_path / "kafka")]
    yield directory
    call("kafka", "down", *directory)


def test_kafka_goes_up_and_down_and_says_so(local_kafka: list[str]) -> None:
    """`up` twice is one broker, `down` keeps the data, `status` tells by its exit code too."""
    ports = ["--port", str(free_port()), "--controller-port", str(free_port())]
    down = call("kafka", "status", *local_kafka)
    assert (down.returncode, "not running" in down.stdout) == (1, True)
    first = json.loads(call("kafka", "up", *local_kafka, *ports, "--json").stdout)
    again = json.loads(call("kafka", "up", *local_kafka, *ports, "--json").stdout)
    assert first["ready"]
    assert again["pid"] == first["pid"]
    other = call("kafka", "up", "--state-dir", f"{local_kafka[1]}-2", *ports)
    assert other.returncode == UsageError.exit_code
    assert "in use by another program" in other.stderr
    assert call("kafka", "status", *local_kafka).returncode == 0
    assert call("kafka", "down", *local_kafka).returncode == 0
    assert call("kafka", "status", *local_kafka).returncode == 1


def test_an_outage_is_said_and_a_worker_stops_without_kafka(local_kafka: list[str], tmp_path: Path) -> None:
    """One line when Kafka goes, one when it is back; SIGTERM during an outage is a stop, and without a trace."""
    port = free_port()
    up = ["kafka", "up", *local_kafka, "--port", str(port), "--controller-port", str(free_port())]
    assert call(*up).returncode == 0
    cluster = Cluster(f"127.0.0.1:{port}", prefix="outage.", directory=tmp_path)
    cluster.create_topics()
    worker = cluster.start_worker()
    try:
        eventually(lambda: "owns shards" in worker.said(), what="the worker is up")
        call("kafka", "down", *local_kafka)
        eventually(lambda: "does not answer any more" in worker.said(), what="the outage is said")
        call(*up)
        eventually(lambda: "answers again" in worker.said(), what="its end is said")
        call("kafka", "down", *local_kafka)
        assert worker.stop() == 0
    finally:
        cluster.kill_workers()
    said = worker.said()
    assert "stopped" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert "Exception in thread" not in said


def test_topics_are_planned_applied_and_left_alone(cluster: Cluster) -> None:
    """A plan tells by its exit code whether something differs; applying twice changes nothing."""
    fresh = environment_of(cluster) | {"PV_STREAM_TOPIC_PREFIX": f"{cluster.prefix}fresh."}
    planned = call("topics", "plan", "--json", **fresh)
    assert planned.returncode == 1
    assert {row["action"] for row in json.loads(planned.stdout)} == {"create"}
    assert call("topics", "apply", **fresh).returncode == 0
    assert call("topics", "plan", **fresh).returncode == 0


def test_a_changed_partition_count_is_refused(cluster: Cluster) -> None:
    """More partitions would tear every patient's story in two."""
    refused = call("topics", "apply", "--partitions", str(SHARDS + 1), **environment_of(cluster))
    assert refused.returncode == UsageError.exit_code
    assert f"has {SHARDS} partitions and the settings say {SHARDS + 1}" in refused.stderr


def test_an_archive_holds_the_committed_bytes_and_no_others(cluster: Cluster, tmp_path: Path) -> None:
    """Also bytes that are no text; not what a writer aborted."""
    cluster.publish([*events(500), (b"\xffkey", b"\x00\xfe")])

    async def abort() -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=cluster.bootstrap_servers, transactional_id=f"{cluster.prefix}writer"
        ) as producer:
            await producer.begin_transaction()
            await producer.send_and_wait(cluster.name(Topic.EVENTS), key=b"ghost", value=b"x", partition=0)
            await producer.abort_transaction()

    asyncio.run(abort())
    out = tmp_path / "log.jsonl"
    done = call("archive", "--out", str(out), **environment_of(cluster))
    assert (done.returncode, "501 records" in done.stderr) == (0, True), done.stderr
    head, *lines = (json.loads(line) for line in out.read_text().splitlines())
    assert head == {"archive": 1, "topic": cluster.name(Topic.EVENTS), "partitions": SHARDS}
    expected = [(each.shard, each.position, each.key, each.value) for each in cluster.read(Topic.EVENTS)]
    text = [line for line in lines if "key" in line]
    assert [
        (line["shard"], line["position"], line["key"].encode(), line["value"].encode()) for line in text
    ] == [each for each in expected if each[2] != b"\xffkey"]
    assert [line["value_base64"] for line in lines if "key_base64" in line] == ["AP4="]
    assert call("archive", "--out", str(out), **environment_of(cluster)).returncode == UsageError.exit_code


def test_an_archive_of_a_topic_that_is_not_there_is_one_line(cluster: Cluster, tmp_path: Path) -> None:
    """And no file is left."""
    out = tmp_path / "log.jsonl"
    done = call("archive", "--from", "no.such.topic", "--out", str(out), **environment_of(cluster))
    assert done.returncode == EnvironmentBroken.exit_code
    assert "the topic no.such.topic does not exist" in done.stderr
    assert list(tmp_path.glob("log.jsonl*")) == []


@pytest.mark.parametrize(
    "command",
    [["run"], ["topics", "plan"], ["archive", "--out", "never.jsonl"], ["doctor"]],
    ids=" ".join,
)
def test_a_broker_that_is_down_is_one_line_of_every_command(command: list[str]) -> None:
    """What, where, what to do, and exit code 3."""
    nowhere = f"127.0.0.1:{free_port()}"
    done = call(*command, PV_STREAM_BOOTSTRAP_SERVERS=nowhere)
    assert done.returncode == ConnectionFailed.exit_code
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"pv-stream: Kafka at {nowhere} does not answer")
