"""Is Kafka there, and does it let us in? One quick question before a client is built, and one line when it is not so.

Kafka's clients retry for a long time and log a lot meanwhile; a person at a terminal wants to know what, where and
what to do. Errors that come later pass through `connection_failed` too, so that every command says the same.
Every client of ours is built from `client_options`.
"""

import logging
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pv_stream.errors import ConnectionFailed, EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.stream.login import greet
from pv_stream.stream.security import client_security, security_of

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


def require_broker(settings: Settings, *, timeout_seconds: float | None = None) -> None:
    """Return when one of the servers lets us in within the time (connect_timeout_seconds unless said otherwise).

    Raise ConnectionFailed when none answers, NotLetIn when none of those that answer lets us in, UsageError for
    settings of TLS or the login that cannot work.
    """
    security = security_of(settings)
    servers = split_servers(settings.bootstrap_servers)
    deadline = time.monotonic() + (timeout_seconds or settings.connect_timeout_seconds)
    refused: ConnectionFailed | None = None
    for left, (host, port) in zip(range(len(servers), 0, -1), servers, strict=True):
        share_seconds = max(0.1, (deadline - time.monotonic()) / left)
        try:
            # Connecting and answering may each take the timeout.
            greet(host, port, security, timeout_seconds=share_seconds / 2)
        except ConnectionFailed as error:
            refused = refused or error
        except OSError:
            continue
        else:
            return
    raise refused or connection_failed(settings.bootstrap_servers)


def client_options(settings: Settings) -> dict[str, Any]:
    """Return where the brokers are and how to be let in: for every client of aiokafka and of kafka-python."""
    return {
        "bootstrap_servers": [server.strip() for server in settings.bootstrap_servers.split(",")],
        **client_security(settings),
    }


def connection_failed(bootstrap_servers: str, reason: str = "") -> ConnectionFailed:
    """Return the one line for a Kafka that cannot be reached, or that refuses what was asked of it."""
    because = f" ({reason})" if reason else ""
    if is_refusal(reason):
        return ConnectionFailed(
            f"Kafka at {bootstrap_servers} refuses this to the user of PV_STREAM_SASL_USERNAME{because}: "
            "`pv-stream topics acls` shows what each role may do; grant it, or log in as another"
        )
    return ConnectionFailed(
        f"Kafka at {bootstrap_servers} does not answer{because}: "
        "start one with `pv-stream kafka up`, or name yours in PV_STREAM_BOOTSTRAP_SERVERS"
    )


def group_failed(bootstrap_servers: str, group: str, reason: str) -> ConnectionFailed | EnvironmentBroken:
    """Return the one line for a group that does not take us, or whose coordinator says what nobody foresaw."""
    if is_refusal(reason):
        return connection_failed(bootstrap_servers, f"{reason}, group {group}")
    return EnvironmentBroken(
        f"the group {group} does not take this worker ({reason}): it ends and starts again; if that repeats, look at "
        "the broker's own log"
    )


def is_refusal(error: str) -> bool:
    """Tell whether the name of a client's error says that a right is missing."""
    return "AuthorizationFailed" in error


def missing(topics: Sequence[str], settings: Settings) -> EnvironmentBroken:
    """Return the one line for topics that Kafka does not show us: of what somebody may not see it says the same."""
    what = (
        f"topics are missing: {', '.join(topics)}" if topics[1:] else f"the topic {topics[0]} does not exist"
    )
    user = settings.sasl_username
    unseen = f", or {user} may not see it (`pv-stream topics acls`)" if user else ""
    return EnvironmentBroken(f"{what}{unseen}; create what is missing with `pv-stream topics apply`")


def quiet_libraries() -> None:
    """Keep the Kafka clients' own log lines from a terminal: what they mean is said by our one line."""
    for name in ("kafka", "aiokafka"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def kafka_errors(bootstrap_servers: str) -> Iterator[None]:
    """Turn kafka-python's errors of a lost connection or a missing right into ConnectionFailed."""
    from kafka.errors import (  # noqa: PLC0415 - see above
        AuthorizationError,
        KafkaConnectionError,
        KafkaTimeoutError,
    )

    try:
        yield
    except (KafkaConnectionError, KafkaTimeoutError, AuthorizationError) as error:
        raise connection_failed(bootstrap_servers, type(error).__name__) from error
