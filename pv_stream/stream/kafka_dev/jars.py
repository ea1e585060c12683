"""The jars of Apache Kafka: resolved by Maven once, kept in the user's cache, shared by every local broker."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from pv_stream.errors import EnvironmentBroken

POM = Path(__file__).with_name("pom.xml")
MAVEN_SECONDS_MAX = 300


def cache_dir() -> Path:
    """Return the directory that holds the jars of this pom (its name is the pom's digest)."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    return base / "pv-stream" / f"kafka-jars-{digest}"


def require(program: str, *, install: str) -> str:
    """Return the path of a program, or say what to install."""
    found = shutil.which(program)
    if found is None:
        message = f"{program} was not found: a local Kafka needs {install}"
        raise EnvironmentBroken(message)
    return found


def ensure_jars() -> Path:
    """Return a directory with every jar of the broker, asking Maven only the first time.

    Maven works in a directory of its own that is renamed when complete: a killed download leaves nothing half.
    """
    target = cache_dir()
    if target.is_dir():
        return target
    maven = require("mvn", install="Maven 3 (for example `apt-get install maven`)")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        fresh = Path(scratch) / "jars"
        _copy_dependencies(maven, fresh)
        try:
            fresh.rename(target)
        except OSError:
            # Another process was first; its jars come from the same pom.
            if not target.is_dir():
                raise
    return target


def _copy_dependencies(maven: str, target: Path) -> None:
    command = [
        maven,
        "--quiet",
        "--batch-mode",
        "--file",
        str(POM),
        "dependency:copy-dependencies",
        f"-DoutputDirectory={target}",
    ]
    try:
        done = subprocess.run(  # noqa: S603 - our own command line, no shell
            command, capture_output=True, text=True, timeout=MAVEN_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired as expired:
        message = f"Maven did not resolve Kafka's jars within {MAVEN_SECONDS_MAX} s: check its settings.xml"
        raise EnvironmentBroken(message) from expired
    if done.returncode != 0 or not any(target.glob("kafka_*.jar")):
        said = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        message = f"Maven could not resolve Kafka's jars: {said[0] if said else 'it said nothing'}"
        raise EnvironmentBroken(message)
