"""Calling pv-stream as a person does: in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path


def pv_stream(*words: str, cwd: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command and return what it said; never raises for an exit code."""
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "pv_stream.cli", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
