"""The first words with a broker: SCRAM as RFC 7677 writes it, and services that are not what they seem."""

import base64
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from pv_stream.settings import Settings
from pv_stream.stream.connection import require_broker
from pv_stream.stream.login import NotLetIn, Scram
from pv_stream.stream.security import Login

# RFC 7677, section 3: the published conversation.
LOGIN = Login("user", "pencil", "SCRAM-SHA-256")
NONCE = "rOprNGfwEbeRWgbNEkqO"
CHALLENGE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
PROOF = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
WORKER = {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "worker", "sasl_password": "secret"}
GENUINE = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_published_conversation_is_spoken() -> None:
    scram = Scram(LOGIN, nonce=NONCE)
    assert scram.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert scram.final(CHALLENGE) == PROOF
    assert scram.is_genuine(GENUINE)
    assert not scram.is_genuine(GENUINE.replace(b"6", b"7"))
    assert not scram.is_genuine(b"")


@pytest.mark.parametrize(
    "challenge",
    [
        CHALLENGE.replace(b"r=rOpr", b"r=rOpX"),
        CHALLENGE.replace(b"i=4096", b"i=0"),
        CHALLENGE.replace(b"i=4096", b"i=99999999"),
        CHALLENGE.replace(b"i=4096", b"i=many"),
        b"e=other-error",
        b"",
        b"\xff",
    ],
    ids=["foreign-nonce", "no-iterations", "endless-iterations", "no-number", "error", "empty", "no-text"],
)
def test_what_is_no_challenge_is_never_answered(challenge: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        Scram(LOGIN, nonce=NONCE).final(challenge)


def test_a_name_with_commas_is_escaped() -> None:
    scram = Scram(Login("a=b,c", "pencil", "SCRAM-SHA-512"), nonce="n")
    assert scram.first() == b"n,,n=a=3Db=2Cc,r=n"


@contextmanager
def service(answer: Callable[[int, bytes], bytes]) -> Iterator[int]:
    """Listen on a port and answer each request: (its number, its bytes) -> what is sent back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            # Who does not like an answer leaves without reading all of it.
            with connection, suppress(ConnectionError):
                count = 0
                while request := connection.recv(65_536):
                    connection.sendall(answer(count, request))
                    count += 1

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(60)
        assert not thread.is_alive()


def at(port: int, **changes: Any) -> Settings:
    """Return the settings of who asks there, and has time."""
    return Settings(bootstrap_servers=f"127.0.0.1:{port}", connect_timeout_seconds=60, **changes)


def framed(request: bytes, body: bytes) -> bytes:
    """Return a Kafka response to a request."""
    correlation = request[8:12]
    return struct.pack(">i", len(correlation) + len(body)) + correlation + body


def test_another_service_is_said_to_be_none() -> None:
    with (
        service(lambda _count, _request: b"HTTP/1.1 400 Bad Request\r\n\r\n") as port,
        pytest.raises(NotLetIn, match="does not answer as Kafka does"),
    ):
        require_broker(at(port))


def test_a_broker_that_cannot_prove_itself_is_not_spoken_to() -> None:
    """It takes any password, and knows none: what it would be sent is patient data."""

    def pretend(count: int, request: bytes) -> bytes:
        if count == 0:
            return framed(request, struct.pack(">hi", 0, 0))
        if count == 1:
            return framed(request, struct.pack(">hi", 0, 0))
        if count == 2:
            nonce = request.rpartition(b",r=")[2]
            said = b"r=" + nonce + b"more,s=" + base64.b64encode(b"salt") + b",i=4096"
        else:
            said = b"v=" + base64.b64encode(b"guess")
        return framed(request, struct.pack(">hhi", 0, -1, len(said)) + said)

    with service(pretend) as port, pytest.raises(NotLetIn, match="does not know the password of worker"):
        require_broker(at(port, **WORKER))


def test_a_mechanism_that_is_not_offered_is_told_with_those_that_are() -> None:
    offered = struct.pack(">hi", 33, 1) + struct.pack(">h", 5) + b"PLAIN"
    with (
        service(lambda count, request: framed(request, offered if count else b"\0\0")) as port,
        pytest.raises(NotLetIn, match=r"takes logins by PLAIN, not by SCRAM-SHA-512"),
    ):
        require_broker(at(port, **WORKER))
