"""The processes of a subject: started, watched in /proc, stopped by the id that we started."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pv_stream.errors import EnvironmentBroken

ROOT: Final = Path(__file__).parent.parent.parent
STOP_SECONDS_MAX: Final = 15.0
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
#: Of /proc/PID/stat, counted from behind the name of the program.
_USER_TICKS, _SYSTEM_TICKS = 11, 12


@dataclass(slots=True)
class Host:
    """Hold one running host and where it says what it says."""

    process: subprocess.Popen[bytes]
    said: Path

    def require_alive(self) -> None:
        """Raise EnvironmentBroken when it has ended by itself."""
        code = self.process.poll()
        if code is not None:
            lines = self.said.read_text(errors="replace").strip().splitlines()[-15:]
            msg = f"a host ended with {code} (its log: {self.said}):\n" + "\n".join(lines)
            raise EnvironmentBroken(msg)

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])) / _TICKS_PER_SECOND

    def memory_mib_max(self) -> float:
        """Return the most memory that it ever held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(each for each in status.splitlines() if each.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def stop(self) -> None:
        """End it; kill it when it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS_MAX)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_SECONDS_MAX)


def start(command: Sequence[str], environment: Mapping[str, str], said: Path) -> Host:
    """Start a host from the root of the repository, so that it finds the package."""
    said.parent.mkdir(parents=True, exist_ok=True)
    with said.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
            list(command),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    return Host(process, said)
