"""A sample consumer of the alerts: the contract in code, to copy or to run.

    python -m pv_stream.stream.consumer            # the alerts that stand now, most urgent first
    python -m pv_stream.stream.consumer --follow   # and then each change as it comes

The contract: read `read_committed`; keep alerts by `alert_id`; of two records the higher `revision` counts, so a
record that comes twice, or late, changes nothing. Alerts are kept in the topic for ever: this consumer reads them
from the beginning and needs no memory of its own. Retrospective alerts are kept but never notify.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from pv_stream.errors import PvStreamError
from pv_stream.settings import Settings, load_settings
from pv_stream.stream.connection import kafka_errors, quiet_libraries, require_broker
from pv_stream.stream.topics import Topic

Alert = Mapping[str, Any]

_OPEN: Final = frozenset({"raised", "revised"})
_MOST_URGENT_FIRST: Final = ("critical", "warning", "info")
_POLL_MS: Final = 500


@dataclass(slots=True)
class Worklist:
    """Hold the highest revision of every alert."""

    alerts: dict[str, Alert] = field(default_factory=dict)

    def upsert(self, alert: Alert) -> bool:
        """Take one record and tell whether it was news; duplicates and older revisions are not."""
        known = self.alerts.get(alert["alert_id"])
        if known is not None and known["revision"] >= alert["revision"]:
            return False
        self.alerts[alert["alert_id"]] = alert
        return True

    def open_alerts(self) -> list[Alert]:
        """Return the alerts that somebody should look at, most urgent first, then the latest."""
        live = [alert for alert in self.alerts.values() if alert["status"] in _OPEN]
        live.sort(key=lambda alert: (alert["as_of"], alert["alert_id"]), reverse=True)
        return sorted(live, key=lambda alert: _MOST_URGENT_FIRST.index(alert["tier"]))


def notifies(alert: Alert) -> bool:
    """Tell whether a record may call somebody: one from a backfill of old data never does."""
    return alert["status"] in _OPEN and alert["timeliness"] != "retrospective"


def read_alerts(settings: Settings, *, follow: bool) -> Iterator[Alert]:
    """Yield every committed alert record from the beginning; stop at today's end unless `follow`."""
    from kafka import KafkaConsumer, TopicPartition  # noqa: PLC0415 - kafka-python only where it is used

    quiet_libraries()
    require_broker(settings.bootstrap_servers, timeout_seconds=settings.connect_timeout_seconds)
    topic = f"{settings.topic_prefix}{Topic.ALERTS}"
    with (
        kafka_errors(settings.bootstrap_servers),
        closing(
            KafkaConsumer(
                bootstrap_servers=settings.bootstrap_servers,
                isolation_level="read_committed",
                enable_auto_commit=False,
                group_id=None,
            )
        ) as consumer,
    ):
        shards = [TopicPartition(topic, shard) for shard in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(shards)
        consumer.seek_to_beginning(*shards)
        ends = consumer.end_offsets(shards)
        while follow or any(consumer.position(shard) < ends[shard] for shard in shards):
            for records in consumer.poll(timeout_ms=_POLL_MS).values():
                for record in records:
                    yield json.loads(record.value)


def line_of(alert: Alert) -> str:
    """Return one line for a person."""
    return (
        f"{alert['tier']:<8} {alert['status']:<9} {alert['as_of']} {alert['patient_id']} "
        f"{alert['alert_id']} r{alert['revision']}: {alert['reason']}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the worklist, and with --follow each change to it."""
    parser = argparse.ArgumentParser(description="Print the alerts that stand, most urgent first.")
    parser.add_argument("--follow", action="store_true", help="go on and print each change as it comes")
    parser.add_argument("--bootstrap-servers", help="Kafka brokers, host:port (PV_STREAM_BOOTSTRAP_SERVERS)")
    options = parser.parse_args(arguments)
    worklist = Worklist()
    try:
        settings = load_settings(bootstrap_servers=options.bootstrap_servers)
        for alert in read_alerts(settings, follow=options.follow):
            if worklist.upsert(alert) and options.follow:
                print(line_of(alert), flush=True)
    except PvStreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    for alert in worklist.open_alerts():
        print(line_of(alert))
    return 0


if __name__ == "__main__":
    sys.exit(main())
