"""A real broker for the whole session, and a cluster of its own names for each test."""

import gc
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pv_stream.errors import PvStreamError
from pv_stream.stream.connection import answers, split_servers
from pv_stream.stream.kafka_dev.broker import LocalBroker, free_port
from tests.integration.brokers import docker_broker, docker_is_there
from tests.integration.cluster import Cluster

SERVERS_VARIABLE = "PV_STREAM_TEST_BOOTSTRAP_SERVERS"
NONE_FOUND = (
    "no Kafka to test with: install Java 17 and Maven, or start a Docker engine, "
    f"or name a running broker in {SERVERS_VARIABLE} (these tests are never skipped)"
)


#: kafka-python 3.0 closes no socket whose connecting is interrupted (kafka/net/inet.py, `connect`): the garbage
#: collector does, with a warning. It hits clients that are closed while they still connect to a broker.
UNCLOSED_BY_KAFKA_PYTHON = "ignore:unclosed <socket:ResourceWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here: `make unit` leaves them out, `make test` does not."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.kafka)
            item.add_marker(pytest.mark.filterwarnings(UNCLOSED_BY_KAFKA_PYTHON))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every test of this folder that was skipped, whatever the options: none may be left out unseen."""
    for report in terminalreporter.stats.get("skipped", ()):
        if report.nodeid.startswith("tests/integration/"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            terminalreporter.write_line(f"NOT RUN {report.nodeid}: {reason}")


@pytest.fixture(autouse=True)
def collect_sockets() -> Iterator[None]:
    """Collect what kafka-python left open here, under this folder's filter, and not in a test of another."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def bootstrap_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Find a broker: the one that is named, else Java and Maven, else Docker; else fail, and say what to install."""
    named = os.environ.get(SERVERS_VARIABLE)
    if named:
        if not any(answers(host, port, timeout_seconds=5) for host, port in split_servers(named)):
            pytest.fail(f"{SERVERS_VARIABLE} names {named}, which does not answer", pytrace=False)
        yield named
    elif shutil.which("java") and shutil.which("mvn"):
        broker = LocalBroker(tmp_path_factory.mktemp("kafka"), port=free_port(), controller_port=free_port())
        try:
            yield broker.up().bootstrap_servers
        except PvStreamError as error:
            pytest.fail(f"the local Kafka did not start: {error}", pytrace=False)
        finally:
            broker.down()
    elif docker_is_there():
        with docker_broker() as servers:
            yield servers
    else:
        pytest.fail(NONE_FOUND, pytrace=False)


@pytest.fixture
def own_broker(bootstrap_servers: str, tmp_path: Path) -> Iterator[LocalBroker]:
    """Give a broker of the test's own, down: for tests that stop and start one.

    Without Java or Maven the broker of this run is another (or the run has failed): only then is it skipped.
    """
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"a broker to stop needs {' and '.join(missing)}; this run uses {bootstrap_servers}")
    broker = LocalBroker(tmp_path / "own-kafka", port=free_port(), controller_port=free_port())
    yield broker
    broker.down()


@pytest.fixture
def cluster(bootstrap_servers: str, tmp_path: Path) -> Iterator[Cluster]:
    """Give a test topics, a group and workers that no other test knows."""
    fresh = Cluster(bootstrap_servers, prefix=f"t{uuid.uuid4().hex[:8]}.", directory=tmp_path)
    fresh.create_topics()
    try:
        yield fresh
    finally:
        fresh.kill_workers()
