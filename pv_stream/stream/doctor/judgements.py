"""What is wrong with a cluster, a log or a group, and what mends it; judged from plain values, without asking anybody.

Each judgement is a list of rows: one `ok` row, or one row for each finding. A row never holds patient data: topics,
shards, positions, versions, times.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pv_stream.engine.activation import ENGINE_VERSION
from pv_stream.errors import EnvironmentBroken
from pv_stream.ledger.heads import TreeHead, is_signed_by
from pv_stream.settings import Settings
from pv_stream.stream.checkpoint import Checkpoint, InputLog, start_position
from pv_stream.stream.topics import Action, Difference, Topic, topic_name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

#: Clocks of machines that are synchronised differ by far less.
SKEW_SECONDS_MAX: Final = 60.0
#: With fewer copies one lost disk is a lost log.
REPLICAS_WANTED: Final = 3
_APPLY: Final = "pv-stream topics apply"


class Outcome(StrEnum):
    """Say how a check ended."""

    OK = "ok"
    FINDING = "finding"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one row of the examination: what was checked, of what, what was seen, and what to do about it."""

    check: str
    subject: str
    outcome: Outcome
    saw: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Replicas:
    """Hold how many copies a partition should have, how many are in sync, and whether it has a leader."""

    topic: str
    partition: int
    wanted: int
    in_sync: int
    has_leader: bool


@dataclass(frozen=True, slots=True)
class ShardLook:
    """Hold where a shard stands: positions in its log, and when the record at its checkpoint was written."""

    shard: int
    log: InputLog
    checkpoint: Checkpoint | None
    committed: int | None
    oldest_written_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LedgerLook:
    """Hold what a shard's checkpoint counts of its ledger, and the last tree head of its topic.

    `told` outputs, of which `covered` stand under a head; `head` is None when the topic holds none, and
    `is_readable` says whether what stands there is one.
    """

    shard: int
    told: int
    covered: int
    head: TreeHead | None
    is_readable: bool = True


def brokers(count: int, settings: Settings, *, internal_replicas: Mapping[str, int]) -> list[Row]:
    """Judge whether there are as many brokers, and as many copies, as safety needs."""
    rows = []
    subject = settings.bootstrap_servers
    if count < settings.replication_factor:
        rows.append(
            Row(
                "brokers",
                subject,
                Outcome.FINDING,
                f"{count} brokers, and the settings ask for {settings.replication_factor} copies",
                "start the missing brokers, or lower PV_STREAM_REPLICATION_FACTOR",
            )
        )
    if settings.replication_factor < min(count, REPLICAS_WANTED):
        rows.append(
            Row(
                "brokers",
                subject,
                Outcome.FINDING,
                f"{count} brokers, and the settings ask for {settings.replication_factor} copies: one lost disk is a "
                "lost log",
                "set PV_STREAM_REPLICATION_FACTOR=3 and PV_STREAM_MIN_INSYNC_REPLICAS=2, then see `pv-stream topics "
                "plan`",
            )
        )
    rows += [
        Row(
            "brokers",
            topic,
            Outcome.FINDING,
            f"{replicas} copies, and the settings ask for {settings.replication_factor}",
            f"give it {settings.replication_factor} with kafka-reassign-partitions.sh: without it no transaction ends",
        )
        for topic, replicas in sorted(internal_replicas.items())
        if replicas < settings.replication_factor
    ]
    return rows or [Row("brokers", subject, Outcome.OK, f"it answers; {count} in the cluster")]


_FIXES: Final = {
    Action.CREATE: _APPLY,
    Action.SET: _APPLY,
    Action.BY_HAND: "move its replicas with kafka-reassign-partitions.sh",
}


def topics(differences: Sequence[Difference]) -> list[Row]:
    """Judge the differences between the topics and what they should be: partitions, retention, replication, sizes."""
    rows = []
    for each in differences:
        if each.action is Action.OK:
            rows.append(Row("topics", each.topic, Outcome.OK, "as wanted"))
            continue
        fix = _FIXES.get(
            each.action,
            f"a partition count is never changed: set PV_STREAM_PARTITIONS={each.has}, or begin a new log under "
            "another PV_STREAM_TOPIC_PREFIX",
        )
        saw = f"{each.setting} is {each.has}, wanted {each.wanted}"
        rows.append(Row("topics", each.topic, Outcome.FINDING, saw, fix))
    return rows


def replicas(partitions: Iterable[Replicas], settings: Settings) -> list[Row]:
    """Judge whether every partition has a leader and all its copies."""
    rows = []
    count = 0
    for each in partitions:
        count += 1
        subject = f"{each.topic} {each.partition}"
        if not each.has_leader:
            saw, fix = (
                "no broker leads it: nothing can be read or written",
                "start the broker that has its copies",
            )
        elif each.in_sync < settings.min_insync_replicas:
            saw = f"{each.in_sync} copies in sync, {settings.min_insync_replicas} are needed to write"
            fix = "start the brokers that are missing"
        elif each.in_sync < each.wanted:
            saw, fix = f"{each.in_sync} of {each.wanted} copies are in sync", "look for a broker that is down"
        else:
            continue
        rows.append(Row("replicas", subject, Outcome.FINDING, saw, fix))
    return rows or [Row("replicas", f"{count} partitions", Outcome.OK, "all copies are in sync")]


def broker_limits(configs: Mapping[str, Mapping[str, str]], settings: Settings) -> list[Row]:
    """Judge whether each broker allows the timeouts that workers ask for; it refuses them otherwise."""
    rows = [row for broker, found in sorted(configs.items()) for row in _limits(broker, found, settings)]
    return rows or [
        Row("limits", f"{len(configs)} brokers", Outcome.OK, "they allow the timeouts of the settings")
    ]


def _limits(broker: str, configs: Mapping[str, str], settings: Settings) -> Iterator[Row]:
    transaction, session = settings.transaction_timeout_seconds, settings.session_timeout_seconds
    for name, wanted_seconds, variable, is_least in (
        ("transaction.max.timeout.ms", transaction, "PV_STREAM_TRANSACTION_TIMEOUT_SECONDS", False),
        ("group.max.session.timeout.ms", session, "PV_STREAM_SESSION_TIMEOUT_SECONDS", False),
        ("group.min.session.timeout.ms", session, "PV_STREAM_SESSION_TIMEOUT_SECONDS", True),
    ):
        allowed = configs.get(name, "")
        if not allowed.isdigit():
            yield could_not("limits", broker, f"it does not tell its {name}")
            continue
        allowed_seconds = int(allowed) / 1_000
        if wanted_seconds < allowed_seconds if is_least else wanted_seconds > allowed_seconds:
            saw = f"its {name} is {allowed_seconds:g} s, and {variable} is {wanted_seconds:g}"
            yield Row("limits", broker, Outcome.FINDING, saw, f"set {variable} within it, or change {name}")


def transactions(hanging: Mapping[str, float]) -> list[Row]:
    """Judge transactions, by id, that have been open for so many seconds: readers wait for the oldest of them."""
    return [
        Row(
            "transactions",
            transactional_id,
            Outcome.FINDING,
            f"open for {seconds:.0f} s: no reader gets past it",
            "end it with kafka-transactions.sh abort (find-hanging names the partitions), then look for its writer",
        )
        for transactional_id, seconds in sorted(hanging.items())
    ] or [Row("transactions", "all", Outcome.OK, "none hangs")]


def clocks(
    newest_ms: Mapping[str, int], *, now_ms: int, started_ms: Mapping[str, tuple[int, int]]
) -> list[Row]:
    """Judge clocks: of whoever wrote the newest record of a topic, and of workers beside their broker.

    `started_ms` holds, by transactional id, when its last transaction began by the broker's clock, and the newest
    record in it by the worker's.
    """
    rows = []
    for topic, written_ms in sorted(newest_ms.items()):
        ahead_seconds = (written_ms - now_ms) / 1_000
        if ahead_seconds > SKEW_SECONDS_MAX:
            rows.append(
                Row(
                    "clocks",
                    topic,
                    Outcome.FINDING,
                    f"its newest record was written {ahead_seconds:.0f} s after now by this machine's clock",
                    "synchronise this machine and those that write (chrony or ntpd); a shard's clock never goes back",
                )
            )
    for writer, (broker_ms, worker_ms) in sorted(started_ms.items()):
        skew_seconds = (worker_ms - broker_ms) / 1_000
        if abs(skew_seconds) > SKEW_SECONDS_MAX:
            rows.append(
                Row(
                    "clocks",
                    writer,
                    Outcome.FINDING,
                    f"its worker's clock is {abs(skew_seconds):.0f} s {'ahead of' if skew_seconds > 0 else 'behind'} "
                    "the broker's",
                    "synchronise both machines (chrony or ntpd)",
                )
            )
    saw = (
        f"nothing was written in the future; {len(started_ms)} of the shards' workers agree with their broker"
    )
    return rows or [Row("clocks", f"{len(newest_ms)} topics", Outcome.OK, saw)]


def rulebooks(
    in_force: Mapping[int, str], engine_versions: Mapping[int, int], carried: Mapping[str, str]
) -> list[Row]:
    """Judge the rulebooks in force, digests by shard, against the versions that are carried here, by digest."""
    rows = [
        Row(
            "rulebook",
            f"shard {shard}",
            Outcome.FINDING,
            f"its log asks for engine version {version}, and this is {ENGINE_VERSION}",
            "install the version of pv-stream that has it",
        )
        for shard, version in sorted(engine_versions.items())
        if version != ENGINE_VERSION
    ]
    rows += [
        Row(
            "rulebook",
            f"shard {shard}",
            Outcome.FINDING,
            f"under {digest}, which is not carried here",
            "install the version of pv-stream that ships it, or name its file with --carry, here and for the workers",
        )
        for shard, digest in sorted(in_force.items())
        if digest not in carried
    ]
    versions = {carried.get(digest, digest) for digest in in_force.values()}
    if len(versions) > 1:
        shards = "; ".join(
            f"shard {shard}: {carried.get(each, each)}" for shard, each in sorted(in_force.items())
        )
        rows.append(
            Row(
                "rulebook",
                "all shards",
                Outcome.FINDING,
                f"not all shards are under one rulebook: {shards}",
                "wait until every shard has read the activation; if it stays, see the row of the shard's offsets",
            )
        )
    if not in_force:
        return rows or [Row("rulebook", "all shards", Outcome.OK, "nothing was processed yet")]
    return rows or [Row("rulebook", "all shards", Outcome.OK, f"{versions.pop()} is in force and carried")]


def group(state: str, members: int, settings: Settings) -> list[Row]:
    """Judge whether anybody processes the log."""
    if members:
        return [Row("group", settings.group_id, Outcome.OK, f"{members} workers, {state.lower()}")]
    return [
        Row(
            "group",
            settings.group_id,
            Outcome.FINDING,
            "no worker is in it: nothing is processed",
            "start `pv-stream run`, or see the last line of the log of the one that ended",
        )
    ]


def offsets(look: ShardLook, settings: Settings, *, now_ms: int) -> Row:
    """Judge one shard: group offset, checkpoint and log against each other, and how long an event waits."""
    subject = f"shard {look.shard}"
    try:
        position = start_position(
            shard=look.shard, checkpoint=look.checkpoint, committed=look.committed, log=look.log
        )
    except EnvironmentBroken as error:
        return Row("offsets", subject, Outcome.FINDING, _without_shard(error), _fix_of(look, settings))
    waits_seconds = 0.0 if look.oldest_written_ms is None else (now_ms - look.oldest_written_ms) / 1_000
    if waits_seconds > settings.ready_lag_seconds_max:
        return Row(
            "offsets",
            subject,
            Outcome.FINDING,
            f"its oldest unprocessed event waits for {waits_seconds:.0f} s, at position {position} of {look.log.end}",
            "see `/readyz` and the log of the worker that owns the shard; start more workers, at most one for each "
            "shard",
        )
    behind = "" if look.committed == position else f", the group's offset is {look.committed} (harmless)"
    return Row("offsets", subject, Outcome.OK, f"processed up to {position} of {look.log.end}{behind}")


def _without_shard(error: EnvironmentBroken) -> str:
    return str(error).partition(": ")[2]


def _fix_of(look: ShardLook, settings: Settings) -> str:
    position = 0 if look.checkpoint is None else look.checkpoint.next_position
    if look.committed is not None and look.committed > position:
        topic = topic_name(Topic.EVENTS, settings)
        return (
            "if only the offset is wrong, stop the workers and set it back: kafka-consumer-groups.sh "
            f"--bootstrap-server {settings.bootstrap_servers} --group {settings.group_id} "
            f"--reset-offsets --to-offset {position} --topic {topic}:{look.shard} --execute"
        )
    return "stop the workers; restore the topics from one backup"


_SIGN: Final = (
    "make a pair of keys (`pv-stream audit keygen --out ledger.pem`), start each worker again with "
    "PV_STREAM_LEDGER_KEY_FILE=ledger.pem, and give ledger.pem.pub to the auditors: the shard's next output brings a "
    "signed head, which stands for all before it"
)
_VERIFY: Final = "see what else is wrong: `pv-stream audit verify kafka --public-key ledger.pem.pub`"


def tree_heads(
    look: LedgerLook, public_keys: "Sequence[Ed25519PublicKey]" = (), *, must_be_signed: bool = False
) -> Row:
    """Judge whether the last tree head of a shard is signed, and with public keys whether one of them made it.

    To sign is a choice of the installation: a head without a signature is a finding where it made that choice. The
    checkpoint was read before the head: a head that knows more is of a worker that went on.
    """
    subject = f"shard {look.shard}"
    found = Row("tree heads", subject, Outcome.FINDING, "", _VERIFY)
    head = look.head
    if not look.is_readable:
        return replace(found, saw="its last record is no tree head: somebody else wrote it")
    known = 0 if head is None else head.size
    if known < look.covered:
        return replace(found, saw=f"heads of {look.covered} outputs were written, and the last knows {known}")
    if head is None:
        saw = "nothing was told yet" if not look.told else f"{look.told} outputs, none under a head yet"
        return Row("tree heads", subject, Outcome.OK, saw)
    if head.signature is None:
        saw = (
            f"the head of its {head.size} outputs is not signed: whoever can write the topics can make others"
        )
        return replace(found, outcome=Outcome.FINDING if must_be_signed else Outcome.OK, saw=saw, fix=_SIGN)
    saw = f"the head of its {head.size} outputs is signed by key {head.key_id}"
    if not public_keys:
        return Row("tree heads", subject, Outcome.OK, f"{saw} (not checked: --public-key)")
    if not is_signed_by(head, public_keys):
        return replace(found, saw=f"{saw}, which is none of those given, or the signature is wrong")
    return Row("tree heads", subject, Outcome.OK, f"{saw}, one of those given")


def could_not(check: str, subject: str, why: str) -> Row:
    """Return the row of a check that could not be made."""
    fix = (
        "grant it (`pv-stream topics acls` shows what each role may do)"
        if "Authorization" in why
        else "see the row of the brokers, then ask again"
    )
    return Row(check, subject, Outcome.UNKNOWN, why, fix)
