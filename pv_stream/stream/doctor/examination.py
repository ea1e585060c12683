"""The examination: asks Kafka for what the judgements need, check by check, and goes on when one cannot be made.

It only reads. Committed offsets are read before checkpoints, and checkpoints before the ends of the log: workers that
go on meanwhile then move each of them only in the direction that is harmless.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pv_stream.codec.events import decode_event
from pv_stream.codec.segments import MARK, read_head
from pv_stream.codec.state import decode_state
from pv_stream.domain.events import RulebookActivated
from pv_stream.errors import PvStreamError
from pv_stream.ledger.chain import Ledger
from pv_stream.ledger.heads import NotATreeHead, TreeHead
from pv_stream.rules.rulebook import Rulebook
from pv_stream.settings import Settings
from pv_stream.shard.rules_in_force import RULEBOOK_KEY
from pv_stream.stream.checkpoint import CHECKPOINT_KEY, Checkpoint, InputLog
from pv_stream.stream.connection import require_broker
from pv_stream.stream.doctor import judgements
from pv_stream.stream.doctor.judgements import LedgerLook, Replicas, Row, ShardLook, could_not
from pv_stream.stream.reading import TopicReader, TopicRecord
from pv_stream.stream.topics import Topic, admin_client, plan, topic_name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

#: How far back from the end of a shard what stands last in it is looked for: first so many positions, then more.
WINDOWS: Final = (64, 1_024, 16_384)
_INTERNAL: Final = ("__consumer_offsets", "__transaction_state")
_NO_SUCH_GROUP: Final = "GroupIdNotFoundError"
_CLIENT: Final = "pv-stream-doctor"


def examine(
    settings: Settings,
    carried: Mapping[str, Rulebook],
    public_keys: "Sequence[Ed25519PublicKey]" = (),
) -> list[Row]:
    """Return every row of the examination.

    `carried` are the rulebooks that are here, by digest; `public_keys` those with which tree heads should be signed.

    Raise ConnectionFailed when there is no broker to examine.
    """
    require_broker(settings)
    with ExitStack() as stack:
        admin = stack.enter_context(closing(admin_client(settings)))
        reader = stack.enter_context(TopicReader(settings, client_id=_CLIENT))
        look = _Look(settings, admin, reader)
        checks: tuple[tuple[str, str, Callable[[], list[Row]]], ...] = (
            ("brokers", settings.bootstrap_servers, look.brokers),
            ("topics", "all", lambda: judgements.topics(plan(settings))),
            ("replicas", "all", look.replicas),
            ("limits", "timeouts", look.limits),
            ("transactions", "all", look.transactions),
            ("clocks", "all", look.clocks),
            ("rulebook", "all shards", lambda: look.rulebooks(carried)),
            ("group", settings.group_id, look.group),
            ("offsets", "all shards", look.offsets),
            ("tree heads", "all shards", lambda: look.tree_heads(public_keys)),
        )
        return [row for check, subject, make in checks for row in _made(check, subject, make)]


def _made(check: str, subject: str, make: Callable[[], list[Row]]) -> list[Row]:
    from kafka.errors import KafkaError  # noqa: PLC0415 - `--help` must not pay for it

    try:
        return make()
    except PvStreamError as error:
        return [could_not(check, subject, str(error))]
    except KafkaError as error:
        # Its text may quote what it could not read; its type says enough.
        return [could_not(check, subject, type(error).__name__)]


@dataclass(frozen=True, slots=True)
class _Tail:
    """Hold what the end of a shard's state tells."""

    checkpoint: Checkpoint | None
    rulebook: str | None
    engine_version: int | None


class _Look:
    """Ask one cluster."""

    def __init__(self, settings: Settings, admin: Any, reader: TopicReader) -> None:
        self._settings = settings
        self._admin = admin
        self._reader = reader
        self._events = topic_name(Topic.EVENTS, settings)
        self._tails: dict[int, _Tail] = {}

    def brokers(self) -> list[Row]:
        described = self._admin.describe_topics(self._existing(_INTERNAL))
        internal = {each["name"]: len(each["partitions"][0]["replica_nodes"]) for each in described}
        count = len(self._admin.describe_cluster()["brokers"])
        return judgements.brokers(count, self._settings, internal_replicas=internal)

    def replicas(self) -> list[Row]:
        names = [*(topic_name(topic, self._settings) for topic in Topic), *_INTERNAL]
        return judgements.replicas(self._replicas(self._existing(names)), self._settings)

    def _replicas(self, names: list[str]) -> Iterator[Replicas]:
        for topic in self._admin.describe_topics(names):
            for each in topic["partitions"]:
                yield Replicas(
                    topic["name"],
                    each["partition_index"],
                    wanted=len(each["replica_nodes"]),
                    in_sync=len(each["isr_nodes"]),
                    has_leader=each["leader_id"] >= 0,
                )

    def _existing(self, names: Any) -> list[str]:
        existing = set(self._admin.list_topics())
        return [name for name in names if name in existing]

    def limits(self) -> list[Row]:
        from kafka.admin import ConfigResource, ConfigResourceType  # noqa: PLC0415 - see `_made`

        asked = [
            ConfigResource(ConfigResourceType.BROKER, str(each["broker_id"]))
            for each in self._admin.describe_cluster()["brokers"]
        ]
        found = self._admin.describe_configs(asked, config_filter="all")["broker"]
        configs = {
            f"broker {broker_id}": {name: str(entry["value"]) for name, entry in entries.items()}
            for broker_id, entries in found.items()
        }
        return judgements.broker_limits(configs, self._settings)

    def transactions(self) -> list[Row]:
        timeout_ms = int(self._settings.transaction_timeout_seconds * 1_000)
        hanging = self._admin.find_hanging_transactions(max_transaction_timeout_ms=timeout_ms)
        ours = {topic_name(topic, self._settings) for topic in Topic}
        return judgements.transactions(
            {
                each["transactional_id"]: each["age_ms"] / 1_000
                for each in hanging
                if any(tp.topic in ours for tp in each["topic_partitions"])
            }
        )

    def clocks(self) -> list[Row]:
        now_ms = _now_ms()
        newest: dict[str, int] = {}
        states = topic_name(Topic.STATE, self._settings)
        written_ms: dict[int, int] = {}
        for name in self._existing(topic_name(topic, self._settings) for topic in Topic):
            by_partition = self._newest_ms(name)
            if by_partition:
                newest[name] = max(by_partition.values())
            if name == states:
                written_ms = by_partition
        started = {
            f"{self._settings.group_id}-{self._events}-{shard}": each for shard, each in written_ms.items()
        }
        return judgements.clocks(newest, now_ms=now_ms, started_ms=self._started_ms(started))

    def _newest_ms(self, topic: str) -> dict[int, int]:
        from kafka import TopicPartition  # noqa: PLC0415 - see `_made`
        from kafka.admin import OffsetSpec  # noqa: PLC0415

        asked = {
            TopicPartition(topic, shard): OffsetSpec.MAX_TIMESTAMP for shard in self._reader.shards(topic)
        }
        found = self._admin.list_partition_offsets(asked)
        return {tp.partition: each.timestamp for tp, each in found.items() if each.timestamp > 0}

    def _started_ms(self, worker_ms: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """Return when the last transaction of each writer began, by the broker's clock, beside the writer's own."""
        from kafka.errors import KafkaError  # noqa: PLC0415 - see `_made`

        started: dict[str, tuple[int, int]] = {}
        for writer, written_ms in worker_ms.items():
            try:
                found = self._admin.describe_transactions([writer])[writer]
            except KafkaError:
                continue  # nobody with this id: the shard was processed by a group of another name
            if found.transaction_start_time_ms > 0:
                started[writer] = found.transaction_start_time_ms, written_ms
        return started

    def rulebooks(self, carried: Mapping[str, Rulebook]) -> list[Row]:
        tails = {shard: self._tail(shard) for shard in self._shards()}
        return judgements.rulebooks(
            {shard: tail.rulebook for shard, tail in tails.items() if tail.rulebook is not None},
            {shard: tail.engine_version for shard, tail in tails.items() if tail.engine_version is not None},
            {digest: rulebook.version for digest, rulebook in carried.items()},
        )

    def group(self) -> list[Row]:
        name = self._settings.group_id
        found = self._admin.describe_groups([name])[name]
        error = found["error"]
        # A group that never was is told as an error, too; kafka-python hands both on as texts.
        if error is not None and _NO_SUCH_GROUP not in error:
            return [could_not("group", name, error)]
        return judgements.group(found["group_state"], len(found["members"]), self._settings)

    def offsets(self) -> list[Row]:
        shards = self._shards()
        committed = self._committed(shards)
        self._tails = {}
        tails = {shard: self._tail(shard) for shard in shards}
        bounds = self._reader.bounds(self._events)
        rows = []
        for shard, (start, end) in bounds.items():
            checkpoint = tails[shard].checkpoint
            position = 0 if checkpoint is None else checkpoint.next_position
            look = ShardLook(
                shard,
                InputLog(start, end, len(bounds)),
                checkpoint,
                committed.get(shard),
                self._written_ms(shard, position, end) if start <= position < end else None,
            )
            rows.append(judgements.offsets(look, self._settings, now_ms=_now_ms()))
        return rows

    def tree_heads(self, public_keys: "Sequence[Ed25519PublicKey]") -> list[Row]:
        looks = []
        for shard in self._shards():
            checkpoint = self._tail(shard).checkpoint
            ledger = Ledger() if checkpoint is None else checkpoint.ledger
            record = self._last_head(shard)
            try:
                head = None if record is None else TreeHead.from_bytes(record.value)
            except NotATreeHead:
                looks.append(LedgerLook(shard, ledger.size, ledger.covered, None, is_readable=False))
            else:
                looks.append(LedgerLook(shard, ledger.size, ledger.covered, head))
        must_be_signed = bool(public_keys) or any(look.head and look.head.signature for look in looks)
        return [judgements.tree_heads(look, public_keys, must_be_signed=must_be_signed) for look in looks]

    def _last_head(self, shard: int) -> TopicRecord | None:
        topic = topic_name(Topic.TREE_HEADS, self._settings)
        start, end = self._reader.bounds(topic).get(shard, (0, 0))
        for window in WINDOWS:
            first = max(start, end - window)
            records = list(self._reader.between(topic, shard, first, end))
            if records or first == start:
                return records[-1] if records else None
        return None

    def _shards(self) -> list[int]:
        return list(self._reader.shards(self._events))

    def _committed(self, shards: list[int]) -> dict[int, int]:
        from kafka import TopicPartition  # noqa: PLC0415 - see `_made`

        name = self._settings.group_id
        asked = {name: [TopicPartition(self._events, shard) for shard in shards]}
        found = self._admin.list_group_offsets(asked)[name]
        return {tp.partition: each.offset for tp, each in found.items() if each.offset >= 0}

    def _written_ms(self, shard: int, position: int, end: int) -> int | None:
        """Return when the first record from a position on was written; None when only markers are there."""
        record = next(self._reader.between(self._events, shard, position, end), None)
        return None if record is None else record.written_at_ms

    def _tail(self, shard: int) -> _Tail:
        """Return what the end of a shard's state tells; read again only for what was not found in less."""
        if shard not in self._tails:
            topic = topic_name(Topic.STATE, self._settings)
            start, end = self._reader.bounds(topic).get(shard, (0, 0))
            tail = _Tail(None, None, None)
            for window in WINDOWS:
                first = max(start, end - window)
                tail = _read(shard, list(self._reader.between(topic, shard, first, end)))
                if first == start or (tail.checkpoint is not None and tail.rulebook is not None):
                    break
            self._tails[shard] = tail
        return self._tails[shard]


def _read(shard: int, records: list[TopicRecord]) -> _Tail:
    """Return the newest checkpoint, and the rulebook that the newest record names: a patient's, or the shard's."""
    checkpoint, rulebook, engine_version = None, None, None
    for record in reversed(records):
        if record.key is None or record.value is None:
            continue
        if record.key == CHECKPOINT_KEY:
            checkpoint = checkpoint or Checkpoint.from_bytes(record.value, shard=shard)
        elif record.key == RULEBOOK_KEY:
            event = decode_event(record.value)
            if isinstance(event, RulebookActivated):
                rulebook = rulebook or event.rulebook_digest
                engine_version = engine_version or event.engine_version
        elif rulebook is None and MARK.encode() not in record.key:
            rulebook = _rulebook_of(record.value)
    return _Tail(checkpoint, rulebook, engine_version)


def _rulebook_of(state: bytes) -> str | None:
    try:
        head = read_head(state)
        return decode_state(state).rulebook if head is None else head.fields["rulebook"]
    except (ValueError, KeyError, TypeError, IndexError):
        return None  # of a version that this one does not read: the shard's own record is looked for


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
