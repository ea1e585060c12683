"""A broker that asks for TLS, a login and rights, with a user for each role; made anew for a run, keys and all."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pv_stream.settings import Settings
from pv_stream.stream.acls import Role
from pv_stream.stream.kafka_dev.broker import LocalBroker, free_port

#: Of one user the broker knows no verifier for SCRAM-SHA-512.
SHA_256_USER = "old"
PREFIX = "ward7."

LISTENERS = """
listeners=PLAINTEXT://127.0.0.1:{plain},SECURED://127.0.0.1:{secured},LOGIN://127.0.0.1:{login},\
MUTUAL://127.0.0.1:{mutual},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SECURED://127.0.0.1:{secured},LOGIN://127.0.0.1:{login},\
MUTUAL://127.0.0.1:{mutual}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL,LOGIN:SASL_PLAINTEXT,\
MUTUAL:SSL
sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512
listener.name.secured.scram-sha-256.sasl.jaas.config={module} required;
listener.name.secured.scram-sha-512.sasl.jaas.config={module} required;
listener.name.login.scram-sha-256.sasl.jaas.config={module} required;
listener.name.login.scram-sha-512.sasl.jaas.config={module} required;
ssl.keystore.type=PEM
ssl.keystore.location={folder}/keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
listener.name.mutual.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""
MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True)
class SecuredBroker:
    """Know the ports of a broker and how each role logs in."""

    broker: LocalBroker
    folder: Path
    secured: int
    login: int
    mutual: int

    def settings(self, role: str, **changes: Any) -> Settings:
        """Return the settings of a role's programs."""
        right: dict[str, Any] = {
            "bootstrap_servers": f"127.0.0.1:{self.secured}",
            "security_protocol": "SASL_SSL",
            "ssl_cafile": self.folder / "ca.pem",
            "sasl_username": role,
            "sasl_password": password_of(role),
            "topic_prefix": PREFIX,
            "partitions": 2,
            "connect_timeout_seconds": 60,
        }
        return Settings(**{name: value for name, value in (right | changes).items() if value is not None})

    def environment(self, role: str, **changes: str) -> dict[str, str]:
        """Return the same for a command."""
        return {
            "PV_STREAM_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.secured}",
            "PV_STREAM_SECURITY_PROTOCOL": "SASL_SSL",
            "PV_STREAM_SSL_CAFILE": str(self.folder / "ca.pem"),
            "PV_STREAM_SASL_USERNAME": role,
            "PV_STREAM_SASL_PASSWORD": password_of(role),
            "PV_STREAM_TOPIC_PREFIX": PREFIX,
            "PV_STREAM_PARTITIONS": "2",
            "PV_STREAM_STATE_DIR": str(self.folder / "state"),
        } | changes

    def unguarded(self, prefix: str) -> Settings:
        """Return the settings of the test itself, which may do everything on a port of its own."""
        return Settings(
            bootstrap_servers=f"127.0.0.1:{self.broker.port}",
            topic_prefix=prefix,
            partitions=2,
            connect_timeout_seconds=60,
        )


def password_of(user: str) -> str:
    """Return the password of a user of the broker."""
    return f"secret-of-{user}"


def secured_broker(folder: Path) -> SecuredBroker:
    """Make certificates and users, and return the broker, which is not yet started."""
    folder.mkdir(parents=True)
    make_certificates(folder)
    plain, controller, secured, login, mutual = (free_port() for _ in range(5))
    properties = LISTENERS.format(
        plain=plain,
        controller=controller,
        secured=secured,
        login=login,
        mutual=mutual,
        folder=folder,
        module=MODULE,
    )
    users = [("SCRAM-SHA-512", role.value) for role in Role] + [("SCRAM-SHA-256", SHA_256_USER)]
    options = tuple(
        f"--add-scram={mechanism}=[name={user},password={password_of(user)}]" for mechanism, user in users
    )
    broker = LocalBroker(
        folder / "kafka",
        port=plain,
        controller_port=controller,
        properties=properties,
        format_options=options,
    )
    return SecuredBroker(broker, folder, secured, login, mutual)


def make_certificates(folder: Path) -> None:
    """Make an authority, a broker's certificate and a client's, all of it signed by the authority."""
    openssl = shutil.which("openssl")
    assert openssl, "install openssl: it makes the certificates of this test"
    (folder / "req.cnf").write_text("[req]\ndistinguished_name=name\n[name]\n")
    new = ("req", "-x509", "-config", "req.cnf", "-days", "2", "-nodes")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    authority = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")
    leaf = ("basicConstraints=CA:FALSE", "keyUsage=digitalSignature", "authorityKeyIdentifier=keyid")
    for name, extensions in (
        ("ca", authority),
        ("broker", (*leaf, "subjectAltName=IP:127.0.0.1")),
        ("client", leaf),
    ):
        words = [*new, *key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"]
        if name != "ca":
            words += ["-CA", "ca.pem", "-CAkey", "ca.key"]
        # Newer Pythons ask for all that the standard asks of a certificate.
        for extension in ("subjectKeyIdentifier=hash", *extensions):
            words += ["-addext", extension]
        subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)  # noqa: S603 - fixed words
    (folder / "keystore.pem").write_text(
        (folder / "broker.key").read_text() + (folder / "broker.pem").read_text()
    )
