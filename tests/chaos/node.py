"""A Kafka node of the chaos suite's own: it can be killed, filled up, and reached through the proxy.

It has one listener more than the development broker. Who comes in through the proxy is told the proxy's address for
everything that follows; the checkers and the writer use the other listener, which always tells the truth.
"""

import os
import resource
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pv_stream.stream.kafka_dev.broker import LOOPBACK, BrokerStatus, LocalBroker, free_port

#: How often the broker looks for transactions that took longer than they may; its own default is 10 s.
ABORT_CHECK_MS: Final = 500
_ENDED_SECONDS_MAX: Final = 30.0
_DISK_BYTES: Final = 1024**3
_BALLAST: Final = "ballast"
_BALLAST_STEP_BYTES: Final = 64 * 1024 * 1024
_PAGE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class ProxiedBroker(LocalBroker):
    """A local broker with a second listener that advertises the proxy."""

    behind_proxy_port: int = 0
    proxy_port: int = 0

    def _configure(self) -> Path:
        # Without super(): dataclass slots make a new class, which the zero-argument form does not find.
        config = LocalBroker._configure(self)
        inner, outer = f"PLAINTEXT://{LOOPBACK}:{self.port}", f"PROXIED://{LOOPBACK}"
        more = {
            "listeners": f"{inner},{outer}:{self.behind_proxy_port},CONTROLLER://{LOOPBACK}:{self.controller_port}",
            "advertised.listeners": f"{inner},{outer}:{self.proxy_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": str(ABORT_CHECK_MS),
        }
        kept = [line for line in config.read_text().splitlines() if line.split("=")[0] not in more]
        config.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in more.items()), ""]))
        return config


class Node:
    """Run one broker on a disk of its own."""

    def __init__(self, directory: Path) -> None:
        """Prepare; nothing runs before `start`. As root the disk is a small one that can really be full."""
        self._disk = directory / "disk"
        self._disk.mkdir(parents=True)
        self.has_own_disk = os.geteuid() == 0 and self._mount()
        self.broker = ProxiedBroker(
            self._disk,
            port=free_port(),
            controller_port=free_port(),
            behind_proxy_port=free_port(),
            proxy_port=free_port(),
        )

    @property
    def servers(self) -> str:
        """Return where who wants the truth connects."""
        return f"{LOOPBACK}:{self.broker.port}"

    @property
    def proxied_servers(self) -> str:
        """Return where the workers connect."""
        return f"{LOOPBACK}:{self.broker.proxy_port}"

    @property
    def how_a_disk_is_filled(self) -> str:
        """Say how the full disk is made here."""
        if self.has_own_disk:
            return "a mounted disk without a free byte (ENOSPC)"
        return "a file size limit on the broker process (EFBIG), for want of root"

    def start(self) -> BrokerStatus:
        """Start the broker, or start it again on its data."""
        return self.broker.up()

    def stop(self) -> None:
        """Stop it with SIGTERM."""
        self.broker.down()

    def kill(self) -> None:
        """Kill it with SIGKILL, and return when it is gone."""
        pid = self.broker.status().pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self._await_end()

    def fill_disk(self) -> bool:
        """Let every write of the broker fail from now on; return whether it ended by itself, as Kafka does."""
        pid = self.broker.status().pid
        assert pid is not None, "the broker does not run"
        if self.has_own_disk:
            self._take_every_byte()
        else:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        return self._await_end(give_up_seconds=6.0)

    def free_disk(self) -> None:
        """Undo `fill_disk`; a broker that still runs is stopped, since its log is marked as failed."""
        (self._disk / _BALLAST).unlink(missing_ok=True)
        self.kill()

    def close(self) -> None:
        """Stop the broker and take its disk away."""
        self.kill()
        if self.has_own_disk:
            subprocess.run([_program("umount"), "--lazy", str(self._disk)], check=True)  # noqa: S603 - our own words

    def _take_every_byte(self) -> None:
        """Reserve space in ever smaller steps until not a page is left."""
        with (self._disk / _BALLAST).open("wb") as ballast:
            size, step = 0, _BALLAST_STEP_BYTES
            while step >= _PAGE_BYTES:
                try:
                    os.posix_fallocate(ballast.fileno(), size, step)
                    size += step
                except OSError:
                    step //= 2

    def _await_end(self, give_up_seconds: float = _ENDED_SECONDS_MAX) -> bool:
        deadline = time.monotonic() + give_up_seconds
        while self.broker.status().running:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _mount(self) -> bool:
        words = [_program("mount"), "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(self._disk)]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0  # noqa: S603 - as above


def _program(name: str) -> str:
    return shutil.which(name) or name
