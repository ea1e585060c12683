"""This worker as a member of its group: is it let in, is its name its own, and is idleness right?

Faust only hears what the group's coordinator says while it fetches. Three things it never hears of are looked for here:

* the coordinator refuses the worker, which would ask again without a word;
* another worker has the same PV_STREAM_WORKER_ID: each would take the shards from the other, for ever;
* the worker was given no shard although some shard has nobody, as when the leader of the group shared out a topic
  that it did not know yet. A worker more than there are shards is given none, too, and is right to wait.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiokafka.errors import KafkaError

from pv_stream.errors import PvStreamError, UsageError
from pv_stream.settings import Settings
from pv_stream.stream.connection import group_failed
from pv_stream.stream.topics import Topic, admin_client, topic_name

LOOK_SECONDS: Final = 0.5
#: How often a worker without a shard asks who has them.
ASK_SECONDS: Final = 10.0
#: How long an answer of the coordinator is waited for.
ANSWER_SECONDS_MAX: Final = 8.0
#: What an entry that nobody keeps alive may outlast its session by: the broker looks for it now and then.
EXPIRY_GRACE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class GroupSeen:
    """Hold what the coordinator says: the shards that some member has, and the member behind each lasting name."""

    held: frozenset[int]
    member_of: Mapping[str, str]


class Consumer(Protocol):
    """What is asked of the consumer of a worker."""

    def group_error(self) -> KafkaError | None:
        """Return an error of the group that waits to be raised, or None."""

    def member_id(self) -> str:
        """Return by which id the coordinator knows the worker; empty while it does not."""


class Membership:
    """Watch what becomes of one worker in its group."""

    def __init__(
        self,
        settings: Settings,
        *,
        shard_count: int,
        ask: Callable[[], GroupSeen | None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Belong to no group yet; `ask` returns None when the coordinator does not answer."""
        self.shard_count = shard_count
        self._settings = settings
        self._ask = ask
        self._sleep = sleep
        self._now_s = now_s
        self._member_id: str | None = None
        self._asked_s: float | None = None
        #: How often it was seen, while this worker had no shard, that each has somebody.
        self.spare_looks = 0
        #: Why a worker without a shard may not be idle; None when each shard has somebody.
        self.why_not_spare: str | None = None
        self.shared_out()

    def joined(self, member_id: str) -> None:
        """Know by which id the coordinator knows the worker."""
        self._member_id = member_id

    def shared_out(self) -> None:
        """Know nothing of what the others have: the shards were shared out anew."""
        self._asked_s = None
        self.why_not_spare = "it was given no shard, and it is not known yet whether other workers have all"

    async def keep_looking(
        self, consumer: Callable[[], Consumer | None], assigned: Callable[[], frozenset[int] | None]
    ) -> None:
        """Look again and again. Raise ConnectionFailed when a right is missing, EnvironmentBroken when it is else."""
        while True:
            await self._sleep(LOOK_SECONDS)
            member = consumer()
            error = None if member is None else member.group_error()
            if error is not None:
                raise group_failed(
                    self._settings.bootstrap_servers, self._settings.group_id, type(error).__name__
                ) from error
            if assigned() == frozenset() and self._is_due():
                await self.look_as_spare()

    async def _answer(self) -> GroupSeen | None:
        """Ask the coordinator, for a time: a worker that must end does not wait for a broker that hangs."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                return await asyncio.to_thread(self._ask)
        except TimeoutError:
            return None

    def _is_due(self) -> bool:
        every_seconds = min(ASK_SECONDS, self._settings.stall_timeout_seconds / 4)
        return self._asked_s is None or self._now_s() - self._asked_s >= every_seconds

    async def look_as_spare(self) -> None:
        """See whether each shard has somebody, as a worker that has none."""
        seen = await self._answer()
        self._asked_s = self._now_s()
        if seen is None:
            self.why_not_spare = (
                "it was given no shard, and the group's coordinator does not say who has them"
            )
        elif unheld := sorted(frozenset(range(self.shard_count)) - seen.held):
            self.why_not_spare = (
                f"it was given no shard, and no worker has shard {unheld[0]} ({len(unheld)} of {self.shard_count} have "
                "nobody)"
            )
        else:
            self.why_not_spare = None
            self.spare_looks += 1

    async def refuse_taken_name(self) -> None:
        """Raise UsageError when another worker lives in the group under this worker's name.

        A name that the coordinator still remembers of a worker that is gone is forgotten within a session: so what
        counts is whether it outlasts one.
        """
        if await self._name_is_taken():
            raise name_taken(self._settings)

    async def instead_of(self, error: BaseException) -> BaseException:
        """Return what is the reason for an error of Kafka: the name that another worker has, or the error itself."""
        of_kafka = isinstance(error, KafkaError) or isinstance(error.__cause__, KafkaError)
        return name_taken(self._settings) if of_kafka and await self._name_is_taken() else error

    async def _name_is_taken(self) -> bool:
        if not self._settings.worker_id or self._member_id is None:
            return False
        until_s = self._now_s() + self._settings.session_timeout_seconds + EXPIRY_GRACE_SECONDS
        while True:
            seen = await self._answer()
            if seen is None or seen.member_of.get(self._settings.worker_id) in {None, self._member_id}:
                return False
            if self._now_s() >= until_s:
                return True
            await self._sleep(LOOK_SECONDS)


def name_taken(settings: Settings) -> PvStreamError:
    """Return the one line of a worker whose name another has."""
    return UsageError(
        f"another worker of the group {settings.group_id} runs under the same PV_STREAM_WORKER_ID, "
        f"{settings.worker_id}, and has taken the shards over: this one ends; give each worker a name of its own"
    )


def look_at_group(settings: Settings) -> GroupSeen | None:
    """Return what the coordinator says of the workers' group; None when it does not say."""
    from kafka.errors import KafkaError as AdminError  # noqa: PLC0415 - only a worker in doubt asks

    try:
        with closing(admin_client(settings)) as admin:
            found = admin.describe_groups([settings.group_id])[settings.group_id]
    except (AdminError, PvStreamError, OSError):
        return None
    return None if found["error"] is not None else _seen(found, topic_name(Topic.EVENTS, settings))


def _seen(found: Mapping[str, Any], topic: str) -> GroupSeen:
    held = [
        partition
        for member in found["members"]
        # While the shards are shared out there is nothing to decode: then nobody has any.
        if isinstance(member["member_assignment"], Mapping)
        for given in member["member_assignment"]["assigned_partitions"]
        if given["topic"] == topic
        for partition in given["partitions"]
    ]
    member_of = {
        member["group_instance_id"]: member["member_id"]
        for member in found["members"]
        if member["group_instance_id"]
    }
    return GroupSeen(frozenset(held), member_of)
