"""The HTTP listener over TLS: only clients of its authority, and none that takes too long."""

import socket
import ssl
import subprocess
from contextlib import closing, suppress
from dataclasses import replace
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from pv_stream.cli.listening import tls_context
from pv_stream.errors import UsageError
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.listeners.desk import listening_socket
from tests.unit.ingest.listeners.http_serving import (
    FHIR,
    OPTIONS,
    PATIENCE_SECONDS,
    Served,
    received,
    serving,
)
from tests.unit.ingest.messages import as_json, observation

#: Only the tests of a limit of time meet it, and each in a listener that has no other.
HASTY_HEADS = replace(OPTIONS, head_seconds_max=0.3)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, and certificates of it for this host and for a client."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)  # noqa: S603, S607

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority")
    for name, subject in (("server", "DNS:localhost"), ("client", "DNS:client")):
        openssl(
            *("req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"),
            *("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", f"subjectAltName={subject}"),
        )
    return folder


def test_with_tls_only_clients_of_the_authority_are_heard(
    intake: Intake, tmp_path: Path, certificates: Path
) -> None:
    ours = tls_context(*(certificates / name for name in ("server.pem", "server.key", "ca.pem")))
    theirs = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    with serving(intake, tmp_path, options=replace(OPTIONS, tls=ours)) as one:
        statuses = []
        for certificate in (None, "client"):
            if certificate:
                theirs.load_cert_chain(certificates / "client.pem", certificates / "client.key")
            with (
                closing(
                    HTTPSConnection("localhost", one.port, timeout=PATIENCE_SECONDS, context=theirs)
                ) as connection,
                suppress(ssl.SSLError, ConnectionError),
            ):
                connection.request("POST", "/fhir", as_json(observation()), {"Content-Type": FHIR})
                statuses.append(connection.getresponse().status)
        assert statuses == [200]
        assert received_plainly(one) == b""
    assert len(one.memory.messages) == 1


def test_a_handshake_of_tls_that_takes_too_long_ends_the_connection(
    intake: Intake, tmp_path: Path, certificates: Path
) -> None:
    ours = tls_context(certificates / "server.pem", certificates / "server.key", None)
    with serving(intake, tmp_path, options=replace(HASTY_HEADS, tls=ours)) as one, one.connect() as silent:
        silent.settimeout(PATIENCE_SECONDS / 2)  # asyncio itself ends a handshake after a minute
        assert received(silent) == b""


def received_plainly(one: Served) -> bytes:
    with suppress(ConnectionError):
        return one.raw(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    return b""


def test_a_connection_does_not_collect_small_packets() -> None:
    with listening_socket("127.0.0.1", 0) as listening, socket.socket() as sender:
        sender.connect(listening.getsockname())
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    ("certificate", "key", "client_ca"),
    [
        (None, "server.key", None),
        (None, None, "ca.pem"),
        ("none.pem", None, None),
        ("server.pem", "ca.key", None),
    ],
)
def test_a_certificate_that_cannot_be_used_is_said(
    certificates: Path, certificate: str | None, key: str | None, client_ca: str | None
) -> None:
    paths = [None if name is None else certificates / name for name in (certificate, key, client_ca)]
    with pytest.raises(UsageError, match="--tls-"):
        tls_context(*paths)
