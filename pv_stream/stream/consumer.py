"""A sample consumer of the alerts: the contract in code, to copy; `pv-stream worklist` runs it.

The contract: read `read_committed`; keep alerts by `alert_id`; of two records the higher `revision` counts, so a
record that comes twice, or late, changes nothing. Alerts are kept in the topic for ever: this consumer reads them
from the beginning and needs no memory of its own. Retrospective alerts, and those that somebody has taken note of,
are kept but never notify.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from pv_stream.settings import Settings
from pv_stream.stream.broker_watch import BrokerWatch
from pv_stream.stream.connection import client_options, kafka_errors, missing, quiet_libraries, require_broker
from pv_stream.stream.topics import Topic, topic_name

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
        """Return the alerts that stand, most urgent first, then the latest; acknowledged ones among them."""
        live = [alert for alert in self.alerts.values() if alert["status"] in _OPEN]
        live.sort(key=lambda alert: (alert["as_of"], alert["alert_id"]), reverse=True)
        return sorted(live, key=lambda alert: _MOST_URGENT_FIRST.index(alert["tier"]))


def notifies(alert: Alert) -> bool:
    """Tell whether a record may call somebody: not one from a backfill, nor one that somebody has taken note of."""
    return alert["status"] in _OPEN and alert["timeliness"] != "retrospective" and not is_acknowledged(alert)


def is_acknowledged(alert: Alert) -> bool:
    """Tell whether somebody has taken note of an alert at the tier that stands."""
    return alert.get("acknowledged") is not None


def read_alerts(
    settings: Settings, *, follow: bool, say: Callable[[str], None] = lambda _line: None
) -> Iterator[Alert]:
    """Yield every committed alert record from the beginning; stop at today's end unless `follow`.

    `say` is told when the broker goes and when it is back.
    """
    from kafka import KafkaConsumer, TopicPartition  # noqa: PLC0415 - kafka-python only where it is used

    quiet_libraries()
    require_broker(settings)
    topic = topic_name(Topic.ALERTS, settings)
    with (
        kafka_errors(settings.bootstrap_servers),
        closing(
            KafkaConsumer(
                **client_options(settings),
                isolation_level="read_committed",
                enable_auto_commit=False,
                group_id=None,
            )
        ) as consumer,
    ):
        shards = [
            TopicPartition(topic, shard) for shard in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        if not shards:
            raise missing([topic], settings)
        consumer.assign(shards)
        consumer.seek_to_beginning(*shards)
        ends = consumer.end_offsets(shards)
        watch = BrokerWatch(settings, say)
        while follow or any(consumer.position(shard) < ends[shard] for shard in shards):
            watch.look_when_due()
            for records in consumer.poll(timeout_ms=_POLL_MS).values():
                for record in records:
                    yield json.loads(record.value)
