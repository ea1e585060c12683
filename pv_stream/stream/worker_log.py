"""What a live worker says: each event with a stable name, a level, and one sentence for a person.

An event holds the fields of its line here and nothing else, so this is where it is decided what may stand in a log:
shards, positions, generations, counts, seconds, and texts of our own errors, which never hold patient data. As text
it is the sentence; with PV_STREAM_LOG_FORMAT=json it is one object to a line, with the name and the fields.
"""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Literal, NamedTuple

#: The one logger of the live worker: mode gives each of its subclasses the logger of the module that defines it.
LIVE_LOGGER: Final = "pv_stream.live"
log = logging.getLogger(LIVE_LOGGER)

#: What a line of another logger is called: only PV_STREAM_LOG_LEVEL=debug shows them.
LIBRARY: Final = "library"

Field = int | float | str | list[int] | None


class Said(StrEnum):
    """Name each event."""

    WORKER_STARTED = "worker_started"
    WORKER_STOPPING = "worker_stopping"
    WORKER_STOPPED = "worker_stopped"
    WORKER_STOPPED_WITHOUT_KAFKA = "worker_stopped_without_kafka"
    WORKER_ENDED = "worker_ended"
    FAULT = "fault"
    FAULT_TRACE = "fault_trace"
    THREAD_ENDED = "thread_ended"
    CONSUMER_NOT_CLOSED = "consumer_not_closed"
    PROGRESS = "progress"
    KAFKA_GONE = "kafka_gone"
    KAFKA_BACK = "kafka_back"
    KAFKA_NOT_ASKED = "kafka_not_asked"
    SHARDS_OWNED = "shards_owned"
    SHARD_RESTORED = "shard_restored"
    SHARD_STATE_REPLACED = "shard_state_replaced"
    SHARD_OPENED = "shard_opened"
    GROUP_OFFSET_BEHIND = "group_offset_behind"
    HEALTH_SERVED = "health_served"
    HEALTH_NOT_SERVED = "health_not_served"


class Line(NamedTuple):
    """Hold how an event is told: its level, its sentence, when it is said, and what else it holds."""

    level: int
    sentence: str
    when: str
    #: Fields that only programs read.
    also: tuple[str, ...] = ()


LINES: Final[Mapping[Said, Line]] = {
    Said.WORKER_STARTED: Line(
        logging.INFO, "worker {worker} starts: group {group}, Kafka {servers}", "a worker starts"
    ),
    Said.WORKER_STOPPING: Line(
        logging.INFO, "stopping: each shard finishes its transaction", "it was told to stop"
    ),
    Said.WORKER_STOPPED: Line(logging.INFO, "stopped", "it stopped, nothing half done"),
    Said.WORKER_STOPPED_WITHOUT_KAFKA: Line(
        logging.WARNING,
        "stopped without Kafka: what was not committed is left to the next owner, who does it again",
        "it was told to stop while Kafka was away",
    ),
    Said.WORKER_ENDED: Line(
        logging.ERROR, "{message}", "it cannot go on; the message says what to do", ("exit_code",)
    ),
    Said.FAULT: Line(
        logging.ERROR,
        "a fault in pv_stream: {error} at {place}; please report it",
        "it ends with exit code 70",
    ),
    Said.FAULT_TRACE: Line(
        logging.DEBUG, "its trace, which may quote records", "debug only: the trace of a fault"
    ),
    Said.THREAD_ENDED: Line(
        logging.DEBUG, "a thread ended: {error}", "debug only: a thread of a library ended"
    ),
    Said.CONSUMER_NOT_CLOSED: Line(
        logging.DEBUG, "the consumer did not close: {error}", "debug only: leaving the group failed"
    ),
    Said.PROGRESS: Line(
        logging.INFO,
        "{records} records, {outputs} outputs in {transactions} transactions since the start",
        "once a minute, when something was done",
    ),
    Said.KAFKA_GONE: Line(logging.WARNING, "{message}", "Kafka does not answer, or does not let us in"),
    Said.KAFKA_BACK: Line(logging.WARNING, "{message}", "Kafka answers again"),
    Said.KAFKA_NOT_ASKED: Line(
        logging.WARNING, "{message}", "The files of TLS cannot be read; what runs goes on"
    ),
    Said.SHARDS_OWNED: Line(
        logging.INFO,
        "owns shards {shards} of {shard_count} (generation {generation})",
        "every shard of a generation is open",
    ),
    Said.SHARD_RESTORED: Line(
        logging.INFO,
        "shard {shard}: restored in {seconds} s from {records} state records{part}",
        "the memory of a shard is back",
    ),
    Said.SHARD_STATE_REPLACED: Line(
        logging.WARNING,
        "shard {shard}: its state topic is not the one that was kept: all of it is read",
        "a state topic was made anew",
    ),
    Said.SHARD_OPENED: Line(
        logging.INFO,
        "shard {shard}: continues at {position} of {end} with {patients} patients (generation {generation})",
        "a shard is open",
    ),
    Said.GROUP_OFFSET_BEHIND: Line(
        logging.INFO,
        "shard {shard}: the group's offset {committed} is behind the checkpoint {position}",
        "the group was reset, or its offset expired; harmless",
    ),
    Said.HEALTH_SERVED: Line(
        logging.INFO, "health and metrics at http://{address}/", "health and metrics are served"
    ),
    Said.HEALTH_NOT_SERVED: Line(
        logging.WARNING,
        "health and metrics are not served: {address} cannot be had ({error}); the worker goes on without them: "
        "give each worker on a host a PV_STREAM_HEALTH_PORT of its own",
        "the port is taken, or the address is not this machine's",
    ),
}


def say(event: Said, /, *, trace: BaseException | None = None, **fields: Field) -> None:
    """Say an event with the fields of its line, no fewer and no more."""
    line = LINES[event]
    if log.isEnabledFor(line.level):
        log.log(line.level, line.sentence.format(**fields), exc_info=trace, extra={"said": (event, fields)})


class JsonLines(logging.Formatter):
    """Write each record as one JSON object."""

    def __init__(self, worker: str) -> None:
        """Name the worker in every line."""
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """Return the object: time, level, worker, event, its fields, and the sentence."""
        event, fields = getattr(record, "said", (LIBRARY, {"logger": record.name}))
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return json.dumps(
            {
                "at": at.replace("+00:00", "Z"),
                "level": record.levelname.lower(),
                "worker": self._worker,
                "event": event,
                **fields,
                "message": message,
            }
        )


def set_up_logging(*, worker: str, debug: bool, log_format: Literal["text", "json"]) -> None:
    """Show our own lines, and of the libraries only what PV_STREAM_LOG_LEVEL=debug asks for.

    The libraries report one broken connection in dozens of lines, some with tracebacks; what it means for the
    worker is said by our own one line.
    """
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonLines(worker)
        if log_format == "json"
        else logging.Formatter("%(asctime)s %(levelname)-5s %(message)s", datefmt="%H:%M:%S")
    )
    # Faust and mode log through loggers of many names, also of our own modules: only a filter keeps them quiet.
    handler.addFilter(lambda record: debug or record.name == LIVE_LOGGER)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
