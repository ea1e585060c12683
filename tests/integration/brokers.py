"""A broker in Docker, for machines without Java: the image of the Apache project, through testcontainers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pv_stream.stream.connection import answers
from pv_stream.stream.kafka_dev.broker import free_port

IMAGE = "apache/kafka:4.1.0"
START_SECONDS_MAX = 90.0


def docker_is_there() -> bool:
    """Tell whether a Docker engine answers."""
    import docker  # type: ignore[import-untyped]  # noqa: PLC0415 - only on machines without Java
    from docker.errors import DockerException  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        return bool(docker.from_env().ping())
    except DockerException:
        return False


@contextmanager
def docker_broker() -> Iterator[str]:
    """Run one KRaft node in a container.

    testcontainers' own KafkaContainer starts images of another vendor by scripts that this image does not have; so
    the container is a plain one, and its port is chosen first because the broker must advertise it.
    """
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - see above

    port = free_port()
    container = DockerContainer(IMAGE).with_bind_ports(9092, port)
    host = container.get_container_host_ip()
    for name, value in _environment(host, port).items():
        container.with_env(name, value)
    with container:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not answers(host, port, timeout_seconds=1):
            if time.monotonic() > deadline:
                message = f"{IMAGE} did not answer at {host}:{port} within {START_SECONDS_MAX:.0f} s"
                raise TimeoutError(message)
            time.sleep(0.2)
        yield f"{host}:{port}"


def _environment(host: str, port: int) -> dict[str, str]:
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://0.0.0.0:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{host}:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
