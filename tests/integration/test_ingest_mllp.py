"""`pv-stream ingest-mllp` against a real broker: what is acknowledged with AA is in the topic, once."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pv_stream.domain.ids import shard_of
from pv_stream.ingest.listeners.mllp_frames import framed
from pv_stream.stream.kafka_dev.broker import LocalBroker, free_port
from pv_stream.stream.topics import Topic
from tests.integration.cluster import DEADLINE_SECONDS, SHARDS, Cluster, Record, Worker, eventually
from tests.integration.test_operation import get, total
from tests.unit.ingest.messages import msh, obx

KEY = "a key of the tests"
CANARIES = ("PLOVER", "MRN86")
SENDERS = 20
MESSAGES = 1_000
OUTAGE_SECONDS = 5.0


@contextmanager
def listening(
    cluster: Cluster, *options: str, port: int = 0, health_port: int = 0, stop_seconds: float = 30
) -> Iterator[tuple[Worker, int]]:
    """Run the command and give its process and its port."""
    worker = cluster.start_worker(
        {
            "PV_STREAM_PSEUDONYM_KEY": KEY,
            "PV_STREAM_LISTENER_HEALTH_PORT": str(health_port),
            "PV_STREAM_SHUTDOWN_TIMEOUT_SECONDS": str(stop_seconds),
        },
        command=[sys.executable, "-m", "pv_stream.cli", "ingest-mllp", "--port", str(port), *options],
    )
    eventually(lambda: "listening for MLLP" in worker.said(), what="the listener listens")
    found = re.search(r"listening for MLLP.* on 127\.0\.0\.1:(\d+)", worker.said())
    assert found, worker.said()
    yield worker, int(found[1])


def message(number: int) -> bytes:
    """One result of one order; the order's number is the message's."""
    pid = f"PID|1||MRN86{number % 50}^^^NORTH^MR||PLOVER^PIPER"
    obr = f"OBR|1||FI-{number}^LAB|58410-2^CBC^LN|||20210412071500+0200"
    return "\r".join((msh().replace("|C1|", f"|C{number}|"), pid, obr, obx(), "")).encode()


def connect(port: int, tls: ssl.SSLContext | None = None) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    return connection if tls is None else tls.wrap_socket(connection, server_hostname="localhost")


def exchange(connection: socket.socket, content: bytes) -> str:
    """Send a message and return the code and control id of the answer; raise OSError when there is none."""
    connection.sendall(framed(content))
    answer = b""
    while not answer.endswith(b"\x1c\r"):
        more = connection.recv(4096)
        if not more:
            raise ConnectionResetError
        answer += more
    assert answer.startswith(b"\x0bMSH|")
    return " ".join(answer.split(b"\rMSA|")[1].split(b"\r")[0].decode().split("|")[:2])


@dataclass
class Senders:
    """Send messages as interface engines do: one at a time, again until AA, on a new connection when one is lost."""

    port: int
    acknowledged: list[int] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    #: The last quarter is sent after the middle, however late it comes.
    middle_is_over: threading.Event = field(default_factory=threading.Event)

    def send(self, numbers: range) -> None:
        connection: socket.socket | None = None
        for number in numbers:
            if number >= MESSAGES * 3 / 4:
                assert self.middle_is_over.wait(DEADLINE_SECONDS)
            code = ""
            while code != "AA":
                try:
                    connection = connection or connect(self.port)
                    code, control_id = exchange(connection, message(number)).split()
                    assert control_id == f"C{number}"
                except OSError:
                    if connection is not None:
                        connection.close()
                    time.sleep(0.1)
                    connection, code = None, "lost"
                self._note(number, code)
        if connection is not None:
            connection.close()

    def send_all(self, pool: ThreadPoolExecutor) -> "list[Future[None]]":
        return [pool.submit(self.send, range(each, MESSAGES, SENDERS)) for each in range(SENDERS)]

    def _note(self, number: int, code: str) -> None:
        with self.lock:
            self.answers[code] += 1
            if code == "AA":
                self.acknowledged.append(number)


def written(records: list[Record]) -> Counter[str]:
    """Count the records of each result, by its key; every record stands in the shard of its patient."""
    assert all(record.shard == shard_of((record.key or b"").decode(), SHARDS) for record in records)
    return Counter(json.loads(record.value or b"")["fact_key"] for record in records)


def test_an_outage_of_the_broker_loses_nothing_doubles_nothing_and_nobody_hears_a_false_aa(
    own_broker: LocalBroker, tmp_path: Path
) -> None:
    """1,000 messages, and the broker killed for 5 s in the middle."""
    cluster = Cluster(own_broker.up().bootstrap_servers, prefix="mllp.", directory=tmp_path)
    cluster.create_topics()
    try:
        with listening(cluster) as (worker, port), ThreadPoolExecutor(SENDERS) as pool:
            senders = Senders(port)
            sending = senders.send_all(pool)
            eventually(lambda: len(senders.acknowledged) > MESSAGES / 4, what="a quarter is acknowledged")
            os.kill(own_broker.status().pid or 0, signal.SIGKILL)
            own_broker.down()
            heard = len(senders.acknowledged)
            senders.middle_is_over.set()
            time.sleep(OUTAGE_SECONDS)
            meanwhile = senders.acknowledged[heard:]
            # Each sender waits for its answer, and of each one AA may have been on its way.
            assert len(meanwhile) == len({number % SENDERS for number in meanwhile}), (
                "an AA while there was no broker"
            )
            own_broker.up()
            for each in sending:
                each.result()
            assert worker.stop() == 0
    finally:
        cluster.kill_workers()
    assert sorted(senders.acknowledged) == list(range(MESSAGES))
    found = written(cluster.read(Topic.EVENTS))
    assert len(found) == MESSAGES
    assert set(found.values()) == {1}
    said = worker.said()
    assert "takes no writes" in said
    assert "takes writes again" in said
    assert "Traceback" not in said
    assert not [canary for canary in CANARIES if canary in said]


def test_a_listener_that_is_killed_has_acknowledged_nothing_that_is_not_there(cluster: Cluster) -> None:
    """Another takes its place. What was in work and not acknowledged comes again, and may be there twice."""
    with listening(cluster) as (first, port), ThreadPoolExecutor(SENDERS) as pool:
        senders = Senders(port)
        sending = senders.send_all(pool)
        eventually(lambda: len(senders.acknowledged) > MESSAGES / 4, what="a quarter is acknowledged")
        first.kill()
        senders.middle_is_over.set()
        with listening(cluster, port=port) as (second, _):
            for each in sending:
                each.result()
            assert second.stop() == 0
    assert sorted(senders.acknowledged) == list(range(MESSAGES))
    found = written(cluster.read(Topic.EVENTS))
    assert len(found) == MESSAGES
    doubled = [key for key, count in found.items() if count > 1]
    assert len(doubled) <= SENDERS
    assert max(found.values()) <= 2


def test_a_stop_answers_what_is_in_work_and_says_what_was_done(cluster: Cluster) -> None:
    """A connection that is silent does not keep it; refused bytes are kept; nothing of a patient is said."""
    health_port = free_port()
    with (
        listening(cluster, health_port=health_port, stop_seconds=10 * DEADLINE_SECONDS) as (worker, port),
        closing(connect(port)) as one,
        closing(connect(port)) as silent,
    ):
        assert exchange(one, message(1)) == "AA C1"
        assert exchange(one, message(1)) == "AA C1"
        assert exchange(one, message(2).replace(b"ORU^R01", b"ORU^R99")) == "AR C2"
        eventually(
            lambda: {get(health_port, path) for path in ("/livez", "/readyz")} == {(200, "ok\n")},
            what="it says that it is well",
        )
        metrics = get(health_port, "/metrics")[1]
        assert worker.stop() == 0
        assert silent.recv(1) == b""
    assert [total(metrics, "pv_ingest_answers_total", answer=word) for word in ("AA", "AR")] == [2, 1]
    assert total(metrics, "pv_ingest_rejected_messages_total", code="unsupported_type") == 1
    assert total(metrics, "pv_ingest_events_total") == 1
    assert total(metrics, "pv_ingest_connections") == 2
    assert total(metrics, "pv_ingest_answer_seconds_count") == 3
    assert not [canary for canary in CANARIES if canary in metrics]
    said = worker.said()
    assert "2 answered AA, 1 answered AR, 2 connections taken, 1 repeated" in said
    assert "stopped: 2 messages: 1 accepted, 0 held, 1 rejected (1 unsupported_type)" in said
    assert not [canary for canary in CANARIES if canary in said]
    assert len(cluster.read(Topic.EVENTS)) == 1
    kept = list((cluster.directory / "state" / "rejects").glob("*.bin"))
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600]
    (told,) = cluster.read(Topic.REJECTS)
    refusal = json.loads(told.value or b"")
    assert [refusal[name] for name in ("code", "value_digest", "kept_by")] == [
        "unsupported_type",
        f"sha256:{kept[0].stem}",
        "ingest-mllp",
    ]
    assert not [canary for canary in CANARIES if canary.encode() in (told.value or b"")]


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """An authority, and certificates of it for the listener and one sender."""
    openssl = shutil.which("openssl")
    assert openssl, "install openssl: it makes the certificates of this test"
    folder = tmp_path / "certificates"
    folder.mkdir()
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    authority = (
        "req",
        "-x509",
        *new_key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=ca",
        "-days",
        "2",
    )
    commands: list[tuple[str, ...]] = [authority]
    for name in ("listener", "sender"):
        request = ("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = (
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
        )
        commands += [request, (*signed, "-out", f"{name}.pem", "-days", "2", "-extfile", "names")]
    for command in commands:
        subprocess.run([openssl, *command], cwd=folder, check=True, capture_output=True)  # noqa: S603 - fixed
    return folder


def test_over_tls_only_a_sender_with_a_certificate_is_heard(cluster: Cluster, certificates: Path) -> None:
    files = {name: str(certificates / name) for name in ("listener.pem", "listener.key", "ca.pem")}
    options = ("--tls-cert", files["listener.pem"], "--tls-key", files["listener.key"])
    with listening(cluster, *options, "--client-ca", files["ca.pem"]) as (worker, port):
        tls = ssl.create_default_context(cafile=files["ca.pem"])
        with pytest.raises(OSError), closing(connect(port, tls)) as stranger:  # noqa: PT011 - reset, or an alert
            exchange(stranger, message(1))
        with pytest.raises(OSError), closing(connect(port)) as plain:  # noqa: PT011 - as above
            exchange(plain, message(2))
        tls.load_cert_chain(certificates / "sender.pem", certificates / "sender.key")
        with closing(connect(port, tls)) as sender:
            assert exchange(sender, message(3)) == "AA C3"
        assert worker.stop() == 0
    assert "Traceback" not in worker.said()
    assert len(cluster.read(Topic.EVENTS)) == 1
