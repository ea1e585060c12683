"""What commands share by which a person decides something: who decides, when, and where the event goes.

The log gets a pseudonym of who decides. An event goes to the end of a file, or to the input log in Kafka, and is
there for good when the command says so.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pv_stream.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pv_stream.audit.replay import ReplayPlan
    from pv_stream.domain.times import Instant
    from pv_stream.settings import Settings
    from pv_stream.shard.steps import PatientEvent

KAFKA: Final = "kafka"


def target_of(log: Path | None, to: str | None) -> Path | None:
    """Return the file that events are appended to, or None for Kafka; without `to` they go to the log they are about.

    Raises UsageError for an empty name.
    """
    if to == "":
        message = "--to: name a file, or kafka"
        raise UsageError(message)
    if to is None:
        return log
    return None if to == KAFKA else Path(to)


def plan_of(log: Path, carry: "Iterable[Path]" = ()) -> "ReplayPlan":
    """Return how a log is replayed under the shipped rulebooks, and those of further files that it may activate."""
    from pv_stream.audit.log import open_log  # noqa: PLC0415 - `--help` must not pay for them
    from pv_stream.audit.replay import ReplayPlan  # noqa: PLC0415
    from pv_stream.rulebooks import carried_rulebooks, load_default  # noqa: PLC0415

    return ReplayPlan(open_log(log), load_default(), carried=carried_rulebooks(carry))


def actor_of(by: str | None, settings: "Settings", target: Path | None) -> str:
    """Return the pseudonym of who decides: no name enters the log."""
    import getpass  # noqa: PLC0415 - see above

    from pv_stream.cli.ingest import is_loopback  # noqa: PLC0415
    from pv_stream.ingest.pseudonyms import choose_key  # noqa: PLC0415

    is_local = target is not None or is_loopback(settings.bootstrap_servers)
    key = choose_key(settings, may_make=is_local)
    if key.pseudonyms.is_demo and not is_local:
        message = "the demo's pseudonym key protects nobody: set PV_STREAM_PSEUDONYM_KEY_FILE"
        raise UsageError(message)
    who = getpass.getuser() if by is None else by.strip()
    if not who:
        message = "--by: say who acts; the log gets a pseudonym of it"
        raise UsageError(message)
    return key.pseudonyms.actor(who)


def decided_at(text: str | None) -> "Instant":
    """Return when it was decided: the instant that was said, or now. Raises UsageError for the future."""
    import time  # noqa: PLC0415 - see above

    from pv_stream.domain.times import MICROSECONDS_PER_SECOND, Instant, parse_instant  # noqa: PLC0415

    now = Instant(int(time.time()) * MICROSECONDS_PER_SECOND)
    if text is None:
        return now
    try:
        received = parse_instant(text)
    except ValueError:
        message = f"--received-at {text}: say an instant such as 2026-03-02T08:10:00Z"
        raise UsageError(message) from None
    if received > now:
        message = f"--received-at {text} lies in the future"
        raise UsageError(message)
    return received


def write_events(events: "Sequence[PatientEvent]", target: Path | None, settings: "Settings") -> None:
    """Write events of patients durably to the end of a file, or to the input log in Kafka."""
    if target is not None:
        from pv_stream.audit.acting import append_to_log  # noqa: PLC0415 - see above

        append_to_log(target, events)
        return
    from pv_stream.codec.events import encode_event  # noqa: PLC0415
    from pv_stream.domain.ids import shard_of  # noqa: PLC0415
    from pv_stream.stream import require_client  # noqa: PLC0415

    require_client("kafka")
    from pv_stream.stream.publish import publish  # noqa: PLC0415
    from pv_stream.stream.topics import Topic, topic_name  # noqa: PLC0415

    publish(
        [(event.patient_id.encode(), encode_event(event)) for event in events],
        settings=settings,
        topic=topic_name(Topic.EVENTS, settings),
        shard_of=lambda key, count: shard_of(key.decode(), count),
    )
