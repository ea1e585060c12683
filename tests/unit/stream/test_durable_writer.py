"""The durable writer against a log that fails as it is told: whatever happens, nothing is lost or doubled."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.errors import ConnectionFailed, EnvironmentBroken, PvStreamError, Unavailable
from pv_stream.settings import Settings
from pv_stream.stream import durable_writer
from pv_stream.stream.durable_writer import DurableWriter
from pv_stream.stream.event_log import EVENT_BYTES_MAX, AttemptFailed, Event, Fenced, Prepared
from tests.virtual_time import run


class Fault(Enum):
    """What goes wrong in one call of the log."""

    NONE = "none"
    OPEN = "it cannot be opened"
    PREPARE = "the events are not confirmed"
    COMMIT_LOST = "the commit does not take place"
    ANSWER_LOST = "the commit takes place, its answer is lost"
    HOLDS = "what was committed cannot be read"
    FENCED = "another producer took over"


class FakeLog:
    """A log with the guarantees of Kafka's transactions, and a script of faults."""

    transactional_id = "group-topic-test"

    def __init__(self, *faults: Fault) -> None:
        self.faults = list(faults)
        self.is_open = False
        self.committed: list[tuple[Event, ...]] = []
        self.prepared: tuple[Event, ...] | None = None
        self.transactions: list[tuple[Event, ...]] = []
        self.closed = False

    async def open(self) -> None:
        await self._step(Fault.OPEN)
        self.is_open = True

    async def prepare(self, events: Sequence[Event]) -> Prepared:
        assert self.is_open
        assert self.prepared is None or self.prepared in self.transactions
        self.prepared = tuple(events)
        self.transactions.append(self.prepared)
        await self._step(Fault.PREPARE, Fault.FENCED)
        return Prepared(0, len(self.transactions) - 1, events[0][1])

    async def commit(self) -> None:
        assert self.is_open
        assert self.prepared is not None
        await self._step(Fault.COMMIT_LOST)
        self.committed.append(self.prepared)
        await self._step(Fault.ANSWER_LOST)

    async def holds(self, prepared: Prepared) -> bool:
        assert self.is_open, "a transaction is settled by a new producer only"
        await self._step(Fault.HOLDS)
        return any(each is self.transactions[prepared.position] for each in self.committed)

    def abandon(self) -> None:
        self.is_open = False

    async def close(self) -> None:
        self.closed = True

    @property
    def events(self) -> Counter[Event]:
        return Counter(event for transaction in self.committed for event in transaction)

    async def _step(self, *faults: Fault) -> None:
        await asyncio.sleep(0.01)
        if self.faults and self.faults[0] in faults:
            self.abandon()
            fault = self.faults.pop(0)
            raise Fenced(fault.value) if fault is Fault.FENCED else AttemptFailed(fault.value)
        if self.faults and self.faults[0] is Fault.NONE:
            self.faults.pop(0)


def writer(log: FakeLog, said: list[str] | None = None) -> DurableWriter:
    lines: list[str] = [] if said is None else said
    return DurableWriter(Settings(), name="test", log=log, say=lines.append)


def event(number: int) -> Event:
    return b"p%d" % number, b"%d" % number


async def outcome(writing: DurableWriter, events: Sequence[Event]) -> type[PvStreamError] | None:
    try:
        await writing.write(events)
    except PvStreamError as error:
        return type(error)
    return None


def test_messages_that_wait_share_a_transaction_and_each_stays_whole() -> None:
    log = FakeLog()

    async def work() -> None:
        async with writer(log) as writing:
            messages = [[event(2 * number), event(2 * number + 1)] for number in range(50)]
            await asyncio.gather(*map(writing.write, messages))
            assert (writing.events, writing.transactions) == (100, len(log.committed))

    run(work())
    assert log.events == Counter(event(number) for number in range(100))
    assert len(log.committed) <= 2
    assert all(len(transaction) % 2 == 0 for transaction in log.committed)


def test_a_transaction_has_a_bound_but_a_message_is_never_torn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable_writer, "GROUP_EVENTS_MAX", 3)
    log = FakeLog()

    async def work() -> None:
        async with writer(log) as writing:
            sizes = (1, 2, 2, 5, 1)
            await asyncio.gather(*(writing.write([event(n)] * n) for n in sizes))

    run(work())
    assert [len(transaction) for transaction in log.committed] == [3, 2, 5, 1]


@pytest.mark.parametrize(
    "faults",
    [
        (Fault.NONE, Fault.PREPARE),
        (Fault.NONE, Fault.COMMIT_LOST),
        (Fault.NONE, Fault.ANSWER_LOST),
        (Fault.NONE, Fault.ANSWER_LOST, Fault.OPEN, Fault.OPEN, Fault.HOLDS, Fault.OPEN),
        (Fault.NONE, Fault.COMMIT_LOST, Fault.HOLDS, Fault.PREPARE, Fault.ANSWER_LOST),
        (Fault.NONE, Fault.FENCED),
    ],
)
def test_a_transaction_that_fails_is_in_the_log_once(faults: tuple[Fault, ...]) -> None:
    log, said = FakeLog(*faults), list[str]()

    async def work() -> None:
        async with writer(log, said) as writing:
            await writing.write([event(1), event(2)])

    run(work())
    assert log.events == Counter([event(1), event(2)])
    assert not log.faults
    assert "takes no writes" in said[0]
    assert "takes writes again" in said[1]
    assert len(said) == 2


FAULTS = st.lists(st.sampled_from([fault for fault in Fault if fault is not Fault.FENCED]), max_size=200).map(
    lambda faults: [Fault.NONE, *faults]
)


@given(FAULTS, st.lists(st.tuples(st.floats(0, 60), st.integers(1, 3)), min_size=1, max_size=12))
def test_whoever_is_told_of_a_write_finds_it_once_and_whoever_is_refused_finds_nothing(
    faults: list[Fault], messages: list[tuple[float, int]]
) -> None:
    log = FakeLog(*faults)

    async def send(writing: DurableWriter, number: int, at: float, size: int) -> type[PvStreamError] | None:
        await asyncio.sleep(at)
        return await outcome(writing, [event(100 * number + each) for each in range(size)])

    async def work() -> list[type[PvStreamError] | None]:
        async with writer(log) as writing:
            return await asyncio.gather(
                *(send(writing, number, *each) for number, each in enumerate(messages))
            )

    for number, (told, (_, size)) in enumerate(zip(run(work()), messages, strict=True)):
        assert told in {None, Unavailable}
        found = [log.events[event(100 * number + each)] for each in range(size)]
        assert found == [0 if told is Unavailable else 1] * size


def test_a_message_that_waits_too_long_is_refused_and_never_written() -> None:
    log = FakeLog(Fault.NONE, Fault.PREPARE, *[Fault.OPEN] * 1_000)

    async def work() -> float:
        async with writer(log) as writing:
            with pytest.raises(Unavailable, match="not written"):
                await writing.write([event(1)])
            log.faults.clear()
            await writing.write([event(2)])
            return asyncio.get_running_loop().time()

    assert durable_writer.PATIENCE_SECONDS <= run(work()) < durable_writer.PATIENCE_SECONDS + 2
    assert log.events == Counter([event(2)])


def test_while_a_commit_is_unknown_nobody_is_told_anything() -> None:
    log = FakeLog(Fault.NONE, Fault.ANSWER_LOST, *[Fault.OPEN] * 10_000)

    async def work() -> None:
        async with writer(log) as writing:
            writes = asyncio.create_task(writing.write([event(1)]))
            await asyncio.sleep(600)
            assert not writes.done()
            log.faults.clear()
            await writes

    run(work())
    assert log.events == Counter([event(1)])


def test_a_writer_that_ends_tells_what_it_knows() -> None:
    """One message is in a commit without an answer, the other was in no transaction."""
    log = FakeLog(Fault.NONE, Fault.ANSWER_LOST, *[Fault.OPEN] * 10_000)

    async def work() -> list[type[PvStreamError] | None]:
        async with writer(log) as writing:
            first = asyncio.create_task(outcome(writing, [event(1)]))
            await asyncio.sleep(1)
            second = asyncio.create_task(outcome(writing, [event(2)]))
            await asyncio.sleep(1)
        return [await first, await second, await outcome(writing, [event(3)])]

    assert run(work()) == [EnvironmentBroken, Unavailable, EnvironmentBroken]
    assert log.closed


def test_a_caller_who_leaves_before_its_turn_has_nothing_written() -> None:
    log = FakeLog()

    async def work() -> None:
        async with writer(log) as writing:
            first = asyncio.create_task(writing.write([event(1)]))
            await asyncio.sleep(0.001)
            second, third = (asyncio.create_task(writing.write([event(each)])) for each in (2, 3))
            await asyncio.sleep(0.001)
            first.cancel()
            second.cancel()
            await third

    run(work())
    assert log.events == Counter([event(1), event(3)])


def test_a_second_writer_of_the_same_name_ends_the_first() -> None:
    log = FakeLog(Fault.NONE, *[Fault.FENCED] * 3)

    async def work() -> None:
        async with writer(log) as writing:
            assert await outcome(writing, [event(1)]) is EnvironmentBroken
            with pytest.raises(EnvironmentBroken, match="--name"):
                await writing.ended()
            assert await outcome(writing, [event(2)]) is EnvironmentBroken

    run(work())
    assert not log.events


def test_a_message_without_events_is_written_at_once() -> None:
    log = FakeLog()

    async def work() -> None:
        async with writer(log) as writing:
            await writing.write([])

    run(work())
    assert log.transactions == []


def test_an_event_that_no_topic_takes_is_refused_before_it_can_stop_the_others() -> None:
    async def work() -> None:
        async with writer(FakeLog()) as writing:
            with pytest.raises(AssertionError, match="too large"):
                await writing.write([(b"p", b"x" * EVENT_BYTES_MAX)])

    run(work())


def test_a_broker_that_is_away_at_the_start_is_one_error() -> None:
    log = FakeLog(Fault.OPEN)

    async def work() -> None:
        async with writer(log):
            pass

    with pytest.raises(ConnectionFailed, match="pv-stream kafka up"):
        run(work())
    assert log.closed
