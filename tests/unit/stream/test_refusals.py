"""Telling Kafka of what was refused: what fails is said once and tried again, and a stop tells what is left."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from pv_stream.errors import ConnectionFailed
from pv_stream.settings import Settings
from pv_stream.stream import refusals
from pv_stream.stream.refusals import RefusalTeller, tell_refusals
from pv_stream.stream.topics import Topic

RECORD = (b"rej_00ff", b"{}")


@dataclass
class Kafka:
    """Stand for a broker that takes, or does not take, records; `left` is what is still to be told."""

    left: list[tuple[bytes, bytes]] = field(default_factory=lambda: [RECORD])
    taken: list[tuple[bytes, bytes]] = field(default_factory=list)
    is_away: bool = False
    tries: int = 0

    @contextmanager
    def next(self) -> Iterator[Sequence[tuple[bytes, bytes]]]:
        """Give one record at a time."""
        yield self.left[:1]
        del self.left[:1]

    async def write(self, records: Any, _settings: Settings, topic: str, shard_of: Any) -> int:
        """Take records, each in the one partition that its key gives."""
        self.tries += 1
        if self.is_away:
            message = "no broker"
            raise ConnectionFailed(message)
        assert topic == Topic.REJECTS
        assert [shard_of(key, 4) for key, _ in records] == [0xFF % 4 for _ in records]
        self.taken += records
        return len(records)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    """A broker of ours in the place of Kafka, and no pause between tries."""
    broker = Kafka()
    monkeypatch.setattr(refusals, "write", broker.write)
    monkeypatch.setattr(refusals, "require_broker", lambda _settings: None)
    monkeypatch.setattr(refusals, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(refusals, "_PAUSE_SECONDS_AFTER_FAILURE", 0)
    return broker


async def until(is_so: Any) -> None:
    while True:
        await asyncio.sleep(0)
        if is_so():
            return


def test_what_fails_is_said_once_and_told_when_the_broker_is_back(kafka: Kafka) -> None:
    said: list[str] = []

    async def run() -> None:
        kafka.is_away = True
        task = asyncio.create_task(RefusalTeller(Settings(), kafka.next, said.append).keep_telling())
        await until(lambda: kafka.tries > 3)
        kafka.is_away = False
        await until(lambda: kafka.taken == [RECORD] and len(said) > 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert ["not told to Kafka yet" in said[0], "told to Kafka again" in said[1], len(said)] == [
        True,
        True,
        2,
    ]
    assert kafka.taken == [RECORD]


def test_a_stop_tells_what_is_left(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "_PAUSE_SECONDS", 3_600)

    async def run() -> None:
        task = asyncio.create_task(RefusalTeller(Settings(), kafka.next, lambda _line: None).keep_telling())
        await until(lambda: kafka.taken == [RECORD])
        kafka.left += [(b"rej_01ff", b"{}"), (b"rej_02ff", b"{}")]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert len(kafka.taken) == 3


def test_a_run_over_files_tells_all_at_once(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka.left *= 3
    monkeypatch.setattr(
        refusals, "publish",
        lambda records, *, settings, topic, shard_of: asyncio.run(kafka.write(records, settings, topic, shard_of)),
    )  # fmt: skip
    assert tell_refusals(Settings(), kafka.next) == 3
