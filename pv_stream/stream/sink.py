"""The transactional sink of one shard: outputs, states, checkpoint and offsets become visible together or never.

One producer per shard with a stable transactional id: starting it fences whoever owned the shard before and ends
that owner's open transaction. Records go out in prepared batches, because one `send` per record costs more than
half of the speed. Every delivery is awaited: aiokafka's flush() hides a failure, and its commit would then succeed.

The group's offset is for those who look at the group from outside: the checkpoint is the truth. It goes with the
first transaction of each second, because two requests of five would be for it.

Any failure is EnvironmentBroken. Nothing is repaired here: the process ends, and the next owner starts from the
checkpoint, which a transaction that did not commit has not moved.
"""

import asyncio
import math
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from pv_stream.domain.ids import shard_of
from pv_stream.errors import EnvironmentBroken
from pv_stream.ledger.chain import Ledger, entry_hash, extended
from pv_stream.ledger.heads import TreeHead, signed
from pv_stream.settings import Settings
from pv_stream.shard.fold import OutputStream, OutRecord
from pv_stream.stream.checkpoint import CHECKPOINT_KEY, Checkpoint
from pv_stream.stream.connection import client_options
from pv_stream.stream.headers import LEDGER_STREAMS, TOPIC_OF_STREAM, Headers, output_headers
from pv_stream.stream.topics import MESSAGE_BYTES_MAX, Topic, topic_name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_Done = TypeVar("_Done")

#: Key, value and headers, ready to be put into a batch; without a value the key is taken away when Kafka compacts.
KafkaRecord = tuple[bytes | None, bytes | None, Headers]
#: What one transaction writes, by topic and partition.
Written = dict[tuple[Topic, int], list[KafkaRecord]]
#: The position behind the last record of each place, where it is known.
Ends = dict[tuple[Topic, int], int | None]
#: One batch is one request to one partition; the topics allow 2 MiB, and one record may be larger than a batch.
BATCH_BYTES_MAX = 1024 * 1024
#: How long the group's offset may be behind the checkpoint while transactions go on.
OFFSET_SECONDS_MAX = 1.0
NO_HEADERS: Headers = []


class FoldRun(Protocol):
    """What a fold made of a run of records."""

    @property
    def outputs(self) -> tuple[OutRecord, ...]:
        """Return the outputs in their order."""

    @property
    def states(self) -> tuple[tuple[bytes, bytes | None], ...]:
        """Return key and value of each state record that changed; None for one that is no more."""


class TransactionalSink:
    """Write the results of one shard, one transaction at a time."""

    def __init__(
        self, *, shard: int, settings: Settings, ledger_key: "Ed25519PrivateKey | None" = None
    ) -> None:
        """Prepare the sink of a shard; nothing is connected before `start`. The key signs its tree heads."""
        self._shard = shard
        self._settings = settings
        self._ledger_key = ledger_key
        #: What the shard's ledger came to with the last transaction, or with the owner's before.
        self.ledger = Ledger()
        self._source_topic = topic_name(Topic.EVENTS, settings)
        self._producer: AIOKafkaProducer | None = None
        #: The position in the state partition behind the last checkpoint written here, if Kafka told it.
        self.state_position: int | None = None
        #: The group's offset as it was last seen or committed, and when it was committed.
        self.group_offset = 0
        self._offset_at = -math.inf

    async def start(self) -> None:
        """Connect, and fence the previous owner of the shard."""
        producer = AIOKafkaProducer(
            **client_options(self._settings),
            client_id=f"{self._settings.group_id}-{self._shard}",
            transactional_id=f"{self._settings.group_id}-{self._source_topic}-{self._shard}",
            transaction_timeout_ms=int(self._settings.transaction_timeout_seconds * 1000),
            acks="all",
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=max(MESSAGE_BYTES_MAX.values()),
        )
        self._producer = producer
        await self._within_timeout(producer.start(), doing="taking over")

    async def stop(self) -> None:
        """Close the connections; an open transaction is left to the next owner, who aborts it."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def commit(self, run: FoldRun, checkpoint: Checkpoint) -> None:
        """Write a run's outputs, ledger and states with the checkpoint behind them, in one transaction."""
        written: Written = {}
        told = [
            (output, output_headers(output, source_topic=self._source_topic, shard=self._shard))
            for output in run.outputs
        ]
        ledger = self._entered(told)
        for output, headers in told:
            place = TOPIC_OF_STREAM[output.stream], self._partition_of(output, checkpoint.partition_count)
            written.setdefault(place, []).append((output.key, output.value, headers))
        if ledger.size - ledger.covered >= self._settings.ledger_head_records:
            head = self._head(ledger, checkpoint.next_position)
            written[Topic.TREE_HEADS, self._shard] = [(head.origin.encode(), head.to_bytes(), NO_HEADERS)]
            ledger = replace(ledger, covered=ledger.size)
        checkpoint = replace(checkpoint, ledger=ledger)
        states: list[KafkaRecord] = [(key, value, NO_HEADERS) for key, value in run.states]
        place_of_states = Topic.STATE, self._shard
        written[place_of_states] = [*states, (CHECKPOINT_KEY, checkpoint.to_bytes(), [])]
        offset = checkpoint.next_position if self._offset_is_due() else None
        ends = await self._within_timeout(self._transaction(written, offset), doing="committing")
        # Where it is not told, the earlier position stays: it is behind, and so never wrong.
        self.state_position = ends[place_of_states] or self.state_position
        self.ledger = ledger

    def _entered(self, told: Sequence[tuple[OutRecord, Headers]]) -> Ledger:
        """Return the ledger with the outputs that it covers, and write its place into the headers of each."""
        covered = [(output, headers) for output, headers in told if output.stream in LEDGER_STREAMS]
        leaves = [
            entry_hash(TOPIC_OF_STREAM[output.stream], self._shard, output.key, output.value, headers)
            for output, headers in covered
        ]
        entered = extended(self.ledger, leaves)
        for (_, headers), place in zip(covered, entered.headers, strict=True):
            headers.extend(place)
        return entered.ledger

    def _head(self, ledger: Ledger, next_position: int) -> TreeHead:
        origin = f"{self._source_topic}/{self._shard}"
        return signed(
            TreeHead(origin, ledger.size, ledger.root, ledger.link, next_position), self._ledger_key
        )

    def _partition_of(self, output: OutRecord, partition_count: int) -> int:
        """Return this shard, but for what goes back to the input log: that goes to the shard of its patient."""
        if output.stream is not OutputStream.EVENTS:
            return self._shard
        return shard_of(output.key.decode(), partition_count)

    async def commit_offset(self, position: int) -> None:
        """Commit the group's offset by itself where transactions have left it behind."""
        if position != self.group_offset:
            await self._within_timeout(self._transaction({}, position), doing="committing the group's offset")

    def _offset_is_due(self) -> bool:
        return asyncio.get_running_loop().time() - self._offset_at >= OFFSET_SECONDS_MAX

    async def write_input(self, key: bytes | None, value: bytes) -> None:
        """Append one record of our own (a clock record) to the shard's input log, in one transaction."""
        await self._within_timeout(
            self._transaction({(Topic.EVENTS, self._shard): [(key, value, [])]}, None),
            doing="writing the clock record",
        )

    async def _transaction(self, written: Written, group_offset: int | None) -> Ends:
        producer = self._started
        await producer.begin_transaction()
        sendings: list[Awaitable[Any]] = [self._send(*place, records) for place, records in written.items()]
        if group_offset is not None:
            offsets = {TopicPartition(self._source_topic, self._shard): group_offset}
            sendings.append(producer.send_offsets_to_transaction(offsets, self._settings.group_id))
        ends = await asyncio.gather(*sendings)
        await producer.commit_transaction()
        if group_offset is not None:
            self.group_offset, self._offset_at = group_offset, asyncio.get_running_loop().time()
        return dict(zip(written, ends, strict=False))  # sending the offsets ends nowhere

    async def _send(self, topic: Topic, partition: int, records: Sequence[KafkaRecord]) -> int | None:
        """Send records and return the position behind the last, or None when Kafka did not tell it."""
        deliveries = []
        count = 0
        for batch in self._batches(records):
            name = topic_name(topic, self._settings)
            delivery = await self._started.send_batch(batch, name, partition=partition)
            deliveries.append(delivery)
            count = batch.record_count()
        delivered = await asyncio.gather(*deliveries)
        # A repeated request that the broker had already taken is answered without a position (-1).
        known = delivered and delivered[-1] is not None and delivered[-1].offset >= 0
        return delivered[-1].offset + count if known else None

    def _batches(self, records: Iterable[KafkaRecord]) -> Iterable[Any]:
        batch = self._started.create_batch()
        for key, value, headers in records:
            if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                yield batch
                batch = self._started.create_batch()
                # An empty batch takes any record, however large; the topic's limit decides.
                if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                    message = f"shard {self._shard}: a record of {len(value or b'')} bytes did not fit an empty batch"
                    raise EnvironmentBroken(message)
        if batch.record_count():
            yield batch

    @property
    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            message = f"shard {self._shard}: its producer is not started"
            raise EnvironmentBroken(message)
        return self._producer

    async def _within_timeout(self, work: Awaitable[_Done], *, doing: str) -> _Done:
        # The broker aborts a transaction after the same time: waiting longer could only end in a fence.
        timeout_seconds = self._settings.transaction_timeout_seconds
        try:
            return await asyncio.wait_for(work, timeout_seconds)
        except TimeoutError as error:
            message = (
                f"shard {self._shard}: {doing} took longer than {timeout_seconds:g} s: is Kafka reachable?"
            )
            raise EnvironmentBroken(message) from error
        except KafkaError as error:
            # The error's own text may quote a record; its type is enough to act on.
            message = f"shard {self._shard}: {doing} failed ({type(error).__name__}): the worker ends and starts again"
            raise EnvironmentBroken(message) from error
