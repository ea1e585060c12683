"""The nine topics as a table, and the difference between that table and a cluster.

`plan` only looks; `apply` creates what is missing and sets what differs. A partition count is never changed: the
shard of a patient is its number modulo that count, so more partitions would tear every patient's story in two.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from pv_stream.errors import EnvironmentBroken, UsageError
from pv_stream.settings import Settings
from pv_stream.stream.connection import client_options, kafka_errors, missing, quiet_libraries, require_broker

MIB = 1024 * 1024


class Topic(StrEnum):
    """Name each topic of pv_stream."""

    EVENTS = "pv.clinical.events.v1"
    ALERTS = "pv.dress.alerts.v1"
    RECURRENCES = "pv.dress.recurrences.v1"
    CASES = "pv.dress.cases.v1"
    ALERT_ACTIONS = "pv.dress.alert-actions.v1"
    STATE = "pv.state.v1"
    DEAD_LETTERS = "pv.dlq.v1"
    TREE_HEADS = "pv.tree-heads.v1"
    REJECTS = "pv.rejects.v1"


# The newest case per episode and the newest state per patient are what their readers need.
COMPACTED = frozenset({Topic.CASES, Topic.STATE})
#: What a worker reads or writes. What ingest refused is none of its business, and it may not see it.
OF_WORKERS = tuple(topic for topic in Topic if topic is not Topic.REJECTS)
# A record of 1 MiB plus its key, headers and batch; state is written in larger batches.
MESSAGE_BYTES_MAX = dict.fromkeys(Topic, 2 * MIB) | {Topic.STATE: 4 * MIB}


class Action(StrEnum):
    """Say what `apply` does about a row of the plan."""

    OK = "ok"
    CREATE = "create"
    SET = "set"
    BY_HAND = "by hand"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Difference:
    """Hold one row of the plan: what a topic has, what it should have, and what follows."""

    topic: str
    setting: str
    has: str
    wanted: str
    action: Action


def topic_configs(topic: Topic, settings: Settings) -> dict[str, str]:
    """Return the settings of a topic that `apply` keeps."""
    return {
        "cleanup.policy": "compact" if topic in COMPACTED else "delete",
        # Alerts are evidence: Kafka never deletes them by age or size.
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "min.insync.replicas": str(settings.min_insync_replicas),
        "max.message.bytes": str(MESSAGE_BYTES_MAX[topic]),
        "unclean.leader.election.enable": "false",
    }


def topic_name(topic: Topic, settings: Settings) -> str:
    """Return the name of a topic on this cluster."""
    return f"{settings.topic_prefix}{topic}"


def plan(settings: Settings) -> list[Difference]:
    """Return every difference between the table and the cluster, and an ok row for each topic without one."""
    with closing(admin_client(settings)) as admin, kafka_errors(settings.bootstrap_servers):
        return _plan(admin, settings)


def apply(settings: Settings) -> list[Difference]:
    """Create and set what differs, and return what was found before. Raise UsageError on a partition count."""
    with closing(admin_client(settings)) as admin, kafka_errors(settings.bootstrap_servers):
        found = _plan(admin, settings)
        refuse_partition_change(found)
        _create(admin, {row.topic for row in found if row.action is Action.CREATE}, settings)
        _alter(admin, [row for row in found if row.action is Action.SET])
        return found


def refuse_partition_change(found: Sequence[Difference]) -> None:
    """Raise UsageError when a topic has another partition count than the settings say."""
    for row in found:
        if row.action is Action.REFUSE:
            message = (
                f"{row.topic} has {row.has} partitions and the settings say {row.wanted}: a patient's shard depends on "
                f"the count, so it is never changed; set PV_STREAM_PARTITIONS={row.has}, or start a new log"
            )
            raise UsageError(message)


def check_topics(settings: Settings) -> int:
    """Return the shard count of the input topic, for a worker.

    Raise EnvironmentBroken unless every topic of workers exists and has as many.
    """
    names = [topic_name(topic, settings) for topic in OF_WORKERS]
    with closing(admin_client(settings)) as admin, kafka_errors(settings.bootstrap_servers):
        existing = set(admin.list_topics())
        present = [name for name in names if name in existing]
        described = admin.describe_topics(present) if present else []
    if absent := sorted(set(names) - existing):
        raise missing(absent, settings)
    counts = {entry["name"]: len(entry["partitions"]) for entry in described}
    shard_count: int = counts[topic_name(Topic.EVENTS, settings)]
    if unequal := sorted(name for name, count in counts.items() if count != shard_count):
        message = (
            f"{', '.join(unequal)} must have as many partitions as the input topic ({shard_count}): outputs and "
            "states go to the partition of their cause; see `pv-stream topics plan`"
        )
        raise EnvironmentBroken(message)
    return shard_count


def compare(
    topic: Topic,
    settings: Settings,
    *,
    partitions: int | None,
    replication: int | None,
    configs: Mapping[str, str],
) -> list[Difference]:
    """Return the rows of one topic; `partitions` is None when the topic does not exist."""
    name = topic_name(topic, settings)
    if partitions is None:
        wanted = f"{settings.partitions} partitions, replication {settings.replication_factor}"
        return [Difference(name, "topic", "missing", wanted, Action.CREATE)]
    rows = []
    if partitions != settings.partitions:
        rows.append(Difference(name, "partitions", str(partitions), str(settings.partitions), Action.REFUSE))
    if replication != settings.replication_factor:
        # Moving replicas between brokers is a task of its own (kafka-reassign-partitions).
        wanted = str(settings.replication_factor)
        rows.append(Difference(name, "replication", str(replication), wanted, Action.BY_HAND))
    rows += [
        Difference(name, setting, configs.get(setting, "unknown"), wanted, Action.SET)
        for setting, wanted in topic_configs(topic, settings).items()
        if configs.get(setting) != wanted
    ]
    return rows or [Difference(name, "all", "as wanted", "as wanted", Action.OK)]


def as_json(rows: Sequence[Difference]) -> list[dict[str, str]]:
    """Return the rows as plain JSON objects."""
    return [asdict(row) for row in rows]


def admin_client(settings: Settings) -> Any:
    """Return a connected client for administration. Raise ConnectionFailed when Kafka cannot be reached."""
    require_broker(settings)
    quiet_libraries()
    from kafka import KafkaAdminClient  # noqa: PLC0415 - half of a second that `--help` should not pay

    with kafka_errors(settings.bootstrap_servers):
        return KafkaAdminClient(
            **client_options(settings),
            bootstrap_timeout_ms=int(settings.connect_timeout_seconds * 1000),
            client_id="pv-stream-topics",
        )


def _plan(admin: Any, settings: Settings) -> list[Difference]:
    existing = set(admin.list_topics())
    names = {topic: topic_name(topic, settings) for topic in Topic}
    present = [name for name in names.values() if name in existing]
    described = {entry["name"]: entry for entry in admin.describe_topics(present)} if present else {}
    configs = _configs(admin, present)
    rows = []
    for topic, name in names.items():
        entry = described.get(name)
        rows += compare(
            topic,
            settings,
            partitions=len(entry["partitions"]) if entry else None,
            replication=len(entry["partitions"][0]["replica_nodes"]) if entry else None,
            configs=configs.get(name, {}),
        )
    return rows


def _configs(admin: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:
    from kafka.admin import ConfigResource, ConfigResourceType  # noqa: PLC0415 - see admin_client

    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found = admin.describe_configs(resources, config_filter="all")["topic"]
    return {
        name: {setting: str(entry["value"]) for setting, entry in settings.items()}
        for name, settings in found.items()
    }


def _create(admin: Any, names: set[str], settings: Settings) -> None:
    wanted = {
        topic_name(topic, settings): {
            "num_partitions": settings.partitions,
            "replication_factor": settings.replication_factor,
            "configs": topic_configs(topic, settings),
        }
        for topic in Topic
        if topic_name(topic, settings) in names
    }
    if wanted:
        admin.create_topics(wanted, wait_for_metadata=True)


def _alter(admin: Any, rows: Sequence[Difference]) -> None:
    from kafka.admin import ConfigResource, ConfigResourceType  # noqa: PLC0415 - see admin_client

    by_topic: dict[str, dict[str, str]] = {}
    for row in rows:
        by_topic.setdefault(row.topic, {})[row.setting] = row.wanted
    if by_topic:
        admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, configs) for name, configs in by_topic.items()]
        )
