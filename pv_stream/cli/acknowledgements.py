"""Acknowledgement files of `pv-stream ingest --ack`: one for each batch of safety reports, for its sender.

They are written when all events are where they belong, and never before: a sender that is told AA need not send again.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pv_stream.domain.times import Instant
from pv_stream.errors import DataError, UsageError
from pv_stream.ingest.icsr.acknowledgement import BatchReceipt
from pv_stream.ingest.outcomes import Outcome
from pv_stream.ingest.rejects import Position
from pv_stream.ingest.sources import Format

_SUFFIX: Final = ".ack.xml"
_FILE_MODE: Final = 0o600


@dataclass(slots=True)
class Acknowledgements:
    """Collect what became of the safety reports of each file; without `to`, of none.

    `to` is a file for one input, or a folder for any number of them. Raises UsageError when it is neither.
    """

    to: Path | None
    paths: list[Path]
    _batches: dict[int, BatchReceipt] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a place that could hold only one acknowledgement of several, or that is an input."""
        if self.to is None or self.to.is_dir():
            return
        if len(self.paths) > 1:
            message = (
                f"--ack {self.to}: name a folder that is there, since there are {len(self.paths)} inputs"
            )
            raise UsageError(message)
        if any(path.exists() and self.to.exists() and path.samefile(self.to) for path in self.paths):
            message = f"--ack {self.to} is the input, which it would replace: name another file"
            raise UsageError(message)

    def hear(self, form: Format | None, position: Position, outcome: Outcome) -> None:
        """Take one message and what became of it."""
        if self.to is not None and form is Format.E2B:
            self._batches.setdefault(position.input, BatchReceipt()).add(position.record.content, outcome)

    def write(self, now: Instant) -> list[Path]:
        """Write what was collected, readable by its owner alone; return where. Raises DataError when it cannot."""
        written = []
        for number, batch in sorted(self._batches.items()):
            path = self._path(self.paths[number - 1])
            partial = path.with_name(f".{path.name}.partial")
            try:
                with os.fdopen(
                    os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE), "wb"
                ) as file:
                    file.write(batch.write(now))
                partial.replace(path)
            except OSError as error:
                partial.unlink(missing_ok=True)
                message = f"--ack {path}: {error.strerror}"
                raise DataError(message) from error
            written.append(path)
        return written

    def _path(self, source: Path) -> Path:
        assert self.to is not None
        return self.to / f"{source.name}{_SUFFIX}" if self.to.is_dir() else self.to
