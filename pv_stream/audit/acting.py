"""Acting on an alert of a log in a file: finding it, trying the action, and appending it durably.

A file of events is a log that nobody else writes, so an action can be tried on it first: what the fold would refuse
is not written. Appending ends with the bytes on the disk, or with an error.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pv_stream.audit.clock import TimedLog, settle
from pv_stream.audit.log import LogForm, LogRecord, read_log, survey
from pv_stream.audit.replay import ReplayPlan, fold_log
from pv_stream.audit.shard_outputs import FILE_OF
from pv_stream.codec.events import encode_event
from pv_stream.domain.codes import DeadLetterCode
from pv_stream.domain.events import AlertActed, Event
from pv_stream.errors import DataError, UsageError
from pv_stream.shard.fold import OutputStream, RawRecord

Alerts = dict[str, Mapping[str, Any]]

_NEW_FILE_MODE: Final = 0o644


def alerts_in_folder(folder: Path) -> Alerts:
    """Return the latest revision of every alert of a replay. Raises DataError when the folder holds none."""
    path = folder / FILE_OF[OutputStream.ALERTS]
    try:
        with path.open("rb") as lines:
            return {value["alert_id"]: value for value in map(json.loads, lines)}
    except (OSError, ValueError, KeyError):
        msg = f"{path} is not the alerts of a replay: name the folder that `pv-stream replay --out` wrote"
        raise DataError(msg) from None


def alerts_in_log(plan: ReplayPlan) -> Alerts:
    """Return the latest revision of every alert of a log, by replaying all of it."""
    timed = TimedLog(read_log(plan.log), settle(plan.clock, survey(plan.log)))
    values = (
        json.loads(output.value)
        for _, output in fold_log(timed, plan)
        if output.stream is OutputStream.ALERTS
    )
    return {value["alert_id"]: value for value in values}


def check_can_append(plan: ReplayPlan) -> None:
    """Raise UsageError for a log that is only a copy of another."""
    if plan.log.form is not LogForm.EVENTS:
        msg = (
            f"{plan.log.path} is an archive, a copy of the live log: leave out --log, so that the event goes to "
            "Kafka, or name a file of events with --to"
        )
        raise UsageError(msg)


def try_on_log(plan: ReplayPlan, acted: AlertActed) -> DeadLetterCode | None:
    """Return why the fold would refuse an action at the end of a log, or None when it takes it."""
    trial = _Trial(plan, acted)
    timed = TimedLog(trial, settle(plan.clock, survey(plan.log)))
    for _, output in fold_log(timed, plan):
        if output.stream is OutputStream.DEAD_LETTERS and output.position == trial.position:
            return DeadLetterCode(json.loads(output.value)["code"])
    return None


class _Trial:
    """Read a log and then the action, as if it stood there already."""

    def __init__(self, plan: ReplayPlan, acted: AlertActed) -> None:
        self._plan, self._acted = plan, acted
        self.position = -1

    def __iter__(self) -> Iterator[LogRecord]:
        last, bytes_read = -1, 0
        for line in read_log(self._plan.log):
            last, bytes_read = line.record.position, line.bytes_read
            yield line
        self.position = last + 1
        key = self._acted.patient_id.encode()
        yield LogRecord(0, RawRecord(self.position, key, encode_event(self._acted)), bytes_read)


def append_to_log(path: Path, events: Iterable[Event]) -> None:
    """Append events, each as a line of its own, and wait until the disk has them. Raises DataError when it cannot."""
    lines = b"".join(encode_event(event) + b"\n" for event in events)
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _NEW_FILE_MODE), "ab+") as file:
            if not _ends_with_a_line(file):
                lines = b"\n" + lines
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        msg = f"{path}: {error.strerror}. Nothing was done: name a file that can be written."
        raise DataError(msg) from None


def _ends_with_a_line(file: Any) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")
