"""Every setting of pv_stream, in one model: a flag, then PV_STREAM_*, then a file of a secret, then pv-stream.toml.

`PV_STREAM_NAME_FILE=/path` reads a secret from a file instead of the environment, as container platforms offer it.
The TOML file is ./pv-stream.toml, or the one that PV_STREAM_CONFIG names. Nothing here opens a connection.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, StringConstraints, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from pv_stream.errors import UsageError

PREFIX = "PV_STREAM_"
CONFIG_VARIABLE = "PV_STREAM_CONFIG"
CONFIG_DEFAULT = Path("pv-stream.toml")

_Name = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class SecretFiles(PydanticBaseSettingsSource):
    """Read each secret NAME from the file that PV_STREAM_NAME_FILE names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the content of the secret's file, without its last line break."""
        variable = f"{PREFIX}{field_name.upper()}_FILE"
        path = os.environ.get(variable)
        if path is None or field.annotation != SecretStr | None:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n"), field_name, False
        except OSError as error:
            message = f"{variable} names a file that cannot be read: {path} ({error.strerror})"
            raise UsageError(message) from error

    def __call__(self) -> dict[str, Any]:
        """Return the secrets whose files are named."""
        found = {}
        for name, field in self.settings_cls.model_fields.items():
            value, _, _ = self.get_field_value(field, name)
            if value is not None:
                found[name] = value
        return found


class Settings(BaseSettings):
    """Hold every setting; units are the last word of a name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        # A wrong value may be a secret or hold one: errors name the setting, never its value.
        hide_input_in_errors=True,
    )

    bootstrap_servers: str = Field(
        "127.0.0.1:9092", description="Kafka brokers, host:port, comma between them"
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="SSL: TLS; SASL: a login; SASL_SSL, both, is what patient data needs"
    )
    ssl_cafile: Path | None = Field(
        None, description="authorities that sign the brokers' certificates (PEM); none: those of the system"
    )
    ssl_certfile: Path | None = Field(
        None, description="our own certificate, where brokers ask for one (PEM)"
    )
    ssl_keyfile: Path | None = Field(None, description="its key, if not in the same file (PEM)")
    ssl_key_password: SecretStr | None = Field(None, description="password of that key")
    sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: SecretStr | None = Field(None, description="password of the login")

    group_id: str = Field(
        "pv-stream", min_length=1, description="consumer group; also the prefix of transactional ids"
    )
    worker_id: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]*$",
        max_length=249,
        description="lasting name of this worker, no other's: its shards wait for it; empty: host and process id",
    )
    state_dir: Path = Field(
        Path(".pv-stream"), description="where local files of the worker and local broker live"
    )

    topic_prefix: str = Field(
        "", pattern=r"^[A-Za-z0-9.-]*$", description="put before each topic name on a shared cluster"
    )
    partitions: int = Field(
        4, ge=1, le=1024, description="shards: partitions of every topic; never changed later"
    )
    replication_factor: int = Field(1, ge=1, le=9)
    min_insync_replicas: int = Field(1, ge=1, le=9)

    connect_timeout_seconds: float = Field(2.0, gt=0, le=60)
    session_timeout_seconds: float = Field(
        10.0, ge=2, le=300, description="silence after which a worker is replaced"
    )
    transaction_timeout_seconds: float = Field(30.0, ge=5, le=900)
    restore_timeout_seconds: float = Field(
        300.0,
        ge=1,
        description="a restore of a shard's state that does not get on for so long ends the worker",
    )
    shutdown_timeout_seconds: float = Field(30.0, ge=1)
    stall_timeout_seconds: float = Field(
        90.0, ge=1, description="a worker that has work and gets on with none of it for so long ends"
    )
    clock_interval_seconds: float = Field(
        900.0, ge=1, description="least time between clock records of a shard"
    )

    run_records_max: int = Field(8_000, ge=1, le=100_000, description="records in one transaction")
    run_bytes_max: int = Field(8 * 1024 * 1024, ge=1024, description="bytes of input in one transaction")
    run_due_max: int = Field(
        250, ge=1, description="patients who are due, or assessed again, in one transaction"
    )
    run_written_bytes_max: int = Field(
        32 * 1024 * 1024,
        ge=1024,
        description="bytes of outputs and states after which a transaction takes no more records",
    )
    run_facts_max: int = Field(
        500_000, ge=1, description="facts of changed patients after which a transaction takes no more records"
    )
    record_bytes_max: int = Field(
        1024 * 1024, ge=1024, description="a larger input record is rejected as too_large"
    )

    fhir_document_bytes_max: int = Field(
        64 * 1024 * 1024, ge=1024, description="a larger FHIR document in a file is rejected as too_large"
    )
    fhir_medications_bytes_max: int = Field(
        64 * 1024 * 1024,
        ge=1024,
        description="room for the Medications of FHIR files, which orders on other lines name; more ends the run",
    )
    fhir_server: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="base URL of the FHIR server that sends, for resources that state none: one for each hospital",
    )
    fhir_identifier_systems: dict[_Name, _Name] = Field(
        {},
        description="which assigning authority of HL7v2 (PID-3) a system of Patient.identifier is; joins the records",
    )
    meddra_tests: dict[_Name, _Name] = Field(
        {},
        description="which test a MedDRA code of a safety report (F.r.2.2b) is, by a listed name: of your own licence",
    )
    e2b_document_bytes_max: int = Field(
        256 * 1024 * 1024, ge=1024, description="a larger batch of safety reports is rejected as too_large"
    )

    health_host: str = Field(
        "127.0.0.1", min_length=1, description="address that a worker's health and metrics are served at"
    )
    health_port: int = Field(0, ge=0, le=65535, description="their port; 0: not served")
    listener_health_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="port of a listener's health and metrics, at health_host; 0: not served",
    )
    ready_lag_seconds_max: float = Field(
        60.0, gt=0, description="a worker is not ready while an event waits longer"
    )

    ledger_key: SecretStr | None = Field(
        None, description="Ed25519 private key (PEM) that signs what a worker wrote; none: it is not signed"
    )
    ledger_head_records: int = Field(
        1, ge=1, description="outputs of a shard after which a transaction ends with a signed tree head"
    )

    log_format: Literal["text", "json"] = Field("text", description="json: one object to a line")
    log_level: Literal["info", "debug"] = Field(
        "info", description="debug adds the libraries' lines and traces"
    )

    pseudonym_key: SecretStr | None = Field(None, description="key of the pseudonyms made at ingest")
    http_body_bytes_max: int = Field(
        4 * 1024 * 1024, ge=1024, description="a larger body is refused by `ingest-http`"
    )
    http_tokens: SecretStr | None = Field(
        None, description="bearer tokens that `ingest-http` takes, one to a line or with spaces between"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the strongest first."""
        del dotenv_settings, file_secret_settings  # neither .env nor a directory of secrets is read
        toml = TomlConfigSettingsSource(settings_cls, toml_file=_config_file())
        return init_settings, env_settings, SecretFiles(settings_cls), toml


def load_settings(**flags: Any) -> Settings:
    """Return the settings; a flag that is None was not given. Raise UsageError with the names of wrong settings."""
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False, include_context=False)
        )
        message = f"wrong settings ({PREFIX}*, {_config_file()} or a flag): {wrong}"
        raise UsageError(message) from None
    except SettingsError as error:  # it names the setting, never its value
        message = f"wrong settings: {error}: a variable holds a table as JSON"
        raise UsageError(message) from None
    except ValueError as error:
        # tomllib's errors quote no content, only a position.
        message = f"{_config_file()} is not a TOML file: {error}"
        raise UsageError(message) from None


def _config_file() -> Path:
    named = os.environ.get(CONFIG_VARIABLE)
    if named is None:
        return CONFIG_DEFAULT
    if not Path(named).is_file():
        message = f"{CONFIG_VARIABLE} names a file that does not exist: {named}"
        raise UsageError(message)
    return Path(named)
