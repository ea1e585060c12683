"""`pv-stream ingest-http` against a real broker: what is answered with 200 is in the topic, once."""

import http.client
import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

from pv_stream.domain.ids import shard_of
from pv_stream.stream.kafka_dev.broker import LocalBroker, free_port
from pv_stream.stream.topics import Topic
from tests.integration.cluster import DEADLINE_SECONDS, SHARDS, Cluster, Worker, eventually
from tests.integration.test_operation import get, total
from tests.unit.ingest.listeners.http_serving import FHIR, TOKEN
from tests.unit.ingest.messages import as_json, bundle, medication, observation

CANARY = "MRN8675309"


@contextmanager
def listening(cluster: Cluster, *, health_port: int = 0) -> Iterator[tuple[Worker, int]]:
    """Run the command and give its process and its port."""
    worker = cluster.start_worker(
        {
            "PV_STREAM_HTTP_TOKENS": TOKEN,
            "PV_STREAM_PSEUDONYM_KEY": "a key of the tests",
            "PV_STREAM_LISTENER_HEALTH_PORT": str(health_port),
        },
        command=[sys.executable, "-m", "pv_stream.cli", "ingest-http", "--port", "0"],
    )
    eventually(lambda: "listening on" in worker.said(), what="the listener listens")
    found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", worker.said())
    assert found, worker.said()
    yield worker, int(found[1])


def post(port: int, body: bytes, path: str = "/fhir") -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)) as connection:
        headers = {"Content-Type": FHIR, "Authorization": f"Bearer {TOKEN}"}
        connection.request("POST", path, body, headers)
        return connection.getresponse().status


def readiness(port: int) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)) as connection:
        connection.request("GET", "/readyz")
        return connection.getresponse().status


def test_a_bundle_is_in_the_topic_once_however_often_it_is_posted(cluster: Cluster) -> None:
    """Each event with its patient's key in its patient's shard; a stop is no failure; nothing of a patient is said."""
    body = bundle(observation(subject={"reference": f"Patient/{CANARY}"}), medication())
    with listening(cluster) as (worker, port):
        eventually(lambda: readiness(port) == 200, what="the listener is ready")
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(lambda _: post(port, body), range(8))) == {200}
        assert post(port, b"{}") == 422
        assert worker.stop() == 0
    records = cluster.read(Topic.EVENTS)
    assert sorted(json.loads(record.value or b"")["type"] for record in records) == [
        "exposure",
        "observation",
    ]
    assert all(record.shard == shard_of((record.key or b"").decode(), SHARDS) for record in records)
    said = worker.said()
    assert "stopped: 2 messages: 1 accepted, 0 held, 1 rejected" in said
    assert CANARY not in said
    assert TOKEN not in said


def test_nothing_is_acknowledged_while_the_broker_is_away(own_broker: LocalBroker, tmp_path: Path) -> None:
    """What gets 503 is not there; sent again after the outage it is there once."""
    cluster = Cluster(own_broker.up().bootstrap_servers, prefix="http.", directory=tmp_path)
    cluster.create_topics()
    before, during = (as_json(observation(id=name)) for name in ("before", "during"))
    try:
        health_port = free_port()
        with listening(cluster, health_port=health_port) as (worker, port):
            assert post(port, before) == 200
            own_broker.down()
            assert post(port, during) == 503
            assert post(port, before) == 200
            eventually(lambda: readiness(port) == 503, what="the listener is not ready")
            eventually(lambda: get(health_port, "/readyz")[0] == 503, what="its health says so")
            own_broker.up()
            # A commit is answered before its markers are written, which the broker does once it is back.
            eventually(lambda: len(cluster.read(Topic.EVENTS)) == 1, what="the first message is there alone")
            eventually(lambda: post(port, during) == 200, what="the message is written")
            eventually(lambda: readiness(port) == 200, what="the listener is ready again")
            metrics = get(health_port, "/metrics")[1]
            told = {
                status: total(metrics, "pv_ingest_answers_total", answer=status) for status in ("200", "503")
            }
            assert told["200"] == 3
            assert told["503"] >= 1
            assert [total(metrics, f"pv_ingest_{name}") for name in ("ready", "events_total")] == [1, 2]
            assert worker.stop() == 0
    finally:
        cluster.kill_workers()
    eventually(lambda: len(cluster.read(Topic.EVENTS)) >= 2, what="both messages are there")
    records = cluster.read(Topic.EVENTS)
    assert len(records) == len({record.value for record in records}) == 2
    said = worker.said()
    assert "takes no writes" in said
    assert "takes writes again" in said
    assert "Traceback" not in said


def test_a_second_listener_of_the_same_name_ends_one_of_them(cluster: Cluster) -> None:
    """They would take the transactional id from each other for ever; the one that notices says what to do."""
    with listening(cluster) as (first, one), listening(cluster) as (second, two):
        bodies = (as_json(observation(id=f"n{number}")) for number in count())

        def ended() -> bool:
            for port in (one, two):
                with suppress(OSError):
                    assert post(port, next(bodies)) in {200, 503}
            return first.process.poll() is not None or second.process.poll() is not None

        eventually(ended, what="one of the two ends")
        loser = first if first.process.poll() is not None else second
    assert loser.ended() == 5
    assert "--name" in loser.said().splitlines()[-1]
