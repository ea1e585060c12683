"""The consumer group as the broker sees it: members, generations, and which shard goes to whom.

A rebalance waits for every member to join again, and goes on without those that do not within a time: these are then
no members any more and do not know it yet.
"""

import asyncio
import random
from dataclasses import dataclass, field

from tests.simulation.network import Network

SESSION_SECONDS = 6.0
REBALANCE_SECONDS = 8.0
SETTLE_SECONDS = 0.1

#: Generation and shards of one member.
Assigned = tuple[int, tuple[int, ...]]


@dataclass(slots=True)
class Group:
    """Keep the members and give each its shards."""

    shards: int
    network: Network
    rng: random.Random
    generation: int = 0
    #: Name -> how often it was heard of.
    members: dict[str, int] = field(default_factory=dict)
    joining: "dict[str, asyncio.Future[Assigned]]" = field(default_factory=dict)
    preparing: bool = False

    def join(self, name: str) -> "asyncio.Future[Assigned]":
        """Take a member into the next generation; the answer comes when it begins."""
        self.joining[name] = asyncio.get_running_loop().create_future()
        self.rebalance()
        if self.members.keys() <= self.joining.keys():
            self._complete_after(SETTLE_SECONDS)
        return self.joining[name]

    def heartbeat(self, name: str, generation: int) -> bool:
        """Tell whether a member may go on; if not, it must join again."""
        if name not in self.members or generation != self.generation or self.preparing:
            return False
        self._heard(name)
        return True

    def leave(self, name: str) -> None:
        """Let a member go."""
        if self.members.pop(name, None) is not None:
            self.rebalance()

    def rebalance(self) -> None:
        """Begin a new generation: every member must join again."""
        if not self.preparing:
            self.preparing = True
            self._complete_after(REBALANCE_SECONDS)

    def _complete_after(self, seconds: float) -> None:
        generation = self.generation

        def complete() -> None:
            if self.preparing and self.generation == generation and self.joining:
                self._complete()
            elif self.preparing and self.generation == generation and seconds == REBALANCE_SECONDS:
                self.preparing = False  # nobody is there: the next to come begins anew
                self.members.clear()

        self.network.later(complete, seconds)

    def _complete(self) -> None:
        self.preparing = False
        self.generation += 1
        names = sorted(self.joining)
        first = self.rng.randrange(len(names))
        assigned: dict[str, list[int]] = {name: [] for name in names}
        for shard in range(self.shards):
            assigned[names[(first + shard) % len(names)]].append(shard)
        joining, self.joining = self.joining, {}
        self.members = dict.fromkeys(names, 0)
        for name in names:
            self._heard(name)
            joining[name].set_result((self.generation, tuple(assigned[name])))

    def _heard(self, name: str) -> None:
        self.members[name] += 1
        count, generation = self.members[name], self.generation

        def expire() -> None:
            if self.generation == generation and self.members.get(name) == count and name not in self.joining:
                self.leave(name)

        self.network.later(expire, SESSION_SECONDS)
