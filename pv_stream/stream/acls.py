"""Who may do what in Kafka: one table, from which the rights are printed, given and tested.

Five roles, because five kinds of programs and people speak with the broker. Each may do its own work and no more:
a consumer that is taken over cannot forge an alert, a feed cannot read a patient's state, an auditor cannot write.
Kafka lets whoever may read or write something describe it too; that is not repeated here.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pv_stream.errors import EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.stream.connection import kafka_errors
from pv_stream.stream.topics import Topic, admin_client, topic_name


class Role(StrEnum):
    """Name each kind of principal."""

    INGEST = "ingest"
    WORKER = "worker"
    CONSUMER = "consumer"
    AUDITOR = "auditor"
    OPERATOR = "operator"


#: What each role is for; a principal has the name of its role unless said otherwise.
WORK: Final[Mapping[Role, str]] = {
    Role.INGEST: "`ingest --to kafka`, `ingest-mllp`, `ingest-http`",
    Role.WORKER: "`run`",
    Role.CONSUMER: "`worklist`, and programs that take alerts",
    Role.AUDITOR: "`archive`, `replay --tail`, `verify`, `dlq list`, `dlq show`, `holds list`",
    Role.OPERATOR: "`topics`, `rules activate`, `act`, `holds`, `dlq`, `doctor`",
}


class Resource(StrEnum):
    """Name the kinds of things that Kafka guards."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional id"
    CLUSTER = "cluster"


class Operation(StrEnum):
    """Name what may be done, in Kafka's words."""

    READ = "read"
    WRITE = "write"
    CREATE = "create"
    DESCRIBE = "describe"
    DESCRIBE_CONFIGS = "describe configs"
    ALTER_CONFIGS = "alter configs"


@dataclass(frozen=True, slots=True)
class Grant:
    """Hold one right of a role; a prefix stands for every name that begins with it."""

    role: Role
    resource: Resource
    name: str
    operation: Operation
    is_prefix: bool = False


_READ = (Operation.READ,)
_WRITE = (Operation.WRITE,)
_BOTH = (Operation.READ, Operation.WRITE)
_OUTPUTS: Final = (Topic.ALERTS, Topic.RECURRENCES, Topic.CASES, Topic.ALERT_ACTIONS)
_KAFKAS_OWN: Final = ("__consumer_offsets", "__transaction_state")
#: What Kafka calls itself where it guards itself.
_CLUSTER: Final = "kafka-cluster"
_KEPT_UP: Final = (Operation.CREATE, Operation.READ, Operation.ALTER_CONFIGS, Operation.DESCRIBE_CONFIGS)

TOPIC_RIGHTS: Final[Mapping[Role, Mapping[Topic, Sequence[Operation]]]] = {
    # It reads to find out whether a commit without an answer took place.
    Role.INGEST: {Topic.EVENTS: _BOTH, Topic.REJECTS: _WRITE},
    # It writes clock records and transfers to the input log, and restores its memory from the states.
    Role.WORKER: {
        Topic.EVENTS: _BOTH,
        Topic.STATE: _BOTH,
        Topic.DEAD_LETTERS: _WRITE,
        Topic.TREE_HEADS: _WRITE,
        **dict.fromkeys(_OUTPUTS, _WRITE),
    },
    Role.CONSUMER: dict.fromkeys(_OUTPUTS, _READ),
    # An archive holds the states as well, for a replay to be compared with.
    Role.AUDITOR: dict.fromkeys(Topic, _READ),
    # Actions, settled holds and activations go to the input log; the checkpoints are compared by `doctor`.
    Role.OPERATOR: dict.fromkeys(Topic, _KEPT_UP) | {Topic.EVENTS: (*_KEPT_UP, Operation.WRITE)},
}


def listener_prefix(settings: Settings) -> str:
    """Return how the transactional ids of listeners begin: never as those of the shards."""
    return f"{settings.group_id}-{topic_name(Topic.EVENTS, settings)}-listener-"


def consumer_group_prefix(settings: Settings) -> str:
    """Return how the groups of programs that take alerts begin: not as the group of the workers."""
    return f"{settings.group_id}-consumer-"


def grants(settings: Settings) -> list[Grant]:
    """Return every right of every role, for this cluster's names."""
    events = topic_name(Topic.EVENTS, settings)
    shards = [f"{settings.group_id}-{events}-{shard}" for shard in range(settings.partitions)]
    transactional, group = Resource.TRANSACTIONAL_ID, Resource.GROUP
    write, read = Operation.WRITE, Operation.READ
    return [
        *(
            Grant(role, Resource.TOPIC, topic_name(topic, settings), operation)
            for role, topics in TOPIC_RIGHTS.items()
            for topic, operations in topics.items()
            for operation in operations
        ),
        Grant(Role.INGEST, transactional, listener_prefix(settings), write, is_prefix=True),
        *(Grant(Role.WORKER, transactional, shard, write) for shard in shards),
        Grant(Role.WORKER, group, settings.group_id, read),
        Grant(Role.CONSUMER, group, consumer_group_prefix(settings), read, is_prefix=True),
        Grant(Role.OPERATOR, transactional, f"{settings.group_id}-{events}-activate", write),
        *_looked_at_by_doctor(settings, events),
    ]


def _looked_at_by_doctor(settings: Settings, events: str) -> list[Grant]:
    """Return what `doctor` looks at besides our topics: group, open transactions, brokers and Kafka's own topics."""
    role, describe = Role.OPERATOR, Operation.DESCRIBE
    writers = f"{settings.group_id}-{events}-"
    return [
        Grant(role, Resource.GROUP, settings.group_id, describe),
        Grant(role, Resource.TRANSACTIONAL_ID, writers, describe, is_prefix=True),
        *(Grant(role, Resource.TOPIC, name, describe) for name in _KAFKAS_OWN),
        Grant(role, Resource.CLUSTER, _CLUSTER, describe),
        Grant(role, Resource.CLUSTER, _CLUSTER, Operation.DESCRIBE_CONFIGS),
    ]


@dataclass(frozen=True, slots=True)
class Row:
    """Hold what a role may do with one thing: the table as people read it."""

    role: str
    resource: str
    name: str
    operations: str


def table(granted: Iterable[Grant]) -> list[Row]:
    """Return the rights as rows, one for each role and thing, in the order of the roles."""
    together: dict[tuple[Role, Resource, str], list[Operation]] = {}
    for grant in granted:
        name = f"{grant.name}*" if grant.is_prefix else grant.name
        together.setdefault((grant.role, grant.resource, name), []).append(grant.operation)
    order = list(Role)
    return [
        Row(role, resource, name, ", ".join(operations))
        for (role, resource, name), operations in sorted(
            together.items(), key=lambda item: order.index(item[0][0])
        )
    ]


def give(settings: Settings, principals: Mapping[Role, Sequence[str]]) -> tuple[int, int]:
    """Give each role's rights to its principals (names of users) and return how many were new, and how many are there.

    Nothing is taken away. Raise ConnectionFailed when Kafka cannot be reached or refuses, EnvironmentBroken when it
    has no authorizer.
    """
    with closing(admin_client(settings)) as admin, kafka_errors(settings.bootstrap_servers):
        wanted = [_acl(grant, name) for grant in grants(settings) for name in principals.get(grant.role, ())]
        present = _present(admin)
        missing = [acl for acl in wanted if acl not in present]
        failed = admin.create_acls(missing)["failed"] if missing else []
    if failed:
        message = f"Kafka refused {len(failed)} of {len(missing)} rights ({failed[0].__name__})"
        raise EnvironmentBroken(message)
    return len(missing), len(wanted)


def _present(admin: Any) -> set[Any]:
    from kafka import admin as kafka_admin  # noqa: PLC0415 - `--help` must not pay for it
    from kafka.errors import SecurityDisabledError  # noqa: PLC0415

    everything = kafka_admin.ACLFilter(
        principal=None,
        host=None,
        operation=kafka_admin.ACLOperation.ANY,
        permission_type=kafka_admin.ACLPermissionType.ANY,
        resource_pattern=kafka_admin.ResourcePatternFilter(
            kafka_admin.ResourceType.ANY, None, kafka_admin.ACLResourcePatternType.ANY
        ),
    )
    try:
        found, _ = admin.describe_acls(everything)
    except SecurityDisabledError as error:
        message = (
            "this Kafka has no authorizer, so every principal may do everything: set authorizer.class.name"
        )
        raise EnvironmentBroken(message) from error
    return set(found)


def _acl(grant: Grant, user: str) -> Any:
    from kafka import admin as kafka_admin  # noqa: PLC0415 - see above

    pattern = "PREFIXED" if grant.is_prefix else "LITERAL"
    return kafka_admin.ACL(
        principal=f"User:{user}",
        host="*",
        operation=kafka_admin.ACLOperation[grant.operation.name],
        permission_type=kafka_admin.ACLPermissionType.ALLOW,
        resource_pattern=kafka_admin.ResourcePattern(
            kafka_admin.ResourceType[grant.resource.name],
            grant.name,
            kafka_admin.ACLResourcePatternType[pattern],
        ),
    )
