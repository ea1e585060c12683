"""Settings of TLS and login: what would not be used, or cannot work, is refused before anything is sent."""

from pathlib import Path
from typing import Any

import pytest

from pv_stream.errors import UsageError
from pv_stream.settings import Settings
from pv_stream.stream.connection import client_options
from pv_stream.stream.security import security_of

CANARY = "canary-5e1d"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"sasl_password": CANARY},
            "PV_STREAM_SASL_PASSWORD is set, and PV_STREAM_SECURITY_PROTOCOL is PLAINTEXT",
        ),
        ({"sasl_username": "worker"}, "PV_STREAM_SASL_USERNAME is set"),
        ({"ssl_cafile": "ca.pem"}, "PV_STREAM_SSL_CAFILE is set"),
        (
            {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_username": "u",
                "sasl_password": CANARY,
                "ssl_cafile": "c",
            },
            "PV_STREAM_SSL_CAFILE is set, and PV_STREAM_SECURITY_PROTOCOL is SASL_PLAINTEXT",
        ),
        ({"security_protocol": "SSL", "sasl_username": "worker"}, "PV_STREAM_SASL_USERNAME is set"),
        ({"security_protocol": "SASL_SSL"}, "needs a login: set PV_STREAM_SASL_USERNAME"),
        ({"security_protocol": "SASL_SSL", "sasl_username": "worker"}, "PV_STREAM_SASL_PASSWORD_FILE"),
        (
            {"security_protocol": "SSL", "ssl_cafile": "nowhere.pem"},
            "names a file that cannot be read: nowhere.pem",
        ),
        ({"security_protocol": "SSL", "ssl_keyfile": "key.pem"}, "set without PV_STREAM_SSL_CERTFILE"),
    ],
    ids=[
        "unused-password",
        "unused-user",
        "unused-authority",
        "no-tls-but-authority",
        "no-login-but-user",
        "no-user",
        "no-password",
        "no-file",
        "key-alone",
    ],
)
def test_settings_that_cannot_work_are_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        security_of(Settings(**given))
    assert CANARY not in str(refused.value)


def test_a_file_that_holds_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(CANARY)
    with pytest.raises(UsageError, match="PV_STREAM_SSL_CAFILE cannot be used") as refused:
        security_of(Settings(security_protocol="SSL", ssl_cafile=tmp_path / "ca.pem"))
    assert CANARY not in str(refused.value)


def test_without_security_clients_are_told_so_and_where_the_brokers_are() -> None:
    assert client_options(Settings(bootstrap_servers="a:1, b:2")) == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "PLAINTEXT",
    }


def test_a_password_is_in_no_repr() -> None:
    settings = Settings(
        security_protocol="SASL_PLAINTEXT",
        sasl_username="worker",
        sasl_password=CANARY,  # type: ignore[arg-type]
    )
    assert CANARY not in repr(settings)
    assert CANARY not in repr(security_of(settings))
    assert client_options(settings)["sasl_plain_password"] == CANARY
