"""A worker in its group: refused, with a name that another has, or without a shard."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Event
from typing import Any

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from pv_stream.errors import ConnectionFailed, EnvironmentBroken, PvStreamError, UsageError
from pv_stream.settings import Settings
from pv_stream.stream.membership import EXPIRY_GRACE_SECONDS, GroupSeen, Membership, _seen

SESSION_SECONDS = 6.0
MINE, OTHERS = "ward-a-1", "ward-a-2"
ALL = frozenset(range(4))


class EnoughSeen(Exception):
    """End what would look for ever."""


class Clock:
    """Count what was slept."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)

    def now(self) -> float:
        return self.seconds


def membership(answers: Callable[[float], GroupSeen | None], *, name: str = "ward-a") -> Any:
    """Return a member by a name whose group looks, after so many seconds, as it is told."""
    clock = Clock()
    made: Any = Membership(
        Settings(worker_id=name, session_timeout_seconds=SESSION_SECONDS),
        shard_count=4,
        ask=lambda: answers(clock.seconds),
        sleep=clock.sleep,
        now_s=clock.now,
    )
    made.clock = clock
    return made


def named(member: str | None) -> GroupSeen:
    return GroupSeen(ALL, {} if member is None else {"ward-a": member})


def test_a_worker_whose_name_another_keeps_alive_ends_with_one_line_and_is_not_started_again() -> None:
    member = membership(lambda _: named(OTHERS))
    member.joined(MINE)
    with pytest.raises(
        UsageError, match=r"another worker of the group pv-stream .* PV_STREAM_WORKER_ID, ward-a"
    ):
        asyncio.run(member.refuse_taken_name())
    assert member.clock.seconds >= SESSION_SECONDS + EXPIRY_GRACE_SECONDS


@pytest.mark.parametrize(
    ("answers", "joined", "name"),
    [
        pytest.param(lambda _: named(None), MINE, "ward-a", id="nobody has it: the session ended"),
        pytest.param(lambda _: named(MINE), MINE, "ward-a", id="an old entry of this worker itself"),
        pytest.param(
            lambda seconds: named(OTHERS if seconds < SESSION_SECONDS else None),
            MINE,
            "ward-a",
            id="whoever had it is gone, as its session shows",
        ),
        pytest.param(lambda _: None, MINE, "ward-a", id="the coordinator does not say"),
        pytest.param(
            lambda _: named(OTHERS), None, "ward-a", id="it never joined: its predecessor is still listed"
        ),
        pytest.param(lambda _: named(OTHERS), MINE, "", id="it has no lasting name"),
    ],
)
def test_a_name_is_taken_only_when_another_lives_under_it(
    answers: Callable[[float], GroupSeen | None], joined: str | None, name: str
) -> None:
    member = membership(answers, name=name)
    if joined is not None:
        member.joined(joined)
    asyncio.run(member.refuse_taken_name())


def test_a_fence_is_told_as_what_it_is() -> None:
    """The name, where another has it; else what was said of the fence. What is not of Kafka stays as it is."""

    def told(error: BaseException, holder: str | None) -> BaseException:
        member = membership(lambda _: named(holder))
        member.joined(MINE)
        found: BaseException = asyncio.run(member.instead_of(error))
        return found

    fenced, own = EnvironmentBroken("committing failed"), EnvironmentBroken("a gap")
    fenced.__cause__ = KafkaError()
    assert isinstance(told(fenced, OTHERS), UsageError)
    assert told(fenced, None) is fenced
    assert told(own, OTHERS) is own


def test_a_coordinator_that_hangs_keeps_nobody_who_must_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pv_stream.stream.membership.ANSWER_SECONDS_MAX", 0.01)
    answers = Event()
    answered: list[bool] = []

    def hangs(_: float) -> None:
        answered.append(answers.wait(60))

    async def scenario() -> BaseException:
        member = membership(hangs)
        member.joined(MINE)
        fenced = EnvironmentBroken("committing failed")
        fenced.__cause__ = KafkaError()
        try:
            told: BaseException = await member.instead_of(fenced)
            assert answered == []
        finally:
            answers.set()
        return told

    assert isinstance(asyncio.run(scenario()), EnvironmentBroken)


def looked(member: Any, assigned: frozenset[int] | None, *, error: KafkaError | None = None) -> None:
    """Keep looking for about a minute."""

    class Consumer:
        def group_error(self) -> KafkaError | None:
            return error

    def consumer() -> Consumer | None:
        if member.clock.seconds > 60:
            raise EnoughSeen
        return Consumer()

    with suppress(EnoughSeen):
        asyncio.run(member.keep_looking(consumer, lambda: assigned))


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            GroupAuthorizationFailedError("pv-stream"),
            ConnectionFailed,
            "AuthorizationFailedError, group pv-stream",
        ),
        (KafkaError("what"), EnvironmentBroken, "the group pv-stream does not take this worker"),
    ],
)
def test_what_the_coordinator_refuses_is_raised(
    error: KafkaError, kind: type[PvStreamError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        looked(membership(lambda _: None), None, error=error)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        pytest.param([ALL], None, id="each shard has somebody: a spare"),
        pytest.param([frozenset()], "no worker has shard 0 (4 of 4 have nobody)", id="nobody has any"),
        pytest.param([ALL - {2}], "no worker has shard 2 (1 of 4 have nobody)", id="one is left over"),
        pytest.param([None], "the group's coordinator does not say", id="not known"),
        pytest.param([frozenset(), ALL], None, id="shared out at last"),
        pytest.param([ALL, frozenset()], "no worker has shard 0", id="taken away again"),
    ],
)
def test_a_worker_without_a_shard_is_ready_only_when_each_has_somebody(
    held: Iterable[frozenset[int] | None], said: str | None
) -> None:
    answers = [None if each is None else GroupSeen(each, {}) for each in held]
    member = membership(lambda _: answers.pop(0) if answers[1:] else answers[0])
    looked(member, frozenset())
    assert (member.why_not_spare is None) if said is None else (said in member.why_not_spare)
    assert (member.spare_looks > 0) is (ALL in held)


@pytest.mark.parametrize("assigned", [None, frozenset({1})])
def test_only_a_worker_without_a_shard_asks_who_has_them(assigned: frozenset[int] | None) -> None:
    def never(_: float) -> GroupSeen:
        raise AssertionError

    looked(membership(never), assigned)


def test_what_was_seen_before_the_shards_were_shared_out_anew_is_not_believed() -> None:
    member = membership(lambda _: GroupSeen(ALL, {}))
    looked(member, frozenset())
    member.shared_out()
    assert "it is not known yet" in member.why_not_spare


def test_a_group_is_read_as_a_broker_describes_it() -> None:
    """A member of another topic, one that waits for its share, and one under a lasting name."""

    def given(topic: str, *shards: int) -> dict[str, Any]:
        return {"assigned_partitions": [{"topic": topic, "partitions": list(shards)}], "user_data": ""}

    found = {
        "members": [
            {"group_instance_id": "ward-a", "member_id": MINE, "member_assignment": given("events", 0, 2)},
            {"group_instance_id": None, "member_id": "host-1", "member_assignment": given("events", 3)},
            {"group_instance_id": None, "member_id": "host-2", "member_assignment": given("others", 1)},
            {"group_instance_id": None, "member_id": "host-3", "member_assignment": ""},
        ]
    }
    assert _seen(found, "events") == GroupSeen(frozenset({0, 2, 3}), {"ward-a": MINE})
