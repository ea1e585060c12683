"""How this process secures its connections to Kafka: TLS, and a login with SCRAM, from the settings.

What is given and would not be used is refused: a password that is never asked for, or a certificate authority that
checks nothing, means that patient data would travel in the clear without anybody noticing.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pv_stream.errors import UsageError
from pv_stream.settings import PREFIX, Settings

_TLS_SETTINGS = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_key_password")
_LOGIN_SETTINGS = ("sasl_username", "sasl_password")


@dataclass(frozen=True, slots=True)
class Login:
    """Hold what a broker is shown of us; the password stays out of every repr."""

    username: str
    password: str = field(repr=False)
    mechanism: str


@dataclass(frozen=True, slots=True)
class Security:
    """Hold how a connection is secured: by TLS, by a login, by both or by neither."""

    protocol: str
    tls: ssl.SSLContext | None
    login: Login | None


def security_of(settings: Settings) -> Security:
    """Return how connections are secured. Raise UsageError for settings that contradict each other or files unread."""
    protocol = settings.security_protocol
    _refuse_unused(settings, _TLS_SETTINGS, used="SSL" in protocol)
    _refuse_unused(settings, _LOGIN_SETTINGS, used="SASL" in protocol)
    return Security(
        protocol,
        _tls(settings) if "SSL" in protocol else None,
        _login(settings) if "SASL" in protocol else None,
    )


def client_security(settings: Settings) -> dict[str, Any]:
    """Return the security options of a client: aiokafka and kafka-python call them by the same names."""
    security = security_of(settings)
    options: dict[str, Any] = {"security_protocol": security.protocol}
    if security.tls is not None:
        options["ssl_context"] = security.tls
    if security.login is not None:
        options["sasl_mechanism"] = security.login.mechanism
        options["sasl_plain_username"] = security.login.username
        options["sasl_plain_password"] = security.login.password
    return options


def _refuse_unused(settings: Settings, names: tuple[str, ...], *, used: bool) -> None:
    given = [_variable(name) for name in names if getattr(settings, name)]
    if given and not used:
        message = (
            f"{given[0]} is set, and {_variable('security_protocol')} is {settings.security_protocol}, which does not "
            "use it: set SASL_SSL for TLS and a login, SSL for TLS alone, or take the setting away"
        )
        raise UsageError(message)


def _login(settings: Settings) -> Login:
    if not settings.sasl_username or not settings.sasl_password:
        password = _variable("sasl_password")
        message = (
            f"{_variable('security_protocol')} is {settings.security_protocol}, which needs a login: "
            f"set {_variable('sasl_username')}, and {password} or {password}_FILE"
        )
        raise UsageError(message)
    return Login(
        settings.sasl_username, settings.sasl_password.get_secret_value(), str(settings.sasl_mechanism)
    )


def _tls(settings: Settings) -> ssl.SSLContext:
    if settings.ssl_keyfile is not None and settings.ssl_certfile is None:
        message = f"{_variable('ssl_keyfile')} is set without {_variable('ssl_certfile')}"
        raise UsageError(message)
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        _require_file(name, getattr(settings, name))
    password = settings.ssl_key_password
    try:
        # Without a file the authorities of the system are trusted. Host names are checked.
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.ssl_cafile)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.ssl_certfile is not None:
            context.load_cert_chain(
                settings.ssl_certfile,
                settings.ssl_keyfile,
                # Without a password of ours OpenSSL would ask the terminal for one.
                password=password.get_secret_value() if password else "",
            )
    except (OSError, ValueError) as error:
        files = ", ".join(
            _variable(name)
            for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile")
            if getattr(settings, name)
        )
        what = getattr(error, "reason", None) or type(error).__name__
        message = f"{files} cannot be used ({what}): PEM files are needed, and the key that belongs to the certificate"
        raise UsageError(message) from None
    return context


def _require_file(name: str, path: Path | None) -> None:
    if path is None:
        return
    try:
        path.read_bytes()
    except OSError as error:
        message = f"{_variable(name)} names a file that cannot be read: {path} ({error.strerror})"
        raise UsageError(message) from None


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"
