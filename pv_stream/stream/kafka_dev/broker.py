"""One local Kafka node: up, down and status, all idempotent.

The state directory holds its configuration, its data, its log and `broker.json`, which says what was started.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from string import Template

from pv_stream.errors import EnvironmentBroken, UsageError
from pv_stream.stream.connection import answers
from pv_stream.stream.kafka_dev.jars import ensure_jars, require

TEMPLATE = Path(__file__).with_name("server.properties")
LOGGING = Path(__file__).with_name("log4j2.properties")
LOOPBACK = "127.0.0.1"
JAVA_VERSION_MIN = 17
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
POLL_SECONDS = 0.1
FREE_PORT_MIN = 20_000
FREE_PORTS = 12_000
_asked_for_ports = count(secrets.randbelow(FREE_PORTS))


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """Say whether a local broker runs, and where."""

    running: bool
    ready: bool
    bootstrap_servers: str
    pid: int | None
    state_dir: str

    def as_json(self) -> str:
        """Return the status as one JSON object."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True)
class LocalBroker:
    """Run one Kafka node whose files all live under `state_dir`."""

    state_dir: Path
    port: int = 9092
    controller_port: int = 9093
    heap_mb: int = 512
    #: Lines of configuration that win over those of the template, and more words for formatting the data directory.
    properties: str = ""
    format_options: tuple[str, ...] = ()

    def up(self) -> BrokerStatus:
        """Start the broker unless it runs, and return when it answers."""
        if self.port == self.controller_port:
            message = (
                f"--port and --controller-port are both {self.port}: the broker needs two, choose another"
            )
            raise UsageError(message)
        status = self.status()
        if status.running:
            self._require_same_port(status)
            return self._await_ready(status.pid or 0)
        java = require(
            "java", install=f"Java {JAVA_VERSION_MIN} or newer (for example `apt-get install openjdk-17-jre`)"
        )
        _check_java(java)
        for port in (self.port, self.controller_port):
            _check_port_free(port)
        jars = ensure_jars()
        config = self._configure()
        self._format(java, jars, config)
        return self._await_ready(self._spawn(java, jars, config))

    def _require_same_port(self, status: BrokerStatus) -> None:
        if self._recorded().get("port", self.port) != self.port:
            message = (
                f"a broker of {self.state_dir} runs already, at {status.bootstrap_servers} and not on {self.port}: "
                "use that one, stop it with `pv-stream kafka down`, or give the new one a --state-dir of its own"
            )
            raise UsageError(message)

    def down(self) -> BrokerStatus:
        """Stop the broker, politely first, and keep its data."""
        pid = self._running_pid()
        if pid is not None:
            _stop_process(pid)
        self._record.unlink(missing_ok=True)
        return self.status()

    def status(self) -> BrokerStatus:
        """Say whether the broker that this state directory knows of runs and answers."""
        pid = self._running_pid()
        port = self._recorded().get("port", self.port)
        return BrokerStatus(
            running=pid is not None,
            ready=pid is not None and answers(LOOPBACK, port, timeout_seconds=1.0),
            bootstrap_servers=f"{LOOPBACK}:{port}",
            pid=pid,
            state_dir=str(self.state_dir),
        )

    @property
    def _record(self) -> Path:
        return self.state_dir / "broker.json"

    @property
    def _log(self) -> Path:
        return self.state_dir / "broker.log"

    def _recorded(self) -> dict[str, int]:
        try:
            recorded: dict[str, int] = json.loads(self._record.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return recorded

    def _running_pid(self) -> int | None:
        pid = self._recorded().get("pid")
        return pid if pid is not None and _is_our_broker(pid, self._config) else None

    @property
    def _config(self) -> Path:
        return (self.state_dir / "server.properties").absolute()

    def _configure(self) -> Path:
        self.state_dir.mkdir(parents=True, exist_ok=True)
        filled = Template(TEMPLATE.read_text()).substitute(
            port=self.port,
            controller_port=self.controller_port,
            data_dir=(self.state_dir / "data").absolute(),
        )
        self._config.write_text(f"{filled}\n{self.properties}")
        return self._config

    def _format(self, java: str, jars: Path, config: Path) -> None:
        if (self.state_dir / "data" / "meta.properties").exists():
            return
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        command = [
            *_java_command(java, jars, heap_mb=128),
            "kafka.tools.StorageTool",
            "format",
            # "=": a random id may begin with a hyphen, which would read as an option.
            f"--cluster-id={cluster_id}",
            f"--config={config}",
            *self.format_options,
        ]
        done = subprocess.run(  # noqa: S603 - our own command line, no shell
            command, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode != 0:
            message = f"Kafka could not format its data directory: {_last_line(done.stdout + done.stderr)}"
            raise EnvironmentBroken(message)

    def _spawn(self, java: str, jars: Path, config: Path) -> int:
        command = [*_java_command(java, jars, heap_mb=self.heap_mb), "kafka.Kafka", str(config)]
        with self._log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # The broker outlives the command that started it, and its terminal.
                start_new_session=True,
            )
        # It is meant to outlive this object, which would otherwise warn about a process still running.
        process.returncode = 0
        self._record.write_text(json.dumps({"pid": process.pid, "port": self.port}))
        return process.pid

    def _await_ready(self, pid: int) -> BrokerStatus:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            status = self.status()
            if status.ready:
                return status
            # Not `status.running`: a process that has just begun has no arguments to recognise it by.
            if not _alive(pid):
                message = f"the broker ended while starting: {_last_error(self._log)} (log: {self._log})"
                raise EnvironmentBroken(message)
            time.sleep(POLL_SECONDS)
        message = (
            f"the broker (process {pid}) did not answer within {READY_SECONDS_MAX:.0f} s (log: {self._log})"
        )
        raise EnvironmentBroken(message)


def free_port() -> int:
    """Return a loopback port that nothing uses at this moment, another one each time.

    It may take a while until somebody listens on it. So it is none of those that the system gives to whoever asks for
    any (on Linux 32768 and above): nobody gets it meanwhile. Raises EnvironmentBroken when there is none.
    """
    for _ in range(FREE_PORTS):
        port = FREE_PORT_MIN + next(_asked_for_ports) % FREE_PORTS
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    message = f"no port of {LOOPBACK} from {FREE_PORT_MIN} on is free"
    raise EnvironmentBroken(message)


def _java_command(java: str, jars: Path, *, heap_mb: int) -> list[str]:
    return [
        java,
        f"-Xms{min(heap_mb, 128)}m",
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={LOGGING}",
        "-cp",
        f"{jars}{os.sep}*",
    ]


def _check_java(java: str) -> None:
    said = subprocess.run(  # noqa: S603 - the java of the path
        [java, "-version"], capture_output=True, text=True, timeout=30, check=False
    ).stderr
    version = said.split('"')[1] if said.count('"') >= 2 else ""  # noqa: PLR2004 - a pair of quotes
    major = version.split(".", maxsplit=1)[0]
    if not major.isdigit() or int(major) < JAVA_VERSION_MIN:
        message = f"Java {version or 'of an unknown version'} is too old: a local Kafka needs Java {JAVA_VERSION_MIN}"
        raise EnvironmentBroken(message)


def _check_port_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            message = f"port {port} on {LOOPBACK} is in use by another program: choose another with --port"
            raise UsageError(message) from error


def _is_our_broker(pid: int, config: Path) -> bool:
    """Tell whether this process is the broker of this configuration, and not a later owner of its id."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    # A process that has ended but was not waited for yet has no arguments left.
    return str(config).encode() in arguments


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _stop_process(pid: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS_MAX
    os.kill(pid, signal.SIGTERM)
    while _alive(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + STOP_SECONDS_MAX
        time.sleep(POLL_SECONDS)


def _alive(pid: int) -> bool:
    # A broker that this very process started stays a zombie until it is waited for.
    try:
        reaped, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return _process_exists(pid)
    return reaped == 0


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _last_error(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "it wrote no log"
    errors = [line for line in lines if " ERROR " in line or " FATAL " in line or "Exception" in line]
    return errors[-1].strip() if errors else _last_line("\n".join(lines))
