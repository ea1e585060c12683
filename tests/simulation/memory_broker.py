"""A Kafka broker in memory: what the sink, the store and the consumer of the input rest on, and nothing else.

Partitions are logs whose positions are also used up by control markers and by aborted records. A transaction is
prepared first and its markers are written later, partition by partition, so that for a while one partition shows
what another does not show yet. A producer is fenced by a newer one of its transactional id, and by the coordinator
when its transaction took too long. Committed group offsets are records of a log of their own and take part in
transactions. Every method is what one request does when it reaches the broker; `network` decides when that is.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from aiokafka import TopicPartition
from aiokafka.errors import (
    ConcurrentTransactions,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
)

Headers = tuple[tuple[str, bytes], ...]
#: Key, value and headers of a record to append.
Record = tuple[bytes | None, bytes | None, Headers]

#: Where the committed offsets of groups are kept, as in Kafka.
OFFSETS = TopicPartition("__consumer_offsets", 0)
#: Calls back after a delay of its own choosing: (what, least seconds).
Later = Callable[[Callable[[], None], float], None]


class Outcome(Enum):
    """Say what became of a record."""

    OPEN = auto()
    COMMITTED = auto()
    ABORTED = auto()
    MARKER = auto()


@dataclass(slots=True)
class Entry:
    """Hold one position of a partition."""

    position: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    producer: int | None
    outcome: Outcome

    @property
    def offset(self) -> int:
        """Return the position, by the name that Kafka's clients give it."""
        return self.position


@dataclass(slots=True)
class PartitionLog:
    """Hold one partition: its entries, and the producers that have a transaction open in it."""

    entries: list[Entry] = field(default_factory=list)
    high_watermark: int = 0
    open_since: dict[int, int] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    sequences: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def last_stable(self) -> int:
        """Return the position before which every transaction has ended."""
        return min(self.open_since.values(), default=self.high_watermark)

    @property
    def start(self) -> int:
        """Return the first position: nothing is ever deleted from the front."""
        return 0

    def append(self, records: Iterable[Record], producer: int | None, outcome: Outcome) -> None:
        """Append records, or a marker."""
        for key, value, headers in records:
            self.entries.append(Entry(self.high_watermark, key, value, headers, producer, outcome))
            self.high_watermark += 1

    def read(self, position: int, *, records_max: int, committed_only: bool) -> tuple[list[Entry], int]:
        """Return what a reader gets from a position on, and the position of its next fetch.

        Markers and, for a reader of committed records, aborted records are passed over: the next position lies
        behind them.
        """
        end = self.last_stable if committed_only else self.high_watermark
        found: list[Entry] = []
        for entry in self.entries[self._index(position) :]:
            if entry.position >= end:
                break
            if entry.outcome is Outcome.COMMITTED or (
                not committed_only and entry.outcome is not Outcome.MARKER
            ):
                if len(found) == records_max:
                    return found, entry.position
                found.append(entry)
        return found, max(position, end)

    def end_transaction(self, producer: int, *, epoch: int, commit: bool) -> None:
        """Write the marker of a producer's transaction: its records are now committed, or aborted."""
        self.epochs[producer] = epoch
        for entry in self.open_entries(producer):
            entry.outcome = Outcome.COMMITTED if commit else Outcome.ABORTED
        self.open_since.pop(producer, None)
        self.append([(None, None, ())], producer, Outcome.MARKER)

    def open_entries(self, producer: int) -> list[Entry]:
        """Return the records of a producer's transaction."""
        since = self.open_since.get(producer, self.high_watermark)
        return [
            entry
            for entry in self.entries[self._index(since) :]
            if entry.producer == producer and entry.outcome is Outcome.OPEN
        ]

    def _index(self, position: int) -> int:
        return bisect_left(self.entries, position, key=lambda entry: entry.position)

    def compact(self) -> None:
        """Drop what compaction may drop below the last stable position: positions stay, with holes between.

        Keys that were taken away leave nothing, as after `delete.retention.ms`.
        """
        newest: dict[bytes | None, int] = {}
        for entry in self.entries:
            if entry.position < self.last_stable and entry.outcome is Outcome.COMMITTED:
                newest[entry.key] = entry.position
        self.entries = [
            entry
            for entry in self.entries
            if entry.position >= self.last_stable
            or (newest.get(entry.key) == entry.position and entry.value is not None)
        ]

    def committed(self) -> list[Entry]:
        """Return every committed record."""
        return [entry for entry in self.entries if entry.outcome is Outcome.COMMITTED]


class State(Enum):
    """Say where the transaction of a transactional id stands, as its coordinator sees it."""

    EMPTY = auto()
    ONGOING = auto()
    PREPARED_COMMIT = auto()
    PREPARED_ABORT = auto()
    COMMITTED = auto()
    ABORTED = auto()


PREPARED = (State.PREPARED_COMMIT, State.PREPARED_ABORT)


@dataclass(slots=True)
class Transactional:
    """Hold what the coordinator knows of one transactional id."""

    producer: int
    timeout_seconds: float
    epoch: int = 0
    state: State = State.EMPTY
    number: int = 0
    partitions: list[TopicPartition] = field(default_factory=list)


class MemoryBroker:
    """Keep partitions, transactions and committed offsets."""

    def __init__(self, topics: Iterable[str], *, partition_count: int, later: Later) -> None:
        """Begin with empty topics; `later` is how the broker does what it does by itself."""
        self.partition_count = partition_count
        self.logs = {
            TopicPartition(topic, partition): PartitionLog()
            for topic in topics
            for partition in range(partition_count)
        } | {OFFSETS: PartitionLog()}
        self.transactional: dict[str, Transactional] = {}
        #: Key and value of what was decided to be committed, from the moment of the decision on.
        self.decided: dict[TopicPartition, set[tuple[bytes | None, bytes | None]]] = {}
        self._later = later

    # The transaction coordinator -------------------------------------------------------------------------------

    def init_producer(self, name: str, timeout_seconds: float) -> tuple[int, int]:
        """Return producer id and epoch; fence the producer before and end what it left open."""
        known = self.transactional.get(name)
        if known is None:
            known = self.transactional[name] = Transactional(len(self.transactional), timeout_seconds)
            return known.producer, known.epoch
        if known.state is State.ONGOING:
            self._fence(known)
        if known.state in PREPARED:
            raise ConcurrentTransactions
        known.epoch += 1
        known.state = State.EMPTY
        known.timeout_seconds = timeout_seconds
        return known.producer, known.epoch

    def add_partition(self, name: str, producer: int, epoch: int, partition: TopicPartition) -> None:
        """Make a partition part of the transaction, which begins with its first."""
        known = self._known(name, producer, epoch)
        if known.state in PREPARED:
            raise ConcurrentTransactions
        if known.state is not State.ONGOING:
            known.state = State.ONGOING
            known.number += 1
            known.partitions = []
            number = known.number
            self._later(lambda: self._time_out(known, number), known.timeout_seconds)
        if partition not in known.partitions:
            known.partitions.append(partition)

    def end(self, name: str, producer: int, epoch: int, *, commit: bool) -> None:
        """Decide the transaction. The markers follow; a repeated request gets the same answer."""
        known = self._known(name, producer, epoch)
        if known.state in PREPARED:
            raise ConcurrentTransactions
        if known.state is (State.COMMITTED if commit else State.ABORTED):
            return
        if known.state is not State.ONGOING:
            raise InvalidTxnState
        self._prepare(known, commit=commit)

    def _known(self, name: str, producer: int, epoch: int) -> Transactional:
        known = self.transactional.get(name)
        if known is None or known.producer != producer:
            raise InvalidProducerIdMapping
        if known.epoch != epoch:
            raise InvalidProducerEpoch
        return known

    def _time_out(self, known: Transactional, number: int) -> None:
        if known.number == number and known.state is State.ONGOING:
            self._fence(known)

    def _fence(self, known: Transactional) -> None:
        known.epoch += 1
        self._prepare(known, commit=False)

    def _prepare(self, known: Transactional, *, commit: bool) -> None:
        known.state = State.PREPARED_COMMIT if commit else State.PREPARED_ABORT
        waiting = list(known.partitions)
        for partition in known.partitions:
            if commit:
                pairs = {
                    (entry.key, entry.value) for entry in self.logs[partition].open_entries(known.producer)
                }
                self.decided.setdefault(partition, set()).update(pairs)
            self._later(lambda partition=partition: self._mark(known, partition, waiting), 0.0)  # type: ignore[misc]

    def _mark(self, known: Transactional, partition: TopicPartition, waiting: list[TopicPartition]) -> None:
        commit = known.state is State.PREPARED_COMMIT
        self.logs[partition].end_transaction(known.producer, epoch=known.epoch, commit=commit)
        waiting.remove(partition)
        if not waiting:
            known.state = State.COMMITTED if commit else State.ABORTED

    # Partitions ------------------------------------------------------------------------------------------------

    def produce(
        self,
        name: str,
        producer: int,
        epoch: int,
        partition: TopicPartition,
        sequence: int,
        records: Sequence[Record],
    ) -> int:
        """Append a batch of a transaction, once however often it is sent; return its position, -1 for a repetition."""
        log = self.logs[partition]
        if epoch < log.epochs.get(producer, 0):
            raise InvalidProducerEpoch
        if producer not in log.open_since:
            self._verify(name, producer, epoch, partition)
        if sequence <= log.sequences.get((producer, epoch), -1):
            return -1
        log.sequences[producer, epoch] = sequence
        log.epochs[producer] = epoch
        log.open_since.setdefault(producer, log.high_watermark)
        position = log.high_watermark
        log.append(records, producer, Outcome.OPEN)
        return position

    def _verify(self, name: str, producer: int, epoch: int, partition: TopicPartition) -> None:
        known = self._known(name, producer, epoch)
        if known.state is not State.ONGOING or partition not in known.partitions:
            raise InvalidTxnState

    def append(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        """Append records outside of any transaction."""
        self.logs[partition].append(records, None, Outcome.COMMITTED)

    # Groups ----------------------------------------------------------------------------------------------------

    def committed_offset(self, group: str, partition: TopicPartition) -> int | None:
        """Return the offset that a group has committed, or None."""
        key = offset_key(group, partition)
        found = [entry.value for entry in self.logs[OFFSETS].committed() if entry.key == key]
        return int(found[-1]) if found and found[-1] is not None else None

    def is_quiet(self) -> bool:
        """Tell whether every transaction has ended and all its markers are written."""
        return not any(known.state in (State.ONGOING, *PREPARED) for known in self.transactional.values())


def offset_key(group: str, partition: TopicPartition) -> bytes:
    """Return the key under which a committed offset is kept."""
    return f"{group}|{partition.topic}|{partition.partition}".encode()
