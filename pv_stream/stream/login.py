"""The first words with a broker: does it answer, is it whom we trust, does it let us in?

Kafka's clients hide the reason when a broker turns them away, and go on trying. So one short conversation comes
before them, as every client has it: TLS, ApiVersions, SCRAM (RFC 5802). Each way to be turned away is one line that
says what to do. The conversation ends there; nothing of it is kept.
"""

import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
from typing import Final

from pv_stream.errors import ConnectionFailed
from pv_stream.stream.security import Login, Security

_CLIENT_ID: Final = b"pv-probe"
_METADATA, _SASL_HANDSHAKE, _API_VERSIONS, _SASL_AUTHENTICATE = 3, 17, 18, 36
_RESPONSE_BYTES_MAX: Final = 16 * 1024 * 1024
_CORRELATION_BYTES: Final = 4
_UNSUPPORTED_MECHANISM: Final = 33
_ILLEGAL_STATE: Final = 34
#: The first byte of a TLS alert: what a TLS port says to a client that speaks without TLS.
_TLS_ALERT: Final = 0x15
#: What to do about a certificate, by OpenSSL's numbers of its faults (X509_verify_cert_error_string(3)).
_CERTIFICATE_FAULTS: Final = (
    ({2, 18, 19, 20, 21}, "name the authority that signed it in PV_STREAM_SSL_CAFILE (a PEM file)"),
    ({9, 10}, "renew it, or correct the clock of this machine"),
    ({62, 64}, "name it in PV_STREAM_BOOTSTRAP_SERVERS as its certificate does"),
)
_OTHER_FAULT: Final = "it, or that of its authority, must be made anew without this fault"
_ITERATIONS_MAX: Final = 1_000_000


class NotLetIn(ConnectionFailed):
    """Say why a broker that answers did not let us in, and what to do."""


class _Closed(OSError):
    """Say that the broker closed the connection instead of answering."""


def greet(host: str, port: int, security: Security, *, timeout_seconds: float) -> None:
    """Return when the broker has answered and let us in; each step may take the time.

    Raise NotLetIn when it refuses us or we refuse it, OSError when there is nobody.
    """
    where = f"Kafka at {host}:{port}"
    with socket.create_connection((host, port), timeout=timeout_seconds) as plain:
        plain.settimeout(timeout_seconds)
        if security.tls is None:
            _Conversation(plain, where).introduce(security)
            return
        with _under_tls(plain, security.tls, host, where) as encrypted:
            try:
                _Conversation(encrypted, where).introduce(security)
            except ssl.SSLError as error:
                raise _tls_refused(error, where) from error


def _under_tls(plain: socket.socket, tls: ssl.SSLContext, host: str, where: str) -> ssl.SSLSocket:
    try:
        return tls.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        todo = next(
            (words for codes, words in _CERTIFICATE_FAULTS if error.verify_code in codes), _OTHER_FAULT
        )
        why = error.verify_message.rstrip(".")
        message = f"{where} shows a certificate that is not trusted ({why}): {todo}"
        raise NotLetIn(message) from None
    except ssl.SSLError as error:
        raise _tls_refused(error, where) from error
    except TimeoutError:
        raise
    except OSError as error:
        message = f"{where} ended the TLS handshake: {_NO_TLS}"
        raise NotLetIn(message) from error


_NO_TLS: Final = "name a port that speaks TLS, or set PV_STREAM_SECURITY_PROTOCOL to what this one speaks"


def _tls_refused(error: ssl.SSLError, where: str) -> NotLetIn:
    reason = error.reason or type(error).__name__
    if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason:
        todo = "it asks for a client certificate that it trusts: set PV_STREAM_SSL_CERTFILE and PV_STREAM_SSL_KEYFILE"
    else:
        todo = _NO_TLS
    return NotLetIn(f"{where} ended the TLS handshake ({reason.lower().replace('_', ' ')}): {todo}")


class _Conversation:
    """Speak Kafka's protocol, one request at a time."""

    def __init__(self, connection: socket.socket, where: str) -> None:
        self._connection = connection
        self._where = where
        self._correlation = 0

    def introduce(self, security: Security) -> None:
        """Ask for the versions, then log in; or, without a login, ask whether one is wanted."""
        self._ask(_API_VERSIONS, 0, b"")
        if security.login is not None:
            self._log_in(security.login)
            return
        try:
            # No topics, none created: a broker that wants a login ends the connection here.
            self._ask(_METADATA, 4, struct.pack(">ib", 0, 0))
        except (_Closed, ConnectionResetError) as error:
            message = (
                f"{self._where} asks for a login: set PV_STREAM_SECURITY_PROTOCOL to SASL_SSL, with "
                "PV_STREAM_SASL_USERNAME and PV_STREAM_SASL_PASSWORD"
            )
            raise NotLetIn(message) from error

    def _log_in(self, login: Login) -> None:
        answer = self._ask(_SASL_HANDSHAKE, 1, _text(login.mechanism.encode()))
        (error_code,) = struct.unpack_from(">h", answer)
        if error_code == _UNSUPPORTED_MECHANISM:
            offered = ", ".join(_texts(answer[2:]))
            message = f"{self._where} takes logins by {offered}, not by {login.mechanism}: set PV_STREAM_SASL_MECHANISM"
            raise NotLetIn(message)
        if error_code == _ILLEGAL_STATE:
            message = (
                f"{self._where} asks for no login on this port: set PV_STREAM_SECURITY_PROTOCOL without SASL"
            )
            raise NotLetIn(message)
        if error_code:
            raise self._login_refused(login)
        scram = Scram(login, nonce=secrets.token_urlsafe(24))
        challenge = self._authenticate(scram.first(), login)
        try:
            proof = scram.final(challenge)
            genuine = scram.is_genuine(self._authenticate(proof, login))
        except (ValueError, KeyError):
            genuine = False
        if not genuine:
            message = f"{self._where} does not know the password of {login.username} itself: is it the broker you mean?"
            raise NotLetIn(message)

    def _authenticate(self, words: bytes, login: Login) -> bytes:
        answer = self._ask(_SASL_AUTHENTICATE, 0, struct.pack(">i", len(words)) + words)
        (error_code,) = struct.unpack_from(">h", answer)
        if error_code:
            raise self._login_refused(login)
        (text_bytes,) = struct.unpack_from(">h", answer, 2)
        at = 4 + max(0, text_bytes)
        (said_bytes,) = struct.unpack_from(">i", answer, at)
        return answer[at + 4 : at + 4 + said_bytes]

    def _login_refused(self, login: Login) -> NotLetIn:
        return NotLetIn(
            f"{self._where} refuses the login of {login.username} by {login.mechanism}: check PV_STREAM_SASL_USERNAME, "
            "PV_STREAM_SASL_PASSWORD and PV_STREAM_SASL_MECHANISM"
        )

    def _ask(self, api: int, version: int, body: bytes) -> bytes:
        """Return the body of the answer."""
        self._correlation += 1
        request = struct.pack(">hhi", api, version, self._correlation) + _text(_CLIENT_ID) + body
        self._connection.sendall(struct.pack(">i", len(request)) + request)
        head = self._receive(4)
        (size,) = struct.unpack(">i", head)
        if head[0] == _TLS_ALERT:
            message = (
                f"{self._where} speaks TLS: set PV_STREAM_SECURITY_PROTOCOL to SASL_SSL, or to SSL where it asks for "
                "no login"
            )
            raise NotLetIn(message)
        if not _CORRELATION_BYTES <= size <= _RESPONSE_BYTES_MAX:
            message = f"{self._where} does not answer as Kafka does: is it another service?"
            raise NotLetIn(message)
        answer = self._receive(size)
        (correlation,) = struct.unpack_from(">i", answer)
        if correlation != self._correlation:
            message = f"{self._where} does not answer as Kafka does: is it another service?"
            raise NotLetIn(message)
        return answer[_CORRELATION_BYTES:]

    def _receive(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            some = self._connection.recv(count - len(received))
            if not some:
                message = "closed"
                raise _Closed(message)
            received += some
        return received


class Scram:
    """Prove a password without sending it, and let the broker prove that it knows it too (RFC 5802)."""

    def __init__(self, login: Login, *, nonce: str) -> None:
        """Begin a proof; the nonce must never have been used before."""
        self._hash = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}[login.mechanism]
        self._password = login.password.encode()
        self._nonce = nonce
        name = login.username.replace("=", "=3D").replace(",", "=2C")
        self._first_bare = f"n={name},r={nonce}"
        self._server_signature = b""

    def first(self) -> bytes:
        """Return the first message: who we are, without channel binding."""
        return f"n,,{self._first_bare}".encode()

    def final(self, challenge: bytes) -> bytes:
        """Return the proof for the broker's challenge. Raise ValueError or KeyError when it is none."""
        said = challenge.decode()
        fields = dict(part.split("=", 1) for part in said.split(","))
        if not fields["r"].startswith(self._nonce) or not 1 <= int(fields["i"]) <= _ITERATIONS_MAX:
            message = "not an answer to our nonce"
            raise ValueError(message)
        without_proof = f"c=biws,r={fields['r']}"
        said_by_all = f"{self._first_bare},{said},{without_proof}".encode()
        salted = hashlib.pbkdf2_hmac(
            self._hash, self._password, base64.b64decode(fields["s"]), int(fields["i"])
        )
        client_key = self._mac(salted, b"Client Key")
        signature = self._mac(hashlib.new(self._hash, client_key).digest(), said_by_all)
        proof = bytes(key ^ sign for key, sign in zip(client_key, signature, strict=True))
        self._server_signature = self._mac(self._mac(salted, b"Server Key"), said_by_all)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def is_genuine(self, answer: bytes) -> bool:
        """Tell whether the broker's last message proves that it knows the password too."""
        expected = b"v=" + base64.b64encode(self._server_signature)
        return hmac.compare_digest(answer.split(b",")[0], expected)

    def _mac(self, key: bytes, words: bytes) -> bytes:
        return hmac.digest(key, words, self._hash)


def _text(content: bytes) -> bytes:
    return struct.pack(">h", len(content)) + content


def _texts(content: bytes) -> list[str]:
    (count,) = struct.unpack_from(">i", content)
    found, at = [], 4
    for _ in range(count):
        (size,) = struct.unpack_from(">h", content, at)
        found.append(content[at + 2 : at + 2 + size].decode("ascii", "replace"))
        at += 2 + size
    return found
