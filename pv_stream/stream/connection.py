"""Is Kafka there? One quick question before a client is built, so that a broker that is down is one line in seconds.

Kafka's clients retry for a long time and log a lot meanwhile; a person at a terminal wants to know what, where and
what to do. Errors that come later pass through `connection_failed` too, so that every command says the same.
"""

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pv_stream.errors import ConnectionFailed

PORT_DEFAULT = 9092
# ApiVersions, version 0, correlation id 1: every Kafka answers it, also before a login.
API_VERSIONS_REQUEST = b"\x00\x12\x00\x00\x00\x00\x00\x01\x00\x08pv-probe"
RESPONSE_HEAD_BYTES = 8


def split_servers(bootstrap_servers: str) -> list[tuple[str, int]]:
    """Return host and port of each server in `host:port,host:port`."""
    servers = []
    for server in bootstrap_servers.split(","):
        host, colon, port = server.strip().rpartition(":")
        if colon and port.isdigit():
            servers.append((host.strip("[]"), int(port)))
        elif server.strip():
            servers.append((server.strip().strip("[]"), PORT_DEFAULT))
    return servers


def answers(host: str, port: int, *, timeout_seconds: float) -> bool:
    """Tell whether a Kafka answers: an open port alone does not mean that the broker serves."""
    frame = len(API_VERSIONS_REQUEST).to_bytes(4, "big") + API_VERSIONS_REQUEST
    try:
        with socket.create_connection((host, port), timeout=timeout_seconds) as connection:
            connection.settimeout(timeout_seconds)
            connection.sendall(frame)
            return len(connection.recv(RESPONSE_HEAD_BYTES)) > 0
    except OSError:
        return False


def require_broker(bootstrap_servers: str, *, timeout_seconds: float) -> None:
    """Return when one of the servers answers within the time; raise ConnectionFailed otherwise."""
    servers = split_servers(bootstrap_servers)
    deadline = time.monotonic() + timeout_seconds
    for left, (host, port) in zip(range(len(servers), 0, -1), servers, strict=True):
        share_seconds = max(0.1, (deadline - time.monotonic()) / left)
        # Connecting and answering may each take the timeout.
        if answers(host, port, timeout_seconds=share_seconds / 2):
            return
    raise connection_failed(bootstrap_servers)


def connection_failed(bootstrap_servers: str, reason: str = "") -> ConnectionFailed:
    """Return the one line for a Kafka that cannot be reached."""
    because = f" ({reason})" if reason else ""
    return ConnectionFailed(
        f"Kafka at {bootstrap_servers} does not answer{because}: "
        "start one with `pv-stream kafka up`, or name yours in PV_STREAM_BOOTSTRAP_SERVERS"
    )


def quiet_libraries() -> None:
    """Keep the Kafka clients' own log lines from a terminal: what they mean is said by our one line."""
    for name in ("kafka", "aiokafka"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def kafka_errors(bootstrap_servers: str) -> Iterator[None]:
    """Turn kafka-python's errors of a lost connection into ConnectionFailed."""
    from kafka.errors import KafkaConnectionError, KafkaTimeoutError  # noqa: PLC0415 - see above

    try:
        yield
    except (KafkaConnectionError, KafkaTimeoutError) as error:
        raise connection_failed(bootstrap_servers, type(error).__name__) from error
