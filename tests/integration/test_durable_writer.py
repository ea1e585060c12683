"""The durable writer on a real broker: what a lost answer leaves behind is told apart, and a second writer ends one."""

import asyncio

import pytest

from pv_stream.domain.ids import shard_of
from pv_stream.errors import EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.stream import event_log
from pv_stream.stream.durable_writer import DurableWriter
from pv_stream.stream.event_log import AttemptFailed, EventLog
from pv_stream.stream.topics import Topic
from tests.integration.cluster import SHARDS, Cluster


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a request take as long as a broker on a busy machine needs: whose answer is lost is up to the tests."""
    monkeypatch.setattr(event_log, "_REQUEST_SECONDS_MAX", 60.0)


EVENTS = [(b"patient-%d" % number, b'{"number":%d}' % number) for number in range(20)]


def test_a_transaction_whose_outcome_is_unknown_is_told_apart(cluster: Cluster) -> None:
    """One producer goes after its commit, one before: the next of the same id knows which."""

    async def work() -> list[bool]:
        log = EventLog(cluster.settings(), transactional_id=f"{cluster.prefix}unknown")
        found = []
        for commits in (True, False, True):
            await log.open()
            prepared = await log.prepare(EVENTS)
            if commits:
                await log.commit()
            log.abandon()
            await log.open()
            found.append(await log.holds(prepared))
        await log.close()
        return found

    assert asyncio.run(work()) == [True, False, True]
    records = cluster.read(Topic.EVENTS)
    assert sorted((record.key, record.value) for record in records) == sorted(EVENTS * 2)
    assert all(record.shard == shard_of((record.key or b"").decode(), SHARDS) for record in records)


class Forgetful(EventLog):
    """A log whose answers to commits get lost: every second one before Kafka has heard of it."""

    commits = 0

    async def commit(self) -> None:
        self.commits += 1
        if self.commits % 2:
            await super().commit()
        self.abandon()
        message = "the answer is lost"
        raise AttemptFailed(message)


def test_with_every_answer_lost_each_message_is_there_once(cluster: Cluster) -> None:
    log = Forgetful(cluster.settings(), transactional_id=f"{cluster.prefix}forgetful")

    async def work() -> None:
        async with DurableWriter(cluster.settings(), name="forgetful", log=log) as writer:
            for number in range(0, len(EVENTS), 4):
                await writer.write(EVENTS[number : number + 4])

    asyncio.run(work())
    assert log.commits == 9
    records = cluster.read(Topic.EVENTS)
    assert sorted((record.key, record.value) for record in records) == sorted(EVENTS)


def test_many_messages_are_few_transactions(cluster: Cluster) -> None:
    async def work() -> int:
        async with DurableWriter(cluster.settings(), name="many") as writer:
            await asyncio.gather(*(writer.write([event]) for event in EVENTS * 20))
            return writer.transactions

    assert asyncio.run(work()) < 5
    assert len(cluster.read(Topic.EVENTS)) == len(EVENTS) * 20


def test_two_writers_of_one_name_do_not_go_on_side_by_side(cluster: Cluster) -> None:
    """Each takes the id from the other; the first that is fenced again and again ends and says why."""

    async def work() -> None:
        async with (
            DurableWriter(cluster.settings(), name="twin") as first,
            DurableWriter(cluster.settings(), name="twin") as second,
        ):
            for _ in range(10):
                await first.write(EVENTS[:1])
                await second.write(EVENTS[:1])

    with pytest.raises(EnvironmentBroken, match="--name"):
        asyncio.run(work())


def test_a_missing_topic_is_said_at_the_start(
    bootstrap_servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A topic is looked for as long as a request may take, well within the time of an attempt."""
    monkeypatch.setattr(event_log, "_REQUEST_SECONDS_MAX", 5.0)
    settings = Settings(
        bootstrap_servers=bootstrap_servers,
        topic_prefix="absent.",
        connect_timeout_seconds=60,
        transaction_timeout_seconds=180,
    )

    async def work() -> None:
        async with DurableWriter(settings, name="absent"):
            pass

    with pytest.raises(EnvironmentBroken, match="topics apply"):
        asyncio.run(work())
