"""The tail of a log: what the input topic holds beyond its archive, or all of it, as a log to replay."""

from dataclasses import replace
from pathlib import Path

from pv_stream.audit.log import Log, log_of, with_tail
from pv_stream.cli.archiving import archive_tail
from pv_stream.cli.terminal import position_progress
from pv_stream.settings import load_settings
from pv_stream.stream.topics import Topic, topic_name


def read_tail(log: Log | None, source: Path, folder: Path) -> Log:
    """Read the input topic beyond a log into a folder, and return both as one log.

    Raises DataError when the topic does not go on where the log ends, ConnectionFailed without Kafka.
    """
    settings = load_settings()
    with position_progress("Reading") as told:
        if log is None:
            topic = topic_name(Topic.EVENTS, settings)
            return log_of(archive_tail(settings, None, topic, folder, told), source)
        archived = log.parts[-1]
        tail = archive_tail(settings, archived, archived.topic, folder, told)
    return with_tail(log, replace(tail, topic=archived.topic))
